import itertools
import math

import numpy as np
import pytest

import gradcore as gd

pytestmark = pytest.mark.cuda

F = gd.nn.functional
REAL = ["float16", "float32", "float64"]
nan, inf = math.nan, math.inf


@pytest.fixture
def functions(kernels):
    from gradcore_kernels import cross_entropy

    return cross_entropy


def formula(x, labels, options):
    """Return the loss and, per row, the gradient of its loss, by the targets' probabilities."""
    weight, ignored, smoothing, reduction, given = options
    dim = 1 if x.ndim > 1 else 0
    classes = x.shape[dim]
    weight = np.ones(classes) if weight is None else weight
    weight = weight.reshape((classes,) + (1,) * (x.ndim - dim - 1))
    number = np.arange(classes).reshape(weight.shape)
    labels = np.expand_dims(labels, dim)
    counts = labels != ignored
    q = ((labels == number) * (1 - smoothing) + smoothing / classes) * weight * counts
    shifted = x - x.max(dim, keepdims=True)
    logp = x if given else shifted - np.log(np.exp(shifted).sum(dim, keepdims=True))
    with np.errstate(invalid="ignore"):
        loss = -np.where(q == 0, 0, q * logp).sum(dim)
    slope = -q if given else np.exp(logp) * q.sum(dim, keepdims=True) - q
    total = ((labels == number) * weight * counts).sum()
    if reduction == "none":
        return loss, slope
    with np.errstate(all="ignore"):
        divisor = total if reduction == "mean" else 1.0
        return loss.sum() / divisor, np.where(counts, slope / divisor, 0)


# Shape of the scores, and a view of them.
CASES = {
    "one row": ((5,), lambda a: a),
    "rows": ((70, 5), lambda a: a),
    "one class": ((4, 1), lambda a: a),
    "longer rows": ((3, 300), lambda a: a),
    "long rows": ((3, 3000), lambda a: a),
    "in parts": ((2, 17001), lambda a: a),
    "many rows": ((3000, 3), lambda a: a),
    "pixels": ((2, 5, 4, 3), lambda a: a),
    "wide pixels": ((2, 19, 40), lambda a: a),
    "classes last": ((4, 6, 5), lambda a: a.transpose(0, 2, 1)),
    "transposed": ((5, 40), lambda a: a.T),
    "every other": ((20, 12), lambda a: a[::2, ::-2]),
    "not mergeable": ((4, 5, 4, 4, 4), lambda a: a[::2, :, ::2, ::2, ::2]),
}
OPTIONS = {
    "plain": (False, -100, 0.0),
    "weighted": (True, -100, 0.0),
    "ignoring": (False, 2, 0.0),
    "smooth": (False, -100, 0.2),
    "all": (True, 2, 0.3),
}


def arguments(case, dtype, options, reduction, given=False):
    """Return the scores, their view, the labels and the options, as NumPy arrays."""
    shape, view = CASES[case]
    rng = np.random.default_rng(0)
    x = (3 * rng.normal(size=shape)).astype(dtype)
    shape = view(x).shape
    dim = 1 if len(shape) > 1 else 0
    labels = rng.integers(0, shape[dim], shape[:dim] + shape[dim + 1 :])
    weighted, ignored, smoothing = OPTIONS[options]
    weight = rng.uniform(0.1, 2, shape[dim]).astype(dtype) if weighted else None
    return x, view, labels, (weight, ignored, smoothing, reduction, given)


def check(cp, functions, same, x, view, labels, options, label_dtype="int64"):
    dtype = x.dtype.name
    weight, *rest = options
    wide_weight = None if weight is None else weight.astype(float)
    loss, slope = formula(view(x.astype(float)), labels, (wide_weight, *rest))
    on_device = None if weight is None else cp.asarray(weight)
    args = view(cp.asarray(x)), cp.asarray(labels.astype(label_dtype))
    kept = []
    options = (on_device, *rest)
    y = functions.cross_entropy(*args, None, kept, options)
    same(y, np.asarray(loss), dtype)
    without_graph = functions.cross_entropy(*args, None, None, options)
    np.testing.assert_array_equal(cp.asnumpy(without_graph), cp.asnumpy(y))

    g = np.random.default_rng(1).normal(size=loss.shape).astype(dtype)
    (dx,) = functions.cross_entropy_backward((True,), cp.asarray(g), *args, kept, options)
    if options[3] == "none":
        g = np.expand_dims(g, 1 if dx.ndim > 1 else 0)
    same(dx, slope * g.astype(float), dtype)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients(cp, functions, same, dtype, options, case, reduction):
    check(cp, functions, same, *arguments(case, dtype, options, reduction))


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("case", ["rows", "longer rows", "pixels", "classes last"])
@pytest.mark.parametrize("options", OPTIONS)
def test_float16(cp, functions, same, options, case, reduction):
    check(cp, functions, same, *arguments(case, "float16", options, reduction))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("options", ["plain", "weighted", "ignoring"])
def test_log_probabilities_as_scores(cp, functions, same, options, case, reduction):
    check(cp, functions, same, *arguments(case, "float32", options, reduction, given=True))


@pytest.mark.parametrize("options", ["plain", "all"])
@pytest.mark.parametrize("dtype", REAL)
def test_labels_of_one_byte(cp, functions, same, dtype, options):
    check(cp, functions, same, *arguments("rows", dtype, options, "mean"), "uint8")


@pytest.mark.parametrize("length", [4, 2000])
def test_large_scores_keep_their_digits(cp, functions, same, length):
    rng = np.random.default_rng(0)
    x = (10000 + rng.integers(-8, 9, (6, length)) / 8).astype("float32")
    labels = rng.integers(0, length, 6)
    for smoothing in (0.0, 0.2):
        options = None, -100, smoothing, "none", False
        check(cp, functions, same, x, lambda a: a, labels, options)


def test_masked_scores(cp, functions, same):
    x = np.array([[0.0, -inf, 1.0], [-inf, 2.0, -inf], [1.0, -inf, 2.0]], "float32")
    labels = np.array([0, 1, 1])
    options = None, -100, 0.0, "none", False
    check(cp, functions, same, x, lambda a: a[:2], labels[:2], options)
    loss = functions.cross_entropy(cp.asarray(x), cp.asarray(labels), None, None, options)
    assert cp.asnumpy(loss)[2] == inf
    for row in ([-inf] * 3, [inf, 1, 2], [1, inf, 2], [nan, 1, 2], [1, 2, nan]):
        args = cp.asarray([row], "float32"), cp.zeros(1, "int64"), None
        loss = functions.cross_entropy(*args, None, (None, -100, 0.0, "sum", False))
        assert math.isnan(loss), row


@pytest.mark.parametrize("wrong", [-1, 5, -(2**63), 2**63 - 1])
@pytest.mark.parametrize(
    ("options", "given_logp"), [*((name, False) for name in OPTIONS), ("plain", True)]
)
def test_labels_that_are_no_class_give_nan(cp, functions, options, given_logp, wrong):
    x, _, labels, given = arguments("rows", "float32", options, "none")
    weight = None if given[0] is None else cp.asarray(given[0], "float32")
    labels[[0, 33]] = 1, wrong
    for reduction in ("none", "mean", "sum"):
        now = (weight, *given[1:3], reduction, given_logp)
        kept = []
        scores, targets = cp.asarray(x), cp.asarray(labels)
        loss = cp.asnumpy(functions.cross_entropy(scores, targets, None, kept, now))
        if reduction == "none":
            np.testing.assert_array_equal(np.flatnonzero(np.isnan(loss)), [33])
        else:
            assert math.isnan(loss)
        g = cp.ones(loss.shape, "float32")
        (dx,) = functions.cross_entropy_backward((True,), g, scores, targets, kept, now)
        rows = np.isnan(cp.asnumpy(dx))
        assert rows[33].all()
        assert rows.sum() == 5


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", [(70, 5), (2, 5, 3)])
def test_where_all_labels_are_ignored(cp, functions, options, shape):
    weight = cp.ones(5, "float32") if OPTIONS[options][0] else None
    x = cp.full(shape, nan, "float32")
    labels = cp.full((shape[0], *shape[2:]), 4)
    for reduction, expected in (("mean", nan), ("sum", 0.0)):
        now = weight, 4, OPTIONS[options][2], reduction, False
        kept = []
        loss = functions.cross_entropy(x, labels, None, kept, now)
        np.testing.assert_array_equal(cp.asnumpy(loss), expected)
        g = cp.ones((), "float32")
        (dx,) = functions.cross_entropy_backward((True,), g, x, labels, kept, now)
        assert not cp.asnumpy(dx).any()


def test_no_rows_or_no_classes(cp, functions, same):
    for reduction, expected in (("none", np.empty(0)), ("sum", 0.0), ("mean", nan)):
        options, kept = (None, -100, 0.0, reduction, False), []
        x, labels = cp.empty((0, 4), "float32"), cp.empty(0, "int64")
        y = functions.cross_entropy(x, labels, None, kept, options)
        same(y, np.asarray(expected), "float32")
        (dx,) = functions.cross_entropy_backward((True,), y, x, labels, kept, options)
        assert dx.shape == (0, 4)
        x, labels = cp.empty((3, 0), "float32"), cp.zeros(3, "int64")
        y = functions.cross_entropy(x, labels, None, kept, options)
        assert np.isnan(cp.asnumpy(y)).all()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(
    ("shape", "launches"), [((30, 5), 1), ((3000, 5), 2), ((2, 3000), 2), ((2, 5, 4, 3), 1)]
)
def test_launches(cp, functions, count, shape, launches, options, reduction):
    weighted, ignored, smoothing = OPTIONS[options]
    weight = cp.ones(shape[1], "float32") if weighted else None
    given = weight, ignored, smoothing, reduction, False
    x = cp.ones(shape, "float32")
    labels = cp.zeros((shape[0], *shape[2:]), "int64")
    kept = []
    made = count(lambda: functions.cross_entropy(x, labels, None, kept, given))
    assert made.launches == (1 if reduction == "none" else launches)
    assert made.copies_and_syncs == {}
    assert kept[0].size == 2 + 2 * labels.size  # and no softmax
    g = cp.ones(labels.shape if reduction == "none" else (), "float32")
    for cotangent in (g, cp.broadcast_to(cp.ones((), "float32"), g.shape)):
        args = (True,), cotangent, x, labels, kept, given
        made = count(lambda a=args: functions.cross_entropy_backward(*a))
        assert (made.launches, made.copies_and_syncs) == (1, {})


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("case", ["rows", "many rows", "longer rows", "wide pixels"])
def test_blocks_of_many_rows(cp, functions, same, monkeypatch, case, reduction):
    monkeypatch.setattr(functions, "_MOST_BLOCKS", 3)
    functions._forward_plan.cache_clear()
    check(cp, functions, same, *arguments(case, "float32", "all", reduction))
    functions._forward_plan.cache_clear()


def test_results_are_the_same_every_time(cp, functions):
    x, _, labels, options = arguments("many rows", "float32", "all", "mean")
    options = (cp.asarray(options[0], "float32"), *options[1:])
    args = cp.asarray(x), cp.asarray(labels), None, None, options
    first = functions.cross_entropy(*args)
    assert all(functions.cross_entropy(*args) == first for _ in range(3))


def test_class_probabilities(cp, functions, same, count):
    rng = np.random.default_rng(0)
    for shape, dim in [((6, 5), 1), ((5,), 0), ((2, 5, 3), 1), ((300, 70), 1)]:
        x, q = rng.normal(size=shape).astype("f4"), rng.uniform(size=shape).astype("f4")
        expected = -(x.astype(float) * q).sum(dim)
        args = cp.asarray(x), cp.asarray(q), dim
        same(functions.soft_cross_entropy(*args, None), np.asarray(expected), "float32")
        total = functions.soft_cross_entropy(*args, 7.0)
        same(total, np.asarray(expected.sum() / 7), "float32")
    made = count(lambda: functions.soft_cross_entropy(*args, 7.0))
    assert (made.launches, made.copies_and_syncs) == (2, {})


# Tensors -----------------------------------------------------------------------------------------

SHAPES = [((6, 5), (6,)), ((5,), ()), ((5,), (1,)), ((2, 5, 3), (2, 3))]


def both(program, base, labels, weight, dtype):
    """Return values and gradients of two orders on the CPU and on CUDA."""
    found = []
    for device in ("cpu", "cuda"):
        x = gd.tensor(base, device=device, dtype=dtype, requires_grad=True)
        w = None if weight is None else gd.tensor(weight, device=device, dtype=dtype)
        y = program(x, gd.tensor(labels, device=device), w)
        weights = gd.tensor(np.cos(np.arange(y.numel())).reshape(y.shape), device=device)
        weights = weights.to(dtype)
        (plain,) = gd.autograd.grad(y, x, weights, retain_graph=True)
        (first,) = gd.autograd.grad(y, x, weights, create_graph=True)
        (second,) = gd.autograd.grad((first * first * x).sum(), x)
        assert y.dtype is plain.dtype is second.dtype is dtype
        found.append([t.detach().cpu().numpy() for t in (y, plain, first, second)])
    return zip(*found, strict=True)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("shape", "rows"), SHAPES)
def test_tensors_are_as_on_the_cpu(shape, rows, options, reduction):
    rng = np.random.default_rng(0)
    weighted, ignored, smoothing = OPTIONS[options]
    weight = rng.uniform(0.1, 2, 5) if weighted else None

    def program(x, labels, w):
        return F.cross_entropy(
            x,
            labels,
            w,
            ignore_index=ignored,
            reduction=reduction,
            label_smoothing=smoothing,
        )

    x, labels = 2 * rng.normal(size=shape), rng.integers(0, 5, rows)
    if rows in ((), (1,)):
        labels = labels * 0 + 1
    for cpu, cuda in both(program, x, labels, weight, gd.float64):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize(("shape", "rows"), SHAPES)
def test_nll_loss_is_as_on_the_cpu(shape, rows, reduction):
    rng = np.random.default_rng(0)

    def program(x, labels, w):
        logp = gd.log_softmax(x, 1 if x.ndim > 1 else 0)
        return F.nll_loss(logp, labels, w, ignore_index=2, reduction=reduction)

    labels = rng.integers(0, 5, rows) if rows not in ((), (1,)) else np.ones(rows, int)
    args = 2 * rng.normal(size=shape), labels, rng.uniform(0.1, 2, 5), gd.float64
    for cpu, cuda in both(program, *args):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_float16_tensors_are_as_on_the_cpu(smoothing):
    rng = np.random.default_rng(0)
    program = lambda x, labels, w: F.cross_entropy(x, labels, w, label_smoothing=smoothing)
    args = rng.normal(size=(6, 5)), rng.integers(0, 5, 6), rng.uniform(0.5, 2, 5), gd.float16
    for cpu, cuda in both(program, *args):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-2, atol=2e-3)


@pytest.mark.usefixtures("cuda")
def test_a_step_of_training_copies_nothing(count):
    x = gd.randn(300, 7, device="cuda", requires_grad=True)
    labels = gd.tensor(np.arange(300) % 7, device="cuda")
    loss = F.cross_entropy(x, labels)
    gd.autograd.grad(loss, x, retain_graph=True)  # makes the constant 1
    for label_smoothing, ignore_index in itertools.product((0.0, 0.1), (-100, 3)):

        def forward(s=label_smoothing, i=ignore_index):
            return F.cross_entropy(x, labels, label_smoothing=s, ignore_index=i)

        made = count(forward)
        assert made.launches <= 2
        assert made.copies_and_syncs == {}
    made = count(lambda: gd.autograd.grad(loss, x, retain_graph=True))
    assert (made.launches, made.copies_and_syncs) == (1, {})


@pytest.mark.usefixtures("cuda")
def test_a_weight_that_requires_grad_is_as_on_the_cpu():
    rng = np.random.default_rng(0)
    x, labels, weight = rng.normal(size=(6, 5)), rng.integers(0, 5, 6), rng.uniform(0.5, 2, 5)
    found = []
    for device in ("cpu", "cuda"):
        w = gd.tensor(weight, device=device, requires_grad=True)
        scores, targets = gd.tensor(x, device=device), gd.tensor(labels, device=device)
        F.cross_entropy(scores, targets, w).backward()
        found.append(w.grad.cpu().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("cuda")
def test_the_names_of_nodes_are_pytorchs():
    x = gd.randn(2, 5, 3, device="cuda", requires_grad=True)
    flat = gd.randn(2, 5, device="cuda", requires_grad=True)
    labels = gd.zeros(2, 3, dtype=gd.int64, device="cuda")
    assert F.cross_entropy(x, labels).grad_fn.name() == "NllLoss2DBackward0"
    assert F.cross_entropy(flat, labels[:, 0]).grad_fn.name() == "NllLossBackward0"
