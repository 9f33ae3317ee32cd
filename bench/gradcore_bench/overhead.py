"""The overhead table: what an operation costs when its array has four elements.

Each row is a statement, run as it stands in gradcore and in PyTorch (`lib`), on one thread. On a
GPU the same statements measure how fast Python hands it work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradcore_bench.libraries import CPU, TorchLike
from gradcore_bench.timing import Clock, Timing, interleave
from gradcore_bench.workloads import WORKLOADS
from gradcore_bench.workloads.mlp import Mlp
from gradcore_bench.workloads.workload import Lib

FORWARD, BOTH = "forward", "forward and backward"

# `x` and `y` are 2x2 float32 leaves.
OPERATIONS = (
    "x * x",
    "x + y",
    "x * 2.0",
    "x / y",
    "x ** 2",
    "-x",
    "x @ y",
    "lib.exp(x)",
    "lib.log(x)",
    "lib.sqrt(x)",
    "lib.tanh(x)",
    "lib.sigmoid(x)",
    "lib.relu(x)",
    "lib.maximum(x, y)",
    "lib.where(mask, x, y)",
    "x.sum()",
    "x.sum(dim=0)",
    "x.mean()",
    "x.amax(dim=1)",
    "x.norm()",
    "lib.softmax(x, dim=1)",
    "x.reshape(4)",
    "x.transpose(0, 1)",
    "x[0]",
    "x[:, 1:]",
    "x[index]",
    "lib.cat((x, y))",
)

TUTORIAL = """\
x = lib.ones(2, 2, requires_grad=True)
y = x + 2
z = y * y * 3
out = z.mean()
out.backward()"""

VECTOR_JACOBIAN = """\
w.grad = None
y = w * 2
for _ in range(10):
    y = y * 2
y.backward(v)"""

PROGRAMS: Mapping[str, str] = {
    "tutorial program": TUTORIAL,
    "eleven `* 2`, backward(v)": VECTOR_JACOBIAN,
    f"MLP training step, batch {Mlp.sizes['small']}": "mlp_step()",
}

# gradcore's time over PyTorch's, at most, on the CPU.
BUDGETS: Mapping[tuple[str, str], float] = {
    ("x * x", FORWARD): 0.6,
    ("tutorial program", BOTH): 0.45,
    (f"MLP training step, batch {Mlp.sizes['small']}", BOTH): 0.6,
}


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds per execution in each library, and the most that gradcore's share may be."""

    title: str
    phase: str
    timings: Mapping[str, Timing]
    budget: float | None
    device: str = CPU

    def ratio(self, peer: str) -> float:
        """The time of gradcore over that of the peer."""
        return self.timings["gradcore"].median / self.timings[peer].median

    @property
    def within(self) -> bool:
        """Whether the row has no bound, has nothing to be compared with, or keeps its bound."""
        return (
            self.budget is None
            or "torch" not in self.timings
            or (self.ratio("torch") <= self.budget)
        )


def names(lib: Lib, device: str = CPU) -> dict[str, Any]:
    """What the statements refer to."""

    def leaf(*values: Any) -> Any:
        return lib.tensor(values, device=device, requires_grad=True)

    return {
        "lib": lib,
        "x": leaf((0.7, 1.3), (1.1, 0.9)),
        "y": leaf((1.2, 0.6), (0.8, 1.4)),
        "w": leaf(0.4, -1.2, 0.3),
        "v": lib.tensor([0.1, 1.0, 0.0001], device=device),
        "mask": lib.tensor([[True, False], [False, True]], device=device),
        "index": lib.tensor([1, 0], device=device),
        "mlp_step": WORKLOADS["mlp"].step(lib, Mlp.sizes["small"], device),
    }


def backward_of(operation: str) -> str:
    """The statement that runs an operation and its backward pass with the cotangent `g`."""
    return f"x.grad = y.grad = None\n({operation}).backward(g)"


def placed(program: str, device: str) -> str:
    """The program, making its Tensors on the device."""
    if device == CPU:
        return program
    return program.replace("requires_grad=True", f"device={device!r}, requires_grad=True")


def measure(
    libraries: Sequence[TorchLike],
    device: str = CPU,
    *,
    budget: float,
    advance: Callable[[str], object] = lambda label: None,
) -> list[Row]:
    """Times every row, the libraries in turn.

    Args:
        libraries: gradcore and its peers, those in PyTorch's spelling.
        device: where; peers that have none are left out.
        budget: seconds per row and library.
        advance: called before each row with its title.
    """
    libraries = [library for library in libraries if device in library.devices]
    known = {library.name: names(library.lib, device) for library in libraries}
    rows = []

    def row(title: str, phase: str, statement: str, **more: Mapping[str, Any]) -> None:
        clocks = [
            Clock(
                statement,
                now=library.now(device),
                **known[library.name],
                **more.get(library.name, {}),
            )
            for library in libraries
        ]
        timings = interleave(clocks, budget=budget)
        named = {library.name: timing for library, timing in zip(libraries, timings, strict=True)}
        bound = BUDGETS.get((title, phase)) if device == CPU else None
        rows.append(Row(title, phase, named, bound, device))

    for operation in OPERATIONS:
        advance(operation)
        row(operation, FORWARD, operation)
        cotangents = {
            name: {"g": values["lib"].ones_like(eval(operation, dict(values))).detach()}
            for name, values in known.items()
        }
        row(operation, BOTH, backward_of(operation), **cotangents)
    for title, program in PROGRAMS.items():
        advance(title)
        row(title, BOTH, placed(program, device))
    return rows
