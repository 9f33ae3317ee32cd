"""Finer grids, and channels as pixels."""

from __future__ import annotations

from . import functional as F
from .options import FunctionModule

__all__ = [
    "ChannelShuffle",
    "PixelShuffle",
    "PixelUnshuffle",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
]


class Upsample(FunctionModule, of=F.interpolate):
    """The input on a finer or coarser grid.

    Args:
        size: of the result, one number or one for each dimension.
        scale_factor: or by what factor it grows.
        mode: how it is interpolated: `"nearest"`, `"linear"`, `"bilinear"`, ...
        align_corners: whether the corners keep their values.
        recompute_scale_factor: whether the factor is computed again from the sizes.
    """

    size: int | tuple[int, ...] | None = None
    scale_factor: float | tuple[float, ...] | None = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None

    def _ready(self) -> None:
        factor = self.scale_factor
        if isinstance(factor, tuple):
            self.scale_factor = tuple([float(n) for n in factor])
        elif factor:
            self.scale_factor = float(factor)
        else:
            self.scale_factor = None

    def extra_repr(self) -> str:
        """Its options."""
        by_size = self.scale_factor is None
        given = f"size={self.size!r}" if by_size else f"scale_factor={self.scale_factor!r}"
        return f"{given}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of `(N, C, H, W)`, nearest.

    Args:
        size: of the result.
        scale_factor: or by what factor it grows.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of `(N, C, H, W)`, bilinear; the arguments are those of `UpsamplingNearest2d`."""

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


class PixelShuffle(FunctionModule, of=F.pixel_shuffle):
    """`(*, C r², H, W)` as `(*, C, H r, W r)`.

    Args:
        upscale_factor: r.
    """

    upscale_factor: int


class PixelUnshuffle(FunctionModule, of=F.pixel_unshuffle):
    """`(*, C, H r, W r)` as `(*, C r², H, W)`.

    Args:
        downscale_factor: r.
    """

    downscale_factor: int


class ChannelShuffle(FunctionModule, of=F.channel_shuffle):
    """The channels of groups in turn.

    Args:
        groups: into how many the channels are divided.
    """

    groups: int
