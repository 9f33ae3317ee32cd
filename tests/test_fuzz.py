"""Random programs leave in gradcore what they leave in PyTorch, after every step."""

import itertools

import pytest

import fuzz
import gradcore as gd
from fuzz import Step

pytestmark = pytest.mark.parity

SEED = 0
PROGRAMS = 300
AT_ONCE = 25


@pytest.mark.parametrize("start", range(0, PROGRAMS, AT_ONCE))
def test_programs_agree_after_every_step(torch, start):
    for number in range(start, start + AT_ONCE):
        failure = fuzz.check(fuzz.generate(SEED, number))
        assert failure is None, f"program {number}:\n{failure and fuzz.shrink(failure)}"


def test_a_program_is_the_same_whenever_it_is_made(torch):
    assert fuzz.generate(SEED, 7) == fuzz.generate(SEED, 7)
    assert fuzz.generate(SEED, 7) != fuzz.generate(SEED, 8)


PARTS = {
    "+= ": "writes by operators",
    ".mul_(": "writes by methods",
    "] = ": "writes to indices",
    "index_put_": "writes to arrays of indices",
    "no_grad()": "blocks that are not recorded",
    ".unbind(": "several views at once",
    ".detach()": "detached views",
    "create_graph=True": "higher orders",
    "retain_graph=True": "several walks",
    "inputs=": "walks to some inputs",
    "register_hook": "hooks",
    "retain_grad()": "retained gradients",
    ".expand(": "elements that share memory",
    " @ ": "products",
}


def test_programs_have_all_parts_and_mostly_valid_steps(torch):
    programs = [fuzz.generate(SEED, number) for number in range(150)]
    codes = [step.code for step in itertools.chain.from_iterable(programs)]
    for part, name in PARTS.items():
        assert sum(part in code for code in codes) >= 5, name
    raised = 0
    for program in programs[:40]:
        run = fuzz.Run(torch)
        raised += sum(
            run.step(step) is not None for step in program if step.reads <= run.values.keys()
        )
    assert 0 < raised < 0.1 * sum(map(len, programs[:40]))


LINES = (
    "v1 = lib.tensor([0.5, 1.0], dtype=lib.float64, requires_grad=True)",
    "v2 = v1 * 2",
    "v3 = v2.tanh()",
    "v4 = v2 + 1",
)


def program(*lines):
    return tuple(Step(line, (line.split(" = ")[0],) if " = " in line else ()) for line in lines)


def wrong(name, function):
    """gradcore with another method."""

    def change(monkeypatch):
        monkeypatch.setattr(gd.Tensor, name, function)

    return change


plain_backward = gd.Tensor.backward


@pytest.mark.parametrize(
    ("change", "lines", "kind"),
    [
        (wrong("tanh", lambda x: x.sin()), LINES, "value"),
        (wrong("tanh", lambda x: gd.tanh(x).detach()), LINES, "requires_grad"),
        (wrong("tanh", lambda x: gd.tanh(x).reshape(2, 1)), LINES, "shape"),
        (wrong("tanh", lambda x: gd.tanh(x).float()), LINES, "dtype"),
        (wrong("tanh", lambda x: gd.tanh(x)[0, 0]), LINES, "error"),
        (wrong("clone", lambda x: x.view_as(x)), (*LINES, "v5 = v4.clone()"), "memory"),
        (wrong("zero_", lambda x: x), (*LINES, "v4.zero_()"), "_version"),
        (
            wrong("backward", lambda x: plain_backward(x * 2)),
            (*LINES, "v5 = v4.sum()", "v5.backward()"),
            "grad",
        ),
    ],
)
def test_a_difference_is_found_and_shrunk(torch, monkeypatch, change, lines, kind):
    assert fuzz.check(program(*lines)) is None
    change(monkeypatch)
    failure = fuzz.check(program(*lines))
    assert failure is not None
    assert failure.kind == kind
    smaller = fuzz.shrink(failure)
    assert smaller.kind == kind
    assert len(smaller.program) < len(lines)


def test_a_report_is_a_script(torch, monkeypatch):
    monkeypatch.setattr(gd.Tensor, "tanh", lambda x: x.sin())
    report = str(fuzz.check(program(*LINES)))
    values = {}
    exec(report, values)
    assert values["v3"].tolist() == values["v2"].sin().tolist()
    assert "# value: v3 is" in report
