"""One number of threads for every library, so that ratios compare like with like."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from gradcore_bench.errors import BenchError

# NPROC is what XLA sizes JAX's CPU pool by.
POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NPROC",
)


def usable_cores() -> int:
    """The number of cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def limited(count: int) -> Iterator[None]:
    """Runs its block with `count` threads in every pool.

    A BLAS reads the environment once, when it is loaded; if NumPy is loaded already, its pool is
    resized through threadpoolctl, which scikit-learn brings.

    Raises:
        BenchError: NumPy is loaded and threadpoolctl is not installed.
    """
    before = {name: os.environ.get(name) for name in POOLS}
    os.environ.update(dict.fromkeys(POOLS, str(count)))
    try:
        if "numpy" not in sys.modules:
            yield
            return
        try:
            pools = import_module("threadpoolctl")
        except ImportError:
            raise BenchError(
                "threads: NumPy is loaded already and threadpoolctl is not installed; "
                'pip install "gradcore[bench]"'
            ) from None
        with pools.threadpool_limits(limits=count):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
