"""PyTorch's exact behaviour where clones of autograd usually differ, as literal values.

Read off PyTorch 2.13 on the CPU; the numbers in the headings group what belongs together.
"""

import copy
import math
import pickle

import numpy as np
import pytest

import gradcore as gd
import gradcore.nn.functional as F
from gradcore.autograd import grad

# NumPy warns of 0/0 and log(0); what matters here is the value.
pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")

inf, nan = math.inf, math.nan


def tensor(values, dtype=np.float64):
    return gd.tensor(np.array(values, dtype))


def leaf(values, dtype=np.float64):
    return gd.tensor(np.array(values, dtype), requires_grad=True)


def gradients(function, *values):
    """The gradients of the sum of `function` of float64 leaves, as nested lists."""
    leaves = [leaf(v) for v in values]
    y = function(*leaves)
    found = grad(y, leaves, tensor(np.ones(y.shape)))
    return [g.tolist() for g in found]


def assert_gradients(function, values, expected):
    for g, e in zip(gradients(function, *values), expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-14)


def needs(name, module=gd):
    return pytest.mark.skipif(not hasattr(module, name), reason=f"gradcore has no {name} yet")


# 1. ties -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max", "amax"])
def test_full_maximum_shares_the_gradient_among_ties(name):
    assert_gradients(lambda x: getattr(x, name)(), [[1, 3, 3]], [[0, 0.5, 0.5]])


@pytest.mark.parametrize("name", ["min", "amin"])
def test_full_minimum_shares_the_gradient_among_ties(name):
    assert_gradients(lambda x: getattr(x, name)(), [[3, 1, 1]], [[0, 0.5, 0.5]])


@pytest.mark.parametrize("name", ["amax", "amin"])
def test_amax_along_a_dimension_shares_the_gradient(name):
    assert_gradients(lambda x: getattr(x, name)(0), [[3, 3, 3]], [[1 / 3] * 3])


@pytest.mark.parametrize("name", ["max", "min"])
def test_max_along_a_dimension_gives_all_to_the_index(name):
    sign = 1 if name == "max" else -1
    assert_gradients(
        lambda x: getattr(x, name)(dim=0)[0], [[sign * 1, sign * 3, sign * 3]], [[0, 1, 0]]
    )


@needs("median")
def test_median_shares_the_gradient_among_ties():
    assert_gradients(lambda x: x.median(), [[2, 2, 2]], [[1 / 3] * 3])


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_elementwise_maximum_gives_half_to_each_at_a_tie(name):
    assert_gradients(getattr(gd, name), [[1.0], [1.0]], [[0.5], [0.5]])


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_elementwise_maximum_gives_one_to_both_if_one_is_nan(name):
    assert_gradients(getattr(gd, name), [[nan], [1.0]], [[1], [1]])


@needs("fmax")
@pytest.mark.parametrize("name", ["fmax", "fmin"])
def test_fmax_gives_all_to_the_first_at_a_tie(name):
    assert_gradients(getattr(gd, name), [[1.0], [1.0]], [[1], [0]])


def test_infinity_norm_shares_the_gradient_among_ties():
    assert_gradients(lambda x: x.norm(inf), [[2, -2, 1]], [[0.5, -0.5, 0]])


# 2. kinks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (F.relu, 0),
        (gd.abs, 0),
        (gd.sign, 0),
        (F.leaky_relu, 0.01),
        (gd.sgn, 0),
        (gd.relu, 0),
    ],
)
def test_derivative_at_the_kink_at_zero(function, expected):
    assert_gradients(function, [[0.0]], [[expected]])


def test_derivative_of_clamp_is_one_at_its_bounds():
    assert_gradients(lambda x: x.clamp(0, 1), [[-1, 0, 0.5, 1, 2]], [[0, 1, 1, 1, 0]])


def test_derivative_of_one_sided_clamp_is_one_at_its_bound():
    assert_gradients(lambda x: x.clamp(min=0), [[-1, 0, 1]], [[0, 1, 1]])
    assert_gradients(lambda x: x.clamp(max=0), [[-1, 0, 1]], [[1, 1, 0]])


@pytest.mark.parametrize("bound", ["min", "max"])
def test_clamp_by_a_tensor_gives_all_to_the_input_at_a_tie(bound):
    assert_gradients(lambda x, b: gd.clamp(x, **{bound: b}), [[1.0], [1.0]], [[1], [0]])


@needs("hardtanh", F)
def test_derivative_of_hardtanh_is_zero_at_its_bounds():
    assert_gradients(F.hardtanh, [[-1, 0, 1]], [[0, 1, 0]])


@needs("relu6", F)
def test_derivative_of_relu6_is_zero_at_its_bounds():
    assert_gradients(F.relu6, [[0, 3, 6]], [[0, 1, 0]])


# 3. norms and square roots at 0 --------------------------------------------------------------


@pytest.mark.parametrize("p", [2, 1, 3, 1.5, inf])
def test_gradient_of_a_norm_at_zero_is_zero(p):
    assert_gradients(lambda x: x.norm(p), [[0, 0]], [[0, 0]])


def test_gradient_of_std_of_equal_elements_is_zero():
    assert_gradients(lambda x: x.std(), [[1, 1]], [[0, 0]])


def test_gradient_of_a_square_root_of_a_sum_of_squares_is_nan_at_zero():
    assert_gradients(lambda x: (x * x).sum().sqrt(), [[0, 0]], [[nan, nan]])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (gd.sqrt, inf),
        (lambda x: gd.sqrt(x) * 0, nan),
        (gd.rsqrt, -inf),
    ],
)
def test_roots_at_zero(function, expected):
    assert_gradients(function, [[0.0]], [[expected]])


def test_gradient_of_hypot_at_zero_is_nan():
    assert_gradients(gd.hypot, [[0.0], [0.0]], [[nan], [nan]])


def test_gradient_of_atan2_at_zero_is_zero():
    da, db = gradients(gd.atan2, [0.0], [0.0])
    assert (da, db) == ([0.0], [0.0])
    assert math.copysign(1, db[0]) == -1


@needs("sinc")
def test_gradient_of_sinc_at_zero_is_zero():
    assert_gradients(lambda x: gd.sinc(x), [[0.0]], [[0]])


@needs("xlogy")
def test_gradient_of_xlogy_at_zero():
    assert_gradients(lambda x, y: gd.xlogy(x, y), [[0.0], [0.0]], [[0], [nan]])


def test_gradient_of_a_zero_norm_is_none():
    x = leaf([1, 0])
    y = x.norm(0)
    assert y.item() == 1
    assert grad(y, x, allow_unused=True) == (None,)


# 4. powers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("exponent", "expected"), [(2, 0), (0, 0), (1, 1), (0.5, inf), (-1, -inf)])
def test_derivative_of_a_power_at_zero(exponent, expected):
    assert_gradients(lambda x: x**exponent, [[0.0]], [[expected]])


def test_derivatives_of_powers_of_zero_with_a_tensor_exponent():
    assert_gradients(gd.pow, [[0.0, 0, 0, 0], [0.0, 1, 2, -1]], [[0, 1, 0, -inf], [0, 0, 0, -inf]])


def test_derivatives_of_a_power_of_a_negative_number():
    assert_gradients(gd.pow, [[-2.0], [2.0]], [[-4], [nan]])


def test_derivative_of_a_power_of_the_number_zero():
    assert_gradients(lambda y: 0**y, [[0.0, 2]], [[0, 0]])


def test_an_integer_base_differentiates_the_exponent():
    y = leaf(3.0)
    (gd.tensor(2) ** y).backward()
    assert y.grad.item() == pytest.approx(5.545177444479562)


def test_integers_to_negative_powers_are_refused():
    with pytest.raises(RuntimeError, match="Integers to negative integer powers are not allowed"):
        gd.tensor([2]) ** -1


def test_integers_to_powers_stay_integers():
    y = gd.tensor([2, 3]) ** 2
    assert y.dtype is gd.int64
    assert y.tolist() == [4, 9]


# 5. products with zeros, where with nan ------------------------------------------------------


def test_gradient_of_prod_with_one_zero():
    assert_gradients(gd.prod, [[2, 0, 3]], [[0, 6, 0]])


def test_gradient_of_prod_with_two_zeros():
    assert_gradients(gd.prod, [[0, 0, 3]], [[0, 0, 0]])


def test_second_derivative_of_prod_with_two_zeros():
    x = leaf([0, 0, 3])
    (g,) = grad(x.prod(), x, create_graph=True)
    assert grad(g.sum(), x)[0].tolist() == [3, 3, 0]


def test_gradient_of_prod_with_a_zero_along_a_dimension():
    assert_gradients(lambda x: x.prod(1), [[[2, 0, 3], [1, 2, 3]]], [[[0, 6, 0], [6, 3, 2]]])


def test_gradient_of_cumprod_with_a_zero():
    assert_gradients(lambda x: x.cumprod(0), [[2, 0, 3]], [[1, 8, 0]])


def test_where_does_not_hide_nan_of_the_other_branch():
    assert_gradients(lambda x: gd.where(x > 0, gd.sqrt(x), x), [[-1, -4]], [[nan, nan]])
    assert_gradients(lambda x: gd.where(x > 0, gd.log(x), 0.0), [[0.0]], [[nan]])


def test_where_selects_the_gradient():
    assert_gradients(
        lambda a, b: gd.where(tensor([True, False], bool), a, b), [[1, 2], [3, 4]], [[1, 0], [0, 1]]
    )


def test_logsumexp_and_softmax_of_minus_infinity():
    values = [-inf, -inf]
    assert leaf(values).logsumexp(0).item() == -inf
    assert_gradients(lambda x: x.logsumexp(0), [values], [[nan, nan]])
    assert np.isnan(leaf(values).softmax(0).tolist()).all()
    assert_gradients(lambda x: x.softmax(0), [values], [[nan, nan]])


# 6. broadcasting -----------------------------------------------------------------------------


def one_of_each(shape):
    return np.arange(1.0, 1 + math.prod(shape)).reshape(shape)


@pytest.mark.parametrize(
    ("function", "a", "b"),
    [
        (gd.mul, (3, 1), (1, 4)),
        (gd.mul, (), (2, 3)),
        (gd.mul, (1,), ()),
        (gd.mul, (2, 1, 3), (3,)),
        (gd.add, (1, 1), (2, 3)),
        (gd.matmul, (5, 2, 3), (3,)),
        (gd.matmul, (3,), (5, 3, 2)),
        (gd.matmul, (5, 1, 2, 3), (4, 3, 2)),
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_have_the_shape_and_rank_of_the_operands(function, a, b, create_graph):
    x, z = leaf(one_of_each(a)), leaf(one_of_each(b))
    found = grad(function(x, z).sum(), (x, z), create_graph=create_graph)
    assert [g.shape for g in found] == [a, b]


def test_a_gradient_is_summed_over_what_was_broadcast():
    assert_gradients(gd.mul, [[[1], [2]], [[3, 4]]], [[[7], [7]], [[3, 3]]])


def test_broadcasting_with_an_empty_tensor_gives_a_zero_gradient():
    x = leaf([3.0])
    (x * tensor(np.ones(0))).sum().backward()
    assert x.grad.tolist() == [0.0]


def test_gradients_of_an_element_taken_twice_add_up():
    assert_gradients(lambda x: x[[0, 0, 2]], [[1, 2, 3]], [[2, 0, 1]])


# 7. dtype ------------------------------------------------------------------------------------


def test_a_gradient_has_the_dtype_of_the_leaf():
    x = leaf([1, 2], np.float32)
    y = x * tensor([1, 2])
    assert y.dtype is gd.float64
    y.sum().backward()
    assert x.grad.dtype is gd.float32


def test_a_float32_cotangent_of_a_float64_output_is_cast():
    x = leaf([1, 2])
    (g,) = grad(x * 2, x, tensor([1, 2], np.float32))
    assert g.dtype is gd.float64
    assert g.tolist() == [2, 4]


def test_a_real_leaf_of_a_complex_expression_has_a_real_gradient():
    x = leaf([1.0, 2.0])
    gd.real(x * tensor([1j, 2 + 1j], complex)).sum().backward()
    assert x.grad.dtype is gd.float64
    assert x.grad.tolist() == [0, 2]


@pytest.mark.parametrize(
    "other",
    [2.0, 2, np.float64(2), gd.tensor(np.float64(2)), gd.tensor([1, 2])],
    ids=["float", "int", "np.float64", "0-d float64", "int64"],
)
def test_a_float32_vector_stays_float32(other):
    x = tensor([1, 2], np.float32)
    assert (x * other).dtype is gd.float32
    assert (other * x).dtype is gd.float32


@pytest.mark.parametrize(
    "function",
    [lambda t: t * 2.5, lambda t: t / 2, gd.sqrt, gd.sin],
    ids=["mul", "div", "sqrt", "sin"],
)
def test_integers_become_float32(function):
    assert function(gd.tensor([1, 2])).dtype is gd.float32


def test_integers_do_not_widen_float16():
    half = tensor([1, 2], np.float16)
    assert (half + gd.tensor([1, 2])).dtype is gd.float16


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.uint8, np.int64])
@pytest.mark.parametrize("name", ["sum", "prod"])
def test_sums_of_integers_are_int64(name, dtype):
    assert getattr(tensor([1, 0], dtype), name)().dtype is gd.int64
    assert getattr(tensor([1, 0], dtype), name)(0).dtype is gd.int64


def test_mean_of_integers_is_refused():
    with pytest.raises(RuntimeError) as caught:
        gd.tensor([1, 2]).mean()
    assert str(caught.value).startswith(
        "mean(): could not infer output dtype. Input dtype must be either a floating point or "
        "complex dtype. Got: Long"
    )


def test_python_floats_are_float32_and_numpy_arrays_keep_their_dtype():
    assert gd.tensor(1.0).dtype is gd.float32
    assert gd.tensor([1.0, 2]).dtype is gd.float32
    assert gd.tensor(np.ones(1)).dtype is gd.float64
    assert gd.tensor([1, 2]).dtype is gd.int64
    assert gd.tensor(True).dtype is gd.bool_


def test_float16_is_accumulated_in_float32():
    y = gd.full((10000,), 0.1, dtype=gd.float16).cumsum(0)
    assert y.dtype is gd.float16
    assert y[-1].item() == 1000
    assert gd.full((10000,), 0.1, dtype=gd.float16).sum().item() == 1000


def test_std_and_var_divide_by_one_less():
    assert tensor([1, 2, 3, 4]).var().item() == pytest.approx(5 / 3)
    assert tensor([1, 2, 3, 4]).std().item() == pytest.approx(math.sqrt(5 / 3))


# 8. aliasing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [lambda x, z: x, lambda x, z: x + 0, lambda x, z: x + z],
    ids=["x", "x+0", "x+z"],
)
def test_a_leafs_gradient_shares_memory_with_nothing(function):
    x, z = leaf([1, 2]), leaf([3, 4])
    g = tensor([5, 6])
    function(x, z).backward(g)
    assert not np.shares_memory(x.grad.numpy(), g.numpy())
    assert x.grad.is_contiguous()
    if z.grad is not None:
        assert not np.shares_memory(x.grad.numpy(), z.grad.numpy())


def test_gradients_of_a_sum_are_contiguous_and_separate():
    x, z = leaf([1, 2]), leaf([3, 4])
    (x + z).sum().backward()
    assert x.grad.is_contiguous()
    assert x.grad.stride() == (1,)
    assert not np.shares_memory(x.grad.numpy(), z.grad.numpy())


def test_a_retained_gradient_shares_memory_with_nothing():
    x = leaf([1, 2])
    y = x + 0
    y.retain_grad()
    g = tensor([5, 6])
    y.backward(g)
    assert y.grad.tolist() == [5, 6]
    assert not np.shares_memory(y.grad.numpy(), g.numpy())
    assert not np.shares_memory(y.grad.numpy(), x.grad.numpy())


def test_a_retained_gradient_of_a_sum_is_contiguous():
    x = leaf([[1, 2]])
    y = x * 1
    y.retain_grad()
    y.sum().backward()
    assert y.grad.stride() == (2, 1)


def test_a_second_backward_accumulates_into_the_same_object():
    x = leaf([1, 2])
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5, 5]


def test_a_second_backward_with_create_graph_makes_a_new_gradient():
    x = leaf([1, 2])
    (x * x).sum().backward()
    first = x.grad
    with pytest.warns(UserWarning, match="reference cycle"):
        (x * x).sum().backward(create_graph=True)
    assert x.grad is not first
    assert x.grad.grad_fn.name() == "AddBackward0"
    assert first.tolist() == [2, 4]
    assert x.grad.tolist() == [4, 8]


def test_results_of_grad_hold_although_they_may_share_memory():
    a, b = leaf([1, 2]), leaf([3, 4])
    v = tensor([5, 6])
    ga, gb = grad(a + b, (a, b), v)
    assert ga.tolist() == gb.tolist() == [5, 6]
    ga, gb = grad((a + b).sum(), (a, b))
    assert ga.tolist() == gb.tolist() == [1, 1]
    assert a.grad is None
    assert v.tolist() == [5, 6]


def test_filling_a_gradient_after_grad_leaves_the_result_alone():
    a = leaf([1, 2])
    v = tensor([5, 6])
    (g,) = grad(a + 0, a, v)
    (a + 0).backward(v)
    (a + 0).backward(v)
    assert g.tolist() == [5, 6]
    assert v.tolist() == [5, 6]
    assert a.grad.tolist() == [10, 12]


# 9. 0-d and views ----------------------------------------------------------------------------


def test_reductions_and_indexing_give_0d_tensors():
    x = tensor([1, 2])
    for y in (x.sum(), x[0], x.max(), x.mean(), x @ x, x.norm()):
        assert isinstance(y, gd.Tensor)
        assert y.shape == ()
        assert y.dtype is gd.float64


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[0],
        lambda x: x[:1],
        lambda x: x[..., None],
        lambda x: x.reshape(2, 1),
        lambda x: x.detach(),
        lambda x: x.unsqueeze(0),
        lambda x: x.view(1, 2),
    ],
    ids=["x[0]", "x[:1]", "x[..., None]", "reshape", "detach", "unsqueeze", "view"],
)
def test_views_share_memory(view):
    x = tensor([1, 2])
    view(x).numpy()[...] = 6
    assert x[0].item() == 6


@pytest.mark.parametrize(
    "copy_of", [lambda x: x[[0]], lambda x: x + 0, lambda x: x.clone(), lambda x: x[x > 0]]
)
def test_copies_do_not_share_memory(copy_of):
    x = tensor([1, 2])
    copy_of(x).numpy()[...] = 6
    assert x.tolist() == [1, 2]


def test_a_negative_step_is_refused():
    with pytest.raises(ValueError, match="step must be greater than zero"):
        tensor([1, 2])[::-1]


def test_float_of_a_tensor_that_requires_grad_warns():
    with pytest.warns(UserWarning, match="Converting a tensor with requires_grad=True to a scalar"):
        assert float(leaf([2.0])) == 2.0


def test_item_does_not_warn():
    assert leaf([2.0]).item() == 2.0


@pytest.mark.parametrize("convert", [float, int, complex])
def test_only_one_element_converts_to_a_python_number(convert):
    with pytest.raises(ValueError, match="only one element tensors can be converted to Python"):
        convert(tensor([1, 2]))


def test_truth_of_several_elements_is_ambiguous():
    with pytest.raises(
        RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"
    ):
        bool(tensor([1, 2]))


def test_truth_of_no_elements_is_ambiguous():
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with no values is ambiguous"):
        bool(tensor([]))


# 10. backward twice --------------------------------------------------------------------------

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


@pytest.mark.parametrize(
    "function",
    [lambda x: x * x, gd.exp, lambda x: x**2, lambda x: x @ x, lambda x: x.norm()],
    ids=["mul", "exp", "pow", "matmul", "norm"],
)
def test_a_second_backward_through_freed_values_raises(function):
    x = leaf([1, 2])
    y = function(x).sum()
    y.backward()
    with pytest.raises(RuntimeError) as caught:
        y.backward()
    assert str(caught.value) == FREED


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x + x, [4, 4]),
        (lambda x: x * 2, [4, 4]),
        (lambda x: -x, [-2, -2]),
        (lambda x: x.reshape(2, 1), [2, 2]),
    ],
    ids=["add", "times a number", "neg", "reshape"],
)
def test_a_second_backward_works_where_nothing_was_saved(function, expected):
    x = leaf([1, 2])
    y = function(x).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == expected


def test_retain_graph_keeps_the_saved_values():
    x = leaf([1, 2])
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]


@pytest.mark.skipif(
    not hasattr(gd.tensor(1.0, requires_grad=True).exp().grad_fn, "_saved_result"),
    reason="gradcore has no _saved_ attributes yet",
)
def test_saved_values_cannot_be_read_after_they_were_freed():
    y = leaf([1.0]).exp()
    node = y.grad_fn
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        node._saved_result


def test_implicit_cotangents_are_for_scalars():
    with pytest.raises(
        RuntimeError, match="grad can be implicitly created only for scalar outputs"
    ):
        (leaf([1, 2]) * 2).backward()


def test_implicit_cotangents_are_for_real_scalars():
    with pytest.raises(
        RuntimeError,
        match=r"grad can be implicitly created only for real scalar outputs but got .*complex128",
    ):
        leaf(1 + 1j, complex).backward()


def test_one_element_of_any_rank_is_a_scalar_output():
    x = leaf([[2.0]])
    (x * x).backward()
    assert x.grad.tolist() == [[4.0]]


def test_backward_needs_a_graph():
    with pytest.raises(
        RuntimeError,
        match="element 0 of tensors does not require grad and does not have a grad_fn",
    ):
        tensor(1.0).backward()


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 1), ()])
def test_a_cotangent_is_not_broadcast(shape):
    with pytest.raises(
        RuntimeError,
        match=r"Mismatch in shape: grad_output\[0\] has a shape of .* and output\[0\] has a shape "
        r"of .*Size\(\[2\]\)\.",
    ):
        (leaf([1, 2]) * 2).backward(tensor(np.ones(shape)))


def test_an_unused_input_is_named():
    x, z = leaf([1.0]), leaf([1.0])
    with pytest.raises(RuntimeError) as caught:
        grad(x * 2, (x, z))
    assert str(caught.value) == (
        "The differentiated Tensor at index 1 appears to not have been used in the graph. Set "
        "allow_unused=True if this is the desired behavior."
    )


def test_an_input_without_grad_is_refused():
    with pytest.raises(
        RuntimeError, match="One of the differentiated Tensors does not require grad"
    ):
        grad(leaf([1.0]) * 2, tensor([1.0]))


# 11. requires_grad and leaves ----------------------------------------------------------------


def test_a_new_integer_tensor_cannot_require_grad():
    with pytest.raises(
        RuntimeError,
        match="Only Tensors of floating point and complex dtype can require gradients",
    ):
        gd.tensor([1, 2], requires_grad=True)


def test_requires_grad_method_refuses_integers():
    with pytest.raises(
        RuntimeError, match="only Tensors of floating point dtype can require gradients"
    ):
        gd.tensor([1, 2]).requires_grad_()


def test_requires_grad_attribute_refuses_integers():
    with pytest.raises(
        RuntimeError,
        match="only Tensors of floating point and complex dtype can require gradients",
    ):
        gd.tensor([1, 2]).requires_grad = True


NOT_A_LEAF = (
    "you can only change requires_grad flags of leaf variables. If you want to use a computed "
    "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
)


def test_the_flag_of_a_non_leaf_cannot_be_cleared():
    y = leaf([1.0]) * 2
    with pytest.raises(RuntimeError) as caught:
        y.requires_grad = False
    assert str(caught.value) == NOT_A_LEAF
    with pytest.raises(RuntimeError) as caught:
        y.requires_grad_(False)
    assert str(caught.value) == NOT_A_LEAF
    assert y.requires_grad


def test_setting_the_flag_of_a_non_leaf_changes_nothing():
    y = leaf([1.0]) * 2
    assert y.requires_grad_() is y
    assert not y.is_leaf


def test_results_of_integers_do_not_require_grad():
    x = leaf([1.5, 2.5])
    for y in (x > 2, x.long(), x.argmax(), x == x):
        assert not y.requires_grad
        assert y.is_leaf


def test_no_grad_gives_leaves():
    x = leaf([1.0])
    with gd.no_grad():
        y = x * 2
    assert not y.requires_grad
    assert y.is_leaf


# 12. .grad and NumPy -------------------------------------------------------------------------


def test_reading_the_gradient_of_a_non_leaf_warns():
    y = leaf([1.0]) * 2
    with pytest.warns(UserWarning, match="The .grad attribute of a Tensor that is not a leaf"):
        assert y.grad is None


def test_reading_a_retained_gradient_does_not_warn():
    y = leaf([1.0]) * 2
    y.retain_grad()
    assert y.grad is None
    y.backward()
    assert y.grad.tolist() == [1]


def test_assigning_a_gradient_of_another_size_raises():
    x = leaf([1, 2])
    with pytest.raises(RuntimeError) as caught:
        x.grad = tensor([1, 2, 3])
    assert str(caught.value).startswith(
        "attempting to assign a gradient of size '[3]' to a tensor of size '[2]'."
    )
    assert x.grad is None


def test_assigning_a_gradient_of_another_dtype_raises():
    with pytest.raises(RuntimeError, match="attempting to assign a gradient with dtype"):
        leaf([1, 2]).grad = tensor([1, 2], np.float32)


def test_assigning_an_array_as_gradient_raises():
    with pytest.raises(
        TypeError,
        match=r"assigned grad expected to be a Tensor or None but got grad of type numpy\.ndarray",
    ):
        leaf([1, 2]).grad = np.ones(2)


def test_an_assigned_gradient_is_accumulated_into():
    x = leaf([1, 2])
    g = tensor([10, 20])
    x.grad = g
    assert x.grad is g
    (x * 2).sum().backward()
    assert x.grad is g
    assert g.tolist() == [12, 22]
    x.grad = None
    assert x.grad is None


@pytest.mark.parametrize("convert", [lambda t: t.numpy(), np.asarray, np.array])
def test_a_tensor_that_requires_grad_does_not_become_an_array(convert):
    with pytest.raises(RuntimeError) as caught:
        convert(leaf([1.0]))
    assert str(caught.value) == (
        "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
    )


def test_numpy_functions_differentiate():
    x = leaf([0.0, 1.0])
    y = np.sin(x)
    assert isinstance(y, gd.Tensor)
    y.backward(tensor([1, 1]))
    np.testing.assert_allclose(x.grad.numpy(), np.cos([0.0, 1.0]))


@pytest.mark.parametrize(
    "product", [lambda a, t: a * t, lambda a, t: t * a], ids=["array * t", "t * array"]
)
def test_products_with_arrays_differentiate(product):
    x = leaf([1.0, 2.0])
    y = product(np.array([3.0, 4.0]), x)
    assert isinstance(y, gd.Tensor)
    y.sum().backward()
    assert x.grad.tolist() == [3, 4]


def test_a_non_leaf_cannot_be_deep_copied():
    with pytest.raises(
        RuntimeError,
        match=r"Only Tensors created explicitly by the user \(graph leaves\) support the deepcopy "
        "protocol at the moment",
    ):
        copy.deepcopy(leaf([1.0]) * 2)


def test_a_leaf_is_deep_copied_with_its_gradient():
    x = leaf([1.0])
    (x * 2).backward()
    twin = copy.deepcopy(x)
    assert twin.requires_grad
    assert twin.grad.tolist() == [2]
    assert not np.shares_memory(twin.grad.numpy(), x.grad.numpy())


def test_a_pickled_non_leaf_loses_its_history():
    y = pickle.loads(pickle.dumps(leaf([1.0]) * 2))
    assert y.is_leaf
    assert y.requires_grad
    assert y.tolist() == [2]


# complex numbers -----------------------------------------------------------------------------


def test_the_gradient_is_the_conjugate_of_the_derivative():
    z = leaf(3 + 4j, complex)
    gd.real(z * z).backward()
    assert z.grad.item() == 6 - 8j


def test_gradients_of_real_functions_of_complex_numbers():
    z = leaf(3 + 4j, complex)
    gd.abs(z).backward()
    assert z.grad.item() == pytest.approx(0.6 + 0.8j)
    z = leaf(3 + 4j, complex)
    gd.imag(z).backward()
    assert z.grad.item() == 1j


@pytest.mark.parametrize("z", [0j, -1 + 0j])
def test_gradient_of_abs_at_complex_zero_is_zero(z):
    x = leaf(z, complex)
    gd.abs(x).backward()
    assert x.grad.item() == (0 if z == 0 else -1)


@pytest.mark.parametrize("name", ["max", "min", "amax", "argmax"])
def test_extremes_of_complex_numbers_are_refused(name):
    with pytest.raises(RuntimeError):
        getattr(tensor([1j, 2], complex), name)()


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "maximum", "minimum", "relu", "sign"])
def test_complex_numbers_have_no_order(name):
    operands = [tensor([1j], complex)] * (1 if name in ("relu", "sign") else 2)
    with pytest.raises(RuntimeError, match="complex"):
        getattr(gd, name)(*operands)


# rounding and remainders ---------------------------------------------------------------------


@needs("sort")
def test_sort_is_stable():
    assert_gradients(lambda x: gd.sort(x)[0] * tensor([1, 2, 3]), [[1, 1, 0]], [[2, 3, 1]])


@pytest.mark.parametrize(
    ("function", "a", "b", "da", "db"),
    [
        (gd.remainder, 7, 3, 1, -2),
        (gd.remainder, -7, 3, 1, 3),
        (gd.fmod, 7, 3, 1, -2),
        (gd.fmod, -7, 3, 1, 2),
    ],
)
def test_gradients_of_remainders(function, a, b, da, db):
    assert_gradients(function, [[a], [b]], [[da], [db]])


def test_floor_divide_has_no_derivative():
    x = leaf([7.0])
    y = x // 2
    assert y.requires_grad
    with pytest.raises(RuntimeError, match="derivative for aten::floor_divide is not implemented"):
        y.backward()


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "trunc", "sign"])
def test_gradients_of_steps_are_zero_not_none(name):
    assert_gradients(getattr(gd, name), [[0.3, 1.7]], [[0, 0]])


@pytest.mark.parametrize("mode", ["floor", "trunc"])
def test_gradients_of_rounded_quotients_are_zero(mode):
    assert_gradients(lambda a, b: gd.div(a, b, rounding_mode=mode), [[7], [2]], [[0], [0]])


# what is not there yet says so ---------------------------------------------------------------


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_a_mask_keeps_out_is_zero_whatever_the_cotangent(value):
    for size in (2, 5000):
        x = gd.tensor(np.tile([-1.0, 1.0], size), requires_grad=True)
        g = np.tile([value, 2.0], size)
        gd.relu(x).backward(gd.tensor(g))
        assert x.grad.tolist() == [0.0, 2.0] * size
