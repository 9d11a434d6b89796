"""Prices over their ranges: products of matrices against full repricing, exactly; flips and shares against closed forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.stats import norm
from typer.testing import CliRunner

import hwsim
from hwsim.accounts.base import AccountError
from hwsim.accounts.ours import our_data
from hwsim.accounts.sensitivity import designs
from hwsim.accounts.sensitivity.bill import Priced, Setting
from hwsim.accounts.sensitivity.designs import Alternative, shares
from hwsim.accounts.sensitivity.draws import REPLICATES, DrawError, Prices, drawn, nominal, steps
from hwsim.accounts.sensitivity.flips import Comparison, energies, found, probability, ratios, unranged
from hwsim.accounts.sensitivity.ranges import Held, RangeError, held, published_ranges, read_ranges
from hwsim.accounts.sensitivity.study import Sensitivity, SensitivityError, sensitivity
from hwsim.activity import UNIT_OF
from hwsim.cli import app
from hwsim.cli.sensitivity import _save
from hwsim.cost.area import leaking_components
from hwsim.cost.technology.logic_tables import logic_table
from hwsim.cost.technology.sources import FOLDER
from hwsim.cost.technology.tables import dram, unit_cost
from hwsim.examples import example_path
from hwsim.result import Result
from hwsim.trace.reader import Trace

RANGES = published_ranges()
FREE = Held()


@pytest.fixture(scope="module")
def results(bit_serial_trace: Trace, quantised_trace: Trace) -> tuple[Result, Result]:
    """A network and its like as an ANN, on designs that have every kind of unit that a range is of."""
    return (hwsim.simulate(bit_serial_trace, "event_driven", samples=2),
            hwsim.simulate(quantised_trace, "event_driven_mac", samples=2))


def one_draw(values: dict[str, float], setting: Setting) -> Prices:
    factors = {name: np.array([known[0].factor(values.get(name, known[0].nominal.value))])
               for name, known in RANGES.every().items()}
    return Prices((setting,), np.zeros(1, np.int64), factors, RANGES)


def scaled_tables(folder: Path, values: dict[str, float], memory: str) -> dict[str, Any]:
    """The shipped tables with their numbers at these values, written down and named for `Result.reprice`."""
    factor = {name: values[name] / known[0].nominal.value for name, known in RANGES.every().items()}

    def changed(kind: str, name: str, change: Any) -> str:
        data = yaml.safe_load((FOLDER / kind / f"{name}.yaml").read_text())
        change(data)
        (folder / f"{kind}_{name}.yaml").write_text(yaml.safe_dump(data))
        return str(folder / f"{kind}_{name}.yaml")

    def papers(data: Any) -> None:
        add = factor["addition"]
        by = {"add": add, "mult": factor["multiplication"], "shift": add * factor["shift_over_add"],
              "compare": add * factor["compare_over_add"]}
        for operation, times in by.items():
            for point in data["operations"][operation]["energy_pj"]["points"]:
                point["value"] *= times

    def gates(data: Any) -> None:
        data["wires"]["pf_per_mm"]["value"] *= factor["wires"]
        for name in ("cell_pj", "tree_pj", "gates_pj"):
            data["flip_flop"][name]["value"] *= factor["clock"]
        lanes = {"lane", "adding_lane", "merged_lane", "plane_sums", "accumulator_file"}
        for name, unit in data["units"].items():
            controls = f"logic.{name}" in RANGES.ranges["control"].keys
            times = factor["lane"] if name in lanes else factor["control"] if controls else 1
            for term in (term for figure in unit["energy_pj"].values() for term in figure["terms"]):
                term["value"] *= times

    def cells(data: Any) -> None:
        for array in data["arrays"]:
            port = factor["second_port"] if array["ports"] == "1r1w" else 1.0
            array["read_pj"] = [x * port for x in array["read_pj"]]
            array["write_pj"] = [x * port * factor["write_over_read"] for x in array["write_pj"]]

    def channel(data: Any) -> None:
        data["energy_pj_per_bit"]["value"] *= factor["dram"]

    return {"units": changed("units", "datta_45nm", papers), "logic": changed("logic", "nangate_45nm", gates),
            "memory": changed("memory", memory, cells), "dram": changed("dram", "dramsim3", channel)}


SETTINGS = (Setting("cacti_lop", 0.8, "gated", "noxim"), Setting("cacti_hp", 1.0, "free_running", "noxim"))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_product_of_matrices_is_a_full_repricing(setting: Setting, results: tuple[Result, Result], tmp_path: Path) -> None:
    """Every range at a value of its own: in the tables themselves, and of leakage in overrides, priced from the beginning."""
    rng = np.random.default_rng(3)
    values = {name: float(rng.uniform(known[0].low.value, known[0].high.value)) for name, known in RANGES.every().items()}
    values["multiplier"] = RANGES.ranges["multiplier"].nominal.value  # a logic table names its arithmetic, which no path can be
    fixed = {name: value for name, value in RANGES.technology.items() if name not in ("units", "logic", "dram")}
    made = scaled_tables(tmp_path, values, setting.memory)
    for result in results:
        of_logic, of_memory = values["logic_leakage"], values["memory_leakage"]
        leaks = {name: f"x{of_memory if name in UNIT_OF.values() else of_logic!r}"
                 for name in leaking_components(result.architecture)}
        repriced = result.reprice({"leakage_mw": leaks}, **{
            **fixed, **made, "vdd_v": setting.vdd_v, "clock_gating": setting.clock_gating})
        # A bias is added by the lane's adder, whose price is of the arithmetic that a logic table names.
        lane = RANGES.ranges["lane"]
        biases = repriced.energy.loc[repriced.energy["event"] == "bias_add", "energy_pj"].sum()
        by_lane = biases * (values["lane"] / lane.nominal.value - 1)
        for scope, pj in repriced.energy_pj.items():
            pj += 0.0 if scope == "compute" else by_lane
            mixed = energies(Priced(result, RANGES.technology), one_draw(values, setting), scope)[0]
            assert mixed == pytest.approx(pj, rel=1e-10)
            assert mixed != pytest.approx(result.energy_pj[scope], rel=1e-2)


def test_multipliers_are_repriced_as_by_overrides(results: tuple[Result, Result]) -> None:
    """In both accounts: of a network that requantises nothing, a factor of `mult` is one of both ranges."""
    values = {"multiplier": 0.5 * 0.6624, "multiplication": 0.5 * 0.2}
    repriced = results[0].reprice({"mult": "x0.5"}).energy_pj
    for scope, pj in repriced.items():
        mixed = energies(Priced(results[0], RANGES.technology), one_draw(values, nominal(RANGES, FREE).settings[0]), scope)[0]
        assert mixed == pytest.approx(pj, rel=1e-12)
        assert pj < results[0].energy_pj[scope]


def test_a_bill_at_a_rate_is_that_of_the_result(results: tuple[Result, Result]) -> None:
    there = results[0].at_rate(30).energy_pj
    for scope, pj in there.items():
        found_pj = energies(Priced(results[0], RANGES.technology, 30.0), nominal(RANGES, FREE), scope)[0]
        assert found_pj == pytest.approx(pj, rel=1e-12)


def test_nominal_prices_are_those_of_the_shipped_tables(results: tuple[Result, Result]) -> None:
    """A range's nominal value is what the tables print, and with all of them nothing changes."""
    ranges = RANGES.ranges
    at_8 = {name: unit_cost("datta_45nm", name, "energy_pj", widths).value for name, widths in (("add", (8,)), ("mult", (8, 8)))}
    at_32 = {name: unit_cost("datta_45nm", name, "energy_pj", (32,)).value for name in ("add", "shift", "compare")}
    gates = logic_table("nangate_45nm")
    said = {
        "addition": at_8["add"], "multiplication": at_8["mult"], "shift_over_add": at_32["shift"] / at_32["add"],
        "compare_over_add": at_32["compare"] / at_32["add"], "wires": gates.wires.pf_per_mm.value,
        "multiplier": unit_cost("nangate_45nm", "mult", "energy_pj", (8, 8)).value,
        "lane": 1e3 * gates.units["lane"].energy_pj["accumulate"].at({"potential_bits": 1}),
        "clock": 1e3 * (gates.flip_flop.cell_pj.value + gates.flip_flop.tree_pj.value),
        "dram": dram("dramsim3").energy_pj_per_bit.value}
    assert {name: ranges[name].nominal.value for name in said} == pytest.approx(said)
    for result in results:
        for scope, pj in result.energy_pj.items():
            assert energies(Priced(result, RANGES.technology), nominal(RANGES, FREE), scope)[0] == pytest.approx(pj, rel=1e-12)


def test_draws_are_log_uniform_seeded_and_joint_within_a_profile() -> None:
    prices = drawn(RANGES, FREE, 2048, 7)
    again, other = drawn(RANGES, FREE, 2048, 7), drawn(RANGES, FREE, 2048, 8)
    assert (prices.values["wires"] == again.values["wires"]).all()
    assert (prices.values["wires"] != other.values["wires"]).any()
    low, high = RANGES.ranges["wires"].low.value / 0.3, RANGES.ranges["wires"].high.value / 0.3
    assert np.quantile(np.log(prices.values["wires"] / low) / np.log(high / low), [0.25, 0.5, 0.75]) == pytest.approx(
        [0.25, 0.5, 0.75], abs=0.01)
    assert abs(np.corrcoef(np.log(prices.values["wires"]), np.log(prices.values["dram"]))[0, 1]) < 0.05
    for place, setting in enumerate(prices.settings):
        mine = prices.chosen == place
        assert setting.vdd_v in RANGES.profiles[setting.memory].supplies_v
        leak = RANGES.profiles[setting.memory].ranges["memory_leakage"]
        assert (prices.values["memory_leakage"][mine] >= leak.low.value * 0.999).all()
        assert (prices.values["memory_leakage"][mine] <= leak.high.value * 1.001).all()
    assert {s.memory for s in prices.settings} == set(RANGES.profiles)


class Made(Priced):
    """A bill of one key, to be moved by one range."""

    def __init__(self, key: str, pj: float) -> None:
        self.key, self.pj = key, pj

    def plain(self, setting: Setting) -> Setting:
        return setting

    def bill(self, setting: Setting) -> dict[tuple[str, str], float]:  # type: ignore[override]
        return {("core", self.key): self.pj}


def test_the_probability_of_a_flip_is_the_part_of_the_range_beyond_it() -> None:
    """Wires against a fixed rival: they cost as much at 0.2 pF per mm, so the order flips above it."""
    comparison = Comparison("made", Made("wires", 0.3), Made("nothing", 0.2))
    with np.errstate(invalid="ignore"):  # compute, of which these have nothing
        every = list(found(comparison, drawn(RANGES, FREE, 4096, 1), steps(RANGES, FREE), nominal(RANGES, FREE)))
    finding = next(f for f in every if f.scope == "core")
    below = np.log(0.2 / 0.11) / np.log(0.34 / 0.11)
    assert finding.winner == "ANN"
    assert finding.ratio == pytest.approx(0.2 / 0.3)
    assert finding.flips == pytest.approx(below, abs=2e-3)
    assert finding.flips_low <= below <= finding.flips_high
    assert not finding.stands
    assert [bar.name for bar in finding.tornado] == ["wires"]
    assert (finding.tornado[0].low, finding.tornado[0].high) == pytest.approx((0.2 / 0.34, 0.2 / 0.11))


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = [low <= 0.3 <= high for _, low, high in (probability(rng.random(REPLICATES * 64) < 0.3) for _ in range(400))]
    assert 0.92 < np.mean(covered) < 0.98
    assert probability(np.zeros(REPLICATES * 8, bool))[2] == pytest.approx(1 - 0.025 ** (1 / (REPLICATES * 8)))
    assert norm.cdf(1.96) == pytest.approx(0.975, abs=1e-3)


def test_a_variance_is_split_between_prices_and_designs() -> None:
    """Two designs whose ratios differ by a factor, moved alike by the prices: nothing is of both together."""
    every = [Alternative((flow, "16", "1rw"), Comparison(flow, Made("wires", 1.0), Made("nothing", rival)))
             for flow, rival in (("a", 1.0), ("b", 3.0))]
    prices = drawn(RANGES, FREE, 1024, 1)
    split = shares(every, prices, nominal(RANGES, FREE), "core")
    of_designs, of_prices = (np.log(3.0) / 2) ** 2, np.log(ratios(every[0].comparison, prices, "core")).var()
    assert split.designs == pytest.approx(of_designs / (of_designs + of_prices))
    assert split.prices == pytest.approx(of_prices / (of_designs + of_prices))
    assert split.both == pytest.approx(0, abs=1e-12)
    assert split.by_choice["dataflow"] == pytest.approx(split.designs)
    assert split.by_choice["lanes"] == 0


@pytest.mark.parametrize(("given", "problem"), [
    ("wires=0.5", "wires: found 0.5, published is 0.11 (Nangate 45 nm, metal layers) to 0.34 pF per mm (an Accelergy plug-in"),
    ("wires=much", "wires: found 'much', expected a number"),
    ("wire=0.2", "'wire': no price of this name has a published range; there are memory, supply, clock_gating"),
    ("memory=flash", "memory: found 'flash', published are cacti_lop, cacti_hp, cacti_lstp, horowitz"),
    ("supply=0.7", "supply: found 0.7 V, which holds for cacti_lop only; hold the memory profile as well, memory=cacti_lop"),
    ("memory=cacti_lop supply=1.1", "which holds for cacti_lstp only; memory=cacti_lop is published at 0.9, 0.8, 0.7 V"),
    ("logic.registers=2", "'logic.registers': no price of this name has a published range; there are memory, supply"),
])
def test_a_price_outside_every_published_range_is_refused(given: str, problem: str) -> None:
    with pytest.raises(RangeError) as error:
        held(RANGES, given.split())
    assert problem in str(error.value)


def test_prices_without_a_published_range_are_named(results: tuple[Result, Result], quantised_trace: Trace) -> None:
    """All that does not move when everything is drawn: its share of an array is of its registers; it is there at any prices."""
    array = Priced(hwsim.simulate(quantised_trace, "systolic", samples=1), RANGES.technology)
    at = nominal(RANGES, FREE)
    fixed = unranged(array, at, RANGES)
    assert "logic.registers" in fixed
    assert all(key.startswith("logic.") for key in fixed)
    setting = at.settings[0]
    doubled = one_draw({name: 2 * known[0].nominal.value for name, known in RANGES.every().items()}, setting)
    whole, moved = (energies(array, prices, "core")[0] for prices in (at, doubled))
    bill = array.bill(setting)
    still = sum(pj for (scope, key), pj in bill.items() if scope == "core" and (key in fixed or key == "memory.1rw.read"))
    both = sum(pj for (scope, key), pj in bill.items() if scope == "core" and key == "memory.1r1w.write")
    assert moved == pytest.approx(2 * (whole - still) + 2 * both + still)  # a write of two ports is in two ranges
    assert still < whole


def test_arrays_are_among_the_designs(bit_serial_trace: Trace, quantised_trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array of n x n beside n lanes; what does not run is named."""
    monkeypatch.setattr(designs, "LANES", (8,))
    monkeypatch.setattr(designs, "PORTS", ("1r1w",))
    lacks: list[tuple[str, str]] = []
    every = list(designs.alternatives(bit_serial_trace, quantised_trace, 1, RANGES.technology, lacks))
    titles = {d.title for d in our_data().designs.values()}
    assert {one.choices[0] for one in every} | {title[len("design "):].split(", 8 lanes")[0] for title, _ in lacks} == titles
    (array,) = (one.comparison.rival.result.architecture for one in every if "array" in one.choices[0])
    assert (array.core.rows, array.core.columns) == (8, 8)


def test_samples_are_counted_once_and_said() -> None:
    with pytest.raises(SensitivityError, match="samples: found 0, allowed are 1 to 32, as many as every trace has"):
        sensitivity(example_path("bit_serial"), None, ranges=RANGES, held=FREE, draws=128, seed=1, samples=0)


def test_what_is_held_is_not_drawn(tmp_path: Path) -> None:
    fixed = held(RANGES, ["wires=0.15", "memory=cacti_lop", "supply=0.7", "clock_gating=free_running"])
    prices = drawn(RANGES, fixed, 256, 1)
    assert set(prices.values["wires"]) == {0.5}
    assert {(s.memory, s.vdd_v, s.clock_gating) for s in prices.settings} == {("cacti_lop", 0.7, "free_running")}
    assert not {"wires", "memory", "clock_gating"} & {step.name for step in steps(RANGES, fixed)}
    wide = yaml.safe_load((Path(hwsim.accounts.__file__).parent / "sensitivity" / "ranges.yaml").read_text())
    wide["ranges"]["dram"]["high"]["value"] = 60
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(wide))
    with pytest.raises(RangeError, match=r"mine.yaml: dram: found 60, published is 12.45 \(DRAMsim3.*\) to 40.625 pJ per bit"):
        read_ranges(tmp_path / "mine.yaml")
    del wide["choices"]["links"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(wide))
    with pytest.raises(RangeError, match=r"mine.yaml: choices.links: missing"):
        read_ranges(tmp_path / "mine.yaml")
    wide["ranges"]["dram"]["high"]["value"] = 1
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(wide))
    with pytest.raises(AccountError, match=r"expected low <= nominal <= high"):
        read_ranges(tmp_path / "mine.yaml")
    for draws in (100, 64, 2**18):
        with pytest.raises(DrawError, match=f"draws: found {draws}, allowed are powers of two"):
            drawn(RANGES, FREE, draws, 1)


@pytest.mark.slow
def test_the_whole_command(tmp_path: Path, trace_files: dict[str, Path]) -> None:
    arguments = ["sensitivity", str(trace_files["bit_serial"]), "--samples", "1", "--draws", "128", "--no-designs",
                 "--hold", "memory=cacti_lop", "--hold", "supply=0.9", "--against", str(trace_files["rate"])]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.exception
    assert max(map(len, shown.stdout.splitlines())) <= 140
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sensitivity.csv", "sensitivity.png", "tornado.csv"]
    body = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    said = f"of {len(body['findings'])} comparisons stands over the published prices"
    assert said in " ".join(shown.stdout.split())
    assert len({f["title"] for f in body["findings"]}) * 3 == len(body["findings"]) > 6, "a bit-serial trace holds its ANN"
    assert {f["scope"] for f in body["findings"]} == {"compute", "core", "system"}


def test_the_command(trace_files: dict[str, Path], results: tuple[Result, Result], tmp_path: Path) -> None:
    """What it prints, draws and refuses; what it simulates is tested above, and as a whole where that is slow."""
    own, rival = (Priced(result, RANGES.technology) for result in results)
    fixed = held(RANGES, ["memory=cacti_lop", "supply=0.9", "clock_gating=gated"])
    findings = tuple(found(Comparison("ANN, made", own, rival), drawn(RANGES, fixed, 128, 1), steps(RANGES, fixed),
                           nominal(RANGES, fixed)))
    made = Sensitivity(findings, (), (), 128, 1)
    assert f"The order of {sum(f.stands for f in findings)} of 3 comparisons stands" in made.verdict
    _save(made, str(tmp_path / "out"), "made")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sensitivity.csv", "sensitivity.png", "tornado.csv"]
    listed = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["sensitivity", "--ranges"])
    assert "pF per mm" in listed.stdout
    alone = CliRunner().invoke(app, ["sensitivity", str(trace_files["quantised"])])
    assert "is a quantised ANN, expected an SNN" in str(alone.exception)
    nothing = CliRunner().invoke(app, ["sensitivity"])
    assert "TRACE: found nothing, expected the SNN's trace" in str(nothing.exception)
