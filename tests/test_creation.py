"""Making Tensors: from data, filled, in ranges, at random; against PyTorch where it says more."""

import contextlib
import warnings

import numpy as np
import pytest

import gradcore as gd
from oracle import DTYPES, check_same

parity = pytest.mark.parity


def both(torch, make):
    """What `make(module)` gives here and in PyTorch; a Tensor must require grad in both or none."""
    here = make(gd)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a list of arrays is slow there
        there = make(torch)
    check_same(here, there, 1e-6, "")
    assert here.requires_grad == there.requires_grad
    return here


# from data -----------------------------------------------------------------------------------

DATA = [
    3,
    True,
    1.5,
    1j,
    [],
    [[]],
    [[1, 2], [3, 4]],
    (1, 2),
    range(3),
    [1, 2.0],
    [True, 2],
    [True, 2.5],
    [1, 2j],
    [[[1]], [[2]]],
    1e400,
    2**63 - 1,
    -(2**63),
    np.float32(3),
    np.float64(3),
    np.int32(3),
    np.bool_(True),
    [np.float64(3)],
    [np.float32(3)],
    [np.int32(3)],
    [np.ones(2), np.zeros(2)],
]


@parity
@pytest.mark.parametrize("data", DATA, ids=repr)
def test_data_gives_pytorchs_values_and_dtype(torch, data):
    both(torch, lambda m: m.tensor(data))
    both(torch, lambda m: m.as_tensor(data))


@parity
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_keep_their_dtype(torch, dtype):
    array = np.array([[0, 1], [2, 3]]).astype(dtype)
    both(torch, lambda m: m.tensor(array))
    both(torch, lambda m: m.as_tensor(array))
    both(torch, lambda m: m.from_numpy(array))


@parity
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("data", [[0, 1, 2], [0.0, 1.9, -1.9], [True, False]], ids=repr)
def test_dtype_casts_the_data(torch, data, dtype):
    if dtype.startswith("uint"):
        data = [int(abs(v)) for v in data]
    both(torch, lambda m: m.tensor(data, dtype=getattr(m, dtype)))


@parity
def test_tensors_in_a_list_are_stacked(torch):
    both(torch, lambda m: m.tensor([m.tensor(1.0), m.tensor(2.0)]))


def test_tensor_copies():
    array = np.ones(2)
    t = gd.tensor(array)
    array[0] = 5
    assert t.tolist() == [1, 1]
    assert t.is_leaf
    assert not t.requires_grad


def test_tensor_of_a_tensor_copies_and_warns():
    x = gd.tensor([1.0], requires_grad=True)
    with pytest.warns(UserWarning, match="To copy construct from a tensor"):
        t = gd.tensor(x)
    assert not t.requires_grad
    assert not np.shares_memory(t.numpy(), x.detach().numpy())


def test_tensor_of_a_reversed_array():
    assert gd.tensor(np.arange(3)[::-1]).tolist() == [2, 1, 0]


def test_requires_grad_makes_a_leaf():
    t = gd.tensor([1.0], requires_grad=True)
    assert t.requires_grad
    assert t.is_leaf
    assert t.grad_fn is None
    assert t.grad is None


def test_as_tensor_shares_memory_with_an_array():
    array = np.ones(2)
    assert np.shares_memory(gd.as_tensor(array).numpy(), array)
    assert np.shares_memory(gd.from_numpy(array).numpy(), array)
    assert np.shares_memory(gd.asarray(array).numpy(), array)
    assert not np.shares_memory(gd.as_tensor(array, dtype=gd.float32).numpy(), array)
    assert not np.shares_memory(gd.asarray(array, copy=True).numpy(), array)


def test_as_tensor_of_a_tensor_is_the_tensor():
    x = gd.tensor([1.0], requires_grad=True)
    assert gd.as_tensor(x) is x
    assert gd.as_tensor(x * 2).grad_fn is not None


def test_as_tensor_with_another_dtype_is_recorded():
    x = gd.tensor([1.0], requires_grad=True)
    gd.as_tensor(x, dtype=gd.float64).sum().backward()
    assert x.grad.tolist() == [1]
    assert x.grad.dtype is gd.float32


def test_asarray_refuses_a_copy():
    with pytest.raises(ValueError, match="copy"):
        gd.asarray([1.0], copy=False)


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        ([[1, 2], [3]], ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)"),
        ([[[1, 2]], [[3]]], ValueError, r"expected sequence of length 2 at dim 2 \(got 1\)"),
        ([[1], 2], ValueError, "dim 1"),
        ([1, [2]], ValueError, "dim 1"),
        ("a", TypeError, "invalid data type 'str'"),
        ([1, "a"], TypeError, "invalid data type 'str'"),
        (["a", 1], TypeError, "invalid data type 'str'"),
        (b"a", TypeError, "invalid data type 'bytes'"),
        (None, TypeError, "invalid data type 'NoneType'"),
        ([None], TypeError, "invalid data type 'NoneType'"),
        ({1: 2}, TypeError, "invalid data type 'dict'"),
        (object(), TypeError, "invalid data type 'object'"),
        (2**63, ValueError, "Overflow when unpacking long long"),
        ([2**70], ValueError, "Overflow when unpacking long long"),
        (np.array(["a"]), TypeError, "can't convert"),
        (np.array([None]), TypeError, "can't convert"),
        (np.array("2020-01-01", "M8[D]"), TypeError, "can't convert"),
    ],
)
def test_bad_data_is_refused(data, error, match):
    with pytest.raises(error, match=match):
        gd.tensor(data)


@pytest.mark.parametrize("value", [[1], 3.0, np.float64(3)], ids=repr)
def test_from_numpy_takes_arrays_only(value):
    with pytest.raises(TypeError, match=r"expected np\.ndarray \(got "):
        gd.from_numpy(value)


def test_integers_cannot_require_grad():
    for make in (
        lambda: gd.tensor([1], requires_grad=True),
        lambda: gd.tensor(np.array([1]), requires_grad=True),
        lambda: gd.zeros(2, dtype=gd.int64, requires_grad=True),
        lambda: gd.full((2,), 1, requires_grad=True),
        lambda: gd.arange(3, requires_grad=True),
        lambda: gd.eye(2, dtype=gd.bool, requires_grad=True),
        lambda: gd.randint(3, (2,), requires_grad=True),
        lambda: gd.randperm(3, requires_grad=True),
    ):
        with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype"):
            make()


# filled --------------------------------------------------------------------------------------


@parity
@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
@pytest.mark.parametrize("size", [(2, 3), ((2, 3),), ([2],), ((),), (0,), (2, 0), (np.int64(2),)])
def test_filled(torch, name, size):
    if name == "empty":
        here, there = gd.empty(*size), torch.empty(*size)
        assert (tuple(here.shape), here.dtype) == (tuple(there.shape), gd.float32)
    else:
        both(torch, lambda m: getattr(m, name)(*size))


@parity
@pytest.mark.parametrize("dtype", DTYPES)
def test_filled_with_a_dtype(torch, dtype):
    both(torch, lambda m: m.zeros(2, dtype=getattr(m, dtype)))
    both(torch, lambda m: m.ones(2, dtype=getattr(m, dtype)))
    both(torch, lambda m: m.full((2,), 1, dtype=getattr(m, dtype)))
    if dtype not in ("uint16", "uint32", "uint64"):
        both(torch, lambda m: m.eye(2, dtype=getattr(m, dtype)))


@parity
@pytest.mark.parametrize("value", [1, 2.5, True, 1j, np.float64(2), -1])
@pytest.mark.parametrize("size", [(2,), [2, 3], (), (0,)], ids=repr)
def test_full_has_the_dtype_of_the_number(torch, value, size):
    both(torch, lambda m: m.full(size, value))
    both(torch, lambda m: m.full(size, value, dtype=m.complex128))


@parity
@pytest.mark.parametrize("shape", [(2,), (2, 3), (0,), (3, 1)])
def test_eye(torch, shape):
    both(torch, lambda m: m.eye(*shape))
    both(torch, lambda m: m.eye(*shape, requires_grad=True))


@parity
@pytest.mark.parametrize("dtype", DTYPES)
def test_like_has_shape_and_dtype_of_the_input(torch, dtype):
    array = np.ones((2, 3), dtype)
    both(torch, lambda m: m.zeros_like(m.tensor(array)))
    both(torch, lambda m: m.ones_like(m.tensor(array)))
    both(torch, lambda m: m.full_like(m.tensor(array), 2))
    both(torch, lambda m: m.ones_like(m.tensor(array), dtype=m.float64, requires_grad=True))
    assert gd.empty_like(gd.tensor(array)).dtype == array.dtype


def test_like_does_not_require_grad():
    x = gd.ones(2, requires_grad=True)
    for make in (gd.zeros_like, gd.ones_like, gd.empty_like, gd.rand_like, gd.randn_like):
        assert not make(x).requires_grad
        assert make(x).is_leaf
    assert not gd.full_like(x, 2).requires_grad


@parity
@pytest.mark.parametrize("dtype", ["float64", "int32", "bool", "complex64"])
def test_new_has_the_dtype_of_the_tensor(torch, dtype):
    array = np.ones(2, dtype)
    both(torch, lambda m: m.tensor(array).new_zeros(3))
    both(torch, lambda m: m.tensor(array).new_zeros((3, 2)))
    both(torch, lambda m: m.tensor(array).new_ones(3))
    both(torch, lambda m: m.tensor(array).new_full((3,), 1))
    both(torch, lambda m: m.tensor(array).new_tensor([1, 0]))
    both(torch, lambda m: m.tensor(array).new_zeros(3, dtype=m.float32, requires_grad=True))
    assert gd.tensor(array).new_empty(3).dtype == array.dtype


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: gd.zeros(-1), RuntimeError, "negative dimension -1"),
        (lambda: gd.full((2, -3), 1), RuntimeError, "negative dimension -3"),
        (lambda: gd.eye(-1), RuntimeError, "-1"),
        (lambda: gd.ones("a"), TypeError, r"ones\(\)"),
        (lambda: gd.ones(2.5), TypeError, r"ones\(\)"),
        (lambda: gd.zeros((2, None)), TypeError, r"zeros\(\)"),
        (lambda: gd.full((2,), "a"), TypeError, r"full\(\)"),
        (lambda: gd.full((2,), None), TypeError, r"full\(\)"),
        (lambda: gd.ones(2, dtype="foo"), TypeError, "foo"),
        (lambda: gd.ones(2, dtype=object), TypeError, "object"),
        (lambda: gd.ones(2, device="foo"), RuntimeError, "Expected one of cpu, cuda"),
        (lambda: gd.ones(2, device=3.5), TypeError, "device"),
        (lambda: gd.Tensor([1, 2]), TypeError, "Tensor"),
    ],
)
def test_bad_arguments_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


# ranges --------------------------------------------------------------------------------------


@parity
@pytest.mark.parametrize(
    "args",
    [
        (5,),
        (5.0,),
        (0,),
        (True,),
        (1, 5),
        (1, 5, 2),
        (5, 0, -2),
        (0, 2.5),
        (0, 1, 0.3),
        (0.1, 0.4, 0.1),
        (-1.5, 2),
        (3, 3),
        (np.int64(3),),
        (np.float64(3),),
    ],
    ids=repr,
)
def test_arange(torch, args):
    both(torch, lambda m: m.arange(*args))
    for dtype in ("float64", "int32", "float16", "uint8"):
        if dtype != "uint8" or min(args) >= 0:
            both(torch, lambda m, dtype=dtype: m.arange(*args, dtype=getattr(m, dtype)))


@parity
def test_arange_with_tensors_and_requires_grad(torch):
    both(torch, lambda m: m.arange(m.tensor(3)))
    both(torch, lambda m: m.arange(3.0, requires_grad=True))
    both(torch, lambda m: m.arange(start=1, end=4, step=2))


@parity
@pytest.mark.parametrize(
    "args", [(0, 1, 5), (0, 1, 1), (0, 1, 0), (3, -3, 7), (-1.5, 2.5, 4), (0, 1j, 3), (0, 10, 4)]
)
def test_linspace(torch, args):
    both(torch, lambda m: m.linspace(*args))
    both(torch, lambda m: m.linspace(args[0], args[1], steps=args[2], dtype=m.complex128))
    if not isinstance(args[1], complex):
        for dtype in ("float64", "float16", "int64"):
            both(torch, lambda m, dtype=dtype: m.linspace(*args, dtype=getattr(m, dtype)))


def test_linspace_ends_exactly():
    t = gd.linspace(0.1, 0.7, 7, dtype=gd.float64)
    assert t[0].item() == 0.1
    assert t[-1].item() == 0.7


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: gd.arange(3, 1), "upper bound and lower bound inconsistent with step sign"),
        (lambda: gd.arange(1, 3, -1), "upper bound and lower bound inconsistent with step sign"),
        (lambda: gd.arange(1, 3, 0), "step must be nonzero"),
        (lambda: gd.linspace(0, 1, -1), "number of steps must be non-negative"),
    ],
)
def test_impossible_ranges_are_refused(call, match):
    with pytest.raises(RuntimeError, match=match):
        call()


# the default dtype ---------------------------------------------------------------------------


@pytest.fixture
def default_float64():
    gd.set_default_dtype(gd.float64)
    yield
    gd.set_default_dtype(gd.float32)


@pytest.mark.usefixtures("default_float64")
def test_the_default_dtype_is_that_of_new_floats():
    for t in (
        gd.tensor(1.0),
        gd.tensor([1.0]),
        gd.zeros(2),
        gd.arange(2.0),
        gd.linspace(0, 1, 3),
        gd.rand(2),
        gd.randn(2),
        gd.full((2,), 1.5),
        gd.eye(2),
        gd.tensor([1, 2]) / 2,
        gd.tensor([1, 2]).sqrt(),
    ):
        assert t.dtype is gd.float64
    assert gd.tensor([1j]).dtype is gd.complex128
    assert gd.tensor([1]).dtype is gd.int64
    assert gd.tensor(np.float32(1)).dtype is gd.float32


@pytest.mark.parametrize("dtype", [gd.int64, gd.bool_, gd.complex64])
def test_the_default_dtype_must_be_a_float(dtype):
    with pytest.raises(TypeError, match="only floating-point types are supported"):
        gd.set_default_dtype(dtype)


# at random -----------------------------------------------------------------------------------

DRAWS = {
    "rand": lambda **k: gd.rand(50, **k),
    "randn": lambda **k: gd.randn(5, 10, **k),
    "randint": lambda **k: gd.randint(100, (50,), **k),
    "randperm": lambda **k: gd.randperm(50, **k),
}

over_draws = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


@over_draws
def test_the_same_seed_gives_the_same_numbers(draw):
    gd.manual_seed(3)
    first, second = draw().tolist(), draw().tolist()
    assert first != second
    gd.manual_seed(3)
    assert draw().tolist() == first
    gd.manual_seed(4)
    assert draw().tolist() != first


@over_draws
def test_a_generator_has_numbers_of_its_own(draw):
    a, b = gd.Generator().manual_seed(3), gd.Generator().manual_seed(3)
    gd.manual_seed(0)
    undisturbed = draw().tolist()
    gd.manual_seed(0)
    assert draw(generator=a).tolist() == draw(generator=b).tolist()
    assert draw().tolist() == undisturbed


@over_draws
def test_the_state_of_the_generator_comes_back(draw):
    state = gd.get_rng_state()
    first = draw().tolist()
    gd.set_rng_state(state)
    assert draw().tolist() == first
    generator = gd.Generator().manual_seed(1)
    state = generator.get_state()
    first = draw(generator=generator).tolist()
    generator.set_state(state)
    assert draw(generator=generator).tolist() == first


@over_draws
def test_fork_rng_puts_the_generator_back(draw):
    gd.manual_seed(3)
    draw()
    expected = gd.get_rng_state()
    with contextlib.suppress(KeyError), gd.random.fork_rng():
        gd.manual_seed(4)
        draw()
        raise KeyError
    assert gd.get_rng_state() == expected
    assert gd.initial_seed() == 3
    with gd.random.fork_rng(devices=[]):
        first = draw().tolist()
    with gd.random.fork_rng(enabled=False):
        assert draw().tolist() == first
    assert gd.get_rng_state() != expected


def test_fork_rng_decorates_functions():
    @gd.random.fork_rng()
    def noise(n):
        gd.manual_seed(0)
        return gd.rand(n)

    gd.manual_seed(3)
    expected = gd.get_rng_state()
    assert noise(4).tolist() == noise(4).tolist()
    assert gd.get_rng_state() == expected


@pytest.mark.parametrize("state", [None, (), ("cuda", 0, (0, 0)), gd.ones(3)], ids=str)
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match=r"expected the state of a generator on cpu, from its get"):
        gd.set_rng_state(state)


def test_seeding_cuda_does_nothing_without_it():
    if gd.cuda.is_available():
        pytest.skip("there is a device")
    gd.cuda.manual_seed(1)
    gd.cuda.manual_seed_all(1)
    gd.cuda.seed()
    gd.cuda.seed_all()
    assert gd.cuda.get_rng_state_all() == []
    with pytest.raises(gd.GradcoreError, match="a CUDA device was asked for"):
        gd.cuda.get_rng_state()


@pytest.mark.parametrize("dtype", [gd.complex64, gd.complex128])
def test_random_complex_numbers(dtype):
    z = gd.randn(20_000, dtype=dtype)
    assert z.dtype is dtype
    values = z.numpy().astype(np.complex128)
    assert abs((np.abs(values) ** 2).mean() - 1) < 0.05
    assert abs(values.real.var() - 0.5) < 0.03
    u = gd.rand((), dtype=dtype).item()
    assert 0 <= u.real < 1
    assert 0 <= u.imag < 1


@parity
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("int8", 0, 129),
        ("int8", -129, 3),
        ("uint8", 0, 257),
        ("uint8", -1, 3),
        ("bool", 0, 3),
        ("int16", 0, 40000),
    ],
)
def test_bounds_that_the_dtype_has_not_are_refused(torch, name, low, high):
    with pytest.raises(RuntimeError, match="is out of bounds for") as theirs:
        torch.randint(low, high, (2,), dtype=getattr(torch, name))
    bound = str(theirs.value).partition(" is")[0]
    with pytest.raises(RuntimeError, match=f"{bound} is out of bounds for .*{name}"):
        gd.randint(low, high, (2,), dtype=getattr(gd, name))


def test_bounds_beyond_int64_are_refused():
    for low, high in ((0, 2**63 + 1), (-(2**63) - 1, 0), (0, 2**70)):
        with pytest.raises(ValueError, match="out of bounds for"):
            gd.randint(low, high, (2,))
    assert gd.randint(2**63 - 1, 2**63, (2,)).tolist() == [2**63 - 1] * 2
    assert gd.randint(255, 256, (2,), dtype=gd.uint8).tolist() == [255, 255]
    assert gd.randint(0, 2, (9,), dtype=gd.bool).dtype is gd.bool


def test_seeds_are_told():
    assert gd.manual_seed(5) is gd.manual_seed(5)
    assert gd.initial_seed() == 5
    assert gd.Generator().manual_seed(7).initial_seed() == 7
    other = gd.seed()
    assert gd.initial_seed() == other


@pytest.mark.parametrize("dtype", [gd.float16, gd.float32, gd.float64])
def test_uniform_numbers(dtype):
    t = gd.rand(20000, dtype=dtype)
    assert t.dtype is dtype
    values = t.numpy().astype(np.float64)
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.02
    assert abs(values.var() - 1 / 12) < 0.01


@pytest.mark.parametrize("dtype", [gd.float16, gd.float32, gd.float64])
def test_normal_numbers(dtype):
    t = gd.randn(20000, dtype=dtype)
    assert t.dtype is dtype
    values = t.numpy().astype(np.float64)
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05
    assert np.unique(values > 0).size == 2


@pytest.mark.parametrize("dtype", [gd.complex64, gd.complex128])
def test_complex_normal_numbers_have_variance_one(dtype):
    t = gd.randn(20000, dtype=dtype)
    assert t.dtype is dtype
    assert abs(np.mean(np.abs(t.numpy()) ** 2) - 1) < 0.05
    assert abs(t.numpy().real.var() - 0.5) < 0.05


@pytest.mark.parametrize("dtype", [gd.int64, gd.int32, gd.uint8, gd.float32])
def test_integers_cover_their_range(dtype):
    t = gd.randint(2, 5, (1000,), dtype=dtype)
    assert t.dtype is dtype
    assert sorted(set(t.tolist())) == [2, 3, 4]


def test_randint_starts_at_zero_by_default():
    assert sorted(set(gd.randint(2, (100,)).tolist())) == [0, 1]
    assert sorted(set(gd.randint(-2, 0, (100,)).tolist())) == [-2, -1]
    assert gd.randint(low=1, high=2, size=(2, 3)).tolist() == [[1] * 3] * 2


def test_a_permutation_has_every_number_once():
    t = gd.randperm(100)
    assert t.dtype is gd.int64
    assert sorted(t.tolist()) == list(range(100))
    assert t.tolist() != list(range(100))
    assert gd.randperm(0).tolist() == []
    assert gd.randperm(4, dtype=gd.int32).dtype is gd.int32


def test_random_like():
    x = gd.zeros(2, 3, dtype=gd.float64)
    assert gd.rand_like(x).shape == (2, 3)
    assert gd.randn_like(x).dtype is gd.float64
    assert gd.rand_like(x, dtype=gd.float32).dtype is gd.float32
    assert gd.randint_like(x, 3).dtype is gd.float64
    assert gd.randint_like(x, 1, 2).tolist() == [[1] * 3] * 2
    assert gd.rand_like(x, requires_grad=True).requires_grad


@pytest.mark.parametrize("size", [((),), (0,), (2, 0), ((2, 3),), ([2],)])
def test_shapes_of_random_tensors(size):
    shape = np.empty(size[0] if isinstance(size[0], tuple | list) else size).shape
    assert gd.rand(*size).shape == shape
    assert gd.randn(*size).shape == shape


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: gd.randint(5, 5, (2,)), RuntimeError, "from=5 >= to=5"),
        (lambda: gd.randint(0, (2,)), RuntimeError, "from=0 >= to=0"),
        (lambda: gd.randint(3), TypeError, "randint"),
        (lambda: gd.randn(-1), RuntimeError, "negative dimension -1"),
        (lambda: gd.randperm(-1), RuntimeError, "negative dimension -1"),
        (lambda: gd.rand(2, dtype=gd.int64), RuntimeError, "rand: not implemented for"),
        (lambda: gd.randn_like(gd.tensor([1])), RuntimeError, "randn_like: not implemented for"),
    ],
)
def test_impossible_draws_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parity
@pytest.mark.parametrize("value", [300, -1, -300, 255, -255, 1e10, 1.5])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "float32"])
def test_numbers_that_do_not_fit_a_dtype_are_refused_as_by_pytorch(torch, value, dtype):
    for make in (
        lambda lib: lib.tensor([value], dtype=getattr(lib, dtype)),
        lambda lib: lib.full((1,), value, dtype=getattr(lib, dtype)),
    ):
        try:
            expected = make(torch).tolist()
        except RuntimeError:
            with pytest.raises(RuntimeError, match="without overflow"):
                make(gd)
        else:
            assert make(gd).tolist() == expected


def test_complex_numbers_are_not_made_real_silently():
    with pytest.raises(TypeError, match="must be real number, not complex"):
        gd.tensor([1 + 1j], dtype=gd.float32)
    with pytest.raises(RuntimeError, match="without overflow"):
        gd.full((2,), 1j, dtype=gd.float32)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_subclasses_of_arrays_are_taken_as_plain_arrays():
    matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    assert gd.from_numpy(matrix)[0].shape == (2,)
    assert (gd.tensor(matrix) @ gd.ones(2, dtype=gd.float64)).tolist() == [3.0, 7.0]
    masked = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 1], [0, 0]])
    assert gd.from_numpy(masked).sum().item() == 10.0
