"""Every operation on the samples of its record, and its dtypes, against PyTorch on the CPU."""

import itertools
import warnings

import numpy as np
import pytest

import gradcore as gd
import oracle
from oracle import OPS, array, check_same, is_tensor, recast, samples, torch_function

pytestmark = pytest.mark.parity

CASES = [(path, number) for path in OPS for number in range(len(samples(path)))]

over_samples = pytest.mark.parametrize(
    ("path", "number"), CASES, ids=[f"{path}-{number}" for path, number in CASES]
)

TENSORS_ONLY = "must be Tensor, not"
"""Where PyTorch refuses a Python number as the second operand, gradcore takes it, as NumPy does."""

NO_KERNEL = "not implemented for '"
"""PyTorch has no kernel for the dtype: no statement about what is right."""

ORDERED = ("lt", "le", "gt", "ge", "maximum", "minimum", "relu", "sign", "clamp")
"""Of complex numbers these mean nothing: there the missing kernel is a statement."""

WEAK_CHECKS = (
    "_loss",
    "dropout",
    "amax",
    "amin",
    "max",
    "min",
    "prod",
    "median",
    "mode",
    "kthvalue",
    "histogram",
)
"""Some of PyTorch's dtype checks depend on the reduction, or on whether there are elements."""

FULL_MEAN = ("MeanBackward1", "MeanBackward0")
"""The full mean has the name that the tutorial prints."""

NO_DERIVATIVE = (
    "the derivative for ",  # of incomplete gamma functions by the first operand
    "is not differentiable with respect to argument",  # the weights of losses
    "does not support automatic differentiation for outputs with complex dtype",
    "Autograd not support dtype: Int",  # sum(dtype=int32)
)
"""Where PyTorch refuses to record."""


def accepted_by_both(torch, path, sample, dtype, number):
    """The results here and in PyTorch, or None if a call is refused; a surprise fails."""
    op = OPS[path]
    args, kwargs, _ = oracle.ours(sample, False)
    with np.errstate(all="ignore"):
        here = oracle.attempt(oracle.called(path), args, kwargs)
    args, kwargs, _ = oracle.theirs(torch, sample, False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        there = oracle.attempt(torch_function(torch, path), args, kwargs)
    if isinstance(there, Exception):
        if isinstance(here, Exception):
            return None
        text = str(there)
        assert (
            TENSORS_ONLY in text
            or (NO_KERNEL in text and not (path in ORDERED and "Complex" in text))
            or op.departs_in("accepts", dtype)
        ), f"PyTorch raises {there!r}, and here it is {here}"
        return None
    if isinstance(here, Exception):
        empty = all(y.numel() == 0 for y in there if is_tensor(y))
        assert op.departs_in("refuses", dtype) or path.endswith(WEAK_CHECKS) or empty, (
            f"{here!r}, and PyTorch gives {there}"
        )
        return None
    assert len(here) == len(there)
    return here, there


def test_every_operation_is_found_in_pytorch(torch):
    assert [path for path in OPS if torch_function(torch, path) is None] == []


@over_samples
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-10), ("float32", 2e-5)])
def test_values_and_derivatives(torch, path, number, dtype, rtol):
    op = OPS[path]
    sample = recast(samples(path)[number], dtype)
    results = accepted_by_both(torch, path, sample, dtype, number)
    if results is None:
        return
    for y, expected in zip(*results, strict=True):
        check_same(y, expected, rtol, "value")
    if op.departs_in("differentiable"):
        return
    try:
        here, there = oracle.derivatives(torch, path, sample)
        if "_backward is not implemented" in str(there.error):  # PyTorch has the first alone
            here, there = oracle.derivatives(torch, path, sample, 1)
    except RuntimeError as error:
        if any(text in str(error) for text in NO_DERIVATIVE):
            return
        raise
    for y, expected in zip(here.outputs, there.outputs, strict=True):
        if is_tensor(expected):
            assert y.requires_grad == expected.requires_grad
            assert y.is_leaf == expected.is_leaf or op.departs_in("new")
            if not op.departs_in("node") and expected.grad_fn is not None:
                names = y.grad_fn.name(), expected.grad_fn.name()
                assert names[0] == names[1] or names == FULL_MEAN
    if op.departs_in("derivative", number) or op.departs_in("gradient"):
        assert here.error is None
        return
    assert (here.error is None) == (there.error is None), (here.error, there.error)
    if here.error is not None:
        return
    assert (here.first is None) == (there.first is None)
    for position, (g, expected) in enumerate(zip(here.first or (), there.first or (), strict=True)):
        assert (g is None) == (expected is None), f"gradient {position}"
        if g is not None:
            check_same(g, expected, rtol, f"gradient {position}")
    if op.departs_in("second derivative", number):
        return
    check_second(here.second, there.second, rtol)


def check_second(here, there, rtol):
    """Compare second derivatives, in which None is zero, and rounding of O(1) terms cancels."""
    count = len(here or there or ())
    none = (None,) * count
    for position, (h, expected) in enumerate(zip(here or none, there or none, strict=True)):
        if h is None and expected is None:
            continue
        a, b = (
            (np.zeros(()) if h is None else array(h)),
            (np.zeros(()) if expected is None else array(expected)),
        )
        if h is not None and expected is not None:
            assert a.shape == b.shape
            assert a.dtype == b.dtype
        finite = np.abs(b[np.isfinite(b)])
        largest = max(1.0, float(finite.max()) if finite.size else 0.0)
        np.testing.assert_allclose(
            a, b, rtol=rtol, atol=rtol * largest, err_msg=f"second derivative {position}"
        )


@over_samples
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_integers(torch, path, number, dtype):
    sample = recast(samples(path)[number], dtype)
    results = accepted_by_both(torch, path, sample, dtype, number)
    if results is None or OPS[path].departs_in("values", dtype) or OPS[path].departs_in("ties"):
        return
    for y, expected in zip(*results, strict=True):
        check_same(y, expected, 2e-5, "value")


@over_samples
def test_float16(torch, path, number):
    sample = recast(samples(path)[number], "float16")
    results = accepted_by_both(torch, path, sample, "float16", number)
    for y, expected in zip(*(results or ((), ())), strict=True):
        check_same(y, expected, 1e-2 if OPS[path].departs_in("float16") else 2e-3, "value")


@over_samples
@pytest.mark.parametrize(("dtype", "rtol"), [("complex128", 1e-10), ("complex64", 2e-5)])
def test_complex(torch, path, number, dtype, rtol):
    sample = recast(samples(path)[number], dtype)
    results = accepted_by_both(torch, path, sample, dtype, number)
    if results is None:
        return
    for y, expected in zip(*results, strict=True):
        check_same(y, expected, rtol, "value")
    try:
        with np.errstate(all="ignore"):
            here, there = oracle.derivatives(torch, path, sample, 1)
    except RuntimeError as error:
        if any(text in str(error) for text in NO_DERIVATIVE):
            return
        raise
    if there.error is not None or any(
        OPS[path].departs_in(aspect, number)
        for aspect in ("derivative", "complex derivative", "gradient")
    ):
        return
    assert here.error is None
    assert (here.first is None) == (there.first is None)
    for position, (g, expected) in enumerate(zip(here.first or (), there.first or (), strict=True)):
        assert (g is None) == (expected is None), f"gradient {position}"
        if g is not None:
            check_same(g, expected, rtol, f"gradient {position}")


def arrays_in(sample):
    found = []
    oracle.mapped(
        (sample.args, sample.kwargs), lambda v: found.append(v) if isinstance(v, np.ndarray) else 0
    )
    return found


SEVERAL_INPUTS = [
    (path, number, position)
    for path, number in CASES
    for position, v in enumerate(arrays_in(samples(path)[number]))
    if v.dtype.kind in "fc" and len(arrays_in(samples(path)[number])) > 1
]


@pytest.mark.parametrize(
    ("path", "number", "position"),
    SEVERAL_INPUTS,
    ids=[f"{path}-{number}-{position}" for path, number, position in SEVERAL_INPUTS],
)
def test_one_input_alone(torch, path, number, position):
    try:
        here, there = oracle.derivatives(torch, path, samples(path)[number], 1, position)
    except RuntimeError as error:
        if any(text in str(error) for text in NO_DERIVATIVE):
            return
        raise
    if there.error is not None or any(
        OPS[path].departs_in(aspect, number) for aspect in ("derivative", "gradient")
    ):
        return
    for y, expected in zip(here.outputs, there.outputs, strict=True):
        check_same(y, expected, 1e-10, "value")
        assert not is_tensor(expected) or y.requires_grad == expected.requires_grad
    assert (here.first is None) == (there.first is None)
    if here.first is not None:
        assert (here.first[0] is None) == (there.first[0] is None)
        if here.first[0] is not None:
            check_same(here.first[0], there.first[0], 1e-10, "gradient")


@over_samples
def test_backward_fills_the_leaves(torch, path, number):
    sample = samples(path)[number]
    aspects = ("derivative", "differentiable", "gradient")
    if any(OPS[path].departs_in(aspect, number) for aspect in aspects):
        return
    found = []
    for module, function, arguments in (
        (gd, oracle.called(path), oracle.ours(sample)),
        (torch, torch_function(torch, path), oracle.theirs(torch, sample)),
    ):
        args, kwargs, leaves = arguments
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                for _ in range(2):  # the second accumulates
                    outputs = [
                        y
                        for y in oracle.flat(function(*args, **kwargs))
                        if is_tensor(y) and y.requires_grad
                    ]
                    seeds = [module.tensor(v) for v in oracle.cotangents(outputs)]
                    module.autograd.backward(outputs, seeds)
            except (RuntimeError, TypeError) as error:
                if module is gd and "not implemented" not in str(error):
                    raise
                return
        found.append([t.grad for t in leaves])
    for t, g, expected in zip(leaves, *found, strict=True):
        assert (g is None) == (expected is None)
        if g is not None:
            assert g.is_contiguous()
            assert not g.requires_grad
            assert tuple(g.shape) == tuple(t.shape)
            check_same(g, expected, 1e-10, "gradient")


@over_samples
def test_views_are_views_and_copies_are_copies(torch, path, number):
    sample = samples(path)[number]
    op = OPS[path]
    if op.departs_in("copies") or not accepted_by_both(torch, path, sample, "float64", number):
        return
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        args, kwargs, mine = oracle.ours(sample, False)
        here = oracle.flat(oracle.called(path)(*args, **kwargs))
        args, kwargs, others = oracle.theirs(torch, sample, False)
        there = oracle.flat(torch_function(torch, path)(*args, **kwargs))
    for y, expected in zip(here, there, strict=True):
        for x, t in zip(mine, others, strict=True):
            if is_tensor(expected) and expected.numel() and t.numel():
                shares = expected.untyped_storage().data_ptr() == t.untyped_storage().data_ptr()
                assert np.shares_memory(array(y), array(x)) == shares
                assert (y is x) == (expected is t) or op.departs_in("new")


SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, 2.5, 1.5, 20.0, -20.0, 100.0, -100.0]
SPECIAL += [1e-30, 1e30, -1e30, np.inf, -np.inf, np.nan]

ONE_OPERAND = [path for path, op in OPS.items() if op.kind == "unary" and path != "_imag"] + [
    f"nn.functional.{name}"
    for name in (
        *("gelu", "silu", "logsigmoid", "softplus", "leaky_relu", "elu", "relu", "relu6", "mish"),
        *("hardtanh", "hardswish", "softshrink", "celu", "selu"),
    )
]
TWO_ELEMENTWISE = [path for path, op in OPS.items() if op.kind in ("binary", "comparison")]


@pytest.mark.parametrize("path", ONE_OPERAND + TWO_ELEMENTWISE)
def test_special_values(torch, path):
    if "bitwise" in path or path in ("gcd", "lcm"):
        return
    op = OPS[path]
    points = list(itertools.product(SPECIAL, repeat=1 if path in ONE_OPERAND else 2))
    values = [np.array(v) for v in zip(*points, strict=True)]
    x = [gd.tensor(v, requires_grad=True) for v in values]
    t = [torch.tensor(v, requires_grad=True) for v in values]
    with np.errstate(all="ignore"):
        y, expected = oracle.called(path)(*x), torch_function(torch, path)(*t)
    check_special(
        y, expected, [all(not op.departs_in("values at", v) for v in at) for at in points]
    )
    if not expected.requires_grad:
        return
    (seed,) = [np.linspace(1, 2, values[0].size)]
    try:
        slopes = torch.autograd.grad(expected, t, torch.tensor(seed))
    except RuntimeError as error:
        if "not implemented" in str(error):
            return
        raise
    defined = ~np.isnan(array(expected))  # PyTorch's derivative may be a number where it is nan
    for v, slope, other in zip(
        values, gd.autograd.grad(y, x, gd.tensor(seed)), slopes, strict=True
    ):
        alike = [not op.departs_in("derivative at", each) for each in v]
        check_special(slope, other, defined & alike)


def check_special(mine, other, places):
    a, b = array(mine), array(other)
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a[places], b[places], rtol=1e-9, atol=1e-16)


WITH_NUMBERS = {
    "x + 2": lambda m, x: x + 2,
    "2 + x": lambda m, x: 2 + x,
    "x - 2": lambda m, x: x - 2.5,
    "2 - x": lambda m, x: 2.5 - x,
    "x * 2": lambda m, x: x * 2,
    "2 * x": lambda m, x: 2.5 * x,
    "x / 2": lambda m, x: x / 2,
    "2 / x": lambda m, x: 2 / x,
    "x ** 2": lambda m, x: x**2,
    "x ** 3": lambda m, x: x**3,
    "x ** -0.5": lambda m, x: x**-0.5,
    "2 ** x": lambda m, x: 2**x,
    "x % 2": lambda m, x: x % 0.7,
    "x // 2": lambda m, x: x // 0.7,
    "fmod": lambda m, x: m.fmod(x, 0.7),
    "add alpha": lambda m, x: m.add(x, 2, alpha=3),
    "sub alpha": lambda m, x: m.sub(x, 2, alpha=3),
    "rsub": lambda m, x: m.rsub(x, 2, alpha=3),
    "where": lambda m, x: m.where(x > 1, x, 0.5),
    "clamp": lambda m, x: x.clamp(0.7, 1.2),
    "x > 1": lambda m, x: x > 1,
    "1 > x": lambda m, x: x < 1,
    "x == 1": lambda m, x: x == 1,
    "masked_fill": lambda m, x: x.masked_fill(x > 1, 0.5),
}


PROMOTED = ["float16", "float32", "float64", "complex64", "complex128", "int64"]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "atan2", "where"])
@pytest.mark.parametrize("shapes", [((3,), (3,)), ((3,), ()), ((), (3,)), ((2, 1), (3,))], ids=str)
@pytest.mark.parametrize("one", PROMOTED)
@pytest.mark.parametrize("two", PROMOTED)
def test_gradients_through_promotion(torch, name, shapes, one, two):
    a = np.linspace(1, 2, int(np.prod(shapes[0]))).reshape(shapes[0]).astype(one)
    b = np.linspace(2.5, 3, int(np.prod(shapes[1]))).reshape(shapes[1]).astype(two)

    def run(m):
        leaves = [m.tensor(v, requires_grad=v.dtype.kind in "fc") for v in (a, b)]
        chosen = [m.tensor([True, False, True])] if name == "where" else []
        y = getattr(m, name)(*chosen, *leaves)
        if y.requires_grad:
            (seed,) = oracle.cotangents([y])
            y.backward(m.tensor(seed))
        return y, [t.grad for t in leaves]

    if {one, two} in ({"float16", "complex64"}, {"float16", "complex128"}):
        return  # complex32 where one is 0-d
    try:
        expected, gradients = run(torch)
    except (RuntimeError, TypeError):
        if name == "where":
            return  # PyTorch's backward of where fails for a real and a complex operand
        with pytest.raises((RuntimeError, TypeError)):
            run(gd)
        return
    y, mine = run(gd)
    rtol = 5e-3 if "float16" in (one, two) else 1e-5
    check_same(y, expected, rtol, "value")
    for g, e in zip(mine, gradients, strict=True):
        assert (g is None) == (e is None)
        if g is not None:
            check_same(g, e, rtol, "gradient")


# dtypes --------------------------------------------------------------------------------------

NUMBERS = [True, 2, 2.0, 2j]

TWO_OPERANDS = {
    "add": lambda m, a, b: a + b,
    "sub": lambda m, a, b: m.sub(a, b),
    "mul": lambda m, a, b: a * b,
    "div": lambda m, a, b: a / b,
    "floor_divide": lambda m, a, b: a // b,
    "remainder": lambda m, a, b: a % b,
    "pow": lambda m, a, b: a**b,
    "lt": lambda m, a, b: a < b,
    "eq": lambda m, a, b: a == b,
    "where": lambda m, a, b: m.where(m.tensor([True, False]), a, b),
    "promote_types": lambda m, a, b: m.promote_types(a.dtype, b.dtype),
}


def result_dtype(function, module, a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = function(module, a, b)
        except Exception as error:
            return error
    found = getattr(found, "dtype", found)
    return str(found).rpartition(".")[2]


@pytest.mark.parametrize("name", TWO_OPERANDS)
def test_dtype_of_two_operands(torch, name):
    function = TWO_OPERANDS[name]
    wrong = []
    pairs = itertools.product(oracle.DTYPES, oracle.DTYPES, [(2,), ()], [(2,), ()])
    for one, two, shape, other in pairs:
        a, b = np.ones(shape, one), np.ones(other, two)
        here = result_dtype(function, gd, gd.tensor(a), gd.tensor(b))
        there = result_dtype(function, torch, torch.tensor(a), torch.tensor(b))
        if not same_dtype(here, there):
            wrong.append((one, shape, two, other, here, there))
    assert not wrong, wrong[:20]


@pytest.mark.parametrize("name", [name for name in TWO_OPERANDS if name != "promote_types"])
@pytest.mark.parametrize("reflected", [False, True])
def test_dtype_with_a_python_number(torch, name, reflected):
    function = TWO_OPERANDS[name]
    wrong = []
    for dtype, shape, number in itertools.product(oracle.DTYPES, [(2,), ()], NUMBERS):
        if (name, dtype, number) == ("pow", "bool", True):
            continue  # NumPy's power of bools is int8
        a = np.ones(shape, dtype)
        h, t = (gd.tensor(a), number), (torch.tensor(a), number)
        if reflected:
            h, t = h[::-1], t[::-1]
        here, there = result_dtype(function, gd, *h), result_dtype(function, torch, *t)
        if not same_dtype(here, there):
            wrong.append((dtype, shape, number, here, there))
    assert not wrong, wrong[:20]


def same_dtype(here, there):
    if isinstance(there, Exception):
        # PyTorch has few kernels for bool, half precision and the wide unsigned integers.
        # Its wide unsigned integers do not promote with complex numbers, unless those are Python's.
        allowed = ("not implemented", "with a bool tensor", "ComplexFloat", "ComplexDouble")
        return isinstance(here, Exception) or any(text in str(there) for text in allowed)
    if there == "complex32":
        return here == "complex64"  # NumPy has no half precision complex numbers
    return here == there


NO_TANGENT = (
    "that does not support it",
    "Setting a forward grad that itself has a forward gradient",  # tangents of the weights
    "Expected both tensor and its forward grad to be floating point",  # sum(dtype=int32)
)
"""Where PyTorch has no forward mode."""


@over_samples
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-10), ("complex128", 1e-10)])
def test_tangents(torch, path, number, dtype, rtol):
    sample = recast(samples(path)[number], dtype)
    results = accepted_by_both(torch, path, sample, dtype, number)
    op = OPS[path]
    if results is None or not op.differentiable or op.departs_in("tangent", number):
        return
    aspects = ("complex tangent", "complex derivative")
    if dtype == "complex128" and any(op.departs_in(aspect, number) for aspect in aspects):
        return
    forward_ad = torch.autograd.forward_ad
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            there = oracle.tangents(
                torch,
                forward_ad,
                torch.tensor,
                torch_function(torch, path),
                oracle.theirs(torch, sample),
            )
    except (RuntimeError, NotImplementedError) as error:
        if any(text in str(error) for text in (*NO_TANGENT, *NO_DERIVATIVE)):
            return
        raise
    with np.errstate(all="ignore"):
        here = oracle.tangents(
            gd, gd.autograd.forward_ad, gd.tensor, oracle.called(path), oracle.ours(sample)
        )
    assert len(here) == len(there)
    for (y, t), (expected, slope) in zip(here, there, strict=True):
        check_same(y, expected, rtol, "value")
        if slope is None:
            assert t is None or not array(t).any() or op.departs_in("differentiable")
        elif t is None:
            assert not array(slope).any()
        else:
            check_same(t, slope, rtol, "tangent")
