"""Tables of vectors that are looked up."""

from __future__ import annotations

from typing import Any, Self

from ..errors import ArgumentError
from ..mode import no_grad
from ..ops.creation import empty
from ..tensor import Tensor
from . import functional as F
from .init import normal_
from .module import Module
from .parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None

    def _build(self, _weight: Tensor | None, freeze: bool, device: Any, dtype: Any) -> None:
        rows, width, padding = self.num_embeddings, self.embedding_dim, self.padding_idx
        if padding is not None:
            if not -rows <= padding < rows:
                raise ArgumentError("padding_idx must be within num_embeddings")
            self.padding_idx = padding % rows
        if _weight is None:
            table = empty(rows, width, device=device, dtype=dtype)
            self.weight = Parameter(table, requires_grad=not freeze)
            self.reset_parameters()
            return
        if list(_weight.shape) != [rows, width]:
            raise ArgumentError("Shape of weight does not match num_embeddings and embedding_dim")
        self.weight = Parameter(_weight, requires_grad=not freeze)

    def reset_parameters(self) -> None:
        """Draw normal numbers again; the row of `padding_idx` is 0."""
        normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    def extra_repr(self) -> str:
        """Its options, where they are not the usual ones."""
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        for name, usual in self._usual.items():
            value = getattr(self, name)
            if value != usual:
                parts.append(f"{name}={value}")
        return ", ".join(parts)

    _usual: dict[str, Any]


class Embedding(_Table):
    """The rows of a table at indices.

    Args:
        num_embeddings: how many rows.
        embedding_dim: their size.
        padding_idx: a row that gets no gradient, and is 0 at first.
        max_norm: rows that are longer are shortened to it, in place.
        norm_type: of which norm.
        scale_grad_by_freq: divide gradients by how often a row is looked up.
        sparse: as in `nn.functional.embedding`.
        _weight: the table; see `from_pretrained`.
        _freeze: let it not require grad.
        device: of the table.
        dtype: of the table.
    """

    _usual = {  # noqa: RUF012
        "padding_idx": None,
        "max_norm": None,
        "norm_type": 2,
        "scale_grad_by_freq": False,
    }

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self._build(_weight, _freeze, device, dtype)
        self.sparse = sparse

    def forward(self, input: Tensor) -> Tensor:
        """The rows at `input`: `(*, embedding_dim)`."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        """Its options, where they are not the usual ones."""
        return super().extra_repr() + (", sparse=True" if self.sparse else "")

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **options: Any
    ) -> Self:
        """A module with a given table.

        Args:
            embeddings: `(rows, size)`.
            freeze: let it not require grad.
            padding_idx: as of the class.
            options: the others of the class.
        """
        module: Self = _pretrained(cls, embeddings, freeze, padding_idx=padding_idx, **options)
        return module


class EmbeddingBag(_Table):
    """The sums, means or maxima of bags of rows of a table.

    Args:
        num_embeddings: how many rows.
        embedding_dim: their size.
        max_norm: rows that are longer are shortened to it, in place.
        norm_type: of which norm.
        scale_grad_by_freq: divide gradients by how often a row is looked up.
        mode: `"sum"`, `"mean"` or `"max"`.
        sparse: as in `nn.functional.embedding_bag`.
        _weight: the table; see `from_pretrained`.
        include_last_offset: whether the last offset is the number of indices.
        padding_idx: a row that does not count.
        device: of the table.
        dtype: of the table.
    """

    _usual = {  # noqa: RUF012
        "max_norm": None,
        "norm_type": 2,
        "scale_grad_by_freq": False,
    }

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.padding_idx = padding_idx
        self._build(_weight, False, device, dtype)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        """One row for each bag.

        Args:
            input: indices, `(bags, size)`, or `(n,)` with `offsets`.
            offsets: where each bag begins.
            per_sample_weights: of each index, for `"sum"`.
        """
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """Its options, where they are not the usual ones."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{super().extra_repr()}, mode={self.mode!r}{padding}"

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        """A module with a given table.

        Args:
            embeddings: `(rows, size)`.
            freeze: let it not require grad.
            options: the others of the class.
        """
        module: Self = _pretrained(cls, embeddings, freeze, **options)
        return module


def _pretrained(cls: Any, embeddings: Tensor, freeze: bool, **options: Any) -> Any:
    if embeddings.ndim != 2:
        raise ArgumentError("Embeddings parameter is expected to be 2-dimensional")
    module = cls(*embeddings.shape, _weight=embeddings, **options)
    module.weight.requires_grad_(not freeze)
    return module
