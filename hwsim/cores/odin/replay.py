"""A sample on ODIN: streams of input events through either engine, and what the record says in the words of hwsim.activity.

Without feedback a sample is one stream at full rate. With feedback each timestep is a stream of its own: the sender waits until
the chip is at rest, because spikes of one timestep must not meet inputs of the next. Within a timestep events come in the order
of their inputs, (c, y, x). At the end time references bring all potentials back to 0. Units: cycles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.arch import Architecture
from hwsim.checks.program import check_program
from hwsim.cores.odin.engines import engine_named
from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.fields import NEURONS
from hwsim.cores.odin.placement import Placement
from hwsim.cores.odin.record import COUNTS, OdinEngine, OdinRecord
from hwsim.cores.odin.stimulus import OdinStimulus, time_reference
from hwsim.program import CoreOperation, Program
from hwsim.record import SampleRecord
from hwsim.schedules.base import Schedule
from hwsim.snn.forward import layer_sums
from hwsim.snn.network import INPUT
from hwsim.snn.sample import Sample

SLOT_CYCLES = 2  # a read and a write
FOREVER = 1 << 62  # every stream ends by itself
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Stream(CoreOperation):
    """Input events at full rate until the chip is at rest. `clears`: time references instead of the timesteps' spikes."""

    clears: bool = False

    @property
    def label(self) -> str:
        return "clear" if self.clears else "stream"


def odin_program(placement: Placement, arch: Architecture, schedule: Schedule) -> Program:
    """Streams of one sample. One walk over the chip's neurons serves all layers; reports have it under the first."""
    network, (core,) = placement.network, arch.core_names
    steps = network.input.timesteps
    spans = [(t, t + 1) for t in range(steps)] if placement.feeds_back else [(0, steps)]
    first = network.index(placement.layers[0].name)
    streams = [(span, False) for span in spans] + [((steps - 1, steps), True)] * (placement.clearing > 0)
    program = Program(network, (core,), arch.channel_spec(), schedule.name, tuple(
        Stream(id=n, deps=(n - 1,) if n else (), layer=first, timesteps=span, on=core, clears=clears)
        for n, (span, clears) in enumerate(streams)))
    check_program(program)
    return program


@dataclass(frozen=True, eq=False)
class OdinReplay:
    """Runs samples of one placement on one engine."""

    placement: Placement
    program: Program
    engine: OdinEngine

    @classmethod
    def by_name(cls, placement: Placement, program: Program, engine: str) -> OdinReplay:
        return cls(placement, program, engine_named(engine))

    def record(self, sample: Sample, spikes: str) -> SampleRecord:
        """What an engine of hwsim reports. A layer's spikes are the chip's own, and what was recorded is compared with them.

        Raises OdinError where `spikes` asks to feed layers the recording: on the chip, neurons feed each other.
        """
        if spikes == "trace" and self.placement.feeds_back:
            raise OdinError("spikes='trace': the layers of this network feed each other on the chip, so recorded spikes cannot "
                            "take their place; use spikes='computed'")
        operations = self.program.operations
        steps = self.placement.network.input.timesteps
        counts = np.zeros((len(operations), steps, len(EVENTS)), np.int64)
        ends = np.zeros(len(operations), np.int64)
        fired = np.zeros((steps, NEURONS), np.int64)
        chip = self.placement.mapping.configuration
        final, now = chip.potentials, 0
        for op in operations:
            assert isinstance(op, Stream)
            addresses, step_of = self._events(op, sample)
            record = self.engine.run(self.placement.mapping.core, chip, OdinStimulus.at_full_rate(addresses), FOREVER)
            chip = replace(chip, potentials=record.potentials)
            counts[op.id, op.timesteps[0]] = self._counted(op, record)
            now += record.done
            ends[op.id] = now
            if not op.clears:
                final = record.potentials
                np.add.at(fired, (_steps_of_spikes(op, record, step_of), record.spikes[:, 1]), 1)
        starts = np.concatenate([[0], ends[:-1]])
        return self._report(sample, starts, ends, counts, fired, final)

    def _events(self, op: Stream, sample: Sample) -> tuple[Ints, Ints]:
        """Addresses of a stream, and the timestep of each."""
        if op.clears:
            return np.full(self.placement.clearing, time_reference()), np.full(self.placement.clearing, op.timesteps[0])
        addresses, steps = list[int](), list[int]()
        for t in range(*op.timesteps):
            spiking = np.flatnonzero(sample.inputs[t].transpose(2, 0, 1))
            more = self.placement.mapping.addresses(spiking.tolist())
            addresses += more
            steps += [t] * len(more)
        return np.array(addresses, np.int64), np.array(steps, np.int64)

    def _counted(self, op: Stream, record: OdinRecord) -> Ints:
        """A record in the vocabulary, of one stream."""
        reads, writes, weight_reads, weight_writes = record.counts.tolist()
        assert COUNTS == ("membrane_read", "membrane_write", "weight_read", "weight_write")
        sources = record.pop[:, 1] & NEURONS - 1
        events = len(record.pop) + op.clears * self.placement.clearing
        # A time reference is a pass over all words, in which neurons leak and are compared.
        use = "fire" if op.clears else "accumulate"
        found = np.zeros(len(EVENTS), np.int64)
        for event, count in {
            f"membrane_read_{use}": reads, f"membrane_write_{use}": writes,
            "weight_read": weight_reads, "weight_write": weight_writes,
            "fifo_push": len(record.push), "fifo_pop": len(record.pop), "acc_add": int(self.placement.fan_out[sources].sum()),
            "leak": op.clears * events * self.placement.neurons, "cmp": events * self.placement.neurons,
            "reset_zero": len(record.spikes), "spike_out": len(record.outputs), "cycles_busy": SLOT_CYCLES * writes,
            # A word that waits for the output link is read again in every cycle of its wait.
            "cycles_stall_serialiser": reads - writes,
        }.items():
            found[INDEX[event]] = count
        return found

    def _report(
        self, sample: Sample, starts: Ints, ends: Ints, counts: Ints, fired: Ints, final: Ints
    ) -> SampleRecord:
        network, mapping = self.placement.network, self.placement.mapping
        planes: dict[str, NDArray[np.integer]] = {INPUT: sample.inputs}
        outputs, potentials = dict[str, NDArray[np.integer]](), dict[str, Ints]()
        mismatches = np.full(len(network.layers), -1, np.int64)
        for i, layer in enumerate(network):
            if layer.sends:
                mine = mapping.neurons[layer.name]
                outputs[layer.name] = planes[layer.name] = fired[:, None, None, mine.start : mine.stop]
                potentials[layer.name] = final[mine.start : mine.stop].reshape(layer.shape)
                if layer.name in sample.recorded:
                    mismatches[i] = int((outputs[layer.name] != sample.recorded[layer.name]).sum())
            else:
                potentials[layer.name] = layer.neuron.emit(layer_sums(network, layer, planes), layer)[1]
        return SampleRecord(starts, ends, counts, np.zeros(len(network.layers), np.int64), mismatches, outputs, potentials)


def _steps_of_spikes(op: Stream, record: OdinRecord, step_of: Ints) -> Ints:
    """The timestep of each spike: that of the stream, or of the event that was being processed."""
    if op.timesteps[1] - op.timesteps[0] == 1:
        return np.full(len(record.spikes), op.timesteps[0])
    # Without feedback entries are popped in the order of the inputs, each at the last write of its event.
    return step_of[np.searchsorted(record.pop[:, 0], record.spikes[:, 0])]
