"""What a test bench sees of a core in each cycle, as one wide signal, and how a run's cycles become a CoreLog.

Shared by every way of running the RTL (Amaranth's simulator, CXXRTL): they only differ in how they clock it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.program import CoreLog, CoreRun
from hwsim.rtl.activity import EXEC_EVENTS, ISSUE_EVENTS
from hwsim.rtl.core import Core
from hwsim.rtl.parameters import Parameters

# A4: the buffers and the channel make these, not the core.
NOT_THE_CORES = frozenset({
    "buffer_read", "buffer_write", "pool_update", "weight_write", "membrane_read_transfer", "membrane_write_transfer",
    "bias_write", "channel_read_bits", "channel_write_bits"})
COMPARED = tuple(name for name in EVENTS if name not in NOT_THE_CORES)


@dataclass(eq=False)
class Stimulus:
    """What one run of an elaborated core is given: the arguments of `Engine.run_core`, and the receiver's patience.

    ready   cycle by cycle whether `spikes.ready` is high; always, where it is empty or has ended.
    """

    run: CoreRun
    tokens: NDArray[np.int64]
    gaps: NDArray[np.int64]
    earliest: NDArray[np.int64]
    potentials: NDArray[np.int64]
    currents: NDArray[np.int64]
    flags: NDArray[np.int64]
    ready: tuple[bool, ...] = ()

    @property
    def arguments(self) -> tuple[object, ...]:
        """Positional arguments of `run_core`; the states are fresh copies."""
        return (self.run, self.tokens, self.gaps, self.earliest, self.potentials.copy(), self.currents.copy(), self.flags.copy())

    @property
    def eots(self) -> int:
        return int((self.tokens[:, 0] < 0).sum())

    @property
    def not_before(self) -> NDArray[np.int64]:
        return self.earliest


class Bench(wiring.Component):
    """A core and its probe: the fields of `layout`, lowest first."""

    def __init__(self, p: Parameters) -> None:
        self.p, self.core = p, Core(p)
        core = self.core
        self.fields: list[tuple[str, Value]] = [
            ("accepts", core.tokens.ready), ("done", core.done), ("spike", core.spikes.valid),
            *((f"spike_{name}", Value.cast(core.spikes.payload[name])) for name in ("number", "c", "y", "x", "level")),
            ("slot", core.slot.valid), ("kind", Value.cast(core.slot.kind)), ("word", core.slot.word),
            *((name, Value.cast(core.activity[name])) for name in ("fifo_push", *ISSUE_EVENTS, *EXEC_EVENTS)),
            *((f"{stage}_{part}", core.activity[f"{stage}_tag"][part]) for stage in ("issue", "exec")
              for part in ("in_pass", "index")),
        ]
        super().__init__({"probe": Out(sum(len(value) for _, value in self.fields))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = self.core
        m.d.comb += self.probe.eq(Cat(value for _, value in self.fields))
        return m

    @cached_property
    def layout(self) -> dict[str, tuple[int, int]]:
        """Lowest bit and mask of each field of the probe."""
        places, at = {}, 0
        for name, value in self.fields:
            places[name] = (at, (1 << len(value)) - 1)
            at += len(value)
        return places

    def token_bits(self, token: Sequence[int]) -> int:
        """One row of `run_core`'s tokens as the bits of the token port."""
        connection, c, y, x, payload, has_payload = (int(v) for v in token)
        eot = connection < 0
        fields = {"eot": eot, "connection": 0 if eot else connection, "c": c, "y": y, "x": x,
                  "has_payload": has_payload, "payload": payload}
        bits = 0
        for name, field in self.p.token:
            bits |= (fields[name] & ((1 << field.width) - 1)) << field.offset
        return bits


def signal_value(signal: Signal) -> Value:
    return Value.cast(signal)


def read_log(bench: Bench, stimulus: Stimulus, pushes: Sequence[int], cycles: Sequence[int],
             potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64]) -> CoreLog:
    """The CoreLog of a run from its probes, one integer a cycle from cycle 0 to `done`."""
    columns = {name: np.array([probe >> at & mask for probe in cycles], np.int64)
               for name, (at, mask) in bench.layout.items()}
    when = np.arange(len(cycles))
    slot, spike = columns["slot"] > 0, columns["spike"] > 0
    if stimulus.ready:
        spike &= np.array([stimulus.ready[t] if t < len(stimulus.ready) else True for t in when])
    words = np.where(np.isin(columns["kind"], (4, 5)), -1, columns["word"])
    _, height, width = bench.p.run.shape
    neuron = (columns["spike_c"] * height + columns["spike_y"]) * width + columns["spike_x"]
    done = np.flatnonzero(columns["done"])
    assert done.tolist() == [len(cycles) - 1], f"done strobes in cycles {done.tolist()} of {len(cycles)}"
    return CoreLog(
        push=np.array(pushes, np.int64), pop=when[columns["fifo_pop"] > 0],
        issue=np.stack([when, columns["kind"], words], axis=1)[slot],
        spikes=np.stack([when, columns["spike_number"], neuron], axis=1)[spike], done=int(done[0]),
        counts=_counts(bench, stimulus, columns), saturations=int(columns["saturations"].sum()),
        potentials=potentials, currents=currents, flags=flags)


def levels_of(bench: Bench, cycles: Sequence[int]) -> list[int]:
    """The levels that left the serialiser, in order."""
    (valid, _), (at, mask) = bench.layout["spike"], bench.layout["spike_level"]
    return [probe >> at & mask for probe in cycles if probe >> valid & 1]


def _counts(bench: Bench, stimulus: Stimulus, columns: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Strobes by timestep: a plane's row is first_plane + EOTs before it, a pass's its timestep."""
    run = bench.p.run
    steps = np.array([one.timestep for one in bench.p.passes] or [0])
    counts = np.zeros((max(int(steps.max()) + 1, run.first_plane + run.table.planes), len(EVENTS)), np.int64)
    for stage, names in (("issue", ISSUE_EVENTS), ("exec", EXEC_EVENTS)):
        index = columns[f"{stage}_index"]
        row = np.where(columns[f"{stage}_in_pass"] > 0, steps[np.minimum(index, len(steps) - 1)], run.first_plane + index)
        for name in names:
            if name in INDEX:
                busy = columns[name] > 0
                np.add.at(counts[:, INDEX[name]], row[busy], columns[name][busy])
    # A push has no stage: the token's own plane is counted where the tokens come from.
    before = np.cumsum(stimulus.tokens[:, 0] < 0) - (stimulus.tokens[:, 0] < 0)
    np.add.at(counts[:, INDEX["fifo_push"]], run.first_plane + before % run.table.planes, 1)
    assert columns["fifo_push"].sum() == len(stimulus.tokens)
    return counts
