"""BatchedArray: the arrays of all samples of a batch in one, which look like that of a single one.

Each `vmap` that runs is a *level*. A BatchedArray belongs to one: its `inner` array has the batch
for its first dimension, which its own `shape` leaves out. Inside another vmap the inner array is
itself one, of a level that began earlier; at the bottom are arrays of NumPy or CuPy. An array that
is the same for all samples is just that array: to make it a batched one would only cost memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from types import SimpleNamespace
from typing import Any, Final, NoReturn

from ..errors import BatchingError, GradcoreError

__all__ = [
    "BatchedArray",
    "Level",
    "NotBatched",
    "belongs",
    "bottom",
    "deepest",
    "levels",
    "levels_of",
    "new_level",
    "running_below",
    "taken",
]


class NotBatched(GradcoreError, TypeError):
    """There is no reading for batches: it must be done sample by sample."""


class ReadsValues(BatchingError, NotBatched):
    """The values of the samples are asked for, as if there were one."""


CONTROL_FLOW: Final = (
    "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. "
    "We don't support that yet: use gradcore.where, or take it out of vmap."
)
ITEM: Final = (
    "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling "
    ".item() on a Tensor, please try to rewrite what you're doing with other operations."
)
STORAGE: Final = (
    "Cannot access data pointer of Tensor that doesn't have storage: inside vmap a Tensor stands "
    "for those of all samples, so that its values cannot be read."
)
MASK: Final = (
    "vmap: We do not support batching operators that can support dynamic shape. Attempting to "
    "batch over indexing with a boolean mask."
)
IN_PLACE: Final = (
    "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor "
    "`other` in extra_args that has more elements than `self`. This happened due to `other` being "
    "vmapped over but `self` not being vmapped over in a vmap. Please try to use out-of-place "
    "operators instead of inplace arithmetic."
)
SHARED: Final = (
    "unsupported operation: more than one element of the written-to tensor refers to a single "
    "memory location. Please clone() the tensor before performing the operation."
)
RANDOM: Final = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
    "'different' randomness flags on vmap or perform the randomness operation out of vmap"
)


class Level:
    """The extent of one vmap.

    Attributes:
        number: grows with every level that begins.
        size: how many samples there are.
        randomness: `"error"`, `"same"` or `"different"`.
        devices: by the device of what is inside, that of the batches of this level; see
            `device.py`.
    """

    __slots__ = ("devices", "number", "randomness", "size")

    _numbers = count()

    def __init__(self, size: int, randomness: str) -> None:
        self.number = next(Level._numbers)
        self.size = size
        self.randomness = randomness
        self.devices: dict[Any, Any] = {}

    def end(self) -> None:
        """Drop the devices, which refer to the level in turn: what needs one finds it anew."""
        for device in self.devices.values():
            device.types.clear()
        self.devices.clear()


_levels: ContextVar[tuple[Level, ...]] = ContextVar("gradcore_batches", default=())

levels: Final = _levels.get
"""The levels that run in this thread or task, the outermost first."""


@contextmanager
def new_level(size: int, randomness: str = "error") -> Iterator[Level]:
    """Within it a new level runs, inside those that do."""
    level = Level(size, randomness)
    token = _levels.set((*_levels.get(), level))
    try:
        yield level
    finally:
        _levels.reset(token)
        level.end()


@contextmanager
def running_below(level: Level) -> Iterator[None]:
    """Within it only the levels run that began before `level`."""
    token = _levels.set(tuple([v for v in _levels.get() if v.number < level.number]))
    try:
        yield
    finally:
        _levels.reset(token)


_FLAGS: Final = SimpleNamespace(
    c_contiguous=True, f_contiguous=False, forc=True, writeable=True, owndata=False
)


class BatchedArray:
    """See the text of the module. Operators and the methods of arrays come with the Namespace.

    Attributes:
        level: which vmap it belongs to.
        inner: the arrays of all samples, along the first dimension.
        shape: that of the array of a sample.
        dtype: the element type.
    """

    __slots__ = ("dtype", "inner", "level", "shape")

    __array_ufunc__ = None  # arrays leave `array + batched` to __radd__
    __hash__ = None  # type: ignore[assignment]

    dtype: Any
    inner: Any
    level: Level
    shape: tuple[int, ...]

    def __init__(self, level: Level, inner: Any) -> None:
        self.level = level
        self.inner = inner
        self.shape = inner.shape[1:]
        self.dtype = inner.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions of a sample."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements of a sample."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements of a sample."""
        return self.size * self.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """The steps in memory from one element of a sample to the next."""
        steps: tuple[int, ...] = self.inner.strides[1:]
        return steps

    @property
    def flags(self) -> Any:
        """What forwards ask for that choose how to run."""
        return _FLAGS

    @property
    def base(self) -> Any:
        """Not None: the memory belongs to the inner array."""
        return self.inner

    def __len__(self) -> int:
        return self.shape[0]

    def __bool__(self) -> NoReturn:
        raise ReadsValues(CONTROL_FLOW)

    def item(self, *_: Any) -> NoReturn:
        """Raise what PyTorch does: there are as many values as samples."""
        raise ReadsValues(ITEM)

    __float__ = __int__ = __complex__ = __index__ = item

    def tolist(self) -> NoReturn:
        """As `item`."""
        raise ReadsValues(STORAGE)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotBatched("a function of NumPy meets a batch.")

    def __iter__(self) -> NoReturn:
        raise NotBatched("a loop goes over a batch.")

    def __getattr__(self, name: str) -> NoReturn:
        raise _no_attribute(name)

    def __repr__(self) -> str:
        return f"BatchedArray({self.level.number}, {self.inner!r})"


class _NoAttribute(NotBatched, AttributeError):
    """Both, so that `hasattr` gives False."""


def _no_attribute(name: str) -> NotBatched:
    return _NoAttribute(f"batches have no {name}.")


def deepest(values: Iterable[Any]) -> Level | None:
    """The level that began last among those of all BatchedArrays in `values`, nested ones too."""
    found: Level | None = None
    for value in values:
        kind = value.__class__
        if kind is BatchedArray:
            level = value.level
        elif kind is tuple or kind is list:
            level = deepest(value)
        else:
            continue
        if level is not None and (found is None or level.number > found.number):
            found = level
    return found


def belongs(value: Any, level: Level) -> bool:
    """True for a BatchedArray of that level, not counting those inside it."""
    return value.__class__ is BatchedArray and value.level is level


def bottom(value: Any) -> Any:
    """The array of NumPy or CuPy inside `value`."""
    while value.__class__ is BatchedArray:
        value = value.inner
    return value


def levels_of(value: Any) -> list[Level]:
    """The levels of a BatchedArray and of those inside it, the deepest first."""
    found = []
    while value.__class__ is BatchedArray:
        found.append(value.level)
        value = value.inner
    return found


def taken(value: Any, level: Level, number: int) -> Any:
    """What `value`, with all that is in it, is for one sample of a level."""
    kind = value.__class__
    if kind is BatchedArray and value.level is level:
        return value.inner[(number, ...)]
    if kind is tuple or kind is list:
        return kind([taken(v, level, number) for v in value])
    return value
