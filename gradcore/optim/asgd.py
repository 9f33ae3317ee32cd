"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..device import Array
from ..tensor import Tensor
from .elementwise import Elementwise, checked, decayed, move_mean, scalar
from .optimizer import Update

__all__ = ["ASGD"]


def _step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    mean: Array,
    weight_decay: float,
    shrink: float,
    rate: float,
    part: float,
) -> None:
    g = decayed(xp, s, p, g, weight_decay)
    xp.multiply(p, shrink, p)
    xp.multiply(g, rate, s)
    xp.subtract(p, s, p)
    if part == 1:
        mean[...] = p
    else:
        move_mean(xp, s, mean, p, part)


class ASGD(Elementwise):
    """Averaged stochastic gradient descent: beside the parameters their mean is kept.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        lambd: the parameter shrinks by it, times the rate.
        alpha: in step n the rate is lr / (1 + lambd lr n)^alpha.
        t0: the step from which on the mean is taken.
        weight_decay: added to the gradient, times the parameter.
        foreach: without effect.
        maximize: go uphill.
        differentiable: must be False.
        capturable: without effect.

    Raises:
        ArgumentError: an option is out of range.

    `state[p]` has `"step"`, `"eta"`, the rate of the next step, `"mu"`, the part of the mean that
    the next step is, and `"ax"`, the mean.

    Reference: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    rows = ("ax",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        checked(lr, weight_decay=weight_decay, differentiable=differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        state = super()._start(group, p)
        state["eta"], state["mu"] = scalar(float(group["lr"])), scalar(1)
        return state

    def _formula(self, group: dict[str, Any]) -> Update:
        return _step

    def _numbers(
        self, group: dict[str, Any], state: dict[str, Any], count: int
    ) -> tuple[float, ...]:
        lr, decay = float(group["lr"]), group["lambd"]
        eta, mu = state["eta"]._array, state["mu"]._array
        rate, part = float(eta), float(mu)
        eta[...] = lr / (1 + decay * lr * count) ** group["alpha"]
        mu[...] = 1 / max(1, count - group["t0"])
        return group["weight_decay"], 1 - decay * rate, rate, part
