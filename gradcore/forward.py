"""Forward mode: Tensors that carry a tangent, and the JVPs of operations, derived from their VJPs.

A *dual* wraps a Tensor, its primal, and holds the tangent of that: both Tensors of the level below,
where they may be duals in turn, and be recorded. An operation is run on the primals as ever; the
tangent of its result follows from its record:

* elementwise: the Jacobian is diagonal, so the rule, handed the tangent for the cotangent, is the
  JVP (where it is holomorphic; of the others see below);
* linear, or linear in each operand: the forward, on the tangents;
* a symmetric Jacobian: the rule;
* a few say their JVP themselves, because it is cheaper than what follows;
* else the rule is linear in the cotangent, and its transpose is the JVP. What transposes is reverse
  mode itself: the derivative of the rule by the cotangent, along the tangent.

Rules are handed Tensors of the level below, so that tangents are recorded, and followed by outer
levels, as anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeAlias
from weakref import ref

import numpy as np

from .device import TensorType, type_of
from .engine import _run as run_backward
from .graph import Node, Pullback, function_of, new_node
from .levels import Level
from .mode import is_grad_enabled, quiet, set_grad_enabled
from .op import parameters, recorded
from .tensor import Lifted, Tensor, View, Views, as_view, new_tensor, root_of, wrap

__all__ = [
    "Dual",
    "alias",
    "attach",
    "dual",
    "enabled",
    "give",
    "tangent_of",
    "tangents_of",
    "transposed",
    "unwrapped",
    "zeros_of",
]

Tangents: TypeAlias = "Sequence[Tensor | None]"

_enabled: ContextVar[bool] = ContextVar("gradcore_forward", default=True)

enabled: Final = _enabled.get
"""False where operations drop tangents."""

_ALIAS: Final = Pullback("ViewBackward0", (lambda xp, g, saved: g,), (), (0,), pure=True)
_LEAF: Final = Pullback("ViewBackward0", (lambda xp, g, saved: g,), (), (0,), pure=True)
"""Between a leaf that a dual is and the dual, whose gradient can be asked for."""


def alias(x: Tensor) -> Tensor:
    """A view of all of `x`, recorded if `x` requires grad, of the same tangents."""
    if isinstance(x, Dual):
        primal, tangent, level = x._lift
        return x if tangent is None else dual(alias(primal), tangent, level)
    if not x._requires_grad:
        return x.detach()
    edge = x._node or x
    node = new_node(_ALIAS, (edge,), (), x._type)
    array = x._array
    if isinstance(array, x._type.ndarray):  # one of a batch is its own view
        array = array.view()
    y = new_tensor(array, x._type, x._shape, True, node)
    return as_view(y, x, lambda x, none: alias(x), None)


class Dual(Lifted):
    """A Tensor with a tangent; made by `dual`. `_lift` is its primal, tangent and level.

    Where the level has ended, the tangent is None.
    """

    __slots__ = ()

    def _elementwise(self, op: Any, inputs: Sequence[Any]) -> Any:
        level, primals, tangents = unwrapped(self, inputs)
        y = op.call(*primals)
        if not _flows(y, tangents):
            return y
        with quiet():
            t = _elementwise_jvp(op, y, primals, tangents)
        if t is None:
            return y
        _annotate(y, level, dict(zip(op.letters, tangents, strict=True), y=t))
        return dual(y, t, level)

    def _primitive(self, op: Any, inputs: Sequence[Tensor], metadata: tuple[Any, ...]) -> Any:
        level, primals, tangents = unwrapped(self, inputs)
        if op.outputs is not None:
            return _several(op, primals, tangents, metadata, level)
        y: Tensor = op.call(*primals, *metadata)
        if not op.differentiable or not _flows(y, tangents):
            return y
        with quiet():
            t = _primitive_jvp(op, y, primals, tangents, metadata)
        if t is None:
            return y
        _annotate(y, level, dict(zip(op.letters, tangents, strict=True), y=t))
        return dual(y, t, level)

    def _linear(self, name: str, function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
        level, primals, tangents = unwrapped(self, inputs)
        y = function(*primals)
        if not _flows(y, tangents):
            return y
        t = function(*_materialized(tangents, primals))
        if isinstance(y, Tensor):
            return dual(y, t, level)
        pieces = [dual(part, d, level) for part, d in zip(y, t, strict=True)]
        for piece in pieces:
            _be_view(piece, inputs[0])
        return tuple(pieces)

    def _write(
        self,
        write: Callable[..., Tensor],
        t: Tensor,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> Tensor:
        root = root_of(t)
        if (
            root.__class__ is Tensor
            and root._requires_grad
            and root._node is None
            and not is_grad_enabled()
        ):
            raise NotImplementedError(
                "a leaf that requires grad cannot be given a tangent by a write: write to a clone."
            )
        made: list[Tensor] = []

        def run(before: Tensor, *args: Any, **kwargs: Any) -> Any:
            # A copy: tangents are recorded too, and save what the write is about to change.
            old = before._type.device.backend.on(
                before._type.device, lambda _: before._array.copy()
            )
            inner = new_tensor(
                old, before._type, before._shape, before._requires_grad, before._node
            )
            y = function(_around(t, inner), *args, **kwargs)
            if y is NotImplemented:
                return y
            made.append(y)
            return _bottom(y)

        below = _bottom(t)
        if write(below, run, args, kwargs) is NotImplemented:
            return NotImplemented  # type: ignore[no-any-return]
        found = tangents_of(made[0])
        before = tangents_of(root)
        fresh = {}
        for level in sorted({*found, *before}, key=lambda level: level.depth):
            tangent = found.get(level)
            if tangent is None:
                tangent = zeros_of(t)
            tangent = _fitted(tangent, t._type, t._shape)
            if root is not t:
                whole = before[level].clone() if level in before else zeros_of(root)
                if tangent._type.device is not whole._type.device:
                    # One of a batch is written into what was the same for all its samples.
                    never = wrap(np.zeros((), np.bool_)).to(whole._type.device)
                    whole = recorded.where(never, tangent.sum(), whole)
                part = whole
                for view in _views_to(t):
                    assert view.function is not None
                    made_again = view.function(part, view.argument)
                    part = as_view(made_again, part, view.function, view.argument)
                part.copy_(tangent)
                tangent = whole
            fresh[level] = tangent
        give(root, fresh, None)
        return t

    def _rearrange(
        self, rearrange: Callable[..., Tensor], function: Callable[..., Any], args: tuple[Any, ...]
    ) -> Tensor:
        if root_of(self) is not self or any(r() is not None for r in getattr(self, "_views", ())):
            raise NotImplementedError(
                "the shape of a Tensor with a tangent that is a view, or has views, cannot be "
                "changed in place."
            )
        rearrange(_bottom(self), function, args)
        give(self, {v: function(t, *args) for v, t in tangents_of(self).items()}, None)
        return self

    def _detach(self) -> None:
        self.__class__ = Tensor  # type: ignore[assignment]
        del self._lift

    def _function(self, function: Any, args: tuple[Any, ...]) -> Any:
        return function._with_tangents(args)

    def _described(self) -> list[str]:
        primal, tangent, _ = self._lift
        below = primal._described() if isinstance(primal, Lifted) else []
        return below if tangent is None else [*below, f"tangent={tangent!r}"]

    def _end(self, level: Level) -> None:
        self._lift = (self._lift[0], None, level)

    # `requires_grad_()` makes a leaf of the primal below all levels.

    def _set_requires_grad(self, flag: bool) -> None:
        leaf = _leaf_of(self)
        if leaf is None:
            super()._set_requires_grad(flag)
        else:
            leaf._set_requires_grad(flag)
            _stand_on(self, leaf)

    @property
    def is_leaf(self) -> bool:
        """True if the user made it, or if nothing was recorded."""
        return _leaf_of(self) is not None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has accumulated, or None."""
        leaf = _leaf_of(self)
        return Tensor.grad.fget(self) if leaf is None else leaf.grad  # type: ignore[attr-defined]

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            self._check_grad(value)
        leaf = _leaf_of(self)
        (self if leaf is None else leaf)._grad = value


# in-place operations: the values are written below all levels, tangents are replaced -------------


def _bottom(x: Tensor) -> Tensor:
    """The Tensor below all levels."""
    while isinstance(x, Dual):
        x = x._lift[0]
    return x


def _around(x: Tensor, below: Tensor) -> Tensor:
    """`below` with the tangents of `x`."""
    if not isinstance(x, Dual):
        return below
    primal, tangent, level = x._lift
    inner = _around(primal, below)
    return inner if tangent is None else dual(_unleafed(inner), tangent, level)


def tangents_of(x: Tensor) -> dict[Level, Tensor]:
    """The tangents of `x` by their levels."""
    found: dict[Level, Tensor] = {}
    while isinstance(x, Dual):
        x, tangent, level = x._lift
        if tangent is not None and level.alive:
            found[level] = tangent
    return found


def _views_to(x: Tensor) -> list[View]:
    """How `x` is made of its base."""
    chain = []
    while (view := getattr(x, "_view", None)) is not None and view.parent is not None:
        chain.append(view)
        x = view.parent
    return chain[::-1]


def _be_view(x: Tensor, base: Tensor) -> None:
    """Note of a dual that it is a view, as what is below all levels of it is one."""
    below = getattr(_bottom(x), "_view", None)
    if below is not None and below.parent is _bottom(base):
        _link(x, base, below)


def _link(x: Tensor, base: Tensor, like: View) -> None:
    view = x._view = View()
    view.parent = base
    view.function, view.argument, view.creation = like.function, like.argument, like.creation
    views = getattr(base, "_views", None)
    if views is None:
        views = base._views = Views()
    views.append(ref(x))


def give(x: Tensor, tangents: dict[Level, Tensor], parent: Tensor | None) -> None:
    """Let `x` have these tangents and no others, and its views the views of them.

    Args:
        x: becomes a dual, if it is none.
        tangents: by level, the outermost first.
        parent: what `x` is a view of, which has been given its tangents.
    """
    inner = _bottom(x)
    if inner is x and tangents:
        inner = new_tensor(x._array, x._type, x._shape, x._requires_grad, x._node)
        inner._grad = x._grad
        for name in ("_hooks", "_inference"):
            if hasattr(x, name):
                setattr(inner, name, getattr(x, name))
        if parent is not None:
            _link(inner, _bottom(parent), x._view)
    below = inner
    top: Level | None = None
    for level in tangents:
        if top is not None:
            inner = dual(inner, tangents[top], top)
        top = level
    if top is not None:
        x.__class__ = Dual
        x._lift = (inner, tangents[top], top)
        top.hold(x)
    x._array, x._shape = below._array, below._shape
    x._node, x._requires_grad = below._node, below._requires_grad
    for reference in getattr(x, "_views", ()):
        child = reference()
        if child is not None:
            view = child._view
            parts = {v: view.function(t, view.argument) for v, t in tangents.items()}
            give(child, parts, x)


def _leaf_of(x: Tensor) -> Tensor | None:
    """The leaf that a dual is, below all levels; None if it was computed."""
    x = _bottom(x)
    node = x._node
    if node is None:
        return x
    edge = node.edges[0] if node.pullback is _LEAF else None
    return edge if isinstance(edge, Tensor) else None


def _stand_on(x: Dual, leaf: Tensor) -> None:
    """Let the leaf be what stands below all levels of `x`."""
    primal, tangent, level = x._lift
    if isinstance(primal, Dual):
        _stand_on(primal, leaf)
    elif leaf._requires_grad:
        node = new_node(_LEAF, (leaf,), (), leaf._type)
        primal = new_tensor(leaf._array, leaf._type, leaf._shape, True, node)
    else:
        primal = leaf
    x._lift = (primal, tangent, level)
    x._node = primal._node
    x._requires_grad = primal._requires_grad


def dual(primal: Tensor, tangent: Tensor, level: Level) -> Dual:
    """`primal` with `tangent`, which has its shape. No leaf that requires grad: see `alias`."""
    t = Dual()
    t._array = primal._array
    t._type = primal._type
    t._shape = primal._shape
    t._grad = None
    t._node = primal._node
    t._requires_grad = primal._requires_grad
    t._lift = (primal, tangent, level)
    level.hold(t)
    return t


def tangent_of(x: Tensor, level: Level) -> tuple[Tensor, Tensor | None]:
    """The primal and the tangent of `x` in a level; None where `x` has no tangent there."""
    while isinstance(x, Dual) and not x._lift[2].alive:
        x = x._lift[0]
    if isinstance(x, Dual) and x._lift[2] is level:
        return x._lift[0], x._lift[1]
    return x, None


def unwrapped(top: Dual, inputs: Iterable[Any]) -> tuple[Level, list[Any], list[Tensor | None]]:
    """The level of `top`, the inputs without it, and their tangents in it."""
    level = top._lift[2]
    primals: list[Any] = []
    tangents: list[Tensor | None] = []
    for v in inputs:
        t = None
        if isinstance(v, Dual) and v._lift[2] is level:
            v, t = v._lift[:2]
        primals.append(v)
        tangents.append(t)
    return level, primals, tangents


def _flows(y: Any, tangents: Tangents) -> bool:
    """Whether a result can have a tangent."""
    if not enabled() or all(t is None for t in tangents):
        return False
    return not isinstance(y, Tensor) or y._type.recordable


def zeros_of(like: Tensor) -> Tensor:
    """Zeros of the shape and type of `like`."""
    kind = like._type
    make = lambda _: kind.xp.zeros(like._shape, like._array)
    array = kind.device.backend.on(kind.device, make)
    return new_tensor(array, type_of(array), like._shape)


def _cast(t: Tensor, type: TensorType) -> Tensor:
    """`t` in another type, but that it stays one of a batch, or for all samples, as it is."""
    if t._type is type:
        return t
    if t._type.device.base is not type.device.base:
        return t.to(type.device, type.dtype)
    return t if t.dtype is type.dtype else t.to(type.dtype)


def _materialized(tangents: Tangents, primals: Sequence[Tensor]) -> list[Tensor]:
    return [
        zeros_of(p) if t is None else _cast(t, p._type)
        for t, p in zip(tangents, primals, strict=True)
    ]


def _fitted(t: Tensor, type: TensorType, shape: tuple[int, ...]) -> Tensor:
    """A tangent of the output's type and shape."""
    t = _cast(t, type)
    return t if t._shape == shape else recorded.broadcast_to(t, shape)


# the JVPs ----------------------------------------------------------------------------------------


def _elementwise_jvp(
    op: Any, y: Tensor, primals: Sequence[Any], tangents: Tangents
) -> Tensor | None:
    """The tangent of `y`, the result of an elementwise operation; None if it is zero."""
    kind = y._type
    only = primals[0]
    if len(primals) == 1 and only._type.dtype.is_complex:
        kind = only._type  # abs and others give real numbers
    values: dict[str, Any] = {"y": y}
    for letter, v in zip(op.letters, primals, strict=True):
        if isinstance(v, Tensor):
            values[letter] = _cast(v, kind)
        elif letter == "b" and op.by_number:
            values[letter] = v
        else:
            values[letter] = wrap(kind.asarray(v, dtype=kind.numpy))
    by_number = len(primals) == 2 and not isinstance(primals[1], Tensor)
    total: Tensor | None = None
    for position, (t, rule) in enumerate(zip(tangents, op.rules, strict=True)):
        if by_number and position == 0:
            rule = op.scalar_rule
        if t is None or rule is None:
            continue
        named = [values[name] for name in parameters(rule)[2:]]
        if kind.dtype.is_complex and not op.holomorphic:
            d = transposed(partial(_cotangent, rule, named), y, [t], named)
        else:
            d = rule(recorded, _fitted(t, kind, y._shape), *named)
        if d is not None:
            total = d if total is None else total + d
    return None if total is None else _fitted(total, y._type, y._shape)


def _cotangent(rule: Callable[..., Any], named: Sequence[Any], u: Tensor) -> list[Any]:
    return [rule(recorded, u, *named)]


def _primitive_jvp(
    op: Any,
    y: Tensor,
    primals: Sequence[Tensor],
    tangents: Tangents,
    metadata: tuple[Any, ...],
) -> Tensor | None:
    """The tangent of `y`, the result of a primitive; None if it is zero."""
    given = [
        None if t is None else _cast(t, p._type) for t, p in zip(tangents, primals, strict=True)
    ]
    if op.linear:
        rules = op.rules or (op.joint,) * len(given)
        if not any(t is not None and r is not None for t, r in zip(given, rules, strict=True)):
            return None
        return _fitted(op.call(*_materialized(given, primals), *metadata), y._type, y._shape)
    total: Tensor | None = None
    if op.multilinear:
        for position, t in enumerate(given):
            if t is not None:
                d = op.call(*primals[:position], t, *primals[position + 1 :], *metadata)
                total = d if total is None else total + d
        return None if total is None else _fitted(total, y._type, y._shape)
    shapes = [p._shape for p in primals]
    values = dict(zip(op.values, (y, *primals, *shapes, *metadata), strict=False))
    if op.jvp is not None:
        values |= {f"t_{letter}": t for letter, t in zip(op.letters, given, strict=True)}
        d = op.jvp(recorded, *[values[name] for name in parameters(op.jvp)[1:]])
        return _fitted(d, y._type, y._shape)
    if op.symmetric or (op.elementwise and op.rules):
        for t, rule in zip(given, op.rules, strict=True):
            if t is not None and rule is not None:
                d = rule(recorded, t, *[values[name] for name in parameters(rule)[2:]])
                total = d if total is None else total + d
        return None if total is None else _fitted(total, y._type, y._shape)
    found = op.variant(tuple([t is not None for t in given]), y._type)
    if found is None:
        return None
    pullback, _, flows = found
    saved = tuple([values[name] for name in pullback.letters])

    def cotangents(u: Tensor) -> list[Any]:
        g = u if pullback.joint is None else pullback.joint(recorded, u, saved)
        return [rule(recorded, g, saved) for rule in pullback.rules]

    chosen = [t for t, flow in zip(given, flows, strict=True) if flow]
    return transposed(cotangents, y, chosen, saved)


def _several(
    op: Any,
    primals: Sequence[Tensor],
    tangents: Tangents,
    metadata: tuple[Any, ...],
    level: Level,
) -> tuple[Tensor, ...]:
    """The outputs of a primitive that has several, with their tangents."""
    ys: tuple[Tensor, ...] = op.call(*primals, *metadata)
    if not op.differentiable or not _flows(ys, tangents):
        return ys
    with quiet():
        found = _several_jvp(op, ys, primals, tangents, metadata)
    recorded_as = next((y._node for y in ys if y._node is not None), None)
    if recorded_as is not None:
        node, _ = function_of(recorded_as)
        assert isinstance(node, Node)
        named = dict(zip((*op.results, *op.letters), (*found, *tangents), strict=True))
        chosen = tuple([named.get(name) for name in node.pullback.letters])
        if any(t is not None for t in chosen):
            attach(node, level, chosen)
    return tuple([y if t is None else dual(y, t, level) for y, t in zip(ys, found, strict=True)])


def _several_jvp(
    op: Any,
    ys: tuple[Tensor, ...],
    primals: Sequence[Tensor],
    tangents: Tangents,
    metadata: tuple[Any, ...],
) -> list[Tensor | None]:
    """The tangents of the outputs of a primitive; None where they are zero."""
    given = [
        None if t is None else _cast(t, p._type) for t, p in zip(tangents, primals, strict=True)
    ]
    shapes = [p._shape for p in primals]
    values = dict(zip(op.values, (*ys, *primals, *shapes, *metadata), strict=False))
    if op.linear or op.jvp is not None:
        if op.linear:
            found = op.call(*_materialized(given, primals), *metadata)
        else:
            values |= {f"t_{letter}": t for letter, t in zip(op.letters, given, strict=True)}
            found = op.jvp(recorded, *[values[name] for name in parameters(op.jvp)[1:]])
        return [
            None if t is None or not y._type.recordable else _fitted(t, y._type, y._shape)
            for t, y in zip(found, ys, strict=True)
        ]
    kind = next((y._type for y in ys if y._type.recordable), None)
    variant = op.variant(tuple([t is not None for t in given]), kind) if kind else None
    if variant is None:
        return [None] * len(ys)
    pullback, _, flows = variant
    saved = tuple([values[name] for name in pullback.letters])

    def cotangents(*us: Tensor) -> list[Any]:
        g = pullback.joint(recorded, dict(zip(at, us, strict=True)), saved)
        return [rule(recorded, g, saved) for rule in pullback.rules]

    at = [n for n, y in enumerate(ys) if y._type.recordable]
    chosen = [t for t, flow in zip(given, flows, strict=True) if flow]
    by_output = dict(
        zip(at, transposed_of(cotangents, [ys[n] for n in at], chosen, saved), strict=True)
    )
    return [by_output.get(n) for n in range(len(ys))]


def transposed(
    function: Callable[[Tensor], Sequence[Any]],
    y: Tensor,
    tangents: Tangents,
    used: Iterable[Any],
) -> Tensor | None:
    """As `transposed_of`, for one output."""
    return transposed_of(function, [y], tangents, used)[0]


def transposed_of(
    function: Callable[..., Sequence[Any]],
    ys: Sequence[Tensor],
    tangents: Tangents,
    used: Iterable[Any],
) -> list[Tensor | None]:
    """The JVP, by the transpose of the VJP.

    Args:
        function: gives the cotangents of the inputs for those of `ys`, in which it is linear.
        ys: the outputs.
        tangents: one per input, of its shape.
        used: the Tensors that `function` refers to.

    Returns:
        The tangents of `ys`; None where they are zero.
    """
    us = [zeros_of(y) for y in ys]
    for u in us:
        u._requires_grad = True
    with set_grad_enabled(True):
        found = function(*us)
    pairs = [
        (d, _fitted(t, d._type, d._shape))
        for d, t in zip(found, tangents, strict=True)
        if isinstance(d, Tensor) and d._requires_grad and t is not None
    ]
    if not pairs:
        return [None] * len(ys)
    parts = [v for v in (*used, *(t for _, t in pairs)) if isinstance(v, Tensor)]
    record = is_grad_enabled() and any(v._requires_grad for v in parts)
    roots: list[Any] = [(d._node or d, t) for d, t in pairs]
    results = run_backward(roots, None, record, us)
    made: list[Tensor | None] = []
    for u, y in zip(us, ys, strict=True):
        result = results.get(u)
        if result is not None:
            if not isinstance(result, Tensor):
                result = wrap(y._type.asarray(result) if isinstance(result, np.generic) else result)
            result = _fitted(result, y._type, y._shape)
        made.append(result)
    return made


# forward over reverse ----------------------------------------------------------------------------


class _Tangents:
    """What a node has saved has tangents: see `graph.Lift`."""

    __slots__ = ("level", "tangents")

    def __init__(self, level: Level, tangents: tuple[Tensor | None, ...]) -> None:
        self.level = level
        self.tangents = tangents

    def __call__(self, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            [
                v
                if t is None or not isinstance(v, Tensor)
                else dual(_unleafed(v), _fitted(t, v._type, v._shape), self.level)
                for v, t in zip(saved, self.tangents, strict=True)
            ]
        )


def _unleafed(x: Tensor) -> Tensor:
    return alias(x) if x._requires_grad and x._node is None else x


def _annotate(y: Tensor, level: Level, tangents: dict[str, Any]) -> None:
    """Keep with the node of `y` the tangents of what it has saved, by their names in the rules."""
    node = y._node
    if node is None:
        return
    names = node.pullback.letters
    chosen = tuple([tangents.get(name) for name in names])
    if any(t is not None for t in chosen):
        attach(node, level, chosen)


def attach(node: Node, level: Level, tangents: tuple[Tensor | None, ...]) -> None:
    """Give what a node has saved these tangents, one per value, while the level lasts."""
    node.lifts = (*getattr(node, "lifts", ()), _Tangents(level, tangents))
    level.hold(node)
