"""Holds an engine against recorded cases: what a simulation of ODIN's own Verilog did, compared field by field.

`read_cases` reads a file, `check_case` tells the first difference between a case and an engine as a text, `find_difference` as
data. tests/data/odin_cases.md describes the format of a case.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.fields import NEURONS, OdinFields, OdinInput, OdinOutput, OdinScheduler
from hwsim.cores.odin.record import COUNTS, KINDS, NOT_YET, LogEntry, OdinEngine, OdinRecord
from hwsim.cores.odin.stimulus import OdinStimulus

Case = Mapping[str, Any]

# The counts of a case in the order of the record's.
CASE_COUNTS = ("neuron_read", "neuron_write", "synapse_read", "synapse_write")
REQUIRED = (
    "cap", "thr", "leak_en", "leak", "disable", "v0", "row_of", "pool", "sign", "open_loop", "from_controller", "monitor",
    "propagate_unmapped", "update_unmapped", "events", "out_ack", "expect",
)
COMPARED = ("operations", "input", "push", "lost", "pop", "spikes", "output", "counts", "final_v", "done")


@dataclass(frozen=True)
class OdinDifference:
    """The first place where a record is not what a case expects.

    what              the field: one of COMPARED, "log", "log_entries" or "log_sha256"
    position          indices within the field; () for a number. Of a log they count entries by cycle.
    expected, found   JSON values; None where that side has nothing at this position
    """

    what: str
    position: tuple[int | str, ...]
    expected: Any
    found: Any

    def __str__(self) -> str:
        place = "".join(f"[{one}]" for one in self.position)
        return f"{self.what}{place}: found {_shown(self.found)}, expected {_shown(self.expected)}"


def is_case(case: object) -> bool:
    """Whether an element of a file of cases is one of ODIN's."""
    return isinstance(case, Mapping) and {"row_of", "pool", "out_ack", "expect"} <= case.keys()


def read_cases(path: str | Path) -> list[Case]:
    """The cases of a .json or .json.gz file. Raises OdinError when it holds anything else."""
    opener = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            cases = json.load(file)
    except (OSError, EOFError, ValueError) as error:
        raise OdinError(f"{path}: not a file of cases ({error}); give a list of cases as .json or .json.gz") from None
    if not isinstance(cases, list) or not all(is_case(case) for case in cases):
        raise OdinError(f"{path}: found no list of ODIN's cases; each needs the fields {', '.join(REQUIRED)}")
    return cases


def check_case(case: Case, engine: OdinEngine) -> str | None:
    """The first difference between a case and what the engine does, with the case's name, or None. See `find_difference`."""
    found = find_difference(case, engine)
    return None if found is None else f"case {case.get('id', '?')} ({case.get('profile', 'no profile')}): {found}"


def find_difference(case: Case, engine: OdinEngine) -> OdinDifference | None:
    """The first difference between a case and what the engine does.

    Compared are decisions, handshakes, pushes, losses, pops, spikes, outputs, counts, final potentials, the cycle of rest, and
    the whole log, or its hash where the case has no more. Raises OdinError for a case that cannot be.
    """
    expect = case["expect"]
    record = engine.run(*arguments_of(case), log="log_sha256" in expect)
    return next(differences(record, expect), None)


def check_cases(cases: Sequence[Case], engine: OdinEngine) -> str:
    """A line to print: the first difference with its case, or the number of equal cases."""
    for number, case in enumerate(cases):
        if (found := check_case(case, engine)) is not None:
            return f"{found}; {number} cases before it are equal"
    return f"{len(cases)} cases equal"


def arguments_of(case: Case) -> tuple[OdinFields, OdinConfiguration, OdinStimulus, int]:
    """A case as arguments of an engine's `run`. Raises OdinError naming the case."""
    name = f"case {case.get('id', '?')}"
    if missing := [field for field in REQUIRED if field not in case]:
        raise OdinError(f"{name}: found no {', '.join(missing)}, expected all of {', '.join(REQUIRED)}")
    core = OdinFields(
        scheduler=OdinScheduler(feedback=not case["open_loop"]),
        output=OdinOutput(source="controller" if case["from_controller"] else "neuron"),
        input=OdinInput(),
    )
    try:
        pool = np.array([[int(digit, 16) for digit in row] for row in case["pool"]], np.int64)
        inhibitory = [int(case["sign"], 16) >> source & 1 for source in range(NEURONS)]
        configuration = OdinConfiguration(
            synapses=pool[case["row_of"]], inhibitory=np.array(inhibitory), thresholds=np.array(case["thr"]),
            leak_enabled=np.array(case["leak_en"]), leaks=np.array(case["leak"]), disabled=np.array(case["disable"]),
            potentials=np.array(case["v0"]), propagate_unmapped=bool(case["propagate_unmapped"]),
            update_unmapped=bool(case["update_unmapped"]), monitor=case["monitor"],
        )
        return core, configuration, OdinStimulus(np.array(case["events"]), np.array(case["out_ack"])), int(case["cap"])
    except (ValueError, IndexError, TypeError) as error:
        raise OdinError("\n".join(f"{name}: {line}" for line in str(error).splitlines())) from None


def differences(record: OdinRecord, expect: Mapping[str, Any]) -> Iterator[OdinDifference]:
    """Every field that differs, with its first different element."""
    seen = observed(record)
    for field in COMPARED:
        if seen[field] != expect[field]:
            yield _first_difference(field, seen[field], expect[field])
    if record.log is not None and "log_sha256" in expect:
        yield from _log_differences(record.log, expect)


def observed(record: OdinRecord) -> dict[str, Any]:
    """A record in the words of a case's `expect`."""
    rows = {
        "input": record.inputs, "push": record.push, "lost": record.lost, "pop": record.pop, "spikes": record.spikes,
        "output": record.outputs,
    }
    return {
        "operations": [[KINDS[kind], *_or_none(cycles)] for kind, *cycles in record.operations.tolist()],
        **{name: [_or_none(row) for row in array.tolist()] for name, array in rows.items()},
        "counts": dict(zip(CASE_COUNTS, record.counts[: len(COUNTS)].tolist(), strict=True)),
        "final_v": record.potentials.tolist(),
        "done": None if record.done == NOT_YET else record.done,
    }


def log_text(log: Sequence[LogEntry]) -> str:
    """A log as its hash takes it: sorted, one entry per line, fields apart by a blank."""
    return "".join(" ".join(str(field) for field in entry) + "\n" for entry in sorted(log))


def _log_differences(log: Sequence[LogEntry], expect: Mapping[str, Any]) -> Iterator[OdinDifference]:
    if "log" in expect:
        seen, theirs = sorted(log, key=_by_cycle), sorted((tuple(entry) for entry in expect["log"]), key=_by_cycle)
        if seen != theirs:
            yield _first_difference("log", [list(entry) for entry in seen], [list(entry) for entry in theirs])
    elif (wanted := expect.get("log_entries", len(log))) != len(log):
        yield OdinDifference("log_entries", (), wanted, len(log))
    if (found := sha256(log_text(log).encode()).hexdigest()) != expect["log_sha256"]:
        yield OdinDifference("log_sha256", (), expect["log_sha256"], found)


def _by_cycle(entry: LogEntry) -> tuple[Any, ...]:
    return (entry[1], entry[0], *entry[2:])


def _or_none(row: list[int]) -> list[int | None]:
    return [None if value == NOT_YET else value for value in row]


def _first_difference(field: str, seen: Any, wanted: Any) -> OdinDifference:
    if isinstance(seen, dict):
        name = next(key for key in wanted if seen.get(key) != wanted[key])
        return OdinDifference(field, (name,), wanted[name], seen.get(name))
    if not isinstance(seen, list):
        return OdinDifference(field, (), wanted, seen)
    for place, (mine, its) in enumerate(zip(seen, wanted, strict=False)):
        if mine != its:
            return OdinDifference(field, (place,), its, mine)
    end = min(len(seen), len(wanted))
    return OdinDifference(field, (end,), *(side[end] if end < len(side) else None for side in (wanted, seen)))


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
