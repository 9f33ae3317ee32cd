"""How threads are laid over arrays that are reduced over some of their axes.

The axes that stay are merged to at most two, `outer` and `inner`, the others to at most two, `slow`
and `fast`; each array has a step along each of the four. So arrays that are transposed, sliced or
expanded need no copy; `tiles` returns None for those that cannot be merged that far.

A block has `(x, y, z)` threads. `x` counts along the inner axis where neighbours in memory are
neighbours there, and is 1 where they are along the reduced axes; `y` counts along the reduced axes,
so that a warp meets neighbouring elements either way; `z` counts tiles of `x` outputs. Where there
are few outputs of many elements, the reduced axes are cut into `splits` parts, each of them a
block's (`blockIdx.y`), and a second launch reduces what these found.

What the numbers rest on: a GPU with 132 multiprocessors of 2048 threads and 3.35 TB/s needs some
20 KB of loads under way in each multiprocessor, if a load takes some 0.8 us. Half of the threads,
which is how many a kernel of 64 registers leaves resident, have 32 KB with eight loads of 4 bytes
each. The numbers are constants, and not asked of the device, so that results are the same on each.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import cupy
import numpy as np

from gradcore_kernels.raw import RawKernel

WARP: Final = 32
MOST_THREADS: Final = 1024
"""Of a block."""
_BLOCK: Final = 256
_MOST_Z: Final = 64  # CUDA's limit of blockDim.z

# About as many as are resident: with fewer, more threads work for each output.
_ENOUGH_THREADS: Final = 1 << 18
# With at least this many blocks of 1024 threads the device is full, or nearly so.
_ENOUGH_BLOCKS: Final = 256
# A thread costs some hundred instructions before it meets its first element, so it is not to have
# less than this, unless there are few outputs; then 8 threads, whose 32 bytes of float32 are what
# memory gives at once, are neighbours along the reduced axes.
_FEWEST: Final = 8
_SECTOR: Final = 8
# Two waves of blocks of 512 threads; more would make the second launch longer, which reads what
# the first found: a part has at least so many times as many elements as there are parts.
_SPLIT_THREADS: Final = 512
_SPLIT_BLOCKS: Final = 1024
_LEAST_SHARE: Final = 16
_LEAST_PART: Final = 8


TILES: Final = r"""
// Steps along the four axes, in elements or in bytes; then what `next` adds, see below.
struct gc_steps { long long outer, inner, slow, fast, step, back; };
struct gc_tiles {
  long long outer, inner, chunks, n, fast, turn, span, count;
  gc_steps of[ARRAYS];
};

__device__ inline long long gc_divide(long long a, long long b) {
  return (a | b) >> 32 ? a / b : (long long)((unsigned)a / (unsigned)b);  // five times as fast
}

// Where a thread stands in each array, and how many elements it has left of the reduced axes.
struct gc_place {
  bool inside;
  long long output, left, rest;
  ptrdiff_t at[ARRAYS];

  __device__ gc_place(const gc_tiles &t, long long tile) {
    const long long o = t.outer == 1 ? 0 : t.chunks == 1 ? tile : gc_divide(tile, t.chunks);
    const long long c = (tile - o * t.chunks) * blockDim.x + threadIdx.x;
    inside = o < t.outer && c < t.inner;
    output = o * t.inner + c;
    const long long start = blockIdx.y * t.span, j = start + threadIdx.y;
    const long long end = start + t.span < t.n ? start + t.span : t.n;
    left = inside && j < end ? (end - j - 1 >> 31 - __clz(blockDim.y)) + 1 : 0;
    const long long slow = t.fast == t.n ? 0 : gc_divide(j, t.fast);
    rest = j - slow * t.fast;
#pragma unroll
    for (int k = 0; k < ARRAYS; ++k) {
      const gc_steps &s = t.of[k];
      at[k] = o * s.outer + c * s.inner + slow * s.slow + rest * s.fast;
    }
  }

  // On by blockDim.y elements; `one` says that there is one reduced axis.
  template <bool one> __device__ void next(const gc_tiles &t) {
    rest += t.turn;
    const bool over = !one && rest >= t.fast;
    if (over) rest -= t.fast;
#pragma unroll
    for (int k = 0; k < ARRAYS; ++k) at[k] += t.of[k].step + (over ? t.of[k].back : 0);
  }
};

// The value of the lane whose number differs by the bit m, whatever the type.
template <class S> __device__ S gc_other(S v, int m) {
  static_assert(sizeof(S) % 4 == 0, "whole words");
  int *word = reinterpret_cast<int *>(&v);
#pragma unroll
  for (int k = 0; k < sizeof(S) / 4; ++k) word[k] = __shfl_xor_sync(0xffffffffu, word[k], m);
  return v;
}

// Joins the values of groups of threads that follow one another, of those with one remainder by x,
// and gives each of them the result. `threads` in a group and `x` are powers of 2. All threads of
// the block must call it, and there are whole warps. `room` is shared memory, GC_ROOM(S).
#define GC_ROOM(S) (128 * sizeof(S))  // doubles: 1024 of type S
template <class S, class Join>
__device__ S gc_joined(S v, Join join, double *room, unsigned x, unsigned threads) {
  for (unsigned m = x; m < 32 && m < threads; m *= 2) v = join(v, gc_other(v, m));
  if (threads <= 32) return v;
  S *shared = reinterpret_cast<S *>(room);
  const unsigned here = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned lane = here % 32, warps = threads / 32, rows = 32 / x;
  if (lane < x) shared[here / 32 * x + lane] = v;
  __syncthreads();
  S *of_group = shared + here / threads * warps * x + lane % x;
  unsigned w = lane / x % warps;
  v = of_group[w * x];
  for (w += rows; w < warps; w += rows) v = join(v, of_group[w * x]);
  for (unsigned m = x; m < 32 && m < warps * x; m *= 2) v = join(v, gc_other(v, m));
  __syncthreads();
  return v;
}

// The same for threads that differ in y alone; without a room given it brings its own.
template <class S, class Join> __device__ S gc_together(S v, Join join, double *room) {
  return gc_joined(v, join, room, blockDim.x, blockDim.x * blockDim.y);
}
namespace {  // shared memory is not to have a name that several modules know
template <class S, class Join> __device__ S gc_together(S v, Join join) {
  __shared__ double room[GC_ROOM(S)];
  return gc_together(v, join, room);
}
}
"""
"""What a kernel finds its elements with; ARRAYS is to be replaced by their number."""


class Steps(NamedTuple):
    """How far apart in one array neighbours along the four axes are."""

    outer: int = 0
    inner: int = 0
    slow: int = 0
    fast: int = 0


class Tiles(NamedTuple):
    """The arguments of a launch.

    Attributes:
        grid: Of blocks; the second number is how many parts the reduced axes are cut into.
        block: Of threads.
        argument: The `gc_tiles`, as a kernel's argument.
        outer: The length of that axis.
        inner: The length of that axis.
        reduced: How many elements are reduced.
        steps: Of each array.
    """

    grid: tuple[int, int]
    block: tuple[int, int, int]
    argument: Any
    outer: int
    inner: int
    reduced: int
    steps: tuple[Steps, ...]


def power_of_2(n: int) -> int:
    """Return the least power of 2 that is no less than `n`."""
    return 1 << max(0, n - 1).bit_length()


def argument(*values: int) -> Any:
    """Return whole numbers as one argument of a kernel: a struct, passed by value.

    CuPy takes as long for one int as for that.
    """
    return cupy.cuda.function.CNumpyArray(np.array(values, np.int64))


NULL: Final = argument(0)
"""As a kernel's argument: no array."""


def launcher(kernel: RawKernel, *dtypes: str) -> Any:
    """Return the function to launch a kernel with, on the current device and stream."""
    function = kernel(*dtypes)
    # Where there are several devices, each has its own copy, which CuPy looks up.
    return function.kernel if cupy.cuda.runtime.getDeviceCount() == 1 else function


@functools.lru_cache(maxsize=4096)
def tiles(
    shape: tuple[int, ...],
    dim: tuple[int, ...],
    share: int,
    most: int,
    few: int | None,
    *strides: tuple[int, ...],
) -> Tiles | None:
    """Lay threads over arrays of one shape; the first array's layout decides.

    Args:
        shape: Of the arrays; some output has elements.
        dim: The axes to reduce.
        share: How many elements a thread is to have, where there are enough.
        most: How many threads work for an output where there are enough outputs.
        few: How many elements one block may have, before the reduced axes are cut into parts; None
            if they must not be.
        strides: Of each array, in what unit it likes.
    """
    kept = _merged(shape, [d for d in range(len(shape)) if d not in dim], strides)
    reduced = _merged(shape, dim, strides)
    if len(kept) > 2 or len(reduced) > 2:
        return None
    none = (1, (0,) * len(strides))
    (outer, outer_steps), (inner, inner_steps) = [none, none, *kept][-2:]
    (slow, slow_steps), (fast, fast_steps) = [none, none, *reduced][-2:]
    steps = zip(outer_steps, inner_steps, slow_steps, fast_steps, strict=True)
    across = inner > 1 and (slow * fast == 1 or abs(inner_steps[0]) < abs(fast_steps[0]))
    return lay(
        outer, inner, slow * fast, fast, [Steps(*s) for s in steps], across, share, most, few
    )


def lay(
    outer: int,
    inner: int,
    n: int,
    fast: int,
    steps: Sequence[Steps],
    across: bool,
    share: int,
    most: int,
    few: int | None,
    count: int | None = None,
) -> Tiles:
    """Lay threads over arrays whose axes are merged.

    Args:
        outer: The length of that axis.
        inner: The length of that axis.
        n: How many elements are reduced.
        fast: The length of that axis.
        steps: Of each array.
        across: Whether neighbours in memory are neighbours along the inner axis.
        share: As for `tiles`.
        most: As for `tiles`.
        few: As for `tiles`.
        count: What the kernel sees as `t.count`; `n` by default.
    """
    x = min(power_of_2(inner), WARP) if across else 1
    chunks = -(-inner // x)
    number = outer * chunks
    y = max(
        min(power_of_2(-(-n // _FEWEST)), _SECTOR // x),
        min(power_of_2(-(-n // share)), max(most // x, 1)),
    )
    splits = 1
    if few is not None and n * x > few and number < _ENOUGH_BLOCKS:
        y = _SPLIT_THREADS // x
        splits = min(
            -(-_SPLIT_BLOCKS // number), -(-n // (y * _LEAST_SHARE)), math.isqrt(n // _LEAST_PART)
        )
    else:
        while x * y < MOST_THREADS and number * x * y < _ENOUGH_THREADS and 4 * y < n:
            y *= 2
    z = min(max(1, _BLOCK // (x * y)), power_of_2(number), _MOST_Z)
    z = max(z, WARP // (x * y))
    fast = max(1, fast)
    count = n if count is None else count
    numbers = [outer, inner, chunks, n, fast, y % fast, -(-n // splits), count]
    for s in steps:
        step = y // fast * s.slow + y % fast * s.fast
        numbers += [*s, step, s.slow - fast * s.fast]
    return Tiles(
        (-(-number // z), splits), (x, y, z), argument(*numbers), outer, inner, count, tuple(steps)
    )


def _merged(
    shape: tuple[int, ...], dims: Sequence[int], strides: Sequence[tuple[int, ...]]
) -> list[tuple[int, tuple[int, ...]]]:
    """The axes `dims` by decreasing stride of the first array, merged where all arrays allow it.

    Returns:
        Per axis its length, and its stride in each array.
    """
    axes = [(shape[d], tuple([s[d] for s in strides])) for d in dims if shape[d] != 1]
    axes.sort(key=lambda axis: -abs(axis[1][0]))
    merged: list[tuple[int, tuple[int, ...]]] = []
    for n, steps in axes:
        if merged:
            before, outer = merged[-1]
            if all(o == n * s for o, s in zip(outer, steps, strict=True)):
                merged[-1] = before * n, steps
                continue
        merged.append((n, steps))
    return merged


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides, in elements, of a contiguous array."""
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))
