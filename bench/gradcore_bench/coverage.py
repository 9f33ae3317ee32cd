"""Which of PyTorch's operations there are, and what each can do: a page made of the records.

What the page says of an operation was tried on its samples as the page was made. What PyTorch has
and gradcore has not is listed with the reason; a test compares both with PyTorch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final
from warnings import catch_warnings, simplefilter

import numpy as np

import gradcore as gd
from gradcore.autograd import forward_ad
from gradcore.op import ASPECTS, OPS, Op, declare_all
from gradcore.samples import Maker, Sample
from gradcore_bench.absent import ABSENT

__all__ = ["Row", "page", "rows"]

DTYPES: Final = {
    "b": "bool",
    "i": "int64",
    "h": "float16",
    "f": "float32",
    "d": "float64",
    "F": "complex64",
    "D": "complex128",
}
"""By the letter in the table; NumPy's letters where it has one of its own."""


OF_CASES: Final = (
    *("accepts", "refuses", "values", "values at", "ties", "derivative at", "gradient"),
)
"""The aspects of which the cases are dtypes or values, and not the numbers of samples."""


@dataclass(frozen=True)
class Row:
    """What one operation can do.

    Attributes:
        path: its name, as under `torch.`
        methods: Tensor's names for it, operators left out.
        in_place: whether Tensor has them with an underscore, too.
        numpy: NumPy's functions that run it.
        array_api: its name in the array API standard; "" if it has none.
        order: how often it was differentiated: 0, 1, or 2 for any number of times.
        forward: whether it has forward mode.
        dtypes: of DTYPES, those it takes.
        vmap: whether it runs within `vmap` whatever the arguments are.
        waits: whether the host waits for a device.
    """

    path: str
    methods: tuple[str, ...]
    in_place: bool
    numpy: tuple[str, ...]
    array_api: str
    order: int
    forward: bool
    dtypes: str
    vmap: bool
    waits: bool


def operations() -> dict[str, Op]:
    """The library's public operations by name."""
    declare_all()
    import_module("gradcore.nn.functional")  # it declares a few itself
    return {
        path: op
        for path, op in sorted(OPS.items(), key=lambda entry: entry[0].lower())
        if not path.rpartition(".")[2].startswith("_")  # what others are made of
        and op.call.__module__.startswith(gd.__name__)  # not a user's own
    }


def rows() -> Iterator[Row]:
    """What they can do."""
    for path, op in operations().items():
        samples = [] if op.samples is None else list(op.samples(Maker(path)))
        order, forward = (0, False) if not op.differentiable else _derivatives(op, samples)
        yield Row(
            path,
            tuple([name for name in op.methods if not name.startswith("__")]),
            op.in_place,
            tuple([name for name in op.numpy if _is_numpy(name)]),
            op.array_api or "",
            order,
            forward,
            _dtypes(op, samples),
            op.batched,
            op.waits,
        )


def _is_numpy(name: str) -> bool:
    """Whether it is a function of NumPy or SciPy, and not one of the Namespace's own."""
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is not None or (name.startswith("special.") and name[len("special.")] != "_")


# trying ------------------------------------------------------------------------------------------


def _derivatives(op: Op, samples: Sequence[Sample]) -> tuple[int, bool]:
    order, forward = 0, False
    for sample in samples:
        leaves, call = _prepared(op, sample, "float64", True)
        try:
            outputs = _recorded(call())
            if not leaves or not outputs:
                continue
            order = max(order, 1)
            grads = _gradients(outputs, leaves, create_graph=True)
            if grads:
                order = 2
                if any(g.requires_grad for g in grads):
                    _gradients([g for g in grads if g.requires_grad], leaves)
            with forward_ad.dual_level():
                _, call = _prepared(op, sample, "float64", False, tangents=True)
                found = [forward_ad.unpack_dual(y).tangent for y in _tensors(call())]
                forward = any(t is not None for t in found)
        except (RuntimeError, NotImplementedError, TypeError, ValueError):
            continue
        if order == 2 and forward:
            break
    return order, forward


def _gradients(outputs: Sequence[gd.Tensor], leaves: Any, **options: Any) -> list[gd.Tensor]:
    cotangents = [gd.ones_like(y) for y in outputs]
    found = gd.autograd.grad(outputs, leaves, cotangents, allow_unused=True, **options)
    return [g for g in found if g is not None]


def _dtypes(op: Op, samples: Sequence[Sample]) -> str:
    """The letters of the dtypes it takes; where samples have no real numbers, theirs."""
    arrays = [v for sample in samples for v in _arrays((sample.args, sample.kwargs))]
    if arrays and not any(v.dtype.kind == "f" for v in arrays):
        own = {v.dtype.name for v in arrays}
        return "".join([letter for letter, name in DTYPES.items() if name in own])
    return "".join([letter for letter in DTYPES if _takes(op, samples, DTYPES[letter])])


def _arrays(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        return [v for part in value for v in _arrays(part)]
    return [value] if isinstance(value, np.ndarray) else []


def _takes(op: Op, samples: Sequence[Sample], dtype: str) -> bool:
    for sample in samples:
        _, call = _prepared(op, sample, dtype, False)
        try:
            call()
        except Exception:
            continue
        return True
    return False


def _recorded(value: Any) -> list[gd.Tensor]:
    return [y for y in _tensors(value) if y.requires_grad]


def _tensors(value: Any) -> list[gd.Tensor]:
    if isinstance(value, gd.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [t for part in value for t in _tensors(part)]
    return []


def _prepared(
    op: Op, sample: Sample, dtype: str, requires_grad: bool, tangents: bool = False
) -> tuple[list[gd.Tensor], Any]:
    """The Tensors of a sample that require grad, and a call of the operation on it."""
    leaves: list[gd.Tensor] = []

    def given(value: Any) -> Any:
        if type(value) in (list, tuple):
            return type(value)([given(v) for v in value])
        if not isinstance(value, np.ndarray):
            return value
        floating = value.dtype.kind in "fc"
        if floating:
            with np.errstate(all="ignore"), catch_warnings():
                simplefilter("ignore")
                value = np.nan_to_num(value) if np.dtype(dtype).kind in "biu" else value
                value = value.astype(dtype)
        t = gd.tensor(value, requires_grad=requires_grad and value.dtype.kind in "fc")
        if t.requires_grad:
            leaves.append(t)
        if tangents and value.dtype.kind in "fc":
            t = forward_ad.make_dual(t, gd.ones_like(t))
        return t

    args = [given(value) for value in sample.args]
    kwargs = {name: given(value) for name, value in sample.kwargs.items()}

    def call() -> Any:
        with np.errstate(all="ignore"), catch_warnings():
            simplefilter("ignore")
            return op.tested(op.call)(*args, **kwargs)

    return leaves, call


# the page ----------------------------------------------------------------------------------------


def page() -> str:
    """The page, in Markdown."""
    found = list(rows())
    differentiable = sum(row.order > 0 for row in found)
    lines = [
        "# Operations",
        "",
        "Made of the operations' records by `gradcore-bench coverage`; a test compares it with "
        "PyTorch.",
        "",
        f"{len(found)} operations, {differentiable} of them differentiable. Their names are those "
        "under `torch.`; each runs on the CPU and on CUDA devices.",
        "",
        "- *Methods*: of Tensor; `_` after a name: also in place.",
        "- *Derivatives*: ∞, of any order; 1, of the first order; 0, none flow. *Forward*: forward "
        "mode.",
        f"- *Dtypes*: {', '.join(f'`{letter}` {name}' for letter, name in DTYPES.items())}.",
        "- *vmap*: within `gradcore.vmap`; *some*: not where values decide on shapes, or numbers "
        "are random.",
        "- *Waits*: the host waits for a device, to know a value.",
        "",
        "| Operation | Methods | NumPy, SciPy | Array API | Derivatives | Forward | Dtypes | vmap "
        "| Waits |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found:
        methods = ", ".join(f"{name}{'_' * row.in_place}" for name in row.methods)
        cells = (
            row.path,
            methods,
            ", ".join(row.numpy),
            row.array_api,
            ("0", "1", "∞")[row.order],
            "yes" if row.forward else "",
            row.dtypes,
            "yes" if row.vmap else "some",
            "yes" if row.waits else "",
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## Not as in PyTorch", "", *_departures(), "## Not there", ""]
    for reason, names in ABSENT.items():
        lines += [f"{reason}: " + ", ".join(f"`{name}`" for name in names) + ".", ""]
    return "\n".join(lines[:-1] if lines[-1] == "" else lines) + "\n"


def _departures() -> Iterator[str]:
    """A paragraph for each of the aspects in which operations differ from PyTorch's."""
    for aspect, meaning in ASPECTS.items():
        by_reason: dict[str, list[str]] = {}
        for path, op in operations().items():
            for key, reason in op.departs.items():
                name, _, cases = key.partition(": ")
                if name == aspect:
                    cases = f" ({cases})" if cases and aspect in OF_CASES else ""
                    by_reason.setdefault(reason, []).append(f"`{path}`{cases}")
        if by_reason:
            yield f"{meaning[0].upper()}{meaning[1:]}:"
            yield ""
            for reason, names in sorted(by_reason.items()):
                yield f"- {reason}: {', '.join(names)}"
            yield ""
