"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ..device import Array, TensorType
from ..errors import ArgumentError
from ..tensor import Tensor, wrap
from .optimizer import Optimizer, check_at_least, check_not_differentiable, zeros_like

__all__ = ["Adam", "AdamW"]

_STATE: Final = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


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
    `"step"` is on the CPU, the others are on the device of the parameter and have its dtype.

    On CUDA one launch steps all parameters of a group that share a dtype; float16 is calculated
    in float32 and rounded as it is stored. On the CPU float16 is rounded in each operation.

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

    def _start(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        names = _STATE[: 2 + bool(group["amsgrad"])]
        # All or nothing: where memory does not suffice the next step starts again.
        state = {"step": wrap(np.zeros((), np.float32))} | {name: zeros_like(p) for name in names}
        self.state[p].update(state)
        return self.state[p]

    def _update(self, group: dict[str, Any], p: Tensor, grad: Tensor) -> None:
        state = self.state[p] or self._start(group, p)
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
        options = (
            float(group["lr"]),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            int(steps),
        )
        type = p._type
        if type.dtype.is_complex:
            # As PyTorch does: real and imaginary part are two parameters.
            type = TensorType(type.device, type.dtype.to_real())
            self._apply(step, type, tuple([a.real for a in arrays]), *options)
            self._apply(step, type, tuple([a.imag for a in arrays]), *options)
        else:
            self._apply(step, type, arrays, *options)

    def _update_together(
        self, group: dict[str, Any], type: TensorType, parameters: list[Tensor], kernels: Any
    ) -> bool:
        update = kernels.ADAM_AMSGRAD if group["amsgrad"] else kernels.ADAM
        names = _STATE[: 2 + bool(group["amsgrad"])]
        rows: list[tuple[Array, ...]] = []
        counters = []
        by_count: dict[int, dict[int, Array]] = {}
        for p in parameters:
            state = self.state.get(p)
            grad = p._grad
            if grad is not None:
                if not state:
                    state = self._start(group, p)
                counter = state["step"]._array
                count = int(counter) + 1
                counters.append((counter, count))
                by_count.setdefault(count, {})[len(rows)] = grad._array
            if state:
                rows.append((p._array, *[state[name]._array for name in names]))
        step = self._steps_of(update, group, type, kernels)
        for count, gradients in by_count.items():
            step(rows, gradients, _numbers(group, count))
        for counter, count in counters:
            counter.fill(count)
        return True


def _numbers(group: dict[str, Any], count: int) -> tuple[float, ...]:
    """The options of the kernels for Adam, in their order, in step number `count`."""
    lr, weight_decay = float(group["lr"]), group["weight_decay"]
    beta1, beta2 = group["betas"]
    decoupled = group["decoupled_weight_decay"]
    return (
        -1.0 if group["maximize"] else 1.0,
        1 - lr * weight_decay if decoupled else 1.0,
        0.0 if decoupled else weight_decay,
        1 - beta1,
        beta2,
        1 - beta2,
        math.sqrt(1 - beta2**count),
        group["eps"],
        lr / (1 - beta1**count),
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
