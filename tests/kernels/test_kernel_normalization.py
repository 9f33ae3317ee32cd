import itertools
import math

import numpy as np
import pytest

import gradcore as gd
from gradcore.nn import functional as F

pytestmark = pytest.mark.cuda

# Of the input, and of the parameters.
TYPES = [
    ("float16", "float16"),
    ("float16", "float32"),
    ("float32", "float32"),
    ("float64", "float64"),
]
WANTED = list(itertools.product([True, False], repeat=3))
EPS = 1e-3


def numbers(shape, dtype, seed):
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(dtype)


def wide(*arrays):
    return [a if a is None else a.astype(float) for a in arrays]


def standardized(x, axes, centred=True):
    """The float64 formula: the normalised array, and the factor."""
    centre = x - x.mean(axes, keepdims=True) if centred else x
    factor = 1 / np.sqrt((centre * centre).mean(axes, keepdims=True) + EPS)
    return centre * factor, factor


def slope(h, z, factor, axes, centred=True):
    """The gradient of the normalised array z = x * factor, for the cotangent h."""
    shift = h.mean(axes, keepdims=True) if centred else 0
    return (h - shift - z * (h * z).mean(axes, keepdims=True)) * factor


class Rows:
    """layer_norm or rms_norm of device arrays, and what float64 says of them."""

    def __init__(self, cp, kernels, x, g, w, b, axes, centred):
        self.axes, self.centred = axes, centred
        self.kernels, self.kept = kernels.normalization, []
        self.x, self.g = x, g
        absent = cp.ones((), x.dtype if w is None and b is None else (w if b is None else b).dtype)
        self.w = absent if w is None else w
        self.b = absent if b is None else b
        x, g, w, b = wide(*[None if a is None else cp.asnumpy(a) for a in (x, g, w, b)])
        z, factor = standardized(x, axes, centred)
        self.y = z * (1 if w is None else w) + (0 if b is None else b)
        batch = tuple(range(axes[0]))
        self.dx = slope(g * (1 if w is None else w), z, factor, axes, centred)
        self.dw, self.db = (g * z).sum(batch), g.sum(batch)

    def forward(self):
        given = (self.x, self.w, self.b) if self.centred else (self.x, self.w)
        function = self.kernels.layer_norm if self.centred else self.kernels.rms_norm
        return function(*given, self.axes, EPS, self.kept)

    def backward(self, *wanted):
        name = "layer_norm_backward" if self.centred else "rms_norm_backward"
        wanted = wanted[: 3 if self.centred else 2]
        return getattr(self.kernels, name)(wanted, self.g, self.x, self.w, self.axes, self.kept)

    def check(self, same):
        same(self.forward(), self.y, self.x.dtype)
        found = self.backward(True, True, True)
        for d, expected, like in zip(
            found, (self.dx, self.dw, self.db), (self.x, self.w, self.w), strict=False
        ):
            same(d, expected, like.dtype)


def rows(cp, kernels, shape, dtype, parameters=None, axes=(1,), centred=True):
    x, g = (cp.asarray(numbers(shape, dtype, seed)) for seed in (0, 1))
    w, b = (cp.asarray(numbers(shape[axes[0] :], parameters or dtype, seed)) for seed in (2, 3))
    return Rows(cp, kernels, x, g, w, b if centred else None, axes, centred)


# Threads have rows alone or together, in a warp or in a block; what is held is a part of the row or
# all of it; 16 bytes are read at once or one number.
LENGTHS = [1, 3, 4, 16, 20, 100, 131, 260, 1028, 2052]


@pytest.mark.parametrize("count", LENGTHS)
@pytest.mark.parametrize("centred", [True, False])
def test_rows_of_every_length(cp, kernels, same, count, centred):
    rows(cp, kernels, (5, count), "float32", centred=centred).check(same)


@pytest.mark.parametrize(("count", "batch"), [(4099, 1), (16392, 1), (36, 70), (7, 300), (4, 2100)])
def test_rows_that_are_longer_than_what_is_held_and_many_rows(cp, kernels, same, count, batch):
    rows(cp, kernels, (batch, count), "float32").check(same)


@pytest.mark.parametrize(("shape", "axes"), [((9, 24), (1,)), ((3, 2, 5), (1, 2)), ((31,), (0,))])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("dtype", "parameters"), TYPES)
def test_rows_of_every_dtype(cp, kernels, same, dtype, parameters, centred, shape, axes):
    rows(cp, kernels, shape, dtype, parameters, axes, centred).check(same)


def layouts(cp, a):
    """The same numbers in other layouts; the last begins where no access of 16 bytes may."""
    shifted = cp.empty(a.size + 1, a.dtype)[1:].reshape(a.shape)
    shifted[...] = a
    return {
        "transposed": cp.ascontiguousarray(a.T).T,
        "every other": cp.repeat(a, 2, -1)[..., ::2],
        "backwards": cp.ascontiguousarray(a[::-1])[::-1],
        "shifted": shifted,
    }


@pytest.mark.parametrize("layout", ["transposed", "every other", "backwards", "shifted"])
def test_rows_of_every_layout(cp, kernels, same, layout):
    case = rows(cp, kernels, (6, 32), "float32")
    for name in ("x", "g", "w", "b"):
        setattr(case, name, layouts(cp, getattr(case, name))[layout])
    case.check(same)


def test_an_expanded_cotangent(cp, kernels, same):
    x, w = (cp.asarray(numbers(shape, "float32", 0)) for shape in ((4, 6), (6,)))
    g = cp.broadcast_to(cp.asarray(numbers((4, 1), "float32", 1)), (4, 6))
    Rows(cp, kernels, x, g, w, w, (1,), True).check(same)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_rows_without_parameters(cp, kernels, same, weighted, biased):
    x, g = (cp.asarray(numbers((5, 8), "float32", seed)) for seed in (0, 1))
    w = cp.asarray(numbers(8, "float32", 2)) if weighted else None
    b = cp.asarray(numbers(8, "float32", 3)) if biased else None
    case = Rows(cp, kernels, x, g, w, b, (1,), True)
    same(case.forward(), case.y, "float32")
    dx, dw, db = case.backward(True, weighted, biased)
    same(dx, case.dx, "float32")
    assert (dw is None, db is None) == (not weighted, not biased)
    if weighted:
        same(dw, case.dw, "float32")
    if biased:
        same(db, case.db, "float32")


@pytest.mark.parametrize("wanted", WANTED)
def test_launches_over_rows(cp, kernels, count, wanted):
    for batch, second in ((20, 0), (2000, 1)):
        case = rows(cp, kernels, (batch, 16), "float32")
        case.forward()
        made = count(case.forward)
        assert (made.launches, made.copies_and_syncs) == (1, {})
        case.backward(*wanted)
        made = count(lambda case=case: case.backward(*wanted))
        columns = 1 + second if wanted[1] or wanted[2] else 0
        assert (made.launches, made.copies_and_syncs) == (wanted[0] + columns, {})
        assert [d is not None for d in case.backward(*wanted)] == list(wanted)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_empty_rows(cp, kernels, count, shape):
    x, w = cp.ones(shape, "float32"), cp.ones(shape[1:], "float32")
    kept = []
    made = count(lambda: kernels.normalization.layer_norm(x, w, w, (1,), EPS, kept))
    assert made.launches == 0
    dx, dw, db = kernels.normalization.layer_norm_backward((True,) * 3, x, x, w, (1,), kept)
    assert dx.shape == shape
    assert dw.tolist() == db.tolist() == [0.0] * shape[1]


def test_means_far_from_zero_are_exact(cp, kernels):
    x = (numbers((3, 1000), "float32", 0) + np.float32(3000)).astype("float32")
    one = cp.ones((), "float32")
    expected, _ = standardized(x.astype(float), (1,))
    y = kernels.normalization.layer_norm(cp.asarray(x), one, one, (1,), EPS, [])
    np.testing.assert_allclose(y.get(), expected, atol=1e-3)
    y = kernels.normalization.batch_norm(cp.asarray(x.T), one, one, None, True, 0.1, EPS, [])
    np.testing.assert_allclose(y.get(), expected.T, atol=1e-3)


def test_equal_float16_numbers_near_the_largest_give_the_bias(cp, kernels):
    x, b = cp.full((2, 520), 60_000, "float16"), cp.arange(520, dtype="float16")
    y = kernels.normalization.layer_norm(x, cp.ones(520, "float16"), b, (1,), 1e-5, [])
    assert (y == b).all()
    z = kernels.normalization.batch_norm(x.T, b[:2], b[:2], None, True, 0.1, 1e-5, [])
    assert (z == b[:2]).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_not_finite_spoils_no_other(cp, kernels, bad):
    x = cp.asarray(numbers((4, 40), "float32", 0))
    x[1, 7] = bad
    one = cp.ones((), "float32")
    finite = cp.asarray([True, False, True, True])[:, None]
    for y in (
        kernels.normalization.layer_norm(x, one, one, (1,), EPS, []),
        kernels.normalization.batch_norm(x.T, one, one, None, True, 0.1, EPS, []).T,
    ):
        assert cp.isnan(y[1]).all()
        assert (cp.isfinite(y) == finite).all()


class Batch:
    """batch_norm of device arrays in training, and what float64 says of it."""

    def __init__(self, cp, kernels, shape, dtype, parameters=None):
        self.kernels, self.kept = kernels.normalization, []
        channels = shape[1]
        parameters = parameters or dtype
        self.x, self.g = (cp.asarray(numbers(shape, dtype, seed)) for seed in (0, 1))
        self.w, self.b = (cp.asarray(numbers(channels, parameters, seed)) for seed in (2, 3))
        mean, var = (numbers(channels, parameters, seed) for seed in (4, 5))
        self.running = cp.asarray(mean), cp.asarray(np.abs(var))
        x, g, w, b, mean, var = wide(*map(cp.asnumpy, (self.x, self.g, self.w, self.b)), mean, var)
        var = np.abs(var)
        self.axes = axes = (0, *range(2, len(shape)))
        column = (channels,) + (1,) * (len(shape) - 2)
        z, factor = standardized(x, axes)
        self.y = z * w.reshape(column) + b.reshape(column)
        n = x.size // channels
        self.new_running = (
            0.75 * mean + 0.25 * x.mean(axes),
            0.75 * var + 0.25 * x.var(axes) * n / (n - 1),
        )
        self.dx = slope(g, z, factor, axes) * w.reshape(column)
        self.dw, self.db = (g * z).sum(axes), g.sum(axes)
        z = (x - mean.reshape(column)) / np.sqrt(var.reshape(column) + EPS)
        self.eval_y = z * w.reshape(column) + b.reshape(column)
        self.eval_dx = g * (w / np.sqrt(var + EPS)).reshape(column)
        self.eval_dw = (g * z).sum(axes)

    def forward(self, training=True):
        return self.kernels.batch_norm(
            self.x, self.w, self.b, self.running, training, 0.25, EPS, self.kept
        )

    def backward(self, *wanted, training=True):
        shape = self.w.shape
        return self.kernels.batch_norm_backward(
            wanted, self.g, self.x, self.w, shape, shape, training, self.kept[-1:]
        )

    def check(self, same):
        parameters, dtype = self.w.dtype, self.x.dtype
        same(self.forward(False), self.eval_y, dtype)
        dx, dw, db = self.backward(True, True, True, training=False)
        same(dx, self.eval_dx, dtype)
        same(dw, self.eval_dw, parameters)
        same(db, self.db, parameters)
        same(self.forward(), self.y, dtype)
        for running, expected in zip(self.running, self.new_running, strict=True):
            same(running.copy(), expected, parameters)
        dx, dw, db = self.backward(True, True, True)
        same(dx, self.dx, dtype)
        same(dw, self.dw, parameters)
        same(db, self.db, parameters)


@pytest.mark.parametrize(
    "shape",
    [
        *[(4, 3), (300, 2), (2, 1), (70, 33), (1500, 12)],
        *[(2, 3, 5), (1, 2, 3), (3, 2, 40), (2, 3, 2, 2), (2, 2, 2, 3, 2), (2, 1, 9000)],
    ],
)
def test_batches_of_every_shape(cp, kernels, same, shape):
    Batch(cp, kernels, shape, "float32").check(same)


@pytest.mark.parametrize("shape", [(5, 6), (3, 2, 7)])
@pytest.mark.parametrize(("dtype", "parameters"), TYPES)
def test_batches_of_every_dtype(cp, kernels, same, dtype, parameters, shape):
    Batch(cp, kernels, shape, dtype, parameters).check(same)


@pytest.mark.parametrize("layout", ["transposed", "every other", "backwards", "shifted"])
def test_batches_of_every_layout(cp, kernels, same, layout):
    case = Batch(cp, kernels, (6, 4, 8), "float32")
    for name in ("x", "g", "w", "b"):
        setattr(case, name, layouts(cp, getattr(case, name))[layout])
    case.running = [layouts(cp, r)[layout] for r in case.running]
    case.check(same)


def test_batches_without_parameters_and_running_statistics(cp, kernels, same):
    case = Batch(cp, kernels, (6, 4), "float32")
    w, b = cp.asnumpy(case.w), cp.asnumpy(case.b)
    case.w = case.b = cp.ones((), "float32")
    case.running = None
    same(case.forward(), (case.y - b) / w, "float32")
    dx, dw, db = case.backward(True, False, False)
    same(dx, case.dx / w, "float32")
    assert dw is db is None


@pytest.mark.parametrize("wanted", WANTED)
def test_launches_over_channels(cp, kernels, count, wanted):
    for shape, second in (((20, 6), 0), ((2000, 16), 1), ((2, 1, 9000), 1)):
        case = Batch(cp, kernels, shape, "float32")
        for training in (True, False):
            case.forward(training)
            made = count(lambda case=case, training=training: case.forward(training))
            statistics = 1 + second if training else 0
            assert (made.launches, made.copies_and_syncs) == (1 + statistics, {})
            made = count(
                lambda case=case, training=training: case.backward(*wanted, training=training)
            )
            sums = wanted[1] or wanted[2] or (training and wanted[0])
            launches = wanted[0] + (1 + second if sums else 0)
            assert (made.launches, made.copies_and_syncs) == (launches, {})


# gradcore's functions on CUDA Tensors


def layer(x, w, b):
    return F.layer_norm(x, x.shape[2:], w, b)


def root(x, w, b):
    return F.rms_norm(x, x.shape[2:], w) * 2.0


def batch(x, w, b):
    return F.batch_norm(x.mT, None, None, w, b, True)


def evaluated(x, w, b):
    mean = gd.linspace(-1.0, 1.0, 6, dtype=w.dtype, device=w.device)
    return F.batch_norm(x.mT, mean, mean * mean + 0.5, w, b)


PROGRAMS = {
    "layer_norm": layer,
    "layer_norm without parameters": lambda x, w, b: F.layer_norm(x, x.shape[1:]) + w * b,
    "layer_norm without a bias": lambda x, w, b: F.layer_norm(x, (6,), w) + b,
    "rms_norm": lambda x, w, b: F.rms_norm(x, (6,), w) + b,
    "rms_norm without a weight": lambda x, w, b: F.rms_norm(x, (4, 6)) + w * b,
    "batch_norm": batch,
    "batch_norm without a weight": lambda x, w, b: (
        F.batch_norm(x.mT, None, None, None, b, True).mT * w
    ),
    "batch_norm in evaluation": evaluated,
}


def leaves(device, dtype, parameters):
    x, w, b = numbers((3, 4, 6), dtype, 0), *(numbers(6, parameters, seed) for seed in (1, 2))
    return [gd.tensor(a, device=device, requires_grad=True) for a in (x, w, b)]


def compare(results, tolerance):
    for cpu, cuda in zip(*results, strict=True):
        assert cuda.device.type == "cuda"
        assert cpu.dtype == cuda.dtype
        a, b = cpu.detach().numpy().astype(float), cuda.detach().cpu().numpy().astype(float)
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("dtype", "parameters"), TYPES)
def test_values_and_gradients_are_those_of_the_cpu(name, dtype, parameters):
    results = []
    for device in ("cpu", "cuda"):
        inputs = leaves(device, dtype, parameters)
        y = PROGRAMS[name](*inputs)
        (y * y).sum().backward()
        results.append([y, *(t.grad for t in inputs)])
    compare(results, {"float16": 3e-2, "float32": 2e-5, "float64": 1e-11}[dtype])


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("dtype", "parameters"), [("float64", "float64"), ("float16", "float32")])
def test_second_derivatives_are_those_of_the_cpu(name, dtype, parameters):
    results = []
    for device in ("cpu", "cuda"):
        inputs = leaves(device, dtype, parameters)
        y = PROGRAMS[name](*inputs)
        first = gd.autograd.grad((y * y).sum(), inputs, create_graph=True)
        assert [g.dtype for g in first] == [t.dtype for t in inputs]
        second = gd.autograd.grad(sum((g * g).sum() for g in first), inputs)
        results.append([*first, *second])
    compare(results, 0.1 if dtype == "float16" else 1e-9)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize(
    ("name", "launches"),
    [("layer_norm", 2), ("rms_norm", 2), ("batch_norm", 2), ("batch_norm in evaluation", 2)],
)
def test_the_backward_of_tensors_is_the_kernels(cp, count, name, launches):
    function = {
        "layer_norm": lambda x, w, b: F.layer_norm(x, (6,), w, b),
        "rms_norm": lambda x, w, b: F.rms_norm(x, (6,), w),
        "batch_norm": lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
        "batch_norm in evaluation": lambda x, w, b: F.batch_norm(x, zeros, zeros, w, b),
    }[name]
    zeros = gd.zeros(6, device="cuda")
    x, w, b = (gd.ones(*shape, device="cuda", requires_grad=True) for shape in ((4, 6), (6,), (6,)))
    inputs = (x, w) if name == "rms_norm" else (x, w, b)
    y = function(x, w, b)
    v = gd.ones(4, 6, device="cuda")
    gd.autograd.grad(y, inputs, v, retain_graph=True)
    made = count(lambda: gd.autograd.grad(y, inputs, v, retain_graph=True))
    assert (made.launches, made.copies_and_syncs) == (launches, {})


@pytest.mark.usefixtures("cuda")
def test_absent_parameters_cost_no_copies(count):
    x = gd.ones(4, 6, device="cuda")
    run = lambda: (
        F.layer_norm(x, (6,)),
        F.rms_norm(x, (6,)),
        F.batch_norm(x, None, None, training=True),
    )
    run()
    made = count(run)
    assert (made.launches, made.copies_and_syncs) == (4, {})


@pytest.mark.usefixtures("cuda")
def test_running_statistics_of_tensors_change_in_place(count):
    x = gd.tensor(numbers((8, 3), "float32", 0), device="cuda")
    mean, var = gd.zeros(3, device="cuda"), gd.ones(3, device="cuda")
    F.batch_norm(x, mean, var, training=True)
    np.testing.assert_allclose(mean.cpu().numpy(), 0.1 * x.cpu().numpy().mean(0), rtol=1e-5)
    expected = 0.9 + 0.1 * x.cpu().numpy().var(0, ddof=1)
    np.testing.assert_allclose(var.cpu().numpy(), expected, rtol=1e-5)
    made = count(lambda: F.batch_norm(x, mean, var, training=True))
    assert (made.launches, made.copies_and_syncs) == (2, {})
    before = mean.tolist(), var.tolist()
    F.batch_norm(x, mean, var)
    assert (mean.tolist(), var.tolist()) == before


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0)])
def test_an_empty_batch(shape):
    mean, var = gd.zeros(3, device="cuda"), gd.ones(3, device="cuda")
    x = gd.ones(*shape, device="cuda", requires_grad=True)
    w, b = (gd.ones(3, device="cuda", requires_grad=True) for _ in range(2))
    y = F.batch_norm(x, mean, var, w, b, True)
    y.sum().backward()
    assert y.shape == shape
    assert x.grad.shape == shape
    assert w.grad.tolist() == b.grad.tolist() == mean.tolist() == [0.0] * 3
