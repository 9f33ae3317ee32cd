"""Linear algebra, under PyTorch's names: `gradcore.linalg.svd(x)`."""

from .errors import LinAlgError
from .ops.inverse import det, inv, inv_ex, slogdet, solve, solve_ex, tensorinv, tensorsolve
from .ops.matrix_product import _linalg_cross as cross
from .ops.matrix_product import _linalg_diagonal as diagonal
from .ops.matrix_product import _linalg_matmul as matmul
from .ops.matrix_product import _linalg_vander as vander
from .ops.matrix_product import matrix_power, multi_dot, vecdot

__all__ = [
    "LinAlgError",
    "cross",
    "det",
    "diagonal",
    "inv",
    "inv_ex",
    "matmul",
    "matrix_power",
    "multi_dot",
    "slogdet",
    "solve",
    "solve_ex",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
]
