"""Inverses and determinants of square matrices, and solutions of linear systems."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..batching.array import BatchedArray, belongs
from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, ShapeError
from ..mode import quiet
from ..op import primitive, promote, public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor
from .elimination import (
    determinants,
    factors,
    in_one_batch,
    inverses,
    is_singular,
    log_determinants,
    solutions,
    zero_pivots,
)
from .matrices import COMPLEX, adjoint, alike, fit, inexact, square
from .pointwise import where

__all__ = ["det", "inverse", "logdet", "slogdet"]


class InvResult(NamedTuple):
    """What `linalg.inv_ex` returns."""

    inverse: Tensor
    info: Tensor


class SolveResult(NamedTuple):
    """What `linalg.solve_ex` returns."""

    result: Tensor
    info: Tensor


class SlogdetResult(NamedTuple):
    """What `slogdet` returns."""

    sign: Tensor
    logabsdet: Tensor


# inverses and solutions ------------------------------------------------------------------------


def _info_forward(xp: Any, a: Array, y: Array) -> Array:
    if bool(xp.isfinite(y).all()):
        return xp.module.zeros(a.shape[:-2], np.int32)
    return xp.module.asarray(zero_pivots(xp, a))


def _info_over_batches(level: Any, run: Any, a: Any, y: Any) -> Any:
    own = belongs(a, level)
    info = run(a.inner if own else a, y.inner if belongs(y, level) else y)
    return BatchedArray(level, info) if own else info


_info = primitive("linalg_info", _info_forward, None, None, batching=_info_over_batches)
"""`_info(a, y)`: LAPACK's, of the matrices `a` for which the result is `y`."""


def _inv_rule(xp: Any, g: Any, y: Any) -> Any:
    return -xp.matmul(xp.matmul(xp.matrix_transpose(y), g), xp.matrix_transpose(y))


_inv = primitive(
    "linalg_inv",
    lambda xp, a, name: inverses(xp, a, *factors(xp, a), name),
    _inv_rule,
    jvp=lambda xp, y, t_a: -xp.matmul(xp.matmul(y, t_a), y),
    bilinear=True,
    graph="LinalgInvExBackward0",
    batching=leading,
)
"""`_inv(a, name)`: `name` is that of the function that refuses singular matrices; "" for none."""

_inv_by = primitive(
    "linalg_inv_by", inverses, _inv_rule, None, None, bilinear=True, batching=leading
)
"""`_inv_by(a, lu, pivots)`: the inverse, of what `factors` gave of `a`."""


def inv_or_nan(A: Tensor) -> Tensor:
    """The inverse of square matrices, not finite for singular ones."""
    return _inv(A, "")


def _solve_forward(xp: Any, a: Array, b: Array, name: str) -> tuple[Array, Array, Array]:
    lu, pivots = factors(xp, a)
    y, lu, pivots = in_one_batch(xp, solutions(xp, a, b, lu, pivots, False, name), lu, pivots)
    return y, lu, pivots


def _solve_rule(
    xp: Any,
    g: tuple[Any, Any, Any],
    y0: Any,
    y1: Any,
    y2: Any,
    a: Any,
    a_shape: tuple[int, ...],
    b_shape: tuple[int, ...],
    wanted: tuple[bool, bool],
) -> list[Any]:
    """The cotangent of `b` is the solution with the adjoint; that of `a` its product with y."""
    d = xp.apply(_solve_by, a, g[0], y1, y2, True)
    return [
        xp.sum_to(-xp.matmul(d, adjoint(xp, y0)), a_shape) if wanted[0] else None,
        xp.sum_to(d, b_shape) if wanted[1] else None,
    ]


def _solve_jvp(
    xp: Any, y0: Any, y1: Any, y2: Any, a: Any, t_a: Any, t_b: Any
) -> tuple[Any, None, None]:
    if t_a is not None:
        d = xp.matmul(t_a, y0)
        t_b = -d if t_b is None else t_b - d
    return xp.apply(_solve_by, a, t_b, y1, y2, False), None, None


linear_solve = primitive(
    "linalg_solve",
    _solve_forward,
    joint=_solve_rule,
    inputs=2,
    outputs=3,
    jvp=_solve_jvp,
    graph="LinalgSolveExBackward0",
    batching=leading,
)
"""`linear_solve(a, b, name)`: X of `a @ X = b`, with broadcasting, and what `factors` gave of `a`;
`name` as for `_inv`."""


def _solve_by_rule(
    xp: Any,
    g: Any,
    y: Any,
    a: Any,
    lu: Any,
    pivots: Any,
    a_shape: tuple[int, ...],
    b_shape: tuple[int, ...],
    adjoints: bool,
    wanted: tuple[bool, ...],
) -> list[Any]:
    d = xp.apply(_solve_by, a, g, lu, pivots, not adjoints)
    of_a = None
    if wanted[0]:
        left, right = (y, d) if adjoints else (d, y)
        of_a = xp.sum_to(-xp.matmul(left, adjoint(xp, right)), a_shape)
    return [of_a, xp.sum_to(d, b_shape) if wanted[1] else None, None, None]


_solve_by = primitive(
    "linalg_solve_by", solutions, joint=_solve_by_rule, inputs=4, batching=leading
)
"""`_solve_by(a, b, lu, pivots, adjoints)`: see `solutions`."""


def _regular(make: Any, *batch: int) -> Any:
    """Matrices far from singular."""
    return make.real(*batch, 3, 3) + 4 * np.eye(3)


_NOT_SQUARE = "must be batches of square matrices, but they are 2 by 3"


def _square_errors(make: Any) -> list[Any]:
    return [
        bad(RuntimeError, _NOT_SQUARE, make.real(2, 3)),
        bad(RuntimeError, "must have at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "Expected a floating point or complex", make.integers(0, 5, 3, 3)),
    ]


def _singular(make: Any) -> Any:
    """Two matrices, of which the second has no second pivot."""
    return np.stack([np.eye(3), np.diag([1.0, 0.0, 2.0])])


@public(
    path="linalg.inv",
    numpy={"linalg.inv": lambda a: inv(inexact(a))},
    array_api="linalg.inv",
    kind="primitive",
    samples=lambda make: [
        sample(_regular(make)),
        sample(_regular(make, 2)),
        sample(make.real(0, 3, 3)),
        sample(make.real(2, 0, 0)),
        sample(make.complex(2, 2)),
    ],
    errors=lambda make: [
        *_square_errors(make),
        bad(RuntimeError, r"linalg.inv: \(Batch element 1\): The diagonal e", _singular(make)),
        bad(RuntimeError, "linalg.inv: The diagonal element 2 is zero", _singular(make)[1]),
    ],
    waits=True,
)
def inv(A: Tensor) -> Tensor:
    """The inverse of square matrices.

    On a CUDA device the host waits, to see whether they are regular.

    Args:
        A: `(*, n, n)`, float32, float64 or complex.

    Returns:
        `(*, n, n)`.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
        LinAlgError: a matrix is singular.
    """
    return _inv(square("linalg.inv", A), "linalg.inv")


@public(
    methods=("inverse",),
    kind="primitive",
    samples=lambda make: [sample(_regular(make, 2))],
    errors=_square_errors,
    waits=True,
)
def inverse(input: Tensor) -> Tensor:
    """The inverse of square matrices: `linalg.inv`."""
    return inv(input)


@public(
    path="linalg.inv_ex",
    kind="primitive",
    samples=lambda make: [
        sample(_regular(make)),
        sample(_regular(make, 2), check_errors=True),
        sample(make.complex(2, 2)),
    ],
    errors=lambda make: [
        *_square_errors(make),
        bad(RuntimeError, "linalg.inv_ex: .*singular", _singular(make), check_errors=True),
    ],
    waits=True,
)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> InvResult:
    """The inverse of square matrices, without an error for those that have none.

    Args:
        A: `(*, n, n)`, float32, float64 or complex.
        check_errors: raise for singular matrices after all.

    Returns:
        `(inverse, info)`: `info`, int32 `(*)`, is 0 where there is an inverse, and else the number
        of the diagonal element that is 0 in the elimination; the inverse is not finite there.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
        LinAlgError: a matrix is singular and `check_errors` is set.
    """
    x = square("linalg.inv", A)
    y = _inv(x, "linalg.inv_ex" if check_errors else "")
    return InvResult(y, _info(x, y))


def _system(name: str, A: Any, B: Any, left: bool) -> tuple[Tensor, Tensor, bool]:
    """The matrices `a` and `b` of `a @ X = b`, and whether B is of vectors.

    Raises:
        DTypeError: not one dtype that LAPACK takes.
        ShapeError: the shapes do not fit.
    """
    a, b = square(name, A), tensor_of(name, B)
    alike(name, a, b)
    if not b._shape:
        raise ShapeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    vector = len(b._shape) == 1 or (
        len(b._shape) == len(a._shape) - 1 and b._shape == a._shape[:-1]
    )
    if vector and not left:
        raise ShapeError(
            f"{name}: Vector broadcasting of the left hand side is not supported for left=False. "
            "In this case linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    if vector:
        b = b.unsqueeze(-1)
    if a._shape[-1] != b._shape[-2 if left else -1]:
        equation = "AX = B" if left else "XA = B"
        raise ShapeError(
            f"{name}: Incompatible shapes of A and B for the equation {equation} "
            f"({a._shape[-2]}x{a._shape[-1]} and {b._shape[-2]}x{b._shape[-1]})"
        )
    fit(name, a._shape[:-2], b._shape[:-2])
    return (a, b, vector) if left else (a.mT, b.mT, False)


def _solved(name: str, A: Any, B: Any, left: bool, check: str) -> tuple[Tensor, Tensor, Tensor]:
    """The solution, and the matrices and the solution to look for singular ones in."""
    a, b, vector = _system(name, A, B, left)
    x, _, _ = linear_solve(a, b, check)
    return x.squeeze(-1) if vector else x if left else x.mT, a, x


def _numpy_solve(a: Any, b: Any) -> Tensor:
    """numpy.linalg.solve, for which only what has one dimension is a vector."""
    a, b = promote("solve", inexact(a), inexact(b))
    if b.ndim == 1:
        return solve(a, b)
    return linear_solve(square("linalg.solve", a), b, "linalg.solve")[0]


def _solve_errors(make: Any) -> list[Any]:
    return [
        bad(RuntimeError, _NOT_SQUARE, make.real(2, 3), make.real(2)),
        bad(RuntimeError, r"AX = B \(3x3 and 2x1\)", make.real(3, 3), make.real(2)),
        bad(RuntimeError, r"XA = B \(3x3 and 3x2\)", make.real(3, 3), make.real(3, 2), left=False),
        bad(RuntimeError, "B must have at least 2 dim", make.real(3, 3), make.real()),
        bad(
            RuntimeError, "not supported for left=False", make.real(3, 3), make.real(3), left=False
        ),
        bad(RuntimeError, "same dtype", make.real(3, 3), make.complex(3)),
        bad(RuntimeError, "floating point or complex", make.integers(0, 5, 3, 3), make.real(3)),
    ]


@public(
    path="linalg.solve",
    numpy={"linalg.solve": _numpy_solve},
    array_api="linalg.solve",
    kind="primitive",
    samples=lambda make: [
        sample(_regular(make), make.real(3)),
        sample(_regular(make), make.real(3, 2)),
        sample(_regular(make, 2), make.real(2, 3)),
        sample(_regular(make), make.real(2, 3, 1)),
        sample(_regular(make, 2, 1), make.real(2, 2, 3), left=False),
        sample(_regular(make, 2), make.real(3)),
        sample(make.real(2, 0, 0), make.real(2, 0, 3)),
        sample(make.complex(2, 2), make.complex(2)),
    ],
    errors=lambda make: [
        *_solve_errors(make),
        bad(RuntimeError, r"\(Batch element 1\): The solver", _singular(make), make.real(3)),
        bad(RuntimeError, "size of tensor a", _regular(make, 2), make.real(4, 3, 1)),
    ],
    waits=True,
    departs={"node": "views of the solution for vectors and transposes"},
)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X of `A @ X = B`, or of `X @ A = B`.

    Of matrices from 32 by 32 on the CPU SciPy gives the factors, which are kept for the gradient.
    Else this eliminates the matrices a second time: without SciPy that takes some four times as
    long as in PyTorch, of one large matrix and few columns. On a CUDA device the host waits, to see
    whether the matrices are regular.

    Args:
        A: `(*, n, n)`, float32, float64 or complex.
        B: `(*, n, k)`, of the same dtype, or vectors: `(n,)`, or `(*, n)` with the dimensions of
            `A` but the last. The dimensions before the matrices broadcast.
        left: whether `A` stands on the left of X; else `B` is `(*, k, n)`.

    Returns:
        `(*, n, k)`, or as `B` for vectors.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.
        LinAlgError: a matrix is singular.
    """
    return _solved("linalg.solve", A, B, left, "linalg.solve")[0]


@public(
    path="linalg.solve_ex",
    kind="primitive",
    samples=lambda make: [
        sample(_regular(make), make.real(3)),
        sample(_regular(make, 2), make.real(2, 3), check_errors=True),
        sample(_regular(make), make.real(2, 3), left=False),
    ],
    errors=lambda make: [
        bad(RuntimeError, "solve_ex: .*singular", _singular(make), make.real(3), check_errors=True),
    ],
    waits=True,
    departs={"node": "views of the solution for vectors and transposes"},
)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> SolveResult:
    """The X of `A @ X = B`, without an error for singular matrices.

    Args:
        A: `(*, n, n)`, float32, float64 or complex.
        B: as for `linalg.solve`.
        left: whether `A` stands on the left of X.
        check_errors: raise for singular matrices after all.

    Returns:
        `(result, info)`: `info`, int32 `(*)`, is as that of `linalg.inv_ex`.

    Raises:
        ShapeError: the matrices are not square, or the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.
        LinAlgError: a matrix is singular and `check_errors` is set.
    """
    check = "linalg.solve_ex" if check_errors else ""
    y, a, x = _solved("linalg.solve", A, B, left, check)
    return SolveResult(y, _info(a, x))


def _halves(x: Tensor, count: int, name: str) -> int:
    """The product of the dimensions from `count` on, if that of those before is the same.

    Raises:
        ShapeError: it is not.
    """
    before, after = math.prod(x._shape[:count]), math.prod(x._shape[count:])
    if before != after:
        raise ShapeError(
            f"Expected self to satisfy the requirement prod(self.shape[{name}:]) == "
            f"prod(self.shape[:{name}]), but got {after} != {before}"
        )
    return before


@public(
    path="linalg.tensorinv",
    numpy={"linalg.tensorinv": lambda a, ind=2: tensorinv(inexact(a), ind)},
    samples=lambda make: [
        sample((make.real(4, 4) + 4 * np.eye(4)).reshape(2, 2, 4)),
        sample((make.real(4, 4) + 4 * np.eye(4)).reshape(4, 2, 2), ind=1),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"shape\[:ind\]\), but got 2 != 8", make.real(4, 2, 2)),
        bad(RuntimeError, "strictly positive integer for 'ind'", make.real(4, 4), ind=0),
        bad(RuntimeError, "singular", np.zeros((4, 2, 2)), ind=1),
    ],
    waits=True,
    departs={"node": "composite"},
)
def tensorinv(input: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A = `input` as the linear map of `tensordot(A, X, A.ndim - ind)`.

    Args:
        input: of a shape whose first `ind` lengths have the product of the others.
        ind: how many dimensions the results of the map have.

    Returns:
        The inverse, of shape `input.shape[ind:] + input.shape[:ind]`.

    Raises:
        ArgumentError: `ind` is not positive.
        ShapeError: the products differ.
        LinAlgError: there is no inverse.
    """
    if ind <= 0:
        raise ArgumentError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    n = _halves(input, ind, "ind")
    shape = (*input._shape[ind:], *input._shape[:ind])
    return inv(input.reshape(n, n)).reshape(shape)


@public(
    path="linalg.tensorsolve",
    numpy={
        "linalg.tensorsolve": lambda a, b, axes=None: tensorsolve(
            *promote("tensorsolve", inexact(a), inexact(b)), axes
        )
    },
    samples=lambda make: [
        sample((make.real(4, 4) + 4 * np.eye(4)).reshape(2, 2, 4), make.real(2, 2)),
        sample((make.real(4, 4) + 4 * np.eye(4)).reshape(4, 2, 2), make.real(2, 2), dims=(0,)),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"other.ndim\]\), but got 8 != 2", make.real(2, 2, 4), make.real(3)),
        bad(RuntimeError, "singular", np.zeros((4, 2, 2)), make.real(4)),
    ],
    waits=True,
    departs={"node": "composite"},
)
def tensorsolve(input: Tensor, other: Tensor, dims: tuple[int, ...] | None = None) -> Tensor:
    """The X of `tensordot(input, X, X.ndim) = other`.

    Args:
        input: of a shape whose first `other.ndim` lengths have the product of the others.
        other: as many elements as that product.
        dims: the dimensions of `input` that are moved to its end first.

    Returns:
        X, of shape `input.shape[other.ndim:]`.

    Raises:
        ShapeError: the products differ.
        LinAlgError: there is no solution, or more than one.
    """
    if dims is not None:
        input = input.movedim(dims, tuple(range(input.ndim - len(dims), input.ndim)))
    n = _halves(input, other.ndim, "other.ndim")
    return solve(input.reshape(n, n), other.reshape(-1)).reshape(input._shape[other.ndim :])


# determinants ----------------------------------------------------------------------------------


def _but_one(xp: Any, s: Array) -> Array:
    """The products of all elements of the last dimension but one; no quotients, as one may be 0."""
    one = xp.module.ones_like(s[..., :1])
    before = xp.cumprod(xp.concatenate((one, s[..., :-1]), -1), -1)
    after = xp.cumprod(xp.concatenate((one, s[..., :0:-1]), -1), -1)[..., ::-1]
    return before * after


def _by_singular_values(xp: Any, a: Array, inner: Any) -> Array:
    """`V X U^H det(U V^H)` of the decomposition U S V^H, where X is `inner(u, s, vh)`."""
    u, s, vh = xp.module.linalg.svd(a)
    product = xp.matmul(xp.matmul(adjoint(xp, vh), inner(u, s, vh)), adjoint(xp, u))
    return product * (xp.module.linalg.det(u) * xp.module.linalg.det(vh))[..., None, None]


def _adjugate_forward(xp: Any, a: Array, det: Array, lu: Array, pivots: Array) -> Array:
    if not a.size:
        return xp.zeros(a.shape, a)
    with quiet():
        y = inverses(xp, a, lu, pivots) * det
    if bool(xp.isfinite(y).all()):
        return y
    singular = is_singular(xp, a)[..., None, None]
    if not bool(singular.any()):
        return y  # it overflows
    one = xp.module.eye(a.shape[-1], dtype=a.dtype)
    cofactors = _by_singular_values(
        xp, xp.where(singular, a, one), lambda u, s, vh: one * _but_one(xp, s)[..., None, :]
    )
    return xp.where(singular, cofactors, y)


def _adjugate_rule(xp: Any, g: Any, a: Any, lu: Any, pivots: Any) -> Any:
    t = xp.matrix_transpose
    return t(xp.apply(_turned_adjugate, a, t(g), lu, pivots))


_adjugate = primitive(
    "adjugate",
    _adjugate_forward,
    _adjugate_rule,
    None,
    None,
    None,
    jvp=lambda xp, a, lu, pivots, t_a: xp.apply(_turned_adjugate, a, t_a, lu, pivots),
    bilinear=True,
    batching=leading,
)
"""`_adjugate(a, det, lu, pivots)`: the transposed cofactors, det(a) a^-1 where there is an inverse.

The determinant is `(*, 1, 1)`; the others are what `factors` gave."""


def _trace(xp: Any, x: Any, y: Any) -> Any:
    """That of the product of two matrices, as a matrix of one element."""
    return xp.expand_dims(xp.einsum("...ij,...ji->...", x, y), (-2, -1))


def _turned_forward(xp: Any, a: Array, h: Array, lu: Array, pivots: Array) -> Array:
    a, h, lu, pivots = in_one_batch(xp, a, h, lu, pivots)
    if not h.size:
        return xp.zeros(h.shape, h)
    with quiet():
        b = inverses(xp, a, lu, pivots)
        det = determinants(xp, a, lu, pivots)[..., None, None]
        y = det * (_trace(xp, b, h) * b - xp.matmul(xp.matmul(b, h), b))
        condition = a.shape[-1] * abs(a).max((-2, -1)) * abs(b).max((-2, -1))
    # The terms cancel but for one part in the condition.
    bad = ~(condition < 1 / math.sqrt(np.finfo(condition.dtype).eps))
    bad &= xp.isfinite(a).all((-2, -1))
    if not bool(bad.any()):
        return y
    bad, one = bad[..., None, None], xp.module.eye(a.shape[-1], dtype=a.dtype)

    def inner(u: Array, s: Array, vh: Array) -> Array:
        turned = xp.matmul(xp.matmul(adjoint(xp, u), h), adjoint(xp, vh))
        on = one != 0
        rest = xp.where(on, 0, _but_one(xp, xp.where(on, 1, s[..., None, :])))
        across = xp.matmul(rest, xp.module.diagonal(turned, 0, -2, -1)[..., None])
        return xp.where(on, across, -rest * turned)

    return xp.where(bad, _by_singular_values(xp, xp.where(bad, a, one), inner), y)


def _turned_rule(xp: Any, g: Any, a: Any, h: Any, lu: Any, pivots: Any) -> Any:
    """The third derivative of the determinant, by inverses."""
    det = xp.expand_dims(xp.apply(_det, a)[0], (-2, -1))
    b = xp.apply(_inv_by, a, lu, pivots)
    k = xp.matrix_transpose(g)
    of_h, of_k = xp.matmul(b, h), xp.matmul(b, k)
    trace_h, trace_k = _trace(xp, b, h), _trace(xp, b, k)
    d = (trace_h * trace_k - _trace(xp, of_h, of_k)) * b
    d = d + xp.matmul(xp.matmul(of_h, of_k) + xp.matmul(of_k, of_h), b)
    d = d - xp.matmul(trace_k * of_h + trace_h * of_k, b)
    return xp.matrix_transpose(det * d)


_turned_adjugate = primitive(
    "turned_adjugate",
    _turned_forward,
    _turned_rule,
    lambda xp, g, a, lu, pivots: xp.matrix_transpose(
        xp.apply(_turned_adjugate, a, xp.matrix_transpose(g), lu, pivots)
    ),
    None,
    None,
    bilinear=True,
    batching=leading,
)
"""`_turned_adjugate(a, h, lu, pivots)`: the tangent of the adjugate of `a` for the tangent `h`.

Of matrices that are singular, or nearly, it is of products of all singular values but two; its own
derivative is nan for singular ones."""


def _det_forward(xp: Any, a: Array) -> tuple[Array, Array, Array]:
    lu, pivots = factors(xp, a)
    return determinants(xp, a, lu, pivots), lu, pivots


def _det_rule(xp: Any, g: tuple[Any, Any, Any], y0: Any, y1: Any, y2: Any, a: Any) -> list[Any]:
    cofactors = xp.apply(_adjugate, a, xp.expand_dims(y0, (-2, -1)), y1, y2)
    return [xp.expand_dims(g[0], (-2, -1)) * adjoint(xp, cofactors)]


def _det_jvp(xp: Any, y0: Any, y1: Any, y2: Any, a: Any, t_a: Any) -> tuple[Any, None, None]:
    cofactors = xp.apply(_adjugate, a, xp.expand_dims(y0, (-2, -1)), y1, y2)
    return xp.einsum("...ij,...ji->...", cofactors, t_a), None, None


_det = primitive(
    "linalg_det",
    _det_forward,
    joint=_det_rule,
    inputs=1,
    outputs=3,
    jvp=_det_jvp,
    batching=leading,
)
"""`_det(a)`: the determinant, and what `factors` gave."""


@public(
    path="linalg.det",
    numpy={"linalg.det": lambda a: det(inexact(a))},
    array_api="linalg.det",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 1, 2, 2)),
        sample(make.real(1, 1)),
        sample(make.real(0, 2, 2)),
        sample(make.real(2, 0, 0)),
        sample(make.complex(2, 2)),
    ],
    errors=_square_errors,
    waits=True,
    departs={"refuses: float16": "PyTorch has it for empty matrices only"},
)
def _linalg_det(A: Tensor) -> Tensor:
    """The determinant of square matrices.

    Args:
        A: `(*, n, n)`, float32, float64 or complex.

    Returns:
        `(*)`. The gradient is of cofactors, the second derivative of minors, for singular matrices
        too; the third derivative of these is nan. Of matrices from 32 by 32 on the CPU SciPy gives
        the factors, which are kept for the gradient. Else this eliminates the matrices again: of
        one large matrix, without SciPy, it takes some four times as long as in PyTorch.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    y: Tensor = _det(square("linalg.det", A))[0]
    return y


@public(
    methods=("det",),
    samples=lambda make: [sample(make.real(3, 3)), sample(make.complex(2, 2))],
    errors=_square_errors,
    waits=True,
    departs={"refuses: float16": "PyTorch has it for empty matrices only"},
)
def det(input: Tensor) -> Tensor:
    """The determinant of square matrices: `linalg.det`."""
    y: Tensor = _det(square("linalg.det", input))[0]
    return y


def _slogdet_forward(xp: Any, a: Array) -> tuple[Array, ...]:
    lu, pivots = factors(xp, a)
    return *log_determinants(xp, a, lu, pivots), lu, pivots


def _slogdet_rule(
    xp: Any, g: tuple[Any, Any, Any, Any], y0: Any, y2: Any, y3: Any, a: Any
) -> list[Any]:
    """The cotangent of `a` in the logarithm of its determinant: d a^-H."""
    of_sign, d, _, _ = g
    if a.dtype in COMPLEX and of_sign is not None:
        turn = 1j * xp.imag(xp.conj(of_sign) * y0)
        d = -turn if d is None else d - turn
    if d is None:
        return [None]
    return [xp.expand_dims(d, (-2, -1)) * adjoint(xp, xp.apply(_inv_by, a, y2, y3))]


def _slogdet_jvp(
    xp: Any, y0: Any, y2: Any, y3: Any, a: Any, t_a: Any
) -> tuple[Any, Any, None, None]:
    d = xp.einsum("...ij,...ji->...", xp.apply(_inv_by, a, y2, y3), t_a)
    if a.dtype in COMPLEX:
        return y0 * (1j * xp.imag(d)), xp.real(d), None, None
    return xp.zeros_like(y0), d, None, None


_slogdet = primitive(
    "linalg_slogdet",
    _slogdet_forward,
    joint=_slogdet_rule,
    inputs=1,
    outputs=4,
    jvp=_slogdet_jvp,
    batching=leading,
)
"""`_slogdet(a)`: the sign, the logarithm, and what `factors` gave."""


@public(
    path="linalg.slogdet",
    numpy={"linalg.slogdet": lambda a: slogdet(inexact(a))},
    array_api="linalg.slogdet",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 1, 2, 2)),
        sample(make.real(2, 0, 0)),
        sample(make.complex(2, 2)),
    ],
    errors=_square_errors,
)
def _linalg_slogdet(A: Tensor) -> SlogdetResult:
    """The sign and the logarithm of the absolute value of the determinant.

    Of matrices from 32 by 32 on the CPU SciPy gives the factors, which are kept for the gradient.
    Else this eliminates the matrices again: of one large matrix, without SciPy, it takes some four
    times as long as in PyTorch.

    Args:
        A: `(*, n, n)`, float32, float64 or complex.

    Returns:
        `(sign, logabsdet)`, both `(*)`; the sign of a complex determinant is det / |det|, and
        logabsdet is real. Of singular matrices they are 0 and -inf, with gradients that are nan.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    return SlogdetResult(*_slogdet(square("linalg.slogdet", A))[:2])


@public(
    methods=("slogdet",),
    samples=lambda make: [sample(make.real(3, 3)), sample(make.complex(2, 2))],
    errors=_square_errors,
)
def slogdet(input: Tensor) -> SlogdetResult:
    """The sign and the logarithm of the size of the determinant: `linalg.slogdet`."""
    return SlogdetResult(*_slogdet(square("linalg.slogdet", input))[:2])


@public(
    methods=("logdet",),
    samples=lambda make: [
        sample(_regular(make)),
        sample(np.stack([np.eye(2), -np.eye(2), np.diag([1.0, -1.0])]) + 0.1 * make.real(3, 2, 2)),
        sample(make.real(2, 0, 0)),
        sample(make.complex(2, 2)),
    ],
    errors=_square_errors,
)
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant of square matrices.

    Args:
        input: `(*, n, n)`, float32, float64 or complex.

    Returns:
        `(*)`; nan where the determinant is negative, with gradient 0, and -inf where it is 0.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    sign, size, _, _ = _slogdet(square("logdet", input))
    if sign._type.dtype.is_complex:
        return sign.log() + size
    y: Tensor = where(sign == -1.0, math.nan, size)
    return y
