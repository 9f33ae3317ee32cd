"""A traced function on the CPU: NumPy calls over blocks that stay in the cache.

A program is a sequence of steps. Of large arrays a step is a loop: per block of some thousand
elements a straight line of calls with temporary arrays of that size, so that only what is read and
what results goes through memory. Sums are made per block, and these are added up in groups. Of
small arrays a step is a straight line over whole arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ..device import CPU
from ..fusible import OPAQUE, REDUCTIONS, VIEWS
from ..symbols import Symbol
from . import blocks
from .blocks import Loop, Whole, filled_axes
from .emit import INTEGERS, is_value
from .graph import Graph, Result, fill_value, is_constant, is_leaf, look, number_of, ordered

__all__ = ["Program", "worth_saving"]

_FEW: Final = 1024
"""Elements up to which `numpy.where` is the fastest way to choose."""

_LITTLE: Final = 1 << 17
_QUICK: Final = 1 << 20
"""Bytes of an array that costs nearly nothing, and of one that costs a nanosecond per element.

What is larger the system takes back when it is freed.
"""

_HALF: Final = np.dtype(np.float16)
_SINGLE: Final = np.dtype(np.float32)

_HEAVY: Final = frozenset(
    (
        *("arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cos", "cosh"),
        *("sin", "sinh", "tan", "tanh", "erf", "exp", "exp2", "expm1", "sigmoid", "log", "log10"),
        *("log1p", "log2", "logaddexp", "power", "hypot", "floor_divide", "fmod", "remainder"),
    )
)
"""What takes longer to compute again than to write and to read in the cache."""
_SLOW: Final = frozenset(
    ("erf", "power", "arctan2", "hypot", "logaddexp", "floor_divide", "fmod", "remainder")
)
"""Of these, what takes more than a nanosecond per element."""
_FAST: Final = frozenset(("exp", "exp2", "log", "log2", "sigmoid"))
"""What takes less also in float64; all take less in float32."""


# from the normal form to what NumPy has -----------------------------------------------------------


class _Lowered:
    """Expressions without float16 in between, and with `where` by bits.

    Args:
        graph: the normal form.
        stored: the ids of expressions that are to be in memory.

    Attributes:
        symbols: of the normal form, operands first.
    """

    def __init__(self, graph: Graph, stored: Iterable[int] = ()) -> None:
        self._graph = graph
        self._found: dict[int, Symbol] = {}
        self._stored = set(stored)
        self.symbols = ordered([r.symbol for r in graph.results], _parts)
        for s in self.symbols:
            y = self._lower(s)
            if id(s) in self._stored:
                y = graph.store(y)
            self._found[id(s)] = y

    def of(self, symbol: Symbol) -> Symbol:
        """The Symbol in place of one of the normal form."""
        return self._found[id(symbol)]

    def _value(self, value: Any) -> Any:
        """An operand, computed in float32 if it is float16."""
        if not isinstance(value, Symbol):
            return value
        x = self._found[id(value)]
        if x.dtype != _HALF:
            return x
        if is_constant(x):
            with np.errstate(all="ignore"):
                return self._graph.constant(float(np.float16(x.operands[0])), _SINGLE)
        return self._graph.make("astype", (x,), _SINGLE)

    def _lower(self, s: Symbol) -> Symbol:
        make = self._graph.make
        if s.function in ("input", "hosted") or is_constant(s):
            return s
        if s.function == "view" or s.function in OPAQUE:
            operands = tuple([self._found[id(v)] for v in s.operands])
            return make(s.function, operands, operands[0].dtype, s.shape, s.detail)
        operands = tuple([self._value(v) for v in s.operands])
        if s.function == "store":
            (x,) = operands
            if s.dtype == _HALF:
                (x,) = [self._found[id(v)] for v in s.operands]
                x = x if x.dtype == _HALF else make("astype", (x,), _HALF)
            return make("store", (x,), s.dtype)
        if s.function in REDUCTIONS:
            return make(s.function, operands, operands[0].dtype, s.shape, s.detail)
        dtype = _SINGLE if s.dtype == _HALF else s.dtype
        if s.function == "astype" and self._graph.reads(s):
            if s.dtype == _HALF and s.operands[0].dtype != _HALF:
                return make("round16", operands, dtype)
            if operands[0].dtype == dtype:
                return operands[0]
        if s.function == "where" and s.size > _FEW and dtype.itemsize in INTEGERS:
            condition, *choices = operands
            choices = [
                make("astype", (v,), dtype) if self._graph.reads(v) and v.dtype != dtype else v
                for v in choices
            ]
            if self._graph.reads(condition) and condition.dtype == np.bool_:
                mask = make("mask", (condition,), INTEGERS[dtype.itemsize])
                return make("select", (mask, *choices), dtype)
        return make(s.function, operands, dtype, quiet=s.quiet)


# the program -----------------------------------------------------------------------------------


class _Planner:
    """Cuts a normal form into steps.

    Attributes:
        results: per result of the form, the Symbol that is in memory.
        steps: in order.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._inner: set[int] = set()
        self._length = 0
        self._plan(())
        stored = self._worth_storing()
        if stored:
            self._plan(stored)

    def _plan(self, stored: Iterable[int]) -> None:
        graph = self._graph
        lowered = _Lowered(graph, stored)
        self._sources = {id(lowered.of(s)): id(s) for s in lowered.symbols}
        self.results = [
            lowered.of(r.symbol) if graph.reads(r.symbol) else r.symbol for r in graph.results
        ]
        read = [s for s in self.results if graph.reads(s)]
        every = [s for s in ordered(read, _parts) if graph.reads(s)]
        self._every = every
        known = {id(s) for s in every if s.function == "input"}
        wanted = [s for s in read if id(s) not in known]
        if all(s.size <= blocks.BLOCK for s in every if s.function not in ("input", "view")):
            self.steps: list[Any] = [Whole(_distinct(wanted), known)] if wanted else []
            return
        self._rows(every)
        if self._length:
            self.results = [
                graph.make("store", (s,), s.dtype) if id(s) in self._inner else s
                for s in self.results
            ]
            read = [s for s in self.results if graph.reads(s)]
            every = self._every = [s for s in ordered(read, _parts) if graph.reads(s)]
        known |= {id(s) for s in every if s.function == "view"}
        depths = self._depths(every)
        made = [s for s in every if self._is_made(s)]
        self.steps = []
        for depth in range(1, 1 + max([depths[id(s)] for s in made], default=0)):
            here = [s for s in made if depths[id(s)] == depth]
            self._add_steps(here, known)
            known |= {id(s) for s in here}

    def _is_made(self, s: Symbol) -> bool:
        if id(s) in self._inner:
            return False
        return s.function == "store" or s.function in REDUCTIONS or s.function in OPAQUE

    def _add_steps(self, here: Sequence[Symbol], known: set[int]) -> None:
        groups: dict[Any, list[Symbol]] = {}
        for s in here:
            if s.function in OPAQUE:
                key: Any = id(s)
            else:
                key = self._space(s.operands[0])
            groups.setdefault(key, []).append(s)
        for key, members in groups.items():
            if key is None or isinstance(key, int):
                self.steps.append(Whole(members, known))
                continue
            shape, rows = key
            stores = [s for s in members if s.function == "store"]
            reductions = [s for s in members if s.function != "store"]
            self.steps.append(Loop(shape, stores, reductions, known, rows))

    def _space(self, s: Symbol) -> Any:
        """The shape that is cut into blocks to compute `s`; None if it is small."""
        if self._length and self._by_rows(s):
            return self._whole_shape, True
        return (s.shape, False) if s.size > blocks.BLOCK else None

    def _depths(self, every: Sequence[Symbol]) -> dict[int, int]:
        depths: dict[int, int] = {}
        for s in every:
            depth = max([depths.get(id(v), 0) for v in s.operands], default=0)
            depths[id(s)] = depth + self._is_made(s)
        return depths

    # rows ----------------------------------------------------------------------------------------

    def _rows(self, every: Sequence[Symbol]) -> None:
        """Find the reductions that can be part of a block of rows."""
        self._inner = set()
        self._length = 0
        largest = max(every, key=lambda s: s.size).shape
        if len(largest) < 2 or math.prod(largest[1:]) > 4 * blocks.BLOCK or largest[0] < 2:
            return
        self._whole_shape, self._length = largest, largest[0]
        viewed = {id(s.operands[0]) for s in every if s.function == "view"}
        viewed |= {id(v) for s in every if s.function in OPAQUE for v in s.operands}
        for s in every:
            if (
                s.function in REDUCTIONS
                and id(s) not in viewed
                and s.operands[0].size > blocks.BLOCK
                and self._by_rows(s.operands[0])
                and 0 not in filled_axes(s, len(largest))
            ):
                self._inner.add(id(s))
        if not self._inner:
            self._length = 0

    def _by_rows(self, s: Symbol) -> bool:
        return (
            s.ndim == len(self._whole_shape)
            and s.shape[0] == self._length
            and all(n in (1, m) for n, m in zip(s.shape, self._whole_shape, strict=True))
        )

    # what is stored in between -------------------------------------------------------------------

    def _worth_storing(self) -> set[int]:
        """The expressions, as ids of the normal form, that are not to be computed again."""
        found: set[int] = set()
        below_inner: set[int] = set()
        heavy: set[int] = set()
        for s in self._every:
            operands = [v for v in s.operands if isinstance(v, Symbol)]
            if id(s) in self._inner or any(id(v) in below_inner for v in operands):
                below_inner.add(id(s))
            if is_leaf(s):
                continue
            if s.function in _HEAVY or any(id(v) in heavy for v in operands):
                heavy.add(id(s))
            if s.size > blocks.BLOCK:
                for v in operands:
                    if (
                        not is_leaf(v)
                        and not is_value(v)
                        and 4 * v.size <= s.size
                        and id(v) not in below_inner
                    ):
                        found.add(id(v))
        uses: dict[int, set[int]] = {}
        for number, step in enumerate(self.steps):
            if isinstance(step, Loop):
                for s in step.computes:
                    uses.setdefault(id(s), set()).add(number)
        for s in self._every:
            for v in s.operands:
                if (
                    isinstance(v, Symbol)
                    and id(v) in heavy
                    and len(uses.get(id(v), ())) > 1
                    and uses[id(v)] != uses.get(id(s))
                    and id(v) not in below_inner
                ):
                    found.add(id(v))
        return {self._sources[v] for v in found if v in self._sources}


def worth_saving(outputs: Sequence[Symbol], gradients: Sequence[Symbol]) -> list[Symbol]:
    """What of a forward its backward should be given, rather than compute again.

    Results, which are there anyway, and what takes longer than to write and read it.

    Args:
        outputs: traced Symbols.
        gradients: made of those.
    """
    forward = {id(s) for s in ordered(outputs)}
    results = {id(s) for s in outputs}
    found: dict[int, Symbol] = {}

    def read(s: Symbol) -> Sequence[Any]:
        """What is computed for a Symbol, if it is not given."""
        if id(s) in forward and _is_worth(s, id(s) in results):
            found[id(s)] = s
            return ()
        return s.operands

    ordered(gradients, read)
    return list(found.values())


def _is_worth(s: Symbol, is_result: bool) -> bool:
    if s.weak or s.dtype == _HALF or s.function in ("input", "broadcast_to") or is_constant(s):
        return False
    size = s.size * s.dtype.itemsize
    if s.function in REDUCTIONS or s.function in _SLOW:
        return is_result or size <= _QUICK
    if s.function in _HEAVY:
        wide = s.dtype.itemsize > 4 and s.function not in _FAST
        return is_result or size <= (_QUICK if wide else _LITTLE)
    return is_result and s.function not in VIEWS


def _parts(s: Symbol) -> tuple[Any, ...]:
    return () if s.function == "hosted" else s.operands


def _distinct(symbols: Iterable[Symbol]) -> list[Symbol]:
    return list({id(s): s for s in symbols}.values())


class Program:
    """A traced function, ready to run.

    Args:
        inputs: the Symbols of the arrays.
        numbers: the names of the Python numbers.
        outputs: what is computed.
        silenced: NumPy's warnings are off whenever it runs.
        given: by the id of a traced Symbol, an input that has its value.
    """

    def __init__(
        self,
        inputs: Sequence[Symbol],
        numbers: Sequence[str],
        outputs: Sequence[Symbol],
        silenced: bool = False,
        given: Mapping[int, Symbol] | None = None,
    ) -> None:
        graph = Graph(outputs, silenced, given)
        planner = _Planner(graph)
        self._inputs = [id(s) for s in inputs]
        self._names = numbers
        self._graph = graph  # the Symbols are told by their ids
        self._steps = planner.steps
        self._results = list(zip(graph.results, planner.results, strict=True))
        self._hosted: dict[int, Symbol] = {}
        last: dict[int, int] = {}
        for number, step in enumerate(self._steps):
            for s in step.reads:
                last[id(_memory(s))] = number
        for _, s in self._results:
            last.pop(id(_memory(s)), None)
        self._dead = [
            [k for k, v in last.items() if v == number and k not in self._inputs]
            for number in range(len(self._steps))
        ]

        self._direct = self._found_direct(numbers)

    def _found_direct(self, numbers: Sequence[str]) -> Any:
        """Where there is one step, of inputs, and its results are as they are: what to hand it.

        The function, the places of its arrays and numbers, and those of the results.
        """
        if len(self._steps) != 1 or not isinstance(self._steps[0], Whole):
            return None
        (step,) = self._steps
        made = [id(s) for s in step.makes]
        if (
            not all(id(s) in self._inputs for s in step.reads)
            or not all(s.function == "input" for s in step.numbers)
            or not all(id(s) in made and not r.steps for r, s in self._results)
        ):
            return None
        return (
            step.function,
            [self._inputs.index(id(s)) for s in step.reads],
            [numbers.index(s.operands[0]) for s in step.numbers],
            [made.index(id(s)) for _, s in self._results],
        )

    def __call__(self, arrays: Sequence[Any], numbers: Sequence[float]) -> list[Any]:
        """The results as arrays. Those that are views of inputs share their memory."""
        if self._direct is not None:
            function, read, used, places = self._direct
            made = function(*[arrays[i] for i in read], *[numbers[i] for i in used])
            return [made[i] for i in places]
        memory = dict(zip(self._inputs, arrays, strict=True))
        given = dict(zip(self._names, numbers, strict=True))
        for step, dead in zip(self._steps, self._dead, strict=True):
            made = step.run(
                [_array(s, memory) for s in step.reads], [number_of(s, given) for s in step.numbers]
            )
            for s, a in zip(step.makes, made, strict=True):
                memory[id(s)] = a
            for k in dead:
                del memory[k]
        return [self._result(r, s, memory, given) for r, s in self._results]

    def _result(self, r: Result, s: Symbol, memory: dict[int, Any], given: dict[str, float]) -> Any:
        if not self._graph.reads(s):
            return np.full(r.shape, fill_value(s, given), r.dtype)
        a = memory.get(id(s))
        return look(CPU.xp, _array(s, memory) if a is None else a, r.steps)

    @property
    def text(self) -> str:
        """What is run, as Python."""
        return "\n".join(step.text for step in self._steps)


def _memory(s: Symbol) -> Symbol:
    return s.operands[0] if s.function == "view" else s


def _array(s: Symbol, memory: dict[int, Any]) -> Any:
    if s.function == "view":
        return look(CPU.xp, memory[id(s.operands[0])], s.detail)
    return memory[id(s)]
