"""Norms of matrices, and what their singular values say: condition and rank."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..op import public, recorded, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor, canonical_dim
from .inverse import inv_or_nan
from .matrices import inexact, matrices, square
from .norm import as_dtype, norm, vector_norm
from .pointwise import where
from .reduction import Dims, DType, amax, amin
from .spectral import eigvalsh, singular_values

__all__ = ["frobenius_norm", "nuclear_norm"]

_SINGULAR: Final = (2.0, -2.0)
_SUMS: Final = (1.0, -1.0, math.inf, -math.inf)


def _order(name: str, ord: Any) -> Any:
    """The order of a norm of matrices.

    Raises:
        ArgumentError: it is none.
        ArgumentTypeError: it is no number.
    """
    if isinstance(ord, str):
        if ord in ("fro", "nuc"):
            return ord
    elif isinstance(ord, int | float | np.number):
        if float(ord) in _SINGULAR + _SUMS:
            return float(ord)
    else:
        raise ArgumentTypeError(
            f"linalg_{name}(): argument 'ord' must be a number or str, not "
            f"{type(ord).__qualname__}."
        )
    raise ArgumentError(f"linalg.matrix_norm: Order {ord} not supported.")


def _two(dim: Any, ndim: int) -> tuple[int, int]:
    """The dimensions of rows and columns.

    Raises:
        ArgumentError: they are not two.
    """
    if isinstance(dim, int):
        raise ArgumentTypeError(
            "linalg_matrix_norm(): argument 'dim' must be tuple of ints, not int"
        )
    dims = tuple(dim)
    if len(dims) != 2:
        listed = " ".join(map(str, dims))
        raise ArgumentError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {listed}")
    row, column = (canonical_dim(d, ndim) for d in dims)
    if row == column:
        raise ArgumentError(
            f"linalg.matrix_norm: dims must be different. Got ({dims[0]}, {dims[1]})"
        )
    return row, column


def _norm_of_matrices(name: str, A: Any, ord: Any, dim: Any, keepdim: bool, dtype: DType) -> Tensor:
    x = tensor_of("linalg.matrix_norm", A)
    order = _order(name, ord)
    if len(x._shape) < 2:
        raise ShapeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    row, column = _two(dim, len(x._shape))
    if not x._type.recordable:
        raise DTypeError(
            "linalg.matrix_norm: Expected a floating point or complex tensor as input. "
            f"Got {x._type.dtype.label}"
        )
    if order == "nuc" or order in _SINGULAR:
        matrices("linalg.matrix_norm", x)
    if dtype is not None:
        x = as_dtype("linalg.matrix_norm", x, dtypes.to_dtype(dtype))
    if order == "fro":
        return vector_norm(x, 2.0, (row, column), keepdim)
    if order == "nuc" or order in _SINGULAR:
        s = singular_values(x.movedim((row, column), (-2, -1)))
        y = s.sum(-1) if order == "nuc" else _largest(s) if order == 2.0 else amin(s, -1)
        if keepdim:
            y = y.unsqueeze(-1).unsqueeze(-1).movedim((-2, -1), (row, column))
        return y
    along, across = (row, column) if abs(order) == 1.0 else (column, row)
    sums = vector_norm(x, 1.0, (along,), True)
    y = _largest(sums, across) if order > 0 else amin(sums, across, True)
    return y if keepdim else y.squeeze((row, column))


def _largest(x: Tensor, dim: int | None = None) -> Tensor:
    """The largest along the last dimension, or along `dim`, which is kept; of nothing 0."""
    d = -1 if dim is None else dim
    if x._shape[d]:
        return amax(x, d, dim is not None)
    return x.detach().sum(d, dim is not None)


@public(
    path="linalg.matrix_norm",
    numpy={
        "linalg.matrix_norm": lambda x, keepdims=False, ord="fro": matrix_norm(
            inexact(x), ord, (-2, -1), keepdims
        )
    },
    array_api="linalg.matrix_norm",
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(2, 3, 2), "nuc", (0, 2), True),
        sample(make.real(2, 3, 2), 2, (2, -3)),
        sample(make.real(3, 2), -2, dtype=dtypes.float64),
        sample(make.real(2, 3, 2), axis=(0, 1), keepdims=True),
        sample(make.real(2, 3, 2), 1),
        sample(make.real(2, 3, 2), math.inf, (2, 0), True),
        sample(make.real(2, 3), -1, keepdim=True),
        sample(make.complex(2, 3), -math.inf),
        sample(make.complex(2, 2), "nuc"),
        sample(make.real(0, 3), 1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "Order abc not supported", make.real(2, 3), "abc"),
        bad(RuntimeError, "Order 3 not supported", make.real(2, 3), 3),
        bad(RuntimeError, r"must be different. Got \(0, 0\)", make.real(2, 3), 1, (0, 0)),
        bad(RuntimeError, "dim must be a 2-tuple. Got 0", make.real(2, 3), 1, (0,)),
        bad(IndexError, "out of range", make.real(2, 3), 1, (0, 2)),
        bad(RuntimeError, "Got Long", make.integers(0, 5, 2, 3)),
        bad(RuntimeError, "dtype should be real", make.real(2, 3), dtype=dtypes.complex128),
    ],
    waits=True,
    departs={"node": "composite"},
)
def matrix_norm(
    input: Tensor,
    ord: float | str = "fro",
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: DType = None,
    axis: tuple[int, int] | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Norms of matrices.

    Args:
        input: at least two dimensions, floating point or complex.
        ord: `"fro"`: of all elements as one vector; `"nuc"`: the sum of the singular values; 2 and
            -2: the largest and the smallest of these; 1 and -1: the largest and the smallest sum
            of |x| of a column; inf and -inf: of a row.
        dim: the dimensions of the rows and the columns.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first, without narrowing.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        The norms, real; 0 of empty matrices. What is attained twice shares its gradient.

    Raises:
        ArgumentError: there is no such norm, or `dim` are not two dimensions.
        ShapeError: less than two dimensions.
        DTypeError: of integers, float16 where singular values are needed, or a `dtype` that
            narrows or is of another kind.
        DimensionError: a dimension is out of range.
    """
    dim, keepdim = dim if axis is None else axis, keepdim if keepdims is None else keepdims
    return _norm_of_matrices("matrix_norm", input, ord, dim, bool(keepdim), dtype)


def _dims(dim: Dims) -> Dims:
    return tuple(dim) if isinstance(dim, list) else dim


@public(
    path="linalg.vector_norm",
    numpy={
        "linalg.vector_norm": lambda x, axis=None, keepdims=False, ord=2: _vector_norm(
            inexact(x), ord, axis, keepdims
        )
    },
    array_api="linalg.vector_norm",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3)),
        sample(make.real(2, 3), 1, -1, True),
        sample(make.real(2, 3, 2), 3, (0, 2)),
        sample(make.real(), 3, dim=0),
        sample(make.complex(2, 3), math.inf, 1, dtype=dtypes.complex128),
        sample(make.real(0, 2), 2, 0),
        sample(make.real(2, 3), 3, axis=0, keepdims=True),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Got Long", make.integers(0, 5, 3)),
        bad(TypeError, "must be Number, not str", make.real(3), "fro"),
        bad(IndexError, "out of range", make.real(2, 3), 2, (0, 2)),
        bad(RuntimeError, "cannot compute the inf norm", make.real(0), math.inf),
    ],
)
def _vector_norm(
    input: Tensor,
    ord: float = 2,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: DType = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The vector norm (sum of |x|**ord)**(1/ord) over dimensions: `norm` of numbers alone.

    Args:
        input: floating point or complex.
        ord: inf is the largest |x|, -inf the smallest, 0 counts what is not 0.
        dim: the dimension or dimensions; None for all, as one vector.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first, without narrowing.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        The norms, real; gradients as for `norm`.

    Raises:
        DTypeError: of integers, or a `dtype` that narrows or is of another kind.
        ShapeError: over nothing with `ord` < 0 or inf, which has no value.
        DimensionError: a dimension is out of range.
    """
    if not isinstance(ord, int | float | np.number):
        raise ArgumentTypeError(
            "linalg_vector_norm(): argument 'ord' (position 2) must be Number, not "
            f"{type(ord).__qualname__}"
        )
    dim, keepdim = dim if axis is None else axis, keepdim if keepdims is None else keepdims
    return norm(input, float(ord), _dims(dim), keepdim, dtype)


def _norm_of_numpy(x: Tensor, ord: Any = None, axis: Dims = None, keepdims: bool = False) -> Tensor:
    return _linalg_norm(inexact(x), ord, axis, keepdims)


@public(
    path="linalg.norm",
    numpy={"linalg.norm": _norm_of_numpy},
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3, 2)),
        sample(make.real(3), 3),
        sample(make.real(2, 3), 2),
        sample(make.real(2, 3), "nuc"),
        sample(make.real(2, 3, 2), 2, 1),
        sample(make.real(2, 3, 2), "fro", (0, 1), True),
        sample(make.real(2, 3), 1, dtype=dtypes.float64),
        sample(make.real(2, 3, 2), dim=(0, 1), keepdim=True),
        sample(make.real(2, 3, 2), axis=1, keepdims=True),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must be 1D or 2D. Got 3D", make.real(2, 3, 2), 2),
        bad(RuntimeError, "of length 1 or 2. Got", make.real(2, 3, 2), 2, (0, 1, 2)),
        bad(RuntimeError, "must be a 2-tuple. Got 0", make.real(2, 3), "nuc", 0),
        bad(RuntimeError, "Got Long", make.integers(0, 5, 3)),
    ],
    waits=True,
    departs={"node": "composite"},
)
def _linalg_norm(
    input: Tensor,
    ord: float | str | None = None,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: DType = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The norm of a vector or a matrix.

    Args:
        input: floating point or complex.
        ord: None: of all elements as one vector; else as for `linalg.vector_norm` over one
            dimension, and for `linalg.matrix_norm` over two.
        dim: one or two dimensions; None for all, of which there are one or two if `ord` is given.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first, without narrowing.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Raises:
        ArgumentError: there is no such norm, or `dim` are more than two dimensions.
        DTypeError: of integers, or a `dtype` that narrows or is of another kind.
        DimensionError: a dimension is out of range.
    """
    x = tensor_of("linalg.norm", input)
    dim, keepdim = dim if axis is None else axis, keepdim if keepdims is None else keepdims
    if ord is None:
        return norm(x, 2.0, _dims(dim), keepdim, dtype)
    dims: tuple[int, ...]
    if dim is not None:
        dims = (dim,) if isinstance(dim, int) else tuple(dim)
        if len(dims) not in (1, 2):
            raise ArgumentError(
                f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}"
            )
    else:
        dims = tuple(range(len(x._shape)))
        if len(dims) not in (1, 2):
            raise ShapeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
                f"Got {len(dims)}D."
            )
    if len(dims) == 2 or isinstance(ord, str):
        return _norm_of_matrices("norm", x, ord, dims, bool(keepdim), dtype)
    return _vector_norm(x, ord, dims, keepdim, dtype=dtype)


@public(
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(2, 3, 2), (0, 2), True),
        sample(make.real(2, 3, 2), axis=(0, 2), keepdims=True),
    ],
    errors=lambda make: [bad(RuntimeError, "must be a 2-tuple", make.real(2, 3), (0,))],
    waits=True,
    departs={"node": "composite"},
)
def nuclear_norm(
    input: Tensor,
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    axis: Any = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The sum of the singular values: `linalg.matrix_norm` with `"nuc"`.

    Args:
        input: at least two dimensions.
        dim: the dimensions of the rows and the columns.
        keepdim: keep them, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.
    """
    return matrix_norm(input, "nuc", dim, keepdim, axis=axis, keepdims=keepdims)


@public(
    samples=lambda make: [
        sample(make.real(2, 3), (0, 1)),
        sample(make.real(2, 3, 2), 1, True),
        sample(make.real(2, 3, 2), axis=1, keepdims=True),
    ],
    errors=lambda make: [bad(TypeError, "missing 1 required", make.real(2, 3))],
    departs={"node": "composite"},
)
def frobenius_norm(
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    axis: Any = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The root of the sum of squares over dimensions: `linalg.vector_norm`.

    Args:
        input: floating point or complex.
        dim: the dimension or dimensions.
        keepdim: keep them, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Raises:
        ArgumentTypeError: `dim` is missing.
    """
    if dim is None and axis is None:
        raise ArgumentTypeError("frobenius_norm() missing 1 required positional argument: 'dim'.")
    dim, keepdim = dim if axis is None else axis, keepdim if keepdims is None else keepdims
    return norm(input, 2.0, _dims(dim), keepdim)


# condition and rank ------------------------------------------------------------------------------


@public(
    path="linalg.cond",
    numpy={"linalg.cond": lambda x, p=None: cond(inexact(x), p)},
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 2, 3), -2),
        sample(make.real(2, 3, 3), 1),
        sample(make.real(3, 3), "nuc"),
        sample(make.real(3, 3), "fro"),
        sample(make.complex(2, 2), math.inf),
    ],
    errors=lambda make: [
        bad(RuntimeError, "square matrices", make.real(2, 3), 1),
        bad(RuntimeError, "at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "invalid norm type: abc", make.real(3, 3), "abc"),
        bad(RuntimeError, "invalid norm type: 3", make.real(3, 3), 3),
        bad(RuntimeError, "Expected a floating point", make.integers(0, 5, 3, 3)),
    ],
    waits=True,
    departs={"node": "composite", "derivative: 2, 4, 5": "PyTorch writes into what it has saved"},
)
def cond(input: Tensor, p: float | str | None = None) -> Tensor:
    """The condition of matrices with respect to a norm: their norms times those of the inverses.

    Args:
        input: `(*, n, n)`, for 2 and -2 `(*, m, n)`, float32, float64 or complex.
        p: a norm of `linalg.matrix_norm`; None is 2. For 2 and -2 it is a quotient of singular
            values.

    Returns:
        `(*)`, real; 0 of empty matrices, inf of singular ones.

    Raises:
        ArgumentError: there is no such norm.
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    x = tensor_of("linalg.cond", input)
    known = p in ("fro", "nuc") if isinstance(p, str) else p is None or p in _SINGULAR + _SUMS
    if not known:
        raise ArgumentError(f"linalg.cond got an invalid norm type: {p}")
    if len(x._shape) < 2:
        raise ShapeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    if 0 in x._shape[-2:]:
        return x.detach().abs().sum((-2, -1), dtype=x.real.dtype)
    if p is None or p in _SINGULAR:
        s = singular_values(matrices("linalg.svd", x))
        first, last = s[..., 0], s[..., -1]
        return last / first if p == -2.0 else first / last
    x = square(f"linalg.cond(ord={p})", x)
    if p == "nuc":
        s = singular_values(x)
        return s.sum(-1) * s.reciprocal().sum(-1)
    product = matrix_norm(x, p) * matrix_norm(inv_or_nan(x), p)
    # The inverse of a singular matrix is nan.
    y: Tensor = where(product != product, math.inf, product)
    return y


def _tolerance(name: str, value: Any, default: float | None) -> Any:
    """`value`, or the default for None; a Tensor is checked.

    Raises:
        DTypeError: it is complex.
    """
    if value is None:
        return default
    if isinstance(value, Tensor) and value._type.dtype.is_complex:
        raise DTypeError(
            f"{name} tensor of complex type is not supported. Got {value._type.dtype.label}"
        )
    return value


def tolerances(name: str, x: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """The absolute and the relative size up to which singular values of `x` are taken for 0.

    By default the second is eps * max(m, n), or 0 where the first is positive.

    Raises:
        DTypeError: one is complex.
    """
    eps = float(np.finfo(x._type.numpy).eps) * max(x._shape[-2:])
    absolute = _tolerance(f"{name}: atol", atol, 0.0)
    relative = _tolerance(f"{name}: rtol", rtol, None)
    if relative is None:
        if isinstance(absolute, Tensor):
            relative = where(absolute > 0, 0.0, eps)
        else:
            relative = 0.0 if absolute > 0 else eps
    return absolute, relative


@public(
    path="linalg.matrix_rank",
    numpy={
        "linalg.matrix_rank": lambda A, tol=None, hermitian=False, rtol=None: matrix_rank(
            inexact(A), atol=tol, rtol=rtol, hermitian=hermitian
        )
    },
    array_api="linalg.matrix_rank",
    differentiable=False,
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(2, 3, 1) * make.real(1, 1, 3)),
        sample(np.diag([2.0, 1.0, 0.1]), 0.3),
        sample(np.diag([2.0, 1.0, 0.1]), atol=0.3, rtol=0.6),
        sample(np.diag([2.0, 0.0, -0.1]), hermitian=True),
        sample(np.stack([np.diag([2.0, 1.0])] * 2), atol=np.array([0.5, 1.5])),
        sample(make.complex(2, 2)),
        sample(make.real(2, 0, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "float and double", make.integers(0, 5, 3, 3)),
        bad(RuntimeError, "square matrices", make.real(2, 3), hermitian=True),
    ],
    waits=True,
)
def matrix_rank(
    input: Tensor,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Tensor:
    """How many singular values of matrices are not taken for 0.

    Args:
        input: `(*, m, n)`, float32, float64 or complex.
        tol: old name of `atol`.
        hermitian: take the absolute eigenvalues of symmetric or Hermitian matrices instead.
        atol: a number or a Tensor `(*)`: what is not larger is taken for 0.
        rtol: likewise, in units of the largest; eps * max(m, n) by default, or 0 if `atol` is
            positive.

    Returns:
        int64, `(*)`.

    Raises:
        ShapeError: less than two dimensions, or Hermitian matrices that are not square.
        DTypeError: of integers or float16.
    """
    x = tensor_of("torch.linalg.matrix_rank", input)
    if len(x._shape) < 2:
        raise ShapeError(
            "torch.linalg.matrix_rank: The input tensor input must have at least 2 dimensions."
        )
    if not x._type.recordable:
        raise DTypeError("This function doesn't handle types other than float and double")
    x = matrices("linalg.matrix_rank", x.detach())
    if 0 in x._shape[-2:]:
        return x.new_zeros(x._shape[:-2], dtype=dtypes.int64)
    s = eigvalsh(square("linalg.eigh", x)).abs() if hermitian else singular_values(x)
    absolute, relative = tolerances(
        "torch.linalg.matrix_rank", x, tol if atol is None else atol, rtol
    )
    limit = recorded.maximum(relative * amax(s, -1), absolute)
    rank: Tensor = (s > limit.unsqueeze(-1)).sum(-1)
    return rank
