"""Attention of several heads."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..ops.creation import empty
from ..tensor import Tensor
from . import functional as F
from .init import constant_, xavier_normal_, xavier_uniform_
from .linear import Linear
from .module import Module
from .parameter import Parameter

__all__ = ["MultiheadAttention"]


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear`, under the name that PyTorch gives the last projection."""


class MultiheadAttention(Module):
    """Attention of several heads, with the projections before and after it.

    Args:
        embed_dim: the size of queries and results.
        num_heads: how many heads; a divisor of `embed_dim`.
        dropout: the probability that a weight is dropped.
        bias: whether the projections have biases.
        add_bias_kv: add a key and a value that are learnt.
        add_zero_attn: add a key and a value that are 0.
        kdim: the size of keys; by default `embed_dim`.
        vdim: the size of values; by default `embed_dim`.
        batch_first: whether inputs are `(batch, time, size)`, not `(time, batch, size)`.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: the sizes do not fit.
    """

    bias_k: Tensor | None
    bias_v: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ArgumentError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise ArgumentError("embed_dim must be divisible by num_heads")
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        kind = {"device": device, "dtype": dtype}
        self._same = self.kdim == embed_dim == self.vdim
        shapes: dict[str, tuple[int, ...]] = {"in_proj_weight": (3 * embed_dim, embed_dim)}
        if not self._same:
            shapes = {
                "q_proj_weight": (embed_dim, embed_dim),
                "k_proj_weight": (embed_dim, self.kdim),
                "v_proj_weight": (embed_dim, self.vdim),
            }
        if bias:
            shapes["in_proj_bias"] = (3 * embed_dim,)
        if add_bias_kv:
            shapes["bias_k"] = shapes["bias_v"] = (1, 1, embed_dim)
        for name in (
            *("q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_weight"),
            *("in_proj_bias", "bias_k", "bias_v"),
        ):
            there = name in shapes
            self.register_parameter(name, Parameter(empty(shapes[name], **kind)) if there else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, **kind)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name, p in self._parameters.items():
            if p is None:
                continue
            if name.endswith("proj_weight"):
                xavier_uniform_(p)
            elif name == "in_proj_bias":
                constant_(p, 0.0)
            else:
                xavier_normal_(p)
        if self.out_proj.bias is not None:
            constant_(self.out_proj.bias, 0.0)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """What is attended to, and the weights.

        Args:
            query: `(time, batch, embed_dim)`, or without the batch.
            key: `(source, batch, kdim)`, likewise.
            value: `(source, batch, vdim)`, likewise.
            key_padding_mask: `(batch, source)`, True for keys that are left out, or numbers that
                are added.
            need_weights: whether the weights are returned.
            attn_mask: `(time, source)` or `(batch * heads, time, source)`, likewise.
            average_attn_weights: return the mean of the heads' weights.
            is_causal: that `attn_mask` is the causal one.
        """
        turned = self.batch_first and query.ndim == 3
        if turned:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        held = self._parameters
        y, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            held["in_proj_weight"],
            held["in_proj_bias"],
            held["bias_k"],
            held["bias_v"],
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._same,
            q_proj_weight=held["q_proj_weight"],
            k_proj_weight=held["k_proj_weight"],
            v_proj_weight=held["v_proj_weight"],
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (y.transpose(0, 1) if turned else y), weights
