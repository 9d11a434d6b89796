"""What a run's dataflow (R19 to R24) asks of the hardware, in numbers and yes or no; Parameters are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hwsim.program import CoreRun
from hwsim.rtl.pass_plan import PassPlan, plan_passes


@dataclass(frozen=True, eq=False)
class Dataflow:
    """The first value of every setting is the machine of R1 to R18: nothing is kept, nothing gathered."""

    run: CoreRun

    @property
    def words(self) -> int:
        """N, the membrane words of the run."""
        return self.run.words

    @property
    def group_span(self) -> int:
        """Groups of the run, hi - lo: the words at one output position."""
        return self.run.groups[1] - self.run.groups[0]

    @property
    def single_port(self) -> bool:
        """Whether the membrane and the current memory have one port each (R23)."""
        return self.run.core.membrane_ports == "1rw"

    @property
    def writes_words(self) -> bool:
        """Whether a word's spikes leave at once (R22)."""
        return self.run.core.writer == "word"

    @property
    def masks_first(self) -> bool:
        """Whether events look at flags before anything else is read (R25)."""
        return self.run.masks_first

    @property
    def by_word(self) -> bool:
        """Whether a word takes all passes of an EOT, one behind the other (R24)."""
        return self.run.core.passes == "by_word"

    @property
    def gathers(self) -> bool:
        """Whether the run goes from visit to visit (R19)."""
        return self.run.core.order == "gather"

    @property
    def keeps_words(self) -> bool:
        """Whether words stay in registers between operations; else each operation reads its word and writes it back."""
        return self.by_word or self.run.merged or self.gathers

    @property
    def memories_tell(self) -> bool:
        """Whether the memories hold the states after a run; what nobody needs any more is not written back (R19, R24)."""
        return self.run.keep or not (self.by_word or self.gathers)

    @cached_property
    def plan(self) -> tuple[PassPlan, ...]:
        """Of each pass, in the sequencer's order, what it does to memories that not every operation reads and writes."""
        return plan_passes(self.run)

    @property
    def sums(self) -> bool:
        """Whether each accumulator has a sum for each plane beside it (R21)."""
        return self.run.plane_sums

    @property
    def sums_of_stores(self) -> tuple[int, ...]:
        """Planes whose sums no pass adds, so that the stores do."""
        passed = max((one.after_eot for one in self.run.table.passes), default=0)
        return tuple(range(passed, self.run.table.planes)) if self.sums and self.run.keep else ()

    @property
    def most_sums(self) -> int:
        """Sums that one operation adds, at most."""
        return max(len(self.sums_of_stores), *(len(step.sums) for step in self.plan)) if self.plan else len(self.sums_of_stores)

    # R19.

    @property
    def accumulators(self) -> int:
        """Words that are held in registers at a time: no more than a position has."""
        return min(self.run.core.accumulators, self.group_span)

    @property
    def chunks(self) -> int:
        """Visits to one position."""
        return -(-self.group_span // self.accumulators)

    @property
    def visits(self) -> int:
        """Visits of a run; one, of all words, in scatter order."""
        return self.words // self.group_span * self.chunks if self.gathers else 1
