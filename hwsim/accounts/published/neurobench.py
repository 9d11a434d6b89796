"""NeuroBench's synaptic operations: effective accumulates and multiply-accumulates, those of non-zero inputs over non-zero
weights.

Counts, no energy: an addition and a multiply-accumulate are one operation each. Identities are left out, as they are no module
of a network there.
"""

from __future__ import annotations

from hwsim.accounts.base import Account, Bill, LacksInputError, Line, activities
from hwsim.accounts.work import Work


class NeuroBench(Account):
    """SynapticOperations of NeuroBench 2.3."""

    def snn(self, work: Work) -> Bill:
        return (Line("effective MACs", effective(work, "values"), 1), Line("effective ACs", effective(work, "spikes"), 1))

    def ann(self, work: Work, ann: Work | None) -> Bill:
        return (Line("effective MACs", effective(activities(ann), "values"), 1),)


def effective(work: Work, kind: str) -> float:
    """Operations of one sample over non-zero weights. Raises LacksInputError for a trace without weights."""
    counts = [c.effective for c in work.synaptic]
    if any(count is None for count in counts):
        raise LacksInputError(f"needs the weights, to leave out those that are zero; {work.trace} has none")
    return work.per_sample(sum(count[kind] for count in counts if count is not None))
