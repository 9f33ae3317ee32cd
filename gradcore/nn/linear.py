"""Linear maps, and modules that only change the shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError
from ..ops.creation import empty
from ..tensor import Tensor
from . import functional as F
from .init import kaiming_uniform_, uniform_
from .module import Module
from .options import FunctionModule
from .parameter import Parameter

__all__ = ["Bilinear", "Flatten", "Identity", "Linear", "Unflatten"]


class Identity(Module):
    """The input itself.

    Args:
        args: not used.
        kwargs: not used.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """Give it back."""
        return input


class Linear(Module):
    """x Wᵀ + b.

    Args:
        in_features: the size of the input's last dimension.
        out_features: that of the result.
        bias: whether there is a b.
        device: of the parameters.
        dtype: of the parameters.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.bias: Tensor | None
        if bias:
            self.bias = Parameter(empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters again, uniformly between -1/√in_features and 1/√in_features."""
        kaiming_uniform_(self.weight, math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """Apply it to `(*, in_features)`."""
        held = self._parameters
        return F.linear(input, held["weight"], held["bias"])

    def extra_repr(self) -> str:
        """Its sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """x₁ᵀ Wₖ x₂ + bₖ for each k.

    Args:
        in1_features: the size of the first input's last dimension.
        in2_features: that of the second.
        out_features: that of the result.
        bias: whether there is a b.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: `in1_features` is not positive.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ArgumentError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        kind = {"device": device, "dtype": dtype}
        self.weight = Parameter(empty(out_features, in1_features, in2_features, **kind))
        self.bias: Tensor | None
        if bias:
            self.bias = Parameter(empty(out_features, **kind))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters again, uniformly between -1/√in1_features and 1/√in1_features."""
        bound = 1 / math.sqrt(self.in1_features)
        uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """Apply it to `(*, in1_features)` and `(*, in2_features)`."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Its sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


def _flatten(input: Tensor, start_dim: int, end_dim: int) -> Tensor:
    return input.flatten(start_dim, end_dim)


class Flatten(FunctionModule, of=_flatten):
    """Several dimensions as one.

    Args:
        start_dim: the first of them.
        end_dim: the last.
    """

    start_dim: int = 1
    end_dim: int = -1


def _unflatten(input: Tensor, dim: int, unflattened_size: Sequence[int]) -> Tensor:
    return input.unflatten(dim, unflattened_size)


class Unflatten(FunctionModule, of=_unflatten):
    """A dimension as several.

    Args:
        dim: the dimension.
        unflattened_size: their sizes; one may be -1.

    Raises:
        ArgumentTypeError: the sizes are no tuple of integers.
    """

    dim: int
    unflattened_size: Sequence[int]

    def _ready(self) -> None:
        size = self.unflattened_size
        if not isinstance(size, tuple | list):
            raise ArgumentTypeError(
                f"unflattened_size must be a tuple of ints, but found type {type(size).__name__}"
            )
        for n, value in enumerate(size):
            if not isinstance(value, int):
                raise ArgumentTypeError(
                    "unflattened_size must be tuple of ints, but found element of type "
                    f"{type(value).__name__} at pos {n}"
                )
