"""Gaussian elimination of square arrays: factors, and what is made of them; singular matrices.

Large matrices on the host are factored by SciPy, once: derivatives are made of the same factors.
NumPy has no such function, and eliminates again for each result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..device import Array
from ..errors import LinAlgError
from ..mode import quiet
from .matrices import COMPLEX, adjoint, scipy_routine

__all__: list[str] = []

_COLUMNS: Final = 64
"""Columns that LAPACK changes at once where it is given memory for them."""


def factors(xp: Any, a: Array) -> tuple[Array, Array]:
    """The LU decompositions of large matrices on the host, where SciPy is there; else empty ones.

    Returns:
        `(lu, pivots)`: `(*, n, n)`, of which each transpose is the decomposition of the transposed
        matrix, as LAPACK returns it, since Fortran's memory is that; and int32 `(*, 1, n)`, from 0.
    """
    batch, n = a.shape[:-2], a.shape[-1]
    routine = scipy_routine("getrf", a.dtype, n) if xp.module is np else None
    if routine is None:
        return xp.zeros((*batch, 0, 0), a), xp.module.zeros((*batch, 1, 0), np.int32)
    lu, pivots = np.array(a, order="C"), np.empty((*batch, 1, n), np.int32)
    for place in np.ndindex(*batch):
        found, pivots[(*place, 0)], _ = routine(lu[place].T, overwrite_a=1)
        lu[place] = found.T
    return lu, pivots


def in_one_batch(xp: Any, *arrays: Array) -> list[Array]:
    """Matrices with the dimensions before them broadcast."""
    batches = {v.shape[:-2] for v in arrays}
    if len(batches) == 1:
        return list(arrays)
    batch = np.broadcast_shapes(*batches)
    return [xp.broadcast_to(v, (*batch, *v.shape[-2:])) for v in arrays]


def log_determinants(xp: Any, a: Array, lu: Array, pivots: Array) -> tuple[Array, Array]:
    """The signs of the determinants and the logarithms of their absolute values."""
    with quiet():
        if not lu.shape[-1]:
            sign, size = xp.module.linalg.slogdet(a)
            return sign, size
        pivot = np.diagonal(lu, 0, -2, -1)
        sign = np.sign(pivot).prod(-1)
        exchanges = (pivots[..., 0, :] != np.arange(lu.shape[-1])).sum(-1)
        return np.where(exchanges % 2, -sign, sign), np.log(np.abs(pivot)).sum(-1)


def determinants(xp: Any, a: Array, lu: Array, pivots: Array) -> Array:
    """The determinants."""
    with quiet():
        if not lu.shape[-1]:
            return xp.module.linalg.det(a)
        sign, size = log_determinants(xp, a, lu, pivots)
        return sign * np.exp(size)


def inverses(xp: Any, a: Array, lu: Array, pivots: Array, name: str = "") -> Array:
    """The inverses, not finite where there is none; or the function `name` refuses these."""
    n = lu.shape[-1]
    if not n:
        return _attempt(xp, lambda a: _inverse(xp, a), a, name)
    y = np.empty(lu.shape, lu.dtype)
    routine = scipy_routine("getri", lu.dtype, n)
    for place in np.ndindex(*y.shape[:-2]):
        found, info = routine(lu[place].T, pivots[(*place, 0)], lwork=_COLUMNS * n)
        y[place] = math.nan if info else found.T
    return _regular(xp, a, y, name)


def solutions(
    xp: Any, a: Array, b: Array, lu: Array, pivots: Array, adjoints: bool, name: str = ""
) -> Array:
    """The X of `a @ X = b`, or with `adjoints` of `a.mH @ X = b`; `name` as for `inverses`.

    The dimensions before the matrices broadcast.
    """
    a, b, lu, pivots = in_one_batch(xp, a, b, lu, pivots)
    if not b.size:
        return xp.zeros(b.shape, b)
    if not lu.shape[-1]:
        a = adjoint(xp, a) if adjoints else a
        return _attempt(xp, lambda a: xp.module.linalg.solve(a, b), a, name)
    y = np.empty(b.shape, b.dtype)
    routine = scipy_routine("getrs", lu.dtype, lu.shape[-1])
    conjugated = adjoints and b.dtype in COMPLEX
    for place in np.ndindex(*b.shape[:-2]):
        right = b[place].conj() if conjugated else b[place]
        y[place], _ = routine(lu[place].T, pivots[(*place, 0)], right, trans=not adjoints)
    if conjugated:
        np.conj(y, out=y)
    y[(np.diagonal(lu, 0, -2, -1) == 0).any(-1)] = math.nan
    return _regular(xp, a, y, name)


# singular matrices -----------------------------------------------------------------------------

_WORDS: Final = {
    "linalg.solve": "The solver failed because the input matrix is singular.",
    "linalg.inv": (
        "The diagonal element {} is zero, the inversion could not be completed because the input "
        "matrix is singular."
    ),
}


def is_singular(xp: Any, a: Array) -> Array:
    """Per matrix, whether its elimination ends at a pivot that is 0."""
    return xp.module.asarray(log_determinants(xp, a, *factors(xp, a))[0] == 0)


def zero_pivots(xp: Any, a: Array) -> np.ndarray[Any, Any]:
    """Per matrix, on the host, the number, from 1, of its first pivot that is 0; 0 if none is."""
    found = np.zeros(a.shape[:-2], np.int32)
    rows = _host(xp, a).reshape((-1, *a.shape[-2:]))
    for which in np.flatnonzero(_host(xp, is_singular(xp, a))):
        found.reshape(-1)[which] = _zero_pivot(rows[which])
    return found


def _zero_pivot(a: np.ndarray[Any, Any]) -> int:
    a = a.copy()
    n = len(a)
    for k in range(n):
        largest = k + int(np.argmax(np.abs(a[k:, k])))
        if a[largest, k] == 0:
            return k + 1
        a[[k, largest]] = a[[largest, k]]
        a[k + 1 :, k:] -= np.outer(a[k + 1 :, k] / a[k, k], a[k, k:])
    return n  # what rounds to 0 in one order of the rows may not in another


def _host(xp: Any, array: Array) -> np.ndarray[Any, Any]:
    return array if xp.module is np else array.get()  # type: ignore[no-any-return]


def _refuse(xp: Any, a: Array, name: str) -> None:
    """Raise if a matrix is singular."""
    singular = _host(xp, is_singular(xp, a))
    if not singular.any():
        return  # nan or infinite
    which = int(np.argmax(singular.reshape(-1)))
    pivot = _zero_pivot(_host(xp, a.reshape((-1, *a.shape[-2:]))[which]))
    start = f"{name}: " if a.ndim == 2 else f"{name}: (Batch element {which}): "
    raise LinAlgError(start + _WORDS[name.removesuffix("_ex")].format(pivot))


def _regular(xp: Any, a: Array, y: Array, name: str) -> Array:
    """`y`, of what divides by the pivots of `a` and says nothing; with a `name` it is refused."""
    if name and not bool(xp.isfinite(y).all()):
        _refuse(xp, a, name)
    return y


def _attempt(xp: Any, run: Callable[[Array], Array], a: Array, name: str) -> Array:
    """`run(a)`, which NumPy refuses for singular matrices; without a `name` it is nan of these."""
    try:
        y = run(a)
    except np.linalg.LinAlgError:
        if name:
            _refuse(xp, a, name)
        singular = is_singular(xp, a)[..., None, None]
        y = run(np.where(singular, np.eye(a.shape[-1], dtype=a.dtype), a))
        return np.where(singular, y.dtype.type(math.nan), y)
    return y if xp.module is np else _regular(xp, a, y, name)


def _inverse(xp: Any, a: Array) -> Array:
    if xp.module is np or not a.size:
        return xp.module.linalg.inv(a)
    # Of a singular matrix in a batch cuBLAS's inverse is anything; a solution is not finite.
    one = xp.broadcast_to(xp.module.eye(a.shape[-1], dtype=a.dtype), a.shape)
    return xp.module.linalg.solve(a, one)
