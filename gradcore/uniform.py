"""Cotangents that are one number everywhere.

The implicit cotangent of a loss is 1, that of what it sums is 1 everywhere, that of what it
averages 1/n. On a device such a cotangent stays a number on the host as long as only numbers are
done with it, and then is an argument of a kernel: it is neither launched for nor stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NoReturn, cast

import numpy as np

from .device import Array, TensorType
from .errors import GradcoreError
from .namespace import Namespace

__all__ = ["NotUniform", "Uniform", "uniform"]


class NotUniform(GradcoreError, TypeError):
    """A rule does what a Uniform does not: it must be given an array."""


class Uniform:
    """An array all of whose elements are `value`.

    Attributes:
        value: a NumPy scalar.
        shape: of the array.
        type: dtype and device of the array.
    """

    __slots__ = ("shape", "type", "value")

    __array_ufunc__ = None  # arrays leave `array + uniform` to __radd__

    def __init__(self, value: Any, shape: tuple[int, ...], type: TensorType) -> None:
        self.value = type.numpy.type(value)
        self.shape = shape
        self.type = type

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self.type.numpy

    def array(self) -> Array:
        """The array, as a view of one element: nobody may write to it."""
        one = self.type.constant(self.value.item())
        return self.type.xp.broadcast_to(one, self.shape) if self.shape else one

    def own(self) -> Array:
        """The array, in memory of its own."""
        make = lambda module: module.full(self.shape, self.value, self.type.numpy)
        return self.type.device.backend.on(self.type.device, make)

    def restored(self, shape: tuple[int, ...], type: TensorType) -> Uniform:
        """The adjoint of broadcasting from `shape`, in the dtype and on the device of `type`."""
        count = math.prod(self.shape) // max(1, math.prod(shape))
        # The count may be more than float16 holds; the sum of no elements is 0, not nan * 0.
        value = self.value.item() * count if count else 0.0
        if isinstance(value, complex) and not type.dtype.is_complex:
            value = value.real
        return Uniform(value, shape, type)

    def _with(self, function: Callable[[Any, Any], Any], other: Any, swapped: bool = False) -> Any:
        if isinstance(other, Uniform) and other.shape == self.shape:
            other = other.value
        elif not isinstance(other, int | float | complex):
            raise NotUniform("a Uniform meets an array.")
        a, b = (other, self.value) if swapped else (self.value, other)
        y = function(a, b)
        if y.dtype != self.type.numpy:
            raise NotUniform("a Uniform changes its dtype.")
        return Uniform(y, self.shape, self.type)

    def __mul__(self, other: Any) -> Any:
        return self._with(np.multiply, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._with(np.divide, other)

    def __neg__(self) -> Uniform:
        return Uniform(-self.value, self.shape, self.type)

    def __add__(self, other: Any) -> Any:
        """The sum of two cotangents, of which the other may be an array."""
        if isinstance(other, Uniform):
            return Uniform(self.value + other.value, self.shape, self.type)
        return self.type.xp.add(other, self.value.item())

    __radd__ = __add__

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotUniform("a Uniform does not do that.")

    __sub__ = __rsub__ = __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _refuse
    __getitem__ = __len__ = __bool__ = __float__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __eq__ = _refuse
    __hash__ = None  # type: ignore[assignment]


class _UniformNamespace:
    """The Namespace over Uniforms: what leaves them uniform."""

    def __getattr__(self, name: str) -> NoReturn:
        raise NotUniform(f"{name} needs an array.")

    @staticmethod
    def broadcast_to(g: Uniform, shape: tuple[int, ...]) -> Uniform:
        return Uniform(g.value, shape, g.type)

    reshape = broadcast_to

    @staticmethod
    def conj(g: Uniform) -> Uniform:
        return Uniform(g.value.conjugate(), g.shape, g.type)

    @staticmethod
    def zeros_like(g: Uniform) -> Uniform:
        return Uniform(0, g.shape, g.type)


uniform: Final = cast(Namespace, _UniformNamespace())
"""The Namespace for rules on a Uniform cotangent."""
