import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


@pytest.fixture(scope="module")
def generated():
    """Return the sources of the kernels generated from operations, with their names."""
    script = Path(__file__).with_name("list_generated.py")
    listed = subprocess.run([sys.executable, script], capture_output=True, check=True, text=True)
    return json.loads(listed.stdout)


@pytest.mark.parametrize("arch", ["70", "80", "90"])
def test_every_generated_kernel_compiles_for_a_gpu(nvrtc, generated, arch):
    from gradcore_kernels.elementwise import FUNCTIONS

    def unit(listed):
        """Many kernels as one text: to read CuPy's headers takes longer than to compile one."""
        parts = []
        for number, (source, name) in enumerate(listed):
            text = source.replace(FUNCTIONS, "", 1).replace('extern "C" ', "")
            text = text.replace(f"void {name}(", f"void {name}_{number}(")
            parts.append(f"namespace unit{number} {{\n{text}\n}}\n")
        return FUNCTIONS + "".join(parts)

    every = sorted((s, n) for s, n in generated.items() if s.startswith(FUNCTIONS))
    units = [unit(every[start : start + 100]) for start in range(0, len(every), 100)]
    units += [source for source in generated if not source.startswith(FUNCTIONS)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda text: nvrtc.check_once(text, arch=arch), units))
    assert len(every) > 1000
    assert len(generated) > len(every)
    assert {"gc_mul", "gc_tanh_backward", "gc_where", "gc_softplus_backward"} <= set(
        generated.values()
    )


def test_every_kernel_is_listed_and_named(kernels):
    listed = kernels.every_kernel()
    assert all(kernel.name.startswith("gc_") for kernel, _ in listed)
    keys = [(kernel.name, tuple(sorted(types.items()))) for kernel, types in listed]
    assert len(set(keys)) == len(keys)


def test_what_is_launched_is_listed(cp, device, monkeypatch):
    if device != "hostcuda":
        pytest.skip("launched sources are seen on hostcuda")
    import hostcuda

    # Imported anew, so that every kernel is compiled when it is first launched.
    for name in [name for name in sys.modules if name.startswith("gradcore_kernels")]:
        monkeypatch.delitem(sys.modules, name)
    cp.clear_memo()
    from gradcore_kernels import cross_entropy, means, norms, softmax, sums

    launched = set()

    def note(source, options, name_expressions):
        launched.update(re.findall(r"__global__ void (?:__launch_bounds__\S+ )?(gc_\w+)", source))

    hostcuda.on_compile.append(note)
    try:
        x = cp.ones((3, 4), "float32")
        half = x.astype("float16")
        labels = cp.zeros(3, "int64")
        dim = (0, 1)
        for p in (2.0, 1.0, 0.0, float("inf"), float("-inf"), 3.0):
            y = norms.norm(x, p, dim, False)
            norms.norm_backward((True,), y, y, x, p, dim, False)
        y = means.mul_mean(x, x, dim, False)
        means.mul_mean_backward((True, True), y, x, x, dim, False)
        means.mul_mean_backward((True, False), y, x, x, dim, False)
        for function in (sums.sum, sums.mean, sums.prod, sums.amax, sums.amin):
            function(x)
        sums.dot_over(x, x, dim, False)
        sums.xp_sum(half, dtype="float32")
        y = sums.var(x, dim, 1, False)
        sums.var_backward((True,), y, x, dim, 1, False)
        y = sums.std(half, dim, 1, False)
        sums.std_backward((True,), y, y, half, dim, 1, False)
        sums.amax_backward((True,), x[0, 0], x[0, 0], x, dim, False)
        sums.max_backward((True,), x[0, 0], x[0, 0], x)
        softmax.softmax_backward((True,), x, softmax.softmax(x, 1), 1)
        y = softmax.logsumexp(x, dim, False)
        softmax.logsumexp_backward((True,), y, y, x, dim, False)
        kept = []
        options = None, -100, 0.0, "mean", False
        many = cp.ones((3000, 4), "float32")
        y = cross_entropy.cross_entropy(many, cp.zeros(3000, "int64"), None, kept, options)
        cross_entropy.cross_entropy_backward((True,), y, x, labels, kept, options)
        cross_entropy.soft_cross_entropy(x, x, 1, None)
    finally:
        hostcuda.on_compile.remove(note)
    modules = cross_entropy, means, norms, softmax, sums
    assert launched == {kernel.name for module in modules for kernel, _ in module.kernels()}


def test_a_mistake_fails_with_the_compilers_message(cp, kernels, nvrtc):
    from gradcore_kernels.cuda_types import PREAMBLE

    wrong = cp.ElementwiseKernel("T x", "T y", "y = x * slope", "gc_wrong", preamble=PREAMBLE)
    with pytest.raises(cp.cuda.compiler.CompileException, match='identifier "slope" is undefined'):
        nvrtc.check(nvrtc.source_of(wrong, {"T": "float32"}))


def test_a_mistake_fails_where_it_is_launched(cp):
    wrong = cp.ElementwiseKernel("T x", "T y", "y = x * slope", "gc_wrong")
    with pytest.raises(Exception, match="slope"):
        wrong(cp.ones(3))
