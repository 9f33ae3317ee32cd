"""The Namespace over BatchedArrays: what forwards and rules call, done for all samples at once.

A function is read for the deepest level among its arguments: what belongs to it is replaced by its
inner arrays, with the batch in front; then the same function is called again, and is read for the
next level, until at the bottom it is that of NumPy or CuPy. Most functions share one reading:
elementwise ones line the ranks of their operands up, those along axes count them from the second.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, cast

import numpy as np

from ..errors import ArgumentError, BatchingError
from ..namespace import NUMPY_NAMES, OPERATORS, Namespace
from .array import (
    IN_PLACE,
    MASK,
    SHARED,
    BatchedArray,
    Level,
    NotBatched,
    belongs,
    bottom,
    deepest,
    levels,
    levels_of,
)

__all__ = [
    "Bases",
    "aligned",
    "batched",
    "belongs_to",
    "entered",
    "fitted",
    "left",
    "lined_up",
    "misfits",
    "namespace_of",
    "own_memory",
    "spread",
    "spread_over",
    "summed_over",
    "summing",
]

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

Shape = tuple[int, ...]


def _unknown(array: Any) -> NoReturn:
    raise AssertionError("device.py sets it")


class Bases:
    """Where the arrays at the bottom have their functions.

    Attributes:
        host: the Namespace over NumPy's arrays.
        find: gives the Namespace of a raw array.
        cast: `cast(x, source, target, non_blocking)`, for raw arrays.
    """

    host: Any
    find: Callable[[Any], Any] = staticmethod(_unknown)
    cast: Callable[..., Any] = staticmethod(_unknown)


def _base(values: Sequence[Any]) -> Any:
    """The functions of arrays none of which is batched."""
    for value in values:
        kind = value.__class__
        if kind is np.ndarray:
            return Bases.host
        if kind is tuple or kind is list:
            if value and hasattr(value[0], "dtype"):
                return _base(value)
        elif hasattr(value, "dtype") and not isinstance(value, np.generic):
            return Bases.find(value)
    return Bases.host


# one level -------------------------------------------------------------------------------------


def _ndim(x: Any) -> int:
    """How many dimensions a sample has; a number has none."""
    return len(x.shape) if hasattr(x, "shape") else 0


def _raised(inner: Any, ndim: int) -> Any:
    """An inner array with the dimensions of a sample brought to `ndim` by ones before them."""
    missing = ndim + 1 - inner.ndim
    if missing <= 0:
        return inner
    return inner.reshape((inner.shape[0], *(1,) * missing, *inner.shape[1:]))


def lined_up(level: Level, operands: Sequence[Any]) -> list[Any]:
    """Operands that broadcast, as inner arrays that do."""
    ndim = 0
    for x in operands:
        if hasattr(x, "shape") and len(x.shape) > ndim:
            ndim = len(x.shape)
    return [
        (x.inner if len(x.shape) == ndim else _raised(x.inner, ndim))
        if x.__class__ is BatchedArray and x.level is level
        else x
        for x in operands
    ]


def spread(x: Any, level: Level) -> Any:
    """The inner array of `x`, if it is the same for all samples with the batch as stride 0."""
    if belongs(x, level):
        return x.inner
    x = x if hasattr(x, "shape") else np.asarray(x)
    return batched.broadcast_to(x, (level.size, *x.shape))


def _axis(axis: Any, ndim: int) -> int:
    place: int = operator.index(axis)
    if not -ndim <= place < ndim:
        raise np.exceptions.AxisError(place, ndim)
    return place % ndim + 1


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes of a sample as axes of the inner array; None is all of them."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, tuple | list):
        return tuple([_axis(d, ndim) for d in axis])
    if not ndim and axis in (0, -1):  # which NumPy allows
        return ()
    return (_axis(axis, ndim),)


def aligned(function: Callable[..., Any]) -> Callable[..., Any]:
    """An elementwise function of raw arrays as one of batches."""

    def call(*operands: Any) -> Any:
        level = deepest(operands)
        if level is None:
            return function(*operands)
        return BatchedArray(level, call(*lined_up(level, operands)))

    return call


def _elementwise(name: str) -> Callable[..., Any]:
    return aligned(lambda *operands: getattr(_base(operands), name)(*operands))


def _along(name: str, default: Any = None) -> Callable[..., Any]:
    """A reduction over axes, by default over all."""

    def call(x: Any, axis: Any = default, *rest: Any, **options: Any) -> Any:
        if x.__class__ is not BatchedArray:
            return getattr(_base((x,)), name)(x, axis, *rest, **options)
        return BatchedArray(x.level, call(x.inner, _axes(axis, x.ndim), *rest, **options))

    return call


def _along_one(name: str) -> Callable[..., Any]:
    """A reduction or scan along one axis; without one, of all elements in order."""

    def call(x: Any, axis: Any = None, *rest: Any, **options: Any) -> Any:
        if x.__class__ is not BatchedArray:
            return getattr(_base((x,)), name)(x, axis, *rest, **options)
        flat = axis is None or not x.ndim
        inner = x.inner
        if flat:
            inner = batched.reshape(inner, (inner.shape[0], x.size))
        y = call(inner, 1 if flat else _axis(axis, x.ndim), *rest, **options)
        if flat and options.get("keepdims"):
            y = batched.reshape(y, (y.shape[0], *(1,) * x.ndim))
        return BatchedArray(x.level, y)

    return call


# shapes ----------------------------------------------------------------------------------------


def _reshape(x: Any, *shape: Any) -> Any:
    wanted = shape[0] if len(shape) == 1 else shape
    if x.__class__ is not BatchedArray:
        return _base((x,)).reshape(x, wanted)
    wanted = tuple(wanted) if isinstance(wanted, tuple | list) else (wanted,)
    size = x.size
    if -1 in wanted:
        rest = math.prod([n for n in wanted if n != -1])
        if wanted.count(-1) > 1 or not rest or size % rest:
            raise ValueError(f"cannot reshape array of size {size} into shape {wanted}")
        wanted = tuple([size // rest if n == -1 else n for n in wanted])
    if min(wanted, default=0) < 0 or math.prod(wanted) != size:
        raise ValueError(f"cannot reshape array of size {size} into shape {wanted}")
    return BatchedArray(x.level, _reshape(x.inner, (x.inner.shape[0], *wanted)))


def _transpose(x: Any, *axes: Any) -> Any:
    order = axes[0] if len(axes) == 1 else axes or None
    if x.__class__ is not BatchedArray:
        return _base((x,)).transpose(x, order)
    if order is None:
        order = range(x.ndim)[::-1]
    return BatchedArray(x.level, _transpose(x.inner, (0, *[_axis(d, x.ndim) for d in order])))


def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    if x.__class__ is not BatchedArray:
        return _base((x,)).swapaxes(x, axis1, axis2)
    return BatchedArray(x.level, _swapaxes(x.inner, _axis(axis1, x.ndim), _axis(axis2, x.ndim)))


def _moved(x: Any, source: int, target: int) -> Any:
    """One axis moved, of an inner array."""
    order = list(range(len(x.shape)))
    order.insert(target, order.pop(source))
    return x if source == target else _transpose(x, tuple(order))


def _squeeze(x: Any, axis: Any = None) -> Any:
    if x.__class__ is not BatchedArray:
        return _base((x,)).squeeze(x, axis)
    axes = _axes(axis, x.ndim) if axis is not None else None
    if axes is None:
        axes = tuple([d + 1 for d, n in enumerate(x.shape) if n == 1])
    return BatchedArray(x.level, _squeeze(x.inner, axes))


def _expand_dims(x: Any, axis: Any) -> Any:
    if x.__class__ is not BatchedArray:
        return _base((x,)).expand_dims(x, axis)
    given = axis if isinstance(axis, tuple | list) else (axis,)
    return BatchedArray(x.level, _expand_dims(x.inner, _axes(given, x.ndim + len(given))))


def _broadcast_to(x: Any, shape: Shape) -> Any:
    if x.__class__ is not BatchedArray:
        return _base((x,)).broadcast_to(x, shape)
    if len(x.shape) > len(shape):
        raise ValueError(f"shape {x.shape} cannot be broadcast to {tuple(shape)}")
    inner = _raised(x.inner, len(shape))
    return BatchedArray(x.level, _broadcast_to(inner, (inner.shape[0], *shape)))


def _concatenate(arrays: Any, axis: Any = 0) -> Any:
    arrays = list(arrays)
    level = deepest(arrays)
    if level is None:
        return _base(arrays).concatenate(arrays, axis)
    if axis is None:
        arrays, axis = [_reshape(x, (-1,)) for x in arrays], 0
    at = _axis(axis, max(_ndim(x) for x in arrays))
    return BatchedArray(level, _concatenate([spread(x, level) for x in arrays], at))


def _stack(arrays: Any, axis: int = 0) -> Any:
    arrays = list(arrays)
    level = deepest(arrays)
    if level is None:
        return _base(arrays).stack(arrays, axis)
    if len({x.shape for x in arrays}) > 1:
        raise ValueError("all input arrays must have the same shape")
    at = _axis(axis, arrays[0].ndim + 1)
    return BatchedArray(level, _stack([spread(x, level) for x in arrays], at))


def _flip(x: Any, axis: Any = None) -> Any:
    if x.__class__ is not BatchedArray:
        return _base((x,)).flip(x, axis)
    return BatchedArray(x.level, _flip(x.inner, _axes(axis, x.ndim)))


def _roll(x: Any, shift: Any, axis: Any = None) -> Any:
    if x.__class__ is not BatchedArray:
        return _base((x,)).roll(x, shift, axis)
    if axis is None:
        return _reshape(_roll(_reshape(x, (-1,)), shift, 0), x.shape)
    if isinstance(axis, tuple | list):
        return BatchedArray(x.level, _roll(x.inner, shift, tuple([_axis(d, x.ndim) for d in axis])))
    return BatchedArray(x.level, _roll(x.inner, shift, _axis(axis, x.ndim)))


def _diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    if x.__class__ is not BatchedArray:
        return _base((x,)).diagonal(x, offset, axis1, axis2)
    first, second = _axis(axis1, x.ndim), _axis(axis2, x.ndim)
    return BatchedArray(x.level, _diagonal(x.inner, offset, first, second))


def _triangular(name: str) -> Callable[..., Any]:
    def call(x: Any, k: int = 0) -> Any:
        if x.__class__ is not BatchedArray:
            return getattr(_base((x,)), name)(x, k)
        return BatchedArray(x.level, call(x.inner, k))

    return call


def _astype(x: Any, dtype: Any, copy: bool = True) -> Any:
    if x.__class__ is not BatchedArray:
        return _base((x,)).astype(x, dtype)
    return BatchedArray(x.level, _astype(x.inner, dtype))


def _copy(x: BatchedArray, order: Any = "C") -> Any:
    return BatchedArray(x.level, x.inner.copy())


def _view(x: BatchedArray, dtype: Any = None) -> Any:
    if dtype is not None:
        raise NotBatched("memory is read in another dtype.")
    return BatchedArray(x.level, x.inner.view())


# sums over what was broadcast, and over the batch ----------------------------------------------


def _sum_to(x: Any, shape: Shape) -> Any:
    if x.__class__ is not BatchedArray:
        return _base((x,)).sum_to(x, shape)
    inner, size = x.inner, x.inner.shape[0]
    lead = x.ndim - len(shape)
    if lead:
        wide = np.float32 if inner.dtype == np.float16 else inner.dtype
        y = batched.sum(inner, tuple(range(1, lead + 1)), wide)
        inner = _astype(y, x.dtype) if wide is np.float32 else y
    return BatchedArray(x.level, _sum_to(inner, (size, *shape)))


def summed_over(x: Any, level: Level) -> Any:
    """The sum over the samples of a level of `x`."""
    if x.level is level:
        return _sum_to(x.inner, x.shape)
    return BatchedArray(x.level, summed_over(x.inner, level))


def spread_over(x: Any, level: Level) -> Any:
    """`x`, which is the same for all samples of a level, as a batch of that level."""
    return entered(spread(x, level), level, 0)


def misfits(x: Any, wanted: Sequence[Level]) -> tuple[list[Level], list[Level]]:
    """The levels that `x` has and should not have, and those that it lacks.

    Those that still run do not count: within a vmap, what is the same for all samples is that.
    """
    own = levels_of(x)
    if not own and not wanted:
        return own, own
    running = levels()
    return (
        [level for level in own if level not in wanted and level not in running],
        [level for level in wanted if level not in own and level not in running],
    )


def fitted(x: Any, wanted: Sequence[Level]) -> Any:
    """A cotangent as a batch of the levels `wanted`: those of what it flows back to.

    What was the same for all samples takes the sum over them.
    """
    over, lacking = misfits(x, wanted)
    for level in over:
        x = summed_over(x, level)
    for level in lacking:
        x = spread_over(x, level)
    return x


def belongs_to(x: Any, level: Level) -> bool:
    """True if `x` is batched at a level."""
    while x.__class__ is BatchedArray:
        if x.level is level:
            return True
        x = x.inner
    return False


# entering and leaving a level ------------------------------------------------------------------


def entered(x: Any, level: Level, dim: int) -> Any:
    """`x` with its axis `dim` as the batch of `level`."""
    if x.__class__ is BatchedArray and x.level.number > level.number:
        return BatchedArray(x.level, entered(x.inner, level, dim + 1))
    return BatchedArray(level, _moved(x, dim, 0))


def left(x: Any, level: Level, dim: int) -> Any:
    """The inverse of `entered`; what is the same for all samples is repeated."""
    if x.__class__ is BatchedArray:
        if x.level is level:
            return _moved(x.inner, 0, dim)
        if x.level.number > level.number:
            return BatchedArray(x.level, left(x.inner, level, dim + 1))
    return _moved(_broadcast_to(x, (level.size, *x.shape)), 0, dim)


# products --------------------------------------------------------------------------------------


def _matmul(a: Any, b: Any) -> Any:
    level = deepest((a, b))
    if level is None:
        return _base((a, b)).matmul(a, b)
    m, n = len(a.shape), len(b.shape)
    if not m or not n or a.shape[-1] != b.shape[-2 if n > 1 else 0]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit")
    at_a, at_b = belongs(a, level), belongs(b, level)
    if m == 1 and n == 1:
        if at_a and at_b:
            return BatchedArray(level, _einsum("zi,zi->z", a.inner, b.inner))
        y = _matmul(a.inner, b) if at_a else _matmul(b.inner, a)
    elif m == 1:
        if at_a and not at_b and n == 2:
            y = _matmul(a.inner, b)
        else:
            row = _expand_dims(a, 0)
            return _squeeze(_matmul(row, b), -2)
    elif n == 1:
        if at_b and not at_a and m == 2:
            y = _matmul(b.inner, _swapaxes(a, 0, 1))
        else:
            return _squeeze(_matmul(a, _expand_dims(b, 1)), -1)
    elif at_a and not at_b and n == 2:
        # One product of large matrices instead of many of small ones.
        inner = a.inner
        flat = _reshape(inner, (math.prod(inner.shape[:-1]), inner.shape[-1]))
        y = _reshape(_matmul(flat, b), (*inner.shape[:-1], b.shape[1]))
    else:
        ndim = max(m, n)
        x = _raised(a.inner, ndim) if at_a else a
        z = _raised(b.inner, ndim) if at_b else b
        # Of columns and rows NumPy multiplies faster than it makes matrix products.
        y = x * z if a.shape[-1] == 1 else _matmul(x, z)
    return BatchedArray(level, y)


def _einsum(equation: str, *xs: Any) -> Any:
    level = deepest(xs)
    if level is None:
        return _base(xs).einsum(equation, *xs)
    terms, _, out = equation.replace(" ", "").partition("->")
    letter = next(c for c in _LETTERS if c not in equation)
    named = [
        letter + term if belongs(x, level) else term
        for term, x in zip(terms.split(","), xs, strict=True)
    ]
    inner = [x.inner if belongs(x, level) else x for x in xs]
    return BatchedArray(level, _einsum(f"{','.join(named)}->{letter}{out}", *inner))


def _vdot(a: Any, b: Any) -> Any:
    if deepest((a, b)) is None:
        return _base((a, b)).vdot(a, b)
    a, b = _reshape(a, (-1,)), _reshape(b, (-1,))
    return _matmul(batched.conj(a) if a.dtype.kind == "c" else a, b)


def _dot_over(a: Any, b: Any, axis: Any, keepdims: bool) -> Any:
    level = deepest((a, b))
    if level is None:
        return _base((a, b)).dot_over(a, b, axis, keepdims)
    axes = _axes(axis, a.ndim)
    return BatchedArray(level, _dot_over(spread(a, level), spread(b, level), axes, keepdims))


# indexing --------------------------------------------------------------------------------------


def _is_advanced(item: Any) -> bool:
    return not (item is None or item is Ellipsis or isinstance(item, int | slice | np.integer))


def _items(index: Any, ndim: int) -> list[Any]:
    """An index as a list without an Ellipsis: one item per dimension, and the Nones."""
    items = list(index) if isinstance(index, tuple) else [index]
    used = sum(
        0
        if item is None or item is Ellipsis
        else item.ndim
        if getattr(item, "dtype", None) == np.bool_
        else 1
        for item in items
    )
    if used > ndim:
        raise IndexError(
            f"too many indices for array: array is {ndim}-dimensional, but {used} were indexed"
        )
    rest = [slice(None)] * (ndim - used)
    for place, item in enumerate(items):
        if item is Ellipsis:
            return [*items[:place], *rest, *items[place + 1 :]]
    return [*items, *rest]


def _apart(items: Sequence[Any]) -> bool:
    """True if there is something between arrays: then their dimensions come first in NumPy."""
    places = [place for place, item in enumerate(items) if not _between(item)]
    return bool(places) and places[-1] - places[0] >= len(places)


def _between(item: Any) -> bool:
    return item is None or isinstance(item, slice)


def _without_masks(items: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if getattr(item, "dtype", None) == np.bool_:
            if item.__class__ is BatchedArray:
                raise BatchingError(MASK)
            found += item.nonzero()
        else:
            found.append(item)
    return found


class _Places:
    """An index with arrays, for all samples of a level.

    Attributes:
        index: into the inner array.
        order: where the dimensions of a result of NumPy's stand in the inner array that is wanted;
            None if they are in order.
    """

    def __init__(self, level: Level, items: Sequence[Any], has_batch: bool) -> None:
        items = _without_masks(items)
        arrays = [item for item in items if _is_advanced(item)]
        width = max((_ndim(item) for item in arrays), default=0)
        first = next((p for p, item in enumerate(items) if _is_advanced(item)), 0)
        apart = _apart(items)
        # Where in a sample's result the dimensions of the arrays stand.
        lead = 0 if apart else sum(_between(item) for item in items[:first])
        kept = sum(_between(item) for item in items)
        if not any(belongs(item, level) for item in arrays):
            self.index: tuple[Any, ...] = (slice(None), *items)
            self.order: tuple[int, ...] | None = None
            if arrays and apart:
                self.order = (width, *range(width), *range(width + 1, width + 1 + kept))
            return
        if any(item is None or isinstance(item, int | np.integer) for item in items):
            raise NotBatched("ints and arrays are mixed in an index.")
        inner = [_raised(item.inner, width) if belongs(item, level) else item for item in items]
        self.order = None
        if has_batch:
            array = next(item for item in arrays if belongs(item, level))
            count = _base((bottom(array),)).arange(level.size)
            self.index = (count.reshape((level.size, *(1,) * width)), *inner)
            # NumPy puts batch and arrays first unless the arrays come first anyway.
            front = apart or lead > 0
        else:
            self.index = tuple(inner)
            front = apart
            if not front and lead:
                # (lead, batch, arrays, rest)
                before = range(lead)
                self.order = (lead, *before, *range(lead + 1, 1 + width + kept))
        if front and lead:
            # (batch, arrays, slices) becomes (batch, lead, arrays, rest)
            slices = range(1 + width, 1 + width + kept)
            self.order = (0, *slices[:lead], *range(1, 1 + width), *slices[lead:])

    def arranged(self, y: Any) -> Any:
        """What NumPy gives for `index`, as the inner array that is wanted."""
        return y if self.order is None else _transpose(y, self.order)

    def laid_out(self, v: Any) -> Any:
        """The inverse of `arranged`."""
        if self.order is None:
            return v
        back = [0] * len(self.order)
        for place, d in enumerate(self.order):
            back[d] = place
        return _transpose(v, tuple(back))


def _count_of(items: tuple[Any, ...]) -> int | None:
    """1 or 0 if an index is nothing but a mask without dimensions, which is the same for all."""
    (mask, *rest) = items or (None,)
    if rest or getattr(mask, "dtype", None) != np.bool_ or mask.ndim:
        return None
    return None if mask.__class__ is BatchedArray else int(mask)


def _getitem(x: Any, index: Any) -> Any:
    level = deepest((x, index))
    if level is None:
        return _base((x,)).getitem(x, index)
    items = index if isinstance(index, tuple) else (index,)
    count = _count_of(items)
    if count is not None:
        return _getitem(_expand_dims(x, 0), slice(0, count))
    inside = belongs(x, level)
    if inside and not any(_is_advanced(item) for item in items):
        return BatchedArray(level, _getitem(x.inner, (slice(None), *items)))
    places = _Places(level, _items(index, _ndim(x)), inside)
    y = _getitem(x.inner if inside else x, places.index)
    return BatchedArray(level, places.arranged(y))


def _put(v: Any, index: Any, shape: Shape) -> Any:
    level = deepest((v, index))
    if level is None:
        return _base((v,)).put(v, index, shape)
    if _count_of(index if isinstance(index, tuple) else (index,)) is not None:
        return _reshape(_sum_to(v, (1, *shape)), shape)
    places = _Places(level, _items(index, len(shape)), True)
    values = places.laid_out(spread(v, level))
    return BatchedArray(level, _put(values, places.index, (level.size, *shape)))


def _setitem(x: Any, index: Any, value: Any) -> None:
    """`x[index] = value`: it is written to the memory of all samples.

    Raises:
        BatchingError: `value` differs from sample to sample and the memory of `x` does not.
        ArgumentError: samples share memory.
    """
    if x.__class__ is not BatchedArray:
        if deepest((index, value)) is not None:
            raise BatchingError(IN_PLACE)
        x[index] = value
        return
    level, inner = x.level, x.inner
    newest = deepest((index, value))
    if newest is not None and newest.number > level.number:
        raise BatchingError(IN_PLACE)
    if inner.strides[0] == 0 and level.size > 1:
        raise ArgumentError(SHARED)
    items = index if isinstance(index, tuple) else (index,)
    if any(_is_advanced(item) for item in items):
        shape = _getitem(x, index).shape
        places = _Places(level, _items(index, x.ndim), True)
        value = places.laid_out(spread(_broadcast_to(value, shape), level))
        _setitem(inner, places.index, value)
    else:
        if belongs(value, level):
            value = _raised(value.inner, _getitem(x, index).ndim)
        _setitem(inner, (slice(None), *items), value)


def _take_along_axis(x: Any, indices: Any, axis: Any) -> Any:
    level = deepest((x, indices))
    if level is None:
        return _base((x,)).take_along_axis(x, indices, axis)
    at = _axis(axis, x.ndim)
    return BatchedArray(level, _take_along_axis(spread(x, level), spread(indices, level), at))


def _put_along_axis(v: Any, indices: Any, shape: Shape, axis: Any) -> Any:
    level = deepest((v, indices))
    if level is None:
        return _base((v,)).put_along_axis(v, indices, shape, axis)
    at, whole = _axis(axis, len(shape)), (level.size, *shape)
    v, indices = spread(v, level), spread(indices, level)
    return BatchedArray(level, _put_along_axis(v, indices, whole, at))


def own_memory(x: Any, *like: Any) -> Any:
    """A copy of `x` with memory for each of the samples that one of `like` has some for."""
    for level in {level for value in like for level in levels_of(value)}:
        if not belongs_to(x, level):
            x = spread_over(x, level)
    return x.copy()


# making ----------------------------------------------------------------------------------------


def _zeros(shape: Shape, like: Any) -> Any:
    found = bottom(like)
    return _base((found,)).zeros(shape, found)


def _like(name: str) -> Callable[..., Any]:
    """What has only the shape of `x`, and is the same for all samples."""

    def call(x: Any, *values: Any) -> Any:
        if x.__class__ is not BatchedArray:
            return getattr(_base((x,)), name)(x, *values)
        return call(_zeros(x.shape, x), *values)

    return call


def _full_like(x: Any, value: Any) -> Any:
    if value.__class__ is BatchedArray:
        return _broadcast_to(_astype(value, x.dtype), x.shape)
    return _full_of(x, value)


_full_of = _like("full_like")


def _result_type(*operands: Any) -> Any:
    return np.result_type(*[v.dtype if hasattr(v, "dtype") else v for v in operands])


def _arange(*args: Any, **options: Any) -> Any:
    raise NotBatched("a range has no operand that says where it is made.")


def _send(x: Any, source: Any, target: Any, non_blocking: bool = False) -> Any:
    return Bases.cast(x, source, target, non_blocking)


# the Namespace ---------------------------------------------------------------------------------

_OVER_AXES: Final = ("all", "any", "count_nonzero", "max", "mean", "min", "prod", "sum")
_OVER_ONE: Final = ("argmax", "argmin", "cumprod", "cumsum")

_OTHERS: Final[dict[str, Callable[..., Any]]] = {
    **{name: _along(name) for name in _OVER_AXES},
    **{name: _along_one(name) for name in _OVER_ONE},
    "arange": _arange,
    "astype": _astype,
    "broadcast_to": _broadcast_to,
    "concatenate": _concatenate,
    "diagonal": _diagonal,
    "dot_over": _dot_over,
    "einsum": _einsum,
    "expand_dims": _expand_dims,
    "flip": _flip,
    "full_like": _full_like,
    "getitem": _getitem,
    "matmul": _matmul,
    "matrix_transpose": lambda x: _swapaxes(x, -1, -2),
    "ones_like": _like("ones_like"),
    "put": _put,
    "put_along_axis": _put_along_axis,
    "reshape": _reshape,
    "result_type": _result_type,
    "roll": _roll,
    "send": _send,
    "squeeze": _squeeze,
    "stack": _stack,
    "sum_to": _sum_to,
    "swapaxes": _swapaxes,
    "take_along_axis": _take_along_axis,
    "transpose": _transpose,
    "tril": _triangular("tril"),
    "triu": _triangular("triu"),
    "vdot": _vdot,
    "zeros": _zeros,
    "zeros_like": _like("zeros_like"),
}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = _OTHERS | {
    # What is left of NumPy's is elementwise.
    name: _elementwise(name)
    for name in (NUMPY_NAMES | {"erf", "keep", "sigmoid"}) - set(_OTHERS)
}


class _Special:
    """The functions of `scipy.special`."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return aligned(lambda *operands: getattr(_base(operands).special, name)(*operands))


class _Batched:
    """The Namespace over BatchedArrays, and over the arrays that stand beside them."""

    def __init__(self) -> None:
        vars(self).update(_FUNCTIONS)
        self.special = _Special()

    @staticmethod
    def apply(function: Any, *args: Any) -> Any:
        return function.op.over_batches(*args)

    def __getattr__(self, name: str) -> NoReturn:
        raise NotBatched(f"{name} has no reading for batches.")


batched: Final = cast(Namespace, _Batched())
"""The Namespace over BatchedArrays."""


def namespace_of(xp: Namespace, *values: Any) -> Namespace:
    """`xp`, or the Namespace over batches if there is one among `values`, nested ones too."""
    return xp if deepest(values) is None else batched


# products that are summed over the batch ----------------------------------------------------------


class _Summing(_Batched):
    """As `batched`, for rules that end with a product whose sum over some levels is wanted.

    The sum is taken with that of the product, if it can be: without it the product of each sample
    would be stored, only to be added up.
    """

    def __init__(self, over: Sequence[Level]) -> None:
        super().__init__()
        self._over = over
        self.matmul = self._matmul
        self.einsum = self._einsum

    def _common(self, a: Any, b: Any) -> Level | None:
        """The deepest level, if both are batched at it and the sum over it is wanted."""
        level = deepest((a, b))
        if level is None or level not in self._over:
            return None
        return level if belongs(a, level) and belongs(b, level) else None

    def _matmul(self, a: Any, b: Any) -> Any:
        level = self._common(a, b)
        if level is None or a.ndim != 2 or b.ndim != 2:
            return _matmul(a, b)
        # The batch is part of the dimension that is summed over anyway.
        rows, count, columns = a.shape[0], level.size * a.shape[1], b.shape[1]
        x = _reshape(_transpose(a.inner, (1, 0, 2)), (rows, count))
        return self._matmul(x, _reshape(b.inner, (count, columns)))

    def _einsum(self, equation: str, *xs: Any) -> Any:
        level = self._common(*xs) if len(xs) == 2 else None
        if level is None:
            return _einsum(equation, *xs)
        terms, _, out = equation.replace(" ", "").partition("->")
        letter = next(c for c in _LETTERS if c not in equation)
        named = ",".join([letter + term for term in terms.split(",")])
        return self._einsum(f"{named}->{out}", *[x.inner for x in xs])


def summing(over: Sequence[Level]) -> Namespace:
    """The Namespace for the rule of a product whose operand is the same for all samples."""
    return cast(Namespace, _Summing(over)) if over else batched


# operators and methods of arrays ----------------------------------------------------------------


def _operator(name: str, reflected: bool) -> Any:
    function = _FUNCTIONS[name]
    if reflected:
        return lambda self, other: function(other, self)
    return lambda self, other: function(self, other)


def _method(function: Callable[..., Any]) -> Any:
    return lambda self, *args, **options: function(self, *args, **options)


def _dynamic(name: str) -> Any:
    def call(self: Any, *args: Any, **options: Any) -> NoReturn:
        raise BatchingError(
            "vmap: We do not support batching operators that can output dynamic shape. Attempted "
            f"to vmap over {name}."
        )

    return call


for _name, _function in {**OPERATORS, "matmul": "matmul"}.items():
    setattr(BatchedArray, f"__{_name}__", _operator(_function, False))
    setattr(BatchedArray, f"__r{_name}__", _operator(_function, True))
for _name, _function in {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}.items():
    setattr(BatchedArray, f"__{_name}__", _operator(_function, False))
for _name, _function in {"neg": "negative", "abs": "absolute", "invert": "invert"}.items():
    setattr(BatchedArray, f"__{_name}__", _method(_FUNCTIONS[_function]))
_METHODS: Final = ("conj", "diagonal", "reshape", "squeeze", "swapaxes", "transpose")
for _name in (*_OVER_AXES, *_OVER_ONE, *_METHODS):
    setattr(BatchedArray, _name, _method(_FUNCTIONS[_name]))
for _name, _method_of in {
    "__getitem__": _getitem,
    "__setitem__": _setitem,
    "astype": _astype,
    "copy": _copy,
    "view": _view,
    "ravel": lambda x: _reshape(x, (-1,)),
    "nonzero": _dynamic("nonzero"),
}.items():
    setattr(BatchedArray, _name, _method(_method_of))
for _name, _getter in {
    "T": _transpose,
    "real": _FUNCTIONS["real"],
    "imag": _FUNCTIONS["imag"],
}.items():
    setattr(BatchedArray, _name, property(_getter))
