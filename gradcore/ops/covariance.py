"""Covariances and coefficients of correlation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import promote, public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor
from .matrices import inexact
from .product import matmul
from .shape import cat

__all__ = ["corrcoef", "cov"]


def _checked(name: str, input: Any) -> Tensor:
    x = tensor_of(name, input)
    if len(x._shape) > 2:
        raise ShapeError(
            f"{name}(): expected input to have two or fewer dimensions but got an input with "
            f"{len(x._shape)} dimensions"
        )
    if x._type.dtype.label == "Bool":
        raise DTypeError(f"{name}(): bool dtype is not supported for input")
    return x


def _check_weights(name: str, w: Tensor, count: int) -> None:
    if len(w._shape) > 1:
        raise ShapeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
            f"{len(w._shape)} dimensions"
        )
    wrong = w._type.dtype.is_inexact or w._type.dtype.label == "Bool"
    if name == "aweights":
        wrong = not w._type.dtype.is_floating_point
    if wrong:
        kind = "floating point" if name == "aweights" else "integral"
        raise DTypeError(
            f"cov(): expected {name} to have {kind} dtype but got {name} with "
            f"{w._type.dtype.label} dtype"
        )
    if w.numel() != count:
        raise ShapeError(
            f"cov(): expected {name} to have the same numel as there are observations in the "
            f"input but got {w.numel()} != {count}"
        )
    if bool((w < 0).any()):
        raise ArgumentError(f"cov(): {name} cannot be negative")


def _covariance(
    x: Tensor, correction: Any, fweights: Tensor | None, aweights: Tensor | None
) -> Tensor:
    """The covariances of the rows of `x`, of at most two dimensions."""
    x = x.reshape(1, -1) if len(x._shape) < 2 else x
    count = x._shape[1]
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is not None:
            _check_weights(name, w, count)
    x = inexact(x)
    if fweights is None:
        weights = aweights
    else:
        weights = fweights if aweights is None else fweights * aweights
    if weights is None:
        divisor: Any = count - correction
        mean = x.mean(1, keepdim=True)
    else:
        total = weights.sum()
        if not bool(total != 0):
            raise ArgumentError("cov(): weights sum to zero, can't be normalized")
        mean = (x * weights).sum(1, keepdim=True) / total
        if aweights is not None and correction:
            correction = correction * (weights * aweights).sum() / total
        divisor = total - correction
    if not bool(divisor > 0):
        warnings.warn(
            "cov(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "number of observations.",
            stacklevel=3,
        )
        divisor = 0 * divisor
    centred = x - mean
    weighted = centred if weights is None else centred * weights
    y: Tensor = matmul(centred, weighted.mH) / divisor
    return y.squeeze()


def _numpy_cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Tensor:
    rows = _numpy_rows(m, y, rowvar)
    correction = ddof if ddof is not None else int(not bias)
    return cov(rows, correction=correction, fweights=fweights, aweights=aweights)


def _numpy_rows(x: Any, y: Any, rowvar: bool) -> Tensor:
    parts = promote("cov", *([x] if y is None else [x, y]))
    parts = [t.reshape(1, -1) if t.ndim < 2 else t if rowvar else t.mT for t in parts]
    return parts[0] if len(parts) == 1 else cat(parts)


@public(
    methods=("cov",),
    numpy={"cov": _numpy_cov},
    samples=lambda make: [
        sample(make.real(2, 4)),
        sample(make.real(4), correction=0),
        sample(make.complex(2, 3)),
        sample(make.real(2, 3), fweights=np.array([1, 2, 1])),
        sample(make.real(2, 3), aweights=np.array([0.5, 2.0, 1.0])),
        sample(
            make.real(2, 3),
            correction=1,
            fweights=np.array([1, 0, 2]),
            aweights=np.array([0.5, 2.0, 1.0]),
        ),
    ],
    errors=lambda make: [
        bad(RuntimeError, "two or fewer dimensions", make.real(2, 2, 2)),
        bad(RuntimeError, "bool dtype", make.boolean(2, 2)),
        bad(
            RuntimeError, "fweights to have integral dtype", make.real(2, 3), fweights=make.real(3)
        ),
        bad(
            RuntimeError,
            "aweights to have floating point dtype",
            make.real(2, 3),
            aweights=np.array([1, 2, 3]),
        ),
        bad(RuntimeError, "aweights cannot be negative", make.real(2, 3), aweights=-np.ones(3)),
        bad(RuntimeError, "but got 2 != 3", make.real(2, 3), fweights=np.array([1, 2])),
        bad(RuntimeError, "weights sum to zero", make.real(2, 3), aweights=np.zeros(3)),
    ],
    waits=True,
    batched=False,
    departs={"node": "composite"},
)
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """The covariances of variables, the rows, over observations, the columns.

    Args:
        input: `(n, k)`, or one variable `(k,)`; complex numbers are conjugated on the right.
        correction: what is taken from the number of observations in the divisor.
        fweights: how often each observation is counted, integers `(k,)`.
        aweights: how much each observation weighs, floating point `(k,)`. Weights are looked at:
            on a CUDA device the host waits.

    Returns:
        `(n, n)`; of one variable its variance, 0-d.

    Raises:
        ShapeError: more than two dimensions, or weights of another length.
        DTypeError: of bools, or weights of the wrong kind.
        ArgumentError: weights are negative, or add up to 0.
    """
    return _covariance(_checked("cov", input), correction, fweights, aweights)


def _numpy_corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Tensor:
    return corrcoef(_numpy_rows(x, y, rowvar))


@public(
    methods=("corrcoef",),
    numpy={"corrcoef": _numpy_corrcoef},
    samples=lambda make: [
        sample(make.real(3, 4)),
        sample(make.real(4)),
        sample(make.complex(2, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"corrcoef\(\): expected input to have two", make.real(2, 2, 2)),
        bad(RuntimeError, "bool dtype", make.boolean(2, 2)),
    ],
    departs={"node": "composite"},
)
def corrcoef(input: Tensor) -> Tensor:
    """Pearson's coefficients of correlation of variables, the rows, over observations.

    Args:
        input: `(n, k)`, or one variable `(k,)`.

    Returns:
        `(n, n)`, with real and imaginary parts limited to [-1, 1]; nan for a variable that is
        constant; of one variable 1, 0-d.

    Raises:
        ShapeError: more than two dimensions.
        DTypeError: of bools.
    """
    c = _covariance(_checked("corrcoef", input), 1, None, None)
    if not c._shape:
        return c / c
    d = c.diagonal()
    scale = (d.real if c._type.dtype.is_complex else d).sqrt()
    y = c / scale.unsqueeze(-1) / scale.unsqueeze(-2)
    if not y._type.dtype.is_complex:
        return y.clamp(-1, 1)
    return y.real.clamp(-1, 1) + 1j * y.imag.clamp(-1, 1)
