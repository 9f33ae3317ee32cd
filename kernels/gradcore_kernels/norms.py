"""Vector norms of any order, and their gradients."""

import math
from typing import Final

import cupy

from gradcore_kernels.cuda_types import PREAMBLE, value_types
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Array, Kernel, Reduction, in_memory_order, with_reduced_axes

_TYPES: Final = value_types(complex_too=True)


def _norm(name: str, term: str, *, join: str, identity: str = "0", result: str = "a") -> Reduction:
    return Reduction(
        f"gc_norm_{name}", "T x", _TYPES, term=term, join=join, identity=identity, result=result
    )


# Both joins keep a NaN, whichever side it is on.
_MAX: Final = "a > b || a != a ? a : b"
_MIN: Final = "a < b || a != a ? a : b"

# (x != 0).sum(dim)
_NORM_0: Final = _norm("0", "A(W(x) != W(0))", join="a + b")
# abs(x).sum(dim)
_NORM_1: Final = _norm("1", "gc_abs(W(x))", join="a + b")
# sqrt((abs(x) ** 2).sum(dim))
_NORM_2: Final = _norm("2", "gc_abs2(W(x))", join="a + b", result="sqrt(a)")
# abs(x).max(dim)
_NORM_MAX: Final = _norm("max", "gc_abs(W(x))", join=_MAX)
# abs(x).min(dim)
_NORM_MIN: Final = _norm("min", "gc_abs(W(x))", join=_MIN, identity="CUDART_INF")
# (abs(x) ** p).sum(dim) ** (1 / p)
_NORM_P: Final = _norm(
    "p", "pow(gc_abs(W(x)), A(scalar))", join="a + b", result="pow(a, A(1.0 / scalar))"
)
_SPECIAL: Final = {
    0.0: _NORM_0,
    1.0: _NORM_1,
    2.0: _NORM_2,
    math.inf: _NORM_MAX,
    -math.inf: _NORM_MIN,
}

# Where the maximum or minimum is attained; a NaN attains it, as in PyTorch.
_ATTAINED: Final = "(gc_abs(W({x})) == A({y}) || gc_abs(W({x})) != gc_abs(W({x})))"
# ((abs(x) == y) | isnan(x)).sum(dim)
_TIES: Final = Reduction(
    "gc_norm_ties",
    "T x, Y y",
    [{"T": t["T"], "U": t["A"], "A": t["A"], "Y": t["U"]} for t in _TYPES],
    term=f"A({_ATTAINED.format(x='x', y='y')})",
    join="a + b",
)


def _backward(name: str, inputs: str, body: str) -> Kernel:
    return cupy.ElementwiseKernel(
        inputs, "T dx", body, f"gc_norm_{name}_backward", preamble=PREAMBLE
    )


# dx = g * sgn(x)
_BACKWARD_1: Final = _backward("1", "T x, U g", "dx = T(gc_sgn(W(x)) * A(g))")
# dx = g * where(y == 0, 0, x / y)
_BACKWARD_2: Final = _backward(
    "2",
    "T x, U y, U g",
    "dx = T((A(y) == A(0) ? W(0) : W(W(x) / A(y))) * A(g))",
)
# dx = where(y == 0, 0, g * sgn(x) * (abs(x) / y) ** (p - 1)): x * abs(x) ** (p - 2) / y ** (p - 1)
# without the powers that overflow. For p < 1 the slope at x = 0 is infinite and PyTorch has 0.
_BACKWARD_P: Final = _backward(
    "p",
    "T x, U y, U g, float64 p",
    """
    const A size = gc_abs(W(x)), whole = A(y);
    const A slope = p < 1 && size == A(0) ? A(0) * whole : pow(size / whole, A(p - 1));
    dx = T(whole == A(0) ? W(0) : W(gc_sgn(W(x)) * (slope * A(g))));
    """,
)
# dx = sgn(x) * (g / ties) * ((abs(x) == y) | isnan(x))
_BACKWARD_EXTREME: Final = _backward(
    "extreme",
    "T x, U y, U g, A ties",
    f"dx = T(gc_sgn(W(x)) * (A(g) / ties * A({_ATTAINED.format(x='x', y='y')})))",
)


def norm(x: Array, p: float, dim: tuple[int, ...], keepdim: bool) -> Array:
    """Return `(abs(x) ** p).sum(dim) ** (1 / p)`, or its limit for `p` = 0, inf and -inf.

    Args:
        x: Any shape; float16, float32, float64, complex64 or complex128.
        p: Any order; 0 counts what is not 0.
        dim: The axes, sorted, none negative.
        keepdim: Whether the axes stay, with length 1.

    Returns:
        The dtype of `x`, or its real counterpart; a 0-d array for all axes. The norm of nothing is
        0 for `p` >= 0, inf; for `p` < 0, for which it is undefined, it is infinite.
    """
    return _SPECIAL.get(p, _NORM_P)(x, dim=dim, keepdim=keepdim, scalar=p)


def norm_backward(
    wanted: tuple[bool],
    g: Array,
    y: Array,
    x: Array,
    p: float,
    dim: tuple[int, ...],
    keepdim: bool,
) -> tuple[Array | None]:
    """Return PyTorch's gradient of `norm` in one launch, or up to three for `p` = inf and -inf.

    Elements that share the maximum (or minimum) share its gradient evenly. Where the norm is 0,
    and for `p` < 1 also where `x` is 0, the gradient is 0. For `p` = 0 there is none.

    Args:
        wanted: Whether the gradient is; else it is None.
        g: The shape and dtype of `y`.
        y: The result of `norm`.
        x: As in `norm`.
        p: As in `norm`.
        dim: As in `norm`.
        keepdim: As in `norm`.
    """
    if not wanted[0] or p == 0:
        return (None,)
    g = with_reduced_axes(g, x.ndim, dim, keepdim)
    if p == 1:
        return (in_memory_order(_BACKWARD_1, (x,), (g,)),)
    y = with_reduced_axes(y, x.ndim, dim, keepdim)
    if p == 2:
        return (in_memory_order(_BACKWARD_2, (x,), (y, g)),)
    if math.isinf(p):
        ties = _TIES(x, cupy.broadcast_to(y, x.shape), dim=dim, keepdim=True)
        return (in_memory_order(_BACKWARD_EXTREME, (x,), (y, g, ties)),)
    return (in_memory_order(_BACKWARD_P, (x,), (y, g), p),)


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    listed: list[tuple[Kernel | RawKernel, dict[str, str]]] = []
    for reduction in (*_SPECIAL.values(), _NORM_P, _TIES):
        listed += reduction.kernels()
    for kernel in (_BACKWARD_1, _BACKWARD_2, _BACKWARD_P, _BACKWARD_EXTREME):
        listed += [(kernel, t) for t in _TYPES]
    return listed
