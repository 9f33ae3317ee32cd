"""The frequencies of Fourier transforms, and their order; the public place is `gradcore.fft`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .. import dtypes
from ..errors import DTypeError, ShapeError
from ..op import tensor_of
from ..samples import bad, sample
from ..tensor import Tensor, canonical_dim
from .creation import tensor
from .fourier import integer, integers, record
from .shape import roll

__all__: list[str] = []

F = TypeVar("F", bound=Callable[..., Any])


def _rolled(name: str, input: Any, dim: Any, back: int) -> Tensor:
    x = tensor_of(f"fft_{name}", input)
    dims = range(len(x._shape)) if dim is None else integers(f"fft_{name}", "dim", dim)
    dims = tuple([canonical_dim(d, len(x._shape)) for d in dims])
    return roll(x, tuple([(x._shape[d] + back) // 2 if x._shape else 0 for d in dims]), dims)


def _shift_record(name: str, face: Callable[..., Any]) -> Callable[[F], F]:
    return record(
        name,
        face,
        lambda make: [
            sample(make.real(2, 3)),
            sample(make.real(2, 5), 1),
            sample(make.real(2, 3), dim=(0, -1)),
            sample(make.real(3, 3), axis=0),
            sample(make.real(0)),
        ],
        lambda make: [
            bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
            bad(RuntimeError, "`shifts` required", make.real()),
        ],
    )


@_shift_record("fftshift", lambda x, axes=None: fftshift(x, axes))
def fftshift(input: Tensor, dim: Any = None, *, axis: Any = None) -> Tensor:
    """The frequencies in increasing order: frequency 0 moves to the place n // 2.

    Args:
        input: `(*)`, any dtype.
        dim: which dimensions; all by default.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)`, a copy.

    Raises:
        DimensionError: a dimension is out of range.
    """
    return _rolled("fftshift", input, dim if axis is None else axis, 0)


@_shift_record("ifftshift", lambda x, axes=None: ifftshift(x, axes))
def ifftshift(input: Tensor, dim: Any = None, *, axis: Any = None) -> Tensor:
    """Inverse of `fftshift`, as which see: what is at the place n // 2 moves to the start."""
    return _rolled("ifftshift", input, dim if axis is None else axis, 1)


def _frequencies(
    name: str, n: Any, d: float, dtype: Any, device: Any, requires_grad: bool, half: bool
) -> Tensor:
    n = integer(f"fft_{name}", "n", n)
    kind = None if dtype is None else dtypes.to_dtype(dtype)
    if kind is not None and not kind.is_inexact:
        raise DTypeError(f"{name} requires a floating point or complex dtype, not {kind.name}.")
    if n < 0:
        raise ShapeError(f"Trying to create tensor with negative dimension {n}: [{n}].")
    count = np.arange(n // 2 + 1 if half else n) if n else np.arange(int(half))
    if not half:
        count = np.where(count < (n + 1) // 2, count, count - n)
    with np.errstate(all="ignore"):
        host = count * np.divide(1.0, n * d)
    return tensor(
        host, dtype=kind or dtypes.get_default_dtype(), device=device, requires_grad=requires_grad
    )


def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of `fft` in its order: 0, 1, ..., then the negative ones, over n d.

    Args:
        n: how many.
        d: the distance between two samples, in the unit of the reciprocal of the result's.
        dtype: of the result; the default dtype if it is not given.
        device: where the result is to be.
        requires_grad: the result is a leaf to differentiate by.

    Raises:
        DTypeError: `dtype` is one of integers.
    """
    return _frequencies("fftfreq", n, d, dtype, device, requires_grad, False)


def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The frequencies of `rfft`: 0, 1, ..., n // 2 over n d; n is the length of the signal.

    The arguments are those of `fftfreq`.
    """
    return _frequencies("rfftfreq", n, d, dtype, device, requires_grad, True)
