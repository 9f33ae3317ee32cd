"""Pictures of the results, drawn by matplotlib without a display."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from gradcore_bench import operations
from gradcore_bench.libraries import CPU, CUDA
from gradcore_bench.overhead import BOTH, FORWARD, Row
from gradcore_bench.table import Cell
from gradcore_bench.workloads import WORKLOADS

# Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = {
    "gradcore": "#0072B2",
    "torch": "#D55E00",
    "numpy": "#009E73",
    "autograd": "#CC79A7",
    "jax": "#E69F00",
}
DASHES = {"cpu": (0, (1, 0)), "cuda": (0, (4, 2))}
MARKERS = {"cpu": "o", "cuda": "s"}
# Of a pass: marker, colour, and how far it lies above or below the line of its operation.
PASS_MARKS = {
    FORWARD: ("o", "#0072B2", -0.2),
    operations.BACKWARD: ("s", "#009E73", 0.0),
    BOTH: ("D", "#D55E00", 0.2),
    operations.STEP: ("^", "#CC79A7", 0.0),
}


def draw_table(cells: Sequence[Cell], path: Path) -> None:
    """Draws seconds per step over size, a panel for each workload, both axes logarithmic."""
    names = list(dict.fromkeys(cell.workload for cell in cells))
    figure = Figure(figsize=(3.4 * len(names) + 0.6, 3.8), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    drawn: dict[str, Any] = {}
    for panel, name in zip(panels, names, strict=True):
        for library, device in dict.fromkeys((c.library, c.device) for c in cells):
            points = [
                (c.size, c.timing.median)
                for c in cells
                if (c.workload, c.library, c.device) == (name, library, device) and c.timing
            ]
            if not points:
                continue
            (line,) = panel.plot(
                *zip(*points, strict=True),
                color=COLOURS[library],
                linestyle=DASHES[device],
                marker=MARKERS[device],
                markersize=4,
                zorder=3 if library == "gradcore" else 2,
            )
            drawn.setdefault(f"{library}, {device}", line)
        panel.set(xscale="log", yscale="log", title=WORKLOADS[name].title)
        panel.set_xlabel(WORKLOADS[name].unit)
        panel.grid(color="0.9", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("seconds per step")
    figure.legend(
        list(drawn.values()),
        list(drawn),
        loc="outside lower center",
        ncols=len(drawn),
        frameon=False,
    )
    figure.savefig(path, dpi=150)


def draw_overhead(rows: Sequence[Row], path: Path) -> None:
    """Draws the time of each row, a dot for each library, and gradcore's bound where one is."""
    titles = list(dict.fromkeys(row.title for row in rows))
    figure = Figure(figsize=(9, 0.22 * len(titles) + 1.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, phase in zip(panels, (FORWARD, BOTH), strict=True):
        shown = [row for row in rows if row.phase == phase]
        heights = [titles.index(row.title) for row in shown]
        for library in rows[0].timings:
            panel.scatter(
                [row.timings[library].median * 1e6 for row in shown],
                heights,
                color=COLOURS[library],
                label=library,
                zorder=3 if library == "gradcore" else 2,
            )
        bounds = [
            (row.budget * row.timings["torch"].median * 1e6, height)
            for row, height in zip(shown, heights, strict=True)
            if row.budget is not None and "torch" in row.timings
        ]
        if bounds:
            panel.scatter(
                *zip(*bounds, strict=True), marker="|", s=120, color="black", label="bound"
            )
        panel.set(xscale="log", title=phase, xlabel="µs, 2x2 float32, one thread")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_locator(NullLocator())
        panel.grid(color="0.9", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(titles)), titles, fontsize=8)
    panels[0].set_ylim(len(titles) - 0.4, -0.6)
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.savefig(path, dpi=150)


def draw_operations(rows: Sequence[operations.Row], path: Path) -> None:
    """Draws what operations reach at their largest size, a mark for each pass.

    Left is the share of the bandwidth of a copy, right gradcore's time over that of PyTorch; a
    black line is a goal. Where a GPU was measured, the CPU is left out.
    """
    device = CUDA if any(row.device == CUDA for row in rows) else CPU
    largest: dict[str, int] = {}
    for row in rows:
        if row.device == device:
            largest[row.name] = max(row.size, largest.get(row.name, 0))
    shown = [row for row in rows if row.device == device and row.size == largest[row.name]]
    titles = list(dict.fromkeys(row.label for row in shown))
    figure = Figure(figsize=(10, 0.3 * len(titles) + 1.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    shares = [(row.share, row.goal.share) for row in shown]
    ratios = [(row.ratio("torch"), row.goal.ratio) for row in shown]
    marks: dict[str, Any] = {}
    for panel, values in zip(panels, (shares, ratios), strict=True):
        for row, (value, bound) in zip(shown, values, strict=True):
            marker, colour, lift = PASS_MARKS[row.phase]
            at = titles.index(row.label) + lift
            if value is not None:
                (marks[row.phase],) = panel.plot(value, at, marker, color=colour, markersize=5)
            if bound is not None:
                (marks["goal"],) = panel.plot(bound, at, "|", color="black", markersize=7)
        panel.axvline(1, color="0.6", linewidth=0.8, zorder=1)
        panel.grid(color="0.9", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set(xlabel="copy's time / gradcore's time (more is better)", xlim=(0, None))
    panels[1].set(xlabel="gradcore's time / PyTorch's time (less is better)", xscale="log")
    panels[1].xaxis.set_major_formatter("{x:g}")
    panels[0].set_yticks(range(len(titles)), titles, fontsize=8)
    panels[0].set_ylim(len(titles) - 0.4, -0.6)
    order = [name for name in (*PASS_MARKS, "goal") if name in marks]
    figure.legend(
        [marks[name] for name in order],
        order,
        loc="outside lower center",
        ncols=max(len(order), 1),
        frameon=False,
    )
    figure.suptitle(f"float32 on {device.upper()}, median", fontsize=10)
    figure.savefig(path, dpi=150)
