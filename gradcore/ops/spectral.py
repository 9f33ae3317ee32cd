"""Singular values, eigenvalues, and their vectors."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, GraphError, LinAlgError
from ..mode import is_grad_enabled
from ..op import primitive, public
from ..samples import bad, sample
from ..tensor import Lifted, Tensor
from .inverse import linear_solve
from .matrices import (
    COMPLEX,
    adjoint,
    identity,
    inexact,
    matrices,
    of_each,
    of_symmetric,
    scipy_routine,
    square,
)

__all__: list[str] = []


# what the vectors are free in --------------------------------------------------------------------


def _checked_phase(xp: Any, x: Array, message: str) -> Array:
    # As loose as PyTorch's: the cotangents of a loss that does depend on it are of order 1.
    if bool((abs(x) > 1e-2).any()):
        raise GraphError(message)
    return x


_check_phase = primitive("check_phase", _checked_phase, None, batching=leading)
"""Raises GraphError where a loss depends on the phases of complex vectors, which are arbitrary."""

_ILL_DEFINED: Final = (
    ": The eigenvectors in the complex case are specified up to multiplication by e^{i phi}. The "
    "specified loss function depends on this quantity, so it is ill-defined."
)
_ILL_DEFINED_SVD: Final = (
    "svd_backward: The singular vectors in the complex case are specified up to multiplication by "
    "e^{i phi}. The specified loss function depends on this phase term, making it ill-defined."
)


def _diagonal(xp: Any, x: Any) -> Any:
    return xp.diagonal(x, 0, -2, -1)


def _off_diagonal(xp: Any, x: Any) -> Any:
    return xp.tril(x, -1) + xp.triu(x, 1)


def _row(xp: Any, x: Any) -> Any:
    return xp.expand_dims(x, -2)


def _column(xp: Any, x: Any) -> Any:
    return xp.expand_dims(x, -1)


def _differences(xp: Any, values: Any) -> Any:
    """`values[j] - values[i]` at (i, j), and ones on the diagonal."""
    gaps = _row(xp, values) - _column(xp, values)
    return gaps + identity(xp, gaps.shape[-1], values)


def _skew(xp: Any, x: Any) -> Any:
    return x - adjoint(xp, x)


def _nan_of(xp: Any, finite: Array, y: Array) -> Array:
    """`y` with nan for the matrices that are not finite."""
    return xp.module.where(finite.reshape(*finite.shape, *(1,) * (y.ndim - finite.ndim)), y, np.nan)


# singular values ---------------------------------------------------------------------------------

_NOT_FINITE: Final = (
    "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite "
    "values."
)


def _gesdd(a: Array, full: bool, vectors: bool) -> tuple[Array, ...]:
    """U, S and Vh of a large matrix, or S alone, by SciPy's LAPACK."""
    m, n = a.shape
    work, _ = scipy_routine("gesdd_lwork", a.dtype, m, n)(m, n, vectors, full)
    length = int(1.001 * work.real) + 1  # a float32 may have been rounded down
    u, s, vh, info = scipy_routine("gesdd", a.dtype, m, n)(a, vectors, full, length)
    if info:
        raise np.linalg.LinAlgError
    return (u, s, vh) if vectors else (s,)


def decomposed(xp: Any, x: Array, full: bool, vectors: bool) -> tuple[Array, ...]:
    """U, S and Vh, or S alone.

    Raises:
        LinAlgError: there are values that are not finite.
    """
    found: tuple[Array, ...]
    try:
        if xp.module is np and x.size and scipy_routine("gesdd", x.dtype, *x.shape[-2:]):
            found = of_each(lambda a: _gesdd(a, full, vectors), x)
        else:
            y = xp.module.linalg.svd(x, full_matrices=full, compute_uv=vectors)
            found = tuple(y) if vectors else (y,)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(_NOT_FINITE) from error
    if not bool(xp.module.isfinite(found[vectors]).all()):
        raise LinAlgError(_NOT_FINITE)
    return found


def _svd_forward(xp: Any, x: Array, full: bool) -> tuple[Array, ...]:
    return decomposed(xp, x, full, True)


def _svdvals_forward(xp: Any, x: Array) -> Array:
    return decomposed(xp, x, False, False)[0]


def _svd_vjp(
    xp: Any,
    g: tuple[Any, Any, Any],
    y0: Any,
    y1: Any,
    y2: Any,
    x_shape: tuple[int, ...],
    full: bool,
) -> list[Any]:
    m, n = x_shape[-2:]
    k = min(m, n)
    of_u, of_s, of_vh = g
    u, s, vh = y0, y1, y2
    if full:
        if m > k:
            u = xp.getitem(u, (Ellipsis, slice(0, k)))
            of_u = None if of_u is None else xp.getitem(of_u, (Ellipsis, slice(0, k)))
        if n > k:
            rows = (Ellipsis, slice(0, k), slice(None))
            vh = xp.getitem(vh, rows)
            of_vh = None if of_vh is None else xp.getitem(of_vh, rows)
    if of_u is None and of_vh is None:
        if m > n:
            return [xp.matmul(u, _column(xp, of_s) * vh)]
        return [xp.matmul(u * _row(xp, of_s), vh)]
    squares = s * s
    gaps = _differences(xp, squares)
    inner = None
    phase = None
    if of_u is not None:
        of_left = xp.matmul(adjoint(xp, u), of_u)
        skew = _skew(xp, of_left)
        inner = _off_diagonal(xp, skew / gaps) * _row(xp, s)
        if skew.dtype in COMPLEX:
            phase = xp.imag(_diagonal(xp, of_left))
            turned = phase
    if of_vh is not None:
        of_right = xp.matmul(vh, adjoint(xp, of_vh))
        skew = _skew(xp, of_right)
        part = _column(xp, s) * _off_diagonal(xp, skew / gaps)
        inner = part if inner is None else inner + part
        if skew.dtype in COMPLEX:
            other = xp.imag(_diagonal(xp, of_right))
            turned = other if phase is None else phase + other
    if u.dtype in COMPLEX:
        xp.apply(_check_phase, turned, _ILL_DEFINED_SVD)
    middle = xp.matmul(u, inner)
    if of_s is not None:
        middle = middle + u * _row(xp, of_s)
    if phase is not None:
        middle = middle + u * _row(xp, (1j * phase) / s)
    if m > k and of_u is not None:
        middle = middle + (of_u - xp.matmul(u, of_left)) / _row(xp, s)
    d = xp.matmul(middle, vh)
    if n > k and of_vh is not None:
        rest = (of_vh - xp.matmul(adjoint(xp, of_right), vh)) / _column(xp, s)
        d = d + xp.matmul(u, rest)
    return [d]


svd_of = primitive(
    "linalg_svd", _svd_forward, joint=_svd_vjp, inputs=1, outputs=3, batching=leading
)
"""`svd_of(x, full)`: U, S and Vh."""
_svdvals = primitive("svdvals", _svdvals_forward, None, batching=leading)


class SVDResult(NamedTuple):
    """What `linalg.svd` returns.

    Attributes:
        U: the left singular vectors, its columns.
        S: the singular values, from the largest on.
        Vh: the right singular vectors, conjugated, its rows.
    """

    U: Tensor
    S: Tensor
    Vh: Tensor


def check_driver(driver: str | None) -> None:
    """Refuse the choice of an algorithm of cuSOLVER.

    Raises:
        ArgumentError: there is one.
    """
    if driver is not None:
        raise ArgumentError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with "
            "cuSOLVER backend; here CuPy chooses the algorithm."
        )


def of_svd(call: Any) -> Any:
    """What is tested of a singular value decomposition: not the signs or phases of the vectors."""

    def run(x: Any, *args: Any, **kwargs: Any) -> Any:
        u, s, v = call(x, *args, **kwargs)
        k = s.shape[-1]
        u, v = u[..., :k], v[..., :k, :]
        return u.abs(), s, v.abs(), u @ v

    return run


def _numpy_svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    return svd(inexact(a), full_matrices) if compute_uv else svdvals(inexact(a))


@public(
    path="linalg.svd",
    kind="primitive",
    numpy={"linalg.svd": _numpy_svd},
    tested=of_svd,
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(3, 2), full_matrices=False),
        sample(make.real(2, 2, 3), False),
        sample(make.complex(3, 2), False),
        sample(make.complex(2, 3), False),
        sample(make.real(0, 2), False),
        sample(make.real(0, 2, 2)),
    ],
    errors=lambda make: [
        bad(np.linalg.LinAlgError, "contained non-finite values", np.full((2, 2), np.nan)),
        bad(RuntimeError, "must have at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "Expected a floating point.*Got Long", make.integers(1, 3, 2, 2)),
        bad(RuntimeError, "keyword argument `driver=`", make.real(2, 2), driver="gesvd"),
    ],
    waits=True,
    departs={"node": "what is tested ends with a product"},
)
def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> SVDResult:
    r"""The singular value decomposition `A = U @ diag(S) @ Vh`.

    With \(\mathrm{skew}(X) = X - X^H\) and \(E_{ij} = S_j^2 - S_i^2\), the cotangent of a square
    matrix is \(U ((\mathrm{skew}(U^H \bar U) / E) S + S (\mathrm{skew}(V^H \bar V) / E) +
    \mathrm{diag}(\bar S)) V^H\). It is finite if the singular values are distinct, and not 0 unless
    the matrix is square; if only S has a cotangent, always. As in PyTorch nothing flows through the
    vectors that only `full_matrices` gives. On a CUDA device the host waits, to see whether the
    algorithm converged.

    Args:
        A: `(*, m, n)`, float32, float64 or complex.
        full_matrices: whether U and Vh are square.
        driver: must be None: CuPy chooses the algorithm.

    Returns:
        `(U, S, Vh)`, of shapes `(*, m, k)`, `(*, k)` and `(*, k, n)` for `k = min(m, n)`; with
        `full_matrices`, U is `(*, m, m)` and Vh `(*, n, n)`. S is real. The signs of the vectors
        are arbitrary, and the phases of complex ones.

    Raises:
        LinAlgError: `A` is not finite.
        ShapeError: `A` has less than two dimensions.
        DTypeError: of integers or float16.
        GraphError: by a derivative, if the loss depends on the phases of complex vectors.

    Reference:
        Townsend (2016), "Differentiating the singular value decomposition"; Wan & Zhang (2019),
        "Automatic differentiation for complex valued SVD".
    """
    check_driver(driver)
    return SVDResult(*svd_of(matrices("linalg.svd", A), full_matrices))


def singular_values(x: Tensor) -> Tensor:
    """The singular values alone, without the vectors where nothing is recorded."""
    if isinstance(x, Lifted) or (x._requires_grad and is_grad_enabled()):
        return svd_of(x, False)[1]
    return _svdvals(x)


@public(
    path="linalg.svdvals",
    kind="primitive",
    numpy={"linalg.svdvals": lambda x: svdvals(inexact(x))},
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 3, 2)),
        sample(make.complex(2, 3)),
        sample(make.real(2, 0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "contained non-finite values", np.full((2, 2), np.inf)),
        bad(RuntimeError, "must have at least 2 dimensions", make.real(3)),
    ],
    waits=True,
)
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values of a matrix, from the largest on; see `linalg.svd`.

    The derivative is finite for all matrices, equal singular values included.

    Args:
        A: `(*, m, n)`, float32, float64 or complex.
        driver: must be None: CuPy chooses the algorithm.

    Returns:
        `(*, min(m, n))`, real.

    Raises:
        LinAlgError: `A` is not finite.
        ShapeError: `A` has less than two dimensions.
        DTypeError: of integers or float16.
    """
    check_driver(driver)
    return singular_values(matrices("linalg.svd", A))


# eigenvalues of symmetric matrices ---------------------------------------------------------------


def _finite(xp: Any, x: Array) -> Array:
    return xp.module.asarray(xp.module.isfinite(x).all((-2, -1)))


def _eigh_forward(xp: Any, x: Array, uplo: str) -> tuple[Array, Array]:
    # LAPACK may fail where an element is nan, and NumPy then raises for all matrices.
    finite = _finite(xp, x)
    one = identity(xp, x.shape[-1], x)
    try:
        values, vectors = xp.module.linalg.eigh(_where(xp, finite, x, one), uplo)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(_NO_CONVERGENCE) from error
    return _nan_of(xp, finite, values), _nan_of(xp, finite, vectors)


def _eigvalsh_forward(xp: Any, x: Array, uplo: str) -> Array:
    finite = _finite(xp, x)
    one = identity(xp, x.shape[-1], x)
    try:
        values = xp.module.linalg.eigvalsh(_where(xp, finite, x, one), uplo)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(_NO_CONVERGENCE) from error
    return _nan_of(xp, finite, values)


def _where(xp: Any, mask: Array, x: Array, other: Array) -> Array:
    return xp.module.where(mask[..., None, None], x, other)


_NO_CONVERGENCE: Final = (
    "linalg.eigh: The algorithm failed to converge because the input matrix is ill-conditioned or "
    "has too many repeated eigenvalues."
)


def _eigh_vjp(xp: Any, g: tuple[Any, Any], y0: Any, y1: Any) -> list[Any]:
    of_values, of_vectors = g
    right = adjoint(xp, y1)
    if of_vectors is None:
        return [xp.matmul(y1 * _row(xp, of_values), right)]
    inner = xp.matmul(right, of_vectors)
    if inner.dtype in COMPLEX:
        turned = xp.imag(_diagonal(xp, inner))
        xp.apply(_check_phase, turned, "linalg_eigh_backward" + _ILL_DEFINED)
    inner = _off_diagonal(xp, _skew(xp, inner) * 0.5 / _differences(xp, y0))
    left = xp.matmul(y1, inner)
    if of_values is not None:
        left = left + y1 * _row(xp, of_values)
    return [xp.matmul(left, right)]


_eigh = primitive(
    "linalg_eigh", _eigh_forward, joint=_eigh_vjp, inputs=1, outputs=2, batching=leading
)
_eigvalsh = primitive("eigvalsh", _eigvalsh_forward, None, batching=leading)


class EigResult(NamedTuple):
    """What `linalg.eig` and `linalg.eigh` return.

    Attributes:
        eigenvalues: one per eigenvector.
        eigenvectors: columns of length 1.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor


def _symmetric(input: Any, UPLO: str) -> Tensor:
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise ArgumentError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return square("linalg.eigh", input)


def _of_eigh(call: Any) -> Any:
    """What is tested: not the signs or phases of the eigenvectors."""

    def run(x: Any, *args: Any) -> Any:
        values, vectors = call(x + x.mH, *args)
        return values, vectors.abs(), (vectors * (0.1 * values).exp().unsqueeze(-2)) @ vectors.mH

    return run


@public(
    path="linalg.eigh",
    kind="primitive",
    numpy={"linalg.eigh": lambda a, UPLO="L": eigh(inexact(a), UPLO)},
    tested=_of_eigh,
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 2, 2), "U"),
        sample(make.complex(3, 3)),
        sample(make.real(0, 0)),
        sample(make.real(0, 2, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Expected UPLO argument to be 'L' or 'U'", make.real(2, 2), "x"),
        bad(RuntimeError, "A must be batches of square matrices", make.real(2, 3)),
        bad(RuntimeError, "must have at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "Expected a floating point.*Got Long", make.integers(1, 3, 2, 2)),
    ],
    waits=True,
    departs={"node": "what is tested ends with a product"},
)
def eigh(input: Tensor, UPLO: str = "L") -> EigResult:
    r"""The eigenvalues and eigenvectors of a symmetric or Hermitian matrix.

    With \(E_{ij} = \lambda_j - \lambda_i\) and \(\mathrm{skew}(X) = (X - X^H) / 2\), the gradient
    is the Hermitian \(V (\mathrm{diag}(\bar\lambda) + \mathrm{skew}(V^H \bar V) / E) V^H\). It is
    finite if the eigenvalues are distinct; if only they have a cotangent, always. A matrix that is
    not finite has nan for all it has.

    Args:
        input: `(*, n, n)`, float32, float64 or complex.
        UPLO: `"L"` or `"U"`, the triangle that is read.

    Returns:
        `(eigenvalues, eigenvectors)`: `(*, n)`, real, ascending; and `(*, n, n)`, whose columns
        they are. Their signs are arbitrary, and the phases of complex ones.

    Raises:
        ArgumentError: another UPLO.
        LinAlgError: the algorithm does not converge.
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
        GraphError: by a derivative, if the loss depends on the phases of complex vectors.

    Reference:
        Giles (2008), "An extended collection of matrix derivative results for forward and reverse
        mode algorithmic differentiation"; Seeger et al. (2017), "Auto-differentiating linear
        algebra".
    """
    return EigResult(*_eigh(_symmetric(input, UPLO), UPLO.upper()))


@public(
    path="linalg.eigvalsh",
    kind="primitive",
    numpy={"linalg.eigvalsh": lambda a, UPLO="L": eigvalsh(inexact(a), UPLO)},
    tested=of_symmetric,
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 2, 2), "U"),
        sample(make.complex(3, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Expected UPLO argument to be 'L' or 'U'", make.real(2, 2), "x"),
        bad(RuntimeError, "A must be batches of square matrices", make.real(2, 3)),
    ],
)
def eigvalsh(input: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of a symmetric or Hermitian matrix, ascending; see `linalg.eigh`.

    The derivative is finite for all matrices, equal eigenvalues included.

    Args:
        input: `(*, n, n)`, float32, float64 or complex.
        UPLO: `"L"` or `"U"`, the triangle that is read.

    Returns:
        `(*, n)`, real.

    Raises:
        ArgumentError: another UPLO.
        LinAlgError: the algorithm does not converge.
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    x = _symmetric(input, UPLO)
    if isinstance(x, Lifted) or (x._requires_grad and is_grad_enabled()):
        return _eigh(x, UPLO.upper())[0]
    return _eigvalsh(x, UPLO.upper())


# eigenvalues of all matrices ---------------------------------------------------------------------


def _complex(dtype: Any) -> Any:
    return np.result_type(dtype, np.complex64)


def _eig_forward(xp: Any, x: Array, name: str, real: bool) -> tuple[Array, Array]:
    _refuse_not_finite(xp, x, name)
    values, vectors = xp.module.linalg.eig(x)
    wide = _complex(x.dtype)
    return values.astype(wide, copy=False), vectors.astype(wide, copy=False)


def _eigvals_forward(xp: Any, x: Array) -> Array:
    _refuse_not_finite(xp, x, "linalg.eigvals")
    return xp.module.linalg.eigvals(x).astype(_complex(x.dtype), copy=False)


def _refuse_not_finite(xp: Any, x: Array, name: str) -> None:
    if not bool(xp.module.isfinite(x).all()):
        raise LinAlgError(f"torch.{name}: input tensor should not contain infs or NaNs.")


def _eig_vjp(xp: Any, g: tuple[Any, Any], y0: Any, y1: Any, real: bool) -> list[Any]:
    of_values, of_vectors = g
    right = adjoint(xp, y1)
    inner = None
    if of_vectors is not None:
        inner = xp.matmul(right, of_vectors)
        along = _diagonal(xp, inner)
        turned = xp.imag(along)
        xp.apply(_check_phase, turned, "linalg_eig_backward" + _ILL_DEFINED)
        # What makes the vectors longer does not count: their length is 1.
        inner = inner - xp.matmul(right, y1 * _row(xp, xp.real(along)))
        inner = _off_diagonal(xp, inner / xp.conj(_differences(xp, y0)))
        inner = xp.matmul(inner, right)
    if of_values is not None:
        part = _column(xp, of_values) * right
        inner = part if inner is None else inner + part
    d = xp.apply(linear_solve, right, inner, "")[0]
    return [xp.real(d) if real else d]


_eig = primitive("linalg_eig", _eig_forward, joint=_eig_vjp, inputs=1, outputs=2, batching=leading)
_eigvals = primitive("eigvals", _eigvals_forward, None, batching=leading)


def _of_eig(call: Any) -> Any:
    """What is tested: not the phases of the eigenvectors."""

    def run(x: Any) -> Any:
        values, vectors = call(x)
        return values, vectors.abs()

    return run


@public(
    path="linalg.eig",
    kind="primitive",
    numpy={"linalg.eig": lambda a: eig(inexact(a))},
    tested=_of_eig,
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.complex(2, 2, 2)),
        sample(make.real(0, 0)),
        sample(make.real(0, 2, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "should not contain infs or NaNs", np.full((2, 2), np.nan)),
        bad(RuntimeError, "A must be batches of square matrices", make.real(2, 3)),
        bad(RuntimeError, "must have at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "Expected a floating point.*Got Long", make.integers(1, 3, 2, 2)),
    ],
    waits=True,
)
def eig(input: Tensor) -> EigResult:
    r"""The eigenvalues and right eigenvectors of a square matrix, complex also of a real one.

    With \(E_{ij} = \lambda_j - \lambda_i\), the cotangent is \(V^{-H} (\mathrm{diag}(\bar\lambda) +
    (V^H \bar V - V^H V \mathrm{diag}(\mathrm{Re}(V^H \bar V))) / \bar E) V^H\). It is finite if the
    eigenvalues are distinct. On a CUDA device the host waits, to see whether `input` is finite.

    Args:
        input: `(*, n, n)`, float32, float64 or complex; it must be diagonalisable.

    Returns:
        `(eigenvalues, eigenvectors)`: `(*, n)` in no particular order, and `(*, n, n)`, whose
        columns they are, of length 1. Their phases are arbitrary. Both are complex.

    Raises:
        LinAlgError: `input` is not finite.
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
        GraphError: by a derivative, if the loss depends on the phases of the vectors.

    Reference:
        Boeddeker et al. (2019), "On the computation of complex-valued gradients with application
        to statistically optimum beamforming".
    """
    x = square("linalg.eig", input)
    return EigResult(*_eig(x, "linalg.eig", not x.is_complex()))


@public(
    path="linalg.eigvals",
    kind="primitive",
    numpy={"linalg.eigvals": lambda a: eigvals(inexact(a))},
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.complex(2, 2, 2)),
        sample(make.real(0, 0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "should not contain infs or NaNs", np.full((2, 2), np.nan)),
        bad(RuntimeError, "A must be batches of square matrices", make.real(2, 3)),
    ],
    waits=True,
)
def eigvals(input: Tensor) -> Tensor:
    """The eigenvalues of a square matrix, complex also of a real one; see `linalg.eig`.

    Args:
        input: `(*, n, n)`, float32, float64 or complex.

    Returns:
        `(*, n)`, complex, in no particular order.

    Raises:
        LinAlgError: `input` is not finite.
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.
    """
    x = square("linalg.eigvals", input)
    if isinstance(x, Lifted) or (x._requires_grad and is_grad_enabled()):
        return _eig(x, "linalg.eigvals", not x.is_complex())[0]
    return _eigvals(x)
