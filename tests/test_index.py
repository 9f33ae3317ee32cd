"""Indexing against NumPy and PyTorch: any index tuple, forward and backward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradcore as gd
from gradcore.autograd import grad
from gradcore.device import CPU
from gradcore.tensor import wrap

SHAPES = st.lists(st.integers(1, 4), min_size=0, max_size=4).map(tuple)


def ints_below(draw, length, *, negative=True):
    return draw(st.integers(-length if negative else 0, length - 1))


@st.composite
def indexed(draw, *, arrays=True):
    """A shape and an index into it."""
    shape = draw(SHAPES)
    common = draw(st.sampled_from([(2,), (1,), (3,), (2, 3), (0,)]))
    items, dim = [], 0
    places = draw(st.integers(0, len(shape)))
    while dim < places:
        n = shape[dim]
        kinds = ["int", "slice", "none"]
        if arrays:
            kinds += ["array", "mask", "bool", "zero-d"]
        kind = draw(st.sampled_from(kinds))
        if kind == "int":
            items.append(ints_below(draw, n))
        elif kind == "zero-d":
            items.append(np.array(ints_below(draw, n)))
        elif kind == "slice":
            start = draw(st.none() | st.integers(-5, 5))
            stop = draw(st.none() | st.integers(-5, 5))
            items.append(slice(start, stop, draw(st.none() | st.integers(1, 3))))
        elif kind == "none":
            items.append(None)
            continue
        elif kind == "bool":
            items.append(True)
            continue
        elif kind == "array":
            of = common[draw(st.integers(0, len(common) - 1)) :]
            values = [ints_below(draw, n) for _ in range(int(np.prod(of)))]
            items.append(np.array(values, np.int64).reshape(of))
        else:
            # As many places as an index array has, or none, so that they broadcast.
            mask = np.zeros(n, bool)
            count = draw(st.integers(0, 1))
            mask[draw(st.permutations(range(n)))[:count]] = True
            items.append(mask)
        dim += 1
    if draw(st.booleans()):
        at = draw(st.integers(0, len(items)))
        if at == len(items) or dim == len(shape):
            items.insert(at, ...)
    index = tuple(items)
    if len(index) == 1 and draw(st.booleans()):
        index = index[0]
    return shape, index


def to_torch(torch, index):
    if isinstance(index, tuple):
        return tuple(to_torch(torch, i) for i in index)
    return torch.tensor(index) if isinstance(index, np.ndarray) else index


def to_tensors(index):
    if isinstance(index, tuple):
        return tuple(to_tensors(i) for i in index)
    return wrap(index) if isinstance(index, np.ndarray) else index


def values(shape):
    return np.arange(1.0, 1.0 + np.prod(shape, dtype=int)).reshape(shape)


@given(indexed(arrays=False))
def test_basic_index_is_a_view_as_in_numpy(case):
    shape, index = case
    a = values(shape)
    x = wrap(a)
    items = index if isinstance(index, tuple) else (index,)
    expected = a[items if ... in items else (*items, ...)]
    y = x[index]
    assert np.array_equal(y.numpy(), expected)
    assert y.shape == expected.shape
    if expected.size:
        assert np.shares_memory(y.numpy(), a)


@pytest.mark.parity
@given(case=indexed())
def test_index_is_that_of_pytorch(torch, case):
    shape, index = case
    a = values(shape)
    reference = torch.tensor(a, requires_grad=True)
    try:
        expected = reference[to_torch(torch, index)]
    except IndexError:
        with pytest.raises(IndexError):
            wrap(a)[index]
        return
    v = np.random.default_rng(0).normal(size=tuple(expected.shape))
    expected.backward(torch.tensor(v))
    for way in (index, to_tensors(index)):
        x = wrap(a, True)
        y = x[way]
        assert np.array_equal(y.detach().numpy(), expected.detach().numpy())
        (g,) = grad(y, x, wrap(v))
        assert np.allclose(g.numpy(), reference.grad.numpy())


@given(indexed())
def test_second_derivative_through_an_index(case):
    shape, index = case
    x = wrap(values(shape), True)
    try:
        y = x[index]
    except IndexError:
        return
    (g,) = grad((y * y * y).sum(), x, create_graph=True)
    w = np.random.default_rng(0).normal(size=shape)
    (h,) = grad(g, x, wrap(w))
    (once,) = grad(x[index].sum(), x, create_graph=True)
    assert np.allclose(h.numpy(), 6 * w * x.detach().numpy() * once.detach().numpy())


def test_repeated_places_add_up():
    x = wrap(np.ones(3), True)
    x[[0, 0, 2]].sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 1.0]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_many_repeated_places_add_up_along_each_dimension(dtype, rng):
    x = wrap(np.zeros((3, 40, 5)), True)
    places = rng.integers(-40, 40, (20, 10)).astype(dtype)
    v = rng.normal(size=(3, 20, 10, 5))
    (g,) = grad(x[:, wrap(places)], x, wrap(v))
    expected = np.zeros((3, 40, 5))
    np.add.at(expected, (slice(None), places), v)
    assert np.allclose(g.numpy(), expected)


def test_element_is_a_0d_view():
    a = np.ones(3)
    y = wrap(a)[1]
    y.numpy()[...] = 5.0
    assert a.tolist() == [1.0, 5.0, 1.0]
    assert y.shape == ()


def test_index_of_a_list_of_lists_is_one_array():
    x = wrap(values((3, 2)))
    assert x[[[0, 1], [2, 2]]].shape == (2, 2, 2)


def test_index_array_may_change_after_the_forward():
    x = wrap(np.ones(3), True)
    places = np.array([0, 0])
    y = x[places]
    places[:] = 2
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 0.0]


def test_uint8_index_is_a_mask_and_warns():
    x = wrap(values((3,)))
    with pytest.warns(UserWarning, match="deprecated"):
        y = x[wrap(np.array([1, 0, 1], np.uint8))]
    assert y.tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (2, IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
        (-3, IndexError, "index -3 is out of bounds for dimension 0 with size 2"),
        ((0, 3), IndexError, "index 3 is out of bounds for dimension 1 with size 3"),
        ((0, 0, 0), IndexError, "too many indices for tensor of dimension 2"),
        ((np.ones((2, 3), bool), 0), IndexError, "too many indices for tensor of dimension 2"),
        (slice(None, None, -1), ValueError, "step must be greater than zero"),
        ((0, slice(None, None, 0)), ValueError, "step must be greater than zero"),
        (slice(1.0, None), TypeError, "slice indices must be integers"),
        (0.5, IndexError, r"valid indices \(got float\)"),
        ("a", IndexError, r"valid indices \(got str\)"),
        ([0.5], IndexError, "must be long, int, byte or bool"),
        (np.ones(2), IndexError, "must be long, int, byte or bool"),
        ([5], IndexError, "index 5 is out of bounds for dimension 0 with size 2"),
        (np.ones(3, bool), IndexError, r"The shape of the mask \[3\] at index 0 does not match"),
        (
            (slice(None), np.ones(2, bool)),
            IndexError,
            r"mask \[2\] at index 0 does not match the shape of the indexed tensor \[2, 3\]",
        ),
        (
            ([0, 1], [0, 1, 2]),
            IndexError,
            r"could not be broadcast together with shapes \[2\], \[3\]",
        ),
    ],
)
def test_wrong_index(index, error, text):
    with pytest.raises(error, match=text) as raised:
        wrap(np.ones((2, 3)))[index]
    assert isinstance(raised.value, gd.GradcoreError)


def test_index_into_a_scalar():
    with pytest.raises(IndexError, match="invalid index of a 0-dim tensor"):
        wrap(np.ones(()))[0]


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_short_integer_tensors_are_no_index(dtype):
    with pytest.raises(IndexError, match="must be long, int, byte or bool"):
        wrap(np.ones(3))[wrap(np.array([0], dtype))]


@st.composite
def gathered(draw):
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    at = dim % len(shape)
    wide = [draw(st.integers(0, n)) for n in shape]
    wide[at] = draw(st.integers(0, 5))
    seed = draw(st.integers(0, 99))
    return shape, dim, np.random.default_rng(seed).integers(0, shape[at], wide)


@pytest.mark.parity
@given(case=gathered())
def test_gather_is_that_of_pytorch(torch, case):
    shape, dim, places = case
    a = values(shape)
    x, reference = wrap(a, True), torch.tensor(a, requires_grad=True)
    y, expected = gd.gather(x, dim, wrap(places)), reference.gather(dim, torch.tensor(places))
    assert np.array_equal(y.detach().numpy(), expected.detach().numpy())
    v = np.random.default_rng(0).normal(size=places.shape)
    (g,) = grad(y, x, wrap(v))
    expected.backward(torch.tensor(v))
    assert np.allclose(g.numpy(), reference.grad.numpy())


@pytest.mark.parity
@given(case=gathered())
def test_scatter_add_is_that_of_pytorch(torch, case):
    shape, dim, places = case
    a, b = values(shape), np.random.default_rng(1).normal(size=places.shape)
    x, src = wrap(a, True), wrap(b, True)
    y = x.scatter_add(dim, wrap(places), src)
    expected = torch.tensor(a).scatter_add(dim, torch.tensor(places), torch.tensor(b))
    assert np.allclose(y.detach().numpy(), expected.numpy())
    if places.size:
        v = np.random.default_rng(0).normal(size=shape)
        to_x, to_src = grad(y, (x, src), wrap(v))
        assert np.array_equal(to_x.numpy(), v)
        assert np.allclose(to_src.numpy(), gd.gather(wrap(v), dim, wrap(places)).numpy())


@pytest.mark.parametrize("value", [1.5, -float("inf"), float("nan"), 3, True])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "complex64"])
def test_masked_fill_keeps_the_dtype(dtype, value):
    x = wrap(np.ones((2, 3), dtype))
    if dtype == "int32" and value not in (1.5, 3, True):
        with pytest.raises(RuntimeError, match="without overflow"):
            x.masked_fill(wrap(np.array([True, False, True])), value)
        return
    y = x.masked_fill(wrap(np.array([True, False, True])), value)
    assert y.dtype is x.dtype
    assert np.array_equal(y.numpy()[0, 1:], np.array([1, value]).astype(dtype), equal_nan=True)


def test_masked_fill_too_large_for_half():
    with pytest.raises(RuntimeError, match="without overflow"):
        wrap(np.ones(2, np.float16)).masked_fill(wrap(np.array([True, False])), 1e10)


def test_nonzero_of_a_scalar():
    assert wrap(np.array(2.0)).nonzero().shape == (1, 0)
    assert wrap(np.array(0.0)).nonzero().shape == (0, 0)
    (places,) = wrap(np.array(2.0)).nonzero(as_tuple=True)
    assert places.tolist() == [0]


def test_numpy_functions_index():
    x = wrap(values((2, 3)), True)
    for y, expected in (
        (np.take(x, [0, 4]), [1.0, 5.0]),
        (np.take(x, [2, 0], axis=1), [[3.0, 1.0], [6.0, 4.0]]),
        (np.take_along_axis(x, np.array([[2], [0]]), axis=1), [[3.0], [4.0]]),
        (np.repeat(x, 2, axis=0)[1], [1.0, 2.0, 3.0]),
    ):
        assert y.requires_grad
        assert y.tolist() == expected
    assert [places.tolist() for places in np.nonzero(x > 4)] == [[1, 1], [1, 2]]


@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((50,), (300,)),
        ((50,), (300, 1)),
        ((50, 300), (4,)),
        ((50, 3), (300,)),
        ((50, 2, 200), (3,)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_many_repeated_places_add_up(shape, index, dtype, rng):
    places = rng.integers(-shape[0], shape[0], index)
    v = rng.integers(-9, 10, (*index, *shape[1:])).astype(dtype)
    expected = np.zeros(shape, dtype)
    np.add.at(expected, places, v)
    for index_or_tuple in (places, (places,)):
        np.testing.assert_array_equal(CPU.xp.put(v, index_or_tuple, shape), expected)
    with pytest.raises(IndexError):
        CPU.xp.put(v, places + 2 * shape[0], shape)
