"""Views, rearrangements, joining and splitting, against NumPy and PyTorch; conversions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradcore as gd
from gradcore.autograd import grad
from gradcore.tensor import wrap

SHAPES = st.lists(st.integers(0, 4), min_size=0, max_size=4).map(tuple)


def values(shape):
    return np.arange(1.0, 1.0 + np.prod(shape, dtype=int)).reshape(shape)


def agree(torch, ours, theirs, shape):
    """Both functions of an array of `shape` give the same values and gradients."""
    a = values(shape)
    x, reference = wrap(a, True), torch.tensor(a, requires_grad=True)
    y, expected = ours(x), theirs(reference)
    if not isinstance(y, tuple):
        y, expected = (y,), (expected,)
    assert [tuple(p.shape) for p in y] == [tuple(p.shape) for p in expected]
    seeds = [np.random.default_rng(0).normal(size=p.shape) for p in y]
    for p, q in zip(y, expected, strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy())
    if y:
        (g,) = grad(y, x, [wrap(v) for v in seeds])
        torch.autograd.backward(expected, [torch.tensor(v) for v in seeds])
        assert np.allclose(g.numpy(), reference.grad.numpy())


@pytest.mark.parity
@given(data=st.data(), shape=SHAPES)
def test_views_are_those_of_pytorch(torch, data, shape):
    n = max(len(shape), 1)
    d0, d1 = (data.draw(st.integers(-n, n - 1)) for _ in range(2))
    at = data.draw(st.integers(-n - 1, n)) if shape else data.draw(st.sampled_from([0, -1]))
    order = data.draw(st.permutations(range(len(shape))))
    ours, theirs = data.draw(
        st.sampled_from(
            [
                (lambda x: x.transpose(d0, d1),) * 2,
                (lambda x: x.permute(tuple(order)),) * 2,
                (lambda x: x.movedim(d0, d1),) * 2,
                (lambda x: x.squeeze(),) * 2,
                (lambda x: x.squeeze(d0),) * 2,
                (lambda x: x.unsqueeze(at),) * 2,
                (lambda x: x.flatten(min(d0 % n, d1 % n), max(d0 % n, d1 % n)),) * 2,
                (lambda x: x.permute(tuple(order)).reshape(-1),) * 2,
                (lambda x: x.expand(2, *shape),) * 2,
                (lambda x: x.flip((d0,)),) * 2,
                (lambda x: x.roll(2),) * 2,
                (lambda x: x.tile((2, 1)),) * 2,
                (lambda x: x.repeat((2,) * (n + 1)),) * 2,
                (gd.atleast_2d, torch.atleast_2d),
                (gd.atleast_3d, torch.atleast_3d),
            ]
        )
    )
    if 0 in shape and "reshape" in ours.__code__.co_names:
        return
    agree(torch, ours, theirs, shape)


@pytest.mark.parity
@given(data=st.data(), shape=SHAPES.filter(bool))
def test_pieces_are_those_of_pytorch(torch, data, shape):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = data.draw(st.integers(1, 5))
    cuts = data.draw(st.lists(st.integers(-5, 5), max_size=3))
    ours, theirs = data.draw(
        st.sampled_from(
            [
                (lambda x: x.split(size, dim), lambda x: tuple(x.split(size, dim))),
                (lambda x: x.chunk(size, dim),) * 2,
                (lambda x: x.unbind(dim),) * 2,
                (lambda x: x.tensor_split(size, dim),) * 2,
                (lambda x: x.tensor_split(tuple(cuts), dim),) * 2,
            ]
        )
    )
    agree(torch, ours, theirs, shape)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(-2, 1), st.integers(0, 15))
def test_cat_cuts_the_gradient_again(lengths, dim, which):
    shapes = [(2, n) if dim % 2 else (n, 2) for n in lengths]
    xs = [wrap(values(shape), bool(which >> i & 1)) for i, shape in enumerate(shapes)]
    y = gd.cat(xs, dim)
    expected = np.concatenate([x.detach().numpy() for x in xs], dim)
    assert np.array_equal(y.detach().numpy(), expected)
    wanted = [x for x in xs if x.requires_grad]
    assert y.requires_grad == bool(wanted)
    if wanted:
        v = np.random.default_rng(0).normal(size=expected.shape)
        pieces = np.split(v, np.cumsum(lengths)[:-1], dim)
        gradients = iter(grad(y, wanted, wrap(v)))
        for x, piece in zip(xs, pieces, strict=True):
            if x.requires_grad:
                assert np.array_equal(next(gradients).numpy(), piece)


def test_views_share_memory():
    a = values((2, 3))
    x = wrap(a)
    for y in (
        x.reshape(3, 2),
        x.view(6),
        x.T,
        x.mT,
        x.t(),
        x.transpose(0, 1),
        x.permute(1, 0),
        x.unsqueeze(0).squeeze(),
        x.flatten(),
        x.expand(4, 2, 3),
        x.diagonal(),
        x.narrow(0, 0, 1),
        x.select(1, 0),
        *x.unbind(1),
        *x.split(1),
        *x.chunk(2, 1),
    ):
        assert np.shares_memory(y.numpy(), a)
    for y in (x.flip(0), x.clone(), x.repeat(1, 1), x.roll(0), x.tril(), gd.cat([x])):
        assert not np.shares_memory(y.numpy(), a)


def test_view_refuses_to_copy():
    x = wrap(values((2, 3))).T
    assert x.view(3, 2, 1).shape == (3, 2, 1)
    with pytest.raises(RuntimeError, match=r"view size is not compatible .* Use .reshape"):
        x.view(6)


def test_one_node_for_all_pieces():
    x = wrap(values((4, 2)), True)
    pieces = x.split(2)
    assert pieces[0].grad_fn is pieces[1].grad_fn
    assert pieces[0].grad_fn.name() == "SplitBackward0"
    assert [p.output_nr for p in pieces] == [0, 1]
    (pieces[1] * 3.0).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], [0.0, 0.0], [3.0, 3.0], [3.0, 3.0]]


def test_iteration_differentiates():
    x = wrap(values((3,)), True)
    first, _, last = x
    (first * last).backward()
    assert x.grad.tolist() == [3.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("names", "dtype"),
    [
        (["int32", "float64"], "float64"),
        (["float16", "int64"], "float16"),
        (["float32", "complex64"], "complex64"),
        (["uint8", "int8"], "int16"),
        (["bool", "int32"], "int32"),
    ],
)
def test_joined_dtypes_promote_as_in_pytorch(names, dtype):
    xs = [wrap(np.ones(2, name)) for name in names]
    assert gd.cat(xs).dtype.name == dtype
    assert gd.stack(xs).dtype.name == dtype


def test_gradient_of_a_promoted_part_has_its_own_dtype():
    x, y = wrap(np.ones(2, np.float32), True), wrap(np.ones(2), True)
    gd.cat([x, y]).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (gd.float32, gd.float64)


def test_numpy_functions_rearrange():
    a = values((2, 3))
    x = wrap(a, True)
    for function in (
        np.transpose,
        np.ravel,
        np.flip,
        np.fliplr,
        np.rot90,
        np.tril,
        np.diagonal,
        np.atleast_3d,
        np.squeeze,
        lambda t: np.transpose(t, (1, 0)),
        lambda t: np.reshape(t, (3, 2)),
        lambda t: np.reshape(t, -1, order="F"),
        lambda t: np.swapaxes(t, 0, 1),
        lambda t: np.moveaxis(t, 0, -1),
        lambda t: np.expand_dims(t, (0, 2)),
        lambda t: np.broadcast_to(t, (2, 2, 3)),
        lambda t: np.concatenate((t, t), axis=1),
        lambda t: np.stack([t, t], axis=-1),
        lambda t: np.hstack((t, t)),
        lambda t: np.vstack((t, t)),
        lambda t: np.dstack((t, t)),
        lambda t: np.column_stack((t, t)),
        lambda t: np.roll(t, 1),
        lambda t: np.roll(t, 1, axis=(0, 1)),
        lambda t: np.roll(t, (1, 2), axis=1),
        lambda t: np.tile(t, 2),
        lambda t: np.tile(t, (2, 1, 1)),
        lambda t: np.diag(t[0], 1),
        lambda t: np.split(t, 3, axis=1)[1],
        lambda t: np.array_split(t, 2, axis=1)[0],
        lambda t: np.split(t, [1, 2], axis=1)[2],
    ):
        y = function(x)
        assert y.requires_grad
        assert np.array_equal(y.detach().numpy(), function(a))


def test_numpy_split_must_divide():
    with pytest.raises(ValueError, match="equal division"):
        np.split(wrap(values((2, 3))), 2, axis=1)


def test_functions_take_arrays():
    assert gd.flatten(np.ones((2, 3))).shape == (6,)
    assert gd.reshape(np.ones((2, 3)), (3, 2)).shape == (3, 2)
    with pytest.raises(TypeError, match="must be"):
        gd.reshape("abc", (3,))


# conversions


def test_to_gives_itself_where_nothing_changes():
    x = wrap(np.ones(2, np.float32), True)
    for y in (
        x.to(),
        x.to(gd.float32),
        x.to("cpu"),
        x.to("cpu", gd.float32),
        x.to(x),
        x.float(),
        x.cpu(),
        x.contiguous(),
        x.type_as(x),
    ):
        assert y is x
    assert x.to(gd.float32, copy=True) is not x
    assert not np.shares_memory(x.to(gd.float32, False, True).detach().numpy(), x.data.numpy())


@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        ("double", "float64"),
        ("float", "float32"),
        ("half", "float16"),
        ("cdouble", "complex128"),
        ("cfloat", "complex64"),
        ("long", "int64"),
        ("int", "int32"),
        ("short", "int16"),
        ("char", "int8"),
        ("byte", "uint8"),
        ("bool", "bool"),
    ],
)
@pytest.mark.parametrize("source", ["float64", "complex64", "int32", "bool"])
def test_casts(method, dtype, source):
    x = wrap(np.array([0, 1, 2.5]).astype(source))
    y = getattr(x, method)()
    real = x.numpy().real if source == "complex64" and dtype[0] not in "cb" else x.numpy()
    assert y.dtype.name == dtype
    assert np.array_equal(y.numpy(), real.astype(dtype))


def test_gradient_of_a_cast_has_the_dtype_of_its_input():
    x = wrap(np.ones(2, np.float32), True)
    x.cdouble().backward(wrap(np.array([1 + 2j, 3 - 1j])))
    assert x.grad.dtype is gd.float32
    assert x.grad.tolist() == [1.0, 3.0]
    assert not x.long().requires_grad


def test_cast_twice_differentiable():
    x = wrap(np.ones(2, np.float32), True)
    y = x.double()
    (g,) = grad((y * y * y).sum(), x, create_graph=True)
    (h,) = grad(g.sum(), x)
    assert h.dtype is gd.float32
    assert h.tolist() == [6.0, 6.0]


def test_type_names():
    x = wrap(np.ones(2, np.float32))
    assert x.type() == "gradcore.FloatTensor"
    assert x.type("gradcore.DoubleTensor").dtype is gd.float64
    assert x.type(gd.int64).dtype is gd.int64


def test_clone_keeps_the_order_in_memory():
    x = wrap(values((2, 3))).T
    assert x.clone().stride() == x.stride()
    assert x.clone(memory_format=gd.contiguous_format).stride() == (2, 1)
    assert x.contiguous().is_contiguous()


def test_cuda_is_only_for_cuda_devices():
    with pytest.raises(ValueError, match="must be cuda device"):
        wrap(np.ones(2)).cuda("cpu")


@pytest.mark.skipif(gd.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_says_what_is_missing():
    with pytest.raises(RuntimeError, match="CuPy") as raised:
        wrap(np.ones(2)).to("cuda")
    assert isinstance(raised.value, gd.GradcoreError)
