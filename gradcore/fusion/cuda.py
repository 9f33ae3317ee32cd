"""A traced function on CUDA: one kernel for the expressions of one shape, one for its reductions.

What lies between two reductions is computed where it is needed, as part of the kernels that read
it. What is made of nothing but the result of a reduction (the division of a mean, the root of a
norm) is the end of that reduction's kernel. Reductions over rows that need one another are one
kernel, with what is made of them; see `rows.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..device import Device
from ..fusible import OPAQUE, REDUCTIONS
from ..symbols import Symbol
from .graph import Graph, Result, fill_value, is_leaf, look, number_of, ordered
from .launches import Elementwise, Fill, Opaque, OverRows, Reductions, Step, below
from .rows import find_rows

__all__ = ["Program"]


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

    def _made_steps(self) -> list[Step]:
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
        leaves = self._ended | {id(s) for s in self._every if is_leaf(s)}
        made: dict[int, list[Step]] = {}
        if rows is not None:
            made[depth_of_rows] = [OverRows(kernels, name, leaves, rows)]
        for s in self._every:
            if s.function in OPAQUE:
                made.setdefault(depths[id(s)] - 1, []).append(Opaque(backend.xp, s))
            elif s.function == "store" and not graph.reads(s.operands[0]):
                made.setdefault(depths[id(s)] - 1, []).append(Fill(backend.module, s))
        for key, members in groups.items():
            if key[0]:
                step: Step = Reductions(kernels, name, leaves, members, finish[key])
            else:
                stores = [s for s in members if id(s.operands[0]) not in self._ended]
                if not stores:
                    continue
                step = Elementwise(kernels, name, leaves, stores)
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
            return small and not any(s.function in REDUCTIONS for s in ordered([v], below))

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
