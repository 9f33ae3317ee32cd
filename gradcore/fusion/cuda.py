"""A traced function on CUDA: one kernel for the expressions of one shape, one for each reduction.

What lies between two reductions is computed where it is needed, as part of the kernels that read
it. What is made of nothing but the result of a reduction (the division of a mean, the root of a
norm) is the end of that reduction's kernel.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from ..device import Device
from ..fusible import OPAQUE, REDUCTIONS
from ..symbols import Shape, Symbol, body
from .graph import Graph, Result, fill_value, is_leaf, look, number_of, ordered

__all__ = ["Program"]

_KERNELS: Final = 1024
"""Kernels that are kept, of all fused functions together."""


@functools.lru_cache(maxsize=_KERNELS)
def _elementwise(
    backend: Any,
    name: str,
    inputs: tuple[tuple[str, str | None], ...],
    outputs: tuple[tuple[str, str], ...],
    text: str,
) -> Any:
    kernel = backend.kernels.Elementwise(name, dict(inputs), dict(outputs), text)
    return kernel.function()


@functools.lru_cache(maxsize=_KERNELS)
def _reduction(
    backend: Any,
    name: str,
    function: str,
    dtype: str,
    inputs: tuple[tuple[str, str | None], ...],
    term: str,
    output: str,
    finish: str,
) -> Any:
    return backend.kernels.FusedReduction(name, function, dtype, dict(inputs), term, output, finish)


class _Reading:
    """Expressions in terms of a kernel's arguments.

    Args:
        leaves: the ids of what is in memory.
        roots: the expressions.
        given: by id, what other Symbols are called.

    Attributes:
        arrays: what is read from memory, in order.
        numbers: the weak Symbols that are read, in order.
        inputs: the arguments: name, and dtype or None.
    """

    def __init__(
        self, leaves: set[int], roots: Sequence[Any], given: dict[int, Symbol] | None = None
    ) -> None:
        self._new: dict[int, Any] = dict(given or {})
        self.arrays: list[Symbol] = []
        self.numbers: list[Symbol] = []
        order = ordered(
            roots,
            lambda s: () if id(s) in leaves or id(s) in self._new or s.weak else s.operands,
        )
        for s in order:
            if id(s) in self._new:
                continue
            if s.weak:
                self._new[id(s)] = Symbol.number(f"s{len(self.numbers)}_")
                self.numbers.append(s)
            elif id(s) in leaves:
                self._new[id(s)] = Symbol.input(f"x{len(self.arrays)}_", s.dtype)
                self.arrays.append(s)
            else:
                operands = tuple([self.of(v) for v in s.operands])
                self._new[id(s)] = Symbol(s.function, operands, s.dtype)
        self.inputs: tuple[tuple[str, str | None], ...] = (
            *((f"x{i}_", s.dtype.name) for i, s in enumerate(self.arrays)),
            *((f"s{i}_", None) for i in range(len(self.numbers))),
        )

    def of(self, value: Any) -> Any:
        """An expression, in terms of the arguments."""
        return self._new[id(value)] if isinstance(value, Symbol) else value


class _Elementwise:
    """One launch for several expressions of one shape."""

    def __init__(self, backend: Any, name: str, leaves: set[int], stores: Sequence[Symbol]) -> None:
        self.makes = stores
        reading = _Reading(leaves, [s.operands[0] for s in stores])
        self.reads, self.numbers = reading.arrays, reading.numbers
        outputs = tuple([(f"y{i}_", s.dtype.name) for i, s in enumerate(stores)])
        text = body(
            [
                (n, reading.of(s.operands[0]), dtype)
                for (n, dtype), s in zip(outputs, stores, strict=True)
            ]
        )
        self._function = _elementwise(backend, name, reading.inputs, outputs, text)
        arguments = [f"{d or 'double'} {n}" for n, d in (*reading.inputs, *outputs)]
        self.text = f"// {name}({', '.join(arguments)})\n{text}\n"

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        found = self._function(*arrays, *numbers)
        return found if len(self.makes) > 1 else (found,)


class _Reduction:
    """One reduction, in one launch or two.

    Args:
        backend: compiles.
        name: of the kernel.
        leaves: the ids of what is in memory.
        reduction: what is reduced how.
        finish: what is made of the result.
    """

    def __init__(
        self, backend: Any, name: str, leaves: set[int], reduction: Symbol, finish: Symbol
    ) -> None:
        self.makes = [finish]
        (x,) = reduction.operands
        reading = _Reading(leaves, [x])
        whole = [i for i, s in enumerate(reading.arrays) if s.shape == x.shape]
        if whole and whole[0]:
            # The layout of the first one decides.
            first = reading.arrays[whole[0]]
            reading = _Reading(leaves, [first, x])
        self.reads, self.numbers = reading.arrays, list(reading.numbers)
        term = body([("term_", reading.of(x), x.dtype)])
        result = Symbol.input("a_", reduction.dtype)
        numbers = {id(s): reading.of(s) for s in self.numbers}
        ending = _Reading(set(), [finish], {id(reduction): result} | numbers)
        inputs = reading.inputs
        if not self.numbers:
            self.numbers = ending.numbers
            inputs += ending.inputs
        end = body([("y_", ending.of(finish), finish.dtype)])
        self._function = _reduction(
            backend, name, reduction.function, x.dtype.name, inputs, term, finish.dtype.name, end
        )
        self._dim, self._shape, self._out = reduction.detail, x.shape, reduction.shape
        arguments = [f"{d or 'double'} {n}" for n, d in inputs]
        self.text = (
            f"// {name}({', '.join(arguments)}): {reduction.function} over {reduction.detail}\n"
            f"{term}\n// of the result a_\n{end}\n"
        )

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        return [self._function(*arrays, *numbers, dim=self._dim, shape=self._shape, out=self._out)]


class _Opaque:
    """A function of raw arrays."""

    def __init__(self, xp: Any, symbol: Symbol) -> None:
        self.makes, self.reads = [symbol], symbol.operands
        self.numbers: list[Symbol] = []
        self.text = f"// {symbol.function}\n"
        self._function = getattr(xp, symbol.function)
        detail = symbol.detail
        self._detail = detail if isinstance(detail, tuple) else (detail,)
        self._several = symbol.function == "concatenate"

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        given = list(arrays) if self._several else arrays[0]
        return [self._function(given, *self._detail)]


class _Fill:
    """An array of one number."""

    def __init__(self, module: Any, symbol: Symbol) -> None:
        self.makes = [symbol]
        self.reads: list[Symbol] = []
        (x,) = symbol.operands
        inner = x.operands[0]
        self._number = None if isinstance(inner, Symbol) else inner
        self.numbers = [inner] if isinstance(inner, Symbol) else []
        self.text = f"// full {symbol.shape}\n"
        self._module = module

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        (s,) = self.makes
        value = numbers[0] if numbers else self._number
        return [self._module.full(s.shape, value, s.dtype)]


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
        self._finish = self._ends()
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

    def _ends(self) -> dict[int, Symbol]:
        """By the id of each reduction, what its kernel makes of the result."""
        uses: dict[int, list[Symbol]] = {}
        for s in self._every:
            for v in s.operands:
                uses.setdefault(id(v), []).append(s)
        finish: dict[int, Symbol] = {}
        for r in self._every:
            if r.function not in REDUCTIONS:
                continue
            finish[id(r)] = r
            inside = {id(r)}
            found = [r]
            for s in found:
                for user in uses.get(id(s), ()):
                    if (
                        id(user) not in inside
                        and not is_leaf(user)
                        and all(id(v) in inside or self._is_number(v) for v in user.operands)
                    ):
                        inside.add(id(user))
                        found.append(user)
            results = {id(x.symbol) for x in self._graph.results}
            border = [
                s
                for s in found
                if id(s) in results or any(id(u) not in inside for u in uses.get(id(s), ()))
            ]
            if len(border) == 1 and len(_numbers([r.operands[0], border[0]])) < 2:
                finish[id(r)] = border[0]
        return finish

    def _is_number(self, value: Any) -> bool:
        return not isinstance(value, Symbol) or not self._graph.reads(value)

    def _place(self, s: Symbol) -> int:
        """The id under which the memory of a Symbol is known."""
        s = self._stored.get(id(s), s)
        if s.function == "view":
            s = s.operands[0]
        while s.function == "store" and id(s.operands[0]) in self._ended:
            s = s.operands[0]
        return id(s)

    def _made_steps(self) -> list[Any]:
        graph, backend = self._graph, self._backend
        self._ended = {id(s) for s in self._finish.values()}
        self._stored: dict[int, Symbol] = {}
        leaves = set(self._ended)
        leaves |= {id(s) for s in self._every if is_leaf(s) and s.function not in REDUCTIONS}
        depths: dict[int, int] = {}
        steps: dict[int, list[Any]] = {}
        groups: dict[tuple[int, Shape], list[Symbol]] = {}
        for s in self._every:
            depth = max([depths.get(id(v), 0) for v in s.operands], default=0)
            depths[id(s)] = depth
            if s.function == "store":
                (x,) = s.operands
                if id(x) in self._ended:
                    continue
                if graph.reads(x):
                    groups.setdefault((depth, s.shape), []).append(s)
                else:
                    steps.setdefault(depth, []).append(_Fill(backend.module, s))
            elif s.function in REDUCTIONS:
                (x,) = s.operands
                if len(_numbers([x])) > 1:
                    # The kernel takes one number.
                    whole = graph.make("store", (x,), x.dtype)
                    groups.setdefault((depth, x.shape), []).append(whole)
                    self._stored[id(x)] = whole
                    depth += 1
                known = leaves | self._stored.keys()
                step = _Reduction(backend, self._name, known, s, self._finish[id(s)])
                steps.setdefault(depth, []).append(step)
            elif s.function in OPAQUE:
                steps.setdefault(depth, []).append(_Opaque(backend.xp, s))
            else:
                continue
            depths[id(s)] = depth + 1
        for (depth, _), stores in groups.items():
            steps.setdefault(depth, []).append(_Elementwise(backend, self._name, leaves, stores))
        return [step for depth in sorted(steps) for step in steps[depth]]

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


def _numbers(roots: Sequence[Symbol]) -> list[Symbol]:
    """The weak Symbols that expressions read."""
    order = ordered(roots, lambda s: () if s.weak or is_leaf(s) else s.operands)
    return [s for s in order if s.weak]
