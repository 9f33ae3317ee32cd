"""Activation functions of exponentials, and gates."""

from __future__ import annotations

from typing import Any, Final

from .. import dtypes
from ..errors import ArgumentError, ShapeError
from ..inplace import write
from ..op import primitive, public
from ..random import default_generator
from ..samples import bad, sample
from ..tensor import Tensor, canonical_dim, wrap
from .activation import _integers, activation_samples, elu, floating, softmax
from .arithmetic import mul
from .creation import arange
from .pointwise import abs, relu, sigmoid, tanh, where

__all__ = ["celu", "celu_", "relu_", "selu", "selu_"]

# exponentials on the left ----------------------------------------------------------------------


def _tail(xp: Any, x: Any, alpha: float) -> Any:
    # 1 where x >= 0. By x < 0, so that the second derivative at 0 is 0, as in PyTorch.
    return xp.exp(xp.keep(x, x < 0) / alpha)


_celu = primitive(
    "celu",
    lambda xp, x, alpha: xp.maximum(x, 0) + alpha * xp.expm1(xp.minimum(x, 0) / alpha),
    lambda xp, g, x, alpha: g * _tail(xp, x, alpha),
    elementwise=True,
    steps=True,
)


@public(
    path="nn.functional.celu",
    kind="primitive",
    samples=lambda make: [*activation_samples(make), sample(make.real(2, 3), 0.5)],
    errors=lambda make: [
        *_integers(make),
        bad(RuntimeError, "alpha cannot be 0 for CELU", make.real(2), 0.0),
    ],
)
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Each x > 0 as it is, of others alpha (exp(x / alpha) - 1). At 0 the derivative is 1.

    Args:
        input: floating point, any shape.
        alpha: minus the limit on the left, not 0.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        ArgumentError: `alpha` is 0.
        DTypeError: `input` is not floating point.
    """
    if alpha == 0:
        raise ArgumentError("ZeroDivisionError: alpha cannot be 0 for CELU")
    if inplace:
        return write(input, celu, (alpha,))
    return _celu(floating("celu", input), float(alpha))


# G. Klambauer et al., "Self-normalizing neural networks" (2017).
_ALPHA: Final = 1.6732632423543772848170429916717
_SCALE: Final = 1.0507009873554804934193349852946

_selu = primitive(
    "selu",
    lambda xp, x: _SCALE * xp.maximum(x, 0) + (_SCALE * _ALPHA) * xp.expm1(xp.minimum(x, 0)),
    lambda xp, g, x: g * xp.where(x <= 0, (_SCALE * _ALPHA) * _tail(xp, x, 1.0), _SCALE),
    elementwise=True,
    steps=True,
    graph="EluBackward0",
)


@public(path="nn.functional.selu", kind="primitive", samples=activation_samples, errors=_integers)
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scaled exponential linear unit: 1.0507 times elu of alpha 1.6733, of each element.

    NumPy goes over large arrays in several passes: it takes up to four times as long as PyTorch.

    Args:
        input: floating point, any shape.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        DTypeError: `input` is not floating point.
    """
    if inplace:
        return write(input, selu)
    return _selu(floating("selu", input))


# smooth everywhere -----------------------------------------------------------------------------

_FLAT: Final = 20.0
"""From here tanh(softplus(x)) is 1 in float64, and exp(2 x) stays finite in float32."""


def _mish_forward(xp: Any, x: Any) -> Any:
    w = xp.exp(xp.minimum(x, _FLAT))
    n = w * (w + 2)  # tanh(log(1 + w)) = n / (n + 2)
    return x * (n / (n + 2))


def _mish_rule(xp: Any, g: Any, x: Any) -> Any:
    small = xp.minimum(x, _FLAT)
    w = xp.exp(small)
    n = w * (w + 2)
    return g * (n / (n + 2) + small * (4 * w * (w + 1) / xp.square(n + 2)))


_mish = primitive("mish", _mish_forward, _mish_rule, elementwise=True, steps=True)


@public(
    path="nn.functional.mish",
    kind="primitive",
    samples=activation_samples,
    errors=_integers,
    departs={"derivative at: inf, -inf": "PyTorch's is nan"},
)
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x` tanh(softplus(x)) of each element.

    Args:
        input: floating point, any shape.
        inplace: whether it is written into `input`, which is returned.

    Raises:
        DTypeError: `input` is not floating point.
    """
    if inplace:
        return write(input, mish)
    x = floating("mish", input)
    if x.dtype is dtypes.float16:
        return _mish(x.float()).to(x.dtype)
    return _mish(x)


@public(path="nn.functional.softsign", samples=activation_samples)
def softsign(input: Tensor) -> Tensor:
    """`x` / (1 + |x|) of each element."""
    return input / (abs(input) + 1)


@public(
    path="nn.functional.tanhshrink",
    samples=activation_samples,
    departs={"accepts: bool": "a bool Tensor minus numbers"},
)
def tanhshrink(input: Tensor) -> Tensor:
    """`x` - tanh(x) of each element."""
    return input - tanh(input)


# of several elements ---------------------------------------------------------------------------


@public(
    path="nn.functional.glu",
    samples=lambda make: [
        sample(make.real(2, 4)),
        sample(make.real(4, 3), 0),
        sample(make.real(0, 2), dim=1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Halving dimension must be even", make.real(2, 3)),
        bad(RuntimeError, "0-dimensional", make.real()),
        bad(IndexError, "Dimension out of range", make.real(2, 4), 2),
    ],
    departs={"node": "composite"},
)
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Gated linear unit: the first half of a dimension times the sigmoid of the second.

    Args:
        input: floating point, `(*, 2 n, *)`.
        dim: the dimension that is halved.

    Returns:
        `(*, n, *)`.

    Raises:
        ShapeError: the length of the dimension is odd, or there is none.
        DimensionError: there is no such dimension.
        DTypeError: `input` is not floating point.
    """
    x = floating("glu", input)
    if not x.ndim:
        raise ShapeError("glu does not support 0-dimensional tensors")
    dim = canonical_dim(dim, x.ndim)
    n, odd = divmod(x._shape[dim], 2)
    if odd:
        raise ShapeError(
            f"Halving dimension must be even, but dimension {dim} is size {x._shape[dim]}"
        )
    return x.narrow(dim, 0, n) * sigmoid(x.narrow(dim, n, n))


@public(
    path="nn.functional.gumbel_softmax",
    # Of one class, so that nothing is left to chance.
    samples=lambda make: [
        sample(make.real(3, 1)),
        sample(make.real(1, 3), 0.5, hard=True, dim=0),
        sample(make.real(0, 1)),
    ],
    errors=lambda make: [
        bad(IndexError, "Dimension out of range", make.real(2, 3), dim=2),
    ],
    batched=False,
    departs={"node": "composite"},
)
def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the Gumbel-softmax distribution: softmax of the logits plus Gumbel noise.

    Args:
        logits: floating point, `(*)`: logarithms of probabilities, not normalised.
        tau: the temperature, by which they are divided.
        hard: whether the result is one-hot; its derivative is that of the soft one.
        eps: without effect.
        dim: the dimension of the classes.

    Returns:
        The shape of `logits`; along `dim` the sum is 1.

    Raises:
        DimensionError: there is no such dimension.
        DTypeError: `logits` is not floating point.
    """
    x = floating("gumbel_softmax", logits)
    uniform = default_generator(x._type.device).uniform(x._shape, x._type.numpy)
    noise = -(-(1 - wrap(uniform)).log()).log()  # of a number in (0, 1]
    soft = softmax((x + noise) / tau, dim)
    if not hard:
        return soft
    chosen = soft.detach().max(dim, keepdim=True)[1]
    places = arange(x._shape[dim] if x.ndim else 1, device=x.device)
    picked = (chosen.movedim(dim, -1) == places).movedim(-1, dim).to(x.dtype) if x.ndim else soft
    return picked - soft.detach() + soft


# forms that write ------------------------------------------------------------------------------


def relu_(input: Tensor) -> Tensor:
    """`relu` written into `input`, which is returned."""
    return write(input, relu)


def elu_(input: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """`elu` written into `input`, which is returned.

    Args:
        input: floating point, any shape.
        alpha: as for `elu`.
        scale: what the result is multiplied by.
        input_scale: what x < 0 is multiplied by first.
    """
    if scale == 1.0 and input_scale == 1.0:
        return elu(input, alpha, True)
    return write(input, _scaled_elu, (alpha, scale, input_scale))


def _scaled_elu(x: Tensor, alpha: float, scale: float, input_scale: float) -> Tensor:
    low = elu(where(x < 0, x * input_scale, 0.0), alpha)
    return mul(where(x < 0, low, x), scale)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` written into `input`, which is returned."""
    return celu(input, alpha, True)


def selu_(input: Tensor) -> Tensor:
    """`selu` written into `input`, which is returned."""
    return selu(input, True)
