"""Devices: where arrays live and which functions work on them.

With `gradcore_kernels` this is the only place that imports CuPy, and only once a CUDA device is
asked for.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, ClassVar, Final, cast

import numpy as np

from . import dtypes
from .errors import ArgumentError, ArgumentTypeError, DeviceError, MissingPackageError
from .namespace import Namespace
from .raw import Array, ArrayNamespace, numpy_functions, own_functions

__all__ = ["CPU", "Array", "Device", "TensorType", "device", "type_of"]


class Device:
    """A device: `gradcore.device("cpu")`, `gradcore.device("cuda")`, `gradcore.device("cuda:1")`.

    There is one object per device, so devices compare by identity.

    Args:
        type: `"cpu"`, `"cuda"`, `"cuda:INDEX"`, or another Device.
        index: the number of the CUDA device; None is the current one.

    Raises:
        ArgumentError: no such kind of device, or an index in both places.
    """

    __slots__ = ("__weakref__", "_backend", "index", "kind", "type")

    _known: ClassVar[dict[tuple[str, int | None], Device]] = {}

    type: str
    index: int | None
    kind: int
    _backend: Backend | None

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


class _NumpyNumbers:
    """Random numbers as raw NumPy arrays."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.Generator(np.random.PCG64(seed))

    def get_state(self) -> Any:
        return self._rng.bit_generator.state

    def set_state(self, state: Any) -> None:
        self._rng.bit_generator.state = state

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self._rng.random(shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self._rng.standard_normal(shape, dtype)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        return self._rng.integers(low, high, shape, np.int64)

    def permutation(self, n: int) -> Array:
        return self._rng.permutation(n)


class _CupyNumbers:
    """Random numbers as raw CuPy arrays, from cuRAND."""

    def __init__(self, cupy: Any, seed: int, device: Device) -> None:
        with cupy.cuda.Device(device.index):
            self._state = cupy.random.RandomState(seed & (2**32 - 1))

    def get_state(self) -> Any:
        # cuRAND does not hand out its state.
        raise NotImplementedError("the state of a CUDA generator cannot be read: seed it instead.")

    def set_state(self, state: Any) -> None:
        raise NotImplementedError("the state of a CUDA generator cannot be set: seed it instead.")

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Array:
        # cuRAND's numbers lie in (0, 1].
        return 1 - self._state.random_sample(shape, dtype)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self._state.standard_normal(shape, dtype)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        return self._state.randint(low, high, shape, dtype=np.int64)

    def permutation(self, n: int) -> Array:
        return self._state.permutation(n)


class Backend:
    """What differs between NumPy and CuPy.

    Attributes:
        xp: the functions a rule may call.
        module: `numpy` or `cupy`.
        ndarray: the class of the arrays.
        forward: fused kernels that stand in for an op's forward, by op name.
        backward: fused kernels that stand in for all of an op's VJPs, by op name.
    """

    def __init__(self, module: Any, xp: Namespace) -> None:
        self.module = module
        self.xp = xp
        self.ndarray = module.ndarray
        self.forward: dict[str, Callable[..., Any]] = {}
        self.backward: dict[str, Callable[..., Any]] = {}

    def send(self, array: Array, target: Device) -> Array:
        """A host `array` as an array of this backend on `target`, without a copy if it is one."""
        return np.asarray(array)

    def fetch(self, array: Array) -> np.ndarray[Any, Any]:
        """An array of this backend as a host array, without a copy if it is one."""
        return cast("np.ndarray[Any, Any]", array)

    def on(self, target: Device, make: Callable[[Any], Array]) -> Array:
        """What `make(module)` gives on `target`."""
        return make(self.module)

    def random_numbers(self, seed: int, target: Device) -> Any:
        """A source of random raw arrays on `target`."""
        return _NumpyNumbers(seed)

    def synchronize(self, target: Device) -> None:
        """Wait until all work given to `target` is done."""

    def memory_allocated(self, target: Device) -> int:
        """Bytes of `target`'s memory that arrays hold."""
        return 0

    def device_name(self, target: Device) -> str:
        """The name of the hardware."""
        return target.type

    def current_device(self) -> int:
        """The index of the current device."""
        return 0

    def device_count(self) -> int:
        """How many devices there are."""
        return 1


class _CudaBackend(Backend):
    def send(self, array: Array, target: Device) -> Array:
        with self.module.cuda.Device(target.index):
            return self.module.asarray(array)

    def on(self, target: Device, make: Callable[[Any], Array]) -> Array:
        with self.module.cuda.Device(target.index):
            return make(self.module)

    def random_numbers(self, seed: int, target: Device) -> Any:
        return _CupyNumbers(self.module, seed, target)

    def synchronize(self, target: Device) -> None:
        self.module.cuda.Device(target.index).synchronize()

    def memory_allocated(self, target: Device) -> int:
        with self.module.cuda.Device(target.index):
            return int(self.module.get_default_memory_pool().used_bytes())

    def fetch(self, array: Array) -> np.ndarray[Any, Any]:
        return cast("np.ndarray[Any, Any]", array.get())

    def device_name(self, target: Device) -> str:
        properties = self.module.cuda.runtime.getDeviceProperties(target.index)
        return str(properties["name"].decode())

    def current_device(self) -> int:
        return int(self.module.cuda.runtime.getDevice())

    def device_count(self) -> int:
        return int(self.module.cuda.runtime.getDeviceCount())


def cast_raw(array: Array, source: TensorType, target: TensorType) -> Array:
    """A raw array in another dtype, on another device; itself where nothing changes."""
    if source.device is not target.device:
        array = target.device.backend.send(source.device.backend.fetch(array), target.device)
    return array if source.dtype is target.dtype else target.xp.astype(array, target.numpy)


@functools.cache
def numpy_backend() -> Backend:
    """NumPy."""
    own = numpy_functions() | {"send": cast_raw}
    return Backend(np, cast(Namespace, ArrayNamespace(np, own)))


@functools.cache
def cupy_backend() -> Backend:
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
        raise DeviceError(
            f"a CUDA device was asked for and CuPy is installed, but no device was found: {error}. "
            "Check the NVIDIA driver (nvidia-smi)."
        ) from error
    if not found:
        raise DeviceError(
            "a CUDA device was asked for and CuPy is installed, but no device was found. "
            "Check the NVIDIA driver (nvidia-smi) and CUDA_VISIBLE_DEVICES."
        )
    kernels = importlib.import_module("gradcore_kernels")
    special = importlib.import_module("cupyx.scipy.special")

    def erf(x: Array) -> Array:
        if x.dtype == np.float16:  # of which CuPy would make float64
            return special.erf(x.astype(np.float32)).astype(x.dtype)
        return special.erf(x)

    own = own_functions(cupy) | {"erf": erf, "send": cast_raw} | kernels.NAMESPACE
    backend = _CudaBackend(cupy, cast(Namespace, ArrayNamespace(cupy, own)))
    backend.forward.update(kernels.FORWARD)
    backend.backward.update(kernels.BACKWARD)
    return backend


CPU: Final = Device("cpu").open()


class TensorType:
    """A device and a dtype: what two operands must share for the direct path. One object each.

    Attributes:
        device: an open Device.
        dtype: the element type.
        code: index into an op's table of implementations: same device kind and dtype, same code.
        recordable: the dtype can require gradients.
        scalars: Python numbers as arrays of this dtype, see `scalar`.
    """

    __slots__ = (
        "asarray",
        "bool_type",
        "code",
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

    COUNT: ClassVar[int] = 2 * len(dtypes.ALL)

    _known: ClassVar[dict[tuple[Device, dtypes.dtype], TensorType]] = {}

    def __new__(cls, device: Device, dtype: dtypes.dtype) -> TensorType:  # noqa: D102
        known = cls._known.get((device, dtype))
        if known is None:
            known = super().__new__(cls)
            known.device, known.dtype = device, dtype
            known.numpy = dtype.dtype
            known.code = device.kind * len(dtypes.ALL) + dtype.code
            known.recordable = dtype.is_inexact
            known.xp, known.asarray = device.xp, device.backend.module.asarray
            known.ndarray = device.backend.ndarray
            known.scalars = {}
            known = cls._known.setdefault((device, dtype), known)
            known.bool_type = known if dtype is dtypes.bool_ else cls(device, dtypes.bool_)
        return known

    def scalar(self, value: float) -> Any:
        """A Python number as an operand of this dtype.

        NumPy takes a 0-d array in half the time of a Python number: it is made once per number.
        """
        if self.device.kind:
            return value
        array = np.array(value, self.numpy)
        if value:  # 0.0 and -0.0 are one key
            if len(self.scalars) >= 256:
                self.scalars.clear()
            self.scalars[value] = array
        return array

    def __repr__(self) -> str:
        prefix = "gradcore.cuda" if self.device.kind else "gradcore"
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
    concrete = Device("cuda", int(array.device.id)).open()
    return TensorType(concrete, dtypes.from_numpy_dtype(array.dtype))


def is_array(value: object) -> bool:
    """True for a NumPy array, and for a CuPy array without importing CuPy."""
    return isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "cupy"
