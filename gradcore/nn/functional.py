"""Functions that layers and losses are made of, under PyTorch's names."""

from __future__ import annotations

import warnings
from typing import Any

from ..op import public
from ..ops import activation as _activation
from ..ops import pointwise as _pointwise
from ..ops.activation import elu, gelu, leaky_relu, logsigmoid, silu, softplus
from ..ops.attention import multi_head_attention_forward
from ..ops.channel_norm import group_norm, instance_norm, local_response_norm
from ..ops.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_tbc,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from ..ops.ctc import ctc_loss
from ..ops.distance import pdist
from ..ops.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from ..ops.embedding import embedding_bag
from ..ops.fractional_pooling import (
    fractional_max_pool2d,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d,
    fractional_max_pool3d_with_indices,
)
from ..ops.layer import embedding, linear, one_hot, scaled_dot_product_attention
from ..ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from ..ops.margin_loss import (
    cosine_embedding_loss,
    gaussian_nll_loss,
    hinge_embedding_loss,
    kl_div,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    poisson_nll_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from ..ops.max_pooling import (
    adaptive_max_pool,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from ..ops.normalization import batch_norm, layer_norm, normalize, rms_norm
from ..ops.padding import pad
from ..ops.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_errors,
    adaptive_samples,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
)
from ..ops.product import bilinear
from ..ops.resample import interpolate, upsample, upsample_bilinear, upsample_nearest
from ..ops.sampling import affine_grid, grid_sample
from ..ops.shuffle import channel_shuffle, pixel_shuffle, pixel_unshuffle
from ..ops.similarity import cosine_similarity, pairwise_distance
from ..ops.smooth import (
    celu,
    celu_,
    elu_,
    glu,
    gumbel_softmax,
    mish,
    relu_,
    selu,
    selu_,
    softsign,
    tanhshrink,
)
from ..ops.threshold import (
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    leaky_relu_,
    prelu,
    relu6,
    rrelu,
    rrelu_,
    softshrink,
    threshold,
    threshold_,
)
from ..ops.windows import fold, unfold
from ..tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

_relu = _pointwise.relu
sigmoid = _pointwise.sigmoid
tanh = _pointwise.tanh


@public(
    path="nn.functional.relu",
    samples=_activation.activation_samples,
    departs={"accepts: bool": "max(x, 0)"},
)
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0) of each element. At 0 the derivative is 0.

    Args:
        input: any shape.
        inplace: write the result into `input`.
    """
    return relu_(input) if inplace else _relu(input)


def _implicit_dim(name: str, input: Tensor) -> int:
    """The dimension where none is named: 0 for 0, 1 and 3 dimensions, else 1."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=3,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


@public(
    path="nn.functional.softmax",
    samples=_activation.softmax_samples,
    errors=_activation.softmax_errors,
)
def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """exp(x) over its sum along a dimension: positive numbers that add up to 1.

    Args:
        input: floating point, any shape; another dtype if `dtype` is given.
        dim: the dimension to sum over; without it one is chosen, with a warning.
        _stacklevel: not used.
        dtype: of the result; `input` is cast first.

    Raises:
        DimensionError: there is no such dimension.
        DTypeError: `input` is not floating point and no `dtype` is given.
    """
    if dim is None:
        dim = _implicit_dim("softmax", input)
    return _activation.softmax(input, dim, dtype)


@public(
    path="nn.functional.log_softmax",
    samples=_activation.softmax_samples,
    errors=_activation.softmax_errors,
)
def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of softmax, exact where it underflows; the arguments are those of `softmax`."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input)
    return _activation.log_softmax(input, dim, dtype)


@public(
    path="nn.functional.softmin",
    samples=_activation.softmax_samples,
    errors=_activation.softmax_errors,
)
def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """Softmax of -x; the arguments are those of `softmax`."""
    if dim is None:
        dim = _implicit_dim("softmin", input)
    return _activation.softmax(-input, dim, dtype)


@public(
    path="nn.functional.adaptive_max_pool1d",
    kind="primitive",
    samples=adaptive_samples(1),
    errors=adaptive_errors(1),
    departs={"node": "one node, where PyTorch adds a dimension"},
)
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool2d`, for `(n, c, l)`, or `(c, l)` without a batch."""
    return adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)
