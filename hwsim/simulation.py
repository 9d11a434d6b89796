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
from hwsim.arch import Architecture, ArchitectureError, load_architecture
from hwsim.chip.model import chip_model
from hwsim.chip.network import channel_cycles, tree
from hwsim.chip.placement import needs_placing, placed, placement_of
from hwsim.cores.model import Machine
from hwsim.cost.energy import check_prices
from hwsim.cost.overrides import plain_overrides
from hwsim.cost.rate import DEFAULT_RATE_HZ, check_rate
from hwsim.counted import SLOTS, Facts
from hwsim.engine import ENGINES
from hwsim.errors import HwsimError
from hwsim.links import link_name
from hwsim.program import Program, ProgramError, Run, Transfer, Wait
from hwsim.record import SampleRecord
from hwsim.result import Result
from hwsim.schedules import SCHEDULES, Schedule, schedule_by_name
from hwsim.snn.network import Network
from hwsim.snn.sample import Sample
from hwsim.task import Task
from hwsim.trace.reader import Trace

SPIKES = ("trace", "computed")
CHOSEN_DESIGNS = ("output_stationary_merged", "output_stationary", "systolic")
"""Tried first where no design is named: the default of each coding by the search for reference designs (docs/sweeps.md). One is
taken if the trace runs on it with its weights loaded once, and every event has a price there."""
ROOMY_DESIGNS = ("event_core_64", "event_core_64_flags", "mac_core_64")
"""Tried next, for what those do not hold: larger networks, neurons with flags."""


class SimulationError(HwsimError):
    """An argument of `simulate` that cannot be; the text says what was found and what is allowed."""


class AlwaysComputesError(SimulationError):
    """A timing-only replay (check=False) was asked of an engine that always computes."""


def simulate(
    trace: Trace | str | Path,
    arch: Architecture | str | Path | None = None,
    *,
    schedule: str = "layer_by_layer",
    engine: str = "fast",
    spikes: str = "trace",
    samples: int | Sequence[int] | None = None,
    check: bool = True,
    overrides: Mapping[str, Any] | str | Path | None = None,
    leak_unused: bool = False,
    rate_hz: float = DEFAULT_RATE_HZ,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Replay a trace on an architecture.

    trace      a Trace or the path of one.
    arch       an Architecture, a YAML file or a shipped design's name; None takes `default_design(trace)`, and the result says
               which.
    schedule   layer_by_layer, step_by_step (or layer, step), or on a chip with a network of links pipelined (a systolic array
               knows only layer by layer, and its `engine` is closed_form).
    engine     fast (Numba) or reference (SimPy): the same numbers to the cycle.
    spikes     trace: each layer is fed the recorded spikes; computed: layer feeds layer, the loop is closed.
    samples    how many (the first n), which (a list of indices), or None for all.
    check      False: timing only. Layers send what the trace recorded, no sums are made, and nothing is compared: `mismatches`
               and `saturations` are None. Cycles and counts are those of the checked replay wherever that one finds no mismatch.
               Fast engine and spikes='trace' only.
    overrides  prices by event name or the path of a YAML file with them, see hwsim.cost.overrides.
    leak_unused   memories of the design that the network does not use leak and take area; else they are off.
    rate_hz    samples per second that summaries show beside full speed; `Result.at_rate` takes any.
    progress   called with (samples done, samples in all).

    Returns a Result. Raises TraceError, ArchitectureError, MappingError, ProgramError or SimulationError, each with
    one clear text.
    """
    if not isinstance(leak_unused, bool):
        raise SimulationError(f"leak_unused is {leak_unused!r}, expected True or False")
    rate_hz = check_rate(rate_hz)
    prices = plain_overrides(overrides)
    opened = trace if isinstance(trace, Trace) else Trace.open(trace)
    try:
        design = placed_for(default_design(opened) if arch is None else load_architecture(arch), opened)
        task = make_task(opened, design, schedule=schedule, engine=engine, spikes=spikes, samples=samples, check=check)
        machine = _machine(opened, design, schedule_by_name(schedule), engine)
        replay = _replay(machine, task, design)
        used = list(chip_model(design).memories_used(opened.network, design))
        # A wrong price, or a memory that no table describes, must not cost a simulation.
        check_prices(design, prices, None if leak_unused else used)
        book = _Book(opened, machine, task)
        for done, index in enumerate(task.samples):
            sample = opened.sample(index)
            book.add(done, index, sample, replay(sample))
            if progress:
                progress(done + 1, len(task.samples))
        return replace(book.result(design, task, used), overrides=prices, leak_unused=leak_unused, rate_hz=rate_hz)
    finally:
        if opened is not trace:
            opened.close()


def why_not(trace: Trace, design: Architecture, schedule: str = "layer_by_layer") -> str | None:
    """Why a trace does not run on a design under a schedule; None when it does."""
    try:
        chip_model(design).check(trace.network, placed_for(design, trace), schedule_by_name(schedule))
    except (ProgramError, ArchitectureError) as error:
        return str(error)
    return None


def default_design(trace: Trace) -> Architecture:
    """What a trace runs on where no design is named: of CHOSEN_DESIGNS, then of ROOMY_DESIGNS, the first that it runs on.

    Raises SimulationError with each one's reason when none does.
    """
    reasons = []
    for name in (*CHOSEN_DESIGNS, *ROOMY_DESIGNS):
        design = load_architecture(name)
        why = why_not(trace, design)
        if why is None and (name in ROOMY_DESIGNS or _is_at_home(trace, design)):
            return design
        reasons.append(f"- {name}: {why or 'its weights do not stay on chip, or an event has no price'}")
    raise SimulationError(f"{trace.name} runs on none of the designs that are tried where none is named; name one (arch)\n"
                          + "\n".join(reasons))


def _is_at_home(trace: Trace, design: Architecture) -> bool:
    """Whether a trace that runs on a design has its weights loaded once, and a price for all that its first sample does there."""
    if not keeps_weights(trace.network, design):
        return False
    try:
        return bool(simulate(trace, design, samples=1).energy_pj)
    except HwsimError:  # an event without a price
        return False


def keeps_weights(network: Network, design: Architecture) -> bool:
    """Whether a network runs on a design with its weights loaded once. Raises ProgramError where it does not run."""
    program = make_program(network, design)
    return not any(isinstance(op, Transfer) and op.memory == "weight" and not op.setup for op in program.operations)


def placed_for(arch: Architecture, trace: Trace) -> Architecture:
    """The chip with its layers placed: where hwsim finds the places, by the work that the trace's first sample makes."""
    return placed(arch, trace.network, trace.sample(0)) if needs_placing(arch) else arch


def make_task(
    trace: Trace, arch: Architecture, *, schedule: str = "layer_by_layer", engine: str = "fast", spikes: str = "trace",
    samples: int | Sequence[int] | None = None, check: bool = True,
) -> Task:
    """The Task that `simulate` runs for the same arguments. Raises SimulationError or ProgramError for what cannot be."""
    _one_of("engine", engine, ENGINES)
    _one_of("spikes", spikes, SPIKES)
    if not isinstance(schedule, str):
        raise SimulationError(f"unknown schedule {schedule!r}, allowed are {', '.join(SCHEDULES)}")
    schedule = schedule_by_name(schedule).name
    chosen = _choose(samples, trace.samples)
    if spikes == "computed" and not trace.has_weights:
        raise SimulationError(f"{trace.name}: the trace has no weights, so spikes cannot be computed; use spikes='trace'")
    if not isinstance(check, bool):
        raise SimulationError(f"check is {check!r}, expected True or False")
    if not check and spikes == "computed":
        raise SimulationError("check=False with spikes='computed': nothing is computed, so there is nothing to feed; use "
                              "spikes='trace', or check=True")
    if not check and engine == "reference":
        raise SimulationError("check=False with engine='reference': the reference engine is there to judge, it always computes; "
                              "use engine='fast', or check=True")
    return Task(trace_hash=trace.content_hash, samples=tuple(chosen), timing=arch.timing(), schedule=schedule, spikes=spikes,
                engine=chip_model(arch).engine_of(engine), placement=placement_of(placed_for(arch, trace), trace.network),
                check=check)


def _one_of(what: str, found: str, allowed: Iterable[str]) -> None:
    if not isinstance(found, str) or found not in allowed:
        raise SimulationError(f"unknown {what} {found!r}, allowed are {', '.join(allowed)}")


def _choose(samples: int | Sequence[int] | None, there: int) -> list[int]:
    if samples is None:
        return list(range(there))
    listed = isinstance(samples, Iterable) and not isinstance(samples, (str, bytes, Mapping))
    if isinstance(samples, bool) or not (listed or isinstance(samples, (int, np.integer))):
        raise SimulationError(f"samples is {samples!r}, expected a number from 1 to {there}, a list of indices, or None")
    if isinstance(samples, (int, np.integer)):
        if not 1 <= samples <= there:
            raise SimulationError(f"samples is {samples}, the trace holds {there}; choose 1 to {there}")
        return list(range(int(samples)))
    given = list(samples)
    if strange := [i for i in given if isinstance(i, bool) or not isinstance(i, (int, np.integer))]:
        raise SimulationError(f"samples holds {strange[0]!r}, expected whole numbers from 0 to {there - 1}")
    chosen = [int(i) for i in given]
    wrong = [i for i in chosen if not 0 <= i < there]
    if wrong or not chosen or len(set(chosen)) != len(chosen):
        raise SimulationError(f"samples is {chosen}, expected different indices from 0 to {there - 1}")
    return chosen


def make_program(network: Network, arch: Architecture, schedule: str = "layer_by_layer") -> Program:
    """The Program of one sample of a network on a chip. Raises ProgramError with every reason why there is none."""
    return chip_model(arch).machine(network, arch, schedule_by_name(schedule), "fast").program


def _machine(trace: Trace, arch: Architecture, schedule: Schedule, engine: str) -> Machine:
    """The Program of one sample and what runs it."""
    return chip_model(arch).machine(trace.network, arch, schedule, engine)


def _replay(machine: Machine, task: Task, arch: Architecture) -> Callable[[Sample], SampleRecord]:
    """What runs a sample. Raises AlwaysComputesError for timing only on what always computes."""
    if task.check:
        return lambda sample: machine.run(sample, task.spikes)
    if machine.timing is None:
        raise AlwaysComputesError(f"{arch.name}: check=False: its engine, {machine.engine}, always computes; use check=True")
    return machine.timing


class _Book:
    """Adds up what the engine reports, sample by sample, in memory that does not grow with the number of timesteps."""

    def __init__(self, trace: Trace, machine: Machine, task: Task) -> None:
        self.trace, self.program, samples = trace, machine.program, len(task.samples)
        self.free, self.free_cycles = machine.free, 0
        program = self.program
        self.computes = trace.has_weights and task.check
        self.operations = program.operations
        layers = len(program.network.layers)
        self.layer_of = np.array([op.layer for op in self.operations])
        # A wait belongs to no core, and counts nothing.
        self.core_of = np.array([program.cores.index(op.core) if op.core else 0 for op in self.operations])
        self.bits = np.zeros(len(self.operations), np.int64)
        self.in_sample = np.array([not op.setup for op in self.operations])
        self.cycles = np.zeros(samples, np.int64)
        self.layer_counts = np.zeros((samples, len(program.cores), layers + 1, len(EVENTS)), np.int64)
        self.operation_counts: NDArray[np.int64] | None = None
        self.spans = np.zeros((samples, len(self.operations), 2), np.int64)
        self.mismatches = np.zeros(layers, np.int64)
        self.known = np.zeros(layers, bool)
        self.sends = any(layer.sends for layer in program.network)
        self.computed = False
        self.saturations = 0
        self.right = self.judged = 0

    def add(self, at: int, index: int, sample: Sample, record: SampleRecord) -> None:
        self.cycles[at] = record.end.max(initial=0)
        self.free_cycles += self.free(record) if self.free else 0
        counts = record.counts.sum(axis=1)
        kept = self.in_sample
        np.add.at(self.layer_counts[at], (self.core_of[kept], self.layer_of[kept]), counts[kept])
        if self.operation_counts is None:
            self.operation_counts = record.counts.copy()
        else:
            self.operation_counts[self.in_sample] += record.counts[self.in_sample]  # setup is done once
        self.spans[at] = np.stack([record.start, record.end], axis=1)
        if record.bits is not None:
            self.bits += record.bits
        self.saturations += int(record.saturations.sum())
        self.known |= record.mismatches >= 0
        self.mismatches += np.maximum(record.mismatches, 0)
        # Whoever computes also compares what layers send; a network of read-outs alone sends nothing to compare.
        computed = self.computes and (not self.sends or bool((record.mismatches >= 0).any()))
        self.computed |= computed
        self._check_readouts(index, sample, record, computed)

    def _check_readouts(self, index: int, sample: Sample, record: SampleRecord, computed: bool) -> None:
        """Final potentials against the recorded ones, and the class that they, or the last layer's spikes, choose against the
        label.

        Where nothing is computed, nothing is compared, and the class is that of the recorded potentials.
        """
        network = self.program.network
        recorded = self.trace.final_potentials(index)
        for i, layer in enumerate(network):
            if not layer.sends and computed and layer.name in recorded:
                self.known[i] = True
                self.mismatches[i] += int((record.potentials[layer.name] != recorded[layer.name]).sum())
        last = network.layers[-1]
        if self.trace.labels is None:
            return
        answer: NDArray[np.integer] | None
        if last.carries == "spikes" and last.shape[1:] == (1, 1):  # a spiking last layer answers by how often each neuron fired
            sent = record.outputs.get(last.name) if computed else sample.recorded.get(last.name)
            answer = None if sent is None else sent.sum(axis=0, dtype=np.int64).transpose(2, 0, 1)
        elif last.sends:
            return
        else:
            answer = record.potentials[last.name] if computed else recorded.get(last.name)
        if answer is not None:
            self.judged += 1
            self.right += int(np.argmax(answer.reshape(-1)) == self.trace.labels[index])

    def result(self, arch: Architecture, task: Task, used: list[str]) -> Result:
        network = self.program.network
        facts = Facts(
            trace=self.trace.name, trace_hash=self.trace.content_hash, coding=self.trace.coding,
            timesteps=self.trace.timesteps, is_ann=network.is_ann, arch=arch.name,
            schedule=task.schedule, engine=task.engine, spikes=task.spikes,
            samples=len(task.samples), sample_indices=list(task.samples), layers=[layer.name for layer in network],
            payload_bits=_operand_bits(network, arch),
            value_bits={layer.name: max(map(network.value_bits, layer.connections), default=0) for layer in network},
            mismatches=int(self.mismatches.sum()) if self.computed and self.known.any() else None,
            mismatches_by_layer={layer.name: int(self.mismatches[i]) for i, layer in enumerate(network) if self.known[i]},
            saturations=self.saturations if self.computes else None,
            accuracy=100.0 * self.right / self.judged if self.judged else None, judged=self.judged,
            accuracy_test_set=self.trace.provenance.get("accuracy_test_set"),
            setup_cycles=_setup_cycles(self.program),
            memories_used=used, total_cycles_free_links=self.free_cycles if self.free else None,
        )
        assert self.operation_counts is not None
        return Result(task, facts, arch, self.cycles, self.layer_counts, self.operation_counts,
                      operations_frame(self.program, self.bits / len(task.samples)), self.spans)


def _operand_bits(network: Network, arch: Architecture) -> dict[str, int]:
    """By layer, how wide the multiplied operand is: what a multiplication costs."""
    model = chip_model(arch)
    return {layer.name: max((model.operand_bits(network, c) for c in layer.connections), default=0) for layer in network}


def _setup_cycles(program: Program) -> int:
    """Cycles of the channel before the first sample: one setup transfer after the other."""
    moves = [op for op in program.operations if isinstance(op, Transfer) and op.setup and op.bits]
    if not moves:
        return 0
    hops = np.array([tree(program.mesh, op.source, op.targets).hops for op in moves], np.int64)
    return int(channel_cycles(program.mesh, program.channel, hops, np.array([int(op.bits) for op in moves], np.int64)).sum())


def operations_frame(program: Program, bits: NDArray[np.float64]) -> Any:
    """The operations as a frame: op, kind, resource, core, layer, tile, memory, first_timestep, last_timestep, bits, setup; with
    a network links, the names of those that a transfer holds; where all runs are event cores', fire_slots, clear_slots and
    move_slots, the busy slots that no event decides.

    bits   (operations,) of transfers per sample, as samples counted them; used where the Program says none itself.
    """
    import pandas as pd

    held = {op.id: " ".join(map(link_name, tree(program.mesh, op.source, op.targets).links))
            for op in program.operations if isinstance(op, Transfer)}
    found = pd.DataFrame([
        {"op": op.id, "kind": op.kind, "resource": op.resource, "core": op.core, "layer": op.layer, "tile": op.tile,
         "memory": op.memory if isinstance(op, Transfer) else "", "first_timestep": op.timesteps[0],
         "last_timestep": op.timesteps[1] - 1, "bits": _bits_of(op, bits[op.id]), "setup": op.setup,
         "links": held.get(op.id, ""), **_slots_of(op)}
        for op in program.operations
    ])
    events = all(isinstance(op, Run | Transfer | Wait) for op in program.operations)
    return found.drop(columns=([] if program.mesh is not None else ["links"]) + ([] if events else list(SLOTS.values())))


def _slots_of(op: Any) -> dict[str, int]:
    known = op.body.fixed_slots if isinstance(op, Run) else dict.fromkeys(SLOTS, 0)
    return {SLOTS[cause]: slots for cause, slots in known.items()}


def _bits_of(op: Any, counted: float) -> int | float:
    if not isinstance(op, Transfer):
        return 0
    return op.bits if isinstance(op.bits, int) else float(counted)
