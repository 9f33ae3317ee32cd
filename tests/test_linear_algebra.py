"""Linear algebra where the records' samples do not go: singular matrices, and ties."""

import numpy as np
import pytest

import gradcore as gd

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
