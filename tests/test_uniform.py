"""Cotangents that are one number everywhere: what they do is what the arrays would do."""

import numpy as np
import pytest

from gradcore import dtypes
from gradcore.device import CPU, TensorType
from gradcore.uniform import NotUniform, Uniform, uniform

F32 = TensorType(CPU, dtypes.float32)
F64 = TensorType(CPU, dtypes.float64)
C64 = TensorType(CPU, dtypes.complex64)


def same(u, array):
    got = u.array()
    assert got.dtype == u.dtype == array.dtype
    assert got.shape == u.shape == array.shape
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
@pytest.mark.parametrize(
    "function",
    [
        lambda g: g * 3,
        lambda g: 0.1 * g,
        lambda g: g / 3,
        lambda g: -g,
        lambda g: g * (1 / 3) / 7 * g,
    ],
)
def test_arithmetic_with_numbers_rounds_as_arrays_do(shape, function):
    u = Uniform(0.7, shape, F32)
    same(function(u), function(np.full(shape, 0.7, np.float32)))


def test_sums_with_cotangents_of_either_kind():
    u = Uniform(0.5, (2, 3), F64)
    a = np.arange(6.0).reshape(2, 3)
    same(u + u, np.ones((2, 3)))
    np.testing.assert_array_equal(u + a, a + 0.5)
    np.testing.assert_array_equal(a + u, a + 0.5)


@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (3,), (2, 1), (1, 1), (1,), ()])
def test_the_adjoint_of_broadcasting(shape):
    u = Uniform(0.25, (2, 3), F64).restored(shape, F32)
    same(u, np.full(shape, 0.25 * 6 / max(1, np.prod(shape)), np.float32))


def test_the_real_part_goes_to_a_real_input():
    u = Uniform(2 + 3j, (2,), C64)
    same(u.restored((2,), F32), np.full(2, 2, np.float32))
    same(uniform.conj(u), np.full(2, 2 - 3j, np.complex64))


def test_what_needs_an_array_says_so():
    u = Uniform(1.0, (2,), F32)
    for call in (
        lambda: u * np.ones(2),
        lambda: np.ones(2) * u,
        lambda: u - 1.0,
        lambda: u**2,
        lambda: u == 1.0,
        lambda: bool(u),
        lambda: u[0],
        lambda: u * Uniform(1.0, (3,), F32),
        lambda: u * 1j,
        lambda: uniform.exp(u),
        lambda: uniform.sum(u),
    ):
        with pytest.raises(NotUniform):
            call()


def test_an_array_of_its_own_can_be_written_to():
    u = Uniform(1.0, (2, 3), F32)
    own = u.own()
    own += 1
    same(u, np.ones((2, 3), np.float32))
