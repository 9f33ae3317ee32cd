"""Tensors on a CUDA device: the same graph engine over CuPy arrays and the fused kernels."""

import numpy as np
import pytest

import gradcore as gd

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]


def both(program, *arrays, cuda="cuda"):
    """Return what `program` gives on the CPU and on CUDA: values and gradients, as NumPy arrays."""
    results = []
    for device in ("cpu", cuda):
        leaves = [gd.tensor(a, device=device, requires_grad=True) for a in arrays]
        y = program(*leaves)
        weights = gd.tensor(np.cos(np.arange(y.numel())).reshape(y.shape), device=device)
        y.backward(weights.to(y.dtype))
        assert all(t.device is leaves[0].device for t in (y, *(x.grad for x in leaves)))
        results.append([t.detach().cpu().numpy() for t in (y, *(x.grad for x in leaves))])
    return zip(*results, strict=True)


A = np.linspace(-2.0, 2.0, 24).reshape(2, 3, 4)
B = np.sin(np.arange(24.0)).reshape(2, 3, 4)

PROGRAMS = {
    "mul_mean": lambda a, b: gd.mul_mean(a, b),
    "mul_mean over the middle": lambda a, b: gd.mul_mean(a, b, dim=1, keepdim=True),
    "mul_mean with broadcasting": lambda a, b: gd.mul_mean(a, b[0, 0], dim=(0, 2)),
    "norm": lambda a, b: gd.norm(a) + gd.norm(b, dim=1),
    "norm of other orders": lambda a, b: gd.norm(a, p=3.0, dim=-1) * gd.norm(b, p=float("inf")),
    "arithmetic": lambda a, b: (a * 2.0 - b / 3.0) ** 2 + 1.0,
    "functions": lambda a, b: gd.exp(a) * gd.tanh(b) + gd.sigmoid(a),
    "sums": lambda a, b: a.sum(1) + b.mean((0, 2), keepdim=True).reshape(1, 3, 1).sum(1),
    "products": lambda a, b: a @ b.mT,
    "indexing": lambda a, b: a[:, [0, 0, 2]] + b[:, :, 1:2],
    "softmax": lambda a, b: gd.softmax(a, -1) * gd.log_softmax(b, 1),
    "joining": lambda a, b: gd.cat([a, b * 2.0], 1),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_are_those_of_the_cpu(name, dtype):
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for cpu, cuda in both(PROGRAMS[name], A.astype(dtype), B.astype(dtype)):
        assert cpu.dtype == cuda.dtype
        np.testing.assert_allclose(cuda, cpu, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", PROGRAMS)
def test_another_device_than_the_current_one(name, cp):
    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    for _ in range(2):  # the second time, gradients are added to
        for cpu, cuda in both(PROGRAMS[name], A, B, cuda="cuda:1"):
            np.testing.assert_allclose(cuda, cpu, rtol=1e-12, atol=1e-12)
        assert cp.cuda.runtime.getDevice() == 0


def test_a_failing_backward_leaves_the_current_device_as_it_was(cp):
    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    x = gd.ones(2, device="cuda:1", requires_grad=True)
    y = (x * 2.0) // 2.0
    with pytest.raises(NotImplementedError):
        y.sum().backward()
    assert cp.cuda.runtime.getDevice() == 0
    assert x.grad is None


def test_gradients_are_added_to():
    x = gd.tensor(A, device="cuda", requires_grad=True)
    for _ in range(2):
        (x * x).sum().backward()
    x.sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), 4 * A + 1)


@pytest.mark.parametrize("name", ["mul_mean", "norm", "arithmetic"])
def test_second_derivatives_are_those_of_the_cpu(name):
    found = []
    for device in ("cpu", "cuda"):
        a, b = (gd.tensor(x, device=device, requires_grad=True) for x in (A, B))
        (first,) = gd.autograd.grad(PROGRAMS[name](a * a, b).sum(), a, create_graph=True)
        (second,) = gd.autograd.grad((first * first).sum(), a)
        found.append(second.cpu().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-10, atol=1e-12)


def test_the_fused_backward_is_one_launch_without_copies(count):
    a, b = (gd.tensor(x, device="cuda", requires_grad=True) for x in (A, B))
    y = gd.mul_mean(a, b)
    v = gd.ones((), dtype=gd.float64, device="cuda")
    gd.autograd.grad(y, (a, b), v, retain_graph=True)
    counted = count(lambda: gd.autograd.grad(y, (a, b), v, retain_graph=True))
    assert counted.launches == 1
    assert counted.copies_and_syncs == {}


def test_gradients_cross_devices():
    x = gd.tensor(A, requires_grad=True)
    y = (x.to("cuda") * 3.0).cpu() * gd.tensor(B)
    y.sum().backward()
    assert x.grad.device.type == "cpu"
    np.testing.assert_allclose(x.grad.numpy(), 3.0 * B)


def test_mixing_devices_names_both():
    with pytest.raises(RuntimeError, match=r"found at least two devices, cpu and cuda:0"):
        gd.ones(2) * gd.ones(2, device="cuda")


def test_a_zero_dimensional_cpu_tensor_may_join():
    y = gd.ones(2, device="cuda") * gd.tensor(3.0)
    assert y.device.type == "cuda"
    assert y.tolist() == [3.0, 3.0]


def test_printing_names_the_device():
    assert repr(gd.ones(2, device="cuda")) == "tensor([1., 1.], device='cuda:0')"


def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(RuntimeError, match="cuda:99 was asked for"):
        gd.ones(2, device="cuda:99")


def test_the_tutorials_loop_runs_on_cuda():
    x = gd.randn(3, device="cuda", requires_grad=True)
    y = x * 2
    while y.data.norm() < 1000:
        y = y * 2
    v = gd.tensor([0.1, 1.0, 0.0001], device="cuda")
    y.backward(v)
    np.testing.assert_allclose(
        x.grad.cpu().numpy(), (y / x).detach().cpu().numpy() * v.cpu().numpy(), rtol=1e-6
    )
