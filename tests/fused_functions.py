"""Functions to be fused, and what compares them with themselves."""

import numpy as np

import gradcore as gd
from gradcore.tensor import Tensor

F = gd.nn.functional


# comparing --------------------------------------------------------------------------------------


def tensors_of(value, device="cpu"):
    """An argument of a sample, with arrays as Tensors of their own."""
    if isinstance(value, np.ndarray):
        return gd.tensor(value.copy(), device=device, requires_grad=value.dtype.kind in "fc")
    if isinstance(value, list | tuple):
        return type(value)(tensors_of(v, device) for v in value)
    return value


def leaves_of(value):
    if isinstance(value, Tensor):
        return [value]
    return [t for v in value for t in leaves_of(v)] if isinstance(value, list | tuple) else []


def cotangents(outputs, rng, requires_grad=False):
    def draw(y):
        real, imaginary = rng.normal(size=(2, *y.shape))
        values = real + 1j * imaginary if y.is_complex() else real
        return gd.tensor(values, dtype=y.dtype, device=y.device, requires_grad=requires_grad)

    return [draw(y) for y in outputs]


def derivatives(function, args, kwargs=None, device="cpu"):
    """The results of a call, with its first and second gradients."""
    rng = np.random.default_rng(1)
    args = [tensors_of(a, device) for a in args]
    kwargs = {k: tensors_of(v, device) for k, v in (kwargs or {}).items()}
    y = function(*args, **kwargs)
    found = list(y) if isinstance(y, list | tuple) else [y]
    wanted = [t for t in leaves_of([args, list(kwargs.values())]) if t.requires_grad]
    outputs = [t for t in found if isinstance(t, Tensor) and t.requires_grad]
    if not (outputs and wanted):
        return found
    v = cotangents(outputs, rng, True)
    plain = gd.autograd.grad(outputs, wanted, v, retain_graph=True, allow_unused=True)
    first = gd.autograd.grad(outputs, wanted, v, create_graph=True, allow_unused=True)
    found += [*plain, *first]
    again = [d for d in first if d is not None and d.requires_grad]
    if again:
        found += gd.autograd.grad(again, [*wanted, *v], cotangents(again, rng), allow_unused=True)
    return found


def assert_same(fused, plain, rtol=1e-11):
    assert len(fused) == len(plain)
    for a, b in zip(fused, plain, strict=True):
        assert (a is None) == (b is None)
        if not isinstance(b, Tensor):
            assert a == b
            continue
        assert a.dtype is b.dtype
        assert a.shape == b.shape
        assert a.requires_grad == b.requires_grad
        expected = b.detach().cpu().numpy()
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
        np.testing.assert_allclose(a.detach().cpu().numpy(), expected, rtol=rtol, atol=rtol * scale)


# functions -------------------------------------------------------------------------

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(7, 5, 6)), RNG.normal(size=(5, 6))
C, V = RNG.normal(size=(7, 1, 6)), RNG.normal(size=6)
Z = A + 1j * A[::-1]

CASES = {
    "chain": (lambda x, w: gd.sin(x) * w + gd.exp(x) / (1 + x * x), A, B),
    "sum of all": (lambda x, w: (x * w).sum(), A, B),
    "sum over the first": (lambda x, w: (x * w).sum(0), A, B),
    "sum that is used": (lambda x, w: (x * w).sum(1, keepdim=True) * x, A, C),
    "difference of sums": (lambda x, w: (x * w).sum(0) - (x * x).sum(0) + x.mean(0), A, B),
    "sum with an end": (lambda x, w: gd.sqrt((x * w * w * x).sum((0, 2)) + 50), A, V),
    "softmax": (lambda x: gd.softmax(x, -1), A),
    "softmax of the middle": (lambda x: gd.softmax(x, 1), A),
    "log_softmax": (lambda x: gd.log_softmax(x, 0), A),
    "logsumexp": (lambda x: gd.logsumexp(x, 2) + gd.logsumexp(x, (0, 1)).sum(), A),
    "norm": (lambda x: x / x.norm(dim=1, keepdim=True), A),
    "std": (lambda x: (x - x.mean(0)) / x.std(0), A),
    "var": (lambda x: x.var(1) * 2 + x.sum(1), A),
    "amax": (lambda x: x - x.amax(1, True) + x.max() * x.min(), A),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (6,), w, b), A, V, V + 1),
    "rms_norm": (lambda x, w: F.rms_norm(x, (6,), w), A, V),
    "batch norm": (
        lambda x: (x - x.mean((0, 2), True)) / gd.sqrt(x.var((0, 2), keepdim=True) + 1e-5),
        A,
    ),
    "where": (lambda x, w: gd.where(x > 0, x * w, w - x) + gd.where(x > 1, 0.0, x), A, B),
    "clamp": (lambda x: gd.clamp(x, -0.5, 0.5) * x, A),
    "activations": (
        lambda x: gd.sigmoid(x) * gd.tanh(x) + F.softplus(x) + F.silu(x) + F.elu(x) + F.gelu(x),
        A,
    ),
    "powers": (lambda x: x**2 + x**3 - 2**x + abs(x) ** 0.3 + (x * x) ** -1.5, A),
    "slices": (lambda x: x[1:] - x[:-1], A),
    "slices of an expression": (lambda x: (x * x)[1:, :, 2] - (x * x)[:-1, :, 0], A),
    "backwards": (lambda x: gd.flip(x, (0, 2)) * x, A),
    "an element": (lambda x: x[0, 0] * x[1, 2, 3], A),
    "permuted": (lambda x: (x * 2).permute(2, 0, 1) + x.permute(2, 0, 1), A),
    "transposed and reduced": (lambda x, w: (x.permute(2, 1, 0) * w.T[:, :, None]).sum(0), A, B),
    "flattened": (lambda x, w: (x * w).reshape(-1) * 2, A, B),
    "flattened and reduced": (lambda x: (x * x).flatten(1).sum(1), A),
    "reshaped and reduced": (lambda x: (x * x).reshape(35, 6).sum(0), A),
    "reshaped so that axes split": (lambda x: (x * x).reshape(7, 10, 3).sum(1), A),
    "reshaped, with another": (lambda x, v: (x * x).reshape(35, 6) * v + x.reshape(35, 6), A, V),
    "unsqueezed": (lambda x: (x * x).sum(1).unsqueeze(1) * x, B),
    "outer": (lambda x, y: x.unsqueeze(1) * y.unsqueeze(0), V, V + 1),
    "expanded and reduced": (
        lambda x: (x.expand(4, 6) * 2).sum(0) + x.expand(4, 6).sum(1).sum(),
        V,
    ),
    "expanded": (lambda x: (2 * x).expand(4, 6), V),
    "mean": (lambda x: x.mean((0, 1)) + x.mean(), A),
    "prod": (lambda x: x.prod(1), A),
    "cat": (lambda x: gd.cat([x * 2, x], 1), A),
    "stack": (lambda x, w: gd.stack([x, w * 2], -1), B, B + 1),
    "0-d": (lambda x: x * x + gd.sin(x), np.array(0.3)),
    "0-d and more": (lambda x, y: x * y + x, A, np.array(0.3)),
    "integers": (lambda x, i: x * i + i // 2, A, RNG.integers(0, 5, (5, 6))),
    "bools": (lambda x, m: gd.where(m, x, 0.0) * 2 + (~m | (x > 1)), A, A > 0),
    "counts": (lambda x: x * (x > 0).sum(1, keepdim=True), A),
    "truths": (lambda x: gd.where((x > 2).any(2, keepdim=True), x, x * x), A),
    "complex": (lambda z: gd.exp(z) * z.conj() + z / (2 + z * z.conj()), Z),
    "complex reduced": (lambda z: (z * z).abs().sum() + gd.real(z).mean() + z.sum().abs(), Z),
    "real and complex": (lambda x, z: (x * z).sum(1), A, Z),
    "constant": (lambda x: gd.zeros_like(x) + 1, A),
    "no slope": (lambda x: gd.floor(x) + 1, A),
    "NumPy's functions": (
        lambda x, w: np.sum(np.exp(-np.square(x)) * np.float64(2) + w, axis=1),
        A,
        B,
    ),
    "an array as an argument": (lambda x, w: np.multiply(w, x), A, B > 0),
    "empty": (lambda x: x * 2, A[:0]),
    "sum over nothing": (lambda x: (x * 2).sum(1) + 1, A[:, :0]),
    "a composite": (
        lambda x, y: F.mse_loss(x, y) + gd.mul_mean(x, y) + F.huber_loss(x, y),
        A,
        A + 1,
    ),
    "what waits for another": (lambda x: x.sum(0) * (x * x).sum(0).cumsum(0), B),
    "a view of sums of rows": (
        lambda x: x / (3 + gd.flip(gd.softmax(x, 1).amax(1, True), 0)),
        B,
    ),
    "cumsum": (lambda x: (x * 2).cumsum(1) * x, B),
}


UNARY = [
    gd.sin,
    gd.cos,
    gd.tanh,
    gd.sigmoid,
    gd.erf,
    gd.atan,
    gd.abs,
    gd.relu,
    gd.square,
    gd.neg,
    F.gelu,
    F.softplus,
    lambda x: gd.exp(-x * x),
    lambda x: gd.sqrt(x * x + 0.5),
    lambda x: gd.log1p(x * x),
    lambda x: 1 / (1.5 + gd.sin(x)),
    lambda x: x**3 * 0.1,
    lambda x: gd.clamp(x, -0.7, 0.9),
    lambda x: x - x.mean(-1, keepdim=True) if x.ndim else x,
    lambda x: x / (1 + x.norm(dim=0, keepdim=True)) if x.ndim else x,
    lambda x: gd.softmax(x, 0) if x.ndim else x,
]
BINARY = [
    gd.add,
    gd.sub,
    gd.mul,
    gd.maximum,
    gd.minimum,
    gd.hypot,
    gd.atan2,
    gd.logaddexp,
    lambda a, b: a / (2 + gd.cos(b)),
    lambda a, b: gd.where(a > b, a * b, b),
    lambda a, b: (abs(a) + 0.5) ** gd.sin(b),
]
SHAPES = [(3, 4, 5), (4, 5), (3, 1, 5), (1, 4, 1), (5,), ()]


def random_function(seed):
    """A function of several arrays made of random operations, and the arrays."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=SHAPES[k]) for k in rng.choice(len(SHAPES), 3, replace=False)]
    steps = [
        (rng.random(), rng.integers(len(UNARY)), rng.integers(len(BINARY)), rng.random(2))
        for _ in range(14)
    ]

    def function(*inputs):
        values = list(inputs)
        for kind, unary, binary, places in steps:
            a, b = [values[int(p * len(values))] for p in places]
            values.append(UNARY[unary](a) if kind < 0.5 else BINARY[binary](a, b))
        if seed % 3 == 0:
            return values[-1], values[-2].sum()
        return values[-1] + values[-2]

    return function, arrays
