"""PilotNet on the 74 cores of `loihi_2.yaml`: work per core, steps and energy of a frame, as the engines count them.

Cycles are those of the design's clock; a frame has 16 timesteps. Nothing here knows a measured number.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.pilotnet import published
from benchmarks.pilotnet.published import FRAME_STEPS, NODES_NM
from benchmarks.pilotnet.recording import NETWORK, check_folder
from hwsim.activity import INDEX
from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.capture import capture_netx
from hwsim.chip.model import chip_model
from hwsim.cores.model import Machine, Streamed
from hwsim.cost.technology.scaling import Point, energy_ratio
from hwsim.program import Run
from hwsim.record import SampleRecord
from hwsim.schedules import schedule_by_name
from hwsim.trace.reader import Trace

DESIGN = Path(__file__).with_name("loihi_2.yaml")
FRAMES = 9
"""Frames in a row of which 128 steps are looked at: one more, since the first and the last fill and empty the pipeline."""
STEPS_SHOWN = 128


def design(memories: dict[str, str] | None = None, network: dict[str, Any] | None = None, **core: Any) -> Architecture:
    """The placed chip; `core`: fields of its cores that differ, as `memories` and fields of the `network` may."""
    data = dump_architecture(load_architecture(DESIGN))
    data["cores"][0]["core"] |= core
    data["cores"][0]["memories"] |= memories or {}
    data["network"] |= network or {}
    return rebuild_architecture(data)


FREE = {"flit_bits": None, "hop_cycles": 0}
"""A network whose links cost nothing."""


def two_pipes(network: dict[str, Any] | None = None) -> Architecture:
    """The chip with cores that update neurons beside the next step's events (R27)."""
    return design({"current": "24 KiB"}, network, pipes="two")


def every_weight() -> Architecture:
    """The chip with cores that add zero weights, too."""
    return design(skip_zero_weights=False, weight_index_bits=0)


def frame_of(folder: str | Path, image: NDArray[np.int64] | None = None) -> Trace:
    """A trace of one frame; without an image only the biases drive the network, as in the measured run."""
    return capture_netx(check_folder(folder) / NETWORK, image)


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame that was computed, closed loop, and what follows when frames follow each other.

    record   of one frame by itself.     stream   of FRAMES.
    """

    chip: Architecture
    machine: Machine
    record: SampleRecord
    stream: Streamed

    @property
    def period_us(self) -> float:
        return self.chip.period_ns / 1e3

    @property
    def mismatches(self) -> int:
        """Spikes unlike the trace's, of all layers."""
        return int(self.record.mismatches.clip(0).sum())

    def count(self, event: str) -> int:
        """Of one frame."""
        return int(self.record.counts[:, :, INDEX[event]].sum())

    @property
    def runs(self) -> list[Run]:
        return list(self.machine.program.runs)

    def operations(self) -> dict[str, float]:
        """Synaptic operations of a step by core, the mean of a frame's steps."""
        found: dict[str, float] = dict.fromkeys(self.machine.program.cores, 0.0)
        for run in self.runs:
            found[run.on] += float(self.record.counts[run.id, :, INDEX["acc_add"]].sum()) / FRAME_STEPS
        return found

    def operations_by_step(self, core: str) -> list[int]:
        """Synaptic operations of a core in each of a frame's steps."""
        mine = sorted((run for run in self.runs if run.on == core), key=lambda run: run.timesteps)
        return [int(self.record.counts[run.id, :, INDEX["acc_add"]].sum()) for run in mine]

    def layer_operations(self, prefix: str) -> int:
        """Synaptic operations of a frame of the layers whose names begin so."""
        names = [layer.name for layer in self.machine.program.network]
        return sum(int(self.record.counts[run.id, :, INDEX["acc_add"]].sum()) for run in self.runs
                   if names[run.layer].startswith(prefix))

    def neurons(self) -> int:
        """Neurons that the cores update in each step, spare ones included."""
        return self.count("cmp") // FRAME_STEPS

    @property
    def first_steps_us(self) -> NDArray[np.float64]:
        """The ticks in which the pipeline fills."""
        return np.diff([0, *self.stream.ticks.tolist()])[: self.deepest] * self.period_us

    @property
    def deepest(self) -> int:
        return len(self.machine.program.network.layers) - 1

    @property
    def steps_us(self) -> NDArray[np.float64]:
        """STEPS_SHOWN steps in which every layer works. They begin with a step in which conv 2 is in a timestep 4 n + 0."""
        first = 3 + 4 * -(-(self.deepest - 3) // 4)  # conv 2 lies 3 layers deep
        return np.diff([0, *self.stream.ticks.tolist()])[first : first + STEPS_SHOWN] * self.period_us

    @property
    def cycle_us(self) -> NDArray[np.float64]:
        """The four steps that come again and again, each the mean of all of its kind."""
        return np.asarray(self.steps_us.reshape(-1, 4).mean(axis=0))

    def busiest_us(self, event: str) -> float:
        """The mean step if it took as long as the busiest core counts `event`, in the ticks in which every layer works."""
        most: dict[int, int] = {}
        depth = {run.layer: run.layer for run in self.runs}  # a path: layer k lies k layers deep
        for run in self.runs:
            tick = run.timesteps[0] + depth[run.layer]
            made = int(self.record.counts[run.id, :, INDEX[event]].sum())
            most[tick] = max(most.get(tick, 0), made)
        ticks = [most[tick] for tick in range(4, FRAME_STEPS)]  # twelve: three times the four
        return float(np.mean(ticks)) * self.period_us

    def pace(self) -> dict[str, int]:
        """By layer, in how many of the four steps one of its cores works longest."""
        names, longest = [layer.name for layer in self.machine.program.network], {}
        for run in self.runs:
            tick = run.timesteps[0] + run.layer
            cycles = int(self.record.end[run.id] - self.record.start[run.id])
            if cycles > longest.get(tick, (0, ""))[0]:
                longest[tick] = cycles, names[run.layer]
        found: dict[str, int] = {}
        for tick in range(8, 12):
            found[longest[tick][1]] = found.get(longest[tick][1], 0) + 1
        return found

    def busiest(self) -> tuple[list[str], float]:
        """The cores that work longest per step, and how long, in microseconds."""
        most = max(self.stream.busy[name] for name in self.machine.program.cores)
        cores = [name for name in self.machine.program.cores if self.stream.busy[name] == most]
        return cores, most * self.period_us / (FRAMES * FRAME_STEPS)

    def free_share(self) -> float:
        """Cycles of a frame by itself if links cost nothing, of what it takes."""
        assert self.machine.free is not None
        return self.machine.free(self.record) / int(self.record.end.max())


def compute(trace: Trace, chip: Architecture) -> Frame:
    """A frame on a chip, every spike computed by it."""
    machine = chip_model(chip).machine(trace.network, chip, schedule_by_name("pipelined"), "fast")
    record = machine.run(trace.sample(0), "computed")
    assert machine.stream is not None
    return Frame(chip, machine, record, machine.stream([record] * FRAMES))


@dataclass(frozen=True)
class Energy:
    """Dynamic energy of a frame by Loihi 1's figures, in mJ."""

    operations: float
    updates: float
    messages: float

    @property
    def total(self) -> float:
        return self.operations + self.updates + self.messages

    def scaled(self, start_nm: float = NODES_NM[0], end_nm: float = NODES_NM[1]) -> float:
        """At another node and the same supply (Stillmaker and Baas 2017)."""
        at = published.EQUAL_SUPPLY_V
        return self.total * energy_ratio("hp", Point(start_nm, at), Point(end_nm, at))


def energy_of(frame: Frame) -> Energy:
    """Counts of the engine times published energies: synaptic operations, updates with and without a spike, hops."""
    spikes = frame.count("spike_out")
    mj = 1e-9
    return Energy(
        frame.count("acc_add") * published.OPERATION_PJ.value * mj,
        ((frame.count("cmp") - spikes) * published.UPDATE_PJ.value + spikes * published.SPIKE_UPDATE_PJ.value) * mj,
        frame.count("link_hops") * published.HOP_PJ.value * mj)
