"""Products of several matrices, and of vectors along a dimension: chains, powers, Kronecker."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..op import operand, primitive, promote, public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor, canonical_dim
from .creation import eye, ones
from .inverse import inv
from .matrices import alike, fit, square
from .product import einsum, matmul, sum_of_none
from .reduction import cumprod
from .shape import cat, diagonal

__all__ = ["chain_matmul", "cross", "kron", "matrix_power", "vander"]


# chains ----------------------------------------------------------------------------------------


def _order(sizes: Sequence[int]) -> list[list[int]]:
    """Where to cut each range of a chain of matrices `sizes[i]` by `sizes[i + 1]`.

    Reference: Cormen, Leiserson, Rivest, Stein, Introduction to Algorithms, 15.2.
    """
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j], cut[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )
    return cut


def _chain(matrices: Sequence[Tensor], cut: list[list[int]], i: int, j: int) -> Tensor:
    if i == j:
        return matrices[i]
    k = cut[i][j]
    return matmul(_chain(matrices, cut, i, k), _chain(matrices, cut, k + 1, j))


@public(
    path="linalg.multi_dot",
    numpy={"linalg.multi_dot": lambda arrays: multi_dot(promote("multi_dot", *arrays))},
    samples=lambda make: [
        sample([make.real(2, 3), make.real(3, 4)]),
        sample([make.real(3), make.real(3, 4), make.real(4, 2), make.real(2, 3)]),
        sample((make.real(2, 3), make.real(3, 4), make.real(4))),
        sample([make.real(3), make.real(3)]),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least 2 tensors but got 1", [make.real(2, 3)]),
        bad(RuntimeError, "tensors 0 and 1 with shapes", [make.real(2, 3), make.real(2, 3)]),
        bad(RuntimeError, "first tensor must be 1D", [make.real(1, 2, 3), make.real(3, 2)]),
        bad(RuntimeError, "last tensor must be 1D", [make.real(2, 3), make.real(1, 3, 2)]),
        bad(
            RuntimeError,
            "tensor 1 must be 2D",
            [make.real(2, 3), make.real(1, 3, 2), make.real(2)],
        ),
        bad(RuntimeError, "same dtype", [make.real(2, 3), make.complex(3, 2)]),
        bad(TypeError, "must be tuple of Tensors", make.real(2, 3)),
    ],
    departs={"node": "composite"},
)
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of a chain of matrices, in the order of the fewest multiplications.

    Args:
        tensors: at least two: the first `(n,)` or `(n, k)`, the last `(m,)` or `(k, m)`, the
            others matrices, of one dtype.

    Returns:
        The product, without the dimensions that vectors lack.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
    """
    if not isinstance(tensors, list | tuple):
        raise ArgumentTypeError(
            "linalg_multi_dot(): argument 'tensors' (position 1) must be tuple of Tensors, "
            f"not {type(tensors).__qualname__}"
        )
    chain = list(tensors)
    count = len(chain)
    if count < 2:
        raise ArgumentError(f"multi_dot(): expected at least 2 tensors but got {count}")
    for number, t in enumerate(chain):
        ends = {0: "the first tensor", count - 1: "the last tensor"}
        name = ends.get(number, f"tensor {number}")
        if len(t._shape) not in ((1, 2) if number in ends else (2,)):
            wanted = "1D or 2D" if number in ends else "2D"
            raise ShapeError(f"multi_dot(): {name} must be {wanted} but got {t.ndim}D")
        if t._type.dtype is not chain[0]._type.dtype:
            raise DTypeError(
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                f"{chain[0].dtype} and tensor {number} {t.dtype}"
            )
    row, column = len(chain[0]._shape) == 1, len(chain[-1]._shape) == 1
    if row:
        chain[0] = chain[0].unsqueeze(0)
    if column:
        chain[-1] = chain[-1].unsqueeze(-1)
    for number, (a, b) in enumerate(itertools.pairwise(chain)):
        if a._shape[1] != b._shape[0]:
            raise ShapeError(
                f"multi_dot(): tensors {number} and {number + 1} with shapes {list(a._shape)} and "
                f"{list(b._shape)} cannot be multiplied"
            )
    sizes = [chain[0]._shape[0], *[t._shape[1] for t in chain]]
    y = _chain(chain, _order(sizes), 0, count - 1)
    if row:
        y = y.squeeze(0)
    return y.squeeze(-1) if column else y


@public(
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3, 4), make.real(4, 2)),
        sample(make.real(2, 3)),
    ],
    errors=lambda make: [bad(RuntimeError, "must be 2D", make.real(2, 3), make.real(3))],
    departs={"node": "composite"},
)
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of a chain of matrices; `linalg.multi_dot` takes vectors at its ends too.

    Args:
        matrices: of shapes that fit, of one dtype.

    Raises:
        ShapeError: one is no matrix, or the shapes do not fit.
    """
    for number, t in enumerate(matrices):
        if len(t._shape) != 2:
            raise ShapeError(
                f"chain_matmul: Tensor {number} must be 2D, but it is {len(t._shape)}D."
            )
    return matrices[0].clone() if len(matrices) == 1 else multi_dot(matrices)


@public(
    path="linalg.matrix_power",
    methods=("matrix_power",),
    numpy={"linalg.matrix_power": lambda a, n: matrix_power(a, n)},
    array_api="linalg.matrix_power",
    samples=lambda make: [
        sample(make.real(3, 3), 0),
        sample(make.real(3, 3), 1),
        sample(make.real(2, 2, 2), 3),
        sample(make.real(2, 2), 5),
        sample(make.real(2, 2) + 3 * np.eye(2), -2),
        sample(make.complex(2, 2), 2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "square matrices, but they are 2 by 3", make.real(2, 3), 2),
        bad(RuntimeError, "at least 2 dim", make.real(2), 2),
        bad(RuntimeError, "singular", np.ones((2, 2)), -1),
        bad(RuntimeError, "linalg.inv: Expected a floating", make.integers(0, 5, 2, 2), -1),
        bad(TypeError, "must be int, not float", make.real(2, 2), 2.0),
    ],
    waits=True,
    departs={"node": "composite"},
)
def matrix_power(input: Tensor, n: int) -> Tensor:
    """The product of `n` factors `input`, by squaring.

    Args:
        input: `(*, m, m)`.
        n: how often; for a negative number the inverse is taken.

    Returns:
        `(*, m, m)`; the identity for n = 0.

    Raises:
        ShapeError: the matrices are not square.
        LinAlgError: n is negative and a matrix is singular.
    """
    x = tensor_of("linalg.matrix_power", input)
    if len(x._shape) < 2 or x._shape[-1] != x._shape[-2]:
        square("linalg.matrix_power", x)
        raise ShapeError("linalg.matrix_power: The input tensor A must have at least 2 dimensions.")
    if not isinstance(n, int | np.integer) or isinstance(n, bool):
        raise ArgumentTypeError(
            "linalg_matrix_power(): argument 'n' (position 2) must be int, "
            f"not {type(n).__qualname__}"
        )
    if n == 0:
        one = eye(x._shape[-1], dtype=x.dtype, device=x.device).expand(x._shape)
        return one + sum_of_none(x)
    if n < 0:
        x, n = inv(x), -n
    y = None
    while True:
        if n & 1:
            y = x if y is None else matmul(y, x)
        n >>= 1
        if not n:
            break
        x = matmul(x, x)
    assert y is not None
    return y.clone() if y is input else y


# vectors ---------------------------------------------------------------------------------------


def _cross_forward(xp: Any, a: Any, b: Any, dim: int) -> Any:
    tail = (slice(None),) * (-dim - 1)
    a0, a1, a2 = [xp.getitem(a, (..., i, *tail)) for i in range(3)]
    b0, b1, b2 = [xp.getitem(b, (..., i, *tail)) for i in range(3)]
    return xp.stack((a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0), dim)


_cross = primitive(
    "linalg_cross",
    _cross_forward,
    lambda xp, g, b, a_shape, dim: xp.sum_to(xp.apply(_cross, b, g, dim), a_shape),
    lambda xp, g, a, b_shape, dim: xp.sum_to(xp.apply(_cross, g, a, dim), b_shape),
    bilinear=True,
    multilinear=True,
)
"""`_cross(a, b, dim)`: `dim` is negative, and the others broadcast."""


def _crossed(a: Any, b: Any, dim: int | None, first: bool) -> Tensor:
    """The cross product along `dim`; if it is None, along the first or the last of length 3."""
    x, y = tensor_of("linalg.cross", a), operand("linalg.cross", b, 1)
    ndim = len(x._shape)
    if ndim != len(y._shape):
        raise ShapeError("linalg.cross: inputs must have the same number of dimensions.")
    if dim is None and first:
        found = [d for d in range(ndim) if x._shape[d] == 3 and y._shape[d] == 3]
        if not found:
            raise ShapeError(
                "linalg.cross: no dimension of size 3 in input: inputs of shapes "
                f"{x._shape} and {y._shape}."
            )
        dim = found[0]
    d = canonical_dim(-1 if dim is None else dim, ndim)
    if x._shape[d] != 3 or y._shape[d] != 3:
        raise ShapeError(
            f"linalg.cross: inputs dimension {-1 if dim is None else dim} must have length 3. "
            f"Got {x._shape[d]} and {y._shape[d]}"
        )
    alike("linalg.cross", x, y, "input and other")
    if x._type.dtype is dtypes.bool_:
        raise DTypeError("\"cross\" not implemented for 'Bool': cast to a number first.")
    fit("linalg.cross", x._shape, y._shape)
    return _cross(x, y, d - ndim)


def _numpy_cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = promote("cross", a, b)
    x, y = x.movedim(axisa, -1), y.movedim(axisb, -1)
    ndim = max(x.ndim, y.ndim)
    x = x.reshape((1,) * (ndim - x.ndim) + x._shape)
    y = y.reshape((1,) * (ndim - y.ndim) + y._shape)
    return _crossed(x, y, -1, False).movedim(-1, axisc)


@public(
    methods=("cross",),
    numpy={"cross": _numpy_cross},
    samples=lambda make: [
        sample(make.real(3), make.real(3)),
        sample(make.real(2, 3), make.real(2, 3)),
        sample(make.real(3, 2), make.real(3, 1), dim=0),
        sample(make.real(3, 3), make.real(3, 3)),
        sample(make.real(3, 3), make.real(3, 3), axis=1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "no dimension of size 3", make.real(2, 4), make.real(2, 4)),
        bad(RuntimeError, "must have length 3. Got 2", make.real(2, 3), make.real(2, 3), dim=0),
    ],
    kind="primitive",
)
def cross(
    input: Tensor, other: Tensor, dim: int | None = None, *, axis: int | None = None
) -> Tensor:
    """The cross product of vectors of three elements.

    Args:
        input: length 3 along `dim`.
        other: the same number of dimensions and dtype; the other dimensions broadcast.
        dim: the dimension of the vectors; by default the first of length 3.
        axis: NumPy's name for `dim`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ, or they are bool.
    """
    return _crossed(input, other, dim if axis is None else axis, True)


@public(
    path="linalg.cross",
    numpy={"linalg.cross": lambda x1, x2, axis=-1: _numpy_cross(x1, x2, axis=axis)},
    array_api="linalg.cross",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(1, 3)),
        sample(make.real(3, 2), make.real(3, 2), dim=-2),
        sample(make.real(3, 2), make.real(3, 2), axis=0),
        sample(make.complex(3), make.complex(3)),
        sample(make.real(0, 3), make.real(0, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "same number of dim", make.real(2, 3), make.real(3)),
        bad(RuntimeError, "-1 must have length 3. Got 2 and 3", make.real(2), make.real(3)),
        bad(RuntimeError, "size of tensor a", make.real(2, 3), make.real(4, 3)),
        bad(RuntimeError, "dtype", make.real(3), make.complex(3)),
        bad(IndexError, "out of range", make.real(3), make.real(3), dim=1),
    ],
    kind="primitive",
)
def _linalg_cross(
    input: Tensor, other: Tensor, *, dim: int = -1, axis: int | None = None
) -> Tensor:
    """The cross product of vectors of three elements, as `cross`, along the last dimension.

    Args:
        input: length 3 along `dim`.
        other: the same number of dimensions and dtype; the other dimensions broadcast.
        dim: the dimension of the vectors.
        axis: NumPy's name for `dim`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ, or they are bool.
        DimensionError: `dim` is out of range.
    """
    return _crossed(input, other, dim if axis is None else axis, False)


@public(
    path="linalg.vecdot",
    numpy={
        "linalg.vecdot": lambda x1, x2, axis=-1: _numpy_vecdot(x1, x2, axis),
        "vecdot": lambda x1, x2, axis=-1: _numpy_vecdot(x1, x2, axis),
    },
    array_api="vecdot",
    samples=lambda make: [
        sample(make.real(3), make.real(3)),
        sample(make.real(2, 3), make.real(3), dim=-1),
        sample(make.real(3, 2), make.real(3, 1), dim=0),
        sample(make.real(3, 2), make.real(3, 1), axis=0),
        sample(make.complex(2, 3), make.complex(2, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "floating point or complex", *[make.integers(0, 5, 3)] * 2),
        bad(RuntimeError, "size of tensor a", make.real(3), make.real(4)),
        bad(IndexError, "out of range", make.real(3), make.real(3), dim=1),
    ],
    departs={"node": "composite"},
)
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, axis: int | None = None) -> Tensor:
    """Sums of the products of vectors along a dimension, the first conjugated.

    Args:
        x: floating point or complex.
        y: broadcasts with `x`.
        dim: the dimension of the vectors, of both after broadcasting.
        axis: NumPy's name for `dim`.

    Returns:
        `sum(conj(x) * y, dim)`.

    Raises:
        DTypeError: of integers.
        ShapeError: the shapes do not broadcast.
        DimensionError: `dim` is out of range.
    """
    a, b = promote("linalg.vecdot", x, y)
    if not a._type.recordable:
        raise DTypeError(
            "linalg.vecdot: Expected a floating point or complex tensor as input. "
            f"Got {a._type.dtype.label}"
        )
    return _along(a, b, dim if axis is None else axis)


def _numpy_vecdot(x1: Any, x2: Any, axis: int) -> Tensor:
    a, b = promote("vecdot", x1, x2)
    return _along(a, b, axis)


def _along(a: Tensor, b: Tensor, dim: int) -> Tensor:
    fit("linalg.vecdot", a._shape, b._shape)
    ndim = max(len(a._shape), len(b._shape))
    back = canonical_dim(dim, ndim) - ndim
    # An operand that lacks the dimension is the same along it.
    a, b = (t if len(t._shape) >= -back else t.expand(1, *t._shape) for t in (a, b))
    if a._type.dtype.is_complex:
        a = a.conj()
    return einsum("...i,...i->...", a.movedim(back, -1), b.movedim(back, -1))


@public(
    methods=("kron",),
    numpy={"kron": lambda a, b: kron(*promote("kron", a, b))},
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 2)),
        sample(make.real(2), make.real(2, 1, 2)),
        sample(make.real(), make.real(3)),
        sample(make.real(0, 2), make.real(2, 2)),
        sample(make.complex(2), make.real(2)),
    ],
    departs={"node": "composite", "saves": "an operand that PyTorch has copied"},
)
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of `input` times all of `other`, as one block.

    Args:
        input: any shape.
        other: any shape; of the two the one with fewer dimensions gets ones before them.

    Returns:
        Of the lengths of `input` times those of `other`.
    """
    a, b = promote("kron", input, other)
    ndim = max(len(a._shape), len(b._shape))
    outer = (1,) * (ndim - len(a._shape)) + a._shape
    inner = (1,) * (ndim - len(b._shape)) + b._shape
    blocks = a.reshape([n for length in outer for n in (length, 1)])
    block = b.reshape([n for length in inner for n in (1, length)])
    return (blocks * block).reshape([n * m for n, m in zip(outer, inner, strict=True)])


# Vandermonde matrices --------------------------------------------------------------------------


def _powers(x: Tensor, count: int) -> Tensor:
    """The powers of `x` from 0 on, along a new last dimension."""
    if not x._type.recordable:
        x = x.to(dtypes.int64)
    first = ones((*x._shape, 1), dtype=x.dtype, device=x.device)
    if count <= 1:
        return first[..., :count]
    rest = cumprod(x.unsqueeze(-1).expand(*x._shape, count - 1), -1)
    return cat([first, rest], -1)


@public(
    path="linalg.vander",
    samples=lambda make: [
        sample(make.real(3)),
        sample(make.real(2, 3), N=2),
        sample(make.complex(2), N=4),
        sample(np.array([0.0, 1.0, 2.0])),
        sample(make.real(), N=2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "N must be greater than 1", make.real(3), N=1),
        bad(RuntimeError, "N must be greater than 1", make.real()),
        bad(RuntimeError, "complex, and integer tensors, but got Bool", make.boolean(3)),
    ],
)
def _linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The Vandermonde matrices of rows `x**0, x**1, ..., x**(N - 1)` of each element.

    Args:
        x: `(*, n)`, or `()` for `(1,)`.
        N: how many powers, at least 2; by default n.

    Returns:
        `(*, n, N)`; int64 for integers.

    Raises:
        ArgumentError: `N` is less than 2.
        DTypeError: of bools or float16.
    """
    kind = x._type.dtype
    if kind is dtypes.bool_ or kind is dtypes.float16:
        raise DTypeError(
            "linalg.vander supports floating point, complex, and integer tensors, but got "
            f"{kind.label}"
        )
    shape = x._shape
    count = N if N is not None else shape[-1] if shape else 1
    if count <= 1:
        raise ArgumentError("N must be greater than 1.")
    return _powers(x if shape else x.reshape(1), count)


@public(
    numpy={"vander": lambda x, N=None, increasing=False: vander(x, N, increasing)},
    samples=lambda make: [
        sample(make.real(3)),
        sample(make.real(3), 2, True),
        sample(make.real(3), N=0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "one-dimensional", make.real(2, 3)),
        bad(RuntimeError, "non-negative", make.real(3), -1),
    ],
    departs={"node": "composite", "derivative: 0, 1": "PyTorch writes into what it has saved"},
)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix of rows `x**(N - 1), ..., x**1, x**0` of each element.

    Args:
        x: `(n,)`.
        N: how many powers; by default n.
        increasing: from `x**0` on instead.

    Returns:
        `(n, N)`; int64 for integers.

    Raises:
        ShapeError: `x` is no vector.
        ArgumentError: `N` is negative.
    """
    if len(x._shape) != 1:
        raise ShapeError("x must be a one-dimensional tensor.")
    count = x._shape[0] if N is None else N
    if count < 0:
        raise ArgumentError("N must be non-negative.")
    y = _powers(x, count)
    return y if increasing else y.flip(-1)


# other names -----------------------------------------------------------------------------------


@public(
    path="linalg.matmul",
    numpy={"linalg.matmul": lambda x1, x2: matmul(*promote("matmul", x1, x2))},
    samples=lambda make: [sample(make.real(2, 3), make.real(3, 2))],
    errors=lambda make: [
        bad(RuntimeError, "cannot be multiplied", make.real(2, 3), make.real(2, 3))
    ],
    departs={"node": "composite"},
)
def _linalg_matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product of the last two dimensions: `matmul`."""
    return matmul(input, other)


@public(
    path="linalg.diagonal",
    numpy={
        "linalg.diagonal": lambda x, offset=0: diagonal(x, offset, -2, -1),
    },
    array_api="linalg.diagonal",
    samples=lambda make: [
        sample(make.real(2, 3, 3)),
        sample(make.real(2, 3), offset=1, dim1=0, dim2=1),
    ],
    errors=lambda make: [bad(IndexError, "out of range", make.real(3))],
)
def _linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, a view: `diagonal` of the last two dimensions.

    Args:
        A: at least two dimensions.
        offset: which diagonal; above the main one if positive.
        dim1: the rows.
        dim2: the columns.

    Raises:
        DimensionError: a dimension is out of range.
    """
    return diagonal(A, offset, dim1, dim2)
