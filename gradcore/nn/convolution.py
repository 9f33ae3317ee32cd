"""Convolutions as modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from ..errors import ArgumentError
from ..ops.creation import empty
from ..tensor import Tensor
from . import functional as F
from . import init
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

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What all of them have: a weight, a bias and the options.

    Attributes:
        weight: `(out_channels, in_channels / groups, *kernel_size)`; of a transposed one the first
            two exchanged, with `in_channels` and `out_channels / groups`.
        bias: `(out_channels,)`, or None.
    """

    _ndim: ClassVar[int]
    _transposed: ClassVar[bool] = False
    _function: ClassVar[Callable[..., Tensor]]

    def _prepare(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        output_padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ArgumentError("groups must be a positive integer")
        if in_channels % groups:
            raise ArgumentError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ArgumentError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ArgumentError(
                    f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}"
                )
            if padding == "same" and any(n != 1 for n in self._each(stride)):
                raise ArgumentError("padding='same' is not supported for strided convolutions")
        if padding_mode not in _MODES:
            raise ArgumentError(
                f"padding_mode must be one of {set(_MODES)}, but got padding_mode='{padding_mode}'"
            )
        if self._transposed and padding_mode != "zeros":
            raise ArgumentError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = self._each(kernel_size), self._each(stride)
        self.padding: Any = padding if isinstance(padding, str) else self._each(padding)
        self.output_padding, self.dilation = self._each(output_padding), self._each(dilation)
        self.padding_mode = padding_mode
        channels = (out_channels, in_channels // groups)
        if self._transposed:
            channels = (in_channels, out_channels // groups)
        made = {"device": device, "dtype": dtype}
        self.weight = Parameter(empty(*channels, *self.kernel_size, **made))
        if bias:
            self.bias = Parameter(empty(out_channels, **made))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _each(self, value: Any) -> tuple[int, ...]:
        """An option for every dimension."""
        return tuple(value) if isinstance(value, tuple | list) else (value,) * self._ndim

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan = math.prod(self.weight.shape[1:])
            if fan:
                init.uniform_(self.bias, -1 / math.sqrt(fan), 1 / math.sqrt(fan))

    def extra_repr(self) -> str:
        """The sizes, and the options that are not the usual ones."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        for name, usual in (("padding", 0), ("dilation", 1), ("output_padding", 0)):
            value = getattr(self, name)
            if value != (usual,) * self._ndim:
                text += f", {name}={value}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._prepare(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            0,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _widths(self) -> list[int]:
        """The padding as `F.pad` takes it."""
        found: list[int] = []
        given: tuple[int, ...] = (0,) * self._ndim
        if not isinstance(self.padding, str):
            given = self.padding
        for n, k, d in zip(given, self.kernel_size, self.dilation, strict=True):
            total = d * (k - 1) if self.padding == "same" else 2 * n
            found = [total // 2, total - total // 2, *found]
        return found

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of `(n, c, *)` or `(c, *)`."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._widths(), self.padding_mode)
            padding = 0
        return type(self)._function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )


class _ConvTranspose(_Convolution):
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._prepare(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """The transposed convolution of `(n, c, *)` or `(c, *)`.

        Args:
            input: the input.
            output_size: the lengths of the result, which say what `output_padding` is to be.
        """
        extra = self.output_padding
        if output_size is not None:
            extra = self._extra(input, tuple(output_size)[-self._ndim :])
        return type(self)._function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _extra(self, input: Tensor, wanted: tuple[int, ...]) -> tuple[int, ...]:
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[-self._ndim :],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        if any(not a <= n <= b for a, n, b in zip(least, wanted, most, strict=True)):
            raise ArgumentError(
                f"requested an output size of {list(wanted)}, but valid sizes range from {least} "
                f"to {most} (for an input of {list(input.shape[2:])})"
            )
        return tuple([n - a for n, a in zip(wanted, least, strict=True)])


class Conv1d(_Conv):
    """Convolution of `(n, c, l)`; arguments as of `nn.functional.conv1d`, and `padding_mode`."""

    _ndim, _function = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Convolution of `(n, c, h, w)`; arguments as of `nn.functional.conv2d`, and `padding_mode`."""

    _ndim, _function = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    """Convolution of `(n, c, d, h, w)`; arguments as of `nn.functional.conv3d`."""

    _ndim, _function = 3, staticmethod(F.conv3d)


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of `(n, c, l)`, the adjoint of Conv1d."""

    _ndim, _function = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of `(n, c, h, w)`, the adjoint of Conv2d."""

    _ndim, _function = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of `(n, c, d, h, w)`, the adjoint of Conv3d."""

    _ndim, _function = 3, staticmethod(F.conv_transpose3d)
