"""Bad input: which class, which words, and that nothing is left half-done."""

import importlib
import math
import re
import sys
import types

import numpy as np
import pytest

import gradcore as gd
import gradcore.nn.functional as F
from gradcore import errors
from gradcore.autograd import grad

device = importlib.import_module("gradcore.device")  # gd.device is the class


def leaf(*values):
    return gd.tensor(np.array(values, np.float64), requires_grad=True)


# the tree ------------------------------------------------------------------------------------

TREE = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("error", TREE, ids=lambda e: e.__name__)
def test_every_error_is_a_gradcore_error(error):
    assert issubclass(error, gd.GradcoreError)


def test_every_error_is_also_a_builtin_that_users_catch():
    bases = {
        "ShapeError": (RuntimeError, ValueError),
        "DTypeError": (RuntimeError, TypeError),
        "DeviceError": (RuntimeError,),
        "MissingPackageError": (RuntimeError, ImportError),
        "GraphError": (RuntimeError,),
        "DimensionError": (IndexError,),
        "OutOfMemoryError": (RuntimeError, MemoryError),
        "ArgumentError": (ValueError, RuntimeError),
        "ArgumentTypeError": (TypeError,),
        "LinAlgError": (RuntimeError, np.linalg.LinAlgError),
        "BatchingError": (RuntimeError,),
        "FusionError": (TypeError,),
    }
    assert set(bases) | {"GradcoreError"} == set(errors.__all__)
    for name, expected in bases.items():
        assert issubclass(getattr(errors, name), expected), name


# shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [gd.add, gd.mul, gd.div, gd.sub, gd.pow, gd.maximum, gd.lt, gd.eq, lambda a, b: a + b],
    ids=["add", "mul", "div", "sub", "pow", "maximum", "lt", "eq", "+"],
)
def test_shapes_that_do_not_broadcast_are_named(function):
    with pytest.raises(RuntimeError) as caught:
        function(gd.ones(2, 3), gd.ones(4))
    text = str(caught.value)
    assert (
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1"
        in text
    )
    assert re.search(r"\(2, 3\).*\(4,\)", text)
    assert not text.startswith("_")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: gd.ones(2, 3) @ gd.ones(2, 3),
            r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 2x3\)",
        ),
        (lambda: gd.mm(gd.ones(2, 3), gd.ones(2, 3)), "cannot be multiplied"),
        (lambda: gd.ones(2).dot(gd.ones(3)), "dot"),
        (lambda: gd.bmm(gd.ones(2, 3), gd.ones(2, 3)), "bmm|3D|3 dim"),
        (lambda: gd.ones(2).reshape(3), r"shape '\[3\]' is invalid for input of size 2"),
        (lambda: gd.ones(2).view(3), r"shape '\[3\]' is invalid for input of size 2"),
        (lambda: gd.ones(6).reshape(-1, -1), "only one dimension can be inferred"),
        (lambda: gd.cat([gd.ones(2, 3), gd.ones(2, 4)]), "[Ss]izes of tensors must match"),
        (lambda: gd.stack([gd.ones(2), gd.ones(3)]), "stack expects each tensor to be equal size"),
        (lambda: gd.cat([]), "expected a non-empty list of Tensors"),
        (lambda: gd.stack([]), "stack expects a non-empty"),
        (lambda: gd.ones(2).expand(3), "expanded size"),
        (lambda: gd.where(gd.ones(2) > 0, gd.ones(3), gd.ones(2)), "must match the size"),
        (lambda: gd.einsum("ij,jk", gd.ones(2, 3), gd.ones(2, 3)), "size"),
        (lambda: F.linear(gd.ones(2, 3), gd.ones(4, 2)), "multiplied"),
        (lambda: F.cross_entropy(gd.ones(2, 3), gd.tensor([1])), "batch_size"),
        (lambda: F.layer_norm(gd.ones(2, 3), (4,)), "normalized_shape"),
        (lambda: gd.ones(3).squeeze(0).unflatten(0, (2, 2)), "unflatten"),
        (lambda: gd.ones(2).split([1, 2]), "split"),
        (lambda: gd.ones(2, 3).t().permute(0), "permute|dims"),
        (lambda: gd.ones(2, 3, 4).t(), "2|dim"),
    ],
)
def test_bad_shapes_raise_a_runtime_error(call, match):
    with pytest.raises(RuntimeError, match=match):
        call()


# dimensions and indices ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t.sum(2),
        lambda t: t.mean(-3),
        lambda t: t.max(2),
        lambda t: t.softmax(2),
        lambda t: t.cumsum(2),
        lambda t: t.norm(2, 2),
        lambda t: t.unsqueeze(3),
        lambda t: t.squeeze(2),
        lambda t: t.transpose(0, 2),
        lambda t: t.permute(0, 2),
        lambda t: t.flatten(2),
        lambda t: t.flip(2),
        lambda t: t.unbind(2),
        lambda t: t.chunk(2, 2),
        lambda t: t.size(2),
        lambda t: t.stride(2),
        lambda t: gd.cat([t, t], 2),
        lambda t: gd.stack([t, t], 4),
        lambda t: t.index_select(2, gd.tensor([0])),
        lambda t: t.gather(2, gd.tensor([[0]])),
    ],
)
def test_a_dimension_out_of_range_is_an_index_error(function):
    with pytest.raises(IndexError, match="Dimension out of range"):
        function(gd.ones(2, 2))


def test_a_dimension_given_twice_is_refused():
    with pytest.raises(RuntimeError, match="dim 0 appears multiple times in the list of dims"):
        gd.ones(2, 2).sum((0, 0))


@pytest.mark.parametrize(
    ("index", "match"),
    [
        (5, "index 5 is out of bounds for dimension 0 with size 2"),
        (-3, "index -3 is out of bounds for dimension 0 with size 2"),
        ((0, 7), "index 7 is out of bounds for dimension 1 with size 3"),
        ((0, 0, 0), "too many indices"),
        ([0, 9], "out of bounds|out of range"),
    ],
)
def test_an_index_out_of_range_is_an_index_error(index, match):
    with pytest.raises(IndexError, match=match):
        gd.ones(2, 3)[index]


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.index_select(0, gd.tensor([2])),
        lambda t: t.gather(0, gd.tensor([[2]])),
        lambda t: t.take(gd.tensor([9])),
        lambda t: F.embedding(gd.tensor([2]), t),
    ],
    ids=["index_select", "gather", "take", "embedding"],
)
def test_places_out_of_range_are_refused(call):
    with pytest.raises((IndexError, RuntimeError)):
        call(gd.ones(2, 2))


def test_a_target_class_out_of_range_is_refused():
    with pytest.raises(IndexError, match="out of bounds"):
        F.cross_entropy(gd.ones(2, 3), gd.tensor([0, 3]))


# operands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["2", None, [1, 2], object(), {}])
@pytest.mark.parametrize(
    "function",
    [lambda t, v: t + v, lambda t, v: t * v, lambda t, v: t / v, lambda t, v: t**v, gd.maximum],
)
def test_an_operand_that_is_no_number_is_a_type_error(function, value):
    with pytest.raises(TypeError):
        function(gd.ones(2), value)


@pytest.mark.parametrize("function", [gd.exp, gd.sum, gd.reshape, gd.matmul, gd.softmax])
def test_a_function_of_a_tensor_refuses_other_things(function):
    with pytest.raises(TypeError):
        function("2")


@pytest.mark.parametrize(
    "call",
    [
        lambda: gd.ones(2) & gd.ones(2),
        lambda: ~gd.ones(2),
        lambda: gd.tensor([1.0]).long() @ gd.ones(1),
        lambda: gd.tensor([True]) - gd.tensor([True]),
        lambda: -gd.tensor([True]),
        lambda: F.cross_entropy(gd.ones(2, 3).long(), gd.tensor([0, 1])),
        lambda: gd.tensor([1, 2]).mean(),
        lambda: gd.tensor([1, 2]).std(),
        lambda: gd.imag(gd.ones(2)),
    ],
)
def test_a_dtype_that_does_not_fit_is_refused(call):
    with pytest.raises(RuntimeError):
        call()


# devices -------------------------------------------------------------------------------------


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it now raises ImportError
    device.cupy_backend.cache_clear()
    yield
    device.cupy_backend.cache_clear()


def fake_cupy(monkeypatch, count):
    """A CuPy whose runtime answers with `count()`."""
    module = types.ModuleType("cupy")
    module.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=count))
    monkeypatch.setitem(sys.modules, "cupy", module)
    device.cupy_backend.cache_clear()


@pytest.mark.usefixtures("no_cupy")
@pytest.mark.parametrize(
    "call",
    [
        lambda: gd.ones(2).to("cuda"),
        lambda: gd.ones(2).cuda(),
        lambda: gd.ones(2, device="cuda"),
        lambda: gd.tensor([1.0], device="cuda:0"),
        lambda: gd.Generator("cuda"),
    ],
    ids=["to", "cuda", "ones", "tensor", "Generator"],
)
def test_cuda_without_cupy_says_what_to_install(call):
    with pytest.raises(RuntimeError) as caught:
        call()
    assert isinstance(caught.value, ImportError)
    text = str(caught.value)
    assert 'pip install "gradcore[cuda12]"' in text
    assert 'pip install "gradcore[cuda13]"' in text


@pytest.mark.usefixtures("no_cupy")
def test_without_cupy_there_is_no_cuda():
    assert gd.cuda.is_available() is False
    assert gd.cuda.device_count() == 0
    assert gd.cuda.memory_allocated() == 0
    with pytest.raises(RuntimeError, match="CuPy cannot be imported"):
        gd.cuda.synchronize()


def test_cuda_without_a_device_says_that_none_was_found(monkeypatch):
    fake_cupy(monkeypatch, lambda: 0)
    with pytest.raises(RuntimeError, match="CuPy is installed, but no device was found"):
        gd.ones(2).to("cuda")
    assert gd.cuda.is_available() is False
    device.cupy_backend.cache_clear()


def test_cuda_without_a_driver_says_why(monkeypatch):
    def count():
        raise OSError("cudaErrorInsufficientDriver")

    fake_cupy(monkeypatch, count)
    with pytest.raises(RuntimeError, match="no device was found: cudaErrorInsufficientDriver"):
        gd.ones(2).to("cuda")
    device.cupy_backend.cache_clear()


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("foo", RuntimeError, "Expected one of cpu, cuda device type"),
        ("cuda:x", RuntimeError, "Invalid device string"),
        ("cuda:-1", RuntimeError, "Invalid device string"),
        (3.5, TypeError, "expected a device"),
    ],
)
def test_names_of_devices_are_checked(name, error, match):
    with pytest.raises(error, match=match):
        gd.device(name)


def test_a_device_object_needs_no_device():
    assert str(gd.device("cuda:1")) == "cuda:1"
    assert gd.device("cuda", 1) is gd.device("cuda:1")


# backward ------------------------------------------------------------------------------------


def test_a_failed_backward_changes_no_gradient():
    x, z = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * z
    y.sum().backward()
    before = x.grad, x.grad.tolist(), z.grad, z.grad.tolist()
    with pytest.raises(RuntimeError, match="second time"):
        ((x + z) + y).sum().backward()
    assert (x.grad, x.grad.tolist(), z.grad, z.grad.tolist()) == before


@pytest.mark.parametrize(
    ("cotangent", "error"),
    [
        (None, RuntimeError),
        (gd.ones(3, dtype=gd.float64), RuntimeError),
        (gd.ones(2, dtype=gd.complex128), RuntimeError),
        (np.ones(2), TypeError),
        ([1.0, 2.0], TypeError),
        (1.0, TypeError),
    ],
)
def test_a_refused_cotangent_leaves_the_graph_intact(cotangent, error):
    x = leaf(1.0, 2.0)
    y = x * x
    with pytest.raises(error):
        y.backward(cotangent)
    assert x.grad is None
    y.backward(gd.ones(2, dtype=gd.float64))
    assert x.grad.tolist() == [2, 4]


def test_an_unused_input_leaves_gradients_and_flags_alone():
    x, z = leaf(1.0), leaf(1.0)
    y = x * x
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        grad(y, (x, z), retain_graph=True)
    assert x.grad is None
    assert z.grad is None
    assert grad(y, x)[0].tolist() == [2]


def test_an_error_in_a_rule_leaves_grad_mode_and_numpys_settings_alone():
    x = leaf(7.0)
    settings = np.geterr()
    for create_graph in (False, True):
        y = (x // 2) * x
        with pytest.raises(NotImplementedError):
            grad(y, x, create_graph=create_graph)
        assert gd.is_grad_enabled()
        assert np.geterr() == settings
    assert x.grad is None


def test_an_error_in_a_rule_under_no_grad_leaves_the_mode_alone():
    x = leaf(7.0)
    y = x // 2
    with gd.no_grad():
        with pytest.raises(NotImplementedError):
            grad(y, x, create_graph=True)
        assert not gd.is_grad_enabled()
    assert gd.is_grad_enabled()


def test_an_error_inside_no_grad_restores_the_mode():
    with pytest.raises(RuntimeError, match="broadcast"), gd.no_grad():
        gd.ones(2) + gd.ones(3)
    assert gd.is_grad_enabled()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: gd.autograd.backward([]), None, None),
        (lambda x: grad(x * 2, []), RuntimeError, "grad requires non-empty inputs"),
        (
            lambda x: grad(x * 2, "x"),
            TypeError,
            "all inputs have to be Tensors or GradientEdges, but got str",
        ),
        (lambda x: grad((x * 2, x * 3), x, gd.ones(1)), RuntimeError, "2 tensors and 1 gradients"),
        (lambda x: (x * 2).backward(inputs=[]), RuntimeError, "cannot be empty"),
        (
            lambda x: (x * 2).backward(inputs=[gd.ones(1)]),
            RuntimeError,
            "requires_grad=False",
        ),
        (lambda x: grad(x * 2, x, only_inputs=False), ValueError, "only_inputs"),
        (
            lambda x: grad(x * 2, x, allow_unused=False, materialize_grads=True),
            ValueError,
            "Expected allow_unused to be True or not passed when materialize_grads=True",
        ),
        (lambda x: gd.ones(1).retain_grad(), RuntimeError, "can't retain_grad on Tensor"),
    ],
)
def test_impossible_requests_to_autograd(call, error, match):
    x = leaf(1.0)
    if error is None:
        assert call(x) is None
    else:
        with pytest.raises(error, match=match):
            call(x)
    assert x.grad is None


def test_a_tensor_is_not_its_own_gradient():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="can't assign Variable as its own grad"):
        x.grad = x
    assert x.grad is None


def test_refused_data_leaves_the_tensor_alone():
    x = leaf(1.0, 2.0)
    with pytest.raises(TypeError, match="Variable data has to be a tensor"):
        x.data = np.ones(2)
    with pytest.raises(RuntimeError, match="must be floating point or complex"):
        x.data = gd.tensor([1, 2])
    assert x.dtype is gd.float64
    assert x.tolist() == [1, 2]


# scalars and sequences -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda t: t.item(), RuntimeError, "2 elements cannot be converted to Scalar"),
        (lambda t: len(t.sum()), TypeError, r"len\(\) of a 0-d tensor"),
        (lambda t: list(t.sum()), TypeError, "iteration over a 0-d tensor"),
        (lambda t: [1, 2, 3][t[:1]], TypeError, "only integer tensors of a single element"),
        (lambda t: range(3)[t.long()], TypeError, "only integer tensors of a single element"),
        (lambda t: t.item.missing, AttributeError, "missing"),
        (lambda t: t.missing, AttributeError, "missing"),
        (lambda t: gd.missing, AttributeError, "module 'gradcore' has no attribute 'missing'"),
    ],
)
def test_conversions_that_make_no_sense(call, error, match):
    with pytest.raises(error, match=match):
        call(gd.ones(2))


def test_an_integer_tensor_is_an_index():
    assert [1, 2, 3][gd.tensor(1)] == 2
    assert list(range(gd.tensor(2))) == [0, 1]
    assert math.isclose(float(gd.tensor(2.5)), 2.5)


def test_errors_name_the_operation_as_users_know_it():
    for module in (gd, importlib.import_module("gradcore.nn.functional")):
        for name in ("relu", "softmax"):
            with pytest.raises(TypeError) as caught:
                getattr(module, name)("2", 0) if name == "softmax" else getattr(module, name)("2")
            assert name in str(caught.value)
    with pytest.raises(
        TypeError, match=r"^add\(\): argument 2 must be a Tensor, an array or a number"
    ):
        gd.add(gd.ones(2), "2")
    with pytest.raises(
        TypeError, match=r"unsupported operand type\(s\) for \+: 'Tensor' and 'str'"
    ):
        gd.ones(2) + "2"


@pytest.mark.parametrize(
    "divide",
    [
        lambda x: x // 0,
        lambda x: x % 0,
        lambda x: gd.fmod(x, 0),
        lambda x: gd.div(x, gd.tensor([1, 0]), rounding_mode="trunc"),
        lambda x: gd.div(x, 0, rounding_mode="floor"),
    ],
)
def test_integers_divided_by_zero_raise(divide):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        divide(gd.tensor([1, 2]))
