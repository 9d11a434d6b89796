"""Chips of several cores at the command line: what runs on none is told, and texts name the core that they are about."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import hwsim
from hwsim.arch import SHORT_FORM, dump_architecture, load_architecture
from hwsim.chip.model import why_nothing_runs
from hwsim.cli import main
from hwsim.cli.best import show_rows
from hwsim.compare import compare
from hwsim.cores import KINDS
from hwsim.cores.model import core_model
from hwsim.cost.clock import check_timing
from hwsim.cost.explanation import explain, explain_rows
from hwsim.diff import Difference
from hwsim.simulation import make_program
from hwsim.study.work import row_of
from hwsim.sweep.front import best
from hwsim.sweep.rows import plain_row
from hwsim.trace.reader import Trace
from tests.conftest import ROOT


def entry(name: str, **changes: Any) -> dict[str, Any]:
    """A shipped design of one core as an entry of `cores`."""
    design = load_architecture(name)
    data = dump_architecture(design.with_core(**changes) if changes else design)
    return {part: data[part] for part in SHORT_FORM}


def chip(folder: Path, name: str, *cores: dict[str, Any], clock: str = "100 MHz") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps({"name": name, "clock": clock, "cores": list(cores)}))
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    return chip(tmp_path, "mixed", entry("event_core_16"), entry("systolic_8x8"))


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    return chip(tmp_path, "arrays", entry("systolic_8x8") | {"count": 2})


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return chip(tmp_path, "pair", entry("event_core_16", lanes=2), entry("event_core_16", lanes=4))


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command line in this process: exit status, stdout, stderr."""
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hwsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_of:
            main()
        shown = capsys.readouterr()
        return int(exit_of.value.code or 0), shown.out, shown.err

    return call


@pytest.mark.parametrize(("which", "why"), [
    ("mixed", "mixes cores of kinds event, systolic"), ("arrays", "has 2 cores of kind systolic")])
def test_a_chip_on_which_nothing_runs_fails_its_check(which: str, why: str, called: Any, request: pytest.FixtureRequest) -> None:
    status, shown, _ = called("arch", "check", request.getfixturevalue(which))
    assert status == 1
    assert "nothing runs on it: " in shown
    assert why in shown


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_core_says_whether_a_chip_may_have_several(kind: str) -> None:
    assert isinstance(core_model(kind).several, bool)


def test_a_chip_on_which_networks_run_passes_its_check(called: Any, pair: Path) -> None:
    assert why_nothing_runs(load_architecture(pair)) == ""
    assert called("arch", "check", pair)[:2] == (0, "pair: ok\n")


def test_compare_goes_on_past_a_chip_on_which_nothing_runs(
    rate_trace: Trace, quantised_trace: Trace, mixed: Path, arrays: Path,
) -> None:
    found = compare([rate_trace, quantised_trace], [mixed, arrays, "event_core_16"], samples=1, baselines=False)
    assert {result.facts.arch for result in found.results} == {"event_core_16"}
    told = {(trace, arch): why for trace, arch, _, why in found.refused}
    for trace in (rate_trace, quantised_trace):
        assert "mixes cores" in told[trace.name, "mixed"]
        assert "has 2 cores of kind systolic" in told[trace.name, "arrays"]
    assert len(found.refused) == len(told), "one line for a chip and a trace, whatever the schedules"


def test_a_chip_of_several_cores_has_no_baselines_and_says_so(quantised_trace: Trace, rate_trace: Trace, pair: Path) -> None:
    found = compare([rate_trace, quantised_trace], [pair], samples=1)
    (row,) = found.missing
    assert (row.trace, row.arch) == (quantised_trace.name, "pair+baselines")
    assert "pair has 2 cores, and baselines are made for a design of one" in row.reason
    assert found.rows[-1]["reason"] == row.reason
    assert not compare([rate_trace, quantised_trace], [pair], samples=1, baselines=False).missing


def on_a_mesh(folder: Path, name: str, hop_cycles: int) -> Path:
    """A chip of two small cores; hops of 40 cycles make links worse than anything that its schedules gain."""
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps({
        "name": name, "clock": "200 MHz", "cores": [entry("event_core_64") | {"count": 2}],
        "channel": {"bits_per_cycle": 64, "latency_cycles": 40},
        "network": {"mesh": [2, 1], "flit_bits": 64, "hop_cycles": hop_cycles, "address_bits": 16, "header_bits": 8,
                    "encoding": "smaller"}}))
    return path


def test_what_links_cost_stands_beside_every_number_and_orders_that_it_reverses_are_undecided(
    called: Any, trace_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    """Two chips that differ in their links alone: without links they are one, so nobody knows which is faster."""
    slow, fast = on_a_mesh(tmp_path, "slow", 40), on_a_mesh(tmp_path, "fast", 1)
    found = compare([trace_files["rate"]], [slow, fast], schedules=["layer_by_layer"], samples=1)
    rows = {row["arch"]: row for row in found.rows}
    for result in found.results:
        row, free = rows[result.facts.arch], result.free_links
        assert free is not None
        assert row["cycles_free_links"] == free["cycles"] < row["cycles"]
        assert row["core_nj_free_links"] == pytest.approx(free["energy_pj"]["core"] / 1e3)
        assert row["latency_us_free_links"] == pytest.approx(free["cycles"] / 200)
    assert rows["slow"]["cycles_free_links"] == rows["fast"]["cycles_free_links"]
    name = found.results[0].facts.trace
    assert f"latency: {name} on fast, layer_by_layer before {name} on slow, layer_by_layer" in found.undecided
    notes = Difference(*sorted(found.results, key=lambda result: result.facts.arch)).notes()  # A is fast
    assert [note for note in notes if "not decided" in note] == [
        f"{what}: run A needs less than run B, and would not if links cost nothing: that is not decided."
        for what in ("Latency", "Core energy")]
    told = f"undecided, as free links reverse it: latency: {name} on fast, layer_by_layer before {name} on slow"
    _, out, _ = called("compare", trace_files["rate"], "--arch", slow, "--arch", fast, "--schedule", "layer_by_layer",
                       "--samples", 1, "--out", tmp_path / "compared")
    assert "us free" in out
    assert "core free" in out
    assert told in out
    points = pd.DataFrame([plain_row({"labels": {"arch": r.facts.arch}, **row_of(r)}) for r in found.results])
    for rows_shown, both in ((best(points, "area_mm2", count=2), True), (best(points, "latency_ms"), False)):
        show_rows(rows_shown, ["area_mm2"], as_json=False)
        out = capsys.readouterr().out
        assert "latency_ms_free_links" in out
        assert ("undecided, as free links reverse it: latency_ms: fast before slow\n" in out) == both, "one row has no order"


def test_a_chip_without_links_has_no_such_columns(called: Any, trace_files: dict[str, Path], tmp_path: Path) -> None:
    found = compare([trace_files["rate"]], ["event_core_16", "event_core_64"], samples=1, baselines=False)
    assert not found.undecided
    assert not any(Difference(*found.results[:2]).undecided().values())
    assert all(row["core_nj_free_links"] is None for row in found.rows)
    _, out, _ = called("compare", trace_files["rate"], "--arch", "event_core_16", "--samples", 1, "--out", tmp_path / "compared")
    assert "free" not in out


def test_clock_texts_name_the_core_where_there_are_several(tmp_path: Path) -> None:
    both = load_architecture(chip(tmp_path, "both", entry("event_core_16"), entry("event_core_64"), clock="2 GHz"))
    weight = [text for text in check_timing(both) if "weight memory" in text]
    assert [text.split(" weight")[0] for text in weight] == ["both: cores[0]:", "both: cores[1]:"]
    one = load_architecture(chip(tmp_path, "one", entry("event_core_16"), clock="2 GHz"))
    assert all(text.startswith("one: ") and "cores[" not in text for text in check_timing(one))


def test_misfits_name_the_core_that_they_are_of_and_none_where_all_are(rate_trace: Trace, tmp_path: Path) -> None:
    def refusal(*cores: dict[str, Any]) -> str:
        with pytest.raises(hwsim.MappingError) as error:
            make_program(rate_trace.network, load_architecture(chip(tmp_path, "x", *cores)))
        return str(error.value)

    wide, narrow = entry("event_core_16"), entry("event_core_16", weight_bits=2)
    assert "\n  - cores[1]: layer" in refusal(wide, narrow)
    assert "cores[0]" not in refusal(wide, narrow)
    assert "cores[" not in refusal(narrow, narrow)
    assert refusal(narrow) == refusal(narrow, narrow)


def test_explain_tells_the_cores_where_prices_differ_between_them(rate_trace: Trace, pair: Path) -> None:
    result = hwsim.simulate(rate_trace, pair)
    rows = explain_rows(result.energy)
    assert sum(row["energy_pj"] for row in rows) == pytest.approx(result.energy_pj["system"])
    reads = {row["cores"]: row for row in rows if (row["event"], row["unit"]) == ("weight_read", "weight_memory")}
    assert set(reads) == {"core0", "core1"}
    for core, row in reads.items():
        mine = result.energy[(result.energy["core"] == core) & (result.energy["event"] == "weight_read")
                             & (result.energy["unit"] == "weight_memory")]
        assert row["energy_pj"] == pytest.approx(mine["energy_pj"].sum())
    assert {row["cores"] for row in rows if (row["event"], row["unit"]) == ("acc_add", "lane")} == {""}, "the same on both"
    assert "      core1: " in explain(result.energy)
    assert not any(row["cores"] for row in explain_rows(hwsim.simulate(rate_trace, "event_core_16").energy))


def test_explain_names_neighbours_as_a_range(rate_trace: Trace, tmp_path: Path) -> None:
    three = chip(tmp_path, "three", entry("event_core_16", lanes=2) | {"count": 2}, entry("event_core_16", lanes=4))
    reads = {row["cores"] for row in explain_rows(hwsim.simulate(rate_trace, three).energy) if row["event"] == "weight_read"}
    assert reads == {"core0 to core1", "core2"}


def test_energy_show_has_a_section_for_each_kind_of_core(called: Any, pair: Path) -> None:
    status, shown, errors = called("energy", "show", pair)
    assert (status, errors) == (0, "")
    assert [line for line in shown.splitlines() if line.startswith("cores[")] == ["cores[0]: 1 x event", "cores[1]: 1 x event"]
    body = json.loads(called("energy", "show", pair, "--json")[1])
    prices = [{(row["event"], row["unit"]): row["pJ"] for row in section["prices"]} for section in body["cores"]]
    assert prices[0]["weight_read", "weight_memory"] < prices[1]["weight_read", "weight_memory"]
    assert prices[0]["acc_add", "lane"] == prices[1]["acc_add", "lane"] > prices[0]["acc_add", "accumulator"] > 0
    assert prices[0]["cycle", "sequencer"] > 0


def test_rtl_export_is_of_a_design_of_one_core(called: Any, pair: Path, tmp_path: Path, trace_files: dict[str, Path]) -> None:
    layer = Trace.open(trace_files["rate"]).network.layers[0].name
    status, _, told = called("rtl", "export", "--arch", pair, "--trace", trace_files["rate"], "--layer", layer, "-o",
                             tmp_path / "c.v")
    assert status == 2
    assert told.startswith("error: pair has 2 cores, and a run by itself, as its Verilog, is that of a design of one core")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, writing fails with an error that names no file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("command", ["run", "compare"])
def test_a_disk_that_is_full_is_told_with_the_folder(
    command: str, called: Any, trace_files: dict[str, Path], tmp_path: Path,
) -> None:
    hwsim.simulate(trace_files["rate"], "event_core_16", samples=1)  # kernels are compiled and kept before the disk is full
    with files_of_at_most(200):
        status, _, told = called(command, trace_files["rate"], "--arch", "event_core_16", "--samples", 1, "--out",
                                 tmp_path / "out")
    assert status == 2
    assert told.startswith(f"error: {tmp_path / 'out'}: cannot be written (")


def small_mesh(folder: Path, network: str, **core: str) -> Path:
    """A chip of four cores in YAML, with more fields of its network."""
    fields = {"weight": "128 KiB", "capacity": "128 KiB", **core}
    path = folder / "mesh.yaml"
    path.write_text(f"""name: mesh
clock: 200 MHz
cores:
  - count: 4
    core: {{lanes: 64, weight_bits: 8, potential_bits: 24, current_bits: 24, fifo_depth: 16}}
    spike_buffer: {{kind: bitmap, capacity: {fields["capacity"]}, scan_bits: 128}}
    memories: {{weight: {fields["weight"]}, membrane: 192 KiB, current: 192 KiB, bias: 24 KiB}}
channel: {{bits_per_cycle: 64, latency_cycles: 40}}
network: {{flit_bits: 64, hop_cycles: 1, address_bits: 16, header_bits: 8, encoding: smaller, {network}}}
""")
    return path


@pytest.mark.parametrize(("network", "core", "said"), [
    ("mesh: [1, 3]", {}, "network.mesh: core3 sits on no node: 1 x 3 nodes hold 3 of 4 cores; make the mesh larger"),
    ("mesh: [2, 2], nodes: {core0: [0, 0], core1: [0, 0], core2: [0, 1], core3: [1, 1]}", {},
     "core1 sits on node (0, 0), where core0 sits; one core per node"),
    ("mesh: [2, 2], channel_node: [2, 0]", {}, "the channel sits on node (2, 0), outside of the mesh of 2 x 2"),
    ("mesh: [2, 2], placement: {conv1: core0, conv2: core1, conv3: core2, conv4: core3, conv5: core3, fcc: core0}", {},
     "puts layer fcc on core0, and there is no such layer; there are conv1, conv2, conv3, conv4, conv5, fc"),
    ("mesh: [2, 2], placement: {conv1: core0, conv2: core1, conv3: core2, conv4: core3, conv5: core3}", {},
     "network.placement leaves out layer fc; give it a core"),
    ("mesh: [2, 2]", {"capacity": "2 KiB"}, "core0: spike buffer: 8.531 KiB needed in the worst case"),
    ("mesh: [2, 2], barrier_cycles: 10, buffer_planes: 1", {},
     "its operations wait for each other: the transfer of tile 0 of layer conv2 in timestep 1, which waits for the run of tile 0 "
     "of layer conv4 in timestep 0, which waits for the barrier after tick 2"),
    ("mesh: [2, 2], placement: {conv1: core0, conv2: core0, conv3: core1, conv4: core3, conv5: core3, fc: core3}",
     {"weight": "20 KiB"}, "place layers otherwise, or give network.stream_weights: true"),
])
def test_bad_chips_are_refused_before_a_cycle_is_simulated(called: Any, tmp_path: Path, network: str, core: dict[str, str],
                                                            said: str) -> None:
    path = small_mesh(tmp_path, network, **core)
    status, out, error = called("run", ROOT / "traces" / "fashion_mnist_rate_t4.h5", "--arch", path, "--schedule", "pipelined",
                                "--samples", 1, "--no-check")
    assert (status, out) == (2, "")
    assert said in error
    assert "Traceback" not in error
