"""Writing into Tensors: `x[index] = value`, `copy_`, `fill_`, and the in-place forms.

This module is imported after the other operations: it reads their records. `inplace.py` says what a
write does to histories.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..batching.array import deepest
from ..batching.namespace import batched
from ..device import Array, is_array
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, GraphError, ShapeError
from ..inplace import overwrite, rearrange, write
from ..mode import checked_indices
from ..op import OPS, Op, primitive, promote, public
from ..random import Generator, default_generator
from ..samples import bad, sample
from ..tensor import Lifted, Tensor, wrap
from .index import fitting, getitem, located, not_indexed
from .pointwise import imag, real
from .shape import common_shape, expand, reshape

__all__ = ["index_put"]

# all elements ----------------------------------------------------------------------------------


def _copied(x: Tensor, source: Tensor) -> Tensor:
    source = source.to(x._type.device, x._type.dtype)
    if source._shape != x._shape:
        shape = common_shape("copy_", (x, source))
        if shape != x._shape:
            raise ShapeError(
                f"output with shape {list(x._shape)} doesn't match the broadcast shape "
                f"{list(shape)}."
            )
        source = expand(source, shape)
    return overwrite(x, source)


def copy_(self: Tensor, other: Tensor, non_blocking: bool = False) -> Tensor:
    """Write `other` into this Tensor, which then depends on it.

    Args:
        self: the Tensor to write to, `(*)`.
        other: broadcasts to `(*)`, any dtype, on any device.
        non_blocking: without effect.

    Returns:
        This Tensor.

    Raises:
        ShapeError: `other` does not broadcast to the shape.
        ArgumentTypeError: it is no Tensor.
    """
    if not isinstance(other, Tensor):
        raise ArgumentTypeError(
            "copy_(): argument 'other' (position 1) must be Tensor, not "
            f"{type(other).__qualname__}."
        )
    if other._type is self._type and other._shape == self._shape:
        direct = lambda a: np.copyto(a, other._array)
        return write(self, _copied, (other,), None, direct, may_overlap=other is self)
    return write(self, _copied, (other,))


_filled = primitive(
    "fill",
    lambda xp, x, value: xp.full_like(x, value),
    lambda xp, g: xp.zeros_like(g),
)
_zeroed = primitive("zero", lambda xp, x: xp.zeros_like(x), lambda xp, g: xp.zeros_like(g))


def fill_(self: Tensor, value: Any) -> Tensor:
    """Write a value into all elements.

    Args:
        self: the Tensor to write to.
        value: a number or a 0-d Tensor, which is cast to the dtype.

    Returns:
        This Tensor.

    Raises:
        ShapeError: `value` has dimensions.
        ArgumentError: it does not fit the dtype.
    """
    if not isinstance(value, Tensor):
        number = fitting("fill_", value, self)
        return write(self, _filled, (number,), None, lambda a: a.fill(number), may_overlap=True)
    if value._shape:
        raise ShapeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value.ndim} dimensions."
        )
    return write(self, _copied, (value,))


def zero_(self: Tensor) -> Tensor:
    """Write zeros into all elements, and return this Tensor."""
    return write(self, _zeroed, (), None, lambda a: a.fill(0), may_overlap=True)


def detach_(self: Tensor) -> Tensor:
    """Let this Tensor be a leaf without history, and return it.

    Raises:
        GraphError: it is a view, whose base has a history.
    """
    if self._is_view():
        raise GraphError(
            "Can't detach views in-place. Use detach() instead, which gives a Tensor that shares "
            "memory."
        )
    if isinstance(self, Lifted):
        self._detach()
    self._node = None
    self._requires_grad = False
    return self


# random numbers --------------------------------------------------------------------------------


def drawn(
    self: Tensor,
    generator: Generator | None,
    draw: Callable[[Generator, tuple[int, ...], Any], Any],
) -> Tensor:
    source = generator or default_generator(self._type.device)
    values = wrap(draw(source, self._shape, self._type.numpy))
    return write(self, _copied, (values,))


def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Write normal random numbers into all elements, and return this Tensor.

    Args:
        self: the Tensor to write to, floating point or complex.
        mean: their mean.
        std: their standard deviation.
        generator: where they come from; the device's own by default.

    Raises:
        ArgumentError: `std` is negative.
    """
    if std < 0:
        raise ArgumentError(f"normal_ expects std >= 0.0, but found std {std}.")
    return drawn(self, generator, lambda g, shape, dtype: g.normal(shape, dtype) * std + mean)


def uniform_(
    self: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Write random numbers of [from_, to) into all elements, and return this Tensor.

    Args:
        self: the Tensor to write to, floating point.
        from_: the least number.
        to: the bound, not among them.
        generator: where they come from; the device's own by default.

    Raises:
        ArgumentError: `from_` is greater than `to`.
    """
    if not from_ <= to:
        raise ArgumentError(
            f"uniform_ expects to return a [from, to) range, but found from={from_} > to={to}."
        )
    width = to - from_
    return drawn(self, generator, lambda g, shape, dtype: g.uniform(shape, dtype) * width + from_)


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Write ones with probability `p`, else zeros, and return this Tensor.

    Args:
        self: the Tensor to write to, `(*)`.
        p: a number in [0, 1], or a Tensor of such that broadcasts to `(*)`.
        generator: where they come from; the device's own by default.

    Raises:
        ArgumentError: `p` is a number outside of [0, 1].
    """
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise ArgumentError(f"bernoulli_ expects p to be in [0, 1], but got p={p}.")
    chance = p._array if isinstance(p, Tensor) else p
    return drawn(self, generator, lambda g, shape, dtype: g.uniform(shape) < chance)


# some elements ---------------------------------------------------------------------------------


def _stored(xp: Any, x: Any, values: Any, index: Any, accumulate: bool) -> Any:
    if accumulate:
        return x + xp.put(values, index, x.shape)
    y = x.copy()
    y[index] = values
    return y


_index_put = primitive(
    "index_put",
    _stored,
    lambda xp, g, x_shape, index, accumulate: (
        g if accumulate else xp.keep(g, _untouched(xp, g, index, x_shape))
    ),
    lambda xp, g, index: xp.getitem(g, index),
    inputs=2,
    graph="IndexPutBackward0",
    holds_arrays=True,
)


def _untouched(xp: Any, g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Where an index does not point to."""
    return xp.equal(xp.put(xp.ones_like(xp.getitem(g, index)), index, shape), 0)


def _put(x: Tensor, values: Tensor, index: Any, accumulate: bool) -> Tensor:
    """`x` with values at an index of masks and arrays."""
    if values._type is not x._type:
        values = values.to(x._type.device, x._type.dtype)
    try:
        shape = _index_shape(x, index)
    except Exception as error:
        not_indexed(x, index, error)
    lead = len(values._shape) - len(shape)
    if lead > 0 and set(values._shape[:lead]) == {1}:
        values = reshape(values, values._shape[lead:])
    try:
        values = values if values._shape == shape else expand(values, shape)
    except ShapeError as error:
        raise ShapeError(
            f"shape mismatch: value tensor of shape {list(values._shape)} cannot be broadcast to "
            f"indexing result of shape {list(shape)}."
        ) from error
    return _index_put(x, values, index, accumulate)


def _index_shape(x: Tensor, index: Any) -> tuple[int, ...]:
    """The shape of `x[index]`."""
    small = np.broadcast_to(np.zeros((), bool), x._shape)
    if deepest(index) is not None:
        return tuple(batched.getitem(small, index).shape)
    return tuple(small[tuple([_on_host(item) for item in index])].shape)


def _on_host(item: Any) -> Any:
    """An item of an index, as far as the shape of what it names needs it on the host."""
    if not hasattr(item, "get"):
        return item
    if item.dtype == np.bool_ or checked_indices.get():
        return item.get()
    return np.zeros(item.shape, np.int64)


@public(
    methods=("index_put",),
    kind="primitive",
    in_place=True,
    samples=lambda make: [
        sample(make.real(3, 2), (make.integers(0, 2, 1),), make.real(2)),
        sample(make.real(4), (np.array([2, 0]),), make.real(2)),
        sample(make.real(4), (np.array([2, 0, 2]),), make.real(3), accumulate=True),
        sample(
            make.real(2, 3), (np.array([[True, False, True], [False, True, False]]),), make.real(3)
        ),
        sample(make.real(2, 3), (np.array([1, 0]), np.array([2, 2])), make.real()),
        sample(make.real(2, 3), (np.array([1, 1]), np.array([2, 2])), make.real(2), True),
        sample(make.real(3), (np.zeros(0, np.int64),), make.real(0)),
    ],
    errors=lambda make: [
        bad(IndexError, "out of bounds", make.real(3), (np.array([3]),), make.real(1)),
        bad(RuntimeError, "shape mismatch", make.real(3), (np.array([0, 1]),), make.real(3)),
        bad(TypeError, "must be tuple of Tensors", make.real(3), np.array([0]), make.real(1)),
    ],
    batched=False,
)
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with `values` at `indices`.

    Args:
        input: `(*)`, any dtype.
        indices: a tuple of integer or bool Tensors, as in `input[indices]`; None for all of a
            dimension.
        values: broadcasts to the shape of `input[indices]`, in the dtype of `input`.
        accumulate: add to what is there, also where a place is named twice; otherwise one of the
            values of a place named twice is taken, it is not said which.

    Returns:
        A copy.

    Raises:
        DimensionError: an index is out of range.
        ShapeError: `values` does not broadcast.
        DTypeError: `values` has another dtype.
    """
    if not isinstance(indices, tuple | list):
        raise ArgumentTypeError(
            "index_put(): argument 'indices' (position 1) must be tuple of Tensors, "
            f"not {type(indices).__qualname__}."
        )
    (source,) = promote("index_put", values)
    if source._type.dtype is not input._type.dtype:
        raise DTypeError(
            f"Index put requires the source and destination dtypes match, got {input.dtype} for "
            f"the destination and {source.dtype} for the source."
        )
    every = tuple([slice(None) if i is None else i for i in indices])
    part, arrays = located(input, every)
    if arrays is None:
        arrays = (slice(None),)
    return _put(part, source, arrays, bool(accumulate))


_BASIC: Final = frozenset((int, slice, type(None), type(Ellipsis)))


def _is_all(items: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    """Whether an index is slices of whole dimensions, and perhaps an Ellipsis."""
    slices = [item for item in items if item.__class__ is slice]
    dots = [place for place, item in enumerate(items) if item is Ellipsis]
    if len(slices) + len(dots) != len(items) or len(dots) > 1 or len(slices) > len(shape):
        return False
    at = dots[0] if dots else len(slices)
    lengths = shape[:at] + shape[len(shape) - (len(slices) - at) :]
    return all(s.indices(n) == (0, n, 1) for s, n in zip(slices, lengths, strict=True))


def __setitem__(self: Tensor, index: Any, value: Any) -> None:
    """Write `value` at `index`, as `x[index]` reads it.

    Args:
        self: the Tensor to write to.
        index: any index that `x[index]` takes.
        value: a number, or a Tensor or array that broadcasts to the shape of `x[index]`; it is cast
            to the dtype.

    Raises:
        DimensionError, ArgumentError: as `x[index]` does.
        ShapeError: `value` does not broadcast.
    """
    items = index if index.__class__ is tuple else (index,)
    arrays = None
    if _is_all(items, self._shape):
        part = self
    elif all(item.__class__ in _BASIC for item in items):
        part = getitem(self, index)
    else:
        part, arrays = located(self, index)
    if is_array(value):
        value = wrap(value)
    elif isinstance(value, list | tuple):
        raise ArgumentTypeError(
            f"can't assign a {type(value).__qualname__} to a Tensor: use tensor()."
        )
    if arrays is not None:
        if not isinstance(value, Tensor):
            value = wrap(self._type.asarray(fitting("x[index] = value", value, self)))
        write(part, _put, (value, arrays, False))
    elif isinstance(value, Tensor):
        raw = value._array
        same = value._type is part._type and value._shape == part._shape
        write(part, _assigned, (value,), None, (lambda a: np.copyto(a, raw)) if same else None)
    else:
        number = fitting("x[index] = value", value, self)
        write(part, _filled, (number,), None, lambda a: a.fill(number))


def _assigned(x: Tensor, value: Tensor) -> Tensor:
    """`value`, whose leading dimensions may have length 1, in the shape of `x`."""
    lead = len(value._shape) - len(x._shape)
    if lead > 0 and set(value._shape[:lead]) == {1}:
        value = reshape(value, value._shape[lead:])
    return overwrite(x, expand(value.to(x._type.device, x._type.dtype), x._shape))


def _part(part: Callable[[Tensor], Tensor]) -> property:
    """The attribute for a part of complex numbers, to which values can be assigned."""

    def assign(self: Tensor, value: Any) -> None:
        part(self)[...] = value

    return property(part, assign)


setattr(Tensor, "real", _part(real))  # noqa: B010  type checkers find it in methods.py
setattr(Tensor, "imag", _part(imag))  # noqa: B010


# in-place forms of operations ------------------------------------------------------------------

_OPERATORS: Final = {
    f"__{name}__": f"__i{name}__"
    for name in [
        "add",
        "sub",
        "mul",
        "truediv",
        "floordiv",
        "mod",
        "pow",
        "and",
        "or",
        "xor",
        "lshift",
        "rshift",
    ]
}
_REARRANGED: Final = ("squeeze", "swapaxes", "swapdims", "t", "transpose", "unsqueeze")


def _in_place(name: str, function: Callable[..., Any], op: Op) -> Callable[..., Tensor]:
    faces = op.numpy
    if not faces and f"_{op.name}" in OPS:
        faces = OPS[f"_{op.name}"].numpy  # what it calls, where there are no further arguments
    face = getattr(np, next(iter(faces), ""), None)
    ufunc = face if isinstance(face, np.ufunc) and op.kind != "comparison" else None

    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if ufunc is not None and not kwargs and self._type.recordable:
            if not args and ufunc.nin == 1:
                run = _negate if ufunc is np.negative else lambda a: ufunc(a, a)
                return write(self, function, args, None, run)
            if len(args) == 1 and ufunc.nin == 2:
                raw = _same_kind(self, args[0])
                if raw is not None:
                    return write(self, function, args, None, lambda a: ufunc(a, raw, a))
        return write(self, function, args, kwargs)

    _name(call, name, function, "Write what `{}` gives into this Tensor, and return it.")
    return call


def _negate(a: Array) -> None:
    # NumPy 2.4 reads from wrong places where it writes to some strides, 64 bytes of float64.
    if a.flags.forc:
        np.negative(a, a)
    else:
        a[...] = np.negative(a)


def _same_kind(x: Tensor, other: Any) -> Any:
    """`other` for NumPy, if what is computed of it has the shape and dtype of `x`; else None."""
    if other.__class__ is float or other.__class__ is int:
        return x._type.numpy.type(other) if x._type.dtype.is_floating_point else None
    if other.__class__ is Tensor and other._type is x._type:
        shape = other._shape
        lead = len(x._shape) - len(shape)
        if shape == x._shape or (
            lead >= 0 and all(n in (1, m) for n, m in zip(shape, x._shape[lead:], strict=True))
        ):
            return other._array
    return None


def rearranged(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return rearrange(self, functools.partial(function, **kwargs), args)

    _name(call, name, function, "Let this Tensor have the shape that `{}` gives.")
    return call


def _name(call: Any, name: str, function: Any, text: str) -> None:
    call.__name__ = call.__qualname__ = name
    call.__doc__ = text.format(function.__name__)
    call.__wrapped__ = function  # inspect.signature reads it


def give_in_place_forms() -> None:
    """Give Tensor the in-place forms of the operations declared by now."""
    for op in OPS.values():
        for method in op.methods if op.in_place else ():
            form = _OPERATORS.get(method) if method.startswith("__") else f"{method}_"
            if form is not None and form not in _GIVEN:
                _GIVEN.add(form)
                setattr(Tensor, form, _in_place(form, getattr(Tensor, method), op))


_GIVEN: Final[set[str]] = set()
give_in_place_forms()
for _method in _REARRANGED:
    setattr(Tensor, f"{_method}_", rearranged(f"{_method}_", getattr(Tensor, _method)))
for _function in (
    copy_,
    fill_,
    zero_,
    detach_,
    normal_,
    uniform_,
    bernoulli_,
    __setitem__,
):
    setattr(Tensor, _function.__name__, _function)
