"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import Array
from ..errors import ArgumentError
from ..tensor import Tensor, wrap
from .optimizer import Optimizer, check_at_least, check_not_differentiable

__all__ = ["Adam", "AdamW"]


def _step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    largest: Array | None,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    count: int,
) -> None:
    if weight_decay:
        if decoupled:
            xp.multiply(p, 1 - lr * weight_decay, p)
        else:
            xp.multiply(p, weight_decay, s)
            g = xp.add(g, s)
    # m + (1 - beta1) (g - m), as PyTorch's lerp: it stays g where m is g.
    xp.subtract(g, m, s)
    xp.multiply(s, 1 - beta1, s)
    xp.add(m, s, m)
    xp.multiply(v, beta2, v)
    xp.multiply(g, g, s)
    xp.multiply(s, 1 - beta2, s)
    xp.add(v, s, v)
    if largest is not None:
        v = xp.maximum(largest, v, out=largest)
    xp.sqrt(v, s)
    xp.divide(s, math.sqrt(1 - beta2**count), s)
    xp.add(s, eps, s)
    xp.divide(m, s, s)
    xp.multiply(s, lr / (1 - beta1**count), s)
    xp.subtract(p, s, p)


def _step_amsgrad(
    xp: Any, s: Array, p: Array, g: Array, m: Array, v: Array, largest: Array, *options: Any
) -> None:
    _step(xp, s, p, g, m, v, largest, *options)


def _step_plain(xp: Any, s: Array, p: Array, g: Array, m: Array, v: Array, *options: Any) -> None:
    _step(xp, s, p, g, m, v, None, *options)


class Adam(Optimizer):
    """Adam: steps by running means of the gradient over the root of those of its square.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        betas: how much of the running means of the gradient and of its square is kept.
        eps: added to the divisor.
        weight_decay: added to the gradient, times the parameter; see `decoupled_weight_decay`.
        amsgrad: divide by the root of the largest mean so far.
        foreach: without effect.
        maximize: go uphill.
        capturable: without effect.
        differentiable: must be False.
        fused: without effect.
        decoupled_weight_decay: shrink the parameter itself by lr weight_decay, as AdamW.

    Raises:
        ArgumentError: an option is out of range.

    `state[p]` has `"step"`, `"exp_avg"`, `"exp_avg_sq"` and, with amsgrad, `"max_exp_avg_sq"`.

    Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2014; Reddi et al.,
    "On the Convergence of Adam and Beyond", 2018.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_at_least("learning rate", lr)
        check_at_least("epsilon value", eps)
        for number, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ArgumentError(f"Invalid beta parameter at index {number}: {beta}")
        check_at_least("weight_decay value", weight_decay)
        check_not_differentiable(differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _update(self, group: dict[str, Any], p: Tensor, grad: Tensor) -> None:
        state = self.state[p]
        if not state:
            zeros = p._type.device.backend.module.zeros
            state["step"] = wrap(np.zeros((), np.float32))
            state["exp_avg"] = wrap(zeros(p._shape, p._type.numpy))
            state["exp_avg_sq"] = wrap(zeros(p._shape, p._type.numpy))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = wrap(zeros(p._shape, p._type.numpy))
        steps = state["step"]._array
        steps += 1
        beta1, beta2 = group["betas"]
        g = -grad._array if group["maximize"] else grad._array
        arrays: tuple[Array, ...] = (
            p._array,
            g,
            state["exp_avg"]._array,
            state["exp_avg_sq"]._array,
        )
        step = _step_plain
        if group["amsgrad"]:
            arrays = (*arrays, state["max_exp_avg_sq"]._array)
            step = _step_amsgrad
        self._apply(
            step,
            p,
            arrays,
            float(group["lr"]),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            int(steps),
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: the parameter itself shrinks by lr weight_decay.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        betas: how much of the running means of the gradient and of its square is kept.
        eps: added to the divisor.
        weight_decay: the rate of decay.
        amsgrad: divide by the root of the largest mean so far.
        maximize: go uphill.
        foreach: without effect.
        capturable: without effect.
        differentiable: must be False.
        fused: without effect.

    Raises:
        ArgumentError: an option is out of range.

    Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2017.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
