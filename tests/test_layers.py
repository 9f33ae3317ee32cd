"""Layers' functions: what the samples of their records cannot say."""

import numpy as np
import pytest

import gradcore as gd
from gradcore.nn import functional as F


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


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("dropout", (2000,)),
        ("alpha_dropout", (2000,)),
        ("dropout1d", (500, 4)),
        ("dropout1d", (50, 40, 4)),
        ("dropout2d", (50, 40, 2, 2)),
        ("dropout3d", (1000, 1, 2, 2)),
        ("feature_alpha_dropout", (50, 40, 3)),
    ],
)
def test_dropout_drops_whole_channels_and_keeps_moments(name, shape, inplace):
    gd.manual_seed(0)
    leaf = gd.randn(*shape, dtype=gd.float64, requires_grad=True)
    x = leaf * 1.0
    y = getattr(F, name)(x, 0.25, True, inplace)
    assert (y is x) == inplace
    y.sum().backward()
    slopes = leaf.grad.numpy()
    channels = 500 if shape == (500, 4) else 2000 if name != "dropout3d" else 1000
    kept = slopes.reshape(channels, -1)
    assert (kept == kept[:, :1]).all()
    dropped = kept[:, 0] == 0
    assert 0.2 < dropped.mean() < 0.3
    values = y.detach().numpy()
    if "alpha" in name:
        assert abs(values.mean()) < 0.15
        assert abs(values.std() - 1) < 0.1
    else:
        np.testing.assert_allclose(slopes[slopes != 0], 4 / 3)
        assert (values[slopes == 0] == 0).all()


@pytest.mark.parametrize("name", ["dropout2d", "dropout3d"])
def test_dropout_of_fewer_dimensions_warns(name):
    with pytest.warns(UserWarning, match=f"{name}: Received a 2-D input"):
        getattr(F, name)(gd.ones(2, 3), 1.0)


@pytest.mark.parity
def test_running_statistics_of_instance_norm(torch):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    ours = [gd.zeros(3, dtype=gd.float64), gd.ones(3, dtype=gd.float64)]
    theirs = [torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)]
    F.instance_norm(gd.tensor(x), *ours, momentum=0.3)
    torch.nn.functional.instance_norm(torch.tensor(x), *theirs, momentum=0.3)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy())
    a = F.instance_norm(gd.tensor(x), *ours, use_input_stats=False)
    b = torch.nn.functional.instance_norm(torch.tensor(x), *theirs, use_input_stats=False)
    np.testing.assert_allclose(a.numpy(), b.numpy())


@pytest.mark.parity
@pytest.mark.parametrize("norm_type", [2.0, 1.0])
def test_rows_of_embeddings_are_shortened_in_place(torch, norm_type):
    table, index = np.random.default_rng(0).standard_normal((5, 3)), np.array([3, 1, 3])
    ours = gd.tensor(table, requires_grad=True)
    theirs = torch.tensor(table, requires_grad=True)
    a = F.embedding(gd.tensor(index), ours, max_norm=1.0, norm_type=norm_type)
    b = torch.nn.functional.embedding(
        torch.tensor(index), theirs, max_norm=1.0, norm_type=norm_type
    )
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy())
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy())
    a.sum().backward()
    b.sum().backward()
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())


def test_a_pixel_that_is_nan_reaches_only_its_neighbours():
    x = gd.ones(1, 1, 1, 40)
    x[0, 0, 0, 20] = np.nan
    y = F.interpolate(x, (1, 60), mode="bilinear")
    assert 0 < int(gd.isnan(y).sum()) <= 4
