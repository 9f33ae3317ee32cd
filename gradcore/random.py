"""Random numbers: one generator per device, seeded together by `manual_seed`."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .batching.array import RANDOM, BatchedArray, levels
from .batching.namespace import batched
from .device import CPU, Array, Device
from .errors import ArgumentError, BatchingError

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


class Generator:
    """A source of random numbers on a device.

    The same seed gives the same numbers again, but not those of PyTorch nor those of the other
    kind of device. On the CPU they are NumPy's, of PCG64. On CUDA they are those of a counter
    (Philox4x32-10): the state is a seed and an offset, and a draw is one kernel that depends on
    nothing else, so it can be captured into a CUDA graph (which then repeats its numbers).

    Args:
        device: where the numbers are made.
    """

    def __init__(self, device: str | Device = CPU) -> None:
        self.device = Device(device).open()
        self._seed = 0
        self.manual_seed(67280421310721)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`, any integer, and return the generator."""
        self._seed = int(seed)
        self._numbers = self.device.backend.random_numbers(self._seed & (2**64 - 1), self.device)
        return self

    def seed(self) -> int:
        """Start again from a seed that nobody knows, and return it."""
        self.manual_seed(_unknown_seed())
        return self._seed

    def initial_seed(self) -> int:
        """The seed it was last started from."""
        return self._seed

    def get_state(self) -> Any:
        """The state, for `set_state` of any generator on this kind of device; it can be pickled."""
        return self.device.type, self._seed, self._numbers.get_state()

    def set_state(self, new_state: Any) -> None:
        """Go back to a state from `get_state`.

        Raises:
            ArgumentError: it is no state, or that of a generator on the other kind of device.
        """
        kind = self.device.type
        if not (isinstance(new_state, tuple) and len(new_state) == 3 and new_state[0] == kind):
            raise ArgumentError(
                f"expected the state of a generator on {kind}, from its get_state(), "
                f"but got {_described(new_state)}."
            )
        _, self._seed, numbers = new_state
        self._numbers.set_state(numbers)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (str(self.device), self.get_state())

    def uniform(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        """A raw array of numbers in [0, 1); of complex numbers both parts are."""
        return _drawn(lambda wide: self._numbers.uniform(wide, np.dtype(dtype)), shape)

    def normal(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        """A raw array of normal numbers of mean 0 and variance 1."""
        return _drawn(lambda wide: self._numbers.normal(wide, np.dtype(dtype)), shape)

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any = np.int64) -> Array:
        """A raw array of integers in [low, high), which are drawn as int64."""
        draw = lambda wide: self._numbers.integers(low, high, wide, np.dtype(dtype))
        return _drawn(draw, shape)

    def permutation(self, n: int, dtype: Any = np.int64) -> Array:
        """A raw array with 0 to n - 1 in random order."""

        def draw(wide: tuple[int, ...]) -> Array:
            rows = math.prod(wide[:-1])
            if len(wide) == 1:
                return self._numbers.permutation(n, np.dtype(dtype))
            if not rows:
                return self._numbers.integers(0, 1, wide, np.dtype(dtype))
            drawn = [self._numbers.permutation(n, np.dtype(dtype)) for _ in range(rows)]
            return batched.reshape(batched.stack(drawn), wide)

        return _drawn(draw, (n,))

    def noise(self, shape: tuple[int, ...], p: float, dtype: Any = np.float32) -> Any:
        """What `dropout` multiplies an array with, in the form that its device has for it."""
        if self.device.kind and levels():  # batches are multiplied with arrays
            kept = self.uniform(shape, np.float32) >= p
            return batched.astype(kept, dtype) * (1.0 / (1.0 - p) if p < 1.0 else 0.0)
        return _drawn(lambda wide: self._numbers.noise(wide, p, np.dtype(dtype)), shape)


def _drawn(draw: Callable[[tuple[int, ...]], Array], shape: tuple[int, ...]) -> Array:
    """What `draw(shape)` gives; inside vmap for each sample, if their numbers are to differ.

    Raises:
        BatchingError: inside vmap no numbers may be drawn.
    """
    running = levels()
    if not running:
        return draw(shape)
    if any(level.randomness == "error" for level in running):
        raise BatchingError(RANDOM)
    differing = [level for level in running if level.randomness == "different"]
    array = draw((*[level.size for level in differing], *shape))
    for level in differing:
        array = BatchedArray(level, array)
    return array


def _restored(device: str, state: Any) -> Generator:
    generator = Generator(device)
    generator.set_state(state)
    return generator


def _described(state: object) -> str:
    if isinstance(state, tuple) and len(state) == 3 and state[0] in ("cpu", "cuda"):
        return f"that of one on {state[0]}"
    return f"{type(state).__qualname__}"


def _unknown_seed() -> int:
    return int.from_bytes(os.urandom(8), "little") >> 11


_defaults: dict[Device, Generator] = {}
_seed: int | None = None


def default_generator(device: Device = CPU) -> Generator:
    """The generator used where none is given."""
    device = device.base
    found = _defaults.get(device)
    if found is None:
        found = Generator(device)
        if device.kind > 1:  # a function is traced: nothing is drawn there
            return found
        _defaults[device] = found
        if _seed is None:
            found.seed()
        else:
            found.manual_seed(_seed)
    return found


def manual_seed(seed: int) -> Generator:
    """Start the generators of all devices from `seed`; returns that of the CPU."""
    global _seed
    _seed = int(seed)
    for generator in _defaults.values():
        generator.manual_seed(_seed)
    return default_generator()


def seed() -> int:
    """Start the generators of all devices from a seed that nobody knows, and return it."""
    return manual_seed(_unknown_seed()).initial_seed()


def initial_seed() -> int:
    """The seed that the CPU's generator was last started from."""
    return default_generator().initial_seed()


def get_rng_state() -> Any:
    """The state of the CPU's generator, for `set_rng_state`."""
    return default_generator().get_state()


def set_rng_state(new_state: Any) -> None:
    """Put the CPU's generator back to a state from `get_rng_state`."""
    default_generator().set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[int | str | Device] | None = None,
    enabled: bool = True,
    *,
    device_type: str | None = None,
) -> Iterator[None]:
    """Within it random numbers may be drawn and seeds set; behind it all is as it was before.

    A context manager, and a decorator of functions.

    Args:
        devices: the CUDA devices whose generators are put back, beside the CPU's: all by default.
        enabled: False does nothing.
        device_type: what kind of device the numbers among `devices` are, `"cuda"`.

    Raises:
        DeviceError: there is no such device.
    """
    global _seed
    if not enabled:
        yield
        return
    kept = {default_generator()}
    if devices is None:
        kept.update(_defaults.values())
    else:
        named = (Device(device_type or "cuda", d) if isinstance(d, int) else d for d in devices)
        kept.update(default_generator(Device(d).open()) for d in named)
    states = {generator: generator.get_state() for generator in kept}
    seed = _seed
    try:
        yield
    finally:
        for generator, state in states.items():
            generator.set_state(state)
        if devices is None:
            # Generators that were made meanwhile are made again when they are needed.
            for device in [d for d, generator in _defaults.items() if generator not in kept]:
                del _defaults[device]
            _seed = seed
