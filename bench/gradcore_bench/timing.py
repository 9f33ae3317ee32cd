"""Timing: blocks of executions, of several libraries in turn, and the median over many rounds.

Libraries that are compared are timed block by block in one run, in a new order each round, so
that whatever else the machine does hits all of them. The cycle collector is off inside a block.
"""

import gc
import math
import random
import statistics
import time
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

BLOCK = 1e-3  # seconds one block should take at least
ROUNDS = (5, 200)  # the fewest and the most


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds per execution: median and quartiles over `rounds` blocks of `number` executions."""

    median: float
    lower: float
    upper: float
    rounds: int
    number: int


class Clock:
    """Times a statement.

    Args:
        statement: Python source; it is inlined into the timed loop, so no call is added to it.
        now: the time in nanoseconds, read when the device has finished its work.
        names: what the statement refers to.
    """

    __slots__ = ("_timer", "number")

    def __init__(
        self, statement: str, *, now: Callable[[], int] = time.perf_counter_ns, **names: Any
    ) -> None:
        self._timer = timeit.Timer(statement, timer=now, globals=names)
        self.number = 1

    def block(self) -> float:
        """Seconds that one block takes."""
        return self._timer.timeit(self.number) * 1e-9

    def calibrate(self, least: float = BLOCK) -> float:
        """Sets `number` so that a block takes `least` seconds; returns what it takes, seconds."""
        self.block()  # compiles kernels, fills caches
        while (seconds := self.block()) < least:
            growth = 1.2 * least / max(seconds, 1e-9)
            self.number = math.ceil(self.number * min(growth, 10.0))
        return seconds


def interleave(clocks: Sequence[Clock], *, budget: float, block: float = BLOCK) -> list[Timing]:
    """Times several clocks in turn.

    Args:
        clocks: one per library.
        budget: seconds for each of them; the fewest rounds are done whatever they take.
        block: seconds one block should take at least.
    """
    seconds = sum([clock.calibrate(block) for clock in clocks])
    rounds = min(max(int(budget * len(clocks) / seconds), ROUNDS[0]), ROUNDS[1])
    samples: list[list[float]] = [[] for _ in clocks]
    turns = list(zip(clocks, samples, strict=True))
    order = random.Random(0)
    for _ in range(rounds):
        order.shuffle(turns)  # so that nobody always comes after the same neighbour
        for clock, sample in turns:
            sample.append(clock.block() / clock.number)
            gc.collect(0)
    return [_summary(sample, clock.number) for clock, sample in zip(clocks, samples, strict=True)]


def _summary(sample: Sequence[float], number: int) -> Timing:
    lower, median, upper = statistics.quantiles(sample, n=4, method="inclusive")
    return Timing(median, lower, upper, len(sample), number)
