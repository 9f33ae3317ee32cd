"""gradcore and its peers: how each is loaded, and how it runs a workload on a device."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy as np

from gradcore_bench.environment import cpu_model, free_memory, gpu_state
from gradcore_bench.errors import BenchError
from gradcore_bench.workloads.workload import Array, Lib, Step, Workload

CPU, CUDA = "cpu", "cuda"


class Library(ABC):
    """A library that computes gradients.

    Args:
        threads: the size of its thread pools, where it has a call for that.

    Raises:
        BenchError: it is not installed.
    """

    name: ClassVar[str]
    devices: tuple[str, ...] = (CPU,)

    def __init__(self, threads: int) -> None:
        self.load(self.name)

    def load(self, module: str) -> Any:
        """Imports a module of the library."""
        try:
            return import_module(module)
        except ImportError as error:
            raise BenchError(
                f"--against {self.name}: the package {self.name} is not installed "
                f"({error}); pip install {self.name}"
            ) from None

    @property
    def version(self) -> str:
        """Of the installed distribution, or of the module where that is not installed."""
        try:
            return version(self.name)
        except PackageNotFoundError:
            return str(getattr(import_module(self.name), "__version__", "unknown"))

    @abstractmethod
    def step(self, workload: Workload, n: int, device: str) -> Step:
        """A step of the workload, on arrays that lie on the device."""

    def gradients(self, holders: Any) -> Sequence[Any]:
        """The gradients, from what a step returned beside the loss."""
        return list(holders)

    def to_numpy(self, value: Any) -> Array:
        """The library's array as NumPy's."""
        return np.asarray(value)

    def now(self, device: str) -> Callable[[], int]:
        """A clock, in nanoseconds, that waits for the device's work to end."""
        return time.perf_counter_ns


class TorchLike(Library):
    """A library in PyTorch's spelling; `lib` is its module."""

    lib: Lib

    def __init__(self, threads: int) -> None:
        self.lib = self.load(self.name)
        if hasattr(self.lib, "set_num_threads"):
            self.lib.set_num_threads(threads)
        if self.lib.cuda.is_available():
            self.devices = (CPU, CUDA)

    def step(self, workload: Workload, n: int, device: str) -> Step:
        """The workload's step in PyTorch's spelling."""
        return workload.step(self.lib, n, device)

    def gradients(self, holders: Any) -> Sequence[Any]:
        """The leaves' `.grad`."""
        return [holder.grad for holder in holders]

    def why_not(self, device: str) -> str:
        """Why the library is not timed on the device; empty if it is."""
        if device in self.devices:
            return ""
        return f"{self.name} {self.version} finds no CUDA device: it is not timed on the GPU"

    def to_numpy(self, value: Any) -> Array:
        """The Tensor's value, on the host."""
        return np.asarray(value.detach().cpu().numpy())

    def now(self, device: str) -> Callable[[], int]:
        """A clock, in nanoseconds, that waits for the device's work to end."""
        if device == CPU:
            return super().now(device)
        synchronize = self.lib.cuda.synchronize

        def now() -> int:
            synchronize()
            return time.perf_counter_ns()

        return now

    def release(self, device: str) -> None:
        """Gives the device's memory that the library keeps for later back to the others."""
        if device == CUDA:
            self.lib.cuda.empty_cache()


class Gradcore(TorchLike):
    """The library under test."""

    name = "gradcore"

    def load(self, module: str) -> Any:
        """Imports gradcore, which this package comes with."""
        return import_module(module)

    def why_no_cuda(self) -> str:
        """What gradcore says when it is asked for a CUDA device that is not there."""
        try:
            self.lib.ones(1, device=CUDA)
        except Exception as error:
            return (str(error) or type(error).__name__).splitlines()[0]
        return ""

    def device_name(self, device: str) -> str:
        """The model of the device."""
        if device == CUDA:
            return str(self.lib.cuda.get_device_name())
        return cpu_model()

    @property
    def cupy(self) -> Any:
        """The module that runs gradcore's CUDA Tensors."""
        return self.lib.device(CUDA).backend.module

    def free_memory(self, device: str) -> int | None:
        """Bytes that can still be had on the device, or None where that is not known."""
        if device == CPU:
            return free_memory()
        pool = self.cupy.get_default_memory_pool()
        return int(self.cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes())

    def release(self, device: str) -> None:
        """Empties CuPy's memory pool."""
        if device == CUDA:
            self.cupy.get_default_memory_pool().free_all_blocks()

    def copy_step(self, traffic: int | None, device: str) -> Callable[[], Any] | None:
        """A function that copies on the GPU, reading and writing `traffic` bytes altogether.

        None where there is nothing to copy, or no GPU.
        """
        if device == CPU or not traffic:
            return None
        cupy = self.cupy
        size = traffic // 2
        source, target = cupy.zeros(size, "uint8"), cupy.zeros(size, "uint8")
        copy, kind = cupy.cuda.runtime.memcpyAsync, cupy.cuda.runtime.memcpyDeviceToDevice
        stream = cupy.cuda.get_current_stream().ptr
        return lambda: copy(target.data.ptr, source.data.ptr, size, kind, stream)

    def gpu_facts(self) -> dict[str, Any]:
        """What a GPU's timings depend on beside the code: hardware, driver, clocks, versions."""
        runtime = self.cupy.cuda.runtime
        device = runtime.getDevice()
        properties = runtime.getDeviceProperties(device)
        return {
            "compute capability": f"{properties['major']}.{properties['minor']}",
            "multiprocessors": properties["multiProcessorCount"],
            "memory": properties["totalGlobalMem"],
            "L2 cache": properties.get("l2CacheSize"),
            "CUDA of the driver": _cuda_version(runtime.driverGetVersion()),
            "CUDA of CuPy": _cuda_version(runtime.runtimeGetVersion()),
            **gpu_state(runtime.deviceGetPCIBusId(device)),
        }


def _cuda_version(number: int) -> str:
    """12090 is 12.9."""
    return f"{number // 1000}.{number % 1000 // 10}"


class Torch(TorchLike):
    """PyTorch, eager."""

    name = "torch"


class Numpy(Library):
    """Plain NumPy, with the gradient written by hand."""

    name = "numpy"

    def step(self, workload: Workload, n: int, device: str) -> Step:
        """The hand-written gradient, and the SGD step in place."""
        leaves, constants = workload.arrays(n)
        gradients, rate = workload.gradients, workload.learning_rate

        def step() -> tuple[Any, Any]:
            loss, grads = gradients(*leaves, *constants)
            if rate is not None:
                for leaf, grad in zip(leaves, grads, strict=True):
                    np.subtract(leaf, rate * grad, out=leaf)
            return loss, grads

        return step


class _Functional(Library):
    """A library that differentiates functions of NumPy's spelling."""

    xp: Any

    @abstractmethod
    def value_and_grad(self, function: Callable[..., Any], count: int) -> Callable[..., Any]:
        """The function's value and its gradient for the first `count` arguments."""

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as the library's users would call it many times."""
        return function

    def wait(self, value: Any) -> Any:
        """The value once it is computed."""
        return value

    def to_device(self, array: Array, device: str) -> Any:
        """The array as the library's own, on a device."""
        return array

    def step(self, workload: Workload, n: int, device: str) -> Step:
        """The differentiated loss; with an SGD step, one function does both."""
        leaves, constants = (
            tuple(self.to_device(array, device) for array in arrays)
            for arrays in workload.arrays(n)
        )
        rate = workload.learning_rate

        def loss(*arrays: Any) -> Any:
            return workload.loss_numpy(self.xp, *arrays)

        differentiated = self.value_and_grad(loss, len(leaves))
        wait = self.wait
        if rate is None:
            plain = self.compile(differentiated)
            return lambda: wait(plain(*leaves, *constants))

        def update(leaves: Any, constants: Any) -> Any:
            value, grads = differentiated(*leaves, *constants)
            return value, grads, [a - rate * g for a, g in zip(leaves, grads, strict=True)]

        compiled = self.compile(update)

        def step() -> tuple[Any, Any]:
            nonlocal leaves
            value, grads, leaves = wait(compiled(leaves, constants))
            return value, grads

        return step


class Autograd(_Functional):
    """HIPS/autograd."""

    name = "autograd"

    def __init__(self, threads: int) -> None:
        self._autograd = self.load("autograd")
        self.xp = self.load("autograd.numpy")

    def value_and_grad(self, function: Callable[..., Any], count: int) -> Callable[..., Any]:
        """`autograd.value_and_grad`."""
        return self._autograd.value_and_grad(function, tuple(range(count)))  # type: ignore[no-any-return]


class Jax(_Functional):
    """JAX, compiled by `jax.jit`."""

    name = "jax"

    def __init__(self, threads: int) -> None:
        # Else JAX takes three quarters of the GPU's memory from the others.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        self._jax = self.load("jax")
        self.xp = self.load("jax.numpy")
        if self._jax.default_backend() == "gpu":
            self.devices = (CPU, CUDA)

    def value_and_grad(self, function: Callable[..., Any], count: int) -> Callable[..., Any]:
        """`jax.value_and_grad`."""
        return self._jax.value_and_grad(function, tuple(range(count)))  # type: ignore[no-any-return]

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`jax.jit`."""
        return self._jax.jit(function)  # type: ignore[no-any-return]

    def wait(self, value: Any) -> Any:
        """JAX returns before its work is done."""
        return self._jax.block_until_ready(value)

    def to_device(self, array: Array, device: str) -> Any:
        """A JAX array on the first device of that kind."""
        return self._jax.device_put(array, self._jax.devices({CUDA: "gpu"}.get(device, device))[0])


PEERS: dict[str, type[Library]] = {peer.name: peer for peer in (Torch, Numpy, Autograd, Jax)}
