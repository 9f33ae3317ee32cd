"""Activation functions as modules."""

from __future__ import annotations

from typing import Any

from ..ops.creation import full
from ..tensor import Tensor
from . import functional as F
from .module import Module
from .options import FunctionModule
from .parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class ReLU(FunctionModule, of=F.relu):
    """max(x, 0) of each element."""

    inplace: bool = False


class ReLU6(FunctionModule, of=F.relu6):
    """min(max(x, 0), 6) of each element."""

    inplace: bool = False


class LeakyReLU(FunctionModule, of=F.leaky_relu):
    """x, or `negative_slope` x where x is negative."""

    negative_slope: float = 0.01
    inplace: bool = False


class RReLU(FunctionModule, of=F.rrelu, training=True):
    """As LeakyReLU, with a slope drawn from [lower, upper] in training."""

    lower: float = 1 / 8
    upper: float = 1 / 3
    inplace: bool = False


class ELU(FunctionModule, of=F.elu):
    """x, or alpha (exp(x) - 1) where x is negative."""

    alpha: float = 1.0
    inplace: bool = False


class CELU(FunctionModule, of=F.celu):
    """x, or alpha (exp(x / alpha) - 1) where x is negative."""

    alpha: float = 1.0
    inplace: bool = False


class SELU(FunctionModule, of=F.selu):
    """ELU scaled so that mean and variance of its outputs tend to 0 and 1."""

    inplace: bool = False


class GELU(FunctionModule, of=F.gelu):
    """x times the normal distribution function of x; `approximate` is "none" or "tanh"."""

    approximate: str = "none"


class SiLU(FunctionModule, of=F.silu):
    """x sigmoid(x) of each element."""

    inplace: bool = False


class Mish(FunctionModule, of=F.mish):
    """x tanh(softplus(x)) of each element."""

    inplace: bool = False


class Softplus(FunctionModule, of=F.softplus):
    """log(1 + exp(beta x)) / beta; x itself where beta x is above `threshold`."""

    beta: float = 1.0
    threshold: float = 20.0


class Hardtanh(FunctionModule, of=F.hardtanh):
    """Each element, not below `min_val` and not above `max_val`."""

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False


class Hardsigmoid(FunctionModule, of=F.hardsigmoid):
    """x / 6 + 1/2, not below 0 and not above 1."""

    inplace: bool = False


class Hardswish(FunctionModule, of=F.hardswish):
    """x hardsigmoid(x) of each element."""

    inplace: bool = False


class Threshold(FunctionModule, of=F.threshold):
    """x where it is above `threshold`, else `value`."""

    threshold: float
    value: float
    inplace: bool = False


class Hardshrink(FunctionModule, of=F.hardshrink):
    """x, or 0 where |x| is at most `lambd`."""

    lambd: float = 0.5

    def extra_repr(self) -> str:
        """The width."""
        return str(self.lambd)


class Softshrink(FunctionModule, of=F.softshrink):
    """x moved towards 0 by `lambd`."""

    lambd: float = 0.5

    def extra_repr(self) -> str:
        """The width."""
        return str(self.lambd)


class Sigmoid(FunctionModule, of=F.sigmoid):
    """1 / (1 + exp(-x)) of each element."""


class Tanh(FunctionModule, of=F.tanh):
    """Hyperbolic tangent of each element."""


class LogSigmoid(FunctionModule, of=F.logsigmoid):
    """log(sigmoid(x)) of each element."""


class Softsign(FunctionModule, of=F.softsign):
    """x / (1 + |x|) of each element."""


class Tanhshrink(FunctionModule, of=F.tanhshrink):
    """x - tanh(x) of each element."""


class GLU(FunctionModule, of=F.glu):
    """The first half along a dimension, times the sigmoid of the second."""

    dim: int = -1


class Softmax(FunctionModule, of=F.softmax):
    """exp(x) over its sum along a dimension."""

    dim: Any = None


class Softmin(FunctionModule, of=F.softmin):
    """exp(-x) over its sum along a dimension."""

    dim: Any = None


class LogSoftmax(FunctionModule, of=F.log_softmax):
    """Logarithm of the softmax along a dimension."""

    dim: Any = None


class Softmax2d(Module):
    """Softmax over the channels of `(n, c, h, w)` or `(c, h, w)`."""

    def forward(self, input: Tensor) -> Tensor:
        """The softmax over dimension -3."""
        return F.softmax(input, -3)


class PReLU(Module):
    """As LeakyReLU, with slopes that are learnt.

    Args:
        num_parameters: 1, or the number of channels.
        init: the slopes at first.
        device: where the parameters are.
        dtype: of the parameters.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), init, device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        """x, or the slope times x where x is negative."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of slopes."""
        return f"num_parameters={self.num_parameters}"
