"""Functions of the namespace, where CuPy's is missing or differs from NumPy's.

They have NumPy's names and signatures, and take arrays and Python numbers.
"""

from collections.abc import Callable
from typing import Any, Final

import cupy

from gradcore_kernels.cuda_types import PREAMBLE, REAL
from gradcore_kernels.elementwise import FUNCTIONS
from gradcore_kernels.reduction import Array, Kernel


def _real(name: str) -> Kernel:
    return cupy.ElementwiseKernel(
        "T a, T b",
        "T y",
        f"y = T(fn_{name}(W(a), W(b)))",
        f"gc_{name}",
        preamble=FUNCTIONS + PREAMBLE,
    )


# CuPy's are a - floor(a / b) * b and floor(a / b): nan where b is infinite, and not exact where the
# quotient rounds up to a whole number.
_REMAINDER: Final = _real("remainder")
_FLOOR_DIVIDE: Final = _real("floor_divide")


def _division(kernel: Kernel, otherwise: Callable[..., Array]) -> Callable[[Any, Any], Array]:
    def divide(a: Any, b: Any) -> Array:
        dtype = cupy.result_type(a, b)
        if dtype.kind != "f":
            return otherwise(a, b)
        return kernel(*(cupy.asarray(v, dtype) if hasattr(v, "dtype") else v for v in (a, b)))

    return divide


remainder: Final = _division(_REMAINDER, cupy.remainder)
"""The rest of `floor_divide`; it has the sign of `b`. Of integers divided by 0 it is 0."""
floor_divide: Final = _division(_FLOOR_DIVIDE, cupy.floor_divide)
"""The quotient rounded down. Of integers divided by 0 it is 0."""


def power(a: Any, b: Any) -> Array:
    """Return `a ** b`.

    Raises:
        ValueError: `a` is of integers and `b` a negative int. (An array of negative ones, which
            NumPy refuses too, would have to be looked at: there it gives 0, 1 or -1.)
    """
    if isinstance(b, int) and b < 0 and a.dtype.kind in "iu":
        raise ValueError("Integers to negative integer powers are not allowed.")
    return a**b


def broadcast_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Return a view of `x` of this shape.

    Raises:
        ValueError: It does not broadcast, or a length is negative, which CuPy lets pass.
    """
    if min(shape, default=0) < 0:
        raise ValueError(f"all elements of the shape must be non-negative, not {shape}")
    return cupy.broadcast_to(x, shape)


def _truth(v: Any) -> Any:
    """Numbers that CuPy's logical functions take; they know none that are complex."""
    if hasattr(v, "dtype"):
        return v != 0 if v.dtype.kind == "c" else v
    return v != 0 if isinstance(v, complex) else v


def logical_and(a: Any, b: Any) -> Array:
    """Return whether both are not 0."""
    return cupy.logical_and(_truth(a), _truth(b))


def logical_or(a: Any, b: Any) -> Array:
    """Return whether one is not 0."""
    return cupy.logical_or(_truth(a), _truth(b))


def logical_xor(a: Any, b: Any) -> Array:
    """Return whether just one is not 0."""
    return cupy.logical_xor(_truth(a), _truth(b))


def logical_not(x: Array) -> Array:
    """Return whether it is 0."""
    return cupy.logical_not(_truth(x))


def kernels() -> list[tuple[Kernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    return [(kernel, {"T": t}) for kernel in (_REMAINDER, _FLOOR_DIVIDE) for t in REAL]
