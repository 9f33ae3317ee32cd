import math

import numpy as np
import pytest

pytestmark = pytest.mark.cuda

# lengths, kernel, stride, padding, dilation; the last window of the third ends beyond the input.
CASES = [
    ((7,), (3,), (2,), (1,), (1,)),
    ((5, 6), (2, 3), (1, 2), (0, 1), (2, 1)),
    ((5, 4), (2, 2), (3, 2), (0, 0), (1, 1)),
    ((3, 2, 4), (2, 1, 2), (1, 1, 2), (1, 0, 1), (1, 1, 2)),
]


def geometry(case):
    lengths, kernel, stride, padding, dilation = case
    size = tuple(
        -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1 for n, k, s, p, d in zip(*case, strict=True)
    )
    return lengths, kernel, size, (stride, padding, dilation, 1)


def windows(lengths, kernel, size, how):
    """Of each window: its place, and the places in the plane of its elements; None outside."""
    for window in np.ndindex(size):
        elements = []
        for element in np.ndindex(kernel):
            at = [
                w * s - p + j * d for w, j, s, p, d in zip(window, element, *how[:3], strict=True)
            ]
            inside = all(0 <= a < n for a, n in zip(at, lengths, strict=True))
            elements.append(int(np.ravel_multi_index(at, lengths)) if inside else None)
        yield window, elements


def arrays(cp, case, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, *case[0])).astype(dtype)
    return cp.asarray(x), x.astype(np.complex128 if np.dtype(dtype).kind == "c" else float)


@pytest.fixture
def module(kernels):
    from gradcore_kernels import windows

    return windows


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128"])
def test_columns_are_added_up(cp, module, same, case, dtype):
    lengths, kernel, size, how = geometry(case)
    shape = 2, 3 * math.prod(kernel), math.prod(size)
    base = np.random.default_rng(0).normal(size=shape).astype(dtype)
    wide = base.astype(complex).reshape(6, math.prod(kernel), *size)
    expected = np.zeros((6, math.prod(lengths)), complex)
    for window, elements in windows(lengths, kernel, size, how):
        for j, at in enumerate(elements):
            if at is not None:
                expected[:, at] += wide[(slice(None), j, *window)]
    expected = expected if np.dtype(dtype).kind == "c" else expected.real
    y = module.add_up(cp.asarray(base), lengths, kernel, size, how)
    same(y, expected.reshape(2, 3, *lengths), dtype)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_largest_and_its_gradient(cp, module, same, case, dtype):
    lengths, kernel, size, how = geometry(case)
    x, wide = arrays(cp, case, dtype)
    x[0, 0] = 1  # all are equal
    wide[0, 0] = 1
    y, at = module.largest(x, kernel, size, how)
    places = at.get().reshape(6, *size)
    g, wide_g = (a[(..., *map(slice, size))] for a in arrays(cp, (size,), dtype, seed=1))
    expected, back = np.zeros((6, *size)), np.zeros((6, math.prod(lengths)))
    for window, elements in windows(lengths, kernel, size, how):
        inside = [a for a in elements if a is not None]
        for plane in range(6):
            values = wide.reshape(6, -1)[plane, inside]
            expected[(plane, *window)] = values.max()
            chosen = inside[int(values.argmax())]
            assert places[(plane, *window)] == chosen
            back[plane, chosen] += wide_g.reshape(6, *size)[(plane, *window)]
    same(y, expected.reshape(2, 3, *size), dtype)
    same(module.largest_alone(x, kernel, size, how), expected.reshape(2, 3, *size), dtype)
    dx = module.put_back(g, at, lengths, kernel, how, True)
    same(dx, back.reshape(2, 3, *lengths), dtype)


@pytest.mark.parametrize("divisor", [True, False, 5])
@pytest.mark.parametrize("case", CASES[:3])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_means_and_their_gradient(cp, module, same, case, dtype, divisor):
    lengths, kernel, size, how = geometry((*case[:4], (1,) * len(case[0])))
    x, wide = arrays(cp, case, dtype)
    g, wide_g = arrays(cp, (size,), dtype, seed=1)
    expected, back = np.zeros((6, *size)), np.zeros((6, math.prod(lengths)))
    for window, elements in windows(lengths, kernel, size, how):
        inside = [a for a in elements if a is not None]
        padded = math.prod(
            min(w * s - p + k, n + p) - (w * s - p)
            for w, s, p, k, n in zip(window, *how[:2], kernel, lengths, strict=True)
        )
        count = padded if divisor is True else len(inside) if divisor is False else divisor
        expected[(slice(None), *window)] = wide.reshape(6, -1)[:, inside].sum(1) / count
        back[:, inside] += wide_g.reshape(6, *size)[(slice(None), *window)][:, None] / count
    same(module.mean(x, kernel, size, how, divisor), expected.reshape(2, 3, *size), dtype)
    dx = module.mean_backward(g, lengths, kernel, size, how, divisor)
    same(dx, back.reshape(2, 3, *lengths), dtype)


def test_nan_is_the_largest_and_the_first_of_equal_ones_counts(cp, module):
    nan, inf = math.nan, math.inf
    x = cp.asarray([[[1, nan, nan, 3, 3, 3, -inf, -inf, -inf]]])
    y, at = module.largest(x, (3,), (3,), ((3,), (0,), (1,), 1))
    np.testing.assert_array_equal(y.get(), [[[nan, 3, -inf]]])
    assert at.tolist() == [[[2, 3, 6]]]


def test_launches(cp, module, count):
    _, kernel, size, how = geometry(CASES[1])
    x = cp.ones((2, 3, 5, 6), "float32")
    y, at = module.largest(x, kernel, size, how)
    columns = cp.ones((2, 18, math.prod(size)), "float32")
    for call in (
        lambda: module.largest(x, kernel, size, how),
        lambda: module.largest_alone(x, kernel, size, how),
        lambda: module.put_back(y, at, (5, 6), kernel, how, True),
        lambda: module.mean(x, kernel, size, how, True),
        lambda: module.mean_backward(y, (5, 6), kernel, size, how, True),
        lambda: module.add_up(columns, (5, 6), kernel, size, how),
    ):
        made = count(call)
        assert (made.launches, made.copies_and_syncs) == (1, {})


def test_nothing_is_launched_for_nothing(cp, module, count):
    x = cp.ones((0, 3, 4), "float32")
    made = count(lambda: module.largest(x, (2,), (2,), ((2,), (0,), (1,), 1)))
    assert made.launches == 0
