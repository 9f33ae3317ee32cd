"""What the operations of linear algebra share: their arguments, and formulas of their rules."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..batching.readings import leading
from ..device import Array
from ..errors import DeviceError, DTypeError, LinAlgError, ShapeError
from ..op import primitive, tensor_of
from ..samples import Maker
from ..tensor import Tensor

__all__: list[str] = []

COMPLEX: Final = frozenset({np.dtype(np.complex64), np.dtype(np.complex128)})


# arguments -------------------------------------------------------------------------------------


def matrices(name: str, A: Any, argument: str = "A") -> Tensor:
    """`A`, if it is a batch of matrices for LAPACK.

    Raises:
        ShapeError: it has less than two dimensions.
        DTypeError: it is not float32, float64 or complex.
    """
    x = tensor_of(name, A)
    if len(x._shape) < 2:
        raise ShapeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    if not x._type.recordable:
        raise DTypeError(
            f"{name}: Expected a floating point or complex tensor as input. "
            f"Got {x._type.dtype.label}"
        )
    if x._type.dtype is dtypes.float16:
        raise DTypeError(
            f"{name}: Low precision dtypes not supported. Got Half: cast to float32 first."
        )
    return x


def square(name: str, A: Any) -> Tensor:
    """As `matrices`, and they are square.

    Raises:
        ShapeError: they are not.
    """
    x = tensor_of(name, A)
    if len(x._shape) >= 2 and x._shape[-1] != x._shape[-2]:
        raise ShapeError(
            f"{name}: A must be batches of square matrices, "
            f"but they are {x._shape[-2]} by {x._shape[-1]} matrices"
        )
    return matrices(name, x)


def alike(name: str, a: Tensor, b: Tensor, words: str = "A and B") -> None:
    """Check that two Tensors have one dtype and are on one device.

    Raises:
        DTypeError: the dtypes differ.
        DeviceError: the devices differ.
    """
    if a._type is b._type:
        return
    if a._type.device.base is not b._type.device.base:
        raise DeviceError(
            f"{name}: Expected all tensors to be on the same device, but found at least two "
            f"devices, {a.device} and {b.device}!"
        )
    if a._type.dtype is not b._type.dtype:
        first, _, second = words.partition(" and ")
        raise DTypeError(
            f"{name}: Expected {words} to have the same dtype, but found {first} of type "
            f"{a._type.dtype.label} and {second} of type {b._type.dtype.label} instead."
        )


def fit(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """Check that the dimensions before two batches of matrices broadcast.

    Raises:
        ShapeError: they do not.
    """
    for back in range(1, min(len(a), len(b)) + 1):
        if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
            raise ShapeError(
                f"{name}: The size of tensor a ({a[-back]}) must match the size of tensor b "
                f"({b[-back]}) at non-singleton dimension {max(len(a), len(b)) - back}: "
                f"batches of shapes {a} and {b} do not broadcast."
            )


def inexact(x: Any) -> Tensor:
    """`x` as NumPy's functions of linear algebra take it: whole numbers become floats."""
    t = tensor_of("linalg", x)
    return t if t._type.recordable else t.to(dtypes.get_default_dtype())


# SciPy -----------------------------------------------------------------------------------------


@functools.cache
def _modules() -> tuple[Any, ...]:
    try:
        from scipy.linalg import blas, lapack
    except ImportError:
        return ()
    return blas, lapack


def scipy_routine(name: str, dtype: Any, m: int, n: int | None = None) -> Any:
    """A routine of BLAS or LAPACK for matrices of m by n; None where NumPy must, or will do."""
    if m * (m if n is None else n) < _LARGE**2:
        return None
    letter = {"f": "s", "d": "d", "F": "c", "D": "z"}[dtype.char]
    return next((f for m in _modules() if (f := getattr(m, letter + name, None))), None)


_LARGE: Final = 32
"""The size of a square matrix from which a call of SciPy per matrix takes less time than columns of
all matrices at once."""


def of_each(run: Callable[[Array], tuple[Array, ...]], x: Array) -> tuple[Array, ...]:
    """What `run` returns of each of the matrices, of which there are some."""
    batch = x.shape[:-2]
    if not batch:
        return run(x)
    parts = zip(*[run(x[place]) for place in np.ndindex(*batch)], strict=True)
    return tuple([np.stack(part).reshape(*batch, *part[0].shape) for part in parts])


# what went wrong -------------------------------------------------------------------------------


def _failed(xp: Any, info: Array, name: str, words: str) -> Array:
    if bool((info != 0).any()):
        host = np.asarray(info if xp.module is np else info.get()).reshape(-1)
        which = int(np.argmax(host != 0))
        where = f"(Batch element {which}): " if info.ndim else ""
        raise LinAlgError(f"{name}: {where}" + words.replace("{}", str(int(host[which]))))
    return info


succeeded = primitive("succeeded", _failed, None, batching=leading)
"""`succeeded(info, name, words)`: `info`, whose numbers must be 0, else LinAlgError is raised.

The number of the first matrix that failed stands in `words` for `{}`. On a CUDA device the host
waits for the numbers."""


# rules -----------------------------------------------------------------------------------------


def adjoint(xp: Any, x: Any) -> Any:
    """The conjugate transposes of matrices: a view of real ones."""
    x = xp.matrix_transpose(x)
    return xp.conj(x) if x.dtype in COMPLEX else x


def triangle(xp: Any, x: Any, upper: bool, unit: bool) -> Any:
    """The triangle of matrices, without its diagonal if that is of ones."""
    return xp.triu(x, int(unit)) if upper else xp.tril(x, -int(unit))


def identity(xp: Any, n: int, like: Any) -> Any:
    """The identity matrix of the dtype and on the device of `like`."""
    ones = xp.zeros((n, n), like) + 1
    return xp.tril(ones) - xp.tril(ones, -1)


# samples ---------------------------------------------------------------------------------------


def definite(make: Maker, n: int = 3, *batch: int) -> np.ndarray[Any, Any]:
    """Symmetric positive definite matrices, divided by two: see `of_symmetric`."""
    a = make.real(*batch, n, n)
    return (a @ np.swapaxes(a, -1, -2) + 2 * np.eye(n)) / 2


def of_symmetric(call: Any) -> Any:
    """What is tested of an operation on symmetric or Hermitian matrices.

    It reads one triangle, and its gradient is symmetric.
    """
    return lambda x, *args, **kwargs: call(x + x.mH, *args, **kwargs)
