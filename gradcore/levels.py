"""Levels: how deep the transforms of a program are nested, and which of them still run.

A transform of Tensors (`forward.py`) enters a level, wraps what it follows, and exits. A wrapped
Tensor names its level. Where several meet in one operation, that of the deepest level is unwrapped
first. After its level has ended, a wrapped Tensor counts as what it wraps.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakValueDictionary

__all__ = ["Level", "enter", "exit", "levels"]


class Level:
    """The extent of one transform.

    Attributes:
        depth: how many levels there are around it.
        alive: False once it has ended.
    """

    __slots__ = ("_held", "alive", "depth")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.alive = True
        self._held: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def hold(self, value: Any) -> None:
        """Call `value._end(level)` when the level ends, if `value` is still there."""
        self._held[id(value)] = value

    def end(self) -> None:
        """Let go of all that was made in this level."""
        self.alive = False
        for value in self._held.values():
            value._end(self)
        self._held.clear()


_levels: ContextVar[tuple[Level, ...]] = ContextVar("gradcore_levels", default=())

levels: Final = _levels.get
"""The levels of this thread or task, the outermost first."""


def enter() -> Level:
    """Begin a level inside those there are."""
    outer = _levels.get()
    level = Level(len(outer))
    _levels.set((*outer, level))
    return level


def exit(level: Level) -> None:
    """End a level, and any that was left open inside it."""
    open = _levels.get()
    _levels.set(open[: level.depth])
    for inner in open[level.depth + 1 :]:
        inner.end()
    level.end()
