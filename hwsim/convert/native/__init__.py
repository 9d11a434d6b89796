"""Faster training on a CPU: 3x3 convolutions by Winograd's minimal filtering and a fused staircase, compiled when first asked for.

oneDNN has no Winograd kernels for AVX2, and its backward pass is slow there; `hwsim train --kernels native` takes these
instead. They compute the same sums in another order (about 1e-5 apart, relative to the largest; tests/convert/test_native.py),
in float32, on channels-last tensors. A layer that they do not fit (stride, other kernels, channels that are no multiple of
16, odd sizes, other precisions) stays with torch.

The source is kernels.cpp beside this file. It is built with g++ (or the compiler that CXX names) for the processor at hand
and kept in the user's cache folder under a name made of the source, the compiler's flags and the processor.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwsim.convert import activations
from hwsim.convert.networks import Neurons
from hwsim.errors import HwsimError

SOURCE = Path(__file__).with_name("kernels.cpp")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-std=c++17", "-shared", "-fPIC", "-pthread")
PANEL = 16
"""Channels come in groups of so many."""


class NativeError(HwsimError):
    """The kernels cannot be built or loaded here; the text says why and what to do."""


def cache_folder() -> Path:
    """Where built kernels are kept: $XDG_CACHE_HOME/hwsim, or ~/.cache/hwsim."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hwsim"


@cache
def library() -> Any:
    """The compiled kernels. Raises NativeError without a compiler, or when it fails."""
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    source = SOURCE.read_bytes()
    identity = "\0".join([*compiler, *FLAGS, platform.machine(), _processor()]).encode()
    target = cache_folder() / f"kernels-{hashlib.sha256(source + identity).hexdigest()[:16]}.so"
    if not target.exists():
        _build(compiler, target)
    try:
        loaded = ctypes.CDLL(str(target))
    except OSError as error:
        raise NativeError(f"{target}: the built kernels do not load ({error}); delete the file, or train with --kernels torch"
                          ) from None
    loaded.staircase_backward.restype = loaded.norm_staircase_backward.restype = ctypes.c_double
    return loaded


def _build(compiler: list[str], target: Path) -> None:
    """Compile beside `target`, then rename: two trainings that start at once do not meet half a library."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder) / target.name
            done = subprocess.run([*compiler, *FLAGS, str(SOURCE), "-o", str(part)], capture_output=True, text=True)
            if done.returncode:
                raise NativeError(f"{SOURCE}: {' '.join(compiler)} failed: {done.stderr.strip()[:500] or done.returncode}; install "
                                  f"a C++17 compiler, or train with --kernels torch")
            os.replace(part, target)
    except OSError as error:
        raise NativeError(f"the native kernels cannot be built ({error}); install g++ (or name a compiler in CXX), or train "
                          f"with --kernels torch") from None


def _keep_memory() -> None:
    """Ask glibc to keep what is freed: each activation is megabytes, and the system clears every page that it hands out anew.
    Elsewhere nothing happens, and training is a fifth slower."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        most_maps, trim_threshold, top_padding = -4, -1, -2
        mallopt(most_maps, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_padding, 64 << 20)


def _processor() -> str:
    """What -march=native depends on, so that a cache on a shared disk serves unlike machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "".join(line for line in lines if line.startswith(("model name", "flags")))[:4000]


def tile_of(size: int) -> int:
    """Outputs a side that a tile holds on a map of this size: 4, 2, or 0 where none fits."""
    return 4 if size % 4 == 0 else 2 if size % 2 == 0 else 0


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
    _keep_memory()
    taken = {module: _Forward(module) for module in network.modules() if fits(module)}
    taken |= {module: _Layer(module) for module in network.modules() if isinstance(module, Neurons) and _Layer.fits(module)}
    staircase = activations.staircase
    try:
        for module, forward in taken.items():
            module.forward = forward  # type: ignore[method-assign]
        activations.staircase = _staircase
        yield
    finally:
        activations.staircase = staircase
        for module in taken:
            del module.forward  # the class's own comes back


class _Forward:
    """What a convolution does instead of its own forward."""

    def __init__(self, convolution: nn.Module) -> None:
        self.convolution: Any = convolution
        self.usual = type(convolution).forward

    def __call__(self, x: Tensor) -> Tensor:
        weight = self.convolution.weight
        if not (_plain(x) and _plain(weight)):
            return self.usual(self.convolution, x)
        if x.shape[2:] == (1, 1):  # all but the middle of the kernel lies on the border
            y = functional.linear(x.flatten(1), weight[:, :, 1, 1])[:, :, None, None]
        elif tile_of(x.shape[2]) and tile_of(x.shape[3]):
            y = _Convolution.apply(x, weight)
        else:
            return self.usual(self.convolution, x)
        return y if self.convolution.bias is None else y + self.convolution.bias.reshape(-1, 1, 1)


class _Layer:
    """What a layer does instead: the BatchNorm of its first connection, the sum of the others, and the staircase, in one."""

    def __init__(self, layer: Neurons) -> None:
        self.layer: Any = layer

    @staticmethod
    def fits(layer: Neurons) -> bool:
        first: Any = layer.connections[0]
        return (isinstance(layer.activation, activations.Qcfs | activations.Lsq) and isinstance(first.norm, nn.BatchNorm2d)
                and first.norm.momentum is not None)

    def __call__(self, outputs: dict[str, Tensor]) -> Tensor:
        layer, first, others = self.layer, self.layer.connections[0], self.layer.connections[1:]
        noisy = layer.training and getattr(layer.activation, "noise", False)
        if not layer.training or noisy or not _plain(outputs[first.spec.source]):
            return type(layer).forward(layer, outputs)
        x, norm = first.weighed(outputs[first.spec.source]), first.norm
        more = None
        for synapses in others:
            current = synapses(outputs[synapses.spec.source])
            more = current if more is None else more + current
        step, top = layer.activation.trained_step(x), layer.activation.top
        y, mean, variance = _NormStaircase.apply(x, more, norm.weight, norm.bias, step, top, norm.eps)
        with torch.no_grad():
            rows = x.numel() / x.shape[1]
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * (rows / max(1, rows - 1)), norm.momentum)
            norm.num_batches_tracked += 1
        return y


class _NormStaircase(torch.autograd.Function):
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


def _plain(x: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


class _Convolution(torch.autograd.Function):
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
        library().staircase(ctypes.c_int64(z.numel()), _at(z), ctypes.c_float(step.item()), ctypes.c_float(top), _at(y), _threads())
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        z, step = ctx.saved_tensors
        dy = torch.empty_like(z).copy_(gradients[0]) if gradients[0].stride() != z.stride() else gradients[0]
        dz = torch.empty_like(z)
        error = library().staircase_backward(ctypes.c_int64(z.numel()), _at(z), _at(dy), ctypes.c_float(step.item()),
                                             ctypes.c_float(ctx.top), _at(dz), _threads())
        return dz, step.new_tensor(error).reshape(step.shape), None


def _staircase(z: Tensor, step: Tensor, top: int) -> Tensor:
    """The staircase by the kernels where they fit: dense memory, in any order of the dimensions."""
    dense = z.is_contiguous() or z.is_contiguous(memory_format=torch.channels_last)
    if not (_plain(z) and dense):
        return activations.torch_staircase(z, step, top)
    return _Staircase.apply(z, step, top)


def _sizes(x: Tensor, weight: Tensor) -> tuple[ctypes.c_int64, ...]:
    n, c, h, w = x.shape
    return tuple(ctypes.c_int64(v) for v in (min(tile_of(h), tile_of(w)), n, h, w, c, len(weight)))


def _at(x: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if x is None else x.data_ptr())


def _threads() -> ctypes.c_int64:
    return ctypes.c_int64(torch.get_num_threads())
