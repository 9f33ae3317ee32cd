"""A traced function in normal form: what is computed, with broadcasting and views out of the way.

`Graph` makes new Symbols of the traced ones:

* Each expression occurs once; what depends on constants alone is a constant.
* A Symbol's shape is its *own*: that to which the arrays below it broadcast. There is no
  `broadcast_to`.
* Views are at the bottom: of inputs, of results of reductions, of stored expressions. A view is a
  Symbol `"view"` whose `detail` are the steps to apply to the array when the function runs. A view
  that cannot be moved below an expression makes that a `"store"`, an array in memory.
* A reduction has the shape of its operand with 1 for the axes that are its `detail`, without those
  that lead.
* What is computed from Python numbers alone is a weak `"hosted"` Symbol, which is evaluated before
  anything else; its `detail` is the expression.
* A result is a `"store"`, a reduction, or an input, and how to look at it.

Reductions of float16 give float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ..fusible import OPAQUE, REDUCTIONS, VIEWS
from ..namespace import Namespace
from ..symbols import NotElementwise, Shape, Symbol

__all__ = [
    "LEAVES",
    "Graph",
    "Result",
    "Step",
    "fill_value",
    "is_constant",
    "is_leaf",
    "look",
    "number_of",
    "ordered",
]

Step = tuple[str, Any]
"""Of a view: `"reshape"`, `"transpose"`, `"getitem"` or `"broadcast_to"`, and the argument."""

LEAVES: Final = frozenset({"input", "view", "store", "hosted"}) | REDUCTIONS | OPAQUE
"""The functions of what expressions are made of."""

_HALF: Final = np.dtype(np.float16)
_SINGLE: Final = np.dtype(np.float32)


class Result(NamedTuple):
    """One result of a function.

    Attributes:
        symbol: what is in memory; or what no array is read for.
        steps: how to look at it.
        shape: of the result.
        dtype: of the result.
    """

    symbol: Symbol
    steps: tuple[Step, ...]
    shape: Shape
    dtype: Any


def is_leaf(symbol: Symbol) -> bool:
    """Whether a Symbol of a normal form is read from memory, or is a number."""
    return symbol.function in LEAVES


def is_constant(value: Any) -> bool:
    """Whether a value of a normal form is a number, or a Symbol for one."""
    return not isinstance(value, Symbol) or (
        value.function == "astype" and not isinstance(value.operands[0], Symbol)
    )


def ordered(
    roots: Iterable[Any], below: Callable[[Symbol], Iterable[Any]] = lambda s: s.operands
) -> list[Symbol]:
    """All Symbols that `roots` are made of, operands first. `below` tells where to go on."""
    done: dict[int, Symbol] = {}
    stack = [s for s in roots if isinstance(s, Symbol)][::-1]
    while stack:  # no recursion: a traced function may be long
        top = stack[-1]
        missing = [v for v in below(top) if isinstance(v, Symbol) and id(v) not in done]
        if missing:
            stack += missing[::-1]
        else:
            stack.pop()
            done[id(top)] = top
    return list(done.values())


def look(xp: Namespace, array: Any, steps: Iterable[Step]) -> Any:
    """The view of an array that `steps` describe."""
    for name, argument in steps:
        if name == "getitem":
            array = array[(*argument, ...)]  # a view, never a scalar
        elif name == "broadcast_to":
            array = xp.broadcast_to(array, argument)
        else:
            array = getattr(array, name)(argument)
    return array


def evaluate(symbol: Symbol, given: dict[str, float]) -> Any:
    """The value of an expression of Python numbers; `given` are the inputs by name."""
    values: dict[int, Any] = {}
    for s in ordered([symbol]):
        operands = [values[id(v)] if isinstance(v, Symbol) else v for v in s.operands]
        if s.function == "input":
            value = given[s.operands[0]]
        elif s.function == "astype":
            value = s.dtype.type(operands[0])
        elif s.function == "sigmoid":
            value = 1.0 / (1.0 + np.exp(-operands[0]))
        else:
            value = getattr(np, s.function)(*operands)
        # A Python number again, which has no say in the dtype of what is made with it.
        values[id(s)] = value.item() if s.weak and isinstance(value, np.generic) else value
    return values[id(symbol)]


def number_of(symbol: Symbol, given: dict[str, float]) -> float:
    """The value of a weak Symbol; `given` are the inputs by name."""
    if symbol.function == "input":
        return given[symbol.operands[0]]
    return evaluate(symbol.operands[0], given)  # type: ignore[no-any-return]


def fill_value(symbol: Symbol, given: dict[str, float]) -> Any:
    """The number that a result has everywhere for which no array is read."""
    (inner,) = symbol.operands
    return number_of(inner, given) if isinstance(inner, Symbol) else inner


class _Form(NamedTuple):
    """A traced value: `symbol` broadcast to `base`, and reshaped to `shape`."""

    symbol: Symbol
    base: Shape
    shape: Shape


def _long(shape: Shape) -> Shape:
    return tuple([n for n in shape if n != 1])


def _padded(shape: Shape, ndim: int) -> Shape:
    return (1,) * (ndim - len(shape)) + shape


class Graph:
    """Makes the normal form.

    Args:
        outputs: traced Symbols.
        silenced: NumPy's warnings are off whenever the function runs.
        given: by the id of a traced Symbol, an input that has its value.

    Attributes:
        results: one per output.
    """

    def __init__(
        self,
        outputs: Sequence[Symbol],
        silenced: bool = False,
        given: Mapping[int, Symbol] | None = None,
    ) -> None:
        self._silenced = silenced
        given = given or {}
        self._made: dict[Any, Symbol] = {}
        self._reading: set[int] = set()
        self._forms: dict[int, _Form] = {}
        for symbol in ordered(outputs, lambda s: () if id(s) in given else s.operands):
            self._forms[id(symbol)] = self._form(*self._visit(given.get(id(symbol), symbol)))
        self.results = [self._result(symbol) for symbol in outputs]

    def reads(self, value: Any) -> bool:
        """Whether arrays are read for a Symbol of the normal form."""
        return id(value) in self._reading

    def make(
        self,
        function: str,
        operands: tuple[Any, ...],
        dtype: Any,
        shape: Shape | None = None,
        detail: Any = None,
        weak: bool = False,
        quiet: bool = True,
    ) -> Symbol:
        """A Symbol; the same one for the same arguments.

        By default it has the shape to which the operands broadcast.
        """
        if shape is None:
            shape = np.broadcast_shapes(*[v.shape for v in operands if isinstance(v, Symbol)])
        ids = [id(v) if isinstance(v, Symbol) else (type(v), repr(v)) for v in operands]
        key = function, *ids, dtype, shape, weak, repr(detail)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = Symbol(function, operands, dtype, shape, weak, detail)
            found.quiet = quiet and not self._silenced
            if any(self.reads(v) for v in operands):
                self._reading.add(id(found))
        elif not quiet:
            found.quiet = False
        return found

    def constant(self, value: Any, dtype: Any) -> Symbol:
        """A number as a Symbol of that dtype."""
        return self.make("astype", (value,), dtype, ())

    def store(self, symbol: Symbol) -> Symbol:
        """What is in memory for a Symbol."""
        if is_leaf(symbol) and not symbol.weak:
            return symbol
        return self.make("store", (symbol,), symbol.dtype)

    # from traced Symbols -------------------------------------------------------------------------

    def _visit(self, s: Symbol) -> tuple[Symbol, Shape, Shape]:
        if s.function == "input":
            if not s.weak:
                self._reading.add(id(s))
            return s, s.shape, s.shape
        if is_constant(s):
            return self.constant(s.operands[0], s.dtype), s.shape, s.shape
        if s.weak:
            values = [self._of(v).symbol if isinstance(v, Symbol) else v for v in s.operands]
            return self.make(s.function, tuple(values), s.dtype, (), weak=True), (), ()
        if s.function in REDUCTIONS:
            return self._reduced(s)
        if s.function in OPAQUE:
            stored = tuple([self._whole(self._of(v)) for v in s.operands])
            return self.make(s.function, stored, s.dtype, s.shape, s.detail), s.shape, s.shape
        if s.function in VIEWS:
            return self._rearranged(s)
        return self._elementwise(s)

    def _of(self, symbol: Symbol) -> _Form:
        return self._forms[id(symbol)]

    @staticmethod
    def _form(symbol: Symbol, base: Shape, shape: Shape) -> _Form:
        if base != shape and symbol.ndim <= len(shape):
            ndim = max(len(base), len(shape))
            if _padded(base, ndim) == _padded(shape, ndim):
                base = shape
        return _Form(symbol, base, shape)

    def _elementwise(self, s: Symbol) -> tuple[Symbol, Shape, Shape]:
        forms = [self._of(v) if isinstance(v, Symbol) else None for v in s.operands]
        if s.function == "astype" and s.operands[0].dtype == s.dtype:
            assert forms[0] is not None
            return forms[0]  # a copy
        arrays = [f for f in forms if f is not None and self.reads(f.symbol)]
        moved = {(f.base, f.shape) for f in arrays if f.base != f.shape}
        base, shape = s.shape, s.shape
        if len(moved) == 1 and all(f.shape == s.shape for f in arrays):
            ((other, _),) = moved
            if all(self._is_free(f, other) for f in arrays):
                base = other
        operands = tuple(
            [
                v if f is None else self._hosted(self._in(f, base, shape))
                for v, f in zip(s.operands, forms, strict=True)
            ]
        )
        y = self._sum_of_sums(s.function, operands)
        if y is None:
            y = self.make(s.function, operands, s.dtype, quiet=s.quiet)
        if not arrays:
            y = self._number(y)
        return y, base, shape

    def _sum_of_sums(self, function: str, operands: tuple[Any, ...]) -> Symbol | None:
        """The sum (or difference) of two sums as the sum of one expression: read once."""
        if function not in ("add", "subtract"):
            return None
        a, b = [v if isinstance(v, Symbol) and v.function == "sum" else None for v in operands]
        if a is None or b is None or a.detail != b.detail or a.dtype != b.dtype:
            return None
        (x,), (y,) = a.operands, b.operands
        if x.shape != y.shape or x.dtype.kind not in "fc":
            return None
        both = self.make(function, (x, y), a.dtype)
        return self.make("sum", (both,), a.dtype, a.shape, a.detail)

    def _is_free(self, form: _Form, base: Shape) -> bool:
        """Whether a form can be brought to `base` without storing it."""
        if form.base == base or _long(form.shape) == _long(base):
            return True
        return form.base == form.shape and self._is_whole(form.symbol, form.base)

    def _is_whole(self, symbol: Symbol, full: Shape) -> bool:
        """Whether all arrays that are read for it are of shape `full`, or numbers."""
        leaves = [v for v in ordered([symbol], self._below) if is_leaf(v) and self.reads(v)]
        return all(v.shape == full or v.size == 1 for v in leaves)

    def _in(self, form: _Form, base: Shape, shape: Shape) -> Symbol:
        """The Symbol of a form, to be broadcast to `base`, which is `shape` to the user."""
        if form.base == base or not self.reads(form.symbol):
            return form.symbol
        if base == shape:
            return self._plain(form)
        return self._reshaped(self._plain(form), shape, base)

    def _plain(self, form: _Form) -> Symbol:
        if form.base == form.shape or not self.reads(form.symbol):
            return form.symbol
        return self._reshaped(form.symbol, form.base, form.shape)

    def _reshaped(self, x: Symbol, full: Shape, shape: Shape) -> Symbol:
        """An expression that is broadcast to `full`, in another shape."""
        if _long(full) == _long(shape):
            return self._push(x, ("units", shape), full)
        if x.size == 1:
            return self._push(x, ("units", ()), x.shape)
        if not self._is_whole(x, full):
            x = self._whole(_Form(x, full, full))
        return self._push(x, ("reshape", shape), full)

    def _hosted(self, symbol: Symbol) -> Symbol:
        if not symbol.weak or symbol.function == "input":
            return symbol
        return self.make("hosted", (symbol,), symbol.dtype, (), weak=True)

    def _number(self, symbol: Symbol) -> Symbol:
        """A Symbol for which no array is read, as a constant or as the cast of a weak one."""
        if symbol.function == "astype":
            return symbol
        if not any(v.weak for v in ordered([symbol])):
            with np.errstate(all="ignore"):
                return self.constant(evaluate(symbol, {}).item(), symbol.dtype)
        if symbol.dtype.kind == "c":
            raise NotElementwise("it makes a complex number of a Python number")
        whole = self.make("hosted", (symbol,), np.dtype(np.float64), (), weak=True)
        return self.make("astype", (whole,), symbol.dtype, ())

    def _whole(self, form: _Form) -> Symbol:
        """What is in memory for a form, as a view of the user's shape."""
        stored = self.store(self._plain(form))
        if stored.shape == form.shape:
            return stored
        return self._view(stored, (("broadcast_to", form.shape),), form.shape)

    # reductions ----------------------------------------------------------------------------------

    def _reduced(self, s: Symbol) -> tuple[Symbol, Shape, Shape]:
        form = self._of(s.operands[0])
        axes = _axes_of_base(s.detail, form.base, form.shape)
        if axes is None:
            form, axes = _Form(self._plain(form), form.shape, form.shape), s.detail
        x, base, _ = form
        kept = tuple([1 if d in axes else n for d, n in enumerate(base)])
        name = s.function
        if any(base[d] == 0 for d in axes):
            return self.constant(name in ("prod", "all"), s.dtype), kept, s.shape
        if x.dtype == _HALF:
            x = self.make("astype", (x,), _SINGLE)
        own = _padded(x.shape, len(base))
        lead = len(base) - x.ndim
        inner = tuple([d - lead for d in axes if own[d] != 1])
        # Along these axes all elements are the same.
        times = math.prod([base[d] for d in axes if own[d] == 1])
        if inner:
            left = [1 if d in inner else n for d, n in enumerate(x.shape)]
            while left and left[0] == 1:
                del left[0]
            x = self.make(name, (x,), x.dtype, tuple(left), detail=inner)
        if times != 1 and name in ("sum", "prod"):
            function = "multiply" if name == "sum" else "power"
            x = self.make(function, (x, times), x.dtype)
            x = x if self.reads(x) else self._number(x)
        return x, kept, s.shape

    # views ---------------------------------------------------------------------------------------

    def _rearranged(self, s: Symbol) -> tuple[Symbol, Shape, Shape]:
        form = self._of(s.operands[0])
        if s.function == "reshape":
            return form.symbol, form.base, s.shape
        x = self._plain(form)
        if s.function != "broadcast_to" and self.reads(x):
            x = self._push(x, (s.function, s.detail), form.shape)
        return x, s.shape, s.shape

    def _below(self, symbol: Symbol) -> tuple[Any, ...]:
        return () if is_leaf(symbol) or not self.reads(symbol) else symbol.operands

    def _push(self, root: Symbol, step: Step, full: Shape) -> Symbol:
        """A view of an expression that is broadcast to `full`: the expression of views."""
        found: dict[int, Symbol] = {}
        for s in ordered([root], self._below):
            if not self.reads(s):
                found[id(s)] = s
            elif is_leaf(s):
                found[id(s)] = self._viewed(s, step, full)
            else:
                operands = tuple([found.get(id(v), v) for v in s.operands])
                found[id(s)] = self.make(s.function, operands, s.dtype, quiet=s.quiet)
        return found[id(root)]

    def _viewed(self, leaf: Symbol, step: Step, full: Shape) -> Symbol:
        name, argument = step
        own = _padded(leaf.shape, len(full))
        if name == "units":
            lengths = iter([m for n, m in zip(full, own, strict=True) if n != 1])
            shape = tuple([1 if n == 1 else next(lengths) for n in argument])
            return self._view(leaf, (("reshape", shape),), shape)
        if name == "reshape":
            shape = argument if leaf.size != 1 else ()
            return self._view(leaf, (("reshape", shape),), shape)
        if name == "transpose":
            shape = tuple([own[d] for d in argument])
        else:
            argument = _narrowed(argument, own, full)
            shape = np.broadcast_to(np.empty(()), own)[argument].shape
        return self._view(leaf, (("reshape", own), (name, argument)), shape)

    def _view(self, leaf: Symbol, steps: tuple[Step, ...], shape: Shape) -> Symbol:
        if leaf.function == "view":
            steps = leaf.detail + steps
            (leaf,) = leaf.operands
        kept: list[Step] = []
        for step in steps:
            if step[0] == "reshape":
                if kept and kept[-1][0] == "reshape":
                    kept.pop()
                if not kept and step[1] == leaf.shape:
                    continue
            kept.append(step)
        if not kept:
            return leaf
        return self.make("view", (leaf,), leaf.dtype, shape, tuple(kept))

    # results -------------------------------------------------------------------------------------

    def _result(self, traced: Symbol) -> Result:
        x, base, shape = self._of(traced)
        if not self.reads(x):
            return Result(self._hosted(x), (), shape, traced.dtype)
        if x.dtype != traced.dtype:
            x = self.make("astype", (x,), traced.dtype)
        if _is_copy(traced):
            x = self.make("store", (x,), x.dtype)
        x = self.store(x)
        steps: list[Step] = []
        if x.shape != base:
            steps.append(("broadcast_to", base))
        if base != shape:
            steps.append(("reshape", shape))
        return Result(x, tuple(steps), shape, traced.dtype)


def _axes_of_base(axes: tuple[int, ...], base: Shape, shape: Shape) -> tuple[int, ...] | None:
    """The axes of an array of shape `base` that become `axes` where it is reshaped to `shape`.

    None where these are parts of axes.
    """
    if base == shape:
        return axes
    if 0 in base:
        return None
    outer = [d for d, n in enumerate(shape) if n != 1]
    inner = [d for d, n in enumerate(base) if n != 1]
    found: list[int] = []
    while outer:
        here, there = [outer.pop(0)], [inner.pop(0)]
        while True:
            m, n = math.prod([shape[d] for d in here]), math.prod([base[d] for d in there])
            if m == n:
                break
            if m < n:
                here.append(outer.pop(0))
            else:
                there.append(inner.pop(0))
        if all(d in axes for d in here):
            found += there
        elif any(d in axes for d in here):
            return None
    return tuple(found)


def _narrowed(items: tuple[Any, ...], own: Shape, full: Shape) -> tuple[Any, ...]:
    """An index into an array of shape `full`, for one that is to be broadcast to that."""
    found: list[Any] = []
    lengths = iter(zip(own, full, strict=True))
    for item in items:
        if item is None:
            found.append(None)
            continue
        n, whole = next(lengths)
        if n == whole:
            found.append(item)
        elif isinstance(item, slice):
            found.append(slice(0, min(1, len(range(*item.indices(whole))))))
        else:
            found.append(0)
    return tuple(found)


def _is_copy(traced: Symbol) -> bool:
    """Whether a view of an input was asked for as a copy."""
    while traced.function in VIEWS or traced.function == "astype":
        (operand,) = traced.operands
        if traced.function == "astype":
            return isinstance(operand, Symbol) and operand.dtype == traced.dtype
        traced = operand
    return False
