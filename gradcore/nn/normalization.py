"""Normalisation: numbers of mean 0 and variance 1, over batches, channels or features."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, ClassVar

from .. import dtypes
from ..errors import ArgumentError
from ..ops.creation import empty, ones, tensor, zeros
from ..tensor import Tensor
from . import functional as F
from .init import ones_, zeros_
from .module import Module
from .options import FunctionModule
from .parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


class _Scaled(Module):
    """What has a weight, which is 1 at first, and a bias, which is 0."""

    weight: Tensor | None
    bias: Tensor | None

    def _scale(self, shape: Any, affine: bool, bias: bool, kind: dict[str, Any]) -> None:
        for name, there in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, Parameter(empty(shape, **kind)) if there else None)

    def reset_parameters(self) -> None:
        """Give weight and bias their first values, 1 and 0."""
        if self.weight is not None:
            ones_(self.weight)
        if self._parameters.get("bias") is not None:
            zeros_(self._parameters["bias"])


class _Running(_Scaled):
    """What may keep a running mean and variance of each channel."""

    _version = 2
    _dims: ClassVar[tuple[int, ...]]
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def _build(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
        kind: dict[str, Any],
    ) -> None:
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._scale(num_features, affine, bias, kind)
        tracked = track_running_stats
        device = kind["device"]
        self.register_buffer("running_mean", zeros(num_features, **kind) if tracked else None)
        self.register_buffer("running_var", ones(num_features, **kind) if tracked else None)
        self.register_buffer(
            "num_batches_tracked",
            tensor(0, dtype=dtypes.int64, device=device) if tracked else None,
        )
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Start the running mean and variance again, at 0 and 1."""
        if self.track_running_stats:
            self._buffers["running_mean"].zero_()
            self._buffers["running_var"].fill_(1)
            self._buffers["num_batches_tracked"].zero_()

    def reset_parameters(self) -> None:
        """Give weight, bias and what is kept their first values."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self._dims:
            wanted = " or ".join(f"{n}D" for n in self._dims)
            raise ArgumentError(f"expected {wanted} input (got {input.ndim}D input)")

    def _load(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        version = None if metadata is None else metadata.get(prefix[:-1], {}).get("version")
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state:
            kept = self.num_batches_tracked  # states of before it was counted lack it
            state[key] = tensor(0, dtype=dtypes.int64) if kept is None else kept
        super()._load(state, prefix, metadata, *rest)

    def extra_repr(self) -> str:
        """Its options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Running):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        kind = {"device": device, "dtype": dtype}
        self._build(num_features, eps, momentum, affine, track_running_stats, bias, kind)

    def forward(self, input: Tensor) -> Tensor:
        """Apply it; while it trains, the running mean and variance are updated."""
        self._check(input)
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and count is not None:
            count.add_(1)
            if self.momentum is None:  # the mean over all batches
                momentum = 1.0 / float(count)
        by_batch = self.training or (mean is None and var is None)
        if self.training and not self.track_running_stats:
            mean = var = None
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, momentum, self.eps)


class _InstanceNorm(_Running):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        kind = {"device": device, "dtype": dtype}
        self._build(num_features, eps, momentum, affine, track_running_stats, bias, kind)

    def forward(self, input: Tensor) -> Tensor:
        """Apply it; while it trains, what it tracks is updated."""
        self._check(input)
        single = input.ndim == self._dims[0]
        channels = input.shape[0 if single else 1]
        if channels != self.num_features and self.affine:
            raise ArgumentError(
                f"expected input's size at dim={0 if single else 1} to match num_features "
                f"({self.num_features}), but got: {channels}."
            )
        y = F.instance_norm(
            input.unsqueeze(0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y.squeeze(0) if single else y


class _OfShape(_Scaled):
    def _set_shape(self, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
        if isinstance(normalized_shape, numbers.Integral):
            normalized_shape = (int(normalized_shape),)
        self.normalized_shape = tuple(normalized_shape)  # type: ignore[arg-type]
        return self.normalized_shape

    def extra_repr(self) -> str:
        """Its options."""
        return ", ".join(
            [
                f"{self.normalized_shape}, eps={self.eps}",
                f"elementwise_affine={self.elementwise_affine}",
                *self._bias_text(),
            ]
        )

    def _bias_text(self) -> list[str]:
        return []


class LayerNorm(_OfShape):
    """Mean 0 and variance 1 over the last dimensions, then weight and bias.

    Args:
        normalized_shape: the sizes of those dimensions.
        eps: added to the variance.
        elementwise_affine: whether there is a weight.
        bias: whether there is a bias, if there is a weight.
        device: of the parameters.
        dtype: of the parameters.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = self._set_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._scale(shape, elementwise_affine, bias, {"device": device, "dtype": dtype})
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def _bias_text(self) -> list[str]:
        return [f"bias={self.bias is not None}"]


class RMSNorm(_OfShape):
    """Division by the root of the mean square over the last dimensions, then a weight.

    Args:
        normalized_shape: the sizes of those dimensions.
        eps: added to the mean square; by default the dtype's.
        elementwise_affine: whether there is a weight.
        device: of the parameter.
        dtype: of the parameter.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        shape = self._set_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        there = elementwise_affine
        self.register_parameter(
            "weight", Parameter(empty(shape, device=device, dtype=dtype)) if there else None
        )
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(_Scaled):
    """Mean 0 and variance 1 over groups of channels, then weight and bias of each channel.

    Args:
        num_groups: how many groups.
        num_channels: how many channels, of `(N, C, *)`.
        eps: added to the variance.
        affine: whether there is a weight.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias, if there is a weight.

    Raises:
        ArgumentError: the channels cannot be divided into so many groups.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ArgumentError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._scale(num_channels, affine, bias, {"device": device, "dtype": dtype})
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """Apply it."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Its options."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(
    FunctionModule, of=F.local_response_norm, shown="{size}, alpha={alpha}, beta={beta}, k={k}"
):
    """Division by a power of the mean square of neighbouring channels.

    Args:
        size: how many neighbours.
        alpha: the factor of the mean square.
        beta: the power.
        k: added to it.
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


class BatchNorm1d(_BatchNorm):
    """As `BatchNorm2d`, for `(N, C)` or `(N, C, L)`."""

    _dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Mean 0 and variance 1 over the batch for each channel of `(N, C, H, W)`.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: how much of a new value goes into what is kept; None for their mean.
        affine: whether there is a weight.
        track_running_stats: whether mean and variance are kept, for evaluation.
        device: of parameters and buffers.
        dtype: of parameters and buffers.
        bias: whether there is a bias, if there is a weight.
    """

    _dims = (4,)


class BatchNorm3d(_BatchNorm):
    """As `BatchNorm2d`, for `(N, C, D, H, W)`."""

    _dims = (5,)


class InstanceNorm1d(_InstanceNorm):
    """As `InstanceNorm2d`, for `(C, L)` or `(N, C, L)`."""

    _dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Mean 0 and variance 1 for each channel of each `(C, H, W)` or `(N, C, H, W)`.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: how much of a new value goes into what is kept.
        affine: whether there is a weight.
        track_running_stats: whether mean and variance are kept, for evaluation.
        device: of parameters and buffers.
        dtype: of parameters and buffers.
        bias: whether there is a bias, if there is a weight.
    """

    _dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """As `InstanceNorm2d`, for `(C, D, H, W)` or `(N, C, D, H, W)`."""

    _dims = (4, 5)
