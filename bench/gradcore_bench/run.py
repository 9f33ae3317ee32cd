"""One run of the command line: does what was asked, shows it, writes the files."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gradcore_bench import digits, imports, overhead, report, table
from gradcore_bench.environment import describe
from gradcore_bench.errors import BenchError
from gradcore_bench.libraries import CPU, CUDA, PEERS, Gradcore, Library, TorchLike
from gradcore_bench.threads import limited
from gradcore_bench.workloads import WORKLOADS


def run(options: argparse.Namespace, parts: Sequence[str], threads: int) -> int:
    """Runs the parts in turn.

    Args:
        options: of the command line.
        parts: of `digits`, `table` and `overhead`.
        threads: the size of every thread pool.

    Returns:
        The exit code: 1 if a goal was missed.
    """
    console = report.console()
    gradcore = Gradcore(threads)
    peers = [PEERS[name](threads) for name in dict.fromkeys(options.against)]
    devices = [CPU] if "overhead" in parts else _devices(gradcore, options.device, console)
    results: dict[str, Any] = {
        "schema": report.SCHEMA,
        "environment": describe(
            devices={device: gradcore.device_name(device) for device in devices},
            libraries=[gradcore, *peers],
            threads=threads,
        ),
    }
    failed = False
    if "digits" in parts:
        outcomes = _digits(gradcore, devices, options, console)
        results["digits"] = [{**asdict(each), "passed": each.passed} for each in outcomes]
        failed |= not all(each.passed for each in outcomes)
    if "table" in parts:
        cells = _table(gradcore, peers, devices, options, console)
        results["table"] = report.cells_as_data(cells)
        if options.plot:
            from gradcore_bench.plot import draw_table

            draw_table(cells, options.plot)
    if "overhead" in parts:
        alike = [peer for peer in peers if isinstance(peer, TorchLike)]
        rows = _overhead([gradcore, *alike], options, console)
        results["overhead"] = report.rows_as_data(rows)
        found = imports.measure()
        results["imports"] = {**asdict(found), "ratio": found.ratio, "within": found.within}
        console.print(
            f"import gradcore: {report.duration(found.gradcore)}, {found.ratio:.2f} times import "
            f"numpy (budget {imports.BUDGET})"
        )
        failed |= options.check and not (found.within and all(row.within for row in rows))
        if options.plot:
            from gradcore_bench.plot import draw_overhead

            draw_overhead(rows, options.plot)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return int(failed)


def _devices(gradcore: Gradcore, asked: Sequence[str] | None, console: Console) -> list[str]:
    """The devices that were asked for, or all that are there."""
    if CUDA not in gradcore.devices:
        if asked and CUDA in asked:
            raise BenchError(f"--device cuda: {gradcore.why_no_cuda()}")
        if not asked:
            reason = gradcore.why_no_cuda()
            console.print(f"No GPU, so the CPU only: {reason}", markup=False, soft_wrap=True)
    return [device for device in gradcore.devices if not asked or device in asked]


def _progress(console: Console, *columns: str, timing: bool = False) -> Progress:
    """A bar; one that is up while times are taken redraws itself only when it is told to."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn(column) for column in columns),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=not timing,
        transient=timing,
    )


def _digits(
    gradcore: Gradcore, devices: Sequence[str], options: argparse.Namespace, console: Console
) -> list[digits.Outcome]:
    images = digits.load()
    outcomes = []

    def trained(device: str) -> digits.Outcome:
        # Two threads on matrices as small as these wait for each other more than they compute.
        with (
            limited(options.threads or 1),
            _progress(console, "loss {task.fields[loss]:.3f}") as progress,
        ):
            task = progress.add_task(f"digits, {device}", total=digits.EPOCHS, loss=float("nan"))
            return digits.train(
                gradcore.lib,
                device,
                images,
                seed=options.seed,
                epochs=digits.EPOCHS,
                report=lambda loss: progress.update(task, advance=1, loss=loss),
            )

    for device in devices:
        outcome = trained(device)
        outcomes.append(outcome)
        verdict = "" if outcome.passed else f", below the goal of {digits.GOAL:.0%}"
        console.print(
            f"digits, {device}: {outcome.accuracy:.1%} of {len(images.test_labels)} held-out "
            f"images right after {outcome.seconds:.1f} s{verdict}"
        )
    return outcomes


def _table(
    gradcore: Gradcore,
    peers: Sequence[Library],
    devices: Sequence[str],
    options: argparse.Namespace,
    console: Console,
) -> list[table.Cell]:
    workloads = [WORKLOADS[name] for name in options.workloads]
    count = sum(len(table.chosen_sizes(workload, options.sizes)) for workload in workloads)
    with _progress(console, timing=True) as progress:
        task = progress.add_task("table", total=count * len(devices))
        cells = table.measure(
            gradcore,
            peers,
            workloads,
            devices,
            options.sizes,
            budget=options.budget,
            advance=lambda label: progress.update(task, advance=1, description=label, refresh=True),
        )
    console.print(report.table(cells, devices))
    return cells


def _overhead(
    libraries: Sequence[TorchLike], options: argparse.Namespace, console: Console
) -> list[overhead.Row]:
    total = len(overhead.OPERATIONS) + len(overhead.PROGRAMS)
    with _progress(console, timing=True) as progress:
        task = progress.add_task("overhead", total=total)
        rows = overhead.measure(
            libraries,
            budget=options.budget,
            advance=lambda label: progress.update(task, advance=1, description=label, refresh=True),
        )
    console.print(report.overhead(rows))
    return rows
