"""Shapes: views, rearrangements, joining and splitting."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeVar

import numpy as np

from .. import dtypes
from ..device import Array, TensorType
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DimensionError,
    GradcoreError,
    ShapeError,
)
from ..graph import (
    METADATA,
    Cotangents,
    Edge,
    Pullback,
    Rule,
    new_node,
    output_of,
)
from ..mode import is_grad_enabled
from ..namespace import Namespace
from ..op import (
    Formula,
    common_device,
    face,
    primitive,
    promote,
    public,
    recorded,
    tensor_of,
)
from ..samples import bad, sample
from ..tensor import Lifted, Tensor, as_view, canonical_dim, new_tensor, outermost
from .conversion import clone, to

__all__ = [
    "adjoint",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_tensors",
    "broadcast_to",
    "cat",
    "chunk",
    "column_stack",
    "concat",
    "concatenate",
    "diag",
    "diag_embed",
    "diagonal",
    "dstack",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "hstack",
    "moveaxis",
    "movedim",
    "permute",
    "ravel",
    "reshape",
    "roll",
    "rot90",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "swapdims",
    "t",
    "tensor_split",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unflatten",
    "unsqueeze",
    "vstack",
]

Shape = tuple[int, ...]
F = TypeVar("F", bound=Callable[..., Any])


# how these operations are declared -------------------------------------------------------------

Recover = Callable[[Tensor, Any, Exception], Tensor]
"""Gives the result where the array call failed, or raises what the user should read."""


def linear(
    name: str,
    forward: Formula,
    rule: Formula,
    graph: str,
    recover: Recover | None = None,
    *,
    affine: bool = False,
    view: bool = False,
    holds_arrays: bool = False,
    batching: Formula | None = None,
) -> Callable[[Any, Any], Tensor]:
    """Declare a rearrangement of one Tensor, with errors in the words of its arguments.

    Args:
        name: of the operation.
        forward: `lambda xp, x, m: ...`, with one piece of metadata; gives an array.
        rule: its VJP by the grammar of `op.py`; it may ask for `x_shape` and `m`.
        graph: the name of its node.
        recover: see `Recover`.
        affine: elements may be constants.
        view: the result may share memory with the Tensor.
        holds_arrays: as for `primitive`.
        batching: as for `primitive`.

    Returns:
        A function of the Tensor and the metadata, which it does not check.
    """
    run = primitive(
        name,
        forward,
        rule,
        graph=graph,
        linear=not affine,
        holds_arrays=holds_arrays,
        batching=batching,
    )

    def apply(input: Any, m: Any) -> Tensor:
        try:
            y = run(input, m)
            return as_view(y, input, run, m) if view else y
        except Exception as error:
            if not isinstance(input, Tensor):
                return apply(tensor_of(name, input), m)
            if hasattr(error, "raised_by_mode"):
                raise
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            if recover is not None:
                return recover(input, m, cause)
            raise _failed(name, input, cause) from cause

    return apply


def _failed(name: str, x: Tensor, error: Exception) -> Exception:
    if isinstance(error, GradcoreError):
        return error
    text = f"{name}(): {error} (for a Tensor of shape {x._shape})."
    if isinstance(error, IndexError):
        return DimensionError(text)
    return ArgumentTypeError(text) if isinstance(error, TypeError) else ShapeError(text)


def _pieces(
    x: Tensor, indices: Sequence[Any], pullback: Pullback, saved: tuple[Any, ...]
) -> tuple[Tensor, ...]:
    """Views of `x` at these basic indices, as the outputs of one node."""
    kind = x._type
    array = x._array
    node = None
    if x._requires_grad and is_grad_enabled():
        node = new_node(pullback, (x._node or x,), saved, kind, None, (x,))
    name = pullback.name.removesuffix("Backward0")
    pieces = []
    for number, index in enumerate(indices):
        y = array[index]
        edge = None if node is None else output_of(node, number, kind)
        piece = new_tensor(y, kind, y.shape, node is not None, edge)
        pieces.append(as_view(piece, x, slice_of, index, (name, number, "several")))
    return tuple(pieces)


_JOINS: Final[dict[tuple[Any, tuple[bool, ...]], Pullback]] = {}


def joined(
    graph: str,
    cut: Callable[[Namespace, Any, Any, Any], list[Any]],
    tensors: Sequence[Tensor],
    y: Array,
    kind: TensorType,
    dim: int,
    lengths: Any,
) -> Tensor:
    """The Tensor of `y`, which `tensors` form; `cut(xp, g, dim, lengths)` undoes it."""
    out = new_tensor(y, kind, y.shape)
    wanted = tuple([x._requires_grad for x in tensors])
    if True in wanted and is_grad_enabled():
        pullback = _JOINS.get((cut, wanted))
        if pullback is None:
            pullback = _JOINS[cut, wanted] = _join_pullback(graph, cut, wanted)
        edges: tuple[Edge, ...]
        if False in wanted:
            edges = tuple([x._node or x for x in tensors if x._requires_grad])
        else:
            edges = tuple([x._node or x for x in tensors])
        out._node = new_node(pullback, edges, (dim, lengths), kind)
        out._requires_grad = True
    return out


def _join_pullback(
    graph: str, cut: Callable[[Namespace, Any, Any, Any], list[Any]], wanted: tuple[bool, ...]
) -> Pullback:
    """The Pullback of an operation that joins Tensors, of which those marked require grad."""
    at = [place for place, want in enumerate(wanted) if want]
    numbers = tuple([at.index(place) if want else None for place, want in enumerate(wanted)])
    rules = tuple([_picker(place) for place in at])
    return Pullback(graph, rules, (METADATA, METADATA), numbers, lambda xp, g, s: cut(xp, g, *s))


def _picker(place: int) -> Rule:
    return lambda xp, g, s: g[place]


# arguments -------------------------------------------------------------------------------------


def integers(name: str, argument: str, value: Any) -> Shape:
    """`value` (an int, or a sequence of ints) as a tuple."""
    try:
        if isinstance(value, tuple | list):
            return tuple([operator.index(n) for n in value])
        return (operator.index(value),)
    except TypeError:
        raise ArgumentTypeError(
            f"{name}(): argument '{argument}' must be tuple of ints, not {_described(value)}."
        ) from None


def one_of(name: str, *given: Any) -> Any:
    """The only one that is not None, of an argument that has several names.

    Raises:
        ArgumentTypeError: there is none, or there are several.
    """
    found = [value for value in given if value is not None]
    if len(found) != 1:
        raise ArgumentTypeError(
            f"{name}() takes either indices or a number of sections, and {len(found)} were given."
        )
    return found[0]


def _described(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of " + ", ".join(type(v).__name__ for v in value)
    return type(value).__qualname__


def _dim(dim: Any, ndim: int) -> int:
    if dim.__class__ is int and -ndim <= dim < ndim:
        return int(dim if dim >= 0 else dim + ndim)
    return canonical_dim(dim, ndim)


def _distinct_dims(dims: Any, ndim: int) -> Shape:
    """Dimensions counted from the front, in the order given; each only once."""
    found = [canonical_dim(d, ndim) for d in (dims if isinstance(dims, tuple | list) else (dims,))]
    for d in found:
        if found.count(d) > 1:
            raise ShapeError(f"dim {d} appears multiple times in the list of dims.")
    return tuple(found)


def _required(name: str, argument: str) -> NoReturn:
    raise ArgumentTypeError(f"{name}() missing 1 required positional argument: '{argument}'.")


def operands(name: str, tensors: Any) -> list[Tensor]:
    """The operands of a joining operation: Tensors of one type."""
    if isinstance(tensors, Tensor) or not isinstance(tensors, list | tuple):
        raise ArgumentTypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, "
            f"not {type(tensors).__qualname__}."
        )
    for number, t in enumerate(tensors):
        if isinstance(t, bool | int | float | complex):
            raise ArgumentTypeError(
                f"{name}(): expected Tensor as element {number} in argument 0, "
                f"but got {type(t).__qualname__}."
            )
    return promote(name, *tensors)


# shapes of the same elements -------------------------------------------------------------------


def _not_reshaped(x: Tensor, shape: Any, error: Exception) -> Tensor:
    raise _reshape_error(x, integers("reshape", "shape", shape)) from error


def _reshape_error(x: Tensor, shape: Shape) -> Exception:
    if shape.count(-1) > 1:
        return ShapeError(f"only one dimension can be inferred, and shape is {list(shape)}.")
    for number, n in enumerate(shape):
        if n < -1:
            return ShapeError(
                f"invalid shape dimension {n} at index {number} of shape {list(shape)}."
            )
    if -1 in shape and 0 in shape and x._array.size == 0:
        return ShapeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified "
            "dimension size -1 can be any value and is ambiguous."
        )
    return ShapeError(f"shape '{list(shape)}' is invalid for input of size {x._array.size}.")


_reshape = linear(
    "reshape",
    lambda xp, x, shape: x.reshape(shape),
    lambda xp, g, x_shape: xp.reshape(g, x_shape),
    "ViewBackward0",
    _not_reshaped,
    view=True,
)


def _numpy_reshape(a: Tensor, shape: Any, order: str = "C", *, copy: bool | None = None) -> Tensor:
    if order == "C":
        y = reshape(a, shape)
    elif order == "F":
        wide = integers("reshape", "shape", shape)
        y = _reverse(reshape(_reverse(a, None), wide[::-1]), None)
    else:
        raise ArgumentError(f"reshape: order must be 'C' or 'F' for a Tensor, not {order!r}.")
    return clone(y) if copy else y


@public(
    methods=("reshape",),
    numpy={"reshape": _numpy_reshape},
    array_api="reshape",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), (3, 2)),
        sample(make.real(2, 3), (-1,)),
        sample(make.real(2, 3), (1, -1, 2)),
        sample(make.real(6), [2, 3]),
        sample(make.real(), (1, 1)),
        sample(make.real(1), ()),
        sample(make.real(0, 3), (3, -1)),
        sample(make.real(2, 3), shape=(6,)),
    ],
    errors=lambda make: [
        bad(RuntimeError, r"shape '\[4\]' is invalid for input of size 6", make.real(2, 3), (4,)),
        bad(RuntimeError, "only one dimension can be inferred", make.real(2, 3), (-1, -1)),
        bad(RuntimeError, "invalid shape dimension -2", make.real(2, 3), (-2, 3)),
        bad(RuntimeError, "ambiguous", make.real(0), (-1, 0)),
        bad(TypeError, "must be tuple of ints, not str", make.real(2), "a"),
    ],
)
def reshape(input: Tensor, shape: Any, *rest: int) -> Tensor:
    """The same elements, in row-major order, in another shape.

    Args:
        input: `(*)`, any dtype.
        shape: the new shape, as a tuple or as several arguments; one -1 stands for what is left.

    Returns:
        A view of `input` where its memory allows, otherwise a copy.

    Raises:
        ShapeError: the shape has another number of elements.
    """
    if rest:
        shape = (shape, *rest)
    elif shape.__class__ is not tuple:
        shape = integers("reshape", "shape", shape)
    y = _reshape(input, shape)
    if y._shape != shape and min(shape) < -1:
        raise _reshape_error(y, integers("reshape", "shape", shape))
    return y


@public(
    path="Tensor.view",
    methods=("view",),
    samples=lambda make: [
        sample(make.real(2, 3), (3, 2)),
        sample(make.real(2, 3), -1),
        sample(make.real(2, 3), 3, 2),
        sample(make.real(), (1,)),
        sample(make.real(2, 4), dtypes.int64),
        sample(make.real(2, 3), dtypes.int16),
        sample(make.real(2, 3), size=(6,)),
        sample(make.real(2, 3), dtype=dtypes.int64),
    ],
    errors=lambda make: [
        bad(RuntimeError, "is invalid for input of size 6", make.real(2, 3), 4),
        bad(RuntimeError, "must be divisible by 2 to view", make.real(2, 3), dtypes.complex128),
        bad(RuntimeError, "cannot be 0 to view Double as", make.real(), dtypes.float32),
    ],
)
def view(input: Tensor, size: Any = None, *rest: int, dtype: Any = None) -> Tensor:
    """The same memory, in row-major order, in another shape; or its bits as another dtype.

    Args:
        input: `(*)`, any dtype.
        size: the new shape, as a tuple or as several arguments; one -1 stands for what is left.
            Or a dtype: the last dimension grows or shrinks if its elements are of another size.
        dtype: the name for a dtype.

    Returns:
        A view of `input`; through one of another dtype no gradient flows.

    Raises:
        ShapeError: the shape has another number of elements, or needs a copy; the last dimension
            has gaps, or no whole number of the dtype's elements.
    """
    if size is None:
        size = dtype
    if rest:
        size = (size, *rest)
    elif size.__class__ is not tuple:
        if isinstance(size, dtypes.dtype | np.dtype | type):
            read_as = face("read_as")
            assert read_as is not None
            bits: Tensor = read_as(input, dtypes.to_dtype(size))
            return bits
        size = integers("view", "size", size)
    y = _reshape(input, size)
    if y._shape != size and min(size) < -1:
        raise _reshape_error(y, integers("view", "size", size))
    if not input._array.flags.c_contiguous and y._array.size and y.data_ptr() != input.data_ptr():
        raise ShapeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return y


@public(
    path="Tensor.view_as",
    methods=("view_as",),
    samples=lambda make: [sample(make.real(2, 3), make.real(3, 2))],
)
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """The same memory, in row-major order, in the shape of `other`."""
    return view(input, other._shape)


@public(
    path="Tensor.reshape_as",
    methods=("reshape_as",),
    samples=lambda make: [sample(make.real(2, 3), make.real(3, 2))],
)
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """The same elements, in row-major order, in the shape of `other`."""
    return reshape(input, other._shape)


@public(
    methods=("flatten",),
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real()),
        sample(make.real(2, 3, 2), 1),
        sample(make.real(2, 3, 2), start_dim=0, end_dim=1),
        sample(make.real(2, 3, 2), -2, -1),
        sample(make.real(2, 0, 3), 1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "start_dim cannot come after end_dim", make.real(2, 3), 1, 0),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 0, 2),
    ],
)
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from `start_dim` to `end_dim` (included) as one.

    Returns:
        A view of `input` where its memory allows (`input` itself for one dimension).

    Raises:
        ShapeError: `start_dim` comes after `end_dim`.
        DimensionError: a dimension is out of range.
    """
    if input.__class__ is not Tensor:
        input = tensor_of("flatten", input)
    shape = input._shape
    first, last = _dim(start_dim, len(shape)), _dim(end_dim, len(shape))
    if first > last:
        raise ShapeError("flatten() has invalid args: start_dim cannot come after end_dim.")
    if not shape:
        return _reshape(input, (1,))
    if first == last:
        return input
    return _reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@public(
    methods=("ravel",),
    numpy={"ravel": lambda a, order="C": _numpy_reshape(a, (-1,), order)},
    samples=lambda make: [sample(make.real(2, 3)), sample(make.real()), sample(make.real(2, 0))],
)
def ravel(input: Tensor) -> Tensor:
    """All elements in row-major order, in one dimension: a view where the memory allows."""
    return flatten(input)


@public(
    methods=("unflatten",),
    samples=lambda make: [
        sample(make.real(2, 6), 1, (3, 2)),
        sample(make.real(6, 2), 0, (-1, 3)),
        sample(make.real(2, 6), dim=-1, sizes=[1, 6]),
        sample(make.real(2, 6), axis=1, sizes=(3, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "don't multiply up to the size of dim 1", make.real(2, 6), 1, (4, 2)),
        bad(RuntimeError, "sizes must be non-empty", make.real(2, 6), 1, ()),
        bad(RuntimeError, "only one dimension can be inferred", make.real(2, 6), 1, (-1, -1)),
    ],
)
def unflatten(
    input: Tensor, dim: int | None = None, sizes: Any = None, *, axis: int | None = None
) -> Tensor:
    """Dimension `dim` as several of these `sizes`, of which one may be -1.

    NumPy's name for `dim` is `axis`.

    Returns:
        A view of `input` where its memory allows.

    Raises:
        ShapeError: the sizes do not multiply up to that of the dimension.
    """
    if input.__class__ is not Tensor:
        input = tensor_of("unflatten", input)
    shape = input._shape
    at = _dim(dim if axis is None else axis, len(shape))
    sizes = integers("unflatten", "sizes", sizes)
    if not sizes:
        raise ShapeError("unflatten: sizes must be non-empty.")
    if sizes.count(-1) > 1:
        raise ShapeError(f"unflatten: only one dimension can be inferred, and sizes is {sizes}.")
    length = shape[at] if shape else 1
    known = math.prod([n for n in sizes if n != -1])
    whole = tuple([(length // known if known else 0) if n == -1 else n for n in sizes])
    if math.prod(whole) != length:
        raise ShapeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({length}) in the input tensor."
        )
    return _reshape(input, (*shape[:at], *whole, *shape[at + 1 :]))


def _squeezing(graph: str) -> Callable[[Any, Any], Tensor]:
    return linear(
        "squeeze",
        lambda xp, x, shape: x.reshape(shape),
        lambda xp, g, x_shape: xp.reshape(g, x_shape),
        graph,
        view=True,
    )


_squeeze_all = _squeezing("SqueezeBackward0")
_squeeze_one = _squeezing("SqueezeBackward1")
_squeeze_some = _squeezing("SqueezeBackward2")
_unsqueeze = _squeezing("UnsqueezeBackward0")


def _numpy_squeeze(a: Tensor, axis: Any = None) -> Tensor:
    if axis is not None and a._shape:
        for d in _distinct_dims(axis, a.ndim):
            if a._shape[d] != 1:
                raise ShapeError(
                    "cannot select an axis to squeeze out which has size not equal to one: "
                    f"axis {d} of shape {a._shape}."
                )
    return squeeze(a, axis)


@public(
    methods=("squeeze",),
    numpy={"squeeze": _numpy_squeeze},
    array_api="squeeze",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(1, 3, 1)),
        sample(make.real(1, 3, 1), 0),
        sample(make.real(1, 3, 1), -1),
        sample(make.real(1, 3, 1), 1),
        sample(make.real(1, 3, 1), (0, -1)),
        sample(make.real(1, 3, 1), dim=(0, 1)),
        sample(make.real(1, 3), axis=0),
        sample(make.real(), 0),
        sample(make.real(1, 0)),
    ],
    errors=lambda make: [
        bad(IndexError, "Dimension out of range", make.real(1, 3), 5),
        bad(RuntimeError, "appears multiple times", make.real(1, 3), (0, 0)),
    ],
)
def squeeze(input: Tensor, dim: Any = None, *, axis: Any = None) -> Tensor:
    """Without its dimensions of length 1: all, or only those named.

    Args:
        input: `(*)`, any dtype.
        dim: a dimension or a tuple of them; one of another length stays.
        axis: NumPy's name for `dim`.

    Returns:
        A view of `input`.

    Raises:
        DimensionError: a dimension is out of range.
        ShapeError: a dimension is named twice.
    """
    if input.__class__ is not Tensor:
        input = tensor_of("squeeze", input)
    if axis is not None:
        dim = axis
    shape = input._shape
    if dim is None:
        return _squeeze_all(input, tuple([n for n in shape if n != 1]))
    if dim.__class__ is int:
        at = _dim(dim, len(shape))
        if shape and shape[at] == 1:
            shape = shape[:at] + shape[at + 1 :]
        return _squeeze_one(input, shape)
    dims = _distinct_dims(dim, len(shape))
    return _squeeze_some(input, tuple([n for i, n in enumerate(shape) if n != 1 or i not in dims]))


def _numpy_expand_dims(a: Tensor, axis: Any) -> Tensor:
    if not isinstance(axis, tuple | list):
        return unsqueeze(a, axis)
    ndim = a.ndim + len(axis)
    for d in sorted(_distinct_dims(axis, ndim)):
        a = unsqueeze(a, d)
    return a


@public(
    methods=("unsqueeze",),
    numpy={"expand_dims": _numpy_expand_dims},
    array_api="expand_dims",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 0),
        sample(make.real(2, 3), 2),
        sample(make.real(2, 3), -1),
        sample(make.real(2, 3), -3),
        sample(make.real(), dim=0),
        sample(make.real(0), axis=1),
    ],
    errors=lambda make: [
        bad(IndexError, r"expected to be in range of \[-3, 2\], but got 3", make.real(2, 3), 3)
    ],
)
def unsqueeze(input: Tensor, dim: Any = None, *, axis: Any = None) -> Tensor:
    """With a dimension of length 1 inserted at `dim`.

    Args:
        input: `(*)`, any dtype.
        dim: where the dimension stands in the result.
        axis: NumPy's name for `dim`.

    Returns:
        A view of `input`.

    Raises:
        DimensionError: `dim` is out of range.
    """
    if input.__class__ is not Tensor:
        input = tensor_of("unsqueeze", input)
    if dim is None:
        dim = _required("unsqueeze", "dim") if axis is None else axis
    shape = input._shape
    at = _dim(dim, len(shape) + 1)
    return _unsqueeze(input, (*shape[:at], 1, *shape[at:]))


def _at_least(name: str, ndim: int, arrange: Callable[[Tensor], Tensor], **departs: str) -> Any:
    def widen(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], tuple | list):
            return tuple([widen(t) for t in tensors[0]])
        if len(tensors) != 1:
            return tuple([widen(t) for t in tensors])
        t = tensor_of(name, tensors[0])
        return t if t.ndim >= ndim else arrange(t)

    widen.__name__ = widen.__qualname__ = name
    widen.__doc__ = f"""Each Tensor as one of at least {ndim} dimensions, a view of it.

    Args:
        tensors: Tensors, or one sequence of them.

    Returns:
        A Tensor for one, a tuple for several.
    """
    return public(
        numpy=name,
        samples=lambda make: [sample(make.real(*(2,) * n)) for n in range(4)],
        departs=departs,
    )(widen)


atleast_1d = _at_least("atleast_1d", 1, lambda t: _reshape(t, (1,)))
atleast_2d = _at_least(
    "atleast_2d",
    2,
    lambda t: _unsqueeze(t, (1, *(t._shape or (1,)))),
    node="unsqueeze, where PyTorch calls reshape",
)
atleast_3d = _at_least(
    "atleast_3d",
    3,
    lambda t: _unsqueeze(t, (*(t._shape if t.ndim == 2 else (1, *(t._shape or (1,)))), 1)),
    node="unsqueeze, where PyTorch calls reshape",
)


# the order of dimensions -----------------------------------------------------------------------


def _not_transposed(x: Tensor, pair: Any, error: Exception) -> Tensor:
    for dim in pair:
        canonical_dim(dim, x.ndim)
    if not x._shape:
        return _transpose_nothing(x, None)
    raise _failed("transpose", x, error) from error


_alias = linear("alias", lambda xp, x, none: x.view(), lambda xp, g: g, "AliasBackward0", view=True)
_transpose = linear(
    "transpose",
    lambda xp, x, pair: x.swapaxes(*pair),
    lambda xp, g, pair: xp.swapaxes(g, *pair),
    "TransposeBackward0",
    _not_transposed,
    view=True,
)
_transpose_nothing = linear(
    "transpose", lambda xp, x, none: x.view(), lambda xp, g: g, "TransposeBackward0", view=True
)
_t = linear("t", lambda xp, x, none: x.T, lambda xp, g: xp.transpose(g), "TBackward0", view=True)
_reverse = linear(
    "T", lambda xp, x, none: x.T, lambda xp, g: xp.transpose(g), "PermuteBackward0", view=True
)


@public(
    methods=("transpose", "swapdims"),
    numpy={
        "swapaxes": lambda a, axis1, axis2: _transpose(a, (axis1, axis2)),
        "matrix_transpose": lambda x: _matrix_transpose(x),
    },
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 0, 1),
        sample(make.real(2, 3, 4), -1, 0),
        sample(make.real(2, 3), dim0=1, dim1=1),
        sample(make.real(), 0, -1),
        sample(make.real(0, 2), 0, 1),
    ],
    errors=lambda make: [
        bad(IndexError, "Dimension out of range", make.real(2, 3), 0, 2),
        bad(TypeError, "must be an int", make.real(2, 3), 1.0, 0),
    ],
)
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """With two dimensions exchanged.

    Returns:
        A view of `input`.

    Raises:
        DimensionError: a dimension is out of range.
    """
    return _transpose(input, (dim0, dim1))


@public(
    methods=("swapaxes",),
    samples=lambda make: [
        sample(make.real(2, 3), 0, 1),
        sample(make.real(2, 3, 4), axis0=-1, axis1=0),
    ],
    errors=lambda make: [bad(IndexError, "Dimension out of range", make.real(2, 3), 0, 2)],
)
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """With two dimensions exchanged; another name for `transpose`."""
    return _transpose(input, (axis0, axis1))


swapdims = transpose


@public(
    methods=("t",),
    kind="primitive",
    samples=lambda make: [sample(make.real(2, 3)), sample(make.real(3)), sample(make.real())],
    errors=lambda make: [
        bad(
            RuntimeError,
            r"expects a tensor with <= 2 dimensions, but self is 3D",
            make.real(1, 2, 3),
        )
    ],
)
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a Tensor of fewer dimensions as it is. A view of `input`."""
    y = _t(input, None)
    if len(y._shape) > 2:
        raise ShapeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {len(y._shape)}D."
        )
    return y


def _reversed(input: Tensor) -> Tensor:
    """The dimensions in reverse order: the transpose of a matrix. A view."""
    return _reverse(input, None)


def _matrix_transpose(input: Tensor) -> Tensor:
    """With the last two dimensions exchanged. A view."""
    if len(input._shape) < 2:
        if not input._shape:
            return input
        raise ShapeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return _transpose(input, (-2, -1))


def _hermitian(input: Tensor) -> Tensor:
    """The conjugate transpose of a matrix."""
    if len(input._shape) not in (0, 2):
        raise ShapeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {input.ndim}-D tensor. "
            "For batches of matrices, consider using tensor.mH."
        )
    return adjoint(input)


@public(
    methods=("adjoint",),
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(4, 2, 3)),
        sample(make.complex(2, 3)),
    ],
    errors=lambda make: [bad(RuntimeError, "only supported on matrices", make.real(3))],
    departs={"copies": "NumPy's conj is no view"},
)
def adjoint(input: Tensor) -> Tensor:
    """The conjugate transposes of a batch of matrices, `(*, n, m)` to `(*, m, n)`."""
    y = _matrix_transpose(tensor_of("adjoint", input))
    conjugate: Tensor = recorded.conj(y) if y._type.dtype.is_complex else y
    return conjugate


for _name, _getter in {
    "T": _reversed,
    "mT": _matrix_transpose,
    "H": _hermitian,
    "mH": adjoint,
}.items():
    setattr(Tensor, _name, property(_getter))


def _inverse(dims: Shape) -> Shape:
    ndim = len(dims)
    inverse = [0] * ndim
    for place, d in enumerate(dims):
        inverse[d % ndim] = place
    return tuple(inverse)


def _not_permuted(x: Tensor, dims: Any, error: Exception) -> Tensor:
    dims = integers("permute", "dims", dims)
    if len(dims) != x.ndim:
        raise ShapeError(
            "permute: number of dimensions in the tensor input does not match the length of the "
            f"desired ordering of dimensions i.e. input.dim() = {x.ndim} is not equal to "
            f"len(dims) = {len(dims)}."
        ) from error
    if len({canonical_dim(d, x.ndim) for d in dims}) < len(dims):
        raise ShapeError(f"permute(): duplicate dims are not allowed, and dims is {dims}.")
    raise _failed("permute", x, error) from error


_permute = linear(
    "permute",
    lambda xp, x, dims: x.transpose(dims),
    lambda xp, g, dims: xp.transpose(g, _inverse(dims)),
    "PermuteBackward0",
    _not_permuted,
    view=True,
)


def _numpy_transpose(a: Tensor, axes: Any = None) -> Tensor:
    return _reverse(a, None) if axes is None else _permute(a, tuple(axes))


@public(
    methods=("permute",),
    numpy={"transpose": _numpy_transpose, "permute_dims": _numpy_transpose},
    array_api="permute_dims",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3, 4), (2, 0, 1)),
        sample(make.real(2, 3, 4), [-1, 0, -2]),
        sample(make.real(2, 3), dims=(1, 0)),
        sample(make.real(), ()),
        sample(make.real(0, 2), (1, 0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "does not match the length", make.real(2, 3), (0,)),
        bad(RuntimeError, "duplicate dims are not allowed", make.real(2, 3), (0, 0)),
        bad(IndexError, "Dimension out of range", make.real(2, 3), (0, 2)),
    ],
)
def permute(input: Tensor, dims: Any, *rest: int) -> Tensor:
    """The dimensions in another order.

    Args:
        input: `(*)`, any dtype.
        dims: for each dimension of the result which one of `input` it is; as a tuple or as
            several arguments.

    Returns:
        A view of `input`.

    Raises:
        ShapeError: `dims` does not name every dimension once.
        DimensionError: a dimension is out of range.
    """
    if rest:
        dims = (dims, *rest)
    elif dims.__class__ is not tuple:
        dims = integers("permute", "dims", dims)
    return _permute(input, dims)


@public(
    methods=("movedim", "moveaxis"),
    numpy={"moveaxis": lambda a, source, destination: movedim(a, source, destination)},
    array_api="moveaxis",
    samples=lambda make: [
        sample(make.real(2, 3, 4), 0, 2),
        sample(make.real(2, 3, 4), (0, 1), (-1, 0)),
        sample(make.real(2, 3, 4), source=-1, destination=0),
        sample(make.real(), 0, 0),
    ],
    errors=lambda make: [
        bad(IndexError, "Dimension out of range", make.real(2, 3), 0, 2),
        bad(RuntimeError, "repeated dim in `destination`", make.real(2, 3), (0, 1), (0, 0)),
        bad(RuntimeError, "repeated dim in `source`", make.real(2, 3), (0, 0), (0, 1)),
        bad(RuntimeError, "same number of dims", make.real(2, 3), (0, 1), (0,)),
    ],
)
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """With dimensions moved to other places; the others keep their order.

    Args:
        input: `(*)`, any dtype.
        source: the dimensions to move: an int or a tuple.
        destination: the place of each in the result.

    Returns:
        A view of `input`.

    Raises:
        ShapeError: a dimension is named twice, or the numbers of dimensions differ.
        DimensionError: a dimension is out of range.
    """
    input = tensor_of("movedim", input)
    ndim = input.ndim
    sources = integers("movedim", "source", source)
    destinations = integers("movedim", "destination", destination)
    if len(sources) != len(destinations):
        raise ShapeError(
            f"movedim: Invalid source or destination dims: source ({list(sources)} dims) should "
            f"contain the same number of dims as destination ({list(destinations)} dims)."
        )
    places: dict[int, int] = {}
    for source, destination in zip(sources, destinations, strict=True):
        old, new = _dim(source, ndim), _dim(destination, ndim)
        if old in places.values():
            raise ShapeError(f"movedim: repeated dim in `source` ({list(sources)}).")
        if new in places:
            raise ShapeError(f"movedim: repeated dim in `destination` ({list(destinations)}).")
        places[new] = old
    if not ndim:
        return _alias(input, None)
    others = iter([d for d in range(ndim) if d not in places.values()])
    return _permute(input, tuple([places[d] if d in places else next(others) for d in range(ndim)]))


moveaxis = movedim


# broadcasting ----------------------------------------------------------------------------------


def _not_expanded(x: Tensor, size: Any, error: Exception) -> Tensor:
    size = integers("expand", "size", size)
    lead = len(size) - x.ndim
    if lead < 0:
        raise ShapeError(
            f"expand({x._type!r}{{{list(x._shape)}}}, size={list(size)}): the number of sizes "
            f"provided ({len(size)}) must be greater or equal to the number of dimensions in the "
            f"tensor ({x.ndim})."
        ) from error
    for number, n in enumerate(size):
        if number < lead and n < 0:
            raise ShapeError(
                f"The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing "
                f"dimension {number}."
            ) from error
        if number >= lead and x._shape[number - lead] not in (1, n):
            raise ShapeError(
                f"The expanded size of the tensor ({n}) must match the existing size "
                f"({x._shape[number - lead]}) at non-singleton dimension {number}.  "
                f"Target sizes: {list(size)}.  Tensor sizes: {list(x._shape)}."
            ) from error
    raise _failed("expand", x, error) from error


_expand = linear(
    "expand",
    lambda xp, x, size: xp.broadcast_to(x, size),
    lambda xp, g, x_shape: xp.sum_to(g, x_shape),
    "ExpandBackward0",
    _not_expanded,
    view=True,
)


@public(
    path="Tensor.expand",
    methods=("expand",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3), (2, 3)),
        sample(make.real(3, 1), 3, 4),
        sample(make.real(3, 1), 2, -1, 4),
        sample(make.real(), (2,)),
        sample(make.real(1), 0),
        sample(make.real(2, 3), 2, 3),
        sample(make.real(3), size=(2, 3), implicit=True),
    ],
    errors=lambda make: [
        bad(
            RuntimeError, r"The expanded size of the tensor \(3\) must match", make.real(2, 3), 3, 3
        ),
        bad(RuntimeError, "must be greater or equal", make.real(2, 3), 3),
        bad(RuntimeError, "leading, non-existing dimension 0", make.real(3), -1, 3),
    ],
)
def expand(input: Tensor, size: Any, *rest: int, implicit: bool = False) -> Tensor:
    """Dimensions of length 1 repeated to a length, without a copy.

    Args:
        input: `(*)`, any dtype.
        size: the new shape, as a tuple or as several arguments; -1 keeps the length. It may have
            more dimensions, which come first.
        implicit: without effect.

    Returns:
        A view of `input`, in which elements share memory.

    Raises:
        ShapeError: a dimension that is not of length 1 would change.
    """
    if rest:
        size = (size, *rest)
    elif size.__class__ is not tuple:
        size = integers("expand", "size", size)
    if -1 in size:
        lead = len(size) - input.ndim
        size = tuple(
            [
                input._shape[i - lead] if n == -1 and i >= lead >= 0 else n
                for i, n in enumerate(size)
            ]
        )
    return _expand(input, size)


@public(
    path="Tensor.expand_as",
    methods=("expand_as",),
    samples=lambda make: [sample(make.real(3), make.real(2, 3))],
)
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` broadcast to the shape of `other`. A view."""
    return _expand(input, other._shape)


@public(
    methods=("broadcast_to",),
    numpy={"broadcast_to": lambda array, shape, subok=False: expand(array, shape)},
    array_api="broadcast_to",
    samples=lambda make: [
        sample(make.real(3), (2, 3)),
        sample(make.real(3, 1), (3, 4)),
        sample(make.real(), (2, 2)),
        sample(make.real(1), size=(0,)),
    ],
    errors=lambda make: [bad(RuntimeError, "The expanded size", make.real(2, 3), (3, 3))],
)
def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """`input` broadcast to the shape `size`. A view.

    Raises:
        ShapeError: it does not broadcast to that shape.
    """
    return expand(tensor_of("broadcast_to", input), size)


_sum_to = linear(
    "sum_to",
    lambda xp, x, shape: xp.sum_to(x, shape),
    lambda xp, g, x_shape: xp.broadcast_to(xp.reshape(g, _padded(g, x_shape)), x_shape),
    "SumBackward1",
)


def _padded(g: Any, x_shape: Shape) -> Shape:
    return (1,) * (len(x_shape) - len(g.shape)) + tuple(g.shape)


@public(
    path="Tensor.sum_to_size",
    methods=("sum_to_size",),
    numpy={"sum_to": _sum_to},
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), (3,)),
        sample(make.real(2, 3), (1, 3)),
        sample(make.real(2, 3), 2, 1),
        sample(make.real(2, 3), (2, 3)),
        sample(make.real(2, 3), ()),
        sample(make.real(), ()),
        sample(make.real(0, 3), (3,)),
    ],
    errors=lambda make: [bad(RuntimeError, "is not expandable to size", make.real(2, 3), (2,))],
    departs={"node": "sum, with or without a view"},
)
def sum_to_size(input: Tensor, size: Any, *rest: int) -> Tensor:
    """The sum over the dimensions that broadcasting would have added: the adjoint of `expand`.

    Args:
        input: `(*)`, any dtype.
        size: a shape that broadcasts to that of `input`, as a tuple or as several arguments.

    Raises:
        ShapeError: it does not.
    """
    size = (size, *rest) if rest else integers("sum_to_size", "size", size)
    shape = input._shape
    lead = len(shape) - len(size)
    if lead < 0 or any(n not in (1, m) for n, m in zip(size, shape[lead:], strict=True)):
        raise ShapeError(f"size {{{list(size)}}} is not expandable to size {{{list(shape)}}}.")
    if not size:
        total: Tensor = recorded.sum(input)
        return total
    if size == shape:
        return input
    return _sum_to(input if input._type.dtype.is_inexact else to(input, dtypes.int64), size)


@public(
    numpy={"broadcast_arrays": lambda *args, subok=False: broadcast_tensors(*args)},
    array_api="broadcast_arrays",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3), make.real()),
        sample(make.real(2, 1), make.real(1, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "size of tensor a", make.real(2, 3), make.real(4)),
    ],
)
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The Tensors broadcast to their common shape, as views.

    Raises:
        ShapeError: they do not broadcast.
    """
    found = [tensor_of("broadcast_tensors", x) for x in tensors]
    shape = common_shape("broadcast_tensors", found)
    return tuple([x if x._shape == shape else _expand(x, shape) for x in found])


def common_shape(name: str, tensors: Sequence[Tensor]) -> Shape:
    """The shape to which all Tensors broadcast.

    Raises:
        ShapeError: there is none.
    """
    shape: Shape = ()
    for x in tensors:
        other = x._shape
        if other != shape:
            ndim = max(len(shape), len(other))
            a = (1,) * (ndim - len(shape)) + shape
            b = (1,) * (ndim - len(other)) + other
            for d in range(ndim - 1, -1, -1):
                if a[d] != b[d] and a[d] != 1 != b[d]:
                    raise ShapeError(
                        f"{name}: The size of tensor a ({a[d]}) must match the size of tensor b "
                        f"({b[d]}) at non-singleton dimension {d}: shapes "
                        f"{', '.join(str(x._shape) for x in tensors)} do not broadcast."
                    )
            shape = tuple([m if n == 1 else n for n, m in zip(a, b, strict=True)])
    return shape


# joining ---------------------------------------------------------------------------------------


def _numpy_concatenate(
    arrays: Any, axis: int | None = 0, out: None = None, *, dtype: Any = None, casting: str = ""
) -> Tensor:
    _no_out("concatenate", out)
    tensors = list(arrays)
    if axis is None:
        tensors = [flatten(tensor_of("concatenate", x)) for x in tensors]
    y = cat(tensors, axis or 0)
    return y if dtype is None else to(y, dtype=dtype)


def _no_out(name: str, out: Any) -> None:
    if out is not None:
        raise NotImplementedError(f"{name}: out= is not implemented for Tensors.")


@public(
    numpy={"concatenate": _numpy_concatenate, "concat": _numpy_concatenate},
    array_api="concat",
    kind="primitive",
    samples=lambda make: [
        sample([make.real(2, 3), make.real(1, 3)]),
        sample((make.real(2, 3), make.real(2, 1), make.real(2, 0)), 1),
        sample([make.real(2, 3), make.real(2, 2)], dim=-1),
        sample([make.real(2, 3), make.real(2, 3)], axis=0),
        sample([make.real(3)]),
        sample([make.real(0), make.real(2, 3)]),
        sample([make.real(3), make.complex(2)]),
    ],
    errors=lambda make: [
        bad(ValueError, "expected a non-empty list of Tensors", []),
        bad(
            RuntimeError,
            "must have same number of dimensions: got 2 and 1",
            [make.real(2, 3), make.real(3)],
        ),
        bad(
            RuntimeError,
            "except in dimension 0. Expected size 3 but got size 4 for tensor number 1",
            [make.real(2, 3), make.real(2, 4)],
        ),
        bad(RuntimeError, "zero-dimensional tensor", [make.real(), make.real()]),
        bad(IndexError, "Dimension out of range", [make.real(2), make.real(2)], 1),
        bad(TypeError, "must be tuple of Tensors", make.real(2, 3)),
        bad(TypeError, "expected Tensor as element 1", [make.real(2), 1.0]),
    ],
)
def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Tensors one after the other along a dimension.

    Args:
        tensors: `(*, n_i, *)`, the same lengths in all other dimensions; of several dtypes, they
            are promoted. A Tensor of shape `(0,)` fits anywhere.
        dim: the dimension along which.
        axis: NumPy's name for `dim`.

    Returns:
        `(*, sum of n_i, *)`, a copy.

    Raises:
        ShapeError: the shapes do not fit; one is 0-d.
        ArgumentError: there are none.
        DimensionError: `dim` is out of range.
    """
    if axis is not None:
        dim = axis
    kind = None
    arrays: list[Array] = []
    recording = False
    if tensors.__class__ is list or tensors.__class__ is tuple:
        for x in tensors:
            if x.__class__ is not Tensor or (x._type is not kind and kind is not None):
                arrays = []
                break
            kind = x._type
            arrays.append(x._array)
            if x._requires_grad:
                recording = True
    if not arrays:
        if isinstance(tensors, list | tuple) and not tensors:
            raise ArgumentError("cat(): expected a non-empty list of Tensors.")
        tensors = operands("cat", tensors)
        lifted = outermost(tensors)
        if lifted is not None:
            return lifted._linear("cat", lambda *parts: cat(parts, dim), tensors)  # type: ignore[no-any-return]
        kind = TensorType(common_device("cat", tensors), tensors[0]._type.dtype)
        arrays = [x._array for x in tensors]
        recording = True
    assert kind is not None
    try:
        y = _row_major(kind.xp.concatenate(arrays, dim), kind)
        if not recording:
            return new_tensor(y, kind, y.shape)
        lengths = [a.shape[dim] for a in arrays]
    except Exception as error:
        # PyTorch lets Tensors of shape (0,) stand beside those of any shape.
        whole = [x for x in tensors if x._shape != (0,)]
        if not 0 < len(whole) < len(tensors):
            raise _cat_error(tensors, dim, error) from error
        try:
            y = _row_major(kind.xp.concatenate([x._array for x in whole], dim), kind)
        except Exception as mismatch:
            raise _cat_error(whole, dim, mismatch) from error
        lengths = [x._shape[dim] if x._shape != (0,) else None for x in tensors]
    return joined(
        "CatBackward0", _cut_along, tensors, y, kind, dim if dim >= 0 else dim + y.ndim, lengths
    )


def _row_major(y: Array, kind: TensorType) -> Array:
    """What was joined, in row-major memory, where NumPy has followed the order of its parts."""
    if kind.device.kind > 1 or y.flags.c_contiguous:
        return y
    return y.copy(order="C")


def _cut_along(xp: Namespace, g: Any, dim: int, lengths: Any) -> list[Any]:
    full = (slice(None),) * dim
    pieces, start = [], 0
    for length in lengths:
        if length is None:
            pieces.append(xp.getitem(xp.reshape(g, (-1,)), slice(0, 0)))
            continue
        end = start + length
        pieces.append(xp.getitem(g, (*full, slice(start, end))))
        start = end
    return pieces


def _cat_error(tensors: Sequence[Tensor], dim: Any, error: Exception) -> Exception:
    first = tensors[0]
    for number, x in enumerate(tensors):
        if not x._shape:
            return ShapeError(
                f"zero-dimensional tensor (at position {number}) cannot be concatenated; use stack."
            )
    at = canonical_dim(dim, first.ndim)
    for number, x in enumerate(tensors):
        if x.ndim != first.ndim:
            return ShapeError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {x.ndim}."
            )
        for d, (n, m) in enumerate(zip(first._shape, x._shape, strict=True)):
            if n != m and d != at:
                return ShapeError(
                    f"Sizes of tensors must match except in dimension {at}. Expected size {n} but "
                    f"got size {m} for tensor number {number} in the list."
                )
    return _failed("cat", first, error)


concat = concatenate = cat


def _numpy_stack(
    arrays: Any, axis: int = 0, out: None = None, *, dtype: Any = None, casting: str = ""
) -> Tensor:
    _no_out("stack", out)
    y = stack(list(arrays), axis)
    return y if dtype is None else to(y, dtype=dtype)


@public(
    numpy={"stack": _numpy_stack},
    array_api="stack",
    kind="primitive",
    samples=lambda make: [
        sample([make.real(2, 3), make.real(2, 3)]),
        sample((make.real(2, 3), make.real(2, 3), make.real(2, 3)), 1),
        sample([make.real(2, 3), make.real(2, 3)], dim=-1),
        sample([make.real(2, 3)], axis=-3),
        sample([make.real(), make.real()]),
        sample([make.real(0), make.real(0)], 1),
        sample([make.real(2), make.complex(2)]),
    ],
    errors=lambda make: [
        bad(RuntimeError, "stack expects a non-empty TensorList", []),
        bad(
            RuntimeError,
            r"got \[2, 3\] at entry 0 and \[3\] at entry 1",
            [make.real(2, 3), make.real(3)],
        ),
        bad(IndexError, r"in range of \[-2, 1\], but got 2", [make.real(2)], 2),
    ],
)
def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Tensors of one shape along a new dimension.

    Args:
        tensors: `(*)`; of several dtypes, they are promoted.
        dim: where the new dimension stands in the result.
        axis: NumPy's name for `dim`.

    Returns:
        `(*, len(tensors), *)`, a copy.

    Raises:
        ShapeError: the shapes differ, or there are none.
        DimensionError: `dim` is out of range.
    """
    if axis is not None:
        dim = axis
    if isinstance(tensors, list | tuple) and not tensors:
        raise ShapeError("stack expects a non-empty TensorList.")
    kind = None
    if tensors.__class__ is list or tensors.__class__ is tuple:
        for x in tensors:
            if x.__class__ is not Tensor or (x._type is not kind and kind is not None):
                kind = None
                break
            kind = x._type
    if kind is None:
        tensors = operands("stack", tensors)
        lifted = outermost(tensors)
        if lifted is not None:
            return lifted._linear("stack", lambda *parts: stack(parts, dim), tensors)  # type: ignore[no-any-return]
        kind = TensorType(common_device("stack", tensors), tensors[0]._type.dtype)
    shape = tensors[0]._shape
    for number, x in enumerate(tensors):
        if x._shape != shape:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 "
                f"and {list(x._shape)} at entry {number}."
            )
    at = _dim(dim, len(shape) + 1)
    wide = (*(slice(None),) * at, None)
    y = _row_major(kind.xp.concatenate([x._array[wide] for x in tensors], at), kind)
    return joined("StackBackward0", _cut_slices, tensors, y, kind, at, len(tensors))


def _cut_slices(xp: Namespace, g: Any, dim: int, count: int) -> list[Any]:
    full = (slice(None),) * dim
    return [xp.getitem(g, (*full, i)) for i in range(count)]


@public(
    numpy={
        "hstack": lambda tup, *, dtype=None, casting="": _typed(hstack(list(tup)), dtype),
    },
    samples=lambda make: [
        sample([make.real(2, 3), make.real(2, 1)]),
        sample([make.real(2), make.real(3)]),
        sample([make.real(), make.real()]),
    ],
)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side: along dimension 1, those of one dimension along that.

    Raises:
        ShapeError: the shapes do not fit, or there are none.
    """
    wide = _each("hstack", tensors, atleast_1d)
    return cat(wide, 0 if wide[0].ndim == 1 else 1)


@public(
    numpy={
        "vstack": lambda tup, *, dtype=None, casting="": _typed(vstack(list(tup)), dtype),
    },
    samples=lambda make: [
        sample([make.real(2, 3), make.real(1, 3)]),
        sample([make.real(3), make.real(3)]),
        sample([make.real(), make.real()]),
    ],
)
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors one below the other: along dimension 0, those of fewer dimensions as rows.

    Raises:
        ShapeError: the shapes do not fit, or there are none.
    """
    return cat(_each("vstack", tensors, atleast_2d), 0)


@public(
    numpy={"dstack": lambda tup: dstack(list(tup))},
    samples=lambda make: [
        sample([make.real(2, 3), make.real(2, 3)]),
        sample([make.real(3), make.real(3)]),
    ],
)
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors one behind the other: along dimension 2, after `atleast_3d`.

    Raises:
        ShapeError: the shapes do not fit, or there are none.
    """
    return cat(_each("dstack", tensors, atleast_3d), 2)


@public(
    numpy={"column_stack": lambda tup: column_stack(list(tup))},
    samples=lambda make: [
        sample([make.real(2), make.real(2, 3)]),
        sample([make.real(), make.real()]),
    ],
)
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side, those of fewer than two dimensions as columns.

    Raises:
        ShapeError: the shapes do not fit, or there are none.
    """
    return hstack(
        _each(
            "column_stack",
            tensors,
            lambda x: x if x.ndim > 1 else _reshape(x, (x._array.size, 1)),
        )
    )


def _each(name: str, tensors: Any, widen: Callable[[Tensor], Tensor]) -> list[Tensor]:
    if isinstance(tensors, list | tuple) and not tensors:
        raise ShapeError(f"{name} expects a non-empty TensorList.")
    return [widen(x) for x in operands(name, tensors)]


def _typed(x: Tensor, dtype: Any) -> Tensor:
    return x if dtype is None else to(x, dtype=dtype)


# splitting -------------------------------------------------------------------------------------


def _concatenated(xp: Namespace, g: Cotangents, saved: tuple[Any, ...]) -> Any:
    shape, dim, ends = saved
    some = next(iter(g.values()))
    parts, start = [], 0
    for number, end in enumerate(ends):
        part = g.get(number)
        if part is None:
            part = xp.zeros((*shape[:dim], end - start, *shape[dim + 1 :]), some)
        parts.append(part)
        start = end
    return xp.concatenate(parts, axis=dim)


def _stacked(xp: Namespace, g: Cotangents, saved: tuple[Any, ...]) -> Any:
    dim, count = saved
    some = next(iter(g.values()))
    return xp.stack(
        [g[i] if i in g else xp.zeros(some.shape, some) for i in range(count)], axis=dim
    )


_SPLIT: Final = Pullback("SplitBackward0", (_concatenated,), (METADATA,) * 3, (0,))
_SPLIT_SIZES: Final = Pullback("SplitWithSizesBackward0", (_concatenated,), (METADATA,) * 3, (0,))
_UNBIND: Final = Pullback("UnbindBackward0", (_stacked,), (METADATA, METADATA), (0,))


def _split(x: Tensor, ends: Sequence[int], dim: int, pullback: Pullback) -> tuple[Tensor, ...]:
    """The pieces of `x` along `dim` that end at `ends`, each starting at the end before."""
    if x.__class__ is not Tensor and isinstance(x, Lifted):
        return x._linear("split", lambda part: _split(part, ends, dim, pullback), (x,))  # type: ignore[no-any-return]
    full = (slice(None),) * dim
    indices, start = [], 0
    for end in ends:
        indices.append((*full, slice(start, end)))
        start = end
    return _pieces(x, indices, pullback, (x._shape, dim, ends))


@public(
    kind="primitive",
    samples=lambda make: [
        sample(make.real(4, 3), 2),
        sample(make.real(5, 3), 2),
        sample(make.real(4, 3), [1, 3]),
        sample(make.real(2, 4), (1, 0, 3), 1),
        sample(make.real(2, 4), 3, dim=-1),
        sample(make.real(0), 2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "split_size can only be 0", make.real(2, 3), 0),
        bad(RuntimeError, "split_size be non-negative", make.real(2, 3), -1),
        bad(RuntimeError, "to sum exactly to 2", make.real(2, 3), [1, 2]),
        bad(RuntimeError, "only non-negative entries", make.real(2, 3), [3, -1]),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 1, 2),
        bad(RuntimeError, "at least a 1-dimensional", make.real(), 1),
        bad(TypeError, "must be tuple of ints, not float", make.real(2), 1.0),
    ],
)
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """The pieces of a Tensor along a dimension.

    Args:
        tensor: `(*, n, *)`, any dtype.
        split_size_or_sections: the length of each piece (the last may be shorter), or a list of
            the lengths.
        dim: the dimension along which.

    Returns:
        Views of `tensor`.

    Raises:
        ShapeError: the lengths do not add up to n; the Tensor is 0-d.
        DimensionError: `dim` is out of range.
    """
    if tensor.__class__ is not Tensor:
        tensor = tensor_of("split", tensor)
    if not tensor._shape:
        raise ShapeError("split expects at least a 1-dimensional tensor.")
    at = _dim(dim, len(tensor._shape))
    length = tensor._shape[at]
    size = split_size_or_sections
    if isinstance(size, list | tuple):
        return _split_sizes(tensor, integers("split", "split_sizes", size), at)
    (size,) = integers("split", "split_sizes", size)
    if size < 0:
        raise ShapeError(f"split expects split_size be non-negative, but got split_size={size}.")
    if size == 0:
        if length:
            raise ShapeError(
                "split_size can only be 0 if dimension size is 0, but got dimension size of "
                f"{length}."
            )
        return _split(tensor, (0,), at, _SPLIT)
    ends = [*range(size, length, size), length]
    return _split(tensor, ends, at, _SPLIT)


@public(
    path="Tensor.split",
    methods=("split",),
    samples=lambda make: [
        sample(make.real(5, 3), 2),
        sample(make.real(4, 3), split_size=[1, 3]),
        sample(make.real(2, 4), 3, dim=-1),
    ],
)
def _split_of_method(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """`split`, with the method's names of its arguments."""
    return split(self, split_size, dim)


def _split_sizes(x: Tensor, sizes: Shape, dim: int) -> tuple[Tensor, ...]:
    length = x._shape[dim]
    if any(n < 0 for n in sizes):
        raise ShapeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got "
            f"split_sizes={list(sizes)}."
        )
    if sum(sizes) != length:
        raise ShapeError(
            f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size "
            f"at dimension {dim}), but got split_sizes={list(sizes)}."
        )
    ends, end = [], 0
    for n in sizes:
        end += n
        ends.append(end)
    return _split(x, ends, dim, _SPLIT_SIZES)


@public(
    methods=("chunk",),
    samples=lambda make: [
        sample(make.real(4, 3), 2),
        sample(make.real(5, 3), 3),
        sample(make.real(2, 3), 5, 1),
        sample(make.real(2, 4), chunks=2, dim=-1),
        sample(make.real(2, 4), 2, axis=1),
        sample(make.real(0), 2),
    ],
    errors=lambda make: [
        bad(RuntimeError, "`chunks` to be greater than 0, got: 0", make.real(2), 0),
        bad(RuntimeError, "at least a 1-dimensional", make.real(), 2),
    ],
)
def chunk(
    input: Tensor, chunks: int, dim: int = 0, *, axis: int | None = None
) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of a Tensor along a dimension, of equal length but for the last.

    Args:
        input: `(*, n, *)`, any dtype.
        chunks: how many; where n is too small or does not divide, there may be fewer.
        dim: the dimension along which.
        axis: NumPy's name for `dim`.

    Returns:
        Views of `input`.

    Raises:
        ShapeError: `chunks` is not positive, or the Tensor is 0-d.
        DimensionError: `dim` is out of range.
    """
    if input.__class__ is not Tensor:
        input = tensor_of("chunk", input)
    if not input._shape:
        raise ShapeError("chunk expects at least a 1-dimensional tensor.")
    if chunks <= 0:
        raise ShapeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}.")
    at = _dim(dim if axis is None else axis, len(input._shape))
    length = input._shape[at]
    size = -(-length // chunks)
    if size == 0:
        return _split(input, (0,) * chunks, at, _SPLIT_SIZES)
    return _split(input, [*range(size, length, size), length], at, _SPLIT)


slice_of = linear(
    "slice",
    lambda xp, x, index: x[index],
    lambda xp, g, x_shape, index: xp.put(g, index, x_shape),
    "SliceBackward0",
    view=True,
)


def _numpy_split(ary: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    sections = indices_or_sections
    if isinstance(sections, int) and ary._shape[_dim(axis, ary.ndim)] % sections:
        raise ShapeError("split: array split does not result in an equal division.")
    return list(tensor_split(ary, sections, axis))


@public(
    methods=("tensor_split",),
    numpy={
        "split": _numpy_split,
        "array_split": lambda ary, indices_or_sections, axis=0: list(
            tensor_split(ary, indices_or_sections, axis)
        ),
    },
    samples=lambda make: [
        sample(make.real(5, 3), 2),
        sample(make.real(5, 3), [1, 4]),
        sample(make.real(2, 5), (1, -1), 1),
        sample(make.real(2, 5), [4, 2, 9], dim=1),
        sample(make.real(2), 3),
        sample(make.real(5, 3), sections=2),
        sample(make.real(5, 3), 2, axis=1),
        sample(make.real(5, 3), indices=(1, 4)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "number of sections must be larger than 0", make.real(2), 0),
        bad(RuntimeError, "at least", make.real(), 2),
    ],
    departs={"signature": "NumPy's indices_or_sections= beside PyTorch's three names"},
)
def tensor_split(
    input: Tensor,
    indices_or_sections: Any = None,
    dim: int = 0,
    *,
    indices: Any = None,
    sections: Any = None,
    tensor_indices_or_sections: Any = None,
    axis: int | None = None,
) -> tuple[Tensor, ...]:
    """The pieces of a Tensor along a dimension: that many, or split before these indices.

    Args:
        input: `(*, n, *)`, any dtype.
        indices_or_sections: how many pieces (the first n % pieces are longer by one), or a list
            of the indices before which to split, as in slices.
        dim: the dimension along which.
        indices: PyTorch's name for a list of indices.
        sections: its name for a number of pieces.
        tensor_indices_or_sections: its name for either as a Tensor.
        axis: NumPy's name for `dim`.

    Returns:
        Views of `input`.

    Raises:
        ShapeError: the number is not positive, or the Tensor is 0-d.
        DimensionError: `dim` is out of range.
    """
    input = tensor_of("tensor_split", input)
    names = (indices, sections, tensor_indices_or_sections)
    indices_or_sections = one_of("tensor_split", indices_or_sections, *names)
    if not input._shape:
        raise ShapeError("tensor_split expected at least a 1-dimensional tensor, but got a 0-d.")
    at = _dim(dim if axis is None else axis, input.ndim)
    length = input._shape[at]
    places = indices_or_sections
    if isinstance(places, Tensor | np.ndarray):
        places = places.tolist()
    if not isinstance(places, list | tuple):
        (pieces,) = integers("tensor_split", "indices_or_sections", places)
        if pieces <= 0:
            raise ShapeError(f"number of sections must be larger than 0, got {pieces}.")
        size, longer = divmod(length, pieces)
        places = [i * size + min(i, longer) for i in range(1, pieces)]
    bounds = [0, *integers("tensor_split", "indices_or_sections", list(places)), length]
    cuts = [slice(start, end) for start, end in itertools.pairwise(bounds)]
    cuts = [slice(a, max(a, b)) for a, b, _ in (cut.indices(length) for cut in cuts)]
    full = (slice(None),) * at
    return tuple([slice_of(input, (*full, cut)) for cut in cuts])


@public(
    methods=("unbind",),
    numpy={"unstack": lambda x, /, *, axis=0: unbind(x, axis)},
    array_api="unstack",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.real(2, 3), 1),
        sample(make.real(2, 3), dim=-1),
        sample(make.real(3), axis=0),
        sample(make.real(2, 0)),
    ],
    errors=lambda make: [
        bad(IndexError, "Dimension specified as 0 but tensor has no dimensions", make.real()),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 2),
    ],
)
def unbind(input: Tensor, dim: int = 0, *, axis: int | None = None) -> tuple[Tensor, ...]:
    """The slices of a Tensor along a dimension, without that dimension.

    Args:
        input: `(*, n, *)`, any dtype.
        dim: the dimension along which.
        axis: NumPy's name for `dim`.

    Returns:
        n views of `input`.

    Raises:
        DimensionError: `dim` is out of range, or the Tensor is 0-d.
    """
    if input.__class__ is not Tensor:
        input = tensor_of("unbind", input)
    shape = input._shape
    if axis is not None:
        dim = axis
    if not shape:
        raise DimensionError(f"Dimension specified as {dim} but tensor has no dimensions.")
    at = _dim(dim, len(shape))
    if input.__class__ is not Tensor and isinstance(input, Lifted):
        return input._linear("unbind", lambda x: unbind(x, at), (input,))  # type: ignore[no-any-return]
    count = shape[at]
    full = (slice(None),) * at
    # The Ellipsis makes NumPy give a 0-d view where it would give a scalar.
    return _pieces(input, [(*full, i, ...) for i in range(count)], _UNBIND, (at, count))


# rearranging -----------------------------------------------------------------------------------


def _backwards(dims: Shape, ndim: int) -> tuple[slice, ...]:
    return tuple([slice(None, None, -1) if d in dims else slice(None) for d in range(ndim)])


_flip = linear(
    "flip",
    lambda xp, x, dims: x[_backwards(dims, x.ndim)].copy() if dims else x.copy(),
    lambda xp, g, dims: xp.flip(g, dims),
    "FlipBackward0",
)


def _numpy_flip(m: Tensor, axis: Any = None) -> Tensor:
    return flip(m, tuple(range(m.ndim)) if axis is None else axis)


@public(
    methods=("flip",),
    numpy={"flip": _numpy_flip},
    array_api="flip",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), (0,)),
        sample(make.real(2, 3), (0, -1)),
        sample(make.real(2, 3), dims=[1]),
        sample(make.real(2, 3), ()),
        sample(make.real(), (0,)),
        sample(make.real(0, 2), (0,)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "appears multiple times", make.real(2, 3), (0, -2)),
        bad(IndexError, "Dimension out of range", make.real(2, 3), (2,)),
    ],
)
def flip(input: Tensor, dims: Any, *rest: int) -> Tensor:
    """The elements in reverse order along dimensions.

    Args:
        input: `(*)`, any dtype.
        dims: the dimensions, as a tuple or as several arguments.

    Returns:
        `(*)`, a copy.

    Raises:
        DimensionError: a dimension is out of range.
        ShapeError: a dimension is named twice.
    """
    input = tensor_of("flip", input)
    ndim = len(input._shape)
    if dims.__class__ is int and not rest:
        dims = (_dim(dims, ndim),)
    else:
        dims = _distinct_dims((dims, *rest) if rest else dims, ndim)
    return _flip(input, dims if input._shape else ())


@public(
    methods=("fliplr",),
    numpy={"fliplr": lambda m: fliplr(m)},
    samples=lambda make: [sample(make.real(2, 3))],
    errors=lambda make: [bad(RuntimeError, "must be >= 2-d", make.real(3))],
)
def fliplr(input: Tensor) -> Tensor:
    """The columns in reverse order: `flip` along dimension 1. A copy."""
    if tensor_of("fliplr", input).ndim < 2:
        raise ShapeError(f"fliplr: Input must be >= 2-d, and has {input.ndim} dimensions.")
    return flip(input, (1,))


@public(
    methods=("flipud",),
    numpy={"flipud": lambda m: flipud(m)},
    samples=lambda make: [sample(make.real(2, 3)), sample(make.real(3))],
    errors=lambda make: [bad(RuntimeError, "must be >= 1-d", make.real())],
)
def flipud(input: Tensor) -> Tensor:
    """The rows in reverse order: `flip` along dimension 0. A copy."""
    if tensor_of("flipud", input).ndim < 1:
        raise ShapeError("flipud: Input must be >= 1-d.")
    return flip(input, (0,))


@public(
    methods=("rot90",),
    numpy={"rot90": lambda m, k=1, axes=(0, 1): rot90(m, k, axes)},
    samples=lambda make: [
        sample(make.real(2, 3)),
        *(sample(make.real(2, 3), k) for k in (-1, 0, 2, 7)),
        sample(make.real(2, 3, 2), k=1, dims=(-1, 0)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "expected total dims >= 2", make.real(3)),
        bad(RuntimeError, "expected rotation dims to be different", make.real(2, 3), 1, (0, 0)),
        bad(RuntimeError, "expected total rotation dims == 2", make.real(2, 3), 1, (0,)),
    ],
    departs={"node": "composite"},
)
def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """Rotated by `k` right angles in the plane of two dimensions, from the first to the second.

    Raises:
        ShapeError: `dims` does not name two dimensions.
        DimensionError: a dimension is out of range.
    """
    input = tensor_of("rot90", input)
    if len(dims) != 2:
        raise ShapeError(f"expected total rotation dims == 2, but got dims = {len(dims)}.")
    if input.ndim < 2:
        raise ShapeError(f"expected total dims >= 2, but got total dims = {input.ndim}.")
    first, second = _dim(dims[0], input.ndim), _dim(dims[1], input.ndim)
    if first == second:
        raise ShapeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and "
            f"dim1 = {dims[1]}."
        )
    k %= 4
    if k == 1:
        return _transpose(flip(input, (second,)), (first, second))
    if k == 2:
        return flip(input, (first, second))
    if k == 3:
        return flip(_transpose(input, (first, second)), (second,))
    return clone(input)


_roll = linear(
    "roll",
    lambda xp, x, by: xp.roll(x, *by),
    lambda xp, g, by: xp.roll(g, tuple([-n for n in by[0]]), by[1]),
    "RollBackward0",
)


@public(
    methods=("roll",),
    numpy={"roll": lambda a, shift, axis=None: _numpy_roll(a, shift, axis)},
    array_api="roll",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 1),
        sample(make.real(2, 3), 1, 0),
        sample(make.real(2, 3), (1, -2), (0, 1)),
        sample(make.real(2, 3), shifts=4, dims=-1),
        sample(make.real(2, 3), (1, 1), (1, 1)),
        sample(make.real(), 1),
        sample(make.real(0), 1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must align. shifts: 2, dims:1", make.real(2, 3), (1, 2), 0),
        bad(RuntimeError, "must align. shifts: 2, dims:0", make.real(2, 3), (1, 2)),
        bad(RuntimeError, "`shifts` required", make.real(2, 3), (), ()),
        bad(IndexError, "Dimension out of range", make.real(2, 3), 1, 2),
    ],
)
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The elements moved along dimensions; those that leave at the end enter at the start.

    Args:
        input: `(*)`, any dtype.
        shifts: by how many places: an int or a tuple.
        dims: the dimension of each shift; without it, `input` is rolled as if flattened.

    Returns:
        `(*)`, a copy.

    Raises:
        ShapeError: not one dimension per shift.
        DimensionError: a dimension is out of range.
    """
    input = tensor_of("roll", input)
    by = integers("roll", "shifts", shifts)
    along = () if dims is None else integers("roll", "dims", dims)
    if not by:
        raise ShapeError("roll: `shifts` required.")
    if len(by) != len(along) and (along or len(by) > 1):
        raise ShapeError(
            f"roll: shifts and dimensions must align. shifts: {len(by)}, dims:{len(along)}."
        )
    if along and not input._shape:
        raise DimensionError(f"Dimension specified as {along[0]} but tensor has no dimensions.")
    return _roll(input, (by, tuple([_dim(d, input.ndim) for d in along]) or None))


def _numpy_roll(a: Tensor, shift: Any, axis: Any) -> Tensor:
    if isinstance(axis, tuple | list) and not isinstance(shift, tuple | list):
        shift = (shift,) * len(axis)
    elif isinstance(shift, tuple | list) and axis is not None:
        axis = (axis,) * len(shift) if not isinstance(axis, tuple | list) else axis
    elif isinstance(shift, tuple | list):
        shift = sum(shift)
    return roll(a, shift, axis)


def _interleaved(x_shape: Shape, repeats: Shape) -> tuple[Shape, Shape]:
    """The shape with a dimension of length 1 before each, and with these repeated."""
    shape = (1,) * (len(repeats) - len(x_shape)) + x_shape
    narrow: list[int] = []
    wide: list[int] = []
    for n, r in zip(shape, repeats, strict=True):
        narrow += (1, n)
        wide += (r, n)
    return tuple(narrow), tuple(wide)


def _repeated(xp: Namespace, x: Array, repeats: Shape) -> Array:
    narrow, wide = _interleaved(x.shape, repeats)
    final = tuple([r * n for r, n in zip(wide[::2], wide[1::2], strict=True)])
    # reshape alone copies only where it must.
    return xp.broadcast_to(x.reshape(narrow), wide).copy().reshape(final)


def _summed_repeats(xp: Namespace, g: Any, x_shape: Shape, repeats: Shape) -> Any:
    narrow, wide = _interleaved(x_shape, repeats)
    return xp.reshape(xp.sum_to(xp.reshape(g, wide), narrow), x_shape)


_repeat = linear(
    "repeat",
    _repeated,
    lambda xp, g, x_shape, repeats: _summed_repeats(xp, g, x_shape, repeats),
    "RepeatBackward0",
)


@public(
    path="Tensor.repeat",
    methods=("repeat",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), 2, 1),
        sample(make.real(2, 3), (2, 1, 2)),
        sample(make.real(2, 3), 1, 1),
        sample(make.real(2, 3), 0, 2),
        sample(make.real(), 2),
        sample(make.real(), ()),
        sample(make.real(0), 3),
    ],
    errors=lambda make: [
        bad(RuntimeError, "can not be smaller than number of dimensions", make.real(2, 3), 2),
        bad(RuntimeError, "negative dimension -2", make.real(2, 3), -1, 2),
    ],
)
def repeat(input: Tensor, repeats: Any, *rest: int) -> Tensor:
    """The whole Tensor repeated along dimensions.

    Args:
        input: `(*)`, any dtype.
        repeats: how often along each dimension, as a tuple or as several arguments. It may have
            more dimensions, which come first.

    Returns:
        A copy.

    Raises:
        ShapeError: fewer numbers than dimensions, or a negative one.
    """
    repeats = (repeats, *rest) if rest else repeats
    repeats = integers("repeat", "repeats", repeats)
    if len(repeats) < input.ndim:
        raise ShapeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            f"tensor: repeats {repeats} for shape {input._shape}."
        )
    if any(r < 0 for r in repeats):
        shape = (1,) * (len(repeats) - input.ndim) + input._shape
        final = [r * n for r, n in zip(repeats, shape, strict=True)]
        raise ShapeError(f"Trying to create tensor with negative dimension {min(final)}: {final}.")
    return _repeat(input, repeats)


@public(
    methods=("tile",),
    numpy={"tile": lambda A, reps: tile(A, reps)},
    array_api="tile",
    samples=lambda make: [
        sample(make.real(2, 3), (2,)),
        sample(make.real(2, 3), (2, 1, 2)),
        sample(make.real(2, 3), ()),
        sample(make.real(), dims=(2,)),
    ],
)
def tile(input: Tensor, dims: Any, *rest: int) -> Tensor:
    """The whole Tensor repeated along its last dimensions.

    Args:
        input: `(*)`, any dtype.
        dims: how often along each dimension, as a tuple or as several arguments; those missing
            in front are 1.

    Returns:
        A copy.
    """
    input = tensor_of("tile", input)
    repeats = integers("tile", "dims", (dims, *rest) if rest else dims)
    return repeat(input, (1,) * (input.ndim - len(repeats)) + repeats)


def _not_triangular(name: str) -> Recover:
    def recover(x: Tensor, k: Any, error: Exception) -> NoReturn:
        if x.ndim < 2:
            raise ShapeError(f"{name}: input tensor must have at least 2 dimensions.") from error
        raise _failed(name, x, error) from error

    return recover


def _matrix(x: Array) -> Array:
    # NumPy makes a matrix of a vector here.
    if x.ndim < 2:
        raise ValueError("not a matrix")
    return x


_tril = linear(
    "tril",
    lambda xp, x, k: xp.tril(_matrix(x), k),
    lambda xp, g, k: xp.tril(g, k),
    "TrilBackward0",
    _not_triangular("tril"),
)
_triu = linear(
    "triu",
    lambda xp, x, k: xp.triu(_matrix(x), k),
    lambda xp, g, k: xp.triu(g, k),
    "TriuBackward0",
    _not_triangular("triu"),
)


def _of_triangles(name: str, part: Callable[..., Tensor]) -> Callable[[F], F]:
    return public(
        in_place=True,
        methods=(name,),
        numpy={name: lambda m, k=0: part(m, k)},
        array_api=name,
        kind="primitive",
        samples=lambda make: [
            sample(make.real(3, 3)),
            sample(make.real(2, 3), 1),
            sample(make.real(2, 3, 3), diagonal=-1),
            sample(make.real(0, 3)),
        ],
        errors=lambda make: [bad(RuntimeError, "at least 2 dimensions", make.real(3))],
    )


@_of_triangles("tril", _tril)
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of a batch of matrices, zero elsewhere.

    Args:
        input: `(*, n, m)`, any dtype.
        diagonal: the last diagonal that stays: 0 is the main one, 1 the next above it.

    Returns:
        `(*, n, m)`, a copy.
    """
    return _tril(input, diagonal)


@_of_triangles("triu", _triu)
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles: as `tril`, with `diagonal` the first diagonal that stays."""
    return _triu(input, diagonal)


# diagonals -------------------------------------------------------------------------------------


def _placed(xp: Namespace, v: Any, shape: Shape, where: Shape) -> Any:
    """Zeros of `shape` with `v` on the diagonal `where`: the adjoint of taking it."""
    offset, dim1, dim2 = where
    n, m = shape[dim1], shape[dim2]
    others = [d for d in range(len(shape)) if d not in (dim1, dim2)]
    batch = tuple([shape[d] for d in others])
    length = max(min(n, m - offset) if offset >= 0 else min(n + offset, m), 0)
    start = offset if offset >= 0 else -offset * m
    # In the flattened matrix the diagonal is every (m + 1)-th element.
    flat = slice(start, start + (length - 1) * (m + 1) + 1, m + 1) if length else slice(0, 0)
    y = xp.put(v, (..., flat), (*batch, n * m))
    return xp.transpose(xp.reshape(y, (*batch, n, m)), _inverse((*others, dim1, dim2)))


def _diagonal_of(x: Array, where: Shape) -> Array:
    y = x.diagonal(*where)
    if isinstance(y, np.ndarray) and x.flags.writeable:
        y.flags.writeable = True
    return y


_diagonal = linear(
    "diagonal",
    lambda xp, x, where: _diagonal_of(x, where),
    lambda xp, g, x_shape, where: _placed(xp, g, x_shape, where),
    "DiagonalBackward0",
    view=True,
)
_embed = linear(
    "diag_embed",
    lambda xp, x, place: _placed(xp, x, *place),
    lambda xp, g, place: xp.diagonal(g, *place[1]),
    "DiagEmbedBackward0",
)


def _plane(dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    first, second = canonical_dim(dim1, ndim), canonical_dim(dim2, ndim)
    if first == second:
        raise ShapeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}.")
    return first, second


@public(
    methods=("diagonal",),
    numpy={"diagonal": lambda a, offset=0, axis1=0, axis2=1: diagonal(a, offset, axis1, axis2)},
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3, 3)),
        sample(make.real(2, 3), 1),
        sample(make.real(2, 3), -1),
        sample(make.real(2, 3), 5),
        sample(make.real(2, 3, 4), offset=1, dim1=-1, dim2=0),
        sample(make.real(0, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "cannot be identical", make.real(2, 3), 0, 1, 1),
        bad(IndexError, "Dimension out of range", make.real(3)),
    ],
)
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonals of matrices in two dimensions, as the last dimension.

    Args:
        input: `(*)`, at least two dimensions, any dtype.
        offset: which diagonal: 0 is the main one, positive ones are above it.
        dim1: the dimension of the rows.
        dim2: the dimension of the columns.

    Returns:
        A view of `input`.

    Raises:
        DimensionError: a dimension is out of range.
        ShapeError: the two dimensions are the same.
    """
    input = tensor_of("diagonal", input)
    return _diagonal(input, (offset, *_plane(dim1, dim2, input.ndim)))


@public(
    methods=("diag_embed",),
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3)),
        sample(make.real(2, 3), 1),
        sample(make.real(2, 3), offset=-1, dim1=0, dim2=-1),
        sample(make.real(2, 0)),
    ],
    errors=lambda make: [bad(RuntimeError, "cannot be identical", make.real(3), 0, 1, 1)],
)
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices with the last dimension on a diagonal, zero elsewhere.

    Args:
        input: `(*, n)`, any dtype.
        offset: which diagonal: 0 is the main one, positive ones are above it.
        dim1: the dimension of the rows in the result.
        dim2: the dimension of the columns in the result.

    Returns:
        `(*, n + |offset|, n + |offset|)`, with the last two moved to `dim1` and `dim2`.

    Raises:
        DimensionError: a dimension is out of range.
        ShapeError: the two dimensions are the same.
    """
    input = tensor_of("diag_embed", input)
    if not input._shape:
        raise ShapeError("diag_embed: input must have at least 1 dimension.")
    dims = _plane(dim1, dim2, input.ndim + 1)
    size = input._shape[-1] + abs(offset)
    batch = iter(input._shape[:-1])
    shape = tuple([size if d in dims else next(batch) for d in range(input.ndim + 1)])
    return _embed(input, (shape, (offset, *dims)))


@public(
    methods=("diag",),
    numpy={"diag": lambda v, k=0: diag(v, k)},
    samples=lambda make: [
        sample(make.real(3)),
        sample(make.real(3), 1),
        sample(make.real(2, 3)),
        sample(make.real(2, 3), diagonal=-1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Supports 1D or 2D tensors. Got 3D", make.real(1, 2, 3))
    ],
    departs={"node": "composite"},
)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrix with this diagonal, or the diagonal of this matrix.

    Args:
        input: `(n,)` or `(n, m)`, any dtype.
        diagonal: which one: 0 is the main one, positive ones are above it.

    Returns:
        `(n + |diagonal|, n + |diagonal|)`, or a copy of the diagonal.

    Raises:
        ShapeError: the Tensor is neither a vector nor a matrix.
    """
    input = tensor_of("diag", input)
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim == 2:
        return clone(_diagonal(input, (diagonal, 0, 1)))
    raise ShapeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D.")
