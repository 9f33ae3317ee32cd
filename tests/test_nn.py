"""Functions of nn.functional, and Parameter: kinks, special values, dtypes, errors, parity."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradcore as gd
from gradcore import nn
from gradcore.erf import erf
from gradcore.nn import functional as F
from gradcore.ops import activation

WANTED = list(itertools.product([True, False], repeat=3))


def gradient(function, *values):
    leaves = [gd.tensor(v, requires_grad=True) for v in values]
    function(*leaves).sum().backward()
    return [leaf.grad.numpy() for leaf in leaves]


def assert_same(ours, theirs, tolerance=1e-12):
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


# the error function


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 3e-16), ("float32", 5e-7), ("float16", 5e-4)]
)
@pytest.mark.parametrize("n", [100, 100_001])
def test_erf_is_as_exact_as_it_says(dtype, tolerance, n):
    x = np.linspace(-7, 7, n).astype(dtype)
    y = erf(x)
    assert y.dtype == dtype
    exact = np.array([math.erf(v) for v in x])
    assert np.abs(y.astype(float) - exact).max() <= tolerance


@pytest.mark.parametrize("n", [1, 1000])
def test_erf_at_special_values(n):
    x = np.resize(np.array([np.nan, np.inf, -np.inf, 0.0]), 4 * n)
    np.testing.assert_array_equal(erf(x)[:4], [np.nan, 1.0, -1.0, 0.0])


def test_erf_keeps_shapes():
    assert erf(np.zeros(())).shape == ()
    assert erf(np.zeros((0, 3))).shape == (0, 3)
    x = np.linspace(-1, 1, 600).reshape(20, 30)
    np.testing.assert_array_equal(erf(x.T), erf(x).T)


# kinks


@pytest.mark.parametrize(
    ("function", "at", "derivative"),
    [
        (F.relu, 0.0, 0.0),
        (F.leaky_relu, 0.0, 0.01),
        (F.elu, 0.0, 1.0),
        (lambda x: F.elu(x, 0.5), 0.0, 0.5),
        (F.softplus, 20.0, 1.0 / (1.0 + math.exp(-20.0))),
        (F.softplus, 20.1, 1.0),
        (lambda x: F.l1_loss(x, gd.zeros(1, dtype=gd.float64)), 0.0, 0.0),
        (lambda x: F.smooth_l1_loss(x, gd.zeros(1, dtype=gd.float64)), 1.0, 1.0),
        (lambda x: F.huber_loss(x, gd.zeros(1, dtype=gd.float64), delta=2.0), 2.0, 2.0),
    ],
)
def test_derivative_at_kink(function, at, derivative):
    (g,) = gradient(function, np.array([at]))
    np.testing.assert_allclose(g, [derivative], rtol=1e-14)


@pytest.mark.parametrize("name", ["silu", "logsigmoid", "softplus", "elu", "gelu", "sigmoid"])
def test_large_values_neither_warn_nor_overflow(name):
    function = getattr(F, name)
    x = gd.tensor([-1e4, -800.0, -90.0, 90.0, 800.0, 1e4], requires_grad=True)
    y = function(x)
    y.sum().backward()
    assert np.isfinite(y.detach().numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


def test_small_probabilities_keep_their_digits():
    assert gd.sigmoid(gd.tensor(-20.0)).item() == pytest.approx(2.0611537e-9, rel=1e-6)
    (g,) = gradient(F.logsigmoid, np.array([50.0]))
    assert g[0] == pytest.approx(math.exp(-50.0), rel=1e-12)
    (g,) = gradient(F.softplus, np.array([-50.0]))
    assert g[0] == pytest.approx(math.exp(-50.0), rel=1e-12)


@pytest.mark.parametrize("name", ["logsigmoid", "softplus", "silu", "gelu", "elu"])
def test_second_derivative_at_zero(torch, name):
    x = gd.zeros(1, dtype=gd.float64, requires_grad=True)
    t = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (g,) = gd.autograd.grad(getattr(F, name)(x).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(getattr(torch.nn.functional, name)(t).sum(), t, create_graph=True)
    assert_same(g, h)
    assert_same(gd.autograd.grad(g.sum(), x)[0], torch.autograd.grad(h.sum(), t)[0])


# softmax


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_softmax_of_nothing_but_minus_infinity_is_nan():
    x = gd.full((2,), -math.inf)
    assert np.isnan(gd.softmax(x, 0).numpy()).all()
    assert np.isnan(gd.log_softmax(x, 0).numpy()).all()


def test_softmax_with_some_minus_infinity():
    x = gd.tensor([0.0, -math.inf], requires_grad=True)
    y = gd.softmax(x, 0)
    y[0].backward()
    assert y.tolist() == [1.0, 0.0]
    assert x.grad.tolist() == [0.0, 0.0]


def test_softmax_of_float16_is_summed_in_float32():
    x = gd.zeros(1, 60_000, dtype=gd.float16)
    y = gd.softmax(x, 1)
    assert y.dtype is gd.float16
    assert y[0, 0].item() == pytest.approx(1 / 60_000, rel=1e-2)


def test_softmax_takes_axis_and_dtype():
    x = gd.tensor([[1, 2], [3, 4]])
    assert gd.softmax(x, axis=0, dtype=gd.float64).dtype is gd.float64
    with pytest.raises(TypeError, match='missing 1 required positional arguments: "dim"'):
        gd.softmax(x.float())


@pytest.mark.parametrize(("ndim", "dim"), [(0, 0), (1, 0), (2, 1), (3, 0), (4, 1)])
def test_functional_softmax_chooses_a_dim_with_a_warning(ndim, dim):
    x = gd.randn(*[2] * ndim)
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        y = F.softmax(x)
    assert y.tolist() == gd.softmax(x, dim).tolist()


# linear


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("wanted", WANTED)
def test_linear_gradients_of_any_inputs(wanted, order, rng):
    arrays = [np.asarray(rng.standard_normal(s), order=order) for s in ((5, 3), (4, 3), (4,))]
    x, w, b = (gd.tensor(a, requires_grad=r) for a, r in zip(arrays, wanted, strict=True))
    y = F.linear(x, w, b)
    assert y.requires_grad == any(wanted)
    if not any(wanted):
        return
    g = rng.standard_normal((5, 4))
    y.backward(gd.tensor(g))
    expected = (g @ arrays[1], g.T @ arrays[0], g.sum(0))
    for t, e in zip((x, w, b), expected, strict=True):
        assert (t.grad is not None) == t.requires_grad
        if t.grad is not None:
            np.testing.assert_allclose(t.grad.numpy(), e)


def test_linear_is_one_node():
    x, w, b = gd.randn(2, 3), gd.randn(4, 3, requires_grad=True), gd.randn(4, requires_grad=True)
    assert F.linear(x, w, b).grad_fn.name() == "AddmmBackward0"
    assert F.linear(x, w).grad_fn.name() == "MmBackward0"


def test_linear_of_float16(torch, rng):
    arrays = [rng.standard_normal(s).astype(np.float16) for s in ((6, 300), (5, 300), (5,))]
    ours = F.linear(*map(gd.tensor, arrays))
    theirs = torch.nn.functional.linear(*map(torch.tensor, arrays))
    assert_same(ours, theirs, 2e-3)


def test_linear_says_which_shapes_do_not_fit():
    with pytest.raises(RuntimeError, match=r"\(4x3 and 5x2\)"):
        F.linear(gd.ones(2, 2, 3), gd.ones(2, 5))


# embedding and one_hot


def test_embedding_adds_up_rows_looked_up_twice():
    w = gd.zeros(4, 2, requires_grad=True)
    F.embedding(gd.tensor([[0, 0], [3, 0]]), w).sum().backward()
    assert w.grad.tolist() == [[3, 3], [0, 0], [0, 0], [1, 1]]


def test_embedding_padding_row_has_a_value_but_no_gradient():
    w = gd.ones(3, 2, requires_grad=True)
    y = F.embedding(gd.tensor([0, 2, 2]), w, padding_idx=-1)
    y.sum().backward()
    assert y.tolist() == [[1, 1]] * 3
    assert w.grad.tolist() == [[1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("padding_idx", [None, 1])
def test_embedding_gradient_by_frequency(torch, padding_idx):
    index = np.array([0, 1, 1, 2, 2, 2])
    w = gd.ones(4, 2, requires_grad=True)
    t = torch.ones(4, 2, requires_grad=True)
    options = {"padding_idx": padding_idx, "scale_grad_by_freq": True}
    F.embedding(gd.tensor(index), w, **options).sum().backward()
    torch.nn.functional.embedding(torch.tensor(index), t, **options).sum().backward()
    assert_same(w.grad, t.grad, 1e-6)


def test_one_hot():
    y = F.one_hot(gd.tensor([[0, 2]]))
    assert y.tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert y.dtype is gd.int64


# layer_norm


@pytest.mark.parametrize("wanted", WANTED)
def test_layer_norm_gradients_of_any_inputs(torch, wanted, rng):
    arrays = [rng.standard_normal(s) for s in ((5, 2, 3), (2, 3), (2, 3))]
    ours = [gd.tensor(a, requires_grad=r) for a, r in zip(arrays, wanted, strict=True)]
    theirs = [torch.tensor(a, requires_grad=r) for a, r in zip(arrays, wanted, strict=True)]
    y = F.layer_norm(ours[0], (2, 3), *ours[1:])
    z = torch.nn.functional.layer_norm(theirs[0], (2, 3), *theirs[1:])
    assert_same(y, z)
    if any(wanted):
        y.sin().sum().backward()
        z.sin().sum().backward()
        for t, u in zip(ours, theirs, strict=True):
            assert (t.grad is None) == (u.grad is None)
            if t.grad is not None:
                assert_same(t.grad, u.grad)


def test_layer_norm_of_float16_is_summed_in_float32():
    x = gd.full((2, 4096), 60_000.0, dtype=gd.float16)
    assert F.layer_norm(x, (4096,)).tolist() == [[0.0] * 4096] * 2


def test_layer_norm_backward_runs_twice_when_it_is_retained(rng):
    x = gd.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    y = F.layer_norm(x, (4,)).sin().sum()
    (first,) = gd.autograd.grad(y, x, retain_graph=True)
    (second,) = gd.autograd.grad(y, x)
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize("shape", [(700, 200), (3, 70_000), (2, 5000), (1, 1), (70_000, 2)])
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_norms_of_many_and_of_long_rows(torch, rng, name, shape):
    arrays = [rng.standard_normal(s).astype(np.float32) for s in (shape, shape[1:], shape[1:])]
    arrays = arrays[: 3 if name == "layer_norm" else 2]
    results = []
    for lib in (gd, torch):
        x, *parameters = (lib.tensor(a, requires_grad=True) for a in arrays)
        y = getattr(lib.nn.functional, name)(x, shape[1:], *parameters)
        (y * y).sum().backward()
        results.append([y, x.grad, *(t.grad for t in parameters)])
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs, 2e-5 * max(1.0, float(theirs.detach().abs().max())))


@pytest.mark.filterwarnings("ignore:Mismatch dtype:UserWarning")
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize(
    ("dtype", "parameters"),
    [("float16", "float16"), ("float16", "float32"), ("float64", "float64")],
)
def test_norms_of_every_dtype(torch, rng, name, dtype, parameters):
    arrays = [rng.standard_normal((5, 8)).astype(dtype), rng.standard_normal(8).astype(parameters)]
    results = []
    for lib in (gd, torch):
        x, w = (lib.tensor(a, requires_grad=True) for a in arrays)
        y = getattr(lib.nn.functional, name)(x, (8,), w)
        y.sin().sum().backward()
        results.append((y, x.grad, w.grad))
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs, 1e-2 if dtype == "float16" else 1e-12)


def test_double_backward_of_float16_norms_keeps_the_dtypes(rng):
    for function in (
        lambda x, w: F.layer_norm(x, (4,), w),
        lambda x, w: F.rms_norm(x, (4,), w),
        lambda x, w: F.batch_norm(x, None, None, w, training=True),
    ):
        x = gd.tensor(rng.standard_normal((3, 4)).astype(np.float16), requires_grad=True)
        w = gd.tensor(rng.standard_normal(4).astype(np.float32), requires_grad=True)
        y = function(x, w)
        first = gd.autograd.grad(y.sin().sum(), (x, w), create_graph=True)
        second = gd.autograd.grad(first[0].sum() + first[1].sum(), (x, w))
        assert [g.dtype for g in (*first, *second)] == [gd.float16, gd.float32] * 2


# rms_norm


@pytest.mark.filterwarnings("ignore:Mismatch dtype:UserWarning")
@pytest.mark.parametrize("weight", ["float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_rms_norm_has_pytorchs_dtype(torch, rng, dtype, weight):
    x = (3 * rng.standard_normal((2, 3))).astype(dtype)
    w = (3 * rng.standard_normal(3)).astype(weight)
    y = F.rms_norm(gd.tensor(x), (3,), gd.tensor(w))
    assert_same(y, torch.nn.functional.rms_norm(torch.tensor(x), (3,), torch.tensor(w)), 4e-3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rms_norm_without_eps_takes_the_epsilon_of_what_it_computes_in(torch, dtype):
    x = np.full((1, 4), 1e-4, dtype)
    y = F.rms_norm(gd.tensor(x), (4,))
    assert_same(y, torch.nn.functional.rms_norm(torch.tensor(x), (4,)), 1e-3)


# batch_norm


BATCHES = [(4, 3), (2, 3, 4), (2, 3, 2, 2), (1, 3, 5)]


def batch_norm_in(lib, arrays, wanted, training, **options):
    """What batch_norm gives: the result, the gradients and the running statistics."""
    x, w, b = (lib.tensor(a, requires_grad=r) for a, r in zip(arrays[:3], wanted, strict=True))
    mean, var = (lib.tensor(a) for a in arrays[3:])
    y = lib.nn.functional.batch_norm(x, mean, var, w, b, training, **options)
    if any(wanted):
        y.sin().sum().backward()
    return y, x.grad, w.grad, b.grad, mean, var


def batch_arrays(rng, shape, dtype="float64", parameters="float64"):
    x = rng.standard_normal(shape).astype(dtype)
    small = [rng.uniform(0.5, 2.0, shape[1]).astype(parameters) for _ in range(4)]
    return [x, *small]


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", BATCHES)
def test_batch_norm_is_pytorchs(torch, rng, shape, training, wanted):
    arrays = batch_arrays(rng, shape)
    results = [
        batch_norm_in(lib, arrays, wanted, training, momentum=0.3, eps=0.01) for lib in (gd, torch)
    ]
    for ours, theirs in zip(*results, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert_same(ours, theirs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("parameters", ["float16", "float32"])
def test_batch_norm_of_float16(torch, rng, training, parameters):
    arrays = batch_arrays(rng, (6, 3, 4), "float16", parameters)
    results = [batch_norm_in(lib, arrays, (True,) * 3, training) for lib in (gd, torch)]
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs, 1e-2)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(9000, 20), (70_000, 2), (5, 7, 4000), (2, 1, 80_000)])
def test_batch_norm_of_many_elements(torch, rng, shape, training):
    arrays = batch_arrays(rng, shape, "float32", "float32")
    found = batch_norm_in(gd, arrays, (True,) * 3, training)
    exact = batch_norm_in(torch, [a.astype(float) for a in arrays], (True,) * 3, training)
    for ours, theirs in zip(found, exact, strict=True):
        ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
        assert ours.dtype == np.float32
        assert np.abs(ours - theirs).max() < 5e-6 * max(1.0, np.abs(theirs).max())


@pytest.mark.parametrize("shape", BATCHES)
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_derivatives_of_both_orders(rng, shape, training):
    x, w, b, mean, var = (gd.tensor(a) for a in batch_arrays(rng, shape))
    inputs = [t.requires_grad_() for t in (x, w, b)]

    def function(x, w, b):
        return F.batch_norm(x, mean.clone(), var.clone(), w, b, training, eps=0.1)

    assert gd.testing.gradcheck(function, inputs)
    assert gd.testing.gradgradcheck(function, inputs)


@pytest.mark.parametrize("shape", [(50_000, 3), (50, 3, 1000)])
def test_batch_norm_is_exact_far_from_zero(rng, shape):
    x = (rng.standard_normal(shape) + 3000).astype(np.float32)
    wide = x.astype(float)
    axes = (0, *range(2, len(shape)))
    expected = (wide - wide.mean(axes, keepdims=True)) / wide.std(axes, keepdims=True)
    y = F.batch_norm(gd.tensor(x), None, None, training=True)
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-3)


def test_batch_norm_of_equal_large_numbers_is_finite():
    x = gd.full((1000, 1), 1.1e9)
    var = gd.ones(1)
    y = F.batch_norm(x, gd.zeros(1), var, training=True)
    assert np.isfinite(y.numpy()).all()
    assert var.item() == pytest.approx(0.9)


def test_batch_norm_moves_running_statistics_in_place(torch, rng):
    x = rng.standard_normal((6, 3)).astype(np.float32)
    mean, var = np.zeros((3, 2), np.float32)[:, 0], np.ones(3, np.float32)
    y = F.batch_norm(gd.tensor(x), mean, var, training=True, momentum=0.25)
    assert y.requires_grad is False
    np.testing.assert_allclose(mean, 0.25 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(var, 0.75 + 0.25 * x.var(0, ddof=1), rtol=1e-5)


def test_batch_norm_gradients_are_those_of_the_statistics_it_used(rng):
    x = gd.tensor(rng.standard_normal((6, 3)), requires_grad=True)
    mean, var = gd.zeros(3, dtype=gd.float64), gd.full((3,), 4.0, dtype=gd.float64)
    y = F.batch_norm(x, mean, var, eps=0.0)
    F.batch_norm(x, mean, var, training=True, momentum=1.0)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 0.5)


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_nothing_leaves_the_running_statistics(torch, rng, shape, training):
    arrays = batch_arrays(rng, shape)
    results = [batch_norm_in(lib, arrays, (True,) * 3, training) for lib in (gd, torch)]
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs)


def test_batch_norm_refuses_running_statistics_that_require_grad():
    x, mean = gd.ones(4, 3), gd.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"not differentiable .* 'running_mean'"):
        F.batch_norm(x, mean, gd.ones(3))
    with gd.no_grad():
        assert F.batch_norm(x, mean, gd.ones(3)).tolist() == [[0.0] * 3] * 4


@pytest.mark.parametrize(
    ("x", "small"), [("float32", "float64"), ("float64", "float32"), ("float32", "float16")]
)
def test_parameters_of_another_dtype_are_refused(x, small):
    x, small = gd.ones(4, 3).to(getattr(gd, x)), gd.ones(3).to(getattr(gd, small))
    for call in (
        lambda: F.layer_norm(x, (3,), small),
        lambda: F.batch_norm(x, small, small),
        lambda: F.batch_norm(x, None, None, bias=small, training=True),
    ):
        with pytest.raises(RuntimeError, match="mixed dtype"):
            call()
    half, single = gd.ones(4, 3, dtype=gd.float16), gd.ones(3)
    with pytest.raises(RuntimeError, match="mixed dtype"):
        F.layer_norm(half, (3,), single, single.half())


# dropout


def test_dropout_keeps_the_mean():
    gd.manual_seed(1)
    x = gd.ones(100_000, requires_grad=True)
    y = F.dropout(x, 0.25)
    values = y.detach().numpy()
    assert y.dtype is gd.float32
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert values.mean() == pytest.approx(1.0, abs=0.01)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)


def test_dropout_is_repeated_by_its_seed():
    x = gd.ones(100)
    gd.manual_seed(3)
    first = F.dropout(x)
    gd.manual_seed(3)
    assert F.dropout(x).tolist() == first.tolist()


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_the_rate_of_dropout_and_the_independence_of_calls(p):
    gd.manual_seed(5)
    n = 200_000
    error = 5 * math.sqrt(p * (1 - p) / n)
    first, second = (F.dropout(gd.ones(n), p).numpy() == 0 for _ in range(2))
    for mask in (first, second):
        assert abs(mask.mean() - p) < error
        rows = mask.reshape(-1, 100).sum(1)
        assert rows.var() == pytest.approx(100 * p * (1 - p), rel=0.15)
    assert abs(((first - p) * (second - p)).mean()) < error * math.sqrt(p * (1 - p)) + 1e-5


@pytest.mark.parametrize("dtype", [gd.float16, gd.float32, gd.float64])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (0, 3)])
def test_dropout_drops_the_same_in_every_dtype(dtype, shape):
    gd.manual_seed(2)
    expected = F.dropout(gd.ones(*shape, dtype=gd.float64), 0.4).numpy()
    gd.manual_seed(2)
    x = gd.ones(*shape, dtype=dtype, requires_grad=True)
    y = F.dropout(x, 0.4)
    assert y.dtype is dtype
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-3)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


def test_higher_derivatives_of_dropout_meet_the_same_mask():
    x = gd.rand(20, dtype=gd.float64, requires_grad=True)
    y = F.dropout(x, 0.5)
    factor, at = (y / x).detach().numpy(), x.detach().numpy()
    (first,) = gd.autograd.grad((y**3).sum(), x, create_graph=True)
    (second,) = gd.autograd.grad(first.sum(), x)
    np.testing.assert_allclose(first.detach().numpy(), 3 * factor**3 * at**2, rtol=1e-12)
    np.testing.assert_allclose(second.numpy(), 6 * factor**3 * at, rtol=1e-12)


@pytest.mark.parametrize("dtype", [gd.float16, gd.float32, gd.float64])
def test_dropout_multiplies_what_it_drops_by_0(dtype):
    with np.errstate(invalid="ignore"):
        y = F.dropout(gd.full((100,), math.inf, dtype=dtype), 0.5).numpy()
    assert set(map(str, y.tolist())) == {"inf", "nan"}
    assert np.isnan(F.dropout(gd.full((3,), math.nan, dtype=dtype), 0.5).numpy()).all()


def test_dropout_of_everything_and_nothing():
    x = gd.tensor([1.0, math.inf])
    assert F.dropout(x, 0.3, training=False) is x
    assert F.dropout(gd.ones(3), 1.0).tolist() == [0, 0, 0]
    assert F.dropout(gd.ones(3, dtype=gd.float16), 1.0).tolist() == [0, 0, 0]
    assert F.dropout(gd.ones(3, dtype=gd.float16), 1 - 1e-9).tolist() == [0, 0, 0]
    assert F.dropout(gd.ones(3), 1e-12).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="between 0 and 1"):
        F.dropout(x, -0.1)


# losses


def test_cross_entropy_is_one_node_over_the_scores():
    x = gd.randn(3, 4, requires_grad=True)
    node = F.cross_entropy(x, gd.tensor([0, 1, 2])).grad_fn
    assert node.name() == "NllLossBackward0"
    assert node.next_functions[0][0].variable is x


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(1, 1), (3, 4), (5, 2), (4,), (2, 3, 4), (2, 3, 2, 2)]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    weighted=st.booleans(),
    ignore=st.sampled_from([-100, 0, 1]),
    smoothing=st.sampled_from([0.0, 0.2]),
    label=st.sampled_from([np.int64, np.uint8]),
    dtype=st.sampled_from([np.float64, np.float32]),
    order=st.sampled_from(["C", "F"]),
)
def test_cross_entropy_is_pytorchs(
    torch, seed, shape, reduction, weighted, ignore, smoothing, label, dtype, order
):
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal(shape)).astype(dtype, order=order)
    dim = 1 if len(shape) > 1 else 0
    target = rng.integers(0, shape[dim], shape[:dim] + shape[dim + 1 :]).astype(label)
    weight = rng.uniform(0.1, 1.0, shape[dim]).astype(dtype) if weighted else None
    results = []
    for lib in (gd, torch):
        leaf = lib.tensor(x, requires_grad=True)
        loss = lib.nn.functional.cross_entropy(
            leaf,
            lib.tensor(target if lib is gd else target.astype(np.int64)),
            None if weight is None else lib.tensor(weight),
            ignore_index=ignore,
            reduction=reduction,
            label_smoothing=smoothing,
        )
        loss.sum().backward()
        results.append((loss, leaf.grad))
    (loss, g), (torch_loss, torch_g) = results
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    assert_same(loss, torch_loss, tolerance)
    assert_same(g, torch_g, tolerance)


def test_cross_entropy_of_nothing_is_nan_with_gradient_zero():
    x = gd.randn(2, 3, requires_grad=True)
    loss = F.cross_entropy(x, gd.tensor([-100, -100]))
    loss.backward()
    assert math.isnan(loss.item())
    assert x.grad.tolist() == [[0, 0, 0]] * 2
    assert math.isnan(F.cross_entropy(gd.zeros(0, 3), gd.zeros(0, dtype=gd.int64)).item())


def test_cross_entropy_leaves_an_ignored_minus_infinity_alone():
    x = gd.tensor([[0.0, -math.inf], [1.0, 1.0]], requires_grad=True)
    loss = F.cross_entropy(x, gd.tensor([1, 0]), ignore_index=1)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert x.grad.tolist()[0] == [0, 0]


@pytest.mark.parametrize("target", [4, -1, 2**62, -(2**63)])
@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 1)])
def test_target_out_of_bounds(target, shape):
    labels = gd.tensor(np.array([0, target]).reshape(2, *shape[2:]))
    for function in (F.cross_entropy, F.nll_loss):
        with pytest.raises(IndexError, match=f"Target {target} is out of bounds"):
            function(gd.zeros(*shape), labels)


def test_cross_entropy_does_not_change_its_input(rng):
    a = rng.standard_normal((3, 4))
    x = gd.tensor(a, requires_grad=True)
    F.cross_entropy(x, gd.tensor([0, 1, 2])).backward()
    np.testing.assert_array_equal(x.detach().numpy(), a)


def test_cross_entropy_backward_runs_twice_when_it_is_retained(rng):
    x = gd.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    loss = F.cross_entropy(x, gd.tensor([0, 1, 2]))
    loss.backward(retain_graph=True)
    once = x.grad.tolist()
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.array(once))
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()


def test_losses_warn_where_they_broadcast():
    with pytest.warns(UserWarning, match="is different to the input size") as caught:
        F.mse_loss(gd.zeros(2, 3), gd.zeros(3))
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
def test_losses_of_shapes_that_do_not_broadcast():
    with pytest.raises(RuntimeError, match="The size of tensor a"):
        F.mse_loss(gd.zeros(2, 3), gd.zeros(4))


def test_old_reduction_arguments():
    x = gd.tensor([1.0, 3.0])
    with pytest.warns(UserWarning, match="reduction='sum'") as caught:
        assert F.mse_loss(x, gd.zeros(2), size_average=False).item() == 10
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="reduction='none'"):
        assert F.mse_loss(x, gd.zeros(2), reduce=False).tolist() == [1, 9]


def test_losses_promote(torch):
    ours = F.mse_loss(gd.ones(2), gd.tensor([2, 3]))
    theirs = torch.nn.functional.mse_loss(torch.ones(2), torch.tensor([2, 3]))
    assert_same(ours, theirs)


def test_binary_cross_entropy_at_its_ends(torch):
    x, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    ours, theirs = gd.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = F.binary_cross_entropy(ours, gd.tensor(t), reduction="none")
    z = torch.nn.functional.binary_cross_entropy(theirs, torch.tensor(t), reduction="none")
    assert_same(y, z)
    y.sum().backward()
    z.sum().backward()
    assert_same(ours.grad, theirs.grad)


def test_float16_losses_are_summed_in_float32():
    x = gd.full((1000,), 100.0, dtype=gd.float16)
    assert F.mse_loss(x, gd.zeros(1000, dtype=gd.float16)).item() == 10_000
    assert F.l1_loss(x, gd.zeros(1000, dtype=gd.float16)).item() == 100


# attention


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_pytorchs(torch, causal, rng):
    arrays = [rng.standard_normal(s) for s in ((2, 3, 4), (2, 5, 4), (2, 5, 6))]
    ours = F.scaled_dot_product_attention(*map(gd.tensor, arrays), is_causal=causal)
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.tensor, arrays), is_causal=causal
    )
    assert_same(ours, theirs)


def test_attention_row_that_may_look_nowhere_is_zero():
    q = gd.ones(2, 4, requires_grad=True)
    mask = gd.tensor([[True, False], [False, False]])
    y = F.scaled_dot_product_attention(q, gd.ones(2, 4), gd.ones(2, 3), mask)
    y.sum().backward()
    assert y.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert np.isfinite(q.grad.numpy()).all()


# Parameter


def test_parameter_is_a_leaf_tensor_that_shares_memory():
    data = gd.zeros(3)
    p = nn.Parameter(data)
    assert type(p) is gd.Tensor
    assert p.is_leaf
    assert p.requires_grad
    assert not data.requires_grad
    assert p.data_ptr() == data.data_ptr()
    assert isinstance(p, nn.Parameter)
    assert not isinstance(data, nn.Parameter)
    assert not isinstance(p * 2, nn.Parameter)


def test_parameter_of_nothing_arrays_and_integers():
    assert nn.Parameter().shape == (0,)
    assert nn.Parameter(np.ones(2)).dtype is gd.float64
    assert not nn.Parameter(gd.ones(2), requires_grad=False).requires_grad
    with pytest.raises(RuntimeError, match="can require gradients"):
        nn.Parameter(gd.tensor([1, 2]))
    assert not nn.Parameter(gd.tensor([1, 2]), requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="to be a Tensor or an array"):
        nn.Parameter([1.0])


@pytest.mark.parametrize(
    "name",
    [
        *("relu", "relu6", "silu", "elu", "celu", "selu", "leaky_relu", "hardtanh", "mish"),
        *("hardsigmoid", "hardswish", "rrelu"),
    ],
)
def test_in_place_activations_write_and_differentiate(name):
    function = getattr(F, name)
    x = gd.tensor([-4.0, -0.5, 0.25, 7.0], dtype=gd.float64, requires_grad=True)
    y = x * 1
    z = function(y, inplace=True)
    assert z is y
    if hasattr(F, f"{name}_"):
        assert getattr(F, f"{name}_")(x.detach().clone()).tolist() == z.tolist()
    (g,) = gd.autograd.grad(z.sum(), x)
    (expected,) = gd.autograd.grad(function(x).sum(), x)
    assert z.tolist() == function(x).tolist()
    assert g.tolist() == expected.tolist()


def test_threshold_in_place():
    x = gd.tensor([1.0, 3.0])
    assert F.threshold_(x, 2, 5).tolist() == [5.0, 3.0]
    assert F.threshold(x, 4, 0, inplace=True) is x
    assert x.tolist() == [5.0, 0.0]


def test_random_slopes_are_between_the_bounds():
    x = gd.full((1000,), -1.0, requires_grad=True)
    y = F.rrelu(x, 0.25, 0.5, training=True)
    y.sum().backward()
    assert -0.5 <= y.min().item() < -0.45
    assert -0.3 < y.max().item() <= -0.25
    assert x.grad.tolist() == (-y).tolist()


def test_gumbel_softmax_chooses_by_probability():
    logits = gd.tensor([0.1, 0.6, 0.3]).log().expand(4000, 3)
    soft = F.gumbel_softmax(logits, tau=0.5)
    np.testing.assert_allclose(soft.sum(-1).numpy(), 1, rtol=1e-5)
    x = logits.clone().requires_grad_()
    hard = F.gumbel_softmax(x, hard=True)
    np.testing.assert_allclose(hard.detach().mean(0).numpy(), [0.1, 0.6, 0.3], atol=0.04)
    (hard * gd.arange(3)).sum().backward()
    assert x.grad.abs().sum().item() > 0


def test_mean_of_kl_div_warns():
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(gd.zeros(2, 3), gd.ones(2, 3))


@pytest.mark.parity
def test_cosine_similarity_of_short_vectors(torch):
    a, b = np.array([[0.0, 0.0], [3e-9, 1e-9]]), np.ones((2, 2))
    x, t = gd.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    y, expected = F.cosine_similarity(x, gd.tensor(b)), torch.cosine_similarity(t, torch.tensor(b))
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-9)


def test_names_are_public():
    assert set(F.__all__) <= set(dir(F))
    assert {"erf", "log_softmax", "softmax"} == set(activation.__all__)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["gelu", "silu", "hardswish", "mish", "softplus", "elu"])
def test_large_arrays_are_worked_on_in_parts(name, dtype, rng):
    function = getattr(F, name)
    x = gd.tensor(rng.normal(size=(3, 100_001)).astype(dtype), requires_grad=True)
    whole = function(x)
    whole.sum().backward()
    for row, grad in zip(x, x.grad, strict=True):
        part = row.detach().clone().requires_grad_()
        y = function(part)
        y.backward(gd.ones_like(y))
        np.testing.assert_allclose(part.grad.numpy(), grad.numpy(), rtol=1e-6, atol=1e-7)
    turned = function(x.T)
    np.testing.assert_allclose(
        turned.detach().numpy().T, whole.detach().numpy(), rtol=1e-6, atol=1e-7
    )
    (grad,) = gd.autograd.grad(turned, x, gd.ones_like(turned))
    np.testing.assert_allclose(grad.numpy(), x.grad.numpy(), rtol=1e-6, atol=1e-7)
