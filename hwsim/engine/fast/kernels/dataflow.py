"""Cycles of the other dataflows as recurrences: gather order, merged tokens, one port, word writer, passes by word (R19 to R24).

Everything that kernels.timing does for R1 to R18 is here once more, with slots per operation, ports and visits; a run by
R1 to R18 alone does not come here. `core` holds what the rules remember between calls (indices below), `ring` the pop
cycles of the last D tokens, `tally` rows of tallies (indices below, all in hwsim/engine/fast/counting.py). A `log` of size 0 is
not written. Units: cycles, words, tokens, buffer rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

# core: next free slot, completion of the last EXEC, cycle from which the serialiser is free, word of the last operation, the
# memories that it claims for R6 and those that it writes (R23), last push, place in the ring, last spike; then constants.
NEXT, EXEC, SERIALISER, WORD, CLAIMS, WRITES, PUSHED, PLACE, SPIKE, BYPASS, ADDS_TO, SINGLE_PORT, BY_WORD, WORD_WRITER = range(14)
CORE_SIZE = 14
MEMBRANE, CURRENT = 1, 2  # memories, as bits

# tally: these are counted here, the others by whoever knows more.
TOKENS, BUSY, HAZARD, STALL, OVERLAPPED, SENT, ROWS_READ, PORT, SENDING_WORDS = range(9)

# steps (passes, 6): memories read, written and claimed, whether it sends, row of the tally, place in `sent`.
READS, STEP_WRITES, STEP_CLAIMS, SENDS, ROW, PLACE_SENT = range(6)

# window: the event grid's width, channels and folded pool; kernel, stride and padding by axis; the grid that the operator
# sees; bits of a neuron in the buffer and of a row of it, and the logarithm of the latter to base 2, or -1.
WIDTH, CHANNELS, POOL, KERNEL_Y, KERNEL_X, STRIDE_Y, STRIDE_X, PADDING_Y, PADDING_X = range(9)
IN_HEIGHT, IN_WIDTH, BITS, SCAN_BITS, SCAN_SHIFT = range(9, 14)


def started(bypass: bool, adds_to: int, single_port: bool, by_word: bool, word_writer: bool) -> Array:
    """`core` after cycle 0."""
    core = np.zeros(CORE_SIZE, np.int64)
    core[[NEXT, WORD, PUSHED]] = 1, -1, -1
    core[[BYPASS, ADDS_TO, SINGLE_PORT, BY_WORD, WORD_WRITER]] = bypass, adds_to, single_port, by_word, word_writer
    return core


def done(core: Array) -> int:
    """R8."""
    return int(max(core[NEXT] - 1, core[EXEC], core[SPIKE])) + 1


@njit(cache=True)
def time_tokens(reach: Array, slots: Array, arrivals: Array, core: Array, ring: Array, tally: Array, log: Array) -> None:
    """R2, R3, R5, R6, R21 and R23 for events in order.

    reach (n, 3)      words touched, and the first and the last of them.
    slots (n,)        cycles of each operation; size 0: 1.
    arrivals (n, 2)   gap and earliest cycle of each push; size 0: gap 1, never late.
    log (n, 3)        push, pop and issue of the first word; the words of one event follow `slots` (and a stall) apart.
    """
    free, done, word, claims, writes = core[NEXT], core[EXEC], core[WORD], core[CLAIMS], core[WRITES]
    pushed, place, adds_to = core[PUSHED], core[PLACE], core[ADDS_TO]
    single = core[SINGLE_PORT] != 0
    stalls_with = 0 if core[BYPASS] or single else adds_to
    every = 1 if single and adds_to else 0
    busy = hazards = ports = overlapped = 0
    gap, earliest, m = 1, 0, 1
    for token in range(reach.shape[0]):
        if arrivals.shape[0]:
            gap, earliest = arrivals[token, 0], arrivals[token, 1]
        if slots.shape[0]:
            m = slots[token]
        pushed = max(pushed + gap, earliest, ring[place] + 1)
        slot = max(free, pushed + 1)
        count = reach[token, 0]
        first = slot
        if count:
            slot = max(slot, done)
            if slot == done:
                if single and writes & adds_to:
                    slot += 1
                    ports += 1
                elif reach[token, 1] == word and claims & stalls_with:
                    slot += 1
                    hazards += 1
            first = slot
            slot += count * m - 1 + (count - 1) * every
            ports += (count - 1) * every
            done = slot + 1
            word, claims, writes = reach[token, 2], adds_to, adds_to
            busy += count * m
        else:
            overlapped += slot < done
            busy += 1
        free = slot + 1
        ring[place] = slot
        place = place + 1 if place + 1 < ring.size else 0
        if log.shape[0]:
            log[token, 0], log[token, 1], log[token, 2] = pushed, slot, first
    core[NEXT], core[EXEC], core[WORD], core[CLAIMS], core[WRITES] = free, done, word, claims, writes
    core[PUSHED], core[PLACE] = pushed, place
    tally[TOKENS] += reach.shape[0]
    tally[BUSY] += busy
    tally[HAZARD] += hazards
    tally[PORT] += ports
    tally[OVERLAPPED] += overlapped


@njit(cache=True)
def time_mark(gap: int, earliest: int, core: Array, ring: Array, tally: Array) -> tuple[int, int]:
    """R2 and R4 for an end-of-timestep mark; returns its push and pop."""
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
    return pushed, slot


@njit(cache=True)
def time_moves(first: int, words: int, reads: int, writes: int, core: Array, tally: Array) -> int:
    """Clears (which only write), loads (which only read) and stores of `words` words; returns the first one's issue."""
    issue = max(core[NEXT], core[EXEC])
    if core[SINGLE_PORT] and issue == core[EXEC] and reads & core[WRITES]:
        issue += 1
        tally[PORT] += 1
    core[NEXT] = core[EXEC] = issue + words
    core[WORD], core[CLAIMS], core[WRITES] = first + words - 1, writes, writes
    tally[BUSY] += words
    return issue


@njit(cache=True)
def time_sweeps(
    first: int, words: int, steps: Array, sent: Array, core: Array, tally: Array, issued: Array, completed: Array
) -> None:
    """R5 to R7, R13 to R18 and R22 to R24 for the passes that follow one EOT, over words [first, first + words).

    sent (places, all words)      spikes or payloads of each word in each pass.
    issued, completed             of the shape of `sent`, or of size 0: cycles of each operation.
    """
    number = steps.shape[0]
    by_word, word_writer, single = core[BY_WORD] != 0, core[WORD_WRITER] != 0, core[SINGLE_PORT] != 0
    hazards_count = not core[BYPASS] and not single
    free, done, word, claims, writes = core[NEXT], core[EXEC], core[WORD], core[CLAIMS], core[WRITES]
    serialiser, spike = core[SERIALISER], core[SPIKE]
    at, offset = 0, 0  # place in `steps`, word
    for _ in range(number * words):
        this, step = first + offset, steps[at]
        if by_word:
            at += 1
            if at == number:
                at, offset = 0, offset + 1
        else:
            offset += 1
            if offset == words:
                at, offset = at + 1, 0
        row = tally[step[ROW]]
        issue = max(free, done)
        if issue == done:
            if single:
                if writes & step[READS]:
                    issue += 1
                    row[PORT] += 1
            elif hazards_count and this == word and claims & step[READS]:
                issue += 1
                row[HAZARD] += 1
        done = issue + 1
        if step[SENDS]:
            spikes = sent[step[PLACE_SENT], this]
            if word_writer:
                if spikes:
                    spike = done + 1
                    row[SENDING_WORDS] += 1
            else:
                done = max(done, serialiser)
                row[STALL] += done - issue - 1
                serialiser = done + max(1, spikes)
                if spikes:
                    spike = done + spikes
            row[SENT] += spikes
        free = issue + 1
        word, claims, writes = this, step[STEP_CLAIMS], step[STEP_WRITES]
        row[BUSY] += 1
        if issued.size:
            issued[step[PLACE_SENT], this] = issue
            completed[step[PLACE_SENT], this] = done
    core[NEXT], core[EXEC], core[WORD], core[CLAIMS], core[WRITES] = free, done, word, claims, writes
    core[SERIALISER], core[SPIKE] = serialiser, spike


@njit(cache=True)
def run_of_events(
    first: int, end: int, rows: Array, worked: Array, jumps: Array, count: int, base: int, free: int, pushed: int, place: int,
    reached: int, ring: Array,
) -> tuple[int, int, int, int]:
    """Events [first, end) of one source row that all touch `count` words: next free slot, last push, ring and row reached.

    worked     slots of one operation of all events before each; size 0: one each.
    jumps      how many events up to each lie more than a buffer row behind the one before.
    `free` is a slot that does not wait for EXEC any more; rows count from `base`.

    Events with gap 1 that follow another one never wait for their push (kernels.timing, time_events), so the lanes go through
    them without a pause, and the last push waits only for the pop D tokens back.
    """
    depth = ring.size
    slotted = worked.shape[0] > 0
    event = first
    while event < end:
        here = base + rows[event]
        pushed = max(pushed + max(1, here - reached), ring[place] + 1)
        begin = worked[event] if slotted else event
        free = max(free, pushed + 1) + count * ((worked[event + 1] if slotted else event + 1) - begin)
        ring[place] = free - 1
        place = 0 if place == depth - 1 else place + 1
        reached = here
        event += 1
        if event == end or depth == 1 or jumps[end - 1] != jumps[event - 1]:
            continue
        # All that are left follow with gap 1.
        more = end - event
        known = worked[event] if slotted else event
        if more >= depth:
            back = free - 1 + count * ((worked[end - depth] if slotted else end - depth) - known)
            place = (place + more - depth) % depth
        else:
            back = ring[(place + more - 1) % depth]
        pushed = max(pushed + more, back + 1)
        for k in range(max(event + 1, end - depth + 1), end + 1):
            ring[place] = free - 1 + count * ((worked[k] if slotted else k) - known)
            place = 0 if place == depth - 1 else place + 1
        free += count * ((worked[end] if slotted else end) - known)
        reached = base + rows[end - 1]
        event = end
    return free, pushed, place, reached


@njit(cache=True)
def row_of_bit(bit: int, scan_bits: int, scan_shift: int) -> int:
    """The buffer row of a bit; dividing takes much longer than shifting."""
    return bit >> scan_shift if scan_shift >= 0 else bit // scan_bits


@njit(cache=True)
def gather_run(
    shape: tuple[int, int, int, int, int], moves: tuple[int, int, int, int], lists: Array, starts: Array, rows: Array,
    channels: Array, worked: Array, jumps: Array, windows: Array, fed: Array, fed_at: Array, rows_of: Array, steps: Array,
    steps_at: Array, sent: Array, core: Array, ring: Array, tally: Array, token_log: Array, issue_log: Array, issued: Array,
    completed: Array, kinds: Array,
) -> tuple[int, int]:
    """R19 and R20: a whole gather run, visit by visit. Returns tokens and operations other than passes.

    shape             the tile's first row, its rows and columns, groups of the run, accumulators.
    moves             memories that loads read (0: no loads) and stores write (0: none), and the rows of the tally for both.
    lists (eots, feeds, 2)   where the plane's `starts` and events begin; -1 for a feed that has none.
    starts            of all planes: events before each position of the plane's grid, as in an EventList.
    rows, channels    of all events: buffer row of its last bit, source channel.      worked, jumps  as in run_of_events.
    windows (feeds, 14)   as above.
    fed, fed_at       first group and groups that a source channel feeds, from line fed_at[feed] on; one line: all alike.
    rows_of (eots,)   row of the tally of each plane.     steps_at (eots + 1,)   where the passes after each EOT begin.
    token_log (tokens, 2)   push and pop; issue_log (operations, 3)   as CoreLog.issue, without passes, of `kinds`: load,
    store, acc, eot; size 0: not written.
    """
    first_row, out_height, out_width, groups, held = shape
    token = operation = 0
    logged = token_log.shape[0] > 0
    for visit_y in range(out_height):
        for visit_x in range(out_width):
            word_0 = (visit_y * out_width + visit_x) * groups
            for low in range(0, groups, held):
                high = min(low + held, groups)
                words = high - low
                if moves[0]:
                    first = time_moves(word_0 + low, words, moves[0], 0, core, tally[moves[2]])
                    if logged:
                        for k in range(words):
                            issue_log[operation + k, 0], issue_log[operation + k, 1] = first + k, kinds[0]
                            issue_log[operation + k, 2] = word_0 + low + k
                    operation += words
                for n in range(lists.shape[0]):
                    free, done, pushed, place = core[NEXT], core[EXEC], core[PUSHED], core[PLACE]
                    read = reached = tokens = busy = 0
                    for feed in range(lists.shape[1]):
                        if lists[n, feed, 0] < 0:
                            continue
                        window = windows[feed]
                        width, pool = window[WIDTH], window[POOL]
                        top = (first_row + visit_y) * window[STRIDE_Y] - window[PADDING_Y]
                        left = visit_x * window[STRIDE_X] - window[PADDING_X]
                        x_low = max(left, 0) * pool
                        x_high = min(left + window[KERNEL_X], window[IN_WIDTH]) * pool
                        if x_low >= x_high:
                            continue
                        y_low = max(top, 0) * pool
                        y_high = min(top + window[KERNEL_Y], window[IN_HEIGHT]) * pool
                        at, event_0 = lists[n, feed, 0], lists[n, feed, 1]
                        bits, scan_bits, scan_shift = window[CHANNELS] * window[BITS], window[SCAN_BITS], window[SCAN_SHIFT]
                        line_0 = fed_at[feed]
                        alike = fed_at[feed + 1] - line_0 == 1
                        last_row = -1
                        count = words
                        if alike:
                            begin, end = max(fed[line_0, 0], low), min(fed[line_0, 0] + fed[line_0, 1], high)
                            count = max(0, end - begin)
                        m = 1
                        for y in range(y_low, y_high):
                            row_0 = row_of_bit((y * width + x_low) * bits, scan_bits, scan_shift)
                            row_1 = row_of_bit((y * width + x_high) * bits - 1, scan_bits, scan_shift)
                            # Rows read up to buffer row r of this source row: base + r.
                            base = read + (row_0 != last_row) - row_0
                            read = base + row_1
                            last_row = row_1
                            first_event = event_0 + starts[at + y * width + x_low]
                            end_event = event_0 + starts[at + y * width + x_high]
                            if alike and not logged:
                                number = end_event - first_event if count else 0
                                tokens += number
                                operation += number * count
                                if not number:
                                    continue
                                free = max(free, done)
                                free, pushed, place, reached = run_of_events(
                                    first_event, end_event, rows, worked, jumps, count, base, free, pushed, place, reached, ring)
                                busy += count * (worked[end_event] - worked[first_event] if worked.shape[0] else number)
                                done = free
                                continue
                            for event in range(first_event, end_event):
                                if not alike:
                                    line = line_0 + channels[event]
                                    begin = max(fed[line, 0], low)
                                    end = min(fed[line, 0] + fed[line, 1], high)
                                    count = end - begin
                                if count <= 0:
                                    continue
                                if worked.shape[0]:
                                    m = worked[event + 1] - worked[event]
                                row_of_event = base + rows[event]
                                pushed = max(pushed + max(1, row_of_event - reached), ring[place] + 1)
                                reached = row_of_event
                                slot = max(free, pushed + 1, done) + count * m - 1
                                if logged:
                                    token_log[token + tokens, 0], token_log[token + tokens, 1] = pushed, slot
                                    for k in range(count):
                                        issue_log[operation + k, 0] = slot + 1 - (count - k) * m
                                        issue_log[operation + k, 1] = kinds[2]
                                        issue_log[operation + k, 2] = word_0 + begin + k
                                operation += count
                                free = done = slot + 1
                                ring[place] = slot
                                place = place + 1 if place + 1 < ring.size else 0
                                tokens += 1
                                busy += count * m
                    if busy:
                        core[CLAIMS] = core[WRITES] = 0
                    core[NEXT], core[EXEC], core[PUSHED], core[PLACE] = free, done, pushed, place
                    row = tally[rows_of[n]]
                    row[TOKENS] += tokens
                    row[BUSY] += busy
                    row[ROWS_READ] += read
                    token += tokens
                    pushed, slot = time_mark(max(1, read - reached), 0, core, ring, row)
                    if logged:
                        token_log[token, 0], token_log[token, 1] = pushed, slot
                        issue_log[operation, 0], issue_log[operation, 1], issue_log[operation, 2] = slot, kinds[3], -1
                    token += 1
                    operation += 1
                    if steps_at[n + 1] > steps_at[n]:
                        time_sweeps(
                            word_0 + low, words, steps[steps_at[n] : steps_at[n + 1]], sent, core, tally, issued, completed)
                if moves[1]:
                    first = time_moves(word_0 + low, words, 0, moves[1], core, tally[moves[3]])
                    if logged:
                        for k in range(words):
                            issue_log[operation + k, 0], issue_log[operation + k, 1] = first + k, kinds[1]
                            issue_log[operation + k, 2] = word_0 + low + k
                    operation += words
    return token, operation
