"""Decompositions under the names that PyTorch had before `linalg`, and what is made of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import ShapeError
from ..op import public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor
from .creation import eye
from .matrices import alike, definite, fit, matrices, of_symmetric, square
from .triangular import factored, regular, solve

__all__ = ["cholesky", "cholesky_inverse", "cholesky_solve", "triangular_solve"]


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
)
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """The X of `A @ X = input`, of the Cholesky factor of A.

    Nothing flows to the triangle of `L` that is not read.

    Args:
        input: `(*, n, k)`, float32, float64 or complex.
        L: `(*, n, n)`, the factor of `A = L @ L.mH`, of the same dtype. The dimensions before the
            matrices broadcast.
        upper: `L` is that of `A = L.mH @ L`.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.
    """
    b, x = _old_pair("cholesky_solve", input, L)
    if upper:
        return solve(x, solve(x.mH, b, False, False), True, False)
    return solve(x.mH, solve(x, b, False, False), True, False)
