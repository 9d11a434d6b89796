"""Samples back to back on a chip with a network of links: the steady period, simulated, beside the bound of the busiest resource.

Each sample is replayed once by itself; then the lists of all of them are one list (C9). Cycles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hwsim.arch import Architecture, load_architecture
from hwsim.chip.model import chip_model
from hwsim.cores.model import Streamed
from hwsim.cost.energy import LEAKAGE
from hwsim.errors import HwsimError
from hwsim.result import Result
from hwsim.schedules import schedule_by_name
from hwsim.simulation import placed_for
from hwsim.trace.reader import Trace


class StreamError(HwsimError):
    """Samples that cannot be streamed; the text says what was found and what is allowed."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Samples in a row.

    times    when each began and ended, and how long each resource worked.      alone   cycles of each sample by itself.
    """

    samples: int
    times: Streamed
    alone: tuple[int, ...]

    @cached_property
    def period_cycles(self) -> float:
        """Cycles between the ends of two samples, in the mean over the second half of them."""
        half = self.samples // 2
        return float(self.times.last[-1] - self.times.last[half - 1]) / (self.samples - half)

    @cached_property
    def bound(self) -> tuple[str, float]:
        """The resource that works longest per sample, and how long: no period can be shorter."""
        name = max(self.times.busy, key=lambda one: (self.times.busy[one], one))
        return name, self.times.busy[name] / self.samples

    def utilisation(self) -> dict[str, float]:
        """By resource, the share of the time from the first start to the last end in which it works, the busiest first."""
        spent = max(1, int(self.times.last.max() - self.times.first.min()))
        return {name: busy / spent for name, busy in sorted(self.times.busy.items(), key=lambda one: (-one[1], one[0]))}

    def energy_pj(self, result: Result) -> dict[str, float]:
        """Picojoules per sample in the steady state, by scope: work as alone, leakage over the period instead of the latency."""
        leaks = float(result.energy.loc[result.energy["unit"] == LEAKAGE, "energy_pj"].sum())
        spared = leaks * (1 - self.period_cycles / float(result.cycles.mean()))
        return {scope: pj - (spared if scope != "compute" else 0.0) for scope, pj in result.energy_pj.items()}

    def summary(self) -> dict[str, Any]:
        """JSON-ready numbers."""
        name, cycles = self.bound
        return {"samples": self.samples, "period_cycles": self.period_cycles, "bound_cycles": cycles, "bound_by": name,
                "latency_cycles_alone": sum(self.alone) / self.samples,
                "latency_cycles": float((self.times.last - self.times.first).mean()), "utilisation": self.utilisation()}


def back_to_back(
    trace: Trace | str | Path, arch: Architecture | str | Path, samples: int, *, schedule: str = "pipelined",
    spikes: str = "trace",
) -> Stream:
    """Stream the first `samples` samples of a trace, at least 2, without a pause between them.

    Raises StreamError, ArchitectureError, TraceError, or ProgramError with every reason why they do not run.
    """
    opened = trace if isinstance(trace, Trace) else Trace.open(trace)
    try:
        if isinstance(samples, bool) or not isinstance(samples, int) or not 2 <= samples <= opened.samples:
            raise StreamError(f"back to back: found {samples!r} samples, expected 2 to {opened.samples}, which the trace holds")
        design = placed_for(load_architecture(arch), opened)
        machine = chip_model(design).machine(opened.network, design, schedule_by_name(schedule), "fast")
        if machine.stream is None:
            raise StreamError(f"{design.name}: its engine, {machine.engine}, streams no samples; use event cores on a network of "
                              "links")
        records = [machine.run(opened.sample(index), spikes) for index in range(samples)]
        return Stream(samples, machine.stream(records), tuple(int(record.end.max()) for record in records))
    finally:
        if opened is not trace:
            opened.close()
