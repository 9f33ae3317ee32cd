"""Which memory arrays lie in, and arrays over the memory of others.

The *owner* of an array is what holds its memory. Arrays with elements in common have one owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .batching.array import bottom
from .device import Array

__all__ = ["address", "bounds", "bytes_between", "deep_copy", "owner", "owner_size", "view"]


def owner(array: Array) -> Any:
    """What holds the memory of an array: of NumPy's an array, of CuPy's an allocation."""
    if not isinstance(array, np.ndarray):
        inner = bottom(array)
        return array.data.mem if inner is array else owner(inner)
    while True:
        base = array.base
        if base is not None and not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # as_strided puts an object between
        if type(base) is not np.ndarray:
            return array
        array = base


def owner_size(owner: Any) -> int:
    """How many bytes an owner holds."""
    if isinstance(owner, np.ndarray):
        low, high = bounds(owner)
        return high - low
    return int(owner.size)


def address(array: Array) -> int:
    """Where in memory the element with index 0 in every dimension stands."""
    if isinstance(array, np.ndarray):
        return int(array.__array_interface__["data"][0])
    return int(array.data.ptr)


def bounds(array: Array) -> tuple[int, int]:
    """The addresses of the first byte of an array and of the one behind its last."""
    low = address(array)
    if not array.size:
        return low, low
    high = low + int(array.itemsize)
    for length, step in zip(array.shape, array.strides, strict=True):
        if step < 0:
            low += (length - 1) * step
        else:
            high += (length - 1) * step
    return low, high


def bytes_between(array: Array, low: int, high: int) -> Array:
    """The bytes at these addresses as uint8, `(high - low,)`, without a copy.

    Args:
        array: has elements, the first of them in memory at `low`.
        low: the address of the first byte.
        high: the address behind the last byte; in the memory of the array's owner.
    """
    if not isinstance(array, np.ndarray):
        start = array.data + (low - address(array))
        return type(array)((high - low,), np.uint8, memptr=start)
    first = array[tuple([slice(-1, None) if s < 0 else slice(0, 1) for s in array.strides])]
    one = first.reshape(1).view(np.uint8)
    return np.lib.stride_tricks.as_strided(one, (high - low,), (1,))


def view(
    memory: Array, dtype: Any, shape: Sequence[int], strides: Sequence[int], offset: int
) -> Array:
    """An array over the memory of another one.

    Args:
        memory: has no gaps, and its dimensions in any order.
        dtype: of the new array; not object.
        shape: of the new array.
        strides: of the new array, in bytes.
        offset: of its first element from the start of `memory`, in bytes.

    Raises:
        ValueError: on the CPU, if it would reach outside of `memory`.
    """
    if not isinstance(memory, np.ndarray):
        return type(memory)(tuple(shape), dtype, memory.data + offset, tuple(strides))
    order = sorted(range(memory.ndim), key=lambda dim: -memory.strides[dim])
    return np.ndarray(tuple(shape), dtype, memory.transpose(order), offset, tuple(strides))


def deep_copy(array: Array, memo: dict[int, Any]) -> Array:
    """A copy of an array with its strides. What shared memory shares it again.

    The whole memory of the owner is copied, once, and remembered in `memo` as `copy.deepcopy` does.
    """
    whole = owner(array)
    on_host = isinstance(array, np.ndarray)
    start, end = bounds(whole) if on_host else (whole.ptr, whole.ptr + whole.size)
    low, high = bounds(array)
    if not start <= low <= high <= end:  # the owner does not know its size
        return array.copy(order="K")
    twin = memo.get(id(whole))
    if twin is None:
        if on_host:
            twin = whole.copy(order="K")
        else:
            twin = type(array)((whole.size,), np.uint8)
            twin.data.copy_from_device_async(type(array.data)(whole, 0), whole.size)
        memo[id(whole)] = twin
    if array is whole:
        return twin
    if on_host and twin.strides != whole.strides:  # memory with gaps, of another library
        return array.copy(order="K")
    copied = view(twin, array.dtype, array.shape, array.strides, address(array) - start)
    if on_host:
        copied.flags.writeable = array.flags.writeable
    return copied
