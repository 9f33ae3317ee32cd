import re
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.cuda


@pytest.fixture
def nvrtc(cp):
    """Return hostcuda's nvrtc_check, or skip."""
    from hostcuda import nvrtc_check

    try:
        nvrtc_check.compiler._get_nvrtc_version()
    except Exception as missing:
        pytest.skip(f"NVRTC is not installed (pip install nvidia-cuda-nvrtc-cu12): {missing}")
    return nvrtc_check


@pytest.mark.parametrize(
    ("arch", "ndim", "contiguous"),
    [("70", 3, False), ("80", 3, False), ("90", 3, False), ("80", 1, True)],
)
def test_every_kernel_compiles_for_a_gpu(kernels, nvrtc, arch, ndim, contiguous):
    def compile_one(listed):
        kernel, types = listed
        nvrtc.check_once(nvrtc.source_of(kernel, types, ndim, contiguous), arch=arch)

    with ThreadPoolExecutor(2) as threads:
        assert len(list(threads.map(compile_one, kernels.every_kernel()))) > 100


def test_every_kernel_is_listed_and_named(kernels):
    listed = kernels.every_kernel()
    assert all(kernel.name.startswith("gc_") for kernel, _ in listed)
    keys = [(kernel.name, tuple(sorted(types.items()))) for kernel, types in listed]
    assert len(set(keys)) == len(keys)


def test_what_is_launched_is_listed(cp, kernels, device):
    if device != "hostcuda":
        pytest.skip("launched sources are seen on hostcuda")
    import hostcuda

    launched = set()

    def note(source, options, name_expressions):
        launched.update(re.findall(r"__global__ void (gc_\w+)", source))

    hostcuda.on_compile.append(note)
    try:
        # Shapes and strides that no other test has, so that CuPy must ask for a compilation.
        x = cp.ones((2, 3, 2, 2, 2, 3, 2), "float32")[:, ::2, :, :, :, ::2]
        every = tuple(range(7))
        for p in (2.0, 1.0, 0.0, float("inf"), float("-inf"), 3.0):
            y = kernels.norm(x, p, every[::2], False)
            kernels.norm_backward((True,), y, y, x, p, every[::2], False)
        y = kernels.mul_mean(x, x, every[::2], False)
        kernels.mul_mean_backward((True, True), y, x, x, every[::2], False)
        kernels.mul_mean_backward((True, False), y, x, x, every[::2], False)
    finally:
        hostcuda.on_compile.remove(note)
    assert launched <= {kernel.name for kernel, _ in kernels.every_kernel()}
    assert len(launched) == 14


def test_a_mistake_fails_with_the_compilers_message(cp, kernels, nvrtc):
    from gradcore_kernels.cuda_types import PREAMBLE

    wrong = cp.ElementwiseKernel("T x", "T y", "y = x * slope", "gc_wrong", preamble=PREAMBLE)
    with pytest.raises(cp.cuda.compiler.CompileException, match='identifier "slope" is undefined'):
        nvrtc.check(nvrtc.source_of(wrong, {"T": "float32"}))


def test_a_mistake_fails_where_it_is_launched(cp):
    wrong = cp.ElementwiseKernel("T x", "T y", "y = x * slope", "gc_wrong")
    with pytest.raises(Exception, match="slope"):
        wrong(cp.ones(3))
