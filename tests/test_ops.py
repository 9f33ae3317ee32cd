"""Every operation through every check of `gradcore.testing`, on the samples of its record."""

import functools
import importlib
import pkgutil

import numpy as np
import pytest

import gradcore
from gradcore import testing
from gradcore.device import CPU
from gradcore.op import OPS
from gradcore.samples import Maker

for module in pkgutil.walk_packages(gradcore.__path__, "gradcore."):
    if not module.name.startswith("gradcore.interop."):  # there other libraries are needed
        importlib.import_module(module.name)


@functools.cache
def samples(path):
    make = OPS[path].samples
    return [] if make is None else list(make(Maker(path)))


@functools.cache
def errors(path):
    make = OPS[path].errors
    return [] if make is None else list(make(Maker(path)))


CASES = [(path, number) for path in OPS for number in range(len(samples(path)))]
BAD = [(path, number) for path in OPS for number in range(len(errors(path)))]

over_samples = pytest.mark.parametrize(
    ("path", "number"), CASES, ids=[f"{path}-{number}" for path, number in CASES]
)


@pytest.mark.parametrize("path", OPS)
def test_has_samples(path):
    assert samples(path), f"{path} has no samples"


@over_samples
def test_values(path, number):
    testing.check_values(OPS[path], samples(path)[number])


@over_samples
def test_layouts(path, number):
    testing.check_layouts(OPS[path], samples(path)[number])


@over_samples
def test_float32_stays_float32(path, number):
    testing.check_precision(OPS[path], samples(path)[number])


@over_samples
@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_whole_numbers_have_the_dtype_they_say(path, number, dtype):
    def change(array):
        if array.dtype != np.float64:
            return array
        return array > 0 if dtype is np.bool_ else np.clip(array * 3, -9, 9).astype(dtype)

    # The first call of a dtype may take another way than the next.
    first, again = (
        testing.evaluate(OPS[path], samples(path)[number], CPU, change) for _ in range(2)
    )
    testing.check_same(OPS[path], first, again)


@over_samples
def test_derivatives(path, number):
    testing.check_derivatives(OPS[path], samples(path)[number])


@over_samples
def test_forward_mode(path, number):
    testing.check_forward_mode(OPS[path], samples(path)[number])


@pytest.mark.parametrize(("path", "number"), BAD, ids=[f"{path}-{number}" for path, number in BAD])
def test_raises(path, number):
    testing.check_error(OPS[path], errors(path)[number])


@pytest.mark.parametrize("path", OPS)
def test_is_documented(path):
    assert OPS[path].call.__doc__
