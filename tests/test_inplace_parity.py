"""Programs of writes and views, run here and in PyTorch: values, gradients, versions, errors.

Each is a few lines over `lib` and double-precision Tensors. What they leave is compared name by
name; where they raise, the class and the words.
"""

import textwrap
import warnings

import numpy as np
import pytest

import fuzz
import gradcore as gd

LEAVES = """
x = lib.tensor([1.0, 3.0, 3.0], dtype=lib.float64, requires_grad=True)
m = lib.tensor([[1.0, -2.0], [0.5, 4.0], [-1.5, 0.25]], dtype=lib.float64, requires_grad=True)
p = lib.tensor([0.5, -1.0, 2.0], dtype=lib.float64)
w = lib.tensor([2.0, 0.5, -1.0], dtype=lib.float64, requires_grad=True)
"""

PROGRAMS = {
    # 0-d Tensors and views
    "an element of a vector is a view": "w = p[0]; w += 5",
    "a sum is a Tensor of its own": "s = p.sum(); s += 1",
    "a view of a product is scaled": "y = x * 1; v = y[:1]; v.mul_(3); y.sum().backward()",
    "the base of a view is scaled": "y = x * 1; v = y[:1]; y.mul_(3); v.sum().backward()",
    "a view of a view is scaled": "y = m * 1; v = y[1:].t()[0]; v.mul_(w[:2]); y.sum().backward()",
    "a view of a view, and its sibling": (
        "y = m * 1; a = y[1:]; b = a.T; c = y.reshape(6); b[0].exp_()\n(c * c).sum().backward()"
    ),
    "a view taken before a write to another view": (
        "y = m * 1; a = y[0]; b = y[:, 0]; b.mul_(w); (a * a).sum().backward()"
    ),
    "a view of a 0-d Tensor": "y = x.sum(); v = y.view(1); v.mul_(3); y.backward()",
    "an element through unsqueeze and expand": (
        "y = x * 1; v = y.unsqueeze(0); v.mul_(2); e = y.expand(2, 3); (e * e).sum().backward()"
    ),
    "through a diagonal": "y = m * 1; y.diagonal().mul_(w[:2]); (y * y).sum().backward()",
    "through select and narrow": (
        "y = m * 1; y.select(1, 0).add_(w); y.narrow(0, 1, 2).mul_(2); (y * y).sum().backward()"
    ),
    "through permute and reshape": (
        "y = m * 1; y.permute(1, 0)[1].mul_(w); y.view(2, 3)[0] = w; (y * y).sum().backward()"
    ),
    "the real effect of a chain of views": (
        "y = m * 1; v = y.view(-1)[1:5].view(2, 2).T[1:]; v *= w[:2]; (y * y).sum().backward()"
    ),
    "negative step": "p[::-1]",
    # no base with history
    "a base without history takes one": (
        "b = lib.zeros(3, dtype=lib.float64); v = b[1:]; v.copy_(w[:2] * 2); "
        "(b * b).sum().backward()"
    ),
    "a view of such a base, taken before": (
        "b = lib.zeros(3, dtype=lib.float64); u = b[:2]; b[1:] = w[1:] * w[1:]; u.sum().backward()"
    ),
    "setitem of rows": (
        "b = lib.zeros(3, 2, dtype=lib.float64); b[1] = m[0] * 2; b.sum().backward()"
    ),
    "a leaf's view gets history": ("d = x.detach(); v = d[1:]; v.mul_(w[1:])"),
    # leaves
    "a leaf": "x.add_(1)",
    "a leaf by operator": "x += 1",
    "a leaf by item": "x[0] = 1",
    "a view of a leaf": "v = x[:2]; v.zero_()",
    "a detached view of a leaf": "x.detach().mul_(2); (x * x).sum().backward()",
    "a leaf under no_grad": (
        "with lib.no_grad():\n    x.mul_(2)\n    x[0] = 7\n(x * x).sum().backward()"
    ),
    "a view of a leaf under no_grad": (
        "v = x[1:]\nwith lib.no_grad():\n    v.mul_(2)\nv.sum().backward()"
    ),
    "the data of a leaf": "x.data.mul_(2); x.data[0] = 5; (x * x).sum().backward()",
    "a step of descent": "(x * x).sum().backward()\nwith lib.no_grad():\n    x -= 0.1 * x.grad",
    "a leaf through zero_ of its gradient": "(x * x).sum().backward(); x.grad.zero_()",
    "fill_ of a leaf": "x.fill_(1)",
    "detach_ of a leaf": "x.detach_(); y = x * 2",
    "detach_ of a result": "y = x * 2; y.detach_(); z = y * w; z.sum().backward()",
    "detach_ of a view": "y = x * 2; v = y[0]; v.detach_()",
    # what is saved
    "exp saves its result": "y = x.exp(); y.add_(1); y.sum().backward()",
    "a change of exp's operand": "y = x * 1; z = y.exp(); y.add_(1); z.sum().backward()",
    "sin saves its operand": "y = x * 1; z = y.sin(); y.add_(1); z.sum().backward()",
    "a change of sin's result": "y = x.sin(); y.add_(1); y.sum().backward()",
    "a product saves both": "y = x * 1; z = y * w; y.add_(1); z.sum().backward()",
    "a product with a constant saves not the variable": (
        "y = x * 1; z = y * p; y.add_(1); z.sum().backward()"
    ),
    "a product with a constant saves the constant": "z = x * p; p.add_(1); z.sum().backward()",
    "a sum saves nothing": "y = x * 1; z = y + w; y.add_(1); z.sum().backward()",
    "relu saves its result": "y = (x - 2).relu(); y.mul_(2); y.sum().backward()",
    "tanh": "y = x.tanh(); y.mul_(2); y.sum().backward()",
    "sigmoid": "y = x.sigmoid(); y.zero_(); y.sum().backward()",
    "sqrt": "y = x.sqrt(); y.mul_(2); y.sum().backward()",
    "division saves the divisor": "y = x * 1; z = p / y; y.add_(1); z.sum().backward()",
    "division saves not the dividend": "y = x * 1; z = y / p; y.add_(1); z.sum().backward()",
    "a power": "y = x * 1; z = y ** 2; y.add_(1); z.sum().backward()",
    "a matrix product": "y = m * 1; z = y @ m.T; y.add_(1); z.sum().backward()",
    "amax": "y = x * 1; z = y.amax(); y.add_(1); z.backward()",
    "softmax": "y = x.softmax(0); y.add_(1); y.sum().backward()",
    "norm": "y = x * 1; z = y.norm(); z.mul_(2); z.backward()",
    "prod": "y = x * 1; z = y.prod(); y.add_(1); z.backward()",
    "cumsum saves nothing": "y = x * 1; z = y.cumsum(0); y.add_(1); z.sum().backward()",
    "where saves its condition": (
        "c = p > 0; z = lib.where(c, x, w); c.fill_(True); z.sum().backward()"
    ),
    "a mask that changes": (
        "c = p > 0; y = x * 1; y.masked_fill_(c, 0); c.fill_(False); y.sum().backward()"
    ),
    "an index that changes": "i = lib.tensor([0, 2]); z = x[i]; i.fill_(1); z.sum().backward()",
    "a saved value changed through data": "y = x.exp(); y.data.add_(1); y.sum().backward()",
    "a saved value changed through detach": "y = x.exp(); y.detach().add_(1); y.sum().backward()",
    "a saved value changed through a view": "y = x.exp(); y[0].add_(1); y.sum().backward()",
    "another part of a saved value changed": (
        "y = x * 1; v = y[:1].sin(); y[1:].add_(1); v.sum().backward()"
    ),
    "a change under no_grad": "y = x.exp()\nwith lib.no_grad():\n    y.add_(1)\ny.sum().backward()",
    "a saved leaf changed under no_grad": (
        "y = x * x\nwith lib.no_grad():\n    x.add_(1)\ny.sum().backward()"
    ),
    "restored is changed all the same": "y = x.exp(); y.add_(1); y.sub_(1); y.sum().backward()",
    "exp_ saves what it wrote": "y = x * 1; y.exp_(); y.sum().backward()",
    "exp_ twice": "y = x * 1; y.exp_(); y.exp_(); y.sum().backward()",
    "mul_ by itself": "y = x * 1; y.mul_(y); y.sum().backward()",
    "add_ of itself": "y = x * 1; y.add_(y); y.sum().backward()",
    "mul_ with a graph": "y = x * 1; y.mul_(w); y.sum().backward()",
    "mul_ twice": "y = x * 1; y.mul_(w); y.mul_(w); y.sum().backward()",
    "mul_ by a number": "y = x * 1; y.mul_(3); y.mul_(2); y.sum().backward()",
    "div_": "y = x * 1; y.div_(w); y.sum().backward()",
    "pow_": "y = x * 1; y.pow_(2); y.sum().backward()",
    "a chain of writes": "y = x * 1; y.mul_(2).add_(1).tanh_(); y.sum().backward()",
    # kinds of writes
    "zero_": "y = x * w; y.zero_(); y.sum().backward()",
    "fill_ with a Tensor": "y = x * 1; y.fill_(w[0]); y.sum().backward()",
    "fill_ with a Tensor of one dimension": "y = x * 1; y.fill_(w)",
    "copy_": "y = x * 1; y.copy_(w * 2); (y * y).sum().backward()",
    "copy_ that broadcasts": "y = m * 1; y.copy_(w[:2]); (y * y).sum().backward()",
    "copy_ to a view": "y = m * 1; y[1].copy_(w[:2]); (y * y).sum().backward()",
    "copy_ of another dtype": "y = x * 1; y.copy_(lib.tensor([1, 2, 3])); y.sum().backward()",
    "copy_ to another dtype": "f = lib.zeros(3, dtype=lib.float32); f.copy_(x); f.sum().backward()",
    "masked_fill_": "y = x * 1; y.masked_fill_(y > 2, -1.0); (y * y).sum().backward()",
    "masked_fill_ with a Tensor": (
        "y = x * 1; y.masked_fill_(p > 0, w[0]); (y * y).sum().backward()"
    ),
    "clamp_": "y = x * 1; y.clamp_(1, 2); y.sum().backward()",
    "relu_": "y = x - 2; y.relu_(); y.sum().backward()",
    "index_put_": "y = x * 1; y.index_put_((lib.tensor([0, 2]),), w[:2]); (y * y).sum().backward()",
    "index_put_ that accumulates": (
        "y = x * 1; y.index_put_((lib.tensor([0, 0]),), w[:2], accumulate=True)\n"
        "(y * y).sum().backward()"
    ),
    "index_add_": "y = x * 1; y.index_add_(0, lib.tensor([0, 0]), w[:2]); (y * y).sum().backward()",
    "setitem with a mask": "y = x * 1; y[y > 2] = 0; (y * y).sum().backward()",
    "setitem with a mask and a Tensor": "y = x * 1; y[p > 0] = w[:2]; (y * y).sum().backward()",
    "setitem with an array": "y = m * 1; y[lib.tensor([2, 0])] = w[:2]; (y * y).sum().backward()",
    "setitem with slices": "y = m * 1; y[1:, 0] = w[:2]; (y * y).sum().backward()",
    "setitem with None and an ellipsis": "y = m * 1; y[None, ..., 1] = w; (y * y).sum().backward()",
    "setitem of everything": "y = x * 1; y[:] = w; (y * y).sum().backward()",
    "setitem of itself": "y = x * 1; y[:] = y; (y * y).sum().backward()",
    "setitem on an empty slice": "y = x * 1; y[3:] = 1; y.sum().backward()",
    "setitem augmented": "y = x * 1; y[1:] *= w[1:]; (y * y).sum().backward()",
    "setitem augmented with an array": (
        "y = x * 1; y[lib.tensor([0, 2])] += w[:2]; (y * y).sum().backward()"
    ),
    "setitem with too long a value": "y = x * 1; y[:2] = w",
    "setitem out of range": "y = x * 1; y[3] = 1.0",
    "setitem with too many indices": "y = x * 1; y[0, 0] = 1.0",
    "a result wider than the place": "y = x * 1; y.add_(lib.ones(2, 3, dtype=lib.float64))",
    "a result of another dtype": "f = lib.tensor([1, 2, 3]); f.add_(0.5)",
    "a narrower operand": "f = lib.ones(3, dtype=lib.float32); f.add_(x); f.sum().backward()",
    "an empty place": (
        "e = lib.zeros(0, dtype=lib.float64); e.add_(1); e.mul_(x[:0]); e.sum().backward()"
    ),
    "a 0-d place": "s = x.sum(); s.mul_(w[0]); s.backward()",
    # operators
    "operators write": "y = x * 1; z = y; y += 1; y *= w; y -= p; y /= 2; y.sum().backward()",
    "operators of a number's kind": "y = x * 1; z = y; y **= 2; y %= 5; y.sum().backward()",
    # views that must not be written
    "expanded": "e = p.expand(2, 3); e.add_(1)",
    "expanded, with history": "y = x * 1; e = y.expand(2, 3); e.mul_(2)",
    "expanded by an index": "e = p[None].expand(2, 3); e[0] = 1",
    "exactly overlapping": "p[1:].add_(p[1:])",
    "made in no_grad": "y = x * 1\nwith lib.no_grad():\n    v = y[:2]\nv.mul_(2)",
    "made in no_grad of what has no history": "with lib.no_grad():\n    v = p[:2]\nv.mul_(w[:2])",
    "unbind": "y = x * 1; a, b, c = y.unbind(); a.mul_(2)",
    "unbind of a leaf": "a, b, c = x.unbind(); a.mul_(2)",
    "unbind without history": "a, b, c = p.unbind(); a.mul_(2)",
    "unbind without history, by what has one": "a, b, c = p.unbind(); a.mul_(w[0])",
    "split": "y = x * 1; a, b = y.split([1, 2]); a.mul_(2)",
    "chunk": "y = x * 1; a, b = y.chunk(2); b.zero_()",
    "a view of an unbound part": "y = m * 1; a, b, c = y.unbind(); a[0].mul_(2)",
    "iteration": "y = m * 1\nfor row in y:\n    row.mul_(2)",
    # flags and hooks
    "requires_grad_ after a view": "b = p * 1; v = b[:2]; b.requires_grad_(); v.mul_(2)",
    "requires_grad_ of a view": "v = p[:2]; v.requires_grad_(); (v * v).sum().backward()",
    "a hook before a write": (
        "y = x * 1; h = y.register_hook(lambda g: g * 10); y.mul_(2); y.sum().backward()"
    ),
    "a hook after a write": (
        "y = x * 1; y.mul_(2); h = y.register_hook(lambda g: g * 10); y.sum().backward()"
    ),
    "retain_grad before a write": "y = x * 1; y.retain_grad(); y.mul_(2); y.sum().backward()",
    "retain_grad after a write": "y = x * 1; y.mul_(2); y.retain_grad(); y.sum().backward()",
    "retain_grad of a view before a write": (
        "y = x * 1; v = y[:2]; v.retain_grad(); v.mul_(2); (y * y).sum().backward()"
    ),
    "retain_grad of a base before a write to a view": (
        "y = x * 1; y.retain_grad(); y[:2].mul_(2); (y * y).sum().backward()"
    ),
    # walks
    "two backwards over a write": (
        "y = x * 1; y.mul_(w); s = y.sum(); s.backward(retain_graph=True); s.backward()"
    ),
    "two backwards over a freed write": (
        "y = x * 1; y.mul_(w); s = y.sum(); s.backward(); s.backward()"
    ),
    "grad of what was before and after": (
        "y = x * 1; z = y * 2; y.mul_(w)\n"
        "g = lib.autograd.grad(y.sum(), [x, w], retain_graph=True)\n"
        "k = lib.autograd.grad(z.sum(), x); a, b, c = g[0].clone(), g[1].clone(), k[0].clone()"
    ),
    "second derivatives through a write": (
        "y = x * 1; y[1:].mul_(x[1:] * w[1:]); s = (y ** 3).sum()\n"
        "a, b = lib.autograd.grad(s, [x, w], create_graph=True)\n(a.sum() + b.sum()).backward()"
    ),
    "the gradient of a written base": (
        "y = x * 1; v = y[:2]; v.mul_(2)\na, b = [g.clone() for g in "
        "lib.autograd.grad((y * y).sum(), [y, x])]"
    ),
    "the gradient of a written view": (
        "y = x * 1; v = y[:2]; v.mul_(2)\n"
        "a = lib.autograd.grad((y * y).sum(), [v], allow_unused=True)[0]"
    ),
    "the gradient is written": "(x * x).sum().backward(); x.grad.mul_(2); (x * x).sum().backward()",
    "a view of the gradient sees the next": (
        "(x * x).sum().backward(); g = x.grad[0]; (x * x).sum().backward()"
    ),
    "a gradient with history is added to": (
        "(x ** 3).sum().backward(create_graph=True); g = x.grad; (x * x).sum().backward()\n"
        "same = lib.tensor(g is x.grad)"
    ),
    "rows of a buffer": (
        "b = lib.empty(3, 2, dtype=lib.float64)\nfor i in range(3):\n    b[i] = m[i] * w[i]\n"
        "(b * b).sum().backward()"
    ),
    "a recurrence in a buffer": (
        "b = lib.zeros(4, dtype=lib.float64)\nfor i in range(3):\n"
        "    b[i + 1] = b[i] * w[i] + x[i]\n"
        "b[3].backward()"
    ),
    "a recurrence that needs what it wrote": (
        "b = lib.ones(4, dtype=lib.float64)\nfor i in range(3):\n"
        "    b[i + 1] = b[i].exp()  * w[i]\n"
        "b.sum().backward()"
    ),
    # rearranged in place
    "unsqueeze_": "y = x * 1; y.unsqueeze_(0); (y * y).sum().backward()",
    "squeeze_": "y = x[:1] * 1; y.squeeze_(); (y * y).backward()",
    "transpose_": "y = m * 1; y.transpose_(0, 1); (y @ m).sum().backward()",
    "t_ of a view": "y = m * 1; v = y[1:]; v.t_(); v[0].mul_(2); (y * y).sum().backward()",
    "a rearranged leaf": "x.unsqueeze_(0)",
    # set
    "data set": "x.data = p * 2; (x * x).sum().backward()",
    "a setter of requires_grad": "y = x * 1; y.mul_(2); y.requires_grad = False",
}


def run(lib, code):
    """What a program leaves by name, and the error that ended it."""
    values = {"lib": lib}
    error = None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        exec(LEAVES, values)
        try:
            exec(textwrap.dedent(code), values)
        except Exception as raised:
            error = raised.with_traceback(None)
    return values, error


def names_of(values, lib):
    return sorted(n for n, v in values.items() if isinstance(v, lib.Tensor))


@pytest.mark.parity
@pytest.mark.parametrize("title", PROGRAMS)
def test_a_program_of_writes_leaves_what_it_leaves_in_pytorch(torch, title):
    got, error = run(gd, PROGRAMS[title])
    expected, their_error = run(torch, PROGRAMS[title])
    assert not fuzz.compared_errors(error, their_error)
    assert names_of(got, gd) == names_of(expected, torch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names_of(expected, torch):
            a, b = got[name], expected[name]
            found = fuzz.compared_values(name, a, b)
            # PyTorch counts the sum into a gradient twice.
            assert found is None or (found[0] == "_version" and ".grad" in PROGRAMS[title])
            assert their_error is not None or fuzz.compared_grads(name, a, b) is None


NODES = {
    "y = x * 1; v = y[:1]; v.mul_(3)": "y",
    "y = x * 1; y[0] = w[0]": "y",
    "y = x * 1; y.mul_(w)": "y",
    "y = x * 1; y.exp_()": "y",
    "y = x * 1; y.copy_(w)": "y",
    "y = x * 1; y.zero_()": "y",
    "y = x * 1; y.add_(w)": "y",
    "y = x * 1; y.clamp_(0, 1)": "y",
    "y = x * 1; y.masked_fill_(p > 0, 0)": "y",
    "y = x * 1; y.index_put_((lib.tensor([0]),), w[:1])": "y",
    "y = x * 1; y.detach_()": "y",
}


@pytest.mark.parity
@pytest.mark.parametrize("code", NODES)
def test_a_written_tensor_has_the_grad_fn_it_has_in_pytorch(torch, code):
    got, expected = run(gd, code)[0][NODES[code]], run(torch, code)[0][NODES[code]]
    ours, theirs = (t.grad_fn and t.grad_fn.name() for t in (got, expected))
    assert ours == (theirs and theirs.removeprefix("torch::autograd::"))


@pytest.mark.parity
def test_what_a_failed_write_touched_is_untouched(torch):
    for lib in (gd, torch):
        values, error = run(
            lib, "y = x * 1; n = y._version; y.add_(lib.ones(5, dtype=lib.float64))"
        )
        assert isinstance(error, RuntimeError)
        assert values["y"]._version == values["n"] == 0
        assert values["y"].tolist() == [1.0, 3.0, 3.0]


REFUSED = {
    # The memory is read before it is written.
    "p[1:].add_(p[:-1])": "p[1:].add_(p[:-1].clone())",
    "p[1:].copy_(p[:-1])": "p[1:].copy_(p[:-1].clone())",
    # The histories of several views follow their base.
    "y = x * 1; a, b, c = y.unbind(); y.mul_(w); z = a * b; z.backward()": (
        "y = x * 1; y.mul_(w); a, b, c = y.unbind(); z = a * b; z.backward()"
    ),
    "y = m * 1; a, b = y.split([1, 2]); y[0].mul_(2); z = (a * b).sum(); z.backward()": (
        "y = m * 1; y[0].mul_(2); a, b = y.split([1, 2]); z = (a * b).sum(); z.backward()"
    ),
    # Views made under no_grad are constants.
    "y = x * 1\nwith lib.no_grad(): v = y[:2]\ny.mul_(2); z = (v * w[:2]).sum(); z.backward()": (
        "y = x * 1\nv = y.detach()[:2]\ny.mul_(2)\nz = (v * w[:2]).sum(); z.backward()"
    ),
}
"""What PyTorch refuses or leaves undefined and gradcore computes, and what it means."""


@pytest.mark.parity
@pytest.mark.parametrize("code", REFUSED)
def test_what_pytorch_refuses_means_what_it_says(torch, code):
    got, error = run(gd, code)
    assert error is None
    expected, their_error = run(torch, REFUSED[code])
    assert their_error is None
    names = [n for n in names_of(expected, torch) if expected[n].is_leaf or n in "yz"]
    for name in names:
        a, b = got[name], expected[name]
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy())
        if b.is_leaf:
            assert (a.grad is None) == (b.grad is None), name
            assert b.grad is None or a.grad.tolist() == b.grad.tolist(), name
