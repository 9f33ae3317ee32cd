"""The kernels that are generated from the declarations of operations."""

import numpy as np
import pytest

import gradcore as gd
from gradcore.op import OPS
from gradcore.tensor import wrap

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

F = gd.nn.functional
# Without those that give a view, and those one of whose derivatives raises.
ELEMENTWISE = [
    path
    for path, op in OPS.items()
    if op.kind in ("unary", "binary")
    and op.differentiable
    and path not in ("_real", "_imag", "floor_divide", "_div_trunc")
    and path not in ("igamma", "igammac", "special.zeta")
]
X = np.linspace(0.3, 0.9, 12).reshape(3, 4)


def operands(path):
    shift = 1.0 if path == "acosh" else 0.0
    number = 1 if OPS[path].kind == "unary" else 2
    return [
        gd.tensor(X + shift + 0.01 * i, dtype=gd.float32, device="cuda", requires_grad=True)
        for i in range(number)
    ]


def calls_a_library(path):
    """Whether it is made of functions of SciPy, of which CuPy has kernels of its own."""
    op = OPS[path].call.op
    formulas = [f for f in (op.forward, *op.rules) if callable(f)]
    return any({"special", "apply", "module"} & set(f.__code__.co_names) for f in formulas)


@pytest.mark.parametrize("path", ELEMENTWISE)
def test_each_way_is_one_launch(path, count):
    inputs = operands(path)
    y = OPS[path].call(*inputs)
    v = gd.ones_like(y)
    gd.autograd.grad(y, inputs, v)  # compiles
    results = []
    forward = count(lambda: results.append(OPS[path].call(*inputs)))
    assert forward.launches == 1 or calls_a_library(path)
    assert not forward.copies_and_syncs
    backward = count(lambda: gd.autograd.grad(results[0], inputs, v))
    assert backward.launches <= 1 or calls_a_library(path)
    assert not backward.copies_and_syncs


def test_a_number_and_an_edge_that_occurs_twice_are_arguments_of_one_launch(count):
    x = gd.tensor(X, device="cuda", requires_grad=True)
    v = gd.ones(3, 4, dtype=gd.float64, device="cuda")
    for program in (
        lambda s: x * s,
        lambda s: s - x,
        lambda s: s / x,
        lambda s: s**x,
        lambda s: x * x,
        lambda s: x / x,
    ):
        gd.autograd.grad(program(2.0), x, v)
        results = []
        assert count(lambda p=program, r=results: r.append(p(3.0))).launches == 1
        assert count(lambda r=results: gd.autograd.grad(r[0], x, v)).launches <= 1


def test_the_tutorial_program_takes_six_launches(count):
    def program():
        x = gd.ones(2, 2, device="cuda", requires_grad=True)
        y = x + 2
        z = y * y * 3
        z.mean().backward()
        return x.grad

    assert program().tolist() == [[4.5, 4.5], [4.5, 4.5]]
    counted = count(program)
    assert counted.launches <= 6
    assert not counted.copies_and_syncs


CHAINS = {
    "sigmoid": lambda x: F.softplus(F.logsigmoid(x), 2.0) + F.elu(x, 0.7) * F.leaky_relu(x, 0.1),
    "gelu": lambda x: F.gelu(x) + F.gelu(x, approximate="tanh") + F.silu(x),
    "powers": lambda x: x**2 + x**3 + x**0.5 + x**-1 + x**-1.7 + 2.0**x + x**0,
    "choices": lambda x: gd.where(x > 0.5, x * x, gd.clamp(x, 0.4, 0.8)) + gd.maximum(x, 0.6 * x),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_and_gradients_are_those_of_the_cpu(name, dtype):
    tolerance = {"float16": 2e-2, "float32": 3e-6, "float64": 1e-13}[dtype]
    found = []
    for device in ("cpu", "cuda"):
        x = gd.tensor(X.astype(dtype), device=device, requires_grad=True)
        y = CHAINS[name](x)
        (first,) = gd.autograd.grad(y.sum(), x, create_graph=True)
        (second,) = gd.autograd.grad((first * first).sum(), x)
        found.append([t.detach().cpu().numpy() for t in (y, first, second)])
    for cpu, cuda in zip(*found, strict=True):
        assert cpu.dtype == cuda.dtype
        np.testing.assert_allclose(cuda, cpu, rtol=tolerance, atol=tolerance)


def test_float16_is_computed_in_float32(cp):
    x = wrap(cp.asarray([60.0], "float16"), True)
    F.gelu(x, approximate="tanh").backward()  # the cube of 60 is no float16
    assert x.grad.tolist() == [1.0]


COMPLEX = np.exp(1j * np.linspace(0, 6, 12)).reshape(3, 4) * X


@pytest.mark.parametrize("name", ["exp", "tanh", "sqrt", "abs", "sigmoid", "mul", "pow"])
def test_complex_numbers(name):
    found = []
    for device in ("cpu", "cuda"):
        x = gd.tensor(COMPLEX, device=device, requires_grad=True)
        y = gd.mul(x, x * 1j + 2.0) if name == "mul" else x**2.5 if name == "pow" else None
        y = getattr(gd, name)(x) if y is None else y
        v = gd.tensor(COMPLEX[::-1].copy(), device=device)
        y.backward(v if y.is_complex() else gd.real(v))
        found.append([t.detach().cpu().numpy() for t in (y, x.grad)])
    for cpu, cuda in zip(*found, strict=True):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-12)


@pytest.mark.parametrize("numbers", [(1j, 2.0), (2.0, 1j)])
def test_complex_tensors_and_numbers_of_either_kind(numbers):
    x = gd.tensor(COMPLEX, device="cuda", requires_grad=True)
    for number in numbers:
        y = x * number
        (dx,) = gd.autograd.grad(y, x, gd.ones_like(y))
        np.testing.assert_allclose(y.detach().cpu().numpy(), COMPLEX * number)
        np.testing.assert_allclose(dx.cpu().numpy(), np.full((3, 4), np.conj(number)))


# Two views that broadcast to (3, 4), of arrays of 48 and of 12 elements.
LAYOUTS = {
    "contiguous": lambda a, b: (b, 2 * b),
    "transposed": lambda a, b: (b.reshape(4, 3).T, b.reshape(4, 3).T),
    "one of each order": lambda a, b: (b, b.reshape(4, 3).T),
    "with gaps": lambda a, b: (a[::2, ::2], a[::2, 1::2]),
    "backwards": lambda a, b: (b[::-1, ::-1], b),
    "a row": lambda a, b: (b, b[0]),
    "a column": lambda a, b: (b[:, :1], b),
    "outer": lambda a, b: (b[:, :1], b[0]),
    "one element": lambda a, b: (b, b[:1, :1]),
    "0-d": lambda a, b: (b, b[0, 0, ...]),
    "unaligned": lambda a, b: (a.reshape(-1)[1:13].reshape(3, 4), b),
    "empty": lambda a, b: (b[:, :0], b[:1, :1]),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_layout(name, dtype, cp):
    a, b = (np.linspace(0.5, 2.0, n).reshape(s) for n, s in ((48, (6, 8)), (12, (3, 4))))
    found = []
    for module in (np, cp):
        p, q = LAYOUTS[name](module.asarray(a, dtype), module.asarray(b, dtype))
        x, y = wrap(p, True), wrap(q, True)
        z = x * y
        z.backward(wrap(module.ones(z._shape, dtype)))
        found.append([t.detach().cpu().numpy() for t in (z, x.grad, y.grad)])
        if module is cp and name == "transposed":
            assert z._array.flags.f_contiguous
    for cpu, cuda in zip(*found, strict=True):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-6 if dtype == "float32" else 2e-3)


def test_many_values_of_an_exponent_do_not_make_as_many_kernels(cp):
    import hostcuda

    x = wrap(cp.asarray(X), True)
    before = hostcuda.counters["compile"]
    for k in range(200):
        gd.autograd.grad((x ** (1.5 + k / 100)).sum(), x)
    assert hostcuda.counters["compile"] - before < 200
    np.testing.assert_allclose((x**3.49).detach().cpu().numpy(), X**3.49)


def test_a_cotangent_that_nobody_holds_is_written_over(count):
    y = x = gd.tensor(X, device="cuda", requires_grad=True)
    for _ in range(10):
        y = gd.tanh(y)
    v = gd.ones_like(y)
    gd.autograd.grad(y, x, v, retain_graph=True)
    counted = count(lambda: gd.autograd.grad(y, x, v, retain_graph=True))
    assert counted.launches == 10
    assert counted.mallocs == 1
    assert v.tolist() == np.ones((3, 4)).tolist()


def test_a_cotangent_that_somebody_holds_is_not_written_over():
    found = []
    for device in ("cpu", "cuda"):
        x = gd.tensor(X, device=device, requires_grad=True)
        a = x.exp()
        b = a.tanh()
        c = b + b.sin() * a
        y = (c * a).cos() - c
        for t in (a, b, c, y):
            t.retain_grad()
        v = gd.tensor(X[::-1].copy(), device=device)
        y.backward(v, retain_graph=True)
        p, q = gd.autograd.grad(y, (c, x), v, retain_graph=True)
        y.backward(v)
        np.testing.assert_array_equal(v.cpu().numpy(), X[::-1])
        found.append([t.detach().cpu().numpy() for t in (p, q, *(t.grad for t in (x, a, b, c, y)))])
    for cpu, cuda in zip(*found, strict=True):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-13)
