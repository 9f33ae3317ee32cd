"""Files of Tensors: `save` and `load`."""

from __future__ import annotations

import io
import os
from typing import IO, Any, TypeAlias

from ..errors import ArgumentError, ArgumentTypeError
from . import archive, safetensors
from .file import replacing
from .location import MapLocation, Where

__all__ = ["load", "save"]

File: TypeAlias = "str | os.PathLike[str] | IO[bytes]"


def save(obj: Any, f: File) -> None:
    """Write Tensors, and what they are nested in, to a file.

    Saved are Tensors, NumPy arrays and scalars, None, bool, int, float, complex, str, bytes, Size,
    dtypes and devices, and dict, OrderedDict, list, tuple, set and frozenset of them: for example
    the `state_dict()` of an optimiser. An object that stands in two places is one object again
    after `load`, and Tensors that share memory share it again.

    Of a Tensor the values, dtype, device and `requires_grad` are saved; as in PyTorch not its
    `.grad`, nor its history: what was no leaf is one after `load`, and requires grad. Strides are
    saved, unless there are gaps in the memory of a Tensor and it shares none: then it becomes
    row-major, and the gaps are not saved.

    The file is a zip archive, in which `numpy.load` finds the arrays. At a path that ends in
    `.safetensors` it is of that format instead: then `obj` is a dict of Tensors by name, of which
    values, dtypes and shapes are saved.

    Args:
        obj: what to save.
        f: a path, or a binary file object. At a path there is the old file until the new one is
            complete.

    Raises:
        ArgumentTypeError: something in `obj` cannot be saved; the message names its place.
        OSError: the file cannot be written.
    """
    path = _path(f, "write")
    if path is None:
        archive.writer(obj)(f)
        return
    write = (safetensors if path.endswith(".safetensors") else archive).writer(obj)
    with replacing(path) as file:
        write(file)


def load(f: File, map_location: MapLocation = None) -> Any:
    """Read what `save` wrote. A file holds no code, and none is run.

    Args:
        f: a path, or a binary file object, which is read from where it stands to its end. A file of
            the format `.safetensors`, known by its content, gives a dict of Tensors.
        map_location: where the Tensors go; None is the device they were on, by its name. A device
            or its name for all of them; a dict from names to devices; or a function of a 1-d Tensor
            on the CPU, the memory of one or several Tensors, and of the name of their device: it
            returns that Tensor on the device where it should be, or None for that where it was.

    Returns:
        What was saved.

    Raises:
        ArgumentError: the file is damaged, of another kind, or of a newer version of gradcore.
        DeviceError: Tensors should go to a device that is not there.
        OSError: the file cannot be read.
    """
    path = _path(f, "read")
    where = Where(map_location)
    if path is not None:
        with open(path, "rb") as file:
            return _read(file, repr(path), where)
    opened: Any = f
    if not (hasattr(opened, "seekable") and opened.seekable()):
        opened = io.BytesIO(opened.read())
    return _read(opened, "the file object", where)


def _path(f: File, method: str) -> str | None:
    """The path that `f` is, or None for a file object.

    Raises:
        ArgumentTypeError: it is neither, or a file of text.
    """
    if isinstance(f, str | os.PathLike):
        return os.fsdecode(f)
    if isinstance(f, io.TextIOBase) or not callable(getattr(f, method, None)):
        raise ArgumentTypeError(f"expected a path or a file opened in binary mode, not {f!r}.")
    return None


def _read(file: Any, name: str, where: Where) -> Any:
    start = file.tell()
    head = file.read(9)
    file.seek(start)
    if not head:
        raise ArgumentError(f"load: {name} is empty.")
    for form in (archive, safetensors):
        if form.recognises(head):
            return form.read(file, name, where)
    raise ArgumentError(
        f"load: {name} is neither a file that gradcore.save wrote nor one of the format "
        ".safetensors."
    )
