"""Vector norms, and the mean of a product."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..mode import quiet
from ..op import (
    NUMPY_FACES,
    OPS,
    declare_all,
    explain,
    primitive,
    promote,
    public,
    recorded,
    tensor_of,
)
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor
from .reduction import (
    Dims,
    DType,
    aligned,
    canonical_dims,
    mean,
    narrow,
    reduced_count,
    sum,
    ties,
)

__all__ = ["mul_mean", "norm"]

_HALF: Final = np.dtype(np.float16)
_COMPLEX: Final = frozenset({np.dtype(np.complex64), np.dtype(np.complex128)})


def _dot_over(a: Tensor, b: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    wide = dtypes.float32 if a.dtype is dtypes.float16 else None
    return sum(recorded.conj(a) * b, axis, keepdims, dtype=wide)


NUMPY_FACES["dot_over"] = _dot_over


# norms -----------------------------------------------------------------------------------------


def _norm_forward(xp: Any, x: Array, p: float, dim: tuple[int, ...], keepdim: bool) -> Any:
    if p == 2.0:
        y = xp.sqrt(xp.dot_over(x, x, dim, keepdim).real)
        return narrow(y, _HALF) if x.dtype == _HALF else y
    if p == math.inf and x.dtype not in _COMPLEX:
        # Two passes that only read, and no array of absolute values.
        top, bottom = (
            x.max(axis=dim, keepdims=keepdim),
            x.min(axis=dim, keepdims=keepdim),
        )
        return xp.maximum(top, -bottom)
    size = xp.absolute(x)
    if p == math.inf:
        return size.max(axis=dim, keepdims=keepdim)
    if p == -math.inf:
        return size.min(axis=dim, keepdims=keepdim)
    half = x.dtype == _HALF
    wide = np.float32 if half else size.dtype
    if p == 0.0:
        y = (x != 0).sum(axis=dim, keepdims=keepdim).astype(size.dtype)
    elif p == 1.0:
        y = xp.sum(size, axis=dim, dtype=wide, keepdims=keepdim)
    else:
        # 0 to a negative power, and powers that overflow, are infinite; PyTorch does not warn.
        with quiet():
            powers = size.astype(wide, copy=False) ** p
            y = xp.sum(powers, axis=dim, keepdims=keepdim) ** (1.0 / p)
    return narrow(y, _HALF) if half else y


def _direction(xp: Any, x: Any) -> Any:
    """The direction x / |x| of each element, and 0 at 0."""
    if x.dtype in _COMPLEX:
        # A quotient, which unlike sign(x) has a derivative: for x / inf it is 0.
        size = xp.absolute(x)
        return x / xp.where(size == 0, math.inf, size)
    return xp.sign(x)


def _norm_rule(
    xp: Any,
    g: Any,
    y: Any,
    x: Any,
    shape: tuple[int, ...],
    p: float,
    dim: tuple[int, ...],
    keepdim: bool,
) -> Any:
    """The cotangent of `x`.

    Where the norm is 0 it is taken as 0, and so are its own derivatives.
    """
    if p == 0.0:
        return None
    g = aligned(xp, g, shape, dim, keepdim)
    if p == 1.0:
        return _direction(xp, x) * g
    y = aligned(xp, y, shape, dim, keepdim)
    if p == 2.0:
        # g / inf is 0, and so is what it gives in the next order; x / y would be 0 / 0 there.
        return x * (g / xp.where(y == 0, math.inf, y))
    size = xp.absolute(x)
    if math.isinf(p):
        # As in PyTorch a nan attains the extreme too.
        return _direction(xp, x) * ties(xp, (size == y) | (size != size), g, dim)
    # |x|**(p - 1) / y**(p - 1) as one power, whose base is at most 1 for p > 0: it cannot overflow.
    if p < 2.0:
        # At x = 0 the power, or its derivative, is infinite; direction(0) = 0 is to win.
        size = xp.where(size == 0, 1.0, size)
    powers = (size / xp.where(y == 0, 1.0, y)) ** (p - 1.0)
    return _direction(xp, x) * (powers * xp.where(y == 0, 0.0, g))


vector_norm = primitive(
    "norm",
    _norm_forward,
    lambda xp, g, y, x, x_shape, p, dim, keepdim: _norm_rule(xp, g, y, x, x_shape, p, dim, keepdim),
    graph="LinalgVectorNormBackward0",
    saved_as={"p": "ord"},
)
"""`vector_norm(x, p, dim, keepdim)`: `p` a float, `dim` canonical, `x` inexact and not empty where
the norm of nothing has no value."""


def _norms(make: Maker) -> list[Sample]:
    inf = math.inf
    return [
        sample(make.real()),
        sample(make.real(3)),
        sample(make.real(2, 3)),
        sample(make.real(2, 3), "fro", 0),
        sample(make.real(2, 3), 2, -1, True),
        sample(make.real(2, 3, 4), 2.0, (0, 2)),
        sample(make.real(2, 3), None, dim=1),
        sample(make.real(2, 3), dim=None, keepdim=True),
        sample(make.real(3), dtype=dtypes.float64),
        *(sample(make.real(2, 3), p) for p in (1, 3, 1.5, 0.5, -1, -2, inf, -inf)),
        *(sample(make.real(2, 3), p, 1) for p in (1, 3, 1.5, 0.5, -1, inf, -inf)),
        sample(make.real(2, 3, 2), 3, (-1, 0), True),
        sample(make.real(2, 3, 2), inf, (-1, 0), True),
        sample(make.real(), 3, 0),
        sample(make.real(0)),
        sample(make.real(0), 3),
        sample(make.real(0, 2), inf, 1),
        sample(make.real(2, 0, 3), 1, 0),
        sample(make.complex(2, 3)),
        *(sample(make.complex(2, 3), p, 1) for p in (1, 2, 3, 1.5, inf)),
    ]


@public(
    methods=("norm",),
    kind="primitive",
    samples=_norms,
    errors=lambda make: [
        bad(RuntimeError, "Expected a floating point or complex.*Got Long", make.integers(0, 5, 3)),
        bad(RuntimeError, "cannot compute the inf norm on an empty", make.real(0), math.inf),
        bad(RuntimeError, "the -1.0 norm on the dimension 0", make.real(0, 2), -1, 0),
        bad(RuntimeError, "Order abc not supported", make.real(2, 3), "abc"),
        bad(RuntimeError, "dim must be a 2-tuple", make.real(2, 3, 4), "fro", (0, 1, 2)),
        bad(RuntimeError, "appears multiple times", make.real(2, 3), 2, (0, 0)),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2, 2),
        bad(RuntimeError, "without narrowing", make.real(3), dtype=dtypes.float32),
        bad(RuntimeError, "dtype should be real", make.real(3), dtype=dtypes.complex128),
        bad(RuntimeError, "must be a 2-tuple. Got 0 1 2", make.real(2, 3, 2), "nuc"),
        bad(TypeError, "p must be a number", make.real(3), [2]),
    ],
    departs={"second derivative: 28": "empty, p = 3: 0 here, nan in PyTorch"},
)
def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: Dims = None,
    keepdim: bool = False,
    dtype: DType = None,
) -> Tensor:
    """The vector norm (sum of |x|**p)**(1/p) over dimensions.

    Args:
        input: `(*)`, floating point or complex.
        p: the order, a number: inf is the largest |x|, -inf the smallest, 0 counts what is not 0.
            `"fro"` and None are 2; `"nuc"` is the sum of the singular values of matrices.
        dim: the dimension or dimensions; None or () for all, as one vector.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first, without narrowing.

    Returns:
        The norms, real; 0 over nothing. Where a norm is 0, its gradient is taken as 0, and for
        p < 1 also where an element is 0. Elements that share an extreme share its gradient. For
        p = 0 there is none.

    Raises:
        DTypeError: of integers, or a `dtype` that narrows or is of another kind.
        ArgumentError: an unknown `p`, or a dimension named twice.
        ShapeError: over nothing with p < 0 or inf, which has no value.
        DimensionError: a dimension is out of range.
    """
    x = input if input.__class__ is Tensor else tensor_of("norm", input)
    y: Tensor
    if p == "fro" or p is None:
        order = 2.0
        if p == "fro" and isinstance(dim, tuple | list) and len(dim) > 2:
            raise ArgumentError(f"norm: linalg.matrix_norm: dim must be a 2-tuple. Got {dim}.")
    elif isinstance(p, int | float | np.number):
        order = float(p)
    elif isinstance(p, str):
        declare_all()  # it is made of singular values, a later module
        dims = tuple(range(len(x._shape))) if dim is None else dim
        y = OPS["linalg.matrix_norm"].call(x, p, dims, keepdim, dtype=dtype)
        return y
    else:
        raise ArgumentTypeError(
            f"norm: p must be a number, 'fro', 'nuc' or None, not {type(p).__qualname__}."
        )
    if not x._type.recordable:
        raise DTypeError(
            "norm: linalg.vector_norm: Expected a floating point or complex tensor as input. "
            f"Got {x._type.dtype.label}"
        )
    if dtype is not None:
        x = as_dtype("norm: linalg.vector_norm", x, dtypes.to_dtype(dtype))
    dims = canonical_dims(dim, len(x._shape))
    if (order < 0 or order == math.inf) and 0 in x._shape:
        _refuse_nothing(x, order, dims, dim is not None)
    y = vector_norm(x, order, dims, bool(keepdim))
    return y


def as_dtype(name: str, x: Tensor, target: dtypes.dtype) -> Tensor:
    """`x` in a dtype of its kind that is not narrower.

    Raises:
        DTypeError: `target` is none.
    """
    source = x._type.dtype
    name += ": "
    if not target.is_inexact:
        raise DTypeError(f"{name}dtype should be floating point or complex, but got {target.label}")
    if target.is_complex is not source.is_complex:
        kind = "complex" if source.is_complex else "real"
        raise DTypeError(f"{name}dtype should be {kind} for {kind} inputs, but got {target.label}")
    if target.itemsize < source.itemsize:
        raise DTypeError(
            f"{name}the dtype of the input ({source.label}) should be convertible without "
            f"narrowing to the specified dtype ({target.label})"
        )
    return x if source is target else x.to(target)


def _refuse_nothing(x: Tensor, p: float, dims: tuple[int, ...], given: bool) -> None:
    """Raise if the norm over `dims` of the empty Tensor `x` has no value."""
    start = f"norm: linalg.vector_norm cannot compute the {p} norm on "
    end = " empty and the operation does not have an identity"
    if not given:
        raise ShapeError(f"{start}an empty tensor because the operation does not have an identity")
    for d in dims:
        if x._shape[d] == 0:
            raise ShapeError(f"{start}the dimension {d} because this dimension is{end}")


# the mean of a product -------------------------------------------------------------------------


def _mul_mean_forward(xp: Any, a: Array, b: Array, dim: tuple[int, ...], keepdim: bool) -> Any:
    y = xp.dot_over(a, b, dim, keepdim) / (reduced_count(a.shape, dim) or math.nan)
    return narrow(y, _HALF) if a.dtype == _HALF else y


def _share(xp: Any, g: Any, shape: tuple[int, ...], dim: tuple[int, ...], keepdim: bool) -> Any:
    """What of `g` reaches each element of a mean."""
    return aligned(xp, g / (reduced_count(shape, dim) or math.nan), shape, dim, keepdim)


_mul_mean = primitive(
    "mul_mean",
    _mul_mean_forward,
    lambda xp, g, b, b_shape, dim, keepdim: _share(xp, g, b_shape, dim, keepdim) * b,
    lambda xp, g, a, a_shape, dim, keepdim: _share(xp, g, a_shape, dim, keepdim) * a,
    multilinear=True,
)


@public(
    methods=("mul_mean",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(), make.real()),
        sample(make.real(3), make.real(3)),
        sample(make.real(2, 3), make.real(2, 3)),
        sample(make.real(2, 3), make.real(2, 3), 0),
        sample(make.real(2, 3), make.real(2, 3), -1, True),
        sample(make.real(2, 3, 4), make.real(2, 3, 4), (0, 2)),
        sample(make.real(2, 3, 4), make.real(2, 3, 4), dim=(-1, 1), keepdim=True),
        sample(make.real(2, 3), make.real(2, 3), axis=1, keepdims=True),
        sample(make.real(2, 3), make.real(2, 3), dim=None, keepdim=True),
        sample(make.real(2, 3), make.real(3)),
        sample(make.real(2, 1), make.real(1, 3), 0),
        sample(make.real(), make.real(2, 3), 1),
        sample(make.real(2, 3), 1.5),
        sample(make.real(0), make.real(0)),
        sample(make.real(2, 0, 3), make.real(2, 0, 3), 0),
        sample(make.complex(2, 3), make.complex(3), 1),
        sample(make.real(2, 3), make.complex(3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"size of tensor a \(3\) must match", make.real(2, 3), make.real(4)),
        bad(IndexError, "Dimension out of range", make.real(2, 3), make.real(3), 2),
        bad(
            RuntimeError,
            "could not infer output dtype",
            make.integers(0, 5, 3),
            make.integers(0, 5, 3),
        ),
    ],
    departs={"node": "one node", "second derivative: 13": "empty: 0 / 0 here, 0 in PyTorch"},
)
def mul_mean(
    input: Any,
    other: Any,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The mean of `input * other` over dimensions, without the array of products.

    Args:
        input: `(*)`, floating point or complex; float16 is accumulated in float32.
        other: what to multiply it with; broadcasts.
        dim: the dimension or dimensions of the product to average over; None or () for all.
        keepdim: keep them, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        `mean(input * other, dim, keepdim)`; nan over nothing.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: both are integers.
        DimensionError: a dimension is out of range.
    """
    a, b = input, other
    if (
        a.__class__ is not Tensor
        or b.__class__ is not Tensor
        or a._type is not b._type
        or not a._type.dtype.is_floating_point
    ):
        a, b = promote("mul_mean", input, other)
        if not a._type.dtype.is_floating_point:
            product = a * b
            return mean(product, dim if axis is None else axis, keepdim or bool(keepdims))
    shape = a._shape
    if shape != b._shape:
        try:
            shape = np.broadcast_shapes(shape, b._shape)
        except ValueError as error:
            raise explain("mul_mean", error, (a, b)) from error
        a, b = [t if t._shape == shape else recorded.broadcast_to(t, shape) for t in (a, b)]
    dims = canonical_dims(dim if axis is None else axis, len(shape))
    y: Tensor = _mul_mean(a, b, dims, bool(keepdim if keepdims is None else keepdims))
    return y
