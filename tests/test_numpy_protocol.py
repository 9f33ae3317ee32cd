"""NumPy's functions on Tensors are recorded."""

import numpy as np
import pytest

import gradcore as gd

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


@pytest.fixture
def x():
    return gd.tensor(X, requires_grad=True)


CALLS = {
    "sin": lambda t: np.sin(t),
    "ndarray on the left": lambda t: X * t,
    "ndarray on the right": lambda t: t * X,
    "numpy scalar on the left": lambda t: np.float64(2.0) * t,
    "sum over an axis": lambda t: np.sum(t, axis=0),
    "sum with kept dimensions": lambda t: np.sum(t, axis=1, keepdims=True),
    "add.reduce": lambda t: np.add.reduce(t),
    "mean": lambda t: np.mean(t),
    "var divides by n": lambda t: np.var(t, axis=1),
    "std with ddof": lambda t: np.std(t, axis=0, ddof=1),
    "max": lambda t: np.max(t, axis=1),
    "transpose": lambda t: np.transpose(t, (1, 0)),
    "reshape": lambda t: np.reshape(t, (3, 2)),
    "concatenate": lambda t: np.concatenate([t, X], axis=1),
    "stack": lambda t: np.stack([t, t], axis=0),
    "where": lambda t: np.where(X > 0, t, 0.0),
    "clip": lambda t: np.clip(t, -0.9, 1.0),
    "matmul": lambda t: X.T @ t,
    "dot": lambda t: np.dot(t, X.T),
    "einsum": lambda t: np.einsum("ij,kj->ik", t, X),
    "tensordot": lambda t: np.tensordot(t, X, axes=2),
    "outer": lambda t: np.outer(t, X),
    "linalg.norm": lambda t: np.linalg.norm(t),
    "cumsum": lambda t: np.cumsum(t, axis=1),
    "squeeze": lambda t: np.squeeze(np.expand_dims(t, 1), axis=1),
    "broadcast_to": lambda t: np.broadcast_to(t, (2, 2, 3)),
    "take_along_axis": lambda t: np.take_along_axis(t, np.array([[0, 2], [1, 1]]), axis=1),
    "flip": lambda t: np.flip(t, axis=1),
    "power": lambda t: np.power(np.abs(t), 1.5),
    "maximum": lambda t: np.maximum(t, 0.1),
    "moveaxis": lambda t: np.moveaxis(t, 0, 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_numpy_function_gives_numpys_value_and_is_recorded(name, x):
    call = CALLS[name]
    y = call(x)
    assert isinstance(y, gd.Tensor)
    assert y.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), call(X), rtol=1e-12)


@pytest.mark.parametrize("name", CALLS)
def test_its_gradient_is_the_finite_difference(name, x):
    call = CALLS[name]
    direction = np.cos(np.arange(6.0)).reshape(2, 3)
    weights = np.sin(1.0 + np.arange(call(X).size)).reshape(np.shape(call(X)))
    gd.sum(call(x) * weights).backward()
    step = 1e-6
    change = (call(X + step * direction) - call(X - step * direction)) / (2 * step)
    assert np.sum(x.grad.numpy() * direction) == pytest.approx(np.sum(change * weights), rel=1e-6)


def test_a_scalar_of_numpy_has_no_say_in_the_dtype():
    x = gd.ones(3)
    assert (x * np.float64(2)).dtype is gd.float32
    assert (np.float64(2) * x).dtype is gd.float32


def test_a_function_without_counterpart_says_so(x):
    with pytest.raises(TypeError, match=r"numpy\.poly has no differentiable"):
        np.poly(x)
    with pytest.raises(TypeError, match=r"numpy\.modf has no differentiable"):
        np.modf(x)


def test_writing_into_an_array_is_refused(x):
    target = X.copy()
    with pytest.raises(TypeError, match="cannot be written to an array"):
        target += x
    np.testing.assert_array_equal(target, X)


def test_asarray_needs_detach(x):
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        np.asarray(x)
    shared = np.asarray(x.detach())
    assert np.shares_memory(shared, x.detach().numpy())


def test_array_equal_takes_arrays_on_either_side(x):
    assert np.array_equal(X, x.detach())
    assert np.array_equal(x.detach(), X)
    assert not gd.equal(x, X[0])
