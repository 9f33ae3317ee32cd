"""Fused functions on the CPU: the same values and derivatives as the functions themselves."""

import gc
import itertools
import math
import re
import threading
import warnings
import weakref

import numpy as np
import pytest

import gradcore as gd
from fused_functions import CASES, A, B, V, assert_same, derivatives, random_function, tensors_of
from gradcore import dtypes
from gradcore.errors import FusionError
from gradcore.fusion import blocks as host_blocks
from gradcore.op import OPS
from gradcore.samples import Maker

F = gd.nn.functional
RNG = np.random.default_rng(1)


@pytest.fixture(params=[None, 7], ids=["one block", "small blocks"])
def blocks(request, monkeypatch):
    """Run a test with arrays in one block, and cut into many."""
    if request.param is not None:
        monkeypatch.setattr(host_blocks, "BLOCK", request.param)


def check(function, *args, rtol=1e-11):
    assert_same(derivatives(gd.fuse(function), args), derivatives(function, args), rtol)


# values and derivatives --------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_values_and_two_derivatives_are_those_of_the_function(name, blocks):
    function, *args = CASES[name]
    check(function, *args)


OF_A_LIBRARY = "cannot be fused: (module|special) is neither"
"""Functions of NumPy and SciPy themselves are no expressions of simpler ones."""


def can_be_fused(path, of_a_library):
    """The results on the samples of an operation, where it can be fused."""
    op = OPS[path]
    call = op.tested(op.call)
    for sample in op.samples(Maker(path)):
        try:
            plain = derivatives(call, sample.args, sample.kwargs)
        except NotImplementedError:
            continue  # has no derivative
        try:
            fused = derivatives(gd.fuse(call), sample.args, sample.kwargs)
        except FusionError as error:
            if re.search(OF_A_LIBRARY, str(error)):
                of_a_library.add(path)
            continue
        yield fused, plain


@pytest.mark.filterwarnings("ignore")
def test_an_operation_that_can_be_fused_gives_what_it_gives(blocks):
    checked, of_a_library = set(), set()
    for path, op in OPS.items():
        if op.samples is None:
            continue
        for fused, plain in can_be_fused(path, of_a_library):
            assert_same(fused, plain, 1e-9)
            checked.add(path)
    elementwise = {path for path, op in OPS.items() if op.kind in ("unary", "binary", "comparison")}
    # Its derivative raises, with and without fusion.
    assert elementwise - checked - of_a_library == {"floor_divide"}
    assert len(checked) > 170


@pytest.mark.parametrize("seed", range(40))
def test_random_functions(seed, blocks):
    function, arrays = random_function(seed)
    check(function, *arrays)


@pytest.mark.parametrize("seed", range(12))
def test_random_functions_in_float32(seed, blocks):
    function, arrays = random_function(100 + seed)
    args = [a.astype(np.float32) for a in arrays]
    fused, plain = derivatives(gd.fuse(function), args), derivatives(function, args)
    exact = derivatives(function, arrays)
    for a, b, c in zip(fused, plain, exact, strict=True):
        assert (a is None) == (b is None)
        if a is None:
            continue
        assert a.dtype is b.dtype is gd.float32
        expected = c.detach().numpy()
        scale = np.abs(expected).max(initial=1.0)
        error = np.abs(a.detach().numpy() - expected).max(initial=0)
        assert error <= 2e-5 * scale + 3 * np.abs(b.detach().numpy() - expected).max(initial=0)


def test_gradcheck_and_gradgradcheck(blocks):
    fused = gd.fuse(lambda x, w: (gd.softmax(x * w, 1) * gd.sin(x)).sum(0) / w.norm())
    x = gd.tensor(B.copy(), requires_grad=True)
    w = gd.tensor(V.copy(), requires_grad=True)
    assert gd.autograd.gradcheck(fused, (x, w))
    assert gd.autograd.gradgradcheck(fused, (x, w))


def test_third_derivative():
    x = gd.tensor(A, requires_grad=True)

    def third(function):
        y = function(x).sum()
        for _ in range(3):
            (d,) = gd.autograd.grad(y, x, create_graph=True)
            y = (d * d).sum()
        return d

    function = lambda x: gd.sin(x) * gd.exp(x / 2)
    assert_same([third(gd.fuse(function))], [third(function)])


def test_backward_fills_leaves_and_frees_the_graph():
    x = gd.tensor(A, requires_grad=True)
    fused = gd.fuse(lambda x: gd.sin(x) * x)
    for _ in range(2):
        y = fused(x).sum()
        y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * (np.cos(A) * A + np.sin(A)), rtol=1e-13)
    with pytest.raises(gd.GradcoreError, match="second time"):
        y.backward()


# dtypes and layouts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        p
        for p in itertools.product(dtypes.ALL, repeat=2)
        if "uint" not in p[0].name + p[1].name[-2:]
    ],
    ids=lambda t: t.name,
)
def test_results_have_the_dtypes_of_the_function(left, right):
    function = lambda a, b: (
        a + b,
        a * 2 + b,
        a * 0.5,
        a / (b + 3),
        gd.where(a == b, a, b),
        a.sum(),
    )
    args = [np.array([[1, 0, 3]]).astype(left.dtype), np.array([[2], [0]]).astype(right.dtype)]
    try:
        plain = derivatives(function, args)
    except gd.GradcoreError as error:
        with pytest.raises(type(error)):
            gd.fuse(function)(*map(tensors_of, args))
    else:
        assert_same(derivatives(gd.fuse(function), args), plain, 2e-3)


def test_float16_is_computed_in_float32(blocks):
    x = gd.tensor(np.linspace(-4, 4, 33), dtype=gd.float16, requires_grad=True)
    # Neither exp(12) nor the sum of squares is a float16.
    y, norm = gd.fuse(lambda x: (gd.log(gd.exp(3 * x) + 1), (100 * x).norm()))(x)
    exact = x.detach().numpy().astype(np.float64)
    assert y.dtype is norm.dtype is gd.float16
    np.testing.assert_allclose(
        y.detach().numpy(), np.log1p(np.exp(3 * exact)), rtol=2e-3, atol=1e-6
    )
    np.testing.assert_allclose(norm.item(), np.linalg.norm(100 * exact), rtol=1e-3)
    (y.sum() + norm).backward()
    slope = 3 / (1 + np.exp(-3 * exact)) + 100 * exact / np.linalg.norm(exact)
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=3e-3)


def test_sums_of_float16_within_the_backward_do_not_overflow(blocks):
    x = gd.full((300,), 400.0, dtype=gd.float16)
    s = gd.tensor(1.0, dtype=gd.float16, requires_grad=True)
    gd.fuse(lambda x, s: x * (s * 0.001))(x, s).sum().backward()
    np.testing.assert_allclose(s.grad.item(), 120.0, rtol=1e-3)
    v, s.grad = gd.full((3,), 1e-4, dtype=gd.float16), None
    y = gd.fuse(lambda x, v, s: x[:, None] * (v * s))(x, v, s)
    y.backward(gd.full_like(y, 200.0))
    np.testing.assert_allclose(s.grad.item(), 7200.0, rtol=1e-2)


def test_a_cast_to_float16_rounds(blocks):
    x = gd.tensor(np.linspace(1, 2, 21), dtype=gd.float32)
    y = gd.fuse(lambda x: x.half().float() * 3)(x)
    assert y.tolist() == (x.half().float() * 3).tolist()


LAYOUTS = {
    "transposed": lambda a: np.ascontiguousarray(a.transpose(2, 1, 0)).transpose(2, 1, 0),
    "rotated": lambda a: np.ascontiguousarray(a.transpose(1, 2, 0)).transpose(2, 0, 1),
    "with gaps": lambda a: np.repeat(a, 2, axis=2)[:, :, ::2],
    "backwards": lambda a: a[:, ::-1, ::-1].copy()[:, ::-1, ::-1],
    "of one element": lambda a: np.broadcast_to(a[:1, :1, :1], a.shape),
    "of a row": lambda a: np.broadcast_to(a[0, 0], a.shape),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_of_any_layout(name, blocks):
    a = LAYOUTS[name](A)
    function = lambda x, w: (gd.exp(x) * w, (x * w).sum(0), (x * w).sum(2), (x * w).sum((0, 1)))
    for w in (a, B, V):
        x, w = gd.tensor(A).detach(), gd.tensor(w)
        x._array = a
        plain, fused = function(x, w), gd.fuse(function)(x, w)
        assert_same(fused, plain)


@pytest.mark.parametrize("shape", [(40, 30), (2, 3, 4, 5), (1, 7, 1), (60,)])
@pytest.mark.parametrize("block", [1, 16, 50])
def test_reductions_over_all_combinations_of_axes(shape, block, monkeypatch):
    monkeypatch.setattr(host_blocks, "BLOCK", block)
    x = gd.tensor(RNG.normal(size=shape))
    for count in range(1, len(shape) + 1):
        for dim in itertools.combinations(range(len(shape)), count):
            function = lambda x, dim=dim: (
                (x * x).sum(dim),
                gd.amax(x - 1, dim, True),
                gd.amin(x + 1, dim),
                x.mean(dim, keepdim=True),
                (x > 0).sum(dim),
                (x * x).sum(dim, keepdim=True) - x,
            )
            assert_same(gd.fuse(function)(x), function(x))


def test_long_sums_are_as_exact_as_numpys():
    x = np.random.default_rng(0).random(10**7, dtype=np.float32)
    exact = x.sum(dtype=np.float64)
    fused = gd.fuse(lambda x: ((x + 0).sum(), (x * 1).mean()))
    total, mean = fused(gd.tensor(x))
    limit = max(4 * abs(float(x.sum()) - exact), 1e-7 * exact)
    assert abs(total.item() - exact) <= limit
    assert abs(mean.item() - exact / x.size) <= limit / x.size
    rows = x.reshape(-1, 4)
    (total,) = gd.fuse(lambda x: [(x + 0).sum(0)])(gd.tensor(rows))
    np.testing.assert_allclose(total.numpy(), rows.sum(0, dtype=np.float64), rtol=2e-7)


def test_special_values(blocks):
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0] * 3)
    function = lambda x: (
        gd.where(x > 0, x, 0.0),
        gd.where(x > 0, 1.0, x),
        gd.sign(x),
        gd.maximum(x, 0.5),
        gd.sigmoid(x),
        gd.amax(x),
        x.sum(),
    )
    with np.errstate(all="ignore"):
        assert_same(gd.fuse(function)(gd.tensor(x)), function(gd.tensor(x)))
        zero = gd.fuse(lambda x: gd.where(x == 0, x, -0.0))(gd.tensor(x))
    assert np.signbit(zero.numpy()).tolist() == [False, *[True] * 5] * 3


# arguments and results --------------------------------------------------------------------------


def test_only_what_requires_grad_gets_a_gradient():
    fused = gd.fuse(lambda x, w: gd.sin(x) * w)
    x, w = gd.tensor(A, requires_grad=True), gd.tensor(B)
    y = fused(x, w)
    assert y.requires_grad
    assert [pair[0] is None for pair in y.grad_fn.next_functions] == [False, True]
    y.sum().backward()
    assert w.grad is None
    np.testing.assert_allclose(x.grad.numpy(), np.cos(A) * B, rtol=1e-13)
    assert not fused(gd.tensor(A), w).requires_grad


def test_under_no_grad_nothing_is_recorded():
    fused = gd.fuse(lambda x: x * 2)
    x = gd.tensor(A, requires_grad=True)
    with gd.no_grad():
        assert not fused(x).requires_grad
    assert fused(x).requires_grad
    with gd.no_grad():
        assert not fused(x).requires_grad


def test_grad_modes_inside_the_function_hold():
    @gd.fuse
    def fused(x):
        with gd.no_grad():
            scale = gd.exp(x)
        return x * scale, x.detach() * 2

    x = gd.tensor(A, requires_grad=True)
    y, z = fused(x)
    assert not z.requires_grad
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp(A), rtol=1e-13)


def test_a_gradient_inside_the_function_is_fused():
    def function(x):
        (d,) = gd.autograd.grad(gd.sin(x * x).sum(), x, create_graph=True)
        return d * x

    check(function, B)


def test_several_results_of_which_some_are_used():
    fused = gd.fuse(lambda x: [gd.sin(x), x > 0, gd.exp(x).sum()])
    x = gd.tensor(A, requires_grad=True)
    found = fused(x)
    assert isinstance(found, list)
    sine, positive, total = found
    assert sine.requires_grad
    assert total.requires_grad
    assert not positive.requires_grad
    assert sine.grad_fn is total.grad_fn
    assert (sine.output_nr, total.output_nr) == (0, 2)
    (d,) = gd.autograd.grad(total, x, retain_graph=True)
    np.testing.assert_allclose(d.numpy(), np.exp(A), rtol=1e-13)
    (sine.sum() + 2 * total).backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos(A) + 2 * np.exp(A), rtol=1e-13)


def test_a_result_that_is_an_argument_is_that_tensor():
    x = gd.tensor(A, requires_grad=True)
    same, double, view = gd.fuse(lambda x: (x, x * 2, x.reshape(-1)))(x)
    assert same is x
    assert np.shares_memory(view.detach().numpy(), x.detach().numpy())
    copy, base = gd.fuse(lambda x: (x.clone(), x * 1))(x)
    assert not np.shares_memory(copy.detach().numpy(), x.detach().numpy())
    (same.sum() + double.sum() + view.sum() + copy.sum() + base.sum()).backward()
    assert (x.grad.numpy() == 6).all()


def test_the_same_tensor_twice():
    x = gd.tensor(A, requires_grad=True)
    gd.fuse(lambda a, b: a * b * b)(x, x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * A**2, rtol=1e-13)


def test_nested_and_keyword_arguments():
    @gd.fuse
    def fused(pair, *, options, scale=1.0):
        a, b = pair
        return (a * options["weight"] + b) * scale

    a, b, w = (gd.tensor(v, requires_grad=True) for v in (A, B, V))
    y = fused((a, b), options={"weight": w}, scale=0.5)
    np.testing.assert_allclose(y.detach().numpy(), (A * V + B) * 0.5, rtol=1e-13)
    y.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 0.5 * A.sum((0, 1)), rtol=1e-12)


def test_a_fused_function_in_a_fused_function():
    inner = gd.fuse(lambda x, s: gd.sin(x) * s)
    outer = gd.fuse(lambda x: inner(x, 2.0) + inner(x * x, 0.5))
    x = gd.tensor(A)
    expected = 2 * np.sin(A) + 0.5 * np.sin(A * A)
    np.testing.assert_allclose(outer(x).numpy(), expected, rtol=1e-13)
    assert inner.cache_info().misses == 0


# signatures -------------------------------------------------------------------------------------


def test_new_values_are_not_traced_again_and_new_signatures_are():
    fused = gd.fuse(lambda x, s, flag=True: x * s if flag else x / s)
    x = gd.tensor(A)
    for s in (2.0, -0.5, math.inf):
        np.testing.assert_array_equal(fused(x, s).numpy(), A * s)
    assert fused.cache_info()[:2] == (2, 1)
    np.testing.assert_array_equal(fused(x * 2, 3.0).numpy(), A * 6)
    assert fused.cache_info().misses == 1
    np.testing.assert_array_equal(fused(x, 3.0, flag=False).numpy(), A / 3)
    np.testing.assert_array_equal(fused(x, 3).numpy(), A * 3)
    np.testing.assert_array_equal(fused(gd.tensor(B), 3.0).numpy(), B * 3)
    fused(x.float(), 3.0)
    fused(gd.tensor(A, requires_grad=True), 3.0)
    assert fused.cache_info() == (3, 6, 128, 6)
    fused.cache_clear()
    assert fused.cache_info() == (0, 0, 128, 0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, s: x * s if s > 0 else x - s,
        lambda x, s: x * math.sqrt(abs(s)),
        lambda x, s: x * np.sqrt(abs(s)),
        lambda x, s: x**s,
        lambda x, s: x * float(f"{s}"),
        lambda x, s: gd.full_like(x, s) * x,
    ],
)
def test_a_number_whose_value_matters_is_part_of_the_signature(function):
    fused = gd.fuse(function)
    x = gd.tensor(np.abs(A), requires_grad=True)
    for s in (2.0, -3.0, 2.0):
        assert_same([fused(x, s)], [function(x, s)])
    assert fused.cache_info()[:2] in ((1, 2), (2, 1))


@pytest.mark.parametrize("dtype", [gd.float32, gd.float64, gd.float16, gd.int64, gd.complex64])
def test_numbers_have_no_say_in_the_dtype(dtype):
    x = gd.tensor([1, 2, 3], dtype=dtype)
    function = lambda x, s: (x * s, s - x, x[0] * (s * 2 + 1), s / (x + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same(gd.fuse(function)(x, 0.3), function(x, 0.3), 1e-3)


def test_gradients_of_functions_of_numbers():
    function = lambda x, s, t: (x * s + gd.exp(x * t) * s).sum(0)
    fused = gd.fuse(function)
    for s, t in ((2.0, 0.1), (-1.0, 0.3)):
        run = lambda f, s=s, t=t: derivatives(lambda x: f(x, s, t), [A])
        assert_same(run(fused), run(function))
    assert fused.cache_info().misses == 1


def test_the_least_recently_used_signature_is_dropped():
    fused = gd.fuse(lambda x: x + 1, maxsize=2)
    xs = [gd.ones(n) for n in (1, 2, 3)]
    for k in (0, 1, 0, 2, 0, 1):
        assert fused(xs[k]).numpy().tolist() == [2.0] * (k + 1)
    assert fused.cache_info() == (2, 4, 2, 2)


def test_the_default_dtype_is_part_of_the_signature():
    fused = gd.fuse(lambda i: i * 0.5)
    i = gd.tensor([1, 2])
    assert fused(i).dtype is gd.float32
    gd.set_default_dtype(gd.float64)
    try:
        assert fused(i).dtype is gd.float64
    finally:
        gd.set_default_dtype(gd.float32)


def test_threads_share_a_fused_function(monkeypatch):
    monkeypatch.setattr(host_blocks, "BLOCK", 64)
    fused = gd.fuse(lambda x, s: (gd.sin(x) * s).sum(0))
    inputs = [gd.tensor(RNG.normal(size=(50 + k % 3, 7)), requires_grad=True) for k in range(12)]
    found = [None] * len(inputs)
    start = threading.Barrier(len(inputs))

    def work(k):
        start.wait()
        for _ in range(5):
            y = fused(inputs[k], float(k))
            (d,) = gd.autograd.grad(y.sum(), inputs[k])
        found[k] = y.detach().numpy(), d.numpy()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, (y, d) in enumerate(found):
        x = inputs[k].detach().numpy()
        np.testing.assert_allclose(y, (np.sin(x) * k).sum(0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(d, np.cos(x) * k, rtol=1e-12)
    assert fused.cache_info().misses == 3


# errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x @ x.T, "matmul is neither elementwise nor a reduction"),
        (lambda x: x * gd.ones(6, dtype=gd.float64), "a Tensor that is no argument"),
        (lambda x: x * gd.tensor(2.0), "a Tensor that is no argument"),
        (lambda x: x * np.ones(6), "a Tensor that is no argument"),
        (lambda x: x if x.sum() > 0 else -x, "it needs the value of"),
        (lambda x: x * x.sum().item(), "it needs the value of"),
        (lambda x: gd.tensor(x.detach().numpy()), "reads the values"),
        (lambda x: x[x > 0], "indexing with arrays"),
        (lambda x: x.argmax() + x, "argmax is neither"),
        (lambda x: gd.sort(x)[0] if hasattr(gd, "sort") else x @ x.T, "neither elementwise"),
        (lambda x: F.dropout(x), "draws random numbers"),
        (lambda x: x + gd.rand_like(x), "draws random numbers"),
        (lambda x: F.cross_entropy(x, x[:, 0].abs().long()), "cannot be fused"),
        (lambda x: gd.ones(3), "does not depend on the arguments"),
    ],
)
def test_what_cannot_be_fused_is_named(function, words):
    function.__name__ = "user_function"
    x = gd.tensor(B, requires_grad=True)
    with pytest.raises(FusionError, match="user_function") as caught:
        gd.fuse(function)(x)
    assert words in str(caught.value)


def test_a_gradient_that_cannot_be_fused_is_named():
    fused = gd.fuse(lambda x: gd.cumprod(x, 0), name="product")
    x = gd.tensor(B, requires_grad=True)
    y = fused(x)
    fake = gd.fuse(lambda x: x // 2, name="halves")(x)
    with pytest.raises(NotImplementedError, match="floor_divide"):
        fake.sum().backward()
    assert_same([gd.autograd.grad(y.sum(), x)[0]], [gd.autograd.grad(x.cumprod(0).sum(), x)[0]])


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x, w: x * w, gd.errors.ShapeError),
        (lambda x, w: x.sum(5), gd.errors.DimensionError),
        (lambda x, w: x.reshape(4, 4), gd.errors.ShapeError),
        (lambda x, w: gd.clamp(x), gd.errors.ArgumentError),
        (lambda x, w: x.no_such_method(), AttributeError),
        (lambda x, w: 1 / 0, ZeroDivisionError),
        (lambda x, w: x[7], gd.errors.DimensionError),
    ],
)
def test_mistakes_raise_what_they_raise_without_fusion(function, error):
    x, w = gd.tensor(A), gd.ones(4)
    with pytest.raises(error) as plain:
        function(x, w)
    with pytest.raises(error) as fused:
        gd.fuse(function)(x, w)
    assert str(fused.value) == str(plain.value)


def test_arguments_and_results_are_checked():
    x = gd.tensor(A)
    with pytest.raises(TypeError, match=r"must return a Tensor.*not int"):
        gd.fuse(lambda x: 3)(x)
    with pytest.raises(TypeError, match="not dict"):
        gd.fuse(lambda x: {"y": x})(x)
    with pytest.raises(TypeError, match="at least one argument must be a Tensor"):
        gd.fuse(lambda s: s)(2.0)
    with pytest.raises(TypeError, match="hashable value, not set"):
        gd.fuse(lambda x, s: x)(x, {1})
    with pytest.raises(ValueError, match="maxsize must be positive"):
        gd.fuse(lambda x: x, maxsize=0)
    with pytest.raises(TypeError, match="expected a function"):
        gd.fuse(3)


def test_an_error_while_tracing_leaves_grad_mode_and_warnings_as_they_were():
    @gd.fuse
    def fused(x):
        gd.no_grad().__enter__()
        np.seterr(all="ignore")
        raise RuntimeError("mine")

    before = np.geterr()
    with pytest.raises(RuntimeError, match="mine"), np.errstate():
        fused(gd.tensor(A))
    gd.set_grad_enabled(True)
    assert np.geterr() == before


# warnings, memory, introspection ----------------------------------------------------------------


def test_warnings_are_those_of_the_function(blocks):
    x = gd.tensor(np.array([0.0, 1.0] * 9), requires_grad=True)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        gd.fuse(lambda x: gd.log(x) * 2)(x)
    with np.errstate(all="ignore"):
        gd.fuse(lambda x: gd.log(x) * 3)(x)
    # Quiet within, and in backward.
    lowest = gd.full((18,), -math.inf, dtype=gd.float64)
    assert gd.fuse(lambda x: gd.logsumexp(x, 0))(lowest).item() == -math.inf

    @gd.fuse
    def fused(x):
        with np.errstate(divide="ignore", invalid="ignore"):
            return gd.log(x)

    fused(x)
    gd.fuse(lambda x: gd.sqrt(x))(x).sum().backward()
    assert np.isinf(x.grad.numpy()[0])


def test_results_and_graphs_are_freed_without_the_cycle_collector():
    fused = gd.fuse(lambda x: (gd.sin(x) * x, x.sum(0)))
    fused(gd.tensor(A, requires_grad=True))
    gc.collect()
    gc.disable()
    try:
        x = gd.tensor(A, requires_grad=True)
        y, z = fused(x)
        held = [weakref.ref(t) for t in (x, y, z)]
        nodes = [weakref.ref(t._node) for t in (y, z)]
        (y.sum() + z.sum()).backward()
        del x, y, z
        assert all(r() is None for r in held + nodes)
    finally:
        gc.enable()


def test_source_is_the_program(monkeypatch):
    fused = gd.fuse(lambda x, w: gd.sin(x) * w, name="wave")
    x, w = gd.tensor(A, requires_grad=True), gd.tensor(B)
    text = fused.source(x, w)
    assert "sin(x0" in text
    assert "cos(x" in text
    assert repr(fused) == "<fused function wave>"
    assert type(fused(x, w).grad_fn).__name__ == "Node"
    assert fused(x, w).grad_fn.name() == "WaveBackward0"


def test_the_function_can_print_while_it_is_traced(capsys):
    @gd.fuse
    def fused(x):
        y = gd.sin(x)
        print(y)
        return y

    for _ in range(2):
        fused(gd.ones(2, 3))
    assert capsys.readouterr().out == "tensor(sin(x0), size=(2, 3), dtype=gradcore.float32)\n"


def test_decorators_keep_the_name_and_the_documentation():
    @gd.fuse(name="other", maxsize=3)
    def mine(x):
        """What it does."""
        return x + 1

    assert mine.__name__ == "mine"
    assert mine.__doc__ == "What it does."
    assert mine.cache_info().maxsize == 3


def test_each_value_is_computed_once():
    fused = gd.fuse(lambda x: gd.exp(x) + gd.exp(x) * gd.sin(x) + (gd.sin(x) + gd.exp(x)))
    assert fused.source(gd.tensor(B)).count("exp(") == 1


def test_choices_on_the_cpu_are_made_by_bits():
    # numpy.where takes several times as long as the bits of a mask.
    x = gd.tensor(RNG.normal(size=3000), requires_grad=True)
    w = gd.tensor(RNG.normal(size=3000))
    function = lambda x, w: gd.where(x > w, x, w) + gd.relu(x) + gd.where(x > 0, 0.0, w)
    fused = gd.fuse(function)
    assert "bitwise_and" in fused.source(x, w)
    assert "where" not in fused.source(x, w)
    assert fused(x, w).tolist() == function(x, w).tolist()
    check(function, RNG.normal(size=3000), RNG.normal(size=3000))
    check(function, *RNG.normal(size=(2, 3000)).astype(np.float32), rtol=1e-6)


def test_rows_stay_in_the_cache_across_reductions(monkeypatch):
    monkeypatch.setattr(host_blocks, "BLOCK", 64)
    x = gd.tensor(RNG.normal(size=(50, 16)), requires_grad=True)
    text = gd.fuse(lambda x: gd.softmax(x, 1)).source(x)
    forward, backward = text.split("\n\n")[:2]
    assert forward.count("def block") == 1
    assert forward.count("exp(") == 1
    assert backward.count("def block") == 1
    w = gd.ones(16, dtype=gd.float64)
    forward = gd.fuse(lambda x, w: F.layer_norm(x, (16,), w) * gd.exp(w)).source(x.detach(), w)
    # The exponential has a line of its own.
    assert forward.count("def block") == forward.count("def whole") == 1
    assert "exp(" not in forward[forward.index("def block") :]


def test_what_took_long_is_kept_for_the_backward():
    fused = gd.fuse(lambda x, w: gd.exp(gd.sin(x) * w))
    for n, kept in ((1000, 2), (300_000, 1)):
        x = gd.tensor(RNG.normal(size=n), requires_grad=True)
        w = gd.tensor(RNG.normal(size=n), requires_grad=True)
        y = fused(x, w)
        # The result always; the sine only where memory for it is quickly had.
        assert len(y.grad_fn.saved) == 2 + kept + 1
        backward = fused.source(x, w).split("\n\n")[1]
        assert "exp(" not in backward
        assert ("sin(" in backward) == (kept == 1)
        y.sum().backward()
        a, b = x.detach().numpy(), w.detach().numpy()
        slope = np.exp(np.sin(a) * b)
        np.testing.assert_allclose(x.grad.numpy(), slope * np.cos(a) * b, rtol=1e-12)
        np.testing.assert_allclose(w.grad.numpy(), slope * np.sin(a), rtol=1e-12)


def test_what_is_kept_is_not_used_where_results_have_no_cotangent():
    fused = gd.fuse(lambda x: (gd.exp(x), gd.softmax(x, 1)))
    x = gd.tensor(B, requires_grad=True)
    first, second = fused(x)
    (d,) = gd.autograd.grad(first.sum(), x, retain_graph=True)
    np.testing.assert_allclose(d.numpy(), np.exp(B), rtol=1e-13)
    v = gd.tensor(RNG.normal(size=B.shape))
    (d,) = gd.autograd.grad(second, x, v, retain_graph=True)
    y = gd.tensor(B, requires_grad=True)
    assert_same([d], gd.autograd.grad(gd.softmax(y, 1), y, v))


def test_a_function_that_draws_numbers_leaves_no_generator_behind():
    with pytest.raises(gd.errors.FusionError):
        gd.fuse(lambda x: gd.nn.functional.dropout(x, 0.5))(gd.ones(3))
    with gd.random.fork_rng():
        gd.manual_seed(1)
