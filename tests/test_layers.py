"""Layers' functions: what the samples of their records cannot say."""

import numpy as np
import pytest

import gradcore as gd


@pytest.mark.parametrize(
    ("width", "options"),
    [
        (1, {}),
        (((0, 1), (2, 3)), {"constant_values": ((1, 2), (3, 4))}),
        ({-1: (5, 0)}, {"mode": "wrap"}),
        ((1, 7), {"mode": "symmetric"}),
        (3, {"mode": "reflect", "reflect_type": "even"}),
        (2, {"mode": "edge"}),
    ],
)
def test_numpy_pad(width, options):
    x = np.arange(6.0).reshape(2, 3)
    t = gd.tensor(x, requires_grad=True)
    y = np.pad(t, width, **options)
    np.testing.assert_array_equal(y.detach().numpy(), np.pad(x, width, **options))
    y.sum().backward()
    assert t.grad.shape == t.shape
