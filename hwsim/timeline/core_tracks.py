"""The tracks of one core in a timeline: what it runs, nested, and its units, without a gap from cycle 0 of a sample on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.operations import Operation
from hwsim.program import Run
from hwsim.record import CoreLog
from hwsim.timeline.event_file import EventFile
from hwsim.timeline.phases import phases
from hwsim.timeline.slots import read_slots
from hwsim.timeline.units import unit_times

LAYERS, READER, ISSUE, LANES, WRITER, RUNS = "layers", "spike reader", "issue", "lanes (EXEC)", "spike writer", "runs"
UNITS = (READER, LANES, WRITER)
FILL, SENT = "FIFO, tokens", "spikes sent"


class CoreTracks:
    """A core; `now` is the cycle of the sample up to which its tracks are written.

    logged   whether there are logs of its runs. Without, it has a track of its runs instead of tracks of its units.
    """

    def __init__(self, name: str, file: EventFile, logged: bool) -> None:
        self.name, self.file, self.logged = name, file, logged
        self.now = self.offset = self.sent = 0
        self._layer: tuple[str, int, int] | None = None
        self._inner: list[tuple[int, int, str, str, dict[str, object]]] = []

    def begin(self, offset: int) -> None:
        """A sample begins at cycle `offset` of the timeline."""
        self.now, self.offset, self.sent = 0, offset, 0
        for track in (LAYERS, READER, ISSUE, LANES, WRITER) if self.logged else (LAYERS, RUNS):
            self.file.thread(self.name, track)  # viewers show them in this order
        if self.logged:
            self.file.count(self.name, FILL, offset, 0)
            self.file.count(self.name, SENT, offset, 0)

    def waits(self, until: int, why: str) -> None:
        """The core has nothing to run until then."""
        if until > self.now:
            self._idle(ISSUE if self.logged else RUNS, until, why)
            for unit in UNITS if self.logged else ():
                self._idle(unit, until, "no run")
        self.now = max(self.now, until)

    def _idle(self, track: str, until: int, why: str) -> None:
        self.file.slice(self.file.thread(self.name, track), self.offset + self.now, self.offset + until, why, "idle",
                        {"cause": "wait"})

    def run(
        self, op: Operation, layer: str, span: tuple[int, int], log: CoreLog | None, outputs: NDArray[np.integer] | None
    ) -> None:
        """One run, with what its log says; outputs (T, H, W, C) of its layer, None where it sends nothing."""
        start, end = span[0] + self.offset, span[1] + self.offset
        first, last = op.timesteps[0], op.timesteps[1] - 1
        name = f"{layer}, timestep {first}" if first == last else f"{layer}, timesteps {first} to {last}"
        if self._layer is None or self._layer[0] != layer:
            self.finish()
            self._layer = (layer, start, end)
        self._layer = (layer, self._layer[1], end)
        args: dict[str, object] = {"layer": layer, "tile": op.tile, "timesteps": list(op.timesteps), "operation": op.id}
        self._inner.append((start, end, f"{name}, tile {op.tile}" if op.tile else name, "run", args))
        if log is not None and isinstance(op, Run):
            self._units(op, start, log, outputs)
        elif not self.logged:
            track = self.file.thread(self.name, RUNS)
            self.file.slice(track, start, end, f"{op.label} {layer}", "busy", {"cause": "run", "layer": layer})
        elif outputs is not None:  # before the window, where nothing is drawn but what was sent counts
            self.sent += _sends(op, outputs)
        self.now = span[1]

    def _units(self, op: Run, start: int, log: CoreLog, outputs: NDArray[np.integer] | None) -> None:
        slots = read_slots(op.body, log, outputs)
        units, file, name = unit_times(op.body, log, slots), self.file, self.name
        self._inner += [(start + p.start, start + p.end, p.name, "phase", {}) for p in phases(op.body, slots)]
        for track, found in ((READER, units.reader), (ISSUE, units.issue), (LANES, units.execute), (WRITER, units.writer)):
            file.stretches(file.thread(name, track), start, found)
        file.counter(name, FILL, start, units.fill)
        file.counter(name, SENT, start, units.sent, self.sent)
        self.sent += len(log.spikes)

    def finish(self) -> None:
        """Write the layer that ends here, its runs and what lies in them: the outer slices first."""
        if self._layer is not None:
            track = self.file.thread(self.name, LAYERS)
            layer, start, end = self._layer
            self.file.slice(track, start, end, layer, "layer")
            for inner in self._inner:
                self.file.slice(track, *inner)
        self._layer, self._inner = None, []


def _sends(op: Operation, outputs: NDArray[np.integer]) -> int:
    """Neurons that a run makes fire, from the outputs of its layer."""
    if not isinstance(op, Run):
        return 0
    (first, end), (top, bottom) = op.body.channels, op.body.row_span
    steps = [p.timestep for p in op.body.table.passes if p.sends]
    return int(np.count_nonzero(outputs[steps, top:bottom, :, first:end]))
