"""The modules of nn, beside PyTorch's: text, state, values and gradients; in training and not."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import gradcore as gd
from gradcore import nn


def real(*shape):
    return np.random.default_rng(sum(shape) + 1).standard_normal(shape)


def positive(*shape):
    return np.abs(real(*shape)) % 0.8 + 0.1


def whole(high, *shape):
    return np.random.default_rng(3).integers(0, high, shape)


def sign(*shape):
    return np.where(real(*shape) > 0, 1.0, -1.0)


x, image, volume, sequence = real(3, 4), real(2, 4, 6, 5), real(1, 4, 3, 4, 4), real(2, 4, 7)
by_dims = {1: sequence, 2: image, 3: volume}

# Class, arguments of the constructor by position and by name, inputs.
CASES = [
    ("Identity", (), {}, (x,)),
    ("Linear", (4, 2), {}, (x,)),
    ("Linear", (4, 2), {"bias": False}, (real(4),)),
    ("Bilinear", (4, 3, 2), {}, (x, real(3, 3))),
    ("Flatten", (), {}, (image,)),
    ("Unflatten", (1, (2, -1)), {}, (x,)),
    *[
        (name, (), {}, (x * 3,))
        for name in (
            *("ReLU", "Sigmoid", "Hardsigmoid", "Tanh", "SiLU", "Mish", "Hardswish", "ELU"),
            *("CELU", "SELU", "GLU", "GELU", "Hardshrink", "LeakyReLU", "LogSigmoid", "Softplus"),
            *("Softshrink", "Softsign", "Tanhshrink", "ReLU6", "PReLU", "Hardtanh"),
        )
    ],
    ("Threshold", (0.1, 20.0), {"inplace": False}, (x,)),
    ("GELU", ("tanh",), {}, (x,)),
    ("Softmin", (1,), {}, (x,)),
    ("Softmax", (), {"dim": 0}, (x,)),
    ("LogSoftmax", (-1,), {}, (x,)),
    ("Softmax2d", (), {}, (image,)),
    ("PReLU", (4, 0.1), {}, (image,)),
    *[(f"Conv{n}d", (4, 6, 3), {"padding": 1, "groups": 2}, (by_dims[n],)) for n in (1, 2, 3)],
    ("Conv2d", (4, 2, (3, 2)), {"stride": 2, "dilation": (1, 2), "bias": False}, (image,)),
    ("Conv2d", (4, 2, 3, 1, "same"), {"padding_mode": "reflect"}, (image,)),
    ("Conv1d", (4, 2, 3), {"padding": 2, "padding_mode": "circular"}, (sequence,)),
    *[
        (f"ConvTranspose{n}d", (4, 6, 3, 2), {"padding": 1, "groups": 2}, (by_dims[n],))
        for n in (1, 2, 3)
    ],
    ("ConvTranspose2d", (4, 2, 3, 2, 0, 1), {}, (image,)),
    *[(f"BatchNorm{n}d", (4,), {}, (by_dims[n],)) for n in (1, 2, 3)],
    ("BatchNorm1d", (4,), {"momentum": None, "bias": False}, (x,)),
    ("BatchNorm1d", (4,), {"affine": False, "track_running_stats": False}, (x,)),
    ("InstanceNorm1d", (4,), {"affine": True}, (sequence[0],)),
    ("InstanceNorm2d", (4,), {"track_running_stats": True}, (image,)),
    ("InstanceNorm3d", (4,), {}, (volume,)),
    ("LayerNorm", (4,), {}, (x,)),
    ("LayerNorm", ((3, 4),), {"bias": False, "eps": 0.1}, (x,)),
    ("RMSNorm", ((4,),), {}, (x,)),
    ("GroupNorm", (2, 4), {}, (image,)),
    ("LocalResponseNorm", (2,), {}, (image,)),
    *[(f"MaxPool{n}d", (2,), {"padding": 1}, (by_dims[n],)) for n in (1, 2, 3)],
    *[(f"AvgPool{n}d", (2,), {"stride": 1}, (by_dims[n],)) for n in (1, 2, 3)],
    ("AvgPool2d", (2,), {"divisor_override": 3}, (image,)),
    *[(f"LPPool{n}d", (2, 2), {}, (np.abs(by_dims[n]),)) for n in (1, 2, 3)],
    *[(f"AdaptiveAvgPool{n}d", (2,), {}, (by_dims[n],)) for n in (1, 2, 3)],
    *[(f"AdaptiveMaxPool{n}d", (2,), {}, (by_dims[n],)) for n in (1, 2, 3)],
    ("MaxPool2d", (2,), {"return_indices": True}, (image,)),
    (
        *("FractionalMaxPool2d", (2,)),
        {"output_ratio": 0.5, "_random_samples": positive(2, 4, 2)},
        (image,),
    ),
    ("FractionalMaxPool3d", (2, (1, 2, 2)), {"_random_samples": positive(1, 4, 3)}, (volume,)),
    ("MaxUnpool1d", (2,), {}, (real(1, 1, 2), np.array([[[1, 2]]]))),
    *[
        (f"{kind}Pad{n}d", (1, 2.0) if kind == "Constant" else (1,), {}, (by_dims[n],))
        for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero")
        for n in (1, 2, 3)
    ],
    ("ReflectionPad2d", ((1, 2, 0, 1),), {}, (image,)),
    ("Upsample", (), {"scale_factor": 2}, (image,)),
    ("Upsample", ((4, 7),), {"mode": "bilinear", "align_corners": False}, (image,)),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, (image,)),
    ("UpsamplingBilinear2d", (7,), {}, (image,)),
    ("PixelShuffle", (2,), {}, (image,)),
    ("PixelUnshuffle", (2,), {}, (real(1, 1, 4, 4),)),
    ("ChannelShuffle", (2,), {}, (image,)),
    ("CosineSimilarity", (), {}, (x, real(3, 4) + 1)),
    ("PairwiseDistance", (), {"keepdim": True}, (x, real(3, 4) + 1)),
    ("Fold", ((4, 5), 2), {}, (real(1, 8, 12),)),
    ("Unfold", (2,), {"stride": 2}, (image,)),
    ("Embedding", (5, 3), {"padding_idx": -1}, (whole(5, 2, 3),)),
    ("EmbeddingBag", (5, 3), {}, (whole(5, 2, 3),)),
    ("EmbeddingBag", (5, 3), {"mode": "max", "padding_idx": 1}, (whole(5, 6), np.array([0, 2]))),
    ("L1Loss", (), {}, (x, real(3, 4) * 2)),
    ("MSELoss", (), {"reduction": "sum"}, (x, real(3, 4) * 2)),
    ("SmoothL1Loss", (), {"beta": 0.5}, (x, real(3, 4) * 2)),
    ("HuberLoss", ("none", 0.5), {}, (x, real(3, 4) * 2)),
    ("NLLLoss", (np.arange(1.0, 5.0),), {"ignore_index": 2}, (x, whole(4, 3))),
    ("CrossEntropyLoss", (), {"label_smoothing": 0.1}, (x, whole(4, 3))),
    ("BCELoss", (positive(4),), {}, (positive(3, 4), whole(2, 3, 4) * 1.0)),
    ("BCEWithLogitsLoss", (), {"pos_weight": positive(4)}, (x, whole(2, 3, 4) * 1.0)),
    ("KLDivLoss", (), {"reduction": "batchmean"}, (x, positive(3, 4))),
    ("PoissonNLLLoss", (), {"full": True}, (x, positive(3, 4) * 5)),
    ("GaussianNLLLoss", (), {"full": True}, (x, real(3, 4) * 2, positive(3, 4))),
    ("MarginRankingLoss", (0.5,), {}, (real(4), real(4) * 2, sign(4))),
    ("HingeEmbeddingLoss", (), {}, (x, sign(3, 4))),
    ("SoftMarginLoss", (), {}, (x, sign(3, 4).astype(np.float32))),
    ("CosineEmbeddingLoss", (), {}, (x, real(3, 4) + 1, sign(3))),
    ("MultiMarginLoss", (2,), {}, (x, whole(4, 3))),
    ("MultiLabelMarginLoss", (), {}, (x, np.array([[0, 2, -1, 0]] * 3))),
    ("MultiLabelSoftMarginLoss", (), {}, (x, whole(2, 3, 4) * 1.0)),
    ("TripletMarginLoss", (), {"swap": True}, (x, real(3, 4) + 1, real(3, 4) * 2)),
    ("TripletMarginWithDistanceLoss", (), {}, (x, real(3, 4) + 1, real(3, 4) * 2)),
    ("RNN", (4, 3), {"nonlinearity": "relu"}, (real(5, 2, 4),)),
    ("RNN", (4, 3), {"batch_first": True, "bidirectional": True}, (real(2, 5, 4), real(2, 2, 3))),
    ("LSTM", (4, 3, 2), {"bidirectional": True}, (real(5, 2, 4),)),
    (*("LSTM", (4, 3), {"proj_size": 2}), (real(5, 4), (real(1, 2), real(1, 3)))),
    ("GRU", (4, 3, 2), {"batch_first": True}, (real(2, 5, 4), real(2, 2, 3))),
    ("GRU", (4, 3), {"bias": False, "bidirectional": True}, (real(5, 4),)),
    (
        *("LSTM", (4, 3, 2), {"proj_size": 2, "bidirectional": True, "batch_first": True}),
        (real(2, 5, 4), (real(4, 2, 2), real(4, 2, 3))),
    ),
    ("GRU", (4, 3, 2), {"dropout": 1.0}, (real(1, 2, 4),)),
    ("TransformerEncoderLayer", (4, 2, 3, 0.0), {}, (real(3, 2, 4),)),
    ("TransformerEncoderLayer", (4, 2, 3, 0.0), {"norm_first": True}, (real(3, 2, 4),)),
    *[
        (
            *("TransformerDecoderLayer", (4, 2, 3, 0.0, "gelu", 1e-3, True, norm_first), {}),
            (real(2, 3, 4), real(2, 5, 4), real(3, 3), whole(2, 3, 5) > 1, whole(3, 2, 3) > 2),
        )
        for norm_first in (False, True)
    ],
    (
        *("TransformerDecoderLayer", (4, 2, 3, 0.0), {"bias": False}),
        (real(3, 4), real(5, 4), None, real(3, 5)),
    ),
    (
        *("Transformer", (4, 2, 1, 2, 3, 0.0), {"norm_first": True, "activation": "gelu"}),
        (real(3, 2, 4), real(5, 2, 4), None, np.triu(np.ones((5, 5), bool), 1)),
    ),
    (
        *("Transformer", (4, 1, 2, 1, 3, 0.0), {"batch_first": True}),
        (real(2, 3, 4), real(2, 5, 4), whole(3, 3, 3) > 1, None, real(5, 3), whole(3, 2, 3) > 1),
    ),
    ("AdaptiveLogSoftmaxWithLoss", (4, 20, [3, 10], 2.0), {}, (real(9, 4), np.arange(0, 18, 2))),
    (
        *("AdaptiveLogSoftmaxWithLoss", (4, 6, [2, 3]), {"div_value": 1.0, "head_bias": True}),
        (real(4), np.array(5)),
    ),
    ("RNNCell", (4, 3), {}, (x, real(3, 3))),
    ("LSTMCell", (4, 3), {"bias": False}, (x, (real(3, 3), real(3, 3)))),
    ("RNNCell", (4, 3), {"nonlinearity": "relu"}, (real(4),)),
    ("LSTMCell", (4, 3), {}, (real(4), (real(3), real(3)))),
    ("GRUCell", (4, 3), {}, (x,)),
    ("GRUCell", (4, 3, True), {}, (real(4), real(3))),
    ("MultiheadAttention", (4, 2), {}, (real(3, 2, 4),) * 3),
    (
        *("MultiheadAttention", (4, 2), {"kdim": 3, "add_bias_kv": True, "batch_first": True}),
        (real(2, 3, 4), real(2, 5, 3), real(2, 5, 4)),
    ),
]


def names(case):
    return f"{case[0]}-{CASES.index(case)}"


def made(lib, case):
    """The module, with numbers of float64."""
    name, args, kwargs, _ = case
    change = lambda v: lib.tensor(v) if isinstance(v, np.ndarray) else v
    module = getattr(lib.nn, name)(*map(change, args), **{k: change(v) for k, v in kwargs.items()})
    return module.double()


def run(lib, module, inputs):
    """Outputs, and the gradients of parameters and inputs."""
    leaves = []

    def leaf(value):
        if isinstance(value, tuple):
            return tuple(map(leaf, value))
        if value is None:
            return None
        t = lib.tensor(value)
        if value.dtype == np.float64:
            leaves.append(t.requires_grad_())
        return t

    outputs = module(*map(leaf, inputs))
    flat = []

    def flatten(value):
        for v in value if isinstance(value, tuple) else (value,):
            flatten(v) if isinstance(v, tuple) else flat.append(v)

    flatten(outputs)
    if any(t.requires_grad for t in flat):
        sum((t * t.detach().cos()).sum() for t in flat if t.requires_grad).backward()
    leaves += module.parameters()
    numbers = lambda t: None if t is None else t.detach().numpy()
    return [numbers(t) for t in flat], [numbers(t.grad) for t in leaves]


# What PyTorch says of its own ways to the same result.
quiet = pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:Support for mismatched")


@quiet
@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=names)
def test_as_in_pytorch(torch, case):
    ours, theirs = made(gd, case), made(torch, case)
    assert str(ours) == str(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    state = theirs.state_dict()
    assert dict(ours.state_dict()._metadata) == dict(state._metadata)
    for name, t in ours.state_dict().items():
        assert tuple(t.shape) == tuple(state[name].shape)
        assert str(t.dtype).split(".")[1] == str(state[name].dtype).split(".")[1]
    ours.load_state_dict({name: t.numpy() for name, t in state.items()})
    for training in (True, False):
        ours.train(training), theirs.train(training)
        ours.zero_grad(), theirs.zero_grad()
        for mine, its in zip(run(gd, ours, case[3]), run(torch, theirs, case[3]), strict=True):
            for a, b in zip(mine, its, strict=True):
                if b is None:
                    assert a is None or not a.any()
                else:
                    assert a.dtype == b.dtype
                    assert a.shape == b.shape
                    # PyTorch's hardsigmoid multiplies with a sixth that is no double.
                    rtol = 1e-7 if case[0] == "Hardsigmoid" else 1e-9
                    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-10)
    for name, t in theirs.state_dict().items():  # running statistics
        np.testing.assert_allclose(ours.state_dict()[name].numpy(), t.numpy(), rtol=1e-10)


@pytest.mark.parity
def test_constructors_are_pytorchs(torch):
    for name in sorted(set(nn.__all__) & set(dir(torch.nn))):
        here, there = getattr(nn, name), getattr(torch.nn, name)
        if not inspect.isclass(here) or name in ("Module", "Parameter", "Buffer", "RNN"):
            continue
        if name in ("LSTM", "GRU"):  # theirs say only *args
            there = torch.nn.RNNBase
            wanted = [*inspect.signature(there).parameters][1:]
            wanted = [n for n in wanted if name == "LSTM" or n != "proj_size"]
        else:
            wanted = list(inspect.signature(there).parameters)
        if wanted[:1] == ["args"] and name != "Identity":
            continue
        assert list(inspect.signature(here).parameters) == wanted, name


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Linear", (50, 40)),
        ("Conv2d", (20, 10, 3)),
        ("ConvTranspose1d", (20, 10, 3)),
        ("Embedding", (50, 40)),
        ("LSTM", (20, 20)),
        ("MultiheadAttention", (20, 2)),
        ("Bilinear", (20, 10, 50)),
    ],
)
def test_first_values_are_drawn_as_pytorchs(torch, name, args):
    torch.manual_seed(0)
    ours, theirs = (getattr(lib.nn, name)(*args) for lib in (gd, torch))
    for (key, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        a, b = a.detach().numpy(), b.detach().numpy()
        assert np.isclose(a.std(), b.std(), 0.5, 1e-7), key
        if a.size > 1000:
            assert np.isclose(a.std(), b.std(), 0.08), key
            assert np.isclose(a.mean(), b.mean(), 0, 0.15 * b.std()), key


@pytest.mark.parity
@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.Conv2d(3, 4, 2, groups=2),
        lambda nn: nn.Conv2d(4, 4, 2, groups=0),
        lambda nn: nn.Conv2d(4, 4, 2, padding="some"),
        lambda nn: nn.Conv2d(4, 4, 2, padding="same", stride=2),
        lambda nn: nn.Conv2d(4, 4, 2, padding_mode="none"),
        lambda nn: nn.ConvTranspose2d(4, 4, 2, padding_mode="reflect"),
        lambda nn: nn.GroupNorm(3, 4),
        lambda nn: nn.Dropout(1.5),
        lambda nn: nn.Bilinear(0, 1, 1),
        lambda nn: nn.Embedding(3, 2, padding_idx=3),
        lambda nn: nn.LSTM(2, 3, proj_size=3),
        lambda nn: nn.GRU(2, 0),
        lambda nn: nn.RNN(2, 3, dropout=2.0),
        lambda nn: nn.RNN(2, 3, nonlinearity="sin"),
        lambda nn: nn.RNN(2, 3, bias=1),
        lambda nn: nn.RNN(2, 3, batch_first=0),
        lambda nn: nn.LSTM(0, 3),
        lambda nn: nn.LSTM("2", 3),
        lambda nn: nn.TransformerDecoderLayer(4, 2, activation="tanh"),
        lambda nn: nn.Transformer(4, 3),
        lambda nn: nn.AdaptiveLogSoftmaxWithLoss(4, 5, []),
        lambda nn: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [3, 2]),
        lambda nn: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [2, 5]),
        lambda nn: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [0, 2]),
        lambda nn: nn.MultiheadAttention(5, 2),
        lambda nn: nn.Linear(1),
    ],
)
def test_wrong_options_raise_as_in_pytorch(torch, make):
    with pytest.raises(Exception) as wanted:
        make(torch.nn)
    kinds = (TypeError, ValueError, RuntimeError, AssertionError)
    kind = next(k for k in kinds if isinstance(wanted.value, k))
    with pytest.raises(ValueError if kind is AssertionError else kind):
        make(nn)


def test_dropout_is_only_in_training():
    values = gd.ones(1000)
    module = nn.Dropout(0.5)
    assert set(module(values).numpy()) == {0.0, 2.0}
    assert (module.eval()(values) == values).all()
    assert str(nn.AlphaDropout(0.25)) == "AlphaDropout(p=0.25, inplace=False)"
    assert str(nn.ReLU(inplace=True)) == "ReLU(inplace=True)"


def test_output_size_of_a_transposed_convolution():
    module = nn.ConvTranspose1d(1, 1, 3, stride=2)
    assert module(gd.ones(1, 1, 4), output_size=[10]).shape == (1, 1, 10)
    with pytest.raises(ValueError, match="valid sizes range from"):
        module(gd.ones(1, 1, 4), output_size=[12])


def test_old_arguments_of_losses_warn():
    with pytest.warns(UserWarning, match="reduction='sum'"):
        assert nn.MSELoss(size_average=False).reduction == "sum"


def test_a_table_that_was_learnt():
    table = gd.tensor([[1.0, 2.0], [3.0, 4.0]])
    module = nn.Embedding.from_pretrained(table)
    assert not module.weight.requires_grad
    assert module(gd.tensor([1])).tolist() == [[3.0, 4.0]]


def test_modules_can_be_copied_pickled_and_subclassed():
    class Mine(nn.ReLU):
        note: str = "mine"

        def forward(self, input):
            return super().forward(input) + 1

    assert Mine()(gd.tensor([-1.0, 2.0])).tolist() == [1.0, 3.0]
    module = nn.Sequential(nn.Linear(2, 3), nn.ELU(0.5), nn.BatchNorm1d(3), nn.LSTM(3, 2))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert str(other) == str(module)
        assert (other[0].weight == module[0].weight).all()


@pytest.mark.parity
@pytest.mark.parametrize("causal", [None, False, True])
def test_stacked_encoder_layers(torch, causal):
    def stacked(lib):
        layer = lib.nn.TransformerEncoderLayer(4, 2, 3, 0.0, "gelu", batch_first=True, bias=True)
        return lib.nn.TransformerEncoder(layer, 2, lib.nn.LayerNorm(4)).double()

    ours, theirs = stacked(gd), stacked(torch)
    assert str(ours) == str(theirs)
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    mask = np.triu(np.full((3, 3), -np.inf), 1)
    padding = np.array([[False, False, True], [False, False, False]])
    found = []
    for lib, module in ((gd, ours), (torch, theirs)):
        given = [lib.tensor(v) for v in (real(2, 3, 4), mask, np.where(padding, -np.inf, 0.0))]
        found.append(module(*given, is_causal=causal).detach().numpy())
    np.testing.assert_allclose(*found, rtol=1e-9)


@pytest.mark.parity
def test_the_mask_of_what_is_later(torch):
    ours = nn.Transformer.generate_square_subsequent_mask(3, dtype=gd.float64)
    theirs = torch.nn.Transformer.generate_square_subsequent_mask(3, dtype=torch.float64)
    assert ours.tolist() == theirs.tolist()
    assert ours.dtype is gd.float64


def test_a_transformer_of_given_parts():
    class Double(nn.Module):
        def forward(self, src, mask, src_key_padding_mask, is_causal):
            assert is_causal is None
            return src * 2

    module = nn.Transformer(4, 2, 1, 1, 3, 0.0, custom_encoder=Double())
    src, tgt = gd.tensor(real(3, 2, 4)).float(), gd.tensor(real(5, 2, 4)).float()
    assert (module(src, tgt) == module.decoder(tgt, src * 2)).all()


@quiet
@pytest.mark.parity
@pytest.mark.parametrize(
    "shapes", [((3, 2, 4), (5, 3, 4)), ((3, 2, 3), (5, 2, 4)), ((3, 2, 4), (5, 2, 3))]
)
def test_inputs_of_a_transformer_that_do_not_fit(torch, shapes):
    for lib in (gd, torch):
        module = lib.nn.Transformer(4, 2, 1, 1, 3)
        with pytest.raises(
            RuntimeError, match=r"the (batch|feature) number of src and tgt must be"
        ):
            module(*map(lib.ones, shapes))


@pytest.mark.parity
def test_probabilities_of_clusters(torch):
    arguments = (4, 20, [3, 10], 2.0, True)
    ours = nn.AdaptiveLogSoftmaxWithLoss(*arguments).double()
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(*arguments).double()
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    # Rows that are all in the first classes, all in clusters, and some of both.
    rows = real(40, 4) * 5
    expected = theirs.predict(torch.tensor(rows)).numpy()
    assert 0 < (expected < 3).sum() < 40
    for chosen in (rows, rows[expected < 3], rows[expected >= 3]):
        a, b = gd.tensor(chosen), torch.tensor(chosen)
        logs = ours.log_prob(a)
        np.testing.assert_allclose(
            logs.detach().numpy(), theirs.log_prob(b).detach().numpy(), rtol=1e-10
        )
        np.testing.assert_allclose(logs.exp().sum(1).detach().numpy(), 1.0)
        assert ours.predict(a).tolist() == theirs.predict(b).tolist()
    before = ours.head.weight.clone()
    ours.reset_parameters()
    assert (ours.head.weight != before).any()


@pytest.mark.parity
@pytest.mark.parametrize(
    ("shape", "target", "match"),
    [
        ((3, 4), [0, 1], "same size in the batch"),
        ((2, 1, 4), [0, 1], "1D target tensor expects 2D input"),
        ((2, 4), 1, "0D target tensor expects 1D input"),
        ((2, 4), [[0, 1]], "0D or 1D target"),
        ((2, 4), [0, 9], r"in \[0, 8\], but values in range \[0, 9\]"),
        ((2, 4), [-1, 2], r"in \[0, 8\], but values in range \[-1, 2\]"),
    ],
)
def test_targets_that_are_no_classes(torch, shape, target, match):
    for lib in (gd, torch):
        module = lib.nn.AdaptiveLogSoftmaxWithLoss(4, 9, [3])
        with pytest.raises(RuntimeError, match=match):
            module(lib.ones(shape), lib.tensor(target))
