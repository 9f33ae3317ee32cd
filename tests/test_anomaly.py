"""Anomaly mode: nan in backward raises, and errors come with the forward call behind them."""

import asyncio
import re
import threading
import warnings

import pytest

import gradcore as gd

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::RuntimeWarning")]


def leaf(lib, *values):
    return lib.tensor(values, dtype=lib.float64, requires_grad=True)


def watched(lib, log, function):
    """Log what a call raises, and what it warns of, without what only PyTorch's engine has."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            log.append(function())
        except RuntimeError as error:
            log.append(("raised", str(error).replace("torch::autograd::", "")))
    for warning in caught:
        if warning.category is RuntimeWarning:  # NumPy's, of the forward
            continue
        text = str(warning.message).replace("torch::autograd::", "")
        text = re.sub(r" ?\(Triggered internally .*\)$", "", text, flags=re.S)
        frames = re.findall(r'File "(.*?)", line (\d+), in (\w+)\n    (.*)\n', text)
        own = [frame for frame in frames if frame[0] == __file__]
        log.append((warning.category, text.partition("\n  File")[0].rstrip(), own))


def nan_raises(lib, log):
    x = leaf(lib, -1.0, 4.0)
    with lib.autograd.set_detect_anomaly(True):
        y = (x.sqrt() * 0).sum()
        watched(lib, log, y.backward)
    log.append(x.grad)


def detect_anomaly_warns(lib, log):
    x = leaf(lib, 0.0)

    def run():
        with lib.autograd.detect_anomaly():
            y = (x.log() * 0).sum()
            y.backward()

    watched(lib, log, run)
    log.append(lib.is_anomaly_enabled())


def the_place_of_nan_is_that_of_the_input(lib, log):
    x, w = leaf(lib, 0.0), leaf(lib, 1.0)
    c = lib.zeros(1, dtype=lib.float64)
    with lib.autograd.set_detect_anomaly(True):
        watched(lib, log, (c.atan2(x) * w).sum().backward)
        watched(lib, log, (w * c.pow(x) + w).sum().backward)
        inf = lib.tensor([float("inf")], dtype=lib.float64)
        watched(lib, log, ((w - inf) * (x / inf)).sum().backward)


def nan_may_be_let_through(lib, log):
    x = leaf(lib, -1.0, 4.0)
    with lib.autograd.set_detect_anomaly(True, check_nan=False):
        log.append((lib.is_anomaly_enabled(), lib.is_anomaly_check_nan_enabled()))
        y = (x.sqrt() * 0).sum()
        watched(lib, log, y.backward)
    log.append((lib.is_anomaly_enabled(), lib.is_anomaly_check_nan_enabled()))
    log.append(str(x.grad.tolist()))


def the_switch_is_a_function_too(lib, log):
    lib.autograd.set_detect_anomaly(True, check_nan=False)
    log.append((lib.is_anomaly_enabled(), lib.is_anomaly_check_nan_enabled()))
    with lib.autograd.set_detect_anomaly(False):
        log.append((lib.is_anomaly_enabled(), lib.is_anomaly_check_nan_enabled()))
    log.append((lib.is_anomaly_enabled(), lib.is_anomaly_check_nan_enabled()))
    lib.autograd.set_detect_anomaly(False)
    log.append((lib.is_anomaly_enabled(), lib.is_anomaly_check_nan_enabled()))


def without_the_mode_in_forward_it_says_so(lib, log):
    x = leaf(lib, -1.0)
    y = (x.sqrt() * 0).sum()
    with lib.autograd.set_detect_anomaly(True):
        watched(lib, log, y.backward)


def what_induced_a_node_is_told(lib, log):
    x = leaf(lib, 0.0)
    with lib.autograd.set_detect_anomaly(True):
        y = x**1.5
        (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
        log.append(g.grad_fn.metadata["parent_"] is y.grad_fn)
        watched(lib, log, lambda: lib.autograd.grad(g.sum() * 0, x))


def a_function_that_raises_is_explained(lib, log):
    class Fails(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            raise RuntimeError("Some error in backward")

    x = leaf(lib, 1.0)
    with lib.autograd.set_detect_anomaly(True):
        y = Fails.apply(x * 2)
        watched(lib, log, (y * 3).sum().backward)
    log.append(x.grad)


def a_freed_graph_is_explained(lib, log):
    x = leaf(lib, 1.0)
    with lib.autograd.set_detect_anomaly(True):
        y = x.exp()
        z = y.sum()
        z.backward()
        watched(lib, log, z.backward)


def hooks_still_run(lib, log):
    x = leaf(lib, 2.0)
    with lib.autograd.set_detect_anomaly(True):
        y = x * x
        y.register_hook(lambda g: g * 2)
        y.grad_fn.register_hook(lambda made, given: tuple(m * 3 for m in made))
        y.grad_fn.register_prehook(lambda given: tuple(g * 5 for g in given))
        y.retain_grad()
        y.sum().backward()
    log.append((x.grad.tolist(), y.grad.tolist()))


def a_hook_that_makes_nan_is_found(lib, log):
    x = leaf(lib, 2.0)
    with lib.autograd.set_detect_anomaly(True):
        y = x * x
        y.grad_fn.register_hook(lambda made, given: tuple(m * float("nan") for m in made))
        watched(lib, log, y.sum().backward)


def only_what_is_asked_for_is_checked(lib, log):
    x, w = leaf(lib, 2.0), leaf(lib, float("nan"))
    with lib.autograd.set_detect_anomaly(True):
        y = (x * w).sum()
        (g,) = lib.autograd.grad(y, w, retain_graph=True)
        log.append(g.tolist())
        watched(lib, log, y.backward)


def nan_to_start_from_raises(lib, log):
    x = leaf(lib, 1.0, 2.0)
    with lib.autograd.set_detect_anomaly(True):
        a, b = x.split(1)
        nan = lib.tensor([float("nan")], dtype=lib.float64)
        watched(lib, log, lambda: lib.autograd.backward([a, b], [nan, nan]))


PROGRAMS = [
    nan_to_start_from_raises,
    nan_raises,
    detect_anomaly_warns,
    the_place_of_nan_is_that_of_the_input,
    nan_may_be_let_through,
    the_switch_is_a_function_too,
    without_the_mode_in_forward_it_says_so,
    what_induced_a_node_is_told,
    a_function_that_raises_is_explained,
    a_freed_graph_is_explained,
    hooks_still_run,
    a_hook_that_makes_nan_is_found,
    only_what_is_asked_for_is_checked,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_the_same_happens_as_in_pytorch(program):
    found, expected = [], []
    for lib, log in ((gd, found), (torch, expected)):  # in one line, which tracebacks have
        program(lib, log)
    assert found == expected
    assert found


def test_errors_name_the_forward_line_also_without_the_mode():
    def forward(x):
        y = x.exp()
        return y.sum()

    x = leaf(gd, 1.0)
    z = forward(x)
    z.backward()
    with pytest.raises(RuntimeError) as caught:
        z.backward()
    (note,) = caught.value.__notes__
    line = forward.__code__.co_firstlineno + 1
    assert note.startswith("This was in the backward of ExpBackward0, recorded at ")
    assert f"test_anomaly.py:{line} in {forward.__qualname__}" in note


def test_the_traceback_ends_at_the_users_line():
    with gd.autograd.set_detect_anomaly(True):
        y = gd.nn.functional.softplus(leaf(gd, 1.0))
    *_, last = y.grad_fn.metadata["traceback_"]
    assert "test_anomaly.py" in last
    assert "softplus(leaf(gd, 1.0))" in last


def test_the_mode_holds_for_its_thread_and_task():
    seen = []

    def look():
        seen.append(gd.is_anomaly_enabled())

    async def inside():
        gd.autograd.set_detect_anomaly(True)
        await asyncio.sleep(0)
        look()

    async def beside():
        await asyncio.sleep(0)
        look()

    async def both():
        await asyncio.gather(inside(), beside())

    with gd.autograd.set_detect_anomaly(True):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    asyncio.run(both())
    assert seen == [False, True, False]


def test_a_task_that_outlives_the_mode_stays_in_it():
    async def task(started, go):
        started.set()
        await go.wait()
        return leaf(gd, 1.0).exp().grad_fn.metadata.get("traceback_")

    async def main():
        started, go = asyncio.Event(), asyncio.Event()
        with gd.autograd.set_detect_anomaly(True):
            running = asyncio.create_task(task(started, go))
            await started.wait()
        go.set()
        return await running

    assert asyncio.run(main())
