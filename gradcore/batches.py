"""Tensors that stand for those of a whole batch: how they come into a vmap, and out of it.

Both ways are recorded, and each is the other's derivative. So gradients of what vmap gave, and
gradients within vmap, are those of any other program.
"""

from __future__ import annotations

from typing import Any

from .batching.array import BatchedArray, Level
from .batching.namespace import belongs_to, ended, entered, left, summed_over
from .device import BATCHED, TensorType
from .graph import Edge, Node
from .op import primitive, recorded
from .tensor import Lifted, Tensor, as_view

__all__ = ["alike", "enter", "is_batched", "leave", "outside"]


# A `joint`, not a rule: no kernel can be made of it.
_enter = primitive(
    "batch",
    lambda xp, x, level, dim: entered(x, level, dim),
    joint=lambda xp, g, level, dim: [
        leave(g, level, dim) if xp is recorded else left(g, level, dim)
    ],
    inputs=1,
    linear=True,
)
_leave = primitive(
    "unbatch",
    lambda xp, x, level, dim: left(x, level, dim),
    joint=lambda xp, g, level, dim: [
        enter(g, level, dim) if xp is recorded else entered(g, level, dim)
    ],
    inputs=1,
    linear=True,
)


def _left(x: Tensor, at: tuple[Level, int]) -> Tensor:
    y = _leave(x, *at)
    if y._array.__class__ is not BatchedArray:
        y._type = TensorType(y._type.device.base, y._type.dtype)
        if y._node is not None:
            y._node.type = y._type
    return y


_sum_over = primitive(
    "sum_over_batch",
    lambda xp, x, dropped: summed_over(x, dropped),
    joint=lambda xp, g, dropped: [g],  # the same for all samples
    inputs=1,
    linear=True,
)


def alike(a: Any, b: Any, edge: Edge) -> tuple[Any, Any]:
    """Two cotangents for what `edge` came from, so that they can be added.

    One alone may have been followed through a vmap that began later than that, and has ended: it is
    summed over the samples of that vmap.
    """
    if not isinstance(edge, Node):
        return a, b
    levels = [ended(v._array if isinstance(v, Tensor) else v) for v in (a, b)]
    found = []
    for v, own, other in zip((a, b), levels, levels[::-1], strict=True):
        dropped = tuple(
            [level for level in own if level not in other and edge.sequence > level.started]
        )
        if dropped:
            v = _summed(v, dropped) if isinstance(v, Tensor) else summed_over(v, dropped)
        found.append(v)
    return found[0], found[1]


def _summed(x: Tensor, dropped: tuple[Level, ...]) -> Tensor:
    if isinstance(x, Lifted):
        return x._linear("sum_over_batch", lambda v: _summed(v, dropped), (x,))  # type: ignore[no-any-return]
    y = _sum_over(x, dropped)
    if y._array.__class__ is not BatchedArray:
        y._type = TensorType(y._type.device.base, y._type.dtype)
        if y._node is not None:
            y._node.type = y._type
    return y


def outside(x: Tensor) -> Tensor:
    """A Tensor of the device of a batch that is the same for all samples, as what it is."""
    if x._type.device.kind != BATCHED or x._array.__class__ is BatchedArray:
        return x
    found: Tensor = recorded.send(x, x._type, TensorType(x._type.device.base, x._type.dtype))
    return found


def enter(x: Tensor, level: Level, dim: int) -> Tensor:
    """The samples of a level, which are along dimension `dim` of `x`, as one Tensor."""
    return as_view(_enter(x, level, dim), x, lambda x, at: _enter(x, *at), (level, dim))


def leave(x: Tensor, level: Level, dim: int) -> Tensor:
    """The inverse of `enter`; what is the same for all samples is repeated."""
    if isinstance(x, Lifted):  # a part of it may be the same for all samples
        return x._linear("unbatch", lambda v: leave(v, level, dim), (x,))  # type: ignore[no-any-return]
    if belongs_to(x._array, level):
        return as_view(_left(x, (level, dim)), x, _left, (level, dim))
    x = outside(x)
    rows = recorded.broadcast_to(recorded.expand_dims(x, dim), _inserted(x._shape, level.size, dim))
    assert isinstance(rows, Tensor)
    return rows


def _inserted(shape: tuple[int, ...], size: int, dim: int) -> tuple[int, ...]:
    return (*shape[:dim], size, *shape[dim:])


def is_batched(x: Tensor, level: Level) -> bool:
    """Whether `x` may differ from sample to sample of a level."""
    return belongs_to(x._array, level)
