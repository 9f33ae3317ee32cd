"""Linear algebra, under PyTorch's names."""

from .errors import LinAlgError
from .ops.inverse import det, inv, inv_ex, slogdet, solve, solve_ex, tensorinv, tensorsolve

__all__ = [
    "LinAlgError",
    "det",
    "inv",
    "inv_ex",
    "slogdet",
    "solve",
    "solve_ex",
    "tensorinv",
    "tensorsolve",
]
