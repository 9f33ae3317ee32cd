"""RMSprop."""

from __future__ import annotations

from typing import Any

from ..device import Array
from .elementwise import Elementwise, checked, decayed, move_mean, move_square
from .optimizer import Update

__all__ = ["RMSprop"]


def _step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    v: Array,
    m: Array | None,
    mean: Array | None,
    weight_decay: float,
    alpha: float,
    eps: float,
    momentum: float,
    lr: float,
) -> None:
    g = decayed(xp, s, p, g, weight_decay)
    move_square(xp, s, v, g, alpha, 1 - alpha)
    if mean is not None:
        move_mean(xp, s, mean, g, 1 - alpha)
        xp.multiply(mean, mean, s)
        xp.subtract(v, s, s)
        xp.sqrt(s, s)
    else:
        xp.sqrt(v, s)
    xp.add(s, eps, s)
    xp.divide(g, s, s)
    if m is not None:
        xp.multiply(m, momentum, m)
        xp.add(m, s, m)
        xp.multiply(m, lr, s)
    else:
        xp.multiply(s, lr, s)
    xp.subtract(p, s, p)


def _plain(xp: Any, s: Array, p: Array, g: Array, v: Array, *numbers: Any) -> None:
    _step(xp, s, p, g, v, None, None, *numbers)


def _with_momentum(xp: Any, s: Array, p: Array, g: Array, v: Array, m: Array, *more: Any) -> None:
    _step(xp, s, p, g, v, m, None, *more)


def _centered(xp: Any, s: Array, p: Array, g: Array, v: Array, mean: Array, *more: Any) -> None:
    _step(xp, s, p, g, v, None, mean, *more)


_FORMULAS = {
    (False, False): _plain,
    (True, False): _with_momentum,
    (False, True): _centered,
    (True, True): _step,
}
"""By whether there is momentum, and whether the mean is subtracted."""


class RMSprop(Elementwise):
    """RMSprop: steps by the gradient over the root of the running mean of its square.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        alpha: how much of the running mean is kept.
        eps: added to the divisor.
        weight_decay: added to the gradient, times the parameter.
        momentum: how much of the previous step is kept.
        centered: divide by the root of the variance, not of the mean square.
        capturable: without effect.
        foreach: without effect.
        maximize: go uphill.
        differentiable: must be False.

    Raises:
        ArgumentError: an option is out of range.

    `state[p]` has `"step"`, `"square_avg"`, with momentum `"momentum_buffer"`, and with `centered`
    `"grad_avg"`.

    Reference: Hinton, "Neural Networks for Machine Learning", lecture 6, 2012.
    """

    rows = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        checked(
            lr,
            eps=eps,
            momentum=momentum,
            weight_decay=weight_decay,
            alpha=alpha,
            differentiable=differentiable,
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _rows(self, group: dict[str, Any]) -> tuple[str, ...]:
        wanted = True, group["momentum"] > 0, group["centered"]
        return tuple([name for name, want in zip(self.rows, wanted, strict=True) if want])

    def _formula(self, group: dict[str, Any]) -> Update:
        return _FORMULAS[group["momentum"] > 0, bool(group["centered"])]

    def _numbers(
        self, group: dict[str, Any], state: dict[str, Any], count: int
    ) -> tuple[float, ...]:
        return (
            group["weight_decay"],
            group["alpha"],
            group["eps"],
            group["momentum"],
            float(group["lr"]),
        )
