"""A data set that trains in seconds: ten classes of 8 x 8 images, each a bright spot at a place of its own, with noise."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from hwsim.sources.data import Dataset, moments


def tiny_set(train: int = 200, test: int = 100, seed: int = 1) -> Dataset:
    rng = np.random.default_rng(seed)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count, dtype=np.int64) % 10
        images = rng.integers(0, 120, (count, 8, 8, 1))
        for image, label in zip(images, labels, strict=True):
            row, column = 3 * (label // 4), 2 * (label % 4)
            image[row:row + 2, column:column + 2] += 130
        return images.astype(np.uint8), labels

    images, labels = part(train)
    test_images, test_labels = part(test)
    return Dataset("mnist", images, labels, test_images, test_labels, *moments(images))


def write_tiny_files(place: Path, train: int = 100, test: int = 40) -> None:
    """Fashion-MNIST's files in miniature: ten classes, each a bright row of its own."""
    rng = np.random.default_rng(1)
    for part, count in (("train", train), ("t10k", test)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = rng.integers(0, 100, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 4:2 * label + 6] += 150
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (place / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())
