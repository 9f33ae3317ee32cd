"""Elements by their places, and the adjoint: values summed where several have one place.

An index names places of some axes. Taken together as one axis of length `n`, an array is
`(outer, n, inner)`, and what is taken from it, or put into it, `(outer, m, inner)`. The places are
`(m,)`, whole rows of `inner` elements; or *along* the axis, `(outer, m, inner)`, one per element.

Sums keep the order of the values, so that two runs give the same bits, in one of three ways:

* few places: every value looks for others of its place, and the first of them sums them all;
* many fibers along the axis: one thread adds up a fiber's values, one after the other;
* else the places are sorted (stably), and fixed chunks of sorted values are summed, one thread per
  chunk and column. Runs of one place that cross chunks leave partial sums, which are sorted values
  in their turn: the same kernel sums them, until there is one chunk. So no run is ever one
  thread's work, and none needs a block of its own.

Integers add up exactly in any order, so theirs are atomic additions; and those of the other types
where `follow` was told that the order need not be kept. float16 is summed in float32, and rounded
once. A place beyond the axis wraps around (-1 is the last one, `n` the first), as in CuPy.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import cupy
import numpy as np

from gradcore_kernels.cuda_types import COMPLEX, REAL, REAL_COUNTERPART
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Array, Kernel

Shape: TypeAlias = tuple[int, ...]

_BLOCK: Final = 256
# So many places are compared with each other; more are sorted.
_FEW: Final = 32
# So many fibers keep the device busy with one thread for each.
_MANY_FIBERS: Final = 8192
# Sorted values that one thread sums.
_CHUNK: Final = 32
# From this row length on, neighbouring threads take neighbouring columns.
_WIDE: Final = 8

# A place that is none; in C++ no literal is that low.
_NOWHERE: Final = -(1 << 63)
_NO_SKIP: Final = f"({_NOWHERE + 1} - 1)"

# The place that `k` means on an axis of length n > 0; n where it, or what it means, is `skip`.
_PLACE: Final = """
__device__ long long gc_place(long long k, long long n, long long skip) {
  if (k == skip) return n;
  if (k >= 0 && k < n) return k;
  k = k < 0 && k >= -n ? k + n : k % n;
  if (k < 0) k += n;
  return k == skip ? n : k;
}
"""

# Two axes as one.
_PLACES: Final = cupy.ElementwiseKernel(
    "I first, J second, int64 n_first, int64 n_second",
    "int64 place",
    f"""
    place = gc_place(first, n_first, {_NO_SKIP}) * n_second + gc_place(second, n_second, {_NO_SKIP})
    """,
    "gc_places",
    preamble=_PLACE,
)

_PLACES_OF_MASK: Final = cupy.ElementwiseKernel(
    "bool mask, int64 count",
    "int64 place",
    f"place = mask ? count - 1 : {_NO_SKIP}",
    "gc_places_of_mask",
)

# What is sorted: the places as numbers of the output's rows, or of its elements along the axis.
_KEYS: Final = cupy.ElementwiseKernel(
    "I index, int64 n, int64 skip, int64 span, int64 inner",
    "K key",
    "key = K((i / span * n + gc_place(index, n, skip)) * inner + i % inner)",
    "gc_keys",
    preamble=_PLACE,
)

_KEY_TYPES: Final = ("uint16", "uint32", "uint64")
_INDEX_TYPES: Final = ("int32", "int64")

# By element size: copies move bits, in the widest words that rows consist of.
_WORDS: Final = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64", 16: "complex128"}

_TAKE: Final = RawKernel(
    "gc_take",
    _PLACE
    + """
template <int size> struct gc_word;
template <> struct gc_word<1> { typedef unsigned char type; };
template <> struct gc_word<2> { typedef unsigned short type; };
template <> struct gc_word<4> { typedef unsigned int type; };
template <> struct gc_word<8> { typedef unsigned long long type; };
template <> struct gc_word<16> { typedef int4 type; };
typedef gc_word<sizeof(V)>::type B;

extern "C" __global__ void gc_take(
    const B* x, const I* index, B* out, long long n, long long m, long long inner,
    long long rows, long long along, long long skip) {
  for (long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y; row < rows;
       row += (long long)gridDim.x * blockDim.y) {
    const long long o = rows == m ? 0 : row / m;
    for (long long c = (long long)blockIdx.y * blockDim.x + threadIdx.x; c < inner;
         c += (long long)gridDim.y * blockDim.x) {
      const long long place = gc_place(index[along ? row * inner + c : row - o * m], n, skip);
      out[row * inner + c] = place < n ? x[(o * n + place) * inner + c] : B();
    }
  }
}
""",
    [{"V": word, "I": i} for word in _WORDS.values() for i in _INDEX_TYPES],
)

_TAKE_STRIDED: Final = cupy.ElementwiseKernel(
    "raw V x, int64 index, int64 n, int64 span, int64 inner",
    "V out",
    f"""
    const long long place = gc_place(index, n, {_NO_SKIP});
    out = x[(i / span * n + place) * inner + i % inner];
    """,
    "gc_take_strided",
    preamble=_PLACE,
)

_PUT_FEW: Final = RawKernel(
    "gc_put_few",
    _PLACE
    + """
typedef gc_types<T>::work W;

extern "C" __global__ void gc_put_few(
    const T* v, const I* index, T* out, long long n, long long m, long long inner,
    long long rows, long long along, long long skip, long long add) {
  for (long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y; row < rows;
       row += (long long)gridDim.x * blockDim.y) {
    const long long o = row / m, l = row - o * m;
    for (long long c = (long long)blockIdx.y * blockDim.x + threadIdx.x; c < inner;
         c += (long long)gridDim.y * blockDim.x) {
      const I* places = along ? index + o * m * inner + c : index;
      const long long step = along ? inner : 1;
      const long long place = gc_place(places[l * step], n, skip);
      bool first = place < n;
      for (long long j = 0; first && j < l; ++j)
        first = gc_place(places[j * step], n, skip) != place;
      if (!first) continue;
      W sum = W(v[row * inner + c]);
      for (long long j = l + 1; j < m; ++j)
        if (gc_place(places[j * step], n, skip) == place) sum += W(v[(o * m + j) * inner + c]);
      T* to = out + (o * n + place) * inner + c;
      *to = T(add ? W(*to) + sum : sum);
    }
  }
}
""",
    [{"T": t, "I": i} for t in REAL + COMPLEX for i in _INDEX_TYPES],
)

# `out` is of a type S in which V adds up without rounding in between.
_PUT_FIBERS: Final = RawKernel(
    "gc_put_fibers",
    _PLACE
    + """
extern "C" __global__ void gc_put_fibers(
    const V* v, const long long* index, S* out, long long n, long long m, long long inner,
    long long fibers, long long skip) {
  const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= fibers) return;
  const long long o = t / inner, c = t - o * inner;
  for (long long l = 0; l < m; ++l) {
    const long long at = (o * m + l) * inner + c;
    const long long place = gc_place(index[at], n, skip);
    if (place < n) out[(o * n + place) * inner + c] += S(v[at]);
  }
}
""",
    [{"V": t, "S": "float32" if t == "float16" else t} for t in REAL + COMPLEX],
)

# Values of type V in sorted order: row `order[j]` of `v`, or row j where `order` is null. Each run
# of equal keys is summed. Runs that lie in one chunk go to `out`; of a run that crosses chunks each
# chunk leaves a partial sum: of a run that came in from the chunk before in `part[2 * chunk]`, of
# one that began here and goes on in `part[2 * chunk + 1]`. A run that fills the chunk leaves its
# sum and a zero, so that the partial sums of a run stand side by side. The key `nowhere` stands
# where there is none.
_PUT_SORTED: Final = RawKernel(
    "gc_put_sorted",
    """
typedef gc_types<T>::work W;

extern "C" __global__ void gc_put_sorted(
    const V* v, const K* keys, const long long* order, T* out, W* part, K* part_keys,
    long long count, long long chunk_size, long long columns, long long inner, long long wide,
    long long v_outer, long long v_row, long long n, long long nowhere, long long add) {
  const long long chunks = (count + chunk_size - 1) / chunk_size;
  const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= chunks * columns) return;
  const long long chunk = wide ? t / columns : t % chunks;
  const long long column = wide ? t % columns : t / chunks;
  const long long o = column / inner, c = column - o * inner;
  const V* values = v + o * v_outer + c;
  T* to = out + o * n * inner + c;
  const long long begin = chunk * chunk_size;
  const long long end = begin + chunk_size < count ? begin + chunk_size : count;
  const K none = K(nowhere);

  K key = keys[order ? order[begin] : begin];
  bool came_in = begin > 0 && keys[order ? order[begin - 1] : begin - 1] == key;
  K head = none, tail = none;
  W head_sum = W(0), tail_sum = W(0), sum = W(0);
  for (long long j = begin; j < end; ++j) {
    const long long row = order ? order[j] : j;
    const K next = keys[row];
    if (next != key) {
      if (came_in) {
        head = key;
        head_sum = sum;
        came_in = false;
      } else if (key != none) {
        T* at = to + (long long)key * inner;
        *at = T(add ? W(*at) + sum : sum);
      }
      key = next;
      sum = W(0);
    }
    if (key != none) sum += W(values[row * v_row]);
  }
  const bool goes_on = end < count && keys[order ? order[end] : end] == key;
  if (came_in) {
    head = key;
    head_sum = sum;
    if (goes_on) tail = key;
  } else if (goes_on) {
    tail = key;
    tail_sum = sum;
  } else if (key != none) {
    T* at = to + (long long)key * inner;
    *at = T(add ? W(*at) + sum : sum);
  }
  if (chunks == 1) return;
  part[2 * chunk * columns + column] = head_sum;
  part[(2 * chunk + 1) * columns + column] = tail_sum;
  if (column == 0) {
    part_keys[2 * chunk] = head;
    part_keys[2 * chunk + 1] = tail;
  }
}
""",
    [
        {"V": v, "T": t, "K": k}
        for v, t in [("float32", "float16"), *((t, t) for t in REAL + COMPLEX)]
        for k in _KEY_TYPES
    ],
)

# The type of the atomic additions. Of integers the lower bits are right whatever the type.
_ATOMIC: Final = {
    **dict.fromkeys(("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32"), "int32"),
    **dict.fromkeys(("int64", "uint64"), "uint64"),
    "float16": "float32",
    "float32": "float32",
    "float64": "float64",
}

# A complex number is two elements, `parts`, with one place.
_PUT_ATOMIC: Final = RawKernel(
    "gc_put_atomic",
    _PLACE
    + """
extern "C" __global__ void gc_put_atomic(
    const V* v, const long long* index, S* out, long long n, long long m, long long inner,
    long long rows, long long along, long long skip, long long parts) {
  for (long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y; row < rows;
       row += (long long)gridDim.x * blockDim.y) {
    const long long o = row / m;
    for (long long c = (long long)blockIdx.y * blockDim.x + threadIdx.x; c < inner;
         c += (long long)gridDim.y * blockDim.x) {
      const long long at = row * inner + c;
      const long long place = gc_place(index[along ? at / parts : row - o * m], n, skip);
      if (place < n) atomicAdd(out + (o * n + place) * inner + c, S(v[at]));
    }
  }
}
""",
    [{"V": v, "S": s} for v, s in _ATOMIC.items()],
)

_deterministic: Callable[[], bool] = lambda: True
_checked: Callable[[], bool] = lambda: False


def follow(deterministic: Callable[[], bool], checked: Callable[[], bool]) -> None:
    """Ask these functions, call by call, how to work.

    Args:
        deterministic: Whether sums keep the order of the values.
        checked: Whether places are checked, which waits for the device.
    """
    global _deterministic, _checked
    _deterministic, _checked = deterministic, checked


# indices ---------------------------------------------------------------------------------------


def _is_basic(index: Any) -> bool:
    items = index if isinstance(index, tuple) else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, int | slice | np.integer) for i in items)


def _arrays_of(index: Any, shape: Shape) -> tuple[list[int], list[Array]] | None:
    """Return the axes that have an array, and the arrays; None if there is anything else.

    A mask has the first of its axes.

    Raises:
        IndexError: A mask has not the shape of what it selects from.
    """
    items = index if isinstance(index, tuple) else (index,)
    axes, arrays = [], []
    at = 0
    for item in items:
        if item is Ellipsis:
            used = [i.ndim if _is_mask(i) else 1 for i in items if i is not Ellipsis]
            at += len(shape) - sum(used)
        elif isinstance(item, slice) and item == slice(None):
            at += 1
        elif isinstance(item, cupy.ndarray):
            axes.append(at)
            arrays.append(item)
            if _is_mask(item):
                if shape[at : at + item.ndim] != item.shape:
                    raise IndexError(f"a mask of shape {item.shape} does not fit {shape}")
                at += item.ndim
            else:
                at += 1
        else:
            return None
    return (axes, arrays) if arrays else None


def _is_mask(item: Any) -> bool:
    return isinstance(item, cupy.ndarray) and item.dtype.kind == "b"


def _numbers(index: Array) -> Array:
    """Return an index array as one that the kernels take: int32 or int64."""
    return index if index.dtype.name in _INDEX_TYPES else index.astype(np.int64)


def _check(index: Array, n: int) -> None:
    """Raise where there is nothing to point at, and where asked to, for places out of range.

    Raises:
        IndexError: A place is out of range.
    """
    if not index.size:
        return
    if not n:
        raise IndexError("index is out of bounds for a dimension of size 0")
    if _checked():
        wide = index.astype(np.int64, copy=False)
        if bool(((wide < -n) | (wide >= n)).any()):
            raise IndexError(f"an index is out of bounds for a dimension of size {n}")


class _Axis:
    """The axes that an index names places of, taken together as one, and what is around it.

    Attributes:
        index: The places, int32 or int64.
        n: The length of the axis.
        m: How many places.
        outer: How many elements are before the axis.
        inner: How many are behind it.
        order: The order of the array's axes in which those of the index stand together, or None
            where they do.
        result: The shape of what is taken.
        shape: The array's shape in that order.
    """

    __slots__ = ("index", "inner", "m", "n", "order", "outer", "result", "shape")

    def __init__(self, axes: Sequence[int], arrays: Sequence[Array], shape: Shape) -> None:
        self.order: Shape | None = None
        if _is_mask(arrays[0]) and len(arrays) == 1:
            (mask,), (first,) = arrays, axes
            self.index = mask.ravel().nonzero()[0]
            last = first + mask.ndim
            common = self.index.shape
        else:
            axes, arrays = _without_masks(axes, arrays)
            sizes = [shape[d] for d in axes]
            common = np.broadcast_shapes(*(a.shape for a in arrays))
            if 0 not in common:
                for array, n in zip(arrays, sizes, strict=True):
                    _check(array, n)
            first, last = axes[0], axes[-1] + 1
            if last - first != len(axes):
                self.order = (*axes, *(d for d in range(len(shape)) if d not in axes))
                shape = tuple(shape[d] for d in self.order)
                first, last = 0, len(axes)
            self.index = _numbers(arrays[0])
            if 0 not in common:
                so_far = sizes[0]
                for array, n in zip(arrays[1:], sizes[1:], strict=True):
                    self.index = _PLACES(self.index, _numbers(array), so_far, n)
                    so_far *= n
        self.shape = shape
        self.result = shape[:first] + common + shape[last:]
        self.n = math.prod(shape[first:last])
        self.m = math.prod(common)
        self.outer = math.prod(shape[:first])
        self.inner = math.prod(shape[last:])


def _without_masks(axes: Sequence[int], arrays: Sequence[Array]) -> tuple[list[int], list[Array]]:
    found_axes: list[int] = []
    found: list[Array] = []
    for axis, array in zip(axes, arrays, strict=True):
        places = array.nonzero() if _is_mask(array) else (array,)
        found += places
        found_axes += range(axis, axis + len(places))
    return found_axes, found


def _along(indices: Array, n: int, axis: int) -> tuple[int, int, int]:
    """Return `outer`, `m` and `inner` of an array of places along an axis of length `n`."""
    axis %= indices.ndim
    _check(indices, n)
    shape = indices.shape
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


# taking ----------------------------------------------------------------------------------------


def _grid(rows: int, columns: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return a grid and a block whose threads' x runs over columns, and y over rows."""
    across = min(_BLOCK, 1 << (columns - 1).bit_length())
    down = _BLOCK // across
    grid = (min(-(-rows // down), (1 << 31) - 1), min(-(-columns // across), 65535))
    return grid, (across, down)


def _take(
    x: Array, index: Array, n: int, outer: int, m: int, inner: int, *, along: bool = False
) -> Array:
    """Return the elements of `x`, `(outer, n, inner)`, at the places `index`; flat.

    Where the place is `_NOWHERE`, and `x` contiguous, they are 0.
    """
    out = cupy.empty(outer * m * inner, x.dtype)
    if not out.size:
        return out
    index = cupy.ascontiguousarray(index)
    if not x.flags.c_contiguous:
        word = _WORDS[x.dtype.itemsize]
        if not along:
            index = index.reshape(1, m, 1)
        _TAKE_STRIDED(
            x.view(word),
            index.reshape(outer, m, inner) if along else index.astype(np.int64, copy=False),
            n,
            m * inner,
            inner,
            out.view(word).reshape(outer, m, inner),
        )
        return out
    size = x.dtype.itemsize
    if along:
        x = x if x.data.ptr % size == 0 else x.copy()
    else:
        # Rows may be copied in words of several elements, or of half a complex number.
        aligned = math.gcd(inner * size, x.data.ptr, out.data.ptr, 16)
        inner, size = inner * size // aligned, aligned
    grid, block = _grid(outer * m, inner)
    kernel = _TAKE(_WORDS[size], index.dtype.name)
    kernel(grid, block, (x, index, out, n, m, inner, outer * m, int(along), _NOWHERE))
    return out


def getitem(x: Array, index: Any) -> Array:
    """Return `x[index]`: a view for ints, slices, None and Ellipsis, else a copy.

    Integer arrays take one launch (one more per further array), and no synchronisation. A mask
    waits for the device, which must say how many places it has.

    Raises:
        IndexError: A place is out of range and places are checked; or there are none.
    """
    found = _arrays_of(index, x.shape)
    if found is None or (_is_mask(found[1][0]) and found[1][0].ndim == x.ndim):
        return x[index]
    axis = _Axis(*found, x.shape)
    if axis.order is not None:
        x = x.transpose(axis.order)
    y = _take(x, axis.index, axis.n, axis.outer, axis.m, axis.inner)
    return y.reshape(axis.result)


def take_along_axis(x: Array, indices: Array, axis: int) -> Array:
    """Return along an axis the elements at the places `indices`, in one launch.

    Args:
        x: At least of the shape of `indices` in all other dimensions; what is beyond is unused.
        indices: Integers, of as many dimensions as `x`.
        axis: The axis.
    """
    axis %= x.ndim
    x = x[tuple(slice(None) if d == axis else slice(n) for d, n in enumerate(indices.shape))]
    n = x.shape[axis]
    outer, m, inner = _along(indices, n, axis)
    y = _take(x, _numbers(indices), n, outer, m, inner, along=True)
    return y.reshape(indices.shape)


def embedding(weight: Array, index: Array, padding: int | None, scale: bool) -> Array:
    """Return rows of `weight`, `(n, size)`, in one launch; see `embedding_backward`."""
    n, size = weight.shape
    _check(index, n)
    y = _take(weight, _numbers(index), n, 1, index.size, size)
    return y.reshape(*index.shape, size)


def repeat(x: Array, how: tuple[int, int]) -> Array:
    """Return `x.repeat(count, axis)` for `how` = (count, axis), in one launch."""
    count, axis = how
    before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    wide = cupy.broadcast_to(x.reshape(*before, n, 1, *after), (*before, n, count, *after))
    return wide.copy().reshape(*before, n * count, *after)


# putting ---------------------------------------------------------------------------------------


def _put_atomic(
    v: Array,
    index: Array,
    n: int,
    outer: int,
    m: int,
    inner: int,
    along: bool,
    skip: int,
    base: Array | None,
) -> Array:
    dtype = v.dtype
    parts = 1
    if dtype.kind == "c":
        parts = 2
        v = v.view(REAL_COUNTERPART[dtype.name])
        base = None if base is None else base.view(v.dtype)
    wide = _ATOMIC[v.dtype.name]
    inner *= parts
    size = outer * n * inner
    out = cupy.zeros(size, wide) if base is None else base.astype(wide)
    grid, block = _grid(outer * m, inner)
    index = index.astype(np.int64, copy=False)
    kernel = _PUT_ATOMIC(v.dtype.name, wide)
    kernel(grid, block, (v, index, out, n, m, inner, outer * m, int(along), skip, parts))
    if dtype.kind == "c" or dtype.itemsize == out.itemsize:
        return out.view(dtype)
    return out.astype(dtype)


def _put_fibers(
    v: Array,
    index: Array,
    n: int,
    outer: int,
    m: int,
    inner: int,
    skip: int,
    base: Array | None,
) -> Array:
    wide = "float32" if v.dtype == np.float16 else v.dtype.name
    out = cupy.zeros(outer * n * inner, wide) if base is None else base.astype(wide)
    fibers = outer * inner
    index = index.astype(np.int64, copy=False)
    kernel = _PUT_FIBERS(v.dtype.name, wide)
    kernel((-(-fibers // _BLOCK),), (_BLOCK,), (v, index, out, n, m, inner, fibers, skip))
    return out.astype(v.dtype, copy=False)


def _put_sorted(
    v: Array,
    index: Array,
    n: int,
    outer: int,
    m: int,
    inner: int,
    along: bool,
    skip: int,
    base: Array | None,
    chunk: int,
) -> Array:
    nowhere = outer * n * inner if along else n
    # A sort takes a pass per byte of the keys.
    name = _KEY_TYPES[sum(nowhere > np.iinfo(k).max for k in _KEY_TYPES[:2])]
    span, step = (m * inner, inner) if along else (m, 1)
    keys = _KEYS(index.reshape(-1), n, skip, span, step, cupy.empty(index.size, name))
    if along:
        outer, n, m, inner = 1, nowhere, keys.size, 1
    out = cupy.zeros(outer * n * inner, v.dtype) if base is None else base.copy()
    partial = "float32" if v.dtype == np.float16 else v.dtype.name
    columns, count = outer * inner, m
    source, order, v_outer, v_row = v, cupy.argsort(keys), m * inner, inner
    wide = int(inner >= _WIDE)
    while True:
        chunks = -(-count // chunk)
        part: Any = 0
        part_keys: Any = 0
        if chunks > 1:
            part = cupy.empty((2 * chunks, columns), partial)
            part_keys = cupy.empty(2 * chunks, name)
        _PUT_SORTED(source.dtype.name, v.dtype.name, name)(
            (-(-chunks * columns // _BLOCK),),
            (_BLOCK,),
            (
                *(source, keys, order, out, part, part_keys),
                *(count, chunk, columns, inner, wide, v_outer, v_row),
                *(n, nowhere, int(base is not None)),
            ),
        )
        if chunks == 1:
            return out
        source, keys, order, v_outer, v_row = part, part_keys, 0, inner, columns
        count = 2 * chunks
        wide = int(columns >= _WIDE)


def _put(
    v: Array,
    index: Array,
    n: int,
    outer: int,
    m: int,
    inner: int,
    *,
    along: bool = False,
    skip: int = _NOWHERE,
    base: Array | None = None,
    few: int = _FEW,
    many_fibers: int = _MANY_FIBERS,
    chunk: int = _CHUNK,
) -> Array:
    """Return `base`, or zeros, `(outer, n, inner)`, with `v` added at the places `index`; flat.

    Args:
        v: `(outer, m, inner)`; any dtype.
        index: int32 or int64.
        n: See the module's text.
        outer: Likewise.
        m: Likewise.
        inner: Likewise.
        along: Whether the places are one per element.
        skip: What is put at this place is dropped.
        base: Contiguous, of the dtype of `v`.
        few: So many places are compared with each other.
        many_fibers: So many fibers have a thread each.
        chunk: So many sorted values are one thread's; at least 4.
    """
    if not v.size or not n:
        return cupy.zeros(outer * n * inner, v.dtype) if base is None else base.copy()
    v, index = cupy.ascontiguousarray(v), cupy.ascontiguousarray(index)
    inexact = v.dtype.kind in "fc"
    if inexact and m <= few:
        out = cupy.zeros(outer * n * inner, v.dtype) if base is None else base.copy()
        grid, block = _grid(outer * m, inner)
        rest = (n, m, inner, outer * m, int(along), skip, int(base is not None))
        _PUT_FEW(v.dtype.name, index.dtype.name)(grid, block, (v, index, out, *rest))
        return out
    if not inexact or not _deterministic():
        return _put_atomic(v, index, n, outer, m, inner, along, skip, base)
    if along and outer * inner >= many_fibers:
        return _put_fibers(v, index, n, outer, m, inner, skip, base)
    return _put_sorted(v, index, n, outer, m, inner, along, skip, base, chunk)


def put(v: Array, index: Any, shape: Shape) -> Array:
    """Return zeros of `shape` with `v` added at `index`: the adjoint of `getitem`.

    Synchronises nothing, not even for a mask.

    Args:
        v: The shape of `x[index]` for an `x` of `shape`; any dtype.
        index: As in `getitem`.
        shape: Of the result.
    """
    if _is_basic(index):
        out = cupy.zeros(shape, v.dtype)
        out[index] = v
        return out
    found = _arrays_of(index, shape)
    if found is None:
        # An index of several kinds: as the numbers of the elements that it names.
        numbers = cupy.arange(math.prod(shape)).reshape(shape)[index]
        return _put(v, _numbers(numbers), math.prod(shape), 1, v.size, 1).reshape(shape)
    if _is_mask(found[1][0]) and len(found[1]) == 1:
        return _put_mask(v, found[1][0], found[0][0], shape)
    axis = _Axis(*found, shape)
    out = _put(v, axis.index, axis.n, axis.outer, axis.m, axis.inner).reshape(axis.shape)
    if axis.order is None:
        return out
    back = sorted(range(len(axis.order)), key=axis.order.__getitem__)
    return cupy.ascontiguousarray(out.transpose(back))


def _put_mask(v: Array, mask: Array, axis: int, shape: Shape) -> Array:
    """Return zeros with `v` where `mask` holds: what is taken from `v` at the mask's counts."""
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + mask.ndim :])
    if not v.size:
        return cupy.zeros(shape, v.dtype)
    flat = mask.ravel()
    places = _PLACES_OF_MASK(flat, cupy.cumsum(flat, dtype=np.int64))
    count = v.size // (outer * inner)
    out = _take(cupy.ascontiguousarray(v), places, count, outer, mask.size, inner)
    return out.reshape(shape)


def put_along_axis(v: Array, indices: Array, shape: Shape, axis: int) -> Array:
    """Return zeros of `shape` with `v` added at `indices`: the adjoint of `take_along_axis`.

    Args:
        v: The shape of `indices`; any dtype.
        indices: As in `take_along_axis`.
        shape: Of the result.
        axis: The axis.
    """
    axis %= len(shape)
    return _put_along(v, indices, shape, axis, None)


def _put_along(v: Array, indices: Array, shape: Shape, axis: int, base: Array | None) -> Array:
    n = shape[axis]
    outer, m, inner = _along(indices, n, axis)
    core = tuple(n if d == axis else k for d, k in enumerate(indices.shape))
    part = tuple(slice(k) for k in core)
    if base is not None:
        base = cupy.ascontiguousarray(base)
    start = base if base is None or core == shape else cupy.ascontiguousarray(base[part])
    out = _put(v, _numbers(indices), n, outer, m, inner, along=True, base=start).reshape(core)
    if core == shape:
        return out
    whole = cupy.zeros(shape, v.dtype) if base is None else base.copy()
    whole[part] = out
    return whole


def scatter_add(x: Array, src: Array, index: Array, dim: int) -> Array:
    """Return `x` with `src` added along `dim` at the places `index`, which has its shape."""
    return _put_along(src, index, x.shape, dim, x)


def index_add(x: Array, source: Array, index: Any, alpha: Any) -> Array:
    """Return `x` with `alpha * source` added at `index`, full slices and an integer array."""
    found = _arrays_of(index, x.shape)
    assert found is not None
    if alpha != 1:
        source = source * alpha
    axis = _Axis(*found, x.shape)
    x = cupy.ascontiguousarray(x)
    out = _put(source, axis.index, axis.n, axis.outer, axis.m, axis.inner, base=x)
    return out.reshape(x.shape)


def embedding_backward(
    wanted: tuple[bool],
    g: Array,
    weight_shape: Shape,
    index: Array,
    padding: int | None,
    scale: bool,
) -> tuple[Array | None]:
    """Return the gradient of `weight`: for each row the sum of `g` where it was looked up.

    Args:
        wanted: Whether it is; else None.
        g: `(*, size)`.
        weight_shape: `(n, size)`.
        index: `(*)`, int32 or int64.
        padding: A row that gets none, or None.
        scale: Whether it is divided by how often the row was looked up.
    """
    if not wanted[0]:
        return (None,)
    n, size = weight_shape
    index = _numbers(index)
    skip = _NOWHERE if padding is None else padding % n
    out = _put(g, index, n, 1, index.size, size, skip=skip).reshape(n, size)
    if scale:
        ones = cupy.ones(index.size, np.int32)
        counts = _put(ones, index, n, 1, index.size, 1).reshape(n, 1)
        out /= cupy.maximum(counts, 1).astype(out.dtype)
    return (out,)


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    listed: list[tuple[Kernel | RawKernel, dict[str, str]]] = [(_PLACES_OF_MASK, {})]
    for i in _INDEX_TYPES:
        listed += [(_PLACES, {"I": i, "J": j}) for j in _INDEX_TYPES]
        listed += [(_KEYS, {"I": i, "K": k}) for k in _KEY_TYPES]
    listed += [(_TAKE_STRIDED, {"V": word}) for word in _WORDS.values()]
    for kernel in (_TAKE, _PUT_FEW, _PUT_FIBERS, _PUT_SORTED, _PUT_ATOMIC):
        listed += [(kernel, t) for t in kernel.types]
    return listed
