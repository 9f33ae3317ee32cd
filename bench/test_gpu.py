"""All that is run on a GPU, with the CPU, or with programs made up here, in its place."""

import json
import sys
import time
from pathlib import Path

import pytest

from gradcore_bench import gpu, markdown
from gradcore_bench.cli import OPERATIONS, main, parser
from gradcore_bench.gpu import FAILED, NOT_RUN, PASSED, STOPPED, Part, Process
from gradcore_bench.libraries import CUDA, Gradcore
from gradcore_bench.run import _draw_gpu

ENVIRONMENT = {
    "date": "2000-01-02T03:04:05+00:00",
    "python": "3.11",
    "versions": {"gradcore": "0.1.0", "numpy": "2.0", "cupy-cuda12x": "14.2.0"},
    "devices": {"cuda": "Imaginary GPU"},
}
TESTS = """\
import pytest

pytestmark = pytest.mark.cuda

def test_right():
    pass

def test_wrong():
    assert {outcome}

def test_left_out():
    pytest.skip("not here")
"""
# It runs the command at its end, and writes where --log-file says.
SANITIZER = """\
#!/bin/sh
while [ "$1" != {python} ]; do
  if [ "$1" = --log-file ]; then log=$2; fi
  shift
done
"$@"
code=$?
echo "========= COMPUTE-SANITIZER" > "$log"
echo "========= ERROR SUMMARY: {errors} errors" >> "$log"
exit $code
"""


def python(code):
    return [sys.executable, "-c", code]


def test_a_process_gives_its_code_and_the_end_of_its_output(tmp_path):
    found = gpu.execute(python("print('x' * 9000); exit(3)"), 60, tmp_path / "log")
    assert found.code == 3
    assert found.output == "x" * 3999 + "\n"


def test_a_process_and_its_children_end_at_the_limit(tmp_path):
    alive = tmp_path / "alive"
    child = f"import time; time.sleep(3); open({str(alive)!r}, 'w')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    found = gpu.execute(python(code), 0.5, tmp_path / "log")
    assert found.code is None
    assert found.seconds < 3
    time.sleep(3)
    assert not alive.exists()


def test_private_folders_are_not_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    code = f"print({str(tmp_path / 'a.py')!r}, {str(Path.home() / 'b.py')!r})"
    assert gpu.execute(python(code), 60, tmp_path / "log").output == "./a.py ~/b.py\n"


def test_limits_nest():
    whole = gpu.Deadline(5)
    assert gpu.Deadline(100, whole).left() <= 5
    assert gpu.Deadline(1, whole).left() <= 1
    assert gpu.Deadline(0, whole).left() == 0


@pytest.mark.parametrize(
    ("report", "code", "status", "errors"),
    [
        ("========= ERROR SUMMARY: 0 errors", 0, PASSED, 0),
        (
            "========= ERROR SUMMARY: 0 errors",
            1,
            PASSED,
            0,
        ),  # a test failed, which is told elsewhere
        ("========= ERROR SUMMARY: 3 errors", 0, FAILED, 3),
        ("========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)", 0, PASSED, 0),
        ("========= RACECHECK SUMMARY: 2 hazards displayed (1 error, 1 warning)", 0, FAILED, 1),
        ("========= Invalid __global__ write of size 4 bytes\n", None, FAILED, 1),
        ("========= COMPUTE-SANITIZER\n", None, STOPPED, 0),
        ("========= Target application terminated before first call\n", 0, FAILED, 0),
        ("", 255, FAILED, 0),
    ],
)
def test_what_compute_sanitizer_reports(report, code, status, errors):
    part = gpu.checked("memcheck", Process(code, 1.0, "printed"), report)
    assert part.status == status
    assert part.counts == {"errors": errors}
    assert bool(part.detail) == (status == FAILED)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone whose kernels have one file of tests."""
    root = tmp_path / "clone"
    tests = root / "tests" / "kernels"
    tests.mkdir(parents=True)
    (tests / "without_pool.py").write_text("")
    (tests / "test_kernel_a.py").write_text(TESTS.format(outcome="True"))
    (root / "tests" / "test_without_gpu.py").write_text("def test(): assert False")
    (root / "pytest.ini").write_text("[pytest]\nmarkers = cuda: needs a GPU\n")
    monkeypatch.setattr(gpu, "ROOT", root)
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    return root


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Make a compute-sanitizer that finds so many errors."""

    def make(errors):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "compute-sanitizer"
        program.write_text(SANITIZER.format(python=sys.executable, errors=errors))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return make


def ran(part_runner, *args):
    parts = []
    part_runner(*args, parts.append)
    return parts


def test_tests_are_counted(clone, tmp_path):
    (part,) = ran(gpu.run_tests, gpu.Deadline(60), tmp_path)
    assert part.name == "tests, test_kernel_a"
    assert part.status == PASSED
    assert part.counts == {"passed": 2, "failed": 0, "skipped": 1}


def test_failing_tests_are_named(clone, tmp_path):
    (clone / "tests" / "kernels" / "test_kernel_a.py").write_text(TESTS.format(outcome="False"))
    (part,) = ran(gpu.run_tests, gpu.Deadline(60), tmp_path)
    assert part.status == FAILED
    assert part.counts == {"passed": 1, "failed": 1, "skipped": 1}
    assert part.failing == ["tests.kernels.test_kernel_a::test_wrong"]


def test_tests_that_end_the_process_or_take_too_long_are_told(clone, tmp_path):
    file = clone / "tests" / "kernels" / "test_kernel_a.py"
    file.write_text(TESTS.format(outcome="__import__('os')._exit(9)"))
    (part,) = ran(gpu.run_tests, gpu.Deadline(60), tmp_path)
    assert part.status == FAILED
    file.write_text(TESTS.format(outcome="__import__('time').sleep(100)"))
    (part,) = ran(gpu.run_tests, gpu.Deadline(2), tmp_path)
    assert part.status == STOPPED


def test_without_a_clone_no_test_runs(tmp_path, monkeypatch, tool):
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    (part,) = ran(gpu.run_tests, gpu.Deadline(60), tmp_path)
    assert part.status == NOT_RUN
    tool(0)
    (part,) = ran(gpu.run_sanitizer, "memcheck", gpu.Deadline(60), tmp_path)
    assert part.status == NOT_RUN
    assert "clone" in part.detail


@pytest.mark.parametrize(("errors", "status"), [(0, PASSED), (2, FAILED)])
@pytest.mark.parametrize("name", gpu.TOOLS)
def test_compute_sanitizer_runs_the_tests_of_kernels(clone, tmp_path, tool, name, errors, status):
    tool(errors)
    (part,) = ran(gpu.run_sanitizer, name, gpu.Deadline(60), tmp_path)
    assert part.name == f"{name}, test_kernel_a"
    assert part.status == status
    assert "2 passed, 1 skipped" in (tmp_path / f"{name}-test_kernel_a.log").read_text()


def test_without_compute_sanitizer_it_says_so(clone, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "sanitizer", lambda scratch: [])
    (part,) = ran(gpu.run_sanitizer, "memcheck", gpu.Deadline(60), tmp_path)
    assert part.status == NOT_RUN
    assert "CUDA toolkit" in part.detail


def test_compute_sanitizer_is_found_in_a_toolkit_and_in_wheels(tmp_path, monkeypatch):
    for name in ("CUDA_PATH", "CUDA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpu, "TOOLKIT", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    wheel = tmp_path / "site" / "nvidia" / "cuda_sanitizer_api" / "bin" / "compute-sanitizer"
    toolkit = tmp_path / "toolkit" / "bin" / "compute-sanitizer"
    for program in (wheel, toolkit):
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
    toolkit.chmod(0o755)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command, option, libraries = gpu.sanitizer(scratch)
    assert Path(command).parent == scratch
    assert Path(command).stat().st_mode & 0o100
    assert (option, libraries) == ("--injection-path", str(wheel.parents[1] / "lib"))
    monkeypatch.setenv("CUDA_HOME", str(toolkit.parents[1]))
    assert gpu.sanitizer(scratch) == [str(toolkit)]


ON_CPU = ("operations", "--device", "cpu", "--elements", "16", "--budget", "0.0001")


@pytest.fixture
def results(clone, tmp_path, tool, monkeypatch):
    """The results of a whole run, in which one benchmark fails."""
    tool(0)
    commands = (
        (*ON_CPU, "--workloads", "norm"),
        (*ON_CPU, "--workloads", "digits"),
        ("table", "--device", "cpu", "--sizes", "5", "--workloads", "norm", "--budget", "0.0001"),
        ("operations", "--device", "neither"),
    )
    monkeypatch.setattr(gpu, "BENCHMARKS", commands)
    file = tmp_path / "gpu-imaginary-2000-01-02.json"
    return gpu.run(file, dict(ENVIRONMENT), against=[], say=print, total=100)


def test_a_whole_run_leaves_data_a_page_and_a_plot(results, tmp_path, capsys):
    statuses = {part["name"]: part["status"] for part in results["parts"]}
    failed = "benchmark, operations --device neither"
    assert {name for name, status in statuses.items() if status != PASSED} == {failed}
    assert "invalid choice" in next(p["detail"] for p in results["parts"] if p["name"] == failed)
    assert not gpu.succeeded(results)
    assert [row["name"] for row in results["operations"]] == ["norm"] * 9 + ["digits"]
    assert len(results["table"]) == 1

    file = tmp_path / "gpu-imaginary-2000-01-02.json"
    assert json.loads(file.read_text()) == results
    assert str(tmp_path) not in file.read_text()
    _draw_gpu(file)
    page = file.with_suffix(".md").read_text()
    assert page.startswith("# Imaginary GPU; gradcore 0.1.0, CuPy 14.2.0, NumPy 2.0; Python 3.11")
    assert "Tests: 2 passed, 0 failed, 1 skipped; 1 of 1 files ended. memcheck: 0 errors;" in page
    assert "| norm, first axis | 16 | backward |" in page
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")

    section = markdown.gpu_section(tmp_path)
    assert markdown.NO_GPU_RUN not in section
    assert "(bench/results/gpu-imaginary-2000-01-02.md)" in section

    file.with_suffix(".md").unlink()
    assert main(["report", str(tmp_path)]) == 0
    assert file.with_suffix(".md").read_text() == page


@pytest.mark.parametrize(
    ("name", "status", "well"),
    [
        ("tests, a", PASSED, True),
        ("tests, a", STOPPED, False),
        ("tests", NOT_RUN, False),
        ("memcheck, a", STOPPED, True),
        ("memcheck", NOT_RUN, True),
        ("memcheck, a", FAILED, False),
        ("benchmark, b", FAILED, False),
    ],
)
def test_what_counts_as_success(name, status, well):
    results = {"parts": [{"name": "tests, b", "status": PASSED}, {"name": name, "status": status}]}
    assert gpu.succeeded(results) == well


def test_a_part_is_told_with_what_failed():
    part = Part("tests, a", FAILED, 2.4, counts={"passed": 1}, failing=["a::b"], detail="why\nnot")
    assert gpu.told(part) == "tests, a: failed, 2 s (1 passed)\n    a::b\n    why\n    not"


def test_every_benchmark_is_a_command():
    for command in gpu.BENCHMARKS:
        peers = [] if command[0] == "digits" else ["--against", "torch"]
        assert parser().parse_args([*command, *peers]).command == command[0]


def test_every_operation_is_in_one_benchmark_of_the_gpu():
    listed = [
        name
        for command in gpu.BENCHMARKS
        if command[:3] == ("operations", "--device", "cuda")
        for name in command[command.index("--workloads") + 1 :]
    ]
    assert sorted(listed) == sorted(OPERATIONS)


def test_without_a_gpu_it_says_so(capsys):
    if CUDA in Gradcore(1).devices:
        pytest.skip("there is a GPU")
    for argv in (["gpu"], ["operations", "--device", "cuda"], ["overhead", "--device", "cuda"]):
        assert main(argv) == 2
        assert "a CUDA device was asked for" in capsys.readouterr().err


def test_report_says_where_there_is_none(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 0
    assert "There is no GPU run" in capsys.readouterr().out
