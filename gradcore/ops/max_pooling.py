"""The largest element of each window, where it is, and what puts elements back there.

Where an element is in its plane, the last dimensions laid end to end, is a second result. The
gradient goes there: a gather and its transpose, whatever the windows were.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..batching.array import bottom
from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, DTypeError, ShapeError
from ..mode import checked_indices, is_grad_enabled
from ..op import common_device, primitive, public
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor
from .layer import beyond, tensor_argument
from .pooling import (
    LENGTHS,
    adaptive_errors,
    adaptive_samples,
    adaptive_size,
    check_numbers,
    pool_errors,
    pooled,
)
from .windows import How, Sizes, all_places, places, sizes, windows, with_batch

__all__ = [
    "adaptive_max_pool1d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool3d",
]


# the largest -------------------------------------------------------------------------------------


def _lowest(dtype: Any) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _largest(module: Any, x: Array, kernel: Sizes, size: Sizes, how: How) -> Array:
    """The values alone, along one dimension after the other; nan where there is one."""
    count = len(kernel)
    for axis, (k, n, s, p, d) in enumerate(zip(kernel, size, *how[:3], strict=True)):
        axis += x.ndim - count
        before = (slice(None),) * axis
        y = None
        for _, taken, at in places(x.shape[axis], k, n, s, p, d):
            part = x[(*before, at)]
            if y is None:
                shape = (*x.shape[:axis], n, *x.shape[axis + 1 :])
                if taken == slice(0, n):
                    y = part.copy()
                    continue
                y = module.full(shape, _lowest(x.dtype), x.dtype)
            target = y[(*before, taken)]
            module.maximum(target, part, out=target)
        x = y
    return x


def _with_places(
    module: Any, x: Array, kernel: Sizes, size: Sizes, how: How
) -> tuple[Array, Array]:
    """The largest of each window, and its place in the plane.

    Of equal elements it is the first; of several nan, as in PyTorch, the last.
    """
    count, total = len(kernel), math.prod(kernel)
    lengths = x.shape[-count:]
    tiles = how[0] == kernel and not any(how[1]) and all(d == 1 for d in how[2])
    if tiles and total >= _MANY:
        return _of_tiles(module, x, kernel, size)
    y = _largest(module, x, kernel, size, how)
    # Which element of the window: from the last to the first, so that the first one stays.
    which = module.zeros(y.shape, np.uint8 if total < 256 else np.int32)
    found = [
        (int(np.ravel_multi_index(element, kernel)), (..., *taken), (..., *at))
        for element, taken, at in all_places(lengths, kernel, size, how)
    ]
    for number, taken, at in reversed(found):
        module.copyto(which[taken], which.dtype.type(number), where=x[at] == y[taken])
    # To look whether there are any nan would mean to wait for a device.
    if x.dtype.kind == "f" and (module is not np or np.isnan(y).any()):
        for number, taken, at in found:
            module.copyto(which[taken], which.dtype.type(number), where=module.isnan(x[at]))
    return y, _in_plane(module, which, lengths, kernel, size, how)


_MANY: Final = 64
"""Elements of a window from which a copy and numpy.argmax take less than a pass for each."""


def _of_tiles(module: Any, x: Array, kernel: Sizes, size: Sizes) -> tuple[Array, Array]:
    """As `_with_places`, of windows that lie side by side."""
    count, total = len(kernel), math.prod(kernel)
    lengths, lead = x.shape[-count:], x.shape[:-count]
    how = (kernel, (0,) * count, (1,) * count, 1)
    parts = windows(module, x.reshape(math.prod(lead), 1, *lengths), kernel, size, how)
    order = (0, 1, *range(2 + count, 2 + 2 * count), *range(2, 2 + count))
    rows = parts.transpose(order).reshape(*lead, *size, total)
    which, y = rows.argmax(axis=-1), rows.max(axis=-1)
    if x.dtype.kind == "f" and (module is not np or np.isnan(y).any()):
        last = total - 1 - module.isnan(rows[..., ::-1]).argmax(axis=-1)
        which = module.where(module.isnan(y), last, which)
    return y, _in_plane(module, which, lengths, kernel, size, how)


def _in_plane(
    module: Any, which: Array, lengths: Sizes, kernel: Sizes, size: Sizes, how: How
) -> Array:
    """The places of elements that are known by their number in the window."""
    count = len(kernel)
    steps = [math.prod(lengths[i + 1 :]) for i in range(count)]
    offset, start = np.zeros((1,) * count, np.int64), np.zeros((1,) * count, np.int64)
    for i, (k, n, s, p, d, step) in enumerate(zip(kernel, size, *how[:3], steps, strict=True)):
        column = (-1, *(1,) * (count - 1 - i))
        offset = offset + (np.arange(k) * (d * step)).reshape(column)
        start = start + ((np.arange(n) * s - p) * step).reshape(column)
    at = module.asarray(offset.reshape(-1)).take(which)
    at += module.asarray(start)
    return at


def _ranges(lengths: Sizes, size: Sizes) -> list[np.ndarray[Any, Any]]:
    """Per dimension the elements of each adaptive window, the last repeated in shorter ones."""
    found = []
    for length, n in zip(lengths, size, strict=True):
        i = np.arange(n)
        start, end = i * length // n, -((i + 1) * -length // n)
        k = int((end - start).max(initial=1))
        found.append(np.minimum(start[:, None] + np.arange(k), end[:, None] - 1))
    return found


def _adaptive(module: Any, x: Array, size: Sizes, largest: Any) -> Any:
    """`largest`, `_largest` or `_with_places`, of adaptive windows: laid side by side as tiles."""
    count = len(size)
    lengths = x.shape[-count:]
    ranges = _ranges(lengths, size)
    kernel = tuple([r.shape[1] for r in ranges])
    tiles: How = (kernel, (0,) * count, (1,) * count, 1)
    if all(n and length % n == 0 for length, n in zip(lengths, size, strict=True)):
        return largest(module, x, kernel, size, tiles)
    for axis, elements in enumerate(ranges, -count):
        x = x.take(module.asarray(elements.reshape(-1)), axis=axis)
    found = largest(module, x, kernel, size, tiles)
    if not isinstance(found, tuple):
        return found
    y, at = found
    place: Any = 0
    step = 1
    for length, elements, n in reversed(list(zip(lengths, ranges, x.shape[-count:], strict=True))):
        # Its place among the tiles, dimension by dimension, as that in the plane.
        place = place + module.asarray(elements.reshape(-1)).take(at % n) * step
        at = at // n
        step *= length
    return y, place


# put back ----------------------------------------------------------------------------------------


def _put_back(xp: Any, a: Array, b: Array, lengths: Sizes, adds: bool) -> Array:
    """Zeros `(*, *lengths)` with the elements of `a` at the places `b` of their planes."""
    module, count, total = xp.module, len(lengths), math.prod(lengths)
    if a.shape != b.shape:  # of a batch
        a, b = module.broadcast_arrays(a, b)
    lead = a.shape[: a.ndim - count]
    planes, each = math.prod(lead), math.prod(b.shape[b.ndim - count :])
    at = (b.reshape(planes, each) + module.arange(planes)[:, None] * total).reshape(-1)
    if adds:
        out = xp.put(a.reshape(-1), (at,), (planes * total,))
    else:
        out = module.zeros(planes * total, a.dtype)
        out[at] = a.reshape(-1)
    return out.reshape(*lead, *lengths)


def _taken(xp: Any, x: Any, places: Any, count: int) -> Any:
    """The elements of `x` at the places of their planes."""
    lead = x.shape[: len(x.shape) - count]
    flat = xp.reshape(x, (*lead, math.prod(x.shape[len(x.shape) - count :])))
    each = places.shape[len(places.shape) - count :]
    y = xp.take_along_axis(flat, xp.reshape(places, (*lead, math.prod(each))), -1)
    return xp.reshape(y, (*lead, *each))


def _putting(name: str, graph: str) -> Any:
    """The primitive that puts elements back.

    Its metadata: the lengths of the planes; of what windows the elements were the largest, kernel
    and how they lie, or None; and whether elements that meet add up.
    """
    return primitive(
        name,
        lambda xp, a, b, lengths, kernel, how, adds: _put_back(xp, a, b, lengths, adds),
        lambda xp, g, b, lengths: _taken(xp, g, b, len(lengths)),
        None,
        multilinear=True,
        graph=graph,
        batching=leading,
    )


def _pooling(count: int) -> tuple[Any, Any, Any, Any]:
    """Over windows and adaptive in `count` dimensions, each with indices and without."""
    put = _putting("max_pool_backward", f"MaxPool{count}DWithIndicesBackwardBackward0")
    put_adaptive = _putting(
        "adaptive_max_pool_backward", f"AdaptiveMaxPool{count}DBackwardBackward0"
    )
    pool = primitive(
        "max_pool",
        lambda xp, x, kernel, size, how: _with_places(xp.module, x, kernel, size, how),
        joint=lambda xp, g, y1, x_shape, kernel, how: [
            xp.apply(put, g[0], y1, x_shape[-count:], kernel, how, _overlap(kernel, how))
        ],
        inputs=1,
        outputs=2,
        jvp=lambda xp, y1, t_x: (_taken(xp, t_x, y1, count), None),
        graph=f"MaxPool{count}DWithIndicesBackward0",
        batching=leading,
    )
    values = primitive(
        "max_pool_values",
        lambda xp, x, kernel, size, how: _largest(xp.module, x, kernel, size, how),
        None,
        batching=leading,
    )
    adaptive = primitive(
        "adaptive_max_pool",
        lambda xp, x, size: _adaptive(xp.module, x, size, _with_places),
        joint=lambda xp, g, y1, x_shape: [
            xp.apply(put_adaptive, g[0], y1, x_shape[-count:], None, None, True)
        ],
        inputs=1,
        outputs=2,
        jvp=lambda xp, y1, t_x: (_taken(xp, t_x, y1, count), None),
        graph=f"AdaptiveMaxPool{count}DBackward0",
        batching=leading,
    )
    adaptive_values = primitive(
        "adaptive_max_pool_values",
        lambda xp, x, size: _adaptive(xp.module, x, size, _largest),
        None,
        batching=leading,
    )
    return pool, values, adaptive, adaptive_values


POOLINGS: Final = {count: _pooling(count) for count in (1, 2, 3)}
_UNPOOLINGS: Final = {
    count: _putting("max_unpool", f"MaxUnpool{count}DBackward0") for count in (1, 2, 3)
}


def _overlap(kernel: Sizes, how: How) -> bool:
    return any(d * (k - 1) >= s for k, s, d in zip(kernel, how[0], how[2], strict=True))


def _needs_places(x: Tensor, return_indices: bool) -> bool:
    return return_indices or x.__class__ is not Tensor or (x._requires_grad and is_grad_enabled())


def _max_pool(
    name: str,
    count: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    x = tensor_argument(name, "input", 1, input)
    check_numbers(name, x, "fiu")
    kernel, size, how = pooled(name, x, count, kernel_size, stride, padding, dilation, ceil_mode)
    pool, values, _, _ = POOLINGS[count]
    if not _needs_places(x, return_indices):
        return values(x, kernel, size, how)
    found = pool(x, kernel, size, how)
    return found if return_indices else found[0]


def adaptive_max_pool(
    name: str, count: int, input: Any, output_size: Any, return_indices: bool
) -> Any:
    """What `adaptive_max_pool2d` and its like do in `count` dimensions."""
    x = tensor_argument(name, "input", 1, input)
    check_numbers(name, x, "fiu")
    size = adaptive_size(name, x, count, output_size)
    _, _, pool, values = POOLINGS[count]
    if not _needs_places(x, return_indices):
        return values(x, size)
    found = pool(x, size)
    return found if return_indices else found[0]


def _max_unpool(
    name: str,
    count: int,
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Tensor:
    x = tensor_argument(name, "input", 1, input)
    at = tensor_argument(name, "indices", 2, indices)
    common_device(name, (x, at))
    check_numbers(name, x, "fiuc")
    kernel = sizes(name, "kernel_size", kernel_size, count)
    given = stride is not None and not (isinstance(stride, Sequence) and not stride)
    steps = sizes(name, "stride", stride, count) if given else kernel
    before = sizes(name, "padding", padding, count)
    with_batch(name, x, count)
    if at._type.numpy != np.int64:
        raise DTypeError(
            f"{name}: elements in indices should be type int64 but got: {at._type.dtype.label}."
        )
    if at._shape != x._shape:
        raise ShapeError(
            f"{name}: Expected shape of indices to be same as that of the input tensor "
            f"({list(x._shape)}) but got indices tensor with shape: {list(at._shape)}."
        )
    lengths = tuple(
        [
            (n - 1) * s + k - 2 * p
            for n, s, k, p in zip(x._shape[-count:], steps, kernel, before, strict=True)
        ]
    )
    if output_size is not None:
        lengths = _chosen(name, lengths, steps, output_size)
    index = bottom(at._array)
    total = math.prod(lengths)
    if (not at.is_cuda or checked_indices.get()) and beyond(index, total):
        worst = int(index.min()) if int(index.min()) < 0 else int(index.max())
        raise ArgumentError(
            f"{name}: Found an invalid max index: {worst} (output volumes are of size "
            f"{'x'.join(map(str, lengths))}): it is out of range."
        )
    y: Tensor = _UNPOOLINGS[count](x, at, lengths, None, None, False)
    return y


def _chosen(name: str, lengths: Sizes, steps: Sizes, output_size: Any) -> Sizes:
    """The lengths that `output_size` asks for, each less than a step from the usual one.

    Raises:
        ArgumentError: one is further off, or there are too many.
    """
    count = len(lengths)
    wanted = tuple([operator.index(n) for n in output_size])
    if len(wanted) == count + 2:
        wanted = wanted[2:]
    if len(wanted) != count:
        raise ArgumentError(
            f"{name}: output_size should be a sequence containing {count} or {count + 2} elements, "
            f"but it has a length of '{len(wanted)}'."
        )
    for number, (n, length, step) in enumerate(zip(wanted, lengths, steps, strict=True)):
        if not length - step < n < length + step:
            raise ArgumentError(
                f'{name}: invalid output_size "{wanted}" (dim {number} must be between '
                f"{length - step} and {length + step})."
            )
    return wanted


# public ------------------------------------------------------------------------------------------


def _samples(count: int) -> Any:
    def samples(make: Maker) -> list[Sample]:
        size = LENGTHS[count]
        return [
            sample(make.real(2, 1, *size), 2),
            sample(make.real(1, *size), 2, 1, 1),
            sample(make.real(1, 1, *size), (3, 2, 2)[:count], (2,) * count, (1,) * count, 1, True),
            sample(make.real(1, 1, *size), kernel_size=2, stride=2, padding=1, dilation=2),
            sample(make.real(0, 1, *size), 2),
            sample(make.real(1, 1, *size), 2, return_indices=True),
        ]

    return samples


def _errors(count: int) -> Any:
    def errors(make: Maker) -> list[Bad]:
        x = make.real(1, 1, *LENGTHS[count])
        found: list[Bad] = pool_errors(count)(make)
        found.append(bad(RuntimeError, "dilation (should|must) be greater", x, 2, dilation=0))
        return found

    return errors


def _unpool_samples(count: int) -> Any:
    def samples(make: Maker) -> list[Sample]:
        x, size = make.real(2, 1, *(2,) * count), (4,) * count
        at = np.stack([make.random.permutation(4**count)[: 2**count] for _ in range(2)])
        at = at.reshape(x.shape)
        return [
            sample(x, at, 2),
            sample(x[0], at[0], (3,) * count, 2, output_size=(5,) * count),
            sample(x, at, 2, 2, 0, (2, 1, *size)),
            sample(x[:0], at[:0], 2),
        ]

    return samples


def _unpool_errors(count: int) -> Any:
    def errors(make: Maker) -> list[Bad]:
        x = make.real(1, 1, *(2,) * count)
        at = np.arange(2**count).reshape(x.shape)
        return [
            bad(RuntimeError, "type int64", x, at.astype(np.int32), 2),
            bad(RuntimeError, "same as that of the input", x, at[0], 2),
            bad(RuntimeError, "invalid max index.*out of range|invalid max index", x, at + 99, 2),
            bad(ValueError, "invalid output_size", x, at, 2, output_size=(9,) * count),
            bad(ValueError, "sequence containing", x, at, 2, output_size=(4,) * 9),
        ]

    return errors


@public(
    path="nn.functional.max_pool1d",
    kind="primitive",
    samples=_samples(1),
    errors=_errors(1),
    departs={"node": "one node, where PyTorch adds a dimension"},
)
def max_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """As `max_pool2d`, for `(n, c, l)`, or `(c, l)` without a batch."""
    return _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


@public(
    path="nn.functional.max_pool1d_with_indices",
    kind="primitive",
    samples=lambda make: _samples(1)(make)[1:3],
    departs={"node": "one node, where PyTorch adds a dimension"},
)
def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """What `max_pool1d` gives with `return_indices`: the largest elements and their places."""
    found: tuple[Tensor, Tensor] = _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, True
    )
    return found


@public(path="nn.functional.max_pool2d", kind="primitive", samples=_samples(2), errors=_errors(2))
def max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window in two dimensions.

    Of equal elements the first gets the gradient. A window with nan gives nan.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        kernel_size: of a window; a number stands for all dimensions, here and below.
        stride: from one window to the next; `kernel_size` if it is not given.
        padding: how far windows may begin before the input, at most half of the kernel.
        dilation: the step between the elements of a window.
        ceil_mode: whether windows may end beyond the input.
        return_indices: whether to give the places of the elements in their planes, too.

    Returns:
        `(n, c, *)`, `(l + 2 padding - dilation (k - 1) - 1) // stride + 1` for l, or one more;
        with the places, int64 of the same shape, if they are asked for.

    Raises:
        ShapeError: `input` is too small, or has other numbers of dimensions.
        ArgumentError: a number is too small or too large.
    """
    return _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


@public(
    path="nn.functional.max_pool2d_with_indices",
    kind="primitive",
    samples=lambda make: _samples(2)(make)[1:3],
)
def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """What `max_pool2d` gives with `return_indices`: the largest elements and their places."""
    found: tuple[Tensor, Tensor] = _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, True
    )
    return found


@public(path="nn.functional.max_pool3d", kind="primitive", samples=_samples(3), errors=_errors(3))
def max_pool3d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """As `max_pool2d`, for `(n, c, d, h, w)`, or `(c, d, h, w)` without a batch."""
    return _max_pool(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


@public(
    path="nn.functional.max_pool3d_with_indices",
    kind="primitive",
    samples=lambda make: _samples(3)(make)[1:3],
)
def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """What `max_pool3d` gives with `return_indices`: the largest elements and their places."""
    found: tuple[Tensor, Tensor] = _max_pool(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, True
    )
    return found


@public(
    kind="primitive",
    samples=lambda make: adaptive_samples(1)(make)[1:4],
    errors=adaptive_errors(1),
    departs={"node": "one node, where PyTorch adds a dimension"},
)
def adaptive_max_pool1d(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    """As `nn.functional.adaptive_max_pool1d`, with the places of the elements.

    Returns:
        `(n, c, output_size)`, and the places in their rows, int64 of the same shape.
    """
    found: tuple[Tensor, Tensor] = adaptive_max_pool(
        "adaptive_max_pool1d", 1, input, output_size, True
    )
    return found


@public(
    path="nn.functional.adaptive_max_pool1d_with_indices",
    kind="primitive",
    samples=lambda make: adaptive_samples(1)(make)[1:3],
    departs={"node": "one node, where PyTorch adds a dimension"},
)
def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """What `adaptive_max_pool1d` gives with `return_indices`: elements and their places."""
    found: tuple[Tensor, Tensor] = adaptive_max_pool(
        "adaptive_max_pool1d", 1, input, output_size, True
    )
    return found


@public(
    path="nn.functional.adaptive_max_pool2d",
    kind="primitive",
    samples=adaptive_samples(2),
    errors=adaptive_errors(2),
)
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements in two dimensions of as many windows as the result is to have elements.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        output_size: of the result, as in `adaptive_avg_pool2d`.
        return_indices: whether to give the places of the elements in their planes, too.

    Returns:
        `(n, c, *output_size)`; with the places, int64 of the same shape, if they are asked for.

    Raises:
        ShapeError: `input` is empty, or has other numbers of dimensions.
        ArgumentError: a number is negative.
    """
    return adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


@public(
    path="nn.functional.adaptive_max_pool2d_with_indices",
    kind="primitive",
    samples=lambda make: adaptive_samples(2)(make)[1:3],
)
def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """What `adaptive_max_pool2d` gives with `return_indices`: elements and their places."""
    found: tuple[Tensor, Tensor] = adaptive_max_pool(
        "adaptive_max_pool2d", 2, input, output_size, True
    )
    return found


@public(
    path="nn.functional.adaptive_max_pool3d",
    kind="primitive",
    samples=adaptive_samples(3),
    errors=adaptive_errors(3),
)
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool2d`, for `(n, c, d, h, w)`, or `(c, d, h, w)` without a batch."""
    return adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, return_indices)


@public(
    path="nn.functional.adaptive_max_pool3d_with_indices",
    kind="primitive",
    samples=lambda make: adaptive_samples(3)(make)[1:3],
)
def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """What `adaptive_max_pool3d` gives with `return_indices`: elements and their places."""
    found: tuple[Tensor, Tensor] = adaptive_max_pool(
        "adaptive_max_pool3d", 3, input, output_size, True
    )
    return found


@public(
    path="nn.functional.max_unpool1d",
    kind="primitive",
    samples=_unpool_samples(1),
    errors=_unpool_errors(1),
    departs={"node": "one node, where PyTorch adds a dimension"},
)
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """As `max_unpool2d`, for `(n, c, l)`, or `(c, l)` without a batch."""
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@public(
    path="nn.functional.max_unpool2d",
    kind="primitive",
    samples=_unpool_samples(2),
    errors=_unpool_errors(2),
)
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Zeros in which elements are put back where `max_pool2d` has taken them from.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        indices: int64, of the same shape: the places in the planes of the result. If one is there
            twice, one of the elements stands. On CUDA they are checked only under
            `gradcore.debug.check_indices`.
        kernel_size: of the pooling that is undone, as the next two.
        stride: `kernel_size` if it is not given.
        padding: how far windows began before the input.
        output_size: of the result, with or without the first two dimensions, where more than one
            size has as many windows.

    Returns:
        `(n, c, *)`, with `(l - 1) stride - 2 padding + k` elements for l, or `output_size`.

    Raises:
        ShapeError: the shapes differ, or `input` has other numbers of dimensions.
        DTypeError: `indices` are not int64.
        ArgumentError: an index is out of range, or `output_size` cannot be.
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


@public(
    path="nn.functional.max_unpool3d",
    kind="primitive",
    samples=_unpool_samples(3),
    errors=_unpool_errors(3),
)
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """As `max_unpool2d`, for `(n, c, d, h, w)`, or `(c, d, h, w)` without a batch."""
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
