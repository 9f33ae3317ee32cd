"""Forward mode against PyTorch running the same program."""

import gc
import threading
import weakref

import numpy as np
import pytest

import gradcore as gd
from gradcore import levels

pytestmark = pytest.mark.parity

X = np.array([0.3, 0.7, -0.2])
T = np.array([1.0, -2.0, 0.5])


@pytest.fixture(params=["gradcore", "torch"])
def lib(request, torch):
    """Both libraries: what a test says must hold in PyTorch too."""
    return gd if request.param == "gradcore" else torch


@pytest.fixture(autouse=True)
def _no_level_is_left():
    yield
    assert levels.levels() == ()


def tensor(lib, values, **options):
    options.setdefault("dtype", lib.float64)
    return lib.tensor(values, **options)


def pushed(lib, function, x=X, t=T):
    """The value and the tangent of a function, as arrays."""
    fw = lib.autograd.forward_ad
    with fw.dual_level():
        y, slope = fw.unpack_dual(function(fw.make_dual(tensor(lib, x), tensor(lib, t))))
    return y.detach().numpy(), None if slope is None else slope.detach().numpy()


# what users call -------------------------------------------------------------------------------


def test_make_and_unpack(lib):
    fw = lib.autograd.forward_ad
    x, t = tensor(lib, X), tensor(lib, T)
    with fw.dual_level():
        d = fw.make_dual(x, t)
        assert isinstance(d, lib.Tensor)
        assert d.data_ptr() == x.data_ptr()
        found = fw.unpack_dual(d)
        assert type(found).__name__ == "UnpackedDualTensor"
        assert found._fields == ("primal", "tangent")
        assert found.tangent is t or found.tangent.data_ptr() == t.data_ptr()
        assert fw.unpack_dual(found.primal).tangent is None
        assert fw.unpack_dual(x).tangent is None
        assert "tangent=tensor([ 1.0000, -2.0000,  0.5000]" in repr(d)
    assert fw.unpack_dual(d).tangent is None
    assert "tangent" not in repr(d)
    np.testing.assert_array_equal((d * 2).numpy(), X * 2)


def test_outside_of_a_level(lib):
    fw = lib.autograd.forward_ad
    x = tensor(lib, X)
    with pytest.raises(RuntimeError, match=r"no level exists, make sure to enter_dual_level\(\)"):
        fw.make_dual(x, x)
    assert fw.unpack_dual(x) == (x, None)
    with pytest.raises(RuntimeError, match="Dual level must be a positive number"):
        fw.exit_dual_level()


def test_enter_and_exit(lib):
    fw = lib.autograd.forward_ad
    level = fw.enter_dual_level()
    assert level == 0
    d = fw.make_dual(tensor(lib, X), tensor(lib, T), level=level)
    assert fw.unpack_dual(d, level=level).tangent is not None
    with pytest.raises(RuntimeError, match="not the last one that was created"):
        fw.exit_dual_level(level=3)
    with pytest.raises(RuntimeError, match="Invalid level"):
        fw.unpack_dual(d, level=1)
    with pytest.raises(RuntimeError, match="Invalid level"):
        fw.make_dual(d, d, level=1)
    fw.exit_dual_level(level=level)
    assert fw.unpack_dual(d).tangent is None


def test_a_level_ends_on_an_error(lib):
    fw = lib.autograd.forward_ad
    with pytest.raises(ZeroDivisionError), fw.dual_level():
        1 / 0
    with fw.dual_level() as number:
        assert number == 0


@pytest.mark.parametrize(
    ("primal", "tangent", "error", "text"),
    [
        (np.ones(2), np.ones(3), RuntimeError, r"Tensor is of size \[2\] while .* size \[3\]"),
        (
            np.ones(2, int),
            np.ones(2),
            ValueError,
            "Expected primal to be floating point or complex",
        ),
        (np.ones(2), np.ones(2, int), ValueError, "Expected tangent to be floating point or comp"),
    ],
)
def test_what_cannot_be_a_dual(lib, primal, tangent, error, text):
    fw = lib.autograd.forward_ad
    with fw.dual_level(), pytest.raises(error, match=text):
        fw.make_dual(lib.tensor(primal), lib.tensor(tangent))


def test_no_second_tangent_in_a_level(lib):
    fw = lib.autograd.forward_ad
    with fw.dual_level():
        x, t = tensor(lib, X), tensor(lib, T)
        d = fw.make_dual(x, t)
        with pytest.raises(RuntimeError, match="already has a forward gradient at the same level"):
            fw.make_dual(d, t)
        with pytest.raises(RuntimeError, match="itself has a forward gradient at the same level"):
            fw.make_dual(x, d)


def test_no_tensor():
    fw = gd.autograd.forward_ad
    with fw.dual_level():
        with pytest.raises(TypeError, match="primal to be a Tensor, not int"):
            fw.make_dual(3, gd.ones(2))
        with pytest.raises(TypeError, match="expected a Tensor, not int"):
            fw.unpack_dual(3)


# tangents of operations --------------------------------------------------------------------------

PROGRAMS = {
    "polynomial": lambda lib, x: x * x * 3 - 2 / x + x**3 + 2**x,
    "broadcast": lambda lib, x: x * tensor(lib, np.ones((2, 3)) * 2) + x[:1],
    "reversed": lambda lib, x: 1 - x,
    "views": lambda lib, x: x.reshape(3, 1).expand(3, 2).transpose(0, 1)[1],
    "join": lambda lib, x: lib.cat([x, tensor(lib, X), x * x]),
    "stack": lambda lib, x: lib.stack([x, tensor(lib, X)]),
    "unbind": lambda lib, x: x.unbind()[1] * x.unbind()[2],
    "iterate": lambda lib, x: sum(part * part for part in x),
    "split": lambda lib, x: x.split(2)[0] * x.split([1, 2])[1],
    "chunk": lambda lib, x: x.chunk(2)[1],
    "where": lambda lib, x: lib.where(x > 0, x * x, 2 * x),
    "max": lambda lib, x: x.max(dim=0).values + x.amax(),
    "sort": lambda lib, x: x[lib.tensor([2, 0, 1])],
    "norm": lambda lib, x: x.norm() + x.var() + x.std() + x.logsumexp(0),
    "prod": lambda lib, x: x.prod() + x.cumprod(0) + x.cumsum(0),
    "products": lambda lib, x: (lib.outer(x, x) @ x).dot(x) + lib.einsum("i,j,i->j", x, x, x),
    "softmax": lambda lib, x: lib.softmax(x, 0) * lib.log_softmax(x, 0),
    "clamp": lambda lib, x: x.clamp(-0.1, 0.5) + x.clamp(min=0.0),
    "cast": lambda lib, x: x.to(lib.float32),
    "complex": lambda lib, x: (x * (1 + 2j)).exp().abs() + (x * (2 + 1j)).conj().sin().abs(),
    "numbers only": lambda lib, x: x + 1 - 1,
    "empty": lambda lib, x: x[:0].sin(),
    "scalar": lambda lib, x: x[0] * x[1] * x.sum(),
    "clone": lambda lib, x: x.clone() * x.detach(),
    "contiguous": lambda lib, x: x.flip(0).contiguous(),
    "repeat": lambda lib, x: x.repeat(2) * lib.tile(x, (2,)),
    "linear": lambda lib, x: lib.nn.functional.linear(x, lib.outer(x, x), x),
    "layer_norm": lambda lib, x: lib.nn.functional.layer_norm(x, (3,), x, x * x),
    "cross_entropy": lambda lib, x: lib.nn.functional.cross_entropy(
        lib.outer(x, x), lib.tensor([0, 2, 1])
    ),
    "mse": lambda lib, x: lib.nn.functional.mse_loss(x, x * x),
    "gelu": lambda lib, x: lib.nn.functional.gelu(x) + lib.nn.functional.softplus(x),
    "masked": lambda lib, x: x.masked_fill(x > 0.5, 3.0) + x.masked_fill(x < 0, x.sum()),
    "scatter": lambda lib, x: x.scatter_add(0, lib.tensor([0, 0, 2]), x * x),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_tangent(torch, name):
    program = PROGRAMS[name]
    here = pushed(gd, lambda x: program(gd, x))
    there = pushed(torch, lambda x: program(torch, x))
    for a, b in zip(here, there, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-6 if a.dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_tangents_are_differentiable_and_gradients_have_tangents(torch, name):
    if name == "numbers only":
        return
    program = PROGRAMS[name]
    found = []
    for lib in (gd, torch):
        fw = lib.autograd.forward_ad
        x = tensor(lib, X, requires_grad=True)
        with fw.dual_level():
            d = fw.make_dual(x, tensor(lib, T))
            y = program(lib, d)
            primal, slope = fw.unpack_dual(y)
            v = lib.ones_like(primal)
            under = None
            if slope.requires_grad and lib is gd:
                (under,) = lib.autograd.grad(
                    [slope], [x], [v], retain_graph=True, allow_unused=True
                )
            (g,) = lib.autograd.grad([y], [d], [v])
            g, over = fw.unpack_dual(g)
        found.append(
            [None if r is None else r.detach().numpy(force=True) for r in (under, g, over)]
        )
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if name == "cast" else {"rtol": 1e-10, "atol": 1e-14}
    (under, g, over), (_, expected, slope) = found  # PyTorch's first fails on its own kernels
    np.testing.assert_allclose(g, expected, **tolerance)
    np.testing.assert_allclose(
        np.zeros(3) if over is None else over, np.zeros(3) if slope is None else slope, **tolerance
    )
    # Both are H v: so the second is an oracle for the first where PyTorch has none.
    np.testing.assert_allclose(
        np.zeros(3) if under is None else under, _hessian_times(torch, program), **tolerance
    )


def _hessian_times(torch, program):
    x = tensor(torch, X, requires_grad=True)
    y = program(torch, x)
    (g,) = torch.autograd.grad([y], [x], [torch.ones_like(y)], create_graph=True)
    if not g.requires_grad:
        return np.zeros(3)
    (h,) = torch.autograd.grad((g * tensor(torch, T)).sum(), x, allow_unused=True)
    return np.zeros(3) if h is None else h.numpy()


def written(lib, x, function):
    """A buffer of zeros after a function has written to it."""
    buffer = lib.zeros(3, dtype=lib.float64)
    function(buffer, x)
    return buffer


def set_items(buffer, x):
    buffer[0] = x[1] * x[2]
    buffer[1:] = x[:2] * 3
    buffer[2] = 4.0


def through_views(buffer, x):
    view = buffer[1:]
    view.mul_(2).add_(x[0] * x[:2])
    view[0] *= x[2]
    buffer.add_(buffer[1].clone())


def of_the_input(x):
    y = x * 1
    v = y[:2]
    w = v.unsqueeze(0)
    v.mul_(x[2] * x[1])
    y.sin_()
    w[0, 1] = 2 * x[0]
    return y * v.sum() + w.sum()


IN_PLACE = {
    "add": lambda lib, x: (x * 1).add_(x * x).mul_(2),
    "operators": lambda lib, x: operators(x * 1, x),
    "fill": lambda lib, x: (x * x).fill_(2.0) + x,
    "zero": lambda lib, x: (x * x).zero_() + x,
    "copy": lambda lib, x: (x * x).copy_(x[0]) * x,
    "set items": lambda lib, x: written(lib, x, set_items) * x,
    "views": lambda lib, x: written(lib, x, through_views) * x,
    "input": lambda lib, x: of_the_input(x),
    "indices": lambda lib, x: written(
        lib, x, lambda b, x: b.__setitem__(lib.tensor([2, 0]), x[1:] ** 2)
    ),
    "mask": lambda lib, x: written(lib, x, lambda b, x: b.__setitem__(x > 0, x[x > 0] ** 2)),
    "index_put": lambda lib, x: (x * x).index_put_((lib.tensor([0, 0]),), x[:2], accumulate=True),
    "masked_fill": lambda lib, x: (x * x).masked_fill_(x > 0.5, 1.0),
    "cast": lambda lib, x: lib.zeros(3).copy_(x) * 2,
    "a number": lambda lib, x: written(lib, x, lambda b, x: b[1].copy_(x[0])) * x,
    "reshaped": lambda lib, x: (x * 1).unsqueeze_(0).squeeze_(0).sin_(),
    "detach": lambda lib, x: (x * x).detach_() * x,
    "clamp": lambda lib, x: (x * 1).clamp_(-0.1, 0.5),
}


def operators(y, x):
    y += x
    y *= x
    y -= 2
    y /= x + 2
    y **= 2
    return y


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(torch, name):
    program = IN_PLACE[name]
    here = pushed(gd, lambda x: program(gd, x))
    there = pushed(torch, lambda x: program(torch, x))
    tolerance = {"rtol": 1e-6, "atol": 1e-6} if name == "cast" else {"rtol": 1e-12, "atol": 0}
    for a, b in zip(here, there, strict=True):
        if b is None:
            assert a is None or not a.any()
        else:
            np.testing.assert_allclose(np.zeros(a.shape) if a is None else a, b, **tolerance)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_with_reverse_mode(torch, name):
    """Reverse over forward, and forward over reverse: both give H t."""
    program = IN_PLACE[name]
    fw = gd.autograd.forward_ad
    x = tensor(gd, X, requires_grad=True)
    expected = np.zeros(3)
    leaf = tensor(torch, X, requires_grad=True)
    y = program(torch, leaf)
    (g,) = torch.autograd.grad([y], [leaf], [torch.ones_like(y)], create_graph=True)
    if g.requires_grad:
        (h,) = torch.autograd.grad((g * tensor(torch, T)).sum(), leaf, allow_unused=True)
        expected = expected if h is None else h.numpy()
    with fw.dual_level():
        d = fw.make_dual(x, tensor(gd, T))
        y, slope = fw.unpack_dual(program(gd, d))
        v = gd.ones_like(y)
        under = None
        if slope is not None and slope.requires_grad:
            (under,) = gd.autograd.grad([slope], [x], [v], retain_graph=True, allow_unused=True)
        (first,) = gd.autograd.grad([program(gd, d)], [d], [v])
        over = fw.unpack_dual(first).tangent
    np.testing.assert_allclose(first.detach().numpy(), g.detach().numpy(), rtol=1e-6)
    for found in (under, over):
        got = np.zeros(3) if found is None else found.detach().numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-12)


def test_a_write_changes_no_other_tangent(lib):
    fw = lib.autograd.forward_ad
    t = tensor(lib, T)
    with fw.dual_level():
        d = fw.make_dual(tensor(lib, X), t)
        y = d + 1
        y.mul_(3)
        np.testing.assert_array_equal(fw.unpack_dual(d).tangent.numpy(), T)
        np.testing.assert_array_equal(fw.unpack_dual(y).tangent.numpy(), 3 * T)
    np.testing.assert_array_equal(t.numpy(), T)


def test_views_that_were_there_before_follow_a_write():
    fw = gd.autograd.forward_ad
    buffer = gd.zeros(3, dtype=gd.float64)
    view = buffer[1:]
    with fw.dual_level():
        d = fw.make_dual(tensor(gd, X), tensor(gd, T))
        buffer.copy_(d)
        np.testing.assert_array_equal(fw.unpack_dual(view).tangent.numpy(), T[1:])
        view.zero_()
        np.testing.assert_array_equal(fw.unpack_dual(buffer).tangent.numpy(), [T[0], 0, 0])
    assert fw.unpack_dual(buffer).tangent is None
    np.testing.assert_array_equal(buffer.numpy(), [X[0], 0, 0])


def test_errors_of_a_write_leave_everything():
    fw = gd.autograd.forward_ad
    leaf = tensor(gd, X, requires_grad=True)
    with fw.dual_level():
        d = fw.make_dual(leaf, tensor(gd, T))
        with pytest.raises(RuntimeError, match="view of a leaf Variable that requires grad"):
            d.mul_(2)
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used"):
            leaf.copy_(d)
        with gd.no_grad(), pytest.raises(NotImplementedError, match="write to a clone"):
            leaf.copy_(d)
        y = d * 1
        with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
            y.mul_(gd.ones(2, 3, dtype=gd.float64))
        np.testing.assert_array_equal(y.detach().numpy(), X)
        np.testing.assert_array_equal(fw.unpack_dual(y).tangent.detach().numpy(), T)


def test_views_of_a_dual_have_views_as_tangents(lib):
    fw = lib.autograd.forward_ad
    t = tensor(lib, T)
    with fw.dual_level():
        d = fw.make_dual(tensor(lib, X), t)
        for view in (
            d.reshape(3, 1),
            d[:2],
            d.expand(2, 3),
            d.unsqueeze(0),
            d.unbind()[0],
            d.view(3),
        ):
            assert fw.unpack_dual(view).tangent.data_ptr() == t.data_ptr()


def test_where_no_tangent_flows(lib):
    fw = lib.autograd.forward_ad
    with fw.dual_level():
        d = fw.make_dual(tensor(lib, X), tensor(lib, T))
        for y in (d > 0, d.argmax(), d.detach(), d.isnan(), d.to(lib.int64), lib.zeros_like(d)):
            assert fw.unpack_dual(y).tangent is None
        for y in (d.floor(), d.sign(), d.round()):
            assert not fw.unpack_dual(y).tangent.numpy().any()


def test_no_grad_does_not_stop_it(lib):
    fw = lib.autograd.forward_ad
    with fw.dual_level(), lib.no_grad():
        d = fw.make_dual(tensor(lib, X, requires_grad=True), tensor(lib, T))
        y = lib.softmax(d * d, 0)
        primal, slope = fw.unpack_dual(y)
    assert slope is not None
    assert not primal.requires_grad
    assert not slope.requires_grad


def test_forward_mode_can_be_switched_off(lib):
    fw = lib.autograd.forward_ad
    with fw.dual_level():
        d = fw.make_dual(tensor(lib, X), tensor(lib, T))
        with fw._set_fwd_grad_enabled(False):
            assert fw.unpack_dual(d * 2).tangent is None
        assert fw.unpack_dual(d * 2).tangent is not None


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_dtypes(torch, dtype):
    found = []
    for lib in (gd, torch):
        fw = lib.autograd.forward_ad
        kind = getattr(lib, dtype)
        with fw.dual_level():
            d = fw.make_dual(lib.tensor(X, dtype=kind), lib.tensor(T, dtype=kind))
            y, slope = fw.unpack_dual((d * d + d.exp() / 2).sum())
        assert slope.dtype == kind
        found.append((y.numpy(), slope.numpy()))
    tolerance = {"float16": 5e-3, "float32": 1e-6, "complex64": 1e-6}.get(dtype, 1e-12)
    np.testing.assert_allclose(found[0], found[1], rtol=tolerance)


def test_promotion(torch):
    found = []
    for lib in (gd, torch):
        fw = lib.autograd.forward_ad
        with fw.dual_level():
            d = fw.make_dual(lib.tensor(X, dtype=lib.float32), lib.tensor(T, dtype=lib.float32))
            for other in (
                tensor(lib, X),
                lib.tensor([1, 2, 3]),
                lib.tensor(2.0, dtype=lib.float64),
                lib.tensor([1j, 2, 3]),
                2j,
            ):
                y, slope = fw.unpack_dual(d * other)
                assert y.dtype == slope.dtype
                found.append((str(y.dtype).rpartition(".")[2], slope.numpy()))
    for (a, t), (b, s) in zip(found[:5], found[5:], strict=True):
        assert a == b
        np.testing.assert_allclose(t, s, rtol=1e-6)


# with reverse mode -------------------------------------------------------------------------------


def test_the_history_of_the_primal_stays(lib):
    fw = lib.autograd.forward_ad
    x = tensor(lib, X, requires_grad=True)
    with fw.dual_level():
        d = fw.make_dual(x, tensor(lib, T))
        assert not d.is_leaf
        (d * d).sum().backward()
        assert fw.unpack_dual(x.grad).tangent is None
    np.testing.assert_allclose(x.grad.numpy(), 2 * X)


def test_a_dual_can_become_a_leaf(lib):
    fw = lib.autograd.forward_ad
    x = tensor(lib, X)
    with fw.dual_level():
        d = fw.make_dual(x, tensor(lib, T)).requires_grad_()
        assert d.is_leaf
        assert d.requires_grad
        y = (d**3).sum()
        (g,) = lib.autograd.grad(y, d, retain_graph=True)
        np.testing.assert_allclose(fw.unpack_dual(g).tangent.numpy(), 6 * X * T)
        y.backward()
        np.testing.assert_allclose(d.grad.numpy(), 3 * X * X)
    assert not x.requires_grad


def test_a_second_backward_adds_to_the_same_grad(lib):
    fw = lib.autograd.forward_ad
    x = tensor(lib, X, requires_grad=True)
    with fw.dual_level():
        d = fw.make_dual(x, tensor(lib, T))
        (d * d).sum().backward()
        first = x.grad
        (d * d).sum().backward()
    assert x.grad is first
    np.testing.assert_allclose(first.numpy(), 4 * X)


def test_hooks_see_gradients_with_tangents(lib):
    fw = lib.autograd.forward_ad
    x = tensor(lib, X, requires_grad=True)
    seen = []
    with fw.dual_level():
        d = fw.make_dual(x, tensor(lib, T))
        y = d * d
        y.register_hook(lambda g: seen.append(fw.unpack_dual(g).tangent) or g * 2)
        (g,) = lib.autograd.grad((y * y).sum(), d)
        np.testing.assert_allclose(seen[0].detach().numpy(), 4 * X * T)
        np.testing.assert_allclose(fw.unpack_dual(g).tangent.detach().numpy(), 24 * X * X * T)
        assert not g.requires_grad


def test_with_create_graph_gradients_keep_tangents_and_history(lib):
    fw = lib.autograd.forward_ad
    x = tensor(lib, X, requires_grad=True)
    with fw.dual_level():
        d = fw.make_dual(x, tensor(lib, T))
        (g,) = lib.autograd.grad((d**4).sum(), d, create_graph=True)
        g, slope = fw.unpack_dual(g)
        np.testing.assert_allclose(slope.detach().numpy(), 12 * X**2 * T)
        (h,) = lib.autograd.grad(slope.sum(), x)
    np.testing.assert_allclose(h.numpy(), 24 * X * T)


def test_freed_graphs_say_so(lib):
    fw = lib.autograd.forward_ad
    with fw.dual_level():
        d = fw.make_dual(tensor(lib, X, requires_grad=True), tensor(lib, T))
        y = (d * d).sum()
        y.backward()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            y.backward()


# a Function's own ----------------------------------------------------------------------------


def cube(lib):
    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)
            ctx.factor = factor
            return x**3 * factor

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x * ctx.factor, None

        @staticmethod
        def jvp(ctx, t, number):
            assert number is None
            (x,) = ctx.saved_tensors
            return t * 3 * x * x * ctx.factor

    return Cube


def test_jvp_of_a_function(lib):
    y, slope = pushed(lib, lambda x: cube(lib).apply(x, 2))
    np.testing.assert_allclose(y, 2 * X**3)
    np.testing.assert_allclose(slope, 6 * X**2 * T)


def test_both_modes_through_a_function(lib):
    fw = lib.autograd.forward_ad
    with fw.dual_level():
        x = tensor(lib, X, requires_grad=True)
        d = fw.make_dual(x, tensor(lib, T))
        y, slope = fw.unpack_dual(cube(lib).apply(d, 2))
        (under,) = lib.autograd.grad(slope.sum(), x, retain_graph=True)
        (g,) = lib.autograd.grad(cube(lib).apply(d, 2).sum(), d)
        over = fw.unpack_dual(g).tangent
    assert y.requires_grad
    np.testing.assert_allclose(under.numpy(), 12 * X * T)
    np.testing.assert_allclose(over.numpy(), 12 * X * T)


def several(lib, returned, materialize=True):
    class Several(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.set_materialize_grads(materialize)
            return x * y, x + 1, 5

        @staticmethod
        def jvp(ctx, *tangents):
            return returned(*tangents)

    return Several


def test_several_outputs(lib):
    fw = lib.autograd.forward_ad
    with fw.dual_level():
        d = fw.make_dual(tensor(lib, X), tensor(lib, T))
        f = several(lib, lambda t, s: (t, None if s.abs().sum() else s, None))
        a, b, five = f.apply(d, tensor(lib, X))
        assert five == 5
        np.testing.assert_array_equal(fw.unpack_dual(a).tangent.numpy(), T)
        assert fw.unpack_dual(b).tangent is not None


def test_tangents_that_are_not_materialized():
    fw = gd.autograd.forward_ad
    with fw.dual_level():
        d = fw.make_dual(tensor(gd, X), tensor(gd, T))
        f = several(gd, lambda t, s: (t if s is None else None, None, None), False)
        a, b, _ = f.apply(d, tensor(gd, X))
        assert fw.unpack_dual(a).tangent is not None
        assert fw.unpack_dual(b).tangent is None


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (lambda t, s: None, "expected 3 but got 1"),
        (lambda t, s: (t, t), "invalid number of forward gradients"),
        (lambda t, s: (t, t, 3), r"expected Variable or None \(got int\) for grad output 2"),
        (lambda t, s: (t[:1], t, None), r"Tensor is of size \[3\] while .* size \[1\]"),
    ],
)
def test_wrong_tangents_of_a_function(lib, returned, text):
    fw = lib.autograd.forward_ad
    with fw.dual_level():
        d = fw.make_dual(tensor(lib, X), tensor(lib, T))
        with pytest.raises(RuntimeError, match=text):
            several(lib, returned).apply(d, tensor(lib, X))


def test_a_function_without_jvp(lib):
    class Plain(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    fw = lib.autograd.forward_ad
    with fw.dual_level():
        np.testing.assert_array_equal(Plain.apply(tensor(lib, X)).numpy(), 2 * X)
        with pytest.raises(NotImplementedError, match="You must implement the jvp function"):
            Plain.apply(fw.make_dual(tensor(lib, X), tensor(lib, T)))


def test_setup_context_and_marked_outputs(lib):
    class Marked(lib.autograd.Function):
        @staticmethod
        def forward(x, k=2):
            return x * k, (x > 0).to(x.dtype)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.k = inputs[1]
            ctx.save_for_forward(*output)
            ctx.mark_non_differentiable(output[1])

        @staticmethod
        def jvp(ctx, t, _):
            y, mask = ctx.saved_tensors
            assert y.shape == mask.shape == t.shape
            return t * ctx.k, None

    fw = lib.autograd.forward_ad
    with fw.dual_level():
        y, mask = Marked.apply(fw.make_dual(tensor(lib, X), tensor(lib, T)), 3)
        np.testing.assert_array_equal(fw.unpack_dual(y).tangent.numpy(), 3 * T)
        assert fw.unpack_dual(mask).tangent is None


def test_an_argument_changed_in_place(lib):
    class Doubled(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def jvp(ctx, t):
            return t.mul_(2)

    fw = lib.autograd.forward_ad
    with fw.dual_level():
        d = fw.make_dual(tensor(lib, X), tensor(lib, T))
        y = Doubled.apply(d)
        assert y is d
        np.testing.assert_array_equal(fw.unpack_dual(d).primal.numpy(), 2 * X)
        np.testing.assert_array_equal(fw.unpack_dual(d).tangent.numpy(), 2 * T)


def test_save_for_forward_takes_tensors_only():
    class Wrong(gd.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x, 3)
            return x

    with pytest.raises(TypeError, match="can only save variables, but argument 1 is of type int"):
        Wrong.apply(gd.ones(2))


# gradcore's own ------------------------------------------------------------------------------


def test_levels_nest():
    fw = gd.autograd.forward_ad
    x = tensor(gd, X)
    with fw.dual_level() as outer:
        d = fw.make_dual(x, tensor(gd, T))
        with fw.dual_level() as inner:
            assert (outer, inner) == (0, 1)
            e = fw.make_dual(d, gd.ones_like(x))
            y = (e**4).sum()
            first, slope = fw.unpack_dual(y)
            np.testing.assert_allclose(
                fw.unpack_dual(first, level=0).tangent.item(), (4 * X**3) @ T
            )
        np.testing.assert_allclose(fw.unpack_dual(slope).tangent.item(), (12 * X**2) @ T)
        assert fw.unpack_dual(y).tangent is not None  # of the outer level


def test_perturbations_are_not_confused():
    fw = gd.autograd.forward_ad
    one = gd.tensor(1.0)
    with fw.dual_level():
        x = fw.make_dual(gd.tensor(3.0), one)
        with fw.dual_level():
            y = fw.make_dual(gd.tensor(1.0), one)
            inner = fw.unpack_dual(x * y).tangent  # d(x y)/dy = x
        assert fw.unpack_dual(x * inner).tangent.item() == 6.0


def test_after_its_level_a_dual_is_plain_in_another():
    fw = gd.autograd.forward_ad
    with fw.dual_level():
        old = fw.make_dual(tensor(gd, X), tensor(gd, T))
    with fw.dual_level():
        new = fw.make_dual(tensor(gd, X), tensor(gd, T))
        for y in (old * new, new * old):
            np.testing.assert_allclose(fw.unpack_dual(y).tangent.numpy(), X * T)
        assert fw.unpack_dual(old * old).tangent is None
        assert fw.unpack_dual(fw.make_dual(old, tensor(gd, T)).sin()).tangent is not None


def test_numpy_functions_have_tangents():
    _, slope = pushed(gd, lambda x: np.sin(x) * X + np.einsum("i,i->", x, x))
    np.testing.assert_allclose(slope, np.cos(X) * T * X + 2 * X @ T)


def test_fused_functions_have_tangents():
    fused = gd.fuse(lambda x: x * x.exp() + 1)
    fw = gd.autograd.forward_ad
    with fw.dual_level():
        d = fw.make_dual(tensor(gd, X), tensor(gd, T))
        slope = fw.unpack_dual(fused(d)).tangent
        np.testing.assert_allclose(slope.numpy(), (1 + X) * np.exp(X) * T)
        plain = tensor(gd, X, requires_grad=True)
        (g,) = gd.autograd.grad(fused(plain).sum(), plain)  # traced inside a level
        np.testing.assert_allclose(g.numpy(), (1 + X) * np.exp(X))


def test_other_graphs_in_a_level(torch):
    found = []
    for lib in (gd, torch):
        with lib.autograd.forward_ad.dual_level():
            x = tensor(lib, X, requires_grad=True)
            lib.nn.functional.layer_norm(x * x, (3,)).pow(2).sum().backward()
            found.append(x.grad.numpy())
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


def test_levels_are_of_one_thread():
    fw = gd.autograd.forward_ad
    failed = []

    def other():
        try:
            fw.make_dual(gd.ones(2), gd.ones(2))
        except RuntimeError as error:
            failed.append(error)

    with fw.dual_level():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(failed) == 1


def test_tangents_are_let_go_with_the_level():
    fw = gd.autograd.forward_ad
    gc.disable()
    try:
        with fw.dual_level():
            t = tensor(gd, T)
            gone = weakref.ref(t)
            d = fw.make_dual(tensor(gd, X, requires_grad=True), t)
            y = d.exp()
            z = (y * d).sum()
            del t
            assert gone() is not None
        assert gone() is None
        node = weakref.ref(y.grad_fn)
        del y, z, d
        assert node() is None
    finally:
        gc.enable()


def test_intermediate_tangents_are_let_go_at_once():
    fw = gd.autograd.forward_ad
    gc.disable()
    try:
        with fw.dual_level():
            d = fw.make_dual(tensor(gd, X), tensor(gd, T))
            middle = weakref.ref(fw.unpack_dual(d * 2).tangent)
            assert middle() is None
    finally:
        gc.enable()
