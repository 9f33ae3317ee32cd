"""backward and grad: PyTorch's semantics, down to aliasing and error texts."""

import gc
import math
import threading
import time
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradcore as gd
from gradcore.autograd import backward, grad
from gradcore.graph import Cotangents

FREED = "Trying to backward through the graph a second time"


def leaf(*values, dtype=np.float64):
    return gd.tensor(np.array(values, dtype), requires_grad=True)


def constant(*values, dtype=np.float64):
    return gd.tensor(np.array(values, dtype))


def shares_memory(a, b):
    return np.shares_memory(a.detach().numpy(), b.detach().numpy())


# gradients -------------------------------------------------------------------------------------


def test_the_gradient_of_a_vector_is_a_vector_jacobian_product():
    x = leaf(1.0, 2.0, 3.0)
    (x * x).backward(constant(1.0, 10.0, 100.0))
    assert x.grad.tolist() == [2.0, 40.0, 600.0]


def test_a_diamond_adds_both_ways():
    x = leaf(2.0)
    y = x * x
    (y * 3.0 + y * y).backward()
    assert x.grad.tolist() == [44.0]


def test_a_node_waits_for_all_its_consumers():
    x = leaf(1.5)
    y = x * 2.0
    z = y.exp()
    for _ in range(3):
        z = z * y + y
    z.backward()
    e, v = np.exp(3.0), 3.0
    # z = e v^3 + v^3 + v^2 + v
    expected = 2 * (e * v**3 + 3 * e * v**2 + 3 * v**2 + 2 * v + 1)
    np.testing.assert_allclose(x.grad.item(), expected)


def test_an_input_used_twice_in_one_operation_gets_both():
    x = leaf(3.0)
    (x * x).backward()
    assert x.grad.tolist() == [6.0]


def test_a_subgraph_shared_by_two_backwards():
    x = leaf(2.0)
    y = x + x
    (y + 1.0).backward()
    (y + 2.0).backward()
    assert x.grad.tolist() == [4.0]


def test_several_roots():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    backward([y.sum(), x * 3.0], [None, constant(1.0, 10.0)])
    assert x.grad.tolist() == [5.0, 32.0]


def test_the_same_root_twice_counts_twice():
    x = leaf(1.0, 2.0)
    y = x * 3.0
    (g,) = grad([y, y], x, [constant(1.0, 1.0), constant(1.0, 1.0)])
    assert g.tolist() == [6.0, 6.0]


def test_a_root_that_is_an_ancestor_of_another():
    x = leaf(2.0)
    y = x * x
    backward([y, y * y])
    assert x.grad.tolist() == [4.0 + 32.0]


def test_backward_of_a_leaf():
    x = leaf(1.0, 2.0)
    g = constant(3.0, 4.0)
    x.backward(g)
    assert x.grad.tolist() == [3.0, 4.0]
    assert not shares_memory(x.grad, g)


def test_backward_of_nothing_does_nothing():
    backward([])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 1), (1, 4)),
        ((), (2, 3)),
        ((1,), ()),
        ((2, 3), (3,)),
        ((1,), (0,)),
        ((2, 1, 3), (4, 1)),
    ],
)
def test_gradients_are_summed_to_the_shape_of_the_operand(a, b, rng):
    x = gd.tensor(rng.normal(size=a), requires_grad=True)
    y = gd.tensor(rng.normal(size=b), requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.shape == a
    assert y.grad.shape == b
    wide = np.broadcast_shapes(a, b)
    total = np.broadcast_to(y.detach().numpy(), wide)
    axes = tuple(range(len(wide) - len(a)))
    expected = total.sum(axis=axes)
    expected = expected.sum(
        axis=tuple(i for i, n in enumerate(a) if n == 1 and expected.shape[i] != 1), keepdims=True
    )
    np.testing.assert_allclose(x.grad.numpy(), expected)


# dtypes ----------------------------------------------------------------------------------------


def test_a_gradient_has_the_dtype_of_its_leaf():
    x = leaf(1.0, 2.0, dtype=np.float32)
    (x * constant(3.0, 4.0)).sum().backward()
    assert x.grad.dtype is gd.float32
    (g,) = grad((x * constant(3.0, 4.0)).sum(), x)
    assert g.dtype is gd.float32


def test_a_real_leaf_in_a_complex_expression_gets_a_real_gradient():
    x = leaf(1.0, 2.0)
    y = x * gd.tensor(np.array([1 + 2j, 3j]))
    y.backward(gd.tensor(np.array([1.0 + 0j, 1j])))
    assert x.grad.dtype is gd.float64
    assert x.grad.tolist() == [1.0, 3.0]


def test_float16():
    x = leaf(1.0, 2.0, dtype=np.float16)
    (x * x).backward(constant(1.0, 1.0, dtype=np.float16))
    assert x.grad.dtype is gd.float16
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_float16_gradient_is_summed_in_float32():
    x = gd.tensor(np.array(1.0, np.float16), requires_grad=True)
    y = gd.tensor(np.full(4096, 0.1, np.float16))
    (x * y).backward(gd.tensor(np.ones(4096, np.float16)))
    expected = np.full(4096, 0.1, np.float16).astype(np.float32).sum().astype(np.float16)
    assert x.grad.item() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_cotangent_is_cast_to_the_dtype_of_the_output(dtype):
    x = leaf(1.0, 2.0)
    (x * 2.0).backward(constant(1, 1, dtype=dtype))
    assert x.grad.tolist() == [2.0, 2.0]
    assert x.grad.dtype is gd.float64


# accumulation and memory -----------------------------------------------------------------------


def test_a_second_backward_accumulates_into_the_same_object():
    x = leaf(1.0, 2.0)
    (x * 3.0).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5.0, 7.0]


def test_a_grad_that_the_user_set_is_added_to():
    x = leaf(1.0, 2.0)
    x.grad = constant(10.0, 20.0)
    mine = x.grad
    (x * 3.0).sum().backward()
    assert x.grad is mine
    assert mine.tolist() == [13.0, 23.0]
    x.grad = None
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_under_create_graph_grad_is_a_new_tensor():
    x = leaf(1.0, 2.0)
    (x * 3.0).sum().backward()
    first = x.grad
    with pytest.warns(UserWarning, match="reference cycle"):
        (x * x).sum().backward(create_graph=True)
    assert x.grad is not first
    assert first.tolist() == [3.0, 3.0]
    assert x.grad.tolist() == [5.0, 7.0]
    assert x.grad.grad_fn.name() == "AddBackward0"
    x.grad = None


@pytest.mark.parametrize("size", [2, 10_000])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, z, g: x.backward(g),
        lambda x, z, g: (x + 0).backward(g),
        lambda x, z, g: (x + z).backward(g),
        lambda x, z, g: (x + z).sum().backward(),
        lambda x, z, g: (x - z).backward(g),
        lambda x, z, g: backward([x, z], [g, g]),
    ],
)
def test_a_grad_shares_memory_with_nothing_and_is_contiguous(call, size):
    x = gd.tensor(np.ones(size), requires_grad=True)
    z = gd.tensor(np.ones(size), requires_grad=True)
    g = gd.tensor(np.ones(size))
    call(x, z, g)
    assert x.grad.is_contiguous()
    assert not shares_memory(x.grad, g)
    assert not shares_memory(x.grad, x)
    if z.grad is not None:
        assert not shares_memory(x.grad, z.grad)
        before = z.grad.tolist()
        (x * 1.0).backward(g)
        assert z.grad.tolist() == before
    assert g.tolist() == [1.0] * size


def test_a_retained_grad_shares_memory_with_nothing():
    x = leaf(1.0, 2.0)
    y = x + 0
    y.retain_grad()
    g = constant(1.0, 1.0)
    (y + 0).backward(g)
    assert not shares_memory(y.grad, g)
    assert not shares_memory(y.grad, x.grad)
    assert y.grad.is_contiguous()


@pytest.mark.parametrize("size", [3, 10_000])
def test_accumulating_changes_no_array_that_somebody_else_holds(size):
    # The first gradient of y arrives as a view of g; the second is added to it.
    x = gd.tensor(np.ones(size), requires_grad=True)
    g = gd.tensor(np.ones(size))
    y = x * 1.0
    total = (y + 0.0) + (y + 0.0) + y * 3.0
    (first, second) = grad(total, [x, y], g, retain_graph=True)
    assert g.tolist() == [1.0] * size
    assert first.tolist() == second.tolist() == [5.0] * size
    (again,) = grad(total, x, g)
    assert again.tolist() == [5.0] * size
    assert first.tolist() == [5.0] * size


def test_values_that_were_saved_are_not_changed():
    x = gd.tensor(np.full(10_000, 2.0), requires_grad=True)
    y = x * x
    (y * y + y).sum().backward()
    assert float(x.grad[0].item()) == 4 * 8.0 + 4.0
    assert x.detach().numpy()[0] == 2.0
    assert y.detach().numpy()[0] == 4.0


# what is freed ---------------------------------------------------------------------------------


def test_a_second_backward_raises_where_values_were_saved():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=FREED):
        y.backward()
    assert x.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("call", [lambda x: (x + x).sum(), lambda x: (x * 2).sum()])
def test_a_second_backward_runs_where_nothing_was_saved(call):
    x = leaf(1.0)
    y = call(x)
    y.backward()
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_retain_graph_keeps_what_was_saved():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 8.0]
    with pytest.raises(RuntimeError, match=FREED):
        y.backward()


def test_create_graph_retains_and_can_be_told_not_to():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    grad(y, x, create_graph=True)
    grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match=FREED):
        grad(y, x)


def test_backward_through_a_shared_part_that_was_freed_raises():
    x = leaf(1.0)
    shared = x.exp()
    a, b = shared * 2.0, shared * 3.0
    a.backward()
    with pytest.raises(RuntimeError, match=FREED):
        b.backward()


def test_a_failed_backward_leaves_every_grad_as_it_was():
    a, b = leaf(1.0), leaf(2.0)
    old = b.grad = constant(7.0)
    freed = b.exp()
    freed.backward(inputs=[b])
    old = b.grad.tolist()
    y = a * 2.0 + b * 1.0 + freed
    with pytest.raises(RuntimeError, match=FREED):
        y.backward()
    assert a.grad is None
    assert b.grad.tolist() == old
    assert gd.is_grad_enabled()


def test_graphs_are_freed_without_the_cycle_collector():
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = (x * x).exp()
        z = y.sum() + (y * 2.0).sum()
        nodes = [weakref.ref(t.grad_fn) for t in (y, z)]
        tensors = [weakref.ref(t) for t in (y, z)]
        arrays = [weakref.ref(y.detach().numpy())]
        z.backward(retain_graph=True)
        del y, z
        assert [ref() for ref in (*nodes, *tensors, *arrays)] == [None] * 5
    finally:
        gc.enable()


def test_second_order_graphs_are_freed_without_the_cycle_collector():
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        (g,) = grad((x * x).exp().sum(), x, create_graph=True)
        (h,) = grad(g.sum(), x, create_graph=True)
        nodes = [weakref.ref(g.grad_fn), weakref.ref(h.grad_fn)]
        del g, h
        assert [ref() for ref in nodes] == [None, None]
    finally:
        gc.enable()


def test_saved_arrays_are_released_by_backward():
    x = leaf(1.0, 2.0)
    y = x.exp()
    inner = weakref.ref(y.detach().numpy())
    z = y * 1.0
    node = z.grad_fn
    del y
    assert inner() is not None
    z.backward(constant(1.0, 1.0))
    assert inner() is None
    assert node is not None


# seeds -----------------------------------------------------------------------------------------


def test_the_gradient_of_a_scalar_is_one():
    x = leaf(3.0)
    (x * 2.0).sum().backward()
    (x * 2.0).backward()
    assert x.grad.tolist() == [4.0]


def test_only_a_scalar_has_an_implicit_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(
        RuntimeError, match="grad can be implicitly created only for scalar outputs"
    ):
        (x * 2.0).backward()
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        grad(x[:0] * 2.0, x)
    z = gd.tensor(np.array(1j), requires_grad=True)
    words = "grad can be implicitly created only for real scalar outputs but got .*complex128"
    with pytest.raises(RuntimeError, match=words):
        (z * 2.0).backward()


def test_a_cotangent_must_have_the_shape_of_its_output():
    x = leaf(1.0, 2.0)
    for wrong in (constant(1.0, 2.0, 3.0), constant(1.0), gd.tensor(np.ones((1, 2)))):
        shape = str(list(wrong.shape)).replace("[", r"\[").replace("]", r"\]")
        words = (
            rf"Mismatch in shape: grad_output\[0\] has a shape of gradcore.Size\({shape}\) and "
            r"output\[0\] has a shape of gradcore.Size\(\[2\]\)"
        )
        with pytest.raises(RuntimeError, match=words):
            (x * 2.0).backward(wrong)
    assert x.grad is None


def test_the_number_of_the_mismatched_output_is_named():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"grad_output\[1\]"):
        backward([x * 2.0, x * 3.0], [constant(1.0, 1.0), constant(1.0)])


def test_a_complex_cotangent_goes_with_a_complex_output_only():
    x, z = leaf(1.0), gd.tensor(np.array([1j]), requires_grad=True)
    words = "both grad_output and output are required to have the same dtype"
    with pytest.raises(RuntimeError, match=words):
        (x * 2.0).backward(gd.tensor(np.array([1j])))
    with pytest.raises(RuntimeError, match=words):
        (z * 2.0).backward(constant(1.0))


def test_a_cotangent_must_be_a_tensor():
    with pytest.raises(TypeError, match="gradients can be either Tensors or None, but got"):
        leaf(1.0).backward(np.ones(1))


def test_as_many_cotangents_as_outputs():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="got 2 tensors and 1 gradients"):
        backward([x * 2.0, x * 3.0], [constant(1.0)])
    with pytest.raises(RuntimeError, match="got 1 tensors and 2 gradients"):
        grad([x * 2.0], x, [None, None])


def test_an_output_without_a_graph_raises():
    words = "element 0 of tensors does not require grad and does not have a grad_fn"
    with pytest.raises(RuntimeError, match=words):
        constant(1.0).backward()
    with pytest.raises(RuntimeError, match=words):
        leaf(1.0).detach().backward()
    with pytest.raises(RuntimeError, match="element 1 of tensors"):
        grad([leaf(1.0), constant(1.0)], leaf(1.0))


# grad ------------------------------------------------------------------------------------------


def test_grad_touches_no_grad():
    x = leaf(1.0, 2.0)
    (g,) = grad((x * x).sum(), x)
    assert g.tolist() == [2.0, 4.0]
    assert not g.requires_grad
    assert x.grad is None


def test_grad_of_intermediate_tensors():
    x = leaf(1.0, 2.0)
    y = x * 3.0
    gy, gx = grad((y * y).sum(), [y, x])
    assert gy.tolist() == [6.0, 12.0]
    assert gx.tolist() == [18.0, 36.0]


def test_grad_of_an_output_by_itself_and_of_one_input_twice():
    x = leaf(1.0, 2.0)
    y = x * 3.0
    (g,) = grad(y, y, constant(1.0, 5.0))
    assert g.tolist() == [1.0, 5.0]
    a, b = grad((x * 1.0).sum(), [x, x])
    assert a.tolist() == b.tolist() == [1.0, 1.0]


def test_grad_stops_at_its_inputs():
    # What lies before y was freed, and is not needed.
    x = leaf(1.0)
    y = x.exp()
    y.backward()
    (g,) = grad(y * y, y)
    np.testing.assert_allclose(g.item(), 2 * np.e)


def test_grad_frees_only_what_it_walks():
    x, z = leaf(1.0), leaf(2.0)
    a, b = x.exp(), z.exp()
    y = a + b
    grad(y, x)
    (g,) = grad(y, z)
    np.testing.assert_allclose(g.item(), np.exp(2.0))
    with pytest.raises(RuntimeError, match=FREED):
        grad(y, x)


def test_an_unused_input_raises_or_gives_none_or_zeros():
    x, unused = leaf(1.0, 2.0), leaf(3.0, 4.0, 5.0)
    y = x.sum() * 2.0
    with pytest.raises(RuntimeError, match="The differentiated Tensor at index 1 appears to not"):
        grad(y, [x, unused])
    assert grad(y, [x, unused], allow_unused=True)[1] is None
    zeros = grad(y, [x, unused], materialize_grads=True)[1]
    assert zeros.tolist() == [0.0, 0.0, 0.0]
    assert zeros.dtype is gd.float64
    with pytest.raises(ValueError, match="Expected allow_unused to be True or not passed"):
        grad(y, [x, unused], materialize_grads=True, allow_unused=False)


def test_inputs_must_require_grad_and_be_tensors():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="One of the differentiated Tensors does not require"):
        grad(x * 2.0, constant(1.0))
    with pytest.raises(TypeError, match="have to be Tensors or GradientEdges, but got float"):
        grad(x * 2.0, [1.0])
    with pytest.raises(ValueError, match="non-empty inputs"):
        grad(x * 2.0, [])


def test_the_result_is_a_tuple():
    x = leaf(1.0)
    assert isinstance(grad(x * 2.0, x), tuple)
    assert isinstance(grad([x * 2.0], [x]), tuple)


# inputs= ---------------------------------------------------------------------------------------


def test_backward_fills_only_its_inputs():
    x, z = leaf(1.0), leaf(2.0)
    y = x * z
    (y * 3.0).backward(inputs=[x])
    assert x.grad.tolist() == [6.0]
    assert z.grad is None


def test_backward_fills_intermediate_inputs():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    y.retain_grad()
    (y * y).sum().backward(inputs=y)
    assert y.grad.tolist() == [4.0, 8.0]
    assert x.grad is None


def test_an_input_named_twice_is_filled_once():
    x = leaf(1.0)
    (x * 2.0).backward(inputs=[x, x])
    assert x.grad.tolist() == [2.0]


def test_an_unused_input_of_backward_keeps_its_grad():
    x, unused = leaf(1.0), leaf(1.0)
    (x * 2.0).backward(inputs=[unused])
    assert x.grad is None
    assert unused.grad is None


def test_inputs_of_backward_are_checked():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match=r"'?`?inputs.* argument to `?backward\(\)`? cannot be"):
        (x * 2.0).backward(inputs=[])
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=F"):
        (x * 2.0).backward(inputs=[constant(1.0)])


# retain_grad -----------------------------------------------------------------------------------


def test_retain_grad_fills_and_accumulates():
    x = leaf(1.0, 2.0)
    y = x * 2.0
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    z = (y * y).sum()
    z.backward(retain_graph=True)
    assert y.grad.tolist() == [4.0, 8.0]
    z.backward()
    assert y.grad.tolist() == [8.0, 16.0]


def test_the_grad_of_a_tensor_that_does_not_retain_it_is_none_with_a_warning():
    y = leaf(1.0) * 2.0
    y.backward()
    with pytest.warns(UserWarning, match="not a leaf Tensor is being accessed"):
        assert y.grad is None


def test_retain_grad_of_leaves_and_of_constants():
    x = leaf(1.0)
    x.retain_grad()
    assert not x.retains_grad
    with pytest.raises(
        RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"
    ):
        constant(1.0).retain_grad()


def test_a_retained_grad_under_create_graph_has_a_history():
    x = leaf(2.0)
    y = x * x
    y.retain_grad()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        (y * y).backward(create_graph=True)
    assert y.grad.requires_grad
    x.grad = y.grad = None


# assigning grad --------------------------------------------------------------------------------


def test_a_grad_that_does_not_fit_is_refused():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"attempting to assign a gradient of size '\[3\]' to a"):
        x.grad = constant(1.0, 2.0, 3.0)
    with pytest.raises(RuntimeError, match="assign a gradient with dtype"):
        x.grad = constant(1.0, 2.0, dtype=np.float32)
    with pytest.raises(TypeError, match=r"got grad of type numpy\.ndarray"):
        x.grad = np.ones(2)
    with pytest.raises(RuntimeError, match="own grad"):
        x.grad = x
    assert x.grad is None
    x.grad = constant(1.0, 2.0)
    del x.grad
    assert x.grad is None


# higher order ----------------------------------------------------------------------------------


def test_derivatives_of_any_order():
    x = leaf(2.0)
    y = x**5
    found = []
    for _ in range(6):
        found.append(y.item())
        (y,) = grad(y, x, create_graph=True)
    assert found == [32.0, 80.0, 160.0, 240.0, 240.0, 120.0]


def test_the_gradient_of_a_gradient_by_its_cotangent():
    x, v = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (g,) = grad(x * x, x, v, create_graph=True)
    gx, gv = grad(g, [x, v], constant(1.0, 1.0))
    assert gx.tolist() == [6.0, 8.0]
    assert gv.tolist() == [2.0, 4.0]


def test_a_gradient_penalty():
    x, w = leaf(1.0, 2.0), leaf(0.5, -1.0)
    (g,) = grad(((x * w) ** 2).sum(), x, create_graph=True)
    (g * g).sum().backward()
    # g = 2 x w^2; d sum(g^2)/dw = 16 x^2 w^3
    np.testing.assert_allclose(w.grad.numpy(), [16 * 0.125, 16 * 4 * -1.0])


def test_second_derivatives_through_promotion_and_broadcasting():
    x = gd.tensor(np.array([[1.0], [2.0]], np.float32), requires_grad=True)
    w = leaf(3.0, 4.0, 5.0)
    (g,) = grad((x * x * w).sum(), x, create_graph=True)
    assert g.dtype is gd.float32
    gx, gw = grad(g.sum(), [x, w])
    assert gx.tolist() == [[24.0], [24.0]]
    assert gw.tolist() == [6.0, 6.0, 6.0]


def test_create_graph_with_inputs_that_are_intermediate():
    x = leaf(2.0)
    y = x * x
    (g,) = grad(y * y * y, y, create_graph=True)
    assert g.item() == 48.0
    (h,) = grad(g, y, retain_graph=True)
    assert h.item() == 24.0
    (hx,) = grad(g, x)
    assert hx.item() == 96.0


def test_materialized_zeros_can_be_differentiated_without_effect():
    x, unused = leaf(1.0), leaf(1.0)
    a, b = grad(x * x, [x, unused], create_graph=True, materialize_grads=True)
    (g,) = grad((a + b).sum(), x)
    assert g.tolist() == [2.0]


# scale -----------------------------------------------------------------------------------------


def test_a_chain_of_a_million_nodes():
    n = 1_000_000
    start = time.perf_counter()
    x = leaf(1.0, dtype=np.float32)
    y = x
    for _ in range(n):
        y = y + 1.0
    y.backward()
    assert x.grad.tolist() == [1.0]
    del y
    assert time.perf_counter() - start < 60


def test_a_long_chain_that_was_never_walked_can_be_deleted():
    x = leaf(1.0, dtype=np.float32)
    y = x
    for _ in range(300_000):
        y = y * 1.0
    del y


def test_a_long_chain_for_some_inputs_only():
    x, z = leaf(1.0), leaf(1.0)
    y = x * z
    for _ in range(50_000):
        y = y + 1.0
    (g,) = grad(y, x)
    assert g.tolist() == [1.0]


def test_a_long_chain_of_a_second_order_graph():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y * 1.0
    (g,) = grad(y * y, x, create_graph=True)
    (h,) = grad(g, x)
    assert h.tolist() == [2.0]


def test_a_wide_graph():
    x = leaf(1.0)
    y = x * 0.0
    for k in range(2000):
        y = y + x * float(k)
    y.backward()
    assert x.grad.item() == sum(range(2000))


# threads ---------------------------------------------------------------------------------------


def test_backward_in_several_threads():
    weights = [leaf(1.0, 2.0) for _ in range(4)]
    errors = []

    def work(w):
        try:
            for _ in range(50):
                (w * w).sum().backward()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(w,)) for w in weights]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert all(w.grad.tolist() == [100.0, 200.0] for w in weights)


def test_backward_inside_backward():
    class Inner(gd.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.exp()

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            with gd.enable_grad():
                inner = x.detach().requires_grad_()
                inner.exp().backward(g)
            return inner.grad

    x = leaf(1.0)
    Inner.apply(x).backward()
    np.testing.assert_allclose(x.grad.item(), np.e)


# NumPy's warnings ------------------------------------------------------------------------------


def test_infinite_derivatives_do_not_warn():
    x = leaf(0.0, 1.0)
    (x**0.5).sum().backward()
    assert x.grad.tolist() == [np.inf, 0.5]
    assert np.geterr()["divide"] == "warn"


# parity on random graphs -----------------------------------------------------------------------

UNARY = ("exp", "sin", "tanh", "neg", "square", "abs")
BINARY = ("add", "sub", "mul", "maximum")
SHAPES = ((), (3,), (2, 3), (2, 1), (1, 3), (1,))


@st.composite
def graphs(draw):
    """Leaves, and steps that each apply one operation to values made so far."""
    leaves = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    steps = []
    for made in range(len(leaves), len(leaves) + draw(st.integers(1, 8))):
        places = st.integers(0, made - 1)
        if draw(st.booleans()):
            steps.append((draw(st.sampled_from(UNARY)), draw(places)))
        else:
            steps.append((draw(st.sampled_from(BINARY)), draw(places), draw(places)))
    return leaves, steps, draw(st.integers(0, 2**32 - 1))


def run(library, leaves, steps, order):
    values = [library.tensor(v, requires_grad=True) for v in leaves]
    for name, *places in steps:
        y = getattr(library, name)(*(values[i] for i in places))
        # tanh keeps towers of exponentials finite.
        values.append(library.tanh(y) if len(values) % 2 else y)
    inputs = values[: len(leaves)]
    total = sum((v.sum() for v in values[len(leaves) :]), start=0.0)
    results = [total]
    for _ in range(order):
        found = library.autograd.grad(
            results[-1] if len(results) == 1 else total,
            inputs,
            create_graph=True,
            allow_unused=True,
        )
        found = [g for g in found if g is not None]
        results += found
        connected = [g for g in found if g.requires_grad]
        if not connected:
            break
        total = sum((g.sum() for g in connected), start=0.0)
    return [r.detach().numpy(force=True) for r in results]


@pytest.mark.parity
@given(graph=graphs())
def test_random_graphs_give_what_pytorch_gives(torch, graph):
    shapes, steps, seed = graph
    random = np.random.default_rng(seed)
    leaves = [random.uniform(-1.0, 1.0, shape) for shape in shapes]
    with np.errstate(all="ignore"):
        ours = run(gd, leaves, steps, 2)
    theirs = run(torch, leaves, steps, 2)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_a_failing_backward_leaves_retained_grads_alone():
    class Fails(gd.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, g):
            raise ValueError("no")

    x = gd.ones(2, requires_grad=True)
    y = Fails.apply(x) * 2
    y.retain_grad()
    with pytest.raises(ValueError, match="no"):
        (y * 3).sum().backward()
    assert y.grad is None
    assert x.grad is None


def test_a_graph_that_has_saved_a_gradient_notices_what_is_added_to_it():
    x, w = gd.ones(3, requires_grad=True), gd.ones(3, requires_grad=True)
    (x * 2).sum().backward()
    g = x.grad
    z = (w * g).sum()
    (x * 5).sum().backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
    assert x.grad is g
    assert g.tolist() == [7.0, 7.0, 7.0]


def test_views_of_a_gradient_see_what_is_added_to_it():
    x = gd.ones(3, requires_grad=True)
    (x * 2).sum().backward()
    part, plain = x.grad[1:], x.grad.detach().numpy()
    (x * 5).sum().backward()
    assert part.tolist() == [7.0, 7.0]
    assert plain.tolist() == [7.0, 7.0, 7.0]


def test_a_gradient_with_a_history_keeps_it_when_it_is_added_to():
    x = gd.ones(3, requires_grad=True)
    with pytest.warns(UserWarning, match="reference cycle"):
        (x**3).sum().backward(create_graph=True)
    g = x.grad
    (x * 5).sum().backward()
    assert x.grad is g
    assert g.requires_grad
    assert g.tolist() == [8.0, 8.0, 8.0]


def test_a_leaf_that_needs_no_gradient_any_more_gets_none():
    x = gd.ones(3, requires_grad=True)
    y = (x * x).sum()
    x.requires_grad_(False)
    y.backward()
    assert x.grad is None


def test_inputs_of_backward_that_are_no_leaves_retain_their_grad():
    x = gd.ones(3, requires_grad=True)
    y = x * 2
    z = (y * y).sum()
    z.backward(inputs=[y], retain_graph=True)
    assert y.retains_grad
    assert y.grad.tolist() == [4.0, 4.0, 4.0]
    z.backward()
    assert y.grad.tolist() == [8.0, 8.0, 8.0]


def test_hooks_of_an_output_run_where_no_input_is_reached():
    x, other = gd.ones(3, requires_grad=True), gd.ones(3, requires_grad=True)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    assert gd.autograd.grad(y, other, gd.ones(3), allow_unused=True) == (None,)
    assert seen == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x[gd.tensor([0, 2])],
        lambda x: gd.where(gd.tensor([True, False, True]), x, 0.0),
        lambda x: x.masked_fill(x > 0, 1.0),
        lambda x: x.index_select(0, gd.tensor([1])),
        lambda x: gd.nn.functional.dropout(x),
    ],
)
def test_indices_and_masks_are_freed_by_a_backward(operation):
    y = operation(gd.ones(3, requires_grad=True)).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=FREED):
        y.backward()


@pytest.mark.parametrize("grad", [lambda: gd.ones(1).expand(3), lambda: gd.ones(6)[::2]])
def test_an_assigned_gradient_of_any_layout_accumulates(grad):
    x = gd.ones(3, requires_grad=True)
    x.grad = grad()
    (x * gd.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [2.0, 3.0, 4.0]


def test_threads_that_share_a_leaf_lose_nothing():
    w = gd.ones(300_000, requires_grad=True)

    def run():
        for _ in range(5):
            (w * 1.0).sum().backward()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.unique(w.grad.numpy()).tolist() == [20.0]


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_create_graph_records_also_under_no_grad():
    x = gd.ones(3, requires_grad=True)
    y = (x**3).sum()
    with gd.no_grad():
        y.backward(create_graph=True)
    (second,) = gd.autograd.grad(x.grad.sum(), x)
    assert second.tolist() == [6.0, 6.0, 6.0]


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_retained_gradients_share_memory_with_nothing_also_when_recorded():
    x = gd.ones(3, requires_grad=True)
    y = x * 2
    z = y + 0
    y.retain_grad()
    z.retain_grad()
    v = gd.ones(3)
    z.backward(v, create_graph=True)
    assert y.grad is not z.grad
    assert not np.shares_memory(z.grad.detach().numpy(), v.numpy())
    assert not np.shares_memory(y.grad.detach().numpy(), z.grad.detach().numpy())


def test_a_recorded_backward_does_not_warn():
    x = gd.zeros(3, requires_grad=True)
    (g,) = gd.autograd.grad(gd.sqrt(x).sum(), x, create_graph=True)
    assert g.tolist() == [math.inf] * 3


def test_the_result_of_grad_can_be_written_to():
    x = gd.tensor(1.0, requires_grad=True)
    (g,) = gd.autograd.grad(x + 1, x)
    g.numpy()[...] = 5.0
    (h,) = gd.autograd.grad(x + 1, x)
    assert h.item() == 1.0


def test_cotangents_of_many_outputs_are_summed_in_place():
    total = Cotangents({0: np.ones(2)})
    assert total + Cotangents({1: np.ones(2)}) + Cotangents({0: np.ones(2)}) is total
    assert total[0].tolist() == [2.0, 2.0]
    assert total[1].tolist() == [1.0, 1.0]


def test_outputs_used_twice_are_summed():
    x = gd.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a, b = x.unbind()
    y = (a * b + a).sum() + (2 * b).sum()
    for _ in range(2):
        (g,) = gd.autograd.grad(y, x, retain_graph=True)
        assert g.tolist() == [[4.0, 5.0], [3.0, 4.0]]
