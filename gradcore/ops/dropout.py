"""Dropout."""

from __future__ import annotations

from ..device import is_array
from ..errors import ArgumentError
from ..op import primitive, public, recorded
from ..random import default_generator
from ..samples import bad, sample
from ..tensor import Tensor, wrap
from .activation import floating, out_of_place

__all__: list[str] = []


# Linear and its own adjoint, so that its rule is itself. `noise` is what a generator's method of
# that name gives: on the CPU the array of factors, on CUDA the few numbers of which a kernel makes
# them, each time again.
_dropout = primitive(
    "dropout",
    lambda xp, x, noise: x * noise,
    lambda xp, g, noise: _dropout(g, noise) if xp is recorded else g * noise,
    graph="MulBackward0",
    holds_arrays=True,
    linear=True,
)


@public(
    path="nn.functional.dropout",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 0.0),
        sample(make.real(2, 3), 1.0),
        sample(make.real(2, 3), training=False),
        sample(make.integers(0, 3, 2), 0.5, False),
    ],
    errors=lambda make: [
        bad(ValueError, "has to be between 0 and 1", make.real(2), 1.5),
        bad(RuntimeError, "is not implemented for", make.integers(0, 3, 2)),
    ],
)
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element set to 0 with probability `p`, the others divided by 1 - p.

    The random numbers are those of `gradcore.manual_seed`.

    Args:
        input: floating point, any shape.
        p: the probability, in [0, 1]; it is rounded to a multiple of 2^-32.
        training: False gives `input` itself.
        inplace: must be False.

    Raises:
        ArgumentError: `p` is not in [0, 1].
        DTypeError: `input` is not floating point.
    """
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"dropout: dropout probability has to be between 0 and 1, but got {p}.")
    out_of_place("dropout", inplace)
    if not training or p == 0.0:
        return input
    x = floating("dropout", input)
    kind = x._type
    noise = default_generator(kind.device).noise(x._shape, p, kind.numpy)
    if kind.device.base.kind and is_array(noise):  # inside vmap there is no kernel for it
        return x * wrap(noise)
    return _dropout(x, noise)
