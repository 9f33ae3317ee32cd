"""Tensors put together and taken apart: grids, blocks, combinations, pieces; places as numbers."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..device import Array, TensorType
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..namespace import Namespace
from ..op import common_device, promote, public, tensor_of
from ..samples import bad, sample
from ..tensor import Size, Tensor, outermost, wrap
from .arithmetic import floor_divide, remainder
from .creation import made_by, type_asked_for, zeros
from .index import getitem
from .shape import (
    diag_embed,
    expand,
    flatten,
    integers,
    joined,
    one_of,
    operands,
    reshape,
    slice_of,
    split,
    stack,
    tensor_split,
    vstack,
)

__all__ = [
    "block_diag",
    "broadcast_shapes",
    "cartesian_prod",
    "combinations",
    "diagflat",
    "dsplit",
    "hsplit",
    "meshgrid",
    "row_stack",
    "split_with_sizes",
    "tril_indices",
    "triu_indices",
    "unravel_index",
    "unsafe_chunk",
    "unsafe_split",
    "unsafe_split_with_sizes",
    "vsplit",
]

Shape = tuple[int, ...]

row_stack = vstack


# pieces ----------------------------------------------------------------------------------------


@public(
    methods=("split_with_sizes",),
    samples=lambda make: [
        sample(make.real(4, 3), [1, 3]),
        sample(make.real(2, 4), (1, 0, 3), dim=-1),
        sample(make.real(2, 4), (1, 3), axis=1),
    ],
    errors=lambda make: [bad(RuntimeError, "to sum exactly to 2", make.real(2, 3), [1, 2])],
)
def split_with_sizes(
    input: Tensor, split_sizes: Any, dim: int = 0, *, axis: int | None = None
) -> tuple[Tensor, ...]:
    """The pieces of these lengths along `dim` (`axis` in NumPy): views. See `split`."""
    sizes = integers("split_with_sizes", "split_sizes", split_sizes)
    return split(tensor_of("split_with_sizes", input), sizes, dim if axis is None else axis)


def _apart(pieces: tuple[Tensor, ...], x: Tensor, dim: int) -> tuple[Tensor, ...]:
    """Views like these, each with a node of its own, so that it may be written to."""
    at = dim % x.ndim
    ends = list(itertools.accumulate(piece._shape[at] for piece in pieces))
    full = (slice(None),) * at
    return tuple([slice_of(x, (*full, slice(a, b))) for a, b in itertools.pairwise([0, *ends])])


@public(
    methods=("unsafe_split",),
    samples=lambda make: [
        sample(make.real(5, 3), 2),
        sample(make.real(2, 4), 3, dim=-1),
        sample(make.real(5, 3), split_size=2),
        sample(make.real(5, 3), 2, axis=1),
    ],
    errors=lambda make: [bad(RuntimeError, "split_size can only be 0", make.real(2, 3), 0)],
    departs={"node": "views with a node each"},
)
def unsafe_split(
    input: Tensor, split_size: Any, dim: int = 0, *, axis: int | None = None
) -> tuple[Tensor, ...]:
    """`split` into views that may be written to, which here is safe.

    Their gradients are added up piece by piece, where PyTorch puts all side by side at once: with a
    few pieces backward takes four times as long, with some hundred fifty times. `split` does not.
    """
    input = tensor_of("unsafe_split", input)
    dim = dim if axis is None else axis
    return _apart(split(input.detach(), split_size, dim), input, dim)


@public(
    methods=("unsafe_split_with_sizes",),
    samples=lambda make: [
        sample(make.real(4, 3), [1, 3]),
        sample(make.real(4, 3), [1, 2], axis=1),
    ],
    errors=lambda make: [bad(RuntimeError, "to sum exactly to 2", make.real(2, 3), [1, 2])],
    departs={"node": "views with a node each"},
)
def unsafe_split_with_sizes(
    input: Tensor, split_sizes: Any, dim: int = 0, *, axis: int | None = None
) -> tuple[Tensor, ...]:
    """`split_with_sizes` into views that may be written to, which here is safe.

    Backward takes many times as long as PyTorch's: see `unsafe_split`.
    """
    input = tensor_of("unsafe_split_with_sizes", input)
    dim = dim if axis is None else axis
    return _apart(split_with_sizes(input.detach(), split_sizes, dim), input, dim)


@public(
    methods=("unsafe_chunk",),
    samples=lambda make: [
        sample(make.real(5, 3), 3),
        sample(make.real(2, 4), 2, 1),
        sample(make.real(2, 4), 2, axis=1),
    ],
    errors=lambda make: [bad(RuntimeError, "to be greater than 0", make.real(2), 0)],
    departs={"node": "views with a node each"},
)
def unsafe_chunk(
    input: Tensor, chunks: int, dim: int = 0, *, axis: int | None = None
) -> tuple[Tensor, ...]:
    """`chunk` into views that may be written to, which here is safe.

    Backward takes many times as long as PyTorch's: see `unsafe_split`.
    """
    input = tensor_of("unsafe_chunk", input)
    dim = dim if axis is None else axis
    return _apart(input.detach().chunk(chunks, dim), input, dim)


_NUMPYS_NAME = "NumPy's indices_or_sections= beside PyTorch's two names"


def _split_evenly(name: str, x: Any, sections: Any, dim: int, least: int) -> tuple[Tensor, ...]:
    x = tensor_of(name, x)
    if x.ndim < least:
        raise ShapeError(
            f"{name} requires a tensor with at least {least} dimension, but got a tensor with "
            f"{x.ndim} dimensions!"
        )
    if isinstance(sections, int) and (sections <= 0 or x._shape[dim] % sections):
        raise ShapeError(
            f"{name} attempted to split along dimension {dim}, but the size of the dimension "
            f"{x._shape[dim]} is not divisible by the split_size {sections}!"
        )
    return tensor_split(x, sections, dim)


@public(
    methods=("hsplit",),
    numpy={"hsplit": lambda ary, indices_or_sections: list(hsplit(ary, indices_or_sections))},
    samples=lambda make: [
        sample(make.real(2, 4), 2),
        sample(make.real(2, 4), (1, 3)),
        sample(make.real(3), 3),
        sample(make.real(2, 4), sections=2),
        sample(make.real(2, 4), indices=(1, 3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at least 1 dimension", make.real(), 1),
        bad(RuntimeError, "not divisible by the split_size 2", make.real(2, 3), 2),
        bad(TypeError, "either indices or a number of sections, and 0 were", make.real(2)),
    ],
    departs={"signature": _NUMPYS_NAME},
)
def hsplit(
    input: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None
) -> tuple[Tensor, ...]:
    """The pieces of a Tensor from left to right: along dimension 1, of a vector along that.

    Args:
        input: at least one dimension.
        indices_or_sections: how many pieces of one length, or the indices before which to split.
        indices: PyTorch's name for the indices.
        sections: its name for a number of pieces.

    Returns:
        Views of `input`.

    Raises:
        ArgumentTypeError: not one of these three is given.
        ShapeError: too few dimensions, or the pieces cannot be of one length.
    """
    places = one_of("hsplit", indices_or_sections, indices, sections)
    dim = 0 if tensor_of("hsplit", input).ndim == 1 else 1
    return _split_evenly("hsplit", input, places, dim, 1)


@public(
    methods=("vsplit",),
    numpy={"vsplit": lambda ary, indices_or_sections: list(vsplit(ary, indices_or_sections))},
    samples=lambda make: [
        sample(make.real(4, 2), 2),
        sample(make.real(4, 2), [1]),
        sample(make.real(4, 2), sections=2),
        sample(make.real(4, 2), indices=[1]),
    ],
    errors=lambda make: [bad(RuntimeError, "at least 2 dimension", make.real(2), 1)],
    departs={"signature": _NUMPYS_NAME},
)
def vsplit(
    input: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None
) -> tuple[Tensor, ...]:
    """The pieces of a Tensor of two dimensions or more along dimension 0; see `hsplit`."""
    places = one_of("vsplit", indices_or_sections, indices, sections)
    return _split_evenly("vsplit", input, places, 0, 2)


@public(
    methods=("dsplit",),
    numpy={"dsplit": lambda ary, indices_or_sections: list(dsplit(ary, indices_or_sections))},
    samples=lambda make: [
        sample(make.real(2, 1, 4), 2),
        sample(make.real(2, 1, 4), (1, 2)),
        sample(make.real(2, 1, 4), sections=2),
        sample(make.real(2, 1, 4), indices=(1, 2)),
    ],
    errors=lambda make: [bad(RuntimeError, "at least 3 dimension", make.real(2, 2), 1)],
    departs={"signature": _NUMPYS_NAME},
)
def dsplit(
    input: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None
) -> tuple[Tensor, ...]:
    """The pieces of a Tensor of three dimensions or more along dimension 2; see `hsplit`."""
    places = one_of("dsplit", indices_or_sections, indices, sections)
    return _split_evenly("dsplit", input, places, 2, 3)


# blocks ----------------------------------------------------------------------------------------


def _as_block(shape: Shape) -> Shape:
    return (1,) * (2 - len(shape)) + shape


def _blocks(xp: Namespace, arrays: Sequence[Array]) -> Array:
    width = sum(_as_block(a.shape)[1] for a in arrays)
    rows, at = [], 0
    for a in arrays:
        n, m = _as_block(a.shape)
        before, after = (xp.zeros((n, k), a) for k in (at, width - at - m))
        rows.append(xp.concatenate([before, xp.reshape(a, (n, m)), after], 1))
        at += m
    return xp.concatenate(rows, 0)


def _cut_blocks(xp: Namespace, g: Any, _: int, shapes: Sequence[Shape]) -> list[Any]:
    pieces, row, column = [], 0, 0
    for shape in shapes:
        n, m = _as_block(shape)
        piece = xp.getitem(g, (slice(row, row + n), slice(column, column + m)))
        pieces.append(xp.reshape(piece, shape))
        row, column = row + n, column + m
    return pieces


@public(
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2), make.real()),
        sample(make.real(0, 2), make.real(1, 1)),
        sample(make.real(2), make.complex(1, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must have 2 or fewer dimensions. Input 0 has 3", make.real(1, 1, 1)),
        bad(TypeError, "expected Tensor as element 1", make.real(2), 1.0),
    ],
)
def block_diag(*tensors: Any) -> Tensor:
    """The matrix with these on its diagonal, one after the other, and zeros elsewhere.

    Args:
        tensors: `(n_i, m_i)`, `(m_i,)` for a row, or `()`; of several dtypes, they are promoted.

    Returns:
        `(sum of n_i, sum of m_i)`.

    Raises:
        ShapeError: one has more dimensions.
    """
    if not tensors:
        return zeros(1, 0)
    found = operands("block_diag", tensors)
    for number, x in enumerate(found):
        if x.ndim > 2:
            raise ShapeError(
                "block_diag: Input tensors must have 2 or fewer dimensions. "
                f"Input {number} has {x.ndim} dimensions."
            )
    lifted = outermost(found)
    if lifted is not None:
        return lifted._linear("block_diag", block_diag, found)  # type: ignore[no-any-return]
    kind = TensorType(common_device("block_diag", found), found[0]._type.dtype)
    arrays = [x._array for x in found]
    y = kind.device.backend.on(kind.device, lambda module: _blocks(kind.xp, arrays))
    shapes = [x._shape for x in found]
    return joined("BlockDiagBackward0", _cut_blocks, found, y, kind, 0, shapes)


@public(
    methods=("diagflat",),
    numpy={"diagflat": lambda v, k=0: diagflat(v, k)},
    samples=lambda make: [sample(make.real(3)), sample(make.real(2, 2), -1), sample(make.real())],
)
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with the elements of `input`, flattened, on a diagonal: 0 is the main one."""
    return diag_embed(flatten(tensor_of("diagflat", input)), offset)


# grids -----------------------------------------------------------------------------------------


@public(
    numpy={
        "meshgrid": lambda *xi, copy=True, sparse=False, indexing="xy": _numpy_meshgrid(
            xi, sparse, indexing
        )
    },
    array_api="meshgrid",
    samples=lambda make: [
        sample(make.real(2), make.real(3), indexing="ij"),
        sample([make.real(2), make.real(), make.real(1)], indexing="xy"),
        sample(make.real(3), indexing="xy"),
        sample(make.real(0), make.real(2), indexing="ij"),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Expected 0D or 1D tensor", make.real(2, 3)),
        bad(RuntimeError, "to have the same dtype", make.real(2), np.array([1])),
        bad(RuntimeError, 'must be one of "xy" or "ij"', make.real(2), indexing="x"),
        bad(RuntimeError, "non-empty", []),
    ],
)
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of the points of a grid: `y_k[i_1, ..., i_n] = x_k[i_k]`.

    Args:
        tensors: `(n_k,)` or `()`, of one dtype; or one sequence of them.
        indexing: `"ij"` (the default), or `"xy"`, which exchanges the first two dimensions.

    Returns:
        One view per Tensor, in which elements share memory: `(n_1, n_2, ..., n_k)`.

    Raises:
        ShapeError: a Tensor has more dimensions, or there is none.
        DTypeError: they are of several dtypes.
        ArgumentError: there is no such `indexing`.
    """
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    found = [tensor_of("meshgrid", x) for x in tensors]
    if not found:
        raise ShapeError("meshgrid expects a non-empty TensorList.")
    if any(x._type.dtype is not found[0]._type.dtype for x in found):
        raise DTypeError("meshgrid expects all tensors to have the same dtype.")
    for x in found:
        if x.ndim > 1:
            raise ShapeError(
                f"meshgrid: Expected 0D or 1D tensor in the tensor list but got shape {x._shape}."
            )
    if indexing not in (None, "ij", "xy"):
        raise ArgumentError(
            f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}.'
        )
    places = list(range(len(found)))
    if indexing == "xy" and len(found) > 1:
        places[:2] = 1, 0
    shape = [1] * len(found)
    for place, x in zip(places, found, strict=True):
        shape[place] = x.numel()
    grids = []
    for place, x in zip(places, found, strict=True):
        narrow = [x.numel() if d == place else 1 for d in range(len(found))]
        grids.append(expand(reshape(x, tuple(narrow)), tuple(shape)))
    return tuple(grids)


def _numpy_meshgrid(arrays: Sequence[Any], sparse: bool, indexing: str) -> tuple[Tensor, ...]:
    if sparse:
        raise NotImplementedError("meshgrid: sparse= is not implemented for Tensors.")
    return meshgrid(*promote("meshgrid", *arrays), indexing=indexing)


def _vector(name: str, x: Any) -> Tensor:
    vector = tensor_of(name, x)
    if vector.ndim != 1:
        raise ShapeError(f"{name}: Expect a 1D vector, but got shape {list(vector._shape)}.")
    return vector


@public(
    samples=lambda make: [
        sample(make.real(2), make.real(3)),
        sample(make.real(2), make.real(1), make.real(2)),
        sample(make.real(3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Expect a 1D vector", make.real(2, 3)),
        bad(RuntimeError, "to have the same dtype", make.real(2), np.array([1])),
        bad(RuntimeError, "non-empty"),
    ],
)
def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of one element of each vector, the last changing fastest.

    Args:
        tensors: k vectors `(n_i,)` of one dtype.

    Returns:
        `(product of n_i, k)`; of a single vector itself.

    Raises:
        ShapeError: one is no vector, or there is none.
        DTypeError: they are of several dtypes.
    """
    found = [_vector("cartesian_prod", x) for x in tensors]
    if len(found) == 1:
        return found[0]
    y: Tensor = stack([flatten(x) for x in meshgrid(found)], 1)
    return y


def _choices(n: int, r: int, with_replacement: bool) -> np.ndarray[Any, Any]:
    """All choices of `r` of `n` places in order, `(number of choices, r)`."""
    places = np.arange(n)[:, None]
    for _ in range(r - 1):
        first = places[:, -1] + (not with_replacement)
        counts = n - first
        # What follows each choice: the numbers from `first` on.
        skipped = np.cumsum(counts) - counts - first
        last = np.arange(counts.sum()) - np.repeat(skipped, counts)
        places = np.concatenate([np.repeat(places, counts, 0), last[:, None]], 1)
    return places


@public(
    samples=lambda make: [
        sample(make.real(4)),
        sample(make.real(4), 3),
        sample(make.real(3), r=2, with_replacement=True),
        sample(make.real(2), 3),
        sample(make.real(2), 1),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Expect a 1D vector", make.real(2, 3)),
        bad(RuntimeError, "Expect a non-negative number, but got -1", make.real(2), -1),
    ],
    departs={"node": "an index, where PyTorch selects by masks and stacks"},
)
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, in the order of `itertools.combinations`.

    Args:
        input: `(n,)`, any dtype.
        r: how many elements.
        with_replacement: an element may be chosen more than once.

    Returns:
        `(number of choices, r)`; empty, `(0,)`, for `r` = 0.

    Raises:
        ShapeError: `input` is no vector, or `r` is negative.
    """
    input = _vector("combinations", input)
    if r < 0:
        raise ShapeError(f"combinations: Expect a non-negative number, but got {r}.")
    if not r:
        return input.new_empty(0)
    places = _choices(input.numel(), r, with_replacement)
    device = input._type.device
    y: Tensor = getitem(input, wrap(device.backend.send(places, device.base)))
    return y


# places as numbers -----------------------------------------------------------------------------


@public(
    differentiable=False,
    samples=lambda make: [
        sample(make.integers(0, 6, 2, 2), (2, 3)),
        sample(np.array(5), [1, 2, 3]),
        sample(np.array([3]), 4),
    ],
    errors=lambda make: [
        bad(TypeError, "to be integer dtype", make.real(2), (2, 2)),
        bad(ValueError, "negative values", np.array([1]), (-1, 2)),
    ],
)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates of elements whose numbers in row-major order are given.

    Args:
        indices: `(*)`, integers.
        shape: of the Tensor that they are numbers in: a tuple, or an int for a vector.

    Returns:
        One Tensor `(*)` per dimension.

    Raises:
        ArgumentTypeError: `indices` are no integers.
        ArgumentError: a length is negative.
    """
    indices = tensor_of("unravel_index", indices)
    dtype = indices._type.dtype
    if dtype.is_inexact or dtype is dtypes.bool_:
        raise ArgumentTypeError(f"expected 'indices' to be integer dtype, but got {dtype}.")
    lengths = integers("unravel_index", "shape", shape)
    if any(n < 0 for n in lengths):
        raise ArgumentError(f"'shape' cannot have negative values, but got {lengths}.")
    found = []
    rest = indices
    for n in reversed(lengths):
        found.append(remainder(rest, n))
        rest = floor_divide(rest, n)
    return tuple(found[::-1])


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which Tensors of these shapes broadcast; an int stands for a vector's.

    Raises:
        ShapeError: there is none.
        ArgumentError: a length is negative.
    """
    found: list[int] = []
    for number, given in enumerate(shapes):
        shape = integers("broadcast_shapes", "shapes", given)
        if any(n < 0 for n in shape):
            raise ArgumentError("Attempting to broadcast a dimension with negative length!")
        found = [1] * (len(shape) - len(found)) + found
        for back in range(1, len(shape) + 1):
            if shape[-back] == 1 or shape[-back] == found[-back]:
                continue
            if found[-back] != 1:
                raise ShapeError(
                    f"Attempting to broadcast a dimension of length {shape[-back]} at -{back}! "
                    f"Mismatching argument at index {number} had {shape}; but expected shape "
                    f"should be broadcastable to {found}."
                )
            found[-back] = shape[-back]
    return Size(found)


def _triangle(
    name: str,
    keep: Any,
    row: int,
    col: int,
    offset: int,
    dtype: Any,
    device: Any,
    requires_grad: bool,
) -> Tensor:
    for what, n in (("row", row), ("col", col)):
        if operator.index(n) < 0:
            raise ArgumentError(f"{name}: {what} must be non-negative, got {n}.")
    kind = type_asked_for(dtypes.int64 if dtype is None else dtype, device)
    if kind.dtype.is_inexact or kind.dtype is dtypes.bool_:
        raise DTypeError(f'"{name}" not implemented for {kind.dtype.label!r}.')
    host = np.stack(keep(row, offset, col)).astype(kind.numpy)
    return made_by(lambda module: module.asarray(host), kind, requires_grad)


def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The places of the lower triangle of a `row` x `col` matrix, `(2, n)`, int64 by default.

    Args:
        row: how many rows.
        col: how many columns.
        offset: the last diagonal of the triangle: 0 is the main one, 1 the next above it.
        dtype: of integers.
        device: of the result.
        requires_grad: must be False, as for all integers.

    Raises:
        ArgumentError: a length is negative.
        DTypeError: `dtype` is not of integers.
    """
    return _triangle(
        "tril_indices", np.tril_indices, row, col, offset, dtype, device, requires_grad
    )


def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The places of the upper triangle of a `row` x `col` matrix; see `tril_indices`.

    `offset` is the first diagonal of the triangle.
    """
    return _triangle(
        "triu_indices", np.triu_indices, row, col, offset, dtype, device, requires_grad
    )
