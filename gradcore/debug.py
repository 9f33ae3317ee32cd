"""Checks that cost time, for looking for a mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .mode import _GradMode, checked_indices

__all__ = ["check_indices"]

P = ParamSpec("P")
R = TypeVar("R")


class check_indices(_GradMode):
    """Check index arrays on CUDA at once; as a context manager or decorator, for its extent.

    Without it a place that is out of range wraps around on CUDA: -1 is the last one, and in a
    dimension of length n, n is the first. It never reads or writes outside the array. With it
    `x[index]`, `gather`, `take`, `take_along_dim`, `index_select`, `scatter_add`, `index_add`,
    `embedding` and the targets of `cross_entropy` and `nll_loss` raise the CPU's errors. Each check
    waits for the device. Holds for the current thread or asynchronous task; on the CPU places are
    always checked.

    Args:
        enabled: whether to check.

    Example:
        >>> import gradcore as gd
        >>> with gd.debug.check_indices():
        ...     y = gd.arange(3)[gd.tensor([2, 0])]
    """

    def __init__(self, enabled: bool = True) -> None:
        super().__init__()
        self._mode = bool(enabled)
        self._before = checked_indices.get()
        checked_indices.set(self._mode)

    def __enter__(self) -> None:
        # The constructor has switched already; what held before it comes back at the end.
        self._outer.append(self._before)
        checked_indices.set(self._mode)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        checked_indices.set(self._outer.pop())

    def _fresh(self) -> check_indices:
        switch = check_indices.__new__(check_indices)
        _GradMode.__init__(switch)
        switch._mode, switch._before = self._mode, checked_indices.get()
        return switch

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Run every call of `function` in this mode, and undo the switch made here."""
        checked_indices.set(self._before)
        return super().__call__(function)

    def __repr__(self) -> str:
        return f"check_indices(enabled={self._mode})"
