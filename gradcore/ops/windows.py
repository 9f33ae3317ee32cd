"""Sliding windows of the last dimensions: views of arrays, and matrices made of them."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..op import primitive, public
from ..samples import bad, sample
from ..tensor import Tensor
from .layer import tensor_argument

__all__: list[str] = []

Sizes = tuple[int, ...]
How = tuple[Sizes, Sizes, Sizes, int]
"""Stride, padding before the first element, dilation, each by dimension; groups."""


def windows(module: Any, x: Array, kernel: Sizes, size: Sizes, how: How) -> Array:
    """The view `(n, c, *kernel, *size)` of `x`, `(n, c, *)`, or of a copy with zeros around it."""
    stride, padding, dilation, _ = how
    after = []
    for length, k, count, s, before, d in zip(
        x.shape[2:], kernel, size, stride, padding, dilation, strict=True
    ):
        after.append((count - 1) * s + (k - 1) * d + 1 - before - length)
    if any(padding) or max(after) > 0:
        around = [n + p + max(0, q) for n, p, q in zip(x.shape[2:], padding, after, strict=True)]
        wide = module.zeros((*x.shape[:2], *around), x.dtype)
        inside = [slice(p, p + n) for p, n in zip(padding, x.shape[2:], strict=True)]
        wide[(..., *inside)] = x
        x = wide
    steps = x.strides[2:]
    return module.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *kernel, *size),
        (
            *x.strides[:2],
            *[step * d for step, d in zip(steps, dilation, strict=True)],
            *[step * s for step, s in zip(steps, stride, strict=True)],
        ),
    )


def places(
    length: int, k: int, count: int, stride: int, padding: int, dilation: int
) -> list[tuple[int, slice, slice]]:
    """For each element of a window along one dimension, which windows have it, and where.

    Args:
        length: of the dimension.
        k: the elements of a window.
        count: the number of windows.
        stride: from one to the next.
        padding: how far before the dimension the first begins.
        dilation: the step between its elements.

    Returns:
        The number of the element, the slice of the windows, and of as many elements in the
        dimension; without elements that no window has inside.
    """
    found = []
    for j in range(k):
        shift = j * dilation - padding
        first, end = max(0, -(shift // stride)), min(count, (length - 1 - shift) // stride + 1)
        if first < end:
            at = slice(first * stride + shift, (end - 1) * stride + shift + 1, stride)
            found.append((j, slice(first, end), at))
    return found


def all_places(lengths: Sizes, kernel: Sizes, size: Sizes, how: How) -> Iterator[Any]:
    """`places` for several dimensions: a tuple of each of the three, in the order of memory."""
    along = [
        places(*one) for one in zip(lengths, kernel, size, how[0], how[1], how[2], strict=True)
    ]
    for place in itertools.product(*along):
        yield zip(*place, strict=True)


def add_windows(out: Array, parts: Array, how: How) -> None:
    """Add each element of `parts`, laid out as `windows` does, where it belongs in `out`."""
    count = out.ndim - 2
    kernel, size = parts.shape[2 : 2 + count], parts.shape[2 + count :]
    for element, taken, at in all_places(out.shape[2:], kernel, size, how):
        target = out[(..., *at)]
        target += parts[(slice(None), slice(None), *element, *taken)]


def sizes(name: str, argument: str, value: Any, count: int) -> Sizes:
    """`value` as `count` integers; one stands for all.

    Raises:
        ArgumentTypeError: it is no integer, and no sequence of them.
        ArgumentError: there are neither `count` nor one.
    """
    try:
        one: Any = (value,) if not isinstance(value, Sequence | np.ndarray) else value
        if isinstance(value, str):
            raise TypeError
        found = tuple([operator.index(n) for n in one])
    except TypeError:
        raise ArgumentTypeError(
            f"{name}(): argument {argument!r} must be tuple of ints, not {type(value).__name__}."
        ) from None
    if len(found) not in (1, count):
        raise ArgumentError(
            f"{name}: expected {argument} to be a single integer value or a list of {count} values "
            f"to match the convolution dimensions, but got {argument}={list(found)}."
        )
    return found * count if len(found) == 1 else found


def with_batch(name: str, x: Tensor, count: int) -> bool:
    """Whether `x` has a batch before the channels and its `count` dimensions.

    Raises:
        ShapeError: it has other numbers of dimensions.
    """
    if x.ndim not in (count + 1, count + 2):
        raise ShapeError(
            f"{name}: Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {name}, "
            f"but got input of size: {list(x._shape)}."
        )
    return x.ndim == count + 2


# unfold and fold ---------------------------------------------------------------------------------


def _columns(xp: Any, x: Array, kernel: Sizes, size: Sizes, how: How) -> Array:
    """`(*, c * kernel, size)` of `(*, c, *lengths)`."""
    *lead, c = x.shape[: -len(kernel)]
    x = x.reshape(math.prod(lead), c, *x.shape[-len(kernel) :])
    parts = windows(xp.module, x, kernel, size, how)
    y = xp.module.empty(parts.shape, x.dtype)
    y[...] = parts
    return y.reshape(*lead, c * math.prod(kernel), math.prod(size))


def _laid_down(
    xp: Any, columns: Array, lengths: Sizes, kernel: Sizes, size: Sizes, how: How
) -> Array:
    """`(*, c, *lengths)`, the transpose of `_columns`."""
    *lead, rows, _ = columns.shape
    n, c = math.prod(lead), rows // math.prod(kernel)
    wide = np.float32 if columns.dtype == np.float16 else columns.dtype
    out = xp.module.zeros((n, c, *lengths), wide)
    add_windows(out, columns.reshape(n, c, *kernel, *size), how)
    return out.astype(columns.dtype, copy=False).reshape(*lead, c, *lengths)


_im2col = primitive(
    "im2col",
    _columns,
    lambda xp, g, x_shape, kernel, size, how: xp.apply(
        col2im, g, x_shape[-len(kernel) :], kernel, size, how
    ),
    linear=True,
    graph="Im2ColBackward0",
    batching=leading,
)
col2im = primitive(
    "col2im",
    _laid_down,
    lambda xp, g, kernel, size, how: xp.apply(_im2col, g, kernel, size, how),
    linear=True,
    graph="Col2ImBackward0",
    batching=leading,
)


def _pairs(
    name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Sizes, How]:
    kernel = sizes(name, "kernel_size", kernel_size, 2)
    apart = sizes(name, "dilation", dilation, 2)
    before = sizes(name, "padding", padding, 2)
    steps = sizes(name, "stride", stride, 2)
    for what, found, least in (
        ("kernel size", kernel, 1),
        ("dilation", apart, 1),
        ("stride", steps, 1),
        ("padding", before, 0),
    ):
        if min(found) < least:
            rest = "greater than zero" if least else "non-negative"
            raise ArgumentError(
                f"{name}: {what} should be {rest}, but got {what}_height: {found[0]} "
                f"{what}_width: {found[1]}."
            )
    return kernel, (steps, before, apart, 1)


def _counts(lengths: Sizes, kernel: Sizes, how: How) -> Sizes:
    """How many windows there are along each dimension."""
    return tuple(
        [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(lengths, kernel, *how[:3], strict=True)
        ]
    )


def _described(kernel: Sizes, how: How) -> str:
    return f"kernel_size={kernel}, dilation={how[2]}, padding={how[1]}"


@public(
    path="nn.functional.unfold",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 2, 3, 3), 2),
        sample(make.real(2, 3, 4), (2, 3), padding=1, stride=(1, 2)),
        sample(make.real(1, 1, 4, 5), (2, 2), 2, 1, 2),
        sample(make.real(0, 2, 3, 3), 2),
        sample(make.real(1, 2, 2, 3), 1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least one", make.real(1, 2, 3, 3), 4),
        bad(RuntimeError, "unbatched", make.real(3, 3), 2),
        bad(RuntimeError, "stride should be greater", make.real(1, 2, 3, 3), 2, stride=0),
        bad(RuntimeError, "kernel_size", make.real(1, 2, 3, 3), (2, 2, 2)),
    ],
)
def unfold(
    input: Tensor,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Sliding windows of images, each a column.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        kernel_size: of a window; a number stands for both dimensions, here and below.
        dilation: the step between the elements of a window.
        padding: zeros around the images on both sides.
        stride: the step from one window to the next.

    Returns:
        `(n, c * kh * kw, l)`, with l windows, the columns of an image faster.

    Raises:
        ShapeError: `input` has other numbers of dimensions, or there is no window.
        ArgumentError: a number is too small.
    """
    x = tensor_argument("unfold", "input", 1, input)
    kernel, how = _pairs("unfold", kernel_size, dilation, padding, stride)
    with_batch("unfold", x, 2)
    lengths = x._shape[-2:]
    size = _counts(lengths, kernel, how)
    if min(size) < 1:
        raise ShapeError(
            f"unfold: Given input with spatial size {lengths}, "
            f"{_described(kernel, how)}, calculated shape of the array of sliding "
            f"blocks as {size}, but its components must be at least one."
        )
    return _im2col(x, kernel, size, how)


@public(
    path="nn.functional.fold",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 8, 4), (3, 3), 2),
        sample(make.real(6, 4), (2, 4), (2, 3), padding=1, stride=2),
        sample(make.real(1, 4, 6), (4, 5), (2, 2), 2, 1, 2),
        sample(make.real(0, 8, 4), 3, 2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "number of sliding blocks 2 \\* 2 = 4", make.real(1, 8, 5), 3, 2),
        bad(RuntimeError, "divisible by the product", make.real(1, 7, 4), 3, 2),
        bad(RuntimeError, "2D or 3D", make.real(4), 3, 2),
        bad(RuntimeError, "stride should be greater", make.real(1, 8, 4), 3, 2, stride=0),
    ],
)
def fold(
    input: Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """The transpose of `unfold`: images of which each window is added up from its column.

    Args:
        input: `(n, c * kh * kw, l)`, or `(c * kh * kw, l)` without a batch.
        output_size: the height and width of the images; a number stands for both, here and below.
        kernel_size: of a window.
        dilation: the step between the elements of a window.
        padding: how much of the images' border, outside of them, the windows cover.
        stride: the step from one window to the next.

    Returns:
        `(n, c, h, w)`.

    Raises:
        ShapeError: the shape of `input` does not fit the windows.
        ArgumentError: a number is too small.
    """
    x = tensor_argument("fold", "input", 1, input)
    lengths = sizes("fold", "output_size", output_size, 2)
    kernel, how = _pairs("fold", kernel_size, dilation, padding, stride)
    if x.ndim not in (2, 3):
        raise ShapeError(
            "fold: Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(x._shape)}."
        )
    rows, count = x._shape[-2:]
    if not rows or rows % math.prod(kernel):
        raise ShapeError(
            "fold: Expected size of input's dimension 1 to be divisible by the product of "
            f"kernel_size, but got input.size(1)={rows} and kernel_size={kernel}."
        )
    size = _counts(lengths, kernel, how)
    if min(size) < 1 or math.prod(size) != count:
        raise ShapeError(
            f"fold: Given output_size={lengths}, {_described(kernel, how)}, "
            f"stride={how[0]}, expected size of input's dimension 2 to match the calculated number "
            f"of sliding blocks {size[0]} * {size[1]} = {math.prod(size)}, but got "
            f"input.size(2)={count}."
        )
    return col2im(x, lengths, kernel, size, how)
