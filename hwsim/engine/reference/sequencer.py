"""The sequencer: which operation is issued when, over which words (R1, R3 to R6, R9, R19, R21, R23, R24). Unit: cycles.

In scatter order a run is one visit of all its words, whose state is in memories. In gather order it goes from visit to
visit, and the state of a visit's words is in accumulators: only loads and stores use the memories.
"""

from __future__ import annotations

from hwsim.engine.reference.clock import ISSUE, MASK, Steps
from hwsim.engine.reference.execute import Execute
from hwsim.engine.reference.fifo import SpikeFifo
from hwsim.engine.reference.lanes import Activity, WordOperation
from hwsim.engine.reference.merged import work_of
from hwsim.engine.reference.shared import Shared
from hwsim.engine.reference.sweeps import PassStep, pass_steps
from hwsim.engine.reference.tokens import Token
from hwsim.engine.reference.window import Visit
from hwsim.engine.reference.writers import Writer
from hwsim.record import ISSUE_KINDS

KIND_CODE = {kind: code for code, kind in enumerate(ISSUE_KINDS)}
MEMBRANE_READS = {
    "acc": "membrane_read_accumulate", "shift": "membrane_read_shift", "fire": "membrane_read_fire",
    "requant": "membrane_read_fire", "readout": "membrane_read_readout", "mask": "membrane_read_mask",
    "load": "membrane_read_load", "count": "membrane_read_fire",
}


class Sequencer:
    """Issues one operation, EOT or no-word event after the other, in order."""

    def __init__(self, core: Shared, fifo: SpikeFifo, execute: Execute, writer: Writer) -> None:
        self.core, self.clock, self.run = core, core.clock, core.run
        self.fifo, self.execute, self.writer = fifo, execute, writer
        self.next = core.start + 1
        self.marks = 0  # EOTs that this visit has had
        self.gathers = core.run.core.order == "gather"
        self.tokens_left = len(core.stream.tokens)

    @property
    def plane(self) -> int:
        return self.core.plane_of(self.marks)

    def process(self) -> Steps:
        visits = self.core.visits
        for number, visit in enumerate(visits):
            self.marks = 0
            if self.gathers:
                yield from self._start(visit)
            elif self.run.clear:
                yield from self._clear(visit)
            last = number == len(visits) - 1
            while self.tokens_left and (last or self.marks < self.core.stream.eots):
                yield from self._token(visit, first_visit=number == 0)
            if self.gathers and self.run.keep:
                yield from self._store(visit)

    def _token(self, visit: Visit, first_visit: bool) -> Steps:
        core = self.core
        token = yield from self._head()
        self.tokens_left -= 1
        if not token.is_eot:
            yield from self._event(token, visit)
            return
        self._slot("eot", core.plane_activity(self.plane))
        self._pop()
        self.marks += 1
        steps = pass_steps(core, self.marks)
        for step in steps:
            self._count_pass(step, first_visit)
        if self.run.core.passes == "by_word":
            for word in visit.words:
                for step in steps:
                    yield from self._issue(self._pass(step, word))
            return
        for step in steps:
            for word in visit.words:
                yield from self._issue(self._pass(step, word))

    def _head(self) -> Steps:
        """Wait for a token that is visible and for a slot; returns it in the ISSUE phase of that cycle."""
        fifo = self.fifo
        while not fifo.slots:
            yield fifo.arrived.wait()
        token, visible = fifo.slots[0]
        yield self.clock.at(max(self.next, visible), ISSUE)
        return token

    def _clear(self, visit: Visit) -> Steps:
        core, table = self.core, self.run.table
        claims = (core.membrane, core.current) if self.run.clears_current else (core.membrane,)
        writes = (*claims, core.mask) if table.flagged else claims
        for word in visit.words:
            yield from self._issue(WordOperation("clear", word, core.plane_activity(0), writes=writes, claims=claims))

    def _start(self, visit: Visit) -> Steps:
        """R19: a visit's accumulators begin with `initial`, at no slot, or with what the memories hold."""
        core, table = self.core, self.run.table
        reads = (core.membrane, *((core.current,) if table.direct else ()), *((core.mask,) if table.flagged else ()))
        for word in visit.words:
            if self.run.clear:
                core.lanes.start(word, core.plane_activity(0))
            else:
                yield from self._issue(WordOperation("load", word, core.plane_activity(0), reads=reads))

    def _store(self, visit: Visit) -> Steps:
        """R19: the state of a visit that a later run goes on with. A current that no feed could change is still there."""
        core, table = self.core, self.run.table
        writes = (core.membrane, *((core.current,) if self.run.current_changes else ()), *((core.mask,) if table.flagged else ()))
        activity = core.activity[table.passes[-1].timestep] if table.passes else core.plane_activity(0)
        passed = max((sweep.after_eot for sweep in table.passes), default=0)
        sums = tuple(range(passed, table.planes)) if self.run.plane_sums else ()
        for word in visit.words:
            yield from self._issue(WordOperation("store", word, activity, writes=writes, sums=sums))

    def _event(self, token: Token, visit: Visit) -> Steps:
        """One operation a word; popped in the last slot of the last one, or in its own slot if there is none."""
        core = self.core
        activity = core.plane_activity(self.plane)
        work = work_of(token, self.plane, self.run)
        memory = core.current if self.run.table.direct else core.membrane
        ports = () if self.gathers else (memory,)
        touched = False
        for word, weights, synapses in core.addresses[token.connection].accesses(token.c, token.y, token.x):
            if word not in visit.words:
                continue
            touched = True
            operation = WordOperation(
                "acc", word, activity, reads=ports, writes=ports, claims=ports, slots=work.slots, weights=weights,
                synapses=synapses, work=work,
            )
            if self.run.masks_first:
                yield from self._issue_masked(operation)
            else:
                activity["weight_read"] += 1
                yield from self._issue(operation)
        if not touched:
            self._slot("skip", activity)
        elif work.slots > 1:
            yield self.clock.at(self.next - 1, ISSUE)
        self._pop()

    def _count_pass(self, step: PassStep, first_visit: bool) -> None:
        """What a pass costs besides its operations. The plane that it fills is cleared once, whatever the visits."""
        sweep, activity = step.sweep, self.core.activity[step.sweep.timestep]
        if sweep.sends and first_visit:
            activity["buffer_write"] += self.core.plane_rows_cleared
        if sweep.kind == "fire" and sweep.shift > 0:
            activity["threshold_shift"] += 1

    def _pass(self, step: PassStep, word: int) -> WordOperation:
        sweep = step.sweep
        return WordOperation(
            sweep.kind, word, self.core.activity[sweep.timestep], reads=step.reads, writes=step.writes,
            claims=step.claims, sends=sweep.sends, sweep=sweep, number=step.number, sums=step.sums,
            more=step.more,
        )

    def _issue(self, operation: WordOperation) -> Steps:
        """Wait for the slot, for EXEC to be done with the last operation, and out of a hazard; then read and go."""
        yield from self._turn()
        yield from self._wait_out(self._stall(operation, self.execute.operation), operation)
        self._go(operation)

    def _issue_masked(self, operation: WordOperation) -> Steps:
        """R25: the flags first. A word whose neurons are all off costs its slot; another goes on as ever, without them."""
        clock, mask, activity, word = self.clock, self.core.mask, operation.activity, operation.word
        yield from self._turn()
        ahead = self.execute.operation
        if ahead is not None and ahead.word == word and mask in ahead.writes and not self.run.core.bypass:
            yield from self._wait_out("cycles_stall_hazard", operation)
            ahead = None
        yield clock.at(clock.now, MASK)
        activity["mask_read"] += 1
        operation.flags = mask.operand(word, mask.read(word, clock.now))
        if operation.flags[: self.core.layout.real_lanes(word)].all():
            activity["addr_gen"] += 1
            self._slot("skip", activity, word)
            return
        yield from self._wait_out(self._stall(operation, ahead), operation)
        activity["weight_read"] += 1
        self._go(operation)

    def _turn(self) -> Steps:
        """Wait for the next slot, and for EXEC to be done with the last operation in its cycle."""
        clock = self.clock
        if clock.now < self.next:
            yield clock.at(self.next, ISSUE)
        while not self.execute.ready:
            yield self.writer.freed.wait()
            yield clock.at(clock.now, ISSUE)

    def _wait_out(self, stall: str, operation: WordOperation) -> Steps:
        """One cycle, if anything stalls the operation."""
        if stall:
            operation.activity[stall] += 1
            yield self.clock.at(self.clock.now + 1, ISSUE)

    def _go(self, operation: WordOperation) -> None:
        operation.activity["addr_gen"] += 1
        if self.gathers:
            operation.activity["accumulator_access"] += 1
        self._read(operation)
        self._slot(operation.kind, operation.activity, operation.word, operation.slots)
        self.execute.accept(operation)

    def _stall(self, operation: WordOperation, ahead: WordOperation | None) -> str:
        """What keeps an operation from reading in the cycle in which the one `ahead` completes."""
        if ahead is None:
            return ""
        if self.run.core.membrane_ports == "1rw":
            # R23: whatever the word. What is read a cycle later has been written, so R6 is never met.
            busy = any(memory.single_port and memory in ahead.writes for memory in operation.reads)
            return "cycles_stall_port" if busy else ""
        same = ahead.word == operation.word and any(memory in ahead.claims for memory in operation.reads)
        return "cycles_stall_hazard" if same and not self.run.core.bypass else ""

    def _read(self, operation: WordOperation) -> None:
        """The memories that the operation needs, read in the cycle of its issue."""
        core, activity, cycle, word = self.core, operation.activity, self.clock.now, operation.word
        if core.membrane in operation.reads:
            activity[MEMBRANE_READS[operation.kind]] += 1
            activity["membrane_read_banks"] += core.layout.banks(word, "membrane")
            operation.potential = core.membrane.read(word, cycle)
        if core.current in operation.reads:
            activity["current_read"] += 1
            activity["current_read_banks"] += core.layout.banks(word, "current")
            operation.current = core.current.read(word, cycle)
        if core.mask in operation.reads:
            activity["mask_read"] += 1
            operation.flags = core.mask.read(word, cycle)

    def _slot(self, kind: str, activity: Activity, word: int = -1, slots: int = 1) -> None:
        """From this cycle on something issues; only EOTs and no-word events come here while EXEC still waits (R4, A5)."""
        now = self.clock.now
        activity["cycles_busy"] += slots
        if not self.execute.ready:
            activity["cycles_overlapped"] += 1
        self.core.log.issue.append((now - self.core.start, KIND_CODE[kind], word))
        self.next = now + slots
        self.core.last = self.next - 1

    def _pop(self) -> None:
        self.fifo.pop()
        self.core.log.pop.append(self.clock.now - self.core.start)
        self.core.plane_activity(self.plane)["fifo_pop"] += 1
