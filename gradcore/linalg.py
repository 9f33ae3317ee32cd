"""Linear algebra, under PyTorch's names: `gradcore.linalg.svd(x)`."""

from .errors import LinAlgError
from .ops.factorization import (
    householder_product,
    lu,
    lu_factor,
    lu_factor_ex,
    lu_solve,
    qr,
)
from .ops.spectral import eig, eigh, eigvals, eigvalsh, svd, svdvals
from .ops.triangular import cholesky, cholesky_ex, solve_triangular

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "qr",
    "solve_triangular",
    "svd",
    "svdvals",
]
