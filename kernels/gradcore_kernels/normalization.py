"""Layer norm, RMS norm and batch norm, and their gradients.

What a forward keeps is a mean and a `factor`, 1 / sqrt(variance + eps), per row or channel, in the
dtype that is computed in; never the normalised array. Means and variances are joined from those of
parts, which is as exact for numbers far from 0 as for others; all sums are made in a fixed order.

A weight or a bias of no dimensions stands for none, and is not read.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, Final

import cupy
import numpy as np

from gradcore_kernels.cuda_types import ACCUMULATOR
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Array, empty
from gradcore_kernels.tiles import (
    NULL,
    TILES,
    WARP,
    Steps,
    Tiles,
    argument,
    launcher,
    lay,
    power_of_2,
    row_major,
    tiles,
)

# T is the type of the input, P that of weight, bias and running statistics.
_TYPES: Final = [
    {"T": t, "A": ACCUMULATOR[t], "P": p}
    for t, p in (
        ("float16", "float16"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
    )
]

_COMMON: Final = r"""
// What a thread reads or writes at once, in one access of 16 bytes.
const int gc_wide = 16 / sizeof(T);
template <class E, int N>
struct alignas(sizeof(E) * N < 16 ? sizeof(E) * N : 16) gc_pack { E v[N]; };
template <int N, class E> __device__ gc_pack<E, N> gc_load(const E *from) {
  return *reinterpret_cast<const gc_pack<E, N> *>(from);
}
template <int N, class E> __device__ void gc_store(E *to, const gc_pack<E, N> &p) {
  *reinterpret_cast<gc_pack<E, N> *>(to) = p;
}

// Of n numbers the mean, and the sum of the squared distances from it.
struct gc_moments { A n, mean, square; };
// The moments of the numbers of both (Chan, Golub and LeVeque 1983).
struct gc_join_moments {
  __device__ gc_moments operator()(const gc_moments &a, const gc_moments &b) const {
    const A n = a.n + b.n, share = n > A(0) ? b.n / n : A(0), d = b.mean - a.mean;
    // Of no numbers d is a mean: its square could overflow, times 0.
    return gc_moments{n, a.mean + d * share, a.square + b.square + d * (d * (a.n * share))};
  }
};
template <int N> __device__ gc_moments gc_moments_of(const A *v, int n) {
  A mean = 0, square = 0;
#pragma unroll
  for (int k = 0; k < N; ++k) mean += k < n ? v[k] : A(0);
  mean /= n;
#pragma unroll
  for (int k = 0; k < N; ++k) square += k < n ? (v[k] - mean) * (v[k] - mean) : A(0);
  return gc_moments{A(n), mean, square};
}

// Two sums: of h, and of h times the normalised input.
struct gc_sums { A h, hz; };
struct gc_add_sums {
  __device__ gc_sums operator()(const gc_sums &a, const gc_sums &b) const {
    return gc_sums{a.h + b.h, a.hz + b.hz};
  }
};
"""

# Rows: blockDim.y threads have a row of `count` elements, blockDim.z rows a block. A thread holds
# its first HELD accesses in registers, so that a row that is not too long is read once.
_ROWS: Final = (
    TILES.replace("ARRAYS", "1")
    + _COMMON
    + r"""
struct gc_rows { long long rows, count, wide; };
"""
)

_HELD: Final = 8
"""Of 16 bytes each: 32 registers."""
_MOST_LANES: Final = 512
"""Threads that have a row; twice as many could not have the registers for what they hold."""

# mean (if there is one to write: else it is RMS norm), factor, y = (x - mean) * factor * weight
# + bias
_ROW_NORM: Final = RawKernel(
    "gc_row_norm",
    _ROWS
    + r"""
template <int N> __device__ void gc_run(
    const T *x, const P *weight, const P *bias, T *y, A *mean, A *factor, A eps, gc_rows t) {
  const long long row = (long long)blockIdx.x * blockDim.z + threadIdx.z;
  const long long end = row < t.rows ? t.count : 0;
  const long long first = (long long)threadIdx.y * N, step = (long long)blockDim.y * N;
  x += row * t.count;
  y += row * t.count;
  gc_pack<T, N> held[HELD];
#pragma unroll
  for (int k = 0; k < HELD; ++k)
    if (first + k * step < end) held[k] = gc_load<N>(x + first + k * step);

  gc_moments a = {0, 0, 0};
  const auto take = [&](const gc_pack<T, N> &p) {
    A v[N], square = 0;
#pragma unroll
    for (int j = 0; j < N; ++j) v[j] = A(p.v[j]), square += v[j] * v[j];
    // Without a mean the moments are those about 0.
    a = gc_join_moments()(a, mean ? gc_moments_of<N>(v, N) : gc_moments{A(N), A(0), square});
  };
#pragma unroll
  for (int k = 0; k < HELD; ++k)
    if (first + k * step < end) take(held[k]);
  for (long long i = first + HELD * step; i < end; i += step) take(gc_load<N>(x + i));
  a = gc_together(a, gc_join_moments());

  const A size = A(1) / sqrt(a.square / A(t.count) + eps);
  if (end && threadIdx.y == 0) {
    if (mean) mean[row] = a.mean;
    factor[row] = size;
  }
  const auto give = [&](long long i, gc_pack<T, N> p) {
    gc_pack<P, N> w, b;
    if (weight) w = gc_load<N>(weight + i);
    if (bias) b = gc_load<N>(bias + i);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      A z = (A(p.v[j]) - a.mean) * size;
      if (weight) z *= A(w.v[j]);
      if (bias) z += A(b.v[j]);
      p.v[j] = T(z);
    }
    gc_store<N>(y + i, p);
  };
#pragma unroll
  for (int k = 0; k < HELD; ++k)
    if (first + k * step < end) give(first + k * step, held[k]);
  for (long long i = first + HELD * step; i < end; i += step) give(i, gc_load<N>(x + i));
}

extern "C" __global__ void __launch_bounds__(MOST) gc_row_norm(
    const T *x, const P *weight, const P *bias, T *y, A *mean, A *factor, const double eps,
    const gc_rows t) {
  if (t.wide) gc_run<gc_wide>(x, weight, bias, y, mean, factor, A(eps), t);
  else gc_run<1>(x, weight, bias, y, mean, factor, A(eps), t);
}
""".replace("HELD", str(_HELD)).replace("MOST", str(_MOST_LANES)),
    _TYPES,
)

# With h = g * weight and z = (x - mean) * factor:
# dx = (h - h.mean() - z * (h * z).mean()) * factor, for RMS norm without h.mean()
_ROW_NORM_BACKWARD: Final = RawKernel(
    "gc_row_norm_backward",
    _ROWS
    + r"""
template <int N> __device__ void gc_run(
    const T *g, const T *x, const P *weight, const A *mean, const A *factor, T *dx, gc_rows t) {
  const long long row = (long long)blockIdx.x * blockDim.z + threadIdx.z;
  const long long end = row < t.rows ? t.count : 0;
  const long long first = (long long)threadIdx.y * N, step = (long long)blockDim.y * N;
  g += row * t.count;
  x += row * t.count;
  dx += row * t.count;
  const A centre = end && mean ? mean[row] : A(0), size = end ? factor[row] : A(0);
  gc_pack<T, N> held[HELD], of_g[HELD];
#pragma unroll
  for (int k = 0; k < HELD; ++k)
    if (first + k * step < end) {
      held[k] = gc_load<N>(x + first + k * step);
      of_g[k] = gc_load<N>(g + first + k * step);
    }

  gc_sums a = {0, 0};
  // Calls each(j, h, z) for the elements of an access.
  const auto over = [&](long long i, const gc_pack<T, N> &p, const gc_pack<T, N> &q, auto each) {
    gc_pack<P, N> w;
    if (weight) w = gc_load<N>(weight + i);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const A h = A(q.v[j]);
      each(j, weight ? h * A(w.v[j]) : h, (A(p.v[j]) - centre) * size);
    }
  };
  const auto take = [&](int, A h, A z) {
    a.h += h;
    a.hz += h * z;
  };
#pragma unroll
  for (int k = 0; k < HELD; ++k)
    if (first + k * step < end) over(first + k * step, held[k], of_g[k], take);
  for (long long i = first + HELD * step; i < end; i += step)
    over(i, gc_load<N>(x + i), gc_load<N>(g + i), take);
  a = gc_together(a, gc_add_sums());

  const A shift = mean ? a.h / A(t.count) : A(0), slope = a.hz / A(t.count);
  const auto give = [&](long long i, const gc_pack<T, N> &p, const gc_pack<T, N> &q) {
    gc_pack<T, N> d;
    over(i, p, q, [&](int j, A h, A z) { d.v[j] = T((h - shift - z * slope) * size); });
    gc_store<N>(dx + i, d);
  };
#pragma unroll
  for (int k = 0; k < HELD; ++k)
    if (first + k * step < end) give(first + k * step, held[k], of_g[k]);
  for (long long i = first + HELD * step; i < end; i += step)
    give(i, gc_load<N>(x + i), gc_load<N>(g + i));
}

extern "C" __global__ void __launch_bounds__(MOST) gc_row_norm_backward(
    const T *g, const T *x, const P *weight, const A *mean, const A *factor, T *dx,
    const gc_rows t) {
  if (t.wide) gc_run<gc_wide>(g, x, weight, mean, factor, dx, t);
  else gc_run<1>(g, x, weight, mean, factor, dx, t);
}
""".replace("HELD", str(_HELD // 2)).replace("MOST", str(_MOST_LANES)),
    _TYPES,
)

# The moments of each channel, or of its parts, which then are reduced `from` the array `to`; and of
# them mean, factor, and the new running statistics.
_MOMENTS: Final = RawKernel(
    "gc_batch_norm_moments",
    TILES.replace("ARRAYS", "1")
    + _COMMON
    + r"""
__device__ gc_moments gc_over(gc_place p, const gc_tiles &t, const T *x) {
  const int loads = sizeof(A) < 8 ? 8 : 4;
  gc_moments a = {0, 0, 0};
  for (; p.left > 0; p.left -= loads) {
    const int here = p.left < loads ? p.left : loads;
    A v[loads];
#pragma unroll
    for (int k = 0; k < loads; ++k) {
      if (k < here) v[k] = A(x[p.at[0]]);
      p.next<false>(t);
    }
    a = gc_join_moments()(a, gc_moments_of<loads>(v, here));
  }
  return a;
}

extern "C" __global__ void __launch_bounds__(1024) gc_batch_norm_moments(
    const T *x, const gc_moments *from, gc_moments *to, A *mean, A *factor, P *running_mean,
    P *running_var, const double momentum, const double eps, const gc_tiles t) {
  gc_place p(t, (long long)blockIdx.x * blockDim.z + threadIdx.z);
  const long long channel = p.output;
  const bool inside = p.inside;
  gc_moments a = {0, 0, 0};
  if (from) {
    for (; p.left > 0; --p.left) {
      a = gc_join_moments()(a, from[p.at[0]]);
      p.next<true>(t);
    }
  } else {
    a = gc_over(p, t, x);
  }
  a = gc_together(a, gc_join_moments());
  if (!inside || threadIdx.y) return;
  if (to) {
    to[blockIdx.y * t.inner + channel] = a;
    return;
  }
  const A count = A(t.count);
  mean[channel] = a.mean;
  factor[channel] = A(1) / sqrt(a.square / count + A(eps));
  if (running_mean) {
    const A m = A(momentum), kept = A(1 - momentum);
    running_mean[channel] = P(kept * A(running_mean[channel]) + m * a.mean);
    running_var[channel] = P(kept * A(running_var[channel]) + m * (a.square / (count - A(1))));
  }
}
""",
    _TYPES,
)

# dbias = g.sum(), dweight = (g * (x - mean) * factor).sum(): of columns, with a mean and a factor
# per row, or of channels, with one per channel; or of their parts, as for the moments. `sums` takes
# both in the type that is computed in.
_PARAMETERS: Final = RawKernel(
    "gc_norm_parameters_backward",
    TILES.replace("ARRAYS", "2")
    + _COMMON
    + r"""
__device__ gc_sums gc_over(
    gc_place p, const gc_tiles &t, const T *g, const T *x, const A *mean, const A *factor) {
  const int loads = sizeof(A) < 8 ? 4 : 2;
  gc_sums a[2] = {{0, 0}, {0, 0}};
  for (; p.left > 0; p.left -= loads) {
    const int here = p.left < loads ? p.left : loads;
    A h[loads], z[loads], centre[loads], size[loads];
#pragma unroll
    for (int k = 0; k < loads; ++k) {
      if (k < here) {
        h[k] = A(g[p.at[0]]);
        z[k] = A(x[p.at[0]]);
        centre[k] = mean ? mean[p.at[1]] : A(0);
        size[k] = factor[p.at[1]];
      }
      p.next<false>(t);
    }
#pragma unroll
    for (int k = 0; k < loads; ++k)
      if (k < here) {
        a[k % 2].h += h[k];
        a[k % 2].hz += h[k] * ((z[k] - centre[k]) * size[k]);
      }
  }
  return gc_add_sums()(a[0], a[1]);
}

extern "C" __global__ void __launch_bounds__(1024) gc_norm_parameters_backward(
    const T *g, const T *x, const A *mean, const A *factor, const gc_sums *from, gc_sums *to,
    gc_sums *sums, P *dweight, P *dbias, const gc_tiles t) {
  gc_place p(t, (long long)blockIdx.x * blockDim.z + threadIdx.z);
  const long long output = p.output;
  const bool inside = p.inside;
  gc_sums a = {0, 0};
  if (from) {
    for (; p.left > 0; --p.left) {
      a = gc_add_sums()(a, from[p.at[0]]);
      p.next<true>(t);
    }
  } else {
    a = gc_over(p, t, g, x, mean, factor);
  }
  a = gc_together(a, gc_add_sums());
  if (!inside || threadIdx.y) return;
  if (to) {
    to[blockIdx.y * t.inner + output] = a;
    return;
  }
  if (sums) sums[output] = a;
  if (dweight) dweight[output] = P(a.hz);
  if (dbias) dbias[output] = P(a.h);
}
""",
    _TYPES,
)

# Elementwise over (n, channels, inner): a thread has one access of N elements, and follows which
# channel they are of.
_CHANNELS: Final = (
    TILES.replace("ARRAYS", "1")
    + _COMMON
    + r"""
struct gc_batch { long long size, channels, inner, wide; };

// Calls start(channel, new) when a channel begins, where `new` says that it is its first element of
// all, and each(k) for each of the elements i to i + n.
template <int N, class Start, class Each>
__device__ void gc_over(const gc_batch &t, long long i, int n, Start start, Each each) {
  const long long slice = gc_divide(i, t.inner);
  long long inner = i - slice * t.inner;
  long long channel = slice - gc_divide(slice, t.channels) * t.channels;
  start(channel, i == channel * t.inner);
#pragma unroll
  for (int k = 0; k < N; ++k) {
    if (k >= n) break;
    if (inner == t.inner) {
      inner = 0;
      if (++channel == t.channels) channel = 0;
      start(channel, i + k == channel * t.inner);
    }
    ++inner;
    each(k);
  }
}

template <int N> __device__ gc_pack<T, N> gc_some(const T *from, int n) {
  if (n == N) return gc_load<N>(from);
  gc_pack<T, N> p;
#pragma unroll
  for (int k = 0; k < N; ++k)
    if (k < n) p.v[k] = from[k];
  return p;
}
template <int N> __device__ void gc_put(T *to, const gc_pack<T, N> &p, int n) {
  if (n == N) return gc_store<N>(to, p);
#pragma unroll
  for (int k = 0; k < N; ++k)
    if (k < n) to[k] = p.v[k];
}
"""
)

# y = (x - mean) * factor * weight + bias; with running statistics it writes mean and factor, too
_BATCH_NORM: Final = RawKernel(
    "gc_batch_norm",
    _CHANNELS
    + r"""
template <int N> __device__ void gc_run(
    const T *x, const P *weight, const P *bias, const P *running_mean, const P *running_var,
    A *mean, A *factor, T *y, A eps, const gc_batch &t) {
  const long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * N;
  if (i >= t.size) return;
  const int n = t.size - i < N ? t.size - i : N;
  gc_pack<T, N> p = gc_some<N>(x + i, n);
  A centre, scale, shift;
  const auto start = [&](long long c, bool first) {
    centre = running_mean ? A(running_mean[c]) : mean[c];
    scale = running_var ? A(1) / sqrt(A(running_var[c]) + eps) : factor[c];
    if (first && running_mean) {
      mean[c] = centre;
      factor[c] = scale;
    }
    if (weight) scale *= A(weight[c]);
    shift = bias ? A(bias[c]) : A(0);
  };
  gc_over<N>(t, i, n, start, [&](int k) {
    p.v[k] = T((A(p.v[k]) - centre) * scale + shift);
  });
  gc_put<N>(y + i, p, n);
}

extern "C" __global__ void gc_batch_norm(
    const T *x, const P *weight, const P *bias, const P *running_mean, const P *running_var,
    A *mean, A *factor, T *y, const double eps, const gc_batch t) {
  if (t.wide) gc_run<gc_wide>(
      x, weight, bias, running_mean, running_var, mean, factor, y, A(eps), t);
  else gc_run<1>(x, weight, bias, running_mean, running_var, mean, factor, y, A(eps), t);
}
""",
    _TYPES,
)

# With z = (x - mean) * factor: dx = (g - g.mean() - z * (g * z).mean()) * factor * weight; without
# sums, where mean and factor are constants: dx = g * factor * weight
_BATCH_NORM_BACKWARD: Final = RawKernel(
    "gc_batch_norm_backward",
    _CHANNELS
    + r"""
template <int N> __device__ void gc_run(
    const T *g, const T *x, const P *weight, const A *mean, const A *factor, const gc_sums *sums,
    T *dx, const gc_batch &t) {
  const long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * N;
  if (i >= t.size) return;
  const int n = t.size - i < N ? t.size - i : N;
  gc_pack<T, N> q = gc_some<N>(g + i, n), p = q;
  if (sums) p = gc_some<N>(x + i, n);
  const A count = A(gc_divide(t.size, t.channels));
  A centre = 0, scale, shift = 0, slope = 0;
  const auto start = [&](long long c, bool) {
    scale = weight ? factor[c] * A(weight[c]) : factor[c];
    if (sums) {
      const gc_sums s = sums[c];
      centre = mean[c];
      shift = s.h / count;
      slope = s.hz / count * factor[c];
    }
  };
  gc_over<N>(t, i, n, start, [&](int k) {
    q.v[k] = T((A(q.v[k]) - shift - (A(p.v[k]) - centre) * slope) * scale);
  });
  gc_put<N>(dx + i, q, n);
}

extern "C" __global__ void gc_batch_norm_backward(
    const T *g, const T *x, const P *weight, const A *mean, const A *factor, const gc_sums *sums,
    T *dx, const gc_batch t) {
  if (t.wide) gc_run<gc_wide>(g, x, weight, mean, factor, sums, dx, t);
  else gc_run<1>(g, x, weight, mean, factor, sums, dx, t);
}
""",
    _TYPES,
)

_KERNELS: Final = (
    _ROW_NORM,
    _ROW_NORM_BACKWARD,
    _MOMENTS,
    _PARAMETERS,
    _BATCH_NORM,
    _BATCH_NORM_BACKWARD,
)

# As in tiles.py: half of a large device, a block, and CUDA's limit of blockDim.z.
_ENOUGH_THREADS: Final = 1 << 17
_BLOCK: Final = 256
_MOST_Z: Final = 64
# Where a block has a row: accesses under way in each thread.
_ACCESSES: Final = 4
# As in reduction.py: elements that a thread has, and that one block may have.
_SHARE: Final = 16
_FEW: Final = 16384

_STATE: Final = {np.dtype(t): np.dtype(a) for t, a in ACCUMULATOR.items()}


@functools.lru_cache(maxsize=256)
def _launcher(kernel: RawKernel, values: Any, parameters: Any) -> Any:
    """The function to launch a kernel with, for inputs and parameters of these dtypes."""
    return launcher(kernel, values.name, ACCUMULATOR[values.name], parameters.name)


def _contiguous(a: Array) -> Array:
    return a if a.flags.c_contiguous else cupy.ascontiguousarray(a)


def _parameter(a: Array) -> Array:
    """A weight or a bias as the argument of a kernel."""
    return _contiguous(a) if a.ndim else NULL


def _or_null(a: Array | None) -> Array:
    return NULL if a is None else a


def _aligned(*arrays: Array) -> bool:
    """Whether each of these, if it is an array, begins where an access of 16 bytes may."""
    return all(a is NULL or a.data.ptr % 16 == 0 for a in arrays)


@functools.lru_cache(maxsize=1024)
def _row_plan(
    rows: int, count: int, itemsize: int, aligned: bool, held: int
) -> tuple[Any, Any, Any]:
    """The grid, the block and the `gc_rows` of a launch over rows."""
    wide = aligned and count * itemsize % 16 == 0
    accesses = -(-count * itemsize // 16) if wide else count
    if accesses <= WARP * held:
        lanes = min(WARP, power_of_2(accesses))
    else:
        lanes = min(_MOST_LANES, power_of_2(-(-accesses // _ACCESSES)))
    while rows * lanes < _ENOUGH_THREADS and lanes < min(accesses, _MOST_LANES):
        lanes *= 2
    z = max(min(_BLOCK // lanes, _MOST_Z, power_of_2(rows)), WARP // lanes, 1)
    return (-(-rows // z),), (1, lanes, z), argument(rows, count, wide)


@functools.lru_cache(maxsize=1024)
def _plans(
    shape: tuple[int, ...], dim: tuple[int, ...], *strides: tuple[int, ...]
) -> tuple[Tiles, Tiles | None]:
    """One launch that reduces contiguous arrays, or two; one axis stays."""
    first = tiles(shape, dim, _SHARE, _BLOCK, _FEW, *strides)
    assert first is not None, "two axes at most are reduced"
    parts, outputs = first.grid[1], first.inner
    if parts == 1:
        return first, None
    steps = [Steps(inner=1, fast=outputs)] * len(strides)
    across = outputs > 1
    second = lay(1, outputs, parts, parts, steps, across, _SHARE, _BLOCK, None, count=first.reduced)
    return first, second


def _reduce(
    launch: Any,
    plans: tuple[Tiles, Tiles | None],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    words: int,
    dtype: Any,
) -> None:
    """Launch a kernel of `(*inputs, from, to, *outputs, gc_tiles)` once or twice.

    Args:
        launch: The function.
        plans: The launches.
        inputs: The first arguments.
        outputs: The arguments after `from` and `to`.
        words: Of the state that is reduced to.
        dtype: Of these words.
    """
    first, second = plans
    if second is None:
        launch(first.grid, first.block, (*inputs, NULL, NULL, *outputs, first.argument))
        return
    part = empty((first.grid[1] * first.inner * words,), dtype)
    launch(first.grid, first.block, (*inputs, NULL, part, *outputs, first.argument))
    launch(second.grid, second.block, (*inputs, part, NULL, *outputs, second.argument))


def layer_norm(
    x: Array, weight: Array, bias: Array, axes: tuple[int, ...], eps: float, kept: list[Any]
) -> Array:
    """Return `(x - mean) / sqrt(var + eps) * weight + bias`, in one launch.

    Args:
        x: Any shape and layout; float16, float32 or float64.
        weight: The shape of `x` along `axes`, and its dtype, or float32 where that is float16; or
            of no dimensions.
        bias: Likewise; of the dtype of `weight`.
        axes: The last ones of `x`, over which mean and variance are taken.
        eps: Added to the variance.
        kept: To this list `(mean, factor)` is appended, each a column.

    Returns:
        The shape and dtype of `x`, contiguous.
    """
    return _row_norm(x, weight, bias, axes, eps, kept)


def rms_norm(x: Array, weight: Array, axes: tuple[int, ...], eps: float, kept: list[Any]) -> Array:
    """Return `x / sqrt((x * x).mean() + eps) * weight`, in one launch.

    Args:
        x: As in `layer_norm`, and so are the others.
        weight: Likewise.
        axes: Likewise.
        eps: Likewise.
        kept: To this list `(None, factor)` is appended.
    """
    return _row_norm(x, weight, None, axes, eps, kept)


def _row_norm(
    x: Array,
    weight: Array,
    bias: Array | None,
    axes: tuple[int, ...],
    eps: float,
    kept: list[Any],
) -> Array:
    x = _contiguous(x)
    rows = math.prod(x.shape[: axes[0]])
    state = _STATE[x.dtype]
    mean = None if bias is None else empty((rows, 1), state)
    factor = empty((rows, 1), state)
    kept.append((mean, factor))
    y = empty(x.shape, x.dtype)
    if not x.size:
        return y
    w = _parameter(weight)
    b = NULL if bias is None else _parameter(bias)
    grid, block, plan = _row_plan(rows, x.size // rows, x.itemsize, _aligned(x, w, b), _HELD)
    given = (x, w, b, y, _or_null(mean), factor, float(eps), plan)
    _launcher(_ROW_NORM, x.dtype, weight.dtype)(grid, block, given)
    return y


def layer_norm_backward(
    wanted: tuple[bool, ...],
    g: Array,
    x: Array,
    weight: Array,
    axes: tuple[int, ...],
    kept: list[Any],
) -> tuple[Array | None, ...]:
    """Return the gradients of `layer_norm`, in at most three launches.

    Args:
        wanted: Which of those of `x`, `weight` and `bias`; the others are None.
        g: The shape and dtype of `x`.
        x: As in `layer_norm`, and so are the others.
        weight: Likewise.
        axes: Likewise.
        kept: Likewise; filled by it.
    """
    return _row_norm_backward(wanted, g, x, weight, axes, kept)


def rms_norm_backward(
    wanted: tuple[bool, ...],
    g: Array,
    x: Array,
    weight: Array,
    axes: tuple[int, ...],
    kept: list[Any],
) -> tuple[Array | None, ...]:
    """Return the gradients of `rms_norm`, in at most three launches.

    Args:
        wanted: Which of those of `x` and `weight`; the others are None.
        g: As in `layer_norm_backward`, and so are the others.
        x: Likewise.
        weight: Likewise.
        axes: Likewise.
        kept: Likewise.
    """
    return _row_norm_backward((*wanted, False), g, x, weight, axes, kept)[:2]


def _row_norm_backward(
    wanted: tuple[bool, ...],
    g: Array,
    x: Array,
    weight: Array,
    axes: tuple[int, ...],
    kept: list[Any],
) -> tuple[Array | None, ...]:
    x, g = _contiguous(x), _contiguous(g)
    shape = x.shape[axes[0] :]
    rows, count = math.prod(x.shape[: axes[0]]), math.prod(shape)
    mean, factor = kept[0]
    mean = _or_null(mean)
    dx = empty(x.shape, x.dtype) if wanted[0] else None
    make = empty if x.size else cupy.zeros
    dw, db = [make(shape, weight.dtype) if want else None for want in wanted[1:]]
    if not x.size:
        return dx, dw, db
    if dx is not None:
        w = _parameter(weight)
        grid, block, plan = _row_plan(rows, count, x.itemsize, _aligned(x, g, w), _HELD // 2)
        _launcher(_ROW_NORM_BACKWARD, x.dtype, weight.dtype)(
            grid, block, (g, x, w, mean, factor, dx, plan)
        )
    if dw is not None or db is not None:
        plans = _plans((rows, count), (0,), (count, 1), (1, 0))
        outputs = (NULL, _or_null(dw), _or_null(db))
        launch = _launcher(_PARAMETERS, x.dtype, weight.dtype)
        _reduce(launch, plans, (g, x, mean, factor), outputs, 2, factor.dtype)
    return dx, dw, db


def batch_norm(
    x: Array,
    weight: Array,
    bias: Array,
    running: tuple[Array, Array] | None,
    training: bool,
    momentum: float,
    eps: float,
    kept: list[Any],
) -> Array:
    """Return `(x - mean) / sqrt(var + eps) * weight + bias` with mean and variance per channel.

    In training they are those of `x`, and it takes up to three launches; else they are `running`,
    and it takes one.

    Args:
        x: `(n, channels, *)`, not empty, any layout; float16, float32 or float64.
        weight: `channels` elements of the dtype of `x`, or float32 where that is float16; or of no
            dimensions.
        bias: Likewise; of the dtype of `weight`.
        running: Mean and variance, each as `weight`; in training they are moved by `momentum`
            towards those of `x`, with the variance divided by n - 1.
        training: Whether mean and variance are those of `x`.
        momentum: The share of `x` in the new running statistics.
        eps: Added to the variance.
        kept: To this list `(mean, factor)` is appended, each `(channels, 1, ...)`.

    Returns:
        The shape and dtype of `x`, contiguous.
    """
    x = _contiguous(x)
    channels = x.shape[1]
    state = _STATE[x.dtype]
    per_channel = (channels,) + (1,) * (x.ndim - 2)
    mean, factor = empty(per_channel, state), empty(per_channel, state)
    kept.append((mean, factor))
    used: Sequence[Any] = (NULL, NULL)
    if running is not None:
        used = [_contiguous(r) for r in running]
    if training:
        plans = _channel_plans(x, 1)
        outputs = (mean, factor, *used, float(momentum), float(eps))
        _reduce(_launcher(_MOMENTS, x.dtype, weight.dtype), plans, (x,), outputs, 3, state)
        if running is not None:
            for r, new in zip(running, used, strict=True):
                if r is not new:
                    r[...] = new.reshape(r.shape)
        used = (NULL, NULL)
    w, b = _parameter(weight), _parameter(bias)
    y = empty(x.shape, x.dtype)
    inner = x.size // (x.shape[0] * channels)
    grid, plan = _channel_plan(x.size, channels, inner, x.itemsize, _aligned(x))
    given = (x, w, b, *used, mean, factor, y, float(eps), plan)
    _launcher(_BATCH_NORM, x.dtype, weight.dtype)(grid, (_BLOCK,), given)
    return y


def _channel_plans(x: Array, arrays: int) -> tuple[Tiles, Tiles | None]:
    """The launches that reduce `x` to its channels; the second array has one element for each."""
    n, channels = x.shape[:2]
    inner = x.size // (n * channels)
    shape = (n, channels, inner)
    return _plans(shape, (0, 2), *(row_major(shape), (0, 1, 0))[:arrays])


@functools.lru_cache(maxsize=1024)
def _channel_plan(
    size: int, channels: int, inner: int, itemsize: int, aligned: bool
) -> tuple[Any, Any]:
    """The grid and the `gc_batch` of an elementwise launch in blocks of _BLOCK threads."""
    each = 16 // itemsize if aligned else 1
    return (-(-size // (each * _BLOCK)),), argument(size, channels, inner, aligned)


def batch_norm_backward(
    wanted: tuple[bool, ...],
    g: Array,
    x: Array,
    weight: Array,
    weight_shape: tuple[int, ...],
    bias_shape: tuple[int, ...],
    training: bool,
    kept: list[Any],
) -> tuple[Array | None, ...]:
    """Return the gradients of `batch_norm`, in at most three launches.

    Args:
        wanted: Which of those of `x`, `weight` and `bias`; the others are None.
        g: The shape and dtype of `x`.
        x: As in `batch_norm`.
        weight: Likewise.
        weight_shape: Of the gradient of `weight`.
        bias_shape: Of the gradient of `bias`.
        training: As in `batch_norm`.
        kept: Likewise; filled by it.
    """
    x, g = _contiguous(x), _contiguous(g)
    channels = x.shape[1]
    mean, factor = kept[0]
    dx = empty(x.shape, x.dtype) if wanted[0] else None
    dw = empty(weight_shape, weight.dtype) if wanted[1] else None
    db = empty(bias_shape, weight.dtype) if wanted[2] else None
    sums = empty((channels, 2), factor.dtype) if wanted[0] and training else NULL
    if dw is not None or db is not None or sums is not NULL:
        outputs = (sums, _or_null(dw), _or_null(db))
        launch = _launcher(_PARAMETERS, x.dtype, weight.dtype)
        plans = _channel_plans(x, 2)
        _reduce(launch, plans, (g, x, mean, factor), outputs, 2, factor.dtype)
    if dx is not None:
        inner = x.size // (x.shape[0] * channels)
        grid, plan = _channel_plan(x.size, channels, inner, x.itemsize, _aligned(x, g))
        given = (g, x, _parameter(weight), mean, factor, sums, dx, plan)
        _launcher(_BATCH_NORM_BACKWARD, x.dtype, weight.dtype)(grid, (_BLOCK,), given)
    return dx, dw, db


def kernels() -> list[tuple[RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    return [(kernel, types) for kernel in _KERNELS for types in kernel.types]
