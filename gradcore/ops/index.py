"""Elements by their places: `x[index]`, gathering and scattering, masks."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ..batching.array import BatchedArray, bottom
from ..batching.namespace import namespace_of
from ..device import Array, is_array
from ..dtypes import bool_, float32, float64, int64
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    DimensionError,
    DTypeError,
    GradcoreError,
    ShapeError,
)
from ..namespace import Namespace
from ..op import OPS, primitive, promote, public, tensor_of
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim, wrap
from .conversion import to
from .shape import common_shape, expand, flatten, linear, reshape

__all__ = [
    "argwhere",
    "gather",
    "index_add",
    "index_select",
    "masked_fill",
    "masked_select",
    "narrow",
    "nonzero",
    "repeat_interleave",
    "scatter_add",
    "select",
    "take",
    "take_along_dim",
]

Shape = tuple[int, ...]
Index = Any


# x[index] --------------------------------------------------------------------------------------


def _size_of(item: Any) -> int:
    """How many dimensions an item of an index uses up."""
    if item is None or item is Ellipsis or isinstance(item, bool | np.bool_):
        return 0
    if getattr(item, "dtype", None) == np.bool_:
        return int(item.ndim)
    return 1


def _too_many(x: Tensor) -> DimensionError:
    return DimensionError(f"too many indices for tensor of dimension {x.ndim}.")


def _on_host(item: Any) -> Any:
    """An item of an index; if it is a CuPy array, as a NumPy array."""
    return item.get() if hasattr(item, "get") else item


def wrong_place(places: Array, n: int) -> int | None:
    """The first place that a dimension of length `n` does not have."""
    places = _on_host(bottom(places))
    found = places[(places < -n) | (places >= n)]
    return int(found[0]) if found.size else None


def not_indexed(x: Tensor, index: Index, error: Exception) -> NoReturn:
    """Raise what the user should read where `x[index]` failed."""
    if isinstance(error, GradcoreError):
        raise error
    items = list(index) if isinstance(index, tuple) else [index]
    used = sum(map(_size_of, items))
    if used > x.ndim:
        if not x._shape and len(items) - items.count(...) == 1:
            raise DimensionError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` to convert a 0-dim tensor "
                "to a number."
            ) from error
        raise _too_many(x) from error
    dim = 0
    shapes: list[Shape] = []
    for item in items:
        if item is Ellipsis:
            dim += x.ndim - used
            continue
        size = _size_of(item)
        item = _on_host(item)
        if hasattr(item, "dtype") and item.dtype == np.bool_:
            for d, n in enumerate(item.shape):
                if n != x._shape[dim + d]:
                    raise DimensionError(
                        f"The shape of the mask {list(item.shape)} at index {d} does not match "
                        f"the shape of the indexed tensor {list(x._shape)} at index {dim + d}."
                    ) from error
            shapes.append((int(item.sum()),))
        elif hasattr(item, "dtype") or isinstance(item, int):
            values = np.array([item]) if isinstance(item, int) else item.reshape(-1)
            shapes.append(getattr(item, "shape", ()))
            n = x._shape[dim]
            wrong = wrong_place(values, n)
            if wrong is not None and not n:
                raise DimensionError("index is out of bounds for dimension with size 0.") from error
            if wrong is not None:
                raise DimensionError(
                    f"index {wrong} is out of bounds for dimension {dim} with size {n}."
                ) from error
        dim += size
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(str(list(s)) for s in shapes)
        raise DimensionError(
            "shape mismatch: indexing tensors could not be broadcast together with shapes "
            f"{listed}."
        ) from error
    if isinstance(error, TypeError):
        raise ArgumentTypeError(f"{error}.") from error
    raise DimensionError(f"{error}.") from error


def _indexing(name: str, graph: str) -> Callable[[Any, Any], Tensor]:
    """`x[index]` with a basic index that leaves an array."""
    return linear(
        name,
        lambda xp, x, index: x[index],
        lambda xp, g, x_shape, index: xp.put(g, index, x_shape),
        graph,
        not_indexed,
        view=True,
    )


_select = _indexing("select", "SelectBackward0")
_slice = _indexing("slice", "SliceBackward0")
_insert = _indexing("unsqueeze", "UnsqueezeBackward0")
_alias = _indexing("alias", "AliasBackward0")
_index = linear(
    "index",
    lambda xp, x, index: xp.getitem(x, index),
    lambda xp, g, x_shape, index: xp.put(g, index, x_shape),
    "IndexBackward0",
    not_indexed,
    holds_arrays=True,
)
_index_some = linear(
    "index",
    lambda xp, x, index: x[index],
    lambda xp, g, x_shape, index: xp.put(g, index, x_shape),
    "IndexBackward0",
    not_indexed,
    holds_arrays=True,
)


def _putting(holds_arrays: bool) -> Callable[[Any, Any], Tensor]:
    return linear(
        "index_put",
        lambda xp, x, into: xp.put(x, *into),
        lambda xp, g, into: xp.getitem(g, into[0]),
        "IndexPutBackward0",
        holds_arrays=holds_arrays,
    )


_put = _putting(True)
_put_part = _putting(False)


def _put_face(v: Tensor, index: Index, shape: Shape) -> Tensor:
    raw = _plain(index)
    items = raw if isinstance(raw, tuple) else (raw,)
    return (_put if any(map(is_array, items)) else _put_part)(v, (raw, tuple(shape)))


def _plain(index: Index) -> Index:
    """`index` with raw arrays in place of Tensors."""
    if isinstance(index, tuple):
        return tuple([i._array if isinstance(i, Tensor) else i for i in index])
    return index._array if isinstance(index, Tensor) else index


def _samples(make: Maker) -> list[Sample]:
    indices: list[Index] = [
        0,
        -1,
        slice(1, None),
        slice(None, None, 2),
        (slice(None), 1),
        (0, 1),
        (..., 0),
        None,
        (None, 0, ..., None),
        ...,
        (),
        make.integers(0, 2, 4),
        (slice(None), np.array([0, 0, 2])),
        (np.array([0, 1, 1]), np.array([2, 0, 0])),
        [1, 0, 1],
        np.array([[True, False, True], [False, True, False]]),
        (np.array([True, False]), 1),
        (slice(None), np.array([True, False, True])),
        True,
        np.zeros(0, np.int64),
        np.array(1),
    ]
    found = [sample(make.real(2, 3), index) for index in indices]
    cube = (
        (0, slice(None), np.array([0, 1])),
        (np.array([0, 1]), slice(None), np.array([0, 1])),
        (slice(None), np.array([[0], [1]]), np.array([0, 3])),
        (np.array([0, 1]), None, np.array([2, 0])),
    )
    found += [sample(make.real(2, 3, 4), index) for index in cube]
    found += [sample(make.real(), index) for index in (None, ..., (), True)]
    return found


@public(
    path="Tensor.__getitem__",
    methods=("__getitem__",),
    numpy={
        "getitem": lambda x, index: _index(x, _plain(index)),
        "put": _put_face,
    },
    kind="primitive",
    samples=_samples,
    errors=lambda make: [
        bad(IndexError, "index 2 is out of bounds for dimension 0 with size 2", make.real(2, 3), 2),
        bad(IndexError, "too many indices for tensor of dimension 2", make.real(2, 3), (0, 0, 0)),
        bad(IndexError, "invalid index of a 0-dim tensor", make.real(), 0),
        bad(ValueError, "step must be greater than zero", make.real(3), slice(None, None, -1)),
        bad(IndexError, "tensors used as indices must be", make.real(3), make.real(3)),
        bad(IndexError, "The shape of the mask", make.real(3), make.boolean(2)),
        bad(IndexError, "valid indices", make.real(3), 0.5),
        bad(
            IndexError,
            "could not be broadcast together",
            make.real(2, 3),
            (make.integers(0, 2, 2), make.integers(0, 2, 3)),
        ),
    ],
    batched=False,
)
def getitem(input: Tensor, index: Index) -> Tensor:
    """The elements at `index`.

    Args:
        input: `(*)`, any dtype.
        index: ints, slices of positive step, None (a new dimension), Ellipsis, bool masks and
            integer arrays (Tensors, arrays, lists), or a tuple of those. Several integer arrays
            broadcast together, masks stand for the places where they are true. A list is an
            array, never a tuple.

    Returns:
        A view of `input` without masks and arrays (also of a single element, which is 0-d);
        otherwise a copy. The dimensions of the arrays stand where the first was, or come first
        if the arrays are not side by side.

    Raises:
        DimensionError: an index is out of range, there are too many, or one is of no such type.
        ArgumentError: the step of a slice is not positive.
    """
    kind = index.__class__
    if kind is int:
        # The Ellipsis makes NumPy give a 0-d view where it would give a scalar.
        return _select(input, (index, ...))
    if kind is slice:
        if index.step is not None and index.step <= 0:
            raise _bad_step(index)
        return _slice(input, index)
    if kind is not tuple:
        if index is None:
            return _insert(input, None)
        if index is Ellipsis:
            return _alias(input, index)
        if kind is Tensor and index._shape and index._type.device is input._type.device:
            dtype = index._type.dtype
            if dtype is int64 or dtype is bool_:
                return _index_some(input, (index._array,))
        return _general(input, index)
    open_ended = True
    apply = _alias
    for item in index:
        kind = item.__class__
        if kind is int:
            apply = _select
        elif kind is slice:
            if item.step is not None and item.step <= 0:
                raise _bad_step(item)
            if item.start is not None or item.stop is not None:
                apply = _slice
        elif item is None:
            apply = _insert
        elif item is Ellipsis:
            open_ended = False
        else:
            return _general(input, index)
    return apply(input, (*index, ...) if open_ended else index)


def _bad_step(item: slice) -> ArgumentError:
    return ArgumentError(
        f"step must be greater than zero, and that of {item} is {item.step}; use flip()."
    )


_NO_INDEX = (
    "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
    "indices (got {})."
)


def _array_of(item: Any, x: Tensor) -> Any:
    """A Python int or bool, or a raw integer or bool array, for an item of an index."""
    if isinstance(item, Tensor):
        raw = item._array
        if item.is_cuda and item._type.device.base is not x._type.device.base:
            raise DeviceError(
                "indices should be either on cpu or on the same device as the indexed tensor "
                f"({x.device}), and one is on {item.device}. Move it with .to()."
            )
        allowed = "bui" if item._type.dtype.itemsize in (1, 4, 8) else ""
        if item._type.dtype.name == "int8":
            allowed = ""
    else:
        if isinstance(item, list | tuple | range):
            raw = np.array(_nested(item)) if len(item) else np.zeros(0, np.int64)
            raw = raw if raw.size else raw.astype(np.int64)
        elif hasattr(item, "__array_interface__") or hasattr(item, "__cuda_array_interface__"):
            raw = item
        else:
            raise DimensionError(_NO_INDEX.format(type(item).__qualname__))
        # The graph keeps it, so it must not change with the user's array.
        if raw is item and x._requires_grad and raw.ndim:
            raw = on_device_of(x, raw.copy)
        allowed = "bui"
    kind = raw.dtype.kind
    if kind not in allowed:
        if kind == "O" or kind in "USV":
            raise DimensionError(_NO_INDEX.format(f"{type(item).__qualname__} of objects"))
        raise DimensionError(
            "tensors used as indices must be long, int, byte or bool tensors, and one is "
            f"{raw.dtype}."
        )
    if raw.dtype == np.uint8:
        warnings.warn(
            "indexing with dtype gradcore.uint8 is now deprecated, please use a dtype "
            "gradcore.bool instead.",
            UserWarning,
            stacklevel=4,
        )
    if not raw.ndim and raw.__class__ is not BatchedArray:
        value = raw.item()
        return value != 0 if raw.dtype == np.uint8 else value
    if x.is_cuda and isinstance(raw, np.ndarray):
        raw = x._type.device.backend.send(raw, x._type.device)
    if kind != "u":
        return raw
    return on_device_of(x, lambda: raw != 0 if raw.dtype == np.uint8 else raw.astype(np.int64))


def on_device_of(x: Tensor, make: Callable[[], Any]) -> Any:
    """What `make()` gives where the current device is that of `x`."""
    device = x._type.device
    return device.backend.on(device, lambda module: make())


def _nested(items: Any) -> Any:
    return [
        _nested(i)
        if isinstance(i, list | tuple | range)
        else i._fetch()
        if isinstance(i, Tensor)
        else i
        for i in items
    ]


def _general(x: Tensor, index: Index) -> Tensor:
    """`x[index]` for any index: first its slices, ints and Nones, then its masks and arrays."""
    part, arrays = located(x, index)
    return part if arrays is None else _index_some(part, arrays)


def located(x: Tensor, index: Index) -> tuple[Tensor, tuple[Any, ...] | None]:
    """A view of `x`, and the masks and arrays (None if there are none) to index that with."""
    items = []
    used = 0
    dots = False
    for item in index if isinstance(index, tuple) else (index,):
        if isinstance(item, slice):
            if item.step is not None and item.step <= 0:
                raise _bad_step(item)
        elif item is Ellipsis:
            if dots:
                continue
            dots = True
        elif item is not None and not isinstance(item, bool | int):
            item = operator.index(item) if isinstance(item, np.integer) else _array_of(item, x)
        items.append(item)
        used += _size_of(item)
    if used > x.ndim:
        not_indexed(x, tuple(items), IndexError())
    basic: list[Any] = []
    advanced: list[Any] = []
    apply = None
    arrays = masks = 0
    for item in items:
        if item is Ellipsis:
            basic.append(item)
            advanced += [slice(None)] * (x.ndim - used)
        elif isinstance(item, slice):
            basic.append(item)
            advanced.append(slice(None))
            if item != slice(None):
                apply = _slice
        elif item is None:
            basic.append(item)
            advanced.append(slice(None))
            apply = _insert
        elif isinstance(item, bool):
            basic.append(None)
            advanced.append(_zero_places(x, int(item)))
            apply = _insert
            arrays += 1
        elif isinstance(item, int):
            basic.append(item)
            apply = _select
        else:
            basic += [slice(None)] * _size_of(item)
            advanced.append(item)
            arrays += 1
            masks += item.dtype == np.bool_
    if apply is not None or not arrays:
        x = (apply or _alias)(x, tuple(basic) if dots else (*basic, ...))
    if not arrays:
        return x, None
    if masks and arrays > 1:
        advanced = _without_masks(x, advanced)
    while advanced[-1].__class__ is slice:
        advanced.pop()
    return x, tuple(advanced)


def _zero_places(x: Tensor, count: int) -> Array:
    """The place 0, `count` times, on the device of `x`."""
    return on_device_of(x, lambda: x._type.device.backend.module.zeros(count, np.int64))


def _without_masks(x: Tensor, items: list[Any]) -> list[Any]:
    """An index with the places where masks are true instead of the masks."""
    found: list[Any] = []
    for item in items:
        if isinstance(item, slice) or item.dtype != np.bool_:
            found.append(item)
            continue
        if item.shape != x._shape[len(found) : len(found) + item.ndim]:
            not_indexed(x, tuple(items), IndexError())
        found += on_device_of(x, item.nonzero)
    return found


@public(
    methods=("select",),
    samples=lambda make: [
        sample(make.real(2, 3), 0, 1),
        sample(make.real(2, 3), -1, -1),
        sample(make.real(3), dim=0, index=2),
        sample(make.real(2, 3), axis=1, index=0),
    ],
    errors=lambda make: [
        bad(
            IndexError,
            r"select\(\): index 2 out of range for tensor of size \[2, 3\] at dimension 0",
            make.real(2, 3),
            0,
            2,
        ),
        bad(IndexError, "cannot be applied to a 0-dim tensor", make.real(), 0, 0),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2, 0),
        bad(TypeError, "missing 1 required positional argument: 'index'", make.real(2, 3), 0),
    ],
)
def select(
    input: Tensor, dim: int | None = None, index: int | None = None, *, axis: int | None = None
) -> Tensor:
    """The slice of a Tensor at one place of a dimension, without that dimension.

    Args:
        input: `(*, n, *)`, any dtype.
        dim: the dimension.
        index: the place in it.
        axis: NumPy's name for `dim`.

    Returns:
        A view of `input`.

    Raises:
        DimensionError: `dim` or `index` is out of range.
    """
    at, length = _dim_of("select", input, dim, axis)
    if index is None:
        raise lacking("select", "index")
    index = operator.index(index)
    if not -length <= index < length:
        raise DimensionError(
            f"select(): index {index} out of range for tensor of size {list(input._shape)} at "
            f"dimension {at}."
        )
    chosen: Tensor = _select(input, (*(slice(None),) * at, index, ...))
    return chosen


def lacking(name: str, argument: str) -> ArgumentTypeError:
    """The error to raise where an argument of the operation `name` was not given."""
    return ArgumentTypeError(f"{name}() missing 1 required positional argument: '{argument}'.")


def _dim_of(name: str, x: Tensor, dim: int | None, axis: int | None) -> tuple[int, int]:
    """The dimension of a Tensor that is not 0-d, counted from the front, and its length."""
    if axis is not None:
        dim = axis
    if dim is None:
        raise lacking(name, "dim")
    if not x._shape:
        raise DimensionError(f"{name}() cannot be applied to a 0-dim tensor.")
    at = canonical_dim(dim, x.ndim)
    return at, x._shape[at]


@public(
    methods=("narrow",),
    samples=lambda make: [
        sample(make.real(4, 3), 0, 1, 2),
        sample(make.real(4, 3), dim=-1, start=-2, length=2),
        sample(make.real(4, 3), 0, 4, 0),
        sample(make.real(4, 3), axis=0, start=0, length=4),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"exceeds dimension size \(2\)", make.real(2, 3), 0, 0, 3),
        bad(RuntimeError, "length must be non-negative", make.real(2, 3), 0, 0, -1),
        bad(IndexError, r"in range of \[-2, 2\], but got 3", make.real(2, 3), 0, 3, 0),
        bad(RuntimeError, "cannot be applied to a 0-dim tensor", make.real(), 0, 0, 1),
        bad(RuntimeError, "0-dim integral Tensor", make.real(2, 3), 0, np.array([1]), 1),
        bad(TypeError, "missing 1 required positional argument: 'length'", make.real(2, 3), 0, 1),
    ],
)
def narrow(
    input: Tensor,
    dim: int | None = None,
    start: Any = None,
    length: int | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """The slice of a dimension that starts at `start` and has a length.

    Args:
        input: `(*, n, *)`, any dtype.
        dim: the dimension.
        start: its first place, also as a 0-d Tensor; negative ones count from the end.
        length: how many places.
        axis: NumPy's name for `dim`.

    Returns:
        `(*, length, *)`, a view of `input`.

    Raises:
        DimensionError: `dim` or `start` is out of range.
        ShapeError: the slice is longer than what is there, or the Tensor is 0-d.
    """
    if not input._shape:
        raise ShapeError("narrow() cannot be applied to a 0-dim tensor.")
    at, size = _dim_of("narrow", input, dim, axis)
    if start is None or length is None:
        raise lacking("narrow", "start" if start is None else "length")
    if isinstance(start, Tensor) and (
        start._shape or start._type.dtype.is_inexact or start._type.dtype is bool_
    ):
        raise ShapeError("start must be an 0-dim integral Tensor.")
    start = operator.index(start)
    if length < 0:
        raise ShapeError(f"narrow(): length must be non-negative, and is {length}.")
    if not -size <= start <= size:
        raise DimensionError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {start})."
        )
    if start < 0:
        start += size
    if start + length > size:
        raise ShapeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    part: Tensor = _slice(input, (*(slice(None),) * at, slice(start, start + length)))
    return part


# gathering and scattering ----------------------------------------------------------------------


def places_of(name: str, index: Any, x: Tensor, argument: str = "index") -> Array:
    """The raw integer array of the argument `index`, on the device of `x`.

    Raises:
        DTypeError: it is of another dtype.
        DeviceError: it is on another device.
    """
    if isinstance(index, Tensor):
        if index._type.device.base is not x._type.device.base:
            raise DeviceError(
                f"{name}: Expected all tensors to be on the same device, but found at least two "
                f"devices, {x.device} and {index.device}! Move one with .to({str(x.device)!r})."
            )
        if index._type.dtype.name not in ("int64", "int32"):
            raise DTypeError(
                f"{name}(): Expected dtype int32/int64 for {argument}, "
                f"but got: {index._type.dtype.label}."
            )
        return index._array
    if index.__class__ is BatchedArray:
        return index
    raw = index if hasattr(index, "dtype") else np.array(index, None if index else np.int64)
    if raw.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}(): Expected dtype int32/int64 for {argument}, but got: {raw.dtype}."
        )
    if isinstance(raw, np.ndarray | np.generic):
        raw = np.array(raw) if x._requires_grad else np.asarray(raw)
    return x._type.device.backend.send(raw, x._type.device)


def _cut(xp: Namespace, x: Any, shape: Shape, dim: int) -> Any:
    """`x` without what lies beyond `shape` in all dimensions but `dim`."""
    full = tuple(x.shape)
    if full[:dim] == shape[:dim] and full[dim + 1 :] == shape[dim + 1 :]:
        return x
    return xp.getitem(
        x, tuple([slice(None) if d == dim else slice(n) for d, n in enumerate(shape)])
    )


def gathered(xp: Namespace, x: Any, index: Array, dim: int) -> Any:
    return xp.take_along_axis(_cut(xp, x, index.shape, dim), index, axis=dim)


def out_of_bounds(kind: type[Exception], x: Tensor, index: Array, dim: int) -> Exception:
    n = x._shape[dim]
    wrong = wrong_place(index, n)
    if wrong is None:
        return RuntimeError()
    return kind(f"index {wrong} is out of bounds for dimension {dim} with size {n}.")


def _not_gathered(x: Tensor, where: Any, error: Exception) -> NoReturn:
    if isinstance(error, IndexError) and not isinstance(error, GradcoreError):
        raise out_of_bounds(ArgumentError, x, *where) from error
    raise error


_gather = linear(
    "gather",
    lambda xp, x, where: gathered(xp, x, *where),
    lambda xp, g, x_shape, where: xp.put_along_axis(g, where[0], x_shape, where[1]),
    "GatherBackward0",
    _not_gathered,
    holds_arrays=True,
)
_put_along = linear(
    "put_along_axis",
    lambda xp, x, into: xp.put_along_axis(x, *into),
    lambda xp, g, into: gathered(xp, g, into[0], into[2]),
    "ScatterBackward0",
    holds_arrays=True,
)


def _check_places(
    name: str, x: Tensor, index: Array, dim: int, source: Tensor | None = None
) -> None:
    """Raise where `index` cannot name places of `x` along `dim`, one per element of `source`."""
    others = [x] if source is None else [x, source]
    if any(max(index.ndim, 1) != max(t.ndim, 1) for t in others):
        raise ShapeError(
            f"{name}: Index tensor must have the same number of dimensions as "
            f"{'self' if source is not None else 'input'} tensor"
            f"{' and src tensor' if source is not None else ''}: index {index.shape}, "
            f"{', '.join(str(t._shape) for t in others)}."
        )
    for d, n in enumerate(index.shape if x._shape else ()):
        if d != dim and n > x._shape[d]:
            raise ShapeError(
                f"{name}: Size does not match at dimension {d} expected index {list(index.shape)} "
                f"to be no larger than self {list(x._shape)} apart from dimension {dim}."
            )
        if source is not None and source._shape and n > source._shape[d]:
            raise ShapeError(
                f"{name}: Expected index {list(index.shape)} to be no larger than self "
                f"{list(x._shape)} apart from dimension {dim} and to be no larger size than src "
                f"{list(source._shape)}."
            )


@public(
    methods=("gather",),
    numpy={
        "put_along_axis": lambda v, indices, shape, axis: _put_along(
            v, (_plain(indices), tuple(shape), axis)
        ),
    },
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 0, make.integers(0, 2, 2, 3)),
        sample(make.real(2, 3), 1, make.integers(0, 3, 2, 5)),
        sample(make.real(2, 3), -1, make.integers(0, 3, 1, 1)),
        sample(make.real(2, 3), dim=0, index=make.integers(0, 2, 4, 2), sparse_grad=False),
        sample(make.real(3), axis=0, index=make.integers(0, 3, 2)),
        sample(make.real(), 0, np.array(0)),
        sample(make.real(2, 3), 0, make.integers(0, 2, 0, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "index 2 is out of bounds", make.real(2, 3), 0, np.array([[2]])),
        bad(RuntimeError, "same number of dimensions", make.real(2, 3), 0, np.array([0])),
        bad(RuntimeError, "Expected dtype int32/int64", make.real(2, 3), 0, make.real(1, 1)),
        bad(RuntimeError, "no larger than self", make.real(2, 3), 1, np.zeros((3, 1), np.int64)),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2, np.array([[0]])),
    ],
    departs={"node": "a reshape at the end for 0-d and empty"},
)
def gather(
    input: Tensor,
    dim: int | None = None,
    index: Any = None,
    *,
    sparse_grad: bool = False,
    axis: int | None = None,
) -> Tensor:
    """Along a dimension, the elements at the places in `index`.

    For two dimensions: `out[i, j] = input[index[i, j], j]` for `dim` 0, and
    `out[i, j] = input[i, index[i, j]]` for `dim` 1.

    Args:
        input: `(n_1, ..., n_k)`, any dtype.
        dim: the dimension along which.
        index: `(m_1, ..., m_k)`, int64 or int32, m_i <= n_i in all dimensions but `dim`. Negative
            places count from the end.
        sparse_grad: must be False.
        axis: NumPy's name for `dim`.

    Returns:
        `(m_1, ..., m_k)`, a copy.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `index` is not of integers.
        ArgumentError: a place is out of range.
        DimensionError: `dim` is out of range.
    """
    input = tensor_of("gather", input)
    if sparse_grad:
        raise NotImplementedError("gather: sparse_grad=True is not implemented.")
    at = dim_argument("gather", input, dim, axis)
    if index.__class__ is Tensor and index._type.dtype is int64:
        shape, wide = input._shape, index._shape
        if (
            shape[:at] == wide[:at]
            and shape[at + 1 :] == wide[at + 1 :]
            and len(shape) == len(wide)
            and index._array.size
            and shape
            and index._type.device is input._type.device
        ):
            return _gather(input, (index._array, at))
    places = places_of("gather", index, input)
    _check_places("gather", input, places, at)
    if not places.size:
        return reshape(_index(flatten(input), places.reshape(-1)), places.shape)
    if not input._shape or not places.ndim:
        if input._shape:
            return reshape(_gather(input, (places.reshape(1), 0)), ())
        return reshape(_gather(reshape(input, (1,)), (places.reshape(-1), 0)), places.shape)
    return _gather(input, (places, at))


def dim_argument(name: str, x: Tensor, dim: int | None, axis: int | None) -> int:
    if axis is not None:
        dim = axis
    if dim is None:
        raise lacking(name, "dim")
    return canonical_dim(dim, x.ndim)


@public(
    methods=("take_along_dim",),
    numpy={
        "take_along_axis": lambda arr, indices, axis=-1: take_along_dim(arr, indices, axis),
    },
    array_api="take_along_axis",
    samples=lambda make: [
        sample(make.real(2, 3), make.integers(0, 2, 4, 3), 0),
        sample(make.real(2, 3), make.integers(-3, 3, 1, 2), dim=1),
        sample(make.real(1, 3), make.integers(0, 3, 4, 2), -1),
        sample(make.real(2, 3), make.integers(0, 6, 4)),
        sample(make.real(2, 3), make.integers(0, 3, 2, 1), axis=1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "same number of dimensions", make.real(2, 3), np.array([0]), 0),
        bad(RuntimeError, "Expected dtype int32/int64", make.real(2, 3), make.real(1, 1), 0),
        bad(IndexError, "Dimension out of range", make.real(2, 3), np.array([[0]]), 2),
    ],
    departs={"saves": "the index, which PyTorch broadcasts"},
)
def take_along_dim(
    input: Tensor, indices: Any, dim: int | None = None, *, axis: int | None = None
) -> Tensor:
    """Along a dimension, the elements at the places in `indices`, which broadcast in the others.

    Args:
        input: `(*, n, *)`, any dtype.
        indices: `(*, m, *)`, int64 or int32. Negative places count from the end.
        dim: the dimension along which; without it, both are flattened first.
        axis: NumPy's name for `dim`.

    Returns:
        `(*, m, *)`, a copy.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `indices` are not integers.
        ArgumentError: a place is out of range.
        DimensionError: `dim` is out of range.
    """
    input = tensor_of("take_along_dim", input)
    places = places_of("take_along_dim", indices, input, "indices")
    dim = dim if axis is None else axis
    if dim is None:
        return _gather(flatten(input), (places.reshape(-1), 0))
    if places.ndim != input.ndim:
        raise ShapeError(
            "take_along_dim(): input and indices should have the same number of dimensions, but "
            f"got {input.ndim} dimensions for input, and {places.ndim} dimensions for indices."
        )
    at = canonical_dim(dim, input.ndim)
    shape = input._shape
    if not shape:
        return gather(input, 0, wrap(places))
    ours = shape[:at] + shape[at + 1 :]
    theirs = places.shape[:at] + places.shape[at + 1 :]
    if ours != theirs:
        both = broadcast_shape("take_along_dim", ours, theirs)
        input = expand(input, (*both[:at], shape[at], *both[at:]))
        wide = (*both[:at], places.shape[at], *both[at:])
        places = namespace_of(input._type.xp, places).broadcast_to(places, wide)
    return _gather(input, (places, at))


def broadcast_shape(name: str, *shapes: Shape) -> Shape:
    """The shape to which all `shapes` broadcast.

    Raises:
        ShapeError: there is none.
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(map(str, shapes))
        raise ShapeError(f"{name}: shapes {listed} do not broadcast.") from None


@public(
    methods=("index_select",),
    samples=lambda make: [
        sample(make.real(4, 3), 0, make.integers(0, 4, 6)),
        sample(make.real(4, 3), -1, make.integers(0, 3, 2)),
        sample(make.real(4, 3), dim=1, index=np.zeros(0, np.int64)),
        sample(make.real(4, 3), axis=0, index=np.array(1)),
        sample(make.real(), 0, np.array([0])),
    ],
    errors=lambda make: [
        bad(IndexError, "Index is supposed to be a vector", make.real(2, 3), 0, np.array([[0]])),
        bad(IndexError, "index out of range in self", make.real(2, 3), 0, np.array([5])),
        bad(RuntimeError, "Expected dtype int32 or int64", make.real(2, 3), 0, make.real(1)),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2, np.array([0])),
    ],
    departs={"node": "a reshape at the end for 0-d"},
)
def index_select(
    input: Tensor, dim: int | None = None, index: Any = None, *, axis: int | None = None
) -> Tensor:
    """The slices of a Tensor at places of a dimension, in their order; repetitions are allowed.

    Args:
        input: `(*, n, *)`, any dtype.
        dim: the dimension.
        index: `(m,)`, int64 or int32. Negative places count from the end.
        axis: NumPy's name for `dim`.

    Returns:
        `(*, m, *)`, a copy.

    Raises:
        DTypeError: `index` is not of integers.
        DimensionError: `dim` or a place is out of range, or `index` is not a vector.
    """
    input = tensor_of("index_select", input)
    at = dim_argument("index_select", input, dim, axis)
    try:
        places = places_of("index_select", index, input)
    except DTypeError:
        raise DTypeError("index_select(): Expected dtype int32 or int64 for index.") from None
    if places.ndim > 1:
        raise DimensionError("index_select(): Index is supposed to be a vector.")
    if not input._shape:
        return reshape(_index_select(reshape(input, (1,)), (places.reshape(-1),)), ())
    return _index_select(input, (*(slice(None),) * at, places.reshape(-1)))


def _not_selected(x: Tensor, index: Any, error: Exception) -> NoReturn:
    if not isinstance(error, IndexError):
        raise error
    dim = next(d for d, item in enumerate(index) if not isinstance(item, slice))
    wrong = wrong_place(index[dim], x._shape[dim])
    raise DimensionError(
        f"index out of range in self: index {wrong} is out of bounds for axis {dim} with size "
        f"{x._shape[dim]}."
    ) from error


_index_select = linear(
    "index_select",
    lambda xp, x, index: x[index],
    lambda xp, g, x_shape, index: xp.put(g, index, x_shape),
    "IndexSelectBackward0",
    _not_selected,
    holds_arrays=True,
)


def _not_taken(x: Tensor, index: Array, error: Exception) -> NoReturn:
    n = x._array.size
    if not n:
        raise DimensionError("take(): tried to take from an empty tensor.") from error
    wrong = wrong_place(index.reshape(-1), n)
    if wrong is not None:
        raise DimensionError(
            f"out of range: tried to access index {wrong} on a tensor of {n} elements."
        ) from error
    raise error


_take = linear(
    "take",
    lambda xp, x, index: xp.getitem(x.reshape(-1), index),
    lambda xp, g, x_shape, index: xp.reshape(xp.put(g, index, (math.prod(x_shape),)), x_shape),
    "TakeBackward0",
    _not_taken,
    holds_arrays=True,
)


def _numpy_take(
    a: Tensor, indices: Any, axis: int | None = None, out: None = None, mode: str = "raise"
) -> Tensor:
    if out is not None or mode != "raise":
        raise NotImplementedError("take: out= and mode= are not implemented for Tensors.")
    if axis is None:
        return _take(a, places_of("take", indices, a))
    return _index_select(
        a, (*(slice(None),) * canonical_dim(axis, a.ndim), places_of("take", indices, a), ...)
    )


@public(
    methods=("take",),
    numpy={"take": _numpy_take},
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), make.integers(-6, 6, 2, 4)),
        sample(make.real(2, 3), np.array(4)),
        sample(make.real(), index=np.array([0, 0])),
        sample(make.real(2, 3), np.zeros(0, np.int64)),
    ],
    errors=lambda make: [
        bad(IndexError, "tried to access index 6 on a tensor of 6", make.real(2, 3), np.array([6])),
        bad(IndexError, "from an empty tensor", make.real(0), np.array([0])),
        bad(RuntimeError, "Expected dtype int32/int64", make.real(2), make.real(2)),
    ],
)
def take(input: Tensor, index: Any) -> Tensor:
    """The elements at these places of the flattened Tensor.

    Args:
        input: `(*)`, any dtype.
        index: of any shape, int64 or int32; negative places count from the end.

    Returns:
        The shape of `index`, a copy.

    Raises:
        DTypeError: `index` is not of integers.
        DimensionError: a place is out of range.
    """
    input = tensor_of("take", input)
    return _take(input, places_of("take", index, input))


add_at = primitive(
    "scatter_add",
    lambda xp, x, src, index, dim: x + xp.put_along_axis(src, index, x.shape, dim),
    lambda xp, g: g,
    lambda xp, g, index, dim: gathered(xp, g, index, dim),
    holds_arrays=True,
    linear=True,
)


@public(
    in_place=True,
    methods=("scatter_add",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 0, make.integers(0, 2, 2, 3), make.real(2, 3)),
        sample(make.real(2, 3), 1, make.integers(0, 3, 2, 5), make.real(2, 5)),
        sample(make.real(2, 3), -1, make.integers(0, 3, 1, 2), make.real(2, 3)),
        sample(make.real(3), dim=0, index=make.integers(0, 3, 6), src=make.real(6)),
        sample(make.real(3), axis=0, index=np.zeros(0, np.int64), src=make.real(2)),
        sample(make.real(), 0, np.array(0), make.real()),
    ],
    errors=lambda make: [
        bad(RuntimeError, "is out of bounds", make.real(2), 0, np.array([2]), make.real(2)),
        bad(
            RuntimeError, "no larger size than src", make.real(2), 0, np.array([0, 0]), make.real(1)
        ),
        bad(
            RuntimeError, "Expected dtype int32/int64", make.real(2), 0, make.real(1), make.real(2)
        ),
        bad(TypeError, "missing 1 required", make.real(2), 0, np.array([0])),
    ],
    departs={
        "node": "composite where shapes differ",
        "derivative: 2, 4": "PyTorch's double backward fails where src is larger than index",
    },
)
def scatter_add(
    input: Tensor,
    dim: int | None = None,
    index: Any = None,
    src: Any = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """`input` with the elements of `src` added at the places in `index`; the adjoint of `gather`.

    Args:
        input: `(n_1, ..., n_k)`, any dtype.
        dim: the dimension along which.
        index: `(m_1, ..., m_k)`, int64 or int32, m_i <= n_i in all dimensions but `dim`. Places
            may repeat: what is added there adds up. Negative ones count from the end.
        src: at least of the shape of `index`, of the dtype of `input`; what lies beyond is unused.
        axis: NumPy's name for `dim`.

    Returns:
        The shape of `input`, a copy.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `index` is not of integers, or the dtypes differ.
        ArgumentError: a place is out of range.
        DimensionError: `dim` is out of range.
    """
    if src is None:
        raise lacking("scatter_add", "src")
    at, places = aimed("scatter_add", input, dim, index, src, axis)
    return at_places("scatter_add", add_at, input, src, places, at)


def aimed(
    name: str, input: Any, dim: int | None, index: Any, src: Any, axis: int | None
) -> tuple[int, Array]:
    """The dimension and the raw places that `index` names, one per element of `src`.

    Args:
        name: of the operation, which takes the other arguments.
        input: what the places are in.
        dim: the dimension.
        index: the places along it.
        src: what is put there; None for a number.
        axis: NumPy's name for `dim`.

    Raises:
        DTypeError, ShapeError, DimensionError: they do not fit.
    """
    input = tensor_of(name, input)
    at = dim_argument(name, input, dim, axis)
    places = places_of(name, index, input)
    if src is not None:
        src = tensor_of(name, src)
        if src._type.dtype is not input._type.dtype:
            raise DTypeError(
                f"{name}(): Expected self.dtype to be equal to src.dtype, but they are "
                f"{input.dtype} and {src.dtype}."
            )
    _check_places(name, input, places, at, src)
    return at, places


def at_places(
    name: str, run: Callable[..., Tensor], input: Any, src: Any, places: Array, dim: int, *how: Any
) -> Tensor:
    """`run(input, src, places, dim, *how)` for any shapes that fit, see `aimed`.

    Raises:
        ArgumentError: a place is out of range.
    """
    input = tensor_of(name, input)
    tensors = [input] if src is None else [input, tensor_of(name, src)]
    if len(tensors) > 1 and tensors[1]._type is not input._type:
        tensors = promote(name, *tensors)
    if not input._shape or not places.ndim:
        tensors = [reshape(t, (-1,)) for t in tensors]
        return reshape(
            at_places(name, run, tensors[0], (*tensors, None)[1], places.reshape(-1), 0, *how),
            input._shape,
        )
    if len(tensors) > 1 and tensors[1]._shape != places.shape:
        tensors[1] = getitem(tensors[1], tuple([slice(n) for n in places.shape]))
    try:
        return run(*tensors, places, dim, *how)
    except IndexError as error:
        if hasattr(error, "raised_by_mode"):
            raise
        raise out_of_bounds(ArgumentError, input, places, dim) from error


def _times(alpha: Any, v: Any) -> Any:
    return v if alpha == 1 else alpha * v


_index_add = primitive(
    "index_add",
    lambda xp, x, source, index, alpha: x + _times(alpha, xp.put(source, index, x.shape)),
    lambda xp, g: g,
    lambda xp, g, index, alpha: _times(alpha, xp.getitem(g, index)),
    bilinear=True,
    holds_arrays=True,
    linear=True,
)


@public(
    in_place=True,
    methods=("index_add",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 0, np.array([0, 1, 0]), make.real(3, 3)),
        sample(make.real(2, 3), -1, np.array([2, 2]), make.real(2, 2), alpha=2.0),
        sample(make.real(3), dim=0, index=np.array([1]), source=make.real(1)),
        sample(make.real(3), axis=0, index=np.zeros(0, np.int64), source=make.real(0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "is out of bounds", make.real(2), 0, np.array([2]), make.real(1)),
        bad(RuntimeError, "Number of indices", make.real(2), 0, np.array([0, 0]), make.real(1)),
        bad(
            RuntimeError,
            "source tensor shape must match",
            make.real(2, 3),
            0,
            np.array([0]),
            make.real(1, 2),
        ),
        bad(
            IndexError,
            "Index is supposed to be a vector",
            make.real(2),
            0,
            np.array([[0]]),
            make.real(1),
        ),
    ],
)
def index_add(
    input: Tensor,
    dim: int | None = None,
    index: Any = None,
    source: Any = None,
    *,
    alpha: Any = 1,
    axis: int | None = None,
) -> Tensor:
    """`input` with the slices of `source` added at places of a dimension.

    Args:
        input: `(*, n, *)`, any dtype.
        dim: the dimension.
        index: `(m,)`, int64 or int32. Places may repeat: what is added there adds up. Negative
            ones count from the end.
        source: `(*, m, *)`, of the dtype of `input`.
        alpha: `source` is multiplied by it.
        axis: NumPy's name for `dim`.

    Returns:
        The shape of `input`, a copy.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `index` is not of integers, or the dtypes differ.
        ArgumentError: a place is out of range.
        DimensionError: `dim` is out of range, or `index` is not a vector.
    """
    input, source = tensor_of("index_add", input), tensor_of("index_add", source)
    at = dim_argument("index_add", input, dim, axis)
    places = places_of("index_add", index, input)
    if places.ndim > 1:
        raise DimensionError(
            "index_add(): Index is supposed to be a vector, but got dim: "
            f"{places.ndim} and size: {list(places.shape)}."
        )
    if source._type.dtype is not input._type.dtype:
        raise DTypeError(
            f"index_add(): self ({input._type.dtype.label}) and source "
            f"({source._type.dtype.label}) must have the same scalar type."
        )
    if source._type is not input._type:
        input, source = promote("index_add", input, source)
    if not input._type.recordable:
        alpha = input._type.numpy.type(alpha)
    elif isinstance(alpha, np.generic):  # which would have a say in the dtype of the result
        alpha = alpha.item()
    places = places.reshape(-1)
    shape = input._shape
    if source._shape[at : at + 1] not in ((), (len(places),)):
        raise ShapeError(
            f"index_add(): Number of indices ({len(places)}) should be equal to "
            f"source.size(dim): ({source._shape[at]}), for dim: {at}."
        )
    if shape[:at] + shape[at + 1 :] != source._shape[:at] + source._shape[at + 1 :]:
        raise ShapeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {list(shape)} source.shape = {list(source._shape)}."
        )
    if not shape:
        wide = index_add(reshape(input, (1,)), 0, wrap(places), reshape(source, (-1,)), alpha=alpha)
        return reshape(wide, ())
    try:
        return _index_add(input, source, (*(slice(None),) * at, places), alpha)
    except IndexError as error:
        if hasattr(error, "raised_by_mode"):
            raise
        raise out_of_bounds(ArgumentError, input, places, at) from error


def _sum_of_repeated(xp: Namespace, g: Any, shape: Shape, count: int, dim: int) -> Any:
    before, after = shape[: dim + 1], shape[dim + 1 :]
    g = xp.reshape(g, (*before, count, *after))
    return xp.reshape(xp.sum_to(g, (*before, 1, *after)), shape)


_repeat = linear(
    "repeat_interleave",
    lambda xp, x, how: x.repeat(*how),
    lambda xp, g, x_shape, how: _sum_of_repeated(xp, g, x_shape, *how),
    "RepeatInterleaveBackward0",
)


def _places_of_repeats(repeats: Tensor, total: int | None) -> Array:
    """Each place `repeats` times, which are on a CUDA device; without `total` it waits for it."""
    module = repeats._type.device.backend.module
    counts = repeats._array.astype(np.int64, copy=False)
    ends = module.cumsum(counts)
    if total is None:
        low, total = module.stack([counts.min(), ends[-1]]).tolist() if counts.size else (0, 0)
        if low < 0:
            raise _negative(repeats)
    return module.searchsorted(ends, module.arange(total), side="right")


@public(
    methods=("repeat_interleave",),
    numpy={"repeat": lambda a, repeats, axis=None: repeat_interleave(a, repeats, axis)},
    array_api="repeat",
    samples=lambda make: [
        sample(make.real(2, 3), 2),
        sample(make.real(2, 3), 2, 0),
        sample(make.real(2, 3), np.array([2, 0, 1]), dim=-1),
        sample(make.real(2, 3), np.array([2]), 1),
        sample(make.real(2, 3), np.array([1, 2]), 0, output_size=3),
        sample(make.real(), 3),
        sample(np.array([2, 0, 1])),
        sample(repeats=np.array([2, 0, 1])),
    ],
    errors=lambda make: [
        bad(TypeError, "must be Tensor, not int", repeats=2),
        bad(RuntimeError, "repeats must have the same size", make.real(2, 3), np.array([1, 2]), 1),
        bad(RuntimeError, "repeats can not be negative", make.real(2, 3), -1),
    ],
    waits=True,
    batched=False,
    departs={"node": "composite", "saves less": "the repeats"},
)
def repeat_interleave(
    input: Tensor | None = None,
    repeats: Any = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
    axis: int | None = None,
) -> Tensor:
    """Each slice of a dimension repeated, one after the other.

    Args:
        input: `(*, n, *)`, any dtype.
        repeats: how often: an int, or `(n,)` or `(1,)` integers. If one Tensor alone is given, it
            is the repeats, of the places 0 to n - 1.
        dim: the dimension; without it, `input` is flattened first.
        output_size: the sum of `repeats`. If they are on a CUDA device, it saves waiting for it.
        axis: NumPy's name for `dim`.

    Returns:
        A copy.

    Raises:
        ShapeError: `repeats` does not fit the dimension, or one is negative.
        DimensionError: `dim` is out of range.
    """
    if input is None:
        input, repeats = repeats, None
    input = tensor_of("repeat_interleave", input)
    dim = dim if axis is None else axis
    if repeats is None:
        if input.ndim != 1:
            raise ShapeError("repeat_interleave only accept 1D vector as repeat.")
        count = input._shape[0]
        module = input._type.device.backend.module
        numbers = on_device_of(input, lambda: module.arange(count, dtype=np.int64))
        input, repeats, dim = wrap(numbers), input, 0
    if dim is None:
        input, dim = flatten(input), 0
    at, length = _dim_of("repeat_interleave", input, dim, None)
    on_device = input.is_cuda and isinstance(repeats, Tensor) and repeats.is_cuda
    if isinstance(repeats, Tensor):
        counts = repeats._array if on_device else repeats._fetch()
    else:
        counts = np.asarray(repeats)
    if counts.dtype.kind not in "iu":
        raise DTypeError(f"repeats has to be Long or Int tensor, but it is {counts.dtype}.")
    if counts.shape not in ((), (1,), (length,)):
        raise ShapeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{counts.size} and input.size({at}) = {length}."
        )
    if counts.size == 1:
        count = int(counts.item())
        if count < 0:
            raise _negative(repeats)
        return _repeat(input, (count, at))
    if on_device:
        places = on_device_of(input, lambda: _places_of_repeats(repeats, output_size))
    elif (counts < 0).any():
        raise _negative(repeats)
    else:
        device = input._type.device
        places = device.backend.send(np.repeat(np.arange(length), counts), device)
    return _index_select(input, (*(slice(None),) * at, places))


def _negative(repeats: Any) -> ShapeError:
    return ShapeError(f"repeats can not be negative: {repeats}.")


# masks -----------------------------------------------------------------------------------------


def mask_of(name: str, mask: Any, x: Tensor, text: str) -> Tensor:
    found = tensor_of(name, mask)
    if found._type.dtype.name != "bool":
        raise DTypeError(f"{name}: {text}, but got mask with dtype {found.dtype}.")
    if found._type.device.base is not x._type.device.base:
        if found._shape or found.is_cuda:
            raise DeviceError(
                f"{name}: Expected all tensors to be on the same device, but found at least two "
                f"devices, {x.device} and {found.device}! Move one with .to({str(x.device)!r})."
            )
        found = to(found, x.device)
    return found


_masked_select = linear(
    "masked_select",
    lambda xp, x, mask: x[mask],
    lambda xp, g, x_shape, mask: xp.put(g, mask, x_shape),
    "MaskedSelectBackward0",
    holds_arrays=True,
)


@public(
    methods=("masked_select",),
    samples=lambda make: [
        sample(make.real(2, 3), make.boolean(2, 3)),
        sample(make.real(2, 3), np.array([True, False, True])),
        sample(make.real(3), mask=make.boolean(2, 1)),
        sample(make.real(), np.array(True)),
        sample(make.real(2, 3), np.zeros((2, 3), bool)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "expected BoolTensor for mask", make.real(2), make.integers(0, 2, 2)),
        bad(RuntimeError, "size of tensor a", make.real(2, 3), make.boolean(4)),
    ],
    waits=True,
    batched=False,
)
def masked_select(input: Tensor, mask: Any) -> Tensor:
    """The elements where a mask is true, in one dimension. Waits for the device.

    Args:
        input: `(*)`, any dtype.
        mask: bool; both broadcast together.

    Returns:
        `(number of True,)`, a copy.

    Raises:
        DTypeError: `mask` is not bool.
        ShapeError: the shapes do not broadcast.
    """
    input = tensor_of("masked_select", input)
    chosen = mask_of("masked_select", mask, input, "expected BoolTensor for mask")
    if chosen._shape != input._shape:
        shape = common_shape("masked_select", (input, chosen))
        input, chosen = expand(input, shape), expand(chosen, shape)
    return _masked_select(input, chosen._array)


def filling(name: str, graph: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """A value where a mask is true: `fill(x, (mask, number))`, and `fill(x, value, mask)`.

    `graph` names their nodes, for `{}` 0 and 1.
    """
    number = linear(
        name,
        lambda xp, x, how: xp.where(how[0], how[1], x),
        lambda xp, g, how: xp.where(how[0], 0.0, g),
        graph.format(0),
        holds_arrays=True,
        affine=True,
    )
    tensor = primitive(
        name,
        lambda xp, x, value, mask: xp.where(mask, value, x),
        lambda xp, g, mask: xp.where(mask, 0.0, g),
        lambda xp, g, mask: xp.sum_to(xp.where(mask, g, 0.0), ()),
        graph=graph.format(1),
        holds_arrays=True,
        linear=True,
    )
    return number, tensor


_masked_fill, _masked_fill_tensor = filling("masked_fill", "MaskedFillBackward0")


@public(
    methods=("masked_fill",),
    kind="primitive",
    in_place=True,
    samples=lambda make: [
        sample(make.real(2, 3), make.boolean(2, 3), 1.5),
        sample(make.real(2, 3), make.boolean(3), -2),
        sample(make.real(3), mask=make.boolean(2, 1), value=0.0),
        sample(make.real(2, 3), make.boolean(2, 3), make.real()),
        sample(make.real(), np.array(True), True),
        sample(make.real(2, 0), make.boolean(2, 1), 1.0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "only supports boolean masks", make.real(2), make.integers(0, 2, 2), 1),
        bad(
            RuntimeError, "0-dimensional value tensor", make.real(2), make.boolean(2), make.real(1)
        ),
        bad(RuntimeError, "without overflow", make.real(2), make.boolean(2), 2j),
        bad(RuntimeError, "size of tensor a", make.real(2, 3), make.boolean(4), 1.0),
    ],
    departs={
        "node": "one name for number and Tensor values",
        "refuses: uint8": "PyTorch lets a negative fill value wrap around",
    },
)
def masked_fill(input: Tensor, mask: Any, value: Any) -> Tensor:
    """`input` with a value where a mask is true.

    Args:
        input: `(*)`, any dtype.
        mask: bool; both broadcast together.
        value: a number or a 0-d Tensor, which is cast to the dtype of `input`.

    Returns:
        The dtype of `input`, a copy.

    Raises:
        DTypeError: `mask` is not bool.
        ShapeError: the shapes do not broadcast, or `value` has dimensions.
        ArgumentError: `value` does not fit the dtype.
    """
    input = tensor_of("masked_fill", input)
    chosen = mask_of("masked_fill", mask, input, "masked_fill_ only supports boolean masks")
    if chosen._shape != input._shape:
        shape = common_shape("masked_fill", (input, chosen))
        input, chosen = expand(input, shape), expand(chosen, shape)
    kind = input._type
    if isinstance(value, Tensor):
        if value._shape:
            raise ShapeError(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
        if value._type.dtype.is_complex and not kind.dtype.is_complex:
            raise ArgumentError(
                f"masked_fill: value cannot be converted to type {kind.dtype} without overflow: "
                f"it is {value.dtype}."
            )
        return _masked_fill_tensor(input, to(value, kind.device, kind.dtype), chosen._array)
    return _masked_fill(input, (chosen._array, fitting("masked_fill", value, input)))


def fitting(name: str, value: Any, x: Tensor) -> Any:
    """The number `value`, an argument of the operation `name`, in the dtype of `x`."""
    dtype = x._type.dtype
    if value.__class__ is float and (
        dtype is float64 or (dtype is float32 and (-3e38 < value < 3e38 or math.isinf(value)))
    ):
        # A Python number has no say in the dtype of the result.
        return value
    number: Any = value.item() if isinstance(value, np.generic | np.ndarray) else value
    if isinstance(number, bool | int | float):
        real = True
    elif isinstance(number, complex):
        real = False
    else:
        raise ArgumentTypeError(
            f"{name}(): argument 'value' must be a number or a Tensor, "
            f"not {type(value).__qualname__}."
        )
    convert = dtype.dtype.type
    if dtype.is_complex:
        return convert(number)
    if real and dtype.is_floating_point:
        if not abs(number) > float(np.finfo(dtype.dtype).max) or math.isinf(number):
            return convert(number)
    elif real and dtype.name == "bool":
        return convert(bool(number))
    elif real and math.isfinite(number):
        limits = np.iinfo(dtype.dtype)
        if limits.min <= int(number) <= limits.max:
            return convert(int(number))
    raise ArgumentError(
        f"{name}: value cannot be converted to type {dtype.name} without overflow: {value}."
    )


@public(
    methods=("nonzero",),
    numpy={"nonzero": lambda a: nonzero(a, as_tuple=True)},
    array_api="nonzero",
    differentiable=False,
    samples=lambda make: [
        sample(make.integers(0, 2, 3, 4)),
        sample(make.integers(0, 2, 5), as_tuple=True),
        sample(make.boolean(2, 3), as_tuple=True),
        sample(make.real()),
        sample(make.real(), as_tuple=True),
        sample(make.real(0)),
    ],
    waits=True,
    batched=False,
)
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of the elements that are not zero, in row-major order. Waits for the device.

    Args:
        input: `(*)` of k dimensions, any dtype.
        as_tuple: give k Tensors of shape `(n,)` that index `input`, instead of one.

    Returns:
        `(n, k)`, int64; or the tuple (of a 0-d Tensor, as of one with one element).
    """
    input = tensor_of("nonzero", input)
    raw = input._array
    if input.is_cuda and raw.ndim and not as_tuple:
        return wrap(on_device_of(input, lambda: input._type.device.backend.module.argwhere(raw)))
    found = on_device_of(input, (raw if raw.ndim else raw.reshape(1)).nonzero)
    if as_tuple:
        return tuple([wrap(places) for places in found])
    if not raw.ndim:
        zeros = input._type.xp.zeros((len(found[0]), 0), found[0])
        return wrap(zeros)
    return wrap(input._type.xp.stack(found, axis=1))


@public(
    methods=("argwhere",),
    numpy={"argwhere": lambda a: argwhere(a)},
    differentiable=False,
    samples=lambda make: [sample(make.integers(0, 2, 3, 4))],
    waits=True,
    batched=False,
)
def argwhere(input: Tensor) -> Tensor:
    """The places of the elements that are not zero: `(n, k)`, int64. See `nonzero`."""
    places: Tensor = nonzero(input)
    return places


@public(
    path="Tensor.where",
    methods=("where",),
    samples=lambda make: [
        sample(make.real(2, 3), make.boolean(2, 3), make.real(3)),
        sample(make.real(2, 3), make.boolean(3), 0.5),
    ],
)
def _where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """This Tensor where `condition` holds, else `other`; see `gradcore.where`."""
    chosen: Tensor = OPS["where"].call(condition, self, other)
    return chosen
