"""The 225 core test vectors as inputs of `Engine.run_core`, with the answers beside them.

A case holds one run of one core: the CoreRun, its tokens (n, 6), gaps and earliest cycles (n,), the states (C, H, W)
it starts from, and `expect` as two independent models agreed on it (times in cycles from the run's start). The file
is tests/data/core_cases.json.gz; its fields are described in the project's cycle rules, "Test vectors". Nothing here
belongs to an engine.
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

from hwsim.activity import INDEX
from hwsim.program import ISSUE_KINDS, CoreLog, CoreRun, CoreSpec
from hwsim.snn.network import Connection
from hwsim.snn.neurons import Pass, PassTable
from hwsim.snn.neurons.base import horner_passes

PATH = Path(__file__).parents[1] / "data" / "core_cases.json.gz"

# What each activity key of the vectors sums up, in the names of hwsim/activity.py.
ACTIVITY: Mapping[str, tuple[str, ...]] = {
    "weight_read": ("weight_read",),
    "membrane_read": (
        "membrane_read_accumulate", "membrane_read_shift", "membrane_read_fire", "membrane_read_readout",
    ),
    "membrane_write": (
        "membrane_write_clear", "membrane_write_accumulate", "membrane_write_shift", "membrane_write_fire",
        "membrane_write_readout",
    ),
    "fifo_push": ("fifo_push",),
    "fifo_pop": ("fifo_pop",),
    "acc_add": ("acc_add",),
    "cmp": ("cmp",),
    "reset_sub": ("reset_sub",),
    "spike_out": ("spike_out",),
    "stall_hazard": ("cycles_stall_hazard",),
    "stall_serialiser": ("cycles_stall_serialiser",),
    "mult": ("mult",),
    "weight_shift": ("weight_shift",),
    "membrane_shift": ("membrane_shift",),
    "bias_add": ("bias_add",),
    "leak": ("leak",),
    "current_read": ("current_read",),
    "current_write": ("current_write",),
}


@dataclass(frozen=True, eq=False)
class CoreCase:
    """Arguments of `run_core` (run, tokens, gaps, earliest, potentials, currents) and the expected answers."""

    id: int
    kind: str
    coding: str
    run: CoreRun
    tokens: NDArray[np.int64]
    gaps: NDArray[np.int64]
    earliest: NDArray[np.int64]
    potentials: NDArray[np.int64]
    currents: NDArray[np.int64]
    expect: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.id:03d}-{self.kind}-{self.coding}"

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Positional arguments of `run_core`; the states are fresh copies."""
        return (self.run, self.tokens, self.gaps, self.earliest, self.potentials.copy(), self.currents.copy())


def observed(log: CoreLog) -> dict[str, Any]:
    """A CoreLog in the words of `expect`, so that the two can be compared field by field."""
    sums = log.counts.sum(axis=0)
    return {
        "push": log.push.tolist(),
        "pop": log.pop.tolist(),
        "issue": [[int(cycle), ISSUE_KINDS[kind], int(word)] for cycle, kind, word in log.issue],
        "spikes": log.spikes.tolist(),
        "done": int(log.done),
        "activity": {key: int(sum(sums[INDEX[name]] for name in names)) for key, names in ACTIVITY.items()},
        "final_potential": log.potentials.tolist(),
    }


@cache
def load_cases() -> tuple[CoreCase, ...]:
    with gzip.open(PATH, "rt", encoding="utf-8") as file:
        return tuple(_case(raw) for raw in json.load(file))


def _case(raw: Mapping[str, Any]) -> CoreCase:
    shape = tuple(raw["output_shape"])
    initial = np.ascontiguousarray(np.broadcast_to(np.array(raw["initial_potential"], np.int64), shape))
    # The vectors name no width for the current: it saturates at that of the potential.
    core = CoreSpec(
        lanes=raw["lanes"], potential_bits=raw["potential_bits"], current_bits=raw["potential_bits"],
        fifo_depth=raw["fifo_depth"], bypass=raw["bypass"], shift_at=raw["shift_at"], buffer="aer",
    )
    run = CoreRun(
        core=core, shape=shape, groups=(0, -(-shape[0] // core.lanes)),
        connections=tuple(_connection(i, c) for i, c in enumerate(raw["connections"])), table=_table(raw, initial),
        potential_bits=core.potential_bits, current_bits=core.current_bits, clear=raw["clear"],
    )
    tokens = np.array([_token(token) for token in raw["tokens"]], np.int64).reshape(-1, 6)
    return CoreCase(
        id=raw["id"], kind=raw["kind"], coding=raw["coding"], run=run, tokens=tokens,
        gaps=np.ones(len(tokens), np.int64), earliest=np.array(raw["earliest_arrival"], np.int64),
        # A run with a clear starts from rubbish, so that a clear that forgets a word shows.
        potentials=np.full(shape, -7, np.int64) if raw["clear"] else initial,
        currents=np.full(shape, 5 if raw["clear"] and run.table.direct else 0, np.int64),
        expect=raw["expect"],
    )


def _connection(position: int, raw: Mapping[str, Any]) -> Connection:
    pool = raw["pool"]
    return Connection(
        source=f"source{position}", operator="conv2d" if raw["operator"] == "conv" else raw["operator"],
        source_shape=tuple(raw["source_shape"]), weights=np.array(raw["weights"], np.int64),
        kernel=raw.get("kernel", 1), stride=raw.get("stride", 1), padding=raw.get("padding", 0),
        groups=raw.get("groups", 1), pool=pool, pool_mode="folded" if pool > 1 else "none",
    )


def _table(raw: Mapping[str, Any], initial: NDArray[np.int64]) -> PassTable:
    bias = None if raw["bias"] is None else np.array(raw["bias"], np.int64)
    bias = None if bias is None else np.ascontiguousarray(np.broadcast_to(bias, initial.shape))
    steps, threshold = raw["timesteps"], raw["threshold"]
    if raw["coding"] == "rate":
        adds = bias is not None or raw["direct_input"]
        fires = tuple(Pass(n + 1, "fire", threshold, add=adds, timestep=n) for n in range(steps))
        return PassTable(
            planes=steps, passes=fires, initial=initial, addend=bias, direct=raw["direct_input"],
            reset=raw["reset"], leak_shift=raw["leak_shift"],
        )
    planes = 1 if raw["direct_input"] else steps
    # With the membrane shifted the bias waits for the first fire pass; with the weight shifted the vectors ignore it.
    horner = raw["shift_at"] == "membrane"
    adds = horner and bias is not None
    fires = tuple(Pass(planes, "fire", threshold, shift=p + 1, add=adds and p == 0, timestep=p) for p in range(steps))
    return PassTable(
        planes=planes, passes=(horner_passes(planes) if horner else ()) + fires, initial=initial,
        addend=bias if horner else None, weigh_planes=not horner and planes > 1, reset=raw["reset"],
        leak_shift=raw["leak_shift"],
    )


def _token(raw: list[Any]) -> tuple[int, ...]:
    if raw[0] == "eot":
        return (-1, 0, 0, 0, 0, 0)
    _, connection, c, y, x, payload = raw
    return (connection, c, y, x, 0 if payload is None else payload, int(payload is not None))
