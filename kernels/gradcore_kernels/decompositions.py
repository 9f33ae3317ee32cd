"""Triangular systems, and the decompositions of Cholesky and LU, by cuBLAS and cuSOLVER.

cupy.linalg has no triangular systems, and does not tell of which matrices a decomposition failed.
A matrix in C order is its transpose to these libraries, whose order is Fortran's.
"""

import math
from typing import Any, Final

import cupy
import numpy as np
from cupy.cuda import device

from gradcore_kernels.reduction import Array, Kernel

_LETTERS: Final = {"f": "s", "d": "d", "F": "c", "D": "z"}


def _routine(library: Any, name: str, x: Array, ending: str = "") -> Any:
    return getattr(library, _LETTERS[x.dtype.char] + name + ending)


def _pointers(x: Array) -> Array:
    """The addresses of matrices that lie one after the other."""
    start, step = x.data.ptr, x[0].nbytes
    return cupy.arange(start, start + step * len(x), step, dtype=cupy.uintp)


def solve_triangular(a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """Return the X of `a @ X = b`, of one triangle of `a`.

    Args:
        a: `(*, n, n)`.
        b: `(*, n, k)`, of the same dtype; the dimensions before the matrices broadcast.
        upper: Whether it is the upper triangle.
        unit: Whether its diagonal counts as ones.
    """
    from cupy_backends.cuda.libs import cublas

    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    n, k = b.shape[-2:]
    x = cupy.array(cupy.broadcast_to(b, (*batch, n, k)), order="C")
    if not x.size:
        return x
    many = x.reshape(-1, n, k)
    matrices = cupy.broadcast_to(a, (*batch, n, n)).reshape(-1, n, n)
    matrices = cupy.ascontiguousarray(matrices)
    one = np.ones((), x.dtype)
    # X^T a^T = b^T
    shape = (
        cublas.CUBLAS_SIDE_RIGHT,
        cublas.CUBLAS_FILL_MODE_LOWER if upper else cublas.CUBLAS_FILL_MODE_UPPER,
        cublas.CUBLAS_OP_N,
        cublas.CUBLAS_DIAG_UNIT if unit else cublas.CUBLAS_DIAG_NON_UNIT,
        k,
        n,
        one.ctypes.data,
    )
    handle = device.get_cublas_handle()
    if len(many) == 1:
        solve = _routine(cublas, "trsm", x)
        solve(handle, *shape, matrices.data.ptr, n, many.data.ptr, k)
    else:
        solve = _routine(cublas, "trsm", x, "Batched")
        of_a, of_x = _pointers(matrices), _pointers(many)
        solve(handle, *shape, of_a.data.ptr, n, of_x.data.ptr, k, len(many))
    return x


def cholesky(x: Array) -> tuple[Array, Array]:
    """Return the lower factors, and per matrix the order of the minor that is not definite, or 0.

    Args:
        x: `(*, n, n)`, of which the lower triangle is read.
    """
    from cupy_backends.cuda.libs import cublas, cusolver

    batch, n = x.shape[:-2], x.shape[-1]
    y = cupy.array(x, order="C").reshape(math.prod(batch), n, n)
    info = cupy.zeros(len(y), np.int32)
    handle, uplo = device.get_cusolver_handle(), cublas.CUBLAS_FILL_MODE_UPPER
    if y.size and len(y) == 1:
        room = _routine(cusolver, "potrf_bufferSize", y)(handle, uplo, n, y.data.ptr, n)
        work = cupy.empty(room, y.dtype)
        factor = _routine(cusolver, "potrf", y)
        factor(handle, uplo, n, y.data.ptr, n, work.data.ptr, room, info.data.ptr)
    elif y.size:
        factor = _routine(cusolver, "potrf", y, "Batched")
        pointers = _pointers(y)
        factor(handle, uplo, n, pointers.data.ptr, n, info.data.ptr, len(y))
    return cupy.tril(y).reshape(x.shape), info.reshape(batch)


def lu(x: Array) -> tuple[Array, Array, Array, Array]:
    """Return L and U in one matrix, the pivots from 1, LAPACK's info, and the order of the rows.

    Args:
        x: `(*, m, n)`.
    """
    from cupy_backends.cuda.libs import cublas, cusolver

    batch, (m, n) = x.shape[:-2], x.shape[-2:]
    count, k = math.prod(batch), min(m, n)
    y = cupy.array(x.swapaxes(-1, -2), order="C").reshape(count, n, m)
    pivots = cupy.zeros((count, k), np.int32)
    info = cupy.zeros(count, np.int32)
    if y.size and m == n and count > 1:
        pointers = _pointers(y)
        factor = _routine(cublas, "getrf", y, "Batched")
        handle = device.get_cublas_handle()
        factor(handle, n, pointers.data.ptr, n, pivots.data.ptr, info.data.ptr, count)
    elif y.size:
        handle = device.get_cusolver_handle()
        room = _routine(cusolver, "getrf_bufferSize", y)(handle, m, n, y.data.ptr, m)
        work = cupy.empty(room, y.dtype)
        factor = _routine(cusolver, "getrf", y)
        for one, rows, failed in zip(y, pivots, info, strict=True):
            factor(handle, m, n, one.data.ptr, m, work.data.ptr, rows.data.ptr, failed.data.ptr)
    pivots = pivots.reshape(*batch, k)
    both = y.reshape(*batch, n, m).swapaxes(-1, -2)
    return both, pivots, info.reshape(batch), order(pivots, m)


_ORDER: Final = cupy.ElementwiseKernel(
    "raw P pivots, int64 k, int64 m",
    "raw R rows",
    """
    const ptrdiff_t at = i * m;
    for (int j = 0; j < m; ++j) rows[at + j] = j;
    for (int j = 0; j < k; ++j) {
      const int p = pivots[i * k + j] - 1;
      if (p < 0 || p >= m) continue;
      const long long row = rows[at + j];
      rows[at + j] = rows[at + p];
      rows[at + p] = row;
    }
    """,
    "gc_order",
)


def order(pivots: Array, m: int) -> Array:
    """Return the rows in the order that the exchanges of a decomposition bring them to.

    Args:
        pivots: `(*, k)`: per step the row, from 1, that is exchanged with this one. One that is no
            row is left out.
        m: How many rows there are.
    """
    batch, k = pivots.shape[:-1], pivots.shape[-1]
    rows = cupy.empty((*batch, m), np.int64)
    count = math.prod(batch)
    if rows.size:
        _ORDER(cupy.ascontiguousarray(pivots), k, m, rows, size=count)
    return rows


def kernels() -> list[tuple[Kernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    return [(_ORDER, {"P": "int32", "R": "int64"})]
