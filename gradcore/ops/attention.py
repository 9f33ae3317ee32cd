"""Attention of several heads, with the projections before and after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import public, recorded
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor
from .activation import softmax
from .dropout import dropout
from .layer import linear, scaled_dot_product_attention
from .padding import pad
from .product import matmul
from .shape import cat

__all__: list[str] = []

_NAME = "multi_head_attention_forward"


def _samples(make: Maker) -> list[Sample]:
    def weights(e: int) -> tuple[Any, ...]:
        return make.real(3 * e, e), make.real(3 * e)

    def projection(e: int) -> tuple[Any, ...]:
        return make.real(e, e), make.real(e)

    def qkv(*lead: int) -> tuple[Any, ...]:
        return make.real(2, *lead, 4), make.real(3, *lead, 4), make.real(3, *lead, 4)

    none = (None, None, False, 0.0)
    mask = np.array([[True, False, False], [False, False, True]])
    return [
        sample(*qkv(2), 4, 2, *weights(4), *none, *projection(4)),
        sample(*qkv(), 4, 1, *weights(4), *none, *projection(4), need_weights=False),
        sample(
            *qkv(2),
            4,
            2,
            *weights(4),
            make.real(1, 1, 4),
            make.real(1, 1, 4),
            True,
            0.5,
            *projection(4),
            False,
            np.array([[False, True, False]] * 2),
            attn_mask=mask,
        ),
        sample(
            *qkv(1),
            4,
            2,
            None,
            make.real(12),
            *none,
            *projection(4),
            True,
            None,
            False,
            make.real(2, 2, 3),
            True,
            make.real(4, 4),
            make.real(4, 4),
            make.real(4, 4),
        ),
        sample(
            *qkv(1),
            4,
            2,
            *weights(4),
            *none,
            *projection(4),
            static_k=make.real(2, 3, 2),
            static_v=make.real(2, 3, 2),
            average_attn_weights=False,
        ),
    ]


def _errors(make: Maker) -> list[Bad]:
    x = make.real(2, 1, 4)
    rest = (make.real(12, 4), make.real(12), None, None, False, 0.0, make.real(4, 4), make.real(4))
    return [
        bad(ValueError, "was expecting embedding dimension of 6", x, x, x, 6, 2, *rest),
        bad(ValueError, "not divisible by num_heads 3", x, x, x, 4, 3, *rest),
        bad(ValueError, "does not match value", x, x, make.real(3, 1, 4), 4, 2, *rest),
        bad(ValueError, "should be unbatched 2D or batched 3D", x[0, 0], x, x, 4, 2, *rest),
        bad(
            RuntimeError,
            "The shape of the 2D attn_mask",
            x,
            x,
            x,
            4,
            2,
            *rest,
            attn_mask=make.boolean(3, 2),
        ),
        bad(RuntimeError, "Need attn_mask", x, x, x, 4, 2, *rest, is_causal=True),
        bad(
            RuntimeError,
            "only bool and floating types",
            x,
            x,
            x,
            4,
            2,
            *rest,
            attn_mask=make.integers(0, 2, 2, 2),
        ),
    ]


def _additive(name: str, mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A mask of numbers to add: -inf where a mask of bool is True.

    Raises:
        DTypeError: it is neither bool nor floating point.
    """
    if mask is None or mask._type.dtype.is_floating_point:
        return mask
    if mask._type.dtype is not dtypes.bool_:
        raise DTypeError(f"{_NAME}: only bool and floating types of {name} are supported.")
    y: Tensor = recorded.where(mask, -math.inf, like.new_zeros(()))
    return y


def _projected(
    inputs: tuple[Tensor, Tensor, Tensor],
    packed: Tensor | None,
    weights: Sequence[Tensor | None],
    bias: Tensor | None,
) -> list[Tensor]:
    """Queries, keys and values."""
    biases: Sequence[Tensor | None] = (None,) * 3 if bias is None else bias.chunk(3)
    if packed is not None:
        if inputs[0] is inputs[1] is inputs[2]:  # one product instead of three
            return list(linear(inputs[0], packed, bias).chunk(3, -1))
        weights = packed.chunk(3)
    found = []
    for letter, x, w, b in zip("qkv", inputs, weights, biases, strict=True):
        if w is None:
            raise ArgumentError(
                f"{_NAME}: use_separate_proj_weight is True but {letter}_proj_weight is None."
            )
        found.append(linear(x, w, b))
    return found


def _check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    embed_dim: int,
    num_heads: int,
    separate: bool,
) -> None:
    if query.ndim not in (2, 3):
        raise ShapeError(
            f"{_NAME}: query should be unbatched 2D or batched 3D tensor but received "
            f"{query.ndim}-D query tensor."
        )
    if key.ndim != query.ndim or value.ndim != query.ndim:
        raise ShapeError(
            f"{_NAME}: For {query.ndim}-D `query`, expected `key` and `value` to be "
            f"{query.ndim}-D but found {key.ndim}-D and {value.ndim}-D tensors respectively."
        )
    if padding is not None and padding.ndim != query.ndim - 1:
        raise ShapeError(
            f"{_NAME}: For {query.ndim}-D `query`, expected `key_padding_mask` to be `None` or "
            f"{query.ndim - 1}-D but found {padding.ndim}-D tensor instead."
        )
    if query._shape[-1] != embed_dim:
        raise ShapeError(
            f"{_NAME}: was expecting embedding dimension of {embed_dim}, but got "
            f"{query._shape[-1]}."
        )
    if embed_dim % num_heads:
        raise ShapeError(f"{_NAME}: embed_dim {embed_dim} not divisible by num_heads {num_heads}.")
    same = key._shape[:-1] == value._shape[:-1] if separate else key._shape == value._shape
    if not same:
        raise ShapeError(
            f"{_NAME}: key shape {key._shape} does not match value shape {value._shape}."
        )


@public(
    path="nn.functional.multi_head_attention_forward",
    samples=_samples,
    errors=_errors,
    departs={"node": "composite", "derivative: 1": "PyTorch's flash attention has no second"},
)
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention in each of several heads, each of which sees a part of the projected embedding.

    Args:
        query: `(l, n, e)`, or `(l, e)` without a batch.
        key: `(s, n, e)` or `(s, e)`.
        value: likewise.
        embed_dim_to_check: e.
        num_heads: of which e is a multiple.
        in_proj_weight: `(3 e, e)`: the matrices of queries, keys and values.
        in_proj_bias: `(3 e,)`, or None.
        bias_k: `(1, 1, e)`, one more key; None exactly where `bias_v` is.
        bias_v: likewise its value.
        add_zero_attn: whether there is one more key of zeros, with a value of zeros.
        dropout_p: the probability with which a weight is set to 0.
        out_proj_weight: `(e, e)`.
        out_proj_bias: `(e,)`, or None.
        training: False sets no weights to 0.
        key_padding_mask: `(n, s)` or `(s,)`: bool, True where not to look, or numbers to add.
        need_weights: whether the weights are returned too.
        attn_mask: `(l, s)` or `(n * num_heads, l, s)`: bool, True where not to look, or numbers.
        use_separate_proj_weight: whether the next three stand for `in_proj_weight`.
        q_proj_weight: `(e, e)`.
        k_proj_weight: `(e, size of key)`.
        v_proj_weight: `(e, size of value)`.
        static_k: `(n * num_heads, s, e / num_heads)`, instead of projected keys.
        static_v: likewise for values.
        average_attn_weights: whether the weights returned are means over the heads.
        is_causal: says that `attn_mask`, which must be given, is the causal one.

    Returns:
        `(l, n, e)` or `(l, e)`; and None, or the weights: `(n, l, s)`, with the heads as second
        dimension if not averaged, without the first dimension if there is no batch.

    Raises:
        ShapeError: the shapes do not fit.
        ArgumentError: arguments are missing.
        DTypeError: a mask is neither bool nor floating point.
    """
    _check(
        query, key, value, key_padding_mask, embed_dim_to_check, num_heads, use_separate_proj_weight
    )
    if is_causal and attn_mask is None:
        raise ArgumentError(f"{_NAME}: Need attn_mask if specifying the is_causal hint.")
    if not use_separate_proj_weight and in_proj_weight is None:
        raise ArgumentError(
            f"{_NAME}: use_separate_proj_weight is False but in_proj_weight is None."
        )
    if (bias_k is None) != (bias_v is None):
        raise ArgumentError(f"{_NAME}: bias_k and bias_v must either both be None or neither.")
    if bias_k is not None and (static_k is not None or static_v is not None):
        raise ArgumentError(f"{_NAME}: bias cannot be added to static key or value.")
    batched = query.ndim == 3
    inputs = (query, key, value)
    if not batched:
        same = query is key is value
        query = query.unsqueeze(1)
        inputs = (query,) * 3 if same else (query, key.unsqueeze(1), value.unsqueeze(1))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, n, e = inputs[0]._shape
    size = e // num_heads
    mask = _additive("attn_mask", attn_mask, query)
    padding = _additive("key_padding_mask", key_padding_mask, query)
    if mask is not None:
        mask = _of_three(mask, n * num_heads, length, inputs[1]._shape[0])
    packed = None if use_separate_proj_weight else in_proj_weight
    q, k, v = _projected(
        inputs, packed, (q_proj_weight, k_proj_weight, v_proj_weight), in_proj_bias
    )

    def longer(m: Tensor | None) -> Tensor | None:
        return None if m is None else pad(m, (0, 1))

    if bias_k is not None and bias_v is not None:
        k = cat([k, bias_k.expand(1, n, e)])
        v = cat([v, bias_v.expand(1, n, e)])
        mask, padding = longer(mask), longer(padding)
    q = q.reshape((length, n * num_heads, size)).transpose(0, 1)
    k = _heads("static_k", k, static_k, n * num_heads, size)
    v = _heads("static_v", v, static_v, n * num_heads, size)
    if add_zero_attn:
        zeros = k.new_zeros((n * num_heads, 1, size))
        k, v = cat([k, zeros], 1), cat([v, zeros], 1)
        mask, padding = longer(mask), longer(padding)
    source = k._shape[1]
    if padding is not None:
        if padding._shape != (n, source):
            raise ShapeError(
                f"{_NAME}: expected key_padding_mask of shape {(n, source)}, but got "
                f"{padding._shape}."
            )
        wide = padding.reshape((n, 1, 1, source)).expand(n, num_heads, 1, source)
        wide = wide.reshape((n * num_heads, 1, source))
        mask = wide if mask is None else mask + wide
    p = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = matmul(q * math.sqrt(1.0 / size), k.mT)
        weights = softmax(scores if mask is None else scores + mask, -1)
        if p:
            weights = dropout(weights, p)
        y = matmul(weights, v)
        weights = weights.reshape((n, num_heads, length, source))
        if average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            weights = weights.squeeze(0)
    else:
        y = scaled_dot_product_attention(q, k, v, mask, p)
    y = linear(y.transpose(0, 1).reshape((length * n, e)), out_proj_weight, out_proj_bias)
    y = y.reshape((length, n, y._shape[1]))
    return y if batched else y.squeeze(1), weights


def _of_three(mask: Tensor, rows: int, length: int, source: int) -> Tensor:
    wanted = {2: (length, source), 3: (rows, length, source)}.get(mask.ndim)
    if wanted is None:
        raise ShapeError(f"{_NAME}: attn_mask's dimension {mask.ndim} is not supported.")
    if mask._shape != wanted:
        raise ShapeError(
            f"{_NAME}: The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should be "
            f"{wanted}."
        )
    return mask.unsqueeze(0) if mask.ndim == 2 else mask


def _heads(name: str, x: Tensor, static: Tensor | None, rows: int, size: int) -> Tensor:
    """Keys or values as `(samples * heads, s, size)`; the static ones instead, if given."""
    if static is None:
        return x.reshape((x._shape[0], rows, size)).transpose(0, 1)
    if static._shape[0] != rows or static._shape[2] != size:
        raise ShapeError(
            f"{_NAME}: expecting {name} of shape ({rows}, s, {size}), but got {static._shape}."
        )
    return static
