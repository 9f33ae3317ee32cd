"""Reductions of expressions: the term and what becomes of the result are lines of CUDA C."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import cupy
import numpy as np

from gradcore_kernels.elementwise import FUNCTIONS
from gradcore_kernels.reduction import Array, Reduction

__all__ = ["FusedReduction"]

_JOINS: Final = {
    "sum": "a + b",
    "prod": "a * b",
    "max": "a > b || a != a ? a : b",
    "min": "a < b || a != a ? a : b",
    "any": "a | b",
    "all": "a & b",
}
_IDENTITIES: Final = {"sum": "0", "prod": "1", "any": "0", "all": "1"}


def _bound(function: str, dtype: str) -> str:
    """The neutral element of a maximum or a minimum."""
    kind = np.dtype(dtype).kind
    if kind == "f":
        return "-CUDART_INF" if function == "max" else "CUDART_INF"
    limits = np.iinfo(dtype)
    value = int(limits.min if function == "max" else limits.max)
    # C has no literal for the least number.
    return f"{value + 1}ll - 1" if value < 0 else f"{value}{'ull' if kind == 'u' else 'll'}"


def _state(dtype: str) -> str:
    """The dtype of what is accumulated: whole words, of which threads hand each other."""
    if dtype == "float16":
        return "float32"
    return "int32" if np.dtype(dtype).itemsize < 4 else dtype


@final
class FusedReduction:
    """A reduction of an elementwise expression of arrays and a number, of given dtypes.

    Args:
        name: The kernel's name; it begins with `gc_`.
        function: `"sum"`, `"prod"`, `"max"`, `"min"`, `"any"` or `"all"`.
        dtype: Of the expression.
        inputs: The dtype of each input, by its name; None is a Python number (a double), of which
            there may be one. Names end in `_`.
        term: CUDA C that assigns to `term_` from the inputs.
        output: The dtype of the result.
        finish: CUDA C that assigns to `y_` from the reduction `a_`, and the number.
    """

    __slots__ = ("_arrays", "_number", "_reduction")

    def __init__(
        self,
        name: str,
        function: str,
        dtype: str,
        inputs: Mapping[str, str | None],
        term: str,
        output: str,
        finish: str,
    ) -> None:
        self._arrays = [i for i, d in enumerate(inputs.values()) if d is not None]
        self._number = [i for i, d in enumerate(inputs.values()) if d is None]
        letters = {n: f"T{i or ''}" for i, n in enumerate(n for n, d in inputs.items() if d)}
        taken = [f"const {letter}& {n}" for n, letter in letters.items()]
        number = [n for n, d in inputs.items() if d is None] or ["scalar_"]
        state = _state(dtype)
        types = {letter: str(inputs[n]) for n, letter in letters.items()}
        self._reduction = Reduction(
            name,
            ", ".join(f"{letter} {n}" for n, letter in letters.items()),
            [types | {"U": output, "A": state}],
            term=f"gc_term({', '.join([*letters, 'scalar'])})",
            join=_JOINS[function],
            identity=_IDENTITIES.get(function) or _bound(function, state),
            result="gc_finish(a, scalar)",
            state=f"""{FUNCTIONS}
typedef A gc_state;
__device__ inline gc_state gc_term({", ".join([*taken, f"const double {number[0]}"])}) {{
  gc_state term_;
{term}
  return term_;
}}
__device__ inline U gc_finish(const gc_state &a_, const double {number[0]}) {{
  U y_;
{finish}
  return y_;
}}
""",
        )

    def __call__(
        self, *inputs: Any, dim: tuple[int, ...], shape: tuple[int, ...], out: tuple[int, ...]
    ) -> Array:
        """Reduce.

        Args:
            inputs: Arrays and the number, in order.
            dim: The axes, sorted, none negative.
            shape: That to which the arrays broadcast.
            out: That of the result: `shape` with 1 for some of the axes, and without the others.
        """
        arrays = [inputs[i] for i in self._arrays]
        arrays = [a if a.shape == shape else cupy.broadcast_to(a, shape) for a in arrays]
        scalar = inputs[self._number[0]] if self._number else 0.0
        return self._reduction(*arrays, dim=dim, shape=out, scalar=scalar)

    def kernels(self) -> Sequence[Any]:
        """Return the kernel with the dtypes of its letters."""
        return self._reduction.kernels()
