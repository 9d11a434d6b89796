"""R1, R3, R9 to R18 and A1 to A3 neuron by neuron in Python integers, for one run of one period: what a run must come to.

No engine and no array arithmetic is in it: every synapse is looked for by "An event's words", every step is clipped by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass
from hwsim.program import CoreRun
from hwsim.snn.network import Connection, Shape, by_axis

Neuron = tuple[int, int, int]
COUNTS = ("acc_add", "mult", "weight_shift", "bias_add", "cmp", "reset_sub", "reset_zero", "leak", "membrane_shift", "requant",
          "reg_bits", "mask_read", "mask_write", "spike_out")


class Neurons:
    """v, i, off   potentials, currents and flags (C, H, W).     clipped   saturations.     counts   events of COUNTS.
    order          (kind, word) of every slot.
    spikes         neurons that fired or sent a value, pass by pass, in the order of their words.
    """

    def __init__(self, run: CoreRun, v: NDArray[np.int64], i: NDArray[np.int64], off: NDArray[np.int64]) -> None:
        self.run, self.table, self.lanes = run, run.table, run.core.lanes
        self.v, self.i, self.off = v.copy(), i.copy(), off.copy()
        self.clipped, self.spikes = 0, list[int]()
        self.counts: Counter[str] = Counter()
        self.order: list[tuple[str, int]] = []
        self.neurons = sorted(np.ndindex(run.shape), key=lambda n: (self.word(n), n))
        if run.clear:
            self.order += [("clear", word) for word in range(run.words)]
            self.v = run.table.initial.copy()
            self.i = 0 * self.i if run.table.direct else self.i
            self.off = 0 * self.off if run.table.flagged else self.off
            self.counts["mask_write"] += run.words * run.table.flagged

    def word(self, n: tuple[int, ...]) -> int:
        """The word of a neuron; the run has all groups."""
        return (n[1] * self.run.shape[2] + n[2]) * self.run.group_count + n[0] // self.lanes

    def put(self, state: NDArray[np.int64], n: tuple[int, ...], value: int, bits: int) -> None:
        state[n] = min(max(value, -1 << bits - 1), (1 << bits - 1) - 1)
        self.clipped += int(state[n]) != value

    def execute(self, tokens: NDArray[np.int64]) -> None:
        marks, run, table = 0, self.run, self.table
        memory, bits = (self.i, run.current_bits) if table.direct else (self.v, run.potential_bits)
        for connection, c, y, x, payload, has in tokens.tolist():
            if connection < 0:
                self.order.append(("eot", -1))
                marks += 1
                for p in (p for p in table.passes if p.after_eot == marks):
                    self.sweep(p)
                continue
            shift = marks * table.weigh_planes + (0 if has else table.spike_shift)
            touched = synapses(run.connections[connection], run.shape, c, y, x)
            for n, weight in touched:
                self.put(memory, n, int(memory[n]) + weight * (payload if has else 1) * 2**shift, bits)
            words = sorted({self.word(n) for n, _ in touched})
            self.order += [("acc", word) for word in words] if words else [("skip", -1)]
            self.counts["acc_add"] += len(touched)
            self.counts["weight_shift"] += len(touched) * (shift > 0)
            self.counts["mult"] += len(touched) * has
            self.counts["reg_bits"] += len(touched) * bits

    def sweep(self, p: Pass) -> None:
        counts, words = self.counts, self.run.words
        self.order += [(p.kind, word) for word in range(words)]
        fired = {self.word(n) for n in self.neurons if self.neuron(p, n)}
        counts["mask_read"] += words * (p.flags != "ignore")
        counts["mask_write"] += words * (p.kind == "mask") + len(fired) * (p.flags == "fire_once")

    def neuron(self, p: Pass, n: tuple[int, ...]) -> bool:
        """One neuron's part of a pass; whether it fires or sends a value."""
        table, counts, bits = self.table, self.counts, self.run.potential_bits
        if p.flags != "ignore" and self.off[n]:
            self.v[n] = 0
            return False
        counts["reg_bits"] += bits * (p.kind != "reinitialise")
        counts["cmp"] += p.kind in ("fire", "mask")
        for term in (table.addend, self.i if table.direct else None):
            if p.add and term is not None:
                self.put(self.v, n, int(self.v[n]) + int(term[n]), bits)
                counts["bias_add"] += 1
        if p.kind == "mask":
            self.off[n] = self.v[n] < 0
        if p.kind in ("mask", "reinitialise"):
            self.v[n] = table.initial[n]
        if p.kind == "shift":
            self.put(self.v, n, 2 * int(self.v[n]), bits)
            counts["membrane_shift"] += 1
        if p.kind == "requant":
            counts["requant"] += 1
            return self.send(n, min(max(int(self.v[n]) // p.threshold, 0), table.max_level) > 0)
        return p.kind == "fire" and self.fire(p, n)

    def send(self, n: tuple[int, ...], sent: bool) -> bool:
        if sent:
            self.spikes.append((n[0] * self.run.shape[1] + n[1]) * self.run.shape[2] + n[2])
            self.counts["spike_out"] += 1
        return sent

    def fire(self, p: Pass, n: tuple[int, ...]) -> bool:
        threshold = p.threshold >> p.shift
        fired = self.send(n, int(self.v[n]) >= threshold)
        if fired and p.flags == "fire_once":
            self.v[n], self.off[n] = 0, 1
            return True
        if fired:
            self.v[n] = self.v[n] - threshold if self.table.reset == "soft" else 0
            self.counts["reset_sub" if self.table.reset == "soft" else "reset_zero"] += 1
        if self.table.leak_shift is not None:
            self.v[n] -= self.v[n] >> self.table.leak_shift
            self.counts["leak"] += 1
        return fired


@lru_cache(maxsize=1 << 14)
def synapses(connection: Connection, shape: Shape, c: int, y: int, x: int) -> tuple[tuple[Neuron, int], ...]:
    """(output neuron, weight) of every synapse of a source neuron."""
    return tuple(_synapses(connection, shape, c, y, x))


def _synapses(connection: Connection, shape: Shape, c: int, y: int, x: int) -> Iterator[tuple[Neuron, int]]:
    in_channels, in_height, in_width = connection.pooled_shape
    if connection.pool_mode == "folded":
        y, x = y // connection.pool, x // connection.pool
    if y >= in_height or x >= in_width:
        return
    weights, (stride_y, stride_x) = connection.weights, by_axis(connection.stride)
    (padding_y, padding_x), (kernel_y, kernel_x) = by_axis(connection.padding), by_axis(connection.kernel)
    assert weights is not None
    for co, oy, ox in np.ndindex(shape):
        if connection.operator == "linear":
            yield (co, oy, ox), int(weights[co, (c * in_height + y) * in_width + x])
        elif connection.operator == "identity":
            if (co, oy * stride_y, ox * stride_x) == (c + connection.channel_offset, y, x):
                yield (co, oy, ox), int(weights[c])
        else:
            ky, kx = y + padding_y - stride_y * oy, x + padding_x - stride_x * ox
            per_group = in_channels // connection.groups
            same = co // (shape[0] // connection.groups) == c // per_group
            if same and 0 <= ky < kernel_y and 0 <= kx < kernel_x:
                yield (co, oy, ox), int(weights[co, c % per_group, ky, kx])
