"""Tracing: a function of Tensors run once on Symbols, and its derivative likewise.

Operations, their rules and the engine run on Tensors of Symbols as on any others; so the trace of a
VJP is what `autograd.grad` gives on them, and the VJP of a VJP is found in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..device import SYMBOLIC, TensorType
from ..engine import grad
from ..errors import ArgumentTypeError, DeviceError, FusionError
from ..mode import set_grad_enabled
from ..symbols import NotElementwise, Symbol
from ..tensor import Tensor, new_tensor

__all__ = ["Trace", "leaf", "listed", "refused", "traced"]


class Trace:
    """A function that has been run on Symbols.

    Attributes:
        inputs: the Tensors it was run on.
        numbers: the names of the Python numbers among its arguments.
        outputs: what it gave; None where a gradient is zero.
    """

    def __init__(
        self,
        inputs: Sequence[Tensor],
        numbers: Sequence[str],
        outputs: Sequence[Tensor | None],
    ) -> None:
        self.inputs = tuple(inputs)
        self.numbers = tuple(numbers)
        self.outputs = tuple(outputs)

    def vjp(self, present: Sequence[bool], flags: Sequence[bool] | None) -> Trace:
        """The VJP: a function of the same inputs and then the cotangents.

        Its outputs are the gradients of the inputs that require grad.

        Args:
            present: per output whether it has a cotangent.
            flags: per cotangent whether it requires grad; None if nothing is to be recorded.
        """
        outputs = [
            y for y, there in zip(self.outputs, present, strict=True) if there and y is not None
        ]
        record = flags is not None
        cotangents = [
            leaf(f"g{i}", y._type, y._shape, record and bool(flags and flags[i]))
            for i, y in enumerate(outputs)
        ]
        wanted = [x for x in self.inputs if x._requires_grad]
        roots = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y._requires_grad]
        with set_grad_enabled(record):
            gradients = grad(
                [y for y, _ in roots],
                wanted,
                [g for _, g in roots],
                retain_graph=True,
                create_graph=record,
                allow_unused=True,
            )
        return Trace((*self.inputs, *cotangents), self.numbers, gradients)


def leaf(name: str, type: TensorType, shape: tuple[int, ...], requires_grad: bool) -> Tensor:
    """A Tensor of a Symbol, of the dtype of `type`."""
    kind = TensorType(SYMBOLIC, type.dtype)
    return new_tensor(Symbol.input(name, kind.numpy, shape), kind, shape, requires_grad)


def refused(name: str, reason: object) -> FusionError:
    """The error to raise where a function cannot be fused."""
    return FusionError(
        f"{name} cannot be fused: {str(reason).rstrip('.')}. A fused function is made of "
        "elementwise operations, reductions and views of its arguments: do the rest outside."
    )


def traced(name: str, function: Callable[[], Any], record: bool) -> Any:
    """What a function gives that has Tensors of Symbols for arguments.

    Args:
        name: the function's name, for messages.
        function: is called without arguments.
        record: whether operations are recorded.

    Raises:
        FusionError: it does what cannot be fused.
    """
    try:
        with set_grad_enabled(record), np.errstate(all="warn"):
            return function()
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise refused(name, reason) from error


def _reason(error: BaseException) -> str | None:
    """Why tracing failed; None if the function itself is wrong."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, NotElementwise):
            return str(cause)
        if isinstance(cause, AttributeError) and isinstance(cause.obj, Symbol):
            return f"{cause.name} is neither elementwise nor a reduction"
        if isinstance(cause, DeviceError) and str(SYMBOLIC) in str(cause):
            return "it computes with a Tensor that is no argument; pass it to the function"
        cause = cause.__cause__
    return None


def listed(name: str, found: Any) -> tuple[list[Tensor], Callable[[Sequence[Any]], Any]]:
    """The Tensors that a traced function gave, and what puts others in their place.

    Raises:
        ArgumentTypeError: it gave something else.
    """
    if isinstance(found, Tensor):
        return [found], lambda results: results[0]
    if not isinstance(found, tuple | list) or not all(isinstance(t, Tensor) for t in found):
        kind = type(found).__qualname__
        raise ArgumentTypeError(
            f"{name}: a fused function must return a Tensor, or a tuple or list of Tensors, "
            f"not {kind}."
        )
    if isinstance(found, list):
        return list(found), list
    if hasattr(found, "_make"):  # a named tuple
        return list(found), found._make
    return list(found), tuple
