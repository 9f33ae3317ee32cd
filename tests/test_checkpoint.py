"""Checkpoints: the same programs on PyTorch and gradcore, and what they keep in memory."""

import contextlib
import gc
import tracemalloc
import warnings

import numpy as np
import pytest

import gradcore as gd
from gradcore.autograd import graph_report

torch = pytest.importorskip("torch")
pytest.importorskip("torch.utils.checkpoint")

pytestmark = pytest.mark.parity


def attempt(log, function, length=70):
    """Log what a call gives, or what it raises: the start of its text."""
    try:
        log.append(function())
    except RuntimeError as error:
        log.append(("raised", str(error).lstrip()[:length]))


def pair(lib):
    x = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
    w = lib.tensor([3.0, -1.0], dtype=lib.float64, requires_grad=True)
    return x, w


def listed(gradients):
    return [None if g is None else g.tolist() for g in gradients]


def block(x, w):
    return ((x * w).sin() * w).exp()


def run(lib, *args, **kwargs):
    kwargs.setdefault("use_reentrant", False)
    return lib.utils.checkpoint.checkpoint(*args, **kwargs)


def gradients_are_the_same(lib, log):
    for reentrant in (False, True):
        x, w = pair(lib)
        y = run(lib, block, x, w, use_reentrant=reentrant)
        log.append((y.tolist(), y.requires_grad))
        (y * y).sum().backward()
        log.append(listed((x.grad, w.grad)))
    x, w = pair(lib)
    block(x, w).pow(2).sum().backward()
    log.append(listed((x.grad, w.grad)))


def the_function_runs_again_once_a_pass(lib, log):
    x, w = pair(lib)

    def f(x, w):
        log.append(("start", lib.is_grad_enabled(), x.requires_grad))
        y = block(x, w)
        log.append("end")
        return y

    y = run(lib, f, x, w).sum()
    log.append("forward")
    y.backward(retain_graph=True)
    log.append("backward")
    y.backward(retain_graph=True)
    log.append("grad")
    log.append(listed(lib.autograd.grad(y, [x, w], retain_graph=True)))
    (g,) = lib.autograd.grad(y, [x], create_graph=True)
    log.append("second order")
    log.append(listed(lib.autograd.grad(g.sum(), [x, w])))


def early_stop_may_be_off(lib, log):
    x, w = pair(lib)

    def f(x, w):
        y = x.exp()
        log.append("last saved")
        return y + w

    run(lib, f, x, w).sum().backward()
    run(lib, f, x, w, early_stop=False).sum().backward()
    with lib.utils.checkpoint.set_checkpoint_early_stop(False):
        y = run(lib, f, x, w)
    y.sum().backward()
    with lib.utils.checkpoint.set_checkpoint_early_stop(True):
        y = run(lib, f, x, w, early_stop=False)
    y.sum().backward()
    log.append(listed((x.grad, w.grad)))


def checkpoints_nest(lib, log):
    x, w = pair(lib)

    def inner(x, w):
        log.append("inner")
        return (x * w).sin()

    def middle(x, w):
        log.append("middle")
        return run(lib, inner, x.exp(), w) * x.cos()

    def outer(x, w):
        log.append("outer")
        y = run(lib, middle, x * w, w)
        return (y * run(lib, inner, y, w)).tanh()

    y = run(lib, outer, x, w)
    log.append("forward")
    y.sum().backward()
    log.append(listed((x.grad, w.grad)))
    x, w = pair(lib)
    y = outer(x, w).sum()
    log.clear()
    y.backward()
    log.append(listed((x.grad, w.grad)))


def arguments_of_any_kind(lib, log):
    x, w = pair(lib)

    def f(x, power, *, w, scale=1.0, more=None):
        return x**power * w * scale + more["b"].exp(), "text", None

    y, text, none = run(lib, f, x, 3, w=w, scale=2.0, more={"b": x})
    log.append((text, none))
    y.sum().backward()
    log.append(listed((x.grad, w.grad)))


def inputs_need_not_require_grad(lib, log):
    x, w = pair(lib)
    c = lib.ones(2, dtype=lib.float64)
    y = run(lib, lambda c: (c * w).exp(), c)
    y.sum().backward()
    log.append(listed((x.grad, w.grad)))


def only_some_gradients(lib, log):
    x, w = pair(lib)
    y = run(lib, block, x, w)
    y.sum().backward(inputs=[w])
    log.append(listed((x.grad, w.grad)))


def nothing_is_recorded_under_no_grad(lib, log):
    x, w = pair(lib)
    with lib.no_grad():
        y = run(lib, block, x, w)
    log.append((y.tolist(), y.requires_grad))


def another_number_of_tensors(lib, log):
    for again in ([True, False], [False, True]):
        for stop in (True, False):
            x, w = pair(lib)
            more = list(again)

            def f(x, w, more=more):
                return (x * w).exp() if more.pop(0) else x * 2

            y = run(lib, f, x, w, early_stop=stop) * x
            attempt(log, y.sum().backward)
            log.append((x.grad is None, lib.is_grad_enabled()))


def other_metadata(lib, log):
    for check in ("default", "none"):
        x, _ = pair(lib)
        shapes = [2, 3]

        def f(x, shapes=shapes):
            return (x[:1].expand(shapes.pop(0)).exp()).sum()

        y = run(lib, f, x, determinism_check=check)
        if check == "default":
            attempt(log, y.backward)
        log.append(x.grad)


def debug_lists_what_ran(lib, log):
    x, w = pair(lib)
    again = [True, False]

    def f(x, w):
        return (x * w).exp() if again.pop(0) else x * w

    y = run(lib, f, x, w, debug=True)
    try:
        y.sum().backward()
    except RuntimeError as error:
        log.append("during the original forward" in str(error).replace("executed ", ""))
        log.append("Operations executed during recomputation" in str(error))


def what_is_unpacked_twice(lib, log):
    x, _ = pair(lib)

    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            ctx.saved_tensors
            return g * ctx.saved_tensors[0]

    y = run(lib, lambda x: Twice.apply(x.exp()), x)
    attempt(log, y.sum().backward)


def an_argument_that_was_written_to(lib, log):
    x, w = pair(lib)
    a = x * 1
    y = run(lib, block, a, w)
    with lib.no_grad():
        a.add_(1)
    attempt(log, y.sum().backward)
    log.append(x.grad)


def contexts_are_entered(lib, log):
    x, w = pair(lib)

    @contextlib.contextmanager
    def noted(name):
        log.append(("enter", name))
        yield
        log.append(("exit", name))

    y = run(
        lib, block, x, w, context_fn=lambda: (noted("forward"), noted("again")), early_stop=False
    )
    log.append("forward")
    y.sum().backward()
    log.append(listed((x.grad, w.grad)))


def errors_of_the_function(lib, log):
    x, w = pair(lib)
    again = [True, False]

    def f(x, w):
        if not again.pop(0):
            raise RuntimeError("not again")
        return block(x, w)

    y = run(lib, f, x, w)
    attempt(log, y.sum().backward)
    log.append((x.grad, lib.is_grad_enabled()))

    def g(x):
        raise RuntimeError("never")

    attempt(log, lambda: run(lib, g, x))
    # Neither has left a hook behind.
    (x * w).exp().sum().backward()
    log.append(listed((x.grad, w.grad)))


def a_backward_pass_inside(lib, log):
    x, w = pair(lib)

    def f(x, w):
        y = (x * w).exp()
        (g,) = lib.autograd.grad(y.sum(), w, retain_graph=True)
        return (y * g).sin()

    y = run(lib, f, x, w)
    log.append(y.tolist())
    y.sum().backward()
    log.append(listed((x.grad, w.grad)))


def dropout_is_the_same_again(lib, log):
    lib.manual_seed(3)
    for preserve in (True, False):
        x = lib.ones(1000, requires_grad=True)

        def f(x):
            return lib.nn.functional.dropout(x, 0.5) ** 2

        before = lib.get_rng_state()
        y = run(lib, f, x, preserve_rng_state=preserve)
        drawn = lib.rand(3)
        y.sum().backward()
        follows = lib.rand(3)
        lib.set_rng_state(before)
        f(x)
        log.append((drawn == lib.rand(3)).all().item())
        log.append((follows == lib.rand(3)).all().item())
        log.append(bool(((x.grad != 0) == (y != 0)).all()))


def hooks_on_saved_tensors_around_it(lib, log):
    x, w = pair(lib)
    seen = []
    hooks = lib.autograd.graph.saved_tensors_hooks(
        lambda t: (seen.append(t.tolist()), t.detach())[1], lambda t: t
    )
    with hooks:
        y = run(lib, block, x, w)
        z = y.exp()
    log.append(sorted(map(str, seen)))
    z.sum().backward()
    log.append(listed((x.grad, w.grad)))


def in_place_operations_inside(lib, log):
    x, w = pair(lib)

    def f(x, w):
        y = x * w
        y.exp_()
        y *= w
        y[:1] = y[1:] * w[:1]
        return y.sin()

    y = run(lib, f, x, w)
    log.append(y.tolist())
    y.sum().backward()
    log.append(listed((x.grad, w.grad)))


def segments(lib, log):
    functions = [lambda t: t.sin(), lambda t: t.exp(), lambda t: t * t, lambda t: t.tanh()] * 2
    for count in (1, 2, 3, 8):
        for reentrant in (False, True):
            x, _ = pair(lib)
            sequential = lib.utils.checkpoint.checkpoint_sequential
            y = sequential(functions, count, x, use_reentrant=reentrant)
            y.sum().backward()
            log.append([round(v, 12) for v in y.tolist() + x.grad.tolist()])


def reentrant_ones(lib, log):
    x, w = pair(lib)
    y = run(lib, block, x, w, use_reentrant=True)
    attempt(log, lambda: lib.autograd.grad(y.sum(), x))
    attempt(log, lambda: y.sum().backward(inputs=[x]))
    y = run(lib, lambda x, n: (x.exp(), x * n), x, 3, use_reentrant=True)
    (y[0] * y[1]).sum().backward()
    log.append(x.grad.tolist())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y = run(lib, block, x.detach(), w, use_reentrant=True)
    log.append(([str(c.message) for c in caught], y.requires_grad))


PROGRAMS = [
    gradients_are_the_same,
    the_function_runs_again_once_a_pass,
    early_stop_may_be_off,
    checkpoints_nest,
    arguments_of_any_kind,
    inputs_need_not_require_grad,
    only_some_gradients,
    nothing_is_recorded_under_no_grad,
    another_number_of_tensors,
    other_metadata,
    debug_lists_what_ran,
    what_is_unpacked_twice,
    an_argument_that_was_written_to,
    contexts_are_entered,
    errors_of_the_function,
    a_backward_pass_inside,
    dropout_is_the_same_again,
    hooks_on_saved_tensors_around_it,
    in_place_operations_inside,
    segments,
    reentrant_ones,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_the_same_happens_as_in_pytorch(program):
    found, expected = [], []
    program(gd, found)
    program(torch, expected)
    assert found == expected
    assert found


def of_samples(lib, x, w):
    return lib.func.vmap(lambda r: (r * w).exp().sin().sum())(x)


def of_samples_of_samples(lib, x, w):
    return lib.func.vmap(lambda m: lib.func.vmap(lambda v: (m * v).exp().sum() * v)(w))(x).sum(1)


@pytest.mark.parametrize("function", [of_samples, of_samples_of_samples])
def test_a_vmap_in_a_checkpoint_is_one_batch_again(function):
    found = []
    for lib in (gd, torch):
        x = lib.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], requires_grad=True)
        w = lib.tensor([1.0, -2.0], requires_grad=True)
        call = lambda x, w, lib=lib: function(lib, x, w)
        y = run(lib, call, x, w) if lib is gd else call(x, w)
        y.sum().backward()
        found.append((x.grad.tolist(), w.grad.tolist()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5)


def test_a_checkpoint_in_a_vmap():
    x = gd.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], requires_grad=True)
    w = gd.tensor([1.0, -2.0], requires_grad=True)
    f = lambda r: (r * w).exp().sin().sum()
    expected = gd.autograd.grad(gd.func.vmap(f)(x).sum(), (x, w))
    y = gd.func.vmap(lambda r: gd.utils.checkpoint.checkpoint(f, r))(x)
    found = gd.autograd.grad(y.sum(), (x, w))
    for g, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(g.numpy(), e.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"determinism_check": "all"},
        {"use_reentrant": True, "more": 1},
        {"use_reentrant": True, "debug": True},
        {"debug": True, "context_fn": lambda: (contextlib.nullcontext(),) * 2},
    ],
)
def test_arguments_that_do_not_go_together_raise_as_in_pytorch(wrong):
    texts = []
    for lib in (gd, torch):
        x, _ = pair(lib)
        with pytest.raises(ValueError) as caught:
            run(lib, lambda x: x, x, **wrong)
        texts.append(str(caught.value).replace("dict_keys", ""))
    assert texts[0] == texts[1]


N = 100_000


def deep(x):
    for _ in range(20):
        x = x.sin()
    return x


def test_a_checkpoint_keeps_its_arguments_only():
    x = gd.ones(N, dtype=gd.float64, requires_grad=True)
    plain = graph_report(deep(x))
    kept = graph_report(gd.utils.checkpoint.checkpoint(deep, x))
    assert plain.total_bytes == 19 * 8 * N
    assert kept.total_bytes == 0


def peak(function):
    gc.collect()
    tracemalloc.start()
    function()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found / (8 * N)


def test_memory_really_falls():
    x = gd.ones(N, dtype=gd.float64, requires_grad=True)

    def segmented(x):
        for _ in range(4):
            x = gd.utils.checkpoint.checkpoint(deep, x)
        return x

    def plain(x):
        for _ in range(4):
            x = deep(x)
        return x

    whole, parts = (
        peak(lambda: plain(x).sum().backward()),
        peak(lambda: segmented(x).sum().backward()),
    )
    assert whole > 80
    assert parts < 32


def test_nothing_is_left_after_backward():
    x = gd.ones(N, dtype=gd.float64, requires_grad=True)
    y = gd.utils.checkpoint.checkpoint(deep, x).sum()
    y.backward()
    gc.disable()
    try:
        tracemalloc.start()
        y = gd.utils.checkpoint.checkpoint(deep, x).sum()
        y.backward(retain_graph=True)
        kept = tracemalloc.get_traced_memory()[0] / (8 * N)
        tracemalloc.stop()
    finally:
        gc.enable()
    assert kept < 1.5


def test_what_was_saved_for_one_pass_is_not_kept_for_the_next():
    x = leaf = gd.ones(10, requires_grad=True)
    calls = []

    def f(x):
        calls.append(1)
        return x.exp().sin()

    y = gd.utils.checkpoint.checkpoint(f, x).sum()
    for _ in range(3):
        y.backward(retain_graph=True)
    assert len(calls) == 4
    expected = 3 * np.exp(1.0) * np.cos(np.exp(1.0))
    assert np.allclose(leaf.grad.numpy(), expected)
