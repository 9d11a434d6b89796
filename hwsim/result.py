"""What a simulation found: integer activity and cycles, priced on demand, in tidy frames that save and load.

Cycles and counts come from an engine and never change; picojoules are made here from a price list, so repricing never
simulates again (`sim_id` stays, `run_id` moves).

Every number is per sample, the mean over the samples. `spread` in a name is the standard deviation over the samples
(divided by n - 1; None for one sample), `total` in a name is the sum over the samples, `setup` is what happens once,
however many samples follow. Three numbers are ratios of means: power, utilisation and energy per synaptic operation.
`mismatches` and `saturations` are checks and count over the whole run: a mean could round one wrong output away. In a
timing-only replay (`simulate(..., check=False)`) both are None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hwsim.activity import EVENTS, INDEX, LINK_EVENTS
from hwsim.arch import Architecture, Technology
from hwsim.cost.area import area, area_mm2
from hwsim.cost.clock import check_timing
from hwsim.cost.energy import check_prices, price_activity, price_hash
from hwsim.cost.overrides import plain_overrides, read_overrides
from hwsim.cost.rate import (
    DEFAULT_RATE_HZ,
    AtRate,
    Work,
    check_rate,
    energy_at_rate,
    highest_rate_hz,
    lost_between_samples,
    reaches,
    unreached,
)
from hwsim.cost.sums import by_scope, counted_pj, working_pj
from hwsim.counted import Counted, ResultError, joined
from hwsim.errors import HwsimError
from hwsim.result_card import card_html, card_text
from hwsim.result_file import save_result
from hwsim.task import merged

if TYPE_CHECKING:
    import pandas as pd

_OF_LINKS = np.array([event in LINK_EVENTS for event in EVENTS])


class RepriceError(HwsimError):
    """Arguments of `Result.reprice` that cannot be; the text names each with what is allowed."""


@dataclass(eq=False)
class Result(Counted):
    """One trace on one architecture: what was counted (hwsim.counted.Counted has those fields), and prices.

    overrides         prices that replace those of the tables.
    leak_unused       memories that the network does not use leak and take area as well.
    rate_hz           samples per second that summaries and tables show beside full speed (`at_rate` takes any).
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    leak_unused: bool = False
    rate_hz: float = DEFAULT_RATE_HZ

    # -- single numbers -----------------------------------------------------------------------------------------

    @property
    def latency_s(self) -> float:
        """Seconds of one sample."""
        return float(self.cycles.mean()) / self.architecture.clock

    @property
    def synaptic_operations(self) -> float:
        """In-bounds synapses of all events of one sample."""
        return self.total_synaptic_operations / self.facts.samples

    @property
    def total_synaptic_operations(self) -> int:
        return int(self.layer_counts[..., INDEX["acc_add"]].sum())

    @property
    def mismatches(self) -> int | None:
        """Outputs of the whole run unlike the recorded ones; None where nothing was computed, or nothing is recorded."""
        return self.facts.mismatches

    @property
    def accuracy(self) -> float | None:
        """Percent of the replayed samples that the hardware classified as labelled; None without labels."""
        return self.facts.accuracy

    @property
    def accuracy_interval(self) -> list[float] | None:
        """The accuracy of which the replayed samples are a sample: percent, lower and upper end at 95 % confidence (Wilson 1927).

        None without labels.
        """
        if self.facts.accuracy is None:
            return None
        return [100 * end for end in wilson(round(self.facts.accuracy * self.facts.judged / 100), self.facts.judged)]

    @property
    def utilisation(self) -> float:
        """Synaptic operations over what the adders could have done in the elapsed cycles."""
        return self.total_synaptic_operations / max(1, self.total_cycles * self.architecture.additions_per_cycle)

    @cached_property
    def energy_pj(self) -> dict[str, float]:
        """Picojoules of one sample in the three scopes: compute (the papers' arithmetic), core (the chip), system (core and
        channel)."""
        return by_scope(self._pj)

    @cached_property
    def _pj(self) -> NDArray[np.float64]:
        """(3,) what `energy_pj` is made of: the sums of `accounts`."""
        return self._pj_of(~self.operations["setup"].to_numpy(bool), self.facts.samples, float(self.cycles.mean()))

    def _pj_of(self, chosen: NDArray[np.bool_], samples: int, cycles: float) -> NDArray[np.float64]:
        """(3,) pJ of the chosen operations per sample, and of so many elapsed cycles."""
        counts = self.counts_of(chosen)[None] / samples
        found: NDArray[np.float64] = self._counted_pj(counts)[0] + cycles * self._working_pj
        return found

    def _counted_pj(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        return counted_pj(counts, self.architecture, self.facts.layers, read_overrides(self.overrides), self.used,
                          self.facts.payload_bits, self.facts.value_bits)

    @cached_property
    def _working_pj(self) -> NDArray[np.float64]:
        return working_pj(self.architecture, read_overrides(self.overrides), self.used)

    @property
    def free_links(self) -> dict[str, Any] | None:
        """Per sample, `cycles` and `energy_pj` by scope if links cost nothing: no bit and no hop, and nobody waits for a link.
        What a real network makes of the schedule lies between. None where there are no links."""
        total = self.facts.total_cycles_free_links
        return None if total is None else {
            "cycles": total / self.facts.samples, "energy_pj": self.energy_in(total / self.facts.samples, links=False)}

    def energy_in(self, cycles: float, links: bool = True) -> dict[str, float]:
        """Picojoules of one sample in the three scopes if it took so many cycles, with what links cost or without.

        The work is the same. What goes with time, leakage and the logic of every cycle, is of these cycles.
        """
        pj = self._pj + (cycles - float(self.cycles.mean())) * self._working_pj
        if not links:
            pj = pj - self._counted_pj(self.layer_counts.mean(axis=0)[None] * _OF_LINKS)[0]
        return by_scope(pj)

    @property
    def total_energy_pj(self) -> dict[str, float]:
        """Picojoules of all samples in the three scopes; setup is not in it."""
        return {scope: pj * self.facts.samples for scope, pj in self.energy_pj.items()}

    @cached_property
    def sample_energy_pj(self) -> dict[str, NDArray[np.float64]]:
        """Picojoules of each sample in the three scopes: (samples,) each, in the order of `cycles`."""
        compute, core, channel = (self._counted_pj(self.layer_counts) + self.cycles[:, None] * self._working_pj).T
        return {"compute": compute, "core": core, "system": core + channel}

    @property
    def power_w(self) -> float:
        """Watts of the whole system while it runs: energy over time of all samples."""
        return self.energy_pj["system"] * 1e-12 / self.latency_s

    @property
    def energy_delay_js(self) -> float:
        """Joule-seconds of one sample, system energy times latency: the mean of the samples' own products."""
        seconds = self.cycles / self.architecture.clock
        return float((self.sample_energy_pj["system"] * 1e-12 * seconds).mean())

    @property
    def spread(self) -> dict[str, Any]:
        """Standard deviations over the samples of cycles, latency_s, synaptic_operations and energy_pj (by scope)."""
        operations = self.layer_counts[..., INDEX["acc_add"]].sum(axis=(1, 2))
        return {
            "cycles": _spread(self.cycles), "latency_s": _spread(self.cycles / self.architecture.clock),
            "synaptic_operations": _spread(operations),
            "energy_pj": {scope: _spread(pj) for scope, pj in self.sample_energy_pj.items()},
        }

    # -- what is on ---------------------------------------------------------------------------------------------

    @property
    def used(self) -> list[str] | None:
        """Names of the memories that are on, None for every one that the design has."""
        return None if self.leak_unused else self.facts.memories_used

    @property
    def memories_off(self) -> list[str]:
        """Memories that the design has and that are off: they neither leak nor take area."""
        if self.leak_unused:
            return []
        there = {n: None for one, _ in self.architecture.kinds() for n, bits in one.capacities.items() if bits}
        return [n for n in there if n not in self.facts.memories_used]

    @cached_property
    def area_mm2(self) -> float:
        """Area of all units and of the memories that are on."""
        return area_mm2(self.architecture, self.used)

    @cached_property
    def clock_problems(self) -> list[str]:
        """Memories that are on and slower than the clock; numbers at such a clock are those of no real design."""
        return check_timing(self.architecture, self.used)

    # -- identity -----------------------------------------------------------------------------------------------

    @property
    def sim_id(self) -> str:
        """Identity of the cycles and counts: the first 16 digits of the Task's hash."""
        return self.task.hash[:16]

    @cached_property
    def price_id(self) -> str:
        """Identity of the price list, with what leaks."""
        return price_hash(self.architecture, self.overrides, self.used)

    @cached_property
    def run_id(self) -> str:
        """Identity of the energies: `sim_id` and `price_id`."""
        return sha256(f"{self.sim_id} {self.price_id}".encode()).hexdigest()[:16]

    @cached_property
    def accounts(self) -> pd.DataFrame:
        """Priced activity and leakage, per sample, in both accounts: rows of the scope compute are the papers' arithmetic, those
        of core and system the hardware. core, layer, timestep, unit, component, event, state, scope, count, price_pj, energy_pj,
        formula, source."""
        return price_activity(self.activity.drop(columns="total_count"), self.architecture, float(self.cycles.mean()),
                              self.facts.payload_bits, self.overrides, self.used, self.facts.value_bits)

    @cached_property
    def energy(self) -> pd.DataFrame:
        """The hardware's rows of `accounts`, which add up to the system's energy.

        `unit` is who does the work, and `leakage` for all that leaks; `component` is the hardware, and holds both its
        work and its leakage. Either adds up to the system's energy. `state` is the power state of what leaks: on, or off for a
        memory that the network does not use.
        """
        return self.accounts[self.accounts["scope"] != "compute"].reset_index(drop=True)

    @cached_property
    def arithmetic(self) -> pd.DataFrame:
        """The papers' rows of `accounts`, which add up to the energy of the compute scope: no other energy holds them."""
        return self.accounts[self.accounts["scope"] == "compute"].reset_index(drop=True)

    @cached_property
    def setup_energy_pj(self) -> float:
        """System energy of what is done once (loading weights that stay); leakage of its cycles included."""
        return by_scope(self._pj_of(self.loads(None), 1, self.facts.setup_cycles))["system"]

    @cached_property
    def area(self) -> pd.DataFrame:
        """Area of units and of the memories that are on: component, count, area_um2, source."""
        return area(self.architecture, self.used)

    # -- at a rate of samples per second ------------------------------------------------------------------------

    @property
    def highest_rate_hz(self) -> float:
        """Samples per second when they run back to back."""
        return highest_rate_hz(self.architecture, float(self.cycles.mean()))

    def at_rate(self, rate_hz: float, per_idle_cycle: Mapping[str, float] | None = None) -> AtRate:
        """Energy per sample at `rate_hz` samples per second: as at full speed while it runs, then leakage in the states that the
        design's `power` says until the next sample comes (hwsim/cost/rate.py).

        per_idle_cycle   events that go on in every cycle in which a core waits, with their count; none by default.

        Raises RateError for a rate above `highest_rate_hz`, and where a memory that is off between samples loses what nothing
        loads again.
        """
        check_rate(rate_hz)
        cycles, setup = float(self.cycles.mean()), self.operations["setup"].astype(bool)
        memories = self.operations["memory"]
        lost = lost_between_samples(self.architecture, self.facts.memories_used, set(memories), set(memories[setup]))
        load_cycles = self.load_cycles(lost)
        work = Work(lambda: self.accounts, self._pj, cycles, lambda: self.setup_of(lost)[0],
                    self._pj_of(self.loads(lost), 1, load_cycles) if lost else np.zeros(3), load_cycles, lost,
                    self.facts.payload_bits)
        late = int((self.cycles > self.architecture.clock / rate_hz * (1 + 1e-9)).sum())
        return energy_at_rate(work, self.architecture, rate_hz, self.overrides, self.used, per_idle_cycle or {}, late)

    @cached_property
    def shown_rate(self) -> dict[str, Any]:
        """`at_rate(rate_hz)` as plain numbers; None in place of those that a rate out of reach does not have."""
        if not reaches(self.rate_hz, self.highest_rate_hz):
            return unreached(self.rate_hz, self.highest_rate_hz)
        return self.at_rate(self.rate_hz).summary()

    # -- repricing, saving --------------------------------------------------------------------------------------

    def reprice(
        self, overrides: Mapping[str, Any] | str | Path | None = None, *, leak_unused: bool | None = None, **technology: Any
    ) -> Result:
        """The same cycles and counts at other prices: overrides by event, or other technology tables by name.

        overrides     pJ by event or the path of a YAML file, as for `simulate`; they replace those of this result, and {} removes
                      them. None leaves them as they are.
        leak_unused   whether memories that the network does not use leak and take area; None leaves it as it is.
        technology    units, memory, logic, dram (names or paths of tables), clock_gating (gated, free_running), temperature_k
                      (300, 360), node_nm, vdd_v (volts), family, gate_leakage, leakage_over_table; what is left out stays.

        Raises RepriceError with every argument that cannot be; EnergyError, TechnologyError or MemoryProfileError for a
        table that is not there or lacks a price; ScalingError where no declared rule leads from a table to the design's supply.
        """
        leaks = self.leak_unused if leak_unused is None else leak_unused
        design = self.architecture.model_copy(update={"technology": _technology(self.architecture, technology, leaks)})
        given = self.overrides if overrides is None else plain_overrides(overrides)
        priced = replace(self, architecture=design, overrides=given, leak_unused=leaks)
        check_prices(design, priced.overrides, priced.used)
        return priced

    def priced(
        self, arch: Architecture, overrides: Mapping[str, Any] | str | Path | None = None, leak_unused: bool = False
    ) -> Result:
        """The same cycles and counts on a design that differs in names, clock or prices only.

        Raises RepriceError for a design that takes other cycles; what `reprice` raises for prices.
        """
        if arch.timing() != self.architecture.timing():
            raise RepriceError(f"{arch.name} differs from {self.architecture.name} in fields that decide cycles or counts; "
                               "simulate it")
        if arch.network is not None and self.architecture.network is not None:
            # A design that leaves it to hwsim where layers are goes with whatever was found.
            given, ours = arch.network.placement, self.architecture.network.placement
            everywhere = {layer: arch.core_names for layer in self.facts.layers}
            if given != "auto" and (everywhere if isinstance(given, str) else given) != ours:
                raise RepriceError(f"{arch.name} places layers on other cores than {self.architecture.name}; simulate it")
            arch = arch.model_copy(update={"network": self.architecture.network})
        if wrong := _not_boolean(leak_unused):
            raise RepriceError(wrong)
        found = replace(self, architecture=arch, overrides=plain_overrides(overrides), leak_unused=leak_unused,
                        facts=replace(self.facts, arch=arch.name))
        check_prices(arch, found.overrides, found.used)
        return found

    @staticmethod
    def merge(results: Iterable[Result]) -> Result:
        """One result of all samples of several, which ran different samples of one simulation at the same prices.

        It equals the result of one run over all of them, in the order given. Raises TaskError for results of different
        simulations or with a sample in common, ResultError for different prices or designs of different names.
        """
        results = list(results)
        if strange := [found for found in results if not isinstance(found, Result)]:
            raise ResultError(f"found {strange[0]!r} among the results, expected hwsim.Result; load a saved one with load_result")
        task = merged(result.task for result in results)
        first = results[0]
        if len({result.price_id for result in results}) > 1:
            raise ResultError("results at different prices cannot be merged; reprice them alike first")
        if len({result.rate_hz for result in results}) > 1:
            raise ResultError("results shown at different rates cannot be merged; give them one rate_hz first")
        if len(names := dict.fromkeys(result.facts.arch for result in results)) > 1:
            raise ResultError(f"results of designs of different names ({', '.join(names)}) cannot be merged, one name would not "
                              "be true of all; give them one with Result.priced(design)")
        return replace(first, task=task, **joined(results, task))

    def save(
        self, folder: str | Path, draw: Callable[[Sequence[Result], Path], object] | None = None,
        command: Sequence[str] | None = None,
    ) -> Path:
        """Write every frame as CSV and the facts as JSON into `folder`; `hwsim.load_result` reads it back.

        draw      writes figures into the same folder, in the same step: hwsim.view.plot.save_figures.
        command   the words of the command line that made the result, to be kept with it.
        """
        return save_result(self, {"energy": self.energy, "arithmetic": self.arithmetic, "area": self.area}, {
            "overrides": dict(self.overrides), "leak_unused": self.leak_unused, "rate_hz": self.rate_hz,
            "summary": self.summary()},
            folder, draw and (lambda made: draw([self], made)), command)

    def summary(self) -> dict[str, Any]:
        """One flat, JSON-ready object: numbers per sample, their spread, and their totals (this module's first lines)."""
        f, spread, operations = self.facts, self.spread, self.synaptic_operations
        return {
            "trace": f.trace, "coding": f.coding, "timesteps": f.timesteps, "arch": f.arch, "schedule": f.schedule,
            "engine": f.engine, "spikes": f.spikes, "check": self.task.check, "samples": f.samples,
            "cycles": float(self.cycles.mean()), "cycles_spread": spread["cycles"], "total_cycles": self.total_cycles,
            "latency_s": self.latency_s, "latency_spread_s": spread["latency_s"],
            "synaptic_operations": operations, "synaptic_operations_spread": spread["synaptic_operations"],
            "total_synaptic_operations": self.total_synaptic_operations,
            "energy_pj": self.energy_pj, "energy_spread_pj": spread["energy_pj"], "total_energy_pj": self.total_energy_pj,
            "energy_delay_js": self.energy_delay_js,
            "setup_cycles": f.setup_cycles, "setup_energy_pj": self.setup_energy_pj,
            "pj_per_synaptic_operation": {k: v / operations if operations else None for k, v in self.energy_pj.items()},
            "free_links": self.free_links, "at_rate": self.shown_rate, "power_w": self.power_w, "utilisation": self.utilisation,
            "area_mm2": self.area_mm2, "memories_off": self.memories_off, "meets_clock": not self.clock_problems,
            "mismatches": f.mismatches, "saturations": f.saturations,
            "accuracy": f.accuracy, "accuracy_interval": self.accuracy_interval,
            "accuracy_test_set": f.accuracy_test_set, "sim_id": self.sim_id,
            "run_id": self.run_id,
        }


    def __repr__(self) -> str:
        """The lines that `hwsim run` prints."""
        return card_text(self.summary())

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        return card_html(self.summary())


def wilson(right: int, judged: int) -> tuple[float, float]:
    """The ends of Wilson's interval of a share, at 95 % confidence; it holds for few samples, and for shares near 0 and 1."""
    z = NormalDist().inv_cdf(0.975)
    share, scale = right / judged, 1 + z * z / judged
    middle = (share + z * z / (2 * judged)) / scale
    half = z * sqrt(share * (1 - share) / judged + (z / (2 * judged)) ** 2) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def _spread(values: NDArray[Any]) -> float | None:
    """Standard deviation over samples; one sample has none. Equal ones have exactly 0, whatever rounding says."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1)) if np.ptp(values) else 0.0


def _not_boolean(leak_unused: Any) -> str:
    """Why it is no answer to whether unused memories leak; empty for True and False."""
    return "" if isinstance(leak_unused, bool) else f"leak_unused is {leak_unused!r}, expected True or False"


def _technology(arch: Architecture, changes: Mapping[str, Any], leak_unused: Any) -> Technology:
    """The design's technology with other tables. Raises RepriceError with every argument that cannot be."""
    allowed = {"units": "the name of a units table", "memory": "the name of a memory profile",
               "logic": "the name of a logic table", "clock_gating": "gated or free_running",
               "dram": "the name of a DRAM table", "links": "the name of a table of links",
               "temperature_k": "300 or 360 (kelvin)",
               "node_nm": "a node from 5 to 180 (nm)", "vdd_v": "a supply from 0.3 to 1.5 (volts)", "family": "lp or hp",
               "gate_leakage": "repaired or printed",
               "leakage_over_table": "a number above 0, or None"}
    wrong = [f"reprice: {name}={value!r}: there is no such setting; allowed are {', '.join(allowed)}, leak_unused and "
             "overrides by event" for name, value in changes.items() if name not in allowed]
    wrong += [f"reprice: {text}" for text in [_not_boolean(leak_unused)] if text]
    known = {name: value for name, value in changes.items() if name in allowed}
    try:
        made = Technology.model_validate(arch.technology.model_dump() | known)
    except ValidationError as error:
        names = [str(e["loc"][0]) for e in error.errors()]
        wrong += [f"reprice: {name}={known[name]!r}: allowed is {allowed[name]}" for name in names]
    if wrong:
        raise RepriceError("\n".join(wrong))
    return made
