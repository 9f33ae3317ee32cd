"""A primitive with several outputs: what a rule is given, and all the ways it is read."""

import numpy as np
import pytest

import gradcore as gd
from gradcore.op import primitive
from gradcore.testing import gradcheck, gradgradcheck


def _joint(xp, g, y0, x):
    """Of e^x, the place of the largest, and sin x."""
    total = None
    if g[0] is not None:
        total = g[0] * y0
    assert g[1] is None
    if g[2] is not None:
        d = g[2] * xp.cos(x)
        total = d if total is None else total + d
    return [total]


def _forward(xp, x):
    return xp.exp(x), xp.argmax(x, axis=-1), xp.sin(x)


both = primitive("both", _forward, joint=_joint, inputs=1, outputs=3)
pushed = primitive(
    "pushed",
    _forward,
    joint=_joint,
    inputs=1,
    outputs=3,
    jvp=lambda xp, y0, x, t_x: (y0 * t_x, None, xp.cos(x) * t_x),
)


@pytest.fixture
def x(rng):
    return gd.tensor(rng.normal(size=(2, 3)), requires_grad=True)


def test_outputs_of_one_node(x):
    e, at, s = both(x)
    assert [e.grad_fn.name(), s.grad_fn.name()] == ["BothBackward0"] * 2
    assert [e.output_nr, s.output_nr] == [0, 2]
    assert not at.requires_grad
    assert at.dtype == gd.int64


@pytest.mark.parametrize("wanted", [(0,), (2,), (0, 2)])
def test_first_and_second_order(x, wanted):
    def chosen(x):
        return sum(both(x)[n] for n in wanted)

    assert gradcheck(chosen, (x,))
    assert gradgradcheck(chosen, (x,))


@pytest.mark.parametrize("op", [both, pushed])
def test_forward_mode_and_its_derivative(x, op):
    t = gd.ones_like(x)
    _, (te, _, ts) = gd.func.jvp(lambda x: op(x), (x.detach(),), (t,))
    np.testing.assert_allclose(te, np.exp(x.detach()))
    np.testing.assert_allclose(ts, np.cos(x.detach()))
    hessian = gd.func.hessian(lambda x: (op(x)[0] * op(x)[2]).sum())(x.detach())
    expected = 2 * np.exp(x.detach()) * np.cos(x.detach())
    np.testing.assert_allclose(np.diag(hessian.reshape(6, 6)), expected.reshape(-1))


def test_batches(x):
    rows = gd.vmap(lambda x: both(x))(x)
    for found, alone in zip(rows, both(x), strict=True):
        np.testing.assert_allclose(found.detach(), alone.detach())
    found = gd.vmap(gd.func.grad(lambda x: both(x)[0].sum()))(x.detach())
    np.testing.assert_allclose(found, np.exp(x.detach()))


def test_a_rule_may_apply_it(x):
    through = primitive(
        "through",
        lambda xp, x: xp.sin(x),
        lambda xp, g, x: g * xp.cos(x) + 0 * xp.apply(both, x)[0],
    )
    assert gradgradcheck(through, (x,))
    assert gd.vmap(gd.func.grad(lambda x: through(x).sum()))(x.detach()).shape == (2, 3)


def test_an_output_written_to_is_noticed(x):
    e, _, s = both(x)
    e.mul_(2)
    with pytest.raises(RuntimeError, match="which is output 0 of Both"):
        s.sum().backward()


def test_saved_values_have_names(x):
    e, _, _ = both(x)
    node = e.grad_fn
    np.testing.assert_array_equal(node._saved_result0.detach(), e.detach())
