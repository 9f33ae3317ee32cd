"""The format of `gradcore.save`.

A file is a zip archive, not compressed. It holds arrays as `.npy` members, and one member
`gradcore.json`: an object with `format`, `version`, `value` (what was saved) and `objects`; of
these two see `nesting.py`. A `Tensor` or an `ndarray` among the objects names its `array` in the
archive and, unless it is all of it, the `view` of it: offset and strides in bytes, shape and dtype.

Arrays that overlap in memory are one array in the archive, which spans them all.
"""

from __future__ import annotations

import itertools
import json
import math
import zipfile
from collections.abc import Callable
from typing import IO, Any, Final, NamedTuple, TypeAlias

import numpy as np

from .. import dtypes
from ..device import Array, Device, type_of
from ..errors import ArgumentTypeError
from ..storage import address, bounds, bytes_between, view
from ..tensor import Tensor, wrap
from .file import Damaged, Foreign, HostArray, blaming, read_into, write_rows
from .location import Where
from .nesting import Objects, build, dtype_named, is_host_array

__all__ = ["read", "recognises", "writer"]

VERSION: Final = 1
CONTENTS: Final = "gradcore.json"

NUMBERS: Final = "biufc"
"""The kinds of dtypes whose arrays are looked at as bytes."""

View: TypeAlias = "dict[str, Any]"


# writing -----------------------------------------------------------------------------------------


class _Source:
    """An array to be saved.

    Attributes:
        array: as it is in memory.
        location: the name of its device.
        low: the address of its first byte.
        high: the address behind its last byte.
        name: for the array in the file.
    """

    def __init__(self, array: Array, location: str, name: str) -> None:
        self.array = array
        self.location = location
        self.low, self.high = bounds(array)
        self.name = name

    def fetch(self) -> HostArray:
        """The elements in host memory; column-major stays so."""
        a = self.array
        if isinstance(a, np.ndarray):
            return a
        fetch = type_of(a).device.backend.fetch
        return fetch(a.T).T if a.flags.f_contiguous else fetch(a)

    def view(self, start: int) -> View:
        """The array as a part of memory that begins at the address `start`."""
        a = self.array
        return {
            "offset": address(a) - start,
            "strides": list(a.strides),
            "shape": list(a.shape),
            "dtype": a.dtype.str,
        }


class _Stored(NamedTuple):
    """An array of the file.

    Attributes:
        name: if it is still free.
        fetch: gives its elements.
        views: per source that is in it, which part of it; None for all.
    """

    name: str
    fetch: Callable[[], HostArray]
    views: list[View | None]


def _groups(sources: list[_Source]) -> list[list[_Source]]:
    """The sources, with those together that overlap in memory; in these the lowest comes first."""
    alone = [s for s in sources if s.low == s.high or s.array.dtype.kind not in NUMBERS]
    skipped = set(alone)
    groups: list[list[_Source]] = []
    end = 0
    for source in sorted(sources, key=lambda s: (s.location, s.low, -s.high)):
        if source in skipped:
            continue
        if groups and source.low < end and source.location == groups[-1][0].location:
            groups[-1].append(source)
            end = max(end, source.high)
        else:
            groups.append([source])
            end = source.high
    order = {source: number for number, source in enumerate(sources)}
    groups += [[source] for source in alone]
    return sorted(groups, key=lambda group: min(order[source] for source in group))


def _stored(group: list[_Source]) -> _Stored:
    """The array of the file for sources that overlap."""
    first = group[0]
    a = first.array
    if len(group) == 1 and (first.high - first.low > a.nbytes or a.dtype.kind not in NUMBERS):
        return _Stored(first.name, first.fetch, [None])
    low, high = first.low, max(s.high for s in group)
    one_dtype = all(
        s.array.dtype == a.dtype and (s.low - low) % a.dtype.itemsize == 0 for s in group
    )
    covering = [s for s in group if (s.low, s.high) == (low, high) and s.array.flags.forc]
    if covering and one_dtype:
        whole = min(covering, key=lambda s: not s.array.flags.c_contiguous)
        layout = whole.array.shape, whole.array.strides
        views = [None if (s.array.shape, s.array.strides) == layout else s.view(low) for s in group]
        return _Stored(whole.name, whole.fetch, views)
    # Elements of all sizes must be aligned in the file's array as they are in memory.
    padding = 0 if one_dtype else low % 16

    def fetch() -> HostArray:
        device = type_of(a).device
        raw = device.backend.fetch(bytes_between(a, low, high))
        return raw.view(a.dtype) if one_dtype else np.pad(raw, (padding, 0))

    return _Stored(first.name, fetch, [s.view(low - padding) for s in group])


def _unused(name: str, used: set[str]) -> str:
    """A name like `name`; none differs from another by case alone, which not all systems tell."""
    candidate = name
    for number in itertools.count(2):
        if candidate.lower() not in used:
            break
        candidate = f"{name}~{number}"
    used.add(candidate.lower())
    return candidate


def writer(obj: Any) -> Callable[[Any], None]:
    """A function that writes `obj` to a file object.

    Raises:
        ArgumentTypeError: something in `obj` cannot be saved.
    """
    objects = Objects(obj)
    entries: list[dict[str, Any]] = []
    holders: dict[_Source, dict[str, Any]] = {}
    for value, place in zip(objects.found, objects.places, strict=True):
        entry: dict[str, Any]
        if isinstance(value, Tensor):
            device = str(value.device)
            entry = {"kind": "Tensor", "requires_grad": value.requires_grad, "device": device}
            role = getattr(value, "_role", None)
            if role is not None:
                entry["role"] = role
            holders[_Source(value._array, device, place.name())] = entry
        elif is_host_array(value):
            if value.dtype.hasobject:
                raise ArgumentTypeError(
                    f"save: {place} is an array of dtype {value.dtype}: Python objects in arrays "
                    "are not saved."
                )
            entry = {"kind": "ndarray"}
            holders[_Source(np.asarray(value), "cpu", place.name())] = entry
        else:
            entry = objects.container(value)
        entries.append(entry)
    used = {CONTENTS}
    members: list[tuple[str, Callable[[], HostArray]]] = []
    for group in _groups(list(holders)):
        stored = _stored(group)
        name = _unused(stored.name, used)
        members.append((name, stored.fetch))
        for source, part in zip(group, stored.views, strict=True):
            holders[source]["array"] = name
            if part is not None:
                holders[source]["view"] = part
    contents = {
        "format": "gradcore",
        "version": VERSION,
        "value": objects.value(obj),
        "objects": entries,
    }

    def write(file: Any) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            text = json.dumps(contents, allow_nan=False, separators=(",", ":"))
            archive.writestr(zipfile.ZipInfo(CONTENTS), text)
            for name, fetch in members:
                info = zipfile.ZipInfo(name + ".npy")
                with archive.open(info, "w", force_zip64=True) as member:
                    _write_array(member, fetch())

    return write


def _write_array(file: Any, array: HostArray) -> None:
    if array.dtype.kind not in NUMBERS:
        np.lib.format.write_array(file, array, allow_pickle=False)
        return
    header = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, header)
    write_rows(file, array.T if header["fortran_order"] else array)


# reading -----------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """A Tensor or array of the file.

    Attributes:
        array: in host memory.
        name: of the array of the file it is in.
        offset: from the start of that, in bytes.
    """

    array: HostArray
    name: str
    offset: int


def recognises(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a zip archive."""
    return head.startswith(b"PK\x03\x04")


def read(file: Any, name: str, where: Where) -> Any:
    """What was saved in a file object, which stands at its start.

    Raises:
        ArgumentError: it is no such file, or damaged.
    """
    start = file.tell()
    with blaming(name), zipfile.ZipFile(file) as archive:
        contents = _contents(archive, start)
        objects = contents["objects"]
        whole: dict[str, HostArray] = {}
        parts: dict[int, _Part] = {}
        for number, entry in enumerate(objects):
            if entry["kind"] in ("Tensor", "ndarray"):
                key = entry["array"]
                if key not in whole:
                    whole[key] = _read_member(archive, key)
                parts[number] = _part(whole[key], key, entry.get("view"))
                if entry["kind"] == "Tensor":
                    _check_tensor(entry, parts[number].array)
    memory = {key: array.reshape(-1, order="A") for key, array in whole.items()}
    moved: dict[tuple[str, str], Array] = {}
    placed: dict[int, Any] = {}
    for number, part in parts.items():
        entry = objects[number]
        array = part.array
        if entry["kind"] == "Tensor":
            device = entry["device"]
            there = moved.get((part.name, device))
            if there is None:
                there = moved[part.name, device] = where(memory[part.name], device)
            if there is not memory[part.name]:
                array = _part_of(there, part)
        placed[number] = _tensor(array, entry) if "device" in entry else array
    with blaming(name):
        return build(objects, placed, contents["value"])


def _contents(archive: zipfile.ZipFile, start: int) -> dict[str, Any]:
    """What `gradcore.json` says."""
    names = archive.namelist()
    if CONTENTS not in names:
        if any(name.endswith("/data.pkl") for name in names):
            raise Foreign(
                "is a file of torch.save: read it with torch.load, and write its Tensors in the "
                "format .safetensors, which both read."
            )
        if names and all(name.endswith(".npy") for name in names):
            raise Foreign("is a file of numpy.savez: read it with numpy.load.")
        raise Foreign("is a zip archive, but none that gradcore.save wrote.")
    if min(member.header_offset for member in archive.infolist()) != start:
        raise Foreign("does not start with what was saved in it last.")
    contents = json.loads(_member(archive, CONTENTS).read())
    if contents["format"] != "gradcore":
        raise Damaged(f"its format is {contents['format']!r}")
    if contents["version"] > VERSION:
        raise Foreign(
            f"is of a newer version of gradcore: of version {contents['version']} of the format, "
            f"where this one reads {VERSION}."
        )
    found: dict[str, Any] = contents
    return found


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    # Compressed data could take far more memory than the file has bytes.
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise Damaged(f"{name} is compressed")
    return archive.open(name)


def _read_member(archive: zipfile.ZipFile, name: str) -> HostArray:
    """An array of the file; numbers in this machine's byte order."""
    size = archive.getinfo(name + ".npy").file_size
    with _member(archive, name + ".npy") as file:
        array = _read_numbers(file, size)
    if array is None:
        with _member(archive, name + ".npy") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _read_numbers(file: IO[bytes], size: int) -> HostArray | None:
    """The array of a `.npy` file of that size in bytes; None if it holds no numbers."""
    if np.lib.format.read_magic(file) != (1, 0):
        return None
    shape, column_major, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in NUMBERS:
        return None
    if file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise Damaged(f"an array of shape {shape} and dtype {dtype} has another size in bytes")
    array = np.empty(shape, dtype, "F" if column_major else "C")
    read_into(array.reshape(-1, order="A"), file)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _part(whole: HostArray, name: str, described: View | None) -> _Part:
    if described is None:
        return _Part(whole, name, 0)
    dtype = dtype_named(described["dtype"])
    if dtype.newbyteorder("=") == whole.dtype:
        dtype = whole.dtype
    elif not dtype.isnative:
        raise Damaged("it has memory of several dtypes in the byte order of another machine")
    shape, strides, offset = described["shape"], described["strides"], described["offset"]
    array = view(whole, dtype, shape, strides, offset)
    if any(n > 1 and not step for n, step in zip(shape, strides, strict=True)):
        array.flags.writeable = False
    return _Part(array, name, offset)


def _part_of(memory: Array, part: _Part) -> Array:
    """A part in a copy, perhaps on another device, of the memory that it is in."""
    device, a = type_of(memory).device, part.array
    make = lambda module: view(memory, a.dtype, a.shape, a.strides, part.offset)
    return device.backend.on(device, make)


def _tensor(array: Array, entry: dict[str, Any]) -> Tensor:
    t = wrap(array, entry["requires_grad"])
    if "role" in entry:
        t._role = str(entry["role"])
    return t


def _check_tensor(entry: dict[str, Any], array: HostArray) -> None:
    dtype = dtypes.from_numpy_dtype(array.dtype)
    requires_grad = entry["requires_grad"]
    if not isinstance(requires_grad, bool) or (requires_grad and not dtype.is_inexact):
        raise Damaged(f"it has a Tensor of {dtype} with requires_grad={requires_grad!r}")
    Device(entry["device"])
