"""Adadelta."""

from __future__ import annotations

from typing import Any

from ..device import Array
from ..errors import ArgumentError
from .elementwise import Elementwise, checked, decayed, move_square
from .optimizer import Update

__all__ = ["Adadelta"]


def _step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    v: Array,
    steps: Array,
    weight_decay: float,
    rho: float,
    eps: float,
    lr: float,
) -> None:
    g = decayed(xp, s, p, g, weight_decay)
    move_square(xp, s, v, g, rho, 1 - rho)
    xp.add(v, eps, s)
    xp.sqrt(s, s)
    step = xp.zeros_like(steps)
    xp.add(steps, eps, step)
    xp.sqrt(step, step)
    xp.divide(step, s, step)
    xp.multiply(step, g, step)
    move_square(xp, s, steps, step, rho, 1 - rho)
    xp.multiply(step, lr, step)
    xp.subtract(p, step, p)


class Adadelta(Elementwise):
    """Adadelta: steps by the gradient, scaled by the root of the ratio of two running mean squares.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        rho: how much of the running means is kept.
        eps: added to both means.
        weight_decay: added to the gradient, times the parameter.
        foreach: without effect.
        capturable: without effect.
        maximize: go uphill.
        differentiable: must be False.

    Raises:
        ArgumentError: an option is out of range.

    The two means are of the squares of the steps and of the gradients. `state[p]` has `"step"`,
    `"square_avg"` and `"acc_delta"`.

    Reference: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.
    """

    rows = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        checked(lr, eps=eps, weight_decay=weight_decay, differentiable=differentiable)
        if not 0.0 <= rho <= 1.0:
            raise ArgumentError(f"Invalid rho value: {rho}")
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "capturable": capturable,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _formula(self, group: dict[str, Any]) -> Update:
        return _step

    def _numbers(
        self, group: dict[str, Any], state: dict[str, Any], count: int
    ) -> tuple[float, ...]:
        return group["weight_decay"], group["rho"], group["eps"], float(group["lr"])
