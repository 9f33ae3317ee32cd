"""`autograd.graph`: nodes and their lines, edges, hooks on what is saved and on gradients."""

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
    assert where(y._node) == line


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
