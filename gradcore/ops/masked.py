"""Reductions, scans and normalisations of the elements that a mask keeps.

A masked-out element is replaced by what changes no result: 0 in a sum, 1 in a product, an infinity
in an extreme. So its gradient is 0, and a slice without elements gives that value, or nan for means
and medians.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError, DimensionError, DTypeError
from ..op import public, recorded, tensor_of
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim
from . import activation, order, pointwise, reduction
from .norm import norm as norm_of
from .reduction import Dims, DType, canonical_dims
from .reduction import sum as total
from .shape import broadcast_to, reshape

__all__: list[str] = []


# masks -------------------------------------------------------------------------------------------


def _mask_of(x: Tensor, mask: Any) -> Tensor:
    """`mask` as bools of the shape of `x`.

    Raises:
        DimensionError: it has more dimensions.
        ShapeError: it does not broadcast to the shape.
    """
    m = tensor_of("mask", mask)
    if len(m._shape) > len(x._shape):
        raise DimensionError(
            "masked: expected broadcastable mask (got mask dimensionality higher than of the input)"
        )
    m = m.to(dtypes.bool_)
    return m if m._shape == x._shape else broadcast_to(m.clone(), x._shape)


def _filled(x: Tensor, mask: Any, fill: Any) -> Tensor:
    """`x`, and `fill` where the mask does not hold."""
    if mask is None:
        return x
    if x._type.dtype is dtypes.bool_:
        fill = bool(fill)
    kept: Tensor = pointwise.where(_mask_of(x, mask), x, fill)
    return kept


def _bound(name: str, x: Tensor, largest: bool) -> Any:
    """The largest or the smallest value of the dtype of `x`.

    Raises:
        DTypeError: complex numbers and bools have none.
    """
    dtype = x._type.dtype
    if dtype.is_complex or dtype is dtypes.bool_:
        raise DTypeError(f"masked.{name}: identity of {name} on {dtype} input is not defined.")
    if dtype.is_floating_point:
        return np.inf if largest else -np.inf
    limits = np.iinfo(x._type.numpy)
    return int(limits.max if largest else limits.min)


def _bounded(name: str, x: Tensor, mask: Any, largest: bool) -> Tensor:
    """`x`, and that value where the mask does not hold."""
    return x if mask is None else _filled(x, mask, _bound(name, x, largest))


def _whole(x: Tensor, dtype: DType) -> Any:
    """The dtype of a sum or product: int64 for integers, unless one is given."""
    if dtype is not None or x._type.recordable:
        return dtype
    return dtypes.int64


def _as_asked(y: Tensor, x: Tensor, dtype: DType) -> Tensor:
    """`y` in the dtype that is given, or else in that of `x`."""
    target = x._type.dtype if dtype is None else dtypes.to_dtype(dtype)
    return y if y._type.dtype is target else y.to(target)


# samples -----------------------------------------------------------------------------------------


def _reductions(make: Maker) -> list[Sample]:
    return [
        sample(make.real(2, 3)),
        sample(make.real(2, 3), mask=make.boolean(2, 3)),
        sample(make.real(2, 3), 1, mask=np.array([True, False, True])),
        sample(make.real(2, 3, 2), (0, -1), keepdim=True, mask=np.array([1, 0])),
        sample(make.real(2, 3), dim=0, mask=np.array([[True], [False]]), dtype=dtypes.float64),
        sample(make.real(), mask=np.array(True)),
        sample(make.real(0, 2), 1, mask=np.zeros((0, 2), bool)),
    ]


def _along(make: Maker) -> list[Sample]:
    return [
        sample(make.real(4), 0),
        sample(make.real(2, 3), 1, mask=np.array([[True, False, True], [True, True, False]])),
        sample(make.real(2, 3, 2), dim=-2, mask=np.array([[True], [False], [True]])),
        sample(make.real(2, 3), 0, mask=np.array([[1, 0, 1], [0, 1, 1]]), dtype=dtypes.float64),
    ]


def _wrong(make: Maker) -> list[Any]:
    return [
        bad(IndexError, "mask dimensionality higher", make.real(3), 0, mask=make.boolean(1, 3)),
        bad(RuntimeError, "", make.real(2, 3), 0, mask=make.boolean(2)),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2, mask=make.boolean(3)),
        bad(TypeError, "must be Tensor, not list", make.real(2), 0, mask=[True, False]),
    ]


def _extremes(make: Maker) -> list[Sample]:
    return [*_reductions(make)[:-1], sample(make.integers(-3, 9, 2, 3), 1, mask=make.boolean(3))]


def _positions(make: Maker) -> list[Sample]:
    return [
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 1, mask=np.array([True, False, True])),
        sample(make.real(2, 3), dim=0, keepdim=True, mask=make.boolean(2, 3)),
        sample(make.real(2, 3), -1, dtype=dtypes.int64, mask=np.array([False, True, True])),
        sample(make.integers(-3, 9, 5), 0, mask=make.boolean(5)),
    ]


def _norms(make: Maker) -> list[Sample]:
    m = np.array([True, False, True])
    return [
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 2.0, 1, mask=m),
        sample(make.real(2, 3), 3, dim=(0, 1), keepdim=True, mask=m),
        sample(make.real(2, 3), float("inf"), 1, mask=m),
        sample(make.real(2, 3), float("-inf"), 1, mask=m),
        sample(make.real(3), 1, mask=np.array([False, False, False])),
    ]


def _wrong_norms(make: Maker) -> list[Any]:
    return [
        bad(IndexError, "mask dimensionality higher", make.real(3), mask=make.boolean(1, 3)),
        bad(RuntimeError, "floating point or complex", make.integers(0, 3, 2)),
    ]


def _deviations(make: Maker) -> list[Sample]:
    m = np.array([True, False, True])
    return [
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 1, mask=m),
        sample(make.real(2, 3), 1, False, mask=m),
        sample(make.real(2, 3, 3), (0, -1), correction=0.5, keepdim=True, mask=m),
        sample(make.integers(-3, 9, 2, 3), mask=m),
    ]


def _medians(make: Maker) -> list[Sample]:
    m = np.array([True, False, True])
    return [
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 1, mask=m),
        sample(make.real(3, 2), dim=0, keepdim=True, mask=m.reshape(3, 1)),
    ]


# reductions --------------------------------------------------------------------------------------


@public(path="masked.sum", samples=_reductions, errors=_wrong)
def sum(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Sum over dimensions of the elements that the mask keeps.

    Args:
        input: `(*)`, any dtype.
        dim: the dimension or dimensions; None or () for all.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        The sums, of integers int64; 0 over nothing.

    Raises:
        DimensionError: a dimension is out of range, or the mask has more than `input`.
        ShapeError: the mask does not broadcast.
    """
    x = tensor_of("masked.sum", input)
    dims = canonical_dims(dim, len(x._shape))
    return total(_filled(x, mask, 0), dims, bool(keepdim), dtype=_whole(x, dtype))


@public(path="masked.prod", samples=_reductions, errors=_wrong, departs={"node": "one node"})
def prod(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Product over dimensions of the elements that the mask keeps; arguments as those of `sum`.

    Returns:
        The products, of integers int64; 1 over nothing.
    """
    x = tensor_of("masked.prod", input)
    dims = canonical_dims(dim, len(x._shape))
    return reduction.prod(_filled(x, mask, 1), dims, bool(keepdim), dtype=_whole(x, dtype))


def _count(x: Tensor, dim: Dims, keepdim: bool, mask: Any, dtype: dtypes.dtype) -> Tensor:
    """How many elements are kept, in a real dtype; nan for 0, since 0 / 0 would warn."""
    kept = recorded.ones_like(x).to(dtypes.bool_) if mask is None else _mask_of(x, mask)
    count = total(kept, canonical_dims(dim, len(x._shape)), keepdim)
    found: Tensor = pointwise.where(count == 0, np.nan, count.to(dtype.to_real()))
    return found


@public(
    path="masked.mean",
    samples=_reductions,
    errors=lambda make: [
        *_wrong(make),
        bad(ValueError, "Could not infer output dtype", make.integers(0, 3, 2)),
    ],
)
def mean(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Mean over dimensions of the elements that the mask keeps; the arguments are those of `sum`.

    Returns:
        The means; nan over nothing.

    Raises:
        ArgumentError: of integers; convert them first, or pass `dtype`.
    """
    x = tensor_of("masked.mean", input)
    source = "Input" if dtype is None else "Optional"
    target = x._type.dtype if dtype is None else dtypes.to_dtype(dtype)
    if not target.is_inexact:
        raise ArgumentError(
            f"mean(): Could not infer output dtype. {source} dtype must be either a floating point "
            f"or complex dtype. Got: {target}"
        )
    count = _count(x, dim, bool(keepdim), mask, target)
    mean: Tensor = sum(x, dim, keepdim=keepdim, dtype=target, mask=mask) / count
    return mean


@public(path="masked.amax", samples=_extremes, errors=_wrong)
def amax(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The largest over dimensions of the elements that the mask keeps; they share its gradient.

    Args:
        input: `(*)`, integer or floating point.
        dim: the dimension or dimensions; None or () for all.
        keepdim: keep them, with length 1.
        dtype: that of the result; by default that of `input`.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        The extremes; the smallest value of the dtype where nothing is kept.

    Raises:
        DimensionError: a dimension is out of range, or the mask has more than `input`.
        DTypeError: complex numbers have no order.
    """
    x = tensor_of("masked.amax", input)
    dims = canonical_dims(dim, len(x._shape))
    kept = _bounded("amax", x, mask, False)
    return _as_asked(reduction.amax(kept, dims, bool(keepdim)), x, dtype)


@public(path="masked.amin", samples=_extremes, errors=_wrong)
def amin(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The smallest over dimensions of the elements that the mask keeps, as `amax` the largest.

    Returns:
        The extremes; the largest value of the dtype where nothing is kept.
    """
    x = tensor_of("masked.amin", input)
    dims = canonical_dims(dim, len(x._shape))
    kept = _bounded("amin", x, mask, True)
    return _as_asked(reduction.amin(kept, dims, bool(keepdim)), x, dtype)


@public(path="masked.argmax", differentiable=False, samples=_positions, errors=_wrong)
def argmax(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Where the largest of the elements that the mask keeps stands: the first one.

    Args:
        input: `(*)`, integer or floating point.
        dim: the dimension; None for all.
        keepdim: keep it, with length 1.
        dtype: that of the result.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        Indices, unlike those of `argmax` of the dtype of `input` by default.

    Raises:
        DimensionError: a dimension is out of range, or the mask has more than `input`.
        DTypeError: bool or complex input.
    """
    x = tensor_of("masked.argmax", input)
    kept = _bounded("argmax", x, mask, False)
    return _as_asked(reduction.argmax(kept, dim, bool(keepdim)), x, dtype)


@public(path="masked.argmin", differentiable=False, samples=_positions, errors=_wrong)
def argmin(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Where the smallest of the elements that the mask keeps stands, as `argmax` the largest."""
    x = tensor_of("masked.argmin", input)
    kept = _bounded("argmin", x, mask, True)
    return _as_asked(reduction.argmin(kept, dim, bool(keepdim)), x, dtype)


@public(path="masked.norm", samples=_norms, errors=_wrong_norms)
def norm(
    input: Tensor,
    ord: float | None = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The vector norm over dimensions of the elements that the mask keeps.

    Args:
        input: `(*)`, floating point or complex.
        ord: the order: see `norm`.
        dim: the dimension or dimensions; None or () for all.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        The norms, real; 0 over nothing, and inf for `ord` -inf.

    Raises:
        DimensionError: a dimension is out of range, or the mask has more than `input`.
        DTypeError: of integers.
    """
    x = tensor_of("masked.norm", input)
    if mask is not None and ord == -np.inf and not x._type.dtype.is_floating_point:
        raise DTypeError(f"masked.norm: input must be floating point, got {x._type.dtype}")
    fill = np.inf if ord == -np.inf else 0
    return norm_of(
        _filled(x, mask, fill), ord, canonical_dims(dim, len(x._shape)), bool(keepdim), dtype
    )


def _variance(
    name: str,
    x: Tensor,
    dim: Dims,
    unbiased: bool | None,
    correction: float | None,
    keepdim: bool,
    dtype: DType,
    mask: Any,
) -> Tensor:
    if unbiased is not None and correction is not None:
        raise ArgumentTypeError(f"masked.{name}: Only one of unbiased and correction may be given")
    if correction is None:
        correction = 1.0 if unbiased or unbiased is None else 0.0
    target = x._type.dtype if dtype is None else dtypes.to_dtype(dtype)
    if not target.is_inexact:
        target = dtypes.float32 if dtype is None else target
    compute = target if target.is_inexact else dtypes.float32
    count = _count(x, dim, True, mask, compute)
    deviation = x - sum(x, dim, keepdim=True, dtype=compute, mask=mask) / count
    squares = deviation * recorded.conj(deviation)
    result = sum(squares, dim, keepdim=keepdim, dtype=compute, mask=mask)
    if not keepdim:
        count = reshape(count, result._shape)
    rest = pointwise.clamp(count - correction, 0)
    return _as_asked(result / rest, x, target)


@public(
    path="masked.var",
    samples=_deviations,
    errors=_wrong,
    departs={"accepts: bool": "bools are numbers"},
)
def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Variance over dimensions of the elements that the mask keeps.

    Args:
        input: `(*)`, any dtype.
        dim: the dimension or dimensions; None or () for all.
        unbiased: True for correction 1, False for 0.
        correction: taken from the number of elements; 1 by default.
        keepdim: keep them, with length 1.
        dtype: that of the result; by default that of `input`, and float32 for integers.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        nan where no more elements than `correction` are kept.

    Raises:
        DimensionError: a dimension is out of range, or the mask has more than `input`.
        ArgumentTypeError: both `correction` and `unbiased` are given.
    """
    x = tensor_of("masked.var", input)
    return _variance("var", x, dim, unbiased, correction, bool(keepdim), dtype, mask)


@public(
    path="masked.std",
    samples=_deviations,
    errors=_wrong,
    departs={"accepts: bool": "bools are numbers"},
)
def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Standard deviation over dimensions of the elements that the mask keeps: the root of `var`.

    Returns:
        nan where no more elements than `correction` are kept. Where it is 0, the gradient is nan.
    """
    x = tensor_of("masked.std", input)
    y = _variance("std", x, dim, unbiased, correction, bool(keepdim), dtype, mask)
    deviation: Tensor = recorded.sqrt(y)
    return deviation


@public(path="masked.median", samples=_medians, errors=_wrong)
def median(
    input: Tensor,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The median along a dimension of the elements that the mask keeps and that are not nan.

    Args:
        input: `(*)`, integer or floating point.
        dim: the dimension.
        keepdim: keep it, with length 1.
        dtype: that of the result of integers.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        The medians; nan where nothing is kept.

    Raises:
        DimensionError: a dimension is out of range, or the mask has more than `input`.
        ArgumentError: integers of which nothing is kept.
    """
    x = tensor_of("masked.median", input)
    d = canonical_dim(dim, len(x._shape))
    whole = not x._type.dtype.is_floating_point
    floats = x.to(dtypes.float32) if whole else x
    y: Tensor = order.nanmedian(_filled(floats, mask, np.nan), d, bool(keepdim)).values
    if not whole:
        return y
    if bool(reduction.any(recorded.isnan(y))):
        raise ArgumentError(
            "masked median expects no fully masked out rows if dtype is not floating point"
        )
    return _as_asked(y, x, dtype)


@public(
    path="masked.logsumexp",
    samples=_reductions,
    errors=_wrong,
    departs={"values: complex128": "another multiple of 2 pi i, of one element"},
)
def logsumexp(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """log(sum(exp(x))) over dimensions of the elements that the mask keeps, without overflow.

    Args:
        input: `(*)`, any dtype.
        dim: the dimension or dimensions; None or () for all.
        keepdim: keep them, with length 1.
        dtype: that of the result; by default that of `input`.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        -inf where nothing is kept.

    Raises:
        DimensionError: a dimension is out of range, or the mask has more than `input`.
        ShapeError: the mask does not broadcast.
    """
    x = tensor_of("masked.logsumexp", input)
    if x._type.recordable:
        kept = _filled(x, mask, -np.inf)
    else:
        kept = _bounded("logsumexp", x, mask, False)
    dims = canonical_dims(dim, len(x._shape))
    return _as_asked(reduction.logsumexp(kept, dims, bool(keepdim)), x, dtype)


# scans and normalisations ------------------------------------------------------------------------


@public(path="masked.cumsum", samples=_along, errors=_wrong)
def cumsum(input: Tensor, dim: int, *, dtype: DType = None, mask: Tensor | None = None) -> Tensor:
    """Sums along a dimension of the elements up to each one that the mask keeps.

    Args:
        input: `(*)`, any dtype.
        dim: the dimension.
        dtype: that of the result; by default that of `input`.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        `(*)`.

    Raises:
        DimensionError: `dim` is out of range, or the mask has more dimensions than `input`.
        ShapeError: the mask does not broadcast.
    """
    x = tensor_of("masked.cumsum", input)
    d = canonical_dim(dim, len(x._shape))
    target = x._type.dtype if dtype is None else dtypes.to_dtype(dtype)
    return reduction.cumsum(_filled(x, mask, 0), d, dtype=target)


@public(
    path="masked.cumprod",
    samples=_along,
    errors=_wrong,
    departs={"complex derivative: 3": "PyTorch's gradient through dtype=float64 is not real"},
)
def cumprod(input: Tensor, dim: int, *, dtype: DType = None, mask: Tensor | None = None) -> Tensor:
    """Products, as `cumsum` the sums, along a dimension of the elements that the mask keeps.

    Backward takes up to six times as long as PyTorch's: see `cumprod` of all elements.
    """
    x = tensor_of("masked.cumprod", input)
    d = canonical_dim(dim, len(x._shape))
    target = x._type.dtype if dtype is None else dtypes.to_dtype(dtype)
    return reduction.cumprod(_filled(x, mask, 1), d, dtype=target)


@public(path="masked.softmax", samples=_along, errors=_wrong)
def softmax(input: Tensor, dim: int, *, dtype: DType = None, mask: Tensor | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) along a dimension of the elements that the mask keeps.

    Args:
        input: `(*)`, floating point.
        dim: the dimension.
        dtype: what `input` is converted to first.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        `(*)`; nan where nothing is kept.

    Raises:
        DimensionError: `dim` is out of range, or the mask has more dimensions than `input`.
        ShapeError: the mask does not broadcast.
    """
    x = tensor_of("masked.softmax", input)
    d = canonical_dim(dim, len(x._shape))
    kept = _bounded("softmax", x, mask, False)
    return activation.softmax(kept, d, dtype=dtype)


@public(path="masked.log_softmax", samples=_along, errors=_wrong)
def log_softmax(
    input: Tensor, dim: int, *, dtype: DType = None, mask: Tensor | None = None
) -> Tensor:
    """log(softmax(x)) along a dimension of the elements that the mask keeps, as `softmax`."""
    x = tensor_of("masked.log_softmax", input)
    d = canonical_dim(dim, len(x._shape))
    kept = _bounded("log_softmax", x, mask, False)
    return activation.log_softmax(kept, d, dtype=dtype)


@public(path="masked.softmin", samples=_along, errors=_wrong)
def softmin(input: Tensor, dim: int, *, dtype: DType = None, mask: Tensor | None = None) -> Tensor:
    """softmax(-x) along a dimension of the elements that the mask keeps, as `softmax`."""
    x = tensor_of("masked.softmin", input)
    d = canonical_dim(dim, len(x._shape))
    kept = _bounded("softmin", x, mask, True)
    return activation.softmax(-kept, d, dtype=dtype)


def _normalized(make: Maker) -> list[Sample]:
    return [
        sample(make.real(2, 3), 2.0, 1),
        sample(make.real(2, 3), 1, dim=-1, mask=np.array([True, False, True])),
        sample(make.real(3), 3.0, 0, eps=100.0, mask=np.array([True, False, True])),
    ]


def _wrong_normalized(make: Maker) -> list[Any]:
    return [bad(IndexError, "Dimension out of range", make.real(3), 2.0, 1)]


@public(path="masked.normalize", samples=_normalized, errors=_wrong_normalized)
def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: DType = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The elements that the mask keeps divided by their norm along a dimension; 0 elsewhere.

    Args:
        input: `(*)`, floating point or complex.
        ord: the order of the norm.
        dim: the dimension.
        eps: the least divisor.
        dtype: that of the result; by default that of `input`.
        mask: which elements count, True; broadcasts to `(*)`. None is all.

    Returns:
        `(*)`.

    Raises:
        DimensionError: `dim` is out of range, or the mask has more dimensions than `input`.
        ShapeError: the mask does not broadcast.
    """
    x = tensor_of("masked.normalize", input)
    d = canonical_dim(dim, len(x._shape))
    size = norm(x, ord, d, keepdim=True, dtype=dtype, mask=mask)
    quotient: Tensor = _filled(x, mask, 0) / pointwise.maximum(size, eps)
    return quotient


@public(
    path="masked.logaddexp",
    samples=lambda make: [
        sample(make.real(3), make.real(3)),
        sample(
            make.real(2, 3),
            make.real(3),
            input_mask=np.array([True, False, True]),
            other_mask=np.array([True, True, True]),
        ),
        sample(
            make.real(3),
            make.real(3),
            dtype=dtypes.float64,
            other_mask=np.array([True, True, True]),
        ),
    ],
    errors=lambda make: [
        bad(
            IndexError,
            "mask dimensionality higher",
            make.real(3),
            make.real(3),
            input_mask=make.boolean(1, 3),
        ),
    ],
    departs={
        "refuses: complex64, complex128": "NumPy has none",
        "second derivative: 1": "0 where an operand is masked out, nan in PyTorch",
    },
)
def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: DType = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:
    """log(exp(input) + exp(other)) without overflow, of the elements that the masks keep.

    Args:
        input: `(*)`, floating point.
        other: broadcasts against it.
        dtype: that of the result; by default that of `input`.
        input_mask: which elements of `input` count, True; broadcasts to it. None is all.
        other_mask: which elements of `other` do.

    Returns:
        -inf where both are masked out.

    Raises:
        DimensionError: a mask has more dimensions than its operand.
        ShapeError: the shapes do not broadcast.
    """
    a, b = tensor_of("masked.logaddexp", input), tensor_of("masked.logaddexp", other)
    kept = _bounded("logaddexp", a, input_mask, False)
    y = pointwise.logaddexp(kept, _bounded("logaddexp", b, other_mask, False))
    return _as_asked(y, a, dtype)
