"""Products of vectors and matrices."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DeviceError, DTypeError, ShapeError
from ..op import operand, primitive, promote, public
from ..samples import bad, sample
from ..tensor import Tensor, as_view, canonical_dim
from .creation import eye

__all__ = [
    "bmm",
    "dot",
    "einsum",
    "ger",
    "inner",
    "matmul",
    "mm",
    "mv",
    "outer",
    "tensordot",
    "vdot",
]

_PRODUCT = (
    lambda xp, a, b: xp.matmul(a, b),
    lambda xp, g, b: xp.matmul(g, xp.matrix_transpose(b)),
    lambda xp, g, a: xp.matmul(xp.matrix_transpose(a), g),
)
_mm = primitive("mm", *_PRODUCT, bilinear=True, multilinear=True, saved_as={"b": "mat2"})
_bmm = primitive("bmm", *_PRODUCT, bilinear=True, multilinear=True, saved_as={"b": "mat2"})


def _stacked_a(xp: Any, g: Any, b: Any, a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> Any:
    """The cotangent of `a` in a matmul that broadcasts or has a vector."""
    if len(a_shape) == 1:
        g = xp.expand_dims(g, -2)
    if len(b_shape) == 1:
        g, b = xp.expand_dims(g, -1), xp.expand_dims(b, -1)
    d = xp.matmul(g, xp.matrix_transpose(b))
    if len(a_shape) == 1:
        return xp.reshape(xp.sum_to(d, (1, *a_shape)), a_shape)
    return xp.sum_to(d, a_shape)


def _stacked_b(xp: Any, g: Any, a: Any, a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> Any:
    """The cotangent of `b` in a matmul that broadcasts or has a vector."""
    if len(a_shape) == 1:
        g, a = xp.expand_dims(g, -2), xp.expand_dims(a, -2)
    if len(b_shape) == 1:
        g = xp.expand_dims(g, -1)
    d = xp.matmul(xp.matrix_transpose(a), g)
    if len(b_shape) == 1:
        return xp.reshape(xp.sum_to(d, (*b_shape, 1)), b_shape)
    return xp.sum_to(d, b_shape)


_stacked = primitive(
    "matmul",
    lambda xp, a, b: xp.matmul(a, b),
    lambda xp, g, b, a_shape, b_shape: _stacked_a(xp, g, b, a_shape, b_shape),
    lambda xp, g, a, a_shape, b_shape: _stacked_b(xp, g, a, a_shape, b_shape),
    bilinear=True,
    multilinear=True,
)
_dot = primitive(
    "dot",
    lambda xp, a, b: xp.matmul(a, b),
    lambda xp, g, b: g * b,
    lambda xp, g, a: g * a,
    bilinear=True,
    multilinear=True,
)


def _pair(name: str, input: Any, other: Any) -> tuple[Tensor, Tensor]:
    """Two Tensors of one dtype on one device, as products need them.

    Raises:
        DTypeError: the dtypes differ.
        DeviceError: the devices differ.
    """
    a, b = operand(name, input, 0), operand(name, other, 1)
    for v, position in ((a, 1), (b, 2)):
        if not isinstance(v, Tensor):
            raise ArgumentTypeError(
                f"{name}(): argument {position} must be Tensor, not {type(v).__name__}."
            )
    if a._type is not b._type:
        if a._type.device.base is not b._type.device.base:
            raise DeviceError(
                f"{name}: Expected all tensors to be on the same device, but found at least two "
                f"devices, {a.device} and {b.device}!"
            )
        if a._type.dtype is b._type.dtype:  # one is a batch
            return a, b
        raise DTypeError(
            f"{name}: expected m1 and m2 to have the same dtype, but got: {a.dtype} != {b.dtype}. "
            "Cast one with .to(dtype)."
        )
    return a, b


def sum_of_none(x: Tensor) -> Tensor:
    """0, whose gradient by `x` is 0: for results that do not depend on the values of `x`."""
    return x.reshape(-1)[:0].sum(dtype=x.dtype)


def _check_bool(name: str, a: Tensor) -> None:
    if a._type.dtype.label == "Bool":
        raise DTypeError(f"\"{name}\" not implemented for 'Bool': cast to a number first.")


@public(
    numpy={"matmul": lambda a, b: matmul(*promote("matmul", a, b))},
    array_api="matmul",
    methods=("matmul", "__matmul__"),
    samples=lambda make: [
        sample(make.real(2, 3), make.real(3, 4)),
        sample(make.real(3), make.real(3)),
        sample(make.real(2, 3), make.real(3)),
        sample(make.real(3), make.real(3, 2)),
        sample(make.real(5, 2, 3), make.real(3)),
        sample(make.real(3), make.real(5, 3, 2)),
        sample(make.real(5, 1, 2, 3), make.real(4, 3, 2)),
        sample(make.real(5, 2, 3), make.real(5, 3, 2)),
        sample(make.real(0, 3), make.real(3, 2)),
        sample(make.real(2, 0), make.real(0, 2)),
        sample(make.complex(2, 3), make.complex(3, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "cannot be multiplied", make.real(2, 3), make.real(4, 5)),
        bad(RuntimeError, "at least 1D", make.real(), make.real(2, 2)),
        bad(RuntimeError, "same dtype", make.real(2, 2), make.integers(0, 2, 2, 2)),
    ],
    departs={
        "node": "one node, where PyTorch reshapes and calls mm, mv or bmm",
        "saves": "operands of more dimensions than two, which PyTorch copies into a matrix",
        "refuses: bool": "PyTorch has it for empty inner dimensions only",
    },
)
def matmul(input: Any, other: Any) -> Tensor:
    """Matrix product of the last two dimensions; those before broadcast.

    Args:
        input: `(*, n, k)`, or a vector `(k,)`, to which a dimension is prepended and removed again.
        other: `(*, k, m)`, or a vector `(k,)`, to which one is appended and removed again.

    Returns:
        `(*, n, m)` without the dimensions that vectors lack; of two vectors, 0-d.

    Raises:
        ShapeError: the inner dimensions differ, or one operand is 0-d.
        DTypeError: the dtypes differ.
    """
    if input.__class__ is Tensor and other.__class__ is Tensor and input._type is other._type:
        a, b = input, other
    else:
        a, b = _pair("matmul", input, other)
    rank_a, rank_b = len(a._shape), len(b._shape)
    if rank_a == 2 and rank_b == 2:
        if a._shape[1] == b._shape[0] and a._type.recordable:
            return _mm(a, b)
    elif not rank_a or not rank_b:
        raise ShapeError(
            "both arguments to matmul need to be at least 1D, "
            f"but they are {rank_a}D and {rank_b}D."
        )
    _check_bool("matmul", a)
    if a._shape[-1] != b._shape[-2 if rank_b > 1 else 0]:
        one = "mat1 and mat2 shapes cannot be multiplied"
        raise ShapeError(f"matmul: {one} ({_by(a._shape)} and {_by(b._shape)}).")
    if rank_a == 1 and rank_b == 1:
        return _dot(a, b)
    return _stacked(a, b)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _rmatmul(self: Tensor, other: Any) -> Tensor:
    return matmul(other, self)


Tensor.__rmatmul__ = _rmatmul  # type: ignore[assignment, method-assign]


NO_OUT_DTYPE = "no out_dtype=, which PyTorch has on CUDA devices alone"


@public(
    methods=("mm",),
    samples=lambda make: [sample(make.real(2, 3), make.real(3, 4))],
    errors=lambda make: [
        bad(RuntimeError, "self must be a matrix", make.real(3), make.real(3, 2)),
        bad(RuntimeError, "mat2 must be a matrix", make.real(2, 3), make.real(3)),
    ],
    departs={"signature": NO_OUT_DTYPE},
)
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Matrix product of `(n, k)` and `(k, m)`, without broadcasting."""
    if input.ndim != 2:
        raise ShapeError(f"mm: self must be a matrix, but it is {input.ndim}D.")
    if mat2.ndim != 2:
        raise ShapeError(f"mm: mat2 must be a matrix, but it is {mat2.ndim}D.")
    return matmul(input, mat2)


@public(
    methods=("mv",),
    samples=lambda make: [sample(make.real(2, 3), make.real(3))],
    errors=lambda make: [
        bad(RuntimeError, "vector \\+ matrix", make.real(3, 2), make.real(2, 2)),
    ],
    departs={"node": "one node, where PyTorch reshapes and calls mm, mv or bmm"},
)
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Product of a matrix `(n, k)` and a vector `(k,)`."""
    if input.ndim != 2 or vec.ndim != 1:
        raise ShapeError(
            f"mv: vector + matrix @ vector expected, got {vec.ndim}, {input.ndim}, {vec.ndim}."
        )
    return matmul(input, vec)


@public(
    methods=("bmm",),
    samples=lambda make: [sample(make.real(5, 2, 3), make.real(5, 3, 4))],
    errors=lambda make: [
        bad(RuntimeError, "must be a 3D tensor", make.real(2, 3), make.real(5, 3, 4)),
        bad(
            RuntimeError, "Expected size for first two dim", make.real(5, 2, 3), make.real(4, 3, 4)
        ),
    ],
    departs={"signature": NO_OUT_DTYPE},
)
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Matrix products of `(b, n, k)` and `(b, k, m)`, without broadcasting."""
    for number, t in ((1, input), (2, mat2)):
        if t.ndim != 3:
            raise ShapeError(f"bmm: batch{number} must be a 3D tensor, but it is {t.ndim}D.")
    if input._shape[0] != mat2._shape[0] or input._shape[2] != mat2._shape[1]:
        raise ShapeError(
            "bmm: Expected size for first two dimensions of batch2 tensor to be: "
            f"[{input._shape[0]}, {input._shape[2]}] but got: "
            f"[{mat2._shape[0]}, {mat2._shape[1]}]."
        )
    a, b = _pair("bmm", input, mat2)
    return _bmm(a, b)


@public(
    methods=("dot",),
    numpy={"dot": lambda a, b: _numpy_dot(*promote("dot", a, b))},
    samples=lambda make: [sample(make.real(3), make.real(3)), sample(make.real(0), make.real(0))],
    errors=lambda make: [
        bad(RuntimeError, "1D tensors expected", make.real(2, 3), make.real(3)),
        bad(RuntimeError, "inconsistent tensor size", make.real(2), make.real(3)),
    ],
)
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Sum of the products of two vectors `(n,)`; no conjugate."""
    a, b = _pair("dot", input, tensor)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"dot: 1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors.")
    if a._shape != b._shape:
        raise ShapeError(
            f"dot: inconsistent tensor size, expected tensor [{a._shape[0]}] and src "
            f"[{b._shape[0]}] to have the same number of elements."
        )
    _check_bool("dot", a)
    return _dot(a, b)


def _numpy_dot(a: Tensor, b: Tensor) -> Tensor:
    """Contract, as numpy.dot, the last dimension of `a` with the last but one of `b`."""
    if not a.ndim or not b.ndim:
        return a * b
    if a.ndim == 1 and b.ndim == 1:
        return dot(a, b)
    return tensordot(a, b, ([-1], [-2 if b.ndim > 1 else -1]))


@public(
    methods=("vdot",),
    numpy={"vdot": lambda a, b: vdot(*(t.reshape(-1) for t in promote("vdot", a, b)))},
    samples=lambda make: [
        sample(make.real(3), make.real(3)),
        sample(make.complex(3), make.complex(3)),
    ],
    departs={"node": "dot"},
)
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """Sum of the products of two vectors `(n,)`, the first conjugated."""
    return dot(input.conj(), other)


@public(
    methods=("inner",),
    numpy={"inner": lambda a, b: inner(*promote("inner", a, b))},
    samples=lambda make: [
        sample(make.real(3), make.real(3)),
        sample(make.real(2, 3), make.real(4, 3)),
        sample(make.real(), make.real(2)),
    ],
    departs={"node": "one node"},
)
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sum of products over the last dimensions; of a 0-d operand, the product."""
    a, b = _pair("inner", input, other)
    if not a.ndim or not b.ndim:
        return a * b
    if a._shape[-1] != b._shape[-1]:
        raise ShapeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(a._shape)} and {list(b._shape)}."
        )
    return dot(a, b) if a.ndim == b.ndim == 1 else tensordot(a, b, ([-1], [-1]))


@public(
    methods=("outer", "ger"),
    numpy={"outer": lambda a, b: outer(*(t.reshape(-1) for t in promote("outer", a, b)))},
    samples=lambda make: [sample(make.real(3), make.real(2)), sample(make.real(0), make.real(2))],
    errors=lambda make: [bad(RuntimeError, "Expected 1-D", make.real(2, 2), make.real(2))],
)
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The `(n, m)` products of the elements of two vectors `(n,)` and `(m,)`."""
    for number, v in ((1, input), (2, vec2)):
        if len(v.shape) != 1:
            raise ShapeError(
                f"outer: Expected 1-D argument {number}, but got argument of shape "
                f"{tuple(v.shape)}."
            )
    return input.reshape(-1, 1) * vec2


ger = outer


@public(
    numpy={"tensordot": lambda a, b, axes=2: tensordot(*promote("tensordot", a, b), axes)},
    array_api="tensordot",
    samples=lambda make: [
        sample(make.real(2, 3, 4), make.real(3, 4, 5)),
        sample(make.real(2, 3), make.real(4, 2), dims=([0], [1])),
        sample(make.real(2), make.real(3), dims=0),
        sample(make.real(2, 3), make.real(2, 3), dims=2),
        sample(make.real(2, 3), make.real(1, 4), dims=([0], [0])),
    ],
    errors=lambda make: [
        bad(RuntimeError, "dims >= 0, but got dims=-1", make.real(2), make.real(2), -1),
        bad(RuntimeError, "< ndim_a or ndim_b", make.real(2), make.real(2), 2),
        bad(RuntimeError, "same length", make.real(2), make.real(2), ([0], [0, 0])),
        bad(RuntimeError, "multiple times", make.real(2, 2), make.real(2), ([0, 0], [0, 0])),
        bad(RuntimeError, "first has size 3 in dim 1", make.real(2, 3), make.real(2), ([1], [0])),
        bad(IndexError, "out of range", make.real(2), make.real(2), ([1], [0])),
    ],
    departs={"node": "composite"},
)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sum of products over several dimensions at once.

    Args:
        a: any shape.
        b: any shape, of the same dtype.
        dims: how many, the last of `a` with the first of `b`; or two lists of dimensions, or of
            either a Tensor. A length of 1 broadcasts.

    Raises:
        ShapeError: two lengths differ.
        ArgumentError: there are not so many dimensions, or one is named twice.
        DimensionError: a dimension is out of range.
    """
    a, b = _pair("tensordot", a, b)
    if isinstance(dims, Tensor):
        dims = dims.tolist() if dims.ndim else int(dims.item())
    if isinstance(dims, int):
        if dims < 0:
            raise ArgumentError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise ArgumentError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        dims = range(a.ndim - dims, a.ndim), range(dims)
    left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(left) != len(right):
        raise ArgumentError("tensordot: both dimension lists should have same length")
    of_a = [canonical_dim(d, a.ndim) for d in left]
    of_b = [canonical_dim(d, b.ndim) for d in right]
    for found in (of_a, of_b):
        for d in found:
            if found.count(d) > 1:
                raise ArgumentError(
                    f"tensordot: dim {d} appears multiple times in the list of dims"
                )
    for d, e in zip(of_a, of_b, strict=True):
        n, m = a._shape[d], b._shape[e]
        if n == m:
            continue
        if 1 not in (n, m):
            raise ShapeError(
                f"tensordot: contracted dimensions need to match, but first has size {n} in dim "
                f"{d} and second has size {m} in dim {e}"
            )
        # What has length 1 is the same along it.
        if n == 1:
            b = b.sum(e, keepdim=True, dtype=b.dtype)
        else:
            a = a.sum(d, keepdim=True, dtype=a.dtype)
    free_a = [i for i in range(a.ndim) if i not in of_a]
    free_b = [i for i in range(b.ndim) if i not in of_b]
    inner_size = math.prod(a._shape[i] for i in of_a)
    left_shape, right_shape = [a._shape[i] for i in free_a], [b._shape[i] for i in free_b]
    rows = a.permute(*free_a, *of_a).reshape(math.prod(left_shape), inner_size)
    columns = b.permute(*of_b, *free_b).reshape(inner_size, math.prod(right_shape))
    return (rows @ columns).reshape((*left_shape, *right_shape))


# einsum ----------------------------------------------------------------------------------------


def _einsum_vjp(
    xp: Any, g: Any, out: str, term: str, shape: tuple[int, ...], other: Any, other_term: str
) -> Any:
    """The cotangent of the operand `term`: that of the output contracted with the other operand."""
    there = {*out, *other_term}
    kept = "".join(c for c in term if c in there)
    if other is None:
        d = xp.einsum(f"{out}->{kept}", g)
    else:
        d = xp.einsum(f"{out},{other_term}->{kept}", g, other)
    if kept != term:
        # A letter summed in this operand alone: the same cotangent for all its elements.
        sizes = iter(d.shape)
        d = xp.reshape(d, tuple(next(sizes) if c in there else 1 for c in term))
        d = xp.broadcast_to(
            d, tuple(max(n, m) if n and m else 0 for n, m in zip(d.shape, shape, strict=True))
        )
    return xp.sum_to(d, shape)


_einsum_one = primitive(
    "einsum_one",
    lambda xp, a, term, out: xp.einsum(f"{term}->{out}", a),
    lambda xp, g, a_shape, term, out: _einsum_vjp(xp, g, out, term, a_shape, None, ""),
    graph="EinsumBackward0",
    linear=True,
)
_einsum_two = primitive(
    "einsum_two",
    lambda xp, a, b, term_a, term_b, out: xp.einsum(f"{term_a},{term_b}->{out}", a, b),
    lambda xp, g, b, a_shape, term_a, term_b, out: _einsum_vjp(
        xp, g, out, term_a, a_shape, b, term_b
    ),
    lambda xp, g, a, b_shape, term_a, term_b, out: _einsum_vjp(
        xp, g, out, term_b, b_shape, a, term_a
    ),
    bilinear=True,
    graph="EinsumBackward0",
    multilinear=True,
)

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _from_sublists(args: Sequence[Any]) -> tuple[str, list[Any]]:
    """The equation and the operands of `einsum(a, [0, 1], b, [1, 2], [0, 2])`."""

    def term(numbers: Any) -> str:
        return "".join("..." if n is Ellipsis else _LETTERS[n] for n in numbers)

    pairs = len(args) // 2
    equation = ",".join(term(args[2 * k + 1]) for k in range(pairs))
    if len(args) % 2:
        equation += "->" + term(args[-1])
    return equation, [args[2 * k] for k in range(pairs)]


def _explicit(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The terms and the output of an equation, without ellipses.

    Raises:
        ArgumentError: the equation does not fit the operands.
    """
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ArgumentError(
            "einsum(): the number of operands specified in the equation must match the number of "
            f"operands: {equation!r} names {len(terms)}, and {len(ranks)} were given."
        )
    letters = {c for c in equation if c.isalpha()}
    strange = set(equation) - letters - set(" .,->")
    if strange or any(c not in _LETTERS for c in letters):
        raise ArgumentError(f"einsum(): invalid subscript in {equation!r}: only letters are valid.")
    unused = [c for c in reversed(_LETTERS) if c not in letters]
    widths = [
        rank - (len(term) - 3) for term, rank in zip(terms, ranks, strict=True) if "..." in term
    ]
    hidden = "".join(unused[: max(widths, default=0)])
    full = []
    for number, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
        if "..." in term:
            width = rank - (len(term) - 3)
            named = term.replace("...", hidden[len(hidden) - width :] if width > 0 else "")
        else:
            named = term
        if len(named) != rank or "." in named:
            raise ArgumentError(
                f"einsum(): the number of subscripts in the equation ({len(named)}) does not match "
                f"the number of dimensions ({rank}) for operand {number} and no ellipsis was given "
                f"in {equation!r}."
            )
        full.append(named)
    if arrow:
        out = out.replace("...", hidden)
    else:
        joined = "".join(full)
        once = sorted(c for c in set(joined) if joined.count(c) == 1 and c not in hidden)
        out = hidden + "".join(once)
    if len(set(out)) != len(out) or not set(out) <= set("".join(full)):
        raise ArgumentError(
            f"einsum(): output subscripts in {equation!r} must appear once, and in some operand."
        )
    return full, out


@public(
    numpy={
        "einsum": lambda subscripts, *operands, optimize=False: einsum(
            subscripts, *promote("einsum", *operands)
        )
    },
    samples=lambda make: [
        sample("ij,jk->ik", make.real(2, 3), make.real(3, 4)),
        sample("ij,jk", make.real(2, 3), make.real(3, 4)),
        sample("bij,bjk->bik", make.real(5, 2, 3), make.real(5, 3, 4)),
        sample("...i,...i->...", make.real(4, 2, 3), make.real(2, 3)),
        sample("ij->ji", make.real(2, 3)),
        sample("ij->", make.real(2, 3)),
        sample("ij,k->k", make.real(2, 3), make.real(4)),
        sample("ii->i", make.real(3, 3)),
        sample("ii", make.real(3, 3)),
        sample("i,j,k->ijk", make.real(2), make.real(3), make.real(4)),
        sample("ab,bc,cd->ad", make.real(2, 3), make.real(3, 4), make.real(4, 2)),
        sample("i,i->", make.complex(3), make.complex(3)),
        sample(",i->i", make.real(), make.real(3)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "number of operands", "ij,jk->ik", make.real(2, 3)),
        bad(RuntimeError, "number of subscripts", "ijk->ik", make.real(2, 3)),
        bad(RuntimeError, "output subscripts", "ij->k", make.real(2, 3)),
        bad(RuntimeError, "does not broadcast", "ij,jk->ik", make.real(2, 3), make.real(4, 5)),
    ],
    departs={
        "node": "one node, where PyTorch permutes and calls bmm",
        "saves": "'ii->i' is a view in PyTorch; an operand that is summed first",
        "copies": "contiguous also where PyTorch's diagonal is a view",
        "values": "PyTorch's is int64 where it calls sum, and the operands' dtype elsewhere",
    },
)
def einsum(equation: Any, /, *operands: Any) -> Tensor:
    """Sum of products in Einstein's notation: `einsum("ij,jk->ik", a, b)` is `a @ b`.

    Args:
        equation: letters per operand, with `...` for any further dimensions, and after `->` those
            of the output (default: the letters that stand once, sorted).
        operands: Tensors, or one sequence of them. The form `einsum(a, [0, 1], b, [1, 2], [0, 2])`
            is taken too.

    Raises:
        ArgumentError: the equation is malformed or does not fit the operands.
        ShapeError: a letter has two lengths.
    """
    if not isinstance(equation, str):
        equation, operands = _from_sublists((equation, *operands))  # type: ignore[assignment]
    elif len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    given = [operand("einsum", v, i) for i, v in enumerate(operands)]
    tensors: list[Tensor] = list(given)
    for t in tensors[1:]:
        _pair("einsum", tensors[0], t)
    terms, out = _explicit(equation, [t.ndim for t in tensors])
    _check_sizes(equation, terms, tensors)
    for number in range(len(terms)):
        _split_diagonal(number, terms, tensors)
    shapes = tuple([t._shape for t in tensors])
    pairs = [(0, 1)] * (len(terms) - 1)
    if len(terms) > 2:
        pairs = _path(tuple(terms), out, shapes)
    for pair in pairs:
        second, first = (tensors.pop(k) for k in sorted(pair, reverse=True))
        of_second, of_first = (terms.pop(k) for k in sorted(pair, reverse=True))
        later = {*out}.union(*terms)
        kept = "".join(c for c in dict.fromkeys(of_first + of_second) if c in later)
        if not terms:
            kept = out
        tensors.append(_einsum_two(first, second, of_first, of_second, kept))
        terms.append(kept)
    if terms[0] == out:
        return tensors[0] if len(given) > 1 else tensors[0].view(tensors[0].shape)
    y = _einsum_one(tensors[0], terms[0], out)
    # Without sums it is a transposition or a diagonal.
    return as_view(y, tensors[0], lambda x, term: _einsum_one(x, term, out), terms[0])


@functools.lru_cache(maxsize=256)
def _path(
    terms: tuple[str, ...], out: str, shapes: tuple[tuple[int, ...], ...]
) -> list[tuple[int, int]]:
    """Which two operands to contract in each step; the product goes to the end of the list."""
    equation = f"{','.join(terms)}->{out}"
    operands = [np.broadcast_to(0.0, shape) for shape in shapes]
    found, _ = np.einsum_path(equation, *operands, optimize=len(terms) > 4 or "optimal")
    pairs: list[tuple[int, int]] = []
    left = len(terms)
    for step in found[1:]:
        if len(step) < 2:
            continue
        first, second, *others = sorted(step)
        pairs.append((first, second))
        left -= 1
        for gone, k in enumerate(others, 2):  # NumPy contracts these at once
            pairs.append((k - gone, left - 1))
            left -= 1
    return pairs


def _check_sizes(equation: str, terms: Sequence[str], tensors: Sequence[Tensor]) -> None:
    sizes: dict[str, int] = {}
    for number, (term, t) in enumerate(zip(terms, tensors, strict=True)):
        for c, n in zip(term, t._shape, strict=True):
            seen = sizes.get(c, 1)
            if n != seen and n != 1 and seen != 1:
                raise ShapeError(
                    f"einsum(): subscript {c} in {equation!r} has size {n} for operand {number} "
                    f"which does not broadcast with previously seen size {seen}."
                )
            sizes[c] = n if seen == 1 else seen


def _split_diagonal(number: int, terms: list[str], tensors: list[Tensor]) -> None:
    """Rewrite an operand `ii` as `ij` times the identity `ij`, so that each letter stands once."""
    term = terms[number]
    for at, c in enumerate(term):
        if c in term[:at]:
            fresh = next(x for x in _LETTERS if all(x not in t for t in terms))
            terms[number] = term = term[:at] + fresh + term[at + 1 :]
            t = tensors[number]
            terms.append(c + fresh)
            tensors.append(eye(t._shape[at], dtype=t.dtype, device=t.device))


@public(
    path="nn.functional.bilinear",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2, 2), make.real(4, 3, 2), make.real(4)),
        sample(make.real(3), make.real(2), make.real(1, 3, 2)),
        sample(make.real(2, 2, 3), make.real(2, 2, 2), make.real(2, 3, 2), make.real(2)),
        sample(make.real(0, 3), make.real(0, 2), make.real(2, 3, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "at dim 0: got 2", make.real(2, 3), make.real(3, 2), make.real(4, 3, 2)),
        bad(RuntimeError, "input2 size", make.real(2, 3), make.real(2, 3), make.real(4, 3, 2)),
        bad(RuntimeError, "input1 size", make.real(2, 2), make.real(2, 2), make.real(4, 3, 2)),
        bad(RuntimeError, "got 2 and 1", make.real(2, 3), make.real(2), make.real(4, 3, 2)),
        bad(
            RuntimeError,
            "bias size does not match weight size: got 3 but expected 4",
            *(make.real(2, 3), make.real(2, 2), make.real(4, 3, 2), make.real(3)),
        ),
    ],
    departs={"node": "composite"},
)
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x1 @ weight[k] @ x2 + bias[k]` for each k.

    Args:
        input1: `(*, n)`.
        input2: `(*, m)`.
        weight: `(k, n, m)`.
        bias: `(k,)`.

    Returns:
        `(*, k)`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
    """
    if input1.ndim != input2.ndim:
        raise ShapeError(
            f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}"
        )
    for d, (n, m) in enumerate(zip(input1._shape[:-1], input2._shape[:-1], strict=True)):
        if n != m:
            raise ShapeError(
                f"bilinear(): input batch dimensions do not match at dim {d}: got {n} and {m}"
            )
    for number, t in ((1, input1), (2, input2)):
        if weight.ndim != 3 or t._shape[-1] != weight._shape[number]:
            raise ShapeError(
                f"bilinear(): input{number} size does not match weight size: got {t._shape[-1]} "
                f"but expected {weight._shape[number]}"
            )
    if bias is not None and bias._shape != weight._shape[:1]:
        raise ShapeError(
            f"bilinear(): bias size does not match weight size: got {bias._shape[0]} but expected "
            f"{weight._shape[0]}"
        )
    y = einsum("...i,kij,...j->...k", input1, weight, input2)
    return y if bias is None else y + bias
