"""The pieces that every schedule writes: transfers, runs, and who must wait for whom.

Weight memory that cannot hold everything is a ring: a tile's weights go behind the previous tile's, and a load into a
region waits for the last run that reads it. So the next tile's load overlaps with this tile's run when both fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hwsim.dataflow import check_dataflow
from hwsim.mapping import LayerPlan, Mapping, Tile
from hwsim.program import CHANNEL, CORE, CoreRun, Feed, Operation, Program
from hwsim.snn.network import INPUT, Connection
from hwsim.snn.neurons import PassTable


@dataclass
class ProgramBuilder:
    """Collects operations in list order and keeps the books of regions and producers."""

    mapping: Mapping
    schedule: str
    operations: list[Operation] = field(default_factory=list)
    written: dict[str, int] = field(default_factory=dict)
    _ring: list[tuple[int, int, int]] = field(default_factory=list)
    _head: int = 0

    # -- transfers ------------------------------------------------------------------------------------------------

    def add(self, kind: Any, resource: str, deps: tuple[int, ...], layer: int, **what: Any) -> int:
        operation = Operation(
            id=len(self.operations), kind=kind, resource=resource, deps=tuple(sorted(set(deps))), layer=layer, **what)
        self.operations.append(operation)
        return operation.id

    def setup(self) -> None:
        """What is loaded once: biases, and the weights if all of them fit together."""
        arch, at = self.mapping.arch, 0
        for i, plan in enumerate(self.mapping.plans):
            if plan.bias_words:
                self.add("load", CHANNEL, (), i, memory="bias", rows=plan.bias_words, setup=True,
                         bits=plan.bias_words * arch.row_bits["bias"])
            for n, tile in enumerate(plan.tiles if self.mapping.weights_resident else ()):
                size = tile.weight_rows * arch.row_bits["weight"]
                self.add("load", CHANNEL, (), i, tile=n, memory="weight", rows=tile.weight_rows, setup=True,
                         region=(at, at + size), bits=tile.weights * arch.core.weight_bits)
                at += size

    def load_input(self, timesteps: tuple[int, int], deps: tuple[int, ...] = ()) -> int:
        """Bring planes [lo, hi) of the input into its spike buffer; pixels travel dense."""
        spec = self.mapping.network.input
        c, h, w = spec.shape
        values = range(*timesteps) if spec.encoding == "direct" else [0] if spec.encoding == "hybrid" else []
        widths = [spec.payload_bits if t in values else 1 for t in range(*timesteps)]
        bits = c * h * w * sum(widths)
        row = self.mapping.arch.row_bits["spike"]
        self.written[INPUT] = self.add(
            "load", CHANNEL, deps, -1, memory="spike", rows=-(-bits // row), bits=bits, timesteps=timesteps)
        return self.written[INPUT]

    def load_weights(self, index: int, number: int, tile: Tile, timesteps: tuple[int, int]) -> tuple[int, ...]:
        """Load a tile's weights unless they are there for good; the ids that its run must wait for."""
        if self.mapping.weights_resident:
            return ()
        arch = self.mapping.arch
        size = tile.weight_rows * arch.row_bits["weight"]
        if self._head + size > arch.memories.weight // arch.row_bits["weight"] * arch.row_bits["weight"]:
            self._head = 0
        lo, hi = self._head, self._head + size
        clash = [r for r in self._ring if r[0] < hi and lo < r[1]]
        self._ring = [r for r in self._ring if r not in clash]
        self._head = hi
        load = self.add("load", CHANNEL, tuple(r[2] for r in clash), index, tile=number, memory="weight",
                        rows=tile.weight_rows, region=(lo, hi), bits=tile.weights * arch.core.weight_bits,
                        timesteps=timesteps)
        # Until its run is known the region's last reader is the load itself; run() replaces it.
        self._ring.append((lo, hi, load))
        return (load,)

    def _readers(self, loads: tuple[int, ...], run: int) -> None:
        self._ring = [(lo, hi, run if op in loads else op) for lo, hi, op in self._ring]

    def store_outputs(self) -> None:
        """Send off what no layer reads: read-out potentials, or the spikes of the last layers."""
        network = self.mapping.network
        read = {c.source for layer in network for c in layer.connections}
        for i, plan in enumerate(self.mapping.plans):
            layer = plan.layer
            if layer.name in read:
                continue
            if layer.coding == "readout":
                bits, rows, memory = layer.neurons * self.mapping.arch.core.potential_bits, 0, "output"
            else:
                bits, memory = layer.neurons * layer.timesteps * max(1, layer.payload_bits), "spike"
                rows = -(-bits // self.mapping.arch.row_bits["spike"])
            self.add("store", CHANNEL, (self.written[layer.name],), i, memory=memory, rows=rows, bits=bits)

    # -- runs -----------------------------------------------------------------------------------------------------

    def run(
        self, index: int, number: int, tile: Tile, table: PassTable, feeds: tuple[Feed, ...], deps: tuple[int, ...],
        timesteps: tuple[int, int], clear: bool, loads: tuple[int, ...] = (), keep: bool = False,
    ) -> int:
        """Add a run of one tile; it waits for its loads and for whoever writes the planes that it reads.

        keep   a later run goes on with the state that this one leaves.
        """
        plan = self.mapping.plans[index]
        core = self.mapping.arch.core_spec()
        sources = tuple(self.written[plan.layer.connections[f.connection].source] for f in feeds if f.planes)
        body = CoreRun(
            core=core, shape=plan.layer.shape, groups=tile.groups, connections=plan.layer.connections, table=table,
            potential_bits=min(plan.layer.potential_bits, core.potential_bits), current_bits=core.current_bits,
            clear=clear, first_plane=timesteps[0], keep=keep, current_fed=any(feed.planes for feed in feeds),
            payload_bits=tuple(self.mapping.network.carries_payload(c) for c in plan.layer.connections),
        )
        check_dataflow(body)
        run = self.add("run", CORE, (*deps, *loads, *sources), index, tile=number, timesteps=timesteps, run=body,
                       feeds=feeds, eots=1 if body.merged else table.planes)
        self._readers(loads, run)
        self.written[plan.layer.name] = run
        return run

    def tiles_of(self, connection: Connection) -> tuple[tuple[int, int], ...]:
        """Channel ranges of the connection's source in the order in which they were written."""
        if connection.source == INPUT:
            return ((0, connection.source_shape[0]),)
        plan: LayerPlan = self.mapping.plans[self.mapping.network.index(connection.source)]
        return tuple(t.channels for t in plan.tiles)

    def program(self) -> Program:
        arch = self.mapping.arch
        return Program(self.mapping.network, arch.core_spec(), arch.channel_spec(), self.schedule, tuple(self.operations))
