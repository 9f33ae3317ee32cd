"""What is put at places: where several values have one, and what the records cannot say."""

import numpy as np
import pytest

import gradcore as gd
import oracle


def both(torch, call, *arrays):
    """What `call` gives in gradcore and in PyTorch, with the gradients of its sum of squares."""
    found = []
    for module in (gd, torch):
        tensors = [module.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        y = call(module, *tensors)
        grads = module.autograd.grad((y * y).sum(), [t for t in tensors if t.requires_grad])
        found.append([y, *grads])
    return zip(*found, strict=True)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["prod", "amax", "amin", "mean", "sum"])
def test_ties_and_zeros_share_gradients_as_in_pytorch(torch, reduce, include_self):
    x = np.array([3.0, 0.0, -1.0, 0.0])
    src = np.array([3.0, 3.0, 0.0, 0.0, 2.0, -1.0])
    index = np.array([0, 0, 1, 2, 2, 2])
    scatter = lambda m, x, src: m.scatter_reduce(
        x, 0, m.tensor(index), src, reduce, include_self=include_self
    )
    for y, expected in both(torch, scatter, x, src):
        oracle.check_same(y, expected, 1e-12, reduce)
    if reduce != "sum":
        rows = lambda m, x, src: m.index_reduce(
            x, 0, m.tensor(index), src, reduce, include_self=include_self
        )
        for y, expected in both(torch, rows, x, src):
            oracle.check_same(y, expected, 1e-12, reduce)


def test_nan_is_the_largest_and_the_least():
    x, src = gd.zeros(2), gd.tensor([np.nan, 1.0, 2.0, np.nan])
    index = gd.tensor([0, 0, 1, 1])
    for reduce in ("amax", "amin"):
        assert x.scatter_reduce(0, index, src, reduce).isnan().all()


@pytest.mark.filterwarnings("ignore:The reduce argument")
def test_scatter_with_a_reduction():
    x, index = gd.tensor([1.0, 4.0]), gd.tensor([1, 1])
    src = gd.tensor([2.0, 3.0])
    assert x.scatter(0, index, 2.0, reduce="multiply").tolist() == [1.0, 16.0]
    assert x.scatter(0, index, 2.0, reduce="add").tolist() == [1.0, 8.0]
    assert x.scatter(0, index, src, reduce="multiply").tolist() == [1.0, 24.0]
    assert x.clone().scatter_(0, index, src, reduce="add").tolist() == [1.0, 9.0]


def test_the_last_value_of_a_place_stays():
    x, index = gd.zeros(2), gd.tensor([1, 1, 1])
    src = gd.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for y in (x.scatter(0, index, src), x.index_copy(0, index, src), x.put(index, src)):
        assert y.tolist() == [0.0, 3.0]
        (g,) = gd.autograd.grad(y.sum(), src)
        assert g.tolist() == [1.0, 1.0, 1.0]


def test_masked_scatter_says_that_there_are_too_few_elements():
    with pytest.raises(RuntimeError, match="Number of elements of source < number of ones"):
        gd.zeros(3).masked_scatter(gd.tensor([True, False, True]), gd.ones(1))
