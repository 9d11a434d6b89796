"""Activations of source ANNs whose outputs spikes can carry, as torch modules with one trainable scale a layer.

Values are real; a level is an integer, value = level * step. `levels` is Q, the number of steps a threshold is divided
into: step = threshold / Q. `top` is the highest level: Q - 1 for bit-serial coding (2^T levels fit T bits) and Q for
rate coding (0 to T spikes). Paper 000 prints Q for both; only Q - 1 converts without loss there.

relu             max(z, 0), for comparison and as a start for the others.
qcfs             quantisation-clip-floor-shift, papers 000 and 002 (Eq. 2 with the factor Q / lambda that the printed
                 lambda / L means): step * clip(floor(z / step + 1/2), 0, top).
threshold_relu   clip(z, 0, mu) with trainable mu: paper 001, section II-A.
lsq              step * clip(round(z / step), 0, top) with a trainable step and LSQ's gradient scale (Esser et al. 2020,
                 section 2.2): paper 003, Eq. 3-5; with `noise`, uniform noise before rounding while training: Eq. 7-10.
alpha_beta       no activation but the neurons of paper 001's SNN, to fine-tune it (hwsim.sources.surrogate).
Gradients of floor and round are those of the identity (straight-through estimator).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwsim.errors import HwsimError
from hwsim.sources.surrogate import SMALLEST, AlphaBeta


class ActivationError(HwsimError):
    """An activation that cannot be made as asked; the text says what is possible."""


class _Staircase(torch.autograd.Function):
    """step * clip(floor(z / step + 1/2), 0, top), fused: three passes over memory forward, three backward.

    The gradient of z passes where 0 < z < top * step. That of the step is (level - z / step) inside, top above,
    0 below: what autograd would give for a straight-through floor (paper 003, Eq. 5; QCFS's own, divided by Q).
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, step: Tensor, top: int) -> Tensor:
        scale = step.detach().to(torch.float32)
        levels = z / scale.to(z.dtype) + 0.5 if z.is_cuda or torch.compiler.is_compiling() else z / scale.item() + 0.5
        levels = levels.clamp_(0, top + 0.5).floor_()
        ctx.save_for_backward(z, levels, step)
        ctx.top = top
        return levels * scale.to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        z, levels, step = ctx.saved_tensors
        top, g = ctx.top, gradients[0]
        # Slices and padding of shortcuts hand back gradients in another memory order, which makes all that follows slow.
        g = g.contiguous(memory_format=torch.channels_last) if levels.is_contiguous(memory_format=torch.channels_last) else g
        scale = step.detach().to(torch.float32)
        if torch.compiler.is_compiling():  # which knows no numbers, but fuses what would be three passes
            inside = g * ((z > 0) & (z < top * scale))
        else:
            inside = torch.ops.aten.hardtanh_backward(g, z, 0.0, float(top * scale))
        error = (g * levels).sum(dtype=torch.float32) - (inside * z).sum(dtype=torch.float32) / scale
        return inside, error.to(step.dtype).reshape(step.shape), None


def torch_staircase(z: Tensor, step: Tensor, top: int) -> Tensor:
    """step * clip(floor(z / step + 1/2), 0, top) by torch, on any device."""
    return _Staircase.apply(z, step, top)


staircase = torch_staircase
"""What the quantised activations call; hwsim.training.native puts its own here while it trains."""

SINGLE_SPIKE, ALPHA_BETA = "single_spike", "alpha_beta"
LEVELLED = ("qcfs", "lsq")
"""Activations whose outputs are levels, integers times a step."""


class Relu(nn.Module):
    """max(z, 0), without any clip: no spikes carry it, other activations are trained from it."""

    def forward(self, z: Tensor) -> Tensor:
        return functional.relu(z)


class Qcfs(nn.Module):
    """step * clip(floor(z / step + 1/2), 0, top), step = threshold / levels; the threshold (lambda) is trained."""

    def __init__(self, levels: int, top: int, threshold: float) -> None:
        super().__init__()
        self.levels, self.top = levels, top
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))

    @property
    def step(self) -> Tensor:
        """The value of one level."""
        return self.threshold.clamp_min(SMALLEST) / self.levels

    def trained_step(self, z: Tensor) -> Tensor:
        """The step that training on inputs z sees."""
        return self.step

    @property
    def ceiling(self) -> float:
        """The highest value that comes out: top * step."""
        return self.top * self.step.item()

    @torch.no_grad()
    def start_at(self, ceiling: float) -> None:
        """Set the highest value that comes out."""
        self.threshold.fill_(ceiling * self.levels / self.top)

    def forward(self, z: Tensor) -> Tensor:
        return staircase(z, self.step, self.top)


class ThresholdRelu(nn.Module):
    """clip(z, 0, mu) with trainable mu (paper 001, II-A): what is above mu teaches mu, what is inside passes."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))

    @property
    def ceiling(self) -> float:
        """mu."""
        return self.threshold.item()

    @torch.no_grad()
    def start_at(self, ceiling: float) -> None:
        """Set mu."""
        self.threshold.fill_(ceiling)

    @property
    def held(self) -> Tensor:
        """mu, above zero."""
        return self.threshold.clamp_min(SMALLEST)

    def forward(self, z: Tensor) -> Tensor:
        # minimum() gives the gradient to mu where z is above it, which is the paper's
        return torch.minimum(functional.relu(z), self.held.to(z.dtype))


class Lsq(nn.Module):
    """step * clip(round(z / step + e), 0, top), with a trainable step; e uniform in (-1/2, 1/2) while training, with
    `noise`, else 0. A z halfway between two levels rounds up, as a spiking neuron with initial potential 1/2 does.

    The gradient of the step is scaled by 1 / sqrt(neurons * top): LSQ, section 2.2, neurons counted a sample.
    """

    def __init__(self, top: int, threshold: float, noise: bool) -> None:
        super().__init__()
        self.top, self.noise = top, noise
        self.raw_step = nn.Parameter(torch.tensor(float(threshold) / top))

    @property
    def step(self) -> Tensor:
        """The value of one level."""
        return self.raw_step.clamp_min(SMALLEST)

    @property
    def ceiling(self) -> float:
        """The highest value that comes out: top * step."""
        return self.top * self.step.item()

    @torch.no_grad()
    def start_at(self, ceiling: float) -> None:
        """Set the highest value that comes out."""
        self.raw_step.fill_(ceiling / self.top)

    def trained_step(self, z: Tensor) -> Tensor:
        """The step that training on inputs z sees: its gradient is scaled."""
        return _scale_gradient(self.step, (z[0].numel() * self.top) ** -0.5)

    def forward(self, z: Tensor) -> Tensor:
        step = self.trained_step(z) if self.training else self.step
        if self.training and self.noise:
            z = z + self.drawn(z, step)
        return staircase(z, step, self.top)

    @staticmethod
    def drawn(z: Tensor, step: Tensor) -> Tensor:
        """e * step for inputs z; the gradient of Eq. 10 is the staircase's at z + e * step with e * step held constant."""
        return (torch.rand_like(z) - 0.5) * step.detach().to(z.dtype)


def _scale_gradient(x: Tensor, scale: float) -> Tensor:
    """x, whose gradient is multiplied by `scale` (LSQ, appendix A)."""
    return (x - x * scale).detach() + x * scale


def upper_quantile(values: Tensor, quantile: float) -> float:
    """The smallest value that at least a fraction `quantile` of all does not exceed (torch.quantile ends at 16 M)."""
    flat = values.flatten()
    rank = min(flat.numel(), max(1, math.ceil(quantile * flat.numel())))
    return flat.kthvalue(rank).values.item()


@dataclass(frozen=True)
class ActivationSpec:
    """What activation a network has, as a checkpoint states it.

    kind       one of KINDS.                               levels   Q, of a quantised one: step = threshold / levels.
    top        highest level; None: levels - 1 (bit-serial), or levels (rate) must be said.
    noise      lsq only: the noise adaptor.                threshold   where training starts from.
    timesteps  single_spike and alpha_beta only: T, as neurons take the place of activations (convert.single_spike, .surrogate).
    """

    kind: str = "qcfs"
    levels: int = 16
    top: int | None = None
    noise: bool = False
    threshold: float = 4.0
    timesteps: int = 5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ActivationError(f"activation {self.kind!r} is not known; choose from {', '.join(KINDS)}")
        if not 2 <= self.levels <= 1 << 16:
            raise ActivationError(f"levels = {self.levels}: a quantised activation needs 2 to {1 << 16} levels")
        if self.top is not None and self.top not in (self.levels, self.levels - 1):
            raise ActivationError(f"top = {self.top} with levels = {self.levels}: the highest level is {self.levels - 1} "
                                  f"(bit-serial coding) or {self.levels} (rate coding)")
        if self.noise and self.kind != "lsq":
            raise ActivationError(f"activation {self.kind} with noise: only lsq has the noise adaptor")
        if not 0 < self.threshold < float("inf"):
            raise ActivationError(f"threshold = {self.threshold}: training starts from a positive number")
        if self.kind == ALPHA_BETA and not 1 <= self.timesteps <= 64:
            raise ActivationError(f"timesteps = {self.timesteps}: alpha_beta trains 1 to 64 timesteps")
        if self.kind != ALPHA_BETA and not 2 <= self.timesteps <= 1 << 16:
            raise ActivationError(f"timesteps = {self.timesteps}: single-spike networks need 2 or more, one for the image and "
                                  f"one for spikes")

    @property
    def highest(self) -> int:
        """The highest level, 0 to 15 for the default of 16 levels."""
        return self.levels - 1 if self.top is None else self.top

    def make(self) -> nn.Module:
        """A fresh module."""
        return KINDS[self.kind](self)


KINDS: dict[str, Callable[[ActivationSpec], nn.Module]] = {
    "relu": lambda spec: Relu(),
    "threshold_relu": lambda spec: ThresholdRelu(spec.threshold),
    "qcfs": lambda spec: Qcfs(spec.levels, spec.highest, spec.threshold),
    "lsq": lambda spec: Lsq(spec.highest, spec.threshold, spec.noise),
    ALPHA_BETA: lambda spec: AlphaBeta(spec.timesteps, spec.threshold),
    SINGLE_SPIKE: lambda spec: Relu(),  # the graph's activation while its neurons are not built yet
}
