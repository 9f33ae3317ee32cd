"""Products added to what is there: `beta * input + alpha * (a @ b)`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..op import promote, public, recorded
from ..samples import bad, sample
from ..tensor import Tensor
from .product import NO_OUT_DTYPE, bmm, matmul, mm, mv, outer, sum_of_none

__all__ = ["addbmm", "addmm", "addmv", "addr", "baddbmm"]


def _of_one_dtype(name: str, *operands: Tensor) -> None:
    """Check that no operand would have to be promoted.

    Raises:
        DTypeError: the dtypes differ.
    """
    dtypes = [t._type.dtype for t in operands]
    if any(d is not dtypes[0] for d in dtypes):
        listed = ", ".join([d.label for d in dtypes[:-1]])
        raise DTypeError(
            f"{name}: input tensors must have the same dtype, but got {listed}, and "
            f"{dtypes[-1].label}. Cast them with .to(dtype)."
        )


def _sum(name: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """`beta * input + alpha * product`, of the shape and dtype of `product`.

    Raises:
        ShapeError: `input` does not broadcast to that shape.
    """
    own, shape = input._shape, product._shape
    padded = (1,) * (len(shape) - len(own)) + own
    for d, (n, m) in enumerate(zip(padded, shape, strict=False)):
        if len(own) > len(shape) or n not in (1, m):
            raise ShapeError(
                f"{name}: The expanded size of the tensor ({m}) must match the existing size ({n}) "
                f"at non-singleton dimension {d}.  Target sizes: {list(shape)}.  "
                f"Tensor sizes: {list(own)}"
            )
    if not product._type.recordable:  # PyTorch truncates the factors
        beta, alpha = int(beta), int(alpha)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        # Where it is nan or infinite too, which a product with 0 would not make 0.
        return product + sum_of_none(input)
    return (input if beta == 1 else input * beta) + product


@public(
    in_place=True,
    methods=("addmm",),
    samples=lambda make: [
        sample(make.real(4), make.real(2, 3), make.real(3, 4)),
        sample(make.real(2, 4), make.real(2, 3), make.real(3, 4), beta=0.5, alpha=2.0),
        sample(make.real(2, 1), make.real(2, 3), make.real(3, 4), beta=0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "cannot be multiplied", make.real(2), make.real(2, 3), make.real(2, 3)),
        bad(
            RuntimeError,
            r"existing size \(4\) at non-singleton dimension 1",
            *(make.real(4), make.real(2, 3), make.real(3, 2)),
        ),
        bad(RuntimeError, "must be a matrix", make.real(2), make.real(2, 3), make.real(3)),
        bad(RuntimeError, "same dtype", make.real(2), make.real(2, 3), make.complex(3, 2)),
    ],
    departs={"node": "composite", "signature": NO_OUT_DTYPE},
)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (mat1 @ mat2)`.

    Args:
        input: broadcasts to `(n, m)`; where `beta` is 0 its values do not matter, even nan.
        mat1: `(n, k)`.
        mat2: `(k, m)`.
        beta: a number.
        alpha: a number.

    Returns:
        `(n, m)`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
    """
    _of_one_dtype("addmm", input, mat1, mat2)
    return _sum("addmm", input, mm(mat1, mat2), beta, alpha)


@public(
    in_place=True,
    methods=("addmv",),
    samples=lambda make: [
        sample(make.real(2), make.real(2, 3), make.real(3)),
        sample(make.real(), make.real(2, 3), make.real(3), beta=0.5, alpha=2.0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "size mismatch, got", make.real(2), make.real(2, 3), make.real(2)),
        bad(RuntimeError, r"vector \+ matrix @", make.real(2), make.real(2, 3), make.real(3, 1)),
        bad(RuntimeError, "same dtype", make.real(2), make.real(2, 3), make.complex(3)),
    ],
    departs={"node": "composite"},
)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (mat @ vec)`.

    Args:
        input: `(n,)`, or one element; where `beta` is 0 its values do not matter, even nan.
        mat: `(n, k)`.
        vec: `(k,)`.
        beta: a number.
        alpha: a number.

    Returns:
        `(n,)`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
    """
    if len(mat._shape) != 2 or len(vec._shape) != 1 or len(input._shape) > 1:
        raise ShapeError(
            f"addmv: vector + matrix @ vector expected, got {input.ndim}, {mat.ndim}, {vec.ndim}"
        )
    n, k = mat._shape
    if vec._shape[0] != k or input._shape not in ((), (1,), (n,)):
        own = input._shape[0] if input._shape else 1
        raise ShapeError(
            f"addmv: size mismatch, got input ({own}), mat ({n}x{k}), vec ({vec._shape[0]})"
        )
    _of_one_dtype("addmv", input, mat, vec)
    return _sum("addmv", input, mv(mat, vec), beta, alpha)


@public(
    in_place=True,
    methods=("addr",),
    samples=lambda make: [
        sample(make.real(2, 3), make.real(2), make.real(3)),
        sample(make.real(3), make.real(2), make.real(3), beta=0.5, alpha=2.0),
        sample(make.real(2, 3), make.real(2), make.real(3), beta=0),
    ],
    errors=lambda make: [
        bad(RuntimeError, "Expected 1-D", make.real(2), make.real(2, 3), make.real(3)),
        bad(RuntimeError, "expanded size", make.real(2, 3), make.real(2), make.real(2)),
        bad(
            RuntimeError,
            "argument beta must not be a floating point number",
            *(make.integers(0, 5, 3), make.integers(0, 5, 3), make.integers(0, 5, 3)),
            beta=0.5,
        ),
    ],
    departs={"node": "composite"},
)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * outer(vec1, vec2)`, with promotion.

    Args:
        input: broadcasts to `(n, m)`; where `beta` is 0 its values do not matter, even nan.
        vec1: `(n,)`.
        vec2: `(m,)`.
        beta: a number; an integer if all operands are.
        alpha: likewise.

    Returns:
        `(n, m)`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: a factor of integers is none.
    """
    a, u, v = promote("addr", input, vec1, vec2)
    for name, number in (("beta", beta), ("alpha", alpha)):
        if not a._type.recordable and not isinstance(number, int | np.integer):
            raise DTypeError(
                f"addr: For integral input tensors, argument {name} must not be a floating point "
                "number."
            )
    if a._type.dtype.label == "Bool":
        product = outer(u, v) if alpha else recorded.zeros_like(outer(u, v))
        return _sum("addr", a, product, bool(beta), 1)
    return _sum("addr", a, outer(u, v), beta, alpha)


def _check_batches(name: str, batch1: Tensor, batch2: Tensor) -> None:
    for number, t in ((1, batch1), (2, batch2)):
        if len(t._shape) != 3:
            raise ShapeError(f"{name}: batch{number} must be a 3D tensor, but it is {t.ndim}D.")
    if batch1._shape[0] != batch2._shape[0]:
        raise ShapeError(
            f"{name}: batch1 and batch2 must have same number of batches, "
            f"got {batch1._shape[0]} and {batch2._shape[0]}"
        )


@public(
    in_place=True,
    methods=("baddbmm",),
    samples=lambda make: [
        sample(make.real(2, 2, 4), make.real(2, 2, 3), make.real(2, 3, 4)),
        sample(make.real(4), make.real(2, 1, 3), make.real(2, 3, 4), beta=0.5, alpha=2.0),
        sample(make.real(4), make.real(0, 1, 3), make.real(0, 3, 4)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must be a 3D tensor", make.real(2), make.real(2, 3), make.real(2, 3, 2)),
        bad(RuntimeError, "first two", make.real(2), make.real(2, 2, 3), make.real(2, 2, 3)),
        bad(RuntimeError, "expanded size", make.real(5), make.real(2, 2, 3), make.real(2, 3, 2)),
        bad(RuntimeError, "same dtype", make.complex(2), make.real(2, 2, 3), make.real(2, 3, 2)),
    ],
    departs={"node": "composite", "signature": NO_OUT_DTYPE},
)
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """`beta * input + alpha * (batch1 @ batch2)`, matrix by matrix.

    Args:
        input: broadcasts to `(b, n, m)`; where `beta` is 0 its values do not matter, even nan.
        batch1: `(b, n, k)`.
        batch2: `(b, k, m)`.
        beta: a number.
        alpha: a number.

    Returns:
        `(b, n, m)`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
    """
    _of_one_dtype("baddbmm", input, batch1, batch2)
    return _sum("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@public(
    in_place=True,
    methods=("addbmm",),
    samples=lambda make: [
        sample(make.real(2, 4), make.real(2, 2, 3), make.real(2, 3, 4)),
        sample(make.real(1, 4), make.real(2, 1, 3), make.real(2, 3, 4), beta=0.5, alpha=2.0),
        sample(make.real(1, 4), make.real(0, 1, 3), make.real(0, 3, 4)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "must be a 3D tensor", make.real(2), make.real(2, 3), make.real(2, 3, 2)),
        bad(
            RuntimeError, "number of batches", make.real(2), make.real(2, 2, 3), make.real(1, 3, 2)
        ),
        bad(RuntimeError, "cannot be mul", make.real(2), make.real(2, 2, 3), make.real(2, 2, 3)),
        bad(RuntimeError, "expanded size", make.real(5), make.real(2, 2, 3), make.real(2, 3, 2)),
    ],
    departs={"node": "composite"},
)
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """`beta * input + alpha * (batch1 @ batch2).sum(0)`, as one product of matrices.

    Args:
        input: broadcasts to `(n, m)`; where `beta` is 0 its values do not matter, even nan.
        batch1: `(b, n, k)`.
        batch2: `(b, k, m)`.
        beta: a number.
        alpha: a number.

    Returns:
        `(n, m)`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
    """
    _of_one_dtype("addbmm", input, batch1, batch2)
    _check_batches("addbmm", batch1, batch2)
    b, n, k = batch1._shape
    if k != batch2._shape[1]:
        raise ShapeError(
            f"addbmm: Incompatible matrix sizes for bmm: batches of {n}x{k} and "
            f"{batch2._shape[1]}x{batch2._shape[2]} matrices cannot be multiplied"
        )
    rows = batch1.permute(1, 0, 2).reshape(n, b * k)
    columns = batch2.reshape(b * k, batch2._shape[2])
    return _sum("addbmm", input, matmul(rows, columns), beta, alpha)
