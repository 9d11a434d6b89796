"""The Fashion-MNIST network and its training in three stages: float, 16-level activations, integers. This
module owns the data reader, the networks and the training; ``convert.py`` makes the integer networks of the
result. Images are raw pixels, 0 to 255; an activation of a quantised layer is a level, 0 to 15, whose real
value is level * step with step = lambda / 16. Data: Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, MIT licence),
the idx files of the Debian package dataset-fashion-mnist. The activation is the quantisation-clip-floor-shift
function of QCFS (Bu et al. 2022), clipped at 15 so that a level is exactly four bits; the gradient of lambda
follows LSQ (Esser et al. 2020).
"""

import argparse
import gzip
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

DATA = Path("/usr/share/datasets/fashion-mnist")
LEVELS = 16
WEIGHT_MAX = 127
POOL = 7
CLASSES = 10
STAGES = ("float", "levels", "integer")


class Conv(NamedTuple):
    """A 3x3 convolution, padding 1; ``shortcut`` names the layer whose output is added before activation."""

    name: str
    channels_in: int
    channels_out: int
    stride: int
    shortcut: str | None = None


CONVS = (
    Conv("conv1", 1, 16, 1),
    Conv("conv2", 16, 32, 2),
    Conv("conv3", 32, 32, 1),
    Conv("conv4", 32, 32, 1, shortcut="conv2"),
    Conv("conv5", 32, 64, 2),
)


# ------------------------------------------------------------------------------------------------------- data


def read_idx(path: Path) -> np.ndarray:
    """One gzipped idx file of unsigned bytes: magic 00 00 08 d, then d big-endian sizes, then the data."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is not an idx file of unsigned bytes")
    start = 4 + 4 * raw[3]
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], dtype=">u4"))
    if len(raw) - start != int(np.prod(shape)):
        raise ValueError(f"{path} announces {shape} but holds {len(raw) - start} bytes")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def read_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images, uint8 (N, 1, 28, 28), and labels, int64 (N,), of ``split``: "train" or "t10k"."""
    images = read_idx(folder / f"{split}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{split}-labels-idx1-ubyte.gz")
    count = {"train": 60_000, "t10k": 10_000}[split]
    if images.shape != (count, 28, 28) or labels.shape != (count,):
        raise ValueError(f"{split}: unexpected shapes {images.shape} and {labels.shape}")
    if (np.bincount(labels, minlength=CLASSES) != count // CLASSES).any():
        raise ValueError(f"{split}: the ten classes should be equally frequent")
    return torch.tensor(images).unsqueeze(1), torch.tensor(labels, dtype=torch.int64)


def augment(images: Tensor, reach: int = 2) -> Tensor:
    """Flip half of the images left to right and shift each by up to ``reach`` pixels in both directions."""
    n, _, height, width = images.shape
    padded = functional.pad(images, [reach] * 4)[:, 0]
    rows = torch.arange(height) + torch.randint(0, 2 * reach + 1, (n, 1))
    columns = torch.arange(width) + torch.randint(0, 2 * reach + 1, (n, 1))
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]].unsqueeze(1)


# ---------------------------------------------------------------------------------------------------- network


def round_through(x: Tensor) -> Tensor:
    """floor(x + 1/2), with the gradient of the identity (straight-through estimator)."""
    return x + (torch.floor(x + 0.5) - x).detach()


def to_levels(x: Tensor) -> Tensor:
    """The level, 0 to 15, of a value given in units of the step."""
    return round_through(x.clamp(0, LEVELS - 1))


class Block(nn.Module):
    """Convolution, batch norm, shortcut, then ReLU or, once ``quantised``, the 16-level activation."""

    def __init__(self, spec: Conv) -> None:
        super().__init__()
        self.conv = nn.Conv2d(spec.channels_in, spec.channels_out, 3, spec.stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(spec.channels_out)
        self.log_lambda = nn.Parameter(torch.zeros(()))  # the logarithm keeps lambda positive
        self.quantised = False

    @property
    def step(self) -> Tensor:
        return self.log_lambda.exp() / LEVELS

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        z = self.norm(self.conv(x))
        if shortcut is not None:
            z = z + shortcut
        return to_levels(z / self.step) * self.step if self.quantised else functional.relu(z)


def forward(layers: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The output of every convolution layer of ``layers``, by name."""
    outputs: dict[str, Tensor] = {}
    for spec in CONVS:
        shortcut = (outputs[spec.shortcut],) if spec.shortcut else ()
        x = outputs[spec.name] = layers.get_submodule(spec.name)(x, *shortcut)
    return outputs


class Network(nn.Module):
    """The network in real numbers, of stages 1 (float) and 2 (16-level activations)."""

    def __init__(self) -> None:
        super().__init__()
        for spec in CONVS:
            self.add_module(spec.name, Block(spec))
        self.fc = nn.Linear(CONVS[-1].channels_out, CLASSES)

    def blocks(self) -> list[Block]:
        return [self.get_submodule(spec.name) for spec in CONVS]

    def forward(self, pixels: Tensor) -> Tensor:
        features = forward(self, pixels / 255)["conv5"]
        return self.fc(features.mean((2, 3)))

    @torch.no_grad()
    def start_quantisation(self, pixels: Tensor, quantile: float = 0.999) -> None:
        """Switch the activations to 16 levels; lambda starts at a high quantile of the float activations."""
        self.eval()
        for spec, output in zip(CONVS, forward(self, pixels / 255).values(), strict=True):
            block = self.get_submodule(spec.name)
            positive = output[output > 0].double().numpy()
            block.log_lambda.fill_(float(np.log(np.quantile(positive, quantile))))
            block.quantised = True


class IntegerBlock(nn.Module):
    """A layer computed in integers: levels in, S = sum(w a) + b, out = clip(floor((S + q/2) / q), 0, 15).

    ``unit`` is the real value of 1 in S, ``divisor`` is q, ``identity`` the integer weight of the shortcut.
    The parameters that training moves stay real; every forward pass rounds them. Sums stay below 2^24, so
    float32 holds them exactly.
    """

    def __init__(self, weight: Tensor, bias: Tensor, weight_step: float, unit: float,
                 divisor: int, identity: int = 0, stride: int = 1) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        self.stride = stride
        scales = {"weight_step": weight_step, "unit": unit, "divisor": divisor, "identity": identity}
        for name, value in scales.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))

    def integers(self) -> tuple[Tensor, Tensor]:
        weight = round_through((self.weight / self.weight_step.float()).clamp(-WEIGHT_MAX, WEIGHT_MAX))
        return weight, round_through(self.bias / self.unit.float())

    def forward(self, levels: Tensor, shortcut: Tensor | None = None) -> Tensor:
        total = functional.conv2d(levels, *self.integers(), stride=self.stride, padding=1)
        if shortcut is not None:
            total = total + self.identity.float() * shortcut
        return to_levels(total / self.divisor.float())


class IntegerNetwork(nn.Module):
    """Stage 3: batch norm folded, every scale fixed, 8-bit weights, all arithmetic on integers.

    A layer's weight step is lambda_out / (16 q step_in), so that its divisor q is an even integer without
    rounding: even, for then the rounding offset q/2 is an integer too. The layer with the shortcut takes its
    weight step from the identity scale m instead; its own lambda moves, by 1/q of it at most, for an even q.
    """

    def __init__(self, trained: Network) -> None:
        super().__init__()
        steps = {"input": 1 / 255}
        source = "input"
        for spec in CONVS:
            block = trained.get_submodule(spec.name)
            weight, bias = fold(block)
            step_in, step_out, m = steps[source], block.step.item(), 0
            finest = step_in * weight.abs().max().item() / WEIGHT_MAX  # smallest unit with weights that fit
            if spec.shortcut:
                m = min(WEIGHT_MAX, int(steps[spec.shortcut] / finest))
                unit = steps[spec.shortcut] / m
                divisor = 2 * round(step_out / unit / 2)
            else:
                divisor = 2 * int(step_out / finest / 2)
                unit = step_out / divisor
            layer = IntegerBlock(weight, bias, unit / step_in, unit, divisor, m, spec.stride)
            self.add_module(spec.name, layer)
            steps[spec.name], source = unit * divisor, spec.name
        weight, bias = trained.fc.weight.detach(), trained.fc.bias.detach()
        weight_step = weight.abs().max().item() / WEIGHT_MAX
        self.fc = IntegerBlock(weight, bias, weight_step, weight_step * steps[source], divisor=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits in real units. The pool is folded: sums over 7 x 7 levels, the bias as many times."""
        weight, bias = self.fc.integers()
        levels = forward(self, pixels)["conv5"]
        total = functional.linear(levels.sum((2, 3)), weight, bias * POOL**2)
        return total * (self.fc.unit.float() / POOL**2)


def fold(block: Block) -> tuple[Tensor, Tensor]:
    """Weight and bias of the block's convolution with its batch norm (running statistics) folded in."""
    gain = block.norm.weight.detach() / (block.norm.running_var + block.norm.eps).sqrt()
    bias = block.norm.bias.detach() - gain * block.norm.running_mean
    return block.conv.weight.detach() * gain[:, None, None, None], bias


# --------------------------------------------------------------------------------------------------- training


class Stage(NamedTuple):
    name: str
    epochs: int
    peak_rate: float


def save(path: Path, content: object) -> None:
    """Write beside ``path``, then rename: a kill leaves the old file or the new one, never half of one."""
    temporary = path.with_suffix(".part")
    torch.save(content, temporary)
    os.replace(temporary, path)


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor, batch: int = 500) -> float:
    """Percent of images whose largest logit is the label."""
    model.eval()
    parts = zip(images.split(batch), labels.split(batch), strict=True)
    right = sum((model(x.float()).argmax(1) == y).sum().item() for x, y in parts)
    return 100 * right / len(labels)


def epoch_seed(seed: int, stage: Stage, epoch: int) -> int:
    """Own to each epoch, so that a resumed run draws what an uninterrupted one would have drawn."""
    return seed + 1000 * (1 + STAGES.index(stage.name)) + epoch


def run_stage(stage: Stage, model: nn.Module, data: tuple[Tensor, Tensor], args: argparse.Namespace) -> None:
    """Train ``model`` in place, from the stage's last checkpoint where there is one."""
    steps = stage.epochs * (len(data[0]) // args.batch)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{"params": matrices, "weight_decay": args.weight_decay},
                                   {"params": others, "weight_decay": 0.0}])
    schedule = lr_scheduler.OneCycleLR(optimiser, stage.peak_rate, total_steps=steps, pct_start=0.2)
    path, first = args.work / f"{stage.name}.pt", 0
    if path.exists():
        saved = torch.load(path)
        first = saved["epoch"]
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
    for epoch in range(first, stage.epochs):
        torch.manual_seed(epoch_seed(args.seed, stage, epoch))
        started = time.monotonic()
        loss = run_epoch(model, optimiser, schedule, *data, args.batch)
        save(path, {"epoch": epoch + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict()})
        log(f"{stage.name} {epoch + 1}/{stage.epochs}: loss {loss:.4f}, {time.monotonic() - started:.0f} s")


def run_epoch(model: nn.Module, optimiser: torch.optim.Optimizer, schedule: lr_scheduler.LRScheduler,
              images: Tensor, labels: Tensor, batch: int) -> float:
    """One pass over the shuffled images; an incomplete last batch is left out. Returns the mean loss."""
    model.train()
    order = torch.randperm(len(images))
    losses = []
    for chosen in order[: len(order) // batch * batch].split(batch):
        pixels = augment(images[chosen]).float()
        loss = functional.cross_entropy(model(pixels), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def train(args: argparse.Namespace) -> IntegerNetwork:
    """All three stages; each starts from the one before it. The test images only measure the results."""
    torch.manual_seed(args.seed)
    data, tests = read_split(args.data, "train"), read_split(args.data, "t10k")
    model = Network().to(memory_format=torch.channels_last)
    for stage in map(Stage, STAGES, args.epochs, args.rates):
        if stage.name == "levels":
            model.start_quantisation(data[0][:1000].float())
        elif stage.name == "integer":
            model = IntegerNetwork(model)
        run_stage(stage, model, data, args)
        log(f"{stage.name}: test accuracy {accuracy(model, *tests):.2f} %")
    return model


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the Fashion-MNIST network.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the idx files")
    parser.add_argument("--work", type=Path, required=True, help="folder for a checkpoint after every epoch")
    parser.add_argument("--out", type=Path, help="file of the trained network, e.g. quantised.pt")
    parser.add_argument("--epochs", type=int, nargs=3, default=[18, 14, 6], help="of the three stages")
    parser.add_argument("--rates", type=float, nargs=3, default=[8e-3, 3e-3, 5e-4], help="peak of each stage")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    model = train(args)
    if args.out:
        epochs = dict(zip(STAGES, args.epochs, strict=True))
        save(args.out, {"model": model.state_dict(), "seed": args.seed, "epochs": epochs})


if __name__ == "__main__":
    main()
