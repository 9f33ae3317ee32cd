"""The leaves that an optimiser changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import is_array
from ..errors import ArgumentTypeError, DTypeError
from ..tensor import Tensor, new_tensor, wrap

__all__ = ["Parameter"]


class _Kind(type):
    """Makes `isinstance(x, Parameter)` true of the leaves that `Parameter` makes."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.is_leaf and instance.requires_grad


class Parameter(metaclass=_Kind):
    """A leaf that shares the memory of `data` and requires grad.

    The result is a Tensor, not an instance of a class of its own: operations are fast because they
    only ask `x.__class__ is Tensor`. `isinstance(x, Parameter)` holds for every leaf that requires
    grad, and so for those made here.

    Args:
        data: a Tensor or an array; without it an empty Tensor, `(0,)`, of float32.
        requires_grad: whether operations on it are recorded.

    Raises:
        DTypeError: it should require grad, and its dtype has no gradients.
        ArgumentTypeError: `data` is neither a Tensor nor an array.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Tensor:  # type: ignore[misc]  # noqa: D102
        if data is None:
            data = wrap(np.empty(0, np.float32))
        elif is_array(data):
            data = wrap(data)
        if not isinstance(data, Tensor):
            raise ArgumentTypeError(
                f"Parameter: expected data to be a Tensor or an array, "
                f"not {type(data).__qualname__}."
            )
        if requires_grad and not data._type.recordable:
            raise DTypeError(
                "Only Tensors of floating point and complex dtype can require gradients, and data "
                f"is {data.dtype}; pass requires_grad=False, or data.float()."
            )
        return new_tensor(data._array, data._type, data._shape, requires_grad)
