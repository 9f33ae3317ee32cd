"""Element types and PyTorch's promotion table over NumPy dtypes.

Reference:
    https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .errors import ArgumentTypeError, DTypeError

__all__ = [
    "dtype",
    "from_numpy_dtype",
    "get_default_dtype",
    "promote_types",
    "result_category",
    "set_default_dtype",
    "to_dtype",
]


class dtype:
    """An element type, for example `gradcore.float32`.

    It equals the NumPy dtype it stands for, and NumPy accepts it as one.

    Attributes:
        name: `"float32"`.
        dtype: the NumPy dtype.
        itemsize: bytes per element.
        is_floating_point: True for float16, float32, float64.
        is_complex: True for complex64 and complex128.
        is_signed: False for bool and the unsigned integers.
        code: position in the table of all dtypes.
    """

    __slots__ = (
        "code",
        "dtype",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "label",
        "name",
    )

    def __init__(self, name: str, label: str, code: int) -> None:
        self.name: Final = name
        self.label: Final = label
        self.code: Final = code
        self.dtype: Final[np.dtype[Any]] = np.dtype(name)
        self.itemsize: Final = self.dtype.itemsize
        self.is_floating_point: Final = self.dtype.kind == "f"
        self.is_complex: Final = self.dtype.kind == "c"
        self.is_signed: Final = self.dtype.kind in "ifc"

    def __repr__(self) -> str:
        return f"gradcore.{self.name}"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, dtype):
            return False
        return bool(self.dtype == other)

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return to_dtype, (self.name,)

    @property
    def is_inexact(self) -> bool:
        """True for floating point and complex: the dtypes that can require gradients."""
        return self.is_floating_point or self.is_complex

    def to_real(self) -> dtype:
        """The dtype of a real part: complex64 gives float32, float64 itself."""
        return _REAL.get(self.name, self)

    def to_complex(self) -> dtype:
        """The complex dtype of the same precision."""
        return _COMPLEX.get(self.name, complex64)


bool_ = dtype("bool", "Bool", 0)
uint8 = dtype("uint8", "Byte", 1)
int8 = dtype("int8", "Char", 2)
int16 = dtype("int16", "Short", 3)
int32 = dtype("int32", "Int", 4)
int64 = dtype("int64", "Long", 5)
uint16 = dtype("uint16", "UInt16", 6)
uint32 = dtype("uint32", "UInt32", 7)
uint64 = dtype("uint64", "UInt64", 8)
float16 = dtype("float16", "Half", 9)
float32 = dtype("float32", "Float", 10)
float64 = dtype("float64", "Double", 11)
complex64 = dtype("complex64", "ComplexFloat", 12)
complex128 = dtype("complex128", "ComplexDouble", 13)

ALL: Final = (
    bool_,
    uint8,
    int8,
    int16,
    int32,
    int64,
    uint16,
    uint32,
    uint64,
    float16,
    float32,
    float64,
    complex64,
    complex128,
)
_REAL = {"complex64": float32, "complex128": float64}
_COMPLEX = {"float64": complex128, "complex128": complex128}
_BY_NUMPY: Final[dict[np.dtype[Any], dtype]] = {t.dtype: t for t in ALL}
_default: dtype = float32


def get_default_dtype() -> dtype:
    """The dtype of a Tensor made from Python floats: float32 unless it was set."""
    return _default


def set_default_dtype(d: Any) -> None:
    """Set the dtype of Tensors made from Python floats: float32 or float64.

    Raises:
        ArgumentTypeError: `d` is no floating-point dtype.
    """
    global _default
    new = to_dtype(d)
    if not new.is_floating_point:
        raise ArgumentTypeError(
            f"set_default_dtype: only floating-point types are supported as the default type, "
            f"not {new}."
        )
    _default = new


def from_numpy_dtype(numpy_dtype: np.dtype[Any]) -> dtype:
    """The gradcore dtype of a NumPy (or CuPy) array's dtype.

    Raises:
        DTypeError: there is none (object, string, datetime, longdouble ...).
    """
    found = _BY_NUMPY.get(numpy_dtype)
    if found is None:
        native = numpy_dtype.newbyteorder("=")
        found = _BY_NUMPY.get(native)
    if found is None:
        raise DTypeError(
            f"can't convert an array of dtype {numpy_dtype} to a Tensor. The supported types are: "
            + ", ".join(t.name for t in ALL)
            + "."
        )
    return found


def to_dtype(spec: Any) -> dtype:
    """The dtype that `spec` names: a gradcore or NumPy dtype, a name, or `float`, `int`, `bool`.

    Python's `float` is float64, as in PyTorch and NumPy.

    Raises:
        ArgumentTypeError: `spec` names no dtype.
    """
    if isinstance(spec, dtype):
        return spec
    try:
        return from_numpy_dtype(np.dtype(spec))
    except TypeError as error:
        raise ArgumentTypeError(
            f"expected a dtype such as gradcore.float32, but got {spec!r}."
        ) from error


def scalar_dtype(value: object) -> dtype:
    """The dtype that a Python scalar stands for: int64, or the default dtype and its complex."""
    if isinstance(value, bool):
        return bool_
    if isinstance(value, int):
        return int64
    if isinstance(value, float):
        return _default
    return _default.to_complex()


def _promote(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if a.is_inexact or b.is_inexact:
        # Integers never widen a float: float16 + int64 is float16, where NumPy says float64.
        if not b.is_inexact:
            return a
        if not a.is_inexact:
            return b
    return _BY_NUMPY[np.promote_types(a.dtype, b.dtype)]


_TABLE: Final[dict[tuple[dtype, dtype], dtype]] = {}


def promote_types(type1: Any, type2: Any) -> dtype:
    """The smallest dtype that both promote to, by PyTorch's table.

    Raises:
        DTypeError: PyTorch has none (uint16, uint32 or uint64 with another integer or bool).
    """
    pair = to_dtype(type1), to_dtype(type2)
    found = _TABLE.get(pair)
    if found is None:
        a, b = pair
        found = _promote(a, b)
        wide = {uint16, uint32, uint64}
        if a is not b and (a in wide or b in wide) and not (a.is_inexact or b.is_inexact):
            raise DTypeError(
                f"Promotion for uint16, uint32, uint64 types is not supported, "
                f"attempted to promote {a.label} and {b.label}."
            )
        _TABLE[pair] = found
    return found


def result_category(
    dimensioned: dtype | None, zero_dim: dtype | None, scalar: dtype | None
) -> dtype:
    """PyTorch's rule: what has dimensions beats 0-d Tensors, and those beat Python scalars.

    A lower rank only counts if it is of a higher category (bool < integer < float < complex).
    """
    result = _combine(dimensioned, _combine(zero_dim, scalar))
    assert result is not None
    return result


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    if higher is None or lower is None:
        return higher or lower
    if higher.is_complex:
        return higher
    if higher.is_floating_point:
        return higher.to_complex() if lower.is_complex else higher
    if higher is bool_ or lower.is_inexact:
        return promote_types(higher, lower)
    return higher
