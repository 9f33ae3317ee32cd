"""The command line, `gradcore-bench`.

Exit codes: 0, all went well; 1, a goal was missed; 2, the run cannot start as asked.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradcore_bench.errors import BenchError, require
from gradcore_bench.threads import limited, usable_cores

SIZES = ("small", "medium", "large", "huge")
NAMES = ("tutorial", "mul_mean", "norm", "mlp", "attention")
OPERATIONS = (
    "mul_mean",
    "norm",
    "sum",
    "mean",
    "chain",
    "softmax",
    "layer_norm",
    "cross_entropy",
    "matmul",
    "adam",
    "digits",
    "tutorial",
)
PEERS = ("torch", "numpy", "autograd", "jax")
DEVICES = ("cpu", "cuda")
EXAMPLES = """\
examples:
  gradcore-bench                                  digits and table, under a minute
  gradcore-bench table --against torch numpy      with ratios
  gradcore-bench table --workloads norm --sizes 1000 1000000 --plot norm.png
  gradcore-bench overhead --against torch --check
  gradcore-bench operations --device cuda --against torch --check
  gradcore-bench gpu                              all checks of a GPU, in eight minutes
  gradcore-bench ops --against torch              every operation on 10^6 numbers
  gradcore-bench coverage                         what each operation can do
"""
DEFAULTS: dict[str, Any] = {
    "device": None,
    "threads": None,
    "json": None,
    "plot": None,
    "against": [],
    "sizes": ["small", "medium", "large"],
    "elements": None,
    "workloads": None,
    "out": Path("gpu-results"),
    "readme": None,
    "page": None,
    "only": None,
    "budget": 0.3,
    "seed": 0,
    "check": False,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code."""
    options = parser().parse_args(argv)
    parts = [options.command] if options.command else ["digits", "table"]
    threads = 1 if {"overhead", "ops"} & set(parts) else options.threads or usable_cores()
    try:
        if options.check and not options.against and options.command != "gpu":
            raise BenchError("--check needs something to compare with: --against torch")
        require(
            "rich",
            *(["sklearn"] if {"digits", "gpu"} & set(parts) else []),
            *(["matplotlib"] if options.plot or {"gpu", "report"} & set(parts) else []),
        )
        with limited(threads):
            from gradcore_bench.run import run

            return run(options, parts, threads)
    except BenchError as error:
        print(f"gradcore-bench: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """The options; without a command they are those of `digits` and of `table`."""
    main_parser = argparse.ArgumentParser(
        prog="gradcore-bench",
        description="Benchmarks gradcore. Without a command it runs digits, then table.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main_parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        # SUPPRESS: else a command's defaults would replace what stands before the command.
        return commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            argument_default=argparse.SUPPRESS,
        )

    digits = command("digits", "train a classifier of handwritten digits on each device")
    table = command("table", "time the workloads at several sizes, CPU against GPU")
    overhead = command("overhead", "time operations and small programs on 2x2 arrays, one thread")
    operations = command(
        "operations", "time operations on large arrays, beside a copy of as many bytes"
    )
    gpu = command("gpu", "run every check that needs a GPU, and keep what came of it")
    ops = command("ops", "time every operation on 10^6 numbers, one thread, on the CPU")
    coverage = command("coverage", "list every operation, and what of PyTorch is not there")
    report = command("report", "draw the results of GPU runs again, and write them into README")
    for each in (main_parser, digits, table):
        _device_options(each)
    for each in (main_parser, digits):
        group = each.add_argument_group("digits")
        group.add_argument("--seed", type=int, metavar="N", help="of the training (0)")
    for each in (main_parser, table):
        _table_options(each.add_argument_group("table"))
    _overhead_options(overhead)
    _operations_options(operations)
    _gpu_options(gpu)
    _report_options(report)
    _ops_options(ops)
    _page_option(coverage)
    main_parser.set_defaults(**DEFAULTS)
    return main_parser


def _device_options(each: argparse.ArgumentParser) -> None:
    each.add_argument(
        "--device", nargs="+", choices=DEVICES, help="where to run (every device that is there)"
    )
    each.add_argument(
        "--threads",
        type=_positive,
        metavar="N",
        help="of every library (all usable cores; 1 for digits)",
    )
    _json_option(each)


def _table_options(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--sizes",
        nargs="+",
        type=_size,
        metavar="SIZE",
        help=f"{', '.join(SIZES)}, of which each workload has its own numbers, or a number in the "
        "workload's unit: elements, batch or length (small medium large)",
    )
    group.add_argument(
        "--workloads", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)} (all)"
    )
    group.add_argument(
        "--against",
        nargs="+",
        choices=PEERS,
        metavar="PEER",
        help=f"time these too, in the same run, in turn: {', '.join(PEERS)}",
    )
    _timing_options(group)


def _overhead_options(each: argparse.ArgumentParser) -> None:
    each.add_argument("--device", nargs=1, choices=DEVICES, help="where to run (cpu)")
    each.add_argument("--against", nargs="+", choices=["torch"], help="time it too, in turn")
    each.add_argument(
        "--check", action="store_true", help="fail if a ratio is above its budget; needs --against"
    )
    _timing_options(each)
    _json_option(each)


def _operations_options(each: argparse.ArgumentParser) -> None:
    _device_options(each)
    each.add_argument(
        "--elements",
        nargs="+",
        type=_positive,
        metavar="N",
        help="sizes of the arrays (2**20 on the CPU; 2**16, 2**20 and 2**26 on a GPU)",
    )
    each.add_argument(
        "--workloads",
        nargs="+",
        choices=OPERATIONS,
        metavar="NAME",
        help=f"of {', '.join(OPERATIONS)} (all)",
    )
    each.add_argument("--against", nargs="+", choices=["torch"], help="time it too, in turn")
    each.add_argument(
        "--check",
        action="store_true",
        help="fail if a goal is missed, or could not be measured; needs --against",
    )
    _timing_options(each)


def _gpu_options(each: argparse.ArgumentParser) -> None:
    each.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write the results (gpu-results)"
    )
    each.add_argument("--check", action="store_true", help="fail if a goal is missed, too")


def _report_options(each: argparse.ArgumentParser) -> None:
    each.add_argument("results", type=_directory, metavar="DIR", help="holds gpu-*.json")
    each.add_argument("--readme", type=_file, metavar="FILE", help="renew the results in it")


def _ops_options(each: argparse.ArgumentParser) -> None:
    each.add_argument("--only", nargs="+", metavar="NAME", help="these operations (all)")
    each.add_argument("--against", nargs="+", choices=["torch"], help="time it too, in turn")
    each.add_argument(
        "--check",
        action="store_true",
        help="fail if an operation takes too long and its documentation does not say why",
    )
    each.add_argument(
        "--budget", type=float, metavar="SECONDS", help="time for each measurement (0.3)"
    )
    _json_option(each)
    _page_option(each)


def _page_option(each: argparse.ArgumentParser) -> None:
    each.add_argument("--page", type=_file, metavar="FILE.md", help="write the table as Markdown")


def _timing_options(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--budget", type=float, metavar="SECONDS", help="time for each measurement (0.3)"
    )
    group.add_argument("--plot", type=_file, metavar="FILE.png", help="draw the results")


def _json_option(each: argparse.ArgumentParser) -> None:
    each.add_argument("--json", type=_file, metavar="FILE", help="write the results as JSON")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {str(path.parent)!r}")
    return path


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {text!r}")
    return path


def _size(text: str) -> str | int:
    if text in SIZES:
        return text
    try:
        return _positive(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither one of {', '.join(SIZES)} nor a positive whole number"
        ) from None
