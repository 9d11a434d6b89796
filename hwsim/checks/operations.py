"""What is wrong with one operation of a Program by itself; `hwsim/checks/program.py` asks for each, and looks at them together.

An operation must be something that the cycle model gives one meaning to: numbers in range, a run like its layer, a pass table
that R9 to R18 define, feeds that read planes that there are. What many operations share (tables, cores, weights) is looked at
once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from hwsim.checks.chip import LARGEST, MOST, bits_misfits, is_whole, order_misfits
from hwsim.checks.dataflow import core_problems, feed_problems, table_problems
from hwsim.checks.passes import count_misfits, pass_misfits
from hwsim.checks.pipes import pipe_misfits
from hwsim.checks.regions import cover_of, region_text, span_text
from hwsim.passes import DECAY_WHOLE, Pass, PassTable
from hwsim.program import CHANNEL, TRANSFER_EVENTS, CoreRun, CoreSpec, Feed, Operation, Program, Run, Transfer
from hwsim.snn.network import Connection, Layer

WIDTHS = (2, 63)
"""Bits that potentials and currents can have: a step onto them must fit 64 bits."""
WIDEST_DECAY = 48
"""Bits of a potential whose product with a decay both engines hold."""
_RESETS = get_args(get_type_hints(PassTable)["reset"])


class OperationCheck:
    """The rules for one operation of `program`. Answers about what operations share are kept."""

    def __init__(self, program: Program) -> None:
        self.program, self.network = program, program.network
        self._known: dict[tuple[Any, ...], tuple[str, ...]] = {}
        self._weights: dict[int, int] = {}
        self._payloads: dict[int, tuple[int, ...]] = {}
        network = self.network
        # By layer, how many timesteps it has: those of its output, or the planes that it reads if there are more.
        self.spans = {-1: max(1, network.input.timesteps)}
        for i, layer in enumerate(network.layers):
            self.spans[i] = max(layer.timesteps, *(network.source_timesteps(c) for c in layer.connections), 1)

    def misfits(self, op: Operation, place: int) -> Iterator[str]:
        """What is wrong with the operation at `place` of the list."""
        where = f"operation {op.id}"
        yield from order_misfits(self.program, op, place)
        if isinstance(op, Run) and op.on == CHANNEL:
            yield f"{where} runs on {op.on!r}, which computes nothing; the program's cores are {', '.join(self.program.cores)}"
        first = 0 if isinstance(op, Run) else -1
        if not is_whole(op.layer, first, len(self.network.layers) - 1):
            yield f"{where} belongs to layer {op.layer} of a network of {len(self.network.layers)}"
            return
        if not is_whole(op.tile, 0):
            yield f"{where} is of tile {op.tile!r}; tiles are counted from 0"
        low, high = op.timesteps
        if not (is_whole(low, 0) and is_whole(high, 1) and low < high <= self.spans[op.layer]):
            yield (f"{where} covers timesteps {span_text(op.timesteps)}; there are {span_text((0, self.spans[op.layer]))} of "
                   f"{self._name(op.layer)}")
        elif isinstance(op, Run):
            yield from (f"{where} {text}" for text in self._run(op))
        if isinstance(op, Transfer):
            yield from self._transfer(op, where)

    def _name(self, layer: int) -> str:
        return "the input" if layer < 0 else f"layer {self.network.layers[layer].name!r}"

    def _keep(self, key: tuple[Any, ...], found: Any) -> tuple[str, ...]:
        """The texts of `found()`, made once for each key."""
        if key not in self._known:
            self._known[key] = tuple(found())
        return self._known[key]

    # -- transfers --------------------------------------------------------------------------------------------------

    def _transfer(self, op: Transfer, where: str) -> Iterator[str]:
        if op.memory not in TRANSFER_EVENTS:
            yield f"{where}: a transfer of memory {op.memory!r}; known are {', '.join(TRANSFER_EVENTS)}"
        yield from bits_misfits(self.program, op)
        if op.cargo is not None or op.kind == "send":
            yield from self._planes_sent(op, where)

    def _planes_sent(self, op: Transfer, where: str) -> Iterator[str]:
        """C8: what travels between cores, or by sample, are planes of a layer that sends any."""
        if op.memory != "spike":
            yield f"{where} moves {op.memory!r}; planes of memory 'spike' travel between cores, and have bits by sample"
        if op.layer >= 0 and not self.network.layers[op.layer].sends:
            yield f"{where} carries planes of {self._name(op.layer)}, which sends nothing"
        elif op.layer >= 0 and op.timesteps[1] > self.network.layers[op.layer].timesteps:
            yield (f"{where} carries planes {span_text(op.timesteps)} of {self._name(op.layer)}, which sends "
                   f"{span_text((0, self.network.layers[op.layer].timesteps))}; a plane that does not exist is not sent")
        elif op.layer < 0 and op.source != CHANNEL:
            yield f"{where} carries planes of the input from {op.source}; they come from the channel"
        if op.cargo is None:
            return
        channels, height, _ = self.network.input.shape if op.layer < 0 else self.network.layers[op.layer].shape
        for what, (low, high), size in (("channels", op.cargo.channels, channels), ("rows", op.cargo.rows, height)):
            if not (is_whole(low, 0) and is_whole(high, 1, size) and low < high):
                yield (f"{where} carries {what} {span_text((low, high))}; {self._name(op.layer)} has {what} "
                       f"{span_text((0, size))}")
        if op.cargo.merged and any(self.network.plane_bits(op.layer, plane) for plane in range(*op.timesteps)):
            yield f"{where} carries merged planes of {self._name(op.layer)}, which sends values; spikes are merged only"

    # -- runs -------------------------------------------------------------------------------------------------------

    def _run(self, op: Run) -> Iterator[str]:
        """What is wrong with a run whose layer and timesteps exist; what needs sound numbers is asked for last."""
        layer, body, table = self.network.layers[op.layer], op.body, op.body.table
        sound = True
        for text in (*self._keep(("core", body.core), lambda: core_misfits(body.core)), *_unlike(layer, body),
                     *self._keep(("table", id(table), op.layer), lambda: table_misfits(table, layer))):
            sound = False
            yield text
        if sound:
            yield from _groups(body)
            yield from _planes(op)
            yield from pipe_misfits(op)
            yield from self._widths(layer, body)
            yield from self._feeds(op)

    def _widths(self, layer: Layer, body: CoreRun) -> Iterator[str]:
        """Widths that a state can have, and every number that is put or added there (R10)."""
        for name in ("potential_bits", "current_bits"):
            if not is_whole(getattr(body, name), *WIDTHS):
                yield f"saturates at {getattr(body, name)!r} {name}, allowed are {WIDTHS[0]} to {WIDTHS[1]}"
                return
        if body.table.current_decay and body.current_bits > WIDEST_DECAY:
            yield f"lets currents of {body.current_bits} bits decay; at most {WIDEST_DECAY}"
        if self.network.has_weights:
            table, bits = body.table, body.potential_bits
            for name, values in (("initial", table.initial), ("addend", table.addend)):
                if values is not None:
                    yield from self._keep(("values", id(values), name, bits), partial(_values, name, values, bits))
            yield from self._steps(layer, body)

    def _steps(self, layer: Layer, body: CoreRun) -> Iterator[str]:
        """Products that do not fit 64 bits on top of what they are added to."""
        table = body.table
        room = LARGEST - (1 << (body.current_bits if table.direct else body.potential_bits) - 1)
        shifts = (table.planes - 1 + body.merged if table.weigh_planes else 0) + table.spike_shift
        for number, (wire, carried) in enumerate(zip(layer.connections, self._carried(layer), strict=True)):
            value = (1 << max(1, carried)) - 1
            if self._largest(wire) * value << shifts > room:
                yield (f"can add {self._largest(wire)} x {value} x 2**{shifts} from connection {number}, which does not fit 64 "
                       "bits; use fewer planes, bits of a value or bits of a weight")

    def _carried(self, layer: Layer) -> tuple[int, ...]:
        """Bits of the payloads of each connection's events."""
        if id(layer) not in self._payloads:
            self._payloads[id(layer)] = tuple(self.network.carries_payload(wire) for wire in layer.connections)
        return self._payloads[id(layer)]

    def _largest(self, wire: Connection) -> int:
        if id(wire) not in self._weights:
            weights = np.asarray(wire.weights)
            self._weights[id(wire)] = max(int(weights.max(initial=0)), -int(weights.min(initial=0)))
        return self._weights[id(wire)]

    def _feeds(self, op: Run) -> Iterator[str]:
        """C2: every connection has one feed, of planes that its source has, from tiles that make up the source."""
        body, wires = op.body, op.body.connections
        named = [feed.connection for feed in op.feeds]
        if wrong := [n for n in named if not is_whole(n, 0, len(wires) - 1)]:
            yield f"is fed by connections {wrong}; the layer has {len(wires)}"
            return
        if sorted(named) != list(range(len(wires))):
            yield (f"has feeds of connections {named}; each of the layer's {len(wires)} has one, without planes where it brings "
                   "nothing")
            return
        carried = self._carried(self.network.layers[op.layer])
        if body.payload_bits != carried and (body.payload_bits or (body.merged and any(carried))):
            yield f"has payload_bits {body.payload_bits}; the events of its connections carry {carried}"
            return
        if body.merged and any(self.network.is_hybrid(wire) for wire in wires):
            yield "reads a hybrid input, whose values and spikes share no merged token; use planes_per_token 'one'"
        if not body.current_fed and any(feed.planes for feed in op.feeds):
            yield "is not current_fed, yet its feeds have planes"
        yield from (f"does not go with merged planes: {text}" for text in (*table_problems(body), *feed_problems(body, op.feeds)))
        for feed in op.feeds:
            yield from self._feed(op, feed, wires[feed.connection])

    def _feed(self, op: Run, feed: Feed, wire: Connection) -> Iterator[str]:
        count = self.network.source_timesteps(wire)
        if wrong := [n for n in feed.planes if not is_whole(n, 0, count - 1)]:
            yield f"reads planes {wrong} of {wire.source!r}, which has {span_text((0, count))}"
        if len(set(feed.planes)) < len(feed.planes):
            yield f"reads planes {list(feed.planes)} of {wire.source!r}, one of them twice"
        if len(feed.planes) > op.body.table.planes:
            yield f"reads {len(feed.planes)} planes of {wire.source!r} in a period of {op.body.table.planes}"
        channels, height, _ = wire.source_shape
        yield from self._keep(("tiles", feed.tiles, feed.rows, wire.source, channels, height),
                              lambda: _tiles(feed, wire.source, channels, height))


def core_misfits(core: CoreSpec) -> Iterator[str]:
    """Numbers that no core has, and settings that do not go together."""
    for name, low, high in (("lanes", 1, MOST), ("fifo_depth", 1, MOST), ("scan_bits", 1, MOST), ("accumulators", 1, MOST),
                            ("adders", 1, MOST), ("potential_bits", *WIDTHS), ("current_bits", *WIDTHS),
                            ("membrane_bank_bits", 0, MOST), ("current_bank_bits", 0, MOST)):
        value = getattr(core, name)
        if not is_whole(value, low, high):
            yield f"needs a core with {name} of {low} {'or more' if high == MOST else f'to {high}'}, found {value!r}"
            return
    yield from (f"needs a core that nobody can build: {text}" for text in core_problems(core))


def table_misfits(table: PassTable, layer: Layer) -> Iterator[str]:
    """What R9 to R18 give no meaning to, and passes that `layer` has no output for."""
    if not is_whole(table.planes, 1):
        yield f"has a pass table of {table.planes!r} planes; a period has at least 1 EOT"
        return
    for name, values in (("initial", table.initial), ("addend", table.addend)):
        shape = getattr(values, "shape", None)
        if (values is not None or name == "initial") and shape != tuple(layer.shape):
            yield f"has a pass table whose {name} is of shape {shape}, the layer's is {tuple(layer.shape)}"
    if table.reset not in _RESETS:
        yield f"has a pass table with reset {table.reset!r}, allowed are {', '.join(_RESETS)}"
    yield from (f"has a pass table {text}" for text in count_misfits(table))
    if table.leak_shift is not None and not is_whole(table.leak_shift, 1, 63):
        yield f"has a pass table with leak_shift {table.leak_shift!r}, allowed are 1 to 63 or none"
    if not is_whole(table.decay, 0, DECAY_WHOLE):
        yield f"has a pass table with decay {table.decay!r}, allowed are 0 to {DECAY_WHOLE}"
    elif table.decay and table.leak_shift is not None:
        yield f"has a pass table with both leak_shift {table.leak_shift} and decay {table.decay}; one of them"
    elif table.decay and layer.potential_bits > WIDEST_DECAY:
        yield f"has a pass table that lets potentials of {layer.potential_bits} bits decay; at most {WIDEST_DECAY}"
    if not is_whole(table.current_decay, 0, DECAY_WHOLE):
        yield f"has a pass table with current_decay {table.current_decay!r}, allowed are 0 to {DECAY_WHOLE}"
    elif table.current_decay and not table.direct:
        yield f"has a pass table with current_decay {table.current_decay} and no current; only direct tables have one (R12)"
    elif table.current_decay and any(p.kind == "fire" and not p.add for p in table.passes):
        yield f"has a pass table with current_decay {table.current_decay} and a fire pass that does not add the current"
    if not is_whole(table.spike_shift, 0, 62):
        yield f"has a pass table with spike_shift {table.spike_shift!r}, allowed are 0 to 62"
    top = (1 << max(1, layer.payload_bits)) - 1
    if any(p.kind == "requant" for p in table.passes) and not is_whole(table.max_level, 0, top):
        yield f"has a pass table with max_level {table.max_level!r}; layer {layer.name!r} sends 0 to {top}"
    for p in table.passes:
        yield from (f"has a {p.kind} pass after EOT {p.after_eot} {text}" for text in _pass(p, table, layer))


def _pass(p: Pass, table: PassTable, layer: Layer) -> Iterator[str]:
    yield from pass_misfits(p, table.flagged)
    if not is_whole(p.after_eot, 1, table.planes):
        yield f"of {table.planes}"
    if p.sends and not layer.sends:
        yield f"that sends; layer {layer.name!r} sends nothing"
    if p.sends and not is_whole(p.threshold, 1):
        yield f"with threshold {p.threshold!r}; it must be 1 or more, within 63 bits"


def _unlike(layer: Layer, body: CoreRun) -> Iterator[str]:
    if tuple(body.shape) != tuple(layer.shape):
        yield f"computes a layer of shape {tuple(body.shape)}; layer {layer.name!r} is of {tuple(layer.shape)}"
    same = len(body.connections) == len(layer.connections)
    if not same or any(one is not other for one, other in zip(body.connections, layer.connections, strict=True)):
        yield f"has {len(body.connections)} connections that are not the {len(layer.connections)} of layer {layer.name!r}"


def _groups(body: CoreRun) -> Iterator[str]:
    (lo, hi), lanes, channels = body.groups, body.core.lanes, body.shape[0]
    if not (is_whole(lo, 0) and is_whole(hi, 1, body.group_count) and lo < hi):
        yield f"computes groups {span_text(body.groups)} of a layer that has {body.group_count}"
    elif body.last_channel is not None and not is_whole(body.last_channel, (hi - 1) * lanes + 1, channels):
        yield (f"ends at channel {body.last_channel}, outside of its last group, channels {(hi - 1) * lanes} to "
               f"{min(hi * lanes, channels) - 1}")
    first, end = body.row_span
    if not (is_whole(first, 0) and is_whole(end, 1, body.shape[1]) and first < end):
        yield f"computes rows {span_text(body.row_span)} of a layer that has {body.shape[1]}"
    elif not is_whole(body.spare_rows, 0) or (body.spare_rows and end != body.shape[1]):
        yield f"has {body.spare_rows!r} spare rows behind rows {span_text(body.row_span)}; they stand behind the layer's last row"


def _planes(op: Run) -> Iterator[str]:
    """Timesteps and EOTs: an operation covers what its table does, in one period."""
    body, table, (low, high) = op.body, op.body.table, op.timesteps
    if not (is_whole(body.first_plane, low) and body.first_plane + table.planes <= high):
        yield (f"has planes {body.first_plane} to {body.first_plane + table.planes - 1}, outside of the timesteps "
               f"{span_text(op.timesteps)} that it covers")
    if wrong := [p.timestep for p in table.passes if not is_whole(p.timestep, low, high - 1)]:
        yield f"makes passes of timesteps {wrong}, outside of the timesteps {span_text(op.timesteps)} that it covers"
    eots = 1 if body.merged else table.planes
    if not is_whole(op.eots, eots, eots):
        yield (f"receives {op.eots!r} EOTs; it has {eots}: " + ("one for merged planes (R21)" if body.merged else "one period "
               "of its table"))


def _values(name: str, values: NDArray[np.int64], bits: int) -> Iterator[str]:
    limit = 1 << (bits - 1)
    if int(values.min()) < -limit or int(values.max()) >= limit:
        yield f"has a pass table whose {name}, {int(values.min())} to {int(values.max())}, does not fit {bits}-bit potentials"


def _tiles(feed: Feed, source: str, channels: int, height: int) -> Iterator[str]:
    tiles, rows = feed.tiles, feed.rows
    if any(not (is_whole(lo, 0) and is_whole(hi, 1, channels) and lo < hi) for lo, hi in tiles):
        yield f"reads tiles {list(tiles)} of {source!r}, whose channels are {span_text((0, channels))}"
    elif rows and len(rows) != len(tiles):
        yield f"reads {len(tiles)} tiles of {source!r} and has rows of {len(rows)}; each has its own, or all have all rows"
    elif any(not (is_whole(a, 0) and is_whole(b, 1, height) and a < b) for a, b in rows):
        yield f"reads tiles of rows {list(rows)} of {source!r}, whose rows are {span_text((0, height))}"
    elif any(cover_of(feed.regions(height), channels, height)):
        what = f"{list(tiles)} of {source!r}; they" if not rows else f"{list(tiles)} of rows {list(rows)} of {source!r}; they"
        yield f"reads tiles {what} must hold each of its {region_text((0, channels, 0, height), -1 if rows else height)} once"

