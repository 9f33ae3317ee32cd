"""Every workload: that all libraries compute the same, and how long a step takes (no assertion)."""

from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

from gradcore_bench.libraries import CPU, CUDA, PEERS, Gradcore, Library
from gradcore_bench.table import chosen_sizes
from gradcore_bench.timing import ROUNDS, Clock, interleave
from gradcore_bench.workloads import WORKLOADS, Workload

GRADCORE = Gradcore(threads=1)
INSTALLED = [PEERS[name](threads=1) for name in PEERS if find_spec(name)]
BOTH_DEVICES = [CPU, pytest.param(CUDA, marks=pytest.mark.cuda)]
TINY = {"tutorial": 7, "mul_mean": 7, "norm": 7, "mlp": 5, "attention": 3}

each_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS.keys())
each_device = pytest.mark.parametrize("device", BOTH_DEVICES)
each_library = pytest.mark.parametrize("library", [GRADCORE, *INSTALLED], ids=lambda lib: lib.name)


def need(device: str, library: Library = GRADCORE) -> None:
    if device not in library.devices:
        pytest.skip(f"{library.name}: no {device} device")


def two_steps(library: Library, workload: Workload, device: str) -> list[np.ndarray]:
    """Losses and gradients of two steps, so that an SGD step between them shows."""
    step = library.step(workload, TINY[workload.name], device)
    found = []
    for _ in range(2):
        loss, holders = step()
        found += [np.array(library.to_numpy(v)) for v in (loss, *library.gradients(holders))]
    return found


@each_workload
@each_device
@each_library
def test_every_library_computes_the_hand_written_gradients(library, device, workload):
    need(device, library)
    expected = two_steps(PEERS["numpy"](threads=1), workload, CPU)
    found = two_steps(library, workload, device)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)


@each_workload
def test_the_hand_written_gradient_is_that_of_the_loss(workload):
    leaves, constants = workload.arrays(TINY[workload.name])
    leaves = tuple(leaf.astype(np.float64) for leaf in leaves)
    rng = np.random.default_rng(0)
    step = tuple(1e-6 * rng.standard_normal(leaf.shape) for leaf in leaves)

    def loss(sign: int) -> float:
        moved = (leaf + sign * d for leaf, d in zip(leaves, step, strict=True))
        return float(workload.loss_numpy(np, *moved, *constants))

    _, gradients = workload.gradients(*leaves, *constants)
    along = sum(np.vdot(g, d) for g, d in zip(gradients, step, strict=True))
    assert (loss(1) - loss(-1)) / 2 == pytest.approx(float(along), rel=1e-5)


@each_workload
def test_named_sizes_and_footprints_ascend(workload):
    sizes = [workload.sizes[name] for name in ("small", "medium", "large", "huge")]
    assert sizes == sorted(sizes)
    assert workload.footprint(sizes[0]) < workload.footprint(sizes[-1])
    assert chosen_sizes(workload, ["small", 3, 3]) == [3, sizes[0]]


@pytest.mark.benchmark(max_time=0.1)
@each_workload
@pytest.mark.parametrize("size", ["small", "medium"])
@each_device
@each_library
def test_step_time(benchmark, library, device, size, workload):
    need(device, library)
    n = workload.sizes[size]
    benchmark.group = f"{workload.name}, {n}, {device}"
    step, now = library.step(workload, n, device), library.now(device)

    def finished() -> None:
        step()
        now()

    benchmark(finished)


def test_clocks_take_turns_and_give_seconds_per_execution():
    order: list[str] = []
    clocks = [Clock("f(name)", f=order.append, name=name) for name in "ab"]
    timings = interleave(clocks, budget=0.01)
    for timing in timings:
        assert 0 < timing.lower <= timing.median <= timing.upper < 1e-3
        assert timing.number > 1
        assert ROUNDS[0] <= timing.rounds <= ROUNDS[1]
    assert {"ab", "ba"} <= {first + second for first, second in pairwise(order)}
