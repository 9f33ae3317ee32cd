"""Recurrent networks: layers over sequences, and their cells.

All steps of one layer in one direction are one operation. The input's share of all steps is a
product before it, and the gradient of the weights one after it, so that a step itself is a product
with the state and a few functions of the gates.

In the operations `x` is the input's share `(time, batch, gates * size)`, `h` and `c` are the first
states `(1, batch, size)` and `w` is the weight `(gates * size, size)`. Among their outputs are the
gates at all times, which the rules need.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from .. import dtypes
from ..batching.readings import leading
from ..device import Array
from ..errors import ArgumentError, DTypeError, ShapeError
from ..mode import quiet
from ..op import common_device, primitive, public
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor
from .creation import zeros
from .dropout import dropout as dropout_
from .layer import linear, tensor_argument
from .shape import cat

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]

F = TypeVar("F", bound=Callable[..., Any])
Weights = Sequence[Any]
"""Of a layer in one direction: those of input and state, the biases, that of the projection."""

Runs = Sequence[tuple[int, int, int]]
"""Steps of one batch size: the row at which they begin, how many there are, and that size."""


# all steps of a layer in one direction ------------------------------------------------------------


def _times(start: int, end: int, reverse: bool) -> range:
    return range(end - 1, start - 1, -1) if reverse else range(start, end)


def _blocks(steps: int, block: int, reverse: bool) -> Iterator[tuple[int, int]]:
    """Blocks of steps, beginning and end, in the order in which they are taken."""
    starts = range(0, steps, block)
    for start in reversed(starts) if reverse else starts:
        yield start, min(start + block, steps)


def _by_time(xp: Any, reverse: bool, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Of all arrays the part of each step, as views, in the order in which they are taken."""
    step = -1 if reverse else 1
    moved = [a if a.ndim == 3 else xp.module.moveaxis(a, -3, 0) for a in arrays]
    return zip(*[a[::step] for a in moved], strict=True)


def _first(x: Array) -> Array:
    """A state or weight without the dimension that stands for the time, if it has one."""
    return x[..., 0, :, :] if x.ndim > 2 else x


def _turned(xp: Any, w: Array, x: Array) -> Array:
    """The weight transposed, for the products of all steps of `x`."""
    turned = _first(w).swapaxes(-1, -2)
    # A product with a view of it takes 1.3 times as long; the copy pays from four steps on.
    return xp.module.ascontiguousarray(turned) if x.shape[-3] > 4 else turned


def _to_sigmoid(module: Any, x: Array) -> None:
    """Write the sigmoid of `x` into it."""
    module.negative(x, out=x)
    with quiet():  # where exp(-x) is infinite the quotient is the right 0
        module.exp(x, out=x)
    x += 1
    module.divide(1, x, out=x)


def _made(xp: Any, widths: Sequence[int], x: Array, *others: Any) -> list[Array]:
    """Room for results of these widths at all times; what is before the time broadcasts."""
    lead = np.broadcast_shapes(x.shape[:-3], *[a.shape[:-3] for a in others if a is not None])
    return [xp.module.empty((*lead, *x.shape[-3:-1], width), x.dtype) for width in widths]


def _between(xp: Any, x: Any, start: int, end: int) -> Any:
    return xp.getitem(x, (slice(start, end),))


def _at(xp: Any, x: Any, t: int) -> Any:
    """One step of `x`; None of None."""
    return None if x is None else xp.getitem(x, (slice(t, t + 1),))


def _columns(xp: Any, x: Any, start: int, end: int) -> Any:
    return xp.getitem(x, (..., slice(start, end)))


def _states_before(xp: Any, first: Any, y: Any, reverse: bool) -> Any:
    """The states that the steps began with."""
    if reverse:
        return xp.concatenate([xp.getitem(y, (slice(1, None),)), first], 0)
    return xp.concatenate([first, xp.getitem(y, (slice(0, -1),))], 0)


def _in_time(xp: Any, parts: list[Any], reverse: bool) -> Any:
    """What a rule found step by step, from the last one on, in the order of time."""
    return xp.concatenate(parts if reverse else parts[::-1], 0)


def _weight_gradient(xp: Any, d: Any, x: Any) -> Any:
    """Of the product of `x` and the weight transposed, where `d` is the product's cotangent."""
    rows = d.shape[0] * d.shape[1]
    d = xp.reshape(d, (rows, d.shape[2]))
    return xp.matmul(xp.matrix_transpose(d), xp.reshape(x, (rows, x.shape[2])))


def _plus(*parts: Any) -> Any:
    """The sum of those that are not None."""
    total = None
    for part in parts:
        if part is not None:
            total = part if total is None else total + part
    return total


def _rnn_forward(xp: Any, x: Array, h: Array, w: Array, positive: bool, reverse: bool) -> Array:
    module = xp.module
    (y,) = _made(xp, h.shape[-1:], x, h, w)
    h, w = _first(h), _turned(xp, w, x)
    for out, mine in _by_time(xp, reverse, y, x):
        h = module.add(xp.matmul(h, w), mine, out=out)
        h = module.maximum(h, 0, out=h) if positive else module.tanh(h, out=h)
    return y


def _rnn_vjp(xp: Any, g: Any, y: Any, h: Any, w: Any, positive: bool, reverse: bool) -> list[Any]:
    found, carried = [], None
    by = xp.astype(xp.greater(y, 0), g.dtype) if positive else 1 - y * y
    for t in _times(0, y.shape[0], not reverse):
        d = _plus(_at(xp, g, t), carried) * _at(xp, by, t)
        found.append(d)
        carried = xp.matmul(d, w)
    d = _in_time(xp, found, reverse)
    return [d, carried, _weight_gradient(xp, d, _states_before(xp, h, y, reverse))]


_rnn = primitive("rnn_layer", _rnn_forward, joint=_rnn_vjp, inputs=3, batching=leading)


def _lstm_forward(
    xp: Any, x: Array, h: Array, c: Array, w: Array, reverse: bool, r: Array | None = None
) -> tuple[Array, Array, Array]:
    module, n = xp.module, c.shape[-1]
    y, cells, gates = _made(xp, (h.shape[-1], n, 4 * n), x, h, c, w, r)
    h, c, w = _first(h), _first(c), _turned(xp, w, x)
    project = None if r is None else _turned(xp, r, x)
    for out, cell, a, mine in _by_time(xp, reverse, y, cells, gates, x):
        module.add(xp.matmul(h, w), mine, out=a)
        new = module.tanh(a[..., 2 * n : 3 * n])
        _to_sigmoid(module, a)
        a[..., 2 * n : 3 * n] = new
        c = module.multiply(a[..., n : 2 * n], c, out=cell)
        new *= a[..., :n]
        c += new
        h = module.multiply(a[..., 3 * n :], module.tanh(c), out=out if r is None else None)
        if project is not None:
            out[...] = h = xp.matmul(h, project)
    return y, cells, gates


def _lstm_vjp(
    xp: Any,
    g: tuple[Any, Any, Any],
    y0: Any,
    y1: Any,
    y2: Any,
    h: Any,
    c: Any,
    w: Any,
    reverse: bool,
    block: int,
    r: Any = None,
) -> list[Any]:
    steps, batch, n = y1.shape
    before = _states_before(xp, c, y1, reverse)
    dh = dc = None
    of_states, projected, found = [], [], []
    for start, end in _blocks(steps, block, not reverse):
        each = (end - start, batch, 1, n)
        gates = _between(xp, y2, start, end)
        i, f, m, o = (_columns(xp, gates, k * n, (k + 1) * n) for k in range(4))
        s = xp.tanh(_between(xp, y1, start, end))
        # Of each step: the cotangents of h and c times these are those of c and of what the gates
        # are functions of, the output's gate from h and the others from c.
        of_cells = o * (1 - s * s)
        by_h = xp.reshape(s * o * (1 - o), each)
        parts = [m * i * (1 - i), _between(xp, before, start, end) * f * (1 - f), i * (1 - m * m)]
        by_c = xp.concatenate([xp.reshape(part, each) for part in parts], 2)
        if r is not None:
            projected.append(o * s)
        more = None
        if g[2] is not None:
            by_gate = xp.concatenate([i * (1 - i), f * (1 - f), 1 - m * m, o * (1 - o)], -1)
            more = _between(xp, g[2], start, end) * by_gate
        for t in _times(start, end, not reverse):
            dh = _plus(dh, _at(xp, g[0], t))
            if dh is None:
                dh = xp.zeros((1, *y0.shape[1:]), y0)
            of_states.append(dh)
            if r is not None:
                dh = xp.matmul(dh, r)
            dc = _plus(dh * _at(xp, of_cells, t - start), _at(xp, g[1], t), dc)
            of_c = xp.reshape(dc, (1, batch, 1, n)) * _at(xp, by_c, t - start)
            of_h = xp.reshape(dh, (1, batch, 1, n)) * _at(xp, by_h, t - start)
            d = xp.reshape(xp.concatenate([of_c, of_h], 2), (1, batch, 4 * n))
            d = _plus(d, _at(xp, more, t - start))
            found.append(d)
            dc = dc * _at(xp, f, t - start)
            dh = xp.matmul(d, w)
    d = _in_time(xp, found, reverse)
    gradients = [d, dh, dc, _weight_gradient(xp, d, _states_before(xp, h, y0, reverse))]
    if r is not None:
        of_states = _in_time(xp, of_states, reverse)
        gradients.append(_weight_gradient(xp, of_states, _in_time(xp, projected, reverse)))
    return gradients


_lstm = primitive(
    "lstm_layer",
    lambda xp, x, h, c, w, reverse, block: _lstm_forward(xp, x, h, c, w, reverse),
    joint=lambda xp, g, y0, y1, y2, h, c, w, reverse, block: _lstm_vjp(
        xp, g, y0, y1, y2, h, c, w, reverse, block
    ),
    inputs=4,
    outputs=3,
    batching=leading,
)
_lstm_projected = primitive(
    "lstm_layer_projected",
    lambda xp, x, h, c, w, r, reverse, block: _lstm_forward(xp, x, h, c, w, reverse, r),
    joint=lambda xp, g, y0, y1, y2, h, c, w, r, reverse, block: _lstm_vjp(
        xp, g, y0, y1, y2, h, c, w, reverse, block, r
    ),
    inputs=5,
    outputs=3,
    batching=leading,
)


def _gru_forward(
    xp: Any, x: Array, h: Array, w: Array, b: Array, reverse: bool, block: int
) -> tuple[Array, Array]:
    """The states, and the gates r, z and n with what r is multiplied with."""
    module, n = xp.module, h.shape[-1]
    y, gates = _made(xp, (n, 4 * n), x, h, w, b)
    h, w, b = _first(h), _turned(xp, w, x), _first(b)
    for out, a, mine in _by_time(xp, reverse, y, gates, x):
        p = xp.matmul(h, w) + b
        rz, m = a[..., : 2 * n], a[..., 2 * n : 3 * n]
        module.add(p[..., : 2 * n], mine[..., : 2 * n], out=rz)
        _to_sigmoid(module, rz)
        q = a[..., 3 * n :] = p[..., 2 * n :]
        module.multiply(rz[..., :n], q, out=m)
        m += mine[..., 2 * n :]
        module.tanh(m, out=m)
        h = module.subtract(h, m, out=out)
        h *= rz[..., n:]
        h += m
    return y, gates


def _gru_vjp(
    xp: Any, g: tuple[Any, Any], y0: Any, y1: Any, h: Any, w: Any, reverse: bool, block: int
) -> list[Any]:
    steps, batch, n = y0.shape
    before = _states_before(xp, h, y0, reverse)
    dh = None
    found = []
    for start, end in _blocks(steps, block, not reverse):
        each = (end - start, batch, 1, n)
        gates = _between(xp, y1, start, end)
        r, z, m, q = (_columns(xp, gates, k * n, (k + 1) * n) for k in range(4))
        of_new, of_r, of_z = (1 - z) * (1 - m * m), r * (1 - r), z * (1 - z)
        # Of each step: the cotangent of h times these is that of what r and z are functions of, of
        # q, and of what n is a function of.
        parts = [
            of_new * q * of_r,
            (_between(xp, before, start, end) - m) * of_z,
            of_new * r,
            of_new,
        ]
        by = xp.concatenate([xp.reshape(part, each) for part in parts], 2)
        more = None
        if g[1] is not None:
            given = _between(xp, g[1], start, end)
            gr, gz, gm, gq = (_columns(xp, given, k * n, (k + 1) * n) for k in range(4))
            gm = gm * (1 - m * m)
            more = xp.concatenate([(gm * q + gr) * of_r, gz * of_z, gm * r + gq, gm], -1)
        for t in _times(start, end, not reverse):
            dh = _plus(dh, _at(xp, g[0], t))
            if dh is None:
                dh = xp.zeros((1, batch, n), y0)
            d = xp.reshape(dh, (1, batch, 1, n)) * _at(xp, by, t - start)
            d = _plus(xp.reshape(d, (1, batch, 4 * n)), _at(xp, more, t - start))
            found.append(d)
            dh = dh * _at(xp, z, t - start) + xp.matmul(_columns(xp, d, 0, 3 * n), w)
    d = _in_time(xp, found, reverse)
    of_state = _columns(xp, d, 0, 3 * n)
    of_input = xp.concatenate([_columns(xp, d, 0, 2 * n), _columns(xp, d, 3 * n, 4 * n)], -1)
    return [of_input, dh, _weight_gradient(xp, of_state, before), xp.sum(of_state, axis=(0, 1))]


_gru = primitive("gru_layer", _gru_forward, joint=_gru_vjp, inputs=4, outputs=2, batching=leading)

_BLOCK: Final = 65536
"""Elements of the gates that are dealt with at a time: 256 KB of float32."""

_GATES: Final = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _steps(
    mode: str, x: Tensor, states: Sequence[Tensor], weights: Weights, reverse: bool
) -> tuple[Tensor, ...]:
    """The states at all times; of an LSTM those of its cells, too.

    Raises:
        DeviceError: they are on several devices.
        DTypeError: the dtypes differ, or have no fractions.
        ShapeError: the weights do not fit.
    """
    _, w, _, b, r = weights
    name = mode.lower()
    given = [t for t in (x, *states, w, b, r) if t is not None]
    common_device(name, given)
    if not x.dtype.is_floating_point or any(t.dtype is not x.dtype for t in given):
        raise DTypeError(
            f"{name}: expected input, states and weights of one floating point dtype, but got "
            f"{', '.join(str(t.dtype) for t in given)}; cast with .to(dtype)."
        )
    size = states[-1].shape[2]
    if not x.shape[2] == w.shape[0] == _GATES[mode] * size:
        raise ShapeError(
            f"{name}: expected weights of {_GATES[mode]} * {size} rows for states of {size} "
            f"elements, but got {x.shape[2]} and {w.shape[0]}."
        )
    # A rule takes as many steps at a time as keep what it computes of them in the cache.
    block = x.shape[0] if x.is_cuda else max(1, _BLOCK // max(1, x.shape[1] * x.shape[2]))
    if mode == "LSTM":
        h, c = states
        if r is None:
            return _lstm(x, h, c, w, reverse, block)[:2]
        return _lstm_projected(x, h, c, w, r, reverse, block)[:2]
    (h,) = states
    if mode == "GRU":
        if b is None:
            b = zeros(w.shape[0], dtype=w.dtype, device=w.device)
        return _gru(x, h, w, b, reverse, block)[:1]
    return (_rnn(x, h, w, mode == "RNN_RELU", reverse),)


def _share_of_input(mode: str, rows: Tensor, weights: Weights) -> Tensor:
    """The product with the weight, and the biases: of a GRU the input's, whose other is apart."""
    w, _, b, other, _ = weights
    if other is not None and mode != "GRU":
        b = other if b is None else b + other
    return linear(rows, w, b)


def _direction(
    mode: str, rows: Tensor, runs: Runs, first: tuple[Tensor, ...], weights: Weights, reverse: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One layer in one direction.

    Args:
        mode: which network.
        rows: the input, step by step.
        runs: where its steps are.
        first: the states `(1, batch, size)`.
        weights: of the layer.
        reverse: whether it goes from the end to the beginning.

    Returns:
        The states at all times as `rows`, and the last ones of each sequence.
    """
    x = _share_of_input(mode, rows, weights)
    width = x.shape[1]
    size = runs[-1 if reverse else 0][2]
    states = first if size == runs[0][2] else tuple([s[:, :size] for s in first])
    found, ended = [], []
    for start, steps, batch in reversed(runs) if reverse else runs:
        if batch > size:  # sequences that end here begin
            states = tuple(
                [cat([s, f[:, size:batch]], 1) for s, f in zip(states, first, strict=True)]
            )
        elif batch < size:  # sequences have ended
            ended.append([s[:, batch:] for s in states])
            states = tuple([s[:, :batch] for s in states])
        size = batch
        piece = x if len(runs) == 1 else x[start : start + steps * batch]
        ys = _steps(mode, piece.reshape(steps, batch, width), states, weights, reverse)
        found.append(ys[0].reshape(steps * batch, ys[0].shape[2]))
        states = tuple([y[:1] if reverse else y[steps - 1 :] for y in ys])
    if reverse:
        found.reverse()
    if ended:
        states = tuple([cat(list(parts), 1) for parts in zip(states, *ended[::-1], strict=True)])
    return found[0] if len(found) == 1 else cat(found), states


def _wide(x: Any) -> Any:
    return x if x is None else x.to(dtypes.float32)


def network(
    mode: str,
    rows: Tensor,
    sizes: Sequence[int],
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Tensor, ...]:
    """A network of several layers over sequences of one or several lengths.

    Args:
        mode: `"RNN_TANH"`, `"RNN_RELU"`, `"LSTM"` or `"GRU"`.
        rows: the input `(rows, input_size)`, step by step.
        sizes: of the batches at all steps; none larger than the one before.
        hx: the first states `(layers * directions, batch, size)`, of an LSTM those of cells, too.
        params: the weights of all layers and directions, as `nn.LSTM` has them.
        has_biases: whether there are biases among them.
        num_layers: how many layers.
        dropout: the probability of dropout behind each layer but the last.
        train: whether there is dropout.
        bidirectional: whether a second network goes from the end to the beginning.

    Returns:
        The states of the last layer as `rows`, and the last ones of all layers, as `hx`.

    Raises:
        ShapeError: there is no step.
    """
    if rows.dtype is dtypes.float16:
        found = network(
            *(mode, _wide(rows), sizes, [_wide(h) for h in hx], [_wide(w) for w in params]),
            *(has_biases, num_layers, dropout, train, bidirectional),
        )
        return tuple([y.to(dtypes.float16) for y in found])
    if not sizes:
        raise ShapeError("Expected sequence length to be larger than 0 in RNN")
    runs, start = [], 0
    for size, same in itertools.groupby(sizes):
        steps = len(list(same))
        runs.append((start, steps, size))
        start += steps * size
    directions = 2 if bidirectional else 1
    count = len(params) // (num_layers * directions)
    last: list[tuple[Tensor, ...]] = []
    for layer in range(num_layers):
        outs = []
        for reverse in (False, True)[:directions]:
            k = len(last)
            given: list[Any] = list(params[k * count : (k + 1) * count])
            if not has_biases:
                given[2:2] = [None, None]
            weights = given if len(given) == 5 else [*given, None]
            out, states = _direction(
                mode, rows, runs, tuple([h[k : k + 1] for h in hx]), weights, reverse
            )
            outs.append(out)
            last.append(states)
        rows = outs[0] if len(outs) == 1 else cat(outs, -1)
        if dropout and layer < num_layers - 1:
            rows = dropout_(rows, dropout, train)
    return rows, *[h[0] if len(h) == 1 else cat(list(h)) for h in zip(*last, strict=True)]


# what is called -----------------------------------------------------------------------------------


def _pair(name: str, hx: Any) -> tuple[Tensor, ...]:
    if len(hx) != 2:
        raise ShapeError(f"{name} expects two hidden states")
    return tuple(hx)


def _over_sequence(
    mode: str,
    input: Any,
    hx: tuple[Tensor, ...],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    name = mode.lower()
    x = tensor_argument(name, "input", 1, input)
    layers = num_layers * (2 if bidirectional else 1)
    each = [4 if has_biases else 2]
    if mode == "LSTM":
        each.append(each[0] + 1)  # with a projection
    if x.ndim != 3 or any(h.ndim != 3 for h in hx):
        raise ShapeError(
            f"{name}: expected input and hx of 3 dimensions, got shapes "
            f"{', '.join(str(tuple(t.shape)) for t in (x, *hx))}."
        )
    if all(len(params) != n * layers for n in each):
        raise ArgumentError(
            f"{name}: expected {' or '.join(map(str, each))} weights for each of {layers} layers "
            f"and directions, got {len(params)} in all."
        )
    if batch_first:
        x = x.transpose(0, 1)
    steps, batch, size = x.shape
    want = (layers, batch)
    if any(tuple(h.shape[:2]) != want for h in hx):
        raise ShapeError(
            f"{name}: expected hx of shape ({layers}, {batch}, size), got "
            f"{', '.join(str(tuple(h.shape)) for h in hx)}."
        )
    y, *last = network(
        *(mode, x.reshape(steps * batch, size), [batch] * steps, hx, params, has_biases),
        *(num_layers, dropout, train, bidirectional),
    )
    y = y.reshape(steps, batch, y.shape[1])
    return (y.transpose(0, 1) if batch_first else y), *last


def _one_step(
    mode: str,
    input: Any,
    hx: tuple[Tensor, ...],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> Any:
    name = f"{mode.lower()}_cell"
    x = tensor_argument(name, "input", 1, input)
    if x.ndim != 2:
        raise ShapeError(f"{name}: expected input (batch, size), got shape {tuple(x.shape)}.")
    if x.shape[1] != w_ih.shape[1]:
        raise ShapeError(
            f"{name}: input has inconsistent input_size: got {x.shape[1]} expected {w_ih.shape[1]}"
        )
    for n, h in enumerate(hx):
        if h.ndim != 2:
            raise ShapeError(f"{name}: expected hidden{n} (batch, size), got {tuple(h.shape)}.")
        if h.shape[0] != x.shape[0]:
            raise ShapeError(
                f"{name}: Input batch size {x.shape[0]} doesn't match hidden{n} batch size "
                f"{h.shape[0]}"
            )
        if h.shape[1] != w_hh.shape[1]:
            raise ShapeError(
                f"{name}: hidden{n} has inconsistent hidden_size: got {h.shape[1]}, expected "
                f"{w_hh.shape[1]}"
            )
    weights: Weights = (w_ih, w_hh, b_ih, b_hh, None)
    half = x.dtype is dtypes.float16
    if half:
        x, hx, weights = _wide(x), tuple(map(_wide, hx)), tuple(map(_wide, weights))
    share = _share_of_input(mode, x, weights)
    states = tuple([h.unsqueeze(0) for h in hx])
    found = [y.squeeze(0) for y in _steps(mode, share.unsqueeze(0), states, weights, False)]
    return tuple([y.to(dtypes.float16) for y in found] if half else found)


def _weights(make: Maker, gates: int, *more: int, biases: bool = True) -> list[Any]:
    """Of a layer from 2 to 3 elements, or what `more` says, and whether there is a projection."""
    width, size, out = (*more, *(2, 3, 3)[len(more) :])
    found = [make.real(gates * size, width), make.real(gates * size, out)]
    found += [make.real(gates * size), make.real(gates * size)] if biases else []
    return found if out == size else [*found, make.real(out, size)]


def _sequence_samples(mode: str) -> Any:
    gates, lstm = _GATES[mode], mode == "LSTM"

    def first(make: Maker, *shape: int) -> Any:
        return (make.real(*shape), make.real(*shape)) if lstm else make.real(*shape)

    def samples(make: Maker) -> list[Sample]:
        found = [
            sample(
                *(make.real(3, 2, 2), first(make, 1, 2, 3), _weights(make, gates)),
                *(True, 1, 0.0, False, False, False),
            ),
            sample(
                *(make.real(1, 3, 2), first(make, 4, 1, 3)),
                [
                    *_weights(make, gates, biases=False),
                    *_weights(make, gates, biases=False),
                    *_weights(make, gates, 6, biases=False),
                    *_weights(make, gates, 6, biases=False),
                ],
                *(False, 2, 0.0, True, True, True),
            ),
        ]
        if lstm:
            found.append(
                sample(
                    *(make.real(2, 2, 2), (make.real(1, 2, 2), make.real(1, 2, 3))),
                    *(_weights(make, gates, 2, 3, 2), True, 1, 0.0, False, False, False),
                )
            )
        return found

    return samples


def _sequence_errors(mode: str) -> Any:
    gates, lstm = _GATES[mode], mode == "LSTM"

    def errors(make: Maker) -> list[Bad]:
        h = make.real(1, 2, 3)
        hx, rest = ((h, h) if lstm else h), (True, 1, 0.0, False, False, False)
        weights = _weights(make, gates)
        found = [
            bad(RuntimeError, "larger than 0", make.real(0, 2, 2), hx, weights, *rest),
            bad(RuntimeError, "cannot be multiplied", make.real(3, 2, 4), hx, weights, *rest),
            bad(ValueError, "expected 4", make.real(3, 2, 2), hx, weights[:3], *rest),
            bad(ValueError, r"1, 3, size", make.real(3, 3, 2), hx, weights, *rest),
            bad(ValueError, "3 dimensions", make.real(3, 2), hx, weights, *rest),
        ]
        if lstm:
            found.append(bad(RuntimeError, "two hidden", make.real(3, 2, 2), (h,), weights, *rest))
        return found

    return errors


def _cell_samples(mode: str) -> Any:
    gates, lstm = _GATES[mode], mode == "LSTM"

    def samples(make: Maker) -> list[Sample]:
        first = (make.real(2, 3), make.real(2, 3)) if lstm else make.real(2, 3)
        return [
            sample(make.real(2, 2), first, *_weights(make, gates)),
            sample(make.real(2, 4), first, *_weights(make, gates, 4, biases=False)),
            sample(*(make.real(2, 2), first, *_weights(make, gates)[:3]), b_hh=None),
            sample(
                *(make.real(2, 2), first, *_weights(make, gates)[:2]), b_hh=make.real(3 * gates)
            ),
        ]

    return samples


def _cell_errors(mode: str) -> Any:
    gates, lstm = _GATES[mode], mode == "LSTM"

    def errors(make: Maker) -> list[Bad]:
        weights = _weights(make, gates)

        def first(*shape: int) -> Any:
            return (make.real(*shape),) * 2 if lstm else make.real(*shape)

        return [
            bad(
                RuntimeError, "input_size: got 4 expected 2", make.real(2, 4), first(2, 3), *weights
            ),
            bad(RuntimeError, "batch size 2 doesn't", make.real(2, 2), first(1, 3), *weights),
            bad(
                RuntimeError,
                "hidden_size: got 4, expected 3",
                make.real(2, 2),
                first(2, 4),
                *weights,
            ),
            bad(ValueError, r"batch, size", make.real(2), first(2, 3), *weights),
            bad(ValueError, r"batch, size", make.real(2, 2), first(3), *weights),
        ]

    return errors


def _record(mode: str, cell: bool = False) -> Callable[[F], F]:
    return public(
        kind="primitive",
        samples=(_cell_samples if cell else _sequence_samples)(mode),
        errors=(_cell_errors if cell else _sequence_errors)(mode),
        departs={
            "node": "one for all steps of a layer",
            "saves": "the states and gates of all steps",
            "float16": "computed in float32",
            "refuses: complex64, complex128": "the rules of the gates are for real numbers",
            "refuses: uint8, int32, int64": "the weights of networks are floating point",
            **({} if cell else {"signature": "packed sequences are for the modules alone"}),
        },
    )


@_record("LSTM")
def lstm(
    input: Tensor,
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Long short-term memory in several layers over a sequence: what `nn.LSTM` computes.

    With the sum a of W x, V h and the biases in four parts:
    c' = sigmoid(a_f) c + sigmoid(a_i) tanh(a_g) and h' = sigmoid(a_o) tanh(c').

    Args:
        input: `(time, batch, input_size)`.
        hx: the first states, `(layers * directions, batch, size)`, and those of the cells.
        params: of each layer and direction the weights `(4 * hidden_size, input_size)` and
            `(4 * hidden_size, size)`, the biases of both `(4 * hidden_size,)`, and for a
            projection `(size, hidden_size)`.
        has_biases: whether there are biases.
        num_layers: how many layers.
        dropout: the probability of dropout behind each layer but the last.
        train: whether there is dropout.
        bidirectional: whether a second network goes from the end to the beginning.
        batch_first: whether input and output are `(batch, time, size)`.

    Returns:
        The states of the last layer at all times, and the last states of all layers and of their
        cells.

    Raises:
        ShapeError: the shapes do not fit.
    """
    return _over_sequence(  # type: ignore[no-any-return]
        *("LSTM", input, _pair("lstm", hx), params, has_biases, num_layers),
        *(dropout, train, bidirectional, batch_first),
    )


@_record("LSTM", cell=True)
def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of long short-term memory: what `nn.LSTMCell` computes.

    Args:
        input: `(batch, input_size)`.
        hx: the states `(batch, hidden_size)`, and those of the cells.
        w_ih: `(4 * hidden_size, input_size)`.
        w_hh: `(4 * hidden_size, hidden_size)`.
        b_ih: `(4 * hidden_size,)`.
        b_hh: likewise.

    Returns:
        The next states, and those of the cells.

    Raises:
        ShapeError: the shapes do not fit.
    """
    return _one_step("LSTM", input, _pair("lstm_cell", hx), w_ih, w_hh, b_ih, b_hh)  # type: ignore[no-any-return]


@_record("GRU")
def gru(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """Gated recurrent units in several layers over a sequence: what `nn.GRU` computes.

    With W x + b and V h + d in three parts each:
    r = sigmoid(x_r + h_r), z = sigmoid(x_z + h_z), n = tanh(x_n + r h_n) and
    h' = (1 - z) n + z h.

    Args:
        input: `(time, batch, input_size)`.
        hx: the first states, `(layers * directions, batch, hidden_size)`.
        params: of each layer and direction the weights `(3 * hidden_size, input_size)` and
            `(3 * hidden_size, hidden_size)`, the biases of both `(3 * hidden_size,)`.
        has_biases: whether there are biases.
        num_layers: how many layers.
        dropout: the probability of dropout behind each layer but the last.
        train: whether there is dropout.
        bidirectional: whether a second network goes from the end to the beginning.
        batch_first: whether input and output are `(batch, time, size)`.

    Returns:
        The states of the last layer at all times, and the last states of all layers.

    Raises:
        ShapeError: the shapes do not fit.
    """
    return _over_sequence(  # type: ignore[no-any-return]
        *("GRU", input, (hx,), params, has_biases, num_layers),
        *(dropout, train, bidirectional, batch_first),
    )


@_record("GRU", cell=True)
def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of gated recurrent units: what `nn.GRUCell` computes.

    Args:
        input: `(batch, input_size)`.
        hx: the states `(batch, hidden_size)`.
        w_ih: `(3 * hidden_size, input_size)`.
        w_hh: `(3 * hidden_size, hidden_size)`.
        b_ih: `(3 * hidden_size,)`.
        b_hh: likewise.

    Returns:
        The next states.

    Raises:
        ShapeError: the shapes do not fit.
    """
    return _one_step("GRU", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]  # type: ignore[no-any-return]


@_record("RNN_TANH")
def rnn_tanh(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """A recurrent network with tanh in several layers over a sequence: what `nn.RNN` computes.

    h' = tanh(W x + b + V h + d). As `gru`, with weights `(hidden_size, input_size)` and
    `(hidden_size, hidden_size)`, and biases `(hidden_size,)`.
    """
    return _over_sequence(  # type: ignore[no-any-return]
        *("RNN_TANH", input, (hx,), params, has_biases, num_layers),
        *(dropout, train, bidirectional, batch_first),
    )


@_record("RNN_TANH", cell=True)
def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of a recurrent network with tanh: what `nn.RNNCell` computes.

    As `gru_cell`, with weights and biases as in `rnn_tanh`.
    """
    return _one_step("RNN_TANH", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]  # type: ignore[no-any-return]


@_record("RNN_RELU")
def rnn_relu(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """As `rnn_tanh`, with relu: h' = max(W x + b + V h + d, 0)."""
    return _over_sequence(  # type: ignore[no-any-return]
        *("RNN_RELU", input, (hx,), params, has_biases, num_layers),
        *(dropout, train, bidirectional, batch_first),
    )


@_record("RNN_RELU", cell=True)
def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """As `rnn_tanh_cell`, with relu."""
    return _one_step("RNN_RELU", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]  # type: ignore[no-any-return]
