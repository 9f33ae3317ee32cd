"""What Tensors are beside their values, and writing into them number by number or on a diagonal."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DeviceError, GraphError, ShapeError
from ..op import primitive, public, tensor_of
from ..samples import bad, sample
from ..storage import address, owner
from ..tensor import Tensor, wrap
from .conversion import to
from .index import fitting
from .shape import expand

__all__ = [
    "detach",
    "fill",
    "get_device",
    "is_conj",
    "is_neg",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "resolve_conj",
    "resolve_neg",
]


# questions -------------------------------------------------------------------------------------


def is_signed(input: Tensor) -> bool:
    """True unless the dtype is bool or of unsigned integers."""
    return tensor_of("is_signed", input)._type.dtype.is_signed


def detach(input: Tensor) -> Tensor:
    """The same values without their history, in the same memory."""
    return tensor_of("detach", input).detach()


def is_conj(input: Tensor) -> bool:
    """False: conjugates are computed at once, and never marked to be computed later."""
    tensor_of("is_conj", input)
    return False


def is_neg(input: Tensor) -> bool:
    """False: negative values are computed at once, and never marked to be computed later."""
    tensor_of("is_neg", input)
    return False


def resolve_conj(input: Tensor) -> Tensor:
    """`input` itself, whose conjugation is never put off."""
    return tensor_of("resolve_conj", input)


def resolve_neg(input: Tensor) -> Tensor:
    """`input` itself, whose negation is never put off."""
    return tensor_of("resolve_neg", input)


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not 0. Waits for the device.

    Raises:
        ShapeError: there are more elements, or none.
    """
    return bool(tensor_of("is_nonzero", input))


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two Tensors have one shape."""
    return tensor_of("is_same_size", input)._shape == tensor_of("is_same_size", other)._shape


def get_device(input: Tensor) -> int:
    """The number of the CUDA device, -1 for the CPU."""
    index = tensor_of("get_device", input).device.index
    return -1 if index is None else index


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same part of the same memory: offset, shape, steps."""
    a, b = self._array, tensor._array
    return (
        owner(a) is owner(b)
        and address(a) == address(b)
        and (a.shape, a.strides, a.dtype) == (b.shape, b.strides, b.dtype)
    )


def dim_order(self: Tensor, *, ambiguity_check: bool | list[Any] = False) -> tuple[int, ...]:
    """The dimensions in the order of their steps in memory, the largest first.

    Args:
        self: `(*)`, any dtype.
        ambiguity_check: whether to raise where another order were right, too: steps are alike, or a
            length is 1. If it is a list of memory formats, not where the Tensor has one of them.

    Raises:
        ArgumentError: the order is ambiguous.
        ArgumentTypeError: `ambiguity_check` is neither a bool nor a list.
    """
    if not isinstance(ambiguity_check, bool | list):
        raise ArgumentTypeError(
            "The ambiguity_check argument must be a bool or a list of memory formats."
        )
    steps = self._array.strides
    if ambiguity_check is not False and (
        1 in self._shape or any(a == b for a, b in itertools.pairwise(steps))
    ):
        formats = [] if ambiguity_check is True else ambiguity_check
        if sum(self.is_contiguous(memory_format=name) for name in formats) != 1:
            raise ArgumentError(
                "The tensor does not have unique dim order, or cannot map to exact one of the "
                "given memory formats."
            )
    if self._array.flags.c_contiguous:
        return tuple(range(self.ndim))
    return tuple(sorted(range(self.ndim), key=lambda d: -abs(steps[d])))


def ndimension(self: Tensor) -> int:
    """The number of dimensions."""
    return self.ndim


def _is_cpu(self: Tensor) -> bool:
    """True on the CPU."""
    return not self.is_cuda


for _question in (
    *(is_signed, is_conj, is_neg, resolve_conj, resolve_neg, is_nonzero, is_same_size),
    *(get_device, is_set_to, dim_order, ndimension),
):
    setattr(Tensor, _question.__name__, _question)
setattr(Tensor, "is_cpu", property(_is_cpu))  # noqa: B010  see methods.py


# one value for all -----------------------------------------------------------------------------

_fill = primitive(
    "fill",
    lambda xp, x, value: xp.full_like(x, value),
    lambda xp, g: xp.zeros_like(g),
)
_fill_tensor = primitive(
    "fill",
    lambda xp, x, value: xp.zeros_like(x) + value,
    lambda xp, g: xp.zeros_like(g),
    lambda xp, g: xp.sum_to(g, ()),
    graph="FillBackward1",
    linear=True,
)


@public(
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 1.5),
        sample(make.real(2, 3), make.real()),
        sample(make.real(), value=2),
        sample(make.real(0), make.real()),
    ],
    errors=lambda make: [
        bad(RuntimeError, "0-dimension", make.real(2), make.real(2)),
        bad(RuntimeError, "without overflow", make.real(2), 1j),
    ],
)
def fill(input: Tensor, value: Any) -> Tensor:
    """A Tensor like `input` with one value everywhere; `input` gets a zero gradient.

    Args:
        input: `(*)`, any dtype.
        value: a number or a 0-d Tensor, which is cast to the dtype of `input`.

    Raises:
        ShapeError: `value` has dimensions.
        ArgumentError: it does not fit the dtype.
    """
    input = tensor_of("fill", input)
    if not isinstance(value, Tensor):
        return _fill(input, fitting("fill", value, input))
    if value._shape:
        raise ShapeError(
            "fill only supports 0-dimension value tensor but got tensor with "
            f"{value.ndim} dimensions."
        )
    return _fill_tensor(input, to(value, input._type.device, input._type.dtype))


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write a number on the main diagonal, and return this Tensor.

    Args:
        self: the Tensor to write to: a matrix, or more dimensions of one length.
        fill_value: the number.
        wrap: of a matrix that is higher than wide, begin again below the end of the diagonal.

    Raises:
        ShapeError: a vector, or more than two dimensions of different lengths.
    """
    shape = self._shape
    if len(shape) < 2:
        raise ShapeError("fill_diagonal_: dimensions must larger than 1.")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise ShapeError("fill_diagonal_: all dimensions of input must be of equal length.")
    mask = np.zeros(shape, bool)
    step = sum(s // mask.itemsize for s in mask.strides)
    end = None if wrap or len(shape) > 2 else min(shape) * step
    mask.reshape(-1)[slice(0, end, step)] = True
    device = self._type.device
    return self.masked_fill_(_sent(mask, device), fill_value)


def _sent(mask: np.ndarray[Any, Any], device: Any) -> Tensor:
    return wrap(device.backend.send(mask, device.base))


setattr(Tensor, "fill_diagonal_", fill_diagonal_)  # noqa: B010  see methods.py


# number by number ------------------------------------------------------------------------------


def _each(name: str, x: Tensor, function: Callable[..., Any], *others: Tensor) -> Tensor:
    if any(t._requires_grad for t in (x, *others)):
        raise GraphError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() "
            "instead."
        )
    if any(t.is_cuda for t in (x, *others)):
        raise DeviceError(f"{name} is only implemented on CPU tensors.")
    if not callable(function):
        raise ArgumentTypeError(f"'{type(function).__qualname__}' object is not callable.")
    columns = [expand(t, x._shape)._fetch().reshape(-1).tolist() for t in (x, *others)]
    values = [function(*row) for row in zip(*columns, strict=True)]
    return x.copy_(wrap(np.array(values, x._type.numpy).reshape(x._shape)))


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Write `callable(value)` for each value, one after the other in Python, on the CPU.

    Raises:
        GraphError: the Tensor requires grad.
        DeviceError: it is on a CUDA device.
    """
    return _each("apply_", self, callable)


def map_(self: Tensor, other: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Write `callable(a, b)` for each value here and in `other`, which broadcasts; see `apply_`.

    Raises:
        GraphError: one of the Tensors requires grad.
        DeviceError: one is on a CUDA device.
        ShapeError: `other` does not broadcast.
    """
    return _each("map_", self, callable, other)


def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Write `callable(a, b, c)` for each value here, in `x` and in `y`; see `map_`."""
    return _each("map2_", self, callable, x, y)


for _function in (apply_, map_, map2_):
    setattr(Tensor, _function.__name__, _function)
