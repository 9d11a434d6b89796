"""Which of PyTorch's tracers takes more models: torch.fx.symbolic_trace or torch.export.

    python benchmarks/tracers.py

Each model below is written in a way that people write ANNs. A tracer passes when its graph gives the model's own output on
another image. docs/own-network.md quotes the answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Model(nn.Module):
    """Two convolutions and a linear layer; a subclass says how they are called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(64, 5)
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(2))
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5))

    def head(self, x: Tensor) -> Tensor:
        return self.fc(functional.adaptive_avg_pool2d(x, 4).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.relu(self.conv2(functional.relu(self.conv1(x)))))


class ModuleList(Model):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for block in self.blocks:
            x = functional.relu(block(x))
        return self.head(x)


class View(Model):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        return self.fc(x.view(x.size(0), -1))


class ShapeBranch(Model):
    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.conv1(x))
        if y.shape[1] == x.shape[1]:
            y = y + x
        return self.head(y)


class Assertion(Model):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != 3:
            raise ValueError("expected images (N, 3, H, W)")
        return self.head(functional.relu(self.conv1((x - self.mean) / 0.5)))


class IntegerOfShape(Model):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv1(x))
        side = int(x.shape[2]) // 4
        return self.fc(functional.avg_pool2d(x, side).flatten(1))


class LoopOverShape(Model):
    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv1(x))
        while x.shape[2] > 4:
            x = functional.relu(self.conv2(functional.avg_pool2d(x, 2)))
        return self.fc(x.flatten(1))


class Features(Model):
    """Intermediate results kept by name."""

    def forward(self, x: Tensor) -> Tensor:
        kept = {"stem": functional.relu(self.conv1(x))}
        kept |= {"last": functional.relu(self.conv2(kept["stem"]) + kept["stem"])}
        return self.head(kept["last"])


class Wrapped(Model):
    """The whole forward within no_grad and autocast off, as deployment code has it."""

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class Checked(Model):
    """A check of values that only debugging wants."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.isfinite(x).all():
            raise ValueError("NaN")
        return super().forward(x)


class Scripted(Model):
    """One part is compiled by TorchScript."""

    def __init__(self) -> None:
        super().__init__()
        self.part = torch.jit.script(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.part(functional.relu(self.conv1(x))))


def by_fx(model: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    return torch.fx.symbolic_trace(model)


def by_export(model: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    return torch.export.export(model, (image,), strict=False).module()


def main() -> None:
    totals = {"fx": 0, "export": 0}
    for kind in (Model, ModuleList, View, ShapeBranch, Assertion, IntegerOfShape, LoopOverShape, Features, Wrapped, Checked,
                 Scripted):
        torch.manual_seed(0)
        model = kind().eval()
        if kind is View:
            model.fc = nn.Linear(4 * 8 * 8, 5)
        first, second = torch.rand(2, 1, 3, 16, 16)
        words = []
        for name, trace in (("fx", by_fx), ("export", by_export)):
            start = time.perf_counter()
            try:
                passed = torch.allclose(trace(model, first)(second), model(second), atol=1e-5)
                word = "yes" if passed else "other numbers"
            except Exception as error:  # whatever a tracer raises, the model was not traced
                passed, word = False, type(error).__name__
            totals[name] += passed
            words.append(f"{name} {word} ({time.perf_counter() - start:.2f} s)")
        print(f"{kind.__name__:<16} {'   '.join(words)}")
    print(f"traced of 11: fx {totals['fx']}, export {totals['export']}")


if __name__ == "__main__":
    main()
