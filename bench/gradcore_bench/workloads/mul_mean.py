"""`mul_mean`: the mean of a product, the reduction that gradcore fuses."""

from typing import Any, ClassVar

import numpy as np

from gradcore_bench.workloads.workload import Array, Arrays, Lib, Workload, normal


class MulMean(Workload):
    """`lib.mul_mean(x, y)` on `n` elements; PyTorch, which has none, runs `(x * y).mean()`."""

    name = "mul_mean"
    title = "mul_mean"
    unit = "elements"
    sizes: ClassVar = {"small": 1_000, "medium": 100_000, "large": 10_000_000, "huge": 100_000_000}

    def arrays(self, n: int) -> tuple[Arrays, Arrays]:
        """The leaves `x` and `y`: `(n,)`."""
        return (normal(0, n), normal(1, n)), ()

    def loss(self, lib: Lib, *tensors: Any) -> Any:
        """The mean of `x y`."""
        x, y = tensors
        if hasattr(lib, "mul_mean"):
            return lib.mul_mean(x, y)
        return (x * y).mean()

    def loss_numpy(self, xp: Any, *arrays: Any) -> Any:
        """The mean of `x y`."""
        x, y = arrays
        return xp.mean(x * y)

    def gradients(self, *arrays: Array) -> tuple[Any, Arrays]:
        """`y / n` and `x / n`."""
        x, y = arrays
        scale = 1 / x.size
        return np.vdot(x, y) * scale, (y * scale, x * scale)

    def footprint(self, n: int) -> int:
        """`x`, `y`, their product, two gradients."""
        return 5 * 4 * n

    def traffic(self, n: int) -> int:
        """Reads `x` and `y` twice, writes two gradients."""
        return 6 * 4 * n
