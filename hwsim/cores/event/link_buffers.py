"""What spike buffers hold on a chip with a network of links (C9): inputs that have arrived, and outputs that have not left.

An input buffer holds `buffer_planes` items of every source that the core reads, an output buffer as many of every layer that it
computes; both lie in the spike buffer and are sized for the worst case. Where layers come one after the other, what no later
layer reads gives way.
"""

from __future__ import annotations

from hwsim.cores.event.fields import EventDesign
from hwsim.cores.event.misfits import buffer_bits
from hwsim.mapping import Mapping
from hwsim.schedules.base import Schedule
from hwsim.schedules.pipelines import INPUT, buffer_planes_of, pipeline_of
from hwsim.schedules.stages import Pipeline
from hwsim.snn.network import INPUT as INPUT_NAME
from hwsim.units import format_bits


def link_buffer_misfits(mapping: Mapping, schedule: Schedule, samples: int = 1) -> list[str]:
    """By core, what of the planes that `samples` in a row need does not fit its spike buffer."""
    pipeline = pipeline_of(mapping, schedule, samples)  # once for all cores: every pair of tiles is looked at
    return [text for core in mapping.arch.core_names for text in _Core(mapping, schedule, pipeline, core).misfits()]


class _Core:
    """What one core's buffer holds.

    inputs, outputs   by source, bits of all the items that it holds at once.
    """

    def __init__(self, mapping: Mapping, schedule: Schedule, pipeline: Pipeline, core: str) -> None:
        design = mapping.arch.design_of(core)
        assert isinstance(design, EventDesign)
        self.design, self.core, self.schedule, self.network = design, core, schedule, mapping.network
        self.pipeline = pipeline
        items, given = schedule.items(self.network), buffer_planes_of(mapping, schedule)
        self.inputs: dict[int, int] = {}
        self.outputs: dict[int, int] = {}
        self.read_until: dict[int, int] = {}
        for (source, number), readers in self.pipeline.readers.items():
            spec = self.network.input if source == INPUT else self.network.layers[source]
            planes = spec.timesteps if items == 1 else 1
            held = min(given, self.pipeline.items // (self.pipeline.every if source == INPUT else 1)) * planes
            neurons = self._neurons(mapping, source, number)
            mine = [reader for reader, tile in readers if self.pipeline.stages[reader].tiles[tile].core == core]
            if mine:
                self.inputs[source] = self.inputs.get(source, 0) + self._bits(source, neurons, held)
                self.read_until[source] = max(mine)
            if source != INPUT and spec.sends and mapping.plans[source].tiles[number].core == core:  # type: ignore[union-attr]
                self.outputs[source] = self.outputs.get(source, 0) + self._bits(source, neurons, held)

    def _neurons(self, mapping: Mapping, source: int, number: int) -> int:
        if source == INPUT:
            channels, height, width = self.network.input.shape
            return channels * height * width
        return mapping.plans[source].neurons(mapping.plans[source].tiles[number])

    def _bits(self, source: int, neurons: int, planes: int) -> int:
        name = INPUT_NAME if source == INPUT else self.network.layers[source].name
        return buffer_bits(self.network, name, neurons, planes, self.design)

    def misfits(self) -> list[str]:
        """The reason why the core's buffer is too small, if it is."""
        need_in, need_out, when = self._worst()
        room = self.design.spike_buffer.capacity
        if need_in + need_out <= room:
            return []
        return [f"{self.core}: spike buffer: {format_bits(need_in + need_out)} needed in the worst case{when} "
                f"({self.design.spike_buffer.kind}), {format_bits(need_in)} of inputs and {format_bits(need_out)} of outputs; "
                f"spike_buffer.capacity is {format_bits(room)}; make it larger, network.buffer_planes smaller, or place layers "
                "otherwise"]

    def _worst(self) -> tuple[int, int, str]:
        """Bits of inputs and outputs, and while which layer runs where it is one."""
        if self.schedule.apart:
            return sum(self.inputs.values()), sum(self.outputs.values()), ""
        most = max(range(len(self.network.layers)), key=lambda at: sum(self._while(at)))
        return *self._while(most), f" while layer {self.network.layers[most].name} runs"

    def _while(self, at: int) -> tuple[int, int]:
        """What waits while one layer runs, where layers come in turn: what has been made and is read then or later."""
        wires, never = self.pipeline.wires, len(self.network.layers)
        first = {source: min((wire.target for wire in wires if wire.source == source), default=never) for source in self.outputs}
        waits = sum(bits for source, bits in self.inputs.items() if source <= at <= self.read_until[source])
        leaves = sum(bits for source, bits in self.outputs.items() if source <= at < max(source + 1, first[source]))
        return waits, leaves
