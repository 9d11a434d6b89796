"""What takes spikes away from EXEC: the serialiser, one a cycle (R7), or the word writer, all at once (R22)."""

from __future__ import annotations

from collections import deque

from hwsim.engine.reference.clock import SEND, Signal, Steps
from hwsim.engine.reference.lanes import Spikes, WordOperation
from hwsim.engine.reference.shared import Shared


class Writer:
    """What both have in common: an operation's spikes come in while not `busy`, and leave in later cycles."""

    def __init__(self, core: Shared) -> None:
        self.core = core
        self.busy = False
        self.operation: WordOperation | None = None
        self.waiting: deque[tuple[int, int]] = deque()
        self.loaded, self.freed = Signal(core.clock), Signal(core.clock)

    def load(self, operation: WordOperation, spikes: Spikes) -> None:
        raise NotImplementedError

    def process(self) -> Steps:
        raise NotImplementedError

    def _send(self, lane: int, value: int) -> None:
        core, operation = self.core, self.operation
        assert operation is not None
        assert operation.sweep is not None
        y, x, lane_0 = core.layout.place(operation.word)
        channel, (_, height, width) = lane_0 + lane, core.run.shape
        operation.activity["spike_out"] += 1
        neuron = (channel * height + y) * width + x
        core.log.spikes.append((core.clock.now - core.start, operation.number, neuron))
        core.last = core.clock.now
        if core.output is not None:
            core.output[operation.sweep.timestep, y, x, channel] = value


class Serialiser(Writer):
    """Sends a word's spikes one a cycle, lowest lane first; a word without any still takes a cycle (R7)."""

    def load(self, operation: WordOperation, spikes: Spikes) -> None:
        self.operation, self.busy = operation, True
        self.waiting.extend(spikes)
        self.loaded.pulse()

    def process(self) -> Steps:
        clock = self.core.clock
        while True:
            while not self.busy:
                yield self.loaded.wait()
            yield clock.at(clock.now + 1, SEND)
            if self.waiting:
                assert self.operation is not None
                self.operation.activity["buffer_write"] += 1
                self._send(*self.waiting.popleft())
            if not self.waiting:
                self.busy = False
                self.freed.pulse()


class WordWriter(Writer):
    """Writes all spikes of a word into the plane in the next cycle, and is free for the next word in that cycle (R22)."""

    def load(self, operation: WordOperation, spikes: Spikes) -> None:
        if spikes:
            self.operation = operation
            self.waiting.extend(spikes)
            self.loaded.pulse()

    def process(self) -> Steps:
        clock = self.core.clock
        while True:
            while not self.waiting:
                yield self.loaded.wait()
            yield clock.at(clock.now + 1, SEND)
            assert self.operation is not None
            self.operation.activity["buffer_write"] += 1
            while self.waiting:
                self._send(*self.waiting.popleft())
            self.freed.pulse()
