"""The table: each workload at each size, on each device, in each library."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradcore_bench.libraries import Gradcore, Library
from gradcore_bench.timing import Clock, Timing, interleave
from gradcore_bench.workloads import Workload

MEMORY_SHARE = 0.5  # of what is free, for all libraries together


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: seconds per step, or why there is none.

    Attributes:
        workload: its name.
        size: its `n`.
        unit: what `n` counts.
        library: that ran it.
        device: it ran on.
        timing: seconds per step; None if the cell was skipped.
        traffic: the bytes a step must move; None if arithmetic is the limit.
        skipped: why, or empty.
    """

    workload: str
    size: int
    unit: str
    library: str
    device: str
    timing: Timing | None
    traffic: int | None
    skipped: str = ""

    @property
    def bandwidth(self) -> float | None:
        """The bytes a step must move over its time, GB/s (10⁹ bytes per second)."""
        if self.timing is None or self.traffic is None:
            return None
        return self.traffic / self.timing.median * 1e-9


def chosen_sizes(workload: Workload, sizes: Sequence[str | int]) -> list[int]:
    """The workload's own `n` for each name, and the numbers as they are; ascending."""
    return sorted({workload.sizes[size] if isinstance(size, str) else size for size in sizes})


def measure(
    gradcore: Gradcore,
    peers: Sequence[Library],
    workloads: Sequence[Workload],
    devices: Sequence[str],
    sizes: Sequence[str | int],
    *,
    budget: float,
    advance: Callable[[str], object] = lambda label: None,
) -> list[Cell]:
    """Times every cell; the libraries on one device take turns.

    Args:
        gradcore: the library under test.
        peers: those to compare it with, where they run on the device.
        workloads: rows.
        devices: columns.
        sizes: names of sizes, or numbers in each workload's unit.
        budget: seconds a cell.
        advance: called before each group of cells with what comes.
    """
    cells = []
    for workload in workloads:
        for n in chosen_sizes(workload, sizes):
            for device in devices:
                advance(f"{workload.title}, {workload.unit} {n:,}, {device}")
                present = [peer for peer in peers if device in peer.devices]
                cells += _together(gradcore, present, workload, n, device, budget)
    return cells


def _together(
    gradcore: Gradcore,
    peers: Sequence[Library],
    workload: Workload,
    n: int,
    device: str,
    budget: float,
) -> list[Cell]:
    libraries = [gradcore, *peers]
    needed = workload.footprint(n) * len(libraries)
    free = gradcore.free_memory(device)
    timings: list[Timing | None] = [None] * len(libraries)
    skipped = ""
    if free is not None and needed > MEMORY_SHARE * free:
        skipped = f"needs {needed / 1e9:.1f} GB of {free / 1e9:.1f} GB free"
    else:
        try:
            clocks = [
                Clock("step()", now=library.now(device), step=library.step(workload, n, device))
                for library in libraries
            ]
            timings[:] = interleave(clocks, budget=budget)
        except MemoryError as error:
            skipped = str(error) or "out of memory"
    return [
        Cell(
            workload=workload.name,
            size=n,
            unit=workload.unit,
            library=library.name,
            device=device,
            timing=timing,
            traffic=workload.traffic(n),
            skipped=skipped,
        )
        for library, timing in zip(libraries, timings, strict=True)
    ]
