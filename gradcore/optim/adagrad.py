"""Adagrad."""

from __future__ import annotations

from typing import Any

from ..device import Array
from ..tensor import Tensor
from .elementwise import Elementwise, checked, decayed, filled_like, scalar
from .optimizer import Update

__all__ = ["Adagrad"]


def _step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    total: Array,
    weight_decay: float,
    eps: float,
    lr: float,
) -> None:
    g = decayed(xp, s, p, g, weight_decay)
    xp.multiply(g, g, s)
    xp.add(total, s, total)
    xp.sqrt(total, s)
    xp.add(s, eps, s)
    xp.divide(g, s, s)
    xp.multiply(s, lr, s)
    xp.subtract(p, s, p)


class Adagrad(Elementwise):
    """Adagrad: steps by the gradient over the root of the sum of its squares so far.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        lr_decay: in step n the rate is lr / (1 + (n - 1) lr_decay).
        weight_decay: added to the gradient, times the parameter.
        initial_accumulator_value: where the sum starts.
        eps: added to the divisor.
        foreach: without effect.
        maximize: go uphill.
        differentiable: must be False.
        fused: without effect.

    Raises:
        ArgumentError: an option is out of range.

    `state[p]` has `"step"` and `"sum"` from the start.

    Reference: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization", 2011.
    """

    rows = ("sum",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        checked(
            lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            differentiable=differentiable,
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:
            for p in group["params"]:
                self._start(group, p)

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        total = filled_like(p, group["initial_accumulator_value"])
        self.state[p].update(step=scalar(0), sum=total)
        return self.state[p]

    def _formula(self, group: dict[str, Any]) -> Update:
        return _step

    def _numbers(
        self, group: dict[str, Any], state: dict[str, Any], count: int
    ) -> tuple[float, ...]:
        rate = float(group["lr"]) / (1 + (count - 1) * group["lr_decay"])
        return group["weight_decay"], group["eps"], rate
