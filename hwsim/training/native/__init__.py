"""Faster training on a CPU: 3x3 convolutions by Winograd's minimal filtering, normalisation and staircase in one, all
timesteps of neurons in one.

oneDNN has no Winograd kernels for AVX2, and its backward pass is slow there; `hwsim train --kernels native` takes these
instead. They compute the same sums in another order (about 1e-5 apart, relative to the largest; tests/convert/test_native.py),
in float32, on channels-last tensors. A layer that they do not fit (stride, other kernels, channels that are no multiple of
16, odd sizes, other precisions) stays with torch.

kernels.cpp is built with g++ (or the compiler that CXX names) for the processor at hand (library.py), wrapped with its
gradients (functions.py), and put into a network for as long as it trains (here).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwsim.sources import activations
from hwsim.sources.networks import Neurons
from hwsim.sources.single_spike import SingleSpikeLayer
from hwsim.sources.surrogate import AlphaBeta
from hwsim.training.native.functions import (
    PANEL,
    Clip,
    Convolution,
    FireAlphaBeta,
    FireOnce,
    NormStaircase,
    dense,
    plain,
    staircase,
    tile_of,
)
from hwsim.training.native.library import NativeError, keep_memory, library

__all__ = ["NativeError", "fits", "native_kernels"]


def fits(convolution: nn.Module) -> bool:
    """Whether the kernels can take this convolution, its input's size apart."""
    return (isinstance(convolution, nn.Conv2d) and convolution.kernel_size == (3, 3) and convolution.stride == (1, 1)
            and convolution.padding == (1, 1) and convolution.dilation == (1, 1) and convolution.groups == 1
            and convolution.in_channels % PANEL == 0 and convolution.out_channels % PANEL == 0
            and convolution.padding_mode == "zeros")


@contextmanager
def native_kernels(network: nn.Module) -> Iterator[None]:
    """Within it, what of `network` the kernels fit runs on them, backward included. Raises NativeError when they do not build."""
    library()
    keep_memory()
    own = [module for module in network.modules() if "forward" not in vars(module)]
    taken = {module: _Forward(module) for module in own if fits(module)}
    taken |= {module: _Layer(module) for module in own if isinstance(module, Neurons) and _Layer.fits(module)}
    taken |= {module: _Clip(module) for module in own if isinstance(module, activations.ThresholdRelu)}
    taken |= {module: _Spiking(module) for module in own if isinstance(module, AlphaBeta)}
    firing: dict[Any, _Fire] = {module: _Fire(module) for module in network.modules()
                                if isinstance(module, SingleSpikeLayer) and "fire" not in vars(module)}
    usual = activations.staircase
    try:
        for module, forward in taken.items():
            module.forward = forward
        for layer, fire in firing.items():
            layer.fire = fire
        activations.staircase = staircase
        yield
    finally:
        activations.staircase = usual
        for module in taken:
            del module.forward  # the class's own comes back
        for layer in firing:
            del layer.fire


class _Forward:
    """What a convolution does instead of its own forward."""

    def __init__(self, convolution: nn.Module) -> None:
        self.convolution: Any = convolution
        self.usual = type(convolution).forward

    def __call__(self, x: Tensor) -> Tensor:
        weight = self.convolution.weight
        if not (plain(x) and plain(weight)) or x.ndim != 4 or x.shape[1] != weight.shape[1]:
            return self.usual(self.convolution, x)  # which has an error for shapes that do not fit
        if x.shape[2:] == (1, 1):  # all but the middle of the kernel lies on the border
            y = functional.linear(x.flatten(1), weight[:, :, 1, 1])[:, :, None, None]
        elif tile_of(x.shape[2]) and tile_of(x.shape[3]):
            y = Convolution.apply(x, weight)
        else:
            return self.usual(self.convolution, x)
        return y if self.convolution.bias is None else y + self.convolution.bias.reshape(-1, 1, 1)


class _Fire:
    """What a layer of single spikes does in training instead: all its timesteps in one pass over memory, and one back."""

    def __init__(self, layer: SingleSpikeLayer) -> None:
        self.layer = layer

    def __call__(self, currents: Tensor) -> Tensor:
        layer, flat = self.layer, currents.flatten(0, 1)
        orders = [order for order in (torch.contiguous_format, torch.channels_last) if flat.is_contiguous(memory_format=order)]
        if not (layer.training and plain(currents) and orders) or layer.initial.requires_grad:
            return type(layer).fire(layer, currents)
        start = layer.initial.expand(1, *flat.shape[1:]).contiguous(memory_format=orders[-1])
        return FireOnce.apply(currents, start, *layer.held())


class _Clip:
    """What a ReLU with a threshold does instead, in one pass forward and one back."""

    def __init__(self, activation: activations.ThresholdRelu) -> None:
        self.activation = activation

    def __call__(self, z: Tensor) -> Tensor:
        if not (plain(z) and dense(z)):
            return type(self.activation).forward(self.activation, z)
        return Clip.apply(z, self.activation.held)


class _Spiking:
    """What the neurons of paper 001 do instead: all timesteps in one pass over memory, and one back."""

    def __init__(self, neurons: AlphaBeta) -> None:
        self.neurons = neurons

    def __call__(self, currents: Tensor) -> Tensor:
        neurons = self.neurons
        if not (plain(currents) and dense(currents)) or len(currents) % neurons.timesteps:
            return type(neurons).forward(neurons, currents)  # which has an error for currents that are no multiple
        return FireAlphaBeta.apply(currents, neurons.threshold, neurons.scale, neurons.timesteps)


class _Layer:
    """What a layer does instead: the BatchNorm of its first connection, the sum of the others, and the staircase, in one."""

    def __init__(self, layer: Neurons) -> None:
        self.layer: Any = layer

    def watched(self) -> bool:
        """Whether somebody hooked into what would not run on its own, as the bits' regulariser does."""
        inside: tuple[Any, ...] = (self.layer.connections[0], self.layer.connections[0].norm, self.layer.activation)
        return any(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks for module in inside)

    @staticmethod
    def fits(layer: Neurons) -> bool:
        first: Any = layer.connections[0]
        return (isinstance(layer.activation, activations.Qcfs | activations.Lsq) and isinstance(first.norm, nn.BatchNorm2d)
                and first.norm.momentum is not None)

    def __call__(self, outputs: dict[str, Tensor]) -> Tensor:
        layer, first, others = self.layer, self.layer.connections[0], self.layer.connections[1:]
        if not layer.training or self.watched() or not plain(outputs[first.spec.source]):
            return type(layer).forward(layer, outputs)
        x, norm = first.weighed(outputs[first.spec.source]), first.norm
        if x.numel() == x.shape[1]:
            return type(layer).forward(layer, outputs)  # torch has an error for one value a channel
        more = None
        for synapses in others:
            current = synapses(outputs[synapses.spec.source])
            more = current if more is None else more + current
        step, top = layer.activation.trained_step(x), layer.activation.top
        if getattr(layer.activation, "noise", False):
            noise = layer.activation.drawn(x, step)
            more = noise if more is None else more + noise
        y, mean, variance = NormStaircase.apply(x, more, norm.weight, norm.bias, step, top, norm.eps)
        with torch.no_grad():
            rows = x.numel() / x.shape[1]
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * (rows / max(1, rows - 1)), norm.momentum)
            norm.num_batches_tracked += 1
        return y
