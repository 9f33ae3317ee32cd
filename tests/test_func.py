"""`gradcore.func` against `torch.func`: the same transforms, nestings and mistakes."""

import collections
import warnings

import numpy as np
import pytest

import gradcore as gd

pytestmark = pytest.mark.parity

X = np.array([0.3, 0.7, -0.2])
V = np.array([1.0, -2.0, 0.5])
Point = collections.namedtuple("Point", "a b")


def tensor(lib, values, **options):
    options.setdefault("dtype", lib.float64)
    return lib.tensor(values, **options)


def compare(here, there, what="result"):
    """The same containers, values, dtypes, and whether they require grad."""
    if type(there).__module__.startswith("torch"):
        assert isinstance(here, gd.Tensor), what
        assert tuple(here.shape) == tuple(there.shape), what
        assert str(here.dtype).rpartition(".")[2] == str(there.dtype).rpartition(".")[2], what
        a, b = here.detach().numpy(), there.detach().numpy(force=True)
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13, err_msg=what)
        # PyTorch's may have a history of zero gradients where one operand has no tangent.
        assert there.requires_grad or not here.requires_grad, what
    elif isinstance(there, dict):
        assert list(here) == list(there), what
        for key in there:
            compare(here[key], there[key], f"{what}[{key!r}]")
    elif isinstance(there, tuple | list):
        assert type(here) is type(there), what
        assert len(here) == len(there), what
        for number, (a, b) in enumerate(zip(here, there, strict=True)):
            compare(a, b, f"{what}[{number}]")
    else:
        assert here == there, what


def f(lib, x):
    return (x.sin() * x.exp()).sum() + x.prod()


def g(lib, x, y):
    return (x * y * x).sum() + y.cos().prod()


def vector(lib, x):
    return lib.softmax(x, 0) * x[0]


def tree(lib, p):
    return {"s": (p["w"] * p["b"][0]).sum(), "v": [p["w"].exp(), (p["b"][1] * p["w"],)]}


def params(lib):
    return {"w": tensor(lib, X), "b": (tensor(lib, V), tensor(lib, 2.0))}


def custom(lib):
    class Cube(lib.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x**2

        @staticmethod
        def jvp(ctx, t):
            (x,) = ctx.saved_tensors
            return t * 3 * x**2

    return Cube.apply


def no_grad_inside(lib, x):
    with lib.no_grad():
        c = x**2
    return (x - c).sum()


def buffered(lib, x):
    out = lib.zeros_like(x)
    out[0] = x[1] * x[2]
    out[1:] = x[:2].sin()
    out *= x
    return out


# each gets the library, and x and v
PROGRAMS = {
    "grad": lambda L, x, v: L.func.grad(lambda x: f(L, x))(x),
    "grad of two": lambda L, x, v: L.func.grad(lambda x, y: g(L, x, y), argnums=(0, 1))(x, v),
    "grad of the second": lambda L, x, v: L.func.grad(lambda x, y: g(L, x, y), argnums=1)(x, v),
    "grad of the last": lambda L, x, v: L.func.grad(lambda x, y: g(L, x, y), argnums=-1)(x, v),
    "grad by keyword": lambda L, x, v: L.func.grad(lambda x, *, y: g(L, x, y))(x, y=v),
    "grad of a tree": lambda L, x, v: L.func.grad(lambda p: tree(L, p)["s"])(params(L)),
    "grad of a named tuple": lambda L, x, v: L.func.grad(lambda p: (p.a * p.b).sum())(Point(x, v)),
    "grad with aux": lambda L, x, v: L.func.grad(
        lambda x: (f(L, x), {"x": x, "v": v}), has_aux=True
    )(x),
    "grad and value": lambda L, x, v: L.func.grad_and_value(lambda x: f(L, x))(x),
    "grad and value with aux": lambda L, x, v: L.func.grad_and_value(
        lambda x: (f(L, x), (x * 2, v)), has_aux=True
    )(x),
    "grad of what is unused": lambda L, x, v: L.func.grad(lambda x, y: x.sum(), argnums=(0, 1))(
        x, v
    ),
    "grad of a constant": lambda L, x, v: L.func.grad(lambda x: v.sum())(x),
    "vjp": lambda L, x, v: L.func.vjp(lambda x: vector(L, x), x)[1](v),
    "vjp value": lambda L, x, v: L.func.vjp(lambda x: vector(L, x), x)[0],
    "vjp with aux": lambda L, x, v: L.func.vjp(lambda x: (x * x, x + 1), x, has_aux=True)[::2],
    "vjp of a tree": lambda L, x, v: L.func.vjp(lambda p: tree(L, p), params(L))[1](
        {"s": tensor(L, 2.0), "v": [x, (v,)]}
    ),
    "vjp twice": lambda L, x, v: [
        pull(c) for pull in [L.func.vjp(lambda x, y: x * y, x, v)[1]] for c in (x, v)
    ],
    "jvp": lambda L, x, v: L.func.jvp(lambda x: vector(L, x), (x,), (v,)),
    "jvp of two": lambda L, x, v: L.func.jvp(lambda x, y: g(L, x, y), (x, v), (v, x)),
    "jvp of a tree": lambda L, x, v: L.func.jvp(lambda p: tree(L, p), (params(L),), (params(L),)),
    "jvp with aux": lambda L, x, v: L.func.jvp(
        lambda x: (x * x, [x + 1]), (x,), (v,), has_aux=True
    ),
    "jvp of a constant": lambda L, x, v: L.func.jvp(lambda x: (v * 1, x), (x,), (v,)),
    "jacrev": lambda L, x, v: L.func.jacrev(lambda x: vector(L, x))(x),
    "jacrev in chunks": lambda L, x, v: L.func.jacrev(lambda x: vector(L, x), chunk_size=2)(x),
    "jacrev of a tree": lambda L, x, v: L.func.jacrev(lambda p: tree(L, p))(params(L)),
    "jacrev of two": lambda L, x, v: L.func.jacrev(lambda x, y: (x * y, y), argnums=(0, 1))(x, v),
    "jacrev of a matrix": lambda L, x, v: L.func.jacrev(lambda x: L.outer(x, x) @ L.outer(v, x))(x),
    "jacrev with aux": lambda L, x, v: L.func.jacrev(lambda x: (x * x, x), has_aux=True)(x),
    "jacfwd": lambda L, x, v: L.func.jacfwd(lambda x: vector(L, x))(x),
    "jacfwd of a tree": lambda L, x, v: L.func.jacfwd(lambda p: tree(L, p))(params(L)),
    "jacfwd of two": lambda L, x, v: L.func.jacfwd(lambda x, y: (x * y, y), argnums=(0, 1))(x, v),
    "jacfwd of one in a tuple": lambda L, x, v: L.func.jacfwd(lambda x, y: x * y, argnums=(1,))(
        x, v
    ),
    "jacfwd with aux": lambda L, x, v: L.func.jacfwd(lambda x: (x * x, x), has_aux=True)(x),
    "hessian": lambda L, x, v: L.func.hessian(lambda x: f(L, x))(x),
    "hessian of two": lambda L, x, v: L.func.hessian(lambda x, y: g(L, x, y), argnums=(0, 1))(x, v),
    "linearize": lambda L, x, v: L.func.linearize(lambda x: vector(L, x), x)[0],
    "linearized": lambda L, x, v: L.func.linearize(lambda x: vector(L, x), x)[1](v),
    "linearized tree": lambda L, x, v: L.func.linearize(lambda p: tree(L, p), params(L))[1](
        params(L)
    ),
    "grad of grad": lambda L, x, v: L.func.grad(
        lambda x: L.func.grad(lambda x: f(L, x))(x).pow(2).sum()
    )(x),
    "third derivative": lambda L, x, v: L.func.grad(L.func.grad(L.func.grad(lambda x: x**5)))(x[0]),
    "jvp of grad": lambda L, x, v: L.func.jvp(L.func.grad(lambda x: f(L, x)), (x,), (v,)),
    "grad of jvp": lambda L, x, v: L.func.grad(
        lambda x: L.func.jvp(lambda x: f(L, x), (x,), (v,))[1]
    )(x),
    "jvp of jvp": lambda L, x, v: L.func.jvp(
        lambda x: L.func.jvp(lambda x: f(L, x), (x,), (v,))[1], (x,), (v,)
    ),
    "perturbations": lambda L, x, v: L.func.jvp(
        lambda x: L.func.jvp(lambda y: (y * x).sum(), (x,), (v,))[1], (x,), (v,)
    ),
    "cotangents": lambda L, x, v: L.func.grad(
        lambda x: L.func.grad(lambda y: (y * x * y).sum())(x).sum()
    )(x),
    "vjp in jvp": lambda L, x, v: L.func.jvp(
        lambda x: L.func.vjp(lambda x: vector(L, x), x)[1](x)[0], (x,), (v,)
    ),
    "vjp in grad": lambda L, x, v: L.func.grad(
        lambda x: L.func.vjp(lambda x: vector(L, x), x)[1](v)[0].sum()
    )(x),
    "forward over forward": lambda L, x, v: L.func.jacfwd(L.func.jacfwd(lambda x: f(L, x)))(x),
    "reverse over forward": lambda L, x, v: L.func.jacrev(L.func.jacfwd(lambda x: f(L, x)))(x),
    "reverse over reverse": lambda L, x, v: L.func.jacrev(L.func.jacrev(lambda x: f(L, x)))(x),
    "three deep": lambda L, x, v: L.func.jacfwd(L.func.jacrev(L.func.jacfwd(lambda x: f(L, x))))(x),
    "through a vector": lambda L, x, v: L.func.jacfwd(L.func.jacrev(lambda x: vector(L, x)))(x),
    "no_grad inside": lambda L, x, v: L.func.grad(lambda x: no_grad_inside(L, x))(x),
    "no_grad inside jvp": lambda L, x, v: L.func.jvp(lambda x: no_grad_inside(L, x), (x,), (v,)),
    "Function": lambda L, x, v: L.func.grad(lambda x: custom(L)(x).sum())(x),
    "jvp of Function": lambda L, x, v: L.func.jvp(custom(L), (x,), (v,)),
    "jvp of grad of Function": lambda L, x, v: L.func.jvp(
        L.func.grad(lambda x: custom(L)(x).sum()), (x,), (v,)
    ),
    "grad of jvp of Function": lambda L, x, v: L.func.grad(
        lambda x: L.func.jvp(custom(L), (x,), (v,))[1].sum()
    )(x),
    "buffer": lambda L, x, v: L.func.grad(lambda x: buffered(L, x).sum())(x),
    "jvp of a buffer": lambda L, x, v: L.func.jvp(lambda x: buffered(L, x), (x,), (v,)),
    "detached": lambda L, x, v: L.func.grad(lambda x: (x.detach() * x).sum())(x),
    "complex": lambda L, x, v: L.func.grad(lambda z: (z * z.conj()).real.sum())(x * (1 + 2j)),
    "complex jvp": lambda L, x, v: L.func.jvp(lambda z: (z * z).abs(), (x * (1 + 2j),), (v * 1j,)),
    "scalar": lambda L, x, v: L.func.jacrev(lambda x: x**2)(x[0]),
    "scalar forward": lambda L, x, v: L.func.jacfwd(lambda x: (x**2, x * v))(x[0]),
    "captured": lambda L, x, v: L.func.grad(lambda y: (y * y * x).sum())(v),
    "captured in jvp": lambda L, x, v: L.func.jvp(lambda y: y * y * x, (v,), (v,)),
    "captured and not differentiated": lambda L, x, v: L.func.grad(
        lambda y: (y * y).sum() + x.sum()
    )(v),
}


@pytest.mark.parametrize("history", ["none", "x", "v", "no_grad"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_transforms(torch, name, history):
    found = []
    for lib in (gd, torch):
        x = tensor(lib, X, requires_grad=history in ("x", "no_grad"))
        v = tensor(lib, V, requires_grad=history in ("v", "no_grad"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if history == "no_grad":
                with lib.no_grad():
                    found.append(PROGRAMS[name](lib, x, v))
            else:
                found.append(PROGRAMS[name](lib, x, v))
        assert x.grad is None
        assert v.grad is None
    compare(*found)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_history_outside_flows_through(torch, name):
    """What comes back can be differentiated, by the arguments and by what was captured."""
    found = []
    for lib in (gd, torch):
        x = tensor(lib, X, requires_grad=True)
        v = tensor(lib, V, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = PROGRAMS[name](lib, x, v)
        ys = [y for y in tensors_in(result) if y.requires_grad]
        if not ys:
            found.append([np.zeros(3)] * 2)
            continue
        grads = lib.autograd.grad(ys, [x, v], [lib.ones_like(y) for y in ys], allow_unused=True)
        found.append([np.zeros(3) if t is None else t.numpy(force=True) for t in grads])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def tensors_in(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [t for part in value for t in tensors_in(part)]
    return [value] if hasattr(value, "requires_grad") else []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_third_derivatives_through_vmaps_that_have_ended(count):
    """Cotangents of one value meet, of which one alone was followed through a vmap."""

    def third(first, second, x):
        grad = gd.autograd.grad
        (g,) = grad(first(x), x, create_graph=True)
        h = second(lambda u: grad(g * u, x, create_graph=True)[0])
        return grad(h, x)[0].item()

    weights, scales = tensor(gd, X), tensor(gd, V[:count])
    term = lambda x, w: ((w * x) * x + x * x * w) * x
    batched = third(
        lambda x: gd.vmap(lambda w: term(x, w))(weights).sum(),
        lambda f: gd.vmap(f)(scales).sum(),
        tensor(gd, 2.0, requires_grad=True),
    )
    looped = third(
        lambda x: sum(term(x, w) for w in X),
        lambda f: sum(f(u) for u in V[:count]),
        tensor(gd, 2.0, requires_grad=True),
    )
    assert batched == pytest.approx(looped)


BATCHES = {
    "grad": lambda L, F, x, v, e: F.vmap(F.grad(lambda x: f(L, x)))(e + x),
    "jvp": lambda L, F, x, v, e: F.vmap(lambda x, u: F.jvp(lambda x: vector(L, x), (x,), (u,)))(
        e + x, e
    ),
    "jvp along a batch": lambda L, F, x, v, e: F.vmap(
        lambda u: F.jvp(lambda x: vector(L, x), (x,), (u,))[1]
    )(e),
    "jvp at a batch": lambda L, F, x, v, e: F.vmap(
        lambda x: F.jvp(lambda x: vector(L, x), (x,), (v,))[1]
    )(e + x),
    "jvp of vmap": lambda L, F, x, v, e: F.jvp(F.vmap(lambda x: vector(L, x)), (e + x,), (e * v,)),
    "grad of vmap": lambda L, F, x, v, e: F.grad(lambda y: F.vmap(lambda x: f(L, x))(y).sum())(
        e + x
    ),
    "vjp": lambda L, F, x, v, e: F.vmap(F.vjp(lambda x: vector(L, x), x)[1])(e),
    "linearized": lambda L, F, x, v, e: F.vmap(F.linearize(lambda x: vector(L, x), x)[1])(e),
    "hessian": lambda L, F, x, v, e: F.vmap(F.hessian(lambda x: f(L, x)))(e + x),
    "jacrev": lambda L, F, x, v, e: F.vmap(F.jacrev(lambda x: vector(L, x)))(e + x),
    "jacfwd": lambda L, F, x, v, e: F.vmap(F.jacfwd(lambda x: vector(L, x)))(e + x),
    "jvp of grad": lambda L, F, x, v, e: F.vmap(
        lambda u: F.jvp(F.grad(lambda x: f(L, x)), (x,), (u,))[1]
    )(e),
    "grad of jvp": lambda L, F, x, v, e: F.vmap(
        lambda u: F.grad(lambda x: F.jvp(lambda x: f(L, x), (x,), (u,))[1])(x)
    )(e),
    "jvp of vmap of grad": lambda L, F, x, v, e: F.jvp(
        F.vmap(F.grad(lambda x: f(L, x))), (e + x,), (e * v,)
    ),
    "two vmaps of two jvps": lambda L, F, x, v, e: F.vmap(
        lambda u: F.vmap(
            lambda w: F.jvp(lambda x: F.jvp(lambda x: f(L, x), (x,), (w,))[1], (x,), (u,))[1]
        )(e)
    )(e),
    "buffer": lambda L, F, x, v, e: F.vmap(
        lambda u: F.jvp(lambda x: buffered(L, x), (x,), (u,))[1]
    )(e),
    "losses": lambda L, F, x, v, e: F.vmap(
        lambda u: F.jvp(
            lambda x: L.nn.functional.cross_entropy(
                L.nn.functional.layer_norm(L.outer(x, x), (3,), x, x), L.tensor([0, 2, 1])
            ),
            (x,),
            (u,),
        )[1]
    )(e),
}


@pytest.mark.parametrize("name", BATCHES)
def test_transforms_and_vmap(torch, name):
    found = []
    for lib in (gd, torch):
        x, v = tensor(lib, X), tensor(lib, V)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(BATCHES[name](lib, lib.func, x, v, tensor(lib, np.eye(3))))
    compare(*found)


# mistakes ----------------------------------------------------------------------------------------

MISTAKES = {
    "jvp of no tuple": lambda L, x: L.func.jvp(L.sin, x, x),
    "jvp of another structure": lambda L, x: L.func.jvp(L.sin, (x,), (x, x)),
    "jvp of another shape": lambda L, x: L.func.jvp(L.sin, (x,), (x[:1],)),
    "jvp of nothing": lambda L, x: L.func.jvp(L.sin, (), ()),
    "jvp of a number": lambda L, x: L.func.jvp(lambda x, y: x, (x, 3), (x, 3)),
    "jvp that gives a number": lambda L, x: L.func.jvp(lambda x: 3, (x,), (x,)),
    "jvp that gives nothing": lambda L, x: L.func.jvp(lambda x: (), (x,), (x,)),
    "vjp that gives nothing": lambda L, x: L.func.vjp(lambda x: (), x),
    "jvp without aux": lambda L, x: L.func.jvp(lambda x: x, (x,), (x,), has_aux=True),
    "strict jvp": lambda L, x: L.func.jvp(lambda y: x * 1, (x,), (x,), strict=True),
    "grad of a vector": lambda L, x: L.func.grad(L.sin)(x),
    "grad of a number": lambda L, x: L.func.grad(lambda x: 3)(x),
    "grad of a tuple": lambda L, x: L.func.grad(lambda x: (x.sum(), x.sum()))(x),
    "grad by what is not there": lambda L, x: L.func.grad(lambda x: x.sum(), argnums=1)(x),
    "grad by one before": lambda L, x: L.func.grad(lambda x: x.sum(), argnums=-2)(x),
    "grad by the same": lambda L, x: L.func.grad(lambda x: x.sum(), argnums=(0, 0))(x),
    "grad by nothing": lambda L, x: L.func.grad(lambda x: x.sum(), argnums=())(x),
    "grad by a name": lambda L, x: L.func.grad(lambda x: x.sum(), argnums="x")(x),
    "grad of an int": lambda L, x: L.func.grad(lambda x: x.sum())(3),
    "grad of whole numbers": lambda L, x: L.func.grad(lambda x: x.sum())(L.ones(2, dtype=L.int64)),
    "grad without aux": lambda L, x: L.func.grad(lambda x: x.sum(), has_aux=True)(x),
    "grad of complex": lambda L, x: L.func.grad(lambda x: (x * 1j).sum())(x),
    "cotangent of another shape": lambda L, x: L.func.vjp(L.sin, x)[1](x[:1]),
    "vjp that gives a number": lambda L, x: L.func.vjp(lambda x: 3, x),
    "vjp without aux": lambda L, x: L.func.vjp(lambda x: (x, x, x), x, has_aux=True),
    "jacrev that gives a number": lambda L, x: L.func.jacrev(lambda x: 3)(x),
    "jacfwd that gives a number": lambda L, x: L.func.jacfwd(lambda x: 3)(x),
    "jacrev to complex": lambda L, x: L.func.jacrev(lambda x: x * 1j)(x),
    "jacfwd to complex": lambda L, x: L.func.jacfwd(lambda x: x * 1j)(x),
    "jacrev of complex": lambda L, x: L.func.jacrev(lambda x: x * 2)(x * 1j),
    "jacfwd of complex": lambda L, x: L.func.jacfwd(lambda x: x * 2)(x * 1j),
    "no chunks": lambda L, x: L.func.jacrev(L.sin, chunk_size=0)(x),
    "no such randomness": lambda L, x: L.func.jacfwd(L.sin, randomness="some")(x),
    "linearized with more": lambda L, x: L.func.linearize(L.sin, x)[1](x, x),
    "linearized shape": lambda L, x: L.func.linearize(L.sin, x)[1](x[:1]),
    "linearized dtype": lambda L, x: L.func.linearize(L.sin, x)[1](x.float()),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(torch, name):
    raised = []
    for lib in (gd, torch):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                MISTAKES[name](lib, tensor(lib, X))
        except Exception as error:
            raised.append(error)
    assert len(raised) == 2
    here, there = raised
    assert isinstance(here, type(there)), raised
    texts = [str(e).replace("gradcore", "torch").rstrip(".") for e in raised]
    assert texts[0] == texts[1]
    assert gd.autograd.forward_ad.unpack_dual(gd.ones(2)).tangent is None


def test_cotangents_of_another_structure(torch):
    for lib in (gd, torch):
        _, pull = lib.func.vjp(lambda x: (x, {"s": x.sum()}), tensor(lib, X))
        with pytest.raises(RuntimeError, match="Expected pytree structure of cotangents to be the"):
            pull(tensor(lib, X))


def test_an_error_inside_leaves_no_level():
    from gradcore import levels

    def wrong(x):
        raise ZeroDivisionError

    for call in (
        lambda: gd.func.jvp(wrong, (gd.ones(2),), (gd.ones(2),)),
        lambda: gd.func.grad(wrong)(gd.ones(2)),
        lambda: gd.func.jacfwd(wrong)(gd.ones(2)),
    ):
        with pytest.raises(ZeroDivisionError):
            call()
        assert levels.levels() == ()
        assert gd.is_grad_enabled()


# functional_call ---------------------------------------------------------------------------------


class Layer:
    """What `functional_call` needs of a module, in either library."""

    def __init__(self, lib):
        self.lib = lib
        self.weight = tensor(lib, np.outer(X, V), requires_grad=True)
        self.bias = tensor(lib, V, requires_grad=True)
        self.inner = [tensor(lib, X, requires_grad=True)]
        self.tied = self.bias

    def named_parameters(self, remove_duplicate=True):
        found = {"weight": self.weight, "bias": self.bias, "inner.0": self.inner[0]}
        if not remove_duplicate:
            found["tied"] = self.tied
        return found.items()

    def __call__(self, x, scale=1.0):
        return (self.weight @ x + self.bias + self.tied) * scale * self.inner[0]


def test_functional_call_exchanges_parameters():
    layer = Layer(gd)
    before = dict(layer.named_parameters())
    x = tensor(gd, X)
    other = {"weight": gd.zeros(3, 3, dtype=gd.float64), "bias": x, "inner.0": x}
    y = gd.func.functional_call(layer, other, (x,), {"scale": 2.0})
    np.testing.assert_allclose(y.numpy(), 4 * X * X)
    assert all(
        a is b
        for a, b in zip(before.values(), dict(layer.named_parameters()).values(), strict=True)
    )
    assert layer.tied is layer.bias
    y = gd.func.functional_call(layer, [{"bias": x}, {"inner.0": x}], x, tie_weights=False)
    np.testing.assert_allclose(y.detach().numpy(), (np.outer(X, V) @ X + X + V) * X)


def test_functional_call_is_differentiable():
    layer = Layer(gd)
    values = {name: t.detach() for name, t in layer.named_parameters()}
    x = tensor(gd, X)
    found = gd.func.grad(lambda p: gd.func.functional_call(layer, p, x).sum())(values)
    layer(x).sum().backward()
    for name, t in layer.named_parameters():
        np.testing.assert_allclose(found[name].numpy(), t.grad.numpy())
        assert not found[name].requires_grad


def test_functional_call_puts_parameters_back_after_an_error():
    layer = Layer(gd)
    before = layer.weight
    with pytest.raises(RuntimeError):
        gd.func.functional_call(layer, {"weight": gd.ones(2)}, gd.ones(5))
    assert layer.weight is before


def test_functional_call_of_modules_of_pytorch_has_the_same_errors(torch):
    module = torch.nn.Linear(3, 2)
    layer = Layer(gd)
    x = tensor(gd, X)
    for lib, call, other in ((gd, layer, x), (torch, module, torch.ones(3))):
        run = lib.func.functional_call
        for wrong, text in (
            (3, "to be a dict, or a list/tuple of dicts, but got <class 'int'>"),
            ([3], "Expected all elements of parameter_and_buffer_dicts to be dictionaries"),
            (({"bias": other}, {"bias": other}), "appeared in multiple dictionaries"),
        ):
            with pytest.raises(ValueError, match=text):
                run(call, wrong, other)
        with pytest.raises(RuntimeError, match=r"Unexpected key\(s\): 'no'.\n\tMissing key"):
            run(call, {"no": other}, other, strict=True)
    with pytest.raises(
        ValueError, match=r"multiple values for keys .'bias', 'tied'., which are tied"
    ):
        gd.func.functional_call(layer, {"bias": x, "tied": x * 2}, x)


def test_functional_call_of_a_function_of_parameters():
    p = {"w": tensor(gd, X), "b": [tensor(gd, V)]}
    y = gd.func.functional_call(
        lambda p, x, k: p["w"] * x + p["b"][0] * k, p, tensor(gd, X), {"k": 2}
    )
    np.testing.assert_allclose(y.numpy(), X * X + 2 * V)


# of gradcore alone -------------------------------------------------------------------------------


def test_forward_in_forward_through_a_function():
    cube = custom(gd)
    x, v = tensor(gd, X), tensor(gd, V)
    _, second = gd.func.jvp(lambda x: gd.func.jvp(cube, (x,), (v,))[1], (x,), (v,))
    np.testing.assert_allclose(second.numpy(), 6 * X * V * V)


def test_linearize_inside_jvp():
    x, v = tensor(gd, X), tensor(gd, V)
    y, slope = gd.func.jvp(lambda x: gd.func.linearize(gd.sin, x)[1](v), (x,), (v,))
    np.testing.assert_allclose(y.numpy(), np.cos(X) * V)
    np.testing.assert_allclose(slope.numpy(), -np.sin(X) * V * V)


def test_empty_inputs_and_outputs():
    e = gd.zeros(0, dtype=gd.float64)
    assert gd.func.jacrev(lambda x: x.sin())(e).shape == (0, 0)
    assert gd.func.jacfwd(lambda x: x.sin())(e).shape == (0, 0)
    assert gd.func.jacfwd(lambda x: x.sum())(e).shape == (0,)
    assert gd.func.jacrev(lambda x: x.sum())(e).shape == (0,)
    assert gd.func.hessian(lambda x: (x * x).sum())(e).shape == (0, 0)
    assert gd.func.grad(lambda x: x.sum())(e).shape == (0,)


def test_results_hold_no_graph_of_the_transform():
    x = tensor(gd, X)
    for result in (
        gd.func.grad(lambda x: (x * x).sum())(x),
        gd.func.grad_and_value(lambda x: (x * x).sum())(x)[1],
        gd.func.vjp(gd.sin, x)[0],
        gd.func.hessian(lambda x: (x * x).sum())(x),
    ):
        assert result.grad_fn is None
        assert not result.requires_grad


def test_the_name_of_the_function_stays():
    def loss(x):
        """Of x."""
        return x.sum()

    for transform in (gd.func.grad, gd.func.grad_and_value, gd.func.jacrev, gd.func.jacfwd):
        assert transform(loss).__name__ == "loss"
        assert transform(loss).__doc__ == "Of x."


def test_random_directions_of_a_network(torch):
    """A two-layer network: all modes give one Hessian-vector product, PyTorch's."""
    random = np.random.default_rng(0)
    arrays = [random.normal(size=s) for s in ((4, 3), (4,), (2, 4), (2,))]
    tangents = [random.normal(size=a.shape) for a in arrays]
    inputs, labels = random.normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])

    def products(lib):
        F = lib.nn.functional
        ps = [tensor(lib, a) for a in arrays]
        ts = [tensor(lib, a) for a in tangents]
        x, target = tensor(lib, inputs), lib.tensor(labels)

        def loss(w1, b1, w2, b2):
            return F.cross_entropy(F.linear(lib.tanh(F.linear(x, w1, b1)), w2, b2), target)

        every = tuple(range(4))
        yield lib.func.jvp(lib.func.grad(loss, every), tuple(ps), tuple(ts))[1]
        yield lib.func.grad(lambda *ps: lib.func.jvp(loss, ps, tuple(ts))[1], every)(*ps)

    found = [*products(gd), *products(torch)]
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)
