"""Anomaly mode: the forward call behind what goes wrong in backward.

While it is on, every node keeps the traceback of the call that recorded it, and what backward
computes is checked for nan. `autograd.detect_anomaly` switches it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from .batching.array import bottom
from .errors import GraphError
from .graph import Cotangents, Node, getframe, outside, where
from .mode import Watching
from .tensor import Tensor
from .uniform import Uniform

__all__ = [
    "check_nan",
    "check_roots",
    "evaluated",
    "explain",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "set_anomaly_enabled",
]


def _stack(frame: Any) -> list[str]:
    """The lines of the calls that lead to a frame."""
    import traceback  # here, since importing it takes as long as much of gradcore

    return traceback.format_stack(frame)


class _Anomaly(NamedTuple):
    check_nan: bool
    watching: Watching


_anomaly: ContextVar[_Anomaly | None] = ContextVar("gradcore_anomaly", default=None)
_check_nan: ContextVar[bool] = ContextVar("gradcore_anomaly_check_nan", default=True)

evaluated: ContextVar[Node | None] = ContextVar("gradcore_evaluated_node", default=None)
"""In anomaly mode, the node whose rules run: what they record it has induced."""


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switch anomaly mode on or off in this thread or task; see `autograd.detect_anomaly`.

    Args:
        mode: whether it is on.
        check_nan: whether backward then raises where it computes nan.
    """
    _anomaly.set(_Anomaly(bool(check_nan), Watching(_WATCHER)) if mode else None)
    _check_nan.set(bool(check_nan))


def is_anomaly_enabled() -> bool:
    """True in anomaly mode."""
    return _anomaly.get() is not None


def is_anomaly_check_nan_enabled() -> bool:
    """True if backward raises where it computes nan, once anomaly mode is on."""
    return _check_nan.get()


class _Watcher:
    """Notes the traceback of what is recorded."""

    def made(self, t: Tensor) -> None:
        """Only nodes matter."""

    def recorded(self, node: Node, inputs: tuple[Any, ...]) -> None:
        """Note the traceback, and what has induced it, where `node` and users find them."""
        if _anomaly.get() is not None:
            frame, _ = outside(getframe(1))
            node.metadata["traceback_"] = _stack(frame)
            parent = evaluated.get()
            if parent is not None:
                node.metadata["parent_"] = parent


_WATCHER: Final = _Watcher()


def _has_nan(d: Any) -> bool:
    if isinstance(d, Cotangents):
        return False  # the node of several outputs that they go to is looked at
    if isinstance(d, Tensor):
        d = d._array
    if isinstance(d, Uniform):
        d = d.value
    d = bottom(d)
    return d is not None and bool((d != d).any())


def check_nan(node: Node, number: int, d: Any) -> None:
    """Raise if a node gave nan for one of its edges.

    Raises:
        GraphError: it did.
    """
    if _has_nan(d):
        place = node.pullback.inputs.index(number)
        raise GraphError(f"Function '{node.name()}' returned nan values in its {place}th output.")


def check_roots(cotangents: Iterable[Any]) -> None:
    """Raise if backward was given nan to start from.

    Raises:
        GraphError: it was.
    """
    if _check_nan.get():
        for number, g in enumerate(cotangents):
            if _has_nan(g):
                frame, _ = outside(getframe(1))
                _warn_with_trace("GraphRoot", _stack(frame))
                raise GraphError(
                    f"Function 'GraphRoot' returned nan values in its {number}th output."
                )


def _warn_without_trace(name: str) -> None:
    warnings.warn(
        f"Error detected in {name}. No forward pass information available. Enable detect anomaly "
        "during forward pass for more information.",
        UserWarning,
        stacklevel=3,
    )


def _warn_with_trace(name: str, trace: list[str]) -> None:
    warnings.warn(
        f"Error detected in {name}. Traceback of forward call that caused the error:\n"
        f"{''.join(trace)}",
        UserWarning,
        stacklevel=3,
    )


def explain(error: BaseException, node: Node) -> None:
    """Say of an error that the rules of `node` raised where that was recorded.

    As a note of the error; in anomaly mode also as PyTorch does, in a warning with the traceback.
    """
    line = where(node)
    if line:
        error.add_note(f"This was in the backward of {node.name()}, recorded at {line}.")
    if _anomaly.get() is None:
        return
    induced = False
    current: Any = node
    while current is not None:
        trace = current.metadata.get("traceback_")
        name = current.name()
        if trace is None:
            _warn_without_trace(name)
        elif induced:
            warnings.warn(
                f"\n\nPrevious calculation was induced by {name}. Traceback of forward call that "
                f"induced the previous calculation:\n{''.join(trace)}",
                UserWarning,
                stacklevel=2,
            )
        else:
            _warn_with_trace(name, trace)
        induced = True
        current = current.metadata.get("parent_")
