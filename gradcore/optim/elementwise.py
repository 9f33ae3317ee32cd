"""What optimisers share that step each element by itself, given its gradient and its state."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..device import Array, TensorType
from ..errors import ArgumentError
from ..tensor import Tensor, wrap
from .optimizer import Optimizer, Update, check_at_least, check_not_differentiable, zeros_like

__all__ = ["Elementwise"]


class Elementwise(Optimizer):
    """Base of optimisers whose step is one formula of arrays of the shape of the parameter.

    Subclasses define `_formula` and `_numbers`.

    Attributes:
        rows: the names of the arrays in the state of a parameter, in the order of the formula.
    """

    rows: ClassVar[tuple[str, ...]] = ()

    def _rows(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The names in `rows` that a group makes use of."""
        return self.rows

    def _formula(self, group: dict[str, Any]) -> Update:
        """`formula(xp, s, p, g, *arrays, *numbers)` changes `p` and the arrays of the state.

        `s` is an array for intermediate results. The gradient `g` must not be changed.
        """
        raise NotImplementedError

    def _numbers(self, group: dict[str, Any], state: dict[str, Any], count: int) -> Any:
        """The numbers of the formula in step number `count`."""
        raise NotImplementedError

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        # All or nothing: where memory does not suffice the next step starts again.
        state = {"step": scalar(0)} | {name: zeros_like(p) for name in self._rows(group)}
        self.state[p].update(state)
        return self.state[p]

    def _update(self, group: dict[str, Any], p: Tensor, grad: Tensor) -> None:
        state = self.state[p] or self._start(group, p)
        steps = state["step"]._array
        steps += 1
        g = -grad._array if group["maximize"] else grad._array
        arrays = (p._array, g, *[state[name]._array for name in self._rows(group)])
        formula, numbers = self._formula(group), self._numbers(group, state, int(steps))
        type = p._type
        if type.dtype.is_complex:
            # As PyTorch does: real and imaginary part are two parameters.
            type = TensorType(type.device, type.dtype.to_real())
            self._apply(formula, type, tuple([a.real for a in arrays]), *numbers)
            self._apply(formula, type, tuple([a.imag for a in arrays]), *numbers)
        else:
            self._apply(formula, type, arrays, *numbers)


# state and options -----------------------------------------------------------------------------


def scalar(value: float) -> Tensor:
    """A number of the state: float32, on the CPU."""
    return wrap(np.full((), value, np.float32))


def filled_like(p: Tensor, value: float) -> Tensor:
    """An array of the state that starts at `value`, which complex numbers have in both parts."""
    start = complex(value, value) if p._type.dtype.is_complex else value
    device = p._type.device
    return wrap(device.backend.on(device, lambda xp: xp.full_like(p._array, start)))


def checked(
    lr: Any,
    *,
    eps: float = 0.0,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.0, 0.0),
    differentiable: bool = False,
    **others: float,
) -> None:
    """Refuse options out of range; of `others` the least value is 0.

    Raises:
        ArgumentError: one is too small or too large.
        NotImplementedError: `differentiable` is True.
    """
    check_at_least("learning rate", lr)
    check_at_least("epsilon value", eps)
    for number, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ArgumentError(f"Invalid beta parameter at index {number}: {beta}")
    check_at_least("weight_decay value", weight_decay)
    for name, value in others.items():
        check_at_least(f"{name} value", value)
    check_not_differentiable(differentiable)


def decay_of(group: dict[str, Any]) -> tuple[float, float]:
    """What of the parameter is added to its gradient, and the factor it shrinks by."""
    weight_decay = group["weight_decay"]
    if group["decoupled_weight_decay"]:
        return 0.0, 1 - float(group["lr"]) * weight_decay
    return weight_decay, 1.0


# parts of formulas -----------------------------------------------------------------------------


def decayed(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    weight_decay: float,
    shrink: float = 1.0,
) -> Array:
    """The gradient with the parameter, times `weight_decay`, added; `p` times `shrink` first."""
    if shrink != 1:
        xp.multiply(p, shrink, p)
    if not weight_decay:
        return g
    xp.multiply(p, weight_decay, s)
    return xp.add(g, s)


def move_mean(xp: Any, s: Array, m: Array, g: Array, part: float) -> None:
    """Make m the mean m + part (g - m), as PyTorch's lerp: it stays g where m is g."""
    xp.subtract(g, m, s)
    xp.multiply(s, part, s)
    xp.add(m, s, m)


def move_square(xp: Any, s: Array, v: Array, g: Array, kept: float, part: float) -> None:
    """Keep `kept` of the mean of the squares, and add `part` of that of `g`."""
    xp.multiply(v, kept, v)
    xp.multiply(g, g, s)
    xp.multiply(s, part, s)
    xp.add(v, s, v)
