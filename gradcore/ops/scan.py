"""Scans: running maxima, minima and log-sum-exps; differences and integrals along a dimension."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..batching.readings import along
from ..device import Array
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DimensionError,
    DTypeError,
    ShapeError,
)
from ..mode import quiet
from ..op import primitive, promote, public, tensor_of
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim
from .comparison import ne
from .conversion import clone
from .index import select
from .order import selection
from .reduction import Selected, from_here, narrow, ordered
from .reduction import cumsum as running_sum
from .reduction import sum as total
from .shape import broadcast_to, cat, reshape

__all__ = [
    "cummax",
    "cummin",
    "cumulative_trapezoid",
    "diff",
    "logcumsumexp",
    "trapezoid",
    "trapz",
]

_HALF: Final = np.dtype(np.float16)
_SINGLE: Final = np.dtype(np.float32)


def _part(x: Any, dim: int, start: int | None, stop: int | None) -> Any:
    return x[(*(slice(None),) * dim, slice(start, stop))]


def _accumulate(xp: Any, name: str, x: Array, dim: int) -> Array:
    """NumPy's `accumulate` of the associative function `name`."""
    function: Any = getattr(xp, name)
    if x.dtype.kind == "c":
        function = functools.partial(_complex_logaddexp, xp)
    elif xp.module is np:
        return function.accumulate(x, axis=dim)
    # CuPy has none, nor has NumPy of complex numbers: every round doubles the span of each element.
    n, span = x.shape[dim], 1
    while span < n:
        later = function(_part(x, dim, 0, n - span), _part(x, dim, span, None))
        x = xp.concatenate([_part(x, dim, 0, span), later], axis=dim)
        span *= 2
    return x


def _complex_logaddexp(xp: Any, a: Array, b: Array) -> Array:
    top = xp.maximum(a.real, b.real)
    top = xp.where(xp.isfinite(top), top, 0.0)
    return xp.log(xp.exp(a - top) + xp.exp(b - top)) + top


# running maxima ----------------------------------------------------------------------------------


def _extreme_places(xp: Any, x: Array, dim: int, name: str) -> Array:
    """Where the extreme of the elements so far stands: its last place; of nan, the last nan."""
    if not x.ndim:
        return xp.module.zeros((), np.int64)
    if not x.size:
        return xp.module.zeros(x.shape, np.int64)
    extreme = _accumulate(xp, name, x, dim)
    count = xp.module.arange(x.shape[dim]).reshape((-1, *(1,) * (x.ndim - dim - 1)))
    places = xp.where((x == extreme) | (x != x), count, 0)
    return _accumulate(xp, "maximum", places, dim)


def _running_extreme(name: str, extreme: str, graph: str) -> Callable[..., Selected]:
    places = primitive(
        name, lambda xp, x, dim: _extreme_places(xp, x, dim, extreme), None, batching=along
    )
    chosen = selection(name, graph)

    def scan(input: Any, dim: Any, axis: Any) -> Selected:
        x = ordered(name, input)
        d = _dim_argument(name, x, dim, axis)
        return chosen(x, places(x, d), d)

    return scan


def _dim_argument(name: str, x: Tensor, dim: Any, axis: Any) -> int:
    chosen = dim if axis is None else axis
    if chosen is None:
        raise ArgumentTypeError(f"{name}() missing the argument 'dim': along which dimension?")
    return canonical_dim(chosen, len(x._shape))


_cummax = _running_extreme("cummax", "maximum", "CummaxBackward0")
_cummin = _running_extreme("cummin", "minimum", "CumminBackward0")


def _scans(make: Maker) -> list[Sample]:
    return [
        sample(make.real(), 0),
        sample(make.real(6), 0),
        sample(make.real(3, 2), 0),
        sample(make.real(2, 4, 2), dim=-2),
        sample(make.real(2, 3), axis=1),
        sample(make.real(2, 0, 3), 2),
    ]


def _running_samples(make: Maker) -> list[Sample]:
    return [
        *_scans(make),
        sample(np.array([1, 3, 3, 2, 3]), 0),
        sample(make.integers(-2, 3, 3, 5), 1),
    ]


def _wrong_scans(make: Maker) -> list[Any]:
    return [
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
        bad(TypeError, "missing the argument 'dim'", make.real(2, 3)),
    ]


@public(
    methods=("cummax",),
    kind="primitive",
    samples=_running_samples,
    errors=lambda make: [
        *_wrong_scans(make),
        bad(RuntimeError, "does not support complex", make.complex(2), 0),
    ],
)
def cummax(input: Tensor, dim: int | None = None, *, axis: int | None = None) -> Selected:
    """The largest of the elements up to each one along a dimension; from the first nan on, nan.

    The places take NumPy a scan of their own: up to four times PyTorch's time.

    Args:
        input: `(*)`, not complex.
        dim: the dimension. Must be given.
        axis: NumPy's name for `dim`.

    Returns:
        A named tuple `(values, indices)` of `(*)`; the indices, int64, are those of the last of
        equal elements, which gets the gradient.

    Raises:
        DimensionError: `dim` is out of range.
        DTypeError: complex numbers have no order.
    """
    return _cummax(input, dim, axis)


@public(
    methods=("cummin",),
    kind="primitive",
    samples=_running_samples,
    errors=lambda make: [
        *_wrong_scans(make),
        bad(RuntimeError, "does not support complex", make.complex(2), 0),
    ],
)
def cummin(input: Tensor, dim: int | None = None, *, axis: int | None = None) -> Selected:
    """The smallest of the elements up to each one along a dimension; from the first nan on, nan.

    The places take NumPy a scan of their own: up to four times PyTorch's time.

    Args:
        input: `(*)`, not complex.
        dim: the dimension. Must be given.
        axis: NumPy's name for `dim`.

    Returns:
        A named tuple `(values, indices)` of `(*)`; the indices, int64, are those of the last of
        equal elements, which gets the gradient.

    Raises:
        DimensionError: `dim` is out of range.
        DTypeError: complex numbers have no order.
    """
    return _cummin(input, dim, axis)


# running log-sum-exp -----------------------------------------------------------------------------


def _logcumsumexp_forward(xp: Any, x: Array, dim: int) -> Array:
    if not x.ndim or not x.size:
        return x.copy()
    with quiet():
        if x.dtype == _HALF:
            return narrow(_accumulate(xp, "logaddexp", x.astype(_SINGLE), dim), _HALF)
        return _accumulate(xp, "logaddexp", x, dim)


def _logcumsumexp_rule(xp: Any, g: Any, y: Any, x: Any, shape: tuple[int, ...], dim: int) -> Any:
    """The sum over j >= i of g_j exp(x_i - y_j), of which no part overflows.

    It is S_i exp(x_i - y_i) with S_i = g_i + exp(y_i - y_(i+1)) S_(i+1), and `y` never falls.
    """
    if not shape or 0 in shape:
        return g
    n = shape[dim]
    before = (slice(None),) * dim
    here, following = (
        xp.getitem(y, (*before, slice(0, n - 1))),
        xp.getitem(y, (*before, slice(1, None))),
    )
    # Of two that are both -inf or inf the difference is 0; inf - inf would be nan.
    step = xp.where(here == following, 0.0, here - following)
    first = xp.zeros_like(xp.getitem(y, (*before, slice(0, 1))))
    factor = xp.concatenate([first, xp.exp(step)], axis=dim)
    return from_here(xp, g, factor, shape, dim) * xp.exp(x - y)


_logcumsumexp = primitive(
    "logcumsumexp",
    _logcumsumexp_forward,
    lambda xp, g, y, x, x_shape, dim: _logcumsumexp_rule(xp, g, y, x, x_shape, dim),
    bilinear=True,
    batching=along,
)


@public(
    methods=("logcumsumexp",),
    kind="primitive",
    samples=lambda make: [*_scans(make), sample(300 * make.real(2, 4), 1)],
    errors=lambda make: [
        *_wrong_scans(make),
        bad(RuntimeError, "not implemented for.*int64", make.integers(0, 3, 2), 0),
    ],
    departs={
        "values: complex128": "another multiple of 2 pi i",
        "tangent: 6": "PyTorch's underflows where elements are far apart",
    },
)
def logcumsumexp(input: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """log(sum(exp(x))) over the elements up to each one along a dimension, without overflow.

    Args:
        input: `(*)`, floating point or complex; float16 is accumulated in float32.
        dim: the dimension. Must be given.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)`.

    Raises:
        DimensionError: `dim` is out of range.
        DTypeError: of integers; convert them first.
    """
    x = tensor_of("logcumsumexp", input)
    d = _dim_argument("logcumsumexp", x, dim, axis)
    if not x._type.recordable:
        raise DTypeError(
            f'"logcumsumexp" not implemented for {x._type.dtype}: convert it to a float first.'
        )
    y: Tensor = _logcumsumexp(x, d)
    return y


# differences -------------------------------------------------------------------------------------


@public(
    methods=("diff",),
    numpy={
        "diff": lambda a, n=1, axis=-1, prepend=None, append=None: diff(
            a, n, axis, _edge(a, axis, prepend), _edge(a, axis, append)
        )
    },
    array_api="diff",
    samples=lambda make: [
        sample(make.real(5)),
        sample(make.real(3, 4), 2, 0),
        sample(make.real(2, 3), n=1, dim=1, prepend=make.real(2, 1)),
        sample(make.real(2, 3), 2, -1, make.real(2, 2), make.real(2, 1)),
        sample(make.real(2, 3), axis=0, append=make.real(1, 3)),
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3), 0, append=make.real(2, 1)),
        sample(make.real(2, 3), 5),
        sample(make.boolean(4)),
        sample(make.complex(3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least one-dimensional", make.real()),
        bad(RuntimeError, "order must be non-negative", make.real(3), -1),
        bad(RuntimeError, "same dimension as input", make.real(3), prepend=make.real(1, 3)),
        bad(RuntimeError, "must match", make.real(2, 3), append=make.real(3, 1)),
        bad(IndexError, "Dimension out of range", make.real(3), 1, 1),
    ],
    departs={"node": "composite"},
)
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """The differences of neighbours along a dimension, `n` times; of bools, whether they differ.

    Args:
        input: `(*, m, *)`, any dtype.
        n: how often differences are taken.
        dim: the dimension.
        prepend: what stands before `input` along `dim`, of the same other lengths; unless n is 0.
        append: what stands behind it.
        axis: NumPy's name for `dim`.

    Returns:
        `(*, max(m - n, 0), *)`.

    Raises:
        ShapeError: `input` is 0-d, or the shapes do not fit.
        ArgumentError: `n` is negative.
        DimensionError: `dim` is out of range.
    """
    x = tensor_of("diff", input)
    if not x._shape:
        raise ShapeError("diff expects input to be at least one-dimensional.")
    d = canonical_dim(dim if axis is None else axis, len(x._shape))
    if n < 0:
        raise ArgumentError(f"diff: order must be non-negative but got {n}")
    parts = [prepend, x, append]
    for part in (prepend, append):
        if part is not None:
            _check_edge(x, tensor_of("diff", part), d)
    if not n:
        return clone(x)
    if len([part for part in parts if part is not None]) > 1:
        x = cat(promote("diff", *[part for part in parts if part is not None]), d)
    for _ in range(min(n, x._shape[d])):
        m = x._shape[d]
        later, earlier = _part(x, d, 1, None), _part(x, d, 0, max(m - 1, 0))
        x = ne(later, earlier) if x._type.dtype is dtypes.bool_ else later - earlier
    return x


def _check_edge(x: Tensor, edge: Tensor, dim: int) -> None:
    """Raise where `edge` cannot stand before or behind `x`."""
    if len(edge._shape) != len(x._shape):
        raise ShapeError(
            "diff expects prepend or append to be the same dimension as input: "
            f"{edge._shape} and {x._shape}."
        )
    for d, (m, k) in enumerate(zip(edge._shape, x._shape, strict=True)):
        if d != dim and m != k:
            raise ShapeError(
                "diff expects the shape of tensor to prepend or append to match that of input "
                f"except along the differencing dimension; they must match at dimension {d}: "
                f"{edge._shape} and {x._shape}."
            )


def _edge(a: Tensor, axis: int, edge: Any) -> Any:
    """NumPy's `prepend` and `append`, which may be numbers."""
    if edge is None:
        return None
    (edge,) = promote("diff", edge) if isinstance(edge, Tensor) else (a.new_tensor(edge),)
    if not edge._shape:
        shape = list(a._shape)
        shape[axis] = 1
        edge = broadcast_to(edge, shape)
    return edge


# integrals ---------------------------------------------------------------------------------------


def _between(t: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """All but the first elements along `dim`, and all but the last."""
    d = canonical_dim(dim, len(t._shape))
    return _part(t, d, 1, None), _part(t, d, 0, max(t._shape[d] - 1, 0))


def _integrand(name: str, y: Any, x: Any, dx: Any, dim: Any) -> tuple[Tensor, Any, int]:
    """`y`, the widths between its points (a number or a Tensor), and `dim` from the front.

    Raises:
        ShapeError: `x` does not fit.
        DTypeError: one is bool.
        ArgumentTypeError: both `x` and `dx` are given.
    """
    y = tensor_of(name, y)
    if not y._shape:
        raise DimensionError(f"{name}: Dimension specified as {dim} but tensor has no dimensions")
    d = canonical_dim(dim, len(y._shape))
    if y._type.dtype is dtypes.bool_:
        raise DTypeError(f"{name}: received a bool input for `y`, but bool is not supported")
    if x is None:
        return y, 1 if dx is None else dx, d
    if dx is not None:
        raise ArgumentTypeError(f"{name}: give either `x` or `dx`, not both.")
    x = tensor_of(name, x)
    if x._type.dtype is dtypes.bool_:
        raise DTypeError(f"{name}: received a bool input for `x` or `y`, but bool is not supported")
    if len(x._shape) == 1:
        if x._shape[0] != y._shape[d]:
            raise ShapeError(
                f"{name}: There must be one `x` value for each sample point, but there are "
                f"{x._shape[0]} for {y._shape[d]}."
            )
        x = reshape(x, (-1, *(1,) * (len(y._shape) - d - 1)))
        dim = 0
    elif len(x._shape) < len(y._shape):
        x = reshape(x, (*(1,) * (len(y._shape) - len(x._shape)), *x._shape))
    after, before = _between(x, dim)
    return y, after - before, d


def _integrals(make: Maker) -> list[Sample]:
    return [
        sample(make.real(5)),
        sample(make.real(3, 4), dx=0.5, dim=0),
        sample(make.real(3, 4), axis=0),
        sample(make.real(2, 3), make.real(3)),
        sample(make.real(3, 2), x=make.real(3), dim=-2),
        sample(make.real(2, 3), make.real(2, 3), dim=1),
        sample(make.real(2, 3, 2), make.real(3, 2), dim=1),
        sample(make.real(1)),
        sample(make.complex(3), make.real(3)),
    ]


def _wrong_integrals(make: Maker) -> list[Any]:
    return [
        bad(IndexError, "no dimensions", make.real()),
        bad(IndexError, "Dimension out of range", make.real(2, 3), dim=2),
        bad(RuntimeError, "one `x` value for each sample point", make.real(2, 3), make.real(4)),
        bad(RuntimeError, "must match", make.real(2, 3), make.real(4, 3)),
        bad(RuntimeError, "received a bool input for `y`", make.boolean(3)),
        bad(TypeError, "either `x` or `dx`", make.real(3), make.real(3), dx=2.0),
    ]


@public(
    numpy={"trapezoid": lambda y, x=None, dx=1.0, axis=-1: _trapezoid_of_numpy(y, x, dx, axis)},
    samples=_integrals,
    errors=_wrong_integrals,
    departs={"node": "composite"},
)
def trapezoid(
    y: Tensor,
    x: Tensor | None = None,
    *,
    dx: Any = None,
    dim: int = -1,
    axis: int | None = None,
) -> Tensor:
    """The integral along a dimension: between two points, their mean times their distance.

    Args:
        y: `(*, n, *)`, the values at the points; not bool.
        x: where the points are: `(n,)`, or what broadcasts with `y`.
        dx: the distance of all neighbours instead, a number; 1 by default.
        dim: the dimension.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)`; 0 for fewer than two points.

    Raises:
        ShapeError: the shapes do not fit.
        DimensionError: `dim` is out of range.
        DTypeError: of bools.
    """
    dim = dim if axis is None else axis
    y, width, d = _integrand("trapezoid", y, x, dx, dim)
    if not y._shape[d]:
        return y.new_zeros([n for place, n in enumerate(y._shape) if place != d])
    if x is None:
        ends = select(y, d, 0) + select(y, d, -1)
        integral: Tensor = (total(y, d) - ends * 0.5) * width
        return integral
    after, before = _between(y, dim)
    return total((after + before) * width, dim) / 2.0


def _trapezoid_of_numpy(y: Tensor, x: Any, dx: Any, axis: int) -> Tensor:
    return trapezoid(y, dx=dx, dim=axis) if x is None else trapezoid(y, x, dim=axis)


@public(samples=_integrals, departs={"node": "composite"})
def trapz(
    y: Tensor,
    x: Tensor | None = None,
    *,
    dx: Any = None,
    dim: int = -1,
    axis: int | None = None,
) -> Tensor:
    """As `trapezoid`, which see for the arguments and errors."""
    return trapezoid(y, x, dx=dx, dim=dim, axis=axis)


@public(samples=_integrals, errors=_wrong_integrals, departs={"node": "composite"})
def cumulative_trapezoid(
    y: Tensor,
    x: Tensor | None = None,
    *,
    dx: Any = None,
    dim: int = -1,
    axis: int | None = None,
) -> Tensor:
    """The integrals up to each point but the first along a dimension: see `trapezoid`.

    Args:
        y: `(*, n, *)`, the values at the points; not bool.
        x: where the points are: `(n,)`, or what broadcasts with `y`.
        dx: the distance of all neighbours instead, a number; 1 by default.
        dim: the dimension.
        axis: NumPy's name for `dim`.

    Returns:
        `(*, max(n - 1, 0), *)`.

    Raises:
        ShapeError: the shapes do not fit.
        DimensionError: `dim` is out of range.
        DTypeError: of bools.
    """
    dim = dim if axis is None else axis
    y, width, _ = _integrand("cumulative_trapezoid", y, x, dx, dim)
    after, before = _between(y, dim)
    return running_sum(width * (after + before), dim) / 2.0
