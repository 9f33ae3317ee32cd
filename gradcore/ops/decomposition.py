"""Decompositions under the names that PyTorch had before `linalg`, and what is made of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import DTypeError, ShapeError
from ..op import public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor
from .creation import eye
from .factorization import (
    LUFactorExResult,
    LUFactorResult,
    LUResult,
    QRResult,
    factored_lu,
    householder_product,
    order_of,
    parted,
    permutation,
    reflected,
)
from .factorization import geqrf as _geqrf
from .factorization import lu_solve as _lu_solve
from .factorization import packed as _packed
from .factorization import qr as _qr
from .matrices import alike, definite, fit, matrices, of_symmetric, square
from .spectral import of_svd, singular_values, svd_of
from .triangular import factored, regular, solve

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "geqrf",
    "lu",
    "lu_solve",
    "lu_unpack",
    "orgqr",
    "ormqr",
    "qr",
    "svd",
    "triangular_solve",
]


# triangular systems ------------------------------------------------------------------------------


class TriangularSolveResult(NamedTuple):
    """What `triangular_solve` returns.

    Attributes:
        solution: the X.
        cloned_coefficient: a copy of A.
    """

    solution: Tensor
    cloned_coefficient: Tensor


def _solution(call: Any) -> Any:
    """The solution by a triangle: PyTorch lets a tangent of the other in."""

    def run(
        b: Any, x: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
    ) -> Any:
        half = x.triu(int(unitriangular)) if upper else x.tril(-int(unitriangular))
        return call(b, half, upper, transpose, unitriangular)[0]

    return run


@public(
    methods=("triangular_solve",),
    tested=_solution,
    samples=lambda make: [
        sample(make.real(3, 2), regular(make)),
        sample(make.real(2, 3, 2), regular(make, 2), upper=False, transpose=True),
        sample(make.real(3, 1), regular(make), True, False, True),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Expected b to have at least 2", make.real(2), make.real(2, 2)),
        bad(RuntimeError, "Incompatible matrix sizes", make.real(3, 2), make.real(2, 2)),
    ],
    departs={
        "node": "linalg.solve_triangular, and a copy",
        "tangent: 1": "PyTorch's is not the derivative",
    },
)
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> TriangularSolveResult:
    """The X of `A @ X = input`, of triangular matrices: `linalg.solve_triangular` by its old name.

    Args:
        input: `(*, n, k)`, float32, float64 or complex.
        A: `(*, n, n)`, of the same dtype.
        upper: whether it is the upper triangle of `A`.
        transpose: solve with the transpose of `A`.
        unitriangular: the diagonal of `A` counts as ones.

    Returns:
        `(solution, cloned_coefficient)`: the second is a copy of `A`.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.
    """
    b, a = _old_pair("triangular_solve", input, A)
    y = solve(a.mT if transpose else a, b, upper != transpose, unitriangular)
    return TriangularSolveResult(y, a.expand(*y._shape[:-2], *a._shape[-2:]).clone())


def _old_pair(name: str, input: Any, A: Any) -> tuple[Tensor, Tensor]:
    b, a = tensor_of(name, input), tensor_of(name, A)
    if len(b._shape) < 2:
        raise ShapeError(
            f"torch.{name}: Expected b to have at least 2 dimensions, but it has "
            f"{len(b._shape)} dimensions instead"
        )
    a, b = square(name, a), matrices(name, b, "b")
    alike(name, b, a, "b and A")
    if b._shape[-2] != a._shape[-1]:
        n, k = b._shape[-2:]
        raise ShapeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {a._shape[-1]} by "
            f"{a._shape[-1]} but each b matrix is {n} by {k}"
        )
    fit(name, a._shape[:-2], b._shape[:-2])
    return b, a


# Cholesky ----------------------------------------------------------------------------------------


@public(
    methods=("cholesky",),
    kind="primitive",
    tested=of_symmetric,
    samples=lambda make: [sample(definite(make)), sample(definite(make, 2, 2), upper=True)],
    errors=lambda make: [bad(RuntimeError, "cholesky: The factorization", -np.eye(2))],
    waits=True,
    departs={"node": "linalg.cholesky"},
)
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """The Cholesky factor L of a positive definite matrix; see `linalg.cholesky`.

    Args:
        input: `(*, n, n)`, symmetric or Hermitian, float32, float64 or complex.
        upper: return `L.mH` instead.

    Raises:
        LinAlgError: a matrix is not positive definite.
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    return factored("cholesky", input, upper, True).L


def _lower(call: Any) -> Any:
    """Of what reads one triangle: PyTorch lets a gradient flow to the other too.

    The diagonal of a Cholesky factor is real.
    """

    def run(x: Any, *args: Any) -> Any:
        half = x.triu(1) if args and args[-1] else x.tril(-1)
        return call(half + x.tril().triu().real, *args)

    return run


@public(
    methods=("cholesky_inverse",),
    tested=_lower,
    samples=lambda make: [
        sample(regular(make)),
        sample(regular(make, 2), True),
        sample(regular(make) + 1j * make.real(3, 3)),
    ],
    errors=lambda make: [bad(RuntimeError, "A must be batches of square", make.real(2, 3))],
    departs={
        "gradient: of the other triangle": "0, as it is not read; PyTorch's is not",
        "node": "composite",
        "tangent: 0, 1, 2": "PyTorch's is not the derivative",
    },
)
def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """The inverse of a positive definite matrix, of its Cholesky factor.

    Nothing flows to the triangle that is not read.

    Args:
        input: `(*, n, n)`, the factor L of `L @ L.mH`, float32, float64 or complex.
        upper: `input` is `L.mH`.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    x = square("cholesky_inverse", input)
    inverse = solve(x, eye(x._shape[-1], dtype=x.dtype, device=x.device), upper, False)
    return inverse @ inverse.mH if upper else inverse.mH @ inverse


@public(
    methods=("cholesky_solve",),
    tested=lambda call: lambda b, x, *args: _lower(lambda t, *args: call(b, t, *args))(x, *args),
    samples=lambda make: [
        sample(make.real(3, 2), regular(make)),
        sample(make.real(2, 3, 1), regular(make), True),
        sample(make.complex(3, 1), regular(make) + 1j * make.real(3, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Incompatible matrix sizes", make.real(3, 2), make.real(2, 2)),
        bad(RuntimeError, "b to have at least 2 dimensions", make.real(2), make.real(2, 2)),
    ],
    departs={
        "gradient: of the other triangle": "0, as it is not read; PyTorch's is not",
        "node": "composite",
    },
)
def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False) -> Tensor:
    """The X of `A @ X = input`, of the Cholesky factor of A.

    Nothing flows to the triangle of the factor that is not read.

    Args:
        input: `(*, n, k)`, float32, float64 or complex.
        input2: `(*, n, n)`, the factor L of `A = L @ L.mH`, of the same dtype. The dimensions
            before the matrices broadcast.
        upper: it is that of `A = L.mH @ L`.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.
    """
    b, x = _old_pair("cholesky_solve", input, input2)
    if upper:
        return solve(x, solve(x.mH, b, False, False), True, False)
    return solve(x.mH, solve(x, b, False, False), True, False)


# LU ----------------------------------------------------------------------------------------------


@public(
    methods=("lu",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 2, 3), True, True),
        sample(make.real(3, 2), get_infos=True),
    ],
    errors=lambda make: [
        bad(RuntimeError, "LU without pivoting is not implemented", make.real(2, 2), pivot=False),
    ],
)
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """L and U in one matrix: `linalg.lu_factor_ex` by its old name.

    Args:
        A: `(*, m, n)`, float32, float64 or complex.
        pivot: must be True.
        get_infos: return the third, too.

    Returns:
        `(LU, pivots)`, or `(LU, pivots, info)`; a pivot of 0 is no error.

    Raises:
        ShapeError: `A` has less than two dimensions.
        DTypeError: of integers or float16.
    """
    packed, pivots, info, _ = factored_lu("linalg.lu_factor_ex", A, pivot, False)
    if get_infos:
        return LUFactorExResult(packed, pivots, info)
    return LUFactorResult(packed, pivots)


@public(
    methods=("lu_solve",),
    samples=lambda make: [
        sample(make.real(3, 2), *_packed(make)),
        sample(make.real(2, 3, 1), *_packed(make)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "pivots should be", make.real(2, 1), make.real(2, 2), np.array([1, 2])),
    ],
    departs={"node": "composite"},
)
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """The X of `A @ X = input`: `linalg.lu_solve` by its old name.

    Args:
        input: `(*, n, k)`, float32, float64 or complex.
        LU_data: `(*, n, n)`, of the same dtype.
        LU_pivots: `(*, n)`, int32.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.
    """
    return _lu_solve(LU_data, LU_pivots, input)


@public(
    samples=lambda make: [
        sample(*_packed(make)),
        sample(make.real(2, 3), np.array([2, 2], np.int32)),
        sample(make.real(2, 3, 2), np.array([[1, 3], [3, 2]], np.int32)),
        sample(*_packed(make), True, False),
    ],
    errors=lambda make: [
        bad(RuntimeError, "expected to be a contiguous", make.real(2, 2), np.array([1, 2])),
    ],
    departs={"node": "composite"},
)
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> LUResult:
    """The P, L and U of what `linalg.lu_factor` returns.

    Args:
        LU_data: `(*, m, n)`, float32, float64 or complex.
        LU_pivots: `(*, min(m, n))`, int32.
        unpack_data: else L and U are empty.
        unpack_pivots: else P is empty.

    Returns:
        `(P, L, U)` with `P @ L @ U` for the matrix that was decomposed.

    Raises:
        DTypeError: the pivots are not int32.
        ArgumentError: a pivot is none of the rows; nobody looks on a CUDA device.
    """
    x = tensor_of("lu_unpack", LU_data)
    if len(x._shape) < 2:
        raise ShapeError(
            "torch.lu_unpack: The input tensor LU_data must have at least 2 dimensions."
        )
    none = x.detach().new_empty((0,))
    p, parts = none, (none, none)
    if unpack_pivots:
        if tensor_of("lu_unpack", LU_pivots)._type.dtype.label != "Int":
            raise DTypeError(
                "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
                "dtype.\nNote: this function is intended to be used with the output produced by "
                "torch.linalg.lu_factor"
            )
        p = permutation(order_of("lu_unpack", LU_pivots, x._shape[-2]), x)
    if unpack_data:
        parts = parted(x)
    return LUResult(p, *parts)


# QR ----------------------------------------------------------------------------------------------


@public(
    methods=("qr",),
    kind="primitive",
    samples=lambda make: [sample(make.real(3, 2)), sample(make.real(2, 2, 3), some=False)],
    errors=lambda make: [bad(RuntimeError, "must have at least 2 dimensions", make.real(3))],
)
def qr(input: Tensor, some: bool = True) -> QRResult:
    """Q and R: `linalg.qr` by its old name, in mode "reduced" if `some`, else "complete"."""
    return _qr(input, "reduced" if some else "complete")


class GeqrfResult(NamedTuple):
    """What `geqrf` returns.

    Attributes:
        a: R in the upper triangle, the vectors of the reflections below.
        tau: their factors.
    """

    a: Tensor
    tau: Tensor


@public(
    methods=("geqrf",),
    kind="primitive",
    samples=lambda make: [sample(make.real(3, 2)), sample(make.real(2, 2, 3))],
    errors=lambda make: [bad(RuntimeError, "at least 2 dimensions", make.real(3))],
)
def geqrf(input: Tensor) -> GeqrfResult:
    """The QR decomposition as LAPACK packs it; it has no derivative.

    Args:
        input: `(*, m, n)`, float32, float64 or complex.

    Returns:
        `(a, tau)`: `(*, m, n)`, R in the upper triangle, and below the vectors that
        `linalg.householder_product` makes Q of; `(*, min(m, n))`.

    Raises:
        ShapeError: `input` has less than two dimensions.
        DTypeError: of integers or float16.
    """
    x = tensor_of("geqrf", input)
    if len(x._shape) < 2:
        raise ShapeError("torch.geqrf: input must have at least 2 dimensions.")
    return GeqrfResult(*_geqrf(matrices("geqrf", x)))


@public(
    methods=("orgqr",),
    samples=lambda make: [sample(make.real(3, 2), make.real(2))],
    errors=lambda make: [bad(RuntimeError, "greater than", make.real(2, 3), make.real(2))],
    departs={"node": "composite"},
)
def orgqr(input: Tensor, input2: Tensor) -> Tensor:
    """The Q of what `geqrf` returns: `linalg.householder_product` by its old name."""
    return householder_product(input, input2)


@public(
    methods=("ormqr",),
    samples=lambda make: [
        sample(make.real(3, 2), make.real(2), make.real(3, 2)),
        sample(make.real(2, 3, 2), make.real(2, 2), make.real(2, 2, 3), left=False),
        sample(make.real(3, 2), make.real(2), make.real(3, 1), transpose=True),
        sample(make.complex(3, 2), make.complex(2), make.complex(2, 3), False, True),
    ],
    errors=lambda make: [
        bad(
            RuntimeError,
            r"other.shape\[-2\] must be equal",
            make.real(3, 2),
            make.real(2),
            make.real(2, 2),
        ),
        bad(RuntimeError, "tau.shape", make.real(3, 2), make.real(3), make.real(3, 2)),
    ],
    departs={"node": "composite"},
)
def ormqr(
    input: Tensor, input2: Tensor, input3: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    """The product of Q, of what `geqrf` returns, with a matrix; Q itself is not made.

    Args:
        input: `(*, m, n)`, float32, float64 or complex: the vectors of the reflections.
        input2: `(*, k)`, their factors, of the same dtype.
        input3: `(*, m, l)`, or `(*, l, m)` if Q stands on the right.
        left: whether Q stands on the left.
        transpose: multiply with `Q.mH` instead.

    Returns:
        In the shape of `input3`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.
    """
    x, t, c = matrices("ormqr", input), tensor_of("ormqr", input2), tensor_of("ormqr", input3)
    if len(c._shape) != len(x._shape):
        raise ShapeError(
            "torch.ormqr: Expected other to have the same number of dimensions as input, but got "
            f"other.ndim equal to {len(c._shape)} and input.ndim is equal to {len(x._shape)}"
        )
    alike("torch.ormqr", x, t, "input and tau")
    alike("torch.ormqr", x, c, "input and other")
    m, side = x._shape[-2], -2 if left else -1
    if c._shape[side] != m:
        raise ShapeError(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if not t._shape or t._shape[-1] > min(x._shape[-2:]):
        raise ShapeError(
            f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])"
        )
    if left:
        return reflected(x, t, c, transpose)
    return reflected(x, t, c.mH, not transpose).mH


# singular values ---------------------------------------------------------------------------------


class SVDResult(NamedTuple):
    """What `svd` returns.

    Attributes:
        U: the left singular vectors, its columns.
        S: the singular values, from the largest on.
        V: the right singular vectors, its columns.
    """

    U: Tensor
    S: Tensor
    V: Tensor


def _of_svd(call: Any) -> Any:
    def run(x: Any, *args: Any, **kwargs: Any) -> Any:
        u, s, v = call(x, *args, **kwargs)
        return u, s, v.mH

    return of_svd(run)


@public(
    methods=("svd",),
    kind="primitive",
    tested=_of_svd,
    samples=lambda make: [
        sample(make.real(3, 2)),
        sample(make.real(2, 2, 3), some=False),
        sample(make.complex(2, 2)),
        sample(make.real(2, 3), compute_uv=False),
    ],
    errors=lambda make: [bad(RuntimeError, "must have at least 2 dimensions", make.real(3))],
    waits=True,
    departs={"node": "what is tested ends with a product"},
)
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> SVDResult:
    """The singular value decomposition `input = U @ diag(S) @ V.mH`; see `linalg.svd`.

    Args:
        input: `(*, m, n)`, float32, float64 or complex.
        some: leave out the vectors that belong to no singular value.
        compute_uv: else U and V are square, and zeros.

    Returns:
        `(U, S, V)`, of shapes `(*, m, k)`, `(*, k)` and `(*, n, k)` for `k = min(m, n)`; without
        `some`, U is `(*, m, m)` and V `(*, n, n)`.

    Raises:
        LinAlgError: `input` is not finite.
        ShapeError: `input` has less than two dimensions.
        DTypeError: of integers or float16.
        GraphError: by a derivative, if the loss depends on the phases of complex vectors.
    """
    x = matrices("linalg.svd", input)
    if compute_uv:
        u, s, vh = svd_of(x, not some)
        return SVDResult(u, s, vh.mH)
    *batch, m, n = x._shape
    base = x.detach()
    zeros = [base.new_zeros((*batch, size, size)) for size in (m, n)]
    return SVDResult(zeros[0], singular_values(x), zeros[1])
