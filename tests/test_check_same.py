"""The comparison of two devices must find what differs; here both are the CPU."""

import numpy as np
import pytest

import gradcore as gd
from gradcore import testing
from gradcore.device import CPU
from gradcore.errors import ArgumentError, ShapeError
from gradcore.op import OPS
from gradcore.samples import sample
from gradcore.testing import Outcome

OP = OPS["exp"]
ONE = gd.tensor([1.0, 2.0], dtype=gd.float64)


def same(expected, found, **options):
    testing.check_same(OP, expected, found, **options)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ((ONE * 1.001,), "1.001"),
        ((ONE.float(),), "float64 and float32"),
        ((ONE.reshape(1, 2),), r"\(2,\) and \(1, 2\)"),
        ((ONE, ONE), "1 and 2"),
        ((None,), "None"),
        ((gd.tensor([1.0, np.nan], dtype=gd.float64),), "nan"),
        ((2.0,), "2.0"),
    ],
)
@pytest.mark.parametrize("where", ["values", "gradients"])
def test_another_result_is_found(where, found, message):
    same(Outcome(**{where: (ONE,)}), Outcome(**{where: (ONE,)}))
    with pytest.raises(AssertionError, match=message):
        same(Outcome(**{where: (ONE,)}), Outcome(**{where: found}))


def test_a_tensor_that_does_not_hold_what_it_says_is_found():
    wrong = gd.tensor([1.0, 2.0], dtype=gd.float64)
    wrong._array = wrong._array.astype(np.float32)
    with pytest.raises(AssertionError, match="holds float32"):
        same(Outcome((wrong,)), Outcome((wrong,)))


def test_the_difference_that_is_allowed_is_that_of_the_dtype():
    same(Outcome((ONE,)), Outcome((ONE * (1 + 1e-12),)))
    same(Outcome((ONE.float(),)), Outcome((ONE.float() * 1.00001,)))
    same(Outcome((ONE,)), Outcome((ONE * 1.001,)), tolerance=1e-2)


def test_errors_are_compared_by_class_and_words():
    for error in (ValueError("no"), ArgumentError("1 on cpu")):
        same(Outcome(error=error), Outcome(error=type(error)(str(error))))
    same(Outcome(error=ArgumentError("on cpu")), Outcome(error=ArgumentError("on cuda:0")))
    for other in (ArgumentError("yes"), ShapeError("no"), None):
        with pytest.raises(AssertionError, match="errors"):
            same(Outcome(error=ArgumentError("no")), Outcome(error=other))


def test_the_words_of_numpy_are_not_compared():
    def of_numpy(text):
        error = ArgumentError(text)
        error.__cause__ = ValueError(text)
        return Outcome(error=error)

    same(of_numpy("what NumPy says"), of_numpy("what CuPy says"))


def test_evaluate_gives_gradients_of_both_orders():
    x = np.array([0.5, -1.0])
    found = testing.evaluate(OP, sample(x), CPU, second=True)
    v = found.gradients[0].detach().numpy() / np.exp(x)
    np.testing.assert_allclose(found.values[0].detach().numpy(), np.exp(x))
    # (v e^x)^2, differentiated
    np.testing.assert_allclose(found.gradients[1].numpy(), 2 * v**2 * np.exp(2 * x))
    strided = testing.evaluate(OP, sample(x), CPU, lambda a: a * 1, strided=True)
    same(Outcome(found.values), Outcome(strided.values))
