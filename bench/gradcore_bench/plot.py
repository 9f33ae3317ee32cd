"""Pictures of the results, drawn by matplotlib without a display."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

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
