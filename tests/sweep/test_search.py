"""A search: its file, the designs that it takes, and what it calls the best."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import hwsim
from hwsim.cli.search import app
from hwsim.cost.clock import check_timing, highest_clock_mhz
from hwsim.errors import HwsimError
from hwsim.examples import example_path
from hwsim.simulation import keeps_weights
from hwsim.study import Point
from hwsim.sweep.axis import SweepError
from hwsim.sweep.search import Outcome, Searcher
from hwsim.sweep.search_file import design_file, search_of, winner_file
from hwsim.trace.kept import kept_trace
from tests.conftest import ROOT


def search_data(traces: dict[str, Path]) -> dict[str, Any]:
    """Two machines of two axes each, on the small traces of the tests."""
    chosen = {"snn": [str(traces["bit_serial"]), str(traces["rate"])], "ann": [str(traces["quantised"])]}
    reported = traces["quantised"].with_name("reported.h5")
    reported.write_bytes(traces["quantised"].read_bytes())
    return {
        "choose": chosen, "report": {"snn": [], "ann": [str(reported)]}, "holds": deepcopy(chosen), "samples": 1, "designs": 5,
        "drawn": 2, "seed": 3, "minimise": ["energy_uj", "latency_ms", "area_mm2"], "rule": "knee",
        "axes": {"memories.weight": ["1 KiB", "16 KiB", "32 KiB"]},
        "machines": {
            "events": {"side": "snn", "arch": "event_core_16", "axes": {"core.lanes": [8, 16]}},
            "products": {"side": "ann", "arch": "mac_core_64", "fixed": {"core.lanes": 16}, "axes": {
                "memories.banks.weight": [1, 4]}}}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def found(trace_files: dict[str, Path], folder: Path) -> Outcome:
    return Searcher(search_of(search_data(trace_files), "search", Path("/")), folder).run()


def test_every_machine_gets_the_same_number_of_designs(found: Outcome) -> None:
    """As far as its space has so many: four here hold the networks' weights."""
    assert [len(f.rows) for f in found.found] == [4, 4]
    for f in found.found:
        assert all(f.holding[places] for places in f.rows)
        assert not any(f.holding.get((places[0] * 0, *places[1:]), False) for places in f.rows), "1 KiB holds nothing"


def test_designs_hold_their_networks_and_reach_their_clock(found: Outcome, trace_files: dict[str, Path]) -> None:
    for name, design in found.winners:
        assert design.name == name
        assert not check_timing(design)
        assert design.clock == pytest.approx(highest_clock_mhz(design) * 1e6)
        assert keeps_weights(kept_trace(str(trace_files["rate" if name == "events" else "quantised"])).network, design)
    streams = hwsim.load_architecture("event_core_16").with_memories(weight="4 KiB")
    assert not keeps_weights(kept_trace(str(trace_files["rate"])).network, streams)


def test_the_best_is_the_knee_of_the_front(found: Outcome) -> None:
    for trace in [*found.search.choose["snn"], *found.search.choose["ann"]]:
        every = [costs for f in found.found if trace in found.search.choose[f.machine.side]
                 for _, costs in f.costs(trace, found.search.minimise)]
        best = found.best(trace)
        assert best is not None
        costs = dict(best[0].costs(trace, found.search.minimise))[best[1]]
        assert np.prod(costs) == pytest.approx(min(np.prod(c) for c in every))
        assert [c for *_, c in found.front(trace)] == sorted({c for c in every if not any(
            all(np.array(o) <= c) and o != c for o in every)})


def test_what_another_rule_decides_is_written_whatever_was_best(
    trace_files: dict[str, Path], found: Outcome, folder: Path
) -> None:
    """The search is the same; the written design differs in that field, runs at its own highest clock, and says so."""
    data = search_data(trace_files)
    data["machines"]["events"]["ships"] = {"core.shift_at": "weight"}
    search = search_of(data, "search", Path("/"))
    again = Searcher(search, folder).run()
    plain, written = dict(found.winners)["events"], dict(again.winners)["events"]
    assert (plain.only.core.shift_at, written.only.core.shift_at) == ("membrane", "weight")
    assert written == plain.with_core(shift_at="weight")
    assert written.clock == pytest.approx(highest_clock_mhz(written) * 1e6)
    text = winner_file(written, search, "s.yaml")
    assert "# Written as the search file says, whatever was best: core.shift_at: weight." in text
    data["machines"]["events"]["ships"] = "weight"
    with pytest.raises(SweepError, match="machines.events.ships: found 'weight', expected a mapping from field to value"):
        search_of(data, "search", Path("/"))


def test_a_winner_is_best_over_all_traces_of_its_side(found: Outcome) -> None:
    f = found.found[0]
    products = {places: np.prod([c for trace in found.search.choose["snn"]
                                 for c in dict(f.costs(trace, found.search.minimise))[places]]) for places in f.rows}
    assert found.winner(f) == min(products, key=lambda places: products[places])


def test_a_design_that_is_written_is_read_back(found: Outcome, tmp_path: Path) -> None:
    for name, design in found.winners:
        path = tmp_path / f"{name}.yaml"
        path.write_text(design_file(design, "Why.\nWhat."))
        assert hwsim.load_architecture(path) == design
        assert path.read_text().startswith("# Why.\n# What.\nname: ")


def test_no_memory_is_asked_for_more_than_it_gives(trace_files: dict[str, Path], found: Outcome) -> None:
    """An event core waits for its memories; an array that fetches more than a row per cycle is no candidate."""
    spiking = hwsim.simulate(trace_files["rate"], "event_core_16", samples=1)
    assert 0.5 < spiking.rows_per_cycle <= 1
    narrow = hwsim.load_architecture("systolic_8x8").with_fields({"spike_buffer.scan_bits": 8, "core.rows": 16})
    assert hwsim.simulate(trace_files["quantised"], narrow, samples=1).rows_per_cycle > 1
    f = found.found[1]
    trace = found.search.choose["ann"][0]
    row = next(iter(f.rows.values()))[trace]
    before, row["rows_per_cycle"] = row["rows_per_cycle"], 1.01
    try:
        assert len(f.costs(trace, found.search.minimise)) == len(f.rows) - 1
    finally:
        row["rows_per_cycle"] = before


def test_the_highest_clock_is_that_of_the_whole_design() -> None:
    point = Point("t", "event_core_64", changes={"clock": "highest", "memories.banks.weight": 32})
    design = point.design()
    assert not check_timing(design)
    faster = design.with_fields({"clock": f"{design.clock / 1e6 + 0.1:g} MHz"})
    assert check_timing(faster)


@pytest.mark.parametrize(("change", "expected"), [
    ({"rule": "cheapest"}, "search: rule: found 'cheapest', expected knee"),
    ({"designs": 0}, "search: designs: found 0, expected a whole number, 1 or more"),
    ({"drawn": 9}, "search: drawn: found 9, expected at most the 5 designs"),
    ({"minimise": "energy_uj"}, "expected a list of columns"),
    ({"choose": {"snn": []}}, "search: choose: found .* expected {snn: .paths., ann: .paths.}"),
    ({"report": {"snn": [str(example_path())], "ann": []}, "choose": {"snn": ["bit_serial"], "ann": []}},
     "search: report: snn: found .*tiny_bit_serial_t4.h5, which designs are chosen on too; expected other traces"),
    ({"machines": {"x": {"side": "gpu", "arch": "event_core_16"}}}, "machines.x.side: found 'gpu', expected snn or ann"),
    ({"machines": {"x": {"side": "snn", "arch": "event_core_16"}}}, "found 1 of side snn and 0 of side ann, expected as many"),
    ({"machines": {"x": {"arch": "event_core_16"}}}, "machines.x: found .*, expected side, arch"),
    ({"axes": {"core.lanes": {"from": 8, "to": 16}}}, "core.lanes: found a range without steps"),
    ({"budget": 3}, "search: budget: unknown key"),
])
def test_a_mistake_is_told_with_its_place(trace_files: dict[str, Path], change: dict[str, Any], expected: str) -> None:
    with pytest.raises(SweepError, match=expected):
        search_of(search_data(trace_files) | change, "search", Path("/"))


def test_a_space_in_which_nothing_holds_is_told(trace_files: dict[str, Path], tmp_path: Path) -> None:
    data = search_data(trace_files) | {"axes": {"memories.weight": ["64 B"]}}
    with pytest.raises(HwsimError, match=r"events: found no design that holds .* in 100 draws, expected some; widen its axes"):
        Searcher(search_of(data, "search", Path("/")), tmp_path).run()


def test_the_command_goes_on_and_writes_the_best_design_of_each_machine(
    trace_files: dict[str, Path], folder: Path, found: Outcome, tmp_path: Path
) -> None:
    rows = (folder / "rows.jsonl").read_bytes()
    file = tmp_path / "search.yaml"
    file.write_text(json.dumps(search_data(trace_files)))
    run = CliRunner().invoke(app, [str(file), "-o", str(folder)])
    assert run.exit_code == 0, run.output
    assert (folder / "rows.jsonl").read_bytes() == rows, "the same designs, and nothing ran again"
    for name, design in found.winners:
        written = hwsim.load_architecture(folder / f"{name}.yaml")
        assert written.description.endswith("chosen by search")
        assert written.model_copy(update={"description": design.description}) == design
    assert "front of rate" in run.output
    assert "on traces that it was not chosen on" in run.output


def test_the_search_of_this_tree_gives_both_sides_the_same() -> None:
    from hwsim.sweep.search_file import read_search

    search = read_search(ROOT / "studies" / "reference_designs.yaml")
    assert not {*search.choose["snn"], *search.choose["ann"]} & {*search.report["snn"], *search.report["ann"]}
    assert all(Path(path).is_file() for group in (search.choose, search.report, search.holds) for side in group.values()
               for path in side)
    shared = set.intersection(*({axis.field for axis in machine.axes} for machine in search.machines))
    assert {"memories.weight", "memories.banks.weight", "spike_buffer.capacity", "technology.memory"} <= shared
