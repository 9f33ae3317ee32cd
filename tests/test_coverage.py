"""The page of operations says what PyTorch has, and what gradcore has not."""

import warnings
from pathlib import Path

import pytest

import gradcore as gd
from gradcore.op import ASPECTS
from gradcore_bench import coverage
from gradcore_bench.absent import ABSENT
from gradcore_bench.cli import main

PAGE = Path(__file__).parent.parent / "bench" / "results" / "operations.md"
NAMESPACES = ("special", "fft", "linalg", "nn.functional")


def documented(torch):
    """What PyTorch lets others override, and what is in its modules."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        overridable = torch.overrides.get_testing_overrides()
    names = set()
    for function in overridable:
        name = torch.overrides.resolve_name(function)
        if not name:
            continue
        name = name.removeprefix("torch.").removeprefix("functional.")
        if not any(part.startswith("_") for part in name.split(".")):
            names.add(name)
    for namespace in NAMESPACES:
        module = torch
        for part in namespace.split("."):
            module = getattr(module, part)
        for name in dir(module):
            found = getattr(module, name)
            own = getattr(found, "__module__", "") in (None, f"torch.{namespace}", "torch._C")
            if (
                name[0] != "_"
                and callable(found)
                and (own or name in getattr(module, "__all__", ()))
            ):
                names.add(f"{namespace}.{name}")
    return names


def is_there(name):
    found = gd
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


@pytest.mark.parity
def test_what_is_not_there_has_a_reason(torch):
    absent = {name for names in ABSENT.values() for name in names}
    assert {name for name in documented(torch) if not is_there(name)} == absent


def test_the_page_is_what_the_records_say():
    assert PAGE.read_text() == coverage.page(), "renew it: gradcore-bench coverage --page FILE"


def test_what_a_row_says():
    found = {row.path: row for row in coverage.rows()}
    assert (found["exp"].order, found["exp"].forward, found["exp"].dtypes) == (2, True, "bihfdFD")
    assert found["exp"].methods == ("exp",)
    assert found["exp"].in_place
    assert found["argmax"].order == 0
    assert found["bitwise_and"].dtypes == "i"
    assert not any(path.rpartition(".")[2].startswith("_") for path in found)


def test_the_command_shows_the_page(capsys):
    assert main(["coverage"]) == 0
    assert "| matmul |" in capsys.readouterr().out


def test_departures_are_of_known_aspects():
    for path, op in coverage.operations().items():
        for key in op.departs:
            assert key.partition(": ")[0] in ASPECTS, path
