"""Normalisation: slices of the input brought to mean 0 and variance 1, or to length 1.

What `layer_norm`, `rms_norm` and `batch_norm` keep for their gradients is a few numbers per slice,
its mean and `factor`, 1 / sqrt(variance + eps); never the normalised array. On the CPU they work in
blocks that fit the cache, so that memory is read once for several NumPy calls.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..device import CPU, Array, TensorType
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, GraphError, ShapeError
from ..mode import is_grad_enabled
from ..op import common_device, primitive, public, recorded
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor, wrap
from .activation import WIDE, floating
from .layer import tensor_argument

__all__: list[str] = []

_NUMPY: Final = CPU.xp
_BLOCK: Final = 1 << 16
"""Elements of a block: a few arrays of it fit the cache of a core."""
_LONG: Final = 4096
"""Elements from which BLAS, which adds up in a few lanes, is too inexact in float32."""
_RUN: Final = 1024
"""Elements that may be added up one after the other in float32."""


# what the operations share ----------------------------------------------------------------------


def _blocks(length: int, width: int) -> list[slice]:
    """Slices of an axis of `length`, along which an element is `width` elements of the array."""
    if length * width <= _BLOCK:
        return _WHOLE
    step = max(1, _BLOCK // width)
    return [slice(i, i + step) for i in range(0, length, step)]


_WHOLE: Final = [slice(None)]


def _wide(a: Array) -> Array:
    """A raw array of float16 as float32, in which it is computed; others as they are."""
    return a.astype(np.float32) if a.itemsize == 2 else a


def _total(parts: list[Array]) -> Array:
    """The sum of arrays of one shape, exact however many there are."""
    if len(parts) == 1:
        return parts[0]
    return np.add.reduce(parts, 0, np.float64).astype(parts[0].dtype)


def _invert(variance: Array, eps: float) -> Array:
    """1 / sqrt(variance + eps), in the same array."""
    variance += eps
    np.sqrt(variance, variance)
    return np.reciprocal(variance, variance)


def _cast(xp: Any, gradients: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """The gradients of these inputs, in their dtypes; those that are None stay."""
    return [
        g if g is None or g.dtype == a.dtype else xp.astype(g, a.dtype)
        for a, g in zip(inputs, gradients)  # noqa: B905
    ]


def _absent(kind: TensorType) -> Tensor:
    """What stands for a weight or a bias that is None: a 1 of no dimensions.

    It is told by that; nothing reads that of a bias, and no kernel that of a weight.
    """
    return wrap(kind.constant(1))


def _parameter_type(name: str, x: Tensor, given: dict[str, Tensor | None]) -> TensorType:
    """The type that the parameters share: that of `x`, or float32 where `x` is float16.

    Raises:
        DeviceError: one is on another device.
        DTypeError: one has another dtype.
    """
    kind = x._type
    half = kind.dtype is dtypes.float16
    found: dtypes.dtype | None = None
    for argument, t in given.items():
        if t is None:
            continue
        common_device(name, (x, t))
        own = t._type.dtype
        if own is found:
            continue
        if found is not None or not (own is kind.dtype or (half and own is dtypes.float32)):
            raise DTypeError(
                f"{name}: mixed dtype: expected all parameters to have the dtype of input, "
                f"{x.dtype}{', or all to have gradcore.float32' if half else ''}, and {argument} "
                f"has {t.dtype}."
            )
        found = own
    return TensorType(kind.device.base, found or kind.dtype)


# over the last dimensions -----------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _ones(count: int, dtype: Any) -> Array:
    return np.ones((count, 1), dtype)


def _row_means(x: Array) -> Array:
    """The means of the rows of `(rows, count)`, as a column."""
    count = x.shape[1]
    if count > _LONG:
        mean = np.add.reduce(x, 1, keepdims=True)
    else:
        mean = np.dot(x, _ones(count, x.dtype))
    mean /= count or 1
    return mean


def _mean_products(x: Array, y: Array) -> Array:
    """The means of the rows of x * y, as a column."""
    count = x.shape[1]
    mean = _NUMPY.dot_over(x, y, (1,), True) if count > _LONG else np.vecdot(x, y)[:, None]
    mean /= count or 1
    return mean


def _as_rows(x: Array, axes: tuple[int, ...]) -> Array:
    """A NumPy array as `(rows, count)`; `axes` are the last ones."""
    first = axes[0]
    if first == 1 and x.ndim == 2:
        return _wide(x)
    return _wide(x).reshape(math.prod(x.shape[:first]), math.prod(x.shape[first:]))


def _as_row(parameter: Array | None) -> Array | None:
    """A parameter as `(count,)`; None if it is absent."""
    if parameter is None or parameter.ndim == 0:
        return None
    return _wide(parameter) if parameter.ndim == 1 else _wide(parameter).reshape(-1)


def _row_norm_forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    axes: tuple[int, ...],
    eps: float,
    kept: list[Any],
) -> Array:
    """Layer norm of a NumPy array; without a `bias` its RMS norm."""
    rows = _as_rows(x, axes)
    parameters = _as_row(weight), _as_row(bias), bias is not None, eps
    y = np.empty(x.shape, rows.dtype)
    out = y.reshape(rows.shape)
    if rows.size <= _BLOCK:
        mean, factor = _normalize_rows(rows, out, *parameters)
    else:
        found = [_normalize_rows(rows[p], out[p], *parameters) for p in _blocks(*rows.shape)]
        factor = np.concatenate([f for _, f in found])
        mean = None if bias is None else np.concatenate([m for m, _ in found])
    kept.append((mean, factor))
    return y.astype(x.dtype, copy=False)


def _normalize_rows(
    x: Array, y: Array, w: Array | None, b: Array | None, centring: bool, eps: float
) -> tuple[Array | None, Array]:
    """Write a block of the result to `y`. Returns mean and factor."""
    mean = None
    if centring:
        mean = _row_means(x)
        x = np.subtract(x, mean, y)
    factor = _invert(_mean_products(x, x), eps)
    np.multiply(x, factor, y)
    if w is not None:
        y *= w
    if b is not None:
        y += b
    return mean, factor


def _row_norm_backward(
    g: Array,
    x: Array,
    weight: Array,
    mean: Array | None,
    factor: Array,
    axes: tuple[int, ...],
    wanted: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """The gradients of `_row_norm_forward`, in the dtype it computes in."""
    rows, cotangents, w = _as_rows(x, axes), _as_rows(g, axes), _as_row(weight)
    # Of the final shape: a result that is no view becomes a leaf's gradient without a copy.
    dx = np.empty(x.shape, rows.dtype) if wanted[0] else None
    out = None if dx is None else dx.reshape(rows.shape)
    if rows.size <= _BLOCK:
        dw, db = _row_gradients(cotangents, rows, w, mean, factor, out, wanted)
    else:
        parts = [
            _row_gradients(
                cotangents[p],
                rows[p],
                w,
                None if mean is None else mean[p],
                factor[p],
                None if out is None else out[p],
                wanted,
            )
            for p in _blocks(*rows.shape)
        ]
        dw = _total([part for part, _ in parts]) if wanted[1] else None
        db = _total([part for _, part in parts]) if wanted[2:] == (True,) else None
    if len(axes) > 1:
        shape = x.shape[axes[0] :]
        dw, db = [None if d is None else d.reshape(shape) for d in (dw, db)]
    return dx, dw, db


def _row_gradients(
    g: Array,
    x: Array,
    w: Array | None,
    mean: Array | None,
    factor: Array,
    dx: Array | None,
    wanted: tuple[bool, ...],
) -> tuple[Array | None, Array | None]:
    """Write a block of the gradient to `dx`. Returns what it adds to those of weight and bias."""
    dw = db = None
    centred = x if mean is None else x - mean
    # With g * factor instead of the normalised array there is a pass less over the block.
    h = g * factor
    if wanted[1]:
        if g.size < _RUN:
            dw = np.add.reduce(h * centred, 0)
        else:
            dw = np.einsum("ij,ij->j", h, centred)
    if wanted[2:] == (True,):
        db = np.add.reduce(g, 0)
    if dx is not None:
        np.multiply(h, 1 if w is None else w, dx)
        slope = _mean_products(dx, centred)
        slope *= factor
        slope *= factor
        if mean is not None:
            dx -= _row_means(dx)
        dx -= np.multiply(centred, slope, h)
    return dw, db


def _row_norm_rule(
    xp: Any,
    g: Any,
    x: Any,
    weight: Any,
    axes: tuple[int, ...],
    eps: float,
    kept: list[Any],
    wanted: tuple[bool, ...],
) -> Any:
    """The gradients of layer norm; of RMS norm if two are asked about."""
    inputs = (x, weight, weight)[: len(wanted)]
    centred = len(wanted) == 3
    mean, factor = kept[0]
    narrow = x.dtype.itemsize == 2
    if xp is _NUMPY:
        gradients = _row_norm_backward(g, x, weight, mean, factor, axes, wanted)
        return _cast(xp, gradients, inputs) if narrow else gradients
    if narrow:
        g, x, weight = [xp.astype(a, np.float32) for a in (g, x, weight)]
    shape = x.shape[axes[0] :]
    count = math.prod(shape) or 1
    if xp is recorded:
        # What the forward kept is a function of x: it is computed again, so as to be recorded.
        z = x - xp.sum(x, axis=axes, keepdims=True) / count if centred else x
        factor = 1 / xp.sqrt(xp.sum(z * z, axis=axes, keepdims=True) / count + eps)
        z = z * factor
    else:
        rows = x.shape[: axes[0]] + (1,) * len(axes)
        z = x - xp.reshape(mean, rows) if centred else x
        factor = xp.reshape(factor, rows)
        z = z * factor
    dx = dw = db = None
    if wanted[0]:
        h = g * weight
        dx = h - z * (xp.sum(h * z, axis=axes, keepdims=True) / count)
        if centred:
            dx = dx - xp.sum(h, axis=axes, keepdims=True) / count
        dx = dx * factor
    if wanted[1]:
        dw = xp.sum_to(g * z, shape)
    if centred and wanted[2]:
        db = xp.sum_to(g, shape)
    return _cast(xp, (dx, dw, db), inputs)


_layer_norm = primitive(
    "layer_norm",
    lambda xp, x, weight, bias, axes, eps, kept: _row_norm_forward(
        x, weight, bias, axes, eps, kept
    ),
    joint=_row_norm_rule,
    inputs=3,
    graph="NativeLayerNormBackward0",
)
# PyTorch writes it as x * factor * weight.
_rms_norm = primitive(
    "rms_norm",
    lambda xp, x, weight, axes, eps, kept: _row_norm_forward(x, weight, None, axes, eps, kept),
    joint=_row_norm_rule,
    inputs=2,
    graph="MulBackward0",
)


def _normalized_axes(name: str, x: Tensor, normalized_shape: Any) -> tuple[int, ...]:
    """The dimensions of `x` that `normalized_shape` stands for, its last ones.

    Raises:
        ArgumentTypeError: it is no tuple.
        ShapeError: it is empty, or differs from their lengths.
    """
    if not isinstance(normalized_shape, tuple | list):
        raise ArgumentTypeError(
            f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, "
            f"not {type(normalized_shape).__qualname__}."
        )
    shape = tuple(normalized_shape)
    ndim, first = len(x._shape), len(x._shape) - len(shape)
    if shape and x._shape[first:] == shape and first >= 0:
        return tuple(range(first, ndim))
    if not shape:
        raise ShapeError(
            f"{name}: Expected normalized_shape to be at least 1-dimensional, i.e., containing "
            "at least one element, but got normalized_shape = []."
        )
    raise ShapeError(
        f"{name}: Given normalized_shape={list(shape)}, expected input with shape "
        f"[*, {', '.join(map(str, shape))}], but got input of size{list(x._shape)}."
    )


def _affine_parameter(
    name: str, argument: str, position: int, value: Any, x: Tensor, axes: tuple[int, ...]
) -> Tensor:
    """A weight or bias as a Tensor.

    Raises:
        ArgumentTypeError: it is no Tensor and no array.
        ShapeError: it has not the shape that `x` has along `axes`.
    """
    t: Tensor = value
    if t.__class__ is not Tensor:
        t = tensor_argument(name, argument, position, value)
    shape = x._shape[axes[0] :]
    if t._shape != shape:
        raise ShapeError(
            f"{name}: Expected {argument} to be of same shape as normalized_shape, but got "
            f"{argument} of shape {list(t._shape)} and normalized_shape = {list(shape)}."
        )
    return t


def _layer_norm_samples(make: Maker) -> list[Sample]:
    return [
        sample(make.real(2, 3), (3,), make.real(3), make.real(3)),
        sample(make.real(2, 3), (3,)),
        sample(make.real(2, 3), (3,), make.real(3)),
        sample(make.real(2, 3), (3,), None, make.real(3)),
        sample(make.real(4, 2, 3), [2, 3], make.real(2, 3), make.real(2, 3), 0.1),
        sample(make.real(4, 2, 3), (3,), weight=make.real(3), bias=make.real(3), eps=1e-3),
        sample(make.real(3), (3,), make.real(3), make.real(3)),
        sample(make.real(0, 3), (3,), make.real(3), make.real(3)),
    ]


def _normalized_shape_errors(make: Maker) -> list[Bad]:
    return [
        bad(RuntimeError, r"expected input with shape \[\*, 5\]", make.real(2, 3), (5,)),
        bad(RuntimeError, r"expected input with shape \[\*, 4, 2, 3\]", make.real(2, 3), (4, 2, 3)),
        bad(RuntimeError, "at least 1-dimensional", make.real(2, 3), ()),
        bad(RuntimeError, "Expected weight to be", make.real(2, 3), (3,), make.real(4)),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 2, 3), (3,)),
        bad(TypeError, "must be tuple of ints", make.real(2, 3), 3),
        bad(TypeError, "must be a Tensor", [1.0], (1,)),
        bad(
            TypeError, "'weight' .* must be a Tensor|argument 3 must", make.real(2, 1), (1,), [1.0]
        ),
    ]


@public(
    path="nn.functional.layer_norm",
    kind="primitive",
    samples=_layer_norm_samples,
    errors=lambda make: [
        *_normalized_shape_errors(make),
        bad(RuntimeError, "Expected bias to be", make.real(2, 3), (3,), None, make.real(4)),
        bad(RuntimeError, "mixed dtype", make.real(2, 3), (3,), make.real(3).astype(np.float32)),
    ],
    departs={"derivative: 3": "PyTorch's double backward fails without a weight"},
)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and variance of the last dimensions.

    Args:
        input: `(*, *normalized_shape)`, floating point.
        normalized_shape: the dimensions that mean and variance (divided by n) are taken over.
        weight: of that shape, and of the dtype of `input`, or float32 where that is float16; None
            is ones.
        bias: likewise, of the dtype of `weight`; None is zeros.
        eps: added to the variance.

    Returns:
        The shape and dtype of `input`. float16 is computed in float32.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `input` is not floating point, or the parameters are of another dtype.
    """
    x = input
    if x.__class__ is not Tensor or x._type.dtype not in WIDE:
        x = floating("layer_norm", input)
    axes = _normalized_axes("layer_norm", x, normalized_shape)
    kind = x._type
    w = b = None
    if weight is not None:
        w = _affine_parameter("layer_norm", "weight", 3, weight, x, axes)
    if bias is not None:
        b = _affine_parameter("layer_norm", "bias", 4, bias, x, axes)
    if w is None or b is None or not w._type is b._type is kind:
        kind = _parameter_type("layer_norm", x, {"weight": w, "bias": b})
        w = _absent(kind) if w is None else w
        b = _absent(kind) if b is None else b
    return _layer_norm(x, w, b, axes, eps, [])


def _rms_norm_samples(make: Maker) -> list[Sample]:
    return [
        sample(make.real(2, 3), (3,), make.real(3)),
        sample(make.real(2, 3), (3,)),
        sample(make.real(4, 2, 3), [2, 3], make.real(2, 3), 0.1),
        sample(make.real(4, 2, 3), (3,), weight=make.real(3), eps=1e-3),
        sample(make.real(3), (3,), make.real(3)),
        sample(make.real(0, 3), (3,), make.real(3)),
        sample(make.complex(2, 3), (3,), make.complex(3)),
    ]


@public(
    path="nn.functional.rms_norm",
    kind="primitive",
    samples=_rms_norm_samples,
    errors=_normalized_shape_errors,
)
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Root mean square norm: x / sqrt(mean(x^2) + eps) * weight, the mean over the last dimensions.

    Args:
        input: `(*, *normalized_shape)`, floating point or complex.
        normalized_shape: the dimensions that the mean is taken over.
        weight: of that shape; None is ones.
        eps: added to the mean; None is the distance from 1 to the next number of the dtype that is
            computed in.

    Returns:
        The shape and dtype of `input`. float16 is computed in float32.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: `input` is neither floating point nor complex.
    """
    x = input
    if x.__class__ is not Tensor or not x._type.dtype.is_inexact:
        x = tensor_argument("rms_norm", "input", 1, input)
        if not x._type.dtype.is_inexact:
            floating("rms_norm", x)
    kind = x._type
    axes = _normalized_axes("rms_norm", x, normalized_shape)
    if weight is None:
        w = _absent(kind)
    else:
        w = _affine_parameter("rms_norm", "weight", 3, weight, x, axes)
    if eps is None:
        eps = _EPSILON[kind.dtype]
    own = w._type.dtype
    if (
        kind.dtype.is_floating_point
        and w._type.device.base is kind.device.base
        and (own is kind.dtype or (kind.dtype is dtypes.float16 and own is dtypes.float32))
    ):
        return _rms_norm(x, w, axes, eps, [])
    if kind.dtype is dtypes.float16:
        x = x.float()
    y: Tensor = x / ((x * x).mean(axes, keepdim=True) + eps).sqrt() * w
    return y.to(kind.dtype)


_EPSILON: Final = {
    t: float(np.finfo(t.dtype if t.itemsize > 2 else np.float32).eps)
    for t in dtypes.ALL
    if t.is_inexact
}


# over the batch ---------------------------------------------------------------------------------


def _channel_sums(terms: str, *arrays: Array) -> list[Array]:
    """Sums over `(n, channels, inner)` for each channel, in parts of n that add up exactly.

    Args:
        terms: `"nci"` to sum an array, `"nci,nci"` to sum the products of two.
        arrays: of NumPy.
    """
    n = len(arrays[0])
    if n <= _RUN:
        return [np.einsum(terms + "->c", *arrays)]
    whole = n - n % _RUN
    runs = [a[:whole].reshape(-1, _RUN, *a.shape[1:]) for a in arrays]
    parts = list(np.einsum(terms.replace("n", "kn") + "->kc", *runs))
    return parts + _channel_sums(terms, *[a[whole:] for a in arrays]) if whole < n else parts


def _moments(x: Array, count: int) -> tuple[Array, Array]:
    """Mean and variance of each channel of a NumPy array `(n, channels, inner)`."""
    blocks = _blocks(len(x), x[0].size)
    mean = _total([s for part in blocks for s in _channel_sums("nci", x[part])])
    mean /= count
    shifts, squares = [], []
    for part in blocks:
        centred = x[part] - mean[:, None]
        shifts += _channel_sums("nci", centred)
        squares += _channel_sums("nci,nci", centred, centred)
    # What rounding left of the mean; without it the variance of equal numbers is 0.
    shift = _total(shifts)
    shift /= count
    variance = _total(squares)
    variance /= count
    variance -= shift * shift
    np.maximum(variance, 0, out=variance)
    mean += shift
    return mean, variance


def _update(running: Array, statistic: Array, momentum: float) -> None:
    """Move running statistics towards those of a batch."""
    running[...] = (1.0 - momentum) * _wide(running) + momentum * statistic.reshape(running.shape)


def _batch_norm_forward(
    xp: Any,
    x: Array,
    weight: Array,
    bias: Array,
    running: Any,
    training: bool,
    momentum: float,
    eps: float,
    kept: list[Any],
) -> Array:
    """Batch norm of a NumPy array; `running` is (mean, variance), or None."""
    n, channels = x.shape[:2]
    a = _wide(x).reshape(n, channels, -1)
    count = n * a.shape[2]
    if training:
        mean, factor = _moments(a, count)
        if running is not None:
            _update(running[0], mean, momentum)
            _update(running[1], factor * (count / (count - 1)), momentum)
    else:
        mean, factor = [v.reshape(-1).astype(a.dtype) for v in running]
    factor = _invert(factor, eps)
    scale = (factor * _wide(weight).reshape(-1))[:, None]
    shift = _wide(bias).reshape(-1, 1)
    y = np.empty(x.shape, a.dtype)
    whole = y.reshape(a.shape)
    for part in _blocks(n, a[0].size):
        out = np.subtract(a[part], mean[:, None], whole[part])
        out *= scale
        if bias.ndim:
            out += shift
    per_channel = (channels,) + (1,) * (x.ndim - 2)
    kept.append((mean.reshape(per_channel), factor.reshape(per_channel)))
    return y.astype(x.dtype, copy=False)


def _batch_norm_backward(
    g: Array,
    x: Array,
    weight: Array,
    mean: Array,
    factor: Array,
    training: bool,
    wanted: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    """The gradients of `_batch_norm_forward`, in the dtype it computes in."""
    n, channels = x.shape[:2]
    a, v = [_wide(array).reshape(n, channels, -1) for array in (x, g)]
    mean, factor = mean.reshape(-1, 1), factor.reshape(-1)
    blocks = _blocks(n, a[0].size)
    dx = dw = db = None
    if wanted[1] or (training and wanted[0]):
        dw = _total(
            [s for part in blocks for s in _channel_sums("nci,nci", v[part], a[part] - mean)]
        )
        dw *= factor
    if wanted[2] or (training and wanted[0]):
        db = _total([s for part in blocks for s in _channel_sums("nci", v[part])])
    if wanted[0]:
        dx = np.empty(x.shape, a.dtype)
        whole = dx.reshape(a.shape)
        scale = (factor * _wide(weight).reshape(-1))[:, None]
        count = n * a.shape[2]
        for part in blocks:
            h = v[part]
            if training:
                # h - mean(h) - z * mean(h * z), of which z is (x - mean) * factor.
                z = a[part] - mean
                z *= (dw * (factor / count))[:, None]
                z += (db / count)[:, None]
                h = np.subtract(h, z, z)
            np.multiply(h, scale, whole[part])
    return dx, dw if wanted[1] else None, db if wanted[2] else None


def _batch_norm_rule(
    xp: Any,
    g: Any,
    x: Any,
    weight: Any,
    weight_shape: Any,
    bias_shape: Any,
    training: bool,
    eps: float,
    kept: list[Any],
    wanted: tuple[bool, ...],
) -> Any:
    mean, factor = kept[0]
    if xp is _NUMPY:
        gradients = _batch_norm_backward(g, x, weight, mean, factor, training, wanted)
    else:
        gradients = _batch_norm_formula(xp, g, x, weight, mean, factor, training, eps, wanted)
    dx, dw, db = _cast(xp, gradients, (x, weight, weight))
    if dw is not None and dw.shape != weight_shape:
        dw = xp.reshape(dw, weight_shape)
    if db is not None and db.shape != bias_shape:
        db = xp.reshape(db, bias_shape)
    return dx, dw, db


def _batch_norm_formula(
    xp: Any,
    g: Any,
    x: Any,
    weight: Any,
    mean: Any,
    factor: Any,
    training: bool,
    eps: float,
    wanted: tuple[bool, ...],
) -> tuple[Any, ...]:
    if x.dtype.itemsize == 2:
        g, x, weight = [xp.astype(a, np.float32) for a in (g, x, weight)]
    per_channel = (x.shape[1],) + (1,) * (x.ndim - 2)
    if weight.ndim:
        weight = xp.reshape(weight, per_channel)
    axes = (0, *range(2, x.ndim))
    count = math.prod([x.shape[d] for d in axes])
    if training and xp is recorded:
        # What the forward kept is a function of x: it is computed again, so as to be recorded.
        z = x - xp.sum(x, axis=axes, keepdims=True) / count
        factor = 1 / xp.sqrt(xp.sum(z * z, axis=axes, keepdims=True) / count + eps)
        z = z * factor
    else:
        z = (x - mean) * factor
    dw = xp.sum(g * z, axis=axes, keepdims=True)
    db = xp.sum(g, axis=axes, keepdims=True)
    dx = None
    if wanted[0]:
        dx = g - (db + z * dw) / count if training else g
        dx = dx * (weight * factor)
    return dx, dw if wanted[1] else None, db if wanted[2] else None


_batch_norm = primitive(
    "batch_norm",
    _batch_norm_forward,
    joint=_batch_norm_rule,
    inputs=3,
    graph="NativeBatchNormBackward0",
)


def _batch_norm_samples(make: Maker) -> list[Sample]:
    def affine(channels: int) -> tuple[Any, ...]:
        return make.real(channels), make.real(channels), True

    return [
        sample(make.real(4, 3), None, None, *affine(3)),
        sample(make.real(4, 3), None, None, training=True),
        sample(make.real(4, 3), None, None, make.real(3), training=True),
        sample(make.real(4, 3), None, None, bias=make.real(3), training=True, eps=0.1),
        sample(make.real(2, 3, 4), None, None, *affine(3)),
        sample(make.real(1, 2, 3, 2), None, None, *affine(2), 0.5, 1e-3),
        sample(make.real(2, 3, 0), None, None, *affine(3)),
        sample(make.real(0, 3), None, None, training=True),
    ]


def _batch_norm_errors(make: Maker) -> list[Bad]:
    x, v = make.real(4, 3), make.real(3, low=0.5)
    one = make.real(1)
    return [
        bad(
            ValueError, "more than 1 value per channel", make.real(1, 3), None, None, training=True
        ),
        bad(
            ValueError, "eps must be positive during training", x, None, None, eps=0, training=True
        ),
        bad(ValueError, "eps must be non-negative", x, None, None, eps=-1.0),
        bad(RuntimeError, "running_mean must be defined in evaluation mode", x, None, None),
        bad(ValueError, "either both be None or neither", x, None, v, training=True),
        bad(RuntimeError, "weight should contain 3 elements not 1", x, None, None, one, None, True),
        bad(RuntimeError, "bias should contain 3 elements not 1", x, None, None, None, one, True),
        bad(RuntimeError, "argument 'running_mean'. This input cannot have requires_grad", x, v, v),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 4, 3), None, None),
        bad(RuntimeError, "at least 2 dimensions", make.real(3), None, None, training=True),
        bad(TypeError, "momentum", x, None, None, training=True, momentum=None),
        bad(TypeError, "must be a Tensor", x, [1.0], v),
    ]


@public(
    path="nn.functional.batch_norm",
    kind="primitive",
    samples=_batch_norm_samples,
    errors=_batch_norm_errors,
    departs={"derivative: 3": "PyTorch's double backward fails without a weight"},
)
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and variance of each channel.

    In training they are those of the batch, the variance divided by n, and `running_mean` and
    `running_var` become (1 - momentum) times what they were plus `momentum` times mean and variance
    of the batch, the variance divided by n - 1. Else they are `running_mean` and `running_var`.

    Args:
        input: `(n, channels, *)`, floating point.
        running_mean: `(channels,)`, of the dtype of `input`, or float32 where that is float16. In
            training it may be None, and is changed in place.
        running_var: likewise; None exactly where `running_mean` is.
        weight: likewise, and never changed; None is ones.
        bias: likewise; None is zeros.
        training: whether mean and variance are those of the batch.
        momentum: the share of the batch in the new running statistics.
        eps: added to the variance.

    Returns:
        The shape and dtype of `input`. float16 is computed in float32.

    Raises:
        ArgumentError: in training there is only one value per channel, or `eps` is not positive;
            else, it is negative.
        ShapeError: `input` has less than two dimensions; a parameter has not one element per
            channel; running statistics are missing.
        DTypeError: `input` is not floating point, or the parameters are of another dtype.
        GraphError: running statistics require grad.
    """
    x = input
    if x.__class__ is not Tensor or x._type.dtype not in WIDE:
        x = floating("batch_norm", input)
    shape = x._shape
    if len(shape) < 2:
        raise ShapeError(
            "batch_norm: expected input (n, channels, *), of at least 2 dimensions, but its shape "
            f"is {shape}."
        )
    channels = shape[1]
    if training:
        if shape[0] * math.prod(shape[2:]) == 1:
            raise ArgumentError(
                "batch_norm: Expected more than 1 value per channel when training, got input size "
                f"{x.shape}."
            )
        if eps <= 0.0:
            raise ArgumentError(
                f"batch_norm: batch_norm eps must be positive during training, but got {eps}."
            )
    elif eps < 0.0:
        raise ArgumentError(f"batch_norm: batch_norm eps must be non-negative, but got {eps}.")
    if not isinstance(momentum, float | int):
        raise ArgumentTypeError(
            "batch_norm(): argument 'momentum' (position 7) must be float, "
            f"not {type(momentum).__qualname__}."
        )
    mean = _channel_parameter("running_mean", 4, running_mean, channels)
    var = _channel_parameter("running_var", 5, running_var, channels)
    if not training and (mean is None or var is None):
        missing = "running_mean" if mean is None else "running_var"
        raise ShapeError(f"batch_norm: {missing} must be defined in evaluation mode.")
    if (mean is None) != (var is None):
        raise ShapeError(
            "batch_norm: running_mean and running_var must either both be None or neither be None."
        )
    w = _channel_parameter("weight", 2, weight, channels)
    b = _channel_parameter("bias", 3, bias, channels)
    kind = _parameter_type(
        "batch_norm", x, {"weight": w, "bias": b, "running_mean": mean, "running_var": var}
    )
    if not x.numel():
        # As in PyTorch: no statistics, and gradients of zeros.
        y: Tensor = x.clone()
        if w is not None:
            y = y * w[0]
        return y if b is None else y + b[0]
    for name, t in (("running_mean", mean), ("running_var", var)):
        if t is not None and t._requires_grad and is_grad_enabled():
            raise GraphError(
                f"The function 'native_batch_norm' is not differentiable with respect to argument "
                f"{name!r}. This input cannot have requires_grad True."
            )
    w = _absent(kind) if w is None else w
    b = _absent(kind) if b is None else b
    running = None if mean is None or var is None else (mean._array, var._array)
    found: Tensor = _batch_norm(x, w, b, running, bool(training), momentum, eps, [])
    return found


def _channel_parameter(argument: str, position: int, value: Any, channels: int) -> Tensor | None:
    """A parameter of batch norm as a Tensor; None stays.

    Raises:
        ArgumentTypeError: it is no Tensor and no array.
        ShapeError: it has another number of elements.
    """
    if value is None:
        return None
    t = (
        value
        if value.__class__ is Tensor
        else tensor_argument("batch_norm", argument, position, value)
    )
    if t._shape != (channels,) and t.numel() != channels:
        raise ShapeError(
            f"batch_norm: {argument} should contain {channels} elements not {t.numel()}."
        )
    return t


# to length 1 ------------------------------------------------------------------------------------


@public(
    path="nn.functional.normalize",
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(2, 3), dim=0),
        sample(make.real(2, 3), 1.0, -1),
        sample(make.real(2, 3), eps=3.0),
    ],
)
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Each slice divided by its norm, or by `eps` where the norm is smaller.

    Args:
        input: floating point, any shape.
        p: the exponent of the norm.
        dim: the dimension that the norm is taken over.
        eps: the smallest divisor.
    """
    size = input.norm(p, dim, keepdim=True)
    return input / size.clamp_min(eps)
