"""Losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from ..ops.loss import legacy_reduction
from ..tensor import Tensor
from . import functional as F
from .distance import PairwiseDistance
from .options import FunctionModule

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
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


class _Loss(FunctionModule, shown=""):
    _passed_over: ClassVar[frozenset[str]] = frozenset({"size_average", "reduce"})

    def _ready(self) -> None:
        old = self.__dict__.pop("size_average", None), self.__dict__.pop("reduce", None)
        if old != (None, None):
            self.reduction = legacy_reduction(*old)


class _ReducedLoss(_Loss):
    """A loss whose first options are those of every loss."""

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class L1Loss(_ReducedLoss, of=F.l1_loss, inputs="input, target"):
    """|x - y|.

    Args:
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """


class MSELoss(_ReducedLoss, of=F.mse_loss, inputs="input, target"):
    """(x - y)²; the arguments are those of `L1Loss`."""


class SmoothL1Loss(_ReducedLoss, of=F.smooth_l1_loss, inputs="input, target"):
    """(x - y)² / (2 beta) where |x - y| is below beta, else |x - y| - beta / 2.

    Args:
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
        beta: where it changes.
    """

    beta: float = 1.0


class HuberLoss(_Loss, of=F.huber_loss, inputs="input, target"):
    """(x - y)² / 2 where |x - y| is below delta, else delta (|x - y| - delta / 2).

    Args:
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
        delta: where it changes.
    """

    reduction: str = "mean"
    delta: float = 1.0


class NLLLoss(_Loss, of=F.nll_loss, inputs="input, target", buffers=("weight",)):
    """Minus the log probability of the target's class.

    Args:
        weight: of each class.
        size_average: use `reduction`.
        ignore_index: a target that does not count.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    weight: Tensor | None = None
    size_average: bool | None = None
    ignore_index: int = -100
    reduce: bool | None = None
    reduction: str = "mean"


class CrossEntropyLoss(_Loss, of=F.cross_entropy, inputs="input, target", buffers=("weight",)):
    """The cross entropy of classes, from logits.

    Args:
        weight: of each class.
        size_average: use `reduction`.
        ignore_index: a target that does not count.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
        label_smoothing: how much of the target is spread over all classes.
    """

    weight: Tensor | None = None
    size_average: bool | None = None
    ignore_index: int = -100
    reduce: bool | None = None
    reduction: str = "mean"
    label_smoothing: float = 0.0


class BCELoss(_Loss, of=F.binary_cross_entropy, inputs="input, target", buffers=("weight",)):
    """The cross entropy of probabilities and targets between 0 and 1.

    Args:
        weight: of each element.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    weight: Tensor | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class BCEWithLogitsLoss(
    _Loss,
    of=F.binary_cross_entropy_with_logits,
    inputs="input, target",
    buffers=("weight", "pos_weight"),
):
    """The cross entropy of logits and targets between 0 and 1.

    Args:
        weight: of each element.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
        pos_weight: of the positive examples.
    """

    weight: Tensor | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    pos_weight: Tensor | None = None


class KLDivLoss(_ReducedLoss, of=F.kl_div, inputs="input, target"):
    """The Kullback-Leibler divergence of the target from log probabilities.

    Args:
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each;
            `"batchmean"` divides by the batch.
        log_target: whether the target is log probabilities too.
    """

    log_target: bool = False


class PoissonNLLLoss(_Loss, of=F.poisson_nll_loss, inputs="input, target"):
    """The negative log likelihood of counts of a Poisson distribution.

    Args:
        log_input: whether the input is the logarithm of the mean.
        full: add the term that the input does not change.
        size_average: use `reduction`.
        eps: added before a logarithm is taken.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    log_input: bool = True
    full: bool = False
    size_average: bool | None = None
    eps: float = 1e-8
    reduce: bool | None = None
    reduction: str = "mean"


class MarginRankingLoss(_Loss, of=F.margin_ranking_loss, inputs="input1, input2, target"):
    """max(0, -y (x1 - x2) + margin), for targets 1 and -1.

    Args:
        margin: by how much one is to be greater.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    margin: float = 0.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class HingeEmbeddingLoss(_Loss, of=F.hinge_embedding_loss, inputs="input, target"):
    """x for the target 1, max(0, margin - x) for -1.

    Args:
        margin: how far apart is enough.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    margin: float = 1.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class SoftMarginLoss(_ReducedLoss, of=F.soft_margin_loss, inputs="input, target"):
    """log(1 + exp(-y x)), for targets 1 and -1; the arguments are those of `L1Loss`."""


class CosineEmbeddingLoss(_Loss, of=F.cosine_embedding_loss, inputs="input1, input2, target"):
    """1 - cos(x1, x2) for the target 1, max(0, cos(x1, x2) - margin) for -1.

    Args:
        margin: between -1 and 1.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    margin: float = 0.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class MultiMarginLoss(_Loss, of=F.multi_margin_loss, inputs="input, target", buffers=("weight",)):
    """How far the other classes are within a margin of the target's.

    Args:
        p: 1 or 2, the power.
        margin: the margin.
        weight: of each class.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    p: int = 1
    margin: float = 1.0
    weight: Tensor | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class MultiLabelMarginLoss(_ReducedLoss, of=F.multilabel_margin_loss, inputs="input, target"):
    """How far the other classes are within 1 of the targets' classes.

    The arguments are those of `L1Loss`.
    """


class MultiLabelSoftMarginLoss(
    _Loss, of=F.multilabel_soft_margin_loss, inputs="input, target", buffers=("weight",)
):
    """The mean over the classes of the binary cross entropy of logits.

    Args:
        weight: of each class.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    weight: Tensor | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class TripletMarginLoss(_Loss, of=F.triplet_margin_loss, inputs="anchor, positive, negative"):
    """max(0, d(a, p) - d(a, n) + margin), of distances.

    Args:
        margin: how much farther the negative is to be.
        p: of the norm.
        eps: added to the differences.
        swap: take d(p, n) if it is less than d(a, n).
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"


class GaussianNLLLoss(_Loss, of=F.gaussian_nll_loss, inputs="input, target, var", kw_only=True):
    """The negative log likelihood of normal distributions of given variances.

    Args:
        full: add the constant term.
        eps: the least variance.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"


class TripletMarginWithDistanceLoss(
    _Loss, of=F.triplet_margin_with_distance_loss, inputs="anchor, positive, negative", kw_only=True
):
    """`TripletMarginLoss` with a distance of one's own.

    Args:
        distance_function: the distance; by default the Euclidean one.
        margin: how much farther the negative is to be.
        swap: take d(p, n) if it is less than d(a, n).
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
    """

    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None
    margin: float = 1.0
    swap: bool = False
    reduction: str = "mean"

    def _ready(self) -> None:
        super()._ready()
        if self.distance_function is None:
            self.distance_function = PairwiseDistance()


class CTCLoss(
    FunctionModule,
    of=F.ctc_loss,
    inputs="log_probs, targets, input_lengths, target_lengths",
    shown="",
):
    """The negative log likelihood of labels, summed over all alignments.

    Args:
        blank: the label that stands for none.
        reduction: `"mean"` or `"sum"` of the losses, or `"none"` for each.
        zero_infinity: make losses that are infinite zero.
    """

    blank: int = 0
    reduction: str = "mean"
    zero_infinity: bool = False
