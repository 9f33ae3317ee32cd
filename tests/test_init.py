"""nn.init: moments and bounds of random values, the values that are no chance, and errors."""

import math

import numpy as np
import pytest

import gradcore as gd
from gradcore.nn import init


def filled(name, shape, *args, **kwargs):
    gd.manual_seed(0)
    t = gd.full(shape, math.nan, dtype=gd.float64, requires_grad=True)
    assert getattr(init, name)(t, *args, **kwargs) is t
    assert t.is_leaf
    return t.detach().numpy()


@pytest.mark.parametrize(
    ("name", "args", "std", "bound"),
    [
        ("uniform_", (-1, 3), 4 / math.sqrt(12), None),
        ("normal_", (1.0, 0.5), 0.5, None),
        ("xavier_uniform_", (2.0,), 2 * math.sqrt(2 / 900), 2 * math.sqrt(6 / 900)),
        ("xavier_normal_", (2.0,), 2 * math.sqrt(2 / 900), None),
        ("kaiming_uniform_", (0, "fan_in", "relu"), math.sqrt(2 / 600), math.sqrt(6 / 600)),
        ("kaiming_normal_", (0.5, "fan_out"), math.sqrt(2 / 1.25 / 300), None),
    ],
)
def test_moments(name, args, std, bound):
    x = filled(name, (100, 200, 3), *args)
    assert x.std() == pytest.approx(std, rel=0.02)
    if bound is not None:
        assert np.abs(x).max() <= bound
        assert np.abs(x).max() > 0.99 * bound


@pytest.mark.parametrize(("mean", "a", "b"), [(0, -1, 2), (0, 1.5, 4), (1, -5, 0)])
def test_truncated_normal_numbers_have_the_moments_they_should(mean, a, b):
    x = filled("trunc_normal_", (200, 200), mean, 1.0, a, b)
    assert a <= x.min() < x.max() <= b
    grid = np.linspace(a, b, 100_001)
    density = np.exp(-0.5 * (grid - mean) ** 2)
    expected = (grid * density).sum() / density.sum()
    spread = math.sqrt(((grid - expected) ** 2 * density).sum() / density.sum())
    assert x.mean() == pytest.approx(expected, abs=0.02)
    assert x.std() == pytest.approx(spread, rel=0.02)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3)])
def test_orthogonal(shape):
    x = filled("orthogonal_", shape, 2.0).reshape(shape[0], -1) / 2
    product = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_sparse_sets_a_part_of_each_column_to_zero():
    x = filled("sparse_", (10, 7), 0.25)
    assert ((x == 0).sum(0) == 3).all()


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "shape", "args"),
    [
        ("eye_", (3, 4), ()),
        ("dirac_", (4, 2, 3), (2,)),
        ("dirac_", (2, 3, 2, 3), ()),
        ("constant_", (2,), (3.0,)),
        ("ones_", (2,), ()),
        ("zeros_", (2,), ()),
    ],
)
def test_values_as_in_pytorch(torch, name, shape, args):
    expected = getattr(torch.nn.init, name)(torch.empty(shape), *args)
    np.testing.assert_array_equal(filled(name, shape, *args), expected.numpy())


@pytest.mark.parity
@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: m.eye_(x(3)),
        lambda m, x: m.dirac_(x(3)),
        lambda m, x: m.dirac_(x(3, 2, 3), 2),
        lambda m, x: m.xavier_uniform_(x(3)),
        lambda m, x: m.kaiming_uniform_(x(3, 3), mode="fan"),
        lambda m, x: m.orthogonal_(x(3)),
        lambda m, x: m.sparse_(x(3), 0.1),
        lambda m, x: m.calculate_gain("softplus"),
        lambda m, x: m.calculate_gain("leaky_relu", True),
    ],
)
def test_errors_as_in_pytorch(torch, call):
    with pytest.raises(ValueError, match=r"\w") as theirs:
        call(torch.nn.init, torch.empty)
    with pytest.raises(ValueError, match=r"\w") as ours:
        call(init, gd.empty)
    assert str(theirs.value) in str(ours.value)


@pytest.mark.parity
def test_names_and_gains_are_those_of_pytorch(torch):
    theirs = torch.nn.init
    names = {
        n
        for n, f in vars(theirs).items()
        if callable(f) and n[0] != "_" and f.__module__ == theirs.__name__ and n[0].islower()
    }
    assert names == set(init.__all__)
    for name in ("linear", "conv_transpose3d", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == theirs.calculate_gain(name)


def test_a_generator_gives_the_numbers():
    one, two = (
        init.normal_(gd.empty(5), generator=gd.Generator().manual_seed(3)) for _ in range(2)
    )
    assert gd.equal(one, two)


def test_former_names_warn():
    with pytest.warns(FutureWarning, match="nn.init.uniform_"):
        init.uniform(gd.empty(2))
