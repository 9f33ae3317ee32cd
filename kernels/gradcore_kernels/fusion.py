"""Kernels from lines of CUDA C that reduce: several reductions at once, and chains of them by rows.

`FusedReductions` reduces several expressions over the same axes, as `reduction.py` does one: in one
launch, or two where there are few outputs of many elements. `FusedRows` goes over each row (what is
reduced to one number) once for every reduction that needs the one before, and a last time to
compute elementwise results: in one launch.

In the texts, inputs have their names, and end in `_`; expression k to be reduced is `term{k}_`, its
reduction `a{k}_`.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, final

import cupy
import numpy as np

from gradcore_kernels.elementwise import FUNCTIONS
from gradcore_kernels.raw import CPP_NAMES, RawKernel
from gradcore_kernels.reduction import Array, empty, reduced_shape
from gradcore_kernels.tiles import NULL, TILES, Steps, Tiles, launcher, lay, row_major, tiles

__all__ = ["FusedReductions", "FusedRows", "Pass"]

_JOINS: Final = {
    "sum": "a + b",
    "prod": "a * b",
    "max": "a > b || a != a ? a : b",
    "min": "a < b || a != a ? a : b",
    "any": "a | b",
    "all": "a & b",
}
_IDENTITIES: Final = {"sum": "0", "prod": "1", "any": "0", "all": "1"}

_SHARE: Final = 16
_BLOCK: Final = 256
_MOST: Final = 1024
_FEW: Final = 16384


def _accumulator(dtype: str) -> str:
    """What accumulates a dtype: whole words, of which threads hand each other."""
    if dtype == "float16":
        return "float32"
    return "int32" if np.dtype(dtype).itemsize < 4 else dtype


def _state(dtype: str) -> str:
    """The same in C."""
    return CPP_NAMES[_accumulator(dtype)]


def _identity(function: str, dtype: str) -> str:
    """The neutral element of a reduction, in C."""
    if function in _IDENTITIES:
        return _IDENTITIES[function]
    if np.dtype(dtype).kind == "f":
        return "-CUDART_INF" if function == "max" else "CUDART_INF"
    limits = np.iinfo(_accumulator(dtype))
    value = int(limits.min if function == "max" else limits.max)
    # C has no literal for the least number.
    return f"{value + 1}ll - 1" if value < 0 else f"{value}ull"


def _working(dtype: str) -> str:
    """What a dtype is computed with."""
    return CPP_NAMES["float32" if dtype == "float16" else dtype]


class _Inputs:
    """The inputs of a kernel, as its text needs them.

    Args:
        inputs: The dtype of each, by its name; None is a Python number (a double).
    """

    def __init__(self, inputs: Mapping[str, str | None]) -> None:
        self.places = [i for i, d in enumerate(inputs.values()) if d is not None]
        self.numbers = [i for i, d in enumerate(inputs.values()) if d is None]
        self.arrays = {n: CPP_NAMES[d] for n, d in inputs.items() if d is not None}
        self.parameters = [
            *(f"const char *{n}at" for n in self.arrays),
            *(f"const double {n}" for n, d in inputs.items() if d is None),
        ]

    def read(self, name: str, place: str) -> str:
        """An input's element at a place."""
        number = list(self.arrays).index(name)
        return f"*reinterpret_cast<const {self.arrays[name]} *>({name}at + {place}.at[{number}])"

    def broadcast(self, given: Sequence[Any], shape: tuple[int, ...]) -> list[Array]:
        """The arrays, all of one shape."""
        arrays = [given[i] for i in self.places]
        return [a if a.shape == shape else cupy.broadcast_to(a, shape) for a in arrays]

    def scalars(self, given: Sequence[Any]) -> list[float]:
        """The numbers."""
        return [given[i] for i in self.numbers]


def _join(k: int, function: str, dtype: str) -> str:
    """A function object that joins two states of reduction k."""
    state = _state(dtype)
    return (
        f"struct gc_join{k} {{ __device__ {state} operator()(const {state} &a, const {state} &b) "
        f"const {{ return {_JOINS[function]}; }} }};"
    )


_REDUCTIONS: Final = r"""
#include <cupy/math_constants.h>
JOINS
struct gc_state { MEMBERS };
struct gc_values { VALUES };
struct gc_both {
  __device__ gc_state operator()(const gc_state &a, const gc_state &b) const { return {JOINED}; }
};

// Reduces what is left from place p on, with several loads under way at once.
template <class V, bool one, class Read, class Term>
__device__ gc_state gc_over(gc_place p, const gc_tiles &t, Read read, Term term) {
  const int loads = sizeof(V) >= 16 ? 2 : 4;
  gc_state a = {NEUTRAL}, other = {NEUTRAL};
  for (; p.left > 0; p.left -= loads) {
    V v[loads];
#pragma unroll
    for (int k = 0; k < loads; ++k) {
      if (k < p.left) v[k] = read(p);
      p.template next<one>(t);
    }
#pragma unroll
    for (int k = 0; k < loads; ++k)
      if (k < p.left) (k % 2 ? other : a) = gc_both()(k % 2 ? other : a, term(v[k]));
  }
  return gc_both()(a, other);
}

// Reduces the arrays, or, if the reduced axes are in parts, writes to `to`, and then `from` that.
extern "C" __global__ void __launch_bounds__(1024) NAME(PARAMETERS, const gc_tiles t) {
  const gc_place p(t, (long long)blockIdx.x * blockDim.z + threadIdx.z);
  gc_state a;
  if (from) {
    const auto read = [=](const gc_place &here) { return from[here.at[ARRAYS - 2]]; };
    a = gc_over<gc_state, true>(p, t, read, [=](const gc_state &v) { return v; });
  } else {
    const auto read = [=](const gc_place &here) { return gc_values{READS}; };
    const auto term = [=](const gc_values &v) -> gc_state {
      UNPACKED
      TERM
    };
    a = t.fast == t.n ? gc_over<gc_values, true>(p, t, read, term)
                      : gc_over<gc_values, false>(p, t, read, term);
  }
  a = gc_together(a, gc_both());
  if (!p.inside || threadIdx.y) return;
  if (to) {
    to[blockIdx.y * t.outer * t.inner + p.output] = a;
    return;
  }
  FINISH
}
"""


def _filled(source: str, texts: Mapping[str, str]) -> str:
    for word, text in texts.items():
        source = source.replace(word, text)
    return source


def _declared(types: Mapping[str, str], text: str) -> str:
    """Variables, and the statements that assign to them, which keep their own to themselves."""
    lines = [f"{_working(dtype)} {name};" for name, dtype in types.items()]
    return "\n".join([*lines, "{", text, "}"])


@final
class FusedReductions:
    """Reductions of elementwise expressions over the same axes, for one choice of dtypes.

    Args:
        name: The kernel's name; it begins with `gc_`.
        inputs: The dtype of each input, by its name; None is a Python number (a double).
        reductions: Of each expression how it is reduced (`"sum"`, `"prod"`, `"max"`, `"min"`,
            `"any"` or `"all"`), and its dtype.
        reads: The names of the arrays that the expressions are made of.
        term: CUDA C that assigns to the expressions.
        outputs: The dtype of each result, by its name.
        single: The names of the arrays that `finish` reads: those that are the same along the axes.
        finish: CUDA C that assigns to the results from the reductions, these and the numbers.
    """

    __slots__ = ("_function", "_inputs", "_kernel", "_outputs", "_single", "_size")

    def __init__(
        self,
        name: str,
        inputs: Mapping[str, str | None],
        reductions: Sequence[tuple[str, str]],
        reads: Sequence[str],
        term: str,
        outputs: Mapping[str, str],
        single: Sequence[str],
        finish: str,
    ) -> None:
        self._inputs = taken = _Inputs(inputs)
        self._single = tuple([n in single for n in taken.arrays])
        self._outputs = [np.dtype(d) for d in outputs.values()]
        every = list(enumerate(reductions))
        count = len(taken.arrays) + 2  # the parts, and the results
        written = "\n".join(
            f"{n}at[p.at[{count - 1}]] = ({CPP_NAMES[d]})({n});" for n, d in outputs.items()
        )
        reduced = {f"term{k}_": dtype for k, (_, dtype) in every}
        states = " ".join(f"const {_working(d)} a{k}_ = a.a{k}_;" for k, (_, d) in every)
        returned = ", ".join(f"({_state(d)})(term{k}_)" for k, (_, d) in every)
        source = TILES.replace("ARRAYS", str(count)) + _filled(
            _REDUCTIONS,
            {
                "JOINS": "\n".join(_join(k, *r) for k, r in every),
                "MEMBERS": " ".join(f"{_state(d)} a{k}_;" for k, (_, d) in every),
                "VALUES": " ".join(f"{taken.arrays[n]} {n};" for n in reads),
                "JOINED": ", ".join(f"gc_join{k}()(a.a{k}_, b.a{k}_)" for k, _ in every),
                "NEUTRAL": ", ".join(f"({_state(d)})({_identity(f, d)})" for _, (f, d) in every),
                "NAME": name,
                "PARAMETERS": ", ".join(
                    [
                        *taken.parameters,
                        "const gc_state *from, gc_state *to",
                        *(f"{CPP_NAMES[d]} *{n}at" for n, d in outputs.items()),
                    ]
                ),
                "READS": ", ".join(taken.read(n, "here") for n in reads),
                "UNPACKED": " ".join(f"const {taken.arrays[n]} {n} = v.{n};" for n in reads),
                "TERM": f"{_declared(reduced, term)}\nreturn {{{returned}}};",
                "ARRAYS": str(count),
                "FINISH": "\n".join(
                    [
                        states,
                        *(f"const {taken.arrays[n]} {n} = {taken.read(n, 'p')};" for n in single),
                        _declared(outputs, finish),
                        written,
                    ]
                ),
            },
        )
        self._kernel = RawKernel(name, FUNCTIONS + source, [{}])
        self._function: Any = None
        # A struct of them may have gaps.
        self._size = 16 * len(reductions)

    def __call__(
        self, *inputs: Any, dim: tuple[int, ...], shape: tuple[int, ...], out: tuple[int, ...]
    ) -> list[Array]:
        """Reduce.

        Args:
            inputs: Arrays and numbers, in order. The layout of the first array decides.
            dim: The axes, sorted, none negative.
            shape: That to which the arrays broadcast.
            out: That of the results: `shape` with 1 for some of the axes, and without the others.
        """
        arrays = self._inputs.broadcast(inputs, shape)
        made = [empty(out, dtype) for dtype in self._outputs]
        if not made[0].size:
            return made
        first, second = _two(shape, dim, self._single, *[a.strides for a in arrays])
        if first is None:
            order = (*(d for d in range(len(shape)) if d not in dim), *dim)
            given = list(inputs)
            for place, a in zip(self._inputs.places, arrays, strict=True):
                given[place] = cupy.ascontiguousarray(a.transpose(order))
            inner = tuple(range(len(shape) - len(dim), len(shape)))
            return self(*given, dim=inner, shape=tuple([shape[d] for d in order]), out=out)
        if self._function is None:
            self._function = launcher(self._kernel)
        launch = self._function
        given = [*arrays, *self._inputs.scalars(inputs)]
        if second is None:
            launch(first.grid, first.block, (*given, NULL, NULL, *made, first.argument))
            return made
        part = empty((first.grid[1] * made[0].size * self._size,), np.uint8)
        launch(first.grid, first.block, (*given, NULL, part, *made, first.argument))
        launch(second.grid, second.block, (*given, part, NULL, *made, second.argument))
        return made

    def kernels(self) -> list[tuple[RawKernel, dict[str, str]]]:
        """Return the kernel with the dtypes of its letters, of which there are none."""
        return [(self._kernel, {})]


@functools.lru_cache(maxsize=4096)
def _two(
    shape: tuple[int, ...],
    dim: tuple[int, ...],
    single: tuple[bool, ...],
    *strides: tuple[int, ...],
) -> tuple[Tiles | None, Tiles | None]:
    """One or two launches; none where the axes cannot be merged.

    In the second one the arrays that are `single` are read as in the first.
    """
    kept = iter(row_major(reduced_shape(shape, dim, False)))
    out = tuple([0 if d in dim else next(kept) for d in range(len(shape))])
    nothing = (0,) * len(shape)
    first = tiles(shape, dim, _SHARE, _BLOCK, _FEW, *strides, nothing, out)
    if first is None or first.grid[1] == 1:
        return first, None
    splits, outer, inner = first.grid[1], first.outer, first.inner
    steps = [
        Steps(outer=s.outer, inner=s.inner) if one else Steps()
        for s, one in zip(first.steps, single, strict=False)
    ]
    steps += [Steps(outer=inner, inner=1, fast=outer * inner), first.steps[-1]]
    return first, lay(outer, inner, splits, splits, steps, inner > 1, _SHARE, _BLOCK, None)


class Pass(NamedTuple):
    """One time over a row.

    Attributes:
        reductions: Of each expression how it is reduced, and its dtype.
        reads: The names of the inputs that differ along the row.
        term: CUDA C that assigns to the expressions.
        values: The dtypes of what is made of the reductions, by name.
        finish: CUDA C that assigns to these.
    """

    reductions: tuple[tuple[str, str], ...]
    reads: tuple[str, ...]
    term: str
    values: tuple[tuple[str, str], ...]
    finish: str


_ROWS: Final = r"""
#include <cupy/math_constants.h>
JOINS
extern "C" __global__ void __launch_bounds__(1024) NAME(PARAMETERS, const gc_tiles t) {
  __shared__ double room[GC_ROOM(LARGEST)];
  const gc_place start(t, (long long)blockIdx.x * blockDim.z + threadIdx.z);
  ONCE
  PASSES
  LAST
}
"""

_OVER: Final = r"""
#pragma unroll 4
  for (gc_place p = start; p.left > 0; --p.left) {
    READS
    BODY
    p.next<false>(t);
  }
"""


@final
class FusedRows:
    """Reductions over the same axes that need one another, and elementwise results.

    Args:
        name: The kernel's name; it begins with `gc_`.
        inputs: The dtype of each input, by its name; None is a Python number (a double).
        single: The names of the inputs that are the same along a row.
        passes: In order; reductions are numbered through.
        reads: The names of the inputs that the elementwise results read along the row.
        maps: The dtype of each elementwise result, by its name.
        body: CUDA C that assigns to these.
        rows: The dtype of each result of one number a row, by its name.
        end: CUDA C that assigns to these.
    """

    __slots__ = ("_function", "_inputs", "_kernel", "_maps", "_rows")

    def __init__(
        self,
        name: str,
        inputs: Mapping[str, str | None],
        single: Sequence[str],
        passes: Sequence[Pass],
        reads: Sequence[str],
        maps: Mapping[str, str],
        body: str,
        rows: Mapping[str, str],
        end: str,
    ) -> None:
        self._inputs = taken = _Inputs(inputs)
        self._maps = [np.dtype(d) for d in maps.values()]
        self._rows = [np.dtype(d) for d in rows.values()]
        outputs = [*maps.items(), *rows.items()]
        count = len(taken.arrays)
        at = {n: count + i for i, (n, _) in enumerate(outputs)}

        def write(n: str, dtype: str, place: str) -> str:
            c = CPP_NAMES[dtype]
            return f"*reinterpret_cast<{c} *>({n}at + {place}.at[{at[n]}]) = ({c})({n});"

        def over(names: Sequence[str], text: str) -> str:
            lines = [f"const {taken.arrays[n]} {n} = {taken.read(n, 'p')};" for n in names]
            return _filled(_OVER, {"READS": "\n".join(lines), "BODY": text})

        joins: list[str] = []
        parts: list[str] = []
        largest = "int"
        for one in passes:
            states, terms, together = [], {}, []
            adds = []
            for function, dtype in one.reductions:
                state, k = _state(dtype), len(joins)
                largest = max(largest, state, key=_bytes)
                joins.append(_join(k, function, dtype))
                states.append(f"{state} part{k}_ = ({state})({_identity(function, dtype)});")
                adds.append(f"part{k}_ = gc_join{k}()(part{k}_, ({state})(term{k}_));")
                together.append(
                    f"const {_working(dtype)} a{k}_ = gc_together(part{k}_, gc_join{k}(), room);"
                )
                terms[f"term{k}_"] = dtype
            text = _declared(terms, one.term) + "\n" + "\n".join(adds)
            parts += [*states, over(one.reads, text), *together]
            parts.append(_declared(dict(one.values), one.finish))
        last = []
        if maps:
            writes = "\n".join(write(n, d, "p") for n, d in maps.items())
            last.append(over(reads, f"{_declared(maps, body)}\n{writes}"))
        if rows:
            writes = "\n".join(write(n, d, "start") for n, d in rows.items())
            text = f"{_declared(rows, end)}\n{writes}"
            last.append(f"if (start.inside && threadIdx.y == 0) {{\n{text}\n}}")
        once = [
            f"{taken.arrays[n]} {n} = {taken.arrays[n]}(); "
            f"if (start.inside) {n} = {taken.read(n, 'start')};"
            for n in single
        ]
        source = TILES.replace("ARRAYS", str(count + len(outputs))) + _filled(
            _ROWS,
            {
                "JOINS": "\n".join(joins),
                "NAME": name,
                "PARAMETERS": ", ".join([*taken.parameters, *(f"char *{n}at" for n in at)]),
                "LARGEST": largest,
                "ONCE": "\n".join(once),
                "PASSES": "\n".join(parts),
                "LAST": "\n".join(last),
            },
        )
        self._kernel = RawKernel(name, FUNCTIONS + source, [{}])
        self._function: Any = None

    def __call__(
        self, *inputs: Any, dim: tuple[int, ...], shape: tuple[int, ...], out: tuple[int, ...]
    ) -> list[Array]:
        """Compute the elementwise results, and then those of one number a row.

        Args:
            inputs: Arrays and numbers, in order. The layout of the first array decides.
            dim: The axes of a row, sorted, none negative.
            shape: That to which the arrays broadcast.
            out: That of the results of one number a row: `shape` with 1 for some of `dim`, and
                without the others.
        """
        arrays = self._inputs.broadcast(inputs, shape)
        maps = [empty(shape, dtype) for dtype in self._maps]
        rows = [empty(out, dtype) for dtype in self._rows]
        made = [*maps, *rows]
        if not all(a.size for a in made):
            return made
        kept = row_major(reduced_shape(shape, dim, False))
        steps = []
        for dtype in self._rows:
            lengths = iter(kept)
            steps.append(
                tuple(
                    [0 if d in dim else next(lengths) * dtype.itemsize for d in range(len(shape))]
                )
            )
        strides = [*(a.strides for a in (*arrays, *maps)), *steps]
        plan = tiles(shape, dim, _SHARE, _MOST, None, *strides)
        if plan is None:
            order = (*(d for d in range(len(shape)) if d not in dim), *dim)
            given = list(inputs)
            for place, a in zip(self._inputs.places, arrays, strict=True):
                given[place] = cupy.ascontiguousarray(a.transpose(order))
            inner = tuple(range(len(shape) - len(dim), len(shape)))
            made = self(*given, dim=inner, shape=tuple([shape[d] for d in order]), out=out)
            back = sorted(range(len(shape)), key=order.__getitem__)
            maps = [a.transpose(back) for a in made[: len(maps)]]
            return [*maps, *made[len(maps) :]]
        if self._function is None:
            self._function = launcher(self._kernel)
        numbers = self._inputs.scalars(inputs)
        self._function(plan.grid, plan.block, (*arrays, *numbers, *made, plan.argument))
        return made

    def kernels(self) -> list[tuple[RawKernel, dict[str, str]]]:
        """Return the kernel with the dtypes of its letters, of which there are none."""
        return [(self._kernel, {})]


def _bytes(c: str) -> int:
    """How many bytes a type of a state has."""
    names = {name: dtype for dtype, name in CPP_NAMES.items()}
    return np.dtype(names[c]).itemsize
