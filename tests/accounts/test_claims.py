"""Claims of the five papers: verdicts follow from numbers, formulas from first principles, the command and its page."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwsim.accounts.base import AccountError, total
from hwsim.accounts.claims.formulas import half_ann_over_spikes
from hwsim.accounts.claims.measured import OnTraces, on_traces, silent_sums
from hwsim.accounts.claims.page import claim_ratios, numbers, page
from hwsim.accounts.claims.potentials import DESIGNS, RATES, STEPS, accesses
from hwsim.accounts.claims.verdicts import Claim, check_claim, check_claims, claim_data, contradiction, near
from hwsim.accounts.claims.vgg16 import layers
from hwsim.accounts.ours import our_data
from hwsim.accounts.registry import all_accounts
from hwsim.accounts.work import count_work
from hwsim.arch import load_architecture
from hwsim.cli import app
from hwsim.cli.claims import _brief
from hwsim.simulation import simulate
from hwsim.snn.forward import connection_sums
from hwsim.snn.network import INPUT
from hwsim.trace.reader import Trace
from hwsim.trace.scaled import Shape, scaled
from hwsim.trace.synth import synthesise
from hwsim.view.claims import ClaimRow, claims_figure
from tests.conftest import ROOT
from tests.convert.test_printed_equations import PRINTED

PAGE = ROOT / "docs" / "claims.md"
CLAIMS = {c.name: c for c in check_claims()}


def claim(**changes: object) -> Claim:
    fields = {"paper": "000", "place": "1", "claim": "a claim of the tests", "formula": "x / y", "compute": "mult_over_add",
              "inputs": {"mult32": 3.1, "add32": 0.1, "mult8": 0.2, "add8": 0.03}, "printed": {"32 bits": 31},
              "verdict": "reproduced"}
    return Claim.model_validate({**fields, **changes})


def test_every_claim_has_a_verdict_that_its_numbers_bear_out() -> None:
    assert len(CLAIMS) >= 24
    assert {c.verdict for c in CLAIMS.values()} == {
        "reproduced", "reproduced under stated assumptions", "needs data that were not published", "wrong as printed"}
    for checked in CLAIMS.values():
        assert not contradiction(checked.claim, checked.ours)
        assert checked.claim.paper in claim_data().papers


@pytest.mark.parametrize(("changes", "problem"), [
    ({"printed": {"32 bits": 30}}, "32 bits is 31 and not 30"),
    ({"printed": {}}, "nothing printed is compared"),
    ({"verdict": "reproduced", "assumes": ["something"]}, "assumptions are given exactly where the verdict says so"),
    ({"verdict": "reproduced under stated assumptions"}, "assumptions are given exactly where the verdict says so"),
    ({"verdict": "needs data that were not published"}, "nothing is named that was not published"),
    ({"verdict": "wrong as printed"}, "every printed number is met"),
    ({"verdict": "wrong as printed", "printed": {"32 bits": 30}}, "nothing is said to be right"),
    ({"verdict": "wrong as printed", "printed": {"32 bits": 30}, "right": {"32 bits": 29}}, "32 bits is 31 and not 29"),
    ({"printed": {"64 bits": 1}}, "the formula has no '64 bits'"),
])
def test_a_verdict_that_its_numbers_do_not_bear_out_is_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(AccountError, match=r"claims.mine: verdict: found ") as error:
        check_claim("mine", claim(**changes))
    assert problem in str(error.value)


def test_a_claim_without_its_inputs_or_its_formula_is_refused() -> None:
    with pytest.raises(AccountError, match="claims.mine: inputs: found nothing for 'add32'"):
        check_claim("mine", claim(inputs={"mult32": 3.1}))
    with pytest.raises(AccountError, match="found 'nothing', expected one of mult_over_add"):
        check_claim("mine", claim(compute="nothing"))


def test_a_printed_zero_is_met_by_little_only() -> None:
    assert near(0.004, 0, 0.01)
    assert not near(0.006, 0, 0.01)
    assert not near(1.01, 1, 0.005)


def test_vgg16_is_the_network_of_the_shipped_trace() -> None:
    """Shapes written down once more, against the network of the trace."""
    with Trace.open(ROOT / "traces" / "methods" / "cifar10_vgg16_bit_serial_t4.h5") as trace:
        found = count_work(trace, 1).layers
    shapes = layers("512-10")
    assert [(x.dense_macs, x.weights, x.neurons) for x in found] == [(s.macs, s.weights, s.neurons) for s in shapes]
    assert sum(s.macs for s in layers("512-4096-4096-10")) == 332_111_872


def test_what_is_implied_gives_the_printed_ratio_back() -> None:
    """Spikes per neuron that 001 and 004 imply, put into their formula."""
    shapes = layers("512-4096-4096-10")
    dense, first = sum(s.macs for s in shapes) * 3.2, shapes[0].macs * 3.2
    for ratio, zeta in ((103.5, CLAIMS["ann_over_snn_of_001"].ours["spikes per neuron, CIFAR-10"]),
                        (159.2, CLAIMS["ann_over_snn_of_001"].ours["spikes per neuron, CIFAR-100"]),
                        (70, CLAIMS["ann_over_snn_of_004"].ours["spikes per neuron at 70"])):
        assert dense / (first + zeta * 0.1 * sum(s.macs for s in shapes[1:])) == pytest.approx(ratio)
    assert CLAIMS["ann_over_snn_of_001"].ours["CIFAR-10, by the E_DNN that is printed"] == pytest.approx(3.2, abs=0.05)


def test_the_chance_of_no_spike_is_the_binomials_first_term() -> None:
    ours = CLAIMS["potentials_are_always_touched"].ours
    n = 9 * 128
    rest = sum(comb(n, k) * 0.001**k * 0.999 ** (n - k) for k in range(1, 40))
    assert ours["activity 0.1 %"] == pytest.approx(1 - rest)
    assert ours["activity 10 %"] < 1e-50 < ours["activity 1 %"] < 1e-5


def test_pipelined_steps_are_a_shop_of_unit_jobs() -> None:
    """T jobs through L machines, each a unit of time: counted out, not by the closed form."""
    free = [0] * 16
    for _ in range(4):
        end = 0
        for core in range(16):
            end = free[core] = max(end, free[core]) + 1
    assert CLAIMS["latency_of_schedules"].ours["step by step, pipelined"] == end == 19


def test_the_overheads_of_000_are_its_account_on_vgg16() -> None:
    """The claim's formula against the account of `hwsim assume` on the recorded VGG-16, at the trace's own activity."""
    with Trace.open(ROOT / "traces" / "methods" / "cifar10_vgg16_bit_serial_t4.h5") as trace:
        work = count_work(trace, 1)
    account = next(a for a in all_accounts() if a.name == "datta2024_int8_half")
    inputs = CLAIMS["ann_over_snn_of_000"].claim.inputs
    ratios = {}
    for head in ("512-10", "512-4096-4096-10"):
        shapes = layers(head)
        behind, neurons = sum(s.macs for s in shapes[1:]), sum(s.neurons for s in shapes[:-1])
        bill = {line.what: line.amount for line in account.snn(work)}
        d = bill["additions"] / 0.03 / sum(s.macs for s in layers("512-10")[1:])
        step = 0.03 + 0.024 + 0.03
        snn = shapes[0].macs * 0.23 + d * 0.03 * (behind + neurons) + 4 * neurons * step
        ratios[head] = (shapes[0].macs + 0.5 * behind) * 0.23 / snn
    ours = half_ann_over_spikes({**inputs, "lowest_sparsity": 1 - d})
    assert ours["VGG-16 with overheads, 8 bits, d over all steps, lowest sparsity"] == pytest.approx(ratios["512-4096-4096-10"])
    # The account shifts no sums of the first layer, whose inputs are values, and counts resets by the spikes of each layer.
    assert total(account.ann(work, None)) / total(account.snn(work)) == pytest.approx(ratios["512-10"], rel=0.01)


def test_a_bit_serial_accelerator_is_the_rival_where_the_claim_names_one() -> None:
    designs = our_data().designs
    (name,) = CLAIMS["over_bit_serial_accelerators"].machines
    assert designs[name].ann == "output_stationary_bit_serial"
    assert {name for c in CLAIMS.values() for name in c.machines} <= set(designs)
    assert not CLAIMS["mac_over_ac"].machines
    assert CLAIMS["ann_over_snn_of_001"].machines == ("event_driven", "output_stationary")


def test_the_cases_of_uneven_arrival_are_all_errors() -> None:
    ours = CLAIMS["uneven_cases"].ours
    assert sum(ours[f"case {n}, percent of errors"] for n in range(1, 5)) == pytest.approx(100)
    more = ours["case 1, percent of errors"] + ours["case 2, percent of errors"]
    many, few = ours["too many spikes, percent"], ours["too few, percent"]
    assert more == pytest.approx(100 * many / (many + few))


def test_numbers_are_cut_between_numbers() -> None:
    assert _brief("1.27, 5.18, 1.27, 5.18", 20) == "1.27, 5.18, ..."
    assert _brief("31, 6.667", 20) == "31, 6.667"
    for checked in CLAIMS.values():
        for which in ("printed", "ours"):
            assert len(_brief(numbers(checked, which, implied=False))) <= 20


def test_random_trials_can_fail() -> None:
    """The trial of Theorem 1 has errors of both kinds in it, and the sum of its cases is not empty."""
    ours = CLAIMS["srp_theorem"].ours
    assert ours["too many spikes, percent"] > 5
    assert ours["too few, percent"] > 1
    assert ours["violations"] == 0


def test_sums_without_a_spike_are_those_whose_sum_over_ones_is_zero() -> None:
    trace = synthesise("tiny", timesteps=3, density=0.02, samples=2, seed=4)
    silent = sums = 0
    for sample in trace:
        for layer in trace.network:
            for c in layer.connections:
                if c.source != INPUT and c.operator != "identity":
                    ones = type(c)(**{**vars(c), "weights": np.ones_like(c.weights)})
                    received = connection_sums(ones, sample.recorded[c.source], layer.shape)
                    silent, sums = silent + int((received == 0).sum()), sums + received.size
    assert 0 < silent < sums
    assert silent_sums(trace, 2) == pytest.approx(100 * silent / sums)


def test_potentials_are_touched_by_spikes_and_by_steps(rate_trace: Trace) -> None:
    """In layer-by-layer gather order never in memory (claim `same_updates`); in scatter order twice for each word of an event."""
    found = {(a.design, a.timesteps, a.rate): a for a in accesses(rate_trace, 1, (STEPS[0], STEPS[-1]), RATES[1:])}
    assert len(found) == len(DESIGNS) * 2 * len(RATES[1:])
    assert all(a.memory == 0 < a.accumulators for a in found.values() if a.design == "output_stationary")
    for rate in RATES[1:]:
        few, many = (found["event_driven", steps, rate] for steps in (STEPS[0], STEPS[-1]))
        assert many.memory / few.memory == pytest.approx(STEPS[-1] / STEPS[0], rel=0.2)
        assert few.accumulators == 0
    machine = load_architecture("event_driven")
    made = scaled(rate_trace, Shape(RATES[1], STEPS[0]), samples=1)
    reads = simulate(made, machine, check=False).activity.groupby("event")["count"].sum()
    own = sum(reads.get(name, 0.0) for name in reads.index if name.startswith(("membrane_read", "membrane_write")))
    neurons = sum(layer.neurons for layer in rate_trace.network)
    assert found["event_driven", STEPS[0], RATES[1]].memory == pytest.approx(own * machine.core.lanes / neurons)
    assert reads["membrane_read_accumulate"] == reads["membrane_write_accumulate"]


def test_the_figure_has_what_is_printed_and_what_is_measured() -> None:
    ratios = {("ann_over_snn_of_000", "mine"): {"datta2024_int8_half": 6.0, "hwsim_event_driven_core": 0.4, "datta2021": None},
              ("same_updates", "mine"): {"hwsim_event_driven_core": 0.4}}
    measured = OnTraces(ratios, {}, {}, {}, [])
    rows = claim_ratios(tuple(CLAIMS.values()), measured)
    assert rows == [("000, 9.4\non mine", {"printed": [7.2, 15.1], "account": [6.0], "core": [0.4]})]
    figure = claims_figure([ClaimRow(*row) for row in rows], "made")
    drawn = {line.get_label(): list(line.get_xdata()) for line in figure.axes[0].lines}
    assert drawn["printed by the paper"] == [7.2, 15.1]
    assert drawn["simulated: whole core"] == [0.4]


def test_printed_errors_that_a_test_switches_on_are_named() -> None:
    assert {error.check for error in claim_data().errors if error.check} == set(PRINTED)


def test_accounts_of_claims_exist() -> None:
    known = {account.name for account in all_accounts()}
    for checked in CLAIMS.values():
        assert {name for name in checked.claim.accounts if not name.startswith("hwsim_")} <= known


def test_the_command(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["claims", "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= 120
    assert "29 claims: reproduced 8;" in shown.stdout
    assert (tmp_path / "out" / "claims.md").read_text() == page(tuple(CLAIMS.values()), None)
    body = json.loads(CliRunner().invoke(app, ["claims", "mac_over_ac", "--json"]).stdout)
    assert [row["ours"] for row in body] == [{"E_MAC / E_AC": 32.0}]
    wrong = CliRunner().invoke(app, ["claims", "nothing"])
    assert "nothing: no such claim; there are mult_over_add" in str(wrong.exception)


def test_traces_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(AccountError, match=r"fashion_mnist_bit_serial_t4.h5: no such trace; .* give their folder with --traces"):
        on_traces(tuple(CLAIMS.values()), tmp_path, simulated=False)


def test_activity_and_shares_are_counts_of_the_trace() -> None:
    """What the page says of one trace, from its own spikes."""
    with Trace.open(ROOT / "traces" / "fashion_mnist_bit_serial_t4.h5") as trace:
        spikes = [sum(int((p != 0).sum()) for p in trace.sample(i).recorded.values()) for i in range(2)]
        neurons = sum(layer.neurons for layer in trace.network if layer.sends)
        assert count_work(trace, 2).spikes_per_neuron == pytest.approx(sum(spikes) / 2 / neurons)


def test_the_page_is_what_the_command_writes() -> None:
    """But for what is measured on traces, which the slow test below makes again."""
    kept = PAGE.read_text()
    made = page(tuple(CLAIMS.values()), None)
    start, end = kept.index("## The claims on shipped traces"), kept.index("## What is printed wrong")
    assert kept[:start] + kept[end:] == made


@pytest.mark.slow
def test_the_page_with_its_traces_is_what_the_command_writes() -> None:
    claims = tuple(CLAIMS.values())
    assert page(claims, on_traces(claims, ROOT / "traces")) == PAGE.read_text()
