"""Losses as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from . import functional as F
from .module import Module
from .options import FunctionModule

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class L1Loss(FunctionModule, of=F.l1_loss, shown=()):
    """|x - target| of each element."""

    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class MSELoss(FunctionModule, of=F.mse_loss, shown=()):
    """(x - target)^2 of each element."""

    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class SmoothL1Loss(FunctionModule, of=F.smooth_l1_loss, shown=()):
    """Squares of differences below `beta`, absolute values above it."""

    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"
    beta: float = 1.0


class HuberLoss(FunctionModule, of=F.huber_loss, shown=()):
    """`delta` times the smooth L1 loss."""

    reduction: str = "mean"
    delta: float = 1.0


class NLLLoss(FunctionModule, of=F.nll_loss, shown=()):
    """The negative of the log-probability of the target's class."""

    weight: Tensor | None = None
    size_average: Any = None
    ignore_index: int = -100
    reduce: Any = None
    reduction: str = "mean"


class CrossEntropyLoss(FunctionModule, of=F.cross_entropy, shown=()):
    """Cross-entropy of scores and classes, or probabilities of classes."""

    weight: Tensor | None = None
    size_average: Any = None
    ignore_index: int = -100
    reduce: Any = None
    reduction: str = "mean"
    label_smoothing: float = 0.0


class BCELoss(FunctionModule, of=F.binary_cross_entropy, shown=()):
    """Cross-entropy of probabilities of two classes."""

    weight: Tensor | None = None
    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class BCEWithLogitsLoss(FunctionModule, of=F.binary_cross_entropy_with_logits, shown=()):
    """Cross-entropy of scores of two classes."""

    weight: Tensor | None = None
    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"
    pos_weight: Tensor | None = None


class KLDivLoss(FunctionModule, of=F.kl_div, shown=()):
    """Divergence of a distribution from log-probabilities."""

    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"
    log_target: bool = False


class PoissonNLLLoss(FunctionModule, of=F.poisson_nll_loss, shown=()):
    """Negative log-likelihood of counts."""

    log_input: bool = True
    full: bool = False
    size_average: Any = None
    eps: float = 1e-8
    reduce: Any = None
    reduction: str = "mean"


class GaussianNLLLoss(FunctionModule, of=F.gaussian_nll_loss, shown=()):
    """Negative log-likelihood of normal distributions; called with input, target, variance."""

    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"


class HingeEmbeddingLoss(FunctionModule, of=F.hinge_embedding_loss, shown=()):
    """x where the target is 1, max(0, margin - x) where it is -1."""

    margin: float = 1.0
    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class SoftMarginLoss(FunctionModule, of=F.soft_margin_loss, shown=()):
    """log(1 + exp(-target x)) of each element."""

    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class CosineEmbeddingLoss(FunctionModule, of=F.cosine_embedding_loss, shown=()):
    """1 - cosine of two vectors where the target is 1, else max(0, cosine - margin)."""

    margin: float = 0.0
    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class MarginRankingLoss(FunctionModule, of=F.margin_ranking_loss, shown=()):
    """max(0, -target (x1 - x2) + margin)."""

    margin: float = 0.0
    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class MultiMarginLoss(FunctionModule, of=F.multi_margin_loss, shown=()):
    """Hinge loss of several classes."""

    p: int = 1
    margin: float = 1.0
    weight: Tensor | None = None
    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class MultiLabelMarginLoss(FunctionModule, of=F.multilabel_margin_loss, shown=()):
    """Hinge loss of several classes of which several are right."""

    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class MultiLabelSoftMarginLoss(FunctionModule, of=F.multilabel_soft_margin_loss, shown=()):
    """Cross-entropy of each class with its own target."""

    weight: Tensor | None = None
    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class TripletMarginLoss(FunctionModule, of=F.triplet_margin_loss, shown=()):
    """max(0, |anchor - positive| - |anchor - negative| + margin)."""

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    size_average: Any = None
    reduce: Any = None
    reduction: str = "mean"


class TripletMarginWithDistanceLoss(Module):
    """As TripletMarginLoss, with a distance of one's own.

    Args:
        distance_function: gives the distances of two batches; the Euclidean one by default.
        margin: not negative.
        swap: take the smaller one of the distances to the negative.
        reduction: `"mean"`, `"sum"` or `"none"`.
    """

    def __init__(
        self,
        *,
        distance_function: Callable[..., Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.distance_function = distance_function
        self.margin, self.swap, self.reduction = margin, swap, reduction

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss."""
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
