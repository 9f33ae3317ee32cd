"""Cross-entropy from scores or log-probabilities, and its gradient.

With the numbers of classes, the forward reads the scores once, and keeps two numbers per row: the
greatest score, and the logarithm of the sum of exponentials over that of the greatest. From these
the backward computes the gradient in one launch that reads the scores once and writes it once; no
softmax is stored. Labels are looked at on the device alone: where one is no class, the loss and the
gradient of its row are NaN.
"""

import functools
from typing import Any, Final, NamedTuple, TypeAlias

import cupy
import numpy as np

from gradcore_kernels.cuda_types import ACCUMULATOR, REAL, value_types
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Array, Kernel, Reduction, empty
from gradcore_kernels.softmax import ONLINE
from gradcore_kernels.tiles import NULL, TILES, argument, launcher, row_major, tiles

_CHOICE: Final = r"""
// `ignored`: that label does not count. `given`: the scores are log-probabilities already.
// `reduced`: the losses are summed; `mean`: and divided by the sum of the weights. `rounds`: of
// how many tiles a block has.
// `share`: of the smoothing for each class.
struct gc_choice { long long ignored, given, reduced, mean, rounds; double smoothing, share; };

struct gc_loss { W sum, weight; };
struct gc_sums {
  __device__ gc_loss operator()(const gc_loss &a, const gc_loss &b) const {
    return {a.sum + b.sum, a.weight + b.weight};
  }
};
struct gc_plus { __device__ W operator()(W a, W b) const { return a + b; } };

// What is kept for the backward: the divisor and the sum of the weights, then per row the greatest
// score, then per row the logarithm.
__device__ inline W &gc_greatest(W *kept, long long row) { return kept[2 + row]; }
__device__ inline W &gc_logarithm(W *kept, long long row, const gc_tiles &t) {
  return kept[2 + t.outer * t.inner + row];
}

__device__ inline void gc_finish(
    const gc_loss &s, T *loss, W *kept, const gc_choice &o) {
  *loss = T(o.mean ? s.sum / s.weight : s.sum);
  if (kept) kept[0] = o.mean ? s.weight : W(1);
}
"""

_FORWARD: Final = (
    TILES.replace("ARRAYS", "3")
    + ONLINE
    + _CHOICE
    + r"""
// `loss` gets one number per row, or one in all; this through `part`, if there are several blocks.
extern "C" __global__ void __launch_bounds__(1024) gc_cross_entropy(
    const char *x, const char *labels, const T *weight, T *loss, W *kept, gc_loss *part,
    const gc_choice o, const gc_tiles t) {
  __shared__ double room[GC_ROOM(gc_sum)];
  const int many = 32 / sizeof(W);
  const auto read = [=](const gc_place &p) { return W(*(const T *)(x + p.at[0])); };
  const bool smooth = o.smoothing != 0;
  gc_loss found = {W(0), W(0)};
  for (long long round = 0; round < o.rounds; ++round) {
    gc_place p(t, (round * gridDim.x + blockIdx.x) * blockDim.z + threadIdx.z);
    const long long label = p.inside ? *(const L *)(labels + p.at[1]) : o.ignored;
    const bool counts = label != o.ignored, known = label >= 0 && label < t.n;
    // Relative to the chosen score others can be added up without losing digits.
    const char *const chosen = x + p.at[0] + (label - threadIdx.y) * t.of[0].fast;
    W picked = 0;
    if (counts && known && (smooth || threadIdx.y == 0)) picked = W(*(const T *)chosen);
    const W origin = isfinite(picked) ? picked : W(0);
    gc_sum s = {W(-CUDART_INF), W(0)};
    W others = 0, weights = 0;
    if (o.given) {
      s = {W(0), W(1)};
    } else {
      long long j = threadIdx.y;
      for (; p.left > 0; p.left -= many) {
        W v[many];
        gc_read<many>(v, p, t, read);
        s = gc_with<many>(s, v, p.left);
        if (smooth) {
#pragma unroll
          for (int k = 0; k < many; ++k)
            if (k < p.left) {
              const W w = weight ? W(weight[j + k * blockDim.y]) : W(1);
              weights += w;
              others += w * (v[k] - origin);
            }
          j += many * blockDim.y;
        }
      }
      s = gc_together(s, gc_both(), room);
      if (smooth) {
        others = gc_together(others, gc_plus(), room);
        weights = gc_together(weights, gc_plus(), room);
      }
    }
    if (!p.inside || threadIdx.y) continue;
    const W log_sum = log(s.sum);
    const long long row = p.at[2];
    if (kept && !o.given) {
      gc_greatest(kept, row) = s.top;
      gc_logarithm(kept, row, t) = log_sum;
      if (row == 0) kept[1] = weights;
    }
    W of_row = 0;
    if (counts && known) {
      const W w = weight ? W(weight[label]) : W(1);
      of_row = w * ((s.top - picked) + log_sum);
      if (smooth) {
        const W all = weights * ((s.top - origin) + log_sum) - others;
        of_row = W(1 - o.smoothing) * of_row + W(o.share) * all;
      }
      found.weight += w;
    } else if (counts) {
      of_row = CUDART_NAN;
    }
    if (o.reduced) {
      found.sum += of_row;
    } else {
      loss[row] = T(of_row);
    }
  }
  if (!o.reduced) return;
  found = gc_joined(found, gc_sums(), room, 1, blockDim.x * blockDim.y * blockDim.z);
  if (threadIdx.x || threadIdx.y || threadIdx.z) return;
  if (part) {
    part[blockIdx.x] = found;
  } else {
    gc_finish(found, loss, kept, o);
  }
}
"""
)

_TOTAL: Final = (
    TILES.replace("ARRAYS", "1")
    + ONLINE
    + _CHOICE
    + r"""
extern "C" __global__ void __launch_bounds__(1024) gc_cross_entropy_total(
    const gc_loss *part, const long long parts, T *loss, W *kept, const gc_choice o) {
  __shared__ double room[GC_ROOM(gc_loss)];
  gc_loss s = {W(0), W(0)};
  for (long long k = threadIdx.x; k < parts; k += blockDim.x) s = gc_sums()(s, part[k]);
  s = gc_joined(s, gc_sums(), room, 1, blockDim.x);
  if (threadIdx.x == 0) gc_finish(s, loss, kept, o);
}
"""
)

_BACKWARD: Final = (
    TILES.replace("ARRAYS", "5")
    + ONLINE
    + _CHOICE
    + r"""
// dx = g * (a * softmax(x) - b * w - c * one_hot(label)), where `a` is the sum of the rest.
extern "C" __global__ void __launch_bounds__(1024) gc_cross_entropy_backward(
    const char *x, const char *labels, const char *g, char *dx, const T *weight, W *kept,
    const gc_choice o, const gc_tiles t) {
  const int many = 32 / sizeof(W);
  gc_place p(t, (long long)blockIdx.x * blockDim.z + threadIdx.z);
  if (!p.inside) return;
  const long long label = *(const L *)(labels + p.at[1]);
  const bool counts = label != o.ignored, known = label >= 0 && label < t.n;
  W scale = *(const T *)(g + p.at[2]);
  if (o.mean) scale /= kept[0];
  if (!known) scale = CUDART_NAN;  // and with it b, which is taken off everywhere
  const W w = counts && known && weight ? W(weight[label]) : W(1);
  const W c = scale * w * W(1 - o.smoothing), b = scale * W(o.share);
  const W a = o.given ? W(0) : c + (o.smoothing != 0 ? b * kept[1] : W(0));
  const W top = o.given ? W(0) : gc_greatest(kept, p.at[4]);
  const W log_sum = o.given ? W(0) : gc_logarithm(kept, p.at[4], t);
  long long j = blockIdx.y * t.span + threadIdx.y;
  gc_place q = p;
  for (; p.left > 0; p.left -= many) {
    W v[many];
    if (counts && !o.given)
      gc_read<many>(v, p, t, [=](const gc_place &here) { return W(*(const T *)(x + here.at[0])); });
#pragma unroll
    for (int k = 0; k < many; ++k) {
      if (k < p.left) {
        W d = 0;
        if (counts) {
          if (!o.given) d = a * exp(v[k] - top - log_sum);
          if (b != W(0)) d -= b * (weight ? W(weight[j]) : W(1));
          if (j == label) d -= c;
        }
        *(T *)(dx + q.at[3]) = T(d);
      }
      q.next<true>(t);
      j += blockDim.y;
    }
  }
}
"""
)

_TYPES: Final = [{"T": t, "L": label} for t in REAL for label in ("int64", "uint8")]
_CROSS_ENTROPY: Final = RawKernel("gc_cross_entropy", _FORWARD, _TYPES)
_CROSS_ENTROPY_TOTAL: Final = RawKernel("gc_cross_entropy_total", _TOTAL, [{"T": t} for t in REAL])
_CROSS_ENTROPY_BACKWARD: Final = RawKernel("gc_cross_entropy_backward", _BACKWARD, _TYPES)

_SHARE: Final = 16
_BLOCK: Final = 256
# The blocks of several waves, so that all multiprocessors end at about the same time; one block
# adds up what they found.
_MOST_BLOCKS: Final = 4096
# The backward may cut rows of this many elements into parts, which need not be joined.
_FEW: Final = 16384

# weight, ignored label, label smoothing, reduction, whether the scores are log-probabilities
Options: TypeAlias = tuple[Array | None, int, float, str, bool]

_WORK: Final = {np.dtype(t): np.dtype(ACCUMULATOR[t]) for t in REAL}

_functions: Final[dict[Any, Any]] = {}


def _function(kernel: RawKernel, *dtypes: Any) -> Any:
    found = _functions.get((kernel, dtypes))
    if found is None:
        found = launcher(kernel, *(dtype.name for dtype in dtypes))
        _functions[kernel, dtypes] = found
    return found


class _Plan(NamedTuple):
    """The arguments of a launch, but for the arrays; there is none for no rows."""

    grid: tuple[int, ...]
    block: tuple[int, int, int]
    choice: Any
    tiles: Any


def _choice(
    classes: int, rounds: int, ignored: int, smoothing: float, reduction: str, given: bool
) -> Any:
    numbers = np.array([smoothing, smoothing / max(1, classes)]).view(np.int64)
    reduced, mean = reduction != "none", reduction == "mean"
    return argument(ignored, given, reduced, mean, rounds, *numbers)


def _strides(
    strides: tuple[int, ...], dim: int, rows: tuple[int, ...], *others: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """Strides of the scores, of arrays without the classes, and of the number of the row."""
    without = (*others, row_major(rows))
    return [strides, *((*s[:dim], 0, *s[dim:]) for s in without)]


@functools.lru_cache(maxsize=1024)
def _forward_plan(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    rows: tuple[int, ...],
    of_labels: tuple[int, ...],
    options: tuple[int, float, str, bool],
) -> _Plan | None:
    dim = 1 if len(shape) > 1 else 0
    if 0 in rows:
        return _Plan((0,), (1, 1, 1), _choice(1, 1, *options), None)
    found = tiles(shape, (dim,), _SHARE, _BLOCK, None, *_strides(strides, dim, rows, of_labels))
    if found is None:
        return None
    blocks = found.grid[0]
    if options[2] != "none":
        blocks = min(blocks, _MOST_BLOCKS)
    choice = _choice(shape[dim], -(-found.grid[0] // blocks), *options)
    return _Plan((blocks,), found.block, choice, found.argument)


@functools.lru_cache(maxsize=1024)
def _backward_plan(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    rows: tuple[int, ...],
    of_labels: tuple[int, ...],
    of_g: tuple[int, ...],
    of_dx: tuple[int, ...],
    options: tuple[int, float, str, bool],
) -> _Plan | None:
    dim = 1 if len(shape) > 1 else 0
    if options[2] != "none":
        of_g = (0,) * len(rows)
    scores, labels, g, row = _strides(strides, dim, rows, of_labels, of_g)
    found = tiles(shape, (dim,), _SHARE, _BLOCK, _FEW, scores, labels, g, of_dx, row)
    if found is None:
        return None
    return _Plan(found.grid, found.block, _choice(shape[dim], 1, *options), found.argument)


def cross_entropy(
    x: Array, labels: Array, divisor: None, kept: list[Array] | None, options: Options
) -> Array:
    """Return the cross-entropy in one launch; a mean or sum over more than a block in two.

    Args:
        x: Scores, `(n, c, *)` or `(c,)`; float16 (calculated in float32), float32 or float64.
        labels: The number of the class, `(n, *)` or `()`; int64 or uint8.
        divisor: None.
        kept: Gets what the backward needs; None if there is none.
        options: The weight of each class, `(c,)` and of the dtype of `x`, or None; the label that
            does not count; the part of the probability that all classes share; `"none"`, `"sum"`
            or `"mean"`, which is divided by the sum of the weights; whether `x` are
            log-probabilities, as for `nll_loss`.

    Returns:
        The dtype of `x`; the shape of `labels` or 0-d. NaN where a label is no class.
    """
    weight, *_, reduction, given = options
    rows = labels.shape
    plan = _forward_plan(x.shape, x.strides, rows, labels.strides, options[1:])
    if plan is None:
        x, labels = cupy.ascontiguousarray(x), cupy.ascontiguousarray(labels)
        return cross_entropy(x, labels, divisor, kept, options)
    summed = reduction != "none"
    dtype = x.dtype
    loss = empty(() if summed else rows, dtype)
    saved = part = NULL
    if kept is not None:
        saved = empty((2 if given else 2 + 2 * labels.size,), _WORK[dtype])
        kept.append(saved)
    (blocks,) = plan.grid
    if summed and blocks > 1:
        part = empty((2 * blocks,), _WORK[dtype])
    if blocks:
        factors = NULL if weight is None else cupy.ascontiguousarray(weight)
        launch = _function(_CROSS_ENTROPY, dtype, labels.dtype)
        arrays = x, labels, factors, loss, saved, part
        launch(plan.grid, plan.block, (*arrays, plan.choice, plan.tiles))
    if summed and blocks != 1:
        launch = _function(_CROSS_ENTROPY_TOTAL, dtype)
        launch((1,), (1024,), (part, blocks, loss, saved, plan.choice))
    return loss


def cross_entropy_backward(
    wanted: tuple[bool], g: Array, x: Array, labels: Array, kept: list[Array], options: Options
) -> tuple[Array]:
    """Return the gradient of the scores in one launch.

    Args:
        wanted: (True,).
        g: The shape and dtype of the result.
        x: As for `cross_entropy`.
        labels: As for `cross_entropy`.
        kept: What the forward put there.
        options: As for `cross_entropy`.

    Returns:
        The shape and dtype of `x`; NaN in the rows of labels that are no class.
    """
    weight = options[0]
    dx = empty(x.shape, x.dtype) if x._c_contiguous else cupy.empty_like(x)
    if not dx.size:
        return (dx,)
    layout = x.shape, x.strides, labels.shape, labels.strides, g.strides, dx.strides
    plan = _backward_plan(*layout, options[1:])
    if plan is None:
        x, labels, g = (cupy.ascontiguousarray(a) for a in (x, labels, g))
        return cross_entropy_backward(wanted, g, x, labels, kept, options)
    factors = NULL if weight is None else cupy.ascontiguousarray(weight)
    launch = _function(_CROSS_ENTROPY_BACKWARD, x.dtype, labels.dtype)
    arrays = x, labels, g, dx, factors, kept[0]
    launch(plan.grid, plan.block, (*arrays, plan.choice, plan.tiles))
    return (dx,)


# -(x * y).sum(dim) / scalar
_SOFT: Final = Reduction(
    "gc_soft_cross_entropy",
    "T x, T y",
    value_types(complex_too=False),
    term="A(x) * A(y)",
    join="a + b",
    result="-a / A(scalar)",
)


def soft_cross_entropy(x: Array, target: Array, dim: int, divisor: float | None) -> Array:
    """Return minus the sum of log-probabilities times probabilities, in one launch or two.

    Args:
        x: Log-probabilities; float16, float32 or float64.
        target: Probabilities, of the shape and dtype of `x`.
        dim: The axis of the classes.
        divisor: Of the sum over all; None for the sums over the classes.
    """
    if divisor is None:
        return _SOFT(x, target, dim=(dim,), scalar=1.0)
    return _SOFT(x, target, dim=tuple(range(x.ndim)), scalar=divisor)


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    raw = _CROSS_ENTROPY, _CROSS_ENTROPY_TOTAL, _CROSS_ENTROPY_BACKWARD
    return [*_SOFT.kernels(), *((kernel, types) for kernel in raw for types in kernel.types)]
