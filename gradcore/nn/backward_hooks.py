"""The backward hooks of a module's call: what passes its inputs and its outputs is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..autograd.function import Function
from ..errors import GraphError
from ..mode import is_grad_enabled
from ..tensor import Tensor

__all__ = ["BackwardHooks"]


class _Same(Function):
    """Tensors as they are, as outputs of one node whose hooks see all their gradients."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Any:
        ctx.set_materialize_grads(False)
        return tuple([t.view_as(t) for t in tensors])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads


class BackwardHooks:
    """The hooks for one call.

    Args:
        module: what is called.
        hooks: functions `(module, grad_input, grad_output)`, by number.
        pre_hooks: functions `(module, grad_output)`, by number.
    """

    def __init__(self, module: Any, hooks: Mapping[int, Any], pre_hooks: Mapping[int, Any]) -> None:
        self._module = module
        self._hooks, self._pre_hooks = list(hooks.values()), list(pre_hooks.values())
        self._arguments = 0
        self._reached = False  # whether an argument requires grad
        self._grad_outputs: tuple[Any, ...] | None = None

    def of_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, the Tensors among them as outputs of the node that is looked at."""
        self._arguments = len(args)
        found = self._passed(args)
        if found is None:
            return args
        self._reached = True
        values, places, node = found
        count = len(args)

        def before(grads: tuple[Any, ...]) -> Any:
            return self._run(_spread(grads, places, count), places)

        node.register_prehook(before)
        return values

    def of_outputs(self, result: Any) -> Any:
        """The result, the Tensors in it as outputs of the node that is looked at."""
        several = isinstance(result, tuple | list)
        given = tuple(result) if several else (result,)
        found = self._passed(given)
        if found is None:
            return result
        values, places, node = found

        def before(grads: tuple[Any, ...]) -> Any:
            changed = grads = _spread(grads, places, len(given))
            for hook in self._pre_hooks:
                new = hook(self._module, changed)
                if new is not None:
                    changed = self._checked(new, changed)
            self._grad_outputs = changed
            if not self._reached:
                self._run_without_inputs()
            return tuple([changed[place] for place in places])

        node.register_prehook(before)
        return type(result)(values) if several else values[0]

    def _passed(self, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int], Any] | None:
        places = [n for n, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        if not places or not is_grad_enabled():
            return None
        passed = _Same.apply(*[values[n] for n in places])
        changed = list(values)
        for n, t in zip(places, passed, strict=True):
            changed[n] = t
        return tuple(changed), places, passed[0].grad_fn

    def _run(self, grads: tuple[Any, ...], places: list[int]) -> Any:
        for hook in self._hooks:
            new = hook(self._module, grads, self._grad_outputs)
            if new is not None:
                grads = self._checked(new, grads)
        return tuple([grads[place] for place in places])

    def _run_without_inputs(self) -> None:
        none = (None,) * self._arguments
        for hook in self._hooks:
            new = hook(self._module, none, self._grad_outputs)
            if new is not None and not (isinstance(new, tuple) and set(new) <= {None}):
                raise GraphError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )

    def _checked(self, new: Any, old: tuple[Any, ...]) -> tuple[Any, ...]:
        given: tuple[Any, ...] = new if isinstance(new, tuple) else (new,)
        if len(given) != len(old):
            raise GraphError(
                f"Backward hook returned an invalid number of grad_input, got {len(given)}, but "
                f"expected {len(old)}"
            )
        return given


def _spread(grads: tuple[Any, ...], places: list[int], count: int) -> tuple[Any, ...]:
    """The gradients of the Tensors at some places, with None at the others."""
    found: list[Any] = [None] * count
    for place, g in zip(places, grads, strict=False):
        found[place] = g
    return tuple(found)
