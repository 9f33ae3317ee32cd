"""Sums, products, quotients and powers of two operands."""

from __future__ import annotations

from typing import Any, NoReturn

from .. import dtypes
from ..errors import ArgumentError
from ..op import Formula, binary, public
from ..samples import bad, over_pairs, sample
from ..tensor import Tensor

__all__ = [
    "add",
    "div",
    "divide",
    "float_power",
    "floor_divide",
    "fmod",
    "mul",
    "multiply",
    "pow",
    "remainder",
    "rsub",
    "sub",
    "subtract",
    "true_divide",
]


def no_derivative(name: str) -> Formula:
    """A rule for an operation that PyTorch records but cannot differentiate."""

    def rule(xp: Any, g: Any) -> NoReturn:
        raise NotImplementedError(f"derivative for {name} is not implemented.")

    return rule


@binary(
    "add",
    lambda xp, g: g,
    lambda xp, g: g,
    graph="AddBackward0",
    numpy="add",
    array_api="add",
    methods=("__add__", "__radd__"),
)
def _add(input: Any, other: Any) -> Tensor:
    """Sum of `input` and `other`."""


@binary(
    "subtract",
    lambda xp, g: g,
    lambda xp, g: -g,
    graph="SubBackward0",
    reflected_graph="RsubBackward1",
    numpy="subtract",
    array_api="subtract",
    methods=("__sub__",),
    reflected="__rsub__",
    departs={"accepts: bool": "a bool Tensor minus a number is a number"},
)
def _sub(input: Any, other: Any) -> Tensor:
    """Difference of `input` and `other`."""


@binary(
    "multiply",
    lambda xp, g, b: g * b,
    lambda xp, g, a: g * a,
    numpy="multiply",
    array_api="multiply",
    methods=("mul", "multiply", "__mul__", "__rmul__"),
    errors=lambda make: [
        bad(RuntimeError, r"size of tensor a \(3\) must match", make.real(2, 3), make.real(4)),
        bad(TypeError, "must be a Tensor, an array or a number", make.real(2), "2"),
    ],
    departs={"saves less": "a factor that is a number"},
)
def mul(input: Any, other: Any) -> Tensor:
    """Product of `input` and `other`, with broadcasting."""


@binary(
    "divide",
    lambda xp, g, b: g / b,
    lambda xp, g, a, b: -g * ((a / b) / b),
    result="float",
    graph="DivBackward0",
    numpy={"divide": None, "true_divide": None},
    array_api="divide",
    methods=("true_divide", "__truediv__"),
    reflected="__rtruediv__",
    samples=over_pairs(-2.0, 2.0, (0.5, 2.0)),
    departs={"saves less": "a divisor that is a number"},
)
def true_divide(input: Any, other: Any) -> Tensor:
    """Quotient of `input` and `other`, with broadcasting; of integers it is floating point."""


@binary(
    "power",
    # At exponent 0 the derivative is 0, also where a**-1 is infinite.
    lambda xp, g, a, b: g * xp.where(b == 0, 0.0, b * a ** (b - 1)),
    # 0**b is 0 for every b > 0: its derivative by b is 0, not 0 * log(0).
    lambda xp, g, y, a, b: g * xp.where((a == 0) & (xp.real(b) >= 0), 0.0, y * xp.log(a)),
    scalar_rule=lambda xp, g, a, b: g * (b * a ** (b - 1)) if b else xp.zeros_like(a * g),
    graph="PowBackward1",
    scalar_graph="PowBackward0",
    reflected_graph="PowBackward2",
    saved_as={"b": "exponent"},
    numpy={"power": None, "float_power": None, "pow": None},
    array_api="pow",
    methods=("pow", "__pow__"),
    reflected="__rpow__",
    samples=lambda make: [
        *over_pairs(0.5, 2.0, (-2.0, 2.0))(make),
        *(sample(make.real(2, 3, low=0.2), p) for p in (0, 1, 2, 3, -1, 0.5, -1.5)),
        sample(make.real(3), 2),
        sample(2.0, make.real(3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Integers to negative integer powers", make.integers(1, 5, 3), -1),
    ],
    departs={"refuses: int32, int64": "PyTorch gives 0 for negative exponents that are Tensors"},
)
def pow(input: Any, exponent: Any) -> Tensor:
    """`input` to the power `exponent`, with broadcasting.

    At 0 the derivative by `input` is 0 for exponent 0; that by `exponent` is 0 for exponents >= 0.
    """


@binary(
    "remainder",
    lambda xp, g: g,
    lambda xp, g, a, b: -g * xp.floor_divide(a, b),
    graph="RemainderBackward1",
    scalar_graph="RemainderBackward0",
    ordered=True,
    numpy={"remainder": None, "mod": None},
    array_api="remainder",
    methods=("remainder", "__mod__"),
    reflected="__rmod__",
    samples=over_pairs(-2.0, 2.0, (0.5, 2.0)),
)
def remainder(input: Any, other: Any) -> Tensor:
    """The rest of the division rounded down: it has the sign of `other`."""


@binary(
    "fmod",
    lambda xp, g: g,
    lambda xp, g, a, b: -g * xp.trunc(a / b),
    graph="FmodBackward1",
    scalar_graph="FmodBackward0",
    ordered=True,
    numpy="fmod",
    samples=over_pairs(-2.0, 2.0, (0.5, 2.0)),
)
def fmod(input: Any, other: Any) -> Tensor:
    """The rest of the division rounded to zero: it has the sign of `input`."""


@binary(
    "floor_divide",
    no_derivative("aten::floor_divide"),
    no_derivative("aten::floor_divide"),
    graph="NotImplemented",
    array_api="floor_divide",
    methods=("floor_divide", "__floordiv__"),
    reflected="__rfloordiv__",
    samples=over_pairs(-2.0, 2.0, (0.5, 2.0)),
    departs={"node": "PyTorch writes torch::autograd::NotImplemented"},
)
def floor_divide(input: Any, other: Any) -> Tensor:
    """The quotient rounded down. It is recorded, but backward through it raises."""


@public(
    in_place=True,
    methods=("add",),
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3), alpha=2.0),
        sample(make.real(2, 3), 1.5),
    ],
    errors=lambda make: [
        bad(RuntimeError, "For integral input tensors", make.integers(0, 5, 2), 1, alpha=0.5),
    ],
)
def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`input + alpha * other`, with broadcasting."""
    return _add(input, other if alpha == 1 else _scaled("add", input, other, alpha))


@public(
    in_place=True,
    methods=("sub",),
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3), alpha=2.0),
        sample(make.real(2, 3), 1.5),
    ],
    departs={"accepts: bool": "a bool Tensor minus a number is a number"},
)
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`input - alpha * other`, with broadcasting."""
    return _sub(input, other if alpha == 1 else _scaled("sub", input, other, alpha))


@public(
    in_place=True,
    methods=("subtract",),
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3), alpha=2.0),
        sample(make.real(2, 3), 1.5, 2.0),
    ],
    departs={
        "node": "SubBackward0 of a number, too",
        "accepts: bool": "a bool Tensor minus a number is a number",
    },
)
def subtract(input: Any, other: Any, alpha: Any = 1) -> Tensor:
    """`sub`, which also takes `alpha` by position."""
    return sub(input, other, alpha=alpha)


def _scaled(name: str, input: Any, other: Any, alpha: Any) -> Any:
    inexact = [
        v._type.recordable if isinstance(v, Tensor) else isinstance(v, float | complex)
        for v in (input, other)
    ]
    if isinstance(alpha, float) and True not in inexact:
        raise ArgumentError(
            f"{name}: For integral input tensors, argument alpha must not be a floating point "
            f"number, and it is {alpha}."
        )
    return other * alpha


@public(
    methods=("rsub",),
    path="rsub",
    samples=lambda make: [
        *over_pairs()(make),
        sample(make.real(2, 3), 1.5, 2.0),
        sample(make.real(2, 3), make.real(3), alpha=2.0),
    ],
    departs={
        "node": "SubBackward0 of the exchanged operands",
        "accepts: bool": "a number minus a bool Tensor is a number",
    },
)
def rsub(input: Any, other: Any, alpha: Any = 1) -> Tensor:
    """`other - alpha * input`."""
    return sub(other, input, alpha=alpha)


@public(
    in_place=True,
    methods=("div", "divide"),
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3, low=0.5)),
        sample(make.real(2, 3), 1.5),
        sample(make.real(2, 3), make.real(3, low=0.5), rounding_mode="trunc"),
        sample(make.real(2, 3), make.real(3, low=0.5), rounding_mode="floor"),
    ],
    errors=lambda make: [
        bad(RuntimeError, "rounding_mode to be one of None", make.real(2), 2, rounding_mode="up"),
    ],
    departs={
        "node": "rounded quotients have a name of their own",
        "saves": "its result rounded, of which the divisor's gradient is made",
        "saves less": "a divisor that is a number",
    },
)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Quotient of `input` and `other`, with broadcasting.

    Args:
        input: the dividend.
        other: the divisor.
        rounding_mode: None; `"trunc"` rounds to zero, `"floor"` down (both: derivative 0).
    """
    if rounding_mode is None:
        return true_divide(input, other)
    if rounding_mode == "trunc":
        return _div_trunc(input, other)
    if rounding_mode == "floor":
        return _div_floor(input, other)
    raise ArgumentError(
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' "
        f"but found {rounding_mode!r}."
    )


def _trunc_divide(xp: Any, a: Any, b: Any) -> Any:
    if xp.result_type(a, b).kind in "iu":
        # trunc of the float quotient would be wrong beyond 2**53.
        quotient = xp.floor_divide(xp.absolute(a), xp.absolute(b))
        return quotient * (xp.sign(a) * xp.sign(b))
    return xp.trunc(a / b)


_SMOOTH_QUOTIENTS = over_pairs(-2.0, 2.0, (0.5, 2.0))


@binary(
    _trunc_divide,
    lambda xp, g, y: xp.zeros_like(y),
    lambda xp, g, y: xp.zeros_like(y),
    graph="DivBackward2",
    ordered=True,
    methods=(),
    samples=_SMOOTH_QUOTIENTS,
    departs={"node": "rounded quotients have a name of their own"},
)
def _div_trunc(input: Any, other: Any) -> Tensor:
    """The quotient rounded to zero."""


@binary(
    "floor_divide",
    lambda xp, g, y: xp.zeros_like(y),
    lambda xp, g, y: xp.zeros_like(y),
    graph="DivBackward2",
    ordered=True,
    # In rules it has the derivative 0, as in PyTorch's.
    numpy="floor_divide",
    methods=(),
    samples=_SMOOTH_QUOTIENTS,
    departs={"node": "rounded quotients have a name of their own"},
)
def _div_floor(input: Any, other: Any) -> Tensor:
    """The quotient rounded down."""


@public(
    in_place=True,
    methods=("float_power",),
    samples=lambda make: [
        sample(make.real(2, 3, low=0.5), make.real(3)),
        sample(make.real(2, 3, low=0.5), 2),
    ],
)
def float_power(input: Any, exponent: Any) -> Tensor:
    """`input` to the power `exponent`, computed in float64 (complex128 for complex)."""

    def widen(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to(dtypes.complex128 if value.is_complex() else dtypes.float64)

    return pow(widen(input), widen(exponent))


multiply = mul
divide = div
