"""Convolution and pooling: what the samples of the records cannot say."""

import numpy as np
import pytest

import gradcore as gd
from gradcore.testing import gradgradcheck

F = gd.nn.functional


def direct(x, w, stride, padding, dilation, groups):
    """Convolution in two dimensions, element by element."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    o, c, h, k = w.shape
    rows = (x.shape[2] - dilation * (h - 1) - 1) // stride + 1
    columns = (x.shape[3] - dilation * (k - 1) - 1) // stride + 1
    y = np.zeros((len(x), o, rows, columns))
    for place in np.ndindex(y.shape):
        n, f, i, j = place
        first = f // (o // groups) * c
        window = x[
            n,
            first : first + c,
            i * stride : i * stride + dilation * (h - 1) + 1 : dilation,
            j * stride : j * stride + dilation * (k - 1) + 1 : dilation,
        ]
        y[place] = (window * w[f]).sum()
    return y


@pytest.mark.parametrize(
    ("groups", "stride", "padding", "dilation"), [(1, 1, 1, 1), (2, 2, 0, 2), (4, 1, 3, 1)]
)
def test_convolution_is_the_sum_over_each_window(rng, groups, stride, padding, dilation):
    x, w = rng.normal(size=(3, 4, 7, 6)), rng.normal(size=(8, 4 // groups, 3, 2))
    y = F.conv2d(gd.tensor(x), gd.tensor(w), None, stride, padding, dilation, groups)
    np.testing.assert_allclose(y, direct(x, w, stride, padding, dilation, groups), atol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("filters", "groups", "stride"), [(64, 1, 1), (4, 1, 1), (16, 16, 2), (32, 4, 1)]
)
def test_several_blocks_of_samples_give_what_pytorch_does(torch, rng, filters, groups, stride):
    shapes = (9, 16, 40, 40), (filters, 16 // groups, 3, 3), (filters,)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    found = []
    for lib in (gd, torch):
        tensors = [lib.tensor(a) for a in arrays]
        for t in tensors:
            t.requires_grad = True
        y = lib.nn.functional.conv2d(*tensors, stride, 1, 1, groups)
        (y * y).sum().backward()
        found.append([np.asarray(v.detach()) for v in (y, *(t.grad for t in tensors))])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("function", [F.conv2d, F.conv_transpose2d])
def test_complex_convolutions_are_right_at_second_order(rng, function):
    shapes = (1, 2, 3, 2), (2, 2, 2, 2), (2,)
    inputs = [rng.normal(size=s) + 1j * rng.normal(size=s) for s in shapes]
    inputs = [gd.tensor(v, requires_grad=True) for v in inputs]
    assert gradgradcheck(lambda *a: function(*a, padding=1), inputs)


def test_float16_is_summed_in_float32():
    x, w = gd.full((1, 4096, 1), 0.1, dtype=gd.float16), gd.ones(1, 4096, 1, dtype=gd.float16)
    assert abs(F.conv1d(x, w).item() - 409.5) < 0.5
    assert abs(F.avg_pool1d(x.reshape(1, 1, 4096), 4096).item() - 0.1) < 1e-3


def test_fold_undoes_unfold_up_to_how_many_windows_an_element_is_in(rng):
    x = gd.tensor(rng.normal(size=(2, 3, 5, 6)))
    counts = F.fold(F.unfold(gd.ones_like(x), 3, padding=1), (5, 6), 3, padding=1)
    found = F.fold(F.unfold(x, 3, padding=1), (5, 6), 3, padding=1)
    np.testing.assert_allclose(found, x * counts)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parity
@pytest.mark.parametrize("window", ["max_pool", "adaptive_max_pool", "a large window"])
def test_ties_nan_and_infinity_give_the_indices_and_gradients_of_pytorch(torch, window):
    x = np.array([[1, 1, NAN, 2, 3, 3], [1, 0, NAN, 5, 3, 3], [-INF] * 6, [-INF] * 6])[None]
    if window == "a large window":
        x = np.tile(x, (3, 1, 4))
    found = []
    for lib in (gd, torch):
        t = lib.tensor(x, requires_grad=True)
        function = lib.nn.functional
        if window == "max_pool":
            y, at = function.max_pool2d(t, (2, 3), 1, (1, 1), return_indices=True)
        elif window == "adaptive_max_pool":
            y, at = function.adaptive_max_pool2d(t, (3, 2), return_indices=True)
        else:
            y, at = function.max_pool2d(t, (4, 24), return_indices=True)
        y.sum().backward()
        found.append([np.asarray(v.detach()) for v in (y, at, t.grad)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_infinite_element_stays_in_its_own_windows():
    x = gd.tensor([[[INF, 1.0, 2.0, 3.0, 4.0]]])
    assert F.adaptive_avg_pool1d(x, 3).tolist() == [[[INF, 2.0, 3.5]]]
    assert F.avg_pool1d(x, 2, 1).tolist() == [[[INF, 1.5, 2.5, 3.5]]]


def test_pooling_without_a_graph_gives_what_it_gives_with_one(rng):
    x = gd.tensor(rng.normal(size=(2, 3, 7, 9)), requires_grad=True)
    for call in (
        lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        lambda x: F.adaptive_max_pool2d(x, (4, 2)),
    ):
        y = call(x)
        assert y.requires_grad
        np.testing.assert_array_equal(call(x.detach()), y.detach())


def test_random_windows_follow_the_seed(rng):
    x = gd.tensor(rng.normal(size=(1, 2, 9, 9)))
    gd.manual_seed(0)
    first, at = F.fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.6), return_indices=True)
    gd.manual_seed(0)
    np.testing.assert_array_equal(F.fractional_max_pool2d(x, 2, (4, 5)), first)
    flat = x.flatten(-2).take_along_dim(at.flatten(-2), -1)
    np.testing.assert_array_equal(flat.reshape(first.shape), first)
