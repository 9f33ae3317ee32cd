"""Sums, means and maxima of the rows of a table."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .. import dtypes
from ..batching.array import BatchedArray, bottom
from ..batching.namespace import batched
from ..device import Array, type_of
from ..errors import ArgumentError, DimensionError, DTypeError, ShapeError
from ..mode import checked_indices
from ..op import common_device, primitive, public, recorded
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor, wrap
from .layer import beyond, embedding, tensor_argument
from .shape import cat

__all__: list[str] = []


def _summed_runs(xp: Any, v: Array, bag: Array, first: Array, count: int) -> Array:
    rows = len(v)
    if xp.module is np and count and rows and not rows % count:
        length = rows // count
        if (first == np.arange(0, rows, length)).all():
            # Most bags are of one length; numpy.add.at takes ten times as long.
            return v.reshape((count, length, *v.shape[1:])).sum(1, v.dtype)
    return xp.put(v, (bag,), (count, *v.shape[1:]))


# `bag` is the number of the bag that each row belongs to, and `first` each bag's first row.
_sum_bags = primitive(
    "embedding_bag",
    _summed_runs,
    lambda xp, g, bag: xp.getitem(g, (bag,)),
    linear=True,
    holds_arrays=True,
    batching=lambda level, run, v, bag, first, count: batched.put(v, (bag,), (count, *v.shape[1:])),
)

_MODES: Final = ("sum", "mean", "max")
_INDICES: Final = frozenset({dtypes.int64, dtypes.int32})


def _bag_samples(make: Maker) -> list[Sample]:
    def weight() -> Any:
        return make.real(5, 3)

    index, bags = np.array([0, 2, 4, 1, 2]), np.array([0, 2, 2])
    return [
        sample(index, weight(), bags),
        sample(index, weight(), bags, mode="sum", per_sample_weights=make.real(5)),
        sample(index, weight(), bags, None, 2.0, False, "max"),
        sample(np.array([[0, 2], [4, 2]]), weight(), mode="max", padding_idx=2),
        sample(np.array([[0, 2], [4, 1]]), weight(), padding_idx=-3),
        sample(index[:4], weight(), np.array([0, 3, 4]), mode="sum", include_last_offset=True),
        sample(np.array([0, 2, 4]), weight(), np.array([0, 1]), scale_grad_by_freq=True),
        sample(np.zeros(0, np.int64), weight(), np.array([0, 0]), mode="sum"),
    ]


def _bag_errors(make: Maker) -> list[Bad]:
    index, weight, bags = np.array([0, 2, 4, 1]), make.real(5, 3), np.array([0, 2])
    return [
        bad(ValueError, "offsets has to be a 1D Tensor but got None", index, weight),
        bad(ValueError, "offsets has to be None", index.reshape(2, 2), weight, bags),
        bad(ValueError, "mode has to be one of sum, mean or max", index, weight, bags, mode="min"),
        bad(
            NotImplementedError,
            "only supported for mode='sum'",
            index,
            weight,
            bags,
            None,
            2.0,
            per_sample_weights=make.real(4),
        ),
        bad(
            ValueError,
            "must have the same shape as the input",
            index,
            weight,
            bags,
            mode="sum",
            per_sample_weights=make.real(3),
        ),
        bad(RuntimeError, r"offsets\[0\] has to be 0", index, weight, np.array([1, 2])),
        bad(RuntimeError, r"offsets\[-1\] can not be greater", index, weight, np.array([0, 5])),
        bad(RuntimeError, "Long, Int", make.real(4), weight, bags),
        bad(RuntimeError, "not in the valid range", np.array([0, 5]), weight, np.array([0])),
        bad(
            ValueError,
            "max mode does not support scaling",
            index,
            weight,
            bags,
            mode="max",
            scale_grad_by_freq=True,
        ),
        bad(RuntimeError, "padding_idx must be within", index, weight, bags, padding_idx=5),
        bad(ValueError, "1D or 2D Tensor", index.reshape(1, 2, 2), weight),
        bad(ValueError, "weight has to be a 2D", index, make.real(3), bags),
        bad(NotImplementedError, "sparse", index, weight, bags, sparse=True),
    ]


@public(
    path="nn.functional.embedding_bag",
    kind="primitive",
    samples=_bag_samples,
    errors=_bag_errors,
    waits=True,
    departs={
        "node": "composite for means and maxima",
        "derivative": "PyTorch's has no second derivative",
    },
)
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """For each bag of numbers the sum, mean or maximum of the rows of `weight` they stand for.

    Maxima take five times as long as PyTorch's, since all rows are looked up before the places of
    the largest are searched.

    Args:
        input: `(bags, length)`, or `(rows,)` with `offsets`; int64 or int32, in [0, n).
        weight: `(n, size)`, floating point.
        offsets: `(bags,)`, where in `input` each bag begins, not decreasing, from 0 on.
        max_norm: rows that are looked up and longer are shortened to it, in place.
        norm_type: the exponent of the norm for that.
        scale_grad_by_freq: divide a row's gradient by how often it was looked up; not for `"max"`.
        mode: `"sum"`, `"mean"` or `"max"`.
        sparse: must be False.
        per_sample_weights: a factor for each row, of the shape of `input`; only for `"sum"`.
        include_last_offset: whether the last of `offsets` is the end of the last bag.
        padding_idx: a row that counts as if it were not there.

    Returns:
        `(bags, size)`; 0 where a bag is empty. Of equal elements the first one gets the gradient of
        a maximum.

    Raises:
        ArgumentError: arguments that do not fit one another.
        ShapeError: `offsets` do not begin with 0 or go beyond the end.
        DimensionError: a number is out of range.
        DTypeError: `input` is not int64 or int32; the dtypes of the weights differ.
        NotImplementedError: `sparse`, or `per_sample_weights` in another mode than `"sum"`.
    """
    name = "embedding_bag"
    rows = tensor_argument(name, "input", 1, input)
    w = tensor_argument(name, "weight", 2, weight)
    if w._type.dtype is dtypes.int64 and rows._type.dtype.is_floating_point:
        rows, w = w, rows  # the order of former versions, which PyTorch still takes
    factors = per_sample_weights
    if factors is not None and factors._shape != rows._shape:
        raise ArgumentError(
            f"{name}: If per_sample_weights ({factors.shape}) is not None, then it must have the "
            f"same shape as the input ({rows.shape})."
        )
    if w.ndim != 2:
        raise ArgumentError(
            f"{name}: weight has to be a 2D Tensor, but got Tensor of dimension {w.ndim}."
        )
    if rows.ndim == 2 and offsets is not None:
        raise ArgumentError(
            f"{name}: if input is 2D, then offsets has to be None, as input is treated is a "
            "mini-batch of fixed length sequences. However, found offsets of type "
            f"{type(offsets).__qualname__}."
        )
    if rows.ndim == 1 and offsets is None:
        raise ArgumentError(f"{name}: offsets has to be a 1D Tensor but got None.")
    if rows.ndim not in (1, 2):
        raise ArgumentError(
            f"{name}: input has to be 1D or 2D Tensor, but got Tensor of dimension {rows.ndim}."
        )
    if mode not in _MODES:
        raise ArgumentError(f"{name}: mode has to be one of sum, mean or max, not {mode!r}.")
    if mode == "max" and scale_grad_by_freq:
        raise ArgumentError(f"{name}: max mode does not support scaling the gradient.")
    if sparse:
        raise NotImplementedError(f"{name}: sparse gradients are not implemented.")
    if factors is not None and mode != "sum":
        raise NotImplementedError(
            f"{name}: per_sample_weights was not None. per_sample_weights is only supported for "
            f"mode='sum' (got mode={mode!r})."
        )
    given = [t for t in (rows, offsets) if t is not None]
    for t in given:
        if t._type.dtype not in _INDICES:
            raise DTypeError(
                f"{name}: Expected tensor for argument #1 'indices' to have one of the following "
                f"scalar types: Long, Int; but got {t.dtype} instead."
            )
    if not w._type.dtype.is_floating_point:
        raise DTypeError(
            f"{name}: Expected tensor for argument #1 'weight' to have one of the following scalar "
            f"types: Half, Float, Double; but got {w.dtype} instead."
        )
    if factors is not None and factors._type.dtype is not w._type.dtype:
        raise DTypeError(
            f"{name}: Expected weight to have the same type as per_sample_weights, but got "
            f"{w.dtype} and {factors.dtype}."
        )
    common_device(name, [w, *given] if factors is None else [w, factors, *given])
    n = w._shape[0]
    if padding_idx is not None and not -n <= padding_idx < n:
        raise ShapeError(
            f"{name}: padding_idx must be within the number of embeddings, {-n} through {n - 1}, "
            f"but got {padding_idx}."
        )
    if (not rows.is_cuda or checked_indices.get()) and beyond(rows._array, n):
        seen = bottom(rows._array)
        raise _OutOfRange(
            f"{name}: Index of input is not in the valid range [0, {n}): they go from {seen.min()} "
            f"to {seen.max()}."
        )
    kept = None if padding_idx is None else (rows != padding_idx % n)
    table = embedding(rows, w, None, max_norm, norm_type, scale_grad_by_freq)
    if offsets is None:
        return _of_equal_length(table, kept, mode, factors)
    return _of_any_length(table, kept, mode, factors, offsets, include_last_offset)


class _OutOfRange(DimensionError, RuntimeError):
    """What PyTorch raises as a RuntimeError here, and as an IndexError from `embedding`."""


def _weighted(table: Tensor, kept: Tensor | None, factors: Tensor | None) -> Tensor:
    if factors is not None:
        table = table * factors.unsqueeze(-1)
    return table if kept is None else recorded.where(kept.unsqueeze(-1), table, 0.0)


def _of_equal_length(
    table: Tensor, kept: Tensor | None, mode: str, factors: Tensor | None
) -> Tensor:
    length = table._shape[1]
    if not length:
        return table.sum(1)
    if mode == "max":
        return _largest(table, kept)
    total = _weighted(table, kept, factors).sum(1)
    if mode == "sum":
        return total
    if kept is None:
        return total / length
    return total / kept.sum(1, True).clamp_min(1)


def _largest(table: Tensor, kept: Tensor | None) -> Tensor:
    """The maxima over the second dimension, of the first of equal elements; 0 of none."""
    if kept is None:
        return table.gather(1, table.detach().argmax(1, True)).squeeze(1)
    seen = recorded.where(kept.unsqueeze(-1), table.detach(), -np.inf)
    found = table.gather(1, seen.argmax(1, True)).squeeze(1)
    y: Tensor = recorded.where(kept.any(1, True), found, 0.0)
    return y


def _of_any_length(
    table: Tensor,
    kept: Tensor | None,
    mode: str,
    factors: Tensor | None,
    offsets: Tensor,
    include_last: bool,
) -> Tensor:
    if offsets.ndim != 1:
        raise ArgumentError("embedding_bag: offsets has to be a 1D Tensor.")
    rows = table._shape[0]
    first = offsets
    if not offsets.is_cuda or checked_indices.get():
        ends = bottom(first._array)
        if ends.size and int(ends.reshape(-1)[0]):
            raise ShapeError(
                "embedding_bag: offsets[0] has to be 0, i.e., the first sequence in the mini-batch "
                f"has to start from position 0. However, got {int(ends.reshape(-1)[0])}."
            )
        if ends.size and int(ends.reshape(-1)[-1]) > rows:
            raise ShapeError(
                "embedding_bag: offsets[-1] can not be greater than input's length "
                f"{rows} but got offsets[-1] of {int(ends.reshape(-1)[-1])}."
            )
    places = _range(rows, offsets)
    if include_last:
        inside = places < offsets[-1]
        kept = inside if kept is None else kept & inside
        first = offsets[:-1]
    if mode == "max":
        return _largest_of_bags(table, kept, first)
    count, starts = first._shape[0], first._array
    bag = _bags_of(places._array, starts)
    total: Tensor = _sum_bags(_weighted(table, kept, factors), bag, starts, count)
    if mode == "sum":
        return total
    ones = table.detach().new_ones((rows, 1))
    ones = _weighted(ones, kept, None)
    return total / _sum_bags(ones, bag, starts, count).clamp_min(1)


def _range(n: int, like: Tensor) -> Tensor:
    """0 to n - 1, on the device of `like`."""
    device = like._type.device.base
    return wrap(device.backend.on(device, lambda module: module.arange(n)))


def _bags_of(places: Array, first: Array) -> Array:
    """The number of the bag that each place is in."""
    if first.__class__ is BatchedArray:
        later = batched.expand_dims(places, 1) >= batched.expand_dims(first, 0)
        return batched.sum(later, 1) - 1
    device = type_of(places).device
    return device.backend.on(
        device, lambda module: module.searchsorted(first, places, side="right") - 1
    )


def _largest_of_bags(table: Tensor, kept: Tensor | None, first: Tensor) -> Tensor:
    """The maxima of bags, brought to the length of the longest, which the host must know."""
    rows, size = table._shape
    count = first._shape[0]
    if not rows or not count:
        return table.sum() * table.new_zeros((count, size))
    end = first.new_full((1,), rows)
    lengths = cat([first[1:], end]) - first
    steps = _range(max(int(bottom(lengths._array).max()), 1), first)
    there = steps < lengths.unsqueeze(1)
    places = (first.unsqueeze(1) + steps).clamp_max(rows - 1)
    return _largest(table[places], there if kept is None else there & kept[places])
