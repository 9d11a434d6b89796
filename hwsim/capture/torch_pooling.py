"""Max pooling of spikes that no pooling unit does: windows that overlap or are padded, of sums of spikes, before an average.

A window's maximum is its OR, in each timestep, and integrate-and-fire neurons with weights of one, a threshold of one and a hard
reset compute it: they become layers of their own, whose spikes are recorded. Of a sum of n layers' spikes (a residual sum, 0 to
n) the maximum is the sum of n such layers: that any place of the window has 1, 2, ..., n. Places with k of them are found by one
more layer of neurons with a threshold of k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch.nn import functional

from hwsim.capture import flow as fl
from hwsim.capture.errors import UnsupportedError
from hwsim.capture.torch_functions import Value, signature


@dataclass(frozen=True)
class Window:
    """The square windows of a max pooling."""

    side: int
    step: int
    pad: int

    @property
    def in_blocks(self) -> bool:
        """Whether windows neither overlap nor are padded, as those of a pooling unit are."""
        return (self.step, self.pad) == (self.side, 0)


Keep = Callable[[str, fl.Flow, torch.Tensor, Value], fl.Branch]
"""Records a layer of neurons: its wanted name, what it reads, its spikes (planes, C, H, W), the value that they belong to. Gives
what reads the layer."""


@dataclass
class Pooling:
    """Pools that became layers. `keep` is the tracker's."""

    keep: Keep
    known: dict[tuple[object, ...], int] = field(default_factory=dict)

    def largest(self, given: Value, values: torch.Tensor, window: Window, place: str) -> Value:
        """The maximum of windows of `given`, whose tensor is `values`: by a pooling unit where one can, else by neurons."""
        flow = given.flow
        if flow.weighted:
            raise UnsupportedError(
                f"max pooling of the sums of {', '.join(flow.holders)}", "max pooling of spikes",
                "pool after the spiking layer instead of before it (convolution, neuron, max pooling), and train again: the "
                "largest current of a window is no sum of spikes")
        if window.in_blocks and len(flow.branches) == 1 and flow.branches[0].pool_mode in ("none", "max"):
            return replace(given, flow=fl.pooled(flow, window.side, "max"))
        return self.by_neurons(given, values, window, place)

    def before_average(self, given: Value, values: torch.Tensor, place: str) -> Value:
        """A value that an average can be taken of: maxima that a pooling unit has taken become a layer."""
        flow, b = given.flow, given.flow.branches[0]
        if len(flow.branches) > 1 or b.pool_mode != "max" or b.operator is not None:
            return given
        source = fl.source_flow(b.source, b.source_shape, False, b.step, b.varies)
        branch = self.keep(f"{place or b.source}.max", self._ored(source, Window(b.pool, b.pool, 0)), _planes(values), given)
        return replace(given, flow=fl.Flow((branch,), flow.shape))

    def by_neurons(self, given: Value, values: torch.Tensor, window: Window, place: str) -> Value:
        """The maximum as the sum of layers of neurons, one for each number of spikes that a place may have."""
        flow = given.flow
        if any(b.pool_mode == "folded" or b.operator is not None for b in flow.branches):
            raise UnsupportedError("max pooling of averages", "max pooling of spikes", "take the maximum first")
        planes, most = _planes(values), len(flow.branches)
        if bool(((planes != planes.round()) | (planes < 0) | (planes > most)).any()):
            raise UnsupportedError("max pooling of values that are no sums of spikes", "spikes, or sums of them",
                                   "pool spikes, without factors")
        name = place or f"{flow.branches[0].source}.max"
        made = []
        for k in range(1, most + 1):
            reached = (planes >= k).to(planes.dtype)
            read = flow
            if k > 1:
                read = fl.Flow((self.keep(f"{name}.{k}", flow, reached, given),), flow.shape)
            ored = functional.max_pool2d(functional.pad(reached, (window.pad,) * 4), window.side, window.step)
            made.append(self.keep(name if k == 1 else f"{name}.or{k}", self._ored(read, window), ored, given))
        shape = (flow.shape[0], *ored.shape[-2:])
        return replace(given, flow=fl.Flow(tuple(made), shape))

    def _ored(self, flow: fl.Flow, window: Window) -> fl.Flow:
        """Synapses from each window to its neuron."""
        c = fl.layer_shape(flow.shape)[0]
        parts = [fl.convolved(fl.Flow((b,), flow.shape), "", c, window.side, window.step, window.pad, c) for b in flow.branches]
        return fl.Flow(tuple(b for part in parts for b in part.branches), parts[0].shape)


def _planes(values: torch.Tensor) -> torch.Tensor:
    """(planes, C, H, W) of a tensor of one sample."""
    return values.detach().cpu().float().reshape(-1, *values.shape[-3:])


def key_of(wanted: str, flow: fl.Flow) -> tuple[object, ...]:
    """What makes a pooling the same in every timestep."""
    return (wanted, *signature(flow))
