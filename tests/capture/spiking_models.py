"""Small spiking models of every style that users write, built from the real packages, and what is counted of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from hwsim.snn.network import Network, by_axis
from hwsim.trace.reader import Trace


def loud(model: Any, factor: float = 4.0) -> Any:
    """Weights so large, and half of a linear layer's so positive, that every layer spikes and none always."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.mul_(factor)
                if module.weight.ndim == 2:
                    module.weight[::2].abs_()
    return model


def images(samples: int = 2, shape: tuple[int, ...] = (1, 8, 8), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (samples, *shape)).astype(np.float32)


def spikes(samples: int = 2, timesteps: int = 4, shape: tuple[int, ...] = (2, 8, 8), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((samples, timesteps, *shape)) < 0.3


def planes(trace: Trace, layer: str) -> np.ndarray:
    """(samples, T, C, H, W) of a layer."""
    return np.stack([s.recorded[layer] for s in trace]).transpose(0, 1, 4, 2, 3)


def operations(network: Network, sample: Any) -> int:
    """Synaptic operations of a sample, counted with torch: all-ones kernels over events."""
    total = 0
    for layer in network:
        for c in layer.connections:
            events = sample.inputs if c.source == "input" else sample.recorded[c.source]
            x = torch.as_tensor((events != 0).transpose(0, 3, 1, 2).astype(np.float64))
            if c.pool_mode == "max":
                x = torch.nn.functional.max_pool2d(x, c.pool)
            elif c.pool > 1:
                x = torch.nn.functional.avg_pool2d(x, c.pool) * c.pool**2
            if c.operator == "conv2d":
                ones = torch.ones(layer.shape[0], x.shape[1] // c.groups, *by_axis(c.kernel), dtype=torch.float64)
                x = torch.nn.functional.conv2d(x, ones, stride=c.stride, padding=c.padding, groups=c.groups)
            elif c.operator == "linear":
                x = x.flatten(1).sum(1) * layer.shape[0]
            total += int(x.sum().round())
    return total
