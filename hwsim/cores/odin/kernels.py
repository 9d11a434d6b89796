"""ODIN without a clock that ticks: an event is one vector operation over its neurons; its cycles follow from O2's closed form.

Arrays of integers, packed by hwsim/cores/odin/fast.py. What happens is written into `lines`, one row of (tag, up to six numbers)
per thing, also if its cycle lies beyond the end of the run. Functions of single numbers, one or more per rule of docs/odin.md,
come first. All in one file: Numba keeps compiled code by file, and would not see a change in another one. Units: cycles.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

NEURONS = 256
PER_WORD = 8  # O8: operations of a neuron event that one synapse word serves
WORDS_PER_SOURCE = 32
FIRST_WRITE = 2  # O2, O3: decided at t, first read at t + 1, first write at t + 2
CYCLES_PER_WORD = 2  # O2: one port, so a read and a write take a cycle each
SYNAPSE, TREF, BIST, PUSH, POP_NEURON, POP_VIRTUAL = range(6)

# settings: what does not change in a run.
DEPTH, IN_LATCHES, OUT_LATCHES, FEEDBACK, FROM_CONTROLLER, MONITOR, PROPAGATE, UPDATE, UNTIL, LOGGED = range(10)
# state: first cycle after the last event, first cycle of a free link, next input event and its request's cycle, the scheduler's
# oldest entry and how many wait, outputs sent, lines filled, first cycle of rest, then the four counts.
FREE, LINK, EVENT, RAISED, HEAD, WAITING, SENT, FILLED, DONE = range(9)
MEMBRANE_READ, MEMBRANE_WRITE, WEIGHT_READ, WEIGHT_WRITE = range(9, 13)
STATE_SIZE = 13
# neurons: rows of (., 256). FRESH, FIRED, HELD: scratch of one event (new potential, fires, cycles for which its output holds).
POTENTIAL, THRESHOLD, DISABLED, FRESH, FIRED, HELD = range(6)
# added (258, 256): what each source adds to each neuron; then what a leak adds, and what the present virtual event adds.
LEAK_ROW, VIRTUAL_ROW = 256, 257
# lines: INPUT kind, decision, last cycle, address, the four cycles of its handshake. POPPED kind, decision, last cycle, entry.
# OUTPUT as in the record. PUSHED, LOST, SPIKE cycle, data. With a log, SLOT first read, last read, neuron, potential, spikes;
# WORD first read, last read, address, data.
INPUT, POPPED, OUTPUT, PUSHED, LOST, SPIKE, SLOT, WORD = range(8)
COLUMNS = 9
# Lines that one event cannot fill: of 256 neurons that spike; with a log, of a bistability event that writes 8,192 words.
ROOM, ROOM_WITH_LOG = 1_000, 10_000


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
def adds(synapse: int, inhibitory: bool, propagate_unmapped: bool) -> int:
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


@njit(cache=True)
def run(
    settings: Array, events: Array, receiver: Array, neurons: Array, added: Array, synapses: Array, inhibitory: Array,
    state: Array, ring: Array, lines: Array,
) -> bool:
    """Events until rest or the end of the run; False when `lines` must be emptied first (then call again)."""
    room = ROOM_WITH_LOG if settings[LOGGED] else ROOM
    while lines.shape[0] - state[FILLED] >= room:
        now = may_decide(state[FREE], state[LINK])
        is_left = state[EVENT] < events.shape[0]
        takes_input = False
        if is_left:
            address, seen = events[state[EVENT], 1], seen_from(state[RAISED], settings[IN_LATCHES])
            bistable = kind_of(address) == BIST
            takes_input = takes_input_first(state[WAITING], settings[DEPTH], seen, now, bistable)
            if takes_input:
                now = max(now, seen)
        elif state[WAITING] == 0:
            if now < settings[UNTIL]:
                state[DONE] = now
            return True
        if now >= settings[UNTIL]:
            return True
        if takes_input:
            take_input(now, settings, events, receiver, neurons, added, synapses, inhibitory, state, ring, lines)
        else:
            pop(now, settings, receiver, neurons, added, synapses, state, ring, lines)
    return False


@njit(cache=True)
def take_input(
    now: int, settings: Array, events: Array, receiver: Array, neurons: Array, added: Array, synapses: Array,
    inhibitory: Array, state: Array, ring: Array, lines: Array,
) -> None:
    """O4 and O5: an input event decided at `now`, and its handshake."""
    event = state[EVENT]
    address, down = events[event, 1], events[event, 2]
    kind = kind_of(address)
    high, low = address >> 8 & 0xFF, address & 0xFF
    first, count = (high, 1) if is_for_one(address) else (0, NEURONS)
    if kind == SYNAPSE:
        last = sweep(now, kind, low, 1, high, 0, settings, receiver, neurons, added, synapses, state, ring, lines)
    elif kind == TREF:
        last = sweep(now, kind, first, count, LEAK_ROW, 0, settings, receiver, neurons, added, synapses, state, ring, lines)
    elif kind == BIST:
        last = bistability(now, first, count, settings, added, synapses, inhibitory, state, lines)
    else:
        last = now + 1
        push(last, entry_of(address), settings, state, ring, lines)
    risen = acknowledged(last)
    fallen = risen + down
    released = released_at(fallen, settings[IN_LATCHES])
    write(lines, state, INPUT, kind, now, last, address, state[RAISED], risen, fallen, released)
    state[FREE] = released
    state[EVENT] = event + 1
    if event + 1 < events.shape[0]:
        state[RAISED] = raised(events[event + 1, 0], released, events[event + 1, 3])


@njit(cache=True)
def pop(
    now: int, settings: Array, receiver: Array, neurons: Array, added: Array, synapses: Array, state: Array, ring: Array,
    lines: Array,
) -> None:
    """O6: the scheduler's oldest entry, decided at `now`; it keeps its place until its last write."""
    entry = ring[state[HEAD]]
    kind, address = kind_of_entry(entry), entry & 0xFF
    if kind == POP_NEURON:
        last = sweep(
            now, kind, 0, NEURONS, address, address, settings, receiver, neurons, added, synapses, state, ring, lines
        )
    else:
        row = LEAK_ROW if virtual_leaks(entry) else VIRTUAL_ROW
        added[VIRTUAL_ROW, address] = virtual_weight(entry)
        last = sweep(now, kind, address, 1, row, 0, settings, receiver, neurons, added, synapses, state, ring, lines)
    state[HEAD] = (state[HEAD] + 1) % settings[DEPTH]
    state[WAITING] -= 1
    write(lines, state, POPPED, kind, now, last, entry)
    state[FREE] = last + 1


@njit(cache=True)
def sweep(
    now: int, kind: int, first: int, count: int, row: int, sent: int, settings: Array, receiver: Array, neurons: Array,
    added: Array, synapses: Array, state: Array, ring: Array, lines: Array,
) -> int:
    """O1 and O2 for neurons first to first + count - 1, which add row `row` of `added`; the cycle of the last write.

    `sent` is the address that leaves with the monitored neuron's write when the controller is the output's source.
    """
    stop = first + count
    firing = update(first, stop, neurons, added[row])
    held = repeats = 0
    monitors = kind == POP_NEURON and settings[FROM_CONTROLLER]
    if firing or monitors:
        for neuron in range(first, stop):
            written = write_cycle(now, neuron - first, held)
            holds = 0
            if neurons[FIRED, neuron] and sends(True, neurons[DISABLED, neuron]):
                holds = spike(written, neuron, settings, receiver, state, ring, lines)
            if monitors and neuron == settings[MONITOR]:
                holds = send(written, sent, settings, receiver, state, lines)
            neurons[HELD, neuron] = holds
            if holds and neuron + 1 < stop:
                held += holds
                repeats += holds * reads_word(kind, neuron + 1)
    last = write_cycle(now, count - 1, held)
    if last < settings[UNTIL] and not settings[LOGGED]:
        neurons[POTENTIAL, first:stop] = neurons[FRESH, first:stop]
        words = count // PER_WORD if kind == POP_NEURON else int(reads_word(kind, first))
        state[MEMBRANE_READ] += count + held
        state[MEMBRANE_WRITE] += count
        state[WEIGHT_READ] += words + repeats
        state[WEIGHT_WRITE] += words
    else:
        walk(now, kind, first, stop, row, firing or monitors, settings, neurons, synapses, state, lines)
    return last


@njit(cache=True)
def update(first: int, stop: int, neurons: Array, added: Array) -> int:
    """O1: the vector operation. Fills FRESH and FIRED; how many fire."""
    firing = 0
    for neuron in range(first, stop):
        potential = clipped(neurons[POTENTIAL, neuron] + added[neuron])
        fired = reaches(potential, neurons[THRESHOLD, neuron])
        neurons[FRESH, neuron] = kept(potential, fired)
        neurons[FIRED, neuron] = fired
        firing += fired
    return firing


@njit(cache=True)
def walk(
    now: int, kind: int, first: int, stop: int, row: int, holds: bool, settings: Array, neurons: Array, synapses: Array,
    state: Array, lines: Array,
) -> None:
    """As the end of `sweep`, one neuron after the other: for an event that the run's end cuts off, and for the log."""
    until, held, read_from = settings[UNTIL], 0, now + 1
    for neuron in range(first, stop):
        written = write_cycle(now, neuron - first, held)
        with_word = reads_word(kind, neuron)
        reads = max(0, min(written, until) - read_from)
        writes = int(written < until)
        state[MEMBRANE_READ] += reads
        state[MEMBRANE_WRITE] += writes
        state[WEIGHT_READ] += reads * with_word
        state[WEIGHT_WRITE] += writes * with_word
        if writes:
            neurons[POTENTIAL, neuron] = neurons[FRESH, neuron]
        if settings[LOGGED]:
            spikes = neurons[FIRED, neuron] and sends(True, neurons[DISABLED, neuron])
            write(lines, state, SLOT, read_from, written - 1, neuron, neurons[FRESH, neuron], int(spikes))
            if with_word:
                word = neuron // PER_WORD
                address = row * WORDS_PER_SOURCE + word
                write(lines, state, WORD, read_from, written - 1, address, packed(synapses[row], word))
        held += neurons[HELD, neuron] if holds else 0
        read_from = written + 1


@njit(cache=True)
def bistability(
    now: int, first: int, count: int, settings: Array, added: Array, synapses: Array, inhibitory: Array, state: Array,
    lines: Array,
) -> int:
    """O5: the words of `count` sources from `first` on, whatever the output link does; the cycle of the last write."""
    place = 0
    for source in range(first, first + count):
        for word in range(WORDS_PER_SOURCE):
            written = write_cycle(now, place, 0)
            place += 1
            state[WEIGHT_READ] += written - 1 < settings[UNTIL]
            if written < settings[UNTIL]:
                state[WEIGHT_WRITE] += 1
                for neuron in range(word * PER_WORD, (word + 1) * PER_WORD):
                    synapses[source, neuron] = moved(synapses[source, neuron], settings[UPDATE])
            if settings[LOGGED]:
                address = source * WORDS_PER_SOURCE + word
                write(lines, state, WORD, written - 1, written - 1, address, packed(synapses[source], word))
        fill_added(source, synapses, inhibitory, settings[PROPAGATE], added)
    return write_cycle(now, place - 1, 0)


@njit(cache=True)
def fill_added(source: int, synapses: Array, inhibitory: Array, propagate: int, added: Array) -> None:
    """O1: a source's row of `added` from its synapses."""
    for neuron in range(NEURONS):
        added[source, neuron] = adds(synapses[source, neuron], inhibitory[source], propagate)


@njit(cache=True)
def spike(written: int, neuron: int, settings: Array, receiver: Array, state: Array, ring: Array, lines: Array) -> int:
    """O1, O6, O7: a spike that is fired at `written`; the cycles for which the next operation is held."""
    write(lines, state, SPIKE, written, neuron)
    if settings[FEEDBACK]:
        push(written, neuron, settings, state, ring, lines)
    if settings[FROM_CONTROLLER]:
        return 0
    return send(written, neuron, settings, receiver, state, lines)


@njit(cache=True)
def push(cycle: int, entry: int, settings: Array, state: Array, ring: Array, lines: Array) -> None:
    """O6."""
    if is_lost(state[WAITING], settings[DEPTH]):
        write(lines, state, LOST, cycle, entry)
        return
    ring[(state[HEAD] + state[WAITING]) % settings[DEPTH]] = entry
    state[WAITING] += 1
    write(lines, state, PUSHED, cycle, entry)


@njit(cache=True)
def send(written: int, address: int, settings: Array, receiver: Array, state: Array, lines: Array) -> int:
    """O7: an output handshake; the cycles for which it holds the next operation."""
    answer = state[SENT] % receiver.shape[0]
    state[SENT] += 1
    request = request_of(written)
    risen = request + receiver[answer, 0]
    fallen = link_answers(risen, settings[OUT_LATCHES])
    released = fallen + receiver[answer, 1]
    state[LINK] = link_answers(released, settings[OUT_LATCHES])
    write(lines, state, OUTPUT, address, request, risen, fallen, released, state[LINK])
    return held_by_link(state[LINK], written)


@njit(cache=True)
def packed(synapses: Array, word: int) -> int:
    """The 32 bits of a source's synapse word; its lowest neuron lowest."""
    bits = 0
    for place in range(PER_WORD):
        bits |= int(synapses[word * PER_WORD + place]) << 4 * place
    return bits


@njit(cache=True)
def write(
    lines: Array, state: Array, tag: int, a: int, b: int, c: int = 0, d: int = 0, e: int = 0, f: int = 0, g: int = 0, h: int = 0
) -> None:
    """The next line."""
    line = lines[state[FILLED]]
    line[0], line[1], line[2], line[3], line[4], line[5], line[6], line[7], line[8] = tag, a, b, c, d, e, f, g, h
    state[FILLED] += 1
