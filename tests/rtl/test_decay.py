"""Decays in the hardware: the multiplier on every value of a small state, and designs whose states decay against both engines."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import trunc
from pathlib import Path

import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from amaranth.sim import Simulator

import hwsim
from hwsim.activity import INDEX
from hwsim.rtl.decay import Decay
from hwsim.rtl.export import CoreExport, write_files
from hwsim.rtl.machine import run_together
from hwsim.rtl.testbench import Bench
from hwsim.simulation import make_program
from tests.engine.test_decay import decaying
from tests.rtl.cases import DECAYING, STRATA, differences, draw
from tests.rtl.test_export import ICARUS, Written, short_replays
from tests.rtl.test_rtl_agrees import ENGINES

FACTORS = sorted({1, 2, 2047, 2048, 3071, 3072, 4094, 4095, *range(0, 4096, 61)})


def check_unit(bits: int, factors: list[int]) -> None:
    unit = Decay(bits)

    async def bench(sim) -> None:  # type: ignore[no-untyped-def]
        for value in range(-(1 << (bits - 1)), 1 << (bits - 1)):
            sim.set(unit.value, value)
            for factor in factors:
                sim.set(unit.factor, factor)
                await sim.delay(1e-9)
                assert sim.get(unit.kept) == trunc(Fraction(value * factor, 4096)), (value, factor)

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()


def test_the_multiplier_rounds_every_product_toward_zero() -> None:
    check_unit(4, FACTORS)


@pytest.mark.slow
def test_the_multiplier_rounds_every_product_of_every_factor_toward_zero() -> None:
    check_unit(4, list(range(4096)))
    check_unit(8, FACTORS)


def check_designs(seeds: range) -> Counter[str]:
    """Both engines against the hardware; what the designs did."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        stimuli = draw(seed, 2)
        for stimulus, log in zip(stimuli, run_together(stimuli), strict=True):
            for name, engine in ENGINES.items():
                found = list(differences(log, engine.run_core(*stimulus.arguments)))
                assert not found, (f"design {seed}, {STRATA[seed % len(STRATA)].name}, {name}", *found)
            table, counts = stimulus.run.table, log.counts.sum(axis=0)
            seen["decay"] += int(counts[INDEX["decay"]])
            seen["current"] += bool(table.current_decay and counts[INDEX["decay"]])
            seen["hazard"] += bool(table.current_decay and counts[INDEX["cycles_stall_hazard"]])
    return seen


def test_hardware_and_engines_agree_where_states_decay() -> None:
    seen = check_designs(range(DECAYING, DECAYING + 9))
    assert seen["decay"] > 50
    assert seen["current"] > 0


@pytest.mark.slow
def test_hardware_and_engines_agree_on_many_designs_whose_states_decay() -> None:
    seen = check_designs(range(DECAYING + 9, DECAYING + 129))
    assert min(seen.values()) > 4, seen


@pytest.mark.slow
@ICARUS
def test_icarus_finds_what_decays_in_an_exported_core(tmp_path: Path) -> None:
    """Verilog of a layer whose currents live on, in Icarus: every push and spike, and what is left in the memories."""
    replays = []
    for seed in range(12):
        trace, design = decaying(seed, currents=True), hwsim.load_architecture("event_core_16")
        replays += [each for each in short_replays(make_program(trace.network, design), trace.sample(0))
                    if each.run.table.current_decay and each.run.table.decay and len(each.log.spikes)]
    replay = max(replays, key=lambda each: len(each.tokens))
    export = CoreExport("core_under_test", replay.run, replay.payload_bits, 8, (("test", "decays"),), False)
    bench = Bench(export, replay)
    core = export.verilog()
    assert "rounded toward zero" in core
    write_files({tmp_path / "core.v": core, tmp_path / "tb.v": bench.verilog("tb.mem"), tmp_path / "tb.mem": bench.data()})
    Written(tmp_path, replay).passes()
