"""save, load, copy, deepcopy and pickle of Tensors on CUDA devices."""

import copy
import io
import pickle

import numpy as np
import pytest

import gradcore as gd

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]


def tensors():
    """Tensors of all layouts; those of one line share memory."""
    a = gd.arange(24.0, device="cuda").reshape(2, 3, 4)
    return {
        "whole": a,
        "transposed": a.permute(2, 0, 1),
        "row": a[1, 1],
        "steps": a[:, ::2, 1::2],
        "column-major": gd.arange(6, device="cuda").reshape(2, 3).clone().t(),
        "permuted": gd.ones(2, 3, 4, device="cuda", dtype=gd.float16).permute(1, 0, 2),
        "expanded": gd.ones(1, device="cuda").expand(1000),
        "gaps": gd.arange(1000.0, device="cuda")[::100],
        "leaf": gd.tensor([1.0, 2.0], device="cuda", requires_grad=True),
        "0-d": gd.tensor(True, device="cuda"),
        "empty": gd.zeros(0, 3, device="cuda"),
        "on the CPU": gd.arange(3.0),
    }


def assert_same(a, b, device=None):
    assert (a.dtype, a.shape, a.requires_grad) == (b.dtype, b.shape, b.requires_grad)
    assert b.device is (device or a.device)
    assert a.tolist() == b.tolist()


def assert_memory_is_shared(found):
    found["whole"]._array[1, 1, 1] = 99
    assert found["row"].tolist() == [16, 99, 18, 19]
    assert found["transposed"][1, 1, 1].item() == 99
    assert found["steps"].tolist()[1][0] == [13, 15]


def saved(obj):
    file = io.BytesIO()
    gd.save(obj, file)
    file.seek(0)
    return file


def test_tensors_come_back_to_their_device():
    before = tensors()
    file = saved(before)
    assert file.getbuffer().nbytes < 9000  # neither expanded nor with gaps
    after = gd.load(file)
    for name, t in before.items():
        assert_same(t, after[name])
        if name != "gaps":
            assert after[name].stride() == t.stride(), name
    assert_memory_is_shared(after)


@pytest.mark.parametrize(
    "map_location",
    ["cpu", {"cuda:0": "cpu"}, lambda memory, location: memory, lambda m, location: m.clone()],
)
def test_tensors_may_be_loaded_to_the_cpu(map_location):
    before = tensors()
    after = gd.load(saved(before), map_location)
    for name, t in before.items():
        assert_same(t, after[name], gd.device("cpu"))
    assert_memory_is_shared(after)


@pytest.mark.parametrize(
    "map_location",
    ["cuda:1", {"cuda:0": "cuda:1"}, lambda m, where: m.cuda(1) if "cu" in where else m],
)
def test_tensors_may_be_loaded_to_another_device(map_location, cp):
    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    before = tensors()
    if map_location != "cuda:1":
        del before["on the CPU"]
    after = gd.load(saved(before), map_location)
    for name, t in before.items():
        assert_same(t, after[name], gd.device("cuda:1"))
    with cp.cuda.Device(1):
        assert_memory_is_shared(after)
    assert cp.cuda.runtime.getDevice() == 0


def test_a_safetensors_file_is_loaded_where_it_should(tmp_path):
    obj = {"a": gd.arange(6.0, device="cuda").reshape(2, 3).t(), "b": gd.tensor(1, device="cuda")}
    gd.save(obj, tmp_path / "t.safetensors")
    for where in ("cpu", "cuda"):
        loaded = gd.load(tmp_path / "t.safetensors", map_location=where)
        for name, t in obj.items():
            assert_same(t, loaded[name], gd.zeros(1, device=where).device)


def test_memory_of_several_dtypes_is_shared_again(cp):
    z = cp.arange(4, dtype=cp.complex64)
    real, whole = gd.load(saved([gd.as_tensor(z.real), gd.as_tensor(z)]))
    whole._array[1] = 7
    assert real.tolist() == [0, 7, 2, 3]


def test_a_missing_device_is_named(cp):
    count = cp.cuda.runtime.getDeviceCount()
    with pytest.raises(RuntimeError, match=rf"should go to cuda:{count}, .*map_location='cpu'"):
        gd.load(saved(gd.ones(1)), map_location=f"cuda:{count}")


@pytest.mark.parametrize("pooled", [False, True])
def test_a_deep_copy_keeps_layouts_and_shares_memory(pooled, cp):
    allocator = cp.cuda.get_allocator()
    cp.cuda.set_allocator(cp.cuda.MemoryPool().malloc if pooled else None)
    try:
        before = tensors()
    finally:
        cp.cuda.set_allocator(allocator)
    after = copy.deepcopy(before)
    for name, t in before.items():
        assert_same(t, after[name])
        assert after[name].stride() == t.stride(), name
        assert not t.numel() or t.data_ptr() != after[name].data_ptr()
    once_more = copy.deepcopy(after)
    assert_memory_is_shared(after)
    assert_memory_is_shared(once_more)
    assert before["row"].tolist() == [16, 17, 18, 19]


def test_a_deep_copy_copies_once_on_the_device(count):
    a = gd.arange(24.0, device="cuda")
    counted = count(lambda: copy.deepcopy([a, a[3:], a.reshape(4, 6).t()]))
    assert counted.launches == 0
    assert counted.copies_and_syncs == {"d2d": 1}


def test_a_deep_copy_is_made_on_the_device_of_the_tensor(cp):
    if cp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one device")
    x = gd.arange(4.0, device="cuda:1").requires_grad_()
    (x * x).sum().backward()
    twin = copy.deepcopy(x)
    assert twin.device is twin.grad.device is x.device
    assert twin.grad.tolist() == [0, 2, 4, 6]
    assert twin._array.device.id == 1


@pytest.mark.parametrize("protocol", [2, 5])
def test_tensors_can_be_pickled(protocol):
    before = tensors()
    after = pickle.loads(pickle.dumps(before, protocol))
    for name, t in before.items():
        assert_same(t, after[name])


def test_a_copy_shares_memory():
    x = gd.arange(3.0, device="cuda").requires_grad_()
    twin = copy.copy(x * 1)
    assert twin.is_leaf
    assert twin.requires_grad
    twin = copy.copy(x)
    assert twin.data_ptr() == x.data_ptr()
    assert twin.grad is None


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))]
)
def test_a_copied_generator_goes_on_from_the_same_state(again):
    generator = gd.Generator("cuda").manual_seed(5)
    generator.uniform((3,))
    twin = again(generator)
    assert twin.device is generator.device
    expected = generator.uniform((4,)).get()
    np.testing.assert_array_equal(twin.uniform((4,)).get(), expected)


def test_the_state_of_an_optimizer_comes_back():
    def trained(steps, state=None):
        p = gd.nn.Parameter(gd.tensor([1.0, 2.0], device="cuda"))
        optimizer = gd.optim.Adam([p], lr=0.1)
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
            p.data = state["p"].data
        for _ in range(steps):
            optimizer.zero_grad()
            (p * p).sum().backward()
            optimizer.step()
        return {"p": p, "optimizer": optimizer.state_dict()}

    state = gd.load(saved(trained(3)))
    assert trained(2, state)["p"].tolist() == trained(5)["p"].tolist()
