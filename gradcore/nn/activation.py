"""Activation functions."""

from __future__ import annotations

import warnings
from typing import Any

from ..errors import ArgumentError
from ..ops.creation import empty
from ..tensor import Tensor
from . import functional as F
from .init import constant_
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


class Threshold(FunctionModule, of=F.threshold):
    """x where it is above `threshold`, elsewhere `value`.

    Args:
        threshold: the bound.
        value: what stands below it.
        inplace: write into the input.
    """

    threshold: float
    value: float
    inplace: bool = False


class ReLU(FunctionModule, of=F.relu):
    """max(x, 0) of each element.

    Args:
        inplace: write into the input.
    """

    inplace: bool = False


class RReLU(FunctionModule, of=F.rrelu):
    """x above 0, below it x times a random slope, in evaluation the middle one.

    Args:
        lower: the least slope.
        upper: the greatest.
        inplace: write into the input.
    """

    lower: float = 1.0 / 8
    upper: float = 1.0 / 3
    inplace: bool = False


class Sigmoid(FunctionModule, of=F.sigmoid):
    """1 / (1 + exp(-x)) of each element."""


class Hardsigmoid(FunctionModule, of=F.hardsigmoid, shown=""):
    """x / 6 + 1/2, between 0 and 1.

    Args:
        inplace: write into the input.
    """

    inplace: bool = False


class Tanh(FunctionModule, of=F.tanh):
    """The hyperbolic tangent of each element."""


class SiLU(FunctionModule, of=F.silu):
    """x times its sigmoid.

    Args:
        inplace: write into the input.
    """

    inplace: bool = False


class Mish(FunctionModule, of=F.mish):
    """x tanh(softplus(x)).

    Args:
        inplace: write into the input.
    """

    inplace: bool = False


class Hardswish(FunctionModule, of=F.hardswish, shown=""):
    """x times its hardsigmoid.

    Args:
        inplace: write into the input.
    """

    inplace: bool = False


class ELU(FunctionModule, of=F.elu):
    """x above 0, below it alpha (exp(x) - 1).

    Args:
        alpha: the factor.
        inplace: write into the input.
    """

    alpha: float = 1.0
    inplace: bool = False


class CELU(FunctionModule, of=F.celu):
    """x above 0, below it alpha (exp(x / alpha) - 1).

    Args:
        alpha: the factor, not 0.
        inplace: write into the input.
    """

    alpha: float = 1.0
    inplace: bool = False


class SELU(FunctionModule, of=F.selu):
    """`ELU` with the constants that keep mean 0 and variance 1.

    Args:
        inplace: write into the input.
    """

    inplace: bool = False


class GLU(FunctionModule, of=F.glu):
    """The first half along a dimension times the sigmoid of the second.

    Args:
        dim: the dimension, of even size.
    """

    dim: int = -1


class GELU(FunctionModule, of=F.gelu):
    """x times the probability that a normal number is below it.

    Args:
        approximate: `"none"`, or `"tanh"` for a formula of tanh.
    """

    approximate: str = "none"


class Hardshrink(FunctionModule, of=F.hardshrink, shown="{lambd}"):
    """x, but 0 where its absolute value is at most `lambd`.

    Args:
        lambd: the bound.
    """

    lambd: float = 0.5


class LeakyReLU(FunctionModule, of=F.leaky_relu):
    """x above 0, below it x times a slope.

    Args:
        negative_slope: the slope.
        inplace: write into the input.
    """

    negative_slope: float = 1e-2
    inplace: bool = False


class LogSigmoid(FunctionModule, of=F.logsigmoid):
    """The logarithm of the sigmoid."""


class Softplus(FunctionModule, of=F.softplus):
    """log(1 + exp(beta x)) / beta, and x where beta x is above a threshold.

    Args:
        beta: how sharp it bends.
        threshold: where it is x.
    """

    beta: float = 1.0
    threshold: float = 20.0


class Softshrink(FunctionModule, of=F.softshrink, shown="{lambd}"):
    """x moved by `lambd` towards 0, and 0 where that passes it.

    Args:
        lambd: at least 0.
    """

    lambd: float = 0.5


class Softsign(FunctionModule, of=F.softsign):
    """x / (1 + |x|)."""


class Tanhshrink(FunctionModule, of=F.tanhshrink):
    """x - tanh(x)."""


class Softmin(FunctionModule, of=F.softmin):
    """`Softmax` of -x; the argument is the same."""

    dim: int | None = None


class Softmax(FunctionModule, of=F.softmax):
    """exp(x) over its sum along a dimension.

    Args:
        dim: along which it adds up to 1.
    """

    dim: int | None = None


class LogSoftmax(FunctionModule, of=F.log_softmax):
    """The logarithm of `Softmax`; the argument is the same."""

    dim: int | None = None


class Softmax2d(Module):
    """Softmax over the channels of `(N, C, H, W)` or `(C, H, W)`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        if input.ndim not in (3, 4):
            raise ArgumentError(
                f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead"
            )
        return F.softmax(input, -3)


class Hardtanh(Module):
    """x between two bounds, and the nearer bound elsewhere.

    Args:
        min_val: the lower bound.
        max_val: the upper, above it.
        inplace: write into the input.
        min_value: use `min_val`.
        max_value: use `max_val`.
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        for old, value in (("min", min_value), ("max", max_value)):
            if value is not None:
                warnings.warn(
                    f"keyword argument `{old}_value` is deprecated and rename to `{old}_val`",
                    FutureWarning,
                    stacklevel=2,
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise ArgumentError(
                f"max_val must be larger than min_val, got {self.max_val} and {self.min_val}."
            )

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """The bounds."""
        written = ", inplace=True" if self.inplace else ""
        return f"min_val={self.min_val}, max_val={self.max_val}{written}"


class ReLU6(Hardtanh):
    """x between 0 and 6.

    Args:
        inplace: write into the input.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """Whether it is in place."""
        return "inplace=True" if self.inplace else ""


class PReLU(Module):
    """x above 0, below it x times a slope that is learnt.

    Args:
        num_parameters: 1, or the number of channels, each with its slope.
        init: the first slope.
        device: of the parameter.
        dtype: of the parameter.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Give the slopes their first value."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of slopes."""
        return f"num_parameters={self.num_parameters}"
