"""The EXEC stage: one operation at a time between the memories' read and write ports (R5, R7, R21)."""

from __future__ import annotations

from hwsim.engine.reference.clock import EXEC, Signal, Steps
from hwsim.engine.reference.lanes import WordOperation
from hwsim.engine.reference.shared import Shared
from hwsim.engine.reference.writers import Writer


class Execute:
    """Done `slots` cycles after its issue, or when the serialiser can take what it sends."""

    def __init__(self, core: Shared, writer: Writer) -> None:
        self.core, self.writer = core, writer
        self.operation: WordOperation | None = None
        self.latched: WordOperation | None = None
        self.issued, self.completed = Signal(core.clock), Signal(core.clock)

    @property
    def ready(self) -> bool:
        """In the ISSUE phase: whether the stage is empty after this cycle."""
        return self.operation is None or not self.operation.sends or not self.writer.busy

    def accept(self, operation: WordOperation) -> None:
        self.latched = operation
        self.issued.pulse()

    def process(self) -> Steps:
        core, clock, writer = self.core, self.core.clock, self.writer
        while True:
            while self.latched is None:
                yield self.issued.wait()
            operation, self.latched = self.latched, None
            self.operation = operation
            yield clock.at(clock.now + operation.slots, EXEC)
            if operation.sends and writer.busy:
                since = clock.now
                yield writer.freed.wait()
                yield clock.at(clock.now, EXEC)
                operation.activity["cycles_stall_serialiser"] += clock.now - since
            spikes = core.lanes.execute(operation, clock.now)
            if operation.sends:
                writer.load(operation, spikes)
            core.last = clock.now
            self.operation = None
            self.completed.pulse()
