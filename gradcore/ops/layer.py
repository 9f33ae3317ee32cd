"""What layers of a network compute: affine maps, look-ups, attention."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any, Final

import numpy as np

from .. import dtypes
from ..batching.array import bottom
from ..device import Array
from ..errors import ArgumentError, ArgumentTypeError, DimensionError, DTypeError, ShapeError
from ..mode import checked_indices, no_grad
from ..op import common_device, operand, primitive, public, recorded
from ..samples import bad, sample
from ..tensor import Tensor, wrap
from .activation import softmax
from .dropout import dropout
from .product import matmul

__all__: list[str] = []


def tensor_argument(name: str, argument: str, position: int, value: Any) -> Tensor:
    """`value` as a Tensor.

    Raises:
        ArgumentTypeError: it is no Tensor and no array.
    """
    x = operand(name, value, position - 1)
    if not isinstance(x, Tensor):
        raise ArgumentTypeError(
            f"{name}(): argument {argument!r} (position {position}) must be Tensor, "
            f"not {type(x).__qualname__}."
        )
    return x


def beyond(index: Array, n: int) -> bool:
    """True if an element of `index`, integers, is not in [0, n). Waits for the device."""
    index = bottom(index)
    # As unsigned numbers the negative ones are the largest: one pass sees both ends.
    if not index.size:
        return False
    if index.dtype.kind == "i":
        index = index.view(_UNSIGNED[index.dtype.itemsize])
    if index.__class__ is np.ndarray:
        return bool(_largest(index, None) >= n)
    with index.device:
        return bool(index.max() >= n)


_largest: Final = np.maximum.reduce
_UNSIGNED: Final = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


# linear -----------------------------------------------------------------------------------------


def _affine(xp: Any, bias: Any, x: Any, weight: Any) -> Any:
    y = xp.matmul(x, weight.T)
    y += bias
    return y


def _affine_jvp(xp: Any, x: Any, weight: Any, t_bias: Any, t_x: Any, t_weight: Any) -> Any:
    parts = [] if t_bias is None else [t_bias]
    if t_x is not None:
        parts.append(xp.matmul(t_x, xp.matrix_transpose(weight)))
    if t_weight is not None:
        parts.append(xp.matmul(x, xp.matrix_transpose(t_weight)))
    return functools.reduce(operator.add, parts)


_addmm = primitive(
    "linear",
    _affine,
    lambda xp, g, bias_shape: xp.sum_to(g, bias_shape),
    lambda xp, g, weight: xp.matmul(g, weight),
    lambda xp, g, x: xp.matmul(xp.matrix_transpose(g), x),
    bilinear=True,
    jvp=_affine_jvp,
    graph="AddmmBackward0",
)


@public(
    path="nn.functional.linear",
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3), make.real(4, 3), make.real(4)),
        sample(make.real(2, 3), make.real(4, 3)),
        sample(make.real(5, 2, 3), make.real(4, 3), make.real(4)),
        sample(make.real(5, 2, 3), make.real(4, 3)),
        sample(make.real(3), make.real(4, 3), make.real(4)),
        sample(make.real(3), make.real(4, 3)),
        sample(make.real(2, 3), make.real(3)),
        sample(make.real(3), make.real(3)),
        sample(make.real(0, 3), make.real(4, 3), make.real(4)),
        sample(make.real(2, 0), make.real(4, 0), make.real(4)),
        sample(make.real(2, 3), make.real(4, 3), make.real(1)),
        sample(make.real(2, 3), make.real(4, 3), make.real(2, 4)),
        sample(make.complex(2, 3), make.complex(4, 3), make.complex(4)),
    ],
    errors=lambda make: [
        bad(
            RuntimeError,
            r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 5x4\)",
            make.real(2, 3),
            make.real(4, 5),
            make.real(4),
        ),
        bad(RuntimeError, "same dtype", make.real(2, 3), make.integers(0, 3, 4, 3)),
        bad(RuntimeError, "existing size", make.real(2, 3), make.real(4, 3), make.real(5)),
        bad(RuntimeError, "at least 1D", make.real(), make.real(4, 3)),
        bad(RuntimeError, "2 dimensions", make.real(2, 3), make.real(1, 4, 3)),
        bad(TypeError, "must be a Tensor", [1.0], make.real(4, 1)),
    ],
    departs={
        "node": "one node more or less",
        "accepts: bool": "the sum of a bool product stays bool",
    },
)
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Affine map x W^T + b.

    Args:
        input: `(*, in)`.
        weight: `(out, in)`, or `(in,)`; of the dtype of `input`.
        bias: `(out,)`, or a shape that broadcasts to the result's; of the same dtype.

    Returns:
        `(*, out)`; `(*)` if `weight` is `(in,)`.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
    """
    if bias.__class__ is Tensor and input.__class__ is Tensor and weight.__class__ is Tensor:
        kind = input._type
        rows, inner = input._shape, weight._shape
        if (
            weight._type is kind
            and bias._type is kind
            and len(rows) == 2
            and len(inner) == 2
            and rows[1] == inner[1]
            and bias._shape == inner[:1]
        ):
            return _addmm(bias, input, weight)
    return _linear(input, weight, bias)


def _linear(input: Any, weight: Any, bias: Any) -> Tensor:
    x = tensor_argument("linear", "input", 1, input)
    w = tensor_argument("linear", "weight", 2, weight)
    b = None if bias is None else tensor_argument("linear", "bias", 3, bias)
    given = [t for t in (x, w, b) if t is not None]
    common_device("linear", given)
    if not x._shape or not w._shape:
        raise ShapeError(
            "linear: both arguments to linear need to be at least 1D, but they are "
            f"{x.ndim}D and {w.ndim}D."
        )
    if w.ndim > 2:
        raise ShapeError(
            f"linear: t() expects a tensor with <= 2 dimensions, but weight is {w.ndim}D; "
            "expected weight (out, in)."
        )
    if any(t._type.dtype is not x._type.dtype for t in given):
        raise DTypeError(
            "linear: expected input, weight and bias to have the same dtype, but got "
            f"{', '.join(str(t.dtype) for t in given)}; cast with .to(dtype)."
        )
    n = x._shape[-1]
    rows = math.prod(x._shape[:-1])
    if n != w._shape[-1]:
        # What PyTorch says: the second operand is the weight transposed.
        transposed = f"{w._shape[-1]}x{w._shape[0]}" if w.ndim == 2 else f"{w._shape[0]}"
        raise ShapeError(
            f"linear: mat1 and mat2 shapes cannot be multiplied ({rows}x{n} and {transposed}): "
            f"input is {x._shape} and weight {w._shape}, expected (*, in) and (out, in)."
        )
    if w.ndim == 1:
        y = matmul(x, w)
        return y if b is None else y + b
    shape = (*x._shape[:-1], w._shape[0])
    if b is not None:
        _check_bias(b._shape, shape)
        if x.ndim == 2:
            return _addmm(b, x, w)
        if b._shape == shape[-1:]:
            return _addmm(b, x.reshape((rows, n)), w).reshape(shape)
    if x.ndim == 2:
        y = matmul(x, w.mT)
    else:
        y = matmul(x.reshape((rows, n)), w.mT).reshape(shape)
    return y if b is None else y + b


def _check_bias(bias: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if len(bias) > len(shape) or any(
        n not in (1, m) for n, m in zip(bias[::-1], shape[::-1], strict=False)
    ):
        at = next(
            (
                len(shape) - back
                for back in range(1, min(len(bias), len(shape)) + 1)
                if bias[-back] not in (1, shape[-back])
            ),
            0,
        )
        back = len(shape) - at
        raise ShapeError(
            f"linear: The expanded size of the tensor ({shape[at]}) must match the existing size "
            f"({bias[-back] if back <= len(bias) else bias[0]}) at non-singleton dimension {at}. "
            f"Target sizes: {list(shape)}. Tensor sizes: {list(bias)}."
        )


# embedding --------------------------------------------------------------------------------------


def _embedding_rule(
    xp: Any, g: Any, weight_shape: Any, index: Any, padding: int | None, scale: bool
) -> Any:
    n, column = weight_shape[0], (*index.shape, 1)
    if scale:
        counts = xp.put(xp.astype(xp.equal(index, index), np.int64), (index,), (n,))
        g = g / xp.reshape(xp.astype(xp.getitem(counts, (index,)), g.dtype), column)
    if padding is not None:
        g = xp.where(xp.reshape(xp.equal(index, padding % n), column), 0.0, g)
    return xp.put(g, (index,), weight_shape)


# `index` is a raw array.
_embedding = primitive(
    "embedding",
    lambda xp, weight, index, padding, scale: weight.take(index, axis=0),
    lambda xp, g, weight_shape, index, padding, scale: _embedding_rule(
        xp, g, weight_shape, index, padding, scale
    ),
    holds_arrays=True,
    linear=True,
)


@public(
    path="nn.functional.embedding",
    kind="primitive",
    samples=lambda make: [
        sample(make.integers(0, 5, 4), make.real(5, 3)),
        sample(make.integers(0, 5, 2, 4), make.real(5, 3)),
        sample(make.integers(0, 5), make.real(5, 3)),
        sample(make.integers(0, 5, 0), make.real(5, 3)),
        # Not the padding row itself, nor a row twice: there the gradient is no derivative.
        sample(make.integers(2, 5, 2, 6), make.real(5, 3), 1),
        sample(make.integers(1, 5, 6), make.real(5, 3), padding_idx=-5),
        sample(np.array([3, 0, 4]), make.real(5, 3), scale_grad_by_freq=True),
    ],
    errors=lambda make: [
        bad(IndexError, "index out of range in self", make.integers(5, 6, 2), make.real(5, 3)),
        bad(IndexError, "index out of range in self", make.integers(-1, 0, 2), make.real(5, 3)),
        bad(RuntimeError, "Long, Int", make.real(2), make.real(5, 3)),
        bad(RuntimeError, "must be 2-D", make.integers(0, 5, 2), make.real(5)),
        bad(ValueError, "Padding_idx must be", make.integers(0, 5, 2), make.real(5, 3), 5),
    ],
    departs={"derivative: 3": "PyTorch's double backward fails for no indices"},
)
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of `weight`, looked up by number.

    Args:
        input: `(*)`, int64 or int32, in [0, n). On CUDA that is checked only under
            `gradcore.debug.check_indices`; else numbers wrap around.
        weight: `(n, size)`.
        padding_idx: a row that gets no gradient; counted from the end if negative.
        max_norm: rows that are looked up and longer are shortened to it, in place.
        norm_type: the exponent of the norm for that.
        scale_grad_by_freq: divide a row's gradient by how often it was looked up.
        sparse: must be False.

    Returns:
        `(*, size)`.

    Raises:
        DimensionError: a number is out of range.
        DTypeError: `input` is not int64 or int32.
        ShapeError: `weight` has not two dimensions.
        ArgumentError: there is no row `padding_idx`.
    """
    rows = tensor_argument("embedding", "input", 1, input)
    w = tensor_argument("embedding", "weight", 2, weight)
    if len(w._shape) != 2:
        raise ShapeError(f"embedding: 'weight' must be 2-D, (n, size), and it is {w._shape}.")
    if rows._type.dtype not in _INDICES:
        raise DTypeError(
            "embedding: Expected tensor for argument #1 'indices' to have one of the following "
            f"scalar types: Long, Int; but got {rows.dtype} instead."
        )
    if sparse:
        raise NotImplementedError("embedding: sparse gradients are not implemented.")
    common_device("embedding", (rows, w))
    n = w._shape[0]
    if padding_idx is not None and not -n <= padding_idx < n:
        raise ArgumentError(
            f"embedding: Padding_idx must be within num_embeddings: in [{-n}, {n - 1}], "
            f"and it is {padding_idx}."
        )
    index = rows._array
    seen = bottom(index)
    if (not rows.is_cuda or checked_indices.get()) and beyond(seen, n):
        raise DimensionError(
            f"embedding: index out of range in self: weight has {n} rows, and input goes from "
            f"{seen.min()} to {seen.max()}."
        )
    if max_norm is not None:
        _shorten(w, rows, max_norm, norm_type)
    return _embedding(w, index, padding_idx, scale_grad_by_freq)


def _shorten(weight: Tensor, rows: Tensor, max_norm: float, norm_type: float) -> None:
    """Bring the rows that are looked up to this norm at most."""
    with no_grad():
        found = weight[rows]
        size = found.norm(norm_type, -1, True)
        # PyTorch adds 1e-7 as well.
        factor = recorded.where(size > max_norm, max_norm / (size + 1e-7), 1.0)
        weight[rows] = found * factor


_INDICES: Final = frozenset({dtypes.int64, dtypes.int32})


@public(
    path="nn.functional.one_hot",
    differentiable=False,
    samples=lambda make: [
        sample(make.integers(0, 4, 3), 4),
        sample(make.integers(0, 4, 2, 3), 5),
        sample(make.integers(0, 4), 4),
        sample(make.integers(0, 4, 0), 4),
        sample(make.integers(2, 4, 5)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "only applicable to index tensor", make.real(2)),
        bad(RuntimeError, "must be non-negative", make.integers(-2, 0, 2)),
        bad(RuntimeError, "smaller than num_classes", make.integers(3, 4, 2), 2),
        bad(RuntimeError, "Can not infer total number", make.integers(0, 1, 0)),
    ],
    waits=True,
    batched=False,
)
def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """For each class number a row with a 1 at that place.

    Args:
        input: `(*)`, int64.
        num_classes: the length of a row; -1 takes the largest number plus one.

    Returns:
        `(*, num_classes)`, int64.

    Raises:
        DTypeError: `input` is not int64.
        ArgumentError: a number is negative or too large; `num_classes` cannot be told.
    """
    t = tensor_argument("one_hot", "self", 1, input)
    if t._type.dtype is not dtypes.int64:
        raise DTypeError(
            "one_hot is only applicable to index tensor of type LongTensor (int64), "
            f"and this is {t.dtype}."
        )
    if not t._array.size and num_classes <= 0:
        raise ArgumentError(
            "one_hot: Can not infer total number of classes from empty tensor; give num_classes."
        )
    device = t._type.device
    rows = device.backend.on(device, lambda module: _one_hot(module, t._array, num_classes))
    return wrap(rows)


def _one_hot(module: Any, index: Array, num_classes: int) -> Array:
    if index.size:
        # The number of classes must be known without values, or be the same for all samples.
        seen = index if num_classes == -1 else bottom(index)
        if int(seen.min()) < 0:
            raise ArgumentError("one_hot: Class values must be non-negative.")
        top = int(seen.max())
        if num_classes == -1:
            num_classes = top + 1
        elif top >= num_classes:
            raise ArgumentError(
                "one_hot: Class values must be smaller than num_classes, and there is a "
                f"{top} with num_classes={num_classes}."
            )
    rows: Array = index[..., None] == module.arange(num_classes)
    return rows.astype(np.int64)


# attention --------------------------------------------------------------------------------------


@public(
    path="nn.functional.scaled_dot_product_attention",
    samples=lambda make: [
        sample(make.real(2, 3, 4), make.real(2, 5, 4), make.real(2, 5, 6)),
        sample(make.real(3, 4), make.real(5, 4), make.real(5, 6), is_causal=True),
        sample(make.real(2, 3, 4), make.real(2, 5, 4), make.real(2, 5, 6), make.real(3, 5)),
        sample(make.real(3, 4), make.real(5, 4), make.real(5, 2), make.integers(1, 2, 3, 5) > 0),
        sample(make.real(3, 4), make.real(5, 4), make.real(5, 2), scale=0.3),
        sample(make.real(4, 2, 3), make.real(2, 3, 3), make.real(1, 3, 2), enable_gqa=True),
    ],
    errors=lambda make: [
        bad(
            RuntimeError,
            "is_causal",
            make.real(3, 4),
            make.real(3, 4),
            make.real(3, 4),
            make.real(3, 3),
            is_causal=True,
        ),
        bad(RuntimeError, "at least 2", *[make.real(3)] * 3),
        bad(RuntimeError, "same dtype", *[make.real(2, 3)] * 2, make.integers(0, 2, 2, 3)),
        bad(RuntimeError, "attn_mask dtype", *[make.real(1, 3)] * 3, make.integers(0, 2, 1, 1)),
        bad(
            RuntimeError,
            "must divide",
            make.real(3, 1, 2),
            *[make.real(2, 1, 2)] * 2,
            enable_gqa=True,
        ),
        bad(IndexError, "out of range", *[make.real(1, 2)] * 3, enable_gqa=True),
    ],
    departs={"node": "composite", "saves": "the keys, which PyTorch has scaled"},
)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(Q K^T / sqrt(e) + mask) V.

    Args:
        query: `(*, l, e)`.
        key: `(*, s, e)`.
        value: `(*, s, v)`.
        attn_mask: broadcasts to `(*, l, s)`: bool, True where to look, or numbers that are added.
        dropout_p: the probability with which a weight is set to 0.
        is_causal: row i looks at the columns up to i; excludes `attn_mask`.
        scale: instead of 1 / sqrt(e).
        enable_gqa: whether `key` and `value` have fewer heads, their third dimension from the end,
            each of which serves consecutive heads of `query`.

    Returns:
        `(*, l, v)`. A row that may look nowhere is 0.

    Raises:
        ArgumentError: both `attn_mask` and `is_causal` are given; `dropout_p` is no probability.
        ShapeError: there are less than two dimensions; the heads are no multiple of one another.
        DTypeError: the dtypes differ, or the mask has another.
        DimensionError: there are no heads.
    """
    if is_causal and attn_mask is not None:
        raise ArgumentError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True."
        )
    q = tensor_argument("scaled_dot_product_attention", "query", 1, query)
    k = tensor_argument("scaled_dot_product_attention", "key", 2, key)
    value = tensor_argument("scaled_dot_product_attention", "value", 3, value)
    _check_attention(q, k, value, attn_mask)
    if enable_gqa:
        k, value = _served(q, k), _served(q, value)
    if scale is None:
        scale = 1.0 / math.sqrt(q._shape[-1]) if q._shape[-1] else 1.0
    device = q._type.device
    with device.backend.at(device):
        scores = matmul(q * scale, k.mT)
        kind = scores._type
        module = kind.device.backend.module
        blind: Any = None
        if is_causal:
            mask = wrap(module.tri(*scores._shape[-2:], dtype=np.bool_))
            scores = recorded.where(mask, scores, -math.inf)
        elif attn_mask is not None:
            mask = tensor_argument("scaled_dot_product_attention", "attn_mask", 4, attn_mask)
            if mask._type.dtype is dtypes.bool_:
                # All of a row -inf would be nan: it is made equal here, and 0 after softmax.
                blind = ~mask._array.any(axis=-1, keepdims=True)
                scores = recorded.where(wrap(mask._array | blind), scores, -math.inf)
            else:
                scores = scores + mask
        weights = softmax(scores, -1)
        if blind is not None:
            weights = weights * wrap((~blind).astype(kind.numpy))
        if dropout_p:
            weights = dropout(weights, dropout_p)
        return matmul(weights, value)


def _check_attention(query: Tensor, key: Tensor, value: Tensor, mask: Any) -> None:
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(
            "scaled_dot_product_attention: Expected query, key, and value to all be  at least 2 "
            f"dimensional, but got query.dim: {query.ndim} key.dim: {key.ndim} and value.dim: "
            f"{value.ndim} instead."
        )
    dtype = query._type.dtype
    if key._type.dtype is not dtype or value._type.dtype is not dtype:
        raise DTypeError(
            "scaled_dot_product_attention: Expected query, key, and value to have the same dtype, "
            f"but got query.dtype: {query.dtype} key.dtype: {key.dtype} and value.dtype: "
            f"{value.dtype} instead."
        )
    if isinstance(mask, Tensor) and mask._type.dtype not in (dtype, dtypes.bool_, dtypes.float32):
        raise DTypeError(
            "scaled_dot_product_attention: Expected attn_mask dtype to be bool or float or to "
            f"match query dtype, but got attn_mask.dtype: {mask.dtype} and query.dtype: "
            f"{query.dtype} instead."
        )


def _served(query: Tensor, x: Tensor) -> Tensor:
    """Keys or values with each head as often as heads of `query` look at it."""
    if min(query.ndim, x.ndim) < 3:
        raise DimensionError(
            f"scaled_dot_product_attention: Dimension out of range (expected to be in range of "
            f"[{-query.ndim}, {query.ndim - 1}], but got -3): enable_gqa needs heads."
        )
    heads, own = query._shape[-3], x._shape[-3]
    if heads % own:
        raise ShapeError(
            "scaled_dot_product_attention: Number of heads in key and value must divide the number "
            f"of heads in query, and they are {own} and {heads}."
        )
    if heads == own:
        return x
    *lead, length, size = x._shape
    wide = x.unsqueeze(-3).expand(*lead, heads // own, length, size)
    return wide.reshape((*lead[:-1], heads, length, size))
