"""Trains a classifier on scikit-learn's handwritten digits: 1,797 real images of 8 x 8 pixels."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gradcore_bench.workloads.workload import Array, Lib

GOAL = 0.97  # of the held-out images
EPOCHS = 15
BATCH = 128
LEARNING_RATE = 3e-3
LAYERS = (64, 256, 128, 10)
DROPOUT = 0.2
SMOOTHING = 0.1
SHIFTS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))  # rows, columns


@dataclass(frozen=True, slots=True)
class Digits:
    """Images `(n, 64)`, float32 in [0, 1], with labels `(n,)`, int64; a quarter is held out."""

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training reached: the held-out accuracy in [0, 1], and the seconds it took."""

    device: str
    accuracy: float
    seconds: float
    epochs: int
    seed: int

    @property
    def passed(self) -> bool:
        """Whether the accuracy is at the goal."""
        return self.accuracy >= GOAL


def load() -> Digits:
    """The digits, split once and for all, each class in proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(
        (images / 16).astype(np.float32), labels, test_size=0.25, stratify=labels, random_state=0
    )
    return Digits(train_images, train_labels, test_images, test_labels)


def shifted(images: Array) -> Array:
    """The images, and those moved by one pixel up, down, left and right: `(5 n, 64)`."""
    padded = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moved = [padded[:, 1 + r : 9 + r, 1 + c : 9 + c].reshape(-1, 64) for r, c in SHIFTS]
    return np.concatenate(moved)


class Classifier:
    """64-256-128-10 with relu and dropout between.

    Args:
        lib: gradcore, or a module with its spelling.
        device: where the parameters lie.
    """

    def __init__(self, lib: Lib, device: str) -> None:
        self.lib = lib
        self.weights, self.biases = [], []
        for inputs, outputs in pairwise(LAYERS):
            bound = inputs**-0.5
            weight = (lib.rand(outputs, inputs, device=device) * 2 - 1) * bound
            self.weights.append(weight.requires_grad_())
            self.biases.append(lib.zeros(outputs, device=device, requires_grad=True))

    def __call__(self, images: Any, *, training: bool) -> Any:
        """The scores `(n, 10)` of images `(n, 64)`."""
        functional = self.lib.nn.functional
        hidden = images
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = functional.relu(functional.linear(hidden, weight, bias))
            hidden = functional.dropout(hidden, DROPOUT, training)
        return functional.linear(hidden, self.weights[-1], self.biases[-1])


def train(
    lib: Lib,
    device: str,
    digits: Digits,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    report: Callable[[float], Any] = lambda loss: None,
) -> Outcome:
    """Trains a classifier with AdamW and measures its accuracy on the held-out images.

    Args:
        lib: gradcore, or a module with its spelling.
        device: where to train.
        digits: the images.
        seed: of the parameters, the order of the images, and dropout.
        epochs: passes over the training images, each moved in five ways.
        report: called after each epoch with its mean loss.
    """
    lib.manual_seed(seed)
    start = time.perf_counter()
    images = lib.tensor(shifted(digits.train_images), device=device)
    labels = lib.tensor(np.tile(digits.train_labels, len(SHIFTS)), device=device)
    model = Classifier(lib, device)
    optimizer = lib.optim.AdamW([*model.weights, *model.biases], lr=LEARNING_RATE)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - epoch / epochs)
        total = lib.zeros((), device=device)
        order = lib.randperm(len(labels)).to(device)  # the same on every device
        for batch in order.split(BATCH):
            optimizer.zero_grad()
            loss = lib.nn.functional.cross_entropy(
                model(images[batch], training=True), labels[batch], label_smoothing=SMOOTHING
            )
            loss.backward()
            optimizer.step()
            total = total + loss.detach() * len(batch)
        report(total.item() / len(labels))
    with lib.no_grad():
        scores = model(lib.tensor(digits.test_images, device=device), training=False)
    right = scores.argmax(dim=1).cpu().numpy() == digits.test_labels
    return Outcome(device, float(right.mean()), time.perf_counter() - start, epochs, seed)
