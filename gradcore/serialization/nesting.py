"""Nested values as JSON.

A value is a JSON scalar, or a list of a word and what belongs to it: `["ref", 3]` is number 3 of
the objects, for the others see `_scalar`. Objects are JSON objects of a `kind`: the name of a
container, with its `items`, or `Tensor` or `ndarray`. A tuple or frozenset stands behind the tuples
and frozensets that it holds; otherwise objects may refer to one another in any order, in a circle
too. There is no recursion, so that values may be nested as deep as memory allows.
"""

from __future__ import annotations

import base64
import math
import re
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from .. import dtypes
from ..device import Device, is_array
from ..errors import ArgumentTypeError
from ..tensor import Size, Tensor
from .file import Damaged

__all__ = ["Objects", "Place", "build", "dtype_named", "is_host_array", "shortened"]

_MUTABLE: Final = {list: "list", dict: "dict", OrderedDict: "OrderedDict", set: "set"}
_IMMUTABLE: Final = {tuple: "tuple", frozenset: "frozenset"}
_WORDS: Final[dict[Any, str]] = {**_MUTABLE, **_IMMUTABLE}
_CONTAINERS: Final[dict[str, Any]] = {word: kind for kind, word in _WORDS.items()}

_SCALARS: Final = (type(None), bool, str, int, float, complex, bytes, Size, Device, dtypes.dtype)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, np.generic):
        return value.dtype.kind in "biufcmM"
    return type(value) in _SCALARS


def _scalar(value: Any) -> Any:
    """A value that is no object, as JSON."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is float:
        return value if math.isfinite(value) else ["float", repr(value)]
    if kind is int:
        return value if -(2**63) <= value < 2**63 else ["int", hex(value)]
    if kind is complex:
        return ["complex", repr(value.real), repr(value.imag)]
    if kind is bytes:
        return ["bytes", base64.b64encode(value).decode()]
    if kind is Size:
        return ["Size", *map(int, value)]
    if kind is Device:
        return ["device", str(value)]
    if kind is dtypes.dtype:
        return ["dtype", value.name]
    return ["scalar", value.dtype.str, base64.b64encode(value.tobytes()).decode()]


def _from_scalar(word: str, *parts: Any) -> Any:
    if word == "float":
        return float(parts[0])
    if word == "int":
        return int(parts[0], 16)
    if word == "complex":
        return complex(float(parts[0]), float(parts[1]))
    if word == "bytes":
        return base64.b64decode(parts[0], validate=True)
    if word == "Size":
        return Size(map(int, parts))
    if word == "device":
        return Device(parts[0])
    if word == "dtype":
        return dtypes.to_dtype(parts[0])
    if word == "scalar":
        return np.frombuffer(base64.b64decode(parts[1], validate=True), dtype_named(parts[0]))[0]
    raise Damaged(f"there is no kind of value {word!r}")


def dtype_named(name: Any) -> np.dtype[Any]:
    """NumPy's dtype of that name, from a file.

    Raises:
        Damaged: it is one of Python objects.
    """
    dtype = np.dtype(str(name))
    if dtype.hasobject:
        raise Damaged("an array of Python objects")
    return dtype


class Place(NamedTuple):
    """Where in the nesting a value stands.

    Attributes:
        outer: where its container stands; None if it has none.
        form: how it is written behind the container: `"[{}]"`.
        key: what is written there.
    """

    outer: Place | None
    form: str
    key: Any

    def _steps(self) -> list[Place]:
        steps = []
        place: Place | None = self
        while place is not None:
            steps.append(place)
            place = place.outer
        return steps[::-1]

    def __str__(self) -> str:
        return "".join([step.form.format(shortened(step.key)) for step in self._steps()])

    def name(self) -> str:
        """A name for an array that stands here: the keys, as far as they are plain words."""
        keys = [step.key for step in self._steps()[1:]]
        names = [key if type(key) is str else shortened(key) for key in keys]
        words = [name if re.fullmatch(r"[A-Za-z0-9_.\- ]+", name) else "_" for name in names]
        return ".".join(words)[-200:].strip(". ") or "array"


class Objects:
    """The containers, Tensors and arrays that a value is made of, each once.

    Attributes:
        found: in the order of the file.
        places: where each of them stands, for the first time.

    Raises:
        ArgumentTypeError: something else is in the value.
    """

    def __init__(self, root: Any) -> None:
        self.found: list[Any] = []
        self.places: list[Place] = []
        self._numbers: dict[int, int] = {}
        self._seen: set[int] = set()
        self._mutable: deque[tuple[Any, Place]] = deque()
        self._walk(root, Place(None, "obj", None))
        while self._mutable:
            container, place = self._mutable.popleft()
            for value, form, key in _contents(container):
                if not _is_scalar(value):
                    self._walk(value, Place(place, form, key))

    def _walk(self, root: Any, place: Place) -> None:
        """Add a value; what stands in a mutable container waits."""
        stack = [(root, place, False)]
        while stack:
            value, place, inside_added = stack.pop()
            if inside_added:
                self._add(value, place)
            elif not (_is_scalar(value) or id(value) in self._seen):
                self._seen.add(id(value))
                if type(value) in _IMMUTABLE:
                    stack.append((value, place, True))
                    inside = [(v, Place(place, f, k), False) for v, f, k in _contents(value)]
                    stack += reversed(inside)
                    continue
                if type(value) in _MUTABLE:
                    self._mutable.append((value, place))
                elif not (isinstance(value, Tensor) or is_host_array(value)):
                    raise ArgumentTypeError(_why_not(value, place))
                self._add(value, place)

    def _add(self, value: Any, place: Place) -> None:
        self._numbers[id(value)] = len(self.found)
        self.found.append(value)
        self.places.append(place)

    def value(self, value: Any) -> Any:
        """A value as it stands in the file."""
        return _scalar(value) if _is_scalar(value) else ["ref", self._numbers[id(value)]]

    def container(self, value: Any) -> dict[str, Any]:
        """A container as it stands in the file."""
        if isinstance(value, dict):
            items = [[self.value(key), self.value(item)] for key, item in value.items()]
        else:
            items = [self.value(item) for item in value]
        return {"kind": _WORDS[type(value)], "items": items}


def _contents(container: Any) -> Iterator[tuple[Any, str, Any]]:
    """Per value in a container: itself, how its place is written, its key."""
    if isinstance(container, dict):
        for key, value in container.items():
            yield key, " (key {})", key
            yield value, "[{}]", key
    elif isinstance(container, list | tuple):
        for number, value in enumerate(container):
            yield value, "[{}]", number
    else:
        for value in container:
            yield value, " (element {})", value


def shortened(value: Any) -> str:
    """A value as text of at most 80 characters."""
    short = f"<{type(value).__qualname__}>"
    if isinstance(value, Tensor) or is_array(value):
        return short
    try:
        text = repr(value)
    except Exception:  # an int of more digits than Python prints, or a method of the user's
        return short
    return text if len(text) <= 80 else text[:77] + "..."


def is_host_array(value: Any) -> bool:
    """True for a NumPy array, not for those of subclasses that compute in other ways."""
    return type(value) in (np.ndarray, np.memmap)


def _why_not(value: Any, place: Place) -> str:
    kind = type(value)
    what = f"save: {place} is of type {kind.__module__}.{kind.__qualname__}"
    for method in ("state_dict", "get_state"):
        if callable(getattr(value, method, None)):
            return f"{what}, which is not saved itself: save its {method}()."
    return (
        f"{what}. What is saved is Tensors, NumPy arrays and scalars, None, bool, int, float, "
        "complex, str, bytes, Size, dtype, device, and dict, OrderedDict, list, tuple, set and "
        "frozenset of them, but no subclass of these."
    )


_ABSENT: Final = object()


def build(objects: list[dict[str, Any]], placed: dict[int, Any], value: Any) -> Any:
    """The value that the JSON in a file describes.

    Args:
        objects: as in the file.
        placed: the Tensors and arrays among them, by number.
        value: as in the file.

    Raises:
        Damaged: there is no such value. Other errors mean the same.
    """
    found: list[Any] = [_ABSENT] * len(objects)
    for number, entry in enumerate(objects):
        if number in placed:
            found[number] = placed[number]
        elif _CONTAINERS[entry["kind"]] in _MUTABLE:
            found[number] = _CONTAINERS[entry["kind"]]()

    def read(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        word, *parts = value
        if word != "ref":
            return _from_scalar(word, *parts)
        if found[parts[0]] is _ABSENT:
            raise Damaged("it has a tuple or frozenset that stands before something in it")
        return found[parts[0]]

    for number, entry in enumerate(objects):
        if found[number] is _ABSENT:
            found[number] = _CONTAINERS[entry["kind"]](map(read, entry["items"]))
    for number, entry in enumerate(objects):
        made = found[number]
        if isinstance(made, list):
            made.extend(map(read, entry["items"]))
        elif isinstance(made, set):
            made.update(map(read, entry["items"]))
        elif isinstance(made, dict):
            made.update((read(key), read(item)) for key, item in entry["items"])
    return read(value)
