"""Padding: borders of constants, of mirrored, repeated or periodic elements.

Widths are `(before, after)` pairs from the last dimension on, so that dimensions in front, such as
that of a batch, are none of their business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..op import primitive, public
from ..samples import Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim
from .layer import tensor_argument

__all__ = ["constant_pad_nd"]

Pads = tuple[tuple[int, int], ...]


def _middle(shape: Sequence[int], pads: Pads) -> tuple[Any, ...]:
    """The index of what lies between borders of these widths, which are not negative."""
    lengths = shape[len(shape) - len(pads) :]
    return (
        ...,
        *[slice(b, n - a) for n, (b, a) in zip(lengths, reversed(pads), strict=True)],
    )


# constants --------------------------------------------------------------------------------------


def _surrounded(xp: Any, x: Array, pads: Pads, value: float) -> Array:
    grown = tuple([(max(b, 0), max(a, 0)) for b, a in pads])
    cut = tuple([(max(-b, 0), max(-a, 0)) for b, a in pads])
    x = x[_middle(x.shape, cut)]
    lead = x.ndim - len(pads)
    shape = x.shape[:lead] + tuple(
        [n + b + a for n, (b, a) in zip(x.shape[lead:], reversed(grown), strict=True)]
    )
    if value:
        y = xp.module.full(shape, value, x.dtype)
    else:
        y = xp.module.zeros(shape, x.dtype)
    y[_middle(shape, grown)] = x
    return y


def _negative(pads: Pads) -> Pads:
    return tuple([(-b, -a) for b, a in pads])


_constant: Callable[..., Tensor] = primitive(
    "constant_pad_nd",
    _surrounded,
    lambda xp, g, pads: xp.apply(_constant, g, _negative(pads), 0.0),
    jvp=lambda xp, t_x, pads: xp.apply(_constant, t_x, pads, 0.0),
    graph="ConstantPadNdBackward0",
    batching=leading,
)


# mirrored, repeated and periodic elements -------------------------------------------------------


def _sources(mode: str, n: int, before: int, after: int) -> list[tuple[slice, slice]]:
    """Of each border of a padded dimension, where it lies and the inner elements it repeats.

    `n` is the length without borders. The elements of `"reflect"` are repeated backwards.
    """
    end = before + n
    if mode == "reflect":
        low = slice(before + 1, 2 * before + 1), slice(end - 1 - after, end - 1)
    elif mode == "replicate":
        low = slice(before, before + 1), slice(end - 1, end)
    else:
        low = slice(n, end), slice(before, before + after)
    both = [(slice(before), low[0]), (slice(end, end + after), low[1])]
    return [pair for pair, width in zip(both, (before, after), strict=True) if width]


def _borders(mode: str, shape: Sequence[int], pads: Pads) -> list[tuple[int, Any, Any]]:
    """The borders of a padded array, each as its axis, its index and that of what it repeats.

    In their order a border repeats nothing that is not there yet.
    """
    found: list[tuple[int, Any, Any]] = []
    for number, (b, a) in enumerate(pads):
        rest = _middle(shape[: len(shape) - number - 1], pads[number + 1 :])
        every = (slice(None),) * number
        for there, here in _sources(mode, shape[-1 - number] - b - a, b, a):
            found.append((-1 - number, (*rest, there, *every), (*rest, here, *every)))
    return found


def _extended(mode: str) -> Callable[..., Array]:
    def extend(xp: Any, x: Array, pads: Pads) -> Array:
        lead = x.ndim - len(pads)
        shape = x.shape[:lead] + tuple(
            [n + b + a for n, (b, a) in zip(x.shape[lead:], reversed(pads), strict=True)]
        )
        y = xp.module.empty(shape, x.dtype)
        y[_middle(shape, pads)] = x
        for axis, there, here in _borders(mode, shape, pads):
            y[there] = xp.module.flip(y[here], axis) if mode == "reflect" else y[here]
        return y

    return extend


def _folded(mode: str) -> Callable[..., Array]:
    def fold(xp: Any, g: Array, pads: Pads) -> Array:
        g = g.copy()
        for axis, there, here in reversed(_borders(mode, g.shape, pads)):
            border = g[there]
            if mode == "reflect":
                border = xp.module.flip(border, axis)
            elif mode == "replicate":
                border = border.sum(axis, keepdims=True)
            g[here] += border
        return xp.module.ascontiguousarray(g[_middle(g.shape, pads)])

    return fold


def _pair(mode: str, name: str) -> list[Callable[..., Tensor]]:
    """The padding of one, two and three dimensions; its adjoint adds the borders up."""
    fold = primitive(
        f"{mode}_pad_backward",
        _folded(mode),
        lambda xp, g, pads: xp.apply(extend[len(pads) - 1], g, pads),
        linear=True,
        batching=leading,
    )
    extend = [
        primitive(
            f"{mode}_pad",
            _extended(mode),
            lambda xp, g, pads: xp.apply(fold, g, pads),
            linear=True,
            graph=f"{name}{n}DBackward0",
            batching=leading,
        )
        for n in (1, 2, 3)
    ]
    return extend


_REPEATING: Final = {
    "reflect": _pair("reflect", "ReflectionPad"),
    "replicate": _pair("replicate", "ReplicationPad"),
    "circular": _pair("circular", "CircularPad"),
}


# the public functions ---------------------------------------------------------------------------


def _widths(name: str, x: Tensor, pad: Any) -> Pads:
    """`pad` as pairs.

    Raises:
        ArgumentTypeError: it is no sequence of ints.
        ShapeError: it has not two numbers per dimension, or too many.
    """
    if not isinstance(pad, tuple | list):
        raise ArgumentTypeError(
            f"{name}(): argument 'pad' (position 2) must be tuple of ints, "
            f"not {type(pad).__qualname__}."
        )
    for place, width in enumerate(pad):
        if not isinstance(width, int | np.integer):
            raise ArgumentTypeError(
                f"{name}(): argument 'pad' (position 2) must be tuple of ints, but found element "
                f"of type {type(width).__qualname__} at pos {place}."
            )
    if len(pad) % 2:
        raise ShapeError(
            f"{name}: Padding length must be divisible by 2, a (before, after) per dimension, and "
            f"it is {len(pad)}."
        )
    if len(pad) > 2 * x.ndim:
        raise ShapeError(
            f"{name}: Padding length should be less than or equal to two times the input dimension "
            f"but got padding length {len(pad)} and input of dimension {x.ndim}."
        )
    numbers = [int(width) for width in pad]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _pad_constant(name: str, x: Tensor, pads: Pads, value: Any) -> Tensor:
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, bool | int | float | complex):
        raise ArgumentTypeError(
            f"{name}(): argument 'value' (position 4) must be float, "
            f"not {type(value).__qualname__}."
        )
    if isinstance(value, complex) and not x._type.dtype.is_complex:
        raise DTypeError(f"{name}: value cannot be converted to {x.dtype}: {value} is complex.")
    for number, (b, a) in enumerate(pads):
        n = x._shape[-1 - number]
        if n + b + a < 0 or n + min(b, 0) + min(a, 0) < 0:
            raise ShapeError(
                f"{name}: The input size {n}, plus negative padding {b} and {a}, resulted in a "
                f"negative output size: length must be non-negative. Check dimension "
                f"{x.ndim - 1 - number} of your input."
            )
    return _constant(x, pads, value if isinstance(value, complex) else float(value))


@public(
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), (1, 2)),
        sample(make.real(2, 3), [1, 0, -1, 2], 1.5),
        sample(make.complex(3), (1, 0), 2 - 1j),
    ],
    errors=lambda make: [bad(RuntimeError, "divisible by 2", make.real(2), (1,))],
)
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """Constants before and after the elements of the last dimensions.

    Args:
        input: any shape and dtype.
        pad: as for `nn.functional.pad`.
        value: the constant.

    Raises:
        ShapeError: as for `nn.functional.pad`.
    """
    x = tensor_argument("constant_pad_nd", "input", 1, input)
    return _pad_constant("constant_pad_nd", x, _widths("constant_pad_nd", x, pad), value)


def _pad_samples(make: Maker) -> list[Sample]:
    cube = (1, 2, 3, 3)
    return [
        sample(make.real(2, 3), (1, 2)),
        sample(make.real(2, 3), (-1, 1, 2, -1), value=0.5),
        sample(make.real(1, 2, 2), [0, 1, 1, 0, 2, 1], "constant", 2.0),
        sample(make.real(), ()),
        sample(make.real(2, 0), (1, 1)),
        sample(make.complex(3), (1, 0)),
        sample(make.real(2, 4), (2, 3), "reflect"),
        sample(make.real(1, 2, 4), (-1, 3), "reflect"),
        sample(make.real(1, 3, 4), (2, 0, 1, 2), "reflect"),
        sample(make.real(*cube), (1, 2, 2, 1, 1, 0), "reflect"),
        sample(make.real(1, 2, 3), (3, 1), "replicate"),
        sample(make.real(1, 3, 4), (2, -1, 0, 4), "replicate"),
        sample(make.real(*cube), (1, 1, 0, 2, 1, 0), mode="replicate"),
        sample(make.real(1, 2, 3), (3, 2), "circular"),
        sample(make.real(1, 3, 4), (-1, 2, 3, 1), "circular"),
        sample(make.real(*cube), (1, 1, 0, 2, 1, 2), mode="circular"),
    ]


def _numpy_pad(array: Tensor, pad_width: Any, mode: str = "constant", **options: Any) -> Tensor:
    """`numpy.pad` of the modes that repeat elements or a constant."""
    if isinstance(pad_width, dict):
        pairs: list[Any] = [(0, 0)] * array.ndim
        for axis, width in pad_width.items():
            pairs[canonical_dim(axis, array.ndim)] = np.broadcast_to(width, 2).tolist()
    else:
        pairs = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    if mode == "constant":
        constants = options.pop("constant_values", 0)
        if not options and not np.ndim(constants):
            flat = [width for pair in reversed(pairs) for width in pair]
            return constant_pad_nd(array, flat, constants)
    elif mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise NotImplementedError(
            f"pad: mode {mode!r} is not implemented; there are constant, edge, reflect, symmetric "
            "and wrap."
        )
    y = array
    for axis, (before, after) in enumerate(pairs):
        if mode == "constant":
            low, high = np.broadcast_to(constants, (array.ndim, 2))[axis].tolist()
            lead = [0] * (2 * (array.ndim - 1 - axis))
            y = constant_pad_nd(y, [*lead, before, 0], low)
            y = constant_pad_nd(y, [*lead, 0, after], high)
        elif before or after:
            places: Any = np.arange(array._shape[axis])
            places = np.pad(places, (before, after), mode, **options)  # type: ignore[call-overload]
            y = y[(*[slice(None)] * axis, places)]
    return y


@public(
    path="nn.functional.pad",
    numpy={"pad": _numpy_pad},
    kind="primitive",
    samples=_pad_samples,
    errors=lambda make: [
        bad(RuntimeError, "divisible by 2", make.real(2), (1,)),
        bad(RuntimeError, "got padding length 4 and input of dim", make.real(2), (1, 1, 1, 1)),
        bad(RuntimeError, "length must be non-negative", make.real(3), (-2, -2)),
        bad(TypeError, "must be tuple of ints, not int", make.real(3), 1),
        bad(TypeError, "element of type float at pos 0", make.real(3), (1.5, 1)),
        bad(TypeError, "must be float, not str", make.real(3), (1, 1), value="a"),
        bad(NotImplementedError, "Unrecognised padding mode", make.real(2, 3), (1, 1), "edge"),
        bad(NotImplementedError, "Padding size 2 is not", make.real(3), (1, 1), "reflect"),
        bad(RuntimeError, "take in value argument", make.real(2, 3), (1, 1), "reflect", 1.0),
        bad(
            RuntimeError,
            r"Argument #6: Padding size should be less .* \(3, 1\) at dimension 1",
            make.real(1, 3, 4),
            (1, 1, 3, 1),
            "reflect",
        ),
        bad(RuntimeError, "is too small", make.real(2, 3), (-2, -2), "replicate"),
        bad(RuntimeError, "other non-zero dim", make.real(0, 3), (1, 1), "replicate"),
        bad(RuntimeError, "wrapping around more than", make.real(2, 3), (4, 1), "circular"),
        bad(RuntimeError, "an empty dimension", make.real(2, 3), (-2, -2), "circular"),
        bad(RuntimeError, "not implemented for", make.boolean(2, 3), (1, 1), "reflect"),
    ],
    departs={
        "node": "a node of their own for negative widths; PyTorch copies circular ones",
        "saves less": "the elements, of which the shape matters only",
    },
)
def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """More elements before and after those of the last dimensions, or fewer.

    Args:
        input: any shape and dtype; `(n, channels, *)` or `(channels, *)`, with one to three
            dimensions `*`, in the modes other than `"constant"`.
        pad: two widths for each dimension, before and after, from the last dimension on. A
            negative width takes elements away.
        mode: `"constant"`; `"reflect"`, mirrored at the first and last element; `"replicate"`,
            repeats of these; `"circular"`, periodic.
        value: the constant, 0 by default; only in the mode `"constant"`.

    Returns:
        A new Tensor of the dtype of `input`.

    Raises:
        ShapeError: the widths do not fit `input`.
        NotImplementedError: there is no such mode, or not for so many dimensions.
        ArgumentError: there is a `value`, and the mode is not `"constant"`.
        ArgumentTypeError: the widths are no ints, or `value` is no number.
        DTypeError: bool, in the modes `"reflect"` and `"replicate"`.
    """
    x = tensor_argument("pad", "input", 1, input)
    pads = _widths("pad", x, pad)
    if mode == "constant":
        return _pad_constant("pad", x, pads, 0.0 if value is None else value)
    extend = _REPEATING.get(mode)
    if extend is None:
        raise NotImplementedError(f"pad: Unrecognised padding mode {mode}.")
    if value:
        raise ArgumentError(f'pad: Padding mode "{mode}" doesn\'t take in value argument.')
    count = len(pads)
    if not 1 <= count <= 3 or x.ndim - count not in (1, 2):
        raise NotImplementedError(
            f"pad: Padding size {2 * count} is not supported for {x.ndim}D input tensor. Supported "
            "for non-constant padding are 2, 4 and 6, with one or two dimensions in front of those "
            "that are padded."
        )
    if mode != "circular" and x._type.dtype is dtypes.bool_:
        raise DTypeError(f"pad: mode {mode!r} is not implemented for {x.dtype}.")
    _check_repeating(mode, x._shape, pads)
    grown = tuple([(max(b, 0), max(a, 0)) for b, a in pads])
    cut = tuple([(max(-b, 0), max(-a, 0)) for b, a in pads])
    if grown == pads:
        return extend[count - 1](x, pads)
    if mode == "circular":  # of what is left; the others see all elements
        return extend[count - 1](x[_middle(x._shape, cut)], grown)
    y = extend[count - 1](x, grown)
    return y[_middle(y._shape, cut)]


def _check_repeating(mode: str, shape: tuple[int, ...], pads: Pads) -> None:
    count, ndim = len(pads), len(shape)
    if mode != "circular" and not math.prod(shape[ndim - count - 1 :]):
        raise ShapeError(
            f"pad: Expected {count + 1}D or {count + 2}D (batch mode) tensor with possibly 0 batch "
            f"size and other non-zero dimensions for input, but got: {list(shape)}."
        )
    for number, (b, a) in enumerate(pads):
        n = shape[-1 - number]
        if mode == "reflect" and max(b, a) >= n:
            raise ShapeError(
                f"pad: Argument #{4 + 2 * number}: Padding size should be less than the "
                f"corresponding input dimension, but got: padding ({b}, {a}) at dimension "
                f"{ndim - 1 - number} of input {list(shape)}."
            )
        if mode == "circular" and max(b, a) > n:
            raise ShapeError(
                f"pad: Padding value causes wrapping around more than once: ({b}, {a}) at "
                f"dimension {ndim - 1 - number} of input {list(shape)}."
            )
        if mode == "circular" and n + b + a < 0:
            raise ShapeError("pad: Negative padding value is resulting in an empty dimension.")
        if mode != "circular" and n + b + a < 1:
            raise ShapeError(
                f"pad: input ({'WHD'[number]}: {n}) is too small. "
                f"Calculated output {'WHD'[number]}: {n + b + a}."
            )
