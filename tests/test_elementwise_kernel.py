"""Kernels from a line of C: what the line means, and where it is wrong."""

import math
import re

import numpy as np
import pytest

import gradcore as gd

X = np.linspace(-2.2, 2.4, 24).reshape(4, 6)
Y = np.linspace(0.3, 1.9, 6)


def kernel_of(*args, **kwargs):
    return gd.elementwise_kernel(*args, **kwargs)


def evaluate(expression, x=X, y=Y, types=("double", "double")):
    kernel = kernel_of(f"{types[0]} x, {types[1]} y", expression)
    return kernel(gd.tensor(x), gd.tensor(y)).numpy()


# values ----------------------------------------------------------------------------------------

EXPRESSIONS = {
    "x * sin(y) + exp(-x * x)": X * np.sin(Y) + np.exp(-X * X),
    "x - y - 1": X - Y - 1,
    "x / y / 2": X / Y / 2,
    "2 * -x + +y": 2 * -X + Y,
    "-x * x": -X * X,
    "(x + y) * (x - y)": (X + Y) * (X - Y),
    "x + y * x < 1 ? x : y": np.where(X + Y * X < 1, X, np.broadcast_to(Y, X.shape)),
    "x > 0 ? y : x < -1 ? 2 * y : 0": np.where(X > 0, Y, np.where(X < -1, 2 * Y, 0)),
    "x > 0 && y < 1 || !(x > -1)": ((X > 0) & (Y < 1)) | ~(X > -1),
    "(x > 0) + (y > 1)": (X > 0).astype(int) + (Y > 1),
    "x == y || x != x": np.zeros(X.shape, bool),
    "!x": X == 0,
    "x && y": np.ones(X.shape, bool),
    "pow(fabs(x), y) - powf(y, 2)": np.abs(X) ** Y - Y**2,
    "sqrt(y) + std::sqrtf(y) * rsqrt(y)": np.sqrt(Y) + np.ones(X.shape),
    "fmax(x, y) - fmin(x, 0.5) + max(x, 0) - std::min(y, 1.0)": (
        np.maximum(X, Y) - np.minimum(X, 0.5) + np.maximum(X, 0) - np.minimum(Y, 1)
    ),
    "fmod(x, y) + x % y": 2 * np.fmod(X, Y),
    "floor(x) + ceil(y) + trunc(x) + rint(x) + round(x)": (
        np.floor(X) + np.ceil(Y) + np.trunc(X) + np.rint(X) + np.copysign(np.floor(abs(X) + 0.5), X)
    ),
    "tanh(x) * expm1(x) + log1p(y) + log(y) / log2(y) - log10(y)": (
        np.tanh(X) * np.expm1(X) + np.log1p(Y) + np.log(Y) / np.log2(Y) - np.log10(Y)
    ),
    "erf(x) + atan2(y, x) + hypot(x, y)": (
        np.vectorize(math.erf)(X) + np.arctan2(Y, X) + np.hypot(X, Y)
    ),
    "isnan(x) + isinf(x) + isfinite(x)": np.ones(X.shape, int),
    "M_PI * x + 1e-2 + .5 + 2.f + 3.": np.pi * X + 1e-2 + 0.5 + 2 + 3,
    "fma(x, y, 1.0)": X * Y + 1,
    "(float)x + float(y)": X.astype("f4") + Y.astype("f4"),
    "(int)x + (x > 1)": X.astype("i4") + (X > 1),
    "true ? x : y": X,
    "2.0 > 1.0 && x > 0": X > 0,
    "sqrt(2.0) * x": math.sqrt(2) * X,
    "abs(x) * sign(x) * 1": X,
    "1.5": np.full(X.shape, 1.5, np.float32),
    "x": X,
    "y": np.broadcast_to(Y, X.shape),
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_means_what_it_means_in_c(expression):
    expected = EXPRESSIONS[expression]
    found = evaluate(expression)
    assert found.shape == X.shape
    assert (found.dtype == np.bool_) == (expected.dtype == np.bool_)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if "float" in expression else 1e-13)


def test_whole_numbers_are_computed_with_as_in_c():
    i, j = np.array([-7, -4, 0, 4, 7]), np.array([2, 3, 5, -3, -2])
    tensors = gd.tensor(i), gd.tensor(j)
    found = kernel_of("long i, long j", "i / j * 100 + i % j")(*tensors)
    quotient = np.trunc(i / j).astype(int)
    assert found.tolist() == (quotient * 100 + (i - quotient * j)).tolist()
    assert kernel_of("long i, long j", "(i & 6) | (j ^ 1) + ~i")(*tensors).tolist() == (
        ((i & 6) | ((j ^ 1) + ~i)).tolist()
    )
    assert kernel_of("int i", "i / 2.0")(tensors[0].int()).dtype is gd.float32


def test_fmax_and_fmin_leave_nan_out_and_max_does_not():
    x = gd.tensor([math.nan, 1.0, math.nan])
    y = gd.tensor([2.0, math.nan, math.nan])
    largest, smallest = kernel_of("T x, T y", "T a, T b", "a = fmax(x, y); b = fmin(y, x)")(x, y)
    assert str(largest.tolist()) == str(smallest.tolist()) == "[2.0, 1.0, nan]"
    assert str(kernel_of("T x, T y", "max(x, y)")(x, y).tolist()) == "[nan, nan, nan]"


def test_types_of_arguments_and_results():
    x, y = gd.tensor(X, dtype=gd.float32), gd.tensor(Y)
    # As in C, float and double make double.
    assert kernel_of("float x, double y", "x * y")(x, y).dtype is gd.float64
    # Written numbers take the type of what they are combined with.
    assert kernel_of("float x", "0.1 * x + 2")(x).dtype is gd.float32
    s, d = kernel_of("float x, double y", "float s, float64 d", "s = x * y; d = s")(x, y)
    assert (s.dtype, d.dtype) == (gd.float32, gd.float64)
    z = kernel_of("complex<double> z", "z * conj(z) + real(z)")(
        gd.tensor([1 + 2j, 0.5j], dtype=gd.complex128)
    )
    np.testing.assert_allclose(z.numpy(), [6, 0.25])
    names = (
        "unsigned char a, signed char b, unsigned int c, long long d, bool e, half f, const int g"
    )
    kinds = (gd.uint8, gd.int8, gd.uint32, gd.int64, gd.bool, gd.float16, gd.int32)
    parts = [p.rsplit(None, 1) for p in names.replace("const ", "").split(",")]
    out = ", ".join(f"{t} out_{n}" for t, n in parts)
    copied = kernel_of(names, out, "; ".join(f"out_{n} = {n}" for _, n in parts))
    results = copied(*[gd.ones(3, dtype=k) for k in kinds])
    assert tuple(t.dtype for t in results) == kinds


def test_statements_variables_and_several_results():
    kernel = kernel_of(
        "T x, T y",
        "T s, float64 d",
        """
        const T t = x + y;
        auto u = t * t;
        float scale = 2.0;
        u += x;
        s = u > 1 ? u : -u * 2.0f;
        d = (double)s / 3;
        d *= scale;
        """,
    )
    x, y = gd.tensor(X, requires_grad=True), gd.tensor(Y, requires_grad=True)
    s, d = kernel(x, y)
    u = (X + Y) ** 2 + X
    expected = np.where(u > 1, u, -u * 2)
    np.testing.assert_allclose(s.detach().numpy(), expected, rtol=1e-14)
    np.testing.assert_allclose(d.detach().numpy(), expected / 3 * 2, rtol=1e-14)
    (s.sum() + d.sum()).backward()
    slope = np.where(u > 1, 1, -2) * (1 + 2 / 3)
    np.testing.assert_allclose(x.grad.numpy(), slope * (2 * (X + Y) + 1), rtol=1e-13)
    np.testing.assert_allclose(y.grad.numpy(), (slope * 2 * (X + Y)).sum(0), rtol=1e-13)


def test_gradients_are_derived_to_second_order():
    kernel = kernel_of("double x, double y", "fabs(x) > 0.3 ? x * sin(y) : pow(y, x)")
    x, y = (gd.tensor(v, requires_grad=True) for v in (X[:2], Y))
    assert gd.autograd.gradcheck(kernel, (x, y))
    assert gd.autograd.gradgradcheck(kernel, (x, y))
    assert kernel(x, y).grad_fn.name() == "ElementwiseKernelBackward0"
    named = kernel_of("double x", "x * x", name="parabola")
    assert named(x).grad_fn.name() == "ParabolaBackward0"
    assert repr(named) == "<elementwise kernel parabola>"


def test_numbers_are_converted_and_not_traced_again():
    kernel = kernel_of("float x, float a", "x * a + a * a")
    x = gd.tensor(X, dtype=gd.float32)
    for a in (0.5, 2, np.float64(0.1), True):
        expected = X.astype("f4") * np.float32(a) + np.float32(a) ** 2
        np.testing.assert_allclose(kernel(x, a).numpy(), expected, rtol=1e-6)
    assert kernel.cache_info()[:2] == (3, 1)
    wide = kernel_of("float x, double a", "x * a")(x, 0.1)
    np.testing.assert_array_equal(wide.numpy(), X.astype("f4").astype("f8") * 0.1)
    assert kernel_of("T x, T a", "x * a")(x, 0.1).dtype is gd.float32
    assert kernel_of("float x, int n", "x + n / 2")(x, 3).tolist() == (x + 1).tolist()


def test_arguments_broadcast_also_those_that_are_not_read():
    x, y = gd.tensor(X), gd.tensor(Y)
    assert kernel_of("double x, double y", "y * 2")(x, y).shape == X.shape
    a, b = kernel_of("T x, T y", "T a, T b", "a = x; b = y")(x, y)
    assert a.shape == b.shape == X.shape
    assert a is not x
    assert kernel_of("double x", "x + 1")(X).tolist() == (X + 1).tolist()
    assert kernel_of("double x", "x + 1")(gd.tensor(X[0, 0])).shape == ()


def test_a_kernel_can_be_part_of_a_fused_function():
    wave = kernel_of("T x, T s", "sin(x) * s")
    x = gd.tensor(X, requires_grad=True)
    y = gd.fuse(lambda x: wave(x, 2.0).sum() + wave(x * 2, x).mean())(x)
    expected = (2 * np.sin(X)).sum() + (np.sin(2 * X) * X).mean()
    np.testing.assert_allclose(y.item(), expected, rtol=1e-13)


# mistakes --------------------------------------------------------------------------------------

MISTAKES = [
    (("float x", "x * sin(y)"), "unknown name 'y'", "x * sin(y)", 8),
    (("float x", "x *"), "the expression ends early", "x *", 3),
    (("float x", "x * )"), "expected a number, a name", "x * )", 4),
    (("floot x", "x"), "unknown type 'floot'", "floot x", 0),
    (("float x, doubel y", "x"), "unknown type 'doubel'", "float x, doubel y", 9),
    (("float x", "x $ 2"), "unexpected character '$'", "x $ 2", 2),
    (("float x", "1 / 2 * x"), "a quotient of whole numbers", "1 / 2 * x", 2),
    (("float x", "2 + foo(x)"), "unknown function 'foo'", "2 + foo(x)", 4),
    (("float x", "sin(x, x)"), "'sin' takes 1 argument, not 2", "sin(x, x)", 0),
    (("float x", "pow(x)"), "'pow' takes 2 arguments, not 1", "pow(x)", 0),
    (("float x", "sin * 2"), "expected '(' after the function 'sin'", "sin * 2", 4),
    (("float x", "(x + 1"), "expected ')'", "(x + 1", 6),
    (("float x", "x ? 1"), "expected ':'", "x ? 1", 5),
    (("float x", "x x"), "expected the end of the expression", "x x", 2),
    (("float x", "float z", "y = x"), "'y' is no output", "y = x", 0),
    (("float x", "float z", "x = 2"), "'x' is an input", "x = 2", 0),
    (("float x", "float z", "z += x"), "'z' has no value yet", "z += x", 0),
    (("float x", "float z", "float y = x"), "'z' is not assigned to", "float y = x", 11),
    (("float x", "float z", "z = x z = 2"), "expected ';'", "z = x z = 2", 6),
    (("float x", "float z", "z = x;\nz = w;"), "unknown name 'w'", "z = w;", 4),
    (("float x", "float z", "sin(x)"), "expected '='", "sin(x)", 3),
    (("float x", "float z", "2 = x"), "expected an assignment", "2 = x", 0),
    (("float x", "float z", "Q y = x; z = y"), "unknown type 'Q'", "Q y = x; z = y", 0),
    (("float x", "T z", "z = x"), "no input has the type 'T'", "T z", 0),
    (("float x, float x", "x"), "the name 'x' occurs twice", "float x, float x", 15),
    (("float x", "float x", "x = 1"), "'x' is an input too", "float x", 0),
    (("x", "x"), "expected a type and a name", "x", 0),
    (("float *x", "x"), "unknown type 'float *'", "float *x", 0),
]


@pytest.mark.parametrize(("args", "words", "line", "place"), MISTAKES, ids=lambda v: str(v)[:40])
def test_a_mistake_is_shown_in_its_place(args, words, line, place):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        kernel_of(*args)
    shown = str(caught.value).splitlines()
    assert shown[-2:] == [f"    {line}", "    " + " " * place + "^"]


def test_nothing_in_the_source_is_run_as_python():
    for source in ("__import__('os')", "x.__class__", "[x]", "x if x else x", "lambda: x"):
        with pytest.raises(ValueError, match="elementwise_kernel: "):
            kernel_of("float x", source)


def test_arguments_of_other_types_are_refused():
    kernel = kernel_of("float x, T y, T z", "x * y * z")
    x, y = gd.ones(3), gd.ones(3, dtype=gd.float64)
    with pytest.raises(TypeError, match=r"takes 3 arguments \(x, y, z\), not 1"):
        kernel(x)
    with pytest.raises(TypeError, match="'x' is declared as float32, but got float64"):
        kernel(y, y, y)
    with pytest.raises(TypeError, match="T is float32 for 'y' and float64 for 'z'"):
        kernel(x, x, y)
    with pytest.raises(TypeError, match="no Tensor tells what the type T of 'y' is"):
        kernel(x, 1.0, 2.0)
    with pytest.raises(TypeError, match="at least one argument must be a Tensor"):
        kernel(1.0, 2.0, 3.0)
    with pytest.raises(RuntimeError, match="must match the size"):
        kernel(x, gd.ones(4), 1.0)
