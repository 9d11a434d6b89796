"""A trace's network on ODIN: what the chip cannot express, by name and all at once, and the mapping of what it can.

Its neurons compare with every event, clip at 0, and reset to zero. A layer is asked through its pass table, so that any neuron
model whose passes say the same can run. A read-out is the receiver's: it adds up the spikes that leave the output link.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Architecture
from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.fields import NEURONS, OdinDesign
from hwsim.cores.odin.mapping import Connection as Synapses
from hwsim.cores.odin.mapping import OdinMapping, Population, map_network
from hwsim.mapping import MappingError, lower, refusal
from hwsim.passes import DECAY_WHOLE
from hwsim.schedules.base import Schedule
from hwsim.snn.network import INPUT, Connection, Layer, Network

LARGEST_THRESHOLD, LARGEST_LEAK = 255, 127
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Placement:
    """A network on one chip.

    mapping     its addresses and the programmed chip; all neurons leak by 127, so that time references clear them.
    layers      those on the chip, in the order of their addresses.      fan_out  (256,) real synapses of each source's event.
    clearing    time references of all neurons that bring every potential to 0.
    """

    network: Network
    mapping: OdinMapping
    layers: tuple[Layer, ...]
    fan_out: Ints
    clearing: int

    @property
    def neurons(self) -> int:
        """Neurons of the network; the chip has more."""
        return sum(layer.neurons for layer in self.layers)

    @property
    def feeds_back(self) -> bool:
        return self.mapping.core.scheduler.feedback


def place(network: Network, arch: Architecture, schedule: Schedule) -> Placement:
    """The network on the chip. Raises MappingError with every reason why it does not run there."""
    reasons = list(_chip_misfits(arch, schedule))
    on_chip = tuple(layer for layer in network if layer.sends)
    for layer in network:
        reasons += _layer_misfits(network, layer) if layer.sends else _read_out_misfits(layer)
    if not on_chip:
        reasons.append("no layer spikes, so there is nothing to run: ODIN's neurons fire")
    mapping = None
    if on_chip and all(_is_crossbar(c) for layer in on_chip for c in layer.connections):
        mapping, found = _mapping(network, on_chip)
        reasons += found
    elif (total := sum(layer.neurons for layer in on_chip)) > NEURONS:
        reasons.append(f"the layers that spike have {total:,} neurons, and ODIN has {NEURONS}; use a smaller network")
    design = arch.cores[0]
    assert isinstance(design, OdinDesign)
    if mapping is not None and mapping.core.scheduler.feedback and not design.core.scheduler.feedback:
        reasons.append("a layer reads another layer, and core.scheduler.feedback is false; set it to true")
    if reasons or mapping is None:
        raise MappingError(refusal(arch, schedule.name, reasons))
    core = design.core.model_copy(update={"scheduler": design.core.scheduler.model_copy(
        update={"feedback": mapping.core.scheduler.feedback})})
    highest = max(int(layer.thresholds.max()) for layer in on_chip) - 1
    return Placement(network, replace(mapping, core=core), on_chip, _fan_out(network, mapping), -(-highest // LARGEST_LEAK))


def _chip_misfits(arch: Architecture, schedule: Schedule) -> Iterator[str]:
    if schedule.states_wait:
        yield "all layers are on the chip at once, so it has one order, its own; use --schedule layer_by_layer"
    if not arch.is_one_core:
        yield f"{arch.name} has {len(arch.core_names)} cores, and nothing connects ODIN cores yet; give it one"
    for design in arch.cores:
        if isinstance(design, OdinDesign) and design.core.output.source != "neuron":
            yield (f"core.output.source is {design.core.output.source!r}: the neurons' spikes do not leave, so nobody knows the "
                   "answer; use 'neuron'")


def _layer_misfits(network: Network, layer: Layer) -> Iterator[str]:
    """What ODIN's neuron, its synapses and its links cannot express of a layer that sends."""
    where = f"layer {layer.name}"
    if layer.sends_values:
        yield f"{where}: sends values of {layer.payload_bits} bits, and ODIN's neurons send spikes; capture a spiking network"
        return
    yield from _neuron_misfits(network, layer, where)
    for connection in layer.connections:
        here = f"{where}, from {connection.source}"
        if connection.operator != "linear" or connection.pool > 1:
            pooled = f" with {connection.pool} x {connection.pool} pooling" if connection.pool > 1 else ""
            yield f"{here}: {connection.operator}{pooled}, expected linear: ODIN has a crossbar and no address generator"
        if connection.weights is None:
            yield f"{here}: no weights are recorded, and ODIN computes its own spikes; record them"
        if bits := network.carries_payload(connection):
            yield f"{here}: events carry payloads of {bits} bits, and ODIN's carry none; give spikes as the input"


def _neuron_misfits(network: Network, layer: Layer, where: str) -> Iterator[str]:
    table = lower(network, layer, "weight")
    if any(p.kind != "fire" or p.flags != "ignore" or p.shift for p in table.passes) or table.flagged:
        kinds = ", ".join(dict.fromkeys(p.kind for p in table.passes))
        yield (f"{where}: a {layer.neuron.model} neuron needs passes ({kinds}) with flags or shifts, and ODIN's neuron adds, "
               "compares and resets; use integrate_and_fire")
    if table.weigh_planes:
        yield f"{where}: its input planes are bits of different weights, and ODIN adds every event alike; use rate coding"
    if table.reset != "hard":
        yield f"{where}: {table.reset} reset, expected hard: ODIN resets to zero"
    if table.direct and network.current_lives(layer):
        yield f"{where}: its neurons keep a current, and ODIN's have a potential alone; use current_decay {DECAY_WHOLE}"
    if table.decay:
        yield f"{where}: potentials decay by {table.decay} / {DECAY_WHOLE}, and ODIN's leak subtracts a constant; leave it out"
    if table.leak_shift is not None:
        yield f"{where}: the leak is V >> {table.leak_shift}, and ODIN's subtracts a constant; leave the leak out"
    if table.addend is not None and table.addend.any():
        yield f"{where}: adds a bias in every timestep, and ODIN has none; fold it into a source that always spikes"
    if table.initial.any():
        yield (f"{where}: potentials start from {table.initial.min()} to {table.initial.max()}, expected 0, where a reset leaves "
               "them")
    thresholds = layer.thresholds
    if len(thresholds) and thresholds.min() != thresholds.max():
        yield f"{where}: thresholds change from {thresholds.min()} to {thresholds.max()} over time, and ODIN's are constant"
    elif len(thresholds) and not 1 <= thresholds[0] <= LARGEST_THRESHOLD:
        yield f"{where}: found threshold {thresholds[0]}, expected 1 to {LARGEST_THRESHOLD}: it has 8 bits"


def _read_out_misfits(layer: Layer) -> Iterator[str]:
    """A read-out has no place on the chip: whoever receives the spikes adds them up."""
    if layer.neuron.judges_each_step:
        yield (f"layer {layer.name}: a {layer.neuron.model} layer compares in every timestep, and who receives ODIN's spikes "
               "only adds them up; use read_out")
    for connection in layer.connections:
        here = f"layer {layer.name}, from {connection.source}"
        if connection.source == INPUT:
            yield f"{here}: the receiver adds up what leaves the chip, and the input does not; put a spiking layer between"
        if connection.weights is None:
            yield f"{here}: no weights are recorded, so the receiver cannot add up spikes; record them"


def _is_crossbar(connection: Connection) -> bool:
    return connection.operator == "linear" and connection.pool == 1 and connection.weights is not None


def _mapping(network: Network, layers: tuple[Layer, ...]) -> tuple[OdinMapping | None, list[str]]:
    """The layers' addresses, or what has no place in the crossbar."""
    populations = {layer.name: Population(np.full(layer.neurons, _threshold(layer)), np.full(layer.neurons, LARGEST_LEAK))
                   for layer in layers}
    synapses = [Synapses(c.source, layer.name, np.asarray(c.weights).T) for layer in layers for c in layer.connections]
    try:
        return map_network(int(np.prod(network.input.shape)), populations, synapses), []
    except OdinError as error:
        return None, str(error).splitlines()


def _threshold(layer: Layer) -> int:
    """In range, whatever the layer says: what it says wrong is told by name elsewhere."""
    return int(np.clip(layer.thresholds[0], 1, LARGEST_THRESHOLD)) if len(layer.thresholds) else LARGEST_THRESHOLD


def _fan_out(network: Network, mapping: OdinMapping) -> Ints:
    """(256,) neurons that each source reaches in the network: its real synapses, as other cores count them."""
    found = np.zeros(NEURONS, np.int64)
    for layer in network:
        for connection in layer.connections if layer.sends else ():
            sources = mapping.input_sources if connection.source == INPUT else [[n] for n in mapping.neurons[connection.source]]
            for addresses in sources:
                # Of an input whose weights have both signs, a synapse has its weight at one of the two sources: one operation.
                found[addresses[0]] += layer.neurons
    return found
