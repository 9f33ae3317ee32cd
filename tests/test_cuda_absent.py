"""CUDA where it is not: nothing is imported for it; errors say what is missing and what to do."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

import gradcore as gd
from gradcore.device import cupy_backend

WORK = """
import sys
import gradcore as gd
x = gd.randn(3, 4, requires_grad=True)
w = gd.nn.Parameter(gd.ones(4))
optimizer = gd.optim.Adam([w])
loss = gd.nn.functional.relu(x @ w).sum() + gd.norm(x) + gd.mul_mean(x, x)
loss.backward()
optimizer.step()
optimizer.zero_grad(set_to_none=False)
x.detach().to("cpu", gd.float64).cpu().is_pinned()
gd.device("cuda:1"), gd.cuda.Stream, gd.cuda.device(1), gd.cuda.OutOfMemoryError
repr(x), gd.manual_seed(0)
started = {name.partition(".")[0] for name in sys.modules}
print(sorted(started & {"cupy", "cupyx", "cupy_backends", "gradcore_kernels", "rich"}))
"""


def test_work_on_the_cpu_imports_nothing_for_cuda():
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def fake_cupy(monkeypatch, status, driver=12090, runtime=12090):
    """Let gradcore find a CuPy whose count of the devices fails with a status of CUDA."""

    class CUDARuntimeError(RuntimeError):
        def __init__(self):
            super().__init__(f"status {status}")
            self.status = status

    def count():
        if status is None:
            return 0
        raise CUDARuntimeError

    functions = SimpleNamespace(
        getDeviceCount=count, driverGetVersion=lambda: driver, runtimeGetVersion=lambda: runtime
    )
    monkeypatch.setitem(
        sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=functions))
    )
    cupy_backend.cache_clear()


CALLS = {
    "to": lambda: gd.ones(2).to("cuda"),
    "cuda": lambda: gd.ones(2).cuda(),
    "ones": lambda: gd.ones(2, device="cuda"),
    "pin_memory": lambda: gd.ones(2).pin_memory(),
    "Stream": lambda: gd.cuda.Stream(),
    "Event": lambda: gd.cuda.Event().record(),
    "current_stream": lambda: gd.cuda.current_stream(),
    "set_device": lambda: gd.cuda.set_device(0),
    "get_device_properties": lambda: gd.cuda.get_device_properties(),
    "mem_get_info": lambda: gd.cuda.mem_get_info(),
    "precompile": lambda: gd.cuda.precompile(),
    "synchronize": lambda: gd.cuda.synchronize(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_without_cupy_the_error_says_what_to_install(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    cupy_backend.cache_clear()
    with pytest.raises(ImportError, match=r"CuPy cannot be imported.*gradcore\[cuda12\]"):
        call()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_without_a_driver_the_error_says_to_install_one(call, monkeypatch):
    # What CUDA reports where there is no driver at all.
    fake_cupy(monkeypatch, status=35, driver=0)
    with pytest.raises(gd.GradcoreError, match=r"No NVIDIA driver is loaded: install one"):
        call()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_driver_that_is_too_old_is_named_with_what_is_needed(call, monkeypatch):
    fake_cupy(monkeypatch, status=35, driver=11040, runtime=13000)
    with pytest.raises(RuntimeError, match=r"too old: it is for CUDA 11.4.*CuPy is for CUDA 13.0"):
        call()


@pytest.mark.parametrize("status", [100, None])
def test_a_driver_that_shows_no_device_is_another_error(status, monkeypatch):
    fake_cupy(monkeypatch, status)
    with pytest.raises(RuntimeError, match=r"shows this process no GPU.*CUDA_VISIBLE_DEVICES"):
        gd.ones(2).to("cuda")


def test_questions_have_answers_without_cuda(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    cupy_backend.cache_clear()
    cuda = gd.cuda
    assert not cuda.is_available()
    assert cuda.device_count() == cuda.memory_allocated() == cuda.memory_reserved() == 0
    assert cuda.max_memory_allocated() == cuda.max_memory_reserved() == 0
    assert cuda.memory_stats() == {}
    assert not gd.ones(2).is_pinned()
    cuda.empty_cache()
    cuda.manual_seed(0)
    with cuda.device(None), cuda.device(-1), cuda.stream(None):
        assert gd.ones(2).sum() == 2
    gd.ones(2).record_stream(None)


def test_out_of_memory_is_caught_as_pytorchs_and_as_pythons():
    assert issubclass(gd.cuda.OutOfMemoryError, gd.GradcoreError | RuntimeError)
    assert issubclass(gd.cuda.OutOfMemoryError, MemoryError)
