"""Operations whose forward is not made of the functions of a Namespace, read for batches.

A reading is called with the level that is to be dealt with, the operation itself for the levels
below, and its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..errors import BatchingError
from .array import BatchedArray, Level, belongs
from .namespace import batched, lined_up, own_memory, spread

__all__ = ["READINGS", "along", "leading"]

Operation = Callable[..., Any]


def leading(level: Level, run: Operation, *args: Any) -> Any:
    """An operation on the last dimensions, whose others broadcast: the batch is one of these."""
    y = run(*lined_up(level, args))
    if isinstance(y, tuple | list):
        return type(y)(BatchedArray(level, part) for part in y)
    return BatchedArray(level, y)


def along(level: Level, run: Operation, x: Any, dim: int | None, *rest: Any) -> Any:
    """An operation along one dimension."""
    if not x.ndim:
        y = run(batched.reshape(x.inner, (level.size, 1)), 1, *rest)
        return BatchedArray(level, batched.reshape(y, (level.size,)))
    assert dim is not None
    return BatchedArray(level, run(x.inner, dim % x.ndim + 1, *rest))


def _logsumexp(level: Level, run: Operation, x: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
    if not x.ndim:
        return x.copy()
    return BatchedArray(level, run(x.inner, tuple([d % x.ndim + 1 for d in dim]), keepdim))


def _affine(level: Level, run: Operation, bias: Any, x: Any, weight: Any) -> Any:
    return batched.matmul(x, batched.transpose(weight)) + bias


def _index(level: Level, run: Operation, x: Any, index: Any) -> Any:
    return batched.getitem(x, index)


def _masked_select(level: Level, run: Operation, x: Any, mask: Any) -> Any:
    if mask.__class__ is BatchedArray:
        raise BatchingError(
            "vmap: Attempted to vmap over `mask` in masked_select(self, mask). We cannot support "
            "this because for each batch this would return a differently shaped Tensor."
        )
    return batched.getitem(x, mask)


def _embedding(level: Level, run: Operation, weight: Any, index: Any, *_: Any) -> Any:
    return batched.getitem(weight, (index,))


def _repeat_interleave(level: Level, run: Operation, x: Any, how: tuple[int, int]) -> Any:
    count, axis = how
    return BatchedArray(level, run(x.inner, (count, axis + 1)))


def _index_put(level: Level, run: Operation, x: Any, *more: Any) -> Any:
    """Values put into a copy of an array; with one argument more, into zeros."""
    if len(more) == 1:
        return batched.put(x, *more[0])
    values, index, accumulate = more
    if accumulate:
        return x + batched.put(values, index, x.shape)
    y = own_memory(x, values, *index)
    y[index] = values
    return y


# norms -----------------------------------------------------------------------------------------


def _one(like: Any) -> Any:
    """What stands for a parameter that is None: a 1 of no dimensions."""
    return batched.ones_like(batched.zeros((), like))


def _scaled(y: Any, x: Any, weight: Any, bias: Any) -> Any:
    """A normalised array with its parameters, in the dtype of `x`."""
    y = y * weight
    if bias is not None and bias.ndim:
        y = y + bias
    return y if y.dtype == x.dtype else batched.astype(y, x.dtype)


def _row_norm(
    level: Level,
    run: Operation,
    x: Any,
    parameters: Sequence[Any],
    axes: tuple[int, ...],
    eps: float,
    kept: list[Any],
) -> Any:
    """Layer norm, or with one parameter RMS norm."""
    if not belongs(x, level):
        one = _one(parameters[0])
        y = run(x, *[one for _ in parameters], axes, eps, kept)
        return _scaled(y, x, *parameters, *(() if len(parameters) == 2 else (None,)))
    own = any(belongs(p, level) for p in parameters)
    one = _one(parameters[0])
    below: list[Any] = []
    given = [one for _ in parameters] if own else parameters
    y = run(x.inner, *given, tuple([d + 1 for d in axes]), eps, below)
    rows = math.prod(x.shape[: axes[0]])
    kept.append(
        tuple(
            [
                None
                if v is None
                else BatchedArray(level, batched.reshape(v, (level.size, rows, 1)))
                for v in below[0]
            ]
        )
    )
    y = BatchedArray(level, y)
    if not own:
        return y
    return _scaled(y, x, *parameters, *(() if len(parameters) == 2 else (None,)))


def _layer_norm(
    level: Level, run: Operation, x: Any, weight: Any, bias: Any, axes: Any, eps: Any, kept: Any
) -> Any:
    return _row_norm(level, run, x, (weight, bias), axes, eps, kept)


def _rms_norm(
    level: Level, run: Operation, x: Any, weight: Any, axes: Any, eps: Any, kept: Any
) -> Any:
    return _row_norm(level, run, x, (weight,), axes, eps, kept)


def _batch_norm(
    level: Level,
    run: Operation,
    x: Any,
    weight: Any,
    bias: Any,
    running: Any,
    training: bool,
    momentum: float,
    eps: float,
    kept: list[Any],
) -> Any:
    """The channels of all samples beside one another."""
    if training and running is not None and not all(belongs(v, level) for v in running):
        raise BatchingError(
            "Batch norm got a batched tensor as input while the running_mean or running_var, which "
            "will be updated in place, were not batched. Pass none of them, or vmap over them too."
        )
    n, (count, channels, *rest) = level.size, x.shape
    order = (1, 0, *range(2, x.ndim + 1))
    wide = batched.transpose(spread(x, level), order)
    wide = batched.reshape(wide, (count, n * channels, *rest))
    if running is not None:
        running = tuple([batched.reshape(spread(v, level), (n * channels,)) for v in running])
    below: list[Any] = []
    one = _one(weight)
    y = run(wide, one, one, running, training, momentum, eps, below)
    y = batched.transpose(batched.reshape(y, (count, n, channels, *rest)), order)
    y = BatchedArray(level, y)
    each = (n, channels, *(1,) * len(rest))
    kept.append(tuple([BatchedArray(level, batched.reshape(v, each)) for v in below[0]]))
    if weight.ndim:
        weight = batched.reshape(weight, (channels, *(1,) * len(rest)))
    if bias.ndim:
        bias = batched.reshape(bias, (channels, *(1,) * len(rest)))
    return _scaled(y, x, weight, bias)


# losses ----------------------------------------------------------------------------------------


READINGS: Final[dict[str, Callable[..., Any]]] = {
    "batch_norm": _batch_norm,
    "embedding": _embedding,
    "index": _index,
    "index_put": _index_put,
    "index_select": _index,
    "layer_norm": _layer_norm,
    "linear": _affine,
    "log_softmax": along,
    "logsumexp": _logsumexp,
    "masked_select": _masked_select,
    "repeat_interleave": _repeat_interleave,
    "rms_norm": _rms_norm,
    "softmax": along,
}
"""By the name of the operation."""
