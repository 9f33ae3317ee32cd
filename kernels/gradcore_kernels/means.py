"""The mean of a product, and its gradient."""

import math
from typing import Final

import cupy

from gradcore_kernels.cuda_types import PREAMBLE, value_types
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Array, Kernel, Reduction, in_memory_order, with_reduced_axes

_TYPES: Final = value_types(complex_too=False)

# (x * y).mean(dim)
_MUL_MEAN: Final = Reduction(
    "gc_mul_mean",
    "T x, T y",
    _TYPES,
    term="A(x) * A(y)",
    join="a + b",
    result="a / A(t.count)",
)

# dx = g / count * y
_BACKWARD_ONE: Final = cupy.ElementwiseKernel(
    "T other, T g, float64 count",
    "T d",
    "d = T(A(g) / A(count) * A(other))",
    "gc_mul_mean_backward_one",
    preamble=PREAMBLE,
)

# dx, dy = g / count * y, g / count * x
_BACKWARD_BOTH: Final = cupy.ElementwiseKernel(
    "T x, T y, T g, float64 count",
    "T dx, T dy",
    "const A share = A(g) / A(count); dx = T(share * A(y)); dy = T(share * A(x))",
    "gc_mul_mean_backward_both",
    preamble=PREAMBLE,
)


def mul_mean(a: Array, b: Array, dim: tuple[int, ...], keepdim: bool) -> Array:
    """Return `(a * b).mean(dim)`, without the array of products.

    Args:
        a: Any shape; float16, float32 or float64.
        b: The shape and dtype of `a`.
        dim: The axes, sorted, none negative.
        keepdim: Whether the axes stay, with length 1.

    Returns:
        The dtype of `a`; a 0-d array for all axes. The mean of nothing is NaN.
    """
    return _MUL_MEAN(a, b, dim=dim, keepdim=keepdim)


def mul_mean_backward(
    wanted: tuple[bool, bool],
    g: Array,
    a: Array,
    b: Array,
    dim: tuple[int, ...],
    keepdim: bool,
) -> tuple[Array | None, Array | None]:
    """Return `(g / count * b, g / count * a)` in one launch, where wanted.

    Args:
        wanted: Which of the two; the other is None, and its factor is not read.
        g: The shape of the result of `mul_mean`.
        a: As in `mul_mean`.
        b: As in `mul_mean`.
        dim: As in `mul_mean`.
        keepdim: As in `mul_mean`.
    """
    if not any(wanted):
        return None, None
    whole = b if wanted[0] else a
    count = math.prod([whole.shape[d] for d in dim])
    g = with_reduced_axes(g, whole.ndim, dim, keepdim)
    if not all(wanted):
        d = in_memory_order(_BACKWARD_ONE, (whole,), (g,), count)
        return (d, None) if wanted[0] else (None, d)
    da, db = in_memory_order(_BACKWARD_BOTH, (a, b), (g,), count)
    return da, db


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    elementwise = [(kernel, t) for kernel in (_BACKWARD_ONE, _BACKWARD_BOTH) for t in _TYPES]
    return [*_MUL_MEAN.kernels(), *elementwise]
