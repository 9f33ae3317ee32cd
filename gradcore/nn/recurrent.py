"""Recurrent networks: several layers over a sequence, and the cells of one step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ops.creation import empty, zeros
from ..ops.recurrent import gru_cell, lstm_cell, network, rnn_relu_cell, rnn_tanh_cell
from ..tensor import Tensor
from .init import uniform_
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _draw(module: Module, hidden_size: int) -> None:
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0
    for weight in module.parameters():
        uniform_(weight, -bound, bound)


class RNNBase(Module):
    """Base of `RNN`, `LSTM` and `GRU`.

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
        ArgumentTypeError: an option is of another type.
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
        for name, value, kind in (
            ("bias", bias, bool),
            ("batch_first", batch_first, bool),
            ("input_size", input_size, int),
            ("hidden_size", hidden_size, int),
        ):
            if not isinstance(value, kind):
                raise ArgumentTypeError(
                    f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
                )
            if kind is int and value <= 0:
                raise ArgumentError(f"{name} must be greater than zero")
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
        options = {"device": device, "dtype": dtype}
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            width = input_size if layer == 0 else out * (2 if bidirectional else 1)
            for suffix in ("", "_reverse")[: 2 if bidirectional else 1]:
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (gates, width),
                    "weight_hh": (gates, out),
                }
                if bias:
                    shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                self._all_weights.append([f"{name}_l{layer}{suffix}" for name in shapes])
                for name, shape in zip(self._all_weights[-1], shapes.values(), strict=True):
                    self.register_parameter(name, Parameter(empty(shape, **options)))
        self.reset_parameters()

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def reset_parameters(self) -> None:
        """Draw the parameters again, uniformly between -1/√hidden_size and 1/√hidden_size."""
        _draw(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Do nothing: PyTorch's modules bring their parameters together in memory by it."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """The states of the last layer at all times, and those of all layers at the last one.

        Args:
            input: `(time, batch, input_size)`, or without the batch; or a `PackedSequence`.
            hx: the first states, `(layers * directions, batch, size)`; of an LSTM the pair of
                those and the cells'. By default zeros.

        Returns:
            The first as `input`, and the others as `hx`.

        Raises:
            ShapeError: a shape does not fit.
            ArgumentError: the number of dimensions or the dtype does not fit.
        """
        if isinstance(input, PackedSequence):
            x, counts, order, back = input
            self._check_input(x, 2)
            sizes: list[int] = counts.tolist()
            rows, last = self._over(x, sizes, self._states(x, sizes[0], hx, 3, order))
            if back is not None:
                last = [h.index_select(1, back) for h in last]
            return PackedSequence(rows, counts, order, back), self._as_given(last)
        if not isinstance(input, Tensor):
            raise ArgumentTypeError(
                f"{self._get_name()}: expected a Tensor or a PackedSequence, not "
                f"{type(input).__qualname__}."
            )
        if input.ndim not in (2, 3):
            raise ArgumentError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.ndim}D instead"
            )
        self._check_input(input, input.ndim)
        batched = input.ndim == 3
        turned = batched and self.batch_first
        x = input if batched else input.unsqueeze(1)
        if turned:
            x = x.transpose(0, 1)
        steps, batch, size = x.shape
        first = self._states(x, batch, hx, input.ndim, None)
        rows, last = self._over(x.reshape(steps * batch, size), [batch] * steps, first)
        out = rows.reshape(steps, batch, rows.shape[1])
        if turned:
            out = out.transpose(0, 1)
        if not batched:
            out, last = out.squeeze(1), [h.squeeze(1) for h in last]
        return out, self._as_given(last)

    def _over(
        self, rows: Tensor, sizes: list[int], first: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        out, *last = network(
            self.mode,
            rows,
            sizes,
            first,
            [w for held in self.all_weights for w in held],
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
        )
        return out, last

    def _as_given(self, last: list[Tensor]) -> Any:
        return tuple(last) if self.mode == "LSTM" else last[0]

    def _check_input(self, x: Tensor, ndim: int) -> None:
        dtype = self.all_weights[0][0].dtype
        if x.dtype != dtype:
            raise ArgumentError(
                f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). Convert "
                f"input: input.to({dtype}), or convert model: model.to({x.dtype})"
            )
        if x.ndim != ndim:
            raise ShapeError(f"input must have {ndim} dimensions, got {x.ndim}")
        if x.shape[-1] != self.input_size:
            raise ShapeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {x.shape[-1]}"
            )

    def _states(
        self, x: Tensor, batch: int, hx: Any, ndim: int, order: Tensor | None
    ) -> list[Tensor]:
        """The first states of all layers, of the cells too for an LSTM; in the order of a batch."""
        n = self.num_layers * (2 if self.bidirectional else 1)
        lstm = self.mode == "LSTM"
        widths = [self.proj_size or self.hidden_size, self.hidden_size][: 2 if lstm else 1]
        if hx is None:
            return [zeros(n, batch, width, device=x.device, dtype=x.dtype) for width in widths]
        given = list(hx) if lstm else [hx]
        if any(h.ndim != ndim for h in given):
            found = ", ".join(f"{h.ndim}-D" for h in given)
            raise ShapeError(
                f"For {'batched' if ndim == 3 else 'unbatched'} {ndim}-D input, hx "
                f"{'and cx ' if lstm else ''}should also be {ndim}-D but got "
                f"{f'({found}) tensors' if lstm else f'{found} tensor'}"
            )
        if ndim == 2:
            given = [h.unsqueeze(1) for h in given]
        for k, (h, width) in enumerate(zip(given, widths, strict=True)):
            if tuple(h.shape) != (n, batch, width):
                what = f"hidden[{k}] size" if lstm else "hidden size"
                raise ShapeError(f"Expected {what} {(n, batch, width)}, got {list(h.shape)}")
        return given if order is None else [h.index_select(1, order) for h in given]

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
        options = {"device": device, "dtype": dtype}
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(gates, input_size, **options))
        self.weight_hh = Parameter(empty(gates, hidden_size, **options))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(gates, **options)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters again, uniformly between -1/√hidden_size and 1/√hidden_size."""
        _draw(self, self.hidden_size)

    def _step(self, input: Tensor, hx: Any, step: Callable[..., Any], *names: str) -> Any:
        """What the function of one step gives, with a batch or without.

        Args:
            input: that of the module.
            hx: its states, or None for zeros.
            step: the function.
            names: of the states, as messages say them.
        """
        self._check(input, "input")
        batched = input.ndim == 2
        x = input if batched else input.unsqueeze(0)
        if hx is None:
            zero = zeros(x.shape[0], self.hidden_size, device=x.device, dtype=x.dtype)
            given = [zero] * len(names)
        else:
            given = [hx] if len(names) == 1 else list(hx)
            for h, name in zip(given, names, strict=True):
                self._check(h, name)
            if not batched:
                given = [h.unsqueeze(0) for h in given]
        found = step(
            *(x, given[0] if len(names) == 1 else given),
            *(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh),
        )
        if batched:
            return found
        return found.squeeze(0) if len(names) == 1 else tuple([h.squeeze(0) for h in found])

    def _check(self, x: Tensor, name: str) -> None:
        if x.ndim not in (1, 2):
            raise ArgumentError(
                f"{self._get_name()}: Expected {name} to be 1D or 2D, got {x.ndim}D instead"
            )

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
        step = rnn_tanh_cell if self.nonlinearity == "tanh" else rnn_relu_cell
        return self._step(input, hx, step, "hidden")  # type: ignore[no-any-return]


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
        return self._step(input, hx, lstm_cell, "hx[0]", "hx[1]")  # type: ignore[no-any-return]


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
        return self._step(input, hx, gru_cell, "hidden")  # type: ignore[no-any-return]
