"""Reductions that fill the device, and elementwise kernels that follow memory order.

CuPy's own reductions give each block of 512 threads a few *outputs*: a full reduction of two arrays
then runs as one block, a sum over the first axis of `(156250, 64)` as two. `Reduction` lays its
threads as `tiles.py` says: in one launch, or two where there are few outputs of many elements.
Sums are made in a fixed order.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, final

import cupy
import numpy as np

from gradcore_kernels.raw import RawKernel
from gradcore_kernels.tiles import NULL, TILES, Steps, Tiles, launcher, lay, row_major, tiles

# CuPy is not typed: a cupy.ndarray, and an ElementwiseKernel or ReductionKernel.
Array: TypeAlias = Any
Kernel: TypeAlias = Any

_SOURCE: Final = r"""
#include <cupy/math_constants.h>
typedef gc_types<T>::work W;
STATE
__device__ inline gc_state gc_identity() { return IDENTITY; }
__device__ inline gc_state gc_join(gc_state a, gc_state b) { return JOIN; }
struct gc_joining {
  __device__ gc_state operator()(const gc_state &a, const gc_state &b) const {
    return gc_join(a, b);
  }
};

struct gc_values { VALUES };

// Reduces what is left from place p on, with several loads under way at once and four chains of
// joins. `read` reads the values at a place, `term` makes a state of them.
template <class V, bool one, class Read, class Term>
__device__ gc_state gc_over(gc_place p, const gc_tiles &t, Read read, Term term) {
  const int chains = 4;
  const int loads = sizeof(V) >= 16 ? 2 : sizeof(V) >= 8 || ARRAYS > 2 ? 4 : 8;
  gc_state a[chains];
#pragma unroll
  for (int k = 0; k < chains; ++k) a[k] = gc_identity();
  for (; p.left > 0; p.left -= loads) {
    const int here = p.left < loads ? p.left : loads;
    V v[loads];
#pragma unroll
    for (int k = 0; k < loads; ++k) {
      if (k < here) v[k] = read(p);
      p.template next<one>(t);
    }
#pragma unroll
    for (int k = 0; k < loads; ++k)
      if (k < here) a[k % chains] = gc_join(a[k % chains], term(v[k]));
  }
#pragma unroll
  for (int width = chains / 2; width; width /= 2)
#pragma unroll
    for (int k = 0; k < width; ++k) a[k] = gc_join(a[k], a[k + width]);
  return a[0];
}

// Reduces the arrays to `out`, or, if the reduced axes are in parts, to `to`, and then `from` that.
extern "C" __global__ void __launch_bounds__(1024) NAME(
    POINTERS, const gc_state *from, gc_state *to, U *out, const double scalar, const gc_tiles t) {
  const gc_place p(t, (long long)blockIdx.x * blockDim.z + threadIdx.z);
  gc_state a;
  if (from) {
    const auto read = [=](const gc_place &here) { return from[here.at[0]]; };
    a = gc_over<gc_state, true>(p, t, read, [=](const gc_state &v) { return v; });
  } else {
    const auto read = [=](const gc_place &here) { return gc_values{READS}; };
    const auto term = [=](const gc_values &v) -> gc_state {
      UNPACKED
      return TERM;
    };
    a = t.fast == t.n ? gc_over<gc_values, true>(p, t, read, term)
                      : gc_over<gc_values, false>(p, t, read, term);
  }
  a = gc_together(a, gc_joining());
  if (!p.inside || threadIdx.y) return;
  if (to) {
    to[blockIdx.y * t.outer * t.inner + p.output] = a;
  } else {
    out[p.at[ARRAYS - 1]] = U(RESULT);
  }
}
"""

_SHARE: Final = 16
_BLOCK: Final = 256
# One block of 1024 threads meets this many in two rounds of eight loads, some 2 us; a second launch
# costs more.
_FEW: Final = 16384

# cupy.ndarray(shape, dtype) with one frame of Python less.
_new: Final = cupy.ndarray.__mro__[1].__new__
_init: Final = cupy.ndarray._init
_ndarray: Final = cupy.ndarray


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return `cupy.empty(shape, dtype)`, in half the host time."""
    array = _new(_ndarray)
    _init(array, shape, dtype)
    return array


@final
class Reduction:
    """One reduction over any axes of arrays of any strides.

    Args:
        name: The kernel's name.
        arrays: A letter and a name for each array: `"T x, U y"`.
        types: The dtypes of the letters, once for each choice: `T` of the values, `U` of the
            result, `A` of what is accumulated.
        term: What is reduced, a `gc_state`, from the arrays' names.
        join: How the states `a` and `b` become one.
        identity: The neutral element of `join`.
        result: The result, from the state `a`, the double `scalar` and the number `t.count` of the
            elements that were reduced.
        state: Defines `gc_state` where that is not `A`.
        words: How many `A` a `gc_state` takes up at most.
    """

    __slots__ = ("_functions", "_kernel", "_words")

    def __init__(
        self,
        name: str,
        arrays: str,
        types: Sequence[Mapping[str, str]],
        *,
        term: str,
        join: str,
        identity: str = "0",
        result: str = "a",
        state: str = "typedef A gc_state;",
        words: int = 1,
    ) -> None:
        parameters = [parameter.split() for parameter in arrays.split(",")]
        source = TILES.replace("ARRAYS", str(len(parameters) + 1)) + _SOURCE
        for word, text in {
            "STATE": state,
            "IDENTITY": identity,
            "JOIN": join,
            "NAME": name,
            "POINTERS": ", ".join(f"const char *{n}_" for _, n in parameters),
            "VALUES": " ".join(f"{letter} {n};" for letter, n in parameters),
            "READS": ", ".join(
                f"*reinterpret_cast<const {letter} *>({n}_ + here.at[{k}])"
                for k, (letter, n) in enumerate(parameters)
            ),
            "UNPACKED": " ".join(f"const {letter} {n} = v.{n};" for letter, n in parameters),
            "TERM": term,
            "RESULT": result,
            "ARRAYS": str(len(parameters) + 1),
        }.items():
            source = source.replace(word, text)
        self._kernel = RawKernel(name, source, types)
        self._words = words
        self._functions: dict[Any, tuple[Any, Any, int]] = {}

    def __call__(
        self,
        *arrays: Array,
        dim: tuple[int, ...],
        keepdim: bool = False,
        shape: tuple[int, ...] | None = None,
        scalar: float = 0.0,
    ) -> Array:
        """Reduce arrays of one shape.

        Args:
            arrays: The first one's dtype decides on all letters.
            dim: The axes, sorted, none negative.
            keepdim: Whether they stay, with length 1.
            shape: That of the result, where it has other axes of length 1 than `keepdim` says.
            scalar: For the result.
        """
        x = arrays[0]
        found = self._functions.get(x.dtype)
        if found is None:
            found = self._function(x.dtype)
        launch, dtype, size = found
        plan = _plan(
            x.shape, dim, keepdim if shape is None else shape, *[a.strides for a in arrays]
        )
        out = empty(plan.shape, dtype)
        first = plan.first
        if first is None:
            if out.size:
                order = (*(d for d in range(x.ndim) if d not in dim), *dim)
                arrays = tuple([cupy.ascontiguousarray(a.transpose(order)) for a in arrays])
                dim = tuple(range(x.ndim - len(dim), x.ndim))
                return self(*arrays, dim=dim, shape=plan.shape, scalar=scalar)
        elif plan.second is None:
            launch(first.grid, first.block, (*arrays, NULL, NULL, out, scalar, first.argument))
        else:
            part = empty((first.grid[1] * out.size * size,), np.uint8)
            given = (*arrays, NULL, part, out, scalar, first.argument)
            launch(first.grid, first.block, given)
            second = plan.second
            given = (*arrays, part, NULL, out, scalar, second.argument)
            launch(second.grid, second.block, given)
        return out

    def _function(self, dtype: Any) -> tuple[Any, Any, int]:
        """The launcher for arrays of `dtype`, the dtype of the result, the bytes of a state."""
        for types in self._kernel.types:
            if types["T"] == dtype:
                launch = launcher(self._kernel, *types.values())
                size = self._words * np.dtype(types["A"]).itemsize
                found = self._functions[dtype] = launch, np.dtype(types["U"]), size
                return found
        raise TypeError(f"{self._kernel.name} is not made for {dtype}")

    def kernels(self) -> list[tuple[RawKernel, dict[str, str]]]:
        """Return the kernel with the dtypes of its letters, once for each choice."""
        return [(self._kernel, types) for types in self._kernel.types]


@final
class _Plan:
    """The shape of the result, and one or two launches; none where there is nothing to compute.

    There is none either where the axes cannot be merged.
    """

    __slots__ = ("first", "second", "shape")

    def __init__(self, shape: tuple[int, ...], first: Tiles | None, second: Tiles | None) -> None:
        self.shape = shape
        self.first = first
        self.second = second


@functools.lru_cache(maxsize=4096)
def _plan(
    shape: tuple[int, ...],
    dim: tuple[int, ...],
    keepdim: bool | tuple[int, ...],
    *strides: tuple[int, ...],
) -> _Plan:
    kept = tuple([n for d, n in enumerate(shape) if d not in dim])
    out = keepdim if isinstance(keepdim, tuple) else reduced_shape(shape, dim, keepdim)
    if 0 in kept:
        return _Plan(out, None, None)
    steps = iter(row_major(kept))
    out_strides = tuple([0 if d in dim else next(steps) for d in range(len(shape))])
    first = tiles(shape, dim, _SHARE, _BLOCK, _FEW, *strides, out_strides)
    if first is None or first.grid[1] == 1:
        return _Plan(out, first, None)
    splits, outer, inner = first.grid[1], first.outer, first.inner
    found = Steps(outer=inner, inner=1, fast=outer * inner)
    second = lay(
        outer,
        inner,
        splits,
        splits,
        [*[found] * len(strides), first.steps[-1]],
        inner > 1,
        _SHARE,
        _BLOCK,
        None,
        count=first.reduced,
    )
    return _Plan(out, first, second)


def reduced_shape(shape: tuple[int, ...], dim: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    """Return the shape of a reduction over the axes `dim`."""
    if keepdim:
        return tuple(1 if d in dim else n for d, n in enumerate(shape))
    if len(dim) == len(shape):
        return ()
    return tuple(n for d, n in enumerate(shape) if d not in dim)


def with_reduced_axes(a: Array, ndim: int, dim: tuple[int, ...], keepdim: bool) -> Array:
    """Return a view of a reduction's result that broadcasts against what was reduced."""
    if keepdim or a.ndim == 0:
        return a
    return a[tuple(None if d in dim else slice(None) for d in range(ndim))]


def memory_order(arrays: Sequence[Array]) -> tuple[int, ...] | None:
    """Return the axes by decreasing stride, or None where the order of the axes is as good."""
    if any(a.flags.c_contiguous for a in arrays):
        return None
    strides = arrays[0].strides
    return tuple(sorted(range(len(strides)), key=lambda d: -abs(strides[d])))


def in_memory_order(
    kernel: Kernel, whole: Sequence[Array], small: Sequence[Array], *scalars: float
) -> Array:
    """Call an elementwise kernel so that neighbouring threads meet neighbouring elements.

    Args:
        kernel: An `ElementwiseKernel`.
        whole: The first inputs, all of the full shape.
        small: The next inputs, 0-d or with axes of length 1 where they broadcast.
        scalars: The last inputs.

    Returns:
        What the kernel returns: arrays of the full shape. For a transposed input they are
        transposed too.
    """
    axes = memory_order(whole)
    if axes is None:
        return kernel(*whole, *small, *scalars)
    outputs = kernel(
        *(a.transpose(axes) for a in whole),
        *(a.transpose(axes) if a.ndim else a for a in small),
        *scalars,
    )
    back = sorted(range(len(axes)), key=axes.__getitem__)
    if isinstance(outputs, tuple):
        return tuple(a.transpose(back) for a in outputs)
    return outputs.transpose(back)
