"""README's code blocks run and print what stands below them; its numbers are measured ones."""

import contextlib
import io
import json
import re
from pathlib import Path

from gradcore.op import NUMPY_FACES, OPS
from gradcore_bench.report import duration
from gradcore_bench.workloads import WORKLOADS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "bench" / "results"
SHOWN = {
    ("x * x", "forward"),
    ("lib.exp(x)", "forward"),
    ("x @ y", "forward"),
    ("x.sum()", "forward and backward"),
    ("lib.softmax(x, dim=1)", "forward and backward"),
    ("tutorial program", "forward and backward"),
    ("eleven `* 2`, backward(v)", "forward and backward"),
    ("MLP training step, batch 32", "forward and backward"),
}
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
    commands = re.findall(r"^python3 .*pytest$", README, re.MULTILINE)
    assert len(commands) == 1
    script = (ROOT / ".ci" / "run").read_text()
    assert commands[0] in script


def rows_of_results():
    """The rows of README's tables and the ratios in its text, from the committed results."""
    overhead = json.loads((RESULTS / "cpu-overhead.json").read_text())
    rows, ratios = [], {}
    for row in overhead["overhead"]:
        ours, theirs = (row["timings"][name]["median"] for name in ("gradcore", "torch"))
        title = row["title"].replace("lib.", "gd.")
        ratios[title, row["phase"]] = f"{ours / theirs:.2f}"
        if (row["title"], row["phase"]) in SHOWN:
            phase = {"forward": ", recorded", "forward and backward": ", forward and backward"}
            code = title[:1] in "xg"
            name = f"`{title}`{phase[row['phase']]}" if code else title
            rows.append(f"| {name} | {duration(ours)} | {duration(theirs)} | {ours / theirs:.2f} |")
    medians = {}
    for cell in json.loads((RESULTS / "cpu-table.json").read_text())["table"]:
        place = medians.setdefault((cell["workload"], cell["size"], cell["unit"]), {})
        place[cell["library"]] = cell["timing"]["median"]
    for (workload, size, unit), found in medians.items():
        ours, theirs = found["gradcore"], found["torch"]
        rows.append(
            f"| {WORKLOADS[workload].title}, {unit} | {size:,} | {duration(ours)} "
            f"| {duration(theirs)} | {ours / theirs:.2f} |"
        )
    return rows, ratios, overhead["imports"]["ratio"]


def test_the_numbers_are_those_of_the_committed_results():
    rows, ratios, imports = rows_of_results()
    for row in rows:
        assert row in README, "\n".join(rows)
    both = "forward and backward"
    for title, phase in (
        ("x * x", "forward"),
        ("tutorial program", both),
        ("MLP training step, batch 32", both),
    ):
        assert ratios[title, phase] in README.partition("## Start")[0], title
    assert f"takes {imports:.1f} times" in README
