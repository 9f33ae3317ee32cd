"""Images of another size: each dimension resampled by itself.

An element of the result is a weighted sum of a few elements along a dimension, its *taps*. The
adjoint of such a map is another one, so that one operation is both, and all of its derivatives.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..op import primitive, public
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor
from .layer import tensor_argument

__all__: list[str] = []

Host = np.ndarray[Any, Any]


# taps -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Map:
    """Which taps the elements of a result have, by what they follow from.

    Attributes:
        mode: how it interpolates.
        source: the length of the dimension.
        target: the length of the result.
        step: elements of the source per element of the result.
        corners: whether the centres of the first and last elements lie on one another.
        adjoint: it is the adjoint of the map described so.
    """

    mode: str
    source: int
    target: int
    step: float
    corners: bool = False
    adjoint: bool = False

    @property
    def transposed(self) -> Map:
        """The adjoint of this map."""
        return replace(self, adjoint=not self.adjoint)


def _nearest(m: Map, shift: float) -> tuple[Host, Host]:
    # PyTorch computes in float32 which element is nearest.
    i = np.arange(m.target)
    if m.source != m.target or shift:
        place = (i.astype(np.float32) + np.float32(shift)) * np.float32(m.step)
        i = np.minimum(place.astype(np.int64), m.source - 1)
    return i[None], np.ones((1, m.target))


def _centres(m: Map) -> Host:
    i = np.arange(m.target)
    return i * m.step if m.corners else (i + 0.5) * m.step - 0.5


def _linear(m: Map) -> tuple[Host, Host]:
    if m.source == m.target:
        return _nearest(m, 0.0)
    x = np.maximum(_centres(m), 0.0)
    low = np.minimum(x.astype(np.int64), m.source - 1)
    t = np.clip(x - low, 0.0, 1.0)
    return np.stack((low, np.minimum(low + 1, m.source - 1))), np.stack((1.0 - t, t))


def cubic(t: Any, a: float) -> list[Any]:
    """The weights of cubic convolution at the four taps around a place, `t` behind the second."""

    def near(x: Any) -> Any:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0

    def far(x: Any) -> Any:
        return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a

    return [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]


def _cubic(m: Map) -> tuple[Host, Host]:
    x = _centres(m)
    low = np.floor(x)
    taps = low.astype(np.int64) + np.arange(-1, 3)[:, None]
    return np.clip(taps, 0, m.source - 1), np.stack(cubic(x - low, -0.75))


def _area(m: Map) -> tuple[Host, Host]:
    i = np.arange(m.target)
    first = i * m.source // m.target
    last = -(-(i + 1) * m.source // m.target)
    return _windows(m, first, last, lambda taps: np.ones(taps.shape))


def _windows(m: Map, first: Host, last: Host, weigh: Callable[[Host], Host]) -> tuple[Host, Host]:
    """Taps from `first` up to `last`, with weights that add up to 1."""
    taps = first + np.arange(int((last - first).max(initial=1)))[:, None]
    weights = np.where(taps < last, weigh(taps), 0.0)
    return np.minimum(taps, m.source - 1), weights / weights.sum(0)


def _triangle(x: Host) -> Host:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _keys(x: Host) -> Host:
    x = np.abs(x)
    near, far = cubic(x, -0.5)[1], cubic(x - 1.0, -0.5)[0]
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(x: Host) -> Host:
    return np.where(np.abs(x) < 3.0, np.sinc(x) * np.sinc(x / 3.0), 0.0)


def _smoothed(m: Map, kernel: Callable[[Host], Host], reach: float) -> tuple[Host, Host]:
    """The kernel stretched over the elements that an element of the result covers."""
    stretch = max(m.step, 1.0)
    # PyTorch does so with aligned corners too, although the centres are elsewhere then.
    centre = m.step * (np.arange(m.target) + 0.5)
    first = np.maximum((centre - reach * stretch + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach * stretch + 0.5).astype(np.int64), m.source)
    return _windows(m, first, last, lambda taps: kernel((taps - centre + 0.5) / stretch))


_MAPS: Final[dict[str, Callable[[Map], tuple[Host, Host]]]] = {
    "nearest": lambda m: _nearest(m, 0.0),
    "nearest-exact": lambda m: _nearest(m, 0.5),
    "linear": _linear,
    "cubic": _cubic,
    "area": _area,
    "linear-smooth": lambda m: _smoothed(m, _triangle, 1.0),
    "cubic-smooth": lambda m: _smoothed(m, _keys, 2.0),
    "lanczos-smooth": lambda m: _smoothed(m, _lanczos, 3.0),
}


def _transposed(taps: Host, weights: Host, source: int) -> tuple[Host, Host]:
    """The taps of the adjoint."""
    target = taps.shape[1]
    places = np.broadcast_to(np.arange(target), taps.shape)
    order = np.lexsort((places.reshape(-1), taps.reshape(-1)))
    rows = taps.reshape(-1)[order]
    used = weights.reshape(-1)[order] != 0
    order, rows = order[used], rows[used]
    counts = np.bincount(rows, minlength=source)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    most = int(counts.max(initial=1))
    found = np.zeros((most, source), np.int64)
    factors = np.zeros((most, source))
    found[rank, rows] = places.reshape(-1)[order]
    factors[rank, rows] = weights.reshape(-1)[order]
    # Where there are fewer the last is repeated with weight 0, so that no others are touched.
    last = found[np.maximum(counts - 1, 0), np.arange(source)]
    return np.where(np.arange(most)[:, None] < counts, found, last), factors


Tap = tuple[Any, Any]


@functools.lru_cache(maxsize=256)
def _taps(m: Map, dtype: np.dtype[Any]) -> tuple[list[Tap], Any]:
    """Per tap an index along the dimension and the weights; and the elements without any.

    An index is a slice where that is the same. Weights are None where all of them are 1.
    """
    places, weights = _MAPS[m.mode](m)
    if m.adjoint:
        places, weights = _transposed(places, weights, m.source)
    unused = np.flatnonzero((weights == 0).all(0))
    found: list[Tap] = []
    for index, factors in zip(places, weights, strict=True):
        if not factors.any():
            continue
        by = np.diff(index)
        step = int(by[0]) if by.size else 1
        where: Any = index
        if step > 0 and (by == step).all():
            where = slice(int(index[0]), int(index[-1]) + 1, step)
        one = bool((factors == 1.0).all())
        found.append((where, None if one else factors.astype(dtype)))
    return found, unused if unused.size else None


def _resampled(xp: Any, x: Array, m: Map, axis: int) -> Array:
    """`x` along `axis`, which is counted from the last, by the map `m`."""
    module = xp.module
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    taps, unused = _taps(m, wide.dtype if wide.dtype.kind == "f" else np.dtype(np.float64))
    every = (slice(None),) * (-1 - axis)
    column = (-1,) + (1,) * (-1 - axis)
    y = None
    for where, weights in taps:
        if isinstance(where, slice):
            part = wide[(..., where, *every)]
        else:
            part = wide.take(module.asarray(where), axis)
        if weights is not None:
            factors = module.asarray(weights).reshape(column)
            if isinstance(where, slice):
                part = part * factors
            else:
                part *= factors
        if y is None:
            y = part
        elif y.base is not None or y is wide:
            y = y + part
        else:
            y += part
    if y is None:
        shape = list(x.shape)
        shape[axis] = m.source if m.adjoint else m.target
        y = module.zeros(shape, x.dtype)
    if y.base is not None or y is wide:
        y = y.copy()
    if unused is not None:
        y[(..., module.asarray(unused), *every)] = 0
    return y.astype(x.dtype, copy=False)


_resample: Callable[..., Tensor] = primitive(
    "resample",
    _resampled,
    lambda xp, g, m, axis: xp.apply(_resample, g, m.transposed, axis),
    linear=True,
    batching=leading,
)


# the public functions ---------------------------------------------------------------------------

_KINDS: Final = {
    "nearest": ("nearest", (3, 4, 5)),
    "nearest-exact": ("nearest-exact", (3, 4, 5)),
    "area": ("area", (3, 4, 5)),
    "linear": ("linear", (3,)),
    "bilinear": ("linear", (4,)),
    "bicubic": ("cubic", (4,)),
    "lanczos": ("lanczos", (4,)),
    "trilinear": ("linear", (5,)),
}
"""By the name of a mode: what it does along a dimension, and how many dimensions it takes."""

_WITHOUT_CORNERS: Final = ("nearest", "nearest-exact", "area")


def _per_dimension(argument: str, value: Any, x: Tensor) -> list[Any]:
    """`size` or `scale_factor` as a number per dimension behind the first two.

    Raises:
        ArgumentError: there are more or fewer.
        ArgumentTypeError: they are no numbers.
    """
    wanted = int | np.integer if argument == "size" else int | float | np.generic
    shape = x._shape[2:]
    if not isinstance(value, tuple | list):
        value = [value] * len(shape)
    elif len(value) != len(shape):
        what = "output size of" if argument == "size" else "scale_factor of shape"
        raise ArgumentError(
            "interpolate: Input and "
            f"{'output' if argument == 'size' else 'scale_factor'} must have the same number of "
            f"spatial dimensions, but got input with spatial dimensions of {list(shape)} and "
            f"{what} {value}. Please provide input (N, C, d1, d2, ...,dK) and {argument} "
            f"({'o' if argument == 'size' else 's'}1, ...)."
        )
    for number in value:
        if not isinstance(number, wanted):
            raise ArgumentTypeError(
                f"interpolate: received an invalid combination of arguments: {argument} must be "
                f"{'int' if argument == 'size' else 'float'} or a tuple of them, not "
                f"{type(number).__qualname__}."
            )
    return list(value)


def _letters(lengths: Sequence[int]) -> str:
    return ", ".join(f"{a}: {n}" for a, n in zip("DHW"[-len(lengths) :], lengths, strict=True))


def _interpolate_samples(make: Maker) -> list[Sample]:
    flat, cube = (1, 2, 3), (1, 1, 2, 3, 2)
    return [
        sample(make.real(*flat), 5),
        sample(make.real(1, 1, 3, 4), scale_factor=(2, 0.5)),
        sample(make.real(*cube), (3, 2, 4), mode="nearest-exact"),
        sample(make.real(*flat), 7, None, "linear"),
        sample(make.real(*flat), scale_factor=1.7, mode="linear", align_corners=True),
        sample(make.real(1, 1, 3, 4), (5, 3), mode="bilinear"),
        sample(make.real(1, 1, 2, 3), None, 2.3, "bilinear", recompute_scale_factor=True),
        sample(make.real(1, 1, 6, 5), (3, 2), mode="bilinear", antialias=True),
        sample(make.real(1, 1, 3, 4), (5, 3), mode="bicubic"),
        sample(make.real(1, 1, 3, 2), (1, 4), mode="bicubic", align_corners=True),
        sample(make.real(1, 1, 6, 3), (3, 4), None, "bicubic", True, antialias=True),
        sample(make.real(*cube), (3, 2, 4), mode="trilinear"),
        sample(make.real(1, 2, 5, 3), (2, 4), mode="area"),
        sample(make.real(0, 1, 2, 3), 3, mode="bilinear"),
    ]


def _interpolate_errors(make: Maker) -> list[Bad]:
    x = make.real(1, 1, 3)
    image = make.real(1, 1, 3, 2)
    return [
        bad(ValueError, "must have the same number of spatial", x, (4, 5)),
        bad(ValueError, "scale_factor of shape", x, None, (2.0, 3.0)),
        bad(ValueError, "only one of size or scale_factor", x, 4, 2),
        bad(ValueError, "either size or scale_factor", x),
        bad(RuntimeError, r"output sizes should be greater than 0.*\(W: 3\)", x, 0),
        bad(NotImplementedError, r"Only 3D, 4D and 5D .*\(got 2D\)", make.real(2, 3), 4),
        bad(NotImplementedError, r"\(got foo\)", x, 4, mode="foo"),
        bad(NotImplementedError, "Got 3D input, but bilinear mode needs 4D", x, 4, mode="bilinear"),
        bad(ValueError, "can only be set with the interpolating", x, 4, align_corners=True),
        bad(ValueError, "not meaningful with an explicit", x, 4, recompute_scale_factor=True),
        bad(ValueError, "Anti-alias option is restricted", x, 4, mode="linear", antialias=True),
        bad(ValueError, "requires antialias", image, 4, mode="lanczos"),
        bad(TypeError, "must be int or a tuple", x, 4.5),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 1, 1, 2), 4),
        bad(RuntimeError, "Non-empty", make.real(1, 0, 2, 2), 4),
    ]


@public(
    path="nn.functional.interpolate",
    kind="primitive",
    samples=_interpolate_samples,
    errors=_interpolate_errors,
    departs={
        "node": "a node per dimension",
        "saves less": "the elements, of which the shape matters only",
        "refuses: uint8": "PyTorch has weights of whole numbers for it",
    },
)
def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """`input` resampled to another size along all dimensions but the first two.

    On the CPU it is made of indexing and products, one dimension after the other: of large images
    it takes up to five times as long as PyTorch's.

    Args:
        input: `(n, channels, *)`, with one to three dimensions `*`; floating point, also uint8 in
            the modes that take the nearest element.
        size: the new lengths of `*`, or one for all.
        scale_factor: instead, their ratios to the old lengths, or one for all.
        mode: `"nearest"` (rounded down), `"nearest-exact"`, `"area"` (means of windows);
            `"linear"`, `"bilinear"`, `"trilinear"` for one, two, three dimensions `*`; `"bicubic"`
            (cubic convolution, a = -0.75) and `"lanczos"` for two.
        align_corners: whether the centres of the corner elements lie on one another, not the
            corners of the corner elements. Not for the modes without weights.
        recompute_scale_factor: whether the ratios are those of the lengths, which are rounded down,
            and not `scale_factor`.
        antialias: whether the weights are stretched over all that an element covers where the size
            shrinks; only for `"bilinear"`, `"bicubic"` (with a = -0.5) and `"lanczos"`.

    Returns:
        `(n, channels, *)` of the new lengths and the dtype of `input`.

    Raises:
        ArgumentError: arguments that exclude one another, or are missing.
        ArgumentTypeError: `size` or `scale_factor` is no number.
        ShapeError: a length is 0.
        DTypeError: `input` is of another dtype.
        NotImplementedError: there is no such mode for so many dimensions.
    """
    x = tensor_argument("interpolate", "input", 1, input)
    if mode in _WITHOUT_CORNERS and align_corners is not None:
        raise ArgumentError(
            "interpolate: align_corners option can only be set with the interpolating modes: "
            "linear | bilinear | bicubic | trilinear."
        )
    if size is not None and scale_factor is not None:
        raise ArgumentError("interpolate: only one of size or scale_factor should be defined.")
    if size is None and scale_factor is None:
        raise ArgumentError("interpolate: either size or scale_factor should be defined.")
    if recompute_scale_factor and size is not None:
        raise ArgumentError(
            "interpolate: recompute_scale_factor is not meaningful with an explicit size."
        )
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and x.ndim == 4):
        raise ArgumentError(
            "interpolate: Anti-alias option is restricted to bilinear, bicubic, and lanczos modes "
            "and requires a 4-D tensor as input."
        )
    ratios: list[float | None] = [None] * (x.ndim - 2)
    if size is not None:
        lengths = _per_dimension("size", size, x)
    else:
        scales = _per_dimension("scale_factor", scale_factor, x)
        lengths = [math.floor(n * s) for n, s in zip(x._shape[2:], scales, strict=True)]
        if not recompute_scale_factor and mode != "area":
            ratios = [float(s) for s in scales]
    kind, ndims = _KINDS.get(mode, ("", ()))
    if x.ndim not in ndims:
        if len(ndims) == 1 and mode not in ("bicubic", "lanczos") and x.ndim in (3, 4, 5):
            raise NotImplementedError(
                f"interpolate: Got {x.ndim}D input, but {mode} mode needs {ndims[0]}D input."
            )
        raise NotImplementedError(
            "interpolate: Only 3D, 4D and 5D input Tensors supported "
            f"(got {x.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
            f"lanczos | area | nearest-exact (got {mode})."
        )
    if kind == "lanczos" and (align_corners or not antialias):
        what = "does not support align_corners=True" if antialias else "requires antialias=True"
        raise ArgumentError(f"interpolate: Lanczos mode {what}.")
    dtype = x._type.dtype
    if not (dtype.is_floating_point or (dtype is dtypes.uint8 and "nearest" in mode)):
        raise DTypeError(f"interpolate: mode {mode!r} is not implemented for {dtype}.")
    old = x._shape[2:]
    if min(*old, *lengths) <= 0:
        raise ShapeError(
            "interpolate: Input and output sizes should be greater than 0, but got input "
            f"({_letters(old)}) and output ({_letters(lengths)})."
        )
    if not x._shape[1]:
        raise ShapeError(
            f"interpolate: Non-empty {x.ndim}D data tensor expected but got a tensor with sizes "
            f"{list(x._shape)}."
        )
    if antialias:
        kind += "-smooth"
    todo = []
    for d, (n, length, ratio) in enumerate(zip(old, lengths, ratios, strict=True)):
        step = 1.0 / ratio if ratio else n / length
        if align_corners:
            step = (n - 1) / (length - 1) if length > 1 else 0.0
        m = Map(kind, n, length, step, bool(align_corners))
        # What shrinks comes first, and of what grows the last dimension, whose steps are dearer.
        grows = length > n
        todo.append((length / n, -d if grows else d, d - len(old), m))
    y = x
    for _, _, axis, m in sorted(todo, key=lambda item: item[:2]):
        if m.source != m.target or not _is_identity(m):
            y = _resample(y, m, axis)
    return y if y is not x else x.clone()


def _is_identity(m: Map) -> bool:
    taps, unused = _taps(m, np.dtype(np.float64))
    return unused is None and taps == [(slice(0, m.source, 1), None)]


def _deprecated(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        UserWarning,
        stacklevel=3,
    )


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` by its former name."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """`interpolate` with mode `"nearest"` by its former name."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
) -> Tensor:
    """`interpolate` with mode `"bilinear"` and corners aligned by its former name."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, "bilinear", True)
