"""Random numbers of other distributions, and makers, against PyTorch and the laws they follow."""

import numpy as np
import pytest

import gradcore as gd

N = 20_000


@pytest.fixture(autouse=True)
def _seed():
    gd.manual_seed(0)


MOMENTS = {
    "exponential_": ((2.0,), 0.5, 0.5),
    "geometric_": ((0.25,), 4.0, 12**0.5),
    "log_normal_": ((0.0, 0.5), np.exp(0.125), np.exp(0.125) * np.sqrt(np.exp(0.25) - 1)),
    "random_": ((10,), 4.5, np.sqrt(99 / 12)),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_moments(name):
    arguments, mean, deviation = MOMENTS[name]
    x = gd.empty(N)
    assert getattr(x, name)(*arguments) is x
    assert abs(x.mean().item() - mean) < 5 * deviation / N**0.5
    assert abs(x.std().item() - deviation) < 0.1 * deviation


def test_half_of_the_cauchy_numbers_are_within_one_scale():
    x = gd.empty(N).cauchy_(3.0, 2.0)
    assert abs((((x - 3) / 2).abs() < 1).to(gd.float64).mean().item() - 0.5) < 0.02


@pytest.mark.parametrize("replacement", [True, False])
def test_places_are_drawn_by_their_weights(replacement):
    weights = gd.tensor([[1.0, 0.0, 3.0], [1.0, 1.0, 2.0]])
    wide = weights.repeat(N // 2, 1)
    first = wide.multinomial(1 if replacement else 2, replacement)[:, 0].reshape(-1, 2)
    for row, chances in enumerate(weights / weights.sum(1, keepdim=True)):
        for place, chance in enumerate(chances.tolist()):
            share = (first[:, row] == place).to(gd.float64).mean().item()
            assert abs(share - chance) < 0.02
            assert chance or not share
    assert sorted(gd.multinomial(gd.ones(4), 4).tolist()) == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="without replacement"):
        gd.multinomial(gd.ones(2), 3)
    with pytest.raises(RuntimeError, match="not enough non-negative category"):
        gd.multinomial(gd.tensor([1.0, 0.0]), 2)


def test_parameters_get_zero_gradients():
    p = gd.full((N,), 0.25, requires_grad=True)
    mean = gd.zeros(N, requires_grad=True)
    y = gd.bernoulli(p)
    assert abs(y.mean().item() - 0.25) < 0.02
    z = gd.normal(mean, gd.full((1,), 2.0))
    assert abs(z.std().item() - 2) < 0.1
    w = gd.poisson(p * 8)
    assert abs(w.mean().item() - 2) < 0.1
    grads = gd.autograd.grad((y + z + w).sum(), (p, mean))
    assert not any(g.any() for g in grads)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:.*range is deprecated")
def test_makers(torch):
    for call in (
        lambda m: m.logspace(0, 2, 5),
        lambda m: m.logspace(0, 3, 4, base=2, dtype=m.int64),
        lambda m: m.range(0, 2, 0.5),
        lambda m: m.scalar_tensor(2),
        lambda m: m.ones(3, 2).fill_diagonal_(2.0, wrap=True),
        lambda m: m.zeros(5, 2).fill_diagonal_(2, True),
        lambda m: m.zeros(2, 5).fill_diagonal_(2),
        lambda m: m.zeros(2, 2, 2).fill_diagonal_(3),
        lambda m: m.arange(3.0).apply_(lambda v: v * v),
        lambda m: m.arange(3.0).map_(m.ones(1), lambda a, b: a - b),
        lambda m: m.arange(3.0).map2_(m.ones(3), m.ones(1), lambda a, b, c: a - b + 2 * c),
    ):
        mine, theirs = call(gd), call(torch)
        assert str(mine.dtype).rpartition(".")[2] == str(theirs.dtype).rpartition(".")[2]
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parity
def test_traits(torch):
    for call in (
        lambda x: x.is_signed(),
        lambda x: x.t().dim_order(),
        lambda x: x.is_set_to(x[:]),
        lambda x: x.is_set_to(x[1:]),
        lambda x: x.is_same_size(x.t()),
        lambda x: (x.is_conj(), x.is_neg(), x.is_cpu, x.get_device(), x.ndimension()),
        lambda x: x.resolve_conj() is x,
        lambda x: x.new_empty_strided((2, 3), (1, 2)).stride(),
        lambda x: x[1:].storage_offset(),
    ):
        assert call(gd.ones(2, 3)) == call(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="apply_"):
        gd.ones(2, requires_grad=True).apply_(abs)
