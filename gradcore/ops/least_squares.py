"""The pseudoinverse of matrices, and solutions of linear systems in the sense of least squares."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, DTypeError, LinAlgError, ShapeError
from ..op import primitive, promote, public, recorded, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor
from .matrices import adjoint, alike, fit, inexact, matrices, square
from .matrix_norm import tolerances
from .product import matmul
from .reduction import amax
from .spectral import decomposed, singular_values

__all__ = ["pinverse"]


class LstsqResult(NamedTuple):
    """What `linalg.lstsq` returns."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


# the pseudoinverse -------------------------------------------------------------------------------


_NOT_FINITE = (
    "linalg.pinv: The algorithm failed to converge because the input matrix contained non-finite "
    "values."
)


def _forward(xp: Any, a: Array, atol: Array, rtol: Array, hermitian: bool) -> Array:
    m, n = a.shape[-2:]
    if not a.size:
        return xp.zeros((*a.shape[:-2], n, m), a)
    try:
        if hermitian:
            values, u = xp.module.linalg.eigh(a)
            s, signs, vh = abs(values), xp.sign(values), adjoint(xp, u)
        else:
            u, s, vh = decomposed(xp, a, False, True)
            signs = 1
    except np.linalg.LinAlgError as error:
        raise LinAlgError(_NOT_FINITE) from error
    if not bool(xp.isfinite(s).all()):  # CuPy raises nothing
        raise LinAlgError(_NOT_FINITE)
    limit = xp.maximum(atol[..., 0], rtol[..., 0] * s.max(axis=-1, keepdims=True))
    kept = s > limit
    inverse = xp.where(kept, signs / xp.where(kept, s, 1), 0).astype(s.dtype)
    return xp.matmul(adjoint(xp, vh) * inverse[..., None, :], adjoint(xp, u))


def _rule(xp: Any, g: Any, y: Any, a: Any) -> Any:
    """Of matrices of constant rank; on the smaller side the products are made first.

    Reference: Golub & Pereyra (1973), "The differentiation of pseudo-inverses and nonlinear least
    squares problems whose variables separate".
    """
    h, back = adjoint(xp, g), adjoint(xp, y)
    if a.shape[-2] <= a.shape[-1]:
        k = xp.matmul(h, y)
        of_rows = xp.matmul(k, back)
        d = of_rows - adjoint(xp, xp.matmul(y, k))
        d = d - xp.matmul(a, xp.matmul(y, of_rows))
        return d + xp.matmul(back, xp.matmul(y, h - xp.matmul(k, a)))
    k = xp.matmul(y, h)
    of_columns = xp.matmul(back, k)
    d = of_columns - adjoint(xp, xp.matmul(k, y))
    d = d - xp.matmul(xp.matmul(of_columns, y), a)
    return d + xp.matmul(xp.matmul(h - xp.matmul(a, k), y), back)


def _jvp(xp: Any, y: Any, a: Any, t_a: Any) -> Any:
    h, back = adjoint(xp, t_a), adjoint(xp, y)
    d = -xp.matmul(xp.matmul(y, t_a), y)
    rows = xp.matmul(back, h)
    d = d + xp.matmul(y, rows - xp.matmul(xp.matmul(rows, a), y))
    columns = xp.matmul(h, back)
    return d + xp.matmul(columns - xp.matmul(y, xp.matmul(a, columns)), y)


_pinv = primitive(
    "linalg_pinv",
    _forward,
    _rule,
    None,
    None,
    jvp=_jvp,
    batching=leading,
)
"""`_pinv(a, atol, rtol, hermitian)`: the tolerances are `(*, 1, 1)`."""


def _pseudoinverse(x: Tensor, atol: Any, rtol: Any, hermitian: bool) -> Tensor:
    like = x.detach().real
    pair = [
        v.to(like.device, like.dtype)[..., None, None]
        if isinstance(v, Tensor)
        else like.new_full((1, 1), v)
        for v in tolerances("torch.linalg.pinv", x, atol, rtol)
    ]
    return _pinv(x, *pair, hermitian)


def _numpy_pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Tensor:
    return pinv(inexact(a), rcond if rtol is None else rtol, hermitian)


@public(
    path="linalg.pinv",
    numpy={"linalg.pinv": _numpy_pinv},
    array_api="linalg.pinv",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(2, 3, 2)),
        sample(make.real(2, 2), 0.01),
        sample(make.real(3, 2), atol=0.01, rtol=0.02),
        sample(make.real(2, 2, 3), atol=np.array([0.01, 0.02])),
        sample(make.complex(3, 2)),
        sample(make.real(2, 0, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"linalg.pinv\(Long{\[3, 3\]}\)", make.integers(0, 5, 3, 3)),
        bad(RuntimeError, "expected a tensor with 2 or more dimensions", make.real(3)),
        bad(RuntimeError, "square matrices", make.real(2, 3), hermitian=True),
    ],
    waits=True,
)
def pinv(
    input: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """The pseudoinverse of Moore and Penrose.

    Args:
        input: `(*, m, n)`, float32, float64 or complex.
        rcond: old name of `rtol`.
        hermitian: `input` is symmetric or Hermitian: its lower triangle is read.
        atol: a number or a Tensor `(*)`: singular values not larger are taken for 0.
        rtol: likewise, in units of the largest; eps * max(m, n) by default, or 0 if `atol` is
            positive.

    Returns:
        `(*, n, m)`. The gradient is that among the matrices of the same rank.

    Raises:
        ShapeError: less than two dimensions, or Hermitian matrices that are not square.
        DTypeError: of integers or float16.
        LinAlgError: there are values that are not finite. On a CUDA device the host waits.
    """
    x = tensor_of("linalg.pinv", input)
    if len(x._shape) < 2 or not x._type.recordable or x._type.dtype is dtypes.float16:
        base = ShapeError if len(x._shape) < 2 else DTypeError
        raise base(
            f"linalg.pinv({x._type.dtype.label}{{{list(x._shape)}}}): expected a tensor with 2 or "
            "more dimensions of float, double, cfloat or cdouble types"
        )
    if hermitian:
        square("linalg.eigh", x)
    return _pseudoinverse(x, atol, rcond if rtol is None else rtol, hermitian)


@public(
    methods=("pinverse",),
    kind="primitive",
    samples=lambda make: [sample(make.real(3, 2)), sample(make.real(2, 3), rcond=0.01)],
    errors=lambda make: [bad(RuntimeError, "2 or more dimensions", make.real(3))],
    waits=True,
)
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudoinverse: `linalg.pinv`.

    Args:
        input: `(*, m, n)`, float32, float64 or complex.
        rcond: what is taken for 0, in units of the largest singular value.
    """
    return pinv(input, rcond)


# least squares -----------------------------------------------------------------------------------

_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def _numpy_lstsq(a: Any, b: Any, rcond: float | None = None) -> tuple[Any, ...]:
    a, b = promote("lstsq", inexact(a), inexact(b))
    if b.ndim == 1:
        found = lstsq(a, b.unsqueeze(-1), rcond, driver="gelsd")
        return found.solution.squeeze(-1), *found[1:]
    return lstsq(a, b, rcond, driver="gelsd")


@public(
    path="linalg.lstsq",
    numpy={"linalg.lstsq": _numpy_lstsq},
    samples=lambda make: [
        sample(make.real(4, 2), make.real(4, 3)),
        sample(make.real(2, 3), make.real(2)),
        sample(make.real(4, 2), make.real(4, 3), driver="gels"),
        sample(make.real(2, 3, 2), make.real(2, 3, 1), driver="gelsd"),
        sample(make.real(2, 3, 2), make.real(2, 3), driver="gelss"),
        sample(make.complex(3, 2), make.complex(3, 1)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least 2 dimensions", make.real(3), make.real(3)),
        bad(RuntimeError, r"input.size\(-2\) should match", make.real(2, 3), make.real(3, 1)),
        bad(RuntimeError, "same dtype", make.real(2, 3), make.complex(2, 1)),
        bad(RuntimeError, "float and double", *[make.integers(0, 5, 2, 2)] * 2),
        bad(RuntimeError, "should be one of", make.real(2, 3), make.real(2, 1), driver="no"),
    ],
    waits=True,
    batched=False,
    departs={"node": "the pseudoinverse, multiplied"},
)
def lstsq(
    input: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> LstsqResult:
    """The X of least norm among those for which |input @ X - b| is least.

    It is the pseudoinverse of `input` times `b`, for all drivers, whose names only say what else is
    returned.

    Args:
        input: `(*, m, n)`, float32, float64 or complex.
        b: `(*, m, k)`, of the same dtype, or vectors `(m,)` or `(*, m)`.
        rcond: which singular values are taken for 0, in units of the largest; eps * max(m, n) by
            default.
        driver: `"gelsy"` (the default), `"gels"`, `"gelsd"` or `"gelss"`.

    Returns:
        `(solution, residuals, rank, singular_values)`: `(*, n, k)`, or as `b` for vectors; the
        sums of |input @ X - b|**2 over the rows, `(*, k)`, where m > n, all ranks are n, and the
        driver is not `"gelsy"`; the ranks, int64 `(*)`, but for `"gels"`; the singular values, for
        `"gelsd"` and `"gelss"`. What is not returned is empty.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: of integers or float16, or the dtypes differ.
        ArgumentError: there is no such driver.
    """
    name = "torch.linalg.lstsq"
    a, b = tensor_of(name, input), tensor_of(name, b)
    if len(a._shape) < 2:
        raise ShapeError(f"{name}: input must have at least 2 dimensions.")
    if not b._shape:
        raise ShapeError(f"{name}: other must have at least 1 dimension.")
    alike(name, a, b, "input and other")
    if not a._type.recordable:
        raise DTypeError("This function doesn't handle types other than float and double")
    matrices(name, a)
    if driver is not None and driver not in _DRIVERS:
        raise ArgumentError(
            f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    driver = driver or "gelsy"
    vector = len(b._shape) == 1 or (
        len(b._shape) == len(a._shape) - 1 and b._shape == a._shape[:-1]
    )
    if vector:
        b = b.unsqueeze(-1)
    m, n = a._shape[-2:]
    if b._shape[-2] != m:
        raise ShapeError(f"{name}: input.size(-2) should match other.size(-2)")
    fit(name, a._shape[:-2], b._shape[:-2])
    x = matmul(_pseudoinverse(a, None, None if driver == "gels" else rcond, False), b)

    fixed = a.detach()
    none = fixed.real.new_empty(0)
    s, rank = none, fixed.new_empty(0, dtype=dtypes.int64)
    if driver != "gels":
        found = singular_values(fixed)
        largest = amax(found, -1, True) if min(m, n) else found.sum(-1, True)
        _, relative = tolerances(name, fixed, None, rcond)
        rank = (found > relative * largest).sum(-1)
        if driver != "gelsy":
            s = found
    residuals = (a.reshape(-1)[:0] + b.reshape(-1)[:0]).real
    if m > n and (driver == "gels" or (driver != "gelsy" and bool((rank == n).all()))):
        residuals = recorded.absolute(matmul(a, x) - b).square().sum(-2)
    return LstsqResult(x.squeeze(-1) if vector else x, residuals, rank, s)
