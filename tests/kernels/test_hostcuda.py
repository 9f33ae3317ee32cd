"""What hostcuda must find in kernels that are wrong, and what it stands in for."""

import shutil
import threading

import numpy as np
import pytest

pytestmark = pytest.mark.cuda


@pytest.fixture
def xp(cp, device):
    if device != "hostcuda":
        pytest.skip("hostcuda is tested")
    return cp


# kernels that are wrong --------------------------------------------------------------------------


def test_a_write_out_of_bounds_raises_at_its_launch(xp):
    source = 'extern "C" __global__ void f(float *a, int n) { if (threadIdx.x <= n) a[n] = 1; }'
    wrong = xp.RawKernel(source, "f")
    a = xp.ones(5, "float32")
    with pytest.raises(xp.cuda.driver.CUDADriverError, match="f: write outside"):
        wrong((1,), (32,), (a, 5))


def test_uninitialised_memory_is_nan(xp):
    assert bool(xp.isnan(xp.empty(7, "float32")).all())


FLIP = """
extern "C" __global__ void f(const float *x, float *y) {
  __shared__ float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  %s
  y[threadIdx.x] = s[63 - threadIdx.x];
}
"""


@pytest.mark.parametrize("barrier", [True, False])
def test_a_missing_barrier_spoils_the_result(xp, barrier):
    flip = xp.RawKernel(FLIP % ("__syncthreads();" if barrier else ""), "f")
    x, y = xp.arange(64, dtype="float32"), xp.empty(64, "float32")
    flip((1,), (64,), (x, y))
    assert bool((y == x[::-1]).all()) == barrier


SHARED = """
extern "C" __global__ void f(float *y) {
  extern __shared__ float s[];
  s[threadIdx.x] = threadIdx.x;
  y[threadIdx.x] = s[threadIdx.x];
}
"""


def test_what_no_gpu_launches_raises(xp):
    kernel = xp.RawKernel(SHARED, "f")
    y = xp.empty(4, "float32")
    kernel((1,), (4,), (y,), shared_mem=48 << 10)
    for grid, block, shared in [
        ((1,), (1025,), 16),
        ((1, 65536), (1,), 16),
        ((1,), (1, 1, 65), 16),
        ((1,), (4,), (48 << 10) + 4),
    ]:
        with pytest.raises(xp.cuda.driver.CUDADriverError, match="empty or too large"):
            kernel(grid, block, (y,), shared_mem=shared)
    kernel.max_dynamic_shared_size_bytes = 64 << 10
    kernel((1,), (4,), (y,), shared_mem=64 << 10)
    assert y.tolist() == [0, 1, 2, 3]


def test_hidden_devices_are_not_found(xp):
    import hostcuda

    assert xp.cuda.is_available()
    hostcuda.hide()
    try:
        assert not xp.cuda.is_available()
        with pytest.raises(xp.cuda.runtime.CUDARuntimeError, match="NoDevice"):
            xp.cuda.runtime.getDeviceCount()
    finally:
        hostcuda.show()
    assert xp.cuda.runtime.getDeviceCount() == 2


# CUDA C ------------------------------------------------------------------------------------------

VOTES = """
extern "C" __global__ void f(unsigned *y) {
  const int t = threadIdx.x;
  const unsigned odd = __ballot_sync(0xffffffff, t & 1);
  const int any = __any_sync(0xffffffff, t == 39), all = __all_sync(0xffffffff, t < 32);
  y[t] = odd + 2 * any + 4 * all;
}
"""


def test_votes_of_a_whole_and_of_half_a_warp(xp):
    y = xp.empty(40, "uint32")
    xp.RawKernel(VOTES, "f")((1,), (40,), (y,))
    assert y[:32].tolist() == [0xAAAAAAAA + 4] * 32
    assert y[32:].tolist() == [0xAA + 2] * 8


INTEGERS = """
extern "C" __global__ void f(const unsigned long long *x, unsigned long long *y) {
  const unsigned a = x[0], b = x[1];
  y[0] = __umulhi(a, b);
  y[1] = (unsigned)__mulhi((int)a, (int)b);
  y[2] = __umul64hi(x[2], x[3]);
  y[3] = __brev(a);
  y[4] = __clzll(x[3]);
  const ulonglong2 pair = ((const ulonglong2 *)x)[1];
  y[5] = pair.x ^ pair.y;
  y[6] = sizeof(float4) + 100 * alignof(float4) + 10000 * alignof(double4);
}
"""


def test_integer_intrinsics_and_vector_types(xp):
    a, b, c, d = 0x80000001, 3, 2**63 + 12345, 2**40 + 7
    y = xp.empty(7, "uint64")
    xp.RawKernel(INTEGERS, "f")((1,), (1,), (xp.asarray([a, b, c, d], "uint64"), y))
    signed = ((a - 2**32) * b) >> 32
    assert y.tolist() == [
        *(a * b >> 32, signed % 2**32, c * d >> 64, 0x80000001, 23, c ^ d),
        16 + 1600 + 160000,
    ]


def test_a_copy_of_the_folder_finds_what_was_compiled(xp, tmp_path, monkeypatch):
    from hostcuda import compile as hc

    kept, _ = hc.build(VOTES)
    headers = hc._shim.__wrapped__()
    monkeypatch.setattr(hc, "INCLUDE", shutil.copytree(hc.INCLUDE, tmp_path / "include"))
    monkeypatch.setattr(hc, "_shim", hc._shim.__wrapped__)
    assert hc.build(VOTES)[0] == kept
    with (hc.INCLUDE / "hostcuda.hpp").open("a") as header:
        header.write("// changed\n")
    assert hc._shim() != headers  # which is part of the key


# what CuPy carries compiled ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["?", "b", "B", "i", "Q", "e", "f", "d", "F", "D"])
def test_sorts(xp, dtype):
    rng = np.random.default_rng(0)
    for shape in [(7,), (3, 5), (2, 3, 4), (0,), (2, 0)]:
        a = rng.integers(0, 4, shape).astype(dtype)
        if a.dtype.kind in "fc" and a.size:
            a[a == 3] = np.nan
        x = xp.asarray(a)
        for axis in range(a.ndim):
            np.testing.assert_array_equal(xp.sort(x, axis).get(), np.sort(a, axis))
            order = np.argsort(a, axis, kind="stable")
            np.testing.assert_array_equal(xp.argsort(x, axis).get(), order)
        if a.ndim == 2:
            np.testing.assert_array_equal(xp.lexsort(x).get(), np.lexsort(a))


def test_nans_with_a_sign_come_first_in_one_dimension(xp):
    x = xp.asarray([1.0, -np.nan, np.nan, -1.0, 0.0, -0.0])
    assert xp.argsort(x).tolist() == [1, 3, 4, 5, 0, 2]
    assert xp.argsort(x[None])[0].tolist() == [3, 4, 5, 0, 1, 2]


def test_what_is_made_of_sorts(xp):
    a = np.array([3, 1, 2, 1, 3])
    x = xp.asarray(a)
    for found, expected in zip(
        xp.unique(x, True, True, True), np.unique(a, True, True, True), strict=True
    ):
        assert found.tolist() == expected.tolist()
    assert float(xp.median(x)) == 2
    assert xp.partition(x, 2).tolist() == [1, 1, 2, 3, 3]


@pytest.mark.parametrize("dtype", ["e", "f", "d", "F", "D"])
def test_products(xp, dtype):
    rng = np.random.default_rng(0)

    def random(*shape):
        parts = rng.integers(-3, 4, (2, *shape))
        return (parts[0] + 1j * parts[1] if dtype in "FD" else parts[0]).astype(dtype)

    a, b, c = random(3, 4), random(2, 4, 5), random(4)
    for expected, found in [
        (a @ b, xp.asarray(a) @ xp.asarray(b)),
        (a.T.conj() @ a, xp.asarray(a).T.conj() @ xp.asarray(a)),
        (a @ c, xp.asarray(a) @ xp.asarray(c)),
        (c @ c, xp.asarray(c) @ xp.asarray(c)),
        (np.vdot(c, c), xp.vdot(xp.asarray(c), xp.asarray(c))),
        (a[:, :0] @ b[0, :0], xp.asarray(a)[:, :0] @ xp.asarray(b)[0, :0]),
        (a, xp.asfortranarray(xp.asarray(a))),
    ]:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.get(), expected)


# decompositions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3)])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_decompositions_are_those_of_lapack(xp, count, same, shape, dtype):
    random = np.random.default_rng(3)
    a = random.normal(size=shape) + (1j * random.normal(size=shape) if dtype[0] == "c" else 0)
    a = a.astype(dtype)
    b = a @ a.conj().swapaxes(-1, -2) + np.eye(3, dtype=dtype)
    x, y = xp.asarray(a), xp.asarray(b)
    real = np.finfo(dtype).dtype
    assert (
        count(lambda: xp.linalg.svd(x)).names.count("cusolver::gesvd" + "jBatched" * (x.ndim > 2))
        == 1
    )
    same(xp.linalg.cholesky(y), np.linalg.cholesky(b), dtype)
    same(xp.linalg.svd(x[..., :2], compute_uv=False), np.linalg.svd(a[..., :2])[1], real)
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    same(xp.matmul(u * s[..., None, :], vh), a, dtype)
    w, v = xp.linalg.eigh(y)
    same(w, np.linalg.eigvalsh(b), real)
    same(xp.matmul(y, v), (v * w[..., None, :]).get(), dtype)
    w, v = xp.linalg.eig(x)
    same(xp.matmul(x.astype(v.dtype), v), (v * w[..., None, :]).get(), v.dtype)
    for found, expected in zip(xp.linalg.qr(x[..., :2]), np.linalg.qr(a[..., :2]), strict=True):
        same(found, expected, dtype)
    same(xp.linalg.solve(y, x), np.linalg.solve(b, a), dtype)
    same(xp.linalg.inv(y), np.linalg.inv(b), dtype)
    same(xp.linalg.det(y), np.linalg.det(b), dtype)


# counting ----------------------------------------------------------------------------------------


def test_launches_are_counted_and_named(xp, count):
    x = xp.arange(6.0)
    module = xp.RawModule(
        code="template <class T> __global__ void set(T *x, T v) { x[0] = v; }",
        name_expressions=["set<double>"],
    )

    def work():
        xp.exp(x)
        xp.sort(x)
        module.get_function("set<double>")((1,), (1,), (x, 2.0))

    assert count(work).names == [
        *("cupy_exp__float64_float64", "cupy_copy__float64_float64"),
        *("thrust::sort", "set<double>"),
    ]
    assert count(work).launches == 4


def test_copies_and_synchronisations_are_counted(xp, count):
    x = xp.arange(3.0)
    assert count(lambda: xp.asarray([1.0])).copies_and_syncs == {"h2d": 1}
    assert count(lambda: x.get()).copies_and_syncs == {"d2h": 1, "sync": 1}
    assert count(lambda: float(x[0])).copies_and_syncs == {"d2h": 1, "sync": 1}
    y = xp.empty(3)
    assert count(lambda: y.data.copy_from_device(x.data, 24)).copies_and_syncs == {"d2d": 1}
    assert count(lambda: x.sum()).copies_and_syncs == {}


def test_streams_and_events(xp, count):
    x = xp.arange(3.0)
    stream, start, end = xp.cuda.Stream(non_blocking=True), xp.cuda.Event(), xp.cuda.Event()

    def work():
        with stream:
            start.record()
            x.sum()
            end.record()

    assert count(work).copies_and_syncs == {}
    for wait in (end.synchronize, stream.synchronize, xp.cuda.Device().synchronize):
        assert count(wait).copies_and_syncs == {"sync": 1}
    assert xp.cuda.get_elapsed_time(start, end) > 0


def test_memory_of_both_kinds(xp):
    import hostcuda

    runtime = xp.cuda.runtime
    before, (free, total) = hostcuda.counters.copy(), runtime.memGetInfo()
    x = xp.empty(1 << 20, "uint8")
    assert hostcuda.counters["malloc"] - before["malloc"] == 1
    assert runtime.memGetInfo() == (free - (1 << 20), total)
    pinned = xp.cuda.PinnedMemory(4096)
    assert hostcuda.counters["pinned"] - before["pinned"] == 1
    assert runtime.memGetInfo() == (free - (1 << 20), total)
    assert runtime.pointerGetAttributes(x.data.ptr).type == runtime.memoryTypeDevice
    assert runtime.pointerGetAttributes(pinned.ptr).type == runtime.memoryTypeHost
    del x
    assert runtime.memGetInfo() == (free, total)


def test_arrays_of_a_pool(xp):
    before = xp.cuda.get_allocator()
    try:
        xp.cuda.set_allocator(xp.cuda.MemoryPool().malloc)
        assert int((xp.arange(30) + 1).sum()) == 465
    finally:
        xp.cuda.set_allocator(before)


def test_each_thread_has_its_current_device(xp):
    found = []

    def look():
        found.append(xp.cuda.Device().id)
        xp.cuda.Device(1).use()

    with xp.cuda.Device(1):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        found.append(xp.cuda.Device().id)
    assert [*found, xp.cuda.Device().id] == [0, 1, 0]


@pytest.mark.parametrize("axes", [(2,), (0,), (0, 1), (1, 2), (0, 1, 2), (2, 0)])
@pytest.mark.parametrize("order", "CF")
def test_fft(cp, axes, order):
    x = np.asarray(np.random.default_rng(0).standard_normal((2, 3, 4)), order=order)
    half = np.fft.rfftn(x, axes=axes)
    for name, a in [("fftn", x * 1j), ("ifftn", x * 1j), ("rfftn", x), ("irfftn", half)]:
        y = getattr(cp.fft, name)(cp.asarray(a, order=order), axes=axes)
        np.testing.assert_allclose(y.get(), getattr(np.fft, name)(a, axes=axes), atol=1e-12)
