"""The kernels as functions of torch with gradients; tensors are float32 on the CPU, images channels last."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hwsim.sources import activations
from hwsim.sources.single_spike import GAMMA
from hwsim.sources.surrogate import ROUNDING, WINDOW
from hwsim.training.native.library import library

PANEL = 16
"""Channels come in groups of so many."""


def tile_of(size: int) -> int:
    """Outputs a side that a tile holds on a map of this size: 4, 2, or 0 where none fits."""
    return 0 if size < 1 else 4 if size % 4 == 0 else 2 if size % 2 == 0 else 0


def plain(x: Tensor) -> bool:
    """Whether the kernels can read x."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def dense(x: Tensor) -> bool:
    """Whether images x lie one after the other in memory without gaps, their dimensions in whatever order."""
    return x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)


class Convolution(torch.autograd.Function):
    """3x3, stride 1, padding 1: (N, C, H, W) and weights (O, C, 3, 3) to (N, O, H, W), channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        y = torch.empty((len(x), len(weight), *x.shape[2:]), memory_format=torch.channels_last)
        ordered = weight.detach().permute(2, 3, 1, 0).contiguous()
        library().convolve(*_sizes(x, weight), _at(x), _at(ordered), _at(y), _threads())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dw, ordered = torch.empty((3, 3, weight.shape[1], len(weight))), weight.detach().permute(2, 3, 0, 1).contiguous()
        library().convolve_backward(
            *_sizes(x, weight), _at(x), _at(dy), _at(ordered), _at(dx), _at(dw), _threads())
        return dx, dw.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


class _Staircase(torch.autograd.Function):
    """activations.staircase in one pass forward and one backward; levels are computed twice instead of kept."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, step: Tensor, top: int) -> Tensor:
        ctx.save_for_backward(z, step)
        ctx.top = top
        y = torch.empty_like(z)
        library().staircase(ctypes.c_int64(z.numel()), _at(z), ctypes.c_float(step.item()), ctypes.c_float(top), _at(y),
                            _threads())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        z, step = ctx.saved_tensors
        dy, dz = _ordered_as(z, gradients[0]), torch.empty_like(z)
        error = library().staircase_backward(ctypes.c_int64(z.numel()), _at(z), _at(dy), ctypes.c_float(step.item()),
                                             ctypes.c_float(ctx.top), _at(dz), _threads())
        return dz, step.new_tensor(error).reshape(step.shape), None


def staircase(z: Tensor, step: Tensor, top: int) -> Tensor:
    """The staircase by the kernels where they fit: dense memory, in any order of the dimensions."""
    if not (plain(z) and dense(z)):
        return activations.torch_staircase(z, step, top)
    return _Staircase.apply(z, step, top)


class Clip(torch.autograd.Function):
    """clip(z, 0, top) in one pass forward and one backward, in the memory order of z."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, top: Tensor) -> Tensor:
        ctx.save_for_backward(z, top)
        y = torch.empty_like(z)
        library().clip(ctypes.c_int64(z.numel()), _at(z), ctypes.c_float(top.item()), _at(y), _threads())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        z, top = ctx.saved_tensors
        dy, dz = _ordered_as(z, gradients[0]), torch.empty_like(z)
        of_top = library().clip_backward(ctypes.c_int64(z.numel()), _at(z), _at(dy), ctypes.c_float(top.item()), _at(dz),
                                         _threads())
        return dz, top.new_tensor(of_top).reshape(top.shape)


def _sizes(x: Tensor, weight: Tensor) -> tuple[ctypes.c_int64, ...]:
    n, c, h, w = x.shape
    return tuple(ctypes.c_int64(v) for v in (min(tile_of(h), tile_of(w)), n, h, w, c, len(weight)))


def _at(x: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if x is None else x.data_ptr())


def _ordered_as(z: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in z's order in memory."""
    return gradient if gradient.stride() == z.stride() else torch.empty_like(z).copy_(gradient)


def _threads() -> ctypes.c_int64:
    return ctypes.c_int64(torch.get_num_threads())


class FireOnce(torch.autograd.Function):
    """Paper 004's neurons through all timesteps: currents (T, N, C, H, W) to spikes of that shape, from potentials `start`, which
    have no gradient, (1, C, H, W) in the memory order of one image of the currents."""

    @staticmethod
    def forward(ctx: Any, currents: Tensor, start: Tensor, threshold: Tensor, leak: Tensor) -> Tensor:
        spikes, z = torch.empty_like(currents), torch.empty_like(currents)
        about = (ctypes.c_int64(len(currents)), ctypes.c_int64(currents[0].numel()))
        library().fire_once(*about, _at(currents), _at(start), ctypes.c_int64(start.numel()), ctypes.c_float(threshold.item()),
                            ctypes.c_float(leak.item()), _at(spikes), _at(z), _threads())
        ctx.save_for_backward(z, start, threshold, leak)
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        z, start, threshold, leak = ctx.saved_tensors
        given = _ordered_as(z, gradients[0])
        passed, sums = torch.empty_like(z), torch.empty(2, dtype=torch.float64)
        library().fire_once_backward(
            ctypes.c_int64(len(z)), ctypes.c_int64(z[0].numel()), _at(z), _at(start), ctypes.c_int64(start.numel()), _at(given),
            ctypes.c_float(threshold.item()), ctypes.c_float(leak.item()), ctypes.c_float(GAMMA), _at(passed), _at(sums),
            _threads())
        of_threshold, of_leak = sums.to(threshold.dtype)
        return passed, None, of_threshold.reshape(threshold.shape), of_leak.reshape(leak.shape)


class FireAlphaBeta(torch.autograd.Function):
    """Paper 001's neurons through all timesteps: currents (T * N, ...), the timesteps one after the other, to what is sent, of
    that shape and in that memory order."""

    @staticmethod
    def forward(ctx: Any, currents: Tensor, threshold: Tensor, scale: Tensor, timesteps: int) -> Tensor:
        sent, z = torch.empty_like(currents), torch.empty_like(currents)
        ctx.steps = ctypes.c_int64(timesteps), ctypes.c_int64(currents.numel() // timesteps)
        library().alpha_beta(*ctx.steps, _at(currents), ctypes.c_float(threshold.item()), ctypes.c_float(scale.item()), _at(sent),
                             _at(z), _threads())
        ctx.save_for_backward(z, threshold, scale)
        return sent

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        z, threshold, scale = ctx.saved_tensors
        given, passed, sums = _ordered_as(z, gradients[0]), torch.empty_like(z), torch.empty(2, dtype=torch.float64)
        library().alpha_beta_backward(*ctx.steps, _at(z), _at(given), ctypes.c_float(-ROUNDING), ctypes.c_float(WINDOW),
                                      _at(passed), _at(sums), _threads())
        of_threshold, of_scale = sums.to(threshold.dtype)
        return passed, of_threshold.reshape(threshold.shape), of_scale.reshape(scale.shape), None


class NormStaircase(torch.autograd.Function):
    """Staircase of BatchNorm(x) + more, with batch statistics; also gives mean and biased variance a channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, more: Tensor | None, gamma: Tensor, beta: Tensor, step: Tensor, top: int, eps: float
                ) -> tuple[Tensor, Tensor, Tensor]:
        x = x.contiguous(memory_format=torch.channels_last)
        more = None if more is None else more.contiguous(memory_format=torch.channels_last)
        rows, channels = ctypes.c_int64(x.numel() // x.shape[1]), ctypes.c_int64(x.shape[1])
        mean, variance, y = torch.empty(x.shape[1]), torch.empty(x.shape[1]), torch.empty_like(x)
        library().moments(rows, channels, _at(x), _at(mean), _at(variance), _threads())
        deviation = (variance + eps).sqrt()
        gain = gamma.detach() / deviation
        offset = beta.detach() - mean * gain
        library().norm_staircase(rows, channels, _at(x), _at(more), _at(gain), _at(offset), ctypes.c_float(step.item()),
                                 ctypes.c_float(top), _at(y), _threads())
        ctx.save_for_backward(x, more, gain, offset, mean, deviation, step)
        ctx.top = top
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, more, gain, offset, mean, deviation, step = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        dx, dgamma, dbeta = torch.empty_like(x), torch.empty_like(gain), torch.empty_like(gain)
        dmore = dx if more is None else torch.empty_like(x)
        error = library().norm_staircase_backward(
            ctypes.c_int64(x.numel() // x.shape[1]), ctypes.c_int64(x.shape[1]), _at(x), _at(more), _at(gain), _at(offset),
            _at(mean), _at(deviation), _at(dy), ctypes.c_float(step.item()), ctypes.c_float(ctx.top), _at(dx), _at(dmore),
            _at(dgamma), _at(dbeta), _threads())
        return (dx, None if more is None else dmore, dgamma, dbeta, step.new_tensor(error).reshape(step.shape), None, None)
