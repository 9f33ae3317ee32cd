"""The graph as users see it: nodes, edges, and hooks on what is saved or on several gradients."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Literal

from ..device import Device
from ..engine import Walk, WalkWanted, stand_in
from ..errors import ArgumentError, ArgumentTypeError, GraphError
from ..graph import AccumulateGrad, GradientEdge, function_of
from ..graph import Node as _Node
from ..hooks import RemovableHandle
from ..inplace import count_write
from ..packing import pop_hooks, push_hooks, refuse_hooks
from ..saved import set_saved_tensors_policy
from ..tensor import Tensor, edge_of

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class Node(abc.ABC):
    """What every `grad_fn` is an instance of, and what stands at the end of a graph."""

    @abc.abstractmethod
    def name(self) -> str:
        """The name of the function, for example `"MulBackward0"`."""

    @property
    @abc.abstractmethod
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Per input of the operation the function its gradient goes to, and which output of it."""

    @property
    @abc.abstractmethod
    def metadata(self) -> dict[Any, Any]:
        """A dict that is kept with the node, for any use."""

    @abc.abstractmethod
    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call `fn(grad_inputs, grad_outputs)` after each backward pass through this node."""

    @abc.abstractmethod
    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call `fn(grad_outputs)` before each backward pass through this node."""


Node.register(_Node)
Node.register(AccumulateGrad)


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The place in the graph where the gradient of a Tensor is computed.

    Args:
        tensor: one that requires grad. It need not be kept: only its shape and type are.

    Returns:
        What `backward` and `grad` take in its place.

    Raises:
        GraphError: it does not require grad.
    """
    if not tensor.requires_grad:
        raise GraphError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    node, number = function_of(edge_of(tensor))
    return GradientEdge(node, number, stand_in(tensor))


# what is saved -----------------------------------------------------------------------------------


class saved_tensors_hooks:
    """Within it all that operations save for backward goes through a pair of functions.

    ``pack_hook(tensor)`` is called as soon as a Tensor is saved; what it returns is kept instead.
    ``unpack_hook(packed)`` is called when a backward pass needs it, and returns a Tensor of the
    same values. Of nested pairs the innermost is called. Recording is off in `pack_hook`, and in
    `unpack_hook` except under `create_graph`. Python numbers are not packed.

    A `pack_hook` that keeps an output itself makes a reference cycle: keep `tensor.detach()`.

    Args:
        pack_hook: from Tensor to anything. It must not change its argument in place.
        unpack_hook: from that to a Tensor of the same shape.

    Raises:
        GraphError: on entering it, if hooks are disabled.
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        push_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *error: object) -> None:
        pop_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Within it what operations save for backward is kept in host memory.

    It trades time for memory of a GPU: each Tensor is copied to the host when it is saved, and
    back when backward needs it. What is on the CPU already is kept as it is.

    Args:
        pin_memory: keep it in page-locked memory, from which it is copied back faster, without
            waiting for that.
        device_type: the kind of device, `"cuda"`.

    Raises:
        ArgumentError: there is no such kind of device.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        if device_type not in ("cuda", "cpu"):
            raise ArgumentError(f"there is no kind of device {device_type!r} to save from.")

        def pack(tensor: Tensor) -> tuple[Device, Tensor]:
            held = tensor.detach().cpu()
            return tensor.device, held.pin_memory() if pin_memory and tensor.is_cuda else held

        def unpack(packed: tuple[Device, Tensor]) -> Tensor:
            device, tensor = packed
            return tensor.to(device, non_blocking=pin_memory)

        super().__init__(pack, unpack)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Within it `saved_tensors_hooks` raises GraphError with this text.

    Args:
        error_message: the text.

    Raises:
        GraphError: there are hooks already.
    """
    before = refuse_hooks(error_message)
    try:
        yield
    finally:
        refuse_hooks(before)


# writing in place -------------------------------------------------------------------------------


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Say that the memory of a Tensor was written to by something that gradcore does not know.

    A backward pass that needs what was there before then raises.

    Args:
        tensor: one Tensor, or several. Inference tensors have no version, and are passed over.
    """
    for t in (tensor,) if isinstance(tensor, Tensor) else tuple(tensor):
        if not isinstance(t, Tensor):
            raise ArgumentTypeError(
                f"increment_version expects Tensors, not {type(t).__qualname__}."
            )
        if not t.is_inference():
            count_write(t)


_mutation_allowed: ContextVar[bool] = ContextVar("gradcore_mutation_allowed", default=False)


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[None]:
    """Within it a graph keeps a copy of what it has saved, if that is then written to in place.

    Backward gives the right gradients then, where it would raise. Only what is both saved and
    written to is copied. The backward pass may run later (PyTorch wants it within). It is
    `set_saved_tensors_policy("copy")` under PyTorch's name.

    Raises:
        GraphError: it is nested.
    """
    if _mutation_allowed.get():
        raise GraphError("allow_mutation_on_saved_tensors contexts cannot be nested")
    _mutation_allowed.set(True)
    try:
        with set_saved_tensors_policy("copy"):
            yield
    finally:
        _mutation_allowed.set(False)


# several gradients -------------------------------------------------------------------------------


class _Handles(RemovableHandle):
    """The handle of a hook that is registered on several Tensors."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self._handles = tuple(handles)

    def remove(self) -> None:
        """Take the hook away; nothing happens if it is gone already."""
        for handle in self._handles:
            handle.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor],
    fn: Callable[..., Any],
    *,
    mode: Literal["all", "any"] = "all",
) -> RemovableHandle:
    """Call `fn` in each backward pass once the gradients of several Tensors are known.

    Args:
        tensors: those it waits for; each requires grad. Those that a pass does not reach are not
            waited for.
        fn: with mode `"all"` called as `fn(grads)`, with a list of one gradient per Tensor, None
            for those not reached; with `"any"` as `fn(grad)`, with the first that is computed. It
            must not change them.
        mode: `"all"` or `"any"`.

    Returns:
        A handle, whose `remove()` takes the hook away.

    Raises:
        ArgumentError: there is no such mode.
        GraphError: a Tensor does not require grad; with `"any"`, such ones are passed over.
    """
    if mode not in ("all", "any"):
        raise ArgumentError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    key = WalkWanted()  # the hooks hold it
    if mode == "any":

        def first(grad: Tensor) -> None:
            notes = _notes()
            if key not in notes:
                notes[key] = True
                fn(grad)

        return _Handles([t.register_hook(first) for t in tensors if t.requires_grad])

    tensors = tuple(tensors)
    edges = [edge_of(t) for t in tensors]

    def waiting(number: int) -> Callable[[Tensor], None]:
        def collect(grad: Tensor) -> None:
            notes = _notes()
            if key not in notes:
                walk = Walk.current.get()
                assert walk is not None
                awaited = sum(map(walk.reaches, edges))
                notes[key] = [awaited, [None] * len(edges)]
            grads = notes[key][1]
            grads[number] = grad
            notes[key][0] -= 1
            if not notes[key][0]:
                del notes[key]
                fn(grads)

        return collect

    return _Handles([t.register_hook(waiting(i)) for i, t in enumerate(tensors)])


def _notes() -> dict[Any, Any]:
    walk = Walk.current.get()
    assert walk is not None, "a hook was called outside a backward pass"
    return walk.notes
