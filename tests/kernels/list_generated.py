"""Print the sources of the kernels that are generated from operations, as JSON; compile none.

Run in a process of its own: every generated function is put out of order.
"""

import itertools
import json
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE.parent, HERE.parent.parent, HERE.parent.parent / "kernels"):
    sys.path.insert(0, str(folder))

import numpy as np  # noqa: E402

import hostcuda  # noqa: E402

hostcuda.provide()

import gradcore as gd  # noqa: E402
from gradcore.errors import GradcoreError  # noqa: E402
from gradcore.op import OPS  # noqa: E402
from gradcore.samples import Maker  # noqa: E402
from gradcore_kernels import Elementwise, fusion  # noqa: E402

DTYPES = (gd.float16, gd.float32, gd.float64, gd.complex64, gd.complex128)
# Operations on arrays and metadata that are declared as elementwise.
WITH_METADATA = (
    "where",
    "clamp",
    "masked_fill",
    *(f"nn.functional.{n}" for n in ("logsigmoid", "softplus", "leaky_relu", "elu")),
)

F = gd.nn.functional
FUSED = (
    lambda x: gd.exp(x) * x,
    lambda x: (x.sum(0), x.prod(0), (x * x).sum(0) + 1),
    lambda x: (gd.amax(x, 1), gd.amin(x, 1), (x > 0).any(1), (x == 0).all(1)),
    lambda x: gd.softmax(x, 1) * (x != 0).sum(1, keepdim=True),
    lambda x: F.layer_norm(x, (3,)) + x.std(0),
    lambda x: (x.half() * 2, x.long() + 2**40, x > 1),
)

sources = {}


def note(kernel, ones=()):
    sources[kernel.source(ones=ones)] = kernel.name
    return lambda threads, args: None


def note_fused(kernel, *dtypes):
    sources[kernel.source({})] = kernel.name
    return lambda *args: None


def run_fused(function, dtype):
    x = gd.ones(200, 3, dtype=dtype, device="cuda")
    x.requires_grad_(dtype.is_inexact)
    try:
        y = gd.fuse(function)(x)
    except GradcoreError:
        return  # complex numbers have no order
    outputs = [t for t in (y if isinstance(y, tuple) else (y,)) if t.requires_grad]
    if outputs:
        gd.autograd.grad(outputs, x, [gd.ones_like(t) for t in outputs])


def cuda(value, dtype, wanted):
    """An argument of a sample; a real or complex array as a Tensor of that dtype."""
    if not isinstance(value, np.ndarray):
        return value
    t = gd.tensor(value, device="cuda")
    return t.to(dtype).requires_grad_(wanted) if value.dtype.kind in "fc" else t


def run(function, args, kwargs=None):
    """The forward and the backward, with an implicit and with a given cotangent."""
    try:
        y = function(*args, **(kwargs or {}))
        if y.requires_grad:
            if not y.is_complex():
                y.sum().backward(retain_graph=True)
            y.backward(gd.ones_like(y))
    except (GradcoreError, NotImplementedError, TypeError):
        pass  # complex numbers where they have no meaning; floor_divide has no derivative


def main():
    hostcuda.show()
    warnings.simplefilter("ignore")
    Elementwise._launcher, fusion.launcher = note, note_fused
    for function, dtype in itertools.product(FUSED, (*DTYPES, gd.int64)):
        run_fused(function, dtype)
    for dtype in DTYPES:
        ones = [gd.ones(2, 2, dtype=dtype, device="cuda") for _ in range(2)]
        for op in OPS.values():
            if op.kind == "unary":
                run(op.call, [ones[0].detach().requires_grad_()])
            elif op.kind in ("binary", "comparison"):
                for flags in itertools.product((True, False), repeat=2):
                    run(
                        op.call,
                        [x.detach().requires_grad_(f) for x, f in zip(ones, flags, strict=True)],
                    )
                x = ones[0].detach().requires_grad_()
                run(op.call, [x, x])
                for number in (2.0, 3.5):
                    run(op.call, [x, number])
                    run(op.call, [number, x])
        for path in WITH_METADATA:
            for sample in OPS[path].samples(Maker(path)):
                for wanted in (True, False):
                    args = [cuda(a, dtype, wanted) for a in sample.args]
                    run(OPS[path].call, args, sample.kwargs)
    json.dump(sources, sys.stdout)


if __name__ == "__main__":
    main()
