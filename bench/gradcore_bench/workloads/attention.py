"""Softmax attention."""

from typing import Any, ClassVar

import numpy as np

from gradcore_bench.workloads.workload import Array, Arrays, Lib, Workload, normal

HEADS, WIDTH = 4, 64
SCALE = WIDTH**-0.5


class Attention(Workload):
    """`softmax(q kᵀ / 8) v`, 4 heads of width 64, a sequence of length `n`, summed."""

    name = "attention"
    title = "softmax attention"
    unit = "length"
    sizes: ClassVar = {"small": 64, "medium": 256, "large": 1_024, "huge": 4_096}

    def arrays(self, n: int) -> tuple[Arrays, Arrays]:
        """The leaves `q`, `k` and `v`: `(heads, n, width)`."""
        return tuple(normal(seed, HEADS, n, WIDTH) for seed in range(3)), ()

    def loss(self, lib: Lib, *tensors: Any) -> Any:
        """The sum of the attended values."""
        q, k, v = tensors
        weights = lib.softmax(q @ k.transpose(-2, -1) * SCALE, dim=-1)
        return (weights @ v).sum()

    def loss_numpy(self, xp: Any, *arrays: Any) -> Any:
        """The sum of the attended values."""
        q, k, v = arrays
        scores = q @ xp.swapaxes(k, -2, -1) * np.float32(SCALE)
        weights = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
        weights = weights / xp.sum(weights, axis=-1, keepdims=True)
        return xp.sum(weights @ v)

    def gradients(self, *arrays: Array) -> tuple[Any, Arrays]:
        """With `P` the weights and `G = 1 vᵀ`: `P ∘ (G - rowsum(G ∘ P))` at the scores."""
        q, k, v = arrays
        p = q @ k.swapaxes(-2, -1)
        p *= np.float32(SCALE)
        p -= p.max(axis=-1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(axis=-1, keepdims=True)
        out = p @ v
        ones = np.ones_like(out)
        g = ones @ v.swapaxes(-2, -1)
        g -= np.einsum("hij,hij->hi", g, p)[..., None]
        g *= p
        g *= np.float32(SCALE)
        return out.sum(), (g @ k, g.swapaxes(-2, -1) @ q, p.swapaxes(-2, -1) @ ones)

    def footprint(self, n: int) -> int:
        """Six arrays of scores; the leaves, their gradients, the output and its cotangent."""
        return 4 * HEADS * n * (6 * n + 8 * WIDTH)
