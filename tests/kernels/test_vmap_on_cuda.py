"""vmap over Tensors on a CUDA device gives what it gives on the CPU."""

import numpy as np
import pytest

import gradcore as gd
from gradcore.batching.loop import LOOPED
from gradcore.func import vmap

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

A = np.linspace(-2.0, 2.0, 24).reshape(2, 3, 4)
B = np.sin(np.arange(24.0)).reshape(2, 3, 4)
functional = gd.nn.functional


def gradient_of_sum(f):
    def call(a, b):
        a, b = a.detach().requires_grad_(), b.detach().requires_grad_()
        return gd.autograd.grad((f(a, b) ** 2).sum(), (a, b), allow_unused=True)[0]

    return call


FUNCTIONS = {
    "arithmetic": lambda a, b: (a * 2.0 - b / 3.0) ** 2 + 1.0,
    "functions": lambda a, b: gd.exp(a) * gd.tanh(b) + gd.sigmoid(a),
    "sums": lambda a, b: a.sum(1) + b.mean(0, keepdim=True).reshape(4)[:3],
    "norms": lambda a, b: gd.norm(a) * gd.norm(b, dim=1),
    "mul_mean": lambda a, b: gd.mul_mean(a, b, dim=1),
    "products": lambda a, b: a @ b.mT,
    "linear": lambda a, b: functional.linear(a, b, a[:, 0]),
    "indexing": lambda a, b: a[:, [0, 0, 2]] + b[:, 1:2],
    "softmax": lambda a, b: gd.softmax(a, -1) * gd.log_softmax(b, 0),
    "layer_norm": lambda a, b: functional.layer_norm(a, (4,), b[0], b[1]),
    "cross_entropy": lambda a, b: functional.cross_entropy(
        a * b, gd.tensor([0, 3, 1], device=a.device)
    ),
    "joining": lambda a, b: gd.cat([a, b * 2.0], 1),
    "writing": lambda a, b: gd.zeros_like(a + b).add_(a).mul_(b),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 1)])
def test_values_and_gradients_are_those_of_the_cpu(name, dims):
    f = FUNCTIONS[name]
    results = []
    for device in ("cpu", "cuda"):
        a, b = [
            gd.tensor(v if d is not None else v[0], device=device, requires_grad=True)
            for v, d in zip((A, np.swapaxes(B, 0, dims[1] or 0)), dims, strict=True)
        ]
        y = vmap(f, dims)(a, b)
        within = vmap(gradient_of_sum(f), dims)(a, b)
        weights = gd.tensor(np.cos(np.arange(y.numel())).reshape(y.shape), device=device)
        gradients = gd.autograd.grad(y, (a, b), weights, allow_unused=True)
        found = [y, within, *gradients]
        assert all(t.device is a.device for t in found if t is not None)
        results.append([None if t is None else t.detach().cpu().numpy() for t in found])
    for cpu, cuda in zip(*results, strict=True):
        assert (cpu is None) == (cuda is None)
        if cpu is not None:
            np.testing.assert_allclose(cuda, cpu, rtol=1e-10, atol=1e-12)
    assert not LOOPED


def test_random_numbers_and_creation_on_the_device():
    x = gd.zeros(3, 50, device="cuda")
    rows = vmap(lambda x: gd.rand(50, device=x.device) + x, randomness="different")(x).tolist()
    assert len({tuple(row) for row in rows}) == 3
    for randomness, count in (("same", 1), ("different", 3)):
        rows = vmap(
            lambda x: functional.dropout(x + 1.0) + gd.ones(50, device=x.device),
            randomness=randomness,
        )(x).tolist()
        assert len({tuple(row) for row in rows}) == count
        assert {value for row in rows for value in row} == {1.0, 3.0}
    same = vmap(lambda x: functional.dropout(gd.ones(50, device="cuda")), randomness="same")(x)
    assert {tuple(row) for row in same.tolist()} == {tuple(same[0].tolist())}
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda x: gd.rand(50, device="cuda"))(x)


def test_devices_do_not_mix():
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        vmap(lambda x: x + gd.ones(4))(gd.zeros(3, 4, device="cuda"))
    moved = vmap(lambda x: x.to("cuda") * 2.0)(gd.ones(3, 4))
    assert moved.is_cuda
    assert moved.tolist() == [[2.0] * 4] * 3


def test_jacobians_of_what_is_on_the_device():
    x = gd.tensor(A[0, 0], device="cuda", requires_grad=True)
    y = gd.softmax(x * x, 0)
    basis = gd.eye(4, dtype=gd.float64, device="cuda")
    rows = vmap(lambda v: gd.autograd.grad(y, x, v, retain_graph=True)[0])(basis)
    (same,) = gd.autograd.grad(y, x, basis, is_grads_batched=True)
    p = np.exp(A[0, 0] ** 2) / np.exp(A[0, 0] ** 2).sum()
    expected = (np.diag(p) - np.outer(p, p)) * 2 * A[0, 0]
    np.testing.assert_allclose(rows.cpu().numpy(), expected, rtol=1e-10, atol=1e-14)
    assert rows.tolist() == same.tolist()


def test_gradients_within_vmap_of_what_is_the_same_for_all_samples():
    w = gd.tensor(A[0, 0], device="cuda", requires_grad=True)
    x = gd.tensor(A[0], device="cuda")
    rows = vmap(lambda x: gd.autograd.grad((w * w).sum(), w)[0] * x)(x)
    np.testing.assert_allclose(rows.cpu().numpy(), 2 * A[0, 0] * A[0], rtol=1e-12)


def test_second_derivatives_by_an_exponent_of_a_number():
    x = gd.tensor(A[0], device="cuda")
    found = vmap(gd.func.hessian(lambda x: (2.0**x).sum()))(x).cpu().numpy()
    expected = np.log(2.0) ** 2 * 2.0 ** A[0]
    np.testing.assert_allclose(found, expected[..., None] * np.eye(A.shape[-1]), rtol=1e-12)
