import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradcore.printing import (
    PrintOptions,
    format_tensor,
    get_printoptions,
    printoptions,
    set_printoptions,
    summarize,
)

nan, inf = math.nan, math.inf


@pytest.fixture(autouse=True)
def options_are_restored():
    before = get_printoptions()
    yield
    assert get_printoptions() == before


@pytest.fixture(scope="module")
def torch():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return torch


# Literal texts


@pytest.mark.parametrize(
    ("values", "suffixes", "text"),
    [
        (
            np.ones((2, 2)),
            ["requires_grad=True"],
            "[[1., 1.],\n        [1., 1.]], requires_grad=True",
        ),
        (np.float32(-0.0), [], "-0."),
        (np.array([1, 10, -100]), [], "[   1,   10, -100]"),
        (np.array([True, False]), [], "[ True, False]"),
        (np.array([1.5, nan, -inf]), [], "[1.5000,    nan,   -inf]"),
        (np.array([2.0, nan, -inf]), [], "[2., nan, -inf]"),
        (np.array([1.0, 1001.0]), [], "[1.0000e+00, 1.0010e+03]"),
        (np.array([0.0, nan]), [], "[0., nan]"),
        (np.array([1 + 2j, -1 - 0j]), [], "[ 1.+2.j, -1.+0.j]"),
        (np.array(complex(0.5, nan)), [], "0.5000+nanj"),
        (np.zeros(0), [], "[]"),
        (np.zeros((2, 0)), ["size=(2, 0)"], "[], size=(2, 0)"),
        (np.arange(1001), [], "[   0,    1,    2,  ...,  998,  999, 1000]"),
        (
            np.arange(8).reshape(2, 2, 2),
            [],
            "[[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]]",
        ),
        (
            np.arange(32),
            ["dtype=gradcore.int32"],
            "[ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
            "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31],\n"
            "       dtype=gradcore.int32",
        ),
    ],
)
def test_values_print_in_pytorchs_format(values, suffixes, text):
    assert format_tensor(values, suffixes=suffixes) == f"tensor({text})"


def test_only_the_corners_of_a_large_array_are_read():
    petabyte = np.broadcast_to(np.float64(1.5), (10**5, 10**5, 10**5))
    corners = summarize(petabyte)
    assert corners.shape == (6, 6, 6)
    assert format_tensor(petabyte) == format_tensor(corners, shape=petabyte.shape)
    assert format_tensor(petabyte).startswith("tensor([[[1.5000, 1.5000, 1.5000,  ..., 1.5000,")


def test_an_array_printed_whole_is_its_own_summary():
    values = np.zeros(1000)
    assert summarize(values) is values


@pytest.mark.cuda
def test_the_corners_of_a_cupy_array_are_picked_where_it_is():
    cupy = pytest.importorskip("cupy")
    if not cupy.is_available():
        pytest.skip("no CUDA device")
    values = np.arange(2400).reshape(2, 30, 40)
    corners = summarize(cupy.asarray(values))
    assert isinstance(corners, cupy.ndarray)
    assert corners.shape == (2, 6, 6)
    assert format_tensor(corners.get(), shape=values.shape) == format_tensor(values)


# Options


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": nan},
        {"threshold": "10"},
        {"precision": -1},
        {"precision": 2.0},
        {"edgeitems": True},
        {"linewidth": inf},
        {"sci_mode": "yes"},
        {"profile": "long"},
    ],
)
def test_a_wrong_option_changes_none(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        set_printoptions(**{"precision": 7, "edgeitems": 1} | wrong)
    assert get_printoptions() == PrintOptions()


def test_options_return_after_the_block():
    with printoptions(precision=2, sci_mode=True):
        assert format_tensor(np.array([1.5])) == "tensor([1.50e+00])"
    assert get_printoptions() == PrintOptions()


def test_options_return_after_an_error_in_the_block():
    with pytest.raises(KeyError), printoptions(precision=2, profile="short"):
        raise KeyError
    assert get_printoptions() == PrintOptions()


def test_every_call_sets_sci_mode_and_keeps_the_rest():
    with printoptions(precision=2, sci_mode=True):
        set_printoptions(linewidth=60)
        assert get_printoptions() == PrintOptions(precision=2, linewidth=60)


# PyTorch as the oracle

FLOATS = ["float16", "float32", "float64"]
OTHERS = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES = st.sampled_from([*FLOATS, "complex64", "complex128", *OTHERS])
SPECIAL = [0.0, -0.0, 1.0, -1.0, 999.5, 1000.0, 1001.0, 1e-4, 9.9e-5, 1e8, 1.1e8, inf, -inf, nan]


@st.composite
def values(draw):
    """Arrays of 0 to 5 dimensions, with values on either side of each choice of format."""
    dtype = np.dtype(draw(DTYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=9))
    if math.prod(shape) > 300:
        shape = shape[:2]
    if dtype.kind == "c":
        part = floats(draw, np.dtype(f"f{dtype.itemsize // 2}"))
        array = np.empty(shape, dtype)
        array.real = draw(hnp.arrays(array.real.dtype, shape, elements=part))
        array.imag = draw(hnp.arrays(array.real.dtype, shape, elements=part))
        return array
    elements = floats(draw, dtype) if dtype.kind == "f" else None
    return np.asarray(draw(hnp.arrays(dtype, shape, elements=elements)))


def floats(draw, dtype):
    families = [
        st.floats(width=8 * dtype.itemsize),
        st.floats(-1, 1),
        st.sampled_from(SPECIAL),
        st.integers(-2000, 2000),
        st.integers(-2000, 2000).map(lambda n: n / 16),
    ]
    family = draw(st.sampled_from(families)) | st.sampled_from([0.0, nan, inf, -inf])

    def rounded(x):
        with np.errstate(over="ignore", under="ignore"):
            return float(dtype.type(x))

    return family.map(rounded)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 12),
        "threshold": st.integers(0, 60) | st.just(inf),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(0, 120),
        "profile": st.sampled_from(["default", "short", "full"]),
        "sci_mode": st.booleans(),
    },
)


def torch_suffixes(torch, tensor):
    """The suffixes in PyTorch's order, which `format_tensor`'s docstring states."""
    usual = [torch.float32] if not tensor.numel() else [torch.float32, torch.complex64]
    if tensor.numel():
        usual += [torch.int64, torch.bool]
    sized = tensor.ndim != 1 if not tensor.numel() else not get_printoptions().edgeitems
    suffixes = [f"size={tuple(tensor.shape)}"] if sized else []
    suffixes += [f"dtype={tensor.dtype}"] if tensor.dtype not in usual else []
    if tensor.grad_fn:
        suffixes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return suffixes


@pytest.mark.parity
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(array=values(), options=OPTIONS, grad=st.sampled_from(["none", "leaf", "result"]))
def test_texts_equal_pytorchs(torch, array, options, grad):
    tensor = torch.from_numpy(array.copy())
    if grad != "none" and array.dtype.kind in "fc":
        tensor.requires_grad_()
        tensor = tensor if grad == "leaf" else tensor.clone()
    with torch._tensor_str.printoptions(**options), printoptions(**options):
        suffixes = torch_suffixes(torch, tensor)
        assert format_tensor(array, suffixes=suffixes) == repr(tensor)
        summary = summarize(array)
        assert format_tensor(summary, suffixes=suffixes, shape=array.shape) == repr(tensor)


@pytest.mark.parity
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    array=values(),
    options=OPTIONS,
    prefix=st.text("abc(", max_size=12),
    suffixes=st.lists(st.text("abc=", max_size=30), max_size=4),
)
def test_any_prefix_and_suffixes_wrap_as_in_pytorch(torch, array, options, prefix, suffixes):
    with torch._tensor_str.printoptions(**options), printoptions(**options):
        text = prefix + torch._tensor_str._tensor_str(torch.from_numpy(array), len(prefix))
        expected = torch._tensor_str._add_suffixes(text, suffixes, len(prefix), False)
        assert format_tensor(array, prefix=prefix, suffixes=suffixes) == expected


@pytest.mark.parity
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("low", [1.0, 9.9e-5, 1e-4, 0.1, 7e4, 1e8])
@pytest.mark.parametrize("ratio", [1, 999, 1000, 1000.5, 1001, inf])
def test_notation_changes_where_pytorchs_does(torch, dtype, low, ratio):
    with np.errstate(over="ignore"):
        array = np.array([low, low * ratio, -low]).astype(dtype)
    expected = repr(torch.from_numpy(array)).replace(f", dtype=torch.{dtype}", "")
    assert format_tensor(array) == expected


@pytest.mark.parity
@pytest.mark.parametrize("shape", [(1000,), (1001,), (40, 50), (2, 600), (600, 2), (3, 8, 9, 10)])
def test_large_arrays_are_summarized_as_in_pytorch(torch, shape):
    array = np.arange(math.prod(shape), dtype="float32").reshape(shape) / 7
    assert format_tensor(array) == repr(torch.from_numpy(array))


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["int64", "float32", "complex64"])
def test_rows_and_suffixes_wrap_at_pytorchs_columns(torch, dtype):
    array = np.arange(24).reshape(2, 12).astype(dtype)
    suffixes = ["device='cuda:1'", "dtype=x", "size=(2, 12)", "grad_fn=<MulBackward0>", "a=1"]
    for linewidth in range(120):
        with torch._tensor_str.printoptions(linewidth=linewidth), printoptions(linewidth=linewidth):
            text = "tensor(" + torch._tensor_str._tensor_str(torch.from_numpy(array), 7)
            expected = torch._tensor_str._add_suffixes(text, suffixes, 7, force_newline=False)
            assert format_tensor(array, suffixes=suffixes) == expected
