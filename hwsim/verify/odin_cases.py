"""ODIN cases: recordings of the chip's pins and memories, cycle for cycle. docs/formats/vectors.md types the fields.

What a case means and how a record is compared with it is hwsim/cores/odin/verify.py's; here is what a file may say. Engines load
when they are first asked for.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator

from hwsim.cores.odin.engines import NAMES, engine_named
from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.record import KINDS
from hwsim.cores.odin.verify import arguments_of, find_difference
from hwsim.verify.fields import Fields, parse
from hwsim.verify.format import CaseError, Difference, Format

MAX_CYCLE = 1 << 24
OWN_FIELDS = ("row_of", "out_ack")
NEEDS_HASH = ("log", "log_entries")


def _operation(value: Any) -> list[Any]:
    """[kind, decision, last cycle], the last null where it is not before the end."""
    sound = isinstance(value, list) and len(value) == 3 and value[0] in KINDS and type(value[1]) is int
    if not sound or not (value[2] is None or type(value[2]) is int):
        raise ValueError(f"[kind, cycle, cycle or null], kind one of {', '.join(KINDS)}")
    found: list[Any] = value
    return found


def _entry(value: Any) -> list[Any]:
    """[letter, cycle, numbers] of a log."""
    if not (isinstance(value, list) and len(value) >= 2 and type(value[0]) is str and all(type(n) is int for n in value[1:])):
        raise ValueError("[letter, cycle, numbers]")
    found: list[Any] = value
    return found


Operation = Annotated[list[Any], PlainValidator(_operation)]
LogRow = Annotated[list[Any], PlainValidator(_entry)]
Bit = Annotated[int, Field(ge=0, le=1)]
Cycle = Annotated[int, Field(ge=0, le=MAX_CYCLE)]
Numbers = Annotated[list[int], Field(min_length=256, max_length=256)]
Row = list[int | None]


class CountsFields(Fields):
    """Cycles in which a memory works."""

    neuron_read: int
    neuron_write: int
    synapse_read: int
    synapse_write: int


class OdinExpectFields(Fields):
    """The answers. `log`, `log_entries` and `log_sha256` may be left out."""

    operations: list[Operation]
    input: list[Row]
    push: list[Row]
    lost: list[Row]
    pop: list[Row]
    spikes: list[Row]
    output: list[Row]
    counts: CountsFields
    final_v: Numbers
    done: int | None
    log_entries: int = 0
    log_sha256: str = Field(default="", pattern="^[0-9a-f]{64}$")
    log: list[LogRow] = []


class OdinCaseFields(Fields):
    """One case."""

    id: int | str
    profile: str
    cap: int = Field(ge=1, le=MAX_CYCLE)
    pool: list[Annotated[str, Field(pattern="^[0-9a-f]{256}$")]] = Field(min_length=1, max_length=256)
    row_of: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=256, max_length=256)]
    sign: str = Field(pattern="^[0-9a-f]{1,64}$")
    thr: Numbers
    leak_en: Numbers
    leak: Numbers
    disable: Numbers
    v0: Numbers
    open_loop: Bit
    from_controller: Bit
    monitor: int
    propagate_unmapped: Bit
    update_unmapped: Bit
    events: list[Annotated[list[Cycle], Field(min_length=4, max_length=4)]]
    out_ack: list[Annotated[list[Cycle], Field(min_length=2, max_length=2)]] = Field(min_length=1)
    expect: OdinExpectFields


class OdinCases(Format):
    """docs/formats/vectors.md, "ODIN cases"."""

    title = "ODIN cases"
    engines = NAMES

    def recognises(self, document: Any) -> bool:
        """A list in which some object has a crossbar's rows or the delays of its receiver."""
        return isinstance(document, list) and any(
            isinstance(one, dict) and not one.keys().isdisjoint(OWN_FIELDS) for one in document)

    def read(self, entry: Any) -> dict[str, Any]:
        raw = parse(OdinCaseFields, entry)
        given = raw.expect.model_fields_set
        problems = [f"row_of[{source}]: found {row}, expected 0 to {len(raw.pool) - 1}, a row of the pool"
                    for source, row in enumerate(raw.row_of) if row >= len(raw.pool)][:1]
        problems += [f"expect.{name}: given without log_sha256, the hash of the whole log; give it, or leave {name} out"
                     for name in NEEDS_HASH if name in given and "log_sha256" not in given]
        case: dict[str, Any] = {**entry, "expect": dict(entry["expect"])}
        if not problems:
            try:
                arguments_of(case)
            except OdinError as error:
                problems = [line.removeprefix(f"case {raw.id}: ") for line in str(error).splitlines()]
        if problems:
            raise CaseError(problems)
        return case

    def compare(self, case: dict[str, Any], engine: str) -> Difference | None:
        found = find_difference(case, engine_named(engine))
        if found is None:
            return None
        names = [part for part in found.position if isinstance(part, str)]
        place = tuple(part for part in found.position if not isinstance(part, str))
        return Difference(".".join([found.what, *names]), place, found.expected, found.found)
