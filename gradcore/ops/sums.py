"""Sums that leave nan out, the trace, distances, and slices cut down to a largest norm."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..op import primitive, promote, public, recorded, tensor_of
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim
from .norm import norm, vector_norm
from .pointwise import where
from .reduction import (
    Dims,
    DType,
    accumulate,
    aligned,
    canonical_dims,
    converted,
    sum,
)
from .shape import diagonal

__all__ = ["dist", "nanmean", "nansum", "renorm", "trace"]


# without nan -----------------------------------------------------------------------------------


def _nansum_forward(xp: Any, x: Array, dim: tuple[int, ...], keepdim: bool) -> Any:
    return accumulate(xp.sum, xp.keep(x, x == x), dim, keepdim)


_nansum = primitive(
    "nansum",
    _nansum_forward,
    lambda xp, g, x, x_shape, dim, keepdim: (
        xp.broadcast_to(aligned(xp, g, x_shape, dim, keepdim), x_shape) * (x == x)
    ),
)


def _sums(make: Maker) -> list[Sample]:
    return [
        sample(make.real()),
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3, 4), (0, -1), True),
        sample(make.real(2, 3), axis=1, keepdims=True),
        sample(make.real(2, 3), dim=1, dtype=dtypes.float64),
        sample(make.real(2, 0), 1),
        sample(make.real(0)),
    ]


def _face(function: Any) -> Any:
    def adapter(
        a: Tensor, axis: Dims = None, dtype: DType = None, *, keepdims: bool = False
    ) -> Tensor:
        result: Tensor = function(a, axis, keepdims, dtype=dtype)
        return result

    return adapter


@public(
    methods=("nansum",),
    numpy={"nansum": _face(lambda *a, **k: nansum(*a, **k))},
    kind="primitive",
    samples=lambda make: [*_sums(make), sample(make.integers(-3, 9, 2, 3), 0)],
    errors=lambda make: [
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
        bad(RuntimeError, "does not support complex inputs", make.complex(2)),
        bad(TypeError, "must be Tensor, not list", [1.0]),
    ],
)
def nansum(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: DType = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Sum over dimensions of the elements that are not nan.

    Args:
        input: `(*)`, not complex.
        dim: the dimension or dimensions; None or () for all.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first; see `sum`.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        The sums; 0 over nothing.

    Raises:
        DTypeError: complex input.
        DimensionError: a dimension is out of range.
    """
    x = tensor_of("nansum", input)
    if x._type.dtype.is_complex:
        raise DTypeError("nansum does not support complex inputs")
    chosen = dim if axis is None else axis
    keep = bool(keepdim if keepdims is None else keepdims)
    if not x._type.recordable:
        return sum(x, chosen, keep, dtype=dtype)
    if dtype is not None:
        x = converted(x, dtype)
    y: Tensor = _nansum(x, canonical_dims(chosen, len(x._shape)), keep)
    return y if dtype is None else converted(y, dtype)


@public(
    methods=("nanmean",),
    numpy={"nanmean": _face(lambda *a, **k: nanmean(*a, **k))},
    samples=_sums,
    errors=lambda make: [
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
        bad(RuntimeError, "floating point or complex dtype but got Long", make.integers(0, 3, 2)),
        bad(RuntimeError, "Optional dtype must be", make.real(3), dtype=dtypes.int64),
        bad(RuntimeError, "does not support complex inputs", make.complex(2)),
    ],
    departs={"node": "composite"},
)
def nanmean(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: DType = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Mean over dimensions of the elements that are not nan; the arguments are those of `nansum`.

    Returns:
        The means; nan over nothing.

    Raises:
        DTypeError: of integers or complex numbers.
    """
    x = tensor_of("nanmean", input)
    if not x._type.recordable:
        raise DTypeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{x._type.dtype.label}"
        )
    if x._type.dtype.is_complex:
        raise DTypeError("nanmean: nansum does not support complex inputs")
    if dtype is not None:
        target = dtypes.to_dtype(dtype)
        if not target.is_inexact:
            raise DTypeError(
                "nanmean(): could not infer output dtype. Optional dtype must be either a floating "
                f"point or complex dtype. Got: {target.label}"
            )
        x = converted(x, target)
    chosen = dim if axis is None else axis
    keep = bool(keepdim if keepdims is None else keepdims)
    count = sum(~recorded.isnan(x), chosen, keep)
    # Dividing by nan instead of 0 gives the nan of an empty mean without a warning.
    mean: Tensor = nansum(x, chosen, keep) / where(count == 0, math.nan, count.to(x.dtype))
    return mean


# the trace ---------------------------------------------------------------------------------------


@public(
    methods=("trace",),
    numpy={
        "trace": lambda a, offset=0, axis1=0, axis2=1: sum(diagonal(a, offset, axis1, axis2), -1)
    },
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 4)),
        sample(make.real(0, 0)),
        sample(make.complex(2, 2)),
        sample(make.integers(-3, 9, 2, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "expected a matrix, but got tensor with dim 1", make.real(3)),
        bad(RuntimeError, "expected a matrix, but got tensor with dim 3", make.real(1, 2, 3)),
        bad(RuntimeError, "not implemented for 'Bool'", make.boolean(2, 2)),
    ],
    departs={"node": "composite"},
)
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix.

    Args:
        input: `(n, m)`, not bool.

    Returns:
        0-d; of integers int64.

    Raises:
        ShapeError: it is no matrix.
        DTypeError: of bools.
    """
    x = tensor_of("trace", input)
    if len(x._shape) != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {len(x._shape)}")
    if x._type.dtype is dtypes.bool_:
        raise DTypeError("\"trace\" not implemented for 'Bool': convert it to int first.")
    return sum(diagonal(x))


# norms -------------------------------------------------------------------------------------------


@public(
    methods=("dist",),
    samples=lambda make: [
        sample(make.real(), make.real()),
        sample(make.real(2, 3), make.real(3)),
        sample(make.real(3), make.real(3), 1),
        sample(make.real(2, 3), make.real(2, 3), p=3.5),
        sample(make.real(3), make.real(3), float("inf")),
        sample(make.real(3), make.real(3), 0),
        sample(make.real(0), make.real(0)),
        sample(make.complex(3), make.complex(3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must match the size", make.real(2), make.real(3)),
        bad(
            RuntimeError,
            "floating point or complex",
            make.integers(0, 3, 2),
            make.integers(0, 3, 2),
        ),
        bad(RuntimeError, "the inf norm on an empty", make.real(0), make.real(0), float("inf")),
        bad(TypeError, "must be Tensor, not float", make.real(2), 1.0),
    ],
    departs={
        "node": "composite",
        "saves": "the difference, where p is 0",
        "derivative: 5": "PyTorch's double backward fails for p = 0",
    },
)
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The `p`-norm of the difference: `norm(input - other, p)`, which see for its derivatives.

    Args:
        input: `(*)`, floating point or complex.
        other: broadcasts against it.
        p: the order of the norm, a number.

    Returns:
        0-d, real.

    Raises:
        ShapeError: the shapes do not broadcast, or the norm of nothing has no value.
        DTypeError: of integers.
    """
    a, b = promote("dist", tensor_of("dist", input), tensor_of("dist", other))
    return norm(a - b, p)


@public(
    in_place=True,
    methods=("renorm",),
    samples=lambda make: [
        sample(make.real(3, 2), 2, 0, 1.0),
        sample(make.real(2, 3), 1, -1, 1.5),
        sample(make.real(2, 3, 2), p=3.0, dim=1, maxnorm=0.5),
        sample(make.real(3, 2), 2.5, axis=0, maxnorm=1.0),
        sample(make.real(0, 2), 2, 0, 1.0),
        sample(make.complex(2, 2), 2, 0, 0.5),
    ],
    errors=lambda make: [
        bad(RuntimeError, "needs at least 2 dimensions, got 1", make.real(3), 2, 0, 1.0),
        bad(RuntimeError, "non-positive-norm not supported", make.real(3, 2), 0, 0, 1.0),
        bad(RuntimeError, "expected maxnorm to be >= 0", make.real(3, 2), 2, 0, -1.0),
        bad(RuntimeError, "floating point or complex", make.integers(0, 3, 2, 2), 2, 0, 1.0),
        bad(IndexError, "Dimension out of range", make.real(3, 2), 2, 2, 1.0),
    ],
    departs={"node": "composite", "saves less": "of an empty operand nothing"},
)
def renorm(
    input: Tensor,
    p: float,
    dim: int | None = None,
    maxnorm: float | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """The slices along a dimension, those of a `p`-norm above `maxnorm` scaled down to it.

    Args:
        input: `(*)` of two dimensions or more, floating point or complex.
        p: the order of the norm, positive.
        dim: the dimension that counts the slices. Must be given.
        maxnorm: the largest norm, 0 or more. Must be given.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)`. A slice whose norm is just `maxnorm` stays as it is, and so does its gradient.

    Raises:
        ShapeError: `input` has less than two dimensions.
        ArgumentError: `p` or `maxnorm` is out of range.
        DTypeError: of integers.
        DimensionError: `dim` is out of range.
    """
    x = tensor_of("renorm", input)
    chosen = dim if axis is None else axis
    if chosen is None or maxnorm is None:
        raise ArgumentTypeError("renorm() missing the arguments 'dim' and 'maxnorm'.")
    if p <= 0:
        raise ArgumentError(f"renorm: non-positive-norm not supported: p = {p}.")
    if maxnorm < 0:
        raise ArgumentError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if len(x._shape) < 2:
        raise ShapeError(
            f"renorm: input needs at least 2 dimensions, got {len(x._shape)} dimensions"
        )
    if not x._type.recordable:
        raise DTypeError(
            "renorm: linalg.vector_norm: Expected a floating point or complex tensor as input. "
            f"Got {x._type.dtype.label}"
        )
    d = canonical_dim(chosen, len(x._shape))
    if 0 in x._shape:
        return x * 1.0
    norms = vector_norm(x, float(p), tuple([i for i in range(len(x._shape)) if i != d]), True)
    # PyTorch's constant keeps the result below the bound.
    scaled: Tensor = x * where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)
    return scaled
