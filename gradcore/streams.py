"""Streams and events of CUDA. They are CuPy's: gradcore works on CuPy's current stream."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from typing import Any

from .device import Array, Device, cuda_device, cupy_backend
from .errors import ArgumentError, ArgumentTypeError, DeviceError
from .tensor import Tensor

__all__ = [
    "Event",
    "ExternalStream",
    "Stream",
    "StreamContext",
    "current_stream",
    "default_stream",
    "set_stream",
    "stream",
]


class Stream:
    """A queue of a CUDA device: what is given to one stream runs in order.

    As in PyTorch, and unlike CuPy's own by default, it neither waits for the default stream nor the
    other way round: where one needs what the other makes, say so with `wait_stream`. Memory that a
    stream's work still reads must not be freed on another meanwhile: see `Tensor.record_stream`.

    `with stream:` is `with gradcore.cuda.stream(stream):`.

    Args:
        device: where; the current device by default.
        priority: streams of lower numbers come first.

    Attributes:
        device: where it is.
        cupy: the `cupy.cuda.Stream`.

    Raises:
        MissingPackageError: CuPy is not installed.
        DeviceError: there is no such device.
    """

    __slots__ = ("__weakref__", "_entered", "cupy", "device")

    device: Device
    cupy: Any

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        target = cuda_device(device)
        make = lambda module: module.cuda.Stream(non_blocking=True, priority=priority)
        self._set(target, target.backend.on(target, make))

    def _set(self, device: Device, cupy_stream: Any) -> None:
        self.device, self.cupy = device, cupy_stream
        self._entered: list[ExitStack] = []

    @property
    def cuda_stream(self) -> int:
        """The address of the `cudaStream_t`; 0 is the default stream."""
        return int(self.cupy.ptr)

    @property
    def priority(self) -> int:
        """As given."""
        return int(self.device.backend.on(self.device, lambda module: self.cupy.priority))

    def query(self) -> bool:
        """True if all work that it was given is done."""
        return bool(self.device.backend.on(self.device, lambda module: self.cupy.done))

    def synchronize(self) -> None:
        """Wait on the host until all work that it was given is done."""
        self.device.backend.on(self.device, lambda module: self.cupy.synchronize())
        cupy_backend().release()

    def record_event(self, event: Event | None = None) -> Event:
        """Record an event (a new one by default) behind what the stream was given; return it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Any) -> None:
        """Let what the stream is given from now on start after an event.

        Args:
            event: an Event (one that was never recorded is over), or CuPy's.
        """
        raw = event.cupy if isinstance(event, Event) else event
        if raw is not None:
            self.device.backend.on(self.device, lambda module: self.cupy.wait_event(raw))

    def wait_stream(self, stream: Any) -> None:
        """Let what this stream is given from now on start after what `stream` has been given."""
        self.wait_event(_stream_of(stream).record_event())

    def __enter__(self) -> Stream:
        with ExitStack() as contexts:
            contexts.enter_context(self.device.backend.at(self.device))
            contexts.enter_context(self.cupy)
            self._entered.append(contexts.pop_all())
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._entered.pop().__exit__(kind, error, trace)

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.cuda_stream

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Stream)
            and other.device is self.device
            and other.cuda_stream == self.cuda_stream
        )

    def __hash__(self) -> int:
        return hash((self.device, self.cuda_stream))

    def __repr__(self) -> str:
        return f"<gradcore.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """A stream that another library made and looks after.

    Args:
        stream_ptr: the address of its `cudaStream_t`, or an object with `__cuda_stream__`.
        device: where it is; the current device by default.

    Raises:
        ArgumentTypeError: it is neither.
    """

    __slots__ = ()

    def __init__(self, stream_ptr: Any, device: Any = None) -> None:
        if isinstance(stream_ptr, int):
            stream_ptr = _Address(stream_ptr)
        elif not hasattr(stream_ptr, "__cuda_stream__"):
            raise ArgumentTypeError(
                "ExternalStream: expected the address of a stream, or an object with "
                f"__cuda_stream__, but got {type(stream_ptr).__qualname__}."
            )
        target = cuda_device(device)
        make = lambda module: module.cuda.Stream.from_external(stream_ptr)
        self._set(target, target.backend.on(target, make))


class _Address:
    """What CuPy makes a stream of."""

    def __init__(self, address: int) -> None:
        self._address = address

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._address


def _wrapped(cupy_stream: Any, device: Device) -> Stream:
    found = Stream.__new__(Stream)
    found._set(device, cupy_stream)
    return found


def _stream_of(stream: Any) -> Stream:
    """A Stream for one of gradcore, of CuPy, or of another library."""
    if isinstance(stream, Stream):
        return stream
    index = getattr(stream, "device_id", -1)
    if isinstance(stream, cupy_backend().module.cuda.stream._BaseStream):
        return _wrapped(stream, cuda_device(None if index < 0 else index))
    return ExternalStream(stream)


class Event:
    """A mark in a stream: it is over when the stream has done what came before it.

    Args:
        enable_timing: it can be given to `elapsed_time`.
        blocking: `synchronize` lets the processor sleep.
        interprocess: other processes may use it.

    Attributes:
        cupy: the `cupy.cuda.Event`; None before it is recorded.
        device: where it was recorded; None before that.
    """

    __slots__ = ("_blocking", "_interprocess", "_timing", "cupy", "device")

    cupy: Any
    device: Device | None

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        self._timing, self._blocking, self._interprocess = enable_timing, blocking, interprocess
        self.cupy = self.device = None

    @property
    def cuda_event(self) -> int:
        """The address of the `cudaEvent_t`; 0 before it is recorded."""
        return 0 if self.cupy is None else int(self.cupy.ptr)

    def record(self, stream: Any = None) -> None:
        """Mark what `stream` (the current one by default) has been given so far.

        Raises:
            DeviceError: it was recorded on another device before.
        """
        found = current_stream() if stream is None else _stream_of(stream)
        device = found.device
        if self.device is not None and self.device is not device:
            raise DeviceError(
                f"Event device {self.device} does not match recording stream's device {device}."
            )

        def mark(module: Any) -> Any:
            event = self.cupy or module.cuda.Event(
                self._blocking, not self._timing, self._interprocess
            )
            event.record(found.cupy)
            return event

        self.cupy = device.backend.on(device, mark)
        self.device = device

    def wait(self, stream: Any = None) -> None:
        """Let `stream` (the current one by default) go on after the event only."""
        (current_stream() if stream is None else _stream_of(stream)).wait_event(self)

    def query(self) -> bool:
        """True if it is over, or was never recorded."""
        return self.cupy is None or bool(self.cupy.done)

    def synchronize(self) -> None:
        """Wait on the host until it is over."""
        if self.cupy is not None:
            self.cupy.synchronize()
            cupy_backend().release()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to `end_event`; both must be over.

        Raises:
            ArgumentError: one has no timing, or was not recorded.
        """
        if not (self._timing and end_event._timing):
            raise ArgumentError("Both events must be created with argument 'enable_timing=True'.")
        if self.cupy is None or end_event.cupy is None:
            raise ArgumentError("Both events must be recorded before calculating elapsed time.")
        return float(cupy_backend().module.cuda.get_elapsed_time(self.cupy, end_event.cupy))

    def __repr__(self) -> str:
        return f"<gradcore.cuda.Event {self.cuda_event:#x}>"


class StreamContext:
    """Within this context a stream is the current one of its device, and that is current too.

    Args:
        stream: one of gradcore, CuPy or another library (by `__cuda_stream__`); None does nothing.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = None if stream is None else _stream_of(stream)

    def __enter__(self) -> None:
        if self.stream is not None:
            self.stream.__enter__()

    def __exit__(self, *error: Any) -> None:
        if self.stream is not None:
            self.stream.__exit__(*error)


def stream(stream: Any) -> StreamContext:
    """A context within which `stream` is the current one: see `StreamContext`."""
    return StreamContext(stream)


def set_stream(stream: Any) -> None:
    """Make a stream, and its device, the current one of this thread; None does nothing."""
    if stream is not None:
        found = _stream_of(stream)
        found.device.backend.use(found.device)
        found.cupy.use()


def current_stream(device: Any = None) -> Stream:
    """The stream that work for `device` (the current one by default) goes to."""
    target = cuda_device(device)
    return _wrapped(cupy_backend().module.cuda.get_current_stream(target.index), target)


def default_stream(device: Any = None) -> Stream:
    """The stream that is current in the beginning."""
    target = cuda_device(device)
    return _wrapped(cupy_backend().module.cuda.Stream.null, target)


def _record_stream(self: Tensor, s: Any) -> None:
    """Keep the memory, once this Tensor is gone, until the stream `s` has done its work.

    CuPy's memory pool gives memory back to the stream that it was allocated on, whose next work may
    write to it at once. So say this of a Tensor that was made on one stream and is read on another,
    or let the first stream wait for the other before the Tensor goes. Views and what else shares
    the memory keep it by themselves. On the CPU there is nothing to do.

    Args:
        self: `(*)`, any dtype.
        s: the other stream.
    """
    if self.is_cuda:
        weakref.finalize(self, _hold, self._array, _stream_of(s)).atexit = False


def _hold(array: Array, stream: Stream) -> None:
    backend = cupy_backend()
    backend.on(stream.device, lambda module: backend.hold(array, stream.cupy))


_record_stream.__name__ = "record_stream"
Tensor.record_stream = _record_stream  # type: ignore[assignment, method-assign]
