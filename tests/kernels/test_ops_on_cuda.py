"""Every operation on a CUDA device against the CPU: values, gradients, errors, synchronisations.

What a sample gives on the CPU, an error too, it must give on the device. Whether the CPU is right
is the matter of tests/test_ops.py.
"""

import functools
import importlib
import pkgutil
import re

import numpy as np
import pytest

import gradcore as gd
from gradcore import testing
from gradcore.device import CPU
from gradcore.op import OPS
from gradcore.samples import Maker, sample

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cuda")]

for module in pkgutil.walk_packages(gd.__path__, "gradcore."):
    if not module.name.startswith("gradcore.interop."):  # there other libraries are needed
        importlib.import_module(module.name)

CUDA = gd.device("cuda")


@functools.cache
def samples(path):
    make = OPS[path].samples
    return [] if make is None else list(make(Maker(path)))


@functools.cache
def errors(path):
    make = OPS[path].errors
    return [] if make is None else list(make(Maker(path)))


def arrays_in(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for v in value:
            yield from arrays_in(v)


def arrays_of(path, number):
    sample = samples(path)[number]
    return list(arrays_in((*sample.args, *sample.kwargs.values())))


def largest(path):
    sizes = [sum(a.size for a in arrays_of(path, n)) for n in range(len(samples(path)))]
    return sizes.index(max(sizes))


CASES = [(path, number) for path in OPS for number in range(len(samples(path)))]
ONE = [(path, largest(path)) for path in OPS if samples(path)]
BAD = [(path, number) for path in OPS for number in range(len(errors(path)))]


def over(cases):
    ids = [f"{path}-{number}" for path, number in cases]
    return pytest.mark.parametrize(("path", "number"), cases, ids=ids)


# They may be asked for the CPU.
MOVES = {"Tensor.to", "Tensor.cpu", "Tensor.type"}


def waits(path, number):
    """Whether a sample needs the host to wait for the device."""
    if path in ("Tensor.__getitem__", "index_put"):
        return any(a.dtype == bool or not a.ndim for a in arrays_of(path, number))
    return OPS[path].waits or path in MOVES


@pytest.fixture
def waited(device):
    """Return a function that counts the copies to the host and the synchronisations so far."""
    if device != "hostcuda":
        return lambda: 0
    import hostcuda

    return lambda: hostcuda.counters["d2h"] + hostcuda.counters["sync"]


def evaluate(path, number, device, change=None, **options):
    return testing.evaluate(OPS[path], samples(path)[number], device, change, **options)


def compare(path, number, change=None, tolerance=0.0, **options):
    expected, found = (evaluate(path, number, d, change, **options) for d in (CPU, CUDA))
    if expected.error is None or not needs_values(expected.error):
        testing.check_same(OPS[path], expected, found, tolerance=tolerance)


@over(CASES)
def test_values_and_gradients(path, number, waited):
    expected = evaluate(path, number, CPU)
    before = waited()
    found = evaluate(path, number, CUDA)
    times = waited() - before
    testing.check_same(OPS[path], expected, found)
    if arrays_of(path, number) and path not in MOVES:
        assert all(t.is_cuda for t in (*found.values, *found.gradients) if type(t) is gd.Tensor)
    assert waits(path, number) or times == 0


def cast(dtype):
    """Return a function that makes real arrays of samples arrays of this dtype."""
    kind = np.dtype(dtype).kind

    def change(array):
        if array.dtype != np.float64:
            return array
        if kind == "b":
            return array > 0
        return np.asarray(array * {"i": 3, "c": 1 + 0.5j}.get(kind, 1), dtype)

    return change


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex128", "int64", "bool"])
@over(ONE)
def test_other_dtypes(path, number, dtype):
    compare(path, number, cast(dtype), {"float32": 2e-5, "float16": 4e-3}.get(dtype, 0.0))


def special(array):
    if array.dtype != np.float64:
        return array
    numbers = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 2.0, 3.0, -3.0, 1e5]
    return np.asarray(np.random.default_rng(array.size).choice(numbers, array.shape))


# Which elements an infinity makes infinite, and which nan, depends on the order of the sums.
SPREADS = tuple(f"fft.{kind}" for kind in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"))
SPREADS += ("stft", "istft")


# Among boundaries that are not sorted there is no place to find.
UNSORTED = ("bucketize", "searchsorted")


@over([case for case in ONE if case[0].rstrip("2n") not in SPREADS + UNSORTED])
def test_special_values(path, number):
    compare(path, number, special)


SHAPES = {
    "empty": lambda a: a[:0] if a.ndim else a,
    "0-d": lambda a: a.reshape(-1)[:1].reshape(()) if a.size else a,
    "one element": lambda a: a[(slice(1),) * a.ndim],
}


@pytest.mark.parametrize("shape", SHAPES)
@over(ONE)
def test_other_shapes(path, number, shape):
    if path.startswith("as_strided"):
        return  # what is around a part is copied to the device with no part
    compare(path, number, SHAPES[shape])


@over(ONE)
def test_non_contiguous(path, number):
    compare(path, number, strided=True)


@over(ONE)
def test_second_derivatives(path, number):
    compare(path, number, second=True)


# Nobody looks at the values on a device, which would mean to wait for it.
NEEDS_VALUES = re.compile(
    "out of bounds|out of range|between [01] and|divided by 0|negative integer|negative entry"
    "|must be in the range"
)
NEVER_RAISED = {
    ("nn.functional.binary_cross_entropy", "between 0 and 1"),
    ("histc", "is not finite"),
    ("nanquantile", "q values must be in the range"),
    ("quantile", "q values must be in the range"),
}


def needs_values(error):
    return NEEDS_VALUES.search(str(error)) is not None


@over(BAD)
def test_raises(path, number):
    wrong = errors(path)[number]
    if (path, wrong.match) in NEVER_RAISED:
        assert testing.evaluate(OPS[path], wrong.call, CUDA).error is None
    else:
        with gd.debug.check_indices():
            testing.check_error(OPS[path], wrong, CUDA)


# operands of two kinds -------------------------------------------------------------------------

PAIRS = {
    "int64 and float32": (np.arange(1, 7).reshape(2, 3), np.float32([0.5, 2, 3])),
    "float32 and float64": (np.float32([[0.5], [2]]), np.array([0.25, 3, -1])),
    "bool and int64": (np.array([True, False, True]), np.array([1, 2, 3])),
    "float16 and a 0-d float64": (np.float16([0.5, 2, -3]), np.array(1.5)),
    "complex64 and float64": (np.complex64([1 + 2j, -1j]), np.array([0.5, 2])),
    "float32 and an int": (np.float32([0.5, 2, -3]), 3),
    "float16 and a float": (np.float16([0.5, 2, -3]), 2.5),
    "int64 and a float": (np.array([1, 2, -3]), 2.5),
    "bool and an int": (np.array([True, False]), 2),
    "a float and float32": (2.5, np.float32([0.5, 2, -3])),
    "an int and int64": (2, np.array([1, 2, 3])),
    "float32 and a complex": (np.float32([0.5, 2, -3]), 1 + 2j),
}
BINARY = [path for path in OPS if OPS[path].kind in ("binary", "comparison")]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("path", BINARY)
def test_operands_of_two_kinds(path, pair):
    operands = sample(*PAIRS[pair])
    expected, found = (testing.evaluate(OPS[path], operands, d) for d in (CPU, CUDA))
    testing.check_same(OPS[path], expected, found, tolerance=4e-3 if "float16" in pair else 2e-5)


def test_a_0d_tensor_of_the_cpu_joins_tensors_on_the_device():
    x = gd.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    a = gd.tensor(3.0, requires_grad=True)
    (x * a + a).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert a.grad.device.type == "cpu"
    assert a.grad.item() == 5.0


# making tensors ----------------------------------------------------------------------------------

MAKERS = {
    "zeros": lambda d: gd.zeros(2, 3, device=d),
    "ones": lambda d: gd.ones((2, 0), dtype=gd.int64, device=d),
    "full": lambda d: gd.full((2, 3), 1.5, device=d),
    "full of an int": lambda d: gd.full((2,), 7, device=d),
    "arange": lambda d: gd.arange(1, 10, 3, device=d),
    "arange of floats": lambda d: gd.arange(0.5, 2.0, 0.25, device=d),
    "linspace": lambda d: gd.linspace(-1.0, 1.0, 7, device=d),
    "eye": lambda d: gd.eye(2, 3, device=d),
    "tensor": lambda d: gd.tensor([[1, 2], [3, 4]], dtype=gd.float16, device=d),
    "tensor of complex numbers": lambda d: gd.tensor([1j, 2.0], device=d),
    "as_tensor": lambda d: gd.as_tensor(np.arange(3), device=d),
    "zeros_like": lambda d: gd.zeros_like(gd.ones(2, 3, device=d)),
    "tril": lambda d: gd.tril(gd.ones(3, 3, device=d), -1),
}


@pytest.mark.parametrize("name", MAKERS)
def test_made_on_the_device(name):
    expected, found = MAKERS[name]("cpu"), MAKERS[name]("cuda")
    assert found.device == gd.device("cuda:0")
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found.cpu().numpy(), expected.numpy())


@pytest.mark.parametrize("name", ["rand", "randn", "empty"])
def test_made_of_no_particular_values(name):
    found = getattr(gd, name)(2, 3, device="cuda", dtype=gd.float32)
    assert (found.device, found.dtype) == (gd.device("cuda:0"), gd.float32)
    assert found.shape == (2, 3)


def test_second_derivatives_of_determinants_of_singular_matrices():
    regular = np.random.default_rng(0).normal(size=(3, 3))
    matrices = np.stack([regular, np.diag([1.0, 0.0, 2.0]), np.diag([0.0, 3.0, 0.0])])
    expected, found = (
        gd.vmap(gd.func.hessian(gd.linalg.det))(gd.tensor(matrices, device=device))
        for device in ("cpu", CUDA)
    )
    np.testing.assert_allclose(found.cpu(), expected, atol=1e-12)
