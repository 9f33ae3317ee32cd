"""Linear algebra, under PyTorch's names: `gradcore.linalg.svd(x)`."""

from .errors import LinAlgError
from .ops.factorization import householder_product, lu, lu_factor, lu_factor_ex, lu_solve, qr
from .ops.inverse import det, inv, inv_ex, slogdet, solve, solve_ex, tensorinv, tensorsolve
from .ops.matrix_exp import matrix_exp
from .ops.spectral import eig, eigh, eigvals, eigvalsh, svd, svdvals
from .ops.triangular import cholesky, cholesky_ex, solve_triangular

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "det",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matrix_exp",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
]
