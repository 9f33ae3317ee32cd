"""Losses of margins between scores, and of distributions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..device import CPU
from ..errors import ArgumentError, ShapeError
from ..op import public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor
from .activation import floating, logsigmoid
from .comparison import eq, logical_not
from .creation import arange
from .index import gather
from .loss import _checked, _reduced
from .pointwise import clamp_min, exp, log, minimum, relu, where
from .similarity import pairwise_distance
from .special import xlogy

__all__: list[str] = []

_TINY: Final = 1e-12


def _signs(make: Any, *shape: int) -> Any:
    return np.asarray(2 * make.integers(0, 2, *shape) - 1)


# distributions ---------------------------------------------------------------------------------


@public(
    path="nn.functional.kl_div",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 3, low=0.1, high=1.0), reduction="batchmean"),
        sample(make.real(2, 3), make.real(3), reduction="none", log_target=True),
        sample(make.real(2, 3), make.real(2, 3, low=0.1, high=1.0), reduction="sum"),
        sample(make.real(3), make.real(3), reduction="sum", log_target=True),
    ],
    errors=lambda make: [
        bad(ValueError, "not a valid value for reduction", *[make.real(2)] * 2, reduction="max"),
    ],
)
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence t (log(t) - x), where x is the logarithm of a probability.

    Args:
        input: logarithms of probabilities, `(*)`.
        target: probabilities t, or their logarithms; broadcasts.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"batchmean"` for the sum over the length of the first dimension, `"mean"`,
            which warns, `"sum"`, or `"none"` for one loss per element.
        log_target: whether `target` holds logarithms.

    Raises:
        ArgumentError: there is no such reduction.
        DTypeError: the scores are not floating point.
    """
    batch = reduction == "batchmean" and size_average is None and reduce is None
    reduction = _checked("sum" if batch else reduction, size_average, reduce)
    input = floating("kl_div", input)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next major "
            "release.",
            UserWarning,
            stacklevel=2,
        )
    loss = exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    y = _reduced(loss, reduction)
    return y / input.shape[0] if batch and input.ndim else y


@public(
    path="nn.functional.gaussian_nll_loss",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 3), make.real(2, 3, low=0.3)),
        sample(make.real(2, 3), make.real(3), make.real(2, low=0.3), full=True, reduction="sum"),
        sample(make.real(2, 3), make.real(2, 3), make.real(2, 1, low=0.3), reduction="none"),
        sample(make.real(2, 3), make.real(2, 3), make.real(1, 3, low=0.3)),
        sample(make.real(3), make.real(3), 0.5),
    ],
    errors=lambda make: [
        bad(ValueError, "var is of incorrect size", *[make.real(2, 3)] * 2, make.real(4, low=0.1)),
        bad(ValueError, "is not valid", *[make.real(2, low=0.1)] * 3, reduction="max"),
        bad(ValueError, "var has negative entry", make.real(2), make.real(2), -1.0),
    ],
)
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log(v) + (x - t)^2 / v) / 2, where v is the larger of `var` and `eps`.

    Args:
        input: means, `(*)` or `(*, n)`.
        target: broadcasts.
        var: variances: `(*)`, the shape of `input`, one with 1 in a single place, or a number;
            not negative. A `var` below `eps` has the derivative of `eps`.
        full: whether to add the constant log(2 pi) / 2.
        eps: the least variance.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.

    Raises:
        ArgumentError: a variance is negative (looked at on the CPU only), or of another shape; or
            there is no such reduction.
    """
    x = floating("gaussian_nll_loss", input)
    if isinstance(var, float | int):
        if var < 0:
            raise ArgumentError("var has negative entry/entries")
        var = x.detach() * 0 + var
    v = tensor_of("gaussian_nll_loss", var)
    if v._type.device is CPU and (v._array < 0).any():
        raise ArgumentError("var has negative entry/entries")
    if v.shape != x.shape:
        if x.shape[:-1] == v.shape:
            v = v.unsqueeze(-1)
        elif x.ndim != v.ndim or [m for n, m in zip(x.shape, v.shape, strict=True) if n != m] != [
            1
        ]:
            raise ArgumentError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{reduction} is not valid")
    fixed = v.detach()
    v = v + (clamp_min(fixed, eps) - fixed)
    loss = 0.5 * (log(v) + (x - target) ** 2 / v)
    return _reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


@public(
    path="nn.functional.poisson_nll_loss",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 3, low=0.1, high=4.0)),
        sample(make.real(3, low=0.1), make.real(3, low=0.1, high=4.0), False, reduction="none"),
        sample(make.real(3), make.real(3, low=0.1, high=4.0), full=True, reduction="sum"),
    ],
    errors=lambda make: [
        bad(ValueError, "not a valid value for reduction", *[make.real(2)] * 2, reduction="max"),
    ],
    departs={"accepts: bool": "a number minus bools"},
)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - t x, or x - t log(x + eps) where x is no logarithm.

    Args:
        input: the expected number, or its logarithm.
        target: the number; broadcasts.
        log_input: whether `input` is a logarithm.
        full: whether to add Stirling's t log(t) - t + log(2 pi t) / 2 where t > 1.
        size_average: use `reduction`.
        eps: keeps the logarithm finite.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.

    Raises:
        ArgumentError: there is no such reduction.
    """
    reduction = _checked(reduction, size_average, reduce)
    input = tensor_of("poisson_nll_loss", input)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        t = where(target > 1, target, 1.0)
        stirling = t * log(t) - t + 0.5 * log(2 * math.pi * t)
        loss = loss + where(target > 1, stirling, 0.0)
    return _reduced(loss, reduction)


# two classes -----------------------------------------------------------------------------------


@public(
    path="nn.functional.soft_margin_loss",
    samples=lambda make: [
        sample(make.real(2, 3), 1.0 * _signs(make, 2, 3)),
        sample(make.real(3), 1.0 * _signs(make, 3), reduction="none"),
    ],
    departs={"node": "log_sigmoid"},
)
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-t x)), exact for scores of any size.

    Args:
        input: scores, `(*)`.
        target: 1 or -1; broadcasts.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.

    Raises:
        ArgumentError: there is no such reduction.
        DTypeError: the scores are not floating point.
    """
    return _reduced(-logsigmoid(target * input), _checked(reduction, size_average, reduce))


@public(
    path="nn.functional.hinge_embedding_loss",
    samples=lambda make: [
        sample(make.real(2, 3), _signs(make, 2, 3)),
        sample(make.real(3), _signs(make, 3), 0.5, reduction="none"),
    ],
)
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`x` where t is 1, max(0, margin - x) where it is -1.

    Args:
        input: distances, `(*)`.
        target: 1 or -1; broadcasts.
        margin: the distance of those that differ.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.

    Raises:
        ArgumentError: there is no such reduction.
        DTypeError: the scores are not floating point.
    """
    reduction = _checked(reduction, size_average, reduce)
    input = floating("hinge_embedding_loss", input)
    far = where(target != 1, clamp_min(margin - input, 0), 0.0)
    return _reduced(far + where(target != -1, input, 0.0), reduction)


@public(
    path="nn.functional.margin_ranking_loss",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 3), _signs(make, 2, 3)),
        sample(make.real(3), make.real(3), _signs(make, 3), 0.5, reduction="none"),
    ],
    errors=lambda make: [
        bad(RuntimeError, "should have same dimension", *[make.real(2)] * 2, make.real(1, 2)),
    ],
    departs={"node": "composite"},
)
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - t (x1 - x2)). Where it is just 0 the derivative is that of the second.

    Args:
        input1: scores, `(*)`.
        input2: scores, `(*)`.
        target: 1 where the first should be the greater, else -1.
        margin: by how much.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.

    Raises:
        ShapeError: they have not as many dimensions.
        ArgumentError: there is no such reduction.
    """
    reduction = _checked(reduction, size_average, reduce)
    input1 = tensor_of("margin_ranking_loss", input1)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return _reduced(clamp_min(margin - target * (input1 - input2), 0), reduction)


# several classes -------------------------------------------------------------------------------


@public(
    path="nn.functional.multi_margin_loss",
    samples=lambda make: [
        sample(make.real(3, 4), make.integers(0, 4, 3)),
        sample(make.real(3, 4), make.integers(0, 4, 3), 2, 0.5, reduction="none"),
        sample(make.real(4), make.integers(0, 4), reduction="sum"),
        sample(make.real(), np.array(0)),
    ],
    errors=lambda make: [
        bad(
            *(ValueError, "weight must be one-dimensional", make.real(2, 3)),
            *(make.integers(0, 3, 2), 1, 1.0, make.real(2, 3)),
        ),
        bad(RuntimeError, "only p == 1 and p == 2", make.real(1, 2), make.integers(0, 2, 1), 3),
        bad(RuntimeError, "inconsistent target size", make.real(2, 3), make.integers(0, 2, 3)),
    ],
    departs={"node": "composite"},
)
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes j of max(0, margin - x_t + x_j)^p, without j = t.

    Args:
        input: scores, `(n, classes)`, `(classes)`, or `()` for one class.
        target: the right classes t, `(n)` or `()`, int64.
        p: 1 or 2.
        margin: by how much the right score should exceed the others.
        weight: a factor per class, `(classes)`.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per sample.

    Raises:
        ArgumentError: `p` is neither, there is no such reduction, or `weight` is no vector.
        ShapeError: the shapes do not fit together.
    """
    reduction = _checked(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ArgumentError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ArgumentError("weight must be one-dimensional")
    x, t = floating("multi_margin_loss", input), tensor_of("multi_margin_loss", target)
    x = x if x.ndim else x.reshape(1)
    if x.ndim not in (1, 2) or not x.shape[-1]:
        raise ShapeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(x.shape)}"
        )
    if t.shape != x.shape[:-1] and not (x.ndim == 1 and t.shape == (1,)):
        raise ShapeError(f"inconsistent target size, expected {x.shape[:-1]} but got {t.shape}")
    at = t.reshape((*x.shape[:-1], 1))
    z = relu(margin - gather(x, -1, at) + x)
    z = z if p == 1 else z * z
    if weight is not None:
        z = z * weight[at]
    others = arange(x.shape[-1], device=x.device) != at
    return _reduced(where(others, z, 0.0).sum(-1) / x.shape[-1], reduction)


@public(
    path="nn.functional.multilabel_margin_loss",
    samples=lambda make: [
        sample(make.real(4), np.array([3, 1, -1, 2])),
        sample(make.real(2, 3), np.array([[0, 2, -1], [1, -1, 0]])),
        sample(make.real(1, 3), np.array([[-1, -1, -1]]), reduction="none"),
    ],
    errors=lambda make: [
        bad(RuntimeError, "inconsistent target size", make.real(2, 3), make.integers(0, 2, 2, 2)),
    ],
    departs={"node": "composite"},
)
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum of max(0, 1 - x_t + x_j) over right classes t and wrong ones j, over all classes.

    All pairs of classes are laid out and looked at in several passes, where PyTorch goes to the
    right ones alone: it takes several times as long.

    Args:
        input: scores, `(n, classes)` or `(classes)`.
        target: the right classes, int64, of the same shape: those before the first -1.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per sample.

    Raises:
        ShapeError: the shapes differ.
        ArgumentError: there is no such reduction.
        DTypeError: the scores are not floating point.
    """
    reduction = _checked(reduction, size_average, reduce)
    x = floating("multilabel_margin_loss", input)
    t = tensor_of("multilabel_margin_loss", target)
    if x.shape != t.shape:
        raise ShapeError(f"inconsistent target size: {t.shape} for input of size: {x.shape}")
    # Samples last: NumPy is slow at short rows.
    x, t = x.transpose(0, -1).contiguous(), t.transpose(0, -1).contiguous()
    given = (t >= 0).cumprod(0) > 0
    t = where(given, t, 0)
    classes = arange(len(x), device=x.device).reshape(-1, *(1,) * (x.ndim - 1))
    right = (eq(t.unsqueeze(1), classes) & given.unsqueeze(1)).any(0)
    pairs = relu(1 - gather(x, 0, t).unsqueeze(1) + x)
    counted = given.unsqueeze(1) & logical_not(right)
    return _reduced(where(counted, pairs, 0.0).sum((0, 1)) / len(x), reduction)


@public(
    path="nn.functional.multilabel_soft_margin_loss",
    samples=lambda make: [
        sample(make.real(2, 3), 0.5 + 0.5 * _signs(make, 2, 3)),
        sample(make.real(2, 3), 0.5 + 0.5 * _signs(make, 2, 3), make.real(3), reduction="none"),
    ],
    departs={"node": "composite"},
)
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of -(t log(sigmoid(x)) + (1 - t) log(sigmoid(-x))).

    Args:
        input: scores, `(*, classes)`.
        target: of the same shape, in [0, 1].
        weight: a factor per class.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per sample.

    Raises:
        ArgumentError: there is no such reduction.
        DTypeError: the scores are not floating point.
    """
    reduction = _checked(reduction, size_average, reduce)
    input = floating("multilabel_soft_margin_loss", input)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return _reduced((loss if weight is None else loss * weight).mean(-1), reduction)


# pairs and triplets ----------------------------------------------------------------------------


@public(
    path="nn.functional.cosine_embedding_loss",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 3), _signs(make, 2)),
        sample(make.real(2, 3), make.real(2, 3), _signs(make, 2), 0.3, reduction="none"),
        sample(make.real(3), make.real(3), _signs(make)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "1D target tensor expects 2D", *[make.real(3)] * 2, make.real(3)),
        bad(RuntimeError, "0D target tensor expects 1D", *[make.real(2, 3)] * 2, make.real()),
        bad(RuntimeError, "0D or 1D target tensor", *[make.real(2, 3)] * 3),
    ],
)
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where t is 1, max(0, cos - margin) where it is -1, of the angle of two vectors.

    Args:
        input1: `(n, d)` or `(d)`.
        input2: of the same shape.
        target: 1 or -1, `(n)` or `()`.
        margin: the cosine that those that differ may have.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per pair.

    Raises:
        ShapeError: the shapes do not fit together.
        ArgumentError: there is no such reduction.
    """
    reduction = _checked(reduction, size_average, reduce)
    input1 = tensor_of("cosine_embedding_loss", input1)
    t = tensor_of("cosine_embedding_loss", target)
    if t.ndim > 1:
        raise ShapeError(
            "0D or 1D target tensor expected, multi-target not supported by cosine_embedding_loss."
        )
    if input1.ndim != t.ndim + 1 or input2.ndim != t.ndim + 1:
        raise ShapeError(
            f"{t.ndim}D target tensor expects {t.ndim + 1}D input tensors, but found inputs with "
            f"sizes {input1.shape} and {input2.shape}."
        )
    sizes = ((input1 * input1).sum(-1) + _TINY) * ((input2 * input2).sum(-1) + _TINY)
    cosine = (input1 * input2).sum(-1) / sizes.sqrt()
    loss = where(t == 1, 1 - cosine, 0.0) + where(t == -1, clamp_min(cosine - margin, 0), 0.0)
    return _reduced(loss, reduction)


def _same_dimensions(anchor: Tensor, positive: Tensor, negative: Tensor) -> None:
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )


@public(
    path="nn.functional.triplet_margin_loss",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 3), make.real(2, 3)),
        sample(*[make.real(2, 3) for _ in range(3)], 5.0, p=1.0, swap=True, reduction="none"),
        sample(*[make.real(3) for _ in range(3)], reduction="sum"),
    ],
    errors=lambda make: [
        bad(ValueError, "margin must be greater than 0", *[make.real(2, 3)] * 3, -1.0),
        bad(RuntimeError, "same number of dimensions", *[make.real(2, 3)] * 2, make.real(3)),
    ],
    departs={"node": "composite"},
)
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin), where d is the `pairwise_distance`.

    Args:
        anchor: `(*, d)`.
        positive: what should be near.
        negative: what should be farther by `margin`.
        margin: greater than 0.
        p: the order of the norm.
        eps: added to each difference.
        swap: whether the distance of `positive` and `negative` counts where it is the smaller.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per triplet.

    Raises:
        ArgumentError: `margin` is not greater than 0, or there is no such reduction.
        ShapeError: they have not as many dimensions.
    """
    reduction = _checked(reduction, size_average, reduce)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    if margin <= 0:
        raise ArgumentError(f"margin must be greater than 0, got {margin}")
    _same_dimensions(anchor, positive, negative)
    anchor = tensor_of("triplet_margin_loss", anchor)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return _reduced(clamp_min(margin + near - far, 0), reduction)


@public(
    path="nn.functional.triplet_margin_with_distance_loss",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 3), make.real(2, 3)),
        sample(
            *[make.real(2, 3) for _ in range(3)],
            distance_function=lambda a, b: (a * b).sum(-1),
            margin=2.0,
            swap=True,
            reduction="none",
        ),
    ],
    errors=lambda make: [
        bad(ValueError, "margin must be greater than 0", *[make.real(2, 3)] * 3, margin=0.0),
    ],
    departs={"node": "composite"},
)
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) for a distance d of your own.

    Args:
        anchor: `(*, d)`.
        positive: what should be near.
        negative: what should be farther by `margin`.
        distance_function: gives `(*)` for two Tensors; `pairwise_distance` by default.
        margin: greater than 0.
        swap: whether the distance of `positive` and `negative` counts where it is the smaller.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per triplet.

    Raises:
        ArgumentError: `margin` is not greater than 0, or there is no such reduction.
        ShapeError: they have not as many dimensions.
    """
    reduction = _checked(reduction)
    distance = distance_function or pairwise_distance
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)
