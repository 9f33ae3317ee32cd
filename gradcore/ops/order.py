"""Order: sorting, the elements of some rank, medians, the most frequent element.

Where elements stand is found on raw arrays; the elements are then taken from there, and their
cotangents go back there. nan counts as larger than all numbers, and 0.0 as equal to -0.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from ..batching.readings import along
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..op import primitive, public
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim, wrap
from .reduction import (
    Selected,
    amax,
    amin,
    canonical_dims,
    chosen_rule,
    ordered,
    refuse_empty,
    ties,
)
from .shape import reshape

__all__ = [
    "aminmax",
    "argsort",
    "kthvalue",
    "median",
    "mode",
    "msort",
    "nanmedian",
    "sort",
    "topk",
]


# places of ranks, of NumPy arrays along their last dimension -------------------------------------

_LONG: Final = 2048
"""Elements from which these pay; of fewer, NumPy's stable argsort is as fast."""
_LOW: Final = np.int64(0xFFFFFFFF)


def _keys(x: Array, descending: bool) -> Array:
    """int64 in the order of the elements of `x`, or in the opposite one."""
    dtype = x.dtype
    if dtype.kind == "f":
        whole = np.dtype(f"i{dtype.itemsize}")
        bits = (x + dtype.type(0.0)).view(whole)  # now -0.0 is 0.0
        np.copyto(bits, np.iinfo(whole).max, where=np.isnan(x))
        # Of negative numbers the larger have the smaller bits.
        bits ^= (bits >> (8 * dtype.itemsize - 1)) & np.iinfo(whole).max
        keys = bits.astype(np.int64, copy=False)
    elif dtype == np.uint64:
        keys = (x ^ np.uint64(1 << 63)).view(np.int64)
    else:
        keys = x.astype(np.int64)
    return ~keys if descending else keys


def _is_narrow(x: Array) -> bool:
    """Whether a key and a place fit into 64 bits together: such pairs are sorted fastest."""
    return bool(x.dtype.itemsize <= 4 and x.shape[-1] < 1 << 31)


def _pairs(keys: Array) -> Array:
    return (keys << 32) | np.arange(keys.shape[-1])


def _order(x: Array, descending: bool) -> Array:
    """Where the elements stand in order, equal ones in theirs."""
    keys = _keys(x, descending)
    if _is_narrow(x):
        pairs = _pairs(keys)
        pairs.sort(axis=-1)
        return pairs & _LOW
    places = np.argsort(keys, axis=-1)
    found = np.take_along_axis(keys, places, -1)
    # Equal elements, of which NumPy leaves the order open, are sorted by their places.
    groups = np.zeros(found.shape, np.int64)
    np.cumsum(found[..., 1:] != found[..., :-1], axis=-1, out=groups[..., 1:])
    pairs = (groups << 32) | places
    pairs.sort(axis=-1)
    return pairs & _LOW


def _first(x: Array, k: int, descending: bool) -> Array:
    """The first `k` of `_order`, without the others."""
    at = x.shape[-1] - k if descending else k - 1
    bound = np.partition(x, at, axis=-1)[..., at : at + 1]
    taken = x >= bound if descending else x <= bound
    if (np.count_nonzero(taken, axis=-1) == k).all():  # no nan, and nothing equals the last one
        places = np.nonzero(taken)[-1].reshape(*x.shape[:-1], k)
        chosen = _keys(np.take_along_axis(x, places, -1), descending)
        return np.take_along_axis(places, np.argsort(chosen, axis=-1, kind="stable"), -1)
    keys = _keys(x, descending)
    if _is_narrow(x):
        pairs = np.partition(_pairs(keys), k - 1, axis=-1)[..., :k]
        pairs.sort(axis=-1)
        return pairs & _LOW
    last = np.partition(keys, k - 1, axis=-1)[..., k - 1 : k]
    below, equal = keys < last, keys == last
    missing = k - below.sum(-1, keepdims=True)
    taken = below | (equal & (equal.cumsum(-1) <= missing))
    places = np.nonzero(taken)[-1].reshape(*x.shape[:-1], k)
    order = np.argsort(np.take_along_axis(keys, places, -1), axis=-1, kind="stable")
    return np.take_along_axis(places, order, -1)


def _at(x: Array, k: int) -> Array:
    """The place `k` of `_order`, without the others."""
    keys = _keys(x, False)
    if _is_narrow(x):
        return np.partition(_pairs(keys), k, axis=-1)[..., k : k + 1] & _LOW
    element = np.partition(keys, k, axis=-1)[..., k : k + 1]
    equal = keys == element
    number = k - (keys < element).sum(-1, keepdims=True)
    return np.argmax(equal & (equal.cumsum(-1) - 1 == number), axis=-1, keepdims=True)


# the same of any raw array -----------------------------------------------------------------------


def _is_long(xp: Any, x: Array) -> bool:
    return xp.module is np and x.size >= _LONG


def _argsort_forward(xp: Any, x: Array, dim: int, descending: bool) -> Array:
    if not x.ndim:
        return xp.module.zeros((), np.int64)
    if _is_long(xp, x):
        return np.moveaxis(_order(np.moveaxis(x, dim, -1), descending), -1, dim)
    if not descending:
        return xp.module.argsort(x, axis=dim, kind="stable")
    # Turned around twice, so that equal elements stay in their order.
    last = max(x.shape[dim] - 1, 0)
    return last - xp.flip(xp.module.argsort(xp.flip(x, dim), axis=dim, kind="stable"), dim)


def _part(xp: Any, x: Array, dim: int, start: int, stop: int) -> Array:
    return xp.getitem(x, (*(slice(None),) * dim, slice(start, stop)))


def _topk_forward(xp: Any, x: Array, dim: int, k: int, largest: bool) -> Array:
    if not x.ndim:
        return xp.module.zeros((), np.int64)
    if _is_long(xp, x) and 0 < k < x.shape[dim]:
        return np.moveaxis(_first(np.moveaxis(x, dim, -1), k, largest), -1, dim)
    return _part(xp, _argsort_forward(xp, x, dim, largest), dim, 0, k)


def _rank_forward(xp: Any, x: Array, dim: int, k: int) -> Array:
    if not x.ndim:
        return xp.module.zeros((), np.int64)
    if _is_long(xp, x):
        return np.moveaxis(_at(np.moveaxis(x, dim, -1), k), -1, dim)
    return _part(xp, _argsort_forward(xp, x, dim, False), dim, k, k + 1)


def _median_forward(xp: Any, x: Array, dim: int, ignore_nan: bool) -> Array:
    middle = (x.shape[dim] - 1) // 2 if x.ndim else 0
    if x.dtype.kind != "f" or not x.ndim:
        return _rank_forward(xp, x, dim, middle)
    if xp.module is np and x.size and x.max() == x.max():
        return _rank_forward(xp, x, dim, middle)
    if ignore_nan:
        count = xp.sum(x == x, axis=dim, keepdims=True)
        k = xp.maximum(count - 1, 0) // 2
        return xp.take_along_axis(_argsort_forward(xp, x, dim, False), k, axis=dim)
    missing = x != x
    return xp.where(
        xp.any(missing, axis=dim, keepdims=True),
        xp.argmax(missing, axis=dim, keepdims=True),
        _rank_forward(xp, x, dim, middle),
    )


def _mode_forward(xp: Any, x: Array, dim: int) -> Array:
    if not x.ndim:
        return xp.module.zeros((), np.int64)
    order = _argsort_forward(xp, x, dim, False)
    found = xp.take_along_axis(x, order, axis=dim)
    n = x.shape[dim]
    new = _part(xp, found, dim, 1, n) != _part(xp, found, dim, 0, n - 1)
    group = xp.cumsum(xp.astype(new, np.int64), axis=dim)
    group = xp.concatenate([xp.zeros_like(_part(xp, order, dim, 0, 1)), group], axis=dim)
    counts = xp.put_along_axis(xp.ones_like(group), group, x.shape, dim)
    # The first group of the largest size is that of the smallest element; it ends at its last.
    most = xp.argmax(counts, axis=dim, keepdims=True)
    end = xp.take_along_axis(xp.cumsum(counts, axis=dim), most, axis=dim) - 1
    return xp.take_along_axis(order, end, axis=dim)


def _finder(name: str, forward: Callable[..., Array]) -> Callable[..., Tensor]:
    """A function of a Tensor, a dimension and more: places along the dimension, which is kept."""
    return primitive(name, forward, None, batching=along)


_argsort = _finder("sort", lambda xp, x, dim, descending: _argsort_forward(xp, x, dim, descending))
_topk = _finder("topk", lambda xp, x, dim, k, largest: _topk_forward(xp, x, dim, k, largest))
_rank = _finder("kthvalue", lambda xp, x, dim, k: _rank_forward(xp, x, dim, k))
_middle = _finder("median", lambda xp, x, dim, ignore: _median_forward(xp, x, dim, ignore))
_most = _finder("mode", lambda xp, x, dim: _mode_forward(xp, x, dim))


def _select_forward(xp: Any, x: Array, indices: Array, dim: int, keepdim: bool) -> Array:
    if not x.ndim:
        return x.copy()
    y = xp.take_along_axis(x, indices, axis=dim)
    return y if keepdim else xp.squeeze(y, dim)


def selection(name: str, graph: str) -> Callable[..., Selected]:
    """A function of a Tensor, places along `dim`, `dim` and `keepdim`: what stands there."""
    take = primitive(
        name,
        lambda xp, x, where: _select_forward(xp, x, *where),
        lambda xp, g, x_shape, where: (
            chosen_rule(xp, g, where[0], x_shape, *where[1:]) if x_shape else g
        ),
        graph=graph,
        holds_arrays=True,
        linear=True,
    )

    def select(x: Tensor, places: Tensor, dim: int, keepdim: bool = True) -> Selected:
        indices = places._array
        values = take(x, (indices, dim, keepdim))
        return Selected(values, wrap(indices.reshape(values._shape)))

    return select


_sorted = selection("sort", "SortBackward0")
_sorted_stably = selection("sort", "SortBackward1")
_top = selection("topk", "TopkBackward0")
_kth = selection("kthvalue", "KthvalueBackward0")
_median_of = selection("median", "MedianBackward1")
_nanmedian_of = selection("nanmedian", "NanmedianBackward1")
_mode_of = selection("mode", "ModeBackward0")


def comparable(name: str, input: Any) -> Tensor:
    """The argument `input` of an operation on numbers that have an order: no bools.

    Raises:
        DTypeError: it is complex or bool.
    """
    return ordered(name, input, to_bool=False)


def count_argument(name: str, k: Any) -> int:
    """The argument `k`, an int.

    Raises:
        ArgumentTypeError: it is none.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise ArgumentTypeError(
            f"{name}(): argument 'k' (position 2) must be int, not {type(k).__qualname__}"
        )
    return int(k)


# sorting -----------------------------------------------------------------------------------------


def _of_numpy(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def adapter(a: Tensor, axis: int | None = -1, *, stable: bool | None = None) -> Tensor:
        return function(a.reshape((-1,)), 0) if axis is None else function(a, axis)

    return adapter


def _sorts(make: Maker) -> list[Sample]:
    return [
        sample(make.real()),
        sample(make.real(6)),
        sample(make.real(2, 3), 0),
        sample(make.real(3, 2, 2), -2, True),
        sample(make.real(2, 3), axis=1, descending=True),
        sample(make.real(2, 4), dim=1, stable=True),
        sample(make.real(2, 0, 3), 1),
        sample(make.integers(-2, 3, 3, 5), descending=True),
    ]


@public(
    methods=("sort",),
    numpy={"sort": _of_numpy(lambda a, axis: sort(a, axis).values)},
    array_api="sort",
    kind="primitive",
    samples=_sorts,
    errors=lambda make: [
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
        bad(RuntimeError, "does not support complex", make.complex(2)),
        bad(TypeError, "must be Tensor, not list", [1.0]),
        bad(TypeError, "must be an int, not str", make.real(2), "a"),
    ],
    departs={"ties: bool": "which of equal elements PyTorch takes is open"},
)
def sort(
    input: Tensor,
    dim: int = -1,
    descending: bool = False,
    *,
    stable: bool | None = None,
    axis: int | None = None,
) -> Selected:
    """The elements along a dimension in order; nan stands where the largest does.

    Args:
        input: `(*)`, not complex.
        dim: the dimension.
        descending: from the largest to the smallest.
        stable: equal elements keep their order. They always do.
        axis: NumPy's name for `dim`.

    Returns:
        A named tuple `(values, indices)` of `(*)`; the indices, int64, are places along `dim`.

    Raises:
        DimensionError: `dim` is out of range.
        DTypeError: complex numbers have no order.
    """
    x = ordered("sort", input)
    d = canonical_dim(dim if axis is None else axis, len(x._shape))
    select = _sorted if stable is None else _sorted_stably
    return select(x, _argsort(x, d, bool(descending)), d)


@public(
    methods=("argsort",),
    numpy={"argsort": _of_numpy(lambda a, axis: argsort(a, axis))},
    array_api="argsort",
    differentiable=False,
    samples=_sorts,
    errors=lambda make: [
        bad(IndexError, "Dimension out of range", make.real(2, 3), -3),
        bad(RuntimeError, "does not support complex", make.complex(2)),
    ],
    departs={"ties: bool": "which of equal elements PyTorch takes is open"},
)
def argsort(
    input: Tensor,
    dim: int = -1,
    descending: bool = False,
    *,
    stable: bool = False,
    axis: int | None = None,
) -> Tensor:
    """Where the elements along a dimension stand in order: the indices of `sort`, which see.

    Args:
        input: `(*)`, not complex.
        dim: the dimension.
        descending: from the largest to the smallest.
        stable: equal elements keep their order. They always do.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)`, int64.

    Raises:
        DimensionError: `dim` is out of range.
        DTypeError: complex numbers have no order.
    """
    x = ordered("argsort", input)
    d = canonical_dim(dim if axis is None else axis, len(x._shape))
    return _argsort(x, d, bool(descending))


@public(
    methods=("msort",),
    samples=lambda make: [
        sample(make.real()),
        sample(make.real(4)),
        sample(make.real(3, 2)),
        sample(make.real(0, 2)),
    ],
    errors=lambda make: [bad(RuntimeError, "does not support complex", make.complex(2))],
)
def msort(input: Tensor) -> Tensor:
    """The elements along the first dimension in order: `sort(input, 0).values`, which see."""
    x = ordered("msort", input)
    return _sorted(x, _argsort(x, 0, False), 0).values


@public(
    methods=("topk",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(), 1),
        sample(make.real(7), 3),
        sample(make.real(3, 4), 2, 0),
        sample(make.real(2, 4, 2), k=3, dim=-2, largest=False),
        sample(make.real(2, 5), 2, axis=1, sorted=False),
        sample(make.real(3), 0),
        sample(make.real(2, 0), 0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "selected index k out of range", make.real(2), 3),
        bad(RuntimeError, "selected index k out of range", make.real(2), -1),
        bad(TypeError, "argument 'k' .* must be int, not float", make.real(2), 1.0),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 1, 2),
        bad(RuntimeError, "does not support bool", make.boolean(3), 1),
    ],
    departs={"ties": "which of equal elements PyTorch takes is open"},
)
def topk(
    input: Tensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
    *,
    axis: int | None = None,
) -> Selected:
    """The `k` largest or smallest elements along a dimension, in order; nan is the largest.

    NumPy looks for the places by partial sorting and for nan before: of few among many elements
    it takes three to four times as long as PyTorch.

    Args:
        input: `(*, n, *)`, integer or floating point.
        k: how many, 0 <= k <= n.
        dim: the dimension.
        largest: the largest, from large to small; else the smallest, from small to large.
        sorted: whether the order matters. They always have it.
        axis: NumPy's name for `dim`.

    Returns:
        A named tuple `(values, indices)` of `(*, k, *)`; the indices, int64, are places along
        `dim`. Of equal elements the first ones are taken, where PyTorch leaves that open.

    Raises:
        ArgumentError: `k` is out of range.
        DimensionError: `dim` is out of range.
        DTypeError: bool or complex input.
    """
    x = comparable("topk", input)
    k = count_argument("topk", k)
    d = canonical_dim(dim if axis is None else axis, len(x._shape))
    if not 0 <= k <= (x._shape[d] if x._shape else 1):
        raise ArgumentError(
            f"topk(): selected index k out of range: k = {k} for dimension {d} of {x._shape}."
        )
    return _top(x, _topk(x, d, k, bool(largest)), d)


# one of each slice -------------------------------------------------------------------------------


def _slices(name: str, x: Tensor, dim: Any) -> int:
    """The dimension that each slice goes along, none of which is empty."""
    d = canonical_dim(dim, len(x._shape))
    if 0 in x._shape:
        refuse_empty(name, x, (d,), True)
    return d


@public(
    methods=("kthvalue",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(), 1),
        sample(make.real(5), 2),
        sample(make.real(3, 4), 3, 0),
        sample(make.real(2, 4, 2), k=4, dim=-2, keepdim=True),
        sample(make.real(2, 3), 1, axis=0, keepdims=True),
        sample(make.real(3, 0), 1, 0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "selected number k out of range for dimension 0", make.real(2), 3),
        bad(RuntimeError, "selected number k out of range for dimension 0", make.real(2), 0),
        bad(IndexError, "Expected reduction dim 0 to have non-zero size", make.real(0), 1),
        bad(TypeError, "argument 'k' .* must be int, not float", make.real(2), 1.0),
        bad(RuntimeError, "does not support bool", make.boolean(3), 1),
    ],
    departs={"ties": "which of equal elements PyTorch takes is open"},
)
def kthvalue(
    input: Tensor,
    k: int,
    dim: int = -1,
    keepdim: bool = False,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Selected:
    """The `k`-th smallest element along a dimension, counted from 1; nan is the largest.

    Args:
        input: `(*, n, *)`, integer or floating point.
        k: which one, 1 <= k <= n.
        dim: the dimension.
        keepdim: keep the dimension, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        A named tuple `(values, indices)`; the indices, int64, are places along `dim`: of equal
        elements they follow their order, where PyTorch leaves that open.

    Raises:
        ArgumentError: `k` is out of range.
        DimensionError: `dim` is out of range, or has length 0.
        DTypeError: bool or complex input.
    """
    x = comparable("kthvalue", input)
    k = count_argument("kthvalue", k)
    d = _slices("kthvalue", x, dim if axis is None else axis)
    if not 1 <= k <= (x._shape[d] if x._shape else 1):
        raise ArgumentError(
            f"kthvalue(): selected number k out of range for dimension {d}: k = {k}, and the shape "
            f"is {x._shape}."
        )
    return _kth(x, _rank(x, d, k - 1), d, bool(keepdim if keepdims is None else keepdims))


def _median_all_forward(xp: Any, x: Array, place: Array) -> Array:
    if not x.size:
        return xp.sum(x, axis=None) + np.nan
    return xp.reshape(xp.take_along_axis(xp.reshape(x, (x.size,)), place, axis=0), ())


def _equal(y: Any, x: Any) -> Any:
    """Where `x` is `y`; nan is nan."""
    return (x == y) | ((x != x) & (y != y))


def _median_all(graph: str) -> Callable[..., Tensor]:
    """A function of a Tensor and the place, in a raw array, of its median in the flattened one."""
    return primitive(
        "median",
        lambda xp, x, place: _median_all_forward(xp, x, place),
        lambda xp, g, y, x, x_shape: (
            xp.zeros_like(x)
            if 0 in x_shape
            else ties(xp, _equal(y, x), g, canonical_dims(None, len(x_shape)))
        ),
        graph=graph,
    )


_median_whole = _median_all("MedianBackward0")
_nanmedian_whole = _median_all("NanmedianBackward0")


def _median(
    name: str, input: Any, dim: Any, keepdim: bool, whole: Any, along_dim: Any
) -> Tensor | Selected:
    x = comparable(name, input)
    ignore_nan = name == "nanmedian"
    if dim is None:
        if keepdim:
            raise ArgumentTypeError(f"{name}() missing the argument 'dim' that keepdim needs.")
        if 0 in x._shape:
            if not x._type.recordable:
                raise ShapeError(f"{name}(): the integers of an empty Tensor have no median.")
            y: Tensor = whole(x, None)
        else:
            y = whole(x, _middle(reshape(x, (-1,)), 0, ignore_nan)._array)
        return y
    d = _slices(name, x, dim)
    selected: Selected = along_dim(x, _middle(x, d, ignore_nan), d, keepdim)
    return selected


def _medians(make: Maker) -> list[Sample]:
    return [
        sample(make.real()),
        sample(make.real(2, 4)),
        sample(make.real(), 0),
        sample(make.real(3, 4), 0),
        sample(make.real(2, 4, 2), dim=-2, keepdim=True),
        sample(make.real(2, 3), axis=1, keepdims=True),
        sample(make.real(0)),
        sample(make.real(3, 0), 0),
    ]


@public(
    methods=("median",),
    kind="primitive",
    samples=_medians,
    errors=lambda make: [
        bad(IndexError, "Expected reduction dim 0 to have non-zero size", make.real(0), 0),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
        bad(TypeError, "missing .* 'dim'", make.real(2), keepdim=True),
        bad(RuntimeError, "does not support bool", make.boolean(3)),
    ],
    departs={"second derivative: 6": "empty: 0 here, nan in PyTorch"},
)
def median(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Any:
    """The middle element in order, of two the lower one; nan if there is one.

    `quantile(input, 0.5)` gives the mean of the two.

    Args:
        input: `(*)`, integer or floating point.
        dim: the dimension; None for all elements.
        keepdim: keep the dimension, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        A 0-d Tensor (equal elements share the gradient), nan over nothing; along a dimension a
        named tuple `(values, indices)`: of equal elements the one that a stable sort puts there
        gets it, where PyTorch leaves that open.

    Raises:
        DimensionError: `dim` is out of range, or has length 0.
        DTypeError: bool or complex input.
    """
    keep = bool(keepdim if keepdims is None else keepdims)
    chosen = dim if axis is None else axis
    return _median("median", input, chosen, keep, _median_whole, _median_of)


@public(
    methods=("nanmedian",),
    kind="primitive",
    samples=_medians,
    errors=lambda make: [
        bad(IndexError, "Expected reduction dim 0 to have non-zero size", make.real(0), 0),
        bad(RuntimeError, "does not support complex", make.complex(3)),
    ],
    departs={"second derivative: 6": "empty: 0 here, nan in PyTorch"},
)
def nanmedian(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Any:
    """As `median`, which see, of the elements that are not nan; nan if there is none.

    Args:
        input: `(*)`, integer or floating point.
        dim: the dimension; None for all elements.
        keepdim: keep the dimension, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Raises:
        DimensionError: `dim` is out of range, or has length 0.
        DTypeError: bool or complex input.
    """
    keep = bool(keepdim if keepdims is None else keepdims)
    chosen = dim if axis is None else axis
    return _median("nanmedian", input, chosen, keep, _nanmedian_whole, _nanmedian_of)


@public(
    methods=("mode",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real()),
        sample(make.real(4)),
        sample(np.array([2, 1, 2, 1, 3])),
        sample(make.integers(0, 3, 3, 5), 0),
        sample(make.real(2, 3, 2), dim=-2, keepdim=True),
        sample(make.integers(0, 3, 2, 5), axis=1, keepdims=True),
        sample(make.real(3, 0), 0),
    ],
    errors=lambda make: [
        bad(IndexError, "Expected reduction dim 0 to have non-zero size", make.real(0)),
        bad(RuntimeError, "does not support complex", make.complex(3)),
    ],
    departs={"ties: int64, bool": "which of equal elements PyTorch takes is open"},
)
def mode(
    input: Tensor,
    dim: int = -1,
    keepdim: bool = False,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Selected:
    """The most frequent element along a dimension, of several the smallest; each nan is its own.

    Args:
        input: `(*)`, not complex.
        dim: the dimension.
        keepdim: keep the dimension, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        A named tuple `(values, indices)`; the indices, int64, are those of the last place where
        the element stands, which gets the gradient.

    Raises:
        DimensionError: `dim` is out of range, or has length 0.
        DTypeError: complex numbers have no order.
    """
    x = ordered("mode", input)
    d = _slices("mode", x, dim if axis is None else axis)
    return _mode_of(x, _most(x, d), d, bool(keepdim if keepdims is None else keepdims))


class MinMax(NamedTuple):
    """What `aminmax` returns.

    Attributes:
        min: the smallest elements.
        max: the largest.
    """

    min: Tensor
    max: Tensor


@public(
    methods=("aminmax",),
    samples=lambda make: [
        sample(make.real()),
        sample(make.real(2, 3)),
        sample(make.real(2, 3), dim=0),
        sample(make.real(2, 3), dim=-1, keepdim=True),
        sample(make.real(2, 3), keepdim=True),
        sample(make.real(2, 3), axis=1, keepdims=True),
        sample(make.real(2, 0), dim=0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "cannot compute aminmax over an empty dimension", make.real(0)),
        bad(IndexError, "Expected reduction dim 0 to have non-zero size", make.real(0), dim=0),
        bad(RuntimeError, "does not support complex", make.complex(3)),
    ],
    departs={"node": "two nodes"},
)
def aminmax(
    input: Tensor,
    *,
    dim: int | None = None,
    keepdim: bool = False,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> MinMax:
    """The smallest and the largest element, of all or along a dimension; nan if there is one.

    Args:
        input: `(*)`, not complex.
        dim: the dimension; None for all elements.
        keepdim: keep the dimensions, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        A named tuple `(min, max)`. Elements that share an extreme share its gradient.

    Raises:
        ShapeError: there is no element, and no `dim`.
        DimensionError: `dim` is out of range, or has length 0.
        DTypeError: complex numbers have no order.
    """
    x = ordered("aminmax", input)
    chosen = dim if axis is None else axis
    keep = bool(keepdim if keepdims is None else keepdims)
    if 0 in x._shape:
        if chosen is None:
            raise ShapeError(
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has "
                "no identity."
            )
        _slices("aminmax", x, chosen)
    if chosen is not None:
        chosen = canonical_dim(chosen, len(x._shape))
    return MinMax(amin(x, chosen, keep), amax(x, chosen, keep))
