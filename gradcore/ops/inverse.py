"""Inverses and determinants of square matrices, and solutions of linear systems."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..batching.array import BatchedArray, belongs
from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, LinAlgError, ShapeError
from ..mode import quiet
from ..op import primitive, promote, public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor
from .matrices import alike, fit, inexact, square
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


# singular matrices -----------------------------------------------------------------------------


def _zero_pivot(a: np.ndarray[Any, Any]) -> int:
    """The number, from 1, of the first pivot of a matrix on the host that is 0; 0 if none is."""
    a = a.copy()
    n = len(a)
    for k in range(n):
        largest = k + int(np.argmax(np.abs(a[k:, k])))
        if a[largest, k] == 0:
            return k + 1
        a[[k, largest]] = a[[largest, k]]
        a[k + 1 :, k:] -= np.outer(a[k + 1 :, k] / a[k, k], a[k, k:])
    return 0


def _is_singular(xp: Any, a: Array) -> Array:
    """Per matrix, whether its elimination ends at a pivot that is 0."""
    with quiet():
        return xp.module.asarray(xp.module.linalg.slogdet(a)[0] == 0)


def _host(xp: Any, array: Array) -> np.ndarray[Any, Any]:
    return array if xp.module is np else array.get()  # type: ignore[no-any-return]


_WORDS = {
    "linalg.solve": "The solver failed because the input matrix is singular.",
    "linalg.inv": (
        "The diagonal element {} is zero, the inversion could not be completed because the input "
        "matrix is singular."
    ),
}


def _refuse(xp: Any, a: Array, name: str) -> None:
    """Raise if a matrix is singular."""
    singular = _host(xp, _is_singular(xp, a))
    if not singular.any():
        return  # nan or infinite
    which = int(np.argmax(singular.reshape(-1)))
    pivot = _zero_pivot(_host(xp, a.reshape((-1, *a.shape[-2:]))[which])) or a.shape[-1]
    start = f"{name}: " if a.ndim == 2 else f"{name}: (Batch element {which}): "
    raise LinAlgError(start + _WORDS[name.removesuffix("_ex")].format(pivot))


def _without_singular(xp: Any, run: Any, a: Array) -> Array:
    """`run(a)`, which NumPy refuses for singular matrices; of these it is nan."""
    singular = _is_singular(xp, a)[..., None, None]
    y = run(np.where(singular, np.eye(a.shape[-1], dtype=a.dtype), a))
    return np.where(singular, y.dtype.type(math.nan), y)


def _attempt(xp: Any, run: Any, a: Array, name: str) -> Array:
    """`run(a)`, that needs regular matrices; with a `name` it raises where one is not."""
    try:
        y = run(a)
    except np.linalg.LinAlgError:
        if name:
            _refuse(xp, a, name)
        return _without_singular(xp, run, a)
    # CuPy divides by the pivot, and says nothing.
    if name and xp.module is not np and not bool(xp.isfinite(y).all()):
        _refuse(xp, a, name)
    return y


def _inverse(xp: Any, a: Array) -> Array:
    if xp.module is np or not a.size:
        return xp.module.linalg.inv(a)
    # Of a singular matrix in a batch cuBLAS's inverse is anything; a solution is not finite.
    one = xp.broadcast_to(xp.module.eye(a.shape[-1], dtype=a.dtype), a.shape)
    return xp.module.linalg.solve(a, one)


def _info_forward(xp: Any, a: Array, y: Array) -> Array:
    info = np.zeros(a.shape[:-2], np.int32)
    if not bool(xp.isfinite(y).all()):
        rows = _host(xp, a).reshape((-1, *a.shape[-2:]))
        for which in np.flatnonzero(_host(xp, _is_singular(xp, a))):
            info.reshape(-1)[which] = _zero_pivot(rows[which])
    return xp.module.asarray(info)


def _info_over_batches(level: Any, run: Any, a: Any, y: Any) -> Any:
    own = belongs(a, level)
    info = run(a.inner if own else a, y.inner if belongs(y, level) else y)
    return BatchedArray(level, info) if own else info


_info = primitive("linalg_info", _info_forward, None, None, batching=_info_over_batches)
"""`_info(a, y)`: LAPACK's, of the matrices `a` for which the result is `y`."""


# inverses and solutions ------------------------------------------------------------------------

_inv = primitive(
    "linalg_inv",
    lambda xp, a, name: _attempt(xp, lambda a: _inverse(xp, a), a, name),
    lambda xp, g, y: -xp.matmul(xp.matmul(xp.matrix_transpose(y), g), xp.matrix_transpose(y)),
    jvp=lambda xp, y, t_a: -xp.matmul(xp.matmul(y, t_a), y),
    bilinear=True,
    graph="LinalgInvExBackward0",
    batching=leading,
)
"""`_inv(a, name)`: `name` is that of the function that refuses singular matrices; "" for none."""


def inv_or_nan(A: Tensor) -> Tensor:
    """The inverse of square matrices, not finite for singular ones."""
    return _inv(A, "")


def _solve_forward(xp: Any, a: Array, b: Array, name: str) -> Array:
    if a.shape[:-2] != b.shape[:-2]:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a = xp.broadcast_to(a, (*batch, *a.shape[-2:]))
        b = xp.broadcast_to(b, (*batch, *b.shape[-2:]))
    if not b.size:
        return xp.zeros(b.shape, b)
    return _attempt(xp, lambda a: xp.module.linalg.solve(a, b), a, name)


def _solve_rule(
    xp: Any, g: Any, y: Any, a: Any, a_shape: Any, b_shape: Any, wanted: tuple[bool, ...]
) -> Any:
    """The cotangent of `b` is the solution with the transpose; that of `a` its product with y."""
    d = xp.apply(linear_solve, xp.matrix_transpose(a), g, "")
    return [
        xp.sum_to(-xp.matmul(d, xp.matrix_transpose(y)), a_shape) if wanted[0] else None,
        xp.sum_to(d, b_shape) if wanted[1] else None,
    ]


def _solve_jvp(xp: Any, y: Any, a: Any, t_a: Any, t_b: Any) -> Any:
    if t_a is None:
        return xp.apply(linear_solve, a, t_b, "")
    d = xp.matmul(t_a, y)
    return xp.apply(linear_solve, a, -d if t_b is None else t_b - d, "")


linear_solve = primitive(
    "linalg_solve",
    _solve_forward,
    joint=_solve_rule,
    inputs=2,
    jvp=_solve_jvp,
    bilinear=True,
    graph="LinalgSolveExBackward0",
    batching=leading,
)
"""`linear_solve(a, b, name)`: X of `a @ X = b`, with broadcasting; `name` as for `_inv`."""


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
    x = linear_solve(a, b, check)
    return x.squeeze(-1) if vector else x if left else x.mT, a, x


def _numpy_solve(a: Any, b: Any) -> Tensor:
    """numpy.linalg.solve, for which only what has one dimension is a vector."""
    a, b = promote("solve", inexact(a), inexact(b))
    if b.ndim == 1:
        return solve(a, b)
    return linear_solve(square("linalg.solve", a), b, "linalg.solve")


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

    The gradient eliminates the matrices a second time, where PyTorch keeps the factors: with few
    columns it takes up to six times as long. On a CUDA device the host waits, to see whether the
    matrices are regular.

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


def _adjugate_forward(xp: Any, a: Array) -> Array:
    if not a.size:
        return xp.zeros(a.shape, a)
    linalg = xp.module.linalg
    with quiet():
        det = linalg.det(a)[..., None, None]
        y = _attempt(xp, lambda a: _inverse(xp, a), a, "") * det
    if bool(xp.isfinite(y).all()):
        return y
    singular = _is_singular(xp, a)[..., None, None]
    u, s, vh = linalg.svd(xp.where(singular, a, xp.module.eye(a.shape[-1], dtype=a.dtype)))
    left = xp.conj(xp.matrix_transpose(vh)) * _but_one(xp, s)[..., None, :]
    cofactors = xp.matmul(left, xp.conj(xp.matrix_transpose(u)))
    factor = (linalg.det(u) * linalg.det(vh))[..., None, None]
    return xp.where(singular, cofactors * factor, y)


def _adjugate_rule(xp: Any, g: Any, y: Any, a: Any) -> Any:
    b = xp.apply(_inv, a, "")
    t = xp.matrix_transpose
    inside = xp.expand_dims(xp.einsum("...ij,...ij->...", g, b), (-2, -1))
    return inside * t(y) - xp.matmul(xp.matmul(t(y), g), t(b))


_adjugate = primitive(
    "adjugate", _adjugate_forward, _adjugate_rule, bilinear=True, batching=leading
)
"""`_adjugate(a)`: the transposed cofactors, det(a) a^-1 where there is an inverse; its own
derivative is nan where there is none."""


def _det_forward(xp: Any, a: Array) -> Array:
    with quiet():
        return xp.module.linalg.det(a)


_det = primitive(
    "linalg_det",
    _det_forward,
    lambda xp, g, a: xp.expand_dims(g, (-2, -1)) * xp.matrix_transpose(xp.apply(_adjugate, a)),
    jvp=lambda xp, a, t_a: xp.einsum("...ij,...ji->...", xp.apply(_adjugate, a), t_a),
    bilinear=True,
    batching=leading,
)


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
        `(*)`. The gradient is of cofactors, for singular matrices too; the second derivative of
        these is nan. It takes a second elimination, where PyTorch keeps the factors.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    return _det(square("linalg.det", A))


@public(
    methods=("det",),
    samples=lambda make: [sample(make.real(3, 3)), sample(make.complex(2, 2))],
    errors=_square_errors,
    waits=True,
    departs={"refuses: float16": "PyTorch has it for empty matrices only"},
)
def det(input: Tensor) -> Tensor:
    """The determinant of square matrices: `linalg.det`."""
    return _det(square("linalg.det", input))


def _slogdet_forward(xp: Any, a: Array) -> tuple[Array, Array]:
    with quiet():
        sign, size = xp.module.linalg.slogdet(a)
    return sign, size


def _of_diagonal(xp: Any, a: Any, d: Any) -> Any:
    """The cotangent of `a` in the logarithm of its determinant: d a^-H."""
    there = xp.conj(xp.matrix_transpose(xp.apply(_inv, a, "")))
    return xp.expand_dims(d, (-2, -1)) * there


def _slogdet_rule(xp: Any, g: Any, y0: Any, a: Any) -> Any:
    of_sign, of_size = g
    if np.dtype(a.dtype).kind != "c":
        return [None if of_size is None else _of_diagonal(xp, a, of_size)]
    d = of_size
    if of_sign is not None:
        turn = 1j * xp.imag(xp.conj(of_sign) * y0)
        d = -turn if d is None else d - turn
    return [_of_diagonal(xp, a, d)]


def _slogdet_jvp(xp: Any, y0: Any, a: Any, t_a: Any) -> Any:
    d = xp.einsum("...ij,...ji->...", xp.apply(_inv, a, ""), t_a)
    if np.dtype(a.dtype).kind != "c":
        return xp.zeros_like(y0), d
    return y0 * (1j * xp.imag(d)), xp.real(d)


_slogdet = primitive(
    "linalg_slogdet",
    _slogdet_forward,
    joint=_slogdet_rule,
    inputs=1,
    outputs=2,
    jvp=_slogdet_jvp,
    batching=leading,
)


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

    The gradient inverts the matrices, where PyTorch keeps their factors: up to eight times as long.

    Args:
        A: `(*, n, n)`, float32, float64 or complex.

    Returns:
        `(sign, logabsdet)`, both `(*)`; the sign of a complex determinant is det / |det|, and
        logabsdet is real. Of singular matrices they are 0 and -inf, with gradients that are nan.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    return SlogdetResult(*_slogdet(square("linalg.slogdet", A)))


@public(
    methods=("slogdet",),
    samples=lambda make: [sample(make.real(3, 3)), sample(make.complex(2, 2))],
    errors=_square_errors,
)
def slogdet(input: Tensor) -> SlogdetResult:
    """The sign and the logarithm of the size of the determinant: `linalg.slogdet`."""
    return SlogdetResult(*_slogdet(square("linalg.slogdet", input)))


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
    sign, size = _slogdet(square("logdet", input))
    if sign._type.dtype.is_complex:
        return sign.log() + size
    y: Tensor = where(sign == -1.0, math.nan, size)
    return y
