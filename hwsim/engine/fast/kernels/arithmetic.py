"""The lanes: weight rows onto potentials, and the passes over them that look at no flags (R10 to R15 of docs/cycle-model.md).

Potentials and currents are (positions, lanes) in the narrowest type of 16 bits or more that holds their width;
`limits` is their range [lowest, highest] in a type wide enough for any one step, which is the type such steps are
computed in. Additions are gathered: an output position takes the rows of all events around it in token order, so
every lane sees its additions in the order of the rules. Lanes far enough from their limits, by the largest weight,
take rows four at a time without a check; near the limits every step is clipped and counted. Both give what the rules
say, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

# window: an event list's width, channels and folded pool; the operator's kernel, stride and padding by axis; the grid that it
# sees and the tile that it makes, whose first row is a row of the layer. Output rows are counted from it.
# (Numba notices an edit of this file only, so kernels.timing's grid is not used here.)
WIDTH, CHANNELS, POOL, KERNEL_Y, KERNEL_X, STRIDE_Y, STRIDE_X, PADDING_Y, PADDING_X = range(9)
IN_HEIGHT, IN_WIDTH, OUT_HEIGHT, OUT_WIDTH, FIRST_ROW = range(9, 14)

# compute_steps: a pass as a line of numbers, kinds of passes, and what the lanes do in each, as a line of numbers.
AFTER_EOT, KIND, THRESHOLD, ADDS, TIMESTEP = range(5)
FIRE, SHIFT, READOUT = range(3)
HARD, LEAK, DECAY_LEFT, DECAY_BITS, REACHABLE_UP_TO, CURRENT_LEFT, CURRENT_DECAY_BITS = range(7)
PART = 4096
"""Neurons that go through all that a pass does before the next ones: they stay in the first cache."""


@njit(cache=True)
def gather(
    starts: Array, flat: Array, values: Array, window: Array, scale: int, out_y: int, out_x: int, rows: Array,
    factors: Array,
) -> int:
    """Events that reach output (out_y, out_x), in token order, as rows of the weight table; returns their number.

    Row (ky * KX + kx) * C + c: with kx = x + padding - stride * out_x that is the event's `flat` plus a constant, for
    all events of a source row at once. Payload events (`values` not empty) leave payload * scale in `factors`.
    """
    top = (window[FIRST_ROW] + out_y) * window[STRIDE_Y] - window[PADDING_Y]
    left = out_x * window[STRIDE_X] - window[PADDING_X]
    pool, width, channels = window[POOL], window[WIDTH], window[CHANNELS]
    begin_x = max(left, 0) * pool
    end_x = min(left + window[KERNEL_X], window[IN_WIDTH]) * pool
    n = 0
    if begin_x >= end_x:
        return n
    for tile in range(starts.shape[0]):
        begin = starts[tile]
        for y in range(max(top, 0), min(top + window[KERNEL_Y], window[IN_HEIGHT])):
            shift = np.uint32(((y - top) * window[KERNEL_X] - left) * channels)
            for line in range(y * pool, (y + 1) * pool):
                low, high = begin[line * width + begin_x], begin[line * width + end_x]
                # Slices, as an index that may be negative keeps a loop from using vectors; uint32 wraps to the right row.
                listed, taken = flat[low:high], rows[n : n + high - low]
                for event in range(taken.size):
                    taken[event] = np.uint32(listed[event]) + shift
                if values.size:
                    for event in range(high - low):
                        factors[n + event] = values[low + event] * scale
                n += high - low
    return n


@njit(cache=True)
def room(lanes: Array, limits: Array, step: int) -> int:
    """How many steps of at most `step` no lane can clip on."""
    lowest = highest = lanes[0]
    for j in range(lanes.size):
        value = lanes[j]
        lowest = value if value < lowest else lowest
        highest = value if value > highest else highest
    return min(limits[1] - highest, lowest - limits[0]) // step


@njit(cache=True)
def add_clipped(lanes: Array, terms: Array, factor: int, limits: Array) -> int:
    """lanes + terms * factor, every lane clipped; returns how many were."""
    wide = limits.dtype.type
    low, high, by = limits[0], limits[1], wide(factor)
    clipped = wide(0)
    for j in range(lanes.size):
        total = wide(wide(lanes[j]) + wide(wide(terms[j]) * by))
        kept = high if total > high else total
        kept = low if kept < low else kept
        clipped = wide(clipped + (kept != total))
        lanes[j] = kept
    return clipped


@njit(cache=True)
def add_rows(
    state: Array, weights: Array, starts: Array, flat: Array, values: Array, window: Array, scale: int, largest: int,
    limits: Array, sums: Array, rows: Array, factors: Array,
) -> int:
    """Binary events: each adds its row of `weights` times `scale` to all lanes. Returns the steps that were clipped.

    `largest` bounds |weight|. The table's last row is zero: it fills the last four up. `sums` only names the type that
    holds the sum of four weights; `values` and `factors` have size 0.
    """
    narrow = sums.dtype.type
    step = max(1, largest * scale)
    clipped = 0
    for out_y in range(window[OUT_HEIGHT]):
        for out_x in range(window[OUT_WIDTH]):
            n = gather(starts, flat, values, window, scale, out_y, out_x, rows, factors)
            lanes = state[out_y * window[OUT_WIDTH] + out_x]
            while n % 4:
                rows[n] = weights.shape[0] - 1
                n += 1
            at = 0
            while at < n:
                safe = min(n, at + room(lanes, limits, step) // 4 * 4)
                for k in range(at, safe, 4):
                    a, b, c, d = weights[rows[k]], weights[rows[k + 1]], weights[rows[k + 2]], weights[rows[k + 3]]
                    for j in range(lanes.size):
                        lanes[j] += narrow(narrow(a[j]) + narrow(b[j]) + narrow(c[j]) + narrow(d[j])) * scale
                if safe == at:
                    safe = at + 4
                    for k in range(at, safe):
                        clipped += add_clipped(lanes, weights[rows[k]], scale, limits)
                at = safe
    return clipped


@njit(cache=True)
def add_payloads(
    state: Array, weights: Array, starts: Array, flat: Array, values: Array, window: Array, scale: int, largest: int,
    limits: Array, rows: Array, factors: Array,
) -> int:
    """Payload events: each adds its row times payload times `scale`; `largest` bounds |weight * payload|."""
    wide = limits.dtype.type
    step = max(1, largest * scale)
    clipped = 0
    for out_y in range(window[OUT_HEIGHT]):
        for out_x in range(window[OUT_WIDTH]):
            n = gather(starts, flat, values, window, scale, out_y, out_x, rows, factors)
            lanes = state[out_y * window[OUT_WIDTH] + out_x]
            while n % 2:
                rows[n] = weights.shape[0] - 1
                factors[n] = 0
                n += 1
            at = 0
            while at < n:
                safe = min(n, at + room(lanes, limits, step) // 2 * 2)
                for k in range(at, safe, 2):
                    a, b = weights[rows[k]], weights[rows[k + 1]]
                    by_a, by_b = wide(factors[k]), wide(factors[k + 1])
                    for j in range(lanes.size):
                        # Sums that stay in range come out right whatever wraps on the way.
                        lanes[j] += wide(wide(a[j]) * by_a) + wide(wide(b[j]) * by_b)
                if safe == at:
                    safe = at + 2
                    for k in range(at, safe):
                        clipped += add_clipped(lanes, weights[rows[k]], factors[k], limits)
                at = safe
    return clipped


@njit(cache=True)
def add_slices(
    state: Array, weights: Array, slices: Array, starts: Array, flat: Array, values: Array, window: Array, scale: int,
    limits: Array, rows: Array, factors: Array,
) -> int:
    """Events that feed some lanes only (grouped convolutions, identities): `slices` (rows, 2): first lane, how many."""
    clipped = 0
    for out_y in range(window[OUT_HEIGHT]):
        for out_x in range(window[OUT_WIDTH]):
            n = gather(starts, flat, values, window, scale, out_y, out_x, rows, factors)
            lanes = state[out_y * window[OUT_WIDTH] + out_x]
            for k in range(n):
                row = rows[k]
                first, count = slices[row, 0], slices[row, 1]
                factor = factors[k] if values.size else scale
                clipped += add_clipped(lanes[first : first + count], weights[row][:count], factor, limits)
    return clipped


@njit(cache=True)
def add_slots(lanes: Array, terms: Array, pattern: int, adders: int, limits: Array) -> int:
    """One pattern onto lanes, slot by slot; returns the steps that were clipped."""
    sign = -1 if pattern < 0 else 1
    left = abs(pattern)
    clipped = 0
    while left:
        factor = 0
        for _ in range(adders):
            lowest = left & -left
            factor += lowest
            left ^= lowest
        clipped += add_clipped(lanes, terms, sign * factor, limits)
    return clipped


@njit(cache=True)
def add_patterns(
    state: Array, weights: Array, slices: Array, starts: Array, flat: Array, values: Array, window: Array, adders: int,
    largest: int, limits: Array, sums: Array, rows: Array, factors: Array,
) -> int:
    """Each event adds its row times its pattern; `largest` bounds |weight|. Returns the steps that were clipped.

    Where no lane can reach its limit the slots of a pattern are one product: they only ever move one way. `sums` only names
    the type that holds four such products.
    """
    number = sums.dtype.type
    clipped = 0
    for out_y in range(window[OUT_HEIGHT]):
        for out_x in range(window[OUT_WIDTH]):
            n = gather(starts, flat, values, window, 1, out_y, out_x, rows, factors)
            lanes = state[out_y * window[OUT_WIDTH] + out_x]
            if slices.size:
                for k in range(n):
                    first, count = slices[rows[k], 0], slices[rows[k], 1]
                    clipped += add_slots(lanes[first : first + count], weights[rows[k]][:count], factors[k], adders, limits)
                continue
            while n % 4:
                rows[n] = weights.shape[0] - 1
                factors[n] = 0
                n += 1
            at = 0
            while at < n:
                # As many fours as cannot reach a limit whatever their weights are.
                left = room(lanes, limits, max(1, largest))
                safe = at
                while safe < n:
                    left -= abs(factors[safe]) + abs(factors[safe + 1]) + abs(factors[safe + 2]) + abs(factors[safe + 3])
                    if left < 0:
                        break
                    safe += 4
                for k in range(at, safe, 4):
                    a, b, c, d = weights[rows[k]], weights[rows[k + 1]], weights[rows[k + 2]], weights[rows[k + 3]]
                    by_a, by_b = number(factors[k]), number(factors[k + 1])
                    by_c, by_d = number(factors[k + 2]), number(factors[k + 3])
                    for j in range(lanes.size):
                        # Sums that stay in range come out right whatever wraps on the way.
                        lanes[j] += number(
                            number(number(a[j]) * by_a) + number(number(b[j]) * by_b)
                            + number(number(c[j]) * by_c) + number(number(d[j]) * by_d))
                if safe == at:
                    safe = at + 4
                    for k in range(at, safe):
                        clipped += add_slots(lanes, weights[rows[k]], factors[k], adders, limits)
                at = safe
    return clipped


@njit(cache=True)
def lanes_of(
    slices: Array, window: Array, groups: int, group_lanes: int, place: tuple[int, int, int], word: int, lanes: int
) -> tuple[int, int, int, int]:
    """An event at `place` (channel, y, x on its grid) on one word of `lanes` lanes of all groups: its row of the weights, the
    lanes [begin, end) that it feeds there, and the lane of the row's first weight."""
    channel, y, x = place
    position = word // groups
    out_y, out_x = position // window[OUT_WIDTH], position % window[OUT_WIDTH]
    tap_y = y // window[POOL] - ((window[FIRST_ROW] + out_y) * window[STRIDE_Y] - window[PADDING_Y])
    tap_x = x // window[POOL] - (out_x * window[STRIDE_X] - window[PADDING_X])
    row = (tap_y * window[KERNEL_X] + tap_x) * window[CHANNELS] + channel
    first, count = (slices[row, 0], slices[row, 1]) if slices.size else (0, lanes)
    begin = max(first, word % groups * group_lanes)
    end = min(first + count, (word % groups + 1) * group_lanes)
    return row, begin, end, first


@njit(cache=True)
def add_factors(lanes: Array, terms: Array, factors: Array, limits: Array) -> int:
    """One event onto the lanes of a word that it feeds, a step per factor; returns the steps that were clipped."""
    clipped = 0
    for k in range(factors.size):
        clipped += add_clipped(lanes, terms, factors[k], limits)
    return clipped


@njit(cache=True)
def add_terms(state: Array, terms: Array, limits: Array) -> int:
    """The addend or the current onto every potential; returns the steps that were clipped."""
    clipped = 0
    for position in range(state.shape[0]):
        clipped += add_clipped(state[position], terms[position], 1, limits)
    return clipped


@njit(cache=True)
def double_lanes(lanes: Array, limits: Array) -> int:
    """R13 for some lanes; returns the steps that were clipped."""
    wide = limits.dtype.type
    clipped = 0
    for j in range(lanes.size):
        total = wide(wide(lanes[j]) * wide(2))
        kept = min(max(total, limits[0]), limits[1])
        clipped += kept != total
        lanes[j] = kept
    return clipped


@njit(cache=True)
def double(state: Array, limits: Array) -> int:
    """R13; returns the steps that were clipped."""
    clipped = 0
    for position in range(state.shape[0]):
        clipped += double_lanes(state[position], limits)
    return clipped


@njit(cache=True)
def fire_lanes(lanes: Array, spikes: Array, threshold: int, hard: bool, leak: int, reachable: bool) -> None:
    """Compare, reset, leak, for some lanes; `fire` says what the arguments are."""
    number = lanes.dtype.type
    if reachable:
        level = number(threshold)
        for j in range(lanes.size):
            fired = lanes[j] >= level
            spikes[j] = fired
            kept = number(0) if hard else number(lanes[j] - level)
            lanes[j] = kept if fired else lanes[j]
    else:
        spikes[:] = 0
    if leak >= 0:
        for j in range(lanes.size):
            lanes[j] -= lanes[j] >> leak


@njit(cache=True)
def fire(state: Array, out: Array, threshold: int, hard: bool, leak: int, reachable: bool) -> None:
    """Compare, reset, leak: none of these can clip, as V >= threshold >= 0 where it is subtracted.

    `out` becomes 0 / 1. `leak` < 0: none. `reachable`: whether the type holds the threshold at all.
    """
    for position in range(state.shape[0]):
        fire_lanes(state[position], out[position], threshold, hard, leak, reachable)


@njit(cache=True)
def decay_lanes(lanes: Array, left: int, bits: int) -> None:
    """V * left / 2**bits of some lanes, rounded toward zero: R10. `left` is at most 2**bits.

    |V| is taken apart at `bits`, so that no product is wider than V and vectors can be used: with |V| = h * 2**bits + l it is
    h * left + l * left / 2**bits.
    """
    number = lanes.dtype.type
    if lanes.itemsize < 8:
        by, place, low = np.uint32(left), np.uint32(bits), np.uint32((1 << bits) - 1)
        for j in range(lanes.size):
            value = np.int32(lanes[j])
            size = np.uint32(-value if value < 0 else value)
            kept = np.uint32(np.uint32((size >> place) * by) + np.uint32(np.uint32((size & low) * by) >> place))
            lanes[j] = number(-np.int32(kept) if value < 0 else np.int32(kept))
    else:
        for j in range(lanes.size):
            product = np.int64(lanes[j]) * left
            lanes[j] = number(product >> bits if product >= 0 else -(-product >> bits))


@njit(cache=True)
def decay(state: Array, left: int, bits: int) -> None:
    """V * left / 2**bits, rounded toward zero: R10."""
    for position in range(state.shape[0]):
        decay_lanes(state[position], left, bits)


@njit(cache=True)
def requantise(state: Array, out: Array, step: int, top: int) -> None:
    """R15: `out` becomes clip(V // step, 0, top)."""
    for position in range(state.shape[0]):
        lanes, levels = state[position], out[position]
        for j in range(lanes.size):
            levels[j] = min(lanes[j] // step, top) if lanes[j] > 0 else 0


@njit(cache=True)
def count_sent(out: Array, group_lanes: int, sent: Array) -> None:
    """Non-zero outputs of every word: what R7's serialiser has to send."""
    word = 0
    for position in range(out.shape[0]):
        for first in range(0, out.shape[1], group_lanes):
            lanes = out[position][first : first + group_lanes]
            total = np.int32(0)
            for j in range(lanes.size):
                total = np.int32(total + (lanes[j] != 0))
            sent[word] = total
            word += 1


@njit(cache=True)
def count_planes_sent(planes: Array, chosen: Array, group_lanes: int, sent: Array) -> None:
    """count_sent for several passes: line k of `sent` for plane chosen[k] of (T, positions, lanes), none if it is negative."""
    for k in range(chosen.size):
        if chosen[k] >= 0:
            count_sent(planes[chosen[k]], group_lanes, sent[k])


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
                    if rule[CURRENT_DECAY_BITS]:
                        decay_lanes(current[first:end], rule[CURRENT_LEFT], rule[CURRENT_DECAY_BITS])
    return clipped
