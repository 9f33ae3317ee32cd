"""CUDA devices. Nothing here imports CuPy before it is called."""

from __future__ import annotations

from typing import Any

from .device import Backend, Device, cupy_backend
from .errors import DeviceError, MissingPackageError
from .random import default_generator

__all__ = [
    "current_device",
    "device_count",
    "get_device_name",
    "is_available",
    "manual_seed",
    "memory_allocated",
    "synchronize",
]


def _found() -> Backend | None:
    try:
        return cupy_backend()
    except (MissingPackageError, DeviceError):
        return None


def is_available() -> bool:
    """True if CuPy is installed and finds a CUDA device."""
    return _found() is not None


def device_count() -> int:
    """How many CUDA devices there are; 0 without CuPy or a driver."""
    backend = _found()
    return 0 if backend is None else backend.device_count()


def current_device() -> int:
    """The index of the current CUDA device."""
    return cupy_backend().current_device()


def _device(device: Any) -> Device:
    if device is None:
        return Device("cuda").open()
    return (Device("cuda", device) if isinstance(device, int) else Device(device)).open()


def synchronize(device: Any = None) -> None:
    """Wait until all work given to `device` (default: the current one) is done."""
    target = _device(device)
    target.backend.synchronize(target)


def memory_allocated(device: Any = None) -> int:
    """Bytes of the memory of `device` (default: the current one) that arrays hold.

    0 where there is no CUDA device.
    """
    if _found() is None:
        return 0
    target = _device(device)
    return target.backend.memory_allocated(target)


def get_device_name(device: Any = None) -> str:
    """The name of `device` (default: the current one), for example `"NVIDIA H100 80GB HBM3"`."""
    target = _device(device)
    return target.backend.device_name(target)


def manual_seed(seed: int) -> None:
    """Start the generator of the current CUDA device from `seed`."""
    default_generator(_device(None)).manual_seed(seed)
