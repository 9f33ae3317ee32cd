"""Rearrangements between channels and pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..batching.readings import leading
from ..device import Array
from ..errors import ShapeError
from ..op import primitive, public
from ..samples import bad, sample
from ..tensor import Tensor
from .layer import tensor_argument

__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


def _shuffled(xp: Any, x: Array, r: int) -> Array:
    *lead, channels, height, width = x.shape
    n = len(lead)
    parts = x.reshape((*lead, channels // (r * r), r, r, height, width))
    y = parts.transpose((*range(n), n, n + 3, n + 1, n + 4, n + 2)).copy()
    return y.reshape((*lead, channels // (r * r), height * r, width * r))


def _unshuffled(xp: Any, x: Array, r: int) -> Array:
    *lead, channels, height, width = x.shape
    n = len(lead)
    parts = x.reshape((*lead, channels, height // r, r, width // r, r))
    y = parts.transpose((*range(n), n, n + 2, n + 4, n + 1, n + 3)).copy()
    return y.reshape((*lead, channels * r * r, height // r, width // r))


_shuffle: Callable[..., Tensor] = primitive(
    "pixel_shuffle",
    _shuffled,
    lambda xp, g, r: xp.apply(_unshuffle, g, r),
    linear=True,
    batching=leading,
)
_unshuffle: Callable[..., Tensor] = primitive(
    "pixel_unshuffle",
    _unshuffled,
    lambda xp, g, r: xp.apply(_shuffle, g, r),
    linear=True,
    batching=leading,
)


def _image(name: str, input: Tensor, factor: int, argument: str) -> Tensor:
    """`input` as a Tensor of at least three dimensions.

    Raises:
        ShapeError: it has fewer, or the factor is not positive.
    """
    x = tensor_argument(name, "input", 1, input)
    if x.ndim < 3:
        raise ShapeError(
            f"{name} expects input to have at least 3 dimensions, but got input with "
            f"{x.ndim} dimension(s)."
        )
    if factor <= 0:
        raise ShapeError(f"{name} expects a positive {argument}, but got {factor}.")
    return x


@public(
    kind="primitive",
    samples=lambda make: [
        sample(make.real(1, 4, 2, 3), 2),
        sample(make.real(9, 1, 2), 3),
        sample(make.complex(2, 4, 1, 2), 2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least 3 dimensions", make.real(2, 3), 2),
        bad(RuntimeError, "positive upscale_factor", make.real(4, 2, 3), 0),
        bad(RuntimeError, "divisible by square of upscale_factor", make.real(3, 2, 3), 2),
    ],
)
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Each group of r^2 channels becomes one, in which a pixel is r x r of theirs.

    Args:
        input: `(*, channels * r^2, height, width)`.
        upscale_factor: r.

    Returns:
        `(*, channels, height * r, width * r)`.

    Raises:
        ShapeError: the shape or the factor is not of this kind.
    """
    x = _image("pixel_shuffle", input, upscale_factor, "upscale_factor")
    r = upscale_factor
    channels = x._shape[-3]
    if channels % (r * r):
        raise ShapeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by square of "
            f"upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}."
        )
    return _shuffle(x, r)


@public(
    kind="primitive",
    samples=lambda make: [
        sample(make.real(1, 1, 4, 6), 2),
        sample(make.real(2, 3, 3), 3),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least 3 dimensions", make.real(2, 3), 2),
        bad(RuntimeError, "positive downscale_factor", make.real(4, 2, 3), 0),
        bad(RuntimeError, "height to be divisible by", make.real(1, 3, 2), 2),
        bad(RuntimeError, "width to be divisible by", make.real(1, 2, 3), 2),
    ],
)
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of `pixel_shuffle`: each r x r pixels become one, in r^2 channels.

    Args:
        input: `(*, channels, height * r, width * r)`.
        downscale_factor: r.

    Returns:
        `(*, channels * r^2, height, width)`.

    Raises:
        ShapeError: the shape or the factor is not of this kind.
    """
    x = _image("pixel_unshuffle", input, downscale_factor, "downscale_factor")
    r = downscale_factor
    height, width = x._shape[-2:]
    for name, length in (("height", height), ("width", width)):
        if length % r:
            raise ShapeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"{name}={length} is not divisible by {r}."
            )
    return _unshuffle(x, r)


@public(
    samples=lambda make: [
        sample(make.real(1, 6, 2, 1), 3),
        sample(make.real(2, 4, 3), 2),
        sample(make.real(0, 4, 3), 2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "with > 2 dims", make.real(2, 4), 2),
        bad(RuntimeError, "must be positive", make.real(1, 4, 2), 0),
        bad(RuntimeError, "divisible by groups", make.real(1, 4, 2), 3),
    ],
    departs={"node": "composite"},
)
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of all groups in turn: first the first of each, then the second of each.

    Args:
        input: `(n, channels, *)`, of at least three dimensions.
        groups: how many groups, each of consecutive channels, there are.

    Raises:
        ShapeError: `input` has fewer dimensions, or its channels are no such groups.
    """
    x = tensor_argument("channel_shuffle", "input", 1, input)
    if x.ndim < 3:
        raise ShapeError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(x._shape)}."
        )
    channels = x._shape[1]
    if groups <= 0:
        raise ShapeError(
            "channel_shuffle: Number of groups to divide channels in must be positive. Value of "
            f"groups:{groups}."
        )
    if channels % groups:
        raise ShapeError(
            "channel_shuffle: Number of channels must be divisible by groups. Got "
            f"{channels} channels and {groups} groups."
        )
    y = x.reshape((x._shape[0], groups, channels // groups, *x._shape[2:]))
    return y.transpose(1, 2).reshape(x._shape)
