"""Many results side by side: traces x architectures x schedules, with the ANN baselines made for each event core.

The baselines of an event core are its multiply-accumulate twin (same pipeline, memories, channel, technology) and dense
systolic arrays, each with as many multipliers as the core has lanes and again with as many as fit its area.
A pair that does not run is reported with its reason, never left out in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.arch import Architecture, ArchitectureError, load_architecture
from hwsim.program import ProgramError
from hwsim.schedules import SCHEDULES, map_network, schedule_by_name
from hwsim.simulation import simulate
from hwsim.snn.network import Network
from hwsim.snn.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.result import Result

ACCURACY_POINTS = 0.5
"""A difference in accuracy above this many points makes an energy comparison unfair, and is flagged."""


@dataclass
class Comparison:
    """Results in table order, and what did not run: (trace, architecture, schedule, why)."""

    results: list[Result] = field(default_factory=list)
    refused: list[tuple[str, str, str, str]] = field(default_factory=list)

    @property
    def table(self) -> pd.DataFrame:
        """One row a result, energies in nanojoules a sample."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table's rows as plain values; None where a number is not known."""
        return [comparison_row(r, flag) for r, flag in zip(self.results, self.flags, strict=True)]

    @property
    def flags(self) -> list[str]:
        """For each result, how far its accuracy is from that of the most accurate one; empty within 0.5 points."""
        known = [_accuracy(r) for r in self.results]
        best = max((a for a in known if a is not None), default=None)
        return ["" if a is None or best is None or best - a <= ACCURACY_POINTS else f"{a - best:+.2f} points"
                for a in known]


def compare(
    traces: Sequence[str | Path | Trace],
    archs: Sequence[str | Path | Architecture],
    *,
    schedules: Sequence[str] = tuple(SCHEDULES),
    engine: str = "fast",
    spikes: str = "trace",
    samples: int | None = None,
    baselines: bool = True,
    overrides: Mapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Simulate every combination that runs. `progress` is called with (what runs, done, in all).

    Raises TraceError and ArchitectureError for files that cannot be read; combinations that do not fit are listed in
    `refused`.
    """
    for schedule in schedules:
        schedule_by_name(schedule)
    designs = _distinct([load_architecture(a) for a in archs])
    opened = [t if isinstance(t, Trace) else Trace.open(t) for t in traces]
    found = Comparison()
    try:
        ordered = sorted(opened, key=lambda t: (t.coding, t.timesteps))
        jobs = [(t, d, s) for d in designs for t in ordered for s in _schedules_of(t, d, schedules)]
        for trace in ordered if baselines else []:
            if trace.coding == "quantised":
                jobs += [(trace, twin, schedules[0]) for d in designs if d.core.kind == "event"
                         for twin in twins(d, trace.network)]
        for done, (trace, design, schedule) in enumerate(jobs):
            if progress:
                progress(f"{trace.name} on {design.name}", done, len(jobs))
            why = why_not(trace, design, schedule)
            if why is not None:
                found.refused.append((trace.name, design.name, schedule, why))
                continue
            found.results.append(simulate(trace, design, schedule=schedule, engine=engine, spikes=spikes,
                                          samples=samples, overrides=overrides))
        if progress:
            progress("done", len(jobs), len(jobs))
    finally:
        for trace, given in zip(opened, traces, strict=True):
            if trace is not given:
                trace.close()
    return found


def _distinct(designs: list[Architecture]) -> list[Architecture]:
    """Each design once; two different ones of the same name could not be told apart and are refused."""
    found: list[Architecture] = []
    for design in designs:
        same = [d for d in found if d.name == design.name]
        if same and design not in same:
            raise ArchitectureError(f"two different architectures are named {design.name!r}; give one another name")
        found += [] if same else [design]
    return found


def _schedules_of(trace: Trace, design: Architecture, schedules: Sequence[str]) -> Sequence[str]:
    """A quantised ANN has one timestep, so the schedules are the same to it: one row is enough."""
    return schedules[:1] if trace.coding == "quantised" or design.core.kind == "systolic" else schedules


def twins(design: Architecture, network: Network) -> list[Architecture]:
    """The ANN baselines of an event core for a quantised ANN: at equal lanes, then at equal area."""
    from hwsim.area import area_mm2
    from hwsim.baseline.equal_area import equal_area_lanes, equal_area_rows, grown
    from hwsim.memory import macros

    # The array's rows are narrower than the core's; the memories stay what they are, bank by bank. It adds pooled windows
    # up before it multiplies, so its operand is as wide as the widest sum.
    core = design.core
    operand = max([core.payload_bits, *(network.pooled_bits(c) for layer in network for c in layer.connections)])
    rows = max(r for r in range(1, int(core.lanes**0.5) + 1) if core.lanes % r == 0)
    # An ANN keeps no first-layer current between timesteps: the twin is spared that memory.
    needed = design.model_copy(update={"memories": design.memories.model_copy(update={"current": 0})})
    mac = _renamed(needed.with_core(kind="multiply_accumulate", payload_bits=max(1, core.payload_bits)), "mac")
    banked = mac.model_copy(update={"memories": mac.memories.model_copy(
        update={"banks": {name: macro.banks for name, macro in macros(design).items()}})})
    arrays = [
        _renamed(banked.with_core(kind="systolic", rows=rows, columns=core.lanes // rows, dataflow=f"{flow}_stationary",
                                  payload_bits=operand), f"systolic_{flow}", design.name)
        for flow in ("output", "weight", "input")
    ]
    target = area_mm2(design)
    wider = grown(mac, equal_area_lanes(mac, target, area_mm2))
    taller = arrays[0].with_core(rows=equal_area_rows(arrays[0], target, area_mm2))
    return [mac, *arrays, _renamed(wider, "mac@area", design.name),
            _renamed(taller, "systolic_output@area", design.name)]


def _renamed(design: Architecture, suffix: str, stem: str | None = None) -> Architecture:
    return design.model_copy(update={"name": f"{stem or design.name}+{suffix}"})


def why_not(trace: Trace, design: Architecture, schedule: str) -> str | None:
    """Why a trace does not run on a design under a schedule; None when it does."""
    if design.core.kind == "systolic" and schedule != "layer_by_layer":
        return f"does not run on {design.name} under {schedule}:\n  - a systolic array has no timesteps; use layer_by_layer"
    try:
        if design.core.kind == "systolic":
            from hwsim.baseline.systolic import map_systolic

            map_systolic(trace.network, design)
        else:
            map_network(trace.network, design, schedule)
    except ProgramError as error:
        return str(error)
    return None


def _accuracy(result: Result) -> float | None:
    """The whole test set's accuracy where the trace knows it; a few replayed samples say little."""
    f = result.facts
    return f.accuracy_test_set if f.accuracy_test_set is not None else f.accuracy


def comparison_row(result: Result, flag: str) -> dict[str, Any]:
    """The numbers of one result, a sample, in the units of the table."""
    f, n = result.facts, result.facts.samples
    energy = {k: v / n / 1e3 for k, v in result.energy_pj.items()}
    operations = result.synaptic_operations
    return {
        "coding": f.coding, "T": f.timesteps, "arch": f.arch, "schedule": f.schedule, "samples": n,
        "cycles": float(result.cycles.mean()), "latency_us": result.latency_s * 1e6,
        "compute_nj": energy["compute"], "core_nj": energy["core"], "system_nj": energy["system"],
        "core_pj_per_sop": result.energy_pj["core"] / operations if operations else float("nan"),
        "edp_njs": result.energy_delay_js * 1e9, "utilisation_percent": 100 * result.utilisation,
        "power_mw": result.power_w * 1e3, "area_mm2": result.area_mm2, "accuracy_percent": _accuracy(result),
        "mismatches": f.mismatches, "saturations": f.saturations, "accuracy_flag": flag, "trace": f.trace,
    }
