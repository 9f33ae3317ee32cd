import itertools
import math

import layouts
import numpy as np
import pytest

import gradcore as gd

pytestmark = pytest.mark.cuda

REAL = ["float16", "float32", "float64"]
INEXACT = [*REAL, "complex64", "complex128"]
WHOLE = ["bool", "uint8", "int8", "int16", "int32", "int64"]
COUNTERPART = {"complex64": "float32", "complex128": "float64"}
nan, inf = math.nan, math.inf


@pytest.fixture
def sums(kernels):
    from gradcore_kernels import sums

    return sums


def wide(a):
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


def mean(x, dim, keepdim):
    with np.errstate(all="ignore"):
        return x.sum(dim, keepdims=keepdim) / np.prod([x.shape[d] for d in dim])


def var(x, dim, correction, keepdim):
    with np.errstate(all="ignore"):
        squares = (np.abs(x - mean(x, dim, True)) ** 2).sum(dim, keepdims=keepdim)
        left = math.prod(x.shape[d] for d in dim) - correction
        return np.asarray(squares / max(left, 0))


# name: the kernel's function, NumPy's, and the dtype of the result
INTO = {
    "sum": (lambda s, *a: s.sum(*a), lambda x, dim, keep: x.sum(dim, keepdims=keep)),
    "mean": (lambda s, *a: s.mean(*a), mean),
    "prod": (lambda s, *a: s.prod(*a), lambda x, dim, keep: x.prod(dim, keepdims=keep)),
    "amax": (lambda s, *a: s.amax(*a), lambda x, dim, keep: x.max(dim, keepdims=keep)),
    "amin": (lambda s, *a: s.amin(*a), lambda x, dim, keep: x.min(dim, keepdims=keep)),
    "var": (lambda s, x, dim, keep: s.var(x, dim, 1, keep), lambda x, d, k: var(x, d, 1, k)),
    "std": (
        lambda s, x, dim, keep: s.std(x, dim, 0.5, keep),
        lambda x, d, k: np.sqrt(var(x, d, 0.5, k)),
    ),
}


def check(same, sums, name, x, expected_of, dim, keepdim):
    function, formula = INTO[name]
    dtype = x.dtype.name
    into = COUNTERPART.get(dtype, dtype) if name in ("var", "std") else dtype
    expected = np.asarray(formula(expected_of, dim, keepdim))
    same(function(sums, x, dim, keepdim), expected, into)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("layout", "dim"), layouts.CASES)
@pytest.mark.parametrize("name", ["sum", "mean", "var"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_every_layout(cp, sums, same, dtype, name, layout, dim, keepdim):
    x, expected_of = layouts.pair(cp, layout, dtype)
    check(same, sums, name, x, expected_of, dim, keepdim)


CASES = [
    (name, dtype)
    for name, dtype in itertools.product(INTO, INEXACT)
    if not (name in ("amax", "amin") and dtype.startswith("complex"))
]


@pytest.mark.parametrize(
    ("layout", "dim"), [("odd", (0,)), ("odd", (0, 1)), ("long rows", (1,)), ("3-d", (0, 2))]
)
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_every_dtype(cp, sums, same, name, dtype, layout, dim):
    x, expected_of = layouts.pair(cp, layout, dtype)
    if name == "prod" and layout != "odd":
        x, expected_of = x[:, :2], expected_of[:, :2]
    check(same, sums, name, x, expected_of, dim, False)


@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin"])
@pytest.mark.parametrize("dtype", WHOLE)
def test_whole_numbers(cp, sums, name, dtype):
    function, formula = INTO[name]
    low, high = (0, 2) if dtype == "bool" else (1, 6) if dtype == "uint8" else (-5, 6)
    x = np.random.default_rng(0).integers(low, high, (5, 7)).astype(dtype)
    for dim in ((0,), (1,), (0, 1)):
        got = function(sums, cp.asarray(x), dim, False)
        assert got.dtype == (dtype if name.startswith("am") else "int64")
        widened = x if name.startswith("am") else x.astype("int64")
        np.testing.assert_array_equal(cp.asnumpy(got), formula(widened, dim, False))


def test_whole_numbers_do_not_wrap(cp, sums):
    assert int(sums.sum(cp.full(1000, 127, "int8"))) == 127000
    assert int(sums.sum(cp.full(3, 2**31 - 1, "int32"))) == 3 * (2**31 - 1)
    assert int(sums.amin(cp.asarray([5, -(2**63)], "int64"))) == -(2**63)
    assert int(sums.amax(cp.full(3, -(2**31), "int32"))) == -(2**31)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3)])
def test_reductions_of_nothing(cp, sums, same, shape):
    x = cp.empty(shape, "float32")
    for dim in ((0,), tuple(range(len(shape)))):
        for name in ("sum", "prod", "mean", "var"):
            check(same, sums, name, x, np.empty(shape), dim, False)


LARGE = {
    "all of a prime number": ((20011,), lambda xp, a: a, (0,)),
    "all, transposed": ((130, 160), lambda xp, a: a.T, (0, 1)),
    "all, every other": ((130, 321), lambda xp, a: a[:, ::2], (0, 1)),
    "first axis": ((20011, 3), lambda xp, a: a, (0,)),
    "last axis": ((3, 20011), lambda xp, a: a, (1,)),
    "middle axes": ((2, 130, 140, 3), lambda xp, a: a, (1, 2)),
    "outer axes": ((139, 3, 140), lambda xp, a: a, (0, 2)),
    "outer axes of four": ((40, 3, 140, 2), lambda xp, a: a, (0, 2)),
    "three apart": ((30, 2, 30, 2, 30), lambda xp, a: a, (0, 2, 4)),
    "three that stay": ((2, 30, 3, 30, 2), lambda xp, a: a, (1, 3)),
    "backwards": ((20011, 2), lambda xp, a: a[::-1, ::-1], (0,)),
    "expanded": ((1, 150, 1), lambda xp, a: xp.broadcast_to(a, (140, 150, 2)), (0, 1)),
}


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *(("sum", dtype) for dtype in REAL),
        *((name, "float32") for name in ("mean", "amax", "var")),
        *(("sum", "complex64"), ("var", "complex64")),
    ],
)
def test_few_outputs_of_many_elements(cp, sums, same, name, dtype, case):
    shape, view, dim = LARGE[case]
    base = layouts.random(shape, dtype, seed=0)
    check(same, sums, name, view(cp, cp.asarray(base)), view(np, wide(base)), dim, False)


@pytest.mark.parametrize(
    ("shape", "dim", "launches"),
    [
        ((), (), 1),
        ((6, 200), (0,), 1),
        ((6, 200), (1,), 1),
        ((6, 200), (0, 1), 1),
        ((16384,), (0,), 1),
        ((16385,), (0,), 2),
        ((20000, 2), (0,), 2),
        ((300, 200), (1,), 1),
        ((300, 200), (0,), 1),
        ((2, 3, 4, 5, 6), (0, 2, 4), 2),  # one of them is a copy
    ],
)
@pytest.mark.parametrize("name", INTO)
def test_launches(cp, sums, count, name, shape, dim, launches):
    x = cp.ones(shape, "float32")
    made = count(lambda: INTO[name][0](sums, x, dim, False))
    assert (made.launches, made.copies_and_syncs) == (launches, {})


def test_a_kernel_serves_every_layout(cp, sums, device):
    if device != "hostcuda":
        pytest.skip("compilations are seen on hostcuda")
    import hostcuda

    sums.sum(cp.ones(3, "float32"))
    before = hostcuda.counters["compile"]
    for layout, dim in layouts.CASES:
        sums.sum(layouts.pair(cp, layout, "float32")[0], dim)
    assert hostcuda.counters["compile"] == before


# accuracy ----------------------------------------------------------------------------------------


def test_float16_is_added_up_in_float32(cp, sums):
    x = cp.full(10000, 0.1, "float16")
    assert float(sums.sum(x)) == 1000  # NumPy's cumsum stops at 256
    assert float(sums.mean(cp.full(300, 60000, "float16"))) == 60000
    assert float(sums.sum(cp.full(300, 60000, "float16"))) == inf
    wide = sums.xp_sum(cp.full(300, 60000, "float16"), dtype=np.float32)
    assert wide.dtype == "float32"
    assert abs(float(wide) / 18e6 - 1) < 1e-3


def test_float32_sums_keep_their_digits(cp, sums):
    x = np.random.default_rng(0).uniform(0, 1, (200_000, 2)).astype("float32")
    got = cp.asnumpy(sums.sum(cp.asarray(x), (0,)))
    np.testing.assert_allclose(got, x.astype(float).sum(0), rtol=3e-7)


def test_variance_of_numbers_far_from_0(cp, sums):
    x = (1e4 + np.random.default_rng(0).normal(size=(50, 400))).astype("float32")
    for dim in ((0,), (1,), (0, 1)):
        expected = var(x.astype(float), dim, 1, False)
        got = cp.asnumpy(sums.var(cp.asarray(x), dim, 1, False))
        np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_variance_of_equal_numbers_is_0(cp, sums):
    for value in (0.1, 1e30, -3.0):
        x = cp.full((7, 300), value, "float32")
        for dim in ((0,), (1,), (0, 1)):
            assert not cp.asnumpy(sums.var(x, dim, 1, False)).any()
            assert not cp.asnumpy(sums.std(x, dim, 1, False)).any()


def test_results_are_the_same_every_time(cp, sums):
    x = cp.asarray(layouts.random((300, 200), "float32", 0))
    for dim in ((0,), (1,), (0, 1)):
        first = cp.asnumpy(sums.sum(x, dim))
        for _ in range(3):
            np.testing.assert_array_equal(cp.asnumpy(sums.sum(x, dim)), first)
        # Nor does the layout of what is alike change them.
        np.testing.assert_array_equal(cp.asnumpy(sums.sum(x.reshape(-1))), sums.sum(x).get())


# nan and inf -------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 5, 299])
def test_extremes_are_nan_if_there_is_one(cp, sums, position):
    x = np.random.default_rng(0).normal(size=300).astype("float32")
    x[position] = nan
    for layout in (x, x.reshape(20, 15).T):
        dim = tuple(range(layout.ndim))
        assert math.isnan(sums.amax(cp.asarray(layout), dim))
        assert math.isnan(sums.amin(cp.asarray(layout), dim))


def test_infinities(cp, sums):
    x = cp.asarray([inf, -inf, 1.0])
    assert math.isnan(sums.sum(x))
    assert math.isnan(sums.var(x, (0,), 1, False))
    assert float(sums.amax(x)) == inf
    assert float(sums.amin(x)) == -inf
    assert float(sums.amax(cp.full(40, -inf, "float16"))) == -inf
    assert float(sums.sum(x[:1])) == inf


@pytest.mark.parametrize(("correction", "expected"), [(0, 0.0), (1, nan), (2, nan), (0.5, 0.0)])
def test_variance_of_one_number(cp, sums, correction, expected):
    got = sums.var(cp.ones((1,)), (0,), correction, False)
    np.testing.assert_array_equal(cp.asnumpy(got), expected)


def test_too_large_a_correction_is_infinite(cp, sums):
    assert float(sums.var(cp.asarray([1.0, 2.0]), (0,), 2, False)) == inf
    assert float(sums.std(cp.asarray([1.0, 2.0]), (0,), 3, False)) == inf


# functions of the namespace ----------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, 0), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sum_of_the_namespace_is_numpys(cp, sums, same, axis, keepdims):
    base = layouts.random((3, 4, 5), "float32", 0)
    x = cp.asarray(base)
    expected = base.astype(float).sum(axis=axis, keepdims=keepdims)
    same(sums.xp_sum(x, axis=axis, keepdims=keepdims), np.asarray(expected), "float32")
    count = math.prod(base.shape) / max(1, expected.size)
    same(sums.xp_mean(x, axis=axis, keepdims=keepdims), np.asarray(expected) / count, "float32")


def test_dtypes_of_the_sum_of_the_namespace(cp, sums):
    x = cp.asarray([1, 0, 3])
    for dtype in WHOLE:
        got = sums.xp_sum(x.astype(dtype))
        assert got.dtype == np.ones(1, dtype).sum().dtype
        assert sums.xp_sum(x.astype(dtype), dtype=np.int64).dtype == "int64"
    assert sums.xp_sum(x.astype("float32"), dtype=np.float64).dtype == "float64"
    assert sums.xp_sum(x, dtype=np.float32).dtype == "float32"


@pytest.mark.parametrize(
    ("shape", "narrow"),
    [
        ((6, 5), (5,)),
        ((6, 5), (1, 5)),
        ((6, 5), (6, 1)),
        ((6, 5), ()),
        ((2, 6, 5), (6, 1)),
        ((2, 6, 5), (2, 1, 5)),
        ((2, 3, 4, 5, 6), (1, 3, 1, 5, 1)),
        ((6, 5), (6, 5)),
        ((1, 6), (6,)),
        ((0, 5), (5,)),
        ((0, 5), (1, 5)),
        ((0, 5), ()),
    ],
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "int32"])
def test_sum_to(cp, sums, same, dtype, shape, narrow):
    base = np.random.default_rng(0).integers(-4, 5, shape).astype(dtype)
    axes = tuple(range(len(shape) - len(narrow)))
    expected = base.astype(float).sum(axes)
    axes = tuple(d for d, n in enumerate(narrow) if n == 1)
    got = sums.sum_to(cp.asarray(base), narrow)
    assert got.dtype == dtype
    same(got.astype(float), expected.sum(axes, keepdims=True).reshape(narrow), "float64")


def test_the_gradient_of_a_bias_is_one_reduction(cp, sums, count):
    g = cp.ones((20000, 3), "float32")
    made = count(lambda: sums.sum_to(g, (3,)))
    assert (made.launches, made.copies_and_syncs) == (2, {})
    made = count(lambda: sums.sum_to(g[:100], (3,)))
    assert (made.launches, made.copies_and_syncs) == (1, {})
    made = count(lambda: sums.sum_to(g, (20000, 3)))
    assert (made.launches, made.copies_and_syncs) == (0, {})


@pytest.mark.parametrize("dtype", INEXACT)
def test_dot_over(cp, sums, same, dtype):
    x, y = (layouts.random((5, 6, 7), dtype, seed) for seed in (1, 2))
    for dim, keepdims in itertools.product([(0,), (1,), (0, 2), (0, 1, 2)], [False, True]):
        got = sums.dot_over(cp.asarray(x), cp.asarray(y), dim, keepdims)
        expected = (wide(x).conj() * wide(y)).sum(dim, keepdims=keepdims)
        same(got, np.asarray(expected), "float32" if dtype == "float16" else dtype)


def test_large_contiguous_sums_are_left_to_cub(cp, sums, monkeypatch):
    calls = []
    monkeypatch.setattr(sums, "_CUB_FROM", 100)
    monkeypatch.setattr(sums, "_has_cub", lambda: calls.append(1) or True)
    x = cp.asarray(layouts.random((20, 30), "float32", 0))
    expected = float(x.get().astype(float).sum())
    assert abs(float(sums.sum(x)) - expected) < 1e-3
    assert sums.sum(x, (0, 1), True).shape == (1, 1)
    assert len(calls) == 2
    for other in (x[:, ::2], x.T, x[:3], x.astype("float16"), x.astype("int32")):
        sums.sum(other)
    sums.sum(x, (1,))
    assert len(calls) == 2


def test_cub_is_asked_for_only_where_cupy_uses_it(cp, sums, monkeypatch):
    monkeypatch.setattr(cp._core, "get_routine_accelerators", list)
    assert not sums._has_cub()
    cub = cp._core._accelerator.ACCELERATOR_CUB
    monkeypatch.setattr(cp._core, "get_routine_accelerators", lambda: [cub])
    assert sums._has_cub()


def test_a_dtype_without_a_kernel_is_named(cp, sums):
    with pytest.raises(TypeError, match="gc_amax is not made for complex64"):
        sums.amax(cp.ones(3, "complex64"))


# how the device is filled ------------------------------------------------------------------------

SHAPES = {
    "all": ((2**26,), (0,)),
    "all of two axes": ((2**13, 2**13), (0, 1)),
    "last": ((2**13, 2**13), (1,)),
    "last of few rows": ((4, 2**24), (1,)),
    "last, short": ((2**23, 8), (1,)),
    "first": ((2**13, 2**13), (0,)),
    "first of few columns": ((2**20, 64), (0,)),
    "first of two columns": ((2**25, 2), (0,)),
    "first, short": ((8, 2**23), (0,)),
    "bias": ((156250, 64), (0,)),
    "middle": ((64, 2**14, 64), (1,)),
    "middle of few": ((2, 2**24, 2), (1,)),
    "channels": ((64, 64, 128, 128), (0, 2, 3)),
    "channels last": ((64, 128, 128, 64), (0, 1, 2)),
}


def plan_of(shape, dim, itemsize=4):
    from gradcore_kernels.reduction import _plan

    strides = tuple(itemsize * math.prod(shape[d + 1 :]) for d in range(len(shape)))
    return _plan(shape, dim, False, strides).first


@pytest.mark.parametrize("case", SHAPES)
def test_large_reductions_fill_the_device(kernels, case):
    plan = plan_of(*SHAPES[case])
    threads = math.prod(plan.grid) * math.prod(plan.block)
    assert threads >= 132 * 8 * 128
    assert math.prod(plan.block) in (64, 128, 256, 512, 1024)
    # Few threads are idle: those past the last of the outputs.
    assert threads <= 2 * math.prod(SHAPES[case][0])


@pytest.mark.parametrize("case", SHAPES)
def test_loads_are_coalesced(kernels, case):
    plan = plan_of(*SHAPES[case])
    x, y, _ = plan.block
    steps = plan.steps[0]
    sectors = set()
    for lane in range(32):
        tile = lane // (x * y)
        assert plan.outer == 1 or tile == 0 or x == 1
        o, c = divmod(tile, plan.inner) if x == 1 else (0, tile * x + lane % x)
        at = o * steps.outer + c * steps.inner + (lane // x % y) * steps.fast
        sectors.add(at // 32)
    # 32 float32 are 4 sectors of 32 bytes; rows of 8 are whole sectors, read one after the other.
    assert len(sectors) <= (32 if case == "last, short" else 8)


# gradients ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("layout", "dim"), [("odd", (1,)), ("permuted", (1,)), ("3-d", (0, 2))])
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_gradients_of_var_and_std(cp, sums, same, dtype, layout, dim, keepdim):
    x, expected_of = layouts.pair(cp, layout, dtype)
    y = sums.std(x, dim, 1, keepdim)
    g = layouts.random(y.shape, y.dtype, seed=3)
    wide_g = g.astype(float) if keepdim else np.expand_dims(g.astype(float), dim)
    left = math.prod(x.shape[d] for d in dim) - 1
    slope = 2 * (expected_of - expected_of.mean(dim, keepdims=True)) / left * wide_g
    g = cp.asarray(g)
    (dx,) = sums.var_backward((True,), g, x, dim, 1, keepdim)
    same(dx, slope, dtype)
    (dx,) = sums.std_backward((True,), g, y, x, dim, 1, keepdim)
    same(dx, slope / (2 * np.sqrt(var(expected_of, dim, 1, True))), dtype)


@pytest.mark.parametrize("function", ["amax", "amin"])
def test_ties_share_the_gradient(cp, sums, function):
    x = cp.asarray([[1.0, 3, 3], [nan, 1, 1], [2, 2, 2]]) * (1 if function == "amax" else -1)
    y = getattr(sums, function)(x, (1,))
    (dx,) = sums.amax_backward((True,), cp.ones(3), y, x, (1,), False)
    expected = [[0, 0.5, 0.5], [nan, nan, nan], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(cp.asnumpy(dx), expected)
    y = getattr(sums, function)(x)
    (dx,) = sums.max_backward((True,), cp.ones(()), y, x)
    np.testing.assert_allclose(cp.asnumpy(dx), [[0, 0, 0], [1, 0, 0], [0, 0, 0]])


def test_launches_of_gradients(cp, sums, count):
    x = cp.ones((6, 200), "float32")
    y = sums.var(x, (1,), 1, False)
    for function in (
        lambda: sums.var_backward((True,), y, x, (1,), 1, False),
        lambda: sums.std_backward((True,), y, y, x, (1,), 1, False),
        lambda: sums.amax_backward((True,), y, y, x, (1,), False),
        lambda: sums.max_backward((True,), y[0], y[0], x),
    ):
        made = count(function)
        assert (made.launches, made.copies_and_syncs) == (2, {})


PROGRAMS = {
    "sum": lambda a: a.sum((0, 2)) * 2.0,
    "mean": lambda a: (a * a).mean(1),
    "prod": lambda a: a.prod(1),
    "amax": lambda a: (a * a).amax((0, 1)),
    "amin": lambda a: (a * a).amin(2, keepdim=True),
    "max": lambda a: (a * a).max(),
    "max along": lambda a: (a * a).max(1).values,
    "var": lambda a: a.var(1),
    "std": lambda a: a.std((0, 2), correction=0.5),
    "var_mean": lambda a: gd.cat([t.reshape(-1) for t in gd.var_mean(a, 2)]),
    "broadcasting": lambda a: a * (a[0, 0] * a[:, :1, :1]),
}


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", PROGRAMS)
def test_tensors_are_as_on_the_cpu(name):
    base = layouts.random((4, 5, 6), "float64", 0)
    found = []
    for device in ("cpu", "cuda"):
        x = gd.tensor(base, device=device, requires_grad=True)
        y = PROGRAMS[name](x)
        weights = gd.tensor(np.cos(np.arange(y.numel())).reshape(y.shape), device=device)
        (plain,) = gd.autograd.grad(y, x, weights, retain_graph=True)
        (first,) = gd.autograd.grad(y, x, weights, create_graph=True)
        (second,) = gd.autograd.grad((first * first * x).sum(), x)
        found.append([t.detach().cpu().numpy() for t in (y, plain, first, second)])
    for cpu, cuda in zip(*found, strict=True):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-9, atol=1e-11)
