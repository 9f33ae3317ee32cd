"""Connectionist temporal classification: the likelihood of labels that are not aligned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..op import public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor, wrap
from .creation import full, full_like
from .index import gather
from .loss import _checked
from .pointwise import logaddexp, where
from .reduction import logsumexp
from .shape import cat, stack

__all__: list[str] = []

_NEVER: Final = -1e30
"""The logarithm of a probability that stands for 0: with -inf, differences would be nan."""


def _normalized(call: Any) -> Any:
    """`call` of logarithms of probabilities that add up to 1.

    PyTorch's gradient is right for those alone.
    """

    def of_scores(scores: Any, *args: Any, **kwargs: Any) -> Any:
        return call(scores.log_softmax(-1), *args, **kwargs)

    return of_scores


@public(
    path="nn.functional.ctc_loss",
    tested=_normalized,
    samples=lambda make: [
        sample(make.real(5, 2, 4), np.array([[1, 2, 2], [3, 1, 0]]), (5, 4), (3, 2)),
        sample(make.real(4, 2, 3), np.array([1, 2, 1]), (4, 3), (1, 2), reduction="none"),
        sample(make.real(4, 3), np.array([0, 1]), (4,), (2,), blank=2, reduction="sum"),
        sample(make.real(3, 1, 3), np.array([[1, 1]]), (2,), (2,), zero_infinity=True),
        sample(make.real(3, 2, 3), np.array([[1], [2]]), (3, 3), (0, 1), reduction="none"),
    ],
    errors=lambda make: [
        bad(error, match, make.real(3, 1, 3), np.array([[1]]), *rest)
        for error, match, *rest in (
            (ValueError, "not a valid value", (3,), (1,), 0, "x"),
            (RuntimeError, "blank must be", (3,), (1,), 3),
            (RuntimeError, "input_lengths must be", (3, 3), (1,)),
            (RuntimeError, "to have value at most 3", (4,), (1,)),
        )
    ],
    departs={
        "gradient: by log_probs": "PyTorch's is right only before a log_softmax",
        "node": "composite",
    },
)
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Negative logarithm of the probability of labels, summed over all alignments.

    The probabilities of the beginnings are carried from step to step, in logarithms. The derivative
    is that of this formula for any `log_probs`; PyTorch's, which differs where the probabilities of
    a step do not add up to 1, is the same behind a log_softmax. Each step is a dozen operations
    that are recorded: of few samples it takes twenty to eighty times as long as PyTorch's.

    Args:
        log_probs: `(t, n, c)` or `(t, c)`, logarithms of probabilities, such as of `log_softmax`.
        targets: whole numbers, the labels: `(n, s)`, or all of them one after another.
        input_lengths: how many steps of each sample count: a Tensor, or numbers.
        target_lengths: how many labels each sample has: a Tensor, or numbers.
        blank: the label that stands for none.
        reduction: `"mean"` divides by the target lengths first; `"sum"`, or `"none"`.
        zero_infinity: make losses that are infinite, and their gradients, zero.

    Returns:
        A scalar; for `"none"` `(n,)`, or `()` without a batch.

    Raises:
        ArgumentError: `reduction` or `blank` is not valid.
        ShapeError: lengths do not fit.
        DTypeError: `targets` are not whole numbers.

    Reference:
        Graves and others, Connectionist temporal classification, 2006.
    """
    _checked(reduction)
    x, labels = tensor_of("ctc_loss", log_probs), tensor_of("ctc_loss", targets)
    if x.ndim not in (2, 3):
        raise ShapeError(f"ctc_loss: log_probs must be (t, n, c) or (t, c), not {tuple(x.shape)}.")
    if labels._type.dtype.is_inexact:
        raise DTypeError(f"ctc_loss: targets must be whole numbers, not {labels.dtype}.")
    is_batch = x.ndim == 3
    if not is_batch:
        x = x.unsqueeze(1)
    if x._type.dtype.name == "float16":
        x = x.float()
    steps, count, classes = x.shape
    if not 0 <= blank < classes:
        raise ArgumentError("ctc_loss: blank must be in label range")
    inputs = _lengths("input_lengths", input_lengths, count)
    counts = _lengths("target_lengths", target_lengths, count)
    if max(inputs, default=0) > steps:
        raise ShapeError(
            f"ctc_loss: Expected input_lengths to have value at most {steps}, but got value "
            f"{max(inputs)}"
        )
    rows = _rows(labels.long(), counts)
    blanks = full((count, rows.shape[1] + 1), blank, dtype=rows.dtype, device=rows.device)
    path = stack((blanks[:, 1:], rows), -1).reshape(count, -1) if rows.numel() else rows
    path = cat((path, blanks[:, :1]), 1)
    nll = _likelihood(x, path, blank, inputs, counts)
    if zero_infinity:
        nll = where(nll == float("inf"), full_like(nll, 0.0), nll)
    if reduction == "none":
        return nll if is_batch else nll.squeeze(0)
    if reduction == "sum":
        return nll.sum()
    return (nll / _on(x, [max(n, 1) for n in counts])).mean()


def _likelihood(
    x: Tensor, path: Tensor, blank: int, inputs: Sequence[int], counts: Sequence[int]
) -> Tensor:
    """Minus the logarithm of the probability of each path, which has a blank between labels."""
    steps, count, _ = x.shape
    width = path.shape[1]
    emitted = gather(x, 2, path.unsqueeze(0).expand(steps, count, width))
    never = full_like(emitted[0, :, :1], _NEVER)
    skips = path[:, 2:] != path[:, :-2]
    skips = skips & (path[:, 2:] != blank)
    places = _on(x, range(width))
    start = places < 2
    alpha = where(start, emitted[0], full_like(emitted[0], _NEVER))
    lengths = _on(x, inputs).unsqueeze(1)
    for t in range(1, steps):
        one = cat((never, alpha[:, :-1]), 1)
        ways = [alpha, one]
        if width > 2:
            jump = where(skips, alpha[:, :-2], full_like(alpha[:, :-2], _NEVER))
            ways.append(cat((never, never, jump), 1))
        following = logsumexp(stack(tuple(ways)), 0) + emitted[t]
        alpha = where(lengths > t, following, alpha)
    last = _on(x, [2 * n for n in counts], np.int64).unsqueeze(1)
    whole = gather(alpha, 1, last).squeeze(1)
    label = gather(alpha, 1, (last - 1).clamp_min(0)).squeeze(1)
    there = _on(x, [n > 0 for n in counts], np.bool_)
    both: Tensor = logaddexp(whole, where(there, label, full_like(label, _NEVER)))
    nll: Tensor = where(both < _NEVER / 2, full_like(both, float("inf")), -both)
    return nll


def _on(x: Tensor, numbers: Any, dtype: Any = None) -> Tensor:
    """Numbers as a Tensor where `x` is."""
    array = np.asarray(list(numbers), x._type.numpy if dtype is None else dtype)
    return wrap(array).to(x.device)


def _lengths(name: str, lengths: Any, count: int) -> list[int]:
    if isinstance(lengths, Tensor):
        lengths = lengths.reshape(-1).tolist()
    try:
        found = [int(n) for n in lengths]
    except TypeError:
        raise ArgumentTypeError(
            f"ctc_loss: {name} must be a Tensor or whole numbers, not {type(lengths).__qualname__}."
        ) from None
    if len(found) != count:
        raise ShapeError(f"ctc_loss: {name} must be of size batch_size ({count}), not {len(found)}")
    if min(found, default=0) < 0:
        raise ArgumentError(f"ctc_loss: Expected {name} to have value at least 0, got {min(found)}")
    return found


def _rows(labels: Tensor, counts: Sequence[int]) -> Tensor:
    """The labels as `(n, s)`; of those one after another, each sample's part."""
    most = max(counts, default=0)
    if labels.ndim == 2:
        if labels.shape[0] != len(counts) or labels.shape[1] < most:
            raise ShapeError(
                f"ctc_loss: Expected targets to have shape ({len(counts)}, at least {most}), but "
                f"got {tuple(labels.shape)}"
            )
        return labels[:, :most]
    if labels.ndim != 1 or labels.shape[0] != sum(counts):
        raise ShapeError(
            f"ctc_loss: Expected targets to have size {sum(counts)}, the sum of target_lengths, "
            f"but got {tuple(labels.shape)}"
        )
    ends = np.cumsum([0, *counts])[:-1, None]
    places = np.minimum(ends + np.arange(most), max(sum(counts) - 1, 0))
    if not sum(counts):
        return labels.new_zeros((len(counts), most))
    return labels[wrap(places).to(labels.device)]
