"""The Euclidean norm."""

from typing import Any, ClassVar

import numpy as np

from gradcore_bench.workloads.workload import Array, Arrays, Lib, Workload, normal


class Norm(Workload):
    """`x.norm()` of `n` elements."""

    name = "norm"
    title = "norm"
    unit = "elements"
    sizes: ClassVar = {"small": 1_000, "medium": 100_000, "large": 10_000_000, "huge": 100_000_000}

    def arrays(self, n: int) -> tuple[Arrays, Arrays]:
        """The leaf `x`: `(n,)`."""
        return (normal(0, n),), ()

    def loss(self, lib: Lib, *tensors: Any) -> Any:
        """`‖x‖`."""
        return tensors[0].norm()

    def loss_numpy(self, xp: Any, *arrays: Any) -> Any:
        """`‖x‖`."""
        (x,) = arrays
        return xp.sqrt(xp.sum(x * x))

    def gradients(self, *arrays: Array) -> tuple[Any, Arrays]:
        """`x / ‖x‖`."""
        (x,) = arrays
        norm = np.linalg.norm(x)
        return norm, (x / norm,)

    def footprint(self, n: int) -> int:
        """`x`, its square where a library makes it, the gradient."""
        return 3 * 4 * n

    def traffic(self, n: int) -> int:
        """Reads `x` twice, writes its gradient."""
        return 3 * 4 * n
