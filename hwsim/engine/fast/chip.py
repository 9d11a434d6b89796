"""The fast engine: a Program run with event times in Numba, every push, issue and spike at its cycle, nothing ticking.

It owns the chip level (C5 states, C6 spikes and their comparison), hands runs to `core` and the order of operations to `order`.
What depends on the Program only is packed at its first sample and kept, so later samples pay for events alone. Cycles
throughout; docs/cycle-model.md is the law and the reference engine the judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from hwsim import kernel_cache  # noqa: F401  decides where kernels are kept, before they are imported
from hwsim.activity import EVENTS, INDEX
from hwsim.checks.chip import check_list
from hwsim.checks.program import check_program
from hwsim.checks.run import check_alone
from hwsim.engine.fast import steps
from hwsim.engine.fast.core import CoreState, PlainCore, feed_plane
from hwsim.engine.fast.counting import cargo_bits_of
from hwsim.engine.fast.dataflow import DataflowCore
from hwsim.engine.fast.feeds import Buffers, FeedPack, Scanner, stretches
from hwsim.engine.fast.gather_pack import FeedPlanes
from hwsim.engine.fast.order import ListPack
from hwsim.engine.fast.packing import Ints, Packer, RunPack, Synapses, Width, aligned_zeros, by_position, narrowest
from hwsim.engine.fast.timing_only import is_simple, lists_simply, time_run
from hwsim.engine.fast.tokens import TokenCore
from hwsim.program import CoreRun, Feed, Listed, Operation, Program, ProgramError, Run, Transfer, Wait
from hwsim.record import CoreLog, ListTimes, Logged, SampleRecord, is_logged
from hwsim.snn.network import INPUT, Layer, Shape
from hwsim.snn.sample import Sample

SPIKES = ("trace", "computed")


class FastEngine:
    """Implements hwsim.record.Engine. One engine serves any number of Programs and samples, one at a time."""

    def __init__(self) -> None:
        self._packed: WeakKeyDictionary[Program, ProgramPack] = WeakKeyDictionary()

    def run_sample(
        self, program: Program, sample: Sample, spikes: str, record: Logged = False, check: bool = True
    ) -> SampleRecord:
        """Every operation of the Program for one sample; ProgramError when it cannot be executed.

        check   False: timing only. Layers send what is recorded, and only those whose counts need potentials are computed (C6).
        """
        if spikes not in SPIKES:
            raise ProgramError(f"unknown spikes {spikes!r}, allowed are {', '.join(SPIKES)}")
        if spikes == "computed" and not program.network.has_weights:
            raise ProgramError("spikes cannot be computed: the network has no weights; use spikes 'trace'")
        if spikes == "computed" and not check:
            raise ProgramError("check=False: nothing is computed, so there are no computed spikes to feed; use spikes 'trace'")
        if program not in self._packed:
            self._packed[program] = ProgramPack(program)
        return _SampleRun(program, self._packed[program], sample, spikes == "computed", record, check).execute()

    def run_core(
        self, run: CoreRun, tokens: NDArray[np.int64], gaps: NDArray[np.int64], earliest: NDArray[np.int64],
        potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64] | None = None,
    ) -> CoreLog:
        """One run by itself, with a full record. The states that come back are those of the whole layer."""
        packer, buffers = Packer(), Buffers()
        pack, state, whole = self._alone(packer, run, potentials, currents, flags)
        tokens, late = np.asarray(tokens, np.int64).reshape(-1, 6), np.stack([gaps, earliest], axis=1).astype(np.int64)
        if not run.core.plain:
            flow = TokenCore(pack, state, buffers, tokens, late, packer)
            flow.execute_tokens()
            return flow.log(*_after(pack, state, whole))
        core = PlainCore(pack, state, buffers, record=True)
        arrivals = np.pad(late, ((0, 0), (0, 1)))  # no token is known to come right behind another
        for begin, end, connection, events in stretches(run, tokens):
            if events is None:
                core.mark(*late[begin].tolist())
                continue
            core.events(packer.synapses(run, connection, _folded(run, connection)), events, arrivals[begin:end])
        return core.log(*_after(pack, state, whole))

    def run_planes(
        self, run: CoreRun, planes: Sequence[NDArray[np.integer]], eots: int,
        potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64] | None = None,
    ) -> CoreLog:
        """One run by itself, fed from the planes (n, H, W, C) of its connections, with a full record."""
        packer, buffers = Packer(), Buffers()
        pack, state, whole = self._alone(packer, run, potentials, currents, flags)
        sources = []
        for position, each in enumerate(planes):
            every = ((0, run.connections[position].source_shape[0]),)
            feed = FeedPack(
                run, Feed(position, tuple(range(len(each))), every), run.sends_payloads(position), False, buffers)
            sources.append(FeedPlanes(feed, packer.synapses(run, position, feed.pool), _plain(each), feed.planes))
        core = execute_run(pack, state, buffers, sources, eots, record=True)
        return core.log(*_after(pack, state, whole))

    def run_list(self, listed: Listed, cycles: Sequence[int]) -> ListTimes:
        """Operations without a sample; a run takes the cycles at its position."""
        check_list(listed)
        return ListPack(listed).list_times(cycles)

    def _alone(
        self, packer: Packer, run: CoreRun, potentials: NDArray[np.int64], currents: NDArray[np.int64],
        flags: NDArray[np.int64] | None,
    ) -> tuple[RunPack, CoreState, tuple[NDArray[np.int64], ...]]:
        """A run outside of a Program: its pack, its lanes' state, and the state of the whole layer."""
        check_alone(run)
        pack = packer.run(run)
        steps = 1 + max((p.timestep for p in run.table.passes), default=0)
        largest_out = max(1, run.table.max_level)
        outputs = np.zeros((steps, pack.layer_positions, run.shape[0]), np.uint8 if largest_out < 256 else np.int64)
        flags = np.zeros(run.shape, np.int64) if flags is None else flags
        mine = _tile(run)
        state = CoreState(
            pack.potential.store(potentials[mine]), pack.current.store(currents[mine]),
            by_position(flags[mine] != 0, np.uint8), outputs)
        return pack, state, (potentials, currents, flags)


def execute_run(
    pack: RunPack, state: CoreState, buffers: Buffers, sources: Sequence[FeedPlanes], eots: int, record: bool,
    counts_pools: bool = True,
) -> PlainCore:
    """C2: a whole run from the planes of its sources; pools are counted in a core's first tile of a layer (A4)."""
    if not pack.run.core.plain:
        flow = DataflowCore(pack, state, buffers, record, eots, counts_pools)
        flow.execute(sources)
        return flow
    if not (state.arithmetic or record) and is_simple(pack) and len(sources) == 1 and lists_simply(sources[0]):
        core = PlainCore(pack, state, buffers, record)
        time_run(core, sources[0], eots)
        return core
    if not record and steps.does(pack, state) and eots <= pack.run.table.planes:
        quick = steps.StepsCore(pack, state, buffers)
        quick.execute(sources, eots, counts_pools)
        return quick
    core = PlainCore(pack, state, buffers, record)
    scanner = Scanner(buffers) if pack.run.core.buffer == "bitmap" else None
    for n in range(eots):
        for source in sources:
            if n < len(source.planes):
                feed_plane(core, source, n, scanner, counts_pools)
        core.mark(scanner.mark_gap() if scanner else 1)
    return core


def _tile(run: CoreRun) -> tuple[slice, slice]:
    """Where a run's tile is in a (C, H, W) state."""
    return slice(*run.channels), slice(*run.row_span)


def _folded(run: CoreRun, connection: int) -> int:
    wire = run.connections[connection]
    return wire.pool if wire.pool_mode == "folded" else 1


def _after(
    pack: RunPack, state: CoreState, before: tuple[NDArray[np.int64], ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The states of the whole layer, with those of the run's tile in place."""
    mine = _tile(pack.run)
    potentials, currents, flags = (np.array(whole, np.int64) for whole in before)
    for whole, part in zip(
        (potentials, currents, flags), (state.potentials, state.currents, state.flags), strict=True,
    ):
        whole[mine] = _by_channel(part, whole[mine].shape)
    return potentials, currents, flags


NO_OUTPUTS = np.zeros((0, 0, 0), np.uint8)
"""Outputs of a layer that sends nothing."""


class ProgramPack:
    """A Program's constants, and the arrays that its samples use in turn.

    order   who waits for whom, and for which links.
    runs    by position of the operation: the run, its feeds and their synapses.
    rows    timesteps that counts are reported for.
    banks   by layer and bank of the current memory: the layer's states. Potentials and flags are those of `states` (R27).
    own     by operation: of these states, what the run works on.      chosen  by feed, which timesteps of its source it reads.
    valued  layers whose counts depend on potentials: a mask pass decides by their sign who adds and compares afterwards.
            (Flags of `fire_once` follow from the spikes.)
    """

    def __init__(self, program: Program) -> None:
        check_program(program)
        packer = Packer()
        self.order = ListPack(program)
        self.first_rows = np.array([op.timesteps[0] for op in program.operations], np.int64)
        self.buffers = Buffers()
        self.runs: dict[int, RunPack] = {}
        self.feeds: dict[int, list[tuple[FeedPack, Synapses]]] = {}
        self.states: dict[int, tuple[Ints, Ints, Ints]] = {}
        self.own: dict[int, tuple[Ints, Ints, Ints]] = {}
        self.chosen: dict[int, list[slice | list[int]]] = {}
        self.banks: dict[tuple[int, int], tuple[Ints, Ints, Ints]] = {}
        self.rows = 1 + max((op.timesteps[0] for op in program.operations), default=0)
        for op in program.runs:
            self.runs[op.id] = packer.run(op.body)
            feeds = [FeedPack.of(program.network, op.body, feed, self.buffers) for feed in op.feeds]
            self.feeds[op.id] = [(feed, packer.synapses(op.body, feed.position, feed.pool)) for feed in feeds]
            self.rows = max(self.rows, self.runs[op.id].rows)
        # A4: what transfers count, whatever the sample, and which of them cross the channel.
        self.counts = np.zeros((len(program.operations), self.rows, len(EVENTS)), np.int64)
        moves = [op for op in program.operations if isinstance(op, Transfer)]
        for move in moves:
            for event, count in move.counted(0).items():
                self.counts[move.id, move.timesteps[0], INDEX[event]] += count
        self.over_channel = {event: np.array([op.id for op in moves if op.kind == kind], np.int64)
                             for event, kind in (("channel_read_bits", "load"), ("channel_write_bits", "store"))}
        self.valued = {op.layer for op in program.runs if any(p.kind in ("mask", "count") for p in op.body.table.passes)}
        for layer in {op.layer for op in program.runs}:
            self.states[layer] = self._reserve([op for op in program.runs if op.layer == layer])
        for op in program.runs:
            self._reserve_bank(op)
            potentials, currents, flags = (self.runs[op.id].own(state) for state in self.banks[op.layer, op.body.bank])
            self.own[op.id] = potentials, currents, flags
            self.chosen[op.id] = [_places(feed.planes) for feed in op.feeds]

    def _reserve(self, runs: list[Run]) -> tuple[Ints, Ints, Ints]:
        """Potentials, currents and flags of a layer, as wide as the widest core that computes a part of it.

        What no table of it uses, currents or flags, is not kept.
        """
        c, h, w = runs[0].body.shape
        tables = [run.body.table for run in runs]
        potential, current = max(r.body.potential_bits for r in runs), max(r.body.current_bits for r in runs)
        return (
            aligned_zeros((h * w, c), Width(potential).dtype),
            aligned_zeros((h * w, c if any(t.direct for t in tables) else 0), Width(current).dtype),
            aligned_zeros((h * w, c if any(t.flagged for t in tables) else 0), np.uint8))

    def _reserve_bank(self, op: Run) -> None:
        """A layer's states with the currents of a bank; bank 0 is that of `states`."""
        if (op.layer, op.body.bank) not in self.banks:
            potentials, currents, flags = self.states[op.layer]
            self.banks[op.layer, op.body.bank] = (
                potentials, currents if op.body.bank == 0 else aligned_zeros(currents.shape, currents.dtype), flags)


class _SampleRun:
    """One sample on its way through a Program."""

    def __init__(
        self, program: Program, pack: ProgramPack, sample: Sample, computed: bool, record: Logged, check: bool
    ) -> None:
        self.program, self.pack, self.network, self.record, self.check = program, pack, program.network, record, check
        layers = program.network.layers
        self.weighted = program.network.has_weights
        # Layers whose sums are made; the others send what was recorded (C6).
        self.computes = {layer.name for i, layer in enumerate(layers) if self.weighted and (check or i in pack.valued)}
        self.recorded = {name: _plain(planes) for name, planes in sample.recorded.items()}
        self.outputs = {layer.name: self._outputs(layer) for layer in layers if layer.sends}
        self.flat = {layer.name: NO_OUTPUTS for layer in layers} | {
            name: planes.reshape(len(planes), -1, planes.shape[-1]) for name, planes in self.outputs.items()}
        fed = self.outputs if computed else self.recorded
        self.sources: Mapping[str, Ints] = {**fed, INPUT: _plain(sample.inputs)}
        self.counts = pack.counts.copy()
        self.saturations = np.zeros(len(layers), np.int64)
        self.logs: dict[int, CoreLog] = {}
        for (i, _), states in pack.banks.items():
            # Without sums only flags are looked at; potentials and currents are, if there is a log.
            for state in states if record or layers[i].name in self.computes else states[2:]:
                state[...] = 0

    def _outputs(self, layer: Layer) -> Ints:
        """Room for what a layer produces; one that is not computed produces what was recorded."""
        recorded = self.recorded.get(layer.name)
        if layer.name not in self.computes:
            if recorded is None and not self.weighted:
                raise ProgramError(f"layer {layer.name!r} has neither weights nor recorded outputs to fire by")
            if recorded is None:
                raise ProgramError(f"check=False: layer {layer.name!r} has no recorded outputs to fire by; leave check=True")
            return recorded
        c, h, w = layer.shape
        top = (1 << max(1, layer.payload_bits)) - 1
        dtype = np.dtype(np.uint8) if recorded is None else recorded.dtype
        if np.iinfo(dtype).max < top:
            dtype = np.dtype(narrowest(-top, top))
        return np.zeros((layer.timesteps, h, w, c), dtype)

    def execute(self) -> SampleRecord:
        """C7: what each operation does, in list order, and then when.

        Spikes and states follow the list: whatever a run reads stands before it (check_program), and tiles that run at the same
        time share no neuron. So no order of times can change what an operation does, and their times follow from its cycles and
        bits.
        """
        order = self.pack.order
        cycles, bits = order.cycles.copy(), order.bits.copy()
        for i, op in enumerate(self.program.operations):
            if isinstance(op, Run):
                cycles[i] = self._execute_run(i, op)
            elif isinstance(op, Transfer):
                if op.cargo is not None:
                    bits[i] = self._cargo_bits(op)
            elif not isinstance(op, Wait):
                raise ProgramError(f"operation {op.id} is a {type(op).__name__}, which belongs to another kind of core")
        times = order.times(cycles, bits)
        for event, over in self.pack.over_channel.items():
            self.counts[over, self.pack.first_rows[over], INDEX[event]] += bits[over]
        if self.program.mesh is not None:
            every = np.arange(len(bits))
            self.counts[every, self.pack.first_rows, INDEX["link_bits"]] = times.link_bits
            self.counts[every, self.pack.first_rows, INDEX["link_hops"]] = times.link_hops
        return SampleRecord(
            start=times.start, end=times.end, counts=self.counts, saturations=self.saturations,
            mismatches=np.array([self._mismatches(layer) for layer in self.network], np.int64), outputs=self.outputs,
            potentials=self._potentials(), logs=self.logs, bits=bits,
        )

    def _cargo_bits(self, op: Transfer) -> int:
        """The bits of planes that travel."""
        assert self.program.mesh is not None
        name = INPUT if op.layer < 0 else self.network.layers[op.layer].name
        return cargo_bits_of(op, self.program.mesh, self.network, self._planes(op, name))

    def _execute_run(self, i: int, op: Run) -> int:
        """C2: for each EOT the planes of the feeds, then the mark. Returns the run's cycles."""
        pack = self.pack.runs[i]
        state = self._take_state(pack, op)
        sources = []
        for (feed, synapses), chosen in zip(self.pack.feeds[i], self.pack.chosen[i], strict=True):
            planes = self._planes(op, feed.source)
            sources.append(FeedPlanes(feed, synapses, planes[chosen], feed.planes, planes))
        logged = is_logged(self.record, op.id)
        core = execute_run(pack, state, self.pack.buffers, sources, op.eots, logged, counts_pools=op.pools)
        self._put_state(pack, op, state)
        self.counts[i, : pack.rows] = core.counts()
        self.saturations[op.layer] += core.clipped
        if logged:
            potentials, currents, flags = (
                _by_channel(part, pack.run.shape) for part in self.pack.banks[op.layer, op.body.bank])
            self.logs[op.id] = core.log(potentials if op.body.uses_potentials else np.zeros_like(potentials), currents, flags)
        return core.done()

    def _planes(self, op: Operation, source: str) -> Ints:
        """(T, H, W, C) of what is read: the input, the recording, or what the source has produced."""
        if source not in self.sources:
            raise ProgramError(f"operation {op.id} is fed by {source!r}, of which the sample holds no spikes")
        return self.sources[source]

    def _take_state(self, pack: RunPack, op: Run) -> CoreState:
        """C5: a tile of some channels works on a copy of them, one of some rows where they are."""
        name, own = self.network.layers[op.layer].name, self.pack.own[op.id]
        potentials, currents, flags = own if pack.all_channels else (state.copy() for state in own)
        return CoreState(potentials, currents, flags, self.flat[name], name in self.computes)

    def _put_state(self, pack: RunPack, op: Run, state: CoreState) -> None:
        if pack.all_channels:
            return
        parts = (state.potentials, state.currents, state.flags)
        for own, part in zip(self.pack.own[op.id], parts, strict=True):
            if own.size:
                own[...] = part

    def _mismatches(self, layer: Layer) -> int:
        """C6: outputs unlike the recorded ones."""
        if not (self.check and self.weighted) or layer.name not in self.outputs or layer.name not in self.recorded:
            return -1
        return int(np.count_nonzero(self.outputs[layer.name] != self.recorded[layer.name]))

    def _potentials(self) -> dict[str, NDArray[np.int64]]:
        """Final potentials; of layers that are not computed nobody knows them, and they stay zero."""
        layers = self.network.layers
        return {layers[i].name: _by_channel(states[0], layers[i].shape) if layers[i].name in self.computes
                else np.broadcast_to(np.int64(0), layers[i].shape) for i, states in self.pack.states.items()}


def _plain(planes: Ints) -> Ints:
    """Contiguous, writable and not boolean: kernels are compiled once a type."""
    planes = np.ascontiguousarray(planes)
    planes = planes.view(np.uint8) if planes.dtype == bool else planes
    return planes if planes.flags.writeable else planes.copy()


def _places(timesteps: Sequence[int]) -> slice | list[int]:
    """Which planes these timesteps are; neighbours are a part of the whole, which costs no copy."""
    first, number = timesteps[0] if timesteps else 0, len(timesteps)
    return slice(first, first + number) if list(timesteps) == list(range(first, first + number)) else list(timesteps)


def _by_channel(part: Ints, shape: Shape) -> NDArray[np.int64]:
    """(positions, C) as (C, H, W); a state that does not exist is all zero."""
    c, h, w = shape
    if not part.size:
        return np.zeros(shape, np.int64)
    return part.astype(np.int64).reshape(h, w, c).transpose(2, 0, 1)
