"""Hooks: the same programs on PyTorch and gradcore see and change the same gradients."""

import gc

import numpy as np
import pytest

import gradcore as gd

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.parity


def leaf(lib, values=(1.0, 2.0, 3.0)):
    return lib.tensor(list(values), dtype=lib.float64, requires_grad=True)


def listed(values):
    """Gradients in tuples as lists."""
    return [None if v is None else v.tolist() for v in values]


def a_hook_sees(lib, log):
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda g: log.append(("y", g.tolist(), g.requires_grad)))
    x.register_hook(lambda g: log.append(("x", g.tolist())))
    (y * y).sum().backward()
    log.append(x.grad.tolist())


def a_hook_replaces(lib, log):
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: -g)
    (y * 3).sum().backward()
    log.append(x.grad.tolist())


def a_removed_hook_is_silent(lib, log):
    x = leaf(lib)
    y = x * 2
    handle = y.register_hook(lambda g: log.append("removed"))
    handle.remove()
    handle.remove()
    with y.register_hook(lambda g: log.append("inside")):
        y.sum().backward(retain_graph=True)
    y.sum().backward()


def the_sum_of_all_paths_is_seen(lib, log):
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda g: log.append(g.tolist()))
    x.register_hook(lambda g: log.append(g.tolist()))
    ((y * y).sum() + y.sum() + x.sum()).backward()


def the_order(lib, log):
    x = leaf(lib)
    y = x * 2
    y.retain_grad()
    y.grad_fn.register_hook(lambda made, given: log.append("after"))
    y.grad_fn.register_prehook(lambda given: log.append("before"))
    y.register_hook(lambda g: log.append("tensor 1"))
    y.register_hook(lambda g: (log.append("tensor 2"), g * 2)[1])
    x.register_post_accumulate_grad_hook(lambda t: log.append(("accumulated", t.grad.tolist())))
    x.register_hook(lambda g: log.append("leaf"))
    y.sum().backward()
    log.append(y.grad.tolist())


def node_hooks_see_and_replace(lib, log):
    x, z = leaf(lib), leaf(lib, (4.0, 5.0, 6.0))
    y = x * z

    def after(made, given):
        log.append((listed(made), listed(given)))
        return made[0] * 10, made[1]

    y.grad_fn.register_prehook(lambda given: (given[0] * 2,))
    y.grad_fn.register_hook(after)
    y.sum().backward()
    log.append((x.grad.tolist(), z.grad.tolist()))


def node_hooks_of_an_input_without_gradient(lib, log):
    x, z = leaf(lib), leaf(lib).detach()
    y = x * z
    y.grad_fn.register_hook(lambda made, given: log.append(listed(made)))
    y.sum().backward()


def a_hook_of_a_function_with_broadcasting(lib, log):
    x = leaf(lib, (2.0,))
    y = x * lib.ones(3, dtype=lib.float64)
    y.grad_fn.register_hook(lambda made, given: log.append(len(made)))
    y.sum().backward()
    log.append(x.grad.tolist())


def post_accumulate_may_change_the_grad(lib, log):
    x = leaf(lib)

    def step(t):
        log.append(t is x)
        with lib.no_grad():
            t.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * 3).sum().backward()
    log.append(x.grad)


def grad_runs_the_hooks_of_what_it_returns(lib, log):
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda g: g * 3)
    x.register_hook(lambda g: g * 5)
    x.register_post_accumulate_grad_hook(lambda t: log.append("never"))
    p, q = lib.autograd.grad((y * y).sum(), (y, x))
    log.append((p.tolist(), q.tolist(), x.grad))


def under_create_graph(lib, log):
    x = leaf(lib)
    y = x * x
    y.register_hook(lambda g: (log.append(g.requires_grad), g * g)[1])
    (first,) = lib.autograd.grad((y * y).sum(), x, create_graph=True)
    (second,) = lib.autograd.grad(first.sum(), x)
    log.append((first.tolist(), second.tolist()))


def recording_is_off_in_hooks(lib, log):
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda g: log.append((lib.is_grad_enabled(), (x * 2).requires_grad)))
    y.sum().backward()


def retained_grads_are_those_after_the_hooks(lib, log):
    x = leaf(lib)
    y = x * 2
    y.register_hook(lambda g: g * 7)
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.sum().backward()
    log.append((y.grad.tolist(), x.grad.tolist()))


def metadata(lib, log):
    y = leaf(lib) * 2
    y.grad_fn.metadata["key"] = "value"
    log.append(dict(y.grad_fn.metadata))


def a_hook_runs_once_for_each_backward(lib, log):
    x = leaf(lib)
    y = (x * 2).sum()
    x.register_hook(lambda g: log.append(g.tolist()))
    y.backward(retain_graph=True)
    y.backward()
    log.append(x.grad.tolist())


PROGRAMS = [v for v in list(globals().values()) if callable(v) and v.__module__ == __name__]
PROGRAMS = [p for p in PROGRAMS if p.__code__.co_varnames[:2] == ("lib", "log")]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_the_same_program_on_pytorch(program):
    ours, theirs = [], []
    program(gd, ours)
    program(torch, theirs)
    assert ours == theirs


@pytest.mark.parametrize(
    ("error", "match", "program"),
    [
        (RuntimeError, "doesn't require grad", lambda lib: lib.ones(2).register_hook(print)),
        (
            RuntimeError,
            "on non-leaf",
            lambda lib: (leaf(lib) * 2).register_post_accumulate_grad_hook(print),
        ),
        (
            RuntimeError,
            "changed the size of value",
            lambda lib: hooked(lib, lambda g: lib.ones(2, dtype=lib.float64)),
        ),
        (
            RuntimeError,
            "changed the type of value",
            lambda lib: hooked(lib, lambda g: g.to(lib.float32)),
        ),
        (TypeError, "Tensor|Variable", lambda lib: hooked(lib, lambda g: 3)),
        (ZeroDivisionError, "division", lambda lib: hooked(lib, lambda g: 1 / 0)),
    ],
)
def test_wrong_hooks(error, match, program):
    for lib in (torch, gd):
        with pytest.raises(error, match=match):
            program(lib)


def hooked(lib, hook):
    x = leaf(lib)
    y = x * 2
    y.register_hook(hook)
    (y * y).sum().backward()


@pytest.mark.parametrize("where", ["leaf", "inside", "before"])
def test_an_error_in_a_hook_leaves_everything_as_it_was(where):
    x, z = leaf(gd), leaf(gd)
    y = x * z
    out = (y * 2).sum()

    def fail(*_):
        raise ZeroDivisionError

    handle = {
        "leaf": x.register_hook,
        "inside": y.register_hook,
        "before": y.grad_fn.register_prehook,
    }[where](fail)
    with pytest.raises(ZeroDivisionError):
        out.backward(retain_graph=True)
    assert gd.is_grad_enabled()
    assert x.grad is None
    assert z.grad is None
    handle.remove()
    out.backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_hooks_make_no_cycles():
    gc.collect()
    gc.disable()
    try:
        x = leaf(gd)
        y = x * 2
        y.register_hook(lambda g: g)
        x.register_hook(lambda g: g)
        y.sum().backward()
        import weakref

        alive = weakref.ref(y), weakref.ref(x)
        del x, y
        assert [r() for r in alive] == [None, None]
    finally:
        gc.enable()


def test_a_large_gradient_is_handed_to_a_hook_without_a_copy():
    x = gd.ones(10_000, requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g))
    (x * 2).sum().backward()
    np.testing.assert_array_equal(seen[0].numpy(), np.full(10_000, 2.0, np.float32))
    assert x.grad is not seen[0]
