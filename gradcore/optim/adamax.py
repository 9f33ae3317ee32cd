"""Adamax: Adam with the largest gradient instead of the mean square."""

from __future__ import annotations

from typing import Any

from ..device import Array
from .elementwise import Elementwise, checked, decayed, move_mean
from .optimizer import Update

__all__ = ["Adamax"]


def _step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    m: Array,
    largest: Array,
    weight_decay: float,
    beta1: float,
    beta2: float,
    eps: float,
    rate: float,
) -> None:
    g = decayed(xp, s, p, g, weight_decay)
    move_mean(xp, s, m, g, 1 - beta1)
    xp.multiply(largest, beta2, largest)
    xp.absolute(g, s)
    xp.add(s, eps, s)
    xp.maximum(largest, s, out=largest)
    xp.divide(m, largest, s)
    xp.multiply(s, rate, s)
    xp.subtract(p, s, p)


class Adamax(Elementwise):
    """Adamax: steps by the running mean of the gradient over the largest gradient, which decays.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        betas: how much of the running mean and of the largest gradient is kept.
        eps: added to the absolute value of the gradient.
        weight_decay: added to the gradient, times the parameter.
        foreach: without effect.
        maximize: go uphill.
        differentiable: must be False.
        capturable: without effect.

    Raises:
        ArgumentError: an option is out of range.

    `state[p]` has `"step"`, `"exp_avg"` and `"exp_inf"`.

    Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2014.
    """

    rows = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        checked(lr, eps=eps, betas=betas, weight_decay=weight_decay, differentiable=differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _formula(self, group: dict[str, Any]) -> Update:
        return _step

    def _numbers(
        self, group: dict[str, Any], state: dict[str, Any], count: int
    ) -> tuple[float, ...]:
        beta1, beta2 = group["betas"]
        rate = float(group["lr"]) / (1 - beta1**count)
        return group["weight_decay"], beta1, beta2, group["eps"], rate
