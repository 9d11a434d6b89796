"""ODIN without a clock that ticks: an event is one vector operation over its neurons; its cycles follow from O2's closed form.

Arrays of integers, packed by hwsim/cores/odin/fast.py; the rules themselves are in kernels_rules.py. What happens is written
into `lines`, one row of (tag, up to six numbers) per thing, also if its cycle lies beyond the end of the run. Units: cycles.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numpy.typing import NDArray

from hwsim.cores.odin import kernels_rules as rules

Array = NDArray[Any]

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
# lines: OPERATION kind, decision, last. INPUT, OUTPUT as in the record. PUSH, LOST, POP, SPIKE cycle, data. With a log: SLOT
# first read, last read, neuron, potential, spikes; WORD first read, last read, address, data.
OPERATION, INPUT, PUSH, LOST, POP, SPIKE, OUTPUT, SLOT, WORD = range(9)
COLUMNS = 7
ROOM = 10_000  # lines that one event cannot fill: a bistability event of all sources writes 8,192 words


@njit(cache=True)
def run(
    settings: Array, events: Array, receiver: Array, neurons: Array, added: Array, synapses: Array, inhibitory: Array,
    state: Array, ring: Array, lines: Array,
) -> bool:
    """Events until rest or the end of the run; False when `lines` must grow first (call again, everything else is kept)."""
    while lines.shape[0] - state[FILLED] >= ROOM:
        now = rules.may_decide(state[FREE], state[LINK])
        is_left = state[EVENT] < events.shape[0]
        takes_input = False
        if is_left:
            address, seen = events[state[EVENT], 1], rules.seen_from(state[RAISED], settings[IN_LATCHES])
            bistable = rules.kind_of(address) == rules.BIST
            takes_input = rules.takes_input_first(state[WAITING], settings[DEPTH], seen, now, bistable)
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
    kind = rules.kind_of(address)
    high, low = address >> 8 & 0xFF, address & 0xFF
    first, count = (high, 1) if rules.is_for_one(address) else (0, rules.NEURONS)
    if kind == rules.SYNAPSE:
        last = sweep(now, kind, low, 1, high, 0, settings, receiver, neurons, added, synapses, state, ring, lines)
    elif kind == rules.TREF:
        last = sweep(now, kind, first, count, LEAK_ROW, 0, settings, receiver, neurons, added, synapses, state, ring, lines)
    elif kind == rules.BIST:
        last = bistability(now, first, count, settings, added, synapses, inhibitory, state, lines)
    else:
        last = now + 1
        push(last, rules.entry_of(address), settings, state, ring, lines)
    write(lines, state, OPERATION, kind, now, last)
    risen = rules.acknowledged(last)
    fallen = risen + down
    released = rules.released_at(fallen, settings[IN_LATCHES])
    write(lines, state, INPUT, address, state[RAISED], risen, fallen, released)
    state[FREE] = released
    state[EVENT] = event + 1
    if event + 1 < events.shape[0]:
        state[RAISED] = rules.raised(events[event + 1, 0], released, events[event + 1, 3])


@njit(cache=True)
def pop(
    now: int, settings: Array, receiver: Array, neurons: Array, added: Array, synapses: Array, state: Array, ring: Array,
    lines: Array,
) -> None:
    """O6: the scheduler's oldest entry, decided at `now`; it keeps its place until its last write."""
    entry = ring[state[HEAD]]
    kind, address = rules.kind_of_entry(entry), entry & 0xFF
    if kind == rules.POP_NEURON:
        last = sweep(
            now, kind, 0, rules.NEURONS, address, address, settings, receiver, neurons, added, synapses, state, ring, lines
        )
    else:
        row = LEAK_ROW if rules.virtual_leaks(entry) else VIRTUAL_ROW
        added[VIRTUAL_ROW, address] = rules.virtual_weight(entry)
        last = sweep(now, kind, address, 1, row, 0, settings, receiver, neurons, added, synapses, state, ring, lines)
    state[HEAD] = (state[HEAD] + 1) % settings[DEPTH]
    state[WAITING] -= 1
    write(lines, state, OPERATION, kind, now, last)
    write(lines, state, POP, last, entry)
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
    monitors = kind == rules.POP_NEURON and settings[FROM_CONTROLLER]
    if firing or monitors:
        for neuron in range(first, stop):
            written = rules.write_cycle(now, neuron - first, held)
            holds = 0
            if neurons[FIRED, neuron] and rules.sends(True, neurons[DISABLED, neuron]):
                holds = spike(written, neuron, settings, receiver, state, ring, lines)
            if monitors and neuron == settings[MONITOR]:
                holds = send(written, sent, settings, receiver, state, lines)
            neurons[HELD, neuron] = holds
            if holds and neuron + 1 < stop:
                held += holds
                repeats += holds * rules.reads_word(kind, neuron + 1)
    last = rules.write_cycle(now, count - 1, held)
    if last < settings[UNTIL] and not settings[LOGGED]:
        neurons[POTENTIAL, first:stop] = neurons[FRESH, first:stop]
        words = count // rules.PER_WORD if kind == rules.POP_NEURON else int(rules.reads_word(kind, first))
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
        potential = rules.clipped(neurons[POTENTIAL, neuron] + added[neuron])
        fired = rules.reaches(potential, neurons[THRESHOLD, neuron])
        neurons[FRESH, neuron] = rules.kept(potential, fired)
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
        written = rules.write_cycle(now, neuron - first, held)
        with_word = rules.reads_word(kind, neuron)
        reads = max(0, min(written, until) - read_from)
        writes = int(written < until)
        state[MEMBRANE_READ] += reads
        state[MEMBRANE_WRITE] += writes
        state[WEIGHT_READ] += reads * with_word
        state[WEIGHT_WRITE] += writes * with_word
        if writes:
            neurons[POTENTIAL, neuron] = neurons[FRESH, neuron]
        if settings[LOGGED]:
            spikes = neurons[FIRED, neuron] and rules.sends(True, neurons[DISABLED, neuron])
            write(lines, state, SLOT, read_from, written - 1, neuron, neurons[FRESH, neuron], int(spikes))
            if with_word:
                word = neuron // rules.PER_WORD
                address = row * rules.WORDS_PER_SOURCE + word
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
        for word in range(rules.WORDS_PER_SOURCE):
            written = rules.write_cycle(now, place, 0)
            place += 1
            state[WEIGHT_READ] += written - 1 < settings[UNTIL]
            if written < settings[UNTIL]:
                state[WEIGHT_WRITE] += 1
                for neuron in range(word * rules.PER_WORD, (word + 1) * rules.PER_WORD):
                    synapses[source, neuron] = rules.moved(synapses[source, neuron], settings[UPDATE])
            if settings[LOGGED]:
                address = source * rules.WORDS_PER_SOURCE + word
                write(lines, state, WORD, written - 1, written - 1, address, packed(synapses[source], word))
        fill_added(source, synapses, inhibitory, settings[PROPAGATE], added)
    return rules.write_cycle(now, place - 1, 0)


@njit(cache=True)
def fill_added(source: int, synapses: Array, inhibitory: Array, propagate: int, added: Array) -> None:
    """O1: a source's row of `added` from its synapses."""
    for neuron in range(rules.NEURONS):
        added[source, neuron] = rules.added(synapses[source, neuron], inhibitory[source], propagate)


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
    if rules.is_lost(state[WAITING], settings[DEPTH]):
        write(lines, state, LOST, cycle, entry)
        return
    ring[(state[HEAD] + state[WAITING]) % settings[DEPTH]] = entry
    state[WAITING] += 1
    write(lines, state, PUSH, cycle, entry)


@njit(cache=True)
def send(written: int, address: int, settings: Array, receiver: Array, state: Array, lines: Array) -> int:
    """O7: an output handshake; the cycles for which it holds the next operation."""
    answer = state[SENT] % receiver.shape[0]
    state[SENT] += 1
    request = rules.request_of(written)
    risen = request + receiver[answer, 0]
    fallen = rules.link_answers(risen, settings[OUT_LATCHES])
    released = fallen + receiver[answer, 1]
    state[LINK] = rules.link_answers(released, settings[OUT_LATCHES])
    write(lines, state, OUTPUT, address, request, risen, fallen, released, state[LINK])
    return rules.held_by_link(state[LINK], written)


@njit(cache=True)
def packed(synapses: Array, word: int) -> int:
    """The 32 bits of a source's synapse word; its lowest neuron lowest."""
    bits = 0
    for place in range(rules.PER_WORD):
        bits |= int(synapses[word * rules.PER_WORD + place]) << 4 * place
    return bits


@njit(cache=True)
def write(lines: Array, state: Array, tag: int, a: int, b: int, c: int = 0, d: int = 0, e: int = 0, f: int = 0) -> None:
    """The next line."""
    place = state[FILLED]
    lines[place, 0] = tag
    lines[place, 1] = a
    lines[place, 2] = b
    lines[place, 3] = c
    lines[place, 4] = d
    lines[place, 5] = e
    lines[place, 6] = f
    state[FILLED] = place + 1
