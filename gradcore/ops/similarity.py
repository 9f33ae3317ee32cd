"""Distances and angles between pairs of vectors."""

from __future__ import annotations

from ..errors import DTypeError
from ..op import promote, public
from ..samples import bad, sample
from ..tensor import Tensor, canonical_dim
from .norm import norm
from .pointwise import clamp_min
from .shape import common_shape, expand

__all__ = ["cosine_similarity", "pairwise_distance"]


@public(
    path="nn.functional.pairwise_distance",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 3)),
        sample(make.real(2, 1, 3), make.real(4, 3), 1.0, keepdim=True),
        sample(make.real(3), make.real(2, 3), p=3.0, eps=0.0),
        sample(make.real(3), make.real(2, 3), keepdims=True),
        sample(make.real(0, 3), make.real(3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must match the size", make.real(2, 3), make.real(2, 4)),
    ],
    departs={"node": "composite"},
)
def pairwise_distance(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    eps: float = 1e-6,
    keepdim: bool = False,
    *,
    keepdims: bool | None = None,
) -> Tensor:
    """The norm of x1 - x2 + eps along the last dimension.

    Args:
        x1: `(*, n)`.
        x2: `(*, n)`; they broadcast.
        p: the order of the norm.
        eps: added to each difference.
        keepdim: whether the last dimension is kept, with length 1.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        `(*)` or `(*, 1)`.
    """
    a, b = promote("pairwise_distance", x1, x2)
    return norm(a - b + eps, p, -1, keepdim if keepdims is None else keepdims)


@public(
    path="nn.functional.cosine_similarity",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 3)),
        sample(make.real(2, 1, 3), make.real(4, 3), -1),
        sample(make.real(3), make.real(3), dim=0),
        sample(make.real(2, 3), make.real(2, 3), axis=0),
        sample(make.real(0, 3), make.real(0, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "expected common dtype", make.integers(0, 2, 2), make.integers(0, 2, 2)),
        bad(IndexError, "Dimension out of range", make.real(2), make.real(2), 1),
        bad(RuntimeError, "must match the size", make.real(2, 3), make.real(2, 4)),
    ],
)
def cosine_similarity(
    x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8, *, axis: int | None = None
) -> Tensor:
    """The cosine of the angle between vectors along a dimension.

    Args:
        x1: `(*, n, *)`.
        x2: `(*, n, *)`; they broadcast.
        dim: the dimension of the vectors, after broadcasting.
        eps: the least length that a vector is divided by; its derivative is that of the length.
        axis: NumPy's name for `dim`.

    Returns:
        `(*, *)`, in [-1, 1].

    Raises:
        DTypeError: both are integers, or one is complex.
        DimensionError: there is no such dimension.
    """
    pair = promote("cosine_similarity", x1, x2)
    if not pair[0].dtype.is_floating_point:
        raise DTypeError(f"expected common dtype to be floating point, not {pair[0].dtype}.")
    shape = common_shape("cosine_similarity", pair)
    dim = canonical_dim(dim if axis is None else axis, len(shape))
    a, b = (_unit(expand(x, shape), dim, eps) for x in pair)
    return (a * b).sum(dim)


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    size = norm(x, 2, dim, True)
    fixed = size.detach()
    return x / (size + (clamp_min(fixed, eps) - fixed))
