"""Operations that importing gradcore does not declare are there when they are asked for."""

import subprocess
import sys

import pytest

import gradcore as gd
from gradcore.op import OPS


@pytest.mark.parametrize(
    "program",
    [
        "from gradcore.op import OPS, declare_all as f; n = len(OPS); f(); assert len(OPS) > n",
        "assert 'sum' in dir(gd) and 'linalg' not in vars(gd)",
        "assert not hasattr(gd, 'no_such_operation')",
        "assert not hasattr(gd.tensor(1.0), 'no_such_method')",
        "assert callable(gd.tensor(1.0).sinh_)",
        "gd.nn.functional.normalize(gd.ones(2), dim=0)",
    ],
)
def test_in_a_fresh_process(program):
    subprocess.run([sys.executable, "-c", f"import gradcore as gd; {program}"], check=True)


def test_no_method_is_a_placeholder_once_all_are_declared():
    for op in OPS.values():
        for method in op.methods:
            assert vars(gd.Tensor)[method].__class__.__name__ != "_Placeholder", method
