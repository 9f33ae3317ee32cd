"""The tutorial program: `out = ((x + 2)² · 3).mean()` of a fresh `x` of ones."""

from typing import Any, ClassVar

import numpy as np

from gradcore_bench.workloads.workload import Array, Arrays, Lib, Step, Workload


class Tutorial(Workload):
    """The tutorial program on `n` elements, `x` included, which it makes each time.

    Libraries that differentiate functions are handed their `x`.
    """

    name = "tutorial"
    title = "tutorial program"
    unit = "elements"
    sizes: ClassVar = {"small": 1_000, "medium": 100_000, "large": 10_000_000, "huge": 100_000_000}

    def arrays(self, n: int) -> tuple[Arrays, Arrays]:
        """The leaf `x`: `(n,)`."""
        return (np.ones(n, np.float32),), ()

    def loss(self, lib: Lib, *tensors: Any) -> Any:
        """The mean of `3 (x + 2)²`."""
        (x,) = tensors
        y = x + 2
        z = y * y * 3
        return z.mean()

    def loss_numpy(self, xp: Any, *arrays: Any) -> Any:
        """The mean of `3 (x + 2)²`."""
        (x,) = arrays
        y = x + 2
        return xp.mean(y * y * 3)

    def gradients(self, *arrays: Array) -> tuple[Any, Arrays]:
        """`6 (x + 2) / n`."""
        y = np.ones_like(arrays[0]) + 2
        return (y * y * 3).mean(), (y * (6 / y.size),)

    def footprint(self, n: int) -> int:
        """`x`, three intermediates, two cotangents."""
        return 6 * 4 * n

    def traffic(self, n: int) -> int:
        """Writes `x`, reads it twice, writes its gradient."""
        return 4 * 4 * n

    def step(self, lib: Lib, n: int, device: str) -> Step:
        """As the base class has it, but for the leaf, which each step makes."""

        def step() -> tuple[Any, Any]:
            x = lib.ones(n, device=device, requires_grad=True)
            loss = self.loss(lib, x)
            loss.backward()
            return loss, [x]

        return step
