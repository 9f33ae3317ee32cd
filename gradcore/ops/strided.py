"""Views that only steps in memory describe, windows, and values written into views of a copy."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..batching.array import BatchedArray, Level, bottom
from ..batching.namespace import own_memory, spread
from ..device import Array, type_of
from ..errors import ArgumentError, DimensionError, ShapeError
from ..namespace import Namespace
from ..op import NUMPY_FACES, primitive, public, tensor_of
from ..samples import bad, sample
from ..storage import address, bounds, bytes_between, owner, owner_size, view
from ..tensor import Tensor, as_view, canonical_dim, new_tensor
from .assign import rearranged
from .conversion import clone, to
from .index import dim_argument, lacking, narrow, select
from .scatter import scatter
from .shape import cat, diagonal, flatten, integers, linear, reshape

__all__ = [
    "as_strided",
    "as_strided_scatter",
    "diagonal_scatter",
    "narrow_copy",
    "select_scatter",
    "slice_scatter",
]

Shape = tuple[int, ...]
Layout = tuple[Shape, Shape, int]
"""A shape, the steps of its dimensions in memory, and where it begins; all in elements."""


# any steps in memory ---------------------------------------------------------------------------


def _start(array: Array) -> int:
    """The address at which the memory of an array begins."""
    held = owner(array)
    return bounds(held)[0] if isinstance(held, np.ndarray) else int(held.ptr)


def _offset(array: Array) -> int:
    raw = bottom(array)
    return (address(raw) - _start(raw)) // int(raw.itemsize)


def _layout(array: Array) -> Layout:
    return (
        tuple(array.shape),
        tuple([step // array.itemsize for step in array.strides]),
        _offset(array),
    )


def _dense(shape: Shape) -> Layout:
    """The layout of elements row by row."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= n
    return shape, tuple(steps[::-1]), 0


def _end(layout: Layout) -> int:
    """The number of the element behind the last one; 0 where there is none."""
    shape, strides, offset = layout
    if 0 in shape:
        return 0
    return offset + sum([(n - 1) * s for n, s in zip(shape, strides, strict=True)]) + 1


def _may_overlap(layout: Layout) -> bool:
    """Whether two elements may be one in memory."""
    steps = sorted((s, n) for n, s in zip(*layout[:2], strict=True) if n > 1)
    reach = 0
    for step, n in steps:
        if step <= reach:
            return True
        reach += (n - 1) * step
    return False


def _read(memory: Array, layout: Layout) -> Array:
    """A view of the vector `memory`."""
    shape, strides, offset = layout
    size = memory.itemsize
    return view(memory, memory.dtype, shape, [s * size for s in strides], offset * size)


def _written(xp: Namespace, v: Array, layout: Layout, length: int) -> Array:
    """A vector of zeros to which the elements of `v` are added where the layout puts them."""
    if not _may_overlap(layout):
        memory = xp.zeros((length,), v)
        if v.size:
            _read(memory, layout)[...] = v
        return memory
    places = _read(xp.module.arange(length), layout)
    return xp.put(v.reshape(-1), (places.reshape(-1),), (length,))


def _moved_to(base: Layout, low: int) -> Layout:
    return (*base[:2], base[2] - low)


def _moved(xp: Namespace, v: Array, source: Layout, target: Layout, base: Layout) -> Array:
    low = min(source[2], target[2], base[2])
    source, target, base = [_moved_to(layout, low) for layout in (source, target, base)]
    length = max(_end(source), _end(target), _end(base))
    memory = _written(xp, v, source, length)
    if _may_overlap(base):
        ones = xp.zeros(base[0], v) + 1
        memory = memory / xp.maximum(xp.real(_written(xp, ones, base, length)), 1)
    if not math.prod(target[0]):
        return xp.zeros(target[0], v)
    return _read(memory, target).copy()


def _moved_batches(
    level: Level, run: Any, v: Any, source: Layout, target: Layout, base: Layout
) -> Any:
    low = min(source[2], target[2], base[2])
    step = max(_end(layout) for layout in (source, target, base)) - low

    def wide(layout: Layout) -> Layout:
        return (level.size, *layout[0]), (step, *layout[1]), layout[2] - low

    return BatchedArray(level, run(v.inner, wide(source), wide(target), wide(base)))


_move = primitive(
    "as_strided_backward",
    _moved,
    lambda xp, g, source, target, base: xp.apply(_move, g, target, source, base),
    inputs=1,
    linear=True,
    batching=_moved_batches,
)
"""Elements put into memory as `source` says, and read as `target` says; so is its adjoint.

Those of one place add up. What is an element of `base` several times is divided by how often.
"""


def _over(x: Array, layout: Layout) -> Array:
    """A view of the memory of `x`, from its beginning."""
    shape, strides, offset = layout
    size = int(x.itemsize)
    rest = x.dtype, shape, [s * size for s in strides], offset * size
    held = owner(x)
    if not isinstance(held, np.ndarray):
        start = x.data + (_start(x) - address(x))
        return view(type(x)((0,), np.uint8, memptr=start), *rest)
    try:
        return view(held, *rest)
    except ValueError:  # it has gaps
        return view(bytes_between(held, *bounds(held)), *rest)


def _seen(xp: Namespace, x: Array, target: Layout, own: Layout) -> Array:
    """The view; of an array that lies otherwise in memory than `own`, as a tangent may, a copy."""
    _, strides, offset = _layout(x)
    if strides == own[1] or x.size < 2:
        shifted = (*target[:2], target[2] - own[2] + offset)
        if shifted[2] >= 0 and _end(shifted) * x.itemsize <= owner_size(owner(x)):
            return _over(x, shifted)
    return _moved(xp, x, own, target, own)


def _seen_batches(level: Level, run: Any, x: Any, how: tuple[Layout, Layout]) -> Any:
    size = math.prod(how[1][0])
    wide = [((level.size, *shape), (size, *steps), first) for shape, steps, first in how]
    return BatchedArray(level, run(x.inner, tuple(wide)))


_as_strided = linear(
    "as_strided",
    lambda xp, x, how: _seen(xp, x, *how),
    lambda xp, g, how: xp.apply(_move, g, how[0], how[1], how[1]),
    "AsStridedBackward0",
    view=True,
    batching=_seen_batches,
)


def _layout_of(x: Tensor) -> Layout:
    """How `x` lies in memory; to vmap a sample is memory of its own, row by row."""
    return _dense(x._shape) if x._array.__class__ is BatchedArray else _layout(x._array)


def _target(
    name: str, input: Tensor, size: Any, stride: Any, storage_offset: int | None
) -> tuple[Layout, Layout]:
    """The layout asked for, and that of `input`.

    Raises:
        ShapeError, ArgumentError: there is no such layout in its memory.
    """
    own = _layout_of(input)
    shape, strides = integers(name, "size", size), integers(name, "stride", stride)
    offset = own[2] if storage_offset is None else operator.index(storage_offset)
    if len(shape) != len(strides):
        raise ShapeError("mismatch in length of strides and shape.")
    if any(s < 0 for s in strides):
        raise ArgumentError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(strides)}."
        )
    if any(n < 0 for n in shape):
        raise ShapeError(f"{name}: a size is negative: {list(shape)}.")
    if offset < 0:
        raise ArgumentError(f"Tensor: invalid storage offset {offset}.")
    target = shape, strides, offset
    raw = input._array
    held = raw.nbytes if raw.__class__ is BatchedArray else owner_size(owner(raw))
    if _end(target) * raw.itemsize > held:
        raise ShapeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {raw.itemsize} requiring a storage size of "
            f"{_end(target) * raw.itemsize} are out of bounds for storage of size {held}."
        )
    return target, own


@public(
    methods=("as_strided",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), (2, 2), (1, 2)),
        sample(make.real(6), (3, 2), (1, 1)),
        sample(make.real(2, 3), (3,), (0,), storage_offset=None),
        sample(make.real(2, 3), (), ()),
        sample(make.real(3), (0, 2), (1, 1)),
        sample(make.real(), (2,), (0,)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "mismatch in length", make.real(3), (2, 2), (1,)),
        bad(RuntimeError, "Negative strides", make.real(3), (2,), (-1,), 2),
        bad(RuntimeError, "invalid storage offset -1", make.real(3), (2,), (1,), -1),
        bad(RuntimeError, "out of bounds for storage", make.real(3), (1 << 20,), (1,)),
        bad(TypeError, "must be tuple of ints", make.real(3), (0.5,), (1,)),
    ],
)
def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the memory of `input` with this shape and these steps.

    The gradient of an element goes to the element of `input` in its place; to none, if the memory
    around `input` is meant. Where several elements are one in memory their gradients add up.

    Args:
        input: `(*)`, any dtype.
        size: the shape.
        stride: the step in memory from one element to the next, in elements, per dimension.
        storage_offset: the number of the first element in the memory; default: that of `input`.

    Returns:
        A view of `input`.

    Raises:
        ShapeError: the memory ends before, or `size` and `stride` differ in length.
        ArgumentError: a step or the offset is negative.
    """
    input = tensor_of("as_strided", input)
    return _as_strided(input, _target("as_strided", input, size, stride, storage_offset))


setattr(Tensor, "as_strided_", rearranged("as_strided_", as_strided))  # noqa: B010  see methods.py


def storage_offset(self: Tensor) -> int:
    """The number of the first element in the memory."""
    return _offset(self._array)


setattr(Tensor, "storage_offset", storage_offset)  # noqa: B010  see methods.py


def _strided_into(xp: Namespace, x: Array, src: Array, target: Layout) -> Array:
    y = x.copy()
    if src.size:
        _over(y, target)[...] = src
    return y


def _strided_into_batches(level: Level, run: Any, x: Any, src: Any, target: Layout) -> Any:
    wide = (level.size, *target[0]), (x.size, *target[1]), target[2]
    return BatchedArray(level, run(spread(x, level), spread(src, level), wide))


_as_strided_scatter = primitive(
    "as_strided_scatter",
    _strided_into,
    lambda xp, g, src_shape, target: xp.apply(
        _as_strided_scatter, g, xp.zeros(src_shape, g), target
    ),
    lambda xp, g, x_shape, target: xp.apply(_move, g, _dense(x_shape), target, _dense(x_shape)),
    inputs=2,
    linear=True,
    batching=_strided_into_batches,
)


@public(
    methods=("as_strided_scatter",),
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 2), (2, 2), (1, 2)),
        sample(make.real(6), make.real(2), (2,), (2,)),
        sample(make.real(3), make.real(), (), ()),
    ],
    errors=lambda make: [
        bad(
            RuntimeError,
            r"src size = \[3\], slice size = \[2\]",
            make.real(3),
            make.real(3),
            (2,),
            (1,),
        ),
        bad(RuntimeError, "out of bounds for storage", make.real(3), make.real(9), (999,), (1,)),
    ],
    departs={"gradient": "in PyTorch only what is overwritten gets one"},
)
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy of `input` with `src` written where `as_strided` would look.

    Args:
        input: `(*)`, any dtype.
        src: of the shape `size`; it is cast to the dtype of `input`. Of several elements with one
            place the last stays.
        size: as for `as_strided`.
        stride: as for `as_strided`.
        storage_offset: as for `as_strided`.

    Raises:
        ShapeError: `src` has another shape, or the memory ends before.
        ArgumentError: a step or the offset is negative.
    """
    input = tensor_of("as_strided_scatter", input)
    target, own = _target("as_strided_scatter", input, size, stride, storage_offset)
    src = _fitting_source("as_strided_scatter", input, src, target[0])
    count = input.numel()
    within = _moved_to(target, own[2])
    if within[2] >= 0 and _end(within) <= count and not _may_overlap(target):
        dense = _dense(own[0])
        if own[1] == dense[1] or input._array.flags.c_contiguous:
            return _as_strided_scatter(input, src, within)
    memory = np.full(max(_end(target), _end(own), 1), count)
    _read(memory, own)[...] = np.arange(count).reshape(own[0])
    places = _read(memory, target).reshape(-1)
    values = flatten(input)
    if (places == count).any():  # around `input`
        values = cat([values, values.new_zeros(1)])
    y = scatter(values, 0, places, flatten(src))
    return reshape(narrow(y, 0, 0, count), input._shape)


def _fitting_source(name: str, input: Tensor, src: Any, shape: Shape) -> Tensor:
    """`src` in the dtype of `input`, if it has the shape of what is to be written."""
    src = tensor_of(name, src)
    if src._shape != shape:
        raise ShapeError(
            "expected src to have a size equal to the slice of self. src size = "
            f"{list(src._shape)}, slice size = {list(shape)}."
        )
    found: Tensor = to(src, input._type.device, input._type.dtype)
    return found


# the bits as another dtype ---------------------------------------------------------------------


def _read_bits(x: Array, dtype: np.dtype[Any]) -> Array:
    if x.__class__ is BatchedArray:
        return BatchedArray(x.level, _read_bits(x.inner, dtype))
    if x.ndim and x.strides[-1] != x.itemsize and x.itemsize != dtype.itemsize:
        x = x.copy()  # a batch of samples, each of which is memory of its own
    return x.view(dtype)


def read_as(input: Tensor, dtype: dtypes.dtype) -> Tensor:
    """The memory of `input` as elements of `dtype`: a view without history.

    Raises:
        ShapeError: they do not fit into the last dimension.
    """
    source, shape = input._type.dtype, input._shape
    what = f"to view {source.label} as {dtype.label} (different element sizes)"
    if source.itemsize != dtype.itemsize:
        if not shape:
            raise ShapeError(f"self.dim() cannot be 0 {what}.")
        _, strides, offset = _layout_of(input)
        if strides[-1] != 1 and shape[-1] > 1:
            raise ShapeError(f"self.stride(-1) must be 1 {what}, but got {strides[-1]}.")
        ratio = dtype.itemsize // source.itemsize
        if ratio:
            checked = {"size(-1)": shape[-1], "storage_offset()": offset}
            checked |= {f"stride({d})": step for d, step in enumerate(strides[:-1])}
            for name, value in checked.items():
                if value % ratio:
                    raise ShapeError(
                        f"self.{name} must be divisible by {ratio} {what}, but got {value}."
                    )
    array = _read_bits(input._array, dtype.dtype)
    y = new_tensor(array, type_of(array), array.shape)
    return as_view(y, input, read_as, dtype, "no_grad")


NUMPY_FACES["read_as"] = read_as  # for Tensor.view, which is declared before


# windows ---------------------------------------------------------------------------------------


def _windows(xp: Namespace, x: Array, dim: int, size: int, step: int) -> Array:
    count = (x.shape[dim] - size) // step + 1
    shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], size)
    _, own, offset = _layout(x)
    strides = (*own[:dim], own[dim] * step, *own[dim + 1 :], own[dim])
    if any(step < 0 for step in own):  # NumPy's arrays may
        return xp.module.lib.stride_tricks.as_strided(x, shape, strides).copy()
    return _over(x, (shape, strides, offset)) if x.size else xp.zeros(shape, x)


def _overlaid(xp: Namespace, g: Array, shape: Shape, dim: int, size: int, step: int) -> Array:
    """The adjoint: what is an element of several windows adds up."""
    count, length = g.shape[dim], shape[dim]
    rest = (*shape[:dim], *shape[dim + 1 :])
    rows = -(-size // step)
    starts = count + rows - 1
    y = xp.module.zeros((*rest, max(length, starts * step)), g.dtype)
    # In one row of this view start no two windows: their parts of `step` elements add up at once.
    places = y[..., : starts * step].reshape(*rest, starts, step)
    windows = xp.module.moveaxis(g, dim, -2)
    for row in range(rows):
        part = windows[..., row * step : (row + 1) * step]
        here = places[..., row : row + count, : part.shape[-1]]
        xp.add(here, part, here)
    return xp.module.moveaxis(y[..., :length], -1, dim)


def _windowed_batches(level: Level, run: Any, x: Any, how: tuple[int, int, int]) -> Any:
    dim, size, step = how
    return BatchedArray(level, run(x.inner, (dim + 1, size, step)))


def _overlaid_batches(
    level: Level, run: Any, g: Any, shape: Shape, dim: int, size: int, step: int
) -> Any:
    return BatchedArray(level, run(g.inner, (level.size, *shape), dim + 1, size, step))


_unfold = linear(
    "unfold",
    lambda xp, x, how: _windows(xp, x, *how),
    lambda xp, g, x_shape, how: xp.apply(add_windows, g, x_shape, *how),
    "UnfoldBackward0",
    view=True,
    batching=_windowed_batches,
)
add_windows = primitive(
    "unfold_backward",
    _overlaid,
    lambda xp, g, dim, size, step: xp.apply(_window, g, (dim, size, step)),
    linear=True,
    batching=_overlaid_batches,
)
"""`add_windows(g, shape, dim, size, step)`: windows as of `unfold` added up, the adjoint."""

_window = primitive(
    "unfold_copy",
    lambda xp, x, how: _windows(xp, x, *how),
    lambda xp, g, x_shape, how: xp.apply(add_windows, g, x_shape, *how),
    linear=True,
    batching=_windowed_batches,
)


@public(
    path="Tensor.unfold",
    methods=("unfold",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(7), 0, 3, 2),
        sample(make.real(2, 3), -1, 2, 1),
        sample(make.real(5, 2), dimension=0, size=4, step=1),
        sample(make.real(4, 2), 0, 1, 3),
        sample(make.real(3), 0, 0, 1),
        sample(make.real(), 0, 1, 1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "maximum size for tensor at dimension 0 is 3", make.real(3), 0, 4, 1),
        bad(RuntimeError, "step is 0 but must be > 0", make.real(3), 0, 1, 0),
        bad(RuntimeError, "size is -1 but must be >= 0", make.real(3), 0, -1, 1),
        bad(IndexError, "Dimension out of range", make.real(3), 1, 1, 1),
    ],
    departs={"node": "a selection at the end for 0-d"},
)
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of a dimension, as the last dimension; they overlap where `step` is below `size`.

    Args:
        input: `(*, n, *)`, any dtype.
        dimension: the dimension.
        size: of a window.
        step: from the start of one window to that of the next.

    Returns:
        `(*, (n - size) // step + 1, *, size)`, a view of `input`.

    Raises:
        ShapeError: a window is longer than the dimension, or a number is out of range.
        DimensionError: `dimension` is out of range.
    """
    at = canonical_dim(dimension, input.ndim)
    size, step = operator.index(size), operator.index(step)
    length = input._shape[at] if input._shape else 1
    if size < 0:
        raise ShapeError(f"size is {size} but must be >= 0.")
    if size > length:
        raise ShapeError(
            f"maximum size for tensor at dimension {at} is {length} but size is {size}."
        )
    if step <= 0:
        raise ShapeError(f"step is {step} but must be > 0.")
    if not input._shape:
        return select(_unfold(reshape(input, (1,)), (0, size, step)), 0, 0)
    return _unfold(input, (at, size, step))


# values written into a view of a copy ----------------------------------------------------------


def _into(xp: Namespace, x: Array, src: Array, index: Any) -> Array:
    y = (
        own_memory(x, src)
        if x.__class__ is BatchedArray or src.__class__ is BatchedArray
        else x.copy()
    )
    y[index] = src
    return y


def _writing(name: str, graph: str) -> Callable[..., Tensor]:
    """`write(x, src, index)`: a copy of `x` with `src` at a basic index."""
    write: Callable[..., Tensor] = primitive(
        name,
        _into,
        lambda xp, g, src_shape, index: xp.apply(write, g, xp.zeros(src_shape, g), index),
        lambda xp, g, index: xp.getitem(g, index),
        inputs=2,
        graph=graph,
        linear=True,
    )
    return write


_select_scatter = _writing("select_scatter", "SelectScatterBackward0")
_slice_scatter = _writing("slice_scatter", "SliceScatterBackward0")


@public(
    methods=("select_scatter",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3), 0, 1),
        sample(make.real(2, 3), make.real(2), dim=-1, index=-1),
        sample(make.real(3), make.real(), 0, 2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "size equal to the slice", make.real(2, 3), make.real(2), 0, 1),
        bad(IndexError, "out of range for tensor of size", make.real(2, 3), make.real(3), 0, 2),
        bad(TypeError, "missing 1 required", make.real(2, 3), make.real(3), 0),
    ],
)
def select_scatter(
    input: Tensor,
    src: Any = None,
    dim: int | None = None,
    index: int | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """A copy of `input` with `src` at one place of a dimension.

    Args:
        input: `(*, n, *)`, any dtype.
        src: `(*, *)`, the shape of `input.select(dim, index)`; it is cast to the dtype of `input`.
        dim: the dimension.
        index: the place in it.
        axis: NumPy's name for `dim`.

    Raises:
        ShapeError: `src` has another shape.
        DimensionError: `dim` or `index` is out of range.
    """
    input = tensor_of("select_scatter", input)
    dim = dim if axis is None else axis
    if index is None:
        raise lacking("select_scatter", "index")
    part = select(input.detach(), dim, index)
    src = _fitting_source("select_scatter", input, src, part._shape)
    at = canonical_dim(dim_argument("select_scatter", input, dim, None), input.ndim)
    return _select_scatter(input, src, (*(slice(None),) * at, operator.index(index), ...))


@public(
    methods=("slice_scatter",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 5), make.real(2, 2), 1, 1, 5, 2),
        sample(make.real(4, 2), make.real(2, 2), start=-2),
        sample(make.real(3), make.real(3)),
        sample(make.real(3), make.real(0), 0, 2, 1),
        sample(make.real(3, 2), make.real(2, 2), dim=0, end=-1, step=1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "size equal to the slice", make.real(2, 3), make.real(1, 3), 0),
        bad(RuntimeError, "step must be positive", make.real(2), make.real(2), 0, 0, 2, 0),
        bad(IndexError, "Dimension out of range", make.real(2), make.real(2), 1),
    ],
)
def slice_scatter(
    input: Tensor,
    src: Any = None,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
    *,
    axis: int | None = None,
) -> Tensor:
    """A copy of `input` with `src` in a slice of a dimension.

    Args:
        input: `(*, n, *)`, any dtype.
        src: `(*, m, *)`, the shape of the slice; it is cast to the dtype of `input`.
        dim: the dimension.
        start: where the slice begins, by default with the first place.
        end: before which place it ends, by default behind the last.
        step: from one place to the next.
        axis: NumPy's name for `dim`.

    Raises:
        ShapeError: `src` has another shape.
        ArgumentError: `step` is not positive.
        DimensionError: `dim` is out of range.
    """
    input = tensor_of("slice_scatter", input)
    if not input._shape:
        raise DimensionError("slice_scatter() cannot be applied to a 0-dim tensor.")
    at = canonical_dim(dim if axis is None else axis, input.ndim)
    if step <= 0:
        raise ArgumentError("slice step must be positive.")
    index = (*(slice(None),) * at, slice(start, end, step))
    places = range(input._shape[at])[index[-1]]
    shape = (*input._shape[:at], len(places), *input._shape[at + 1 :])
    return _slice_scatter(input, _fitting_source("slice_scatter", input, src, shape), index)


def _on_diagonal(xp: Namespace, x: Array, src: Array, where: tuple[int, int, int]) -> Array:
    y = x.copy()
    part = y.diagonal(*where)
    if isinstance(part, np.ndarray):
        part.flags.writeable = True
    part[...] = src
    return y


def _on_diagonals(level: Level, run: Any, x: Any, src: Any, where: tuple[int, int, int]) -> Any:
    offset, first, second = where
    inner = spread(x, level), spread(src, level)
    return BatchedArray(level, run(*inner, (offset, first + 1, second + 1)))


_diagonal_scatter = primitive(
    "diagonal_scatter",
    lambda xp, x, src, where: _on_diagonal(xp, x, src, where),
    lambda xp, g, src_shape, where: xp.apply(_diagonal_scatter, g, xp.zeros(src_shape, g), where),
    lambda xp, g, where: xp.diagonal(g, *where),
    linear=True,
    batching=_on_diagonals,
)


@public(
    methods=("diagonal_scatter",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3, 3), make.real(3)),
        sample(make.real(2, 3), make.real(2), 1),
        sample(make.real(2, 3, 4), make.real(3, 2), offset=-1, dim1=-1, dim2=0),
        sample(make.real(2, 3), make.real(0), 5),
    ],
    errors=lambda make: [
        bad(RuntimeError, "size equal to the slice", make.real(2, 3), make.real(3)),
        bad(RuntimeError, "cannot be identical", make.real(2, 3), make.real(2), 0, 1, 1),
    ],
)
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of `input` with `src` on the diagonals of two dimensions.

    Args:
        input: `(*)`, at least two dimensions, any dtype.
        src: the shape of `input.diagonal(offset, dim1, dim2)`; it is cast to the dtype of `input`.
        offset: which diagonal: 0 is the main one, positive ones are above it.
        dim1: the dimension of the rows.
        dim2: the dimension of the columns.

    Raises:
        ShapeError: `src` has another shape, or the two dimensions are the same.
        DimensionError: a dimension is out of range.
    """
    input = tensor_of("diagonal_scatter", input)
    part = diagonal(input.detach(), offset, dim1, dim2)
    src = _fitting_source("diagonal_scatter", input, src, part._shape)
    ndim = input.ndim
    where = offset, canonical_dim(dim1, ndim), canonical_dim(dim2, ndim)
    return _diagonal_scatter(input, src, where)


@public(
    methods=("narrow_copy",),
    samples=lambda make: [
        sample(make.real(4, 3), 0, 1, 2),
        sample(make.real(4, 3), dim=1, start=1, length=2),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"exceeds dimension size \(2\)", make.real(2, 3), 0, 0, 3),
    ],
    departs={"errors": "IndexError for a dimension out of range", "node": "composite"},
)
def narrow_copy(
    input: Tensor,
    dim: int | None = None,
    start: Any = None,
    length: int | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """A copy of the slice of a dimension that starts at `start` and has a length; see `narrow`."""
    return clone(narrow(tensor_of("narrow_copy", input), dim, start, length, axis=axis))
