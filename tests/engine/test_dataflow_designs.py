"""Designs in other dataflows, from the file to the result: the network's own spikes, whatever the loops are."""

from __future__ import annotations

from typing import Any

import pytest

import hwsim
from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.errors import HwsimError
from hwsim.trace.synth import synthesise

GATHER = {"dataflow": {"type": "output_stationary", "accumulators": 2}}
MERGED = {"token": {"planes": "merged", "adders": 2}, "writer": "word"}
DESIGNS: dict[str, dict[str, Any]] = {
    "gather": GATHER, "gather merged": GATHER | MERGED, "word by word": {"passes": "by_word", "writer": "word"},
    "merged": MERGED, "bit-serial multipliers": {"token": {"planes": "merged"}, "lane": {"multiplier": "bit_serial"}},
}


def design(core: dict[str, Any], coding: str, ports: str) -> Architecture:
    data = dump_architecture(load_architecture("event_core_64"))
    if coding == "rate" and "dataflow" in core and "token" in core:
        core = core | {"token": core["token"] | {"sums": 3}}
    data["core"] |= core | ({"kind": "multiply_accumulate"} if coding == "quantised" else {})
    data["spike_buffer"]["kind"] = "bitmap"
    data["memories"]["membrane_ports"] = ports
    return rebuild_architecture(data)


@pytest.mark.parametrize("ports", ["1r1w", "1rw"])
@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize(("coding", "schedule"), [
    ("rate", "layer_by_layer"), ("rate", "step_by_step"), ("bit_serial", "layer_by_layer"), ("quantised", "layer_by_layer")])
def test_a_design_gives_the_recorded_spikes(coding: str, schedule: str, name: str, ports: str) -> None:
    trace = synthesise("tiny", timesteps=3, density=0.2, samples=1, seed=0, coding=coding)
    arch = design(DESIGNS[name], coding, ports)
    if coding == "rate" and arch.only.core_spec().planes_per_token == "all" and arch.only.core_spec().order == "scatter":
        with pytest.raises(HwsimError, match="event-driven core has no accumulators"):
            hwsim.simulate(trace, arch, schedule=schedule)
        return
    prices = {"accumulator_access": 0.1} if arch.only.has_accumulator_file else {}
    fast, reference = (hwsim.simulate(trace, arch, schedule=schedule, engine=engine, overrides=prices)
                       for engine in ("fast", "reference"))
    assert fast.mismatches == reference.mismatches == 0
    assert fast.cycles.tolist() == reference.cycles.tolist()
    frame = fast.cycles_frame
    causes = frame[frame["resource"] == "core"].groupby("cause")["cycles"].sum()
    assert (fast.cycles_frame["cycles"] >= 0).all()
    assert causes.sum() == fast.cycles.sum()
    in_memory = not arch.only.has_accumulator_file
    assert ("stall_port" in causes) == (ports == "1rw" and (in_memory or schedule == "step_by_step"))
