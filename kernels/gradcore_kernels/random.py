"""Random numbers from a counter: uniform, normal, integers, permutations, and dropout.

Philox4x32-10 turns a counter and a key into 128 random bits, and keeps no state. A draw's seed is
the key, and its `offset` the counter it starts at; the words that follow are handed out in order,
so that element i depends on nothing but the seed, the offset and i: not on the launch, and not on
how many elements there are. Whoever draws adds `counters(...)` to the offset. A draw that was
captured into a CUDA graph repeats its numbers whenever the graph is launched.

Reference: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011.
"""

import math
from typing import Final

import cupy
import numpy as np

from gradcore_kernels.cuda_types import COMPLEX, PREAMBLE, REAL, REAL_COUNTERPART
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Array, Kernel

PHILOX: Final = r"""
struct gc_words { unsigned int v[4]; };

__device__ gc_words gc_philox(gc_words c, unsigned int key0, unsigned int key1) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const unsigned long long a = 0xD2511F53ull * c.v[0], b = 0xCD9E8D57ull * c.v[2];
    const gc_words next = {{(unsigned int)(b >> 32) ^ c.v[1] ^ key0, (unsigned int)b,
                            (unsigned int)(a >> 32) ^ c.v[3] ^ key1, (unsigned int)a}};
    c = next;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

__device__ gc_words gc_random(unsigned long long seed, unsigned long long counter) {
  const gc_words c = {{(unsigned int)counter, (unsigned int)(counter >> 32), 0, 0}};
  return gc_philox(c, (unsigned int)seed, (unsigned int)(seed >> 32));
}

__device__ unsigned long long gc_joined(unsigned int high, unsigned int low) {
  return (unsigned long long)high << 32 | low;
}

// What one thread reads or writes at once, in accesses of up to 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) gc_vector { T v[N]; };
"""

_WORDS: Final = {
    "bool": 1,  # of a mask
    "float16": 1,
    "float32": 1,
    "float64": 2,
    "complex64": 2,
    "complex128": 4,
    "int64": 4,
}

_THREADS: Final = 256


def counters(size: int, dtype: str) -> int:
    """Return how many counters a draw of `size` elements uses; `dtype` is "bool" for dropout."""
    return -(-size * _WORDS[dtype] // 4)


# `gc_draw<T>::count` values of one counter. Box-Muller takes a uniform u > 0 for its logarithm.
_DRAW: Final = (
    PHILOX
    + r"""
// By the angle over pi, which needs no reduction of large angles and the local memory for it.
__device__ void gc_box_muller(float u, float v, float* z) {
  const float size = sqrtf(-2 * logf(u));
  z[0] = size * cospif(2 * v);
  z[1] = size * sinpif(2 * v);
}
__device__ void gc_box_muller(double u, double v, double* z) {
  const double size = sqrt(-2 * log(u));
  z[0] = size * cospi(2 * v);
  z[1] = size * sinpi(2 * v);
}

template <class R> struct gc_draw {  // float
  static const int count = 4;
  static __device__ void uniform(gc_words r, R* u) {
    for (int j = 0; j < 4; j++) u[j] = R(r.v[j] >> 8) * (R(1) / R(1u << 24));
  }
  static __device__ void normal(gc_words r, R* z) {
    const R step = R(1) / R(1ull << 32);
    for (int j = 0; j < 4; j += 2) {
      gc_box_muller(R(r.v[j]) * step + step / 2, R(r.v[j + 1]) * step, z + j);
    }
  }
};

template <> struct gc_draw<float16> {
  static const int count = 4;
  static __device__ void uniform(gc_words r, float16* u) {
    for (int j = 0; j < 4; j++) u[j] = float16(float(r.v[j] >> 21) * (1.0f / (1 << 11)));
  }
  static __device__ void normal(gc_words r, float16* z) {
    float wide[4];
    gc_draw<float>::normal(r, wide);
    for (int j = 0; j < 4; j++) z[j] = float16(wide[j]);
  }
};

template <> struct gc_draw<double> {
  static const int count = 2;
  static __device__ double unit(unsigned int high, unsigned int low) {
    return double(gc_joined(high, low) >> 11) * (1.0 / (1ull << 53));
  }
  static __device__ void uniform(gc_words r, double* u) {
    u[0] = unit(r.v[0], r.v[1]);
    u[1] = unit(r.v[2], r.v[3]);
  }
  static __device__ void normal(gc_words r, double* z) {
    gc_box_muller(1.0 - unit(r.v[0], r.v[1]), unit(r.v[2], r.v[3]), z);
  }
};
"""
)


def _drawing(name: str, scalar: str, draw: str) -> RawKernel:
    return RawKernel(
        name,
        _DRAW
        + f"""
extern "C" __global__ void {name}(
    T* out, long long n, unsigned long long seed, unsigned long long offset{scalar}) {{
  const int count = gc_draw<T>::count;
  const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x, first = t * count;
  if (first >= n) return;
  gc_vector<T, count> values;
  {draw}
  if (first + count <= n) {{
    *(gc_vector<T, count>*)(out + first) = values;
  }} else {{
    for (int j = 0; j < count; j++) {{
      if (first + j < n) out[first + j] = values.v[j];
    }}
  }}
}}
""",
        [{"T": t} for t in REAL],
    )


_UNIFORM: Final = _drawing(
    "gc_uniform", "", "gc_draw<T>::uniform(gc_random(seed, offset + t), values.v);"
)
_NORMAL: Final = _drawing(
    "gc_normal",
    ", double scale",
    """gc_draw<T>::normal(gc_random(seed, offset + t), values.v);
  for (int j = 0; j < count; j++) values.v[j] = T(values.v[j] * T(scale));""",
)

# floor(r * span / 2^128) for the 128 random bits r. A span of 2^64 is passed as 0.
_INTEGERS: Final = RawKernel(
    "gc_integers",
    PHILOX
    + r"""
extern "C" __global__ void gc_integers(
    long long* out, long long n, unsigned long long seed, unsigned long long offset,
    long long low, unsigned long long span) {
  const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= n) return;
  const gc_words r = gc_random(seed, offset + t);
  const unsigned long long high = gc_joined(r.v[0], r.v[1]);
  unsigned long long place = high;
  if (span) {
    const unsigned long long rest = __umul64hi(gc_joined(r.v[2], r.v[3]), span);
    place = __umul64hi(high, span) + (high * span > ~rest);  // the carry of their sum
  }
  out[t] = (long long)((unsigned long long)low + place);
}
""",
    [{}],
)

# A word below `drop` drops its element. It is multiplied by 0, so that NaN and inf give NaN.
_DROPOUT: Final = RawKernel(
    "gc_dropout",
    PHILOX
    + r"""
typedef gc_types<T>::real A;
typedef gc_types<T>::work W;

extern "C" __global__ void gc_dropout(
    const T* x, T* y, long long n, unsigned long long seed, unsigned long long offset,
    unsigned long long drop, double scale, long long aligned) {
  const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x, first = t * 4;
  if (first >= n) return;
  const gc_words r = gc_random(seed, offset + t);
  const bool whole = first + 4 <= n;
  gc_vector<T, 4> values;
  if (whole && aligned) {
    values = *(const gc_vector<T, 4>*)(x + first);
  } else {
    for (int j = 0; j < 4; j++) values.v[j] = first + j < n ? x[first + j] : T(0);
  }
  for (int j = 0; j < 4; j++) {
    values.v[j] = T(W(values.v[j]) * (r.v[j] < drop ? A(0) : A(scale)));
  }
  if (whole) {
    *(gc_vector<T, 4>*)(y + first) = values;
  } else {
    for (int j = 0; j < 4; j++) {
      if (first + j < n) y[first + j] = values.v[j];
    }
  }
}
""",
    [{"T": t} for t in REAL + COMPLEX],
)

# The same of any layout: i counts the elements in the order of their axes.
_DROPOUT_STRIDED: Final = cupy.ElementwiseKernel(
    "T x, uint64 seed, uint64 offset, uint64 drop, float64 scale",
    "T y",
    """
    const gc_words r = gc_random(seed, offset + i / 4);
    const unsigned int even = i & 2 ? r.v[2] : r.v[0], odd = i & 2 ? r.v[3] : r.v[1];
    y = T(W(x) * ((i & 1 ? odd : even) < drop ? A(0) : A(scale)));
    """,
    "gc_dropout_strided",
    preamble=PREAMBLE + PHILOX,
)


def _blocks(threads: int) -> tuple[int]:
    return (-(-threads // _THREADS),)


def uniform(shape: tuple[int, ...], dtype: str, seed: int, offset: int) -> Array:
    """Return numbers in [0, 1), equally spaced: by 2^-11, 2^-24 or 2^-53, exactly.

    Args:
        shape: Of the result.
        dtype: float16, float32, float64, complex64 or complex128; of a complex number both parts
            are uniform.
        seed: In [0, 2^64).
        offset: In [0, 2^64).
    """
    out = cupy.empty(shape, dtype)
    real = REAL_COUNTERPART[dtype]
    n = out.size * (out.itemsize // np.dtype(real).itemsize)
    if n:
        grid = _blocks(counters(n, real))
        _UNIFORM(real)(grid, (_THREADS,), (out, n, seed, offset))
    return out


def normal(shape: tuple[int, ...], dtype: str, seed: int, offset: int) -> Array:
    """Return normal numbers of mean 0 and variance 1, by Box and Muller's transformation.

    None is larger than 6.8 in float16 and float32, and than 8.6 in float64.

    Args:
        shape: As in `uniform`.
        dtype: As in `uniform`; of a complex number both parts have variance 1/2.
        seed: As in `uniform`.
        offset: As in `uniform`.
    """
    out = cupy.empty(shape, dtype)
    real = REAL_COUNTERPART[dtype]
    n = out.size * (out.itemsize // np.dtype(real).itemsize)
    if n:
        scale = 1.0 if real == dtype else math.sqrt(0.5)
        grid = _blocks(counters(n, real))
        _NORMAL(real)(grid, (_THREADS,), (out, n, seed, offset, scale))
    return out


def integers(shape: tuple[int, ...], low: int, high: int, seed: int, offset: int) -> Array:
    """Return int64 integers in [low, high), each as likely as another to within 2^-64.

    Args:
        shape: As in `uniform`.
        low: At least -2^63.
        high: Above `low`, at most 2^63.
        seed: As in `uniform`.
        offset: As in `uniform`.
    """
    out = cupy.empty(shape, np.int64)
    if out.size:
        span = (high - low) % 2**64
        _INTEGERS()(_blocks(out.size), (_THREADS,), (out, out.size, seed, offset, low, span))
    return out


def permutation(n: int, seed: int, offset: int) -> Array:
    """Return the int64 integers 0 to `n` - 1 in random order: that of `n` random integers."""
    return cupy.argsort(integers((n,), -(2**63), 2**63, seed, offset))


def dropout(x: Array, noise: tuple[int, int, float]) -> Array:
    """Return `x` with each element multiplied by 0 with probability p, else by 1 / (1 - p).

    What is dropped depends on the noise and on an element's place in the order of the axes, not on
    the layout: the same noise drops the same elements of another array of this shape.

    Args:
        x: Any shape; float16, float32, float64, complex64 or complex128.
        noise: The seed, the offset and p, which is rounded to a multiple of 2^-32.

    Returns:
        C-contiguous, of the shape and dtype of `x`.
    """
    seed, offset, p = noise
    drop = round(p * 2**32)
    scale = 1.0 / (1.0 - p) if p < 1.0 else 0.0
    if not x.flags.c_contiguous:
        return _DROPOUT_STRIDED(x, seed, offset, drop, scale, cupy.empty(x.shape, x.dtype))
    y = cupy.empty(x.shape, x.dtype)
    n = x.size
    if n:
        aligned = x.data.ptr % min(16, 4 * x.itemsize) == 0
        args = (x, y, n, seed, offset, drop, scale, int(aligned))
        _DROPOUT(x.dtype.name)(_blocks(counters(n, "bool")), (_THREADS,), args)
    return y


def dropout_backward(
    wanted: tuple[bool], g: Array, noise: tuple[int, int, float]
) -> tuple[Array | None]:
    """Return the gradient of `dropout`, which is its own adjoint.

    Args:
        wanted: Whether the gradient is; else it is None.
        g: As `x` in `dropout`.
        noise: As in `dropout`.
    """
    return (dropout(g, noise) if wanted[0] else None,)


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    raw = [(k, t) for k in (_UNIFORM, _NORMAL, _INTEGERS, _DROPOUT) for t in k.types]
    return raw + [(_DROPOUT_STRIDED, t) for t in _DROPOUT.types]
