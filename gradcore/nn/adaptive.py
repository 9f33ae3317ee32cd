"""Softmax over many classes of which few are frequent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import ArgumentError, ShapeError
from ..ops.shape import cat
from ..tensor import Tensor
from . import functional as F
from .containers import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """The logarithm of softmax in two steps: frequent classes first, rare ones within clusters.

    Args:
        in_features: the size of the input.
        n_classes: how many classes there are, the frequent ones first.
        cutoffs: the classes that clusters begin with.
        div_value: a cluster's inner size is that of the one before divided by it.
        head_bias: whether the first step has a bias.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: the cutoffs are not possible.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ArgumentError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(set(cutoffs))
            or cutoffs[0] <= 0
            or cutoffs[-1] > n_classes - 1
            or any(int(c) != c for c in cutoffs)
        ):
            raise ArgumentError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                "order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **kind)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            inner = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, inner, bias=False, **kind),
                    Linear(inner, size, bias=False, **kind),
                )
            )

    def reset_parameters(self) -> None:
        """Draw the parameters again."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """The logarithms of the targets' probabilities, and the mean of their opposites.

        Args:
            input_: `(batch, in_features)`, or without the batch.
            target_: `(batch)`, or `()`. The host waits for its device.

        Raises:
            ShapeError: the shapes do not fit.
            ArgumentError: a target is no class.
        """
        if target_.ndim > 1:
            raise ShapeError("0D or 1D target tensor expected, multi-target not supported")
        if target_.ndim == 1 and input_.size(0) != target_.size(0):
            raise ShapeError("Input and target should have the same size in the batch dimension.")
        if input_.ndim != target_.ndim + 1:
            raise ShapeError(
                f"{target_.ndim}D target tensor expects {target_.ndim + 1}D input tensors, but "
                f"found inputs with size {input_.size()}"
            )
        batched = target_.ndim == 1
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        if not ((target >= 0) & (target < self.n_classes)).all():
            raise ArgumentError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found. "
            )
        place = target
        output = input.new_zeros(len(target))
        for i, (start, end) in enumerate(self._clusters()):
            rows = ((target >= start) & (target < end)).nonzero().squeeze(1)
            if not rows.numel():
                continue
            logs = F.log_softmax(self.tail[i](input.index_select(0, rows)), 1)
            at = (target.index_select(0, rows) - start).unsqueeze(1)
            output = output.index_copy(0, rows, logs.gather(1, at).squeeze(1))
            place = place.index_fill(0, rows, self.shortlist_size + i)
        logs = F.log_softmax(self.head(input), 1)
        output = output + logs.gather(1, place.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _clusters(self) -> list[tuple[int, int]]:
        return list(zip(self.cutoffs[:-1], self.cutoffs[1:], strict=True))

    def log_prob(self, input: Tensor) -> Tensor:
        """The logarithms of the probabilities of all classes, `(batch, n_classes)`.

        Args:
            input: `(batch, in_features)`.
        """
        return self._log_prob(input, self.head(input))

    def _log_prob(self, input: Tensor, head: Tensor) -> Tensor:
        logs = F.log_softmax(head, 1)
        n = self.shortlist_size
        parts = [logs[:, :n]]
        for i, cluster in enumerate(self.tail):
            parts.append(F.log_softmax(cluster(input), 1) + logs[:, n + i].unsqueeze(1))
        return cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row, `(batch)`, int64. The host waits for the device.

        Args:
            input: `(batch, in_features)`.
        """
        head = self.head(input)
        output: Tensor = head.argmax(1)
        rows = (output >= self.shortlist_size).nonzero().squeeze(1)
        if not rows.numel():
            return output
        # In a cluster the most probable class may be less so than one of the first.
        found = self._log_prob(input.index_select(0, rows), head.index_select(0, rows)).argmax(1)
        return output.index_copy(0, rows, found)
