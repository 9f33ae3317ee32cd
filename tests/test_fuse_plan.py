"""How a fused function is cut into kernels on CUDA; to plan takes no device."""

from types import SimpleNamespace

import numpy as np
import pytest

import gradcore as gd
from fused_functions import CASES, A, B, random_function
from gradcore.device import CPU
from gradcore.fusion import cuda
from gradcore.fusion.trace import Trace, leaf
from gradcore.tensor import Tensor


class Kernels:
    """In the place of the package of kernels: they do nothing."""

    @staticmethod
    def nothing(*args):
        return SimpleNamespace(function=lambda: None)

    Elementwise = FusedReductions = FusedRows = nothing
    Pass = staticmethod(lambda *args: args)


BACKEND = SimpleNamespace(kernels=Kernels(), xp=CPU.xp, module=np)


def plans(function, args):
    """The programs of a function, of its gradient, and of that of the gradient."""
    inputs = [
        leaf(f"x{i}", gd.tensor(a)._type, np.shape(a), a.dtype.kind in "fc")
        for i, a in enumerate(args)
    ]
    with np.errstate(all="warn"):
        y = function(*inputs)
    trace = Trace(inputs, [], [y] if isinstance(y, Tensor) else list(y))
    found = []
    for number in range(3):
        outputs = [t for t in trace.outputs if t is not None]
        found.append(
            cuda.Program(
                f"plan{number}",
                SimpleNamespace(backend=BACKEND),
                [x._array for x in trace.inputs],
                [],
                [t._array for t in outputs],
            )
        )
        if number == 2 or not any(t.requires_grad for t in outputs):
            break
        trace = Trace(trace.inputs, [], outputs)
        there = [t.requires_grad for t in outputs]
        trace = trace.vjp(there, [True] * sum(there) if number == 0 else None)
    return found


def check(program):
    """Each step reads what is in memory by then, and all results are there at the end."""
    known = set(program._inputs)
    for step in program._steps:
        assert {program._place(s) for s in step.reads} <= known, step.text
        known |= {program._place(s) if s.function == "store" else id(s) for s in step.makes}
    for result in program._graph.results:
        assert not program._graph.reads(result.symbol) or program._place(result.symbol) in known


@pytest.mark.parametrize("name", CASES)
def test_steps_read_what_is_there(name):
    function, *args = CASES[name]
    for program in plans(function, args):
        check(program)


def test_steps_of_random_functions_read_what_is_there():
    for seed in range(120):
        for program in plans(*random_function(seed)):
            check(program)


def kinds(function, *args):
    return [
        [type(step).__name__.strip("_") for step in program._steps]
        for program in plans(function, args)[:2]
    ]


def test_what_becomes_one_kernel():
    assert kinds(lambda x, w: (gd.sin(x) * w, gd.exp(w)), A, A) == [["Elementwise"]] * 2
    # Of another shape it is another kernel.
    assert kinds(lambda x, w: (gd.sin(x), gd.exp(w)), A, B) == [["Elementwise"] * 2] * 2
    # What is made of reductions alone is part of their kernel, also with a small array.
    assert kinds(lambda x, w: x.sum(0) * w / gd.amax(x, 0), A, B)[0] == ["Reductions"]
    # The mean waits for nobody, and the sum of squares needs it.
    assert kinds(lambda x: x.var(2), A)[0] == ["OverRows"]
    assert kinds(lambda x: gd.softmax(x * x, 1), A) == [["OverRows"]] * 2


def test_few_long_rows_are_not_given_to_a_block_each():
    x = np.zeros((4, 100_000))
    assert kinds(lambda x: gd.softmax(x, 1), x)[0] == ["Reductions", "Reductions", "Elementwise"]
    assert kinds(lambda x: gd.softmax(x, 0), x)[0] == ["OverRows"]


def test_results_that_nobody_reads_wait_for_others_of_their_shape():
    # The second could be computed before the sum is known.
    steps = kinds(lambda x: (x / x.sum(), gd.exp(x)), np.zeros((500, 100)))[0]
    assert steps == ["Reductions", "Elementwise"]
