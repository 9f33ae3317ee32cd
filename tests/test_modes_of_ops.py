"""Every operation in every mode, on the samples of its record: what it gives is the same."""

import functools
import gc
import importlib
import pkgutil

import pytest

import gradcore as gd
from gradcore import testing
from gradcore.autograd.graph import saved_tensors_hooks
from gradcore.autograd.inspection import nodes_before
from gradcore.device import CPU, is_array
from gradcore.graph import Packed
from gradcore.mode import WATCHERS
from gradcore.op import OPS
from gradcore.samples import Maker
from gradcore.tensor import edge_of

for module in pkgutil.walk_packages(gd.__path__, "gradcore."):
    if not module.name.startswith("gradcore.interop."):
        importlib.import_module(module.name)

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Error detected in:UserWarning"),
]

PATHS = [path for path in OPS if OPS[path].samples is not None]
DIFFERENTIABLE = [path for path in PATHS if OPS[path].differentiable]


@functools.cache
def samples(path):
    return list(OPS[path].samples(Maker(path)))


def outcome(op, sample, second=True):
    gd.manual_seed(0)
    return testing.evaluate(op, sample, CPU, second=second)


def through_numpy():
    """Hooks that keep a copy of what is saved, and give another one back."""
    return saved_tensors_hooks(
        lambda t: t.detach().numpy().copy(), lambda array: gd.tensor(array, dtype=None)
    )


@pytest.mark.parametrize("path", DIFFERENTIABLE)
def test_through_hooks_on_saved_tensors(path):
    op = OPS[path]
    for sample in samples(path):
        expected = outcome(op, sample)
        with through_numpy():
            found = outcome(op, sample)
        testing.check_same(op, expected, found)
    assert not WATCHERS


def unpacked_arrays(value):
    """Arrays with dimensions that hooks have not seen, in what a node has saved."""
    if isinstance(value, Packed):
        return []
    if isinstance(value, tuple | list):
        return [array for part in value for array in unpacked_arrays(part)]
    return [value] if is_array(value) and value.ndim and value.size > 1 else []


@pytest.mark.parametrize("path", DIFFERENTIABLE)
def test_hooks_see_all_that_is_saved(path):
    op = OPS[path]
    for sample in samples(path):
        call = testing._Call(op, sample, CPU, None)
        with saved_tensors_hooks(lambda t: t.detach(), lambda t: t):
            ys = [y for y in call.run(call.leaves(None)) if isinstance(y, gd.Tensor)]
        for node in nodes_before([edge_of(y) for y in ys if y.requires_grad]):
            found = [array.shape for array in unpacked_arrays(node.saved or ())]
            assert not found, f"{node.name()} keeps {found} that hooks have not seen"


@pytest.mark.parametrize("path", DIFFERENTIABLE)
def test_in_anomaly_mode(path):
    op = OPS[path]
    for sample in samples(path)[:3]:
        expected = outcome(op, sample)
        with gd.autograd.set_detect_anomaly(True, check_nan=False):
            found = outcome(op, sample)
        testing.check_same(op, expected, found)


@pytest.mark.parametrize("path", PATHS)
def test_in_inference_mode(path):
    op = OPS[path]
    for sample in samples(path):
        gd.manual_seed(0)
        with gd.no_grad():
            expected = testing.evaluate(op, sample, CPU)
        gd.manual_seed(0)
        with gd.inference_mode():
            found = testing.evaluate(op, sample, CPU)
        testing.check_same(op, expected, found)
        assert not any(isinstance(y, gd.Tensor) and y._node for y in found.values)
        del found
    gc.collect()  # an error holds its arguments in a cycle
    assert not WATCHERS


@pytest.mark.parametrize("path", DIFFERENTIABLE)
def test_in_a_checkpoint(path):
    op = OPS[path]

    class Checkpointed:
        def __getattr__(self, name):
            return getattr(op, name)

        def call(self, *args, **kwargs):
            return gd.utils.checkpoint.checkpoint(op.call, *args, **kwargs)

    for sample in samples(path)[:4]:
        expected = outcome(op, sample)
        found = outcome(Checkpointed(), sample)
        testing.check_same(op, expected, found)


class Boom(ValueError, TypeError, IndexError):
    """Of all the classes by which operations tell mistakes in their arguments."""


@pytest.mark.parametrize("path", DIFFERENTIABLE)
def test_what_a_hook_raises_comes_out_as_it_is(path):
    op = OPS[path]

    def refuse(t):
        raise Boom("no")

    wrong = []
    for sample in samples(path):
        call = testing._Call(op, sample, CPU, None)
        with saved_tensors_hooks(refuse, refuse):
            try:
                call.run(call.leaves(None))
            except Boom as error:
                if str(error) != "no":
                    wrong.append(str(error))
            except Exception as error:
                wrong.append(repr(error))
    assert not wrong
    gc.collect()  # the errors
