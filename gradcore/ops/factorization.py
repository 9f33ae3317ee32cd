"""LU and QR decompositions, and products of Householder reflections."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from ..batching.readings import leading
from ..device import CPU, Array
from ..errors import ArgumentError, DTypeError, GraphError, ShapeError
from ..mode import quiet
from ..op import primitive, public, recorded, tensor_of
from ..samples import Maker, bad, sample
from ..tensor import Tensor
from .arithmetic import no_derivative
from .creation import eye
from .matrices import (
    COMPLEX,
    adjoint,
    alike,
    identity,
    inexact,
    matrices,
    of_each,
    scipy_routine,
    succeeded,
)
from .shape import cat
from .triangular import check_equation, solve

__all__: list[str] = []


# LU ----------------------------------------------------------------------------------------------

_PANEL: Final = 32
"""Columns that are eliminated one by one; what they change in the others is one product."""


def _exchanged(x: Array, rows: Array, i: int, pivot: Array) -> None:
    """Exchange row `i` of each matrix with its row `pivot`, and what is in `rows` likewise."""
    at = (np.arange(len(x)), pivot)
    x[:, i], x[at] = x[at], x[:, i].copy()
    rows[:, i], rows[at] = rows[at], rows[:, i].copy()


def _factored(a: Array) -> tuple[Array, Array, Array]:
    """L and U of a large matrix, the pivots from 1, and info, by SciPy."""
    lu, pivots, info = scipy_routine("getrf", a.dtype, *a.shape)(a)
    return lu, pivots + 1, np.array(info, np.int32)


def _eliminated(xp: Any, x: Array) -> tuple[Array, Array, Array, Array]:
    """Gaussian elimination with the largest pivot of each column, for all matrices at once."""
    batch, (m, n) = x.shape[:-2], x.shape[-2:]
    k = min(m, n)
    if x.size and scipy_routine("getrf", x.dtype, m, n):
        found, pivots, info = of_each(_factored, x)
        return found, pivots, info, _ordered(xp, pivots, m)
    count = math.prod(batch)
    lu = np.array(x, order="C").reshape(count, m, n)
    rows = np.tile(np.arange(m), (count, 1))
    pivots = np.empty((count, k), np.int32)
    info = np.zeros(count, np.int32)
    each = np.arange(count)
    complex_numbers = lu.dtype.kind == "c"
    with quiet():
        for start in range(0, k, _PANEL):
            end = min(start + _PANEL, k)
            for i in range(start, end):
                column = lu[:, i:, i]
                size = np.abs(column.real)
                if complex_numbers:  # LAPACK's measure: another would choose other pivots
                    size += np.abs(column.imag)
                pivot = i + size.argmax(1)
                pivots[:, i] = pivot + 1
                if (pivot != i).any():
                    _exchanged(lu, rows, i, pivot)
                top = lu[each, i, i]
                info[(top == 0) & (info == 0)] = i + 1
                lu[:, i + 1 :, i] /= np.where(top == 0, 1, top)[:, None]
                if i + 1 < end:
                    lu[:, i + 1 :, i + 1 : end] -= (
                        lu[:, i + 1 :, i, None] * lu[:, i, None, i + 1 : end]
                    )
            if end < n:
                block = lu[:, start:end]
                done = xp.apply(solve, block[:, :, start:end], block[:, :, end:], False, True)
                lu[:, start:end, end:] = done
                if end < m:
                    lu[:, end:, end:] -= lu[:, end:, start:end] @ done
    return _shaped(batch, lu, pivots, info, rows)


def _shaped(batch: tuple[int, ...], *arrays: Array) -> tuple[Array, ...]:
    return tuple([array.reshape((*batch, *array.shape[1:])) for array in arrays])


def _lu_vjp(xp: Any, g: tuple[Any, ...], y0: Any, y3: Any, x_shape: tuple[int, ...]) -> list[Any]:
    m, n = x_shape[-2:]
    k = min(m, n)

    def part(v: Any, rows: slice, columns: slice) -> Any:
        return xp.getitem(v, (Ellipsis, rows, columns))

    first, after = slice(0, k), slice(k, None)
    corner, of_corner = part(y0, first, first), part(g[0], first, first)
    lower = xp.tril(corner, -1) + identity(xp, k, corner)
    below = xp.matmul(adjoint(xp, lower), xp.tril(of_corner, -1))
    above = xp.matmul(xp.triu(of_corner), adjoint(xp, xp.triu(corner)))
    right = left = None
    if n > k:
        right = part(g[0], first, after)
        below = below - xp.matmul(right, adjoint(xp, part(y0, first, after)))
    if m > k:
        left = part(g[0], after, first)
        above = above - xp.matmul(adjoint(xp, part(y0, after, first)), left)
    flipped = adjoint(xp, corner)
    inner = xp.tril(below, -1) + xp.triu(above)
    # To the right by the inverse of U^H, which is a solution with U of the transposed.
    inner = adjoint(xp, xp.apply(solve, corner, adjoint(xp, inner), True, False))
    d = xp.apply(solve, flipped, inner, True, True)
    if right is not None:
        d = xp.concatenate([d, xp.apply(solve, flipped, right, True, True)], -1)
    if left is not None:
        left = adjoint(xp, xp.apply(solve, corner, adjoint(xp, left), True, False))
        d = xp.concatenate([d, left], -2)
    index = xp.broadcast_to(xp.expand_dims(y3, -1), x_shape)
    return [xp.put_along_axis(d, index, x_shape, -2)]


_lu = primitive(
    "linalg_lu_factor_ex",
    _eliminated,
    joint=_lu_vjp,
    inputs=1,
    outputs=4,
    batching=leading,
)
"""`_lu(x)`: L and U in one matrix, the pivots from 1, info, and the rows of x in the new order."""


def _ordered(xp: Any, pivots: Array, m: int) -> Array:
    """The rows in the order that the exchanges of `pivots` bring them to."""
    if pivots.size and (pivots.min() < 1 or pivots.max() > m):
        raise ArgumentError(
            "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive, but they are "
            f"from {pivots.min()} to {pivots.max()}, of {m} rows. Did you properly pass the result "
            "of lu_factor?"
        )
    count, k = math.prod(pivots.shape[:-1]), pivots.shape[-1]
    if count == 1:
        order = np.arange(m)
        view = order.data  # whose elements are read and written faster
        for i, pivot in enumerate(pivots.reshape(-1).tolist()):
            view[i], view[pivot - 1] = view[pivot - 1], view[i]
        return order.reshape(*pivots.shape[:-1], m)
    rows = np.tile(np.arange(m), (count, 1))
    at = pivots.reshape(count, k) - 1
    each = np.arange(count)
    for i in range(k):
        place = (each, at[:, i])
        rows[:, i], rows[place] = rows[place], rows[:, i].copy()
    return rows.reshape(*pivots.shape[:-1], m)


_order = primitive("lu_order", _ordered, None, batching=leading)


class LUFactorResult(NamedTuple):
    """What `linalg.lu_factor` returns.

    Attributes:
        LU: U in the upper triangle, L without its diagonal of ones below.
        pivots: per step the row, from 1, that was exchanged with this one; int32.
    """

    LU: Tensor
    pivots: Tensor


class LUFactorExResult(NamedTuple):
    """What `linalg.lu_factor_ex` returns.

    Attributes:
        LU: U in the upper triangle, L without its diagonal of ones below.
        pivots: per step the row, from 1, that was exchanged with this one; int32.
        info: 0, or the number, from 1, of the first pivot that is 0; int32.
    """

    LU: Tensor
    pivots: Tensor
    info: Tensor


class LUResult(NamedTuple):
    """What `linalg.lu` and `lu_unpack` return: matrices whose product is that decomposed."""

    P: Tensor
    L: Tensor
    U: Tensor


_ZERO_PIVOT: Final = (
    "U[{},{}] is zero and using it on lu_solve would result in a division by zero. If you still "
    "want to perform the factorization, consider calling linalg.lu(A, pivot) or "
    "linalg.lu_factor_ex(A, pivot)"
)


def factored_lu(name: str, A: Any, pivot: bool, check: bool) -> tuple[Tensor, ...]:
    """What `_lu` gives, after the checks of the operation `name`."""
    x = tensor_of(name, A)
    if len(x._shape) < 2:
        raise ShapeError(
            f"{name}: Expected tensor with 2 or more dimensions. Got size: {list(x._shape)} instead"
        )
    x = matrices(name, x)
    if not pivot:
        raise ArgumentError(f"{name}: LU without pivoting is not implemented on the {x.device}")
    lu, pivots, info, rows = _lu(x)
    if check:
        info = succeeded(info, f"torch.{name}", _ZERO_PIVOT)
    return lu, pivots, info, rows


@public(
    path="linalg.lu_factor",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 2, 3)),
        sample(make.real(3, 2)),
        sample(make.complex(3, 3)),
        sample(make.real(0, 3, 3)),
        sample(make.real(0, 0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"linalg.lu_factor: U\[1,1\] is zero and using it", np.zeros((2, 2))),
        bad(RuntimeError, r"\(Batch element 0\): U\[2,2\] is zero", np.ones((2, 2, 2))),
        bad(RuntimeError, "LU without pivoting is not implemented", make.real(2, 2), pivot=False),
        bad(RuntimeError, "with 2 or more dimensions", make.real(3)),
    ],
    waits=True,
)
def lu_factor(A: Tensor, *, pivot: bool = True) -> LUFactorResult:
    r"""L and U of `A = P @ L @ U` in one matrix, and the exchanges of rows that make P.

    With \(\bar L, \bar U\) for the two triangles of the cotangent, that of a square matrix is
    \(P L^{-H} (\mathrm{tril}(L^H \bar L, -1) + \mathrm{triu}(\bar U U^H)) U^{-H}\). On a CUDA
    device the host waits, to see whether the pivots are not 0.

    Args:
        A: `(*, m, n)`, float32, float64 or complex.
        pivot: must be True: there is no LU without exchanges.

    Returns:
        `(LU, pivots)`: `(*, m, n)`, and int32 `(*, min(m, n))`.

    Raises:
        LinAlgError: a pivot is 0.
        ShapeError: `A` has less than two dimensions.
        DTypeError: of integers or float16.

    Reference:
        Giles (2008), "An extended collection of matrix derivative results for forward and reverse
        mode algorithmic differentiation".
    """
    return LUFactorResult(*factored_lu("linalg.lu_factor", A, pivot, True)[:2])


@public(
    path="linalg.lu_factor_ex",
    kind="primitive",
    samples=lambda make: [sample(make.real(2, 3, 3)), sample(make.real(2, 3), check_errors=True)],
    errors=lambda make: [
        bad(RuntimeError, r"lu_factor_ex: U\[1,1\]", np.zeros((2, 2)), check_errors=True),
    ],
    waits=True,
)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> LUFactorExResult:
    """L and U of `A = P @ L @ U` in one matrix, without an error where a pivot is 0.

    Args:
        A: `(*, m, n)`, float32, float64 or complex.
        pivot: must be True.
        check_errors: raise after all.

    Returns:
        `(LU, pivots, info)`: see `linalg.lu_factor`; `info`, int32 `(*)`, is 0, or the number of
        the first pivot that is 0.

    Raises:
        LinAlgError: a pivot is 0, and `check_errors`.
        ShapeError: `A` has less than two dimensions.
        DTypeError: of integers or float16.
    """
    return LUFactorExResult(*factored_lu("linalg.lu_factor_ex", A, pivot, check_errors)[:3])


def parted(lu: Tensor) -> tuple[Tensor, Tensor]:
    """L, with its diagonal of ones, and U."""
    m, n = lu._shape[-2:]
    k = min(m, n)
    lower = lu[..., :k].tril(-1) + eye(m, k, dtype=lu.dtype, device=lu.device)
    return lower, lu[..., :k, :].triu()


def permutation(rows: Tensor, like: Tensor) -> Tensor:
    """The matrix P whose product `P @ x` brings the rows back from the order `rows`."""
    m = rows._shape[-1]
    return eye(m, dtype=like.dtype, device=like.device)[rows].mT.contiguous()


@public(
    path="linalg.lu",
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 2, 3)),
        sample(make.real(3, 2)),
        sample(make.complex(2, 2)),
        sample(make.real(0, 2, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "LU without pivoting is not implemented", make.real(2, 2), pivot=False),
    ],
    departs={"node": "composite"},
)
def lu(A: Tensor, *, pivot: bool = True) -> LUResult:
    """A permutation, a lower and an upper triangular matrix with `A = P @ L @ U`.

    Args:
        A: `(*, m, n)`, float32, float64 or complex.
        pivot: must be True: there is no LU without exchanges of rows.

    Returns:
        `(P, L, U)`, of shapes `(*, m, m)`, `(*, m, k)` and `(*, k, n)` for `k = min(m, n)`; the
        diagonal of L is of ones.

    Raises:
        ShapeError: `A` has less than two dimensions.
        DTypeError: of integers or float16.
    """
    both, _, _, rows = factored_lu("linalg.lu", A, pivot, False)
    return LUResult(permutation(rows, both), *parted(both))


def order_of(name: str, pivots: Any, m: int) -> Tensor:
    """The rows in the order that `pivots`, as `lu_factor` returns them, bring them to."""
    p = tensor_of(name, pivots)
    if p._type.dtype.label != "Int":
        raise DTypeError(
            f"{name}: pivots should be a Tensor of scalar type torch.int32, as lu_factor returns."
        )
    y: Tensor = _order(p, m)
    return y


def taken(x: Tensor, rows: Tensor, back: bool = False) -> Tensor:
    """The rows of `x` in the order `rows`; or back from there."""
    batch = np.broadcast_shapes(x._shape[:-2], rows._shape[:-1])
    shape = (*batch, *x._shape[-2:])
    index, x = rows.unsqueeze(-1).expand(shape), x.expand(shape)
    y: Tensor
    if back:
        y = recorded.put_along_axis(x, index, shape, -2)
    else:
        y = recorded.take_along_axis(x, index, -2)
    return y


def packed(make: Maker, *batch: int) -> tuple[Any, Any]:
    """A decomposition, for samples."""
    lu, pivots, _, _ = _eliminated(CPU.xp, make.real(*batch, 3, 3))
    return lu + 2 * np.eye(3), pivots


@public(
    path="linalg.lu_solve",
    samples=lambda make: [
        sample(*packed(make), make.real(3, 2)),
        sample(*packed(make, 2), make.real(3, 1), adjoint=True),
        sample(*packed(make), make.real(2, 2, 3), left=False),
        sample(*packed(make, 2), make.real(2, 2, 3), left=False, adjoint=True),
    ],
    errors=lambda make: [
        bad(
            RuntimeError,
            "Incompatible shapes of A and B for the equation AX = B",
            *packed(make),
            make.real(2, 2),
        ),
        bad(
            RuntimeError,
            "pivots should be a Tensor of scalar type",
            make.real(2, 2),
            np.array([1, 2]),
            make.real(2, 2),
        ),
        bad(
            RuntimeError,
            "Number of pivots per batch",
            make.real(2, 2),
            np.array([1], np.int32),
            make.real(2, 2),
        ),
    ],
    departs={"node": "composite"},
)
def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """The X of `A @ X = B`, or of `X @ A = B`, of the LU decomposition of A.

    Args:
        LU: `(*, n, n)`, float32, float64 or complex, as `linalg.lu_factor` returns it.
        pivots: `(*, n)`, int32, likewise.
        B: `(*, n, k)`, or `(*, k, n)` if A stands on the right, of the dtype of `LU`. The
            dimensions before the matrices broadcast.
        left: whether A stands on the left of X.
        adjoint: solve with `A.mH` in the place of A.

    Returns:
        X, in the shape of `B` with the broadcast dimensions.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.
    """
    name = "linalg.lu_solve"
    factors, b = matrices(name, LU, "LU"), matrices(name, B, "B")
    alike(name, factors, b, "LU and B")
    n = factors._shape[-1]
    if factors._shape[-2] != n:
        raise ShapeError(
            f"{name}: A must be batches of square matrices, "
            f"but they are {factors._shape[-2]} by {n} matrices"
        )
    rows = order_of(name, pivots, n)
    if pivots.shape[-1] != n:
        raise ShapeError(
            f"{name}: Number of pivots per batch should be same as the dimension of the matrix"
        )
    check_equation(name, factors, b, left)
    if not left:  # X A = B is A^H X^H = B^H
        return lu_solve(factors, pivots, b.mH, adjoint=not adjoint).mH
    if adjoint:
        flipped = factors.mH
        y = solve(flipped, solve(flipped, b, False, False), True, True)
        return taken(y, rows, back=True)
    return solve(factors, solve(factors, taken(b, rows), False, True), True, False)


# QR ----------------------------------------------------------------------------------------------


_COLUMNS: Final = 64
"""Columns that LAPACK changes at once where it is given memory for them."""


def _is_large(xp: Any, x: Array) -> bool:
    """Whether SciPy is there, and decomposes the matrices sooner than NumPy."""
    return xp.module is np and x.size > 0 and bool(scipy_routine("geqrf", x.dtype, *x.shape[-2:]))


def _by_reflections(a: Array) -> tuple[Array, Array]:
    """R of a large matrix and the reflections that make its Q, by SciPy."""
    y, tau, _, _ = scipy_routine("geqrf", a.dtype, *a.shape)(a, lwork=_COLUMNS * a.shape[1])
    return y, tau


def _reduced(a: Array) -> tuple[Array, Array]:
    """Q and R of a large matrix, by SciPy."""
    y, tau = _by_reflections(a)
    k = len(tau)
    name = "ungqr" if a.dtype in COMPLEX else "orgqr"
    q, _, _ = scipy_routine(name, a.dtype, *a.shape)(y[:, :k], tau, lwork=_COLUMNS * k)
    return q, np.triu(y[:k])


def _qr_forward(xp: Any, x: Array, mode: str) -> tuple[Array, ...]:
    if _is_large(xp, x) and (
        mode == "reduced" or (mode == "complete" and x.shape[-2] <= x.shape[-1])
    ):
        return of_each(_reduced, x)
    if mode == "r":
        r = xp.module.linalg.qr(x, mode="r")
        return xp.module.zeros((0,), x.dtype), r
    q, r = xp.module.linalg.qr(x, mode=mode)
    return q, r


def _qr_vjp(
    xp: Any,
    g: tuple[Any, Any],
    y0: Any,
    y1: Any,
    x_shape: tuple[int, ...],
    mode: str,
) -> list[Any]:
    m, n = x_shape[-2:]
    if mode == "r":
        raise GraphError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please "
            "use linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
        )
    if mode == "complete" and m > n:
        raise GraphError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    of_q, of_r = g
    r, inner, rest = y1, None, None
    if n > m:
        # The columns after the first m are R2 = Q^H A2: what flows to R2 flows to Q and A2.
        r = xp.getitem(y1, (Ellipsis, slice(0, m)))
        if of_r is not None:
            beyond = xp.getitem(of_r, (Ellipsis, slice(m, None)))
            of_r = xp.getitem(of_r, (Ellipsis, slice(0, m)))
            rest = xp.matmul(y0, beyond)
            known = xp.getitem(y1, (Ellipsis, slice(m, None)))
            more = xp.matmul(y0, xp.matmul(known, adjoint(xp, beyond)))
            of_q = more if of_q is None else of_q + more
    if of_r is not None:
        inner = xp.matmul(r, adjoint(xp, of_r))
    if of_q is not None:
        product = xp.matmul(adjoint(xp, of_q), y0)
        inner = -product if inner is None else inner - product
    # The Hermitian matrix of this lower triangle, whose diagonal becomes real.
    lower = xp.tril(inner, -1)
    middle = xp.tril(inner) - lower
    middle = (middle + adjoint(xp, middle)) * 0.5
    d = xp.matmul(y0, lower + adjoint(xp, lower) + middle)
    if of_q is not None:
        d = d + of_q
    d = adjoint(xp, xp.apply(solve, r, adjoint(xp, d), True, False))
    if n > m:
        tail = xp.zeros((*x_shape[:-1], n - m), y0) if rest is None else rest
        d = xp.concatenate([d, tail], -1)
    return [d]


_qr = primitive("linalg_qr", _qr_forward, joint=_qr_vjp, inputs=1, outputs=2, batching=leading)


class QRResult(NamedTuple):
    """What `linalg.qr` returns: an orthogonal and an upper triangular matrix."""

    Q: Tensor
    R: Tensor


def _numpy_qr(a: Any, mode: str = "reduced") -> Any:
    if mode == "raw":
        factors, tau = geqrf(matrices("geqrf", inexact(a)))
        return factors.mT, tau
    found = qr(inexact(a), mode)
    return found.R if mode == "r" else found


@public(
    path="linalg.qr",
    kind="primitive",
    numpy={"linalg.qr": _numpy_qr},
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 3, 2)),
        sample(make.real(2, 3)),
        sample(make.real(2, 3), mode="complete"),
        sample(make.complex(3, 2)),
        sample(make.real(0, 2, 3), mode="complete"),
        sample(make.real(0, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "qr received unrecognized mode 'x' but expected", make.real(2, 2), "x"),
        bad(RuntimeError, "must have at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "Expected a floating point.*Got Long", make.integers(1, 3, 2, 2)),
    ],
)
def qr(A: Tensor, mode: str = "reduced") -> QRResult:
    """An orthogonal (or unitary) Q and an upper triangular R with `A = Q @ R`.

    The first `min(m, n)` columns of `A` must be linearly independent for the derivatives to be
    finite.

    Args:
        A: `(*, m, n)`, float32, float64 or complex.
        mode: `"reduced"`, `"complete"` (Q is square), or `"r"` (R alone; Q is empty).

    Returns:
        `(Q, R)`: `(*, m, k)` and `(*, k, n)`, where k is `min(m, n)`, or m if complete.

    Raises:
        ArgumentError: another mode.
        ShapeError: `A` has less than two dimensions.
        DTypeError: of integers or float16.
        GraphError: by a derivative in mode "r", or "complete" of more rows than columns.

    Reference:
        Walter, Lehmann & Lamour (2012), "On evaluating higher-order derivatives of the QR
        decomposition of tall matrices"; Roberts & Roberts (2020), "QR and LQ decomposition matrix
        backpropagation algorithms for square, wide, and deep matrices".
    """
    x = matrices("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    return QRResult(*_qr(x, mode))


def _geqrf_forward(xp: Any, x: Array) -> tuple[Array, ...]:
    if _is_large(xp, x):
        return of_each(_by_reflections, x)
    a, tau = xp.module.linalg.qr(x, mode="raw")
    return a.swapaxes(-1, -2), tau


geqrf = primitive(
    "geqrf", _geqrf_forward, joint=no_derivative("geqrf"), inputs=1, outputs=2, batching=leading
)


# reflections -------------------------------------------------------------------------------------


# With V for the vectors of reflections I - tau v v^H, D for the factors tau and S for the strict
# upper triangle of V^H V, their product Q is I - V T V^H for T = (I + D S)^-1 D.


def _times_t(inner: Tensor, tau: Tensor, y: Tensor, adjoint: bool) -> Tensor:
    """T @ y, or T.mH @ y, where `inner` is V^H V."""
    factors = tau.unsqueeze(-1)
    system = factors * inner.triu(1)  # the diagonal counts as ones
    if adjoint:
        return factors.conj() * solve(system.mH, y, False, True)
    return solve(system, factors * y, True, True)


def _parts(x: Tensor, m: int, count: int) -> tuple[Tensor, Tensor]:
    """V of what `geqrf` returns: its first m rows, in which the diagonal is, and the others."""
    ones = eye(m, count, dtype=x.dtype, device=x.device)
    return x[..., :m, :count].tril(-1) + ones, x[..., m:, :count]


def reflected(x: Tensor, tau: Tensor, other: Tensor, adjoint: bool) -> Tensor:
    """The product Q @ other, or Q.mH @ other, of the reflections that `geqrf` returns in `x`."""
    count = tau._shape[-1]
    v = cat(_parts(x, count, count), -2)
    return other - v @ _times_t(v.mH @ v, tau, v.mH @ other, adjoint)


@public(
    path="linalg.householder_product",
    samples=lambda make: [
        sample(make.real(3, 2), make.real(2)),
        sample(make.real(2, 3, 3), make.real(2, 2)),
        sample(make.complex(3, 2), make.complex(2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must be greater than or equal", make.real(2, 3), make.real(2)),
        bad(RuntimeError, "greater than or equal to tau", make.real(3, 2), make.real(3)),
        bad(RuntimeError, "Expected batch dimensions of tau", make.real(4, 3, 2), make.real(3, 2)),
        bad(RuntimeError, "at least 2 dimensions", make.real(3), make.real(1)),
    ],
    departs={"node": "composite"},
)
def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    r"""The first columns of the product of the reflections \(I - \tau_i v_i v_i^H\).

    It is the Q of the decomposition that `geqrf` returns.

    Args:
        input: `(*, m, n)` with `m >= n`, float32, float64 or complex: the vectors are the columns
            below the diagonal, which counts as ones.
        tau: `(*, k)` with `k <= n`, of the same dtype.

    Returns:
        `(*, m, n)`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.

    Reference:
        Schreiber & Van Loan (1989), "A storage-efficient WY representation for products of
        Householder transformations"; Joffrain et al. (2006), "Accumulating Householder
        transformations, revisited".
    """
    name = "torch.linalg.householder_product"
    x, t = tensor_of(name, input), tensor_of(name, tau)
    if len(x._shape) < 2:
        raise ShapeError(f"{name}: input must have at least 2 dimensions.")
    m, n = x._shape[-2:]
    if m < n:
        raise ShapeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if not t._shape or t._shape[-1] > n:
        raise ShapeError(f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    if t._shape[:-1] != x._shape[:-2]:
        raise ShapeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
            f"{list(t._shape[:-1])}"
        )
    x = matrices(name, x)
    alike(name, x, t, "input and tau")
    top, rest = _parts(x, n, t._shape[-1])
    y = -_times_t(top.mH @ top + rest.mH @ rest, t, top.mH, False)
    return cat([eye(n, dtype=x.dtype, device=x.device) + top @ y, rest @ y], -2)
