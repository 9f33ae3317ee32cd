"""`autograd.graph`: nodes and their lines, edges, hooks on what is saved and on gradients."""

import copy
import functools

import numpy as np
import pytest

import gradcore as gd
from gradcore.autograd import draw, graph_report
from gradcore.graph import where


def leaf(*values):
    return gd.tensor(values, requires_grad=True)


# the user's line ---------------------------------------------------------------------------------


def line_of(function, offset):
    return f"{function.__code__.co_firstlineno + offset} in {function.__qualname__}"


def made_by_operator(x):
    return x * x


def made_by_reflected_operator(x):
    return 2.0 - x


def made_by_numpy(x):
    return np.sin(x)


def made_by_einsum(x):
    return np.einsum("i,i->", x, x)


def made_by_promotion(x):
    return x * gd.ones(3, dtype=gd.float64)


def made_by_method(x):
    return x.sum(dim=0)


def made_by_composite(x):
    return gd.nn.functional.gelu(x)


def made_by_split(x):
    return x.split(1)[0]


def made_by_cat(x):
    return gd.cat((x, x))


class Twice(gd.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


def made_by_function(x):
    return Twice.apply(x)


@pytest.mark.parametrize(
    "function",
    [
        made_by_operator,
        made_by_reflected_operator,
        made_by_numpy,
        made_by_einsum,
        made_by_promotion,
        made_by_method,
        made_by_composite,
        made_by_split,
        made_by_cat,
        made_by_function,
    ],
    ids=lambda f: f.__name__,
)
def test_a_node_knows_the_users_line(function):
    y = function(leaf(1.0, 2.0, 3.0))
    seen = [y.grad_fn]
    for node in seen:
        seen += [parent for parent, _ in node.next_functions if parent is not None]
    lines = {where(node) for node in seen if isinstance(node, gd.graph.Node)}
    (line,) = lines
    assert line.endswith("test_graph_module.py:" + line_of(function, 1))
    assert where(y._node) == y.grad_fn.line == line


def test_a_statement_of_several_lines_has_that_of_the_operation():
    x = leaf(1.0)

    def several():
        return (
            x.exp()
            +
            x.sin()
        )  # fmt: skip

    y = several()
    assert where(y.grad_fn).endswith(line_of(several, 2))
    assert where(y.grad_fn.next_functions[0][0]).endswith(line_of(several, 2))
    assert where(y.grad_fn.next_functions[1][0]).endswith(line_of(several, 4))


def test_nodes_of_a_second_derivative_have_the_line_that_asked_for_it():
    x = leaf(1.0, 2.0)

    def first():
        return gd.autograd.grad((x * x * x).sum(), x, create_graph=True)

    (g,) = first()
    assert where(g.grad_fn).endswith(line_of(first, 1))


def test_a_line_is_known_after_its_function_is_gone():
    scope = {}
    exec(compile("def f(x):\n    return x * x", "gone.py", "exec"), scope)
    node = scope.pop("f")(leaf(1.0)).grad_fn
    assert where(node) == "gone.py:2 in f"


def test_a_callback_is_the_users():
    y = functools.reduce(lambda a, b: a * b, [leaf(1.0), leaf(2.0)])
    assert "<lambda>" in where(y.grad_fn)


def test_a_leaf_has_no_line():
    node = leaf(1.0).exp().grad_fn.next_functions[0][0]
    assert where(node) == ""


def test_reports_and_drawings_show_the_line():
    y = made_by_operator(leaf(1.0, 2.0))
    line = where(y.grad_fn)
    (entry,) = graph_report(y).entries
    assert entry.source == line
    assert line in str(graph_report(y))
    assert line in draw(y, show_lines=True).dot
    assert line not in draw(y).dot


# the same programs as in PyTorch -----------------------------------------------------------------


def attempt(log, function):
    """Log what a call raises: the builtin class, and the text."""
    try:
        log.append(function())
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        kinds = (AttributeError, TypeError, RuntimeError, ValueError)
        text = str(error).replace("torch.", "gradcore.")
        log.append((next(k.__name__ for k in kinds if isinstance(error, k)), text.rstrip(".")))


def pair(lib):
    x = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
    w = lib.tensor([3.0, -1.0], dtype=lib.float64, requires_grad=True)
    return x, w


def listed(gradients):
    return [None if g is None else g.tolist() for g in gradients]


def edges_are_inputs_and_outputs(lib, log):
    graph = lib.autograd.graph
    x, w = pair(lib)
    y = x * w
    z = (y * y).sum()
    e = graph.get_gradient_edge(y)
    log.append((e.node.name(), e.output_nr, isinstance(e.node, graph.Node)))
    log.append(listed(lib.autograd.grad(z, [e, x], retain_graph=True)))
    log.append(listed(lib.autograd.grad(graph.get_gradient_edge(z), e, retain_graph=True)))
    v = lib.ones(2, dtype=lib.float64)
    log.append(listed(lib.autograd.grad(e, [x], grad_outputs=v, retain_graph=True)))
    leaf_edge = graph.get_gradient_edge(x)
    log.append((leaf_edge.node.name().split("::")[-1], leaf_edge.node.variable is x))
    lib.autograd.backward(e, v, retain_graph=True)
    log.append(x.grad.tolist())
    lib.autograd.backward(z, inputs=leaf_edge, retain_graph=True)
    log.append((x.grad.tolist(), w.grad.tolist()))
    z.backward(inputs=[e], retain_graph=True)
    log.append((x.grad.tolist(), w.grad.tolist()))
    z.backward(inputs=[e, w], retain_graph=True)
    log.append((x.grad.tolist(), w.grad.tolist()))


def edges_of_several_outputs(lib, log):
    graph = lib.autograd.graph
    x, _ = pair(lib)
    a, b = x.exp().split(1)
    z = (a * 3 + b * b).sum()
    e = graph.get_gradient_edge(b)
    log.append((e.node.name(), e.output_nr, e.node is a.grad_fn or e.node == a.grad_fn))
    log.append(listed(lib.autograd.grad(z, e, retain_graph=True)))
    log.append(listed(lib.autograd.grad(z, graph.GradientEdge(b.grad_fn, 1), retain_graph=True)))
    next_edge = graph.GradientEdge(*(b * 1).grad_fn.next_functions[0])
    log.append(next_edge.output_nr)
    log.append(listed(lib.autograd.grad(z, next_edge, retain_graph=True)))
    v = lib.ones(1, dtype=lib.float64)
    log.append(listed(lib.autograd.grad(next_edge, x, v)))


def edges_outlive_their_tensor(lib, log):
    graph = lib.autograd.graph
    x, w = pair(lib)
    y = x * w
    e = graph.get_gradient_edge(y)
    z = (y * y).sum()
    del y
    log.append(listed(lib.autograd.grad(z, e)))


def edges_that_raise(lib, log):
    graph = lib.autograd.graph
    x, w = pair(lib)
    z = (x * x).sum()
    attempt(log, lambda: graph.get_gradient_edge(lib.ones(2)))
    attempt(log, lambda: lib.autograd.grad(z, [graph.get_gradient_edge(w)], retain_graph=True))
    attempt(
        log,
        lambda: lib.autograd.grad(
            z, [graph.get_gradient_edge(w)], materialize_grads=True, retain_graph=True
        ),
    )
    e = graph.get_gradient_edge(x * x)
    v = lib.ones(3, dtype=lib.float64)
    attempt(log, lambda: lib.autograd.grad(e, [x], grad_outputs=v))
    unused = lib.autograd.grad(z, [graph.get_gradient_edge(w)], allow_unused=True)
    log.append(unused)


def hooks(lib, log):
    def pack(t):
        log.append(("pack", t.tolist(), t.requires_grad, t.is_leaf, lib.is_grad_enabled()))
        return t.detach()

    def unpack(t):
        log.append(("unpack", t.tolist(), lib.is_grad_enabled()))
        return t

    return lib.autograd.graph.saved_tensors_hooks(pack, unpack)


def hooks_see_what_is_saved(lib, log):
    x, w = pair(lib)
    seen = []  # of one operation, in any order

    def note(what):
        log.append((what, sorted(map(str, seen))))
        seen.clear()

    with hooks(lib, seen):
        y = (x * w).exp()
        note("made")
        y = (y * w).sum()
        note("made")
        c = (lib.ones(2, dtype=lib.float64) * x).sum() + x.sum() + (x + w).sum()
        note("made")
    (y + c).backward(retain_graph=True)
    note("backward")
    log.append((x.grad.tolist(), w.grad.tolist()))
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    note("create_graph")
    log.append(g.tolist())
    log.append(listed(lib.autograd.grad(g.sum(), [x, w])))
    note("second order")


def hooks_may_change_values(lib, log):
    x, w = pair(lib)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.detach() * 2, lambda t: t + 1):
        y = (x * w).sum()
    y.backward()
    log.append((x.grad.tolist(), w.grad.tolist()))


def what_was_packed_may_be_anything(lib, log):
    x, w = pair(lib)
    kept = {}

    def pack(t):
        kept[len(kept)] = t.detach().numpy().copy()
        return len(kept) - 1

    with lib.autograd.graph.saved_tensors_hooks(pack, lambda n: lib.tensor(kept[n])):
        y = (x.sin() * w.cos()).sum()
    y.backward()
    log.append((x.grad.tolist(), w.grad.tolist(), len(kept)))


def the_innermost_pair_wins(lib, log):
    x, w = pair(lib)
    graph = lib.autograd.graph
    with graph.saved_tensors_hooks(lambda t: (log.append("outer"), t.detach())[1], lambda t: t):
        with graph.saved_tensors_hooks(lambda t: (log.append("inner"), t.detach())[1], lambda t: t):
            a = x * w
        b = a.exp()
    (b.sum()).backward()
    log.append(x.grad.tolist())


def nothing_is_packed_where_nothing_is_saved(lib, log):
    x, w = pair(lib)
    with hooks(lib, log):
        with lib.no_grad():
            x * w
        x.detach() * w.detach()
        x.relu().sum()
        x * 2


def indices_are_packed(lib, log):
    x, _ = pair(lib)
    index = lib.tensor([0, 0, 1])
    with hooks(lib, log):
        y = x[index].sum()
    y.backward()
    log.append(x.grad.tolist())


def hooks_that_raise(lib, log):
    graph = lib.autograd.graph
    x, w = pair(lib)

    def refuse(t):
        raise ValueError("no")

    with graph.saved_tensors_hooks(refuse, lambda t: t):
        attempt(log, lambda: x * w)
    with graph.saved_tensors_hooks(lambda t: t.detach(), refuse):
        y = (x * w).sum()
    attempt(log, y.backward)
    log.append((x.grad, w.grad, lib.is_grad_enabled()))
    with graph.saved_tensors_hooks(lambda t: 1, lambda t: 2):
        y = (x * w).sum()
    attempt(log, y.backward)
    log.append(x.grad)
    (x * w).sum().backward()
    log.append(x.grad.tolist())


def hooks_are_disabled(lib, log):
    graph = lib.autograd.graph

    def enter():
        with hooks(lib, log):
            return "entered"

    def disable():
        with graph.disable_saved_tensors_hooks("inner"):
            return "disabled"

    with graph.disable_saved_tensors_hooks("no hooks here"):
        attempt(log, enter)
        with graph.disable_saved_tensors_hooks("nor here"):
            attempt(log, enter)
        attempt(log, enter)
    attempt(log, enter)
    with hooks(lib, log):
        attempt(log, disable)


def saved_on_cpu(lib, log):
    x, w = pair(lib)
    with lib.autograd.graph.save_on_cpu():
        y = (x * w).exp().sum()
    y.backward()
    log.append((x.grad.tolist(), w.grad.tolist()))


class Keeps:
    @staticmethod
    def function(lib, log):
        class Keep(lib.autograd.Function):
            @staticmethod
            def forward(ctx, x, w):
                y = x * w
                c = lib.full((2,), 7.0, dtype=lib.float64)
                ctx.save_for_backward(x, None, y, c)
                return y

            @staticmethod
            def backward(ctx, g):
                x, none, y, c = ctx.saved_tensors
                log.append((none, x.requires_grad, y.requires_grad, c.requires_grad, x.is_leaf))
                return g * y / x, g * x + 0 * c

        return Keep


def a_function_packs(lib, log):
    x, w = pair(lib)
    keep = Keeps.function(lib, log)
    with hooks(lib, log):
        y = keep.apply(x, w).sum()
    log.append("made")
    y.backward(retain_graph=True)
    log.append((x.grad.tolist(), w.grad.tolist()))
    (g,) = lib.autograd.grad(y, w, create_graph=True)
    log.append(listed(lib.autograd.grad(g.sum(), [x])))


def saved_values_by_name(lib, log):
    x, w = pair(lib)
    mul = (x * w).grad_fn
    log.append((mul._saved_self is x, mul._saved_other.tolist(), mul._saved_other.requires_grad))
    y = x.exp()
    log.append((y.grad_fn._saved_result.tolist(), y.grad_fn._saved_result.grad_fn is y.grad_fn))
    log.append((x**2).grad_fn._saved_exponent)
    s = x.sum(dim=0)
    log.append(s.grad_fn._saved_keepdim)
    log.append(tuple(s.grad_fn._saved_self_sym_sizes))
    attempt(log, lambda: bool(mul._saved_nothing))
    log.append({n for n in dir(mul) if n.startswith("_saved_")})
    y.sum().backward()
    attempt(log, lambda: y.grad_fn._saved_result)
    log.append("_saved_result" in dir(y.grad_fn))


def hooks_on_one_saved_value(lib, log):
    x, _ = pair(lib)
    y = x.exp()
    raw = y.grad_fn._raw_saved_result
    raw.register_hooks(lambda t: (log.append(t.requires_grad), t * 2)[1], lambda t: t)
    attempt(log, lambda: raw.register_hooks(lambda t: t, lambda t: t))
    log.append(y.grad_fn._saved_result.tolist())
    y.sum().backward()
    log.append(x.grad.tolist())
    attempt(log, lambda: raw.register_hooks(lambda t: t, lambda t: t))


def multi_grad_hooks_for_all(lib, log):
    x, w = pair(lib)
    c, d = x * w, x * w
    handle = lib.autograd.graph.register_multi_grad_hook(
        (x, w, c, d), lambda grads: log.append(listed(grads))
    )
    c.sum().backward(retain_graph=True)
    c.sum().backward(inputs=(x,), retain_graph=True)
    (c + d).sum().backward(inputs=[w, d], retain_graph=True)
    (c * d).sum().backward(retain_graph=True)
    lib.ones(2, dtype=lib.float64, requires_grad=True).sum().backward()
    handle.remove()
    handle.remove()
    c.sum().backward()


def multi_grad_hooks_for_any(lib, log):
    x, w = pair(lib)
    c, d = x * w, lib.ones(2)
    y = c.exp()
    lib.autograd.graph.register_multi_grad_hook(
        (c, y, d), lambda grad: log.append(grad.tolist()), mode="any"
    )
    y.sum().backward(retain_graph=True)
    c.sum().backward(retain_graph=True)
    (y + c).sum().backward(retain_graph=True)


def a_multi_grad_hook_that_raises_is_called_again(lib, log):
    x, w = pair(lib)
    y = x * w

    def fail(grads):
        log.append(listed(grads))
        raise ValueError("no")

    lib.autograd.graph.register_multi_grad_hook((x, y), fail)
    attempt(log, lambda: y.sum().backward(retain_graph=True))
    attempt(log, lambda: y.sum().backward(retain_graph=True))


def hooks_see_what_in_place_operations_save(lib, log):
    x, w = pair(lib)
    seen = []
    with hooks(lib, seen):
        a = x * 1
        a.exp_()
        a *= w
        a[:1] = w[1:] * a[1:]
        a.sin_()
        a[0].cos_()
    log.append(sorted(map(str, seen)))
    seen.clear()
    a.sum().backward()
    log.append(sorted(map(str, seen)))
    log.append((a.tolist(), x.grad.tolist(), w.grad.tolist()))


def a_change_in_place_is_not_noticed_through_hooks(lib, log):
    x, w = pair(lib)
    a = x * 1
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        y = (a * w).sum()
    a.zero_()
    y.backward()
    log.append((x.grad.tolist(), w.grad.tolist()))


def a_hook_that_writes_in_place_raises(lib, log):
    x, w = pair(lib)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t):
        attempt(log, lambda: (x * 1) * w)


def versions_are_counted_by_hand(lib, log):
    x, w = pair(lib)
    a = x * 1
    y = (a * w).sum()
    log.append(a._version)
    lib.autograd.graph.increment_version(a)
    log.append(a._version)
    lib.autograd.graph.increment_version([a, w, a.detach()])
    log.append((a._version, w._version))
    try:
        y.backward()
    except RuntimeError as error:
        log.append(str(error)[:80])
    with lib.inference_mode():
        lib.autograd.graph.increment_version(lib.ones(2))


def saved_values_may_be_written_to(lib, log):
    graph = lib.autograd.graph
    x, w = pair(lib)
    with graph.allow_mutation_on_saved_tensors():
        a = x * 1
        y = (a**2).sum() + (a * w).sum()
        a.sin_()
        a[0] = 7
        y = y + (a.exp() * a).sum()
        a.zero_()
        y.backward()
        log.append((x.grad.tolist(), w.grad.tolist()))

        def nest():
            with graph.allow_mutation_on_saved_tensors():
                pass

        attempt(log, nest)
    a = x * 1
    y = (a**2).sum()
    a.sin_()
    try:
        y.backward()
    except RuntimeError as error:
        log.append(str(error)[:80])


PROGRAMS = [
    versions_are_counted_by_hand,
    saved_values_may_be_written_to,
    hooks_see_what_in_place_operations_save,
    a_change_in_place_is_not_noticed_through_hooks,
    a_hook_that_writes_in_place_raises,
    edges_are_inputs_and_outputs,
    edges_of_several_outputs,
    edges_outlive_their_tensor,
    edges_that_raise,
    hooks_see_what_is_saved,
    hooks_may_change_values,
    what_was_packed_may_be_anything,
    the_innermost_pair_wins,
    nothing_is_packed_where_nothing_is_saved,
    indices_are_packed,
    hooks_that_raise,
    hooks_are_disabled,
    saved_on_cpu,
    a_function_packs,
    saved_values_by_name,
    hooks_on_one_saved_value,
    multi_grad_hooks_for_all,
    multi_grad_hooks_for_any,
    a_multi_grad_hook_that_raises_is_called_again,
]


@pytest.mark.parity
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_the_same_happens_as_in_pytorch(program, torch):
    found, expected = [], []
    program(gd, found)
    program(torch, expected)
    assert found == expected
    assert found


# on its own --------------------------------------------------------------------------------------


def test_what_hooks_made_is_unpacked_as_it_was():
    x = leaf(1.0, 2.0)
    with gd.autograd.graph.saved_tensors_hooks(lambda t: t.detach().to(gd.float16), lambda t: t):
        y = x.exp().sum()
    y.backward()
    assert x.grad.dtype is gd.float32
    with gd.autograd.graph.saved_tensors_hooks(lambda t: t.detach(), lambda t: t[:1]):
        y = x.exp().sum()
    with pytest.raises(gd.errors.ShapeError, match=r"size \[2\] gave one of size \[1\]"):
        y.backward()


def test_a_report_counts_what_hooks_keep():
    x = gd.ones(1000, requires_grad=True)
    with gd.autograd.graph.saved_tensors_hooks(lambda t: t.detach().half(), lambda t: t.float()):
        y = x.exp().sum()
    exp = next(e for e in graph_report(y).entries if e.name == "ExpBackward0")
    (saved,) = exp.saved
    assert (saved.role, saved.nbytes, exp.nbytes) == ("packed", 2000, 2000)
    assert "packed" in draw(y, show_saved=True).dot


def test_packed_outputs_form_no_cycle():
    freed = []

    class Held:
        def __init__(self, t):
            self.t = t

        def __del__(self):
            freed.append(True)

    x = leaf(1.0, 2.0)
    with gd.autograd.graph.saved_tensors_hooks(lambda t: Held(t.detach()), lambda h: h.t):
        y = x.exp()
    del y
    assert freed == [True]


def test_an_edge_of_which_no_shape_is_known_needs_a_gradient():
    x = leaf(1.0, 2.0)
    edge = gd.autograd.graph.GradientEdge((x * x).grad_fn, 0)
    with pytest.raises(gd.errors.GraphError, match="pass a gradient"):
        gd.autograd.grad(edge, x)
    (g,) = gd.autograd.grad(edge, x, gd.ones(2))
    assert g.tolist() == [2.0, 4.0]
    with pytest.raises(gd.errors.ArgumentTypeError, match="must be a Node"):
        gd.autograd.grad(gd.autograd.graph.GradientEdge("node", 0), x)


def test_there_are_two_modes_of_hooks_on_several():
    with pytest.raises(ValueError, match=r"one of \('all', 'any'\) but got some"):
        gd.autograd.graph.register_multi_grad_hook((leaf(1.0),), print, mode="some")


def test_a_hook_on_all_waits_only_for_tensors_that_require_grad():
    with pytest.raises(gd.errors.GraphError, match="doesn't require gradient"):
        gd.autograd.graph.register_multi_grad_hook((leaf(1.0), gd.ones(2)), print)
    seen = []
    x, w = leaf(1.0), leaf(2.0)
    y = x * w
    with gd.autograd.graph.register_multi_grad_hook((x, y, w), seen.append):
        gd.autograd.grad(y, [x])
    ((a, b, c),) = seen
    assert (a.tolist(), b.tolist(), c) == ([2.0], [1.0], None)


def test_later_nodes_have_higher_numbers():
    y = leaf(1.0).exp()
    z = y.sin()
    assert z.grad_fn._sequence_nr() > y.grad_fn._sequence_nr()


def test_nodes_can_be_copied():
    node = leaf(1.0, 2.0).exp().grad_fn
    twin = copy.copy(node)
    assert twin.name() == "ExpBackward0"
    assert twin._saved_result.tolist() == node._saved_result.tolist()
    assert not hasattr(type(node)(), "pullback")
