"""Counting: distinct elements, histograms, and places among sorted boundaries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..batching.array import BatchedArray, Level, belongs, deepest
from ..batching.namespace import batched, spread
from ..device import Array
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    BatchingError,
    DimensionError,
    DTypeError,
    ShapeError,
)
from ..op import primitive, promote, public, recorded, tensor_of
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim, wrap
from .arithmetic import no_derivative
from .creation import arange
from .index import gather
from .order import argsort
from .pointwise import clamp, where
from .reduction import amax, amin, ordered
from .reduction import sum as total
from .shape import reshape

__all__ = [
    "bincount",
    "bucketize",
    "histc",
    "histogram",
    "searchsorted",
    "unique",
    "unique_consecutive",
]


def _linked(name: str, graph: str) -> Callable[[Tensor, Tensor, Array], Tensor]:
    """A function that gives a Tensor for a raw result, which cannot be differentiated."""
    rule = no_derivative(f"aten::{name}")
    return primitive(name, lambda xp, a, b, found: found, rule, rule, graph=graph)


def _refuse_batches(name: str, *tensors: Tensor) -> None:
    if deepest([t._array for t in tensors]) is not None:
        raise BatchingError(
            "vmap: We do not support batching operators that can output dynamic shape. Attempted "
            f"to vmap over {name}."
        )


# distinct elements -------------------------------------------------------------------------------

_unique_of_all = _linked("_unique2", "Unique2Backward0")
_unique_of_dim = _linked("unique_dim", "UniqueDimBackward0")
_unique_runs = _linked("unique_consecutive", "UniqueConsecutiveBackward0")


def _rows(name: str, x: Tensor, dim: int | None) -> tuple[Array, int]:
    """What is to be compared, along the first dimension; and where that is in `x`.

    Raises:
        DimensionError: `dim` is out of range.
        ShapeError: there are no elements to compare.
    """
    if dim is None:
        return x._array.reshape(-1), 0
    if not x._shape:
        raise DimensionError(f"{name}: Dimension specified as {dim} but tensor has no dimensions")
    d = canonical_dim(dim, len(x._shape))
    if 0 in x._shape[:d] + x._shape[d + 1 :]:
        raise ShapeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        )
    return x._type.xp.module.moveaxis(x._array, d, 0), d


class _Runs(NamedTuple):
    """Neighbours that are equal: their elements, of each element its run, and the lengths."""

    values: Array
    numbers: Array
    counts: Array


def _runs(module: Any, rows: Array) -> _Runs:
    n = rows.shape[0]
    flat = rows if rows.ndim == 1 else rows.reshape(n, -1 if rows.size else 1)
    new = flat[1:] != flat[:-1]
    if new.ndim > 1:
        new = new.any(axis=1)
    first = module.concatenate([module.ones(int(n > 0), bool), new])
    starts = module.nonzero(first)[0]
    ends = module.concatenate([starts[1:], module.full(int(n > 0), n)])
    return _Runs(rows[starts], module.cumsum(first) - 1, ends - starts)


def _answer(
    x: Tensor, link: Any, found: _Runs, dim: int, numbers: Array, wanted: tuple[bool, bool]
) -> Any:
    module = x._type.xp.module
    values = link(x, x, module.ascontiguousarray(module.moveaxis(found.values, 0, dim)))
    answers = [values]
    if wanted[0]:
        answers.append(wrap(numbers.astype(np.int64)))
    if wanted[1]:
        answers.append(wrap(found.counts.astype(np.int64)))
    return tuple(answers) if len(answers) > 1 else values


def _uniques(make: Maker) -> list[Sample]:
    x = make.integers(0, 3, 2, 5)
    return [
        sample(make.real()),
        sample(make.real(2, 3)),
        sample(x, return_inverse=True, return_counts=True),
        sample(x.astype(np.float64), return_counts=True),
        sample(make.integers(0, 2, 5, 2), dim=0, return_inverse=True, return_counts=True),
        sample(make.integers(0, 2, 2, 6).astype(np.float64), dim=-1, return_inverse=True),
        sample(make.real(0), return_inverse=True),
        sample(make.real(0, 2), dim=0),
    ]


def _wrong_uniques(make: Maker) -> list[Any]:
    return [
        bad(IndexError, "Dimension out of range", make.real(2, 3), dim=2),
        bad(IndexError, "tensor has no dimensions", make.real(), dim=0),
        bad(RuntimeError, "There are 0 sized dimensions", make.real(0, 2), dim=1),
        bad(RuntimeError, "does not support complex", make.complex(2)),
        bad(TypeError, "must be Tensor, not list", [1]),
    ]


@public(
    methods=("unique",),
    numpy={
        "unique": lambda ar, *, return_inverse=False, return_counts=False, axis=None: unique(
            ar, True, return_inverse, return_counts, axis
        )
    },
    array_api="unique_values",
    kind="primitive",
    samples=_uniques,
    errors=_wrong_uniques,
    waits=True,
    batched=False,
)
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in order, or along a dimension the distinct slices; no nan is another.

    Args:
        input: `(*)`, not complex.
        sorted: whether the order matters. They always have it.
        return_inverse: also give of each element the place among the distinct ones.
        return_counts: also give of each distinct one how often it is there.
        dim: the dimension; None for the elements. Slices are ordered by their first difference.

    Returns:
        The distinct ones, of which PyTorch does not know the derivative: backward raises
        NotImplementedError. With inverse, `(*)` or along `dim`, or counts, a tuple of all.

    Raises:
        DimensionError: `dim` is out of range.
        ShapeError: a dimension other than `dim` has length 0.
        DTypeError: complex numbers have no order.
    """
    x = ordered("unique", input)
    _refuse_batches("unique", x)
    rows, d = _rows("unique", x, dim)
    device = x._type.device

    def find(module: Any) -> tuple[_Runs, Array]:
        if rows.ndim == 1:
            order = argsort(wrap(rows))._array
        else:
            order = module.lexsort(rows.reshape(rows.shape[0], -1 if rows.size else 1).T[::-1])
        found = _runs(module, rows[order])
        inverse = module.empty_like(found.numbers)
        inverse[order] = found.numbers
        return found, inverse

    found, inverse = device.backend.on(device, find)
    if dim is None:
        inverse = inverse.reshape(x._shape)
    link = _unique_of_all if dim is None else _unique_of_dim
    return _answer(x, link, found, d, inverse, (return_inverse, return_counts))


@public(
    methods=("unique_consecutive",),
    kind="primitive",
    samples=_uniques,
    errors=_wrong_uniques,
    waits=True,
    batched=False,
)
def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The elements, or along a dimension the slices, without those that equal the one before.

    NumPy finds the runs, numbers them and counts them in passes of their own, where PyTorch takes
    one: that is six times as long.

    Args:
        input: `(*)`, not complex.
        return_inverse: also give of each element the place of its run.
        return_counts: also give the lengths of the runs.
        dim: the dimension; None for the elements in order.

    Returns:
        As `unique`, which see.

    Raises:
        DimensionError: `dim` is out of range.
        ShapeError: a dimension other than `dim` has length 0.
        DTypeError: of complex numbers.
    """
    x = ordered("unique_consecutive", input)
    _refuse_batches("unique_consecutive", x)
    rows, d = _rows("unique_consecutive", x, dim)
    device = x._type.device
    found = device.backend.on(device, lambda module: _runs(module, rows))
    numbers = found.numbers if dim is not None else found.numbers.reshape(x._shape)
    return _answer(x, _unique_runs, found, d, numbers, (return_inverse, return_counts))


# histograms --------------------------------------------------------------------------------------

_bins_of = _linked("bincount", "NotImplemented")
_histogram_of = _linked("histogram", "NotImplemented")


@public(
    methods=("bincount",),
    numpy={"bincount": lambda x, weights=None, minlength=0: bincount(x, weights, minlength)},
    kind="primitive",
    samples=lambda make: [
        sample(make.integers(0, 5, 7)),
        sample(make.integers(0, 5, 6), make.real(6)),
        sample(make.integers(0, 3, 4), weights=make.real(4), minlength=6),
        sample(make.integers(0, 3, 4), make.integers(0, 9, 4), 2),
        sample(make.integers(0, 3, 0), minlength=2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "1-d non-negative integral inputs", np.array([1, -2])),
        bad(RuntimeError, "1-d non-negative integral inputs", make.integers(0, 3, 2, 2)),
        bad(RuntimeError, "not implemented for 'Double'", make.real(3)),
        bad(RuntimeError, "minlength should be >= 0", make.integers(0, 3, 2), minlength=-1),
        bad(RuntimeError, "same length as input", make.integers(0, 3, 2), make.real(3)),
    ],
    waits=True,
    batched=False,
    departs={"node": "PyTorch writes torch::autograd::NotImplemented"},
)
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each whole number is there, or the sum of its weights.

    Args:
        input: `(n,)`, integers of 0 or more.
        weights: `(n,)`, real.
        minlength: the least length of the result.

    Returns:
        `(max(largest + 1, minlength),)`: int64, with weights float32 for such or else float64. It
        cannot be differentiated.

    Raises:
        ArgumentError: a negative number or `minlength`.
        ShapeError: the shapes do not fit.
        DTypeError: `input` is not of integers.
    """
    x = tensor_of("bincount", input)
    w = None if weights is None else tensor_of("bincount", weights)
    if x._type.recordable or x._type.dtype is dtypes.bool_:
        raise DTypeError(f"\"bincount\" not implemented for '{x._type.dtype.label}'")
    if minlength < 0:
        raise ArgumentError("minlength should be >= 0")
    if len(x._shape) != 1:
        raise ShapeError("bincount only supports 1-d non-negative integral inputs.")
    if w is not None and w._shape != x._shape:
        raise ShapeError("weights should be 1-d and have the same length as input")
    _refuse_batches("bincount", x, *([] if w is None else [w]))
    device = x._type.device

    def count(module: Any) -> Array:
        if x._array.size and int(x._array.min()) < 0:
            raise ArgumentError("bincount only supports 1-d non-negative integral inputs.")
        places = x._array.astype(np.int64)
        if w is None or not x._shape[0]:
            return module.bincount(places, minlength=minlength).astype(np.int64)
        found = module.bincount(places, w._array.real.astype(np.float64), minlength)
        return found.astype(np.float32 if w._type.dtype is dtypes.float32 else np.float64)

    found = device.backend.on(device, count)
    if w is None or not w._type.recordable or not x._shape[0]:
        return wrap(found)
    return _bins_of(w, w, found)


def _bin_count(name: str, bins: Any) -> int:
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer):
        raise ArgumentTypeError(
            f"{name}(): argument 'bins' (position 2) must be int, not {type(bins).__qualname__}"
        )
    if bins <= 0:
        raise ArgumentError(f"{name}(): bins must be > 0, but got {bins} for dimension 0")
    return int(bins)


def _range_of(name: str, x: Tensor, low: float, high: float, margin: float) -> tuple[Any, Any]:
    """The ends of a histogram: as given, or where they are equal, those of the elements of `x`.

    Where these are equal too, `margin` is between them and the ends.

    Raises:
        ArgumentError: they are not finite. Those of elements on a device are not looked at.
    """
    ends: tuple[Any, Any] = low, high
    if low == high and x._array.size:
        ends = amin(x), amax(x)
        if isinstance(x._array, np.ndarray):
            low, high = float(ends[0]), float(ends[1])
            ends = low, high
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ArgumentError(f"{name}: range of [{low:g}, {high:g}] is not finite")
    if isinstance(ends[0], Tensor):
        apart = margin * recorded.astype(ends[0] == ends[1], x._type.numpy)
        return ends[0] - apart, ends[1] + apart
    return (low - margin, high + margin) if low == high else (low, high)


def _positions(x: Tensor, low: Any, high: Any, bins: int) -> tuple[Tensor, Tensor]:
    """Of each element the number of its bin, and whether it is in one."""
    inside = (x >= low) & (x <= high)
    place = where(inside, (x - low) * bins / (high - low), 0.0)
    return clamp(place.to(dtypes.int64), 0, bins - 1), inside


def _tally(place: Tensor, amount: Tensor, bins: int) -> Tensor:
    numbers = place._array
    if isinstance(numbers, np.ndarray) and isinstance(amount._array, np.ndarray):
        # Three times as fast as adding to zeros; a double counts exactly up to 2**53.
        counted = np.bincount(numbers, amount._array, bins)
        return wrap(counted.astype(amount._type.numpy))
    found: Tensor = recorded.put_along_axis(amount, place, (bins,), 0)
    return found


@public(
    methods=("histc",),
    differentiable=False,
    samples=lambda make: [
        sample(make.real(2, 3), 4),
        sample(make.real(7), bins=3, min=-1, max=1.5),
        sample(make.real(), 2),
        sample(make.real(0), 3),
        sample(np.array([1.0, 1.0]), 3),
        sample(np.array([0.0, 1.0, 2.0, 3.0]), 3, 0, 3),
    ],
    errors=lambda make: [
        bad(RuntimeError, "bins must be > 0", make.real(3), 0),
        bad(RuntimeError, "max must be larger than min", make.real(3), 3, 2, 1),
        bad(RuntimeError, "is not finite", np.array([1.0, np.inf]), 3),
        bad(RuntimeError, "not implemented for 'Long'", make.integers(0, 3, 2)),
        bad(TypeError, "must be int, not float", make.real(3), 2.5),
    ],
)
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements there are in each of `bins` intervals of one length.

    On the CPU that is ten passes over the elements, where PyTorch needs two: it takes three times
    as long.

    Args:
        input: `(*)`, floating point. Elements outside, and nan, are not counted.
        bins: the number of intervals.
        min: where the first one begins. If it is `max`, they span the elements.
        max: where the last one ends, with its end.

    Returns:
        `(bins,)`, of the dtype of `input`.

    Raises:
        ArgumentError: no intervals, or ends that are not finite or in this order.
        DTypeError: another dtype.
    """
    x = tensor_of("histc", input).detach()
    if not x._type.dtype.is_floating_point:
        raise DTypeError(f"\"histogram_cpu\" not implemented for '{x._type.dtype.label}'")
    count = _bin_count("histc", bins)
    if max < min:
        raise ArgumentError("histc: max must be larger than min")
    dtype = x._type.dtype
    x = reshape(x, (-1,))
    if dtype is dtypes.float16:
        x = x.to(dtypes.float32)
    place, inside = _positions(x, *_range_of("histc", x, min, max, 1), count)
    return _tally(place, inside.to(dtypes.int64), count).to(dtype)


class Histogram(NamedTuple):
    """What `histogram` returns.

    Attributes:
        hist: the counts, or sums of weights, or densities.
        bin_edges: where the intervals begin and end.
    """

    hist: Tensor
    bin_edges: Tensor


def _edges_between(x: Tensor, low: Any, high: Any, bins: int) -> Tensor:
    """`bins + 1` numbers from `low` to `high`, exact at both ends."""
    number = arange(bins + 1, dtype=x._type.dtype, device=x.device)
    step = (high - low) / bins
    edges: Tensor = where(
        number < (bins + 1) / 2, low + step * number, high - step * (bins - number)
    )
    return edges


@public(
    methods=("histogram",),
    numpy={
        "histogram": lambda a, bins=10, range=None, density=None, weights=None: histogram(
            a, bins, range=range, weight=weights, density=bool(density)
        )
    },
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 4),
        sample(make.real(7), 3, range=(-1.0, 1.5)),
        sample(make.real(6), np.array([-1.5, 0.0, 0.5, 1.5])),
        sample(make.real(2, 3), bins=3, weight=make.real(2, 3), density=True),
        sample(make.real(0), 2),
        sample(np.array([1.0, 1.0]), 2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "bins must be > 0", make.real(3), 0),
        bad(RuntimeError, "min should not exceed max", make.real(3), 2, range=(3.0, 0.0)),
        bad(RuntimeError, "not implemented for 'Long'", make.integers(0, 3, 2), 3),
        bad(RuntimeError, "same shape as the input", make.real(3), 2, weight=make.real(2)),
        bad(RuntimeError, "should have one dimension", make.real(3), make.real(2, 2)),
        bad(RuntimeError, "should have the same dtype", make.real(3), np.array([1, 2])),
    ],
    departs={"node": "PyTorch writes torch::autograd::NotImplemented"},
)
def histogram(
    input: Tensor,
    bins: Any = 100,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """How many elements, or how much weight, there is in each interval.

    Args:
        input: `(*)`, float32 or float64. Elements outside, and nan, are not counted.
        bins: the number of intervals of one length, or a Tensor `(m + 1,)` of their sorted ends.
        range: where the first begins and the last ends; those of the elements by default.
        weight: of each element, `(*)`.
        density: divide by the sum of all, and by the lengths of the intervals.

    Returns:
        A named tuple `(hist, bin_edges)` of `(m,)` and `(m + 1,)`, of the dtype of `input`. An
        interval has its beginning, and the last its end too. It cannot be differentiated.

    Raises:
        ArgumentError: no intervals, or ends that are not finite or in this order.
        ShapeError: the shapes do not fit.
        DTypeError: another dtype.
    """
    x = tensor_of("histogram", input)
    if x._type.dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError(f"\"histogramdd\" not implemented for '{x._type.dtype.label}'")
    w = None if weight is None else tensor_of("histogram", weight)
    if w is not None and w._shape != x._shape:
        raise ShapeError(
            "histogram: if weight tensor is provided it should have the same shape as the input "
            f"tensor, but got input with shape {x._shape} and weight with shape {w._shape}"
        )
    flat = reshape(x.detach(), (-1,))
    edges, count, ends = _edges_of(flat, bins, range)
    if ends is None:
        place = searchsorted(edges, flat, right=True) - 1
        inside = (place >= 0) & (flat <= edges[-1])
        place = clamp(place, 0, count - 1)
    else:
        # Of intervals of one length the number is computed; rounding may put it off by one.
        place, inside = _positions(flat, ends[0], ends[1], count)
        place = place - ((flat < edges[place]) & (place > 0)).to(dtypes.int64)
        place = place + ((flat >= edges[place + 1]) & (place < count - 1)).to(dtypes.int64)
    amount = inside.to(flat.dtype) if w is None else reshape(w.detach(), (-1,)) * inside
    found = _tally(place, amount.to(flat.dtype), count)
    if density:
        found = found / total(found) / (edges[1:] - edges[:-1])
    w = x if w is None else w
    return Histogram(_histogram_of(x, w, found._array), _histogram_of(x, w, edges._array))


def _edges_of(x: Tensor, bins: Any, range: Any) -> tuple[Tensor, int, Any]:
    """The edges, the number of intervals, and the first and last edge if they have one length."""
    if isinstance(bins, Tensor):
        if len(bins._shape) != 1:
            raise ShapeError(
                "histogram: bins tensor should have one dimension, but got "
                f"{len(bins._shape)} dimensions in the bins tensor for dimension 0"
            )
        if bins._type.dtype is not x._type.dtype:
            raise DTypeError(
                "histogram: input tensor and bins tensors should have the same dtype, but got "
                f"input with dtype {x.dtype} and bins for dimension 0 with dtype {bins.dtype}"
            )
        if not bins._shape[0]:
            raise ShapeError(
                "histogram: bins tensor should have at least 1 element, but got 0 elements in the "
                "bins tensor for dimension 0"
            )
        return bins.detach().clone(), bins._shape[0] - 1, None
    count = _bin_count("histogram", bins)
    low, high = (0.0, 0.0) if range is None else (float(range[0]), float(range[1]))
    if low > high:
        raise ArgumentError(
            f"histogram: min should not exceed max, but got min {low:g} max {high:g} for "
            "dimension 0"
        )
    if range is None and not x._array.size:
        high = 1.0
    elif range is not None and low == high:
        low, high = low - 0.5, high + 0.5
    ends = _range_of("histogram", x, low, high, 0.5)
    return _edges_between(x, *ends, count), count, ends


# places among boundaries -------------------------------------------------------------------------


def _search_forward(xp: Any, boundaries: Array, x: Array, right: bool) -> Array:
    if boundaries.ndim == 1:
        side = "right" if right else "left"
        return xp.module.searchsorted(boundaries, x, side=side)
    low = xp.module.zeros(x.shape, np.int64)
    n = boundaries.shape[-1]
    if not n:
        return low
    high = low + n
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        found = xp.take_along_axis(boundaries, xp.minimum(middle, n - 1), axis=-1)
        after = ~(found > x) if right else ~(found >= x)  # so that nan stands behind all
        after = after & (low < high)
        low, high = xp.where(after, middle + 1, low), xp.where(after, high, middle)
    return low


def _search_batches(level: Level, run: Any, boundaries: Any, x: Any, right: bool) -> Any:
    if boundaries.ndim == 1 and not belongs(boundaries, level):
        return BatchedArray(level, run(boundaries, x.inner, right))
    rows = spread(x, level)
    if boundaries.ndim > 1:
        return BatchedArray(level, run(spread(boundaries, level), rows, right))
    y = run(boundaries.inner, batched.reshape(rows, (level.size, x.size)), right)
    return BatchedArray(level, batched.reshape(y, (level.size, *x.shape)))


_search = primitive(
    "searchsorted",
    lambda xp, boundaries, x, right: _search_forward(xp, boundaries, x, right),
    None,
    None,
    batching=_search_batches,
)


def _searched(name: str, boundaries: Tensor, x: Any, right: bool, out_int32: bool) -> Tensor:
    a, b = promote(name, boundaries, x)
    if a.is_complex() or a._type.dtype is dtypes.bool_:
        raise DTypeError(f"\"{name}\" not implemented for '{a._type.dtype.label}'")
    y: Tensor = _search(a, b, right)
    return y.to(dtypes.int32) if out_int32 else y


@public(
    numpy={
        "searchsorted": lambda a, v, side="left", sorter=None: searchsorted(
            a, v, side=side, sorter=sorter
        )
    },
    array_api="searchsorted",
    differentiable=False,
    samples=lambda make: [
        sample(np.array([-1.0, 0.0, 0.0, 1.5]), make.real(2, 3)),
        sample(np.array([1, 2, 2, 4]), np.array([0, 2, 4, 5]), right=True),
        sample(np.sort(make.real(2, 4), -1), make.real(2, 3)),
        sample(np.sort(make.real(2, 4), -1), make.real(2, 3), side="right", out_int32=True),
        sample(np.array([-1.0, 0.5]), 0.5, side="left"),
        sample(np.array([2.0, 0.0, 1.0]), make.real(4), sorter=np.array([1, 2, 0])),
        sample(np.zeros((2, 0)), make.real(2, 1)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "input value tensor must match", make.real(2, 3), make.real(3, 4)),
        bad(RuntimeError, "only when boundaries tensor dimension is 1", make.real(2, 3), 1.0),
        bad(RuntimeError, "should have positive dimension", make.real(), make.real(2)),
        bad(RuntimeError, "can't be set to opposites", make.real(2), 1.0, right=True, side="left"),
        bad(RuntimeError, "side can only be 'left' or 'right'", make.real(2), 1.0, side="up"),
        bad(RuntimeError, "must have the same size", make.real(2), 1.0, sorter=np.array([0])),
        bad(RuntimeError, "tensor of long dtype", make.real(2), 1.0, sorter=make.real(2)),
        bad(RuntimeError, "not implemented for 'Bool'", make.boolean(2), make.boolean(2)),
    ],
)
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where numbers would stand in a sorted sequence: before the elements equal to them, or behind.

    Args:
        sorted_sequence: `(n,)`, or `(*, n)` of sorted rows; real.
        input: a number, a Tensor of any shape, or `(*, m)` for the rows.
        out_int32: give int32.
        right: behind the elements that are equal.
        side: `"left"` or `"right"`: the same in NumPy's words.
        sorter: the places, int64, that sort a `sorted_sequence` that is not.

    Returns:
        The shape of `input`, int64, from 0 to n.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: no such side, or not that of `right`.
        DTypeError: bool or complex numbers, or a `sorter` that is not int64.
    """
    sequence = tensor_of("searchsorted", sorted_sequence)
    if side not in (None, "left", "right"):
        raise ArgumentError(f"searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise ArgumentError(
            "searchsorted(): side and right can't be set to opposites, got side of left while "
            "right was True"
        )
    ndim = len(sequence._shape)
    if not ndim:
        raise ShapeError(
            "searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension"
        )
    shape = getattr(input, "shape", ())
    if ndim > 1 and not shape:
        raise ShapeError(
            "searchsorted(): input value can be a scalar only when boundaries tensor dimension is "
            f"1, but we got boundaries tensor dim({ndim}) and input value's dim(0) numel(1)"
        )
    if ndim > 1 and (len(shape) != ndim or tuple(shape[:-1]) != sequence._shape[:-1]):
        raise ShapeError(
            "searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions "
            "of boundaries tensor and input value tensor must match, but we got boundaries tensor "
            f"{list(sequence._shape)} and input value tensor {list(shape)}"
        )
    if sorter is not None:
        places = tensor_of("searchsorted", sorter)
        if places._shape != sequence._shape:
            raise ShapeError(
                "searchsorted(): boundary and sorter must have the same size, but got boundary "
                f"tensor {list(sequence._shape)} and got sorter tensor {list(places._shape)}"
            )
        if places._type.dtype is not dtypes.int64:
            raise DTypeError(
                "searchsorted(): sorter must be a tensor of long dtype but got dtype "
                f"{places._type.dtype.label}"
            )
        sequence = gather(sequence, -1, places)
    return _searched("searchsorted", sequence, input, right or side == "right", out_int32)


@public(
    numpy={"digitize": lambda x, bins, right=False: bucketize(x, bins, right=not right)},
    differentiable=False,
    samples=lambda make: [
        sample(make.real(2, 3), np.array([-1.0, 0.0, 1.0])),
        sample(make.integers(0, 5, 4), np.array([1, 3, 3]), right=True),
        sample(2.5, np.array([1, 2, 3]), out_int32=True),
        sample(make.real(), np.array([-1.0, 0.0])),
        sample(make.real(3), np.zeros(0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"must be 1 dimension, but got dim\(2\)", make.real(2), make.real(2, 2)),
        bad(RuntimeError, "not implemented for 'ComplexDouble'", make.complex(2), make.complex(2)),
    ],
)
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The number of the interval between sorted boundaries that each element is in.

    Args:
        input: a number, or a Tensor of any shape; real.
        boundaries: `(n,)`, sorted.
        out_int32: give int32.
        right: an element equal to boundary i is in interval i + 1, not i.

    Returns:
        The shape of `input`, int64, from 0 to n.

    Raises:
        ShapeError: `boundaries` is no vector.
        DTypeError: bool or complex numbers.
    """
    ends = tensor_of("bucketize", boundaries)
    if len(ends._shape) != 1:
        raise ShapeError(f"boundaries tensor must be 1 dimension, but got dim({len(ends._shape)})")
    return _searched("bucketize", ends, input, right, out_int32)
