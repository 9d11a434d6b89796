"""Layers of a shipped trace on the hardware: what an engine did inside a whole inference, the RTL does alone.

The tokens are made here from the recording by C2 and C3, not by an engine: 16 lanes, trained weights, real spikes. A run
of an inference is given to the hardware by itself, from the states in which the run before it left the layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from hwsim.arch import load_architecture
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.program import CoreRun, CoreSpec, Feed, Operation, Program
from hwsim.record import CoreLog
from hwsim.rtl.machine import run_together
from hwsim.rtl.stimulus import Stimulus
from hwsim.simulation import make_program
from hwsim.snn.network import INPUT
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from tests.rtl.cases import differences

TRACES = Path(__file__).parents[2] / "traces"
EOT = (-1, 0, 0, 0, 0, 0)


@cache
def inference(trace: str, arch: str, schedule: str, engine: str) -> tuple[Program, Sample, dict[int, CoreLog]]:
    """One sample as an engine runs it, with the log of every run."""
    with Trace.open(TRACES / f"{trace}.h5") as opened:
        program = make_program(opened.network, load_architecture(arch), schedule)
        sample = opened.sample(0)
        chosen = FastEngine() if engine == "fast" else ReferenceEngine()
        return program, sample, chosen.run_sample(program, sample, "trace", record=True).logs


def runs_of(program: Program, layer: str, tile: int) -> list[Operation]:
    at = program.network.index(layer)
    return [op for op in program.operations if op.kind == "run" and op.layer == at and op.tile == tile]


@dataclass
class Tokens:
    """The tokens of a run as they are made, and `rows`, the bitmap rows scanned since the last of them."""

    core: CoreSpec
    tokens: list[tuple[int, ...]] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    rows: int = 0

    def add(self, token: tuple[int, ...]) -> None:
        self.tokens.append(token)
        self.gaps.append(max(1, self.rows))
        self.rows = 0

    def add_plane(self, feed: Feed, values: NDArray[np.integer], payload: int) -> None:
        """The events of one plane (H, W, C), and the scanning of its bitmap (C2, C3)."""
        _, width, channels = values.shape
        at_row = -1
        for y, x, c in order_of(values, feed, self.core):
            if self.core.buffer == "bitmap":
                row = ((y * width + x) * channels + c) // self.core.scan_bits
                self.rows, at_row = self.rows + row - at_row, row
            self.add((feed.connection, c, y, x, int(values[y, x, c]) * payload, payload))
        if self.core.buffer == "bitmap":
            self.rows += -(-values.size // self.core.scan_bits) - 1 - at_row


def stimulus_of(program: Program, sample: Sample, operation: Operation, before: CoreLog | None) -> Stimulus:
    """A run of the Program as a stimulus, from the states that `before` left (None: rubbish that the clear must remove)."""
    run = operation.body
    assert run is not None
    made = Tokens(run.core)
    for n in range(operation.eots):
        for feed in operation.feeds:
            if n < len(feed.planes):
                connection = run.connections[feed.connection]
                source = sample.inputs if connection.source == INPUT else sample.recorded[connection.source]
                made.add_plane(feed, source[feed.planes[n]], int(bool(program.network.carries_payload(connection))))
        made.add(EOT)
    assert before is not None or run.clear
    rubbish = (np.full(run.shape, -7), np.full(run.shape, 5 * run.table.direct), np.zeros(run.shape, np.int64))
    states = rubbish if before is None else (before.potentials, before.currents, before.flags)
    arrays = np.array(made.tokens, np.int64), np.array(made.gaps, np.int64), np.zeros(len(made.gaps), np.int64)
    return Stimulus(run, *arrays, *states)


def order_of(values: NDArray[np.integer], feed: Feed, core: CoreSpec) -> list[tuple[int, int, int]]:
    """(y, x, c) of a plane's events: from an AER list tile by tile, from a bitmap as it lies there."""
    events = [tuple(event) for event in np.argwhere(values).tolist()]
    if core.buffer == "bitmap":
        return events
    return [event for lo, hi in feed.tiles for event in events if lo <= event[2] < hi]


# Trace, architecture, schedule, layer, tile, which of its runs.
QUICK = [
    pytest.param("fashion_mnist_rate_t4", "event_core_16_aer", "step_by_step", "conv5", 1, 1, id="rate-upper-tile-goes-on",
                 marks=pytest.mark.slow),
    pytest.param("fashion_mnist_rate_t4", "event_core_16_aer", "step_by_step", "fc", 0, 3, id="read-out-behind-a-pool"),
]
SLOW = [
    pytest.param("fashion_mnist_rate_t4", "event_core_16_aer", "step_by_step", "conv2", 0, 0, id="rate-convolution"),
    pytest.param("fashion_mnist_rate_t4", "event_core_16_aer", "step_by_step", "conv1", 0, 0, id="direct-input"),
    pytest.param("fashion_mnist_rate_t4", "event_core_16_aer", "step_by_step", "conv4", 1, 3, id="residual-upper-tile"),
    pytest.param("fashion_mnist_bit_serial_t4", "event_core_16", "layer_by_layer", "conv5", 0, 0, id="bit-serial-bitmap"),
    pytest.param("fashion_mnist_ann", "mac_core_64", "layer_by_layer", "conv5", 0, 0, id="quantised-ann"),
]


@pytest.mark.parametrize(("trace", "arch", "schedule", "layer", "tile", "at"), QUICK)
def test_a_real_layer_is_what_both_engines_say(trace: str, arch: str, schedule: str, layer: str, tile: int, at: int) -> None:
    check_layer(trace, arch, schedule, layer, tile, at)


@pytest.mark.slow
@pytest.mark.parametrize(("trace", "arch", "schedule", "layer", "tile", "at"), SLOW)
def test_a_large_real_layer_is_what_both_engines_say(
    trace: str, arch: str, schedule: str, layer: str, tile: int, at: int
) -> None:
    check_layer(trace, arch, schedule, layer, tile, at)


def check_layer(trace: str, arch: str, schedule: str, layer: str, tile: int, at: int) -> None:
    """Run `at` of a layer's tile on the hardware, against its log in both engines' inferences."""
    program, sample, fast = inference(trace, arch, schedule, "fast")
    operations = runs_of(program, layer, tile)
    stimulus = stimulus_of(program, sample, operations[at], fast[operations[at - 1].id] if at else None)
    assert len(stimulus.tokens) > 200
    log = run_together([stimulus])[0]
    for engine in ("fast", "reference"):
        theirs = inference(trace, arch, schedule, engine)[2][operations[at].id]
        found = [text[:400] for text in differences(of_tile(log, stimulus.run), of_tile(theirs, stimulus.run, len(log.counts)))]
        assert not found, (engine, *found)


def of_tile(log: CoreLog, run: CoreRun, rows: int | None = None) -> CoreLog:
    """The states of the run's own channels, and the timesteps up to the run's last: the rest is not the run's."""
    lo, hi = (group * run.core.lanes for group in run.groups)
    assert not log.counts[rows:].any() or rows is None
    return replace(log, potentials=log.potentials[lo:hi], currents=log.currents[lo:hi], flags=log.flags[lo:hi],
                   counts=log.counts[:rows])
