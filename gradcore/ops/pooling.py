"""Averages over windows: of a given size and step, or as many as the result has elements.

Along each dimension on its own: a mean over a box is the mean of means.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..op import primitive, public
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor
from .layer import tensor_argument
from .windows import How, Sizes, places, sizes, with_batch

__all__ = ["adaptive_avg_pool1d", "avg_pool1d"]

Divisor = int | bool
"""What sums are divided by: a number that is given, or the elements of a window; True counts the
padding among these."""


# windows along one dimension ---------------------------------------------------------------------


def _along(axis: int, x: Array, at: slice) -> Array:
    return x[(*(slice(None),) * (axis % x.ndim), at)]


def _split(x: Array, axis: int, count: int, k: int) -> Array:
    """A view of the first `count * k` elements along `axis` as `count` rows of `k`."""
    axis %= x.ndim
    cut = _along(axis, x, slice(count * k))
    return cut.reshape(*x.shape[:axis], count, k, *x.shape[axis + 1 :])


def _tiled(k: int, stride: int, padding: int, count: int, length: int) -> bool:
    return k == stride and not padding and count * k <= length


def _sums(module: Any, x: Array, axis: int, k: int, count: int, stride: int, padding: int) -> Array:
    """The sums of `count` windows along `axis`, which is negative."""
    length = x.shape[axis]
    if k >= _LONG and _tiled(k, stride, padding, count, length):
        return _split(x, axis, count, k).sum(axis=axis, dtype=x.dtype)
    y = None
    for _, taken, at in places(length, k, count, stride, padding, 1):
        part = _along(axis, x, at)
        if y is None:
            if taken == slice(0, count):
                y = part.copy()
                continue
            shape = list(x.shape)
            shape[axis] = count
            y = module.zeros(shape, x.dtype)
        target = _along(axis, y, taken)
        target += part
    assert y is not None  # windows have elements
    return y


_LONG: Final = 8
"""Elements of a window from which numpy.sum is faster than an addition for each."""


def _spread_sums(
    module: Any, g: Array, axis: int, length: int, k: int, stride: int, padding: int
) -> Array:
    """The transpose of `_sums`."""
    count = g.shape[axis]
    shape = list(g.shape)
    shape[axis] = length
    if _tiled(k, stride, padding, count, length):
        x = (module.empty if count * k == length else module.zeros)(shape, g.dtype)
        _split(x, axis, count, k)[...] = module.expand_dims(g, axis % g.ndim + 1)
        return x
    x = module.zeros(shape, g.dtype)
    for _, taken, at in places(length, k, count, stride, padding, 1):
        target = _along(axis, x, at)
        target += _along(axis, g, taken)
    return x


def _range_sums(module: Any, x: Array, axis: int, count: int) -> Array:
    """Sums of `count` ranges along `axis`, each from `i l // count` to where the next has begun.

    Between `count` and l the relation of who is in whose range is symmetric: the transpose is the
    same sum with the two numbers exchanged.
    """
    length = x.shape[axis]
    if count == length:
        return x
    if length and count and length % count == 0:
        k = length // count
        return _sums(module, x, axis, k, count, k, 0)
    if length and count % length == 0:
        k = count // length
        return _spread_sums(module, x, axis, count, k, k, 0)
    start, end = _ranges(module, count, length)
    column = (-1, *(1,) * (-axis - 1))
    y = module.take(x, start, axis=axis)
    for j in range(1, length // count + 2):
        at = start + j
        part = module.take(x, module.minimum(at, length - 1), axis=axis)
        y += module.where((at < end).reshape(column), part, x.dtype.type(0))
    return y


def _ranges(module: Any, count: int, length: int) -> tuple[Array, Array]:
    """Where the ranges begin and end."""
    i = module.arange(count)
    return i * length // count, -((i + 1) * -length // count)


# averages ----------------------------------------------------------------------------------------


def _counts(
    module: Any, lengths: Sizes, kernel: Sizes, size: Sizes, how: How, padded: bool
) -> list[Any]:
    """Per dimension how many elements the windows have: a number, or a column that broadcasts."""
    found: list[Any] = []
    for number, (length, k, count, stride, padding) in enumerate(
        zip(lengths, kernel, size, how[0], how[1], strict=True)
    ):
        last = (count - 1) * stride - padding + k
        if last <= (length + padding if padded else length) and (padded or not padding):
            found.append(k)
            continue
        start = np.arange(count) * stride - padding
        end = np.minimum(start + k, length + padding)
        if not padded:
            start, end = np.maximum(start, 0), np.minimum(end, length)
        column = module.asarray(np.maximum(end - start, 1))
        found.append(column.reshape(-1, *(1,) * (len(size) - 1 - number)))
    return found


def _divide(module: Any, y: Array, counts: Sequence[Any]) -> Array:
    """`y` over the product of the counts, rounded to zero if it is of integers."""
    numbers = math.prod([n for n in counts if isinstance(n, int)])
    columns = [n for n in counts if not isinstance(n, int)]
    for n in ([numbers] if numbers != 1 else []) + columns:
        if y.dtype.kind in "fc":
            y = y / (n if isinstance(n, int) else n.astype(y.dtype))
        else:
            y = (y - module.fmod(y, n)) // n
    return y


def _wide(x: Array) -> Array:
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _mean(xp: Any, x: Array, kernel: Sizes, size: Sizes, how: How, divisor: Divisor) -> Array:
    module, count = xp.module, len(size)
    counts = _counts_or(module, divisor, x.shape[-count:], kernel, size, how)
    y = _wide(x)
    for axis in range(-count, 0):
        y = _sums(module, y, axis, kernel[axis], size[axis], how[0][axis], how[1][axis])
    return _divide(module, y, counts).astype(x.dtype, copy=False)


def _mean_spread(
    xp: Any, a: Array, lengths: Sizes, kernel: Sizes, size: Sizes, how: How, divisor: Divisor
) -> Array:
    module, count = xp.module, len(size)
    counts = _counts_or(module, divisor, lengths, kernel, size, how)
    x = _divide(module, _wide(a), counts)
    for axis in range(-1, -count - 1, -1):  # the rows of memory last, and at once
        x = _spread_sums(module, x, axis, lengths[axis], kernel[axis], how[0][axis], how[1][axis])
    return x.astype(a.dtype, copy=False)


def _counts_or(
    module: Any, divisor: Divisor, lengths: Sizes, kernel: Sizes, size: Sizes, how: How
) -> list[Any]:
    if divisor is True or divisor is False:
        return _counts(module, lengths, kernel, size, how, divisor)
    return [divisor]


def _averaging(count: int) -> Any:
    """The average over windows in `count` dimensions."""
    spread = primitive(
        "avg_pool_backward",
        lambda xp, a, lengths, kernel, size, how, divisor: _mean_spread(
            xp, a, lengths, kernel, size, how, divisor
        ),
        lambda xp, g, kernel, size, how, divisor: xp.apply(mean, g, kernel, size, how, divisor),
        linear=True,
        graph=f"AvgPool{count}DBackwardBackward0",
        batching=leading,
    )
    mean = primitive(
        "avg_pool",
        lambda xp, x, kernel, size, how, divisor: _mean(xp, x, kernel, size, how, divisor),
        lambda xp, g, x_shape, kernel, size, how, divisor: xp.apply(
            spread, g, x_shape[-len(size) :], kernel, size, how, divisor
        ),
        linear=True,
        graph=f"AvgPool{count}DBackward0",
        batching=leading,
    )
    return mean


_avg_pool: Final = {count: _averaging(count) for count in (1, 2, 3)}


def _range_counts(module: Any, lengths: Sizes, size: Sizes) -> list[Any]:
    found: list[Any] = []
    for number, (length, count) in enumerate(zip(lengths, size, strict=True)):
        if count and length % count == 0:
            found.append(length // count)
        elif count % length == 0:
            found.append(1)
        else:
            start, end = _ranges(module, count, length)
            found.append((end - start).reshape(-1, *(1,) * (len(size) - 1 - number)))
    return found


def _range_means(xp: Any, x: Array, size: Sizes) -> Array:
    y = _wide(x)
    for axis in range(-len(size), 0):
        y = _range_sums(xp.module, y, axis, size[axis])
    y = _divide(xp.module, y, _range_counts(xp.module, x.shape[-len(size) :], size))
    return y.copy() if y is x else y.astype(x.dtype, copy=False)


def _range_means_spread(xp: Any, a: Array, lengths: Sizes) -> Array:
    size = a.shape[-len(lengths) :]
    x = _divide(xp.module, _wide(a), _range_counts(xp.module, lengths, size))
    for axis in range(-1, -len(size) - 1, -1):
        x = _range_sums(xp.module, x, axis, lengths[axis])
    return x.copy() if x is a else x.astype(a.dtype, copy=False)


def _adaptive_averaging(count: int) -> Any:
    spread = primitive(
        "adaptive_avg_pool_backward",
        lambda xp, a, lengths: _range_means_spread(xp, a, lengths),
        lambda xp, g, a_shape, lengths: xp.apply(mean, g, a_shape[-len(lengths) :]),
        linear=True,
        graph=f"AdaptiveAvgPool{count}DBackwardBackward0",
        batching=leading,
    )
    mean = primitive(
        "adaptive_avg_pool",
        lambda xp, x, size: _range_means(xp, x, size),
        lambda xp, g, x_shape, size: xp.apply(spread, g, x_shape[-len(size) :]),
        linear=True,
        graph=f"AdaptiveAvgPool{count}DBackward0",
        batching=leading,
    )
    return mean


_adaptive_avg_pool: Final = {count: _adaptive_averaging(count) for count in (1, 2, 3)}


# arguments ---------------------------------------------------------------------------------------


def pooled(
    name: str,
    x: Tensor,
    count: int,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> tuple[Sizes, Sizes, How]:
    """The kernel, the size of the result, and how the windows lie, for a pooling.

    Raises:
        ShapeError: the input has other numbers of dimensions, or is too small.
        ArgumentError: a number is too small, or the padding too large.
    """
    kernel = sizes(name, "kernel_size", kernel_size, count)
    given = stride is not None and not (isinstance(stride, Sequence) and not stride)
    steps = sizes(name, "stride", stride, count) if given else kernel
    before = sizes(name, "padding", padding, count)
    apart = sizes(name, "dilation", dilation, count)
    batch = with_batch(name, x, count)
    if not all(x._shape[batch:]):
        raise ShapeError(
            f"{name}: Expected {count + 1}D or {count + 2}D (batch mode) tensor with optional 0 "
            f"dim batch size for input, but got: {list(x._shape)}."
        )
    for what, numbers in (("kernel_size", kernel), ("stride", steps), ("dilation", apart)):
        if min(numbers) < 1:
            problem = "not be zero" if what == "stride" else "be greater than zero"
            raise ArgumentError(f"{name}: {what} should {problem}, but got {list(numbers)}.")
    if min(before) < 0:
        raise ArgumentError(f"{name}: pad must be non-negative, but got pad: {min(before)}.")
    size = []
    for length, k, s, p, d in zip(x._shape[-count:], kernel, steps, before, apart, strict=True):
        reach = d * (k - 1) + 1
        if p > reach // 2:
            raise ArgumentError(
                f"{name}: pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={d}."
            )
        left = length + 2 * p - reach
        n = (left + (s - 1 if ceil_mode else 0)) // s + 1
        # The last window must begin inside the input or the padding before it.
        size.append(n - 1 if ceil_mode and (n - 1) * s >= length + p else n)
    if min(size) < 1:
        raise ShapeError(
            f"{name}: Given input size: {list(x._shape)}. Calculated output size: {size}. Output "
            f"size is too small: kernel_size is {list(kernel)}."
        )
    return kernel, tuple(size), (steps, before, apart, 1)


def adaptive_size(name: str, x: Tensor, count: int, output_size: Any) -> Sizes:
    """The size of the result of an adaptive pooling.

    Raises:
        ShapeError: the input has other numbers of dimensions, or no elements.
        ArgumentError: a number is negative, or there are too many.
    """
    with_batch(name, x, count)
    lengths = x._shape[-count:]
    if not all(lengths):
        raise ShapeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input "
            f"has sizes {list(x._shape)}."
        )
    one = output_size is None or not isinstance(output_size, Sequence)
    given = (output_size,) * count if one else tuple(output_size)
    if len(given) == 1:
        given *= count
    if len(given) != count:
        raise ArgumentError(f"{name}: output_size must be {count}, but got {len(given)} numbers.")
    try:
        size = tuple(
            [
                n if wanted is None else operator.index(wanted)
                for wanted, n in zip(given, lengths, strict=True)
            ]
        )
    except TypeError:
        raise ArgumentTypeError(
            f"{name}(): argument 'output_size' must be tuple of ints, not "
            f"{type(output_size).__name__}."
        ) from None
    if min(size) < 0:
        raise ArgumentError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{list(size)}."
        )
    return size


def check_numbers(name: str, x: Tensor, kinds: str) -> None:
    """Refuse dtypes whose NumPy kind is not among `kinds`.

    Raises:
        DTypeError: it is another.
    """
    if x._type.numpy.kind not in kinds:
        raise DTypeError(f"\"{name}\" not implemented for '{x._type.dtype.label}'.")


def _average(
    name: str,
    count: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    x = tensor_argument(name, "input", 1, input)
    check_numbers(name, x, "fiu")
    kernel, size, how = pooled(name, x, count, kernel_size, stride, padding, 1, ceil_mode)
    divisor: Divisor = bool(count_include_pad)
    if divisor_override is not None:
        if not divisor_override:
            raise ArgumentError(f"{name}: divisor must be not zero.")
        divisor = int(divisor_override)
    y: Tensor = _avg_pool[count](x, kernel, size, how, divisor)
    return y


def _adaptive_average(name: str, count: int, input: Any, output_size: Any) -> Tensor:
    x = tensor_argument(name, "input", 1, input)
    check_numbers(name, x, "fc")
    size = adaptive_size(name, x, count, output_size)
    y: Tensor = _adaptive_avg_pool[count](x, size)
    return y


def _norm(
    name: str,
    count: int,
    input: Any,
    norm_type: float,
    kernel_size: Any,
    stride: Any,
    ceil_mode: bool,
) -> Tensor:
    x = tensor_argument(name, "input", 1, input)
    elements = math.prod(sizes(name, "kernel_size", kernel_size, count))
    mean = _average(name, count, x.pow(norm_type), kernel_size, stride, 0, ceil_mode, True, None)
    return (mean.sign() * mean.abs().relu() * elements).pow(1.0 / norm_type)


# public ------------------------------------------------------------------------------------------

LENGTHS: Final = {1: (7,), 2: (4, 5), 3: (3, 2, 3)}
"""Of samples, by the number of dimensions."""


def _avg_samples(count: int) -> Any:
    def samples(make: Maker) -> list[Sample]:
        size = LENGTHS[count]
        some = [
            sample(make.real(2, 1, *size), 2),
            sample(make.real(1, *size), 2, 1, 1, count_include_pad=False),
            sample(make.real(1, 1, *size), (3, 2, 2)[:count], (2,) * count, (1,) * count, True),
            sample(make.real(1, 2, *size), kernel_size=2, stride=3, ceil_mode=True),
            sample(make.real(0, 1, *size), 2),
        ]
        if count > 1:
            some.append(sample(make.real(1, 1, *size), 2, padding=1, divisor_override=3))
        return some

    return samples


def pool_errors(count: int) -> Any:
    """Calls that every pooling over windows refuses."""

    def errors(make: Maker) -> list[Bad]:
        x = make.real(1, 1, *LENGTHS[count])
        return [
            bad(RuntimeError, "at most half", x, 2, padding=2),
            bad(RuntimeError, "non-negative", x, 2, padding=-1),
            bad(RuntimeError, "stride should not be zero|must be greater", x, 2, stride=0),
            bad(RuntimeError, "[Oo]utput.size|smaller than kernel", x, 9),
            bad(RuntimeError, "[Ee]xpected|non-empty", make.real(1, 0, *LENGTHS[count]), 2),
            bad(RuntimeError, "[Ee]xpected|non-empty", make.real(1, *x.shape, 1), 2),
            bad(TypeError, "kernel_size", x, 2.5),
            bad(RuntimeError, "kernel_size", x, (2,) * 4),
        ]

    return errors


def _avg_errors(count: int) -> Any:
    def errors(make: Maker) -> list[Bad]:
        found: list[Bad] = pool_errors(count)(make)
        if count > 1:
            x = make.real(1, 1, *LENGTHS[count])
            found.append(bad(RuntimeError, "divisor must be not zero", x, 2, divisor_override=0))
        return found

    return errors


def adaptive_samples(count: int) -> Any:
    """Of every adaptive pooling: sizes that divide those of the input, and do not, and are more."""

    def samples(make: Maker) -> list[Sample]:
        size = LENGTHS[count]
        return [
            sample(make.real(2, 1, *size), 1),
            sample(make.real(1, *size), (3, 2, 2)[:count]),
            sample(make.real(1, 1, *size), output_size=(4, 3, 1)[-count:]),
            sample(make.real(1, 1, *size), tuple([2 * n for n in size])),
            sample(make.real(0, 1, *size), 2),
        ]

    return samples


def adaptive_errors(count: int) -> Any:
    """Calls that every adaptive pooling refuses."""

    def errors(make: Maker) -> list[Bad]:
        x = make.real(1, 1, *LENGTHS[count])
        return [
            bad(RuntimeError, "non-zero size", make.real(1, 1, *(0,) * count), 2),
            bad(RuntimeError, "[Ee]xpected", make.real(1, *x.shape, 1), 2),
            bad(RuntimeError, "output_size|one int", x, (2,) * 4),
            bad(RuntimeError, "greater than or equal to 0|negative", x, -1),
            bad(TypeError, "output_size", x, 2.5),
        ]

    return errors


def _lp_samples(count: int) -> Any:
    def samples(make: Maker) -> list[Sample]:
        size = LENGTHS[count]
        return [
            sample(make.real(2, 1, *size, low=0.5), 2.0, 2),
            sample(make.real(1, *size, low=0.5), 3, 2, 1),
            sample(make.real(1, 1, *size, low=0.5), 1.5, 2, 3, ceil_mode=True),
        ]

    return samples


@public(
    path="nn.functional.avg_pool1d",
    kind="primitive",
    samples=_avg_samples(1),
    errors=_avg_errors(1),
    departs={
        "node": "one node, where PyTorch adds a dimension",
        "saves less": "the input, of which its shape is enough",
    },
)
def avg_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """As `avg_pool2d`, for `(n, c, l)`, or `(c, l)` without a batch."""
    return _average(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


@public(
    path="nn.functional.avg_pool2d",
    kind="primitive",
    samples=_avg_samples(2),
    errors=_avg_errors(2),
    departs={"saves less": "the input, of which its shape is enough"},
)
def avg_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window in two dimensions.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        kernel_size: of a window; a number stands for all dimensions, here and below.
        stride: from one window to the next; `kernel_size` if it is not given.
        padding: zeros around the input on both sides, at most half of the kernel.
        ceil_mode: whether windows may end beyond the input.
        count_include_pad: whether the padding counts among the elements of a window.
        divisor_override: what sums are divided by, instead of the number of elements.

    Returns:
        `(n, c, *)`, with `(l + 2 padding - k) // stride + 1` elements for l, or one more.

    Raises:
        ShapeError: `input` is too small, or has other numbers of dimensions.
        ArgumentError: a number is too small or too large.
    """
    return _average(
        "avg_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


@public(
    path="nn.functional.avg_pool3d",
    kind="primitive",
    samples=_avg_samples(3),
    errors=_avg_errors(3),
    departs={"saves less": "the input, of which its shape is enough"},
)
def avg_pool3d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """As `avg_pool2d`, for `(n, c, d, h, w)`, or `(c, d, h, w)` without a batch."""
    return _average(
        "avg_pool3d",
        3,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


@public(
    path="nn.functional.adaptive_avg_pool1d",
    kind="primitive",
    samples=adaptive_samples(1),
    errors=adaptive_errors(1),
    departs={
        "node": "one node, where PyTorch adds a dimension",
        "saves less": "the input, of which its shape is enough",
    },
)
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """As `adaptive_avg_pool2d`, for `(n, c, l)`, or `(c, l)` without a batch."""
    return _adaptive_average("adaptive_avg_pool1d", 1, input, output_size)


@public(
    path="nn.functional.adaptive_avg_pool2d",
    kind="primitive",
    samples=adaptive_samples(2),
    errors=adaptive_errors(2),
    departs={
        "node": "a mean in PyTorch for one element",
        "saves less": "the input, of which its shape is enough",
    },
)
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means in two dimensions of as many windows as the result is to have elements.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        output_size: of the result, o in a dimension; a number stands for all; None for that of
            `input`. Window i of l elements goes from floor(i l / o) to ceil((i + 1) l / o).

    Returns:
        `(n, c, *output_size)`.

    Raises:
        ShapeError: `input` is empty, or has other numbers of dimensions.
        ArgumentError: a number is negative.
    """
    return _adaptive_average("adaptive_avg_pool2d", 2, input, output_size)


@public(
    path="nn.functional.adaptive_avg_pool3d",
    kind="primitive",
    samples=adaptive_samples(3),
    errors=adaptive_errors(3),
    departs={
        "node": "a mean in PyTorch for one element",
        "saves less": "the input, of which its shape is enough",
    },
)
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """As `adaptive_avg_pool2d`, for `(n, c, d, h, w)`, or `(c, d, h, w)` without a batch."""
    return _adaptive_average("adaptive_avg_pool3d", 3, input, output_size)


@public(path="nn.functional.lp_pool1d", samples=_lp_samples(1))
def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """As `lp_pool2d`, for `(n, c, l)`, or `(c, l)` without a batch."""
    return _norm("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


@public(path="nn.functional.lp_pool2d", samples=_lp_samples(2))
def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window in two dimensions: a root of the sum of powers, signs kept.

    Where the sum is 0 the gradient is nan if p is above 1.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        norm_type: p.
        kernel_size: of a window; a number stands for all dimensions.
        stride: from one window to the next; `kernel_size` if it is not given.
        ceil_mode: whether windows may end beyond the input.

    Raises:
        ShapeError: `input` is too small, or has other numbers of dimensions.
        ArgumentError: a number is too small.
    """
    return _norm("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


@public(path="nn.functional.lp_pool3d", samples=_lp_samples(3))
def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """As `lp_pool2d`, for `(n, c, d, h, w)`, or `(c, d, h, w)` without a batch."""
    return _norm("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)
