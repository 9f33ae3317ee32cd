import math

import layouts
import numpy as np
import pytest

pytestmark = pytest.mark.cuda

DTYPES = ["float16", "float32", "float64", "complex64", "complex128"]
ORDERS = [2.0, 1.0, 0.0, math.inf, -math.inf, 3.0, 1.5, 0.5, -1.0]
REAL = {"complex64": "float32", "complex128": "float64"}


def norm(x, p, dim, keepdim):
    """The float64 formula."""
    size = np.abs(x)
    if p == 0:
        return np.asarray((size != 0).sum(dim, keepdims=keepdim), float)
    if math.isinf(p):
        return np.asarray((np.max if p > 0 else np.min)(size, dim, keepdims=keepdim))
    return np.asarray((size**p).sum(dim, keepdims=keepdim) ** (1 / p))


def gradient(g, x, p, dim, keepdim):
    """PyTorch's formula, for an x without zeros."""
    y = norm(x, p, dim, True)
    if not keepdim:
        g = np.expand_dims(g, dim)
    size = np.abs(x)
    if math.isinf(p):
        attained = size == y
        return x / size * attained * g / attained.sum(dim, keepdims=True)
    return x * size ** (p - 2) * g / y ** (p - 1)


def check(cp, kernels, same, x, wide, p, dim, keepdim):
    dtype = x.dtype.name
    y = kernels.norm(x, p, dim, keepdim)
    expected = norm(wide, p, dim, keepdim)
    same(y, expected, REAL.get(dtype, dtype))
    g = layouts.random(y.shape, y.dtype, seed=3)
    (dx,) = kernels.norm_backward((True,), cp.asarray(g), y, x, p, dim, keepdim)
    if p == 0:
        assert dx is None
        return
    same(dx, gradient(g.astype(float), wide, p, dim, keepdim), dtype)


@pytest.mark.parametrize(("layout", "dim"), [("odd", (1,)), ("odd", (0, 1))])
@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_order(cp, kernels, same, dtype, p, layout, dim):
    x, wide = layouts.pair(cp, layout, dtype)
    check(cp, kernels, same, x, wide, p, dim, True)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("layout", "dim"), layouts.CASES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_every_layout(cp, kernels, same, dtype, layout, dim, keepdim):
    x, wide = layouts.pair(cp, layout, dtype)
    check(cp, kernels, same, x, wide, 2.0, dim, keepdim)


@pytest.mark.parametrize("p", [math.inf, 3.0])
@pytest.mark.parametrize(
    ("layout", "dim"), [("0-d", ()), ("transposed", (0,)), ("broadcast", (0, 1)), ("3-d", (0, 2))]
)
def test_other_orders_on_layouts(cp, kernels, same, p, layout, dim):
    x, wide = layouts.pair(cp, layout, "float32")
    check(cp, kernels, same, x, wide, p, dim, False)


@pytest.mark.parametrize(
    ("shape", "dim"), [((20011,), (0,)), ((20011, 2), (0,)), ((139, 3, 140), (0, 2))]
)
@pytest.mark.parametrize("p", [2.0, math.inf, -1.0])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_few_outputs_of_many_elements(cp, kernels, same, dtype, p, shape, dim):
    base = layouts.random(shape, dtype, seed=0)
    wide = base.astype(np.complex128 if dtype == "complex64" else float)
    check(cp, kernels, same, cp.asarray(base), wide, p, dim, False)


nan, inf = math.nan, math.inf
# p, x, and what PyTorch 2.13 says of x.norm(p) and its gradient.
PYTORCH = [
    (2, [3, -4], 5, [0.6, -0.8]),
    (2, [0, 0], 0, [0, 0]),
    (2, [nan, 0], nan, [nan, nan]),
    (2, [inf, 1], inf, [nan, 0]),
    (2, 5, 5, 1),
    (2, 0, 0, 0),
    (1, [0, 2, -1], 3, [0, 1, -1]),
    (1, [nan, 1], nan, [0, 1]),
    (1, [-inf, inf], inf, [-1, 1]),
    (0, [0, 2, -1], 2, None),
    (0, [nan, 0], 1, None),
    (0, [], 0, None),
    (1, [], 0, []),
    (2, [], 0, []),
    (3, [], 0, []),
    (0.5, [], 0, []),
    (inf, [3, -4], 4, [0, -1]),
    (inf, [0, 0], 0, [0, 0]),
    (inf, [2, -2, 1], 2, [0.5, -0.5, 0]),
    (inf, [nan, 1], nan, [0, 0]),
    (inf, [1, nan], nan, [0, 0]),
    (inf, [-inf, inf], inf, [-0.5, 0.5]),
    (inf, 0, 0, 0),
    (-inf, [3, -4], 3, [1, 0]),
    (-inf, [0, 2, -1], 0, [0, 0, 0]),
    (-inf, [nan, 0], nan, [0, 0]),
    (-inf, [0, nan], nan, [0, 0]),
    (-inf, [inf, 1], 1, [0, 1]),
    (3, [0, 0], 0, [0, 0]),
    (3, [0, 2, -1], 2.080083823051904, [0, 0.9244816991341795, -0.2311204247835449]),
    (3, [nan, 0], nan, [nan, nan]),
    (3, [inf, 1], inf, [nan, 0]),
    (1.5, [0, 0], 0, [0, 0]),
    (1.5, [0, 2, -1], 2.4472608147714756, [0, 0.9040134034531213, -0.6392340078652324]),
    (1.5, [inf, 1], inf, [nan, 0]),
    (0.5, [0, 0], 0, [0, 0]),
    (0.5, [0, 2, -1], 5.82842712474619, [0, 1.7071067811865472, -2.414213562373095]),
    (0.5, [nan, 0], nan, [nan, nan]),
    (0.5, [inf, 1], inf, [nan, inf]),
    (-1, [0, 2, -1], 0, [0, 0, 0]),
    (-1, [2, -2, 1], 0.5, [0.0625, -0.0625, 0.25]),
    (-1, [inf, 1], 1, [0, 1]),
    (-1, [-inf, inf], inf, [nan, nan]),
    (-2, [0, 0], 0, [0, 0]),
    (-2, [3, -4], 2.4, [0.512, -0.216]),
    (nan, [3, -4], nan, [nan, nan]),
    (2, [0j, 0j], 0, [0j, 0j]),
    (1, [0j, 1 + 0j], 1, [0j, 1 + 0j]),
    (1, [3 + 4j, 1j], 6, [0.6 + 0.8j, 1j]),
    (
        2,
        [3 + 4j, 1j],
        5.0990195135927845,
        [0.5883484054145521 + 0.7844645405527362j, 0.19611613513818404j],
    ),
    (inf, [3 + 4j, 1j], 5, [0.6 + 0.8j, 0j]),
    (inf, [complex(nan, 0), 1j], nan, [complex(nan, nan), 0j]),
    (-inf, [0j, 1 + 0j], 0, [0j, 0j]),
    (
        3,
        [3 + 4j, 1j],
        5.0132979349645845,
        [0.5968211827338791 + 0.7957615769785055j, 0.039788078848925275j],
    ),
    (0.5, [0j, 1 + 0j], 1, [0j, 1 + 0j]),
    (
        -1,
        [3 + 4j, 1j],
        0.8333333333333334,
        [0.01666666666666667 + 0.022222222222222227j, 0.6944444444444445j],
    ),
]


@pytest.mark.parametrize(("p", "x", "y", "dx"), PYTORCH)
def test_pytorch_at_zeros_ties_and_nan(cp, kernels, same, p, x, y, dx):
    x = np.asarray(x, complex if np.iscomplexobj(x) else float)
    array = cp.asarray(x)
    dim = tuple(range(x.ndim))
    got = kernels.norm(array, float(p), dim, False)
    same(got, np.asarray(y, float), "float64")
    (d,) = kernels.norm_backward((True,), cp.ones(()), got, array, float(p), dim, False)
    if dx is None:
        assert d is None
    else:
        same(d, np.asarray(dx, x.dtype), x.dtype)


def test_orders_whose_powers_overflow_have_a_gradient(cp, kernels, same):
    x = cp.asarray([3e13, 4e13], "float32")
    y = kernels.norm(x, 2.5, (0,), False)
    (dx,) = kernels.norm_backward((True,), cp.ones((), "f4"), y, x, 2.5, (0,), False)
    wide = np.asarray([3e13, 4e13])
    same(dx, gradient(np.ones(()), wide, 2.5, (0,), False), "float32")
    x = cp.asarray([3, 4], "float32")
    (dx,) = kernels.norm_backward((True,), cp.ones((), "f4"), x[1], x, 80.0, (0,), False)
    same(dx, np.asarray([(3 / 4) ** 79, 1.0]), "float32")


def test_an_unwanted_gradient_costs_nothing(cp, kernels, count):
    x = cp.ones((3, 4), "float32")
    y = kernels.norm(x, 2.0, (1,), False)
    made = count(lambda: kernels.norm_backward((False,), y, y, x, 2.0, (1,), False))
    assert (made.launches, made.copies_and_syncs) == (0, {})
    assert kernels.norm_backward((False,), y, y, x, 2.0, (1,), False) == (None,)


@pytest.mark.parametrize(
    ("shape", "dim", "launches"),
    [((6, 200), (0,), 1), ((6, 200), (1,), 1), ((6, 200), (0, 1), 1), ((200, 100), (0, 1), 2)],
)
@pytest.mark.parametrize("p", ORDERS)
def test_launches(cp, kernels, count, p, shape, dim, launches):
    x = cp.ones(shape, "float32")
    made = count(lambda: kernels.norm(x, p, dim, False))
    assert (made.launches, made.copies_and_syncs) == (launches, {})
    y = kernels.norm(x, p, dim, False)
    made = count(lambda: kernels.norm_backward((True,), y, y, x, p, dim, False))
    backward = 0 if p == 0 else 1 + launches if math.isinf(p) else 1
    assert (made.launches, made.copies_and_syncs) == (backward, {})
