"""Every module with the arguments and inputs that PyTorch tests its own with, against PyTorch."""

import functools
import warnings

import numpy as np
import pytest

import gradcore as gd
import oracle
from gradcore import nn
from gradcore.samples import Sample
from oracle import array, check_same, is_tensor
from test_opinfo import Unknown, plain
from test_parity import NO_DERIVATIVE

pytestmark = pytest.mark.parity

AT_MOST = 30
"""Constructions of one module."""

NAMES = [
    name
    for name in nn.__all__
    if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
]

GRADIENT_DIFFERS = {"CTCLoss"}
"""As of nn.functional.ctc_loss."""


@functools.cache
def infos():
    from torch.testing._internal.common_modules import module_db

    return {info.module_cls.__name__: info for info in module_db}


def constructions(torch, name, training):
    """The arguments of the module and of a call of it."""
    info = infos()[name]
    given = info.module_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
    )
    for each in given[:AT_MOST]:
        leaf = functools.partial(plain, torch)
        try:
            yield [
                Sample(oracle.mapped(tuple(v.args), leaf), oracle.mapped(dict(v.kwargs), leaf))
                for v in (each.constructor_input, each.forward_input)
                if v is not None
            ]
        except Unknown:  # other modules, and functions of PyTorch's own
            continue


def run(lib, module, arguments):
    """The outputs, and their gradients by the parameters and the inputs."""
    args, kwargs, leaves = arguments
    outputs = [y for y in oracle.flat(module(*args, **kwargs)) if is_tensor(y)]
    leaves = [*module.parameters(), *[t for t in leaves if t.requires_grad]]
    recorded = [y for y in outputs if y.requires_grad]
    if not recorded or not leaves:
        return outputs, []
    seeds = [lib.tensor(v) for v in oracle.cotangents(recorded)]
    return outputs, lib.autograd.grad(recorded, leaves, seeds, allow_unused=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", NAMES)
def test_modules(torch, name, training):
    if name not in infos():
        pytest.skip("PyTorch's tests have no record of it")
    for options, *call in constructions(torch, name, training):
        args, kwargs, _ = oracle.theirs(torch, options, False)
        theirs = getattr(torch.nn, name)(*args, **kwargs).double().train(training)
        args, kwargs, _ = oracle.ours(options, False)
        ours = getattr(nn, name)(*args, **kwargs).double().train(training)
        state = {n: t.detach().clone() for n, t in theirs.state_dict().items()}
        ours.load_state_dict({n: gd.tensor(array(t)) for n, t in state.items()})
        assert repr(ours) == repr(theirs)
        if not call or is_random(torch, theirs, call[0]):
            continue
        theirs.load_state_dict(state)  # what normalises has counted
        try:
            there = run(torch, theirs, oracle.theirs(torch, call[0]))
        except RuntimeError as error:
            if any(text in str(error) for text in NO_DERIVATIVE):
                continue
            raise
        here = run(gd, ours, oracle.ours(call[0]))
        for y, expected in zip(here[0], there[0], strict=True):
            check_same(y, expected, 1e-8, "value")
        for g, expected in zip(here[1], there[1], strict=True):
            if name not in GRADIENT_DIFFERS:
                check_gradient(g, expected)
        for n, t in theirs.state_dict().items():
            check_same(ours.state_dict()[n], t, 1e-8, n)


def is_random(torch, module, call):
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            args, kwargs, _ = oracle.theirs(torch, call)
            found.append([array(y) for y in oracle.flat(module(*args, **kwargs)) if is_tensor(y)])
    return not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*found, strict=True))


def check_gradient(g, expected):
    """Compare gradients, of which None is zero, where PyTorch's are numbers."""
    if g is None or expected is None:
        some = expected if g is None else g
        assert some is None or not array(some).any()
        return
    assert tuple(g.shape) == tuple(expected.shape)
    a, b = array(g), array(expected)
    numbers = ~np.isnan(b)
    largest = np.abs(b[numbers]).max(initial=1.0)
    np.testing.assert_allclose(a[numbers], b[numbers], rtol=1e-7, atol=1e-7 * largest)
