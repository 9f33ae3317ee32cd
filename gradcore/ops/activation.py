"""Activation functions, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError, DTypeError
from ..inplace import write
from ..op import operand, primitive, public, tensor_of, unary
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim

__all__ = ["erf", "log_softmax", "softmax"]

_SQRT_HALF: Final = math.sqrt(0.5)
_TWO_OVER_SQRT_PI: Final = 2.0 / math.sqrt(math.pi)
_NORMAL_DENSITY: Final = 1.0 / math.sqrt(2.0 * math.pi)


def floating(name: str, input: Any) -> Tensor:
    """`input` as a Tensor of floating point dtype.

    Raises:
        ArgumentTypeError: it is no Tensor and no array.
        DTypeError: it is not floating point.
    """
    x = operand(name, input)
    if not isinstance(x, Tensor):
        raise ArgumentTypeError(
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__qualname__}."
        )
    if not x._type.dtype.is_floating_point:
        raise DTypeError(
            f"{name} is not implemented for {x.dtype}: expected a floating point dtype, such as "
            "that of input.float()."
        )
    return x


def activation_samples(make: Maker) -> list[Sample]:
    shapes: Sequence[tuple[int, ...]] = ((), (3,), (2, 3), (0,), (2, 0, 3))
    return [
        *(sample(make.real(*shape)) for shape in shapes),
        sample(make.real(4, low=-40, high=40)),
    ]


def _integers(make: Maker) -> list[Bad]:
    return [bad(RuntimeError, "is not implemented for", make.integers(-2, 3, 3))]


# The error function, and activations made of it -------------------------------------------------


@unary(
    "erf",
    lambda xp, g, x: g * (_TWO_OVER_SQRT_PI * xp.exp(-(x * x))),
    numpy={"erf": None, "special.erf": None},
)
def erf(input: Tensor) -> Tensor:
    """The error function 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x, elementwise."""


_CUBE: Final = 0.044715
_SQRT_TWO_OVER_PI: Final = math.sqrt(2.0 / math.pi)


def _gelu_tanh_forward(xp: Any, x: Any) -> Any:
    t = xp.tanh(_SQRT_TWO_OVER_PI * (x + _CUBE * (x * x * x)))
    return 0.5 * x * (1 + t)


def _gelu_tanh_rule(xp: Any, g: Any, x: Any) -> Any:
    t = xp.tanh(_SQRT_TWO_OVER_PI * (x + _CUBE * (x * x * x)))
    slope = _SQRT_TWO_OVER_PI * (1 + 3 * _CUBE * (x * x))
    return g * (0.5 * (1 + t) + 0.5 * x * ((1 - t * t) * slope))


@unary(
    lambda xp, x: 0.5 * x * (1 + xp.erf(x * _SQRT_HALF)),
    lambda xp, g, x: (
        g * (0.5 * (1 + xp.erf(x * _SQRT_HALF)) + x * (_NORMAL_DENSITY * xp.exp(-0.5 * (x * x))))
    ),
    steps=True,
    methods=(),
    path="_gelu",
    graph="GeluBackward0",
)
def _gelu(input: Tensor) -> Tensor:
    """Normal distribution function times x."""


@unary(
    _gelu_tanh_forward,
    _gelu_tanh_rule,
    steps=True,
    methods=(),
    path="_gelu_tanh",
    graph="GeluBackward0",
)
def _gelu_tanh(input: Tensor) -> Tensor:
    """Approximate normal distribution function times x."""


@public(
    path="nn.functional.gelu",
    kind="primitive",
    samples=lambda make: [
        *activation_samples(make),
        *(sample(*s.args, approximate="tanh") for s in activation_samples(make)),
    ],
    errors=lambda make: [
        *_integers(make),
        bad(RuntimeError, "either none or tanh", make.real(2), approximate="erf"),
    ],
    departs={"second derivative: 11": "cancellation at |x| > 5: both are off in the eighth digit"},
)
def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit: x times the normal distribution function at x.

    The error function is two polynomials in NumPy: it takes four to five times as long as
    PyTorch's, with `"tanh"` up to three times.

    Args:
        input: floating point, any shape.
        approximate: `"none"`; `"tanh"` for 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Raises:
        ArgumentError: `approximate` is something else.
        DTypeError: `input` is not floating point.
    """
    if input.__class__ is not Tensor or not input._type.dtype.is_floating_point:
        input = floating("gelu", input)
    if approximate == "none":
        return _gelu(input)
    if approximate == "tanh":
        return _gelu_tanh(input)
    raise ArgumentError(
        f"gelu: approximate argument must be either none or tanh, not {approximate!r}."
    )


# sigmoid, and activations made of it ------------------------------------------------------------


def _silu_rule(xp: Any, g: Any, x: Any) -> Any:
    s = xp.sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


@unary(
    lambda xp, x: x * xp.sigmoid(x),
    _silu_rule,
    steps=True,
    methods=(),
    path="_silu",
    graph="SiluBackward0",
    departs={"complex tangent": "PyTorch's is not the derivative"},
)
def _silu(input: Tensor) -> Tensor:
    """Sigmoid linear unit."""


@public(
    path="nn.functional.silu",
    kind="primitive",
    samples=activation_samples,
    errors=_integers,
    departs={"complex tangent": "PyTorch's is not the derivative"},
)
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Sigmoid linear unit, x sigmoid(x), of each element.

    Args:
        input: floating point or complex, any shape.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        DTypeError: `input` is neither.
    """
    if inplace:
        return write(input, silu)
    if input.__class__ is not Tensor or not input._type.dtype.is_floating_point:
        input = tensor_of("silu", input)
        if not input._type.dtype.is_complex:
            input = floating("silu", input)
    return _silu(input)


_log_sigmoid = primitive(
    "log_sigmoid",
    lambda xp, x: xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.absolute(x))),
    # sigmoid(-x) = 1 - exp(y), which keeps its digits where y is near 0.
    lambda xp, g, y: g * -xp.expm1(y),
    elementwise=True,
    steps=True,
)


@public(
    path="nn.functional.logsigmoid",
    kind="primitive",
    samples=activation_samples,
    errors=_integers,
    departs={"saves": "the result, not the operand"},
)
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)) of each element, exact for x of any size.

    Raises:
        DTypeError: `input` is not floating point.
    """
    if input.__class__ is not Tensor or not input._type.dtype.is_floating_point:
        input = floating("logsigmoid", input)
    return _log_sigmoid(input)


def _softplus_forward(xp: Any, x: Any, beta: float, threshold: float) -> Any:
    z = x * beta
    y = (xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.absolute(z)))) / beta
    return xp.where(z > threshold, x, y)


_softplus = primitive(
    "softplus",
    _softplus_forward,
    # sigmoid(beta x) = 1 - exp(-beta y), which keeps its digits where y is near 0.
    lambda xp, g, y, x, beta, threshold: xp.where(
        x * beta > threshold, g, g * -xp.expm1(-beta * y)
    ),
    elementwise=True,
    steps=True,
)


@public(
    path="nn.functional.softplus",
    kind="primitive",
    samples=lambda make: [
        *activation_samples(make),
        sample(make.real(2, 3), 2.0),
        sample(make.real(2, 3), beta=0.5, threshold=0.3),
    ],
    errors=_integers,
    departs={"saves": "the result, not the operand"},
)
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta of each element; x itself where beta x > threshold.

    Args:
        input: floating point, any shape.
        beta: the sharpness of the bend.
        threshold: from where the function is taken to be linear.

    Raises:
        DTypeError: `input` is not floating point.
    """
    if input.__class__ is not Tensor or not input._type.dtype.is_floating_point:
        input = floating("softplus", input)
    return _softplus(input, float(beta), float(threshold))


# with a kink ------------------------------------------------------------------------------------


_leaky_relu = primitive(
    "leaky_relu",
    # `where` is several times slower on large arrays.
    lambda xp, x, slope: (
        xp.maximum(x, x * slope) if 0 <= slope <= 1 else xp.where(x > 0, x, x * slope)
    ),
    lambda xp, g, x, slope: xp.where(x > 0, g, g * slope),
    elementwise=True,
)


@public(
    path="nn.functional.leaky_relu",
    kind="primitive",
    samples=lambda make: [*activation_samples(make), sample(make.real(2, 3), 0.2)],
    errors=_integers,
)
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Each x > 0 as it is, others times `negative_slope`. At 0 the derivative is `negative_slope`.

    Args:
        input: floating point, any shape.
        negative_slope: the slope on the left.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        DTypeError: `input` is not floating point.
    """
    if inplace:
        return write(input, leaky_relu, (negative_slope,))
    if input.__class__ is not Tensor or not input._type.dtype.is_floating_point:
        input = floating("leaky_relu", input)
    return _leaky_relu(input, float(negative_slope))


_elu = primitive(
    "elu",
    lambda xp, x, alpha: xp.maximum(x, 0) + alpha * xp.expm1(xp.minimum(x, 0)),
    # `where` inside too: exp of a large x, which is not used, would be infinite. By x < 0, so that
    # the second derivative at 0 is 0, as in PyTorch.
    lambda xp, g, x, alpha: xp.where(x > 0, g, g * (alpha * xp.exp(xp.where(x < 0, x, 0.0)))),
    elementwise=True,
    steps=True,
)


@public(
    path="nn.functional.elu",
    kind="primitive",
    samples=lambda make: [*activation_samples(make), sample(make.real(2, 3), 0.7)],
    errors=_integers,
)
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Each x > 0 as it is, of others alpha (exp(x) - 1). At 0 the derivative is `alpha`.

    Args:
        input: floating point, any shape.
        alpha: minus the limit on the left.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        DTypeError: `input` is not floating point.
    """
    if inplace:
        return write(input, elu, (alpha,))
    if input.__class__ is not Tensor or not input._type.dtype.is_floating_point:
        input = floating("elu", input)
    return _elu(input, float(alpha))


# softmax ----------------------------------------------------------------------------------------


def _shifted(xp: Any, x: Any, dim: int) -> Any:
    """`x` minus its maximum along `dim`, an array of its own."""
    return xp.subtract(x, x.max(axis=dim, keepdims=True))


def _softmax_forward(xp: Any, x: Any, dim: int | None) -> Any:
    if dim is None:
        return _softmax_forward(xp, x.reshape(1), 0).reshape(())
    if not x.shape[dim]:
        return x.copy()
    y = _shifted(xp, x, dim)
    xp.exp(y, y)
    y /= y.sum(axis=dim, keepdims=True)
    return y


def _log_softmax_forward(xp: Any, x: Any, dim: int | None) -> Any:
    if dim is None:
        return _log_softmax_forward(xp, x.reshape(1), 0).reshape(())
    if not x.shape[dim]:
        return x.copy()
    y = _shifted(xp, x, dim)
    y -= xp.log(xp.exp(y).sum(axis=dim, keepdims=True))
    return y


# `dim` is None for a 0-d Tensor.
_softmax = primitive(
    "softmax",
    _softmax_forward,
    lambda xp, g, y, dim: y * (g - xp.sum(g * y, axis=dim, keepdims=True)),
    symmetric=True,
)
_log_softmax = primitive(
    "log_softmax",
    _log_softmax_forward,
    lambda xp, g, y, dim: g - xp.exp(y) * xp.sum(g, axis=dim, keepdims=True),
    jvp=lambda xp, y, t_x, dim: t_x - xp.sum(xp.exp(y) * t_x, axis=dim, keepdims=True),
)
WIDE: Final = frozenset({dtypes.float32, dtypes.float64})
"""Dtypes in which sums are accumulated as they are; float16 goes by way of float32."""
_CUDA_HALF: Final = len(dtypes.ALL) + dtypes.float16.code
"""The `TensorType.code` of float16 on CUDA, where kernels accumulate in float32."""


def _along(function: Callable[..., Tensor], name: str, input: Any, dim: Any, dtype: Any) -> Tensor:
    """`function` along `dim` of `input` in `dtype`; float16 is computed in float32.

    A kernel does so itself.
    """
    x = operand(name, input)
    if not isinstance(x, Tensor):
        raise ArgumentTypeError(
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__qualname__}."
        )
    dim = canonical_dim(dim, x.ndim)
    if dtype is not None:
        x = x.to(dtypes.to_dtype(dtype))
    x = floating(name, x)
    number = dim if x._shape else None
    if x._type.dtype in WIDE or x.is_cuda:
        return function(x, number)
    return function(x.float(), number).to(x._type.dtype)


def softmax_samples(make: Maker) -> list[Sample]:
    return [
        sample(make.real(2, 3), 1),
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3, 4), -2),
        sample(make.real(), 0),
        sample(make.real(), -1),
        sample(make.real(0), 0),
        sample(make.real(2, 0), 1),
        sample(make.real(0, 3), 1),
        sample(make.real(3, low=-500, high=500), 0),
        sample(make.real(2, 3), dim=1, dtype=dtypes.float64),
    ]


def softmax_errors(make: Maker) -> list[Bad]:
    return [
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
        bad(IndexError, "Dimension out of range", make.real(), 1),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 2), 0),
    ]


def _direct(input: Any, dim: Any, dtype: Any) -> bool:
    return (
        input.__class__ is Tensor
        and dim.__class__ is int
        and dtype is None
        and (input._type.dtype in WIDE or input._type.code == _CUDA_HALF)
        and -len(input._shape) <= dim < len(input._shape)
    )


def _required(name: str, dim: Any, axis: Any) -> Any:
    if axis is not None:
        return axis
    if dim is None:
        raise ArgumentTypeError(f'{name}() missing 1 required positional arguments: "dim"')
    return dim


@public(
    methods=("softmax",),
    kind="primitive",
    samples=softmax_samples,
    errors=softmax_errors,
)
def softmax(
    input: Tensor, dim: int | None = None, dtype: Any = None, *, axis: int | None = None
) -> Tensor:
    """exp(x) over its sum along a dimension: positive numbers that add up to 1.

    Args:
        input: floating point, any shape; another dtype if `dtype` is given.
        dim: the dimension to sum over.
        dtype: of the result; `input` is cast first.
        axis: another name for `dim`.

    Where all of a slice is -inf the result is nan.

    Raises:
        DimensionError: there is no such dimension.
        DTypeError: `input` is not floating point and no `dtype` is given.
    """
    if _direct(input, dim, dtype):
        return _softmax(input, dim)
    return _along(_softmax, "softmax", input, _required("softmax", dim, axis), dtype)


@public(
    methods=("log_softmax",),
    kind="primitive",
    samples=softmax_samples,
    errors=softmax_errors,
)
def log_softmax(
    input: Tensor, dim: int | None = None, dtype: Any = None, *, axis: int | None = None
) -> Tensor:
    """The logarithm of softmax, exact where softmax underflows.

    Args:
        input: floating point, any shape; another dtype if `dtype` is given.
        dim: the dimension to sum over.
        dtype: of the result; `input` is cast first.
        axis: another name for `dim`.

    Raises:
        DimensionError: there is no such dimension.
        DTypeError: `input` is not floating point and no `dtype` is given.
    """
    if _direct(input, dim, dtype):
        return _log_softmax(input, dim)
    return _along(_log_softmax, "log_softmax", input, _required("log_softmax", dim, axis), dtype)
