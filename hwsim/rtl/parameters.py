"""What is fixed when a core is elaborated: the numbers of one run of one layer, the widths that follow, and memory images.

Everything comes from a CoreRun (hwsim/program.py). Whether a run clears and how many EOTs it receives are not in here:
those are inputs of the core. Widths are bits; images are lists of words, a word is a list of `lanes` integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import Shape as AmaranthShape
from amaranth import signed, unsigned
from amaranth.lib import data
from amaranth.utils import bits_for

from hwsim.passes import Pass
from hwsim.rtl.coverage import check_covered
from hwsim.rtl.dataflow import Dataflow
from hwsim.snn.network import Connection, IntArray

Word = list[int]


def counter(values: int) -> AmaranthShape:
    """Shape of a register that counts 0 ... values - 1; at least one bit, so that no port of the Verilog is empty."""
    return unsigned(max(1, bits_for(max(values - 1, 0))))


def width_of(values: IntArray) -> int:
    """Bits of a signed number that holds every one of `values`."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    return max(bits_for(low, require_sign_bit=True), bits_for(high, require_sign_bit=True))


@dataclass(frozen=True, eq=False)
class Parameters(Dataflow):
    """One core, elaborated for one run's layer: geometry and pass table of `run`, signed payloads of `payload_bits`."""

    payload_bits: int = 9

    def __post_init__(self) -> None:
        check_covered(self.run)

    @property
    def lanes(self) -> int:
        return self.run.core.lanes

    @cached_property
    def passes(self) -> tuple[Pass, ...]:
        """The pass table in the order in which the sequencer walks it: by EOT, then in table order (R9)."""
        return tuple(sorted(self.run.table.passes, key=lambda p: p.after_eot))

    # Features: hardware that is left out when the run does not need it.

    @property
    def direct(self) -> bool:
        return self.run.table.direct

    @property
    def flagged(self) -> bool:
        return self.run.table.flagged

    @property
    def has_addend(self) -> bool:
        return self.run.table.addend is not None

    @property
    def fetches_initial(self) -> bool:
        """Whether `initial` sits in the bias memory: a uniform value sits in a register (A1)."""
        return self.run.table.clear_reads_bias

    @property
    def decays(self) -> int:
        """Multiplications of a fire operation per neuron: of the potential, of the current."""
        return self.run.table.decays

    @property
    def sends_levels(self) -> bool:
        return any(p.kind == "requant" for p in self.passes)

    # Widths.

    @cached_property
    def weight_bits(self) -> int:
        return max(width_of(np.asarray(c.weights)) for c in self.run.connections)

    @cached_property
    def bias_bits(self) -> int:
        table = self.run.table
        return max(width_of(table.initial), width_of(table.addend) if table.addend is not None else 1)

    @cached_property
    def threshold_shape(self) -> AmaranthShape:
        return signed(bits_for(max((p.threshold for p in self.passes), default=0), require_sign_bit=True))

    @property
    def state_bits(self) -> dict[str, int]:
        """Bits of a neuron's state, by the memory that holds it: those memories that the core has."""
        return {"membrane": self.run.potential_bits, **({"current": self.run.current_bits} if self.direct else {}),
                **({"mask": 1} if self.flagged else {})}

    @property
    def level_shape(self) -> AmaranthShape:
        """A spike's payload: a requant level, else one idle bit."""
        return counter(self.run.table.max_level + 1)

    @property
    def word_shape(self) -> AmaranthShape:
        return counter(self.words)

    # Layouts of what flows between the units.

    @cached_property
    def token(self) -> data.StructLayout:
        """A FIFO entry: an EOT, or an event of a connection's source neuron (c, y, x) with or without a payload."""
        grids = [c.token_shape for c in self.run.connections]
        return data.StructLayout({
            "eot": unsigned(1), "connection": counter(len(grids)),
            **{name: counter(max(grid[axis] for grid in grids)) for axis, name in enumerate("cyx")},
            "has_payload": unsigned(1), "payload": signed(self.payload_bits),
        })

    @cached_property
    def position(self) -> data.StructLayout:
        """An output position and a group, counted from the run's first group."""
        _, height, width = self.run.shape
        return data.StructLayout({"y": counter(height), "x": counter(width), "g": counter(self.group_span)})

    @cached_property
    def spike(self) -> data.StructLayout:
        """What leaves the serialiser: pass number since the last EOT, neuron address, level of a requant pass."""
        channels, height, width = self.run.shape
        return data.StructLayout({
            "number": counter(len(self.passes) + 1), "c": counter(channels), "y": counter(height), "x": counter(width),
            "level": self.level_shape,
        })

    @cached_property
    def sent(self) -> data.StructLayout:
        """What leaves the core: a spike (R7), or a word of them, `fired` by lane, with the channel `c` of lane 0 (R22)."""
        if not self.writes_words:
            return self.spike
        return data.StructLayout({
            **{name: self.spike.members[name] for name in ("number", "c", "y", "x")}, "fired": unsigned(self.lanes),
            "levels": data.ArrayLayout(self.level_shape, self.lanes),
        })

    # Memory images.

    @cached_property
    def weight_bases(self) -> tuple[int, ...]:
        """First weight row of each connection; the rows are stacked in the connections' order. The last is the total."""
        bases = [0]
        for connection in self.run.connections:
            bases.append(bases[-1] + self._rows(connection))
        return tuple(bases)

    def touched_groups(self, connection: Connection, c: int) -> range:
        """Groups of the run that hold a channel which source channel `c` of a convolution feeds."""
        feeds = self.run.shape[0] // connection.groups
        first = c // (connection.pooled_shape[0] // connection.groups) * feeds
        lo, hi = self.run.groups
        end = min(first + feeds, self.run.channels[1])
        return range(max(lo, first // self.lanes), min(hi, (end - 1) // self.lanes + 1) if end > first else lo)

    @property
    def is_cut(self) -> bool:
        """Whether the tile ends within its last group although the layer goes on."""
        return self.run.channels[1] < min(self.run.groups[1] * self.lanes, self.run.shape[0])

    def row_span(self, connection: Connection) -> int:
        """Weight rows kept for each source neuron or tap: the most groups that one source channel touches."""
        if connection.operator != "conv2d":
            return self.group_span
        return max(1, *(len(self.touched_groups(connection, c)) for c in range(connection.pooled_shape[0])))

    def _rows(self, connection: Connection) -> int:
        taps = 1 if connection.operator == "identity" else connection.pooled_shape[0] * connection.taps
        return taps * self.row_span(connection)

    def weight_image(self) -> list[Word]:
        """Rows of the weight memory: conv ((c * K_y + ky) * K_x + kx) * span + n-th touched group; linear by source neuron."""
        rows: list[Word] = []
        for connection in self.run.connections:
            fill = {"conv2d": self._conv_rows, "linear": self._linear_rows, "identity": self._identity_rows}
            rows += fill[connection.operator](connection)
        return rows

    def _lane_channels(self, g: int) -> range:
        return range(g * self.lanes, min((g + 1) * self.lanes, self.run.channels[1]))

    def _conv_rows(self, connection: Connection) -> list[Word]:
        weights = np.asarray(connection.weights, np.int64)
        inputs, span = connection.pooled_shape[0], self.row_span(connection)
        image = np.zeros((inputs, *weights.shape[2:], span, self.lanes), np.int64)
        feeds, fed_by = self.run.shape[0] // connection.groups, inputs // connection.groups
        for c in range(inputs):
            part = c // fed_by
            for n, g in enumerate(self.touched_groups(connection, c)):
                for channel in self._lane_channels(g):
                    if channel // feeds == part:
                        image[c, :, :, n, channel - g * self.lanes] = weights[channel, c - part * fed_by]
        return image.reshape(-1, self.lanes).tolist()

    def _linear_rows(self, connection: Connection) -> list[Word]:
        weights = np.asarray(connection.weights, np.int64)
        image = np.zeros((weights.shape[1], self.group_span, self.lanes), np.int64)
        for n, g in enumerate(range(*self.run.groups)):
            channels = self._lane_channels(g)
            image[:, n, : len(channels)] = weights[channels.start:channels.stop].T
        return image.reshape(-1, self.lanes).tolist()

    def _identity_rows(self, connection: Connection) -> list[Word]:
        weights = np.asarray(connection.weights, np.int64)
        image = np.zeros((self.group_span, self.lanes), np.int64)
        for n, g in enumerate(range(*self.run.groups)):
            for channel in self._lane_channels(g):
                source = channel - connection.channel_offset
                if 0 <= source < len(weights):
                    image[n, channel - g * self.lanes] = weights[source]
        return image.tolist()

    def bias_image(self) -> list[Word]:
        """Words of the bias memory: `initial` if it is fetched, then the addend if there is one."""
        table = self.run.table
        image = self.initial_image() if self.fetches_initial else []
        return image + (self.state_words(table.addend) if table.addend is not None else [])

    def initial_image(self) -> list[Word]:
        """Words of `initial`; in gather order bank by bank, one for each accumulator, each with a word for each visit (R19)."""
        words = self.state_words(self.run.table.initial)
        if not self.gathers:
            return words
        positions = [words[first:first + self.group_span] for first in range(0, self.words, self.group_span)]
        none = [0] * self.lanes
        return [position[g] if g < self.group_span else none
                for bank in range(self.accumulators) for position in positions
                for g in range(bank, bank + self.chunks * self.accumulators, self.accumulators)]

    @property
    def addend_base(self) -> int:
        """First word of the addend in the bias memory."""
        return (self.visits * self.accumulators if self.gathers else self.words) if self.fetches_initial else 0

    def state_words(self, state: IntArray) -> list[Word]:
        """(C, H, W) as the run's memory words; lanes that hold no neuron are zero."""
        lo, hi = self.run.groups
        channels, height, width = self.run.shape
        padded = np.zeros((hi * self.lanes, height, width), np.int64)
        padded[: min(channels, hi * self.lanes)] = state[: hi * self.lanes]
        part = padded[lo * self.lanes:].reshape(hi - lo, self.lanes, height, width)
        return part.transpose(2, 3, 0, 1).reshape(-1, self.lanes).tolist()

    def state_of(self, words: list[Word], before: IntArray) -> IntArray:
        """The inverse: `before` (C, H, W) with the run's groups replaced by memory words."""
        lo, hi = self.run.groups
        channels, height, width = self.run.shape
        part = np.array(words, np.int64).reshape(height, width, hi - lo, self.lanes).transpose(2, 3, 0, 1)
        top = min(channels, hi * self.lanes)
        after = before.copy()
        after[lo * self.lanes:top] = part.reshape(-1, height, width)[: top - lo * self.lanes]
        return after
