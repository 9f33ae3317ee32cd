"""How long `import gradcore` takes, beside `import numpy`, each in a fresh interpreter."""

import os
import statistics
import subprocess
import sys
from dataclasses import dataclass

BUDGET = 1.5  # times `import numpy`, which it contains
ROUNDS = 11
TIMED = "from time import perf_counter as now; start = now(); import {}; print(now() - start)"


@dataclass(frozen=True, slots=True)
class Imports:
    """Medians in seconds, of interpreters started in turns."""

    numpy: float
    gradcore: float

    @property
    def ratio(self) -> float:
        """What `import gradcore` takes over what `import numpy` takes."""
        return self.gradcore / self.numpy

    @property
    def within(self) -> bool:
        """Whether the ratio keeps the budget."""
        return self.ratio <= BUDGET


def measure() -> Imports:
    """Times both imports; the first round, which may compile and reads from disk, is left out."""
    seconds: dict[str, list[float]] = {"numpy": [], "gradcore": []}
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled
    for _ in range(1 + ROUNDS):
        for name, found in seconds.items():
            command = [sys.executable, "-c", TIMED.format(name)]
            printed = subprocess.run(command, env=environment, capture_output=True, check=True)
            found.append(float(printed.stdout))
    return Imports(*(statistics.median(found[1:]) for found in seconds.values()))
