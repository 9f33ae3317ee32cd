"""Triangular systems of equations, and the Cholesky decomposition."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from ..batching.readings import leading
from ..device import Array
from ..errors import ShapeError
from ..mode import quiet
from ..op import primitive, public
from ..samples import bad, sample
from ..tensor import Tensor
from .matrices import (
    adjoint,
    alike,
    definite,
    fit,
    inexact,
    matrices,
    of_symmetric,
    scipy_routine,
    square,
    succeeded,
    triangle,
)

__all__: list[str] = []


# triangular systems ------------------------------------------------------------------------------

_BLOCK: Final = 32
"""Rows that are substituted one by one; what they change in the others is one product."""


def _substituted(xp: Any, a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """Back or forward substitution, for all matrices at once."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), order="C")
    n = a.shape[-1]
    routine = scipy_routine("trsm", x.dtype, n)
    if routine is not None:
        _by_matrix(routine, np.broadcast_to(a, (*batch, n, n)), x, upper, unit)
        return x
    with quiet():  # a 0 on the diagonal gives infinities and nans, as in LAPACK
        for start in range(0, n, _BLOCK) if not upper else reversed(range(0, n, _BLOCK)):
            end = min(start + _BLOCK, n)
            rows = range(start, end) if not upper else reversed(range(start, end))
            for i in rows:
                known = slice(i + 1, end) if upper else slice(start, i)
                if known.start < known.stop:
                    x[..., i : i + 1, :] -= a[..., i : i + 1, known] @ x[..., known, :]
                if not unit:
                    x[..., i, :] /= a[..., i, i, None]
            rest = slice(0, start) if upper else slice(end, n)
            if rest.start < rest.stop:
                x[..., rest, :] -= a[..., rest, start:end] @ x[..., start:end, :]
    return x


def _by_matrix(routine: Any, a: Array, x: Array, upper: bool, unit: bool) -> None:
    """Solve with each matrix in place, as X^T A^T = B^T, whose memory is Fortran's."""
    for place in np.ndindex(*x.shape[:-2]):
        matrix, y = a[place], x[place].T
        if matrix.flags.f_contiguous:
            found = routine(1.0, matrix, y, 1, not upper, 1, unit, 1)
        else:
            found = routine(1.0, matrix.T, y, 1, upper, 0, unit, 1)
        if not np.may_share_memory(found, y):
            y[...] = found


def _solve_vjp(
    xp: Any,
    g: Any,
    y: Any,
    a: Any,
    a_shape: tuple[int, ...],
    b_shape: tuple[int, ...],
    upper: bool,
    unit: bool,
    wanted: tuple[bool, bool],
) -> list[Any]:
    d = xp.apply(solve, adjoint(xp, a), g, not upper, unit)
    of_a = None
    if wanted[0]:
        product = xp.matmul(d, adjoint(xp, y))
        of_a = xp.sum_to(-triangle(xp, product, upper, unit), a_shape)
    return [of_a, xp.sum_to(d, b_shape) if wanted[1] else None]


def _solve_jvp(xp: Any, y: Any, a: Any, t_a: Any, t_b: Any, upper: bool, unit: bool) -> Any:
    right = t_b
    if t_a is not None:
        moved = xp.matmul(triangle(xp, t_a, upper, unit), y)
        right = -moved if t_b is None else t_b - moved
    return xp.apply(solve, a, right, upper, unit)


solve = primitive(
    "solve_triangular",
    _substituted,
    joint=_solve_vjp,
    inputs=2,
    graph="LinalgSolveTriangularBackward0",
    jvp=_solve_jvp,
    batching=leading,
)
"""`solve(a, b, upper, unit)`: the X of `a @ X = b`, of a triangle of `a` alone."""


@public(
    path="linalg.solve_triangular",
    kind="primitive",
    samples=lambda make: [
        sample(regular(make), make.real(3, 2), upper=True),
        sample(regular(make), make.real(2, 3), upper=False, left=False),
        sample(regular(make, 2, 1), make.real(2, 3, 1), upper=True, unitriangular=True),
        sample(regular(make, 2), make.real(3, 2), upper=False),
        sample(regular(make) + 1j * make.real(3, 3), make.complex(3, 2), upper=True, left=True),
        sample(make.real(0, 0), make.real(0, 2), upper=True),
        sample(regular(make), make.real(2, 0, 3), upper=False, left=False),
    ],
    errors=lambda make: [
        bad(RuntimeError, "A must be batches of square", make.real(2, 3), make.real(2, 3), upper=1),
        bad(
            RuntimeError,
            r"equation AX = B \(2x2 and 3x3\)",
            make.real(2, 2),
            make.real(3, 3),
            upper=True,
        ),
        bad(RuntimeError, "tensor B must have at least 2", make.real(2, 2), make.real(2), upper=1),
        bad(
            RuntimeError,
            "at non-singleton dimension 0",
            make.real(3, 2, 2),
            make.real(4, 2, 2),
            upper=True,
        ),
        bad(
            RuntimeError,
            "Expected a floating point or complex",
            make.integers(1, 3, 2, 2),
            make.integers(1, 3, 2, 2),
            upper=True,
        ),
    ],
    departs={"node": "a transpose where left is False"},
)
def solve_triangular(
    input: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """The X of `input @ X = B`, or of `X @ input = B`, of triangular matrices.

    The other triangle of `input` is not read, and nothing flows to it. A 0 on the diagonal is no
    error: it gives infinities and nans.

    Args:
        input: `(*, n, n)`, float32, float64 or complex.
        B: `(*, n, k)`, or `(*, k, n)` if `input` stands on the right, of the same dtype. The
            dimensions before the matrices broadcast.
        upper: whether it is the upper triangle.
        left: whether `input` stands on the left of X.
        unitriangular: the diagonal of `input` counts as ones, and is not read.

    Returns:
        X, in the shape of `B` with the broadcast dimensions.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.

    Reference:
        Giles (2008), "An extended collection of matrix derivative results for forward and reverse
        mode algorithmic differentiation".
    """
    name = "linalg.solve_triangular"
    a, b = square(name, input), matrices(name, B, "B")
    alike(name, a, b, "A and B")
    check_equation(name, a, b, left)
    if left:
        return solve(a, b, upper, unitriangular)
    return solve(a.mT, b.mT, not upper, unitriangular).mT


def check_equation(name: str, a: Tensor, b: Tensor, left: bool) -> None:
    """Check that the shapes of `a` and `b` fit the equation AX = B, or XA = B.

    Raises:
        ShapeError: they do not.
    """
    rows, columns = b._shape[-2:]
    if (rows if left else columns) != a._shape[-1]:
        raise ShapeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({a._shape[-2]}x{a._shape[-1]} and {rows}x{columns})"
        )
    fit(name, a._shape[:-2], b._shape[:-2])


def regular(make: Any, *batch: int) -> np.ndarray[Any, Any]:
    """Matrices with a diagonal that is not small."""
    return make.real(*batch, 3, 3) + 4 * np.eye(3)  # type: ignore[no-any-return]


# Cholesky ----------------------------------------------------------------------------------------

_NOT_DEFINITE: Final = (
    "The factorization could not be completed because the input is not positive-definite "
    "(the leading minor of order {} is not positive-definite)."
)


def _partial(a: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """The factor of one matrix as far as it goes, and the order of the minor that ends it."""
    y = np.tril(a)
    for j in range(len(y)):
        row = y[j, :j].conj()
        y[j:, j] -= y[j:, :j] @ row
        pivot = y[j, j].real
        if not pivot > 0:
            y[j, j] = pivot
            return y, j + 1
        y[j, j] = np.sqrt(pivot)
        y[j + 1 :, j] /= y[j, j]
    return y, 0


def _cholesky_forward(xp: Any, x: Array) -> tuple[Array, Array]:
    try:
        return np.linalg.cholesky(x), np.zeros(x.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        pass
    y, info = np.empty_like(x, order="C"), np.zeros(x.shape[:-2], np.int32)
    with quiet():
        for place in np.ndindex(*x.shape[:-2]):
            y[place], info[place] = _partial(x[place])
    return y, info


def _half(xp: Any, x: Any) -> Any:
    """The lower triangle with half of its diagonal."""
    return (xp.tril(x) + xp.tril(x, -1)) * 0.5


def _cholesky_vjp(xp: Any, g: tuple[Any, Any], y0: Any) -> list[Any]:
    inner = _half(xp, xp.matmul(adjoint(xp, y0), g[0]))
    inner = (inner + adjoint(xp, inner)) * 0.5
    right = adjoint(xp, y0)
    left = xp.apply(solve, right, inner, True, False)
    return [adjoint(xp, xp.apply(solve, right, adjoint(xp, left), True, False))]


def _cholesky_jvp(xp: Any, y0: Any, t_x: Any) -> tuple[Any, None]:
    left = xp.apply(solve, y0, t_x, False, False)
    inner = adjoint(xp, xp.apply(solve, y0, adjoint(xp, left), False, False))
    return xp.matmul(y0, _half(xp, inner)), None


_cholesky = primitive(
    "linalg_cholesky_ex",
    _cholesky_forward,
    joint=_cholesky_vjp,
    inputs=1,
    outputs=2,
    jvp=_cholesky_jvp,
    batching=leading,
)


class CholeskyResult(NamedTuple):
    """What `linalg.cholesky_ex` returns.

    Attributes:
        L: the factor.
        info: 0, or the order of the leading minor that is not positive definite; int32.
    """

    L: Tensor
    info: Tensor


def factored(name: str, input: Any, upper: bool, check: bool) -> CholeskyResult:
    x = square(name.removesuffix("_ex"), input)
    y, info = _cholesky(x.mH if upper else x)
    if check:
        info = succeeded(info, name, _NOT_DEFINITE)
    return CholeskyResult(y.mH if upper else y, info)


@public(
    path="linalg.cholesky",
    kind="primitive",
    numpy={"linalg.cholesky": lambda a, *, upper=False: cholesky(inexact(a), upper=upper)},
    tested=of_symmetric,
    samples=lambda make: [
        sample(definite(make)),
        sample(definite(make, 2, 2, 2), upper=True),
        sample(definite(make) + 0.2j * np.triu(make.real(3, 3), 1)),
        sample(make.real(0, 0)),
        sample(make.real(0, 2, 2)),
    ],
    errors=lambda make: [
        bad(
            RuntimeError,
            "linalg.cholesky: The factorization could not be completed because the input is not "
            r"positive-definite \(the leading minor of order 2 is not positive-definite\).",
            np.array([[1.0, 2.0], [2.0, 1.0]]),
        ),
        bad(
            np.linalg.LinAlgError,
            r"linalg.cholesky: \(Batch element 1\): The factorization",
            np.stack([np.eye(2), -np.eye(2)]),
        ),
        bad(RuntimeError, "must have at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "A must be batches of square matrices.*2 by 3", make.real(2, 3)),
        bad(RuntimeError, "Expected a floating point.*Got Long", make.integers(1, 3, 2, 2)),
    ],
    waits=True,
    departs={
        "gradient: complex": "Hermitian; PyTorch's may have an imaginary diagonal",
        "node": "a transpose where upper is True",
    },
)
def cholesky(input: Tensor, *, upper: bool = False) -> Tensor:
    r"""The Cholesky factor L of a positive definite matrix: `input = L @ L.mH`.

    With \(\Phi\) for the lower triangle with half of the diagonal, the gradient is the Hermitian
    part of \(L^{-H} \Phi(L^H \bar L) L^{-1}\). Only the lower triangle of `input` is read, and the
    upper one if `upper`; the gradient is Hermitian all the same. On a CUDA device the host waits,
    to see whether the matrices are positive definite.

    Args:
        input: `(*, n, n)`, symmetric or Hermitian, float32, float64 or complex.
        upper: return `L.mH` instead.

    Returns:
        `(*, n, n)`, triangular.

    Raises:
        LinAlgError: a matrix is not positive definite.
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.

    Reference:
        Murray (2016), "Differentiation of the Cholesky decomposition".
    """
    return factored("linalg.cholesky", input, upper, True).L


@public(
    path="linalg.cholesky_ex",
    kind="primitive",
    tested=of_symmetric,
    samples=lambda make: [
        sample(definite(make)),
        sample(definite(make, 2, 2), upper=True, check_errors=True),
    ],
    errors=lambda make: [
        bad(RuntimeError, "linalg.cholesky_ex: The.*order 1", -np.eye(2), check_errors=True),
        bad(RuntimeError, "A must be batches of square matrices", make.real(2, 3)),
    ],
    waits=True,
    departs={
        "gradient: complex": "Hermitian; PyTorch's may have an imaginary diagonal",
        "node": "a transpose where upper is True",
    },
)
def cholesky_ex(input: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """The Cholesky factor, without an error where there is none; see `linalg.cholesky`.

    Args:
        input: `(*, n, n)`, symmetric or Hermitian, float32, float64 or complex.
        upper: return `L.mH` instead.
        check_errors: raise after all.

    Returns:
        `(L, info)`: `info`, int32 `(*)`, is 0, or the order of the leading minor that is not
        positive definite; there `L` is of no use.

    Raises:
        LinAlgError: a matrix is not positive definite, and `check_errors`.
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    return factored("linalg.cholesky_ex", input, upper, check_errors)
