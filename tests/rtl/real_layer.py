"""Runs of the shipped traces' layers as stimuli: the tokens and gaps that the chip feeds a core, replayed by a core alone.

The tokens come from the reference engine's rules C2 to C4, the states from the operation before; `Recorded.log` is what the
fast engine recorded of the very run in its sample, so a replay that pushes at other cycles would be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.arch import Architecture, load_architecture
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference.tokens import run_stream
from hwsim.program import Operation, Program, Run
from hwsim.record import CoreLog
from hwsim.rtl.stimulus import Stimulus
from hwsim.simulation import make_program
from hwsim.snn.network import INPUT, Connection
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from tests.rtl.dataflows import SETTINGS

TRACES = Path(__file__).resolve().parents[2] / "traces"


@dataclass(frozen=True, eq=False)
class Recorded:
    """One run of a sample: its layer's name, what the core is given, and what the fast engine recorded of it."""

    layer: str
    stimulus: Stimulus
    log: CoreLog


def in_setting(arch: str, setting: str) -> Architecture:
    """A shipped architecture of one core in another dataflow: one of SETTINGS (dataflows.py), in the words of a file."""
    asked = SETTINGS[setting]
    core: dict[str, Any] = {name: asked[name] for name in ("writer", "passes") if name in asked}
    if asked.get("order") == "gather":
        core["dataflow"] = {"type": "output_stationary", "accumulators": 2}
    if asked.get("planes_per_token") == "all":
        core |= {"token": {"planes": "merged", "adders": asked.get("adders", 1)},
                 "lane": {"multiplier": asked.get("multiplier", "parallel")}}
    return load_architecture(arch).with_core(**core).with_memories(membrane_ports=asked.get("membrane_ports", "1r1w"))


def runs_of(trace: str, arch: str | Architecture, sample: int = 0) -> Iterator[Recorded]:
    """Every run of a sample of traces/`trace`.h5 on an architecture, layer by layer."""
    with Trace.open(TRACES / f"{trace}.h5") as opened:
        program = make_program(opened.network, load_architecture(arch), "layer_by_layer")
        planes = opened.sample(sample)
    logs = FastEngine().run_sample(program, planes, "trace", record=True).logs
    before: dict[int, CoreLog] = {}
    for operation in program.operations:
        if not isinstance(operation, Run):
            continue
        stimulus = replay(program, operation, planes, before.get(operation.layer))
        before[operation.layer] = logs[operation.id]
        yield Recorded(program.network.layers[operation.layer].name, stimulus, logs[operation.id])


def replay(program: Program, operation: Operation, sample: Sample, before: CoreLog | None) -> Stimulus:
    """The run of `operation`, which finds the states that the log `before` left, or none."""
    assert isinstance(operation, Run)

    def planes_of(connection: Connection) -> np.ndarray:
        return sample.inputs if connection.source == INPUT else sample.recorded[connection.source]

    stream = run_stream(operation, planes_of, program.network.carries_payload)
    nothing = np.zeros(operation.body.shape, np.int64)
    return Stimulus(
        run=operation.body, tokens=np.array([tuple(token) for token in stream.tokens], np.int64),
        gaps=np.array(stream.gaps, np.int64), earliest=np.array(stream.earliest, np.int64),
        potentials=before.potentials if before else nothing, currents=before.currents if before else nothing,
        flags=before.flags if before else nothing)


def first_timesteps(stimulus: Stimulus, eots: int) -> Stimulus:
    """The stimulus up to its `eots`-th end of a timestep."""
    end = int(np.flatnonzero(stimulus.tokens[:, 0] < 0)[eots - 1]) + 1
    return replace(stimulus, tokens=stimulus.tokens[:end], gaps=stimulus.gaps[:end], earliest=stimulus.earliest[:end])
