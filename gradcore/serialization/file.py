"""Files that are replaced when they are complete, and what is said of those that are not right."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Iterator
from typing import IO, Any, Final, TypeAlias

import numpy as np

from ..errors import ArgumentError

__all__ = ["Damaged", "Foreign", "HostArray", "blaming", "read_into", "replacing", "write_rows"]

HostArray: TypeAlias = "np.ndarray[Any, Any]"

CHUNK: Final = 1 << 20
"""Bytes read or written at a time: few enough that a checksum finds them in the cache."""


@contextlib.contextmanager
def replacing(path: str) -> Iterator[Any]:
    """A new file, which takes the place of the one at `path` if all goes well."""
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "There is no such folder to save in", folder)
    old = os.stat(path) if os.path.exists(path) else None
    if old is not None and not stat.S_ISREG(old.st_mode):
        with open(path, "wb") as file:  # a device or a pipe; a folder is refused
            yield _Stream(file)
        return
    temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
        if old is not None:
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


class _Stream:
    """A file that does not say where it stands: devices say 0 always."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write
        self.flush = file.flush


def write_rows(file: Any, array: HostArray) -> None:
    """Write the elements of an array of numbers, row by row."""
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for start in range(0, len(raw), CHUNK):
        file.write(raw[start : start + CHUNK])


def read_into(array: HostArray, file: Any) -> None:
    """Fill a 1-d array of numbers.

    Raises:
        EOFError: the file ends before.
    """
    raw = array.view(np.uint8).data
    at = 0
    while at < len(raw):
        found = file.read(min(CHUNK, len(raw) - at))
        if not found:
            raise EOFError("it ends within an array")
        raw[at : at + len(found)] = found
        at += len(found)


class Foreign(Exception):
    """A file is of a kind that is not read; the message goes on behind the file's name."""


class Damaged(Exception):
    """A file contradicts itself; the message says in what."""


@contextlib.contextmanager
def blaming(name: str) -> Iterator[None]:
    """Whatever goes wrong herein is the fault of the file of that name.

    Raises:
        ArgumentError: it did.
    """
    try:
        yield
    except Foreign as error:
        raise ArgumentError(f"load: {name} {error}") from None
    except Damaged as error:
        raise ArgumentError(f"load: {name} is damaged: {error}.") from None
    except (
        zipfile.BadZipFile,
        struct.error,
        EOFError,
        OSError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        # EINVAL: it says of something in it that it stands before its beginning.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise ArgumentError(
            f"load: {name} is damaged or not complete ({type(error).__name__}: {error})."
        ) from error
