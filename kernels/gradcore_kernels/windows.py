"""Sums, means and the largest of sliding windows over up to three dimensions, and their adjoints.

One thread computes one element of the result, and goes over what that needs: an element of the
input over the windows that it is in, so that nothing is added from two sides, and two runs give the
same bits. All have the same geometry, six numbers for each dimension: the lengths `l`, the elements
`k` of a window, how many windows `n` there are, and their stride `s`, padding `p` and dilation `d`.
Where there are fewer than three dimensions, the first have length 1.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import cupy
import numpy as np

from gradcore_kernels.cuda_types import PREAMBLE, value_types
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Array, Kernel

Sizes: TypeAlias = tuple[int, ...]
How: TypeAlias = tuple[Sizes, Sizes, Sizes, int]
"""Stride, padding, dilation; groups, which have no say here."""

_GEOMETRY: Final = ", ".join(f"int64 {letter}{dim}" for letter in "lknspd" for dim in range(3))
_REAL: Final = [{"T": t["T"]} for t in value_types(complex_too=False)]
_VALUES: Final = [{"T": t["T"]} for t in value_types(complex_too=True)]


def _apart(letter: str, length: str) -> str:
    """The coordinates `letter0` to `letter2` and the plane of element `i`."""
    steps = "".join(
        f"const long long {letter}{dim} = rest % {length}{dim}; rest /= {length}{dim};\n"
        for dim in (2, 1, 0)
    )
    return f"long long rest = i;\n{steps}const long long plane = rest;\n"


def _over_elements(body: str) -> str:
    """`body` for each element `(x0, x1, x2)` inside the input of the window `(o0, o1, o2)`."""
    loops = "".join(
        f"""
        for (long long j{dim} = 0; j{dim} < k{dim}; ++j{dim}) {{
          const long long x{dim} = o{dim} * s{dim} - p{dim} + j{dim} * d{dim};
          if (x{dim} < 0 || x{dim} >= l{dim}) continue;
        """
        for dim in range(3)
    )
    return _apart("o", "n") + loops + body + "}}}\n"


def _over_windows(body: str) -> str:
    """`body` for each window `(o0, o1, o2)` whose element `(j0, j1, j2)` is `(x0, x1, x2)`."""
    loops = "".join(
        f"""
        for (long long j{dim} = 0; j{dim} < k{dim}; ++j{dim}) {{
          const long long t{dim} = x{dim} + p{dim} - j{dim} * d{dim};
          if (t{dim} < 0) break;
          const long long o{dim} = t{dim} / s{dim};
          if (o{dim} * s{dim} != t{dim} || o{dim} >= n{dim}) continue;
        """
        for dim in range(3)
    )
    return _apart("x", "l") + loops + body + "}}}\n"


_INPUT: Final = "((plane * l0 + x0) * l1 + x1) * l2 + x2"
_WINDOW: Final = "((plane * n0 + o0) * n1 + o1) * n2 + o2"

# How many elements a window's sum is divided by: `given`, or those of the window; if `padded`,
# those in the padding too, but none beyond it.
_COUNT: Final = """
__device__ inline long long gc_extent(
    long long o, long long l, long long k, long long s, long long p, long long padded) {
  const long long start = o * s - p;
  const long long reach = padded ? l + p : l;
  const long long end = start + k < reach ? start + k : reach;
  const long long n = end - (padded || start > 0 ? start : 0);
  return n < 1 ? 1 : n;
}
"""
_DIVISOR: Final = " * ".join(f"gc_extent(o{d}, l{d}, k{d}, s{d}, p{d}, padded)" for d in range(3))

_ADD_UP: Final = cupy.ElementwiseKernel(
    f"raw T columns, {_GEOMETRY}",
    "T out",
    "W total = W(0);\n"
    + _over_windows("""
      const long long row = ((plane * k0 + j0) * k1 + j1) * k2 + j2;
      total += W(columns[((row * n0 + o0) * n1 + o1) * n2 + o2]);
    """)
    + "out = T(total);",
    "gc_add_up_windows",
    preamble=PREAMBLE,
)

_LARGER: Final = "found < 0 || v > best || v != v"  # of several nan the last

_LARGEST: Final = cupy.ElementwiseKernel(
    f"raw T x, {_GEOMETRY}",
    "T y, int64 place",
    "W best = W(0); long long found = -1;\n"
    + _over_elements(f"""
      const W v = W(x[{_INPUT}]);
      if ({_LARGER}) {{ best = v; found = (x0 * l1 + x1) * l2 + x2; }}
    """)
    + "y = T(best); place = found;",
    "gc_largest_of_windows",
    preamble=PREAMBLE,
)

_LARGEST_ALONE: Final = cupy.ElementwiseKernel(
    f"raw T x, {_GEOMETRY}",
    "T y",
    "W best = W(0); int found = -1;\n"
    + _over_elements(f"""
      const W v = W(x[{_INPUT}]);
      if ({_LARGER}) {{ best = v; found = 1; }}
    """)
    + "y = T(best);",
    "gc_largest_of_windows_alone",
    preamble=PREAMBLE,
)

_PUT_BACK: Final = cupy.ElementwiseKernel(
    f"raw T g, raw I places, {_GEOMETRY}",
    "T out",
    "W total = W(0);\n"
    + _over_windows(f"""
      const long long at = {_WINDOW};
      if (places[at] == (x0 * l1 + x1) * l2 + x2) total += W(g[at]);
    """)
    + "out = T(total);",
    "gc_put_back_to_windows",
    preamble=PREAMBLE,
)

_MEAN: Final = cupy.ElementwiseKernel(
    f"raw T x, int64 given, int64 padded, {_GEOMETRY}",
    "T y",
    "W total = W(0);\n"
    + _over_elements(f"total += W(x[{_INPUT}]);")
    + f"const long long count = given ? given : {_DIVISOR};\ny = T(total / W(count));",
    "gc_mean_of_windows",
    preamble=PREAMBLE + _COUNT,
)

_MEAN_BACKWARD: Final = cupy.ElementwiseKernel(
    f"raw T g, int64 given, int64 padded, {_GEOMETRY}",
    "T out",
    "W total = W(0);\n"
    + _over_windows(f"""
      const long long count = given ? given : {_DIVISOR};
      total += W(g[{_WINDOW}]) / W(count);
    """)
    + "out = T(total);",
    "gc_mean_of_windows_backward",
    preamble=PREAMBLE + _COUNT,
)


def _geometry(lengths: Sizes, kernel: Sizes, size: Sizes, how: How) -> list[int]:
    """The numbers that `_GEOMETRY` lists."""
    found: list[int] = []
    for numbers, fill in zip((lengths, kernel, size, *how[:3]), (1, 1, 1, 1, 0, 1), strict=True):
        found += [fill] * (3 - len(numbers))
        found += numbers
    return found


def _run(
    kernel: Kernel, shape: Sequence[int], args: Sequence[Any], geometry: list[int], *dtypes: Any
) -> Any:
    outs = [cupy.empty(shape, dtype) for dtype in dtypes]
    arrays = [cupy.ascontiguousarray(v) if isinstance(v, cupy.ndarray) else v for v in args]
    if math.prod(shape):
        kernel(*arrays, *geometry, *outs)
    return tuple(outs) if len(outs) > 1 else outs[0]


def add_up(columns: Array, lengths: Sizes, kernel: Sizes, size: Sizes, how: How) -> Array:
    """Return `(*, c, *lengths)`, in which each element of a window is added where it belongs.

    Args:
        columns: `(*, c * kernel, size)`, the windows as columns.
        lengths: Of the result.
        kernel: Of a window.
        size: How many windows there are along each dimension.
        how: How they lie.
    """
    *lead, rows, _ = columns.shape
    shape = (*lead, rows // math.prod(kernel), *lengths)
    geometry = _geometry(lengths, kernel, size, how)
    return _run(_ADD_UP, shape, (columns,), geometry, columns.dtype)


def largest(x: Array, kernel: Sizes, size: Sizes, how: How) -> tuple[Array, Array]:
    """Return the largest element of each window, and its place in the plane, int64.

    Of equal elements it is the first; NaN is larger than any number, and of several the last.

    Args:
        x: `(*, *lengths)`, real.
        kernel: Of a window.
        size: How many windows there are along each dimension, each with an element inside.
        how: How they lie.
    """
    count = len(kernel)
    geometry = _geometry(x.shape[-count:], kernel, size, how)
    y, place = _run(_LARGEST, (*x.shape[:-count], *size), (x,), geometry, x.dtype, np.int64)
    return y, place


def largest_alone(x: Array, kernel: Sizes, size: Sizes, how: How) -> Array:
    """Return what `largest` does, without the places."""
    count = len(kernel)
    geometry = _geometry(x.shape[-count:], kernel, size, how)
    return _run(_LARGEST_ALONE, (*x.shape[:-count], *size), (x,), geometry, x.dtype)


def put_back(g: Array, places: Array, lengths: Sizes, kernel: Sizes, how: How, adds: bool) -> Array:
    """Return `(*, *lengths)`, the sum of what comes from the windows where an element was largest.

    Args:
        g: `(*, *size)`.
        places: As `largest` returned them, of the shape of `g`, or one that broadcasts with it.
        lengths: Of the planes.
        kernel: Of a window.
        how: How they lie.
        adds: Whether an element can be the largest of several windows; not used.
    """
    if g.shape != places.shape:
        g, places = cupy.broadcast_arrays(g, places)
    count = len(kernel)
    geometry = _geometry(lengths, kernel, g.shape[-count:], how)
    shape = (*g.shape[:-count], *lengths)
    return _run(_PUT_BACK, shape, (g, places), geometry, g.dtype)


def mean(x: Array, kernel: Sizes, size: Sizes, how: How, divisor: int | bool) -> Array:
    """Return the sum of each window, divided.

    Args:
        x: `(*, *lengths)`.
        kernel: Of a window.
        size: How many windows there are along each dimension.
        how: How they lie.
        divisor: What to divide by, if it is a number; True for the elements of the window, the
            padding counted; False without it.
    """
    count = len(kernel)
    geometry = _geometry(x.shape[-count:], kernel, size, how)
    shape = (*x.shape[:-count], *size)
    return _run(_MEAN, shape, (x, *_divisor(divisor)), geometry, x.dtype)


def mean_backward(
    g: Array, lengths: Sizes, kernel: Sizes, size: Sizes, how: How, divisor: int | bool
) -> Array:
    """Return the adjoint of `mean`: `(*, *lengths)` of `g`, `(*, *size)`."""
    geometry = _geometry(lengths, kernel, size, how)
    shape = (*g.shape[: -len(size)], *lengths)
    return _run(_MEAN_BACKWARD, shape, (g, *_divisor(divisor)), geometry, g.dtype)


def _divisor(divisor: int | bool) -> tuple[int, int]:
    """The arguments `given` and `padded`."""
    return (0, int(divisor)) if isinstance(divisor, bool) else (divisor, 0)


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    listed = [(_ADD_UP, t) for t in _VALUES]
    for kernel in (_LARGEST, _LARGEST_ALONE, _MEAN, _MEAN_BACKWARD):
        listed += [(kernel, t) for t in _REAL]
    listed += [(_PUT_BACK, t | {"I": "int64"}) for t in _REAL]
    return listed
