"""Modes hold per thread and task; what raises leaves modes, gradients and hooks as they were."""

import asyncio
import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gradcore as gd
from gradcore.autograd.graph import saved_tensors_hooks
from gradcore.engine import Walk
from gradcore.mode import WATCHERS


def leaf(*values, lib=gd):
    return lib.tensor(values or (1.0, 2.0), dtype=lib.float64, requires_grad=True)


def modes():
    """What holds here: every switch, as operations see it."""
    x = leaf()
    seen = []
    y = x.exp()
    if y.grad_fn is not None:
        seen.append("traceback_" in y.grad_fn.metadata)
    return (
        gd.is_grad_enabled(),
        y.requires_grad,
        gd.is_inference_mode_enabled(),
        y.is_inference(),
        gd.is_anomaly_enabled(),
        gd.is_anomaly_check_nan_enabled(),
        *seen,
    )


MODES = {
    "no_grad": gd.no_grad,
    "enable_grad": gd.enable_grad,
    "set_grad_enabled": lambda: gd.set_grad_enabled(False),
    "inference_mode": gd.inference_mode,
    "anomaly": lambda: gd.autograd.set_detect_anomaly(True, check_nan=False),
    "policy": lambda: gd.autograd.set_saved_tensors_policy("copy"),
    "mutation": gd.autograd.graph.allow_mutation_on_saved_tensors,
    "hooks": lambda: saved_tensors_hooks(lambda t: t.detach(), lambda t: t),
    "no hooks": lambda: gd.autograd.graph.disable_saved_tensors_hooks("no"),
}


def packs():
    """Whether hooks on saved Tensors see what is saved here."""
    return isinstance(leaf().exp().grad_fn._raw_saved_result.data, gd.Tensor) and (
        leaf().exp().grad_fn._raw_saved_result.unpack_hook is not None
    )


@pytest.mark.parametrize("name", MODES)
def test_a_mode_holds_for_its_thread(name):
    outside = modes()
    entered, done = threading.Event(), threading.Event()
    inside = []

    def enter():
        with MODES[name]():
            inside.append(modes())
            entered.set()
            done.wait()
            inside.append(modes())
        inside.append(modes())

    thread = threading.Thread(target=enter)
    thread.start()
    entered.wait()
    assert modes() == outside
    assert not packs()
    done.set()
    thread.join()
    assert modes() == outside
    first, second, last = inside
    assert first == second
    assert last == outside


@pytest.mark.parametrize("name", MODES)
def test_a_mode_holds_for_its_task(name):
    seen = {"in": [], "out": []}

    async def inside(turns):
        with MODES[name]():
            for _ in range(turns):
                seen["in"].append(modes())
                await asyncio.sleep(0)
        seen["out"].append(modes())

    async def outside(turns):
        for _ in range(turns):
            seen["out"].append(modes())
            await asyncio.sleep(0)

    async def all_of_them():
        await asyncio.gather(*[inside(3), outside(5), inside(4), outside(3)])

    before = modes()
    asyncio.run(all_of_them())
    assert set(seen["out"]) == {before}
    assert len(set(seen["in"])) == 1


@pytest.mark.parametrize("name", MODES)
def test_a_mode_ends_with_an_exception(name):
    before = modes()
    with pytest.raises(KeyError), MODES[name]():
        raise KeyError
    assert modes() == before
    assert not packs()
    assert not WATCHERS


def test_hooks_on_saved_tensors_are_those_of_the_thread_that_records():
    seen = {n: [] for n in range(8)}
    barrier = threading.Barrier(8)

    def run(n):
        x = leaf(float(n), 1.0)
        with saved_tensors_hooks(
            lambda t: (seen[n].append(t.tolist()[0]), t.detach())[1], lambda t: t
        ):
            for _ in range(20):
                barrier.wait()
                y = (x * 1.0).exp().sum()
        y.backward()
        return x.grad.tolist()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, range(8)))
    for n in range(8):
        assert np.allclose(seen[n], [np.exp(n)] * 20)
        assert np.allclose(found[n], [np.exp(n), np.e])


def test_a_graph_may_be_walked_from_several_threads():
    x = leaf(*np.linspace(0.1, 1.0, 1000))
    y = x
    for _ in range(20):
        y = y.sin() * x
    y = y.sum()
    (expected,) = gd.autograd.grad(y, x, retain_graph=True)
    with ThreadPoolExecutor(8) as pool:
        walks = [
            pool.submit(gd.autograd.grad, y, x, retain_graph=True, create_graph=n % 2 == 0)
            for n in range(32)
        ]
        for walk in walks:
            (g,) = walk.result()
            assert np.allclose(g.detach().numpy(), expected.numpy())


def test_gradients_of_threads_add_up():
    x = leaf(*np.ones(5000))
    barrier = threading.Barrier(4)

    def run(n):
        barrier.wait()
        for _ in range(50):
            (x * float(n + 1)).sum().backward()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert np.array_equal(x.grad.numpy(), np.full(5000, 500.0))


def test_hooks_on_several_gradients_tell_passes_apart():
    x, w = leaf(1.0), leaf(2.0)
    y = x * w
    seen = []
    handle = gd.autograd.graph.register_multi_grad_hook(
        (x, w, y), lambda grads: seen.append([g.tolist()[0] for g in grads])
    )
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: (y * float(n)).sum().backward(retain_graph=True), range(40)))
    assert sorted(seen) == [[2.0 * n, 1.0 * n, 1.0 * n] for n in range(40)]
    handle.remove()


def test_checkpoints_in_threads():
    def f(x):
        return (gd.nn.functional.dropout(x.sin(), 0.0) * x).exp()

    def run(n):
        x = leaf(float(n), 0.5)
        gd.utils.checkpoint.checkpoint(f, x, preserve_rng_state=False).sum().backward()
        y = leaf(float(n), 0.5)
        f(y).sum().backward()
        return np.array_equal(x.grad.numpy(), y.grad.numpy())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(64)))


def test_a_task_that_outlives_the_hooks_keeps_them():
    packed = []

    async def task(started, go):
        started.set()
        await go.wait()
        leaf().exp()
        return len(packed)

    async def main():
        started, go = asyncio.Event(), asyncio.Event()
        with saved_tensors_hooks(lambda t: (packed.append(t), t.detach())[1], lambda t: t):
            running = asyncio.create_task(task(started, go))
            await started.wait()
        leaf().exp()
        assert not packed
        go.set()
        return await running

    assert asyncio.run(main()) == 1
    packed.clear()
    gc.collect()
    assert not WATCHERS


def test_a_mode_may_be_on_when_the_program_ends():
    program = (
        "import gradcore as gd\n"
        "gd.autograd.set_detect_anomaly(True)\n"
        "hooks = gd.autograd.graph.saved_tensors_hooks(lambda t: t.detach(), lambda t: t)\n"
        "hooks.__enter__()\n"
        "mode = gd.inference_mode()\n"
        "mode.__enter__()\n"
        "a = gd.ones(2)\n"
        "handle = gd.autograd.graph.register_multi_grad_hook([], print)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == done.stderr == ""


# what raises -------------------------------------------------------------------------------------


class Boom(Exception):
    pass


def boom(*args):
    raise Boom


def failing_tensor_hook(lib, x, y):
    y.register_hook(boom)


def failing_leaf_hook(lib, x, y):
    x.register_hook(boom)


def failing_prehook(lib, x, y):
    y.grad_fn.register_prehook(boom)


def failing_posthook(lib, x, y):
    y.grad_fn.register_hook(boom)


def failing_multi_hook(lib, x, y):
    lib.autograd.graph.register_multi_grad_hook((x, y), boom)


FAILING = [
    failing_tensor_hook,
    failing_leaf_hook,
    failing_prehook,
    failing_posthook,
    failing_multi_hook,
]


def program(lib, fail, create_graph):
    """What is there after a backward pass in which a hook of the user's raised."""
    log = []
    x, w = leaf(lib=lib), leaf(3.0, -1.0, lib=lib)
    w.grad = lib.ones(2, dtype=lib.float64)
    y = x * w
    z = (y.exp() + w).sum()
    fail(lib, x, y)
    try:
        lib.autograd.backward(z, retain_graph=True, create_graph=create_graph)
    except Boom:
        log.append("raised")
    log.append((x.grad, lib.is_grad_enabled(), (x * 1).requires_grad))
    try:
        lib.autograd.grad(z, [x, w], retain_graph=True, create_graph=create_graph)
    except Boom:
        log.append("raised")
    log.append((lib.is_grad_enabled(), z.requires_grad, y.grad_fn.name()))
    return log


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("fail", FAILING, ids=lambda f: f.__name__)
def test_a_hook_that_raises_leaves_what_it_leaves_in_pytorch(fail, create_graph, torch):
    if fail in (failing_leaf_hook, failing_multi_hook):
        # PyTorch cannot wait for leaves in grad(), and calls leaves' hooks elsewhere there.
        fails = program(gd, fail, create_graph)
        assert fails[0] == "raised"
        assert fails[1] == (None, True, True)
    else:
        assert program(gd, fail, create_graph) == program(torch, fail, create_graph)


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("fail", FAILING, ids=lambda f: f.__name__)
def test_no_gradient_is_changed_where_a_hook_raises(fail, create_graph):
    x, w = leaf(), leaf(3.0, -1.0)
    w.grad = gd.ones(2, dtype=gd.float64)
    y = x * w
    fail(gd, x, y)
    with pytest.raises(Boom):
        (y.exp() + w).sum().backward(create_graph=create_graph)
    assert x.grad is None
    assert w.grad.tolist() == [1.0, 1.0]
    assert Walk.current.get() is None


class Raises(gd.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        raise Boom


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_rule_that_raises_changes_nothing_and_is_named(create_graph):
    x, w = leaf(), leaf()
    y = (Raises.apply(x) * w).sum()
    with pytest.raises(Boom) as caught:
        y.backward(create_graph=create_graph, retain_graph=True)
    assert x.grad is None
    assert w.grad is None
    assert gd.is_grad_enabled()
    assert any("RaisesBackward" in note for note in caught.value.__notes__)
    with pytest.raises(Boom):
        y.backward(create_graph=create_graph, retain_graph=True)
    (g,) = gd.autograd.grad(y, w)
    assert g.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("which", ["pack", "unpack"])
def test_hooks_on_saved_tensors_that_raise_change_nothing(which, create_graph):
    x, w = leaf(), leaf()
    a = x * 1.0
    pack, unpack = (boom, boom) if which == "pack" else (lambda t: t.detach(), boom)
    before = a.tolist(), a._version
    if which == "pack":
        with pytest.raises(Boom), saved_tensors_hooks(pack, unpack):
            a * w
        with pytest.raises(Boom), saved_tensors_hooks(pack, unpack):
            gd.exp(a)
        with pytest.raises(Boom), saved_tensors_hooks(pack, unpack):
            a.softmax(0)
    else:
        with saved_tensors_hooks(pack, unpack):
            y = (a * w).sum()
        for _ in range(2):
            with pytest.raises(Boom):
                gd.autograd.grad(y, [x, w], create_graph=create_graph)
    assert (a.tolist(), a._version) == before
    assert gd.is_grad_enabled()
    assert not WATCHERS
    (a * w).sum().backward()
    assert x.grad.tolist() == w.grad.tolist() == [1.0, 2.0]


def test_numpys_warnings_are_back_after_a_hook_has_raised():
    before = np.geterr()
    x = leaf(0.0)
    y = x.sqrt()
    y.register_hook(boom)
    with pytest.raises(Boom):
        y.sum().backward()
    assert np.geterr() == before
