"""Other dtypes, other devices, and copies."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .. import dtypes
from ..device import BATCHED, CPU, Device, TensorType, cupy_backend, rebased
from ..errors import ArgumentError, ArgumentTypeError
from ..op import primitive, public
from ..samples import bad, sample
from ..tensor import Lifted, Tensor

__all__ = ["clone", "contiguous_format", "preserve_format"]

preserve_format: Final = "preserve_format"
"""Memory format of a copy: that of the original where it has no gaps."""
contiguous_format: Final = "contiguous_format"
"""Memory format of a copy: row-major without gaps."""

_ORDERS: Final[dict[Any, str]] = {None: "K", preserve_format: "K", contiguous_format: "C"}


def checked_order(name: str, memory_format: Any) -> str:
    """NumPy's letter for a memory format, an argument of the operation `name`.

    Raises:
        ArgumentError: there is no such memory format.
    """
    try:
        return _ORDERS[memory_format]
    except (KeyError, TypeError):
        raise ArgumentError(
            f"{name}: expected memory_format to be gradcore.preserve_format or "
            f"gradcore.contiguous_format, but got {memory_format!r}."
        ) from None


_to_copy = primitive(
    "to_copy",
    lambda xp, x, source, target: xp.send(x, source, target),
    lambda xp, g, source, target: xp.send(g, target, source),
    linear=True,
)
_to_copy_later = primitive(
    "to_copy",
    lambda xp, x, source, target: xp.send(x, source, target, True),
    lambda xp, g, source, target: xp.send(g, target, source),
)
_clone = primitive("clone", lambda xp, x, order: x.copy(order=order), lambda xp, g: g, linear=True)


def _convert(x: Tensor, target: TensorType, non_blocking: bool = False) -> Tensor:
    source = x._type
    if BATCHED in (source.device.kind, target.device.kind):
        target = TensorType(rebased(source.device, target.device.base), target.dtype)
    if source is target:
        return x
    if x.__class__ is not Tensor and isinstance(x, Lifted):
        return x._linear("to", lambda v: _convert(v, target, non_blocking), (x,))  # type: ignore[no-any-return]
    copied: Tensor = (_to_copy_later if non_blocking else _to_copy)(x, source, target)
    if copied._type is not target:
        # Of a result of the class and dtype of its operand, a primitive takes the device to be too.
        copied._type = target
        if copied._node is not None:
            copied._node.type = target
    return copied


def _as_numpy_type(x: Tensor, dtype: Any, *, copy: bool = True, device: Any = None) -> Tensor:
    """NumPy's `astype`; as a rule sees it, it need not copy."""
    return _convert(x, TensorType(x._type.device, dtypes.to_dtype(dtype)))


def _is_dtype(value: Any) -> bool:
    return isinstance(value, dtypes.dtype | np.dtype | type)


@public(
    path="Tensor.to",
    methods=("to",),
    numpy={
        "astype": _as_numpy_type,
        "send": lambda x, source, target: _convert(x, target),
    },
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), dtypes.float64),
        sample(make.real(2, 3), dtypes.float64, False, True),
        sample(make.real(2, 3), dtypes.complex128),
        sample(make.real(), "cpu"),
        sample(make.real(3), "cpu", dtypes.complex128, copy=True),
        sample(make.real(2, 3), make.real(2)),
        sample(make.real(0), dtype=dtypes.complex128),
        sample(make.real(3), device="cpu", non_blocking=True),
        sample(make.real(3), dtypes.int64),
    ],
    errors=lambda make: [
        bad(RuntimeError, "device type", make.real(2), "gpu"),
        bad(TypeError, "expected a dtype", make.real(2), dtype="real"),
        bad(RuntimeError, "memory_format", make.real(2), memory_format="channels_last"),
    ],
)
def to(
    input: Tensor,
    device: Any = None,
    dtype: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    *,
    memory_format: Any = None,
) -> Tensor:
    """The same values in another dtype or on another device.

    Called as `x.to(dtype)`, `x.to(device)`, `x.to(device, dtype)` or `x.to(other)`; the latter
    takes dtype and device of the Tensor `other`. `non_blocking` and `copy` may follow each.

    Args:
        input: `(*)`, any dtype.
        device: where the result is to be, for example `"cuda"`; the same device by default. Or a
            dtype, or another Tensor.
        dtype: element type of the result, the same by default. Complex to real takes the real
            part, floating point to integer cuts off.
        non_blocking: do not wait for a copy from or to a CUDA device. From the CPU the Tensor must
            be in pinned memory (`pin_memory`), else there is no effect, and must not be changed
            before the copy is made. To the CPU the result is in pinned memory, and must not be
            read before the current stream has been waited for (`gradcore.cuda.synchronize`).
        copy: copy even where nothing changes.
        memory_format: `gradcore.preserve_format`.

    Returns:
        `(*)`; `input` itself where nothing changes.

    Raises:
        MissingPackageError: a CUDA device is asked for, and CuPy is not installed.
        DeviceError: there is no such device.
        OutOfMemoryError: it has not enough memory.
        ArgumentTypeError: the dtype or the device is none.
    """
    source = input._type
    if isinstance(device, Tensor):
        target = device._type
        if dtype is not None:
            dtype, non_blocking, copy = None, dtype, non_blocking
    elif _is_dtype(device):
        if dtype is not None and not isinstance(dtype, bool):
            raise ArgumentTypeError(
                f"to(): expected to(device, dtype) or to(dtype), but got ({device!r}, {dtype!r})."
            )
        if dtype is not None:
            non_blocking, copy = dtype, non_blocking
        target = TensorType(source.device, dtypes.to_dtype(device))
    else:
        place = source.device if device is None else _open(device)
        target = TensorType(place, source.dtype if dtype is None else dtypes.to_dtype(dtype))
    if source.device.kind == BATCHED:  # there is no way out of vmap
        target = TensorType(rebased(source.device, target.device.base), target.dtype)
    order = "K" if memory_format is None else checked_order("to", memory_format)
    if source is not target:
        return _convert(input, target, bool(non_blocking))
    if copy:
        copied: Tensor = _to_same(input, order)
        return copied
    return input


_to_same = primitive(
    "to_copy", lambda xp, x, order: x.copy(order=order), lambda xp, g: g, linear=True
)


def _open(device: Any) -> Device:
    if isinstance(device, int) and not isinstance(device, bool):
        return Device("cuda", device).open()
    return Device(device).open()


@public(path="Tensor.cpu", methods=("cpu",), samples=lambda make: [sample(make.real(2, 3))])
def cpu(input: Tensor, memory_format: Any = None) -> Tensor:
    """The Tensor on the CPU; itself where it is there already. Waits for the device."""
    if memory_format is not None:
        checked_order("cpu", memory_format)
    return to(input, _open("cpu"))


def cuda(
    input: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None
) -> Tensor:
    """The Tensor on a CUDA device; itself where it is there already.

    Args:
        input: `(*)`, any dtype.
        device: which one: its number, `"cuda:1"` ...; the current one by default.
        non_blocking: as for `Tensor.to`.
        memory_format: `gradcore.preserve_format`.

    Raises:
        MissingPackageError: CuPy is not installed.
        DeviceError: there is no such device.
        OutOfMemoryError: it has not enough memory.
        ArgumentError: the device named is not a CUDA device.
    """
    if memory_format is not None:
        checked_order("cuda", memory_format)
    place = _open("cuda" if device is None else device)
    if place.type != "cuda":
        raise ArgumentError(f"cuda(): Invalid device, must be cuda device, but got {place}.")
    return to(input, place, None, non_blocking)


_pin = primitive("pin_memory", lambda xp, x: cupy_backend().pin(x), lambda xp, g: g, linear=True)


def pin_memory(input: Tensor, device: Any = None) -> Tensor:
    """A copy in pinned (page-locked) memory of the CPU; itself where it is there already.

    Args:
        input: `(*)`, any dtype, on the CPU.
        device: without effect: pinned memory serves all CUDA devices.

    Raises:
        MissingPackageError: CuPy is not installed.
        DeviceError: there is no CUDA device.
        ArgumentError: the Tensor is on a CUDA device.
    """
    if input._type.device is not CPU:
        raise ArgumentError(
            f"cannot pin '{input._type}': only dense CPU tensors can be pinned. "
            "Use .cpu() to copy it to host memory first."
        )
    pinned: Tensor = input if cupy_backend().is_pinned(input._array) else _pin(input)
    return pinned


def is_pinned(input: Tensor, device: Any = None) -> bool:
    """True if the Tensor is in pinned memory of the CPU; False where there is no CUDA.

    Args:
        input: `(*)`, any dtype.
        device: without effect.
    """
    # Without CUDA nothing is pinned, and asking must not start it.
    if input._type.device is not CPU or not cupy_backend.cache_info().currsize:
        return False
    return cupy_backend().is_pinned(input._array)


# No operations for the suite: they need a device.
for _method in (cuda, pin_memory, is_pinned):
    setattr(Tensor, _method.__name__, _method)


def _cast(name: str, dtype: dtypes.dtype) -> Any:
    """The method `name` that casts to `dtype`."""

    def cast(input: Tensor, memory_format: Any = None) -> Tensor:
        if memory_format is not None:
            checked_order(name, memory_format)
        return _convert(input, TensorType(input._type.device, dtype))

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The Tensor as {dtype.name}; itself where it is that already."
    exact = [dtypes.float64, dtypes.complex128, dtypes.int64, dtypes.bool_]
    return public(
        path=f"Tensor.{name}",
        methods=(name,),
        differentiable=dtype.is_inexact,
        samples=lambda make: [
            sample(make.real(2, 3) if dtype in exact else make.integers(0, 9, 2, 3)),
            sample(make.integers(0, 9, 0)),
        ],
    )(cast)


for _name, _dtype in {
    "double": dtypes.float64,
    "float": dtypes.float32,
    "half": dtypes.float16,
    "cdouble": dtypes.complex128,
    "cfloat": dtypes.complex64,
    "long": dtypes.int64,
    "int": dtypes.int32,
    "short": dtypes.int16,
    "char": dtypes.int8,
    "byte": dtypes.uint8,
    "bool": dtypes.bool_,
}.items():
    _cast(_name, _dtype)


@public(
    path="Tensor.type_as",
    methods=("type_as",),
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2)),
        sample(make.real(2, 3), make.complex(2)),
    ],
)
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` in the dtype and on the device of `other`; itself where it is that already."""
    if not isinstance(other, Tensor):
        raise ArgumentTypeError(
            f"type_as(): argument 'other' must be a Tensor, not {type(other).__qualname__}."
        )
    return _convert(input, other._type)


_BY_LABEL: Final = {f"{t.label}Tensor": t for t in dtypes.ALL}


@public(
    path="Tensor.type",
    methods=("type",),
    samples=lambda make: [
        sample(make.real(2), dtypes.float64),
        sample(make.real(2), "gradcore.ComplexDoubleTensor"),
        sample(make.real(2), dtype=dtypes.int64),
    ],
    errors=lambda make: [
        bad(ValueError, "invalid type", make.real(2), "gradcore.RealTensor"),
        bad(TypeError, "expected a dtype", make.real(2), 3),
    ],
)
def type_(input: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the type, such as `"gradcore.FloatTensor"`; with `dtype`, the Tensor cast to it.

    Args:
        input: `(*)`, any dtype.
        dtype: a dtype, or a name as this function gives it.
        non_blocking: as for `Tensor.to`.

    Raises:
        ArgumentError: `dtype` is a string, and not such a name.
        ArgumentTypeError: `dtype` is no dtype.
    """
    if dtype is None:
        return repr(input._type)
    if not isinstance(dtype, str):
        wanted = TensorType(input._type.device, dtypes.to_dtype(dtype))
        return _convert(input, wanted, non_blocking)
    place, _, label = dtype.rpartition(".")
    if label not in _BY_LABEL:
        raise ArgumentError(f"type(): invalid type: {dtype!r}; expected 'gradcore.FloatTensor' ...")
    device = input._type.device
    if not place.endswith("cuda"):
        device = _open("cpu")
    elif not device.kind:
        device = _open("cuda")
    return _convert(input, TensorType(device, _BY_LABEL[label]), non_blocking)


@public(
    methods=("clone",),
    numpy={"copy": lambda a, order="K", subok=False: _clone(a, order)},
    kind="primitive",
    samples=lambda make: [
        *(sample(make.real(*shape)) for shape in ((), (3,), (2, 3), (0, 2))),
        sample(make.real(2, 3), memory_format=contiguous_format),
        sample(make.complex(2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "memory_format", make.real(2), memory_format="channels_last"),
    ],
)
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with memory of its own, through which gradients flow to `input`.

    Args:
        input: `(*)`, any dtype.
        memory_format: `gradcore.preserve_format` (the default) keeps the order of the dimensions
            in memory, `gradcore.contiguous_format` gives a row-major copy.
    """
    order = (
        _kept_order(input._array)
        if memory_format is None
        else checked_order("clone", memory_format)
    )
    copied: Tensor = _clone(input, order)
    return copied


def _kept_order(x: Any) -> str:
    """For `copy`: to NumPy an expanded dimension is the innermost, to PyTorch it has no place."""
    strides = getattr(x, "strides", ())  # of a traced array there are none
    if 0 in strides and any(not s and n > 1 for s, n in zip(strides, x.shape, strict=True)):
        return "C"
    return "K"


@public(
    path="Tensor.contiguous",
    methods=("contiguous",),
    numpy={"ascontiguousarray": lambda a, dtype=None, *, like=None: contiguous(_as(a, dtype))},
    samples=lambda make: [sample(make.real(2, 3)), sample(make.real())],
)
def contiguous(input: Tensor, memory_format: Any = contiguous_format) -> Tensor:
    """The Tensor in row-major memory without gaps: itself, or else a copy."""
    if memory_format != contiguous_format:
        checked_order("contiguous", memory_format)
        if memory_format == preserve_format:
            raise ArgumentError("contiguous(): preserve memory format is unsupported.")
    if input._array.flags.c_contiguous:
        return input
    copied: Tensor = _clone(input, "C")
    return copied


def _as(x: Tensor, dtype: Any) -> Tensor:
    return x if dtype is None else _as_numpy_type(x, dtype)
