"""Schedules that go up and down."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .base import LRScheduler, Rate, checked_optimizer, half_cosine, per_group, set_rate

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


class CosineAnnealingLR(LRScheduler):
    """The rate goes down to `eta_min` and up again as a cosine.

    Args:
        optimizer: whose learning rates are set.
        T_max: the number of epochs until `eta_min`.
        eta_min: the least rate.
        last_epoch: the number of the last epoch.

    Reference: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2016.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        """The rates of the epoch `last_epoch`."""
        if self._is_initial:
            return self._scaled(1)
        self._warn_if_asked()
        if self._step_count == 1 and self.last_epoch > 0:
            return self._get_closed_form_lr()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The cosine before was 0, of which there is no multiple.
            up = 1 - half_cosine(1 / self.T_max)
            pairs = zip(self.optimizer.param_groups, self.base_lrs, strict=True)
            return [group["lr"] + (lr - self.eta_min) * up for group, lr in pairs]
        before = half_cosine((self.last_epoch - 1) / self.T_max)
        ratio = half_cosine(self.last_epoch / self.T_max) / before
        return [
            self.eta_min + ratio * (group["lr"] - self.eta_min)
            for group in self.optimizer.param_groups
        ]

    def _get_closed_form_lr(self) -> list[Rate]:
        part = half_cosine(self.last_epoch / self.T_max)
        return [self.eta_min + (lr - self.eta_min) * part for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """The rate goes down to `eta_min` as a cosine, and starts again at the top.

    Args:
        optimizer: whose learning rates are set.
        T_0: the number of epochs until the first restart.
        T_mult: how many times longer the next cycle is.
        eta_min: the least rate.
        last_epoch: the number of the last epoch.

    Raises:
        ArgumentError: an argument is out of range.

    Reference: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2016.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ArgumentError(f"Expected positive integer T_0, but got {T_0}.")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ArgumentError(f"Expected integer T_mult >= 1, but got {T_mult}.")
        if not isinstance(eta_min, int | float):
            raise ArgumentError(
                f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}."
            )
        self.T_0 = self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        """The rates of the epoch `last_epoch`."""
        self._warn_if_asked()
        part = half_cosine(self.T_cur / self.T_i)
        return [self.eta_min + (lr - self.eta_min) * part for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the learning rates of the next epoch, or of `epoch`, which may be a fraction."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ArgumentError(f"Expected non-negative epoch, but got {epoch}.")
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0 if epoch >= self.T_0 else epoch
            self.T_i = self.T_0
        else:
            # Of n cycles the lengths are a geometric series.
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n
        self.last_epoch = math.floor(epoch)
        self._assign(self.get_lr)


class _WithMomentum(LRScheduler):
    """Schedulers that change the momentum against the rate."""

    cycle_momentum: bool
    use_beta1: bool

    def _prepare(
        self, optimizer: Optimizer, base_momentum: Any, max_momentum: Any, start: bool
    ) -> tuple[list[Any], list[Any]]:
        """The least and the largest momentum of each group, which takes the latter."""
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ArgumentError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled."
            )
        self.use_beta1 = "betas" in optimizer.defaults
        base = per_group("base_momentum", optimizer, base_momentum)
        most = per_group("max_momentum", optimizer, max_momentum)
        if start:
            for group, low, high in zip(optimizer.param_groups, base, most, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"], group["base_momentum"] = high, low
        return base, most

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_WithMomentum):
    """The rate goes up and down in a straight line between two values.

    Args:
        optimizer: whose learning rates are set.
        base_lr: the least rate, or a list with one for each group.
        max_lr: the largest rate, or a list.
        step_size_up: the number of steps up.
        step_size_down: the number of steps down; that of steps up by default.
        mode: `"triangular"`; `"triangular2"`: half as high in each cycle; `"exp_range"`: gamma^step
            times as high.
        gamma: see `mode`.
        scale_fn: how many times as high, in place of `mode`.
        scale_mode: whether `scale_fn` is a function of the `"cycle"`, from 1, or of `"iterations"`.
        cycle_momentum: change the momentum too, against the rate.
        base_momentum: the least momentum, or a list.
        max_momentum: the largest momentum, or a list.
        last_epoch: the number of the last step.

    Raises:
        ArgumentError: an argument is out of range, or the optimiser has no momentum.

    Reference: Smith, "Cyclical Learning Rates for Training Neural Networks", 2015.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:
        base_lrs = per_group("base_lr", checked_optimizer(optimizer), base_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                set_rate(group, lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ArgumentError("mode is invalid and scale_fn is None.")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom: Any = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._prepare(
                optimizer, base_momentum, max_momentum, last_epoch == -1
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """How many times as high the rate goes, in a cycle or a step."""
        if self._scale_fn_custom is not None:
            return float(self._scale_fn_custom(x))
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return 0.5 ** (x - 1) if self.mode == "triangular2" else 1.0

    def get_lr(self) -> list[Rate]:
        """The rates of the step `last_epoch`; sets the momentum too."""
        self._warn_if_asked()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        place = 1 + self.last_epoch / self.total_size - cycle
        up = place <= self.step_ratio
        height = place / self.step_ratio if up else (place - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            groups = self.optimizer.param_groups
            triples = zip(groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in triples:
                self._set_momentum(group, high - (high - low) * height)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in pairs]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser; of `scale_fn` what a callable remembers."""
        state = super().state_dict()
        function = self._scale_fn_custom
        plain = function is None or isinstance(function, types.FunctionType)
        state["_scale_fn_custom"] = None if plain else dict(vars(function))
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Carry on from what `state_dict` gave, with the `scale_fn` that is here."""
        function = self._scale_fn_custom
        super().load_state_dict(state_dict)
        if self._scale_fn_custom is not None:
            vars(function).update(self._scale_fn_custom)
        self._scale_fn_custom = function


class OneCycleLR(_WithMomentum):
    """The rate goes up from max_lr / div_factor, and down to that over final_div_factor.

    Args:
        optimizer: whose learning rates are set.
        max_lr: the largest rate, or a list with one for each group.
        total_steps: the number of steps; or
        epochs: the number of epochs, and
        steps_per_epoch: that of steps in each.
        pct_start: the part of the steps that go up.
        anneal_strategy: `"cos"` or `"linear"`.
        cycle_momentum: change the momentum too, against the rate.
        base_momentum: the least momentum, or a list.
        max_momentum: the largest momentum, or a list.
        div_factor: see above.
        final_div_factor: see above.
        three_phase: go down to the initial rate in as many steps as up, then to the last one.
        last_epoch: the number of the last step.

    Raises:
        ArgumentError: an argument is out of range, the optimiser has no momentum, or `step` is
            called too often.

    Reference: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using
    Large Learning Rates", 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        most = per_group("max_lr", checked_optimizer(optimizer), max_lr)
        if total_steps is not None:
            self.total_steps = _positive("total_steps", total_steps)
        elif epochs is not None and steps_per_epoch is not None:
            each = _positive("steps_per_epoch", steps_per_epoch)
            self.total_steps = _positive("epochs", epochs) * each
        else:
            raise ArgumentError(
                "You must define either total_steps OR (epochs AND steps_per_epoch)."
            )
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ArgumentError(f"Expected float between 0 and 1 pct_start, but got {pct_start}.")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}."
            )
        self._anneal_func_type = anneal_strategy
        up, end = pct_start * self.total_steps - 1, self.total_steps - 1
        ways = [(up, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
        if three_phase:
            down = 2 * pct_start * self.total_steps - 2
            ways.append((down, "max_lr", "initial_lr", "base_momentum", "max_momentum"))
            ways.append((end, "initial_lr", "min_lr", "max_momentum", "max_momentum"))
        else:
            ways.append((end, "max_lr", "min_lr", "base_momentum", "max_momentum"))
        names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
        self._schedule_phases: list[dict[str, Any]] = [
            dict(zip(names, way, strict=True)) for way in ways
        ]
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, most, strict=True):
                group["initial_lr"], group["max_lr"] = lr / div_factor, lr
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._prepare(optimizer, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        """The rates of the step `last_epoch`; sets the momentum too."""
        self._warn_if_asked()
        now = self.last_epoch
        if now > self.total_steps:
            raise ArgumentError(
                f"Tried to step {now} times. The specified number of total steps is "
                f"{self.total_steps}."
            )
        start: Any = 0.0
        for phase in self._schedule_phases:
            if now <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            start = phase["end_step"]
        done = (now - start) / (phase["end_step"] - start)
        left = 1 - done if self._anneal_func_type == "linear" else half_cosine(done)
        rates = []
        for group in self.optimizer.param_groups:
            first, last = group[phase["start_lr"]], group[phase["end_lr"]]
            rates.append(last + (first - last) * left)
            if self.cycle_momentum:
                first, last = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, last + (first - last) * left)
        return rates


def _positive(name: str, value: Any) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ArgumentError(f"Expected positive integer {name}, but got {value}.")
    return value
