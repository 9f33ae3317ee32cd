"""Rprop."""

from __future__ import annotations

from typing import Any

from ..device import Array
from ..errors import ArgumentError
from ..tensor import Tensor
from .elementwise import Elementwise, checked, filled_like
from .optimizer import Update

__all__ = ["Rprop"]


def _step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    before: Array,
    size: Array,
    shorter: float,
    longer: float,
    least: float,
    most: float,
) -> None:
    xp.multiply(g, before, s)
    turned = s < 0
    xp.multiply(size, xp.where(turned, shorter, xp.where(s > 0, longer, 1.0)), s)
    xp.maximum(s, least, out=s)
    xp.minimum(s, most, out=size)
    before[...] = xp.where(turned, 0.0, g)
    xp.multiply(xp.sign(before), size, s)
    xp.subtract(p, s, p)


class Rprop(Elementwise):
    """Rprop: steps by the sign of the gradient, longer while it stays the same.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the first step.
        etas: by what the step is multiplied where the sign has changed, and where it has not.
        step_sizes: the shortest and the longest step.
        capturable: without effect.
        foreach: without effect.
        maximize: go uphill.
        differentiable: must be False.

    Raises:
        ArgumentError: an option is out of range.

    Where the sign has changed there is no step, and none counts as a change next time. `state[p]`
    has `"step"`, `"prev"` and `"step_size"`.

    Reference: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning:
    the RPROP algorithm", 1993.
    """

    rows = ("prev", "step_size")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        checked(lr, differentiable=differentiable)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ArgumentError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        size = filled_like(p, float(group["lr"]))
        state = super()._start(group, p)
        state["step_size"] = size
        return state

    def _formula(self, group: dict[str, Any]) -> Update:
        return _step

    def _numbers(
        self, group: dict[str, Any], state: dict[str, Any], count: int
    ) -> tuple[float, ...]:
        return *group["etas"], *group["step_sizes"]
