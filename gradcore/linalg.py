"""Linear algebra, under PyTorch's names: `gradcore.linalg.svd(x)`."""

from .errors import LinAlgError
from .ops.triangular import cholesky, cholesky_ex, solve_triangular

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "solve_triangular",
]
