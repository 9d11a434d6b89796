"""The pieces that every schedule writes: transfers, runs, and who must wait for whom.

A core's weight memory that cannot hold everything is a ring: a tile's weights go behind the previous tile's, and a load into
a region waits for the last run that reads it. So the next tile's load overlaps with this tile's run when both fit. Tiles
of the same channels use the same weights, which are loaded once while they follow each other. What one core makes and another
reads goes over the channel, as a store and a load of a dense bitmap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hwsim.checks.run import check_run
from hwsim.cores.base import CoreDesign
from hwsim.mapping import LayerPlan, Mapping, Tile
from hwsim.passes import PassTable
from hwsim.program import CHANNEL, CoreRun, Feed, Operation, Program, Run, Transfer
from hwsim.snn.network import INPUT, Layer


@dataclass
class _CoreBooks:
    """What is known of one core while the list is written.

    ring, head     regions of the weight memory [lo, hi) with their last reader, and where the next tile's weights go.
    latest         whose weights were loaded last: layer, channels, timesteps and sample.
    last_run       the core's latest run.
    unsent         stores of what it made: their buffers are taken until they have ended.
    """

    ring: list[tuple[int, int, int]] = field(default_factory=list)
    head: int = 0
    latest: tuple[int, tuple[int, int], tuple[int, int], int] | None = None
    last_run: int | None = None
    unsent: list[int] = field(default_factory=list)


class ProgramBuilder:
    """Collects operations in list order and keeps the books of regions, producers and transfers."""

    def __init__(self, mapping: Mapping, schedule: str) -> None:
        self.mapping, self.schedule = mapping, schedule
        self.operations: list[Operation] = []
        self.books = {name: _CoreBooks() for name in mapping.arch.core_names}
        self.written: dict[tuple[str, str], list[int]] = {}
        """By layer (or input) and core: the operations after which its planes lie in that core's buffer."""
        self._later: list[Callable[[], None]] = []
        self.sample = 0
        """Which sample is written; there is more than one only where samples are streamed (hwsim/schedules/on_links.py)."""

    def _design(self, core: str) -> Any:
        return self.mapping.arch.design_of(core)

    def _row_bits(self, core: str, memory: str) -> int:
        design: CoreDesign = self._design(core)
        return design.row_bits[memory]

    def _weight_bits(self, tile: Tile) -> int:
        """What a tile's weights are on the channel: those of real neurons, and what says which rows they are."""
        design = self._design(tile.core)
        return int(tile.weights * design.core.weight_bits + tile.weight_rows * design.weight_index_bits)

    # -- the list ---------------------------------------------------------------------------------------------------

    def load(self, core: str, deps: tuple[int, ...], layer: int, memory: str, **what: Any) -> int:
        """From the channel to a core."""
        return self._add(Transfer(id=len(self.operations), deps=_sorted(deps), layer=layer, source=CHANNEL, targets=(core,),
                                  memory=memory, **what))

    def store(self, core: str, deps: tuple[int, ...], layer: int, memory: str, **what: Any) -> int:
        """From a core to the channel."""
        return self._add(Transfer(id=len(self.operations), deps=_sorted(deps), layer=layer, source=core, targets=(CHANNEL,),
                                  memory=memory, **what))

    def _add(self, operation: Operation) -> int:
        self.operations.append(operation)
        return operation.id

    def later(self, step: Callable[[], None]) -> None:
        """A transfer that goes behind the loads that the next run waits for."""
        self._later.append(step)

    def flush(self) -> None:
        """Write what was put off; called between a run's weight load and the run."""
        steps, self._later = self._later, []
        for step in steps:
            step()

    def reached(self) -> dict[str, int]:
        """The latest run of each core that has one; asked before a stage (a layer, or a layer of a timestep) begins."""
        return {core: books.last_run for core, books in self.books.items() if books.last_run is not None}

    # -- transfers ----------------------------------------------------------------------------------------------------

    def setup(self) -> None:
        """What is loaded once: biases, and the weights of cores on which all of them fit together."""
        at = dict.fromkeys(self.books, 0)
        for i, plan in enumerate(self.mapping.plans):
            for core, words in plan.bias_words.items():
                if words:
                    self.load(core, (), i, "bias", rows=words, bits=words * self._row_bits(core, "bias"), once=True)
            loaded: set[tuple[str, tuple[int, int]]] = set()
            for n, tile in enumerate(plan.tiles):
                if tile.core in self.mapping.resident and (tile.core, tile.channels) not in loaded:
                    loaded.add((tile.core, tile.channels))
                    size = tile.weight_rows * self._row_bits(tile.core, "weight")
                    begin = at[tile.core]
                    at[tile.core] += size
                    self.load(tile.core, (), i, "weight", tile=n, rows=tile.weight_rows, once=True,
                              region=(begin, begin + size), bits=self._weight_bits(tile))

    def load_input(self, timesteps: tuple[int, int], after: dict[str, list[int]] | None = None) -> None:
        """Bring planes [lo, hi) of the input into the buffer of every core that reads it; pixels travel dense.

        `after`, by core: what must have ended before.
        """
        spec = self.mapping.network.input
        c, h, w = spec.shape
        bits = c * h * w * sum(spec.plane_bits(t) for t in range(*timesteps))
        for core in self.mapping.readers(INPUT):
            deps = tuple((after or {}).get(core, ()))
            rows = -(-bits // self._row_bits(core, "spike"))
            self.written[INPUT, core] = [self.load(core, deps, -1, "spike", rows=rows, bits=bits, timesteps=timesteps)]

    def load_weights(self, index: int, number: int, tile: Tile, timesteps: tuple[int, int]) -> tuple[int, ...]:
        """Load a tile's weights unless they are there, for good or from the tile before; the ids that its run must wait for."""
        if tile.core in self.mapping.resident:
            return ()
        books, row = self.books[tile.core], self._row_bits(tile.core, "weight")
        if books.latest == (index, tile.channels, timesteps, self.sample):
            return (books.ring[-1][2],)
        books.latest = (index, tile.channels, timesteps, self.sample)
        size, room = tile.weight_rows * row, self._design(tile.core).capacities["weight"] // row * row
        if books.head + size > room:
            books.head = 0
        lo, hi = books.head, books.head + size
        clash = [r for r in books.ring if r[0] < hi and lo < r[1]]
        books.ring = [r for r in books.ring if r not in clash]
        books.head = hi
        load = self.load(
            tile.core, tuple(r[2] for r in clash), index, "weight", tile=number, rows=tile.weight_rows, region=(lo, hi),
            bits=self._weight_bits(tile), timesteps=timesteps)
        # Until its run is known the region's last reader is the load itself; run() replaces it.
        books.ring.append((lo, hi, load))
        return (load,)

    def hand_over(self, index: int, timesteps: tuple[int, int], reached: dict[str, int]) -> None:
        """Send what a layer has made in [lo, hi) to the cores that read it and did not make it: a store and loads per tile.

        A load waits until its core has come to this stage, past what it had `reached` before, so that the buffer is free
        that it fills. The next run of a core waits for its stores: what it sends stays in its buffer until then.
        """
        plan = self.mapping.plans[index]
        readers = self.mapping.readers(plan.layer.name)
        for number, tile in enumerate(plan.tiles):
            targets = [core for core in readers if core != tile.core]
            if not targets:
                continue
            bits = planes_bits(plan, (tile,), timesteps)
            made = self.written[plan.layer.name, tile.core][self._turn(plan, number)]
            what: dict[str, Any] = {"tile": number, "timesteps": timesteps, "bits": bits}
            store = self.store(tile.core, (made,), index, "spike", rows=-(-bits // self._row_bits(tile.core, "spike")), **what)
            self.books[tile.core].unsent.append(store)
            for core in targets:
                deps = (store, reached[core]) if core in reached else (store,)
                load = self.load(core, deps, index, "spike", rows=-(-bits // self._row_bits(core, "spike")), **what)
                self.written.setdefault((plan.layer.name, core), []).append(load)

    @staticmethod
    def _turn(plan: LayerPlan, number: int) -> int:
        """Which of its core's tiles a tile is."""
        return sum(tile.core == plan.tiles[number].core for tile in plan.tiles[:number])

    def is_read(self, layer: Layer) -> bool:
        return bool(self.mapping.readers(layer.name))

    def store_outputs(self, index: int, timesteps: tuple[int, int]) -> dict[str, int]:
        """Send off what a layer has made in [lo, hi) and no layer reads; the store of each core."""
        plan, stores = self.mapping.plans[index], {}
        for core in plan.tables:
            bits = planes_bits(plan, [tile for tile in plan.tiles if tile.core == core], timesteps)
            stores[core] = self.store(core, tuple(self.written[plan.layer.name, core]), index, "spike", bits=bits,
                                      rows=-(-bits // self._row_bits(core, "spike")), timesteps=timesteps)
        return stores

    def store_potentials(self, index: int, number: int, run: int, timesteps: tuple[int, int]) -> None:
        """Send off the potentials of a read-out's tile; the next run of its core waits, because it may write over them."""
        plan = self.mapping.plans[index]
        tile = plan.tiles[number]
        self.books[tile.core].unsent.append(self.store(
            tile.core, (run,), index, "output", tile=number, timesteps=timesteps,
            bits=plan.neurons(tile) * self._design(tile.core).core.potential_bits))

    def banks_of(self, tile: Tile, memory: str) -> int:
        """Banks that hold a real channel of the tile's rows of membrane or current memory; 0 where none are counted (R25)."""
        spec = self._design(tile.core).core_spec()
        bank = spec.membrane_bank_bits if memory == "membrane" else spec.current_bank_bits
        bits = spec.potential_bits if memory == "membrane" else spec.current_bits
        if not bank:
            return 0
        (low, high), lanes = tile.groups, spec.lanes
        real = (min(lanes, tile.channels[1] - group * lanes) for group in range(low, high))
        return tile.words // (high - low) * sum(-(-lane * bits // bank) for lane in real)

    def move_states(self, kind: str, memory: str, index: int, number: int, t: int, deps: tuple[int, ...]) -> int:
        """One transfer of a tile's potentials or currents: whole rows on chip, real neurons on the channel."""
        plan = self.mapping.plans[index]
        tile = plan.tiles[number]
        design = self._design(tile.core)
        move = self.load if kind == "load" else self.store
        return move(tile.core, deps, index, memory, tile=number, rows=tile.words, banks=self.banks_of(tile, memory),
                    timesteps=(t, t + 1), bits=plan.neurons(tile) * design.row_bits[memory] // design.pe_count)

    # -- runs -----------------------------------------------------------------------------------------------------

    def run(
        self, index: int, number: int, table: PassTable, feeds: tuple[Feed, ...], deps: tuple[int, ...],
        timesteps: tuple[int, int], clear: bool, loads: tuple[int, ...] = (), keep: bool = False,
    ) -> int:
        """Add a run of one tile; it waits for its loads and for all that brings or makes the planes that it reads.

        keep   a later run goes on with the state that this one leaves.
        """
        body = self.body(index, number, table, feeds, timesteps, clear, keep)
        return self.add_run(index, number, feeds, (*deps, *loads), loads, lambda known: Run(
            **known, on=self.mapping.plans[index].tiles[number].core, timesteps=timesteps, body=body, feeds=feeds,
            eots=1 if body.merged else table.planes, pools=self._turn(self.mapping.plans[index], number) == 0))

    def body(
        self, index: int, number: int, table: PassTable, feeds: tuple[Feed, ...], timesteps: tuple[int, int], clear: bool,
        keep: bool,
    ) -> CoreRun:
        """What a run of one tile is, whatever the sample; checked."""
        plan = self.mapping.plans[index]
        tile, layer = plan.tiles[number], plan.layer
        spec = self._design(tile.core).core_spec()
        body = CoreRun(
            core=spec, shape=layer.shape, groups=tile.groups, connections=layer.connections, table=table,
            potential_bits=min(layer.potential_bits, spec.potential_bits), current_bits=spec.current_bits,
            clear=clear, first_plane=timesteps[0], last_channel=tile.channels[1], keep=keep,
            current_fed=any(feed.planes for feed in feeds),
            payload_bits=tuple(self.mapping.network.carries_payload(c) for c in layer.connections),
            rows=None if tile.rows == (0, layer.shape[1]) else tile.rows, spare_rows=tile.spare_rows,
        )
        check_run(body, feeds)
        return body

    def add_run(
        self, index: int, number: int, feeds: tuple[Feed, ...], deps: tuple[int, ...], loads: tuple[int, ...],
        make: Callable[[dict[str, Any]], Operation],
    ) -> int:
        """Add the operation that `make` returns for its id, deps, layer and tile, and enter it in the books."""
        plan = self.mapping.plans[index]
        core, name = plan.tiles[number].core, plan.layer.name
        read = [plan.layer.connections[feed.connection].source for feed in feeds if feed.planes]
        sources = [op for source in read for op in self.written[source, core]]
        run = self._enter(core, index, number, (*deps, *sources), loads, make)
        made = self.written[name, core] if self._turn(plan, number) else []
        self.written[name, core] = [*made, run]
        return run

    def _enter(
        self, core: str, index: int, number: int, deps: tuple[int, ...], loads: tuple[int, ...],
        make: Callable[[dict[str, Any]], Operation],
    ) -> int:
        """Add an operation of a core that waits for `deps` and for what the core has not sent off yet."""
        books = self.books[core]
        waits = _sorted((*deps, *books.unsent))
        run = self._add(make({"id": len(self.operations), "deps": waits, "layer": index, "tile": number}))
        books.ring = [(lo, hi, run if op in loads else op) for lo, hi, op in books.ring]
        books.last_run, books.unsent = run, []
        return run

    def feed(self, plan: LayerPlan, number: int, planes: tuple[int, ...]) -> Feed:
        """Planes of a connection's source, and its tiles in the order in which they were written."""
        connection = plan.layer.connections[number]
        if connection.source == INPUT:
            return Feed(number, planes, ((0, connection.source_shape[0]),))
        tiles = self.mapping.plans[self.mapping.network.index(connection.source)].tiles
        whole = all(tile.rows == (0, connection.source_shape[1]) for tile in tiles)
        return Feed(number, planes, tuple(t.channels for t in tiles), () if whole else tuple(t.rows for t in tiles))

    def every_plane(self, plan: LayerPlan, tile: Tile, number: int) -> tuple[int, ...]:
        """All planes of a connection's source; shifted weights want the least significant bit plane first."""
        planes = tuple(range(self.mapping.network.source_timesteps(plan.layer.connections[number])))
        return planes[::-1] if plan.tables[tile.core].weigh_planes else planes

    def plane(self, plan: LayerPlan, number: int, t: int) -> tuple[int, ...]:
        """The plane of timestep t of a connection's source; a direct input has one, which comes first."""
        direct = self.mapping.network.is_direct(plan.layer.connections[number])
        return (0,) if direct and t == 0 else () if direct else (t,)

    def program(self) -> Program:
        """What was written, put-off transfers included."""
        self.flush()
        arch = self.mapping.arch
        return Program(self.mapping.network, arch.core_names, arch.channel_spec(), self.schedule, tuple(self.operations),
                       arch.mesh_spec())


def _sorted(deps: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(deps)))


def planes_bits(plan: LayerPlan, tiles: Iterable[Tile], timesteps: tuple[int, int]) -> int:
    """Bits of planes [lo, hi) of some tiles as a dense bitmap: neurons x planes x bits of a value."""
    neurons = sum(plan.neurons(tile) for tile in tiles)
    return neurons * (timesteps[1] - timesteps[0]) * max(1, plan.layer.payload_bits)
