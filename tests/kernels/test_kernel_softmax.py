import math

import layouts
import numpy as np
import pytest

import gradcore as gd

pytestmark = pytest.mark.cuda

REAL = ["float16", "float32", "float64"]
nan, inf = math.nan, math.inf


@pytest.fixture
def functions(kernels):
    from gradcore_kernels import softmax

    return softmax


def softmax(x, dim):
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


def log_softmax(x, dim):
    x = x - x.max(dim, keepdims=True)
    return x - np.log(np.exp(x).sum(dim, keepdims=True))


def softmax_vjp(g, y, dim):
    return y * (g - (g * y).sum(dim, keepdims=True))


def log_softmax_vjp(g, y, dim):
    return g - np.exp(y) * g.sum(dim, keepdims=True)


BOTH = {
    "softmax": (softmax, softmax_vjp),
    "log_softmax": (log_softmax, log_softmax_vjp),
}
# Scores, a view of them, the axis: rows of a thread, a warp, a block, longer ones, and in parts.
CASES = {
    "one": ((1,), lambda a: a, 0),
    "two": ((3, 2), lambda a: a, 1),
    "classes": ((70, 10), lambda a: a, 1),
    "a warp's row": ((3, 300), lambda a: a, -1),
    "a block's row": ((2, 3000), lambda a: a, 1),
    "a longer row": ((2, 17001), lambda a: a, 1),
    "in parts": ((66001,), lambda a: a, 0),
    "channels": ((2, 5, 4, 3), lambda a: a, 1),
    "channels, wide": ((2, 19, 40), lambda a: a, -2),
    "first, long": ((600, 3), lambda a: a, 0),
    "first, longer": ((1100, 33), lambda a: a, 0),
    "first, in parts": ((17000, 4), lambda a: a, 0),
    "transposed": ((20, 7), lambda a: a.T, 0),
    "permuted": ((4, 5, 6), lambda a: a.transpose(2, 0, 1), 1),
    "every other": ((6, 40), lambda a: a[::2, ::-3], 1),
    "not mergeable": ((3, 4, 5, 6, 2), lambda a: a[:, ::2, ::2, ::2], 2),
}


def scores(shape, dtype, seed=0):
    return (3 * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", REAL)
def test_values_and_gradients(cp, functions, same, dtype, name, case):
    shape, view, dim = CASES[case]
    formula, vjp = BOTH[name]
    x = scores(shape, dtype)
    y = getattr(functions, name)(view(cp.asarray(x)), dim)
    expected = formula(view(x.astype(float)), dim)
    same(y, expected, dtype)
    g = np.random.default_rng(1).normal(size=expected.shape).astype(dtype)
    backward = getattr(functions, name + "_backward")
    (dx,) = backward((True,), cp.asarray(g), y, dim)
    # Of the y that is there, which in float16 is rounded.
    same(dx, vjp(g.astype(float), cp.asnumpy(y).astype(float), dim), dtype)


@pytest.mark.parametrize("name", BOTH)
def test_expanded_cotangents_need_no_copy(cp, functions, same, count, name):
    formula, vjp = BOTH[name]
    x = scores((5, 40), "float32")
    y = getattr(functions, name)(cp.asarray(x), 1)
    backward = getattr(functions, name + "_backward")
    for g in (np.float32(3.0), np.arange(40, dtype="f4"), np.arange(5, dtype="f4")[:, None]):
        expanded = cp.broadcast_to(cp.asarray(g), (5, 40))
        made = count(lambda g=expanded: backward((True,), g, y, 1))
        assert (made.launches, made.copies_and_syncs) == (1, {})
        (dx,) = backward((True,), expanded, y, 1)
        wide_g = np.broadcast_to(g.astype(float), (5, 40))
        same(dx, vjp(wide_g, formula(x.astype(float), 1), 1), "float32")


@pytest.mark.parametrize("name", BOTH)
def test_results_lie_in_memory_as_the_scores(cp, functions, name):
    x = cp.asarray(scores((20, 7), "float32")).T
    y = getattr(functions, name)(x, 0)
    assert y.strides == x.strides
    (dx,) = getattr(functions, name + "_backward")((True,), cp.ones((7, 20), "f4"), y, 0)
    assert dx.strides == x.strides


@pytest.mark.parametrize("name", BOTH)
def test_0_d_and_empty(cp, functions, same, name):
    function, backward = getattr(functions, name), getattr(functions, name + "_backward")
    y = function(cp.asarray(5.0), None)
    same(y, np.asarray(1.0 if name == "softmax" else 0.0), "float64")
    same(backward((True,), cp.ones(()), y, None)[0], np.asarray(0.0), "float64")
    for shape, dim in [((0,), 0), ((2, 0), 1), ((0, 3), 1), ((0, 3), 0)]:
        y = function(cp.empty(shape, "float16"), dim)
        same(y, np.empty(shape), "float16")
        same(backward((True,), y, y, dim)[0], np.empty(shape), "float16")


SPECIAL = [
    ([-inf, -inf, -inf], [nan, nan, nan], [nan, nan, nan]),
    ([inf, 1, 2], [nan, nan, nan], [nan, nan, nan]),
    ([nan, 1, inf], [nan, nan, nan], [nan, nan, nan]),
    ([1, nan, -inf], [nan, nan, nan], [nan, nan, nan]),
    ([-inf, 0, 0], [0, 0.5, 0.5], [-inf, -math.log(2), -math.log(2)]),
    ([1e4, 1e4 - 1, 0], [1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0], None),
    ([-3e38, -3e38, -3.4e38], [0.5, 0.5, 0], None),
]


@pytest.mark.parametrize("length", [3, 17000, 66000])
@pytest.mark.parametrize(("values", "likely", "log"), SPECIAL)
def test_infinities(cp, functions, same, values, likely, log, length):
    # The same with as many -inf behind, or before, as make a row long.
    x = np.full((2, length), -inf, "float32")
    x[0, :3], x[1, -3:] = values, values
    y = cp.asnumpy(functions.softmax(cp.asarray(x), 1))
    np.testing.assert_allclose(y[0, :3], likely, rtol=1e-6)
    np.testing.assert_allclose(y[1, -3:], likely, rtol=1e-6)
    if log is not None:
        y = cp.asnumpy(functions.log_softmax(cp.asarray(x), 1))
        np.testing.assert_allclose(y[0, :3], log, rtol=1e-6)
        np.testing.assert_allclose(y[1, -3:], log, rtol=1e-6)


def test_float16_is_calculated_in_float32(cp, functions):
    x = cp.zeros((2, 4000), "float16")  # 4000 ones do not add up in float16, nor does 1/4000
    y = cp.asnumpy(functions.softmax(x, 1))
    np.testing.assert_array_equal(y, np.float16(1 / 4000))
    g = cp.full((2, 4000), 60000, "float16")
    (dx,) = functions.softmax_backward((True,), g, cp.asarray(y), 1)
    assert np.abs(cp.asnumpy(dx)).max() < 0.02
    y = cp.asnumpy(functions.log_softmax(x, 1))
    np.testing.assert_array_equal(y, np.float16(-math.log(4000)))


@pytest.mark.parametrize(
    ("shape", "dim", "launches"),
    [
        ((6, 10), 1, 1),
        ((2, 3000), 1, 1),
        ((1, 50257), 1, 1),
        ((300, 20), 0, 1),
        ((2, 19, 40), 1, 1),
        ((66001,), 0, 2),
        ((17000, 4), 0, 2),
    ],
)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", BOTH)
def test_launches(cp, functions, count, name, dtype, shape, dim, launches):
    function, backward = getattr(functions, name), getattr(functions, name + "_backward")
    x = cp.ones(shape, dtype)
    made = count(lambda: function(x, dim))
    assert (made.launches, made.copies_and_syncs) == (launches, {})
    y = function(x, dim)
    made = count(lambda: backward((True,), x, y, dim))
    assert (made.launches, made.copies_and_syncs) == (launches, {})


def test_many_rows_fill_the_device(kernels):
    from gradcore_kernels.tiles import tiles

    def threads(shape, dim):
        steps = tuple(4 * math.prod(shape[d + 1 :]) for d in range(len(shape)))
        plan = tiles(shape, (dim,), 16, 1024, 65536, steps, steps)
        assert math.prod(plan.block) <= 1024
        assert math.prod(plan.block) % 32 == 0
        return math.prod(plan.grid) * math.prod(plan.block)

    for shape, dim in [
        ((2**20, 64), 1),
        ((2**16, 1024), 1),
        ((2**11, 2**15), 1),
        ((64, 2**20), 1),
        ((2**26,), 0),
        ((64, 1024, 1024), 1),
        ((2**20, 64), 0),
    ]:
        assert threads(shape, dim) >= 132 * 8 * 128, (shape, dim)


# the logarithm of a sum of exponentials ----------------------------------------------------------


def logsumexp(x, dim, keepdim):
    if not math.prod(x.shape[d] for d in dim):
        return x.sum(dim, keepdims=keepdim) - inf
    top = x.real.max(dim, keepdims=True)
    y = np.log(np.exp(x - top).sum(dim, keepdims=True)) + top
    return y if keepdim else y.reshape([n for d, n in enumerate(x.shape) if d not in dim])


LONG = [((20011,), (0,)), ((3, 20011), (1,)), ((20011, 3), (0,)), ((139, 3, 140), (0, 2))]


def check_logsumexp(cp, functions, same, x, expected_of, dim, keepdim):
    dtype = x.dtype.name
    y = functions.logsumexp(x, dim, keepdim)
    with np.errstate(all="ignore"):
        expected = logsumexp(expected_of, dim, keepdim)
    same(y, np.asarray(expected), dtype)
    g = layouts.random(y.shape, dtype, seed=3)
    (dx,) = functions.logsumexp_backward((True,), cp.asarray(g), y, x, dim, keepdim)
    of_y = cp.asnumpy(y).astype(expected_of.dtype)
    if not keepdim:
        g, of_y = np.expand_dims(g, dim), np.expand_dims(of_y, dim)
    slope = np.conj(np.exp(expected_of - of_y)) * g.astype(expected_of.dtype)
    same(dx, np.asarray(slope), dtype)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("layout", "dim"), layouts.CASES)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_logsumexp_of_every_layout(cp, functions, same, dtype, layout, dim, keepdim):
    x, expected_of = layouts.pair(cp, layout, dtype)
    check_logsumexp(cp, functions, same, x, expected_of, dim, keepdim)


@pytest.mark.parametrize(("shape", "dim"), [*LONG, ((5, 6, 7), (1,)), ((5, 6, 7), (0, 1, 2))])
@pytest.mark.parametrize("dtype", [*REAL, "complex128"])
def test_logsumexp_of_every_dtype(cp, functions, same, dtype, shape, dim):
    x = layouts.random(shape, dtype, seed=0)
    expected_of = x.astype(np.complex128 if dtype == "complex128" else float)
    check_logsumexp(cp, functions, same, cp.asarray(x), expected_of, dim, False)


@pytest.mark.parametrize("length", [4, 20000])
def test_logsumexp_of_infinities(cp, functions, length):
    def of(*values):
        x = np.full(length, -inf)
        x[: len(values)] = values
        x[-len(values) :] = values
        return float(functions.logsumexp(cp.asarray(x), (0,), False))

    assert of(-inf) == -inf
    assert of(inf, 1) == inf
    assert math.isnan(of(nan, 1))
    assert math.isnan(of(nan, inf))
    assert of(1000.0, 1000.0) == pytest.approx(1000 + math.log(4))
    assert of(-1000.0) == pytest.approx(-1000 + math.log(2))


@pytest.mark.parametrize(
    ("shape", "dim", "launches"),
    [((6, 10), (1,), 1), ((6, 10), (0,), 1), ((3, 4, 5), (0, 2), 1), ((200, 100), (0, 1), 2)],
)
@pytest.mark.parametrize("dtype", ["float16", "complex64"])
def test_launches_of_logsumexp(cp, functions, count, dtype, shape, dim, launches):
    x = cp.ones(shape, dtype)
    made = count(lambda: functions.logsumexp(x, dim, False))
    assert (made.launches, made.copies_and_syncs) == (launches, {})
    y = functions.logsumexp(x, dim, False)
    made = count(lambda: functions.logsumexp_backward((True,), y, y, x, dim, False))
    assert (made.launches, made.copies_and_syncs) == (1, {})


# Tensors -----------------------------------------------------------------------------------------

PROGRAMS = {
    "softmax": lambda a: gd.softmax(a, -1),
    "softmax over the middle": lambda a: gd.softmax(a, 1),
    "log_softmax": lambda a: gd.log_softmax(a, 0),
    "logsumexp": lambda a: gd.logsumexp(a, (0, 2)),
    "all": lambda a: gd.softmax(a, 2) * gd.log_softmax(a, 2) - gd.logsumexp(a, 2, keepdim=True),
}


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", PROGRAMS)
def test_tensors_are_as_on_the_cpu(name):
    base = scores((4, 5, 6), "float64")
    found = []
    for device in ("cpu", "cuda"):
        x = gd.tensor(base, device=device, requires_grad=True)
        y = PROGRAMS[name](x)
        weights = gd.tensor(np.cos(np.arange(y.numel())).reshape(y.shape), device=device)
        (plain,) = gd.autograd.grad(y, x, weights, retain_graph=True)
        (first,) = gd.autograd.grad(y, x, weights, create_graph=True)
        (second,) = gd.autograd.grad((first * first).sum(), x)
        found.append([t.detach().cpu().numpy() for t in (y, plain, first, second)])
    for cpu, cuda in zip(*found, strict=True):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", BOTH)
def test_float16_tensors_are_not_cast(count, name):
    base = scores((6, 40), "float16")
    function = getattr(gd, name)
    x = gd.tensor(base, device="cuda", requires_grad=True)
    weights = gd.tensor(scores((6, 40), "float16", 1), device="cuda")
    y = function(x, 1)
    (dx,) = gd.autograd.grad(y, x, weights, retain_graph=True)
    assert (y.dtype, dx.dtype) == (gd.float16, gd.float16)
    made = count(lambda: function(x, 1))
    assert (made.launches, made.copies_and_syncs) == (1, {})
    made = count(lambda: gd.autograd.grad(y, x, weights, retain_graph=True))
    assert (made.launches, made.copies_and_syncs) == (1, {})

    on_cpu = gd.tensor(base, requires_grad=True)
    expected = function(on_cpu, 1)
    np.testing.assert_allclose(y.detach().cpu().numpy(), expected.detach().numpy(), rtol=2e-3)
    (slope,) = gd.autograd.grad(expected, on_cpu, weights.cpu())
    np.testing.assert_allclose(dx.cpu().numpy(), slope.numpy(), rtol=2e-2, atol=4e-3)
