"""Compilation ahead of use, into CuPy's cache on disk."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import cupy
import numpy as np
from cupy._core import _carray, _kernel
from cupy._core._scalar import CScalar

from gradcore_kernels.raw import RawKernel

Kernel: TypeAlias = Any

_ARRAY, _INDEXER, _SCALAR = 1, 2, 3  # cupy/_core/_kernel.pxd: enum _ArgKind


def precompile(listed: Sequence[tuple[Kernel, Mapping[str, str]]]) -> Iterator[int]:
    """Compile kernels for the current device; after each, yield how many are done.

    Kernels that CuPy writes are compiled for contiguous arrays of fewer than 2^31 bytes. One after
    the other: NVRTC takes as long for two at a time.

    Args:
        listed: Kernels with the dtypes of their letters, as `every_kernel` gives them.
    """
    for done, (kernel, types) in enumerate(listed, 1):
        _compile(kernel, types)
        yield done


def _compile(kernel: Kernel, types: Mapping[str, str]) -> None:
    if isinstance(kernel, RawKernel):
        kernel(*[types[letter] for letter in kernel.types[0]]).compile()
    elif isinstance(kernel, cupy.ElementwiseKernel):
        _compile_elementwise(kernel, types)
    else:
        cupy.RawKernel(kernel.source(types), kernel.name).compile()


def _compile_elementwise(kernel: Kernel, types: Mapping[str, str]) -> None:
    """Do what the first call does, with no arrays: CuPy has no public function for it."""
    params = (*kernel.in_params, *kernel.out_params)
    letters = {p.ctype for p in params if p.dtype is None}
    args = []
    for p in params:
        # A parameter of a fixed dtype may be an array too; those here are numbers.
        if p.dtype is not None and not p.raw and p not in kernel.out_params:
            args.append(_kernel._ArgInfo(_SCALAR, CScalar, np.dtype(p.dtype), 0, True, True))
        else:
            dtype = np.dtype(types[p.ctype] if p.dtype is None else p.dtype)
            args.append(_kernel._ArgInfo(_ARRAY, cupy.ndarray, dtype, 1, True, True))
    indexer = _kernel._ArgInfo(_INDEXER, _carray.Indexer, None, 1, True, True)
    _kernel._get_elementwise_kernel(
        (*args, indexer),
        _kernel._TypeMap(tuple(sorted((t, np.dtype(types[t]).type) for t in letters))),
        kernel.params,
        kernel.operation,
        kernel.name,
        kernel.preamble,
        **kernel.kwargs,
    )
