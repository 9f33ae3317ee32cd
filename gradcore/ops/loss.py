"""Loss functions: how far predictions are from targets, as a number per element or one in all."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from .. import dtypes
from ..batching.array import bottom, deepest
from ..batching.namespace import batched, namespace_of
from ..device import CPU, Array
from ..errors import ArgumentError, DimensionError, DTypeError, ShapeError
from ..mode import checked_indices, is_grad_enabled, quiet
from ..op import Formula, common_device, primitive, promote, public, recorded
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Lifted, Size, Tensor, wrap
from .activation import WIDE, floating, log_softmax, logsigmoid, softmax
from .layer import beyond, tensor_argument
from .reduction import over_count

__all__: list[str] = []

_REDUCTIONS: Final = frozenset({"none", "mean", "sum"})


def legacy_reduction(size_average: Any, reduce: Any) -> str:
    """What PyTorch's two old arguments say, as a `reduction`."""
    reduction = "none"
    if reduce is None or reduce:
        reduction = "mean" if size_average is None or size_average else "sum"
    warnings.warn(
        "size_average and reduce args will be deprecated, "
        f"please use reduction='{reduction}' instead.",
        UserWarning,
        stacklevel=4,
    )
    return reduction


def _checked(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """`reduction`, or what the two old arguments say.

    Raises:
        ArgumentError: it is none of `"none"`, `"mean"`, `"sum"`.
    """
    if size_average is not None or reduce is not None:
        return legacy_reduction(size_average, reduce)
    if reduction not in _REDUCTIONS:
        raise ArgumentError(
            f"{reduction} is not a valid value for reduction; expected 'none', 'mean' or 'sum'."
        )
    return reduction


def _divisor(reduction: str, size: int) -> float | None:
    """What the sum of the losses is divided by; None where they are not summed."""
    if reduction == "none":
        return None
    if reduction == "sum":
        return 1.0
    # The mean of nothing is nan, and no ZeroDivisionError.
    return float(size) or math.nan


def _total(xp: Any, loss: Array, divisor: Any) -> Any:
    """The sum of `loss` over `divisor`, or `loss` itself; float16 is summed in float32."""
    if divisor is None:
        return loss
    if loss.dtype.itemsize < 4:
        return (xp.sum(loss, dtype=np.float32) / divisor).astype(loss.dtype)
    # NumPy's method costs less than a function; CuPy's does not.
    return (loss.sum() if xp is _HOST else xp.sum(loss)) / divisor


_HOST: Final = CPU.xp


# of two Tensors of one shape --------------------------------------------------------------------


def _elementwise_loss(
    name: str, loss: Formula, slope_a: Formula, slope_b: Formula | None, graph: str | None = None
) -> Callable[..., Tensor]:
    """A loss per element and its mean or sum, in one node.

    Args:
        name: of the operation.
        loss: `lambda xp, a, b, option: ...`.
        slope_a: its derivative by `a`, with the same parameters.
        slope_b: by `b`; None where it is that by `a` with the other sign.
        graph: the name of the node.
    """

    def rule(slope: Formula, sign: int) -> Formula:
        def call(xp: Any, g: Any, a: Any, b: Any, option: Any, divisor: Any) -> Any:
            if divisor is not None and divisor != 1.0:
                g = over_count(g, divisor)
            return (g if sign > 0 else -g) * slope(xp, a, b, option)

        return call

    return primitive(
        name,
        lambda xp, a, b, option, divisor: _total(xp, loss(xp, a, b, option), divisor),
        rule(slope_a, 1),
        rule(slope_a, -1) if slope_b is None else rule(slope_b, 1),
        graph=graph,
        saved_as={"b": "target"},
    )


def _same_size(
    name: str, input: Any, target: Any, takes_complex: bool = False
) -> tuple[Tensor, Tensor]:
    """Both operands in one dtype and one shape.

    Raises:
        ShapeError: they do not broadcast.
        DTypeError: the result would not be floating point.
    """
    a, b = promote(name, input, target)
    if not (a._type.dtype.is_floating_point or (takes_complex and a._type.dtype.is_complex)):
        raise DTypeError(
            f"{name} is not implemented for {a.dtype}: expected a floating point dtype, such as "
            "that of input.float()."
        )
    if a._shape != b._shape:
        warnings.warn(
            f"Using a target size ({Size(b._shape)}) that is different to the input size "
            f"({Size(a._shape)}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            UserWarning,
            stacklevel=3,
        )
        # Subtraction knows how to say why they do not broadcast.
        shape = (a.detach() - b.detach())._shape
        a, b = recorded.broadcast_to(a, shape), recorded.broadcast_to(b, shape)
    return a, b


def _direct(input: Any, target: Any) -> bool:
    return (
        input.__class__ is Tensor
        and target.__class__ is Tensor
        and input._type is target._type
        and input._shape == target._shape
        and input._type.dtype.is_floating_point
    )


def _pair_samples(make: Maker) -> list[Sample]:
    return [
        *(sample(make.real(*shape), make.real(*shape)) for shape in ((), (3,), (2, 3))),
        sample(make.real(2, 0, 3), make.real(2, 0, 3), reduction="sum"),
        sample(make.real(2, 3), make.real(2, 3), reduction="sum"),
        sample(make.real(2, 3), make.real(2, 3), reduction="none"),
    ]


def _pair_errors(make: Maker) -> list[Bad]:
    return [
        bad(ValueError, "not a valid value for reduction", make.real(2), make.real(2),
            reduction="average"),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 2), make.integers(0, 3, 2)),
    ]  # fmt: skip


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def _weighted(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """The reduction of `loss` times `weight`; the mean is divided by the sum of the weights."""
    product = loss * weight
    if reduction == "none":
        return product
    if reduction == "sum":
        return product.sum()
    weights: Tensor = recorded.broadcast_to(weight, product._shape)
    return product.sum() / weights.sum()


_mse = _elementwise_loss(
    "mse_loss",
    lambda xp, a, b, option: xp.square(a - b),
    lambda xp, a, b, option: 2 * (a - b),
    None,
)


@public(
    path="nn.functional.mse_loss",
    kind="primitive",
    samples=lambda make: [
        *_pair_samples(make),
        sample(make.real(2, 3), make.real(2, 3), weight=make.real(2, 3, low=0.5)),
    ],
    errors=_pair_errors,
    departs={"saves": "the operands, not their broadcasts"},
)
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(x - t)^2.

    Args:
        input: floating point, any shape.
        target: of the same shape; another one that broadcasts warns.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.
        weight: of the same shape, a factor per element; the mean is then a weighted mean.

    Raises:
        ArgumentError: there is no such reduction.
    """
    reduction = _checked(reduction, size_average, reduce)
    if not _direct(input, target):
        input, target = _same_size("mse_loss", input, target)
    if weight is not None:
        return _weighted(_mse(input, target, None, None), weight, reduction)
    return _mse(input, target, None, _divisor(reduction, input._array.size))


_l1 = _elementwise_loss(
    "l1_loss",
    lambda xp, a, b, option: xp.absolute(a - b),
    lambda xp, a, b, option: xp.sign(a - b),
    None,
)


@public(
    path="nn.functional.l1_loss",
    kind="primitive",
    samples=lambda make: [
        *_pair_samples(make),
        sample(make.complex(2, 3), make.complex(2, 3)),
        sample(make.complex(3), make.complex(3), reduction="none"),
    ],
    errors=_pair_errors,
    departs={"node": "one node", "saves": "the operands, not their difference"},
)
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|x - t|, with the arguments of `mse_loss`; of complex numbers too.

    Where they are equal the derivative is 0.
    """
    reduction = _checked(reduction, size_average, reduce)
    if not _direct(input, target):
        input, target = _same_size("l1_loss", input, target, takes_complex=True)
    if weight is not None:
        return _weighted(_l1(input, target, None, None), weight, reduction)
    return _l1(input, target, None, _divisor(reduction, input._array.size))


def _smooth(xp: Any, a: Any, b: Any, beta: float) -> Any:
    size = xp.absolute(a - b)
    return xp.where(size < beta, (0.5 / beta) * xp.square(size), size - 0.5 * beta)


def _smooth_slope(xp: Any, a: Any, b: Any, beta: float) -> Any:
    d = a - b
    return xp.where(xp.absolute(d) < beta, d / beta, xp.sign(d))


_smooth_l1 = _elementwise_loss("smooth_l1_loss", _smooth, _smooth_slope, None)


@public(
    path="nn.functional.smooth_l1_loss",
    kind="primitive",
    samples=lambda make: [
        *_pair_samples(make),
        sample(make.real(2, 3), make.real(2, 3), beta=0.3),
        sample(make.real(2, 3), make.real(2, 3), beta=0.0),
    ],
    errors=lambda make: [
        *_pair_errors(make),
        bad(RuntimeError, "negative values for beta", make.real(2), make.real(2), beta=-1.0),
    ],
    departs={"node": "l1_loss where beta is 0", "saves": "the operands, not their broadcasts"},
)
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d^2 / (2 beta) where d = |x - t| is below beta, else d - beta/2.

    Args:
        input: floating point, any shape.
        target: of the same shape; another one that broadcasts warns.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.
        beta: where the loss goes over from quadratic to linear; 0 is `l1_loss`.

    Raises:
        ArgumentError: there is no such reduction, or `beta` is negative.
    """
    if beta < 0:
        raise ArgumentError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return l1_loss(input, target, size_average, reduce, reduction)
    reduction = _checked(reduction, size_average, reduce)
    if not _direct(input, target):
        input, target = _same_size("smooth_l1_loss", input, target)
    return _smooth_l1(input, target, float(beta), _divisor(reduction, input._array.size))


def _huber_slope(xp: Any, a: Any, b: Any, delta: float) -> Any:
    d = a - b
    return xp.where(xp.absolute(d) <= delta, d, delta * xp.sign(d))


def _huber_forward(xp: Any, a: Any, b: Any, delta: float) -> Any:
    size = xp.absolute(a - b)
    return xp.where(size <= delta, 0.5 * xp.square(size), delta * (size - 0.5 * delta))


_huber = _elementwise_loss("huber_loss", _huber_forward, _huber_slope, None)


@public(
    path="nn.functional.huber_loss",
    kind="primitive",
    samples=lambda make: [
        *_pair_samples(make),
        sample(make.real(2, 3), make.real(2, 3), delta=0.3),
        sample(make.real(2, 3), make.real(2, 3), weight=make.real(2, 3, low=0.5)),
    ],
    errors=lambda make: [
        *_pair_errors(make),
        bad(RuntimeError, "non-positive values for delta", make.real(2), make.real(2), delta=0.0),
    ],
)
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d^2 / 2 where d = |x - t| is at most delta, else delta (d - delta/2).

    Of large Tensors on the CPU it takes up to three times as long as PyTorch's, in some ten passes.

    Args:
        input: floating point, any shape.
        target: of the same shape; another one that broadcasts warns.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.
        delta: where the loss goes over from quadratic to linear.
        weight: of the same shape, a factor per element; the mean is still divided by their number.

    Raises:
        ArgumentError: there is no such reduction, or `delta` is not positive.
    """
    if delta <= 0:
        raise ArgumentError("huber_loss does not support non-positive values for delta.")
    reduction = _checked(reduction)
    if not _direct(input, target):
        input, target = _same_size("huber_loss", input, target)
    if weight is not None:
        return _reduced(_huber(input, target, float(delta), None) * weight, reduction)
    return _huber(input, target, float(delta), _divisor(reduction, input._array.size))


# two classes ------------------------------------------------------------------------------------


def _logits_forward(xp: Any, a: Any, b: Any, option: None) -> Any:
    return xp.maximum(a, 0) - a * b + xp.log1p(xp.exp(-xp.absolute(a)))


_logits = _elementwise_loss(
    "binary_cross_entropy_with_logits",
    _logits_forward,
    lambda xp, a, b, option: xp.sigmoid(a) - b,
    lambda xp, a, b, option: -a,
)


@public(
    path="nn.functional.binary_cross_entropy_with_logits",
    kind="primitive",
    samples=lambda make: [
        *(
            sample(make.real(*shape), make.real(*shape, low=0.0, high=1.0))
            for shape in ((), (3,), (2, 3))
        ),
        sample(make.real(2, 0, 3), make.real(2, 0, 3), reduction="sum"),
        sample(make.real(9, low=-60, high=60), make.real(9, low=0.0, high=1.0), reduction="sum"),
        sample(make.real(2, 3), make.real(2, 3, low=0.0, high=1.0), make.real(3, low=0.1)),
        sample(
            make.real(2, 3),
            make.real(2, 3, low=0.0, high=1.0),
            pos_weight=make.real(3, low=0.1),
            reduction="none",
        ),
    ],
    errors=lambda make: [
        bad(ValueError, "must be the same as input size", make.real(2, 3), make.real(3)),
        bad(ValueError, "not a valid value", make.real(2), make.real(2), reduction="average"),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 2), make.integers(0, 2, 2)),
    ],
)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(p t log(sigmoid(x)) + (1 - t) log(1 - sigmoid(x))), exact for x of any size.

    Args:
        input: floating point, any shape.
        target: of that shape, in [0, 1].
        weight: a factor per element; broadcasts to `input`.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.
        pos_weight: p, the factor of positive targets; broadcasts to `input`. 1 by default.

    Raises:
        ShapeError: `target` has another shape than `input`.
        ArgumentError: there is no such reduction.
    """
    reduction = _checked(reduction, size_average, reduce)
    if not _direct(input, target):
        a, b = (tensor_argument("binary_cross_entropy_with_logits", n, i, v)
                for i, (n, v) in enumerate((("input", input), ("target", target)), 1))  # fmt: skip
        if a._shape != b._shape:
            raise ShapeError(
                f"binary_cross_entropy_with_logits: Target size ({Size(b._shape)}) must be the "
                f"same as input size ({Size(a._shape)})."
            )
        input, target = _same_size("binary_cross_entropy_with_logits", a, b)
    if weight is None and pos_weight is None:
        return _logits(input, target, None, _divisor(reduction, input._array.size))
    if pos_weight is None:
        loss = _logits(input, target, None, None)
    else:
        factor = (pos_weight - 1) * target + 1
        loss = (1 - target) * input - logsigmoid(input) * factor
    return _reduced(loss if weight is None else loss * weight, reduction)


_LEAST_LOG: Final = -100.0
_LEAST_VARIANCE: Final = float(np.float32(1e-12))
"""In PyTorch it is a constant of single precision."""


def _binary_forward(xp: Any, a: Any, b: Any, option: None) -> Any:
    with quiet():
        log_a, log_not_a = xp.log(a), xp.log1p(-a)
    return (b - 1) * xp.maximum(log_not_a, _LEAST_LOG) - b * xp.maximum(log_a, _LEAST_LOG)


_binary = _elementwise_loss(
    "binary_cross_entropy",
    _binary_forward,
    lambda xp, a, b, option: (a - b) / xp.maximum((1 - a) * a, _LEAST_VARIANCE),
    lambda xp, a, b, option: (
        xp.maximum(xp.log1p(-a), _LEAST_LOG) - xp.maximum(xp.log(a), _LEAST_LOG)
    ),
)


@public(
    path="nn.functional.binary_cross_entropy",
    kind="primitive",
    samples=lambda make: [
        *(
            sample(make.real(*shape, low=0.05, high=0.95), make.real(*shape, low=0.0, high=1.0))
            for shape in ((), (3,), (2, 3))
        ),
        sample(make.real(2, 0, 3), make.real(2, 0, 3), reduction="sum"),
        sample(
            make.real(2, 3, low=0.05, high=0.95),
            make.real(2, 3, low=0.0, high=1.0),
            make.real(3, low=0.1),
            reduction="sum",
        ),
    ],
    errors=lambda make: [
        bad(RuntimeError, "between 0 and 1", make.real(2, low=2.0, high=3.0), make.real(2)),
        bad(ValueError, "Please ensure they have the same size", make.real(2, 3), make.real(3)),
    ],
)
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log(x) + (1 - t) log(1 - x)), where no logarithm is taken to be below -100.

    Args:
        input: floating point, any shape, in [0, 1]. On CUDA that is not checked.
        target: of that shape.
        weight: a factor per element; broadcasts to `input`.
        size_average: use `reduction`.
        reduce: use `reduction`.
        reduction: `"mean"`, `"sum"`, or `"none"` for one loss per element.

    Raises:
        ShapeError: `target` has another shape than `input`.
        ArgumentError: an element of `input` is not in [0, 1], or there is no such reduction.
    """
    reduction = _checked(reduction, size_average, reduce)
    if not _direct(input, target):
        a, b = (tensor_argument("binary_cross_entropy", n, i, v)
                for i, (n, v) in enumerate((("input", input), ("target", target)), 1))  # fmt: skip
        if a._shape != b._shape:
            raise ShapeError(
                f"binary_cross_entropy: Using a target size ({Size(b._shape)}) that is different "
                f"to the input size ({Size(a._shape)}) is deprecated. Please ensure they have the "
                "same size."
            )
        input, target = _same_size("binary_cross_entropy", a, b)
    values = bottom(input._array)
    if not input.is_cuda and values.size and (values.min() < 0 or values.max() > 1):
        raise ArgumentError(
            "binary_cross_entropy: all elements of input should be between 0 and 1, and they go "
            f"from {values.min()} to {values.max()}."
        )
    if weight is None:
        return _binary(input, target, None, _divisor(reduction, input._array.size))
    return _reduced(_binary(input, target, None, None) * weight, reduction)


# many classes -----------------------------------------------------------------------------------


def _nll_forward(xp: Any, x: Any, index: Any, weight: Any, counts: Any, divisor: Any) -> Any:
    loss = xp.getitem(x, index) * -weight
    if counts is not None:
        loss = xp.where(counts, loss, 0.0)
    return _total(xp, loss, divisor)


def _nll_rule(
    xp: Any, g: Any, x_shape: Any, index: Any, weight: Any, counts: Any, divisor: Any
) -> Any:
    d = (g if divisor is None else g / divisor) * -weight
    if counts is not None:
        # Where all targets are ignored the divisor is 0, and the gradient still is.
        d = xp.where(counts, d, 0.0)
    return xp.put(d, index, x_shape)


# The metadata are raw arrays: where to look, the factor of each target, and (or None) which count.
_nll = primitive(
    "nll_loss", _nll_forward, _nll_rule, graph="NllLossBackward0", linear=True, holds_arrays=True
)
_nll_2d = primitive(
    "nll_loss2d",
    _nll_forward,
    _nll_rule,
    graph="NllLoss2DBackward0",
    linear=True,
    holds_arrays=True,
)


def _weight_array(name: str, x: Tensor, weight: Any, classes: int) -> Array | None:
    """The weights of the classes as a raw array, of the dtype of `x`."""
    if weight is None:
        return None
    w = tensor_argument(name, "weight", 3, weight)
    if w._shape != (classes,):
        raise ShapeError(
            f"{name}: weight tensor should be defined either for all {classes} classes or no "
            f"classes but got weight tensor of shape: {list(w._shape)}."
        )
    if w._type.dtype is not x._type.dtype or w._type.device is not x._type.device:
        common_device(name, (x, w))
    if w._type.dtype is not x._type.dtype:
        raise DTypeError(
            f"{name}: expected weight to have the dtype of input, {x.dtype}, but found {w.dtype}."
        )
    return w._array


def _labels(name: str, x: Tensor, target: Tensor) -> tuple[Array, int]:
    """The targets as a raw array of the shape of `x` without the classes, and their dimension.

    Raises:
        ShapeError: `target` is not of that shape.
        DTypeError: `target` is not int64 or uint8.
    """
    shape = x._shape
    common_device(name, (x, target))
    if target._type.dtype not in _INTEGERS:
        raise DTypeError(
            f"{name}: expected target dtype to be Long or Byte (int64 or uint8), "
            f"but got {target.dtype}."
        )
    dim = 1 if len(shape) > 1 else 0
    labels = target._array
    if len(shape) <= 2 and target.ndim > 1:
        raise ShapeError(
            f"{name}: 0D or 1D target tensor expected, multi-target not supported: "
            f"target has shape {target._shape}."
        )
    wanted = shape[:dim] + shape[dim + 1 :]
    if dim == 0 and target._shape == (1,):
        labels = labels.reshape(())
    elif target._shape != wanted:
        if target._shape[:1] != shape[:1]:
            raise ShapeError(
                f"{name}: Expected input batch_size ({shape[0]}) to match target batch_size "
                f"({target._shape[0] if target._shape else 1})."
            )
        raise ShapeError(f"{name}: Expected target size {list(wanted)}, got {list(target._shape)}.")
    return labels, dim


def _class_index(name: str, x: Tensor, target: Tensor, ignore_index: int) -> tuple[Any, Any, int]:
    """Where in `x` the targets stand, which of them count (None: all), the dimension of classes.

    Raises:
        ShapeError: `target` is not of the shape of `input` without the classes.
        DTypeError: `target` is not int64 or uint8.
        DimensionError: a target is out of range.
    """
    labels, dim = _labels(name, x, target)
    shape = x._shape
    counts = labels != ignore_index
    if not x.is_cuda or checked_indices.get():
        seen, some = bottom(labels), bottom(counts)
        if some.all():
            counts = None
        _refuse_beyond(name, seen if counts is None else seen[some], shape[dim])
    module = common_device(name, (x, target)).backend.module
    if counts is not None:
        labels = module.where(counts, labels, 0)
    labels = labels.astype(np.int64, copy=False)
    if dim == 0:
        return (labels,), counts, dim
    grid: list[Any] = [module.asarray(i) for i in np.ogrid[tuple(map(slice, labels.shape))]]
    return (grid[0], labels, *grid[1:]), counts, dim


def _refuse_beyond(name: str, labels: Array, classes: int) -> None:
    """Raise if a target is no class."""
    if beyond(labels, classes):
        wrong = labels[(labels < 0) | (labels >= classes)]
        raise DimensionError(f"{name}: Target {wrong.flat[0]} is out of bounds.")


_INTEGERS: Final = frozenset({dtypes.int64, dtypes.uint8})


def _class_weights(x: Tensor, index: Any, counts: Any, dim: int, weight: Any) -> Array:
    """The factor of each target: the weight of its class, 0 where it does not count."""
    labels = index[dim]
    if weight is not None:
        factor = namespace_of(x._type.xp, weight, labels).getitem(weight, labels)
        return factor if counts is None else factor * counts
    if counts is not None:
        return counts.astype(x._type.numpy)
    return x._type.device.backend.module.ones(labels.shape, x._type.numpy)


def _picked(
    name: str, logp: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str
) -> Tensor:
    """Minus the log-probabilities of the targets, weighted and reduced."""
    index, counts, dim = _class_index(name, logp, target, ignore_index)
    w = _weight_array(name, logp, weight, logp._shape[dim])
    if _is_variable(weight):
        return _variable_weight(logp, weight, index, counts, dim, reduction, 0.0)
    factor = _class_weights(logp, index, counts, dim, w)
    apply = _nll if logp.ndim <= 2 else _nll_2d
    with quiet():
        divisor = _weights_sum(namespace_of(logp._type.xp, factor), factor, reduction)
        return apply(logp, index, factor, counts, divisor)


def _weights_sum(xp: Any, factor: Array, reduction: str) -> Any:
    """What the sum of the losses is divided by; None where they are not summed."""
    if reduction == "mean":
        return _total(xp, factor, 1.0)
    return None if reduction == "none" else 1.0


def _is_variable(weight: Any) -> bool:
    if not isinstance(weight, Tensor):
        return False
    return (weight._requires_grad and is_grad_enabled()) or isinstance(weight, Lifted)


def _variable_weight(
    logp: Tensor,
    weight: Tensor,
    index: Any,
    counts: Any,
    dim: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """As `_picked` and `_smoothed`, by operations that record what is done with the weights."""
    w: Tensor = recorded.getitem(weight, (index[dim],))
    loss: Tensor = recorded.getitem(logp, index) * w * (smoothing - 1)
    if smoothing:
        classes = logp._shape[dim]
        all_w = weight.reshape((classes,) + (1,) * (logp.ndim - dim - 1))
        loss = loss - (logp * all_w).sum(dim) * (smoothing / classes)
    if counts is not None:
        loss = recorded.where(wrap(counts), loss, 0.0)
        w = recorded.where(wrap(counts), w, 0.0)
    if reduction == "none":
        return loss
    return loss.sum() / w.sum() if reduction == "mean" else loss.sum()


@public(
    path="nn.functional.nll_loss",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3, 4), make.integers(0, 4, 3)),
        sample(make.real(4), make.integers(0, 4)),
        sample(make.real(3, 4), make.integers(0, 4, 3), make.real(4, low=0.1)),
        sample(make.real(3, 4), np.array([1, -100, 3]), reduction="sum"),
        sample(make.real(3, 4), np.array([1, 2, 1]), ignore_index=1, reduction="none"),
        sample(make.real(3, 4, 2), make.integers(0, 4, 3, 2), make.real(4, low=0.1)),
        sample(make.real(2, 4, 3, 2), make.integers(0, 4, 2, 3, 2), reduction="none"),
        sample(make.real(0, 4), make.integers(0, 4, 0), reduction="sum"),
    ],
    errors=lambda make: [
        bad(IndexError, r"Target 4 is out of bounds\.", make.real(3, 4), np.array([1, 4, 0])),
        bad(ValueError, "to match target batch_size", make.real(3, 4), make.integers(0, 4, 2)),
        bad(ValueError, "Expected 1 or more dimensions", make.real(), make.integers(0, 4)),
        bad(RuntimeError, "Long or Byte", make.real(3, 4), make.real(3)),
    ],
    departs={"tangent: 2, 5": "PyTorch drops the tangents of the weights"},
)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability of the target class.

    Args:
        input: log-probabilities, `(n, c)`, `(c,)` or `(n, c, *)`.
        target: the number of the class, int64 or uint8, `(n,)`, `()` or `(n, *)`.
        weight: `(c,)`, a factor per class.
        size_average: use `reduction`.
        ignore_index: a target that does not count.
        reduce: use `reduction`.
        reduction: `"mean"` (divided by the sum of the weights of the targets that count),
            `"sum"`, or `"none"` for one loss per target.

    Raises:
        DimensionError: a target is no class. On CUDA that is checked only under
            `gradcore.debug.check_indices`; else its loss and gradient are nan.
        ShapeError: the shapes do not fit.
        DTypeError: `target` is not int64 or uint8.
        ArgumentError: there is no such reduction.
    """
    reduction = _checked(reduction, size_average, reduce)
    x = floating("nll_loss", input)
    if not x._shape:
        raise ShapeError("nll_loss: Expected 1 or more dimensions (got 0).")
    labels = tensor_argument("nll_loss", "target", 2, target)
    with x._type.device.backend.at(x._type.device):
        if x._type.device.kind == 1 and not _is_variable(weight):
            return _by_kernel("nll_loss", x, labels, weight, ignore_index, reduction, 0.0, True)
        return _picked("nll_loss", x, labels, weight, ignore_index, reduction)


class _Options(NamedTuple):
    """What a kernel needs to know that computes the cross-entropy of any arguments.

    Attributes:
        weight: raw, or None.
        ignored: the target that does not count.
        smoothing: the part of the probability that all classes share.
        reduction: of the losses.
        given: whether the scores are log-probabilities.
    """

    weight: Array | None
    ignored: int
    smoothing: float
    reduction: str
    given: bool


def _cross_entropy_forward(
    xp: Any, x: Any, labels: Any, divisor: Any, kept: Any, options: None
) -> Any:
    # On the CPU only, where a ufunc's reduce costs half of the array's method.
    n, c = x.shape
    highest = xp.maximum.reduce(x, 1, None, None, True)
    z = xp.subtract(x, highest, order="C")
    flat = xp.arange(0, n * c, c)
    flat += labels
    loss = z.take(flat)
    xp.exp(z, z)
    total = xp.add.reduce(z, 1, None, None, True)
    xp.subtract(xp.log(total).reshape(n), loss, loss)
    if kept is not None:
        xp.divide(z, total, z)
        z.reshape(-1)[flat] -= 1
        kept.append(z)
    return loss if divisor is None else xp.add.reduce(loss) / divisor


def _cross_entropy_rule(
    xp: Any, g: Any, x: Any, x_shape: Any, labels: Any, divisor: Any, kept: Any, options: Any
) -> Any:
    # What the forward kept is a function of x: to be recorded, it is computed again.
    if options is not None:
        return _recorded_rule(g, x, labels, kept, options)
    if xp is recorded:
        one_hot = np.zeros(x_shape, x._type.numpy)
        one_hot[np.arange(x_shape[0]), labels] = 1
        slope = softmax(x, 1) - wrap(one_hot)
    else:
        slope = kept[0]
    return slope * (xp.expand_dims(g, 1) if divisor is None else g / divisor)


def _recorded_rule(g: Tensor, x: Tensor, labels: Array, kept: Any, options: _Options) -> Tensor:
    """The cotangent of the scores where a kernel has computed the loss."""
    with x._type.device.backend.at(x._type.device):
        return _recorded_slope(g, x, labels, kept, options)


def _recorded_slope(g: Tensor, x: Tensor, labels: Array, kept: Any, options: _Options) -> Tensor:
    weight, ignored, smoothing, reduction, given = options
    module = x._type.device.backend.module
    dim = 1 if x.ndim > 1 else 0
    classes = x._shape[dim]
    along = (classes,) + (1,) * (x.ndim - dim - 1)
    labels = module.expand_dims(labels, dim)
    number = module.arange(classes).reshape(along)
    # The probabilities of the target, times the weights: constants.
    q = (labels == number) * (1 - smoothing) + smoothing / classes
    if weight is not None:
        q = q * weight.reshape(along)
    q = module.where((labels < 0) | (labels >= classes), math.nan, q)
    q = module.where(labels != ignored, q, 0.0).astype(x._type.numpy)
    slope = wrap(-q) if given else softmax(x, dim) * wrap(q.sum(dim, keepdims=True)) - wrap(q)
    if reduction == "none":
        g = recorded.expand_dims(g, dim)
    if reduction == "mean":
        # Where all targets are ignored the divisor is 0, and the gradient still is.
        divisor = kept[0][0]
        g = g / wrap(module.where(divisor == 0, 1, divisor).astype(divisor.dtype))
    return slope * g


# Softmax, logarithm and choice in one pass. On the CPU `kept` gets softmax minus the one-hot
# targets; a kernel takes all options, and puts there what its backward needs.
_cross_entropy = primitive(
    "cross_entropy", _cross_entropy_forward, _cross_entropy_rule, graph="NllLossBackward0"
)
_cross_entropy_2d = primitive(
    "cross_entropy", _cross_entropy_forward, _cross_entropy_rule, graph="NllLoss2DBackward0"
)


def _by_kernel(
    name: str,
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
    given: bool,
) -> Tensor:
    """Cross-entropy with class numbers on a device that has a kernel for it."""
    labels, dim = _labels(name, x, target)
    if checked_indices.get():
        _refuse_beyond(name, labels[labels != ignore_index], x._shape[dim])
    if weight is not None and x._type.dtype not in WIDE:
        weight = weight.to(x._type.dtype)
    w = _weight_array(name, x, weight, x._shape[dim])
    options = _Options(w, ignore_index, float(smoothing), reduction, given)
    kept: list[Any] | None = None
    if x._requires_grad or x.__class__ is not Tensor:
        kept = []
    apply = _cross_entropy if len(x._shape) <= 2 else _cross_entropy_2d
    return apply(x, labels, None, kept, options)


def _soft_forward(xp: Any, x: Any, target: Any, dim: int, divisor: Any) -> Any:
    return _total(xp, -(x * target).sum(axis=dim), divisor)


def _soft_cotangent(xp: Any, g: Any, dim: int, divisor: Any) -> Any:
    return -xp.expand_dims(g, dim) if divisor is None else -g / divisor


# Minus the sum of log-probabilities times probabilities.
_soft = primitive(
    "soft_cross_entropy",
    _soft_forward,
    lambda xp, g, target, dim, divisor: target * _soft_cotangent(xp, g, dim, divisor),
    lambda xp, g, x, dim, divisor: x * _soft_cotangent(xp, g, dim, divisor),
    multilinear=True,
)


def _soft_targets(
    x: Tensor, target: Tensor, weight: Any, reduction: str, smoothing: float
) -> Tensor:
    """Cross-entropy with class probabilities."""
    if target._shape != x._shape:
        raise ShapeError(
            "cross_entropy: expected target with class probabilities of the shape of input, "
            f"{x._shape}, but got {target._shape}."
        )
    x, target = promote("cross_entropy", x, target)
    dim = 1 if x.ndim > 1 else 0
    classes = x._shape[dim]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    if weight is not None:
        _weight_array("cross_entropy", x, weight, classes)
        target = target * weight.reshape((classes,) + (1,) * (x.ndim - dim - 1))
    batch = x._array.size // classes if classes else 0
    return _soft(log_softmax(x, dim), target, dim, _divisor(reduction, batch))


def _smoothed(
    x: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Tensor:
    """Cross-entropy with class numbers that share a part of their probability."""
    index, counts, dim = _class_index("cross_entropy", x, target, ignore_index)
    classes = x._shape[dim]
    w = _weight_array("cross_entropy", x, weight, classes)
    if _is_variable(weight):
        logp = log_softmax(x, dim)
        return _variable_weight(logp, weight, index, counts, dim, reduction, smoothing)
    factor = _class_weights(x, index, counts, dim, w)
    module = common_device("cross_entropy", (x, target)).backend.module
    q = module.full(x._shape, smoothing / classes, x._type.numpy)
    if w is not None:
        q = q * w.reshape((classes,) + (1,) * (x.ndim - dim - 1))
    if counts is not None:
        q = q * module.expand_dims(counts, dim)
    if deepest((q, factor, index)) is not None:
        q = q + batched.put((1 - smoothing) * factor, index, x._shape)
    else:
        q[index] += (1 - smoothing) * factor
    divisor = _weights_sum(namespace_of(x._type.xp, factor), factor, reduction)
    logp = log_softmax(x, dim)
    if counts is None or reduction != "mean":
        return _soft(logp, wrap(q), dim, divisor)
    # Where all targets are ignored the loss is nan, and its gradient is 0.
    empty = divisor == 0
    loss = _soft(logp, wrap(q), dim, module.where(empty, 1.0, divisor))
    return loss + wrap(module.where(empty, module.nan, 0.0).astype(x._type.numpy))


def _cross_entropy_samples(make: Maker) -> list[Sample]:
    def probabilities(*shape: int) -> Any:
        return make.real(*shape, low=0.05, high=1.0)

    return [
        sample(make.real(3, 4), make.integers(0, 4, 3)),
        sample(make.real(3, 4, low=-300, high=300), make.integers(0, 4, 3), reduction="sum"),
        sample(make.real(3, 4), make.integers(0, 4, 3), reduction="none"),
        sample(make.real(4), make.integers(0, 4)),
        sample(make.real(3, 4), make.integers(0, 4, 3), make.real(4, low=0.1)),
        sample(make.real(3, 4), np.array([1, -100, 3])),
        sample(make.real(3, 4), np.array([1, 2, 1]), ignore_index=1, reduction="none"),
        sample(make.real(3, 4, 2), make.integers(0, 4, 3, 2), make.real(4, low=0.1)),
        sample(make.real(2, 4, 3, 2), make.integers(0, 4, 2, 3, 2), reduction="none"),
        sample(make.real(0, 4), make.integers(0, 4, 0), reduction="sum"),
        sample(make.real(3, 4), make.integers(0, 4, 3), label_smoothing=0.1),
        sample(
            make.real(3, 4, 2),
            np.array([[1, -100], [0, 3], [2, 2]]),
            make.real(4, low=0.1),
            label_smoothing=0.3,
        ),
        sample(make.real(3, 4), np.array([1, -100, 3]), reduction="none", label_smoothing=0.3),
        sample(make.real(3, 4), probabilities(3, 4)),
        sample(make.real(4), probabilities(4), reduction="sum"),
        sample(make.real(3, 4, 2), probabilities(3, 4, 2), make.real(4, low=0.1)),
        sample(make.real(3, 4, 2), probabilities(3, 4, 2), reduction="none", label_smoothing=0.2),
    ]


@public(
    path="nn.functional.cross_entropy",
    kind="primitive",
    samples=_cross_entropy_samples,
    errors=lambda make: [
        bad(IndexError, r"Target 10 is out of bounds\.", make.real(3, 4), np.array([1, 10, 0])),
        bad(IndexError, r"Target -1 is out of bounds\.", make.real(3, 4), np.array([1, -1, 0])),
        bad(ValueError, "to match target batch_size", make.real(3, 4), make.integers(0, 4, 2)),
        bad(RuntimeError, "Expected target size", make.real(3, 4, 5), make.integers(0, 4, 3, 4)),
        bad(RuntimeError, "multi-target not supported", make.real(3, 4), make.integers(0, 4, 3, 1)),
        bad(RuntimeError, "Long or Byte", make.real(3, 4), make.real(3)),
        bad(
            RuntimeError,
            "for all 4 classes",
            make.real(3, 4),
            make.integers(0, 4, 3),
            make.real(3),
        ),
        bad(
            RuntimeError,
            "between 0.0 and 1.0",
            make.real(3, 4),
            make.integers(0, 4, 3),
            label_smoothing=2.0,
        ),
        bad(
            RuntimeError,
            "not supported for floating point target",
            make.real(3, 4),
            make.real(3, 4),
            ignore_index=1,
        ),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 3, 4), np.array([1, 2, 0])),
        bad(
            ValueError,
            "not a valid value",
            make.real(3, 4),
            make.integers(0, 4, 3),
            reduction="average",
        ),
    ],
    departs={
        "node": "one node for soft targets",
        "saves": "the probabilities",
        "tangent: 4, 7, 11": "PyTorch drops the tangents of the weights",
    },
)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Minus the log-probability of the target class, from scores: nll_loss of log_softmax.

    Args:
        input: scores, floating point, `(n, c)`, `(c,)` or `(n, c, *)`.
        target: the number of the class, int64 or uint8, `(n,)`, `()` or `(n, *)`; or the
            probabilities of all classes, floating point, of the shape of `input`.
        weight: `(c,)`, a factor per class.
        size_average: use `reduction`.
        ignore_index: a class number that does not count.
        reduce: use `reduction`.
        reduction: `"mean"` (divided by the sum of the weights of the targets that count; with
            probabilities by n), `"sum"`, or `"none"` for one loss per target.
        label_smoothing: the part of the probability, in [0, 1], that all classes share.

    Raises:
        DimensionError: a target is no class. On CUDA that is checked only under
            `gradcore.debug.check_indices`; else its loss and gradient are nan.
        ShapeError: the shapes do not fit.
        DTypeError: `input` is not floating point, or `target` has a dtype it may not have.
        ArgumentError: there is no such reduction; `label_smoothing` is out of range.
    """
    if (
        input.__class__ is Tensor
        and target.__class__ is Tensor
        and weight is None
        and not label_smoothing
        and reduction in _REDUCTIONS
        and ignore_index < 0
        and size_average is None
        and reduce is None
    ):
        kind = input._type
        shape = input._shape
        labels = target._array
        if (
            not kind.device.kind
            and kind.dtype in WIDE
            and target._type is _INT64
            and len(shape) == 2
            and target._shape == shape[:1]
            and shape[1]
            and not beyond(labels, shape[1])
        ):
            if reduction == "mean":
                divisor: float | None = shape[0] or math.nan
            else:
                divisor = None if reduction == "none" else 1.0
            kept: list[Any] | None = [] if input._requires_grad else None
            return _cross_entropy(input, labels, divisor, kept, None)
    reduction = _checked(reduction, size_average, reduce)
    device = floating("cross_entropy", input)._type.device
    with device.backend.at(device):
        return _by_steps(input, target, weight, ignore_index, reduction, label_smoothing)


_INT64: Final = wrap(np.zeros(0, np.int64))._type


def _by_steps(
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> Tensor:
    """Cross-entropy of any arguments: log_softmax, then the choice of the targets."""
    if not 0.0 <= smoothing <= 1.0:
        raise ArgumentError(
            f"cross_entropy: label_smoothing must be between 0.0 and 1.0. Got: {smoothing}."
        )
    x = floating("cross_entropy", input)
    t = tensor_argument("cross_entropy", "target", 2, target)
    if not x._shape:
        raise ShapeError("cross_entropy: Expected 1 or more dimensions (got 0).")
    soft = t._type.dtype.is_floating_point and t._shape == x._shape
    if x._type.device.kind == 1 and not soft and not _is_variable(weight):
        return _by_kernel("cross_entropy", x, t, weight, ignore_index, reduction, smoothing, False)
    if x._type.dtype not in WIDE:
        wide = None if weight is None else weight.float()
        t = t.float() if t._type.dtype is x._type.dtype else t
        y = _by_steps(x.float(), t, wide, ignore_index, reduction, smoothing)
        return y.to(x._type.dtype)
    if soft:
        if ignore_index >= 0:
            raise ArgumentError(
                "cross_entropy: ignore_index is not supported for floating point target."
            )
        return _soft_targets(x, t, weight, reduction, smoothing)
    if smoothing:
        return _smoothed(x, t, weight, ignore_index, reduction, smoothing)
    dim = 1 if x.ndim > 1 else 0
    logp = log_softmax(x, dim)
    return _picked("cross_entropy", logp, t, weight, ignore_index, reduction)
