"""What operations save: a second backward, and a backward after a write, raise as in PyTorch.

Where gradcore saves less than PyTorch it raises less: the gradient must be right then. Where it
saves something else, and so raises where PyTorch does not, the operation is listed.
"""

import warnings

import numpy as np
import pytest

import gradcore as gd
import oracle
from gradcore.op import OPS

WRITTEN, FREED = "modified by an inplace operation", "backward through the graph a second time"

PATHS = sorted(
    path
    for path, op in OPS.items()
    if op.samples is not None and op.differentiable and path[0] != "_"
)


def run(lib, function, arguments, touched=None, walks=1):
    """The gradients, or in words why there are none.

    Args:
        touched: what is written to before backward: the number of an operand, or "result".
        walks: how often backward is called.
    """
    args, kwargs, tensors = arguments
    copies = {id(t): t.clone() for t in tensors}
    replace = lambda v: copies.get(id(v), v) if isinstance(v, lib.Tensor) else v
    args, kwargs = oracle.mapped(args, replace), oracle.mapped(kwargs, replace)
    try:
        results = oracle.flat(function(*args, **kwargs))
    except Exception:
        return "not run"
    results = [y for y in results if isinstance(y, lib.Tensor) and y.requires_grad]
    if not results:
        return "not run"
    if touched is not None:
        t = results[0] if touched == "result" else copies[id(tensors[touched])]
        try:
            with lib.no_grad():
                t.copy_(lib.zeros_like(t) if t.dtype != lib.bool else ~t)
        except Exception:
            return "not run"
    seeds = [lib.full_like(y, 0.5) for y in results]
    try:
        for _ in range(walks):
            lib.autograd.backward(results, seeds)
    except RuntimeError as error:
        found = [words for words in (WRITTEN, FREED) if words in str(error)]
        return found[0] if found else "fails"
    return [None if t.grad is None else oracle.array(t.grad) for t in tensors]


def both(torch, path, sample, **options):
    ours = run(gd, oracle.called(path), oracle.ours(sample), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function = oracle.torch_function(torch, path)
        theirs = run(torch, function, oracle.theirs(torch, sample), **options)
    return ours, theirs


def same(a, b):
    return all(x is y or np.allclose(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


@pytest.mark.parity
@pytest.mark.parametrize("path", PATHS)
def test_a_second_backward_raises_where_it_does_in_pytorch(torch, path):
    if oracle.torch_function(torch, path) is None:
        pytest.skip("PyTorch has no such function")
    op = OPS[path]
    for number, sample in enumerate(oracle.samples(path)):
        with np.errstate(all="ignore"):
            ours, theirs = both(torch, path, sample, walks=2)
        if "not run" in (ours, theirs) or op.departs_in("derivative", number):
            continue
        if theirs == FREED:
            assert ours == FREED or op.departs_in("saves less"), sample
        elif theirs == "fails":  # it has no derivative
            assert ours == "fails", sample
        else:
            assert isinstance(ours, list) or op.departs_in("saves"), sample


@pytest.mark.parity
@pytest.mark.parametrize("path", PATHS)
def test_a_write_to_what_is_saved_raises_or_changes_no_gradient(torch, path):
    if oracle.torch_function(torch, path) is None:
        pytest.skip("PyTorch has no such function")
    op = OPS[path]
    for number, sample in enumerate(oracle.samples(path)):
        tensors = oracle.ours(sample)[2]
        with np.errstate(all="ignore"):
            right = run(gd, oracle.called(path), oracle.ours(sample))
            for touched in ("result", *range(len(tensors))):
                ours, theirs = both(torch, path, sample, touched=touched)
                if "not run" in (ours, theirs) or op.departs_in("derivative", number):
                    continue
                if isinstance(ours, list):
                    assert same(ours, right), (sample, touched)
                elif theirs == "fails":  # it has no derivative, or PyTorch none of this
                    assert ours in ("fails", WRITTEN), (sample, touched)
                else:
                    assert ours == WRITTEN, (sample, touched)
                    assert not isinstance(theirs, list) or op.departs_in("saves"), (sample, touched)
