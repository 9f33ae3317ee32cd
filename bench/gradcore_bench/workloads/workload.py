"""What a workload is: one computation in three spellings.

- `loss` in PyTorch's, for gradcore and PyTorch;
- `loss_numpy` in NumPy's, for the libraries that differentiate functions (HIPS/autograd, JAX);
- `gradients` with the derivative worked out by hand, for plain NumPy.

All compute the same loss and gradients from the same arrays, which the tests check.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = tuple[Array, ...]
Lib: TypeAlias = Any  # a module with PyTorch's spelling: gradcore, torch
Step: TypeAlias = Callable[[], tuple[Any, Any]]  # returns the loss, and what holds the gradients


class Workload(ABC):
    """A computation with a size `n`; its step is the forward and the backward pass.

    Attributes:
        name: as on the command line.
        title: as in the table.
        unit: what `n` counts.
        sizes: `n` for small, medium, large and huge.
        learning_rate: of the SGD step that ends each step, if there is one.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str]
    sizes: ClassVar[Mapping[str, int]]
    learning_rate: ClassVar[float | None] = None

    @abstractmethod
    def arrays(self, n: int) -> tuple[Arrays, Arrays]:
        """The leaves and the constants, which follow the leaves as arguments; float32."""

    @abstractmethod
    def loss(self, lib: Lib, *tensors: Any) -> Any:
        """The loss, a 0-d Tensor."""

    @abstractmethod
    def loss_numpy(self, xp: Any, *arrays: Any) -> Any:
        """The loss in functions of NumPy, without in-place changes."""

    @abstractmethod
    def gradients(self, *arrays: Array) -> tuple[Any, Arrays]:
        """The loss and the gradient of each leaf."""

    @abstractmethod
    def footprint(self, n: int) -> int:
        """Bytes in use at the peak of a step, about."""

    def traffic(self, n: int) -> int | None:
        """Bytes any program must move: in each of the two passes every array it needs, once.

        None where arithmetic, not memory, is the limit.
        """
        return None

    def step(self, lib: Lib, n: int, device: str) -> Step:
        """The step in PyTorch's spelling; gradients do not add up from step to step."""
        leaves, constants = (
            [lib.tensor(array, device=device) for array in arrays] for arrays in self.arrays(n)
        )
        for leaf in leaves:
            leaf.requires_grad_()

        def differentiate() -> tuple[Any, Any]:
            for leaf in leaves:
                leaf.grad = None
            loss = self.loss(lib, *leaves, *constants)
            loss.backward()
            return loss, leaves

        if self.learning_rate is None:
            return differentiate
        optimizer = lib.optim.SGD(leaves, lr=self.learning_rate)

        def train() -> tuple[Any, Any]:
            optimizer.zero_grad()
            loss = self.loss(lib, *leaves, *constants)
            loss.backward()
            optimizer.step()
            return loss, leaves

        return train


def normal(seed: int, *shape: int) -> Array:
    """Standard normal numbers, float32, the same on every run."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
