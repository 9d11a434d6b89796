"""The 314 test vectors of the dataflow rules R19 to R24 as inputs of `Engine.run_planes`, with the answers beside them.

A case holds one run of one core, fed from bitmaps: its CoreRun, the planes (n, H, W, C) of each connection, the states
(C, H, W) it starts from, and `expect` as two independent models agreed on it. The file is
tests/data/dataflow_cases.json.gz, its fields are in dataflow_cases.md beside it. Nothing here belongs to an engine.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.passes import Pass, PassTable, horner_passes
from hwsim.program import CoreRun, CoreSpec
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.snn.network import Connection

PATH = Path(__file__).parents[1] / "data" / "dataflow_cases.json.gz"

# What each activity key of the vectors sums up: the events that begin so. A reset to zero is in no vector.
ACTIVITY: Mapping[str, str] = {
    "membrane_read": "membrane_read_", "membrane_write": "membrane_write_", "stall_hazard": "cycles_stall_hazard",
    "stall_port": "cycles_stall_port", "stall_serialiser": "cycles_stall_serialiser", "busy": "cycles_busy",
}
PAYLOAD_BITS = 16


@dataclass(frozen=True, eq=False)
class DataflowCase:
    """Arguments of `run_planes` and the expected answers."""

    id: int
    kind: str
    coding: str
    run: CoreRun
    planes: tuple[NDArray[np.int64], ...]
    eots: int
    potentials: NDArray[np.int64]
    currents: NDArray[np.int64]
    expect: Mapping[str, Any]

    @property
    def name(self) -> str:
        core = self.run.core
        return f"{self.id:03d}-{self.kind}-{self.coding}-{core.order}-{core.planes_per_token}"

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Positional arguments of `run_planes`; the states are fresh copies."""
        return (self.run, self.planes, self.eots, self.potentials.copy(), self.currents.copy())

    def observed(self, log: CoreLog) -> dict[str, Any]:
        """A CoreLog in the words of `expect`, so that the two can be compared field by field."""
        sums = log.counts.sum(axis=0)
        found = {}
        for key in self.expect["activity"]:
            prefix = ACTIVITY.get(key, key)
            names = [name for name in EVENTS if name == prefix or (prefix.endswith("_") and name.startswith(prefix))]
            found[key] = int(sum(sums[INDEX[name]] for name in names))
        return {
            "push": log.push.tolist(),
            "pop": log.pop.tolist(),
            "issue": [[int(cycle), ISSUE_KINDS[kind], int(word)] for cycle, kind, word in log.issue],
            "spikes": log.spikes.tolist(),
            "done": int(log.done),
            "activity": found,
            "final_potential": log.potentials.tolist(),
        }


@cache
def load_cases() -> tuple[DataflowCase, ...]:
    with gzip.open(PATH, "rt", encoding="utf-8") as file:
        return tuple(_case(raw) for raw in json.load(file))


def _case(raw: Mapping[str, Any]) -> DataflowCase:
    shape = tuple(raw["output_shape"])
    initial = np.array(raw["initial_potential"], np.int64).reshape(shape)
    core = CoreSpec(
        **raw["core"], current_bits=raw["core"]["potential_bits"], shift_at=raw["shift_at"], buffer="bitmap",
    )
    wires = raw["connections"]
    payload_bits = tuple(PAYLOAD_BITS if wire["payload"] else 0 for wire in wires)
    planes = tuple(_planes(wire) for wire in wires)
    table = _table(raw, initial, payload_only=all(wire["payload"] for wire in wires))
    run = CoreRun(
        core=core, shape=shape, groups=(0, -(-shape[0] // core.lanes)),
        connections=tuple(_connection(i, wire) for i, wire in enumerate(wires)), table=table,
        potential_bits=core.potential_bits, current_bits=core.current_bits, clear=raw["clear"], keep=raw["keep"],
        current_fed=any(len(each) for each in planes), payload_bits=payload_bits,
    )
    current = raw["initial_current"]
    return DataflowCase(
        id=raw["id"], kind=raw["kind"], coding=raw["coding"], run=run, planes=planes,
        eots=1 if core.planes_per_token == "all" else table.planes,
        # A run with a clear starts from rubbish, so that a clear that forgets a word shows.
        potentials=np.full(shape, -7, np.int64) if raw["clear"] else initial,
        currents=np.zeros(shape, np.int64) if current is None else np.array(current, np.int64).reshape(shape),
        expect=raw["expect"],
    )


def _planes(wire: Mapping[str, Any]) -> NDArray[np.int64]:
    channels, height, width = wire["source_shape"]
    return np.array(wire["planes"], np.int64).reshape(-1, height, width, channels)


def _connection(position: int, raw: Mapping[str, Any]) -> Connection:
    pool = raw["pool"]
    return Connection(
        source=f"source{position}", operator="conv2d" if raw["operator"] == "conv" else raw["operator"],
        source_shape=tuple(raw["source_shape"]), weights=np.array(raw["weights"], np.int64),
        kernel=raw.get("kernel", 1), stride=raw.get("stride", 1), padding=raw.get("padding", 0),
        groups=raw.get("groups", 1), pool=pool, pool_mode="folded" if pool > 1 else "none",
    )


def _table(raw: Mapping[str, Any], initial: NDArray[np.int64], payload_only: bool) -> PassTable:
    bias = None if raw["bias"] is None else np.array(raw["bias"], np.int64)
    bias = None if bias is None else np.ascontiguousarray(np.broadcast_to(bias.reshape(-1, 1, 1), initial.shape))
    steps, threshold = raw["timesteps"], raw["threshold"]
    common = {"initial": initial, "reset": raw["reset"], "leak_shift": raw["leak_shift"]}
    if raw["coding"] == "rate":
        adds = bias is not None or raw["direct_input"]
        fires = tuple(Pass(n + 1, "fire", threshold, add=adds, timestep=n) for n in range(steps))
        return PassTable(planes=steps, passes=fires, addend=bias, direct=raw["direct_input"], **common)
    planes = 1 if payload_only else steps
    horner = raw["shift_at"] == "membrane"
    adds = horner and bias is not None
    fires = tuple(Pass(planes, "fire", threshold, shift=p + 1, add=adds and p == 0, timestep=p) for p in range(steps))
    return PassTable(
        planes=planes, passes=(horner_passes(planes) if horner else ()) + fires, addend=bias if horner else None,
        weigh_planes=not horner, **common,
    )
