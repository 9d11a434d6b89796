"""Overrides of groups: patterns over names, values and factors, the later wins; what they did is told."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import hwsim
from hwsim.activity import UNIT_OF
from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cli import app
from hwsim.cost.area import ComponentAmount
from hwsim.cost.energy import (
    PRICED,
    EnergyError,
    NotProvisionedError,
    check_prices,
    leakage,
    parse_overrides,
    price_hash,
    price_list,
    read_overrides,
)
from hwsim.cost.overridden import overridden, without_effect
from hwsim.cost.overrides import plain_overrides
from hwsim.cost.technology.sources import FOLDER
from hwsim.result import Result
from hwsim.trace.reader import Trace
from tests.conftest import ROOT

ARCH = load_architecture("event_core_64")
PATTERNS = ("membrane_*", "*_read*", "*", "weight_*", "acc_add", "buffer_?rite", "reset_[sz]*", "channel_*")
COMPONENTS = ("*_memory", "weight_memory", "*", "fifo", "la*")


@cache
def whole() -> Result:
    return hwsim.simulate(ROOT / "traces" / "fashion_mnist_bit_serial_t4.h5", ARCH, samples=2)


FACTORS = st.floats(0, 4).map(lambda factor: round(factor, 3))
GROUPS = st.dictionaries(st.sampled_from(PATTERNS), FACTORS, max_size=4)
LEAKS = st.dictionaries(st.sampled_from(COMPONENTS), FACTORS, max_size=3)


def last(changes: dict[str, float], name: str) -> float:
    """The factor of the last pattern that meets a name."""
    return next((factor for pattern, factor in reversed(changes.items()) if fnmatchcase(name, pattern)), 1.0)


def factor_of(row: Any, groups: dict[str, float], leaks: dict[str, float]) -> float:
    """What the changes say of a row of energy; what the clock takes has no price by event."""
    return last(leaks, row.component) if row.event == "leakage" else 1.0 if row.event == "cycle" else last(groups, row.event)


@given(GROUPS, LEAKS)
@settings(max_examples=8, deadline=None)
def test_factors_of_prices_are_factors_of_the_energy_by_component(groups: dict[str, float], leaks: dict[str, float]) -> None:
    """Scaling prices and then counting is counting and then scaling, for every component, its work and its leakage."""
    result = whole()
    given_prices = {**{pattern: f"x{factor}" for pattern, factor in groups.items()},
                    "leakage_mw": {pattern: f"x{factor}" for pattern, factor in leaks.items()}}
    rows = result.energy
    factors = [factor_of(row, groups, leaks) for row in rows.itertuples()]
    scaled = rows.assign(energy_pj=rows["energy_pj"] * factors).groupby(["component", "event"])["energy_pj"].sum()
    found = result.reprice(given_prices)
    energies = found.energy.groupby(["component", "event"])["energy_pj"].sum()
    assert energies.to_dict() == pytest.approx(scaled.to_dict(), rel=1e-9)
    slow, expected = found.at_rate(30).energy_pj["system"], result.at_rate(30).energy
    factors = [factor_of(row, groups, leaks) for row in expected.itertuples()]
    assert slow == pytest.approx((expected["energy_pj"] * factors).sum(), rel=1e-9)


def test_the_later_wins_and_a_factor_is_of_the_tables_price() -> None:
    table = price_list(ARCH)
    read, shift = table.price("membrane_read_fire").pj, table.price("membrane_shift").pj
    one = price_list(ARCH, {"membrane_*": "x0.5", "membrane_read_fire": 3.0})
    other = price_list(ARCH, {"membrane_read_fire": 3.0, "membrane_*": "x0.5"})
    assert (one.price("membrane_read_fire").pj, other.price("membrane_read_fire").pj) == (3.0, read / 2)
    assert one.price("membrane_shift").pj == other.price("membrane_shift").pj == shift / 2
    twice = price_list(ARCH, {"membrane_*": "x0.5", "*_read_*": "x0.5"})
    assert twice.price("membrane_read_fire").pj == read / 2
    assert "(not membrane_*=x0.5: the later wins)" in twice.price("membrane_read_fire").formula
    for price in (one.price("membrane_shift"), twice.price("membrane_read_fire")):
        assert price.citation.startswith("override x0.5 of: ")
        assert f"of {table.price(price.event).pj:.5g} pJ: {table.price(price.event).formula}" in price.formula


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_factor_follows_the_width_of_a_multiplication(bits: int) -> None:
    assert price_list(ARCH, {"mul*": "x3"}).price("mult", bits).pj == pytest.approx(3 * price_list(ARCH).price("mult", bits).pj)


def test_a_group_is_of_what_is_there_and_a_value_may_stand_where_no_table_has_a_price(tmp_path: Path) -> None:
    prices = price_list(ARCH, {"*": 1.0})
    assert {p.event for p in prices.prices()} == {p.event for p in price_list(ARCH).prices()}
    assert {p.pj for p in prices.prices()} == {1.0}
    with pytest.raises(NotProvisionedError, match="no accumulator file"):
        prices.price("accumulator_access")
    gated = rebuild_architecture({**dump_architecture(ARCH), "memories": dump_architecture(ARCH)["memories"] | {
        "membrane": {"capacity": "192 KiB", "gate_by_channel": True}}})
    own, doubled = (price_list(gated, given).price("membrane_read_banks").pj for given in ({}, {"membrane_*_banks": "x2"}))
    assert doubled == 2 * own > 0
    table = yaml.safe_load((FOLDER / "units" / "datta_45nm.yaml").read_text(encoding="utf-8"))
    del table["operations"]["compare"]
    (tmp_path / "units.yaml").write_text(yaml.safe_dump(table))
    lacking = rebuild_architecture({**dump_architecture(ARCH), "technology": dump_architecture(ARCH)["technology"] | {
        "units": str(tmp_path / "units.yaml")}})
    with pytest.raises(EnergyError, match="cmp: no price"):
        price_list(lacking, {"cm*": "x2"})
    assert price_list(lacking, {"cm*": 2.0}).price("cmp").pj == 2.0
    off = price_list(ARCH, {"current_*": "x2"}, ["weight", "membrane", "spike", "bias"])
    with pytest.raises(NotProvisionedError, match="current memory of event_core_64 is off"):
        off.price("current_read")


def test_one_file_one_mapping_and_one_command_line_mean_the_same(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("membrane_*: x0.5\nacc_add: 0.05\nleakage_mw: {'*_memory': x0.1, fifo: 0.25}\n")
    mapping = {"membrane_*": "x0.5", "acc_add": 0.05, "leakage_mw": {"*_memory": "x0.1", "fifo": 0.25}}
    items = ["membrane_*=x0.5", "acc_add=0.05", "leakage_mw.*_memory=x0.1", "leakage_mw.fifo=0.25"]
    found = read_overrides(mapping)
    assert read_overrides(str(file)) == read_overrides(parse_overrides(None, items)) == found
    assert plain_overrides(found) == mapping
    assert read_overrides(json.loads(json.dumps(plain_overrides(found)))) == found
    later = parse_overrides(file, ["acc_add=1", "membrane_*=x2", "leakage_mw.*_memory=2"])
    assert list(later) == ["acc_add", "membrane_*", "leakage_mw"], "what is given again stands last"
    assert list(later["leakage_mw"]) == ["fifo", "*_memory"]
    assert price_hash(ARCH, parse_overrides(file, ["acc_*=x2"])) == price_hash(ARCH, {**mapping, "acc_add": "x2"})


def test_identity_is_of_the_numbers_that_groups_make() -> None:
    table = price_list(ARCH)
    events = [e for e in PRICED if e.startswith("channel_")]
    assert all(len(table.charges(e)) == 1 for e in events), "a number is of the event's own unit, a factor of all that it costs"
    numbers = {e: 0.5 * table.price(e).pj for e in events}
    assert price_hash(ARCH, {"channel_*": "x0.5"}) == price_hash(ARCH, numbers) != price_hash(ARCH)
    assert price_hash(ARCH, {"*": "x1", "leakage_mw": {"*": "x1"}}) == price_hash(ARCH)
    leaks = leakage(ARCH, {"leakage_mw": {"*_memory": "x0.5"}}).set_index("component")["leakage_mw"]
    before = leakage(ARCH).set_index("component")["leakage_mw"]
    memories = [UNIT_OF[name] for name in ("weight", "membrane", "current", "bias")]
    assert leaks[memories].to_list() == pytest.approx((before[memories] / 2).to_list())
    assert (leaks.drop(memories) == before.drop(memories)).all()


def test_groups_are_saved_with_a_result(tmp_path: Path) -> None:
    changed = whole().reprice({"membrane_*": "x0.5", "leakage_mw": {"*": "x0.5"}})
    loaded = hwsim.load_result(changed.save(tmp_path / "run"))
    assert loaded.overrides == {"membrane_*": "x0.5", "leakage_mw": {"*": "x0.5"}}
    assert loaded.run_id == changed.run_id != whole().run_id
    assert loaded.summary() == changed.summary()


@pytest.mark.parametrize(("wrong", "says"), [
    ({"membran*_reed*": "x2"}, "membran.*_reed.*: meets no price; allowed are .*; nearest: membrane_read"),
    ({"acc_ad": 1.0}, "acc_ad: no such event; allowed are .*; nearest: acc_add"),
    ({"cycles_*": "x2"}, r"cycles_\*: meets no price"),
    ({"acc_add": "2x"}, "acc_add: found '2x', allowed a number .* or a factor such as 'x0.5'"),
    ({"acc_add": "x-2"}, "acc_add: found 'x-2'"), ({"acc_add": "x1e99"}, "acc_add: found 'x1e99'"),
    ({"acc_add": "x1.2.3"}, "acc_add: found 'x1.2.3'"), ({"acc_add": "xnan"}, "acc_add: found 'xnan'"),
    ({"leakage_mw": {"*wieght*": "x2"}}, r"leakage_mw.\*wieght\*: event_core_64 has no such component; .*; nearest: w"),
    ({"leakage_mw": {"fifo": "half"}}, "leakage_mw.fifo: found 'half'"),
])
def test_a_group_that_meets_nothing_is_refused_with_the_nearest_names(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(EnergyError, match=says):
        price_list(ARCH, wrong)


def test_what_overrides_did_is_told_from_what(tmp_path: Path) -> None:
    items = ["membrane_*=x0.5", "membrane_read_fire=3", "link_*=x2", "acc_*=x2", "acc_add=0.5", "leakage_mw.*_memory=x0.1"]
    run = whole().save(tmp_path / "run")
    options = [word for item in items for word in ("--price", item)]
    shown = CliRunner().invoke(app, ["energy", "explain", str(run), *options])
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.stdout.split())
    table, leaks = price_list(ARCH), leakage(ARCH).set_index("component")["leakage_mw"]
    fire, weight = table.price("membrane_read_fire").pj, leaks["weight_memory"]
    for said in (f"membrane_read_fire: 3 pJ, was {fire:.5g}: membrane_read_fire=3 (not membrane_*=x0.5: the later wins)",
                 f"membrane_write_fire: {table.price('membrane_write_fire').pj / 2:.5g} pJ, was",
                 f"leakage_mw.weight_memory: {weight / 10:.5g} mW, was {weight:.5g}: leakage_mw.*_memory=x0.1",
                 "without effect here: link_*=x2, acc_*=x2"):
        assert said in text
    assert max(map(len, shown.stdout.splitlines())) <= 120
    body = json.loads(CliRunner().invoke(app, ["energy", "explain", str(run), "--json", *options]).stdout)
    assert body["overrides_without_effect"] == ["link_*=x2", "acc_*=x2"]
    rows = {row["name"]: row for row in body["overridden"]}
    assert (rows["membrane_read_fire"]["was"], rows["membrane_read_fire"]["value"]) == (fire, 3.0)
    assert "overridden" in CliRunner().invoke(app, ["energy", "show", "event_core_64", "--price", "acc_add=x2"]).stdout
    assert "overridden" not in CliRunner().invoke(app, ["energy", "explain", str(run)]).stdout


# --- chips of several kinds of cores ---------------------------------------------------------------------------------


def chip(*designs: Architecture) -> Architecture:
    whole_chip, *_ = (dump_architecture(one) for one in designs)
    cores = [{name: part for name, part in dump_architecture(one).items() if name in ("core", "spike_buffer", "memories")}
             for one in designs]
    rest = {name: part for name, part in whole_chip.items() if name not in ("core", "spike_buffer", "memories")}
    return rebuild_architecture({**rest, "name": "chip", "cores": cores})


def test_a_leakage_of_a_chip_is_given_once_whatever_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes of 8 bits may leak what is printed, of 24 bits what is computed: the user's number is of both together."""
    figures = [ComponentAmount("lane", 8, 2.0, "printed"), ComponentAmount("lane", 64, 4.0, "computed")]
    monkeypatch.setattr("hwsim.cost.leakage.leakage_figures", lambda *_: figures)
    assert leakage(ARCH, {"leakage_mw": {"lane": 5.0}})["leakage_mw"].to_list() == [5.0]
    assert leakage(ARCH, {"leakage_mw": {"lan*": "x0.5"}})["leakage_mw"].to_list() == [1.0, 2.0]


def test_a_component_of_one_kind_of_core_can_be_overridden_on_a_mixed_chip(rate_trace: Trace) -> None:
    mixed = chip(ARCH, load_architecture("mac_core_64"))
    given_prices = {"leakage_mw": {"requantiser": 1.0}, "requant": "x2", "reset_*": "x2"}
    check_prices(mixed, given_prices)
    rows = {(row["name"], row["core"]) for row in overridden(mixed, given_prices)}
    assert rows >= {("leakage_mw.requantiser", ""), ("requant", "cores[1]"), ("reset_sub", "cores[0]")}
    assert without_effect(mixed, given_prices) == []
    pair = chip(ARCH, ARCH.with_core(lanes=32))
    alone, changed = (hwsim.simulate(rate_trace, pair, samples=1, overrides=o) for o in (None, {"leakage_mw": {"fifo": 9.0}}))
    fifo = leakage(pair).set_index("component")["leakage_mw"]["fifo"]
    assert changed.energy_pj["core"] - alone.energy_pj["core"] == pytest.approx((9.0 - fifo) * alone.latency_s * 1e9)
