"""Current-based leaky integrate-and-fire (CUBA LIF), bit for bit as Loihi 2 and Lava's fixed-point LIF compute it.

A step t, with sums s(t), bias b and threshold theta:

    I(t) = kept(I(t-1), current_decay) + s(t)
    V(t) = kept(V(t-1), potential_decay) + I(t) + b
    fires where V(t) > theta, and V(t) becomes 0 there

kept(x, d) = x * (4096 - d) / 4096, rounded toward zero. Checked against what the chip's own software recorded of Intel's PilotNet
(docs/capture.md). In hardware the decays come at the end of a step, after the reset (docs/cycle-model.md, R10), so the potentials
after the last step are V decayed. Where the current lives one step (current_decay 4096), events add to V itself and there is no
current; else they add to the current memory (R12).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import DECAY_BITS, DECAY_WHOLE, PassTable
from hwsim.snn.neurons.base import Context, Neuron, NeuronLayer, fire_passes, spread, stepwise_table

IntArray = NDArray[np.int64]


def kept(values: IntArray, decay: int) -> IntArray:
    """What a decay of `decay` / 4096 leaves of `values`, rounded toward zero."""
    left = values * (DECAY_WHOLE - decay)
    return np.sign(left) * (np.abs(left) >> DECAY_BITS)


class Step(NamedTuple):
    """One timestep of a layer (C, H, W): the current, the potential as it is compared, and who fires."""

    current: IntArray
    potential: IntArray
    fired: NDArray[np.bool_]


@dataclass(frozen=True)
class CubaLif(Neuron):
    """Fires when V > theta, V then becomes 0; `bias` is added in every timestep; V starts at `initial_potential`, I at 0.

    current_decay, potential_decay   what is lost per timestep, in 1/4096. 4096: everything, so the current lives one step.
    """

    model: ClassVar[str] = "cuba_lif"
    coding: ClassVar[str] = "rate"
    current_decay: int = DECAY_WHOLE
    potential_decay: int = 0

    @property
    def leaks(self) -> bool:
        return self.potential_decay > 0 or self.current_decay < DECAY_WHOLE

    @property
    def keeps_current(self) -> bool:
        """Whether anything of the current is left for the next step."""
        return self.current_decay < DECAY_WHOLE

    def not_lowered(self, direct: bool) -> str:
        if not (direct and self.keeps_current):
            return ""
        return (f"its cuba_lif neurons' current decays by {self.current_decay} / {DECAY_WHOLE} and lives on, and a direct input "
                f"adds to it in every timestep; a core would have to keep that sum beside the current. Its spikes can be "
                f"computed (hwsim.snn.forward), but not simulated unless current_decay is {DECAY_WHOLE}, or the input sends "
                f"spikes")

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        # A current that lives one step needs no memory: events add to V itself.
        given = replace(context, direct=True) if self.keeps_current else context
        passes = tuple(replace(p, threshold=p.threshold + 1) for p in fire_passes(layer, given))  # V > theta is V >= theta + 1
        lost = self.current_decay if self.keeps_current else 0
        return stepwise_table(layer, given, passes, reset="hard", decay=self.potential_decay, current_decay=lost)

    def steps(self, sums: IntArray, layer: NeuronLayer) -> Iterator[Step]:
        """What happens in each timestep, for input sums (T, C, H, W)."""
        potential, bias = spread(layer.initial_potential, layer), spread(layer.bias, layer)
        current = np.zeros(layer.shape, np.int64)
        for arriving, theta in zip(sums, layer.thresholds.tolist(), strict=True):
            current = current + arriving
            potential = potential + current + bias
            fired = potential > theta
            yield Step(current, potential, fired)
            current = kept(current, self.current_decay)
            potential = kept(np.where(fired, 0, potential), self.potential_decay)

    def emit(self, sums: IntArray, layer: NeuronLayer) -> tuple[IntArray, IntArray]:
        taken = list(self.steps(sums, layer))
        last = taken[-1]
        fired = np.stack([step.fired for step in taken]).astype(np.int64)
        return fired, kept(np.where(last.fired, 0, last.potential), self.potential_decay)

    def problems(self, layer: NeuronLayer) -> list[str]:
        decays = {"current_decay": self.current_decay, "potential_decay": self.potential_decay}
        return [f"{name} is {value!r}, allowed are 0 to {DECAY_WHOLE}, in 1/{DECAY_WHOLE}" for name, value in decays.items()
                if not (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= DECAY_WHOLE)]
