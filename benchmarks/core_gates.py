"""The core of one layer in gates, at work: its export, synthesised unit by unit and simulated under its own testbench.

What benchmarks/gate_error.py and benchmarks/core_rows.py share. A core is as wide as it is asked to be, or as the layer is.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cores.event.runs import runs_of_tile
from hwsim.engine import make_engine
from hwsim.engine.single_run import payload_bits, replay_core
from hwsim.record import ISSUE_KINDS, CoreReplay
from hwsim.rtl.export import CoreExport
from hwsim.rtl.gates.core import CoreNetlist, synthesise_core
from hwsim.rtl.gates.liberty import Library
from hwsim.rtl.gates.toggles import Toggles, run_gates
from hwsim.rtl.testbench import Bench
from hwsim.trace.reader import Trace

TOP = "core"
ISSUED = {name: n for n, name in enumerate(ISSUE_KINDS)}


@dataclass(frozen=True)
class Programs:
    """Paths of the programs that are run."""

    yosys: str = "yosys"
    iverilog: str = "iverilog"
    vvp: str = "vvp"


@dataclass(frozen=True)
class AtWork:
    """A core of gates and what it did. `design` is as narrow as the hardware, which was elaborated for one layer."""

    design: Architecture
    replay: CoreReplay
    netlist: CoreNetlist
    toggles: Toggles
    supply_v: float
    token_bits: int

    @property
    def cycles(self) -> int:
        return self.replay.log.done + 1

    @cached_property
    def issued(self) -> NDArray[np.int64]:
        """(n, 3) cycle, kind and word, by cycle."""
        return self.replay.log.issue[np.argsort(self.replay.log.issue[:, 0], kind="stable")]

    def fj_by_cycle(self, unit: str) -> NDArray[np.float64]:
        """(cycles,) settled energy of a unit, at the library's supply."""
        found, taken = np.zeros(self.cycles), np.array(self.toggles.cycles.get(unit, []))
        number = min(len(found), len(taken))
        found[:number] = taken[:number]
        return found

    def happens(self, *kinds: str) -> NDArray[np.float64]:
        """(cycles,) whether an operation of these kinds issues."""
        mine = self.issued[np.isin(self.issued[:, 1], [ISSUED[kind] for kind in kinds])]
        return np.bincount(mine[:, 0], minlength=self.cycles).astype(float)[: self.cycles]


def at_work(
    library: Library, liberty: str, trace_path: str | Path, layer: str, lanes: int, *, fifo_depth: int = 8,
    potential_bits: int | None = None, eots: int | None = None, sample: int = 0, events: int | None = None,
    shift_at: str | None = None, programs: Programs | None = None,
) -> AtWork:
    """A layer of a trace on a core of gates. Raises GateError where a program is missing or the gates answer otherwise.

    potential_bits   of the core; None: as many as the layer needs.      eots   stop after so many; None: all.
    events           so many of each plane, spread evenly; None: all.      shift_at   None: as event_core_16_aer.
    """
    programs = programs or Programs()
    with Trace.open(trace_path) as trace:
        design = design_of(trace, layer, lanes, fifo_depth)
        design = design if shift_at is None else design.with_core(shift_at=shift_at)
        program, runs = runs_of_tile(trace, design, layer)
        if potential_bits is not None:
            runs = [replace(op, body=replace(op.body, potential_bits=potential_bits)) for op in runs]
        run = runs[-1].body
        export = CoreExport(TOP, run, payload_bits(program.network, run), design.core.weight_bits, (("trace", trace.name),))
        replay = replay_core(program, runs, trace.sample(sample), eots)
    replay = replay if events is None else thinned(replay, events)
    netlist = synthesise_core(export.verilog(), TOP, library, liberty, programs.yosys)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(export, replay)
        toggles = run_gates(netlist, TOP, bench.verilog("bench.mem"), bench.data(), "bench.mem", Path(folder), programs.iverilog,
                            programs.vvp, netlist.toggle_fj(library.supply_v))
    token_bits = export.core.p.token.size
    return AtWork(narrowed(design, replay, token_bits), replay, netlist, toggles, library.supply_v, token_bits)


def real_lanes(core: AtWork, *kinds: str) -> NDArray[np.float64]:
    """(cycles,) lanes with a channel of the layer that are at work on an operation of these kinds, by the cycle of its issue."""
    run = core.replay.run
    groups, (low, high) = run.groups[1] - run.groups[0], run.channels
    mine = core.issued[np.isin(core.issued[:, 1], [ISSUED[kind] for kind in kinds])]
    lanes = np.where(mine[:, 2] % groups == groups - 1, high - low - (groups - 1) * run.core.lanes, run.core.lanes)
    return np.bincount(mine[:, 0], weights=lanes, minlength=core.cycles)[: core.cycles]


def split(fj: NDArray[np.float64], events: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    """fJ of one of each event. A single event takes all; of several each cycle's energy is explained by least squares.

    What a clock edge moves is counted in the cycle that it begins, and some units move a cycle or two after the issue: the
    delay, the same for all events of a unit, is the one with the least residual.
    """
    if len(events) == 1:
        ((name, counts),) = events.items()
        return {name: float(fj.sum() / counts.sum())}
    best: tuple[float, list[float]] | None = None
    for delay in range(-1, 4):
        table = np.stack([np.roll(counts, delay) for counts in events.values()], axis=1)
        found, *_ = np.linalg.lstsq(table, fj, rcond=None)
        residual = float(((fj - table @ found) ** 2).sum())
        if best is None or residual < best[0]:
            best = residual, found.tolist()
    assert best is not None
    return dict(zip(events, best[1], strict=True))


def thinned(replay: CoreReplay, events: int) -> CoreReplay:
    """The run with `events` tokens before each EOT, spread evenly over those that it had, and the engine's answer to that: passes
    and all, in less time."""
    marks = replay.tokens[:, 0] < 0
    plane = np.cumsum(marks) - marks
    begins = np.concatenate([[0], np.flatnonzero(marks) + 1])
    place, number = np.arange(len(marks)) - begins[plane], np.maximum(1, np.bincount(plane) - 1)[plane]
    kept = marks | (number <= events) | (place * events // number != (place + 1) * events // number)
    given = (replay.tokens[kept], replay.gaps[kept], replay.earliest[kept])
    log = make_engine("fast").run_core(replay.run, *given, *(state.copy() for state in replay.before))
    return CoreReplay(replay.operation, replay.payload_bits, *given, replay.before, log)


def design_of(trace: Trace, layer: str, lanes: int, fifo_depth: int) -> Architecture:
    """A core with room for all of the network; the run of a layer is as narrow as the layer."""
    found = trace.network.layer(layer)
    address = sum((max(c.token_shape[i] for c in found.connections) - 1).bit_length() for i in range(3))
    roomy = dict.fromkeys(("weight", "membrane", "current", "spike", "bias"), 64)
    design = load_architecture("event_core_16_aer").with_core(
        lanes=lanes, potential_bits=max(one.potential_bits for one in trace.network), payload_bits=8, fifo_depth=fifo_depth)
    design = design.with_memories(weight=2**23, membrane=2**23, current=2**23, bias=2**23, banks=roomy)
    return design.with_spike_buffer(capacity=2**25, address_bits=max(address, 16))


def narrowed(design: Architecture, replay: CoreReplay, token_bits: int) -> Architecture:
    """The design whose potentials and tokens are those of the hardware: it was elaborated for one layer."""
    data = dump_architecture(design)
    data["core"]["potential_bits"] = replay.run.potential_bits
    data["core"]["payload_bits"] = 0 if not replay.payload_bits else replay.payload_bits
    data["spike_buffer"]["address_bits"] = max(1, token_bits - 3 - data["core"]["payload_bits"])
    return rebuild_architecture(data)
