"""A training step of a small classifier: 64-64-10, relu, cross-entropy, SGD."""

from typing import Any, ClassVar

import numpy as np

from gradcore_bench.workloads.workload import Array, Arrays, Lib, Workload, normal

INPUTS, HIDDEN, CLASSES = 64, 64, 10


class Mlp(Workload):
    """`zero_grad`, forward, backward and SGD's `step` on a batch of `n`."""

    name = "mlp"
    title = "MLP training step"
    unit = "batch"
    sizes: ClassVar = {"small": 32, "medium": 1_024, "large": 16_384, "huge": 131_072}
    learning_rate = 0.1

    def arrays(self, n: int) -> tuple[Arrays, Arrays]:
        """The leaves are two weights `(out, in)`, each with its bias `(out,)`.

        The constants are the images, `(n, 64)`, and their labels, `(n,)`, int64.
        """
        leaves = (
            normal(0, HIDDEN, INPUTS) / np.float32(np.sqrt(INPUTS)),
            np.zeros(HIDDEN, np.float32),
            normal(1, CLASSES, HIDDEN) / np.float32(np.sqrt(HIDDEN)),
            np.zeros(CLASSES, np.float32),
        )
        labels = np.random.default_rng(2).integers(CLASSES, size=n)
        return leaves, (normal(3, n, INPUTS), labels)

    def loss(self, lib: Lib, *tensors: Any) -> Any:
        """The mean cross-entropy."""
        w1, b1, w2, b2, images, labels = tensors
        functional = lib.nn.functional
        hidden = functional.relu(functional.linear(images, w1, b1))
        return functional.cross_entropy(functional.linear(hidden, w2, b2), labels)

    def loss_numpy(self, xp: Any, *arrays: Any) -> Any:
        """The mean cross-entropy."""
        w1, b1, w2, b2, images, labels = arrays
        scores = xp.maximum(images @ w1.T + b1, 0) @ w2.T + b2
        scores = scores - xp.max(scores, axis=1, keepdims=True)
        picked = scores[np.arange(len(labels)), labels]
        return xp.mean(xp.log(xp.sum(xp.exp(scores), axis=1)) - picked)

    def gradients(self, *arrays: Array) -> tuple[Any, Arrays]:
        """`softmax - onehot` at the scores, and back through two layers."""
        w1, b1, w2, b2, images, labels = arrays
        rows = np.arange(len(labels))
        hidden = images @ w1.T
        hidden += b1
        np.maximum(hidden, 0, out=hidden)
        scores = hidden @ w2.T
        scores += b2
        scores -= scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        total = p.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - scores[rows, labels]).mean()
        p /= total
        p[rows, labels] -= 1
        p /= len(labels)
        g = p @ w2
        g *= hidden > 0
        return loss, (g.T @ images, g.sum(axis=0), p.T @ hidden, p.sum(axis=0))

    def footprint(self, n: int) -> int:
        """Images, hidden layer, its mask and cotangent; scores and theirs."""
        return 4 * n * (INPUTS + 4 * HIDDEN + 5 * CLASSES)
