"""The fast engine: packs a chip and its stimulus into arrays, runs the kernels, and takes their lines apart into a record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import hwsim.kernel_cache  # noqa: F401  (before the kernels: where compiled code is kept)
from hwsim.cores.odin import kernels
from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.fast_log import log_of
from hwsim.cores.odin.fields import NEURONS, OdinFields
from hwsim.cores.odin.record import NOT_YET, Ints, OdinRecord, refuse_no_cycles
from hwsim.cores.odin.stimulus import OdinStimulus

LINES, LINES_WITH_LOG = 16 * kernels.ROOM, 2 * kernels.ROOM_WITH_LOG  # small enough to stay in a cache
# Fields of the record (and of the log) by name: kinds of lines, columns, and the first of them that is a cycle. Where that is the
# first column, data follow it; else all others are cycles.
FIELDS: dict[str, tuple[tuple[int, ...], slice, int]] = {
    "operations": ((kernels.INPUT, kernels.POPPED), slice(1, 4), 1), "inputs": ((kernels.INPUT,), slice(4, 9), 1),
    "push": ((kernels.PUSHED,), slice(1, 3), 0), "lost": ((kernels.LOST,), slice(1, 3), 0),
    "pop": ((kernels.POPPED,), slice(3, 5), 0), "spikes": ((kernels.SPIKE,), slice(1, 3), 0),
    "outputs": ((kernels.OUTPUT,), slice(1, 7), 1), "slots": ((kernels.SLOT,), slice(1, 6), 0),
    "words": ((kernels.WORD,), slice(1, 5), 0),
}


class OdinFastEngine:
    """One event after the other, by closed forms."""

    def run(
        self, core: OdinFields, configuration: OdinConfiguration, stimulus: OdinStimulus, until_cycles: int, log: bool = False
    ) -> OdinRecord:
        """The record of cycles 0 to `until_cycles` - 1, or to rest."""
        refuse_no_cycles(until_cycles)
        settings = _settings(core, configuration, until_cycles, log)
        neurons, added = _neurons(configuration), np.zeros((NEURONS + 2, NEURONS), np.int16)
        synapses, inhibitory = configuration.synapses.copy(), configuration.inhibitory.astype(np.int64)
        for source in range(NEURONS):
            kernels.fill_added(source, synapses, inhibitory, settings[kernels.PROPAGATE], added)
        _fill_leaks(configuration, added)
        state = _started(stimulus)
        ring = np.zeros(core.scheduler.depth, np.int64)
        lines = np.zeros((LINES_WITH_LOG if log else LINES, kernels.COLUMNS), np.int64)
        events, receiver = stimulus.events.copy(), stimulus.receiver.copy()
        parts = Parts(until_cycles)
        ended = False
        while not ended:
            ended = kernels.run(settings, events, receiver, neurons, added, synapses, inhibitory, state, ring, lines)
            parts.take(lines[: state[kernels.FILLED]])
            state[kernels.FILLED] = 0
        return _record(parts, state, events, neurons, synapses, until_cycles, log)


class Parts:
    """Lines of the kernels, taken apart by the field that they belong to. What lies beyond the end of the run is left out."""

    def __init__(self, until: int) -> None:
        self.until = until
        self.rows: dict[str, list[Ints]] = {name: [] for name in FIELDS}

    def take(self, lines: Ints) -> None:
        tags = lines[:, 0].copy()
        for name, (kinds, columns, first_cycle) in FIELDS.items():
            mine = tags == kinds[0]
            for kind in kinds[1:]:
                mine |= tags == kind
            self.rows[name].append(_before(lines[mine, columns], first_cycle, self.until))

    def of(self, name: str) -> Ints:
        return np.concatenate(self.rows[name])


def _settings(core: OdinFields, configuration: OdinConfiguration, until: int, log: bool) -> Ints:
    settings = np.zeros(10, np.int64)
    settings[kernels.DEPTH] = core.scheduler.depth
    settings[kernels.IN_LATCHES], settings[kernels.OUT_LATCHES] = core.input.latches, core.output.latches
    settings[kernels.FEEDBACK] = core.scheduler.feedback
    settings[kernels.FROM_CONTROLLER] = core.output.source == "controller"
    settings[kernels.MONITOR] = configuration.monitor
    settings[kernels.PROPAGATE], settings[kernels.UPDATE] = configuration.propagate_unmapped, configuration.update_unmapped
    settings[kernels.UNTIL], settings[kernels.LOGGED] = until, log
    return settings


def _neurons(configuration: OdinConfiguration) -> np.ndarray:
    neurons = np.zeros((6, NEURONS), np.int32)
    neurons[kernels.POTENTIAL] = configuration.potentials
    neurons[kernels.THRESHOLD] = configuration.thresholds
    neurons[kernels.DISABLED] = configuration.disabled
    return neurons


def _fill_leaks(configuration: OdinConfiguration, added: np.ndarray) -> None:
    for neuron, (leak, enabled) in enumerate(zip(configuration.leaks, configuration.leak_enabled, strict=True)):
        added[kernels.LEAK_ROW, neuron] = kernels.leaked(leak, enabled)


def _started(stimulus: OdinStimulus) -> Ints:
    """Cycle 0: idle, with nothing released before."""
    state = np.zeros(kernels.STATE_SIZE, np.int64)
    state[kernels.DONE] = NOT_YET
    if len(stimulus.events):
        earliest, _, _, up = stimulus.events[0]
        state[kernels.RAISED] = kernels.raised(earliest, 0, up)
    return state


def _record(
    parts: Parts, state: Ints, events: Ints, neurons: np.ndarray, synapses: np.ndarray, until: int, log: bool
) -> OdinRecord:
    if state[kernels.EVENT] < len(events):
        # The request that nobody has taken yet.
        waiting = [events[state[kernels.EVENT], 1], state[kernels.RAISED], NOT_YET, NOT_YET, NOT_YET]
        parts.rows["inputs"].append(_before(np.array([waiting], np.int64), 1, until))
    record = OdinRecord(
        operations=parts.of("operations"), inputs=parts.of("inputs"), push=parts.of("push"), lost=parts.of("lost"),
        pop=parts.of("pop"), spikes=parts.of("spikes"), outputs=parts.of("outputs"),
        counts=state[kernels.MEMBRANE_READ : kernels.WEIGHT_WRITE + 1].copy(),
        potentials=neurons[kernels.POTENTIAL].astype(np.int64), synapses=synapses, done=int(state[kernels.DONE]),
    )
    if not log:
        return record
    return replace(record, log=log_of(record, parts.of("slots"), parts.of("words"), until))


def _before(rows: Ints, first_cycle: int, until: int) -> Ints:
    """Rows whose first cycle lies before the end; later cycles of a row that do not become NOT_YET."""
    cycles = rows[:, first_cycle:] if first_cycle else rows[:, :1]
    if not (cycles >= until).any():
        return rows
    kept = rows[rows[:, first_cycle] < until].copy()
    if first_cycle:
        cycles = kept[:, first_cycle:]
        cycles[cycles >= until] = NOT_YET
    return kept
