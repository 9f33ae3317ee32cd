"""CUDA functions written out, one for each choice of dtypes, where CuPy's generators do not serve.

CuPy's `ElementwiseKernel` and `ReductionKernel` handle any layout; a function here takes pointers
to contiguous arrays, may use shared memory, and costs half as much to launch.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import cupy

from gradcore_kernels.cuda_types import TEMPLATES

CPP_NAMES: Final = {
    "bool": "bool",
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned int",
    "int64": "long long",
    "uint64": "unsigned long long",
    "float16": "float16",
    "float32": "float",
    "float64": "double",
    "complex64": "complex<float>",
    "complex128": "complex<double>",
}
"""What C++ calls a dtype."""


@final
class RawKernel:
    """A family of CUDA functions: one source text, in which letters stand for types.

    Args:
        name: The function's name; it begins with `gc_`.
        source: The function, `extern "C" __global__ void NAME(...)`, and what it needs before it.
            It finds TEMPLATES, and a typedef for each letter.
        types: The dtypes of the letters, once for each choice that is to be compiled ahead.
    """

    __slots__ = ("_functions", "_source", "name", "types")

    def __init__(self, name: str, source: str, types: Sequence[Mapping[str, str]]) -> None:
        self.name = name
        self.types = [dict(t) for t in types]
        self._source = source
        self._functions: dict[tuple[str, ...], Any] = {}

    def __call__(self, *dtypes: str) -> Any:
        """Return the function for these dtypes of the letters, in the order of `types`.

        It is called as `function(grid, block, args, shared_mem=0)`, with arrays, ints (long long)
        and floats (double) as args, and runs on the current device and stream.
        """
        function = self._functions.get(dtypes)
        if function is None:
            text = self.source(dict(zip(self.types[0], dtypes, strict=True)))
            function = self._functions[dtypes] = cupy.RawKernel(text, self.name)
        return function

    def source(self, types: Mapping[str, str]) -> str:
        """Return the text that is compiled for these dtypes of the letters."""
        letters = "".join(f"typedef {CPP_NAMES[d]} {letter};\n" for letter, d in types.items())
        return TEMPLATES + letters + self._source
