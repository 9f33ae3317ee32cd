"""Hooks on saved Tensors, checkpoints, anomaly and inference mode on CUDA: as on the CPU."""

import numpy as np
import pytest

import gradcore as gd
from gradcore.autograd import graph_report
from gradcore.autograd.graph import save_on_cpu, saved_tensors_hooks

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

A = np.linspace(-2.0, 2.0, 12).reshape(3, 4)
B = np.sin(np.arange(12.0)).reshape(3, 4)


def leaves(device, dtype=np.float32):
    return [gd.tensor(v.astype(dtype), device=device, requires_grad=True) for v in (A, B)]


def program(a, b):
    y = (a * b).exp() + a.softmax(dim=1) @ b.t() @ b
    return (y[:, gd.tensor([0, 2], device=a.device)].sin() * 2.0).sum()


def gradients(device, around, second_order=False):
    a, b = leaves(device, np.float64)
    y = around(a, b)
    if not second_order:
        y.backward()
        return [t.grad.cpu().numpy() for t in (a, b)]
    (g,) = gd.autograd.grad(y, a, create_graph=True)
    return [t.cpu().numpy() for t in gd.autograd.grad(g.sin().sum(), (a, b))]


def plain(a, b):
    return program(a, b)


def on_cpu(a, b):
    with save_on_cpu():
        return program(a, b)


def pinned(a, b):
    with save_on_cpu(pin_memory=True):
        return program(a, b)


def detached(a, b):
    with saved_tensors_hooks(lambda t: t.detach(), lambda t: t):
        return program(a, b)


def checkpointed(a, b):
    return gd.utils.checkpoint.checkpoint(program, a, b)


@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("around", [on_cpu, pinned, detached, checkpointed])
def test_gradients_are_the_same(around, second_order):
    expected = gradients("cpu", plain, second_order)
    for found, wanted in zip(gradients("cuda", around, second_order), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_what_is_saved_on_the_cpu_is_not_on_the_device():
    a, b = leaves("cuda")
    with save_on_cpu():
        y = program(a, b)
    devices = {str(saved.device) for entry in graph_report(y).entries for saved in entry.saved}
    assert devices == {"cpu"}


def test_what_is_unpacked_elsewhere_is_moved_back():
    a, b = leaves("cuda")
    with saved_tensors_hooks(lambda t: t.detach().cpu(), lambda t: t.to(gd.float64)):
        y = (a * b).sum()
    y.backward()
    assert a.grad.device == a.device
    assert a.grad.dtype is gd.float32
    np.testing.assert_allclose(a.grad.cpu().numpy(), B, rtol=1e-6)


@pytest.mark.parametrize("preserve", [True, False])
def test_dropout_in_a_checkpoint(preserve):
    x = gd.ones(1000, device="cuda", requires_grad=True)
    y = gd.utils.checkpoint.checkpoint(
        lambda t: gd.nn.functional.dropout(t, 0.5) ** 2, x, preserve_rng_state=preserve
    )
    gd.rand(10, device="cuda")
    y.sum().backward()
    same = ((x.grad != 0) == (y != 0)).all().item()
    assert same is preserve


def test_a_nan_is_found():
    a, _ = leaves("cuda")
    with gd.autograd.set_detect_anomaly(True):
        y = (a.sqrt() * 0).sum()
        with (
            pytest.warns(UserWarning, match="Error detected in SqrtBackward0"),
            pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan values in its 0th"),
        ):
            y.backward()
        (a * 2).sum().backward()
    np.testing.assert_array_equal(a.grad.cpu().numpy(), np.full((3, 4), 2.0))


def test_inference_tensors():
    a, b = leaves("cuda")
    with gd.inference_mode():
        c = a * b
        assert c.is_inference()
        assert not c.requires_grad
    assert (c + 1).device == a.device
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        a * c
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        c.add_(1)


def test_a_fused_function_is_packed_and_recomputed():
    fused = gd.fuse(lambda a, b: (a * b).exp().sin())
    for device in ("cpu", "cuda"):
        for around in (
            lambda f, *x: gd.utils.checkpoint.checkpoint(f, *x),
            lambda f, *x: detached_of(f, *x),
        ):
            a, b = leaves(device)
            around(fused, a, b).sum().backward()
            c, d = leaves(device)
            (c * d).exp().sin().sum().backward()
            np.testing.assert_allclose(a.grad.cpu().numpy(), c.grad.cpu().numpy(), rtol=1e-5)
            np.testing.assert_allclose(b.grad.cpu().numpy(), d.grad.cpu().numpy(), rtol=1e-5)


def detached_of(f, *x):
    with saved_tensors_hooks(lambda t: t.detach(), lambda t: t):
        return f(*x)
