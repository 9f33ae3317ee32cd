"""Dropout."""

from __future__ import annotations

from ..errors import ArgumentError
from . import functional as F
from .options import FunctionModule

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _Dropout(FunctionModule, shown="p={p}, inplace={inplace}"):
    p: float = 0.5
    inplace: bool = False

    def _ready(self) -> None:
        if not 0 <= self.p <= 1:
            raise ArgumentError(f"dropout probability has to be between 0 and 1, but got {self.p}")


class Dropout(_Dropout, of=F.dropout):
    """Elements that are 0 at random while it trains.

    Args:
        p: the probability that one is dropped.
        inplace: write into the input.
    """


class Dropout1d(_Dropout, of=F.dropout1d):
    """As `Dropout2d`, for `(N, C, L)`."""


class Dropout2d(_Dropout, of=F.dropout2d):
    """Channels of `(N, C, H, W)` that are 0 at random while it trains.

    Args:
        p: the probability that one is dropped.
        inplace: write into the input.
    """


class Dropout3d(_Dropout, of=F.dropout3d):
    """As `Dropout2d`, for `(N, C, D, H, W)`."""


class AlphaDropout(_Dropout, of=F.alpha_dropout):
    """Dropout for `SELU`: mean and variance stay.

    Args:
        p: the probability that one is dropped.
        inplace: write into the input.
    """


class FeatureAlphaDropout(_Dropout, of=F.feature_alpha_dropout):
    """`AlphaDropout` of whole channels; the arguments are the same."""
