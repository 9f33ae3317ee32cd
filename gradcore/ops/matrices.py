"""What the decompositions share: routines, the errors of LAPACK, formulas, samples."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from ..batching.readings import leading
from ..device import Array
from ..errors import LinAlgError
from ..op import primitive
from ..samples import Maker

__all__: list[str] = []

COMPLEX: Final = frozenset({np.dtype(np.complex64), np.dtype(np.complex128)})


# SciPy -----------------------------------------------------------------------------------------


@functools.cache
def _modules() -> tuple[Any, ...]:
    try:
        from scipy.linalg import blas, lapack
    except ImportError:
        return ()
    return blas, lapack


def scipy_routine(name: str, dtype: Any, n: int) -> Any:
    """A routine of BLAS or LAPACK for matrices of size n; None where NumPy must, or will do."""
    if n < _LARGE:
        return None
    letter = {"f": "s", "d": "d", "F": "c", "D": "z"}[dtype.char]
    return next((f for m in _modules() if (f := getattr(m, letter + name, None))), None)


_LARGE: Final = 32
"""The size of a matrix from which a call of SciPy per matrix takes less time than columns of all
matrices at once."""


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
