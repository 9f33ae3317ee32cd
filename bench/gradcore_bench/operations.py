"""Operations on large arrays: how much of the memory's bandwidth they use, and PyTorch's time.

On a GPU an operation that does little arithmetic cannot be faster than copying as many bytes as it
must move. That copy, by `cudaMemcpy`, is timed in turn with the operation; its time over that of
the operation is the share. A copy of n bytes moves 2 n: it reads and writes them.

Each operation is written once, in PyTorch's spelling, and runs on float32.
"""

import math
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from gradcore_bench import digits
from gradcore_bench.libraries import CPU, CUDA, Gradcore, TorchLike
from gradcore_bench.overhead import BOTH, FORWARD
from gradcore_bench.timing import BLOCK, Clock, Timing, interleave
from gradcore_bench.workloads import WORKLOADS
from gradcore_bench.workloads.workload import Array, Lib, normal

BACKWARD, STEP = "backward", "step"
PASSES = (FORWARD, BACKWARD, BOTH)
COPY = "copy"

ELEMENTS: Mapping[str, tuple[int, ...]] = {CPU: (2**20,), CUDA: (2**16, 2**20, 2**26)}
GOAL_SIZE = 2**26  # elements; the goals hold there, on a GPU
# Seconds between two waits for the device; one for the GPU takes some microseconds.
BLOCKS: Mapping[str, float] = {CPU: BLOCK, CUDA: 5e-3}
COLUMNS = 1024  # of the arrays that have rows
MEMORY_SHARES: Mapping[str, float] = {CPU: 0.5, CUDA: 0.8}  # of what is free, for all libraries
PERIOD = 2**16  # after which the numbers of a long array repeat
FLOAT32 = 4  # bytes

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """The least share of the copy's bandwidth, or the most of PyTorch's time."""

    share: float | None = None
    ratio: float | None = None


# By name, layout ("" is any) and pass.
GOALS: Mapping[tuple[str, str, str], Goal] = {
    ("mul_mean", "", FORWARD): Goal(share=0.85),
    ("mul_mean", "", BACKWARD): Goal(share=0.85),
    ("mul_mean", "", BOTH): Goal(ratio=0.5),
    ("norm", "", FORWARD): Goal(share=0.85),
    ("norm", "", BACKWARD): Goal(share=0.85),
    ("norm", "", BOTH): Goal(ratio=0.5),
    ("chain", "fused", FORWARD): Goal(share=0.85),
    ("chain", "fused", BACKWARD): Goal(share=0.85),
    ("chain", "fused", BOTH): Goal(ratio=0.25),
    ("softmax", "", FORWARD): Goal(share=0.75),
    ("softmax", "", BACKWARD): Goal(share=0.75),
    ("layer_norm", "", FORWARD): Goal(share=0.75),
    ("layer_norm", "", BACKWARD): Goal(share=0.75),
    ("digits", "", STEP): Goal(ratio=1.2),
}


class Operation(ABC):
    """Something to time.

    Attributes:
        name: as on the command line.
        title: as in the table.
        layout: which axes it reduces, or how it is written; empty if there is but one.
        phases: what of it is timed.
        fixed: its only size, if it is not run at the sizes that are asked for.
    """

    name: str
    title: str
    layout: str = ""
    phases: tuple[str, ...] = PASSES
    fixed: int | None = None

    @abstractmethod
    def steps(self, lib: Lib, n: int, device: str) -> Mapping[str, Call]:
        """For each phase the function to time, over about `n` elements on `device`."""

    def traffic(self, n: int, phase: str) -> int | None:
        """Bytes that any program must move, or None where memory is not the limit."""
        return None

    def flops(self, n: int, phase: str) -> int | None:
        """Floating-point operations, where they are the limit."""
        return None

    def footprint(self, n: int) -> int:
        """Bytes in use at the peak, about, in one library."""
        return 8 * FLOAT32 * n

    def goal(self, n: int, phase: str, device: str) -> Goal:
        """What gradcore should reach."""
        if device != CUDA or n != (self.fixed or GOAL_SIZE):
            return Goal()
        for layout in (self.layout, ""):
            if (self.name, layout, phase) in GOALS:
                return GOALS[self.name, layout, phase]
        return Goal()


def shape_of(n: int) -> tuple[int, int]:
    """Rows and columns of an array of about `n` elements."""
    columns = min(COLUMNS, math.isqrt(n))
    return n // columns, columns


def numbers(lib: Lib, seed: int, shape: tuple[int, ...], device: str) -> Any:
    """Normal numbers, the same in every library; made on the device from one period of them."""
    n = math.prod(shape)
    period = min(n, PERIOD)
    once = lib.tensor(normal(seed, period), device=device)
    return once.expand(-(-n // period), period).reshape(-1)[:n].reshape(shape)


Shapes = Callable[[int], tuple[tuple[int, ...], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differentiated(Operation):
    """A function of leaves: forward, recorded; backward, on a graph that is kept; and both.

    Attributes:
        function: of a library, the function of the leaves and the constants.
        shapes: of the leaves, from the number of elements.
        arrays: how many arrays of that many elements a forward pass must move, and a backward.
        constants: arrays that need no gradient, from the number of elements.
        alive: how many arrays are in use at the peak.
        products: `2 m^3` for square matrices of that many elements, in a forward pass.
    """

    name: str
    title: str
    function: Callable[[Lib], Callable[..., Any]]
    shapes: Shapes
    arrays: tuple[int, int] | None
    layout: str = ""
    phases: tuple[str, ...] = PASSES
    constants: Callable[[int], tuple[Array, ...]] = lambda n: ()
    alive: int = 8
    products: Callable[[int], int] | None = None

    def steps(self, lib: Lib, n: int, device: str) -> Mapping[str, Call]:
        """The passes; `backward` is `autograd.grad` for every leaf."""
        leaves = [
            numbers(lib, seed, shape, device).requires_grad_()
            for seed, shape in enumerate(self.shapes(n))
        ]
        constants = [lib.tensor(array, device=device) for array in self.constants(n)]
        function, grad = self.function(lib), lib.autograd.grad
        y = function(*leaves, *constants)
        g = numbers(lib, len(leaves), tuple(y.shape), device)
        passes: dict[str, Call] = {
            FORWARD: lambda: function(*leaves, *constants),
            BACKWARD: lambda: grad(y, leaves, g, retain_graph=True),
            BOTH: lambda: grad(function(*leaves, *constants), leaves, g),
        }
        return {phase: passes[phase] for phase in self.phases}

    def _sum(self, forward: int, backward: int, phase: str) -> int:
        return (phase != BACKWARD) * forward + (phase != FORWARD) * backward

    def traffic(self, n: int, phase: str) -> int | None:
        """Each array that a pass needs or makes, once."""
        if self.arrays is None:
            return None
        return FLOAT32 * math.prod(self.shapes(n)[0]) * self._sum(*self.arrays, phase)

    def flops(self, n: int, phase: str) -> int | None:
        """A backward pass multiplies twice as often."""
        if self.products is None:
            return None
        once = self.products(n)
        return self._sum(once, 2 * once, phase)

    def footprint(self, n: int) -> int:
        """Leaves, results, intermediates, gradients."""
        return self.alive * FLOAT32 * n


def _same(count: int) -> Shapes:
    return lambda n: (shape_of(n),) * count


def _flat(count: int) -> Shapes:
    return lambda n: ((n,),) * count


def _mul_mean(dim: int | None) -> Callable[[Lib], Callable[..., Any]]:
    def of(lib: Lib) -> Callable[..., Any]:
        if hasattr(lib, "mul_mean"):
            return lambda x, y: lib.mul_mean(x, y, dim=dim)
        return lambda x, y: (x * y).mean(dim=dim)

    return of


def _reduced(function: str, dim: int | None) -> Callable[[Lib], Callable[..., Any]]:
    def of(lib: Lib) -> Callable[..., Any]:
        reduce = getattr(lib, function)
        return lambda x: reduce(x, dim=dim)

    return of


def _chain(lib: Lib) -> Callable[..., Any]:
    tanh, sigmoid, exp = lib.tanh, lib.sigmoid, lib.exp

    def chain(x: Any, y: Any) -> Any:
        a = x * y + x
        b = tanh(a) * 0.5 + y
        c = sigmoid(b) * a - x
        return exp(c * -0.1) * y + 1.0

    return chain


def _fused_chain(lib: Lib) -> Callable[..., Any]:
    chain = _chain(lib)
    return lib.fuse(chain) if lib.__name__ == "gradcore" else chain  # PyTorch is timed eager


def _labels(n: int) -> tuple[Array, ...]:
    rows, classes = shape_of(n)
    return (np.random.default_rng(9).integers(classes, size=rows),)


def _layer_norm_shapes(n: int) -> tuple[tuple[int, ...], ...]:
    rows, columns = shape_of(n)
    return (rows, columns), (columns,), (columns,)


def _layer_norm(lib: Lib) -> Callable[..., Any]:
    layer_norm = lib.nn.functional.layer_norm
    return lambda x, weight, bias: layer_norm(x, weight.shape, weight, bias)


def _square(n: int) -> tuple[tuple[int, ...], ...]:
    return ((math.isqrt(n),) * 2,) * 2


class Adam(Operation):
    """A step of Adam over 20 parameters of `n / 20` elements each."""

    name, title, phases = "adam", "Adam, 20 parameters", (STEP,)
    COUNT: ClassVar = 20

    def steps(self, lib: Lib, n: int, device: str) -> Mapping[str, Call]:
        """`optimizer.step()`, the gradients being there."""
        shape = (max(n // self.COUNT, 1),)
        parameters = [numbers(lib, 0, shape, device).requires_grad_() for _ in range(self.COUNT)]
        for parameter in parameters:
            parameter.grad = numbers(lib, 1, shape, device)
        return {STEP: lib.optim.Adam(parameters).step}

    def traffic(self, n: int, phase: str) -> int:
        """Reads the parameter, its gradient and both means; writes all but the gradient."""
        return 7 * FLOAT32 * self.COUNT * max(n // self.COUNT, 1)


class DigitsStep(Operation):
    """A training step of the classifier of digits, on one batch."""

    name, title, phases = "digits", "digits training step", (STEP,)
    fixed = digits.BATCH

    def steps(self, lib: Lib, n: int, device: str) -> Mapping[str, Call]:
        """`zero_grad`, forward, backward, AdamW's `step`."""
        model = digits.Classifier(lib, device)
        optimizer = lib.optim.AdamW([*model.weights, *model.biases], lr=digits.LEARNING_RATE)
        images = numbers(lib, 0, (n, digits.LAYERS[0]), device)
        labels = np.random.default_rng(1).integers(digits.LAYERS[-1], size=n)
        targets = lib.tensor(labels, device=device)
        cross_entropy = lib.nn.functional.cross_entropy

        def step() -> None:
            optimizer.zero_grad()
            scores = model(images, training=True)
            cross_entropy(scores, targets, label_smoothing=digits.SMOOTHING).backward()
            optimizer.step()

        return {STEP: step}


class Tutorial(Operation):
    """The tutorial program, which makes its leaf."""

    name, title, phases = "tutorial", "tutorial program", (BOTH,)

    def steps(self, lib: Lib, n: int, device: str) -> Mapping[str, Call]:
        """The step of the workload of that name."""
        return {BOTH: WORKLOADS[self.name].step(lib, n, device)}

    def traffic(self, n: int, phase: str) -> int | None:
        """As the workload has it."""
        return WORKLOADS[self.name].traffic(n)


LAYOUTS: tuple[tuple[str, int | None], ...] = (
    ("all axes", None),
    ("last axis", 1),
    ("first axis", 0),
)

OPERATIONS: tuple[Operation, ...] = (
    *(
        Differentiated(
            name="mul_mean",
            title="mul_mean",
            layout=layout,
            function=_mul_mean(dim),
            shapes=_flat(2) if dim is None else _same(2),
            arrays=(2, 4),
        )
        for layout, dim in LAYOUTS
    ),
    *(
        Differentiated(
            name="norm",
            title="norm",
            layout=layout,
            function=_reduced("norm", dim),
            shapes=_flat(1) if dim is None else _same(1),
            arrays=(1, 2),
        )
        for layout, dim in LAYOUTS
    ),
    *(
        # The gradient is one number, or one for each row or column, expanded.
        Differentiated(
            name=name,
            title=name,
            layout=layout,
            function=_reduced(name, dim),
            shapes=_flat(1) if dim is None else _same(1),
            arrays=(1, 0),
            phases=(FORWARD,),
        )
        for name in ("sum", "mean")
        for layout, dim in LAYOUTS
    ),
    *(
        Differentiated(
            name="chain",
            title="chain of 12 operations",
            layout=layout,
            function=function,
            shapes=_flat(2),
            arrays=(3, 5),
            alive=20,
        )
        for layout, function in (("fused", _fused_chain), ("one by one", _chain))
    ),
    Differentiated(
        name="softmax",
        title="softmax",
        function=lambda lib: lambda x: lib.softmax(x, dim=1),
        shapes=_same(1),
        arrays=(2, 3),
    ),
    Differentiated(
        name="layer_norm",
        title="layer_norm",
        function=_layer_norm,
        shapes=_layer_norm_shapes,
        arrays=(2, 3),
    ),
    Differentiated(
        name="cross_entropy",
        title="cross_entropy",
        function=lambda lib: lib.nn.functional.cross_entropy,
        shapes=_same(1),
        arrays=(1, 2),
        constants=_labels,
    ),
    Differentiated(
        name="matmul",
        title="matmul, square",
        function=lambda lib: lib.matmul,
        shapes=_square,
        arrays=None,
        products=lambda n: 2 * math.isqrt(n) ** 3,
    ),
    Adam(),
    DigitsStep(),
    Tutorial(),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One pass of one operation at one size: seconds in each library, and of the copy.

    Attributes:
        name: of the operation.
        title: of the operation.
        layout: of the operation.
        phase: what was timed.
        size: in elements.
        device: it ran on.
        traffic: bytes that must move, or None.
        flops: floating-point operations, or None.
        timings: by library; with `copy`, copying as many bytes as must move.
        failures: by library, why there is no timing.
        goal: what gradcore should reach.
        skipped: why it was not run, or empty.
    """

    name: str
    title: str
    layout: str
    phase: str
    size: int
    device: str
    traffic: int | None
    flops: int | None
    timings: Mapping[str, Timing]
    failures: Mapping[str, str]
    goal: Goal
    skipped: str = ""

    @property
    def label(self) -> str:
        """The operation in words."""
        return f"{self.title}, {self.layout}" if self.layout else self.title

    @property
    def place(self) -> str:
        """The row in words."""
        return f"{self.label}, {self.size:,}, {self.phase}"

    @property
    def share(self) -> float | None:
        """The time of the copy over gradcore's."""
        return self._quotient(COPY, "gradcore")

    def ratio(self, peer: str) -> float | None:
        """The time of gradcore over the peer's."""
        return self._quotient("gradcore", peer)

    def _quotient(self, above: str, below: str) -> float | None:
        if above not in self.timings or below not in self.timings:
            return None
        return self.timings[above].median / self.timings[below].median

    @property
    def rate(self) -> float | None:
        """Bytes that must move, or else floating-point operations, per second of gradcore."""
        amount = self.traffic or self.flops
        if amount is None or "gradcore" not in self.timings:
            return None
        return amount / self.timings["gradcore"].median

    @property
    def missed(self) -> str:
        """Which goal was missed or could not be compared; empty if none."""
        if self.goal.share is not None and not (self.share or 0) >= self.goal.share:
            return f"share of the copy's bandwidth {_told(self.share)}, goal {self.goal.share:g}"
        ratio = self.ratio("torch")
        if self.goal.ratio is not None and (ratio is None or ratio > self.goal.ratio):
            return f"ratio to PyTorch's time {_told(ratio)}, goal {self.goal.ratio:g}"
        return ""

    def as_data(self) -> dict[str, Any]:
        """For JSON; times in seconds."""
        ratios = {peer: self.ratio(peer) for peer in self.timings if peer not in ("gradcore", COPY)}
        return {**asdict(self), "share": self.share, "rate": self.rate, "ratios": ratios}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `as_data`."""
        plain = {name: data[name] for name in cls.__slots__}
        plain["timings"] = {name: Timing(**timing) for name, timing in data["timings"].items()}
        plain["goal"] = Goal(**data["goal"])
        return cls(**plain)


def _told(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"


def measure(
    gradcore: Gradcore,
    peers: Sequence[TorchLike],
    operations: Sequence[Operation],
    devices: Sequence[str],
    elements: Sequence[int] | None,
    *,
    budget: float,
    advance: Callable[[str], object] = lambda label: None,
) -> Iterator[Row]:
    """Times every operation; the libraries on one device, and the copy, take turns.

    What fails is recorded in its row. Once a device no longer answers (a GPU after an invalid
    access does not), every further row on it says so.

    Args:
        gradcore: the library under test.
        peers: those to compare it with, where they run on the device.
        operations: what to time.
        devices: where.
        elements: sizes; None is `ELEMENTS` of each device.
        budget: seconds a pass and library.
        advance: called before each operation with what comes.
    """
    for device in devices:
        libraries = [gradcore, *(peer for peer in peers if device in peer.devices)]
        failed = ""
        for operation, n in runs(operations, device, elements):
            advance(f"{operation.title} {operation.layout}, {n:,}, {device}")
            steps: dict[str, Mapping[str, Call]] = {}
            failures = {library.name: failed for library in libraries if failed}
            skipped = "" if failed else _too_large(gradcore, operation, n, device, len(libraries))
            if not failed and not skipped:
                steps, failures = _prepare(libraries, operation, n, device)
            for phase in operation.phases:
                traffic = operation.traffic(n, phase)
                timings: dict[str, Timing] = {}
                try:
                    timings = _time(libraries, steps, phase, traffic, device, budget)
                except Exception as error:
                    failures["gradcore"] = explained(error)
                yield Row(
                    name=operation.name,
                    title=operation.title,
                    layout=operation.layout,
                    phase=phase,
                    size=n,
                    device=device,
                    traffic=traffic,
                    flops=operation.flops(n, phase),
                    timings=timings,
                    failures=dict(failures),
                    goal=operation.goal(n, phase, device),
                    skipped=skipped,
                )
            steps.clear()
            if failures and not failed:
                failed = _failure_of(gradcore, device)
            if not failed:
                for library in libraries:
                    library.release(device)


def runs(
    operations: Sequence[Operation], device: str, elements: Sequence[int] | None
) -> list[tuple[Operation, int]]:
    """The operations with their sizes, in the order in which they are timed."""
    sizes = ELEMENTS[device] if elements is None else elements
    return [
        (operation, n)
        for operation in operations
        for n in ([operation.fixed] if operation.fixed else sorted(set(sizes)))
    ]


def explained(error: Exception) -> str:
    """The type and the beginning of the text, in a line."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" ...")


def _failure_of(gradcore: Gradcore, device: str) -> str:
    """Why the device no longer answers, or nothing."""
    try:
        gradcore.now(device)()
    except Exception as error:
        return f"not run: the device had failed ({explained(error)})"
    return ""


def _too_large(
    gradcore: Gradcore, operation: Operation, n: int, device: str, libraries: int
) -> str:
    """Why the operation is not run at this size, or nothing."""
    needed, free = operation.footprint(n) * libraries, gradcore.free_memory(device)
    if free is None or needed <= MEMORY_SHARES[device] * free:
        return ""
    return f"needs {needed / 1e9:.1f} GB of {free / 1e9:.1f} GB free"


def _prepare(
    libraries: Sequence[TorchLike], operation: Operation, n: int, device: str
) -> tuple[dict[str, Mapping[str, Call]], dict[str, str]]:
    """The steps of each library, each run once, and by library why there are none."""
    steps, failures = {}, {}
    for library in libraries:
        try:
            made = operation.steps(library.lib, n, device)
            for step in made.values():
                step()  # compiles kernels
            library.now(device)()
            steps[library.name] = made
        except Exception as error:
            failures[library.name] = explained(error)
    return steps, failures


def _time(
    libraries: Sequence[TorchLike],
    steps: Mapping[str, Mapping[str, Call]],
    phase: str,
    traffic: int | None,
    device: str,
    budget: float,
) -> dict[str, Timing]:
    """Times a pass in every library that has its steps, and the copy; nothing if none has."""
    clocks = {
        library.name: Clock("step()", now=library.now(device), step=steps[library.name][phase])
        for library in libraries
        if library.name in steps
    }
    gradcore = libraries[0]
    if clocks and isinstance(gradcore, Gradcore):
        copy = gradcore.copy_step(traffic, device)
        if copy is not None:
            clocks[COPY] = Clock("step()", now=gradcore.now(device), step=copy)
    if not clocks:
        return {}
    found = interleave(list(clocks.values()), budget=budget, block=BLOCKS[device])
    return dict(zip(clocks, found, strict=True))
