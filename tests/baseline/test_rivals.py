"""Rivals: sizes at equal latency, every ANN machine of an event core, and who is the strongest."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import hwsim
from hwsim.baseline.equal_latency import SIZES, EqualLatencyError, equal_latency_size
from hwsim.baseline.rivals import rivals
from hwsim.cli.rivals import app
from hwsim.cost.clock import at_highest_clock, check_timing
from hwsim.counted import Counted
from hwsim.rivals import EQUAL, Against, RivalsError, against
from hwsim.trace.reader import Trace

SMALL = hwsim.load_architecture("event_core_16").with_memories(membrane="96 KiB")


@pytest.mark.parametrize("need", [1, 17, 24, 25, 100, 4000])
@pytest.mark.parametrize("start", [16, 24, 20])
def test_it_grows_until_it_is_fast_enough_and_never_shrinks(need: int, start: int) -> None:
    found = equal_latency_size(lambda lanes: 1 / lanes, 1 / need, start)
    assert found == (start if start >= need else min(n for n in SIZES if n >= need and n > start))


def test_growing_in_vain_is_told() -> None:
    tried: list[int] = []

    def latency_s(lanes: int) -> float:
        tried.append(lanes)
        return max(1.0, 16 / lanes)

    with pytest.raises(EqualLatencyError, match="grown from 8 to 64 it does not take 900000 us or less; the fastest, 16"):
        equal_latency_size(latency_s, 0.9, 8)
    assert max(tried) == 64
    with pytest.raises(EqualLatencyError, match="grown from 8 to 32"):
        equal_latency_size(lambda lanes: float("inf"), 0.9, 8)


@pytest.fixture(scope="module")
def found(bit_serial_trace: Trace, quantised_trace: Trace) -> Against:
    return against(bit_serial_trace, quantised_trace, SMALL)


def test_every_dataflow_meets_every_multiplier(found: Against, quantised_trace: Trace) -> None:
    names = [f"{flow}_{way}" for flow in ("event_driven", "output_stationary")
             for way in ("mac", "bit_serial", "dense_bit_serial")]
    names += [f"systolic_{flow}_stationary" for flow in ("output", "weight", "input")]
    assert [r.name for r in rivals(SMALL, quantised_trace.network)] == names
    assert [(e.rival, e.equal) for e in found.entries] == [(name, equal) for name in names for equal in EQUAL]
    listed = SMALL.with_spike_buffer(kind="aer", address_bits=16)
    assert [r.name for r in rivals(listed, quantised_trace.network)] == ["event_driven_mac", *names[-3:]], "a list has no rows"


def test_each_rival_is_what_its_column_says(found: Against) -> None:
    """At equal lanes as many multipliers; at equal area no larger; at equal latency no slower, and grown from equal lanes."""
    for e in found.entries:
        if e.result is None or e.arch is None:
            assert e.reason, e
            assert e.equal != "lanes", e
            continue
        assert not check_timing(e.arch)
        assert e.arch.clock == at_highest_clock(e.arch).clock
        assert e.result.rows_per_cycle <= 1
        lanes = e.arch.only.pe_count
        if e.equal == "lanes":
            assert lanes == 16
        elif e.equal == "area":
            assert e.result.area_mm2 <= found.result.area_mm2
        else:
            assert e.result.latency_s <= found.result.latency_s
            assert lanes >= 16


def test_the_strongest_has_the_least_system_energy_at_equal_latency(found: Against) -> None:
    there = {e.rival: e.result.energy_pj["system"] for e in found.entries if e.equal == "latency" and e.result}
    best = found.strongest
    assert best is not None
    assert best.rival == min(there, key=lambda name: there[name])
    assert len(there) > 3
    assert f"at equal latency: {best.rival}, " in found.verdict
    assert [row["rival"] for row in found.rows if row["strongest"]] == [best.rival]


def test_a_twin_that_merges_planes_has_the_adders_of_its_design(quantised_trace: Trace) -> None:
    design = SMALL.with_core(token={"planes": "merged", "adders": 3}, dataflow={"type": "output_stationary", "accumulators": 2})
    by_name = {r.name: next(r.sized(16)).core for r in rivals(design, quantised_trace.network)}
    assert by_name["output_stationary_bit_serial"].token.adders == 3
    assert by_name["output_stationary_mac"].token.planes == "single"
    assert by_name["output_stationary_mac"].dataflow.accumulators == 2


def test_a_rival_gets_the_memory_that_it_needs_but_no_second_port(
    bit_serial_trace: Trace, quantised_trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A design in whose dataflow potentials need no memory has rivals that need one. An array that its memories cannot feed is no
    rival; here every array is said to be one."""
    monkeypatch.setattr(Counted, "rows_per_cycle", property(lambda r: 1.5 if r.facts.engine == "closed_form" else 1.0))
    small = SMALL.with_memories(membrane="256 B").with_core(dataflow={"type": "output_stationary", "accumulators": 2})
    found = against(bit_serial_trace, quantised_trace, small, samples=1)
    by_name = {e.rival: e for e in found.entries if e.equal == "lanes"}
    event_driven, gathers = (by_name[f"{name}_mac"].arch for name in ("event_driven", "output_stationary"))
    assert event_driven is not None
    assert gathers is not None
    assert event_driven.memories.membrane > gathers.memories.membrane == small.memories.membrane
    assert "1.5 rows per cycle, expected 1 at most" in by_name["systolic_output_stationary"].reason
    assert found.strongest is not None
    assert not found.strongest.rival.startswith("systolic")


def test_the_command_prints_three_columns_and_the_strongest(trace_files: dict[str, Path], tmp_path: Path, found: Against) -> None:
    design = tmp_path / "mine.csv"
    run = CliRunner().invoke(app, [
        str(trace_files["bit_serial"]), str(trace_files["quantised"]), "--arch", "event_core_16", "--samples", "1", "-o",
        str(design)])
    assert run.exit_code == 0, run.output
    assert "lanes: size" in run.output
    assert "area: size" in run.output
    assert "latency: size" in run.output
    assert "strongest rival of event_core_16 at equal latency:" in run.output
    assert len(design.read_text().splitlines()) == 2 + 9 * 3


def test_what_has_no_rivals_is_refused(bit_serial_trace: Trace, quantised_trace: Trace) -> None:
    with pytest.raises(RivalsError, match="expected event: rivals are made for an event core"):
        against(bit_serial_trace, quantised_trace, "systolic_8x8")
    with pytest.raises(RivalsError, match="expected a spiking trace first"):
        against(quantised_trace, bit_serial_trace, SMALL)


def test_only_a_bit_serial_trace_holds_its_rival(rate_trace: Trace) -> None:
    with pytest.raises(RivalsError, match="is rate, and only a bit-serial trace holds its ANN"):
        against(rate_trace, None, SMALL)
