"""Making Tensors: from data, filled, in ranges, at random."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np

from .. import dtypes
from ..batching.array import BatchedArray
from ..batching.namespace import own_memory
from ..device import CPU, Array, Device, TensorType, cast_raw, cpu_type, is_array, type_of
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..mode import quiet
from ..op import NUMPY_FACES, public
from ..random import Generator, default_generator
from ..samples import sample
from ..tensor import Tensor, new_tensor, wrap
from .conversion import checked_order

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "tensor",
    "zeros",
    "zeros_like",
]

DType = Any
DeviceLike = str | Device | None


def _leaf(array: Array, requires_grad: bool) -> Tensor:
    t = wrap(array)
    if requires_grad:
        _may_require_grad(t._type.dtype)
        t._requires_grad = True
    return t


def _may_require_grad(dtype: dtypes.dtype) -> None:
    if not dtype.is_inexact:
        raise DTypeError(
            "Only Tensors of floating point and complex dtype can require gradients, "
            f"and this one is {dtype}."
        )


# from data -------------------------------------------------------------------------------------


def _first_leaf(data: Any) -> Any:
    while isinstance(data, list | tuple) and len(data):
        data = data[0]
    return data


def _check_nesting(data: Any) -> None:
    """Raise PyTorch's error for a sequence that is no rectangular array."""

    def shape_of(value: Any, depth: int) -> tuple[int, ...]:
        if not isinstance(value, list | tuple):
            if isinstance(value, str | bytes) or not (
                isinstance(value, Tensor | np.generic | bool | int | float | complex)
                or is_array(value)
            ):
                raise ArgumentTypeError(f"tensor(): invalid data type '{type(value).__name__}'.")
            return tuple(getattr(value, "shape", ()))
        if not value:
            return (0,)
        first = shape_of(value[0], depth + 1)
        for other in value[1:]:
            shape = shape_of(other, depth + 1)
            if shape != first:
                if len(shape) == len(first):
                    at = [n == m for n, m in zip(first, shape, strict=True)].index(False)
                    raise ShapeError(
                        f"expected sequence of length {first[at]} at dim {depth + 1 + at} "
                        f"(got {shape[at]})."
                    )
                raise ShapeError(
                    f"expected a rectangular sequence, but at dim {depth + 1} there are elements "
                    f"of shapes {first} and {shape}."
                )
        return (len(value), *first)

    shape_of(data, 0)


def _host_array(data: Any, dtype: dtypes.dtype | None) -> np.ndarray[Any, Any]:
    """A new host array for Python data; floats have the default dtype."""
    leaf = _first_leaf(data)
    if isinstance(data, list | tuple) and isinstance(leaf, Tensor):
        data = _without_tensors(data)
    try:
        array = np.array(data)
    except (ValueError, TypeError, OverflowError):
        array = np.array(None)
    if array.dtype.kind not in "biufc":
        _check_nesting(data)
        if isinstance(leaf, int):
            raise ArgumentError("Overflow when unpacking long long: an integer needs over 64 bits.")
        raise ArgumentTypeError(f"tensor(): invalid data type '{type(leaf).__name__}'.")
    if dtype is None and not isinstance(leaf, np.generic | np.ndarray | Tensor):
        kind = array.dtype.kind
        if kind == "f":
            dtype = dtypes.get_default_dtype()
        elif kind == "c":
            dtype = dtypes.get_default_dtype().to_complex()
        elif kind == "u":
            raise ArgumentError("Overflow when unpacking long long: an integer is above 2**63 - 1.")
    if dtype is None or array.dtype == dtype.dtype:
        return array
    if array.dtype.kind == "c" and not dtype.is_complex:
        raise ArgumentTypeError(f"tensor(): must be real number, not complex, for {dtype}.")
    _check_fits("tensor", array, dtype)
    return np.asarray(_cast(array, dtype))


def _check_fits(name: str, values: np.ndarray[Any, Any], dtype: dtypes.dtype) -> None:
    """Raise PyTorch's error for numbers that an integer dtype cannot hold.

    Unsigned ones take negative numbers down to minus their largest, and wrap them.
    """
    if dtype.is_inexact or dtype is dtypes.bool_ or values.dtype.kind == "b" or not values.size:
        return
    limits = np.iinfo(dtype.dtype)
    low = limits.min if dtype.is_signed else -limits.max
    if not (values.min() >= low and values.max() <= limits.max):
        raise ArgumentError(
            f"{name}: value cannot be converted to type {dtype.name} without overflow."
        )


def _without_tensors(data: Any) -> Any:
    if isinstance(data, list | tuple):
        return [_without_tensors(value) for value in data]
    return data._fetch() if isinstance(data, Tensor) else data


def _cast(array: Array, dtype: dtypes.dtype) -> Array:
    if array.dtype.kind == "c" and not dtype.is_complex and dtype is not dtypes.bool_:
        array = array.real
    with quiet():
        return array.astype(dtype.dtype)


def tensor(
    data: Any,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new Tensor with a copy of `data`, a leaf.

    Args:
        data: a number, nested sequences of numbers, a NumPy or CuPy array, a Tensor.
        dtype: default: that of an array; of Python numbers bool, int64, float32, complex64.
        device: default: that of an array, else the CPU.
        requires_grad: record what is done with it.

    Raises:
        ShapeError: nested sequences of different lengths.
        ArgumentTypeError: `data` has elements that are no numbers.
        DTypeError: `requires_grad` with integers or bools.
    """
    wanted = None if dtype is None else dtypes.to_dtype(dtype)
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), "
            "rather than gradcore.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        data = data._array
    if is_array(data):
        source = wrap(data)
        target = source._type.device if device is None else Device(device).open()
        kind = TensorType(target, wanted or source.dtype)
        array = cast_raw(source._array, source._type, kind)
        if array is data or _may_share(array, data):
            array = array.copy()
        return _leaf(array, requires_grad)
    host = _host_array(data, wanted)
    if requires_grad:
        _may_require_grad(dtypes.from_numpy_dtype(host.dtype))
    return _leaf(_place(host, device), requires_grad)


def _may_share(array: Array, data: Array) -> bool:
    return (
        isinstance(array, np.ndarray)
        and isinstance(data, np.ndarray)
        and bool(np.may_share_memory(array, data))
    )


def _place(host: np.ndarray[Any, Any], device: DeviceLike) -> Array:
    if device is None:
        return host
    target = Device(device).open()
    return host if target is CPU else target.backend.send(host, target)


def as_tensor(data: Any, dtype: DType = None, device: DeviceLike = None) -> Tensor:
    """A Tensor for `data`, which shares memory and history with it where that is possible.

    Args:
        data: as for `tensor`.
        dtype: default: that of the data.
        device: default: that of the data.
    """
    if isinstance(data, Tensor) or is_array(data):
        source = data if isinstance(data, Tensor) else wrap(data)
        target = source._type.device if device is None else Device(device).open()
        wanted = source.dtype if dtype is None else dtypes.to_dtype(dtype)
        kind = TensorType(target, wanted)
        return source if kind is source._type else source.to(kind.device, kind.dtype)
    return tensor(data, dtype=dtype, device=device)


def asarray(
    obj: Any,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor for `obj`: shares memory unless `copy` says otherwise or dtype or device differ."""
    t = as_tensor(obj, dtype, device)
    source = obj._array if isinstance(obj, Tensor) else obj
    if copy is False and t._array is not source:
        raise ArgumentError("asarray: a copy is needed, and copy=False forbids it.")
    if copy and t._array is source:
        t = t.clone()
    if requires_grad:
        t = t.detach().requires_grad_()
    return t


def from_numpy(ndarray: np.ndarray[Any, Any]) -> Tensor:
    """A Tensor that shares memory with a NumPy array.

    Raises:
        ArgumentTypeError: it is no NumPy array.
        DTypeError: gradcore has no such dtype.
    """
    if not isinstance(ndarray, np.ndarray):
        raise ArgumentTypeError(f"expected np.ndarray (got {type(ndarray).__name__}).")
    return wrap(ndarray)


# filled ----------------------------------------------------------------------------------------


def _shape(name: str, size: tuple[Any, ...], named: Any = None) -> tuple[int, ...]:
    """The shape in `name(2, 3)`, `name((2, 3))` or `name(size=(2, 3))`."""
    if named is not None:
        size = (*size, named)
    if len(size) == 1 and isinstance(size[0], list | tuple):
        (size,) = size
    try:
        shape = tuple(map(index, size))
    except TypeError:
        raise ArgumentTypeError(
            f"{name}(): the size must be integers, but got {tuple(size)}."
        ) from None
    for n in shape:
        if n < 0:
            raise ShapeError(
                f"{name}: Trying to create tensor with negative dimension {n}: {list(shape)}."
            )
    return shape


def type_asked_for(dtype: DType, device: DeviceLike) -> TensorType:
    wanted = dtypes.get_default_dtype() if dtype is None else dtypes.to_dtype(dtype)
    if device is None:
        return cpu_type(wanted)
    return TensorType(Device(device).open(), wanted)


def made_by(make: Callable[[Any], Array], kind: TensorType, requires_grad: bool) -> Tensor:
    """The leaf that `make(module)` gives on the device of `kind`."""
    if requires_grad:
        _may_require_grad(kind.dtype)
    array = make(np) if kind.device is CPU else kind.device.backend.on(kind.device, make)
    return new_tensor(array, kind, array.shape, requires_grad)


def _filled(shape: tuple[int, ...], value: Any, kind: TensorType, requires_grad: bool) -> Tensor:
    if requires_grad:
        _may_require_grad(kind.dtype)
    if kind.device is CPU:
        array = np.empty(shape, kind.numpy)
        array.fill(value)  # numpy.ones and numpy.full do the same in twice the time
    else:
        make = lambda module: module.full(shape, value, kind.numpy)
        array = kind.device.backend.on(kind.device, make)
    return new_tensor(array, kind, shape, requires_grad)


def _empty(shape: tuple[int, ...], kind: TensorType) -> Array:
    return kind.device.backend.on(kind.device, lambda xp: xp.empty(shape, kind.numpy))


def zeros(
    *args: Any,
    size: Any = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor of zeros, of the default dtype unless `dtype` is given."""
    shape, kind = _shape("zeros", args, size), type_asked_for(dtype, device)
    return made_by(lambda xp: xp.zeros(shape, kind.numpy), kind, requires_grad)


def ones(
    *args: Any,
    size: Any = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor of ones, of the default dtype unless `dtype` is given."""
    shape, kind = _shape("ones", args, size), type_asked_for(dtype, device)
    return _filled(shape, 1, kind, requires_grad)


def empty(
    *args: Any,
    size: Any = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A Tensor whose elements are whatever was in memory."""
    if memory_format is not None:
        checked_order("empty", memory_format)
    shape, kind = _shape("empty", args, size), type_asked_for(dtype, device)
    return made_by(lambda xp: xp.empty(shape, kind.numpy), kind, requires_grad)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor of `size` filled with a number, whose dtype it has unless `dtype` is given."""
    value = fill_value.item() if isinstance(fill_value, Tensor | np.generic) else fill_value
    if not isinstance(value, bool | int | float | complex):
        raise ArgumentTypeError(
            f"full(): argument 'fill_value' must be a number, not {type(value).__qualname__}."
        )
    shape = _shape("full", (size,))
    kind = type_asked_for(dtypes.scalar_dtype(value) if dtype is None else dtype, device)
    if dtype is None:
        return _filled(shape, value, kind, requires_grad)
    host = np.asarray(value)
    if host.dtype.kind == "c" and not kind.dtype.is_complex:
        raise ArgumentError(
            f"full: value cannot be converted to type {kind.dtype.name} without overflow."
        )
    _check_fits("full", host, kind.dtype)
    return _filled(shape, _cast(host, kind.dtype)[()], kind, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """An n x m Tensor (m = n by default) with ones on the diagonal and zeros elsewhere."""
    shape, kind = _shape("eye", (n, n if m is None else m)), type_asked_for(dtype, device)
    return made_by(lambda xp: xp.eye(*shape, dtype=kind.numpy), kind, requires_grad)


def _like(input: Tensor, dtype: DType, device: DeviceLike, memory_format: Any = None) -> TensorType:
    if memory_format is not None:  # the result is row-major, and may be
        checked_order("a function of a Tensor's shape", memory_format)
    return TensorType(
        input._type.device.base if device is None else Device(device).open(),
        input._type.dtype if dtype is None else dtypes.to_dtype(dtype),
    )


def _per_sample(made: Tensor, like: Tensor) -> Tensor:
    """`made`, with memory for each sample where `like` is batched: it may be written to."""
    if like._array.__class__ is not BatchedArray:
        return made
    array = own_memory(made._array, like._array)
    return new_tensor(array, type_of(array), made._shape, made._requires_grad)


def _filled_like(name: str, adapter: Any = None) -> Callable[[Any], Any]:
    return public(
        numpy={name: adapter},
        array_api=name,
        differentiable=False,
        samples=lambda make: [sample(make.real(2, 3)), sample(make.real()), sample(make.real(0))],
    )


@_filled_like("zeros_like", lambda a, dtype=None: zeros_like(a, dtype=dtype))
def zeros_like(
    input: Tensor,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros of the shape, dtype and device of `input`."""
    shape, kind = input._shape, _like(input, dtype, device, memory_format)
    made = made_by(lambda xp: xp.zeros(shape, kind.numpy), kind, requires_grad)
    return _per_sample(made, input)


@_filled_like("ones_like", lambda a, dtype=None: ones_like(a, dtype=dtype))
def ones_like(
    input: Tensor,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones of the shape, dtype and device of `input`."""
    shape, kind = input._shape, _like(input, dtype, device, memory_format)
    return _per_sample(_filled(shape, 1, kind, requires_grad), input)


def empty_like(
    input: Tensor,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A Tensor of the shape, dtype and device of `input` with whatever was in memory."""
    shape, kind = input._shape, _like(input, dtype, device, memory_format)
    made = made_by(lambda xp: xp.empty(shape, kind.numpy), kind, requires_grad)
    return _per_sample(made, input)


@public(
    numpy={"full_like": lambda a, fill_value, dtype=None: full_like(a, fill_value, dtype=dtype)},
    array_api="full_like",
    differentiable=False,
    samples=lambda make: [sample(make.real(2, 3), 1.5)],
)
def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A Tensor of the shape, dtype and device of `input` filled with a number."""
    kind = _like(input, dtype, device, memory_format)
    made = full(
        input._shape, fill_value, dtype=kind.dtype, device=kind.device, requires_grad=requires_grad
    )
    return _per_sample(made, input)


# Namespace's own: a rule that needs zeros of another shape than its arguments.
NUMPY_FACES["zeros"] = lambda shape, like: zeros(shape, dtype=like.dtype, device=like.device)


# ranges ----------------------------------------------------------------------------------------


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers start, start + step, ... before `end`; `arange(end)` starts at 0.

    Raises:
        ArgumentError: `step` is 0, or leads away from `end`; a number is infinite or nan.
    """
    if end is None:
        start, end = 0, start
    values = [v.item() if isinstance(v, Tensor | np.generic) else v for v in (start, end, step)]
    if not all(math.isfinite(v) for v in values):
        raise ArgumentError(f"arange: unsupported range: {values[0]} -> {values[1]}")
    if dtype is dtypes.int64:
        values = [int(v) for v in values]
    first, last, by = values
    if by == 0:
        raise ArgumentError("arange: step must be nonzero.")
    if (last - first) / by < 0:
        raise ArgumentError(
            "arange: upper bound and lower bound inconsistent with step sign: "
            f"start {first}, end {last}, step {by}."
        )
    if dtype is None and all(isinstance(v, int) for v in values):
        dtype = dtypes.int64
    kind = type_asked_for(dtype, device)
    count = (
        -((first - last) // by)
        if all(isinstance(v, int) for v in values)
        else math.ceil((last - first) / by)
    )
    if not kind.recordable:  # PyTorch steps in the integers: arange(-1.5, 2) starts at -1
        first, by = int(first), int(by)
    host = first + by * np.arange(count)
    return made_by(lambda xp: xp.asarray(host.astype(kind.numpy)), kind, requires_grad)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included.

    Of an integer dtype both ends are made integers first.

    Raises:
        ArgumentError: `steps` is negative.
        ArgumentTypeError: it is no integer.
    """
    first, last = (v.item() if isinstance(v, Tensor | np.generic) else v for v in (start, end))
    try:
        steps = index(steps)
    except TypeError:
        raise ArgumentTypeError(
            f"linspace(): argument 'steps' must be int, not {type(steps).__qualname__}."
        ) from None
    if steps < 0:
        raise ArgumentError(f"linspace: number of steps must be non-negative, not {steps}.")
    if dtype is None and (isinstance(first, complex) or isinstance(last, complex)):
        dtype = dtypes.get_default_dtype().to_complex()
    kind = type_asked_for(dtype, device)
    if not kind.recordable:
        first, last = int(first), int(last)
    # From both ends to the middle, as PyTorch does: the result is symmetric.
    exact = kind.numpy if kind.recordable else np.dtype(np.float64)
    by = exact.type((last - first) / max(steps - 1, 1))
    places = np.arange(steps)
    ahead = exact.type(first) + by * places.astype(exact)
    back = exact.type(last) - by * (steps - 1 - places).astype(exact)
    host = np.where(places < steps // 2, ahead, back) if steps != 1 else ahead
    return made_by(lambda xp: xp.asarray(host.astype(kind.numpy)), kind, requires_grad)


# at random -------------------------------------------------------------------------------------


def _generator(given: Generator | None, kind: TensorType) -> Generator:
    generator = default_generator(kind.device) if given is None else given
    if generator.device is not kind.device:
        raise ArgumentError(
            f"Expected a '{kind.device}' device type for generator but found '{generator.device}'."
        )
    return generator


def _random(
    name: str,
    draw: str,
    shape: tuple[int, ...],
    kind: TensorType,
    requires_grad: bool,
    generator: Generator | None,
) -> Tensor:
    if not kind.recordable:
        raise DTypeError(f"{name}: not implemented for {kind.dtype}; expected a floating dtype.")
    array = getattr(_generator(generator, kind), draw)(shape, kind.numpy)
    if not shape and kind.device is CPU:
        array = np.asarray(array)  # NumPy draws a scalar
    if array.__class__ is BatchedArray:
        kind = type_of(array)
    return new_tensor(array, kind, array.shape, requires_grad)


def rand(
    *args: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random numbers, uniform in [0, 1)."""
    kind = type_asked_for(dtype, device)
    return _random("rand", "uniform", _shape("rand", args, size), kind, requires_grad, generator)


def randn(
    *args: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random numbers, normal with mean 0 and variance 1."""
    kind = type_asked_for(dtype, device)
    return _random("randn", "normal", _shape("randn", args, size), kind, requires_grad, generator)


def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random integers in [low, high), int64 unless `dtype` is given; `randint(high, size)` from 0.

    Raises:
        ArgumentError: `high` is not above `low`, or a bound is no number of the dtype.
    """
    if size is None:
        low, high, size = 0, low, high
    if size is None or isinstance(high, list | tuple):
        raise ArgumentTypeError("randint() needs high and size: randint(10, (2, 3)).")
    if high <= low:
        raise ArgumentError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}."
        )
    kind = type_asked_for(dtypes.int64 if dtype is None else dtype, device)
    if requires_grad:
        _may_require_grad(kind.dtype)
    least, most = _drawable(kind.dtype)
    for bound, value in (("from", low), ("to - 1", high - 1)):
        if not least <= value <= most:
            raise ArgumentError(f"randint: {bound} is out of bounds for {kind.dtype}: {value}.")
    shape = _shape("randint", (size,))
    array = _generator(generator, kind).integers(low, high, shape, kind.numpy)
    return _leaf(array, requires_grad)


def _drawable(dtype: dtypes.dtype) -> tuple[int, int]:
    """The least and the largest integer that `randint` gives; it draws them as int64."""
    if dtype is dtypes.bool_:
        return 0, 1
    limits = np.iinfo(np.int64 if dtype.is_inexact else dtype.dtype)
    return int(limits.min), min(int(limits.max), 2**63 - 1)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers 0 to n - 1 in random order, int64 unless `dtype` is given."""
    kind = type_asked_for(dtypes.int64 if dtype is None else dtype, device)
    if requires_grad:
        _may_require_grad(kind.dtype)
    (n,) = _shape("randperm", (n,))
    return _leaf(_generator(generator, kind).permutation(n, kind.numpy), requires_grad)


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uniform random numbers of the shape, dtype and device of `input`."""
    kind = _like(input, dtype, device, memory_format)
    return _random("rand_like", "uniform", input._shape, kind, requires_grad, generator)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Normal random numbers of the shape, dtype and device of `input`."""
    kind = _like(input, dtype, device, memory_format)
    return _random("randn_like", "normal", input._shape, kind, requires_grad, generator)


def randint_like(
    input: Tensor,
    low: Any = None,
    high: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Random integers in [low, high) of the shape, dtype and device of `input`.

    One number alone is `high`; it may be a Tensor.
    """
    if high is None:
        low, high = None, low
    low, high = 0 if low is None else low, int(high)
    kind = _like(input, dtype, device, memory_format)
    return randint(
        low,
        high,
        input._shape,
        generator=generator,
        dtype=kind.dtype,
        device=kind.device,
        requires_grad=requires_grad,
    )


def _new(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(
        self: Tensor,
        *args: Any,
        size: Any = None,
        dtype: DType = None,
        device: DeviceLike = None,
        requires_grad: bool = False,
    ) -> Tensor:
        kind = _like(self, dtype, device)
        if size is not None:
            args = (size, *args)
        made = make(*args, dtype=kind.dtype, device=kind.device, requires_grad=requires_grad)
        return _per_sample(made, self)

    method.__name__ = method.__qualname__ = f"new_{make.__name__}"
    method.__doc__ = f"`{make.__name__}(...)` with the dtype and on the device of this Tensor."
    return method


for _make in (zeros, ones, empty):
    setattr(Tensor, f"new_{_make.__name__}", _new(_make))


def _new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`tensor(...)` with the dtype and on the device of this Tensor."""
    kind = _like(self, dtype, device)
    made = tensor(data, dtype=kind.dtype, device=kind.device, requires_grad=requires_grad)
    return _per_sample(made, self)


def _new_full(
    self: Tensor,
    size: Any,
    fill_value: Any,
    *,
    dtype: DType = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`full(...)` with the dtype and on the device of this Tensor."""
    kind = _like(self, dtype, device)
    made = full(size, fill_value, dtype=kind.dtype, device=kind.device, requires_grad=requires_grad)
    return _per_sample(made, self)


for _method in (_new_tensor, _new_full):
    _method.__name__ = _method.__qualname__ = _method.__name__.lstrip("_")
    setattr(Tensor, _method.__name__, _method)
