"""Compile CUDA source for real GPUs with NVRTC, on a machine that need not have one.

Needs CuPy and the wheels nvidia-cuda-nvrtc-cu12 and nvidia-cuda-runtime-cu12; no driver, no
toolkit. Import it only after `hostcuda.provide()`, as it imports CuPy.
"""

import hashlib
import os
import re
from pathlib import Path

import cupy
import numpy as np
from cupy._core import _carray, _kernel, _reduction, core
from cupy._core._scalar import CScalar
from cupy.cuda import compiler

# What CuPy puts before every kernel.
HEADERS = "".join(f"#include <{header}>\n" for header in core._cupy_header_list)
CACHE = Path(os.environ.get("NVRTC_CACHE", "~/.cache/nvrtc_check")).expanduser()

_ARRAY, _INDEXER, _SCALAR = 1, 2, 3  # cupy/_core/_kernel.pxd: enum _ArgKind


def check(source, options=(), name_expressions=(), arch="80"):
    """Compile as CuPy does (compiler._compile_with_cache_cuda), for sm_<arch>; return the cubin.

    Raises:
        cupy.cuda.compiler.CompileException: With the compiler's own message.
    """
    options = tuple(options)
    if not any(o.startswith("-I") for o in options):
        options = core.assemble_cupy_compiler_options(options)
    program = compiler._NVRTCProgram(
        source, "kernel.cu", name_expressions=name_expressions, method="cubin"
    )
    target = ("-ftz=true", f"-arch=sm_{arch}", "--device-as-default-execution-space")
    return program.compile((*options, *target))[0]


def check_once(source, options=(), name_expressions=(), arch="80"):
    """`check`, unless this very compilation has succeeded on this machine before."""
    version = (compiler._get_nvrtc_version(), core.CUPY_CACHE_KEY)
    key = repr((source, options, name_expressions, arch, version))
    done = CACHE / hashlib.sha256(key.encode()).hexdigest()
    if not done.exists():
        check(source, options, name_expressions, arch)
        CACHE.mkdir(parents=True, exist_ok=True)
        done.touch()


def on_compile(*archs, only=""):
    """Return a callback for hostcuda.on_compile that checks what is launched and matches `only`."""

    def callback(source, options, name_expressions):
        if re.search(only, source):
            for arch in archs:
                check_once(source, tuple(options), tuple(name_expressions), arch)

    return callback


def source_of(kernel, types, ndim=1, contiguous=True):
    """Return the CUDA source that CuPy generates for a kernel, without launching it.

    Args:
        kernel: An ElementwiseKernel, or a ReductionKernel, whose source is then the generic one's:
            the CUB variant can only be seen as it is compiled (`on_compile`). Anything else tells
            its source itself, by a method `source(types)`.
        types: The dtype of each type letter; letters that the kernel does not have may be there.
            Parameters whose dtype is not a letter count as scalars.
        ndim: Of the arrays.
        contiguous: Whether the arrays are.
    """
    if not isinstance(kernel, cupy.ElementwiseKernel | cupy.ReductionKernel):
        return kernel.source(types)  # CuPy puts nothing before such a text
    params = (*kernel.in_params, *kernel.out_params)
    letters = {p.ctype for p in params if p.dtype is None}
    used = sorted((letter, np.dtype(types[letter]).type) for letter in letters)
    args = []
    for p in params:
        if p.dtype is None:
            dtype = np.dtype(types[p.ctype])
            args.append(_kernel._ArgInfo(_ARRAY, cupy.ndarray, dtype, ndim, contiguous, True))
        else:
            args.append(_kernel._ArgInfo(_SCALAR, CScalar, np.dtype(p.dtype), 0, True, True))
    indexer = _kernel._ArgInfo(_INDEXER, _carray.Indexer, None, ndim, True, True)
    if isinstance(kernel, cupy.ElementwiseKernel):
        return HEADERS + _kernel._get_elementwise_kernel_code(
            (*args, indexer),
            _kernel._TypeMap(tuple(used)),
            kernel.params,
            kernel.operation,
            kernel.name,
            kernel.preamble,
            **kernel.kwargs,
        )
    stride = _kernel._ArgInfo(_SCALAR, CScalar, np.dtype("i4"), 0, True, True)
    return HEADERS + _reduction._ReductionKernel_get_cached_function_code(
        kernel.nin,
        kernel.nout,
        kernel._params,
        (*args, indexer, indexer, stride),
        _kernel._TypeMap((*used, ("IndexT", np.int32))),
        kernel.name,
        512,
        kernel.reduce_type,
        kernel.identity,
        kernel.map_expr,
        kernel.reduce_expr,
        kernel.post_map_expr,
        kernel.preamble,
        kernel.options,
    )
