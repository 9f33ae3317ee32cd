"""Activation functions of straight pieces."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..errors import ArgumentError, DTypeError, ShapeError
from ..inplace import write
from ..op import common_device, primitive, public, tensor_of
from ..random import Generator, default_generator
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor, wrap
from .activation import _integers, floating, leaky_relu
from .arithmetic import mul
from .pointwise import where
from .shape import expand

__all__ = ["hardshrink", "prelu", "rrelu_", "threshold", "threshold_"]


def _few(make: Maker) -> list[Sample]:
    return [sample(make.real(3, 4, low=-5.0, high=8.0)), sample(make.real()), sample(make.real(0))]


# bounded ---------------------------------------------------------------------------------------

_hardtanh = primitive(
    "hardtanh",
    lambda xp, x, low, high: xp.minimum(xp.maximum(x, low), high),
    lambda xp, g, x, low, high: xp.keep(g, xp.logical_not((x <= low) | (x >= high))),
    elementwise=True,
)


def _bounded(name: str, input: Any, low: float, high: float) -> Tensor:
    x = tensor_of(name, input)
    dtype = x.dtype
    if dtype.is_complex or dtype is dtypes.bool_:
        raise DTypeError(f"{name} is not implemented for {dtype}: expected real numbers.")
    if dtype.is_floating_point:
        return _hardtanh(x, float(low), float(high))
    if int(low) < 0 and dtype.dtype.kind == "u":
        raise ArgumentError(f"{name}: {dtype} has no numbers below 0, and the bound is {low}.")
    return _hardtanh(x, int(low), int(high))


@public(
    path="nn.functional.hardtanh",
    kind="primitive",
    samples=lambda make: [*_few(make), sample(make.real(2, 3), -0.5, max_val=0.25)],
    errors=lambda make: [
        bad(RuntimeError, "is not implemented for", make.boolean(3)),
        bad(ValueError, "min_val cannot be greater than max_val", make.real(2), 1.0, 0.0),
    ],
)
def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Each element moved into [`min_val`, `max_val`]. At the bounds the derivative is 0.

    Args:
        input: real, any shape.
        min_val: the lower bound.
        max_val: the upper bound.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        ArgumentError: `min_val` is greater than `max_val`.
        DTypeError: `input` is bool or complex.
    """
    if min_val > max_val:
        raise ArgumentError("hardtanh: min_val cannot be greater than max_val")
    if inplace:
        return write(input, hardtanh, (min_val, max_val))
    return _bounded("hardtanh", input, min_val, max_val)


@public(
    path="nn.functional.relu6",
    samples=_few,
    errors=lambda make: [bad(RuntimeError, "is not implemented for", make.boolean(3))],
)
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Each element moved into [0, 6]. At the bounds the derivative is 0.

    Args:
        input: real, any shape.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        DTypeError: `input` is bool or complex.
    """
    if inplace:
        return write(input, relu6)
    return _bounded("relu6", input, 0, 6)


_hardsigmoid = primitive(
    "hardsigmoid",
    lambda xp, x: xp.minimum(xp.maximum(x + 3, 0), 6) / 6,
    lambda xp, g, x: xp.keep(g / 6, (x > -3) & (x < 3)),
    elementwise=True,
)


@public(
    path="nn.functional.hardsigmoid",
    kind="primitive",
    samples=_few,
    errors=_integers,
    departs={
        "derivative: 0, 1, 2": "PyTorch's slope is 1/6 in float32, and it has no second derivative",
        "tangent: 0, 1, 2": "PyTorch's slope is 1/6 in float32",
    },
)
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`x` / 6 + 1 / 2 of each element, moved into [0, 1]. At the bends the derivative is 0.

    Args:
        input: floating point, any shape.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        DTypeError: `input` is not floating point.
    """
    if inplace:
        return write(input, hardsigmoid)
    return _hardsigmoid(floating("hardsigmoid", input))


_hardswish = primitive(
    "hardswish",
    lambda xp, x: x * xp.minimum(xp.maximum(x + 3, 0), 6) / 6,
    lambda xp, g, x: g * (xp.keep(x / 3 + 0.5, (x > -3) & (x < 3)) + xp.logical_not(x < 3)),
    elementwise=True,
    steps=True,
)


@public(path="nn.functional.hardswish", kind="primitive", samples=_few, errors=_integers)
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Product of x and hardsigmoid(x) for each element. At -3 the derivative is 0, at 3 it is 1.

    NumPy goes over large arrays in several passes: it takes up to four times as long as PyTorch.

    Args:
        input: floating point, any shape.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        DTypeError: `input` is not floating point.
    """
    if inplace:
        return write(input, hardswish)
    return _hardswish(floating("hardswish", input))


# with a gap ------------------------------------------------------------------------------------

_hardshrink = primitive(
    "hardshrink",
    lambda xp, x, lambd: x * ((x < -lambd) | (x > lambd)),
    lambda xp, g, x, lambd: xp.keep(g, xp.logical_not((x >= -lambd) & (x <= lambd))),
    elementwise=True,
)


@public(
    methods=("hardshrink",),
    kind="primitive",
    samples=lambda make: [*_few(make), sample(make.real(2, 3), 1.0)],
    errors=_integers,
)
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Each element, or 0 for those in [-`lambd`, `lambd`], where the derivative is 0 too.

    Args:
        input: floating point, any shape.
        lambd: half the width of the gap.

    Raises:
        DTypeError: `input` is not floating point.
    """
    return _hardshrink(floating("hardshrink", input), float(lambd))


_softshrink = primitive(
    "softshrink",
    # nan is its own.
    lambda xp, x, lambd: x - xp.minimum(xp.maximum(x, -lambd), lambd),
    lambda xp, g, x, lambd: xp.keep(g, xp.logical_not((x >= -lambd) & (x <= lambd))),
    elementwise=True,
)


@public(
    path="nn.functional.softshrink",
    kind="primitive",
    samples=lambda make: [*_few(make), sample(make.real(2, 3), 1.0)],
    errors=lambda make: [
        *_integers(make),
        bad(RuntimeError, "lambda must be greater or equal to 0", make.real(2), -1.0),
    ],
)
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Each element moved towards 0 by `lambd`; 0, with derivative 0, for those nearer to 0.

    Args:
        input: floating point, any shape.
        lambd: half the width of the gap, not negative.

    Raises:
        ArgumentError: `lambd` is negative.
        DTypeError: `input` is not floating point.
    """
    if lambd < 0:
        raise ArgumentError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return _softshrink(floating("softshrink", input), float(lambd))


def _threshold_forward(xp: Any, x: Any, threshold: float, value: float) -> Any:
    low = x <= threshold
    if x.dtype.kind != "f":
        return xp.where(low, xp.full_like(x, value), x)
    y = xp.keep(x, xp.logical_not(low))  # `where` is several times slower on large arrays
    return y if value == 0 else y + xp.astype(low, x.dtype) * value


_threshold = primitive(
    "threshold",
    _threshold_forward,
    lambda xp, g, x, threshold: xp.keep(g, xp.logical_not(x <= threshold)),
    elementwise=True,
)


@public(
    path="nn.functional.threshold",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 0.3, 20.0),
        sample(make.real(), 0.5, 1),
        sample(make.real(0), 0.0, 0.0),
        sample(make.integers(-3, 4, 5), 1, 7),
    ],
)
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Each element above `threshold`, and `value` for all others, where the derivative is 0.

    Args:
        input: real, any shape.
        threshold: the bound.
        value: a number that the dtype of `input` can hold.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        DTypeError: `input` is complex.
    """
    if inplace:
        return write(input, _thresholded, (threshold, value))
    return _thresholded(input, threshold, value)


def _thresholded(input: Tensor, threshold: float, value: float) -> Tensor:
    x = tensor_of("threshold", input)
    if x.is_complex():
        raise DTypeError(f"threshold is not implemented for {x.dtype}: they have no order.")
    if not x.dtype.is_floating_point:
        threshold, value = int(threshold), int(value)
    return _threshold(x, threshold, value)


# with a slope on the left ----------------------------------------------------------------------

_prelu = primitive(
    "prelu_kernel",
    lambda xp, x, weight: xp.where(x > 0, x, weight * x),
    lambda xp, g, x, weight: xp.where(x > 0, g, weight * g),
    lambda xp, g, x: xp.where(x > 0, 0.0, x * g),
    elementwise=True,
)


@public(
    methods=("prelu",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(1)),
        sample(make.real(2, 3, 2), make.real(3)),
        sample(make.real(4), make.real()),
        sample(make.real(), make.real(1)),
        sample(make.real(0, 3), make.real(3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Mismatch of parameter numbers", make.real(2, 3), make.real(2)),
        bad(RuntimeError, "to be a scalar or 1D tensor", make.real(2, 3), make.real(1, 3)),
        bad(RuntimeError, "Not allow zero-dim input", make.real(), make.real(2)),
        bad(RuntimeError, "Type promoting not supported", make.real(2), make.integers(0, 2, 1)),
    ],
)
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Each x > 0 as it is, others times a weight; at 0 the derivative is the weight.

    Args:
        input: floating point, `(*)` or `(n, channels, *)`.
        weight: of the same dtype, one for all or one per channel.

    Raises:
        ShapeError: as many weights as there are no channels.
        DTypeError: the dtypes differ, or are not floating point.
    """
    x, w = tensor_of("prelu", input), tensor_of("prelu", weight)
    if x.dtype is not w.dtype:
        raise DTypeError(f"prelu: Type promoting not supported. Got {x.dtype} and {w.dtype}")
    x = floating("prelu", x)
    if w.ndim > 1:
        raise ShapeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {w.ndim}"
        )
    common_device("prelu", (x, w))
    if w.numel() != 1:
        if not x.ndim:
            raise ShapeError("prelu: Not allow zero-dim input tensor.")
        channels = x._shape[1] if x.ndim > 1 else 1
        if channels != w.numel():
            raise ShapeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{w.numel()} and channel size = {channels}."
            )
        w = w.reshape((channels,) + (1,) * (x.ndim - 2))
    elif x.ndim == 0:
        w = w.reshape(())
    return _prelu(x, w if w._shape == x._shape else expand(w, x._shape))


@public(
    path="nn.functional.rrelu",
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(3), 0.1, 0.5),
        sample(make.real(3), 0.25, 0.25, True),
    ],
    errors=lambda make: [
        *_integers(make),
        bad(RuntimeError, "Lower bound should be less", make.real(2), 0.5, 0.1),
    ],
    batched=False,
    departs={"node": "one name in training and else"},
)
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Each x > 0 as it is, others times a slope: a random one in training, else the middle one.

    Args:
        input: floating point, any shape.
        lower: the least slope.
        upper: the greatest slope.
        training: whether each element gets a slope of its own.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        ArgumentError: `lower` is greater than `upper`.
        DTypeError: `input` is not floating point.
    """
    if inplace:
        return rrelu_(input, lower, upper, training)
    return of_random_slope(input, lower, upper, training)


def of_random_slope(
    input: Tensor,
    lower: float,
    upper: float,
    training: bool,
    generator: Generator | None = None,
) -> Tensor:
    """`rrelu` with random numbers of `generator`."""
    x = floating("rrelu", input)
    if lower > upper:
        raise ArgumentError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    source = generator or default_generator(x._type.device)
    slopes = wrap(source.uniform(x._shape, x._type.numpy)) * (upper - lower) + lower
    return mul(x, where(x.detach() > 0, 1.0, slopes))


# forms that write ------------------------------------------------------------------------------


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` written into `input`, which is returned."""
    return hardtanh(input, min_val, max_val, True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` written into `input`, which is returned."""
    return leaky_relu(input, negative_slope, True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` written into `input`, which is returned."""
    return write(input, _thresholded, (threshold, value))


def rrelu_(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """`rrelu` written into `input`, which is returned."""
    return write(input, of_random_slope, (lower, upper, training, generator))
