"""Softmax and its logarithm along one axis, the logarithm of a sum of exponentials, and gradients.

A row is what is reduced to one number: the elements along the axis. Threads are laid as `tiles.py`
says, for rows along any axis of arrays of almost any strides. Where the threads of a block have
their row in registers, it is read once; a longer row is read twice, the second time mostly from the
cache, and the first pass keeps maximum and sum of exponentials together (Milakov and Gimelshein,
"Online normalizer calculation for softmax", 2018). A few rows of many elements take two launches:
in the first each block sees a part.
"""

from typing import Any, Final

import cupy

from gradcore_kernels.cuda_types import COMPLEX, PREAMBLE, REAL, REAL_COUNTERPART
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import (
    Array,
    Kernel,
    Reduction,
    empty,
    in_memory_order,
    with_reduced_axes,
)
from gradcore_kernels.tiles import NULL, TILES, Tiles, argument, launcher, tiles

ONLINE: Final = r"""
#include <cupy/math_constants.h>
typedef gc_types<T>::work W;

// The greatest of numbers, and the sum of their exponentials over that of the greatest. Of inf that
// is NaN, as inf - inf is in a softmax.
struct gc_sum { W top, sum; };
struct gc_both {
  __device__ gc_sum operator()(const gc_sum &a, const gc_sum &b) const {
    const bool first = a.top >= b.top;
    const gc_sum high = first ? a : b, low = first ? b : a;
    const W share = high.top == low.top ? W(1) : exp(low.top - high.top);
    return {high.top, high.sum + low.sum * share};
  }
};

template <int many> __device__ gc_sum gc_with(gc_sum s, const W *v, long long count) {
  W top = s.top;
#pragma unroll
  for (int k = 0; k < many; ++k)
    if (k < count) top = v[k] > top ? v[k] : top;
  if (top > s.top) s = {top, s.sum * exp(s.top - top)};
  const W least = top == -CUDART_INF ? W(0) : top;  // -inf adds nothing
#pragma unroll
  for (int k = 0; k < many; ++k)
    if (k < count) s.sum += exp(v[k] - least);
  return s;
}

// Reads what is left from place p on, as far as it has room.
template <int many, class Read>
__device__ void gc_read(W *v, gc_place &p, const gc_tiles &t, Read read) {
#pragma unroll
  for (int k = 0; k < many; ++k) {
    if (k < p.left) v[k] = read(p);
    p.next<true>(t);
  }
}
"""
"""The sum of a row's exponentials, in one pass that cannot overflow."""

_OPTIONS: Final = r"""
// `log`: of log_softmax. `parts`: the rows are in parts, and what these amount to is known.
struct gc_options { long long log, parts; };
struct gc_plus { __device__ W operator()(W a, W b) const { return a + b; } };
struct gc_greater { __device__ W operator()(W a, W b) const { return a > b ? a : b; } };

// What the parts of a row amount to, one after the other.
template <class S, class Join>
__device__ S gc_of_parts(const S *part, S s, Join join, const gc_place &p, const gc_tiles &t) {
  for (unsigned k = threadIdx.y; p.inside && k < gridDim.y; k += blockDim.y)
    s = join(s, part[k * t.outer * t.inner + p.output]);
  return s;
}
"""

_FORWARD: Final = (
    TILES.replace("ARRAYS", "2")
    + ONLINE
    + _OPTIONS
    + r"""
extern "C" __global__ void __launch_bounds__(1024) gc_softmax(
    const char *x, char *y, gc_sum *part, const gc_options o, const gc_tiles t) {
  __shared__ double room[GC_ROOM(gc_sum)];
  const int kept = 64 / sizeof(W);
  const gc_place start(t, (long long)blockIdx.x * blockDim.z + threadIdx.z);
  const auto read = [=](const gc_place &p) { return W(*(const T *)(x + p.at[0])); };
  gc_place p = start, q = start;
  W v[kept];
  if (t.n <= kept * (long long)blockDim.y) {
    gc_read<kept>(v, p, t, read);
    W top = -CUDART_INF, sum = 0;
#pragma unroll
    for (int k = 0; k < kept; ++k)
      if (k < p.left) top = v[k] > top ? v[k] : top;
    top = gc_together(top, gc_greater(), room);
#pragma unroll
    for (int k = 0; k < kept; ++k)
      if (k < p.left) {
        v[k] -= top;
        const W e = exp(v[k]);
        sum += e;
        if (!o.log) v[k] = e;
      }
    sum = gc_together(sum, gc_plus(), room);
    if (o.log) sum = log(sum);
#pragma unroll
    for (int k = 0; k < kept; ++k) {
      if (k < p.left) *(T *)(y + q.at[1]) = T(o.log ? v[k] - sum : v[k] / sum);
      q.next<true>(t);
    }
    return;
  }
  gc_sum s = {W(-CUDART_INF), W(0)};
  if (o.parts) {
    s = gc_of_parts(part, s, gc_both(), p, t);
  } else {
    for (; p.left > 0; p.left -= kept) {
      gc_read<kept>(v, p, t, read);
      s = gc_with<kept>(s, v, p.left);
    }
  }
  s = gc_together(s, gc_both(), room);
  if (gridDim.y > 1 && !o.parts) {
    if (p.inside && threadIdx.y == 0) part[blockIdx.y * t.outer * t.inner + p.output] = s;
    return;
  }
  if (o.log) s.sum = log(s.sum);
  for (p = start; p.left > 0; p.left -= kept) {
    gc_read<kept>(v, p, t, read);
#pragma unroll
    for (int k = 0; k < kept; ++k) {
      if (k < p.left)
        *(T *)(y + q.at[1]) = T(o.log ? v[k] - s.top - s.sum : exp(v[k] - s.top) / s.sum);
      q.next<true>(t);
    }
  }
}
"""
)

_BACKWARD: Final = (
    TILES.replace("ARRAYS", "3")
    + ONLINE
    + _OPTIONS
    + r"""
extern "C" __global__ void __launch_bounds__(1024) gc_softmax_backward(
    const char *y, const char *g, char *dx, W *part, const gc_options o, const gc_tiles t) {
  __shared__ double room[GC_ROOM(W)];
  const int kept = 32 / sizeof(W);
  const gc_place start(t, (long long)blockIdx.x * blockDim.z + threadIdx.z);
  gc_place p = start;
  W u[kept], v[kept];
  const auto read = [&]() {
#pragma unroll
    for (int k = 0; k < kept; ++k) {
      if (k < p.left) {
        v[k] = W(*(const T *)(y + p.at[0]));
        u[k] = W(*(const T *)(g + p.at[1]));
      }
      p.next<true>(t);
    }
  };
  W sum = 0;
  const bool once = t.n <= kept * (long long)blockDim.y;
  if (o.parts) {
    sum = gc_of_parts(part, sum, gc_plus(), p, t);
  } else {
    for (; p.left > 0; p.left -= kept) {
      read();
#pragma unroll
      for (int k = 0; k < kept; ++k)
        if (k < p.left) sum += o.log ? u[k] : u[k] * v[k];
    }
  }
  sum = gc_together(sum, gc_plus(), room);
  if (gridDim.y > 1 && !o.parts) {
    if (p.inside && threadIdx.y == 0) part[blockIdx.y * t.outer * t.inner + p.output] = sum;
    return;
  }
  gc_place q = start;
  for (p = start; p.left > 0; p.left -= kept) {
    if (!once) read();
#pragma unroll
    for (int k = 0; k < kept; ++k) {
      if (k < p.left)
        *(T *)(dx + q.at[2]) = T(o.log ? u[k] - exp(v[k]) * sum : v[k] * (u[k] - sum));
      q.next<true>(t);
    }
  }
}
"""
)

_TYPES: Final = [{"T": t} for t in REAL]
_SOFTMAX: Final = RawKernel("gc_softmax", _FORWARD, _TYPES)
_SOFTMAX_BACKWARD: Final = RawKernel("gc_softmax_backward", _BACKWARD, _TYPES)

_MOST: Final = 1024
# One block takes some 10 us for a row of this many float32; two launches would take no less.
_FEW: Final = 65536

# [log][parts]
_CHOICES: Final = tuple(tuple(argument(log, parts) for parts in (0, 1)) for log in (0, 1))

_forwards: Final[dict[Any, tuple[Any, int]]] = {}
_backwards: Final[dict[Any, tuple[Any, int]]] = {}


def _function(known: dict[Any, tuple[Any, int]], kernel: RawKernel, dtype: Any) -> tuple[Any, int]:
    """The launcher for `dtype`, and how many bytes a `W` has."""
    found = known.get(dtype)
    if found is None:
        found = launcher(kernel, dtype.name), 8 if dtype.itemsize == 8 else 4
        known[dtype] = found
    return found


def _launch(
    function: Any, plan: Tiles, arrays: tuple[Any, ...], log: int, size: int, outputs: int
) -> None:
    """Launch once, or twice where rows are in parts, which have `size` bytes each."""
    direct, of_parts = _CHOICES[log]
    if plan.grid[1] == 1:
        function(plan.grid, plan.block, (*arrays, NULL, direct, plan.argument))
        return
    part = empty((plan.grid[1] * outputs * size,), "uint8")
    function(plan.grid, plan.block, (*arrays, part, direct, plan.argument))
    function(plan.grid, plan.block, (*arrays, part, of_parts, plan.argument))


def softmax(x: Array, dim: int | None) -> Array:
    """Return `exp(x) / exp(x).sum(dim)`.

    Args:
        x: Any shape; float16 (calculated in float32), float32 or float64.
        dim: The axis; None for a 0-d array.
    """
    return _forward(x, dim, 0)


def log_softmax(x: Array, dim: int | None) -> Array:
    """Return `x - log(exp(x).sum(dim))`; arguments are those of `softmax`."""
    return _forward(x, dim, 1)


def _forward(x: Array, dim: int | None, log: int) -> Array:
    shape = x.shape
    dims = () if dim is None else (dim % len(shape),)
    function, size = _function(_forwards, _SOFTMAX, x.dtype)
    y = empty(shape, x.dtype) if x._c_contiguous else cupy.empty_like(x)
    if not y.size:
        return y
    plan = tiles(shape, dims, 64 // size, _MOST, _FEW, x.strides, y.strides)
    if plan is None:
        return _forward(cupy.ascontiguousarray(x), dim, log)
    _launch(function, plan, (x, y), log, 2 * size, plan.outer * plan.inner)
    return y


def softmax_backward(wanted: tuple[bool], g: Array, y: Array, dim: int | None) -> tuple[Array]:
    """Return `y * (g - (g * y).sum(dim))`.

    Args:
        wanted: (True,).
        g: The shape and dtype of `y`.
        y: The result of `softmax`.
        dim: As for `softmax`.
    """
    return (_backward(g, y, dim, 0),)


def log_softmax_backward(wanted: tuple[bool], g: Array, y: Array, dim: int | None) -> tuple[Array]:
    """Return `g - exp(y) * g.sum(dim)`; the arguments are as for `softmax_backward`."""
    return (_backward(g, y, dim, 1),)


def _backward(g: Array, y: Array, dim: int | None, log: int) -> Array:
    shape = y.shape
    dims = () if dim is None else (dim % len(shape),)
    function, size = _function(_backwards, _SOFTMAX_BACKWARD, y.dtype)
    dx = empty(shape, y.dtype) if y._c_contiguous else cupy.empty_like(y)
    if not dx.size:
        return dx
    # By the layout of y, as g may be expanded.
    plan = tiles(shape, dims, 32 // size, _MOST, _FEW, y.strides, g.strides, dx.strides)
    if plan is None:
        return _backward(cupy.ascontiguousarray(g), cupy.ascontiguousarray(y), dim, log)
    _launch(function, plan, (y, g, dx), log, size, plan.outer * plan.inner)
    return dx


# log(exp(x).sum(dim)). The phases of complex numbers are summed; inf is as good as any number here.
_LOGSUMEXP: Final = Reduction(
    "gc_logsumexp",
    "T x",
    [
        {"T": t, "U": t, "A": "float32" if t == "float16" else REAL_COUNTERPART[t]}
        for t in (*REAL, *COMPLEX)
    ],
    term="gc_one(W(x))",
    join="gc_both(a, b)",
    identity="{W(0), A(-CUDART_INF)}",
    result="log(a.sum) + a.top",
    state="""
struct gc_state { W sum; A top; };
__device__ inline gc_state gc_one(A x) { return {W(1), x}; }
template <class R> __device__ gc_state gc_one(const complex<R> &x) {
  return {exp(complex<R>(R(0), x.imag())), x.real()};
}
__device__ inline gc_state gc_both(const gc_state &a, const gc_state &b) {
  const bool first = a.top >= b.top;
  const gc_state high = first ? a : b, low = first ? b : a;
  const A share = high.top == low.top ? A(1) : exp(low.top - high.top);
  return {high.sum + low.sum * share, high.top};
}
""",
    words=4,
)

# dx = g * conj(exp(x - y))
_LOGSUMEXP_BACKWARD: Final = cupy.ElementwiseKernel(
    "T x, T y, T g",
    "T dx",
    "dx = T(W(g) * gc_conj(W(exp(W(x) - W(y)))))",
    "gc_logsumexp_backward",
    preamble=PREAMBLE
    + """
template <class R> __device__ R gc_conj(R v) { return v; }
template <class R> __device__ complex<R> gc_conj(complex<R> v) { return conj(v); }
""",
)


def logsumexp(x: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
    """Return `log(exp(x).sum(dim))`, without overflow; -inf for nothing.

    Args:
        x: Any shape; floating point (float16 is calculated in float32) or complex.
        dim: The axes, sorted, none negative.
        keepdim: Whether the axes stay, with length 1.
    """
    return _LOGSUMEXP(x, dim=dim, keepdim=keepdim)


def logsumexp_backward(
    wanted: tuple[bool], g: Array, y: Array, x: Array, dim: tuple[int, ...], keepdim: bool
) -> tuple[Array]:
    """Return `g * conj(exp(x - y))` in one launch.

    Args:
        wanted: (True,).
        g: The shape and dtype of `y`.
        y: The result of `logsumexp`.
        x: As for `logsumexp`.
        dim: As for `logsumexp`.
        keepdim: As for `logsumexp`.
    """
    g, y = (with_reduced_axes(a, x.ndim, dim, keepdim) for a in (g, y))
    return (in_memory_order(_LOGSUMEXP_BACKWARD, (x,), (y, g)),)


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    listed: list[tuple[Kernel | RawKernel, dict[str, str]]] = _LOGSUMEXP.kernels()
    listed += [(kernel, types) for kernel in (_SOFTMAX, _SOFTMAX_BACKWARD) for types in _TYPES]
    return listed + [(_LOGSUMEXP_BACKWARD, {"T": t}) for t in (*REAL, *COMPLEX)]
