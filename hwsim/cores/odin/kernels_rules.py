"""Rules O1 to O8 of docs/odin.md as numbers: what a single step gives, each rule in functions of its own. Units: cycles.

Everything takes and returns integers. hwsim/cores/odin/kernels.py puts them together, one event at a time.
"""

from __future__ import annotations

from numba import njit

NEURONS = 256
PER_WORD = 8            # O8: operations of a neuron event that one synapse word serves
WORDS_PER_SOURCE = 32
FIRST_WRITE = 2         # O2, O3: decided at t, first read at t + 1, first write at t + 2
CYCLES_PER_WORD = 2     # O2: one port, so a read and a write take a cycle each
SYNAPSE, TREF, BIST, PUSH, POP_NEURON, POP_VIRTUAL = range(6)


@njit(cache=True)
def clipped(potential: int) -> int:
    """O1: unsigned and saturating."""
    return min(255, max(0, potential))


@njit(cache=True)
def reaches(potential: int, threshold: int) -> bool:
    """O1: compared after every operation."""
    return potential >= threshold


@njit(cache=True)
def kept(potential: int, fired: bool) -> int:
    """O1: what is written."""
    return 0 if fired else potential


@njit(cache=True)
def sends(fired: bool, disabled: bool) -> bool:
    """O1: a disabled neuron is reset but sends nothing."""
    return fired and not disabled


@njit(cache=True)
def added(synapse: int, inhibitory: bool, propagate_unmapped: bool) -> int:
    """O1: the signed weight of a 4-bit synapse."""
    weight = synapse & 7 if synapse & 8 or propagate_unmapped else 0
    return -weight if inhibitory else weight


@njit(cache=True)
def leaked(leak: int, leak_enabled: bool) -> int:
    """O1: what a time reference event adds."""
    return -leak if leak_enabled else 0


@njit(cache=True)
def write_cycle(decided: int, place: int, held: int) -> int:
    """O2: the write of operation `place` of an event, after `held` cycles for the output link."""
    return decided + FIRST_WRITE + CYCLES_PER_WORD * place + held


@njit(cache=True)
def held_by_link(link_free: int, written: int) -> int:
    """O2: cycles by which a spike that is written at `written` puts off the next operation."""
    return link_free - (written + 1)


@njit(cache=True)
def may_decide(free: int, link_free: int) -> int:
    """O3: not before the last event and the output are over."""
    return max(free, link_free)


@njit(cache=True)
def takes_input_first(waiting: int, depth: int, seen: int, now: int, bistable: bool) -> bool:
    """O3: a full scheduler, an input that is seen, a scheduler that is not empty, a bistability event."""
    if waiting == depth:
        return False
    if waiting > 0 and (bistable or seen > now):
        return False
    return True


@njit(cache=True)
def raised(earliest: int, released: int, up: int) -> int:
    """O4: the request of an event."""
    return max(earliest, released + up)


@njit(cache=True)
def seen_from(raised_at: int, latches: int) -> int:
    """O4: the first cycle in which the controller sees a request."""
    return raised_at + latches


@njit(cache=True)
def acknowledged(last: int) -> int:
    """O4: the cycle after the last one of an event."""
    return last + 1


@njit(cache=True)
def released_at(fallen: int, latches: int) -> int:
    """O4: the acknowledge falls, and the controller waits for the next event."""
    return fallen + latches + 1


@njit(cache=True)
def kind_of(address: int) -> int:
    """O5: what an input address asks for."""
    if address >> 16:
        return SYNAPSE
    if address & 0x7F == 0x7F:
        return TREF
    if address & 0x7F == 0:
        return BIST
    return PUSH


@njit(cache=True)
def is_for_one(address: int) -> bool:
    """O5: bit 7 of a time reference (a bistability event) names one neuron (one source)."""
    return address & 0x80 != 0


@njit(cache=True)
def entry_of(address: int) -> int:
    """O5: what an event pushes."""
    return (address & 0xF8) << 5 | address >> 8 & 0xFF


@njit(cache=True)
def moved(synapse: int, update_unmapped: bool) -> int:
    """O5: a synapse after a bistability event."""
    if not (synapse & 8 or update_unmapped):
        return synapse
    weight = synapse & 7
    weight = min(7, weight + 1) if weight >= 4 else max(0, weight - 1)
    return synapse & 8 | weight


@njit(cache=True)
def is_lost(waiting: int, depth: int) -> bool:
    """O6: no room, even if an entry is popped in the same cycle."""
    return waiting == depth


@njit(cache=True)
def kind_of_entry(entry: int) -> int:
    """O6: an entry with nothing in its upper five bits is a neuron event."""
    return POP_VIRTUAL if entry >> 8 else POP_NEURON


@njit(cache=True)
def virtual_weight(entry: int) -> int:
    """O6: what a virtual event adds, its leak bit aside."""
    weight = entry >> 10 & 7
    return -weight if entry >> 9 & 1 else weight


@njit(cache=True)
def virtual_leaks(entry: int) -> bool:
    """O6: whether a virtual event leaks instead."""
    return entry >> 8 & 1 != 0


@njit(cache=True)
def request_of(written: int) -> int:
    """O7: the output request of a spike."""
    return written + 1


@njit(cache=True)
def link_answers(changed: int, latches: int) -> int:
    """O7: how the link follows the receiver's acknowledge: up, its request falls; down, it is free."""
    return changed + latches + 1


@njit(cache=True)
def reads_word(kind: int, neuron: int) -> bool:
    """O8: whether an operation reads and writes a synapse word."""
    return kind == SYNAPSE or (kind == POP_NEURON and neuron % PER_WORD == 0)
