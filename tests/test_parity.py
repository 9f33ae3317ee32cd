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

NUMPY_KEYWORDS = {("broadcast_to", 3): "NumPy's shape= beside PyTorch's size="}

ACCEPTED_HERE = {
    ("masked.var", "bool"): "bools are numbers",
    ("masked.std", "bool"): "bools are numbers",
    ("nn.functional.linear", "bool"): "the sum of a bool product stays bool",
    **dict.fromkeys([("isin", t) for t in ("bool", "complex64", "complex128")], "any dtype"),
    ("sub", "bool"): "a bool Tensor minus a number is a number",
    ("_sub", "bool"): "a bool Tensor minus a number is a number",
    ("rsub", "bool"): "a number minus a bool Tensor is a number",
    ("nn.functional.tanhshrink", "bool"): "a bool Tensor minus numbers",
    ("positive", "bool"): "nothing changes",
    ("relu", "bool"): "max(x, 0)",
    ("nn.functional.relu", "bool"): "max(x, 0)",
}
"""Calls that only PyTorch refuses, by path and dtype."""

REFUSED_HERE = {
    ("matrix_exp", "float16"): "PyTorch's overflows for all matrices",
    ("pow", "int32"): "PyTorch looks at scalar exponents only, and gives 0 for negative others",
    ("pow", "int64"): "PyTorch looks at scalar exponents only, and gives 0 for negative others",
    ("logaddexp", "complex64"): "NumPy has none",
    ("logaddexp", "complex128"): "NumPy has none",
    ("masked.logaddexp", "complex64"): "NumPy has none",
    ("masked.logaddexp", "complex128"): "NumPy has none",
    ("nn.functional.silu", "complex64"): "an activation of real numbers",
    ("nn.functional.silu", "complex128"): "an activation of real numbers",
    ("masked_fill", "uint8"): "PyTorch lets a negative fill value wrap around",
    ("sign", "bool"): "NumPy has none",
    ("sgn", "bool"): "NumPy has none",
    **dict.fromkeys(
        [(name, "float16") for name in ("complex", "polar", "view_as_complex")],
        "NumPy has no half precision complex numbers",
    ),
    ("linalg.det", "float16"): "PyTorch has it for empty matrices only",
    **{
        ("affine_grid_generator", t): "places are real numbers"
        for t in ("uint8", "int32", "int64", "complex64", "complex128")
    },
    ("nn.functional.interpolate", "uint8"): "PyTorch has weights of whole numbers for it",
    ("matmul", "bool"): "PyTorch has it for empty inner dimensions only",
}
"""Calls that only gradcore refuses, by path and dtype."""

OTHER_INTEGERS = {
    ("einsum", "*"): "PyTorch's is int64 where it calls sum, and the operands' dtype elsewhere",
    ("square", "bool"): "PyTorch's is int64",
    ("topk", "*"): "which of equal elements PyTorch takes is open",
    ("kthvalue", "*"): "which of equal elements PyTorch takes is open",
    ("nn.functional.local_response_norm", "*"): "PyTorch rounds a mean of integers",
}
"""Values or dtypes that differ on integers, by path and dtype."""

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

DIFFERENT_NAMES = {
    "mul_mean": "one node",
    "floor_divide": "PyTorch writes torch::autograd::NotImplemented",
    "rsub": "SubBackward0 of the exchanged operands",
    "div": "rounded quotients have a name of their own",
    "_div_trunc": "rounded quotients have a name of their own",
    "_div_floor": "rounded quotients have a name of their own",
    "round": "composite where decimals are given",
    "sgn": "sign for real numbers",
    "clamp": "a node per bound where bounds are Tensors",
    "clamp_min": "clamp",
    "clamp_max": "clamp",
    "_clamp_min": "the bound is a number",
    "_clamp_max": "the bound is a number",
    "matmul": "one node, where PyTorch reshapes and calls mm, mv or bmm",
    "mv": "one node, where PyTorch reshapes and calls mm, mv or bmm",
    "vdot": "dot",
    "inner": "one node",
    **dict.fromkeys(("addmm", "addmv", "addr", "addbmm", "baddbmm"), "composite"),
    "einsum": "one node, where PyTorch permutes and calls bmm",
    "nn.functional.linear": "one node more or less",
    "nn.functional.scaled_dot_product_attention": "composite",
    "nn.functional.l1_loss": "one node",
    "nn.functional.smooth_l1_loss": "l1_loss where beta is 0",
    "nn.functional.cross_entropy": "one node for soft targets",
    "nn.functional.adaptive_avg_pool1d": "one node, where PyTorch adds a dimension",
    "nn.functional.adaptive_avg_pool2d": "a mean in PyTorch for one element",
    "nn.functional.adaptive_avg_pool3d": "a mean in PyTorch for one element",
    "adaptive_max_pool1d": "one node, where PyTorch adds a dimension",
    "conv_tbc": "composite",
    "nn.functional.adaptive_max_pool1d": "one node, where PyTorch adds a dimension",
    "nn.functional.adaptive_max_pool1d_with_indices": "one node, where PyTorch adds a dimension",
    "nn.functional.avg_pool1d": "one node, where PyTorch adds a dimension",
    "nn.functional.max_pool1d": "one node, where PyTorch adds a dimension",
    "nn.functional.max_pool1d_with_indices": "one node, where PyTorch adds a dimension",
    "nn.functional.max_unpool1d": "one node, where PyTorch adds a dimension",
    "atleast_2d": "unsqueeze, where PyTorch calls reshape",
    "atleast_3d": "unsqueeze, where PyTorch calls reshape",
    "Tensor.sum_to_size": "sum, with or without a view",
    "rot90": "composite",
    "diag": "composite",
    "gather": "a reshape at the end for 0-d and empty",
    "index_select": "a reshape at the end for 0-d",
    "scatter": "a reshape at the end for 0-d",
    "scatter_add": "composite where shapes differ",
    "scatter_reduce": "sums and means are composite",
    "index_copy": "a reshape at the end for 0-d",
    "index_fill": "a reshape at the end for 0-d",
    "index_reduce": "means are composite",
    "put": "composite",
    "combinations": "an index, where PyTorch selects by masks and stacks",
    **dict.fromkeys(
        ("unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk"), "views with a node each"
    ),
    "narrow_copy": "composite",
    "Tensor.unfold": "a selection at the end for 0-d",
    "masked_scatter": "composite",
    "repeat_interleave": "composite",
    "masked_fill": "one name for number and Tensor values",
    "aminmax": "two nodes",
    "masked.prod": "one node",
    "bincount": "PyTorch writes torch::autograd::NotImplemented",
    "histogram": "PyTorch writes torch::autograd::NotImplemented",
    "nanmean": "composite",
    "trace": "composite",
    "dist": "composite",
    "renorm": "composite",
    "diff": "composite",
    "trapezoid": "composite",
    "trapz": "composite",
    "cumulative_trapezoid": "composite",
    "quantile": "composite",
    "nanquantile": "composite",
    "var_mean": "two nodes",
    "std_mean": "two nodes",
    "frexp": "composite",
    "nn.functional.glu": "composite",
    "nn.functional.soft_margin_loss": "log_sigmoid",
    "nn.functional.pairwise_distance": "composite",
    **dict.fromkeys(
        [
            f"nn.functional.{name}_loss"
            for name in (
                *("margin_ranking", "multi_margin", "multilabel_margin"),
                *("multilabel_soft_margin", "triplet_margin", "triplet_margin_with_distance"),
            )
        ],
        "composite",
    ),
    "nn.functional.gumbel_softmax": "composite",
    "nn.functional.rrelu": "one name in training and else",
    "mvlgamma": "composite",
    "Tensor.polygamma": "digamma for order 0",
    "special.ndtr": "composite in PyTorch",
    "polygamma": "digamma for order 0",
    "special.spherical_bessel_j0": "sinc",
    "heaviside": "PyTorch writes torch::autograd::NotImplemented",
    "ldexp": "composite",
    "polar": "composite",
    "conj_physical": "conj",
    "max": "a 0-d Tensor",
    "min": "a 0-d Tensor",
    "linalg.solve_triangular": "a transpose where left is False",
    "linalg.cholesky": "a transpose where upper is True",
    "linalg.cholesky_ex": "a transpose where upper is True",
    "cholesky": "linalg.cholesky",
    "cholesky_inverse": "composite",
    "cholesky_solve": "composite",
    "triangular_solve": "linalg.solve_triangular, and a copy",
    "linalg.eigh": "what is tested ends with a product",
    "linalg.householder_product": "composite",
    "linalg.lu": "composite",
    "linalg.lu_solve": "composite",
    "linalg.svd": "what is tested ends with a product",
    "lu_solve": "composite",
    "lu_unpack": "composite",
    "orgqr": "composite",
    "svd": "what is tested ends with a product",
    "ormqr": "composite",
    "stft": "nothing is made two-dimensional first",
    "istft": "nothing is made two-dimensional first",
    "linalg.tensorinv": "composite",
    "linalg.tensorsolve": "composite",
    **dict.fromkeys(
        ("chain_matmul", "kron", "linalg.matmul", "linalg.matrix_power", "linalg.multi_dot"),
        "composite",
    ),
    **dict.fromkeys(("linalg.tensorinv", "linalg.tensorsolve", "linalg.vecdot"), "composite"),
    **dict.fromkeys(
        ("corrcoef", "cov", "nn.functional.bilinear", "tensordot", "vander"), "composite"
    ),
    **dict.fromkeys(
        ("frobenius_norm", "linalg.cond", "linalg.matrix_norm", "linalg.norm", "nuclear_norm"),
        "composite",
    ),
    "linalg.lstsq": "the pseudoinverse, multiplied",
    "nn.functional.ctc_loss": "composite",
    "cdist": "one node, where PyTorch has views of it or products",
    "linalg.solve": "views of the solution for vectors and transposes",
    "linalg.solve_ex": "views of the solution for vectors and transposes",
    "fft.ifft": "one node for real input",
    "fft.fftn": "real input is not made complex first",
    "fft.ifftn": "real input is not made complex first",
    "fft.ihfft": "one node, where PyTorch conjugates",
    "fft.ihfft2": "one node, where PyTorch conjugates",
    "fft.ihfftn": "one node, where PyTorch conjugates",
    "nn.functional.pad": "a node of their own for negative widths; PyTorch copies circular ones",
    "channel_shuffle": "composite",
    "affine_grid_generator": "composite",
    "grid_sampler": "composite",
    "instance_norm": "group_norm",
    "nn.functional.affine_grid": "composite",
    "nn.functional.embedding_bag": "composite for means and maxima",
    "nn.functional.multi_head_attention_forward": "composite",
    "nn.functional.grid_sample": "composite",
    "nn.functional.instance_norm": "group_norm",
    "nn.functional.interpolate": "a node per dimension",
}
"""Where grad_fn.name() differs, and why; all other operations have PyTorch's name."""

SECOND_ORDER_DIFFERS = {
    ("mean", 11): "empty: 0 / 0 here, 0 in PyTorch",
    ("mean", 12): "empty: 0 / 0 here, 0 in PyTorch",
    ("mul_mean", 13): "empty: 0 / 0 here, 0 in PyTorch",
    ("norm", 28): "empty, p = 3: 0 here, nan in PyTorch",
    ("masked.logaddexp", 1): "0 where an operand is masked out, nan in PyTorch",
    ("median", 6): "empty: 0 here, nan in PyTorch",
    ("nanmedian", 6): "empty: 0 here, nan in PyTorch",
    ("nn.functional.gelu", 11): "cancellation at |x| > 5: both are off in the eighth digit",
}

COARSE_IN_HALF = {"nn.functional.grid_sample": 1e-2}
"""Tolerances where PyTorch computes in float16, and gradcore in float32."""

FULL_MEAN = ("MeanBackward1", "MeanBackward0")
"""The full mean has the name that the tutorial prints."""

NO_DERIVATIVE = (
    "the derivative for ",  # of incomplete gamma functions by the first operand
    "is not differentiable with respect to argument",  # the weights of losses
    "does not support automatic differentiation for outputs with complex dtype",
    "Autograd not support dtype: Int",  # sum(dtype=int32)
)
"""Where PyTorch refuses to record."""

CAST_TO_REAL = dict.fromkeys(
    [("cumprod", 5), ("masked.cumprod", 3)], "PyTorch's gradient through dtype=float64 is not real"
)

NOT_IN_PYTORCH = {
    ("dist", 5): "PyTorch's double backward fails for p = 0",
    **{("linalg.cond", n): "PyTorch writes into what it has saved" for n in (2, 4, 5)},
    **{("linalg.cond", n): "PyTorch writes into what it has saved" for n in (2, 4, 5)},
    **dict.fromkeys(
        [("cdist", number) for number in range(9)]
        + [("nn.functional.pdist", number) for number in range(6)],
        "PyTorch has no second derivative but by products",
    ),
    ("vander", 0): "PyTorch writes into what it has saved",
    ("vander", 1): "PyTorch writes into what it has saved",
    ("nn.functional.layer_norm", 3): "PyTorch's double backward fails without a weight",
    ("nn.functional.batch_norm", 3): "PyTorch's double backward fails without a weight",
    ("instance_norm", 0): "PyTorch's double backward fails without a weight",
    ("nn.functional.group_norm", 3): "PyTorch's double backward fails without a weight",
    **{("nn.functional.embedding_bag", n): "PyTorch's has no second derivative" for n in range(8)},
    ("nn.functional.multi_head_attention_forward", 1): "PyTorch's flash attention has no second",
    ("nn.functional.embedding", 3): "PyTorch's double backward fails for no indices",
    **dict.fromkeys(
        [("nn.functional.hardsigmoid", number) for number in range(3)],
        "PyTorch's slope is 1/6 in float32, and it has no second derivative",
    ),
    ("view_as_real", 2): "PyTorch's double backward fails for empty ones",
    ("scatter", 1): "PyTorch's double backward fails where src is larger than index",
    ("scatter_add", 2): "PyTorch's double backward fails where src is larger than index",
    ("scatter_add", 4): "PyTorch's double backward fails where src is larger than index",
    **dict.fromkeys(
        [("as_strided_scatter", number) for number in range(3)],
        "PyTorch lets flow to the operand what was overwritten, and only that",
    ),
}
"""Derivatives that only gradcore has."""


DIFFERENTIABLE_HERE = tuple(path for path in OPS if "bessel" in path)
"""PyTorch has no derivatives of Bessel functions but i0 and i1."""

UNCHANGED = ("_conj", "_real")
"""Of a real Tensor PyTorch's function is the Tensor itself, without a node."""


def accepted_by_both(torch, path, sample, dtype, number):
    """The results here and in PyTorch, or None if a call is refused; a surprise fails."""
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
            or (path, dtype) in ACCEPTED_HERE
            or (path, number) in NUMPY_KEYWORDS
        ), f"PyTorch raises {there!r}, and here it is {here}"
        return None
    if isinstance(here, Exception):
        empty = all(y.numel() == 0 for y in there if is_tensor(y))
        assert (path, dtype) in REFUSED_HERE or path.endswith(WEAK_CHECKS) or empty, (
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
    sample = recast(samples(path)[number], dtype)
    results = accepted_by_both(torch, path, sample, dtype, number)
    if results is None:
        return
    for y, expected in zip(*results, strict=True):
        check_same(y, expected, rtol, "value")
    if path in DIFFERENTIABLE_HERE:
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
            assert y.is_leaf == expected.is_leaf or path in UNCHANGED
            if path not in DIFFERENT_NAMES and expected.grad_fn is not None:
                names = y.grad_fn.name(), expected.grad_fn.name()
                assert names[0] == names[1] or names == FULL_MEAN
    if (path, number) in NOT_IN_PYTORCH:
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
    if (path, number) in SECOND_ORDER_DIFFERS:
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
    if results is None or (path, dtype) in OTHER_INTEGERS or (path, "*") in OTHER_INTEGERS:
        return
    for y, expected in zip(*results, strict=True):
        check_same(y, expected, 2e-5, "value")


@over_samples
def test_float16(torch, path, number):
    sample = recast(samples(path)[number], "float16")
    results = accepted_by_both(torch, path, sample, "float16", number)
    for y, expected in zip(*(results or ((), ())), strict=True):
        check_same(y, expected, COARSE_IN_HALF.get(path, 2e-3), "value")


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
    if (path, number) in CAST_TO_REAL | NOT_IN_PYTORCH or there.error is not None:
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
    if (path, number) in NUMPY_KEYWORDS:
        return
    try:
        here, there = oracle.derivatives(torch, path, samples(path)[number], 1, position)
    except RuntimeError as error:
        if any(text in str(error) for text in NO_DERIVATIVE):
            return
        raise
    if (path, number) in NOT_IN_PYTORCH or there.error is not None:
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
    if (path, number) in NUMPY_KEYWORDS | NOT_IN_PYTORCH or path in DIFFERENTIABLE_HERE:
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


COPIED = {
    "adjoint": "NumPy's conj is no view",
    "conj": "NumPy's conj is no view",
    "_conj": "NumPy's conj is no view",
    "einsum": "contiguous also where PyTorch's diagonal is a view",
}
"""Operations whose results share memory in PyTorch only."""


@over_samples
def test_views_are_views_and_copies_are_copies(torch, path, number):
    sample = samples(path)[number]
    if path in COPIED or accepted_by_both(torch, path, sample, "float64", number) is None:
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
                assert (y is x) == (expected is t) or path in UNCHANGED


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

OUTSIDE = {
    "acosh": lambda x: x < 1,
    "logsigmoid": lambda x: x > 1e4,
    "digamma": lambda x: (x <= 0) & (x == np.rint(x)),  # where its derivative is finite
    "special.log_ndtr": lambda x: x <= -1e30,  # where its derivative is infinite
    "nn.functional.mish": np.isinf,
    "special.i1": np.isnan,
    "special.i1e": np.isnan,
    "igamma": lambda a, x: np.isnan(a) | np.isnan(x),
    "igammac": lambda a, x: np.isnan(a) | np.isnan(x),
    "special.zeta": lambda s, q: (q == np.inf) | (s >= 1e30),  # where it is nan
}
"""Where the function itself is nan, PyTorch's derivative may not be; and where PyTorch is wrong."""


@pytest.mark.parametrize("path", ONE_OPERAND + TWO_ELEMENTWISE)
def test_special_values(torch, path):
    if "bitwise" in path or path in ("gcd", "lcm"):
        return
    pairs = itertools.product(SPECIAL, repeat=1 if path in ONE_OPERAND else 2)
    values = [np.array(v) for v in zip(*pairs, strict=True)]
    outside = OUTSIDE.get(path, lambda *x: np.zeros(x[0].shape, bool))(*values)
    values = [v[~outside] for v in values]
    x = [gd.tensor(v, requires_grad=True) for v in values]
    t = [torch.tensor(v, requires_grad=True) for v in values]
    with np.errstate(all="ignore"):
        y, expected = oracle.called(path)(*x), torch_function(torch, path)(*t)
    found = [(y, expected)]
    if expected.requires_grad and path not in ("floor_divide", "igamma", "igammac", "special.zeta"):
        (seed,) = [np.linspace(1, 2, values[0].size)]
        found += zip(
            gd.autograd.grad(y, x, gd.tensor(seed)),
            torch.autograd.grad(expected, t, torch.tensor(seed)),
            strict=True,
        )
    for mine, other in found:
        a, b = array(mine), array(other)
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-16)


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

TANGENT_DIFFERS = {
    **dict.fromkeys(
        [("nn.functional.nll_loss", number) for number in (2, 5)]
        + [("nn.functional.cross_entropy", number) for number in (4, 7, 11)],
        "PyTorch drops the tangents of the weights",
    ),
    ("logsumexp", 8): "of nothing: 0 here, nan in PyTorch",
    ("logcumsumexp", 6): "PyTorch's underflows where elements are far apart",
    **dict.fromkeys(
        [("scatter_reduce", number) for number in (1, 2, 7)], "PyTorch has no tangent of products"
    ),
    **dict.fromkeys(
        [("triangular_solve", 1), *(("cholesky_inverse", number) for number in range(3))],
        "PyTorch's is not the derivative",
    ),
    **dict.fromkeys(
        [("nn.functional.hardsigmoid", number) for number in range(3)],
        "PyTorch's slope is 1/6 in float32",
    ),
}
COMPLEX_TANGENT_DIFFERS = {
    ("_silu", 0): "PyTorch's is not the derivative",
    ("_silu", 1): "PyTorch's is not the derivative",
    ("_silu", 2): "PyTorch's is not the derivative",
    **CAST_TO_REAL,
}


@over_samples
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-10), ("complex128", 1e-10)])
def test_tangents(torch, path, number, dtype, rtol):
    sample = recast(samples(path)[number], dtype)
    results = accepted_by_both(torch, path, sample, dtype, number)
    if results is None or (path, number) in TANGENT_DIFFERS or not OPS[path].differentiable:
        return
    if dtype == "complex128" and (path, number) in COMPLEX_TANGENT_DIFFERS:
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
            assert t is None or not array(t).any() or path in DIFFERENTIABLE_HERE
        elif t is None:
            assert not array(slope).any()
        else:
            check_same(t, slope, rtol, "tangent")
