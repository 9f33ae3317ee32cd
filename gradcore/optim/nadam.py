"""NAdam: Adam with Nesterov's momentum."""

from __future__ import annotations

import math
from typing import Any

from ..device import Array
from ..tensor import Tensor
from .elementwise import Elementwise, checked, decay_of, decayed, move_mean, move_square, scalar
from .optimizer import Update

__all__ = ["NAdam"]


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
    root: float,
    eps: float,
    rate: float,
    ahead: float,
) -> None:
    g = decayed(xp, s, p, g, weight_decay, shrink)
    move_mean(xp, s, m, g, 1 - beta1)
    move_square(xp, s, v, g, beta2, 1 - beta2)
    divisor = xp.zeros_like(v)
    xp.sqrt(v, divisor)
    xp.divide(divisor, root, divisor)
    xp.add(divisor, eps, divisor)
    for part, by in ((g, rate), (m, ahead)):
        xp.multiply(part, by, s)
        xp.divide(s, divisor, s)
        xp.subtract(p, s, p)


class NAdam(Elementwise):
    """NAdam: Adam that steps by the mean of the gradient as it will be in the next step.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        betas: how much of the running means of the gradient and of its square is kept.
        eps: added to the divisor.
        weight_decay: added to the gradient, times the parameter.
        momentum_decay: by how much the momentum decays.
        decoupled_weight_decay: shrink the parameter itself by lr weight_decay, as AdamW.
        foreach: without effect.
        maximize: go uphill.
        capturable: without effect.
        differentiable: must be False.

    Raises:
        ArgumentError: an option is out of range.

    `state[p]` has `"step"`, `"mu_product"`, `"exp_avg"` and `"exp_avg_sq"`.

    Reference: Dozat, "Incorporating Nesterov Momentum into Adam", 2016.
    """

    rows = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        checked(
            lr,
            eps=eps,
            betas=betas,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            differentiable=differentiable,
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        state = super()._start(group, p)
        state["mu_product"] = scalar(1)
        return state

    def _formula(self, group: dict[str, Any]) -> Update:
        return _step

    def _numbers(
        self, group: dict[str, Any], state: dict[str, Any], count: int
    ) -> tuple[float, ...]:
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        decay = group["momentum_decay"]
        now, then = (beta1 * (1 - 0.5 * 0.96 ** (n * decay)) for n in (count, count + 1))
        product = state["mu_product"]._array
        product *= now
        kept = float(product)
        return (
            *decay_of(group),
            beta1,
            beta2,
            math.sqrt(1 - beta2**count),
            group["eps"],
            lr * (1 - now) / (1 - kept),
            lr * then / (1 - kept * then),
        )
