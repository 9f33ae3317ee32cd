import layouts
import numpy as np
import pytest

pytestmark = pytest.mark.cuda

DTYPES = ["float16", "float32", "float64"]


def gradients(g, x, y, dim, keepdim):
    """The float64 formula: dx = g / n * y, dy = g / n * x."""
    if not keepdim:
        g = np.expand_dims(g, dim)
    n = np.prod([x.shape[d] for d in dim])
    return g / n * y, g / n * x


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(("layout", "dim"), layouts.CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_gradients(cp, kernels, same, dtype, layout, dim, keepdim):
    x, wide_x = layouts.pair(cp, layout, dtype, seed=1)
    y, wide_y = layouts.pair(cp, layout, dtype, seed=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.asarray((wide_x * wide_y).sum(dim, keepdims=keepdim)) / np.prod(
            [x.shape[d] for d in dim]
        )
    same(kernels.mul_mean(x, y, dim, keepdim), expected, dtype)

    g = layouts.random(expected.shape, dtype, seed=3)
    with np.errstate(invalid="ignore", divide="ignore"):
        dx, dy = gradients(g.astype(float), wide_x, wide_y, dim, keepdim)
    got = kernels.mul_mean_backward((True, True), cp.asarray(g), x, y, dim, keepdim)
    same(got[0], dx, dtype)
    same(got[1], dy, dtype)


@pytest.mark.parametrize("layout", ["odd", "transposed"])
def test_only_what_is_wanted_is_computed(cp, kernels, same, layout):
    x, wide_x = layouts.pair(cp, layout, "float32", seed=1)
    y, wide_y = layouts.pair(cp, layout, "float32", seed=2)
    g = cp.ones((), "float32")
    dx, dy = gradients(np.ones(()), wide_x, wide_y, (0, 1), False)

    got = kernels.mul_mean_backward((True, False), g, None, y, (0, 1), False)
    assert got[1] is None
    same(got[0], dx, "float32")

    got = kernels.mul_mean_backward((False, True), g, x, None, (0, 1), False)
    assert got[0] is None
    same(got[1], dy, "float32")

    assert kernels.mul_mean_backward((False, False), g, x, y, (0, 1), False) == (None, None)


@pytest.mark.parametrize("dim", [(0,), (1,), (0, 1)])
def test_factors_of_different_layouts(cp, kernels, same, dim):
    x, wide_x = layouts.pair(cp, "transposed", "float32", seed=1)
    base = layouts.random((7, 5), "float32", seed=2)
    y, wide_y = cp.asarray(base), base.astype(float)
    same(kernels.mul_mean(x, y, dim, False), (wide_x * wide_y).mean(dim), "float32")
    wide_g = np.ones((wide_x * wide_y).mean(dim).shape)
    dx, dy = gradients(wide_g, wide_x, wide_y, dim, False)
    g = cp.ones(wide_g.shape, "float32")
    got = kernels.mul_mean_backward((True, True), g, x, y, dim, False)
    same(got[0], dx, "float32")
    same(got[1], dy, "float32")


@pytest.mark.parametrize("keepdim", [False, True])
def test_expanded_cotangent(cp, kernels, same, keepdim):
    x, wide_x = layouts.pair(cp, "3-d", "float32", seed=1)
    y, wide_y = layouts.pair(cp, "3-d", "float32", seed=2)
    shape = (3, 1, 5) if keepdim else (3, 5)
    g = cp.broadcast_to(cp.full((), 3, "float32"), shape)
    dx, dy = gradients(np.full(shape, 3.0), wide_x, wide_y, (1,), keepdim)
    got = kernels.mul_mean_backward((True, True), g, x, y, (1,), keepdim)
    same(got[0], dx, "float32")
    same(got[1], dy, "float32")


def test_gradient_of_a_transposed_array_is_transposed(cp, kernels):
    x, _ = layouts.pair(cp, "transposed", "float32")
    dx, dy = kernels.mul_mean_backward((True, True), cp.ones((), "f4"), x, x, (0, 1), False)
    assert dx.strides == dy.strides == x.strides


def test_float16_does_not_overflow_on_the_way(cp, kernels, same):
    x = cp.full((3, 100), 250, "float16")
    same(kernels.mul_mean(x, x, (0, 1), False), np.asarray(62500.0), "float16")


LARGE = {
    "all of a prime number": ((20011,), lambda a: a, (0,)),
    "all, transposed": ((130, 160), lambda a: a.T, (0, 1)),
    "all, every other": ((130, 321), lambda a: a[:, ::2], (0, 1)),
    "first axis": ((20011, 3), lambda a: a, (0,)),
    "last axis": ((3, 20011), lambda a: a, (1,)),
    "middle axes": ((2, 130, 140, 3), lambda a: a, (1, 2)),
    "outer axes": ((139, 3, 140), lambda a: a, (0, 2)),
}


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_few_outputs_of_many_elements(cp, kernels, same, dtype, case):
    shape, view, dim = LARGE[case]
    x, y = (layouts.random(shape, dtype, seed) for seed in (1, 2))
    expected = (view(x).astype(float) * view(y).astype(float)).mean(dim)
    same(kernels.mul_mean(view(cp.asarray(x)), view(cp.asarray(y)), dim, False), expected, dtype)


@pytest.mark.parametrize(
    ("shape", "dim", "launches"),
    [
        ((6, 200), (0,), 1),
        ((6, 200), (1,), 1),
        ((6, 200), (0, 1), 1),
        ((), (), 1),
        ((16384,), (0,), 1),
        ((16385,), (0,), 2),
        ((200, 100), (0, 1), 2),
        ((20000, 2), (0,), 2),
        ((129, 3, 129), (0, 2), 2),
    ],
)
def test_launches(cp, kernels, count, shape, dim, launches):
    x, y = cp.ones(shape, "float32"), cp.ones(shape, "float32")
    g = cp.ones(tuple(n for d, n in enumerate(shape) if d not in dim), "float32")
    made = count(lambda: kernels.mul_mean(x, y, dim, False))
    assert (made.launches, made.copies_and_syncs) == (launches, {})
    for wanted in [(True, True), (True, False), (False, True)]:
        made = count(lambda w=wanted: kernels.mul_mean_backward(w, g, x, y, dim, False))
        assert (made.launches, made.copies_and_syncs) == (1, {})
    made = count(lambda: kernels.mul_mean_backward((False, False), g, x, y, dim, False))
    assert (made.launches, made.copies_and_syncs) == (0, {})
