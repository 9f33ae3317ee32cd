"""autograd.graph_report and autograd.draw of graphs on CUDA devices."""

import pytest

import gradcore as gd
from gradcore.autograd import draw, graph_report

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]


@pytest.mark.parametrize("pooled", [False, True])
def test_memory_is_told_by_device(pooled, cp):
    before = cp.cuda.get_allocator()
    pool = cp.cuda.MemoryPool()
    cp.cuda.set_allocator(pool.malloc if pooled else None)
    try:
        x = gd.ones(1000, device="cuda", requires_grad=True)
        y = x.exp()
        z = (y * y[:1].sum()).cpu().sin().sum()
        report = graph_report(z, params={"x": x})
    finally:
        cp.cuda.set_allocator(before)
    saved = {
        e.name: [(s.role, s.nbytes, s.kept, s.counted_at) for s in e.saved] for e in report.entries
    }
    allocated = x._array.data.mem.size
    small = 512 if pooled else 4
    assert allocated == (4096 if pooled else 4000)
    assert saved["ExpBackward0"] == [("output", 4000, allocated, None)]
    assert saved["MulBackward0"] == [
        ("input 0", 4000, allocated, "#0 ExpBackward0"),
        ("input 1", 4, small, None),
    ]
    assert saved["SinBackward0"] == [("input 0", 4000, 4000, None)]
    assert report.bytes_by_device == {
        gd.device("cuda:0"): allocated + small,
        gd.device("cpu"): 4000,
    }
    assert report.total_bytes == sum(report.bytes_by_device.values())
    assert report.leaf_bytes == allocated
    text = str(report)
    assert "output: (1000,) float32 on cuda:0" in text
    assert "on cuda:0" in text.splitlines()[0]
    assert "on cpu" in text.splitlines()[0]
    assert r"x\n(1000,) float32 on cuda:0" in draw(z, params={"x": x}, show_saved=True).dot


def test_a_report_waits_for_nothing(count):
    x = gd.ones(1000, device="cuda", requires_grad=True)
    y = (x.exp() * x).sum()
    counted = count(lambda: (graph_report(y), draw(y, show_saved=True)))
    assert counted.launches == 0
    assert counted.copies_and_syncs == {}
