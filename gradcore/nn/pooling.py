"""Pooling: one number for each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from .convolution import sizes
from .module import Module
from .options import FunctionModule

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


_Sizes = int | tuple[int, ...]


class _Pool(FunctionModule):
    kernel_size: _Sizes
    stride: _Sizes | None = None
    padding: _Sizes = 0

    def _ready(self) -> None:
        if self.stride is None:
            self.stride = self.kernel_size


class _MaxPool(
    _Pool,
    shown="kernel_size={kernel_size}, stride={stride}, padding={padding}, "
    "dilation={dilation}, ceil_mode={ceil_mode}",
):
    dilation: _Sizes = 1
    return_indices: bool = False
    ceil_mode: bool = False


class _AvgPool(_Pool, shown="kernel_size={kernel_size}, stride={stride}, padding={padding}"):
    ceil_mode: bool = False
    count_include_pad: bool = True


class _MaxUnpool(Module):
    _dims: ClassVar[int]

    def __init__(
        self, kernel_size: _Sizes, stride: _Sizes | None = None, padding: _Sizes = 0
    ) -> None:
        super().__init__()
        self.kernel_size = sizes(kernel_size, self._dims)
        self.stride = self.kernel_size if stride is None else sizes(stride, self._dims)
        self.padding = sizes(padding, self._dims)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """Put the maxima back.

        Args:
            input: what the pooling gave.
            indices: where they were, likewise.
            output_size: of the result, where several are possible.
        """
        function = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self._dims - 1]
        return function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """Its options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _LPPool(FunctionModule):
    norm_type: float
    kernel_size: _Sizes
    stride: _Sizes | None = None
    ceil_mode: bool = False


class _AdaptiveAvgPool(FunctionModule):
    output_size: int | tuple[int | None, ...] | None


class _AdaptiveMaxPool(FunctionModule, shown="output_size={output_size}"):
    output_size: int | tuple[int | None, ...] | None
    return_indices: bool = False


class _FractionalMaxPool(FunctionModule, shown=""):
    kernel_size: _Sizes
    output_size: _Sizes | None = None
    output_ratio: float | tuple[float, ...] | None = None
    return_indices: bool = False

    def _ready(self) -> None:
        name = type(self).__name__
        if self.output_size is None and self.output_ratio is None:
            raise ArgumentError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if self.output_size is not None and self.output_ratio is not None:
            raise ArgumentError("only one of output_size and output_ratio may be specified")
        ratio = self.output_ratio
        ratios = ratio if isinstance(ratio, tuple) else () if ratio is None else (ratio,)
        if not all(0 < r < 1 for r in ratios):
            raise ArgumentError(f"output_ratio must be between 0 and 1 (got {ratio})")


class MaxPool1d(_MaxPool, of=F.max_pool1d):
    """As `MaxPool2d`, for `(N, C, L)`."""


class MaxPool2d(_MaxPool, of=F.max_pool2d):
    """The greatest number of each window of `(N, C, H, W)`.

    Args:
        kernel_size: the size of a window, one number or one for each dimension.
        stride: from window to window; by default `kernel_size`.
        padding: how far the input is padded at each end.
        dilation: from element to element of a window.
        return_indices: return the places of the maxima too.
        ceil_mode: let the last window reach beyond the end.
    """


class MaxPool3d(_MaxPool, of=F.max_pool3d):
    """As `MaxPool2d`, for `(N, C, D, H, W)`."""


class MaxUnpool1d(_MaxUnpool):
    """The inverse of `MaxPool1d`, as `MaxUnpool2d`, for `(N, C, L)`."""

    _dims = 1


class MaxUnpool2d(_MaxUnpool):
    """The inverse of `MaxPool2d`, with 0 where no maximum was.

    Args:
        kernel_size: the size of a window, one number or one for each dimension.
        stride: from window to window; by default `kernel_size`.
        padding: how far the input is padded at each end.
    """

    _dims = 2


class MaxUnpool3d(_MaxUnpool):
    """The inverse of `MaxPool3d`, as `MaxUnpool2d`, for `(N, C, D, H, W)`."""

    _dims = 3


class AvgPool1d(_AvgPool, of=F.avg_pool1d):
    """As `AvgPool2d`, for `(N, C, L)`; without `divisor_override`."""

    def _ready(self) -> None:
        super()._ready()
        self.kernel_size, self.stride = sizes(self.kernel_size, 1), sizes(self.stride, 1)
        self.padding = sizes(self.padding, 1)


class AvgPool2d(_AvgPool, of=F.avg_pool2d):
    """The mean of each window of `(N, C, H, W)`.

    Args:
        kernel_size: the size of a window, one number or one for each dimension.
        stride: from window to window; by default `kernel_size`.
        padding: how far the input is padded at each end.
        ceil_mode: let the last window reach beyond the end.
        count_include_pad: count what is padded.
        divisor_override: what the sums are divided by.
    """

    divisor_override: int | None = None


class AvgPool3d(_AvgPool, of=F.avg_pool3d):
    """As `AvgPool2d`, for `(N, C, D, H, W)`."""

    divisor_override: int | None = None


class LPPool1d(_LPPool, of=F.lp_pool1d):
    """As `LPPool2d`, for `(N, C, L)`."""


class LPPool2d(_LPPool, of=F.lp_pool2d):
    """The p-norm of each window of `(N, C, H, W)`.

    Args:
        norm_type: p.
        kernel_size: the size of a window, one number or one for each dimension.
        stride: from window to window; by default `kernel_size`.
        ceil_mode: let the last window reach beyond the end.
    """


class LPPool3d(_LPPool, of=F.lp_pool3d):
    """As `LPPool2d`, for `(N, C, D, H, W)`."""


class AdaptiveAvgPool1d(_AdaptiveAvgPool, of=F.adaptive_avg_pool1d):
    """As `AdaptiveAvgPool2d`, for `(N, C, L)`."""


class AdaptiveAvgPool2d(_AdaptiveAvgPool, of=F.adaptive_avg_pool2d):
    """The means of as many windows of `(N, C, H, W)` as are asked for.

    Args:
        output_size: how many; None for as many as the input has elements.
    """


class AdaptiveAvgPool3d(_AdaptiveAvgPool, of=F.adaptive_avg_pool3d):
    """As `AdaptiveAvgPool2d`, for `(N, C, D, H, W)`."""


class AdaptiveMaxPool1d(_AdaptiveMaxPool, of=F.adaptive_max_pool1d):
    """As `AdaptiveMaxPool2d`, for `(N, C, L)`."""


class AdaptiveMaxPool2d(_AdaptiveMaxPool, of=F.adaptive_max_pool2d):
    """The maxima of as many windows of `(N, C, H, W)` as are asked for.

    Args:
        output_size: how many; None for as many as the input has elements.
        return_indices: return the places of the maxima too.
    """


class AdaptiveMaxPool3d(_AdaptiveMaxPool, of=F.adaptive_max_pool3d):
    """As `AdaptiveMaxPool2d`, for `(N, C, D, H, W)`."""


class FractionalMaxPool2d(
    _FractionalMaxPool, of=F.fractional_max_pool2d, buffers=("_random_samples",)
):
    """The maxima of windows that are placed at random steps.

    Args:
        kernel_size: the size of a window.
        output_size: how many windows.
        output_ratio: or how many there are for one element, between 0 and 1.
        return_indices: return the places of the maxima too.
        _random_samples: numbers in [0, 1) that place the windows.

    Raises:
        ArgumentError: not just one of size and ratio is given, or the ratio is not between 0 and 1.
    """

    _random_samples: Tensor | None = None


class FractionalMaxPool3d(
    _FractionalMaxPool, of=F.fractional_max_pool3d, buffers=("_random_samples",)
):
    """As `FractionalMaxPool2d`, for `(N, C, D, H, W)`."""

    _random_samples: Tensor | None = None
