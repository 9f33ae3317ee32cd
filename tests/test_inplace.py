"""In-place operations: every form, and what a write does to histories, as in PyTorch."""

import gc
import itertools
import warnings
import weakref

import numpy as np
import pytest

import gradcore as gd
import oracle
from gradcore.mode import WATCHERS
from gradcore.op import OPS

FORMS = {
    name: op
    for op in OPS.values()
    if op.in_place
    for method in op.methods
    if (name := f"{method}_")[0] != "_"
}


def written(module, name, args, kwargs, tensors):
    """The first operand after the write, and the gradients; or the error."""
    first, *rest = args
    if not hasattr(first, "clone"):
        return None
    x = first.clone()
    try:
        getattr(x, name)(*rest, **kwargs)
    except Exception as error:
        return error
    if not x.requires_grad:
        return x, []
    wanted = [t for t in tensors if t.requires_grad]
    scale = module.linspace(0.5, 1.5, x.numel(), dtype=module.float64).reshape(x.shape)
    try:
        return x, module.autograd.grad((x * scale).sum(), wanted, allow_unused=True)
    except Exception as error:
        return x, error


@pytest.mark.parity
@pytest.mark.parametrize("name", sorted(FORMS))
def test_every_form_writes_and_differentiates_as_in_pytorch(torch, name):
    op = FORMS[name]
    compared = 0
    for sample, flag in itertools.product(oracle.samples(op.path), (True, False)):
        args, kwargs, ours = oracle.ours(sample, flag)
        their_args, their_kwargs, theirs = oracle.theirs(torch, sample, flag)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = written(torch, name, their_args, their_kwargs, theirs)
            got = written(gd, name, args, kwargs, ours)
        if expected is None or isinstance(expected, NotImplementedError | TypeError):
            continue  # no place to write to, or less than gradcore has
        if isinstance(expected, Exception):
            assert isinstance(got, Exception), f"{sample}: PyTorch raises {expected!r}"
            continue
        assert not isinstance(got, Exception), f"{sample}: {got!r}"
        compared += 1
        oracle.check_same(got[0], expected[0], 1e-9, sample)
        assert got[0]._version == expected[0]._version, sample
        if isinstance(expected[1], Exception):
            continue  # PyTorch takes some operands that it cannot differentiate
        assert not isinstance(got[1], Exception), f"{sample}: {got[1]!r}"
        if name.startswith("logical_"):
            assert not any(g is not None and g.any() for g in got[1]), "PyTorch keeps the old ones"
            continue
        for g, d in zip(got[1], expected[1], strict=True):
            if g is None or d is None:
                zero = g if d is None else d
                assert zero is None or not oracle.array(zero).any(), sample
            else:
                oracle.check_same(g, d, 1e-9, sample)
    assert compared


@pytest.mark.parity
def test_the_forms_are_those_that_pytorch_has(torch):
    theirs = {name for name in dir(torch.Tensor) if name[-1] == "_" and name[0] != "_"}
    methods = {method for op in OPS.values() for method in op.methods}
    wanted = {name for name in theirs if name[:-1] in methods}
    assert {name for name in wanted if not hasattr(gd.Tensor, name)} == set()
    assert set(FORMS) <= theirs


def leaf(*values):
    return gd.tensor(np.array(values), requires_grad=True)


@pytest.mark.parametrize("base", [(2, 3), (3, 2)])
def test_a_write_through_a_view_of_a_view_reaches_the_base_and_all_other_views(base):
    x = gd.tensor(np.arange(6.0).reshape(base), requires_grad=True)
    y = x * 1
    other = y.t()[0]
    part = y.reshape(-1)[2:]
    part.mul_(x.reshape(-1)[2:])
    expected = np.arange(6.0)
    expected[2:] **= 2
    assert y.reshape(-1).tolist() == expected.tolist()
    (other.sum() + y.sum()).backward()
    weight = np.ones(base)
    weight[:, 0] += 1
    slope = np.ones(6)
    slope[2:] = 2 * np.arange(6.0)[2:]
    assert np.allclose(x.grad.numpy(), weight * slope.reshape(base))


def test_second_derivatives_through_writes():
    x = leaf(1.0, 2.0, 3.0)
    y = x.exp() * 1
    y[1:] *= y[:2].clone()
    y[0] = x[2] ** 3
    (g,) = gd.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = gd.autograd.grad((g * g).sum(), x)
    # y = (c^3, exp(b + a), exp(c + b)), before the write of c^3
    a, b, c = 1.0, 2.0, 3.0
    ab, bc = np.exp(a + b), np.exp(b + c)
    first = np.array([ab, ab + bc, bc + 3 * c**2])
    assert np.allclose(g.detach().numpy(), first)
    jacobian = np.array([[ab, ab, 0], [ab, ab + bc, bc], [0, bc, bc + 6 * c]])
    assert np.allclose(h.numpy(), 2 * jacobian @ first)


def test_real_and_imaginary_parts_are_written_apart():
    x = gd.tensor(np.array([1.0 + 2.0j, 3.0 - 1.0j]), requires_grad=True)
    y = x * 1
    y.real.mul_(3)
    y.imag.zero_()
    assert y.tolist() == [3.0, 9.0]
    y.real.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


UNARY = sorted({n for n, op in FORMS.items() if op.kind == "unary"} - {"bitwise_not_"})


def test_a_form_without_a_loop_for_the_dtype_says_what_the_operation_says():
    x = gd.ones(2)
    with pytest.raises(RuntimeError, match="bitwise_not: not implemented for float32"):
        x.bitwise_not_()
    assert x._version == 0
    assert x.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", UNARY)
def test_a_column_is_written_where_it_is(name):
    form = getattr(gd.Tensor, name)
    for dtype, width in itertools.product((gd.float32, gd.float64), (1, 2, 3, 4, 8, 16)):
        whole = gd.linspace(0.2, 0.8, 5 * width).to(dtype).reshape(5, width)
        before = whole.clone()
        with np.errstate(invalid="ignore"):
            expected = form(whole[:, 0].clone())
            form(whole[:, 0])
        np.testing.assert_allclose(whole[:, 0].numpy(), expected.numpy(), rtol=1e-6)
        assert (whole[:, 1:] == before[:, 1:]).all()


def test_what_a_failed_write_leaves_is_what_was():
    x = leaf(1.0, 2.0)
    y = x * 1
    node = y.grad_fn
    for call in (
        lambda: y.add_(gd.ones(3)),
        lambda: y.add_(gd.ones(2, 2, dtype=gd.float64)),
        lambda: y.mul_(1j),
        lambda: y.__setitem__(5, 1.0),
        lambda: y.__setitem__(slice(None), gd.ones(3)),
        lambda: y.copy_(gd.ones(3)),
        lambda: y.fill_(gd.ones(2)),
    ):
        with pytest.raises((RuntimeError, IndexError)):
            call()
        assert y.tolist() == [1.0, 2.0]
        assert y.grad_fn is node
        assert y._version == 0


def test_a_change_of_what_a_node_has_saved_is_found_with_versions():
    x = leaf(1.0, 2.0)
    y = x * 3
    z = y * y
    y.add_(1)
    y[0] = 0.0
    with pytest.raises(
        RuntimeError, match=r"\[2\]\], which is output 0 of .*is at version 2; expect"
    ):
        z.sum().backward()
    assert x.grad is None
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gd.autograd.grad(z.sum(), x, create_graph=True)


def test_a_change_of_what_no_node_needs_is_allowed():
    x = leaf(1.0, 2.0)
    y = x * 3
    z = y.exp()
    y.zero_()
    z.sum().backward()
    assert np.allclose(x.grad.numpy(), 3 * np.exp([3.0, 6.0]))


def test_an_index_that_changes_is_found():
    x = leaf(1.0, 2.0, 3.0)
    index = gd.tensor([0, 2])
    y = x[index]
    index[0] = 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_data_has_a_version_of_its_own():
    x = leaf(1.0, 2.0)
    y = x * 3
    z = y * y
    data = y.data
    data.zero_()
    assert (data._version, y._version, y.detach()._version) == (1, 0, 0)
    z.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_many_writes_are_counted():
    x = gd.zeros(3)
    for _ in range(1000):
        x.add_(1)
    x[0] += 1
    assert x._version == 1002
    assert x.tolist() == [1001.0, 1000.0, 1000.0]


def test_views_that_are_gone_are_forgotten():
    x = gd.zeros(3)
    for _ in range(1000):
        x[0]
    kept = [x[i] for i in range(3)]
    assert len(x._views) < 40
    x.mul_(leaf(2.0, 3.0, 4.0).to(gd.float32))
    assert all(v.requires_grad for v in kept)


def test_memory_is_freed_without_the_cycle_collector():
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = x * 1
        v = y[0]
        v.mul_(x[1])
        gone = [weakref.ref(t) for t in (y, v, y.grad_fn)]
        del y, v
        assert all(reference() is None for reference in gone)
    finally:
        gc.enable()


def test_operators_write():
    x = gd.tensor([7.0, 9.0])
    before = x
    x += 1
    x -= 2
    x *= 3
    x /= 2
    x **= 2
    x //= 4
    x %= 5
    assert x is before
    assert x.tolist() == [0.0, 1.0]
    m = gd.tensor([True, False])
    m |= gd.tensor([False, False])
    m ^= True
    m &= True
    assert m.tolist() == [False, True]


def test_random_fills_follow_the_seed():
    x = gd.zeros(1000)
    gd.manual_seed(3)
    first = x.normal_(2.0, 0.5).clone()
    gd.manual_seed(3)
    assert x.normal_(2.0, 0.5).equal(first)
    assert abs(first.mean().item() - 2) < 0.1
    u = x.uniform_(3, 4)
    assert 3 <= u.min().item() <= u.max().item() < 4
    assert set(x.bernoulli_(0.25).tolist()) == {0.0, 1.0}
    assert 0.15 < x.mean().item() < 0.35
    y = leaf(1.0, 2.0) * 1
    y.normal_().sum().backward()


def test_a_rearranged_tensor_keeps_its_views():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = (x * 1).reshape(2, 2).clone()
    v = y[0]
    y.t_()
    assert y.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    y[0] *= 10
    assert v.tolist() == [10.0, 2.0]
    v.sum().backward()
    assert x.grad.tolist() == [10.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("write", "written"),
    [
        (lambda x, y: y.add_(1), lambda x, y: y + 1),
        (lambda x, y: y.mul_(y), lambda x, y: y * y),
        (lambda x, y: y[0].zero_(), lambda x, y: y * gd.tensor([0, 1])),
        (lambda x, y: y.__setitem__(slice(1, None), x[:1]), lambda x, y: gd.cat([y[:1], x[:1]])),
        (lambda x, y: y.exp_().mul_(2).tanh_(), lambda x, y: (y.exp() * 2).tanh()),
    ],
)
def test_under_the_policy_copy_gradients_are_those_of_the_values_that_were_saved(write, written):
    def run(in_place):
        x = leaf(0.5, -0.25)
        y = x * 3
        view = y[1:]
        z = (y * y).sum() + y.exp().sum()
        if in_place:
            write(x, y)
            assert view.tolist() == y[1:].tolist()
        else:
            y = written(x, y)
            view = y[1:]
        (z + y.sum() + view.sum()).backward()
        return x.grad.tolist()

    with gd.autograd.set_saved_tensors_policy("copy"):
        assert np.allclose(run(True), run(False))
    assert not WATCHERS


def test_the_policy_is_put_back_and_says_what_it_takes():
    with pytest.raises(ValueError, match="expected 'error' or 'copy'"):
        gd.autograd.set_saved_tensors_policy("move")
    with gd.autograd.set_saved_tensors_policy("copy"):
        y = leaf(1.0) * 2
        z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_a_gradient_of_another_shape_than_its_leaf_raises_before_any_is_filled():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (x * y).sum().backward()
    before = x.grad.tolist(), y.grad.tolist()
    with gd.no_grad():
        y.unsqueeze_(0)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        (x * y).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == before
