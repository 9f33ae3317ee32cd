"""Taking and putting by places, against NumPy's indexing and `np.add.at` in float64."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gradcore as gd
from gradcore.autograd import grad

pytestmark = pytest.mark.cuda

FLOATS = ["float16", "float32", "float64", "complex64", "complex128"]
EXACT = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
PATHS = {
    "few": {"few": 10**6},
    "fibers": {"few": 0, "many_fibers": 1},
    "sorted": {"few": 0, "many_fibers": 10**6},
    "sorted in small chunks": {"few": 0, "many_fibers": 10**6, "chunk": 4},
}


@pytest.fixture
def indexing(kernels):
    return kernels.indexing


@pytest.fixture
def atomic(indexing, monkeypatch):
    """Let sums be atomic."""
    monkeypatch.setattr(indexing, "_deterministic", lambda: False)


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    x = rng.uniform(-2, 2, shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.uniform(-2, 2, shape)
    return x.astype(dtype)


def wide(x):
    return x.astype({"f": float, "c": complex}.get(x.dtype.kind, x.dtype))


def added(v, index, shape, base=None):
    """What is put, added up in float64 by NumPy."""
    out = np.zeros(shape, wide(v).dtype) if base is None else wide(base).copy()
    np.add.at(out, index, wide(v))
    return out


PLACES = {
    "different": lambda rng, n, m: rng.permutation(n)[:m],
    "equal": lambda rng, n, m: np.full(m, n // 2),
    "random": lambda rng, n, m: rng.integers(-n, n, m),
    "runs of many lengths": lambda rng, n, m: np.minimum(rng.geometric(0.2, m), n) - 1,
}


# the kernels, by every path -------------------------------------------------------------------


@pytest.mark.parametrize(("outer", "inner"), [(1, 1), (1, 12), (3, 1), (2, 5)])
@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("path", ["few", "sorted", "sorted in small chunks"])
def test_rows(cp, indexing, same, path, places, outer, inner):
    n, m = 67, 61
    index = PLACES[places](np.random.default_rng(1), n, m)
    v = numbers((outer, m, inner), "float32")
    got = indexing._put(cp.asarray(v), cp.asarray(index), n, outer, m, inner, **PATHS[path])
    same(got.reshape(outer, n, inner), added(v, (slice(None), index), (outer, n, inner)), "float32")


@pytest.mark.parametrize(("outer", "inner"), [(1, 1), (1, 12), (3, 1), (2, 5)])
@pytest.mark.parametrize("path", PATHS)
def test_along(cp, indexing, same, path, outer, inner):
    n, m = 7, 41
    index = np.random.default_rng(1).integers(-n, n, (outer, m, inner))
    v = numbers(index.shape, "float32")
    o, _, i = np.ogrid[:outer, :m, :inner]
    expected = added(v, (o, index, i), (outer, n, inner))
    got = indexing._put(
        cp.asarray(v), cp.asarray(index), n, outer, m, inner, along=True, **PATHS[path]
    )
    same(got.reshape(outer, n, inner), expected, "float32")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("path", PATHS)
def test_every_float(cp, indexing, same, path, dtype):
    n, m = 7, 41
    index = np.random.default_rng(1).integers(-n, n, (1, m, 1))
    v, base = numbers((1, m, 1), dtype), numbers((1, n, 1), dtype, 1)
    for start in (None, base):
        expected = added(
            v[0, :, 0], index[0, :, 0], (n,), None if start is None else start[0, :, 0]
        )
        got = indexing._put(
            cp.asarray(v),
            cp.asarray(index),
            n,
            1,
            m,
            1,
            along=True,
            base=None if start is None else cp.asarray(start),
            **PATHS[path],
        )
        same(got.reshape(-1), expected, dtype)


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("m", [3, 50])
def test_every_integer(cp, kernels, m, dtype):
    index = np.random.default_rng(1).integers(-7, 7, m)
    v = numbers((m, 2), dtype)
    got = kernels.indexing.put(cp.asarray(v), cp.asarray(index), (7, 2))
    assert got.dtype == dtype
    expected = np.zeros((7, 2), dtype)
    np.add.at(expected, index, v)
    np.testing.assert_array_equal(cp.asnumpy(got), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("along", [False, True])
def test_atomic_sums_are_those_in_order(cp, indexing, atomic, same, along, dtype):
    n, m, outer, inner = 7, 41, 2, 3
    index = np.random.default_rng(1).integers(-n, n, (outer, m, inner) if along else m)
    v, base = numbers((outer, m, inner), dtype), numbers((outer, n, inner), dtype, 1)
    o, _, i = np.ogrid[:outer, :m, :inner]
    places = (o, index, i) if along else (slice(None), index)
    for start in (None, base):
        got = indexing._put(
            cp.asarray(v),
            cp.asarray(index),
            n,
            outer,
            m,
            inner,
            along=along,
            base=None if start is None else cp.asarray(start),
        )
        expected = added(v, places, (outer, n, inner), start)
        same(got.reshape(outer, n, inner), expected, dtype)


@pytest.mark.parametrize("key", ["uint16", "uint32", "uint64"])
def test_every_width_of_the_sorted_keys(cp, indexing, same, monkeypatch, key):
    monkeypatch.setattr(indexing, "_KEY_TYPES", (key, key, key))
    index = np.random.default_rng(1).integers(-50, 50, 200)
    v = numbers((200, 3), "float32")
    got = indexing.put(cp.asarray(v), cp.asarray(index), (50, 3))
    same(got, added(v, index, (50, 3)), "float32")


@pytest.mark.parametrize(("n", "key"), [(65535, "uint16"), (65536, "uint32")])
def test_keys_are_as_narrow_as_the_rows_allow(cp, indexing, monkeypatch, n, key):
    sorted_types = []
    argsort = cp.argsort
    monkeypatch.setattr(cp, "argsort", lambda k: sorted_types.append(k.dtype.name) or argsort(k))
    index = cp.asarray(np.tile([n - 1, 0], 20))
    got = indexing.put(cp.ones(40, "float32"), index, (n,))
    assert sorted_types == [key]
    assert got[[0, 1, n - 2, n - 1]].tolist() == [20, 0, 0, 20]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_long_run_is_summed_accurately(cp, indexing, same, dtype):
    v = numbers(100_000, dtype)
    index = np.zeros(v.size, np.int64)
    got = indexing.put(cp.asarray(v), cp.asarray(index), (2,))
    same(got, added(v, index, (2,)), dtype)


def test_float16_is_rounded_once(cp, indexing):
    v = cp.full(5000, 1, "float16")
    for index, axis_length in ((cp.zeros(5000, "int64"), 1), (cp.arange(5000) % 2, 2)):
        got = indexing.put(v, index, (axis_length,))
        assert got.tolist() == [5000 // axis_length] * axis_length


# `put` and `getitem` --------------------------------------------------------------------------

A = np.array
INDICES = {
    "one array": ((5, 3), lambda r: (r(5, 40),)),
    "one array, two-dimensional": ((5, 3), lambda r: (r(5, 8, 5),)),
    "in the middle": ((2, 5, 3), lambda r: (slice(None), r(5, 40))),
    "behind an Ellipsis": ((2, 5, 3), lambda r: (..., r(3, 40))),
    "a 0-d array": ((5, 3), lambda r: (A(-2),)),
    "few places": ((5, 3), lambda r: (r(5, 6),)),
    "two that broadcast": ((5, 6, 2), lambda r: (r(5, 7, 1), r(6, 1, 8))),
    "three": ((3, 4, 5), lambda r: (r(3, 40), r(4, 40), r(5, 40))),
    "not side by side": ((3, 4, 5), lambda r: (r(3, 40), slice(None), r(5, 40))),
    "a mask": ((4, 3), lambda r: r(2, 4, 3) == 0),
    "a mask of rows": ((40, 3), lambda r: (r(2, 40) == 0,)),
    "a mask in the middle": ((2, 4, 5, 3), lambda r: (slice(None), r(2, 4, 5) == 0)),
    "a mask of nothing": ((4, 3), lambda r: np.zeros(4, bool)),
    "a mask and an array": ((4, 5), lambda r: (A([True, False, True, True]), r(5, 3))),
    "no places": ((4, 3), lambda r: (np.zeros(0, int),)),
    "no columns": ((4, 0), lambda r: (r(4, 40),)),
    "a slice and an array": ((4, 5), lambda r: (slice(1, 3), r(5, 6))),
    "basic": ((4, 5), lambda r: (slice(1, None, 2), 3)),
    "None and an array": ((4, 5), lambda r: (None, r(4, 6))),
}


def on_device(cp, index):
    if isinstance(index, tuple):
        return tuple(on_device(cp, i) for i in index)
    return cp.asarray(index) if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("case", INDICES)
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_put_is_the_adjoint_of_getitem(cp, indexing, same, dtype, case):
    shape, make = INDICES[case]
    rng = np.random.default_rng(1)
    index = make(lambda n, *size: rng.integers(-n if n > 2 else 0, n, size))
    x = numbers(shape, dtype)
    there = on_device(cp, index)
    y = indexing.getitem(cp.asarray(x), there)
    assert y.dtype == dtype
    np.testing.assert_array_equal(cp.asnumpy(y), x[index])
    v = numbers(x[index].shape, dtype, 1)
    same(indexing.put(cp.asarray(v), there, shape), added(v, index, shape), dtype)


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "int32", "float32", "complex128"])
@pytest.mark.parametrize(
    "layout", ["contiguous", "shifted", "shifted, odd rows", "transposed", "every other"]
)
def test_elements_of_every_size_are_taken(cp, indexing, layout, dtype):
    x = numbers((7, 8), dtype)
    view = {
        "contiguous": lambda a: a,
        "shifted": lambda a: a.reshape(-1)[1:49].reshape(6, 8),
        "shifted, odd rows": lambda a: a.reshape(-1)[1:43].reshape(6, 7),
        "transposed": lambda a: a.T,
        "every other": lambda a: a[:, ::-2],
    }[layout]
    index = np.array([[5, -1, 0], [2, 2, 3]])
    for i in (index, index.astype("int32")):
        y = indexing.getitem(view(cp.asarray(x)), cp.asarray(i))
        np.testing.assert_array_equal(cp.asnumpy(y), view(x)[i])
    along = np.random.default_rng(1).integers(-2, 2, view(x).shape)
    for axis in (0, -1):
        y = indexing.take_along_axis(view(cp.asarray(x)), cp.asarray(along), axis)
        np.testing.assert_array_equal(cp.asnumpy(y), np.take_along_axis(view(x), along, axis))


def test_complex_numbers_that_are_not_aligned_are_taken(cp, indexing):
    x = numbers(13, "float64")
    there = cp.asarray(x)[1:].view("complex128").reshape(3, 2)
    here = x[1:].view("complex128").reshape(3, 2)
    index = np.array([[2, 0], [1, 1]])
    np.testing.assert_array_equal(indexing.getitem(there, cp.asarray(index)).get(), here[index])
    np.testing.assert_array_equal(
        indexing.take_along_axis(there, cp.asarray(index), 0).get(),
        np.take_along_axis(here, index, 0),
    )


@pytest.mark.parametrize("layout", ["transposed", "expanded", "every other"])
def test_values_of_any_layout_are_put(cp, indexing, same, layout):
    view = {
        "transposed": lambda xp, a: a.T,
        "expanded": lambda xp, a: xp.broadcast_to(a[0, 0], (40, 4)),
        "every other": lambda xp, a: xp.concatenate([a, a], 1).T[::-2],
    }[layout]
    base = numbers((4, 40), "float32")
    v = view(np, base)
    index = np.random.default_rng(1).integers(0, 9, len(v))
    got = indexing.put(view(cp, cp.asarray(base)), cp.asarray(index), (9, v.shape[1]))
    same(got, added(v, index, (9, v.shape[1])), "float32")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "uint64"])
def test_other_integers_as_places(cp, indexing, dtype):
    x = numbers((9, 3), "float32")
    index = np.arange(9)[::-1].astype(dtype)
    y = indexing.getitem(cp.asarray(x), (cp.asarray(index), cp.asarray(index % 3)))
    np.testing.assert_array_equal(cp.asnumpy(y), x[index, index % 3])


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("m", [1, 5, 40])
def test_put_along_axis(cp, indexing, same, axis, m):
    shape = (3, 4, 5)
    wanted = list(shape)
    wanted[axis] = m
    for cut in (False, True):
        size = [max(k - (cut and d != axis % 3), 0) for d, k in enumerate(wanted)]
        index = np.random.default_rng(1).integers(-shape[axis], shape[axis], size)
        v, x = numbers(size, "float32"), numbers(shape, "float32", 1)
        places = list(np.ogrid[tuple(map(slice, size))])
        places[axis] = index
        y = indexing.take_along_axis(cp.asarray(x), cp.asarray(index), axis)
        np.testing.assert_array_equal(cp.asnumpy(y), x[tuple(places)])
        got = indexing.put_along_axis(cp.asarray(v), cp.asarray(index), shape, axis)
        same(got, added(v, tuple(places), shape), "float32")
        got = indexing.scatter_add(cp.asarray(x), cp.asarray(v), cp.asarray(index), axis % 3)
        same(got, added(v, tuple(places), shape, x), "float32")


def test_empty_arrays(cp, indexing, same):
    none = cp.zeros((0, 3), "int64")
    assert indexing.take_along_axis(cp.ones((2, 3)), none, 0).shape == (0, 3)
    same(indexing.put_along_axis(cp.ones((0, 3)), none, (2, 3), 0), np.zeros((2, 3)), "float64")
    same(indexing.put(cp.ones((0, 3)), none[:, 0], (0, 3)), np.zeros((0, 3)), "float64")
    x = cp.ones((2, 3))
    same(indexing.scatter_add(x, cp.ones((0, 3)), none, 0), np.ones((2, 3)), "float64")
    with pytest.raises(IndexError, match="size 0"):
        indexing.getitem(cp.ones((0, 3)), cp.zeros(2, "int64"))
    with pytest.raises(IndexError, match="size 0"):
        indexing.put(cp.ones((2, 3)), cp.zeros(2, "int64"), (0, 3))


FAR = [3, -4, 7, -100, 2**40, -(2**40), 2**63 - 1, -(2**63) + 1]


@pytest.mark.parametrize("path", PATHS)
def test_places_out_of_range_wrap_around(cp, indexing, same, path):
    index = np.array(FAR)
    v = numbers(index.shape, "float64")
    got = indexing._put(
        cp.asarray(v), cp.asarray(index), 3, 1, len(v), 1, along=True, **PATHS[path]
    )
    same(got, added(v, index % 3, (3,)), "float64")


def test_places_out_of_range_are_taken_from_inside(cp, indexing):
    x, index = numbers((3, 2), "float32"), np.array(FAR)
    for view in (lambda a: a, lambda a: a[:, ::-1]):
        y = indexing.getitem(view(cp.asarray(x)), cp.asarray(index))
        np.testing.assert_array_equal(cp.asnumpy(y), view(x)[index % 3])
    y = indexing.getitem(cp.asarray(x), (cp.asarray(index), cp.asarray(index)))
    np.testing.assert_array_equal(cp.asnumpy(y), x[index % 3, index % 2])


@pytest.mark.parametrize("case", ["rows", "along", "scatter_add", "embedding"])
def test_two_runs_give_the_same_bits_and_add_nothing_atomically(cp, indexing, monkeypatch, case):
    def forbidden(*_):
        raise AssertionError("a sum of floats was atomic")

    monkeypatch.setattr(indexing, "_put_atomic", forbidden)
    v = cp.asarray(numbers((300, 40), "float32"))
    index = cp.asarray(np.random.default_rng(1).integers(0, 9, (300, 40)))
    run = {
        "rows": lambda: indexing.put(v, index[:, 0], (9, 40)),
        "along": lambda: indexing.put_along_axis(v, index, (9, 40), 0),
        "scatter_add": lambda: indexing.scatter_add(cp.ones((9, 40), "f4"), v, index, 0),
        "embedding": lambda: indexing.embedding_backward(
            (True,), v, (9, 40), index[:, 0], 3, False
        )[0],
    }[case]
    assert run().tobytes() == run().tobytes()


def test_index_add_with_a_factor(cp, indexing, same):
    x, source = numbers((2, 9, 3), "float32"), numbers((2, 50, 3), "float32", 1)
    index = np.random.default_rng(1).integers(-9, 9, 50)
    for alpha in (1, -0.5):
        got = indexing.index_add(
            cp.asarray(x), cp.asarray(source), (slice(None), cp.asarray(index)), alpha
        )
        same(got, added(source * np.float32(alpha), (slice(None), index), x.shape, x), "float32")


# embedding ------------------------------------------------------------------------------------


def embedding_gradient(g, shape, index, padding, scale):
    out = added(g, index, shape)
    if scale:
        out /= np.maximum(np.bincount(index.reshape(-1), minlength=len(out)), 1)[:, None]
    if padding is not None:
        out[padding] = 0
    return out


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("padding", [None, 2, -1])
@pytest.mark.parametrize("size", [(5,), (10, 10)])
def test_embedding(cp, indexing, same, size, padding, scale, dtype):
    weight, index = numbers((9, 12), dtype), np.random.default_rng(1).integers(0, 9, size)
    for i in (index, index.astype("int32")):
        y = indexing.embedding(cp.asarray(weight), cp.asarray(i), padding, scale)
        np.testing.assert_array_equal(cp.asnumpy(y), weight[index])
        g = numbers(y.shape, dtype, 1)
        (d,) = indexing.embedding_backward(
            (True,), cp.asarray(g), (9, 12), cp.asarray(i), padding, scale
        )
        same(d, embedding_gradient(g, (9, 12), index, padding, scale), dtype)


@pytest.mark.parametrize("count", [3, 50])
def test_padding_is_also_what_wraps_around_to_it(cp, indexing, count):
    index, g = cp.full(count, -1), cp.ones((count, 2))
    (d,) = indexing.embedding_backward((True,), g, (4, 2), index, 3, False)
    assert d.tolist() == [[0, 0]] * 4


def test_an_unwanted_gradient_costs_nothing(cp, indexing, count):
    g, index = cp.ones((3, 2)), cp.zeros(3, "int64")
    run = lambda: indexing.embedding_backward((False,), g, (4, 2), index, None, False)
    assert (count(run).launches, run()) == (0, (None,))


# launches -------------------------------------------------------------------------------------


def test_launches_and_no_synchronisation(cp, indexing, count):
    x = cp.ones((70, 8), "float32")
    few, many = cp.arange(20), cp.arange(1500) % 70
    along = cp.zeros((70, 5), "int64")
    mask = cp.arange(70) < 30
    sort = count(lambda: cp.argsort(many.astype("uint16"))).launches - 1  # a GPU's is other
    scan = count(lambda: cp.cumsum(mask, dtype="int64")).launches
    cases = [
        (1, lambda: indexing.getitem(x, few)),
        (1, lambda: indexing.getitem(x, (slice(None), few % 8))),
        (2, lambda: indexing.getitem(x, (few, few % 8))),
        (1, lambda: indexing.take_along_axis(x, along, 1)),
        (1, lambda: indexing.embedding(x, many, None, False)),
        (1, lambda: indexing.put(cp.broadcast_to(x[:1, 0], (20, 8)).copy(), few, (70, 8))),
        (1, lambda: indexing.put_along_axis(x[:, :5].copy(), along, (70, 8), 1)),
        # keys, sort, and the levels: 1500, 94, 6 sums
        (4 + sort, lambda: indexing.put(cp.ones((1500, 8), "f4"), many, (70, 8))),
        (2 + scan, lambda: indexing.put(x[:30], mask, (70, 8))),
    ]
    extra = [0, 1, 1, 0, 0, 1, 1, 1, 0]  # launches of the arguments
    for (launches, run), more in zip(cases, extra, strict=True):
        run()
        made = count(run)
        assert (made.launches - more, made.copies_and_syncs.get("sync", 0)) == (launches, 0)
        assert "d2h" not in made.copies_and_syncs


def test_a_mask_waits_once(cp, indexing, count):
    x, mask = cp.ones((70, 8), "float32"), cp.arange(70) < 30
    for index in (mask, (slice(None), mask[:8]), x > 0):
        assert count(lambda i=index: indexing.getitem(x, i)).copies_and_syncs == {
            "d2h": 1,
            "sync": 1,
        }


# Tensors --------------------------------------------------------------------------------------


def both(program, *arrays):
    """What `program` gives on the CPU and on CUDA: arrays of values and gradients."""
    found = []
    for device in ("cpu", "cuda"):
        leaves = [gd.tensor(a, device=device, requires_grad=a.dtype.kind in "fc") for a in arrays]
        y = program(*leaves)
        wanted = [x for x in leaves if x.requires_grad]
        v = np.cos(np.arange(y.numel())).reshape(y.shape).astype(y.numpy(force=True).dtype)
        gradients = grad(y, wanted, gd.tensor(v, device=device)) if y.requires_grad else ()
        assert all(t.device.type == device and t.dtype == y.dtype for t in (y, *gradients))
        found.append([t.detach().cpu().numpy() for t in (y, *gradients)])
    return zip(*found, strict=True)


X = np.linspace(-1, 1, 60).reshape(3, 4, 5)
LISTS = [
    0,
    -1,
    slice(1, None),
    (slice(None), slice(None, None, 2), 3),
    None,
    ...,
    (),
    (None, 0, ..., None),
    True,
    False,
    (0, True),
    [2, 0, 0],
    [[0, 1], [2, 2]],
    ([0, 1], [3, 0]),
    ([0, 1], slice(None), [3, 0]),
    (slice(None), [0, -1], 2),
    (0, [0, 0, 1]),
    range(2),
    [True, False, True],
    ([True, False, True], [1, 2]),
    (..., [True, False, True, True, False]),
    np.array([0, 2, 2]),
    np.array(1),
    np.zeros(0, np.int64),
    (slice(None), np.array([[0], [1]]), np.array([0, 3])),
    (np.random.default_rng(0).integers(0, 3, 100), slice(1, 3)),
    X > 0,
    (X[:, :, 0] > 0, 2),
]


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("way", ["as it is", "host tensors", "device tensors"])
@pytest.mark.parametrize("index", LISTS, ids=str)
def test_an_index_gives_what_it_gives_on_the_cpu(index, way):
    def there(i, x):
        if isinstance(i, tuple):
            return tuple(there(j, x) for j in i)
        if way != "as it is" and isinstance(i, np.ndarray | list):
            return gd.tensor(i, device="cpu" if way == "host tensors" else x.device)
        return i

    for cpu, cuda in both(lambda x: x[there(index, x)], X.astype("float32")):
        assert (cpu.dtype, cpu.shape) == (cuda.dtype, cuda.shape)
        np.testing.assert_allclose(cuda, cpu, rtol=1e-6)


R = np.random.default_rng(5)
ALONG = R.integers(-4, 4, (3, 50, 5))
PROGRAMS = {
    "gather": lambda x: x.gather(1, gd.tensor(ALONG, device=x.device)),
    "gather of a part": lambda x: x.gather(0, gd.tensor(ALONG[:, :2] % 3, device=x.device)),
    "take": lambda x: x.take(gd.tensor(ALONG, device=x.device)),
    "take of a transposed": lambda x: x.permute(2, 0, 1).take(gd.tensor(ALONG, device=x.device)),
    "take_along_dim": lambda x: x.take_along_dim(gd.tensor(ALONG[:1, :, :1], device=x.device), 1),
    "index_select": lambda x: x.index_select(2, gd.tensor(ALONG[0, :, 0], device=x.device)),
    "select": lambda x: x.select(1, -2),
    "repeat_interleave": lambda x: x.repeat_interleave(3, 1),
    "repeat_interleave of all": lambda x: x.repeat_interleave(2),
    "repeat_interleave by counts": lambda x: x.repeat_interleave(
        gd.tensor([2, 0, 1], device=x.device), 0
    ),
    "repeat_interleave by a list": lambda x: x.repeat_interleave(gd.tensor([2, 0, 1]), 0),
    "repeat_interleave to a size": lambda x: x.repeat_interleave(
        gd.tensor([2, 0, 1], device=x.device), 0, output_size=3
    ),
    "masked_select": lambda x: x.masked_select(x > 0),
    "masked_fill": lambda x: x.masked_fill(x > 0, 2.0),
    "scatter_add": lambda x: x.scatter_add(
        1, gd.tensor(ALONG, device=x.device), gd.ones(3, 50, 5, device=x.device, dtype=x.dtype)
    ),
    "scatter_add of x": lambda x: gd.zeros(2, 4, 5, device=x.device, dtype=x.dtype).scatter_add(
        0, gd.tensor(ALONG[:, :4] % 2, device=x.device), x
    ),
    "index_add": lambda x: x.index_add(1, gd.tensor([1, 1, 0, -1], device=x.device), x, alpha=2),
    "embedding": lambda x: gd.nn.functional.embedding(
        gd.tensor(ALONG % 3, device=x.device), x[0, :3], 1, scale_grad_by_freq=True
    ),
    "max": lambda x: x.max(1).values,
}


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_operations_give_what_they_give_on_the_cpu(name, dtype):
    tolerance = 1e-2 if dtype == "float16" else 1e-5
    for cpu, cuda in both(PROGRAMS[name], X.astype(dtype)):
        assert (cpu.dtype, cpu.shape) == (cuda.dtype, cuda.shape)
        np.testing.assert_allclose(cuda, cpu, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", ["gather", "index_select", "scatter_add of x", "embedding"])
def test_second_derivatives_are_those_of_the_cpu(name):
    found = []
    for device in ("cpu", "cuda"):
        x = gd.tensor(X, device=device, requires_grad=True)
        y = PROGRAMS[name](x)
        (first,) = grad((y * y * y).sum(), x, create_graph=True)
        (second,) = grad((first * first).sum(), x)
        found.append(second.cpu().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-10)


@pytest.mark.usefixtures("cuda")
def test_nonzero_and_argwhere():
    for shape in ((), (3,), (3, 4), (0, 2)):
        a = numbers(shape, "int32") % 3
        x = gd.tensor(a, device="cuda")
        np.testing.assert_array_equal(x.nonzero().cpu().numpy(), np.argwhere(a))
        np.testing.assert_array_equal(gd.argwhere(x).cpu().numpy(), np.argwhere(a))
        for got, places in zip(x.nonzero(as_tuple=True), np.atleast_1d(a).nonzero(), strict=True):
            np.testing.assert_array_equal(got.cpu().numpy(), places)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", PROGRAMS)
def test_only_masks_wait_for_the_device(count, name):
    x = gd.tensor(X, device="cuda", requires_grad=True)
    made = {}

    def run():
        y = PROGRAMS[name](x)
        grad(y, x, gd.ones_like(y))

    run()
    made = count(run).copies_and_syncs
    waits = {"masked_select": 1, "repeat_interleave by counts": 1}.get(name, 0)
    assert (made.get("sync", 0), made.get("d2h", 0)) == (waits, waits)


@pytest.mark.usefixtures("cuda")
def test_launches_of_recorded_operations(count):
    x = gd.tensor(X[0], device="cuda", requires_grad=True)
    i = gd.tensor([2, 0, 2], device="cuda")
    along = gd.tensor(ALONG[0, :6] % 4, device="cuda")
    source = gd.ones(6, 5, dtype=gd.float64, device="cuda")
    embedding = gd.nn.functional.embedding
    for run, forward, backward in [
        (lambda: x[i], 1, 1),
        (lambda: x[:, i], 1, 1),
        (lambda: x[i, i], 2, 2),
        (lambda: x.gather(0, along), 1, 1),
        (lambda: x.index_select(0, i), 1, 1),
        (lambda: x.take(i), 1, 1),
        (lambda: x.repeat_interleave(2, 0), 1, 1),
        (lambda: embedding(i, x), 1, 1),
        (lambda: embedding(i, x, padding_idx=0), 1, 1),
        (lambda: x.scatter_add(0, along, source), 2, 0),
        (lambda: x.index_add(0, i, source[:3]), 2, 0),
    ]:
        y = run()
        v = gd.ones_like(y)
        grad(y, x, v)
        made = count(run)
        assert made.copies_and_syncs == {}
        y = run()
        there = count(lambda y=y, v=v: grad(y, x, v))
        assert there.copies_and_syncs == {}
        assert (made.launches, there.launches) == (forward, backward)


@pytest.mark.usefixtures("cuda")
def test_copies_of_an_index(count):
    x = gd.tensor(X, device="cuda", requires_grad=True)
    place = gd.tensor(1, device="cuda")
    places = gd.tensor([1, 1], device="cuda")
    for index, expected in [
        ([1, 0], {"h2d": 1}),
        (gd.tensor([1, 0]), {"h2d": 1}),
        (([1, 0], slice(None), [0, 2]), {"h2d": 2}),
        (places, {}),
        ((places, None, places), {}),
        (gd.tensor(1), {}),
        (np.array(1), {}),
        (True, {}),
        # As in PyTorch: the result is a view, so the host must know where.
        (place, {"d2h": 1, "sync": 1}),
    ]:
        assert count(lambda i=index: x[i]).copies_and_syncs == expected
    assert count(lambda: x.index_select(0, place)).copies_and_syncs == {}
    assert count(lambda: x.take(place)).copies_and_syncs == {}


@pytest.mark.usefixtures("cuda")
def test_on_another_device_than_the_current_one(cp):
    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    x = gd.tensor(X, device="cuda:1", requires_grad=True)
    here = gd.tensor(X, requires_grad=True)
    for index in ([0, 2], (True, [1, 1]), ([True, False, True], [1, 1]), X > 0):
        np.testing.assert_array_equal(x[index].numpy(force=True), here[index].numpy(force=True))
    for name, program in PROGRAMS.items():
        found = []
        for leaf in (x, here):
            y = program(leaf)
            found.append([y, *grad(y, leaf, gd.ones_like(y))])
        for got, expected in zip(*found, strict=True):
            assert got.device == x.device
            np.testing.assert_allclose(
                got.numpy(force=True), expected.numpy(force=True), rtol=1e-12, err_msg=name
            )
    assert (x > 0).nonzero().device == x.device
    with gd.debug.check_indices(), pytest.raises(IndexError):
        x[gd.tensor([3], device="cuda:1")]
    assert cp.cuda.runtime.getDevice() == 0


@pytest.mark.usefixtures("cuda")
def test_an_element_of_a_device_is_a_view():
    x = gd.tensor(X, device="cuda")
    assert x[gd.tensor(1, device="cuda")]._array.data.ptr == x[1]._array.data.ptr


CALLS = {
    "x[i]": lambda x, i: x[i],
    "x[:, i]": lambda x, i: x[:, i],
    "x[i, i]": lambda x, i: x[i, i],
    "gather": lambda x, i: x.gather(0, i[:, None, None].expand(-1, 4, 5)),
    "take": lambda x, i: x[0, 0, :3].take(i),
    "index_select": lambda x, i: x.index_select(0, i),
    "take_along_dim": lambda x, i: x.take_along_dim(i[:, None, None], 0),
    "scatter_add": lambda x, i: x.scatter_add(
        0, i[:, None, None], gd.ones(4, 4, 5, dtype=x.dtype, device=x.device)
    ),
    "index_add": lambda x, i: x.index_add(0, i, x[[0] * 4]),
    "embedding": lambda x, i: gd.nn.functional.embedding(i, x[0, :3]),
    "cross_entropy": lambda x, i: gd.nn.functional.cross_entropy(x[0, :, :3], i),
    "nll_loss": lambda x, i: gd.nn.functional.nll_loss(x[0, :, :3], i, reduction="none"),
}


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", [7, -8])
def test_checked_indices_raise_the_cpus_errors(cp, call, wrong):
    run = CALLS[call]
    places = [0, 1, wrong, 2]
    with pytest.raises((IndexError, RuntimeError)) as expected:
        run(gd.tensor(X), gd.tensor(places))
    there = gd.tensor(X, device="cuda"), gd.tensor(places, device="cuda")
    run(*there)
    with gd.debug.check_indices(), pytest.raises(type(expected.value)) as raised:
        run(*there)
    assert str(raised.value) == str(expected.value)
    run(*there)
    with gd.debug.check_indices():
        run(there[0], gd.tensor([0, 1, 2, 1], device="cuda"))


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(
    "index",
    [
        3,
        (0, 0, 0, 0),
        slice(None, None, -1),
        (slice(None), slice(None, None, -2)),
        0.5,
        [0.5],
        np.ones(2),
        np.ones(2, bool),
        (slice(None), np.ones(3, bool)),
        ([0, 1], [0, 1, 2]),
        gd.tensor([1.0]),
        gd.tensor(np.array([1], "int8")),
    ],
    ids=str,
)
def test_a_wrong_index_raises_the_cpus_error(index):
    with pytest.raises(gd.GradcoreError) as expected:
        gd.tensor(X)[index]
    with pytest.raises(type(expected.value)) as raised:
        gd.tensor(X, device="cuda")[index]
    if not isinstance(index, int):  # CuPy's words for it differ
        assert str(raised.value) == str(expected.value)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("repeats", [[-1], [2, -1, 0]])
def test_negative_repeats(repeats):
    x = gd.tensor(X, device="cuda")
    for r in (gd.tensor(repeats), gd.tensor(repeats, device="cuda")):
        with pytest.raises(RuntimeError, match="repeats can not be negative: tensor"):
            x.repeat_interleave(r, 0)


@pytest.mark.usefixtures("cuda")
def test_places_in_an_empty_dimension():
    i = gd.tensor([0], device="cuda")
    x = gd.zeros(0, 3, device="cuda")
    with pytest.raises(IndexError, match="out of bounds for dimension with size 0"):
        x[i]
    with pytest.raises(IndexError, match="empty tensor"):
        x.take(i)
    with pytest.raises(RuntimeError, match="index 0 is out of bounds for dimension 0 with size 0"):
        x.gather(0, i[:, None])


@pytest.mark.usefixtures("cuda")
def test_use_deterministic_algorithms(cp, indexing, monkeypatch):
    made = []
    put_atomic = indexing._put_atomic
    monkeypatch.setattr(indexing, "_put_atomic", lambda *a: made.append(1) or put_atomic(*a))
    x = gd.tensor(X, device="cuda", requires_grad=True)
    i = gd.tensor(ALONG, device="cuda")

    def gradient():
        (g,) = grad(x.gather(1, i).sum() + x[i[0, :, 0] % 3].sum(), x)
        return g.cpu().numpy()

    first = gradient()
    assert not made
    gd.use_deterministic_algorithms(False)
    try:
        second = gradient()
    finally:
        gd.use_deterministic_algorithms(True)
    assert len(made) == 2
    np.testing.assert_allclose(first, second, rtol=1e-12)


@st.composite
def indexed(draw):
    """A shape, an index and what it names."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple))
    common = draw(st.sampled_from([(2,), (3, 1), (40,), (0,), ()]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    index, dim = [], 0
    while dim < len(shape):
        kind = draw(st.sampled_from(["slice", "array", "array", "mask"]))
        if kind == "slice":
            index.append(slice(None))
        elif kind == "array":
            index.append(rng.integers(-shape[dim], shape[dim], common))
        elif any(isinstance(i, np.ndarray) for i in index):
            break
        else:
            depth = draw(st.integers(1, len(shape) - dim))
            index.append(rng.integers(0, 2, shape[dim : dim + depth]) > 0)
            dim += depth
            break
        dim += 1
    return shape, tuple(index), rng


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(indexed())
def test_the_product_with_what_is_put_is_that_with_what_is_taken(cp, kernels, case):
    shape, index, rng = case
    there = on_device(cp, index)
    w = rng.integers(-9, 9, shape).astype(float)
    taken = kernels.indexing.getitem(cp.asarray(w), there)
    v = rng.integers(-9, 9, w[index].shape).astype(float)
    placed = kernels.indexing.put(cp.asarray(v), there, shape)
    assert placed.shape == shape
    assert math.isclose((placed.get() * w).sum(), (taken.get() * v).sum())
    np.testing.assert_array_equal(placed.get(), added(v, index, shape))
