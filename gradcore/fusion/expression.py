"""Kernels from a line of C: `elementwise_kernel` reads it and makes a function of Tensors.

The source is read by a parser of its own into a tree, never evaluated as Python. The function that
the tree describes is fused like any other, so its gradient is derived.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np

from .. import dtypes
from ..device import SYMBOLIC, TensorType
from ..errors import ArgumentError, ArgumentTypeError, DTypeError
from ..op import operand, recorded
from ..ops import arithmetic, comparison, pointwise
from ..ops.activation import erf
from ..ops.conversion import clone
from ..symbols import Symbol
from ..tensor import Tensor, wrap
from .function import CacheInfo, fuse

__all__ = ["ElementwiseKernel", "elementwise_kernel"]

# words -----------------------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFlLuU]*)
    |(?P<name>[A-Za-z_]\w*(?:::\w+)*)
    |(?P<sign><=|>=|==|!=|&&|\|\||<<|>>|[-+*/%]=|[-+*/%<>!~&|^?:(),;=])
    )""",
    re.VERBOSE,
)


def _wrong(source: str, place: int, what: str) -> NoReturn:
    """Raise an error that points at a place in the source."""
    start = source.rfind("\n", 0, place) + 1
    end = source.find("\n", place)
    line = source[start : end if end >= 0 else len(source)]
    raise ArgumentError(f"elementwise_kernel: {what}:\n    {line}\n    {' ' * (place - start)}^")


def _tokens(source: str) -> list[_Token]:
    found: list[_Token] = []
    place = 0
    while source[place:].strip():
        match = _TOKEN.match(source, place)
        if match is None:
            place += len(source[place:]) - len(source[place:].lstrip())
            _wrong(source, place, f"unexpected character {source[place]!r}")
        assert match.lastgroup is not None
        found.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        place = match.end()
    return [*found, _Token("end", "", len(source.rstrip()))]


# types -----------------------------------------------------------------------------------------

_TYPES: Final[dict[str, dtypes.dtype]] = {
    **{t.name: t for t in dtypes.ALL},
    "half": dtypes.float16,
    "float": dtypes.float32,
    "double": dtypes.float64,
    "char": dtypes.int8,
    "signed char": dtypes.int8,
    "unsigned char": dtypes.uint8,
    "short": dtypes.int16,
    "unsigned short": dtypes.uint16,
    "int": dtypes.int32,
    "unsigned": dtypes.uint32,
    "unsigned int": dtypes.uint32,
    "long": dtypes.int64,
    "long long": dtypes.int64,
    "unsigned long": dtypes.uint64,
    "unsigned long long": dtypes.uint64,
    "complex<float>": dtypes.complex64,
    "complex<double>": dtypes.complex128,
}
_LETTER: Final = re.compile(r"[A-Z]\w?")


class _Parameter(NamedTuple):
    """A parameter: its type is a dtype, or a letter that stands for one."""

    name: str
    type: dtypes.dtype | str


def _type(source: str, place: int, text: str) -> dtypes.dtype | str:
    words = [w for w in text.split() if w != "const"]
    name = re.sub(r"\s*([<>])\s*", r"\1", " ".join(words))
    found = _TYPES.get(name)
    if found is not None:
        return found
    if _LETTER.fullmatch(name):
        return name
    _wrong(source, place, f"unknown type {name!r}")


def _parameters(source: str) -> list[_Parameter]:
    """The parameters that a string such as `"float x, T y"` declares."""
    found: list[_Parameter] = []
    place = 0
    for part in source.split(","):
        start = place + len(part) - len(part.lstrip())
        match = re.fullmatch(r"\s*(.*\S)\s*\b([A-Za-z_]\w*)\s*", part)
        if match is None:
            _wrong(source, start, "expected a type and a name, such as 'float x'")
        name = match[2]
        if name in {p.name for p in found}:
            _wrong(source, place + match.start(2), f"the name {name!r} occurs twice")
        found.append(_Parameter(name, _type(source, start, match[1])))
        place += len(part) + 1
    return found


# functions -------------------------------------------------------------------------------------


def _fmax(a: Any, b: Any) -> Any:
    """The larger one; if one is nan, the other."""
    return pointwise.where((a >= b) | (b != b), a, b)


def _fmin(a: Any, b: Any) -> Any:
    return pointwise.where((a <= b) | (b != b), a, b)


def _round(x: Any) -> Any:
    """Halves away from zero, as in C."""
    return pointwise.sign(x) * pointwise.floor(pointwise.abs(x) + 0.5)


_UNARY: Final[dict[str, Callable[..., Any]]] = {
    **{
        name: getattr(pointwise, name)
        for name in (
            *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin", "sinh"),
            *("tan", "tanh", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "sqrt"),
            *("rsqrt", "abs", "ceil", "floor", "trunc", "sign", "sigmoid", "conj", "imag", "real"),
        )
    },
    "erf": erf,
    "fabs": pointwise.abs,
    "nearbyint": pointwise.round,
    "rint": pointwise.round,
    "round": _round,
    **{name: getattr(comparison, name) for name in ("isfinite", "isinf", "isnan")},
}
_BINARY: Final[dict[str, Callable[..., Any]]] = {
    "atan2": pointwise.atan2,
    "fmax": _fmax,
    "fmin": _fmin,
    "fmod": arithmetic.fmod,
    "hypot": pointwise.hypot,
    "max": pointwise.maximum,
    "min": pointwise.minimum,
    "pow": arithmetic.pow,
}
_CONSTANTS: Final[dict[str, Any]] = {
    "INFINITY": math.inf,
    "M_E": math.e,
    "M_LN2": math.log(2.0),
    "M_PI": math.pi,
    "M_PI_2": math.pi / 2.0,
    "M_SQRT2": math.sqrt(2.0),
    "NAN": math.nan,
    "false": False,
    "true": True,
}
_SIGNS: Final[dict[str, Callable[..., Any]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}
_LEVELS: Final = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/", "%"),
)
"""C's binary operators, those that bind the least first."""


def _common(*values: Any) -> list[Any]:
    """Operands in one dtype, as C promotes; numbers that are written out take any."""
    found = [v.dtype for v in values if isinstance(v, Tensor)]
    if not found:
        return list(values)
    target = found[0]
    for dtype in found[1:]:
        target = dtypes.promote_types(target, dtype)
    return [v.to(target) if isinstance(v, Tensor) else v for v in values]


def _as_integer(value: Any) -> Any:
    """C computes with bools as with ints."""
    if isinstance(value, Tensor):
        return value.int() if value.dtype is dtypes.bool_ else value
    return int(value) if isinstance(value, bool) else value


def _as_bool(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.dtype is dtypes.bool_ else value.ne(0)
    return bool(value)


def _is_whole(value: Any) -> bool:
    return not value.dtype.is_inexact if isinstance(value, Tensor) else isinstance(value, int)


def _binary(sign: str, a: Any, b: Any) -> Any:
    tensors = isinstance(a, Tensor) or isinstance(b, Tensor)
    if sign in ("&&", "||"):
        a, b = _as_bool(a), _as_bool(b)
        if tensors:
            a, b = [v if isinstance(v, Tensor) else _number(v, dtypes.bool_) for v in (a, b)]
            return comparison.logical_and(a, b) if sign == "&&" else comparison.logical_or(a, b)
        return (a and b) if sign == "&&" else (a or b)
    a, b = _common(_as_integer(a), _as_integer(b))
    if sign == "/":
        if _is_whole(a) and _is_whole(b):
            return arithmetic.div(a, b, rounding_mode="trunc") if tensors else int(a / b)
        return a / b
    if sign == "%":
        return arithmetic.fmod(a, b) if tensors else math.fmod(a, b)
    return _SIGNS[sign](a, b)


def _number(value: Any, dtype: dtypes.dtype) -> Tensor:
    """A Python number, or the Symbol of one, as a 0-d Tensor."""
    kind = TensorType(SYMBOLIC, dtype)
    return wrap(kind.asarray(value, dtype.dtype))


# reading ---------------------------------------------------------------------------------------

Value = Callable[[dict[str, Any]], Any]
"""An expression: its value where names have these values."""


class _Reader:
    """Reads statements, or one expression.

    Args:
        source: the text.
        names: what may be read.
        letters: the types that are letters.
    """

    def __init__(self, source: str, names: Sequence[str], letters: set[str]) -> None:
        self._source = source
        self._names = set(names)
        self._letters = letters
        self._tokens = _tokens(source)
        self._at = 0

    # tokens --------------------------------------------------------------------------------------

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> _Token | None:
        """The next token, if it is one of these signs."""
        token = self._next
        if token.kind == "sign" and token.text in texts:
            self._at += 1
            return token
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            self._fail(f"expected {text!r}")

    def _fail(self, what: str, token: _Token | None = None) -> NoReturn:
        _wrong(self._source, (token or self._next).place, what)

    # statements ----------------------------------------------------------------------------------

    def only_expression(self) -> Value:
        """The whole source as one expression."""
        value = self._expression()
        self._take(";")
        if self._next.kind != "end":
            self._fail("expected the end of the expression")
        return value

    def statements(self, inputs: Sequence[str], outputs: Sequence[str]) -> list[tuple[str, Value]]:
        """Assignments, each a name and an expression."""
        found: list[tuple[str, Value]] = []
        assigned: set[str] = set()
        while self._next.kind != "end":
            if self._take(";"):
                continue
            declared = self._declaration()
            token = self._next
            name = token.text
            if token.kind != "name":
                self._fail("expected an assignment, such as 'z = x * y'")
            self._at += 1
            sign = self._take("=", "+=", "-=", "*=", "/=", "%=")
            if sign is None:
                self._fail("expected '=': there can be assignments only")
            if name in inputs:
                self._fail(f"{name!r} is an input and cannot be assigned to", token)
            if declared is None and name not in outputs and name not in assigned:
                self._fail(f"{name!r} is no output; declare it: 'float {name} = ...'", token)
            if sign.text != "=" and name not in self._names:
                self._fail(f"{name!r} has no value yet", token)
            value = self._expression()
            if sign.text != "=":
                value = self._combined(sign.text[0], self._variable(name), value)
            if declared is not None and declared != "auto":
                value = self._cast(declared, value)
            found.append((name, value))
            assigned.add(name)
            self._names.add(name)
            if self._next.kind != "end":
                self._expect(";")
        for name in outputs:
            if name not in assigned:
                self._fail(f"the output {name!r} is not assigned to")
        return found

    def _declaration(self) -> Any:
        """The type of a variable that is declared here, `"auto"`, or None."""
        words: list[_Token] = []
        k = self._at
        while self._tokens[k].kind == "name":
            words.append(self._tokens[k])
            k += 1
        if len(words) < 2:
            return None
        self._at += len(words) - 1
        text = " ".join(w.text for w in words[:-1])
        if text.removeprefix("const ") == "auto":
            return "auto"
        return self._known_type(words[0], text)

    def _known_type(self, token: _Token, text: str) -> Any:
        found = _type(self._source, token.place, text)
        if isinstance(found, str) and found not in self._letters:
            self._fail(f"unknown type {found!r}", token)
        return found

    # expressions ---------------------------------------------------------------------------------

    def _expression(self) -> Value:
        condition = self._level(0)
        if self._take("?") is None:
            return condition
        first = self._expression()
        self._expect(":")
        second = self._expression()

        def choose(env: dict[str, Any]) -> Any:
            chosen = _as_bool(condition(env))
            a, b = _common(first(env), second(env))
            if not isinstance(chosen, Tensor):
                return a if chosen else b
            return pointwise.where(chosen, a, b)

        return choose

    def _level(self, level: int) -> Value:
        if level == len(_LEVELS):
            return self._unary()
        value = self._level(level + 1)
        while True:
            sign = self._take(*_LEVELS[level])
            if sign is None:
                return value
            first, place = value, self._at
            second = self._level(level + 1)
            if sign.text in "/%" and self._is_literal(sign, place):
                self._fail("a quotient of whole numbers is whole in C; write 1.0 for 1", sign)
            value = self._combined(sign.text, first, second)

    def _is_literal(self, sign: _Token, place: int) -> bool:
        """Whether whole numbers stand on both sides of a sign."""
        around = self._tokens[place - 2], self._tokens[place]
        return self._at == place + 1 and all(
            t.kind == "number" and t.text.isdecimal() for t in around
        )

    @staticmethod
    def _combined(sign: str, first: Value, second: Value) -> Value:
        return lambda env: _binary(sign, first(env), second(env))

    def _unary(self) -> Value:
        sign = self._take("-", "+", "!", "~")
        if sign is None:
            return self._primary()
        value = self._unary()
        if sign.text == "-":
            return lambda env: -_as_integer(value(env))
        if sign.text == "+":
            return value
        if sign.text == "~":
            return lambda env: ~_as_integer(value(env))

        def negate(env: dict[str, Any]) -> Any:
            x = _as_bool(value(env))
            return comparison.logical_not(x) if isinstance(x, Tensor) else not x

        return negate

    def _primary(self) -> Value:
        token = self._next
        self._at += 1
        if token.kind == "number":
            return self._literal(token)
        if token.kind == "name":
            if self._take("("):
                return self._call(token)
            return self._variable_or_constant(token)
        if token.text == "(":
            cast = self._cast_ahead()
            if cast is not None:
                return self._cast(cast, self._unary())
            value = self._expression()
            self._expect(")")
            return value
        self._at -= 1
        wanted = "expected a number, a name or '('" if token.text else "the expression ends early"
        return self._fail(wanted)

    def _literal(self, token: _Token) -> Value:
        text = token.text.rstrip("fFlLuU")
        whole = text.isdecimal() and "f" not in token.text.lower()
        number: Any = int(text) if whole else float(text)
        return lambda env: number

    def _variable(self, name: str) -> Value:
        return lambda env: env[name]

    def _variable_or_constant(self, token: _Token) -> Value:
        name = token.text
        if name in self._names:
            return self._variable(name)
        if name in _CONSTANTS:
            value = _CONSTANTS[name]
            return lambda env: value
        if self._function(name) is not None:
            self._fail(f"expected '(' after the function {name!r}")
        return self._fail(f"unknown name {name!r}", token)

    def _cast_ahead(self) -> Any:
        """The type, if what follows an opening parenthesis is one and a closing one."""
        k = self._at
        while self._tokens[k].kind == "name":
            k += 1
        text = " ".join(t.text for t in self._tokens[self._at : k])
        if self._tokens[k].text != ")" or (text not in _TYPES and text not in self._letters):
            return None
        if text in self._names:
            return None
        self._at = k + 1
        return _TYPES.get(text, text)

    @staticmethod
    def _cast(type: Any, value: Value) -> Value:
        def cast(env: dict[str, Any]) -> Any:
            x = value(env)
            dtype = env[type] if isinstance(type, str) else type
            return x.to(dtype) if isinstance(x, Tensor) else _number(x, dtype)

        return cast

    @staticmethod
    def _function(name: str) -> tuple[int, Callable[..., Any]] | None:
        name = name.removeprefix("std::")
        for table, count in ((_UNARY, 1), (_BINARY, 2)):
            for known in (name, name.removesuffix("f")):
                if known in table:
                    return count, table[known]
        return None

    def _call(self, token: _Token) -> Value:
        args: list[Value] = []
        if self._take(")") is None:
            args.append(self._expression())
            while self._take(","):
                args.append(self._expression())
            self._expect(")")
        name = token.text
        if name in _TYPES or name in self._letters:
            if len(args) != 1:
                self._fail(f"a cast to {name!r} takes one argument", token)
            return self._cast(_TYPES.get(name, name), args[0])
        if name == "fma" and len(args) == 3:
            a, b, c = args
            return self._combined("+", self._combined("*", a, b), c)
        found = self._function(name)
        if found is None:
            self._fail(f"unknown function {name!r}", token)
        count, function = found
        if len(args) != count:
            self._fail(f"{name!r} takes {count} argument{'s'[: count - 1]}, not {len(args)}", token)

        def call(env: dict[str, Any]) -> Any:
            values = _common(*(_as_integer(a(env)) for a in args))
            if not any(isinstance(v, Tensor) for v in values):
                return function(*[wrap(np.array(float(v))) for v in values]).item()
            if not isinstance(values[0], Tensor) and function in (_fmax, _fmin):
                values[0] = _number(values[0], values[1].dtype)
            return function(*values)

        return call


# kernels ---------------------------------------------------------------------------------------


class ElementwiseKernel:
    """A function of Tensors that one line of source describes; see `elementwise_kernel`.

    Attributes:
        name: of the kernel.
    """

    def __init__(
        self, in_params: str, out_params: str | None, operation: str, name: str, maxsize: int
    ) -> None:
        self.name = name
        self._inputs = _parameters(in_params)
        self._outputs = [] if out_params is None else _parameters(out_params)
        letters = {p.type for p in self._inputs if isinstance(p.type, str)}
        names = [p.name for p in self._inputs]
        for p in self._outputs:
            assert out_params is not None
            if isinstance(p.type, str) and p.type not in letters:
                _wrong(out_params, 0, f"no input has the type {p.type!r}")
            if p.name in names:
                _wrong(out_params, 0, f"{p.name!r} is an input too")
        reader = _Reader(operation, names, {t for t in letters if isinstance(t, str)})
        if out_params is None:
            self._statements = [("", reader.only_expression())]
        else:
            self._statements = reader.statements(names, [p.name for p in self._outputs])
        self._fused = fuse(self._compute, name=name, maxsize=maxsize)

    def __call__(self, *args: Any) -> Any:
        """The result: a Tensor, or a tuple of them for several outputs.

        Args:
            args: per parameter a Tensor or an array of its type, or a number; they broadcast.

        Raises:
            ArgumentTypeError: there are more or fewer arguments, or no Tensor among them.
            DTypeError: one has another dtype than its parameter.
        """
        if len(args) != len(self._inputs):
            listed = ", ".join(p.name for p in self._inputs)
            raise ArgumentTypeError(
                f"{self.name}() takes {len(self._inputs)} arguments ({listed}), not {len(args)}."
            )
        return self._fused(
            *[
                float(a) if isinstance(a, int) and self._is_real(p) else a
                for a, p in zip(args, self._inputs, strict=True)
            ]
        )

    @staticmethod
    def _is_real(p: _Parameter) -> bool:
        return isinstance(p.type, str) or p.type.is_floating_point

    def _compute(self, *args: Any) -> Any:
        env: dict[str, Any] = self._types(args)
        values: list[Tensor] = []
        for p, a in zip(self._inputs, args, strict=True):
            dtype = env[p.type] if isinstance(p.type, str) else p.type
            if not isinstance(a, Tensor):
                a = _number(a if isinstance(a, Symbol) else operand(self.name, a), dtype)
            elif a.dtype is not dtype:
                raise DTypeError(
                    f"{self.name}: argument {p.name!r} is declared as {dtype.name}, but got "
                    f"{a.dtype.name}: convert it first."
                )
            env[p.name] = a
            values.append(a)
        for name, value in self._statements:
            env[name] = value(env)
        whole = np.broadcast_shapes(*[t._shape for t in values])
        outputs = [self._output(env, p, values, whole) for p in self._outputs]
        if not outputs:
            outputs = [self._output(env, _Parameter("", "auto"), values, whole)]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _types(self, args: Sequence[Any]) -> dict[str, Any]:
        """What the letters stand for."""
        found: dict[str, Any] = {}
        first: dict[str, str] = {}
        for p, a in zip(self._inputs, args, strict=True):
            if not isinstance(p.type, str) or not isinstance(a, Tensor):
                continue
            if found.setdefault(p.type, a.dtype) is not a.dtype:
                raise DTypeError(
                    f"{self.name}: {p.type} is {found[p.type].name} for {first[p.type]!r} and "
                    f"{a.dtype.name} for {p.name!r}: convert one of them."
                )
            first.setdefault(p.type, p.name)
        for p in self._inputs:
            if isinstance(p.type, str) and p.type not in found:
                raise ArgumentTypeError(
                    f"{self.name}: no Tensor tells what the type {p.type} of {p.name!r} is."
                )
        return found

    @staticmethod
    def _output(
        env: dict[str, Any], p: _Parameter, inputs: Sequence[Tensor], whole: tuple[int, ...]
    ) -> Tensor:
        y = env[p.name]
        dtype = None
        if p.type != "auto":
            dtype = env[p.type] if isinstance(p.type, str) else p.type
        if not isinstance(y, Tensor):
            dtype = dtypes.scalar_dtype(y) if dtype is None else dtype
            y = _number(y, dtype)
        elif dtype is not None:
            y = y.to(dtype)
        if any(y is x for x in inputs):
            y = clone(y)
        broadcast: Tensor = y if y._shape == whole else recorded.broadcast_to(y, whole)
        return broadcast

    def cache_info(self) -> CacheInfo:
        """How often it was called and traced."""
        return self._fused.cache_info()

    def source(self, *args: Any) -> str:
        """What a call with these arguments runs, forward and backward: CUDA C, or Python."""
        return self._fused.source(*args)

    def __repr__(self) -> str:
        return f"<elementwise kernel {self.name}>"


def elementwise_kernel(
    in_params: str,
    out_params: str,
    operation: str | None = None,
    name: str = "elementwise_kernel",
    *,
    maxsize: int = 128,
) -> ElementwiseKernel:
    """A differentiable kernel from a line of C; its gradient is derived.

    Called as ``elementwise_kernel(in_params, expression)`` or, as CuPy's ElementwiseKernel, as
    ``elementwise_kernel(in_params, out_params, operation)``::

        f = gradcore.elementwise_kernel("float x, float a", "x * sin(a) + exp(-x * x)")
        y = f(x, 0.5)

        g = gradcore.elementwise_kernel("T x, T y", "T s, T d", "s = x + y; d = x - y")
        s, d = g(x, y)

    It runs as one kernel on CUDA, and block by block in the cache on the CPU (see `fuse`).

    Args:
        in_params: types and names. A type is one of C's (`float`, `unsigned int`,
            `complex<float>`), one of NumPy's (`float32`), or a letter such as `T`, which stands for
            the dtype of the arguments. Tensors must have the declared type; numbers are converted.
        out_params: the results, likewise; or the expression, if there is no `operation`.
        operation: assignments to the results, with `;` between. Variables may be declared.
        name: of the kernel.
        maxsize: how many signatures are kept.

    The language is C's: `+ - * / %`, comparisons, `&& || !`, `c ? a : b`, casts, and the usual
    functions (`sin`, `expm1`, `fabs`, `pow`, `fmax`, `erf` ..., with or without an `f`). Written
    numbers take the type of what they are combined with, so `0.5 * x` is as precise as `x`.
    Quotients of integers are rounded to zero.

    Raises:
        ArgumentError: a mistake in one of the strings; the message shows where.
    """
    if operation is None:
        return ElementwiseKernel(in_params, None, out_params, name, maxsize)
    return ElementwiseKernel(in_params, out_params, operation, name, maxsize)
