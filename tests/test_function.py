"""gradcore.autograd.Function: the contract of a user's own forward and backward."""

import gc
import weakref

import numpy as np
import pytest

import gradcore as gd
from gradcore.autograd import Function, grad, gradcheck, gradgradcheck
from gradcore.autograd.function import once_differentiable


def leaf(*values, dtype=np.float64):
    return gd.tensor(np.array(values, dtype), requires_grad=True)


def function(forward, backward=None, name="F", **methods):
    """Make a Function of these static methods."""
    if backward is not None:
        methods["backward"] = backward
    methods["forward"] = forward
    return type(name, (Function,), {k: staticmethod(v) for k, v in methods.items()})


def double(ctx, x, *rest):
    return x * 2


def ones_like(y):
    return gd.tensor(np.ones(y.shape, y.numpy(force=True).dtype))


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class Product(Function):
    """A product with a constant, in the style of setup_context."""

    @staticmethod
    def forward(a, b, scale=2.0):
        return a * b * scale

    @staticmethod
    def setup_context(ctx, inputs, output):
        a, b, scale = inputs
        ctx.save_for_backward(a, b)
        ctx.scale = scale

    @staticmethod
    def vjp(ctx, g):
        a, b = ctx.saved_tensors
        return g * b * ctx.scale, g * a * ctx.scale, None


class Polar(Function):
    @staticmethod
    def forward(ctx, r, phi):
        x, y = r * phi.cos(), r * phi.sin()
        ctx.save_for_backward(r, phi, x, y)
        return x, y

    @staticmethod
    def backward(ctx, gx, gy):
        _, phi, x, y = ctx.saved_tensors
        return gx * phi.cos() + gy * phi.sin(), gy * x - gx * y


# the usual uses ------------------------------------------------------------------------------


def test_gradients_reach_the_input():
    x = leaf(1.0, 2.0)
    y = Exp.apply(x)
    assert y.grad_fn.name() == "ExpBackward"
    y.backward(ones_like(y))
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1.0, 2.0]))


@pytest.mark.parametrize(
    ("call", "count"),
    [
        (Exp.apply, 1),
        (Product.apply, 2),
        (lambda a, b: Product.apply(a, b, 3.0), 2),
        (Polar.apply, 2),
    ],
)
@pytest.mark.parametrize("fast", [False, True])
def test_derivatives_of_both_orders(call, count, fast):
    inputs = [leaf(0.5, 1.5, 2.0), leaf(0.3, -0.7, 1.0)][:count]
    assert gradcheck(call, inputs, fast_mode=fast)
    assert gradgradcheck(call, inputs, fast_mode=fast)


def test_a_third_derivative():
    x = leaf(0.5)
    y = Exp.apply(x)
    for _ in range(3):
        (y,) = grad(y, x, ones_like(y), create_graph=True)
    np.testing.assert_allclose(y.detach().numpy(), np.exp([0.5]))


def test_keyword_arguments_and_defaults_with_setup_context():
    a, b = leaf(2.0), leaf(3.0)
    np.testing.assert_allclose(Product.apply(a, b, scale=5.0).detach().numpy(), [30.0])
    np.testing.assert_allclose(Product.apply(a, b=b).detach().numpy(), [12.0])
    np.testing.assert_allclose(Exp.apply(x=a).detach().numpy(), [np.exp(2.0)])


def test_forward_runs_without_recording_and_backward_as_create_graph_says():
    modes = []

    def forward(ctx, x):
        modes.append(gd.is_grad_enabled())
        return x * 2

    def backward(ctx, g):
        modes.append(gd.is_grad_enabled())
        return g * 2

    x = leaf(1.0)
    F = function(forward, backward)
    grad(F.apply(x), x)
    grad(F.apply(x), x, create_graph=True)
    assert modes == [False, False, False, True]


def test_nothing_is_recorded_under_no_grad_and_without_inputs_that_require_grad():
    with gd.no_grad():
        assert not Exp.apply(leaf(1.0)).requires_grad
    y = Exp.apply(gd.tensor([1.0]))
    assert not y.requires_grad
    assert y.grad_fn is None


def test_needs_input_grad_has_an_entry_per_argument():
    seen = []

    def forward(ctx, a, b, c):
        seen.append(ctx.needs_input_grad)
        return a * b

    def backward(ctx, g):
        seen.append(ctx.needs_input_grad)
        return g, None, None

    F = function(forward, backward)
    a = leaf(1.0)
    F.apply(a, gd.tensor(np.ones(1)), 3).backward()
    assert seen == [(True, False, False)] * 2


def test_tensors_inside_lists_are_not_tracked():
    F = function(lambda ctx, values: values[0] * 1, lambda ctx, g: g)
    assert not F.apply([leaf(1.0)]).requires_grad


def test_attributes_of_ctx_reach_backward():
    def forward(ctx, x, k):
        ctx.k, ctx.x = k, x
        return x**k

    def backward(ctx, g):
        return g * ctx.k * ctx.x ** (ctx.k - 1), None

    x = leaf(3.0)
    F = function(forward, backward)
    assert gradcheck(lambda x: F.apply(x, 3), x)
    assert gradgradcheck(lambda x: F.apply(x, 3), x)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        function(double, lambda ctx, g: g * ctx.missing).apply(x).backward()


def test_an_output_as_attribute_keeps_its_history():
    def forward(ctx, x):
        ctx.y = x.exp()
        return ctx.y

    F = function(forward, lambda ctx, g: g * ctx.y)
    assert gradcheck(F.apply, leaf(1.0, 2.0))
    assert gradgradcheck(F.apply, leaf(1.0, 2.0))


def test_saved_tensors_are_the_inputs_themselves_and_outputs_with_their_history():
    seen = {}

    def forward(ctx, x):
        y = x.exp()
        inner = x * 5
        ctx.save_for_backward(x, None, y, inner)
        return y

    def backward(ctx, g):
        seen["x"], seen["none"], seen["y"], seen["inner"] = ctx.saved_tensors
        return g * seen["y"]

    x = leaf(1.0)
    y = function(forward, backward).apply(x)
    y.backward(retain_graph=True)
    assert seen["x"] is x
    assert seen["none"] is None
    assert seen["y"].grad_fn is y.grad_fn
    assert not seen["inner"].requires_grad


def test_gradients_with_respect_to_a_saved_output_of_several():
    r, phi = leaf(1.0), leaf(0.5)
    x, y = Polar.apply(r, phi)
    (g,) = grad(x, phi, create_graph=True)
    # d x / d phi is -y, and it was computed from the saved y.
    (back,) = grad(g, y)
    assert back.tolist() == [-1.0]


def test_several_outputs():
    r, phi = leaf(1.0, 2.0), leaf(0.5, 0.7)
    x, y = Polar.apply(r, phi)
    assert x.grad_fn is y.grad_fn
    assert (x.output_nr, y.output_nr) == (0, 1)
    gd.autograd.backward([x, y], [ones_like(x), ones_like(y)])
    np.testing.assert_allclose(r.grad.numpy(), np.cos([0.5, 0.7]) + np.sin([0.5, 0.7]))


def pair(ctx, x):
    return x * 2, x * 3


def test_the_cotangent_of_an_unused_output_is_zero():
    seen = []

    def backward(ctx, a, b):
        seen.extend([a, b])
        return a * 2 + b * 3

    x = leaf(1.0, 2.0)
    y, _ = function(pair, backward).apply(x)
    y.backward(ones_like(y))
    assert seen[1].tolist() == [0.0, 0.0]
    assert seen[1].dtype is gd.float64
    assert x.grad.tolist() == [2.0, 2.0]


def test_the_cotangent_of_an_unused_output_is_none_if_not_materialized():
    seen = []

    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    def backward(ctx, a, b):
        seen.extend([a, b])
        return b * 3

    x = leaf(1.0)
    _, z = function(forward, backward).apply(x)
    z.backward()
    assert seen[0] is None
    assert x.grad.tolist() == [3.0]


def test_other_values_among_the_outputs_pass_through():
    seen = []

    def backward(ctx, *gs):
        seen.extend(gs)
        return gs[0] * 2

    x = leaf(1.0)
    out = function(lambda ctx, x: (x * 2, "s", None, 3), backward).apply(x)
    assert out[1:] == ("s", None, 3)
    out[0].backward()
    assert seen[1:] == [None, None, None]
    assert x.grad.tolist() == [2.0]


def test_a_tuple_of_one_stays_a_tuple_and_a_list_is_no_tuple():
    (y,) = function(lambda ctx, x: (x * 2,), lambda ctx, g: g * 2).apply(leaf(1.0))
    assert y.requires_grad
    y = function(lambda ctx, x: [x * 2], lambda ctx, g: g).apply(leaf(1.0))
    assert isinstance(y, list)
    assert not y[0].requires_grad


def test_marked_and_integer_outputs_are_not_differentiable():
    seen = []

    def forward(ctx, x):
        a, b, c = x * 2, x * 3, x > 0
        ctx.mark_non_differentiable(b)
        return a, b, c

    def backward(ctx, ga, gb, gc):
        seen.extend([ga, gb, gc])
        return ga * 2

    x = leaf(1.0)
    a, b, c = function(forward, backward).apply(x)
    assert (a.requires_grad, b.requires_grad, c.requires_grad) == (True, False, False)
    assert b.grad_fn is None
    a.backward()
    assert seen[1].tolist() == [0.0]
    assert seen[2].dtype == np.bool_


def test_an_input_returned_as_it_is_becomes_a_new_tensor():
    F = function(lambda ctx, x: x, lambda ctx, g: g * 5)
    x = leaf(1.0)
    y = F.apply(x)
    assert y is not x
    assert x.is_leaf
    assert y.data_ptr() == x.data_ptr()
    y.backward()
    assert x.grad.tolist() == [5.0]
    with gd.no_grad():
        assert not F.apply(x).requires_grad


def test_none_is_no_gradient():
    a, b = leaf(1.0), leaf(2.0)
    F = function(lambda ctx, a, b: a * b, lambda ctx, g: (g, None))
    F.apply(a, b).backward()
    assert a.grad.tolist() == [1.0]
    assert b.grad is None


def test_a_gradient_of_an_input_that_needs_none_is_ignored():
    a, b = leaf(1.0, 2.0), gd.tensor(np.ones(2))
    F = function(lambda ctx, a, b: a * b, lambda ctx, g: (g, ones_like(gd.tensor([1.0]))))
    y = F.apply(a, b)
    y.backward(ones_like(y))
    assert b.grad is None


def test_a_broadcast_gradient_is_summed_to_the_shape_of_the_input():
    a, b = leaf(1.0), leaf(1.0, 2.0, 3.0)
    F = function(
        lambda ctx, a, b: (ctx.save_for_backward(a, b), a * b)[1],
        lambda ctx, g: (g * ctx.saved_tensors[1], g * ctx.saved_tensors[0]),
    )
    y = F.apply(a, b)
    y.backward(ones_like(y))
    assert a.grad.tolist() == [6.0]
    assert gradcheck(F.apply, (leaf(2.0), leaf(1.0, 2.0, 3.0)))
    assert gradgradcheck(F.apply, (leaf(2.0), leaf(1.0, 2.0, 3.0)))


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_gradient_is_cast_to_the_dtype_of_the_input(create_graph):
    x = leaf(1.0, dtype=np.float32)
    F = function(double, lambda ctx, g: gd.tensor(np.array([3.0])))
    (g,) = grad(F.apply(x), x, create_graph=create_graph)
    assert g.dtype is gd.float32


def test_a_raw_cotangent_comes_as_a_tensor_that_does_not_require_grad():
    seen = []
    x = leaf(1.0)
    function(double, lambda ctx, g: (seen.append(g), g * 2)[1]).apply(x).backward()
    assert isinstance(seen[0], gd.Tensor)
    assert not seen[0].requires_grad


def test_complex_numbers():
    class Square(Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z * z

        @staticmethod
        def backward(ctx, g):
            (z,) = ctx.saved_tensors
            return g * 2 * z.conj()

    z = gd.tensor(np.array([1 + 2j, -0.5j]), requires_grad=True)
    assert gradcheck(Square.apply, z)
    assert gradgradcheck(Square.apply, z)


# what is kept and freed ----------------------------------------------------------------------


def test_a_second_backward_raises_if_something_was_saved():
    x = leaf(1.0)
    y = Exp.apply(x)
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_a_second_backward_runs_if_nothing_was_saved():
    x = leaf(1.0)
    y = function(double, lambda ctx, g: g * 2).apply(x)
    y.backward()
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_saved_tensors_raise_once_freed():
    kept = []

    def forward(ctx, x):
        kept.append(ctx)
        ctx.save_for_backward(x)
        return x * x

    x = leaf(1.0)
    y = function(forward, lambda ctx, g: 2 * g * ctx.saved_tensors[0]).apply(x)
    assert kept[0].saved_tensors[0] is x
    y.backward()
    with pytest.raises(RuntimeError, match="after they have already been freed"):
        kept[0].saved_tensors


@pytest.mark.parametrize("how", ["save_for_backward", "attribute", "several"])
def test_graphs_are_freed_without_the_cycle_collector(how):
    def forward(ctx, x):
        y = x.exp()
        if how == "attribute":
            ctx.y = y
        else:
            ctx.save_for_backward(x, y)
        return (y, x * 2) if how == "several" else y

    gc.disable()
    try:
        x = leaf(1.0)
        out = function(forward, lambda ctx, *g: g[0]).apply(x)
        y = out[0] if how == "several" else out
        node = weakref.ref(y.grad_fn)
        array = weakref.ref(y.detach().numpy())
        assert node() is not None
        del out, y
        assert node() is None
        assert array() is None
    finally:
        gc.enable()


# mistakes ------------------------------------------------------------------------------------

WRONG = [
    (
        lambda ctx, g: g,
        2,
        r"FBackward returned an incorrect number of gradients \(expected 2, got 1\)",
    ),
    (lambda ctx, g: (g, g), 1, r"incorrect number of gradients \(expected 1, got 2\)"),
    (lambda ctx, g: (g, None, g), 1, r"incorrect number of gradients \(expected 1, got 3\)"),
    (lambda ctx, g: [g], 1, r"expected Variable or None \(got list\)"),
    (lambda ctx, g: 2.0, 1, r"expected Variable or None \(got float\)"),
    (
        lambda ctx, g: gd.tensor(np.ones(1)),
        1,
        r"Function FBackward returned an invalid gradient at index 0 - got \[1\] but expected "
        r"shape compatible with \[3\]",
    ),
    (
        lambda ctx, g: (g, gd.tensor(np.ones((3, 2)))),
        2,
        r"invalid gradient at index 1 - got \[3, 2\] but expected shape compatible with \[3\]",
    ),
    (lambda ctx, g: g * 1j, 1, "return its real part"),
]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(("backward", "count", "message"), WRONG)
def test_a_wrong_backward_raises(backward, count, message, create_graph):
    inputs = [leaf(1.0, 2.0, 3.0) for _ in range(count)]
    y = function(lambda ctx, *xs: xs[0] * 2, backward).apply(*inputs)
    with pytest.raises(RuntimeError, match=message):
        grad(y, inputs, ones_like(y), create_graph=create_graph)


def test_extra_trailing_nones_are_fine():
    x = leaf(1.0)
    function(double, lambda ctx, g: (g, None, None)).apply(x).backward()
    assert x.grad.tolist() == [1.0]


def test_a_gradient_for_an_argument_that_is_no_tensor_raises():
    y = function(double, lambda ctx, g: (g, g)).apply(leaf(1.0), 2.0)
    with pytest.raises(RuntimeError, match="different than None at position 2"):
        y.backward()


def test_an_exception_in_backward_leaves_no_grad_and_restores_the_mode():
    def backward(ctx, g):
        raise KeyError("mine")

    x = leaf(1.0)
    y = function(double, backward).apply(x) * 2 + x
    with pytest.raises(KeyError, match="mine"):
        y.backward()
    assert x.grad is None
    assert gd.is_grad_enabled()


def test_an_exception_in_forward_restores_the_mode():
    def forward(ctx, x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        function(forward).apply(leaf(1.0))
    assert gd.is_grad_enabled()


def test_missing_and_doubled_methods_raise():
    x = leaf(1.0)
    with pytest.raises(NotImplementedError, match="must implement the forward function"):
        type("F", (Function,), {}).apply(x)
    y = function(double).apply(x)
    with pytest.raises(NotImplementedError, match="either the backward or vjp method"):
        y.backward()
    y = function(double, lambda ctx, g: g, vjp=lambda ctx, g: g).apply(x)
    with pytest.raises(RuntimeError, match="both 'backward' and 'vjp'"):
        y.backward()


def test_what_ctx_takes_is_checked():
    x = leaf(1.0)

    def run(use):
        return function(lambda ctx, x: (use(ctx, x), x * 2)[1], lambda ctx, g: g).apply(x)

    with pytest.raises(TypeError, match="can only save variables, but argument 1 is of type int"):
        run(lambda ctx, x: ctx.save_for_backward(x, 3))
    with pytest.raises(TypeError, match="mark_non_differentiable only accepts variable arguments"):
        run(lambda ctx, x: ctx.mark_non_differentiable(3))
    with pytest.raises(TypeError, match="mark_dirty can only accept variables, but argument 1"):
        run(lambda ctx, x: ctx.mark_dirty(x, 3))


def test_what_is_not_implemented_says_so():
    with pytest.raises(NotImplementedError, match="You must implement the jvp function"):
        Function.jvp(None)
    with pytest.raises(NotImplementedError, match="vmap is not implemented"):
        Function.vmap(None, ())
    with pytest.raises(RuntimeError, match=r"call Exp\.apply"):
        Exp()


# once_differentiable ---------------------------------------------------------------------------


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        assert not gd.is_grad_enabled()
        (x,) = ctx.saved_tensors
        return 2 * x * g


def test_once_differentiable_gives_first_derivatives():
    x = leaf(3.0)
    Once.apply(x).backward()
    assert x.grad.tolist() == [6.0]
    assert gradcheck(Once.apply, leaf(3.0))


@pytest.mark.parametrize("differentiate", [lambda g, x: grad(g, x), lambda g, x: g.backward()])
def test_once_differentiable_raises_on_a_second_derivative(differentiate):
    x = leaf(3.0)
    y = Once.apply(x)
    (g,) = grad(y * y, x, create_graph=True)
    assert g.tolist() == [108.0]
    words = "trying to differentiate twice a function that was marked with @once_differentiable"
    with pytest.raises(RuntimeError, match=words):
        differentiate(g, x)


def test_once_differentiable_of_a_constant_cotangent_is_constant():
    x = leaf(3.0)
    (g,) = grad(Once.apply(x), x, create_graph=True)
    assert not g.requires_grad


# parity ----------------------------------------------------------------------------------------


@pytest.mark.parity
def test_a_function_gives_what_it_gives_in_pytorch(torch, rng):
    def make(base, tanh):
        class Gate(base):
            @staticmethod
            def forward(ctx, a, b, k):
                t = tanh(a)
                ctx.save_for_backward(a, b)
                ctx.k = k
                return t * b, t * k

            @staticmethod
            def backward(ctx, g, h):
                a, b = ctx.saved_tensors
                t = tanh(a)
                return (g * b + h * ctx.k) * (1 - t * t), g * t, None

        return Gate

    values = [rng.normal(size=(2, 3)) for _ in range(3)]
    results = []
    for library, base, tanh in (
        (gd, Function, gd.tanh),
        (torch, torch.autograd.Function, torch.tanh),
    ):
        a, b = (library.tensor(v, requires_grad=True) for v in values[:2])
        w = library.tensor(values[2])
        p, q = make(base, tanh).apply(a, b, 1.5)
        first = library.autograd.grad([p, q], [a, b], [w, w * w], create_graph=True)
        second = library.autograd.grad(first, [a, b], [w, w])
        results.append([t.detach().numpy() for t in (p, q, *first, *second)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def fresh(lib):
    return lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)


def make(lib, forward, backward=None, **methods):
    given = {"forward": forward, "backward": backward, **methods}
    found = {name: staticmethod(method) for name, method in given.items() if method}
    return type("F", (lib.autograd.Function,), found)


def attempt(log, call):
    """Log what a call gives, or what it raises: the start of its text."""
    try:
        result = call()
        log.append(result.tolist() if hasattr(result, "tolist") else result)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        log.append(("raised", str(error)[:76]))


def doubling(lib):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    return make(lib, forward, lambda ctx, g: g * 2)


def a_changed_input_is_returned_itself(lib, log):
    D = doubling(lib)
    x = fresh(lib)
    a = x * 1
    before = a._version
    r = D.apply(a)
    r.sum().backward()
    log.append((r is a, a.grad_fn.name(), a.is_leaf, a._version - before))
    log.append((a.tolist(), x.grad.tolist()))
    c = lib.ones(2)
    r = D.apply(c)
    log.append((r is c, c.requires_grad, c.tolist(), c._version))
    with lib.no_grad():
        r = D.apply(x)
        log.append((r is x, r.requires_grad, x.is_leaf, x.tolist()))


def what_may_not_be_changed(lib, log):
    D = doubling(lib)
    attempt(log, lambda: D.apply(fresh(lib)))
    attempt(log, lambda: D.apply(fresh(lib)[:1]))
    attempt(log, lambda: D.apply((fresh(lib) * 1).split(1)[0]))
    x = fresh(lib)
    with lib.no_grad():
        v = (x * 1)[:1]
    attempt(log, lambda: D.apply(v))
    forgets = make(lib, lambda ctx, x: (ctx.mark_dirty(x), x.mul_(2) * 3)[1], lambda ctx, g: g * 6)
    attempt(log, lambda: forgets.apply(fresh(lib) * 1))
    other = lib.ones(2)
    elsewhere = make(lib, lambda ctx, x: (ctx.mark_dirty(other), x * 1)[1], lambda ctx, g: g)
    attempt(log, lambda: elsewhere.apply(fresh(lib)))


def a_changed_view_changes_its_base(lib, log):
    x = fresh(lib)
    a = x * 1
    v, w = a[:1], a[1:]
    r = doubling(lib).apply(v)
    (a * lib.tensor([1.0, 10.0])).sum().backward(retain_graph=True)
    log.append((r is v, a.grad_fn.name().split("::")[-1], x.grad.tolist(), a.tolist()))
    x.grad = None
    (v + w).sum().backward()
    log.append(x.grad.tolist())


def a_changed_constant_gets_a_history(lib, log):
    x, a = fresh(lib), lib.ones(2, dtype=lib.float64)
    F = make(lib, lambda ctx, a, x: (ctx.mark_dirty(a), a.mul_(x))[1], lambda ctx, g: (g, g * 3))
    r = F.apply(a, x)
    r.sum().backward()
    log.append((r is a, a.requires_grad, a.is_leaf, x.grad.tolist()))


def what_was_made_of_a_changed_input_before(lib, log):
    D = doubling(lib)
    x = fresh(lib)
    a = x * 1
    b = a * 3
    D.apply(a)
    b.sum().backward()
    log.append(x.grad.tolist())
    a = x * 1
    b = a * a
    D.apply(a)
    attempt(log, b.sum().backward)


def a_changed_input_among_several_outputs(lib, log):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.mul_(2)
        return x, x.exp()

    F = make(lib, forward, lambda ctx, g, h: g * 2 + h * 7)
    x = fresh(lib)
    a = x * 1
    r, s = F.apply(a)
    (r + s).sum().backward()
    log.append((r is a, s.requires_grad, x.grad.tolist()))
    attempt(log, lambda: F.apply((x * 1)[:1]))


def a_changed_input_is_saved(lib, log):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.mark_dirty(x)
        return x.mul_(2)

    F = make(lib, forward, lambda ctx, g: g * ctx.saved_tensors[0])
    x = fresh(lib)
    r = F.apply(x * 1)
    r.sum().backward()
    log.append(x.grad.tolist())
    r = F.apply(x * 1)
    (g,) = lib.autograd.grad(r.sum(), x, create_graph=True)
    log.append(lib.autograd.grad(g.sum(), x)[0].tolist())
    r = F.apply(x * 1)
    r.mul_(2)
    attempt(log, r.sum().backward)


def one_input_twice(lib, log):
    F = make(lib, lambda ctx, x, y: (ctx.mark_dirty(x), x.mul_(y))[1], lambda ctx, g: (g, g * 3))
    x = fresh(lib)
    a = x * 1
    r = F.apply(a, a)
    r.sum().backward()
    log.append((r is a, x.grad.tolist()))


def an_input_as_it_is(lib, log):
    F = make(lib, lambda ctx, x: x, lambda ctx, g: g * 5)
    x = fresh(lib)
    y = F.apply(x)
    log.append((y is x, y._is_view(), y.data_ptr() == x.data_ptr(), y.grad_fn.name()))
    attempt(log, lambda: F.apply(x * 1).mul_(2))
    c = lib.ones(2)
    y = F.apply(c)
    y.mul_(2)
    log.append((y is c, y._is_view(), y.requires_grad, c.tolist()))
    both = make(lib, lambda ctx, x: (x, x), lambda ctx, g, h: g * 5 + h)
    y, z = both.apply(x)
    (y + z).sum().backward()
    log.append((y is z, x.grad.tolist()))
    stop = make(lib, lambda ctx, x: (ctx.mark_non_differentiable(x), x)[1], lambda ctx, g: g)
    log.append((stop.apply(x).requires_grad, x.requires_grad))


def views_of_inputs(lib, log):
    F = make(lib, lambda ctx, x: x[:1], lambda ctx, g: lib.cat((g * 5, g)))
    x = fresh(lib)
    a = x * 1
    y = F.apply(a)
    log.append((y._is_view(), y.grad_fn.name(), y.tolist()))
    y.sum().backward()
    log.append(x.grad.tolist())
    attempt(log, lambda: y.mul_(2))
    y = F.apply(a)
    a.mul_(2)
    log.append(y.tolist())
    attempt(log, lambda: (y * 1).sum().backward())


def one_output_twice(lib, log):
    def forward(ctx, x):
        y = x * 2
        return y, y

    F = make(lib, forward, lambda ctx, g, h: (log.append((g.tolist(), h.tolist())), g + h)[1])
    x = fresh(lib)
    y, z = F.apply(x)
    (y * 3 + z).sum().backward()
    log.append((y is z, x.grad.tolist()))


def outputs_of_any_kind(lib, log):
    def forward(ctx, x):
        return x * 1, 3, None, "text", x.long(), [x * 2]

    def backward(ctx, *g):
        log.append([None if v is None else (v.tolist(), str(v.dtype)[-5:]) for v in g])
        return g[0]

    x = fresh(lib)
    y = make(lib, forward, backward).apply(x)
    log.append((y[1:4], y[4].requires_grad, y[5][0].requires_grad))
    y[0].sum().backward()
    log.append(x.grad.tolist())


def wrong_gradients(lib, log):
    ones, zeros = lib.ones, lib.zeros
    for backward, more in (
        (lambda ctx, g: (g, g), ()),
        (lambda ctx, g: (g, None, None), ()),
        (lambda ctx, g: g, (3,)),
        (lambda ctx, g: (g, g), (3,)),
        (lambda ctx, g: ones(3), ()),
        (lambda ctx, g: ones(1), ()),
        (lambda ctx, g: ones(4, 2), ()),
        (lambda ctx, g: g.float(), ()),
        (lambda ctx, g: zeros(2, dtype=lib.int64), ()),
        (lambda ctx, g: lib.tensor(2.0), ()),
    ):
        x = fresh(lib)
        y = make(lib, lambda ctx, x, *more: x * 1, backward).apply(x, *more)
        attempt(log, y.sum().backward)
        log.append(None if x.grad is None else (x.grad.tolist(), str(x.grad.dtype)[-7:]))


def arguments_by_name(lib, log):
    def forward(ctx, x, k=1, w=None):
        log.append(ctx.needs_input_grad)
        return x * k * (1 if w is None else w)

    def backward(ctx, g):
        return (g * 5, None, g * 7)[: len(ctx.needs_input_grad)]

    F = make(lib, forward, backward)
    x, w = fresh(lib), fresh(lib)
    F.apply(x, k=2).sum().backward()
    y = F.apply(x, w=w, k=2)
    log.append([(f.name().split("::")[-1], n) for f, n in y.grad_fn.next_functions])
    y.sum().backward()
    log.append((x.grad.tolist(), w.grad.tolist()))
    for wrong in ({"w": w}, {"z": w}):
        try:
            F.apply(x, **wrong)
        except TypeError:
            log.append("raised")
    seen = lambda ctx, inputs, output: log.append((inputs[1:], output.tolist()))
    split = make(lib, lambda x, k=1: x * k, lambda ctx, g: (g * 5, None), setup_context=seen)
    split.apply(x, k=3).sum().backward()
    split.apply(x).sum().backward()
    log.append(x.grad.tolist())


def a_node_gives_what_its_context_has(lib, log):
    def forward(ctx, x, k):
        ctx.save_for_backward(x)
        ctx.k = k
        return x * k

    F = make(lib, forward, lambda ctx, g: (g * ctx.saved_tensors[0] * ctx.k, None))
    x = fresh(lib)
    y = F.apply(x, 3)
    node = y.grad_fn
    log.append((node.saved_tensors[0] is x, node.k, node.needs_input_grad, node.name()))
    log.append([(f.name().split("::")[-1], n) for f, n in node.next_functions])
    y.sum().backward()
    attempt(log, lambda: node.saved_tensors)
    attempt(log, y.sum().backward)


def the_arguments_that_are_no_tensors_have_no_edges(lib, log):
    F = make(lib, lambda ctx, x, y, k, z: x * 1, lambda ctx, g: (g, None, None, g))
    x, z = fresh(lib), fresh(lib)
    node = F.apply(x, lib.ones(2), 3, z * 2).grad_fn
    log.append([(f and f.name().split("::")[-1], n) for f, n in node.next_functions])
    node.register_hook(lambda made, given: log.append([m is not None for m in made]))
    F.apply(x, lib.ones(2), 3, z * 2).sum().backward()
    lib.autograd.backward(lib.autograd.graph.GradientEdge(node, 0), lib.ones(2, dtype=lib.float64))
    log.append((x.grad.tolist(), z.grad.tolist()))


FUNCTIONS = [
    a_changed_input_is_returned_itself,
    what_may_not_be_changed,
    a_changed_view_changes_its_base,
    a_changed_constant_gets_a_history,
    what_was_made_of_a_changed_input_before,
    a_changed_input_among_several_outputs,
    a_changed_input_is_saved,
    one_input_twice,
    an_input_as_it_is,
    views_of_inputs,
    one_output_twice,
    outputs_of_any_kind,
    wrong_gradients,
    arguments_by_name,
    a_node_gives_what_its_context_has,
    the_arguments_that_are_no_tensors_have_no_edges,
]


@pytest.mark.parity
@pytest.mark.parametrize("program", FUNCTIONS, ids=lambda p: p.__name__)
def test_the_same_happens_as_in_pytorch(program, torch):
    found, expected = [], []
    program(gd, found)
    program(torch, expected)
    assert found == expected
    assert found


def test_a_changed_tensor_that_is_no_input_is_warned_of():
    other = gd.ones(2)
    F = function(lambda ctx, x: (ctx.mark_dirty(other), other)[1], lambda ctx, g: g)
    with pytest.warns(UserWarning, match="received a tensor that was not an input"):
        y = F.apply(leaf(1.0, 2.0))
    assert y.requires_grad


def test_a_changed_input_that_is_saved_makes_no_cycle():
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.mark_dirty(x)
        return x.mul_(2)

    F = function(forward, lambda ctx, g: g * ctx.saved_tensors[0])
    gc.collect()
    gc.disable()
    try:
        y = F.apply(leaf(1.0, 2.0) * 1)
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()
