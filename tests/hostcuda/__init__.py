"""The real CuPy on a machine without a GPU: see README.md."""

from hostcuda.device import counters, hide, install, launched, launches, on_compile, show
from hostcuda.provide import Unavailable, provide

__all__ = [
    "Unavailable",
    "counters",
    "hide",
    "install",
    "launched",
    "launches",
    "on_compile",
    "provide",
    "show",
]
