"""Random Tensors of other distributions than the uniform and the normal one, and more makers."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .. import dtypes
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..inplace import overwrite
from ..op import tensor_of
from ..random import Generator, default_generator
from ..tensor import Tensor, wrap
from .assembly import broadcast_shapes
from .assign import drawn
from .creation import empty, linspace, made_by, type_asked_for
from .shape import expand, integers
from .strided import as_strided

__all__ = [
    "bernoulli",
    "empty_strided",
    "logspace",
    "multinomial",
    "normal",
    "poisson",
    "range",
    "scalar_tensor",
]

DeviceLike = Any


# made ------------------------------------------------------------------------------------------


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` powers of `base` whose exponents are at equal distances from `start` to `end`.

    Of an integer dtype both ends are made integers first.

    Raises:
        ArgumentError: `steps` is negative.
        ArgumentTypeError: it is no integer.
    """
    kind = type_asked_for(dtype, device)
    if not kind.recordable:
        start, end = int(start), int(end)
    wide = dtypes.complex128 if kind.dtype.is_complex else dtypes.float64
    exponents = linspace(start, end, steps, dtype=wide).numpy()
    if not kind.recordable:
        exponents = np.round(exponents, 12)
    host = np.power(base, exponents)
    return made_by(lambda module: module.asarray(host.astype(kind.numpy)), kind, requires_grad)


def scalar_tensor(
    s: Any, *, dtype: Any = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """A number as a 0-d Tensor of the default dtype, unless `dtype` is given."""
    kind = type_asked_for(dtype, device)
    host = np.asarray(s).astype(kind.numpy)
    return made_by(lambda module: module.asarray(host), kind, requires_grad)


def range(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers start, start + step, ... up to `end`, which is among them. Use `arange`.

    Raises:
        ArgumentError: `step` is 0, or leads away from `end`.
    """
    warnings.warn(
        "gradcore.range is deprecated, because its behavior is inconsistent with Python's range. "
        "Instead, use gradcore.arange, which produces values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ArgumentError("range: step must be nonzero.")
    if (end - start) / step < 0:
        raise ArgumentError(
            "range: upper bound and lower bound inconsistent with step sign: "
            f"start {start}, end {end}, step {step}."
        )
    kind = type_asked_for(dtype, device)
    host = (start + step * np.arange(math.floor((end - start) / step) + 1)).astype(kind.numpy)
    return made_by(lambda module: module.asarray(host), kind, requires_grad)


def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """A Tensor with these steps in memory, whose elements are whatever was there.

    Args:
        size: the shape.
        stride: the step from one element to the next, in elements, per dimension.
        dtype: of the elements.
        device: of the result.
        requires_grad: record what is done with it.

    Raises:
        ShapeError: `size` and `stride` differ in length.
        ArgumentError: a step is negative.
    """
    shape = integers("empty_strided", "size", size)
    steps = integers("empty_strided", "stride", stride)
    count = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, steps, strict=False))
    memory = empty(max(count, 0), dtype=dtype, device=device)
    return as_strided(memory, shape, steps).detach().requires_grad_(requires_grad)


def new_empty_strided(
    self: Tensor,
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """`empty_strided(...)` with the dtype and on the device of this Tensor."""
    return empty_strided(
        size,
        stride,
        dtype=dtype or self.dtype,
        device=self.device if device is None else device,
        requires_grad=requires_grad,
    )


# drawn -----------------------------------------------------------------------------------------


def _constant(values: Array, *parameters: Any) -> Tensor:
    """A Tensor of random values; what they depend on gets a zero gradient."""
    y = wrap(values)
    for p in parameters:
        if isinstance(p, Tensor) and p._requires_grad:
            y = overwrite(expand(p, y._shape).to(y.dtype), y)
    return y


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Ones with the probabilities in `input`, else zeros.

    Args:
        input: `(*)`, floating point, numbers in [0, 1]. It gets a zero gradient.
        p: one probability instead.
        generator: where the numbers come from; the device's own by default.

    Raises:
        ArgumentError: `p` is outside of [0, 1].
        DTypeError: `input` is of integers.
    """
    input = tensor_of("bernoulli", input)
    if p is not None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"bernoulli_ expects p to be in [0, 1], but got p={p}.")
        return input.clone().bernoulli_(p, generator=generator)
    if not input._type.dtype.is_floating_point:
        raise DTypeError(f'"bernoulli" not implemented for {input._type.dtype.label!r}.')
    source = generator or default_generator(input._type.device)
    below = source.uniform(input._shape, np.float64) < input._array
    return _constant(input._type.xp.astype(below, input._type.numpy), input)


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal random numbers, each with its mean and standard deviation.

    Args:
        mean: a number or a Tensor; Tensors broadcast together, and get zero gradients.
        std: a number or a Tensor, not negative.
        size: the shape, where both are numbers.
        generator: where the numbers come from; the device's own by default.
        dtype: of the result, where both are numbers.
        device: of the result, where both are numbers.
        requires_grad: record what is done with it, where both are numbers.

    Raises:
        ArgumentError: `std` is a negative number.
        ArgumentTypeError: there is neither a Tensor nor `size`.
    """
    if not isinstance(std, Tensor) and std < 0:
        raise ArgumentError(f"normal expects std >= 0.0, but found std {std}.")
    tensors = [v for v in (mean, std) if isinstance(v, Tensor)]
    if not tensors:
        if size is None:
            raise ArgumentTypeError("normal() missing 1 required positional argument: 'size'.")
        made = empty(size, dtype=dtype, device=device)
        return made.normal_(mean, std, generator=generator).requires_grad_(requires_grad)
    first = tensors[0]
    shape = broadcast_shapes(*[t._shape for t in tensors])
    source = generator or default_generator(first._type.device)
    numbers = source.normal(tuple(shape), first._type.numpy)
    raw = [v._array if isinstance(v, Tensor) else v for v in (mean, std)]
    return _constant(first._type.xp.astype(numbers * raw[1] + raw[0], first._type.numpy), *tensors)


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson random numbers with the means in `input`. They are drawn on the CPU.

    Args:
        input: `(*)`, floating point, not negative. It gets a zero gradient.
        generator: where the numbers come from; the device's own by default.

    Raises:
        ArgumentError: a mean is negative.
    """
    input = tensor_of("poisson", input)
    means = input._fetch()
    if (means < 0).any():
        raise ArgumentError("invalid Poisson rate, expected rate to be non-negative.")
    source = generator or default_generator(input._type.device)
    seed = int(wrap(source.integers(0, 1 << 62, (1,))).item())
    host = np.random.default_rng(seed).poisson(means).astype(means.dtype)
    device = input._type.device
    return _constant(device.backend.send(np.asarray(host), device), input)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Places drawn with the weights in each row of `input`.

    Args:
        input: `(n,)` or `(m, n)`, floating point, not negative; rows need not add up to 1.
        num_samples: how many places per row.
        replacement: whether a place may be drawn again.
        generator: where the numbers come from; the device's own by default.

    Returns:
        `(num_samples,)` or `(m, num_samples)`, int64.

    Raises:
        ShapeError: `input` has other dimensions.
        ArgumentError: there are too few places to draw from; on the CPU also, a weight is negative
            or infinite.
        DTypeError: `input` is not of floating-point numbers.
    """
    input = tensor_of("multinomial", input)
    shape = input._shape
    if len(shape) not in (1, 2):
        raise ShapeError("multinomial: prob_dist must be 1 or 2 dim.")
    if not input._type.dtype.is_floating_point:
        raise DTypeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{input._type.dtype.label}."
        )
    if num_samples <= 0:
        raise ArgumentError("cannot sample n_sample <= 0 samples.")
    if not replacement and num_samples > shape[-1]:
        raise ArgumentError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement."
        )
    if not input.is_cuda:
        _check_weights(input._fetch(), num_samples, replacement)
    source = generator or default_generator(input._type.device)
    rows = math.prod(shape[:-1])
    count = num_samples if replacement else shape[-1]
    numbers = source.uniform((rows, count), np.float64)
    device = input._type.device

    def draw(module: Any) -> Array:
        weights = input._array.reshape(rows, shape[-1]).astype(np.float64)
        if not replacement:
            # The least of exponential times, each with its rate.
            with np.errstate(divide="ignore"):
                times = -module.log1p(-numbers) / weights
            times = module.where(weights > 0, times, math.inf)
            return module.argsort(times, axis=-1)[:, :num_samples]
        ends = module.cumsum(weights, axis=-1)
        ends = ends / ends[:, -1:]
        row = module.arange(rows)[:, None]
        places = module.searchsorted((ends + row).reshape(-1), (numbers + row).reshape(-1), "right")
        places = places.reshape(rows, num_samples) - row * shape[-1]
        return module.clip(places, 0, shape[-1] - 1)

    places = device.backend.on(device, draw)
    return wrap(places.astype(np.int64).reshape(*shape[:-1], num_samples))


def _check_weights(weights: np.ndarray[Any, Any], count: int, replacement: bool) -> None:
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ArgumentError("probability tensor contains either `inf`, `nan` or element < 0.")
    positive = np.count_nonzero(weights, axis=-1)
    if not np.all(positive > 0):
        raise ArgumentError("invalid multinomial distribution (sum of probabilities <= 0).")
    if not replacement and np.any(positive < count):
        raise ArgumentError(
            "invalid multinomial distribution (with replacement=False, not enough non-negative "
            "category to sample)."
        )


# written ---------------------------------------------------------------------------------------


def _require(name: str, holds: bool, what: str) -> None:
    if not holds:
        raise ArgumentError(f"{name} expects {what}.")


def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Write exponential random numbers of rate `lambd` into all elements; return this Tensor.

    Raises:
        ArgumentError: `lambd` is not positive.
    """
    _require("exponential_", lambd > 0, f"lambda > 0.0, but found lambda={lambd}")
    xp = self._type.xp
    return drawn(
        self, generator, lambda g, shape, dtype: -xp.log1p(-g.uniform(shape, dtype)) / lambd
    )


def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Write Cauchy random numbers into all elements; return this Tensor.

    Raises:
        ArgumentError: `sigma` is not positive.
    """
    _require("cauchy_", sigma > 0, f"sigma > 0.0, but found sigma={sigma}")
    xp = self._type.xp
    return drawn(
        self,
        generator,
        lambda g, shape, dtype: xp.tan((g.uniform(shape, dtype) - 0.5) * math.pi) * sigma + median,
    )


def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Write the exponentials of normal random numbers into all elements; return this Tensor.

    Raises:
        ArgumentError: `std` is not positive.
    """
    _require("log_normal_", std > 0, f"std > 0.0, but found std={std}")
    xp = self._type.xp
    return drawn(
        self, generator, lambda g, shape, dtype: xp.exp(g.normal(shape, dtype) * std + mean)
    )


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Write how many trials of probability `p` it takes to succeed; return this Tensor.

    Raises:
        ArgumentError: `p` is not in (0, 1).
    """
    _require("geometric_", 0 < p < 1, f"p to be in (0, 1), but got p={p}")
    xp = self._type.xp

    def draw(g: Generator, shape: tuple[int, ...], dtype: Any) -> Any:
        trials = xp.ceil(xp.log1p(-g.uniform(shape, np.float64)) / math.log1p(-p))
        return xp.astype(xp.maximum(trials, 1), dtype)

    return drawn(self, generator, draw)


def random_(
    self: Tensor,
    from_: int | None = None,
    to: int | None = None,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Write random integers of [from_, to) into all elements; return this Tensor.

    Args:
        self: the Tensor to write to, not complex.
        from_: the least number, by default 0; alone it is the bound.
        to: the bound, not among them; by default all that the dtype has exactly.
        generator: where they come from; the device's own by default.

    Raises:
        ArgumentError: `from_` is not less than `to`.
    """
    dtype = self._type.dtype
    if from_ is not None and to is None:
        from_, to = 0, from_
    low = 0 if from_ is None else int(from_)
    if to is None:
        if dtype is dtypes.bool_:
            to = 2
        elif dtype.is_inexact:
            to = 2 ** (np.finfo(dtype.dtype).nmant + 1) + 1
        else:
            to = min(int(np.iinfo(dtype.dtype).max) + 1, 2**63 - 1)
    if low >= to:
        raise ArgumentError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={to}."
        )
    return drawn(self, generator, lambda g, shape, dtype: g.integers(low, to, shape, dtype))


for _function in (
    exponential_,
    cauchy_,
    log_normal_,
    geometric_,
    random_,
    new_empty_strided,
    multinomial,
    bernoulli,
):
    setattr(Tensor, _function.__name__, _function)
