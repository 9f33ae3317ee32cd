"""Recurrent networks: several layers over a sequence, and the cells of one step."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ops.creation import empty, zeros
from ..ops.shape import cat, stack
from ..tensor import Tensor
from . import functional as F
from .init import uniform_
from .module import Module
from .parameter import Parameter

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _step(mode: str, x: Tensor, p: Tensor, h: Tensor, c: Any) -> tuple[Tensor, Any]:
    """One step.

    Args:
        mode: which network.
        x: the projection of the input, with its bias.
        p: that of the state.
        h: the state.
        c: the state of an LSTM's cells.

    Returns:
        The next `h` and `c`.
    """
    if mode == "LSTM":
        i, f, g, o = (x + p).chunk(4, -1)
        c = i.sigmoid() * g.tanh() + f.sigmoid() * c
        return o.sigmoid() * c.tanh(), c
    if mode == "GRU":
        xr, xz, xn = x.chunk(3, -1)
        pr, pz, pn = p.chunk(3, -1)
        n = (xn + (xr + pr).sigmoid() * pn).tanh()
        return n + (xz + pz).sigmoid() * (h - n), None
    return (x + p).tanh() if mode == "RNN_TANH" else (x + p).relu(), None


def _draw(module: Module, hidden_size: int) -> None:
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0
    for weight in module.parameters():
        uniform_(weight, -bound, bound)


class RNNBase(Module):
    """Base of `RNN`, `LSTM` and `GRU`.

    The input is projected at all times at once; the steps are operations of their own, so that
    a step of a small network takes about ten times as long as in PyTorch's kernels.

    Args:
        mode: `"RNN_TANH"`, `"RNN_RELU"`, `"LSTM"` or `"GRU"`.
        input_size: the size of the input's last dimension.
        hidden_size: the size of the state.
        num_layers: how many layers; each takes what the one before gives.
        bias: whether there are biases.
        batch_first: whether input and output are `(batch, time, size)`, not `(time, batch, size)`.
        dropout: the probability of dropout behind each layer but the last.
        bidirectional: whether a second network goes from the end to the beginning.
        proj_size: of an LSTM: the size that the state is projected to.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: a size is not possible.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        number = not isinstance(dropout, bool) and isinstance(dropout, int | float)
        if not number or not 0 <= dropout <= 1:
            raise ArgumentError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                UserWarning,
                stacklevel=3,
            )
        if not isinstance(hidden_size, int):
            raise ArgumentTypeError(
                f"hidden_size should be of type int, got: {type(hidden_size).__name__}"
            )
        if hidden_size <= 0:
            raise ArgumentError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ArgumentError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ArgumentError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ArgumentError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ArgumentError("Unrecognized RNN mode: " + mode)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        gates = _GATES[mode] * hidden_size
        out = proj_size or hidden_size
        kind = {"device": device, "dtype": dtype}
        for layer in range(num_layers):
            width = input_size if layer == 0 else out * (2 if bidirectional else 1)
            for suffix in self._suffixes(layer):
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (gates, width),
                    "weight_hh": (gates, out),
                }
                if bias:
                    shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    self.register_parameter(name + suffix, Parameter(empty(shape, **kind)))
        self.reset_parameters()

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 2 if self.bidirectional else 1]

    def reset_parameters(self) -> None:
        """Draw the parameters again, uniformly between -1/√hidden_size and 1/√hidden_size."""
        _draw(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Do nothing: PyTorch's modules bring their parameters together in memory by it."""

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """The states of the last layer at all times, and those of all layers at the last one.

        Args:
            input: `(time, batch, input_size)`, or without the batch.
            hx: the first states, `(layers * directions, batch, size)`; of an LSTM the pair of
                those and the cells'. By default zeros.

        Raises:
            ShapeError: a shape does not fit.
        """
        if not isinstance(input, Tensor):
            raise ArgumentTypeError(
                f"{self._get_name()}: expected a Tensor, not {type(input).__qualname__}; packed "
                "sequences are not supported."
            )
        if input.ndim not in (2, 3):
            raise ArgumentError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.ndim}D instead"
            )
        if input.shape[-1] != self.input_size:
            raise ShapeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {input.shape[-1]}"
            )
        batched = input.ndim == 3
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        hs, cs = self._states(x, hx, batched)
        last_h: list[Tensor] = []
        last_c: list[Any] = []
        for layer in range(self.num_layers):
            outs = []
            for suffix in self._suffixes(layer):
                k = len(last_h)
                out, h, c = self._run(x, hs[k], None if cs is None else cs[k], suffix)
                outs.append(out)
                last_h.append(h)
                last_c.append(c)
            x = outs[0] if len(outs) == 1 else cat(outs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        final: list[Tensor] = [stack(last_h)] if cs is None else [stack(last_h), stack(last_c)]
        if not batched:
            x, final = x.squeeze(1), [t.squeeze(1) for t in final]
        return x, final[0] if cs is None else tuple(final)

    def _states(self, x: Tensor, hx: Any, batched: bool) -> tuple[Any, Any]:
        """The first states of all layers, of the cells too for an LSTM."""
        n = self.num_layers * (2 if self.bidirectional else 1)
        lstm = self.mode == "LSTM"
        widths = [self.proj_size or self.hidden_size, self.hidden_size][: 2 if lstm else 1]
        kind: dict[str, Any] = {"device": x.device, "dtype": x.dtype}
        if hx is None:
            given = [zeros(n, x.shape[1], width, **kind) for width in widths]
        else:
            given = list(hx) if lstm else [hx]
            for name, h, width in zip(("hidden[0]", "hidden[1]"), given, widths, strict=False):
                if h.ndim != (3 if batched else 2):
                    raise ShapeError(
                        f"For {'batched 3' if batched else 'unbatched 2'}-D input, hx should also "
                        f"be {3 if batched else 2}-D but got {h.ndim}-D tensor"
                    )
                want = (n, x.shape[1], width)
                shape = tuple(h.shape) if batched else (h.shape[0], 1, h.shape[1])
                if shape != want:
                    what = f"{name} size" if lstm else "hidden size"
                    raise ShapeError(f"Expected {what} {want}, got {list(shape)}")
            if not batched:
                given = [h.unsqueeze(1) for h in given]
        return given[0], given[1] if lstm else None

    def _run(self, x: Tensor, h: Tensor, c: Any, suffix: str) -> tuple[Tensor, Tensor, Any]:
        """One layer in one direction: its states at all times, and the last ones."""
        held = self._parameters
        w, b = held["weight_hh" + suffix], held.get("bias_hh" + suffix)
        project = held.get("weight_hr" + suffix)
        # The input's share of all steps is one product.
        projected = F.linear(x, held["weight_ih" + suffix], held.get("bias_ih" + suffix)).unbind(0)
        backwards = suffix.endswith("_reverse")
        states = []
        for step in reversed(projected) if backwards else projected:
            h, c = _step(self.mode, step, F.linear(h, w, b), h, c)
            if project is not None:
                h = F.linear(h, project)
            states.append(h)
        if not states:
            raise ShapeError("Expected sequence length to be larger than 0 in RNN")
        return stack(states[::-1] if backwards else states), h, c

    def extra_repr(self) -> str:
        """Its sizes, and its options where they are not the usual ones."""
        usual = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        parts = [
            f"{name}={getattr(self, name)}" for name, v in usual.items() if getattr(self, name) != v
        ]
        return ", ".join([str(self.input_size), str(self.hidden_size), *parts])


class RNN(RNNBase):
    """h' = tanh(W x + b + V h + c), over a sequence, in several layers.

    Args:
        input_size: the size of the input's last dimension.
        hidden_size: the size of the state.
        num_layers: how many layers.
        nonlinearity: `"tanh"` or `"relu"`.
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension.
        dropout: the probability of dropout behind each layer but the last.
        bidirectional: whether a second network goes from the end to the beginning.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: an option is not possible.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            "RNN_" + nonlinearity.upper(),
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory, over a sequence, in several layers.

    Args:
        input_size: the size of the input's last dimension.
        hidden_size: the size of the state.
        num_layers: how many layers.
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension.
        dropout: the probability of dropout behind each layer but the last.
        bidirectional: whether a second network goes from the end to the beginning.
        proj_size: the size that the state is projected to, if not 0.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: an option is not possible.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class GRU(RNNBase):
    """Gated recurrent units, over a sequence, in several layers.

    Args:
        input_size: the size of the input's last dimension.
        hidden_size: the size of the state.
        num_layers: how many layers.
        bias: whether there are biases.
        batch_first: whether the batch is the first dimension.
        dropout: the probability of dropout behind each layer but the last.
        bidirectional: whether a second network goes from the end to the beginning.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ArgumentError: an option is not possible.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )


class RNNCellBase(Module):
    """Base of the cells.

    Args:
        input_size: the size of the input's last dimension.
        hidden_size: the size of the state.
        bias: whether there are biases.
        num_chunks: how many gates there are.
        device: of the parameters.
        dtype: of the parameters.
    """

    _mode: ClassVar[str]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        kind = {"device": device, "dtype": dtype}
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(gates, input_size, **kind))
        self.weight_hh = Parameter(empty(gates, hidden_size, **kind))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(gates, **kind)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters again, uniformly between -1/√hidden_size and 1/√hidden_size."""
        _draw(self, self.hidden_size)

    def _after(self, mode: str, input: Tensor, hx: Any) -> Any:
        if input.ndim not in (1, 2):
            raise ArgumentError(
                f"{self._get_name()}: Expected input to be 1D or 2D, got {input.ndim}D instead"
            )
        lstm = mode == "LSTM"
        if hx is None:
            h = zeros(*input.shape[:-1], self.hidden_size, device=input.device, dtype=input.dtype)
            c: Any = h
        else:
            h, c = hx if lstm else (hx, None)
        for n, state in enumerate((h, c) if lstm else (h,)):
            if state.ndim not in (1, 2):
                name = f"hx[{n}]" if lstm else "hidden"
                raise ArgumentError(
                    f"{self._get_name()}: Expected {name} to be 1D or 2D, got {state.ndim}D instead"
                )
        x = F.linear(input, self.weight_ih, self.bias_ih)
        h, c = _step(mode, x, F.linear(h, self.weight_hh, self.bias_hh), h, c)
        return (h, c) if lstm else h

    def extra_repr(self) -> str:
        """Its sizes, and its options where they are not the usual ones."""
        parts = [str(self.input_size), str(self.hidden_size)]
        if not self.bias:
            parts.append(f"bias={self.bias}")
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            parts.append(f"nonlinearity={self.nonlinearity}")
        return ", ".join(parts)


class RNNCell(RNNCellBase):
    """One step of `RNN`.

    Args:
        input_size: the size of the input's last dimension.
        hidden_size: the size of the state.
        bias: whether there are biases.
        nonlinearity: `"tanh"` or `"relu"`.
        device: of the parameters.
        dtype: of the parameters.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state, from an input `(batch, input_size)` and the state."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._after("RNN_" + self.nonlinearity.upper(), input, hx)  # type: ignore[no-any-return]


class LSTMCell(RNNCellBase):
    """One step of `LSTM`.

    Args:
        input_size: the size of the input's last dimension.
        hidden_size: the size of the state.
        bias: whether there are biases.
        device: of the parameters.
        dtype: of the parameters.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next states, of the output and of the cells."""
        return self._after("LSTM", input, hx)  # type: ignore[no-any-return]


class GRUCell(RNNCellBase):
    """One step of `GRU`.

    Args:
        input_size: the size of the input's last dimension.
        hidden_size: the size of the state.
        bias: whether there are biases.
        device: of the parameters.
        dtype: of the parameters.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state, from an input `(batch, input_size)` and the state."""
        return self._after("GRU", input, hx)  # type: ignore[no-any-return]
