"""Fused CUDA kernels over raw CuPy arrays, for the operations that gain from them.

This package knows nothing of gradcore: it imports CuPy, NumPy and the standard library. Importing
it compiles nothing; CuPy compiles a kernel when it first meets a dtype and a layout, and keeps it
on disk. The current CUDA device must be the arrays'.
"""

from collections.abc import Callable
from typing import Any, Final

from gradcore_kernels import (
    cross_entropy,
    decompositions,
    functions,
    indexing,
    means,
    normalization,
    norms,
    optim,
    random,
    scatter,
    softmax,
    sums,
    windows,
)
from gradcore_kernels.compilation import precompile
from gradcore_kernels.elementwise import Elementwise
from gradcore_kernels.fusion import FusedReductions, FusedRows, Pass
from gradcore_kernels.indexing import follow
from gradcore_kernels.means import mul_mean, mul_mean_backward
from gradcore_kernels.norms import norm, norm_backward
from gradcore_kernels.random import dropout, dropout_backward
from gradcore_kernels.raw import RawKernel
from gradcore_kernels.reduction import Kernel

__all__ = [
    "BACKWARD",
    "FORWARD",
    "NAMESPACE",
    "Elementwise",
    "FusedReductions",
    "FusedRows",
    "Pass",
    "dropout",
    "dropout_backward",
    "every_kernel",
    "follow",
    "mul_mean",
    "mul_mean_backward",
    "norm",
    "norm_backward",
    "optim",
    "precompile",
]

# What stands in for a primitive of that name: its forward, and all its VJPs at once.
FORWARD: Final[dict[str, Callable[..., Any]]] = {
    "amax": sums.amax,
    "amin": sums.amin,
    "avg_pool": windows.mean,
    "avg_pool_backward": windows.mean_backward,
    "batch_norm": normalization.batch_norm,
    "col2im": windows.add_up,
    "cross_entropy": cross_entropy.cross_entropy,
    "dropout": dropout,
    "embedding": indexing.embedding,
    "index": indexing.getitem,
    "index_add": indexing.index_add,
    "index_copy": scatter.index_copy,
    "index_reduce": scatter.index_reduce,
    "index_select": indexing.getitem,
    "layer_norm": normalization.layer_norm,
    "log_softmax": softmax.log_softmax,
    "linalg_cholesky_ex": decompositions.cholesky,
    "linalg_lu_factor_ex": decompositions.lu,
    "logsumexp": softmax.logsumexp,
    "lu_order": decompositions.order,
    "max": sums.amax,
    "max_along": sums.max_along,
    "max_pool": windows.largest,
    "max_pool_backward": windows.put_back,
    "max_pool_values": windows.largest_alone,
    "mean": sums.mean,
    "min": sums.amin,
    "min_along": sums.min_along,
    "mul_mean": mul_mean,
    "norm": norm,
    "prod": sums.prod,
    "repeat_interleave": indexing.repeat,
    "rms_norm": normalization.rms_norm,
    "scatter": scatter.scatter,
    "scatter_add": indexing.scatter_add,
    "scatter_reduce": scatter.scatter_reduce,
    "scatter_value": scatter.scatter_value,
    "soft_cross_entropy": cross_entropy.soft_cross_entropy,
    "softmax": softmax.softmax,
    "solve_triangular": decompositions.solve_triangular,
    "std": sums.std,
    "sum": sums.sum,
    "var": sums.var,
}
BACKWARD: Final[dict[str, Callable[..., Any]]] = {
    "amax": sums.amax_backward,
    "amin": sums.amax_backward,
    "batch_norm": normalization.batch_norm_backward,
    "cross_entropy": cross_entropy.cross_entropy_backward,
    "dropout": dropout_backward,
    "embedding": indexing.embedding_backward,
    "layer_norm": normalization.layer_norm_backward,
    "log_softmax": softmax.log_softmax_backward,
    "logsumexp": softmax.logsumexp_backward,
    "max": sums.max_backward,
    "min": sums.max_backward,
    "mul_mean": mul_mean_backward,
    "norm": norm_backward,
    "rms_norm": normalization.rms_norm_backward,
    "softmax": softmax.softmax_backward,
    "std": sums.std_backward,
    "var": sums.var_backward,
}
NAMESPACE: Final[dict[str, Callable[..., Any]]] = {
    "broadcast_to": functions.broadcast_to,
    "dot_over": sums.dot_over,
    "floor_divide": functions.floor_divide,
    "getitem": indexing.getitem,
    "logical_and": functions.logical_and,
    "logical_not": functions.logical_not,
    "logical_or": functions.logical_or,
    "logical_xor": functions.logical_xor,
    "mean": sums.xp_mean,
    "power": functions.power,
    "put": indexing.put,
    "put_along_axis": indexing.put_along_axis,
    "remainder": functions.remainder,
    "sum": sums.xp_sum,
    "sum_to": sums.sum_to,
    "take_along_axis": indexing.take_along_axis,
}
"""Functions that rules call, where CuPy's is slow, missing, or differs from NumPy's."""


def every_kernel() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return each kernel with the dtypes of its type letters, once for each choice of dtypes."""
    modules = (
        cross_entropy,
        decompositions,
        functions,
        indexing,
        means,
        normalization,
        norms,
        optim,
        random,
        scatter,
        softmax,
        sums,
        windows,
    )
    return [listed for module in modules for listed in module.kernels()]
