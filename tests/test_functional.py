"""`gradcore.autograd.functional` against PyTorch's: the same functions, flags and mistakes."""

import itertools

import numpy as np
import pytest

import gradcore as gd
from gradcore.autograd import functional

pytestmark = pytest.mark.parity

X = np.array([0.3, 0.7, -0.2])
Y = np.array([[1.0, -2.0, 0.5]])


def ones(lib):
    return lib.ones(3, dtype=lib.float64)


FUNCTIONS = {
    "exp": (lambda lib, x: x.exp(), X),
    "two outputs": (lambda lib, x, y: (x * y, y.sum()), (X, Y)),
    "linear": (lambda lib, x: 2 * x, X),
    "constant": (lambda lib, x: ones(lib), X),
    "cube": (lambda lib, x: (x**3).sum(), X),
    "of two": (lambda lib, x, y: (x * y * y).sum(), (X, Y)),
    "unused": (lambda lib, x, y: x.sin(), (X, Y)),
    "unused scalar": (lambda lib, x, y: (x**3).sum(), (X, Y)),
    "tuple of one": (lambda lib, x: (x.sin(),), (X,)),
    "list": (lambda lib, x: [x], X),
    "int": (lambda lib, x: 3, X),
    "0-d": (lambda lib, s: s**3, np.array(2.0)),
    "linear scalar": (lambda lib, x: x.sum(), X),
    "one element": (lambda lib, x: (x**2).sum().reshape(1), X),
    "empty": (lambda lib, x: x.sin(), np.zeros(0)),
    "softmax": (lambda lib, x: lib.softmax(x, 0), X),
    "matmul": (lambda lib, x, y: (y @ lib.outer(x, x) @ y.reshape(3)).sum(), (X, Y)),
}
VECTORS = {
    "none": lambda inputs: None,
    "inputs": lambda inputs: inputs,
    "outputs": lambda inputs: (inputs[0] * inputs[1], inputs[0].sum()),
    "wrong": lambda inputs: np.ones(5),
    "three": lambda inputs: (X, X, X),
}


def tensors(lib, values, requires_grad=False):
    if values is None:
        return None
    if isinstance(values, tuple):
        return tuple(tensors(lib, v, requires_grad) for v in values)
    return lib.tensor(values, dtype=lib.float64, requires_grad=requires_grad)


def outcome(run):
    try:
        return run()
    except Exception as error:
        return error


def compare(here, there, history=True):
    if isinstance(there, Exception):
        assert isinstance(here, Exception), f"{there!r}, and here {here}"
        assert isinstance(here, type(there)) or isinstance(there, AssertionError), (here, there)
        words = [str(e).replace("torch", "gradcore") for e in (here, there)]
        words[1] = words[1].replace("given to None", "given to jacobian")  # a slip of PyTorch
        assert words[0].rstrip(".") == words[1].rstrip("."), words
        return
    if isinstance(there, tuple | list):
        assert isinstance(here, tuple), here
        assert len(here) == len(there)
        for a, b in zip(here, there, strict=True):
            compare(a, b, history)
        return
    assert isinstance(here, gd.Tensor), repr(here)
    assert tuple(here.shape) == tuple(there.shape)
    assert str(here.dtype).partition(".")[2] == str(there.dtype).partition(".")[2]
    np.testing.assert_allclose(here.detach().numpy(), there.detach().numpy(), rtol=1e-12)
    if history:
        assert here.requires_grad == there.requires_grad


def run(lib, module, name, function, values, *args, requires_grad=False):
    inputs = tensors(lib, values, requires_grad)
    return outcome(lambda: getattr(module, name)(lambda *xs: function(lib, *xs), inputs, *args))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", ["vjp", "jvp", "vhp", "hvp"])
@pytest.mark.parametrize("vector", VECTORS)
def test_products(torch, function, name, vector):
    call, values = FUNCTIONS[function]
    if vector == "outputs" and not (isinstance(values, tuple) and len(values) == 2):
        return
    v = VECTORS[vector](values)
    for create_graph, strict in itertools.product((False, True), repeat=2):
        for requires_grad in (False, True):
            found = [
                run(
                    lib,
                    module,
                    name,
                    call,
                    values,
                    tensors(lib, v),
                    create_graph,
                    strict,
                    requires_grad=requires_grad,
                )
                for lib, module in ((gd, functional), (torch, torch.autograd.functional))
            ]
            compare(*found)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", ["jacobian", "hessian"])
@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode", "sideways"])
def test_matrices(torch, function, name, strategy):
    call, values = FUNCTIONS[function]
    for create_graph, strict, vectorize in itertools.product((False, True), repeat=3):
        if strategy == "forward-mode" and not vectorize:
            continue  # PyTorch has no loop there
        found = [
            run(lib, module, name, call, values, create_graph, strict, vectorize, strategy)
            for lib, module in ((gd, functional), (torch, torch.autograd.functional))
        ]
        empty = function == "empty" and isinstance(found[1], Exception)
        if not empty:  # PyTorch stacks no rows
            compare(*found, history=not vectorize)


@pytest.mark.parametrize("name", ["jacobian", "hessian"])
def test_forward_mode_needs_no_vectorize(name):
    x = gd.tensor(X)
    call = lambda x: (x**3).sum()
    found = getattr(functional, name)(call, x, False, False, False, "forward-mode")
    expected = {"jacobian": 3 * X**2, "hessian": np.diag(6 * X)}[name]
    np.testing.assert_allclose(found.detach().numpy(), expected)


@pytest.mark.parametrize("name", ["jacobian", "hessian"])
def test_of_nothing(name):
    x = gd.zeros(0, dtype=gd.float64)
    found = getattr(functional, name)(lambda x: (x**3).sum(), x)
    assert found.shape == {"jacobian": (0,), "hessian": (0, 0)}[name]


def test_no_grad_around_it_changes_no_value(torch):
    for lib, module in ((gd, functional), (torch, torch.autograd.functional)):
        x = tensors(lib, X, True)
        with lib.no_grad():
            for name in ("vjp", "jvp"):
                y, product = getattr(module, name)(lambda x: x.exp(), x, x, create_graph=True)
                assert y.requires_grad
                assert product.requires_grad
            y, product = module.vhp(lambda x: x.exp().sum(), x, x)
            assert not product.requires_grad
        np.testing.assert_allclose(product.numpy(), np.exp(X) * X)


def test_results_with_create_graph_are_differentiable(torch):
    found = []
    for lib, module in ((gd, functional), (torch, torch.autograd.functional)):
        x = tensors(lib, X, True)
        (h,) = lib.autograd.grad(module.hessian(lambda x: (x**4).sum(), x, True).sum(), x)
        (j,) = lib.autograd.grad(module.jvp(lambda x: x**3, x, x.detach(), True)[1].sum(), x)
        found.append((h, j))
    compare(*found)
    assert found[0][0].numpy() == pytest.approx(24 * X)


def test_grad_of_the_inputs_is_not_touched():
    x = gd.tensor(X, requires_grad=True)
    for name in ("vjp", "jvp", "vhp", "hvp"):
        getattr(functional, name)(lambda x: (x**3).sum(), x, x if name != "vjp" else None)
    functional.hessian(lambda x: (x**3).sum(), x)
    assert x.grad is None
    assert x.is_leaf


def test_captured_tensors_are_not_the_inputs():
    x = gd.tensor(X, requires_grad=True)
    j = functional.jacobian(lambda y: y * x, x)
    np.testing.assert_allclose(j.numpy(), np.diag(X))
