"""Against what? An event core beside every ANN rival at equal lanes, equal area and equal latency, and the strongest.

Each rival runs at its own highest clock (hwsim/cost/clock.py); the design at the clock of its file. The strongest rival is the
one of lowest system energy at equal latency. Which machines there are is said in hwsim/baseline/rivals.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.arch import Architecture, load_architecture
from hwsim.baseline.equal_latency import EqualLatencyError, equal_latency_size
from hwsim.baseline.rivals import Rival, rivals
from hwsim.baseline.twins import has_baselines, why_no_baselines
from hwsim.chip.model import chip_model, memories_used
from hwsim.cost.area import area_mm2
from hwsim.cost.clock import at_highest_clock
from hwsim.errors import HwsimError
from hwsim.simulation import AlwaysComputesError, simulate, why_not
from hwsim.trace.reader import Trace
from hwsim.trace.twin import ann_in

if TYPE_CHECKING:
    from hwsim.result import Result

LANES, AREA, LATENCY = "lanes", "area", "latency"
EQUAL = (LANES, AREA, LATENCY)
"""The three comparisons, in the order of their columns."""
SCHEDULE = "layer_by_layer"
"""An ANN has one timestep: schedules are one to it."""


class RivalsError(HwsimError):
    """A comparison with rivals that cannot be; the text says why and what would work."""


@dataclass(frozen=True)
class Entry:
    """A rival in one comparison: its design and result, or the reason why there is none."""

    rival: str
    equal: str
    arch: Architecture | None
    result: Result | None
    reason: str = ""


@dataclass(frozen=True)
class Against:
    """A design on a spiking trace, and its rivals on the ANN's trace."""

    result: Result
    entries: tuple[Entry, ...]

    @property
    def strongest(self) -> Entry | None:
        """The rival of lowest system energy per sample at equal latency; None where no rival is fast enough."""
        there = [e for e in self.entries if e.equal == LATENCY and e.result is not None]
        return min(there, key=_system_pj, default=None)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The design and each rival in each comparison: energies in nanojoules per sample, None where there is no number."""
        own = _numbers(self.result.architecture, self.result) | {"rival": self.result.facts.arch, "equal": "", "reason": ""}
        best = self.strongest
        found = [{**own, "over_design": 1.0, "strongest": False}]
        for e in self.entries:
            numbers = _numbers(e.arch, e.result)
            over = None if e.result is None else _system_pj(e) / self.result.energy_pj["system"]
            found.append({**numbers, "rival": e.rival, "equal": e.equal, "reason": e.reason, "over_design": over,
                          "strongest": e is best})
        return found

    @property
    def verdict(self) -> str:
        """Who the strongest rival is, in a sentence."""
        name, best = self.result.facts.arch, self.strongest
        own = self.result.energy_pj["system"] / 1e6
        if best is None or best.arch is None or best.result is None:
            return f"no rival of {name} is as fast as it is"
        other = best.result.energy_pj["system"] / 1e6
        return (f"strongest rival of {name} at equal latency: {best.rival}, {_size(best.arch)} at {best.arch.clock / 1e6:g} MHz: "
                f"{other:.4g} uJ per sample in {best.result.latency_s * 1e6:.4g} us, {other / own:.3g} times the design's "
                f"{own:.4g} uJ in {self.result.latency_s * 1e6:.4g} us")


def _system_pj(entry: Entry) -> float:
    assert entry.result is not None
    return entry.result.energy_pj["system"]


def _size(arch: Architecture) -> str:
    return chip_model(arch).size(arch.only)


def _numbers(arch: Architecture | None, result: Result | None) -> dict[str, Any]:
    if arch is None or result is None:
        return dict.fromkeys(("size", "clock_mhz", "cycles", "latency_us", "core_nj", "system_nj", "area_mm2"))
    return {"size": _size(arch), "clock_mhz": arch.clock / 1e6, "cycles": float(result.cycles.mean()),
            "latency_us": result.latency_s * 1e6, "core_nj": result.energy_pj["core"] / 1e3,
            "system_nj": result.energy_pj["system"] / 1e3, "area_mm2": result.area_mm2}


def against(
    trace: str | Path | Trace, ann: str | Path | Trace | None, arch: str | Path | Architecture, *, schedule: str = SCHEDULE,
    samples: int | None = None, overrides: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Against:
    """A design on a trace beside every rival on the trace of the quantised ANN that it came from. All replays are timing only
    where they can be, of the first `samples` of each trace (None: all). `ann` None: the ANN in a bit-serial trace.

    Raises RivalsError for a design that has no rivals, and for a trace that is no quantised ANN's or holds none; as `simulate`
    does for the design.
    """
    design = load_architecture(arch)
    if not has_baselines(design):
        raise RivalsError(why_no_baselines(design) or f"{design.name}: core.kind is {design.cores[0].core.kind}, expected event: "
                          "rivals are made for an event core")
    spiking = trace if isinstance(trace, Trace) else Trace.open(trace)
    quantised = ann if isinstance(ann, Trace) else ann_in(spiking, samples) if ann is None else Trace.open(ann)
    try:
        if quantised is None:
            raise RivalsError(f"{spiking.name}: is {spiking.coding}, and only a bit-serial trace holds its ANN; give the trace "
                              "of the quantised ANN as well")
        if not quantised.network.is_ann or spiking.network.is_ann:
            raise RivalsError(f"found {spiking.name} ({spiking.coding}) and {quantised.name} ({quantised.coding}), expected a "
                              "spiking trace first and the trace of its quantised ANN second")
        own = simulate(spiking, design, schedule=schedule, samples=samples, check=False, overrides=overrides)
        return Against(own, tuple(_Match(design, own, quantised, samples, overrides, progress).entries()))
    finally:
        for given, opened in ((trace, spiking), (ann, quantised)):
            if opened is not None and opened is not given:
                opened.close()


Ran = tuple[Architecture, "Result"]
"""A design, and what it took."""


class _Match:
    """All rivals of a design; each size of each is simulated once."""

    def __init__(self, design: Architecture, own: Result, ann: Trace, samples: int | None, overrides: Mapping[str, Any] | None,
                 progress: Callable[[int, int], None] | None) -> None:
        self.design, self.own, self.ann = design, own, ann
        self.samples, self.overrides, self.progress = samples, overrides, progress

    def entries(self) -> list[Entry]:
        every = rivals(self.design, self.ann.network)
        found: list[Entry] = []
        for done, rival in enumerate(every):
            if self.progress:
                self.progress(done, len(every))
            known: dict[int, Ran] = {}
            found += [self._entry(rival, LANES, partial(self._at, rival, self.design.core.lanes, known)),
                      self._entry(rival, AREA, partial(self._in_area, rival)),
                      self._entry(rival, LATENCY, partial(self._as_fast, rival, known))]
        if self.progress:
            self.progress(len(every), len(every))
        return found

    def _entry(self, rival: Rival, equal: str, find: Callable[[], Ran]) -> Entry:
        try:
            return Entry(rival.name, equal, *find())
        except HwsimError as error:
            return Entry(rival.name, equal, None, None, str(error))

    def _at(self, rival: Rival, size: int, known: dict[int, Ran]) -> Ran:
        """The first design of that size that the network fits on."""
        if size not in known:
            known[size] = self._run(self._fitting(rival, size))
        return known[size]

    def _fitting(self, rival: Rival, size: int) -> Architecture:
        """The first design that the network runs on; without one the first, whose error says what it lacks."""
        first = next(rival.sized(size))
        return next((one for one in rival.sized(size) if not why_not(self.ann, one, SCHEDULE)), first)

    def _run(self, arch: Architecture) -> Ran:
        fast = at_highest_clock(arch)
        try:
            found = simulate(self.ann, fast, samples=self.samples, check=False, overrides=self.overrides)
        except AlwaysComputesError:  # an array, whose cycles and counts are those of any sample
            found = simulate(self.ann, fast, samples=1, overrides=self.overrides)
        if found.rows_per_cycle > 1:  # an array does not wait for its memories, and would be granted what none gives
            raise RivalsError(f"{_size(arch)}: a memory would have to give {found.rows_per_cycle:.3g} rows per cycle, expected 1 "
                              "at most; wider rows (spike_buffer.scan_bits) or a smaller array would do")
        return fast, found

    def _in_area(self, rival: Rival) -> Ran:
        target = area_mm2(self.design, self.own.used)
        one = self._fitting(rival, self.design.core.lanes)
        return self._run(rival.largest_in(one, target, list(memories_used(self.ann.network, one))))

    def _as_fast(self, rival: Rival, known: dict[int, Ran]) -> Ran:
        refused: dict[int, HwsimError] = {}

        def latency_s(size: int) -> float:
            try:
                return float("inf") if size in refused else self._at(rival, size, known)[1].latency_s
            except HwsimError as error:
                refused[size] = error
                return float("inf")

        try:
            return known[equal_latency_size(latency_s, self.own.latency_s, self.design.core.lanes)]
        except EqualLatencyError:
            if not known:
                raise next(iter(refused.values())) from None
            raise
