"""CUDA devices: which there are, their streams, memory and random numbers, as in `torch.cuda`.

All of it is CuPy's: its current device and stream are gradcore's, and its memory pool. Nothing here
imports CuPy before it is called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from . import dtypes
from .device import Device, TensorType, cuda_device, cupy_backend, find_cuda
from .engine import grad
from .errors import GradcoreError, OutOfMemoryError
from .memory import (
    empty_cache,
    get_per_process_memory_fraction,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from .op import OPS, Op
from .random import Generator, default_generator
from .streams import (
    Event,
    ExternalStream,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    set_stream,
    stream,
)
from .tensor import wrap

__all__ = [
    "DeviceProperties",
    "Event",
    "ExternalStream",
    "OutOfMemoryError",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_per_process_memory_fraction",
    "get_rng_state",
    "get_rng_state_all",
    "initial_seed",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "precompile",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "stream",
    "synchronize",
]


# devices ---------------------------------------------------------------------------------------


def is_available() -> bool:
    """True if CuPy is installed and finds a CUDA device."""
    return find_cuda() is not None


def device_count() -> int:
    """How many CUDA devices there are; 0 without CuPy or a driver."""
    backend = find_cuda()
    return 0 if backend is None else backend.device_count()


def current_device() -> int:
    """The index of the current CUDA device."""
    return cupy_backend().current_device()


def set_device(device: Any) -> None:
    """Make `device` (a number, a name or a Device) the current one of this thread."""
    target = cuda_device(device)
    target.backend.use(target)


class device:
    """A context within which a CUDA device is the current one.

    Args:
        device: a number, a name or a Device; None and negative numbers do nothing.
    """

    def __init__(self, device: Any) -> None:
        self._device = None if isinstance(device, int) and device < 0 else device
        self._outer: list[Device] = []

    def __enter__(self) -> None:
        if self._device is not None:
            target = cuda_device(self._device)
            self._outer.append(target.backend.use(target))

    def __exit__(self, *error: object) -> None:
        if self._device is not None:
            outer = self._outer.pop()
            cupy_backend().use(outer)


@dataclass(frozen=True)
class DeviceProperties:
    """What a CUDA device is.

    Attributes:
        name: for example `"NVIDIA H100 80GB HBM3"`.
        major: of its compute capability.
        minor: likewise.
        total_memory: in bytes.
        multi_processor_count: how many multiprocessors it has.
        warp_size: threads in a warp.
        shared_memory_per_block: in bytes.
    """

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int
    shared_memory_per_block: int


def get_device_properties(device: Any = None) -> DeviceProperties:
    """What `device` (the current one by default) is."""
    target = cuda_device(device)
    found = cupy_backend().module.cuda.runtime.getDeviceProperties(target.index)
    return DeviceProperties(
        found["name"].decode(),
        int(found["major"]),
        int(found["minor"]),
        int(found["totalGlobalMem"]),
        int(found["multiProcessorCount"]),
        int(found["warpSize"]),
        int(found["sharedMemPerBlock"]),
    )


def get_device_name(device: Any = None) -> str:
    """The name of `device` (default: the current one), for example `"NVIDIA H100 80GB HBM3"`."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of `device` (the current one by default), for example `(9, 0)`."""
    found = get_device_properties(device)
    return found.major, found.minor


def synchronize(device: Any = None) -> None:
    """Wait until all work given to `device` (default: the current one) is done."""
    target = cuda_device(device)
    target.backend.synchronize(target)


# compilation -----------------------------------------------------------------------------------


def precompile(device: Any = None, *, progress: bool = True) -> int:
    """Compile every kernel that gradcore has now, rather than each when it is first needed.

    Those that are generated from elementwise operations are compiled by running each, and its
    gradients, on two elements of float16, float32 and float64.

    CuPy keeps what is compiled on disk (`~/.cupy/kernel_cache`, or CUPY_CACHE_DIR), by the compute
    capability of the device: once per machine is enough. Of kernels whose text CuPy writes, only
    those for contiguous arrays are compiled.

    Args:
        device: for which; the current one by default.
        progress: show on stderr how far it is: as a bar where `rich` is installed.

    Returns:
        How many kernels, and runs of operations, there were.

    Raises:
        MissingPackageError: CuPy is not installed.
        DeviceError: there is no such device.
    """
    target = cuda_device(device)
    kernels = cupy_backend().kernels
    listed = kernels.every_kernel()
    runs = [
        (op, dtype)
        for op in OPS.values()
        if op.kind in ("unary", "binary", "comparison")
        for dtype in (dtypes.float16, dtypes.float32, dtypes.float64)
    ]
    total = len(listed) + len(runs)
    with _progress(total) if progress else nullcontext(lambda done: None) as show:

        def build(module: Any) -> None:
            for done in kernels.precompile(listed):
                show(done)
            for done, (op, dtype) in enumerate(runs, len(listed) + 1):
                _run_once(op, TensorType(target, dtype))
                show(done)

        target.backend.on(target, build)
    return total


def _run_once(op: Op, kind: TensorType) -> None:
    """Run an elementwise operation and its gradients, on Tensors and on Python numbers."""
    x, other = (wrap(kind.asarray([1.0, 1.0], kind.numpy), kind.recordable) for _ in range(2))
    calls = [(x,)] if op.kind == "unary" else [(x, other), (x, x), (x, 2.0), (2.0, x)]
    for args in calls:
        # Some have no derivative, or not this dtype.
        with suppress(GradcoreError, NotImplementedError, TypeError):
            y = op.call(*args)
            if y.requires_grad:
                v = wrap(kind.xp.ones_like(y._array))
                inputs = [t for t in (x, other) if any(t is a for a in args)]
                grad(y, inputs, v)


def _progress(total: int) -> AbstractContextManager[Callable[[int], None]]:
    """A context that gives a function to be called with how many are done."""
    text = "compiling CUDA kernels"
    try:
        rich = importlib.import_module("rich.progress")
        console = importlib.import_module("rich.console").Console(stderr=True)
    except ImportError:
        return _Lines(text, total)
    return _Bar(rich.Progress(console=console), text, total)


class _Bar:
    """A progress bar of rich."""

    def __init__(self, bar: Any, text: str, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task(text, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self._bar.__enter__()
        return lambda done: self._bar.update(self._task, completed=done)

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)


class _Lines:
    """Plain text: a line for each tenth."""

    def __init__(self, text: str, total: int) -> None:
        self._text, self._total = text, total

    def __enter__(self) -> Callable[[int], None]:
        return self._show

    def _show(self, done: int) -> None:
        if done == self._total or done * 10 // self._total > (done - 1) * 10 // self._total:
            print(f"{self._text}: {done} of {self._total}", file=sys.stderr)

    def __exit__(self, *error: object) -> None:
        pass


# random numbers --------------------------------------------------------------------------------


def manual_seed(seed: int) -> None:
    """Start the generator of the current CUDA device from `seed`; without one do nothing."""
    if find_cuda() is not None:
        default_generator(cuda_device(None)).manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Start the generators of all CUDA devices from `seed`; without any do nothing."""
    for generator in _generators():
        generator.manual_seed(seed)


def seed() -> None:
    """Start the generator of the current CUDA device from a seed that nobody knows."""
    if find_cuda() is not None:
        default_generator(cuda_device(None)).seed()


def seed_all() -> None:
    """Start the generators of all CUDA devices from one seed that nobody knows."""
    generators = _generators()
    if generators:
        manual_seed_all(generators[0].seed())


def initial_seed() -> int:
    """The seed that the generator of the current CUDA device was last started from."""
    return default_generator(cuda_device(None)).initial_seed()


def get_rng_state(device: Any = None) -> Any:
    """The state of the generator of `device` (default: the current one), for `set_rng_state`."""
    return default_generator(cuda_device(device)).get_state()


def get_rng_state_all() -> list[Any]:
    """The states of the generators of all CUDA devices."""
    return [generator.get_state() for generator in _generators()]


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """Put the generator of `device` (default: the current one) back to a state.

    Raises:
        ArgumentError: it is no state of a generator on CUDA.
    """
    default_generator(cuda_device(device)).set_state(new_state)


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Put the generators of all CUDA devices back to states from `get_rng_state_all`."""
    for index, state in enumerate(new_states):
        set_rng_state(state, index)


def _generators() -> list[Generator]:
    return [default_generator(cuda_device(index)) for index in range(device_count())]
