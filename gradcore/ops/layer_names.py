"""Functions of layers under the names and signatures that they have at the top level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError
from ..op import public
from ..random import Generator
from ..samples import Maker, Sample, sample
from ..tensor import Tensor
from . import channel_norm as _channel_norm
from . import dropout as _dropout
from . import layer as _layer
from . import normalization as _normalization
from . import sampling as _sampling
from . import threshold as _threshold

__all__ = [
    "affine_grid_generator",
    "alpha_dropout",
    "alpha_dropout_",
    "batch_norm",
    "dropout",
    "dropout_",
    "embedding",
    "feature_alpha_dropout",
    "feature_alpha_dropout_",
    "feature_dropout",
    "feature_dropout_",
    "grid_sampler",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "rms_norm",
    "rrelu",
]


# normalisation ----------------------------------------------------------------------------------


@public(
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3), make.real(3), None, None, True, 0.1, 1e-3, False)
    ]
)
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """`nn.functional.batch_norm` with another order of arguments; `cudnn_enabled` is not used."""
    return _normalization.batch_norm(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )


@public(
    samples=lambda make: [
        sample(make.real(2, 3, 4), None, make.real(3), None, None, True, 0.1, 1e-3, False)
    ],
    departs={
        "node": "group_norm",
        "saves": "the weight, of which PyTorch keeps a copy per sample",
        "derivative: 0": "PyTorch's double backward fails without a weight",
    },
)
def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """`nn.functional.instance_norm` with another order of arguments; `cudnn_enabled` is unused."""
    return _channel_norm.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


@public(samples=lambda make: [sample(make.real(2, 6), 2, make.real(6), make.real(6))])
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """`nn.functional.group_norm`; `cudnn_enabled` is not used."""
    return _channel_norm.group_norm(input, num_groups, weight, bias, eps)


@public(samples=lambda make: [sample(make.real(2, 3), (3,), make.real(3), make.real(3))])
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """`nn.functional.layer_norm`; `cudnn_enable` is not used."""
    return _normalization.layer_norm(input, normalized_shape, weight, bias, eps)


@public(samples=lambda make: [sample(make.real(2, 3), (3,), make.real(3))])
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """`nn.functional.rms_norm`."""
    return _normalization.rms_norm(input, normalized_shape, weight, eps)


# dropout ----------------------------------------------------------------------------------------


def _dropout_samples(make: Maker) -> list[Sample]:
    return [sample(make.real(2, 3, 1), 1.0, True)]


@public(samples=lambda make: [sample(make.real(2, 3), 0.0, True), sample(make.real(2), 0.5, False)])
def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.dropout`."""
    return _dropout.dropout(input, p, train)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.dropout`, written into `input`."""
    return _dropout.dropout(input, p, train, True)


@public(samples=_dropout_samples)
def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.alpha_dropout`."""
    return _dropout.alpha_dropout(input, p, train)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.alpha_dropout`, written into `input`."""
    return _dropout.alpha_dropout(input, p, train, True)


@public(
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(3), 0.25, 0.25, True, None),
    ],
    batched=False,
    departs={"node": "one name in training and else"},
)
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """`nn.functional.rrelu`, with the generator of its random numbers."""
    return _threshold.of_random_slope(input, lower, upper, training, generator)


@public(samples=_dropout_samples)
def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Each channel of `input`, `(n, channels, *)`, set to 0 with probability `p`.

    Args:
        input: of at least two dimensions, floating point.
        p: the probability, in [0, 1].
        train: False changes nothing.
    """
    return _dropout.of_features("feature_dropout", input, p, train, False)


def feature_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`feature_dropout`, written into `input`."""
    return _dropout.of_features("feature_dropout_", input, p, train, True)


@public(samples=_dropout_samples)
def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.feature_alpha_dropout`."""
    return _dropout.feature_alpha_dropout(input, p, train)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.feature_alpha_dropout`, written into `input`."""
    return _dropout.feature_alpha_dropout(input, p, train, True)


# looking up -------------------------------------------------------------------------------------


@public(samples=lambda make: [sample(make.real(5, 2), np.array([3, 0, 3]))])
def embedding(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """`nn.functional.embedding` with another order of arguments; -1 is no padding."""
    padding = None if padding_idx < 0 else padding_idx
    return _layer.embedding(
        indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


# places -----------------------------------------------------------------------------------------


def _named(what: str, number: int, names: Sequence[str]) -> str:
    if number not in range(len(names)):
        listed = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
        raise ArgumentError(f"grid_sampler: {what} is one of {listed}, not {number}.")
    return names[number]


@public(
    samples=lambda make: [
        sample(make.real(1, 1, 2, 3), make.real(1, 1, 2, 2, low=-1.4, high=1.3), 0, 1, False)
    ],
    departs={"node": "composite"},
)
def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`nn.functional.grid_sample` with numbers for the modes, in the order they are listed there.

    Raises:
        ArgumentError: there is no such mode.
    """
    mode = _named("interpolation_mode", interpolation_mode, ("bilinear", "nearest", "bicubic"))
    padding = _named("padding_mode", padding_mode, ("zeros", "border", "reflection"))
    return _sampling.grid_sample(input, grid, mode, padding, align_corners)


@public(
    samples=lambda make: [sample(make.real(1, 2, 3), (1, 1, 2, 2), False)],
    departs={
        "node": "composite",
        "saves": "the places without a map",
        "refuses: uint8, int32, int64, complex64, complex128": "places are real numbers",
    },
)
def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """`nn.functional.affine_grid`."""
    return _sampling.affine_grid(theta, size, align_corners)
