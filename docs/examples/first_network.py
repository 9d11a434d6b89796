"""A small convolutional network, trained in a minute: what docs/first-hour-snn.md takes to hardware. In its place: your own.

    python first_network.py FOLDER_OF_FASHION_MNIST

trains it and leaves beside this file first_network.pt, calibrate.npz (500 training images) and test.npz (2,000 test images).
`network` then gives the trained network to `hwsim convert --model first_network.py:network`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent


class SmallNetwork(nn.Module):
    """Three convolutions and a linear layer for images of 1 x 28 x 28."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.fc = nn.Linear(32 * 7 * 7, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        x = torch.relu(self.conv3(x))
        return self.fc(torch.flatten(x, 1))


def network() -> nn.Module:
    """The trained network."""
    model = SmallNetwork()
    model.load_state_dict(torch.load(HERE / "first_network.pt"))
    return model


def main() -> None:
    from hwsim.sources.data import load_dataset

    data = load_dataset("fashion_mnist", sys.argv[1])
    np.savez(HERE / "calibrate.npz", images=data.train_images[:500], labels=data.train_labels[:500])
    np.savez(HERE / "test.npz", images=data.test_images[:2000], labels=data.test_labels[:2000])
    images = torch.tensor(data.train_images).permute(0, 3, 1, 2).float() / 255
    labels = torch.tensor(data.train_labels)
    torch.manual_seed(1)
    model, batch, count = SmallNetwork(), 64, 20_000
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(3):
        for part in torch.randperm(count).split(batch):
            loss = nn.functional.cross_entropy(model(images[part]), labels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.3f}", flush=True)
    torch.save(model.state_dict(), HERE / "first_network.pt")


if __name__ == "__main__":
    main()
