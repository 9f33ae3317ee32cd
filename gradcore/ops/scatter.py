"""Values put at places: copied or reduced there, along a dimension, of the whole, by a mask."""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..batching.array import BatchedArray, Level, belongs
from ..batching.namespace import batched, namespace_of, own_memory, spread
from ..device import CPU, Array
from ..errors import ArgumentError, ArgumentTypeError, DimensionError, DTypeError, ShapeError
from ..mode import quiet
from ..namespace import Namespace
from ..op import primitive, promote, public, tensor_of
from ..raw import along_axis, flat_places
from ..samples import bad, sample
from ..tensor import Tensor, wrap
from .arithmetic import div
from .conversion import to
from .index import (
    add_at,
    aimed,
    at_places,
    dim_argument,
    filling,
    fitting,
    gathered,
    index_add,
    lacking,
    mask_of,
    on_device_of,
    out_of_bounds,
    places_of,
    wrong_place,
)
from .pointwise import where
from .shape import common_shape, expand, flatten, reshape

__all__ = [
    "index_copy",
    "index_fill",
    "index_reduce",
    "masked_scatter",
    "put",
    "scatter",
    "scatter_reduce",
]

Shape = tuple[int, ...]


def _along(level: Level, run: Callable[..., Any], *args: Any) -> Any:
    """The reading for batches of a forward of arrays, a dimension, and more."""
    arrays = list(itertools.takewhile(lambda v: not isinstance(v, int), args))
    dim, *how = args[len(arrays) :]
    return BatchedArray(level, run(*[spread(v, level) for v in arrays], dim + 1, *how))


# copied ----------------------------------------------------------------------------------------


def _replaced(xp: Namespace, x: Array, value: Any, index: Array, dim: int) -> Array:
    """Of values with one place the last stays, on every device."""
    y = x.copy()
    y[along_axis(index, dim)] = value
    return y


_scatter_value = primitive(
    "scatter_value",
    lambda xp, x, index, dim, value: _replaced(xp, x, value, index, dim),
    lambda xp, g, index, dim: xp.apply(_scatter_value, g, index, dim, 0.0),
    inputs=1,
    graph="ScatterBackward1",
    holds_arrays=True,
    batching=_along,
)
_scatter = primitive(
    "scatter",
    lambda xp, x, src, index, dim: _replaced(xp, x, src, index, dim),
    lambda xp, g, index, dim: xp.apply(_scatter_value, g, index, dim, 0.0),
    lambda xp, g, index, dim: gathered(xp, g, index, dim),
    holds_arrays=True,
    linear=True,
    batching=_along,
)


@public(
    methods=("scatter",),
    kind="primitive",
    in_place=True,
    samples=lambda make: [
        sample(make.real(2, 3), 0, np.array([[0, 1, 1]]), make.real(1, 3)),
        sample(make.real(2, 3), -1, np.array([[2, 0], [1, 2]]), make.real(2, 3)),
        sample(make.real(2, 3), 1, np.array([[2], [0]]), 1.5),
        sample(make.real(3), dim=0, index=np.array([1, 1]), value=2),
        sample(make.real(3), axis=0, index=np.zeros(0, np.int64), src=make.real(0)),
        sample(make.real(), 0, np.array(0), make.real()),
        sample(make.real(), 0, np.array([0]), 2.0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "is out of bounds", make.real(2), 0, np.array([2]), make.real(2)),
        bad(RuntimeError, "Expected dtype int32/int64", make.real(2), 0, make.real(1), 1.0),
        bad(RuntimeError, "either add or multiply", make.real(2), 0, np.array([0]), 1, reduce="x"),
        bad(
            RuntimeError,
            "self.dtype to be equal to src.dtype",
            make.real(2),
            0,
            np.array([0]),
            np.array([1]),
        ),
        bad(RuntimeError, "without overflow", make.real(2), 0, np.array([0]), 1j),
        bad(TypeError, "missing 1 required", make.real(2), 0, np.array([0])),
    ],
    departs={
        "node": "a reshape at the end for 0-d",
        "derivative: 1": "PyTorch's double backward fails where src is larger than index",
    },
)
def scatter(
    input: Tensor,
    dim: int | None = None,
    index: Any = None,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
    axis: int | None = None,
) -> Tensor:
    """`input` with the elements of `src` at the places in `index`.

    For two dimensions: `out[index[i, j], j] = src[i, j]` for `dim` 0, and
    `out[i, index[i, j]] = src[i, j]` for `dim` 1. Where a place is named twice the last value
    stays, but each has the gradient that is there.

    Args:
        input: `(n_1, ..., n_k)`, any dtype.
        dim: the dimension along which.
        index: `(m_1, ..., m_k)`, int64 or int32, m_i <= n_i in all dimensions but `dim`. Negative
            places count from the end.
        src: at least of the shape of `index`, of the dtype of `input`; what lies beyond is unused.
            Or a number.
        value: a number instead of `src`.
        reduce: `"add"` or `"multiply"`, see `scatter_reduce`.
        axis: NumPy's name for `dim`.

    Returns:
        The shape of `input`, a copy.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `index` is not of integers, or the dtypes differ.
        ArgumentError: a place is out of range, or there is no such `reduce`.
        DimensionError: `dim` is out of range.
    """
    input = tensor_of("scatter", input)
    if src is None and value is None:
        raise lacking("scatter", "src")
    src = value if src is None else src
    if isinstance(src, bool | int | float | complex | np.generic) or src is value:
        value, src = src.item() if isinstance(src, Tensor) else src, None
    elif reduce is not None:
        warnings.warn(
            "The reduce argument of gradcore.scatter with Tensor src is deprecated and will be "
            "removed in a future release. Use gradcore.scatter_reduce instead.",
            UserWarning,
            stacklevel=2,
        )
    if reduce not in (None, "add", "multiply"):
        raise ArgumentError("reduce argument must be either add or multiply.")
    at, places = aimed("scatter", input, dim, index, src, axis)
    if src is None:
        value = fitting("scatter", value, input)
    if reduce is not None:
        if src is None:
            number = wrap(input._type.asarray(value, dtype=input._type.numpy))
            src = expand(number, places.shape)
        if reduce == "add":
            return at_places("scatter", add_at, input, src, places, at)
        return at_places("scatter", _scatter_reduce, input, src, places, at, "prod", True)
    if src is None:
        return at_places("scatter", _scatter_value, input, None, places, at, value)
    return at_places("scatter", _scatter, input, src, places, at)


# reduced ---------------------------------------------------------------------------------------

_AT: Final = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}
"""What is done at each place; of the largest and the least, nan is passed on."""


def _identity(how: str, dtype: np.dtype[Any]) -> Any:
    """What changes no other value in a reduction."""
    if how == "prod":
        return dtype.type(1)
    if dtype.kind == "b":
        return dtype.type(how == "amin")
    if dtype.kind == "f":
        return dtype.type(-math.inf if how == "amax" else math.inf)
    limits = np.iinfo(dtype)
    return dtype.type(limits.min if how == "amax" else limits.max)


def _reduced(
    xp: Namespace, x: Array, src: Array, index: Array, dim: int, how: str, include_self: bool
) -> Array:
    y = x.copy()
    flat = y.reshape(-1)
    if index.size:
        places = flat_places(x.shape, along_axis(np.asarray(index), dim))
        assert places is not None
        if not include_self:
            flat[places] = _identity(how, y.dtype)
        with quiet():
            _AT[how].at(flat, places, src.reshape(-1))
    return y


def _reducing(
    name: str,
    graph: str,
    forward: Callable[..., Array],
    batching: Callable[..., Any],
    taken: Callable[..., Any],
    summed: Callable[..., Any],
    cleared: Callable[..., Any],
) -> Callable[..., Tensor]:
    """`reduce(x, src, index, dim, how, include_self)` for products, largest and least elements.

    Args:
        name: of the operation.
        graph: the name of its node.
        forward: of the operation.
        batching: its reading for batches.
        taken: `taken(xp, v, index, dim)`, what is at the places in `v`.
        summed: `summed(xp, v, index, dim, shape)`, its adjoint.
        cleared: `cleared(xp, v, index, dim, shape)`, `v` with zeros at the places.
    """

    def gradients(
        xp: Namespace,
        g: Any,
        y: Any,
        x: Any,
        src: Any,
        x_shape: Shape,
        index: Any,
        dim: int,
        how: str,
        include_self: bool,
        wanted: tuple[bool, bool],
    ) -> tuple[Any, Any]:
        more = index, dim, how, include_self
        of_x = of_src = None
        if how == "prod":
            if wanted[0]:
                # The product without x, which may be 0.
                without = xp.where(xp.equal(x, 0), xp.ones_like(x), x)
                of_x = g * xp.apply(reduce, without, src, *more) / without
            if wanted[1]:
                zero = xp.equal(src, 0)
                zeros = summed(xp, xp.astype(zero, x.dtype), index, dim, x_shape)
                single = xp.logical_and(zero, xp.equal(taken(xp, zeros, index, dim), 1))
                ones = xp.ones_like(src)
                others = g * xp.apply(reduce, x, xp.where(single, ones, src), *more)
                of_src = xp.where(
                    single,
                    taken(xp, others, index, dim),
                    taken(xp, g * y, index, dim) / xp.where(zero, ones, src),
                )
        else:
            largest_x = xp.astype(xp.equal(x, y), x.dtype)
            largest_src = xp.astype(xp.equal(src, taken(xp, y, index, dim)), x.dtype)
            share = g / (largest_x + summed(xp, largest_src, index, dim, x_shape))
            of_x, of_src = largest_x * share, largest_src * taken(xp, share, index, dim)
        if of_x is not None and not include_self:
            of_x = cleared(xp, of_x, index, dim, x_shape)
        return of_x, of_src

    reduce: Callable[..., Tensor] = primitive(
        name,
        forward,
        joint=gradients,
        inputs=2,
        graph=graph,
        holds_arrays=True,
        bilinear=True,
        batching=batching,
    )
    return reduce


_scatter_reduce = _reducing(
    "scatter_reduce",
    "ScatterReduceBackward0",
    _reduced,
    _along,
    gathered,
    lambda xp, v, index, dim, shape: xp.put_along_axis(v, index, shape, dim),
    lambda xp, v, index, dim, shape: xp.apply(_scatter_value, v, index, dim, 0.0),
)


def _check_order(name: str, reduce: str, x: Tensor) -> None:
    if x._type.dtype.is_complex and reduce in ("amax", "amin"):
        raise DTypeError(f"{name}: {reduce} is not implemented for complex tensors.")


def _mean(total: Tensor, count: Callable[[Namespace], Any], include_self: bool) -> Tensor:
    """Sums divided by how many values each is of: `count(xp)`, and its own if included."""
    kind = total._type

    def counts() -> Any:
        found = count(kind.xp)
        return found + 1 if include_self else kind.xp.maximum(found, 1)

    number = wrap(on_device_of(total, counts))
    if kind.dtype.is_inexact:
        return div(total, number.to(kind.dtype))
    return div(total, number, rounding_mode="floor").to(kind.dtype)


@public(
    methods=("scatter_reduce",),
    kind="primitive",
    in_place=True,
    samples=lambda make: [
        sample(make.real(2, 3), 0, make.integers(0, 2, 3, 2), make.real(3, 2), "sum"),
        sample(make.real(2, 3), -1, make.integers(0, 3, 2, 4), make.real(2, 4), "prod"),
        sample(make.real(3), 0, np.array([2, 0, 2, 0]), np.array([0, 1.5, -1, 2]), "prod"),
        sample(make.real(2, 3), 1, make.integers(0, 2, 2, 4), make.real(2, 4), "mean"),
        sample(make.real(2, 3), 0, make.integers(0, 2, 4, 3), make.real(4, 3), "amax"),
        sample(make.real(4), 0, make.integers(0, 3, 5), make.real(5), reduce="amin"),
        *(
            sample(make.real(4), 0, np.array([2, 0, 2]), make.real(3), how, include_self=False)
            for how in ("sum", "prod", "mean", "amax", "amin")
        ),
        sample(make.real(), 0, np.array([0]), make.real(1), "amax"),
        sample(make.real(3), axis=0, index=np.zeros(0, np.int64), src=make.real(0), reduce="mean"),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must be either sum", make.real(2), 0, np.array([0]), make.real(1), "x"),
        bad(RuntimeError, "out of bounds", make.real(2), 0, np.array([2]), make.real(1), "amax"),
        bad(
            RuntimeError,
            "Expected dtype int32/int64",
            make.real(2),
            0,
            make.real(1),
            make.real(1),
            "sum",
        ),
        bad(
            RuntimeError,
            "not implemented for complex",
            make.complex(2),
            0,
            np.array([0]),
            make.complex(1),
            "amax",
        ),
    ],
    departs={
        "node": "sums and means are composite",
        "tangent: 1, 2, 7": "PyTorch has no tangent of products",
    },
)
def scatter_reduce(
    input: Tensor,
    dim: int | None = None,
    index: Any = None,
    src: Any = None,
    reduce: str | None = None,
    *,
    include_self: bool = True,
    axis: int | None = None,
) -> Tensor:
    """`input` with the elements of `src` that have the same place in `index` reduced there.

    Args:
        input: `(n_1, ..., n_k)`, any dtype.
        dim: the dimension along which.
        index: `(m_1, ..., m_k)`, int64 or int32, as for `scatter`.
        src: at least of the shape of `index`, of the dtype of `input`.
        reduce: `"sum"`, `"prod"`, `"mean"`, `"amax"` or `"amin"`. Of the largest and the least,
            equal elements share the gradient.
        include_self: whether the element of `input` is reduced with them, or replaced.
        axis: NumPy's name for `dim`.

    Returns:
        The shape of `input`, a copy. The mean of integers is rounded down.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `index` is not of integers, the dtypes differ, or complex numbers would have to
            be compared.
        ArgumentError: a place is out of range, or there is no such reduction.
        DimensionError: `dim` is out of range.
    """
    input = tensor_of("scatter_reduce", input)
    for argument, given in (("src", src), ("reduce", reduce)):
        if given is None:
            raise ArgumentTypeError(
                f"scatter_reduce() missing 1 required positional argument: '{argument}'."
            )
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ArgumentError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}."
        )
    at, places = aimed("scatter_reduce", input, dim, index, src, axis)
    _check_order("scatter_reduce", reduce, input)
    run = functools.partial(at_places, "scatter_reduce")
    if reduce not in ("sum", "mean"):
        return run(_scatter_reduce, input, src, places, at, reduce, bool(include_self))
    if not include_self:
        input = run(_scatter_value, input, None, places, at, 0.0)
    y = run(add_at, input, src, places, at)
    if reduce == "sum":
        return y
    shape = y._shape or (1,)
    places = places.reshape(-1) if len(shape) == 1 else places
    counted = lambda xp: namespace_of(xp, places).put_along_axis(places * 0 + 1, places, shape, at)
    y = _mean(reshape(y, shape), counted, include_self)
    return reshape(y, input._shape)


def _slices(
    name: str, input: Tensor, dim: Any, index: Any, source: Any, axis: Any
) -> tuple[int, Array, Tensor]:
    """A dimension, the raw places of `index` there, and a slice of `source` for each.

    Raises:
        DTypeError, ShapeError, DimensionError: they do not fit.
    """
    at = dim_argument(name, input, dim, axis)
    places = places_of(name, index, input)
    source = tensor_of(name, source)
    if places.ndim > 1:
        raise DimensionError(
            f"{name}(): Index is supposed to be a vector, and should have dimension 1 or 0, but "
            f"got dim: {places.ndim} and size: {list(places.shape)}."
        )
    if source._type.dtype is not input._type.dtype:
        raise DTypeError(
            f"{name}(): self ({input._type.dtype.label}) and source "
            f"({source._type.dtype.label}) must have the same scalar type."
        )
    places = places.reshape(-1)
    count = source._shape[at] if at < source.ndim else 1
    if len(places) != count:
        error = DimensionError if name == "index_copy" else ShapeError
        raise error(
            f"{name}(): Number of indices ({len(places)}) should be equal to source.size(dim): "
            f"({count}), for dim: {at}."
        )
    if not source._shape and input.ndim == 1:
        source = reshape(source, (1,))
    wanted = (*input._shape[:at], count, *input._shape[at + 1 :]) if input._shape else ()
    if source._shape != wanted and not (source._shape == (1,) and not input._shape):
        error = (
            DimensionError
            if name == "index_copy" and source.ndim not in (0, input.ndim)
            else ShapeError
        )
        raise error(
            f"{name}(): source tensor shape must match self tensor shape, excluding the specified "
            "dimension: Source/destination tensor must have same slice shapes. Got self.shape = "
            f"{list(input._shape)} source.shape = {list(source._shape)}."
        )
    return at, places, source


def _named(xp: Namespace, g: Any, index: Any, dim: int, shape: Shape) -> Any:
    """For each place of a dimension how often `index` names it, to be broadcast to `shape`."""
    n = shape[dim]
    counts = xp.put(xp.zeros(index.shape, g) + 1, (index,), (n,))
    return xp.reshape(counts, (n, *(1,) * (len(shape) - dim - 1)))


def _slices_at(xp: Namespace, v: Any, index: Any, dim: int) -> Any:
    return xp.getitem(v, (*(slice(None),) * dim, index))


def _without_named(xp: Namespace, v: Any, index: Any, dim: int, shape: Shape) -> Any:
    return xp.keep(v, xp.equal(_named(xp, v, index, dim, shape), 0))


def _copied_slices(level: Level, run: Any, x: Any, source: Any, index: Any, dim: int) -> Any:
    if belongs(index, level):
        y = own_memory(x, source, index)
        y[(*(slice(None),) * dim, index)] = source
        return y
    return BatchedArray(level, run(spread(x, level), spread(source, level), index, dim + 1))


def _with_slices(xp: Namespace, x: Array, source: Array, index: Array, dim: int) -> Array:
    y = x.copy()
    y[(*(slice(None),) * dim, index)] = source
    return y


_index_copy = primitive(
    "index_copy",
    lambda xp, x, source, index, dim: _with_slices(xp, x, source, index, dim),
    lambda xp, g, x_shape, index, dim: _without_named(xp, g, index, dim, x_shape),
    lambda xp, g, index, dim: _slices_at(xp, g, index, dim),
    holds_arrays=True,
    linear=True,
    batching=_copied_slices,
)


@public(
    methods=("index_copy",),
    kind="primitive",
    in_place=True,
    samples=lambda make: [
        sample(make.real(3, 2), 0, np.array([2, 0]), make.real(2, 2)),
        sample(make.real(2, 3), -1, np.array([1]), make.real(2, 1)),
        sample(make.real(3), dim=0, index=np.array(1), source=make.real()),
        sample(make.real(3), axis=0, index=np.zeros(0, np.int64), source=make.real(0)),
        sample(make.real(), 0, np.array([0]), make.real(1)),
    ],
    errors=lambda make: [
        bad(IndexError, "out of bounds", make.real(2), 0, np.array([2]), make.real(1)),
        bad(IndexError, "Number of indices", make.real(2), 0, np.array([0, 0]), make.real(1)),
        bad(
            RuntimeError,
            "must have same slice shapes",
            make.real(2, 3),
            0,
            np.array([0]),
            make.real(1, 2),
        ),
        bad(IndexError, "dimension 1 or 0", make.real(2), 0, np.array([[0]]), make.real(1)),
        bad(RuntimeError, "same scalar type", make.real(2), 0, np.array([0]), np.array([1])),
        bad(IndexError, "Dimension out of range", make.real(2), 1, np.array([0]), make.real(1)),
    ],
    departs={"node": "a reshape at the end for 0-d"},
)
def index_copy(
    input: Tensor,
    dim: int | None = None,
    index: Any = None,
    source: Any = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """`input` with the slices of `source` at places of a dimension.

    Args:
        input: `(*, n, *)`, any dtype.
        dim: the dimension.
        index: `(m,)`, int64 or int32. Of a place named twice the last slice stays. Negative ones
            count from the end.
        source: `(*, m, *)`, of the dtype of `input`.
        axis: NumPy's name for `dim`.

    Returns:
        The shape of `input`, a copy.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `index` is not of integers, or the dtypes differ.
        DimensionError: `dim` or a place is out of range, or `index` is not a vector, or not of one
            place for each slice.
    """
    input = tensor_of("index_copy", input)
    at, places, source = _slices("index_copy", input, dim, index, source, axis)
    if source._type is not input._type:
        input, source = promote("index_copy", input, source)
    shape = input._shape
    if not shape:
        input, source = reshape(input, (1,)), reshape(source, (1,))
    try:
        y = _index_copy(input, source, places, at)
    except IndexError as error:
        if hasattr(error, "raised_by_mode"):
            raise
        raise out_of_bounds(DimensionError, input, places, at) from error
    return y if shape else reshape(y, ())


def _counted(x: Tensor, places: Array, dim: int) -> Any:
    """For each place of a dimension how often it is named, to be broadcast to `x`."""
    xp = namespace_of(x._type.xp, places)
    n = x._shape[dim]
    counts = xp.put(xp.ones_like(places), (places,), (n,))
    return xp.reshape(counts, (n, *(1,) * (x.ndim - dim - 1)))


def _rows(x: Tensor, places: Array, dim: int) -> Any:
    """A mask of the places of a dimension that are named, to be broadcast to `x`."""
    xp = namespace_of(x._type.xp, places)
    return on_device_of(x, lambda: xp.greater(_counted(x, places, dim), 0))


_index_fill, _index_fill_tensor = filling("index_fill", "IndexFillBackward{}")


@public(
    methods=("index_fill",),
    kind="primitive",
    in_place=True,
    samples=lambda make: [
        sample(make.real(3, 2), 0, np.array([2, 0, 2]), 1.5),
        sample(make.real(2, 3), -1, np.array([1, 1]), make.real()),
        sample(make.real(3), dim=0, index=np.array(-1), value=2),
        sample(make.real(3), axis=0, index=np.zeros(0, np.int64), value=0.5),
        sample(make.real(), 0, np.array([0]), make.real()),
    ],
    errors=lambda make: [
        bad(IndexError, "out of bounds", make.real(2), 0, np.array([2]), 1.0),
        bad(RuntimeError, "Index has to be a vector", make.real(2), 0, np.array([[0]]), 1.0),
        bad(
            RuntimeError, "0-dimensional value tensor", make.real(2), 0, np.array([0]), make.real(1)
        ),
        bad(RuntimeError, "without overflow", make.real(2), 0, np.array([0]), 1j),
        bad(IndexError, "Expected dtype", make.real(2), 0, make.real(1), 1.0),
    ],
    departs={"node": "a reshape at the end for 0-d"},
)
def index_fill(
    input: Tensor,
    dim: int | None = None,
    index: Any = None,
    value: Any = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """`input` with a value at places of a dimension.

    A mask chooses for each element, where PyTorch writes to the places alone: in short slices it
    takes up to seven times as long.

    Args:
        input: `(*, n, *)`, any dtype.
        dim: the dimension.
        index: `(m,)`, int64 or int32. Negative places count from the end.
        value: a number or a 0-d Tensor, which is cast to the dtype of `input`.
        axis: NumPy's name for `dim`.

    Returns:
        The shape of `input`, a copy.

    Raises:
        ShapeError: `index` is not a vector, or `value` has dimensions.
        DimensionError: `dim` or a place is out of range, or `index` is not of integers.
        ArgumentError: `value` does not fit the dtype.
    """
    input = tensor_of("index_fill", input)
    at = dim_argument("index_fill", input, dim, axis)
    try:
        places = places_of("index_fill", index, input)
    except DTypeError as error:
        raise DimensionError("index_fill_(): Expected dtype int32/int64 for index.") from error
    if places.ndim > 1:
        raise ShapeError("Index has to be a vector/scalar.")
    if value is None:
        raise lacking("index_fill", "value")
    places = places.reshape(-1)
    shape = input._shape
    if not shape:
        return reshape(index_fill(reshape(input, (1,)), at, places, value), ())
    try:
        mask = _rows(input, places, at)
    except IndexError as error:
        raise out_of_bounds(DimensionError, input, places, at) from error
    kind = input._type
    if isinstance(value, Tensor):
        if value._shape:
            raise ShapeError(
                "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
        return _index_fill_tensor(input, to(value, kind.device, kind.dtype), mask)
    return _index_fill(input, (mask, fitting("index_fill", value, input)))


def _reduced_slices(
    xp: Namespace, x: Array, src: Array, index: Array, dim: int, how: str, include_self: bool
) -> Array:
    y = x.copy()
    if not index.size:
        return y
    n = x.shape[dim]
    if not -n <= index.min() <= index.max() < n:
        raise IndexError
    index = np.where(index < 0, index + n, index)
    order = np.argsort(index, kind="stable")
    places = index[order]
    starts = np.flatnonzero(np.append(True, places[1:] != places[:-1]))
    at = (*(slice(None),) * dim, places[starts])
    with quiet():
        reduced = _AT[how].reduceat(src.take(order, dim), starts, dim, src.dtype)
        y[at] = _AT[how](y[at], reduced) if include_self else reduced
    return y


def _reduced_batches(
    level: Level, run: Any, x: Any, source: Any, index: Any, dim: int, *how: Any
) -> Any:
    if belongs(index, level):
        wide = batched.reshape(index, (len(index), *(1,) * (x.ndim - dim - 1)))
        wide = batched.broadcast_to(wide, source.shape)
        return batched.apply(_scatter_reduce, x, source, wide, dim, *how)
    return BatchedArray(level, run(spread(x, level), spread(source, level), index, dim + 1, *how))


_index_reduce = _reducing(
    "index_reduce",
    "IndexReduceBackward0",
    _reduced_slices,
    _reduced_batches,
    _slices_at,
    lambda xp, v, index, dim, shape: xp.put(v, (*(slice(None),) * dim, index), shape),
    _without_named,
)


@public(
    methods=("index_reduce",),
    kind="primitive",
    in_place=True,
    samples=lambda make: [
        sample(make.real(2, 3), 0, np.array([0, 1, 0]), make.real(3, 3), "prod"),
        sample(make.real(2, 3), -1, np.array([2, 2]), make.real(2, 2), "mean"),
        sample(make.real(3), dim=0, index=np.array([1, 1]), source=make.real(2), reduce="amax"),
        sample(make.real(3), 0, np.array([0, 2]), make.real(2), "amin", include_self=False),
        sample(make.real(3), 0, np.array([2, 0, 2]), make.real(3), "mean", include_self=False),
    ],
    errors=lambda make: [
        bad(RuntimeError, "to be one of", make.real(2), 0, np.array([0]), make.real(1), "sum"),
        bad(
            RuntimeError,
            "Number of indices",
            make.real(2),
            0,
            np.array([0, 0]),
            make.real(1),
            "prod",
        ),
        bad(IndexError, "out of range", make.real(2), 0, np.array([2]), make.real(1), "prod"),
        bad(TypeError, "missing 1 required", make.real(2), 0, np.array([1]), make.real(1)),
    ],
    departs={"node": "means are composite"},
)
def index_reduce(
    input: Tensor,
    dim: int | None = None,
    index: Any = None,
    source: Any = None,
    reduce: str | None = None,
    *,
    include_self: bool = True,
    axis: int | None = None,
) -> Tensor:
    """`input` with the slices of `source` that have the same place of a dimension reduced there.

    Args:
        input: `(*, n, *)`, any dtype.
        dim: the dimension.
        index: `(m,)`, int64 or int32. Negative places count from the end.
        source: `(*, m, *)`, of the dtype of `input`.
        reduce: `"prod"`, `"mean"`, `"amax"` or `"amin"`, as for `scatter_reduce`.
        include_self: whether the slice of `input` is reduced with them, or replaced.
        axis: NumPy's name for `dim`.

    Returns:
        The shape of `input`, a copy.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `index` is not of integers, the dtypes differ, or complex numbers would have to
            be compared.
        ArgumentError: there is no such reduction.
        DimensionError: `dim` or a place is out of range, or `index` is not a vector.
    """
    input = tensor_of("index_reduce", input)
    if reduce is None:
        raise lacking("index_reduce", "reduce")
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ArgumentError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    at, places, source = _slices("index_reduce", input, dim, index, source, axis)
    _check_order("index_reduce", reduce, input)
    if source._type is not input._type:
        input, source = promote("index_reduce", input, source)
    shape = input._shape
    if not shape:
        input, source = reshape(input, (1,)), reshape(source, (1,))
    try:
        if reduce != "mean":
            y = _index_reduce(input, source, places, at, reduce, bool(include_self))
            return y if shape else reshape(y, ())
        base = input
        if not include_self:
            base = _index_fill(input, (_rows(input, places, at), input._type.numpy.type(0)))
        y = index_add(base, at, places, source)
    except IndexError as error:
        if hasattr(error, "raised_by_mode"):
            raise
        wrong = wrong_place(places, input._shape[at])
        raise DimensionError(f"index out of range in self: {wrong}.") from error
    y = _mean(y, lambda xp: _counted(input, places, at), include_self)
    return y if shape else reshape(y, ())


# of all elements -------------------------------------------------------------------------------


@public(
    methods=("put",),
    in_place=True,
    samples=lambda make: [
        sample(make.real(2, 3), np.array([[4], [-6]]), make.real(2)),
        sample(make.real(2, 3), np.array([4, 0, 4]), make.real(3, 1), True),
        sample(make.real(3), index=np.array(1), source=make.real(1), accumulate=False),
        sample(make.real(), np.array([0]), make.real()),
        sample(make.real(2), np.zeros(0, np.int64), make.real(0)),
    ],
    errors=lambda make: [
        bad(IndexError, "tried to access index 6 on", make.real(6), np.array([6]), make.real(1)),
        bad(IndexError, "same number of elements", make.real(6), np.array([6]), make.real(2)),
        bad(IndexError, "into an empty tensor", make.real(0), np.array([0]), make.real(1)),
        bad(RuntimeError, "same dtype", make.real(2), np.array([0]), np.array([1])),
        bad(RuntimeError, "Expected dtype int32/int64", make.real(2), make.real(1), make.real(1)),
    ],
    departs={"node": "composite"},
)
def put(input: Tensor, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """`input` with the elements of `source` at places of the flattened Tensor.

    Args:
        input: `(*)`, any dtype.
        index: of any shape, int64 or int32; negative places count from the end.
        source: as many elements as `index`, of the dtype of `input`.
        accumulate: add to what is there, also where a place is named twice; otherwise the last
            value stays.

    Returns:
        The shape of `input`, a copy.

    Raises:
        DTypeError: `index` is not of integers, or the dtypes differ.
        DimensionError: a place is out of range, or the numbers of elements differ.
    """
    input, source = tensor_of("put", input), tensor_of("put", source)
    places = places_of("put", index, input)
    if source._type.dtype is not input._type.dtype:
        raise DTypeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{input.dtype} and source.dtype = {source.dtype}."
        )
    if places.size != source.numel():
        raise DimensionError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.numel()}, index.numel() = {places.size}."
        )
    if places.size and not input.numel():
        raise DimensionError("put_(): Tried to put elements into an empty tensor.")
    run = add_at if accumulate else _scatter
    try:
        y = at_places("put", run, flatten(input), flatten(source), places.reshape(-1), 0)
    except ArgumentError as error:
        wrong = wrong_place(places, input.numel())
        raise DimensionError(
            f"out of range: tried to access index {wrong} on a tensor of {input.numel()} elements."
        ) from error
    return reshape(y, input._shape)


# by a mask -------------------------------------------------------------------------------------


def _numbered(xp: Namespace, mask: Any) -> Any:
    """For each element of a flattened mask how many before it are true."""
    counts = xp.cumsum(xp.astype(mask, np.int64), 0)
    return xp.maximum(counts - 1, 0)


def _spread(xp: Namespace, source: Array, mask: Array) -> Array:
    """The elements of the vector `source` in order where the flat `mask` is true, else 0."""
    if xp is CPU.xp:
        y = np.zeros(mask.shape, source.dtype)
        count = int(np.count_nonzero(mask))
        if count > source.size:
            raise ArgumentError("Number of elements of source < number of ones in mask.")
        y[mask] = source[:count]
        return y
    if not source.shape[0]:
        return xp.keep(xp.zeros(mask.shape, source), mask)
    places = xp.minimum(_numbered(xp, mask), source.shape[0] - 1)
    y = xp.getitem(source, (places,))
    return xp.where(mask, y, xp.zeros_like(y))


def _collected(xp: Namespace, g: Array, mask: Array, size: int) -> Array:
    """The elements of the vector `g` where `mask` is true in order, and zeros up to `size`."""
    if xp is CPU.xp:
        y = np.zeros(size, g.dtype)
        chosen = g[mask]
        y[: len(chosen)] = chosen
        return y
    if not size:
        return xp.getitem(xp.keep(g, mask), slice(0, 0))
    places = xp.minimum(_numbered(xp, mask), size - 1)
    return xp.put(xp.keep(g, mask), (places,), (size,))


_masked_spread = primitive(
    "masked_scatter",
    lambda xp, source, mask: _spread(xp, source, mask),
    lambda xp, g, source_shape, mask: xp.apply(_masked_collect, g, mask, source_shape[0]),
    graph="MaskedScatterBackward0",
    holds_arrays=True,
    linear=True,
)
_masked_collect = primitive(
    "masked_scatter_backward",
    lambda xp, g, mask, size: _collected(xp, g, mask, size),
    lambda xp, g, mask: xp.apply(_masked_spread, g, mask),
    holds_arrays=True,
    linear=True,
)


@public(
    methods=("masked_scatter",),
    in_place=True,
    samples=lambda make: [
        sample(make.real(2, 3), make.boolean(2, 3), make.real(2, 3)),
        sample(make.real(2, 3), np.array([True, False, True]), make.real(5)),
        sample(make.real(3), mask=make.boolean(2, 3), source=make.real(6)),
        sample(make.real(), np.array(True), make.real(1)),
        sample(make.real(2), np.array([False, False]), make.real(0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "boolean masks", make.real(2), make.integers(0, 2, 2), make.real(2)),
        bad(RuntimeError, "same dtypes", make.real(2), make.boolean(2), np.array([1, 2])),
        bad(RuntimeError, "size of tensor a", make.real(2, 3), make.boolean(4), make.real(4)),
    ],
    departs={"node": "composite"},
)
def masked_scatter(input: Tensor, mask: Any, source: Any) -> Tensor:
    """`input` with the elements of `source`, in order, where a mask is true.

    Args:
        input: `(*)`, any dtype.
        mask: bool; both broadcast together.
        source: at least as many elements as the mask has that are true, of the dtype of `input`.
            On a CUDA device, which is not waited for, the last one serves for those missing.

    Returns:
        The dtype of `input`, a copy.

    Raises:
        DTypeError: `mask` is not bool, or the dtypes differ.
        ShapeError: the shapes do not broadcast.
        ArgumentError: `source` has too few elements.
    """
    input, source = tensor_of("masked_scatter", input), tensor_of("masked_scatter", source)
    chosen = mask_of("masked_scatter", mask, input, "masked_scatter_ only supports boolean masks")
    if source._type.dtype is not input._type.dtype:
        raise DTypeError(
            "masked_scatter: expected self and source to have same dtypes but got "
            f"{input._type.dtype.label} and {source._type.dtype.label}."
        )
    if chosen._shape != input._shape:
        shape = common_shape("masked_scatter", (input, chosen))
        input, chosen = expand(input, shape), expand(chosen, shape)
    values = _masked_spread(flatten(source), flatten(chosen)._array)
    y: Tensor = where(chosen, reshape(values, input._shape), input)
    return y
