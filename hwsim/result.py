"""What a simulation found: integer activity and cycles, priced on demand, in tidy frames that save and load.

Cycles and counts come from an engine and never change; picojoules are made here from a price list, so repricing never
simulates again (`sim_id` stays, `run_id` moves).

Every number is per sample, the mean over the samples. `spread` in a name is the standard deviation over the samples
(divided by n - 1; None for one sample), `total` in a name is the sum over the samples, `setup` is what happens once,
however many samples follow. Three numbers are ratios of means: power, utilisation and energy per synaptic operation.
`mismatches` and `saturations` are checks and count over the whole run: a mean could round one wrong output away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hwsim.activity import EVENTS, INDEX, SCOPES, VOCABULARY
from hwsim.arch import Architecture, Technology
from hwsim.cost.overrides import plain_overrides
from hwsim.errors import HwsimError
from hwsim.program import CHANNEL
from hwsim.task import Task, merged

if TYPE_CHECKING:
    import pandas as pd

WAIT = "wait"
"""The cause of cycles in which a resource has nothing to do."""


class ResultError(HwsimError):
    """A saved result that cannot be loaded; the text names the file and what is wrong."""


class RepriceError(HwsimError):
    """Arguments of `Result.reprice` that cannot be; the text names each with what is allowed."""


@dataclass(frozen=True)
class Facts:
    """What identifies a run and what was checked, JSON-ready.

    mismatches, saturations   counted over all samples.       judged  samples that accuracy is the share of.
    payload_bits, value_bits  by layer, bits of a multiplication's event operand, and of a value in the buffer; 0: none.
    is_ann                    the trace holds multi-bit activations of a quantised ANN, no spikes.
    setup_cycles              once, before the first sample.
    memories_used             those that the network needs on this design (hwsim/cores/provision.py); the others are off.
    """

    trace: str
    trace_hash: str
    coding: str
    timesteps: int
    is_ann: bool
    arch: str
    schedule: str
    engine: str
    spikes: str
    samples: int
    sample_indices: list[int]
    layers: list[str]
    payload_bits: dict[str, int]
    value_bits: dict[str, int]
    mismatches: int | None
    mismatches_by_layer: dict[str, int]
    saturations: int
    accuracy: float | None
    judged: int
    accuracy_test_set: float | None
    setup_cycles: int
    memories_used: list[str]


@dataclass(eq=False)
class Result:
    """One trace on one architecture.

    task              what was run: all that decides cycles and counts.
    facts             names, hashes, checks.
    architecture      the design, whole, so that a saved result can be repriced.
    cycles            (samples,) int64, end to end for each sample; setup is apart in facts.setup_cycles.
    layer_counts      (samples, cores, layers + 1, len(EVENTS)) int64; the last row is the input and its transfers.
    operation_counts  (operations, timesteps, len(EVENTS)) int64: of setup operations once, of all others summed over
                      the samples.
    operations        frame: op, kind, resource, core, layer, tile, memory, first_timestep, last_timestep, setup.
    spans             (samples, operations, 2) int64 start and end cycles.
    overrides         prices that replace those of the tables.
    leak_unused       memories that the network does not use leak and take area as well.
    """

    task: Task
    facts: Facts
    architecture: Architecture
    cycles: NDArray[np.int64]
    layer_counts: NDArray[np.int64]
    operation_counts: NDArray[np.int64]
    operations: pd.DataFrame
    spans: NDArray[np.int64]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    leak_unused: bool = False

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
    def total_cycles(self) -> int:
        return int(self.cycles.sum())

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
    def utilisation(self) -> float:
        """Synaptic operations over what the adders could have done in the elapsed cycles."""
        return self.total_synaptic_operations / max(1, self.total_cycles * self.architecture.pe_count)

    @cached_property
    def energy_pj(self) -> dict[str, float]:
        """Picojoules of one sample in the three cumulative scopes: compute, core, system."""
        from hwsim.cost.energy import scopes

        return scopes(self.energy)

    @property
    def total_energy_pj(self) -> dict[str, float]:
        """Picojoules of all samples in the three cumulative scopes; setup is not in it."""
        return {scope: pj * self.facts.samples for scope, pj in self.energy_pj.items()}

    @cached_property
    def sample_energy_pj(self) -> dict[str, NDArray[np.float64]]:
        """Picojoules of each sample in the three cumulative scopes: (samples,) each, in the order of `cycles`."""
        from hwsim.cost.energy import leakage, price_activity

        priced = price_activity(self.activity_by_sample, self.architecture, 0, self.facts.payload_bits, self.overrides,
                                self.used, self.facts.value_bits)
        table = priced.pivot_table(index="sample", columns="scope", values="energy_pj", aggfunc="sum")
        own = table.reindex(index=self.facts.sample_indices, columns=SCOPES).fillna(0.0).to_numpy(np.float64, copy=True)
        leaks_mw = leakage(self.architecture, self.overrides, self.used)["leakage_mw"].sum()
        own[:, SCOPES.index("core")] += self.cycles * (leaks_mw * self.architecture.period_ns)
        return dict(zip(SCOPES, own.cumsum(axis=1).T, strict=True))

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
        return float(self.area["area_um2"].sum()) / 1e6

    @cached_property
    def clock_problems(self) -> list[str]:
        """Memories that are on and slower than the clock; numbers at such a clock are those of no real design."""
        from hwsim.cost.clock import check_timing

        return check_timing(self.architecture, self.used)

    # -- identity -----------------------------------------------------------------------------------------------

    @property
    def sim_id(self) -> str:
        """Identity of the cycles and counts: the first 16 digits of the Task's hash."""
        return self.task.hash[:16]

    @cached_property
    def price_id(self) -> str:
        """Identity of the price list, with what leaks."""
        from hwsim.cost.energy import price_hash

        return price_hash(self.architecture, self.overrides, self.used)

    @cached_property
    def run_id(self) -> str:
        """Identity of the energies: `sim_id` and `price_id`."""
        return sha256(f"{self.sim_id} {self.price_id}".encode()).hexdigest()[:16]

    # -- frames -------------------------------------------------------------------------------------------------

    @cached_property
    def activity(self) -> pd.DataFrame:
        """Counts: core, layer, timestep, unit, event, count (per sample), total_count. Setup is not in it."""
        keep = ~self.operations["setup"].to_numpy(bool)
        frame = self._frame(self.operation_counts[keep], self.operations[keep]).rename(columns={"count": "total_count"})
        frame.insert(5, "count", frame["total_count"] / self.facts.samples)
        return frame

    @cached_property
    def setup_activity(self) -> pd.DataFrame:
        """Counts of what is done once, before the first sample: core, layer, timestep, unit, event, count."""
        keep = self.operations["setup"].to_numpy(bool)
        return self._frame(self.operation_counts[keep], self.operations[keep])

    @cached_property
    def activity_by_sample(self) -> pd.DataFrame:
        """Counts of each sample: sample, core, layer, unit, event, count."""
        import pandas as pd

        s, core, layer, event = np.nonzero(self.layer_counts)
        return pd.DataFrame({
            "sample": np.asarray(self.facts.sample_indices)[s],
            **self._named(core, layer, event), "count": self.layer_counts[s, core, layer, event],
        })

    def _named(
        self, core: NDArray[np.intp], layer: NDArray[np.intp], event: NDArray[np.intp], **between: NDArray[np.intp]
    ) -> dict[str, NDArray[Any]]:
        """Columns core, layer, those in `between`, unit, event for positions of each."""
        cores, layers = (np.array(n, dtype=object) for n in (self.architecture.core_names, [*self.facts.layers, "input"]))
        units, events = (np.array(n, dtype=object) for n in ([e.unit for e in VOCABULARY], EVENTS))
        return {"core": cores[core], "layer": layers[layer], **between, "unit": units[event], "event": events[event]}

    def _frame(self, counts: NDArray[np.int64], operations: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        names = list(self.architecture.core_names)
        cores = operations["core"].map(names.index).to_numpy(np.int64)
        where = np.zeros((len(names), len(self.facts.layers) + 1, *counts.shape[1:]), np.int64)
        np.add.at(where, (cores, operations["layer"].to_numpy()), counts)  # the input is layer -1, the last row
        core, layer, step, event = np.nonzero(where)
        return pd.DataFrame({**self._named(core, layer, event, timestep=step), "count": where[core, layer, step, event]})

    @cached_property
    def cycles_frame(self) -> pd.DataFrame:
        """Cycles by resource and layer: resource, layer, cause, cycles (per sample), total_cycles.

        A core is `busy`, stalls (`stall_hazard`, `stall_port`, `stall_serialiser`), idles within its runs (`idle`), or has
        nothing to run (`wait`): it waits for the channel or for other cores. The channel is `busy` or waits. The causes of
        each resource add up to the elapsed cycles, and none is negative.
        """
        import pandas as pd

        rows: list[tuple[str, str, str, int]] = []
        for name in self.architecture.core_names:
            mine = [row for i in range(len(self.facts.layers)) for row in self._core_cycles(name, i)]
            spent = sum(row[3] for row in mine)
            rows += [*mine, (name, "", WAIT, self.total_cycles - spent)]
        rows += self._channel_cycles()
        columns = ["resource", "layer", "cause", "total_cycles"]
        frame = pd.DataFrame(rows, columns=columns)
        frame.insert(3, "cycles", frame["total_cycles"] / self.facts.samples)
        return frame

    def _core_cycles(self, core: str, layer: int) -> list[tuple[str, str, str, int]]:
        """What a core does in its runs of a layer, all samples."""
        operations = self.operations
        chosen = ((operations["resource"] == core) & (operations["layer"] == layer)).to_numpy()
        spent = int((self.spans[:, chosen, 1] - self.spans[:, chosen, 0]).sum())
        counts = self.operation_counts[chosen].sum(axis=(0, 1))
        parts = {k: int(counts[INDEX[f"cycles_{k}"]]) for k in ("busy", "stall_hazard", "stall_serialiser")}
        # A slot that issues while EXEC waits is counted in both; it is a busy cycle.
        parts["stall_serialiser"] -= int(counts[INDEX["cycles_overlapped"]])
        if ports := int(counts[INDEX["cycles_stall_port"]]):
            parts["stall_port"] = ports
        parts["idle"] = spent - sum(parts.values())
        return [(core, self.facts.layers[layer], cause, n) for cause, n in parts.items()]

    def _channel_cycles(self) -> list[tuple[str, str, str, int]]:
        operations = self.operations
        rows = []
        for layer, name in [(-1, "input"), *enumerate(self.facts.layers)]:
            chosen = ((operations["resource"] == CHANNEL) & (operations["layer"] == layer) & ~operations["setup"]).to_numpy(bool)
            spent = int((self.spans[:, chosen, 1] - self.spans[:, chosen, 0]).sum())
            rows.append((CHANNEL, name, "busy", spent))
        return [*rows, (CHANNEL, "", WAIT, self.total_cycles - sum(row[3] for row in rows))]

    @cached_property
    def energy(self) -> pd.DataFrame:
        """Priced activity and leakage, per sample: core, layer, timestep, unit, component, event, scope, count, price_pj,
        energy_pj, formula, source.

        `unit` is who does the work, and `leakage` for all that leaks; `component` is the hardware, and holds both its
        work and its leakage. Either adds up to the system's energy.
        """
        from hwsim.cost.energy import price_activity

        return price_activity(self.activity.drop(columns="total_count"), self.architecture, float(self.cycles.mean()),
                              self.facts.payload_bits, self.overrides, self.used, self.facts.value_bits)

    @cached_property
    def setup_energy_pj(self) -> float:
        """System energy of what is done once (loading weights that stay); leakage of its cycles included."""
        from hwsim.cost.energy import price_activity, scopes

        return scopes(price_activity(self.setup_activity, self.architecture, self.facts.setup_cycles,
                                     self.facts.payload_bits, self.overrides, self.used, self.facts.value_bits))["system"]

    @cached_property
    def area(self) -> pd.DataFrame:
        """Area of units and of the memories that are on: component, count, area_um2, source."""
        from hwsim.cost.area import area

        return area(self.architecture, self.used)

    @cached_property
    def timeline(self) -> pd.DataFrame:
        """Every operation of every sample with its start and end cycle (within its sample)."""
        import pandas as pd

        samples, count = self.spans.shape[:2]
        frame = pd.concat([self.operations] * samples, ignore_index=True)
        frame.insert(0, "sample", np.repeat(self.facts.sample_indices, count))
        names = np.array([*self.facts.layers, "input"], dtype=object)
        frame["layer"] = names[frame["layer"].to_numpy()]
        frame["start_cycle"] = self.spans[:, :, 0].reshape(-1)
        frame["end_cycle"] = self.spans[:, :, 1].reshape(-1)
        return frame[~frame["setup"]].reset_index(drop=True)

    # -- repricing, saving --------------------------------------------------------------------------------------

    def reprice(
        self, overrides: Mapping[str, Any] | str | Path | None = None, *, leak_unused: bool | None = None, **technology: Any
    ) -> Result:
        """The same cycles and counts at other prices: overrides by event, or other technology tables by name.

        overrides     pJ by event or the path of a YAML file, as for `simulate`; they replace those of this result.
        leak_unused   whether memories that the network does not use leak and take area; None leaves it as it is.
        technology    units, memory, dram (names or paths of tables), temperature_k (300, 360), node_nm, vdd_v (volts), family,
                      gate_leakage, leakage_over_table; what is left out stays.

        Raises RepriceError with every argument that cannot be; EnergyError, TechnologyError or MemoryProfileError for a
        table that is not there or lacks a price; ScalingError where no declared rule leads from a table to the design's supply.
        """
        from hwsim.cost.energy import check_prices

        leaks = self.leak_unused if leak_unused is None else leak_unused
        design = self.architecture.model_copy(update={"technology": _technology(self.architecture, technology, leaks)})
        priced = replace(self, architecture=design, overrides=plain_overrides(overrides), leak_unused=leaks)
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
        if wrong := _not_boolean(leak_unused):
            raise RepriceError(wrong)
        from hwsim.cost.energy import check_prices

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
        if len(names := dict.fromkeys(result.facts.arch for result in results)) > 1:
            raise ResultError(f"results of designs of different names ({', '.join(names)}) cannot be merged, one name would not "
                              "be true of all; give them one with Result.priced(design)")
        facts = [result.facts for result in results]
        judged = sum(f.judged for f in facts)
        right = sum(round((f.accuracy or 0.0) * f.judged / 100) for f in facts)
        known = [f.mismatches for f in facts if f.mismatches is not None]
        setup = first.operations["setup"].to_numpy(bool)
        counts = np.where(setup[:, None, None], first.operation_counts, sum(r.operation_counts for r in results))
        return replace(
            first, task=task, cycles=np.concatenate([r.cycles for r in results]),
            layer_counts=np.concatenate([r.layer_counts for r in results]), operation_counts=counts,
            spans=np.concatenate([r.spans for r in results]),
            facts=replace(
                first.facts, samples=len(task.samples), sample_indices=list(task.samples), judged=judged,
                accuracy=100.0 * right / judged if judged else None, saturations=sum(f.saturations for f in facts),
                mismatches=sum(known) if len(known) == len(facts) else None,
                mismatches_by_layer={name: sum(f.mismatches_by_layer[name] for f in facts)
                                     for name in first.facts.mismatches_by_layer}))

    def save(self, folder: str | Path) -> Path:
        """Write every frame as CSV and the facts as JSON into `folder`; `hwsim.load_result` reads it back."""
        from hwsim.result_file import save_result

        return save_result(self, folder)

    def summary(self) -> dict[str, Any]:
        """One flat, JSON-ready object: numbers per sample, their spread, and their totals (this module's first lines)."""
        f, spread, operations = self.facts, self.spread, self.synaptic_operations
        return {
            "trace": f.trace, "coding": f.coding, "timesteps": f.timesteps, "arch": f.arch, "schedule": f.schedule,
            "engine": f.engine, "spikes": f.spikes, "samples": f.samples,
            "cycles": float(self.cycles.mean()), "cycles_spread": spread["cycles"], "total_cycles": self.total_cycles,
            "latency_s": self.latency_s, "latency_spread_s": spread["latency_s"],
            "synaptic_operations": operations, "synaptic_operations_spread": spread["synaptic_operations"],
            "total_synaptic_operations": self.total_synaptic_operations,
            "energy_pj": self.energy_pj, "energy_spread_pj": spread["energy_pj"], "total_energy_pj": self.total_energy_pj,
            "energy_delay_js": self.energy_delay_js,
            "setup_cycles": f.setup_cycles, "setup_energy_pj": self.setup_energy_pj,
            "pj_per_synaptic_operation": {k: v / operations if operations else None for k, v in self.energy_pj.items()},
            "power_w": self.power_w, "utilisation": self.utilisation,
            "area_mm2": self.area_mm2, "memories_off": self.memories_off, "meets_clock": not self.clock_problems,
            "mismatches": f.mismatches, "saturations": f.saturations,
            "accuracy": f.accuracy, "accuracy_test_set": f.accuracy_test_set, "sim_id": self.sim_id,
            "run_id": self.run_id,
        }


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
               "dram": "the name of a DRAM table", "temperature_k": "300 or 360 (kelvin)",
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
