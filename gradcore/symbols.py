"""Symbols: what a rule is handed so that it prints source text.

A `Symbol` stands for an array of which only the dtype and the shape are known. The functions of
`symbolic`, a Namespace, and Python's operators make new Symbols out of Symbols, by NumPy's rules of
promotion; so a formula over a namespace `xp`, run once on Symbols, leaves the expression that it
computes. `body` prints elementwise expressions as the CUDA C of one kernel.

A Symbol that is *weak* stands for a Python number which a kernel gets as an argument: like the
number itself, it has no say in the dtype of a result.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn, cast

import numpy as np

from .errors import GradcoreError
from .namespace import OPERATORS, Namespace

__all__ = [
    "ELEMENTWISE",
    "NotElementwise",
    "NumberNeeded",
    "Symbol",
    "body",
    "inputs_of",
    "loop_of",
    "symbolic",
]

DType = np.dtype[Any]
Shape = tuple[int, ...]


class NotElementwise(GradcoreError, TypeError):
    """A formula does what has no place in an elementwise expression."""


class NoSuchLoop(NotElementwise):
    """NumPy does not have the function for operands of these dtypes."""


class NumberNeeded(NotElementwise):
    """A formula depends on the value of a Python number: it must be traced with the number."""


class Symbol:
    """An array without values.

    Attributes:
        function: the Namespace function that makes it; "input" for one that is given.
        operands: Symbols and Python numbers; of an input, its name.
        dtype: the element type.
        shape: the length of each dimension.
        weak: it stands for a Python number.
        detail: what the function takes beside operands, such as axes.
        quiet: it was made where NumPy's warnings are off.
    """

    __slots__ = (
        "__weakref__",
        "detail",
        "dtype",
        "function",
        "operands",
        "quiet",
        "shape",
        "weak",
    )

    # NumPy's operators and functions leave Symbols to these methods.
    __array_ufunc__ = None

    def __init__(
        self,
        function: str,
        operands: tuple[Any, ...],
        dtype: DType,
        shape: Shape = (),
        weak: bool = False,
        detail: Any = None,
    ) -> None:
        self.function = function
        self.operands = operands
        self.dtype = dtype
        self.shape = shape
        self.weak = weak
        self.detail = detail
        self.quiet = np.geterr()["invalid"] == "ignore"

    @staticmethod
    def input(name: str, dtype: Any, shape: Shape = ()) -> Symbol:
        """An array that is given."""
        return Symbol("input", (name,), np.dtype(dtype), shape)

    @staticmethod
    def number(name: str) -> Symbol:
        """A real Python number that is given."""
        return Symbol("input", (name,), np.dtype(np.float64), (), True)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        return self._text(3)

    def _text(self, depth: int) -> str:
        """The expression; what lies deeper than `depth` is left out."""
        if self.function == "input":
            return str(self.operands[0])
        if not depth:
            return "..."
        inner = [v._text(depth - 1) if isinstance(v, Symbol) else repr(v) for v in self.operands]
        return f"{self.function}({', '.join(inner)})"

    def __bool__(self) -> NoReturn:
        self._refuse("the truth")

    def __float__(self) -> NoReturn:
        self._refuse("the value")

    __int__ = __index__ = __complex__ = __float__

    def __len__(self) -> NoReturn:
        self._refuse("the elements")

    __iter__ = __getitem__ = __len__

    def _refuse(self, what: str, *_: Any) -> NoReturn:
        kind = NumberNeeded if self.weak else NotElementwise
        raise kind(f"it needs {what} of {self!r}, which is not known while a formula is traced.")

    __hash__ = object.__hash__


def _operator(name: str, reflected: bool = False) -> Any:
    def operate(self: Symbol, other: Any) -> Any:
        if not isinstance(other, Symbol | int | float | complex | np.generic):
            return NotImplemented
        a, b = (other, self) if reflected else (self, other)
        return getattr(symbolic, name)(a, b)

    return operate


for _name, _function in OPERATORS.items():
    setattr(Symbol, f"__{_name}__", _operator(_function))
    setattr(Symbol, f"__r{_name}__", _operator(_function, True))
for _name, _function in {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}.items():
    setattr(Symbol, f"__{_name}__", _operator(_function))
for _name, _function in {"neg": "negative", "abs": "absolute", "invert": "invert"}.items():
    setattr(
        Symbol, f"__{_name}__", lambda self, function=_function: getattr(symbolic, function)(self)
    )


# elementwise functions in C ---------------------------------------------------------------------

# In a template, {0} and {1} are the operands in the loop's type, T is that type. What begins with
# fn_ stands in gradcore_kernels/elementwise.py.
_INFIX: Final = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
}
_SAME_IN_C: Final = (
    "ceil exp exp2 expm1 floor log log10 log1p log2 rint sqrt trunc cos cosh sin sinh tan tanh "
    "isnan isinf isfinite erf"
)
_C: Final[dict[str, str]] = {
    **{name: f"({{0}} {sign} {{1}})" for name, sign in _INFIX.items()},
    **{name: f"{name}({{0}})" for name in _SAME_IN_C.split()},
    **{f"arc{name}": f"a{name}({{0}})" for name in ("cos", "cosh", "sin", "sinh", "tan", "tanh")},
    "absolute": "fn_absolute({0})",
    "arctan2": "atan2({0}, {1})",
    "conj": "fn_conj({0})",
    "divide": "({0} / {1})",
    "floor_divide": "fn_floor_divide({0}, {1})",
    "fmod": "fn_fmod({0}, {1})",
    "hypot": "hypot({0}, {1})",
    "imag": "{0}.imag()",
    "invert": "fn_invert({0})",
    "logaddexp": "fn_logaddexp({0}, {1})",
    "logical_and": "(fn_true({0}) && fn_true({1}))",
    "logical_not": "(!fn_true({0}))",
    "logical_or": "(fn_true({0}) || fn_true({1}))",
    "logical_xor": "(fn_true({0}) != fn_true({1}))",
    "maximum": "fn_maximum({0}, {1})",
    "minimum": "fn_minimum({0}, {1})",
    "negative": "(-{0})",
    "positive": "{0}",
    "power": "fn_power({0}, {1})",
    "real": "{0}.real()",
    "reciprocal": "(T(1) / {0})",
    "remainder": "fn_remainder({0}, {1})",
    "square": "({0} * {0})",
    # gradcore's own
    "sigmoid": "fn_sigmoid({0})",
    "sign": "fn_sign({0})",
    "where": "({0} ? {1} : {2})",
    "astype": "{0}",
}
_REAL_ONLY: Final = (
    "arctan2 ceil erf exp2 expm1 floor floor_divide fmod hypot isfinite isinf isnan log1p log2 "
    "logaddexp maximum minimum remainder rint trunc less less_equal greater greater_equal"
)
"""What CuPy's complex numbers lack (or, in the case of an order, what PyTorch refuses)."""

C_TYPES: Final = {
    "bool": "bool",
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned int",
    "int64": "long long",
    "uint64": "unsigned long long",
    "float16": "float",
    "float32": "float",
    "float64": "double",
    "complex64": "complex<float>",
    "complex128": "complex<double>",
}
"""The type that a dtype is computed with: float16 by way of float."""


# making Symbols --------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _loop(name: str, kinds: tuple[Any, ...]) -> tuple[DType, ...]:
    """The dtypes in which NumPy's ufunc `name` takes these operands, and gives its result."""
    ufunc: Any = getattr(np, name)
    try:
        found: tuple[DType, ...] = ufunc.resolve_dtypes((*kinds, None))
    except TypeError as error:
        raise NoSuchLoop(f"{name}: {error}") from None
    return found


_KINDS: Final = {"b": np.dtype(bool), "i": int, "u": int, "f": float, "c": complex}


def _kind(operand: Any) -> Any:
    """What NumPy's promotion sees of an operand: a dtype, or the type of a Python number."""
    if isinstance(operand, Symbol):
        return _KINDS[operand.dtype.kind] if operand.weak else operand.dtype
    if isinstance(operand, np.generic):
        return operand.dtype
    return np.dtype(bool) if isinstance(operand, bool) else type(operand)


def _kinds(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """As `_kind`; if all are Python numbers, they are computed with as float64."""
    if any(isinstance(v, Symbol) and not v.weak for v in operands):
        return tuple(map(_kind, operands))
    return (np.dtype(np.float64),) * len(operands)


def loop_of(name: str, operands: tuple[Any, ...]) -> tuple[DType, ...]:
    """The dtypes in which an elementwise function takes its operands, and gives its result."""
    return _loop(name, _kinds(operands))


def _shape(operands: Iterable[Any]) -> Shape:
    shapes = {v.shape for v in operands if isinstance(v, Symbol)}
    return shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)


def _made(name: str, operands: tuple[Any, ...], dtype: DType) -> Symbol:
    if name in _REAL_ONLY.split() and any(
        isinstance(v, Symbol) and v.dtype.kind == "c" for v in operands
    ):
        raise NotElementwise(f"{name} has no kernel for complex numbers.")
    weak = all(v.weak for v in operands if isinstance(v, Symbol))
    return Symbol(name, operands, dtype, _shape(operands), weak)


def _ufunc(name: str) -> Callable[..., Any]:
    def call(*operands: Any) -> Any:
        if not any(isinstance(v, Symbol) for v in operands):
            return getattr(np, name)(*operands)
        return _made(name, operands, loop_of(name, operands)[-1])

    return call


def _power(a: Any, b: Any) -> Any:
    """`a ** b`; like NumPy, small constant exponents become products and roots."""
    if isinstance(b, int) and b < 0 and isinstance(a, Symbol) and a.dtype.kind in "iu":
        raise ValueError("Integers to negative integer powers are not allowed.")
    if isinstance(b, Symbol):
        if b.weak:
            b._refuse("the value")
    elif isinstance(a, Symbol) and not a.weak and a.dtype.kind in "fc":
        if b == 2:
            return symbolic.square(a)
        if b == 3:
            return symbolic.multiply(symbolic.square(a), a)
        if b == 1:
            return symbolic.positive(a)
        if b == 0:
            return symbolic.ones_like(a)
        if b == 0.5:
            return symbolic.sqrt(a)
        if b == -1:
            return symbolic.reciprocal(a)
        if b == -2:
            return symbolic.reciprocal(symbolic.square(a))
    return _ufunc("power")(a, b)


def _where(condition: Any, a: Any, b: Any) -> Any:
    dtypes = [v.dtype if isinstance(v, Symbol) and not v.weak else None for v in (a, b)]
    found = [d for d in dtypes if d is not None]
    if len(found) == 2:
        dtype = np.result_type(*found)
    elif found:
        dtype = _loop("add", (found[0], _kind(b if dtypes[0] is not None else a)))[-1]
    else:
        dtype = np.result_type(*(1.0 if isinstance(v, Symbol) else v for v in (a, b)))
    return _made("where", (condition, a, b), dtype)


def _astype(x: Any, dtype: Any, copy: bool = False) -> Symbol:
    if x.dtype.kind == "c" and np.dtype(dtype).kind not in "cb":
        x = symbolic.real(x)
    return x if x.dtype == dtype else Symbol("astype", (x,), np.dtype(dtype), x.shape)


def _real(x: Any) -> Any:
    if x.dtype.kind != "c":
        return x
    return Symbol("real", (x,), np.empty(0, x.dtype).real.dtype, x.shape)


def _imag(x: Any) -> Any:
    if x.dtype.kind != "c":
        return symbolic.zeros_like(x)
    return Symbol("imag", (x,), np.empty(0, x.dtype).real.dtype, x.shape)


def _full_like(x: Any, value: Any) -> Symbol:
    # The values of x do not count, but what is made of this has its shape.
    return Symbol("astype", (value, x), x.dtype, x.shape)


def _floating(name: str) -> Callable[[Any], Any]:
    """A function of gradcore's own, with the dtypes of `exp`."""

    def call(x: Any) -> Symbol:
        return _made(name, (x,), _loop("exp", _kinds((x,)))[-1])

    return call


class Symbolic:
    """The Namespace over Symbols; elementwise functions alone."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _C:
            raise NotElementwise(f"{name} is not an elementwise function.")
        function = _ufunc(name)
        setattr(self, name, function)
        return function

    def apply(self, function: Any, *args: Any) -> Any:
        over = getattr(function.op, "over", None)
        if over is None:
            raise NotElementwise(f"{function.op.name} is not an elementwise function.")
        return over(self, *args)

    power = staticmethod(_power)
    where = staticmethod(_where)
    astype = staticmethod(_astype)
    real = staticmethod(_real)
    imag = staticmethod(_imag)
    erf = staticmethod(_floating("erf"))
    sigmoid = staticmethod(_floating("sigmoid"))
    full_like = staticmethod(_full_like)

    @staticmethod
    def sign(x: Any) -> Any:
        return _made("sign", (x,), x.dtype) if isinstance(x, Symbol) else np.sign(x)

    @staticmethod
    def keep(x: Any, mask: Any) -> Any:
        return symbolic.where(mask, x, 0.0)

    @staticmethod
    def zeros_like(x: Any) -> Symbol:
        return _full_like(x, 0)

    @staticmethod
    def ones_like(x: Any) -> Symbol:
        return _full_like(x, 1)


ELEMENTWISE: Final = frozenset({*_C, "full_like", "keep", "ones_like", "zeros_like"})
"""The functions of `symbolic` that one kernel may be made of."""

symbolic: Final[Namespace] = cast(Namespace, Symbolic())
"""The Namespace that prints: its elementwise functions, over Symbols."""


# printing --------------------------------------------------------------------------------------


def _literal(value: Any, dtype: DType) -> str:
    """A Python number in C, in the type of `dtype`."""
    target = C_TYPES[dtype.name]
    if dtype.kind == "c":
        real = np.dtype(f"f{dtype.itemsize // 2}")
        value = complex(value)
        return f"{target}({_literal(value.real, real)}, {_literal(value.imag, real)})"
    if dtype.kind == "f":
        value = float(dtype.type(value))
        if math.isnan(value):
            return f"{target}(CUDART_NAN)"
        if math.isinf(value):
            return f"{target}({'-' if value < 0 else ''}CUDART_INF)"
        return f"{target}({value!r})"
    value = int(value)
    if dtype.kind == "b":
        return f"{target}({value})"
    if -(2**31) < value < 2**31:
        return _cast(str(value), dtype)
    # C has no literal for the least number.
    return _cast(f"{value + 1}ll - 1" if value < 0 else f"{value}ull", dtype)


class _Printer:
    """Prints expressions as C; each that occurs twice is computed once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._known: dict[Any, str] = {}

    def text(self, value: Any, dtype: DType) -> str:
        """`value`, a Symbol or a number, in the type of `dtype`."""
        if not isinstance(value, Symbol):
            return _literal(value, dtype)
        name = self.variable(value)
        return name if C_TYPES[value.dtype.name] == C_TYPES[dtype.name] else _cast(name, dtype)

    def variable(self, symbol: Symbol) -> str:
        """The name of the variable that holds a Symbol's value."""
        stack = [symbol]
        while stack:  # no recursion: a traced function may be long
            top = stack[-1]
            missing = [
                v for v in top.operands if isinstance(v, Symbol) and id(v) not in self._known
            ]
            if missing:
                stack += missing
                continue
            stack.pop()
            if id(top) not in self._known:
                self._known[id(top)] = self._define(top)
        return self._known[id(symbol)]

    def _define(self, symbol: Symbol) -> str:
        if symbol.function == "input":
            expression = symbol.operands[0]
        else:
            expression = self._expression(symbol)
        key = (expression, symbol.dtype)
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = f"v{len(self.lines)}"
            self.lines.append(f"const {C_TYPES[symbol.dtype.name]} {name} = {expression};")
        return name

    def _expression(self, symbol: Symbol) -> str:
        name, operands = symbol.function, symbol.operands
        if name == "astype":
            own = _own(operands[0], symbol.dtype)
            text = self.text(operands[0], own)
            if symbol.dtype == np.float16 and own != np.float16:
                text = f"float16({text})"  # rounds, where float16 by way of float would not
            return _cast(text, symbol.dtype)
        if name == "where":
            loop: tuple[DType, ...] = (np.dtype(bool), symbol.dtype, symbol.dtype)
        elif name in ("erf", "sigmoid"):
            loop = (symbol.dtype,)
        elif name in ("sign", "real", "imag"):
            loop = (operands[0].dtype,)
        else:
            loop = loop_of(name, operands)
        texts = [self.text(v, d) for v, d in zip(operands, loop, strict=False)]
        template = _C[name]
        if name == "reciprocal":
            template = template.replace("T", C_TYPES[loop[0].name])
        return template.format(*texts)


def _own(value: Any, otherwise: DType) -> DType:
    return value.dtype if isinstance(value, Symbol) else otherwise


def _cast(text: str, dtype: DType) -> str:
    target = "fn_true" if dtype.kind == "b" else C_TYPES[dtype.name]
    return f"({target})({text})" if " " in target else f"{target}({text})"


def inputs_of(values: Sequence[Any]) -> list[Symbol]:
    """The inputs that expressions depend on, each once; numbers depend on none."""
    found: list[Symbol] = []
    seen: set[int] = set()
    stack = [v for v in values if isinstance(v, Symbol)]
    while stack:
        symbol = stack.pop()
        if id(symbol) not in seen:
            seen.add(id(symbol))
            if symbol.function == "input":
                found.append(symbol)
            stack += [v for v in symbol.operands if isinstance(v, Symbol)]
    return found


def body(outputs: Sequence[tuple[str, Symbol | float, Any]]) -> str:
    """The C text that computes elementwise expressions.

    Args:
        outputs: names that are assigned to, each with what, and as which dtype.

    Returns:
        Statements. Inputs go by the names they were made with.
    """
    printer = _Printer()
    assignments = []
    for name, value, dtype in outputs:
        dtype = np.dtype(dtype)
        text = printer.text(value, dtype)
        assignments.append(f"{name} = {'float16' if dtype == np.float16 else ''}({text});")
    return "\n".join([*printer.lines, *assignments])
