"""Two small networks as torchvision writes them, trained in floating point on Fashion-MNIST: what docs/own-network.md converts.

    python docs/examples/own_network.py FOLDER_OF_FASHION_MNIST

trains both (some minutes on one core) and leaves here own_resnet.pt, own_vgg.pt, and the images: own_calibrate.npz (500 of the
training set) and own_test.npz (the first 2,000 of the test set). `resnet` and `vgg` then give the trained networks to
`hwsim convert --model`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent


class BasicBlock(nn.Module):
    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """Stem with a 3 x 3 max pooling of stride 2, as torchvision's, and one block a stage."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = BasicBlock(width, width)
        self.layer2 = BasicBlock(width, 2 * width, 2)
        self.layer3 = BasicBlock(2 * width, 4 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class VGG(nn.Module):
    """Convolutions without BatchNorm, 2 x 2 max pooling, ReLU6, dropout, and two linear layers."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for planes in (width, 2 * width):
            for _ in range(2):
                layers += [nn.Conv2d(channels, planes, 3, padding=1), nn.ReLU6(inplace=True)]
                channels = planes
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(2 * width * 49, 64), nn.ReLU(inplace=True), nn.Linear(64, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.classifier(x.view(x.size(0), -1))


def resnet() -> nn.Module:
    """The trained residual network."""
    return _trained(ResNet())


def vgg() -> nn.Module:
    """The trained network with max pooling."""
    return _trained(VGG())


def _trained(model: nn.Module) -> nn.Module:
    model.load_state_dict(torch.load(HERE / f"own_{type(model).__name__.lower()}.pt"))
    return model


def train(model: nn.Module, images: Tensor, labels: Tensor, epochs: int, batch: int = 64) -> nn.Module:
    steps = epochs * (len(images) // batch)
    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=steps)
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(len(images))
        for k in range(len(images) // batch):
            part = order[k * batch : (k + 1) * batch]
            loss = nn.functional.cross_entropy(model(images[part]), labels[part])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            rate.step()
        print(f"{type(model).__name__}, epoch {epoch + 1}: loss of the last batch {loss.item():.3f}", flush=True)
    return model.eval()


def main() -> None:
    from hwsim.sources.data import load_dataset

    data = load_dataset("fashion_mnist", sys.argv[1])
    np.savez(HERE / "own_calibrate.npz", images=data.train_images[:500], labels=data.train_labels[:500])
    np.savez(HERE / "own_test.npz", images=data.test_images[:2000], labels=data.test_labels[:2000])
    images = torch.from_numpy(data.train_images).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(data.train_labels)
    for kind in (ResNet, VGG):
        torch.manual_seed(1)
        start = time.perf_counter()
        model = train(kind(), images[:20000], labels[:20000], epochs=3)
        torch.save(model.state_dict(), HERE / f"own_{kind.__name__.lower()}.pt")
        print(f"{kind.__name__} took {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
