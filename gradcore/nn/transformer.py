"""Transformers: encoders and decoders, and the layers they are stacks of."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError, ShapeError
from ..ops.creation import full
from ..tensor import Tensor
from . import functional as F
from .attention import MultiheadAttention
from .containers import ModuleList
from .dropout import Dropout
from .init import xavier_uniform_
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = Callable[[Tensor], Tensor]


def _activation(given: str | Activation) -> Activation:
    if not isinstance(given, str):
        return given
    if given not in ("relu", "gelu"):
        raise ArgumentError(f"activation should be relu/gelu, not {given}")
    return F.relu if given == "relu" else F.gelu


def _copies(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


def _causal_mask(size: int, device: Any = None, dtype: Any = None) -> Tensor:
    return full((size, size), -math.inf, device=device, dtype=dtype).triu(1)


def _is_causal(mask: Tensor | None, given: bool | None, size: int) -> bool:
    """What is said of the mask; if nothing is, whether it is the causal one. Waits for a device."""
    if given is not None or mask is None:
        return bool(given)
    if tuple(mask.shape) != (size, size):
        return False
    return bool((mask == _causal_mask(size, mask.device, mask.dtype)).all())


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear maps with an activation between; each is added to its input.

    Args:
        d_model: the size of the input.
        nhead: how many heads attention has.
        dim_feedforward: the size between the linear maps.
        dropout: the probability of dropout.
        activation: `"relu"`, `"gelu"` or a function.
        layer_norm_eps: of the normalisations.
        batch_first: whether inputs are `(batch, time, size)`, not `(time, batch, size)`.
        norm_first: normalise before attention and linear maps, not after them.
        bias: whether linear maps and normalisations have biases.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: an option is not possible.
    """

    activation: Activation

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        attention = {"dropout": dropout, "bias": bias, "batch_first": batch_first, **kind}
        self.self_attn = MultiheadAttention(d_model, nhead, **attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **kind)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kind)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kind)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Apply it.

        Args:
            src: the input.
            src_mask: as `attn_mask` of `MultiheadAttention`.
            src_key_padding_mask: likewise as `key_padding_mask`.
            is_causal: that `src_mask` is the causal one.
        """

        def attend(x: Tensor) -> Tensor:
            y, _ = self.self_attn(
                *(x, x, x, src_key_padding_mask, False, src_mask), is_causal=is_causal
            )
            return self.dropout1(y)  # type: ignore[no-any-return]

        def feed(x: Tensor) -> Tensor:
            inner = self.dropout(self.activation(self.linear1(x)))
            return self.dropout2(self.linear2(inner))  # type: ignore[no-any-return]

        if self.norm_first:
            src = src + attend(self.norm1(src))
            return src + feed(self.norm2(src))
        src = self.norm1(src + attend(src))
        return self.norm2(src + feed(src))  # type: ignore[no-any-return]


class TransformerDecoderLayer(Module):
    """As `TransformerEncoderLayer`, with attention to what an encoder gives behind the first.

    The arguments are the same.
    """

    activation: Activation

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        attention = {"dropout": dropout, "bias": bias, "batch_first": batch_first, **kind}
        self.self_attn = MultiheadAttention(d_model, nhead, **attention)
        self.multihead_attn = MultiheadAttention(d_model, nhead, **attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **kind)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kind)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kind)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kind)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Apply it.

        Args:
            tgt: the input.
            memory: what the encoder gives.
            tgt_mask: for the input, as `attn_mask` of `MultiheadAttention`.
            memory_mask: likewise for `memory`.
            tgt_key_padding_mask: for the input, as `key_padding_mask` of `MultiheadAttention`.
            memory_key_padding_mask: likewise for `memory`.
            tgt_is_causal: that `tgt_mask` is the causal one.
            memory_is_causal: likewise of `memory_mask`.
        """

        def attend(x: Tensor) -> Tensor:
            y, _ = self.self_attn(
                *(x, x, x, tgt_key_padding_mask, False, tgt_mask), is_causal=tgt_is_causal
            )
            return self.dropout1(y)  # type: ignore[no-any-return]

        def remember(x: Tensor) -> Tensor:
            y, _ = self.multihead_attn(
                *(x, memory, memory, memory_key_padding_mask, False, memory_mask),
                is_causal=memory_is_causal,
            )
            return self.dropout2(y)  # type: ignore[no-any-return]

        def feed(x: Tensor) -> Tensor:
            inner = self.dropout(self.activation(self.linear1(x)))
            return self.dropout3(self.linear2(inner))  # type: ignore[no-any-return]

        x = tgt
        for norm, part in ((self.norm1, attend), (self.norm2, remember), (self.norm3, feed)):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


class TransformerEncoder(Module):
    """Several layers of a kind, one after the other.

    Args:
        encoder_layer: what is copied.
        num_layers: how often.
        norm: a module that is applied last.
        enable_nested_tensor: not used.
        mask_check: not used.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Apply it.

        Args:
            src: the input.
            mask: as `src_mask` of the layers.
            src_key_padding_mask: likewise.
            is_causal: that `mask` is the causal one; where it is None, the mask is looked at.
        """
        size = src.size(1 if self.layers[0].self_attn.batch_first and src.ndim == 3 else 0)
        causal = _is_causal(mask, is_causal, size)
        for layer in self.layers:
            src = layer(
                src, src_mask=mask, is_causal=causal, src_key_padding_mask=src_key_padding_mask
            )
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Several layers of a kind, one after the other, that all attend to what an encoder gives.

    Args:
        decoder_layer: what is copied.
        num_layers: how often.
        norm: a module that is applied last.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Apply it.

        Args:
            tgt: the input.
            memory: what the encoder gives.
            tgt_mask: for the input, as `attn_mask` of `MultiheadAttention`.
            memory_mask: likewise for `memory`.
            tgt_key_padding_mask: for the input, as `key_padding_mask` of `MultiheadAttention`.
            memory_key_padding_mask: likewise for `memory`.
            tgt_is_causal: that `tgt_mask` is the causal one; where it is None, the mask is looked
                at.
            memory_is_causal: that `memory_mask` is the causal one.
        """
        size = tgt.size(1 if self.layers[0].self_attn.batch_first and tgt.ndim == 3 else 0)
        causal = _is_causal(tgt_mask, tgt_is_causal, size)
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder, and a decoder that attends to what it gives.

    Args:
        d_model: the size of the inputs.
        nhead: how many heads attention has.
        num_encoder_layers: how many layers the encoder has.
        num_decoder_layers: how many layers the decoder has.
        dim_feedforward: the size between the linear maps.
        dropout: the probability of dropout.
        activation: `"relu"`, `"gelu"` or a function.
        custom_encoder: an encoder to take.
        custom_decoder: a decoder to take.
        layer_norm_eps: of the normalisations.
        batch_first: whether inputs are `(batch, time, size)`, not `(time, batch, size)`.
        norm_first: normalise before attention and linear maps, not after them.
        bias: whether linear maps and normalisations have biases.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: an option is not possible.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        options: tuple[Any, ...] = (d_model, nhead, dim_feedforward, dropout, activation)
        options += (layer_norm_eps, batch_first, norm_first, bias, device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kind)

        self.encoder = custom_encoder
        if custom_encoder is None:
            self.encoder = TransformerEncoder(
                TransformerEncoderLayer(*options), num_encoder_layers, norm()
            )
        self.decoder = custom_decoder
        if custom_decoder is None:
            self.decoder = TransformerDecoder(
                TransformerDecoderLayer(*options), num_decoder_layers, norm()
            )
        for p in self.parameters():
            if p.ndim > 1:
                xavier_uniform_(p)
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """What the decoder gives of `tgt` and of what the encoder gives of `src`.

        Args:
            src: the encoder's input.
            tgt: the decoder's input.
            src_mask: for `src`, as `attn_mask` of `MultiheadAttention`.
            tgt_mask: likewise for `tgt`.
            memory_mask: likewise for what the encoder gives.
            src_key_padding_mask: for `src`, as `key_padding_mask` of `MultiheadAttention`.
            tgt_key_padding_mask: likewise for `tgt`.
            memory_key_padding_mask: likewise for what the encoder gives.
            src_is_causal: that `src_mask` is the causal one; where it is None, it is looked at.
            tgt_is_causal: likewise of `tgt_mask`.
            memory_is_causal: that `memory_mask` is the causal one.

        Raises:
            ShapeError: the batches are not of one size, or the inputs not of size `d_model`.
        """
        batch = 0 if self.batch_first else 1
        if src.ndim == 3 and src.size(batch) != tgt.size(batch):
            raise ShapeError("the batch number of src and tgt must be equal")
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise ShapeError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(  # type: ignore[no-any-return]
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask `(sz, sz)`: -inf where a key is later than the query, else 0."""
        return _causal_mask(sz, device, dtype)
