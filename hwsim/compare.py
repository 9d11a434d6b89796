"""Many results side by side: traces x architectures x schedules, with the ANN baselines made for each event core.

A pair that does not run, and a baseline that cannot be built, is reported with its reason, never left out in silence.
The baselines themselves are made in hwsim/baseline/twins.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.arch import Architecture, ArchitectureError, load_architecture
from hwsim.baseline.twins import Unbuilt, has_baselines, twins, why_no_baselines
from hwsim.chip.model import chip_model, memories_used, why_nothing_runs
from hwsim.cost.energy import check_prices
from hwsim.cost.rate import DEFAULT_RATE_HZ, check_rate
from hwsim.links import undecided
from hwsim.schedules import ANYWHERE, schedule_by_name, schedules_for
from hwsim.simulation import AlwaysComputesError, simulate, why_not
from hwsim.trace.reader import Trace

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.result import Result

ACCURACY_POINTS = 0.5
"""A difference in accuracy above this many points makes an energy comparison unfair, and is flagged."""


@dataclass(frozen=True)
class Missing:
    """A row of the table without numbers: a baseline that cannot be built for a trace, and why."""

    trace: str
    coding: str
    timesteps: int
    arch: str
    schedule: str
    reason: str


@dataclass
class Comparison:
    """Results in table order; baselines that cannot be built; what did not run: (trace, architecture, schedule, why)."""

    results: list[Result] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    refused: list[tuple[str, str, str, str]] = field(default_factory=list)

    @property
    def table(self) -> pd.DataFrame:
        """One row per result, numbers per sample, energies in nanojoules; then one per baseline that cannot be built."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table's rows as plain values; None where a number is not known."""
        return [*(comparison_row(r, flag) for r, flag in zip(self.results, self.flags, strict=True)),
                *map(_missing_row, self.missing)]

    @property
    def notes(self) -> list[str]:
        """What the core models of the results say beside their numbers, each sentence once."""
        return [note for note in dict.fromkeys(chip_model(r.architecture).note for r in self.results) if note]

    @property
    def undecided(self) -> list[str]:
        """Orders of the table that free links reverse: what is ordered, and which design stands before which, by energy, then by
        latency."""
        found = []
        for name, number, if_free in ORDERS:
            numbers = {_titled(r): (r[number], r[number] if r[if_free] is None else r[if_free])
                       for r in map(comparison_row, self.results, self.flags)}
            found += [f"{name}: {one} before {other}" for one, other in undecided(numbers)]
        return found

    @property
    def flags(self) -> list[str]:
        """For each result, how far its accuracy is from that of the most accurate one; empty within 0.5 points."""
        known = [_accuracy(r) for r in self.results]
        best = max((a for a in known if a is not None), default=None)
        return ["" if a is None or best is None or best - a <= ACCURACY_POINTS else f"{a - best:+.2f} points"
                for a in known]


Job = tuple[Trace, Architecture, str]


def compare(
    traces: Sequence[str | Path | Trace],
    archs: Sequence[str | Path | Architecture],
    *,
    schedules: Sequence[str] | None = None,
    engine: str = "fast",
    spikes: str = "trace",
    samples: int | None = None,
    check: bool = True,
    baselines: bool = True,
    overrides: Mapping[str, Any] | None = None,
    leak_unused: bool = False,
    rate_hz: float = DEFAULT_RATE_HZ,
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Simulate every combination that runs. `progress` is called with (what runs, done, in all).

    schedules     names; None for all that each chip has (hwsim.schedules.schedules_for).
    check         False: timing only, as for `simulate`. What always computes (systolic arrays, ODIN) is then listed in `refused`.
    leak_unused   memories that a trace does not use leak and take area, in every row and at equal area.
    rate_hz       samples per second of the columns beside full speed; a row that does not reach it has none there.

    Raises TraceError and ArchitectureError for files that cannot be read, EnergyError, TechnologyError and
    MemoryProfileError for what has no price, before anything runs. Combinations that do not fit are listed in `refused`,
    baselines that cannot be built in `missing`.
    """
    rate_hz = check_rate(rate_hz)
    schedules = [schedule_by_name(schedule).name for schedule in schedules] if schedules else None
    designs = _distinct([load_architecture(a) for a in archs])
    opened = [t if isinstance(t, Trace) else Trace.open(t) for t in traces]
    found = Comparison()
    try:
        ordered = sorted(opened, key=lambda t: (t.coding, t.timesteps))
        jobs = _fitting([(t, d, s) for d in designs for t in ordered for s in _schedules_of(t, d, schedules)], found)
        for trace, design, _ in jobs:
            check_prices(design, overrides, None if leak_unused else memories_used(trace.network, design))
        if baselines:
            jobs += _baselines(designs, ordered, jobs, (schedules or ANYWHERE)[0], overrides, leak_unused, found)
        for done, (trace, design, schedule) in enumerate(jobs):
            if progress:
                progress(f"{trace.name} on {design.name}", done, len(jobs))
            try:
                found.results.append(simulate(trace, design, schedule=schedule, engine=engine, spikes=spikes, samples=samples,
                                              check=check, overrides=overrides, leak_unused=leak_unused, rate_hz=rate_hz))
            except AlwaysComputesError as error:
                found.refused.append((trace.name, design.name, schedule, str(error)))
        if progress:
            progress("done", len(jobs), len(jobs))
    finally:
        for trace, given in zip(opened, traces, strict=True):
            if trace is not given:
                trace.close()
    return found


def _fitting(jobs: Sequence[Job], found: Comparison) -> list[Job]:
    """The jobs that fit; the others are written down with their reason."""
    fitting = []
    for trace, design, schedule in jobs:
        why = why_not(trace, design, schedule)
        if why is None:
            fitting.append((trace, design, schedule))
        else:
            found.refused.append((trace.name, design.name, schedule, why))
    return fitting


def _baselines(
    designs: Sequence[Architecture], traces: Sequence[Trace], jobs: Sequence[Job], schedule: str,
    overrides: Mapping[str, Any] | None, leak_unused: bool, found: Comparison,
) -> list[Job]:
    """Every ANN trace on the baselines of every event core; a chip of several has none, which is told."""
    made: list[Job] = []
    for trace in traces:
        if not trace.network.is_ann:
            continue
        for design in designs:
            if reason := why_no_baselines(design):
                name = f"{design.name}+baselines"
                found.missing.append(Missing(trace.name, trace.coding, trace.timesteps, name, schedule, reason))
            if not has_baselines(design):
                continue
            spiking = [t.network for t, d, _ in jobs if d is design]
            for twin in twins(design, trace.network, spiking, overrides, leak_unused):
                if isinstance(twin, Unbuilt):
                    found.missing.append(Missing(trace.name, trace.coding, trace.timesteps, twin.name, schedule, twin.reason))
                else:
                    made += _fitting([(trace, twin, schedule)], found)
    return made


def _distinct(designs: list[Architecture]) -> list[Architecture]:
    """Each design once; two different ones of the same name could not be told apart and are refused."""
    found: list[Architecture] = []
    for design in designs:
        same = [d for d in found if d.name == design.name]
        if same and design not in same:
            raise ArchitectureError(f"two different architectures are named {design.name!r}; give one another name")
        found += [] if same else [design]
    return found


def _schedules_of(trace: Trace, design: Architecture, asked: Sequence[str] | None) -> Sequence[str]:
    """Those that are asked for, or all that such chips have.

    A quantised ANN has one timestep, so the schedules are the same to it unless it is pipelined: one row is enough, and one
    refusal is where nothing runs.
    """
    schedules = asked or schedules_for(design)
    if why_nothing_runs(design):
        return schedules[:1]
    alike = not chip_model(design).timed or (trace.network.is_ann and design.network is None)
    return schedules[:1] if alike else schedules


ORDERS = (("core energy", "core_nj", "core_nj_free_links"), ("latency", "latency_us", "latency_us_free_links"))
"""What rows are ordered by, its column, and the column of what it would be if links cost nothing."""


def _titled(row: Mapping[str, Any]) -> str:
    return f"{row['trace']} on {row['arch']}, {row['schedule']}"


def _accuracy(result: Result) -> float | None:
    """The whole test set's accuracy where the trace knows it; a few replayed samples say little."""
    f = result.facts
    return f.accuracy_test_set if f.accuracy_test_set is not None else f.accuracy


def comparison_row(result: Result, flag: str) -> dict[str, Any]:
    """The numbers of one result, per sample, in the units of the table."""
    f, spread, operations = result.facts, result.spread, result.synaptic_operations
    energy = {k: v / 1e3 for k, v in result.energy_pj.items()}
    slow = result.shown_rate
    at_rate = {k: v / 1e3 for k, v in (slow["energy_pj"] or {}).items()}
    core_spread, free = spread["energy_pj"]["core"], result.free_links
    return {
        "coding": f.coding, "T": f.timesteps, "arch": f.arch, "schedule": f.schedule, "samples": f.samples,
        "cycles": float(result.cycles.mean()), "cycles_spread": spread["cycles"], "latency_us": result.latency_s * 1e6,
        "compute_nj": energy["compute"], "core_nj": energy["core"],
        "core_spread_nj": None if core_spread is None else core_spread / 1e3, "system_nj": energy["system"],
        "rate_hz": slow["rate_hz"], "core_at_rate_nj": at_rate.get("core"), "system_at_rate_nj": at_rate.get("system"),
        "highest_rate_hz": slow["highest_rate_hz"],
        "core_pj_per_sop": result.energy_pj["core"] / operations if operations else float("nan"),
        "edp_njs": result.energy_delay_js * 1e9, "utilisation_percent": 100 * result.utilisation,
        "power_mw": result.power_w * 1e3, "area_mm2": result.area_mm2, "memories_off": " ".join(result.memories_off),
        "accuracy_percent": _accuracy(result), "mismatches": f.mismatches, "saturations": f.saturations,
        "accuracy_flag": flag, "trace": f.trace, "reason": "",
        "cycles_free_links": None if free is None else free["cycles"],
        "latency_us_free_links": None if free is None else 1e6 * free["cycles"] / result.architecture.clock,
        "core_nj_free_links": None if free is None else free["energy_pj"]["core"] / 1e3,
    }


def _missing_row(row: Missing) -> dict[str, Any]:
    return {"coding": row.coding, "T": row.timesteps, "arch": row.arch, "schedule": row.schedule, "trace": row.trace,
            "memories_off": "", "accuracy_flag": "", "reason": row.reason}
