"""The fast engine: packs a chip and its stimulus into arrays, runs the kernels, and takes their lines apart into a record."""

from __future__ import annotations

import numpy as np

import hwsim.kernel_cache  # noqa: F401  (before the kernels: where compiled code is kept)
from hwsim.cores.odin import kernels
from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.fast_log import log_of
from hwsim.cores.odin.fields import NEURONS, OdinFields
from hwsim.cores.odin.record import NOT_YET, Ints, OdinRecord, refuse_no_cycles
from hwsim.cores.odin.stimulus import OdinStimulus

FIRST_LINES = 4 * kernels.ROOM


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
        lines = np.zeros((FIRST_LINES, kernels.COLUMNS), np.int64)
        events, receiver = stimulus.events.copy(), stimulus.receiver.copy()
        while not kernels.run(settings, events, receiver, neurons, added, synapses, inhibitory, state, ring, lines):
            lines = np.concatenate([lines, np.zeros_like(lines)])
        return _record(lines[: state[kernels.FILLED]], state, events, neurons, synapses, until_cycles, log)


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
    lines: Ints, state: Ints, events: Ints, neurons: np.ndarray, synapses: np.ndarray, until: int, log: bool
) -> OdinRecord:
    inputs = _lines(lines, kernels.INPUT, 5)
    if state[kernels.EVENT] < len(events):
        # The request that nobody has taken yet.
        waiting = [events[state[kernels.EVENT], 1], state[kernels.RAISED], NOT_YET, NOT_YET, NOT_YET]
        inputs = np.concatenate([inputs, np.array([waiting], np.int64)])
    record = OdinRecord(
        operations=_before(_lines(lines, kernels.OPERATION, 3), 1, until),
        inputs=_before(inputs, 1, until),
        push=_before(_lines(lines, kernels.PUSHED, 2), 0, until),
        lost=_before(_lines(lines, kernels.LOST, 2), 0, until),
        pop=_before(_lines(lines, kernels.POPPED, 2), 0, until),
        spikes=_before(_lines(lines, kernels.SPIKE, 2), 0, until),
        outputs=_before(_lines(lines, kernels.OUTPUT, 6), 1, until),
        counts=state[kernels.MEMBRANE_READ : kernels.WEIGHT_WRITE + 1].copy(),
        potentials=neurons[kernels.POTENTIAL].astype(np.int64),
        synapses=synapses,
        done=int(state[kernels.DONE]),
    )
    if not log:
        return record
    slots, words = _lines(lines, kernels.SLOT, 5), _lines(lines, kernels.WORD, 4)
    return OdinRecord(**(vars(record) | {"log": log_of(record, slots, words, until)}))


def _lines(lines: Ints, tag: int, columns: int) -> Ints:
    return lines[lines[:, 0] == tag, 1 : 1 + columns]


def _before(rows: Ints, first: int, until: int) -> Ints:
    """Rows whose first cycle (column `first`) lies before the end; later cycles of a row that do not become NOT_YET.

    Where cycles begin in column 0, what follows them is data.
    """
    kept = rows[rows[:, first] < until].copy()
    if first:
        cycles = kept[:, first:]
        cycles[cycles >= until] = NOT_YET
    return kept
