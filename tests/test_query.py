"""Questions about Tensors and dtypes, and what the package shows."""

import math

import numpy as np
import pytest

import gradcore as gd


@pytest.mark.parity
@pytest.mark.parametrize("name", ["float16", "float32", "float64", "complex64", "complex128"])
def test_finfo_is_pytorchs(torch, name):
    ours, theirs = gd.finfo(getattr(gd, name)), torch.finfo(getattr(torch, name))
    for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(ours, field) == getattr(theirs, field)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64"])
def test_iinfo_is_pytorchs(torch, name):
    ours, theirs = gd.iinfo(getattr(gd, name)), torch.iinfo(getattr(torch, name))
    for field in ("bits", "max", "min", "dtype"):
        assert getattr(ours, field) == getattr(theirs, field)


def test_finfo_and_iinfo_refuse_other_dtypes():
    with pytest.raises(TypeError, match="requires a floating point input type"):
        gd.finfo(gd.int32)
    with pytest.raises(TypeError, match="requires an integer input type"):
        gd.iinfo(gd.float32)


def test_questions():
    x = gd.ones(2, 3)
    assert gd.is_tensor(x)
    assert not gd.is_tensor(np.ones(2))
    assert gd.numel(x) == 6
    assert gd.is_floating_point(x)
    assert not gd.is_complex(x)
    assert gd.result_type(x, 1j) is gd.complex64
    assert gd.result_type(gd.tensor([1]), 2.5) is gd.float32
    with pytest.raises(TypeError, match="must be Tensor"):
        gd.numel([1])


def test_the_package_shows_no_names_that_it_only_uses():
    assert not {"importlib", "typing", "math", "annotations", "Any", "TYPE_CHECKING"} & set(dir(gd))


def test_constants():
    assert (gd.pi, gd.e, gd.inf, gd.newaxis) == (math.pi, math.e, math.inf, None)
    assert math.isnan(gd.nan)
