"""The device that the tests of CUDA code run on: a GPU, or this package."""

import ctypes
import functools
import importlib.util
import os
import shutil
import sys
import warnings


class Unavailable(Exception):
    """Neither a GPU nor this package can run CuPy here; the message says what is missing."""


def _has_gpu():
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return not driver.cuInit(0) and not driver.cuDeviceGetCount(ctypes.byref(count)) and count.value


@functools.cache
def _provide():
    if importlib.util.find_spec("cupy") is None:
        return None, "CuPy is not installed (pip install cupy-cuda12x)"
    if os.environ.get("HOSTCUDA") != "1" and _has_gpu():
        return "gpu", ""
    if sys.platform != "linux":
        return None, "there is no GPU, and hostcuda needs Linux"
    compiler = os.environ.get("HOSTCUDA_CXX", "g++")
    if shutil.which(compiler) is None:
        return None, f"there is no GPU, and hostcuda needs {compiler}"
    if "cupy" in sys.modules:
        return None, "there is no GPU, and CuPy was imported before hostcuda could redirect it"
    from hostcuda import device

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what CuPy says as it is imported is not the tests' matter
        device.install(dispatch=False)
    device.hide()
    return "hostcuda", ""


def provide():
    """Return "gpu" or "hostcuda", whichever CuPy runs on in this process.

    The first call must come before anything imports CuPy. hostcuda is then installed with its
    devices hidden, so that tests which do not ask for them (`show`) see a machine without a GPU.
    HOSTCUDA=1 asks for hostcuda also where there is a GPU.

    Raises:
        Unavailable: There is neither.
    """
    device, reason = _provide()
    if device is None:
        raise Unavailable(reason)
    return device
