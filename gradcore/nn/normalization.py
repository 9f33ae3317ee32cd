"""Normalisations as modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..errors import ArgumentError
from ..ops.creation import empty, ones, tensor, zeros
from ..tensor import Tensor
from . import functional as F
from . import init
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


class _WithStatistics(Module):
    """Normalisation per channel, with statistics of what came before.

    Args:
        num_features: the number of channels.
        eps: added to variances.
        momentum: the weight of what is new; None for the mean of all.
        affine: whether there are a weight and a bias.
        track_running_stats: whether statistics are kept, for evaluation.
        device: where parameters and buffers are.
        dtype: of them.
    """

    _ndims: ClassVar[tuple[int, ...]]
    _expected: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made = {"device": device, "dtype": dtype}
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name in ("weight", "bias"):
            value = Parameter(empty(num_features, **made)) if affine else None
            self.register_parameter(name, value)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, **made) if tracked else None)
        self.register_buffer("running_var", ones(num_features, **made) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the statistics."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget the statistics, and set the weight to 1 and the bias to 0."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self._ndims:
            raise ArgumentError(f"expected {self._expected} input (got {input.ndim}D input)")

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_WithStatistics):
    def forward(self, input: Tensor) -> Tensor:
        """The normalised `(n, c, *)`; in training the statistics are brought up to date."""
        self._check(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        updated = self.training and self.track_running_stats
        if updated:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked.item())
        return F.batch_norm(
            input,
            self.running_mean if not self.training or updated else None,
            self.running_var if not self.training or updated else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of `(n, c)` or `(n, c, l)`."""

    _ndims, _expected = (2, 3), "2D or 3D"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of `(n, c, h, w)`."""

    _ndims, _expected = (4,), "4D"


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of `(n, c, d, h, w)`."""

    _ndims, _expected = (5,), "5D"


class _InstanceNorm(_WithStatistics):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised `(n, c, *)` or `(c, *)`."""
        self._check(input)
        x = input.unsqueeze(0) if input.ndim == min(self._ndims) else input
        y = F.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y if x is input else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Normalisation of each channel of each sample of `(n, c, l)` or `(c, l)`."""

    _ndims, _expected = (2, 3), "2D or 3D"


class InstanceNorm2d(_InstanceNorm):
    """Normalisation of each channel of each sample of `(n, c, h, w)` or `(c, h, w)`."""

    _ndims, _expected = (3, 4), "3D or 4D"


class InstanceNorm3d(_InstanceNorm):
    """Normalisation of each channel of each sample of `(n, c, d, h, w)` or `(c, d, h, w)`."""

    _ndims, _expected = (4, 5), "4D or 5D"


class GroupNorm(Module):
    """Normalisation of groups of channels of each sample.

    Args:
        num_groups: how many groups; it divides `num_channels`.
        num_channels: how many channels.
        eps: added to variances.
        affine: whether there are a weight and a bias.
        device: where the parameters are.
        dtype: of the parameters.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ArgumentError("num_channels must be divisible by num_groups")
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        for name in ("weight", "bias"):
            made = empty(num_channels, device=device, dtype=dtype)
            self.register_parameter(name, Parameter(made) if affine else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.affine:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised `(n, c, *)`."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


def _shape(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


class LayerNorm(Module):
    """Normalisation over the last dimensions.

    Args:
        normalized_shape: their lengths.
        eps: added to variances.
        elementwise_affine: whether there are a weight and, if `bias`, a bias.
        bias: see there.
        device: where the parameters are.
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
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        for name, there in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            made = empty(self.normalized_shape, device=device, dtype=dtype)
            self.register_parameter(name, Parameter(made) if there else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Division by the root of the mean square over the last dimensions.

    Args:
        normalized_shape: their lengths.
        eps: added to mean squares; None for the smallest step of the dtype at 1.
        elementwise_affine: whether there is a weight.
        device: where it is.
        dtype: of it.
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
        self.normalized_shape = _shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        made = empty(self.normalized_shape, device=device, dtype=dtype)
        self.register_parameter("weight", Parameter(made) if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(FunctionModule, of=F.local_response_norm):
    """Division by a power of the mean square of neighbouring channels."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
