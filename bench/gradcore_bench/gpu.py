"""Everything to run on a GPU, in under eight minutes: tests, benchmarks, compute-sanitizer.

Each part runs in processes of its own, each with a time limit: a kernel that breaks the device, or
hangs, costs that process and no other. What came of each part is in the results, whatever it was.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
"""The clone; in an installed wheel there are no tests below it."""

SCHEMA = 1
TOTAL = 465.0  # seconds for all parts
TESTS, SANITIZER = 170.0, 90.0  # seconds at most for the tests, and for each tool
COMPILATION = "test_kernel_compile.py"  # takes long and needs no GPU: CI runs it
PROCESSES = 4  # at once, of tests; compilation takes most of their time

PASSED, FAILED, STOPPED, NOT_RUN = "passed", "failed", "stopped at the time limit", "not run"

ON_CUDA = ("operations", "--device", "cuda", "--budget", "0.15")
# The commands of the benchmarks, the most important first.
BENCHMARKS: tuple[tuple[str, ...], ...] = (
    (*ON_CUDA, "--workloads", "mul_mean", "norm"),
    (*ON_CUDA, "--workloads", "chain"),
    (*ON_CUDA, "--workloads", "softmax", "layer_norm", "cross_entropy"),
    (*ON_CUDA, "--workloads", "adam", "digits", "tutorial"),
    (*ON_CUDA, "--workloads", "sum", "mean", "matmul"),
    ("overhead", "--device", "cuda", "--budget", "0.1"),
    ("table", "--device", "cpu", "cuda", "--budget", "0.1"),
    ("digits", "--device", "cpu", "cuda"),
    ("operations", "--device", "cpu", "--budget", "0.1"),
)

TOOLS = ("memcheck", "racecheck")
TOOLKIT = "/usr/local/cuda"
SANITIZED = (
    *("--kernel-name", "kns=gc_"),
    *("--target-processes", "application-only"),
    *("--check-exit-code", "no"),
    *("--destroy-on-device-error", "kernel"),
)
# Some tests ask for what the CUDA runtime must refuse.
MEMCHECK = ("--report-api-errors", "no", "--padding", "512")
WITHOUT_POOL = "tests.kernels.without_pool"
"""A plugin of pytest: in CuPy's memory pool an access beyond an array hits the next one."""
ERROR = r"^=+ (?:Invalid|Misaligned|Error:|.*Race reported)"


@dataclass(frozen=True, slots=True)
class Process:
    """What came of a command.

    Attributes:
        code: its exit code; None if it was stopped at its time limit.
        seconds: that it took.
        output: the end of what it printed.
    """

    code: int | None
    seconds: float
    output: str


@dataclass(slots=True)
class Part:
    """One process's share of the results."""

    name: str
    status: str
    seconds: float = 0.0
    detail: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    failing: list[str] = field(default_factory=list)


class Deadline:
    """Time that is left of a limit."""

    def __init__(self, seconds: float, within: "Deadline | None" = None) -> None:
        self._end: float = time.monotonic() + seconds
        if within is not None:
            self._end = min(self._end, within._end)

    def left(self) -> float:
        """Seconds, not negative."""
        return max(self._end - time.monotonic(), 0.0)


def execute(
    command: Sequence[str], limit: float, log: Path, environment: Mapping[str, str] | None = None
) -> Process:
    """Runs a command with the clone as its directory, and ends it and its children at the limit."""
    if limit <= 0:
        return Process(None, 0.0, "no time was left")
    start = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
        )
        code: int | None
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
    return Process(code, time.monotonic() - start, without_places(log)[-4000:])


def without_places(file: Path) -> str:
    """The text of a file, or nothing if there is none, without the names of private folders."""
    text = file.read_text(errors="replace") if file.exists() else ""
    for folder, name in ((ROOT, "."), (Path(sys.prefix), "PYTHON"), (Path.home(), "~")):
        text = text.replace(f"{folder}/", f"{name}/")
    return text


def run(
    file: Path,
    environment: dict[str, Any],
    *,
    against: Sequence[str],
    say: Callable[[str], object],
    total: float = TOTAL,
) -> dict[str, Any]:
    """Runs every part and returns the results, which are also in the file, part by part.

    Args:
        file: of JSON; what the processes print goes into a folder `logs` beside it.
        environment: what `environment.describe` says of the GPU.
        against: the peers of the benchmarks.
        say: called with a line for each process that ended.
        total: seconds for all parts.
    """
    file = file.resolve()
    logs = file.parent / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    deadline = Deadline(total)
    results: dict[str, Any] = {"schema": SCHEMA, "environment": environment, "parts": []}
    parts: list[Part] = []

    def ended(part: Part) -> None:
        parts.append(part)
        results["parts"] = [asdict(each) for each in parts]
        file.write_text(json.dumps(results, indent=1) + "\n")
        say(told(part))

    run_tests(deadline, logs, ended)
    run_benchmarks(BENCHMARKS, against, deadline, logs, results, ended)
    for tool in TOOLS:
        run_sanitizer(tool, deadline, logs, ended)
    return results


def succeeded(results: Mapping[str, Any]) -> bool:
    """Whether nothing failed. compute-sanitizer may be missing, and may run out of time."""
    for part in results["parts"]:
        tolerated = (PASSED, STOPPED, NOT_RUN) if part["name"].startswith(TOOLS) else (PASSED,)
        if part["status"] not in tolerated:
            return False
    return True


def told(part: Part) -> str:
    """The part in a line, and what failed below it."""
    counts = ", ".join(f"{number} {what}" for what, number in part.counts.items())
    line = f"{part.name}: {part.status}, {part.seconds:.0f} s" + (f" ({counts})" if counts else "")
    return "\n    ".join([line, *part.failing, *part.detail.splitlines()])


def test_files() -> list[Path]:
    """The files in which a test is marked `cuda`; none where there is no clone."""
    return [
        path
        for folder in ("tests", "bench")
        for path in sorted((ROOT / folder).rglob("test_*.py"))
        if path.name != COMPILATION and "mark.cuda" in path.read_text()
    ]


def _at_once(
    work: Callable[[Path], Part], files: Iterable[Path], ended: Callable[[Part], object]
) -> None:
    with ThreadPoolExecutor(min(PROCESSES, max((os.cpu_count() or 1) // 2, 1))) as threads:
        for part in threads.map(work, files):
            ended(part)


def run_tests(whole: Deadline, logs: Path, ended: Callable[[Part], object]) -> None:
    """The tests marked `cuda`, by pytest, a process for each file."""
    files = test_files()
    if not files or importlib.util.find_spec("pytest") is None:
        missing = "pytest" if files else "a clone of the repository"
        ended(Part("tests", NOT_RUN, detail=f"the tests need {missing}"))
        return
    deadline = Deadline(TESTS, whole)

    def one(path: Path) -> Part:
        report = logs / f"{path.stem}.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", f"--junitxml={report}"]
        process = execute(
            [*command, str(path)], deadline.left(), logs / f"{path.stem}.log", {"HOSTCUDA": "0"}
        )
        return tested(f"tests, {path.stem}", process, report)

    _at_once(one, files, ended)


def tested(name: str, process: Process, report: Path) -> Part:
    """What came of a run of pytest that wrote a JUnit report."""
    part = Part(name, PASSED if process.code in (0, 5) else FAILED, process.seconds)
    if process.code is None:
        part.status = STOPPED
    if not report.exists():
        part.detail = process.output[-1000:]
        return part
    found = {"passed": 0, "failed": 0, "skipped": 0}
    for case in ElementTree.parse(report).iter("testcase"):
        outcome = "passed"
        for kind, means in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
            if case.find(kind) is not None:
                outcome = means
        found[outcome] += 1
        if outcome == "failed":
            part.failing.append(f"{case.get('classname')}::{case.get('name')}")
    part.counts = found
    return part


def run_benchmarks(
    commands: Iterable[Sequence[str]],
    against: Sequence[str],
    whole: Deadline,
    logs: Path,
    results: dict[str, Any],
    ended: Callable[[Part], object],
) -> None:
    """`gradcore-bench` with each of the commands; what they wrote is put together."""
    for number, command in enumerate(commands):
        file = logs / f"benchmark-{number}.json"
        file.unlink(missing_ok=True)
        peers = ["--against", *against] if against and command[0] != "digits" else []
        process = execute(
            [sys.executable, "-m", "gradcore_bench", *command, *peers, "--json", str(file)],
            whole.left(),
            logs / f"benchmark-{number}.log",
        )
        part = Part(f"benchmark, {' '.join(command)}", PASSED, process.seconds)
        if process.code != 0:
            part.status = STOPPED if process.code is None else FAILED
            part.detail = process.output[-1000:]
        if file.exists():
            written = json.loads(file.read_text())
            if command[0] == "operations" and "gpu" in written["environment"]:
                # With the clocks just after the measurements.
                results["environment"]["gpu"] = written["environment"]["gpu"]
            for name in ("operations", "overhead", "table", "digits"):
                if name in written:
                    results.setdefault(name, []).extend(written[name])
        ended(part)


def sanitizer(scratch: Path) -> list[str]:
    """The command that starts compute-sanitizer, of the CUDA toolkit or of NVIDIA's wheels."""
    found = shutil.which("compute-sanitizer")
    if found:
        return [found]
    toolkits = [os.environ.get(name) for name in ("CUDA_PATH", "CUDA_HOME")]
    folders = [Path(folder) / "bin" for folder in (*toolkits, TOOLKIT) if folder]
    wheels = importlib.util.find_spec("nvidia")
    for place in (wheels.submodule_search_locations or ()) if wheels else ():
        folders += [*Path(place).glob("cu*/bin"), Path(place) / "cuda_sanitizer_api" / "bin"]
    for folder in folders:
        tool = folder / "compute-sanitizer"
        if tool.is_file() and os.access(tool, os.X_OK):
            return [str(tool)]
        if tool.is_file():
            # The wheel for CUDA 12 has it without the permission, and its libraries elsewhere.
            copy = Path(shutil.copy(tool, scratch))
            copy.chmod(0o755)
            return [str(copy), "--injection-path", str(folder.parent / "lib")]
    return []


def run_sanitizer(tool: str, whole: Deadline, logs: Path, ended: Callable[[Part], object]) -> None:
    """A tool of compute-sanitizer on the tests of the kernels, a process for each file."""
    command = sanitizer(logs)
    if not command:
        reason = "compute-sanitizer is not installed; it comes with the CUDA toolkit"
        ended(Part(tool, NOT_RUN, detail=reason))
        return
    files = [path for path in test_files() if path.name.startswith("test_kernel_")]
    if not files:
        ended(Part(tool, NOT_RUN, detail="the tests need a clone of the repository"))
        return
    deadline = Deadline(SANITIZER, whole)
    options = [*SANITIZED, *(MEMCHECK if tool == "memcheck" else ())]

    def one(path: Path) -> Part:
        name = f"{tool}, {path.stem}"
        report, log = logs / f"{tool}-{path.stem}.txt", logs / f"{tool}-{path.stem}.log"
        report.unlink(missing_ok=True)
        tests = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", WITHOUT_POOL, str(path)]
        process = execute(
            [*command, "--tool", tool, "--log-file", str(report), *options, *tests],
            deadline.left(),
            log,
            {"HOSTCUDA": "0"},
        )
        return checked(name, process, without_places(report))

    _at_once(one, files, ended)


def checked(name: str, process: Process, report: str) -> Part:
    """What came of a run under compute-sanitizer that wrote this report."""
    totals = re.findall(r"(?:ERROR SUMMARY: |displayed \()(\d+) errors?", report)
    # It prints the total at the end, which a run that was stopped does not reach.
    errors = int(totals[-1]) if totals else len(re.findall(ERROR, report, re.MULTILINE))
    part = Part(name, PASSED, process.seconds, counts={"errors": errors})
    if errors:
        part.status, part.detail = FAILED, report[:2000]
    elif process.code is None:
        part.status = STOPPED
    elif not totals:
        part.status, part.detail = FAILED, report[:1000] + process.output[-1000:]
    return part
