"""Devices: where arrays live and which functions work on them.

With `gradcore_kernels` this is the only place that imports CuPy, and only once a CUDA device is
asked for.
"""

from __future__ import annotations

import functools
import importlib
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Final, NoReturn, cast

import numpy as np

from . import dtypes, fusible
from .batching.array import BatchedArray, Level
from .batching.namespace import Bases, batched
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    MissingPackageError,
    OutOfMemoryError,
)
from .mode import are_deterministic_algorithms_enabled, checked_indices, quiet
from .namespace import Namespace
from .raw import Array, ArrayNamespace, Special, numpy_functions, own_functions
from .symbols import NotElementwise, Symbol

__all__ = ["CPU", "SYMBOLIC", "Array", "Device", "TensorType", "device", "type_of"]


class Device:
    """A device: `gradcore.device("cpu")`, `gradcore.device("cuda")`, `gradcore.device("cuda:1")`.

    There is one object per device, so devices compare by identity.

    Args:
        type: `"cpu"`, `"cuda"`, `"cuda:INDEX"`, or another Device.
        index: the number of the CUDA device; None is the current one.

    Raises:
        ArgumentError: no such kind of device, or an index in both places.
    """

    __slots__ = (
        "__weakref__",
        "_backend",
        "_batches",
        "base",
        "index",
        "kind",
        "levels",
        "type",
        "types",
    )

    _known: ClassVar[dict[tuple[str, int | None], Device]] = {}

    type: str
    index: int | None
    kind: int
    base: Device
    levels: tuple[Level, ...]
    types: dict[dtypes.dtype, TensorType]
    _backend: Backend | None
    _batches: Backend | None

    def __new__(cls, type: str | Device, index: int | None = None) -> Device:  # noqa: D102
        if isinstance(type, Device):
            return type
        if not isinstance(type, str):
            raise ArgumentTypeError(
                f"expected a device such as 'cpu' or 'cuda:0', but got {type!r}."
            )
        name, _, number = type.partition(":")
        if name not in ("cpu", "cuda"):
            raise ArgumentError(f"Expected one of cpu, cuda device type, but got: {type!r}.")
        if number:
            if index is not None:
                raise ArgumentError(f"type {type!r} already has an index; leave out index={index}.")
            if not number.isdecimal():
                raise ArgumentError(
                    f"Invalid device string: {type!r}; expected for example cuda:0."
                )
            index = int(number)
        known = cls._known.get((name, index))
        if known is None:
            known = super().__new__(cls)
            known.type, known.index, known.kind = name, index, int(name == "cuda")
            known._backend = None
            known.base, known.levels = known, ()
            known.types = {}
            known._batches = None
            known = cls._known.setdefault((name, index), known)
        return known

    def __repr__(self) -> str:
        where = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{where})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Device, (self.type, self.index)

    def open(self) -> Device:
        """The device itself, ready for use: `cuda` becomes the current `cuda:INDEX`.

        Raises:
            MissingPackageError: CuPy is not installed.
            DeviceError: there is no such CUDA device.
        """
        if self._backend is not None:
            return self
        if self.type == "cpu":
            self._backend = numpy_backend()
            return self
        backend = cupy_backend()
        index = backend.current_device() if self.index is None else self.index
        if index >= backend.device_count():
            raise DeviceError(
                f"{self} was asked for, but there are {backend.device_count()} CUDA devices "
                f"(0 to {backend.device_count() - 1})."
            )
        concrete = Device("cuda", index)
        concrete._backend = backend
        return concrete

    @property
    def backend(self) -> Backend:
        """The functions that work on this device's arrays."""
        backend = self._backend
        return self.open().backend if backend is None else backend

    @property
    def xp(self) -> Namespace:
        """The namespace for rules on raw arrays of this device."""
        return self.backend.xp


device = Device
"""PyTorch's spelling."""

BATCHED: Final = 3
"""The kind of the devices of batches."""


def _device_of_level(inner: Device, level: Level) -> Device:
    """Where the batches of a vmap are whose samples are on `inner`; users see the `base`.

    So the type of a Tensor says which levels it is batched at: its gradient is batched at the same.
    """
    found = level.devices.get(inner)
    if found is None:
        base = inner.base
        if base._batches is None:
            base._batches = _BatchedBackend(base)
        found = object.__new__(Device)
        found.type, found.index, found.kind = base.type, base.index, BATCHED
        found.base, found.levels, found.types = base, (*inner.levels, level), {}
        found._backend = base._batches
        level.devices[inner] = found
    return found


def rebased(device: Device, base: Device) -> Device:
    """Where the batches that are on `device` are if their samples are on `base`."""
    found = base
    for level in device.levels:
        found = _device_of_level(found, level)
    return found


def joined(a: Device, b: Device) -> Device:
    """Where what is computed of arrays on two devices of one base is: batched at all levels."""
    found = a.base
    for level in sorted({*a.levels, *b.levels}, key=lambda level: level.number):
        found = _device_of_level(found, level)
    return found


class _NumpyNumbers:
    """Random numbers as raw NumPy arrays."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def get_state(self) -> Any:
        return self._rng.bit_generator.state

    def set_state(self, state: Any) -> None:
        self._rng.bit_generator.state = state

    def uniform(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if dtype.kind == "c":
            real = _real(dtype)
            return self.uniform(shape, real) + 1j * self.uniform(shape, real)
        if dtype.itemsize < 4:
            # Rounding to float16 must not give 1.
            return (np.floor(self._rng.random(shape, np.float32) * 2048) / 2048).astype(dtype)
        return self._rng.random(shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if dtype.kind == "c":
            real = _real(dtype)
            sum_of_both = self.normal(shape, real) + 1j * self.normal(shape, real)
            return sum_of_both * real.type(math.sqrt(0.5))  # variance 1 in all
        if dtype.itemsize < 4:
            return self._rng.standard_normal(shape, np.float32).astype(dtype)
        return self._rng.standard_normal(shape, dtype)

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        with quiet():
            return self._rng.integers(low, high, shape, np.int64).astype(dtype, copy=False)

    def permutation(self, n: int, dtype: np.dtype[Any]) -> Array:
        with quiet():
            return self._rng.permutation(n).astype(dtype, copy=False)

    def noise(self, shape: tuple[int, ...], p: float, dtype: np.dtype[Any]) -> Any:
        # Two words of 32 bits a number: half the time of as many uniform numbers.
        count = (math.prod(shape) + 1) // 2
        words = np.ndarray(shape, np.uint32, self._rng.bit_generator.random_raw(count))
        threshold, scale = _threshold_and_scale(p, dtype)
        kept = words >= threshold
        if dtype.itemsize > 2:
            factor = kept.astype(dtype)
            factor *= scale
            return factor
        # NumPy converts to float16 slowly: the factor is made of the bits of 0 and `scale`.
        factor = kept.astype(np.uint16)
        factor *= scale.view(np.uint16)
        return factor.view(np.float16)


def _real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"f{dtype.itemsize // 2}")


@functools.lru_cache(maxsize=64)
def _threshold_and_scale(p: float, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """As 0-d arrays, with which NumPy is faster than with Python numbers."""
    threshold = min(round(p * 2**32), 2**32 - 1)
    with quiet():  # in float16 the scale may be infinite
        scale = np.array(1.0 / (1.0 - p) if p < 1.0 else 0.0, dtype)
    return np.array(threshold, np.uint32), scale


class _CupyNumbers:
    """Random numbers as raw CuPy arrays: those of a counter, see `gradcore_kernels.random`."""

    def __init__(self, seed: int, device: Device) -> None:
        self._device = device
        self._seed, self._offset = seed, 0

    def get_state(self) -> Any:
        return self._seed, self._offset

    def set_state(self, state: Any) -> None:
        self._seed, self._offset = state

    def _take(self, shape: tuple[int, ...], dtype: str) -> tuple[int, int]:
        """The seed and the offset of a draw; the next one starts behind it."""
        count = _counter_kernels().counters(math.prod(shape), dtype)
        with _OFFSETS:
            offset = self._offset
            self._offset = (offset + count) % 2**64
            return self._seed, offset

    def _draw(self, make: Callable[[Any], Array]) -> Array:
        return self._device.backend.on(self._device, lambda module: make(_counter_kernels()))

    def uniform(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        name = dtype.name
        return self._draw(lambda k: k.uniform(shape, name, *self._take(shape, name)))

    def normal(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        name = dtype.name
        return self._draw(lambda k: k.normal(shape, name, *self._take(shape, name)))

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        place = self._take(shape, "int64")
        return self._draw(lambda k: k.integers(shape, low, high, *place).astype(dtype, copy=False))

    def permutation(self, n: int, dtype: np.dtype[Any]) -> Array:
        place = self._take((n,), "int64")
        return self._draw(lambda k: k.permutation(n, *place).astype(dtype, copy=False))

    def noise(self, shape: tuple[int, ...], p: float, dtype: np.dtype[Any]) -> Any:
        return *self._take(shape, "bool"), p


_OFFSETS: Final = threading.Lock()  # so that no two threads draw the same numbers


@functools.cache
def _counter_kernels() -> Any:
    return importlib.import_module("gradcore_kernels.random")


_HERE: Final = nullcontext()


class Backend:
    """What differs between NumPy and CuPy.

    Attributes:
        xp: the functions a rule may call.
        module: `numpy` or `cupy`.
        ndarray: the class of the arrays.
        forward: fused kernels that stand in for an op's forward, by op name.
        backward: fused kernels that stand in for all of an op's VJPs, by op name.
        elementwise: `elementwise(name, inputs, outputs, body)`, which makes a kernel of source
            text; None where nothing is compiled.
        kernels: the package `gradcore_kernels`; None where nothing is compiled.
    """

    def __init__(self, module: Any, xp: Namespace) -> None:
        self.module = module
        self.xp = xp
        self.ndarray = module.ndarray
        self.elementwise: Callable[..., Any] | None = None
        self.kernels: Any = None
        self.forward: dict[str, Callable[..., Any]] = {}
        self.backward: dict[str, Callable[..., Any]] = {}

    def send(self, array: Array, target: Device, non_blocking: bool = False) -> Array:
        """A host `array` as an array of this backend on `target`, without a copy if it is one.

        With `non_blocking`, of pinned memory: it must not be changed before the copy is made.
        """
        return np.asarray(array)

    def fetch(self, array: Array, non_blocking: bool = False) -> np.ndarray[Any, Any]:
        """An array of this backend as a host array, without a copy if it is one.

        With `non_blocking` in pinned memory, which is filled when the current stream gets to it.
        """
        return cast("np.ndarray[Any, Any]", array)

    def move(self, array: Array, target: Device) -> Array:
        """An array of this backend on another device of this backend."""
        return array

    def on(self, target: Device, make: Callable[[Any], Any]) -> Any:
        """What `make(module)` gives with `target` as the current device.

        Raises:
            OutOfMemoryError: it has not enough memory.
        """
        return make(self.module)

    def maker(self, target: Device) -> Callable[..., Array]:
        """`asarray(value, dtype=None)`, which gives arrays on `target`."""
        make: Callable[..., Array] = self.module.asarray
        return make

    def guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, run with the device of the first array among its arguments as current."""
        return function

    def use(self, target: Device) -> Device:
        """Make `target` the current device, and return the one that was."""
        return target

    def shared(self, array: Array) -> Array:
        """An array that a user gave, in a form that says if others may hold its memory: a view."""
        return array  # of NumPy's arrays those of foreign memory are views already

    def at(self, target: Device) -> AbstractContextManager[Any]:
        """Within this context `target` is the current device."""
        return _HERE

    def stream(self, target: Device) -> int:
        """The address of the current stream of `target`; 0 where there are none."""
        return 0

    def random_numbers(self, seed: int, target: Device) -> Any:
        """A source of random raw arrays on `target`."""
        return _NumpyNumbers(seed)

    def synchronize(self, target: Device) -> None:
        """Wait until all work given to `target` is done."""

    def current_device(self) -> int:
        """The index of the current device."""
        return 0

    def device_count(self) -> int:
        """How many devices there are."""
        return 1


class _CudaBackend(Backend):
    def __init__(self, module: Any, xp: Namespace) -> None:
        super().__init__(module, xp)
        self._held: list[tuple[Any, Any]] = []
        self._holding = threading.Lock()

    def guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self.device_count() == 1:
            return function
        current, cuda_device, ndarray = self.current_device, self.module.cuda.Device, self.ndarray

        def arrays(values: Any) -> Iterator[Array]:
            for value in values:
                if isinstance(value, ndarray):
                    yield value
                elif isinstance(value, list | tuple):
                    yield from arrays(value)

        def call(*args: Any, **kwargs: Any) -> Any:
            index = next((a.device.id for a in arrays(args)), None)
            if index is None or index == current():
                return function(*args, **kwargs)
            with cuda_device(index):
                return function(*args, **kwargs)

        return call

    def maker(self, target: Device) -> Callable[..., Array]:
        ndarray = self.ndarray

        def asarray(value: Any, dtype: Any = None) -> Array:
            if value.__class__ is ndarray and dtype is None:
                return value
            return self.on(target, lambda module: module.asarray(value, dtype))

        return asarray

    def shared(self, array: Array) -> Array:
        memory = self.module.cuda.memory
        own = memory.PooledMemory, memory.Memory, memory.MemoryAsync
        return array if isinstance(array.data.mem, own) else array.view()

    def use(self, target: Device) -> Device:
        previous = Device("cuda", self.current_device())
        if previous is not target:
            self.module.cuda.runtime.setDevice(target.index)
        return previous

    def at(self, target: Device) -> AbstractContextManager[Any]:
        if self.current_device() == target.index:
            return _HERE
        return cast("AbstractContextManager[Any]", self.module.cuda.Device(target.index))

    def stream(self, target: Device) -> int:
        return int(self.module.cuda.get_current_stream(target.index).ptr)

    def send(self, array: Array, target: Device, non_blocking: bool = False) -> Array:
        if not (non_blocking and self.is_pinned(array) and array.flags.c_contiguous):
            # CuPy copies to pinned memory of its own first, and from there asynchronously.
            return self.on(target, lambda module: module.asarray(array))

        def copy(module: Any) -> Array:
            y = module.empty(array.shape, array.dtype)
            stream = module.cuda.get_current_stream()
            y.set(array, stream)
            self.hold(array, stream)
            return y

        return self.on(target, copy)

    def fetch(self, array: Array, non_blocking: bool = False) -> np.ndarray[Any, Any]:
        def copy(module: Any) -> np.ndarray[Any, Any]:
            if not non_blocking:
                return cast("np.ndarray[Any, Any]", array.get())
            stream = module.cuda.get_current_stream()
            y = self._pinned(array.shape, array.dtype)
            array.get(stream, out=y, blocking=False)
            self.hold((array, y), stream)
            return y

        return cast("np.ndarray[Any, Any]", self.on(_device_of(array), copy))

    def move(self, array: Array, target: Device) -> Array:
        # The copy runs on the target's stream: after what makes the array, and before anything
        # that uses its memory again.
        def leave(module: Any) -> tuple[Any, Any, Array]:
            stream = module.cuda.get_current_stream()
            whole = array if array.flags.c_contiguous else module.ascontiguousarray(array)
            return stream, _record(module, stream), whole

        def arrive(module: Any) -> tuple[Array, Any]:
            stream = module.cuda.get_current_stream()
            stream.wait_event(made)
            y = whole.copy()
            return y, _record(module, stream)

        source, made, whole = self.on(_device_of(array), leave)
        y, copied = self.on(target, arrive)
        self.on(_device_of(array), lambda module: source.wait_event(copied))
        return y

    def on(self, target: Device, make: Callable[[Any], Any]) -> Any:
        with _memory_errors, self.at(target):
            return make(self.module)

    def _pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self.module.cuda.alloc_pinned_memory(max(size, 1))
        return np.ndarray(shape, dtype, memory)

    def pin(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """A copy of a host array in pinned memory."""
        with _memory_errors:
            y = self._pinned(array.shape, array.dtype)
        y[...] = array
        return y

    def is_pinned(self, array: np.ndarray[Any, Any]) -> bool:
        """Whether a host array lies in pinned memory."""
        runtime = self.module.cuda.runtime
        kind = runtime.pointerGetAttributes(array.ctypes.data).type
        return bool(kind == runtime.memoryTypeHost)

    def hold(self, kept: Any, stream: Any) -> None:
        """Keep an object until `stream` has done all it has been given so far."""
        with self._holding:
            self._held.append((_record(self.module, stream), kept))
        self.release()

    def release(self) -> None:
        """Let go what need not be held any longer."""
        with self._holding:
            self._held = [held for held in self._held if not held[0].done]

    def opened(self) -> list[int]:
        """The indices of the devices that gradcore has used, and of the current one."""
        known = [d.index for d in Device._known.values() if d.kind == 1 and d._backend is self]
        return sorted({self.current_device()} | {i for i in known if i is not None})

    def random_numbers(self, seed: int, target: Device) -> Any:
        return _CupyNumbers(seed, target)

    def synchronize(self, target: Device) -> None:
        self.module.cuda.Device(target.index).synchronize()
        self.release()

    def current_device(self) -> int:
        return int(self.module.cuda.runtime.getDevice())

    def device_count(self) -> int:
        return int(self.module.cuda.runtime.getDeviceCount())


_ADVICE: Final = (
    "Free Tensors that are no longer needed, make fewer or smaller ones at a time, or record less "
    "(no_grad)."
)
_NO_MEMORY: Final = 2  # cudaErrorMemoryAllocation and CUDA_ERROR_OUT_OF_MEMORY


def _join_memory_errors(cupy: Any) -> None:
    """Let what CuPy raises where memory does not suffice be gradcore's error too.

    Memory is allocated in operations, in the backward pass, in copies and in CuPy itself. So the
    class is replaced by one that is both, rather than the error in each of these places.
    """
    theirs = cupy.cuda.memory.OutOfMemoryError
    if issubclass(theirs, OutOfMemoryError):
        return

    class Both(OutOfMemoryError, theirs):  # type: ignore[misc, valid-type]
        def __init__(self, size: int, total: int, limit: int = 0) -> None:
            theirs.__init__(self, size, total, limit)

        def __str__(self) -> str:
            return f"CUDA out of memory. {super().__str__()} {_ADVICE}"

        def __reduce__(self) -> Any:
            return OutOfMemoryError, (str(self),)

    Both.__name__ = Both.__qualname__ = OutOfMemoryError.__name__
    Both.__module__, Both.__doc__ = OutOfMemoryError.__module__, OutOfMemoryError.__doc__
    cupy.cuda.memory.OutOfMemoryError = Both


class _MemoryErrors:
    """Within this context errors of CUDA itself for want of memory become those of gradcore.

    CuPy hands them on where its memory pool is switched off, and for pinned memory.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if getattr(error, "status", 0) == _NO_MEMORY:
            raise OutOfMemoryError(f"CUDA out of memory. {error}. {_ADVICE}") from error


_memory_errors: Final = _MemoryErrors()


def find_cuda() -> _CudaBackend | None:
    """CuPy with gradcore's kernels, or None where it or a device is missing."""
    try:
        return cupy_backend()
    except (MissingPackageError, DeviceError):
        return None


def cuda_device(device: Any = None) -> Device:
    """A CUDA device by its number or name, ready for use; the current one by default.

    Raises:
        MissingPackageError: CuPy is not installed.
        DeviceError: there is no such CUDA device.
        ArgumentError: it is no CUDA device.
    """
    if device is None:
        device = "cuda"
    elif isinstance(device, int) and not isinstance(device, bool):
        device = Device("cuda", device)
    found = Device(device)
    if found.type != "cuda":
        raise ArgumentError(f"Expected a cuda device, but got: {found}.")
    return found.open()


def _device_of(array: Array) -> Device:
    return Device("cuda", int(array.device.id))


def _record(module: Any, stream: Any) -> Any:
    """An event that is over when `stream` has done what it has been given so far."""
    return stream.record(module.cuda.Event(disable_timing=True))


def cast_raw(
    array: Array, source: TensorType, target: TensorType, non_blocking: bool = False
) -> Array:
    """A raw array in another dtype, on another device; itself where nothing changes."""
    if source.device is target.device:
        return array if source.dtype is target.dtype else target.xp.astype(array, target.numpy)
    if BATCHED in (source.device.kind, target.device.kind):
        return _cast_batch(array, source, target, non_blocking)
    here, there = source.device.backend, target.device.backend
    cast_first = source.device.kind and (
        non_blocking or source.numpy.itemsize > target.numpy.itemsize
    )
    if cast_first and source.dtype is not target.dtype:
        array = here.on(source.device, lambda module: here.xp.astype(array, target.numpy))
        source = target
    if here is there:
        array = here.move(array, target.device)
    else:
        host = here.fetch(array, non_blocking)
        array = there.send(host, target.device, non_blocking)
    if source.dtype is target.dtype:
        return array
    return there.on(target.device, lambda module: there.xp.astype(array, target.numpy))


def _cast_batch(array: Array, source: TensorType, target: TensorType, non_blocking: bool) -> Array:
    """The same in another dtype and on another base: of batches, all samples."""
    here, there = source.device.base, target.device.base
    if here is there:
        return array if source.dtype is target.dtype else batched.astype(array, target.numpy)
    kinds = TensorType(here, source.dtype), TensorType(there, target.dtype)
    if array.__class__ is BatchedArray:
        return BatchedArray(array.level, _cast_batch(array.inner, *kinds, non_blocking))
    return cast_raw(array, *kinds, non_blocking)


@functools.cache
def numpy_backend() -> Backend:
    """NumPy."""
    own = numpy_functions() | {"send": cast_raw}
    return Backend(np, cast(Namespace, ArrayNamespace(np, own)))


def _why_no_device(cupy: Any, error: Exception | None) -> str:
    """What is missing where CuPy finds no device, and what to do."""
    missing = "a CUDA device was asked for and CuPy is installed, but "
    found = f"no device was found: {error}. " if error is not None else "no device was found. "
    try:
        driver = int(cupy.cuda.runtime.driverGetVersion())
        needed = int(cupy.cuda.runtime.runtimeGetVersion())
    except Exception:  # there is not even that
        return missing + found + "Check the NVIDIA driver (nvidia-smi) and CUDA_VISIBLE_DEVICES."
    if driver == 0:
        return (
            missing + found + "No NVIDIA driver is loaded: install one, and make sure that "
            "nvidia-smi lists the GPU (a container must be started with access to it)."
        )
    if getattr(error, "status", 0) == _DRIVER_TOO_OLD:
        return (
            f"{missing}the NVIDIA driver is too old: it is for CUDA {_version(driver)}, and this "
            f"CuPy is for CUDA {_version(needed)} ({error}). Update the driver, or install CuPy "
            'for an older CUDA: pip install "gradcore[cuda12]".'
        )
    return (
        missing + found + "The NVIDIA driver is loaded, but shows this process no GPU: check "
        "nvidia-smi and CUDA_VISIBLE_DEVICES."
    )


_DRIVER_TOO_OLD: Final = 35  # cudaErrorInsufficientDriver


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


@functools.cache
def cupy_backend() -> _CudaBackend:
    """CuPy with gradcore's kernels; imported here, on the first call.

    Raises:
        MissingPackageError: CuPy is not installed, or does not load.
        DeviceError: CuPy finds no CUDA driver or device.
    """
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise MissingPackageError(
            "a CUDA device was asked for, but CuPy cannot be imported "
            f'({error}). Install it: pip install "gradcore[cuda12]" (CUDA 12) or '
            'pip install "gradcore[cuda13]" (CUDA 13).'
        ) from error
    try:
        found = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:
        raise DeviceError(_why_no_device(cupy, error)) from error
    if not found:
        raise DeviceError(_why_no_device(cupy, None))
    _join_memory_errors(cupy)
    kernels = importlib.import_module("gradcore_kernels")
    kernels.follow(are_deterministic_algorithms_enabled, checked_indices.get)
    special = importlib.import_module("cupyx.scipy.special")

    def erf(x: Array) -> Array:
        if x.dtype == np.float16:  # of which CuPy would make float64
            return special.erf(x.astype(np.float32)).astype(x.dtype)
        return special.erf(x)

    own = own_functions(cupy) | {"erf": erf, "send": cast_raw} | kernels.NAMESPACE
    own["special"] = Special(lambda: special, erf=erf)
    backend = _CudaBackend(cupy, cast(Namespace, ArrayNamespace(cupy, own)))
    backend.forward.update(kernels.FORWARD)
    backend.backward.update(kernels.BACKWARD)
    backend.elementwise = kernels.Elementwise
    for name, function in vars(backend.xp).items():
        if callable(function):
            setattr(backend.xp, name, backend.guarded(function))
    backend.kernels = kernels
    return backend


CPU: Final = Device("cpu").open()


class _NoNumbers:
    """In the place of random numbers, where a function is traced."""

    def __getattr__(self, name: str) -> NoReturn:
        raise NotElementwise("it draws random numbers")


class _SymbolicBackend(Backend):
    """Symbols in the place of arrays: what a function to be fused is run on."""

    def __init__(self) -> None:
        super().__init__(fusible.module, fusible.fusible)
        self.forward.update(fusible.FORWARD)

    def send(self, array: Array, target: Device, non_blocking: bool = False) -> NoReturn:
        raise NotElementwise("it computes with a Tensor that is no argument; pass it")

    def fetch(self, array: Array, non_blocking: bool = False) -> NoReturn:
        raise NotElementwise("it reads the values of a Tensor, or copies it to another device")

    def random_numbers(self, seed: int, target: Device) -> Any:
        return _NoNumbers()


def _symbolic_device() -> Device:
    device = object.__new__(Device)
    device.type, device.index, device.kind = "symbolic", None, 2
    device.base, device.levels, device.types = device, (), {}
    device._backend = _SymbolicBackend()
    return device


SYMBOLIC: Final = _symbolic_device()
"""Where Tensors are while a function is traced; no user meets it by name."""


class _BatchedModule:
    """In the place of `numpy` or `cupy`: makes arrays that are the same for all samples."""

    def __init__(self, base: Backend) -> None:
        self._base = base
        self.ndarray = BatchedArray

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        if value.__class__ is not BatchedArray:
            return self._base.module.asarray(value, dtype)
        return value if dtype is None else batched.astype(value, dtype)

    def array(self, value: Any, dtype: Any = None, order: Any = "C", copy: bool = True) -> Array:
        if value.__class__ is not BatchedArray:
            return self._base.module.array(value, dtype=dtype, order=order, copy=copy)
        return self.asarray(value.copy(), dtype)

    def __getattr__(self, name: str) -> Any:
        # What takes arrays may be given batches; what makes them is told where by `on`.
        over = None if name in ("arange", "zeros") else vars(batched).get(name)
        return getattr(self._base.module, name) if over is None else over


class _BatchedBackend(Backend):
    """Batches of arrays: what a function inside `vmap` runs on."""

    def __init__(self, base: Device) -> None:
        super().__init__(_BatchedModule(base.backend), batched)
        self._base = base.backend
        self._device = base

    def send(self, array: Array, target: Device, non_blocking: bool = False) -> Array:
        return self._base.send(array, target.base, non_blocking)

    def fetch(self, array: Array, non_blocking: bool = False) -> Any:
        if array.__class__ is BatchedArray:
            return array.tolist()
        return self._base.fetch(array, non_blocking)

    def on(self, target: Device, make: Callable[[Any], Any]) -> Any:
        return self._base.on(target.base, lambda module: make(self.module))

    def use(self, target: Device) -> Device:
        return self._base.use(target.base)

    def at(self, target: Device) -> AbstractContextManager[Any]:
        return self._base.at(target.base)

    def stream(self, target: Device) -> int:
        return self._base.stream(target.base)

    def maker(self, target: Device) -> Callable[..., Array]:
        make = self._base.maker(target.base)

        def asarray(value: Any, dtype: Any = None) -> Array:
            if value.__class__ is BatchedArray:
                return value if dtype is None else batched.astype(value, dtype)
            return make(value) if dtype is None else make(value, dtype=dtype)

        return asarray


class _NoArray:
    """The class of no array."""


class TensorType:
    """A device and a dtype: what two operands must share for the direct path. One object each.

    Attributes:
        device: an open Device.
        dtype: the element type.
        code: index into an op's table of implementations: same device kind and dtype, same code.
        recordable: the dtype can require gradients.
        scalars: Python numbers as arrays of this dtype, see `scalar`.
        constants: Python numbers as arrays on this device, by stream; see `constant`.
    """

    __slots__ = (
        "asarray",
        "bool_type",
        "code",
        "constants",
        "device",
        "dtype",
        "ndarray",
        "numpy",
        "recordable",
        "scalars",
        "xp",
    )

    device: Device
    dtype: dtypes.dtype
    code: int
    recordable: bool
    xp: Namespace
    numpy: np.dtype[Any]
    ndarray: type[Array]
    asarray: Callable[..., Array]
    bool_type: TensorType
    scalars: dict[float, Array]
    constants: dict[tuple[complex, int], Array]

    COUNT: ClassVar[int] = 4 * len(dtypes.ALL)

    _known: ClassVar[dict[tuple[Device, dtypes.dtype], TensorType]] = {}

    def __new__(cls, device: Device, dtype: dtypes.dtype) -> TensorType:  # noqa: D102
        batch = device.kind == BATCHED
        known = device.types.get(dtype) if batch else cls._known.get((device, dtype))
        if known is None:
            known = super().__new__(cls)
            known.device, known.dtype = device, dtype
            known.numpy = dtype.dtype
            known.code = device.kind * len(dtypes.ALL) + dtype.code
            known.recordable = dtype.is_inexact
            known.xp, known.asarray = device.xp, device.backend.maker(device)
            # What is computed of batches is asked each time which levels it is batched at.
            known.ndarray = _NoArray if batch else device.backend.ndarray
            known.scalars = {}
            known.constants = {}
            if batch:
                known = device.types.setdefault(dtype, known)
            else:
                known = cls._known.setdefault((device, dtype), known)
            known.bool_type = known if dtype is dtypes.bool_ else cls(device, dtypes.bool_)
        return known

    def scalar(self, value: float) -> Any:
        """A Python number as an operand of this dtype.

        NumPy takes a 0-d array in half the time of a Python number: it is made once per number.
        """
        if self.device.kind:
            if self.device.kind == BATCHED:
                return TensorType(self.device.base, self.dtype).scalar(value)
            return float(value) if self.device.kind == 1 else self.constant(value)
        array = np.array(value, self.numpy)
        if value:  # 0.0 and -0.0 are one key
            if len(self.scalars) >= 256:
                self.scalars.clear()
            self.scalars[value] = array
        return array

    def number(self, value: Any) -> Any:
        """A Python number as a kernel of this dtype takes it: a float, or a complex 0-d array."""
        if self.device.base.kind != 1 or not self.recordable:
            return value
        return self.constant(complex(value)) if self.dtype.is_complex else float(value)

    def constant(self, value: complex) -> Array:
        """A Python number as a 0-d array, which nobody may write to; made once per number."""
        if not self.device.kind:
            return np.array(value, self.numpy)
        # Another stream could read it before it is written.
        key = value, self.device.backend.stream(self.device)
        array = self.constants.get(key)
        if array is None:
            make = lambda module: module.full((), value, self.numpy)
            array = self.device.backend.on(self.device, make)
            if value == value and value:  # 0.0 and -0.0 are one key, nan is none
                if len(self.constants) >= 256:
                    self.constants.clear()
                self.constants[key] = array
        return array

    def __repr__(self) -> str:
        prefix = "gradcore.cuda" if self.device.kind == 1 else "gradcore"
        return f"{prefix}.{self.dtype.label}Tensor"


_CPU_BY_CODE: Final = tuple(TensorType(CPU, t) for t in dtypes.ALL)
_CPU_TYPES: Final = {t.numpy: t for t in _CPU_BY_CODE}


def cpu_type(dtype: dtypes.dtype) -> TensorType:
    """The TensorType of arrays in host memory."""
    return _CPU_BY_CODE[dtype.code]


def type_of(array: Array) -> TensorType:
    """The TensorType of a raw array.

    Raises:
        DTypeError: gradcore has no such dtype.
    """
    if isinstance(array, np.ndarray):
        found = _CPU_TYPES.get(array.dtype)
        return TensorType(CPU, dtypes.from_numpy_dtype(array.dtype)) if found is None else found
    if isinstance(array, Symbol):
        return TensorType(SYMBOLIC, dtypes.from_numpy_dtype(array.dtype))
    if array.__class__ is BatchedArray:
        inner = type_of(array.inner)
        return TensorType(_device_of_level(inner.device, array.level), inner.dtype)
    concrete = Device("cuda", int(array.device.id)).open()
    return TensorType(concrete, dtypes.from_numpy_dtype(array.dtype))


def _find(array: Array) -> Namespace:
    return CPU.xp if isinstance(array, np.ndarray) else type_of(array).device.xp


Bases.host = CPU.xp
Bases.find = staticmethod(_find)
Bases.cast = staticmethod(cast_raw)


def is_array(value: object) -> bool:
    """True for a NumPy array, a batch, and for a CuPy array without importing CuPy."""
    if isinstance(value, np.ndarray | BatchedArray):
        return True
    return type(value).__module__.partition(".")[0] == "cupy"
