"""Gradients clipped in place, parameters as one vector, and sequences of several lengths."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError, ShapeError
from ...mode import no_grad
from ...ops.creation import tensor
from ...ops.norm import norm
from ...ops.shape import cat, reshape, stack
from ...tensor import Tensor
from . import rnn

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "rnn",
    "vector_to_parameters",
]

Tensors = Tensor | Iterable[Tensor]


def _list(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of some Tensors, as if they were one vector.

    Args:
        tensors: a Tensor or several, floating point or complex.
        norm_type: the order of the norm; `math.inf` for the largest absolute value.
        error_if_nonfinite: raise where it is infinite or nan; the host then waits for the device.
        foreach: without effect.

    Returns:
        `()`, on the device of the first Tensor; 0 of no Tensors.

    Raises:
        ArgumentError: it is not finite.
    """
    found = _list(tensors)
    order = float(norm_type)
    if not found:
        return tensor(0.0)
    with no_grad():
        device = found[0].device
        norms = [norm(reshape(t.detach(), (-1,)), order).to(device) for t in found]
        total = norm(stack(norms), order)
        if error_if_nonfinite and not total.isfinite():
            raise ArgumentError(
                f"The total norm of order {order} for gradients from `parameters` is non-finite, "
                "so it cannot be clipped. To disable this error and scale the gradients by the "
                "non-finite norm anyway, set `error_if_nonfinite=False`."
            )
    return total


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale gradients in place so that a norm, known already, becomes at most `max_norm`.

    Args:
        parameters: a Tensor or several; those without gradient are left out.
        max_norm: the largest norm.
        total_norm: that of all gradients, as `get_total_norm` gives it.
        foreach: without effect.
    """
    gradients = _gradients(_list(parameters))
    with no_grad():
        # No branch: the host need not know the norm.
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for g in gradients:
            g.mul_(factor.to(g.device))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of all parameters in place so that their norm is at most `max_norm`.

    Args:
        parameters: a Tensor or several; those without gradient are left out.
        max_norm: the largest norm.
        norm_type: its order; `math.inf` for the largest absolute value.
        error_if_nonfinite: raise where the norm is infinite or nan.
        foreach: without effect.

    Returns:
        `()`, the norm of all gradients as they were, as one vector.

    Raises:
        ArgumentError: the norm is not finite.
    """
    found = _list(parameters)
    if not found and isinstance(parameters, types.GeneratorType):
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.",
            UserWarning,
            stacklevel=2,
        )
    total = get_total_norm(_gradients(found), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(found, max_norm, total, foreach)
    return total


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Clamp the elements of all gradients in place to [-clip_value, clip_value].

    Args:
        parameters: a Tensor or several; those without gradient are left out.
        clip_value: the largest absolute value.
        foreach: without effect.
    """
    bound = float(clip_value)
    with no_grad():
        for g in _gradients(_list(parameters)):
            g.clamp_(-bound, bound)


def _check_devices(parameters: list[Tensor]) -> None:
    if len({p.device for p in parameters}) > 1:
        raise ArgumentTypeError(
            "Found two parameters on different devices, this is currently not supported."
        )


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters in one dimension, one after the other; recorded.

    Raises:
        ArgumentTypeError: they are on several devices.
    """
    found = list(parameters)
    _check_devices(found)
    return cat([reshape(p, (-1,)) for p in found])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set the data of parameters to pieces of a vector, one after the other.

    Args:
        vec: `(n)`; the parameters share its memory then.
        parameters: of as many elements in all.

    Raises:
        ArgumentTypeError: `vec` is no Tensor, or the parameters are on several devices.
        ShapeError: it is too short.
    """
    if not isinstance(vec, Tensor):
        raise ArgumentTypeError(f"expected gradcore.Tensor, but got: {_name(vec)}.")
    found = list(parameters)
    _check_devices(found)
    wanted = sum(p.numel() for p in found)
    if vec.numel() < wanted:
        raise ShapeError(f"{wanted} elements of parameters, but the vector has {vec.numel()}.")
    start = 0
    for p in found:
        end = start + p.numel()
        p.data = reshape(vec[start:end], p.shape).data
        start = end


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
