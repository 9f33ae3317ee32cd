"""Fourier transforms and windows beside PyTorch's, where the records cannot say it."""

import numpy as np
import pytest

import gradcore as gd

WINDOWS = ["bartlett", "blackman", "hamming", "hann", "kaiser"]


@pytest.mark.parity
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_are_pytorchs(torch, name):
    ours, theirs = (getattr(lib, f"{name}_window") for lib in (gd, torch))
    for n in (0, 1, 2, 7, 8):
        for periodic in (True, False):
            w, expected = ours(n, periodic), theirs(n, periodic)
            assert w.dtype is gd.float32
            np.testing.assert_allclose(w.numpy(), expected.numpy(), atol=1e-6)
    wide = ours(9, dtype=gd.float64, requires_grad=True)
    assert wide.requires_grad
    expected = theirs(9, dtype=torch.float64).numpy()
    np.testing.assert_allclose(wide.detach().numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("name", WINDOWS)
def test_wrong_arguments_of_windows(name):
    window = getattr(gd, f"{name}_window")
    with pytest.raises(RuntimeError, match="requires non-negative window_length"):
        window(-1)
    with pytest.raises(TypeError, match="must be int, not float"):
        window(2.5)
    for dtype in (gd.int64, gd.complex64):
        with pytest.raises(RuntimeError, match="expects floating point dtypes"):
            window(3, dtype=dtype)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["fftfreq", "rfftfreq"])
def test_frequencies_are_pytorchs(torch, name):
    for n, d in [(0, 1.0), (1, 1.0), (4, 0.5), (5, 3), (4, 0)]:
        if (name, n) == ("rfftfreq", 0):
            continue
        ours, theirs = (getattr(lib.fft, name)(n, d) for lib in (gd, torch))
        assert ours.dtype is gd.float32
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    with pytest.raises(RuntimeError, match="requires a floating point or complex dtype"):
        getattr(gd.fft, name)(4, dtype=gd.int64)
    with pytest.raises(RuntimeError, match="negative dimension"):
        getattr(gd.fft, name)(-1)


@pytest.mark.parametrize("name", ["fft", "rfftn", "fftshift"])
def test_numpys_functions_are_recorded(name):
    x = gd.arange(6.0, dtype=gd.float64).reshape(2, 3).requires_grad_()
    along = {"axis": 0} if name == "fft" else {"axes": (0,)}
    y = getattr(np.fft, name)(x, **along)
    assert y.grad_fn is not None
    expected = getattr(np.fft, name)(x.detach().numpy(), **along)
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)


def test_istft_inverts_stft():
    x = gd.tensor(np.random.default_rng(0).standard_normal((2, 40)))
    window = gd.hann_window(8, dtype=gd.float64)
    y = gd.stft(x, 8, 2, window=window, return_complex=True)
    np.testing.assert_allclose(y.istft(8, 2, window=window).numpy(), x.numpy(), atol=1e-12)
    with pytest.warns(UserWarning, match="padded with zeros"):
        longer = y.istft(8, 2, window=window, length=45)
    assert longer.shape == (2, 45)
    assert longer[:, 44].tolist() == [0, 0]


def test_transforms_without_scipy(monkeypatch):
    from gradcore.ops import fourier

    x = gd.tensor(np.random.default_rng(0).standard_normal((3, 4)))
    expected = gd.fft.irfft2(gd.fft.rfft2(x), s=(3, 4)), gd.fft.fftn(x)
    monkeypatch.setattr(fourier, "_on_the_host", lambda: np.fft)
    found = gd.fft.irfft2(gd.fft.rfft2(x), s=(3, 4)), gd.fft.fftn(x)
    for y, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(y.numpy(), e.numpy(), atol=1e-12)
