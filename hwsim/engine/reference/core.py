"""One core for one run: token feeder, spike FIFO, sequencer, EXEC and serialiser as processes of the clock.

Owns the handshakes between them, and with them the rules R1 to R9, the timing of R13 to R18 and the slots and stalls
of A5. The units are joined by registers and signals only; cycles are absolute inside and counted from the run's start
in the CoreLog.

    feeder -> FIFO -> sequencer (+ address generator, memory reads) -> EXEC (+ lanes, memory writes) -> serialiser
"""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.engine.reference.clock import CHIP, EXEC, FEED, ISSUE, SEND, Clock, Signal, Steps
from hwsim.engine.reference.lanes import Activity, Lanes, Replay, Spikes, WordOperation
from hwsim.engine.reference.memory import AddressGenerator, Layout, WordMemory
from hwsim.engine.reference.tokens import Token, TokenStream
from hwsim.program import ISSUE_KINDS, CoreLog, CoreRun, ProgramError
from hwsim.snn.neurons import Pass
from hwsim.snn.neurons.base import FlagUse, PassKind

KIND_CODE = {kind: code for code, kind in enumerate(ISSUE_KINDS)}
SENDING = ("fire", "requant")
MEMBRANE_READS = {
    "acc": "membrane_read_accumulate", "shift": "membrane_read_shift", "fire": "membrane_read_fire",
    "requant": "membrane_read_fire", "readout": "membrane_read_readout", "mask": "membrane_read_mask",
}
WRITE_ONLY = ("clear", "reinitialise")


class Slot(NamedTuple):
    """A token in the FIFO, and the first cycle in which the sequencer can see it."""

    token: Token
    visible: int


class SpikeFifo:
    """`depth` tokens, first-word fall-through. A freed slot can be filled in the cycle after its pop."""

    def __init__(self, clock: Clock, depth: int) -> None:
        self.depth = depth
        self.slots: deque[Slot] = deque()
        self.arrived, self.freed = Signal(clock), Signal(clock)

    @property
    def full(self) -> bool:
        return len(self.slots) >= self.depth

    def push(self, token: Token, cycle: int) -> None:
        self.slots.append(Slot(token, cycle + 1))
        self.arrived.pulse()

    def pop(self) -> None:
        self.slots.popleft()
        self.freed.pulse()


class TokenFeeder:
    """Reads the run's tokens out of the spike buffer, each `gap` cycles after the last, and pushes them (R2)."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def process(self) -> Steps:
        core, clock, fifo = self.core, self.core.clock, self.core.fifo
        counts_tokens = core.run.core.buffer == "aer"
        last, room_from, plane = core.start - 1, core.start, 0
        for token, gap, earliest, rows in core.stream:
            if fifo.full:
                yield fifo.freed.wait()
                room_from = clock.now + 1
            yield clock.at(max(last + gap, core.start + earliest, room_from), FEED)
            last = clock.now
            fifo.push(token, last)
            core.log.push.append(last - core.start)
            activity = core.plane_activity(plane)
            activity["fifo_push"] += 1
            # An AER list holds one row an event; a bitmap's rows are known to its scanner only.
            activity["buffer_read"] += int(not token.is_eot) if counts_tokens else rows
            if token.is_eot:
                plane = (plane + 1) % core.run.table.planes


class Sequencer:
    """Issues one operation, EOT or no-word event a cycle, in order (R1, R3 to R6, R9)."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.clock = core.clock
        self.next = core.start + 1
        self.plane = 0
        self.bypass = core.run.core.bypass
        self.word_count = core.run.words

    def process(self) -> Steps:
        core, planes = self.core, self.core.run.table.planes
        if core.run.clear:
            yield from self._clear()
        for _ in range(len(core.stream.tokens)):
            token = yield from self._head()
            if not token.is_eot:
                yield from self._event(token)
                continue
            self._slot("eot", core.plane_activity(self.plane))
            self._pop()
            self.plane += 1
            number = 0
            for sweep in core.run.table.passes:
                if sweep.after_eot == self.plane:
                    yield from self._pass(sweep, number)
                    number += sweep.kind in SENDING
            self.plane %= planes

    def _head(self) -> Steps:
        """Wait for a token that is visible and for a slot; returns it in the ISSUE phase of that cycle."""
        fifo = self.core.fifo
        while not fifo.slots:
            yield fifo.arrived.wait()
        token, visible = fifo.slots[0]
        yield self.clock.at(max(self.next, visible), ISSUE)
        return token

    def _clear(self) -> Steps:
        core = self.core
        writes = (core.membrane, core.current) if core.run.table.direct else (core.membrane,)
        activity = core.plane_activity(0)
        for word in range(self.word_count):
            yield from self._issue(WordOperation("clear", word, activity, reads=None, writes=writes))

    def _event(self, token: Token) -> Steps:
        """One operation a word; popped with the issue of the last one, or with its slot if there is none."""
        core, table = self.core, self.core.run.table
        activity = core.plane_activity(self.plane)
        memory = core.current if table.direct else core.membrane
        # One shifter does both shifts of R11, so that a synapse is shifted once or not at all.
        shift = (self.plane if table.weigh_planes else 0) + (0 if token.has_payload else table.spike_shift)
        factor = (token.payload if token.has_payload else 1) << shift
        touched = False
        for word, weights, synapses in core.addresses[token.connection].accesses(token.c, token.y, token.x):
            touched = True
            activity["weight_read"] += 1
            yield from self._issue(WordOperation(
                "acc", word, activity, reads=memory, writes=(memory,), weights=weights, synapses=synapses,
                factor=factor, payload=bool(token.has_payload), shifted=shift > 0,
            ))
        if not touched:
            self._slot("skip", activity)
        self._pop()

    def _pass(self, sweep: Pass, number: int) -> Steps:
        """All words in order. `number` counts the fire and requant passes since the last EOT."""
        core, sends = self.core, sweep.kind in SENDING
        activity = core.activity[sweep.timestep]
        if sends:
            activity["buffer_write"] += core.plane_rows_cleared
        if sweep.kind == "fire" and sweep.shift > 0:
            activity["threshold_shift"] += 1
        reads = None if sweep.kind in WRITE_ONLY else core.membrane
        # A mask word is only written together with its membrane word, so R6 has to look at the membrane alone (R16).
        for word in range(self.word_count):
            yield from self._issue(WordOperation(
                sweep.kind, word, activity, reads=reads, writes=(core.membrane,), sends=sends, sweep=sweep,
                number=number,
            ))

    def _issue(self, operation: WordOperation) -> Steps:
        """Wait for the slot, for EXEC to be done with the last operation, and out of a hazard; then read and go."""
        clock, execute = self.clock, self.core.execute
        if clock.now < self.next:
            yield clock.at(self.next, ISSUE)
        while not execute.ready:
            yield self.core.serialiser.freed.wait()
            yield clock.at(clock.now, ISSUE)
        ahead = execute.operation
        if not self.bypass and ahead is not None and ahead.word == operation.word and operation.reads in ahead.writes:
            operation.activity["cycles_stall_hazard"] += 1
            yield clock.at(clock.now + 1, ISSUE)
        operation.activity["addr_gen"] += 1
        self._read(operation)
        self._slot(operation.kind, operation.activity, operation.word)
        execute.accept(operation)

    def _read(self, operation: WordOperation) -> None:
        """The memories that the operation needs, read in the cycle of its issue."""
        core, activity, cycle = self.core, operation.activity, self.clock.now
        if operation.kind in WRITE_ONLY:
            return
        if operation.reads is core.current:
            activity["current_read"] += 1
            operation.current = core.current.read(operation.word, cycle)
            return
        activity[MEMBRANE_READS[operation.kind]] += 1
        operation.potential = core.membrane.read(operation.word, cycle)
        sweep = operation.sweep
        if sweep is not None and sweep.add and core.run.table.direct:
            activity["current_read"] += 1
            operation.current = core.current.read(operation.word, cycle)
        if sweep is not None and sweep.flags != "ignore":
            activity["mask_read"] += 1
            operation.flags = core.mask.read(operation.word, cycle)

    def _slot(self, kind: str, activity: Activity, word: int = -1) -> None:
        """This cycle issues something; only EOTs and no-word events come here while EXEC still waits (R4, A5)."""
        now = self.clock.now
        activity["cycles_busy"] += 1
        if not self.core.execute.ready:
            activity["cycles_overlapped"] += 1
        self.core.log.issue.append((now - self.core.start, KIND_CODE[kind], word))
        self.core.last = now
        self.next = now + 1

    def _pop(self) -> None:
        self.core.fifo.pop()
        self.core.log.pop.append(self.clock.now - self.core.start)
        self.core.plane_activity(self.plane)["fifo_pop"] += 1


class Execute:
    """The EXEC stage: one operation, done in the cycle after its issue or when the serialiser can take it (R5, R7)."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.operation: WordOperation | None = None
        self.latched: WordOperation | None = None
        self.issued, self.completed = Signal(core.clock), Signal(core.clock)

    @property
    def ready(self) -> bool:
        """In the ISSUE phase: whether the stage is empty after this cycle."""
        return self.operation is None or not self.operation.sends or not self.core.serialiser.busy

    def accept(self, operation: WordOperation) -> None:
        self.latched = operation
        self.issued.pulse()

    def process(self) -> Steps:
        core, clock, serialiser = self.core, self.core.clock, self.core.serialiser
        while True:
            while self.latched is None:
                yield self.issued.wait()
            operation, self.latched = self.latched, None
            self.operation = operation
            yield clock.at(clock.now + 1, EXEC)
            if operation.sends and serialiser.busy:
                since = clock.now
                yield serialiser.freed.wait()
                yield clock.at(clock.now, EXEC)
                operation.activity["cycles_stall_serialiser"] += clock.now - since
            spikes = core.lanes.execute(operation, clock.now)
            if operation.sends:
                serialiser.load(operation, spikes)
            core.last = clock.now
            self.operation = None
            self.completed.pulse()


class Serialiser:
    """Sends a word's spikes one a cycle, lowest lane first; a word without any still takes a cycle (R7)."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.busy = False
        self.operation: WordOperation | None = None
        self.waiting: deque[tuple[int, int]] = deque()
        self.loaded, self.freed = Signal(core.clock), Signal(core.clock)

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
                self._send(*self.waiting.popleft())
            if not self.waiting:
                self.busy = False
                self.freed.pulse()

    def _send(self, lane: int, value: int) -> None:
        core, operation = self.core, self.operation
        assert operation is not None
        assert operation.sweep is not None
        y, x, lane_0 = core.layout.place(operation.word)
        channel, (_, height, width) = lane_0 + lane, core.run.shape
        operation.activity["spike_out"] += 1
        operation.activity["buffer_write"] += 1
        neuron = (channel * height + y) * width + x
        core.log.spikes.append((core.clock.now - core.start, operation.number, neuron))
        core.last = core.clock.now
        if core.output is not None:
            core.output[operation.sweep.timestep, y, x, channel] = value


class RunLog:
    """What the units write down as they go; cycles from the run's start."""

    def __init__(self) -> None:
        self.push: list[int] = []
        self.pop: list[int] = []
        self.issue: list[tuple[int, int, int]] = []
        self.spikes: list[tuple[int, int, int]] = []


class Core:
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

        self.layout = Layout(run)
        self.membrane = WordMemory("membrane", self.layout.split(potentials))
        self.current = WordMemory("current", self.layout.split(currents))
        self.mask = WordMemory("mask", self.layout.split(flags))
        self.addresses = [AddressGenerator(connection, self.layout) for connection in run.connections]
        self.lanes = Lanes(run, self.layout, self.membrane, self.current, self.mask, replay)
        self.fifo = SpikeFifo(clock, run.core.fifo_depth)
        self.serialiser = Serialiser(self)
        self.execute = Execute(self)
        self.sequencer = Sequencer(self)
        self.feeder = TokenFeeder(self)

        neurons = sum(self.layout.real) * self.layout.height * self.layout.width
        self.plane_rows_cleared = -(-neurons // run.core.scan_bits) if run.core.buffer == "bitmap" else 0

    def plane_activity(self, plane: int) -> Activity:
        """Where what happens before EOT `plane` of a period is counted."""
        return self.activity[self.run.first_plane + plane]

    def process(self) -> Steps:
        """The whole run; ends in the cycle of `done`, one after the last slot, EXEC or spike (R8)."""
        for unit in (self.feeder, self.execute, self.serialiser):
            self.clock.process(unit.process())
        yield self.clock.process(self.sequencer.process())
        while self.execute.operation is not None or self.execute.latched is not None:
            yield self.execute.completed.wait()
        while self.serialiser.waiting:
            yield self.serialiser.freed.wait()
        self.done_cycles = self.last + 1 - self.start
        yield self.clock.at(self.last + 1, CHIP)

    def core_log(self) -> CoreLog:
        potentials, currents, flags = self.states
        return CoreLog(
            push=np.array(self.log.push, np.int64), pop=np.array(self.log.pop, np.int64),
            issue=np.array(self.log.issue, np.int64).reshape(-1, 3),
            spikes=np.array(self.log.spikes, np.int64).reshape(-1, 3),
            done=self.done_cycles, counts=self._counts(), saturations=self.lanes.saturations,
            potentials=self.layout.join(self.membrane.words, potentials),
            currents=self.layout.join(self.current.words, currents),
            flags=self.layout.join(self.mask.words, flags),
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


def check_run(run: CoreRun) -> None:
    """Refuse what the cycle model leaves undefined, rather than invent it."""
    if run.core.fifo_depth < 1:
        raise ProgramError(f"fifo_depth is {run.core.fifo_depth}; a token needs at least 1")
    if run.table.spike_shift < 0:
        raise ProgramError(f"spike_shift is {run.table.spike_shift}; R11 shifts a weight left, by 0 or more")
    for sweep in run.table.passes:
        check_pass(sweep, run.table.flagged)


def check_pass(sweep: Pass, flagged: bool) -> None:
    """Refuse a pass that R9 to R18 do not define; `flagged` says whether its table has a mask memory."""
    here = f"a {sweep.kind} pass after EOT {sweep.after_eot}"
    if sweep.kind not in get_args(PassKind):
        raise ProgramError(f"{here}: no such kind of pass; there are {', '.join(get_args(PassKind))}")
    if sweep.flags not in get_args(FlagUse):
        raise ProgramError(f"{here} has flags {sweep.flags!r}; allowed are {', '.join(get_args(FlagUse))}")
    if sweep.add and sweep.kind not in ("fire", "readout"):
        raise ProgramError(
            f"{here} has add set, but adds nothing (R13, R15, R17, R18); let a fire or readout pass add"
        )
    if sweep.flags != "ignore" and sweep.kind != "fire":
        raise ProgramError(f"{here} has flags {sweep.flags!r}, but only fire passes look at flags (R16); leave 'ignore'")
    if not flagged and (sweep.flags != "ignore" or sweep.kind == "mask"):
        raise ProgramError(
            f"{here} uses flags ({sweep.flags!r}), but its table is not `flagged` and so has no mask memory (R16, R17); "
            "set `flagged`"
        )
