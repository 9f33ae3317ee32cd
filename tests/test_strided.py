"""`as_strided`: a view of the memory, under autograd; and writes into such views."""

import numpy as np
import pytest

import gradcore as gd
import oracle

BASES = {
    "contiguous": lambda m, x: x * 1,
    "a part": lambda m, x: (x * 1)[1:, 1:],
    "transposed": lambda m, x: (x * 1).t(),
    "expanded": lambda m, x: (x * 1)[0].expand(3, 4),
}
VIEWS = {
    "overlapping": ((3, 3), (1, 1), None),
    "the same element": ((4,), (0,), None),
    "from the beginning": ((2, 2), (2, 1), 0),
    "other steps": ((2, 2), (1, 3), None),
}


@pytest.mark.parity
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("view", VIEWS)
def test_gradients_go_to_what_is_in_that_place(torch, base, view):
    found = []
    for m in (gd, torch):
        x = m.arange(12, dtype=m.float64).reshape(3, 4).requires_grad_()
        part = BASES[base](m, x)
        y = part.as_strided(*VIEWS[view])
        (g,) = m.autograd.grad((y**3).sum(), x, create_graph=True)
        (h,) = m.autograd.grad((g * g).sum(), x, allow_unused=True)
        (of_part,) = m.autograd.grad(part.as_strided(*VIEWS[view]).sum(), part)
        found.append((y, g, h, of_part))
    for mine, theirs in zip(*found, strict=True):
        assert (mine is None) == (theirs is None)
        if theirs is not None:
            oracle.check_same(mine, theirs, 1e-12, view)


@pytest.mark.parity
def test_a_write_into_the_view_reaches_the_base(torch):
    found = []
    for m in (gd, torch):
        x = m.arange(6, dtype=m.float64).reshape(2, 3).requires_grad_()
        y = x * 1
        y.as_strided((2,), (3,), 1).mul_(x.reshape(-1)[:2])
        part = y[1:]
        part.as_strided_((2, 2), (2, 1), 1)
        (g,) = m.autograd.grad((y * y).sum() + part.prod(), x)
        found.append((y, part, g))
    for mine, theirs in zip(*found, strict=True):
        oracle.check_same(mine, theirs, 1e-12, "as_strided")


def test_a_scatter_into_what_lies_otherwise_than_row_by_row():
    x = gd.arange(12.0).reshape(3, 4).requires_grad_()
    src = gd.ones(2, 2, requires_grad=True)
    y = gd.as_strided_scatter((x * 1).t(), src, (2, 2), (1, 3), 2)
    expected = np.arange(12.0)
    expected[[2, 5, 3, 6]] = 1
    assert np.array_equal(y.detach().numpy(), expected.reshape(3, 4).T)
    of_x, of_src = gd.autograd.grad(y.sum(), (x, src))
    assert of_x.reshape(-1).tolist() == [1, 1, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1]
    assert of_src.tolist() == [[1, 1], [1, 1]]


def test_windows_of_a_view_and_a_write_to_them():
    x = gd.arange(8.0).reshape(2, 4).requires_grad_()
    y = x * 1
    windows = y.t().unfold(0, 2, 2)
    assert windows.tolist() == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    windows[0] *= 2
    (g,) = gd.autograd.grad(y.sum(), x)
    assert g.tolist() == [[2, 2, 1, 1], [2, 2, 1, 1]]


def test_tangents_of_another_layout():
    x = gd.tensor(np.arange(6.0)).reshape(2, 3).t()
    with gd.autograd.forward_ad.dual_level():
        dual = gd.autograd.forward_ad.make_dual(x, gd.tensor(np.arange(6.0).reshape(3, 2)))
        y = gd.autograd.forward_ad.unpack_dual(dual.as_strided((2, 2), (1, 2)))
    assert y.primal.tolist() == [[0, 2], [1, 3]]
    assert y.tangent.tolist() == [[0, 4], [2, 1]]


@pytest.mark.parity
def test_the_bits_as_another_dtype(torch):
    found = []
    for m in (gd, torch):
        x = m.arange(8, dtype=m.float32).reshape(2, 4)
        bits = x.view(m.int32)
        bits[0] += 1
        with pytest.raises(RuntimeError, match=r"self.stride\(-1\) must be 1"):
            x.t().view(m.int16)
        with pytest.raises(RuntimeError, match=r"self.stride\(0\) must be divisible by 2"):
            x.reshape(-1)[:6].as_strided((2, 2), (3, 1)).view(m.float64)
        leaf = m.ones(2, 4, requires_grad=True)
        assert not (leaf * 1).view(m.complex64).requires_grad
        found.append((x, bits, x.view(m.complex64), x.view(m.uint8), leaf.detach().view(m.int16)))
    for mine, theirs in zip(*found, strict=True):
        oracle.check_same(mine, theirs, 0, "view")
