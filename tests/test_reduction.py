"""Reductions, scans and norms: ties, zeros, accumulation, arguments, and PyTorch's values."""

import importlib
import math
import warnings

import numpy as np
import pytest

import gradcore
from gradcore import dtypes
from gradcore.autograd import grad
from gradcore.op import OPS
from gradcore.ops import norm as norms
from gradcore.ops import reduction as ops
from gradcore.samples import Maker, sample
from gradcore.tensor import Tensor, wrap

for _name in ("arithmetic", "comparison", "conversion", "index", "pointwise", "shape"):
    importlib.import_module(f"gradcore.ops.{_name}")

INF, NAN = math.inf, math.nan
NAMES = [
    "sum",
    "mean",
    "prod",
    "var",
    "std",
    "var_mean",
    "std_mean",
    "amax",
    "amin",
    "max",
    "min",
    "argmax",
    "argmin",
    "all",
    "any",
    "logsumexp",
    "cumsum",
    "cumprod",
    "count_nonzero",
    "norm",
    "mul_mean",
]


def leaf(*values, dtype=np.float64):
    return wrap(np.array(values, dtype), True)


def gradient(function, x):
    """The gradient of the sum of `function(x)`."""
    y = function(x)
    return grad(y, x, wrap(np.ones(y._shape, y._array.dtype)))[0].tolist()


def second(function, x):
    """The gradient of the sum of the gradient."""
    y = function(x)
    (g,) = grad(y, x, wrap(np.ones(y._shape, y._array.dtype)), create_graph=True)
    return grad(g, x, wrap(np.ones(g._shape, g._array.dtype)))[0].tolist()


# ties, kinks and zeros -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max", "amax"])
def test_equal_maxima_share_the_gradient(name):
    assert gradient(getattr(ops, name), leaf(1, 3, 3)) == [0, 0.5, 0.5]


@pytest.mark.parametrize("name", ["min", "amin"])
def test_equal_minima_share_the_gradient(name):
    assert gradient(getattr(ops, name), leaf(1, 1, 3)) == [0.5, 0.5, 0]


def test_max_along_a_dimension_gives_the_gradient_to_the_first():
    assert gradient(lambda x: ops.max(x, 0).values, leaf(1, 3, 3)) == [0, 1, 0]


def test_nan_is_the_maximum_and_the_first_one_its_index():
    result = ops.max(leaf(1, NAN, 3, NAN), 0)
    assert math.isnan(result.values.item())
    assert result.indices.item() == 1


def test_max_of_nan_sends_the_gradient_to_the_nans():
    assert gradient(ops.max, leaf(1, NAN, NAN)) == [0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("values", "expected"), [((2, 0, 3), [0, 6, 0]), ((2, 0, 0), [0, 0, 0]), ((0,), [1])]
)
def test_prod_is_differentiated_exactly_at_zeros(values, expected):
    assert gradient(ops.prod, leaf(*values)) == expected


def test_second_derivative_of_prod_is_exact_at_zeros():
    assert second(ops.prod, leaf(2, 0, 3)) == [3, 5, 2]
    assert second(ops.prod, leaf(2, 0, 0)) == [0, 2, 2]


def test_cumprod_is_differentiated_exactly_at_zeros():
    assert gradient(lambda x: ops.cumprod(x, 0), leaf(2, 0, 3)) == [1, 8, 0]


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 0.5, INF, -INF, -1])
def test_norm_at_zero_has_gradient_zero_in_both_orders(p):
    x = leaf(0, 0)
    assert gradient(lambda x: norms.norm(x, p), x) == [0, 0]
    assert second(lambda x: norms.norm(x, p), x) == [0, 0]


def test_complex_norm_at_zero_has_gradient_zero_in_both_orders():
    x = leaf(0, 0, dtype=np.complex128)
    for p in (1, 2, 3, INF):
        assert gradient(lambda x, p=p: norms.norm(x, p), x) == [0, 0]
        assert second(lambda x, p=p: norms.norm(x, p), x) == [0, 0]


def test_infinity_norm_shares_the_gradient():
    assert gradient(lambda x: norms.norm(x, INF), leaf(2, -2, 1)) == [0.5, -0.5, 0]


def test_norm_of_order_zero_has_no_gradient():
    x = leaf(1, 2)
    y = norms.norm(x, 0)
    assert y.item() == 2
    assert grad(y, x, allow_unused=True) == (None,)


def test_std_at_zero_has_gradient_zero_in_both_orders():
    assert gradient(ops.std, leaf(1, 1)) == [0, 0]
    assert second(ops.std, leaf(1, 1)) == [0, 0]


def test_logsumexp_of_all_minus_infinity():
    x = leaf(-INF, -INF)
    assert ops.logsumexp(x, 0).item() == -INF
    assert np.isnan(gradient(lambda x: ops.logsumexp(x, 0), x)).all()


def test_logsumexp_does_not_overflow():
    x = leaf(1000, 1000)
    assert ops.logsumexp(x, 0).item() == pytest.approx(1000 + math.log(2))
    assert gradient(lambda x: ops.logsumexp(x, 0), x) == pytest.approx([0.5, 0.5])


# nothing ---------------------------------------------------------------------------------------


def test_reductions_of_nothing():
    empty = wrap(np.ones((0, 2)))
    assert ops.sum(empty).item() == 0
    assert ops.prod(empty).item() == 1
    assert norms.norm(empty).item() == 0
    assert math.isnan(ops.mean(empty).item())
    assert math.isnan(norms.mul_mean(empty, empty).item())
    assert ops.logsumexp(empty, 0).tolist() == [-INF, -INF]
    assert ops.all(empty).item() is True
    assert ops.any(empty).item() is False


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_extremes_of_nothing_raise_pytorchs_words(name):
    function = getattr(ops, name)
    expected = IndexError if name.startswith("arg") else RuntimeError
    with pytest.raises(expected, match=rf"{name}\(\): Expected reduction dim to be specified"):
        function(wrap(np.ones(0)))
    with pytest.raises(IndexError, match="Expected reduction dim 0 to have non-zero size"):
        function(wrap(np.ones((0, 2))), 0)


def test_variance_without_degrees_of_freedom_warns():
    with pytest.warns(UserWarning, match="degrees of freedom is <= 0"):
        y = ops.var(leaf(1))
    assert math.isnan(y.item())


# dtypes and accumulation -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "int64"])
@pytest.mark.parametrize("name", ["sum", "prod"])
def test_integers_are_accumulated_in_int64(name, dtype):
    x = wrap(np.array([[1, 1], [1, 1]]).astype(dtype))
    function = getattr(ops, name)
    assert function(x).dtype == np.int64
    assert function(x, 0).dtype == np.int64


def test_dtype_is_what_the_sum_has():
    assert ops.sum(wrap(np.full(4, 200, np.uint8)), dtype=dtypes.uint8).item() == 32
    assert ops.sum(wrap(np.ones(2)), dtype=bool).item() is True
    assert ops.sum(wrap(np.full(4, 1.5)), dtype=dtypes.int32).item() == 4


@pytest.mark.parametrize("axis", [0, None])
def test_float16_is_accumulated_in_float32(axis):
    x = wrap(np.full((10_000, 1), 0.1, np.float16), True)
    assert ops.sum(x, axis).item() == 1000
    assert ops.mean(x, axis).item() == np.float16(0.1)
    assert ops.cumsum(x, 0)._array[-1].item() == 1000
    assert norms.mul_mean(x, x, axis).item() == np.float16(np.float16(0.1).astype(float) ** 2)
    assert gradient(lambda x: ops.cumsum(x, 0), x)[0] == [10_000]


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((10**6, 3), 0), ((5000, 200, 3), (0, 1)), ((2, 10**5, 3), 1), ((10**5, 5, 3), (0, 2))],
)
def test_float32_over_a_long_dimension_is_exact(shape, axis):
    x = wrap(np.full(shape, 0.1, np.float32))
    assert ops.mean(x, axis)._array == pytest.approx(0.1, rel=1e-4)
    assert norms.mul_mean(x, x, axis)._array == pytest.approx(0.01, rel=1e-4)
    assert norms.mul_mean(x, x, axis, True)._shape == ops.mean(x, axis, True)._shape


@pytest.mark.parametrize("size", [5000, 10**6 + 7])
def test_full_mul_mean_of_float32_is_exact(size):
    x = wrap(np.full(size, 0.1, np.float32))
    assert norms.mul_mean(x, x).item() == pytest.approx(0.01, rel=1e-5)


def test_mul_mean_of_every_layout(rng):
    a, b = rng.normal(size=(2, 70, 80))
    for f in (lambda v: v, lambda v: v.T, lambda v: v[::2, ::-1]):
        expected = f(a) * f(b)
        for axis in (None, 0, 1):
            y = norms.mul_mean(wrap(f(a)), wrap(f(b)), axis)
            np.testing.assert_allclose(y._array, expected.mean(axis), rtol=1e-12, atol=1e-14)
    mixed = norms.mul_mean(wrap(a), wrap(np.asfortranarray(b)))
    np.testing.assert_allclose(mixed._array, (a * b).mean(), rtol=1e-12)


def test_float16_too_large_is_infinite_without_a_warning():
    x = wrap(np.full(3, 60_000, np.float16))
    assert ops.sum(x).item() == INF
    assert norms.norm(x).item() == INF


def test_results_are_arrays_of_their_own():
    x = wrap(np.array(2.0))
    for y in (ops.sum(x), ops.cumsum(x, 0), ops.amax(x), ops.logsumexp(x, 0)):
        assert isinstance(y._array, np.ndarray)
        assert not np.shares_memory(y._array, x._array)


# arguments -------------------------------------------------------------------------------------


def test_max_has_three_forms():
    x, other = leaf(1, 5, 3), leaf(4, 2, 3)
    assert ops.max(x).item() == 5
    values, indices = ops.max(x, 0)
    assert (values.item(), indices.item()) == (5, 1)
    assert ops.max(x, other).tolist() == [4, 5, 3]
    assert ops.min(x, other=other).tolist() == [1, 2, 3]


def test_any_and_all_take_an_empty_dim_as_none_at_all():
    x = wrap(np.array([[0, 1], [2, 0]]))
    assert ops.any(x, ()).tolist() == [[False, True], [True, False]]


def test_truth_of_uint8_is_uint8():
    assert ops.all(wrap(np.ones(2, np.uint8))).dtype == np.uint8


def test_var_takes_unbiased_in_place_of_dim():
    assert ops.var(wrap(np.arange(4.0)), False).item() == 1.25


@pytest.mark.parametrize("dim", [(0, 0), (0, -2)])
def test_a_dimension_named_twice_raises(dim):
    with pytest.raises(RuntimeError, match="dim 0 appears multiple times"):
        ops.sum(wrap(np.ones((2, 3))), dim)


def test_a_bool_is_no_dimension():
    with pytest.raises(TypeError, match="must be an int, not bool"):
        ops.sum(wrap(np.ones((2, 3))), True)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_mean_of_integers_raises(dtype):
    with pytest.raises(RuntimeError, match="could not infer output dtype"):
        ops.mean(wrap(np.ones(3, dtype)))


@pytest.mark.parametrize("ord", [None, 1, -1, 2, INF, -INF, "fro", "nuc"])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, (0, 1), (1, 0), (-1, 0)])
def test_numpy_face_of_norm_knows_matrix_norms(ord, keepdims, axis):
    a = Maker("norm").real(2, 3)
    y = OPS["linalg.norm"].numpy["linalg.norm"](wrap(a), ord, axis, keepdims)
    expected = np.linalg.norm(a, ord, axis, keepdims)
    np.testing.assert_allclose(y._array, expected, strict=True)


@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "mean",
        "prod",
        "var",
        "std",
        "max",
        "amax",
        "min",
        "amin",
        "argmax",
        "argmin",
        "all",
        "any",
        "count_nonzero",
    ],
)
@pytest.mark.parametrize("kwargs", [{}, {"axis": 1}, {"axis": 0, "keepdims": True}])
def test_numpy_faces_have_numpys_values(name, kwargs):
    op = next(op for op in OPS.values() if name in op.numpy)
    a = Maker(name).real(2, 3)
    expected = getattr(np, name)(a, **kwargs)
    np.testing.assert_allclose(op.numpy[name](wrap(a), **kwargs)._array, expected, strict=True)


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_numpy_scans_flatten_by_default(name, axis):
    a = Maker(name).real(2, 3)
    y = OPS[name].numpy[name](wrap(a), axis)
    np.testing.assert_allclose(y._array, getattr(np, name)(a, axis), strict=True)


# PyTorch ---------------------------------------------------------------------------------------

SPECIAL = [
    *(("norm", sample(np.array([0.0, 1.0]), p)) for p in (1, 2, 3)),
    ("norm", sample(np.array([[0j, 1 + 1j], [0, 0]]), 1, 1)),
    ("norm", sample(np.array([[0j, 1 + 1j], [0, 0]]), 3, 1)),
    ("norm", sample(np.array([2, INF, 1]))),
    ("std", sample(np.array([1, NAN]))),
    ("amax", sample(np.array([1, NAN]))),
    ("max", sample(np.array([1, NAN, NAN]))),
    ("logsumexp", sample(np.array([INF, 1.0]), 0)),
    ("logsumexp", sample(np.array([NAN, 1.0]), 0)),
    ("cumprod", sample(np.arange(40.0).reshape(8, 5) % 7 - 3, 0)),
    ("cumprod", sample(np.arange(40.0).reshape(8, 5) % 7 - 3, 1)),
]
CASES = [
    *((name, each) for name in NAMES for each in OPS[name].samples(Maker(name))),
    *SPECIAL,
]


def _tuple(value):
    return tuple(value) if isinstance(value, tuple) else (value,)


def _array(value):
    return value._array if isinstance(value, Tensor) else value.detach().numpy(force=True)


@pytest.mark.parity
@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: f"{CASES[n][0]}-{n}")
def test_values_and_two_orders_are_pytorchs(number, torch, rng):
    name, case = CASES[number]

    def theirs(value):
        if isinstance(value, np.ndarray):
            return torch.tensor(value, requires_grad=value.dtype.kind in "fc")
        return getattr(torch, value.name) if isinstance(value, dtypes.dtype) else value

    def ours(value):
        if isinstance(value, np.ndarray):
            return wrap(value.copy(), value.dtype.kind in "fc")
        return value

    def torch_mul_mean(a, b, dim=None, keepdim=False, axis=None, keepdims=False):
        return torch.mean(a * b, dim if axis is None else axis, keepdim or keepdims)

    def check(a, b):
        if a is not None and b is not None:
            np.testing.assert_allclose(_array(a), _array(b), rtol=1e-9, atol=1e-11, strict=True)
        else:
            assert all(v is None or not _array(v).any() for v in (a, b))

    if case.kwargs.get("dtype") is dtypes.int32:
        pytest.skip("PyTorch refuses an integer dtype where grad is required")
    function = torch_mul_mean if name == "mul_mean" else getattr(torch, name)
    results = []
    for convert, call, differentiate in (
        (ours, OPS[name].call, grad),
        (theirs, function, torch.autograd.grad),
    ):
        args = [convert(v) for v in case.args]
        kwargs = {k: convert(v) for k, v in case.kwargs.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs = _tuple(call(*args, **kwargs))
        leaves = [v for v in (*args, *kwargs.values()) if getattr(v, "requires_grad", False)]
        results.append((outputs, leaves, differentiate))
    for a, b in zip(results[0][0], results[1][0], strict=True):
        check(a, b)
        assert a.requires_grad == b.requires_grad
    cotangents = [
        rng.normal(size=np.shape(_array(y))).astype(_array(y).dtype)
        for y in results[0][0]
        if y.requires_grad
    ]
    if not cotangents:
        return
    orders = []
    for (outputs, leaves, differentiate), convert in zip(results, (ours, theirs), strict=True):
        recorded = [y for y in outputs if y.requires_grad]
        seeds = [convert(v) for v in cotangents]
        with np.errstate(all="ignore"):
            first = differentiate(recorded, leaves, seeds, create_graph=True, allow_unused=True)
            smooth = [g for g in first if g is not None and g.requires_grad]
            ones = [convert(np.ones_like(_array(g))) for g in smooth]
            orders.append(
                (first, differentiate(smooth, leaves, ones, allow_unused=True) if smooth else ())
            )
    for ours_, theirs_ in zip(*orders, strict=True):
        for a, b in zip(ours_, theirs_, strict=len(ours_) == len(theirs_)):
            check(a, b)


@pytest.mark.parametrize("dim", [None, 0])
def test_a_mean_over_more_elements_than_float16_can_count_has_a_gradient(dim):
    n = 1 << 17
    x = gradcore.ones(n, dtype=dtypes.float16).requires_grad_()
    y = x.mean() if dim is None else x.mean(dim)
    y.backward(gradcore.tensor(1024.0, dtype=dtypes.float16))
    assert x.grad.tolist() == [1024.0 / n] * n


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16", "int32", "bool"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((3000, 3), 0),
        ((3000, 3), 1),
        ((2, 1500, 3), (0, 1)),
        ((1500, 3, 2), (1, 2)),
        ((5000, 1), 0),
    ],
)
def test_sums_of_many_short_rows(shape, axis, dtype, rng):
    x = wrap(rng.integers(-2, 3, shape).astype(dtype))
    for keepdim in (False, True):
        y = ops.sum(x, axis, keepdim)._array
        expected = x._array.astype("complex128").sum(axis=axis, keepdims=keepdim)
        assert y.shape == expected.shape
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("n", [4097, 64 * 70])
def test_products_of_long_vectors(n, rng):
    x = leaf(*rng.uniform(0.99, 1.01, n))
    y = ops.prod(x)
    (first,) = grad(y, x, create_graph=True)
    np.testing.assert_allclose(y.item(), np.prod(x.detach().numpy()), rtol=1e-12)
    np.testing.assert_allclose(first.detach().numpy(), y.item() / x.detach().numpy(), rtol=1e-12)
    (second,) = grad(first[3], x)
    expected = first[3].item() / x.detach().numpy()
    expected[3] = 0
    np.testing.assert_allclose(second.numpy(), expected, rtol=1e-12)


def test_the_gradient_of_a_long_product_is_exact_at_a_zero(rng):
    values = rng.uniform(0.99, 1.01, 5000)
    values[1234] = 0
    found = np.array(gradient(ops.prod, leaf(*values)))
    assert np.flatnonzero(found).tolist() == [1234]
    np.testing.assert_allclose(found[1234], np.prod(np.delete(values, 1234)), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "float16", "complex64"])
def test_long_products_have_the_dtype_of_short_ones(dtype):
    x = wrap(np.ones((70, 70), dtype))
    y = ops.prod(x)
    assert y.dtype == ops.prod(x[0]).dtype
    assert y.item() == 1
    assert ops.prod(x, (0, 1), keepdim=True).shape == (1, 1)
