"""README's code blocks run and print what stands below them; its numbers are measured ones."""

import contextlib
import io
import json
import re
from pathlib import Path

from gradcore.op import NUMPY_FACES, OPS
from gradcore_bench.markdown import NO_GPU_RUN, with_results

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "bench" / "results"
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", README, re.DOTALL)


def test_the_code_blocks_print_what_they_say():
    operations, faces = dict(OPS), dict(NUMPY_FACES)
    scope = {}
    try:
        for code, expected in BLOCKS:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code, scope)
            assert printed.getvalue() == expected, code
    finally:
        # One block declares an operation.
        for registry, before in ((OPS, operations), (NUMPY_FACES, faces)):
            registry.clear()
            registry.update(before)


def test_the_continuous_integration_runs_the_test_command():
    commands = re.findall(r"^python3 .*pytest -n auto --dist worksteal$", README, re.MULTILINE)
    assert len(commands) == 1
    script = (ROOT / ".ci" / "run").read_text()
    assert commands[0] in script


def test_the_tables_are_those_of_the_committed_results():
    renewed = with_results(README, RESULTS)
    assert renewed == README, "run: gradcore-bench report bench/results --readme README.md"


def test_the_ratios_in_the_text_are_those_of_the_committed_results():
    overhead = json.loads((RESULTS / "cpu-overhead.json").read_text())
    ratios = {(row["title"], row["phase"]): row["ratios"]["torch"] for row in overhead["overhead"]}
    both = "forward and backward"
    for place in (
        ("x * x", "forward"),
        ("tutorial program", both),
        ("MLP training step, batch 32", both),
    ):
        assert f"{ratios[place]:.2f}" in README.partition("## Start")[0], place
    assert f"takes {overhead['imports']['ratio']:.1f} times" in README


def test_it_says_that_there_is_no_gpu_run_exactly_as_long_as_there_is_none():
    assert (NO_GPU_RUN in README) == (not list(RESULTS.glob("gpu-*.json")))


def made_up_run(date):
    timing = {"median": 1e-3, "lower": 1e-3, "upper": 1e-3, "rounds": 5, "number": 1}
    row = {
        "name": "norm",
        "title": "norm",
        "layout": "all axes",
        "phase": "forward",
        "size": 2**26,
        "device": "cuda",
        "traffic": 2**28,
        "flops": None,
        "timings": {"gradcore": timing, "copy": timing | {"median": 0.87e-3}},
        "failures": {},
        "goal": {"share": 0.85, "ratio": None},
        "skipped": "",
    }
    environment = {
        "date": date,
        "python": "3.11",
        "versions": {"gradcore": "0"},
        "devices": {"cuda": f"GPU of {date}"},
    }
    return {"environment": environment, "parts": [], "operations": [row]}


def test_the_newest_gpu_run_is_told(tmp_path):
    for file in RESULTS.glob("cpu-*.json"):
        (tmp_path / file.name).write_text(file.read_text())
    assert NO_GPU_RUN in with_results(README, tmp_path)
    for name, date in (("a", "2001-01-01"), ("b", "2002-01-01"), ("c", "2000-01-01")):
        (tmp_path / f"gpu-{name}.json").write_text(json.dumps(made_up_run(date)))
    text = with_results(README, tmp_path)
    assert NO_GPU_RUN not in text
    assert "GPU of 2002-01-01" in text
    assert "GPU of 2001-01-01" not in text
    assert "| norm, all axes | 67,108,864 | forward | 1 ms | 268 GB/s | 0.87 | ≥ 0.85 |" in text
    assert "Other runs: [gpu-a](bench/results/gpu-a.md), [gpu-c]" in text
