"""Windows of images."""

from __future__ import annotations

from . import functional as F
from .options import FunctionModule

__all__ = [
    "Fold",
    "Unfold",
]


class Fold(FunctionModule, of=F.fold):
    """The sum of windows, each at its place.

    Args:
        output_size: of the image.
        kernel_size: of a window.
        dilation: from element to element of a window.
        padding: at each end.
        stride: from window to window.
    """

    output_size: int | tuple[int, ...]
    kernel_size: int | tuple[int, ...]
    dilation: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    stride: int | tuple[int, ...] = 1


class Unfold(FunctionModule, of=F.unfold):
    """The windows of an image, as columns.

    Args:
        kernel_size: of a window.
        dilation: from element to element of a window.
        padding: at each end.
        stride: from window to window.
    """

    kernel_size: int | tuple[int, ...]
    dilation: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    stride: int | tuple[int, ...] = 1
