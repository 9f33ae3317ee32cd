"""`map_location`: on which devices Tensors of a file are put."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..device import Array, Device
from ..errors import ArgumentTypeError, DeviceError, MissingPackageError
from ..tensor import Tensor, wrap
from .file import HostArray

__all__ = ["MapLocation", "Where"]

MapLocation: TypeAlias = (
    "str | Device | dict[str, str | Device] | Callable[[Tensor, str], Tensor | None] | None"
)


class Where:
    """Puts the memory of Tensors where `map_location` says; see `gradcore.load`."""

    def __init__(self, map_location: MapLocation) -> None:
        self._function: Callable[[Tensor, str], Tensor | None] | None = None
        self._names: dict[str, str] = {}
        self._name: str | None = None
        if isinstance(map_location, str | Device):
            self._name = str(Device(map_location))
        elif isinstance(map_location, dict):
            self._names = {str(old): str(Device(new)) for old, new in map_location.items()}
        elif callable(map_location):
            self._function = map_location
        elif map_location is not None:
            raise ArgumentTypeError(
                "map_location must be a device or its name, a dict of names or a function, not "
                f"{type(map_location).__qualname__}."
            )

    def __call__(self, memory: HostArray, location: str) -> Array:
        """The array `memory`, 1-d, on the device for what was on `location`.

        Raises:
            DeviceError: that device is not there.
            ArgumentTypeError: the function of the user's returned something else.
        """
        if self._function is not None:
            moved = self._function(wrap(memory), location)
            if moved is not None:
                return _checked(moved, memory)
        name = self._name or self._names.get(location, location)
        try:
            target = Device(name).open()
        except (DeviceError, MissingPackageError) as error:
            raise DeviceError(
                f"load: a Tensor should go to {name}, which is not there: {error} To have all on "
                "the CPU, pass map_location='cpu'."
            ) from error
        return target.backend.send(memory, target)


def _checked(moved: object, memory: HostArray) -> Array:
    if (
        isinstance(moved, Tensor)
        and moved._shape == memory.shape
        and moved._type.numpy == memory.dtype
        and moved.is_contiguous()
    ):
        return moved._array
    if isinstance(moved, Tensor):
        returned = f"one of shape {moved._shape} and dtype {moved.dtype}"
    else:
        returned = f"a {type(moved).__qualname__}"
    raise ArgumentTypeError(
        "load: map_location must return the Tensor that it is given, on any device, or None; it "
        f"returned {returned} for a Tensor of shape {memory.shape} and dtype {memory.dtype}."
    )
