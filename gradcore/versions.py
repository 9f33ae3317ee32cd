"""Which memory was written to, and when: version counters, and the check that they serve.

Recording an operation costs nothing for them. A node's sequence number says when it was made, and a
write takes a number of the same falling sequence: what a node has saved was changed if its memory
was written to after the node was made. Tensors that share memory share its counter.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .batching.array import bottom
from .device import Array
from .graph import SEQUENCE
from .storage import owner

__all__ = ["NEWEST", "change", "note_write", "version"]

NEWEST: Final[list[float]] = [math.inf]
"""The number of the newest write to any memory: a newer node need not be checked."""

_KEPT: Final = 64
"""How many writes to one memory are remembered one by one."""


class _Writes:
    """The writes to the memory of one owner.

    Attributes:
        memory: a weak reference to what owns it.
        forgotten: how many writes are not in `numbers` any more.
        numbers: when the last ones were, the newest last.
    """

    __slots__ = ("forgotten", "memory", "numbers")

    def __init__(self, memory: Any, forget: Callable[[Any], None]) -> None:
        self.memory = weakref.ref(memory, forget)
        self.forgotten = 0
        self.numbers: list[int] = []


_WRITES: Final[dict[int, _Writes]] = {}


def _memory(array: Array) -> Any:
    """What the writes to the memory of an array are kept for: it can be referred to weakly."""
    array = bottom(array)
    if isinstance(array, np.ndarray):
        return owner(array)
    return array if array.base is None else array.base


def _found(array: Array) -> _Writes | None:
    memory = _memory(array)
    writes = _WRITES.get(id(memory))
    return writes if writes is not None and writes.memory() is memory else None


def note_write(array: Array) -> None:
    """Count a write to the memory of an array, just before or after it is made."""
    writes = _found(array)
    if writes is None:
        memory = _memory(array)
        key = id(memory)

        def forget(reference: Any) -> None:
            held = _WRITES.get(key)
            if held is not None and held.memory is reference:
                del _WRITES[key]

        writes = _WRITES[key] = _Writes(memory, forget)
    numbers = writes.numbers
    if len(numbers) >= _KEPT:
        del numbers[: _KEPT // 2]
        writes.forgotten += _KEPT // 2
    NEWEST[0] = number = next(SEQUENCE)
    numbers.append(number)


def version(array: Array) -> int:
    """How often the memory of an array was written to."""
    writes = _found(array)
    return 0 if writes is None else writes.forgotten + len(writes.numbers)


def change(array: Array, sequence: int) -> tuple[int, int] | None:
    """The versions of an array now, and when `sequence` was current; None if they are one."""
    writes = _found(array)
    if writes is None or writes.numbers[-1] > sequence:
        return None
    later = sum(number < sequence for number in writes.numbers)
    now = writes.forgotten + len(writes.numbers)
    return now, now - later
