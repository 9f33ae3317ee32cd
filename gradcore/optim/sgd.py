"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..device import Array, TensorType
from ..errors import ArgumentError
from ..tensor import Tensor, wrap
from .optimizer import BLOCK, Optimizer, check_at_least, check_not_differentiable, zeros_like

__all__ = ["SGD"]


def _descend(xp: Any, s: Array, p: Array, g: Array, lr: float) -> None:
    xp.multiply(g, lr, s)
    xp.subtract(p, s, p)


def _step(xp: Any, s: Array, p: Array, g: Array, lr: float, weight_decay: float) -> None:
    # p - lr (g + weight_decay p)
    xp.multiply(p, weight_decay, s)
    xp.add(g, s, s)
    xp.multiply(s, lr, s)
    xp.subtract(p, s, p)


def _momentum_step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    m: Array,
    lr: float,
    weight_decay: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    first: bool,
) -> None:
    if weight_decay:
        xp.multiply(p, weight_decay, s)
        xp.add(g, s, s)
        g = s
    if first:
        m[...] = g
    else:
        xp.multiply(m, momentum, m)
        if dampening:
            # m + g - dampening g would round differently.
            xp.multiply(g, 1 - dampening, s)
            xp.add(m, s, m)
        else:
            xp.add(m, g, m)
    if nesterov:
        # lr (g + momentum m) in two steps: there is one scratch array.
        xp.multiply(g, lr, s)
        xp.subtract(p, s, p)
        xp.multiply(m, lr * momentum, s)
    else:
        xp.multiply(m, lr, s)
    xp.subtract(p, s, p)


class SGD(Optimizer):
    """Stochastic gradient descent: p - lr m, where m is g, or momentum m + (1 - dampening) g.

    Args:
        params: the Tensors to change, or groups of them.
        lr: the learning rate.
        momentum: how much of the previous step is kept.
        dampening: how much less of the gradient is added to it; not in the first step.
        weight_decay: added to the gradient, times the parameter.
        nesterov: step by g + momentum m instead of m.
        maximize: go uphill.
        foreach: without effect.
        differentiable: must be False.
        fused: without effect.

    Raises:
        ArgumentError: a rate is negative; nesterov without momentum, or with dampening.

    `state[p]["momentum_buffer"]` is m. On CUDA one launch steps all parameters of a group that
    share a dtype; float16 is calculated in float32 and rounded as it is stored.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least("learning rate", lr)
        check_at_least("momentum value", momentum)
        check_at_least("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError("Nesterov momentum requires a momentum and zero dampening.")
        check_not_differentiable(differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _update(self, group: dict[str, Any], p: Tensor, grad: Tensor) -> None:
        lr = group["lr"]
        weight_decay = group["weight_decay"]
        momentum = group["momentum"]
        if lr.__class__ is not float:
            lr = float(lr)
        g = grad._array
        if momentum:
            self._with_momentum(group, p, -g if group["maximize"] else g, lr)
            return
        if group["maximize"]:
            # p + lr (g - weight_decay p): uphill by g, and still towards 0.
            lr, weight_decay = -lr, -weight_decay
        if weight_decay:
            self._apply(_step, p._type, (p._array, g), lr, weight_decay)
            return
        a = p._array
        if a.size <= BLOCK:
            xp = p._type.xp
            s = self._scratch.like(p._type, p._shape, a.size)
            xp.multiply(g, lr, s)
            xp.subtract(a, s, a)
        else:
            self._apply(_descend, p._type, (a, g), lr)

    def _update_together(
        self, group: dict[str, Any], type: TensorType, parameters: list[Tensor], kernels: Any
    ) -> bool:
        sign = -1.0 if group["maximize"] else 1.0
        lr, weight_decay, momentum = float(group["lr"]), group["weight_decay"], group["momentum"]
        rows: list[tuple[Array, ...]] = []
        if not momentum:
            gradients = {}
            for number, p in enumerate(parameters):
                rows.append((p._array,))
                if p._grad is not None:
                    gradients[number] = p._grad._array
            step = self._steps_of(kernels.SGD, group, type, kernels)
            step(rows, gradients, (sign, weight_decay, lr))
            return True
        new: dict[Tensor, Tensor] = {}
        by_first: dict[bool, dict[int, Array]] = {}
        for p in parameters:
            grad = p._grad
            state = self.state.get(p)
            buffer = state.get("momentum_buffer") if state else None
            if grad is not None:
                first = buffer is None
                by_first.setdefault(first, {})[len(rows)] = grad._array
                if buffer is None:
                    buffer = new[p] = zeros_like(p)
            if buffer is not None:
                rows.append((p._array, buffer._array))
        step = self._steps_of(kernels.SGD_MOMENTUM, group, type, kernels)
        ahead = lr * momentum if group["nesterov"] else 0.0
        for first, gradients in by_first.items():
            numbers = (sign, weight_decay, lr, momentum, 1 - group["dampening"], first, ahead)
            step(rows, gradients, numbers)
        for p, buffer in new.items():
            self.state[p]["momentum_buffer"] = buffer
        return True

    def _with_momentum(self, group: dict[str, Any], p: Tensor, g: Array, lr: float) -> None:
        state = self.state[p]
        buffer = state.get("momentum_buffer")
        first = buffer is None
        if buffer is None:
            buffer = wrap(p._type.device.backend.module.empty(p._shape, p._type.numpy))
            state["momentum_buffer"] = buffer
        self._apply(
            _momentum_step,
            p._type,
            (p._array, g, buffer._array),
            lr,
            group["weight_decay"],
            group["momentum"],
            group["dampening"],
            group["nesterov"],
            first,
        )
