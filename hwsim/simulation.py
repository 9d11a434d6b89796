"""The whole chain on one page: Trace and Architecture -> Mapping -> Schedule -> Program -> Engine -> Result.

Nothing else in hwsim knows all of it. Samples are independent: each starts with cycle 0 of an idle machine whose setup
is done, so their order and number never change a sample's cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS
from hwsim.arch import Architecture, load_architecture
from hwsim.energy import price_list
from hwsim.errors import HwsimError
from hwsim.program import CoreReplay, CoreRun, Engine, Operation, Program, Sample, SampleRecord
from hwsim.provision import memories_used
from hwsim.result import Facts, Result
from hwsim.schedules import map_network, schedule_by_name
from hwsim.snn.network import INPUT, Connection, Network
from hwsim.snn.trace import Trace

RunSample = Callable[[Sample, str], SampleRecord]

ENGINES = ("fast", "reference")
SPIKES = ("trace", "computed")


class SimulationError(HwsimError):
    """An argument of `simulate` that cannot be; the text says what was found and what is allowed."""


def simulate(
    trace: Trace | str | Path,
    arch: Architecture | str | Path,
    *,
    schedule: str = "layer_by_layer",
    engine: str = "fast",
    spikes: str = "trace",
    samples: int | Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
    leak_unused: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Replay a trace on an architecture.

    trace      a Trace or the path of one.            arch   an Architecture, a YAML file or a shipped design's name.
    schedule   layer_by_layer or step_by_step (a systolic array knows only layer by layer, and its `engine` is closed_form).
    engine     fast (Numba) or reference (SimPy): the same numbers to the cycle.
    spikes     trace: each layer is fed the recorded spikes; computed: layer feeds layer, the loop is closed.
    samples    how many (the first n), which (a list of indices), or None for all.
    overrides  prices by event name, see hwsim.energy.
    leak_unused   memories of the design that the network does not use leak and take area; else they are off.
    progress   called with (samples done, samples in all).

    Returns a Result. Raises TraceError, ArchitectureError, MappingError, ProgramError or SimulationError, each with
    one clear text.
    """
    _one_of("engine", engine, ENGINES)
    _one_of("spikes", spikes, SPIKES)
    schedule_by_name(schedule)
    design = load_architecture(arch)
    opened = trace if isinstance(trace, Trace) else Trace.open(trace)
    try:
        chosen = _choose(samples, opened.samples)
        if spikes == "computed" and not opened.has_weights:
            raise SimulationError(f"{opened.name}: the trace has no weights, so spikes cannot be computed; "
                                  "use spikes='trace'")
        program, run = _machine(opened, design, schedule, engine)
        used = list(memories_used(opened.network, design))
        # A wrong price, or a memory that no table describes, must not cost a simulation.
        price_list(design, overrides, None if leak_unused else used)
        book = _Book(opened, program, len(chosen))
        for done, index in enumerate(chosen):
            sample = opened.sample(index)
            book.add(done, index, sample, run(sample, spikes))
            if progress:
                progress(done + 1, len(chosen))
        engine = "closed_form" if design.core.kind == "systolic" else engine
        return replace(book.result(design, engine, spikes, chosen, used), overrides=overrides or {}, leak_unused=leak_unused)
    finally:
        if opened is not trace:
            opened.close()


def _one_of(what: str, found: str, allowed: Iterable[str]) -> None:
    if found not in allowed:
        raise SimulationError(f"unknown {what} {found!r}, allowed are {', '.join(allowed)}")


def _choose(samples: int | Sequence[int] | None, there: int) -> list[int]:
    if samples is None:
        return list(range(there))
    if isinstance(samples, (bool, float, str)):
        raise SimulationError(f"samples is {samples!r}, expected a number from 1 to {there}, a list of indices, or None")
    if isinstance(samples, (int, np.integer)):
        if not 1 <= samples <= there:
            raise SimulationError(f"samples is {samples}, the trace holds {there}; choose 1 to {there}")
        return list(range(int(samples)))
    chosen = [int(i) for i in samples]
    wrong = [i for i in chosen if not 0 <= i < there]
    if wrong or not chosen or len(set(chosen)) != len(chosen):
        raise SimulationError(f"samples is {chosen}, expected different indices from 0 to {there - 1}")
    return chosen


def _machine(trace: Trace, arch: Architecture, schedule: str, engine: str) -> tuple[Program, RunSample]:
    """The Program of one sample and what runs it: an engine, or a systolic array's closed forms."""
    if arch.core.kind == "systolic":
        from hwsim.baseline.systolic import systolic_replay

        if schedule != "layer_by_layer":
            raise SimulationError(f"{arch.name} is a systolic array and has no timesteps: use layer_by_layer, not {schedule}")
        replay = systolic_replay(trace.network, arch)
        return replay.program, replay.record
    program = schedule_by_name(schedule)(map_network(trace.network, arch, schedule))
    chosen = _engine(engine)
    return program, lambda sample, spikes: chosen.run_sample(program, sample, spikes)


def _engine(name: str) -> Engine:
    """Engines load their libraries on first use: importing hwsim stays quick."""
    if name == "fast":
        from hwsim.engine.fast import FastEngine

        return FastEngine()
    from hwsim.engine.reference import ReferenceEngine

    return ReferenceEngine()


class _Book:
    """Adds up what the engine reports, sample by sample, in memory that does not grow with the number of timesteps."""

    def __init__(self, trace: Trace, program: Program, samples: int) -> None:
        self.trace, self.program = trace, program
        self.operations = program.operations
        layers = len(program.network.layers)
        self.layer_of = np.array([op.layer for op in self.operations])
        self.in_sample = np.array([not op.setup for op in self.operations])
        self.cycles = np.zeros(samples, np.int64)
        self.layer_counts = np.zeros((samples, layers + 1, len(EVENTS)), np.int64)
        self.operation_counts: NDArray[np.int64] | None = None
        self.spans = np.zeros((samples, len(self.operations), 2), np.int64)
        self.mismatches = np.zeros(layers, np.int64)
        self.known = np.zeros(layers, bool)
        self.saturations = 0
        self.right = self.judged = 0

    def add(self, at: int, index: int, sample: Sample, record: SampleRecord) -> None:
        self.cycles[at] = record.end.max(initial=0)
        counts = record.counts.sum(axis=1)
        np.add.at(self.layer_counts[at], self.layer_of[self.in_sample], counts[self.in_sample])
        if self.operation_counts is None:
            self.operation_counts = record.counts.copy()
        else:
            self.operation_counts[self.in_sample] += record.counts[self.in_sample]  # setup is done once
        self.spans[at] = np.stack([record.start, record.end], axis=1)
        self.saturations += int(record.saturations.sum())
        self.known |= record.mismatches >= 0
        self.mismatches += np.maximum(record.mismatches, 0)
        self._check_readouts(index, record)

    def _check_readouts(self, index: int, record: SampleRecord) -> None:
        """Final potentials against the recorded ones, and the class that they choose against the label."""
        network = self.program.network
        recorded = self.trace.final_potentials(index)
        for i, layer in enumerate(network):
            if layer.coding == "readout" and self.trace.has_weights and layer.name in recorded:
                self.known[i] = True
                self.mismatches[i] += int((record.potentials[layer.name] != recorded[layer.name]).sum())
        last = network.layers[-1]
        if self.trace.labels is None or last.coding != "readout":
            return
        answer = record.potentials[last.name] if self.trace.has_weights else recorded.get(last.name)
        if answer is not None:
            self.judged += 1
            self.right += int(np.argmax(answer.reshape(-1)) == self.trace.labels[index])

    def result(self, arch: Architecture, engine: str, spikes: str, chosen: list[int], used: list[str]) -> Result:
        network = self.program.network
        checked = self.trace.has_weights
        facts = Facts(
            trace=self.trace.name, trace_hash=self.trace.content_hash, coding=self.trace.coding,
            timesteps=self.trace.timesteps, arch=arch.name, schedule=self.program.schedule, engine=engine, spikes=spikes,
            samples=len(chosen), sample_indices=chosen, layers=[layer.name for layer in network],
            payload_bits=_operand_bits(network, arch),
            mismatches=int(self.mismatches.sum()) if checked else None,
            mismatches_by_layer={layer.name: int(self.mismatches[i]) for i, layer in enumerate(network) if self.known[i]},
            saturations=self.saturations,
            accuracy=100.0 * self.right / self.judged if self.judged else None,
            accuracy_test_set=self.trace.provenance.get("accuracy_test_set"),
            setup_cycles=sum(self.program.channel.cycles(op.bits) for op in self.operations if op.setup),
            memories_used=used,
        )
        assert self.operation_counts is not None
        return Result(facts, arch, self.cycles, self.layer_counts, self.operation_counts,
                      operations_frame(self.operations), self.spans)


def _operand_bits(network: Network, arch: Architecture) -> dict[str, int]:
    """By layer, how wide the multiplied operand is: what a multiplication costs."""
    bits = network.pooled_bits if arch.core.kind == "systolic" else network.carries_payload
    return {layer.name: max(map(bits, layer.connections), default=0) for layer in network}


def runs_of_tile(
    trace: Trace, arch: Architecture, layer: str, *, schedule: str = "layer_by_layer", tile: int = 0, timestep: int = 0,
) -> tuple[Program, list[Operation]]:
    """The Program, and its runs of one tile of `layer` from the clear on up to the run that begins with `timestep`."""
    names = [one.name for one in trace.network]
    if layer not in names:
        raise SimulationError(f"{trace.name}: no layer {layer!r}; its layers are {', '.join(names)}")
    if arch.core.kind == "systolic":
        raise SimulationError(f"{arch.name} is a systolic array: it has no event core; use core.kind event or "
                              "multiply_accumulate")
    program = schedule_by_name(schedule)(map_network(trace.network, arch, schedule))
    runs = [op for op in program.operations if op.run is not None and op.layer == names.index(layer)]
    tiles = 1 + max(op.tile for op in runs)
    if not 0 <= tile < tiles:
        raise SimulationError(f"layer {layer} has no tile {tile}: {arch.name} cuts it into {tiles}, 0 to {tiles - 1}")
    runs = [op for op in runs if op.tile == tile]
    starts = [op.timesteps[0] for op in runs]
    if timestep not in starts:
        raise SimulationError(f"layer {layer} has no run that begins with timestep {timestep} under {schedule}; runs begin "
                              f"with {', '.join(map(str, starts))}")
    return program, runs[: starts.index(timestep) + 1]


def replay_core(program: Program, runs: Sequence[Operation], sample: Sample, eots: int | None = None) -> CoreReplay:
    """The last of `runs` (one tile's, as `runs_of_tile` gives them) by itself, fed with the recorded spikes of `sample`.

    eots   stop after so many EOTs of the last run; None for all. SimulationError where there are not so many, or where the
    tile's connections have no weights, so that nothing could be computed.
    """
    network, last = program.network, runs[-1]
    run = _run(last)
    if any(connection.weights is None for connection in run.connections):
        raise SimulationError(f"layer {network.layers[last.layer].name}: the trace has no weights, so its core cannot be run")
    if eots is not None and not 1 <= eots <= last.eots:
        raise SimulationError(f"eots is {eots}, the run receives {last.eots}; choose 1 to {last.eots}")
    engine, bits = _engine("fast"), payload_bits(network, run)
    zero = np.zeros(run.shape, np.int64)
    before = after = (zero, zero, zero)
    for operation in runs:
        tokens, gaps, earliest = _tokens(program, operation, sample)
        if operation is last and eots is not None:
            end = int(np.flatnonzero(tokens[:, 0] < 0)[eots - 1]) + 1
            tokens, gaps, earliest = tokens[:end], gaps[:end], earliest[:end]
        payloads = tokens[tokens[:, 5] != 0, 4]
        if payloads.size and (payloads.min() < -(1 << (bits - 1)) or payloads.max() >= 1 << (bits - 1)):
            raise SimulationError(f"layer {network.layers[last.layer].name}: payloads {payloads.min()} to {payloads.max()} do "
                                  f"not fit the {bits} signed bits that the network says they have")
        before = after
        log = engine.run_core(_run(operation), tokens, gaps, earliest, *(state.copy() for state in before))
        after = (log.potentials, log.currents, log.flags)
    return CoreReplay(last, bits, tokens, gaps, earliest, before, log)


def payload_bits(network: Network, run: CoreRun) -> int:
    """Signed bits that hold every payload of a run's events; 0 when no event carries one."""
    signed = {connection: connection.source == INPUT and network.input.signed for connection in run.connections}
    widths = {connection: network.carries_payload(connection) for connection in run.connections}
    return max((bits + (not signed[connection]) for connection, bits in widths.items() if bits), default=0)


def _run(operation: Operation) -> CoreRun:
    assert operation.run is not None
    return operation.run


def _tokens(
    program: Program, operation: Operation, sample: Sample
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """C2 to C4 of a run as lists: tokens (n, 6), gaps (n,), earliest (n,)."""
    from hwsim.engine.reference.tokens import run_stream

    network = program.network

    def planes_of(connection: Connection) -> NDArray[np.integer]:
        return sample.inputs if connection.source == INPUT else sample.recorded[connection.source]

    def is_hybrid(connection: Connection) -> bool:
        return connection.source == INPUT and network.input.encoding == "hybrid"

    stream = run_stream(operation, planes_of, network.carries_payload, is_hybrid)
    return np.array(stream.tokens, np.int64).reshape(-1, 6), np.array(stream.gaps, np.int64), np.array(stream.earliest, np.int64)


def operations_frame(operations: Sequence[Operation]) -> Any:
    """The operations as a frame: op, kind, resource, layer, tile, memory, first_timestep, last_timestep, bits, setup."""
    import pandas as pd

    return pd.DataFrame([
        {"op": op.id, "kind": op.kind, "resource": op.resource, "layer": op.layer, "tile": op.tile,
         "memory": op.memory, "first_timestep": op.timesteps[0], "last_timestep": op.timesteps[1] - 1,
         "bits": op.bits, "setup": op.setup}
        for op in operations
    ])
