"""RAdam: Adam without large first steps."""

from __future__ import annotations

import math
from typing import Any

from ..device import Array
from .elementwise import Elementwise, checked, decay_of, decayed, move_mean, move_square
from .optimizer import Update

__all__ = ["RAdam"]


def _step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    weight_decay: float,
    shrink: float,
    beta1: float,
    beta2: float,
    eps: float,
    rate: float,
    rectified: bool,
) -> None:
    g = decayed(xp, s, p, g, weight_decay, shrink)
    move_mean(xp, s, m, g, 1 - beta1)
    move_square(xp, s, v, g, beta2, 1 - beta2)
    if rectified:
        xp.sqrt(v, s)
        xp.add(s, eps, s)
        xp.divide(m, s, s)
        xp.multiply(s, rate, s)
    else:
        xp.multiply(m, rate, s)
    xp.subtract(p, s, p)


class RAdam(Elementwise):
    """RAdam: Adam whose first steps do not divide by the root of a mean of few squares.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        betas: how much of the running means of the gradient and of its square is kept.
        eps: added to the divisor.
        weight_decay: added to the gradient, times the parameter.
        decoupled_weight_decay: shrink the parameter itself by lr weight_decay, as AdamW.
        foreach: without effect.
        maximize: go uphill.
        capturable: without effect.
        differentiable: must be False.

    Raises:
        ArgumentError: an option is out of range.

    `state[p]` has `"step"`, `"exp_avg"` and `"exp_avg_sq"`.

    Reference: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2019.
    """

    rows = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        checked(lr, eps=eps, betas=betas, weight_decay=weight_decay, differentiable=differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _formula(self, group: dict[str, Any]) -> Update:
        return _step

    def _numbers(
        self, group: dict[str, Any], state: dict[str, Any], count: int
    ) -> tuple[float, ...]:
        beta1, beta2 = group["betas"]
        rate = float(group["lr"]) / (1 - beta1**count)
        # How many squares the mean is made of, in the end and by now.
        most = 2 / (1 - beta2) - 1
        rest = 1 - beta2**count
        by_now = most - 2 * count * beta2**count / rest
        rectified = by_now > 5
        if rectified:
            share = (by_now - 4) * (by_now - 2) * most / ((most - 4) * (most - 2) * by_now)
            rate *= math.sqrt(share * rest)
        return *decay_of(group), beta1, beta2, group["eps"], rate, rectified
