"""The table of every operation: larger samples are valid calls, and what is slow is told."""

from importlib.util import find_spec

import pytest

from gradcore.op import OPS
from gradcore_bench import ops
from gradcore_bench.cli import main


@pytest.fixture(autouse=True)
def _few_elements(monkeypatch):
    monkeypatch.setattr(ops, "ELEMENTS", 10_000)


@pytest.mark.parametrize("path", ["abs", "matmul", "diag_embed", "cat", "nn.functional.linear"])
def test_a_sample_is_made_larger(path):
    row = next(ops.measure(None, [path], 0.0))
    assert row.elements >= ops.ELEMENTS / 4
    assert row.forward > 0
    assert row.step is not None
    assert (row.torch_forward, row.ratio) == (None, None)


def test_private_parts_of_operations_are_not_timed():
    assert "_silu" in OPS
    assert "_silu" not in ops.paths()


@pytest.mark.parametrize(
    ("changed", "missed"),
    [({}, True), ({"step": 2.9}, False), ({"explained": True}, False), ({"elements": 9}, False)],
)
def test_what_misses_the_bound(changed, missed):
    row = ops.Row("f", ops.ELEMENTS, 1.0, 1.0, None, 3.1, 1.0)
    for name, value in changed.items():
        setattr(row, name, value)
    assert row.missed is missed


@pytest.mark.parity
def test_the_command(tmp_path, capsys):
    if not find_spec("torch"):
        pytest.skip("no PyTorch")
    page = tmp_path / "page.md"
    argv = ["ops", "--only", "neg", "--against", "torch", "--budget", "0", "--page", str(page)]
    assert main(argv) == 0
    assert "neg" in capsys.readouterr().out
    assert "| neg | " in page.read_text()


def test_an_unknown_operation_is_refused(capsys):
    assert main(["ops", "--only", "no_such"]) == 2
    assert "no_such" in capsys.readouterr().err
