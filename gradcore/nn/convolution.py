"""Convolutions and their adjoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ..errors import ArgumentError
from ..ops.creation import empty
from ..tensor import Tensor
from . import functional as F
from .init import kaiming_uniform_, uniform_
from .module import Module
from .parameter import Parameter

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]

_Sizes = int | tuple[int, ...]


def sizes(value: Any, n: int) -> tuple[Any, ...]:
    """One number for all of `n` dimensions, or the numbers there are."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * n


class _Convolution(Module):
    _dims: ClassVar[int]
    _transposed: ClassVar[bool] = False

    def _build(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes,
        padding: _Sizes | str,
        dilation: _Sizes,
        output_padding: _Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        n = self._dims
        if groups <= 0:
            raise ArgumentError("groups must be a positive integer")
        if in_channels % groups:
            raise ArgumentError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ArgumentError("out_channels must be divisible by groups")
        self.stride = sizes(stride, n)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ArgumentError(
                    f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}"
                )
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ArgumentError("padding='same' is not supported for strided convolutions")
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ArgumentError(
                "padding_mode must be one of {'zeros', 'reflect', 'replicate', 'circular'}, "
                f"but got padding_mode='{padding_mode}'"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = sizes(kernel_size, n)
        self.padding = padding if isinstance(padding, str) else sizes(padding, n)
        self.dilation = sizes(dilation, n)
        self.output_padding = sizes(output_padding, n)
        self.groups = groups
        self.padding_mode = padding_mode
        self._around = self._pad_sizes()
        channels = (out_channels, in_channels // groups)
        if self._transposed:
            channels = (in_channels, out_channels // groups)
        kind = {"device": device, "dtype": dtype}
        self.weight = Parameter(empty(*channels, *self.kernel_size, **kind))
        self.bias: Tensor | None
        if bias:
            self.bias = Parameter(empty(out_channels, **kind))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _pad_sizes(self) -> tuple[int, ...]:
        """What `pad` takes, for the modes in which the input is padded first."""
        around: list[int] = []
        for n in reversed(range(self._dims)):
            if self.padding == "same":
                total = self.dilation[n] * (self.kernel_size[n] - 1)
                around += [total // 2, total - total // 2]
            else:
                around += [0, 0] if self.padding == "valid" else [int(self.padding[n])] * 2
        return tuple(around)

    def reset_parameters(self) -> None:
        """Draw the parameters again, uniformly up to 1/√(inputs of one output)."""
        kaiming_uniform_(self.weight, math.sqrt(5))
        inputs = math.prod(self.weight.shape[1:])
        if self.bias is not None and inputs:
            bound = 1 / math.sqrt(inputs)
            uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """Its options, where they are not the usual ones."""
        n = self._dims
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}, stride={self.stride}",
        ]
        if self.padding != (0,) * n:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * n:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != (0,) * n:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Forward(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes | str = 0,
        dilation: _Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._build(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, 0),
            *(groups, bias, padding_mode, device, dtype),
        )

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._around, self.padding_mode)
            padding = (0,) * self._dims
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self._dims - 1]
        options = (self.stride, padding, self.dilation, self.groups)
        return convolve(input, self.weight, self.bias, *options)


class _Transposed(_Convolution):
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes = 0,
        output_padding: _Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_mode != "zeros":
            raise ArgumentError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self._build(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding),
            *(groups, bias, padding_mode, device, dtype),
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Apply it.

        Args:
            input: with a batch or without.
            output_size: of the result, where several are possible.

        Raises:
            ArgumentError: the size is not possible.
        """
        extra = self.output_padding
        if output_size is not None:
            extra = self._extra(input, list(output_size))
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self._dims - 1]
        options = (self.stride, self.padding, extra, self.groups, self.dilation)
        return convolve(input, self.weight, self.bias, *options)  # type: ignore[arg-type]

    def _extra(self, input: Tensor, wanted: list[int]) -> tuple[int, ...]:
        """The output padding that gives a size."""
        n = self._dims
        lead = input.ndim - n
        if len(wanted) == input.ndim:
            wanted = wanted[lead:]
        if len(wanted) != n:
            raise ArgumentError(
                f"ConvTranspose{n}D: for {input.ndim}D input, output_size must have {n} or "
                f"{input.ndim} elements (got {len(wanted)})"
            )
        least = [
            (input.shape[lead + d] - 1) * self.stride[d]
            - 2 * int(self.padding[d])
            + self.dilation[d] * (self.kernel_size[d] - 1)
            + 1
            for d in range(n)
        ]
        most = [least[d] + self.stride[d] - 1 for d in range(n)]
        if any(
            not low <= size <= high for low, size, high in zip(least, wanted, most, strict=True)
        ):
            raise ArgumentError(
                f"requested an output size of {wanted}, but valid sizes range from {least} to "
                f"{most} (for an input of {input.shape[lead:]})"
            )
        return tuple([size - low for size, low in zip(wanted, least, strict=True)])


class Conv1d(_Forward):
    """As `Conv2d`, for `(N, C, L)`."""

    _dims = 1


class Conv2d(_Forward):
    """The correlation of `(N, C, H, W)` with a weight.

    Args:
        in_channels: of the input.
        out_channels: of the result.
        kernel_size: one number or one for each dimension.
        stride: likewise; the steps of the windows.
        padding: likewise; at each end; or `"same"` or `"valid"`.
        dilation: likewise; from element to element of a window.
        groups: into how many the channels are divided.
        bias: whether one is added.
        padding_mode: `"zeros"`, `"reflect"`, `"replicate"` or `"circular"`.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: an option is none of these.
    """

    _dims = 2


class Conv3d(_Forward):
    """As `Conv2d`, for `(N, C, D, H, W)`."""

    _dims = 3


class ConvTranspose1d(_Transposed):
    """As `ConvTranspose2d`, for `(N, C, L)`: the adjoint of `Conv1d`."""

    _dims = 1


class ConvTranspose2d(_Transposed):
    """The adjoint of `Conv2d`, for `(N, C, H, W)`.

    Args:
        in_channels: of the input.
        out_channels: of the result.
        kernel_size: one number or one for each dimension.
        stride: likewise; the steps of the windows.
        padding: likewise; at each end of the result that is left out.
        output_padding: likewise; added at one end of the result.
        groups: into how many the channels are divided.
        bias: whether one is added.
        dilation: likewise; from element to element of a window.
        padding_mode: only `"zeros"`.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: an option is none of these.
    """

    _dims = 2


class ConvTranspose3d(_Transposed):
    """As `ConvTranspose2d`, for `(N, C, D, H, W)`: the adjoint of `Conv3d`."""

    _dims = 3
