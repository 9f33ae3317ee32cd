"""The measurement of host time, which needs no GPU; what it finds is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HOSTBENCH = Path(__file__).parents[1] / "hostcuda" / "hostbench.py"


@pytest.mark.cuda
def test_every_operation_and_backward_step_is_timed_beside_cupy(device, tmp_path):
    if device != "hostcuda":
        pytest.skip("it runs on hostcuda")
    file = tmp_path / "rows.json"
    command = [sys.executable, str(HOSTBENCH), "--rounds", "1", "--check", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    rows = json.loads(file.read_text())
    places = {(row["name"], row["phase"], tuple(row["shape"])) for row in rows}
    assert len(places) == len(rows) == 3 * 2 * 2
    for row in rows:
        assert 0 < row["gradcore"] < 1e-3
        assert 0 < row["cupy"] < 1e-3
        assert row["ratio"] == row["gradcore"] / row["cupy"]
        assert f"{row['ratio']:.2f}" in done.stdout
    assert done.returncode == any(row["ratio"] > 0.7 for row in rows)
