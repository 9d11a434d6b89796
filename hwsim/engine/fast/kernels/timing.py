"""The core's cycles as a recurrence over events: R1 to R9 and R18 of docs/cycle-model.md without a clock that ticks.

Only an event's first word can meet a hazard with what came before, and its words then issue one a cycle, so an event
costs the same whatever it touches. `core` holds what the rules remember between calls (indices below), `ring` the pop
cycles of the last D tokens, `tally` one timestep's row of tallies (first columns below, all in hwsim/engine/fast/counting.py).
The same code runs with and without a record: a `log` of size 0 is not written. Units: cycles, words, tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

# core: next free slot, completion of the last EXEC, cycle from which the serialiser is free, word and memories that the
# last operation wrote, last push, place in the ring, last spike; then constants: bypass, memory that events add to.
NEXT, EXEC, SERIALISER, WORD, WRITTEN, PUSHED, PLACE, SPIKE, BYPASS, ADDS_TO = range(10)
CORE_SIZE = 10
MEMBRANE, CURRENT = 1, 2  # memories, as bits: a direct table's events and fire passes never meet (R6)

TOKENS, EVENTS, WORDS, SYNAPSES, BUSY, HAZARD, STALL, OVERLAPPED, SENT = range(9)

# grid: an event list's height, width, channels and folded pool; the output's width and groups (words a position).
HEIGHT, WIDTH, CHANNELS, POOL, OUT_WIDTH, GROUPS = range(6)

# time_steps: a pass as a line of numbers (SENT_AT: its line of `sent`, or -1; WRITES: memories that it writes beside the
# membrane); the scanner: bits of a row (0: a list is fed), rows of a plane, rows read so far, the last row reached; columns of
# the tally that are told by their place.
AFTER_EOT, TIMESTEP, SENT_AT, FIRES, WRITES = range(5)
SCAN_BITS, PLANE_ROWS, ROWS_READ, REACHED = range(4)
SHIFTED_SYNAPSES, ROWS_SCANNED, FIRED, LAST_WORDS = range(4)


def started(bypass: bool, adds_to: int, clear_words: int, cleared: int = MEMBRANE | CURRENT) -> Array:
    """`core` after cycle 0 and R1: a clear writes one word of the memories `cleared` a cycle, from cycle 1 on."""
    begin = {NEXT: 1 + clear_words, EXEC: 1 + clear_words if clear_words else 0, WORD: clear_words - 1,
             WRITTEN: cleared, PUSHED: -1, BYPASS: bypass, ADDS_TO: adds_to}
    # As a list: it is made for every run, and writing into an array by places takes longer.
    return np.array([begin.get(place, 0) for place in range(CORE_SIZE)], np.int64)


def time_writes(words: int, core: Array, tally: Array) -> int:
    """R18: operations that read nothing, so that only EXEC holds them up; returns the first one's issue, the rest follow."""
    first = int(max(core[NEXT], core[EXEC]))
    core[[NEXT, EXEC, WORD, WRITTEN]] = first + words, first + words, words - 1, MEMBRANE
    tally[BUSY] += words
    return first


def done(core: Array) -> int:
    """R8."""
    return int(max(core[NEXT] - 1, core[EXEC], core[SPIKE])) + 1


@njit(cache=True)
def events_of(tallies: Array, factors: Array) -> Array:
    """(rows, events): tallies (rows, n) times (n, events) of integers, for which NumPy has no fast product; few tallies move."""
    rows, events = len(tallies), factors.shape[1]
    found = np.zeros((rows, events), np.int64)
    for row in range(rows):
        for n in range(tallies.shape[1]):
            times = tallies[row, n]
            if times:
                for event in range(events):
                    found[row, event] += times * factors[n, event]
    return found


@njit(cache=True)
def follow_in_turn(more: int, step: int, slot: int, pushed: int, place: int, ring: Array) -> tuple[int, int, int]:
    """`more` tokens popped every `step` cycles after `slot`: next free slot, last push, place in the ring."""
    depth = ring.size
    at = place
    if more >= depth:
        before = slot + (more - depth) * step
        at = (place + more - depth) % depth
    else:
        last = place + more - 1
        before = ring[last if last < depth else last - depth]
    for k in range(max(1, more - depth + 1), more + 1):
        ring[at] = slot + k * step
        at = at + 1 if at + 1 < depth else 0
    return slot + more * step + 1, max(pushed + more, before + 1), at


@njit(cache=True)
def time_events(
    starts: Array, flat: Array, grid: Array, by_row: Array, by_column: Array, by_channel: Array, arrivals: Array,
    core: Array, ring: Array, tally: Array, log: Array,
) -> tuple[int, int]:
    """R2, R3, R5 and R6 for the events of a list, in order.

    by_row, by_column (n, 2)  first output row (column) touched, and how many.
    by_channel (n, 3)         first group, how many, connected real lanes; one line when all channels are alike.
    arrivals (events, 3)      gap and earliest cycle of each push, and how many of the events that follow it at its position are
                              known to have gap 1 and no earliest cycle (their lines are not read); size 0: all.
    log (events, 2)           push and pop.
    Returns slots taken and real synapses.

    Where gaps are 1, events touch words and the FIFO holds two, only the first of them can wait for its push: the next
    push comes at most a cycle after it, or one after a pop that lies two back, and the lanes are not free before that. So
    such events of one position, all alike, issue one after the other, and the last push waits only for the pop D tokens back.
    """
    width, channels, pool, groups = grid[WIDTH], grid[CHANNELS], grid[POOL], grid[GROUPS]
    free, done, word, written = core[NEXT], core[EXEC], core[WORD], core[WRITTEN]
    pushed, place, adds_to = core[PUSHED], core[PLACE], core[ADDS_TO]
    stalls_with = 0 if core[BYPASS] else adds_to
    alike, late, logged = by_channel.shape[0] == 1, arrivals.shape[0] > 0, log.shape[0] > 0
    in_turn = alike and not logged and ring.size > 1
    token = words = empty = synapses = hazards = overlapped = 0
    gap, earliest, turns = 1, 0, 0
    for tile in range(starts.shape[0]):
        begin = starts[tile]
        for y in range(grid[HEIGHT]):
            rows = by_row[y, 1]
            for x in range(width):
                low, high = begin[y * width + x], begin[y * width + x + 1]
                if low == high:
                    continue
                positions = rows * by_column[x, 1]
                first = (by_row[y, 0] * grid[OUT_WIDTH] + by_column[x, 0]) * groups
                last = first + ((rows - 1) * grid[OUT_WIDTH] + by_column[x, 1] - 1) * groups
                channel_0 = (x // pool) * channels
                event = low
                while event < high:
                    channel = 0 if alike else flat[event] - channel_0
                    group, reached = by_channel[channel, 0], by_channel[channel, 1]
                    if late and turns:
                        gap, earliest, turns = 1, 0, turns - 1
                    elif late:
                        gap, earliest, turns = arrivals[token, 0], arrivals[token, 1], arrivals[token, 2]
                    pushed = max(pushed + gap, earliest, ring[place] + 1)
                    slot = max(free, pushed + 1)
                    count = positions * reached
                    if count:
                        slot = max(slot, done)
                        if slot == done and first + group == word and written & stalls_with:
                            slot += 1
                            hazards += 1
                        slot += count - 1
                        done = slot + 1
                        word = last + group + reached - 1
                        written = adds_to
                        words += count
                        synapses += positions * by_channel[channel, 2]
                    else:
                        overlapped += slot < done
                        empty += 1
                    free = slot + 1
                    ring[place] = slot
                    place = place + 1 if place + 1 < ring.size else 0
                    if logged:
                        log[token, 0] = pushed
                        log[token, 1] = slot
                    token += 1
                    event += 1
                    if in_turn and count:
                        more = turns if late else high - event
                        turns = 0
                        if more:
                            stall = int(first + group == word and adds_to & stalls_with != 0)
                            step = count + stall
                            free, pushed, place = follow_in_turn(more, step, slot, pushed, place, ring)
                            done = free
                            words += more * count
                            synapses += more * positions * by_channel[channel, 2]
                            hazards += more * stall
                            token += more
                            event += more
    core[NEXT], core[EXEC], core[WORD], core[WRITTEN] = free, done, word, written
    core[PUSHED], core[PLACE] = pushed, place
    tally[TOKENS] += token
    tally[EVENTS] += token
    tally[WORDS] += words
    tally[SYNAPSES] += synapses
    tally[BUSY] += words + empty
    tally[HAZARD] += hazards
    tally[OVERLAPPED] += overlapped
    return words + empty, synapses


@njit(cache=True)
def time_mark(gap: int, earliest: int, core: Array, ring: Array, tally: Array, log: Array) -> None:
    """R2 and R4 for an end-of-timestep mark: a slot that does not wait for EXEC."""
    place = core[PLACE]
    pushed = max(core[PUSHED] + gap, earliest, ring[place] + 1)
    slot = max(core[NEXT], pushed + 1)
    ring[place] = slot
    core[PLACE] = place + 1 if place + 1 < ring.size else 0
    core[PUSHED] = pushed
    core[NEXT] = slot + 1
    tally[TOKENS] += 1
    tally[BUSY] += 1
    tally[OVERLAPPED] += slot < core[EXEC]
    if log.shape[0]:
        log[0, 0] = pushed
        log[0, 1] = slot


@njit(cache=True)
def time_pass(words: int, sent: Array, core: Array, tally: Array, log: Array) -> int:
    """R5 to R7, R13 to R15 and R17 for one pass over `words` words.

    sent (words,)   spikes or payloads of each word, or size 0 for a pass that sends nothing to the serialiser.
    log (words, 2)  issue and completion of EXEC.
    Returns what was sent.
    """
    free, done, word, written = core[NEXT], core[EXEC], core[WORD], core[WRITTEN]
    serialiser, spike = core[SERIALISER], core[SPIKE]
    sends, logged = sent.size > 0, log.shape[0] > 0
    hazards = stalls = total = 0
    for this in range(words):
        issue = max(free, done)
        if issue == done and this == word and written & MEMBRANE and not core[BYPASS]:
            issue += 1
            hazards += 1
        done = issue + 1
        if sends:
            done = max(done, serialiser)
            stalls += done - issue - 1
            serialiser = done + max(1, sent[this])
            total += sent[this]
            if sent[this]:
                spike = done + sent[this]
        free = issue + 1
        word, written = this, MEMBRANE
        if logged:
            log[this, 0] = issue
            log[this, 1] = done
    core[NEXT], core[EXEC], core[WORD], core[WRITTEN] = free, done, word, written
    core[SERIALISER], core[SPIKE] = serialiser, spike
    tally[BUSY] += words
    tally[HAZARD] += hazards
    tally[STALL] += stalls
    tally[SENT] += total
    return total


@njit(cache=True)
def time_run(
    starts: Array, flat: Array, begins: Array, geometry: tuple[Array, Array, Array, Array], arrivals: Array, mark_gaps: Array,
    rows_of: Array, passes: Array, sent: Array, core: Array, ring: Array, tally: Array,
) -> None:
    """Events, EOTs and passes of a whole run that has one feed.

    starts, flat, begins      planes of events, as kernels.events.list_planes leaves them.     geometry   grid to by_channel.
    mark_gaps, rows_of (eots,)   gap of each EOT, and row of the tally of what comes before it.
    passes (n, 3)     the EOT before it, row of the tally, whether it sends; in order.
    sent (n, words)   what each word sends in each pass.
    """
    grid, by_row, by_column, by_channel = geometry
    no_log, nothing = np.zeros((0, 2), np.int64), np.zeros(0, np.int32)
    k = 0
    for n in range(rows_of.shape[0]):
        row = tally[rows_of[n]]
        if n < starts.shape[0]:
            first, end = begins[n], begins[n + 1]
            time_events(
                starts[n], flat[first:end], grid, by_row, by_column, by_channel, arrivals[first:end], core, ring, row, no_log)
        time_mark(mark_gaps[n], 0, core, ring, row, no_log)
        while k < passes.shape[0] and passes[k, 0] == n:
            time_pass(sent.shape[1], sent[k] if passes[k, 2] else nothing, core, tally[passes[k, 1]], no_log)
            k += 1


@njit(cache=True)
def no_row_skipped(flat: Array, low: int, high: int, before: int, bits: int, row: int) -> bool:
    """Whether the events [low, high) of one position, which begins at bit `before`, lie in neighbouring rows, from `row` on."""
    last = (before + flat[high - 1]) // bits
    if last - row > high - low:
        return False
    for event in range(low, high):
        here = (before + flat[event]) // bits
        if here - row > 1:
            return False
        row = here
    return True


@njit(cache=True)
def time_list(
    starts: Array, flat: Array, grid: Array, by_row: Array, by_column: Array, by_channel: Array, scan: Array, skipped: Array,
    core: Array, ring: Array, tally: Array,
) -> tuple[int, int]:
    """R2, R3, R5, R6 and C3 for the events of one plane where all channels touch the same words; `skipped` as in scan_gaps.

    Returns real synapses, and words of the last group. What kernels.timing.time_events says of events in turn holds here too, as
    long as no row of the bitmap is skipped between them: then each push comes at most a cycle after the one before.
    """
    width, channels, pool, groups = grid[WIDTH], grid[CHANNELS], grid[POOL], grid[GROUPS]
    free, done, word, written = core[NEXT], core[EXEC], core[WORD], core[WRITTEN]
    pushed, place, adds_to = core[PUSHED], core[PLACE], core[ADDS_TO]
    stalls_with = 0 if core[BYPASS] else adds_to
    group, touched, lanes = by_channel[0, 0], by_channel[0, 1], by_channel[0, 2]
    bits, reached = scan[SCAN_BITS], scan[REACHED]
    token = words = empty = synapses = hazards = overlapped = 0
    gap = 1
    # Of the plane: the row of the last event, and the first bit behind that row.
    plane_row, edge = -1, 0
    for tile in range(starts.shape[0]):
        begin = starts[tile]
        for y in range(grid[HEIGHT]):
            height = by_row[y, 1]
            row_0 = scan[ROWS_READ] - skipped[y] if bits else 0
            for x in range(width):
                low, high = begin[y * width + x], begin[y * width + x + 1]
                if low == high:
                    continue
                positions = height * by_column[x, 1]
                first = (by_row[y, 0] * grid[OUT_WIDTH] + by_column[x, 0]) * groups + group
                last = first - group + ((height - 1) * grid[OUT_WIDTH] + by_column[x, 1] - 1) * groups
                before = (y * width + x - x // pool) * channels
                count = positions * touched
                token += high - low
                for event in range(low, high):
                    if bits:
                        bit = before + flat[event]
                        if bit >= edge:
                            plane_row = bit // bits
                            edge = (plane_row + 1) * bits
                        gap = max(1, row_0 + plane_row - reached)
                        reached = row_0 + plane_row
                    pushed = max(pushed + gap, ring[place] + 1)
                    slot = max(free, pushed + 1)
                    if count:
                        slot = max(slot, done)
                        if slot == done and first == word and written & stalls_with:
                            slot += 1
                            hazards += 1
                        slot += count - 1
                        done = slot + 1
                        word = last + group + touched - 1
                        written = adds_to
                        words += count
                        synapses += positions * lanes
                    else:
                        overlapped += slot < done
                        empty += 1
                    free = slot + 1
                    ring[place] = slot
                    place = place + 1 if place + 1 < ring.size else 0
                    more = high - event - 1
                    if event > low or not more or not count:
                        continue
                    ends = before + flat[high - 1] if bits else -1
                    if ends < edge + bits or no_row_skipped(flat, low + 1, high, before, bits, plane_row):
                        stall = int(first == word and adds_to & stalls_with != 0)
                        step = count + stall
                        free, pushed, place = follow_in_turn(more, step, slot, pushed, place, ring)
                        done = free
                        words += more * count
                        synapses += more * positions * lanes
                        hazards += more * stall
                        if ends >= edge:
                            plane_row = ends // bits
                            edge = (plane_row + 1) * bits
                        if bits:
                            reached = row_0 + plane_row
                        break
    core[NEXT], core[EXEC], core[WORD], core[WRITTEN] = free, done, word, written
    core[PUSHED], core[PLACE] = pushed, place
    scan[REACHED] = reached
    tally[TOKENS] += token
    tally[EVENTS] += token
    tally[WORDS] += words
    tally[SYNAPSES] += synapses
    tally[BUSY] += words + empty
    tally[HAZARD] += hazards
    tally[OVERLAPPED] += overlapped
    return synapses, words // touched if touched and group + touched == groups else 0


@njit(cache=True)
def time_steps(
    marks: tuple[int, int], starts: Array, flat: Array, grid: Array, by_row: Array, by_column: Array, by_channel: Array,
    scan: Array, skipped: Array, core: Array, ring: Array, tally: Array, first_plane: int, columns: Array, shifts: int,
    passes: Array, pass_tallies: Array, words: int, sent: Array, log: Array,
) -> None:
    """The cycles and the tally of EOTs marks[0] + 1 to marks[1], whose outputs are known; starts as in list_chosen_planes.

    columns   where the tally has what kernels.timing does not know.      shifts  0: no weight is shifted, 1: all are, 2: those of
              all planes but the first.      sent  spikes of each word in each sending pass.      log  size 0.
    """
    for mark in range(marks[0], marks[1]):
        row = tally[first_plane + mark]
        if mark - marks[0] < starts.shape[0]:
            added, ends = time_list(
                starts[mark - marks[0]], flat, grid, by_row, by_column, by_channel, scan, skipped, core, ring, row)
            if shifts == 1 or (shifts == 2 and mark):
                row[columns[SHIFTED_SYNAPSES]] += added
            row[columns[LAST_WORDS]] += ends
            if scan[SCAN_BITS]:
                row[columns[ROWS_SCANNED]] += scan[PLANE_ROWS]
                scan[ROWS_READ] += scan[PLANE_ROWS]
        gap = 1
        if scan[SCAN_BITS]:
            gap = max(1, scan[ROWS_READ] - 1 - scan[REACHED])
            scan[REACHED] = scan[ROWS_READ] - 1
        time_mark(gap, 0, core, ring, row, log)
        for number in range(passes.shape[0]):
            line = passes[number]
            if line[AFTER_EOT] != mark + 1:
                continue
            into = tally[line[TIMESTEP]]
            sends = line[SENT_AT] >= 0
            total = time_pass(words, sent[line[SENT_AT]] if sends else sent[0][:0], core, into, log)
            core[WRITTEN] |= line[WRITES]
            into += pass_tallies[number]
            if line[FIRES]:
                into[columns[FIRED]] += total


@njit(cache=True)
def list_words(
    starts: Array, flat: Array, grid: Array, by_row: Array, by_column: Array, by_channel: Array, log: Array,
    issue: Array, acc_kind: int, skip_kind: int,
) -> None:
    """Writes the issue log (operations, 3) of a list's events from their pops: a word a cycle up to the pop."""
    token = line = 0
    for tile in range(starts.shape[0]):
        for y in range(grid[HEIGHT]):
            for x in range(grid[WIDTH]):
                position = y * grid[WIDTH] + x
                for event in range(starts[tile, position], starts[tile, position + 1]):
                    channel = 0 if by_channel.shape[0] == 1 else flat[event] - (x // grid[POOL]) * grid[CHANNELS]
                    group, reached = by_channel[channel, 0], by_channel[channel, 1]
                    count = by_row[y, 1] * by_column[x, 1] * reached
                    cycle = log[token, 1] - max(0, count - 1)
                    if count == 0:
                        issue[line, 0], issue[line, 1], issue[line, 2] = cycle, skip_kind, -1
                        line += 1
                    for out_y in range(by_row[y, 0], by_row[y, 0] + by_row[y, 1]):
                        for out_x in range(by_column[x, 0], by_column[x, 0] + by_column[x, 1]):
                            word = (out_y * grid[OUT_WIDTH] + out_x) * grid[GROUPS] + group
                            for step in range(reached):
                                issue[line, 0], issue[line, 1], issue[line, 2] = cycle, acc_kind, word + step
                                line += 1
                                cycle += 1
                    token += 1
