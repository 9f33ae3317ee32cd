"""The format `.safetensors`: a header in JSON and the elements of Tensors behind it.

Reference:
    https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..errors import ArgumentTypeError
from ..tensor import Tensor, wrap
from .file import Damaged, Foreign, HostArray, blaming, read_into, write_rows
from .location import Where
from .nesting import shortened

__all__ = ["read", "recognises", "writer"]

_DTYPES: Final = {
    "BOOL": dtypes.bool_,
    "U8": dtypes.uint8,
    "I8": dtypes.int8,
    "I16": dtypes.int16,
    "I32": dtypes.int32,
    "I64": dtypes.int64,
    "U16": dtypes.uint16,
    "U32": dtypes.uint32,
    "U64": dtypes.uint64,
    "F16": dtypes.float16,
    "F32": dtypes.float32,
    "F64": dtypes.float64,
    "C64": dtypes.complex64,
}
_NAMES: Final = {dtype: name for name, dtype in _DTYPES.items()}
_METADATA: Final = "__metadata__"


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _check(obj: Any) -> dict[str, Tensor]:
    form = "save: a .safetensors file holds a dict of Tensors by name, but obj"
    if not isinstance(obj, dict):
        raise ArgumentTypeError(f"{form} is of type {_kind(obj)}.")
    for key, value in obj.items():
        if type(key) is not str or key == _METADATA:
            raise ArgumentTypeError(f"{form} has the key {shortened(key)}, which is no such name.")
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(f"{form}[{shortened(key)}] is of type {_kind(value)}.")
        if value.dtype not in _NAMES:
            raise ArgumentTypeError(
                f"{form}[{shortened(key)}] has dtype {value.dtype}, which such a file has not."
            )
    return obj


def writer(obj: Any) -> Callable[[Any], None]:
    """A function that writes `obj` to a file object.

    Raises:
        ArgumentTypeError: `obj` is no dict of Tensors by name.
    """
    tensors = _check(obj)
    header: dict[str, dict[str, Any]] = {key: {} for key in tensors}
    # Large elements first: then all are aligned.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].itemsize)
    end = 0
    for key, t in ordered:
        start, end = end, end + t.nbytes
        place = {"dtype": _NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [start, end]}
        header[key] |= place
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    def write(file: Any) -> None:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, t in ordered:
            array = t._fetch()
            write_rows(file, array.astype(array.dtype.newbyteorder("<"), copy=False))

    return write


def recognises(head: bytes) -> bool:
    """Whether the first 9 bytes of a file are the length of a header and its start."""
    return head[8:9] == b"{"


def read(file: Any, name: str, where: Where) -> dict[str, Tensor]:
    """The Tensors in a file object, which stands at its start, by their names.

    Raises:
        ArgumentError: it is no such file, or damaged.
    """
    found: dict[str, HostArray] = {}
    with blaming(name):
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start - 8
        file.seek(start)
        (length,) = struct.unpack("<Q", file.read(8))
        if length > size:
            raise Damaged("its header is longer than the file")
        header = json.loads(file.read(length))
        header.pop(_METADATA, None)
        at = 0
        for first, end in sorted(entry["data_offsets"] for entry in header.values()):
            if first != at:
                raise Damaged(f"the elements of a Tensor are at {first}, not at {at}")
            at = end
        if at != size - length:
            raise Damaged(f"it has {size - length} bytes of elements, and its header {at}")
        for key, entry in header.items():
            dtype = _DTYPES.get(entry["dtype"])
            if dtype is None:
                raise Foreign(f"has a Tensor {key!r} of dtype {entry['dtype']}, which is not read.")
            shape, (first, end) = entry["shape"], entry["data_offsets"]
            if end - first != math.prod(shape) * dtype.itemsize:
                raise Damaged(f"the Tensor {key!r} of shape {shape} has another size in bytes")
            array = np.empty(shape, dtype.dtype.newbyteorder("<"))
            file.seek(start + 8 + length + first)
            read_into(array.reshape(-1), file)
            found[key] = array.astype(dtype.dtype, copy=False)
    return {
        key: wrap(where(array.reshape(-1), "cpu").reshape(array.shape))
        for key, array in found.items()
    }
