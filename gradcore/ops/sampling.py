"""Images read at any places: `grid_sample`, and the grids of places that affine maps make.

An element of the result is a sum over the *corners* around its place: elements of the image times
weights that depend on the place. Sums of products x[i] * w * g are linear in each of the three, and
each of the three operations below is the derivative of such a sum by one of them.
"""

from __future__ import annotations

import functools
import math
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..batching.array import BatchedArray, Level
from ..batching.namespace import batched, spread
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..mode import no_grad
from ..op import common_device, primitive, public, recorded
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor, wrap
from .layer import tensor_argument
from .resample import cubic
from .shape import stack

__all__: list[str] = []


# sums over corners ------------------------------------------------------------------------------

# `x` is (n, channels, elements), `w` and `index` are (n, corners, places), `g` is
# (n, channels, places); `index` is a raw array of elements.


def _over_channels(xp: Any, index: Array, corner: int, channels: int) -> Array:
    n, _, places = index.shape
    return xp.broadcast_to(index[:, corner : corner + 1], (n, channels, places))


_PART: Final = 1 << 15
"""Elements of a part: a few arrays of it fit the cache of a core."""

Part = tuple[slice, slice]


def _parts(n: int, channels: int, places: int) -> list[Part]:
    """Some of the samples, all of their channels; or of one sample some of the channels."""
    step = max(1, _PART // max(places, 1))
    if step < 2 * channels:
        return [
            (slice(i, i + 1), slice(c, c + step))
            for i in range(n)
            for c in range(0, channels, step)
        ]
    step //= max(channels, 1)
    return [(slice(i, i + step), slice(0, channels)) for i in range(0, n, step)]


def _flat(index: Array, channels: int, size: int) -> Array:
    """Where the elements are that `(samples, places)` name, in channels one after the other."""
    first = np.arange(0, len(index) * channels * size, size).reshape(-1, channels, 1)
    return first + index[:, None]


def _taken(x: Array, index: Array) -> Array:
    """From each channel of `(samples, channels, size)` the elements that `index` names."""
    if len(x) == 1:
        return x[0].take(index[0], 1)[None]
    return x.reshape(-1).take(_flat(index, *x.shape[1:]))


def _combined(xp: Any, x: Array, w: Array, index: Array) -> Array:
    n, corners, places = index.shape
    channels = x.shape[1]
    if xp.module is not np:
        parts = [
            xp.take_along_axis(x, _over_channels(xp, index, k, channels), 2) * w[:, k : k + 1]
            for k in range(corners)
        ]
        return functools.reduce(operator.add, parts)
    y = np.zeros((n, channels, places), x.dtype)
    for some, part in _parts(n, channels, places):
        for k in range(corners):
            found = _taken(x[some, part], index[some, k])
            found *= w[some, k, None]
            y[some, part] += found
    return y


def _scattered(xp: Any, g: Array, w: Array, index: Array, size: int) -> Array:
    n, corners, places = index.shape
    channels = g.shape[1]
    shape = (n, channels, size)
    if xp.module is not np:
        parts = [
            xp.put_along_axis(g * w[:, k : k + 1], _over_channels(xp, index, k, channels), shape, 2)
            for k in range(corners)
        ]
        return functools.reduce(operator.add, parts)
    x = np.zeros(shape, g.dtype)
    for some, part in _parts(n, channels, places):
        target = x[some, part]
        flat = target.reshape(-1)
        for k in range(corners):
            where = _flat(index[some, k], *target.shape[1:])
            np.add.at(flat, where.reshape(-1), (g[some, part] * w[some, k, None]).reshape(-1))
    return x


def _correlated(xp: Any, g: Array, x: Array, index: Array) -> Array:
    n, corners, places = index.shape
    channels = x.shape[1]
    if xp.module is not np:
        parts = [
            (g * xp.take_along_axis(x, _over_channels(xp, index, k, channels), 2)).sum(1)
            for k in range(corners)
        ]
        return xp.stack(parts, 1)
    w = np.zeros((n, corners, places), x.dtype)
    for some, part in _parts(n, channels, places):
        for k in range(corners):
            found = _taken(x[some, part], index[some, k])
            w[some, k] += np.einsum("ncp,ncp->np", g[some, part], found)
    return w


def _merged(level: Level, run: Callable[..., Any], a: Any, b: Any, index: Any, *more: Any) -> Any:
    """All samples' images one after the other."""
    wide = [spread(v, level) for v in (a, b, index)]
    y = run(*[batched.reshape(v, (-1, *v.shape[2:])) for v in wide], *more)
    return BatchedArray(level, batched.reshape(y, (level.size, -1, *y.shape[1:])))


_combine: Callable[..., Tensor] = primitive(
    "grid_sampler",
    _combined,
    lambda xp, g, x_shape, w, index: xp.apply(_scatter, g, w, index, x_shape[2]),
    lambda xp, g, x, index: xp.apply(_correlate, g, x, index),
    multilinear=True,
    holds_arrays=True,
    batching=_merged,
)
_scatter: Callable[..., Tensor] = primitive(
    "grid_sampler_scatter",
    lambda xp, h, w, index, size: _scattered(xp, h, w, index, size),
    lambda xp, g, w, index: xp.apply(_combine, g, w, index),
    lambda xp, g, h, index: xp.apply(_correlate, h, g, index),
    multilinear=True,
    holds_arrays=True,
    batching=_merged,
)
_correlate: Callable[..., Tensor] = primitive(
    "grid_sampler_correlate",
    lambda xp, h, x, index: _correlated(xp, h, x, index),
    lambda xp, g, x, index: xp.apply(_combine, x, g, index),
    lambda xp, g, h, x_shape, index: xp.apply(_scatter, h, g, index, x_shape[2]),
    multilinear=True,
    holds_arrays=True,
    batching=_merged,
)


# places -----------------------------------------------------------------------------------------


def _inside(x: Tensor, n: int, padding: str, corners: bool) -> Tensor:
    """Coordinates along a dimension of `n` elements, brought back into it; not for `"zeros"`."""
    if padding == "zeros":
        return x
    if padding == "reflection":
        low, span = (0.0, n - 1.0) if corners else (-0.5, float(n))
        if not span:
            x = x * 0.0
        else:
            distance = (x - low).abs()
            times = (distance / span).detach().floor()
            rest = distance - times * span
            half = times * 0.5
            x = recorded.where(half == half.floor(), rest, span - rest) + low
    # At the border itself PyTorch's derivative is 0; that of clamp is 1.
    y: Tensor = recorded.where((x > 0) & (x < n - 1.0), x, x.detach().clamp(0.0, n - 1.0))
    return y


def _taps(
    x: Tensor, n: int, mode: str, padding: str, corners: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """The coordinates of elements along a dimension, whole numbers, and their weights."""
    if mode == "bicubic":
        low = x.detach().floor()
        taps = [_inside(low + k, n, padding, corners).detach() for k in (-1, 0, 1, 2)]
        if padding == "reflection":
            taps = [tap.trunc() for tap in taps]
        return taps, cubic(x - low, -0.75)
    x = _inside(x, n, padding, corners)
    if mode == "nearest":
        nearest = x.round()
        # Constant, but the gradient of a place is 0 and not missing.
        return [nearest.detach()], [recorded.where(nearest == nearest, 1.0, nearest)]
    low = x.detach().floor()
    t = x - low
    return [low, low + 1.0], [1.0 - t, t]


def _corners(
    places: Sequence[Tensor], shape: Sequence[int], mode: str, padding: str, corners: bool
) -> tuple[Tensor, Array]:
    """The weights and the elements of all corners around places, for `_combine`."""
    weight: list[Tensor] = []
    element: list[Tensor] = []
    for x, n in zip(places, shape, strict=True):
        taps, weights = _taps(x, n, mode, padding, corners)
        seen = [(tap >= 0) & (tap < n) for tap in taps]
        here = [recorded.where(s, w, 0.0) for s, w in zip(seen, weights, strict=True)]
        with no_grad():
            found = [recorded.where(s, tap, 0.0) for s, tap in zip(seen, taps, strict=True)]
            at = [tap.to(dtypes.int64) for tap in found]
        # Products one by one: sums over the short dimensions of one product of all are slow.
        weight = [w * v for w in weight for v in here] if weight else here
        rows = [e * n for e in element]
        element = [row + e for row in rows for e in at] if rows else at
    return stack(weight, 1), stack(element, 1)._array


# the public functions ---------------------------------------------------------------------------

_CHANGED = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
    "Please specify align_corners=True if the old behavior is desired. See the documentation of "
    "grid_sample for details."
)


def _grid_samples(make: Maker) -> list[Sample]:
    def grid(*shape: int) -> Any:
        return make.real(*shape, low=-1.4, high=1.3)

    flat = make.real(1, 2, 3, 4)
    return [
        sample(flat, grid(1, 2, 2, 2), align_corners=False),
        sample(flat, grid(1, 2, 2, 2), align_corners=True, padding_mode="border"),
        sample(make.real(2, 1, 2, 3), grid(2, 1, 3, 2), "bilinear", "reflection", False),
        sample(flat, grid(1, 2, 2, 2), "nearest", "zeros", True),
        sample(flat, grid(1, 2, 2, 2), "nearest", "reflection", True),
        sample(flat, grid(1, 1, 2, 2), "bicubic", "zeros", False),
        sample(flat, grid(1, 1, 2, 2), "bicubic", "border", True),
        sample(flat, grid(1, 1, 2, 2), "bicubic", "reflection", False),
        sample(make.real(1, 1, 2, 3, 2), grid(1, 1, 2, 2, 3), "bilinear", "zeros", False),
        sample(make.real(0, 2, 2, 2), grid(0, 1, 2, 2), align_corners=False),
    ]


def _grid_errors(make: Maker) -> list[Bad]:
    x, grid = make.real(1, 2, 3, 4), make.real(1, 4, 5, 2)
    return [
        bad(ValueError, "expected mode to be 'bilinear', 'nearest' or", x, grid, "linear"),
        bad(ValueError, "expected padding_mode to be", x, grid, "bilinear", "wrap"),
        bad(RuntimeError, "size 2 in last dimension", x, make.real(1, 4, 5, 3), "bilinear"),
        bad(RuntimeError, "same batch size", x, make.real(2, 4, 5, 2)),
        bad(RuntimeError, "4D or 5D", make.real(1, 2, 3), make.real(1, 4, 1)),
        bad(RuntimeError, "only supports 4D input", *_cubes(make), "bicubic"),
        bad(RuntimeError, "expected scalar type", x, grid.astype(np.float32)),
        bad(RuntimeError, "non-empty spatial dimensions", make.real(1, 2, 0, 3), grid),
        bad(RuntimeError, "is not implemented for", *_integers(make)),
        bad(TypeError, "must be a Tensor|must be Tensor", x, 5),
    ]


def _cubes(make: Maker) -> tuple[Any, Any]:
    return make.real(1, 1, 2, 2, 2), make.real(1, 1, 1, 1, 3)


def _integers(make: Maker) -> tuple[Any, Any]:
    return make.integers(0, 2, 1, 1, 2, 2), make.integers(0, 2, 1, 1, 1, 2)


@public(
    path="nn.functional.grid_sample",
    kind="primitive",
    samples=_grid_samples,
    errors=_grid_errors,
    departs={"node": "composite", "float16": "PyTorch computes in it"},
)
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The elements of images at places that `grid` gives, interpolated.

    Places, weights and their derivatives are computed by forty operations on arrays of the size of
    `grid`: of sixteen channels it takes twice as long as PyTorch's, of one channel five to ten
    times.

    Args:
        input: `(n, channels, height, width)` or `(n, channels, depth, height, width)`, floating
            point.
        grid: `(n, *, 2)` or `(n, *, 3)`, with two or three dimensions `*`, of the same dtype:
            places (x, y) or (x, y, z), which go from -1 to 1 over the width, height and depth.
        mode: `"bilinear"`, of three dimensions too; `"nearest"`; `"bicubic"`, of two only.
        padding_mode: what is outside: `"zeros"`; `"border"`, the nearest element; `"reflection"`.
        align_corners: whether -1 and 1 are the centres of the first and last elements, not their
            borders; False by default, with a warning.

    Returns:
        `(n, channels, *)`. No gradient flows to `grid` in the mode `"nearest"`: it is 0. So it is
        at a border that stops a place.

    Raises:
        ArgumentError: there is no such mode.
        ShapeError: the shapes do not fit, or an image is empty.
        DTypeError: the dtypes differ, or are not floating point.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ArgumentError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: {mode!r}."
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: {padding_mode!r}."
        )
    x = tensor_argument("grid_sampler", "input", 1, input)
    t = tensor_argument("grid_sampler", "grid", 2, grid)
    common_device("grid_sampler", (x, t))
    _check_grid(x, t, mode)
    if align_corners is None:
        warnings.warn(_CHANGED, UserWarning, stacklevel=2)
    dtype, d = x._type.dtype, x.ndim - 2
    if dtype is dtypes.float16:
        x, t = x.to(dtypes.float32), t.to(dtypes.float32)
    n, channels, *shape = x._shape
    places = []
    for axis, length in enumerate(shape):
        place = t[..., d - 1 - axis].reshape((n, math.prod(t._shape[1:-1])))
        if align_corners:
            places.append((place + 1.0) * ((length - 1) / 2))
        else:
            places.append(((place + 1.0) * float(length) - 1.0) * 0.5)
    weights, elements = _corners(places, shape, mode, padding_mode, bool(align_corners))
    flat = x.reshape((n, channels, math.prod(shape)))
    y = _combine(flat, weights, elements).reshape((n, channels, *t._shape[1:-1]))
    return y if y._type.dtype is dtype else y.to(dtype)


def _check_grid(x: Tensor, grid: Tensor, mode: str) -> None:
    sizes = f"input with sizes {list(x._shape)} and grid with sizes {list(grid._shape)}"
    if x.ndim not in (4, 5) or grid.ndim != x.ndim:
        raise ShapeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got {sizes}."
        )
    if x._shape[0] != grid._shape[0]:
        raise ShapeError(
            f"grid_sampler(): expected grid and input to have same batch size, but got {sizes}."
        )
    if grid._shape[-1] != x.ndim - 2:
        raise ShapeError(
            f"grid_sampler(): expected grid to have size {x.ndim - 2} in last dimension, but got "
            f"grid with sizes {list(grid._shape)}."
        )
    for axis, length in enumerate(x._shape[2:], 2):
        if not length:
            raise ShapeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                f"has sizes {list(x._shape)} with dimension {axis} being empty."
            )
    if mode == "bicubic" and x.ndim != 4:
        raise ShapeError("grid_sampler(): bicubic interpolation only supports 4D input.")
    if grid._type.dtype is not x._type.dtype:
        raise DTypeError(
            f"grid_sampler(): expected scalar type {x.dtype} but found {grid.dtype} in grid."
        )
    if not x._type.dtype.is_floating_point:
        raise DTypeError(f"grid_sampler(): is not implemented for {x.dtype}.")


@public(
    path="nn.functional.affine_grid",
    samples=lambda make: [
        sample(make.real(2, 2, 3), (2, 1, 2, 3), align_corners=False),
        sample(make.real(1, 2, 3), [1, 2, 3, 2], True),
        sample(make.real(1, 3, 4), (1, 1, 2, 1, 2), False),
    ],
    errors=lambda make: [
        bad(NotImplementedError, "only supports 4D and 5D sizes", make.real(1, 2, 3), (1, 1, 2)),
        bad(ValueError, "Expected non-zero", make.real(1, 2, 3), (1, 1, 2, 0)),
        bad(ValueError, "of shape Nx2x3 for", make.real(1, 2, 4), (1, 1, 2, 2)),
        bad(RuntimeError, r"to be: \[1", make.real(2, 2, 3), (1, 1, 2, 2), False),
        bad(ValueError, "floating point type", make.integers(0, 2, 1, 2, 3), (1, 1, 2, 2)),
        bad(TypeError, "has no len", make.real(1, 2, 3), 5),
    ],
    departs={"node": "composite", "saves": "the places without a map"},
)
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places of a grid under affine maps, for `grid_sample`.

    Args:
        theta: `(n, 2, 3)` or `(n, 3, 4)`, floating point: matrices of the maps.
        size: of the images to be made: `(n, channels, height, width)` or
            `(n, channels, depth, height, width)`.
        align_corners: whether -1 and 1 are the centres of the first and last elements, not their
            borders; False by default, with a warning.

    Returns:
        `(n, height, width, 2)` or `(n, depth, height, width, 3)`.

    Raises:
        ArgumentError: `theta` has not such a shape or dtype, or a length is 0.
        ArgumentTypeError: `size` is no sequence.
        NotImplementedError: `size` has not four or five numbers.
        ShapeError: there are not n matrices.
    """
    matrices = tensor_argument("affine_grid", "theta", 1, theta)
    if not matrices._type.dtype.is_floating_point:
        raise ArgumentError(
            f"affine_grid: Expected theta to have floating point type, but got {matrices.dtype}."
        )
    if not isinstance(size, tuple | list):
        raise ArgumentTypeError(
            f"affine_grid: object of type {type(size).__name__!r} has no len()."
        )
    size = tuple(size)
    d = len(size) - 2
    if d not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    if matrices._shape[1:] != (d, d + 1) or matrices.ndim != 3:
        raise ArgumentError(
            f"affine_grid: Expected a batch of {d}D affine matrices of shape Nx{d}x{d + 1} for "
            f"size {size}. Got {matrices.shape}."
        )
    if min(size) <= 0:
        raise ArgumentError(f"affine_grid: Expected non-zero, positive output size. Got {size}.")
    if size[0] != matrices._shape[0]:
        raise ShapeError(
            f"affine_grid: Expected size for first two dimensions of batch2 tensor to be: "
            f"[{size[0]}, {d + 1}] but got: [{matrices._shape[0]}, {d + 1}]."
        )
    if align_corners is None:
        warnings.warn(_CHANGED, UserWarning, stacklevel=2)
    shape = size[2:]
    base = np.ones((*shape, d + 1))
    for axis, n in enumerate(shape):
        place = np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1)
        if not align_corners:
            place = place * (n - 1) / n
        base[..., d - 1 - axis] = place.reshape((-1,) + (1,) * (d - 1 - axis))
    kind = matrices._type
    rows = wrap(kind.asarray(base.reshape((-1, d + 1)), dtype=kind.numpy))
    return (rows @ matrices.mT).reshape((size[0], *shape, d))
