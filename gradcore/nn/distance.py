"""Distances of vectors."""

from __future__ import annotations

from . import functional as F
from .options import FunctionModule

__all__ = [
    "CosineSimilarity",
    "PairwiseDistance",
]


class CosineSimilarity(FunctionModule, of=F.cosine_similarity, inputs="x1, x2", shown=""):
    """The cosine of the angle between vectors along a dimension.

    Args:
        dim: the dimension.
        eps: the least product of the lengths.
    """

    dim: int = 1
    eps: float = 1e-8


class PairwiseDistance(FunctionModule, of=F.pairwise_distance, inputs="x1, x2", shown=""):
    """The p-norm of the differences of vectors.

    Args:
        p: of the norm.
        eps: added to the differences.
        keepdim: keep the last dimension, of size 1.
    """

    p: float = 2.0
    eps: float = 1e-6
    keepdim: bool = False
