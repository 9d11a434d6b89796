"""The chip: what a Program's operations do, and the reference engine itself.

Owns the states of the layers (C5), where spikes are read and written (C6) and the counts of transfers (A4). When operations
happen is order.py's (C7, C8). Unit: cycles from the start of the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.checks.chip import check_list
from hwsim.checks.program import check_program
from hwsim.checks.run import check_alone, check_run
from hwsim.engine.reference.cargo import bits_by_sample
from hwsim.engine.reference.clock import CHIP, Clock, Steps
from hwsim.engine.reference.core import ReferenceCore, row_count
from hwsim.engine.reference.lanes import Replay, Spikes
from hwsim.engine.reference.memory import WordLayout
from hwsim.engine.reference.order import Order
from hwsim.engine.reference.tokens import TokenStream, given_stream, plane_stream, run_stream
from hwsim.engine.reference.window import visits
from hwsim.passes import BANKS
from hwsim.program import CoreOperation, CoreRun, Listed, Operation, Program, ProgramError, Run, Transfer
from hwsim.record import CoreLog, ListTimes, Logged, SampleRecord, is_logged
from hwsim.snn.network import INPUT, Connection, Layer
from hwsim.snn.sample import Sample


class ReferenceEngine:
    """Executes runs and programs as the cycle model says, one clock cycle after the other."""

    def __init__(self) -> None:
        self._checked: WeakSet[Program] = WeakSet()

    def run_core(
        self, run: CoreRun, tokens: NDArray[np.int64], gaps: NDArray[np.int64], earliest: NDArray[np.int64],
        potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64] | None = None,
    ) -> CoreLog:
        """One run by itself. tokens (n, 6): connection (-1 EOT), c, y, x, payload, has_payload; (C, H, W) states.

        `flags` are 0 / 1, none set when left out. ProgramError for a run without weights or one that is not defined.
        """
        check_run(run)
        stream = given_stream(tokens, gaps, earliest, len(visits(run)))
        return self._by_itself(run, stream, potentials, currents, flags)

    def run_planes(
        self, run: CoreRun, planes: Sequence[NDArray[np.integer]], eots: int,
        potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64] | None = None,
    ) -> CoreLog:
        """One run by itself, fed from the planes (n, H, W, C) of its connections."""
        check_run(run)
        return self._by_itself(run, plane_stream(run, planes, eots), potentials, currents, flags)

    def _by_itself(
        self, run: CoreRun, stream: TokenStream, potentials: NDArray[np.int64], currents: NDArray[np.int64],
        flags: NDArray[np.int64] | None,
    ) -> CoreLog:
        check_alone(run)
        clock = Clock()
        flags = np.zeros(run.shape, np.int64) if flags is None else flags
        core = ReferenceCore(clock, run, stream, potentials, currents, flags)
        core.count_pools()
        clock.run(until=clock.process(core.process()))
        return core.core_log()

    def run_sample(
        self, program: Program, sample: Sample, spikes: str, record: Logged = False, check: bool = True
    ) -> SampleRecord:
        """One sample of a trace. spikes: `trace` feeds layers the recording, `computed` what was produced.

        Raises ProgramError without `check`: this engine is there to judge, so it computes always.
        """
        if not check:
            raise ProgramError("check=False: the reference engine always computes; use the fast engine, or check=True")
        if spikes not in ("trace", "computed"):
            raise ValueError(f"spikes is {spikes!r}, allowed are 'trace' and 'computed'")
        if spikes == "computed" and not program.network.has_weights:
            raise ProgramError("the trace has no weights, so spikes cannot be computed; use spikes='trace'")
        if program not in self._checked:
            check_program(program)
            self._checked.add(program)
        chip = Chip(program, sample, computed=spikes == "computed", record=record)
        chip.order.execute()
        return chip.report()

    def run_list(self, listed: Listed, cycles: Sequence[int]) -> ListTimes:
        """Operations without a sample; a run takes the cycles at its position."""
        check_list(listed)
        clock = Clock()

        def run(operation: CoreOperation) -> Steps:
            yield clock.at(clock.now + int(cycles[operation.id]), CHIP)

        order = Order(clock, listed, run, lambda operation: int(operation.bits))
        order.execute()
        return order.times()


class Chip:
    """A Program in execution on one sample: the states, the outputs, and the record of both."""

    def __init__(self, program: Program, sample: Sample, computed: bool, record: Logged) -> None:
        self.program, self.sample, self.network = program, sample, program.network
        self.computed, self.record = computed, record
        self.clock = Clock()
        self.order = Order(self.clock, program, self._run, self._transfer)

        size, layers = len(program.operations), self.network.layers
        self.counts = np.zeros((size, plane_rows(program.operations), len(EVENTS)), np.int64)
        self.saturations = np.zeros(len(layers), np.int64)
        self.potentials = [np.zeros(layer.shape, np.int64) for layer in layers]
        self.currents = [[np.zeros(layer.shape, np.int64) for layer in layers] for _ in range(BANKS)]
        self.flags = [np.zeros(layer.shape, np.int64) for layer in layers]
        self.outputs = {layer.name: self._output_buffer(layer) for layer in layers if layer.sends}
        self.logs: dict[int, CoreLog] = {}
        self.bits = np.zeros(size, np.int64)

    def _run(self, operation: CoreOperation) -> Steps:
        """One run of a core: tokens out of the buffers, states in, states of its own tile and counts out."""
        if not isinstance(operation, Run):
            raise ProgramError(f"operation {operation.id} is a {type(operation).__name__}, which belongs to another kind of core")
        run, layer = operation.body, operation.layer
        network = self.network
        stream = run_stream(operation, self._source, network.carries_payload, network.is_hybrid, network.value_bits)
        name = self.network.layers[layer].name
        core = ReferenceCore(
            self.clock, run, stream, self.potentials[layer], self.currents[run.bank][layer], self.flags[layer],
            replay=None if self.network.has_weights else self._replay(operation), output=self.outputs.get(name),
        )
        core.count_values(operation.pools)
        if operation.pools:
            core.count_pools()
        yield from core.process()

        log = core.core_log()
        mine = (slice(*run.channels), slice(*run.row_span))
        # Another core may be at work on the other tiles, and passes on the potentials beside events (R27).
        after = [(self.currents[run.bank], log.currents)]
        if run.uses_potentials:
            after += [(self.potentials, log.potentials), (self.flags, log.flags)]
        for states, new in after:
            states[layer][mine] = new[mine]
        self.saturations[layer] += log.saturations
        self.counts[operation.id, : len(log.counts)] += log.counts
        if is_logged(self.record, operation.id):
            # Passes may be at work on potentials that are none of this run's (R27).
            self.logs[operation.id] = log if run.uses_potentials else replace(log, potentials=np.zeros_like(log.potentials))

    def _source(self, connection: Connection) -> NDArray[np.integer]:
        return self._planes(connection.source)

    def _planes(self, source: str) -> NDArray[np.integer]:
        """(T, H, W, C) of what is read: the input, the recording, or what the source has produced."""
        if source == INPUT:
            return self.sample.inputs
        return self.outputs[source] if self.computed else self._recorded(source)

    def _recorded(self, name: str) -> NDArray[np.integer]:
        if name not in self.sample.recorded:
            raise ProgramError(
                f"the sample has no recorded outputs of layer {name!r}, found {sorted(self.sample.recorded)}; "
                "record them, or use spikes='computed'"
            )
        return self.sample.recorded[name]

    def _replay(self, operation: Run) -> Replay:
        """The recorded outputs of a layer, word by word, for a trace without weights."""
        layout = WordLayout(operation.body)
        name = self.network.layers[operation.layer].name

        def replay(timestep: int, word: int) -> Spikes:
            y, x, channel = layout.place(word)
            values = self._recorded(name)[timestep, y, x, channel : channel + layout.real_lanes(word)]
            return [(lane, int(values[lane])) for lane in np.flatnonzero(values).tolist()]

        return replay

    def _transfer(self, operation: Transfer) -> int:
        """What a transfer moves; counted as it leaves."""
        bits = self.bits[operation.id] = self._bits(operation)
        for event, count in operation.counted(bits).items():
            self.counts[operation.id, operation.timesteps[0], INDEX[event]] += count
        return bits

    def _bits(self, operation: Transfer) -> int:
        if operation.cargo is None:
            return int(operation.bits)
        source = INPUT if operation.layer < 0 else self.network.layers[operation.layer].name
        assert self.program.mesh is not None
        return bits_by_sample(operation, operation.cargo, self.program.mesh, self.network, self._planes(source))

    def _output_buffer(self, layer: Layer) -> NDArray[np.integer]:
        channels, height, width = layer.shape
        recorded = self.sample.recorded.get(layer.name)
        bits = layer.payload_bits
        dtype = recorded.dtype if recorded is not None else np.uint8 if bits <= 8 else np.int16 if bits < 16 else np.int32
        return np.zeros((layer.timesteps, height, width, channels), dtype)

    def report(self) -> SampleRecord:
        layers = self.network.layers
        for event, values in (("link_bits", self.order.link_bits), ("link_hops", self.order.link_hops)):
            for operation in self.program.operations:
                self.counts[operation.id, operation.timesteps[0], INDEX[event]] += values[operation.id]
        return SampleRecord(
            start=self.order.start, end=self.order.end, counts=self.counts, saturations=self.saturations,
            mismatches=np.array([self._mismatches(layer) for layer in layers], np.int64), outputs=self.outputs,
            potentials={layer.name: state for layer, state in zip(layers, self.potentials, strict=True)},
            logs=self.logs, bits=self.bits,
        )

    def _mismatches(self, layer: Layer) -> int:
        """Outputs (t, y, x, c) unlike the recorded ones; -1 where there is nothing to compare (C6)."""
        if layer.name not in self.outputs or layer.name not in self.sample.recorded or not self.network.has_weights:
            return -1
        return int(np.count_nonzero(self.outputs[layer.name] != self.sample.recorded[layer.name]))


def plane_rows(operations: Iterable[Operation]) -> int:
    """Rows that the counts of these operations need: timesteps of the longest layer, input or run."""
    spans = [operation.timesteps[1] for operation in operations]
    runs = [row_count(operation.body) for operation in operations if isinstance(operation, Run)]
    return max([1, *spans, *runs])
