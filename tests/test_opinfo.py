"""Every operation on the samples that PyTorch tests its own with, against PyTorch on the CPU.

Those of an operation's record were chosen by who wrote it; these were not.
"""

import functools
import warnings

import numpy as np
import pytest

import gradcore as gd
import oracle
from gradcore.samples import Sample
from oracle import OPS, array, check_same, is_tensor, torch_function
from test_parity import NO_DERIVATIVE, accepted_by_both, check_second

pytestmark = pytest.mark.parity

AT_MOST = 40
"""Samples of one operation and dtype."""

PATHS = [path for path in OPS if path.rpartition(".")[2][0] != "_"]


@functools.cache
def infos(torch, path):
    """PyTorch's records of its operation, under this name or another."""
    from torch.testing._internal.common_methods_invocations import op_db

    name = path.removeprefix("Tensor.")
    return [i for i in op_db if name in (i.name, *[alias.name for alias in i.aliases])]


class Unknown(Exception):
    """A kind of argument that gradcore does not have."""


def plain(torch, value):
    """An argument with arrays in the place of tensors."""
    if isinstance(value, torch.Tensor):
        strided = value.layout == torch.strided and not value.is_meta and value.ndim <= 64
        if not strided or value.dtype in (torch.bfloat16, torch.complex32):
            raise Unknown
        return value.detach().numpy(force=True).copy()
    if isinstance(value, torch.dtype):
        return getattr(gd, str(value).rpartition(".")[2])
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, torch.layout | torch.Generator) or callable(value):
        raise Unknown
    if isinstance(value, torch.device | torch.memory_format):
        return str(value).removeprefix("torch.")
    return value


@functools.cache
def samples(torch, path, dtype):
    """The samples of PyTorch's records."""
    found = []
    for info in infos(torch, path):
        if getattr(torch, dtype) not in info.dtypes:
            continue
        for given in info.sample_inputs("cpu", getattr(torch, dtype)):
            if given.kwargs.get("sparse"):
                continue
            leaf = functools.partial(plain, torch)
            try:
                args = oracle.mapped((given.input, *given.args), leaf)
                found.append(Sample(args, oracle.mapped(given.kwargs, leaf)))
            except Unknown:
                continue
            if len(found) == AT_MOST:
                return found
    return found


def is_random(torch, path, sample):
    results = []
    for seed in range(3):
        torch.manual_seed(seed)
        args, kwargs, _ = oracle.theirs(torch, sample, False)
        results.append(oracle.attempt(torch_function(torch, path), args, kwargs))
    if isinstance(results[0], Exception):
        return False
    return not all(
        np.array_equal(array(y), array(x), equal_nan=x.dtype.is_floating_point)
        for first, *others in zip(*results, strict=True)
        for y in others
        if is_tensor(x := first)
    )


def compared(torch, path, dtype):
    """The samples that are calls of PyTorch's function, and both results.

    The test is skipped where there are none, or where what they give is random.
    """
    if any(OPS[path].departs_in(aspect, dtype) for aspect in ("values", "ties")):
        pytest.skip("the record says that values differ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if any(is_random(torch, path, sample) for sample in samples(torch, path, dtype)):
            pytest.skip("what it gives is random")
    found = [
        (sample, accepted_by_both(torch, path, sample, dtype, None))
        for sample in samples(torch, path, dtype)
    ]
    found = [(sample, *results) for sample, results in found if results is not None]
    if not found:
        pytest.skip("PyTorch's tests have no call of it for this dtype")
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_integers(torch, path, dtype):
    for _, here, there in compared(torch, path, dtype):
        for y, expected in zip(here, there, strict=True):
            check_same(y, expected, 2e-5, "value")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_values_and_derivatives(torch, path, dtype):
    op = OPS[path]
    for sample, here, there in compared(torch, path, dtype):
        for y, expected in zip(here, there, strict=True):
            check_same(y, expected, 1e-8, "value")
        overflows = any(not np.isfinite(array(y)).all() for y in there if is_tensor(y))
        if overflows or op.departs_in("differentiable") or op.departs_in("gradient"):
            continue
        try:
            ours, theirs = oracle.derivatives(torch, path, sample, 2 if dtype == "float64" else 1)
        except RuntimeError as error:
            if any(text in str(error) for text in NO_DERIVATIVE):
                continue
            raise
        if theirs.first is None:
            assert ours.first is None or theirs.error is not None
            continue
        check_second(ours.first, theirs.first, 1e-8)
        empty = any(not array(y).size for y in oracle.ours(sample)[2])
        if theirs.error is None and ours.error is None and dtype == "float64" and not empty:
            check_finite(ours.second, theirs.second)


def check_finite(here, there):
    """Compare second derivatives where PyTorch's are finite."""
    for g, expected in zip(here or (), there or (), strict=False):
        if g is None or expected is None:
            assert g is expected or not np.nan_to_num(array(expected if g is None else g)).any()
            continue
        a, b = array(g), array(expected)
        finite = np.isfinite(b)
        largest = np.abs(b[finite]).max(initial=1.0)
        tolerance = 1e-7 if b.dtype.itemsize > 4 else 1e-5
        np.testing.assert_allclose(
            a[finite], b[finite], rtol=tolerance, atol=tolerance * largest, err_msg="second"
        )


NUMBERS = ("must be Tensor, not", "invalid combination of arguments")
"""gradcore takes numbers where PyTorch wants tensors."""


def wrong_calls(torch, path):
    for info in infos(torch, path):
        if info.error_inputs_func is None:
            continue
        for wrong in info.error_inputs("cpu"):
            given = wrong.sample_input
            leaf = functools.partial(plain, torch)
            try:
                args = oracle.mapped((given.input, *given.args), leaf)
                sample = Sample(args, oracle.mapped(given.kwargs, leaf))
            except Unknown:
                continue
            if "out" not in sample.kwargs:
                yield sample, wrong.error_type


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", PATHS)
def test_errors(torch, path):
    calls = list(wrong_calls(torch, path))
    if not calls:
        pytest.skip("PyTorch's tests have no wrong call of it")
    for sample, kind in calls:
        args, kwargs, _ = oracle.theirs(torch, sample, False)
        there = oracle.attempt(torch_function(torch, path), args, kwargs)
        if not isinstance(there, Exception) or any(text in str(there) for text in NUMBERS):
            continue
        args, kwargs, _ = oracle.ours(sample, False)
        if OPS[path].departs_in("errors"):
            kind = Exception
        with pytest.raises((kind, type(there))):
            OPS[path].call(*args, **kwargs)
