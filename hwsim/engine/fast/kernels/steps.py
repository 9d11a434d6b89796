"""Many timesteps of one run in one call: what `core` does plane by plane, for spikes of one connection and passes without flags.

A replay of many small planes spends its time between kernels, not in them. So here the planes of a run are listed together, then
added with the passes that follow each, then timed: three calls in place of ten for each timestep. The sums and the cycles are
those of kernels.arithmetic and kernels.timing, whose functions do the work. Rules R2 to R14, C2 and C3 of docs/cycle-model.md.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numpy.typing import NDArray

from hwsim.engine.fast.kernels.arithmetic import add_clipped, add_rows, count_sent, decay_lanes, double_lanes, fire_lanes
from hwsim.engine.fast.kernels.events import count_events, list_events
from hwsim.engine.fast.kernels.timing import follow_in_turn, time_mark, time_pass

Array = NDArray[Any]

# A pass as a line of numbers; kinds of passes.
AFTER_EOT, KIND, THRESHOLD, ADDS, TIMESTEP, SENDS, FIRES = range(7)
FIRE, SHIFT, READOUT = range(3)
# What the lanes do in a pass, as a line of numbers.
HARD, LEAK, DECAY_LEFT, DECAY_BITS, REACHABLE_UP_TO = range(5)
# The scanner: bits of a row (0: a list is fed), rows of a plane, rows read so far, the last row reached.
SCAN_BITS, PLANE_ROWS, ROWS_READ, REACHED = range(4)
# Columns of the tally that kernels.timing does not know.
SHIFTED_SYNAPSES, ROWS_SCANNED, FIRED, LAST_WORDS = range(4)

# core, grid and tally: as in kernels.timing. (Numba notices an edit of this file only, so they stand here again.)
NEXT, EXEC, SERIALISER, WORD, WRITTEN, PUSHED, PLACE, SPIKE, BYPASS, ADDS_TO = range(10)
TOKENS, EVENTS, WORDS, SYNAPSES, BUSY, HAZARD, STALL, OVERLAPPED, SENT = range(9)
HEIGHT, WIDTH, CHANNELS, POOL, OUT_WIDTH, GROUPS = range(6)

PART = 4096
"""Neurons that go through all that a pass does before the next ones: they stay in the first cache."""


@njit(cache=True)
def list_planes(
    planes: Array, order: Array, tiles: Array, taken: Array, pool: int, starts: Array, flat: Array, values: Array
) -> int:
    """The event lists of planes[order[k]], one behind the other in `flat`; returns how many events there are.

    starts (order, tiles, H * W + 1) counts through all of them. A `flat` of size 0 is not written: events are counted only.
    """
    n = 0
    for plane in range(order.size):
        each = starts[plane]
        if flat.size:
            found, _ = list_events(planes[order[plane]], tiles, taken, pool, each, flat[n:], values)
        else:
            found = count_events(planes[order[plane]], tiles, taken, each)
        if n:
            for tile in range(each.shape[0]):
                for place in range(each.shape[1]):
                    each[tile, place] += n
        n += found
    return n


@njit(cache=True)
def compute_steps(
    marks: tuple[int, int], adds_to: Array, potentials: Array, currents: Array, addend: Array, weights: Array, starts: Array,
    flat: Array, values: Array, window: Array, scale: int, weighs: bool, largest: int, limits: tuple[Array, Array], sums: Array,
    rows: Array, factors: Array, passes: Array, rule: Array, outputs: Array,
) -> int:
    """The events and passes of EOTs marks[0] + 1 to marks[1]; returns the steps that were clipped.

    adds_to is `potentials` or `currents`: what events add to. `addend` and `currents` of size 0 are not added by passes.
    starts has the lists of the first planes of these; what follows has no events. limits: of `adds_to`, and of `potentials`.
    """
    clipped = 0
    whole = potentials.reshape(-1)
    added, current = addend.reshape(-1), currents.reshape(-1)
    for mark in range(marks[0], marks[1]):
        plane = mark - marks[0]
        if plane < starts.shape[0]:
            by = scale << mark if weighs else scale
            clipped += add_rows(
                adds_to, weights, starts[plane], flat, values, window, by, largest, limits[0], sums, rows, factors)
        for number in range(passes.shape[0]):
            line = passes[number]
            if line[AFTER_EOT] != mark + 1:
                continue
            for first in range(0, whole.size, PART):
                end = min(first + PART, whole.size)
                lanes = whole[first:end]
                if line[ADDS] and added.size:
                    clipped += add_clipped(lanes, added[first:end], 1, limits[1])
                if line[ADDS] and current.size:
                    clipped += add_clipped(lanes, current[first:end], 1, limits[1])
                if line[KIND] == SHIFT:
                    clipped += double_lanes(lanes, limits[1])
                elif line[KIND] == FIRE:
                    spikes = outputs[line[TIMESTEP]].reshape(-1)[first:end]
                    reachable = line[THRESHOLD] <= rule[REACHABLE_UP_TO]
                    fire_lanes(lanes, spikes, line[THRESHOLD], rule[HARD] != 0, rule[LEAK], reachable)
                    if rule[DECAY_BITS]:
                        decay_lanes(lanes, rule[DECAY_LEFT], rule[DECAY_BITS])
    return clipped


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
    passes: Array, pass_tallies: Array, outputs: Array, group_lanes: int, words: int, sent: Array, log: Array,
) -> None:
    """The cycles and the tally of EOTs marks[0] + 1 to marks[1], whose outputs are known; starts as in compute_steps.

    columns   where the tally has what kernels.timing does not know.      shifts  0: no weight is shifted, 1: all are, 2: those of
              all planes but the first.      sent, log  room for the spikes of each word; nothing.
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
            if line[SENDS]:
                count_sent(outputs[line[TIMESTEP]], group_lanes, sent)
                total = time_pass(words, sent, core, into, log)
            else:
                total = time_pass(words, sent[:0], core, into, log)
            into += pass_tallies[number]
            if line[FIRES]:
                into[columns[FIRED]] += total
