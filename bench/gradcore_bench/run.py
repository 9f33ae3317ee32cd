"""One run of the command line: does what was asked, shows it, writes the files."""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gradcore_bench import (
    coverage,
    digits,
    gpu,
    imports,
    markdown,
    operations,
    ops,
    overhead,
    report,
    table,
)
from gradcore_bench.environment import describe
from gradcore_bench.errors import BenchError
from gradcore_bench.libraries import CPU, CUDA, PEERS, Gradcore, Library, TorchLike
from gradcore_bench.threads import limited, usable_cores
from gradcore_bench.workloads import WORKLOADS


def run(options: argparse.Namespace, parts: Sequence[str], threads: int) -> int:
    """Runs the parts in turn.

    Args:
        options: of the command line.
        parts: the commands.
        threads: the size of every thread pool.

    Returns:
        The exit code: 1 if a goal was missed or something failed.
    """
    console = report.console()
    if "report" in parts:
        return _report(options.results, options.readme, console)
    if "coverage" in parts:
        return _coverage(options.page, console)
    gradcore = Gradcore(threads)
    if "gpu" in parts:
        return _gpu(gradcore, options.out, options.check, console)
    run = _Run(options, parts, threads, gradcore, console)
    passed = [getattr(run, part)() for part in parts]
    run.write()
    return int(not all(passed))


class _Run:
    """The parts of a run, each a method that keeps its results and says whether all went well."""

    def __init__(
        self,
        options: argparse.Namespace,
        parts: Sequence[str],
        threads: int,
        gradcore: Gradcore,
        console: Console,
    ) -> None:
        peers = [PEERS[name](threads) for name in dict.fromkeys(options.against)]
        self.options, self.console = options, console
        self.gradcore, self.peers = gradcore, peers
        self.alike = [peer for peer in peers if isinstance(peer, TorchLike)]
        asked = options.device or ([CPU] if {"overhead", "ops"} & set(parts) else None)
        self.devices = devices = _devices(gradcore, asked, console)
        for peer in self.alike if CUDA in devices else []:
            if reason := peer.why_not(CUDA):
                console.print(f"Note: {reason}.", markup=False, soft_wrap=True)
        self.results: dict[str, Any] = {
            "schema": report.SCHEMA,
            "environment": describe(
                devices={device: gradcore.device_name(device) for device in devices},
                libraries=[gradcore, *peers],
                threads=threads,
                gpu=gradcore.gpu_facts() if CUDA in devices else None,
            ),
        }

    def write(self) -> None:
        """Writes what there is so far, if a file was named."""
        if self.options.json:
            self.options.json.write_text(json.dumps(self.results, indent=1) + "\n")

    def digits(self) -> bool:
        outcomes = _digits(self.gradcore, self.devices, self.options, self.console)
        self.results["digits"] = [{**asdict(each), "passed": each.passed} for each in outcomes]
        return all(each.passed for each in outcomes)

    def table(self) -> bool:
        cells = _table(self.gradcore, self.peers, self.devices, self.options, self.console)
        self.results["table"] = report.cells_as_data(cells)
        if self.options.plot:
            from gradcore_bench.plot import draw_table

            draw_table(cells, self.options.plot)
        return True

    def overhead(self) -> bool:
        (device,) = self.devices
        rows = _overhead([self.gradcore, *self.alike], device, self.options, self.console)
        self.results["overhead"] = report.rows_as_data(rows)
        within = all(row.within for row in rows)
        if device == CPU:
            found = imports.measure()
            data = {**asdict(found), "ratio": found.ratio, "within": found.within}
            self.results["imports"] = data
            self.console.print(
                f"import gradcore: {report.duration(found.gradcore)}, {found.ratio:.2f} times "
                f"import numpy (budget {imports.BUDGET})"
            )
            within &= found.within
        if self.options.plot:
            from gradcore_bench.plot import draw_overhead

            draw_overhead(rows, self.options.plot)
        return within or not self.options.check

    def operations(self) -> bool:
        rows: list[operations.Row] = []
        kept = self.results["operations"] = []

        def keep(row: operations.Row) -> None:
            rows.append(row)
            kept.append(row.as_data())
            self.write()  # at once: a kernel may yet end the process

        _operations(self.gradcore, self.alike, self.devices, self.options, self.console, keep)
        if CUDA in self.devices:
            # Again: with the clocks of a GPU that works.
            self.results["environment"]["gpu"] = self.gradcore.gpu_facts()
        for each in report.operations_tables(rows):
            self.console.print(each)
        if self.options.plot:
            from gradcore_bench.plot import draw_operations

            draw_operations(rows, self.options.plot)
        for line in report.remarks(rows):
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        failed = any("gradcore" in row.failures for row in rows)
        return not failed and not (self.options.check and any(row.missed for row in rows))

    def ops(self) -> bool:
        chosen = self.options.only or ops.paths()
        unknown = sorted(set(chosen) - set(ops.paths()))
        if unknown:
            raise BenchError(f"--only: there is no operation {', '.join(unknown)}")
        peer = self.alike[0].lib if self.alike else None
        rows: list[ops.Row] = []
        kept = self.results["ops"] = []
        with _progress(self.console, timing=True) as progress:
            task = progress.add_task("ops", total=len(chosen))
            for path in chosen:
                for row in ops.measure(peer, [path], self.options.budget):
                    rows.append(row)
                    kept.append(row.as_data())
                    self.write()
                progress.update(task, advance=1, description=path, refresh=True)
        self.console.print(report.ops(rows))
        if self.options.page:
            self.options.page.write_text(ops.page(rows, self.results["environment"]))
        missed = [row.path for row in rows if row.missed]
        if missed:
            self.console.print(f"Above {ops.BOUND:g}: {', '.join(missed)}", markup=False)
        return not (self.options.check and missed)


def _coverage(page: Path | None, console: Console) -> int:
    """Shows the page of operations, or writes it."""
    text = coverage.page()
    if page:
        page.write_text(text)
    else:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    return 0


def _gpu(gradcore: Gradcore, folder: Path, check: bool, console: Console) -> int:
    """Runs every check of a GPU, and writes its results, a page and a plot into `folder`."""
    if CUDA not in gradcore.devices:
        raise BenchError(gradcore.why_no_cuda())
    model = gradcore.device_name(CUDA)
    environment = describe(
        devices={CPU: gradcore.device_name(CPU), CUDA: model},
        libraries=[gradcore],
        threads=usable_cores(),
        gpu=gradcore.gpu_facts(),
    )
    against = ["torch"] if find_spec("torch") else []
    if not against:
        console.print("PyTorch is not installed: nothing is compared with it.")
    console.print(f"{model}: tests, benchmarks and compute-sanitizer, in under eight minutes")
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    file = folder / f"gpu-{slug}-{environment['date'][:10]}.json"
    results = gpu.run(
        file,
        environment,
        against=against,
        say=lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True),
    )
    _draw_gpu(file)
    rows = markdown.operation_rows(results)
    for each in report.operations_tables(rows):
        console.print(each)
    console.print(markdown.checks(results), markup=False)
    for line in report.remarks(rows):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"Written: {file}, {file.stem}.md and {file.stem}.png. To add them to the project, put the "
        "three into bench/results, run `gradcore-bench report bench/results --readme README.md` "
        "and open a pull request, or attach them to an issue.",
        soft_wrap=True,
    )
    return int(not gpu.succeeded(results) or (check and any(row.missed for row in rows)))


def _draw_gpu(file: Path) -> None:
    """Writes the page and the plot of a GPU run beside its results."""
    from gradcore_bench.plot import draw_operations

    results = markdown.read(file)
    picture = file.with_suffix(".png")
    file.with_suffix(".md").write_text(markdown.gpu_report(results, picture.name))
    rows = markdown.operation_rows(results)
    if rows:
        draw_operations(rows, picture)


def _report(results: Path, readme: Path | None, console: Console) -> int:
    """Draws every GPU run in the folder again, and renews README."""
    files = markdown.gpu_files(results)
    for file in files:
        _draw_gpu(file)
        console.print(f"written again: {file.stem}.md, {file.stem}.png", markup=False)
    if not files:
        console.print(f"There is no GPU run (gpu-*.json) in {results}.", markup=False)
    if readme:
        readme.write_text(markdown.with_results(readme.read_text(), results))
    return 0


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
    workloads = [WORKLOADS[name] for name in options.workloads or WORKLOADS]
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


def _operations(
    gradcore: Gradcore,
    peers: Sequence[TorchLike],
    devices: Sequence[str],
    options: argparse.Namespace,
    console: Console,
    keep: Callable[[operations.Row], object],
) -> None:
    chosen = [
        each
        for each in operations.OPERATIONS
        if not options.workloads or each.name in options.workloads
    ]
    total = sum(len(operations.runs(chosen, device, options.elements)) for device in devices)
    with _progress(console, timing=True) as progress:
        task = progress.add_task("operations", total=total)
        for row in operations.measure(
            gradcore,
            peers,
            chosen,
            devices,
            options.elements,
            budget=options.budget,
            advance=lambda label: progress.update(task, advance=1, description=label, refresh=True),
        ):
            keep(row)


def _overhead(
    libraries: Sequence[TorchLike], device: str, options: argparse.Namespace, console: Console
) -> list[overhead.Row]:
    total = len(overhead.OPERATIONS) + len(overhead.PROGRAMS)
    with _progress(console, timing=True) as progress:
        task = progress.add_task("overhead", total=total)
        rows = overhead.measure(
            libraries,
            device,
            budget=options.budget,
            advance=lambda label: progress.update(task, advance=1, description=label, refresh=True),
        )
    console.print(report.overhead(rows))
    return rows
