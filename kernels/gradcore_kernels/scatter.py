"""What is put at places along an axis where several values may have one place.

Of values that are copied the last one stays; of others there is one reduction per place, in the
order of the values, so that two runs give the same bits: the places are sorted (stably), and one
thread reduces what has its place. Where very many values have one place that takes its time.
"""

import math
from typing import Any, Final

import cupy
import numpy as np

from gradcore_kernels.cuda_types import COMPLEX, PREAMBLE, REAL
from gradcore_kernels.indexing import _INDEX_TYPES, _PLACE, _along, _numbers
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Array, Kernel

_PLACE_OF: Final = f"""
    const long long skip = {-(1 << 63) + 1}LL - 1;
    const long long place = (i / span * n + gc_place(index, n, skip)) * inner + i % inner;
"""

# The largest number is the same in any order.
_LAST: Final = cupy.ElementwiseKernel(
    "I index, int64 n, int64 span, int64 inner",
    "raw L last",
    f"{_PLACE_OF} atomicMax((long long*)&last[place], (long long)i);",
    "gc_last",
    preamble=_PLACE,
)

_KEYS: Final = cupy.ElementwiseKernel(
    "I index, int64 n, int64 span, int64 inner",
    "int64 key",
    f"{_PLACE_OF} key = place;",
    "gc_scatter_keys",
    preamble=_PLACE,
)


def _reduction(name: str, step: str) -> Kernel:
    return cupy.ElementwiseKernel(
        "T x, raw L stop, raw L order, raw T src, bool include",
        "T y",
        f"""
        W total = W(x);
        bool begun = include;
        for (long long j = i ? stop[i - 1] : 0; j < stop[i]; ++j) {{
          const W v = W(src[order[j]]);
          total = begun ? W({step}) : v;
          begun = true;
        }}
        y = T(total);
        """,
        f"gc_scatter_{name}",
        preamble=PREAMBLE,
    )


# Of nan all are nan.
_REDUCTIONS: Final = {
    "prod": _reduction("prod", "total * v"),
    "amax": _reduction("amax", "(v > total || v != v) ? v : total"),
    "amin": _reduction("amin", "(v < total || v != v) ? v : total"),
}


def _within(x: Array, index: Array, dim: int) -> tuple[slice, ...] | None:
    """Return the part of `x` that `index` can name places of; None where that is all."""
    part = tuple(slice(None) if d == dim else slice(k) for d, k in enumerate(index.shape))
    whole = all(
        d == dim or k == n for d, (k, n) in enumerate(zip(index.shape, x.shape, strict=True))
    )
    return None if whole else part


def _filled_in(x: Array, part: tuple[slice, ...] | None, y: Array) -> Array:
    if part is None:
        return y
    out = x.copy()
    out[part] = y
    return out


def _last_values(core: Array, index: Array, dim: int) -> Array:
    """Return, for each element of `core`, which value comes last there; -1 where none does."""
    n = core.shape[dim]
    _, m, inner = _along(index, n, dim)
    last = cupy.full(core.shape, -1, np.int64)
    _LAST(_numbers(index), n, m * inner, inner, last)
    return last


def scatter(x: Array, src: Array, index: Array, dim: int) -> Array:
    """Return `x` with the elements of `src` at the places `index` along `dim`."""
    part = _within(x, index, dim)
    core = x if part is None else x[part]
    if not src.size:
        return x.copy()
    last = _last_values(core, index, dim)
    return _filled_in(x, part, cupy.where(last < 0, core, src.ravel()[last]))


def scatter_value(x: Array, index: Array, dim: int, value: Any) -> Array:
    """Return `x` with a number at the places `index` along `dim`."""
    part = _within(x, index, dim)
    core = x if part is None else x[part]
    last = _last_values(core, index, dim)
    return _filled_in(x, part, cupy.where(last < 0, core, x.dtype.type(value)))


def index_copy(x: Array, source: Array, index: Array, dim: int) -> Array:
    """Return `x` with the slices of `source` at the places `index` of `dim`."""
    if not index.size:
        return x.copy()
    last = _last_values(cupy.empty(x.shape[dim], x.dtype), index, 0)
    chosen = source.take(last, axis=dim)
    untouched = (last < 0).reshape((-1,) + (1,) * (x.ndim - dim - 1))
    return cupy.where(untouched, x, chosen)


def scatter_reduce(
    x: Array, src: Array, index: Array, dim: int, reduce: str, include_self: bool
) -> Array:
    """Return `x` where `index` names no place, else what the elements of `src` there reduce to.

    Args:
        x: Any dtype; for `"amax"` and `"amin"` no complex one.
        src: The shape of `index`, the dtype of `x`.
        index: int32 or int64.
        dim: The axis.
        reduce: `"prod"`, `"amax"` or `"amin"`.
        include_self: Whether the element of `x` is reduced with them.
    """
    part = _within(x, index, dim)
    core = x if part is None else x[part]
    n = core.shape[dim]
    _, m, inner = _along(index, n, dim)
    keys = _KEYS(_numbers(index), n, m * inner, inner).ravel()
    order = cupy.argsort(keys)
    numbers = cupy.arange(math.prod(core.shape), dtype=np.int64)
    stop = cupy.searchsorted(keys[order], numbers, side="right")
    kernel = _REDUCTIONS[reduce]
    return _filled_in(x, part, kernel(core, stop, order, src.ravel(), include_self))


def index_reduce(
    x: Array, source: Array, index: Array, dim: int, reduce: str, include_self: bool
) -> Array:
    """Return `scatter_reduce` of whole slices: `index` names a place of `dim` for each."""
    wide = index.reshape((-1,) + (1,) * (x.ndim - dim - 1))
    wide = cupy.broadcast_to(wide, source.shape)
    return scatter_reduce(x, source, wide, dim, reduce, include_self)


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    listed: list[tuple[Kernel | RawKernel, dict[str, str]]] = []
    for i in _INDEX_TYPES:
        listed += [(_LAST, {"I": i, "L": "int64"}), (_KEYS, {"I": i})]
    for name in _REDUCTIONS:
        values = REAL + COMPLEX if name == "prod" else REAL
        listed += [(_REDUCTIONS[name], {"T": t, "L": "int64"}) for t in values]
    return listed
