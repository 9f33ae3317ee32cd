"""Stand-ins for the functions of `cupy.cuda.thrust`, which CuPy's sorts call and carries compiled.

They take addresses and the C-contiguous shape, sort the last axis in place, and are stable. NaNs
come last, except that of float32 and float64 in one dimension, which a GPU sorts by their bits,
NaNs whose sign bit is set come first.
"""

import ctypes
import math

import numpy as np

_TYPES = frozenset("?bBhHiIlLqQefdFD")


def sort(dtype, data, keys, shape):
    """Sort `data`; `keys`, memory that a GPU needs for more than one dimension, is not used."""
    values = _at(data, dtype, shape)
    values[...] = np.take_along_axis(values, _order(values), -1)


def argsort(dtype, indices, data, keys, shape):
    """Write what would sort `data` to `indices`; `data` itself, a copy, is sorted too."""
    values = _at(data, dtype, shape)
    order = _order(values)
    _at(indices, np.intp, shape)[...] = order
    values[...] = np.take_along_axis(values, order, -1)


def lexsort(dtype, indices, keys, k, n):
    """Write what would sort the `k` rows `keys`, the last one counting most, to `indices`."""
    _at(indices, np.intp, (n,))[...] = np.lexsort(_at(keys, dtype, (k, n)))


def _at(address, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.char not in _TYPES:
        raise TypeError(f"hostcuda: sorting {dtype} is not supported")
    size = math.prod(shape) * dtype.itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), dtype).reshape(shape)


def _order(values):
    if values.ndim == 1 and values.dtype.char in "fd":
        return np.lexsort((values, ~(np.isnan(values) & np.signbit(values))))
    return values.argsort(-1, kind="stable")
