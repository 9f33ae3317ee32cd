"""A traced function on the CPU: NumPy calls over blocks that stay in the cache.

A program is a sequence of steps. Of large arrays a step is a loop: per block of some thousand
elements a straight line of calls with temporary arrays of that size, so that only what is read and
what results goes through memory. Sums are made per block, and these are added up in groups. Of
small arrays a step is a straight line over whole arrays.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ..device import CPU
from ..fusible import OPAQUE, REDUCTIONS
from ..symbols import Shape, Symbol
from .emit import INTEGERS, Emitter, is_value
from .graph import Graph, Result, fill_value, is_constant, is_leaf, look, number_of, ordered

__all__ = ["BLOCK", "Program", "worth_saving"]

BLOCK = 16384
"""Elements of arrays that are not cut, and of a block where 64 bytes belong to each.

That is a mebibyte: what a core has in its second-level cache, or half of it.
"""

_FEW: Final = 1024
"""Elements up to which `numpy.where` is the fastest way to choose."""

_QUICK: Final = 1 << 20
"""Bytes of an array that the system does not take back when it is freed."""

_HALF: Final = np.dtype(np.float16)
_SINGLE: Final = np.dtype(np.float32)

_HEAVY: Final = frozenset(
    (
        *("arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cos", "cosh"),
        *("sin", "sinh", "tan", "tanh", "erf", "exp", "exp2", "expm1", "sigmoid", "log", "log10"),
        *("log1p", "log2", "logaddexp", "power", "hypot", "floor_divide", "fmod", "remainder"),
    )
)
"""What takes longer to compute again than to write and to read."""


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


# steps -----------------------------------------------------------------------------------------


class _Whole:
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


class _Loop:
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
        axes = [_filled_axes(s, ndim) for s in self._reductions]
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


def _filled_axes(s: Symbol, ndim: int) -> tuple[int, ...]:
    """The axes of a reduction, counted in `ndim` dimensions."""
    return tuple([d + ndim - s.operands[0].ndim for d in s.detail])


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
        if all(s.size <= BLOCK for s in every if s.function not in ("input", "view")):
            self.steps: list[Any] = [_Whole(_distinct(wanted), known)] if wanted else []
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
                self.steps.append(_Whole(members, known))
                continue
            shape, rows = key
            stores = [s for s in members if s.function == "store"]
            reductions = [s for s in members if s.function != "store"]
            self.steps.append(_Loop(shape, stores, reductions, known, rows))

    def _space(self, s: Symbol) -> Any:
        """The shape that is cut into blocks to compute `s`; None if it is small."""
        if self._length and self._by_rows(s):
            return self._whole_shape, True
        return (s.shape, False) if s.size > BLOCK else None

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
        if len(largest) < 2 or math.prod(largest[1:]) > 4 * BLOCK or largest[0] < 2:
            return
        self._whole_shape, self._length = largest, largest[0]
        viewed = {id(s.operands[0]) for s in every if s.function == "view"}
        viewed |= {id(v) for s in every if s.function in OPAQUE for v in s.operands}
        for s in every:
            if (
                s.function in REDUCTIONS
                and id(s) not in viewed
                and s.operands[0].size > BLOCK
                and self._by_rows(s.operands[0])
                and 0 not in _filled_axes(s, len(largest))
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
            if s.size > BLOCK:
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
            if isinstance(step, _Loop):
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

    Results, and what took long and is small enough that memory for it is quickly had.

    Args:
        outputs: traced Symbols.
        gradients: made of those.
    """
    forward = {id(s) for s in ordered(outputs)}
    results = {id(s) for s in outputs}
    heavy: set[int] = set()
    found: dict[int, Symbol] = {}
    for s in ordered(gradients):
        if id(s) in forward:
            if (
                s.function in _HEAVY
                or s.function in REDUCTIONS
                or any(id(v) in heavy for v in s.operands)
            ):
                heavy.add(id(s))
            continue
        found.update((id(v), v) for v in s.operands if id(v) in heavy)
    found.update((id(s), s) for s in gradients if id(s) in heavy)
    return [
        s
        for s in found.values()
        if s.dtype != _HALF
        and not s.weak
        and s.function != "broadcast_to"
        and (id(s) in results or s.size * s.dtype.itemsize <= _QUICK)
    ]


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
        if len(self._steps) != 1 or not isinstance(self._steps[0], _Whole):
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
