"""The whole log of a run of the fast engine, derived: handshakes and states from the record, memory cycles from the slots.

The meaning of an entry is hwsim/cores/odin/record.py's LETTERS. Units: cycles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hwsim.cores.odin.record import KINDS, NOT_YET, Ints, LogEntry, OdinRecord

STATES = {"tref": 5, "bist": 6, "synapse": 7, "push": 8, "pop_neuron": 9, "pop_virtual": 10}
WAITS, REQUEST_FALLS = 0, 12


def log_of(record: OdinRecord, slots: Ints, words: Ints, until: int) -> list[LogEntry]:
    """Entries before cycle `until`.

    slots (n, 5)   first and last cycle of the read, neuron, potential and spike flag that are written in the next cycle
    words (n, 4)   first and last cycle of the read, address, and the 32 bits that are written in the next cycle
    """
    entries = [*_links(record), *_controller(record), *_memories(slots, words)]
    if record.done != NOT_YET:
        entries.append(("E", record.done))
    return [entry for entry in entries if 0 <= int(entry[1]) < until]


def _links(record: OdinRecord) -> Iterator[LogEntry]:
    """Both handshakes, and the scheduler."""
    for address, request, *others in record.inputs.tolist():
        yield ("Q", request, address)
        yield from _happened(zip("Kqk", others, strict=True))
    for address, request, *others in record.outputs.tolist():
        yield ("X", request, address)
        yield ("B", request)
        yield from _happened(zip("Yxyb", others, strict=True))
    for letter, rows in (("P", record.push), ("D", record.lost), ("O", record.pop)):
        for cycle, entry in rows.tolist():
            yield (letter, cycle, entry)


def _happened(cycles: Iterable[tuple[str, int]]) -> Iterator[LogEntry]:
    yield from ((letter, cycle) for letter, cycle in cycles if cycle != NOT_YET)


def _controller(record: OdinRecord) -> Iterator[LogEntry]:
    """A state lasts from the cycle after a decision to the last cycle of its operation, or of its handshake."""
    for kind, decision, last in record.operations.tolist():
        yield ("S", decision + 1, STATES[KINDS[kind]])
        if last != NOT_YET and KINDS[kind].startswith("pop"):
            yield ("S", last + 1, WAITS)
    for _, _, acknowledged, _, released in record.inputs.tolist():
        if acknowledged != NOT_YET:
            yield ("S", acknowledged, REQUEST_FALLS)
        if released != NOT_YET:
            yield ("S", released, WAITS)


def _memories(slots: Ints, words: Ints) -> Iterator[LogEntry]:
    for first, last, neuron, potential, spikes in slots.tolist():
        yield from (("R", cycle, neuron) for cycle in range(first, last + 1))
        yield ("W", last + 1, neuron, potential, spikes)
    for first, last, address, bits in words.tolist():
        yield from (("r", cycle, address) for cycle in range(first, last + 1))
        yield ("w", last + 1, address, bits)
