"""Padding: more around the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..tensor import Tensor
from . import functional as F
from .convolution import sizes
from .options import FunctionModule

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


def _padding(mode: str) -> Callable[..., Tensor]:
    def function(input: Tensor, padding: tuple[int, ...]) -> Tensor:
        return F.pad(input, padding, mode)

    return function


def _constant(input: Tensor, padding: tuple[int, ...], value: float) -> Tensor:
    return F.pad(input, padding, "constant", value)


_circular, _reflect, _replicate = map(_padding, ("circular", "reflect", "replicate"))


class _Pad(FunctionModule, shown="{padding}"):
    _dims: ClassVar[int]
    padding: int | tuple[int, ...]

    def _ready(self) -> None:
        self.padding = sizes(self.padding, 2 * self._dims)


class _ConstantPad(_Pad, shown="padding={padding}, value={value}"):
    value: float


class CircularPad1d(_Pad, of=_circular):
    """As `CircularPad2d`, for `(N, C, L)`."""

    _dims = 1


class CircularPad2d(_Pad, of=_circular):
    """The input as if it went on from its other end.

    Args:
        padding: at both ends of each dimension, the last one first, or one number for all.
    """

    _dims = 2


class CircularPad3d(_Pad, of=_circular):
    """As `CircularPad2d`, for `(N, C, D, H, W)`."""

    _dims = 3


class ConstantPad1d(_ConstantPad, of=_constant):
    """As `ConstantPad2d`, for `(N, C, L)`."""

    _dims = 1


class ConstantPad2d(_ConstantPad, of=_constant):
    """The input with a constant around it.

    Args:
        padding: at both ends of each dimension, the last one first, or one number for all.
        value: the constant.
    """

    _dims = 2


class ConstantPad3d(_ConstantPad, of=_constant):
    """As `ConstantPad2d`, for `(N, C, D, H, W)`."""

    _dims = 3


class ReflectionPad1d(_Pad, of=_reflect):
    """As `ReflectionPad2d`, for `(N, C, L)`."""

    _dims = 1


class ReflectionPad2d(_Pad, of=_reflect):
    """The input with its mirror image around it, its edge not repeated.

    Args:
        padding: at both ends of each dimension, the last one first, or one number for all.
    """

    _dims = 2


class ReflectionPad3d(_Pad, of=_reflect):
    """As `ReflectionPad2d`, for `(N, C, D, H, W)`."""

    _dims = 3


class ReplicationPad1d(_Pad, of=_replicate):
    """As `ReplicationPad2d`, for `(N, C, L)`."""

    _dims = 1


class ReplicationPad2d(_Pad, of=_replicate):
    """The input with its edge repeated around it.

    Args:
        padding: at both ends of each dimension, the last one first, or one number for all.
    """

    _dims = 2


class ReplicationPad3d(_Pad, of=_replicate):
    """As `ReplicationPad2d`, for `(N, C, D, H, W)`."""

    _dims = 3


class ZeroPad1d(ConstantPad1d, shown="{padding}"):
    """As `ZeroPad2d`, for `(N, C, L)`."""

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)


class ZeroPad2d(ConstantPad2d, shown="{padding}"):
    """The input with zeros around it.

    Args:
        padding: at both ends of each dimension, the last one first, or one number for all.
    """

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)


class ZeroPad3d(ConstantPad3d, shown="{padding}"):
    """As `ZeroPad2d`, for `(N, C, D, H, W)`."""

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)
