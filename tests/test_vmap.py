"""vmap: every operation against a loop over the samples, and programs against PyTorch's vmap."""

import functools
import gc
import threading
import warnings
import weakref
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import gradcore as gd
from gradcore.batching.loop import LOOPED
from gradcore.func import vmap
from gradcore.op import primitive
from oracle import OPS, called, samples

PATHS = [path for path in OPS if samples(path)]

REFUSED = (
    "dynamic shape|data-dependent control flow|random operation|differently shaped Tensor"
    r"|calling \.item\(\)|doesn't have storage"
)
"""What is raised where the shape of a result depends on values, as in PyTorch."""


@pytest.fixture(autouse=True)
def _nothing_runs_sample_by_sample():
    """Every operation has a reading for batches; a test of the loop clears the list itself."""
    yield
    assert not LOOPED


# every operation ---------------------------------------------------------------------------------


def arrays_in(value):
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [a for v in value for a in arrays_in(v)] if isinstance(value, list | tuple) else []


def with_arrays(value, arrays):
    """`value` with the next of `arrays` (an iterator) in place of each array."""
    if isinstance(value, np.ndarray):
        return next(arrays)
    if isinstance(value, list | tuple):
        return type(value)([with_arrays(v, arrays) for v in value])
    if isinstance(value, dict):
        return {name: with_arrays(v, arrays) for name, v in value.items()}
    return value


def tensors_in(value):
    if isinstance(value, gd.Tensor):
        return [value]
    return [t for v in value for t in tensors_in(v)] if isinstance(value, list | tuple) else []


class Program:
    """An operation on one of its samples, as a function of Tensors that gives a list of them."""

    def __init__(self, path, number):
        self.call = called(path)
        self.tree = (samples(path)[number].args, samples(path)[number].kwargs)
        self.arrays = arrays_in(self.tree)

    def __call__(self, *tensors):
        args, kwargs = with_arrays(self.tree, iter(tensors))
        return tensors_in(self.call(*args, **kwargs))


def variants(array):
    """Three samples of the same values in another order: each may stand for an operand."""
    if array.ndim:
        return [array, np.flip(array), np.roll(array, 1)]
    return [array * factor if array.dtype.kind in "fc" else array for factor in (1, 0.5, 0.25)]


def weights(t):
    return gd.tensor(np.cos(np.arange(t.numel()) + 1.0).reshape(t.shape)).to(t.dtype)


def values_and_gradients(program, tensors):
    """The outputs, the gradients of a sum of them, and those of a sum of these."""
    inputs = [
        t.detach().requires_grad_() if t.is_floating_point() or t.is_complex() else t.detach()
        for t in tensors
    ]
    found = program(*inputs)
    wanted = [t for t in inputs if t.requires_grad]
    results = list(found)
    for create_graph in (True, False):
        found = [t for t in found if t.requires_grad]
        if not found or not wanted:
            break
        seeds = [weights(t) for t in found]
        try:
            found = gd.autograd.grad(
                found, wanted, seeds, create_graph=create_graph, materialize_grads=True
            )
        except NotImplementedError:
            break
        results += found
    return [t.detach() for t in results]


def looped(program, columns):
    """What `values_and_gradients` gives for each sample, stacked; None where shapes differ."""
    rows = [
        [t.numpy() for t in values_and_gradients(program, [gd.tensor(a) for a in sample])]
        for sample in zip(*columns, strict=True)
    ]
    if any(len({a.shape for a in column}) > 1 for column in zip(*rows, strict=True)):
        return None
    return [np.stack(column) for column in zip(*rows, strict=True)]


def check_close(found, expected):
    assert len(found) == len(expected)
    for t, array in zip(found, expected, strict=True):
        assert t.numpy().dtype == array.dtype
        assert t._type is gd.tensor(array)._type
        np.testing.assert_allclose(t.numpy(), array, rtol=1e-7, atol=1e-9)


def patterns(count):
    """Which operands are batched: all, or one."""
    found = [tuple([True] * count)]
    if count > 1:
        found += [tuple([i == j for i in range(count)]) for j in range(count)]
    return found


def cases(path):
    """Programs with the columns of their samples, and which operands are batched."""
    for number in range(len(samples(path))):
        program = Program(path, number)
        for pattern in patterns(len(program.arrays)) if program.arrays else ():
            columns = [
                variants(a) if some else [a] * 3
                for a, some in zip(program.arrays, pattern, strict=True)
            ]
            try:
                expected = looped(program, columns)
            except (ValueError, IndexError, RuntimeError, TypeError):
                continue  # another order is no valid argument
            if expected:
                yield program, pattern, columns, expected


def refused(path, function, *args):
    """What `function` gives, or None where it raises what PyTorch raises too."""
    if OPS[path].batched:
        return function(*args)
    try:
        return function(*args)
    except gd.GradcoreError as error:
        with pytest.raises(gd.GradcoreError, match=REFUSED):
            raise error from None
        return None


@pytest.fixture
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_an_operation_within_vmap_gives_what_a_loop_gives(path, last):
    for program, pattern, columns, expected in cases(path):
        dims = tuple([(-1 if last else 0) if some else None for some in pattern])
        inputs = [
            gd.tensor(np.stack(column, column[0].ndim if last else 0) if some else column[0])
            for column, some in zip(columns, pattern, strict=True)
        ]
        run = vmap(lambda *ts, p=program: values_and_gradients(p, ts), in_dims=dims)
        found = refused(path, run, *inputs)
        if found is not None:
            check_close(found, expected)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("path", PATHS)
def test_an_operation_within_two_vmaps_gives_what_loops_give(path):
    for program, pattern, columns, expected in cases(path):
        turned = [column[::-1] for column in columns]
        inputs = [
            gd.tensor(np.stack([np.stack(a), np.stack(b)], 1) if some else a[0])
            for a, b, some in zip(columns, turned, pattern, strict=True)
        ]
        # The outer batch is the second dimension of the inputs, and of the outputs.
        inner = tuple([0 if some else None for some in pattern])
        outer = tuple([1 if some else None for some in pattern])
        run = lambda *ts, p=program: values_and_gradients(p, ts)
        found = refused(path, vmap(vmap(run, inner), outer, out_dims=1), *inputs)
        if found is not None:
            both = [np.stack([a, a[::-1]], 1) for a in expected]
            check_close(found, both)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("path", PATHS)
def test_operands_of_different_batches_give_all_pairs(path):
    for program, pattern, columns, _ in cases(path):
        if len(pattern) < 2 or not all(pattern):
            continue
        try:
            expected = [looped(program, [[first] * 3, *columns[1:]]) for first in columns[0]]
        except (ValueError, IndexError, RuntimeError, TypeError):
            continue
        if not all(expected):
            continue
        first, *rest = [gd.tensor(np.stack(column)) for column in columns]

        def outer(x, rest=rest, program=program):
            return vmap(lambda *ts: values_and_gradients(program, (x, *ts)))(*rest)

        found = refused(path, vmap(outer), first)
        if found is not None:
            check_close(found, [np.stack(rows) for rows in zip(*expected, strict=True)])


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("path", PATHS)
def test_gradients_through_vmap_are_summed_for_what_all_samples_share(path):
    for program, pattern, columns, _ in cases(path):

        def leaves(arrays):
            return [gd.tensor(a, requires_grad=a.dtype.kind in "fc") for a in arrays]

        def gradients(outputs, inputs):
            found = [t for t in outputs if t.requires_grad]
            wanted = [t for t in inputs if t.requires_grad]
            if not found or not wanted:
                return []
            total = sum([(t * weights(t)).sum() for t in found])
            if total.is_complex():
                total = total.real + 2 * total.imag
            return gd.autograd.grad(total, wanted, materialize_grads=True)

        batch = leaves(
            [np.stack(c) if some else c[0] for c, some in zip(columns, pattern, strict=True)]
        )
        dims = tuple([0 if some else None for some in pattern])
        run = vmap(lambda *ts, p=program: p(*ts), in_dims=dims)
        outputs = refused(path, run, *batch)
        if outputs is None:
            continue
        one = leaves(
            [np.stack(c) if some else c[0] for c, some in zip(columns, pattern, strict=True)]
        )
        rows = [
            program(*[t[i] if some else t for t, some in zip(one, pattern, strict=True)])
            for i in range(3)
        ]
        expected_outputs = [gd.stack(list(column)) for column in zip(*rows, strict=True)]
        try:
            expected = gradients(expected_outputs, one)
        except NotImplementedError:
            with pytest.raises(NotImplementedError):
                gradients(outputs, batch)
            continue
        check_close(gradients(outputs, batch), [t.numpy() for t in expected])


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize("path", PATHS)
def test_a_graph_from_outside_takes_batches_of_cotangents(path):
    for number in range(len(samples(path))):
        program = Program(path, number)
        inputs = [gd.tensor(a, requires_grad=a.dtype.kind in "fc") for a in program.arrays]
        wanted = [t for t in inputs if t.requires_grad]
        outputs = [t for t in program(*inputs) if t.requires_grad]
        if not wanted or not outputs:
            continue
        rows = [[weights(t) * factor for t in outputs] for factor in (1.0, -2.0, 0.5)]

        def gradients(cotangents, batched, outputs=outputs, wanted=wanted):
            return gd.autograd.grad(
                outputs,
                wanted,
                cotangents,
                retain_graph=True,
                is_grads_batched=batched,
                materialize_grads=True,
            )

        try:
            expected = [gradients(row, False) for row in rows]
        except NotImplementedError:
            continue
        batches = [gd.stack(list(column)) for column in zip(*rows, strict=True)]
        found = gradients(batches, True)
        check_close(found, [np.stack([g.numpy() for g in c]) for c in zip(*expected, strict=True)])


# where there is no reading ----------------------------------------------------------------------


def test_what_has_no_reading_runs_sample_by_sample_and_warns_once():
    def forward(xp, x):
        return np.sort(x) * 2.0  # NumPy's own function knows no batches

    def rule(xp, g, x):
        order = np.argsort(x)
        back = np.zeros(x.shape)
        back[order] = np.asarray(g) * 2.0
        return back

    sort = primitive("sorted_twice", forward, rule)
    x = gd.tensor([[3.0, 1.0, 2.0], [1.0, 2.0, 0.0]], requires_grad=True)
    try:
        with pytest.warns(
            UserWarning, match="performance drop because .* for sorted_twice"
        ) as seen:
            y = vmap(lambda x: sort(sort(x)))(x)
        assert len(seen) == 1
        assert y.tolist() == [[4.0, 8.0, 12.0], [0.0, 4.0, 8.0]]
        with pytest.warns(UserWarning, match="for SortedTwiceBackward0"):
            y.backward(gd.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        assert x.grad.tolist() == [[12.0, 4.0, 8.0], [20.0, 24.0, 16.0]]
        assert {"sorted_twice", "SortedTwiceBackward0"} == LOOPED
        with pytest.raises(gd.GradcoreError, match="sorted_twice runs sample by sample"):
            vmap(sort)(gd.zeros(0, 3))
    finally:
        LOOPED.clear()


def test_an_error_in_the_function_is_that_of_one_sample():
    with pytest.raises(RuntimeError, match=r"size of tensor a \(4\) must match .* tensor b \(3\)"):
        vmap(lambda x, y: x + y)(gd.zeros(2, 4), gd.zeros(2, 3))
    with pytest.raises(IndexError, match=r"index 7 is out of bounds"):
        vmap(lambda x: x[7])(gd.zeros(2, 4))


# the same program here and in PyTorch ------------------------------------------------------------

rng = np.random.default_rng(0)
X = rng.standard_normal((3, 4))
Y = rng.standard_normal((3, 4))
W = rng.standard_normal((5, 4))
CUBE = rng.standard_normal((2, 3, 4))
Pair = namedtuple("Pair", ["a", "b"])

PROGRAMS = {
    "in_dims": lambda lib, vmap: vmap(lambda x, y: x * y.sum(), in_dims=(1, 0))(
        lib.tensor(X), lib.tensor(Y.T.copy())
    ),
    "negative dims": lambda lib, vmap: vmap(lambda x: x.cumsum(0), in_dims=-1, out_dims=-2)(
        lib.tensor(CUBE)
    ),
    "None in in_dims": lambda lib, vmap: vmap(lambda x, w: w @ x, in_dims=(0, None))(
        lib.tensor(X), lib.tensor(W)
    ),
    "no Tensor": lambda lib, vmap: vmap(lambda x, n: x * n, in_dims=(0, None))(lib.tensor(X), 3),
    "containers": lambda lib, vmap: vmap(
        lambda d, pair: {"p": d["a"] * pair[0], "q": [d["b"][0] + pair[1]]},
        in_dims=({"a": 0, "b": None}, (1, None)),
        out_dims={"p": 1, "q": [0]},
    )({"a": lib.tensor(X), "b": [lib.tensor(Y[0])]}, (lib.tensor(Y.T.copy()), lib.tensor(2.0))),
    "prefixes of containers": lambda lib, vmap: vmap(
        lambda d: d["a"][0] + d["a"][1] * d["b"], in_dims=({"a": 0, "b": None},)
    )({"a": (lib.tensor(X), lib.tensor(Y)), "b": lib.tensor(Y[0])}),
    "named tuples": lambda lib, vmap: vmap(lambda p: Pair(p.a + p.b, p.a), out_dims=Pair(0, 1))(
        Pair(lib.tensor(X), lib.tensor(Y))
    ),
    "ordered dicts": lambda lib, vmap: vmap(lambda d: OrderedDict(z=d["x"], a=d["x"].sum()))(
        OrderedDict(x=lib.tensor(X))
    ),
    "named results": lambda lib, vmap: tuple(vmap(lambda x: lib.max(x, 0))(lib.tensor(X))),
    "keywords": lambda lib, vmap: vmap(lambda x, s: x * s)(lib.tensor(X), s=lib.tensor(X)),
    "out_dims of one": lambda lib, vmap: vmap(lambda x: x, out_dims=(1,))(lib.tensor(X)),
    "out_dims None": lambda lib, vmap: vmap(
        lambda x: (x, 3, lib.ones(2)), out_dims=(0, None, None)
    )(lib.tensor(X)),
    "the same for all": lambda lib, vmap: vmap(lambda x: lib.ones(2))(lib.tensor(X)),
    "nested": lambda lib, vmap: vmap(vmap(lambda x: x.flip(0) * x.sum()), in_dims=2, out_dims=1)(
        lib.tensor(CUBE)
    ),
    "nested over what is outside": lambda lib, vmap: vmap(
        lambda x: vmap(lambda y: lib.outer(x, y), out_dims=2)(lib.tensor(Y))
    )(lib.tensor(X)),
    "no samples": lambda lib, vmap: vmap(lambda x: (x * 2, x.sum()))(lib.zeros(0, 3)),
    "chunks": lambda lib, vmap: vmap(lambda x: (x * 2, x.sum()), out_dims=(1, 0), chunk_size=2)(
        lib.tensor(X)
    ),
    "chunks of one": lambda lib, vmap: vmap(lambda x: x.sum(), chunk_size=1)(lib.tensor(X)),
    "promotion": lambda lib, vmap: vmap(lambda x, s: x * s)(
        lib.tensor(X.astype(np.float32)), lib.tensor(Y[:, 0].copy())
    ),
    "promotion with what is outside": lambda lib, vmap: vmap(lambda x: x * lib.tensor(2.0))(
        lib.tensor(X.astype(np.float32)[:, 0].copy())
    ),
    "shapes": lambda lib, vmap: vmap(
        lambda x: lib.full((x.dim(), *x.shape, x.size(0), x.numel(), len(x)), 1.0)[0, 0]
    )(lib.tensor(CUBE)),
    "indices that differ": lambda lib, vmap: vmap(lambda x, i: x[i])(
        lib.tensor(X), lib.tensor(np.array([2, 0, 3]))
    ),
    "indices of what is outside": lambda lib, vmap: vmap(lambda i: lib.tensor(W)[i, 1:])(
        lib.tensor(np.array([[2, 0], [3, 3]]))
    ),
    "indices apart": lambda lib, vmap: vmap(
        lambda x, i, j: x[i, :, j], in_dims=(None, 0, 0)
    )(lib.tensor(CUBE), lib.tensor(np.array([[0, 1], [1, 1]])), lib.tensor(np.array([[3], [2]]))),
    "masks of what is outside": lambda lib, vmap: vmap(
        lambda x: x[lib.tensor(np.array([True, False, True, True]))]
    )(lib.tensor(X)),
    "creation": lambda lib, vmap: vmap(lambda x: x + lib.arange(4) * lib.eye(4)[1])(lib.tensor(X)),
    "creation like": lambda lib, vmap: vmap(
        lambda x: lib.zeros_like(x) + lib.full_like(x, 2) + x.new_ones(4)
    )(lib.tensor(X)),
    "device": lambda lib, vmap: vmap(lambda x: lib.ones(4, device=x.device).to(x.device) + x)(
        lib.tensor(X)
    ),
    "conversion": lambda lib, vmap: vmap(lambda x, y: x.to(y).float().to("cpu"), in_dims=(0, None))(
        lib.tensor(X), lib.tensor(X[0].astype(np.float32))
    ),
}  # fmt: skip


def arrays_of(value):
    """The results of a program: nested containers with arrays (and their dtypes) as leaves."""
    if isinstance(value, dict):
        return {name: arrays_of(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [arrays_of(v) for v in value]
    return value.detach().numpy() if hasattr(value, "detach") else value


def check_same_results(found, expected):
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            check_same_results(one, other)
        return
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    else:
        assert found == expected


@pytest.mark.parity
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_gives_what_pytorch_gives(name, torch):
    found = PROGRAMS[name](gd, vmap)
    expected = PROGRAMS[name](torch, torch.func.vmap)
    assert type(found).__name__ == type(expected).__name__
    check_same_results(arrays_of(found), arrays_of(expected))


def a(lib):
    return lib.tensor(X)


ERRORS = {
    "no inputs": (lambda lib, vmap: vmap(lambda: 1)(), "got no inputs"),
    "in_dims of another type": (
        lambda lib, vmap: vmap(lib.sin, in_dims=[0])(a(lib)),
        r"vmap\(sin, in_dims=\[0\], ...\)\(<inputs>\): expected `in_dims` to be int or a "
        r"\(potentially nested\) tuple matching the structure of inputs, got: <class 'list'>",
    ),
    "in_dims None": (
        lambda lib, vmap: vmap(lib.sin, in_dims=None)(a(lib)),
        "got: <class 'NoneType'>",
    ),
    "all None": (
        lambda lib, vmap: vmap(lib.sin, in_dims=(None,))(a(lib)),
        "vmap: Expected at least one Tensor to vmap over",
    ),
    "in_dims of another structure": (
        lambda lib, vmap: vmap(lambda x: x, in_dims=({"b": 0},))({"a": a(lib), "c": (1, 2)}),
        r"vmap\(<lambda>, in_dims=\({'b': 0},\), ...\)\(<inputs>\): in_dims is not compatible with "
        r"the structure of `inputs`. in_dims has structure TreeSpec\(tuple, None, "
        r"\[TreeSpec\(dict, \['b'\], \[\*\]\)\]\) but inputs has structure TreeSpec\(tuple, None, "
        r"\[TreeSpec\(dict, \['a', 'c'\], \[\*,",
    ),
    "in_dims too long": (
        lambda lib, vmap: vmap(lambda x: x, in_dims=(0, 1))(a(lib)),
        r"in_dims has structure TreeSpec\(tuple, None, \[\*,\n  \*\]\) but inputs has structure "
        r"TreeSpec\(tuple, None, \[\*\]\)",
    ),
    "a float": (
        lambda lib, vmap: vmap(lambda x: x, in_dims=(0.5,))(a(lib)),
        "Got in_dim=0.5 for an input but in_dim must be either an integer dimension or None",
    ),
    "no Tensor": (
        lambda lib, vmap: vmap(lambda x, y: x)(a(lib), 3),
        r"Got in_dim=0 for an input but the input is of type <class 'int'>. We cannot vmap over "
        "non-Tensor arguments, please use None as the respective in_dim",
    ),
    "out of range": (
        lambda lib, vmap: vmap(lambda x: x, in_dims=-3)(a(lib)),
        "Got in_dim=-3 for some input, but that input is a Tensor of dimensionality 2 so expected "
        "in_dim to satisfy -2 <= in_dim < 2",
    ),
    "a number": (
        lambda lib, vmap: vmap(lambda x: x)(lib.tensor(1.0)),
        "dimensionality 0 so expected in_dim to satisfy -0 <= in_dim < 0",
    ),
    "sizes": (
        lambda lib, vmap: vmap(lambda x, y: x, in_dims=(0, 1))(a(lib), a(lib)),
        r"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
        r"\[3, 4\] for the mapped dimension",
    ),
    "not only Tensors": (
        lambda lib, vmap: vmap(lambda x: (x, 3))(a(lib)),
        r"vmap\(<lambda>, ...\): `<lambda>` must only return Tensors, got type <class 'int'>. Did "
        "you mean to set out_dims= to None for output",
    ),
    "None returned": (
        lambda lib, vmap: vmap(lambda x: None)(a(lib)),
        "must only return Tensors, got type <class 'NoneType'>",
    ),
    "a batch where there is none": (
        lambda lib, vmap: vmap(lambda x: x, out_dims=None)(a(lib)),
        r"`<lambda>` can not return a BatchedTensor when out_dim is None",
    ),
    "out_dims out of range": (
        lambda lib, vmap: vmap(lambda x: x, out_dims=2)(a(lib)),
        r"Dimension out of range \(expected to be in range of \[-2, 1\], but got 2\)",
    ),
    "out_dims of another type": (
        lambda lib, vmap: vmap(lambda x: x, out_dims="a")(a(lib)),
        r"vmap\(<lambda>, ..., out_dims=a\): `out_dims` must be an int, None or a python "
        "collection of ints representing where in the outputs the vmapped dimension should appear",
    ),
    "out_dims of another structure": (
        lambda lib, vmap: vmap(lambda x: [x, x], out_dims=(0, 1))(a(lib)),
        r"vmap\(<lambda>, ..., out_dims=\(0, 1\)\)\(<inputs>\): out_dims is not compatible with "
        r"the structure of `outputs`. out_dims has structure TreeSpec\(tuple, None, \[\*,\n  \*"
        r"\]\) but outputs has structure TreeSpec\(list, None, \[\*,\n  \*\]\)",
    ),
    "out_dims for one output": (
        lambda lib, vmap: vmap(lambda x: x, out_dims=(0, 1))(a(lib)),
        r"but outputs has structure \*",
    ),
    "chunks of nothing": (
        lambda lib, vmap: vmap(lambda x: x, chunk_size=0),
        r"vmap: chunk_size should be None or greater than 0. \(got 0\)",
    ),
    "randomness": (
        lambda lib, vmap: vmap(lambda x: x, randomness="some"),
        "Only allowed values for randomness are 'error', 'different', or 'same'. Got some",
    ),
    "random numbers": (
        lambda lib, vmap: vmap(lambda x: x + lib.rand(4))(a(lib)),
        "vmap: called random operation while in randomness error mode. Please either use the "
        "'same' or 'different' randomness flags on vmap or perform the randomness operation out of "
        "vmap",
    ),
    "dropout": (
        lambda lib, vmap: vmap(lambda x: lib.nn.functional.dropout(x))(a(lib)),
        "called random operation while in randomness error mode",
    ),
    "bool": (
        lambda lib, vmap: vmap(lambda x: x if x.sum() > 0 else -x)(a(lib)),
        "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow",
    ),
    "item": (
        lambda lib, vmap: vmap(lambda x: x * x.sum().item())(a(lib)),
        r"vmap: It looks like you're calling .item\(\) on a Tensor. We don't support vmap over "
        r"calling .item\(\) on a Tensor, please try to rewrite what you're doing with other "
        "operations",
    ),
    "float": (lambda lib, vmap: vmap(lambda x: x * float(x[0]))(a(lib)), r"calling .item\(\)"),
    "int": (lambda lib, vmap: vmap(lambda x: x * int(x[0]))(a(lib)), r"calling .item\(\)"),
    "tolist": (
        lambda lib, vmap: vmap(lambda x: x.tolist())(a(lib)),
        "Cannot access data pointer of Tensor that doesn't have storage",
    ),
    "numpy": (
        lambda lib, vmap: vmap(lambda x: x.numpy())(a(lib)),
        "Cannot access data pointer of Tensor that doesn't have storage",
    ),
    "a mask": (
        lambda lib, vmap: vmap(lambda x: x[x > 0])(a(lib)),
        "vmap: We do not support batching operators that can support dynamic shape. Attempting to "
        "batch over indexing with a boolean mask",
    ),
    "nonzero": (
        lambda lib, vmap: vmap(lambda x: x.nonzero())(a(lib)),
        "vmap: We do not support batching operators that can output dynamic shape. Attempted to "
        "vmap over",
    ),
    "masked_select": (
        lambda lib, vmap: vmap(lambda x: x.masked_select(x > 0))(a(lib)),
        "vmap: Attempted to vmap over `mask` in",
    ),
    "backward": (
        lambda lib, vmap: vmap(lambda x: x.sum().backward())(a(lib).requires_grad_()),
        r"backward\(\) called inside a functorch transform. This is not supported",
    ),
    "writing a batch": (
        lambda lib, vmap: vmap(lambda x: lib.zeros(2, dtype=x.dtype).mul_(x[0]))(a(lib)),
        "vmap: inplace arithmetic",
    ),
    "batch norm's statistics": (
        lambda lib, vmap: vmap(
            lambda x: lib.nn.functional.batch_norm(x, lib.zeros(3), lib.ones(3), training=True)
        )(lib.tensor(CUBE.reshape(2, 4, 3).astype(np.float32))),
        "Batch norm got a batched tensor as input while the running_mean or running_var, which "
        "will be updated in place, were not batched",
    ),
}  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_that_of_pytorch(name, torch):
    call, match = ERRORS[name]
    with pytest.raises(Exception, match=match) as theirs:
        call(torch, torch.func.vmap)
    with pytest.raises(theirs.type, match=match) as ours:
        call(gd, vmap)
    assert isinstance(ours.value, gd.GradcoreError)
    assert vmap(gd.sin)(gd.tensor(X)).shape == (3, 4)  # no level is left open


# gradients ----------------------------------------------------------------------------------------


def layers(lib, dtype=np.float64):
    make = np.random.default_rng(1)
    shapes = ((6, 4), (6,), (3, 6), (3,))
    return [lib.tensor(make.standard_normal(s).astype(dtype)) for s in shapes]


def mlp_loss(lib, parameters, x, label):
    w, b, v, c = parameters
    functional = lib.nn.functional
    hidden = lib.tanh(functional.linear(x, w, b))
    scores = functional.linear(hidden, v, c)
    return functional.cross_entropy(scores.unsqueeze(0), label.unsqueeze(0))


LABELS = np.array([2, 0, 1])


def gradient(function):
    """What `func.grad` makes of a function of a list of Tensors first."""

    def call(parameters, *args):
        leaves = [p.detach().requires_grad_() for p in parameters]
        return gd.autograd.grad(function(leaves, *args), leaves)

    return call


@pytest.mark.parity
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_per_sample(dtype, torch):
    loss = functools.partial(mlp_loss, gd)
    x, labels = gd.tensor(X.astype(dtype)), gd.tensor(LABELS)
    found = vmap(gradient(loss), in_dims=(None, 0, 0))(layers(gd, dtype), x, labels)
    expected = torch.func.vmap(
        torch.func.grad(functools.partial(mlp_loss, torch)), in_dims=(None, 0, 0)
    )(tuple(layers(torch, dtype)), torch.tensor(X.astype(dtype)), torch.tensor(LABELS))
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.numpy().dtype == dtype
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2e-5, atol=1e-6)


@pytest.mark.parity
def test_gradients_of_a_loss_over_the_batch(torch):
    def run(lib, vmap):
        parameters = [p.requires_grad_() for p in layers(lib)]
        x = lib.tensor(X, requires_grad=True)
        losses = vmap(lambda x, label: mlp_loss(lib, parameters, x, label))(x, lib.tensor(LABELS))
        return lib.autograd.grad((losses * losses).sum(), [*parameters, x])

    for one, other in zip(run(gd, vmap), run(torch, torch.func.vmap), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parity
def test_second_derivatives_within_vmap_and_through_it(torch):
    def f(lib, x):
        return (lib.sin(x) * x.sum()).sum()

    def second(x):
        x = x.detach().requires_grad_()
        (g,) = gd.autograd.grad(f(gd, x), x, create_graph=True)
        return gd.autograd.grad((g * g).sum(), x)[0]

    grad = torch.func.grad
    expected = torch.func.vmap(grad(lambda x: (grad(lambda x: f(torch, x))(x) ** 2).sum()))(
        torch.tensor(X)
    ).numpy()
    np.testing.assert_allclose(vmap(second)(gd.tensor(X)).numpy(), expected, rtol=1e-9)
    x = gd.tensor(X, requires_grad=True)
    y = vmap(lambda x: f(gd, x))(x)
    (g,) = gd.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = gd.autograd.grad((g * g).sum(), x)
    np.testing.assert_allclose(h.numpy(), expected, rtol=1e-9)


@pytest.mark.parity
@pytest.mark.parametrize("base", [2, 2.0, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_second_derivatives_by_an_exponent_of_a_number(dtype, base):
    values = np.array([[0.5, 1.0], [-2.0, 3.0]]).astype(dtype)
    x = gd.tensor(values)
    found = vmap(gd.func.hessian(lambda x: (base**x).sum()))(x).numpy()
    expected = np.log(base) ** 2 * base**values
    np.testing.assert_allclose(found, expected[..., None] * np.eye(2), rtol=1e-6)


def test_a_jacobian_is_vmap_over_cotangents(torch):
    def f(lib, x):
        return lib.softmax(lib.tensor(W) @ x, 0)

    x = gd.tensor(X[0], requires_grad=True)
    y = f(gd, x)
    rows = vmap(lambda v: gd.autograd.grad(y, x, v, retain_graph=True)[0])(
        gd.eye(5, dtype=gd.float64)
    )
    expected = torch.func.jacrev(lambda x: f(torch, x))(torch.tensor(X[0])).numpy()
    np.testing.assert_allclose(rows.numpy(), expected, rtol=1e-9, atol=1e-12)

    # Of all inputs at once: a vmap in a vmap.
    def jacobian(x):
        x = x.detach().requires_grad_()
        y = f(gd, x)
        return vmap(lambda v: gd.autograd.grad(y, x, v, retain_graph=True)[0])(
            gd.eye(5, dtype=gd.float64)
        )

    expected = torch.func.vmap(torch.func.jacrev(lambda x: f(torch, x)))(torch.tensor(X)).numpy()
    np.testing.assert_allclose(
        vmap(jacobian)(gd.tensor(X)).numpy(), expected, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parity
@pytest.mark.parametrize("create_graph", [False, True])
def test_grad_of_batches_of_cotangents(create_graph, torch):
    def run(lib):
        x = lib.tensor(X, requires_grad=True)
        w = lib.tensor(W, requires_grad=True)
        unused = lib.ones(2, requires_grad=True)
        y = lib.tanh(x @ w.T)
        z = (x * x).sum()
        v = lib.tensor(np.arange(30.0).reshape(2, 3, 5))
        u = lib.tensor(np.array([1.0, -2.0]))
        found = lib.autograd.grad(
            (y, z),
            (x, w, unused),
            (v, u),
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=True,
        )
        assert found[2] is None
        results = list(found[:2])
        if create_graph:
            total = sum([(g * g).sum() for g in results])
            results += lib.autograd.grad(total, (x, w))
        return [g.detach().numpy() for g in results]

    for one, other in zip(run(gd), run(torch), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parity
def test_batches_of_cotangents_that_do_not_fit(torch):
    def call(lib, *cotangents):
        x = lib.tensor(X, requires_grad=True)
        y = tuple([x * i for i in range(len(cotangents))])
        return lib.autograd.grad(y, x, cotangents, is_grads_batched=True)

    for lib in (torch, gd):
        with pytest.raises(
            RuntimeError, match="If `is_grads_batched=True`, we interpret the first"
        ):
            call(lib, lib.ones(3, 4))
        with pytest.raises(ValueError, match=r"got sizes \[2, 5\] for the mapped dimension"):
            call(lib, lib.ones(2, 3, 4), lib.ones(5, 3, 4))


def test_a_product_is_summed_only_where_an_operand_was_the_same_for_all():
    # A conversion within vmap is no sign of that, though both make the same node.
    x = gd.tensor(X.reshape(3, 2, 2).astype(np.float32), requires_grad=True)
    w = gd.tensor(W[:2, :2], requires_grad=True)
    y = vmap(lambda x: x.double() @ w)(x)
    g, h = gd.autograd.grad((y * y).sum(), (x, w))
    a = X.reshape(3, 2, 2).astype(np.float32).astype(float)
    slope = 2 * a @ W[:2, :2]
    np.testing.assert_allclose(g.numpy(), slope @ W[:2, :2].T, rtol=1e-6)
    np.testing.assert_allclose(h.numpy(), (a.mT @ slope).sum(0), rtol=1e-9)


PAIRS = {
    "product": lambda lib, a, b: (a * b).sum(),
    "used twice": lambda lib, a, b: (a * b).sum() * a.sum(),
    "matrix product": lambda lib, a, b: (a[:, None] @ b[None]).sin().sum(),
    "vector product": lambda lib, a, b: (b * a).sum() + a @ a,
    "joined": lambda lib, a, b: (lib.cat([a, b]) ** 3).sum(),
    "softmax": lambda lib, a, b: (lib.softmax(a, 0) * b).sum(),
    "linear": lambda lib, a, b: lib.nn.functional.linear(b, a[None], a[:1]).tanh().sum(),
    "einsum": lambda lib, a, b: lib.einsum("i,j->ij", a * a, b).sin().sum(),
    "indices": lambda lib, a, b: (a[[0, 0, 2]] * b[0]).sum(),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_through_vmaps_within_one_another(name, create_graph, torch):
    # Some of what each sees is the same for all samples: of the outer, the inner, or both.
    f = PAIRS[name]

    def run(lib, vmap):
        a = lib.tensor(CUBE[:, 0, :3].copy(), requires_grad=True)
        b = lib.tensor(CUBE[:, :, :3].copy(), requires_grad=True)
        c = lib.tensor(Y[0, :3].copy(), requires_grad=True)

        def outer(a, b):
            def inner(b):
                t = f(lib, a, b) + f(lib, c, b) + f(lib, a, c)
                return t * t.sin()

            s = a.sin().sum() + (c * a).sum() + vmap(inner)(b).sum()
            return s * s

        total = vmap(outer)(a, b).sum() + (c * c).sum()
        found = lib.autograd.grad(total, (a, b, c), create_graph=create_graph)
        if create_graph:
            norm = sum([(g * g).sum() for g in found])
            found = (*found, *lib.autograd.grad(norm, (a, b, c)))
        return [g.detach().numpy() for g in found]

    for one, other in zip(run(gd, vmap), run(torch, torch.func.vmap), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def test_a_cotangent_is_summed_once_where_one_that_all_share_joins_it():
    x = gd.tensor(2.0, requires_grad=True)
    w = gd.tensor(X[:, 0])
    total = x * x

    def per_sample(w):
        y = x * x
        return y * w, y

    first, second = vmap(per_sample)(w)
    (g,) = gd.autograd.grad((first.sum() + second.sum() + total), x, create_graph=True)
    (h,) = gd.autograd.grad(g * g, x)
    factor = 2 * (X[:, 0].sum() + 3 + 1)
    np.testing.assert_allclose(g.item(), factor * 2, rtol=1e-6)
    np.testing.assert_allclose(h.item(), 2 * factor * 2 * factor, rtol=1e-6)


def test_gradients_within_vmap_may_be_of_what_is_outside():
    w = gd.tensor(Y[0], requires_grad=True)
    rows = vmap(lambda x: gd.autograd.grad((w * w * x).sum(), w)[0])(gd.tensor(X))
    np.testing.assert_allclose(rows.numpy(), 2 * Y[0] * X)


def test_hooks_within_vmap_see_what_the_function_sees():
    shapes = []
    x = gd.tensor(X, requires_grad=True)

    def f(x):
        y = x * 2
        y.register_hook(lambda g: shapes.append(g.shape) or g * 3)
        return y.sum()

    vmap(f)(x).sum().backward()
    assert shapes == [(4,)]
    assert x.grad.tolist() == [[6.0] * 4] * 3


class Cube(gd.autograd.Function):
    """x ** 3, with a derivative that is told."""

    @staticmethod
    def forward(ctx, x):
        """Save the input."""
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        """Take ten times the derivative, so that a test can tell."""
        (x,) = ctx.saved_tensors
        return 30 * x * x * g


def test_functions_of_the_user_run_within_vmap():
    x = gd.tensor(X, requires_grad=True)
    y = vmap(lambda x: Cube.apply(x) * x.sum())(x)
    (g,) = gd.autograd.grad(y.sum(), x)
    expected = 30 * X * X * X.sum(1, keepdims=True) + (X**3).sum(1, keepdims=True)
    np.testing.assert_allclose(g.numpy(), expected)

    def within(x):
        x = x.detach().requires_grad_()
        return gd.autograd.grad(Cube.apply(x).sum(), x)[0]

    np.testing.assert_allclose(vmap(within)(gd.tensor(X)).numpy(), 30 * X * X)


def scaled(lib, result, generate=False):
    """A Function whose `vmap` gives what `result(x, y)` does, and what it was told."""
    seen = []

    class Product(lib.autograd.Function):
        """x * y, and the sum of x."""

        generate_vmap_rule = generate

        @staticmethod
        def forward(x, y):
            """Run on one sample."""
            return x * y, x.sum()

        @staticmethod
        def setup_context(ctx, inputs, output):
            """Save the inputs."""
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g, h):
            """Take the derivatives."""
            x, y = ctx.saved_tensors
            return g * y + h, g * x

        @staticmethod
        def vmap(info, in_dims, x, y):
            """Run on all samples, with operations that can be recorded."""
            seen.append((tuple(info), in_dims, tuple(x.shape), tuple(y.shape)))
            return result(x, y)

    return Product.apply, seen


VMAP_RESULTS = {
    "a tuple": lambda x, y: ((2 * x * y, x.sum(1)), (0, 0)),
    "one dim for all": lambda x, y: ((2 * x * y, x.sum(1)), 0),
    "the same for all": lambda x, y: ((2 * x * y, x.sum()), (0, None)),
    "another dimension": lambda x, y: (((2 * x * y).mT, x.sum(1)), (-1, 0)),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", VMAP_RESULTS)
def test_functions_of_the_user_may_say_how_they_run_within_vmap(name, torch):
    results = []
    for lib, over in ((gd, vmap), (torch, torch.func.vmap)):
        apply, seen = scaled(lib, VMAP_RESULTS[name])
        x, y = lib.tensor(X, requires_grad=True), lib.tensor(Y[0], requires_grad=True)
        z, total = over(apply, in_dims=(0, None), randomness="same")(x, y)
        gradients = lib.autograd.grad((z * z).sum() + total.sum(), (x, y))
        nested = over(over(apply, in_dims=(0, None)), in_dims=(None, 0))(x, lib.tensor(Y[:2]))
        results.append((seen, [t.detach().numpy() for t in (z, total, *gradients, *nested)]))
    (ours, found), (theirs, expected) = results
    assert ours == theirs
    check_same_results(found, expected)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("result", "generate", "match"),
    [
        (lambda x, y: 3, False, "Expected the vmap staticmethod to have two returns.* Got a <cla"),
        (lambda x, y: (x, y, 0), False, "Expected the vmap staticmethod.* Got 3 returns instead"),
        (
            lambda x, y: ((x, y), (0, 0, 0)),
            False,
            r"returned an incompatible \(output, out_dims\) tuple. Expected out_dims=\(0, 0, 0\)",
        ),
        (lambda x, y: (x, 0), True, "both generate_vmap_rule=True and an overrid"),
    ],
)
def test_how_a_function_runs_within_vmap_must_be_said_right(result, generate, match, torch):
    for lib, over in ((torch, torch.func.vmap), (gd, vmap)):
        apply, _ = scaled(lib, result, generate)
        with pytest.raises(RuntimeError, match=match):
            over(apply, in_dims=(0, None))(lib.tensor(X), lib.tensor(Y[0]))
    assert vmap(gd.sin)(gd.tensor(X)).shape == (3, 4)


@pytest.mark.parametrize("create_graph", [False, True])
def test_functions_of_the_user_take_batches_of_cotangents(create_graph):
    x = gd.tensor(X[0], requires_grad=True)
    y = Cube.apply(x)
    (rows,) = gd.autograd.grad(
        y, x, gd.eye(4, dtype=gd.float64), create_graph=create_graph, is_grads_batched=True
    )
    np.testing.assert_allclose(rows.detach().numpy(), np.diag(30 * X[0] ** 2))
    if create_graph:
        (second,) = gd.autograd.grad(rows.sum(), x)
        np.testing.assert_allclose(second.numpy(), 60 * X[0])


def test_fused_graphs_take_batches_of_cotangents_one_by_one():
    x = gd.tensor(X[0], requires_grad=True)
    y = gd.fuse(lambda x: x * x, name="squares")(x)
    try:
        with pytest.warns(UserWarning, match="performance drop"):
            (rows,) = gd.autograd.grad(y, x, gd.eye(4, dtype=gd.float64), is_grads_batched=True)
    finally:
        LOOPED.clear()
    np.testing.assert_allclose(rows.numpy(), np.diag(2 * X[0]))


def test_fused_functions_run_within_vmap():
    fused = gd.fuse(lambda x, y: (x * y).sum() + x)
    x, y = gd.tensor(X, requires_grad=True), gd.tensor(Y)
    z = vmap(fused)(x, y)
    np.testing.assert_allclose(z.detach().numpy(), (X * Y).sum(1, keepdims=True) + X)
    (g,) = gd.autograd.grad(z.sum(), x)
    np.testing.assert_allclose(g.numpy(), 4 * Y + 1)


# random numbers -----------------------------------------------------------------------------------

DRAWS = {
    "rand": lambda x: gd.rand(50),
    "randn": lambda x: gd.randn(50, dtype=gd.float64),
    "randint": lambda x: gd.randint(0, 1000, (50,)),
    "randperm": lambda x: gd.randperm(50),
    "rand_like": lambda x: gd.rand_like(x),
    "dropout": lambda x: gd.nn.functional.dropout(gd.ones(50)),
    "normal_": lambda x: gd.zeros_like(x).normal_(),
}


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_differ_or_are_the_same(name):
    x = gd.zeros(3, 50)
    gd.manual_seed(1)
    same = vmap(DRAWS[name], randomness="same")(x)
    gd.manual_seed(1)
    alone = DRAWS[name](x[0])
    assert same.tolist() == [alone.tolist()] * 3
    rows = vmap(DRAWS[name], randomness="different")(x).tolist()
    assert len({tuple(row) for row in rows}) == 3
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(DRAWS[name])(x)


def test_random_numbers_of_two_vmaps():
    def draw(outer, inner):
        f = vmap(lambda x: gd.rand(4), randomness=inner)
        return vmap(f, randomness=outer)(gd.zeros(2, 3)).numpy()

    assert len(np.unique(draw("different", "different"))) == 24
    both = draw("different", "same")
    assert (both == both[:, :1]).all()
    assert len(np.unique(both)) == 8
    both = draw("same", "different")
    assert (both == both[:1]).all()
    assert len(np.unique(both)) == 12
    assert len(np.unique(draw("same", "same"))) == 4
    with pytest.raises(RuntimeError, match="randomness error mode"):
        draw("error", "different")


def test_chunks_draw_the_same_numbers_where_all_do():
    f = vmap(lambda x: x + gd.rand(4), randomness="same", chunk_size=2)
    rows = f(gd.zeros(5, 4)).tolist()
    assert rows == [rows[0]] * 5
    assert f(gd.zeros(5, 4)).tolist() != rows


# writing ------------------------------------------------------------------------------------------


def set_items(lib, x, y):
    z = lib.zeros_like(x)
    z[0] = x[1]
    z[2:] = y[:2]
    return z * x


def set_rows_of_new(lib, x, y):
    z = x.new_zeros((2, 4))
    z[0] = x
    z[1] = y * 2
    return z


def add_to_a_view(lib, x, y):
    x[1:3].add_(y[:2])
    return x * y


def multiply(lib, x, y):
    x.mul_(y)
    return x + 1


def set_at_places(lib, x, y):
    x[lib.tensor(np.array([0, 2]))] = y[lib.tensor(np.array([1, 1]))]
    return x


def write_a_reshaped_view(lib, x, y):
    x.reshape(2, 2)[0] *= 3
    return x * y


def clamp_and_set(lib, x, y):
    z = x * 1
    z[1] = 5.0
    z.clamp_(-1, 4)
    return z * y


WRITES = (
    set_items,
    set_rows_of_new,
    add_to_a_view,
    multiply,
    set_at_places,
    write_a_reshaped_view,
    clamp_and_set,
)


@pytest.mark.parity
@pytest.mark.parametrize("function", WRITES)
@pytest.mark.parametrize("record", [False, True])
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_writing_in_place_within_vmap(function, record, torch):
    def run(lib, vmap):
        leaves = [lib.tensor(value, requires_grad=record) for value in (X, Y)]
        x, y = [leaf * 1.0 for leaf in leaves]
        out = vmap(lambda x, y: function(lib, x, y))(x, y)
        results = [out, x]  # the input was written to as well
        if record:
            weights = lib.tensor(np.cos(np.arange(out.numel())).reshape(tuple(out.shape)))
            total = (out * weights).sum() + (x * x).sum()
            results += lib.autograd.grad(total, leaves, allow_unused=True)
        return [None if t is None else t.detach().numpy() for t in results]

    for one, other in zip(run(gd, vmap), run(torch, torch.func.vmap), strict=True):
        if other is None:
            assert one is None or not one.any()
        else:
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_failed_write_changes_nothing():
    target = gd.zeros(4, dtype=gd.float64)
    with pytest.raises(RuntimeError, match="vmap: inplace arithmetic"):
        vmap(lambda x: target.add_(x))(gd.tensor(X))
    assert target.tolist() == [0.0] * 4
    assert target._version == 0

    def inner(x):
        z = gd.zeros_like(x)
        return vmap(lambda y: z.add_(y))(gd.tensor(Y))

    with pytest.raises(RuntimeError, match="vmap: inplace arithmetic"):
        vmap(inner)(gd.tensor(X))


def test_what_was_saved_must_not_be_written_to_within_vmap():
    x = gd.tensor(X, requires_grad=True)

    def f(x):
        y = x.exp()
        z = y * y
        y.add_(1)
        return z

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        vmap(f)(x).sum().backward()


# the rest -----------------------------------------------------------------------------------------


@pytest.mark.parity
def test_a_batch_is_printed_as_one(torch):
    texts = []
    for lib, over in ((gd, vmap), (torch, torch.func.vmap)):
        over(over(lambda x: texts.append(repr(x)) or x))(lib.tensor(CUBE.astype(np.float32)))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("create_graph", [False, True])
def test_memory_is_freed_without_the_cycle_collector(create_graph):
    held = []

    def f(d):
        y = d["x"].sin()
        held.append(weakref.ref(y._array.inner))
        return {"y": (y * d["w"]).sum()}

    gc.disable()
    try:
        x, w = gd.tensor(X, requires_grad=True), gd.tensor(Y[0], requires_grad=True)
        y = vmap(f, in_dims=({"x": 0, "w": None},))({"x": x, "w": w})["y"]
        found = gd.autograd.grad(y.sum(), (x, w), create_graph=create_graph)
        assert held[0]() is None or create_graph
        del y, found
        assert held[0]() is None
    finally:
        gc.enable()


def test_threads_have_levels_of_their_own():
    found = []

    def other():
        found.append(vmap(lambda x: x.sum())(gd.tensor(X)))

    def f(x):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return x * 2

    np.testing.assert_allclose(vmap(f)(gd.tensor(X)).numpy(), X * 2)
    np.testing.assert_allclose(found[0].numpy(), X.sum(1))


def test_the_function_keeps_its_name():
    def per_sample(x):
        """What it does."""
        return x

    assert vmap(per_sample).__name__ == "per_sample"
    assert gd.vmap is vmap
    partial = functools.partial(lambda x, n: 3, n=1)
    with pytest.raises(ValueError, match=r"vmap\(functools.partial\(<lambda>, ...\), ...\)"):
        vmap(partial)(gd.tensor(X))


def test_recording_can_be_off():
    x = gd.tensor(X, requires_grad=True)
    with gd.no_grad():
        assert not vmap(lambda x: x * 2)(x).requires_grad
    assert not vmap(lambda x: x.detach() * 2)(x).requires_grad


def test_float16_is_what_it_is_without_vmap():
    x = gd.tensor(np.full((2, 5000), 0.1, np.float16))
    w = gd.tensor(np.full((3, 5000), 0.1, np.float16))
    for f in (lambda x: x.sum(), lambda x: x.cumsum(0), lambda x: x @ w.T, lambda x: x @ x):
        found = vmap(f)(x)
        assert found.dtype is gd.float16
        assert found[0].tolist() == f(x[0]).tolist()
