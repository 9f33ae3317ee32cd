"""Dropout: of elements, of whole channels, and with the mean and variance of SELU kept."""

from __future__ import annotations

import math
import warnings
from typing import Final

from ..device import is_array
from ..errors import ArgumentError, ShapeError
from ..op import primitive, public, recorded, tensor_of
from ..random import default_generator
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor, wrap
from .activation import floating

__all__: list[str] = []


# Linear and its own adjoint, so that its rule is itself. `noise` is what a generator's method of
# that name gives: on the CPU the array of factors, on CUDA the few numbers of which a kernel makes
# them, each time again.
_dropout = primitive(
    "dropout",
    lambda xp, x, noise: x * noise,
    lambda xp, g, noise: _dropout(g, noise) if xp is recorded else g * noise,
    graph="MulBackward0",
    holds_arrays=True,
    linear=True,
)


def _check(name: str, p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"{name}: dropout probability has to be between 0 and 1, but got {p}.")


def _factors(x: Tensor, shape: tuple[int, ...], p: float) -> Tensor:
    """A Tensor of this shape: 0 with probability `p`, else 1 / (1 - p)."""
    kind = x._type
    noise = default_generator(kind.device).noise(shape, p, kind.numpy)
    if is_array(noise):
        return wrap(noise)
    return _dropout(x.detach().new_ones(shape), noise)


def _channels(x: Tensor) -> tuple[int, ...]:
    """A shape of one element per channel."""
    return x._shape[:2] + (1,) * (x.ndim - 2)


def _samples(make: Maker) -> list[Sample]:
    return [
        sample(make.real(2, 3, 2), 0.0),
        sample(make.real(2, 3, 2), 1.0, True),
        sample(make.real(2, 3, 2), 0.3, False),
    ]


def _errors(make: Maker) -> list[Bad]:
    return [bad(ValueError, "has to be between 0 and 1", make.real(1, 2, 3), 1.5)]


@public(
    path="nn.functional.dropout",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 0.0),
        sample(make.real(2, 3), 1.0),
        sample(make.real(2, 3), training=False),
        sample(make.integers(0, 3, 2), 0.5, False),
    ],
    errors=lambda make: [
        bad(ValueError, "has to be between 0 and 1", make.real(2), 1.5),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 2)),
    ],
    batched=False,
)
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element set to 0 with probability `p`, the others divided by 1 - p.

    The random numbers are those of `gradcore.manual_seed`.

    Args:
        input: floating point, any shape.
        p: the probability, in [0, 1]; it is rounded to a multiple of 2^-32.
        training: False gives `input` itself.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        ArgumentError: `p` is not in [0, 1].
        DTypeError: `input` is not floating point.
    """
    _check("dropout", p)
    if not training or p == 0.0:
        return input
    x = floating("dropout", input)
    if inplace:
        return x.mul_(_factors(x, x._shape, p))
    kind = x._type
    noise = default_generator(kind.device).noise(x._shape, p, kind.numpy)
    if kind.device.base.kind and is_array(noise):  # inside vmap there is no kernel for it
        return x * wrap(noise)
    return _dropout(x, noise)


# whole channels ---------------------------------------------------------------------------------


def _feature_dropout(name: str, x: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    if not training or p == 0.0 or not x.numel():
        return x
    if x.ndim < 2:
        raise ShapeError(
            f"{name}: Feature dropout requires at least 2 dimensions in the input, and it has "
            f"{x.ndim}."
        )
    shape = _channels(x)
    factors = x.new_zeros(shape) if p == 1.0 else _factors(floating(name, x), shape, p)
    return x.mul_(factors) if inplace else x * factors


def of_features(name: str, input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """Dropout of whole channels, of `(n, channels, *)`."""
    _check(name, p)
    return _feature_dropout(name, tensor_of(name, input), p, training, inplace)


def _without_batch(
    name: str, x: Tensor, p: float, training: bool, inplace: bool, ndim: int
) -> Tensor:
    """Dropout of the channels of `x`, which are its first dimension if it has only `ndim`."""
    if x.ndim != ndim:
        return _feature_dropout(name, x, p, training, inplace)
    if inplace:
        _feature_dropout(name, x.unsqueeze(0), p, training, True)
        return x
    return _feature_dropout(name, x.unsqueeze(0), p, training, False).squeeze(0)


@public(
    path="nn.functional.dropout1d",
    samples=lambda make: [*_samples(make), sample(make.real(2, 3), 1.0)],
    errors=lambda make: [*_errors(make), bad(RuntimeError, "Expected 2D or 3D", make.real(2))],
)
def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """As `dropout2d`, for `(n, channels, length)` or `(channels, length)`.

    Raises:
        ShapeError: `input` has not two or three dimensions.
    """
    _check("dropout1d", p)
    x = tensor_of("dropout1d", input)
    if x.ndim not in (2, 3):
        raise ShapeError(
            f"dropout1d: Expected 2D or 3D input, but received a {x.ndim}D input: it sets whole "
            "channels of (n, channels, length) or (channels, length) to 0."
        )
    return _without_batch("dropout1d", x, p, training, inplace, 2)


def _warn(name: str, x: Tensor, expected: tuple[int, int]) -> None:
    if x.ndim not in expected:
        warnings.warn(
            f"{name}: Received a {x.ndim}-D input to {name}, which is deprecated and will result "
            "in an error in a future release. To retain the behavior and silence this warning, "
            f"please use dropout instead. Expected {expected[0]}-D or {expected[1]}-D inputs.",
            UserWarning,
            stacklevel=3,
        )


@public(
    path="nn.functional.dropout2d",
    samples=lambda make: [sample(make.real(1, 2, 2, 1), p) for p in (0.0, 1.0)],
    errors=_errors,
)
def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Each channel set to 0 with probability `p`, the others divided by 1 - p.

    Args:
        input: `(n, channels, height, width)`, floating point; also `(n, channels, length)`, with a
            warning.
        p: the probability, in [0, 1].
        training: False changes nothing.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        ArgumentError: `p` is not in [0, 1].
        ShapeError: `input` has less than two dimensions.
        DTypeError: `input` is not floating point.
    """
    _check("dropout2d", p)
    x = tensor_of("dropout2d", input)
    _warn("dropout2d", x, (3, 4))
    if x.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. To maintain the 1D channel-wise dropout behavior, please switch to using "
            "dropout1d instead.",
            UserWarning,
            stacklevel=2,
        )
    return _feature_dropout("dropout2d", x, p, training, inplace)


@public(
    path="nn.functional.dropout3d",
    samples=lambda make: [
        *(sample(make.real(1, 2, 2, 1, 2), p) for p in (0.0, 1.0)),
        sample(make.real(2, 1, 1, 2), 1.0),
    ],
    errors=_errors,
)
def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """As `dropout2d`, for `(n, channels, depth, height, width)`, or without a batch."""
    _check("dropout3d", p)
    x = tensor_of("dropout3d", input)
    _warn("dropout3d", x, (4, 5))
    return _without_batch("dropout3d", x, p, training, inplace, 4)


# with the mean and the variance of SELU ---------------------------------------------------------

_SATURATED: Final = 1.7580993408473766
"""Minus the value of SELU far below 0, which dropped elements get before scaling."""


def _alpha(x: Tensor, shape: tuple[int, ...], p: float, inplace: bool) -> Tensor:
    if p == 1.0:
        zeros = x.new_zeros(x._shape)
        return x.mul_(zeros) if inplace else x * zeros
    x = floating("alpha_dropout", x)
    scale = 1.0 / math.sqrt((_SATURATED * _SATURATED * p + 1.0) * (1.0 - p))
    kept = _factors(x, shape, p) * (1.0 - p)
    factor = kept * scale
    shift = (kept - 1.0) * (_SATURATED * scale) + _SATURATED * scale * p
    return x.mul_(factor).add_(shift) if inplace else x * factor + shift


@public(path="nn.functional.alpha_dropout", samples=_samples, errors=_errors)
def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Each element set to SELU's value far below 0 with probability `p`; mean and variance kept.

    The result is a x + b, with a and b such that elements of mean 0 and variance 1 keep these.

    Args:
        input: floating point, any shape.
        p: the probability, in [0, 1].
        training: False changes nothing.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        ArgumentError: `p` is not in [0, 1].
        DTypeError: `input` is not floating point.
    """
    _check("alpha_dropout", p)
    x = tensor_of("alpha_dropout", input)
    if not training or p == 0.0:
        return x
    return _alpha(x, x._shape, p, inplace)


@public(path="nn.functional.feature_alpha_dropout", samples=_samples, errors=_errors)
def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels of `(n, channels, *)`; the arguments are the same.

    Raises:
        ShapeError: `input` has less than two dimensions.
    """
    _check("feature_alpha_dropout", p)
    x = tensor_of("feature_alpha_dropout", input)
    if not training or p == 0.0:
        return x
    if x.ndim < 2:
        raise ShapeError(
            "feature_alpha_dropout: Feature dropout requires at least 2 dimensions in the input, "
            f"and it has {x.ndim}."
        )
    return _alpha(x, _channels(x), p, inplace)
