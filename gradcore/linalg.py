"""Linear algebra, under PyTorch's names: `gradcore.linalg.svd(x)`."""

from .errors import LinAlgError

__all__ = [
    "LinAlgError",
]
