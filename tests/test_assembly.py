"""What is put together and taken apart, beside the records."""

import itertools

import numpy as np
import pytest

import gradcore as gd


@pytest.mark.parity
@pytest.mark.parametrize("name", ["tril_indices", "triu_indices"])
@pytest.mark.parametrize("arguments", [(3, 2), (2, 4, -1), (3, 3, 1), (0, 2), (2, 2, 5)])
def test_places_of_triangles(torch, name, arguments):
    mine, theirs = (getattr(m, name)(*arguments) for m in (gd, torch))
    assert mine.dtype is gd.int64
    assert mine.tolist() == theirs.tolist()


@pytest.mark.parity
def test_the_shape_of_all_shapes(torch):
    for shapes in ([], [(2, 1), (3,), ()], [2, (3, 1)], [(0,), (1,)]):
        found = gd.broadcast_shapes(*shapes)
        assert isinstance(found, gd.Size)
        assert found == tuple(torch.broadcast_shapes(*shapes))
    with pytest.raises(RuntimeError, match="dimension of length 3 at -1! Mismatching argument at"):
        gd.broadcast_shapes((2,), (3,))
    with pytest.raises(ValueError, match="negative length"):
        gd.broadcast_shapes((-1,))


def test_unsafe_pieces_may_be_written_to():
    x = gd.arange(4.0).requires_grad_()
    y = x * 1
    first, second = gd.unsafe_split(y, 2)
    first *= 3
    second += first
    assert y.tolist() == [0.0, 3.0, 2.0, 6.0]
    (g,) = gd.autograd.grad(y.sum(), x)
    assert g.tolist() == [6.0, 6.0, 1.0, 1.0]


def test_numpy_makes_grids_of_tensors():
    x, y = gd.tensor([1.0, 2.0], requires_grad=True), gd.tensor([3.0, 4.0, 5.0])
    a, b = np.meshgrid(x, y)
    assert a.tolist() == np.meshgrid([1.0, 2.0], [3.0, 4.0, 5.0])[0].tolist()
    (g,) = gd.autograd.grad((a * b).sum(), x)
    assert g.tolist() == [12.0, 12.0]


@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("r", [1, 2, 3, 6])
@pytest.mark.parametrize("name", ["combinations", "combinations_with_replacement"])
def test_combinations_come_in_the_order_of_itertools(n, r, name):
    expected = np.array(list(getattr(itertools, name)(range(n), r)), np.int64).reshape(-1, r)
    found = gd.combinations(gd.arange(n), r, name.endswith("replacement"))
    np.testing.assert_array_equal(found.numpy(), expected)
