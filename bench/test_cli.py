"""The command line, on small sizes."""

import json
import socket
import subprocess
import sys
from importlib.util import find_spec

import pytest

from gradcore_bench import digits, imports, libraries, overhead
from gradcore_bench.cli import DEVICES, NAMES, PEERS, main
from gradcore_bench.libraries import CUDA, Gradcore
from gradcore_bench.workloads import WORKLOADS

QUICK = ["--budget", "0.001", "--device", "cpu", "--threads", "1"]
SMALL = ["table", *QUICK, "--sizes", "10"]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def without(monkeypatch):
    """Makes a package look as if it were not installed."""

    def hide(package: str) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return hide


def failure(capsys, *argv: str) -> str:
    """What a run that cannot start says."""
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert said.startswith("gradcore-bench: ")
    assert said.count("\n") == 1
    return said


def test_the_names_that_are_listed_before_numpy_is_loaded_are_those_there_are():
    assert list(NAMES) == list(WORKLOADS)
    assert list(PEERS) == list(libraries.PEERS)
    assert list(DEVICES) == [libraries.CPU, libraries.CUDA]


def test_the_parser_loads_neither_numpy_nor_gradcore():
    code = (
        "import sys; from gradcore_bench.cli import parser; parser().parse_args([]);"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'gradcore', 'rich')))"
    )
    path = ":".join(sys.path)
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path})


def test_help_names_every_command_and_option(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    said = capsys.readouterr().out
    for word in ("digits", "table", "overhead", "--device", "--sizes", "--against", "--json"):
        assert word in said


def test_table_writes_what_it_measured(tmp_path, capsys):
    file = tmp_path / "results.json"
    assert main([*SMALL, "--against", "numpy", "--json", str(file)]) == 0
    assert "MLP training step" in capsys.readouterr().out
    text = file.read_text()
    results = json.loads(text)
    assert set(results) == {"schema", "environment", "table"}
    environment = results["environment"]
    assert set(environment) == {
        "date", "python", "system", "versions", "devices", "cores", "threads",
    }  # fmt: skip
    assert {"gradcore", "numpy"} <= set(environment["versions"])
    assert environment["devices"]["cpu"]
    assert environment["threads"] == 1
    assert len(results["table"]) == 2 * len(WORKLOADS)
    for cell in results["table"]:
        assert cell["size"] == 10
        assert cell["timing"]["lower"] <= cell["timing"]["median"] <= cell["timing"]["upper"]
        assert (cell["ratio"] == 1) == (cell["library"] == "gradcore")
        assert (cell["bandwidth"] is None) == (cell["traffic"] is None)
    assert socket.gethostname() not in text
    assert str(tmp_path) not in text


def test_table_is_drawn(tmp_path):
    file = tmp_path / "table.png"
    assert main([*SMALL, "20", "--workloads", "norm", "tutorial", "--plot", str(file)]) == 0
    assert file.read_bytes().startswith(PNG)


def test_a_cell_that_does_not_fit_in_memory_is_skipped(capsys, tmp_path):
    file = tmp_path / "results.json"
    size = str(10**15)
    argv = ["table", *QUICK, "--workloads", "norm", "--sizes", size, "--json", str(file)]
    assert main(argv) == 0
    assert "needs" in capsys.readouterr().out
    (cell,) = json.loads(file.read_text())["table"]
    assert cell["timing"] is None
    assert cell["skipped"]


def test_digits_reach_the_goal(capsys, tmp_path):
    file = tmp_path / "results.json"
    assert main(["digits", "--device", "cpu", "--threads", "1", "--json", str(file)]) == 0
    assert "held-out images right" in capsys.readouterr().out
    (outcome,) = json.loads(file.read_text())["digits"]
    assert outcome["passed"]
    assert outcome["accuracy"] >= digits.GOAL == 0.97


def test_missing_the_goal_is_exit_code_one(monkeypatch, capsys):
    monkeypatch.setattr(digits, "GOAL", 1.01)
    monkeypatch.setattr(digits, "EPOCHS", 1)
    monkeypatch.setattr(digits, "SHIFTS", ((0, 0),))
    assert main(["digits", "--device", "cpu", "--threads", "1"]) == 1
    assert "below the goal" in capsys.readouterr().out


def test_without_a_command_both_parts_run(monkeypatch, capsys):
    monkeypatch.setattr(digits, "GOAL", 0.0)
    monkeypatch.setattr(digits, "EPOCHS", 1)
    assert main([*QUICK, "--sizes", "5", "--workloads", "norm"]) == 0
    said = capsys.readouterr().out
    assert said.index("held-out images") < said.index("GB/s")


def test_without_a_gpu_it_says_so_in_one_line(capsys):
    if CUDA in Gradcore(1).devices:
        pytest.skip("there is a GPU")
    argv = ["table", "--budget", "0.001", "--threads", "1", "--sizes", "5", "--workloads", "norm"]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("No GPU" in line for line in lines) == 1


def test_asking_for_a_gpu_that_is_not_there_fails(capsys):
    if CUDA in Gradcore(1).devices:
        pytest.skip("there is a GPU")
    assert "--device cuda: " in failure(capsys, "table", "--device", "cuda")


def test_a_missing_peer_is_named(capsys, without):
    without("autograd")
    said = failure(capsys, *SMALL, "--against", "autograd")
    assert "the package autograd is not installed" in said
    assert "pip install autograd" in said


@pytest.mark.parametrize(
    ("package", "argv"),
    [
        ("rich", ["table"]),
        ("sklearn", ["digits"]),
        ("matplotlib", ["table", "--plot", "table.png"]),
    ],
)
def test_a_missing_extra_is_named(package, argv, capsys, without):
    without(package)
    said = failure(capsys, *argv)
    assert package in said
    assert 'pip install "gradcore[bench]"' in said


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--sizes", "enormous"], "neither one of small"),
        (["--sizes", "0"], "positive"),
        (["--json", "no/such/place.json"], "there is no directory"),
        (["--against", "theano"], "invalid choice"),
    ],
)
def test_a_wrong_option_is_explained(argv, text, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["table", *argv])
    assert text in capsys.readouterr().err


def test_check_needs_something_to_compare_with(capsys):
    assert "--against torch" in failure(capsys, "overhead", "--check")


@pytest.fixture
def few_rows(monkeypatch):
    monkeypatch.setattr(overhead, "OPERATIONS", ("x * x", "x[index]"))


@pytest.mark.usefixtures("few_rows")
def test_overhead_alone(capsys):
    assert main(["overhead", "--budget", "0.001"]) == 0
    said = capsys.readouterr().out
    assert "x[index]" in said
    assert "ratio" not in said


@pytest.mark.parity
@pytest.mark.usefixtures("few_rows")
def test_overhead_against_torch(tmp_path, monkeypatch, capsys):
    if not find_spec("torch"):
        pytest.skip("no PyTorch")
    results, plot = tmp_path / "results.json", tmp_path / "plot.png"
    argv = ["overhead", "--against", "torch", "--budget", "0.001", "--check"]
    monkeypatch.setattr(overhead, "BUDGETS", {("x * x", overhead.FORWARD): 1e9})
    monkeypatch.setattr(imports, "BUDGET", 1e9)
    assert main([*argv, "--json", str(results), "--plot", str(plot)]) == 0
    rows = json.loads(results.read_text())["overhead"]
    assert len(rows) == 2 * 2 + 3
    for row in rows:
        assert set(row["timings"]) == {"gradcore", "torch"}
        assert row["ratios"]["torch"] > 0
    assert plot.read_bytes().startswith(PNG)
    monkeypatch.setattr(overhead, "BUDGETS", {("x * x", overhead.FORWARD): 1e-9})
    assert main(argv) == 1
    assert main(argv[:-1]) == 0


@pytest.mark.cuda
def test_cpu_and_gpu_stand_side_by_side(capsys):
    if CUDA not in Gradcore(1).devices:
        pytest.skip("no GPU")
    argv = ["table", "--budget", "0.001", "--sizes", "small", "--device", "cpu", "cuda"]
    assert main(argv) == 0
    assert "CPU / CUDA" in capsys.readouterr().out
