"""Normalisation of channels: by groups, one by one, and across neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..batching.readings import leading
from ..device import CPU, Array
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..mode import no_grad
from ..op import primitive, public, recorded
from ..samples import bad, sample
from ..tensor import Tensor
from .activation import floating
from .layer import tensor_argument
from .normalization import (
    _NUMPY,
    _absent,
    _blocks,
    _cast,
    _invert,
    _layer_norm,
    _mean_products,
    _parameter_type,
    _row_means,
    _wide,
    batch_norm,
)

__all__: list[str] = []


# on the CPU -------------------------------------------------------------------------------------


def _channels_of(x: Array, groups: int) -> Array:
    """A NumPy array as (samples * groups, channels of a group, elements of a channel)."""
    n, channels = x.shape[:2]
    count = math.prod(x.shape[2:])
    return _wide(x).reshape((n * groups, channels // groups, count))


def _per_channel(parameter: Array, groups: int, rows: int) -> Array:
    """A parameter per channel as `(rows, channels of a group, 1)`; 1 stays."""
    if not parameter.ndim:
        return parameter
    each = _wide(parameter).reshape((1, groups, len(parameter) // groups))
    return np.broadcast_to(each, (rows // groups, *each.shape[1:])).reshape(
        (rows, len(parameter) // groups, 1)
    )


def _group_norm_forward(
    xp: Any,
    x: Array,
    weight: Array,
    bias: Array,
    groups: int,
    eps: float,
    kept: list[Any],
) -> Array:
    a = _channels_of(x, groups)
    rows, _, _ = a.shape
    size = a[0].size if rows else 0
    y = np.empty(x.shape, a.dtype)
    out = y.reshape(a.shape)
    scale, shift = _per_channel(weight, groups, rows), _per_channel(bias, groups, rows)
    means, factors = np.empty((2, rows, 1, 1), a.dtype)
    for part in _blocks(rows, size):
        block = a[part]
        mean, factor = means[part], factors[part]
        flat = block.reshape((len(block), size))
        mean[...] = _row_means(flat)[:, :, None]
        centred = np.subtract(block, mean, out[part])
        flat = centred.reshape(flat.shape)
        factor[...] = _invert(_mean_products(flat, flat), eps)[:, :, None]
        centred *= factor * scale[part] if scale.ndim else factor
        if shift.ndim:
            centred += shift[part]
    kept.append((means, factors))
    return y.astype(x.dtype, copy=False)


def _group_norm_backward(
    g: Array,
    x: Array,
    weight: Array,
    groups: int,
    mean: Array,
    factor: Array,
    wanted: tuple[bool, ...],
) -> tuple[Array | None, ...]:
    a, v = _channels_of(x, groups), _channels_of(g, groups)
    rows, width, count = a.shape
    size = width * count
    dx = np.empty(x.shape, a.dtype) if wanted[0] else None
    out = None if dx is None else dx.reshape(a.shape)
    slopes, sums = np.empty((2, rows, width, 1), a.dtype)
    scale = _per_channel(weight, groups, rows)
    for part in _blocks(rows, size):
        h, factors = v[part], factor[part]
        centred = a[part] - mean[part]
        slopes[part, :, 0] = np.vecdot(h, centred)
        slopes[part] *= factors
        sums[part] = _row_means(h.reshape((-1, count))).reshape((-1, width, 1)) * count
        if out is not None:
            each = scale[part] if scale.ndim else scale
            slope = np.add.reduce(slopes[part] * each, 1, keepdims=True) / (size or 1)
            total = np.add.reduce(sums[part] * each, 1, keepdims=True) / (size or 1)
            np.multiply(h, factors * each, out[part])
            centred *= slope * factors * factors
            centred += total * factors
            out[part] -= centred
    shape = (rows // groups, groups * width)
    dw, db = [
        np.add.reduce(s.reshape(shape), 0) if want else None
        for s, want in zip((slopes, sums), wanted[1:], strict=True)
    ]
    return dx, dw, db


def _group_norm_rule(
    xp: Any,
    g: Any,
    x: Any,
    weight: Any,
    groups: int,
    eps: float,
    kept: list[Any],
    wanted: tuple[bool, ...],
) -> Any:
    mean, factor = kept[0]
    if xp is _NUMPY:
        gradients = _group_norm_backward(g, x, weight, groups, mean, factor, wanted)
        return _cast(xp, gradients, (x, weight, weight))
    inputs = x, weight, weight
    if x.dtype.itemsize == 2:
        g, x, weight = [xp.astype(a, np.float32) for a in (g, x, weight)]
    n, channels = x.shape[:2]
    wide = (n * groups, channels // groups, math.prod(x.shape[2:]))
    size = (wide[1] * wide[2]) or 1
    z = xp.reshape(x, wide)
    if xp is recorded:
        # What the forward kept is a function of x: it is computed again, so as to be recorded.
        z = z - xp.sum(z, axis=(1, 2), keepdims=True) / size
        factor = 1 / xp.sqrt(xp.sum(z * z, axis=(1, 2), keepdims=True) / size + eps)
        z = z * factor
    else:
        z = (z - mean) * factor
    each = (channels,) + (1,) * (x.ndim - 2)
    axes = (0, *range(2, x.ndim))
    dx = dw = db = None
    if wanted[0]:
        h = xp.reshape(g * xp.reshape(weight, each) if weight.ndim else g, wide)
        slope = xp.sum(h * z, axis=(1, 2), keepdims=True) / size
        h = h - xp.sum(h, axis=(1, 2), keepdims=True) / size - z * slope
        dx = xp.reshape(h * factor, x.shape)
    if wanted[1]:
        dw = xp.sum(g * xp.reshape(z, x.shape), axis=axes)
    if wanted[2]:
        db = xp.sum(g, axis=axes)
    return _cast(xp, (dx, dw, db), inputs)


_group_norm = primitive(
    "group_norm",
    _group_norm_forward,
    joint=_group_norm_rule,
    inputs=3,
    graph="NativeGroupNormBackward0",
)


# everywhere -------------------------------------------------------------------------------------


def _vector(name: str, argument: str, position: int, value: Any, x: Tensor) -> Tensor | None:
    """A weight or bias as a Tensor; None stays.

    Raises:
        ShapeError: it is no vector of a number per channel.
    """
    if value is None:
        return None
    t = tensor_argument(name, argument, position, value)
    if t._shape != x._shape[1:2]:
        raise ShapeError(
            f"{name}: Expected {argument} to be a vector of size equal to the number of channels "
            f"in input, but got {argument} of shape {list(t._shape)} and input of shape "
            f"{list(x._shape)}."
        )
    return t


def _normalized(
    name: str, x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Each group of channels of each sample brought to mean 0 and variance 1, then scaled."""
    given = {"weight": weight, "bias": bias}
    kind = _parameter_type(name, x, given)
    if all(t is None or t._type.device is CPU for t in (x, weight, bias)):
        w, b = [_absent(kind) if t is None else t for t in (weight, bias)]
        return _group_norm(x, w, b, groups, eps, [])
    n, channels = x._shape[:2]
    rows = x.reshape((n * groups, math.prod(x._shape[1:]) // groups))
    half = x._type.dtype is dtypes.float16
    if half and (weight is not None or bias is not None):
        rows = rows.to(dtypes.float32)
        weight, bias = [None if t is None else t.to(dtypes.float32) for t in (weight, bias)]
        kind = _parameter_type(name, rows, {"weight": weight, "bias": bias})
    y: Tensor = _layer_norm(rows, _absent(kind), _absent(kind), (1,), eps, [])
    y = y.reshape(x._shape)
    each = (channels,) + (1,) * (x.ndim - 2)
    y = y if weight is None else y * weight.reshape(each)
    y = y if bias is None else y + bias.reshape(each)
    return y.to(x._type.dtype) if half else y


@public(
    path="nn.functional.group_norm",
    samples=lambda make: [
        sample(make.real(2, 4, 3), 2, make.real(4), make.real(4)),
        sample(make.real(2, 6), 2),
        sample(make.real(1, 2, 2, 3), 1, make.real(2), eps=0.1),
        sample(make.real(2, 3, 3), 3, bias=make.real(3)),
        sample(make.real(0, 4, 3), 2, make.real(4), make.real(4)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least 2 dimensions", make.real(3), 1),
        bad(RuntimeError, "channels in input to be divisible by", make.real(2, 4, 3), 3),
        bad(RuntimeError, "num groups to be greater than 0", make.real(2, 4, 3), -2),
        bad(ValueError, "more than 1 value per channel", make.real(1, 4), 4),
        bad(RuntimeError, "Expected weight to be a vector", make.real(2, 4), 2, make.real(3)),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 2, 4), 2),
        bad(TypeError, "must be int, not float", make.real(2, 4), 2.0),
        bad(RuntimeError, "mixed dtype", make.real(2, 2), 1, make.real(2).astype(np.float32)),
    ],
    departs={
        "saves": "mean and variance, of which PyTorch keeps what is wanted",
        "derivative: 3": "PyTorch's double backward fails without a weight",
    },
)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and variance of groups of channels.

    On the CPU small groups take up to four times as long as in PyTorch, for NumPy's short rows.

    Args:
        input: `(n, channels, *)`, floating point.
        num_groups: how many groups the channels form, each of consecutive ones.
        weight: `(channels,)`, of the dtype of `input`, or float32 where that is float16; None is
            ones.
        bias: likewise; None is zeros.
        eps: added to the variance, which is divided by the number of elements.

    Returns:
        The shape and dtype of `input`. float16 is computed in float32.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: there is only one value per group.
        DTypeError: `input` is not floating point, or the parameters are of another dtype.
    """
    x = floating("group_norm", input)
    if x.ndim < 2:
        raise ShapeError(
            "group_norm: Expected at least 2 dimensions for input tensor but received "
            f"{x.ndim}: expected (n, channels, *)."
        )
    if not isinstance(num_groups, int | np.integer):
        raise ArgumentTypeError(
            "group_norm(): argument 'num_groups' (position 2) must be int, not "
            f"{type(num_groups).__qualname__}."
        )
    if num_groups <= 0:
        raise ShapeError(f"group_norm: Expected num groups to be greater than 0, got {num_groups}.")
    n, channels = x._shape[:2]
    if channels % num_groups:
        raise ShapeError(
            "group_norm: Expected number of channels in input to be divisible by num_groups, but "
            f"got input of shape {list(x._shape)} and num_groups={num_groups}."
        )
    if n * (channels // num_groups) * math.prod(x._shape[2:]) == 1:
        raise ArgumentError(
            "group_norm: Expected more than 1 value per channel when training, got input size "
            f"{list(x._shape)}."
        )
    w = _vector("group_norm", "weight", 3, weight, x)
    b = _vector("group_norm", "bias", 4, bias, x)
    return _normalized("group_norm", x, int(num_groups), w, b, eps)


@public(
    path="nn.functional.instance_norm",
    samples=lambda make: [
        sample(make.real(2, 3, 6)),
        sample(make.real(2, 3, 4), None, None, make.real(3), make.real(3)),
        sample(make.real(1, 2, 2, 3), weight=make.real(2), eps=0.1),
        sample(make.real(0, 2, 3)),
    ],
    errors=lambda make: [
        bad(ValueError, "more than 1 spatial element", make.real(2, 3, 1)),
        bad(ValueError, "more than 1 spatial element", make.real(2, 3)),
        bad(
            RuntimeError, "to be defined when use_input_st", make.real(2, 3), use_input_stats=False
        ),
        bad(RuntimeError, "weight should contain", make.real(1, 3, 2), weight=make.real(2)),
        bad(ValueError, "both be None or neither", make.real(1, 3, 2), make.real(3)),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 1, 3, 2)),
    ],
    departs={"node": "group_norm", "saves": "the weight, of which PyTorch keeps a copy per sample"},
)
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and variance of each channel alone.

    With `use_input_stats` they are those of each channel of each sample, and `running_mean` and
    `running_var` move by the share `momentum` to the averages of these over the samples, of the
    variance divided by n - 1. Else they are `running_mean` and `running_var`.

    Args:
        input: `(n, channels, *)`, floating point.
        running_mean: `(channels,)`, changed in place if `use_input_stats`; it may be None then.
        running_var: likewise; None exactly where `running_mean` is.
        weight: `(channels,)`; None is ones.
        bias: likewise; None is zeros.
        use_input_stats: whether mean and variance are those of `input`.
        momentum: the share of `input` in the new running statistics.
        eps: added to the variance.

    Returns:
        The shape and dtype of `input`.

    Raises:
        ArgumentError: a channel has only one element.
        ShapeError: a parameter has not one element per channel; running statistics are missing.
        DTypeError: `input` is not floating point, or the parameters are of another dtype.
    """
    x = floating("instance_norm", input)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ShapeError(
                "instance_norm: Expected running_mean and running_var to be defined when "
                "use_input_stats is false."
            )
        found: Tensor = batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
        return found
    if x.ndim < 3 or math.prod(x._shape[2:]) == 1:
        raise ArgumentError(
            "instance_norm: Expected more than 1 spatial element when training, got input size "
            f"{x.shape}."
        )
    if (running_mean is None) != (running_var is None):
        raise ArgumentError(
            "instance_norm: running_mean and running_var must either both be None or neither be "
            "None."
        )
    channels = x._shape[1]
    given = {"running_mean": running_mean, "running_var": running_var}
    for name, value in (given | {"weight": weight, "bias": bias}).items():
        if value is not None and value.numel() != channels:
            raise ShapeError(
                f"instance_norm: {name} should contain {channels} elements not {value.numel()}."
            )
    w = _vector("instance_norm", "weight", 4, weight, x)
    b = _vector("instance_norm", "bias", 5, bias, x)
    if running_mean is not None and running_var is not None and x.numel():
        _parameter_type("instance_norm", x, given)
        with no_grad():
            dims = tuple(range(2, x.ndim))
            wide = x.to(running_mean._type.dtype)
            for running, statistic in (
                (running_mean, wide.mean(dims)),
                (running_var, wide.var(dims)),
            ):
                running.copy_((1.0 - momentum) * running + momentum * statistic.mean(0))
    return _normalized("instance_norm", x, channels, w, b, eps)


def _neighbour_sums(xp: Any, x: Array, reach: tuple[int, int], axis: int) -> Array:
    y = x.copy()
    n = x.shape[axis]
    rest = (slice(None),) * (-1 - axis)
    for shift in range(1, min(max(reach) + 1, n)):
        low, high = (..., slice(n - shift), *rest), (..., slice(shift, None), *rest)
        if shift <= reach[0]:
            y[high] += x[low]
        if shift <= reach[1]:
            y[low] += x[high]
    return y


# `reach`: how many neighbours before and after each element are added to it.
_neighbours: Callable[..., Tensor] = primitive(
    "neighbour_sums",
    _neighbour_sums,
    lambda xp, g, reach, axis: xp.apply(_neighbours, g, reach[::-1], axis),
    linear=True,
    batching=leading,
)


@public(
    path="nn.functional.local_response_norm",
    samples=lambda make: [
        sample(make.real(2, 4, 3), 2),
        sample(make.real(1, 3, 2, 2), 3, 0.3, 0.5, 2.0),
        sample(make.real(1, 3, 2), 7, alpha=0.1),
        sample(make.real(2, 0, 3), 2),
    ],
    errors=lambda make: [
        bad(ValueError, "Expected 3D or higher", make.real(2, 4), 2),
        bad(RuntimeError, "should be greater than zero", make.real(2, 4, 3), 0),
    ],
    departs={"values": "PyTorch rounds a mean of integers"},
)
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """`x` / (k + alpha * m)^beta, of which m is the mean of the squares of neighbouring channels.

    Args:
        input: `(n, channels, *)`, of at least three dimensions.
        size: how many channels are neighbours: size // 2 before, and the others from the channel
            itself on. Beyond the first and the last there are zeros.
        alpha: the factor of the mean.
        beta: the exponent.
        k: what is added to the mean.

    Raises:
        ArgumentError: `input` has fewer dimensions.
        ShapeError: `size` is not positive.
    """
    x = tensor_argument("local_response_norm", "input", 1, input)
    if x.ndim < 3:
        raise ArgumentError(
            "local_response_norm: Expected 3D or higher dimensionality input (got "
            f"{x.ndim} dimensions)."
        )
    if not x.numel():
        return x
    if size <= 0:
        raise ShapeError(
            f"local_response_norm: kernel size should be greater than zero, but got {size}."
        )
    around = _neighbours(x * x, (size // 2, (size - 1) // 2), 1 - x.ndim)
    return x / (around * (alpha / size) + k) ** beta
