"""save and load; copy, deepcopy and pickle."""

import copy
import io
import json
import math
import multiprocessing
import operator
import os
import pickle
import stat
import struct
import sys
import warnings
import zipfile
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gradcore as gd
from gradcore import dtypes
from gradcore.serialization import archive
from gradcore.tensor import wrap

parity = pytest.mark.parity


def saved(obj):
    """The bytes of a file."""
    file = io.BytesIO()
    gd.save(obj, file)
    return file.getvalue()


def again(obj, **options):
    return gd.load(io.BytesIO(saved(obj)), **options)


def contents(data):
    """What the JSON in a file says."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return json.loads(file.read("gradcore.json"))


def changed(data, change):
    """The file with other JSON: `change` is called with what it says."""
    described = contents(data)
    described = change(described) or described
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            is_json = name == "gradcore.json"
            new.writestr(name, json.dumps(described) if is_json else old.read(name))
    return file.getvalue()


def load_from(file):
    """Load from the start of a file object."""
    return gd.load(io.BytesIO(file.getvalue()))


def assert_same(a, b):
    """Check that two values are of the same types and equal; NaN equals NaN."""
    assert type(a) is type(b)
    if isinstance(a, gd.Tensor):
        assert (a.dtype, a.device, a.requires_grad) == (b.dtype, b.device, b.requires_grad)
        assert b.is_leaf
        assert_same(a.detach().numpy(), b.detach().numpy())
    elif isinstance(a, np.ndarray | np.generic):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()
    elif isinstance(a, dict):
        assert list(map(repr, a)) == list(map(repr, b))
        for x, y in zip(a.values(), b.values(), strict=True):
            assert_same(x, y)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, float | complex):
        assert repr(a) == repr(b)
    else:
        assert a == b


# values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)], ids=str)
def test_a_tensor_of_any_dtype_comes_back(dtype, shape):
    values = np.arange(math.prod(shape)).reshape(shape).astype(dtype.dtype)
    assert_same(gd.tensor(values), again(gd.tensor(values)))
    if dtype.is_inexact:
        assert_same(gd.tensor(values, requires_grad=True), again(wrap(values, True)))


def test_a_parameter_comes_back_as_one():
    p = gd.nn.Parameter(gd.ones(2))
    (p * 2).sum().backward()
    q = again(p)
    assert isinstance(q, gd.nn.Parameter)
    assert q.grad is None


def test_a_non_leaf_loses_its_history():
    x = gd.ones(2, requires_grad=True)
    y = again(x * 2)
    assert y.is_leaf
    assert y.requires_grad
    assert y.tolist() == [2, 2]


@parity
def test_what_is_kept_of_a_tensor_is_what_pytorch_keeps(torch):
    def through(library):
        file = io.BytesIO()
        x = library.ones(2, requires_grad=True)
        y = x * 2
        y.sum().backward()
        library.save([x, y, x, x.detach()], file)
        file.seek(0)
        return library.load(file)

    described = []
    for library in (gd, torch):
        x, y, x_again, detached = through(library)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # as .grad of a non-leaf would
            described.append(
                [
                    (t.requires_grad, t.is_leaf, t.grad, t.tolist(), t.stride())
                    for t in (x, y, detached)
                ]
            )
        assert x is x_again
        assert x.data_ptr() == detached.data_ptr() != y.data_ptr()
    assert described[0] == described[1]


NESTED = [
    None,
    True,
    0,
    -(2**63),
    2**63,
    -(2**200),
    1.5,
    -0.0,
    math.inf,
    math.nan,
    1e-320,
    complex(math.nan, -0.0),
    "",
    'a"\\\0\n\ud800 ä',
    b"",
    bytes(range(256)),
    np.float32(0.1),
    np.int8(-1),
    np.bool_(True),
    np.complex64(1 - 2j),
    np.datetime64("2001-02-03"),
    np.longdouble(1) / 3,
    gd.Size([2, 0, 3]),
    gd.float16,
    gd.bool,
    gd.device("cpu"),
    gd.device("cuda:1"),
    [],
    (),
    {},
    set(),
    frozenset({1, (2, frozenset({3}))}),
    {1, "a", None},
    OrderedDict(b=1, a=[2]),
    {1: "int", "1": "str", None: 0, 1.5: 0, (1, "x"): {}, b"k": 0, gd.float32: 0},
    np.arange(3),
    np.array(2.5),
    np.array(["a", "bcd"]),
    np.array([b"a"]),
    np.array(["2001-02-03"], "M8[D]"),
    np.zeros(2, [("a", "i4"), ("ä", "f8", 2)]),
    np.zeros((0, 2), bool),
    gd.random.get_rng_state(),
]


@pytest.mark.parametrize("value", NESTED)
def test_a_value_comes_back(value):
    assert_same(value, again(value))
    assert_same([{"a": (value,)}], again([{"a": (value,)}]))


def test_an_int_may_have_more_digits_than_python_prints():
    large = 3**10_000
    (key,) = again({large: gd.ones(1)})
    assert key == large
    with pytest.raises(TypeError, match=r"obj\[<int>\] is of type"):
        saved({large: len})


def nested():
    arrays = hnp.arrays(
        hnp.scalar_dtypes().filter(lambda d: d.kind in "biufcmMSU" and d.isnative),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    )
    tensors = hnp.arrays(
        st.sampled_from([d.dtype for d in dtypes.ALL]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ).map(gd.tensor)
    numbers = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans())
    keys = st.one_of(st.none(), numbers, st.text(), st.binary())
    leaves = st.one_of(keys, st.floats(), st.complex_numbers(), arrays, tensors)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=4).map(tuple),
            st.dictionaries(st.one_of(keys, st.tuples(keys, keys)), inner, max_size=4),
            st.frozensets(keys, max_size=3),
        ),
        max_leaves=12,
    )


@given(nested())
def test_any_nesting_comes_back(value):
    data = saved(value)
    assert_same(value, gd.load(io.BytesIO(data)))
    assert saved(value) == data  # the file depends on nothing else


def test_the_state_of_an_optimizer_comes_back(tmp_path):
    def trained(steps, state=None):
        p = gd.nn.Parameter(gd.tensor([1.0, 2.0]))
        optimizer = gd.optim.Adam([p], lr=0.1)
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
            p.data = state["p"].data
        for _ in range(steps):
            optimizer.zero_grad()
            (p * p).sum().backward()
            optimizer.step()
        return {"p": p, "optimizer": optimizer.state_dict()}

    gd.save(trained(3), tmp_path / "state")
    state = gd.load(tmp_path / "state")
    assert list(state["optimizer"]["state"]) == [0]
    assert trained(2, state)["p"].tolist() == trained(5)["p"].tolist()


# one object, one memory ------------------------------------------------------------------------


def test_an_object_in_two_places_is_one_object_again():
    x, inner = gd.ones(2), [1]
    pair = (inner, x)
    loaded = again({"a": x, "b": [x, inner, pair], "c": pair})
    assert loaded["a"] is loaded["b"][0]
    assert loaded["b"][1] is loaded["c"][0]
    assert loaded["b"][2] is loaded["c"]


def test_values_may_hold_themselves():
    ring = []
    pair = (ring, {})
    ring.append(pair)
    pair[1]["pair"] = (pair, "end")
    loaded = again(pair)
    assert loaded[0][0] is loaded
    assert loaded[1]["pair"][0] is loaded
    loaded = again(ring)
    assert loaded[0][0] is loaded


@pytest.mark.parametrize("wrapped", [lambda v: [v], lambda v: (v,), lambda v: {"": v}])
def test_nesting_may_be_deep(wrapped):
    value = 1
    for _ in range(20_000):
        value = wrapped(value)
    value = again(value)
    for _ in range(20_000):
        (value,) = value.values() if isinstance(value, dict) else value
    assert value == 1


def test_tensors_that_share_memory_share_it_again():
    a = gd.arange(6.0).reshape(2, 3)
    data = saved({"t": a.t(), "row": a[1], "a": a, "array": a.numpy()[:, 1]})
    loaded = gd.load(io.BytesIO(data))
    loaded["a"].numpy()[1, 1] = 9
    assert loaded["t"].tolist() == [[0, 3], [1, 9], [2, 5]]
    assert loaded["row"].tolist() == [3, 9, 5]
    assert loaded["array"].tolist() == [1, 9]
    with np.load(io.BytesIO(data)) as arrays:
        assert arrays.files == ["gradcore.json", "a"]
        assert arrays["a"].tolist() == a.tolist()


def test_memory_of_several_dtypes_is_shared_again():
    z = np.arange(4.0).astype(complex)
    head = np.zeros(8, np.uint8)
    loaded = again([wrap(z.imag), wrap(z.real[1:]), wrap(head[2:4].view(np.int16)), wrap(head[1:])])
    loaded[1].numpy()[0] = 7
    assert [t.tolist() for t in loaded[:2]] == [[0, 0, 0, 0], [7, 2, 3]]
    loaded[2].numpy()[0] = 257
    assert loaded[3].tolist() == [0, 1, 1, 0, 0, 0, 0]
    assert all(t._array.flags.aligned for t in loaded)
    whole = again([wrap(z), wrap(z.imag)])
    whole[0].numpy()[2] = 5j
    assert whole[1].tolist() == [0, 0, 5, 0]


def test_parts_that_overlap_share_the_memory_between_them_alone():
    base = np.arange(1_000_000.0)
    parts = [wrap(base[10:20:3]), wrap(base[12:14]), wrap(base[500:600]), wrap(base[599:590:-2])]
    data = saved(parts)
    assert len(data) < 5_000
    loaded = gd.load(io.BytesIO(data))
    assert_same(parts, loaded)
    assert [t.stride() for t in loaded] == [(3,), (1,), (1,), (-2,)]
    loaded[1].numpy()[1] = -1
    assert loaded[0].tolist() == [10, -1, 16, 19]
    loaded[2].numpy()[99] = -2
    assert loaded[3].tolist()[0] == -2


def test_parts_of_one_array_that_do_not_overlap_are_saved_apart():
    base = np.arange(10.0)
    data = saved([wrap(base[:5]), wrap(base[5:]), wrap(base[5:5])])
    a, b, _ = gd.load(io.BytesIO(data))
    assert a.tolist() + b.tolist() == base.tolist()
    with np.load(io.BytesIO(data)) as arrays:
        assert arrays.files == ["gradcore.json", "0", "1", "2"]


LAYOUTS = {
    "column-major": lambda a: a.transpose(),
    "permuted": lambda a: a.transpose(1, 0, 2),
    "reversed": lambda a: a[::-1],
    "expanded": lambda a: np.broadcast_to(a[:, None], (2, 5, 3, 4)),
    "windows": lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, axis=2),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_strides_are_saved(name):
    t = wrap(LAYOUTS[name](np.arange(24.0).reshape(2, 3, 4)))
    data = saved(t)
    loaded = gd.load(io.BytesIO(data))
    assert_same(t, loaded)
    assert loaded.stride() == t.stride()
    assert loaded._array.flags.writeable == (name != "expanded")
    assert len(data) < 24 * 8 + 1000


def test_gaps_in_memory_are_not_saved():
    base = np.arange(30_000.0)
    t = wrap(base.reshape(3, 100, 100)[:, ::50, ::-50])
    data = saved(t)
    assert len(data) < 1000
    assert_same(t, gd.load(io.BytesIO(data)))
    assert gd.load(io.BytesIO(data)).is_contiguous()


@st.composite
def views(draw):
    """Several arrays over one memory."""
    base = np.arange(draw(st.integers(1, 24)), dtype=draw(st.sampled_from(["f4", "i2", "c8"])))
    found = []
    for _ in range(draw(st.integers(1, 5))):
        a = base
        if draw(st.booleans()):
            a = base[: base.size // 2 * 2].reshape(2, -1)
        steps = st.tuples(st.integers(0, 5), st.integers(0, 24), st.sampled_from([1, 2, 3, -1]))
        for dim in range(a.ndim):
            start, stop, step = draw(steps)
            cut = slice(start, stop, step) if step > 0 else slice(stop, None, step)
            a = a[(slice(None),) * dim + (cut,)]
        if draw(st.booleans()):
            a = a.T
        if draw(st.integers(0, 3)) == 0 and a.dtype.kind == "c":
            a = a.real
        found.append(a)
    return found


@given(views())
def test_any_views_of_one_memory_come_back(arrays):
    tensors = list(map(wrap, arrays))
    data = saved(tensors)
    loaded = gd.load(io.BytesIO(data))
    assert_same(tensors, loaded)
    for i, a in enumerate(arrays):
        for j, b in enumerate(arrays):
            if np.shares_memory(a, b):
                assert np.shares_memory(loaded[i].numpy(), loaded[j].numpy())
    # What is written to one of them is seen by all, as in the originals.
    before, after = arrays[0], loaded[0].numpy()
    before[...] = before + 1
    after[...] = after + 1
    assert_same(tensors, loaded)
    assert_same(tensors, copy.deepcopy(tensors))


@parity
def test_memory_is_shared_as_in_pytorch(torch):
    for library in (gd, torch):
        base = library.arange(6.0)
        for copied in (lambda obj, library=library: through(library, obj), copy.deepcopy):
            a, b, c = copied((base.reshape(2, 3), base[2:5], base.reshape(3, 2).t()))
            a.numpy()[0, 2] = 9
            assert b.tolist() == [9, 3, 4]
            assert c.tolist() == [[0, 9, 4], [1, 3, 5]]
            assert c.stride() == (1, 2)


def through(library, obj):
    file = io.BytesIO()
    library.save(obj, file)
    file.seek(0)
    return library.load(file)


# what cannot be saved --------------------------------------------------------------------------


class Module:
    def state_dict(self):
        return {}


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (object(), r"obj is of type builtins\.object\. What is saved is Tensors"),
        (
            {"model": [0, 0, 0, len]},
            r"obj\['model'\]\[3\] is of type builtins\.builtin_function_or",
        ),
        ([(1, {2: Pair(1, 2)})], r"obj\[0\]\[1\]\[2\] is of type test_serialization\.Pair"),
        ({"a": {Path("x")}}, r"obj\['a'\] \(element PosixPath\('x'\)\) is of type pathlib"),
        ({(1, Path("x")): 1}, r"obj \(key \(1, PosixPath\('x'\)\)\)\[1\] is of type pathlib"),
        ([Module()], r"obj\[0\] is of type .*Module, which is not saved itself: save its state_d"),
        ([gd.Generator()], r"obj\[0\] is of type .*Generator, .*: save its get_state\(\)"),
        ({"x" * 100: len}, r"obj\['x{76}\.\.\.\] is of type"),
        ([np.ma.array([1])], r"obj\[0\] is of type numpy\.ma\.MaskedArray"),
        ([np.array([None])], r"obj\[0\] is an array of dtype object: Python objects in arrays"),
        ([np.zeros(1, [("a", "O")])], r"obj\[0\] is an array of dtype \[\('a', 'O'\)\]"),
        ([float], r"obj\[0\] is of type builtins\.type"),
        (slice(1), r"obj is of type builtins\.slice"),
    ],
)
def test_what_cannot_be_saved_is_named_with_its_place(obj, words, tmp_path):
    with pytest.raises(TypeError, match="^save: " + words):
        gd.save(obj, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("f", [1, None, io.StringIO()])
def test_a_file_is_a_path_or_binary(f):
    with pytest.raises(TypeError, match="a path or a file opened in binary mode"):
        gd.save(1, f)
    with pytest.raises(TypeError, match="a path or a file opened in binary mode"):
        gd.load(f)


# files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [str, Path], ids=["str", "Path"])
def test_a_path_may_be_of_either_kind(path, tmp_path):
    gd.save([1], path(tmp_path / "a file"))
    assert gd.load(path(tmp_path / "a file")) == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["a file"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    gd.save("old", path)

    def full(file, array):
        file.write(b"part of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "_write_array", full)
    with pytest.raises(OSError, match="No space left"):
        gd.save(gd.ones(2), path)
    assert gd.load(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_the_file_has_the_mode_of_the_old_one_or_the_usual_one(tmp_path):
    (tmp_path / "usual").touch()
    usual = stat.S_IMODE((tmp_path / "usual").stat().st_mode)
    path = tmp_path / "file"
    gd.save(1, path)
    assert stat.S_IMODE(path.stat().st_mode) == usual
    path.chmod(0o640)
    gd.save(2, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    gd.save(1, tmp_path / "link")
    gd.save(2, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert gd.load(tmp_path / "file") == 2


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no such device")
def test_a_device_is_written_to():
    gd.save(gd.ones(2), os.devnull)
    assert not os.path.isfile(os.devnull)


def test_folders_are_told_from_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such folder to save in: '.*missing'"):
        gd.save(1, tmp_path / "missing" / "file")
    with pytest.raises(IsADirectoryError):
        gd.save(1, tmp_path)
    with pytest.raises(FileNotFoundError):
        gd.load(tmp_path / "file")


class Pipe(io.RawIOBase):
    """A file that can only be read or written on and on."""

    def __init__(self, data=b""):
        self.data, self.at = bytearray(data), 0

    def writable(self):
        return True

    def readable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)

    def readinto(self, buffer):
        found = self.data[self.at : self.at + min(len(buffer), 100)]
        buffer[: len(found)] = found
        self.at += len(found)
        return len(found)


def test_a_file_object_need_not_be_seekable():
    pipe = Pipe()
    gd.save([gd.arange(3000.0), "x"], pipe)
    loaded = gd.load(Pipe(pipe.data))
    assert loaded[0].tolist() == list(range(3000))
    assert loaded[1] == "x"


def test_a_file_object_is_read_from_where_it_stands():
    file = io.BytesIO()
    file.write(b"a header of the user's")
    gd.save([gd.ones(3), 1], file)
    file.seek(22)
    assert gd.load(file)[0].tolist() == [1, 1, 1]
    assert not file.closed
    file.seek(0)
    with pytest.raises(ValueError, match=r"neither a file that .* wrote"):
        gd.load(file)


def test_of_two_files_in_one_the_first_is_refused():
    file = io.BytesIO()
    gd.save("first", file)
    second = file.tell()
    gd.save("second", file)
    file.seek(second)
    assert gd.load(file) == "second"
    file.seek(0)
    with pytest.raises(ValueError, match="does not start with what was saved in it last"):
        gd.load(file)


def test_numpy_reads_the_arrays_by_their_places():
    obj = {
        "model": {"0.weight": gd.ones(2, 3), "bias": gd.zeros(2)},
        "list": [np.arange(3), gd.tensor(1)],
        "../../etc/passwd": gd.ones(1),
        "a\0b/ä": gd.ones(1),
        ("key",): gd.ones(1),
        "MODEL": {"0.weight": gd.zeros(1)},
        "gradcore.json": gd.ones(1),
    }
    with np.load(io.BytesIO(saved(obj))) as arrays:
        assert arrays.files == [
            "gradcore.json",
            "_",
            "_~2",
            "_~3",
            "gradcore.json~2",
            "model.0.weight",
            "model.bias",
            "list.0",
            "list.1",
            "MODEL.0.weight~2",
        ]
        assert arrays["model.0.weight"].tolist() == [[1, 1, 1], [1, 1, 1]]
    with np.load(io.BytesIO(saved(gd.ones(2)))) as arrays:
        assert arrays["array"].tolist() == [1, 1]


# files that are not right ------------------------------------------------------------------------

WHOLE = {
    "weights": [gd.arange(30.0).reshape(5, 6), gd.tensor([1, 2], dtype=gd.int16)],
    "t": (1.5, "text", np.array(["a"])),
}
DATA = saved(WHOLE)


@pytest.mark.parametrize("size", [1, 3, 4, 9, 100, len(DATA) // 2, len(DATA) - 23, len(DATA) - 1])
def test_a_truncated_file_is_refused(size):
    with pytest.raises(gd.GradcoreError, match=r"^load: the file object is"):
        gd.load(io.BytesIO(DATA[:size]))


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found_or_without_effect(place, change):
    data = bytearray(DATA)
    data[place] ^= change
    try:
        loaded = gd.load(io.BytesIO(data))
    except gd.GradcoreError:
        return
    assert_same(WHOLE, loaded)


@given(st.binary())
def test_other_bytes_are_refused(data):
    for start in (b"", b"PK\x03\x04", struct.pack("<Q", len(data)) + b"{1", DATA[:50]):
        with pytest.raises(gd.GradcoreError, match=r"^load: "):
            gd.load(io.BytesIO(start + data))


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match=r"load: '.*empty' is empty\."):
        gd.load(tmp_path / "empty")


def test_a_file_of_numpy_is_named():
    file = io.BytesIO()
    np.savez(file, a=np.ones(2))
    file.seek(0)
    with pytest.raises(ValueError, match=r"is a file of numpy\.savez: read it with numpy\.load"):
        gd.load(file)


def test_another_archive_is_named():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("a.txt", "text")
    file.seek(0)
    with pytest.raises(ValueError, match=r"is a zip archive, but none that gradcore.save wrote"):
        gd.load(file)


@parity
def test_a_file_of_pytorch_is_named(torch):
    file = io.BytesIO()
    torch.save(torch.ones(2), file)
    file.seek(0)
    with pytest.raises(RuntimeError, match=r"is a file of torch\.save: read it with torch\.load"):
        gd.load(file)


def test_a_file_of_a_newer_version_is_named():
    data = changed(DATA, lambda described: described.update(version=2))
    with pytest.raises(ValueError, match=r"newer version of gradcore: of version 2 of the format"):
        gd.load(io.BytesIO(data))


def test_what_is_compressed_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(DATA)) as old, zipfile.ZipFile(file, "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ValueError, match=r"is damaged: gradcore\.json is compressed"):
        load_from(file)


def tensor_with(**entries):
    def change(described):
        described["objects"] = [
            entry | entries if entry["kind"] == "Tensor" else entry
            for entry in described["objects"]
        ]

    return changed(saved([gd.arange(4.0)]), change)


def part(**entries):
    return {"view": {"offset": 0, "strides": [4], "shape": [4], "dtype": "<f4"} | entries}


@pytest.mark.parametrize(
    "data",
    [
        tensor_with(array="missing"),
        tensor_with(array=3),
        tensor_with(requires_grad=1),
        tensor_with(device="quantum"),
        tensor_with(kind="Module"),
        tensor_with(**part(offset=4)),
        tensor_with(**part(offset=-4)),
        tensor_with(**part(strides=[8])),
        tensor_with(**part(strides=[-4])),
        tensor_with(**part(shape=[5])),
        tensor_with(**part(shape=[-1])),
        tensor_with(**part(shape=[2, 2])),
        tensor_with(**part(shape=[2**62, 2**62], strides=[0, 0])),
        tensor_with(**part(dtype="O", shape=[2], strides=[8])),
        tensor_with(**part(dtype="M8[s]", shape=[2], strides=[8])),
        tensor_with(**part(dtype=">f8", shape=[2], strides=[8])),
        tensor_with(**part(dtype="<i4"), requires_grad=True),
        tensor_with(view={}),
        changed(
            saved(np.arange(4.0)), lambda d: d["objects"][0].update(part(dtype="O", strides=[8]))
        ),
        *(
            changed(DATA, change)
            for change in (
                lambda d: d.update(format="other"),
                lambda d: d.update(version=None),
                lambda d: d.update(value=["ref", 99]),
                lambda d: d.update(value=["ref"]),
                lambda d: d.update(value=["word", 1]),
                lambda d: d.update(value=["bytes", "*"]),
                lambda d: d.update(value=["scalar", "O", "AAAAAAAAAAA="]),
                lambda d: d.update(value=[]),
                lambda d: d.update(objects=None),
                lambda d: d.update(objects=[{"kind": "tuple", "items": [["ref", 0]]}]),
                lambda d: d.update(objects=[{"kind": "list"}], value=["ref", 0]),
                lambda d: d.update(objects=[{"kind": "dict", "items": [1]}], value=["ref", 0]),
                lambda d: d.update(
                    objects=[{"kind": "dict", "items": [[["ref", 0], 1]]}], value=["ref", 0]
                ),
                lambda d: [1],
            )
        ),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(data):
    with pytest.raises(gd.GradcoreError, match=r"^load: the file object is damaged"):
        gd.load(io.BytesIO(data))


def test_deeply_nested_json_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as new:
        new.writestr("gradcore.json", "[" * 100_000)
    with pytest.raises(ValueError, match="is damaged or not complete"):
        load_from(file)


def with_member(name, data):
    """A file of one Tensor, with another array of that name."""
    file = io.BytesIO()
    original = saved([gd.arange(4.0)])
    with zipfile.ZipFile(io.BytesIO(original)) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.namelist():
            new.writestr(member, data if member == name else old.read(member))
    return file


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def test_pickles_in_a_file_are_not_read():
    class Evil:
        def __reduce__(self):
            return pytest.fail, ("code of a file was run",)

    file = with_member("0.npy", npy(np.array([Evil()], object), allow_pickle=True))
    with pytest.raises(ValueError, match="damaged"):
        load_from(file)


@pytest.mark.parametrize(
    "data",
    [
        npy(np.arange(4.0, dtype="f4"))[:-1],
        npy(np.arange(4.0, dtype="f4")) + b"\0",
        npy(np.arange(4.0, dtype="f4")).replace(b"(4,), }", b"(9**9,),}"),
        npy(np.arange(4.0, dtype="f4")).replace(b"(4,), }  ", b"(400000000000,), }"),
        npy(np.array(["a"])),
        b"",
        b"\x93NUMPY\x09\x09",
    ],
)
def test_an_array_of_another_size_is_refused(data):
    with pytest.raises(gd.GradcoreError, match="damaged"):
        load_from(with_member("0.npy", data))


def test_arrays_of_another_byte_order_are_read():
    foreign = with_member("0.npy", npy(np.arange(4).astype(">f4")))
    (t,) = load_from(foreign)
    assert t.tolist() == [0, 1, 2, 3]
    assert t.numpy().dtype.isnative
    change = lambda d: d["objects"][1].update(part(dtype=">f4", strides=[-4], offset=12))
    (back,) = gd.load(io.BytesIO(changed(foreign.getvalue(), change)))
    assert back.tolist() == [3, 2, 1, 0]


# map_location ------------------------------------------------------------------------------------


def from_cuda(obj, index=0):
    """A file as of a machine with CUDA devices."""
    data = saved(obj)

    def change(described):
        for entry in described["objects"]:
            if entry["kind"] == "Tensor":
                entry["device"] = f"cuda:{index}"

    return io.BytesIO(changed(data, change))


@pytest.mark.parametrize(
    "map_location",
    [
        "cpu",
        gd.device("cpu"),
        {"cuda:0": "cpu"},
        {gd.device("cuda:0"): gd.device("cpu")},
        lambda memory, location: memory,
        lambda memory, location: memory.clone(),
    ],
)
def test_map_location_says_where_tensors_go(map_location):
    a = gd.arange(6.0).reshape(2, 3).requires_grad_()
    x, row, col = gd.load(from_cuda([a, a.detach()[1], a.detach().t()]), map_location)
    assert {t.device for t in (x, row, col)} == {gd.device("cpu")}
    assert x.requires_grad
    x.detach().numpy()[1, 0] = 9
    assert row.tolist() == [9, 4, 5]
    assert col.tolist() == [[0, 9], [1, 4], [2, 5]]


def test_a_function_is_called_once_per_memory():
    calls = []

    def keep(memory, location):
        calls.append((memory.tolist(), memory.dtype, location))
        return memory

    a = gd.arange(4.0)
    gd.load(from_cuda([a, a, a[1:], gd.tensor([7]), np.ones(1)], 1), keep)
    assert calls == [([0, 1, 2, 3], gd.float32, "cuda:1"), ([7], gd.int64, "cuda:1")]
    assert_same(a, again(a, map_location=lambda memory, location: None))


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda m: m[1:], r"returned one of shape \(3,\) and dtype gradcore.float32 for a Tensor"),
        (lambda m: m.double(), r"one of shape \(4,\) and dtype gradcore.float64"),
        (lambda m: gd.stack([m, m], 1)[:, 0], r"one of shape \(4,\)"),
        (lambda m: "cpu", r"returned a str"),
    ],
)
def test_a_function_must_return_the_memory(returned, words):
    with pytest.raises(TypeError, match=words):
        again(gd.arange(4.0), map_location=lambda memory, location: returned(memory))


def test_errors_of_the_function_are_the_users():
    def fail(memory, location):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        again(gd.ones(1), map_location=fail)


def test_map_location_is_checked():
    with pytest.raises(TypeError, match="map_location must be a device or its name"):
        again(1, map_location=3)
    with pytest.raises(ValueError, match="device type"):
        again(1, map_location="quantum")


@pytest.mark.parametrize("map_location", [None, "cuda:0", {"cpu": "cuda"}])
def test_a_missing_device_is_named_with_the_remedy(map_location, monkeypatch):
    def missing():
        raise gd.errors.DeviceError("no device was found.")

    monkeypatch.setattr(sys.modules["gradcore.device"], "cupy_backend", missing)
    monkeypatch.setattr(gd.device("cuda:0"), "_backend", None)
    file = from_cuda([gd.ones(1)]) if map_location is None else io.BytesIO(saved([gd.ones(1)]))
    with pytest.raises(RuntimeError, match=r"should go to cuda.*map_location='cpu'"):
        gd.load(file, map_location)


# .safetensors ------------------------------------------------------------------------------------


def safetensors(obj, tmp_path, **options):
    gd.save(obj, tmp_path / "t.safetensors")
    return gd.load(tmp_path / "t.safetensors", **options)


def test_a_safetensors_file_has_its_tensors(tmp_path):
    known = [d for d in dtypes.ALL if d is not gd.complex128]
    obj = {d.name: gd.tensor(np.arange(6).reshape(2, 3).astype(d.dtype)) for d in known}
    obj |= {"0-d": gd.tensor(1.5), "none": gd.zeros(0, 2), "ä\0": gd.ones(1)}
    obj["t"] = gd.arange(6.0).reshape(2, 3).t()
    loaded = safetensors(obj, tmp_path)
    assert_same(obj, loaded)
    assert loaded["t"].is_contiguous()
    assert safetensors({}, tmp_path) == {}
    assert list(loaded) == list(obj)


def test_a_safetensors_file_is_as_its_format_says(tmp_path):
    gd.save({"b": gd.tensor([True]), "a": gd.tensor([[1.0, 2.0]])}, tmp_path / "t.safetensors")
    data = (tmp_path / "t.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert length % 8 == 0
    assert json.loads(data[8 : 8 + length]) == {
        "b": {"dtype": "BOOL", "shape": [1], "data_offsets": [8, 9]},
        "a": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
    }
    assert data[8 + length :] == struct.pack("<ff?", 1.0, 2.0, True)


def safetensors_file(header, data=b""):
    text = json.dumps(header).encode()
    return io.BytesIO(struct.pack("<Q", len(text)) + text + data)


def test_a_safetensors_file_is_known_by_its_content():
    entry = {"dtype": "I16", "shape": [2], "data_offsets": [0, 4]}
    file = safetensors_file({"__metadata__": {"format": "pt"}, "x": entry}, b"\1\0\2\0")
    assert gd.load(file)["x"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"dtype": "BF16"}, "has a Tensor 'x' of dtype BF16, which is not read"),
        ({"shape": [3]}, r"damaged: the Tensor 'x' of shape \[3\] has another size"),
        ({"data_offsets": [1, 4]}, "damaged: the elements of a Tensor are at 1, not at 0"),
        ({"data_offsets": [-4, 4]}, "damaged: the elements of a Tensor are at -4, not at 0"),
        ({"shape": [3], "data_offsets": [0, 6]}, "damaged: it has 4 bytes of .* its header 6"),
        ({"shape": [1], "data_offsets": [0, 2]}, "damaged: it has 4 bytes of elements, and its he"),
        ({"shape": [2**40, 2**40]}, "damaged: the Tensor 'x'"),
        ({"shape": [-2, -1]}, "damaged"),
        ({"shape": None}, "damaged"),
    ],
)
def test_a_safetensors_file_that_is_not_right_is_refused(entry, words):
    entry = {"dtype": "I16", "shape": [2], "data_offsets": [0, 4]} | entry
    with pytest.raises(gd.GradcoreError, match=f"^load: the file object .*{words}"):
        gd.load(safetensors_file({"x": entry}, b"\1\0\2\0"))


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ([gd.ones(1)], "but obj is of type list"),
        ({1: gd.ones(1)}, "but obj has the key 1"),
        ({"__metadata__": gd.ones(1)}, "but obj has the key '__metadata__'"),
        ({"a": {"b": gd.ones(1)}}, r"but obj\['a'\] is of type dict"),
        ({"z": gd.ones(1, dtype=gd.complex128)}, r"obj\['z'\] has dtype gradcore.complex128"),
    ],
)
def test_a_safetensors_file_holds_a_dict_of_tensors(obj, words, tmp_path):
    with pytest.raises(TypeError, match=words):
        gd.save(obj, tmp_path / "t.safetensors")
    assert list(tmp_path.iterdir()) == []


# copy, deepcopy, pickle --------------------------------------------------------------------------


def leaf_with_grad():
    x = gd.tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    return x


@pytest.mark.parametrize("non_leaf", [False, True])
def test_a_copy_is_a_leaf_that_shares_memory(non_leaf):
    x = leaf_with_grad()
    x = x * 1 if non_leaf else x
    twin = copy.copy(x)
    assert twin.is_leaf
    assert twin.requires_grad
    assert twin.grad is None
    assert twin.data_ptr() == x.data_ptr()


def test_a_deep_copy_has_its_own_values_and_gradient():
    x = leaf_with_grad()
    twin = copy.deepcopy(x)
    assert twin.requires_grad
    assert twin.grad.tolist() == [3, 3]
    assert not np.shares_memory(twin.detach().numpy(), x.detach().numpy())
    assert not np.shares_memory(twin.grad.numpy(), x.grad.numpy())
    for once in copy.deepcopy([x, x.grad]), copy.deepcopy([x.grad, x])[::-1]:
        assert once[0].grad is once[1]


def test_a_deep_copy_of_memory_shares_it_with_arrays_too():
    a = np.arange(6.0)
    for order in (1, -1):
        pair = [a, gd.from_numpy(a)[2:]][::order]
        array, t = copy.deepcopy(pair)[::order]
        array[2] = 9
        assert t.tolist() == [9, 3, 4, 5]
    assert a[2] == 2


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_deep_copy_keeps_strides(name):
    t = wrap(LAYOUTS[name](np.arange(24.0).reshape(2, 3, 4)))
    twin = copy.deepcopy(copy.deepcopy(t))
    assert_same(t, twin)
    assert twin.stride() == t.stride()
    assert twin._array.flags.writeable == t._array.flags.writeable
    assert not np.shares_memory(t.numpy(), twin.numpy())


def test_a_deep_copy_of_a_view_of_a_mapped_file_copies_the_view(tmp_path):
    np.save(tmp_path / "large.npy", np.arange(100_000.0))
    mapped = np.load(tmp_path / "large.npy", mmap_mode="r")
    t = gd.as_tensor(np.asarray(mapped[10:12]))
    twin = copy.deepcopy(t)
    assert twin.tolist() == [10, 11]
    assert twin._array.base is None
    assert twin._array.flags.writeable
    steps = np.asarray(mapped[10:20:2])
    assert copy.deepcopy(gd.as_tensor(steps[1:])).tolist() == [12, 14, 16, 18]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_everything_small_can_be_pickled(protocol):
    x = leaf_with_grad()
    y = wrap(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    values = [x, y, gd.Size([1, 2]), gd.device("cuda:3"), gd.zeros(0), gd.tensor(True)]
    loaded = pickle.loads(pickle.dumps((values, x), protocol))
    assert_same(values, loaded[0])
    assert loaded[0][0] is loaded[1]
    assert loaded[1].grad is None
    assert loaded[0][1].stride() == (1, 2)
    for dtype in dtypes.ALL:
        assert pickle.loads(pickle.dumps(dtype, protocol)) is dtype
        assert copy.deepcopy(dtype) is copy.copy(dtype) is dtype
    device = gd.device("cuda:3")
    assert copy.deepcopy(device) is copy.copy(device) is device


def test_pickling_with_buffers_out_of_band_copies_nothing():
    x = gd.arange(6.0).clone()
    buffers = []
    data = pickle.dumps(x, 5, buffer_callback=buffers.append)
    twin = pickle.loads(data, buffers=buffers)
    assert np.shares_memory(twin.numpy(), x.numpy())


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))]
)
def test_a_copied_generator_goes_on_from_the_same_state(again):
    generator = gd.Generator().manual_seed(5)
    generator.uniform((3,))
    twin = again(generator)
    expected = generator.uniform((4,))
    assert twin.uniform((4,)).tolist() == expected.tolist()
    assert twin.initial_seed() == 5
    assert generator.uniform((1,)).tolist() == twin.uniform((1,)).tolist()


@pytest.mark.parametrize("kind", [gd.optim.SGD, gd.optim.Adam])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_an_optimizer_is_copied_with_its_parameters(again, kind):
    p = leaf_with_grad()
    optimizer = kind([{"params": [p], "lr": 0.1}])
    optimizer.step()
    q, twin = again((p, optimizer))
    assert twin.param_groups[0]["params"][0] is q
    assert q is not p
    q.grad = p.grad.clone()
    for o in (optimizer, twin):
        o.step()
    assert q.tolist() == p.tolist()


def test_another_process_gets_tensors():
    context = multiprocessing.get_context("spawn")
    x = gd.tensor([1.0, 2.0], requires_grad=True)
    with context.Pool(1) as pool:
        y = pool.apply(operator.mul, (x, gd.tensor([3.0, 4.0])))
    assert y.tolist() == [3, 8]
    assert y.requires_grad
    assert y.is_leaf


@parity
def test_copies_are_those_of_pytorch(torch):
    described = []
    for library in (gd, torch):
        x = library.tensor([1.0, 2.0], requires_grad=True)
        (x * 3).sum().backward()
        y = x * 2
        t = library.arange(6.0).reshape(2, 3).t()
        e = library.ones(1).expand(4)
        described.append(
            [
                *(
                    (c.requires_grad, c.is_leaf, c.data_ptr() == v.data_ptr(), c.tolist())
                    for v in (x, y, t, e)
                    for c in (copy.copy(v),)
                ),
                *(
                    (c.requires_grad, c.grad is None, c.tolist(), c.stride())
                    for v in (x, t, e)
                    for c in (copy.deepcopy(v),)
                ),
                *(
                    (c.requires_grad, c.is_leaf, c.tolist())
                    for v in (x, y, t, e)
                    for c in (pickle.loads(pickle.dumps(v)),)
                ),
            ]
        )
        with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
            copy.deepcopy(y)
    assert described[0] == described[1]
