"""What an operation on CUDA Tensors costs the host, beside the same in plain CuPy.

    python tests/hostcuda/hostbench.py [--check] [--json FILE]

On a small array a GPU waits for Python, so this is what it costs. No GPU is needed: nothing is
launched, and the functions of the CUDA runtime that CuPy calls in between return at once. What is
left is the work of gradcore, CuPy and Python; a real driver adds the same to both sides.

A backward step is one node of a chain of `LENGTH` equal operations: what `autograd.grad` takes for
the chain, its start and end included, over `LENGTH`.

Exit codes: 0; 1, with --check, if a ratio is above its budget.
"""

import argparse
import ctypes
import gc
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", ".", "kernels", "bench")]

import numpy as np  # noqa: E402

from gradcore_bench.timing import Clock  # noqa: E402
from hostcuda import compile as hc  # noqa: E402
from hostcuda import device as stand_in  # noqa: E402

BUDGET = 0.7  # gradcore's time over that of CuPy
SHAPES = ((1000,), (10, 100))
LENGTH = 20
FORWARD, BACKWARD = "forward", "backward step"

# (name, the recorded operation, what CuPy runs forward, and backward)
CASES = (
    ("x * 2.0", "x * 2.0", "x * 2.0", "g * 2.0"),
    ("x * y", "x * y", "x * y", "g * y; g * x"),
    ("tanh(x)", "gd.tanh(x)", "cupy.tanh(x)", "g * (1 - t * t)"),
)

# CuPy calls these for each allocation or launch; as Python functions they would take 1 us each.
STUBS = r"""
#include <stdint.h>
extern void Py_IncRef(void *);
static void *none;
void set_none(void *p) { none = p; }
int hb_getDevice(int skip) { return 0; }
void *hb__ensure_context(void) { Py_IncRef(none); return none; }
int hb_streamIsCapturing(intptr_t stream, int skip) { return 0; }
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds of an operation or of a backward step; the least of several rounds."""

    name: str
    phase: str
    shape: tuple[int, ...]
    gradcore: float
    cupy: float

    @property
    def ratio(self) -> float:
        """The time of gradcore over that of CuPy."""
        return self.gradcore / self.cupy


def install() -> Any:
    """Make CuPy use hostcuda, with its memory pool and the functions above; return cupy."""
    stand_in.N_DEVICES = 1
    library = ctypes.CDLL(str(hc.build_c(STUBS, "libhostbench.so")))
    library.set_none.argtypes = [ctypes.py_object]
    library.set_none(None)
    patch_runtime = stand_in._patch_runtime
    kept = stand_in._keep
    kept.append(library)

    def patch(runtime: Any) -> None:
        patch_runtime(runtime)
        name_of, new = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_New
        for name in ("getDevice", "_ensure_context", "streamIsCapturing"):
            signature = name_of(runtime.__pyx_capi__[name])
            kept.append(signature)
            address = ctypes.cast(getattr(library, f"hb_{name}"), ctypes.c_void_p)
            runtime.__pyx_capi__[name] = new(address, signature, None)

    stand_in._patch_runtime = patch
    try:
        return stand_in.install(pool=True)
    finally:
        stand_in._patch_runtime = patch_runtime


def launching(on: bool) -> None:
    """Whether launched kernels run; what is never read need not be computed."""
    ctypes.c_int.in_dll(stand_in._libraries["cuda"], "hc_no_launch").value = not on


def least(clocks: list[Clock], rounds: int) -> list[float]:
    """Seconds per execution of each clock, the least of several rounds taken in turns."""
    launching(True)
    for clock in clocks:
        clock.block()
    launching(False)
    for clock in clocks:
        clock.calibrate()
    found = [float("inf")] * len(clocks)
    for _ in range(rounds):
        for i, clock in enumerate(clocks):
            found[i] = min(found[i], clock.block() / clock.number)
            gc.collect(0)
    launching(True)
    return found


def measure(gd: Any, cupy: Any, rounds: int) -> list[Row]:
    """Every operation and its backward step, at every shape; float32."""
    rows = []
    for shape in SHAPES:
        values = np.linspace(0.5, 0.9, num=int(np.prod(shape)), dtype=np.float32).reshape(shape)

        def leaf(values: Any = values) -> Any:
            return gd.tensor(values, device="cuda", requires_grad=True)

        plain = {name: cupy.asarray(values) for name in ("x", "y", "g", "t")} | {"cupy": cupy}
        for name, operation, forward, backward in CASES:
            clocks = [Clock(operation, gd=gd, x=leaf(), y=leaf()), Clock(forward, **plain)]
            rows.append(Row(name, FORWARD, shape, *least(clocks, rounds)))
            x = z = leaf()
            leaves = [x]
            for _ in range(LENGTH):
                y = leaf()
                z = eval(operation, {"gd": gd, "x": z, "y": y})
                if "y" in operation:
                    leaves.append(y)
            names = {"grad": gd.autograd.grad, "z": z, "leaves": leaves, "g": leaf().detach()}
            chain = Clock("grad(z, leaves, g, retain_graph=True)", **names)
            ours, theirs = least([chain, Clock(backward, **plain)], rounds)
            rows.append(Row(name, BACKWARD, shape, ours / LENGTH, theirs))
    return rows


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help=f"fail if a ratio is above its budget, {BUDGET}"
    )
    parser.add_argument(
        "--rounds", type=int, default=25, metavar="N", help="of which the least counts (25)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    options = parser.parse_args(argv)
    cupy = install()
    import gradcore as gd

    rows = measure(gd, cupy, options.rounds)
    print(f"{'':10}{'':15}{'float32':>10}{'gradcore':>12}{'CuPy':>12}{'ratio':>8}")
    for row in rows:
        mark = "" if row.ratio <= BUDGET else f"  above {BUDGET}"
        print(
            f"{row.name:10}{row.phase:15}{row.shape!s:>10}{row.gradcore * 1e6:9.2f} us"
            f"{row.cupy * 1e6:9.2f} us{row.ratio:8.2f}{mark}"
        )
    if options.json:
        data = [{**asdict(row), "ratio": row.ratio} for row in rows]
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return int(options.check and any(row.ratio > BUDGET for row in rows))


if __name__ == "__main__":
    sys.exit(main())
