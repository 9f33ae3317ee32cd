"""Results as Markdown: the report of a GPU run, and the tables of README."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradcore_bench.errors import BenchError
from gradcore_bench.gpu import TOOLS
from gradcore_bench.libraries import CPU
from gradcore_bench.operations import GOAL_SIZE, Row
from gradcore_bench.overhead import BOTH, FORWARD
from gradcore_bench.report import duration, operation_lines, remarks
from gradcore_bench.workloads import WORKLOADS

NO_GPU_RUN = "**No GPU run has been recorded yet.**"

SHOWN = (
    ("x * x", FORWARD),
    ("x @ y", FORWARD),
    ("lib.exp(x)", FORWARD),
    ("x.sum()", BOTH),
    ("lib.softmax(x, dim=1)", BOTH),
    ("tutorial program", BOTH),
    ("eleven `* 2`, backward(v)", BOTH),
    ("MLP training step, batch 32", BOTH),
)
"""The rows of the overhead of small arrays that README has."""


def lines_of_table(head: Sequence[str], lines: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table, with `left` columns aligned left and the others right."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def read(path: Path) -> Any:
    """The results in a file."""
    return json.loads(path.read_text())


def gpu_files(results: Path) -> list[Path]:
    """The results of GPU runs in a folder, the newest first."""
    files = results.glob("gpu-*.json")
    return sorted(files, key=lambda path: str(read(path)["environment"]["date"]), reverse=True)


def operation_rows(results: Mapping[str, Any]) -> list[Row]:
    """The rows of `operations`."""
    return [Row.from_data(row) for row in results.get("operations", ())]


def operations(rows: Sequence[Row]) -> str:
    """The rows of one device."""
    head, lines = operation_lines(rows)
    return lines_of_table(head, lines, left=3)


def setting(environment: Mapping[str, Any]) -> str:
    """What a GPU run was made on."""
    versions, gpu = environment["versions"], environment.get("gpu", {})
    named = [f"gradcore {versions['gradcore']}"]
    for package, name in (
        ("cupy-cuda12x", "CuPy"),
        ("cupy-cuda13x", "CuPy"),
        ("numpy", "NumPy"),
        ("torch", "PyTorch"),
    ):
        if package in versions:
            named.append(f"{name} {versions[package]}")
    if "CUDA of CuPy" in gpu:
        named.append(f"CUDA {gpu['CUDA of CuPy']}")
    if "driver_version" in gpu:
        named.append(f"driver {gpu['driver_version']}")
    model = environment["devices"].get("cuda", "a GPU")
    return (
        f"{model}; {', '.join(named)}; Python {environment['python']}; {environment['date'][:10]}"
    )


def checks(results: Mapping[str, Any]) -> str:
    """What came of the tests and of compute-sanitizer, in two or three sentences."""
    parts = results["parts"]
    sentences = []
    tests = [part for part in parts if part["name"].startswith("tests")]
    counts = {
        outcome: sum(part["counts"].get(outcome, 0) for part in tests)
        for outcome in ("passed", "failed", "skipped")
    }
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    ended = [part for part in tests if part["status"] in ("passed", "failed")]
    sentences.append(f"Tests: {told}; {len(ended)} of {len(tests)} files ended.")
    for tool in TOOLS:
        runs = [part for part in parts if part["name"].startswith(tool)]
        if all(part["status"] == "not run" for part in runs):
            sentences.append(f"{tool}: not run.")
            continue
        errors = sum(part["counts"].get("errors", 0) for part in runs)
        ended = [part for part in runs if part["status"] in ("passed", "failed")]
        sentences.append(f"{tool}: {errors} errors; {len(ended)} of {len(runs)} files ended.")
    return " ".join(sentences)


def gpu_report(results: Mapping[str, Any], picture: str) -> str:
    """Everything a GPU run found, as a page; `picture` is the name of its plot."""
    sections = [f"# {setting(results['environment'])}", checks(results)]
    sections.append(
        lines_of_table(
            ("part", "status", "seconds", "counts"),
            [
                [
                    part["name"],
                    part["status"],
                    f"{part['seconds']:.0f}",
                    ", ".join(f"{n} {what}" for what, n in part["counts"].items()),
                ]
                for part in results["parts"]
            ],
            left=2,
        )
    )
    rows = operation_rows(results)
    for device in dict.fromkeys(row.device for row in rows):
        sections.append(f"## float32 on {device.upper()}")
        sections.append(operations([row for row in rows if row.device == device]))
    if lines := remarks(rows):
        sections.append("\n".join(f"- {line}" for line in lines))
    if rows:
        sections.append(f"![share of the copy's bandwidth, and ratio to PyTorch]({picture})")
    if results.get("overhead"):
        sections += ["## 2x2 float32", overhead(results["overhead"], every=True)]
    if results.get("table"):
        sections += ["## Forward and backward over sizes", table(results["table"])]
    if results.get("digits"):
        head = ("digits", "accuracy", "seconds")
        trained = [
            (each["device"], f"{each['accuracy']:.3f}", f"{each['seconds']:.1f}")
            for each in results["digits"]
        ]
        sections += ["## Training", lines_of_table(head, trained)]
    return "\n\n".join(sections) + "\n"


def overhead(rows: Sequence[Mapping[str, Any]], *, every: bool = False) -> str:
    """Rows of the overhead of small arrays, those of README or every one."""
    peers = [name for name in rows[0]["timings"] if name != "gradcore"]
    phases = {FORWARD: ", recorded", BOTH: ", forward and backward"}
    lines = []
    for row in rows:
        if not every and (row["title"], row["phase"]) not in SHOWN:
            continue
        title = row["title"].replace("lib.", "gd.")
        code = "`" not in title and not title.startswith(("tutorial", "MLP"))
        line = [f"`{title}`{phases[row['phase']]}" if code else title]
        ours = row["timings"]["gradcore"]["median"]
        line.append(duration(ours))
        for peer in peers:
            theirs = row["timings"][peer]["median"]
            line += [duration(theirs), f"{ours / theirs:.2f}"]
        lines.append(line)
    head = ["2x2 float32, one thread", "gradcore"]
    for peer in peers:
        head += ["PyTorch" if peer == "torch" else peer, "ratio"]
    return lines_of_table(head, lines)


def table(cells: Sequence[Mapping[str, Any]]) -> str:
    """The cells, a line for each workload, size and device."""
    medians: dict[tuple[str, int, str, str], dict[str, float]] = {}
    for cell in cells:
        if cell["timing"] is not None:
            place = cell["workload"], cell["size"], cell["unit"], cell["device"]
            medians.setdefault(place, {})[cell["library"]] = cell["timing"]["median"]
    devices = dict.fromkeys(device for *_, device in medians)
    lines = []
    for (workload, size, unit, device), found in medians.items():
        ours, theirs = found["gradcore"], found.get("torch")
        line = [f"{WORKLOADS[workload].title}, {unit}", f"{size:,}"]
        line += [device.upper()] * (len(devices) > 1) + [duration(ours)]
        line += [duration(theirs), f"{ours / theirs:.2f}"] if theirs else ["", ""]
        lines.append(line)
    several = ["device"] * (len(devices) > 1)
    head = ["forward and backward", "size", *several, "gradcore", "PyTorch", "ratio"]
    return lines_of_table(head, lines)


def gpu_section(results: Path) -> str:
    """README's words on GPU runs: the newest, and links to the others; or that there is none."""
    files = gpu_files(results)
    if not files:
        return (
            f"{NO_GPU_RUN} What CI checks of CUDA it checks without a GPU, and nothing here is a "
            "measurement of one."
        )
    newest, *older = files
    found = read(newest)
    place = f"bench/results/{newest.stem}"
    rows = [
        row
        for row in operation_rows(found)
        if row.device != CPU and (row.goal.share is not None or row.goal.ratio is not None)
    ]
    lines = [
        f"{setting(found['environment'])}: [everything measured]({place}.md), "
        f"[its data]({place}.json). {checks(found)}",
        f"Of {GOAL_SIZE:,} float32 elements, `of copy` is the time in which the GPU copies as many "
        "bytes as must move, over gradcore's; `ratio` is gradcore's time over PyTorch's; a goal "
        "that was missed has a `!`:",
        operations(rows) if rows else "(no operation was measured)",
        f"![share of the copy's bandwidth, and ratio to PyTorch]({place}.png)",
    ]
    if older:
        links = ", ".join(f"[{path.stem}](bench/results/{path.stem}.md)" for path in older)
        lines.append(f"Other runs: {links}.")
    return "\n\n".join(lines)


def readme_blocks(results: Path) -> dict[str, str]:
    """What README says of results, by the name of the block."""
    return {
        "cpu-overhead": overhead(read(results / "cpu-overhead.json")["overhead"]),
        "cpu-table": table(read(results / "cpu-table.json")["table"]),
        "gpu": gpu_section(results),
    }


def with_results(readme: str, results: Path) -> str:
    """README's text with the blocks between `<!-- NAME -->` and `<!-- end of NAME -->` renewed."""
    for name, text in readme_blocks(results).items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, found, rest = readme.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise BenchError(f"README has no block {begin} ... {end}")
        readme = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return readme
