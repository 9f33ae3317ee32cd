"""The types that the CUDA sources of this package are written in, and their dtypes.

A kernel's type letters: `T` is the type of an array of values (`float16`, `float32`, `float64`,
`complex64`, `complex128`), `U` its real counterpart, `A` the real type it is accumulated in
(`float32` for `float16`), `W` the type it is calculated with (`float32` for `float16`, else `T`).
"""

from typing import Final

REAL: Final = ("float16", "float32", "float64")
COMPLEX: Final = ("complex64", "complex128")

REAL_COUNTERPART: Final = {
    "float16": "float16",
    "float32": "float32",
    "float64": "float64",
    "complex64": "float32",
    "complex128": "float64",
}
ACCUMULATOR: Final = REAL_COUNTERPART | {"float16": "float32"}

# Known without a `T`: the preamble of a kernel that only sees accumulators.
TEMPLATES: Final = r"""
#include <cupy/complex.cuh>
#include <cupy/float16.cuh>
template <class T> struct gc_types { typedef T work; typedef T real; };
template <> struct gc_types<float16> { typedef float work; typedef float real; };
template <class R> struct gc_types<complex<R> > { typedef complex<R> work; typedef R real; };

template <class R> __device__ R gc_abs(R v) { return fabs(v); }
template <class R> __device__ R gc_abs(complex<R> v) { return abs(v); }

template <class R> __device__ R gc_abs2(R v) { return v * v; }
template <class R> __device__ R gc_abs2(complex<R> v) {
  return v.real() * v.real() + v.imag() * v.imag();
}

// As in PyTorch, the sign of a real NaN is 0.
template <class R> __device__ R gc_sgn(R v) { return R((v > R(0)) - (v < R(0))); }
template <class R> __device__ complex<R> gc_sgn(complex<R> v) {
  const R size = gc_abs(v);
  return size == R(0) ? complex<R>(0) : v / size;
}
"""

PREAMBLE: Final = (
    TEMPLATES
    + """
typedef gc_types<T>::real A;
typedef gc_types<T>::work W;
"""
)


def value_types(*, complex_too: bool) -> list[dict[str, str]]:
    """Return the dtypes of the letters `T`, `U` and `A`, once for each dtype of the values."""
    values = REAL + COMPLEX if complex_too else REAL
    return [{"T": t, "U": REAL_COUNTERPART[t], "A": ACCUMULATOR[t]} for t in values]
