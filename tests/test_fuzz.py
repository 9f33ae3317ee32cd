"""Random programs agree with PyTorch; `fuzz.py` runs any number of them."""

import pytest

import fuzz

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("start", range(0, 300, 25))
def test_programs_agree_after_every_line(torch, start):
    for seed in range(start, start + 25):
        report = fuzz.check(seed)
        assert report is None, report


def test_a_difference_is_found_and_shrunk(torch, monkeypatch):
    monkeypatch.setattr(fuzz.gradcore.Tensor, "tanh", lambda x: x.sin())
    lines = [
        "x = lib.tensor([0.5, 1.0], dtype=lib.float64).requires_grad_()",
        "y = x * 2",
        "z = y.tanh()",
        "w = y + 1",
    ]
    assert "z: values" in fuzz.compare(lines, torch)
    assert fuzz.shrunk(lines, torch) == lines[:3]
