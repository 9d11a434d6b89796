"""One core for one run: token feeder, spike FIFO, sequencer, EXEC and writer as processes of the clock.

Wires the units together and writes down what they did. The units are joined by registers and signals only; cycles are
absolute inside and counted from the run's start in the CoreLog.

    feeder -> FIFO -> sequencer (+ address generator, memory reads) -> EXEC (+ lanes, memory writes) -> writer
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.checks.run import check_run
from hwsim.engine.reference.clock import CHIP, Clock, Steps
from hwsim.engine.reference.execute import Execute
from hwsim.engine.reference.fifo import SpikeFifo, TokenFeeder
from hwsim.engine.reference.lanes import Activity, Lanes, Replay
from hwsim.engine.reference.memory import AddressGenerator, WordLayout, WordMemory
from hwsim.engine.reference.sequencer import Sequencer
from hwsim.engine.reference.shared import RunLog
from hwsim.engine.reference.tokens import TokenStream
from hwsim.engine.reference.window import visits
from hwsim.engine.reference.writers import Serialiser, WordWriter, Writer
from hwsim.program import CoreRun
from hwsim.record import CoreLog


class ReferenceCore:
    """The units of one run, wired together. `potentials`, `currents` and `flags` are the (C, H, W) states before it.

    replay   recorded outputs to send instead of computed ones (a trace without weights).
    output   (T, H, W, C) output buffer that the serialiser fills, or None.
    """

    def __init__(
        self, clock: Clock, run: CoreRun, stream: TokenStream, potentials: NDArray[np.int64],
        currents: NDArray[np.int64], flags: NDArray[np.int64], replay: Replay | None = None,
        output: NDArray[np.integer] | None = None,
    ) -> None:
        check_run(run)
        self.clock, self.run, self.stream, self.output = clock, run, stream, output
        self.start = self.last = clock.now
        self.done_cycles = 0
        self.log = RunLog()
        self.activity: dict[int, Activity] = {timestep: Counter() for timestep in range(row_count(run))}
        self.states = (potentials, currents, flags)

        self.layout = WordLayout(run)
        self.visits = visits(run)
        ports, bypass = run.core.membrane_ports, run.core.bypass
        self.membrane = WordMemory("membrane", self.layout.split(potentials), ports, bypass)
        self.current = WordMemory("current", self.layout.split(currents), ports, bypass)
        self.mask = WordMemory("mask", self.layout.split(flags), bypass=bypass)
        self.addresses = [AddressGenerator(connection, self.layout) for connection in run.connections]
        self.lanes = Lanes(run, self.layout, self.membrane, self.current, self.mask, replay)
        self.fifo = SpikeFifo(clock, run.core.fifo_depth)
        self.writer: Writer = WordWriter(self) if run.core.writer == "word" else Serialiser(self)
        self.execute = Execute(self, self.writer)
        self.sequencer = Sequencer(self, self.fifo, self.execute, self.writer)
        self.feeder = TokenFeeder(self, self.fifo)

        neurons = sum(self.layout.real) * run.real_positions
        self.plane_rows_cleared = -(-neurons // run.core.scan_bits) if run.core.buffer == "bitmap" else 0

    def plane_activity(self, plane: int) -> Activity:
        """Where what happens before EOT `plane` of a period is counted."""
        return self.activity[self.run.first_plane + plane]

    def plane_of(self, marks: int) -> int:
        """The plane, within its period, of what comes after `marks` EOTs; a merged token is of all planes, and counts as 0."""
        return marks % self.run.table.planes

    def count_pools(self) -> None:
        """What pooling units did to make the planes that this run reads; each plane is pooled once, whatever the tiles."""
        for n, updates in enumerate(self.stream.pool_updates):
            self.plane_activity(self.plane_of(n))["pool_update"] += updates

    def count_values(self, pools: bool) -> None:
        """Bits of the values that were read with their tokens, and, where its pooling units count, by those."""
        for n in range(self.stream.eots):
            bits = self.stream.values[n] + pools * self.stream.pooled_values[n]
            self.plane_activity(self.plane_of(n))["payload_read_bits"] += bits

    def process(self) -> Steps:
        """The whole run; ends in the cycle of `done`, one after the last slot, EXEC or spike (R8)."""
        for unit in (self.feeder, self.execute, self.writer):
            self.clock.process(unit.process())
        yield self.clock.process(self.sequencer.process())
        while self.execute.operation is not None or self.execute.latched is not None:
            yield self.execute.completed.wait()
        while self.writer.waiting:
            yield self.writer.freed.wait()
        self.done_cycles = self.last + 1 - self.start
        yield self.clock.at(self.last + 1, CHIP)

    def core_log(self) -> CoreLog:
        potentials, currents, flags = self.states
        return CoreLog(
            push=np.array(self.log.push, np.int64), pop=np.array(self.log.pop, np.int64),
            issue=np.array(self.log.issue, np.int64).reshape(-1, 3),
            spikes=np.array(self.log.spikes, np.int64).reshape(-1, 3),
            done=self.done_cycles, counts=self._counts(), saturations=self.lanes.saturations,
            potentials=self.layout.join(self.membrane.last_values(), potentials),
            currents=self.layout.join(self.current.last_values(), currents),
            flags=self.layout.join(self.mask.last_values(), flags),
        )

    def _counts(self) -> NDArray[np.int64]:
        counts = np.zeros((len(self.activity), len(EVENTS)), np.int64)
        for row, activity in self.activity.items():
            for name, count in activity.items():
                counts[row, INDEX[name]] = count
        return counts


def row_count(run: CoreRun) -> int:
    """Rows of the run's counts: its last plane or its last pass, whichever is later."""
    return max(run.first_plane + run.table.planes, *(sweep.timestep + 1 for sweep in run.table.passes), 1)
