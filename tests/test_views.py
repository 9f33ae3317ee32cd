"""What shares memory, as in PyTorch: views know their base, copies are copies."""

import warnings

import numpy as np
import pytest

import gradcore as gd
import oracle
from gradcore.op import OPS


def shared(result, tensors, pointer):
    """Per output the numbers of the inputs whose memory it lies in."""
    outputs = result if isinstance(result, list | tuple) else [result]
    return [
        [n for n, t in enumerate(tensors) if pointer(t) == pointer(y)]
        for y in outputs
        if hasattr(y, "stride") and y.numel()
    ]


def our_memory(t):
    return id(gd.storage.owner(t._array))


def their_memory(t):
    return t.untyped_storage().data_ptr()


PATHS = sorted(
    path
    for path, op in OPS.items()
    if op.samples is not None and path[0] != "_" and not op.departs_in("copies")
)


@pytest.mark.parity
@pytest.mark.parametrize("path", PATHS)
def test_results_share_memory_where_those_of_pytorch_do(torch, path):
    function = oracle.torch_function(torch, path)
    if function is None:
        pytest.skip("PyTorch has no such function")
    for sample in oracle.samples(path):
        args, kwargs, ours = oracle.ours(sample, requires_grad=False)
        their_args, their_kwargs, theirs = oracle.theirs(torch, sample, requires_grad=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                expected = function(*their_args, **their_kwargs)
            except Exception:
                continue
            got = oracle.called(path)(*args, **kwargs)
        assert shared(got, ours, our_memory) == shared(expected, theirs, their_memory), sample
        for y in got if isinstance(got, list | tuple) else [got]:
            if isinstance(y, gd.Tensor) and any(
                y is not t and our_memory(y) == our_memory(t) for t in ours
            ):
                assert y._is_view(), sample


def test_the_base_of_a_view_is_what_owns_the_memory():
    x = gd.zeros(2, 3)
    v = x.t()[1:].reshape(2, 2, 1)
    assert x[0]._base is x
    assert v._is_view() == np.shares_memory(v._array, x._array)
    assert not x._is_view()
    assert x._base is None
