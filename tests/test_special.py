"""Special functions: where PyTorch is less exact, at poles, by SciPy's names, and without SciPy."""

import sys

import numpy as np
import pytest

import gradcore as gd
from gradcore.erf import erfc

scipy_special = pytest.importorskip("scipy.special")

GRID = np.array([-3.7, -1.5, -0.6, -0.1, 0.05, 0.3, 0.5, 0.9, 1.4, 3.3, 7.9])


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_polygamma_is_scipys(n):
    y = gd.polygamma(n, gd.tensor(GRID)).numpy()
    expected = [scipy_special.digamma(x) if not n else polygamma(n, x) for x in GRID]
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def polygamma(n, x):
    """By recurrence from beyond 0, where SciPy's zeta is defined for all orders."""
    sign = (-1.0) ** (n + 1) * scipy_special.gamma(n + 1)
    steps = np.arange(5)
    return sign * (((x + steps) ** -(n + 1.0)).sum() + scipy_special.zeta(n + 1, x + 5))


@pytest.mark.parametrize("arguments", [(GRID,), (1.5 + np.abs(GRID), 2.0), (3, 0.3 + np.abs(GRID))])
def test_scipys_zeta_which_calls_ufuncs_of_private_names(arguments):
    tensors = [gd.tensor(v) if isinstance(v, np.ndarray) else v for v in arguments]
    y = scipy_special.zeta(*tensors)
    np.testing.assert_allclose(y.numpy(), scipy_special.zeta(*arguments), rtol=1e-12)


def test_scipys_zeta_has_its_derivative():
    q = gd.tensor(0.3 + np.abs(GRID), requires_grad=True)
    (g,) = gd.autograd.grad(scipy_special.zeta(3.0, q).sum(), q)
    np.testing.assert_allclose(g.numpy(), -3 * scipy_special.zeta(4.0, q.detach().numpy()))
    with pytest.raises(NotImplementedError, match="'zeta'"):
        scipy_special.zeta(q).sum().backward()


def test_trigamma_is_infinite_at_poles():
    with np.errstate(divide="ignore"):
        assert gd.polygamma(1, gd.tensor([0.0, -1.0, -20.0])).tolist() == [np.inf] * 3


def test_the_gradient_of_lgamma_is_digamma_everywhere():
    x = gd.tensor(GRID, requires_grad=True)
    (g,) = gd.autograd.grad(gd.lgamma(x).sum(), x)
    np.testing.assert_allclose(g.numpy(), scipy_special.digamma(GRID))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erfc_of_many_is_the_c_librarys(dtype):
    x = np.linspace(-6, 12, 1001).astype(dtype)
    few = np.concatenate([erfc(part) for part in np.array_split(x, 8)])
    np.testing.assert_allclose(erfc(x), few, rtol=3e-14 if dtype == "float64" else 1.2e-7)


@pytest.mark.parametrize(
    "name",
    [
        "erf",
        "erfc",
        "expit",
        "log1p",
        "expm1",
        "exp2",
        "gammaln",
        "psi",
        "i0",
        "i1e",
        "j0",
        "y1",
        "k1e",
        "ndtr",
        "log_ndtr",
        "entr",
        "logit",
    ],
)
def test_scipys_ufunc_is_recorded(name):
    x = gd.tensor([0.3, 0.8], dtype=gd.float64, requires_grad=True)
    ufunc = getattr(scipy_special, name)
    y = ufunc(x)
    y.sum().backward()
    assert isinstance(y, gd.Tensor)
    np.testing.assert_allclose(y.detach().numpy(), ufunc(x.detach().numpy()))
    assert x.grad is not None


def test_scipys_binary_ufunc_takes_arrays_beside():
    x = gd.tensor([0.5, 2.0], dtype=gd.float64, requires_grad=True)
    scipy_special.xlogy(np.array([2.0, 3.0]), x).sum().backward()
    assert x.grad.tolist() == [4.0, 1.5]


def test_a_ufunc_without_counterpart_says_so():
    with pytest.raises(TypeError, match=r"scipy\.special\.lambertw|scipy\.special\.ellipk"):
        scipy_special.ellipk(gd.tensor([0.5]))


def test_without_scipy(monkeypatch):
    from gradcore.device import CPU

    special = CPU.backend.xp.special
    vars(special).pop("ndtri", None)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    x = gd.tensor([0.5, 1.5])
    np.testing.assert_allclose(gd.erfc(x).numpy(), [0.4795001, 0.0338949], rtol=1e-5)
    with pytest.raises(ImportError, match=r"gradcore\[scipy\]"):
        gd.special.ndtri(x / 2)


def test_bessel_functions_follow_each_other():
    x = gd.tensor([0.0, 0.7, 2.5], dtype=gd.float64, requires_grad=True)
    (g,) = gd.autograd.grad(gd.special.bessel_j1(x).sum(), x)
    np.testing.assert_allclose(g.numpy(), scipy_special.jvp(1, x.detach().numpy()), atol=1e-15)


def test_products_with_logarithms_at_zero():
    a = gd.tensor([0.0, 0.0, 0.0], requires_grad=True)
    b = gd.tensor([0.0, 2.0, float("nan")], requires_grad=True)
    y = gd.xlogy(a, b)
    assert y.tolist()[:2] == [0.0, 0.0]
    assert np.isnan(y[2].item())
    with np.errstate(all="ignore"):
        y[:2].sum().backward()
    assert a.grad.tolist()[0] == 0.0
    assert np.isnan(b.grad.tolist()[0])
