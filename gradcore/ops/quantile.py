"""Quantiles: elements of ranks between those of a Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..op import public, recorded, tensor_of
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim, wrap
from .index import take_along_dim
from .order import sort
from .pointwise import maximum, where
from .reduction import kept_shape
from .shape import expand, movedim, reshape

__all__ = ["nanquantile", "quantile"]

_MODES: Final = ("linear", "lower", "higher", "midpoint", "nearest")


def _as_quantiles_need(x: Any) -> Any:
    """Integers as the default dtype, which NumPy's quantiles take."""
    if isinstance(x, Tensor) and not x._type.recordable:
        return x.to(dtypes.get_default_dtype())
    return x


def _quantile(
    name: str, input: Any, q: Any, dim: Any, keepdim: bool, interpolation: str, ignore_nan: bool
) -> Tensor:
    x = tensor_of(name, input)
    dtype = x._type.dtype
    if dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError(
            f"{name}() input tensor must be either float or double dtype, and this is {dtype}."
        )
    if interpolation not in _MODES:
        raise ArgumentError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    if 0 in x._shape:
        raise ShapeError(f"{name}() input tensor must be non-empty")
    ranks = _as_probabilities(name, q, x)
    if dim is None:
        kept: tuple[int, ...] = (1,) * len(x._shape)
        x = reshape(x, (-1,))
    else:
        d = canonical_dim(dim, len(x._shape))
        kept = kept_shape(x._shape, (d,)) if x._shape else ()
        x = movedim(x, d, -1) if x._shape else reshape(x, (1,))
    *lead, n = x._shape
    found = sort(x).values
    missing = recorded.isnan(found)
    if ignore_nan:
        count = recorded.sum(~missing, axis=-1, keepdims=True)
        ranks = ranks * maximum(count - 1, 0).to(dtype)
    else:
        # The rank of a nan, which stands last.
        ranks = where(missing[..., -1:], float(n - 1), ranks * float(n - 1))
    many = ranks._shape[-1:] if getattr(q, "ndim", 0) else ()
    ranks = expand(ranks, (*lead, ranks._shape[-1]))
    y = _at_ranks(found, ranks, interpolation)
    shape = kept if keepdim else tuple(lead)
    quantiles: Tensor = reshape(movedim(y, -1, 0), (*many, *shape))
    return quantiles


def _as_probabilities(name: str, q: Any, x: Tensor) -> Tensor:
    """The argument `q` as a vector of the dtype and on the device of `x`.

    Raises:
        ArgumentError: one is not in [0, 1]; those of Tensors on a device are not looked at.
        ShapeError: it has more dimensions than one.
        DTypeError: it is a Tensor of another dtype.
    """
    if not isinstance(q, Tensor):
        if not isinstance(q, int | float | np.generic | np.ndarray):
            raise ArgumentTypeError(
                f"{name}(): argument 'q' (position 2) must be Tensor, not {type(q).__qualname__}"
            )
        raw = np.asarray(q, x._type.numpy)
        if not ((raw >= 0) & (raw <= 1)).all():
            raise ArgumentError(f"{name}() q must be in the range [0, 1] but got {q}")
        return reshape(wrap(x._type.asarray(raw)), (-1,))
    if q.ndim > 1:
        raise ShapeError(f"{name}() q must be a scalar or 1D tensor, but it is {q.ndim}D.")
    if q._type.dtype is not x._type.dtype:
        raise DTypeError(f"{name}() q tensor must be same dtype as the input tensor")
    on_host = isinstance(q._array, np.ndarray)
    if on_host and not ((q._array >= 0) & (q._array <= 1)).all():
        raise ArgumentError(f"{name}() q values must be in the range [0, 1]")
    return reshape(q, (-1,))


def _at_ranks(found: Tensor, ranks: Tensor, interpolation: str) -> Tensor:
    """What stands at `ranks`, which need not be whole, of the sorted `found`."""
    if interpolation == "lower":
        return _at_places(found, recorded.floor(ranks))
    if interpolation == "higher":
        return _at_places(found, recorded.ceil(ranks))
    if interpolation == "nearest":
        return _at_places(found, recorded.rint(ranks))
    floor = recorded.floor(ranks).detach()
    weight: Any = 0.5 if interpolation == "midpoint" else ranks - floor
    below = _at_places(found, floor)
    above = _at_places(found, recorded.ceil(ranks))
    between: Tensor = below + weight * (above - below)
    return between


def _at_places(found: Tensor, ranks: Tensor) -> Tensor:
    return take_along_dim(found, ranks.detach().to(dtypes.int64), -1)


def _quantile_of_numpy(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def adapter(
        a: Tensor,
        q: Any,
        axis: int | None = None,
        *,
        method: str = "linear",
        keepdims: bool = False,
    ) -> Tensor:
        return function(_as_quantiles_need(a), q, axis, keepdims, interpolation=method)

    return adapter


def _median_of_numpy(q: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def adapter(a: Tensor, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        return q(_as_quantiles_need(a), 0.5, axis, keepdims)

    return adapter


def _quantiles(make: Maker) -> list[Sample]:
    q = np.array([0.1, 0.6, 0.9])
    return [
        sample(make.real(), 0.3),
        sample(make.real(2, 3), 0.25),
        sample(make.real(2, 5), q, 1),
        sample(make.real(4, 2), q, -2, True, interpolation="midpoint"),
        sample(make.real(2, 4), np.array(0.7), axis=0, keepdims=True),
        sample(make.real(2, 4), q, dim=1, interpolation="lower"),
        sample(make.real(2, 4), 0.4, dim=None, keepdim=True, interpolation="higher"),
        sample(make.real(4), q, interpolation="nearest"),
    ]


def _wrong_quantiles(make: Maker) -> list[Any]:
    return [
        bad(RuntimeError, r"must be in the range \[0, 1\]", make.real(2), 1.5),
        bad(RuntimeError, "q values must be in the range", make.real(2), np.array([-1.0])),
        bad(RuntimeError, "either float or double", make.integers(0, 3, 2), 0.5),
        bad(RuntimeError, "must be non-empty", make.real(0), 0.5),
        bad(RuntimeError, "must be one of linear", make.real(2), 0.5, interpolation="cubic"),
        bad(RuntimeError, "scalar or 1D tensor", make.real(2), make.real(1, 1)),
        bad(TypeError, "must be Tensor, not str", make.real(2), "a"),
    ]


@public(
    methods=("quantile",),
    numpy={
        "quantile": _quantile_of_numpy(lambda *a, **k: quantile(*a, **k)),
        "median": _median_of_numpy(lambda *a: quantile(*a)),
    },
    samples=_quantiles,
    errors=_wrong_quantiles,
    departs={"node": "composite"},
)
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The element of rank q (n - 1) of n in order, between elements interpolated.

    Args:
        input: `(*)`, float32 or float64.
        q: a number in [0, 1], or a Tensor of numbers, 0-d or `(m,)`, of the dtype of `input`;
            the result is differentiable by them.
        dim: the dimension; None for all elements.
        keepdim: keep the dimension, with length 1.
        interpolation: `"linear"`, `"lower"`, `"higher"`, `"midpoint"` or `"nearest"`.
        axis: NumPy's name for `dim`.
        keepdims: NumPy's name for `keepdim`.

    Returns:
        The quantiles; where `q` is `(m,)` with a dimension of m in front. nan if there is one.

    Raises:
        ArgumentError: `q` is out of range, or no such interpolation.
        DTypeError: another dtype.
        ShapeError: `input` is empty, or `q` has two dimensions.
        DimensionError: `dim` is out of range.
    """
    chosen = dim if axis is None else axis
    keep = bool(keepdim if keepdims is None else keepdims)
    return _quantile("quantile", input, q, chosen, keep, interpolation, False)


@public(
    methods=("nanquantile",),
    numpy={
        "nanquantile": _quantile_of_numpy(lambda *a, **k: nanquantile(*a, **k)),
        "nanmedian": _median_of_numpy(lambda *a: nanquantile(*a)),
    },
    samples=_quantiles,
    errors=_wrong_quantiles,
    departs={"node": "composite"},
)
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """As `quantile`, which see, of the elements that are not nan; nan if there is none."""
    chosen = dim if axis is None else axis
    keep = bool(keepdim if keepdims is None else keepdims)
    return _quantile("nanquantile", input, q, chosen, keep, interpolation, True)
