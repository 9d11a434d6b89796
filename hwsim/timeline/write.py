"""A result's timeline as a file that Perfetto opens: the samples are replayed once more, and every unit's cycles written down.

A core is a process with a track for what it runs (layer, run, timestep, events and passes, nested), one for each unit, and
counters of its FIFO and its spikes. The off-chip channel and the links are processes of their own. Units, tracks and limits:
docs/timeline.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwsim.chip.model import chip_model
from hwsim.files import whole_file
from hwsim.links import CHANNEL, titled
from hwsim.program import Operation, Run, Transfer
from hwsim.record import SampleRecord
from hwsim.schedules import schedule_by_name
from hwsim.timeline.core_tracks import CoreTracks
from hwsim.timeline.event_file import EventFile
from hwsim.timeline.slots import TimelineError
from hwsim.timeline.window import MOST_LOGGED_CYCLES, Chosen, choose
from hwsim.trace.reader import Trace

if TYPE_CHECKING:
    from hwsim.cores.model import Machine
    from hwsim.result import Result
    from hwsim.snn.sample import Sample

CHIP, SAMPLES, LINKS, TRANSFERS = "chip", "samples", "links", "transfers"
FREE = "if links cost nothing"


def write_timeline(
    result: Result, trace: Trace | str | Path, path: str | Path, *, samples: tuple[int, int] | None = None,
    cycles: tuple[int, int] | None = None,
) -> Path:
    """Write what happened in every cycle of a result as a file in the Chrome trace event format; one microsecond is one cycle.

    trace     the trace of the result, or its file.
    samples   [A, B) of the replayed samples, by place; left out, all. They are laid end to end.
    cycles    [A, B) from the begin of the first of these samples; left out, all.

    Returns the path; the file is written whole or not at all. Raises TimelineError for another trace, for samples or cycles
    that are not there, and for a window that is too long to draw (it names one that is not); FileError where nothing can be
    written.
    """
    opened = trace if isinstance(trace, Trace) else Trace.open(trace)
    try:
        if opened.content_hash != result.facts.trace_hash:
            raise TimelineError(f"{opened.name}: is not the trace of this result ({result.facts.trace}); give the one that "
                                "was run")
        chosen = choose(result, samples, cycles)
        design, task = result.architecture, result.task
        machine = chip_model(design).machine(opened.network, design, schedule_by_name(task.schedule), task.engine)
        with whole_file(path) as part, part.open("w", encoding="utf-8") as file:
            timeline = _Timeline(result, machine, EventFile(file, (chosen.first, chosen.end)))
            timeline.write(chosen, opened)
    finally:
        if opened is not trace:
            opened.close()
    return Path(path)


class _Timeline:
    """The tracks of a chip, sample by sample."""

    def __init__(self, result: Result, machine: Machine, file: EventFile) -> None:
        self.result, self.machine, self.file = result, machine, file
        self.program, self.operations = machine.program, machine.program.operations
        self.names = [*result.facts.layers, "input"]
        pipes = result.pipes()
        self.cores = {name: CoreTracks(titled(name, pipes), file, machine.logged is not None) for name in pipes}

    def write(self, chosen: Chosen, trace: Trace) -> None:
        facts, file = self.result.facts, self.file
        file.begin({
            "made by": "hwsim", "one microsecond": "one cycle", "clock_hz": self.result.architecture.clock, "trace": facts.trace,
            "architecture": facts.arch, "schedule": facts.schedule, "sim_id": self.result.sim_id,
            "samples": [facts.sample_indices[place] for place in chosen.samples], "cycles": [chosen.first, chosen.end]})
        file.thread(CHIP, SAMPLES)
        for tracks in self.cores.values():
            file.process(tracks.name)
        for place, offset in zip(chosen.samples, chosen.offsets.tolist(), strict=True):
            length = int(self.result.cycles[place])
            if offset + length <= chosen.first or offset >= chosen.end:
                continue
            index = facts.sample_indices[place]
            file.slice(file.thread(CHIP, SAMPLES), offset, offset + length, f"sample {index}", "sample")
            self._sample(place, offset, length, trace.sample(index), (chosen.first - offset, chosen.end - offset))
        file.end()

    def _sample(self, place: int, offset: int, length: int, sample: Sample, window: tuple[int, int]) -> None:
        spans = self.result.spans[place]
        record = self._replayed(place, sample, spans, window)
        by_core: dict[str, list[Run]] = defaultdict(list)
        for op in self.operations:
            if op.resource in self.cores and not op.setup:
                by_core[op.resource].append(op)  # type: ignore[arg-type]
        for core, tracks in self.cores.items():
            tracks.begin(offset)
            for op in by_core[core]:
                start, end = (int(cycle) for cycle in spans[op.id])
                layer = self.names[op.layer]
                tracks.waits(start, self._waited_for(op, spans) if start > tracks.now else "")
                log, outputs = (None, None) if record is None else (record.logs.get(op.id), record.outputs.get(layer))
                tracks.run(op, layer, (start, end), log, outputs)
            tracks.waits(length, "done")
            tracks.finish()
        self._channel(offset, length, spans)
        self._links(offset, length, spans)
        if self.machine.free is not None and record is not None:
            track, end = self.file.thread(CHIP, FREE), offset + self.machine.free(record)
            self.file.slice(track, offset, end, "everything else", "bound")
            self.file.slice(track, end, offset + length, "links, at most", "bound")

    def _replayed(self, place: int, sample: Sample, spans: np.ndarray, window: tuple[int, int]) -> SampleRecord | None:
        """The sample again, with logs of the runs that the window touches; None where runs have no log."""
        if self.machine.logged is None:
            return None
        touched = [op for op in self.operations if isinstance(op, Run)
                   and spans[op.id, 0] < window[1] and spans[op.id, 1] > window[0]]
        logged = sum(int(spans[op.id, 1] - spans[op.id, 0]) for op in touched)
        if logged > MOST_LOGGED_CYCLES:
            longest = max(touched, key=lambda op: int(spans[op.id, 1] - spans[op.id, 0]))
            raise TimelineError(
                f"the runs that the window touches take {logged:,} cycles together, and {MOST_LOGGED_CYCLES:,} can be looked at, "
                f"since each is logged as a whole; the longest is {self.names[longest.layer]}, cycles {spans[longest.id, 0]} to "
                f"{spans[longest.id, 1]} of its sample: take a window beside it, or --schedule step_by_step, whose runs are "
                "short")
        task = self.result.task
        record = self.machine.logged(sample, task.spikes, task.check, {op.id for op in touched})
        if not (np.array_equal(record.start, spans[:, 0]) and np.array_equal(record.end, spans[:, 1])):
            raise TimelineError(f"sample {self.result.facts.sample_indices[place]} takes other cycles than the result says; "
                                "it was made by another version of hwsim: run it again")
        return record

    def _waited_for(self, op: Operation, spans: np.ndarray) -> str:
        """What an operation that starts late has waited for: of its dependencies the one that ended last."""
        before = [self.operations[dep] for dep in op.deps if not self.operations[dep].setup]
        if not before:
            return "waits"
        last = max(before, key=lambda one: (int(spans[one.id, 1]), one.id))
        where = f" on {last.core}" if last.core and last.resource in self.cores else ""
        layer = f" {self.names[last.layer]}" if last.resource or isinstance(last, Transfer) else ""
        return f"waits for {last.label}{layer}{where}"

    def _channel(self, offset: int, length: int, spans: np.ndarray) -> None:
        moves = [op for op in self.operations if op.resource == CHANNEL and not op.setup]
        if moves:
            self._resource(self.file.thread(CHANNEL, TRANSFERS), moves, offset, length, spans)

    def _links(self, offset: int, length: int, spans: np.ndarray) -> None:
        if "links" not in self.result.operations:
            return
        held: dict[str, list[Operation]] = defaultdict(list)
        for op, names in zip(self.operations, self.result.operations["links"], strict=True):
            for name in names.split() if not op.setup else ():
                held[name].append(op)
        for name in sorted(held):
            self._resource(self.file.thread(LINKS, name), held[name], offset, length, spans)

    def _resource(
        self, track: tuple[int, int], moves: Sequence[Operation], offset: int, length: int, spans: np.ndarray
    ) -> None:
        """The transfers of a resource, and the time between them."""
        now = 0
        for op in sorted(moves, key=lambda one: (int(spans[one.id, 0]), one.id)):
            start, end = (int(cycle) for cycle in spans[op.id])
            if start == end:
                continue
            self.file.slice(track, offset + now, offset + start, "waits", "idle", {"cause": "wait"})
            args = {"cause": "busy", "layer": self.names[op.layer], "timesteps": list(op.timesteps)}
            self.file.slice(track, offset + start, offset + end, f"{op.label} {self.names[op.layer]}", "busy", args)
            now = end
        self.file.slice(track, offset + now, offset + length, "waits", "idle", {"cause": "wait"})
