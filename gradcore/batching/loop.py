"""Operations over batches, and sample by sample where there is no reading for batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ..errors import BatchingError
from .array import BatchedArray, Level, NotBatched, deepest, taken
from .namespace import Bases, batched, summing
from .readings import READINGS

__all__ = ["LOOPED", "PRODUCTS", "cotangents_over_batches", "over_batches", "sample_by_sample"]

LOOPED: Final[set[str]] = set()
"""The names of the operations that have run sample by sample."""

_REFUSALS: Final = (NotBatched, TypeError, AttributeError)
"""What is raised where a function meets a batch that does not know it."""


def over_batches(
    name: str,
    forward: Callable[..., Any],
    below: Callable[..., Any],
    reading: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """The forward of an operation on batches: `call(xp, *args)`.

    Args:
        name: of the operation.
        forward: `forward(xp, *args)`, as it was declared.
        below: the forward of the kind of device that its arrays are on, `below(*args)`.
        reading: its reading for batches, if it is declared with one; see `readings.py`.
    """
    reading = reading or READINGS.get(name)

    def call(xp: Any, *args: Any) -> Any:
        level = deepest(args)
        if level is None:
            return below(*args)
        if reading is not None:
            found = reading(level, call_below, *args)
            if found is not None:
                return found
        try:
            return forward(batched, *args)
        except _REFUSALS as error:
            if isinstance(error, BatchingError) and not isinstance(error, NotBatched):
                raise
            return sample_by_sample(name, call_below, args, level)

    def call_below(*args: Any) -> Any:
        return call(batched, *args)

    return call


PRODUCTS: Final = frozenset(
    {"AddmmBackward0", "BmmBackward0", "EinsumTwoBackward0", "MatmulBackward0", "MmBackward0"}
)
"""The nodes whose rules do nothing with a product but rearrange and sum it."""


def cotangents_over_batches(
    pullback: Any, g: Any, saved: tuple[Any, ...], shared: Sequence[Sequence[Level]] = ()
) -> list[Any]:
    """The cotangents that a node passes on, one per edge, where arrays are batched.

    Args:
        pullback: of the node.
        g: the cotangent of its output.
        saved: what it has saved.
        shared: of PRODUCTS, per edge the levels that run no longer for all of whose samples it was
            the same.
    """
    try:
        if shared:
            return [
                rule(summing(over), g, saved)
                for rule, over in zip(pullback.rules, shared, strict=True)
            ]
        return _cotangents(batched, pullback, g, saved)
    except _REFUSALS as error:
        refused = isinstance(error, BatchingError) and not isinstance(error, NotBatched)
        if refused or not pullback.of_op:
            raise
        return list(_cotangents_by_sample(pullback, g, saved))


def _cotangents(xp: Any, pullback: Any, g: Any, saved: Any) -> list[Any]:
    if pullback.joint is not None:
        g = pullback.joint(xp, g, saved)
    return [rule(xp, g, saved) for rule in pullback.rules]


def _cotangents_by_sample(pullback: Any, g: Any, saved: Any) -> Any:
    values: tuple[Any, ...]
    rebuild: Callable[[tuple[Any, ...]], Any]
    if isinstance(g, dict):  # of several outputs
        kind, numbers, values = type(g), tuple(g), tuple(g.values())
        rebuild = lambda values: kind(zip(numbers, values, strict=True))
    else:
        values, rebuild = (g,), lambda values: values[0]

    def run(values: Any, saved: Any) -> Any:
        level = deepest((values, saved))
        if level is None:
            return _cotangents(Bases.find(values[0]), pullback, rebuild(values), saved)
        return sample_by_sample(pullback.name, run, (values, saved), level)

    return run(values, saved)


def sample_by_sample(
    name: str, function: Callable[..., Any], args: Sequence[Any], level: Level
) -> Any:
    """`function(*args)` for each sample of a level, and the results as batches.

    Raises:
        BatchingError: there are no samples.
    """
    if not level.size:
        raise BatchingError(f"vmap: {name} runs sample by sample, and there are none.")
    results = []
    lists = [(place, list(value)) for place, value in enumerate(args) if type(value) is list]
    added: list[list[Any]] = []
    for number in range(level.size):
        sample = list(taken(tuple(args), level, number))
        results.append(function(*sample))
        # What a forward keeps for its rules it appends to a list.
        added.append([sample[place][len(before) :] for place, before in lists])
    for (place, _), found in zip(lists, _stacked(added, level), strict=True):
        args[place].extend(found)
    if name not in LOOPED:
        LOOPED.add(name)
        warnings.warn(
            "There is a performance drop because we have not yet implemented the batching rule "
            f"for {name}.",
            UserWarning,
            stacklevel=4,
        )
    return _stacked(results, level)


def _stacked(results: list[Any], level: Level) -> Any:
    """What the samples gave, each part as a batch; what is no array must be the same for all."""
    first = results[0]
    if isinstance(first, tuple | list):
        columns = [_stacked(list(column), level) for column in zip(*results, strict=True)]
        return tuple(columns) if isinstance(first, tuple) else columns
    if isinstance(first, np.generic):
        results = [np.asarray(value) for value in results]
    elif not hasattr(first, "dtype"):
        if any(value != first for value in results[1:]):
            raise NotBatched("the samples differ in what is no array.")
        return first
    return BatchedArray(level, batched.stack(results, 0))
