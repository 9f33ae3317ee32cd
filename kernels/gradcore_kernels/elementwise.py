"""Elementwise kernels from a line of CUDA C: any number of arrays and numbers, any layout.

Arrays of one layout without gaps go to a function over their memory, 16 bytes at a time, which
takes half the host time of CuPy's ElementwiseKernel; all others go to that.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast, final

import cupy
import numpy as np

from gradcore_kernels.raw import CPP_NAMES
from gradcore_kernels.reduction import memory_order

FUNCTIONS: Final = r"""
#include <cupy/complex.cuh>
#include <cupy/float16.cuh>
#include <cupy/math_constants.h>
template <class T> __device__ T fn_absolute(T x) { return x < T(0) ? -x : x; }
template <> __device__ bool fn_absolute(bool x) { return x; }
template <> __device__ float fn_absolute(float x) { return fabs(x); }
template <> __device__ double fn_absolute(double x) { return fabs(x); }
template <class R> __device__ R fn_absolute(complex<R> x) { return abs(x); }
template <class T> __device__ T fn_conj(T x) { return x; }
template <class R> __device__ complex<R> fn_conj(complex<R> x) { return conj(x); }
template <class T> __device__ bool fn_true(T x) { return x != T(0); }
template <class T> __device__ T fn_invert(T x) { return ~x; }
template <> __device__ bool fn_invert(bool x) { return !x; }
// As NumPy, a nan wins.
template <class T> __device__ T fn_maximum(T a, T b) { return a != a || a >= b ? a : b; }
template <class T> __device__ T fn_minimum(T a, T b) { return a != a || a <= b ? a : b; }
// As in PyTorch, the sign of nan is 0.
template <class T> __device__ T fn_sign(T x) { return T((x > T(0)) - (x < T(0))); }
template <class R> __device__ complex<R> fn_sign(complex<R> x) {
  const R size = abs(x);
  return size == R(0) ? complex<R>(0) : x / size;
}
template <class T> __device__ T fn_sigmoid(T x) { return T(1) / (T(1) + exp(-x)); }
template <class R> __device__ complex<R> fn_sigmoid(complex<R> x) {
  return R(0.5) * tanh(R(0.5) * x) + R(0.5);
}
template <class T> __device__ T fn_logaddexp(T a, T b) {
  if (a == b) return a + T(0.69314718055994530942);  // infinities too
  const T d = a - b;
  return d > T(0) ? a + log1p(exp(-d)) : d <= T(0) ? b + log1p(exp(d)) : d;
}
template <class T> __device__ T fn_power(T a, T b) {
  T y = 1;  // integers; b is not negative
  for (; b > T(0); b /= 2, a *= a)
    if (b % 2) y *= a;
  return y;
}
template <> __device__ float fn_power(float a, float b) { return pow(a, b); }
template <> __device__ double fn_power(double a, double b) { return pow(a, b); }
template <class R> __device__ complex<R> fn_power(complex<R> a, complex<R> b) {
  return b == R(0) ? complex<R>(1) : pow(a, b);  // 0 to the power 0 too
}
template <class T> __device__ T fn_fmod(T a, T b) { return b == T(0) ? T(0) : a % b; }
template <> __device__ float fn_fmod(float a, float b) { return fmod(a, b); }
template <> __device__ double fn_fmod(double a, double b) { return fmod(a, b); }
// The sign of b, as in Python.
template <class T> __device__ T fn_remainder(T a, T b) {
  const T r = fn_fmod(a, b);
  return r != T(0) && (r < T(0)) != (b < T(0)) ? r + b : r;
}
template <class R> __device__ R fn_remainder_real(R a, R b) {
  const R r = fmod(a, b);
  if (r == R(0)) return copysign(r, b);
  return (r < R(0)) != (b < R(0)) ? r + b : r;
}
template <> __device__ float fn_remainder(float a, float b) { return fn_remainder_real(a, b); }
template <> __device__ double fn_remainder(double a, double b) { return fn_remainder_real(a, b); }
template <class T> __device__ T fn_floor_divide(T a, T b) {
  if (b == T(0)) return T(0);
  const T q = a / b;
  return a % b != T(0) && (a < T(0)) != (b < T(0)) ? q - T(1) : q;
}
// As NumPy: exact where a / b would round up to the next integer.
template <class R> __device__ R fn_floor_divide_real(R a, R b) {
  if (b == R(0)) return a / b;
  const R r = fmod(a, b);
  const R q = (a - r) / b - R(r != R(0) && (r < R(0)) != (b < R(0)));
  if (q == R(0)) return copysign(R(0), a / b);
  const R whole = floor(q);
  return q - whole > R(0.5) ? whole + R(1) : whole;
}
template <> __device__ float fn_floor_divide(float a, float b) {
  return fn_floor_divide_real(a, b);
}
template <> __device__ double fn_floor_divide(double a, double b) {
  return fn_floor_divide_real(a, b);
}
"""
"""What the lines may call."""


_PACK: Final = 16
"""Bytes of the widest load."""

# cupy.ndarray(shape, dtype) with one frame of Python less.
_new: Final = cupy.ndarray.__mro__[1].__new__
_init: Final = cupy.ndarray._init


class _Lengths(dict[int, Any]):
    """By a number of elements, the argument of a launch: CuPy takes twice as long for an int."""

    def __missing__(self, size: int) -> Any:
        if len(self) >= 4096:
            self.clear()
        found = self[size] = cupy.cuda.function.CNumpyArray(np.array(size, np.int64))
        return found


_LENGTHS: Final = _Lengths()


@final
class Elementwise:
    """An elementwise function of arrays and numbers, for one choice of dtypes.

    It gives its output, or a tuple of them, of the shape to which the arrays broadcast. An output
    lies in memory as the inputs do, if these agree.

    Args:
        name: The kernel's name; it begins with `gc_`.
        inputs: The dtype of each input, by its name; None is a Python number (a double).
        outputs: The dtype of each output, by its name.
        body: CUDA C that assigns to the outputs from the inputs. Names end in `_`.
    """

    __slots__ = (
        "_arrays",
        "_body",
        "_dtypes",
        "_inputs",
        "_launchers",
        "_outputs",
        "_strided",
        "_width",
        "name",
    )

    def __init__(
        self, name: str, inputs: Mapping[str, str | None], outputs: Mapping[str, str], body: str
    ) -> None:
        self.name = name
        self._inputs = dict(inputs)
        self._outputs = dict(outputs)
        self._body = body
        self._arrays = [i for i, dtype in enumerate(inputs.values()) if dtype is not None]
        self._dtypes = [np.dtype(dtype) for dtype in outputs.values()]
        dtypes = [np.dtype(d) for d in (*inputs.values(), *outputs.values()) if d is not None]
        widest = max(dtype.itemsize for dtype in dtypes)
        self._width = max(1, _PACK // widest)
        self._launchers: dict[tuple[bool, ...], Any] = {}
        self._strided: Any = None

    def function(
        self, otherwise: Callable[..., Any] | None = None, into: str | None = None
    ) -> Callable[..., Any]:
        """Return the function of the inputs, which runs on the current device and stream.

        Its Python is written out for the inputs, as that of a dataclass is: a launch takes a few
        microseconds of the host, of which a loop over them would be a third.

        Args:
            otherwise: Called instead where an input that should be an array is none.
            into: An input of the first output's dtype. The function then has one more parameter:
                whether the first output may be written over that input.
        """
        names = list(self._inputs)
        arrays = [names[i] for i in self._arrays]
        first = arrays[0]
        outputs = list(self._outputs)
        parameters = names if into is None else [*names, "over"]
        lines = [f"def {self.name}({', '.join(parameters)}):", "    global launch"]
        if otherwise is not None:
            wrong = " or ".join(f"{a}.__class__ is not ndarray" for a in arrays)
            lines += [f"    if {wrong}:", f"        return otherwise({', '.join(names)})"]
        strange = [f"not {a}._c_contiguous" for a in arrays]
        strange += [f"{a}.shape != shape" for a in arrays[1:]]
        lines += [
            f"    shape = {first}.shape",
            f"    if {' or '.join(strange)}:",
            f"        return of_any_layout(({', '.join(names)},))",
        ]
        for n, output in enumerate(outputs):
            if into is None or n:
                lines += [f"    {output} = new(ndarray)", f"    init({output}, shape, dtype{n})"]
            else:
                lines += [
                    "    if over:",
                    f"        {output} = {into}",
                    "    else:",
                    f"        {output} = new(ndarray)",
                    f"        init({output}, shape, dtype{n})",
                ]
        lines += [
            f"    size = {first}.size",
            "    if size:",
            "        if launch is None:",
            "            launch = launcher()",
            f"        args = {', '.join(names + outputs)}, lengths[size]",
            f"        launch(-(-size // {self._width}), args)",
            f"    return {', '.join(outputs)}",
        ]
        scope: dict[str, Any] = {
            "init": _init,
            "launch": None,
            "launcher": self._launcher,
            "lengths": _LENGTHS,
            "ndarray": cupy.ndarray,
            "new": _new,
            "of_any_layout": self._of_any_layout,
            "otherwise": otherwise,
            **{f"dtype{n}": dtype for n, dtype in enumerate(self._dtypes)},
        }
        exec("\n".join(lines), scope)
        return cast(Callable[..., Any], scope[self.name])

    def _of_any_layout(self, args: Sequence[Any]) -> Any:
        arrays = [args[i] for i in self._arrays]
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        size = math.prod(shape)
        ones = tuple(a.size == 1 or not any(a.strides) for a in arrays)
        whole = [a for a, one in zip(arrays, ones, strict=True) if not one]
        by_rows = all(a._c_contiguous for a in whole)
        if all(a.shape == shape for a in whole) and (
            by_rows or all(a._f_contiguous for a in whole)
        ):
            outputs = [cupy.empty(shape, d, "C" if by_rows else "F") for d in self._dtypes]
            if size:
                self._launcher(ones)(-(-size // self._width), (*args, *outputs, _LENGTHS[size]))
        else:
            # Neighbouring threads are to meet neighbouring elements.
            full = [a for a in whole if a.shape == shape]
            axes = (memory_order(full) if full else None) or tuple(range(len(shape)))
            views = [
                v if dtype is None else cupy.broadcast_to(v, shape).transpose(axes)
                for v, dtype in zip(args, self._inputs.values(), strict=True)
            ]
            ordered = [cupy.empty([shape[axis] for axis in axes], d) for d in self._dtypes]
            self._of_strided()(*views, *ordered)
            back = sorted(range(len(shape)), key=axes.__getitem__)
            outputs = [y.transpose(back) for y in ordered]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _launcher(self, ones: tuple[bool, ...] = ()) -> Callable[[int, tuple[Any, ...]], None]:
        """`launch(threads, args)` of the kernel for contiguous arrays; see `source`."""
        found = self._launchers.get(ones)
        if found is None:
            kernel = cupy.RawKernel(self.source(ones=ones), self.name)
            if cupy.cuda.runtime.getDeviceCount() == 1:
                found = kernel.kernel.linear_launch
            else:  # each device has its own copy
                found = lambda threads, args: kernel.kernel.linear_launch(threads, args)
            self._launchers[ones] = found
        return found

    def _of_strided(self) -> Any:
        if self._strided is None:
            inputs = (f"{dtype or 'float64'} {name}" for name, dtype in self._inputs.items())
            outputs = (f"{dtype} {name}" for name, dtype in self._outputs.items())
            self._strided = cupy.ElementwiseKernel(
                ", ".join(inputs), ", ".join(outputs), self._body, self.name, preamble=FUNCTIONS
            )
        return self._strided

    def source(self, types: Mapping[str, str] | None = None, *, ones: tuple[bool, ...] = ()) -> str:
        """Return the text of the kernel for contiguous arrays.

        Args:
            types: There are no letters in it.
            ones: Per input array whether its first element stands for all; () is for none.
        """
        single = dict(zip(self._arrays, ones or [False] * len(self._arrays), strict=True))
        taken, element, packed, plain, loads, stores, aligned = [], [], [], [], [], [], []
        for i, (name, dtype) in enumerate(self._inputs.items()):
            c = "double" if dtype is None else CPP_NAMES[dtype]
            element.append(f"const {c}& {name}")
            taken.append(f"const {c}{'' if dtype is None else '*'} {name}")
            if single.get(i, True):
                value = name if dtype is None else f"*{name}"
                packed.append(value)
                plain.append(value)
            else:
                pack = f"const gc_pack<{c}>"
                loads.append(f"{pack} p{name} = *({pack}*)({name} + first);")
                aligned.append(f"(size_t){name} % sizeof({pack}) == 0")
                packed.append(f"p{name}.v[j]")
                plain.append(f"{name}[j]")
        for name, dtype in self._outputs.items():
            c = CPP_NAMES[dtype]
            element.append(f"{c}& {name}")
            taken.append(f"{c}* {name}")
            loads.append(f"gc_pack<{c}> p{name};")
            stores.append(f"*(gc_pack<{c}>*)({name} + first) = p{name};")
            packed.append(f"p{name}.v[j]")
            plain.append(f"{name}[j]")
        lines = "\n    "
        n = self._width
        return f"""{FUNCTIONS}
template <class T> struct alignas({n} * sizeof(T)) gc_pack {{ T v[{n}]; }};

__device__ __forceinline__ void gc_element({", ".join(element)}) {{
{self._body}
}}

extern "C" __global__ void {self.name}({", ".join(taken)}, const long long n) {{
  const long long first = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * {n};
  if (first + {n} <= n && {" && ".join(aligned) or "true"}) {{
    {lines.join(loads)}
    #pragma unroll
    for (int j = 0; j < {n}; ++j) gc_element({", ".join(packed)});
    {lines.join(stores)}
  }} else {{
    for (long long j = first; j < n && j < first + {n}; ++j) gc_element({", ".join(plain)});
  }}
}}
"""
