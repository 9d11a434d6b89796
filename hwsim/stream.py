"""Samples back to back on a chip with a network of links: the steady period, simulated, beside the bound of the busiest resource.

Each sample is replayed once by itself; then the lists of all of them are one list (C9). Beside it stands what each sample would
take if links cost nothing. Cycles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Architecture, load_architecture
from hwsim.chip.model import chip_model
from hwsim.cores.model import Machine, Streamed
from hwsim.errors import HwsimError
from hwsim.record import SampleRecord
from hwsim.result import Result
from hwsim.schedules import schedule_by_name
from hwsim.simulation import placed_for
from hwsim.snn.network import Network
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace

MEASURED = 2
"""Rounds from which the period is taken; a round is all samples, one after the other."""


class StreamError(HwsimError):
    """Samples that cannot be streamed; the text says what was found and what is allowed."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Samples in a row, in rounds: the first ones fill the pipeline, the last ones empty it, between is the steady state.

    lead     rounds that fill it, and as many that empty it; MEASURED lie between.
    times    when each began and ended, and how long each resource worked.
    alone    cycles of each sample by itself.        free   the same if links cost nothing: nobody waits for one.
    """

    samples: int
    lead: int
    times: Streamed
    alone: tuple[int, ...]
    free: tuple[int, ...]

    @cached_property
    def period_cycles(self) -> float:
        """Cycles from the end of a sample to that of the next, in the mean over the rounds between filling and emptying."""
        return self._period(self.times.last)

    @cached_property
    def free_period_cycles(self) -> float:
        """The same if links cost nothing."""
        return self._period(self.times.last_free)

    def _period(self, last: NDArray[np.int64]) -> float:
        n, first = self.samples, self.samples * self.lead
        return float(last[first + n * MEASURED - 1] - last[first - 1]) / (n * MEASURED)

    @cached_property
    def busy(self) -> dict[str, float]:
        """By resource, the cycles that it works per sample, the busiest first."""
        streamed = len(self.times.last)
        return {name: cycles / streamed for name, cycles in sorted(self.times.busy.items(), key=lambda one: (-one[1], one[0]))}

    @cached_property
    def bound(self) -> tuple[str, float]:
        """The resource that works longest per sample, and how long: no period is shorter for long."""
        return next(iter(self.busy.items()))

    def utilisation(self) -> dict[str, float]:
        """By resource, the share of a period in which it works, the busiest first."""
        return {name: cycles / self.period_cycles for name, cycles in self.busy.items()}

    def energy_pj(self, result: Result) -> dict[str, float]:
        """Picojoules per sample in the steady state, by scope: work as alone, what goes with time over the period."""
        return result.energy_in(self.period_cycles)

    def free_energy_pj(self, result: Result) -> dict[str, float]:
        """The same if links cost nothing."""
        return result.energy_in(self.free_period_cycles, links=False)

    def summary(self) -> dict[str, Any]:
        """JSON-ready numbers."""
        name, cycles = self.bound
        return {"samples": self.samples, "period_cycles": self.period_cycles,
                "period_cycles_free_links": self.free_period_cycles, "bound_cycles": cycles, "bound_by": name,
                "latency_cycles_alone": sum(self.alone) / self.samples,
                "latency_cycles_free_links": sum(self.free) / self.samples,
                "latency_cycles": float((self.times.last - self.times.first).mean()), "utilisation": self.utilisation()}


def back_to_back(
    trace: Trace | str | Path, arch: Architecture | str | Path, samples: int, *, schedule: str = "pipelined",
    spikes: str = "trace",
) -> Stream:
    """Stream the first `samples` samples of a trace, at least 2, without a pause between them.

    spikes   as for `simulate`; with `trace` nothing is computed where the trace has recorded what layers send.

    Raises StreamError, ArchitectureError, TraceError, or ProgramError with every reason why they do not run.
    """
    opened = trace if isinstance(trace, Trace) else Trace.open(trace)
    try:
        if isinstance(samples, bool) or not isinstance(samples, int) or not 2 <= samples <= opened.samples:
            raise StreamError(f"back to back: found {samples!r} samples, expected 2 to {opened.samples}, which the trace holds")
        design = placed_for(load_architecture(arch), opened)
        machine = chip_model(design).machine(opened.network, design, schedule_by_name(schedule), "fast")
        if machine.stream is None or machine.free is None:
            raise StreamError(f"{design.name}: its engine, {machine.engine}, streams no samples; use event cores on a network of "
                              "links")
        replay = _replay(machine, opened, spikes)
        records = [replay(opened.sample(index)) for index in range(samples)]
        alone, free = tuple(int(record.end.max()) for record in records), tuple(machine.free(record) for record in records)
        first = lead_of(opened.network, schedule, samples)
        for lead in (first, 2 * first, 4 * first):
            times = machine.stream(records * (2 * lead + MEASURED))
            found = Stream(samples, lead, times, alone, free)
            if found.period_cycles >= found.bound[1]:
                break  # else early layers still run ahead into buffers that are not full yet
        return found
    finally:
        if opened is not trace:
            opened.close()


def lead_of(network: Network, schedule: str, samples: int) -> int:
    """Rounds of so many samples until as many samples are under way as ever will be: pipelined, a sample is followed by the next
    one after its own items, and the deepest layer works on it that many ticks later (C9)."""
    order = schedule_by_name(schedule)
    if not order.stays:
        return 1
    depths: dict[str, int] = {}
    for layer in network:
        depths[layer.name] = max((1 + depths[wire.source] for wire in layer.connections if wire.source in depths), default=0)
    under_way = 1 + ceil(max(depths.values()) / order.items(network))
    return ceil(under_way / samples)


def _replay(machine: Machine, trace: Trace, spikes: str) -> Callable[[Sample], SampleRecord]:
    """Timing only where that can be: cycles and bits are the same."""
    recorded = trace.sample(0).recorded
    known = all(layer.name in recorded for layer in trace.network if layer.sends)
    if machine.timing is not None and known and spikes == "trace":
        return machine.timing
    return lambda sample: machine.run(sample, spikes)
