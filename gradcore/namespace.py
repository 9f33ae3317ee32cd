"""The functions that a derivative rule or a forward may call, as one typed Protocol.

A rule is handed a namespace `xp`. Three things can stand behind it:

* `Device.xp`: the functions of NumPy or CuPy themselves, over raw arrays (the raw reading);
* `gradcore.op.recorded`: the operations over Tensors, which are recorded in turn (higher order);
* symbols that print source text (a fused kernel).

Names and signatures are NumPy's. The last group is gradcore's own: functions for which NumPy and
CuPy have no common name, each defined in `device.py` for arrays and in `ops/` for Tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

__all__ = ["NUMPY_NAMES", "OPERATORS", "OWN_NAMES", "Namespace"]

Function = Callable[..., Any]


class Namespace(Protocol):
    """What a rule may call; see the module's text."""

    # elementwise
    absolute: Function
    add: Function
    arccos: Function
    arccosh: Function
    arcsin: Function
    arcsinh: Function
    arctan: Function
    arctan2: Function
    arctanh: Function
    bitwise_and: Function
    bitwise_or: Function
    bitwise_xor: Function
    ceil: Function
    conj: Function
    cos: Function
    cosh: Function
    divide: Function
    equal: Function
    exp: Function
    exp2: Function
    expm1: Function
    floor: Function
    floor_divide: Function
    fmod: Function
    greater: Function
    greater_equal: Function
    hypot: Function
    imag: Function
    invert: Function
    isfinite: Function
    isinf: Function
    isnan: Function
    less: Function
    less_equal: Function
    log: Function
    log10: Function
    log1p: Function
    log2: Function
    logaddexp: Function
    logical_and: Function
    logical_not: Function
    logical_or: Function
    logical_xor: Function
    maximum: Function
    minimum: Function
    multiply: Function
    negative: Function
    not_equal: Function
    positive: Function
    power: Function
    real: Function
    reciprocal: Function
    remainder: Function
    rint: Function
    sign: Function
    sin: Function
    sinh: Function
    sqrt: Function
    square: Function
    subtract: Function
    tan: Function
    tanh: Function
    trunc: Function
    where: Function

    # reductions and scans
    all: Function
    any: Function
    argmax: Function
    argmin: Function
    count_nonzero: Function
    cumprod: Function
    cumsum: Function
    max: Function
    mean: Function
    min: Function
    prod: Function
    sum: Function

    # shape and assembly
    broadcast_to: Function
    concatenate: Function
    diagonal: Function
    expand_dims: Function
    flip: Function
    reshape: Function
    roll: Function
    squeeze: Function
    stack: Function
    swapaxes: Function
    transpose: Function
    tril: Function
    triu: Function

    # products
    einsum: Function
    matmul: Function
    vdot: Function

    result_type: Function

    # indexing
    take_along_axis: Function

    # making
    arange: Function
    full_like: Function
    ones_like: Function
    zeros_like: Function

    # gradcore's own
    apply: Function
    """`apply(f, *args)`: another operation `f`, as `primitive`, `unary` or `binary` returned it."""
    astype: Function
    """`astype(x, dtype)`: `x` in another dtype; complex to real takes the real part."""
    dot_over: Function
    """`dot_over(a, b, axis, keepdims)`: sum of conj(a) * b over the tuple `axis`; of float16, in
    float32. `a` and `b` have one shape."""
    erf: Function
    """`erf(x)`: the error function."""
    getitem: Function
    """`getitem(x, index)`: `x[index]`, never a scalar."""
    keep: Function
    """`keep(x, mask)`: `x` where `mask` holds, else 0; not `x * mask`, which is nan at infinity."""
    matrix_transpose: Function
    """`matrix_transpose(x)`: the last two dimensions exchanged, a view."""
    put: Function
    """`put(v, index, shape)`: zeros of `shape` with `v` added at `index`; duplicates add up.

    The adjoint of `getitem`."""
    put_along_axis: Function
    """`put_along_axis(v, indices, shape, axis)`: the adjoint of `take_along_axis`."""
    send: Function
    """`send(x, source, target, non_blocking=False)`: `x` of TensorType `source` in `target`'s."""
    sigmoid: Function
    """`sigmoid(x)`: 1 / (1 + exp(-x))."""
    sum_to: Function
    """`sum_to(x, shape)`: `x` summed to `shape`, the adjoint of `broadcast_to`."""
    zeros: Function
    """`zeros(shape, like)`: zeros of the dtype and on the device of `like`."""
    special: Any
    """`special.digamma(x)`: the functions of `scipy.special`, elementwise ones alone."""
    module: Any
    """`numpy` or `cupy` itself; for forwards on raw arrays alone, rules have none."""


OWN_NAMES = frozenset(
    {
        "apply",
        "astype",
        "dot_over",
        "erf",
        "getitem",
        "keep",
        "matrix_transpose",
        "put",
        "put_along_axis",
        "send",
        "sigmoid",
        "sum_to",
        "zeros",
    }
)
NUMPY_NAMES = frozenset(Namespace.__annotations__) - OWN_NAMES - {"module", "special"}
OPERATORS: Final = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
}
"""By the name of an elementwise operator of arrays: the function that it stands for."""
