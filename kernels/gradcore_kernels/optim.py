"""Steps of optimisers over all parameters in one launch.

The arrays that stay from step to step, parameters and state, stand in a table on the device, made
once. The gradients are new in every step: their pointers travel with the launch, as do the numbers
of the step, in one struct that is passed by value. So a step copies nothing and waits for nothing.

Arrays are cut into chunks, and each block takes one. Arithmetic is that of `W`: float16 parameters
are stepped in float32; they and their state are rounded as they are stored.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, final

import cupy
import numpy as np

from gradcore_kernels.cuda_types import ACCUMULATOR, PREAMBLE, REAL, REAL_COUNTERPART
from gradcore_kernels.raw import RawKernel

__all__ = ["ADAM", "ADAM_AMSGRAD", "SGD", "SGD_MOMENTUM", "Steps", "Update", "Zeros", "kernels"]

# CuPy is not typed: a cupy.ndarray, and an ElementwiseKernel.
Array: TypeAlias = Any
Kernel: TypeAlias = Any

MOST: Final = 480
"""Gradients a launch takes: a kernel's parameters have 4 KiB, and a pointer takes 8 bytes of it."""

_BLOCK: Final = 256
# With the least chunk each thread of a block has one vector of float32. Longer chunks keep the
# table short, and still give every multiprocessor of a large GPU dozens of blocks.
_LEAST_CHUNK: Final = 1024
_MOST_CHUNK: Final = 16384
_MANY_BLOCKS: Final = 8192

_LOOP: Final = r"""
struct alignas(16) gc_vector { T v[16 / sizeof(T)]; };
struct gc_now { W options[OPTIONS]; T *gradients[MOST]; };

// A row: the size of its arrays, the number of their first block, and where they are. After the
// rows the table has for each block the number of its row.
extern "C" __global__ void __launch_bounds__(BLOCK) NAME(
    const long long *table, long long rows, long long chunk, const gc_now now) {
  const long long number = table[rows * (2 + COUNT) + blockIdx.x];
  T *const gradient = now.gradients[number];
  if (gradient == nullptr) return;
  const long long *const row = table + number * (2 + COUNT);
  const long long start = (blockIdx.x - row[1]) * chunk;
  const long long count = min(chunk, row[0] - start);
  T *a[1 + COUNT] = {gradient + start};
  size_t address = (size_t)a[0];
#pragma unroll
  for (int k = 1; k <= COUNT; ++k) {
    a[k] = (T *)row[1 + k] + start;
    address |= (size_t)a[k];
  }
  if (address % 16) {
    for (long long i = threadIdx.x; i < count; i += BLOCK) NAME_step(ELEMENTS, now.options);
    return;
  }
  const int width = 16 / sizeof(T);
  long long i = threadIdx.x * width;
  for (; i + width <= count; i += BLOCK * width) {
    gc_vector b[1 + COUNT];
#pragma unroll
    for (int k = 0; k <= COUNT; ++k) b[k] = *(const gc_vector *)(a[k] + i);
#pragma unroll
    for (int j = 0; j < width; ++j) NAME_step(LANES, now.options);
#pragma unroll
    for (int k = WRITTEN; k <= COUNT; ++k) *(gc_vector *)(a[k] + i) = b[k];
  }
  // One thread may have a vector that is cut short; all others are past the end.
  for (; i < count; ++i) NAME_step(ELEMENTS, now.options);
}
"""


@final
class Update:
    """What is done to each element of a parameter and its state, given that of the gradient.

    Args:
        name: The kernel's name.
        arrays: The names of the arrays that are changed: the parameter, and its state.
        options: The names of the numbers of a step, which are the same for all elements.
        body: Changes `p`, and the others by their names, given `g`: references of type `T`. The
            options are constants of type `W`.
    """

    __slots__ = ("_one", "arrays", "kernel", "options")

    def __init__(
        self, name: str, arrays: tuple[str, ...], options: tuple[str, ...], body: str
    ) -> None:
        self.arrays = arrays
        self.options = options
        count = len(arrays)
        letters = ("g", *arrays)
        unpacked = "".join(f"  const W {o} = o[{n}];\n" for n, o in enumerate(options))
        step = (
            f"__device__ inline void {name}_step("
            + ", ".join(f"T &{letter}" for letter in letters)
            + f", const W *o) {{\n{unpacked}{body}}}\n"
        )
        loop = _LOOP
        for word, text in {
            "ELEMENTS": ", ".join(f"a[{k}][i]" for k in range(count + 1)),
            "LANES": ", ".join(f"b[{k}].v[j]" for k in range(count + 1)),
            "OPTIONS": str(len(options)),
            "WRITTEN": str(int(count > 0)),
            "COUNT": str(count),
            "BLOCK": str(_BLOCK),
            "MOST": str(MOST),
            "NAME": name,
        }.items():
            loop = loop.replace(word, text)
        types = [{"T": t} for t in REAL] if count else [{"T": "uint8"}]
        self.kernel = RawKernel(name, "typedef gc_types<T>::work W;\n" + step + loop, types)
        self._one: Kernel = None
        if count:
            self._one = cupy.ElementwiseKernel(
                "T g_, " + ", ".join(f"float64 {o}_" for o in options),
                ", ".join(f"T {a}_" for a in arrays),
                f"T g = g_; const W o[] = {{{', '.join(f'W({o}_)' for o in options)}}}; "
                f"{name}_step(g, {', '.join(f'{a}_' for a in arrays)}, o)",
                f"{name}_one",
                preamble=PREAMBLE + step,
            )

    def one(self, g: Array, arrays: Sequence[Array], options: Sequence[float]) -> None:
        """Change arrays of any strides, all of one shape and dtype, in one launch (complex: two).

        Args:
            g: The gradient.
            arrays: As many as the update has.
            options: Likewise.
        """
        if g.dtype.kind == "c":
            self.one(g.real, [a.real for a in arrays], options)
            self.one(g.imag, [a.imag for a in arrays], options)
            return
        strides = arrays[0].strides
        # Neighbouring threads are to meet neighbouring elements.
        axes = sorted(range(len(strides)), key=lambda d: -abs(strides[d]))
        self._one(g.transpose(axes), *options, *[a.transpose(axes) for a in arrays])

    def kernels(self) -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
        """Return the kernels, once for each choice of dtypes."""
        listed: list[tuple[Kernel | RawKernel, dict[str, str]]] = []
        listed += [(self.kernel, t) for t in self.kernel.types]
        if self._one is not None:
            listed += [(self._one, t | {"A": ACCUMULATOR[t["T"]]}) for t in self.kernel.types]
        return listed


@final
class _Table:
    """Where the rows of arrays are that one launch changes, for every `MOST` of them.

    Args:
        update: What is done to them.
        dtype: Of all arrays.
        sizes: The number of elements, by row.
        rows: The arrays of each row but the gradient, C-contiguous and of its size.

    The table is made on the current device and stream: one copy from the host.
    """

    __slots__ = ("_launches",)

    def __init__(
        self, update: Update, dtype: str, sizes: Sequence[int], rows: Sequence[Sequence[Array]]
    ) -> None:
        real = REAL_COUNTERPART.get(dtype, dtype)
        per_element = 2 if dtype.startswith("complex") else 1
        function = update.kernel(real)
        work = np.dtype(ACCUMULATOR.get(real, real))
        now = np.dtype(
            [("options", work, len(update.options)), ("gradients", np.uint64, MOST)], align=True
        )
        self._launches: list[tuple[Any, ...]] = []
        for first in range(0, len(sizes), MOST):
            here = slice(first, first + MOST)
            size = np.array(sizes[here], np.int64) * per_element
            chunk = _LEAST_CHUNK
            while chunk < _MOST_CHUNK and size.sum() > chunk * _MANY_BLOCKS:
                chunk *= 2
            blocks = -(-size // chunk)
            total = int(blocks.sum())
            if not total:
                continue
            head = np.empty((len(size), 2 + len(update.arrays)), np.int64)
            head[:, 0] = size
            head[:, 1] = blocks.cumsum() - blocks
            for line, row in zip(head, rows[here], strict=True):
                line[2:] = [a.data.ptr for a in row]
            owner = np.repeat(np.arange(len(size)), blocks)
            table = cupy.asarray(np.concatenate([head.reshape(-1), owner]))
            step = np.zeros((), now)
            # This scalar is a view, which CuPy passes by value in half the time of an array.
            arguments = (table, len(size), chunk, step[()])
            self._launches.append(
                (function, (total,), arguments, step["options"], step["gradients"], here)
            )

    def __call__(self, gradients: Sequence[int], options: Sequence[float]) -> None:
        """Launch, with the address of each row's gradient; 0 leaves the row as it is."""
        for function, grid, arguments, numbers, pointers, here in self._launches:
            given = gradients[here]
            if any(given):
                numbers[:] = options
                pointers[: len(given)] = given
                function(grid, (_BLOCK,), arguments)


@final
class Steps:
    """The steps of one update: what a launch needs is made anew only where arrays are new.

    Args:
        update: What a step does.
    """

    __slots__ = ("_ids", "_places", "_rows", "_stream", "_table", "_update")

    def __init__(self, update: Update) -> None:
        self._update = update
        self._ids: list[int] = []
        self._rows: Sequence[Sequence[Array]] = ()
        self._places: list[int | None] = []
        self._stream = -1
        self._table: Any = None

    def __call__(
        self,
        rows: Sequence[Sequence[Array]],
        gradients: Mapping[int, Array],
        options: Sequence[float],
    ) -> None:
        """Change `rows` on the current device and stream: all in one launch.

        Those of which an array, or the gradient, is not C-contiguous have a launch each.

        Args:
            rows: Of each parameter its array and those of its state; one dtype, no array twice.
            gradients: By number of the row; rows without one stay as they are.
            options: The numbers of the step.
        """
        stream = cupy.cuda.get_current_stream().ptr
        ids = [id(a) for row in rows for a in row]
        # The table belongs to its stream, so that its memory is not used again too early.
        if ids != self._ids or stream != self._stream:
            self._prepare(rows, ids, stream)
        pointers = [0] * len(rows)
        for number, g in gradients.items():
            place = self._places[number]
            if place is not None and g.flags.c_contiguous:
                pointers[place] = g.data.ptr
            elif g.size:
                self._update.one(g, rows[number], options)
        self._table(pointers, options)

    def _prepare(self, rows: Sequence[Sequence[Array]], ids: list[int], stream: int) -> None:
        for row in rows:
            if any(a.dtype != row[0].dtype or a.shape != row[0].shape for a in row):
                kinds = " and ".join(f"{a.shape} {a.dtype}" for a in row)
                raise ValueError(f"a parameter and its state differ in shape or dtype: {kinds}.")
        flat = [row for row in rows if all(a.flags.c_contiguous for a in row)]
        place = {id(row): number for number, row in enumerate(flat)}
        dtype = rows[0][0].dtype.name
        self._table = _Table(self._update, dtype, [row[0].size for row in flat], flat)
        self._places = [place.get(id(row)) for row in rows]
        self._rows = rows  # keeps the arrays, so that no other can get one of these ids
        self._ids, self._stream = ids, stream


@final
class Zeros:
    """Fills arrays with zeros again and again: all in one launch."""

    __slots__ = ("_sizes", "_stream", "_table")

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._stream = -1
        self._table: Any = None

    def __call__(self, arrays: Sequence[Array]) -> None:
        """Fill arrays without gaps, of any dtypes, on the current device and stream."""
        stream = cupy.cuda.get_current_stream().ptr
        sizes = [a.nbytes for a in arrays]
        if sizes != self._sizes or stream != self._stream:
            self._table = _Table(ZERO, "uint8", sizes, [()] * len(sizes))
            self._sizes, self._stream = sizes, stream
        self._table([a.data.ptr for a in arrays], (0,))


# Weight decay either adds to g, or has shrunk p: where there is none, decay is 0, shrink is 1.
# With m + (1 - beta1) (g - m), m stays g where it is g.
_ADAM_BODY: Final = """
  const W before = W(p) * shrink;
  W slope = W(g) * sign;
  if (decay != W(0)) slope = slope + decay * before;
  const W mean = W(m) + (slope - W(m)) * gain_m;
  const W square = W(v) * keep_v + slope * slope * gain_v;
  m = T(mean);
  v = T(square);
  %s
  p = T(before - mean / (sqrt(%s) / root + eps) * rate);
"""
_ADAM_OPTIONS: Final = (
    *("sign", "shrink", "decay", "gain_m", "keep_v", "gain_v", "root", "eps", "rate"),
)

ADAM: Final = Update("gc_adam", ("p", "m", "v"), _ADAM_OPTIONS, _ADAM_BODY % ("", "square"))
ADAM_AMSGRAD: Final = Update(
    "gc_adam_amsgrad",
    ("p", "m", "v", "top"),
    _ADAM_OPTIONS,
    # The maximum keeps a NaN, whichever side it is on.
    _ADAM_BODY
    % (
        "const W most = square > W(top) || square != square ? square : W(top); top = T(most);",
        "most",
    ),
)

SGD: Final = Update(
    "gc_sgd",
    ("p",),
    ("sign", "decay", "lr"),
    """
  W slope = W(g) * sign;
  if (decay != W(0)) slope = slope + W(p) * decay;
  p = T(W(p) - slope * lr);
""",
)
# Nesterov's step is lr slope + ahead move, with ahead = lr momentum.
SGD_MOMENTUM: Final = Update(
    "gc_sgd_momentum",
    ("p", "m"),
    ("sign", "decay", "lr", "momentum", "gain", "first", "ahead"),
    """
  W slope = W(g) * sign;
  if (decay != W(0)) slope = slope + W(p) * decay;
  const W move = first != W(0) ? slope : W(m) * momentum + slope * gain;
  m = T(move);
  p = T(ahead != W(0) ? W(p) - slope * lr - move * ahead : W(p) - move * lr);
""",
)

# Of the gradients themselves, counted in bytes.
ZERO: Final = Update("gc_zero", (), ("value",), "  g = T(value);\n")


def kernels() -> list[tuple[Kernel | RawKernel, dict[str, str]]]:
    """Return every kernel of this module, once for each choice of dtypes."""
    listed = []
    for update in (ADAM, ADAM_AMSGRAD, SGD, SGD_MOMENTUM, ZERO):
        listed += update.kernels()
    return listed
