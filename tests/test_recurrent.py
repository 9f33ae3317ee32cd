"""Recurrent networks, and sequences of several lengths, beside PyTorch's."""

import numpy as np
import pytest

import gradcore as gd
from gradcore import nn
from gradcore.nn.utils import rnn
from gradcore.ops import recurrent

LENGTHS = [2, 5, 1, 5]


def real(*shape):
    return np.random.default_rng(sum(shape) + 1).standard_normal(shape)


def sequences(lib, lengths=LENGTHS, width=3):
    return [lib.tensor(real(n, width) + k, requires_grad=True) for k, n in enumerate(lengths)]


def numbers(t):
    return None if t is None else t.detach().numpy()


def check_same(ours, theirs, rtol=1e-9):
    assert type(ours).__name__ == type(theirs).__name__
    if isinstance(ours, list | tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            check_same(a, b, rtol)
    elif ours is not None:
        a, b = numbers(ours), numbers(theirs)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


CALLS = [
    lambda f, s: f.pad_sequence(s),
    lambda f, s: f.pad_sequence(s, True, -1.5),
    lambda f, s: f.pad_sequence(iter(s), padding_side="left"),
    lambda f, s: f.pack_sequence(s, enforce_sorted=False),
    lambda f, s: f.pack_sequence([s[1], s[3], s[0]]),
    lambda f, s: f.pack_padded_sequence(f.pad_sequence(s), LENGTHS, enforce_sorted=False),
    lambda f, s: f.pack_padded_sequence(f.pad_sequence(s, True), [4, 3, 3, 1], True),
    lambda f, s: f.pad_packed_sequence(f.pack_sequence(s, False)),
    lambda f, s: f.pad_packed_sequence(f.pack_sequence(s, False), True, 2.0, 7),
    lambda f, s: f.pad_packed_sequence(f.pack_sequence(s[1:3])),
    lambda f, s: f.unpack_sequence(f.pack_sequence(s, False)),
]


def gradients(value):
    """Of the sum of the squares of all that is recorded, back to the leaves."""
    found = []

    def collect(v):
        if isinstance(v, list | tuple):
            for part in v:
                collect(part)
        elif v is not None and v.requires_grad:
            found.append((v * v).sum())

    collect(value)
    sum(found).backward()


@pytest.mark.parity
@pytest.mark.parametrize("call", CALLS)
def test_values_and_gradients_are_pytorchs(torch, call):
    here, there = sequences(gd), sequences(torch)
    ours, theirs = call(rnn, here), call(torch.nn.utils.rnn, there)
    check_same(ours, theirs)
    gradients(ours), gradients(theirs)
    check_same([t.grad for t in here], [t.grad for t in there])


@pytest.mark.parity
def test_whole_numbers_and_other_dimensions(torch):
    found = []
    for lib, f in ((gd, rnn), (torch, torch.nn.utils.rnn)):
        whole = [lib.tensor([1, 2, 3]), lib.tensor([4])]
        deep = [lib.tensor(real(2, 2, 3)), lib.tensor(real(3, 2, 3))]
        packed = f.pack_sequence(whole)
        found.append(
            [
                f.pad_sequence(whole, padding_value=7),
                tuple(packed),
                f.pad_packed_sequence(packed, padding_value=-1),
                f.pad_sequence(deep),
                f.unpack_sequence(f.pack_sequence(deep, False)),
                f.unpad_sequence(f.pad_sequence(deep, True), lib.tensor([2, 1]), True),
                f.unpad_sequence(f.pad_sequence(deep), lib.tensor([2, 3])),
                f.invert_permutation(lib.tensor([2, 0, 1])),
                f.invert_permutation(None),
            ]
        )
    check_same(*found)


BAD = [
    (lambda f, o: f.pad_sequence([]), "empty list of sequences"),
    (lambda f, o: f.pad_sequence(3), "Expected iterable"),
    (lambda f, o: f.pad_sequence([o(2, 3), o(2, 4)]), "match"),
    (lambda f, o: f.pad_sequence([o(2)], padding_side="top"), "one of left or right, but got top"),
    (lambda f, o: f.pack_sequence([]), "empty list of sequences"),
    (lambda f, o: f.pack_sequence([o(1), o(2)]), "must be sorted in decreasing order"),
    (lambda f, o: f.pack_padded_sequence(o(3, 2), [2, 3]), "must be sorted in decreasing order"),
    (lambda f, o: f.pack_padded_sequence(o(3, 2), [2, 0]), "has to be greater than 0"),
    (lambda f, o: f.pack_padded_sequence(o(3, 2), [0, 2], False, False), "has to be greater than"),
    (lambda f, o: f.pack_padded_sequence(o(3, 2), [2]), r"but got 1 \(batch_size=2\)"),
    (lambda f, o: f.pack_padded_sequence(o(0, 2), [0, 0]), "Cannot pack empty tensors"),
    (lambda f, o: f.pack_padded_sequence(o(3), [2]), "Dimension out of range"),
    (lambda f, o: f.pack_padded_sequence(o(3, 2), [[2, 1]]), "1D CPU int64 tensor, but got 2D"),
    (
        lambda f, o: f.pad_packed_sequence(f.pack_sequence([o(2)]), total_length=1),
        "got total_length=1 and max sequence length being 2",
    ),
    (lambda f, o: f.unpad_sequence(o(3, 2), o(3)), None),
    (lambda f, o: f.PackedSequence(o(2)), "list or tuple of length 2"),
]


@pytest.mark.parity
@pytest.mark.parametrize(("call", "match"), BAD)
def test_what_is_wrong_raises_as_in_pytorch(torch, call, match):
    with pytest.raises(Exception, match=match) as theirs:
        call(torch.nn.utils.rnn, torch.ones)
    kinds = (ValueError, RuntimeError, IndexError)
    kind = next((k for k in kinds if isinstance(theirs.value, k)), ValueError)
    with pytest.raises(kind, match=match):
        call(rnn, gd.ones)


def test_lengths_beyond_the_end_are_refused():
    with pytest.raises(RuntimeError, match="lengths of at most 3"):
        rnn.pack_padded_sequence(gd.ones(3, 2), [4, 1])


def test_unpadding_leaves_the_tensor_as_it_is():
    padded = gd.ones(3, 2)
    rnn.unpad_sequence(padded, gd.tensor([3, 1]))
    assert padded.shape == (3, 2)


def test_a_packed_sequence_in_other_dtypes():
    packed = rnn.pack_sequence(sequences(gd), enforce_sorted=False)
    assert packed.to(gd.float64) is packed
    assert packed.cpu() is packed
    assert not packed.is_cuda
    assert not packed.is_pinned()
    for name, dtype in (
        *(("float", gd.float32), ("double", gd.float64), ("half", gd.float16)),
        *(("long", gd.int64), ("int", gd.int32), ("short", gd.int16)),
        *(("char", gd.int8), ("byte", gd.uint8)),
    ):
        other = getattr(packed, name)()
        assert isinstance(other, rnn.PackedSequence)
        assert other.data.dtype is dtype
        assert other.batch_sizes is packed.batch_sizes
        assert other.sorted_indices.tolist() == [1, 3, 0, 2]
        assert other.unsorted_indices.tolist() == [2, 0, 3, 1]
    assert str(rnn.pack_sequence([gd.tensor([1, 2]), gd.tensor([3])])) == (
        "PackedSequence(data=tensor([1, 3, 2]), batch_sizes=tensor([2, 1]), "
        "sorted_indices=None, unsorted_indices=None)"
    )
    data, sizes = gd.ones(3), gd.tensor([2, 1])
    assert rnn.PackedSequence((data, sizes)).batch_sizes is sizes


NETWORKS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "bidirectional": True, "num_layers": 2}),
    ("LSTM", {"bias": False}),
    ("LSTM", {"bidirectional": True, "num_layers": 2}),
    ("LSTM", {"bidirectional": True, "proj_size": 2, "batch_first": True}),
    ("GRU", {"num_layers": 2, "dropout": 1.0}),
    ("GRU", {"bidirectional": True}),
]


@pytest.mark.parity
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("lengths", [LENGTHS, [3, 3], [1], [4, 2, 1]])
@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_networks_over_packed_sequences(torch, name, options, lengths, given):
    ours, theirs = (getattr(lib.nn, name)(3, 4, **options).double() for lib in (gd, torch))
    ours.load_state_dict({key: t.numpy() for key, t in theirs.state_dict().items()})
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    found = []
    for lib, module, f in ((gd, ours, rnn), (torch, theirs, torch.nn.utils.rnn)):
        leaves = sequences(lib, lengths)
        packed = f.pack_sequence(leaves, enforce_sorted=False)
        hx = None
        if given:
            widths = [options.get("proj_size", 4), 4]
            states = [real(count, len(lengths), n) for n in widths]
            states = [lib.tensor(s, requires_grad=True) for s in states]
            hx = tuple(states) if name == "LSTM" else states[0]
            leaves += states if name == "LSTM" else states[:1]
        outputs = module(packed, hx)
        gradients((outputs[0].data, outputs[1]))
        found.append([outputs, [t.grad for t in (*leaves, *module.parameters())]])
    check_same(*found)


@pytest.mark.parity
def test_a_packed_batch_is_its_sequences_one_by_one(torch):
    module = nn.LSTM(3, 4, bidirectional=True).double()
    found, (h, c) = module(rnn.pack_sequence(sequences(gd), enforce_sorted=False))
    for k, (y, x) in enumerate(zip(rnn.unpack_sequence(found), sequences(gd), strict=True)):
        expected, (last, cells) = module(x)
        np.testing.assert_allclose(numbers(y), numbers(expected), rtol=1e-12)
        np.testing.assert_allclose(numbers(h[:, k]), numbers(last), rtol=1e-12)
        np.testing.assert_allclose(numbers(c[:, k]), numbers(cells), rtol=1e-12)


MISFITS = [
    lambda lib, f: lib.nn.LSTM(3, 4)(f.pack_sequence([lib.ones(2)])),
    lambda lib, f: lib.nn.GRU(3, 4)(f.pack_sequence([lib.ones(2, 3)]), lib.ones(1, 2, 4)),
    lambda lib, f: lib.nn.GRU(3, 4)(f.pack_sequence([lib.ones(2, 3)]), lib.ones(1, 4)),
    lambda lib, f: lib.nn.LSTM(3, 4)(lib.ones(2, 2, 5)),
    lambda lib, f: lib.nn.LSTM(3, 4)(lib.ones(2, 2, 3), (lib.ones(1, 2, 4), lib.ones(2, 4))),
    lambda lib, f: lib.nn.LSTM(3, 4)(lib.ones(2, 2, 3), (lib.ones(1, 2, 4), lib.ones(1, 3, 4))),
    lambda lib, f: lib.nn.RNN(3, 4)(lib.ones(2, 3), lib.ones(1, 1, 4)),
    lambda lib, f: lib.nn.RNN(3, 4)(lib.ones(2, 2, 3), lib.ones(2, 2, 4)),
    lambda lib, f: lib.nn.RNN(3, 4)(lib.ones(2, 2, 3).double()),
    lambda lib, f: lib.nn.RNN(3, 4)(lib.ones(3)),
    lambda lib, f: lib.nn.RNN(3, 4)(lib.ones(0, 2, 3)),
    lambda lib, f: lib.nn.LSTMCell(3, 4)(lib.ones(1, 2, 3)),
    lambda lib, f: lib.nn.GRUCell(3, 4)(lib.ones(2, 3), lib.ones(1, 2, 4)),
    lambda lib, f: lib.nn.GRUCell(3, 4)(lib.ones(2, 3), lib.ones(3, 4)),
]


@pytest.mark.parity
@pytest.mark.parametrize("call", MISFITS)
def test_what_does_not_fit_a_network_raises_as_in_pytorch(torch, call):
    with pytest.raises((RuntimeError, ValueError)) as theirs:
        call(torch, torch.nn.utils.rnn)
    kind = next(k for k in (ValueError, RuntimeError) if isinstance(theirs.value, k))
    with pytest.raises(kind):
        call(gd, rnn)


def test_a_network_takes_no_array():
    with pytest.raises(TypeError, match="expected a Tensor or a PackedSequence, not ndarray"):
        nn.GRU(3, 4)(np.ones((2, 2, 3)))


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru", 3)])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_do_not_depend_on_how_many_steps_a_rule_takes_at_a_time(
    monkeypatch, name, gates, reverse
):
    def derivatives(block):
        monkeypatch.setattr(recurrent, "_BLOCK", block)
        params = [real(gates * 3, 2), real(gates * 3, 3)] * 2
        leaves = [gd.tensor(a, requires_grad=True) for a in (real(5, 2, 2), real(2, 2, 3), *params)]
        x, h, *weights = leaves
        hx = (h, h.sin()) if name == "lstm" else h
        y = getattr(gd, name)(x, hx, weights, False, 1, 0.0, True, True, False)[0]
        y = y[..., 3:] if reverse else y[..., :3]
        first = gd.autograd.grad((y**2).sum(), leaves, create_graph=True, materialize_grads=True)
        total = sum((g**2).sum() for g in first)
        second = gd.autograd.grad(total, leaves, materialize_grads=True)
        return [numbers(t) for t in (*first, *second)]

    steps = 2 * gates * 3
    whole = derivatives(5 * steps)
    for block in (1, 2 * steps):
        for a, b in zip(derivatives(block), whole, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_weights_that_do_not_fit_are_refused():
    x, h = gd.ones(2, 3), gd.ones(2, 4)
    with pytest.raises(RuntimeError, match=r"expected weights of 3 \* 4 rows .* got 12 and 11"):
        gd.gru_cell(x, h, gd.ones(12, 3), gd.ones(11, 4))
    with pytest.raises(RuntimeError, match=r"one floating point dtype, but got .*float64"):
        gd.rnn_tanh_cell(x, h.double(), gd.ones(4, 3), gd.ones(4, 4))
