"""Elementwise functions of real numbers and integers, beyond those of `pointwise`."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from .. import dtypes
from ..batching.array import BatchedArray, belongs
from ..batching.namespace import batched
from ..errors import ArgumentError, DTypeError
from ..mode import quiet
from ..op import (
    binary,
    common_device,
    common_dtype,
    operand,
    primitive,
    promote,
    public,
    tensor_of,
    unary,
)
from ..samples import bad, over, sample
from ..symbols import NoSuchLoop
from ..tensor import Tensor
from .arithmetic import mul, no_derivative
from .comparison import eq
from .complex import from_parts
from .pointwise import abs, exp2, trunc
from .shape import common_shape, expand

__all__ = [
    "FrexpResult",
    "addcdiv",
    "addcmul",
    "allclose",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "copysign",
    "deg2rad",
    "fix",
    "fmax",
    "fmin",
    "frac",
    "frexp",
    "gcd",
    "heaviside",
    "isclose",
    "isin",
    "isneginf",
    "isposinf",
    "isreal",
    "lcm",
    "ldexp",
    "lerp",
    "logaddexp2",
    "nan_to_num",
    "nextafter",
    "rad2deg",
    "signbit",
    "sinc",
]

fix = trunc


def expanded(name: str, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Views of one shape, to which all broadcast.

    Raises:
        ShapeError: there is none.
    """
    if all(x._shape == tensors[0]._shape for x in tensors):
        return tensors
    shape = common_shape(name, tensors)
    return [x if x._shape == shape else expand(x, shape) for x in tensors]


# one real number -------------------------------------------------------------------------------

_RADIANS: Final = math.pi / 180.0
_DEGREES: Final = 180.0 / math.pi


@unary(
    lambda xp, x: x * _RADIANS,
    lambda xp, g: g * _RADIANS,
    ordered=True,
    graph="Deg2RadBackward0",
    numpy={"deg2rad": None, "radians": None},
)
def deg2rad(input: Tensor) -> Tensor:
    """Each angle, in degrees, in radians."""


@unary(
    lambda xp, x: x * _DEGREES,
    lambda xp, g: g * _DEGREES,
    ordered=True,
    graph="Rad2DegBackward0",
    numpy={"rad2deg": None, "degrees": None},
)
def rad2deg(input: Tensor) -> Tensor:
    """Each angle, in radians, in degrees."""


@unary(lambda xp, x: x - xp.trunc(x), lambda xp, g: g, result="same", ordered=True)
def frac(input: Tensor) -> Tensor:
    """What is left of each element without its integer part: x - trunc(x). The derivative is 1."""


def _sinc(xp: Any, x: Any) -> Any:
    angle = x * math.pi
    return xp.where(x == 0, 1.0, xp.sin(angle) / xp.where(x == 0, 1.0, angle))


def _sinc_rule(xp: Any, g: Any, x: Any) -> Any:
    angle = x * math.pi
    slope = (angle * xp.cos(angle) - xp.sin(angle)) / xp.where(x == 0, 1.0, angle * x)
    return g * xp.where(x == 0, 0.0, slope)


@unary(_sinc, _sinc_rule, numpy="sinc", samples=over(-2.3, 2.2))
def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x) of each element, 1 at 0. At 0 the derivatives are 0."""


@public(
    methods=("nan_to_num",),
    in_place=True,
    numpy={
        "nan_to_num": lambda x, copy=True, nan=0.0, posinf=None, neginf=None: nan_to_num(
            x, nan, posinf, neginf
        )
    },
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 0.5, 2.0, -3.0),
        sample(make.real(), nan=1.0),
        sample(make.real(0), posinf=1.0),
    ],
)
def nan_to_num(
    input: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """Each element, with numbers in the place of nan and of infinities.

    Args:
        input: any shape and dtype; the parts of complex numbers are replaced each by itself.
        nan: in the place of nan; 0 by default.
        posinf: in the place of infinity; the dtype's largest number by default.
        neginf: in the place of minus infinity; the dtype's lowest number by default.

    Where an element is replaced the derivative is 0.
    """
    x = tensor_of("nan_to_num", input)
    if x.is_complex():
        parts = [nan_to_num(part, nan, posinf, neginf) for part in (x.real, x.imag)]
        return from_parts(*parts)
    if not x._type.recordable:
        return x.clone()
    limits = np.finfo(x.dtype.dtype)
    return _nan_to_num(
        x,
        0.0 if nan is None else float(nan),
        float(limits.max if posinf is None else posinf),
        float(limits.min if neginf is None else neginf),
    )


# Every comparison with nan is False.
_nan_to_num = primitive(
    "nan_to_num",
    # Of numbers alone `where` would make float64.
    lambda xp, x, nan, high, low: xp.where(
        xp.isfinite(x),
        x,
        xp.where(x > 0, xp.full_like(x, high), xp.where(x < 0, xp.full_like(x, low), nan)),
    ),
    lambda xp, g, x: xp.keep(g, xp.isfinite(x)),
    elementwise=True,
)


class FrexpResult(NamedTuple):
    """What `frexp` returns.

    Attributes:
        mantissa: in (-1, -0.5] or [0.5, 1), or 0, nan or infinite.
        exponent: int32.
    """

    mantissa: Tensor
    exponent: Tensor


_exponent = primitive(
    "exponent",
    lambda xp, x: xp.module.frexp(x)[1],
    None,
    batching=lambda level, run, x: BatchedArray(level, run(x.inner)),
)


@public(
    methods=("frexp",),
    numpy="frexp",
    samples=lambda make: [sample(make.real(2, 3)), sample(make.real()), sample(make.real(0))],
    errors=lambda make: [bad(RuntimeError, "only supports floating", make.integers(1, 5, 2))],
    departs={"node": "composite"},
)
def frexp(input: Tensor) -> FrexpResult:
    """Each element as mantissa times 2 to the power exponent.

    Args:
        input: floating point, any shape.

    Returns:
        The mantissa, in (-1, -0.5] or [0.5, 1), and the exponent, int32. The derivative of the
        mantissa is 2**-exponent.

    Raises:
        DTypeError: `input` is not floating point.
    """
    x = tensor_of("frexp", input)
    if not x.is_floating_point():
        raise DTypeError(f"torch.frexp() only supports floating-point dtypes, not {x.dtype}.")
    exponent = _exponent(x)
    # In two factors: one alone would be infinite where x is a very small number.
    half = exponent // 2
    first, second = exp2(-half.to(x.dtype)), exp2((half - exponent).to(x.dtype))
    return FrexpResult(x * first * second, exponent)


# two real numbers ------------------------------------------------------------------------------


@binary(
    lambda xp, a, b: xp.module.copysign(a, b),
    lambda xp, g, y, a: g * xp.where(a == 0, 0.0, y / xp.where(a == 0, 1.0, a)),
    lambda xp, g: xp.zeros_like(g),
    result="float",
    ordered=True,
    graph="CopysignBackward0",
    scalar_graph="CopysignBackward1",
    numpy="copysign",
    array_api="copysign",
)
def copysign(input: Any, other: Any) -> Tensor:
    """The size of `input` with the sign of `other`, that of zeros too.

    The derivative by `input` is 1 or -1, at 0 it is 0; that by `other` is 0.
    """


@binary(
    lambda xp, a, b: xp.module.fmax(a, b),
    lambda xp, g, a, b: xp.keep(g, (a >= b) | xp.isnan(b)),
    lambda xp, g, a, b: xp.keep(g, xp.logical_not((a >= b) | xp.isnan(b))),
    ordered=True,
    numpy="fmax",
    in_place=False,
)
def fmax(input: Any, other: Any) -> Tensor:
    """The larger of two elements, the other one if one is nan. A tie's gradient is `input`'s."""


@binary(
    lambda xp, a, b: xp.module.fmin(a, b),
    lambda xp, g, a, b: xp.keep(g, (a <= b) | xp.isnan(b)),
    lambda xp, g, a, b: xp.keep(g, xp.logical_not((a <= b) | xp.isnan(b))),
    ordered=True,
    numpy="fmin",
    in_place=False,
)
def fmin(input: Any, other: Any) -> Tensor:
    """The smaller of two elements, the other one if one is nan. A tie's gradient is `input`'s."""


@binary(
    lambda xp, a, b: xp.module.logaddexp2(a, b),
    lambda xp, g, a, b: g / (1 + xp.exp2(b - a)),
    lambda xp, g, a, b: g / (1 + xp.exp2(a - b)),
    result="float",
    ordered=True,
    numpy="logaddexp2",
    methods=("logaddexp2",),
    in_place=False,
)
def logaddexp2(input: Any, other: Any) -> Tensor:
    """log2(2**input + 2**other) without overflow."""


@binary(
    lambda xp, a, b: xp.module.nextafter(a, b),
    lambda xp, g, a, b: xp.keep(g, a != b),
    lambda xp, g: xp.zeros_like(g),
    result="float",
    ordered=True,
    numpy="nextafter",
    array_api="nextafter",
)
def nextafter(input: Any, other: Any) -> Tensor:
    """The number of the dtype next to `input` towards `other`.

    The derivative by `input` is 1, or 0 where it stays; that by `other` is 0.
    """


_heaviside = primitive(
    "heaviside",
    lambda xp, a, b: xp.where(a == 0, b, xp.astype(a > 0, b.dtype)),
    no_derivative("aten::heaviside"),
    no_derivative("aten::heaviside"),
    elementwise=True,
    graph="NotImplemented",
)


@public(
    methods=("heaviside",),
    in_place=True,
    numpy="heaviside",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3)),
        sample(make.integers(-1, 2, 6), make.integers(2, 5, 1)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "tensors with different dtypes", make.real(2), make.integers(0, 2, 2)),
    ],
    departs={"node": "PyTorch writes torch::autograd::NotImplemented"},
)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where `input` is negative, `values` where it is 0, and 1 where it is positive.

    It is recorded, but backward through it raises.

    Raises:
        DTypeError: the operands have two dtypes, or are complex.
    """
    x, v = tensor_of("heaviside", input), tensor_of("heaviside", values)
    if x.dtype is not v.dtype:
        raise DTypeError(
            "heaviside is not yet implemented for tensors with different dtypes: "
            f"{x.dtype} and {v.dtype}."
        )
    if x.is_complex():
        raise DTypeError("heaviside is not yet implemented for complex tensors.")
    common_device("heaviside", (x, v))
    return _heaviside(*expanded("heaviside", (x, v)))


@public(
    methods=("ldexp",),
    in_place=True,
    numpy="ldexp",
    samples=lambda make: [
        sample(make.real(2, 3), make.integers(0, 4, 3)),
        sample(make.real(2, 3), make.real(2, 1)),
        sample(make.integers(-3, 4, 3), make.integers(-3, 4, 3)),
    ],
    departs={"node": "composite", "saves": "both factors"},
)
def ldexp(input: Any, other: Any) -> Tensor:
    """`input` times 2 to the power `other`, with broadcasting."""
    exponent = operand("ldexp", other, 1)
    if isinstance(exponent, Tensor) and not exponent._type.recordable:
        kind = getattr(input, "dtype", None)
        inexact = isinstance(input, Tensor) and input._type.recordable
        exponent = exponent.to(kind if inexact else dtypes.get_default_dtype())
    return mul(input, exp2(exponent) if isinstance(exponent, Tensor) else 2.0**exponent)


# three numbers ---------------------------------------------------------------------------------


def _three(make: Any) -> list[Any]:
    return [
        sample(make.real(2, 3), make.real(3), make.real(2, 1, low=0.5)),
        sample(make.real(3), make.real(2, 3), make.real(3, low=0.5), value=-1.5),
        sample(make.real(), make.real(), make.real(low=0.5)),
        sample(make.real(0), make.real(1), make.real(low=0.5), value=2),
    ]


_addcmul = primitive(
    "addcmul",
    lambda xp, x, a, b, value: x + (a * b if value == 1 else value * (a * b)),
    lambda xp, g: g,
    lambda xp, g, b, value: g * (value * b),
    lambda xp, g, a, value: g * (value * a),
    elementwise=True,
    bilinear=True,
)
_addcdiv = primitive(
    "addcdiv",
    lambda xp, x, a, b, value: x + (a / b if value == 1 else value * (a / b)),
    lambda xp, g: g,
    lambda xp, g, b, value: g * (value / b),
    lambda xp, g, a, b, value: g * (-value * (a / (b * b))),
    elementwise=True,
    bilinear=True,
)


def _combined(name: str, function: Any, tensors: Any, value: Any) -> Tensor:
    tensors = [tensor_of(name, v) for v in tensors]
    if isinstance(value, Tensor):
        value = value.item()
    x = tensors[0]
    if any(v._type is not x._type for v in tensors):
        tensors = promote(name, *tensors)
    dtype = tensors[0].dtype
    value = value if dtype.is_complex else float(value) if dtype.is_inexact else int(value)
    return function(*expanded(name, tensors), value)  # type: ignore[no-any-return]


@public(
    methods=("addcmul",),
    in_place=True,
    kind="primitive",
    samples=_three,
    errors=lambda make: [
        bad(RuntimeError, "must match the size", make.real(2), make.real(3), make.real(3)),
        bad(TypeError, "must be Tensor", make.real(2), make.real(2), 2.0),
    ],
)
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """`input + value * tensor1 * tensor2`, with broadcasting.

    Args:
        input: any dtype.
        tensor1: a factor.
        tensor2: a factor.
        value: a number; for integer tensors, its integer part.
    """
    return _combined("addcmul", _addcmul, (input, tensor1, tensor2), value)


@public(
    methods=("addcdiv",),
    in_place=True,
    kind="primitive",
    samples=_three,
    errors=lambda make: [
        bad(RuntimeError, "Integer division with addcdiv", *[make.integers(1, 3, 2)] * 3),
    ],
)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """`input + value * tensor1 / tensor2`, with broadcasting.

    Args:
        input: any dtype.
        tensor1: the dividend.
        tensor2: the divisor; one of the two must be floating point or complex.
        value: a number.

    Raises:
        DTypeError: both are integers.
    """
    dtype = common_dtype([tensor_of("addcdiv", v) for v in (tensor1, tensor2)])
    if not dtype.is_inexact:
        raise DTypeError(
            "Integer division with addcdiv is not supported. Convert one of tensor1 and tensor2, "
            f"which are {dtype}, to floating point, or use trunc of their quotient."
        )
    return _combined("addcdiv", _addcdiv, (input, tensor1, tensor2), value)


# Each end is met exactly: from the nearer one.
_lerp = primitive(
    "lerp",
    lambda xp, a, b, weight: (
        a + weight * (b - a) if builtins.abs(weight) < 0.5 else b - (b - a) * (1 - weight)
    ),
    lambda xp, g, weight: g * (1 - weight),
    lambda xp, g, weight: g * weight,
    elementwise=True,
    bilinear=True,
    linear=True,
)
_lerp_tensor = primitive(
    "lerp_tensor",
    lambda xp, a, b, c: xp.where(xp.absolute(c) < 0.5, a + c * (b - a), b - (b - a) * (1 - c)),
    lambda xp, g, c: g * (1 - c),
    lambda xp, g, c: g * c,
    lambda xp, g, a, b: g * (b - a),
    elementwise=True,
    bilinear=True,
    graph="LerpBackward1",
)


@public(
    methods=("lerp",),
    in_place=True,
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3), 0.25),
        sample(make.real(3), make.real(2, 1), 0.75),
        sample(make.real(2, 3), make.real(3), make.real(2, 1)),
        sample(make.real(), make.real(), make.real()),
        sample(make.real(0), make.real(1), 0.5),
    ],
    errors=lambda make: [
        bad(RuntimeError, "expected dtype", make.real(2), make.integers(0, 2, 2), 0.5),
        bad(RuntimeError, "must match the size", make.real(2), make.real(3), 0.5),
    ],
)
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """`input + weight * (end - input)`: from `input` at weight 0 to `end` at weight 1.

    Args:
        input: floating point or complex.
        end: of the same dtype; broadcasts.
        weight: a number, or a Tensor of the same dtype that broadcasts.

    Raises:
        DTypeError: the dtypes differ, or are not inexact.
    """
    x, e = tensor_of("lerp", input), tensor_of("lerp", end)
    if not x.dtype.is_inexact:
        raise DTypeError(f"lerp is not implemented for {x.dtype}.")
    operands = {"end": e}
    given = operand("lerp", weight, 2)
    if isinstance(given, Tensor):
        operands["weight"] = given
    for name, v in operands.items():
        if v.dtype is not x.dtype and not (name == "weight" and not v._shape):
            raise DTypeError(f"expected dtype {x.dtype} for `{name}` but got dtype {v.dtype}.")
    common_device("lerp", (x, *operands.values()))
    if not isinstance(given, Tensor):
        return _lerp(*expanded("lerp", (x, e)), given)
    return _lerp_tensor(*expanded("lerp", promote("lerp", x, e, given)))


# integers --------------------------------------------------------------------------------------


def _whole_numbers(make: Any) -> list[Any]:
    return [
        sample(make.integers(-9, 10, 2, 3), make.integers(-9, 10, 3)),
        sample(make.integers(-9, 10, 3), make.integers(-9, 10)),
    ]


@binary(
    lambda xp, a, b: xp.module.gcd(a, b),
    None,
    None,
    ordered=True,
    numpy="gcd",
    samples=_whole_numbers,
    errors=lambda make: [bad(RuntimeError, "not implemented for", make.real(2), make.real(2))],
)
def gcd(input: Any, other: Any) -> Tensor:
    """The greatest common divisor of two integers, never negative; of 0 and x it is |x|."""


@binary(
    lambda xp, a, b: xp.module.lcm(a, b),
    None,
    None,
    ordered=True,
    numpy="lcm",
    samples=_whole_numbers,
    errors=lambda make: [bad(RuntimeError, "not implemented for", make.real(2), make.real(2))],
)
def lcm(input: Any, other: Any) -> Tensor:
    """The least common multiple of two integers, never negative; of 0 and x it is 0."""


def _shifts(make: Any) -> list[Any]:
    return [
        sample(make.integers(-9, 10, 2, 3), make.integers(0, 5, 3)),
        sample(make.integers(-9, 10, 3), 2),
        sample(3, make.integers(0, 5, 3)),
        sample(make.integers(-9, 10, 3), np.array([-1, 64, 70])),
    ]


# C leaves open what a shift by less than 0 or by all bits is; here and in NumPy all bits leave.
def _bits(a: Any, b: Any) -> int:
    """The width of the integers that are shifted.

    Raises:
        NoSuchLoop: one operand is no integer.
    """
    dtypes = [v.dtype for v in (a, b) if hasattr(v, "dtype")]
    if isinstance(a, float | complex) or isinstance(b, float | complex):
        raise NoSuchLoop("a number is no integer")
    if any(t.kind not in "iub" for t in dtypes):
        raise NoSuchLoop("expected integers")
    return max(8 * int(t.itemsize) for t in dtypes)


def _left_shift(xp: Any, a: Any, b: Any) -> Any:
    bits = _bits(a, b)
    if isinstance(b, int):
        return xp.module.left_shift(a, b) if 0 <= b < bits else a * 0
    return xp.module.left_shift(a, b) * ((b >= 0) & (b < bits))


def _right_shift(xp: Any, a: Any, b: Any) -> Any:
    bits = _bits(a, b)
    if isinstance(b, int):
        return xp.module.right_shift(a, b if 0 <= b < bits else bits - 1)
    return xp.module.right_shift(a, xp.where((b >= 0) & (b < bits), b, bits - 1))


@binary(
    _left_shift,
    None,
    None,
    numpy={"left_shift": None, "bitwise_left_shift": None},
    array_api="bitwise_left_shift",
    methods=("bitwise_left_shift", "__lshift__"),
    reflected="__rlshift__",
    samples=_shifts,
    errors=lambda make: [bad(RuntimeError, "not implemented for", make.real(2), make.real(2))],
)
def bitwise_left_shift(input: Any, other: Any) -> Tensor:
    """The bits of each integer moved up by `other`: `input` times 2**other. Bits may fall off."""


@binary(
    _right_shift,
    None,
    None,
    numpy={"right_shift": None, "bitwise_right_shift": None},
    array_api="bitwise_right_shift",
    methods=("bitwise_right_shift", "__rshift__"),
    reflected="__rrshift__",
    samples=_shifts,
    errors=lambda make: [bad(RuntimeError, "not implemented for", make.real(2), make.real(2))],
)
def bitwise_right_shift(input: Any, other: Any) -> Tensor:
    """The bits of each integer moved down by `other`: floor(input / 2**other)."""


# bool results ----------------------------------------------------------------------------------


@unary(
    lambda xp, x: xp.module.signbit(x) if x.dtype.kind == "f" else x < 0,
    result="bool",
    ordered=True,
    numpy="signbit",
    array_api="signbit",
    in_place=False,
)
def signbit(input: Tensor) -> Tensor:
    """Whether each element is negative, -0.0 included."""


@unary(lambda xp, x: x == math.inf, result="bool", ordered=True, numpy="isposinf", in_place=False)
def isposinf(input: Tensor) -> Tensor:
    """Whether each element is positive infinity."""


@unary(lambda xp, x: x == -math.inf, result="bool", ordered=True, numpy="isneginf", in_place=False)
def isneginf(input: Tensor) -> Tensor:
    """Whether each element is negative infinity."""


@unary(lambda xp, x: xp.imag(x) == 0, result="bool", numpy="isreal", in_place=False)
def isreal(input: Tensor) -> Tensor:
    """Whether each element has no imaginary part.

    NumPy makes the imaginary parts of real numbers too, to compare them: there it takes five times
    as long as PyTorch's, which fills the result.
    """


@public(
    methods=("isclose",),
    numpy="isclose",
    differentiable=False,
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3)),
        sample(make.real(3), make.real(3), 0.5, 0.5),
        sample(make.integers(0, 3, 4), make.integers(0, 3, 4), atol=1.0),
        sample(np.array([np.inf, -np.inf, 1], "f4"), np.array([np.inf], "f4")),
        sample(np.array([np.nan, 1], "f4"), np.array([np.nan, 1], "f4"), equal_nan=True),
        sample(make.complex(3), make.complex(3), rtol=1.0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "did not match", make.real(2), make.integers(0, 2, 2)),
        bad(RuntimeError, "rtol must be greater than", make.real(2), make.real(2), rtol=-1.0),
        bad(RuntimeError, "atol must be greater than", make.real(2), make.real(2), atol=-1.0),
    ],
)
def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """Whether |input - other| <= atol + rtol |other|, with broadcasting; bool.

    Args:
        input: any dtype.
        other: of the same dtype; broadcasts.
        rtol: the difference allowed, relative to `other`.
        atol: the difference allowed beside that.
        equal_nan: whether nan is close to nan.

    Raises:
        DTypeError: the dtypes differ.
        ArgumentError: a tolerance is negative.
    """
    a, b = tensor_of("isclose", input), tensor_of("isclose", other)
    if a.dtype is not b.dtype:
        raise DTypeError(f"{a.dtype} did not match {b.dtype}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not value >= 0:
            raise ArgumentError(
                f"isclose: {name} must be greater than or equal to zero, but got {value}"
            )
    a, b = a.detach(), b.detach()
    close = eq(a, b)
    if equal_nan and a.dtype.is_inexact:
        close = close | ((a != a) & (b != b))
    if rtol == 0 and atol == 0:
        return close
    if not a.dtype.is_inexact:
        a, b = a.to(dtypes.get_default_dtype()), b.to(dtypes.get_default_dtype())
    with quiet():  # infinity minus itself
        difference = abs(a - b)
    return close | (difference.isfinite() & (difference <= abs(b * rtol) + atol))


@public(
    methods=("allclose",),
    numpy="allclose",
    differentiable=False,
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3)),
        sample(make.real(3), make.real(3), 5.0),
    ],
    waits=True,
)
def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether `isclose` holds for all elements. Waits for the device."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def _isin_of_batches(level: Any, run: Any, x: Any, among: Any, invert: bool) -> Any:
    if not belongs(among, level):
        return BatchedArray(level, run(x.inner, among, invert))
    pairs = batched.expand_dims(x, -1) == batched.reshape(among, (-1,))
    found = batched.any(pairs, axis=-1)
    return batched.logical_not(found) if invert else found


_isin = primitive(
    "isin",
    lambda xp, x, among, invert: xp.module.isin(x, among, invert=invert),
    None,
    None,
    batching=_isin_of_batches,
)


@public(
    numpy={
        "isin": lambda element, test_elements, assume_unique=False, invert=False, *, kind=None: (
            isin(element, test_elements, assume_unique=assume_unique, invert=invert)
        )
    },
    differentiable=False,
    samples=lambda make: [
        sample(make.integers(0, 5, 2, 3), make.integers(0, 5, 2)),
        sample(make.integers(0, 5, 3), 2, invert=True),
        sample(2, make.integers(0, 5, 3)),
        sample(make.real(0), make.real(2), assume_unique=True),
        sample(element=2, test_elements=make.integers(0, 5, 3)),
        sample(elements=make.integers(0, 5, 3), test_element=2),
    ],
    errors=lambda make: [
        bad(TypeError, "at least one argument must be a Tensor", 2.0, 3.0),
        bad(TypeError, "argument 2 must be a Tensor", make.real(2)),
    ],
    departs={"accepts: bool, complex64, complex128": "any dtype"},
)
def isin(
    elements: Any = None,
    test_elements: Any = None,
    *,
    assume_unique: bool = False,
    invert: bool = False,
    element: Any = None,
    test_element: Any = None,
) -> Tensor:
    """Whether each element occurs in `test_elements`.

    Args:
        elements: a Tensor of any shape, or a number.
        test_elements: a Tensor of any shape, or a number.
        assume_unique: without effect: it saves PyTorch a sort.
        invert: whether each element does not occur, instead.
        element: PyTorch's name for a number in the place of `elements`.
        test_element: that for one in the place of `test_elements`.

    Returns:
        bool, of the shape of `elements`.
    """
    x, among = promote(
        "isin",
        elements if element is None else element,
        test_elements if test_element is None else test_element,
    )
    return _isin(x, among, invert)
