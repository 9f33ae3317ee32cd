"""Comparisons and logic: bool results, no derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..op import binary, comparison, public, tensor_of, unary
from ..samples import sample
from ..tensor import Tensor

__all__ = [
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "not_equal",
]

F = TypeVar("F", bound=Callable[..., Any])


@comparison("equal", numpy="equal", array_api="equal", methods=("eq", "__eq__"))
def eq(input: Any, other: Any) -> Tensor:
    """Whether elements are equal."""


@comparison(
    "not_equal", numpy="not_equal", array_api="not_equal", methods=("ne", "not_equal", "__ne__")
)
def ne(input: Any, other: Any) -> Tensor:
    """Whether elements differ."""


@comparison("less", numpy="less", array_api="less", methods=("lt", "less", "__lt__"), ordered=True)
def lt(input: Any, other: Any) -> Tensor:
    """Whether elements of `input` are less."""


@comparison(
    "less_equal",
    numpy="less_equal",
    array_api="less_equal",
    methods=("le", "less_equal", "__le__"),
    ordered=True,
)
def le(input: Any, other: Any) -> Tensor:
    """Whether elements of `input` are less or equal."""


@comparison(
    "greater",
    numpy="greater",
    array_api="greater",
    methods=("gt", "greater", "__gt__"),
    ordered=True,
)
def gt(input: Any, other: Any) -> Tensor:
    """Whether elements of `input` are greater."""


@comparison(
    "greater_equal",
    numpy="greater_equal",
    array_api="greater_equal",
    methods=("ge", "greater_equal", "__ge__"),
    ordered=True,
)
def ge(input: Any, other: Any) -> Tensor:
    """Whether elements of `input` are greater or equal."""


@comparison("logical_and", numpy="logical_and", array_api="logical_and")
def logical_and(input: Any, other: Any) -> Tensor:
    """Whether both elements are true (not zero)."""


@comparison("logical_or", numpy="logical_or", array_api="logical_or")
def logical_or(input: Any, other: Any) -> Tensor:
    """Whether one of two elements is true (not zero)."""


@comparison("logical_xor", numpy="logical_xor", array_api="logical_xor")
def logical_xor(input: Any, other: Any) -> Tensor:
    """Whether exactly one of two elements is true (not zero)."""


@unary(
    "logical_not",
    result="bool",
    numpy="logical_not",
    array_api="logical_not",
)
def logical_not(input: Tensor) -> Tensor:
    """Whether each element is false (zero)."""


@unary("isnan", result="bool", numpy="isnan", array_api="isnan", in_place=False)
def isnan(input: Tensor) -> Tensor:
    """Whether each element is nan."""


@unary("isinf", result="bool", numpy="isinf", array_api="isinf", in_place=False)
def isinf(input: Tensor) -> Tensor:
    """Whether each element is infinite."""


@unary("isfinite", result="bool", numpy="isfinite", array_api="isfinite", in_place=False)
def isfinite(input: Tensor) -> Tensor:
    """Whether each element is neither nan nor infinite."""


def _bitwise(word: str) -> Callable[[F], F]:
    name = f"bitwise_{word}"
    return binary(
        name,
        None,
        None,
        numpy=name,
        array_api=name,
        methods=(name, f"__{word}__", f"__r{word}__"),
        samples=lambda make: [sample(make.integers(0, 9, 2, 3), make.integers(0, 9, 3))],
    )


@_bitwise("and")
def bitwise_and(input: Any, other: Any) -> Tensor:
    """Bits set in both integers; of bools, logical and."""


@_bitwise("or")
def bitwise_or(input: Any, other: Any) -> Tensor:
    """Bits set in one of two integers; of bools, logical or."""


@_bitwise("xor")
def bitwise_xor(input: Any, other: Any) -> Tensor:
    """Bits set in exactly one of two integers; of bools, logical xor."""


@unary(
    "invert",
    result="same",
    numpy={"invert": None, "bitwise_not": None},
    array_api="bitwise_invert",
    methods=("bitwise_not", "__invert__"),
    samples=lambda make: [sample(make.integers(0, 9, 2, 3)), sample(make.boolean(3))],
)
def bitwise_not(input: Tensor) -> Tensor:
    """The complement of each integer's bits; of bools, logical not."""


@public(
    methods=("equal",),
    numpy="array_equal",
    differentiable=False,
    samples=lambda make: [sample(make.real(3), make.real(3))],
    waits=True,
    batched=False,
)
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two Tensors have the same shape and elements. Waits for the device.

    All elements are compared, where PyTorch stops at the first that differ: unless they are equal
    it takes many times as long.
    """
    a, b = tensor_of("equal", input), tensor_of("equal", other)
    return a._shape == b._shape and bool(eq(a, b).all())


greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
