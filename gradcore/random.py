"""Random numbers: one generator per device, seeded together by `manual_seed`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .device import CPU, Array, Device

__all__ = [
    "Generator",
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


class Generator:
    """A source of random numbers on a device.

    The numbers are NumPy's (PCG64) on the CPU and cuRAND's on CUDA: the same seed gives the same
    numbers again, but not those of PyTorch nor those of the other device.

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
        """The state, for `set_state`."""
        return self._seed, self._numbers.get_state()

    def set_state(self, state: Any) -> None:
        """Go back to a state from `get_state`."""
        self._seed, numbers = state
        self._numbers.set_state(numbers)

    def uniform(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        """A raw array of numbers in [0, 1)."""
        if np.dtype(dtype).itemsize < 4:
            # Rounding to float16 must not give 1.
            halves = self._numbers.uniform(shape, np.float32)
            return (np.floor(halves * 2048) / 2048).astype(dtype)
        return self._numbers.uniform(shape, np.dtype(dtype))

    def normal(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        """A raw array of standard normal numbers."""
        if np.dtype(dtype).itemsize < 4:
            return self._numbers.normal(shape, np.dtype(np.float32)).astype(dtype)
        return self._numbers.normal(shape, np.dtype(dtype))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """A raw int64 array of integers in [low, high)."""
        return self._numbers.integers(low, high, shape)

    def permutation(self, n: int) -> Array:
        """A raw int64 array with 0 to n - 1 in random order."""
        return self._numbers.permutation(n)


def _unknown_seed() -> int:
    return int.from_bytes(os.urandom(8), "little") >> 11


_defaults: dict[Device, Generator] = {}
_seed: int | None = None


def default_generator(device: Device = CPU) -> Generator:
    """The generator used where none is given."""
    found = _defaults.get(device)
    if found is None:
        found = _defaults[device] = Generator(device)
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
