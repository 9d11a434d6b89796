"""`hwsim assume`: bills against closed forms, what is lacking, who wins, the command, its page and its figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwsim.accounts.assume import Assumed, assume
from hwsim.accounts.base import AccountData, AccountError, Line, checked, total
from hwsim.accounts.page import page
from hwsim.accounts.published.yan_movement import equivalent_bits
from hwsim.accounts.registry import ACCOUNTS, all_accounts
from hwsim.accounts.row import Row
from hwsim.accounts.work import WorkError, count_work
from hwsim.cli import app
from hwsim.trace.reader import Trace
from hwsim.yaml_file import parse_yaml
from tests.conftest import ROOT

TRACES = ROOT / "traces"
PAGE = ROOT / "docs" / "assumptions-of-others.md"


@pytest.fixture(scope="module")
def tiny() -> Assumed:
    """The hybrid single-spike network, which lacks nothing, and its ANN."""
    name = "methods/fashion_mnist_tiny_{}.h5"
    return assume(TRACES / name.format("single_spike_t5"), TRACES / name.format("ann_t4"), samples=3, simulated=False)


def test_every_account_has_both_sides_and_says_what_it_leaves_out(tiny: Assumed) -> None:
    assert [row.account for row in tiny.rows] == [account.name for account in all_accounts()]
    assert len({row.title for row in tiny.rows}) == len(tiny.rows) >= 19
    for row in tiny.rows:
        assert not row.lacks
        assert row.leaves_out
        assert row.ratio is not None
        assert row.ratio > 0
        assert row.winner in ("SNN", "ANN", "even", "undecided")
    assert {row.winner for row in tiny.rows} >= {"SNN", "ANN"}


def test_additions_are_counts_times_prices(tiny: Assumed) -> None:
    work = tiny.snn
    row = tiny.row("additions_int32")
    assert total(row.ann) == pytest.approx(3.2 * work.dense_macs)
    assert total(row.snn) == pytest.approx(3.2 * work.layers[0].dense_macs + 0.1 * work.operations("spikes", identities=False))


def test_papers_count_by_activity(tiny: Assumed) -> None:
    """004: F_D of the first layer once, and each layer's F_D times the spikes per neuron of its source."""
    work, sources = tiny.snn, {layer.name: layer for layer in tiny.snn.layers}
    expected = 3.2 * work.layers[0].dense_macs
    pixels = work.per_sample(work.first[0].events["spikes"]) / np.prod(work.network.input.shape)
    expected += 0.1 * work.layers[0].dense_macs * pixels
    for layer in work.layers[1:]:
        for c in layer.connections:
            if not c.is_identity:
                expected += 0.1 * c.dense_macs * sources[c.source].spikes / work.samples / sources[c.source].neurons
    assert total(tiny.row("datta2021").snn) == pytest.approx(expected)


def test_a_zero_skipping_ann_is_charged_its_own_values(tiny: Assumed) -> None:
    """After its poolings, whose windows it adds up before it multiplies; both sides skip the same zeros of the input."""
    assert tiny.ann is not None
    row = tiny.row("datta2024_int8_skipping")
    assert total(row.ann) == pytest.approx(0.23 * tiny.ann.products)
    assert tiny.ann.products <= tiny.ann.dense_macs
    assert tiny.ann.products < 0.7 * tiny.ann.operations(identities=False)  # its poolings are average poolings of 2 x 2
    first = [next(line.count for line in bill if line.what.startswith("MACs of the first layer"))
             for bill in (row.snn, tiny.row("datta2024_int8_half").snn)]
    assert first == [tiny.snn.products, tiny.snn.layers[0].dense_macs]
    assert tiny.snn.products == pytest.approx(tiny.ann.per_sample(tiny.ann.first[0].products), rel=0.01)  # pixels, rounded apart
    half, dense = (total(tiny.row(f"datta2024_int8_{which}").ann) for which in ("half", "dense"))
    first = 0.23 * tiny.snn.layers[0].dense_macs
    assert half - first == pytest.approx((dense - first) / 2)


def test_bits_of_the_equivalent_ann(rate_trace: Trace, bit_serial_trace: Trace) -> None:
    """Yan's rule ceil(log2(T + 1)) for a rate code of T = 3; bit planes are the ANN's bits themselves."""
    assert equivalent_bits(count_work(rate_trace)) == 2
    assert equivalent_bits(count_work(bit_serial_trace)) == 3


def test_what_a_trace_lacks_is_a_row_that_says_so(rate_trace: Trace) -> None:
    found = assume(rate_trace, simulated=False)
    lacks = {row.account: row.lacks for row in found.rows if row.lacks}
    assert set(lacks) == {"datta2024_int8_skipping", "datta2021", "neurobench", "threshold_yan"}
    assert lacks["neurobench"] == "needs the ANN's activations: give its trace with --ann"
    assert lacks["datta2021"].endswith("the trace's is direct")
    assert lacks["threshold_yan"] == "holds at T = 5; the trace has T = 3"
    assert all(found.row(name).winner is None for name in lacks)


def test_spikes_without_weights_lack_them() -> None:
    spikes = np.random.default_rng(0).random((2, 4, 8, 6, 6)) < 0.2
    trace = Trace.from_arrays(np.ones((2, 3, 6, 6), int), [{"name": "a", "operator": "conv2d", "kernel": 3, "padding": 1}],
                              spikes={"a": spikes})
    found = assume(trace, simulated=False)
    assert "needs the weights" in found.row("neurobench").lacks
    assert found.row("additions_int8").ratio


def test_traces_in_the_wrong_place_are_refused(rate_trace: Trace, quantised_trace: Trace) -> None:
    with pytest.raises(WorkError, match="is a quantised ANN, expected an SNN; give the ANN with --ann"):
        assume(quantised_trace, simulated=False)
    with pytest.raises(WorkError, match="is rate, expected a quantised ANN"):
        assume(rate_trace, rate_trace, simulated=False)


@pytest.mark.parametrize(("measure", "winner"), [(0.0, "SNN"), (0.1, "SNN"), (0.2, "undecided"), (0.4, "ANN")])
def test_a_band_decides_outside_of_itself(measure: float, winner: str) -> None:
    row = Row("a", "a", "threshold", (Line("m", measure, 1),), (Line("low", 1, 0.15), Line("high", 1, 0.3)), "", (), "", "", "")
    assert row.winner == winner
    assert row.ratio == (pytest.approx(0.225 / measure) if measure else None)


def test_data_files_without_a_source_are_refused() -> None:
    text = ("paper: somebody 2020\nequations: Eq. 1\nleaves_out: []\nvariants:\n  default:\n    title: some\n    numbers:\n"
            "      e: {value: 1, unit: pJ}\n")
    with pytest.raises(AccountError, match=r"mine:8: variants.default.numbers.e.source: .* field required"):
        checked(AccountData, parse_yaml(text, "mine"))
    with pytest.raises(AccountError, match=r"mine:1: papers: "):
        checked(AccountData, parse_yaml(text.replace("paper:", "papers:"), "mine"))


def test_the_registry_and_the_files_are_the_same() -> None:
    folder = ROOT / "hwsim" / "accounts" / "published"
    with_data = {path.stem for path in folder.glob("*.yaml")}
    assert with_data == {kind.__module__.rsplit(".", 1)[1] for kind in ACCOUNTS.values()}


def test_the_command(tmp_path: Path, trace_files: dict[str, Path]) -> None:
    arguments = ["assume", str(trace_files["rate"]), "--ann", str(trace_files["quantised"]), "--no-simulate"]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= 120
    assert "additions only, int8" in shown.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["assume.csv", "assume.md", "assume.png"]
    body = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    for row in body["rows"]:
        assert row["lacks"] or row["counts"] == "threshold" or row["ratio"] == pytest.approx(row["ann"] / row["snn"])
        assert sum(line["amount"] for line in row["lines"]["snn"]) == pytest.approx(row["snn"] or 0)


def shipped_page(simulated: bool) -> str:
    return page(assume(TRACES / "fashion_mnist_bit_serial_t4.h5", TRACES / "fashion_mnist_ann.h5", samples=16,
    simulated=simulated))


def test_the_page_is_what_the_command_writes() -> None:
    """But for the rows that are simulated, which the slow test below makes again."""
    made, kept = (text.splitlines() for text in (shipped_page(simulated=False), PAGE.read_text()))
    missing = [line for line in kept if line not in made]
    assert all(line.startswith(("| event-driven", "| output-stationary", "**Of 34 accounts")) for line in missing)
    assert len(missing) == 16
    assert [line for line in made if line not in kept] == [line for line in made if line.startswith("**Of 19 accounts")]


@pytest.mark.slow
def test_the_page_with_its_simulated_rows_is_what_the_command_writes() -> None:
    assert shipped_page(simulated=True) == PAGE.read_text()


def test_a_bit_serial_trace_holds_its_ann() -> None:
    """Without the ANN's trace it is made of the SNN's, and every account says the same."""
    snn, ann = (TRACES / "methods" / f"fashion_mnist_tiny_{name}_t4.h5" for name in ("bit_serial", "ann"))
    given, alone = (assume(snn, other, samples=2, simulated=False) for other in (ann, None))
    assert [(row.account, row.snn, row.ann, row.winner) for row in alone.rows] == [
        (row.account, row.snn, row.ann, row.winner) for row in given.rows]
