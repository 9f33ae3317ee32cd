"""Sequences of several lengths in one Tensor: with padding, or packed step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ... import dtypes
from ...errors import ArgumentError, ShapeError
from ...ops.assign import index_put
from ...ops.creation import full, tensor
from ...ops.order import argsort
from ...ops.shape import cat
from ...tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences of several lengths, without padding: the first elements of all, then the second ...

    `pack_padded_sequence` and `pack_sequence` make it; `RNN`, `LSTM` and `GRU` take it.

    Args:
        data: `(elements, *)`, step by step, of each step the longest sequence first; or the pair
            of it and `batch_sizes`.
        batch_sizes: how many sequences there are at each step, int64, on the CPU.
        sorted_indices: the places that the sequences had before they were sorted.
        unsorted_indices: the inverse of it, which is the default.

    Raises:
        ArgumentError: `batch_sizes` is not on the CPU, or is missing.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        """Make it."""
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not isinstance(data, list | tuple) or len(data) != 2:
                raise ArgumentError(
                    "PackedSequence: Expected data to be a list or tuple of length 2, the data and "
                    "batch_sizes, where batch_sizes is not given."
                )
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ArgumentError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually. They should be instantiated by functions like pack_sequence "
                "and pack_padded_sequences in nn.utils.rnn."
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data: Tensor, change: Callable[[Tensor], Tensor]) -> Self:
        places = [None if t is None else change(t) for t in self[2:]]
        return type(self)(data, self.batch_sizes, *places)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """It with `data.to(...)`, and the indices on that device; itself if nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return self._with(data, lambda t: t.to(data.device))

    def cuda(self, device: Any = None) -> Self:
        """It on a CUDA device."""
        return self.to("cuda" if device is None else device)

    def cpu(self) -> Self:
        """It on the CPU."""
        return self.to("cpu")

    def pin_memory(self) -> Self:
        """It in memory that a CUDA device copies from at once."""
        return self._with(self.data.pin_memory(), lambda t: t.pin_memory())

    def double(self) -> Self:
        """It with data of float64."""
        return self.to(dtypes.float64)

    def float(self) -> Self:
        """It with data of float32."""
        return self.to(dtypes.float32)

    def half(self) -> Self:
        """It with data of float16."""
        return self.to(dtypes.float16)

    def long(self) -> Self:
        """It with data of int64."""
        return self.to(dtypes.int64)

    def int(self) -> Self:
        """It with data of int32."""
        return self.to(dtypes.int32)

    def short(self) -> Self:
        """It with data of int16."""
        return self.to(dtypes.int16)

    def char(self) -> Self:
        """It with data of int8."""
        return self.to(dtypes.int8)

    def byte(self) -> Self:
        """It with data of uint8."""
        return self.to(dtypes.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory."""
        return self.data.is_pinned()


def _whole(numbers: Any) -> Tensor:
    return tensor(numbers, dtype=dtypes.int64)


def _elements(sizes: Any, device: Any) -> tuple[Tensor, Tensor]:
    """The step and the sequence of each element, where there are `sizes` sequences at the steps."""
    sizes = np.asarray(sizes, np.int64)
    steps = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = np.arange(len(steps)) - starts
    return tensor(steps, device=device), tensor(places, device=device)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The inverse of a permutation `(n)`; None of None."""
    return None if permutation is None else argsort(permutation)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Sequences with padding, packed.

    Args:
        input: `(time, batch, *)`.
        lengths: of the sequences, `(batch)`: a list, or a Tensor on the CPU.
        batch_first: whether `input` is `(batch, time, *)`.
        enforce_sorted: the sequences are sorted, the longest first; if not, they become so.

    Raises:
        ShapeError: the lengths are not as many as the sequences, not sorted, or not in range.
        DimensionError: `input` has no two dimensions.
    """
    if not isinstance(lengths, Tensor):
        lengths = _whole(lengths)
    if lengths.ndim != 1 or lengths.device.type != "cpu":
        raise ShapeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got "
            f"{lengths.ndim}D {lengths.device.type} tensor"
        )
    x = input.transpose(0, 1) if batch_first else input
    time, batch = x.size(0), x.size(1)
    if not x.numel():
        raise ShapeError("Cannot pack empty tensors.")
    counts = lengths.detach().numpy().astype(np.int64)
    if len(counts) != batch:
        raise ShapeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} "
            f"(batch_size={batch})"
        )
    order = None
    if not enforce_sorted:
        found = np.argsort(-counts, kind="stable")
        counts, order = counts[found], tensor(found, device=x.device)
    if (counts <= 0).any():
        raise ShapeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if (np.diff(counts) > 0).any():
        raise ShapeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if counts[0] > time:
        raise ShapeError(
            f"pack_padded_sequence: expected lengths of at most {time}, the sequences with their "
            f"padding, but got {counts[0]}."
        )
    sizes = (counts > np.arange(counts[0])[:, None]).sum(1)
    steps, places = _elements(sizes, x.device)
    data = x[steps, places if order is None else order[places]]
    return PackedSequence(data, tensor(sizes), order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Packed sequences, padded.

    Args:
        sequence: what is packed.
        batch_first: whether the result is `(batch, time, *)`, not `(time, batch, *)`.
        padding_value: of the elements behind the ends.
        total_length: the size of the time; by default that of the longest sequence.

    Returns:
        The sequences in their first order, and their lengths, int64, on the CPU.

    Raises:
        ArgumentError: `total_length` is shorter than a sequence.
    """
    data, counts, _, back = sequence
    sizes = counts.detach().numpy()
    time = len(sizes)
    if total_length is not None:
        if total_length < time:
            raise ArgumentError(
                "Expected total_length to be at least the length of the longest sequence in input, "
                f"but got total_length={total_length} and max sequence length being {time}"
            )
        time = total_length
    steps, places = _elements(sizes, data.device)
    shape = (time, int(sizes[0]), *data.shape[1:])
    room = full(shape, padding_value, dtype=data.dtype, device=data.device)
    padded = index_put(room, (steps, places), data)
    lengths = _whole((sizes[:, None] > np.arange(sizes[0])).sum(0))
    if back is not None:
        padded, lengths = padded.index_select(1, back), lengths[back.cpu()]
    return (padded.transpose(0, 1) if batch_first else padded), lengths


def pad_sequence(
    sequences: Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences of several lengths as one Tensor.

    Args:
        sequences: each `(length, *)`.
        batch_first: whether the result is `(batch, time, *)`, not `(time, batch, *)`.
        padding_value: of the elements that a sequence lacks.
        padding_side: `"right"` or `"left"`.

    Raises:
        ShapeError: there are none, or their other dimensions differ.
        ArgumentError: they are no iterable, or another side.
    """
    if not isinstance(sequences, Iterable):
        raise ArgumentError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    found = tuple(sequences)
    if not found:
        raise ShapeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise ArgumentError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    first = found[0]
    counts = np.array([t.size(0) for t in found])
    time = int(counts.max())
    # Here the sequences are what steps are for packed ones: the first element of each is at 0.
    which, steps = _elements(counts, first.device)
    if padding_side == "left":
        steps = steps + tensor(time - counts, device=first.device)[which]
    shape = (len(found), time, *first.shape[1:])
    room = full(shape, padding_value, dtype=first.dtype, device=first.device)
    padded = index_put(room, (which, steps), cat(found))
    return padded if batch_first else padded.transpose(0, 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences without their padding.

    Args:
        padded_sequences: `(time, batch, *)`; PyTorch leaves it transposed, here it stays as it is.
        lengths: of the sequences, `(batch)`.
        batch_first: whether it is `(batch, time, *)`.

    Raises:
        ArgumentError: the lengths are not as many as the sequences.
    """
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    counts: Sequence[int] = lengths.tolist()
    if len(counts) != len(x):
        raise ArgumentError(
            f"unpad_sequence: expected as many lengths as sequences, {len(x)}, but got "
            f"{len(counts)}."
        )
    return [row[:count] for row, count in zip(x, counts, strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences of several lengths, packed.

    Args:
        sequences: each `(length, *)`.
        enforce_sorted: as of `pack_padded_sequence`.

    Raises:
        ShapeError: there are none, they are not sorted, or their other dimensions differ.
    """
    lengths = [t.size(0) for t in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that are packed, in their first order."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), True)
