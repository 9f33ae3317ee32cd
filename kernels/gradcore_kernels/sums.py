"""Sums, means, products, extremes and variances over any axes, in one launch or two."""

import functools
import math
from typing import Any, Final

import cupy
import numpy as np

from gradcore_kernels.cuda_types import ACCUMULATOR, COMPLEX, PREAMBLE, REAL, REAL_COUNTERPART
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Array, Kernel, Reduction, in_memory_order, with_reduced_axes

_UNSIGNED: Final = ("uint8", "uint16", "uint32", "uint64")
_INTEGERS: Final = ("bool", *_UNSIGNED, "int8", "int16", "int32", "int64")
_WIDE: Final = {"uint32": "int64", "int64": "int64", "uint64": "uint64"}

# Whole numbers add up in int64, float16 in float32.
_ADDED: Final = [
    *({"T": t, "U": "int64", "A": "int64"} for t in _INTEGERS),
    {"T": "float16", "U": "float16", "A": "float32"},
    *({"T": t, "U": t, "A": t} for t in ("float32", "float64", *COMPLEX)),
]
_AVERAGED: Final = [t for t in _ADDED if t["A"] != "int64"]
_WIDENED: Final = [{"T": "float16", "U": "float32", "A": "float32"}]
_ORDERED: Final = [
    *({"T": t, "U": t, "A": _WIDE.get(t, "int32")} for t in _INTEGERS),
    *({"T": t, "U": t, "A": ACCUMULATOR[t]} for t in REAL),
]
_SPREAD: Final = [
    {"T": t, "U": REAL_COUNTERPART[t], "A": ACCUMULATOR[t]} for t in (*REAL, *COMPLEX)
]

_MEAN_OF: Final = "a / gc_types<A>::real(t.count)"
_SUM: Final = Reduction("gc_sum", "T x", _ADDED, term="A(x)", join="a + b")
_SUM_WIDE: Final = Reduction("gc_sum_wide", "T x", _WIDENED, term="A(x)", join="a + b")
_MEAN: Final = Reduction("gc_mean", "T x", _AVERAGED, term="A(x)", join="a + b", result=_MEAN_OF)
_MEAN_WIDE: Final = Reduction(
    "gc_mean_wide", "T x", _WIDENED, term="A(x)", join="a + b", result=_MEAN_OF
)
_PROD: Final = Reduction("gc_prod", "T x", _ADDED, term="A(x)", join="a * b", identity="1")

# (conj(x) * y).sum(dim)
_DOT: Final = Reduction(
    "gc_dot_over",
    "T x, T y",
    [t | {"U": t["A"]} for t in _AVERAGED],
    term="gc_conj(A(x)) * A(y)",
    join="a + b",
    state="""
typedef A gc_state;
template <class R> __device__ R gc_conj(R v) { return v; }
template <class R> __device__ complex<R> gc_conj(complex<R> v) { return conj(v); }
""",
)

# Where no element is met the least or the greatest number stands. A NaN wins on either side.
_BOUNDS: Final = """
typedef A gc_state;
template <class R> __device__ R gc_least() { return R(1) << (8 * sizeof(R) - 1); }
template <> __device__ unsigned long long gc_least() { return 0; }
template <> __device__ float gc_least() { return -CUDART_INF; }
template <> __device__ double gc_least() { return -CUDART_INF; }
template <class R> __device__ R gc_greatest() { return ~gc_least<R>(); }
template <> __device__ float gc_greatest() { return CUDART_INF; }
template <> __device__ double gc_greatest() { return CUDART_INF; }
"""
_AMAX: Final = Reduction(
    "gc_amax",
    "T x",
    _ORDERED,
    term="A(x)",
    join="a > b || a != a ? a : b",
    identity="gc_least<A>()",
    state=_BOUNDS,
)
_AMIN: Final = Reduction(
    "gc_amin",
    "T x",
    _ORDERED,
    term="A(x)",
    join="a < b || a != a ? a : b",
    identity="gc_greatest<A>()",
    state=_BOUNDS,
)

# Means and sums of squared deviations, joined as by Chan, Golub and LeVeque: one pass, and as
# exact as two. A state of no elements is neutral: the products that it makes are 0, where
# |d|**2 could overflow.
_DEVIATIONS: Final = """
struct gc_state { W mean; A count, squares; };
__device__ inline A gc_weighted(A d, A weight) { return d * (d * weight); }
__device__ inline A gc_weighted(const complex<A> &d, A weight) {
  return d.real() * (d.real() * weight) + d.imag() * (d.imag() * weight);
}
__device__ inline gc_state gc_pooled(const gc_state &a, const gc_state &b) {
  const A count = a.count + b.count;
  const A share = count > A(0) ? b.count / count : A(0);
  const W d = b.mean - a.mean;
  return {a.mean + d * share, count, a.squares + b.squares + gc_weighted(d, a.count * share)};
}
"""


def _spread(name: str, result: str) -> Reduction:
    return Reduction(
        name,
        "T x",
        _SPREAD,
        term="{W(x), A(1), A(0)}",
        join="gc_pooled(a, b)",
        identity="{W(0), A(0), A(0)}",
        result=result,
        state=_DEVIATIONS,
        words=4,
    )


# (abs(x - x.mean(dim)) ** 2).sum(dim) / scalar, and its square root
_VAR: Final = _spread("gc_var", "a.squares / A(scalar)")
_STD: Final = _spread("gc_std", "sqrt(a.squares / A(scalar))")

# dx = g * scale * (x - mean)
_VAR_BACKWARD: Final = cupy.ElementwiseKernel(
    "T x, M mean, U g, float64 scale",
    "T dx",
    "dx = T((W(x) - W(mean)) * (A(g) * A(scale)))",
    "gc_var_backward",
    preamble=PREAMBLE,
)
# dx = g / (2 * y) * scale * (x - mean), and 0 where y is 0
_STD_BACKWARD: Final = cupy.ElementwiseKernel(
    "T x, M mean, U y, U g, float64 scale",
    "T dx",
    """
    const A slope = A(y) == A(0) ? A(0) : A(0.5) * A(g) / A(y);
    dx = T((W(x) - W(mean)) * (slope * A(scale)));
    """,
    "gc_std_backward",
    preamble=PREAMBLE,
)

_TIED: Final = [{"T": t, "U": ACCUMULATOR[t], "A": ACCUMULATOR[t]} for t in REAL]
# (x == y).sum(dim), and the same where a NaN attains a maximum that is NaN
_TIES: Final = Reduction("gc_ties", "T x, T y", _TIED, term="A(W(x) == W(y))", join="a + b")
_TIES_NAN: Final = Reduction(
    "gc_ties_nan", "T x, T y", _TIED, term="A(W(x) == W(y) || W(x) != W(x))", join="a + b"
)
# dx = (x == y) * (g / ties): where there is no tie, y is NaN, and so is dx
_TIES_BACKWARD: Final = cupy.ElementwiseKernel(
    "T x, T y, T g, A ties",
    "T dx",
    "dx = T(A(W(x) == W(y)) * (A(g) / ties))",
    "gc_ties_backward",
    preamble=PREAMBLE,
)
_TIES_NAN_BACKWARD: Final = cupy.ElementwiseKernel(
    "T x, T y, T g, A ties",
    "T dx",
    "dx = T(A(W(x) == W(y) || W(x) != W(x)) * (A(g) / ties))",
    "gc_ties_nan_backward",
    preamble=PREAMBLE,
)

_HALF: Final = np.dtype(np.float16)
_SINGLE: Final = np.dtype(np.float32)

# CUB sums contiguous arrays as one device-wide reduction; in small ones its launches, and CuPy's
# host time, are most of the cost.
_CUB_FROM: Final = 1 << 22
_OF_CUB: Final = frozenset({_SINGLE, np.dtype(np.float64)})

_EVERY: Final = tuple(tuple(range(ndim)) for ndim in range(65))


# forwards --------------------------------------------------------------------------------------


def sum(x: Array, dim: tuple[int, ...] | None = None, keepdim: bool = False) -> Array:
    """Return `x.sum(dim)`.

    Args:
        x: Any shape; bool, integer (summed in int64), floating point (float16 in float32), complex.
        dim: The axes, sorted, none negative; all of them if None.
        keepdim: Whether the axes stay, with length 1.

    Returns:
        int64, or the dtype of `x`; a 0-d array for all axes. The sum of nothing is 0.
    """
    if dim is None:
        dim = _EVERY[x.ndim]
    if (
        x.size >= _CUB_FROM
        and len(dim) == x.ndim
        and x._c_contiguous
        and x.dtype in _OF_CUB
        and _has_cub()
    ):
        return x.sum(keepdims=keepdim)
    return _SUM(x, dim=dim, keepdim=keepdim)


def _has_cub() -> bool:
    return cupy._core._accelerator.ACCELERATOR_CUB in cupy._core.get_routine_accelerators()


def mean(x: Array, dim: tuple[int, ...] | None = None, keepdim: bool = False) -> Array:
    """Return `x.mean(dim)`, NaN for the mean of nothing; float16 is summed in float32.

    Args:
        x: Any shape; floating point or complex.
        dim: As for `sum`.
        keepdim: As for `sum`.
    """
    return _MEAN(x, dim=_EVERY[x.ndim] if dim is None else dim, keepdim=keepdim)


def prod(x: Array, dim: tuple[int, ...] | None = None, keepdim: bool = False) -> Array:
    """Return `x.prod(dim)`, 1 for the product of nothing; see `sum` for arguments and dtypes."""
    return _PROD(x, dim=_EVERY[x.ndim] if dim is None else dim, keepdim=keepdim)


def amax(x: Array, dim: tuple[int, ...] | None = None, keepdim: bool = False) -> Array:
    """Return `x.max(dim)`, NaN if there is one.

    Args:
        x: Not complex; there are elements along `dim`.
        dim: As for `sum`.
        keepdim: As for `sum`.
    """
    return _AMAX(x, dim=_EVERY[x.ndim] if dim is None else dim, keepdim=keepdim)


def amin(x: Array, dim: tuple[int, ...] | None = None, keepdim: bool = False) -> Array:
    """Return `x.min(dim)`, NaN if there is one; arguments are those of `amax`."""
    return _AMIN(x, dim=_EVERY[x.ndim] if dim is None else dim, keepdim=keepdim)


def max_along(x: Array, indices: Array, dim: int, keepdim: bool) -> Array:
    """Return `x.max(dim)`, which `indices` are not needed for."""
    return _AMAX(x, dim=(dim,), keepdim=keepdim)


def min_along(x: Array, indices: Array, dim: int, keepdim: bool) -> Array:
    """Return `x.min(dim)`, which `indices` are not needed for."""
    return _AMIN(x, dim=(dim,), keepdim=keepdim)


def var(x: Array, dim: tuple[int, ...], correction: float, keepdim: bool) -> Array:
    """Return the sum of `abs(x - x.mean(dim)) ** 2` over the count less `correction`.

    Args:
        x: Any shape; floating point or complex.
        dim: The axes, sorted, none negative.
        correction: With a count of no more than this the result is NaN or infinite.
        keepdim: Whether the axes stay, with length 1.

    Returns:
        The dtype of `x`, or its real counterpart.
    """
    left = max(_count(x, dim) - correction, 0)
    return _VAR(x, dim=dim, keepdim=keepdim, scalar=float(left))


def std(x: Array, dim: tuple[int, ...], correction: float, keepdim: bool) -> Array:
    """Return the square root of `var`, which see."""
    left = max(_count(x, dim) - correction, 0)
    return _STD(x, dim=dim, keepdim=keepdim, scalar=float(left))


def _count(x: Array, dim: tuple[int, ...]) -> int:
    shape = x.shape
    return math.prod([shape[d] for d in dim])


# backwards -------------------------------------------------------------------------------------


def var_backward(
    wanted: tuple[bool],
    g: Array,
    x: Array,
    dim: tuple[int, ...],
    correction: float,
    keepdim: bool,
) -> tuple[Array]:
    """Return the gradient of `var` in two launches, or three: those of a mean, and one.

    Args:
        wanted: (True,).
        g: The shape and dtype of the result.
        x: As for `var`.
        dim: As for `var`.
        correction: As for `var`.
        keepdim: As for `var`.
    """
    scale = _scale(x, dim, correction)
    if not x.size:
        return (cupy.zeros_like(x),)
    g = with_reduced_axes(g, x.ndim, dim, keepdim)
    return (in_memory_order(_VAR_BACKWARD, (x,), (_wide_mean(x, dim), g), scale),)


def std_backward(
    wanted: tuple[bool],
    g: Array,
    y: Array,
    x: Array,
    dim: tuple[int, ...],
    correction: float,
    keepdim: bool,
) -> tuple[Array]:
    """Return the gradient of `std`, 0 where its result `y` is; as `var_backward`."""
    scale = _scale(x, dim, correction)
    if not x.size:
        return (cupy.zeros_like(x),)
    g, y = (with_reduced_axes(a, x.ndim, dim, keepdim) for a in (g, y))
    return (in_memory_order(_STD_BACKWARD, (x,), (_wide_mean(x, dim), y, g), scale),)


def _scale(x: Array, dim: tuple[int, ...], correction: float) -> float:
    left = _count(x, dim) - correction
    return 2.0 / left if left > 0 else math.inf


def _wide_mean(x: Array, dim: tuple[int, ...]) -> Array:
    return (_MEAN_WIDE if x.dtype == _HALF else _MEAN)(x, dim=dim, keepdim=True)


def amax_backward(
    wanted: tuple[bool], g: Array, y: Array, x: Array, dim: tuple[int, ...], keepdim: bool
) -> tuple[Array]:
    """Return the gradient of `amax` or `amin` in two launches, or three.

    Elements that share the maximum share its gradient evenly; where that is NaN all get NaN.

    Args:
        wanted: (True,).
        g: The shape and dtype of the result.
        y: The result.
        x: As for `amax`.
        dim: As for `amax`.
        keepdim: As for `amax`.
    """
    g, y = (with_reduced_axes(a, x.ndim, dim, keepdim) for a in (g, y))
    ties = _TIES(x, cupy.broadcast_to(y, x.shape), dim=dim, keepdim=True)
    return (in_memory_order(_TIES_BACKWARD, (x,), (y, g, ties)),)


def max_backward(wanted: tuple[bool], g: Array, y: Array, x: Array) -> tuple[Array]:
    """Return the gradient of the maximum, or minimum, of all elements.

    As `amax_backward`, but elements that are NaN share the gradient of a result that is.

    Args:
        wanted: (True,).
        g: 0-d.
        y: The result, 0-d.
        x: As for `amax`.
    """
    dim = _EVERY[x.ndim]
    ties = _TIES_NAN(x, cupy.broadcast_to(y, x.shape), dim=dim)
    return (in_memory_order(_TIES_NAN_BACKWARD, (x,), (y, g, ties)),)


# functions of the namespace --------------------------------------------------------------------


def xp_sum(x: Array, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
    """Return `cupy.sum(x, axis, dtype, keepdims=keepdims)`, by `sum` where it gives that."""
    if dtype is None or dtype == x.dtype:
        reduction = _SUM
        if x.dtype.kind == "u":
            return cupy.sum(x, axis, dtype, keepdims=keepdims)
    elif x.dtype == _HALF and dtype == _SINGLE:
        reduction = _SUM_WIDE
    elif x.dtype.kind in "biu" and dtype == np.int64:
        reduction = _SUM
    else:
        return cupy.sum(x, axis, dtype, keepdims=keepdims)
    dim = _canonical(axis, x.ndim)
    return sum(x, dim, keepdims) if reduction is _SUM else reduction(x, dim=dim, keepdim=keepdims)


def xp_mean(x: Array, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
    """Return `cupy.mean(x, axis, dtype, keepdims=keepdims)`, by `mean` where it gives that."""
    if dtype is not None or x.dtype.kind not in "fc":
        return cupy.mean(x, axis, dtype, keepdims=keepdims)
    return _MEAN(x, dim=_canonical(axis, x.ndim), keepdim=keepdims)


@functools.lru_cache(maxsize=256)
def _canonical(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """NumPy's `axis` as the sorted axes, none negative."""
    if axis is None:
        return _EVERY[ndim]
    given = axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted({d % ndim for d in given})) if ndim else ()


def dot_over(a: Array, b: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    """Return `(conj(a) * b).sum(axis)`, without the array of products; float16 gives float32.

    Args:
        a: Any shape; floating point or complex.
        b: The shape and dtype of `a`.
        axis: The axes, sorted, none negative.
        keepdims: Whether they stay, with length 1.
    """
    return _DOT(a, b, dim=axis, keepdim=keepdims)


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Return `x` summed to `shape`, which broadcasts to that of `x`; itself if it has that shape.

    Args:
        x: Any dtype, which the result has; integers are summed in int64, float16 in float32.
        shape: Of the result.
    """
    dim = _broadcast_axes(x.shape, shape)
    if not dim:
        return x if x.ndim == len(shape) else x.reshape(shape)
    y = _SUM(x, dim=dim, shape=shape)
    return y if y.dtype == x.dtype else y.astype(x.dtype)


@functools.lru_cache(maxsize=4096)
def _broadcast_axes(shape: tuple[int, ...], narrow: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `shape` along which an array of the shape `narrow` was repeated."""
    lead = len(shape) - len(narrow)
    repeated = (lead + i for i, n in enumerate(narrow) if n == 1 and shape[lead + i] != 1)
    return (*range(lead), *repeated)


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    listed: list[tuple[Kernel | RawKernel, dict[str, str]]] = []
    for reduction in (
        *(_SUM, _SUM_WIDE, _MEAN, _MEAN_WIDE, _PROD, _DOT, _AMAX, _AMIN, _VAR, _STD),
        *(_TIES, _TIES_NAN),
    ):
        listed += reduction.kernels()
    for kernel in (_VAR_BACKWARD, _STD_BACKWARD):
        listed += [
            (kernel, t | {"M": "float32" if t["T"] == "float16" else t["T"]}) for t in _SPREAD
        ]
    for kernel in (_TIES_BACKWARD, _TIES_NAN_BACKWARD):
        listed += [(kernel, {"T": t["T"], "A": t["A"]}) for t in _TIED]
    return listed
