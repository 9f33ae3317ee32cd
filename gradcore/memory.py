"""Memory of CUDA devices: what CuPy's memory pool holds, and its limits.

The pool keeps memory that arrays have given back for the arrays to come, by stream. `allocated`
below is what arrays hold, in units of 512 bytes; `reserved` is that and what is kept.
"""

from __future__ import annotations

import threading
from typing import Any, Final, cast

from .device import Device, cuda_device, cupy_backend, find_cuda
from .errors import ArgumentError, ArgumentTypeError

__all__ = [
    "empty_cache",
    "get_per_process_memory_fraction",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_peak_memory_stats",
    "set_per_process_memory_fraction",
]


_PEAKS: Final[dict[int, list[int]]] = {}
"""By device, the most that was allocated and reserved since the last reset."""


class _Watched:
    """An allocator of CuPy's, which notes peaks: CuPy keeps none.

    An allocation takes 1 to 1.5 us longer, so it is there only once peaks are asked for.
    """

    def __init__(self, allocator: Any) -> None:
        self.allocator = allocator
        pool = _pool_of(allocator)
        self._used, self._held = pool.used_bytes, pool.total_bytes

    def __call__(self, size: int) -> Any:
        pointer = self.allocator(size)
        used, held = self._used(), self._held()
        peak = _PEAKS.get(pointer.device_id)
        if peak is None:
            _PEAKS[pointer.device_id] = [used, held]
        else:
            if used > peak[0]:
                peak[0] = used
            if held > peak[1]:
                peak[1] = held
        return pointer


_WATCHING: Final = threading.Lock()


def _pool_of(allocator: Any) -> Any:
    """The pool that an allocator belongs to; CuPy's own where it belongs to none."""
    pool = getattr(allocator, "__self__", None)
    return pool if hasattr(pool, "used_bytes") else cupy_backend().module.get_default_memory_pool()


def _pool() -> Any:
    allocator = cupy_backend().module.cuda.get_allocator()
    return _pool_of(allocator.allocator if isinstance(allocator, _Watched) else allocator)


def _peaks(device: Any) -> list[int]:
    """The peaks of a device, which are noted from now on."""
    target = cuda_device(device)
    cuda = cupy_backend().module.cuda
    with _WATCHING:
        allocator = cuda.get_allocator()
        if not isinstance(allocator, _Watched):
            cuda.set_allocator(_Watched(allocator))
    now = _now(target)
    peaks = _PEAKS.setdefault(cast(int, target.index), [0, 0])
    peaks[:] = max(now[0], peaks[0]), max(now[1], peaks[1])
    return peaks


def _now(target: Device) -> tuple[int, int]:
    pool = _pool()
    found = target.backend.on(target, lambda module: (pool.used_bytes(), pool.total_bytes()))
    return int(found[0]), int(found[1])


def memory_allocated(device: Any = None) -> int:
    """Bytes of the memory of `device` (the current one by default) that arrays hold.

    0 where there is no CUDA device.
    """
    return _now(cuda_device(device))[0] if find_cuda() else 0


def memory_reserved(device: Any = None) -> int:
    """Bytes of `device` (the current one by default) that arrays hold or the pool keeps for them.

    0 where there is no CUDA device.
    """
    return _now(cuda_device(device))[1] if find_cuda() else 0


def max_memory_allocated(device: Any = None) -> int:
    """The most that `memory_allocated` was since the last `reset_peak_memory_stats`.

    The first call of a function about peaks starts watching: before that nothing is noted.
    """
    return _peaks(device)[0] if find_cuda() else 0


def max_memory_reserved(device: Any = None) -> int:
    """The most that `memory_reserved` was since the last `reset_peak_memory_stats`.

    The first call of a function about peaks starts watching: before that nothing is noted.
    """
    return _peaks(device)[1] if find_cuda() else 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let the peaks of `device` (the current one by default) start again from what is held now."""
    _peaks(device)[:] = _now(cuda_device(device))


def memory_stats(device: Any = None) -> dict[str, int]:
    """What is allocated and reserved on `device` in bytes, with peaks, under PyTorch's names.

    The first call of a function about peaks starts watching: before that nothing is noted.
    """
    if find_cuda() is None:
        return {}
    now, peak = _now(cuda_device(device)), _peaks(device)
    names = ("allocated_bytes.all", "reserved_bytes.all")
    return {f"{name}.current": n for name, n in zip(names, now, strict=True)} | {
        f"{name}.peak": n for name, n in zip(names, peak, strict=True)
    }


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """`memory_stats`, and what the device has, as text to read.

    Args:
        device: which one; the current one by default.
        abbreviated: without effect.
    """
    target = cuda_device(device)
    stats = memory_stats(target)
    free, total = mem_get_info(target)
    lines = [f"{'memory of ' + str(target):<24}{'now':>12}{'peak':>12}"]
    for name in ("allocated", "reserved"):
        current, peak = (stats[f"{name}_bytes.all.{when}"] for when in ("current", "peak"))
        lines.append(f"{name:<24}{_readable(current):>12}{_readable(peak):>12}")
    lines.append(f"{'free on the device':<24}{_readable(free):>12}")
    lines.append(f"{'in all':<24}{_readable(total):>12}")
    return "\n".join(lines)


def _readable(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} B" if unit == "B" else f"{count:.2f} {unit}"


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes of `device` (the current one by default) that are free to all processes, and in all."""
    target = cuda_device(device)
    free, total = target.backend.on(target, lambda module: module.cuda.runtime.memGetInfo())
    return int(free), int(total)


def empty_cache() -> None:
    """Give memory that the pool keeps, and no array holds, back to the devices in use.

    Without a CUDA device there is nothing to do.
    """
    if find_cuda() is None:
        return
    backend, pool = cupy_backend(), _pool()
    backend.release()
    # Others than those in use are left alone: asking them would start them.
    for index in backend.opened():
        backend.on(Device("cuda", index), lambda module: pool.free_all_blocks())


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Let the pool take at most that share of a device's memory: beyond, there is no memory left.

    Args:
        fraction: 0 to 1; 1 is no limit.
        device: which one; the current one by default.

    Raises:
        ArgumentError: the fraction is out of range.
        ArgumentTypeError: it is no float.
    """
    if not isinstance(fraction, float):
        raise ArgumentTypeError("Invalid type for fraction argument, must be `float`.")
    if not 0 <= fraction <= 1:
        raise ArgumentError(f"Invalid fraction value: {fraction}. Allowed range: 0~1.")
    target = cuda_device(device)
    # To CuPy 0 is no limit.
    size = 0 if fraction == 1 else max(1, int(mem_get_info(target)[1] * fraction))
    pool = _pool()
    target.backend.on(target, lambda module: pool.set_limit(size=size))


def get_per_process_memory_fraction(device: Any = None) -> float:
    """The share of a device's memory that the pool may take; 1.0 is no limit."""
    target = cuda_device(device)
    pool = _pool()
    limit = target.backend.on(target, lambda module: pool.get_limit())
    return limit / mem_get_info(target)[1] if limit else 1.0
