"""First values of parameters: functions that fill a Tensor in place and return it.

Nothing is recorded. Random numbers are those of `generator`, or of `gradcore.manual_seed`.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError, DTypeError
from ..mode import no_grad
from ..ops.creation import randperm
from ..ops.factorization import qr
from ..ops.pointwise import where
from ..random import Generator
from ..tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_WITHOUT_GAIN = frozenset(
    {
        *("linear", "conv1d", "conv2d", "conv3d", "sigmoid"),
        *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    }
)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a function shrinks the standard deviation of what it is applied to.

    Args:
        nonlinearity: its name in `nn.functional`; 1 for linear maps and `"sigmoid"`.
        param: the negative slope of `"leaky_relu"`, 0.01 by default.

    Raises:
        ArgumentError: it is not known, or the slope is no number.
    """
    if nonlinearity in _WITHOUT_GAIN:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        elif isinstance(param, bool) or not isinstance(param, int | float):
            raise ArgumentError(f"calculate_gain: negative_slope {param} not a valid number.")
        return math.sqrt(2.0 / (1 + param**2))
    if nonlinearity == "selu":
        return 3.0 / 4  # found by experiments, as PyTorch says
    raise ArgumentError(f"calculate_gain: Unsupported nonlinearity {nonlinearity}.")


# the same everywhere ----------------------------------------------------------------------------


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with `val`."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """Fill with 1 on the diagonal and 0 elsewhere.

    Args:
        tensor: `(n, m)`.

    Raises:
        ArgumentError: it has not two dimensions.
    """
    if tensor.ndim != 2:
        raise ArgumentError("eye_: Only tensors with 2 dimensions are supported.")
    with no_grad():
        tensor.zero_().diagonal().fill_(1)
    return tensor


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill so that a convolution gives its input channels, as many as there are.

    Args:
        tensor: `(out, in, *)`, the weight of a convolution of one to three dimensions.
        groups: into how many groups `out` is divided; each is filled in the same way.

    Raises:
        ArgumentError: it has not three to five dimensions; `groups` is no divisor of `out`.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ArgumentError("dirac_: Only tensors with 3, 4, or 5 dimensions are supported.")
    out, inputs, *window = tensor.shape
    if out % groups:
        raise ArgumentError("dirac_: dim 0 must be divisible by groups.")
    middle = tuple([n // 2 for n in window])
    with no_grad():
        tensor.zero_()
        for first in range(0, out, out // groups):
            for channel in range(min(out // groups, inputs)):
                tensor[(first + channel, channel, *middle)] = 1
    return tensor


# random -----------------------------------------------------------------------------------------


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers spread evenly over [a, b).

    Raises:
        ArgumentError: `a` is larger than `b`.
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with normal numbers of this mean and standard deviation.

    Raises:
        ArgumentError: `std` is negative.
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def _below(x: float) -> float:
    """The part of normal numbers that is below `x`."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal numbers of this mean and standard deviation, those outside [a, b] left out.

    Args:
        tensor: floating point, any shape.
        mean: of the numbers before any are left out.
        std: likewise their standard deviation.
        a: the smallest number.
        b: the largest.
        generator: of the numbers.

    Raises:
        DTypeError: `tensor` is not floating point.
    """
    if not tensor.is_floating_point():
        raise DTypeError(f"trunc_normal_: expected a floating point dtype, not {tensor.dtype}.")
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            UserWarning,
            stacklevel=2,
        )
    with no_grad():
        seldom = _below((b - mean) / std) - _below((a - mean) / std) < 0.3
        draw = _evenly if seldom else _normally
        kept, y = draw(tensor, mean, std, a, b, generator)
        while not bool(kept.all()):
            again, more = draw(tensor, mean, std, a, b, generator)
            y = where(kept, y, more)
            kept = kept | again
        tensor.copy_(y)
    return tensor


def _normally(
    like: Tensor, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> tuple[Tensor, Tensor]:
    """Numbers, and which of them are not left out."""
    y = like.new_empty(like.shape).normal_(mean, std, generator=generator)
    return (y >= a) & (y <= b), y


def _evenly(
    like: Tensor, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> tuple[Tensor, Tensor]:
    """The same where normal numbers would nearly all be left out: even ones, kept by density."""
    y = like.new_empty(like.shape).uniform_(a, b, generator=generator)
    peak = ((max(a, min(mean, b)) - mean) / std) ** 2
    density = ((((y - mean) / std) ** 2 - peak) * -0.5).exp()
    return like.new_empty(like.shape).uniform_(generator=generator) < density, y


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many elements an output is made of, and how many outputs an element goes to.

    Raises:
        ArgumentError: there are less than two dimensions.
    """
    if tensor.ndim < 2:
        raise ArgumentError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions."
        )
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with even numbers of standard deviation gain * sqrt(2 / (fan_in + fan_out)).

    Args:
        tensor: `(out, in, *)`, a weight.
        gain: see `calculate_gain`.
        generator: of the numbers.

    Raises:
        ArgumentError: there are less than two dimensions.

    Reference:
        Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
        networks, 2010.
    """
    std = gain * math.sqrt(2.0 / sum(_fans(tensor)))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers, of the standard deviation and arguments of `xavier_uniform_`."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    """The standard deviation; None where there are no elements."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", UserWarning, stacklevel=3)
        return None
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(
            f"{name}: Mode {mode} not supported, please use one of ['fan_in', 'fan_out']."
        )
    fan = _fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill with even numbers of standard deviation gain / sqrt(fan).

    Args:
        tensor: `(out, in, *)`, a weight.
        a: the negative slope, for `"leaky_relu"`.
        mode: `"fan_in"` keeps the variance of outputs, `"fan_out"` that of gradients.
        nonlinearity: what the outputs go through, see `calculate_gain`.
        generator: of the numbers.

    Raises:
        ArgumentError: there are less than two dimensions; no such mode or function.

    Reference:
        He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015.
    """
    std = _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal numbers of standard deviation gain / sqrt(fan), as `kaiming_uniform_`."""
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill with a matrix, evenly distributed, whose rows or columns are orthonormal, times `gain`.

    Args:
        tensor: `(n, *)`, taken as a matrix of n rows; floating point.
        gain: a factor.
        generator: of the numbers.

    Raises:
        ArgumentError: there are less than two dimensions.

    Reference:
        Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep
        linear neural networks, 2013; Mezzadri, How to generate random matrices from the classical
        compact groups, 2006.
    """
    if tensor.ndim < 2:
        raise ArgumentError("orthogonal_: Only tensors with 2 or more dimensions are supported.")
    if not tensor.numel():
        return tensor
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    with no_grad():
        x = tensor.new_empty((rows, columns)).normal_(generator=generator)
        q, r = qr(x.mT if rows < columns else x)
        q = q * r.diagonal().sign()  # without it q would not be evenly distributed
        y = q.mT if rows < columns else q
        tensor.copy_((y * gain).reshape(tensor.shape))
    return tensor


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Fill with normal numbers of mean 0, and a part of each column with 0.

    Args:
        tensor: `(n, m)`, floating point.
        sparsity: the part of a column that is 0; the number of elements is rounded up.
        std: the standard deviation of the others.
        generator: of the numbers and places.

    Raises:
        ArgumentError: there are not two dimensions.

    Reference:
        Martens, Deep learning via Hessian-free optimization, 2010.
    """
    if tensor.ndim != 2:
        raise ArgumentError("sparse_: Only tensors with 2 dimensions are supported.")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            places = randperm(rows, generator=generator, device=tensor.device)[:zeros]
            tensor[places, column] = 0
    return tensor


# former names -----------------------------------------------------------------------------------


def _former(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    name = function.__name__[:-1]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name}_` by its former name."
    return call


constant = _former(constant_)
dirac = _former(dirac_)
eye = _former(eye_)
kaiming_normal = _former(kaiming_normal_)
kaiming_uniform = _former(kaiming_uniform_)
normal = _former(normal_)
orthogonal = _former(orthogonal_)
sparse = _former(sparse_)
uniform = _former(uniform_)
xavier_normal = _former(xavier_normal_)
xavier_uniform = _former(xavier_uniform_)
