"""Fused CUDA kernels over raw CuPy arrays, for the operations that gain from them.

This package knows nothing of gradcore: it imports CuPy, NumPy and the standard library. Importing
it compiles nothing; CuPy compiles a kernel when it first meets a dtype and a layout, and keeps it
on disk. The current CUDA device must be the arrays'.
"""

from collections.abc import Callable
from typing import Any, Final

from gradcore_kernels import means, norms
from gradcore_kernels.means import mul_mean, mul_mean_backward
from gradcore_kernels.norms import norm, norm_backward
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Kernel

__all__ = [
    "BACKWARD",
    "FORWARD",
    "NAMESPACE",
    "every_kernel",
    "mul_mean",
    "mul_mean_backward",
    "norm",
    "norm_backward",
]

# What stands in for a primitive of that name: its forward, and all its VJPs at once.
FORWARD: Final[dict[str, Callable[..., Any]]] = {"mul_mean": mul_mean, "norm": norm}
BACKWARD: Final[dict[str, Callable[..., Any]]] = {
    "mul_mean": mul_mean_backward,
    "norm": norm_backward,
}
NAMESPACE: Final[dict[str, Callable[..., Any]]] = {}
"""Functions that rules call, where CuPy's is slow, missing, or differs from NumPy's."""


def every_kernel() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return each kernel with the dtypes of its type letters, once for each choice of dtypes."""
    return means.kernels() + norms.kernels()
