"""Steps of a program on the CPU: lines of NumPy calls, over whole arrays or over blocks."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ..device import CPU
from ..symbols import Shape, Symbol
from .emit import Emitter, is_value
from .graph import ordered

__all__ = ["BLOCK", "Loop", "Whole", "filled_axes"]

BLOCK = 16384
"""Elements of arrays that are not cut, and of a block where 64 bytes belong to each.

That is a mebibyte: what a core has in its second-level cache, or half of it.
"""


class Whole:
    """A straight line of calls over whole arrays.

    Args:
        results: what is computed.
        known: what is in memory before; as ids.

    Attributes:
        makes: what is computed.
        reads: of what.
        numbers: the Python numbers that are read.
        text: the function.
        function: of the arrays and the numbers.
    """

    def __init__(self, results: Sequence[Symbol], known: set[int]) -> None:
        order = ordered(results, lambda s: () if id(s) in known or is_value(s) else s.operands)
        self.reads = [s for s in order if id(s) in known]
        computes = [s for s in order if id(s) not in known and not is_value(s)]
        names = {id(s): f"x{i}" for i, s in enumerate(self.reads)}
        emitter = Emitter(names, ndim=None, given=False)
        emitter.emit(computes, results, {})
        self.makes = results
        self.numbers = list(emitter.numbers.values())
        parameters = ", ".join([*names.values(), *emitter.numbers])
        listed = ", ".join(emitter.name(s) for s in results)
        self.text = emitter.text(f"def whole({parameters}):", f"({listed},)")
        self.function = _compiled(self.text, emitter.scope, "whole")

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        found: Sequence[Any] = self.function(*arrays, *numbers)
        return found


def _compiled(text: str, scope: dict[str, Any], name: str) -> Callable[..., Any]:
    exec(text, scope)
    found: Callable[..., Any] = scope[name]
    return found


class _Block:
    """One block: of each dimension a piece.

    Attributes:
        shape: its lengths.
        pieces: of each dimension, the number of the piece.
    """

    __slots__ = ("_slices", "pieces", "shape")

    def __init__(self, slices: tuple[slice, ...], pieces: tuple[int, ...]) -> None:
        self._slices = slices
        self.pieces = pieces
        self.shape = tuple([s.stop - s.start for s in slices])

    def at(self, single: tuple[bool, ...]) -> tuple[slice, ...]:
        """The index of the block in an array, of which the marked dimensions have length 1."""
        return tuple([_ALL if one else s for one, s in zip(single, self._slices, strict=True)])


_ALL: Final = slice(None)

_SHORT: Final = 2048
"""Elements that are next to each other in a block of which other dimensions are summed over."""


@functools.lru_cache(maxsize=64)
def _blocks(shape: Shape, rows: bool, across: bool, size: int) -> list[_Block]:
    """An array of that shape cut into blocks.

    Args:
        shape: its lengths, none of them 0.
        rows: only the first dimension is cut.
        across: the last dimension stays where the others are summed over.
        size: how many elements a block has, if that can be.
    """
    steps = list(shape)
    room = size
    if rows:
        steps[0] = max(1, size // math.prod(shape[1:]))
    elif math.prod(shape) > size:
        for d in reversed(range(len(shape))):
            most = min(room, _SHORT) if across and d == len(shape) - 1 else room
            pieces = -(-shape[d] // max(1, most))
            steps[d] = -(-shape[d] // pieces)
            room //= steps[d]
    cuts = [
        [slice(start, min(start + step, n)) for start in range(0, n, step)]
        for n, step in zip(shape, steps, strict=True)
    ]
    numbered = [list(enumerate(found)) for found in cuts]
    return [
        _Block(tuple([s for _, s in chosen]), tuple([k for k, _ in chosen]))
        for chosen in itertools.product(*numbered)
    ]


_ADD: Final[dict[str, np.ufunc]] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}


class _Total:
    """What a reduction has found so far.

    Sums are kept in groups, of which there are about as many as blocks in each: so long sums stay
    as exact as NumPy's.

    Args:
        s: the reduction.
        axes: over which.
        single: the dimensions that have length 1 in what is reduced.
        blocks: all that there are.
    """

    def __init__(
        self,
        s: Symbol,
        axes: tuple[int, ...],
        single: tuple[bool, ...],
        blocks: Sequence[_Block],
    ) -> None:
        last = blocks[-1]
        shape = [b.stop for b in last.at((False,) * len(last.shape))]
        self._axes = axes
        self._counts = [k + 1 for k in last.pieces]
        self._single = tuple([one or d in axes for d, one in enumerate(single)])
        self._add = _ADD[s.function]
        count = math.prod([self._counts[d] for d in axes])
        self._each = math.isqrt(count) if s.function == "sum" else count
        groups = -(-count // self._each)
        kept = [1 if one else n for one, n in zip(self._single, shape, strict=True)]
        self._groups = np.empty((groups, *kept), s.dtype)

    def add(self, block: _Block, value: Any) -> None:
        """Take the reduction of one block."""
        number = 0
        for d in self._axes:
            number = number * self._counts[d] + block.pieces[d]
        group = self._groups[number // self._each]
        place = group[block.at(self._single)]
        if number % self._each:
            self._add(place, value, out=place)
        else:
            place[...] = value

    def value(self) -> Any:
        """The reduction."""
        if len(self._groups) == 1:
            return self._groups[0]
        return CPU.xp.sum(self._groups, 0)


class Loop:
    """Calls over blocks.

    Args:
        shape: of what is cut into blocks.
        stores: what is written to memory as it is.
        reductions: of what is computed in the blocks.
        known: what is in memory before; as ids.
        rows: only the first dimension is cut, and reductions over others are part of a block.
    """

    def __init__(
        self,
        shape: Shape,
        stores: Sequence[Symbol],
        reductions: Sequence[Symbol],
        known: set[int],
        rows: bool,
    ) -> None:
        self._shape, self._rows = shape, rows
        self._stores, self._reductions = stores, reductions
        self.makes = [*stores, *reductions]
        roots = [s.operands[0] for s in self.makes]
        order = ordered(roots, lambda s: () if id(s) in known or is_value(s) else s.operands)
        self.reads = [s for s in order if id(s) in known]
        self.computes = [s for s in order if id(s) not in known and not is_value(s)]
        names = {id(s): f"x{i}" for i, s in enumerate(self.reads)}
        outs = {
            id(s.operands[0]): f"y{i}"
            for i, s in enumerate(stores)
            if id(s.operands[0]) not in names
        }
        emitter = Emitter(names, ndim=len(shape), given=True)
        emitter.emit(self.computes, roots, outs)
        for i, s in enumerate(stores):
            emitter.copy(s.operands[0], f"y{i}")
        found = [
            emitter.reduced(s.function, s.operands[0], f"a{i}") for i, s in enumerate(reductions)
        ]
        self.numbers = list(emitter.numbers.values())
        self._temporaries = [(dtype, self._single(own)) for _, dtype, own in emitter.temporaries]
        parameters = [
            *names.values(),
            *emitter.numbers,
            *(f"y{i}" for i in range(len(stores))),
            *(f"a{i}" for i in range(len(reductions))),
            *(name for name, _, _ in emitter.temporaries),
        ]
        self.text = emitter.text(f"def block({', '.join(parameters)}):", f"[{', '.join(found)}]")
        self._function = _compiled(self.text, emitter.scope, "block")
        every = [*self.reads, *stores]
        self._bytes = sum(s.dtype.itemsize for s in every if s.size > 1)
        self._bytes += sum(dtype.itemsize for dtype, _ in self._temporaries)
        # One dimension will do where each array is of the whole shape, or a number.
        whole = {1, math.prod(shape)}
        self._can_be_flat = (
            not rows
            and all(s.size in whole for s in (*self.reads, *self.computes))
            and all(math.prod(s.shape) == 1 for s in reductions)
        )

    def _single(self, shape: Shape) -> tuple[bool, ...]:
        """Which dimensions have length 1; of all that the blocks have."""
        return (True,) * (len(self._shape) - len(shape)) + tuple([n == 1 for n in shape])

    def run(self, arrays: Sequence[Any], numbers: Sequence[float]) -> Sequence[Any]:
        """What the step makes, of what it reads."""
        shape = self._shape
        ndim = len(shape)
        size = math.prod(shape)
        axes = [filled_axes(s, ndim) for s in self._reductions]
        if self._can_be_flat and all(a.size == 1 or a.flags.c_contiguous for a in arrays):
            stored = [np.empty(s.shape, s.dtype) for s in self._stores]
            cut = [a.reshape(-1) for a in (*arrays, *stored)]
            laid = lambda single: (all(single),)
            totals = self._over_blocks((size,), laid, cut, numbers, [(0,)] * len(axes))
            return [*stored, *self._reshaped(totals)]
        arrays = [a.reshape((1,) * (ndim - a.ndim) + a.shape) for a in arrays]
        whole = [a for a in arrays if a.size == size]
        if not whole or self._rows or any(a.flags.c_contiguous for a in whole):
            stored = [np.empty(s.shape, s.dtype) for s in self._stores]
            cut = [*arrays, *(a.reshape((1,) * (ndim - a.ndim) + a.shape) for a in stored)]
            totals = self._over_blocks(shape, lambda single: single, cut, numbers, axes)
            return [*stored, *self._reshaped(totals)]
        # In the order of memory; results lie likewise.
        strides = whole[0].strides
        order = tuple(sorted(range(ndim), key=lambda d: -abs(strides[d])))
        back = [order.index(d) for d in range(ndim)]
        laid = lambda single: tuple([single[d] for d in order])
        stored = []
        for s in self._stores:
            own = (1,) * (ndim - s.ndim) + s.shape
            stored.append(np.empty([own[d] for d in order], s.dtype))
        cut = [*(a.transpose(order) for a in arrays), *stored]
        axes = [tuple([back[d] for d in one]) for one in axes]
        totals = self._over_blocks(tuple([shape[d] for d in order]), laid, cut, numbers, axes)
        found = [
            a.transpose(back).reshape(s.shape) for s, a in zip(self._stores, stored, strict=True)
        ]
        return [*found, *self._reshaped([a.transpose(back) for a in totals])]

    def _reshaped(self, totals: Sequence[Any]) -> list[Any]:
        return [a.reshape(s.shape) for s, a in zip(self._reductions, totals, strict=True)]

    def _over_blocks(
        self,
        shape: Shape,
        laid: Callable[[tuple[bool, ...]], tuple[bool, ...]],
        cut: Sequence[Any],
        numbers: Sequence[float],
        axes: Sequence[tuple[int, ...]],
    ) -> list[Any]:
        """Fill the stores, and return the reductions.

        Args:
            shape: of what is cut into blocks.
            laid: gives for the dimensions of the step, in any array, those of `shape`.
            cut: the arrays that are read, and then the stores; of as many dimensions.
            numbers: that are read.
            axes: of each reduction.
        """
        across = any(len(shape) - 1 not in one for one in axes)
        size = min(4 * BLOCK, max(BLOCK // 4, 64 * BLOCK // self._bytes))
        blocks = _blocks(shape, self._rows, across, size)
        patterns = [tuple([n == 1 for n in a.shape]) for a in cut]
        temporaries = _Scratch([(dtype, laid(one)) for dtype, one in self._temporaries], blocks)
        totals = [
            _Total(s, one, laid(self._single(s.operands[0].shape)), blocks)
            for s, one in zip(self._reductions, axes, strict=True)
        ]
        number = len(self.reads)
        function = self._function
        for block in blocks:
            places = {single: block.at(single) for single in set(patterns)}
            parts = [a[places[single]] for a, single in zip(cut, patterns, strict=True)]
            partial = function(
                *parts[:number], *numbers, *parts[number:], *axes, *temporaries.of(block.shape)
            )
            for total, value in zip(totals, partial, strict=True):
                total.add(block, value)
        return [total.value() for total in totals]


class _Scratch:
    """Temporary arrays for blocks of several shapes, in the same memory."""

    def __init__(
        self, described: Sequence[tuple[Any, tuple[bool, ...]]], blocks: Sequence[_Block]
    ) -> None:
        self._described = described
        # The first block is as large as any.
        largest = math.prod(blocks[0].shape)
        self._memory = [np.empty(largest, dtype) for dtype, _ in described]
        self._known: dict[Shape, list[Any]] = {}

    def of(self, shape: Shape) -> list[Any]:
        """The arrays for a block of that shape."""
        found = self._known.get(shape)
        if found is None:
            found = self._known[shape] = []
            for memory, (_, single) in zip(self._memory, self._described, strict=True):
                own = tuple([1 if one else n for one, n in zip(single, shape, strict=True)])
                found.append(memory[: math.prod(own)].reshape(own))
        return found


def filled_axes(s: Symbol, ndim: int) -> tuple[int, ...]:
    """The axes of a reduction, counted in `ndim` dimensions."""
    return tuple([d + ndim - s.operands[0].ndim for d in s.detail])
