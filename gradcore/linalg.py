"""Linear algebra, under PyTorch's names: `gradcore.linalg.svd(x)`."""

from .errors import LinAlgError
from .ops.factorization import householder_product, lu, lu_factor, lu_factor_ex, lu_solve, qr
from .ops.inverse import _linalg_det as det
from .ops.inverse import _linalg_slogdet as slogdet
from .ops.inverse import inv, inv_ex, solve, solve_ex, tensorinv, tensorsolve
from .ops.least_squares import lstsq, pinv
from .ops.matrix_exp import matrix_exp
from .ops.matrix_norm import _linalg_norm as norm
from .ops.matrix_norm import _vector_norm as vector_norm
from .ops.matrix_norm import cond, matrix_norm, matrix_rank
from .ops.matrix_product import _linalg_cross as cross
from .ops.matrix_product import _linalg_diagonal as diagonal
from .ops.matrix_product import _linalg_matmul as matmul
from .ops.matrix_product import _linalg_vander as vander
from .ops.matrix_product import matrix_power, multi_dot, vecdot
from .ops.spectral import eig, eigh, eigvals, eigvalsh, svd, svdvals
from .ops.triangular import cholesky, cholesky_ex, solve_triangular

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]
