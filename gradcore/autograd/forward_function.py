"""Forward mode through a `Function`: its `jvp`, and the tangents of what it keeps for backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import GraphError, ShapeError
from ..forward import Dual, dual, enabled, give, tangents_of, unwrapped, zeros_of
from ..levels import Level
from ..tensor import Tensor, outermost

__all__ = ["call_with_tangents"]


class _Call(NamedTuple):
    """A call of a Function, as it is known at one level.

    Attributes:
        results: what it gave.
        single: whether that was no tuple.
        ctx: its context.
        inputs: the Tensors that forward was given, by identity the numbers of the arguments.
        outputs: likewise those it returned, with the numbers of the results.
    """

    results: tuple[Any, ...]
    single: bool
    ctx: Any
    inputs: dict[int, int]
    outputs: dict[int, int]


def call_with_tangents(function: Any, args: tuple[Any, ...]) -> Any:
    """The results of the Function on `args`, of which some carry tangents.

    Raises:
        NotImplementedError: it has no `jvp`.
        GraphError: what `jvp` returned does not fit the results.
        ShapeError: a tangent has another shape than its result.
    """
    call = _call(function, args)
    return call.results[0] if call.single else call.results


def _call(function: Any, args: tuple[Any, ...]) -> _Call:
    top = outermost(args)
    if top is None:
        found, ctx, returned = function._call(args)
        inputs = {id(a): n for n, a in enumerate(args) if isinstance(a, Tensor)}
        outputs = {
            id(y): n
            for n, y in enumerate(returned)
            if isinstance(y, Tensor) and id(y) not in inputs
        }
        single = not isinstance(found, tuple)
        return _Call((found,) if single else found, single, ctx, inputs, outputs)
    if not isinstance(top, Dual):
        raise NotImplementedError(
            f"{function.__name__}: forward mode around {type(top).__name__} is not implemented for "
            "a custom autograd.Function."
        )
    level, primals, tangents = unwrapped(top, args)
    call = _call(function, tuple(primals))
    if not enabled() or all(t is None for t in tangents):
        return call
    found = _jvp(function, call, primals, tangents)
    results = tuple(
        [
            _with_tangent(y, t, level, args, primals)
            for y, t in zip(call.results, found, strict=True)
        ]
    )
    _annotate(call, level, tangents, found)
    return call._replace(results=results)


def _with_tangent(
    y: Any, t: Tensor | None, level: Level, args: tuple[Any, ...], primals: Sequence[Any]
) -> Any:
    """A result as it is at this level; an argument that was changed in place, itself."""
    if not isinstance(y, Tensor):
        return y
    for a, p in zip(args, primals, strict=True):
        if p is y and a is not p:
            give(a, {**tangents_of(a), level: zeros_of(y) if t is None else t}, None)
            return a
    return y if t is None else dual(y, t, level)


def _jvp(
    function: Any, call: _Call, primals: Sequence[Any], tangents: Sequence[Tensor | None]
) -> Sequence[Tensor | None]:
    """The tangents of the results, by the user's `jvp`."""
    ctx = call.ctx
    given = [
        zeros_of(p) if t is None and ctx._materialize and isinstance(p, Tensor) else t
        for p, t in zip(primals, tangents, strict=True)
    ]
    saved = []
    for t in ctx._for_forward:
        if id(t) in call.outputs:
            t = call.results[call.outputs[id(t)]]
        elif id(t) in call.inputs:
            t = primals[call.inputs[id(t)]]
        saved.append(t)
    ctx._given = tuple(saved)
    try:
        made = function.jvp(ctx, *given)
    finally:
        ctx._given = None
    found = made if isinstance(made, tuple) else (made,)
    results = call.results
    if len(found) != len(results):
        raise GraphError(
            "Function's jvp returned an invalid number of forward gradients (expected "
            f"{len(results)} but got {len(found)})"
        )
    stopped = {n for n, y in enumerate(results) if not _differentiable(y)} | ctx._stopped
    checked: list[Tensor | None] = []
    for number, (y, t) in enumerate(zip(results, found, strict=True)):
        if t is not None and not isinstance(t, Tensor):
            raise GraphError(
                f"expected Variable or None (got {type(t).__qualname__}) for grad output {number}."
            )
        if t is None or number in stopped:
            checked.append(None)
            continue
        if t._shape != y._shape:
            raise ShapeError(
                "Trying to set a forward gradient that has a different size than that of the "
                f"original Tensor, this is not supported. Tensor is of size {list(y._shape)} while "
                f"the given forward gradient is of size {list(t._shape)}."
            )
        checked.append(t)
    return checked


def _differentiable(y: Any) -> bool:
    return isinstance(y, Tensor) and y._type.recordable


def _annotate(
    call: _Call, level: Level, tangents: Sequence[Tensor | None], found: Sequence[Tensor | None]
) -> None:
    """Keep with the node of the call the tangents of what it has saved."""
    ctx = call.ctx
    node = None if ctx._node is None else ctx._node()
    if node is None or node.saved is None:
        return
    chosen: list[Tensor | None] = []
    for place, value in zip(ctx._layout, node.saved[1], strict=True):
        if place >= 0:
            chosen.append(found[place])
        else:
            number = call.inputs.get(id(value))
            chosen.append(None if number is None else tangents[number])
    if any(t is not None for t in chosen):
        node.lifts = (*getattr(node, "lifts", ()), _Held(level, tuple(chosen)))
        level.hold(node)


class _Held:
    """What a Function has saved has tangents: see `graph.Lift`."""

    __slots__ = ("level", "tangents")

    def __init__(self, level: Level, tangents: tuple[Tensor | None, ...]) -> None:
        self.level = level
        self.tangents = tangents

    def __call__(self, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        ctx, held = saved
        values = []
        for place, value, t in zip(ctx._layout, held, self.tangents, strict=True):
            if t is not None:
                value = value if isinstance(value, Tensor) else ctx._output(place, value)
                value = dual(value, t, self.level)
            values.append(value)
        return ctx, tuple(values)
