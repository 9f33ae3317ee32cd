"""The autograd tutorial, with `import gradcore as torch` and not a letter changed."""

import re
from pathlib import Path

import numpy as np

import gradcore

LISTING = (Path(__file__).parent / "tutorial.py.txt").read_text()

PRINTED = """\
tensor([[1., 1.],
        [1., 1.]], requires_grad=True)
tensor([[3., 3.],
        [3., 3.]], grad_fn=<AddBackward0>)
<AddBackward0 object at 0x...>
tensor([[27., 27.],
        [27., 27.]], grad_fn=<MulBackward0>) tensor(27., grad_fn=<MeanBackward1>)
False
True
<SumBackward0 object at 0x...>
tensor([[4.5000, 4.5000],
        [4.5000, 4.5000]])
"""


def run(capsys):
    scope = {"torch": gradcore}
    exec(LISTING, scope)
    printed = re.sub(r"0x[0-9a-f]+", "0x...", capsys.readouterr().out)
    return scope, printed


def test_the_tutorial_prints_what_it_says(capsys):
    gradcore.manual_seed(0)
    _, printed = run(capsys)
    assert printed.startswith(PRINTED)
    rest = printed.removeprefix(PRINTED)
    number = r" *-?[0-9.]+(e[+-]\d\d)?"
    numbers = rf"\[{number},{number},{number}\]"
    assert re.fullmatch(
        rf"tensor\({numbers}, grad_fn=<MulBackward0>\)\ntensor\({numbers}\)\n"
        r"True\nTrue\nFalse\n",
        rest,
    ), rest


def test_its_vector_jacobian_product_is_exact(capsys):
    gradcore.manual_seed(1)
    scope, _ = run(capsys)
    x, y, v = scope["x"], scope["y"], scope["v"]
    factor = (y / x).detach().numpy()
    np.testing.assert_allclose(x.grad.numpy(), factor * v.numpy(), rtol=1e-6)
    assert y.detach().norm() >= 1000
