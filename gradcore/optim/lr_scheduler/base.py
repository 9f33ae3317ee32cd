"""What all schedulers share: the epoch, the rates of the groups, and their state."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError
from ...tensor import Tensor
from ..optimizer import Optimizer

__all__ = ["LRScheduler"]

Rate = Any
"""A float, or a Tensor of one element."""


def copied(value: Rate) -> Rate:
    return value.clone() if isinstance(value, Tensor) else value


def set_rate(group: dict[str, Any], value: Rate) -> None:
    """Set the learning rate of a group; a Tensor stays the same one."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(float(value))
    else:
        group["lr"] = value


def checked_optimizer(value: Any) -> Optimizer:
    if not isinstance(value, Optimizer):
        raise ArgumentTypeError(f"{type(value).__name__} is not an Optimizer.")
    return value


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group, of one for all or of as many as groups."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [copied(value) for _ in range(count)]
    if len(value) != count:
        raise ArgumentError(
            f"{name} must have the same length as optimizer.param_groups. {name} has "
            f"{len(value)} values, param_groups has {count}."
        )
    return [copied(v) for v in value]


def warn_of_epoch() -> None:
    warnings.warn(
        "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
        "possible. Please use `scheduler.step()` to step the scheduler.",
        UserWarning,
        stacklevel=4,
    )


class LRScheduler:
    """Base of the schedulers; those define `get_lr`, and `_get_closed_form_lr` if there is one.

    Args:
        optimizer: whose learning rates are set.
        last_epoch: the number of the last epoch; -1 starts, and takes the rates of the groups for
            the initial ones.

    Attributes:
        base_lrs: the initial rate of each group.
        last_epoch: as given, counted on by `step`.

    Raises:
        ArgumentTypeError: `optimizer` is none.
        KeyError: a group has no `"initial_lr"` though `last_epoch` is not -1.
    """

    _get_lr_called_within_step = False
    _is_initial = False
    _last_lr: list[Rate]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked_optimizer(optimizer)
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{number}] when resuming "
                    "scheduler with last_epoch >= 0. Load the state of the optimizer first."
                )
        self.base_lrs = [copied(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Carry on from what `state_dict` gave."""
        vars(self).update(state_dict)

    def get_last_lr(self) -> list[Rate]:
        """The rates that were set last, one for each group."""
        return self._last_lr

    def get_lr(self) -> list[Rate]:
        """The rates of the epoch `last_epoch`, one for each group; called by `step`."""
        raise NotImplementedError(f"{type(self).__name__}: a scheduler must define get_lr.")

    _get_closed_form_lr: Callable[[], list[Rate]] | None = None

    def step(self, epoch: int | None = None) -> None:
        """Set the learning rates of the next epoch, or of `epoch`."""
        if self._step_count == 1 and not self.optimizer._has_stepped:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. You should call "
                "them in the opposite order: else the first value of the learning rate schedule "
                "is skipped.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch()
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        rates = self.get_lr
        if epoch is None:
            self.last_epoch += 1
        else:
            self.last_epoch = epoch
            rates = self._get_closed_form_lr or rates
        self._assign(rates)

    def _assign(self, rates: Callable[[], list[Rate]]) -> None:
        self._get_lr_called_within_step = True
        try:
            values = rates()
        finally:
            self._get_lr_called_within_step = False
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            set_rate(group, value)
        self._last_lr = self._current()

    # what the schedules are made of ----------------------------------------------------------

    def _current(self) -> list[Rate]:
        return [copied(group["lr"]) for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[Rate]:
        """The rates as they are, times a factor."""
        self._warn_if_asked()
        if factor == 1:
            return self._current()
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _of_base(self, factor: float) -> list[Rate]:
        """The initial rates times a factor."""
        return [lr * factor for lr in self.base_lrs]

    def _warn_if_asked(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=4,
            )


def half_cosine(part: float) -> float:
    """From 1 to 0 as `part` goes from 0 to 1."""
    return (1 + math.cos(math.pi * part)) / 2
