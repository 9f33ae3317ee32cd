"""Decompositions: what the samples of their records cannot say."""

import sys

import numpy as np
import pytest

import gradcore as gd
from gradcore.device import CPU
from gradcore.ops import factorization, matrices, spectral, triangular
from gradcore.testing import gradcheck, gradgradcheck


def tensor(values, requires_grad=True):
    return gd.tensor(np.asarray(values), requires_grad=requires_grad)


@pytest.fixture
def a(rng):
    return rng.normal(size=(3, 3))


# equal singular values and eigenvalues ------------------------------------------------------------


@pytest.mark.parametrize("name", ["svdvals", "eigvalsh"])
def test_gradient_of_equal_values_is_finite(name):
    x = tensor(np.eye(3))
    getattr(gd.linalg, name)(x).sum().backward()
    np.testing.assert_allclose(x.grad, np.eye(3))


def test_gradient_of_vectors_of_equal_values_is_not_finite():
    x = tensor(np.eye(2))
    gd.linalg.eigh(x).eigenvectors.pow(3).sum().backward()
    assert not np.isfinite(x.grad.numpy()).all()


# phases ------------------------------------------------------------------------------------------

PHASES = {
    "svd": lambda x: gd.linalg.svd(x)[0],
    "eigh": lambda x: gd.linalg.eigh(x)[1],
    "eig": lambda x: gd.linalg.eig(x)[1],
}


@pytest.mark.parametrize("name", PHASES)
def test_a_loss_that_depends_on_a_phase_is_refused(a, name):
    x = tensor(a + 1j * a.T)
    vectors = PHASES[name](x)
    with pytest.raises(RuntimeError, match=r"multiplication by e\^\{i phi\}.*ill-defined"):
        vectors.backward(gd.ones_like(vectors) * (1 + 2j))
    spread = PHASES[name](tensor(a + 1j * a.T)).abs()
    spread.pow(4).sum().backward()


def test_vectors_of_real_matrices_have_complex_phases_too(a):
    vectors = gd.linalg.eig(tensor(a - a.T))[1]
    with pytest.raises(RuntimeError, match="linalg_eig_backward"):
        vectors.backward(gd.ones_like(vectors) * 1j)


# QR ----------------------------------------------------------------------------------------------


def test_qr_without_q_or_of_more_columns_has_no_derivative(rng):
    x = tensor(rng.normal(size=(3, 2)))
    with pytest.raises(RuntimeError, match="depends on Q, which is not computed when mode='r'"):
        gd.linalg.qr(x, "r").R.sum().backward()
    with pytest.raises(RuntimeError, match="mode='complete' and nrows > ncols"):
        gd.linalg.qr(x, "complete").Q.sum().backward()


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
@pytest.mark.parametrize("which", [0, 1])
def test_one_factor_alone(rng, shape, which):
    x = tensor(rng.normal(size=shape))
    for f in (gd.linalg.qr, gd.linalg.lu):
        chosen = lambda x, f=f: f(x)[which if f is gd.linalg.qr else 1 + which]
        assert gradcheck(chosen, (x,))
        assert gradgradcheck(chosen, (x,))


@pytest.mark.parametrize("shape", [(3, 2), (2, 0), (0, 2, 2)])
def test_geqrf_is_undone_by_householder_product(rng, shape):
    x = tensor(rng.normal(size=shape), False)
    packed, tau = gd.geqrf(x)
    q = gd.linalg.householder_product(packed, tau)
    k = min(shape[-2:])
    np.testing.assert_allclose(q @ packed[..., :k, :].triu(), x, atol=1e-12)
    np.testing.assert_allclose(gd.ormqr(packed, tau, x, transpose=True), packed.triu(), atol=1e-12)


# failure -----------------------------------------------------------------------------------------


def test_what_cholesky_ex_gives_of_a_matrix_that_is_not_definite():
    x = tensor(np.stack([[[1.0, 2.0], [2.0, 1.0]], np.eye(2)]), False)
    factor, info = gd.linalg.cholesky_ex(x)
    assert info.tolist() == [2, 0]
    assert info.dtype == gd.int32
    np.testing.assert_array_equal(factor, [[[1, 0], [2, -3]], np.eye(2)])


def test_one_error_for_users_of_pytorch_and_of_numpy():
    for kind in (RuntimeError, np.linalg.LinAlgError, gd.linalg.LinAlgError):
        with pytest.raises(kind, match="not positive-definite"):
            gd.linalg.cholesky(tensor(-np.eye(2)))


def test_errors_are_found_within_vmap():
    x = tensor(np.stack([np.eye(2), -np.eye(2)]), False)
    with pytest.raises(gd.linalg.LinAlgError, match="Batch element 1"):
        gd.vmap(gd.linalg.cholesky)(x)


def test_eigenvalues_of_a_matrix_that_is_not_finite_are_nan():
    values, vectors = gd.linalg.eigh(tensor(np.stack([np.eye(2), np.full((2, 2), np.nan)])))
    assert np.isnan(values.detach()).tolist() == [[False, False], [True, True]]
    assert np.isnan(vectors.detach()).all((-2, -1)).tolist() == [False, True]


def test_a_zero_on_the_diagonal_is_no_error():
    y = gd.linalg.solve_triangular(tensor(np.zeros((2, 2))), tensor(np.ones((2, 2))), upper=True)
    np.testing.assert_array_equal(y.detach(), [[np.nan, np.nan], [np.inf, np.inf]])


def test_pivots_that_are_no_rows_are_refused():
    with pytest.raises(RuntimeError, match="must be between 1 and LU"):
        gd.lu_unpack(gd.ones(2, 2), gd.tensor([1, 3], dtype=gd.int32))


def test_lu_unpack_leaves_out_what_is_not_wanted():
    packed, pivots = gd.linalg.lu_factor(gd.eye(2))
    assert [t.shape for t in gd.lu_unpack(packed, pivots, unpack_data=False)] == [
        (2, 2),
        (0,),
        (0,),
    ]


# NumPy and SciPy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize("shape", [(70, 50), (50, 70), (2, 40, 40)])
def test_large_matrices_without_scipy(rng, monkeypatch, dtype, shape):
    x = rng.normal(size=shape).astype(dtype)
    if x.dtype.kind == "c":
        x = x + 1j * rng.normal(size=shape)
    n = min(shape[-2:])
    square, right = x[..., :n, :n] + 20 * np.eye(n, dtype=dtype), x[..., :n, :3]

    def run():
        found = [*factorization._eliminated(CPU.xp, x)]
        for matrix in (square, square.swapaxes(-1, -2)):
            found += [triangular._substituted(CPU.xp, matrix, right, up, False) for up in (0, 1)]
        found += factorization._geqrf_forward(CPU.xp, x)
        for mode in ("reduced", "complete"):
            found += factorization._qr_forward(CPU.xp, x, mode)
        for full in (False, True):
            u, s, vh = spectral._svd_forward(CPU.xp, x, full)
            found += [s, (u[..., :n] * s[..., None, :]) @ vh[..., :n, :], u.mT.conj() @ u]
        return [*found, spectral._svdvals_forward(CPU.xp, x)]

    with_scipy = run()
    monkeypatch.setitem(sys.modules, "scipy.linalg", None)
    matrices._modules.cache_clear()
    try:
        without = run()
    finally:
        matrices._modules.cache_clear()
    tolerance = 1e-3 if dtype == "float32" else 1e-10
    for one, other in zip(with_scipy, without, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, tolerance, tolerance)


@pytest.mark.parametrize("call", [gd.linalg.svd, gd.linalg.svdvals])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_singular_values_of_large_matrices_that_are_not_finite(call, value, rng):
    x = rng.normal(size=(2, 40, 40))
    x[1, 3, 4] = value
    with pytest.raises(gd.linalg.LinAlgError, match="contained non-finite values"):
        call(tensor(x))


# against PyTorch ---------------------------------------------------------------------------------


@pytest.mark.parity
def test_singular_vectors_beyond_the_values(torch, rng):
    x = rng.normal(size=(2, 4, 3))
    found = gd.linalg.svd(tensor(x))
    for y, expected in zip(found, torch.linalg.svd(torch.tensor(x)), strict=True):
        assert y.shape == tuple(expected.shape)
    u = found[0].detach()
    np.testing.assert_allclose(u.mT @ u, np.broadcast_to(np.eye(4), (2, 4, 4)), atol=1e-12)


@pytest.mark.parity
def test_the_exponential_of_large_matrices(torch, rng):
    x = rng.normal(size=(3, 20, 20)) * np.array([0.01, 1, 4]).reshape(3, 1, 1)
    expected = torch.linalg.matrix_exp(torch.tensor(x))
    np.testing.assert_allclose(gd.linalg.matrix_exp(tensor(x, False)), expected, 1e-9, 1e-9)
