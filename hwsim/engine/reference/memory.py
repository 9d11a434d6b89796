"""Membrane words, the memories that hold them and the address generator that finds them.

Owns the word layout of a run (docs/cycle-model.md, "The core"), the read-first memories and the geometry of an
event ("An event's words"). A word is an int64 array of `lanes` numbers that nobody changes once it is made: a write
puts a new array in the place of the old one, so what was read before stays as it was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.program import CoreRun
from hwsim.snn.network import Axis, Connection

Word = NDArray[np.int64]


class WordLayout:
    """Which neuron sits in which word and lane of a run: word ((y - a) * W + x) * groups + (g - lo), lane c - g * lanes.

    first_row, end_row   rows [a, b) of the tile, spare ones included.
    spare_from           the first word of a spare row: what it holds is never seen, and stays as it is (C9).
    """

    def __init__(self, run: CoreRun) -> None:
        self.lanes = run.core.lanes
        self.channels, _, self.width = run.shape
        self.first_row, self.end_row = run.worked_rows
        self.spare_from = run.words - run.spare_words
        self.first_group, self.end_group = run.groups
        self.groups = self.end_group - self.first_group
        self.words = run.words
        self.end_channel = run.channels[1]
        core = run.core
        self.skips_zeros = core.skip_zero_weights
        self.bank_bits = {"membrane": (core.membrane_bank_bits, core.potential_bits),
                          "current": (core.current_bank_bits, core.current_bits)}
        self.real = [max(0, min(self.lanes, self.end_channel - g * self.lanes)) for g in range(*run.groups)]

    def real_lanes(self, word: int) -> int:
        """Lanes of the word that hold a neuron; always the lowest ones."""
        return self.real[word % self.groups]

    def banks(self, word: int, memory: str) -> int:
        """Banks of a row that hold a neuron of the word; 0 where they are not counted (R25)."""
        bank_bits, bits = self.bank_bits[memory]
        return -(-self.real_lanes(word) * bits // bank_bits) if bank_bits else 0

    def place(self, word: int) -> tuple[int, int, int]:
        """(y, x, channel of lane 0) of a word."""
        position, group = divmod(word, self.groups)
        y, x = divmod(position, self.width)
        return self.first_row + y, x, (self.first_group + group) * self.lanes

    def split(self, state: NDArray[np.int64]) -> list[Word]:
        """The words of a (C, H, W) state; lanes without a neuron hold zero."""
        height = self.end_row - self.first_row
        padded = np.zeros((self.groups * self.lanes, height, self.width), np.int64)
        mine = state[self.first_group * self.lanes : self.end_channel, self.first_row : self.end_row]
        padded[: len(mine), : mine.shape[1]] = mine
        by_group = padded.reshape(self.groups, self.lanes, height, self.width)
        return list(by_group.transpose(2, 3, 0, 1).reshape(-1, self.lanes).copy())

    def join(self, words: list[Word], state: NDArray[np.int64]) -> NDArray[np.int64]:
        """A copy of the (C, H, W) state with this run's words in place."""
        joined = np.array(state, np.int64)
        for word, values in enumerate(words[: self.spare_from]):
            y, x, channel = self.place(word)
            real = self.real_lanes(word)
            joined[channel : channel + real, y, x] = values[:real]
        return joined


class WordMemory:
    """Synchronous and read-first, with the write register that a bypass looks at, and registers beside it.

    ports       1r1w: a read and a write in the same cycle; 1rw: one of the two (R23).
    bypass      a read of the word that is being written takes what is written (R6).
    registers   words that are worked on outside of the memory: accumulators (R19), or a word between its passes (R24).
                What is in a register counts, not what the memory holds. `changed` are those that the memory has not got.
    """

    def __init__(self, name: str, words: list[Word], ports: str = "1r1w", bypass: bool = True) -> None:
        self.name, self.words, self.bypass = name, words, bypass
        self.single_port = ports == "1rw"
        self.read_cycle = self.write_cycle = -1
        self.written_word = -1
        self.written: Word | None = None
        self.registers: dict[int, Word] = {}
        self.changed: set[int] = set()

    def read(self, word: int, cycle: int) -> Word:
        if cycle == self.read_cycle:
            raise RuntimeError(f"{self.name} memory read twice in cycle {cycle}; it has one read port")
        self.read_cycle = cycle
        self._one_port(cycle)
        return self.words[word]

    def write(self, word: int, cycle: int) -> None:
        """What the word's register holds goes into the memory, and the register is free."""
        if cycle == self.write_cycle:
            raise RuntimeError(f"{self.name} memory written twice in cycle {cycle}; it has one write port")
        self.write_cycle = cycle
        self._one_port(cycle)
        self.words[word] = self.written = self.registers.pop(word)
        self.changed.discard(word)
        self.written_word = word

    def _one_port(self, cycle: int) -> None:
        if self.single_port and self.read_cycle == self.write_cycle:
            raise RuntimeError(f"{self.name} memory read and written in cycle {cycle}; it has one port")

    def operand(self, word: int, read: Word | None) -> Word:
        """What an operation works on: the word's register; the write register, with a bypass (R6); or what was read."""
        if word in self.registers:
            return self.registers[word]
        if self.bypass and self.written is not None and self.written_word == word:
            return self.written
        assert read is not None
        return read

    def hold(self, word: int, value: Word) -> None:
        """A value in the register that is also in the memory, or that no later operation asks for."""
        self.registers[word] = value

    def change(self, word: int, value: Word) -> None:
        """A new value in the register."""
        self.registers[word] = value
        self.changed.add(word)

    def release(self, word: int) -> None:
        """A register that holds what the memory holds is free."""
        if word not in self.changed:
            self.registers.pop(word, None)

    def last_values(self) -> list[Word]:
        """Every word as the last operation on it left it, written back or not."""
        return [self.registers.get(word, value) for word, value in enumerate(self.words)]


class Access(NamedTuple):
    """One word that an event touches: its weight row (None when the trace has no weights, or the word is spare), the lanes with a
    real synapse."""

    word: int
    weights: Word | None
    synapses: range


class Row(NamedTuple):
    """A weight row of one group (numbered within the run)."""

    group: int
    weights: Word | None
    synapses: range


class AddressGenerator:
    """Turns events of one connection into accesses: by output row, output column, group."""

    def __init__(self, connection: Connection, layout: WordLayout) -> None:
        self.connection = connection
        self.layout = layout
        self.skips_zeros = layout.skips_zeros
        self.positions: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self.rows: dict[tuple[int, int, int], list[Row]] = {}

    def accesses(self, c: int, y: int, x: int) -> Iterator[Access]:
        """The accesses of an event of source (c, y, x), in order; none for an event that touches no word."""
        if (y, x) not in self.positions:
            self.positions[y, x] = list(self._positions(y, x))
        for position, tap_y, tap_x in self.positions[y, x]:
            if (c, tap_y, tap_x) not in self.rows:
                self.rows[c, tap_y, tap_x] = list(self._rows(c, tap_y, tap_x))
            for row in self.rows[c, tap_y, tap_x]:
                word = position * self.layout.groups + row.group
                yield Access(word, None if word >= self.layout.spare_from else row.weights, row.synapses)

    def _positions(self, y: int, x: int) -> Iterator[tuple[int, int, int]]:
        """(position within the tile, tap row, tap column) of a source position; the taps choose the weights."""
        wire, layout = self.connection, self.layout
        if wire.pool_mode == "folded":
            y, x = y // wire.pool, x // wire.pool
        _, height, width = wire.pooled_shape
        if y >= height or x >= width:
            return
        if wire.operator == "linear":
            yield 0, y, x
        elif wire.operator == "identity":
            (_, stride_y, _), (_, stride_x, _) = wire.axes
            on_grid = y % stride_y == 0 and x % stride_x == 0
            out_y, out_x = y // stride_y, x // stride_x
            if on_grid and layout.first_row <= out_y < layout.end_row and out_x < layout.width:
                yield (out_y - layout.first_row) * layout.width + out_x, 0, 0
        else:
            along_y, along_x = wire.axes
            for out_y, tap_y in _reached(along_y, y, range(layout.first_row, layout.end_row)):
                for out_x, tap_x in _reached(along_x, x, range(layout.width)):
                    yield (out_y - layout.first_row) * layout.width + out_x, tap_y, tap_x

    def _rows(self, c: int, tap_y: int, tap_x: int) -> Iterator[Row]:
        """The weight rows of a source channel at a tap: one for each group of the run with a connected channel."""
        first, end = self._connected(c)
        column = self._column(c, tap_y, tap_x)
        layout = self.layout
        for group in range(layout.groups):
            lane_0 = (layout.first_group + group) * layout.lanes
            low, high = max(first, lane_0), min(end, lane_0 + layout.lanes, layout.end_channel)
            if low >= high:
                continue
            weights = None
            if column is not None:
                weights = np.zeros(layout.lanes, np.int64)
                weights[low - lane_0 : high - lane_0] = column[low - first : high - first]
                if self.skips_zeros and not weights.any():
                    continue  # R26
            yield Row(group, weights, range(low - lane_0, high - lane_0))

    def _connected(self, c: int) -> tuple[int, int]:
        """Output channels [first, end) that source channel c feeds; empty when it feeds none."""
        wire, channels = self.connection, self.layout.channels
        if wire.operator == "linear":
            return 0, channels
        if wire.operator == "identity":
            target = c + wire.channel_offset
            return (target, target + 1) if 0 <= target < channels else (0, 0)
        fed_by_group = channels // wire.groups
        q = c // (wire.source_shape[0] // wire.groups)
        return q * fed_by_group, (q + 1) * fed_by_group

    def _column(self, c: int, tap_y: int, tap_x: int) -> Word | None:
        """The weights from source channel c to its connected output channels at a tap."""
        wire = self.connection
        if wire.weights is None:
            return None
        if wire.operator == "linear":
            _, height, width = wire.pooled_shape
            return np.asarray(wire.weights[:, (c * height + tap_y) * width + tap_x], np.int64)
        if wire.operator == "identity":
            return np.asarray(wire.weights[c : c + 1], np.int64)
        first, end = self._connected(c)
        c_within = c % (wire.source_shape[0] // wire.groups)
        return np.asarray(wire.weights[first:end, c_within, tap_y, tap_x], np.int64)


def _reached(axis: Axis, at: int, outputs: range) -> Iterator[tuple[int, int]]:
    """Along one axis: (output coordinate, kernel tap) for each of the tile's outputs whose receptive field holds `at`."""
    for out in outputs:
        tap = at + axis.padding - axis.stride * out
        if 0 <= tap < axis.kernel:
            yield out, tap
