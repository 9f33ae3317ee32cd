"""Fused functions on CUDA: values and derivatives of the CPU, and how many launches they take."""

import numpy as np
import pytest

import gradcore as gd
from fused_functions import CASES, A, B, assert_same, derivatives, random_function, tensors_of

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

F = gd.nn.functional
RNG = np.random.default_rng(2)


def check(function, args, rtol=1e-11):
    fused = gd.fuse(function)
    assert_same(derivatives(fused, args, device="cuda"), derivatives(function, args), rtol)


def launches(count, function, *args):
    """How many launches a call takes, and its backward; neither copies nor waits."""
    inputs = [tensors_of(a, "cuda") for a in args]
    wanted = [t for t in inputs if isinstance(t, gd.Tensor) and t.requires_grad]
    outputs = function(*inputs)  # traces and compiles
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    v = [gd.ones_like(y) for y in outputs]
    found = []
    gd.autograd.grad(outputs, wanted, v)
    forward = count(lambda: found.append(function(*inputs)))
    y = found[0] if isinstance(found[0], tuple) else (found[0],)
    backward = count(lambda: gd.autograd.grad(y, wanted, v))
    assert not forward.copies_and_syncs
    assert not backward.copies_and_syncs
    return forward.launches, backward.launches


# launches --------------------------------------------------------------------------------------


def twelve_operations(x, w):
    a = gd.sin(x) * w
    b = gd.exp(-a * a) + x
    c = gd.tanh(b) / (1 + b * b)
    return gd.where(c > w, c, gd.sqrt(w * w + 1)) - a


@pytest.mark.parametrize(
    ("function", "args", "expected"),
    [
        (twelve_operations, (A, A + 1), (1, 1)),
        (twelve_operations, (A, B), (1, 2)),  # the sum for w is a stage of its own
        (lambda x: gd.sin(x).sum(), (A,), (1, 1)),
        (lambda x: gd.sqrt((x * x).mean(0) + 1) * 2, (A,), (1, 1)),
        (lambda x: (x.sum(), (x * x).mean(), gd.amax(x)), (A,), (1, 1)),
        (lambda x: (gd.exp(x), gd.cos(x)), (A,), (1, 1)),
        (lambda x, t: F.mse_loss(gd.tanh(x), t), (A, A + 1), (1, 1)),
        (lambda x: gd.softmax(gd.tanh(x), 1), (A,), (1, 1)),
        (lambda x: gd.logsumexp(x * 2, -1), (A,), (1, 1)),
        (lambda x: (x - x.mean(-1, True)) / gd.sqrt(x.var(-1, keepdim=True) + 1e-5), (A,), (1, 1)),
        # Both parameters' gradients are sums over the same axes.
        (lambda x, w, b: F.layer_norm(gd.sin(x), (6,), w, b), (A, B[0], B[1]), (1, 2)),
        (lambda x: x.permute(2, 0, 1) * 2 + x.reshape(7, 30).sum(1), (A[:7, :5, :6],), None),
    ],
)
def test_as_few_launches_as_stages(function, args, expected, count):
    if expected is None:
        with pytest.raises(gd.GradcoreError):
            launches(count, gd.fuse(function), *args)
        return
    assert launches(count, gd.fuse(function), *args) == expected


def test_an_elementwise_kernel_is_one_launch_each_way(count):
    kernel = gd.elementwise_kernel("T x, T a, double s", "x * sin(a) + exp(-x * x) * (T)s")
    assert launches(count, kernel, A, B + A, 0.5) == (1, 1)


def test_the_implicit_cotangent_costs_no_launch_and_no_copy(count):
    x = tensors_of(A, "cuda")
    fused = gd.fuse(lambda x: (gd.sin(x) * x).mean())
    fused(x).backward()
    x.grad = None
    y = fused(x)
    counted = count(y.backward)
    assert counted.launches <= 2  # one may fill the cotangent
    np.testing.assert_allclose(
        x.grad.cpu().numpy(), (np.cos(A) * A + np.sin(A)) / A.size, rtol=1e-12, atol=1e-15
    )


def test_kernels_are_shared_across_signatures(cp, device):
    if device != "hostcuda":
        pytest.skip("compilations are seen on hostcuda")
    import hostcuda

    compiled = []
    note = lambda source, options, name_expressions: compiled.append(source)
    fused = gd.fuse(lambda x, s: gd.atan(x) * s, name="shared")
    inputs = [gd.ones(n, device="cuda") for n in (3, 4, 5)]
    hostcuda.on_compile.append(note)
    try:
        for x in inputs:
            fused(x, 2.0 + x.numel())
    finally:
        hostcuda.on_compile.remove(note)
    assert fused.cache_info().misses == 3
    assert len(compiled) <= 1


# values and derivatives ------------------------------------------------------------------------

ON_CUDA = [
    "sum over the first",
    "sum that is used",
    "softmax of the middle",
    "logsumexp",
    "std",
    "amax",
    "layer_norm",
    "batch norm",
    "where",
    "activations",
    "powers",
    "slices of an expression",
    "transposed and reduced",
    "flattened and reduced",
    "reshaped, with another",
    "expanded and reduced",
    "prod",
    "cat",
    "0-d and more",
    "integers",
    "bools",
    "counts",
    "truths",
    "complex",
    "complex reduced",
    "constant",
    "NumPy's functions",
    "what waits for another",
    "a view of sums of rows",
    "empty",
    "sum over nothing",
]


@pytest.mark.parametrize("name", ON_CUDA)
def test_values_and_two_derivatives_are_those_of_the_cpu(name):
    function, *args = CASES[name]
    check(function, args)


@pytest.mark.parametrize("seed", [0, 3, 5, 8])
def test_random_functions(seed):
    check(*random_function(seed))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-2), ("float32", 1e-5)])
def test_narrow_dtypes(dtype, tolerance):
    x, w = A.astype(dtype), B.astype(dtype)
    function = lambda x, w: (
        gd.softmax(x * w, 2),
        gd.exp(x) * w,
        (x * w).sum(0),
        (100 * x).norm(),
        x.mean(),
    )
    exact = derivatives(function, [x.astype(np.float64), w.astype(np.float64)])
    found = derivatives(gd.fuse(function), [x, w], device="cuda")
    for a, b in zip(found, exact, strict=True):
        assert a.dtype.name == dtype
        assert_same([a.detach().double()], [b.detach()], tolerance)


def test_sums_of_float16_do_not_overflow():
    x = gd.full((300, 3), 200.0, dtype=gd.float16, device="cuda")
    mean, norm = gd.fuse(lambda x: (x.mean(0), x.norm(dim=0)))(x)
    assert mean.tolist() == [200.0] * 3
    np.testing.assert_allclose(norm.cpu().numpy(), 200 * np.sqrt(300), rtol=1e-3)
    s = gd.tensor(1.0, dtype=gd.float16, device="cuda", requires_grad=True)
    v = gd.full((3,), 1e-4, dtype=gd.float16, device="cuda")
    y = gd.fuse(lambda x, v, s: x * (v * s))(2 * x, v, s)
    y.backward(gd.full_like(y, 200.0))
    np.testing.assert_allclose(s.grad.item(), 7200.0, rtol=1e-2)


def test_a_cast_to_float16_rounds():
    x = gd.tensor(np.linspace(1, 2, 21), dtype=gd.float32)
    y = gd.fuse(lambda x: x.half().float() * 3)(x.cuda())
    assert y.tolist() == (x.half().float() * 3).tolist()


INTEGERS = (gd.bool, gd.uint8, gd.int8, gd.int32, gd.int64)


def test_reductions_of_integers():
    function = lambda i: (i.sum(0), gd.amax(i, 0), gd.amin(i), i.prod(1), i.any(1), i.all(0))
    for dtype in INTEGERS:
        i = gd.tensor(RNG.integers(0, 3, (7, 3)), dtype=dtype)
        assert_same(gd.fuse(function)(i.cuda()), function(i))


def test_special_values():
    x = np.array([[0.0, -0.0, np.nan, np.inf, -np.inf, 1.0], [1.0, 2.0, 3.0, -np.inf, 0.0, 5.0]])
    function = lambda x: (
        gd.where(x > 0, x, 0.0),
        gd.sign(x),
        gd.maximum(x, 0.5),
        gd.amax(x, 1),
        gd.amin(x, 1, True),
        gd.softmax(x, 1),
    )
    with np.errstate(all="ignore"):
        expected = function(gd.tensor(x))
    assert_same(gd.fuse(function)(gd.tensor(x, device="cuda")), expected)


# layouts and sizes -----------------------------------------------------------------------------

LAYOUTS = {
    "transposed": lambda a: a.T.copy().T,
    "with gaps": lambda a: a.repeat(2, 1)[:, ::2],
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "of a column": lambda a: np.broadcast_to(a[:, :1], a.shape),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_of_any_layout(name, cp):
    a = RNG.normal(size=(6, 8))
    function = lambda x, w: (
        gd.exp(x) * w,
        (x * w).sum(0),
        (x * w).sum(1, keepdim=True) * x,
        x.mean(),
    )
    fused = gd.fuse(function)
    for w in (RNG.normal(size=(6, 8)), RNG.normal(size=8), LAYOUTS[name](a)):
        base = np.ascontiguousarray(a)
        x = gd.tensor(base, device="cuda")
        # The same memory layout on the device.
        x._array = cp.lib.stride_tricks.as_strided(cp.asarray(base), a.shape, base.strides)
        strided = LAYOUTS[name](base)
        if name == "transposed":
            x._array = cp.asarray(strided.T.copy()).T
        elif name == "with gaps":
            x._array = cp.asarray(a.repeat(2, 1))[:, ::2]
        elif name == "backwards":
            x._array = cp.asarray(a[::-1, ::-1].copy())[::-1, ::-1]
        else:
            x._array = cp.broadcast_to(cp.asarray(a[:, :1].copy()), a.shape)
        expected = function(gd.tensor(np.array(strided)), gd.tensor(np.array(w)))
        assert_same(fused(x, gd.tensor(np.array(w), device="cuda")), expected)


@pytest.mark.parametrize(
    ("shape", "dim"),
    [
        ((40000,), (0,)),  # parts, and a second launch
        ((3, 20000), (1,)),
        ((20000, 3), (0,)),
        ((2, 3, 4, 3, 2), (0, 2, 4)),  # axes that do not merge
        ((300, 2, 5), (1,)),
        ((1, 7, 1), (0, 1)),
        ((5, 0, 3), (0,)),
    ],
)
def test_reductions_of_any_size_over_any_axes(shape, dim):
    x = gd.tensor(RNG.normal(size=shape))
    w = gd.tensor(RNG.normal(size=x.sum(dim).shape))
    function = lambda x, w: (
        (x * x).sum(dim) * w + 1,
        gd.amax(x, dim),
        x.mean(dim) * 2,
        (x > 0).sum(dim),
    )
    assert_same(gd.fuse(function)(x.cuda(), w.cuda()), function(x, w))


@pytest.mark.parametrize(
    ("shape", "dim"),
    [
        ((200, 5), (1,)),
        ((5, 200), (0,)),  # rows across
        ((2, 5000), (1,)),  # a block goes several times over a row
        ((130, 3, 4), (1, 2)),
        ((2, 3, 4, 3, 2), (0, 2, 4)),
        ((6, 3, 50), (1,)),
        ((9000,), (0,)),
    ],
)
def test_rows_of_any_length_over_any_axes(shape, dim, count):
    x = gd.tensor(RNG.normal(size=shape), requires_grad=True)

    def function(x):
        y = gd.exp(x - gd.amax(x, dim, True))
        spread = ((x - x.mean(dim, keepdim=True)) ** 2).mean(dim)
        return y / y.sum(dim, keepdim=True), spread

    fused = gd.fuse(function)
    plain, found = function(x), fused(x.detach().cuda().requires_grad_())
    assert_same(found, plain)
    assert count(lambda: fused(x.detach().cuda().requires_grad_())).launches <= 3
    v = [gd.tensor(RNG.normal(size=y.shape)) for y in plain]
    y = x.detach().cuda().requires_grad_()
    assert_same(gd.autograd.grad(fused(y), y, [t.cuda() for t in v]), gd.autograd.grad(plain, x, v))


def test_many_rows_or_few_elements_are_one_launch_and_few_long_rows_are_not(count):
    fused = gd.fuse(lambda x: gd.softmax(x, 1))
    for shape, expected in (((200, 300), 1), ((4, 4000), 1), ((3, 20000), 5)):
        x = gd.tensor(RNG.normal(size=shape), device="cuda")
        fused(x)
        found = count(lambda x=x: fused(x)).launches
        assert found == expected if expected == 1 else 3 <= found <= expected


# numbers, results, devices ---------------------------------------------------------------------


def test_numbers_are_arguments_of_the_kernel():
    function = lambda x, s, t, u: ((x * s + t).sum(0) * u, gd.exp(x * (s + t)), (x * s).mean() * t)
    fused = gd.fuse(function)
    for numbers in ((2.0, 0.1, -1.0), (-1.0, 0.3, 0.5)):
        run = lambda f, device, n=numbers: derivatives(lambda x: f(x, *n), [A], device=device)
        assert_same(run(fused, "cuda"), run(function, "cpu"))
    assert fused.cache_info().misses == 1


def test_rows_with_numbers():
    function = lambda x, s, eps: gd.softmax(x * s, 1) / (x.norm(dim=1, keepdim=True) + eps)
    fused = gd.fuse(function)
    run = lambda f, device: derivatives(lambda x: f(x, 2.0, 0.1), [B], device=device)
    assert_same(run(fused, "cuda"), run(function, "cpu"))


def test_a_number_of_the_cpu_joins():
    x, s = gd.tensor(A, device="cuda", requires_grad=True), gd.tensor(2.0, requires_grad=True)
    y = gd.fuse(lambda x, s: x * s)(x, s)
    y.sum().backward()
    assert str(s.grad.device) == "cpu"
    np.testing.assert_allclose(s.grad.item(), A.sum(), rtol=1e-6)


def test_tensors_of_two_devices_are_refused():
    with pytest.raises(RuntimeError, match="same device"):
        gd.fuse(lambda x, w: x * w)(gd.ones(3), gd.ones(3, device="cuda"))
    x = gd.ones(3, device="cuda:1")
    y = gd.fuse(lambda x: gd.exp(x) + x.sum())(x)
    assert str(y.device) == "cuda:1"
    np.testing.assert_allclose(y.cpu().numpy(), np.e + 3, rtol=1e-6)


def test_results_that_are_arguments_or_constants():
    x = gd.tensor(A, device="cuda", requires_grad=True)
    same, view, copy, zeros, filled = gd.fuse(
        lambda x, s: (x, x.reshape(-1), x.clone(), gd.zeros_like(x), gd.ones_like(x) * s)
    )(x, 2.5)
    assert same is x
    assert view._array.data.ptr == x._array.data.ptr
    assert copy._array.data.ptr != x._array.data.ptr
    assert (zeros.cpu().numpy() == 0).all()
    assert (filled.cpu().numpy() == 2.5).all()


def test_gradcheck():
    fused = gd.fuse(lambda x, w: (gd.softmax(x * w, 1) * gd.sin(x)).sum(0) / w.norm())
    x, w = tensors_of(B, "cuda"), tensors_of(B[0], "cuda")
    assert gd.autograd.gradcheck(fused, (x, w), fast_mode=True)


def test_source_is_cuda_c():
    fused = gd.fuse(lambda x: gd.sin(x).sum(1), name="wave")
    text = fused.source(gd.ones(2, 3, device="cuda", requires_grad=True))
    assert "gc_wave(float32 x0_" in text
    assert "sin(" in text
    assert "gc_wave_backward" in text
    assert "cos(" in text


# for a real GPU --------------------------------------------------------------------------------
