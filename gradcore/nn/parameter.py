"""Parameters, which an optimiser changes, and buffers, which are kept beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import is_array
from ..errors import ArgumentTypeError, DTypeError
from ..tensor import Tensor, new_tensor, wrap

__all__ = ["Buffer", "Parameter"]


class _Kind(type):
    """Makes `isinstance(x, Parameter)` true of the Tensors that `Parameter` makes."""

    def __instancecheck__(cls, instance: object) -> bool:
        return getattr(instance, "_role", "").partition(",")[0] == cls.__name__


class Parameter(metaclass=_Kind):
    """A leaf that shares the memory of `data` and requires grad; a Module registers it.

    The result is a Tensor that is marked, not an instance of a class of its own: operations are
    fast because they only ask `x.__class__ is Tensor`. `isinstance(x, Parameter)` holds for it.

    Args:
        data: a Tensor or an array; without it an empty Tensor, `(0,)`, of float32.
        requires_grad: whether operations on it are recorded.

    Raises:
        DTypeError: it should require grad, and its dtype has no gradients.
        ArgumentTypeError: `data` is neither a Tensor nor an array.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Tensor:  # type: ignore[misc]  # noqa: D102
        data = _given("Parameter", data)
        if requires_grad and not data._type.recordable:
            raise DTypeError(
                "Only Tensors of floating point and complex dtype can require gradients, and data "
                f"is {data.dtype}; pass requires_grad=False, or data.float()."
            )
        t = new_tensor(data._array, data._type, data._shape, requires_grad)
        t._role = "Parameter"
        return t


class Buffer(metaclass=_Kind):
    """A Tensor that shares the memory of `data`, which a Module registers as a buffer.

    Args:
        data: a Tensor or an array; without it an empty Tensor, `(0,)`, of float32.
        persistent: whether it is part of the module's `state_dict`.

    Raises:
        ArgumentTypeError: `data` is neither a Tensor nor an array.
    """

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Tensor:  # type: ignore[misc]  # noqa: D102
        data = _given("Buffer", data)
        t = new_tensor(data._array, data._type, data._shape)
        t._role = "Buffer" if persistent else "Buffer, not persistent"
        return t


def _given(name: str, data: Any) -> Tensor:
    if data is None:
        data = wrap(np.empty(0, np.float32))
    elif is_array(data):
        data = wrap(data)
    if not isinstance(data, Tensor):
        raise ArgumentTypeError(
            f"{name}: expected data to be a Tensor or an array, not {type(data).__qualname__}."
        )
    return data
