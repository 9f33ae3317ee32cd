"""What a write to a value that a graph has saved does: raise in backward, or keep a copy first.

Under the policy "copy" the new nodes that have saved an array are remembered by its memory. A write
to that memory first gives them a copy: the writer stays where it is, so that its views and whoever
else holds its memory see what is written.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, Final

from .device import Array, is_array
from .errors import ArgumentError
from .graph import Node
from .inplace import BEFORE_WRITES
from .mode import WATCHERS, saved_tensors_policy
from .storage import owner

__all__ = ["set_saved_tensors_policy"]


class _Keeper:
    """Which nodes have saved arrays in which memory, since the policy is "copy" anywhere."""

    def __init__(self) -> None:
        self._nodes: dict[int, list[weakref.ref[Node]]] = {}
        self._uses = 0
        self._changing = threading.Lock()

    def use(self, more: int) -> None:
        """Count in how many threads and tasks the policy is "copy"."""
        with self._changing:
            before, self._uses = self._uses, max(0, self._uses + more)
            if self._uses and not before:
                WATCHERS.append(self)
                BEFORE_WRITES.append(self.keep)
            elif before and not self._uses:
                WATCHERS.remove(self)
                BEFORE_WRITES.remove(self.keep)
                self._nodes.clear()

    def made(self, t: Any) -> None:
        """Nothing is to be done for a Tensor."""

    def recorded(self, node: Node, inputs: tuple[Any, ...]) -> None:
        """Remember what a new node has saved."""
        if saved_tensors_policy.get() != "copy" or not isinstance(node.saved, tuple):
            return
        for memory in {id(owner(v)) for v in node.saved if is_array(v)}:
            nodes = self._nodes.setdefault(memory, [])
            if len(nodes) % 16 == 15:
                nodes[:] = [held for held in nodes if held() is not None]
            nodes.append(weakref.ref(node))

    def keep(self, array: Array) -> None:
        """Give the nodes that have saved what lies in the memory of `array` copies of it."""
        if saved_tensors_policy.get() != "copy":
            return
        memory = owner(array)
        copies: dict[int, Array] = {}
        for reference in self._nodes.pop(id(memory), ()):
            node = reference()
            saved = None if node is None else node.saved
            if node is None or not isinstance(saved, tuple):
                continue
            kept = []
            for v in saved:
                if is_array(v) and owner(v) is memory:
                    if id(v) not in copies:
                        copies[id(v)] = v.copy()
                    v = copies[id(v)]
                kept.append(v)
            node.saved = tuple(kept)


_KEEPER: Final = _Keeper()


class set_saved_tensors_policy:
    """Choose what an in-place write does to a value that a graph has saved for backward.

    Holds at once, for this thread or asynchronous task; as a context manager, for its extent. It
    concerns graphs that are recorded, and writes that are made, while it holds.

    Args:
        policy: `"error"`, the default: backward raises, as in PyTorch. `"copy"`: the graph is given
            a copy of the value before the write, so that backward gives the right gradient. A copy
            is made only of what is both saved and written to.

    Raises:
        ArgumentError: it is neither.
    """

    def __init__(self, policy: str) -> None:
        if policy not in ("error", "copy"):
            raise ArgumentError(
                f"set_saved_tensors_policy: expected 'error' or 'copy', but got {policy!r}."
            )
        self._policy = policy
        self._before = saved_tensors_policy.get()
        _switch(policy)

    def __enter__(self) -> None:
        _switch(self._policy)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        _switch(self._before)


def _switch(policy: str) -> None:
    before = saved_tensors_policy.get()
    saved_tensors_policy.set(policy)
    _KEEPER.use((policy == "copy") - (before == "copy"))
