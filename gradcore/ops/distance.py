"""Distances between all pairs of points."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import primitive, public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor
from .matrices import alike, fit

__all__ = ["cdist"]

_AT_ONCE: Final = 1 << 18
"""Differences up to which all coordinates are dealt with at once, and else one after the other."""


def _coordinates(xp: Any, a: Any, b: Any) -> Iterator[Any]:
    """The differences of all pairs: one array `(*, n, m, k)`, or k arrays `(*, n, m, 1)`.

    Where there are many, the arrays of all coordinates would not stay in the cache.
    """
    if not _many(a, b) or a.shape[-1] < 2:
        yield xp.expand_dims(a, -2) - xp.expand_dims(b, -3)
        return
    for k in range(a.shape[-1]):
        one = slice(k, k + 1)
        x, y = xp.getitem(a, (..., one)), xp.getitem(b, (..., one))
        # The negative is a copy without gaps, along which the sum goes fast.
        yield xp.expand_dims(x, -2) + xp.expand_dims(-y, -3)


def _power(xp: Any, d: Array, p: float) -> Array:
    """|d|**p, or |d| for p = inf, in the memory of `d` where that will do."""
    if p == 0.0:
        return (d != 0).astype(d.dtype)
    if p == 2.0:
        return xp.multiply(d, d, out=d)
    size = xp.absolute(d, out=d)
    return size if p in (1.0, math.inf) else size**p


def _from_products(xp: Any, a: Array, b: Array) -> Array:
    """|x|^2 + |y|^2 - 2 x y as one product of matrices."""
    squares = [(x * x).sum(axis=-1, keepdims=True) for x in (a, b)]
    ones = [xp.module.ones_like(s) for s in squares]
    left = xp.concatenate((-2 * a, squares[0], ones[0]), -1)
    right = xp.concatenate((b, ones[1], squares[1]), -1)
    y = xp.matmul(left, xp.matrix_transpose(right))
    return xp.sqrt(xp.module.maximum(y, 0, out=y))


def _forward(xp: Any, a: Array, b: Array, p: float, products: bool) -> Array:
    if products:
        return _from_products(xp, a, b)
    total: Any = None
    for d in _coordinates(xp, a, b):
        part = _power(xp, d, p)
        if part.shape[-1] == 1:
            part = part[..., 0]
        else:
            part = part.max(axis=-1) if p == math.inf and part.size else part.sum(axis=-1)
        if total is None:
            total = part
        elif p == math.inf:
            total = xp.maximum(total, part)
        else:
            total += part
    if p in (0.0, 1.0, math.inf):
        return total
    return xp.sqrt(total) if p == 2.0 else total ** (1.0 / p)


def _weights(xp: Any, g: Any, y: Any, d: Any, p: float) -> Any:
    """The cotangents of the differences `d`, where `g` and `y` have a last dimension too.

    Those of two points in one place are 0, and so are their derivatives.
    """
    if p == 1.0:
        return xp.sign(d) * g
    size = xp.absolute(d)
    if p == math.inf:
        return xp.keep(xp.sign(d) * g, size == y)
    if p < 2.0:
        # At 0 the power, or its derivative, is infinite; the sign is to win.
        size = xp.where(size == 0, 1.0, size)
    powers = (size / xp.where(y == 0, 1.0, y)) ** (p - 1.0)
    return xp.sign(d) * (powers * xp.where(y == 0, 0.0, g))


def _rule(
    xp: Any,
    g: Any,
    y: Any,
    a: Any,
    b: Any,
    a_shape: Any,
    b_shape: Any,
    p: float,
    products: bool,
    wanted: tuple[bool, ...],
) -> Any:
    if p == 0.0:
        return [xp.zeros(a_shape, a), xp.zeros(b_shape, b)]
    if p == 2.0 and (products or _many(a, b)):
        # The sum over j of w_ij (a_i - b_j), and no array of differences.
        w = g / xp.where(y == 0, math.inf, y)
        found: list[Any] = [None, None]
        if wanted[0]:
            found[0] = xp.sum_to(a * xp.sum(w, -1, keepdims=True) - xp.matmul(w, b), a_shape)
        if wanted[1]:
            w = xp.matrix_transpose(w)
            found[1] = xp.sum_to(b * xp.sum(w, -1, keepdims=True) - xp.matmul(w, a), b_shape)
        return found
    g, y = xp.expand_dims(g, -1), xp.expand_dims(y, -1)
    w = g / xp.where(y == 0, math.inf, y) if p == 2.0 else None
    sums: tuple[list[Any], list[Any]] = ([], [])
    for d in _coordinates(xp, a, b):
        part = _weights(xp, g, y, d, p) if w is None else d * w
        for number, axis in enumerate((-2, -3)):
            if wanted[number]:
                sums[number].append(xp.sum(part, axis))
    found = [None, None]
    for number, shape in enumerate((a_shape, b_shape)):
        if wanted[number]:
            parts = sums[number]
            total = parts[0] if len(parts) == 1 else xp.concatenate(parts, -1)
            found[number] = xp.sum_to(-total if number else total, shape)
    return found


def _many(a: Any, b: Any) -> bool:
    return int(math.prod(a.shape) * b.shape[-2]) > _AT_ONCE


_cdist = primitive("cdist", _forward, joint=_rule, inputs=2, batching=leading)

_MODES: Final = {
    "use_mm_for_euclid_dist_if_necessary": None,
    "use_mm_for_euclid_dist": True,
    "donot_use_mm_for_euclid_dist": False,
}


@public(
    samples=lambda make: [
        sample(make.real(2, 3), make.real(4, 3)),
        sample(make.real(2, 3), make.real(2, 2, 3), p=1.0),
        sample(make.real(2, 1, 2, 2), make.real(2, 2, 2), p=3.0),
        sample(make.real(2, 3), make.real(3, 3), p=math.inf),
        sample(make.real(2, 3), make.real(3, 3), p=0.0),
        sample(make.real(2, 3), make.real(2, 3), p=0.5),
        sample(make.real(2, 3), make.real(3, 3), compute_mode="use_mm_for_euclid_dist"),
        sample(make.real(2, 0), make.real(3, 0)),
        sample(make.real(0, 2), make.real(3, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least 2D tensors, X1 got: 1D", make.real(3), make.real(2, 3)),
        bad(RuntimeError, "same number of columns", make.real(2, 3), make.real(2, 2)),
        bad(RuntimeError, "non-negative p values", make.real(2, 3), make.real(2, 3), p=-1),
        bad(ValueError, "not a valid value for comp", *[make.real(2, 3)] * 2, compute_mode="no"),
        bad(RuntimeError, "X1 got: Long", *[make.integers(0, 5, 2, 3)] * 2),
        bad(RuntimeError, "size of tensor a", make.real(2, 2, 3), make.real(3, 2, 3)),
    ],
    kind="primitive",
    departs={
        "node": "one node, where PyTorch has views of it or products",
        "derivative": "PyTorch has no second derivative but by products",
    },
)
def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """The p-norms of the differences of all pairs of rows.

    But for p = 2 many points are gone through coordinate by coordinate, in several passes: for
    p = 1 and inf it takes three times as long as PyTorch, for other p a quarter of that.

    Args:
        x1: `(*, n, k)`, floating point.
        x2: `(*, m, k)`, of the same dtype; the dimensions before broadcast.
        p: the order of the norm, from 0 (how many coordinates differ) to inf.
        compute_mode: whether for p = 2 the squares come from a product of matrices, which is
            faster, and inexact for points much closer to one another than to 0:
            `"use_mm_for_euclid_dist_if_necessary"` (for more than 25 rows),
            `"use_mm_for_euclid_dist"` or `"donot_use_mm_for_euclid_dist"`.

    Returns:
        `(*, n, m)`. The gradient is 0 where two points coincide, and for p = 0; for p = inf all
        coordinates that attain the largest difference get it.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: `p` is negative, or there is no such mode.
        DTypeError: not floating point, or the dtypes differ.
    """
    a, b = tensor_of("cdist", x1), tensor_of("cdist", x2)
    if compute_mode not in _MODES:
        raise ArgumentError(f"{compute_mode} is not a valid value for compute_mode")
    for number, t in ((1, a), (2, b)):
        if not t._type.dtype.is_floating_point:
            raise DTypeError(
                f"cdist only supports floating-point dtypes, X{number} got: {t._type.dtype.label}"
            )
        if len(t._shape) < 2:
            raise ShapeError(
                f"cdist only supports at least 2D tensors, X{number} got: {len(t._shape)}D"
            )
    if a._shape[-1] != b._shape[-1]:
        raise ShapeError(
            f"X1 and X2 must have the same number of columns. X1: {a._shape[-1]} X2: {b._shape[-1]}"
        )
    if p < 0:
        raise ArgumentError("cdist only supports non-negative p values")
    alike("cdist", a, b, "X1 and X2")
    fit("cdist", a._shape[:-2], b._shape[:-2])
    products = _MODES[compute_mode]
    if products is None:
        products = max(a._shape[-2], b._shape[-2]) > 25
    return _cdist(a, b, float(p), products and p == 2.0)


# the pairs of one set ----------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def _pairs(n: int) -> tuple[Any, Any]:
    """Where in the flat n by n matrix each pair is, and for each of its elements which pair."""
    rows, columns = np.triu_indices(n, 1)
    which = np.zeros((n, n), np.int64)
    which[rows, columns] = which[columns, rows] = np.arange(len(rows))
    return rows * n + columns, which


def _pdist_forward(xp: Any, x: Array, p: float) -> Array:
    n = x.shape[-2]
    y = _forward(xp, x, x, p, False)
    return y.reshape((*x.shape[:-2], n * n))[..., xp.module.asarray(_pairs(n)[0])]


def _pdist_rule(xp: Any, g: Any, y: Any, x: Any, x_shape: Any, p: float) -> Any:
    if x_shape[-2] < 2:
        return xp.zeros(x_shape, x)
    # The matrix of both is symmetric, so that its rows say all; a diagonal of differences is 0.
    index = (..., _pairs(x_shape[-2])[1])
    g, y = xp.getitem(g, index), xp.getitem(y, index)
    return _rule(xp, g, y, x, x, x_shape, x_shape, p, False, (True, False))[0]


_pdist = primitive("pdist", _pdist_forward, _pdist_rule, batching=leading)


@public(
    path="nn.functional.pdist",
    samples=lambda make: [
        sample(make.real(4, 3)),
        sample(make.real(3, 2), p=1.0),
        sample(make.real(3, 2), math.inf),
        sample(make.real(3, 2), 1.5),
        sample(make.real(1, 2)),
        sample(make.real(2, 0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "only supports 2D tensors, got: 1D", make.real(3)),
        bad(RuntimeError, "non-negative p values", make.real(2, 3), -1.0),
        bad(RuntimeError, "floating-point dtypes", make.integers(0, 5, 2, 3)),
    ],
    departs={"derivative": "PyTorch has no second derivative but by products"},
)
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of each pair of rows: the upper triangle of `cdist`.

    Each pair is computed both ways round, coordinate by coordinate where there are many: for p = 1
    and 2 it takes over ten times as long as PyTorch.

    Args:
        input: `(n, k)`, floating point.
        p: the order of the norm, from 0 to inf.

    Returns:
        `(n * (n - 1) / 2,)`, row after row of the triangle above the diagonal; gradients as for
        `cdist`.

    Raises:
        ShapeError: `input` is no matrix.
        ArgumentError: `p` is negative.
        DTypeError: not floating point.
    """
    x = tensor_of("pdist", input)
    if len(x._shape) != 2:
        raise ShapeError(f"pdist only supports 2D tensors, got: {len(x._shape)}D")
    if not x._type.dtype.is_floating_point:
        raise DTypeError(f"pdist only supports floating-point dtypes, not {x.dtype}.")
    if p < 0:
        raise ArgumentError("pdist only supports non-negative p values")
    return _pdist(x, float(p))
