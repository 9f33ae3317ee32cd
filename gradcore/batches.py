"""Tensors that stand for those of a whole batch: how they come into a vmap, and out of it.

Both ways are recorded, and each is the other's derivative. So gradients of what vmap gave, and
gradients within vmap, are those of any other program.
"""

from __future__ import annotations

from collections.abc import Sequence

from .batching.array import Level
from .batching.namespace import (
    belongs_to,
    entered,
    left,
    misfits,
    spread_over,
    summed_over,
)
from .errors import ArgumentError
from .op import primitive, recorded
from .tensor import Lifted, Tensor, as_view

__all__ = ["common_size", "enter", "fit", "is_batched", "leave"]


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
# The engine gives a cotangent the levels of what it flows to: it does the rest of these rules.
_sum_over = primitive(
    "sum_over_batch",
    lambda xp, x, level: summed_over(x, level),
    joint=lambda xp, g: [g],
    inputs=1,
    linear=True,
)
_spread_over = primitive(
    "spread_over_batch",
    lambda xp, x, level: spread_over(x, level),
    joint=lambda xp, g: [g],
    inputs=1,
    linear=True,
)


def enter(x: Tensor, level: Level, dim: int) -> Tensor:
    """The samples of a level, which are along dimension `dim` of `x`, as one Tensor."""
    return as_view(_enter(x, level, dim), x, lambda x, at: _enter(x, *at), (level, dim))


def leave(x: Tensor, level: Level, dim: int) -> Tensor:
    """The inverse of `enter`; what is the same for all samples is repeated."""
    if isinstance(x, Lifted):  # a part of it may be the same for all samples
        return x._linear("unbatch", lambda v: leave(v, level, dim), (x,))  # type: ignore[no-any-return]
    if belongs_to(x._array, level):
        return as_view(_leave(x, level, dim), x, lambda x, at: _leave(x, *at), (level, dim))
    rows = recorded.broadcast_to(recorded.expand_dims(x, dim), _inserted(x._shape, level.size, dim))
    assert isinstance(rows, Tensor)
    return rows


def _inserted(shape: tuple[int, ...], size: int, dim: int) -> tuple[int, ...]:
    return (*shape[:dim], size, *shape[dim:])


def fit(x: Tensor, wanted: Sequence[Level]) -> Tensor:
    """A cotangent as a batch of the levels `wanted`; see `fitted`."""
    if isinstance(x, Lifted):
        return x._linear("sum_over_batch", lambda v: fit(v, wanted), (x,))  # type: ignore[no-any-return]
    over, lacking = misfits(x._array, wanted)
    for level in over:
        x = _sum_over(x, level)
    for level in lacking:
        x = _spread_over(x, level)
    return x


def is_batched(x: Tensor, level: Level) -> bool:
    """Whether `x` may differ from sample to sample of a level."""
    return belongs_to(x._array, level)


def common_size(sizes: Sequence[int]) -> int:
    """The size of the dimensions that are mapped over.

    Raises:
        ArgumentError: there is none, or they differ.
    """
    if not sizes:
        raise ArgumentError("vmap: Expected at least one Tensor to vmap over")
    if any(size != sizes[0] for size in sizes):
        raise ArgumentError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return sizes[0]
