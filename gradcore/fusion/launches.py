"""Steps of a program on CUDA: kernels, with the texts that they are made of."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..symbols import Symbol, body
from .graph import is_leaf, ordered
from .rows import Rows

__all__ = ["Elementwise", "Fill", "Opaque", "OverRows", "Reductions", "Step", "below"]

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


def below(symbol: Symbol) -> tuple[Any, ...]:
    """Where an expression goes on, down to what is in memory."""
    return () if symbol.weak or is_leaf(symbol) else symbol.operands


# steps -----------------------------------------------------------------------------------------


class Step:
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


class Elementwise(Step):
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


class Reductions(Step):
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


class OverRows(Step):
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


class Opaque(Step):
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


class Fill(Step):
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
