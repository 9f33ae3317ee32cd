"""Every operation on some 10^6 numbers, beside PyTorch and NumPy: one table made of the records.

The arguments are a sample of the record made larger: along all dimensions alike where that gives a
valid call, else along the first. What can be made no larger is timed as it is, and shown so.
"""

import functools
import math
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np

import gradcore as gd
from gradcore.op import OPS, Op, declare_all
from gradcore.samples import Maker, Sample, sample
from gradcore_bench.records import ours, theirs, torch_function
from gradcore_bench.timing import Clock, interleave

__all__ = ["BOUND", "ELEMENTS", "Row", "measure", "page", "paths"]

ELEMENTS: Final = 10**6
BOUND: Final = 3.0
"""The largest ratio to PyTorch's time that needs no explanation in the operation's docstring."""

_SLOWER: Final = re.compile(
    r"times as long|PyTorch[^.:]*(times|long|slow|passes)|(times|long|slow|passes)[^.:]*PyTorch"
)
"""A sentence of a docstring that says how long it takes beside PyTorch's."""

Maybe = float | None


@dataclass
class Row:
    """Seconds that one operation takes.

    Attributes:
        path: of the operation.
        elements: of its largest argument.
        forward: without recording; PyTorch's and NumPy's too, None where they have none.
        step: forward and backward; None where nothing is differentiable.
        explained: whether the docstring says why it is slow.
    """

    path: str
    elements: int
    forward: float
    torch_forward: Maybe = None
    numpy_forward: Maybe = None
    step: Maybe = None
    torch_step: Maybe = None
    explained: bool = False

    @property
    def ratio(self) -> Maybe:
        """Its time over PyTorch's, of a step where there is one."""
        if self.step is not None and self.torch_step:
            return self.step / self.torch_step
        return self.forward / self.torch_forward if self.torch_forward else None

    @property
    def missed(self) -> bool:
        """Whether it is slower than it should be, and does not say why."""
        large = self.elements >= ELEMENTS / 4
        return large and (self.ratio or 0.0) > BOUND and not self.explained

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _declare() -> None:
    declare_all()
    import_module("gradcore.nn.functional")  # it declares a few itself


def paths() -> list[str]:
    """The operations that are timed, in order."""
    _declare()
    return [
        path
        for path in sorted(OPS, key=str.lower)
        if not path.rpartition(".")[2].startswith("_") and OPS[path].samples is not None
    ]


def measure(torch: Any, chosen: Sequence[str], budget: float) -> Iterator[Row]:
    """Times operations in turn.

    Args:
        torch: the module, or None.
        chosen: of `paths`.
        budget: seconds for each measurement.
    """
    _declare()
    for path in chosen:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            row = _row(OPS[path], torch, budget)
        if row is not None:
            yield row


def _row(op: Op, torch: Any, budget: float) -> Row | None:
    there = None if torch is None else torch_function(torch, op.path)
    found = _largest(op, torch, there)
    if found is None:
        return None
    call, size = found
    args, kwargs, _ = ours(call, False)
    clocks = {"forward": _clock(lambda: op.call(*args, **kwargs))}
    if there is not None:
        targs, tkwargs, _ = theirs(torch, call, False)
        clocks["torch_forward"] = _clock(lambda: there(*targs, **tkwargs))
    plain = _numpy(op, call)
    if plain is not None:
        clocks["numpy_forward"] = _clock(plain)
    if op.differentiable:
        here = _step(gd, op.call, *ours(call))
        if here is not None:
            clocks["step"] = _clock(here)
            if there is not None:
                other = _step(torch, there, *theirs(torch, call))
                if other is not None:
                    clocks["torch_step"] = _clock(other)
    timings = interleave(list(clocks.values()), budget=budget, block=0.0)
    seconds = {name: t.median for name, t in zip(clocks, timings, strict=True)}
    explained = _SLOWER.search(" ".join((op.call.__doc__ or "").split())) is not None
    return Row(op.path, size, explained=explained, **seconds)


def _clock(run: Callable[[], Any]) -> Clock:
    return Clock("run()", run=run)


def _step(lib: Any, function: Callable[..., Any], args: Any, kwargs: Any, leaves: Any) -> Any:
    """Forward and backward to all leaves; None where there is nothing to differentiate."""
    leaves = [t for t in leaves if t.requires_grad]
    if not _runs(function, args, kwargs):
        return None  # it refuses to record
    outputs = [y for y in _flat(function(*args, **kwargs)) if getattr(y, "requires_grad", False)]
    if not leaves or not outputs:
        return None
    ones = [lib.ones_like(y) for y in outputs]

    def run() -> Any:
        ys = [y for y in _flat(function(*args, **kwargs)) if getattr(y, "requires_grad", False)]
        return lib.autograd.grad(ys, leaves, ones, allow_unused=True)

    return run if _runs(run, (), {}) else None


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [y for part in value for y in _flat(part)]
    return [value]


def _numpy(op: Op, call: Sample) -> Callable[[], Any] | None:
    """The call of NumPy's function, where it takes the same arguments."""
    for name, face in op.numpy.items():
        function: Any = np
        for part in name.split("."):
            function = getattr(function, part, None)
        if function is None or face is not op.call or call.kwargs:
            continue
        if _runs(function, call.args, {}):
            return functools.partial(function, *call.args)
    return None


# larger samples ----------------------------------------------------------------------------------


def _largest(op: Op, torch: Any, there: Any) -> tuple[Sample, int] | None:
    """The largest valid call, and the elements of its largest argument."""
    assert op.samples is not None
    best: tuple[Sample, int] | None = None
    for small in op.samples(Maker(op.path)):
        # Smaller ones first: results, or the time for them, may grow faster than the arguments.
        probes = zip(*[_grown(small, n) for n in (100, 1000, ELEMENTS // 30)], strict=True)
        for probe, call in (*zip(probes, _grown(small, ELEMENTS), strict=True), ((), small)):
            call = _single(call)
            size = _size(call)
            if best is not None and size <= best[1]:
                continue
            if not all(_is_moderate(op, torch, there, _single(each)) for each in probe):
                continue
            if _runs(op.call, *ours(call, False)[:2]) and (
                there is None or _runs(there, *theirs(torch, call, False)[:2])
            ):
                best = call, size
        if best is not None and best[1] >= ELEMENTS / 2:
            break
    return best


def _runs(function: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    try:
        function(*args, **kwargs)
    except Exception:
        return False
    return True


def _size(call: Sample) -> int:
    return max([v.size for v in _arrays((call.args, tuple(call.kwargs.values())))], default=0)


def _arrays(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [v for part in value for v in _arrays(part)]
    return [value] if isinstance(value, np.ndarray) else []


def _single(call: Sample) -> Sample:
    return _changed(call, lambda v: v)


def _is_moderate(op: Op, torch: Any, there: Any, probe: Sample) -> bool:
    """Whether a smaller call gives not much more than it is given, and soon, as do gradients."""
    args, kwargs, _ = ours(probe, False)
    begin = time.perf_counter()
    try:
        outputs = _flat(op.call(*args, **kwargs))
    except Exception:
        return False
    largest = max([y.numel() for y in outputs if isinstance(y, gd.Tensor)], default=0)
    if largest > 20 * _size(probe) or time.perf_counter() - begin > 0.05:
        return False
    begin = time.perf_counter()
    if op.differentiable:
        _step(gd, op.call, *ours(probe))
        if there is not None:
            _step(torch, there, *theirs(torch, probe))
    return time.perf_counter() - begin < 0.2


def _grown(call: Sample, elements: int) -> Iterator[Sample]:
    """Calls with some `elements` numbers, of which some may not be valid."""
    arrays = _arrays((call.args, tuple(call.kwargs.values())))
    largest = max(arrays, key=lambda v: v.size, default=None)
    if largest is None or not largest.ndim or not largest.size:
        return
    factor = elements / largest.size
    long = largest.ndim
    if len(arrays) == 1:  # of several, what is short in one may be long in another
        long = sum(n > 1 for n in largest.shape) or long
    each = max(round(factor ** (1 / long)), 1)
    first = max(round(factor), 1)

    def rows(v: Any) -> Any:
        return _repeated(v, (first, *(1,) * (v.ndim - 1)))

    def is_alike(v: Any) -> bool:
        return bool(v.ndim == largest.ndim and v.shape[0] == largest.shape[0])

    yield _changed(call, lambda v: _repeated(v, (each,) * v.ndim))
    yield _changed(call, lambda v: rows(v) if is_alike(v) else v)
    yield _changed(call, lambda v: rows(v) if v is largest else v)


def _changed(call: Sample, change: Callable[[Any], Any]) -> Sample:
    def leaf(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)([leaf(v) for v in value])
        if not isinstance(value, np.ndarray):
            return value
        value = change(value)
        return value.astype(np.float32) if value.dtype == np.float64 else value

    return sample(*leaf(call.args), **{name: leaf(v) for name, v in call.kwargs.items()})


def _repeated(v: Any, counts: tuple[int, ...]) -> Any:
    """An array repeated along its dimensions, those of length 1 alone where all are."""
    if math.prod(v.shape) != 1:
        counts = tuple([1 if n == 1 else count for n, count in zip(v.shape, counts, strict=True)])
    v = np.tile(v, counts)
    if v.dtype.kind != "f":
        return v
    # No two alike: ties would make sorting another problem.
    return v * (1 - 1e-3 * np.random.default_rng(0).random(v.shape))


# the page ----------------------------------------------------------------------------------------


def page(rows: Sequence[Row], environment: dict[str, Any]) -> str:
    """The table, in Markdown."""
    slow = [row for row in rows if row.missed]
    lines = [
        "# Every operation against PyTorch and NumPy",
        "",
        f"One thread of {environment['devices']['cpu']}, {environment['date'][:10]}, "
        + ", ".join(f"{name} {v}" for name, v in environment["versions"].items())
        + ". Made by `gradcore-bench ops --against torch`.",
        "",
        f"Arguments of some {ELEMENTS:,} float32 numbers, or as many as the *elements* say. Times "
        "in milliseconds, medians; *ratio*: gradcore's time over PyTorch's, of forward and "
        f"backward where there is one. Bold: above {BOUND:g}. {len(rows)} operations, "
        f"{sum(row.ratio is not None and row.ratio <= 1 for row in rows)} as fast as PyTorch or "
        f"faster, {len(slow)} above {BOUND:g} without a word in their documentation.",
        "",
        "| operation | elements | forward | PyTorch | NumPy | forward and backward | PyTorch "
        "| ratio |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        if (row.ratio or 0.0) > BOUND:
            ratio = f"**{ratio}**"
        times = (row.forward, row.torch_forward, row.numpy_forward, row.step, row.torch_step)
        cells = (row.path, f"{row.elements:,}", *[_milliseconds(t) for t in times], ratio)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _milliseconds(seconds: Maybe) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.3g}"
