"""PyTorch as the oracle: the same call there and here, and the comparison of what comes back."""

import importlib
import pkgutil
import warnings
from functools import cache

import numpy as np

import gradcore as gd
from gradcore import dtypes
from gradcore.op import OPS
from gradcore.samples import Maker, Sample
from gradcore_bench import records
from gradcore_bench.records import mapped, ours, theirs

for _module in pkgutil.walk_packages(gd.__path__, "gradcore."):
    if not _module.name.startswith("gradcore.interop."):  # there other libraries are needed
        importlib.import_module(_module.name)

DTYPES = tuple(t.name for t in dtypes.ALL)


@cache
def samples(path):
    make = OPS[path].samples
    return () if make is None else tuple(make(Maker(path)))


def called(path):
    """What is run on the samples of an operation."""
    return OPS[path].tested(OPS[path].call)


def torch_function(torch, path):
    """The same of PyTorch's function for it, or None if it has none."""
    found = records.torch_function(torch, path)
    return OPS[path].tested(found) if found is not None and path in OPS else found


# the same arguments there and here -----------------------------------------------------------


def recast(sample, dtype):
    """The sample with its float64 arrays in another dtype; integers get values from -4 to 4."""
    dtype = np.dtype(dtype)

    def leaf(v):
        if not isinstance(v, np.ndarray) or v.dtype != np.float64:
            return v
        if dtype.kind == "b":
            return np.asarray(v > 0)
        if dtype.kind in "iu":
            v = np.rint(2 * np.nan_to_num(v, neginf=-2.0, posinf=2.0))
            return np.asarray(np.abs(v) if dtype.kind == "u" else v).astype(dtype)
        if dtype.kind == "c":
            parts = 0.5 + np.sin(np.arange(1.0, v.size + 1)).reshape(v.shape)
            return np.asarray(v + 1j * parts).astype(dtype)
        return v.astype(dtype)

    return Sample(mapped(sample.args, leaf), mapped(sample.kwargs, leaf))


# what comes back -----------------------------------------------------------------------------


def is_tensor(value):
    return isinstance(value, gd.Tensor) or type(value).__module__.startswith("torch")


def flat(value):
    """The Tensors and numbers in a result, in order."""
    if isinstance(value, list | tuple):
        return [v for part in value for v in flat(part)]
    return [value]


def attempt(function, args, kwargs):
    """The flattened result, or the exception."""
    try:
        return flat(function(*args, **kwargs))
    except Exception as error:
        return error


def name_of_dtype(value):
    return str(value.dtype).rpartition(".")[2]


def array(value):
    """The values, of PyTorch's Tensors too, as a NumPy array."""
    if isinstance(value, gd.Tensor):
        return value.detach().numpy()
    return value.detach().numpy(force=True)


def check_same(got, expected, rtol, what):
    """Compare a Tensor with PyTorch's: shape, dtype, and values to `rtol` of the largest."""
    if not is_tensor(expected):
        assert got == expected, what
        return
    assert is_tensor(got), f"{what}: a {type(got)} where PyTorch has a tensor"
    assert tuple(got.shape) == tuple(expected.shape), what
    assert name_of_dtype(got) == name_of_dtype(expected), what
    g, e = array(got), array(expected)
    if e.dtype.kind in "biu":
        np.testing.assert_array_equal(g, e, what)
        return
    finite = np.abs(e[np.isfinite(e)])
    largest = float(finite.max()) if finite.size else 0.0
    np.testing.assert_allclose(g, e, rtol=rtol, atol=rtol * largest, err_msg=what)


def cotangents(outputs, seed=0):
    """A random NumPy cotangent for each output."""
    random = np.random.default_rng(seed)
    found = []
    for y in outputs:
        v = random.uniform(0.5, 1.5, tuple(y.shape))
        dtype = np.dtype(name_of_dtype(y))
        if dtype.kind == "c":
            v = v + 1j * random.uniform(-1, 1, v.shape)
        found.append(np.asarray(v).astype(dtype))
    return found


class Derivatives:
    """First and second derivatives of one call: `first` per input, `second` per input.

    None where nothing flows. `second` is None if the first derivatives are constant.

    Attributes:
        outputs: flattened.
        error: raised by the second backward, or None.
    """

    def __init__(self, function, arguments, grad, tensor, order, only=None):
        args, kwargs, tensors = arguments
        for number, t in enumerate(tensors):
            if only is not None and number != only:
                t.requires_grad = False
        self.outputs = flat(function(*args, **kwargs))
        self.first = self.second = self.error = None
        inputs = [t for t in tensors if t.requires_grad]
        outs = [y for y in self.outputs if is_tensor(y) and y.requires_grad]
        if not outs or not inputs:
            return
        seeds = [tensor(v) for v in cotangents(outs)]
        for v in seeds:
            v.requires_grad = True
        try:
            self.first = grad(outs, inputs, seeds, create_graph=order > 1, allow_unused=True)
        except Exception as error:
            self.error = error
            return
        if order == 1:
            return
        again = [g for g in self.first if g is not None and g.requires_grad]
        if not again:
            return
        weights = [tensor(v) for v in cotangents(again, 1)]
        try:
            self.second = grad(again, [*inputs, *seeds], weights, allow_unused=True)
        except Exception as error:
            self.error = error


def derivatives(torch, path, sample, order=2, only=None):
    """The Derivatives of a sample here and in PyTorch, by input number `only` or by all."""
    here = Derivatives(called(path), ours(sample), gd.autograd.grad, gd.tensor, order, only)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        there = Derivatives(
            torch_function(torch, path),
            theirs(torch, sample),
            torch.autograd.grad,
            torch.tensor,
            order,
            only,
        )
    return here, there


def tangents(lib, forward_ad, tensor, function, arguments):
    """The values of a call and their tangents, for the same tangents of its inputs everywhere.

    Args:
        lib: gradcore, or PyTorch.
        forward_ad: its module of that name.
        tensor: makes a tensor of an array.
        function: the operation.
        arguments: as `ours` or `theirs` gives them.
    """
    args, kwargs, tensors = arguments
    wanted = [t for t in tensors if t.requires_grad]
    directions = cotangents(wanted, 2)
    with forward_ad.dual_level():
        duals = {
            id(t): forward_ad.make_dual(t.detach(), tensor(u))
            for t, u in zip(wanted, directions, strict=True)
        }
        swap = lambda v: duals.get(id(v), v)
        found = flat(function(*mapped(args, swap), **mapped(kwargs, swap)))
        return [forward_ad.unpack_dual(y) for y in found if is_tensor(y)]
