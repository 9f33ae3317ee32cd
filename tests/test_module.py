"""Modules and what holds them, beside PyTorch's."""

import copy
import pickle

import numpy as np
import pytest

import gradcore as gd
from gradcore import nn


def block(lib):
    """A class of modules with a parameter, a buffer, one more that is not kept, and its module."""

    class Block(lib.nn.Module):
        def __init__(self, size=2):
            super().__init__()
            self.weight = lib.nn.Parameter(lib.ones(size, 3, dtype=lib.float64))
            self.bias = None
            self.register_parameter("absent", None)
            self.register_buffer("seen", lib.zeros(1, dtype=lib.float64))
            self.register_buffer("scratch", lib.zeros(2), persistent=False)
            self.inner = None

        def forward(self, x, scale=1.0):
            y = x @ self.weight.t() * scale
            return y if self.inner is None else self.inner(y)

        def extra_repr(self):
            return f"size={self.weight.shape[0]}"

    return Block


def net(lib):
    Block = block(lib)
    outer = Block()
    outer.inner = lib.nn.Sequential(lib.nn.Module(), Block(1))
    outer.rows = lib.nn.ModuleList([Block(), Block(), Block(1)])
    outer.rows.append(outer.inner[1])  # shared
    outer.named = lib.nn.ModuleDict({"a": Block(), "b": lib.nn.Sequential()})
    outer.extra = lib.nn.ParameterList([lib.ones(2), lib.nn.Parameter(lib.ones(2, 3))])
    outer.byname = lib.nn.ParameterDict({"p": lib.ones(2), "q": lib.zeros(1)})
    return outer


class Affine(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(gd.tensor([[1.0, 2.0], [3.0, 4.0]]))
        self.register_buffer("shift", gd.ones(2))

    def forward(self, x):
        return x @ self.weight + self.shift


@pytest.mark.parity
def test_names_and_text_are_those_of_pytorch(torch):
    here, there = net(gd), net(torch)
    for listing in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(here, listing)()] == [n for n, _ in getattr(there, listing)()]
    again = "named_parameters"
    assert [n for n, _ in getattr(here, again)(remove_duplicate=False)] == [
        n for n, _ in getattr(there, again)(remove_duplicate=False)
    ]
    assert list(here.state_dict()) == list(there.state_dict())
    assert list(here.state_dict(prefix="m.")) == list(there.state_dict(prefix="m."))
    assert dict(here.state_dict()._metadata) == dict(there.state_dict()._metadata)

    def text(module):
        return (
            str(module).replace("torch.FloatTensor", "torch.float32").replace("torch", "gradcore")
        )

    assert text(here) == text(there)


@pytest.mark.parity
def test_state_goes_from_one_library_to_the_other(torch):
    here, there = net(gd), net(torch)
    state = {name: t.numpy() * 3 + 1 for name, t in there.state_dict().items()}
    assert str(here.load_state_dict(state)) == "<All keys matched successfully>"
    for name, t in here.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), state[name])
    there.load_state_dict({n: torch.tensor(t.numpy()) for n, t in here.state_dict().items()})


@pytest.mark.parity
@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("weight"),
        lambda state: state.update(more=state["weight"]),
        lambda state: state.update({"rows.7.weight": state["weight"]}),
        lambda state: state.update({"weight.more": state["weight"]}),
        lambda state: state.update(weight=state["weight"][:1]),
    ],
    ids=["missing", "unexpected", "unexpected deep", "unexpected below", "shape"],
)
def test_what_does_not_fit_is_refused_in_pytorchs_words(torch, change):
    here, there = net(gd), net(torch)
    before = here.weight.detach().clone()
    messages = []
    for module in (here, there):
        state = dict(module.state_dict())
        for name in state:
            state[name] = state[name] * 2
        change(state)
        with pytest.raises(RuntimeError) as raised:
            module.load_state_dict(state)
        messages.append(str(raised.value).replace("torch.", "gradcore."))
    assert messages[0] == messages[1]
    assert (here.weight == before).all()


def test_not_strict():
    found = Affine().load_state_dict({"weight": gd.zeros(2, 2), "more": gd.ones(1)}, strict=False)
    assert found == (["shift"], ["more"])


def test_assign_takes_the_tensors_themselves():
    module, w = Affine(), gd.zeros(2, 2, dtype=gd.float64)
    module.load_state_dict({"weight": w, "shift": gd.ones(2)}, assign=True)
    assert module.weight.dtype is gd.float64
    assert module.weight.data_ptr() == w.data_ptr()
    assert isinstance(module.weight, nn.Parameter)


def test_attributes():
    module = Affine()
    p = module.weight
    module.weight = nn.Parameter(gd.zeros(2, 2))
    assert module.weight is not p
    with pytest.raises(TypeError, match="as parameter 'weight'"):
        module.weight = gd.zeros(2, 2)
    with pytest.raises(TypeError, match="as buffer 'shift'"):
        module.shift = "a"
    module.shift = gd.zeros(2)
    module.late = nn.Buffer(gd.ones(1), persistent=False)
    assert list(dict(module.named_buffers())) == ["shift", "late"]
    assert "late" not in module.state_dict()
    module.other = gd.ones(1, requires_grad=True)  # a Tensor is no Parameter
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    del module.weight
    with pytest.raises(AttributeError, match="'Affine' object has no attribute 'weight'"):
        module.weight
    assert "shift" in dir(module)


def test_parts_before_init_are_refused():
    class Early(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(gd.ones(1))

    with pytest.raises(AttributeError, match="cannot assign parameters before"):
        Early()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m.register_parameter("a.b", None), KeyError, "contain"),
        (lambda m: m.register_parameter("", None), KeyError, "empty string"),
        (lambda m: m.register_parameter("forward", None), KeyError, "already exists"),
        (lambda m: m.register_parameter("p", gd.ones(1)), TypeError, "cannot assign"),
        (lambda m: m.register_buffer("b", 1), TypeError, "cannot assign"),
        (lambda m: m.add_module("m", 1), TypeError, "is not a Module subclass"),
        (lambda m: m.get_submodule("no"), AttributeError, "has no attribute `no`"),
        (lambda m: m.get_parameter("shift"), AttributeError, "is not an nn.Parameter"),
        (lambda m: m.train(1), ValueError, "expected to be boolean"),
        (lambda m: m.to(gd.int64), TypeError, "floating point or complex dtypes"),
        (lambda m: m.load_state_dict(3), TypeError, "dict-like"),
        (lambda m: nn.Sequential(m)[2], IndexError, "index 2 is out of range"),
        (lambda m: nn.ModuleList([1]), TypeError, "is not a Module subclass"),
    ],
)
def test_wrong_use_says_what_is_wrong(call, error, words):
    with pytest.raises(error, match=words):
        call(Affine())


def test_modes_gradients_and_dtypes():
    module = nn.Sequential(Affine(), Affine())
    module.eval()
    assert not module[1].training
    module.train().requires_grad_(False)
    assert not any(p.requires_grad for p in module.parameters())
    module.requires_grad_()
    module(gd.ones(1, 2)).sum().backward()
    p = module[0].weight
    assert p.grad is not None
    module.double()
    assert module[0].weight is p
    assert p.dtype is p.grad.dtype is gd.float64
    assert module[0].shift.dtype is gd.float64
    module.to("cpu", gd.float32)
    assert p.dtype is gd.float32
    module.zero_grad()
    assert p.grad is None
    seen = []
    module.apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Affine", "Affine", "Sequential"]


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
def test_hooks_run_as_in_pytorch(torch):
    def run(lib):
        notes = []
        module = block(lib)()
        note = lambda name: lambda *a: notes.append((name, len(a)))
        module.register_forward_pre_hook(note("pre"))
        module.register_forward_pre_hook(
            lambda m, args, kwargs: (args, {"scale": 2.0}), with_kwargs=True
        )
        module.register_forward_pre_hook(note("first"), prepend=True)
        module.register_forward_hook(lambda m, args, y: y + 1)
        handle = module.register_forward_hook(note("removed"))
        handle.remove()
        always = module.register_forward_hook(note("always"), always_call=True)
        x = lib.ones(1, 3, dtype=lib.float64, requires_grad=True)
        y = module(x)
        try:
            module(lib.ones(1, 4, dtype=lib.float64))
        except RuntimeError:
            notes.append("raised")
        always.remove()
        module.register_full_backward_pre_hook(lambda m, g: (g[0] * 10,))
        module.register_full_backward_hook(
            lambda m, gi, go: notes.append([v if v is None else v.tolist() for v in (*gi, *go)])
        )
        module.register_full_backward_hook(
            lambda m, gi, go: None if gi[0] is None else (gi[0] * 2,)
        )
        module(x).sum().backward()
        inside = module(lib.ones(1, 3, dtype=lib.float64))  # of which no input requires grad
        inside.sum().backward()
        return notes, y.tolist(), x.grad.tolist(), module.weight.grad.tolist()

    assert run(gd) == run(torch)


def test_copies_and_pickles():
    module = nn.Sequential(Affine())
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert isinstance(twin[0].weight, nn.Parameter)
        assert twin[0].weight is not module[0].weight
        assert (twin[0].weight == module[0].weight).all()
        assert list(twin.state_dict()) == list(module.state_dict())


def test_containers():
    a, b, c = Affine(), Affine(), Affine()
    row = nn.Sequential(a, b)
    assert len(row) == 2
    assert row[-1] is b
    assert type(row[:1]) is nn.Sequential
    assert [*(row + nn.Sequential(c))] == [a, b, c]
    assert [*(row * 2)] == [a, b, a, b]
    row.insert(0, c)
    del row[1]
    assert [*row] == [c, b]
    assert next(iter(row.state_dict())) == "0.weight"
    assert row.pop(0) is c
    rows = nn.ModuleList([a]) + nn.ModuleList([b])
    rows += [c]
    assert [*rows] == [a, b, c]
    assert [*rows[1:]] == [b, c]
    named = nn.ModuleDict([("x", a)])
    named["y"] = b
    assert list(named) == ["x", "y"]
    assert named.pop("x") is a
    assert "x" not in named
    values = nn.ParameterList([gd.ones(1), 3])
    assert isinstance(values[0], nn.Parameter)
    assert values[1] == 3
    assert len([*nn.ParameterDict({"p": gd.ones(1)}).parameters()]) == 1


def test_functional_call_exchanges_parameters():
    module = Affine()
    w = gd.zeros(2, 2, requires_grad=True)
    y = gd.func.functional_call(module, {"weight": w}, (gd.ones(1, 2),))
    assert y.tolist() == [[1, 1]]
    (g,) = gd.autograd.grad(y.sum(), w)
    assert g.tolist() == [[1, 1], [1, 1]]
    assert module.weight.tolist() == [[1, 2], [3, 4]]
