"""ODIN's energy: every gate that is there is charged, none twice, and the comparison with the chip is what the page says."""

from __future__ import annotations

import csv
import sys

import pytest

import hwsim
from benchmarks import odin_energy
from benchmarks.odin_energy import NODE_NM, PARTS, PUBLISHED_PJ, SPLIT_PJ, SUPPLY_V, Points, account, counts_of, points_of
from hwsim.activity import EVENTS
from hwsim.cores.logic import CLOCK, WIRES, Within
from hwsim.cores.model import core_model
from hwsim.cores.odin.logic import IDLE_FLIP_FLOPS, SPIKE_FLIP_FLOPS, logic
from hwsim.cost.area import area_mm2
from hwsim.cost.logic import LogicPrices
from hwsim.cost.memory import macros
from hwsim.cost.technology.make.logic import read
from hwsim.cost.technology.scaling import ScalingError
from hwsim.cost.what_works import SUPPLIES_V
from tests.conftest import ROOT

ODIN = hwsim.load_architecture("odin")
TEXT = (ROOT / "docs" / "odin.md").read_text(encoding="utf-8")
EVENTS_PER_STREAM = 40


@pytest.fixture(scope="module")
def points() -> Points:
    return points_of(ODIN)


# -- nothing is free, nothing is charged twice ----------------------------------------------------------------------------


def test_every_block_works_in_some_event_or_cycle() -> None:
    """Gates that take area and are never charged would be free; gates that are charged and take no area would be nobody's."""
    gates = LogicPrices(ODIN, macros(ODIN))
    charged = {charge.component for event in gates.logic.events for charge in gates.charges(event) if charge.pj > 0}
    charged |= {charge.component for charge in gates.every_cycle()}
    assert charged - {CLOCK, WIRES} == {block.component for block in gates.logic.blocks}


def test_a_unit_is_charged_by_one_event_of_an_operation() -> None:
    """Additions, leaks, comparisons and resets are in the neuron's operation, and so cost nothing of their own on chip."""
    uses = logic(ODIN.only).events
    for event in ("acc_add", "leak", "cmp", "reset_zero"):
        assert all(isinstance(use, Within) for use in uses[event])
    assert set(uses) <= set(core_model("odin").events or ())
    by_operation = [event for event, mine in uses.items() if not isinstance(mine[0], Within)]
    units = {event: uses[event][0].unit for event in by_operation if hasattr(uses[event][0], "unit")}
    assert len(set(units.values())) == len(units) - 1, "only accumulating and leaking share a unit: they write different words"


def test_flip_flops_are_those_that_were_synthesised() -> None:
    there = {row["unit"]: int(row["flip_flops"]) for row in read("nangate45_units.csv")}
    latches = 3
    assert IDLE_FLIP_FLOPS == there["odin_controller"] + latches
    assert SPIKE_FLIP_FLOPS == there["odin_link"] - latches
    gates = LogicPrices(ODIN.with_fields({"technology.clock_gating": "free_running"}), {})
    fifo = gates.table.units["fifo"].flip_flops
    assert fifo is not None
    odin = sum(there[f"odin_{unit}"] for unit in ("controller", "link", "signs"))
    assert gates.flip_flops == pytest.approx(fifo.at({"token_bits": 13, "fifo_depth": 32}) + odin)


def test_the_comparison_charges_what_a_replay_charges() -> None:
    """Two ways to the same joules: parts by hand, and an energy frame of the shipped trace; at one point of the tables."""
    result = hwsim.simulate(odin_energy.TRACE, "odin", samples=3)
    here = Points(ODIN, ODIN, (ODIN, ODIN), {})
    counts = dict(zip(EVENTS, result.layer_counts.sum(axis=(0, 1, 2)).tolist(), strict=True))
    mine = account(here, {event: counts[event] / 3 for event in here.gates("gated").logic.events | {"weight_write": ()} | {
        f"membrane_{way}_{use}": () for way in ("read", "write") for use in ("accumulate", "fire")}}, float(result.cycles.mean()))
    core = result.energy[result.energy["scope"] == "core"]["energy_pj"].sum()
    assert sum(mine.values()) == pytest.approx(core, rel=1e-9)
    by_component = result.energy.groupby("unit")["energy_pj"].sum()
    for part, unit in (("neuron memory", "membrane_memory"), ("synapse memory", "weight_memory"), ("wires", "wires"),
                       ("clock", "clock"), ("leakage", "leakage")):
        assert mine[part] == pytest.approx(by_component[unit], rel=1e-9), part


# -- the nearest point ----------------------------------------------------------------------------------------------------


def test_each_part_stands_as_near_to_the_chip_as_its_tables_reach(points: Points) -> None:
    assert (points.logic.technology.node_nm, points.logic.technology.vdd_v) == (NODE_NM, SUPPLY_V)
    assert "logic" not in points.reasons
    memories = points.memories.technology
    assert memories.node_nm == NODE_NM
    nearer = [v for v in (*SUPPLIES_V, SUPPLY_V) if abs(v - SUPPLY_V) < abs(memories.vdd_v - SUPPLY_V)]
    assert len(nearer) > 3
    for volts in nearer:
        with pytest.raises(ScalingError):
            macros(points.memories.with_fields({"technology.vdd_v": volts}))
    for at in points.leakage:
        assert at.technology.leakage_over_table is None, "no number for another node was made up"
        with pytest.raises(ScalingError, match="no usable law of leakage across nodes"):
            macros(at.with_fields({"technology.node_nm": NODE_NM, "technology.vdd_v": memories.vdd_v}))


def test_no_number_of_the_chip_is_in_ours(points: Points, monkeypatch: pytest.MonkeyPatch) -> None:
    before = odin_energy.split(points, EVENTS_PER_STREAM)
    monkeypatch.setattr(odin_energy, "PUBLISHED_PJ", 1.0)
    monkeypatch.setattr(odin_energy, "SPLIT_PJ", dict.fromkeys(SPLIT_PJ, 1.0))
    assert odin_energy.split(points, EVENTS_PER_STREAM) == before


def test_an_operation_of_a_neuron_event_by_hand(points: Points) -> None:
    parts = odin_energy.split(points, EVENTS_PER_STREAM)["gated"]
    neuron, synapse = (points.macros[name] for name in ("membrane", "weight"))
    assert parts["neuron memory"] == pytest.approx(neuron.read_pj + neuron.write_pj)
    assert parts["synapse memory"] == pytest.approx((synapse.read_pj + synapse.write_pj) / 8)
    assert parts["leakage"] == pytest.approx(points.leakage_mw * 2 * 1e3 / 75)
    assert parts["all"] == pytest.approx(sum(parts[part] for part in PARTS))
    assert sum(SPLIT_PJ.values()) == pytest.approx(PUBLISHED_PJ, rel=2e-3)


def test_exact_cycles_cost_clock_and_leakage_more_and_nothing_else(points: Points) -> None:
    for operations, record in odin_energy.streams(EVENTS_PER_STREAM).values():
        few, exact = (account(points, counts_of(record), cycles) for cycles in (2 * operations, record.done))
        more = (record.done - 2 * operations) / (2 * operations)
        for part in ("neuron memory", "synapse memory", "wires"):
            assert exact[part] == few[part]
        assert exact["leakage"] == pytest.approx(few["leakage"] * (1 + more))
        assert few["clock"] < exact["clock"]


# -- what is printed ------------------------------------------------------------------------------------------------------


def test_the_page_has_what_the_command_prints(points: Points) -> None:
    events = odin_energy.EVENTS_PER_STREAM
    for line in (*odin_energy.place_lines(points), *odin_energy.split_rows(points, events),
                 *odin_energy.counting_rows(points, events), *odin_energy.causes(points, events)):
        assert line in TEXT, line
    assert odin_energy.image_row(points) in TEXT
    assert "python benchmarks/odin_energy.py" in TEXT


def test_the_page_has_energy_and_area_of_both_cores_at_one_node() -> None:
    for name in ("odin", "event_core_16"):
        result = hwsim.simulate(odin_energy.TRACE, name, spikes="computed")
        core, area = result.energy_pj["core"] / 1e3, area_mm2(result.architecture)
        row = f"| `{name}` | {core:,.0f} nJ | {leaking(result):,.0f} nJ | {area:.2f} mm² |"
        assert row in TEXT, row


def leaking(result: hwsim.Result) -> float:
    """nJ of leakage per sample."""
    return float(result.energy[result.energy["unit"] == "leakage"]["energy_pj"].sum() / 1e3)


@pytest.mark.parametrize(("given", "text"), [
    (["--events", "0"], "--events: found 0, expected 1 or more"), (["--memory", "nothing"], "nothing")])
def test_bad_options_are_one_error(
    given: list[str], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["odin_energy.py", *given])
    with pytest.raises(SystemExit) as error:
        odin_energy.main()
    assert text in f"{error.value}{capsys.readouterr().err}"


def test_rows_of_the_table_are_read_as_csv() -> None:
    """Five units of ODIN were synthesised, and the table has each."""
    path = ROOT / "hwsim" / "cost" / "technology" / "logic" / "nangate45_units.csv"
    with path.open(newline="", encoding="utf-8") as lines:
        units = {row["unit"] for row in csv.DictReader(lines)}
    table = LogicPrices(ODIN, {}).table
    assert {name for name in units if name.startswith("odin_")} == {name for name in table.units if name.startswith("odin_")}
