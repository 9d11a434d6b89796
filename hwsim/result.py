"""What a simulation found: integer activity and cycles, priced on demand, in tidy frames that save and load.

Cycles and counts come from an engine and never change; picojoules are made here from a price list, so repricing never
simulates again (`sim_id` stays, `run_id` moves). Totals are over the samples unless a name says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX, VOCABULARY
from hwsim.arch import Architecture
from hwsim.errors import HwsimError

if TYPE_CHECKING:
    import pandas as pd

MODEL_VERSION = "1"
"""Moves with every change that moves a cycle or a count; CHANGELOG.md, "Model changes"."""


class ResultError(HwsimError):
    """A saved result that cannot be loaded; the text names the file and what is wrong."""


@dataclass(frozen=True)
class Facts:
    """What identifies a run and what was checked, JSON-ready."""

    trace: str
    trace_hash: str
    coding: str
    timesteps: int
    arch: str
    schedule: str
    engine: str
    spikes: str
    samples: int
    sample_indices: list[int]
    layers: list[str]
    payload_bits: dict[str, int]
    mismatches: int | None
    mismatches_by_layer: dict[str, int]
    saturations: int
    accuracy: float | None
    accuracy_test_set: float | None
    setup_cycles: int


@dataclass(eq=False)
class Result:
    """One trace on one architecture.

    facts             names, hashes, checks.
    architecture      the design, whole, so that a saved result can be repriced.
    cycles            (samples,) int64, end to end for each sample; setup is apart in facts.setup_cycles.
    layer_counts      (samples, layers + 1, len(EVENTS)) int64; the last row is the input and its transfers.
    operation_counts  (operations, timesteps, len(EVENTS)) int64, summed over samples; setup operations included.
    operations        frame: op, kind, resource, layer, tile, memory, first_timestep, last_timestep, setup.
    spans             (samples, operations, 2) int64 start and end cycles.
    """

    facts: Facts
    architecture: Architecture
    cycles: NDArray[np.int64]
    layer_counts: NDArray[np.int64]
    operation_counts: NDArray[np.int64]
    operations: pd.DataFrame
    spans: NDArray[np.int64]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    # -- single numbers -----------------------------------------------------------------------------------------

    @property
    def latency_s(self) -> float:
        """Mean seconds of one sample."""
        return float(self.cycles.mean()) / self.architecture.clock

    @property
    def synaptic_operations(self) -> int:
        """In-bounds synapses of all events, all samples."""
        return int(self.layer_counts[:, :, INDEX["acc_add"]].sum())

    @property
    def mismatches(self) -> int | None:
        """Outputs unlike the recorded ones; None when the trace has no weights."""
        return self.facts.mismatches

    @property
    def accuracy(self) -> float | None:
        """Percent of the replayed samples that the hardware classified as labelled; None without labels."""
        return self.facts.accuracy

    @property
    def utilisation(self) -> float:
        """Synaptic operations over what the adders could have done in the elapsed cycles."""
        return self.synaptic_operations / max(1, int(self.cycles.sum()) * self.architecture.pe_count)

    @cached_property
    def energy_pj(self) -> dict[str, float]:
        """Picojoules of all samples in the three cumulative scopes: compute, core, system."""
        from hwsim.energy import scopes

        return scopes(self.energy)

    @property
    def power_w(self) -> float:
        """Mean watts of the whole system while it runs."""
        return self.energy_pj["system"] * 1e-12 / (int(self.cycles.sum()) / self.architecture.clock)

    @property
    def energy_delay_js(self) -> float:
        """Joule-seconds of one sample: mean system energy times mean latency."""
        return self.energy_pj["system"] * 1e-12 / self.facts.samples * self.latency_s

    @cached_property
    def area_mm2(self) -> float:
        return float(self.area["area_um2"].sum()) / 1e6

    @cached_property
    def clock_problems(self) -> list[str]:
        """Memories that are slower than the clock; numbers at such a clock are those of no real design."""
        from hwsim.memory import check_timing

        return check_timing(self.architecture)

    @cached_property
    def sim_id(self) -> str:
        """Identity of the cycles and counts: trace, samples, architecture, schedule, spikes, engine, model version."""
        f = self.facts
        parts = [f.trace_hash, f.sample_indices, self.architecture.timing_hash(), f.schedule, f.spikes, f.engine,
                 MODEL_VERSION]
        return sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @cached_property
    def run_id(self) -> str:
        """`sim_id` and the price list."""
        from hwsim.energy import price_hash

        prices = price_hash(self.architecture, self.overrides)
        return sha256(f"{self.sim_id} {prices}".encode()).hexdigest()[:16]

    # -- frames -------------------------------------------------------------------------------------------------

    @cached_property
    def activity(self) -> pd.DataFrame:
        """Counts of all samples: layer, timestep, unit, event, count. Setup is not in it."""
        keep = ~self.operations["setup"].to_numpy(bool)
        return self._frame(self.operation_counts[keep], self.operations[keep])

    @cached_property
    def setup_activity(self) -> pd.DataFrame:
        """Counts of what is done once, before the first sample."""
        keep = self.operations["setup"].to_numpy(bool)
        return self._frame(self.operation_counts[keep], self.operations[keep])

    @cached_property
    def activity_by_sample(self) -> pd.DataFrame:
        """Counts by sample: sample, layer, unit, event, count."""
        import pandas as pd

        s, layer, event = np.nonzero(self.layer_counts)
        names = np.array([*self.facts.layers, "input"], dtype=object)
        units = np.array([e.unit for e in VOCABULARY], dtype=object)
        return pd.DataFrame({
            "sample": np.asarray(self.facts.sample_indices)[s], "layer": names[layer], "unit": units[event],
            "event": np.array(EVENTS, dtype=object)[event], "count": self.layer_counts[s, layer, event],
        })

    def _frame(self, counts: NDArray[np.int64], operations: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        layers = operations["layer"].to_numpy()
        by_layer = np.zeros((len(self.facts.layers) + 1, *counts.shape[1:]), np.int64)
        np.add.at(by_layer, layers, counts)  # the input is layer -1, the last row
        layer, step, event = np.nonzero(by_layer)
        names = np.array([*self.facts.layers, "input"], dtype=object)
        units = np.array([e.unit for e in VOCABULARY], dtype=object)
        return pd.DataFrame({
            "layer": names[layer], "timestep": step, "unit": units[event],
            "event": np.array(EVENTS, dtype=object)[event], "count": by_layer[layer, step, event],
        })

    @cached_property
    def cycles_frame(self) -> pd.DataFrame:
        """Cycles of the core by layer over all samples: layer, cause (busy, stall_*, idle, wait), cycles.

        `wait` is the time in which the core has nothing to run: it waits for the channel. The causes of all layers and
        the waits add up to the elapsed cycles.
        """
        import pandas as pd

        rows = []
        operations = self.operations
        runs = (operations["resource"] == "core0").to_numpy()
        busy_total = 0
        for i, name in enumerate(self.facts.layers):
            chosen = runs & (operations["layer"] == i).to_numpy()
            spent = int((self.spans[:, chosen, 1] - self.spans[:, chosen, 0]).sum())
            counts = self.operation_counts[chosen].sum(axis=(0, 1))
            parts = {k: int(counts[INDEX[f"cycles_{k}"]]) for k in ("busy", "stall_hazard", "stall_serialiser")}
            # A slot that issues while EXEC waits is counted in both; it is a busy cycle.
            parts["stall_serialiser"] -= int(counts[INDEX["cycles_overlapped"]])
            ports = int(counts[INDEX["cycles_stall_port"]])
            parts |= {"stall_port": ports} if ports else {}
            parts["idle"] = spent - sum(parts.values())
            busy_total += spent
            rows += [{"layer": name, "cause": cause, "cycles": n} for cause, n in parts.items()]
        rows.append({"layer": "", "cause": "wait_channel", "cycles": int(self.cycles.sum()) - busy_total})
        return pd.DataFrame(rows)

    @cached_property
    def energy(self) -> pd.DataFrame:
        """Priced activity and leakage of all samples: layer, timestep, unit, event, scope, count, price_pj, energy_pj, source."""
        from hwsim.energy import price_activity

        return price_activity(self.activity, self.architecture, int(self.cycles.sum()), self.facts.payload_bits,
                              self.overrides)

    @cached_property
    def setup_energy_pj(self) -> float:
        """System energy of what is done once (loading weights that stay); leakage of its cycles included."""
        from hwsim.energy import price_activity, scopes

        return scopes(price_activity(self.setup_activity, self.architecture, self.facts.setup_cycles,
                                     self.facts.payload_bits, self.overrides))["system"]

    @cached_property
    def area(self) -> pd.DataFrame:
        """Area of units and memories: component, count, area_um2, source."""
        from hwsim.area import area

        return area(self.architecture)

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

    def reprice(self, overrides: Mapping[str, Any] | None = None, **technology: Any) -> Result:
        """The same cycles and counts at other prices: overrides by event, or other technology tables by name."""
        arch = self.architecture
        if technology:
            tables = arch.technology.model_copy(update=technology)
            arch = arch.model_copy(update={"technology": type(tables).model_validate(tables.model_dump())})
        return replace(self, architecture=arch, overrides=dict(overrides or {}))

    def save(self, folder: str | Path) -> Path:
        """Write every frame as CSV and the facts as JSON into `folder`; `hwsim.load_result` reads it back."""
        from hwsim.result_file import save_result

        return save_result(self, folder)

    def summary(self) -> dict[str, Any]:
        """One flat, JSON-ready object; cycles, operations and energy are totals over the samples."""
        f = self.facts
        return {
            "trace": f.trace, "coding": f.coding, "timesteps": f.timesteps, "arch": f.arch, "schedule": f.schedule,
            "engine": f.engine, "spikes": f.spikes, "samples": f.samples,
            "cycles": int(self.cycles.sum()), "setup_cycles": f.setup_cycles, "latency_s": self.latency_s,
            "synaptic_operations": self.synaptic_operations, "energy_pj": self.energy_pj,
            "setup_energy_pj": self.setup_energy_pj,
            "pj_per_synaptic_operation": {
                k: v / self.synaptic_operations if self.synaptic_operations else None for k, v in self.energy_pj.items()},
            "energy_delay_js": self.energy_delay_js, "power_w": self.power_w, "area_mm2": self.area_mm2,
            "utilisation": self.utilisation, "meets_clock": not self.clock_problems,
            "mismatches": f.mismatches, "saturations": f.saturations,
            "accuracy": f.accuracy, "accuracy_test_set": f.accuracy_test_set, "sim_id": self.sim_id,
            "run_id": self.run_id,
        }
