"""Scaling by published rules: nothing changes nothing, two steps are one, printed ratios come out, out of range is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import hwsim
from hwsim.arch import Technology, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cores.parts import WRITTEN_ONCE
from hwsim.cost.energy import price_list
from hwsim.cost.memory import macro
from hwsim.cost.operating_point import NOTHING, logic_factor, sram_factor
from hwsim.cost.technology.memory_tables import memory
from hwsim.cost.technology.scaling import (
    Point,
    ScalingError,
    area_ratio,
    delay_ratio,
    energy_ratio,
    sram_area_ratio,
    sram_energy_ratio,
)
from hwsim.cost.technology.sources import FOLDER, shipped
from hwsim.cost.technology.tables import units
from hwsim.cost.units import unit_at

FAMILIES = ("lp", "hp")
points = st.builds(Point, st.sampled_from([45.0, 40.0, 28.0, 22.0, 20.0, 16.0, 12.0, 10.0, 7.0]), st.floats(0.5, 0.8))
CORE = load_architecture("event_core_64")


@given(st.sampled_from(FAMILIES), points)
def test_scaling_by_nothing_changes_nothing(family: Any, at: Point) -> None:
    for ratio in (energy_ratio, delay_ratio):
        assert ratio(family, at, at) == 1.0
    assert area_ratio(family, at.node_nm, at.node_nm) == sram_energy_ratio(at.node_nm, at.node_nm) == 1.0


@given(st.sampled_from(FAMILIES), points, points, points)
def test_two_scalings_are_one(family: Any, a: Point, b: Point, c: Point) -> None:
    for ratio in (energy_ratio, delay_ratio):
        assert ratio(family, a, b) * ratio(family, b, c) == pytest.approx(ratio(family, a, c))
    areas = [area_ratio(family, x.node_nm, y.node_nm) for x, y in ((a, b), (b, c), (a, c))]
    assert areas[0] * areas[1] == pytest.approx(areas[2])


@given(st.floats(22, 65), st.floats(22, 65), st.floats(22, 65))
def test_two_scalings_of_a_memory_are_one(a: float, b: float, c: float) -> None:
    for ratio in (sram_energy_ratio, sram_area_ratio):
        assert ratio(a, b) * ratio(b, c) == pytest.approx(ratio(a, c))


@pytest.mark.parametrize(
    ("volts", "energy", "delay"), [(0.7, 0.67, 1.93), (0.8, 0.82, 1.39), (1.0, 1.21, 0.73), (1.1, 1.44, 0.55)])
def test_the_printed_ratios_of_supplies(volts: float, energy: float, delay: float) -> None:
    """LP 45 nm, over 0.9 V."""
    start, end = Point(45, 0.9), Point(45, volts)
    assert energy_ratio("lp", start, end) == pytest.approx(energy, abs=0.006)
    assert delay_ratio("lp", start, end) == pytest.approx(delay, abs=0.006)


@pytest.mark.parametrize(("family", "ratios"), [
    ("hp", {28: 0.532, 22: 0.348, 16: 0.226, 7: 0.124}), ("lp", {32: 0.641, 28: 0.489, 22: 0.260, 16: 0.145, 7: 0.078})])
def test_the_printed_ratios_of_nodes_at_0_9_volt(family: Any, ratios: dict[int, float]) -> None:
    for node, ratio in ratios.items():
        assert energy_ratio(family, Point(45, 0.9), Point(node, 0.9)) == pytest.approx(ratio, abs=6e-4)


def test_less_supply_costs_less_and_takes_longer() -> None:
    volts = [0.5 + i / 20 for i in range(9)]
    for family in FAMILIES:
        for node in (45, 28, 16, 7):
            energies = [energy_ratio(family, Point(45, 0.7), Point(node, v)) for v in volts if v <= 0.85]
            delays = [delay_ratio(family, Point(45, 0.7), Point(node, v)) for v in volts if v <= 0.85]
            assert energies == sorted(energies)
            assert delays == sorted(delays, reverse=True)


@pytest.mark.parametrize(("family", "point", "says"), [
    ("lp", Point(65, 0.9), "65 nm lies beyond Stillmaker and Baas"), ("lp", Point(5, 0.7), "5 nm lies beyond"),
    ("lp", Point(45, 1.5), "1.5 V lies beyond .* LP 45 nm holds from 0.4 to 1.4 V"),
    ("hp", Point(45, 1.0), "HP 45 nm holds from 0.4 to 0.95 V"), ("hp", Point(32, 0.9), "HP 32 nm holds from 0.4 to 0.85 V")])
def test_beyond_the_range_it_is_refused(family: Any, point: Point, says: str) -> None:
    for ratio in (energy_ratio, delay_ratio):
        with pytest.raises(ScalingError, match=says):
            ratio(family, Point(45, 0.8), point)


def test_hp_32_lends_its_energy_to_its_neighbours_at_0_9_volt_but_no_delay() -> None:
    assert energy_ratio("hp", Point(45, 0.9), Point(28, 0.9)) > 0
    with pytest.raises(ScalingError, match="delay of HP 32 nm holds from 0.4 to 0.85 V"):
        delay_ratio("hp", Point(45, 0.9), Point(28, 0.9))


# --- from tables to a design -----------------------------------------------------------------------------------------


def design(**technology: Any) -> hwsim.Architecture:
    data = dump_architecture(CORE)
    data["technology"] |= technology
    return rebuild_architecture(data)


@pytest.mark.parametrize("table", [name for name in shipped("units") if name != "aladdin_40nm"])
def test_every_table_of_units_holds_at_the_default_point_as_it_is(table: str) -> None:
    assert (units(table).conditions.node_nm, units(table).conditions.vdd_v) == (45, 0.9)
    for quantity in ("energy", "delay", "area", "leakage"):
        assert logic_factor(Technology(), units(table).conditions, quantity, table) is NOTHING  # type: ignore[arg-type]


def test_every_table_states_its_conditions(tmp_path: Path) -> None:
    for kind in ("units", "memory", "dram"):
        for name in shipped(kind):  # type: ignore[arg-type]
            data = yaml.safe_load((FOLDER / kind / f"{name}.yaml").read_text())
            del data["conditions"]
            file = tmp_path / f"{kind}_{name}.yaml"
            file.write_text(yaml.safe_dump(data))
            loader = {"units": units, "memory": memory, "dram": hwsim.cost.technology.tables.dram}[kind]
            with pytest.raises(hwsim.HwsimError, match="every table states node, supply and temperature"):
                loader(str(file))


def test_a_price_says_how_it_was_scaled() -> None:
    low = price_list(design(vdd_v=0.8))
    assert low.price("acc_add").pj == pytest.approx(price_list(CORE).price("acc_add").pj * 0.8208, rel=1e-3)
    assert "45 nm, 0.9 V to 45 nm, 0.8 V" in low.price("acc_add").formula
    assert "Stillmaker and Baas" in low.price("acc_add").source
    read = low.price("weight_read")
    assert read.pj == pytest.approx(price_list(CORE).price("weight_read").pj * (0.8 / 0.9) ** 1.45)
    assert "0.7 to 0.8 V: V^1.45" in read.formula


def test_supplies_are_not_mixed_without_a_declared_scaling(tmp_path: Path) -> None:
    data = yaml.safe_load((FOLDER / "memory" / "cacti_lop.yaml").read_text())
    del data["supply_scaling"]
    file = tmp_path / "silent.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(ScalingError, match=r"memory profile cacti_lop holds at 45 nm, 0.7 V and the design works at 45 nm, "
                                           r"0.9 V: it declares no supply_scaling.*set technology.vdd_v: 0.7"):
        price_list(design(memory=str(file)))
    assert price_list(design(memory=str(file), vdd_v=0.7)).price("weight_read").pj > 0


@pytest.mark.parametrize(("technology", "says"), [
    ({"vdd_v": 1.1}, "1.1 V lies beyond the supply_scaling of memory profile cacti_lop, which holds from 0.7 to 0.9 V"),
    ({"node_nm": 16, "leakage_over_table": 1.0}, "16 nm lies beyond CACTI at equal supply"),
    ({"node_nm": 32}, "no usable law of leakage across nodes.*give technology.leakage_over_table"),
    ({"memory": "horowitz", "vdd_v": 0.8}, "memory profile horowitz holds at 45 nm, 0.9 V .* declares no supply_scaling")])
def test_what_no_rule_covers_is_refused_by_name(technology: dict[str, Any], says: str) -> None:
    with pytest.raises(ScalingError, match=says):
        price_list(design(**technology))


def test_another_node_scales_everything_and_leaks_what_the_design_says() -> None:
    made = Technology(node_nm=32, vdd_v=0.9, leakage_over_table=9.0)
    wide, small = (macro("m", 2**17, 64, t, WRITTEN_ONCE) for t in (Technology(), made))
    assert small.read_pj == pytest.approx(0.69 * wide.read_pj)
    assert small.area_um2 == pytest.approx(0.51 * wide.area_um2)
    assert small.leakage_mw == pytest.approx(9 * wide.leakage_mw)
    assert small.access_ns == pytest.approx(wide.access_ns * delay_ratio("lp", Point(45, 0.9), Point(32, 0.9)))
    add = unit_at(made, "nangate_45nm", "add", "leakage_nw", (8,))
    assert add.value == pytest.approx(9 * 973 * (0.9 / 1.1) ** 5, rel=1e-5)


def test_leakage_of_a_memory_goes_with_its_law_of_supply() -> None:
    table = memory("cacti_lop")
    assert sram_factor(Technology(vdd_v=0.9), table, "subthreshold").value == pytest.approx((0.9 / 0.7) ** 6)
    assert sram_factor(Technology(vdd_v=0.9), table, "gate").value == pytest.approx(0.9 / 0.7)
    assert sram_factor(Technology(vdd_v=0.7), table, "gate") is NOTHING
