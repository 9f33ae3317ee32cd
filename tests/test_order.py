"""Order and masks where the samples of the records do not look: nan, ties, long arrays."""

import numpy as np
import pytest

import gradcore as gd
import oracle
from gradcore.op import OPS

NAN, INF = np.nan, np.inf
WITH_NAN = np.array([1.0, NAN, -0.0, 0.0, NAN, 2.0, -INF, 2.0, 1.0])
ROWS = np.array([[2.0, NAN, 1.0, 0.0], [NAN, 3.0, NAN, NAN], [4.0, 4.0, 5.0, 4.0]])
TIES = np.array([[2.0, 1.0, 2.0, 1.0, 3.0], [0.0, 0.0, 1.0, 1.0, 1.0]])

CALLS = {
    "sort": lambda m, x: m.sort(x),
    "sort descending": lambda m, x: m.sort(x, descending=True),
    "median": lambda m, x: m.median(x),
    "median dim": lambda m, x: m.median(x, -1),
    "nanmedian": lambda m, x: m.nanmedian(x),
    "nanmedian dim": lambda m, x: m.nanmedian(x, -1),
    "cummax": lambda m, x: m.cummax(x, -1),
    "cummin": lambda m, x: m.cummin(x, -1),
    "aminmax": lambda m, x: m.aminmax(x, dim=-1),
    "nansum": lambda m, x: m.nansum(x, -1),
    "nanmean": lambda m, x: m.nanmean(x, -1),
    "quantile": lambda m, x: m.quantile(x, 0.3, -1),
    "nanquantile": lambda m, x: m.nanquantile(x, 0.3, -1),
    "logcumsumexp": lambda m, x: m.logcumsumexp(x, -1),
    "masked.mean": lambda m, x: m.masked.mean(x, -1, mask=x > 1),
    "masked.softmax": lambda m, x: m.masked.softmax(x, -1, mask=x > 1),
    "masked.amax": lambda m, x: m.masked.amax(x, -1, mask=x > 1),
}


@pytest.mark.parity
@pytest.mark.parametrize("values", [WITH_NAN, ROWS, TIES], ids=["vector", "rows", "ties"])
@pytest.mark.parametrize("name", CALLS)
def test_nan_and_ties_are_pytorchs(torch, name, values):
    found = []
    for m in (gd, torch):
        x = m.tensor(values, requires_grad=True)
        with np.errstate(all="ignore"):
            outputs = oracle.flat(CALLS[name](m, x))
            sum(y.sum() for y in outputs if y.requires_grad).backward()
        found.append([*outputs, x.grad])
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(oracle.array(mine), oracle.array(other), rtol=1e-12)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "bool"]
)
@pytest.mark.parametrize("descending", [False, True])
def test_long_arrays_are_in_the_order_of_a_stable_sort(dtype, descending):
    values = np.random.default_rng(0).integers(-60, 60, (3, 2000)).astype(dtype)
    if values.dtype.kind == "f":
        values[0, ::7] = NAN
        values[values == 0] *= -1
    x = gd.tensor(values)
    keys = values if not descending else values[:, ::-1]
    expected = np.argsort(keys, axis=1, kind="stable")
    if descending:
        expected = 1999 - expected[:, ::-1]
    assert np.array_equal(gd.argsort(x, 1, descending).numpy(), expected)
    if dtype != "bool":
        top = gd.topk(x, 20, 1, largest=descending).indices
        assert np.array_equal(top.numpy(), expected[:, :20])
    if dtype != "bool" and not descending:
        assert np.array_equal(gd.kthvalue(x, 700, 1).indices.numpy(), expected[:, 699])


@pytest.mark.parametrize("name", ["median", "nanmedian"])
@pytest.mark.parametrize("kwargs", [{}, {"axis": 1}, {"axis": 0, "keepdims": True}])
def test_numpys_median_is_the_mean_of_the_middle_two(name, kwargs):
    a = np.random.default_rng(0).random((2, 4))
    op = next(op for op in OPS.values() if name in op.numpy)
    y = op.numpy[name](gd.tensor(a), **kwargs)
    np.testing.assert_allclose(y.numpy(), getattr(np, name)(a, **kwargs), strict=True)


def test_a_quantile_is_differentiable_by_its_rank():
    q = gd.tensor(0.3, dtype=gd.float64, requires_grad=True)
    gd.quantile(gd.tensor([0.0, 1.0, 5.0, 6.0], dtype=gd.float64), q).backward()
    assert q.grad.item() == pytest.approx(3.0)
