"""Long chains, many threads, long trainings: nothing recurses, nothing is lost, nothing is kept.

The sizes here suit every run of the suite. `GRADCORE_STRESS=full pytest tests/test_stress.py` takes
the full ones (a million nodes, ten thousand iterations), and

    python tests/test_stress.py

prints the times of a chain of a million nodes beside those of PyTorch.
"""

import gc
import os
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    ROOT = Path(__file__).parent.parent
    sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

import gradcore as gd
from gradcore import versions
from gradcore.graph import Node

FULL = os.environ.get("GRADCORE_STRESS") == "full"
NODES = 1_000_000 if FULL else 100_000
ITERATIONS = 10_000 if FULL else 400


def leaf(*values, lib=gd):
    return lib.tensor(values, dtype=lib.float64, requires_grad=True)


# long chains -----------------------------------------------------------------------------------


def scaled(x, n):
    for _ in range(n):
        x = x * 1.0000001
    return x


def ladder(x, n):
    """Two edges from each node, and twice as many paths with each."""
    for _ in range(n):
        x = (x + x) * 0.5
    return x


def viewed(x, n):
    for _ in range(n):
        x = x.view(2, 1).T[0]
    return x


def written(x, n):
    x = x.clone()
    for _ in range(n):
        x.mul_(1.0000001)
    return x


def written_in_part(x, n):
    x = x.clone()
    for _ in range(n // 4):
        x[:1] *= 1.0000001
    return x


CHAINS = [scaled, ladder, viewed, written, written_in_part]


class Shallow:
    """Little room for recursion."""

    def __enter__(self):
        self.limit = sys.getrecursionlimit()
        frame, depth = sys._getframe(), 0
        while frame is not None:
            frame, depth = frame.f_back, depth + 1
        sys.setrecursionlimit(depth + 60)

    def __exit__(self, *error):
        sys.setrecursionlimit(self.limit)


def calls(function, *args):
    """How many functions are called, of Python's and of C's: the work, whatever else runs."""
    count = 0

    def event(frame, kind, argument):
        nonlocal count
        count += kind in ("call", "c_call")

    sys.setprofile(event)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return count


def nodes_alive():
    return sum(type(o) is Node for o in gc.get_objects())


@pytest.mark.parametrize("chain", CHAINS, ids=lambda f: f.__name__)
def test_a_long_chain_is_walked_and_freed_without_recursion(chain):
    n = NODES if chain is scaled else NODES // 5
    chain(leaf(0.5, 1.0), 8).sum().backward()  # imports what it needs
    x = leaf(0.5, 1.0)
    gc.collect()
    before = nodes_alive()
    with Shallow():
        y = chain(x, n).sum()
        y.backward()
        del y
    per_step = {scaled: n, written: n, written_in_part: n // 4}.get(chain, 0)
    expected = np.full(2, 1.0000001**per_step)
    if chain is written_in_part:
        expected[1] = 1.0
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-9)
    assert nodes_alive() == before


def test_a_long_chain_is_differentiated_twice_without_recursion():
    x = leaf(0.5)

    def differentiated(n):
        y = x
        for _ in range(n):
            y = y * x / 0.5
        (g,) = gd.autograd.grad(y, x, create_graph=True)
        return g, *gd.autograd.grad(g, x)

    differentiated(2)  # imports what it needs
    with Shallow():
        g, h = differentiated(NODES // 50)
    n = NODES // 50 + 1
    np.testing.assert_allclose(g.item(), n, rtol=1e-9)
    np.testing.assert_allclose(h.item(), n * (n - 1) / 0.5, rtol=1e-9)


@pytest.mark.parametrize("chain", CHAINS, ids=lambda f: f.__name__)
def test_work_is_linear_in_the_length_of_a_chain(chain):
    def run(n):
        chain(leaf(0.5, 1.0), n).sum().backward()

    run(8)
    short, long = calls(run, 500), calls(run, 4_000)
    assert long < 1.05 * 8 * short


def chain_times(lib, n):
    """Seconds to record a chain, to walk it, and to free it."""
    x = leaf(0.5, 1.0, lib=lib)
    times = [time.perf_counter()]
    y = scaled(x, n)
    times.append(time.perf_counter())
    y.sum().backward()
    times.append(time.perf_counter())
    del y
    times.append(time.perf_counter())
    return np.diff(times)


# many threads ----------------------------------------------------------------------------------

THREADS = 8


def in_threads(run):
    """The results of `run(number)` in threads that start together."""
    barrier = threading.Barrier(THREADS)

    def start(number):
        barrier.wait()
        return run(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads alternate as often as they can
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(start, range(THREADS)))
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("size", [2, 5_000])
def test_backwards_in_threads_add_exact_sums_to_shared_leaves(size):
    x, w = (gd.ones(size, dtype=gd.float64).requires_grad_() for _ in range(2))
    times = 1_000 if size < 10 or FULL else 100

    def run(number):
        for _ in range(times):
            (x * float(number + 1) + w[:1]).sum().backward()

    in_threads(run)
    numbers = THREADS * (THREADS + 1) // 2
    assert x.grad.tolist() == [float(times * numbers)] * size
    assert w.grad.tolist() == [float(times * THREADS * size)] + [0.0] * (size - 1)


def test_writes_in_threads_are_all_counted_where_each_has_its_own_tensor():
    def run(number):
        x = leaf(1.0, 2.0)
        y = x * 1
        for _ in range(500):
            y.mul_(1.0)
            y[:1].add_(1.0)
        y.sum().backward()
        return y._version, y.tolist(), x.grad.tolist()

    assert in_threads(run) == [(1000, [501.0, 2.0], [1.0, 1.0])] * THREADS


def test_threads_that_walk_one_graph_find_the_same():
    x = leaf(0.3, 0.7)
    y = x.clone()
    y[0] *= x[1]
    z = (y.exp() * x).sum()
    (expected,) = gd.autograd.grad(z, x, retain_graph=True)

    def run(number):
        found = set()
        for _ in range(100):
            create = number % 2 == 0
            (g,) = gd.autograd.grad(z, x, retain_graph=True, create_graph=create)
            found.add(tuple(g.tolist()))
        return found

    assert in_threads(run) == [{tuple(expected.tolist())}] * THREADS


def test_hooks_run_in_the_thread_that_calls_backward():
    x = leaf(1.0, 2.0)
    y = x * 2
    seen = []
    note = lambda *args: seen.append(threading.get_ident())
    x.register_hook(note)
    y.register_hook(note)
    y.grad_fn.register_hook(note)
    y.grad_fn.register_prehook(note)
    x.register_post_accumulate_grad_hook(note)

    def run(number):
        y.sum().backward(retain_graph=True)
        return threading.get_ident()

    callers = in_threads(run)
    assert len(seen) == 5 * THREADS
    assert {t: seen.count(t) for t in callers} == {t: 5 * callers.count(t) for t in callers}


def test_an_error_in_one_thread_is_none_in_the_others():
    x = leaf(1.0, 2.0)

    def run(number):
        failed = 0
        for _ in range(100):
            y = x.exp()
            if number % 2:
                y.mul_(2)
            try:
                y.sum().backward()
            except RuntimeError as error:
                failed += "modified by an inplace operation" in str(error)
            assert gd.is_grad_enabled()
        return failed

    assert in_threads(run) == [0, 100] * (THREADS // 2)
    expected = 100 * THREADS / 2 * np.exp([1.0, 2.0])
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)


# long trainings --------------------------------------------------------------------------------


def alive():
    """How many Tensors and nodes there are, and memories whose writes are counted."""
    kinds = [type(o) for o in gc.get_objects()]
    return (
        sum(issubclass(kind, gd.Tensor) for kind in kinds),
        kinds.count(Node),
        len(versions._WRITES),
    )


def training():
    """A step of a training that takes part in everything there is."""
    gd.manual_seed(0)
    inputs = gd.randn(8, 3, dtype=gd.float64)
    targets = inputs[:, :1] * inputs[:, 1:2]
    hidden = gd.randn(5, 3, dtype=gd.float64).requires_grad_()
    bias = gd.zeros(5, dtype=gd.float64).requires_grad_()
    out = gd.randn(1, 5, dtype=gd.float64).requires_grad_()
    optimizer = gd.optim.Adam([hidden, bias, out], lr=0.01)

    def step():
        optimizer.zero_grad()
        h = gd.nn.functional.linear(inputs, hidden, bias)
        h[:, 0] *= out[0, 0]  # a write to a view
        h.tanh_()
        h.register_hook(lambda g: g * 1.0)
        h.retain_grad()
        rows = h.unbind(0)
        buffer = gd.zeros(8, 5, dtype=gd.float64)
        for number, row in enumerate(rows):
            buffer[number] = row
        loss = ((buffer @ out.T - targets) ** 2).mean()
        (g,) = gd.autograd.grad(loss, out, create_graph=True)
        (loss + 0.01 * (g * g).sum()).backward()
        optimizer.step()
        with gd.no_grad():
            out.clamp_(-3.0, 3.0)
            bias[0] = 0.0
        try:
            y = bias.exp()
            y.add_(1)
            y.sum().backward()
        except RuntimeError:
            return loss.item()

    return step


def test_a_long_training_keeps_no_memory_without_the_cycle_collector():
    step = training()
    first = step()
    for _ in range(50):
        step()
    gc.collect()
    gc.disable()
    tracemalloc.start(1)
    try:
        before = alive()
        held, peaks = [], []
        for _ in range(4):
            tracemalloc.reset_peak()
            for _ in range(ITERATIONS // 4):
                last = step()
            peaks.append(tracemalloc.get_traced_memory()[1])
            assert alive() == before
            assert gc.collect() == 0  # it had nothing to do, but empties CPython's free lists
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        gc.enable()
    assert max(held) - min(held) < 10_000
    assert max(peaks) < min(peaks) + 100_000
    assert last < first


def test_failed_steps_keep_nothing_either():
    x = leaf(*range(1, 100))

    def step():
        y = x * 2
        view = y[10:]
        z = y.exp()
        handle = z.register_hook(lambda g: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            z.sum().backward(retain_graph=True)
        handle.remove()
        z.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.sum().backward()
        with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
            view.add_(gd.ones(3, 1, dtype=gd.float64))
        with pytest.raises(IndexError):
            view[1000] = 1.0

    step()
    gc.collect()  # pytest keeps what the first ones raised
    before = alive()
    for _ in range(200):
        step()
    gc.collect()
    assert alive() == before
    assert x.grad is None


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    length = 1_000_000
    times = np.array([(chain_times(gd, length), chain_times(torch, length)) for _ in range(3)])
    best = times.min(0)
    rows = zip(("record", "walk", "free", "all"), *([*t, t.sum()] for t in best), strict=True)
    for title, ours, theirs in rows:
        print(f"{title:7} {ours:7.3f} s, PyTorch {theirs:7.3f} s, ratio {ours / theirs:.2f}")
