"""Elementwise functions of one Tensor, and those that choose between values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import (
    NUMPY_FACES,
    binary,
    common_device,
    common_dtype,
    explain,
    operand,
    primitive,
    promote,
    public,
    unary,
)
from ..samples import bad, over, sample
from ..tensor import Tensor, as_view, wrap

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "conj",
    "cos",
    "cosh",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "hypot",
    "imag",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "maximum",
    "minimum",
    "neg",
    "negative",
    "positive",
    "real",
    "reciprocal",
    "relu",
    "round",
    "rsqrt",
    "sgn",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "where",
]

_LN2 = math.log(2.0)
_LN10 = math.log(10.0)

# signs and rounding ----------------------------------------------------------------------------


@unary(
    "negative",
    lambda xp, g: -g,
    result="same",
    numpy="negative",
    array_api="negative",
    methods=("neg", "negative", "__neg__"),
)
def neg(input: Tensor) -> Tensor:
    """Each element with the opposite sign."""


@public(
    numpy="positive",
    array_api="positive",
    methods=("positive", "__pos__"),
    samples=over(-2, 2),
    departs={"accepts: bool": "nothing changes"},
)
def positive(input: Tensor) -> Tensor:
    """`input` itself."""
    return input


@unary(
    "absolute",
    # sign(0) is 0: the subgradient PyTorch takes. On complex numbers sign is x/|x|, and g is real.
    lambda xp, g, x: g * xp.sign(x),
    result="same",
    holomorphic=False,
    numpy={"absolute": None, "abs": None},
    array_api="abs",
    methods=("abs", "absolute", "__abs__"),
)
def abs(input: Tensor) -> Tensor:
    """Absolute value of each element; real for complex input. At 0 the derivative is 0."""


@unary(
    "sign",
    lambda xp, g: xp.zeros_like(g),
    result="same",
    ordered=True,
    departs={"refuses: bool": "NumPy has none"},
)
def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1 for each element, and x/|x| of a complex one. The derivative is 0."""


@unary("ceil", lambda xp, g: xp.zeros_like(g), result="same", numpy="ceil", array_api="ceil")
def ceil(input: Tensor) -> Tensor:
    """The smallest integer not below each element. The derivative is 0."""


@unary("floor", lambda xp, g: xp.zeros_like(g), result="same", numpy="floor", array_api="floor")
def floor(input: Tensor) -> Tensor:
    """The largest integer not above each element. The derivative is 0."""


@unary(
    "trunc",
    lambda xp, g: xp.zeros_like(g),
    result="same",
    numpy="trunc",
    array_api="trunc",
    methods=("trunc", "fix"),
)
def trunc(input: Tensor) -> Tensor:
    """Each element rounded to zero. The derivative is 0."""


@unary(
    lambda xp, x: xp.rint(x) if x.dtype.kind in "fc" else x.copy(),
    lambda xp, g: xp.zeros_like(g),
    result="same",
    graph="RoundBackward0",
    ordered=True,
    numpy="rint",
    methods=(),
    path="_round",
)
def _round(input: Tensor) -> Tensor:
    """Each element rounded to the nearest integer, halves to even."""


@public(
    in_place=True,
    methods=("round",),
    numpy={"round": lambda a, decimals=0: round(a, decimals=decimals)},
    array_api="round",
    samples=lambda make: [sample(make.real(2, 3)), sample(make.real(2, 3), decimals=1)],
    departs={"node": "composite where decimals are given"},
)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Each element rounded to `decimals` places, halves to even. The derivative is 0."""
    if not input._type.recordable:
        return input.clone()
    if decimals == 0:
        return _round(input)
    scale: float = 10.0 ** math.fabs(decimals)
    return _round(input * scale) / scale if decimals > 0 else _round(input / scale) * scale


# roots, powers, exponentials and logarithms ------------------------------------------------------


@unary("sqrt", lambda xp, g, y: g / (2 * y), numpy="sqrt", array_api="sqrt", samples=over(0.1, 3.0))
def sqrt(input: Tensor) -> Tensor:
    """Square root of each element. At 0 the derivative is infinite."""


@unary(
    lambda xp, x: 1 / xp.sqrt(x),
    lambda xp, g, y: -0.5 * g * y**3,
    samples=over(0.1, 3.0),
)
def rsqrt(input: Tensor) -> Tensor:
    """One over the square root of each element."""


@unary(
    "square",
    lambda xp, g, x: g * (2 * x),
    result="same",
    graph="PowBackward0",
    numpy="square",
    array_api="square",
    departs={"values: bool": "PyTorch's is int64"},
)
def square(input: Tensor) -> Tensor:
    """Each element times itself."""


@unary(
    lambda xp, x: 1 / x,
    lambda xp, g, y: -g * (y * y),
    numpy="reciprocal",
    array_api="reciprocal",
    samples=over(0.3, 2.0),
)
def reciprocal(input: Tensor) -> Tensor:
    """One over each element."""


@unary("exp", lambda xp, g, y: g * y, numpy="exp", array_api="exp")
def exp(input: Tensor) -> Tensor:
    """E to the power of each element."""


@unary("exp2", lambda xp, g, y: g * (y * _LN2), numpy={"exp2": None, "special.exp2": None})
def exp2(input: Tensor) -> Tensor:
    """2 to the power of each element."""


@unary(
    "expm1",
    lambda xp, g, y: g * (y + 1),
    numpy={"expm1": None, "special.expm1": None},
    array_api="expm1",
)
def expm1(input: Tensor) -> Tensor:
    """exp(x) - 1 of each element, exact near 0."""


@unary("log", lambda xp, g, x: g / x, numpy="log", array_api="log", samples=over(0.1, 3.0))
def log(input: Tensor) -> Tensor:
    """Natural logarithm of each element."""


@unary(
    "log2", lambda xp, g, x: g / (x * _LN2), numpy="log2", array_api="log2", samples=over(0.1, 3.0)
)
def log2(input: Tensor) -> Tensor:
    """Logarithm to base 2 of each element."""


@unary(
    "log10",
    lambda xp, g, x: g / (x * _LN10),
    numpy="log10",
    array_api="log10",
    samples=over(0.1, 3.0),
)
def log10(input: Tensor) -> Tensor:
    """Logarithm to base 10 of each element."""


@unary(
    "log1p",
    lambda xp, g, x: g / (x + 1),
    graph="Log1PBackward0",
    numpy={"log1p": None, "special.log1p": None},
    array_api="log1p",
    samples=over(-0.9, 3.0),
)
def log1p(input: Tensor) -> Tensor:
    """log(1 + x) of each element, exact near 0."""


# trigonometry --------------------------------------------------------------------------------


@unary("sin", lambda xp, g, x: g * xp.cos(x), numpy="sin", array_api="sin")
def sin(input: Tensor) -> Tensor:
    """Sine of each element, in radians."""


@unary("cos", lambda xp, g, x: g * -xp.sin(x), numpy="cos", array_api="cos")
def cos(input: Tensor) -> Tensor:
    """Cosine of each element, in radians."""


@unary("tan", lambda xp, g, y: g * (1 + y * y), numpy="tan", array_api="tan", samples=over(-1, 1))
def tan(input: Tensor) -> Tensor:
    """Tangent of each element, in radians."""


@unary("sinh", lambda xp, g, x: g * xp.cosh(x), numpy="sinh", array_api="sinh")
def sinh(input: Tensor) -> Tensor:
    """Hyperbolic sine of each element."""


@unary("cosh", lambda xp, g, x: g * xp.sinh(x), numpy="cosh", array_api="cosh")
def cosh(input: Tensor) -> Tensor:
    """Hyperbolic cosine of each element."""


@unary("tanh", lambda xp, g, y: g * (1 - y * y), numpy="tanh", array_api="tanh")
def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent of each element."""


@unary(
    "arcsin",
    lambda xp, g, x: g / xp.sqrt(1 - x * x),
    numpy={"arcsin": None, "asin": None},
    array_api="asin",
    methods=("asin", "arcsin"),
    samples=over(-0.9, 0.9),
)
def asin(input: Tensor) -> Tensor:
    """Inverse sine of each element, in radians."""


@unary(
    "arccos",
    lambda xp, g, x: -g / xp.sqrt(1 - x * x),
    numpy={"arccos": None, "acos": None},
    array_api="acos",
    methods=("acos", "arccos"),
    samples=over(-0.9, 0.9),
)
def acos(input: Tensor) -> Tensor:
    """Inverse cosine of each element, in radians."""


@unary(
    "arctan",
    lambda xp, g, x: g / (x * x + 1),
    numpy={"arctan": None, "atan": None},
    array_api="atan",
    methods=("atan", "arctan"),
)
def atan(input: Tensor) -> Tensor:
    """Inverse tangent of each element, in radians."""


@unary(
    "arcsinh",
    lambda xp, g, x: g / xp.sqrt(x * x + 1),
    numpy={"arcsinh": None, "asinh": None},
    array_api="asinh",
    methods=("asinh", "arcsinh"),
)
def asinh(input: Tensor) -> Tensor:
    """Inverse hyperbolic sine of each element."""


@unary(
    "arccosh",
    # Two roots: sqrt(x*x - 1) has another branch for complex numbers with a negative real part.
    lambda xp, g, x: g / (xp.sqrt(x - 1) * xp.sqrt(x + 1)),
    numpy={"arccosh": None, "acosh": None},
    array_api="acosh",
    methods=("acosh", "arccosh"),
    samples=over(1.1, 3.0),
)
def acosh(input: Tensor) -> Tensor:
    """Inverse hyperbolic cosine of each element."""


@unary(
    "arctanh",
    lambda xp, g, x: g / (1 - x * x),
    numpy={"arctanh": None, "atanh": None},
    array_api="atanh",
    methods=("atanh", "arctanh"),
    samples=over(-0.9, 0.9),
)
def atanh(input: Tensor) -> Tensor:
    """Inverse hyperbolic tangent of each element."""


@binary(
    "arctan2",
    # At (0, 0), where the angle has no derivative, it is taken as 0.
    lambda xp, g, a, b: g * xp.where((a == 0) & (b == 0), 0.0, b / (a * a + b * b)),
    lambda xp, g, a, b: g * xp.where((a == 0) & (b == 0), -0.0, -a / (a * a + b * b)),
    result="float",
    numpy={"arctan2": None, "atan2": None},
    array_api="atan2",
    methods=("atan2", "arctan2"),
)
def atan2(input: Any, other: Any) -> Tensor:
    """The angle of the point (`other`, `input`), in radians in (-pi, pi]."""


@binary(
    "hypot",
    lambda xp, g, y, a: g * (a / y),
    lambda xp, g, y, b: g * (b / y),
    numpy="hypot",
    array_api="hypot",
    methods=("hypot",),
)
def hypot(input: Any, other: Any) -> Tensor:
    """sqrt(input**2 + other**2) without overflow. At (0, 0) the derivatives are nan."""


@binary(
    "logaddexp",
    # Not exp(a - y): where both are large y is a, and a tie would count twice.
    lambda xp, g, a, b: g * xp.sigmoid(a - b),
    lambda xp, g, a, b: g * xp.sigmoid(b - a),
    result="float",
    numpy="logaddexp",
    array_api="logaddexp",
    methods=("logaddexp",),
    in_place=False,
    departs={"refuses: complex64, complex128": "NumPy has none"},
)
def logaddexp(input: Any, other: Any) -> Tensor:
    """log(exp(input) + exp(other)) without overflow."""


# activations -----------------------------------------------------------------------------------


@unary(
    "sigmoid",
    lambda xp, g, y: g * ((1 - y) * y),
    numpy={"sigmoid": None, "special.expit": None},
)
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)) of each element."""


@unary(
    lambda xp, x: xp.maximum(x, 0),
    # y is never negative; at nan PyTorch lets g pass.
    lambda xp, g, y: xp.keep(g, y != 0),
    result="same",
    ordered=True,
    samples=over(-2.0, 2.0),
    departs={"accepts: bool": "max(x, 0)"},
)
def relu(input: Tensor) -> Tensor:
    """max(x, 0) of each element. At 0 the derivative is 0."""


# complex numbers -------------------------------------------------------------------------------


@unary(
    lambda xp, x: x.copy() if x.dtype.kind == "b" else xp.conj(x),
    lambda xp, g: xp.conj(g),
    result="same",
    holomorphic=False,
    graph="ConjBackward0",
    numpy={"conj": None, "conjugate": None},
    array_api="conj",
    methods=(),
    path="_conj",
    departs={"copies": "NumPy's conj is no view", "new": "a copy of a real operand too"},
)
def _conj(input: Tensor) -> Tensor:
    """Complex conjugate of each element."""


@public(
    methods=("conj",),
    samples=lambda make: [sample(make.complex(2, 3)), sample(make.real(3))],
    departs={"copies": "NumPy's conj is no view"},
)
def conj(input: Tensor) -> Tensor:
    """Complex conjugate of each element; `input` itself if it is real.

    It is a copy, where PyTorch sets a bit for whoever reads it: by itself it takes many times as
    long.
    """
    return _conj(input) if input.is_complex() else input


@unary(
    "real",
    lambda xp, g: g,  # becomes complex where the engine restores the input's dtype
    result="same",
    holomorphic=False,
    view=True,
    graph="SelectBackward0",
    numpy="real",
    array_api="real",
    methods=(),
    path="_real",
    departs={"new": "a copy of a real operand too"},
)
def _real(input: Tensor) -> Tensor:
    """Real part of each element."""


@unary(
    "imag",
    lambda xp, g: g * 1j,
    result="same",
    holomorphic=False,
    view=True,
    graph="SelectBackward0",
    numpy="imag",
    array_api="imag",
    methods=(),
    path="_imag",
    samples=lambda make: [sample(make.complex(2, 3))],
)
def _imag(input: Tensor) -> Tensor:
    """Imaginary part of each element."""


def _as_part(x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
    return as_view(part(x), x, lambda x, none: part(x), None)


@public(samples=lambda make: [sample(make.complex(2, 3)), sample(make.real(3))])
def real(input: Tensor) -> Tensor:
    """Real part of each element, a view; `input` itself if it is real."""
    return _as_part(input, _real) if input.is_complex() else input


@public(
    samples=lambda make: [sample(make.complex(2, 3))],
    errors=lambda make: [bad(RuntimeError, "imag is not implemented for", make.real(2))],
)
def imag(input: Tensor) -> Tensor:
    """Imaginary part of each element, a view.

    Raises:
        DTypeError: `input` is real.
    """
    if not input.is_complex():
        raise DTypeError(
            "imag is not implemented for tensors with non-complex dtypes, and this one is "
            f"{input.dtype}."
        )
    return _as_part(input, _imag)


@public(
    numpy="sign",
    array_api="sign",
    in_place=True,
    methods=("sgn",),
    samples=over(-2.0, 2.0),
    departs={
        "node": "sign for real numbers",
        "saves less": "of real values nothing",
        "refuses: bool": "NumPy has none",
    },
)
def sgn(input: Tensor) -> Tensor:
    """The sign of each element; x/|x| of a complex one. The derivative of the real one is 0."""
    return _sgn_complex(input) if input.is_complex() else sign(input)


def _sgn_complex(input: Tensor) -> Tensor:
    size = abs(input)
    one_at_zero: Tensor = where(size.eq(0), 1.0, size)
    return input / one_at_zero


# choosing --------------------------------------------------------------------------------------


@binary(
    "maximum",
    # A tie is shared. With a nan neither comparison holds, and both get g, as in PyTorch.
    lambda xp, g, a, b: xp.where(a == b, g * 0.5, xp.where(a < b, 0.0, g)),
    lambda xp, g, a, b: xp.where(a == b, g * 0.5, xp.where(a > b, 0.0, g)),
    ordered=True,
    numpy="maximum",
    array_api="maximum",
    in_place=False,
)
def maximum(input: Any, other: Any) -> Tensor:
    """The larger of two elements, nan if one is nan. At a tie each gets half the gradient."""


@binary(
    "minimum",
    lambda xp, g, a, b: xp.where(a == b, g * 0.5, xp.where(a > b, 0.0, g)),
    lambda xp, g, a, b: xp.where(a == b, g * 0.5, xp.where(a < b, 0.0, g)),
    ordered=True,
    numpy="minimum",
    array_api="minimum",
    in_place=False,
)
def minimum(input: Any, other: Any) -> Tensor:
    """The smaller of two elements, nan if one is nan. At a tie each gets half the gradient."""


# The condition is a raw array: nothing flows to it.
_where = primitive(
    "where",
    lambda xp, a, b, condition: xp.where(condition, a, b),
    lambda xp, g, a_shape, condition: xp.sum_to(xp.keep(g, condition), a_shape),
    lambda xp, g, b_shape, condition: xp.sum_to(xp.keep(g, xp.logical_not(condition)), b_shape),
    elementwise=True,
    holds_arrays=True,
    linear=True,
)


@public(
    methods=(),
    numpy="where",
    array_api="where",
    samples=lambda make: [
        sample(make.boolean(2, 3), make.real(2, 3), make.real(3)),
        sample(make.boolean(3), make.real(2, 1), 0.5),
        sample(make.boolean(), make.real(), make.real(2)),
        sample(make.boolean(2, 3), -1.0, make.real(2, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must match the size", make.boolean(3), make.real(2), make.real(3)),
        bad(RuntimeError, "expected condition to be a boolean", make.real(3), 1.0, make.real(3)),
    ],
)
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition` holds, else `other`, all three broadcast together.

    Without `input` and `other`: the indices of the True elements, as `nonzero(as_tuple=True)`.

    Raises:
        DTypeError: `condition` is not bool.
    """
    if (
        input.__class__ is Tensor
        and other.__class__ is Tensor
        and input._type is other._type
        and condition.__class__ is Tensor
        and condition._type is input._type.bool_type
    ):
        a, b, chosen = input, other, condition
    else:
        chosen = operand("where", condition)
        if not isinstance(chosen, Tensor):
            chosen = wrap(np.asarray(chosen))
        if input is None and other is None:
            return chosen.nonzero(as_tuple=True)
        if chosen.dtype is not dtypes.bool_:
            raise DTypeError(
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{chosen.dtype}."
            )
        a, b = _choices(chosen, input, other)
        common_device("where", (chosen, a, b))
    try:
        return _where(a, b, chosen._array)
    except ShapeError as error:
        raise explain("where", error, (chosen, a, b)) from error


def _choices(condition: Tensor, input: Any, other: Any) -> list[Tensor]:
    """The two operands of `where` as Tensors of one dtype."""
    values = [operand("where", v, i) for i, v in enumerate((input, other), 1)]
    if not any(isinstance(v, Tensor) for v in values):
        # Two numbers: a bool Tensor has no say in the dtype of the result.
        dtype = dtypes.result_category(
            None, None, dtypes.promote_types(*map(dtypes.scalar_dtype, values))
        )
        asarray = condition._type.asarray
        values = [wrap(asarray(v, dtype=dtype.dtype)) for v in values]
    return promote("where", *values)


# Namespace's own.
NUMPY_FACES["keep"] = lambda x, mask: where(mask, x, 0.0)


# At a bound the derivative is 1.
_clamp = primitive(
    "clamp",
    lambda xp, x, min, max: _clip(xp, x, min, max),
    lambda xp, g, x, min, max: xp.keep(g, _inside(x, min, max)),
    elementwise=True,
    graph="ClampBackward1",
)


def _clip(xp: Any, x: Any, low: Any, high: Any) -> Any:
    x = x if low is None else xp.maximum(x, low)
    return x if high is None else xp.minimum(x, high)


def _inside(x: Any, low: Any, high: Any) -> Any:
    if low is None:
        return x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


# Bounds that are Tensors. At a tie `input` gets the gradient.
_clamp_min = binary(
    "maximum",
    lambda xp, g, a, b: xp.keep(g, a >= b),
    lambda xp, g, a, b: xp.keep(g, a < b),
    graph="ClampMinBackward1",
    ordered=True,
    methods=(),
    path="_clamp_min",
    departs={"node": "the bound is a number"},
)
_clamp_max = binary(
    "minimum",
    lambda xp, g, a, b: xp.keep(g, a <= b),
    lambda xp, g, a, b: xp.keep(g, a > b),
    graph="ClampMaxBackward1",
    ordered=True,
    methods=(),
    path="_clamp_max",
    departs={"node": "the bound is a number"},
)


@_clamp_min
def _at_least(input: Any, other: Any) -> Tensor:
    """The larger of `input` and the bound `other`."""


@_clamp_max
def _at_most(input: Any, other: Any) -> Tensor:
    """The smaller of `input` and the bound `other`."""


@public(
    in_place=True,
    methods=("clamp", "clip"),
    numpy={
        "clip": lambda a, a_min=None, a_max=None, *, min=None, max=None: clamp(
            a, a_min if min is None else min, a_max if max is None else max
        )
    },
    array_api="clip",
    samples=lambda make: [
        sample(make.real(2, 3), -1.0, 0.5),
        sample(make.real(2, 3), min=0.1),
        sample(make.real(2, 3), max=0.1),
        sample(make.real(2, 3), make.real(3, low=-1, high=0), make.real(2, 1, low=0.1, high=1)),
    ],
    errors=lambda make: [bad(RuntimeError, "At least one of", make.real(2))],
    departs={"node": "a node per bound where bounds are Tensors"},
)
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Each element moved into [min, max]; where min > max, max.

    Args:
        input: any shape.
        min: the lower bound, a number or a Tensor that broadcasts; None for none.
        max: the upper bound, likewise.

    At a bound the derivative by `input` is 1.

    Raises:
        ArgumentError: both bounds are None.
    """
    if min is None and max is None:
        raise ArgumentError("clamp: At least one of 'min' or 'max' must not be None.")
    x = operand("clamp", input)
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        x = x if min is None else _at_least(x, min)
        return x if max is None else _at_most(x, max)
    bounds = [None if v is None else operand("clamp", v, i) for i, v in enumerate((min, max), 1)]
    if any(isinstance(v, Tensor) for v in bounds):  # they were arrays
        return clamp(x, *bounds)
    dtype = common_dtype([x, *(v for v in bounds if v is not None)])
    if dtype.is_complex:
        raise DTypeError("clamp is not supported for complex types: they have no order.")
    return _clamp(x if x.dtype is dtype else x.to(dtype), *bounds)


@public(
    in_place=True,
    methods=("clamp_min",),
    samples=lambda make: [sample(make.real(2, 3), 0.1)],
    departs={"node": "clamp"},
)
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """The larger of each element and `min`."""
    return clamp(input, min=min)


@public(
    in_place=True,
    methods=("clamp_max",),
    samples=lambda make: [sample(make.real(2, 3), 0.1)],
    departs={"node": "clamp"},
)
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """The smaller of each element and `max`."""
    return clamp(input, max=max)


clip = clamp
absolute = abs
negative = neg
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh
