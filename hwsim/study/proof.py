"""Where sums were shown to be right, so that they need not be made again.

A checked replay with 0 saturations and 0 mismatches proves that sums of these widths hold all that the trace's samples add up,
and that they give what is recorded. On a design whose sums have the same terms in the same order and are as wide or wider, no sum
can come out otherwise. Its replay can be timing only (C6 of docs/cycle-model.md): cycles and counts are the same, and mismatches
and saturations are 0 by proof. Layers whose counts depend on potentials are computed all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from hwsim.arch import Architecture
from hwsim.result import Result
from hwsim.task import Task
from hwsim.trace.reader import Trace


@dataclass(frozen=True)
class Claim:
    """That no sum of a Task saturates and all of them give what is recorded.

    sums     hash of all that decides which terms are added up, in which order.        widths   bits of the sums, by field.
    """

    sums: str
    widths: tuple[tuple[str, int], ...]

    def follows_from(self, other: Claim) -> bool:
        """Whether it holds if the other one does: the same sums, none of them narrower."""
        return self.sums == other.sums and all(mine >= theirs for (_, mine), (_, theirs) in zip(
            self.widths, other.widths, strict=True))


@dataclass(frozen=True)
class Proof:
    """A claim that holds, and the `sim_id` of the run that showed it."""

    claim: Claim
    sim_id: str

    def completes(self, result: Result, task: Task) -> Result:
        """A timing-only result as that of `task`, whose sums were shown to be right."""
        facts = replace(result.facts, mismatches=0, saturations=0, mismatches_by_layer=dict.fromkeys(result.facts.layers, 0))
        return replace(result, task=task, facts=facts)

    def said(self) -> dict[str, Any]:
        """As a row has it."""
        return {"made": False, "shown_by": self.sim_id, "at": dict(self.claim.widths)}


def claim_of(task: Task, design: Architecture, trace: Trace) -> Claim | None:
    """What a checked run of a Task would show; None where no later run could skip its sums."""
    timed = task.check and task.spikes == "trace" and task.engine == "fast" and trace.has_weights
    if not timed or not all(one.only.width_fields for one, _ in design.kinds()):
        return None
    sums, widths = [], []
    for one, _ in design.kinds():
        fields = one.only.timing()
        free = {*one.only.width_fields, *one.only.sum_free_fields}
        sums.append({name: value for name, value in fields.items() if name not in free})
        widths.append(tuple((name, fields[name]) for name in one.only.width_fields))
    if any(each != sums[0] for each in sums) or len(set(widths)) > 1:
        return None  # which of its cores makes which sum is a matter of placement
    body = {"trace": task.trace_hash, "samples": sorted(task.samples), "schedule": task.schedule,
            "model_version": task.model_version, "core": sums[0]}
    return Claim(sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32], widths[0])


def shown_by(result: Result, claim: Claim | None) -> dict[str, Any]:
    """As a row has it: whether sums were made, and the claim, where the run showed it: every layer was compared."""
    facts, made = result.facts, result.task.check
    if claim is None or facts.mismatches != 0 or facts.saturations != 0 or set(facts.mismatches_by_layer) != set(facts.layers):
        return {"made": made}
    return {"made": made, "shows": claim.sums, "at": dict(claim.widths)}


def proof_of(row: Mapping[str, Any]) -> Proof | None:
    """The proof that a row holds, if it holds one."""
    said = row.get("arithmetic", {})
    if "shows" not in said:
        return None
    return Proof(Claim(said["shows"], tuple((name, bits) for name, bits in said["at"].items())), row["sim_id"])


def in_words(said: Mapping[str, Any]) -> str:
    """A row's `arithmetic` for a table: made, none, or where it was shown that it need not be made."""
    if "shown_by" not in said:
        return "made" if said.get("made") else "none"
    at = ", ".join(f"{name.rpartition('.')[2]} {bits}" for name, bits in said["at"].items())
    return f"shown by {said['shown_by']} at {at}"
