"""A traced function on CUDA: one kernel for the expressions of one shape, one for its reductions.

What lies between two reductions is computed where it is needed, as part of the kernels that read
it. What is made of nothing but the result of a reduction (the division of a mean, the root of a
norm) is the end of that reduction's kernel. Reductions over rows that need one another are one
kernel, with what is made of them; see `rows.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from ..device import Device
from ..fusible import OPAQUE, REDUCTIONS
from ..symbols import Symbol, body
from .graph import Graph, Result, fill_value, is_leaf, look, number_of, ordered
from .rows import Rows, find_rows

__all__ = ["Program"]

_KERNELS: Final = 1024
"""Kernels that are kept, of all fused functions together."""

Pairs = tuple[tuple[str, Any], ...]
"""What a mapping has; unlike that it has a hash."""


@functools.lru_cache(maxsize=_KERNELS)
def _elementwise(kernels: Any, name: str, inputs: Pairs, outputs: Pairs, text: str) -> Any:
    return kernels.Elementwise(name, dict(inputs), dict(outputs), text).function()


@functools.lru_cache(maxsize=_KERNELS)
def _reductions(
    kernels: Any,
    name: str,
    inputs: Pairs,
    reductions: Pairs,
    reads: tuple[str, ...],
    term: str,
    outputs: Pairs,
    single: tuple[str, ...],
    finish: str,
) -> Any:
    return kernels.FusedReductions(
        name, dict(inputs), reductions, reads, term, dict(outputs), single, finish
    )


@functools.lru_cache(maxsize=_KERNELS)
def _rows(
    kernels: Any,
    name: str,
    inputs: Pairs,
    single: tuple[str, ...],
    passes: tuple[Any, ...],
    reads: tuple[str, ...],
    maps: Pairs,
    text: str,
    rows: Pairs,
    end: str,
) -> Any:
    return kernels.FusedRows(
        name, dict(inputs), single, passes, reads, dict(maps), text, dict(rows), end
    )


# texts -----------------------------------------------------------------------------------------


class _Arguments:
    """What the expressions of a kernel read, by the names of its arguments.

    Args:
        order: all that they are made of.
        leaves: the ids of what is in memory.
        first: the array that is to come first, if there is one.

    Attributes:
        arrays: what is read from memory, in order.
        numbers: the weak Symbols that are read, in order.
        inputs: the arguments: name, and dtype or None.
    """

    def __init__(
        self, order: Sequence[Symbol], leaves: set[int], first: Symbol | None = None
    ) -> None:
        self.arrays = [s for s in order if id(s) in leaves and s is not first]
        if first is not None:
            self.arrays.insert(0, first)
        self.numbers = [s for s in order if s.weak]
        self.names = {id(s): f"x{i}_" for i, s in enumerate(self.arrays)}
        self._given: dict[int, Symbol] = {
            id(s): Symbol.input(f"x{i}_", s.dtype) for i, s in enumerate(self.arrays)
        }
        self._given |= {id(s): Symbol.number(f"s{i}_") for i, s in enumerate(self.numbers)}
        self.inputs: Pairs = (
            *((f"x{i}_", s.dtype.name) for i, s in enumerate(self.arrays)),
            *((f"s{i}_", None) for i in range(len(self.numbers))),
        )

    def give(self, symbol: Symbol, name: str) -> None:
        """Let a variable of the kernel stand for a Symbol from now on."""
        self._given[id(symbol)] = Symbol.input(name, symbol.dtype)

    def below(self, symbol: Symbol) -> tuple[Any, ...]:
        """Where an expression goes on."""
        return () if id(symbol) in self._given else symbol.operands

    def read_by(self, roots: Iterable[Symbol]) -> tuple[str, ...]:
        """The names of the arrays that expressions read."""
        found = {id(s) for s in ordered(roots, self.below)}
        return tuple([self.names[id(s)] for s in self.arrays if id(s) in found])

    def text(self, outputs: Sequence[tuple[str, Symbol]]) -> str:
        """The statements that assign expressions to variables."""
        new: dict[int, Any] = dict(self._given)
        for s in ordered([x for _, x in outputs], self.below):
            if id(s) not in new:
                operands = tuple([new[id(v)] if isinstance(v, Symbol) else v for v in s.operands])
                new[id(s)] = Symbol(s.function, operands, s.dtype)
        return body([(name, new[id(x)], x.dtype) for name, x in outputs])


def _typed(pairs: Iterable[tuple[str, Symbol]]) -> Pairs:
    return tuple([(name, s.dtype.name) for name, s in pairs])


def _described(name: str, inputs: Pairs, outputs: Pairs) -> str:
    listed = ", ".join(f"{dtype or 'double'} {n}" for n, dtype in (*inputs, *outputs))
    return f"// {name}({listed})"


def _below(symbol: Symbol) -> tuple[Any, ...]:
    """Where an expression goes on, down to what is in memory."""
    return () if symbol.weak or is_leaf(symbol) else symbol.operands


# steps -----------------------------------------------------------------------------------------


class _Step:
    """One launch, or one function.

    Attributes:
        makes: what it computes.
        reads: of which arrays.
        numbers: and of which Python numbers.
        text: what it does.
    """

    makes: Sequence[Symbol]
    reads: Sequence[Symbol]
    numbers: Sequence[Symbol] = ()
    text: str

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        raise NotImplementedError


class _Elementwise(_Step):
    """Several expressions of one shape."""

    def __init__(self, kernels: Any, name: str, leaves: set[int], stores: Sequence[Symbol]) -> None:
        self.makes = stores
        order = ordered(
            [s.operands[0] for s in stores],
            lambda s: () if s.weak or id(s) in leaves else s.operands,
        )
        arguments = _Arguments(order, leaves)
        self.reads, self.numbers = arguments.arrays, arguments.numbers
        named = [(f"y{i}_", s.operands[0]) for i, s in enumerate(stores)]
        outputs, text = _typed(named), arguments.text(named)
        self._function = _elementwise(kernels, name, arguments.inputs, outputs, text)
        self.text = f"{_described(name, arguments.inputs, outputs)}\n{text}\n"

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        found = self._function(*arrays, *numbers)
        return found if len(self.makes) > 1 else (found,)


class _Reductions(_Step):
    """Reductions over the same axes of expressions of one shape.

    Args:
        kernels: the package of kernels.
        name: of the kernel.
        leaves: the ids of what is in memory.
        reductions: what is reduced how.
        finish: what is made of each result.
    """

    def __init__(
        self,
        kernels: Any,
        name: str,
        leaves: set[int],
        reductions: Sequence[Symbol],
        finish: Sequence[Symbol],
    ) -> None:
        self.makes = finish
        terms = [s.operands[0] for s in reductions]
        shape = terms[0].shape
        # All but what this step makes.
        leaves = leaves - {id(s) for s in (*reductions, *finish)}
        inner = {id(s) for s in reductions}
        order = ordered(
            [*terms, *finish],
            lambda s: () if s.weak or id(s) in leaves or id(s) in inner else s.operands,
        )
        order = [s for s in order if id(s) not in inner]
        # The layout of the first array decides.
        whole = [s for s in order if id(s) in leaves and s.shape == shape]
        arguments = _Arguments(order, leaves, whole[0] if whole else None)
        self.reads, self.numbers = arguments.arrays, arguments.numbers
        described = tuple(
            [(s.function, x.dtype.name) for s, x in zip(reductions, terms, strict=True)]
        )
        reads = arguments.read_by(terms)
        term = arguments.text([(f"term{k}_", x) for k, x in enumerate(terms)])
        for k, s in enumerate(reductions):
            arguments.give(s, f"a{k}_")
        named = [(f"y{i}_", s) for i, s in enumerate(finish)]
        outputs, end = _typed(named), arguments.text(named)
        self._function = _reductions(
            kernels,
            name,
            arguments.inputs,
            described,
            reads,
            term,
            outputs,
            arguments.read_by(finish),
            end,
        )
        self._where = {"dim": reductions[0].detail, "shape": shape, "out": reductions[0].shape}
        how = ", ".join(f"{function} a{k}_" for k, (function, _) in enumerate(described))
        self.text = (
            f"{_described(name, arguments.inputs, outputs)}\n{term}\n"
            f"// over the axes {reductions[0].detail}: {how}\n{end}\n"
        )

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        found: Sequence[Any] = self._function(*arrays, *numbers, **self._where)
        return found


class _OverRows(_Step):
    """What `rows` says, in one launch."""

    def __init__(self, kernels: Any, name: str, leaves: set[int], rows: Rows) -> None:
        every = [s for one in rows.reductions for s in one]
        roots = [*every, *(s.operands[0] for s in rows.maps), *rows.results]
        leaves = leaves - rows.inside
        order = ordered(roots, lambda s: () if s.weak or id(s) in leaves else s.operands)
        whole = [s for s in order if id(s) in leaves and s.shape == rows.shape]
        arguments = _Arguments(order, leaves, whole[0] if whole else None)
        self.reads, self.numbers = arguments.arrays, arguments.numbers
        self.makes = [*rows.maps, *rows.results]
        once = tuple([arguments.names[id(s)] for s in self.reads if rows.is_single(s)])

        def reads(roots: Iterable[Symbol]) -> tuple[str, ...]:
            return tuple([n for n in arguments.read_by(roots) if n not in once])

        passes = []
        lines = []
        number = 0
        for reductions, values in zip(rows.reductions, rows.values, strict=True):
            terms = [s.operands[0] for s in reductions]
            described = tuple(
                [(s.function, x.dtype.name) for s, x in zip(reductions, terms, strict=True)]
            )
            named = [(f"term{number + k}_", x) for k, x in enumerate(terms)]
            read, term = reads(terms), arguments.text(named)
            for s in reductions:
                arguments.give(s, f"a{number}_")
                number += 1
            made = [(f"r{number}_{k}_", s) for k, s in enumerate(values)]
            finish = arguments.text(made)
            for variable, s in made:
                arguments.give(s, variable)
            passes.append(kernels.Pass(described, read, term, _typed(made), finish))
            lines += [term, f"// over the axes {rows.axes}: {described}", finish]
        maps = [(f"y{i}_", s.operands[0]) for i, s in enumerate(rows.maps)]
        ends = [(f"z{i}_", s) for i, s in enumerate(rows.results)]
        text, end = arguments.text(maps), arguments.text(ends)
        self._function = _rows(
            kernels,
            name,
            arguments.inputs,
            once,
            tuple(passes),
            reads([x for _, x in maps]),
            _typed(maps),
            text,
            _typed(ends),
            end,
        )
        self._where = {"dim": rows.axes, "shape": rows.shape, "out": every[0].shape}
        head = _described(name, arguments.inputs, _typed([*maps, *ends]))
        self.text = "\n".join([head, *lines, text, end, ""])

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        found: Sequence[Any] = self._function(*arrays, *numbers, **self._where)
        return found


class _Opaque(_Step):
    """A function of raw arrays."""

    def __init__(self, xp: Any, symbol: Symbol) -> None:
        self.makes, self.reads = [symbol], symbol.operands
        self.text = f"// {symbol.function}\n"
        self._function = getattr(xp, symbol.function)
        detail = symbol.detail
        self._detail = detail if isinstance(detail, tuple) else (detail,)
        self._several = symbol.function == "concatenate"

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        given = list(arrays) if self._several else arrays[0]
        return [self._function(given, *self._detail)]


class _Fill(_Step):
    """An array of one number."""

    def __init__(self, module: Any, symbol: Symbol) -> None:
        self.makes, self.reads = [symbol], ()
        inner = symbol.operands[0].operands[0]
        self._number = None if isinstance(inner, Symbol) else inner
        self.numbers = [inner] if isinstance(inner, Symbol) else []
        self.text = f"// full {symbol.shape}\n"
        self._module = module

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        (s,) = self.makes
        value = numbers[0] if numbers else self._number
        return [self._module.full(s.shape, value, s.dtype)]


# the program -----------------------------------------------------------------------------------


class Program:
    """A traced function, ready to run; see `host.Program`.

    Args:
        name: of the kernels.
        device: where it runs.
        inputs: the Symbols of the arrays.
        numbers: the names of the Python numbers.
        outputs: what is computed.
    """

    def __init__(
        self,
        name: str,
        device: Device,
        inputs: Sequence[Symbol],
        numbers: Sequence[str],
        outputs: Sequence[Symbol],
    ) -> None:
        self._device = device
        self._backend: Any = device.backend
        self._name = f"gc_{name.lower()}"
        self._graph = graph = Graph(outputs)
        self._inputs = [id(s) for s in inputs]
        self._numbers = numbers
        roots = [r.symbol for r in graph.results if graph.reads(r.symbol)]
        self._every = [
            s
            for s in ordered(roots, lambda s: () if s.weak else s.operands)
            if graph.reads(s) or s.function == "store"
        ]
        self._rows = find_rows(graph, self._every)
        # Expressions that are in memory, though nobody has asked for it.
        self._ended: set[int] = set()
        self._steps = self._made_steps()
        last: dict[int, int] = {}
        for number, step in enumerate(self._steps):
            for s in step.reads:
                last[self._place(s)] = number
        kept = {self._place(r.symbol) for r in graph.results if graph.reads(r.symbol)}
        self._dead = [
            [k for k, n in last.items() if n == number and k not in kept and k not in self._inputs]
            for number in range(len(self._steps))
        ]

    # planning ------------------------------------------------------------------------------------

    def _made_steps(self) -> list[_Step]:
        graph, backend, rows = self._graph, self._backend, self._rows
        kernels, name = backend.kernels, self._name
        depths, depth_of_rows = self._depths()
        by_rows = set() if rows is None else rows.inside | {id(s) for s in rows.maps}
        groups = self._groups([s for s in self._every if id(s) not in by_rows], depths)
        finish = {
            key: self._border(members, key[-1], depths) for key, members in groups.items() if key[0]
        }
        self._ended = {id(s) for found in finish.values() for s in found}
        if rows is not None:
            self._ended |= {id(s) for s in rows.results}
        leaves = set(self._ended)
        leaves |= {id(s) for s in self._every if is_leaf(s) and s.function not in REDUCTIONS}
        made: dict[int, list[_Step]] = {}
        if rows is not None:
            made[depth_of_rows] = [_OverRows(kernels, name, leaves, rows)]
        for s in self._every:
            if s.function in OPAQUE:
                made.setdefault(depths[id(s)] - 1, []).append(_Opaque(backend.xp, s))
            elif s.function == "store" and not graph.reads(s.operands[0]):
                made.setdefault(depths[id(s)] - 1, []).append(_Fill(backend.module, s))
        for key, members in groups.items():
            if key[0]:
                step: _Step = _Reductions(kernels, name, leaves, members, finish[key])
            else:
                stores = [s for s in members if id(s.operands[0]) not in self._ended]
                if not stores:
                    continue
                step = _Elementwise(kernels, name, leaves, stores)
            made.setdefault(key[-1], []).append(step)
        return [step for depth in sorted(made) for step in made[depth]]

    def _depths(self) -> tuple[dict[int, int], int]:
        """How many steps after one another it takes until each Symbol is known.

        Also how many come before that over the rows.
        """
        rows = self._rows
        depths: dict[int, int] = {}

        def add(s: Symbol) -> None:
            depth = max([depths.get(id(v), 0) for v in s.operands], default=0)
            depths[id(s)] = depth + (is_leaf(s) and s.function not in ("input", "view"))

        before = 0
        if rows is not None:
            # What the rows do not depend on comes first.
            for s in self._every:
                if id(s) in rows.free:
                    add(s)
            roots = [*(s.operands[0] for s in rows.maps), *rows.results]
            roots += [s for one in rows.reductions for s in one]
            read = [s for s in ordered(roots, rows.below) if id(s) in rows.free and is_leaf(s)]
            before = max([depths[id(s)] for s in read], default=0)
            for s in (*self._every, *rows.maps):
                if id(s) in rows.inside or any(s is m for m in rows.maps):
                    depths[id(s)] = before + 1
        for s in self._every:
            if id(s) not in depths:
                add(s)
        return depths, before

    def _groups(self, symbols: Sequence[Symbol], depths: dict[int, int]) -> dict[Any, list[Symbol]]:
        """What one kernel does each: stores of one shape, or reductions of one shape and axes.

        Those that nothing else reads are as late as possible, so that they join others.
        """
        graph = self._graph
        used = {id(v) for s in self._every if s.function != "store" for v in s.operands}
        groups: dict[Any, list[Symbol]] = {}
        late: list[tuple[Any, int, Symbol]] = []
        for s in symbols:
            depth = depths[id(s)] - 1
            if s.function in REDUCTIONS:
                key: Any = "reduce", s.operands[0].shape, s.detail
            elif s.function == "store" and graph.reads(s.operands[0]):
                key = "", s.shape, ()
            else:
                continue
            if id(s) in used:
                groups.setdefault((*key, depth), []).append(s)
            else:
                late.append((key, depth, s))
        for key, depth, s in sorted(late, key=lambda found: -found[1]):
            later = [k for k in groups if k[:-1] == key and k[-1] >= depth]
            groups.setdefault(min(later, default=(*key, depth), key=lambda k: k[-1]), []).append(s)
        return groups

    def _border(
        self, reductions: Sequence[Symbol], before: int, depths: dict[int, int]
    ) -> list[Symbol]:
        """What the kernel of some reductions gives: all that is made of them alone.

        And of arrays that are no larger, and known by then.

        Args:
            reductions: of one shape.
            before: how many steps come before.
            depths: after how many steps each Symbol is known.
        """
        uses: dict[int, list[Symbol]] = {}
        for s in self._every:
            for v in s.operands:
                uses.setdefault(id(v), []).append(s)
        shape = reductions[0].shape
        results = {id(r.symbol) for r in self._graph.results}
        inside = {id(s) for s in reductions}

        def fits(v: Any) -> bool:
            if id(v) in inside or not self._graph.reads(v):
                return True
            if depths[id(v)] > before:
                return False
            small = np.broadcast_shapes(v.shape, shape) == shape
            return small and not any(s.function in REDUCTIONS for s in ordered([v], _below))

        found = list(reductions)
        for s in found:
            for user in uses.get(id(s), ()):
                if (
                    id(user) not in inside
                    and not is_leaf(user)
                    and user.shape == shape
                    and all(fits(v) for v in user.operands)
                ):
                    inside.add(id(user))
                    found.append(user)
        return [
            s
            for s in found
            if id(s) in results or any(id(u) not in inside for u in uses.get(id(s), ()))
        ]

    def _place(self, s: Symbol) -> int:
        """The id under which the memory of a Symbol is known."""
        if s.function == "view":
            s = s.operands[0]
        while s.function == "store" and id(s.operands[0]) in self._ended:
            s = s.operands[0]
        return id(s)

    # running -------------------------------------------------------------------------------------

    def __call__(self, arrays: Sequence[Any], numbers: Sequence[float]) -> list[Any]:
        """The results as arrays. Those that are views of inputs share their memory."""
        found: list[Any] = self._backend.on(self._device, lambda module: self._run(arrays, numbers))
        return found

    def _run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> list[Any]:
        memory = dict(zip(self._inputs, arrays, strict=True))
        given = dict(zip(self._numbers, numbers, strict=True))
        for step, dead in zip(self._steps, self._dead, strict=True):
            made = step.run(
                [self._array(s, memory) for s in step.reads],
                [number_of(s, given) for s in step.numbers],
            )
            for s, a in zip(step.makes, made, strict=True):
                memory[id(s)] = a
            for k in dead:
                del memory[k]
        return [self._result(r, memory, given) for r in self._graph.results]

    def _array(self, s: Symbol, memory: dict[int, Any]) -> Any:
        a = memory[self._place(s)]
        return look(self._backend.xp, a, s.detail) if s.function == "view" else a

    def _result(self, r: Result, memory: dict[int, Any], given: dict[str, float]) -> Any:
        if not self._graph.reads(r.symbol):
            value = fill_value(r.symbol, given)
            return self._backend.module.full(r.shape, value, r.dtype)
        return look(self._backend.xp, self._array(r.symbol, memory), r.steps)

    @property
    def text(self) -> str:
        """What is run: per kernel the statements for one element, in CUDA C."""
        return "\n".join(step.text for step in self._steps)
