"""Random programs agree with PyTorch; `fuzz.py` runs any number of them."""

import pytest

import fuzz
import gradcore as gd

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("start", range(0, 300, 25))
def test_programs_agree_after_every_step(torch, start):
    for number in range(start, start + 25):
        failure = fuzz.check(fuzz.generate(0, number))
        assert failure is None, f"program {number}:\n{failure}"


def test_a_difference_is_found_and_shrunk(torch, monkeypatch):
    def number_of_a_program_with_tanh():
        return next(n for n in range(1000) if ".tanh()" in fuzz.script(fuzz.generate(0, n)))

    program = fuzz.generate(0, number_of_a_program_with_tanh())
    assert fuzz.check(program) is None
    monkeypatch.setattr(gd.Tensor, "tanh", lambda x: x.sin())
    failure = fuzz.check(program)
    assert failure is not None
    smaller = fuzz.shrink(failure)
    assert len(smaller.program) <= len(program)
    assert "tanh" in str(smaller)
