"""Reductions that fill the device, and elementwise kernels that follow memory order.

CuPy's `ReductionKernel` gives each block of 512 threads a few *outputs*. That is right for a
reduction over an axis, but a full reduction then runs as one block, and a sum over the first axis
of `(156250, 64)` as two. `Reduction` runs those in two launches instead: many threads each reduce
every `step`-th element, then a `ReductionKernel` reduces what they found.

Every `ReductionKernel` here takes a scalar besides its arrays. CuPy hands a reduction of exactly
one input to CUB, whose first compilation takes over a second and which rewrites the kernel's text
(the `x` in `exp(x)` too); with a scalar, every layout runs the same kernel.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, final

import cupy

from gradcore_kernels.cuda_types import ACCUMULATOR, PREAMBLE, TEMPLATES

# CuPy is not typed: a cupy.ndarray, and an ElementwiseKernel or ReductionKernel.
Array: TypeAlias = Any
Kernel: TypeAlias = Any

# _core/_reduction.pyx, _get_block_specs
_BLOCK: Final = 512
_OUTPUTS_PER_BLOCK: Final = 32

# One launch is enough if it has this many blocks, or if no thread of it meets more elements.
_ENOUGH_BLOCKS: Final = 128
_FEW_ELEMENTS: Final = 32
# About as many threads as a large GPU keeps resident.
_MANY_THREADS: Final = 1 << 17


@final
class Reduction:
    """One reduction over any axes of arrays of any strides, without intermediate copies.

    Args:
        name: The kernels' name.
        arrays: The array parameters, as CuPy writes them. Those of letter `T` are values.
        scalar: The name of the one scalar parameter, a float64.
        term: What is reduced, of type `A`, with `{x}` for the parameter `x`.
        join: How the terms `a` and `b` become one.
        identity: The neutral element of `join`.
        result: The result, from the reduced value `a` and the scalar.
        letter: The result's type, `U` or `A`.
    """

    __slots__ = ("_finish", "_letter", "_one_launch", "_partial")

    def __init__(
        self,
        name: str,
        arrays: str,
        scalar: str,
        *,
        term: str,
        join: str,
        identity: str,
        result: str,
        letter: str = "U",
    ) -> None:
        self._letter = letter
        names = [parameter.split()[1] for parameter in arrays.split(",")]
        scalar = f"float64 {scalar}"
        output, post = f"{letter} out_", f"out_ = {letter}({result})"
        self._one_launch = cupy.ReductionKernel(
            f"{arrays}, {scalar}",
            output,
            term.format_map({n: n for n in names}),
            join,
            post,
            identity,
            name,
            reduce_type="A",
            preamble=PREAMBLE,
        )
        self._partial = cupy.ElementwiseKernel(
            ", ".join(f"raw {parameter.strip()}" for parameter in arrays.split(","))
            + f", {scalar}, int64 span, int64 step",
            "A part_",
            f"""
            const ptrdiff_t first = i / step * span, end = first + span;
            A a = {identity};
            for (ptrdiff_t j = first + i % step; j < end; j += step) {{
              const A b = {term.format_map({n: f"{n}[j]" for n in names})};
              a = {join};
            }}
            part_ = a;
            """,
            f"{name}_partial",
            preamble=PREAMBLE,
        )
        self._finish = cupy.ReductionKernel(
            f"A part_, {scalar}",
            output,
            "part_",
            join,
            post,
            identity,
            f"{name}_finish",
            reduce_type="A",
            preamble=TEMPLATES,
        )

    def __call__(
        self,
        *arrays: Array,
        scalar: float,
        dim: tuple[int, ...],
        keepdim: bool,
        dtype: str,
    ) -> Array:
        """Reduce arrays of one shape over the axes `dim` to an array of type `dtype`."""
        x = arrays[0]
        shape = x.shape
        out = cupy.empty(reduced_shape(shape, dim, keepdim), dtype)
        reduced = math.prod([shape[d] for d in dim])
        inner = math.prod(shape[dim[-1] + 1 :]) if dim else 1
        per_block = min(inner, _OUTPUTS_PER_BLOCK)
        if (
            reduced * per_block <= _FEW_ELEMENTS * _BLOCK
            or out.size >= _ENOUGH_BLOCKS * per_block
            or out.size == 0
        ):
            return self._one_launch(*arrays, scalar, axis=dim, keepdims=keepdim, out=out)

        if len(dim) == len(shape):
            axes = memory_order(arrays)
        elif dim[-1] - dim[0] + 1 == len(dim):
            axes = None
        else:
            axes = (*dim, *(d for d in range(len(shape)) if d not in dim))
            inner = out.size
        if axes is not None:
            arrays = tuple(a.transpose(axes) for a in arrays)
        # With this count the threads of both launches loop about equally often.
        threads = math.isqrt(reduced * _BLOCK // per_block)
        threads = min(threads, max(1, _MANY_THREADS // out.size))
        threads = -(-threads // _OUTPUTS_PER_BLOCK) * _OUTPUTS_PER_BLOCK
        outer = out.size // inner
        part = cupy.empty((outer, threads, inner), ACCUMULATOR[x.dtype.name])
        self._partial(*arrays, scalar, reduced * inner, threads * inner, part)
        self._finish(part, scalar, axis=1, out=out.reshape(outer, inner))
        return out

    def kernels(self, types: Sequence[dict[str, str]]) -> list[tuple[Kernel, dict[str, str]]]:
        """Return the kernels with the dtypes of their letters, for `types` of the arrays."""
        listed = [(kernel, t) for kernel in (self._one_launch, self._partial) for t in types]
        pairs = sorted({(t["A"], t[self._letter]) for t in types})
        return listed + [(self._finish, {"A": a, self._letter: out}) for a, out in pairs]


def reduced_shape(shape: tuple[int, ...], dim: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    """Return the shape of a reduction over the axes `dim`."""
    if keepdim:
        return tuple(1 if d in dim else n for d, n in enumerate(shape))
    if len(dim) == len(shape):
        return ()
    return tuple(n for d, n in enumerate(shape) if d not in dim)


def with_reduced_axes(a: Array, ndim: int, dim: tuple[int, ...], keepdim: bool) -> Array:
    """Return a view of a reduction's result that broadcasts against what was reduced."""
    if keepdim or a.ndim == 0:
        return a
    return a[tuple(None if d in dim else slice(None) for d in range(ndim))]


def memory_order(arrays: Sequence[Array]) -> tuple[int, ...] | None:
    """Return the axes by decreasing stride, or None where the order of the axes is as good."""
    if any(a.flags.c_contiguous for a in arrays):
        return None
    strides = arrays[0].strides
    return tuple(sorted(range(len(strides)), key=lambda d: -abs(strides[d])))


def in_memory_order(
    kernel: Kernel, whole: Sequence[Array], small: Sequence[Array], *scalars: float
) -> Array:
    """Call an elementwise kernel so that neighbouring threads meet neighbouring elements.

    Args:
        kernel: An `ElementwiseKernel`.
        whole: The first inputs, all of the full shape.
        small: The next inputs, 0-d or with axes of length 1 where they broadcast.
        scalars: The last inputs.

    Returns:
        What the kernel returns: arrays of the full shape. For a transposed input they are
        transposed too.
    """
    axes = memory_order(whole)
    if axes is None:
        return kernel(*whole, *small, *scalars)
    outputs = kernel(
        *(a.transpose(axes) for a in whole),
        *(a.transpose(axes) if a.ndim else a for a in small),
        *scalars,
    )
    back = sorted(range(len(axes)), key=axes.__getitem__)
    if isinstance(outputs, tuple):
        return tuple(a.transpose(back) for a in outputs)
    return outputs.transpose(back)
