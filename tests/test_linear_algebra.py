"""Linear algebra where the records' samples do not go: singular matrices, and ties."""

import itertools
import sys

import numpy as np
import pytest

import gradcore as gd
from gradcore.ops import matrices

SINGULAR = np.diag([1.0, 0.0, 2.0])


def gradient(lib, function, array):
    x = lib.tensor(array, requires_grad=True)
    (g,) = lib.autograd.grad(function(x), x, create_graph=True)
    return g.detach().numpy()


@pytest.mark.parity
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_gradient_of_the_determinant_of_a_singular_matrix(torch, rank, rng):
    a = rng.normal(size=(3, rank)) @ rng.normal(size=(rank, 3))
    for exact in (a, np.rint(4 * a), SINGULAR):
        expected = gradient(torch, torch.det, exact)
        np.testing.assert_allclose(gradient(gd, gd.det, exact), expected, atol=1e-12)


def second_derivative(a):
    """That of the determinant, which is linear in each element: of differences, exactly."""
    n = len(a)
    steps = np.eye(n * n).reshape(n, n, n, n)
    found = np.empty((n, n, n, n), a.dtype)
    for i, j, k, l in itertools.product(range(n), repeat=4):
        one, other = steps[i, j], steps[k, l]
        corners = np.linalg.det(np.stack([a + one + other, a + one, a + other, a]))
        found[i, j, k, l] = corners @ [1, -1, -1, 1] if (i, j) != (k, l) else 0
    return found


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("n", "rank"), [(1, 0), (2, 0), (2, 1), (3, 1), (4, 1), (4, 2), (4, 3)])
def test_second_derivative_of_the_determinant_of_a_singular_matrix(n, rank, dtype, rng):
    a = (rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n))).astype(dtype)
    if dtype == "complex128":
        a = a * np.exp(1j * np.arange(n))
    zeros = np.diag([1.0] * rank + [0.0] * (n - rank)).astype(dtype)
    for exact in (a, np.rint(4 * a), zeros):
        expected = second_derivative(exact)
        x = gd.tensor(exact)
        rows = [gd.func.jvp(gd.func.grad(real), (x,), (e,))[1] for e in basis(n, x)]
        np.testing.assert_allclose(np.stack(rows).conj().reshape((n,) * 4), expected, atol=1e-9)


def real(x):
    y = gd.linalg.det(x)
    return y.real if x.is_complex() else y


def basis(n, like):
    return gd.eye(n * n, dtype=like.dtype).reshape(n * n, n, n)


def test_second_derivative_of_determinants_in_a_batch(rng):
    a = np.stack([rng.normal(size=(3, 3)), SINGULAR, np.diag([0.0, 0.0, 1.0])])
    found = gd.vmap(gd.func.hessian(gd.linalg.det))(gd.tensor(a))
    np.testing.assert_allclose(found, [second_derivative(v) for v in a], atol=1e-12)
    x = gd.tensor(a, requires_grad=True)
    (g,) = gd.autograd.grad(gd.linalg.det(x).sum(), x, create_graph=True)
    (h,) = gd.autograd.grad(g[:, 0, 1].sum(), x)
    np.testing.assert_allclose(h, found[:, 0, 1], atol=1e-12)


def test_third_derivative_of_the_determinant(rng):
    x, step = (gd.tensor(rng.normal(size=(3, 3))) for _ in range(2))
    hessian = gd.func.hessian(gd.linalg.det)
    expected = (hessian(x + step) - hessian(x - step)) / 2  # it is linear in the matrix
    np.testing.assert_allclose(gd.func.jvp(hessian, (x,), (step,))[1], expected, atol=1e-11)
    weights = gd.tensor(rng.normal(size=(3, 3, 3, 3)))
    found = gd.func.grad(lambda v: (hessian(v) * weights).sum())(x)
    np.testing.assert_allclose((found * step).sum(), (expected * weights).sum(), rtol=1e-9)


@pytest.mark.parity
def test_second_derivative_of_the_determinant_of_a_matrix_that_is_nearly_singular(torch, rng):
    a = rng.normal(size=(4, 3)) @ rng.normal(size=(3, 4))

    def second(lib):
        x = lib.tensor(a, requires_grad=True)
        (g,) = lib.autograd.grad(lib.linalg.det(x), x, create_graph=True)
        return lib.autograd.grad((g * g).sum(), x)[0].numpy()

    np.testing.assert_allclose(second(gd), second(torch), rtol=1e-9)


# large matrices ----------------------------------------------------------------------------------


@pytest.fixture(params=["with SciPy", "without SciPy"])
def scipy_or_not(request, monkeypatch):
    if request.param == "without SciPy":
        monkeypatch.setitem(sys.modules, "scipy.linalg", None)
    matrices._modules.cache_clear()
    yield
    matrices._modules.cache_clear()


LARGE = {
    "det": lambda lib, a, b: lib.linalg.det(a),
    "slogdet": lambda lib, a, b: lib.linalg.slogdet(a)[1],
    "sign": lambda lib, a, b: lib.linalg.slogdet(a)[0],
    "logdet": lambda lib, a, b: lib.logdet(a @ a.mT.conj()),
    "inv": lambda lib, a, b: lib.linalg.inv(a),
    "inv_ex": lambda lib, a, b: lib.linalg.inv_ex(a)[0],
    "solve": lambda lib, a, b: lib.linalg.solve(a, b),
    "solve of one matrix": lambda lib, a, b: lib.linalg.solve(a[0], b),
    "solve of vectors": lambda lib, a, b: lib.linalg.solve(a, b[..., 0]),
    "solve on the right": lambda lib, a, b: lib.linalg.solve(a, b.mT, left=False),
    "solve_ex": lambda lib, a, b: lib.linalg.solve_ex(a, b)[0],
}


@pytest.mark.parity
@pytest.mark.usefixtures("scipy_or_not")
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", LARGE)
def test_derivatives_of_large_matrices(torch, name, dtype, rng):
    a, b = rng.normal(size=(2, 40, 40)) / 5, rng.normal(size=(2, 40, 3))
    if dtype == "complex128":
        a, b = a + 0.3j * rng.normal(size=a.shape), b + 1j * rng.normal(size=b.shape)

    def run(lib):
        x, z = (lib.tensor(v, requires_grad=True) for v in (a, b))
        y = LARGE[name](lib, x, z)
        loss = (y.real if y.is_complex() else y).sin().sum()
        first = lib.autograd.grad(loss, (x, z), create_graph=True, allow_unused=True)
        found = [y, *[g for g in first if g is not None]]
        size = sum([(g * g.conj()).real.sum() for g in found[1:]])
        if len(found) > 1 and size.requires_grad:
            second = lib.autograd.grad(size, (x, z), allow_unused=True)
            found += [g for g in second if g is not None]
        return [t.detach().resolve_conj().numpy() for t in found]

    for here, there in zip(run(gd), run(torch), strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-7, atol=1e-9 * np.abs(there).max())


@pytest.mark.usefixtures("scipy_or_not")
@pytest.mark.parametrize("name", LARGE)
def test_large_matrices_within_vmap(name, rng):
    a, b = gd.tensor(rng.normal(size=(3, 2, 40, 40)) / 5), gd.tensor(rng.normal(size=(2, 40, 3)))
    call = lambda x: LARGE[name](gd, x, b).sin().sum()
    for function in (call, gd.func.grad(call), lambda x: gd.func.jvp(call, (x,), (x.cos(),))[1]):
        expected = gd.stack([function(x) for x in a])
        np.testing.assert_allclose(gd.vmap(function)(a), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("scipy_or_not")
def test_what_large_singular_matrices_give(rng):
    a, b = rng.normal(size=(2, 40, 40)), gd.tensor(rng.normal(size=(40, 2)))
    a[1, :, 7] = 0
    x = gd.tensor(a)
    inverse, info = gd.linalg.inv_ex(x)
    assert info.tolist() == [0, 8]
    np.testing.assert_allclose(inverse[0], np.linalg.inv(a[0]), rtol=1e-9)
    assert np.isnan(inverse[1]).all()
    solution, info = gd.linalg.solve_ex(x, b)
    assert info.tolist() == [0, 8]
    np.testing.assert_allclose(solution[0], np.linalg.solve(a[0], b), rtol=1e-9)
    assert np.isnan(solution[1]).all()
    assert gd.linalg.det(x)[1] == 0
    assert gd.logdet(x)[1] == -np.inf
    with pytest.raises(
        gd.linalg.LinAlgError, match=r"\(Batch element 1\): The diagonal element 8 is"
    ):
        gd.linalg.inv(x)
    with pytest.raises(gd.linalg.LinAlgError, match=r"\(Batch element 1\): The solver failed"):
        gd.linalg.solve(x, b)


@pytest.mark.usefixtures("scipy_or_not")
@pytest.mark.parametrize("rank", [38, 39])
def test_derivatives_of_the_determinant_of_a_large_singular_matrix(rank):
    a = gd.diag(gd.tensor([1.0] * rank + [0.0] * (40 - rank), dtype=gd.float64)).requires_grad_()
    (g,) = gd.autograd.grad(gd.linalg.det(a), a, create_graph=True)
    expected = np.zeros((40, 40))
    expected[39, 39] = rank == 39
    np.testing.assert_allclose(g.detach(), expected, atol=1e-12)
    (h,) = gd.autograd.grad(g[39, 39], a)
    expected = np.eye(40) if rank == 39 else np.diag([0.0] * 38 + [1.0, 0.0])
    expected[39, 39] = 0
    np.testing.assert_allclose(h, expected, atol=1e-12)


# singular matrices, and ties ---------------------------------------------------------------------


@pytest.mark.parity
def test_what_singular_matrices_give(torch):
    both = np.stack([np.eye(3), SINGULAR])
    for lib in (gd, torch):
        x = lib.tensor(both)
        inverse, info = lib.linalg.inv_ex(x)
        assert info.tolist() == [0, 2]
        assert info.dtype == lib.int32
        np.testing.assert_array_equal(inverse[0], np.eye(3))
        assert not np.isfinite(inverse[1].numpy()).all()
        assert lib.linalg.solve_ex(x, lib.ones(3, 2, dtype=lib.float64)).info.tolist() == [0, 2]
        sign, size = lib.slogdet(x)
        assert sign.tolist() == [1, 0]
        assert size.tolist() == [0, -np.inf]
        assert lib.logdet(x).tolist() == [0, -np.inf]
        with pytest.raises(lib.linalg.LinAlgError, match="Batch element 1"):
            lib.linalg.inv(x)


def test_nan_is_not_singular():
    x = gd.tensor([[1.0, np.nan], [2.0, 3.0]])
    assert gd.linalg.inv_ex(x).info.item() == 0
    assert np.isnan(gd.linalg.inv(x)).any()


@pytest.mark.parity
def test_norms_of_empty_and_singular_matrices(torch):
    for lib in (gd, torch):
        norm, cond = lib.linalg.matrix_norm, lib.linalg.cond
        empty = lib.ones(2, 0, 3, requires_grad=True)
        assert norm(empty, 2).tolist() == [0, 0]
        assert norm(empty, 1).tolist() == [0, 0]
        assert norm(empty, "nuc").tolist() == [0, 0]
        assert lib.norm(lib.ones(2, 2, 2), "nuc", (0, 2)).tolist() == pytest.approx([2, 2])
        assert cond(lib.ones(2, 0, 0)).tolist() == [0, 0]
        assert cond(lib.ones(0, 0, dtype=lib.int64), 1).item() == 0
        assert cond(lib.ones(2, 2), 1).item() == np.inf
        assert cond(lib.ones(2, 2), "nuc").item() > 1e6


@pytest.mark.parity
@pytest.mark.parametrize("hermitian", [False, True])
def test_pseudoinverse_of_lower_rank(torch, hermitian, rng):
    a = rng.normal(size=(3, 2))
    a = a @ a.T if hermitian else a @ rng.normal(size=(2, 3))
    weights = rng.normal(size=(3, 3))

    def loss(lib):
        return lambda x: (
            lib.linalg.pinv(x, rtol=0.01, hermitian=hermitian) * lib.tensor(weights)
        ).sum()

    expected = gradient(torch, loss(torch), a)
    np.testing.assert_allclose(gradient(gd, loss(gd), a), expected, rtol=1e-9)


@pytest.mark.parity
@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, np.inf])
def test_distances_of_many_points(torch, p, rng):
    points = rng.normal(size=(90, 40)), rng.normal(size=(2, 80, 40))

    def run(lib):
        x, y = (lib.tensor(v, requires_grad=True) for v in points)
        found = [lib.cdist(x, y, p), lib.nn.functional.pdist(x, p)]
        seeds = [lib.tensor(np.cos(np.arange(z.numel())).reshape(z.shape)) for z in found]
        gradients = lib.autograd.grad(found, (x, y), seeds)
        return [t.detach().numpy() for t in (*found, *gradients)]

    for here, there in zip(run(gd), run(torch), strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-8, atol=1e-10)
