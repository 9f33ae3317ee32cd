"""In-place operations and views on CUDA Tensors: as on the CPU."""

import numpy as np
import pytest

import gradcore as gd

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

A = np.linspace(-2.0, 2.0, 12).reshape(3, 4)
B = np.sin(np.arange(12.0)).reshape(3, 4)


def write_operators(a, b):
    y = a * 1
    y += b
    y *= 2.0
    y -= 1
    y **= 2
    return y


def write_views(a, b):
    y = a * 1
    y[0].mul_(b[1])
    y.t()[2:].exp_()
    y = y * 1
    y[:, 1] = b[:, 0]
    return y * y.reshape(4, 3).t().sum()


def write_places(a, b):
    y = a * 1
    y[gd.tensor([0, 2], device=a.device)] = b[:2]
    y[y.detach() > 0.5] = 3.0
    y[0, 1:3] = 0.0
    y.masked_fill_(b.detach() < 0, 0.25)
    return y.index_put_((gd.tensor([1, 1], device=a.device),), b[1:], accumulate=True)


def write_over_itself(a, b):
    y = a * 1
    y[1:] = y[:-1] * 1
    y[:, :2].copy_(y[:, 2:])
    return y + b


def write_many(a, b):
    y = a * b + 0
    y.neg_().add_(a, alpha=2).clamp_(-1, 1).cumsum_(0)
    y.unsqueeze_(0).squeeze_().transpose_(0, 1).zero_().fill_(2.0).copy_(b.t())
    return y.sigmoid_().tanh()


PROGRAMS = [write_operators, write_views, write_places, write_over_itself, write_many]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("second_order", [False, True])
def test_writes_are_those_of_the_cpu(program, second_order):
    results = []
    for device in ("cpu", "cuda"):
        leaves = [gd.tensor(x, device=device, requires_grad=True) for x in (A, B)]
        y = program(*leaves)
        grads = gd.autograd.grad((y * y).sum(), leaves, create_graph=second_order)
        if second_order:
            total = sum((g * g).sum() for g in grads)
            grads = gd.autograd.grad(total, leaves)
        assert all(t.device == leaves[0].device for t in (y, *grads))
        results.append([t.detach().cpu().numpy() for t in (y, *grads)])
    for cpu, cuda in zip(*results, strict=True):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-12, atol=1e-12)


def test_versions_and_views():
    x = gd.tensor(A, device="cuda", requires_grad=True)
    y = x * 3
    z = y * y
    v = y[1]
    assert v._base is y
    v.add_(1)
    assert (y._version, v._version, y.detach()._version) == (1, 1, 1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    with gd.autograd.set_saved_tensors_policy("copy"):
        y = x * 3
        z = y * y
        y.zero_()
        z.sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), 18 * A)


def test_random_fills_and_a_step_that_is_noticed():
    x = gd.zeros(50, device="cuda")
    assert x.normal_()._version == 1
    assert 0 <= x.uniform_().min().item() < 1
    w = gd.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    gd.optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
