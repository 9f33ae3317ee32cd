"""Clipping of gradients, and parameters as a vector, beside PyTorch's."""

import math

import numpy as np
import pytest

import gradcore as gd
from gradcore.nn import utils


def parameters_of(lib, dtype=np.float64):
    rng = np.random.default_rng(0)
    found = []
    for shape in ((), (2, 3), (4,), (0,)):
        p, g = rng.standard_normal((2, *shape))
        if np.dtype(dtype).kind == "c":
            p, g = p + 1j, g - 2j * g
        p = lib.tensor(np.asarray(p, dtype), requires_grad=True)
        p.grad = lib.tensor(np.asarray(g, dtype))
        found.append(p)
    return [*found, lib.ones(2, requires_grad=True)]  # without a gradient


@pytest.mark.parity
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("order", [1, 2.0, 3, math.inf, 0.5])
@pytest.mark.parametrize("most", [0.5, 1e3])
def test_norms_and_clipped_gradients_are_pytorchs(torch, dtype, order, most):
    found = []
    for lib in (gd, torch):
        parameters = parameters_of(lib, dtype)
        if order == math.inf:
            del parameters[3]  # an empty one has none
        held = [p.grad for p in parameters]
        total = lib.nn.utils.clip_grad_norm_(iter(parameters), most, order)
        assert all(p.grad is g for p, g in zip(parameters, held, strict=True))
        gradients = [g.numpy() for g in held if g is not None]
        found.append([total.numpy(), *gradients])
    for ours, theirs in zip(*found, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5 if dtype is np.float32 else 1e-12)


@pytest.mark.parity
def test_clipped_values_are_pytorchs(torch):
    found = []
    for lib in (gd, torch):
        parameters = parameters_of(lib)
        lib.nn.utils.clip_grad_value_(parameters, 0.25)
        lib.nn.utils.clip_grad_value_(parameters[1], 0.125)
        found.append([p.grad.tolist() for p in parameters[:4]])
    assert found[0] == found[1]


def test_no_gradients():
    assert utils.get_total_norm([]).item() == 0.0
    assert utils.clip_grad_norm_(gd.ones(2, requires_grad=True), 1.0).item() == 0.0
    with pytest.warns(UserWarning, match="empty generator"):
        utils.clip_grad_norm_((p for p in ()), 1.0)


def test_a_norm_that_is_not_finite():
    p = gd.ones(2, requires_grad=True)
    p.grad = gd.tensor([1.0, math.inf])
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad[0] == 1.0
    with np.errstate(invalid="ignore"):
        assert math.isinf(utils.clip_grad_norm_(p, 1.0).item())
    assert p.grad[0] == 0.0


def test_parameters_as_a_vector_and_back():
    parameters = parameters_of(gd)[:4]
    vector = utils.parameters_to_vector(parameters)
    assert vector.tolist() == [x for p in parameters for x in p.detach().reshape(-1).tolist()]
    (vector * vector).sum().backward()
    assert parameters[1].grad is not None
    other = gd.arange(11.0, dtype=gd.float64)
    utils.vector_to_parameters(other, parameters)
    assert parameters[1].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert all(p.is_leaf and p.requires_grad for p in parameters)
    other[0] = 7
    assert parameters[0].item() == 7  # the memory is shared
    with pytest.raises(TypeError, match=r"expected gradcore.Tensor, but got: builtins.list"):
        utils.vector_to_parameters([1.0], parameters)
    with pytest.raises(ValueError, match="11 elements of parameters"):
        utils.vector_to_parameters(other[:9], parameters)
