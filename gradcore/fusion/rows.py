"""Reductions over the rows of arrays that one kernel can do, with what is made of them.

A *row* are the elements that reductions over the same axes, of expressions of one shape, make one
number of. Where such reductions need one another (the variance the mean), or elementwise results
need them (a softmax), the kernel that has a block go over its rows several times takes one launch
in place of many, and finds the rows in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from ..fusible import OPAQUE, REDUCTIONS
from ..symbols import Shape, Symbol
from .graph import Graph, is_leaf, ordered

__all__ = ["Rows", "find_rows"]

_ROWS: Final = 128
"""Rows from which the device has enough to do with a block for each."""

_SMALL: Final = 1 << 15
"""Elements up to which that does not matter."""

_FREE, _INSIDE, _OUTSIDE = 0, 1, 2


class Rows:
    """What one kernel does.

    Attributes:
        shape: of what is reduced.
        axes: over which.
        reductions: by the number of the pass over a row.
        maps: the stores of elementwise results.
        values: the expressions of one number a row that the next passes read, by pass.
        inside: the ids of all that depends on the reductions and can be computed by the kernel.
        rowlike: the ids of those that are one number a row.
        free: the ids of what does not depend on them.
        results: what else is to be written: expressions of one number a row.
    """

    def __init__(
        self, graph: Graph, every: Sequence[Symbol], shape: Shape, axes: tuple[int, ...]
    ) -> None:
        self.shape, self.axes = shape, axes
        self._graph = graph
        states: dict[int, int] = {}
        levels: dict[int, int] = {}
        self.rowlike: set[int] = set()
        members: list[Symbol] = []
        for s in every:
            below = [v for v in s.operands if id(v) in states]
            state = max([states[id(v)] for v in below], default=_FREE)
            level = max([levels[id(v)] for v in below], default=0)
            if s.function in REDUCTIONS:
                (x,) = s.operands
                if state != _OUTSIDE and x.shape == shape and s.detail == axes:
                    state = _INSIDE
                    level += 1
                    members.append(s)
                    self.rowlike.add(id(s))
                elif state == _INSIDE:
                    state = _OUTSIDE
            elif state == _INSIDE:
                if s.function == "view" or s.function in OPAQUE:
                    state = _OUTSIDE
                elif self._is_row(s.shape):
                    self.rowlike.add(id(s))
                elif self._padded(s.shape) != shape:
                    state = _OUTSIDE
            states[id(s)] = state
            levels[id(s)] = level
        self._states, self._levels = states, levels
        self.free = {k for k, state in states.items() if state == _FREE}
        self.inside = {id(s) for s in every if states[id(s)] == _INSIDE and s.function != "store"}
        self.rowlike &= self.inside
        count = max([levels[id(s)] for s in members], default=0)
        self.reductions: list[list[Symbol]] = [[] for _ in range(count)]
        for s in members:
            self.reductions[levels[id(s)] - 1].append(s)
        self._find_results(every)
        self._find_values(every)

    def _padded(self, shape: Shape) -> Shape:
        return (1,) * (len(self.shape) - len(shape)) + shape

    def _is_row(self, shape: Shape) -> bool:
        """Whether an array of that shape has one number for each row."""
        return self._padded(shape) == tuple(
            [1 if d in self.axes else n for d, n in enumerate(self.shape)]
        )

    def is_single(self, s: Symbol) -> bool:
        """Whether an array is the same along a row."""
        own = self._padded(s.shape)
        return len(own) == len(self.shape) and all(own[d] == 1 for d in self.axes)

    def below(self, s: Symbol) -> tuple[object, ...]:
        """Where an expression that the kernel computes goes on."""
        return () if s.weak or (is_leaf(s) and id(s) not in self.inside) else s.operands

    def _find_results(self, every: Sequence[Symbol]) -> None:
        """What is written: maps, and what others read, or results are."""
        graph, states = self._graph, self._states
        wanted = {id(r.symbol) for r in graph.results if graph.reads(r.symbol)}
        used = {id(v) for s in every for v in s.operands}
        self.maps: list[Symbol] = []
        found: dict[int, Symbol] = {}
        roots: list[Symbol] = []
        for s in every:
            state = states[id(s)]
            if id(s) in wanted and id(s) in self.rowlike:
                found[id(s)] = s
            if s.function == "store" and graph.reads(s.operands[0]):
                (x,) = s.operands
                if state == _INSIDE:
                    if id(x) in self.rowlike:
                        found[id(x)] = x
                    else:
                        self.maps.append(s)
                elif state == _FREE and s.shape == self.shape and id(s) not in used:
                    self.maps.append(s)  # while the kernel is there
                else:
                    roots.append(s)
            elif state != _INSIDE and (is_leaf(s) and s.function != "input"):
                roots.append(s)
        for root in roots:
            for s in ordered(
                root.operands,
                lambda s: () if s.weak or is_leaf(s) or id(s) in self.rowlike else s.operands,
            ):
                if id(s) in self.rowlike:
                    found[id(s)] = s
        self.results = list(found.values())

    def _find_values(self, every: Sequence[Symbol]) -> None:
        """What is made of the reductions after each pass, once a row."""
        uses: dict[int, list[Symbol]] = {}
        for s in every:
            for v in s.operands:
                uses.setdefault(id(v), []).append(s)
        written = {id(s) for s in self.results}
        self.values: list[list[Symbol]] = [[] for _ in self.reductions]
        for s in every:
            if id(s) not in self.rowlike or s.function in REDUCTIONS:
                continue
            if id(s) in written or any(
                id(user) not in self.rowlike or user.function in REDUCTIONS
                for user in uses.get(id(s), ())
            ):
                self.values[self._levels[id(s)] - 1].append(s)

    @property
    def gain(self) -> int:
        """How many launches are saved, at least about."""
        maps = {s.shape for s in self.maps if self._states[id(s)] == _INSIDE}
        return len(self.reductions) + len(maps) - 1

    @property
    def fill(self) -> bool:
        """Whether there are enough rows for a block each."""
        size = math.prod(self.shape)
        rows = size // math.prod([self.shape[d] for d in self.axes])
        return rows >= _ROWS or size <= _SMALL


def find_rows(graph: Graph, every: Sequence[Symbol]) -> Rows | None:
    """What of a function one kernel by rows does best; None if there is nothing to gain."""
    reductions = [s for s in every if s.function in REDUCTIONS]
    best: Rows | None = None
    for shape, axes in dict.fromkeys((s.operands[0].shape, s.detail) for s in reductions):
        if 0 in shape:
            continue
        rows = Rows(graph, every, shape, axes)
        if rows.fill and rows.gain > (0 if best is None else best.gain):
            best = rows
    return best
