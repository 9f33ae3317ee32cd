"""`gradcore.cuda`: devices, streams, memory, errors, copies between host and devices."""

import gc
import pickle
import re
import sys

import numpy as np
import pytest

import gradcore as gd
from gradcore import memory
from gradcore.device import cupy_backend
from gradcore.op import OPS

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

cuda = gd.cuda


@pytest.fixture
def two(cp):
    """Skip where there is one device."""
    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two CUDA devices")
    yield
    cp.cuda.runtime.setDevice(0)


@pytest.fixture
def pool(cp):
    """Return a memory pool that CuPy allocates from, without what other tests have left."""
    gc.collect()
    fresh, before = cp.cuda.MemoryPool(), cp.cuda.get_allocator()
    cp.cuda.set_allocator(fresh.malloc)
    yield fresh
    cp.cuda.set_allocator(before)
    memory._PEAKS.clear()


# devices -----------------------------------------------------------------------------------------


def test_the_current_device_is_cupys(cp, two):
    assert cuda.is_available()
    assert cuda.device_count() == cp.cuda.runtime.getDeviceCount()
    assert cuda.current_device() == 0
    cuda.set_device("cuda:1")
    assert cp.cuda.runtime.getDevice() == cuda.current_device() == 1
    assert gd.ones(1, device="cuda").device == gd.device("cuda:1")
    with cp.cuda.Device(0):
        assert gd.ones(1, device="cuda").device == gd.device("cuda:0")


def test_a_device_is_current_within_its_context(two):
    context = cuda.device(1)
    with context:
        assert cuda.current_device() == 1
        with cuda.device("cuda:0"), context, cuda.device(None), cuda.device(-1):
            assert cuda.current_device() == 1
        assert cuda.current_device() == 1
    assert cuda.current_device() == 0
    with pytest.raises(KeyError), cuda.device(gd.device("cuda", 1)):
        raise KeyError
    assert cuda.current_device() == 0


def test_what_a_device_is(cp):
    found = cuda.get_device_properties(0)
    expected = cp.cuda.runtime.getDeviceProperties(0)
    assert found.name == cuda.get_device_name("cuda:0") == expected["name"].decode()
    assert (found.major, found.minor) == cuda.get_device_capability()
    assert found.total_memory == expected["totalGlobalMem"]
    assert found.multi_processor_count == expected["multiProcessorCount"]


@pytest.mark.parametrize(
    "call",
    [cuda.set_device, cuda.get_device_name, cuda.synchronize, cuda.mem_get_info, cuda.Stream],
)
def test_devices_that_are_not_there_or_no_cuda_devices_are_refused(call):
    with pytest.raises(RuntimeError, match="cuda:99 was asked for"):
        call(99)
    with pytest.raises(ValueError, match="Expected a cuda device, but got: cpu"):
        call("cpu")


# streams -----------------------------------------------------------------------------------------


def test_streams_are_cupys(cp):
    assert cuda.current_stream() == cuda.default_stream()
    assert cuda.default_stream().cuda_stream == 0
    stream = cuda.Stream()
    assert stream.cupy.is_non_blocking or sys.modules.get("hostcuda")
    with cuda.stream(stream):
        assert cp.cuda.get_current_stream() == stream.cupy
        assert cuda.current_stream() == stream
        with cp.cuda.Stream.null:
            assert cuda.current_stream() == cuda.default_stream()
        with stream, cuda.stream(None):
            assert cuda.current_stream() == stream
    assert cuda.current_stream() == cuda.default_stream()
    with pytest.raises(KeyError), stream:
        raise KeyError
    assert cuda.current_stream() == cuda.default_stream()


def test_streams_of_cupy_and_of_others_are_taken(cp):
    theirs = cp.cuda.Stream(non_blocking=True)
    with cuda.stream(theirs):
        assert cuda.current_stream().cuda_stream == theirs.ptr
    mine = cuda.Stream()
    for given in (mine, mine.cuda_stream):
        external = cuda.ExternalStream(given)
        assert external == mine
        assert hash(external) == hash(mine)
        with cuda.stream(external):
            assert cp.cuda.get_current_stream().ptr == mine.cuda_stream
    with pytest.raises(TypeError, match="__cuda_stream__, but got str"):
        cuda.stream("side")
    assert mine != cuda.Stream()
    assert mine.__cuda_stream__() == (0, mine.cuda_stream)


def test_set_stream(cp, two):
    stream = cuda.Stream(device=1)
    try:
        cuda.set_stream(stream)
        assert cuda.current_device() == 1
        assert cuda.current_stream() == cuda.current_stream("cuda:1") == stream
        assert cuda.current_stream(0) == cuda.default_stream(0)
        cuda.set_stream(None)
        assert cuda.current_stream() == stream
    finally:
        cuda.set_stream(cuda.default_stream(1))


def test_a_stream_of_another_device_makes_that_current(two):
    stream = cuda.Stream("cuda:1")
    assert stream.device == gd.device("cuda:1")
    with stream:
        assert cuda.current_device() == 1
        assert cuda.current_stream() == stream
        assert gd.ones(1, device="cuda").device == stream.device
    assert cuda.current_device() == 0
    assert cuda.current_stream(1) == cuda.default_stream(1)


def test_streams_wait_for_events_and_for_each_other(cp, monkeypatch):
    done = []
    base = cp.cuda.stream._BaseStream
    wait, record = base.wait_event, cp.cuda.Event.record
    monkeypatch.setattr(
        base, "wait_event", lambda s, e: (done.append(("wait", s.ptr, e.ptr)), wait(s, e))[1]
    )
    monkeypatch.setattr(
        cp.cuda.Event,
        "record",
        lambda e, s=None: (done.append(("record", s.ptr, e.ptr)), record(e, s))[1],
    )
    a, b = cuda.Stream(), cuda.Stream()
    a.wait_stream(b)
    (_, recorded_on, event), (_, waiting, waited_for) = done
    assert (recorded_on, waiting, waited_for) == (b.cuda_stream, a.cuda_stream, event)
    done.clear()
    event = cuda.Event()
    a.wait_event(event)  # never recorded: it is over
    assert not done
    with cuda.stream(a):
        event.record()
    event.wait(b)
    event.wait()
    expected = [("record", a), ("wait", b), ("wait", cuda.default_stream())]
    assert done == [(what, s.cuda_stream, event.cuda_event) for what, s in expected]
    b.wait_stream(a.cupy)
    assert done[-1][:2] == ("wait", b.cuda_stream)


def test_events(two):
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    assert start.query()
    assert start.cuda_event == 0
    start.synchronize()
    with pytest.raises(RuntimeError, match="must be recorded before"):
        start.elapsed_time(end)
    stream = cuda.Stream()
    assert stream.record_event(start) is start
    end.record(stream)
    stream.synchronize()
    end.synchronize()
    assert start.query()
    assert stream.query()
    assert start.elapsed_time(end) >= 0
    with pytest.raises(ValueError, match="enable_timing=True"):
        start.elapsed_time(cuda.Event())
    with pytest.raises(RuntimeError, match="Event device cuda:0 does not match"):
        start.record(cuda.Stream(1))


def test_synchronize_waits_once(count):
    assert count(cuda.synchronize).copies_and_syncs == {"sync": 1}
    assert count(cuda.Stream().synchronize).copies_and_syncs == {"sync": 1}


def test_priorities():
    assert isinstance(cuda.Stream(priority=-1).priority, int)


# memory ------------------------------------------------------------------------------------------


def test_allocated_and_reserved_memory(pool):
    assert cuda.memory_allocated() == cuda.memory_reserved() == 0
    x = gd.zeros(1000, device="cuda")
    assert cuda.memory_allocated() == 4096
    del x
    assert cuda.memory_allocated() == 0
    assert cuda.memory_reserved() == 4096
    cuda.empty_cache()
    assert cuda.memory_reserved() == 0


def test_memory_is_counted_by_device(pool, two):
    x = gd.zeros(1000, device="cuda:1")
    assert cuda.memory_allocated() == cuda.memory_allocated(0) == 0
    assert cuda.memory_allocated("cuda:1") == x.nbytes + 96
    del x
    cuda.empty_cache()
    assert cuda.memory_reserved(1) == 0


def test_peaks(pool):
    cuda.reset_peak_memory_stats()
    x = gd.zeros(1000, device="cuda")
    y = gd.zeros(2000, device="cuda")
    top = cuda.memory_allocated()
    del x, y
    assert cuda.memory_allocated() == 0
    assert cuda.max_memory_allocated() == cuda.max_memory_reserved() == top > 0
    cuda.reset_peak_memory_stats()
    assert cuda.max_memory_allocated() == 0
    assert cuda.max_memory_reserved() == top  # it is still held by the pool
    x = gd.zeros(500, device="cuda")
    assert cuda.max_memory_allocated() == cuda.memory_allocated()
    stats = cuda.memory_stats()
    assert stats["allocated_bytes.all.peak"] == stats["allocated_bytes.all.current"]
    assert stats["reserved_bytes.all.current"] == top
    del x
    cuda.empty_cache()
    cuda.reset_peak_memory_stats()
    gd.zeros(1000, device="cuda")
    cuda.empty_cache()
    assert (cuda.memory_reserved(), cuda.max_memory_reserved()) == (0, 4096)


def test_peaks_include_what_is_held_when_watching_starts(pool):
    x = gd.zeros(1000, device="cuda")
    assert cuda.max_memory_allocated() == cuda.memory_allocated() == 4096
    del x
    assert cuda.max_memory_allocated() == 4096


def test_a_new_allocator_is_watched_as_well(cp, pool):
    cuda.reset_peak_memory_stats()
    other = cp.cuda.MemoryPool()
    cp.cuda.set_allocator(other.malloc)
    assert cuda.max_memory_allocated() == 0
    x = gd.zeros(1000, device="cuda")
    del x
    assert cuda.max_memory_allocated() == 4096
    assert other.total_bytes() == 4096


def test_the_allocator_is_left_alone_until_peaks_are_asked_for(cp, pool):
    gd.zeros(1000, device="cuda")
    cuda.memory_allocated()
    assert cp.cuda.get_allocator() == pool.malloc


def test_the_summary_is_readable(pool):
    x = gd.zeros(300_000, device="cuda")
    text = cuda.memory_summary("cuda:0")
    assert re.search(r"^memory of cuda:0 +now +peak$", text, re.MULTILINE)
    assert re.search(r"^allocated +1\.14 MiB +1\.14 MiB$", text, re.MULTILINE)
    free, total = cuda.mem_get_info()
    assert 0 < free <= total
    del x


def test_a_share_of_the_memory(pool):
    total = cuda.mem_get_info()[1]
    assert cuda.get_per_process_memory_fraction() == 1.0
    cuda.set_per_process_memory_fraction(0.5)
    assert pool.get_limit() == total // 2
    assert cuda.get_per_process_memory_fraction() == pytest.approx(0.5)
    cuda.set_per_process_memory_fraction(0.0)
    with pytest.raises(cuda.OutOfMemoryError):
        gd.zeros(1, device="cuda")
    cuda.set_per_process_memory_fraction(1.0)
    assert pool.get_limit() == 0
    with pytest.raises(ValueError, match="Allowed range: 0~1"):
        cuda.set_per_process_memory_fraction(1.5)
    with pytest.raises(TypeError, match="must be `float`"):
        cuda.set_per_process_memory_fraction(1)


# out of memory -----------------------------------------------------------------------------------

BIG = 100_000


@pytest.fixture
def little(cp, pool):
    """Return a function that leaves so many bytes of memory."""

    def leave(size):
        pool.set_limit(size=pool.total_bytes() + size)

    yield leave
    pool.set_limit(size=0)


CREATIONS = {
    "tensor": lambda: gd.tensor(np.ones(BIG), device="cuda"),
    "zeros": lambda: gd.zeros(BIG, device="cuda"),
    "ones": lambda: gd.ones(BIG, device="cuda"),
    "full": lambda: gd.full((BIG,), 2.0, device="cuda"),
    "eye": lambda: gd.eye(300, device="cuda"),
    "arange": lambda: gd.arange(BIG, device="cuda"),
    "rand": lambda: gd.rand(BIG, device="cuda"),
    "to": lambda: gd.ones(BIG).to("cuda"),
    "cuda": lambda: gd.ones(BIG).cuda(),
    "to with a cast": lambda: gd.ones(BIG).to("cuda", gd.float64),
    "to, pinned": lambda: gd.ones(BIG).pin_memory().to("cuda", non_blocking=True),
    "from_dlpack": lambda: gd.as_tensor(np.ones(BIG), device="cuda"),
}


@pytest.mark.parametrize("call", CREATIONS.values(), ids=CREATIONS)
def test_a_creation_without_memory(call, cp, little):
    little(4096)
    with pytest.raises(cuda.OutOfMemoryError, match="CUDA out of memory") as e:
        call()
    assert isinstance(e.value, cp.cuda.memory.OutOfMemoryError)
    assert re.search(r"Out of memory allocating [3-8]\d\d,\d+ bytes", str(e.value))
    little(64 * BIG)
    assert call().is_cuda


OPERATIONS = {
    "unary": lambda x: gd.exp(x),
    "binary": lambda x: x + x,
    "with a number": lambda x: x * 2.0,
    "general": lambda x: x + gd.ones(1, dtype=gd.float64, device="cuda"),
    "comparison": lambda x: x > 0.0,
    "primitive of one": lambda x: gd.cumsum(x, 0),
    "primitive of two": lambda x: gd.outer(x[:1000], x[:1000]),
    "primitive of three": lambda x: gd.where(x > 0.0, x, -x),
    "index": lambda x: x[[0, 1] * (BIG // 2)],
    "cat": lambda x: gd.cat([x, x]),
    "to": lambda x: x.to(gd.float64),
    "clone": lambda x: x.clone(),
    "softmax": lambda x: gd.softmax(x, 0),
    "norm over an axis": lambda x: gd.norm(x.reshape(-1, 2), dim=1),
}


@pytest.mark.parametrize("call", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_without_memory(call, little):
    x = gd.ones(BIG, device="cuda", requires_grad=True)
    call(x)
    gc.collect()
    little(0)
    cuda.empty_cache()
    little(4096)
    with pytest.raises(cuda.OutOfMemoryError, match="CUDA out of memory"):
        call(x)
    assert gd.is_grad_enabled()
    assert x.grad is None
    little(64 * BIG)
    call(x)


def test_a_backward_without_memory_changes_no_gradient(little):
    x = gd.ones(BIG, device="cuda", requires_grad=True)
    w = gd.ones(BIG, device="cuda", requires_grad=True)
    program = lambda: gd.norm(gd.exp(x) * gd.tanh(w) + x, dim=0)
    program().backward()
    before = x.grad.cpu().numpy().copy()
    y = program()
    gc.collect()
    cuda.empty_cache()
    little(4096)
    with gd.set_grad_enabled(False), pytest.raises(cuda.OutOfMemoryError, match="out of memory"):
        y.backward()
    assert gd.is_grad_enabled()
    np.testing.assert_array_equal(x.grad.cpu().numpy(), before)
    small = gd.ones(2, device="cuda", requires_grad=True)
    (small * small).sum().backward()
    assert small.grad.tolist() == [2, 2]
    del y
    little(64 * BIG)
    program().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), 2 * before)


def test_grad_without_memory(little):
    x = gd.ones(BIG, device="cuda", requires_grad=True)
    y = gd.norm(gd.exp(x))
    gc.collect()
    cuda.empty_cache()
    little(4096)
    with pytest.raises(cuda.OutOfMemoryError):
        gd.autograd.grad(y, x, create_graph=True)
    assert x.grad is None
    y = None
    little(64 * BIG)
    (g,) = gd.autograd.grad(gd.norm(gd.exp(x)), x, create_graph=True)
    assert g.requires_grad


def test_a_step_without_memory_can_be_made_again(little):
    p = gd.ones(BIG, device="cuda", requires_grad=True)
    p.grad = gd.ones(BIG, device="cuda")
    optimizer = gd.optim.Adam([p], lr=0.5)
    little(5 * BIG)  # for one of two arrays of state
    with pytest.raises(cuda.OutOfMemoryError):
        optimizer.step()
    assert not optimizer.state[p]
    little(64 * BIG)
    optimizer.step()
    assert p[:2].tolist() == pytest.approx([0.5, 0.5])
    assert optimizer.state[p]["step"].item() == 1


def test_the_error_without_a_pool_is_the_same(cp, monkeypatch):
    def refuse(size):
        raise cp.cuda.runtime.CUDARuntimeError(2)

    before = cp.cuda.get_allocator()
    cp.cuda.set_allocator(refuse)
    try:
        with pytest.raises(cuda.OutOfMemoryError, match="cudaErrorMemoryAllocation") as e:
            gd.zeros(3, device="cuda")
        assert isinstance(e.value.__cause__, cp.cuda.runtime.CUDARuntimeError)
    finally:
        cp.cuda.set_allocator(before)


def test_other_errors_of_cuda_are_left_alone(cp):
    def refuse(size):
        raise cp.cuda.runtime.CUDARuntimeError(700)

    before = cp.cuda.get_allocator()
    cp.cuda.set_allocator(refuse)
    try:
        with pytest.raises(cp.cuda.runtime.CUDARuntimeError):
            gd.zeros(3, device="cuda")
    finally:
        cp.cuda.set_allocator(before)


def test_cupys_own_code_raises_an_error_that_is_both(cp, little):
    little(4096)
    with pytest.raises(MemoryError) as e:
        cp.zeros(BIG)
    twin = pickle.loads(pickle.dumps(e.value))
    assert type(e.value).__name__ == type(twin).__name__ == "OutOfMemoryError"
    assert isinstance(e.value, cuda.OutOfMemoryError)
    assert str(twin) == str(e.value)


# copies ------------------------------------------------------------------------------------------


def test_to_cuda_does_not_wait(count):
    x = gd.ones(100)
    for call in (lambda: x.to("cuda"), x.cuda, lambda: x.to("cuda", non_blocking=True)):
        assert count(call).copies_and_syncs == {"h2d": 1}


def test_to_the_same_device_copies_nothing(count):
    x = gd.ones(100, device="cuda")
    assert x.to("cuda:0") is x.cuda() is x.to("cuda", non_blocking=True) is x
    assert count(lambda: x.to("cuda")).copies_and_syncs == {}
    assert count(x.cpu).copies_and_syncs == {"d2h": 1, "sync": 1}


@pytest.mark.parametrize(
    ("source", "target", "nbytes"), [(gd.float64, gd.float16, 2), (gd.float16, gd.float64, 2)]
)
def test_casts_are_made_where_less_is_copied(cp, monkeypatch, source, target, nbytes):
    x = gd.ones(100, dtype=source, device="cuda")
    got = []
    fetch = cupy_backend().fetch
    monkeypatch.setattr(
        cupy_backend(), "fetch", lambda a, *more: (got.append(a.itemsize), fetch(a, *more))[1]
    )
    y = x.to("cpu", target)
    assert got == [nbytes]
    assert y.dtype is target
    assert y.device.type == "cpu"
    assert y.tolist() == [1.0] * 100


def test_pinned_memory(count):
    x = gd.arange(6.0).reshape(2, 3)
    assert not x.is_pinned()
    y = x.pin_memory()
    assert y.is_pinned()
    assert y[1].is_pinned()
    assert y.pin_memory() is y
    assert y.tolist() == x.tolist()
    assert y.data_ptr() != x.data_ptr()
    assert not gd.ones(3, device="cuda").is_pinned()
    assert gd.ones(0).pin_memory().shape == (0,)
    assert gd.tensor(3.0).pin_memory().item() == 3.0
    assert x.T.pin_memory().tolist() == x.T.tolist()


def test_gradients_flow_through_pinned_memory():
    x = gd.ones(2, requires_grad=True)
    (x.pin_memory().to("cuda", non_blocking=True) * 3.0).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert x.grad.device.type == "cpu"


def test_a_tensor_on_a_device_cannot_be_pinned():
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        gd.ones(2, device="cuda").pin_memory()


def test_copies_from_pinned_memory_need_no_other_memory(count, device):
    import hostcuda

    x = gd.arange(5.0).pin_memory()
    before = hostcuda.counters["pinned"]
    counted = count(lambda: x.to("cuda", non_blocking=True))
    assert counted.copies_and_syncs == {"h2d": 1}
    assert hostcuda.counters["pinned"] == before
    assert x.to("cuda", gd.float64, non_blocking=True).tolist() == [0, 1, 2, 3, 4]
    assert x.to("cuda", non_blocking=True).tolist() == [0, 1, 2, 3, 4]
    assert x.cuda(non_blocking=True).tolist() == [0, 1, 2, 3, 4]
    # Not contiguous: it goes the other way.
    assert x[::2].to("cuda", non_blocking=True).tolist() == [0, 2, 4]


def test_copies_to_the_host_need_not_be_waited_for(count):
    x = gd.arange(5.0, device="cuda")
    results = []
    counted = count(lambda: results.append(x.to("cpu", non_blocking=True)))
    assert counted.copies_and_syncs == {"d2h": 1}
    cuda.synchronize()
    assert results[0].is_pinned()
    assert results[0].tolist() == [0, 1, 2, 3, 4]
    halves = x.to("cpu", gd.float16, non_blocking=True)
    doubles = x[::2].to("cpu", gd.float64, non_blocking=True)
    cuda.synchronize()
    assert halves.dtype is gd.float16
    assert doubles.tolist() == [0, 2, 4]


@pytest.fixture
def unfinished(cp, monkeypatch):
    """Let no event be over until the list that is returned has something in it."""
    over = []
    monkeypatch.setattr(cp.cuda.Event, "done", property(lambda event: bool(over)))
    yield over
    over.append(True)
    cupy_backend().release()


def test_memory_is_held_until_the_copy_is_made(cp, unfinished):
    held = cupy_backend()._held
    assert not held
    gd.ones(5).to("cuda", non_blocking=True)  # copied to pinned memory of CuPy's
    assert not cupy_backend()._held
    x = gd.ones(5).pin_memory()
    source = x._array
    y = x.to("cuda", non_blocking=True)
    assert [kept is source for _, kept in cupy_backend()._held] == [True]
    z = y.to("cpu", non_blocking=True)
    assert cupy_backend()._held[1][1][0] is y._array
    assert cupy_backend()._held[1][1][1] is z._array
    unfinished.append(True)
    cuda.synchronize()
    assert not cupy_backend()._held


def test_a_recorded_stream_keeps_memory_after_its_tensor(unfinished):
    side = cuda.Stream()
    x = gd.ones(5, device="cuda")
    x.record_stream(side)
    view = x.detach()[1:]
    assert not cupy_backend()._held
    array = x._array
    del x
    gc.collect()
    assert [kept is array for _, kept in cupy_backend()._held] == [True]
    assert view.tolist() == [1, 1, 1, 1]
    unfinished.append(True)
    side.synchronize()
    assert not cupy_backend()._held


# several devices ---------------------------------------------------------------------------------


def test_copies_between_devices_do_not_pass_the_host(count, two):
    x = gd.arange(6.0, device="cuda:0").reshape(2, 3)
    counted = count(lambda: x.to("cuda:1"))
    assert counted.copies_and_syncs == {"d2d": 1}
    for given in (x, x.T, x[:, ::2], x[:0], x[0, 0]):
        y = given.to("cuda:1")
        assert y.device == gd.device("cuda:1")
        assert y._array.device.id == 1
        assert y.tolist() == given.tolist()
    assert x.to("cuda:1", gd.float16).dtype is gd.float16
    assert cuda.current_device() == 0


def test_a_copy_between_devices_is_ordered_with_the_streams_of_both(cp, monkeypatch, two):
    done = []
    wait = cp.cuda.stream._BaseStream.wait_event
    record = cp.cuda.stream._BaseStream.record
    log = lambda what, s: done.append((what, s.ptr, cp.cuda.runtime.getDevice()))
    monkeypatch.setattr(
        cp.cuda.stream._BaseStream, "wait_event", lambda s, e: (log("wait", s), wait(s, e))[1]
    )
    monkeypatch.setattr(
        cp.cuda.stream._BaseStream,
        "record",
        lambda s, e=None: (log("record", s), record(s, e))[1],
    )
    x = gd.ones(3, device="cuda:0")
    a, b = cuda.Stream(0), cuda.Stream(1)
    with a, b, cuda.device(0):
        x.to("cuda:1")
    a, b = a.cuda_stream, b.cuda_stream
    assert done == [("record", a, 0), ("wait", b, 1), ("record", b, 1), ("wait", a, 0)]


def test_gradients_go_back_to_their_device(two):
    x = gd.ones(3, device="cuda:0", requires_grad=True)
    y = (x * 2.0).to("cuda:1") * 3.0
    assert y.device == gd.device("cuda:1")
    y.sum().backward()
    assert x.grad._array.device.id == 0
    assert x.grad.tolist() == [6, 6, 6]
    assert cuda.current_device() == 0


MADE = {
    "zeros": lambda d: gd.zeros(3, device=d),
    "ones": lambda d: gd.ones(3, device=d),
    "full": lambda d: gd.full((3,), 2, device=d),
    "empty": lambda d: gd.empty(3, device=d),
    "eye": lambda d: gd.eye(3, device=d),
    "arange": lambda d: gd.arange(3, device=d),
    "linspace": lambda d: gd.linspace(0, 1, 3, device=d),
    "tensor": lambda d: gd.tensor([1.0], device=d),
    "rand": lambda d: gd.rand(3, device=d),
    "randn": lambda d: gd.randn(3, dtype=gd.complex64, device=d),
    "randint": lambda d: gd.randint(3, (2,), device=d),
    "randperm": lambda d: gd.randperm(3, device=d),
    "ones_like": lambda d: gd.ones_like(gd.zeros(2, device=d)),
    "clone": lambda d: gd.zeros(2, device=d).clone(),
    "to": lambda d: gd.zeros(2).to(d, gd.float16),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_tensors_are_made_on_a_device_that_is_not_current(make, two):
    x = make("cuda:1")
    assert x.device == gd.device("cuda:1")
    assert x._array.device.id == 1
    assert x.cpu().shape == x.shape
    np.testing.assert_array_equal(x.numpy(force=True), x.cpu().numpy())
    assert repr(x).endswith(("device='cuda:1')", ")"))
    assert cuda.current_device() == 0


def test_tensors_on_a_device_that_is_not_current_are_copied(two):
    import copy

    x = gd.arange(3.0, device="cuda:1").requires_grad_()
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.device == x.device
        assert twin._array.device.id == 1
        assert twin.tolist() == [0, 1, 2]
        assert twin.requires_grad


# errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "driver", "match"),
    [
        (35, 0, "No NVIDIA driver is loaded"),
        (35, 11020, "the NVIDIA driver is too old: it is for CUDA 11.2"),
        (100, 13000, "shows this process no GPU"),
    ],
)
def test_what_is_wrong_with_the_driver_is_said(cp, monkeypatch, status, driver, match):
    runtime = cp.cuda.runtime

    def fail():
        raise runtime.CUDARuntimeError(status)

    monkeypatch.setattr(runtime, "getDeviceCount", fail)
    monkeypatch.setattr(runtime, "driverGetVersion", lambda: driver)
    with pytest.raises(RuntimeError, match=match) as caught:
        gd.ones(2).to("cuda")
    assert isinstance(caught.value.__cause__, runtime.CUDARuntimeError)
    assert not cuda.is_available()


def test_hidden_devices_are_not_there(cp, device):
    if device != "hostcuda":
        pytest.skip("hides hostcuda's devices")
    import hostcuda

    hostcuda.hide()
    with pytest.raises(RuntimeError, match="CuPy is installed, but no device was found"):
        gd.ones(2, device="cuda")


# compilation -------------------------------------------------------------------------------------


class Square:
    """A kernel that tells its source."""

    name = "gc_square_of_the_tests"

    def source(self, types):
        letter = {"float32": "float", "float64": "double"}[types["T"]]
        return (
            f'extern "C" __global__ void {self.name}(const {letter} *x, {letter} *y) '
            "{ y[threadIdx.x] = x[threadIdx.x] * x[threadIdx.x]; }"
        )


@pytest.fixture
def few(cp, kernels, monkeypatch, device):
    """Let there be one kernel of each kind, of which none was compiled in this process."""
    if device != "hostcuda":
        pytest.skip("compilations are counted on hostcuda")
    from gradcore_kernels.raw import RawKernel

    source = 'extern "C" __global__ void gc_raw_of_the_tests(T *x) { x[threadIdx.x] += T(1); }'
    raw = RawKernel("gc_raw_of_the_tests", source, [{"T": "float32"}, {"T": "float16"}])
    elementwise = cp.ElementwiseKernel(
        "T x, raw A table, float64 s", "T y, int64 n", "y = x * T(s) + T(table[0]); n = i", "gc_e"
    )
    listed = [(raw, {"T": "float32"}), (raw, {"T": "float16"}), (Square(), {"T": "float64"})]
    listed.append((elementwise, {"T": "float32", "A": "float64"}))
    monkeypatch.setattr(kernels, "every_kernel", lambda: listed)
    monkeypatch.setattr(cuda, "OPS", {})
    return raw, elementwise


def test_precompile_builds_every_kernel(cp, few, capsys):
    import hostcuda

    seen = []
    note = lambda source, *_: seen.append(source)
    hostcuda.on_compile.append(note)
    try:
        assert cuda.precompile(progress=False) == 4
        names = re.findall(r"__global__ void (gc_\w+)", "".join(seen))
        raw_name = "gc_raw_of_the_tests"
        assert sorted(names) == ["gc_e", raw_name, raw_name, "gc_square_of_the_tests"]
        raw, elementwise = few
        x, table = cp.zeros(3, "float32"), cp.ones(1)
        ahead = set(seen)
        seen.clear()
        raw("float32")((1,), (3,), (x,))
        assert not seen
        y, _ = elementwise(x, table, 2.0)
        assert set(seen) <= ahead  # CuPy finds it in its cache
    finally:
        hostcuda.on_compile.remove(note)
    assert y.tolist() == [3, 3, 3]
    assert capsys.readouterr().err == ""


def test_precompile_runs_elementwise_operations(few, monkeypatch):
    import hostcuda

    chosen = {path: OPS[path] for path in ("tanh", "mul", "floor_divide", "bitwise_and", "sum")}
    monkeypatch.setattr(cuda, "OPS", chosen)
    before = hostcuda.launches()
    assert cuda.precompile(progress=False) == 4 + 4 * 3  # sum is not elementwise
    names = hostcuda.launched(before)
    assert {"gc_tanh", "gc_tanh_backward", "gc_mul", "gc_mul_backward"} <= set(names)


def test_precompile_shows_how_far_it_is(few, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    assert cuda.precompile("cuda:0") == 4
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"compiling CUDA kernels: {n} of 4" for n in (1, 2, 3, 4)]


def test_precompile_shows_a_bar_where_rich_is_installed(few, capsys):
    pytest.importorskip("rich")
    assert cuda.precompile() == 4
    assert "compiling CUDA kernels" in capsys.readouterr().err


def test_precompile_fails_as_the_compiler_does(few, kernels, monkeypatch):
    from gradcore_kernels.raw import RawKernel

    wrong = RawKernel(
        "gc_wrong", 'extern "C" __global__ void gc_wrong(T *x) { y; }', [{"T": "bool"}]
    )
    monkeypatch.setattr(kernels, "every_kernel", lambda: [(wrong, {"T": "bool"})])
    with pytest.raises(Exception, match="y"):
        cuda.precompile(progress=False)
