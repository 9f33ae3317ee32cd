"""Convolutions, their transposes, and the sliding blocks that both are made of.

A convolution is half of a map that is linear in three arrays::

    sum of x[n, c, stride * s + dilation * k - padding] * w[o, c, k] * g[n, o, s]

With one of them left out it is a function of the other two: without `g` the convolution, without
`x` its transpose, without `w` the gradient of the weights. Each is a primitive, and the rules of
each are the other two. `c` and `o` are of one group; `s` and `k` have as many dimensions as there
are. In NumPy all three are products of matrices, of one block of samples at a time, so that the
windows of x (the columns of the matrix) are never all in memory.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from ..batching.array import BatchedArray, Level, belongs
from ..batching.namespace import batched
from ..device import Array
from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import common_device, primitive, public
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor
from .layer import tensor_argument
from .windows import How, Sizes, add_windows, col2im, sizes, windows, with_batch

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]


def _blocks(module: Any, count: int, groups: int, nbytes: int) -> Iterator[tuple[slice, slice]]:
    """Ranges of samples and of groups, that together fit a cache or the device's memory.

    Args:
        module: numpy or cupy.
        count: the number of samples.
        groups: of each.
        nbytes: that a group of a sample takes.
    """
    most = (_CACHE if module is np else _MEMORY) // max(1, nbytes)
    some = max(1, min(groups, most))
    step = max(1, most // groups)
    for start in range(0, count, step):
        for group in range(0, groups, some):
            yield (
                slice(start, min(start + step, count)),
                slice(group, min(group + some, groups)),
            )


def _scratch(module: Any, dtype: Any) -> Callable[..., Array]:
    """A function that gives arrays of any shape, each in the memory of the one before."""
    memory = module.empty(0, dtype)

    def array(*shape: int) -> Array:
        nonlocal memory
        size = math.prod(shape)
        if memory.size < size:
            memory = module.empty(size, dtype)
        return memory[:size].reshape(shape)

    return array


_CACHE: Final = 1 << 21
_MEMORY: Final = 1 << 28


# the three maps on raw arrays --------------------------------------------------------------------


def _widened(forward: Any) -> Any:
    """`forward(xp, a, b, ...)` that computes float16 in float32."""

    @functools.wraps(forward)
    def call(xp: Any, a: Array, b: Array, *rest: Any) -> Array:
        if a.dtype != np.float16:
            return forward(xp, a, b, *rest)
        return forward(xp, a.astype(np.float32), b.astype(np.float32), *rest).astype(np.float16)

    return call


def _is_matmul(x_size: Sizes, kernel: Sizes, size: Sizes, how: How) -> bool:
    """Whether the columns are x itself."""
    return x_size == size and math.prod(kernel) == 1 and not any(how[1])


@_widened
def _forward(xp: Any, x: Array, w: Array, size: Sizes, how: How) -> Array:
    """`(n, o, *size)` of x `(n, c, *)` and w `(o, c / groups, *kernel)`."""
    module, groups = xp.module, how[3]
    n, o, kernel = x.shape[0], w.shape[0], w.shape[2:]
    inner, length = math.prod(w.shape[1:]), math.prod(size)
    matrix = w.reshape(groups, o // groups, inner)
    if _is_matmul(x.shape[2:], kernel, size, how):
        y = module.matmul(matrix, x.reshape(n, groups, inner, length))
        return y.reshape(n, o, *size)
    parts = windows(module, x, kernel, size, how)
    y = module.empty((n, groups, o // groups, length), x.dtype)
    scratch = _scratch(module, x.dtype)
    for samples, some in _blocks(module, n, groups, inner * length * x.itemsize):
        part = parts[samples, _channels(some, w.shape[1])]
        columns = scratch(*part.shape)
        columns[...] = part
        target = y[samples, some]
        columns = columns.reshape(*target.shape[:2], inner, length)
        module.matmul(matrix[some], columns, out=target)
    return y.reshape(n, o, *size)


def _channels(groups: slice, each: int) -> slice:
    return slice(groups.start * each, groups.stop * each)


@_widened
def _transposed(xp: Any, a: Array, w: Array, size: Sizes, how: How) -> Array:
    """`(n, c, *size)` of a `(n, o, *)` and w `(o, c / groups, *kernel)`."""
    module, groups = xp.module, how[3]
    n, o, *spatial = a.shape
    kernel, channels = w.shape[2:], w.shape[1] * groups
    stride, padding, dilation, _ = how
    around = tuple([d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)])
    if max(stride) == 1 and min(around) >= 0 and o <= 2 * channels and math.prod(kernel) > 1:
        # To gather windows of `a` is faster than to add windows to x.
        every = (slice(None),) * 3 + (slice(None, None, -1),) * len(kernel)
        turned = w.reshape(groups, o // groups, *w.shape[1:])[every].swapaxes(1, 2)
        # Contiguous, as numpy.matmul has BLAS for no steps backwards.
        turned = module.ascontiguousarray(turned).reshape(channels, o // groups, *kernel)
        return _forward(xp, a, turned, size, (stride, around, dilation, groups))
    inner, length = math.prod(w.shape[1:]), math.prod(spatial)
    matrix = w.reshape(groups, o // groups, inner).swapaxes(1, 2)
    a = a.reshape(n, groups, o // groups, length)
    # NumPy's product of a column and a row takes ten times as long as this one.
    product = module.multiply if o == groups else module.matmul
    if _is_matmul(size, kernel, tuple(spatial), how):
        return product(matrix, a).reshape(n, channels, *size)
    x = module.zeros((n, channels, *size), a.dtype)
    scratch = _scratch(module, a.dtype)
    for samples, some in _blocks(module, n, groups, inner * length * a.itemsize):
        part = a[samples, some]
        columns = scratch(*part.shape[:2], inner, length)
        product(matrix[some], part, out=columns)
        target = x[samples, _channels(some, w.shape[1])]
        if module is np:
            add_windows(target, columns.reshape(*target.shape[:2], *kernel, *spatial), how)
        else:  # in one launch, not in one for each element of the kernel
            columns = columns.reshape(len(target), -1, length)
            target[...] = xp.apply(col2im, columns, size, kernel, tuple(spatial), how)
    return x


@_widened
def _weight(xp: Any, x: Array, a: Array, kernel: Sizes, how: How) -> Array:
    """`(o, c / groups, *kernel)` of x `(n, c, *)` and a `(n, o, *)`."""
    module, groups = xp.module, how[3]
    n, o, *spatial = a.shape
    channels = x.shape[1]
    inner, length = channels // groups * math.prod(kernel), math.prod(spatial)
    parts = windows(module, x, kernel, tuple(spatial), how)
    # One product for all samples of a block: their columns side by side.
    count = parts.ndim - len(spatial)
    parts = parts.transpose(*range(1, count), 0, *range(count, parts.ndim))
    a = a.reshape(n, o, length).swapaxes(0, 1)
    w = module.zeros((groups, o // groups, inner), x.dtype)
    scratch = _scratch(module, x.dtype)
    for samples, some in _blocks(module, n, groups, inner * length * x.itemsize):
        part = parts[_channels(some, channels // groups)]
        part = part[(slice(None),) * (count - 1) + (samples,)]
        columns = scratch(*part.shape)
        columns[...] = part
        target = w[some]
        rows = a[_channels(some, o // groups), samples]
        rows = rows.reshape(*target.shape[:2], math.prod(rows.shape[1:]))
        columns = columns.reshape(len(target), inner, rows.shape[2])
        target += module.matmul(rows, columns.swapaxes(1, 2))
    return w.reshape(o, channels // groups, *kernel)


# their readings for batches ----------------------------------------------------------------------


def _fold(x: Array, at: int, groups: int) -> Array:
    """The batch, the first dimension, within dimension `at` of a sample, in each of the groups."""
    _, *shape = x.shape
    split = (*x.shape[: at + 1], groups, shape[at] // groups, *shape[at + 1 :])
    order = (*range(1, at + 2), 0, *range(at + 2, x.ndim + 1))
    merged = (*shape[:at], x.shape[0] * shape[at], *shape[at + 1 :])
    return batched.reshape(batched.transpose(batched.reshape(x, split), order), merged)


def _unfold(y: Array, at: int, groups: int, count: int) -> Array:
    """The inverse of `_fold`, of `count` samples."""
    each = y.shape[at] // count
    split = (*y.shape[:at], groups, count, each // groups, *y.shape[at + 1 :])
    order = (at + 1, *range(at + 1), *range(at + 2, y.ndim + 2))
    whole = (count, *y.shape[:at], each, *y.shape[at + 1 :])
    return batched.reshape(batched.transpose(batched.reshape(y, split), order), whole)


Place = tuple[int, bool]
"""A dimension that a batch can be in, and whether it counts the channels of all groups."""

_SAMPLES: Final = (0, False)
_CHANNELS: Final = (1, True)
_FILTERS: Final = (0, True)
_OF_GROUP: Final = (1, False)


def _reading(
    a_alone: tuple[Place, Place], b_alone: tuple[Place, Place], both: tuple[Place, Place, Place]
) -> Any:
    """A reading of one of the three maps for batches.

    Args:
        a_alone: where the batch goes in the first operand, and where it is in the result, if the
            second operand is the same for all samples.
        b_alone: the same with the operands exchanged.
        both: where it goes in both, and is in the result. Each sample has groups of its own then.
    """

    def read(level: Level, run: Any, a: Any, b: Any, size: Sizes, how: How) -> Any:
        groups, out = how[3], both[2]
        inside = 1
        if belongs(a, level) and belongs(b, level):
            a = _fold(a.inner, both[0][0], 1)
            b = _fold(b.inner, both[1][0], 1)
            how = (*how[:3], groups * level.size)
        elif belongs(a, level):
            (at, grouped), out = a_alone
            a = _fold(a.inner, at, groups if grouped else 1)
            inside = groups if out[1] else 1
        else:
            (at, grouped), out = b_alone
            b = _fold(b.inner, at, groups if grouped else 1)
            inside = groups if out[1] else 1
        y = run(a, b, size, how)
        return BatchedArray(level, _unfold(y, out[0], inside, level.size))

    return read


# the primitives ----------------------------------------------------------------------------------

_NODE: Final = "ConvolutionBackward0"

_convolution = primitive(
    "convolution",
    lambda xp, x, w, size, how: _forward(xp, x, w, size, how),
    lambda xp, g, w, x_shape, how: xp.apply(_transpose, g, w, x_shape[2:], how),
    lambda xp, g, x, w_shape, how: xp.apply(_of_weight, x, g, w_shape[2:], how),
    bilinear=True,
    multilinear=True,
    graph=_NODE,
    batching=_reading(
        (_SAMPLES, _SAMPLES), (_FILTERS, _CHANNELS), (_CHANNELS, _FILTERS, _CHANNELS)
    ),
)
_transpose = primitive(
    "convolution_transpose",
    lambda xp, a, w, size, how: _transposed(xp, a, w, size, how),
    lambda xp, g, w, a_shape, how: xp.apply(_convolution, g, w, a_shape[2:], how),
    lambda xp, g, a, w_shape, how: xp.apply(_of_weight, g, a, w_shape[2:], how),
    bilinear=True,
    multilinear=True,
    graph=_NODE,
    batching=_reading(
        (_SAMPLES, _SAMPLES), (_OF_GROUP, _CHANNELS), (_CHANNELS, _FILTERS, _CHANNELS)
    ),
)
_of_weight = primitive(
    "convolution_weight",
    lambda xp, x, a, kernel, how: _weight(xp, x, a, kernel, how),
    lambda xp, g, a, x_shape, how: xp.apply(_transpose, a, g, x_shape[2:], how),
    lambda xp, g, x, a_shape, how: xp.apply(_convolution, x, g, a_shape[2:], how),
    bilinear=True,
    multilinear=True,
    graph=_NODE,
    batching=_reading(
        (_CHANNELS, _OF_GROUP), (_CHANNELS, _FILTERS), (_CHANNELS, _CHANNELS, _FILTERS)
    ),
)


def _per_channel(bias_shape: Sizes, ndim: int) -> Sizes:
    return (1, *bias_shape, *(1,) * (ndim - 2))


def _with_bias(forward: Any, function: Any, by_input: Any, by_weight: Any) -> Any:
    """The primitive `function`, whose forward and rules are given, plus a bias per channel."""

    def run(xp: Any, bias: Any, x: Any, w: Any, size: Sizes, how: How) -> Any:
        y = forward(xp, x, w, size, how)
        y += bias.reshape(_per_channel(bias.shape, y.ndim))
        return y

    def jvp(xp: Any, x: Any, w: Any, size: Any, how: Any, t_bias: Any, t_x: Any, t_w: Any) -> Any:
        parts = []
        if t_bias is not None:
            parts.append(xp.reshape(t_bias, _per_channel(t_bias.shape, len(x.shape))))
        if t_x is not None:
            parts.append(xp.apply(function, t_x, w, size, how))
        if t_w is not None:
            parts.append(xp.apply(function, x, t_w, size, how))
        return functools.reduce(operator.add, parts)

    def read(level: Level, run: Any, bias: Any, x: Any, w: Any, size: Sizes, how: How) -> Any:
        y = batched.apply(function, x, w, size, how)
        return y + batched.reshape(bias, _per_channel(bias.shape, len(y.shape)))

    return primitive(
        "convolution",
        run,
        lambda xp, g, bias_shape: xp.reshape(
            xp.sum_to(g, _per_channel(bias_shape, len(g.shape))), bias_shape
        ),
        by_input,
        by_weight,
        bilinear=True,
        jvp=jvp,
        graph=_NODE,
        batching=read,
    )


_convolution_and_bias = _with_bias(
    _forward,
    _convolution,
    lambda xp, g, w, x_shape, how: xp.apply(_transpose, g, w, x_shape[2:], how),
    lambda xp, g, x, w_shape, how: xp.apply(_of_weight, x, g, w_shape[2:], how),
)
_transpose_and_bias = _with_bias(
    _transposed,
    _transpose,
    lambda xp, g, w, x_shape, how: xp.apply(_convolution, g, w, x_shape[2:], how),
    lambda xp, g, x, w_shape, how: xp.apply(_of_weight, g, x, w_shape[2:], how),
)


# arguments ---------------------------------------------------------------------------------------


def _by(lengths: Sequence[int]) -> str:
    return " x ".join(map(str, lengths))


def _operands(
    name: str, count: int, input: Any, weight: Any, bias: Any
) -> tuple[Tensor, Tensor, Tensor | None, bool]:
    """The Tensors, of one dtype and device, the input as a batch; and whether it was one."""
    x = tensor_argument(name, "input", 1, input)
    w = tensor_argument(name, "weight", 2, weight)
    b = None if bias is None else tensor_argument(name, "bias", 3, bias)
    common_device(name, [t for t in (x, w, b) if t is not None])
    batch = with_batch(name, x, count)
    if w.ndim != count + 2:
        raise ShapeError(
            f"{name}: Expected {count + 2}-dimensional weight, but got weight of size "
            f"{list(w._shape)}."
        )
    dtype = x._type.dtype
    for t, what in ((w, "weight"), (b, "bias")):
        if t is not None and t._type.dtype is not dtype:
            raise DTypeError(
                f"{name}: Input type ({x.dtype}) and {what} type ({t.dtype}) should be the same; "
                "cast one with .to(dtype)."
            )
    if dtype.label == "Bool":
        raise DTypeError(f"\"{name}\" not implemented for 'Bool': cast to a number first.")
    return x if batch else x.unsqueeze(0), w, b, batch


def _checked(name: str, how: How, w: Tensor) -> None:
    stride, padding, dilation, groups = how
    if min(stride) < 1:
        raise ArgumentError(f"{name}: non-positive stride is not supported, got {list(stride)}.")
    if min(padding) < 0:
        raise ArgumentError(f"{name}: negative padding is not supported, got {list(padding)}.")
    if min(dilation) < 1:
        raise ArgumentError(
            f"{name}: dilation should be greater than zero, but got {list(dilation)}."
        )
    if groups < 1:
        raise ArgumentError(f"{name}: non-positive groups is not supported, got {groups}.")
    if w._shape[0] < groups or w._shape[0] % groups:
        problem = "at least" if w._shape[0] < groups else "divisible by"
        raise ShapeError(
            f"{name}: Given groups={groups}, expected weight to be {problem} {groups} at "
            f"dimension 0, but got weight of size {list(w._shape)} instead."
        )
    if not all(w._shape[2:]):
        raise ShapeError(
            f"{name}: kernel size should be greater than zero, but got {_by(w._shape[2:])}."
        )


def _check_bias(given: str, w: Tensor, bias: Tensor | None, channels: int) -> None:
    if bias is not None and bias._shape != (channels,):
        raise ShapeError(
            f"{given} weight of size {list(w._shape)}, expected bias to be 1-dimensional with "
            f"{channels} elements, but got bias of size {list(bias._shape)} instead."
        )


def _convolve(
    name: str,
    count: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    """What `conv1d` and its like do in `count` dimensions."""
    x, w, b, batch = _operands(name, count, input, weight, bias)
    steps = sizes(name, "stride", stride, count)
    apart = sizes(name, "dilation", dilation, count)
    reach = [d * (k - 1) for d, k in zip(apart, w._shape[2:], strict=True)]
    around: Sequence[int]
    if padding == "same":
        if any(s != 1 for s in steps):
            raise ArgumentError(
                f"{name}: padding='same' is not supported for strided convolutions."
            )
        before, around = tuple([n // 2 for n in reach]), reach
    elif isinstance(padding, str):
        if padding != "valid":
            raise ArgumentError(f"{name}: Invalid padding string: {padding!r}.")
        before = around = (0,) * count
    else:
        before = sizes(name, "padding", padding, count)
        around = [2 * n for n in before]
    how = (steps, before, apart, operator.index(groups))
    _checked(name, how, w)
    if x._shape[1] != w._shape[1] * groups:
        raise ShapeError(
            f"{name}: Given groups={groups}, weight of size {list(w._shape)}, expected "
            f"input{list(x._shape)} to have {w._shape[1] * groups} channels, but got "
            f"{x._shape[1]} channels instead."
        )
    _check_bias(f"{name}: Given", w, b, w._shape[0])
    padded = [n + p for n, p in zip(x._shape[2:], around, strict=True)]
    left = [n - r - 1 for n, r in zip(padded, reach, strict=True)]
    if min(left) < 0 or not all(x._shape[2:]):
        raise ShapeError(
            f"{name}: Calculated padded input size per channel: ({_by(padded)}). Kernel size: "
            f"({_by([r + 1 for r in reach])}). Kernel size can't be greater than actual input "
            "size."
        )
    size = tuple([n // s + 1 for n, s in zip(left, steps, strict=True)])
    if b is None:
        y = _convolution(x, w, size, how)
    else:
        y = _convolution_and_bias(b, x, w, size, how)
    return y if batch else y.squeeze(0)


def _convolve_transposed(
    name: str,
    count: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    """What `conv_transpose1d` and its like do in `count` dimensions."""
    x, w, b, batch = _operands(name, count, input, weight, bias)
    steps = sizes(name, "stride", stride, count)
    before = sizes(name, "padding", padding, count)
    more = sizes(name, "output_padding", output_padding, count)
    apart = sizes(name, "dilation", dilation, count)
    how = (steps, before, apart, operator.index(groups))
    _checked(name, how, w)
    if min(more) < 0:
        raise ArgumentError(f"{name}: negative output_padding is not supported, got {list(more)}.")
    if any(m >= s and m >= d for m, s, d in zip(more, steps, apart, strict=True)):
        raise ArgumentError(
            f"{name}: output padding must be smaller than either stride or dilation, but got "
            f"output_padding: {list(more)}, stride: {list(steps)}, dilation: {list(apart)}."
        )
    if x._shape[1] != w._shape[0]:
        raise ShapeError(
            f"{name}: Given transposed=1, weight of size {list(w._shape)}, expected "
            f"input{list(x._shape)} to have {w._shape[0]} channels, but got {x._shape[1]} "
            "channels instead."
        )
    _check_bias(f"{name}: Given transposed=1,", w, b, w._shape[1] * groups)
    size = tuple(
        [
            (n - 1) * s - 2 * p + d * (k - 1) + m + 1
            for n, s, p, d, k, m in zip(
                x._shape[2:], steps, before, apart, w._shape[2:], more, strict=True
            )
        ]
    )
    if not all(x._shape[2:]):
        raise ShapeError(
            f"{name}: Only zero batch or zero channel inputs are supported, but got input shape: "
            f"{list(x._shape)}."
        )
    if min(size) < 1:
        raise ShapeError(
            f"{name}: Given input size per channel: ({_by(x._shape[2:])}). Calculated output size "
            f"per channel: ({_by(size)}). Output size is too small."
        )
    if b is None:
        y = _transpose(x, w, size, how)
    else:
        y = _transpose_and_bias(b, x, w, size, how)
    return y if batch else y.squeeze(0)


# convolutions ------------------------------------------------------------------------------------

_LENGTHS: Final = {1: (5,), 2: (4, 3), 3: (3, 2, 2)}
_KERNELS: Final = {1: (3,), 2: (2, 2), 3: (2, 1, 2)}


def _samples(count: int) -> Any:
    def samples(make: Maker) -> list[Sample]:
        size, kernel = _LENGTHS[count], _KERNELS[count]
        return [
            sample(make.real(2, 2, *size), make.real(3, 2, *kernel), make.real(3)),
            sample(make.real(2, *size), make.real(2, 1, *kernel), None, 2, 1, groups=2),
            sample(make.real(1, 2, *size), make.real(2, 2, *kernel), make.real(2), padding="same"),
            sample(
                make.real(1, 1, *size),
                make.real(2, 1, *kernel),
                stride=(2,) * count,
                padding=(1,) * count,
                dilation=2,
            ),
            sample(make.real(1, 2, *size), make.real(4, 1, *kernel), make.real(4), groups=2),
            sample(make.real(0, 2, *size), make.real(3, 2, *kernel), make.real(3)),
            sample(make.real(1, 2, *size), make.real(3, 2, *(1,) * count), padding="valid"),
        ]

    return samples


def _errors(count: int) -> Any:
    def errors(make: Maker) -> list[Bad]:
        size, kernel = _LENGTHS[count], _KERNELS[count]
        x, w = make.real(1, 2, *size), make.real(3, 2, *kernel)
        return [
            bad(RuntimeError, "to have 2 channels, but got 3", make.real(1, 3, *size), w),
            bad(RuntimeError, "unbatched", make.real(*size), w),
            bad(RuntimeError, "divisible by 2", make.real(1, 4, *size), w, groups=2),
            bad(RuntimeError, "Kernel size can't be greater", make.real(1, 2, *(1,) * count), w),
            bad(RuntimeError, "bias to be 1-dimensional with 3", x, w, make.real(2)),
            bad(RuntimeError, "non-positive stride", x, w, stride=0),
            bad(RuntimeError, "negative padding", x, w, padding=-1),
            bad(RuntimeError, "dilation should be greater", x, w, dilation=0),
            bad(RuntimeError, "non-positive groups", x, w, groups=0),
            bad(RuntimeError, "strided convolutions", x, w, stride=2, padding="same"),
            bad(RuntimeError, "Invalid padding string", x, w, padding="full"),
            bad(RuntimeError, "single integer value or a list", x, w, stride=(1,) * 4),
            bad(TypeError, "stride", x, w, stride=1.5),
            bad(RuntimeError, "should be the same|scalar type", x, w.astype(np.float32)),
            bad(TypeError, "must be Tensor|must be a Tensor", [1.0], w),
        ]

    return errors


def _transposed_samples(count: int) -> Any:
    def samples(make: Maker) -> list[Sample]:
        size, kernel = (3, 2, 1)[:count], _KERNELS[count]
        return [
            sample(make.real(2, 2, *size), make.real(2, 3, *kernel), make.real(3)),
            sample(make.real(2, *size), make.real(2, 1, *kernel), None, 2, 0, 1, 2),
            sample(
                make.real(1, 1, *size),
                make.real(1, 2, *(3,) * count),
                make.real(2),
                stride=(2,) * count,
                padding=(1,) * count,
                output_padding=(1,) * count,
            ),
            sample(make.real(1, 2, *size), make.real(2, 2, *kernel), dilation=2, output_padding=1),
            sample(make.real(0, 2, *size), make.real(2, 3, *kernel), make.real(3)),
            sample(make.real(1, 2, *size), make.real(2, 3, *(1,) * count)),
        ]

    return samples


def _transposed_errors(count: int) -> Any:
    def errors(make: Maker) -> list[Bad]:
        size, kernel = _LENGTHS[count], _KERNELS[count]
        x, w = make.real(1, 2, *size), make.real(2, 3, *kernel)
        return [
            bad(RuntimeError, "to have 2 channels, but got 3", make.real(1, 3, *size), w),
            bad(RuntimeError, "unbatched", make.real(*size), w),
            bad(RuntimeError, "bias to be 1-dimensional with 3", x, w, make.real(2)),
            bad(RuntimeError, "output padding must be smaller", x, w, output_padding=1),
            bad(RuntimeError, "negative output_padding", x, w, output_padding=-1),
            bad(RuntimeError, "Output size is too small", x, w, padding=9),
            bad(RuntimeError, "zero batch or zero channel", make.real(1, 2, *(0,) * count), w),
            bad(TypeError, "padding", x, w, padding="same"),
        ]

    return errors


@public(
    path="nn.functional.conv1d",
    kind="primitive",
    samples=_samples(1),
    errors=_errors(1),
    departs={"saves": "the input, of which PyTorch pads a copy for an even 'same'"},
)
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """As `conv2d`, for `(n, c, l)`, or `(c, l)` without a batch.

    `weight` is `(o, c / groups, k)`.
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@public(
    path="nn.functional.conv2d",
    kind="primitive",
    samples=_samples(2),
    errors=_errors(2),
    departs={"saves": "the input, of which PyTorch pads a copy for an even 'same'"},
)
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution in two dimensions: the cross-correlation of the input with each filter.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        weight: `(o, c / groups, kh, kw)`, of the dtype of `input`.
        bias: `(o,)`, added to each channel of the result.
        stride: the step of a filter; a number stands for all dimensions, here and below.
        padding: zeros around the input on both sides; `"valid"` for none, `"same"` for as many as
            keep its size, the odd one after it.
        dilation: the step between the elements of a filter.
        groups: how many parts the channels are in; each has `o / groups` filters of its own.

    Returns:
        `(n, o, *)`, with `(l + 2 padding - dilation (k - 1) - 1) // stride + 1` elements for l.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
        ArgumentError: a number is too small.
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@public(
    path="nn.functional.conv3d",
    kind="primitive",
    samples=_samples(3),
    errors=_errors(3),
    departs={"saves": "the input, of which PyTorch pads a copy for an even 'same'"},
)
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """As `conv2d`, for `(n, c, d, h, w)`, or `(c, d, h, w)` without a batch.

    `weight` is `(o, c / groups, kd, kh, kw)`.
    """
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


@public(
    path="nn.functional.conv_transpose1d",
    kind="primitive",
    samples=_transposed_samples(1),
    errors=_transposed_errors(1),
)
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """As `conv_transpose2d`, for `(n, c, l)`, or `(c, l)` without a batch.

    `weight` is `(c, o / groups, k)`.
    """
    return _convolve_transposed(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


@public(
    path="nn.functional.conv_transpose2d",
    kind="primitive",
    samples=_transposed_samples(2),
    errors=_transposed_errors(2),
)
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """The transpose of `conv2d`: each element of the input adds a multiple of a filter.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        weight: `(c, o / groups, kh, kw)`, of the dtype of `input`.
        bias: `(o,)`, added to each channel of the result.
        stride: how far apart the filters are put; a number stands for all dimensions.
        padding: how many elements are cut off on both sides.
        output_padding: how many there are more after the last, where `conv2d` rounds down.
        groups: how many parts the channels are in.
        dilation: the step between the elements of a filter.

    Returns:
        `(n, o, *)`, `(l - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1` for l.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
        ArgumentError: a number is too small, or `output_padding` too large.
    """
    return _convolve_transposed(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


@public(
    path="nn.functional.conv_transpose3d",
    kind="primitive",
    samples=_transposed_samples(3),
    errors=_transposed_errors(3),
)
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """As `conv_transpose2d`, for `(n, c, d, h, w)`, or `(c, d, h, w)` without a batch.

    `weight` is `(c, o / groups, kd, kh, kw)`.
    """
    return _convolve_transposed(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )


@public(
    samples=lambda make: [
        sample(make.real(5, 2, 2), make.real(3, 2, 3), make.real(3), 1),
        sample(make.real(4, 1, 2), make.real(2, 2, 1), make.real(1)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must have 3 dims", make.real(5, 2), make.real(3, 2, 3), make.real(3)),
        bad(
            RuntimeError, "to have 2 channels", make.real(5, 2, 3), make.real(3, 2, 3), make.real(3)
        ),
    ],
    departs={"node": "composite"},
)
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Convolution in time, of arrays that have time first and channels last.

    Args:
        input: `(time, batch, c)`.
        weight: `(k, c, o)`.
        bias: `(o,)`.
        pad: zeros before and after the input.

    Returns:
        `(time + 2 pad - k + 1, batch, o)`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
    """
    x = tensor_argument("conv_tbc", "input", 1, input)
    w = tensor_argument("conv_tbc", "weight", 2, weight)
    for t, what in ((x, "Input"), (w, "Weight")):
        if t.ndim != 3:
            raise ShapeError(f"conv_tbc: {what} must have 3 dims, and it is {t._shape}.")
    y = _convolve("conv_tbc", 1, x.permute(1, 2, 0), w.permute(2, 1, 0), bias, 1, pad, 1, 1)
    return y.permute(2, 0, 1).contiguous()
