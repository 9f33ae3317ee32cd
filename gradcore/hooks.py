"""Functions that users register to see, or to change, the gradients that pass.

In the order in which they run: those of a Tensor (`Tensor.register_hook`), the filling of its
retained `.grad`, those before its node (`Node.register_prehook`), the node's own rules, those after
it (`Node.register_hook`); for a leaf those of the Tensor, and after the sum is in `.grad` those of
`Tensor.register_post_accumulate_grad_hook`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .errors import ArgumentTypeError, DTypeError, ShapeError

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["Hooks", "RemovableHandle"]

Hook = Callable[..., Any]

_NUMBERS: Final = itertools.count()


class RemovableHandle:
    """What `register_hook` returns: `remove()` takes the hook away again.

    Also a context manager, which removes the hook at its end.
    """

    def __init__(self, hooks: dict[int, Hook], hook: Hook) -> None:
        self.id = next(_NUMBERS)
        self._hooks = hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook away; nothing happens if it is gone already."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.remove()


class Hooks:
    """What was registered on one node, or on one leaf.

    Attributes:
        tensor: functions of the cotangent of its output.
        retained: weak references to the Tensors whose `.grad` is filled as it passes.
        before: functions of the tuple of the cotangents of its outputs.
        after: functions of those of its inputs, and of its outputs.
        accumulated: of a leaf, functions of the leaf once its `.grad` is filled.
        metadata: what users keep with the node.
        on_leaves: whether any leaf ever had hooks: while none had, nothing looks for them.
    """

    on_leaves: ClassVar[bool] = False

    __slots__ = ("accumulated", "after", "before", "metadata", "retained", "tensor")

    def __init__(self) -> None:
        self.tensor: dict[int, Hook] = {}
        self.retained: list[Callable[[], Tensor | None]] = []
        self.before: dict[int, Hook] = {}
        self.after: dict[int, Hook] = {}
        self.accumulated: dict[int, Hook] = {}
        self.metadata: dict[Any, Any] = {}


def register(hooks: dict[int, Hook], hook: Hook) -> RemovableHandle:
    """Add a hook.

    Raises:
        ArgumentTypeError: it cannot be called.
    """
    if not callable(hook):
        raise ArgumentTypeError(f"a hook must be callable, not {type(hook).__qualname__}.")
    return RemovableHandle(hooks, hook)


def run_each(hooks: dict[int, Hook], g: Tensor) -> Tensor:
    """`g` after functions that may each replace it.

    Raises:
        ArgumentTypeError: one returned something that is no Tensor.
        ShapeError: one returned a Tensor of another shape.
        DTypeError: or of another dtype or device.
    """
    for hook in list(hooks.values()):
        new = hook(g)
        if new is not None:
            _check(hook, g, new)
            g = new
    return g


def run_before(hooks: dict[int, Hook], given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The cotangents of a node's outputs after functions that may each replace them."""
    for hook in list(hooks.values()):
        given = _replaced(hook, given, hook(given))
    return given


def run_after(
    hooks: dict[int, Hook], made: tuple[Any, ...], given: tuple[Any, ...]
) -> tuple[Any, ...]:
    """The cotangents of a node's inputs after functions that may each replace them."""
    for hook in list(hooks.values()):
        made = _replaced(hook, made, hook(made, given))
    return made


def _replaced(hook: Hook, values: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
    if new is None:
        return values
    several = new if isinstance(new, tuple) else (new,)
    if len(several) != len(values):
        raise ShapeError(
            f"hook {_name(hook)!r} has returned an incorrect number of values "
            f"(got {len(several)}, but expected {len(values)})"
        )
    for old, value in zip(values, several, strict=True):
        if old is not None and value is not None:
            _check(hook, old, value)
    return several


def _name(hook: Hook) -> str:
    return getattr(hook, "__name__", type(hook).__qualname__)


def _check(hook: Hook, old: Any, new: Any) -> None:
    if not hasattr(new, "_array"):
        raise ArgumentTypeError(
            f"hook {_name(hook)!r} must return None or a Tensor, not {type(new).__qualname__}."
        )
    if new._shape != old._shape:
        raise ShapeError(
            f"hook {_name(hook)!r} has changed the size of value: {list(old._shape)} became "
            f"{list(new._shape)}."
        )
    if new._type is not old._type:
        raise DTypeError(
            f"hook {_name(hook)!r} has changed the type of value (was {old._type} got {new._type})."
        )
