"""What nodes save, as users see and replace it: hooks on saved Tensors, and `_saved_self`.

A node holds raw arrays. While hooks are set, what it saves is shown to the innermost pair of them
as Tensors as soon as it is made, and the array's place is taken by what they gave for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from .device import is_array
from .engine import saved_as_tensor, with_history
from .errors import ArgumentTypeError, GraphError
from .graph import FREED, METADATA, SCALAR, Edge, Node, Packed, PackedList, PackedValues
from .mode import Watching, no_grad
from .tensor import Tensor, edge_of, wrap

__all__ = [
    "SavedTensor",
    "hooks_are_set",
    "pack",
    "pack_with_history",
    "pop_hooks",
    "push_hooks",
    "refuse_hooks",
    "unpacked_with_history",
]

Pair = tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]


class _Hooks:
    """The innermost pair of hooks, and those around it."""

    __slots__ = ("outer", "pair", "watching")

    def __init__(self, pair: Pair, outer: _Hooks | None) -> None:
        self.pair = pair
        self.outer = outer
        self.watching = Watching(_WATCHER)


_hooks: ContextVar[_Hooks | None] = ContextVar("gradcore_saved_tensors_hooks", default=None)
_refusal: ContextVar[str | None] = ContextVar("gradcore_no_saved_tensors_hooks", default=None)

MODIFIED: Final = (
    "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack "
    "hook cannot be modified by in-place operations as this can lead to unexpected side-effects. "
    "Please open an issue if you need to perform in-place operations on the input to a pack hook."
)


def push_hooks(pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor]) -> None:
    """Let all that is saved from here on go through a pair of hooks.

    Raises:
        GraphError: hooks are refused here.
        ArgumentTypeError: one cannot be called.
    """
    message = _refusal.get()
    if message is not None:
        raise GraphError(message)
    for hook in (pack, unpack):
        if not callable(hook):
            raise ArgumentTypeError(
                f"the hooks of saved tensors must be callable, not {type(hook).__qualname__}."
            )
    _hooks.set(_Hooks((pack, unpack), _hooks.get()))


def pop_hooks() -> None:
    """Take the innermost pair of hooks away."""
    hooks = _hooks.get()
    if hooks is not None:
        _hooks.set(hooks.outer)


def hooks_are_set() -> bool:
    """Whether what is saved here goes through hooks."""
    return _hooks.get() is not None


def refuse_hooks(message: str | None) -> str | None:
    """Have `push_hooks` raise `message`, or with None no longer; returns what held before.

    Raises:
        GraphError: there are hooks already.
    """
    if message is not None and _hooks.get() is not None:
        raise GraphError(message)
    before = _refusal.get()
    _refusal.set(message)
    return before


def pack(t: Tensor) -> Any:
    """A Packed that stands for `t`, made by the innermost pair of hooks.

    Raises:
        GraphError: the hook has changed `t`.
    """
    hooks = _hooks.get()
    assert hooks is not None
    return _packed(t, hooks.pair)


class _WithHistory(Packed):
    """A Packed that knows where the gradient of the Tensor goes."""

    __slots__ = ("edge",)

    edge: Edge | None


def pack_with_history(t: Tensor) -> Any:
    """As `pack`; `unpacked_with_history` gives a Tensor of the same history."""
    plain = pack(t)
    packed = _WithHistory(plain.content, plain.unpack, plain.shape, plain.type)
    packed.edge = edge_of(t) if t._requires_grad else None
    return packed


def unpacked_with_history(value: Any) -> Any:
    """What `pack_with_history` was given; anything else is given back as it is."""
    if not isinstance(value, _WithHistory):
        return value
    t = value.tensor()
    return t.detach() if value.edge is None else with_history(t._array, value.edge)


def _packed(t: Tensor, pair: Pair) -> Packed:
    version = getattr(t, "_version", None)
    with no_grad():
        content = pair[0](t)
    if getattr(t, "_version", None) != version:
        raise GraphError(MODIFIED)
    return Packed(content, pair[1], t._shape, t._type)


def _as_given(t: Any, inputs: tuple[Any, ...]) -> Any:
    """The input of which `t` has the array, if there is one; it is what users know."""
    for given in inputs:
        if isinstance(given, Tensor) and given._array is t._array:
            return given
    return t


class _Watcher:
    """Has the hooks pack what nodes save."""

    def made(self, t: Tensor) -> None:
        """Tensors themselves are not packed."""

    def recorded(self, node: Node, inputs: tuple[Any, ...]) -> None:
        """Pack what `node` has saved."""
        hooks = _hooks.get()
        saved = node.saved
        if hooks is None or not saved or node.type.device.kind == 2:  # 2: a function is traced
            return
        packed: list[Any] = []
        for value, source in zip(saved, node.pullback.sources, strict=True):
            if source == METADATA:
                packed.append(_packed_metadata(value, hooks.pair))
            elif source == SCALAR:
                packed.append(value)
            else:
                t = saved_as_tensor(node, value, source)
                packed.append(_packed(_as_given(t, inputs), hooks.pair))
        if any(new is not old for new, old in zip(packed, saved, strict=True)):
            node.saved = PackedValues(packed)


def _packed_metadata(value: Any, pair: Pair) -> Any:
    """Metadata with the arrays in it packed, such as those that index."""
    if is_array(value):
        return _packed(wrap(value), pair)
    kind = value.__class__
    if kind is tuple or kind is list:
        packed = [_packed_metadata(part, pair) for part in value]
        if any(new is not old for new, old in zip(packed, value, strict=True)):
            return PackedValues(packed) if kind is tuple else PackedList(packed)
    return value


_WATCHER: Final = _Watcher()


# what a node has saved ---------------------------------------------------------------------------


class SavedTensor:
    """A Tensor that a node has saved: `grad_fn._raw_saved_self`."""

    def __init__(self, node: Node, place: int) -> None:
        self._node = node
        self._place = place

    def register_hooks(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        """Replace it at once by what `pack_hook` gives for it; `unpack_hook` gives it back.

        Raises:
            GraphError: it has hooks already, was freed, or is no Tensor.
        """
        node, place = self._node, self._place
        if node.saved is None:
            raise GraphError(
                "Calling register_hooks on a saved tensor after it has been freed. "
                "Saved intermediate values of the graph are freed when you call .backward() or "
                "autograd.grad(). Specify retain_graph=True if you need to backward through the "
                "graph a second time or if you need to access saved variables after calling "
                "backward."
            )
        if isinstance(node.saved[place], Packed):
            raise GraphError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. "
                "Hint: only one pair of hooks is allowed at a time."
            )
        t = self.unpack()
        if not isinstance(t, Tensor):
            raise GraphError("Calling register_hooks on a saved value that is no tensor.")
        values = list(node.saved)
        values[place] = _packed(t.detach(), (pack_hook, unpack_hook))
        node.saved = PackedValues(values)

    def unpack(self) -> Any:
        """The Tensor.

        Raises:
            GraphError: it was freed.
        """
        return _saved_value(self._node, self._place, False)

    @property
    def data(self) -> Any:
        """What is kept: the Tensor, or what a `pack_hook` gave for it."""
        held = None if self._node.saved is None else self._node.saved[self._place]
        return held.content if isinstance(held, Packed) else self.unpack()

    @property
    def unpack_hook(self) -> Any:
        """The function that unpacks it, or None."""
        held = None if self._node.saved is None else self._node.saved[self._place]
        return held.unpack if isinstance(held, Packed) else None


def _saved_value(node: Node, place: int, raw: bool) -> Any:
    source = node.pullback.sources[place]
    if raw:
        if source in (METADATA, SCALAR):
            raise AttributeError(f"{node.name()!r} has saved no tensor of that name.")
        return SavedTensor(node, place)
    if node.saved is None:
        raise GraphError(FREED)
    value = node.saved[place]
    if isinstance(value, Packed):
        value = value.tensor()._array
    elif isinstance(value, PackedValues | PackedList):
        value = PackedValues((value,)).unpacked()[0]
    if source in (METADATA, SCALAR):
        return wrap(value) if is_array(value) else value
    return saved_as_tensor(node, value, source)


Node.saved_value = _saved_value
