"""Leakage is component x state x time, and energy at a rate of samples per second is that of the sample and of the wait."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import hwsim
from hwsim.activity import UNIT_OF
from hwsim.arch import Architecture, ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cli import app
from hwsim.cost.energy import cycle_charges, leakage, price_hash, price_list
from hwsim.cost.memory import macros
from hwsim.cost.rate import RateError
from hwsim.cost.technology.scaling import ScalingError
from hwsim.result import Result, ResultError
from hwsim.trace.reader import Trace
from tests.conftest import ROOT

TRACE = ROOT / "traces" / "fashion_mnist_bit_serial_t4.h5"
ODIN_TRACE = ROOT / "traces" / "odin" / "fashion_mnist_100.h5"
MEMORIES = ("weight", "membrane", "bias", "spike")
"""Those that the network uses on the core."""


@cache
def whole(design: str = "event_core_64") -> Result:
    """Weights stay on event_core_64, and are loaded for every sample on event_core_16."""
    return hwsim.simulate(TRACE, design, samples=3)


def powered(design: Architecture, **power: Any) -> Architecture:
    return rebuild_architecture({**dump_architecture(design), "power": power})


def with_power(result: Result, **power: Any) -> Result:
    return result.priced(powered(result.architecture, **power))


POLICIES = st.fixed_dictionaries({
    "idle": st.fixed_dictionaries({"logic": st.sampled_from(["on", "off"])}, optional=dict.fromkeys(
        ("memories", *MEMORIES), st.sampled_from(["on", "retention", "off"]))),
    "off_over_on": st.sampled_from([0, 0.03]),
}).flatmap(lambda power: st.sampled_from([{"retention_v": 0.7}, {"retention_over_on": 0.4}]).map(lambda kept: {**power, **kept}))


def clock_mw(result: Result) -> float:
    """What the clock takes while nothing happens, in mW; nothing where the logic is off."""
    stopped = result.architecture.power.idle.get("logic", "on") == "off"
    per_cycle_pj = sum(pj for _, pj, *_ in cycle_charges(result.architecture, result.used))
    return 0.0 if stopped else per_cycle_pj * result.architecture.clock * 1e-9


def waiting_mw(result: Result) -> float:
    """What is spent between samples: leakage, from the prices of what is on and the words of the design alone, and the clock."""
    return clock_mw(result) + leaking_mw(result)


def leaking_mw(result: Result) -> float:
    power, total = result.architecture.power, 0.0
    names = {unit: name for name, unit in UNIT_OF.items()}
    for row in leakage(result.architecture, result.overrides, result.used).itertuples():
        name = names.get(row.component, "logic")
        state = power.idle.get(name, "on" if name == "logic" else power.idle.get("memories", "on"))
        if state == "on":
            total += row.leakage_mw
        elif state == "off":
            total += row.leakage_mw * power.off_over_on
        elif power.retention_over_on is not None:
            total += row.leakage_mw * power.retention_over_on
        else:
            m, step = macros(result.architecture)[name], power.retention_v / 0.9
            total += m.banks * (m.bank_subthreshold_mw * step**6 + m.bank_gate_mw * step)
    return total


# --- full speed ------------------------------------------------------------------------------------------------------


@given(POLICIES)
@settings(max_examples=6, deadline=None)
def test_samples_back_to_back_cost_what_they_cost_at_full_speed(power: dict[str, Any]) -> None:
    result = with_power(whole(), **power)
    assert result.energy_pj == whole().energy_pj, "between samples is no time"
    fastest = result.at_rate(result.highest_rate_hz)
    assert fastest.energy_pj == pytest.approx(whole().energy_pj, rel=1e-9)
    assert fastest.busy_s == pytest.approx(1 / fastest.rate_hz)
    assert fastest.power_w == pytest.approx(result.power_w)


def test_leakage_of_a_run_is_the_sum_over_components_and_states() -> None:
    result = whole()
    rows = result.energy[result.energy["event"] == "leakage"].set_index("component")
    assert rows["energy_pj"].sum() == pytest.approx(
        leakage(result.architecture, None, result.used)["leakage_mw"].sum() * result.latency_s * 1e9)
    assert set(rows["state"]) == {"on", "off"}
    off = rows[rows["state"] == "off"]
    assert (list(off.index), off["energy_pj"].sum()) == (["current_memory"], 0.0)
    assert (rows["count"] == result.cycles.mean()).all(), "each component is in one state all the time"


# --- at a rate -------------------------------------------------------------------------------------------------------


@given(POLICIES, st.floats(0.01, 2200))
@settings(max_examples=10, deadline=None)
def test_a_period_is_the_sample_the_reload_and_the_wait(power: dict[str, Any], rate_hz: float) -> None:
    """The closed form: full speed, what setup costs of memories that lost it, and the wait at the power of its states."""
    result = with_power(whole(), **power)
    found = result.at_rate(rate_hz)
    assert found.busy_s + found.reload_s + found.idle_s == pytest.approx(1 / rate_hz)
    lost = [n for n in ("weight", "bias") if result.architecture.power.between_samples(n) == "off"]
    loads, cycles = result.setup_of(lost)
    gap_s = 1 / rate_hz - result.latency_s
    expected, waiting, idle_s = result.energy_pj["system"], waiting_mw(result), gap_s
    if lost and gap_s * result.architecture.clock >= cycles:
        prices = price_list(result.architecture, None, result.used)
        expected += sum(n * sum(p.pj for _, p in prices.charges(e)) for e, n in loads.groupby("event")["count"].sum().items())
        reload_s = cycles / result.architecture.clock
        expected += leakage(result.architecture, None, result.used)["leakage_mw"].sum() * reload_s * 1e9
        expected += sum(pj for _, pj, *_ in cycle_charges(result.architecture, result.used)) * cycles
        idle_s -= reload_s
        assert found.reload_s == pytest.approx(reload_s)
    elif lost:  # too short a gap
        kept = {**power, "idle": {**power["idle"], **dict.fromkeys(lost, "on")}}
        waiting = waiting_mw(with_power(whole(), **kept))
        assert found.reload_s == 0
    assert found.energy_pj["system"] == pytest.approx(expected + waiting * idle_s * 1e9, rel=1e-9)
    assert found.summary()["phase_energy_pj"]["busy"] == pytest.approx(result.energy_pj["system"])
    assert sum(found.summary()["phase_energy_pj"].values()) == pytest.approx(found.energy_pj["system"])


@given(POLICIES, st.floats(1e-3, 2200), st.floats(1e-3, 2200), st.sampled_from(["event_core_64", "event_core_16"]))
@settings(max_examples=10, deadline=None)
def test_energy_per_sample_falls_with_the_rate(power: dict[str, Any], one: float, other: float, design: str) -> None:
    result = with_power(whole(design), **power)
    slow, fast = (min(rate, result.highest_rate_hz) for rate in sorted((one, other)))
    energies = [result.at_rate(rate).energy_pj["core"] for rate in (slow, fast)]
    assert energies[0] >= energies[1] * (1 - 1e-12)
    if waiting_mw(result) > 0 and slow < fast * 0.99:
        assert energies[0] > energies[1]
    assert result.at_rate(slow).energy_pj["compute"] == result.energy_pj["compute"]


def test_a_gap_too_short_to_load_weights_again_keeps_them() -> None:
    result = with_power(whole(), idle={"memories": "off", "weight": "off"})
    _, cycles = result.setup_of(["weight", "bias"])
    clock, busy = result.architecture.clock, float(result.cycles.mean())
    short, enough = (result.at_rate(clock / (busy + gap)) for gap in (cycles - 1, cycles + 1))
    assert (short.reload_s, enough.reload_s) == (0.0, pytest.approx(cycles / clock))
    states = short.leakage.query("phase == 'idle'").set_index("component")["state"]
    assert (states["weight_memory"], states["bias_memory"], states["membrane_memory"]) == ("on", "on", "off")
    kept = with_power(whole(), idle={"memories": "off", "weight": "on", "bias": "on"}).at_rate(short.rate_hz)
    assert short.energy_pj == pytest.approx(kept.energy_pj)
    assert enough.leakage.query("phase == 'idle'").set_index("component")["state"]["weight_memory"] == "off"


@pytest.mark.parametrize("design", ["event_core_64", "event_core_16"])
def test_with_ideal_switches_energy_tends_to_the_sample_and_its_reload(design: str) -> None:
    result = with_power(whole(design), idle={"memories": "off", "logic": "off"})
    energies = [result.at_rate(rate).energy_pj["system"] for rate in (30.0, 1.0, 1e-3)]
    assert energies == pytest.approx([result.energy_pj["system"] + result.setup_energy_pj] * 3)
    kept = with_power(whole(design), idle={"membrane": "off", "spike": "off", "logic": "off", "weight": "retention",
                                           "bias": "retention"}, retention_over_on=1e-9)
    assert kept.at_rate(30).energy_pj["system"] == pytest.approx(result.energy_pj["system"], rel=1e-4), "nothing is lost"


@given(POLICIES, st.floats(0.01, 2200))
@settings(max_examples=10, deadline=None)
def test_leakage_adds_up_over_components_states_and_phases(power: dict[str, Any], rate_hz: float) -> None:
    result = with_power(whole(), **power)
    found = result.at_rate(rate_hz)
    leaks = found.leakage
    assert leaks["leakage_pj"].sum() == pytest.approx(found.energy.loc[found.energy["unit"] == "leakage", "energy_pj"].sum())
    cycles = leaks.groupby("component")["cycles"].sum()
    assert cycles.to_numpy() == pytest.approx(result.architecture.clock / rate_hz), "each is always in one state"
    assert set(cycles.index) == {*leakage(result.architecture, None, result.used)["component"], "current_memory"}
    by_unit, by_component = (found.energy.groupby(key)["energy_pj"].sum().sum() for key in ("unit", "component"))
    assert by_unit == pytest.approx(by_component) == pytest.approx(found.energy_pj["system"])
    assert set(leaks.loc[leaks["phase"] != "idle", "state"]) <= {"on", "off"}
    off = leaks[(leaks["state"] == "off") & (leaks["phase"] == "idle")]
    if power["off_over_on"] == 0:
        assert off["leakage_pj"].sum() == 0


def test_the_default_keeps_everything_on() -> None:
    """Nobody is given power switches that the design does not have."""
    leaks = whole().at_rate(30).leakage
    assert set(leaks.loc[leaks["component"] != "current_memory", "state"]) == {"on"}
    everything = hwsim.simulate(TRACE, "event_core_64", samples=1, leak_unused=True).at_rate(30).leakage
    assert set(everything["state"]) == {"on"}


def test_retention_at_a_voltage_follows_the_law_of_the_memory_table() -> None:
    design = load_architecture("event_core_64")
    m = macros(design)["membrane"]
    for volts in (0.7, 0.8, 0.9):
        leaks = with_power(whole(), idle={"membrane": "retention"}, retention_v=volts).at_rate(30).leakage
        row = leaks[(leaks["component"] == "membrane_memory") & (leaks["phase"] == "idle")].iloc[0]
        step = volts / 0.9
        expected = m.banks * (m.bank_subthreshold_mw * step**6 + m.bank_gate_mw * step) * row["cycles"] * design.period_ns
        assert (row["state"], row["leakage_pj"]) == ("retention", pytest.approx(expected))


def test_an_override_is_of_what_is_on_and_states_leak_their_part_of_it() -> None:
    result = with_power(whole(), idle={"weight": "retention"}, retention_over_on=0.25)
    other = result.reprice({"leakage_mw": {"weight_memory": 10.0}}).at_rate(30).leakage
    rows = other[other["component"] == "weight_memory"].set_index("phase")
    period = result.architecture.period_ns
    assert rows.loc["busy", "leakage_pj"] == pytest.approx(10 * period * rows.loc["busy", "cycles"])
    assert rows.loc["idle", "leakage_pj"] == pytest.approx(2.5 * period * rows.loc["idle", "cycles"])


def test_what_goes_on_while_a_core_waits_is_priced_by_the_cycle() -> None:
    result, clock = whole(), {"reg_bits": 100.0}
    quiet, running = result.at_rate(30), result.at_rate(30, clock)
    more = running.energy_pj["system"] - quiet.energy_pj["system"]
    cycles = quiet.idle_s * result.architecture.clock
    assert more == pytest.approx(100 * price_list(result.architecture).price("reg_bits").pj * cycles)
    stopped = with_power(result, idle={"logic": "off"})
    assert stopped.at_rate(30, clock).energy_pj == stopped.at_rate(30).energy_pj
    for wrong in ({"cycles_busy": 1.0}, {"clock": 1.0}, {"reg_bits": -1.0}):
        with pytest.raises(RateError, match="per_idle_cycle: .*expected an event with a price"):
            result.at_rate(30, wrong)


def test_a_chip_of_several_cores_waits_as_a_whole() -> None:
    data = dump_architecture(load_architecture("event_core_64"))
    core = {name: data.pop(name) for name in ("core", "spike_buffer", "memories")}
    pair = rebuild_architecture({**data, "name": "pair", "cores": [{**core, "count": 2}]})
    result = hwsim.simulate(TRACE, pair, samples=1)
    assert waiting_mw(result) == pytest.approx(2 * waiting_mw(whole()))
    found = result.at_rate(30)
    assert found.energy_pj["system"] == pytest.approx(result.energy_pj["system"] + waiting_mw(result) * found.idle_s * 1e9)


# --- rates out of reach, memories that would be lost -----------------------------------------------------------------


def test_a_rate_out_of_reach_names_the_highest_one() -> None:
    result = whole()
    with pytest.raises(RateError, match="is above what event_core_64 reaches: a sample takes .*; the highest rate is") as error:
        result.at_rate(1e6)
    said = float(str(error.value).split("the highest rate is ")[1].split()[0])
    assert result.highest_rate_hz * 0.999 <= said <= result.highest_rate_hz
    assert result.at_rate(said).rate_hz == said
    for wrong in (0, -1, float("nan"), float("inf"), True, "30", None):
        with pytest.raises(RateError, match="expected samples per second"):
            result.at_rate(wrong)  # type: ignore[arg-type]
    with pytest.raises(RateError, match="expected samples per second"):
        hwsim.simulate(TRACE, "event_core_64", samples=1, rate_hz=0)


def test_samples_longer_than_the_period_are_counted() -> None:
    result = whole()
    late = result.at_rate(result.highest_rate_hz).late_samples
    assert late == (result.cycles > result.cycles.mean()).sum() > 0
    assert result.at_rate(result.architecture.clock / int(result.cycles.max())).late_samples == 0


def test_a_memory_that_nothing_loads_again_must_stay_supplied() -> None:
    odin = hwsim.simulate(ODIN_TRACE, "odin", samples=1)
    assert odin.at_rate(30).idle_s > 0
    for name in ("weight", "membrane"):
        with pytest.raises(RateError, match=f"power.idle.{name}: off: the {name} memory of odin would lose what it holds"):
            with_power(odin, idle={name: "off"}).at_rate(30)
    assert with_power(odin, idle={"memories": "retention", "logic": "off"}, retention_v=0.7).at_rate(30).reload_s == 0
    assert with_power(whole("event_core_16"), idle={"weight": "off"}).at_rate(30).reload_s == 0, "weights come with each sample"


@pytest.mark.parametrize(("power", "says"), [
    ({"idle": {"weight": "retention"}}, "power: idle has memories in retention, which no table prices: give retention_v"),
    ({"idle": {"logic": "retention"}, "retention_v": 0.7}, "power: idle.logic: found 'retention', allowed 'on' or 'off'"),
    ({"idle": {"weights": "off"}}, "power: idle.weights: nothing of that name has power states, allowed are logic, memories, w"),
    ({"idle": {"weight": "asleep"}}, "power.idle.weight: found 'asleep', allowed 'on', 'retention' or 'off'"),
    ({"retention_v": 0.7, "retention_over_on": 0.3}, "power: retention_v and retention_over_on are both given"),
    ({"off_over_on": 2}, "power.off_over_on: found 2, allowed"),
    ({"gate": "weight"}, "power.gate: unknown field, allowed are idle, retention_v"),
])
def test_a_state_without_a_price_does_not_exist(power: dict[str, Any], says: str) -> None:
    with pytest.raises(ArchitectureError) as error:
        powered(load_architecture("event_core_64"), **power)
    assert says in str(error.value)


@pytest.mark.parametrize(("volts", "technology", "says"), [
    (0.95, {}, "power.retention_v: 0.95 V is above the supply of the chip"),
    (0.6, {}, "0.6 V lies beyond the supply_scaling of memory profile cacti_lop, which holds from 0.7 to 0.9 V"),
    (0.8, {"memory": "cacti_hp"}, "memory profile cacti_hp, which holds from 0.9 to 1 V"),
])
def test_a_retention_voltage_beyond_the_law_is_refused_before_a_run(volts: float, technology: dict[str, Any], says: str) -> None:
    data = dump_architecture(powered(load_architecture("event_core_64"), idle={"memories": "retention"}, retention_v=volts))
    design = rebuild_architecture({**data, "technology": data["technology"] | technology})
    with pytest.raises(ScalingError) as error:
        hwsim.simulate(TRACE, design, samples=1)
    assert says in str(error.value)


def test_states_in_yaml_are_words_in_quotes(tmp_path: Path) -> None:
    """`on` and `off` without quotes are booleans to some readers of YAML and words to others; the one reader refuses them."""
    text = (ROOT / "arch_configs" / "event_core_64.yaml").read_text()
    file = tmp_path / "gated.yaml"
    file.write_text(text + "\npower: {idle: {weight: 'on', membrane: 'off', logic: 'off'}}\n")
    assert load_architecture(file).power.idle == {"weight": "on", "membrane": "off", "logic": "off"}
    file.write_text(text + "\npower: {idle: {weight: off}}\n")
    with pytest.raises(ArchitectureError, match="off: found what YAML readers understand differently.*in quotes if it is text"):
        load_architecture(file)


# --- identity, shards, files -----------------------------------------------------------------------------------------


def test_states_between_samples_are_part_of_the_prices() -> None:
    design = load_architecture("event_core_64")
    same = price_hash(design)
    assert price_hash(powered(design, idle={"weight": "on"}, off_over_on=0.5)) == same, "no state changed"
    others = [price_hash(powered(design, **power)) for power in (
        {"idle": {"weight": "off"}}, {"idle": {"weight": "off"}, "off_over_on": 0.1}, {"idle": {"logic": "off"}},
        {"idle": {"weight": "retention"}, "retention_v": 0.7}, {"idle": {"weight": "retention"}, "retention_v": 0.8})]
    assert len({same, *others}) == 6


def test_merged_shards_and_saved_results_wait_as_the_whole(tmp_path: Path) -> None:
    result = with_power(whole(), idle={"memories": "retention", "bias": "off"}, retention_v=0.7)
    parts = [hwsim.simulate(TRACE, result.architecture, samples=part) for part in ([0], [1, 2])]
    merged = Result.merge(parts)
    pd.testing.assert_frame_equal(merged.at_rate(30).energy, result.at_rate(30).energy)
    loaded = hwsim.load_result(replace(result, rate_hz=100.0).save(tmp_path / "run"))
    assert loaded.rate_hz == 100
    pd.testing.assert_frame_equal(loaded.at_rate(30).energy, result.at_rate(30).energy)
    body = json.loads((tmp_path / "run" / "result.json").read_text())
    assert body["summary"]["at_rate"] == json.loads(json.dumps(result.at_rate(100).summary()))
    with pytest.raises(ResultError, match="shown at different rates"):
        Result.merge([parts[0], replace(parts[1], rate_hz=1.0)])


def test_summaries_say_what_is_out_of_reach(rate_trace: Trace) -> None:
    slow = load_architecture("event_core_64").model_copy(update={"clock": 100_000})
    summary = hwsim.simulate(rate_trace, slow, samples=1).summary()
    assert summary["at_rate"]["energy_pj"] is None
    assert summary["at_rate"]["highest_rate_hz"] < 30
    assert set(summary["at_rate"]) == set(whole().summary()["at_rate"])


# --- the command line ------------------------------------------------------------------------------------------------


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_run_compare_and_explain_show_a_rate_beside_full_speed(trace_files: dict[str, Path], tmp_path: Path) -> None:
    arguments = (trace_files["rate"], "--arch", "event_core_64", "--samples", 1)
    body = json.loads(call("run", *arguments, "--out", tmp_path / "run", "--rate", 100, "--json").stdout)
    slow, full = body["at_rate"], body["energy_pj"]
    assert slow["rate_hz"] == 100
    assert slow["energy_pj"]["system"] > full["system"]
    explained = json.loads(call("energy", "explain", tmp_path / "run", "--rate", 100, "--json").stdout)
    assert explained["at_rate"]["energy_pj"] == slow["energy_pj"]
    hardware = sum(line["energy_pj"] for line in explained["lines"] if line["scope"] != "compute")
    assert hardware == pytest.approx(slow["energy_pj"]["system"])
    table = (*arguments, "--schedule", "layer_by_layer", "--out", tmp_path / "table")
    assert [row["at_rate"] for row in json.loads(call("compare", *table, "--rate", 100, "--json").stdout)] == [slow]
    rows = [line.split(",") for line in (tmp_path / "table" / "compare.csv").read_text().splitlines()]
    named = dict(zip(*rows, strict=True))
    assert float(named["system_at_rate_nj"]) == pytest.approx(slow["energy_pj"]["system"] / 1e3)
    shown = call("compare", *table, "--rate", 1e7).stdout
    assert "uJ at 1e+07/s" in shown
    assert "-: out of reach" in shown
    refused = call("run", *arguments, "--rate", 1e7)
    assert refused.exit_code != 0
    assert "the highest rate is" in str(refused.exception)
    text = call("run", *arguments).stdout
    assert "at 30/s" in text
    assert max(map(len, text.splitlines())) <= 120
