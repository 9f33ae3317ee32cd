"""These tests run on a GPU if there is one, else on hostcuda (../hostcuda/README.md)."""

import contextlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gradcore as gd
from gradcore.device import cupy_backend

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from hostcuda import Unavailable, provide  # noqa: E402

# CuPy must be redirected before anything imports it: once it is imported it is too late.
with contextlib.suppress(Unavailable):  # the fixture `device` says it
    provide()

TOLERANCE = {
    "float16": 4e-3,
    "float32": 2e-5,
    "float64": 1e-12,
    "complex64": 2e-5,
    "complex128": 1e-12,
}


@pytest.fixture(scope="session")
def device():
    """Return "gpu" or "hostcuda", or skip."""
    try:
        return provide()
    except Unavailable as missing:
        # Whoever has installed CuPy wants these tests to run.
        (pytest.skip if find_spec("cupy") is None else pytest.fail)(str(missing))


@pytest.fixture
def cp(device):
    """Return the cupy module."""
    import cupy

    if device == "gpu":
        yield cupy
        return
    import hostcuda

    hostcuda.show()
    yield cupy
    hostcuda.hide()


@pytest.fixture
def kernels(cp):
    """Return the package under test."""
    import gradcore_kernels

    return gradcore_kernels


@pytest.fixture
def cuda(cp, monkeypatch):
    """Let gradcore find the devices, and forget them afterwards."""
    monkeypatch.setattr(gd.random, "_defaults", {})
    cupy_backend.cache_clear()
    yield
    cupy_backend.cache_clear()
    for name, known in gd.device._known.items():
        if name[0] == "cuda":
            known._backend = None


@pytest.fixture
def count(cp, device):
    """Return a function that calls another and counts what it launches, copies and waits for."""
    if device != "hostcuda":
        pytest.skip("launches are counted on hostcuda")
    import hostcuda

    def counted(function):
        before, launches = hostcuda.counters.copy(), hostcuda.launches()
        function()
        return SimpleNamespace(
            launches=hostcuda.launches() - launches,
            names=hostcuda.launched(launches),
            mallocs=hostcuda.counters["malloc"] - before["malloc"],
            copies_and_syncs={
                kind: hostcuda.counters[kind] - before[kind]
                for kind in ("h2d", "d2h", "d2d", "sync")
                if hostcuda.counters[kind] != before[kind]
            },
        )

    return counted


@pytest.fixture
def same(cp):
    """Return a check of a device array against a float64 (or complex128) NumPy array."""

    def check(got, expected, dtype):
        assert isinstance(got, cp.ndarray)
        assert got.dtype == dtype
        assert got.shape == np.shape(expected)
        tolerance = TOLERANCE[np.dtype(dtype).name]
        finite = np.abs(expected)[np.isfinite(expected)]
        scale = max(1.0, finite.max(initial=0.0))
        wide = np.complex128 if np.dtype(dtype).kind == "c" else np.float64
        np.testing.assert_allclose(
            cp.asnumpy(got).astype(wide), expected, rtol=tolerance, atol=tolerance * scale
        )

    return check
