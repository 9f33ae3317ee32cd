"""Sums and other reductions over dimensions, and scans.

The names of this module hide several builtins: `sum`, `max`, `min`, `all`, `any`.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from .. import dtypes
from ..device import Array, TensorType
from ..errors import ArgumentError, ArgumentTypeError, DimensionError, DTypeError, ShapeError
from ..mode import quiet
from ..op import primitive, public, tensor_of
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim, wrap
from .pointwise import maximum, minimum

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "std_mean",
    "sum",
    "var",
    "var_mean",
]

Dims = int | Sequence[int] | None
DType = Any


# dimensions ------------------------------------------------------------------------------------

_EVERY: Final = tuple(tuple(range(ndim)) for ndim in range(65))
"""By number of dimensions: all of them."""


def canonical_dims(dim: Any, ndim: int) -> tuple[int, ...]:
    """`dim` as a sorted tuple of dimensions counted from the front; None (or ()) means all.

    Raises:
        DimensionError: one is out of range.
        ArgumentError: one is named twice.
        ArgumentTypeError: one is no int.
    """
    if dim is None:
        return _EVERY[ndim]
    if dim.__class__ is int and 0 <= dim < ndim:
        return (dim,)
    if not isinstance(dim, tuple | list):
        dims = [_canonical(dim, ndim)]
    else:
        dims = sorted([_canonical(d, ndim) for d in dim])
        if not dims:
            return _EVERY[ndim]
        for d, following in itertools.pairwise(dims):
            if d == following:
                raise ArgumentError(
                    f"dim {d} appears multiple times in the list of dims {tuple(dim)}."
                )
    return tuple(dims) if ndim else ()


def _canonical(dim: Any, ndim: int) -> int:
    if dim is True or dim is False:
        raise ArgumentTypeError("a dimension must be an int, not bool.")
    return canonical_dim(dim, ndim)


def kept_shape(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with 1 in place of the reduced `dims`."""
    kept = list(shape)
    for d in dims:
        kept[d] = 1
    return tuple(kept)


def reduced_count(shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    """How many elements of an array of that shape a reduction over `dims` makes one of."""
    return math.prod([shape[d] for d in dims])


def aligned(xp: Any, g: Any, shape: tuple[int, ...], dim: tuple[int, ...], keepdim: bool) -> Any:
    """`g`, of the shape of a reduction's result, so that it broadcasts against its input."""
    if keepdim or not dim or dim[-1] == len(dim) - 1:  # the reduced dimensions lead
        return g
    return xp.reshape(g, kept_shape(shape, dim))


def refuse_empty(name: str, x: Tensor, dims: tuple[int, ...], given: bool) -> None:
    """Raise if a maximum over `dims` of the empty Tensor `x` has no value."""
    if not given:
        error = DimensionError if name.startswith("arg") else ShapeError
        raise error(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
            "Specify the reduction dim with the 'dim' argument."
        )
    for d in dims:
        if x._shape[d] == 0:
            raise DimensionError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


# accumulation ----------------------------------------------------------------------------------

_HALF: Final = np.dtype(np.float16)
_SINGLE: Final = np.dtype(np.float32)
_INTEGER: Final = np.dtype(np.int64)
_WIDE: Final[dict[Any, np.dtype[Any]]] = {
    _HALF: _SINGLE,
    **{t.dtype: _INTEGER for t in dtypes.ALL if not t.is_inexact},
}
"""The dtype to accumulate in, where it is not the array's own."""


def narrow(y: Any, dtype: Any) -> Any:
    """A float32 result as float16; too large becomes inf, silently as in PyTorch."""
    with quiet():
        return y.astype(dtype)


def accumulate(function: Any, x: Array, axis: Any, keepdim: bool) -> Any:
    """`xp.sum` or `xp.prod` of a raw array: in int64 for integers, in float32 for float16."""
    wide = _WIDE.get(x.dtype)
    if wide is None:
        return function(x, axis=axis, keepdims=keepdim)
    y = function(x, axis=axis, dtype=wide, keepdims=keepdim)
    return narrow(y, _HALF) if wide is _SINGLE else y


def _scan(method: str, x: Array, dim: int) -> Any:
    """The method `"cumsum"` or `"cumprod"` of a raw array, accumulated likewise."""
    if x.ndim == 0:
        return x.astype(np.int64) if x.dtype.kind in "bui" else x.copy()
    wide = _WIDE.get(x.dtype)
    y = getattr(x, method)(axis=dim, dtype=wide)
    return narrow(y, _HALF) if wide is _SINGLE else y


def converted(x: Tensor, dtype: DType) -> Tensor:
    target = dtypes.to_dtype(dtype)
    return x if x._type.dtype is target else x.to(target)


# sum and mean ----------------------------------------------------------------------------------

_sum_all = primitive(
    "sum",
    lambda xp, x: x.sum() if x.dtype not in _WIDE else accumulate(xp.sum, x, None, False),
    lambda xp, g, x_shape: xp.broadcast_to(g, x_shape),
    linear=True,
)
_sum = primitive(
    "sum",
    lambda xp, x, dim, keepdim: accumulate(xp.sum, x, dim, keepdim),
    lambda xp, g, x_shape, dim, keepdim: xp.broadcast_to(
        aligned(xp, g, x_shape, dim, keepdim), x_shape
    ),
    graph="SumBackward1",
    linear=True,
)


def _over_dims(make: Maker) -> list[Sample]:
    """Samples of a reduction that takes any dimensions."""
    return [
        sample(make.real()),
        sample(make.real(3)),
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3), -1, True),
        sample(make.real(2, 3, 4), (0, 2)),
        sample(make.real(2, 3, 4), dim=(-1, 1), keepdim=True),
        sample(make.real(2, 3), dim=None, keepdim=True),
        sample(make.real(2, 3), axis=1, keepdims=True),
        sample(make.real(), 0),
        sample(make.real(2, 0, 3), 0),
    ]


def _with_empty(make: Maker) -> list[Sample]:
    """As `_over_dims`, with reductions of nothing."""
    return [*_over_dims(make), sample(make.real(0)), sample(make.real(2, 0), 1)]


def _with_dtype(make: Maker) -> list[Sample]:
    """As `_with_empty`, with dtypes and complex numbers."""
    return [
        *_with_empty(make),
        sample(make.real(2, 3), dtype=dtypes.float64),
        sample(make.real(2, 3), 1, dtype=dtypes.float64),
        sample(make.complex(2, 3)),
        sample(make.complex(2, 3), 0),
        sample(make.integers(-3, 9, 2, 3), dtype=dtypes.float64),
    ]


@public(
    methods=("sum",),
    numpy={
        "sum": lambda a, axis=None, dtype=None, *, keepdims=False: sum(
            a, axis, keepdims, dtype=dtype
        )
    },
    array_api="sum",
    kind="primitive",
    samples=lambda make: [
        *_with_dtype(make),
        sample(make.integers(-3, 9, 2, 3), 0),
        sample(make.boolean(2, 3)),
        sample(make.real(2, 3), dtype=dtypes.int32),
    ],
    errors=lambda make: [
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
        bad(RuntimeError, "dim 0 appears multiple times", make.real(2, 3), (0, -2)),
        bad(TypeError, "must be an int, not float", make.real(2, 3), 1.0),
        bad(TypeError, "must be Tensor, not list", [1.0, 2.0]),
    ],
)
def sum(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: DType = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Sum over dimensions.

    Args:
        input: `(*)`, any dtype.
        dim: the dimension or dimensions to sum over; None or () for all.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first. By default integers and bools are summed in
            int64; float16 is accumulated in float32.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        The sums; 0 over nothing.

    Raises:
        DimensionError: a dimension is out of range.
        ArgumentError: one is named twice.
    """
    if (
        dim is None
        and dtype is None
        and axis is None
        and not keepdim
        and not keepdims
        and input.__class__ is Tensor
    ):
        total: Tensor = _sum_all(input)
        return total
    x = input if input.__class__ is Tensor else tensor_of("sum", input)
    if dtype is not None:
        x = converted(x, dtype)
    if dim is None and axis is None and not keepdim and not keepdims:
        y: Tensor = _sum_all(x)
    else:
        dims = canonical_dims(dim if axis is None else axis, len(x._shape))
        y = _sum(x, dims, bool(keepdim if keepdims is None else keepdims))
    return y if dtype is None else converted(y, dtype)


def _mean_raw(xp: Any, x: Array, axis: Any, keepdim: bool, count: int) -> Any:
    # Dividing by nan instead of 0 gives the nan of an empty mean without a warning.
    if x.dtype == _HALF:
        y = xp.sum(x, axis=axis, dtype=_SINGLE, keepdims=keepdim)
        return narrow(y / (count or math.nan), _HALF)
    return xp.sum(x, axis=axis, keepdims=keepdim) / (count or math.nan)


_LARGEST_HALF: Final = 65504.0


def over_count(g: Any, count: float) -> Any:
    """`g / count`, where the count may be one that float16 cannot hold."""
    if not count > _LARGEST_HALF:  # nan is a count too
        return g / count
    part = 2.0 ** math.ceil(math.log2(count / _LARGEST_HALF))  # exact, so that nothing is rounded
    return g / part / (count / part)


_mean_all = primitive(
    "mean",
    lambda xp, x: (
        _mean_raw(xp, x, None, False, x.size)
        if x.dtype in _WIDE
        else x.sum() / (x.size or math.nan)
    ),
    lambda xp, g, x_shape: xp.broadcast_to(over_count(g, math.prod(x_shape) or math.nan), x_shape),
    graph="MeanBackward1",
    linear=True,
)
_mean = primitive(
    "mean",
    lambda xp, x, dim, keepdim: _mean_raw(xp, x, dim, keepdim, reduced_count(x.shape, dim)),
    lambda xp, g, x_shape, dim, keepdim: xp.broadcast_to(
        aligned(xp, over_count(g, reduced_count(x_shape, dim) or math.nan), x_shape, dim, keepdim),
        x_shape,
    ),
    graph="MeanBackward1",
    linear=True,
)


def _mean_of_numpy(
    a: Tensor, axis: Dims = None, dtype: DType = None, *, keepdims: bool = False
) -> Tensor:
    """NumPy's `mean`, which takes integers too."""
    if dtype is None and isinstance(a, Tensor) and not a._type.recordable:
        dtype = dtypes.get_default_dtype()
    return mean(a, axis, keepdims, dtype=dtype)


@public(
    methods=("mean",),
    numpy={"mean": _mean_of_numpy},
    array_api="mean",
    kind="primitive",
    samples=_with_dtype,
    errors=lambda make: [
        bad(RuntimeError, "could not infer output dtype.*Got: Long", make.integers(0, 5, 3)),
        bad(RuntimeError, "Optional dtype must be", make.real(3), dtype=dtypes.int64),
        bad(IndexError, "Dimension out of range", make.real(2, 3), -3),
    ],
    departs={"second derivative: 11, 12": "empty: 0 / 0 here, 0 in PyTorch"},
)
def mean(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: DType = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Arithmetic mean over dimensions.

    Args:
        input: `(*)`, floating point or complex.
        dim: the dimension or dimensions to average over; None or () for all.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first; float16 is accumulated in float32.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        The means; nan over nothing.

    Raises:
        DTypeError: of integers; convert them first, or pass `dtype`.
        DimensionError: a dimension is out of range.
        ArgumentError: one is named twice.
    """
    x = input if input.__class__ is Tensor else tensor_of("mean", input)
    if dtype is not None:
        target = dtypes.to_dtype(dtype)
        if not target.is_inexact:
            raise _no_mean("Optional", target)
        x = converted(x, target)
    if not x._type.recordable:
        raise _no_mean("Input", x._type.dtype)
    if dim is None and axis is None and not keepdim and not keepdims:
        y: Tensor = _mean_all(x)
    else:
        dims = canonical_dims(dim if axis is None else axis, len(x._shape))
        y = _mean(x, dims, bool(keepdim if keepdims is None else keepdims))
    return y


def _no_mean(which: str, dtype: dtypes.dtype) -> DTypeError:
    return DTypeError(
        f"mean(): could not infer output dtype. {which} dtype must be either a floating point or "
        f"complex dtype. Got: {dtype.label}"
    )


# products --------------------------------------------------------------------------------------


def _running(xp: Any, name: str, x: Any, dim: int) -> Any:
    """`xp.cumsum` or `xp.cumprod` of `x`; float16 is accumulated in float32."""
    if x.dtype == _HALF:
        return xp.astype(getattr(xp, name)(x, axis=dim, dtype=np.float32), np.float16)
    return getattr(xp, name)(x, axis=dim)


def _part(xp: Any, x: Any, dim: int, start: int | None, stop: int | None) -> Any:
    return xp.getitem(x, (*(slice(None),) * dim, slice(start, stop)))


def _before(xp: Any, x: Any, dim: int) -> Any:
    """For each element the product of those before it along `dim`, which has 2 or more."""
    ones = xp.ones_like(_part(xp, x, dim, 0, 1))
    return xp.concatenate([ones, _running(xp, "cumprod", _part(xp, x, dim, 0, -1), dim)], axis=dim)


def _others(xp: Any, x: Any, shape: tuple[int, ...], dim: tuple[int, ...]) -> Any:
    """For each element the product of all others along `dim`. No division: exact at zeros.

    There are two or more along `dim`, and some at all.
    """
    if len(dim) == 1:
        (d,) = dim
        if len(shape) == 1 and shape[0] > _LONG_ROW:
            return _others_by_rows(xp, x, shape[0])
        return _before(xp, x, d) * xp.flip(_before(xp, xp.flip(x, d), d), d)
    rest = tuple(i for i in range(len(shape)) if i not in dim)
    order = rest + dim
    moved = tuple(shape[i] for i in order)
    flat = (*moved[: len(rest)], reduced_count(shape, dim))
    y = _others(xp, xp.reshape(xp.transpose(x, order), flat), flat, (len(rest),))
    back = tuple(order.index(i) for i in range(len(order)))
    return xp.transpose(xp.reshape(y, moved), back)


_LONG_ROW: Final = 4096
_ROW: Final = 64


def _others_by_rows(xp: Any, x: Any, n: int) -> Any:
    """As `_others`, of a long vector: those in the same short row, times all other rows.

    Running products of so many elements soon are so small that the processor is slow at them.
    """
    short = -n % _ROW
    if short:
        x = xp.concatenate([x, xp.ones_like(_part(xp, x, 0, 0, short))], axis=0)
    rows = xp.reshape(x, (-1, _ROW))
    count = (n + short) // _ROW
    before = _before(xp, rows, 1)
    after = xp.flip(_before(xp, xp.flip(rows, 1), 1), 1)
    whole = _part(xp, before * rows, 1, -1, None)
    others = _others(xp, xp.reshape(whole, (count,)), (count,), (0,))
    found = xp.reshape(before * after * xp.reshape(others, (count, 1)), (n + short,))
    return _part(xp, found, 0, 0, n) if short else found


def _prod_rule(xp: Any, g: Any, x: Any, shape: tuple[int, ...], dim: tuple[int, ...]) -> Any:
    if reduced_count(shape, dim) < 2 or 0 in shape:
        return xp.broadcast_to(g, shape)
    return g * _others(xp, x, shape, dim)


_prod_all = primitive(
    "prod",
    lambda xp, x: accumulate(xp.prod, x, None, False),
    lambda xp, g, x, x_shape: _prod_rule(xp, g, x, x_shape, _EVERY[len(x_shape)]),
    bilinear=True,
)
_prod = primitive(
    "prod",
    lambda xp, x, dim, keepdim: accumulate(xp.prod, x, dim, keepdim),
    lambda xp, g, x, x_shape, dim, keepdim: _prod_rule(
        xp, aligned(xp, g, x_shape, dim, keepdim), x, x_shape, dim
    ),
    bilinear=True,
    graph="ProdBackward1",
)


@public(
    methods=("prod",),
    numpy={
        "prod": lambda a, axis=None, dtype=None, *, keepdims=False: prod(
            a, axis, keepdims, dtype=dtype
        )
    },
    array_api="prod",
    kind="primitive",
    samples=lambda make: [
        sample(make.real()),
        sample(make.real(), 0),
        sample(make.real(1)),
        sample(make.real(4)),
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3), -1, True),
        sample(make.real(2, 3), axis=1, keepdims=True),
        sample(make.real(3, 2), 0, dtype=dtypes.float64),
        sample(make.real(0)),
        sample(make.real(2, 0, 3), 1),
        sample(make.real(2, 0, 3), 0),
        sample(np.array([2.0, 0.0, 3.0])),
        sample(np.array([[2.0, 0.0, 0.0, 3.0], [0.0, 1.0, 4.0, 5.0]]), 1),
        sample(make.complex(3)),
        sample(make.integers(1, 5, 2, 3)),
    ],
    errors=lambda make: [bad(IndexError, "Dimension out of range", make.real(2, 3), 2)],
)
def prod(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: DType = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Product over dimensions. Its derivatives of any order are exact where elements are 0.

    Args:
        input: `(*)`, any dtype.
        dim: the dimension to multiply along (a tuple names several); None for all.
        keepdim: keep them, with length 1.
        dtype: what `input` is converted to first. By default integers and bools are multiplied in
            int64; float16 is accumulated in float32.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        The products; 1 over nothing.

    Raises:
        DimensionError: a dimension is out of range.
    """
    x = input if input.__class__ is Tensor else tensor_of("prod", input)
    if dtype is not None:
        x = converted(x, dtype)
    if dim is None and axis is None and not keepdim and not keepdims:
        y: Tensor = _prod_all(x)
    else:
        dims = canonical_dims(dim if axis is None else axis, len(x._shape))
        y = _prod(x, dims, bool(keepdim if keepdims is None else keepdims))
    return y if dtype is None else converted(y, dtype)


# scans -----------------------------------------------------------------------------------------


def from_here(xp: Any, g: Any, x: Any, shape: tuple[int, ...], dim: int) -> Any:
    """S_i = g_i + x_(i+1) S_(i+1) along `dim`: what reaches position i through later products.

    The maps S -> g_i + x_(i+1) S are composed in pairs, doubling the span of each with every round.
    No division: exact at zeros, and as smooth as the products themselves.
    """
    n = shape[dim]
    factor = _part(xp, x, dim, 1, None)
    span = 1
    while span < n:
        later = factor * _part(xp, g, dim, span, None)
        here = _part(xp, g, dim, 0, n - span) + later
        g = xp.concatenate([here, _part(xp, g, dim, n - span, None)], axis=dim)
        if 2 * span < n:
            factor = _part(xp, factor, dim, 0, n - 2 * span) * _part(xp, factor, dim, span, None)
        span *= 2
    return g


def _cumprod_rule(xp: Any, g: Any, x: Any, shape: tuple[int, ...], dim: int) -> Any:
    if not shape or shape[dim] < 2:
        return g
    return from_here(xp, g, x, shape, dim) * _before(xp, x, dim)


_cumsum = primitive(
    "cumsum",
    lambda xp, x, dim: _scan("cumsum", x, dim),
    lambda xp, g, x_shape, dim: (
        xp.flip(_running(xp, "cumsum", xp.flip(g, dim), dim), dim) if x_shape else g
    ),
    linear=True,
)
_cumprod = primitive(
    "cumprod",
    lambda xp, x, dim: _scan("cumprod", x, dim),
    lambda xp, g, x, x_shape, dim: _cumprod_rule(xp, g, x, x_shape, dim),
    bilinear=True,
)


def _scanned(
    name: str, apply: Any, input: Any, dim: int | None, dtype: DType, axis: int | None
) -> Tensor:
    x = input if input.__class__ is Tensor else tensor_of(name, input)
    chosen = dim if axis is None else axis
    if chosen is None:
        raise ArgumentTypeError(f"{name}() missing the argument 'dim': along which dimension?")
    if dtype is not None:
        x = converted(x, dtype)
    y: Tensor = apply(x, _canonical(chosen, len(x._shape)))
    return y if dtype is None else converted(y, dtype)


def _scan_of_numpy(scan: Any, a: Tensor, axis: int | None = None, dtype: DType = None) -> Tensor:
    """NumPy's scans, which flatten by default."""
    result: Tensor = (
        scan(a.reshape((-1,)), 0, dtype=dtype) if axis is None else scan(a, axis, dtype=dtype)
    )
    return result


def _scans(make: Maker) -> list[Sample]:
    return [
        sample(make.real(), 0),
        sample(make.real(5), 0),
        sample(make.real(1), 0),
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3, 2), -2),
        sample(make.real(2, 3), dim=1, dtype=dtypes.float64),
        sample(make.real(2, 3), axis=1),
        sample(make.real(0), 0),
        sample(make.real(2, 0, 3), 2),
        sample(make.complex(2, 3), 1),
        sample(make.integers(-3, 9, 2, 3), 0),
        sample(make.boolean(3), 0),
    ]


def _wrong_dims(make: Maker) -> list[Bad]:
    return [
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
        bad(TypeError, "missing the argument 'dim'", make.real(2, 3)),
    ]


@public(
    in_place=True,
    methods=("cumsum",),
    numpy={"cumsum": lambda a, axis=None, dtype=None: _scan_of_numpy(cumsum, a, axis, dtype)},
    array_api="cumulative_sum",
    kind="primitive",
    samples=_scans,
    errors=_wrong_dims,
)
def cumsum(
    input: Tensor, dim: int | None = None, *, dtype: DType = None, axis: int | None = None
) -> Tensor:
    """Sums of the elements up to each one along a dimension.

    Args:
        input: `(*)`, any dtype.
        dim: the dimension. Must be given.
        dtype: what `input` is converted to first. By default integers and bools are summed in
            int64; float16 is accumulated in float32.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)`, the running sums.

    Raises:
        DimensionError: the dimension is out of range.
    """
    return _scanned("cumsum", _cumsum, input, dim, dtype, axis)


@public(
    in_place=True,
    methods=("cumprod",),
    numpy={"cumprod": lambda a, axis=None, dtype=None: _scan_of_numpy(cumprod, a, axis, dtype)},
    array_api="cumulative_prod",
    kind="primitive",
    samples=lambda make: [
        *_scans(make),
        sample(np.array([2.0, 0.0, 3.0, 4.0]), 0),
        sample(np.array([[2.0, 0.0, 3.0, 0.0, 5.0]]), 1),
    ],
    errors=_wrong_dims,
    departs={"complex derivative: 5": "PyTorch's gradient through dtype=float64 is not real"},
)
def cumprod(
    input: Tensor, dim: int | None = None, *, dtype: DType = None, axis: int | None = None
) -> Tensor:
    """Products of the elements up to each one along a dimension; the arguments are as of `cumsum`.

    Its derivatives of any order are exact where elements are 0. They take a pass for each doubling
    of the span, where PyTorch divides if no element is 0: backward takes up to six times as long.

    Returns:
        `(*)`, the running products.
    """
    return _scanned("cumprod", _cumprod, input, dim, dtype, axis)


# variance --------------------------------------------------------------------------------------


def _var_raw(xp: Any, x: Array, dim: tuple[int, ...], correction: float, keepdim: bool) -> Any:
    if x.dtype == _HALF:
        x = x.astype(_SINGLE)
    count = reduced_count(x.shape, dim)
    deviation = x - xp.sum(x, axis=dim, keepdims=True) / (count or math.nan)
    total = xp.dot_over(deviation, deviation, dim, keepdim).real
    if count > correction:
        return total / (count - correction)
    with quiet():
        return total * math.inf


def _var_forward(xp: Any, x: Array, dim: tuple[int, ...], correction: float, keepdim: bool) -> Any:
    y = _var_raw(xp, x, dim, correction, keepdim)
    return narrow(y, _HALF) if x.dtype == _HALF else y


def _std_forward(xp: Any, x: Array, dim: tuple[int, ...], correction: float, keepdim: bool) -> Any:
    y = xp.sqrt(_var_raw(xp, x, dim, correction, keepdim))
    return narrow(y, _HALF) if x.dtype == _HALF else y


def _mean_rule(xp: Any, x: Any, dim: tuple[int, ...], count: int) -> Any:
    if x.dtype == _HALF:
        return xp.mean(x, axis=dim, keepdims=True)
    return xp.sum(x, axis=dim, keepdims=True) / count


def _var_rule(
    xp: Any,
    g: Any,
    x: Any,
    shape: tuple[int, ...],
    dim: tuple[int, ...],
    correction: float,
    keepdim: bool,
) -> Any:
    count = reduced_count(shape, dim)
    if not count:
        return xp.zeros_like(x)
    scale = 2.0 / (count - correction) if count > correction else math.inf
    deviation = x - _mean_rule(xp, x, dim, count)
    return aligned(xp, g * scale, shape, dim, keepdim) * deviation


_var = primitive(
    "var",
    _var_forward,
    lambda xp, g, x, x_shape, dim, correction, keepdim: _var_rule(
        xp, g, x, x_shape, dim, correction, keepdim
    ),
)
# Where std is 0 its gradient is taken as 0: dividing by inf does that in every order.
_std = primitive(
    "std",
    _std_forward,
    lambda xp, g, y, x, x_shape, dim, correction, keepdim: _var_rule(
        xp, 0.5 * (g / xp.where(y == 0, math.inf, y)), x, x_shape, dim, correction, keepdim
    ),
)


def _deviation(
    name: str,
    input: Any,
    dim: Any,
    unbiased: bool | None,
    keepdim: bool,
    correction: float | None,
    axis: Dims,
    keepdims: bool | None,
) -> tuple[Tensor, tuple[int, ...], float, bool]:
    """The arguments of `var` and its kin, as the primitives take them."""
    x = input if input.__class__ is Tensor else tensor_of(name, input)
    if not x._type.recordable:
        raise DTypeError(
            f"{name}: std and var only support floating point and complex dtypes, "
            f"and this is {x.dtype}: convert it first."
        )
    if dim is True or dim is False:
        if unbiased is not None:
            raise ArgumentTypeError(f"{name}(): a dimension must be an int, not bool.")
        dim, unbiased = None, dim
    if unbiased is not None:
        if correction is not None:
            raise ArgumentTypeError(f"{name}(): give either correction or unbiased, not both.")
        correction = 1 if unbiased else 0
    elif correction is None:
        correction = 1
    dims = canonical_dims(dim if axis is None else axis, len(x._shape))
    if reduced_count(x._shape, dims) <= correction:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).",
            UserWarning,
            stacklevel=3,
        )
    return x, dims, float(correction), bool(keepdim if keepdims is None else keepdims)


def _deviations(make: Maker) -> list[Sample]:
    return [
        sample(make.real(3)),
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3), -1, True, True),
        sample(make.real(2, 3), 1, False),
        sample(make.real(4), False),
        sample(make.real(2, 3), unbiased=False),
        sample(make.real(2, 3, 4), (0, -1), keepdim=True),
        sample(make.real(2, 3), dim=None, correction=0, keepdim=True),
        sample(make.real(2, 3), dim=1, correction=1.5),
        sample(make.real(2, 3), axis=1, keepdims=True),
        sample(make.real(2, 0, 3), 0),
        sample(make.complex(2, 3), 1),
    ]


def _numpy_deviation(function: Any) -> Any:
    def adapter(
        a: Tensor,
        axis: Dims = None,
        dtype: DType = None,
        ddof: float = 0,
        *,
        keepdims: bool = False,
        correction: float | None = None,
    ) -> Any:
        if dtype is None and not a._type.recordable:
            dtype = dtypes.get_default_dtype()
        if dtype is not None:
            a = converted(a, dtype)
        return function(
            a, axis, keepdim=keepdims, correction=ddof if correction is None else correction
        )

    return adapter


@public(
    methods=("var",),
    numpy={"var": _numpy_deviation(lambda *a, **k: var(*a, **k))},
    array_api="var",
    kind="primitive",
    samples=_deviations,
    errors=lambda make: [
        bad(RuntimeError, "only support floating point", make.integers(0, 5, 3)),
        bad(TypeError, "either correction or unbiased", make.real(3), unbiased=True, correction=1),
    ],
)
def var(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Variance over dimensions: the sum of |x - mean|**2 divided by n - correction.

    Args:
        input: `(*)`, floating point or complex.
        dim: the dimension or dimensions; None or () for all. A bool here is `unbiased`.
        unbiased: True for correction 1, False for 0.
        keepdim: keep the dimensions, with length 1.
        correction: taken from the number of elements n; 1 by default (NumPy's default is 0).
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        The variances, real. With n <= correction they are nan or inf, and a UserWarning is given.

    Raises:
        DTypeError: of integers; convert them first.
        ArgumentTypeError: both `correction` and `unbiased` are given.
        DimensionError: a dimension is out of range.
    """
    y: Tensor = _var(*_deviation("var", input, dim, unbiased, keepdim, correction, axis, keepdims))
    return y


@public(
    methods=("std",),
    numpy={"std": _numpy_deviation(lambda *a, **k: std(*a, **k))},
    array_api="std",
    kind="primitive",
    samples=_deviations,
    errors=lambda make: [
        bad(RuntimeError, "only support floating point", make.integers(0, 5, 3)),
        bad(IndexError, "Dimension out of range", make.real(3), 1),
    ],
)
def std(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Standard deviation over dimensions: the square root of `var`, which see for the arguments.

    Where it is 0, its gradient is taken as 0.

    Returns:
        The deviations, real. With n <= correction they are nan or inf, and a UserWarning is given.
    """
    y: Tensor = _std(*_deviation("std", input, dim, unbiased, keepdim, correction, axis, keepdims))
    return y


@public(samples=_deviations, departs={"node": "two nodes"})
def var_mean(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """`var` and `mean` over dimensions; see `var` for the arguments and errors."""
    x, dims, delta, keep = _deviation(
        "var_mean", input, dim, unbiased, keepdim, correction, axis, keepdims
    )
    return _var(x, dims, delta, keep), _mean(x, dims, keep)


@public(samples=_deviations, departs={"node": "two nodes"})
def std_mean(
    input: Tensor,
    dim: Dims | bool = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """`std` and `mean` over dimensions; see `std` for the arguments and errors."""
    x, dims, delta, keep = _deviation(
        "std_mean", input, dim, unbiased, keepdim, correction, axis, keepdims
    )
    return _std(x, dims, delta, keep), _mean(x, dims, keep)


# largest and smallest --------------------------------------------------------------------------


def ties(xp: Any, mask: Any, g: Any, dim: tuple[int, ...]) -> Any:
    """`g` shared evenly among the True elements of `mask` along `dim`.

    Where there is none it is nan: so a reduction says that its result was nan.
    """
    count = xp.sum(mask, axis=dim, keepdims=True)
    return mask * (g / xp.astype(count, g.dtype))


def _extreme_rule(
    xp: Any, g: Any, y: Any, x: Any, x_shape: tuple[int, ...], dim: tuple[int, ...], keepdim: bool
) -> Any:
    mask = x == aligned(xp, y, x_shape, dim, keepdim)
    return ties(xp, mask, aligned(xp, g, x_shape, dim, keepdim), dim)


def _extreme_all_rule(xp: Any, g: Any, y: Any, x: Any, x_shape: tuple[int, ...]) -> Any:
    # Only if y is nan has x a nan, and then those elements share the gradient.
    return ties(xp, (x == y) | (x != x), g, _EVERY[len(x_shape)])


def chosen_rule(
    xp: Any, g: Any, indices: Any, x_shape: tuple[int, ...], dim: int, keepdim: bool
) -> Any:
    if not keepdim:
        g = xp.reshape(g, kept_shape(x_shape, (dim,)))
    return xp.put_along_axis(g, indices, x_shape, dim)


_amax = primitive(
    "amax", lambda xp, x, dim, keepdim: x.max(axis=dim, keepdims=keepdim), _extreme_rule
)
_amin = primitive(
    "amin", lambda xp, x, dim, keepdim: x.min(axis=dim, keepdims=keepdim), _extreme_rule
)
_max_all = primitive("max", lambda xp, x: x.max(), _extreme_all_rule, graph="MaxBackward1")
_min_all = primitive("min", lambda xp, x: x.min(), _extreme_all_rule, graph="MinBackward1")
# Handed the indices, which are found outside, so that both are at hand.
_max_along = primitive(
    "max_along",
    lambda xp, x, indices, dim, keepdim: x.max(axis=dim, keepdims=keepdim),
    chosen_rule,
    None,
    graph="MaxBackward0",
)
_min_along = primitive(
    "min_along",
    lambda xp, x, indices, dim, keepdim: x.min(axis=dim, keepdims=keepdim),
    chosen_rule,
    None,
    graph="MinBackward0",
)


def ordered(name: str, input: Any, *, to_bool: bool = True) -> Tensor:
    """The argument `input` of an operation that compares elements."""
    x = input if input.__class__ is Tensor else tensor_of(name, input)
    dtype = x._type.dtype
    if dtype.is_complex:
        raise DTypeError(f"{name}(): does not support complex input, and this is {dtype}.")
    if not to_bool and dtype is dtypes.bool_:
        raise DTypeError(f"{name}(): does not support bool input; convert it to int first.")
    return x


def _extremes(make: Maker) -> list[Sample]:
    return [*_over_dims(make), sample(make.integers(-3, 9, 2, 3)), sample(make.boolean(2, 3), 0)]


def _wrong_extremes(make: Maker) -> list[Bad]:
    return [
        bad(RuntimeError, "Expected reduction dim to be specified", make.real(0)),
        bad(IndexError, "Expected reduction dim 0 to have non-zero size", make.real(0, 2), 0),
        bad(RuntimeError, "does not support complex", make.complex(2)),
    ]


@public(
    methods=("amax",),
    numpy={
        "max": lambda a, axis=None, *, keepdims=False: amax(a, axis, keepdims),
        "amax": lambda a, axis=None, *, keepdims=False: amax(a, axis, keepdims),
    },
    array_api="max",
    kind="primitive",
    samples=_extremes,
    errors=_wrong_extremes,
)
def amax(
    input: Tensor,
    dim: Dims = (),
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The largest element over dimensions; nan if there is one.

    Elements that are equally large share the gradient.

    Args:
        input: `(*)`, not complex.
        dim: the dimension or dimensions; () or None for all.
        keepdim: keep them, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Raises:
        ShapeError: there is no element, and no `dim`.
        DimensionError: one of `dim` is out of range, or has length 0.
        DTypeError: complex numbers have no order.
    """
    x = ordered("amax", input)
    given = dim if axis is None else axis
    dims = canonical_dims(given, len(x._shape))
    if 0 in x._shape:
        refuse_empty("amax", x, dims, given is not None and given != ())
    y: Tensor = _amax(x, dims, bool(keepdim if keepdims is None else keepdims))
    return y


@public(
    methods=("amin",),
    numpy={
        "min": lambda a, axis=None, *, keepdims=False: amin(a, axis, keepdims),
        "amin": lambda a, axis=None, *, keepdims=False: amin(a, axis, keepdims),
    },
    array_api="min",
    kind="primitive",
    samples=_extremes,
    errors=_wrong_extremes,
)
def amin(
    input: Tensor,
    dim: Dims = (),
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The smallest element over dimensions; nan if there is one.

    Elements that are equally small share the gradient. The arguments are those of `amax`.
    """
    x = ordered("amin", input)
    given = dim if axis is None else axis
    dims = canonical_dims(given, len(x._shape))
    if 0 in x._shape:
        refuse_empty("amin", x, dims, given is not None and given != ())
    y: Tensor = _amin(x, dims, bool(keepdim if keepdims is None else keepdims))
    return y


class Selected(NamedTuple):
    """What operations that select elements along a dimension return: `max`, `sort`, `topk`, ...

    Attributes:
        values: the elements.
        indices: where they stand along the dimension, int64.
    """

    values: Tensor
    indices: Tensor


def _extreme_along(
    name: str, x: Tensor, dim: Any, keepdim: bool, whole: Any, along: Any
) -> Selected:
    d = _canonical(dim, len(x._shape))
    if 0 in x._shape:
        refuse_empty(name, x, (d,), True)
    if not x._shape:
        return Selected(whole(x), _plain(x._type, _called(x, "arg" + name)))
    xp = x._type.xp
    indices = wrap(getattr(xp, "arg" + name)(x._array, axis=d, keepdims=True))
    values: Tensor = along(x, indices, d, keepdim)
    if not keepdim:
        indices = wrap(indices._array.reshape(values._shape))
    return Selected(values, indices)


def _max_samples(make: Maker) -> list[Sample]:
    return [
        sample(make.real()),
        sample(make.real(2, 3)),
        sample(make.real(), 0),
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3), -1, True),
        sample(make.real(2, 3), dim=1, keepdim=True),
        sample(make.real(2, 3), axis=0, keepdims=True),
        sample(make.real(2, 0, 3), 0),
        sample(make.real(2, 3), make.real(3)),
        sample(make.real(2, 1), other=make.real(3)),
        sample(make.integers(-3, 9, 2, 3), 1),
    ]


def _wrong_max(make: Maker) -> list[Bad]:
    return [
        *_wrong_extremes(make),
        bad(TypeError, "keepdim needs dim", make.real(2), keepdim=True),
        bad(TypeError, "must be an int, not float", make.real(2), 2.0),
    ]


@public(
    methods=("max",),
    kind="primitive",
    samples=_max_samples,
    errors=_wrong_max,
    departs={"node": "a 0-d Tensor", "saves": "a 0-d operand along its dimension"},
)
def max(
    input: Tensor,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Any:
    """The largest element: `max(x)`; along a dimension: `max(x, dim)`; of two: `max(x, other)`.

    Args:
        input: `(*)`, not complex.
        dim: the dimension; None for all elements. Or a Tensor: see `maximum`.
        keepdim: keep the dimension, with length 1.
        other: the second operand of `maximum`, by keyword.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        A 0-d Tensor (equally large elements share the gradient); along a dimension a named tuple
        `(values, indices)` (the first of them gets it). nan if there is one.

    Raises:
        ShapeError: there is no element, and no `dim`.
        DimensionError: `dim` is out of range, or has length 0.
        DTypeError: complex numbers have no order.
    """
    if isinstance(dim, Tensor):
        return maximum(input, dim)
    if other is not None:
        return maximum(input, other)
    x = ordered("max", input)
    keep = bool(keepdim if keepdims is None else keepdims)
    chosen = dim if axis is None else axis
    if chosen is not None:
        return _extreme_along("max", x, chosen, keep, _max_all, _max_along)
    if keep:
        raise ArgumentTypeError("max(): keepdim needs dim; amax(x, keepdim=True) takes all.")
    if 0 in x._shape:
        refuse_empty("max", x, (), False)
    return _max_all(x)


@public(
    methods=("min",),
    kind="primitive",
    samples=_max_samples,
    errors=_wrong_max,
    departs={"node": "a 0-d Tensor", "saves": "a 0-d operand along its dimension"},
)
def min(
    input: Tensor,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Any:
    """The smallest element: `min(x)`; along a dimension: `min(x, dim)`; of two: `min(x, other)`.

    The arguments and what it returns are as those of `max`; of two operands, see `minimum`.
    """
    if isinstance(dim, Tensor):
        return minimum(input, dim)
    if other is not None:
        return minimum(input, other)
    x = ordered("min", input)
    keep = bool(keepdim if keepdims is None else keepdims)
    chosen = dim if axis is None else axis
    if chosen is not None:
        return _extreme_along("min", x, chosen, keep, _min_all, _min_along)
    if keep:
        raise ArgumentTypeError("min(): keepdim needs dim; amin(x, keepdim=True) takes all.")
    if 0 in x._shape:
        refuse_empty("min", x, (), False)
    return _min_all(x)


# without derivative ----------------------------------------------------------------------------


def _plain(kind: TensorType, y: Any) -> Tensor:
    """A leaf around a raw result, which may be a scalar."""
    return wrap(kind.asarray(y))


def _called(x: Tensor, method: str, **arguments: Any) -> Any:
    """What a method of the raw array gives, where the array is."""
    device = x._type.device
    return device.backend.on(device, lambda _: getattr(x._array, method)(**arguments))


def _position(name: str, input: Any, dim: int | None, keepdim: bool) -> Tensor:
    x = ordered(name, input, to_bool=False)
    shape = x._shape
    if dim is None:
        if 0 in shape:
            refuse_empty(name, x, (), False)
        y = _called(x, name)
        dims = _EVERY[len(shape)]
    else:
        d = _canonical(dim, len(shape))
        dims = (d,) if shape else ()
        if 0 in shape:
            refuse_empty(name, x, dims, True)
        y = _called(x, name, axis=d if shape else None)
    return _plain(x._type, y.reshape(kept_shape(shape, dims)) if keepdim else y)


def _positions(make: Maker) -> list[Sample]:
    return [
        sample(make.real()),
        sample(make.real(), 0),
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3), -1, True),
        sample(make.real(2, 3), dim=None, keepdim=True),
        sample(make.real(2, 3), axis=1, keepdims=True),
        sample(make.real(2, 0, 3), 0),
        sample(make.integers(-3, 3, 7)),
    ]


def _wrong_positions(make: Maker) -> list[Bad]:
    return [
        bad(IndexError, "Expected reduction dim to be specified", make.real(0)),
        bad(IndexError, "Expected reduction dim 1 to have non-zero size", make.real(2, 0), 1),
        bad(RuntimeError, "does not support bool", make.boolean(2)),
        bad(RuntimeError, "does not support complex", make.complex(2)),
    ]


@public(
    methods=("argmax",),
    numpy={"argmax": lambda a, axis=None, *, keepdims=False: argmax(a, axis, keepdims)},
    array_api="argmax",
    differentiable=False,
    samples=_positions,
    errors=_wrong_positions,
)
def argmax(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Where the largest element stands: the first one, or the first nan.

    Args:
        input: `(*)`, integer or floating point.
        dim: the dimension to search along; None for the flattened Tensor.
        keepdim: keep the dimension, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        Indices, int64.

    Raises:
        DimensionError: `dim` is out of range, or has length 0.
        DTypeError: bool or complex input.
    """
    return _position(
        "argmax", input, dim if axis is None else axis, keepdim if keepdims is None else keepdims
    )


@public(
    methods=("argmin",),
    numpy={"argmin": lambda a, axis=None, *, keepdims=False: argmin(a, axis, keepdims)},
    array_api="argmin",
    differentiable=False,
    samples=_positions,
    errors=_wrong_positions,
)
def argmin(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Where the smallest element stands: the first one, or the first nan; see `argmax`."""
    return _position(
        "argmin", input, dim if axis is None else axis, keepdim if keepdims is None else keepdims
    )


def _truth(name: str, input: Any, dim: Dims, keepdim: bool) -> Tensor:
    x = input if input.__class__ is Tensor else tensor_of(name, input)
    dims: Any = None
    if dim is not None or keepdim:
        # Unlike the other reductions, PyTorch's all and any take () as no dimension.
        dims = () if dim in ((), []) else canonical_dims(dim, len(x._shape))
    y = _called(x, name, axis=dims, keepdims=keepdim)
    # The one dtype for which PyTorch's result is not bool.
    return _plain(x._type, x._type.xp.astype(y, np.uint8) if x._type.dtype is dtypes.uint8 else y)


def _truths(make: Maker) -> list[Sample]:
    return [
        *_with_empty(make),
        sample(make.boolean(2, 3), 1),
        sample(make.boolean(2, 3), ()),
        sample(make.integers(0, 2, 2, 3).astype(np.uint8), 0),
        sample(make.complex(2)),
    ]


@public(
    methods=("all",),
    numpy={"all": lambda a, axis=None, *, keepdims=False: all(a, axis, keepdims)},
    array_api="all",
    differentiable=False,
    samples=_truths,
    errors=lambda make: [bad(IndexError, "Dimension out of range", make.boolean(2, 3), 2)],
)
def all(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Whether all elements are true (not zero; nan is true).

    Args:
        input: `(*)`, any dtype.
        dim: the dimension or dimensions; None for all, () for none.
        keepdim: keep them, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        bool, or uint8 for uint8; True over nothing.

    Raises:
        DimensionError: a dimension is out of range.
    """
    return _truth(
        "all", input, dim if axis is None else axis, bool(keepdim if keepdims is None else keepdims)
    )


@public(
    methods=("any",),
    numpy={"any": lambda a, axis=None, *, keepdims=False: any(a, axis, keepdims)},
    array_api="any",
    differentiable=False,
    samples=_truths,
    errors=lambda make: [bad(IndexError, "Dimension out of range", make.boolean(2, 3), 2)],
)
def any(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Whether some element is true (not zero; nan is true); the arguments are those of `all`.

    Returns:
        bool, or uint8 for uint8; False over nothing.
    """
    return _truth(
        "any", input, dim if axis is None else axis, bool(keepdim if keepdims is None else keepdims)
    )


def _count_of_numpy(a: Tensor, axis: Dims = None, *, keepdims: bool = False) -> Tensor:
    y = count_nonzero(a, axis)
    return y.reshape(kept_shape(a._shape, canonical_dims(axis, a.ndim))) if keepdims else y


@public(
    methods=("count_nonzero",),
    numpy={"count_nonzero": _count_of_numpy},
    array_api="count_nonzero",
    differentiable=False,
    samples=lambda make: [
        sample(make.integers(0, 2, 2, 3)),
        sample(make.integers(0, 2, 2, 3), 0),
        sample(make.integers(0, 2, 2, 3, 2), (0, -1)),
        sample(make.boolean(3), dim=0),
        sample(make.real()),
        sample(make.real(0)),
        sample(make.real(2, 0), 1),
    ],
    errors=lambda make: [bad(IndexError, "Dimension out of range", make.real(2, 3), 2)],
)
def count_nonzero(input: Tensor, dim: Dims = None, *, axis: Dims = None) -> Tensor:
    """How many elements are not zero.

    Args:
        input: `(*)`, any dtype.
        dim: the dimension or dimensions to count over; None or () for all.
        axis: NumPy's name for `dim`.

    Returns:
        Counts, int64.

    Raises:
        DimensionError: a dimension is out of range.
    """
    x = input if input.__class__ is Tensor else tensor_of("count_nonzero", input)
    dims = canonical_dims(dim if axis is None else axis, len(x._shape))
    everything = len(dims) == len(x._shape)
    y = x._type.xp.count_nonzero(x._array, axis=None if everything else dims)
    return _plain(x._type, y)


# log-sum-exp -----------------------------------------------------------------------------------


def _logsumexp_forward(xp: Any, x: Array, dim: tuple[int, ...], keepdim: bool) -> Any:
    half = x.dtype == _HALF
    if half:
        x = x.astype(_SINGLE)
    if not reduced_count(x.shape, dim):
        y = x.sum(axis=dim, keepdims=keepdim) - math.inf
        return narrow(y, _HALF) if half else y
    if x.ndim == 0:
        return narrow(x, _HALF) if half else x.copy()
    # exp(x - top) cannot overflow; an infinite top would give inf - inf.
    top = x.real.max(axis=dim, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0.0)
    shifted = x - top
    total = xp.sum(xp.exp(shifted, out=shifted), axis=dim, keepdims=True)
    with quiet():
        y = xp.log(total) + top
    if not keepdim:
        y = y.reshape([n for i, n in enumerate(x.shape) if i not in dim])
    return narrow(y, _HALF) if half else y


_logsumexp = primitive(
    "logsumexp",
    _logsumexp_forward,
    lambda xp, g, y, x, x_shape, dim, keepdim: (
        aligned(xp, g, x_shape, dim, keepdim) * xp.exp(x - aligned(xp, y, x_shape, dim, keepdim))
    ),
    bilinear=True,
)


@public(
    methods=("logsumexp",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(), 0),
        sample(make.real(3), 0),
        sample(make.real(2, 3), 1),
        sample(make.real(2, 3), -1, True),
        sample(make.real(2, 3, 4), (0, -1)),
        sample(make.real(2, 3, 4), dim=(1, 2), keepdim=True),
        sample(make.real(2, 3), axis=1, keepdims=True),
        sample(make.real(2, 0, 3), 0),
        sample(make.real(2, 0), 1),
        sample(500 * make.real(2, 3), 1),
        sample(np.array([1.0, -np.inf]), 0),
        sample(make.complex(2, 3), 1),
        sample(make.integers(-3, 9, 2, 3), 0),
    ],
    errors=_wrong_dims,
    departs={
        "values: complex128": "another multiple of 2 pi i, of one element",
        "tangent: 8": "of nothing: 0 here, nan in PyTorch",
    },
)
def logsumexp(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """log(sum(exp(input))) over dimensions, without overflow.

    Args:
        input: `(*)`; integers become the default dtype.
        dim: the dimension or dimensions. Must be given.
        keepdim: keep them, with length 1.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        -inf over nothing, or if all elements are -inf; then the gradient is nan.

    Raises:
        DimensionError: a dimension is out of range.
    """
    x = input if input.__class__ is Tensor else tensor_of("logsumexp", input)
    chosen = dim if axis is None else axis
    if chosen is None:
        raise ArgumentTypeError("logsumexp() missing the argument 'dim': over which dimensions?")
    if not x._type.recordable:
        x = x.to(dtypes.get_default_dtype())
    dims = canonical_dims(chosen, len(x._shape))
    y: Tensor = _logsumexp(x, dims, bool(keepdim if keepdims is None else keepdims))
    return y
