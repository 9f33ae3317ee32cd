"""Sample inputs, declared with each operation and run by one suite (`gradcore.testing`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Bad", "Maker", "Sample", "bad", "sample"]


class Sample(NamedTuple):
    """Arguments of one call. Every NumPy array in them becomes a Tensor.

    Attributes:
        args: positional arguments.
        kwargs: keyword arguments.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Bad(NamedTuple):
    """Arguments of a call that must raise.

    Attributes:
        call: the arguments.
        error: the class of the exception.
        match: a regular expression found in its message.
    """

    call: Sample
    error: type[Exception]
    match: str


def sample(*args: Any, **kwargs: Any) -> Sample:
    """A Sample with these arguments."""
    return Sample(args, kwargs)


def bad(error: type[Exception], match: str, *args: Any, **kwargs: Any) -> Bad:
    """A Bad with these arguments."""
    return Bad(Sample(args, kwargs), error, match)


class Maker:
    """Makes arrays for samples: the same ones in every run.

    Args:
        name: of the operation; different names give different numbers.
    """

    def __init__(self, name: str) -> None:
        import zlib

        self.random = np.random.default_rng(zlib.crc32(name.encode()))

    def real(self, *shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray[Any, Any]:
        """float64 in [low, high), spread evenly and in random order: no ties."""
        n = int(np.prod(shape))
        places = self.random.permutation(n) + self.random.uniform(0.25, 0.75, n)
        return np.asarray(low + (high - low) * places / max(n, 1)).reshape(shape)

    def complex(self, *shape: int) -> np.ndarray[Any, Any]:
        """complex128 with both parts in [-2, 2)."""
        return np.asarray(self.real(*shape) + 1j * self.real(*shape))

    def integers(self, low: int, high: int, *shape: int) -> np.ndarray[Any, Any]:
        """int64 in [low, high)."""
        return np.asarray(self.random.integers(low, high, shape))

    def boolean(self, *shape: int) -> np.ndarray[Any, Any]:
        """True and False."""
        return np.asarray(self.random.random(shape) < 0.5)


SHAPES = ((), (3,), (2, 3), (0,), (2, 0, 3))
PAIRS = (((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 3)), ((1,), (0,)))

Samples = Callable[[Maker], Sequence[Sample]]


def over(low: float, high: float) -> Samples:
    """Samples of a function of one real variable that is smooth on [low, high)."""
    return lambda make: [sample(make.real(*shape, low=low, high=high)) for shape in SHAPES]


def over_pairs(
    low: float = -2.0, high: float = 2.0, other: tuple[float, float] | None = None
) -> Samples:
    """Samples of a function of two real variables: all ways of broadcasting, and scalars."""
    low_b, high_b = other or (low, high)

    def samples(make: Maker) -> list[Sample]:
        some = [
            sample(make.real(*a, low=low, high=high), make.real(*b, low=low_b, high=high_b))
            for a, b in PAIRS
        ]
        middle = 0.3 * low_b + 0.7 * high_b
        some.append(sample(make.real(2, 3, low=low, high=high), middle))
        return some

    return samples
