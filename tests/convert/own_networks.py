"""ANNs as torchvision's users write them, with random weights, and the same ANNs fake-quantised in PyTorch.

`fake_quantised` runs the user's own module, in double precision and by PyTorch alone: its convolutions get the values of the
integer weights that a conversion found, its ReLUs round to levels. It shares no arithmetic with hwsim.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwsim.capture.ann import AnnLayer, Maximum
from hwsim.convert.integers import input_unit, weight_scale
from hwsim.convert.own import Quantised
from hwsim.snn.network import INPUT


class Block(nn.Module):
    """torchvision's BasicBlock: one ReLU module that is called twice, an addition in place."""

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, 1, 1, groups=2, bias=False), nn.BatchNorm2d(planes)
        self.downsample = nn.Sequential(nn.Conv2d(channels, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)) if (
            stride > 1) else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Residual(nn.Module):
    """torchvision's ResNet, small: an oblong stem of stride 2, max pooling that overlaps, an average of the last maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, (5, 3), 2, (2, 1), bias=False), nn.BatchNorm2d(4)
        self.relu = nn.ReLU6(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Block(4, 4, 1), Block(4, 6, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Plain(nn.Module):
    """torchvision's VGG, small: max pooling before a ReLU and after one, dropout, average pooling, a view, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
            nn.MaxPool2d(2), nn.Dropout2d(), nn.Conv2d(6, 4, (1, 3), padding="same"), nn.ReLU(), nn.AvgPool2d(2))
        self.classifier = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return functional.log_softmax(self.classifier(x.view(x.size(0), -1)), dim=1)


class Inverted(nn.Module):
    """torchvision's MobileNetV2, small: depthwise convolutions, ReLU6, a bottleneck that no activation ends."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = self.unit(3, 4, 3, 2, 1)
        self.depthwise, self.project = self.unit(4, 4, 3, 1, 4), self.unit(4, 3, 1, 1, 1, linear=True)
        self.expand, self.pool, self.fc = self.unit(3, 6, 1, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Linear(6, 5)

    @staticmethod
    def unit(channels: int, planes: int, kernel: int, stride: int, groups: int, linear: bool = False) -> nn.Sequential:
        conv = nn.Conv2d(channels, planes, kernel, stride, kernel // 2, groups=groups, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(planes), *(() if linear else (nn.ReLU6(),)))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.pool(self.expand(self.project(self.depthwise(self.stem(x))))), 1))


def made(kind: type[nn.Module], seed: int) -> nn.Module:
    """A network with drawn weights; BatchNorms have statistics, gains of both signs and shifts."""
    torch.manual_seed(seed)
    model = kind()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.weight.data[0] *= -1
            nn.init.normal_(module.bias, 0, 0.3)
    return model.eval()


def images(seed: int, count: int = 12) -> np.ndarray:
    """Images (N, 3, 16, 16) with both signs, as after a normalisation."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.2, 1, (count, 3, 16, 16)).astype(np.float32)


@torch.no_grad()
def fake_quantised(model: nn.Module, found: Quantised, values: np.ndarray) -> dict[str, np.ndarray]:
    """Levels (N, C, H, W) of every layer, maxima included, and the logits, of what `model` computes of payloads `values`.

    The user's modules run in double precision. A quarter of what one integer is worth goes to each sum before it is rounded,
    which decides ties of floating point and nothing else.
    """
    ann, source, network = found.calibrated.ann, found.calibrated.source, found.twins["ann"].network
    units = {INPUT: input_unit(source, found.widths)} | {x.name: x.threshold / x.top for x in source.layers if x.fires}
    twin, weights, sums = copy.deepcopy(model).double(), {}, {}
    for layer in (x for x in ann.layers if isinstance(x, AnnLayer)):
        integer, real = network.layer(layer.name), next(x for x in source.layers if x.name == layer.name)
        fires = bool(layer.ceiling)
        scale = int(integer.thresholds[0]) / units[layer.name] if fires else weight_scale(real, units, found.widths.weight_bits)
        bias = integer.bias if integer.bias is not None else integer.initial_potential
        sums[layer.name] = (torch.from_numpy(bias / scale), 0.25 / scale, units.get(layer.name, 0.0))
        for branch, wire in zip(layer.flow.branches, integer.connections, strict=True):
            window = branch.pool**2 if branch.pool_mode == "folded" else 1
            if branch.operator != "identity" and branch.operator is not None:
                part = torch.from_numpy(wire.weights * (window / (scale * units[branch.source])))
                weights.setdefault(branch.holder, []).append((layer.name, branch.source, part))
            else:
                weights[f"{layer.name} identity"] = float(wire.weights.reshape(-1)[0]) * window / (scale * units[branch.source])
    runner = _Rounded(torch.fx.symbolic_trace(twin), weights, sums, [x for x in ann.layers])
    logits = runner.run(torch.from_numpy(values))
    return {**runner.levels, "logits": logits.numpy()}


class _Rounded(torch.fx.Interpreter):
    """Runs a graph with given weights; each ReLU, in the order of the network's layers, adds its bias and rounds to levels."""

    def __init__(self, graph: torch.fx.GraphModule, weights: dict, sums: dict, layers: list) -> None:
        super().__init__(graph)
        self.weights, self.sums = weights, sums
        self.relus = iter([x for x in layers if isinstance(x, AnnLayer) and x.ceiling])
        self.last, self.maxima = layers[-1].name, {x.source: x for x in layers if isinstance(x, Maximum)}
        self.levels: dict[str, np.ndarray] = {}

    def call_module(self, target: str, args: tuple, kwargs: dict) -> Tensor:
        module, x = self.fetch_attr(target), args[0]
        if isinstance(module, nn.Conv2d):
            return self.convolved(module, self.weights[target], x)
        if isinstance(module, nn.Linear):
            (_, _, weights), = self.weights[target]
            x = functional.linear(x, weights)
            return x + self.sums[self.last][0].reshape(-1) if target == self.last else x
        if isinstance(module, nn.BatchNorm2d):
            return x
        if isinstance(module, nn.ReLU | nn.ReLU6):
            return self.rounded(x)
        if isinstance(module, nn.MaxPool2d):
            return module(x)
        return super().call_module(target, args, kwargs)

    def call_function(self, target: object, args: tuple, kwargs: dict) -> Tensor:
        if getattr(target, "__name__", "") in ("iadd", "add"):  # a shortcut: what has no weights of its own has an identity's
            following = self.upcoming()
            factor = self.weights.get(f"{following.name} identity")
            return args[0] + (args[1] if factor is None else args[1] * factor)
        return super().call_function(target, args, kwargs)

    def convolved(self, module: nn.Conv2d, held: list, x: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
        """The sums of each layer that holds the convolution, two where they are carried by sign, each from all that it reads."""
        if isinstance(x, list):  # sums by sign, which are rounded here, for no ReLU does
            signs = dict(zip(dict.fromkeys(source for _, source, _ in held), x, strict=True))
            x_of = {source: self.levelled(source, value) for source, value in signs.items()}
        else:
            x_of = {source: x for _, source, _ in held}
        found: dict[str, Tensor] = {}
        for layer, source, weights in held:
            part = functional.conv2d(x_of[source], weights, None, module.stride, module.padding, 1, module.groups)
            found[layer] = found[layer] + part if layer in found else part
        if len(found) == 2:
            for _ in found:
                next(self.relus)  # they are no ReLUs of the user's
            return list(found.values())
        return found.popitem()[1]

    def levelled(self, name: str, sums: Tensor) -> Tensor:
        """Sums (N, C, H, W) of the layer `name` rounded to its levels."""
        bias, quarter, step = self.sums[name]
        self.levels[name] = torch.floor((sums + bias + quarter) / step + 0.5).clamp(0, 15).numpy()
        return torch.from_numpy(self.levels[name]) * step

    def upcoming(self) -> AnnLayer:
        """The layer of the next ReLU."""
        layer = next(self.relus)
        self.relus = iter([layer, *self.relus])
        return layer

    def rounded(self, x: Tensor) -> Tensor:
        layer = next(self.relus)
        bias, quarter, step = self.sums[layer.name]
        bias = bias.reshape(-1) if x.ndim == 2 else bias
        top = 15
        levels = torch.floor((x + bias + quarter) / step + 0.5).clamp(0, top)
        kept = levels if levels.shape[1:] == layer.shape else levels[..., None, None] if x.ndim == 2 else None
        if kept is not None:  # where the pooling comes first, the layer is larger than what is rounded here
            self.levels[layer.name] = kept.numpy()
        if layer.name in self.maxima:
            pool = self.maxima[layer.name]
            largest = levels if kept is None else functional.max_pool2d(levels, pool.kernel, pool.stride, pool.padding)
            self.levels[pool.name] = largest.numpy()
        return levels * step
