"""Questions about Tensors and dtypes whose answers are no Tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentTypeError
from ..op import common_dtype, operand, tensor_of
from ..tensor import Tensor

__all__ = ["finfo", "iinfo", "is_complex", "is_floating_point", "is_tensor", "numel", "result_type"]


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype of `input` is float16, float32 or float64."""
    return tensor_of("is_floating_point", input).is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the dtype of `input` is complex64 or complex128."""
    return tensor_of("is_complex", input).is_complex()


def numel(input: Tensor) -> int:
    """How many elements `input` has."""
    return tensor_of("numel", input).numel()


def result_type(
    tensor: Any = None,
    other: Any = None,
    *,
    scalar: Any = None,
    scalar1: Any = None,
    scalar2: Any = None,
) -> dtypes.dtype:
    """The dtype of an operation on two operands: Tensors, arrays or Python numbers.

    Args:
        tensor: an operand.
        other: the other one.
        scalar: PyTorch's name for a number beside `tensor`.
        scalar1: its name for the first of two numbers.
        scalar2: that for the second.

    Raises:
        ArgumentTypeError: there are not two operands.
    """
    given = [v for v in (scalar, scalar1, tensor, other, scalar2) if v is not None]
    if len(given) != 2:
        raise ArgumentTypeError(f"result_type() takes two operands, and {len(given)} were given.")
    return common_dtype([operand("result_type", v, at) for at, v in enumerate(given)])


class finfo:
    """The limits of a floating-point dtype (of a complex one, those of its parts).

    Args:
        type: the dtype; default: the default dtype.

    Attributes:
        dtype: its name.
        bits: of one number.
        eps: the distance from 1 to the next number.
        max: the largest number.
        min: the smallest number, negative.
        tiny: the smallest positive number with full precision; also `smallest_normal`.
        resolution: ten to the number of exact decimal digits, negated.

    Raises:
        ArgumentTypeError: it is no floating-point dtype.
    """

    def __init__(self, type: Any = None) -> None:
        dtype = dtypes.get_default_dtype() if type is None else dtypes.to_dtype(type)
        if not dtype.is_inexact:
            raise ArgumentTypeError(f"finfo() requires a floating point input type, not {dtype}.")
        limits = np.finfo(dtype.dtype)
        self.dtype = dtype.to_real().name
        self.bits = int(limits.bits)
        self.eps, self.max, self.min = float(limits.eps), float(limits.max), float(limits.min)
        self.tiny = self.smallest_normal = float(limits.tiny)
        self.resolution = 10.0**-limits.precision

    def __repr__(self) -> str:
        fields = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        shown = ", ".join(f"{name}={getattr(self, name):g}" for name in fields)
        return f"finfo({shown}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype.

    Args:
        type: the dtype.

    Attributes:
        dtype: its name.
        bits: of one number.
        max: the largest number.
        min: the smallest number.

    Raises:
        ArgumentTypeError: it is no integer dtype.
    """

    def __init__(self, type: Any) -> None:
        dtype = dtypes.to_dtype(type)
        if dtype.is_inexact or dtype is dtypes.bool_:
            raise ArgumentTypeError(f"iinfo() requires an integer input type, not {dtype}.")
        limits = np.iinfo(dtype.dtype)
        self.dtype = dtype.name
        self.bits, self.max, self.min = int(limits.bits), int(limits.max), int(limits.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
