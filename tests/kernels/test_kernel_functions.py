"""The functions in which CuPy differs from NumPy."""

import numpy as np
import pytest

pytestmark = pytest.mark.cuda

NUMBERS = [0.0, -0.0, 0.5, -2.5, 3.0, -3.0, 7.0, 1e5, 6e4, np.inf, -np.inf, np.nan]
A, B = (a.ravel() for a in np.meshgrid(NUMBERS, NUMBERS))


@pytest.fixture
def functions(kernels):
    """Return the module under test."""
    from gradcore_kernels import functions

    return functions


def exactly(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.get(), expected)


@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_division_of_real_numbers(cp, functions, name, dtype):
    divide, expected = getattr(functions, name), getattr(np, name)
    with np.errstate(all="ignore"):
        a, b = A.astype(dtype), B.astype(dtype)
        exactly(divide(cp.asarray(a), cp.asarray(b)), expected(a, b))
        exactly(divide(cp.asarray(a), 2.5), expected(a, dtype_of(2.5, dtype)))
        exactly(divide(-7, cp.asarray(b)), expected(dtype_of(-7, dtype), b))
        exactly(divide(cp.asarray(a[:0]), cp.asarray(b[:0])), expected(a[:0], b[:0]))
        exactly(divide(cp.asarray(a)[::-2], cp.asarray(b)[::2]), expected(a[::-2], b[::2]))


def dtype_of(number, dtype):
    return np.dtype(dtype).type(number)


def test_a_quotient_that_rounds_up_is_rounded_down(cp, functions):
    # 1 // 0.1 is 9: 0.1 is a little more than a tenth.
    exactly(functions.floor_divide(cp.asarray([1.0]), 0.1), np.array([9.0]))
    exactly(functions.remainder(cp.asarray([1.0]), 0.1), np.remainder([1.0], 0.1))


def test_division_of_whole_and_of_mixed_numbers(cp, functions):
    a, b = np.array([-7, 7, 5]), np.array([2, -2, 3], "int32")
    for name in ("remainder", "floor_divide"):
        divide, expected = getattr(functions, name), getattr(np, name)
        exactly(divide(cp.asarray(a), cp.asarray(b)), expected(a, b))
        exactly(divide(cp.asarray(a), 2.5), expected(a, 2.5))
        exactly(divide(cp.asarray(a), cp.asarray(b / 2)), expected(a, b / 2))
        exactly(divide(cp.asarray(a), 0), np.zeros(3, a.dtype))


def test_powers(cp, functions):
    x = cp.asarray([1, -2, 3])
    exactly(functions.power(x, 2), np.array([1, 4, 9]))
    exactly(functions.power(2, x), np.array([2, 0, 8]))
    exactly(functions.power(x.astype(float), -1), np.array([1, -0.5, 1 / 3]))
    with pytest.raises(ValueError, match="negative integer powers"):
        functions.power(x, -1)


def test_a_negative_length_is_refused(cp, functions):
    assert functions.broadcast_to(cp.ones(3), (2, 3)).shape == (2, 3)
    assert functions.broadcast_to(cp.ones(()), ()).shape == ()
    with pytest.raises(ValueError, match="non-negative"):
        functions.broadcast_to(cp.ones(3), (-1, 3))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_logic_of_complex_numbers(cp, functions, dtype):
    a = np.array([0, 1j, 1, 0, 1 - 1j], dtype)
    b = np.array([0, 0, 2, 1j, 3], dtype)
    x, y = cp.asarray(a), cp.asarray(b)
    for name in ("logical_and", "logical_or", "logical_xor"):
        logical, expected = getattr(functions, name), getattr(np, name)
        exactly(logical(x, y), expected(a, b))
        exactly(logical(x, y.real > 0), expected(a, b.real > 0))
        exactly(logical(x, 1j), expected(a, 1j))
        exactly(logical(0.0, x), expected(0.0, a))
    exactly(functions.logical_not(x), ~a.astype(bool))
    exactly(functions.logical_not(x.real), np.logical_not(a.real))
