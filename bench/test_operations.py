"""The operations on large arrays, at small sizes."""

import json
from importlib.util import find_spec
from itertools import pairwise

import pytest

from gradcore_bench import cli, operations
from gradcore_bench.cli import main
from gradcore_bench.libraries import CPU, CUDA, Gradcore
from gradcore_bench.operations import (
    BACKWARD,
    ELEMENTS,
    GOAL_SIZE,
    GOALS,
    OPERATIONS,
    STEP,
    Goal,
    Row,
    measure,
)
from gradcore_bench.overhead import BOTH, FORWARD
from gradcore_bench.timing import Timing

GRADCORE = Gradcore(threads=1)
PNG = b"\x89PNG\r\n\x1a\n"


def quickly(chosen, devices=(CPU,), elements=(64,), gradcore=GRADCORE):
    return list(measure(gradcore, [], chosen, devices, elements, budget=1e-4))


def named(*names):
    return [each for each in OPERATIONS if each.name in names]


def timing(median):
    return Timing(median, median, median, 5, 1)


def row(share=None, ratio=None, *, goal=Goal()):  # noqa: B008
    timings = {"gradcore": timing(1e-3)}
    if share is not None:
        timings["copy"] = timing(share * 1e-3)
    if ratio is not None:
        timings["torch"] = timing(1e-3 / ratio)
    return Row("norm", "norm", "", FORWARD, 8, CUDA, 32, None, timings, {}, goal)


def test_the_names_that_are_listed_before_numpy_is_loaded_are_those_there_are():
    assert list(cli.OPERATIONS) == list(dict.fromkeys(each.name for each in OPERATIONS))
    assert set(ELEMENTS) == {CPU, CUDA}


def test_every_goal_has_its_operation():
    there = {
        (each.name, layout, phase)
        for each in OPERATIONS
        for layout in (each.layout, "")
        for phase in each.phases
    }
    assert set(GOALS) <= there


def test_every_operation_runs():
    rows = quickly(OPERATIONS)
    assert {(row.name, row.layout) for row in rows} == {(o.name, o.layout) for o in OPERATIONS}
    for row in rows:
        assert not row.failures
        assert row.timings["gradcore"].median > 0
        assert row.rate is None or row.rate > 0


def test_goals_hold_on_a_gpu_at_the_largest_size_only():
    (norm, *_), (digits,) = named("norm"), named("digits")
    assert norm.goal(GOAL_SIZE, FORWARD, CUDA).share == 0.85
    assert norm.goal(GOAL_SIZE, BOTH, CUDA).ratio == 0.5
    assert norm.goal(GOAL_SIZE, FORWARD, CPU) == norm.goal(GOAL_SIZE // 2, FORWARD, CUDA) == Goal()
    assert digits.goal(digits.fixed, STEP, CUDA).ratio == 1.2
    fused, plain = named("chain")
    assert fused.goal(GOAL_SIZE, BACKWARD, CUDA).share == 0.85
    assert plain.goal(GOAL_SIZE, BACKWARD, CUDA) == Goal()


@pytest.mark.parametrize(
    ("name", "arrays"), [("mul_mean", (2, 4)), ("norm", (1, 2)), ("chain", (3, 5))]
)
def test_what_must_move(name, arrays):
    operation = named(name)[0]
    forward, backward = (4 * 64 * count for count in arrays)
    assert operation.traffic(64, FORWARD) == forward
    assert operation.traffic(64, BACKWARD) == backward
    assert operation.traffic(64, BOTH) == forward + backward


def test_products_are_counted():
    (matmul,) = named("matmul")
    assert matmul.traffic(64, FORWARD) is None
    assert matmul.flops(64, FORWARD) == 2 * 8**3
    assert matmul.flops(64, BOTH) == 6 * 8**3


def test_share_ratio_and_goals():
    found = row(0.9, 0.4)
    assert found.share == pytest.approx(0.9)
    assert found.ratio("torch") == pytest.approx(0.4)
    assert not row(0.86, goal=Goal(share=0.85)).missed
    assert "0.84, goal 0.85" in row(0.84, goal=Goal(share=0.85)).missed
    assert not row(ratio=0.49, goal=Goal(ratio=0.5)).missed
    assert "0.51, goal 0.5" in row(ratio=0.51, goal=Goal(ratio=0.5)).missed


def test_what_was_not_measured_misses_its_goal():
    assert "not measured" in row(goal=Goal(share=0.85)).missed
    assert "not measured" in row(goal=Goal(ratio=0.5)).missed
    assert not row().missed


def test_rows_come_back_from_json():
    for found in (*quickly(named("norm", "matmul")), row(0.9, 0.4, goal=Goal(share=0.85))):
        assert Row.from_data(json.loads(json.dumps(found.as_data()))) == found


class Broken(operations.Operation):
    """Fails as a kernel does whose error shows when the device is waited for."""

    name, title, phases = "broken", "broken", (FORWARD, BOTH)

    def steps(self, lib, n, device):
        raise RuntimeError("an illegal memory access\nwas encountered")


def test_a_failure_is_recorded_and_the_rest_goes_on():
    *failed, last = quickly([Broken(), *named("digits")])
    for each in failed:
        assert each.timings == {}
        assert each.failures == {
            "gradcore": "RuntimeError: an illegal memory access was encountered"
        }
    assert [each.phase for each in failed] == [FORWARD, BOTH]
    assert not last.failures


def test_after_a_failure_of_the_device_nothing_more_runs_on_it(monkeypatch):
    gradcore = Gradcore(threads=1)

    def now(device):
        raise RuntimeError("the context is gone")

    def steps(*_):
        pytest.fail("it ran")

    monkeypatch.setattr(gradcore, "now", now)
    monkeypatch.setattr(operations.DigitsStep, "steps", steps)
    first, _, last = quickly([Broken(), *named("digits")], gradcore=gradcore)
    assert "illegal memory access" in first.failures["gradcore"]
    assert "the device had failed (RuntimeError: the context is gone)" in last.failures["gradcore"]


def test_what_does_not_fit_is_not_run_and_is_no_failure(monkeypatch, capsys):
    monkeypatch.setattr(Gradcore, "free_memory", lambda self, device: 1000)
    argv = ["operations", "--device", "cpu", "--elements", "64", "--workloads", "tutorial"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "not run: tutorial program, 64, forward and backward, cpu: needs 0.0 GB" in said


def test_the_command_writes_tables_data_and_a_plot(capsys, tmp_path):
    data, plot = tmp_path / "results.json", tmp_path / "plot.png"
    argv = ["operations", "--device", "cpu", "--elements", "64", "16", "--workloads", "norm"]
    files = ["--json", str(data), "--plot", str(plot)]
    assert main([*argv, "--budget", "0.0001", "--threads", "1", *files]) == 0
    said = capsys.readouterr().out
    assert "norm, first axis" in said
    rows = json.loads(data.read_text())["operations"]
    assert len(rows) == 3 * 3 * 2
    assert all(a["size"] <= b["size"] for a, b in pairwise(rows[:6]))
    assert plot.read_bytes().startswith(PNG)


def test_a_failure_is_exit_code_one_and_is_explained(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(operations, "OPERATIONS", (Broken(),))
    data, plot = tmp_path / "results.json", tmp_path / "plot.png"
    files = ["--json", str(data), "--plot", str(plot)]
    assert main(["operations", "--device", "cpu", "--elements", "16", *files]) == 1
    assert "in gradcore: RuntimeError: an illegal memory access" in capsys.readouterr().out
    assert len(json.loads(data.read_text())["operations"]) == 2
    assert plot.read_bytes().startswith(PNG)


@pytest.mark.parity
def test_check_fails_where_a_goal_is_missed(monkeypatch):
    if not find_spec("torch"):
        pytest.skip("no PyTorch")
    argv = ["operations", "--device", "cpu", "--elements", "16", "--workloads", "norm"]
    argv += ["--budget", "0.0001", "--threads", "1", "--against", "torch"]
    monkeypatch.setattr(operations.Operation, "goal", lambda *_: Goal(ratio=1e9))
    assert main([*argv, "--check"]) == 0
    monkeypatch.setattr(operations.Operation, "goal", lambda *_: Goal(ratio=1e-9))
    assert main([*argv, "--check"]) == 1
    assert main(argv) == 0
