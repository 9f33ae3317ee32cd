"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

import math
from typing import Any

from ..device import Array, TensorType
from ..tensor import Tensor
from .elementwise import Elementwise, checked, decay_of, decayed, move_mean, move_square
from .optimizer import Update

__all__ = ["Adam", "AdamW"]


def _step(
    xp: Any,
    s: Array,
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    largest: Array | None,
    weight_decay: float,
    shrink: float,
    beta1: float,
    beta2: float,
    root: float,
    eps: float,
    rate: float,
) -> None:
    g = decayed(xp, s, p, g, weight_decay, shrink)
    move_mean(xp, s, m, g, 1 - beta1)
    move_square(xp, s, v, g, beta2, 1 - beta2)
    if largest is not None:
        v = xp.maximum(largest, v, out=largest)
    xp.sqrt(v, s)
    xp.divide(s, root, s)
    xp.add(s, eps, s)
    xp.divide(m, s, s)
    xp.multiply(s, rate, s)
    xp.subtract(p, s, p)


def _step_plain(xp: Any, s: Array, p: Array, g: Array, m: Array, v: Array, *numbers: Any) -> None:
    _step(xp, s, p, g, m, v, None, *numbers)


class Adam(Elementwise):
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

    rows = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

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
        checked(lr, eps=eps, weight_decay=weight_decay, betas=betas, differentiable=differentiable)
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

    def _rows(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self.rows[: 2 + bool(group["amsgrad"])]

    def _formula(self, group: dict[str, Any]) -> Update:
        return _step if group["amsgrad"] else _step_plain

    def _numbers(
        self, group: dict[str, Any], state: dict[str, Any], count: int
    ) -> tuple[float, ...]:
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        root = math.sqrt(1 - beta2**count)
        return (*decay_of(group), beta1, beta2, root, group["eps"], lr / (1 - beta1**count))

    def _update_together(
        self, group: dict[str, Any], type: TensorType, parameters: list[Tensor], kernels: Any
    ) -> bool:
        update = kernels.ADAM_AMSGRAD if group["amsgrad"] else kernels.ADAM
        names = self._rows(group)
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
            step(rows, gradients, _kernel_numbers(group, count))
        for counter, count in counters:
            counter.fill(count)
        return True


def _kernel_numbers(group: dict[str, Any], count: int) -> tuple[float, ...]:
    """The options of the kernels for Adam, in their order, in step number `count`."""
    beta1, beta2 = group["betas"]
    weight_decay, shrink = decay_of(group)
    return (
        -1.0 if group["maximize"] else 1.0,
        shrink,
        weight_decay,
        1 - beta1,
        beta2,
        1 - beta2,
        math.sqrt(1 - beta2**count),
        group["eps"],
        float(group["lr"]) / (1 - beta1**count),
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
