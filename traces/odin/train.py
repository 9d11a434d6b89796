"""Trains 100 leaky integrate-and-fire neurons on Fashion-MNIST at 16 x 16 in ODIN's own integers, and replays them on the chip.

    python traces/odin/train.py --data FOLDER [--events 100] [--epochs 12] [--out traces/odin/fashion_mnist_100.npz]

An image is a list of pixels, the brightest first, each an event of its own source (rank order; the first `--events` that are not
black). Ten neurons per class; the class whose neurons fire most often wins, the lower class at a tie. Half of the sources, in
a checkerboard, are inhibitory. A weight has 3 bits. Training unrolls the events one by one with the chip's own arithmetic: add,
clip to 0 ... 255, compare, reset to zero. Weights and thresholds are rounded in the forward pass, gradients pass through.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from replay import CLASSES, NETWORK, NEURONS, NOTHING, PER_CLASS, PIXELS, on_chip, replay, summary
from torch import Tensor, nn

from hwsim.files import whole_file
from hwsim.sources.data import load_dataset

SIDE = 16


def rank_order(images: np.ndarray, events: int) -> np.ndarray:
    """(N, events) pixels of (N, 28, 28) images, brightest first, NOTHING where an image has fewer that are not black."""
    small = nn.functional.adaptive_avg_pool2d(torch.tensor(images).float()[:, None], SIDE).round().reshape(-1, PIXELS).numpy()
    order = np.argsort(-small, axis=1, kind="stable")[:, :events]
    return np.where(np.take_along_axis(small, order, axis=1) > 0, order, NOTHING)


def signs() -> np.ndarray:
    """(256,) sign of each source."""
    y, x = np.divmod(np.arange(PIXELS), SIDE)
    return np.where((x + y) % 2, -1, 1)


class Spike(torch.autograd.Function):
    """A step; its gradient is a triangle around the threshold."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, above: Tensor) -> Tensor:
        context.save_for_backward(above)
        return (above >= 0).float()

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (above,) = context.saved_tensors
        return gradient * torch.clamp(1 - above.abs() / 10, min=0) / 10


def rounded(value: Tensor) -> Tensor:
    return value + (value.round() - value).detach()


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.magnitude = nn.Parameter(torch.rand(PIXELS, NEURONS) * 4)
        self.threshold = nn.Parameter(torch.full((NEURONS,), 20.0))
        self.register_buffer("sign", torch.from_numpy(signs()).float()[:, None])

    def weights(self) -> Tensor:
        return self.sign * rounded(self.magnitude.clamp(0, 7))

    def thresholds(self) -> Tensor:
        return rounded(self.threshold.clamp(1, 255))

    def forward(self, order: Tensor) -> Tensor:
        """(N, classes) spikes of (N, events) pixels."""
        weights, thresholds = self.weights(), self.thresholds()
        table = torch.cat([weights, torch.zeros(1, NEURONS)])
        there = (order != NOTHING).float()[:, :, None]
        potential = torch.zeros(len(order), NEURONS)
        count = torch.zeros(len(order), NEURONS)
        for event in range(order.shape[1]):
            potential = (potential + table[order[:, event]]).clamp(0, 255)
            spike = Spike.apply(potential - thresholds) * there[:, event]
            count = count + spike
            potential = potential * (1 - spike.detach())
        return count.reshape(-1, CLASSES, PER_CLASS).sum(dim=2)


def train(order: np.ndarray, labels: np.ndarray, epochs: int, batch: int = 250) -> Layer:
    torch.manual_seed(1)
    layer = Layer()
    pixels, wanted = torch.from_numpy(order), torch.from_numpy(labels)
    optimiser = torch.optim.Adam([
        {"params": [layer.magnitude], "lr": 0.05}, {"params": [layer.threshold], "lr": 0.2}])
    steps = epochs * (len(order) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [0.05, 0.2], total_steps=steps, pct_start=0.2)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(order))[: len(order) // batch * batch].split(batch):
            loss = nn.functional.cross_entropy(layer(pixels[chosen]) * 0.5, wanted[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                layer.magnitude.clamp_(0, 7)
            total += float(loss.detach())
        print(f"epoch {epoch + 1}: loss {total / (len(order) // batch):.3f}", flush=True)
    return layer


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder of the four idx files of Fashion-MNIST")
    options.add_argument("--events", type=int, default=100, help="events per image at most")
    options.add_argument("--epochs", type=int, default=12)
    options.add_argument("--out", type=Path, default=NETWORK)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    data = load_dataset("fashion_mnist", chosen.data)
    order = rank_order(data.train_images[..., 0], chosen.events)
    test = rank_order(data.test_images[..., 0], chosen.events)
    layer = train(order, data.train_labels, chosen.epochs)
    with torch.no_grad():
        weights, thresholds = layer.weights().numpy().astype(np.int64), layer.thresholds().numpy().astype(np.int64)
        expected = layer(torch.from_numpy(test)).numpy().astype(np.int64)
    counts, record = replay(on_chip(weights, thresholds), test)
    print(f"torch: {(expected.argmax(axis=1) == data.test_labels).mean():.4f} of {len(test)} test images")
    print(f"ODIN:  {summary(counts, record, test, data.test_labels)}")
    print(f"spike counts that differ: {(counts != expected).sum()}")
    with whole_file(chosen.out) as part, part.open("wb") as file:
        np.savez_compressed(
            file, weights=weights.astype(np.int8), thresholds=thresholds.astype(np.uint8), order=test[:500].astype(np.int16),
            labels=data.test_labels[:500].astype(np.uint8), counts=expected[:500].astype(np.int16))


if __name__ == "__main__":
    main()
