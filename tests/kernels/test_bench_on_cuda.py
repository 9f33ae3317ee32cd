"""The benchmarks run on CUDA Tensors, at sizes at which nothing can be learnt of their speed."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

import gradcore as gd
from gradcore_bench import digits, overhead
from gradcore_bench.cli import main
from gradcore_bench.libraries import CUDA, Gradcore
from gradcore_bench.operations import COPY, FORWARD, OPERATIONS, Row, measure
from gradcore_bench.overhead import BOTH
from gradcore_bench.workloads import WORKLOADS

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

TINY = 48  # elements; 8 rows of 6
BUDGET = 1e-4


@pytest.fixture
def gradcore():
    return Gradcore(threads=1)


def names_of(operation):
    return f"{operation.name} {operation.layout}".strip()


@pytest.mark.parametrize("operation", OPERATIONS, ids=names_of)
def test_every_operation_is_timed_beside_a_copy_of_as_many_bytes(gradcore, operation):
    rows = list(measure(gradcore, [], [operation], [CUDA], [TINY], budget=BUDGET))
    assert [row.phase for row in rows] == list(operation.phases)
    for row in rows:
        assert row.failures == {}
        assert row.timings["gradcore"].median > 0
        assert (COPY in row.timings) == (row.traffic is not None)
        assert (row.share is None) == (row.traffic is None)


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if FORWARD in each.phases], ids=names_of
)
def test_passes_compute_on_cuda_what_they_compute_on_the_cpu(operation):
    on_cpu, on_cuda = (operation.steps(gd, TINY, device) for device in ("cpu", "cuda"))
    for phase in {FORWARD, BOTH} & set(operation.phases):
        expected, found = on_cpu[phase](), on_cuda[phase]()
        if phase == FORWARD:
            expected, found = [expected], [found]
        for theirs, ours in zip(expected, found, strict=True):
            assert ours.device.type == "cuda"
            ours, theirs = (t.detach().cpu().numpy() for t in (ours, theirs))
            np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_the_copy_moves_half_the_bytes_each_way(gradcore, cp):
    step = gradcore.copy_step(4096, CUDA)
    source, target = (
        cell.cell_contents
        for name, cell in zip(step.__code__.co_freevars, step.__closure__, strict=True)
        if name in ("source", "target")
    )
    assert source.nbytes == target.nbytes == 2048
    source.fill(7)
    step()
    assert cp.all(target == 7)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_of_the_table_runs(name):
    loss, holders = WORKLOADS[name].step(gd, 6, CUDA)()
    assert loss.device.type == "cuda"
    assert all(holder.grad.device.type == "cuda" for holder in holders)


def test_small_arrays_are_timed(gradcore, monkeypatch):
    monkeypatch.setattr(overhead, "OPERATIONS", ("x * x", "x[index]"))
    rows = overhead.measure([gradcore], CUDA, budget=BUDGET)
    assert {row.title for row in rows} >= {"x * x", "x[index]", "tutorial program"}
    assert all(row.device == CUDA and row.budget is None for row in rows)


def test_programs_make_their_tensors_on_the_device():
    scope = {"lib": gd}
    exec(overhead.placed(overhead.TUTORIAL, CUDA), scope)
    assert scope["x"].grad.device.type == "cuda"
    assert overhead.placed(overhead.TUTORIAL, "cpu") == overhead.TUTORIAL


def test_the_classifier_of_digits_trains():
    rng = np.random.default_rng(0)
    images, labels = rng.random((20, 64), np.float32), rng.integers(10, size=20)
    outcome = digits.train(gd, CUDA, digits.Digits(images, labels, images, labels), epochs=1)
    assert outcome.device == CUDA
    assert 0 <= outcome.accuracy <= 1


@pytest.mark.parametrize("name", ["mul_mean", "softmax"])
def test_the_command_writes_what_it_measured(name, tmp_path, capsys):
    if not find_spec("matplotlib") or not find_spec("threadpoolctl"):
        pytest.skip("the extra bench is not installed")
    data, plot = tmp_path / "results.json", tmp_path / "plot.png"
    argv = ["operations", "--device", "cuda", "--elements", str(TINY), "--workloads", name]
    files = ["--json", str(data), "--plot", str(plot)]
    assert main([*argv, "--budget", str(BUDGET), *files]) == 0
    assert name in capsys.readouterr().out
    results = json.loads(data.read_text())
    gpu = results["environment"]["gpu"]
    assert gpu["compute capability"].count(".") == 1
    assert results["environment"]["devices"]["cuda"] == gd.cuda.get_device_name()
    assert all(Row.from_data(row).share > 0 for row in results["operations"])
    assert plot.read_bytes().startswith(b"\x89PNG")
