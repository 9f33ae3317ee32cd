"""What hostcuda must find, on kernels that are wrong."""

import pytest

pytestmark = pytest.mark.cuda


@pytest.fixture
def xp(cp, device):
    if device != "hostcuda":
        pytest.skip("these kernels are wrong, and a GPU is not asked to run them")
    return cp


def test_a_write_out_of_bounds_raises_at_its_launch(xp):
    source = 'extern "C" __global__ void f(float *a, int n) { if (threadIdx.x <= n) a[n] = 1; }'
    wrong = xp.RawKernel(source, "f")
    a = xp.ones(5, "float32")
    with pytest.raises(xp.cuda.driver.CUDADriverError, match="write outside"):
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
