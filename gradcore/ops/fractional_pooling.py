"""Max pooling over windows that begin at random places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..errors import ArgumentError, ShapeError
from ..op import public
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor
from .creation import arange, full, rand
from .index import take_along_dim
from .layer import tensor_argument
from .max_pooling import POOLINGS
from .pooling import check_numbers
from .shape import cat
from .windows import sizes, with_batch

__all__: list[str] = []


def _fractional(
    name: str,
    count: int,
    input: Any,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    random_samples: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Windows that begin at random places, laid side by side and pooled as tiles."""
    x = tensor_argument(name, "input", 1, input)
    check_numbers(name, x, "f")
    batch = with_batch(name, x, count)
    kernel = sizes(name, "kernel_size", kernel_size, count)
    lengths = x._shape[-count:]
    if output_size is not None:
        size = sizes(name, "output_size", output_size, count)
    elif output_ratio is not None:
        ratios = output_ratio if isinstance(output_ratio, Sequence) else (output_ratio,) * count
        if len(ratios) != count:
            raise ArgumentError(
                f"{name} requires output_ratio to either be a single number or {count} of them."
            )
        size = tuple([int(n * ratio) for n, ratio in zip(lengths, ratios, strict=True)])
    else:
        raise ArgumentError(f"{name} requires specifying either an output_size or an output_ratio")
    if min(size) < 1 or any(
        n + k - 1 + (count == 3) > length
        for n, k, length in zip(size, kernel, lengths, strict=True)
    ):
        raise ShapeError(
            f"{name}: pool size {list(kernel)} too large relative to input size {list(lengths)} "
            f"for output size {list(size)}."
        )
    if random_samples is None:
        random_samples = rand(
            x._shape[0] if batch else 1,
            x._shape[-count - 1],
            count,
            dtype=x.dtype,
            device=x.device,
        )
    u = random_samples if batch else random_samples[0]
    if count == 2:  # there the first number is that of the last dimension
        u = u.flip(-1)
    planes, elements = x, []
    for axis, (length, n, k) in enumerate(zip(lengths, size, kernel, strict=True)):
        column = u[..., axis, None]
        step = (length - k) / (n - 1) if n > 1 else 0.0
        starts = ((arange(n - 1, device=x.device) + column) * step).to(dtypes.int64)
        starts = starts - (column * step).to(dtypes.int64)
        starts = cat([starts, full((*starts.shape[:-1], 1), length - k, device=x.device)], -1)
        rows = (starts.unsqueeze(-1) + arange(k, device=x.device)).flatten(-2)
        elements.append(rows)
        index = rows.reshape(*rows.shape[:-1], *[-1 if i == axis else 1 for i in range(count)])
        planes = take_along_dim(planes, index, axis - count)
    y, at = POOLINGS[count][0](planes, kernel, size, (kernel, (0,) * count, (1,) * count, 1))
    place: Any = 0
    step = 1
    for rows, length in reversed(list(zip(elements, lengths, strict=True))):
        along = (at % rows.shape[-1]).flatten(-count)
        place = place + take_along_dim(rows, along, -1).reshape(at.shape) * step
        at = at // rows.shape[-1]
        step *= length
    return y, place


def _fractional_samples(count: int) -> Any:
    def samples(make: Maker) -> list[Sample]:
        x = make.real(1, 2, *(5, 4, 4)[:count])
        u = make.real(1, 2, count, low=0.0, high=1.0)
        return [
            sample(x, 2, (3, 2, 2)[:count], _random_samples=u),
            sample(x[0], (2, 1, 2)[:count], output_ratio=(0.5,) * count, _random_samples=u),
            sample(x, 2, 2, None, True, u),
        ]

    return samples


def _fractional_errors(count: int) -> Any:
    def errors(make: Maker) -> list[Bad]:
        x = make.real(1, 1, *(5,) * count)
        return [
            bad(ValueError, "either an output_size or an output_ratio", x, 2),
            bad(RuntimeError, "too large relative to input", x, 2, 5),
        ]

    return errors


@public(
    path="nn.functional.fractional_max_pool2d",
    samples=_fractional_samples(2),
    errors=_fractional_errors(2),
)
def fractional_max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    output_size: int | Sequence[int] | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest elements in two dimensions of windows whose steps are random, one or one more.

    The windows are laid side by side and pooled as tiles by some forty operations: of few elements
    it takes thirty times as long as PyTorch's.

    Args:
        input: `(n, c, h, w)`, or `(c, h, w)` without a batch.
        kernel_size: of a window; a number stands for all dimensions, here and below.
        output_size: of the result.
        output_ratio: instead, what part of the size of `input` that is.
        return_indices: whether to give the places of the elements in their planes, too.
        _random_samples: `(n, c, 2)`, in [0, 1), that the windows follow from; drawn if not given.

    Returns:
        `(n, c, *output_size)`; with the places, int64 of the same shape, if they are asked for.

    Raises:
        ShapeError: `input` is too small, or has other numbers of dimensions.
        ArgumentError: neither a size nor a ratio is given.

    Reference:
        Graham, Fractional Max-Pooling, 2014.
    """
    found = _fractional(
        "fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio, _random_samples
    )
    return found if return_indices else found[0]


@public(
    path="nn.functional.fractional_max_pool2d_with_indices",
    samples=lambda make: _fractional_samples(2)(make)[:1],
)
def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: int | Sequence[int],
    output_size: int | Sequence[int] | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What `fractional_max_pool2d` gives with `return_indices`: elements and their places.

    Of few elements it takes thirty times as long as PyTorch's: see there.
    """
    return _fractional(
        "fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio, _random_samples
    )


@public(
    path="nn.functional.fractional_max_pool3d",
    samples=_fractional_samples(3),
    errors=_fractional_errors(3),
)
def fractional_max_pool3d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    output_size: int | Sequence[int] | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """As `fractional_max_pool2d`, for `(n, c, d, h, w)`, or `(c, d, h, w)` without a batch.

    `_random_samples` is `(n, c, 3)`. Of few elements it takes thirty times as long as PyTorch's:
    see there.
    """
    found = _fractional(
        "fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio, _random_samples
    )
    return found if return_indices else found[0]


@public(
    path="nn.functional.fractional_max_pool3d_with_indices",
    samples=lambda make: _fractional_samples(3)(make)[:1],
)
def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: int | Sequence[int],
    output_size: int | Sequence[int] | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What `fractional_max_pool3d` gives with `return_indices`: elements and their places.

    Of few elements it takes thirty times as long as PyTorch's: see there.
    """
    return _fractional(
        "fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio, _random_samples
    )
