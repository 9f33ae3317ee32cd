"""How results are shown and kept: rich tables, and plain data for JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradcore_bench import operations
from gradcore_bench import ops as every_operation
from gradcore_bench.libraries import CPU
from gradcore_bench.overhead import BOTH, FORWARD, Row
from gradcore_bench.table import Cell
from gradcore_bench.workloads import WORKLOADS

SCHEMA = 1
NONE = Text("-", style="dim")


def console() -> Console:
    """A console as wide as the terminal, or as wide as the widest table where there is none."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=160)


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def rate(row: operations.Row) -> str:
    """Bytes or floating-point operations per second, three digits and a unit."""
    if row.rate is None:
        return ""
    unit = "B/s" if row.traffic else "FLOP/s"
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if row.rate >= scale:
            return f"{row.rate / scale:.3g} {prefix}{unit}"
    return f"{row.rate:.3g} {unit}"


def ratio(value: float, budget: float | None = None) -> Text:
    """The time of gradcore over a peer's: green below one or within the budget, else red."""
    bound = 1.0 if budget is None else budget
    return Text(f"{value:.2f}", style="green" if value <= bound else "red")


def table(cells: Sequence[Cell], devices: Sequence[str]) -> Table:
    """The cells, a row for each workload and size, a group of columns for each device."""
    found = {(c.workload, c.size, c.library, c.device): c for c in cells}
    peers = list(dict.fromkeys(c.library for c in cells if c.library != "gradcore"))
    shown = Table(
        title="Forward and backward, median per step",
        caption="GB/s: bytes that must move, over the time."
        + (" In brackets: gradcore's time over the peer's." if peers else ""),
    )
    shown.add_column("workload")
    shown.add_column("size", justify="right")
    columns = [
        (peer, device)
        for device in devices
        for peer in ("gradcore", *peers)
        if any(c.library == peer and c.device == device for c in cells)
    ]
    for library, device in columns:
        head = device.upper() if library == "gradcore" else f"{library} {device}"
        shown.add_column(head, justify="right")
        if library == "gradcore":
            shown.add_column("GB/s", justify="right")
    if len(devices) > 1:
        shown.add_column(f"{devices[0].upper()} / {devices[1].upper()}", justify="right")
    last = ""
    for workload, size in dict.fromkeys((c.workload, c.size) for c in cells):
        if last not in ("", workload):
            shown.add_section()
        entry = WORKLOADS[workload]
        title = f"{entry.title}, {entry.unit}" if workload != last else ""
        row: list[str | Text] = [title, f"{size:,}"]
        last = workload
        for library, device in columns:
            cell = found[workload, size, library, device]
            ours = found[workload, size, "gradcore", device]
            if cell.timing is None or ours.timing is None:
                row.append(Text(cell.skipped if library == "gradcore" else "-", style="dim"))
            elif library == "gradcore":
                row.append(duration(cell.timing.median))
            else:
                share = ratio(ours.timing.median / cell.timing.median)
                row.append(Text.assemble(duration(cell.timing.median), " (", share, ")"))
            if library == "gradcore":
                row.append(NONE if cell.bandwidth is None else f"{cell.bandwidth:.3g}")
        if len(devices) > 1:
            first, second = (found[workload, size, "gradcore", d].timing for d in devices[:2])
            row.append(f"{first.median / second.median:.3g}" if first and second else NONE)
        shown.add_row(*row)
    return shown


def ops(rows: Sequence[every_operation.Row]) -> Table:
    """Every operation, the slowest beside PyTorch first."""
    shown = Table(title="float32 on the CPU, one thread, median", caption="f+b: and backward.")
    for name in ("operation", "elements", "forward", "torch", "numpy", "f+b", "torch", "ratio"):
        shown.add_column(name, justify="left" if name == "operation" else "right")
    for row in sorted(rows, key=lambda row: -(row.ratio or 0.0)):
        times = (row.forward, row.torch_forward, row.numpy_forward, row.step, row.torch_step)
        shown.add_row(
            row.path,
            f"{row.elements:,}",
            *[NONE if t is None else duration(t) for t in times],
            NONE if row.ratio is None else ratio(row.ratio, every_operation.BOUND),
        )
    return shown


def overhead(rows: Sequence[Row]) -> Table:
    """The rows, an operation's two phases side by side."""
    libraries = list(rows[0].timings)
    peers = libraries[1:]
    shown = Table(
        title=f"2x2 float32 on {rows[0].device.upper()}, one thread, median",
        caption="ratio: gradcore's time over the peer's." if peers else None,
    )
    shown.add_column("statement")
    for phase in (FORWARD, BOTH):
        for index, library in enumerate(libraries):
            shown.add_column(f"{phase}\n{library}" if index == 0 else library, justify="right")
        for _ in peers:
            shown.add_column("ratio", justify="right")
    if peers:
        shown.add_column("budget", justify="right")
    titles = dict.fromkeys(row.title for row in rows)
    found = {(row.title, row.phase): row for row in rows}
    programs = False
    for title in titles:
        if not programs and (title, FORWARD) not in found:
            shown.add_section()
            programs = True
        cells: list[str | Text] = [Text(title)]  # `x[0]` is no markup
        budget = None
        for phase in (FORWARD, BOTH):
            row = found.get((title, phase))
            if row is None:
                cells += [""] * (len(libraries) + len(peers))
                continue
            budget = row.budget or budget
            cells += [duration(row.timings[library].median) for library in libraries]
            cells += [ratio(row.ratio(peer), row.budget) for peer in peers]
        if peers:
            cells.append("" if budget is None else f"≤ {budget:g}")
        shown.add_row(*cells)
    return shown


OPERATION_HEAD = ("operation", "elements or batch", "pass", "gradcore", "rate", "of copy")


def operation_lines(rows: Sequence[operations.Row]) -> tuple[list[str], list[list[str]]]:
    """The head and the lines of a table of operations on one device; a missed goal has a `!`."""
    libraries = dict.fromkeys(name for row in rows for name in row.timings)
    peers = [name for name in libraries if name not in ("gradcore", operations.COPY)]
    head = [*OPERATION_HEAD]
    for peer in peers:
        head += [peer, "ratio"]
    head.append("goal")
    lines = []
    for row in rows:
        line = [row.label, f"{row.size:,}", row.phase]
        ours = row.timings.get("gradcore")
        line.append(duration(ours.median) if ours else "failed" if row.failures else "not run")
        line += [rate(row), "" if row.share is None else f"{row.share:.2f}"]
        for peer in peers:
            theirs, ratio = row.timings.get(peer), row.ratio(peer)
            line.append(duration(theirs.median) if theirs else "")
            line.append("" if ratio is None else f"{ratio:.2f}")
        line.append(goal(row))
        lines.append(line)
    return head, lines


def remarks(rows: Iterable[operations.Row]) -> list[str]:
    """What failed or was not run, and which goals were missed, a line for each."""
    lines = []
    for row in rows:
        for library, why in row.failures.items():
            lines.append(f"failed: {row.place}, {row.device}, in {library}: {why}")
        if row.skipped:
            lines.append(f"not run: {row.place}, {row.device}: {row.skipped}")
        if row.missed:
            lines.append(f"goal missed: {row.place}: {row.missed}")
    return lines


def goal(row: operations.Row) -> str:
    """The bound of the share or of the ratio, with a mark if it was missed."""
    found = row.goal
    bound = "" if found.share is None else f"≥ {found.share:g}"
    if found.ratio is not None:
        bound = f"≤ {found.ratio:g}"
    return f"{bound} !" if row.missed else bound


def operations_tables(rows: Sequence[operations.Row]) -> list[Table]:
    """The rows, a table for each device."""
    tables = []
    for device in dict.fromkeys(row.device for row in rows):
        shown = Table(
            title=f"float32 on {device.upper()}, median",
            caption="rate: what must be moved or computed, over the time."
            + (" of copy: the time of a copy of as many bytes, over it." if device != CPU else ""),
        )
        head, lines = operation_lines([row for row in rows if row.device == device])
        for name in head:
            left = name in ("operation", "pass")
            shown.add_column(name, justify="left" if left else "right")
        last = lines[0][0]
        for line in lines:
            if line[0] != last:
                shown.add_section()
            last = line[0]
            style = "red" if line[-1].endswith("!") else None
            shown.add_row(*(Text(each) for each in line), style=style)
        tables.append(shown)
    return tables


def cells_as_data(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """The cells for JSON; times in seconds, bandwidth in GB/s."""
    ours = {(c.workload, c.size, c.device): c for c in cells if c.library == "gradcore"}
    data = []
    for cell in cells:
        against = ours[cell.workload, cell.size, cell.device].timing
        share = against.median / cell.timing.median if against and cell.timing else None
        data.append({**asdict(cell), "bandwidth": cell.bandwidth, "ratio": share})
    return data


def rows_as_data(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The overhead rows for JSON; times in seconds."""
    return [
        {
            **asdict(row),
            "ratios": {peer: row.ratio(peer) for peer in row.timings if peer != "gradcore"},
            "within": row.within,
        }
        for row in rows
    ]
