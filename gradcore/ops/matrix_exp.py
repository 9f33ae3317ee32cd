"""The exponential of matrices."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ..batching.readings import leading
from ..device import Array
from ..mode import quiet
from ..op import primitive, public
from ..samples import bad, sample
from ..tensor import Tensor
from .matrices import adjoint, identity, square

__all__ = ["matrix_exp"]

_TERMS: Final = tuple([1 / math.factorial(n) for n in range(17)])
_BOUND: Final = 0.78
"""The norm up to which the terms of the series left out are below the precision of float64."""


def _series(xp: Any, x: Array) -> Array:
    """The first 17 terms of the series, by seven products (Paterson and Stockmeyer)."""
    one = identity(xp, x.shape[-1], x)
    second = x @ x
    third = second @ x
    fourth = second @ second

    def part(n: int) -> Array:
        return _TERMS[n] * one + _TERMS[n + 1] * x + _TERMS[n + 2] * second + _TERMS[n + 3] * third

    y = part(12) + _TERMS[16] * fourth
    for n in (8, 4, 0):
        y = y @ fourth + part(n)
    return y


def _exp_forward(xp: Any, x: Array) -> Array:
    if not x.size:
        return xp.zeros(x.shape, x)
    module = xp.module
    with quiet():
        norm = abs(x).sum(-2).max(-1)
        norm = module.where(module.isfinite(norm), norm, 0.0)
        halvings = module.ceil(module.log2(module.maximum(norm / _BOUND, 1.0)))
        y = _series(xp, x * module.exp2(-halvings).astype(norm.dtype)[..., None, None])
        times = int(halvings.max())
        for n in range(times):
            squared = y @ y
            if halvings.ndim:  # each matrix is squared as often as it was halved
                squared = module.where((n < halvings)[..., None, None], squared, y)
            y = squared
    return y


def _differential(xp: Any, x: Any, t: Any) -> Any:
    """The derivative at `x` along `t`: the upper right block of the exponential of both."""
    n = x.shape[-1]
    upper = xp.concatenate([x, t], -1)
    lower = xp.concatenate([xp.zeros(x.shape, x), x], -1)
    y = xp.apply(_exp, xp.concatenate([upper, lower], -2))
    return xp.getitem(y, (Ellipsis, slice(0, n), slice(n, None)))


_exp = primitive(
    "linalg_matrix_exp",
    _exp_forward,
    lambda xp, g, x: _differential(xp, adjoint(xp, x), g),
    jvp=lambda xp, x, t_x: _differential(xp, x, t_x),
    batching=leading,
)


@public(
    methods=("matrix_exp",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 2, 2) * np.array([4.0, 0.1]).reshape(2, 1, 1)),
        sample(make.complex(2, 2)),
        sample(make.real(1, 1)),
        sample(make.real(0, 0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "A must be batches of square matrices", make.real(2, 3)),
        bad(RuntimeError, "must have at least 2 dimensions", make.real(3)),
        bad(RuntimeError, "Expected a floating point.*Got Long", make.integers(1, 3, 2, 2)),
    ],
    waits=True,
    departs={"refuses: float16": "PyTorch's overflows for all matrices"},
)
def matrix_exp(input: Tensor) -> Tensor:
    r"""The exponential of square matrices, \(\sum_n A^n / n!\).

    It is the series of the matrix halved until its norm is small, squared as often. The derivative
    along T is a block of the exponential of a matrix twice as large; the gradient is that at the
    adjoint matrix. On a CUDA device the host waits, to know how often to square.

    Args:
        input: `(*, n, n)`, float32, float64 or complex.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: of integers or float16.

    Reference:
        Higham (2008), "Functions of matrices", chapters 3 and 10.
    """
    return _exp(square("linalg.matrix_exp", input))
