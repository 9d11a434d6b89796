"""What a neuron model is: how it lowers a layer to a pass table (hwsim/passes.py), and the same arithmetic without hardware."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass, PassTable

Sent = Literal["spikes", "bits", "values", "nothing"]
Received = Literal["spikes", "bits", "values", "payloads"]


class NeuronLayer(Protocol):
    """A layer as its neuron model sees it; hwsim.snn.network.Layer is one, and says what each of these is."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    @property
    def timesteps(self) -> int: ...

    @property
    def thresholds(self) -> NDArray[np.int64]: ...

    @property
    def bias(self) -> NDArray[np.int64] | None: ...

    @property
    def initial_potential(self) -> NDArray[np.int64]: ...

    @property
    def payload_bits(self) -> int: ...

    @property
    def stages(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Context:
    """What a model must know of its surroundings to lower itself.

    planes       planes that the layer's sources emit (1 for a direct input).
    direct       a direct multi-bit input feeds the layer.
    binary_weighted   the source planes are bits (most significant emitted first).
    shift_at     where a bit-serial core doubles: `weight` or `membrane` (Horner).
    spike_shift  what a spike of a hybrid input weighs, as a power of two.
    """

    planes: int
    direct: bool
    binary_weighted: bool
    shift_at: Literal["weight", "membrane"]
    spike_shift: int = 0


@dataclass(frozen=True)
class Neuron:
    """Base of the models; a frozen dataclass whose fields are the model's parameters, saved with the trace.

    model, coding   names, for files and reports; what others must know of a model is in those below.
    label           what figures call its coding; empty for the coding's own name with blanks.
    sends           what leaves a layer of it: `spikes`, a plane of them per timestep; `bits`, whose planes are the binary digits
                    of one number, most significant first; `values`, one plane of multi-bit activations; or `nothing`.
    reads           what its sources may send: the same, and `payloads`, the one plane of a direct input.
    in_time         its output of timestep t needs no input of a later timestep, so a layer can run step by step.
    sums_planes     it looks at the sum of all planes of its input at once, so it may have other timesteps than its sources.
    judges_each_step   it sends nothing, and still looks at its potentials in every timestep.
    adds_each_step  its bias and a direct input are added in every timestep, not once.
    fires_once      a neuron sends at most one spike per sample.
    staged          a layer of it may have several stages.
    twin            the model that sends the same numbers the other way, as values or as their bits, if there is one.
    synthetic       random traces are made of it (`hwsim trace synth`): it works without stages and with any input.
    """

    model: ClassVar[str]
    coding: ClassVar[str]
    label: ClassVar[str] = ""
    sends: ClassVar[Sent] = "spikes"
    reads: ClassVar[frozenset[Received]] = frozenset({"spikes", "payloads"})
    in_time: ClassVar[bool] = True
    sums_planes: ClassVar[bool] = False
    adds_each_step: ClassVar[bool] = True
    judges_each_step: ClassVar[bool] = False
    fires_once: ClassVar[bool] = False
    staged: ClassVar[bool] = False
    twin: ClassVar[str] = ""
    synthetic: ClassVar[bool] = False

    @property
    def weighs_planes(self) -> bool:
        """Whether its planes are bits: the reader of plane t shifts it by the bit's weight."""
        return self.sends == "bits"

    @property
    def sends_spikes(self) -> bool:
        """Whether its outputs are binary, in as many planes as the layer has timesteps."""
        return self.sends in ("spikes", "bits")

    @property
    def sends_values(self) -> bool:
        """Whether its outputs are multi-bit activations of a quantised ANN."""
        return self.sends == "values"

    @property
    def writes_numbers(self) -> bool:
        """Whether its outputs are numbers of a fixed width, in bits or whole; spikes are counted instead."""
        return self.sends in ("bits", "values")

    @property
    def leaks(self) -> bool:
        """Whether its state decays from timestep to timestep."""
        return getattr(self, "leak_shift", None) is not None

    def not_lowered(self, direct: bool) -> str:
        """Why no core can run it yet, in words, in a layer that a `direct` input feeds or not; empty for a model with passes."""
        return ""

    def thresholds_needed(self, timesteps: int) -> int:
        """How many thresholds a layer of `timesteps` has: one per timestep; none for a model that never fires."""
        return 0 if self.sends == "nothing" else timesteps

    def threshold(self, unit: int, timesteps: int) -> int:
        """The threshold with which one spike, or the least significant bit or level, is worth `unit` of the potential."""
        return unit

    def largest_output(self, layer: NeuronLayer) -> int:
        """What all planes that a neuron of `layer` sends can be worth together, in units of one spike, last bit or level."""
        if self.fires_once:
            return 1
        bits = {"bits": layer.timesteps, "values": layer.payload_bits}
        return (1 << bits[self.sends]) - 1 if self.writes_numbers else layer.timesteps

    def takes(self, layer: NeuronLayer) -> int:
        """The most that passes take from a potential which is below its threshold; what firing takes is not meant."""
        return 0

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        """The pass table of `layer`."""
        raise NotImplementedError

    def emit(self, sums: NDArray[np.int64], layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Outputs (T, C, H, W) and final potentials (C, H, W), int64, for input sums (planes, C, H, W).

        Without saturation. The sums of bit planes come already weighed by 2**bit; for a rate-coded layer `planes` is
        its T, and the current of a direct input is already in the sum of every timestep.
        """
        raise NotImplementedError

    def even(self, sums: NDArray[np.int64], layer: NeuronLayer) -> NDArray[np.int64] | None:
        """Spikes (C, H, W) that leave in the stage that counts if its input sums (T, C, H, W) come evenly, the same in every
        timestep. None where that says nothing: the model looks at the sum of all planes, or forgets."""
        return None

    def problems(self, layer: NeuronLayer) -> list[str]:
        """What is wrong with `layer` for this model, in words; empty when it fits."""
        return []

    def parameters(self) -> dict[str, Any]:
        """The fields, JSON-ready, as the trace stores them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def spread(value: NDArray[np.int64] | None, layer: NeuronLayer) -> NDArray[np.int64]:
    """A bias or initial potential at the layer's full (C, H, W); zeros for None."""
    source = np.zeros((1, 1, 1), np.int64) if value is None else np.asarray(value, np.int64)
    return np.ascontiguousarray(np.broadcast_to(source, layer.shape))


def biased_start(layer: NeuronLayer) -> NDArray[np.int64]:
    """(C, H, W) potentials of a model whose bias enters once, before anything is added."""
    return spread(layer.initial_potential, layer) + spread(layer.bias, layer)


def even_spikes(sums: NDArray[np.int64], layer: NeuronLayer, first: int = 0) -> NDArray[np.int64] | None:
    """`Neuron.even` of a model that keeps what it does not send, from timestep `first` on; None where thresholds differ."""
    thresholds, steps = layer.thresholds[first:], layer.timesteps - first
    if len(np.unique(thresholds)) != 1:
        return None
    total = spread(layer.initial_potential, layer) + sums[first:].sum(axis=0) + steps * spread(layer.bias, layer)
    return np.clip(total // int(thresholds[0]), 0, steps)


def fire_passes(layer: NeuronLayer, context: Context) -> tuple[Pass, ...]:
    """A fire pass after each timestep, with the timestep's threshold; it adds the bias and a direct input's current."""
    adds = layer.bias is not None or context.direct
    return tuple(Pass(after_eot=t + 1, kind="fire", threshold=int(layer.thresholds[t]), add=adds, timestep=t)
                 for t in range(layer.timesteps))


def stepwise_table(layer: NeuronLayer, context: Context, passes: tuple[Pass, ...], **settings: Any) -> PassTable:
    """The table of a model that adds its bias, and a direct input, in every timestep; `settings` are PassTable's others."""
    return PassTable(
        planes=layer.timesteps, passes=passes, initial=spread(layer.initial_potential, layer),
        addend=None if layer.bias is None else spread(layer.bias, layer), direct=context.direct,
        spike_shift=context.spike_shift, **settings,
    )


def leaked(potential: NDArray[np.int64], leak_shift: int | None) -> NDArray[np.int64]:
    """Potentials after a leak V -= V >> leak_shift; as they are for None."""
    return potential if leak_shift is None else potential - (potential >> leak_shift)


def leak_problems(leak_shift: int | None) -> list[str]:
    """What is wrong with the shift of a leak V -= V >> leak_shift."""
    if leak_shift is not None and not (isinstance(leak_shift, int) and 1 <= leak_shift <= 31):
        return [f"leak_shift is {leak_shift!r}, allowed are 1 to 31 or none"]
    return []
