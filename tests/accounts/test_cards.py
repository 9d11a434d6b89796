"""Suites and cards: what was released does not change, a card is computed again, and mixed suites share no table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hwsim.accounts.base import Account, Bill
from hwsim.accounts.published.datta_2021 import Datta2021
from hwsim.accounts.published.datta_2024 import Datta2024
from hwsim.accounts.published.lemaire_2022 import Lemaire2022
from hwsim.accounts.published.neurobench import NeuroBench
from hwsim.accounts.published.thresholds import Threshold
from hwsim.accounts.registry import ACCOUNTS
from hwsim.accounts.suite import suite as suites
from hwsim.accounts.suite import verify as verifying
from hwsim.accounts.suite.card import headline, make_card, place, winner, wins
from hwsim.accounts.suite.page import bibtex, fairness, lines, machine_rows, table_rows
from hwsim.accounts.suite.release import release
from hwsim.accounts.suite.suite import HERE, Suite, SuiteError, check_released, digest, load_suite, parts
from hwsim.accounts.suite.verify import CardError, read_card, verify_card, write_card
from hwsim.accounts.twin import opened_ann
from hwsim.accounts.work import WorkError
from hwsim.arch import load_architecture
from hwsim.cli import app
from hwsim.examples import example_path
from hwsim.simulation import simulate
from hwsim.trace.reader import Trace
from tests.extending.weight_reads import WeightReads

SNN, ANN = example_path("bit_serial"), example_path("ann")


@pytest.fixture(scope="module")
def small() -> Suite:
    """The shipped suite with one machine and few draws, under a hash of its own: a card of it takes a second."""
    whole = load_suite()
    kept = {name: whole.machines[name] for name in ("output_stationary_merged",)}
    held = [*whole.held, "memory=cacti_lop", "supply=0.9"]
    return whole.model_copy(update={"name": "small", "machines": kept, "samples": 1, "draws": 128, "held": held})


@pytest.fixture(scope="module")
def card(small: Suite) -> dict[str, Any]:
    return make_card(SNN, ANN, small)


def test_the_shipped_suites_are_what_was_released() -> None:
    for name in suites.suites():
        suite = load_suite(name)
        assert len(suite.machines) == 8
        assert suite.hashes == parts(suite)


@pytest.mark.parametrize(("name", "value", "part"), [("MODEL_VERSION", "another", "models"), ("DIGITS", 3, "accounts")])
def test_a_changed_part_is_a_new_suite(name: str, value: Any, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, name, value)
    with pytest.raises(SuiteError, match=f"suite hwsim-2026.2: {part}: found .*, released as .*; a released suite never changes"):
        check_released(load_suite())


def test_a_changed_price_or_design_is_a_new_suite(small: Suite) -> None:
    """Each part hears of what it is of, and of nothing else."""
    there = parts(small)
    moved = parts(small.model_copy(update={"held": ["wires=0.2"]}))
    assert [name for name in there if moved[name] != there[name]] == ["ranges"]
    machine = next(iter(small.machines.values()))
    other = small.model_copy(update={"machines": {"mine": machine.model_copy(update={"ann": "systolic"})}})
    assert [name for name in there if parts(other)[name] != there[name]] == ["machines"]
    tables = suites._prices(small)
    assert {"units/datta_45nm", "memory/cacti_lop", "logic/nangate_45nm", "dram/dramsim3", "scaling"} <= set(tables)


@pytest.mark.parametrize(("kind", "line"), [
    (Datta2021, "additions of the first layer, t > 1"), (Datta2024, "left shifts"), (Lemaire2022, "multiplications"),
    (Threshold, "spikes per neuron and step"), (NeuroBench, "effective MACs")])
def test_a_changed_equation_is_a_new_suite(kind: type[Account], line: str, small: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is of: hybrid inputs, bit planes, neurons that leak, five steps, an ANN's values."""
    before, side = parts(small)["accounts"], "ann" if kind is NeuroBench else "snn"
    charge = getattr(kind, side)

    def without(self: Account, *works: Any) -> Bill:
        bill = charge(self, *works)
        return tuple(n for n in bill if n.what != line) if len(bill) > 1 else tuple(replace(n, each=2 * n.each) for n in bill)

    monkeypatch.setattr(kind, side, without)
    assert parts(small)["accounts"] != before


def test_an_account_of_ones_own_leaves_a_suite_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on no card; a suite that names an account that is not there is refused."""
    monkeypatch.setitem(ACCOUNTS, "mine", WeightReads)
    suite = load_suite()
    check_released(suite)
    assert set(suite.accounts) == set(ACCOUNTS) - {"mine"}
    monkeypatch.delitem(ACCOUNTS, "lemaire2022")
    with pytest.raises(SuiteError, match="accounts: found lemaire2022, known are additions"):
        check_released(suite)


def test_a_card_finds_the_ann_in_a_bit_serial_trace() -> None:
    with Trace.open(SNN) as snn, opened_ann(snn, None) as held, Trace.open(ANN) as ann:
        assert held.network.is_ann
        assert [x.tolist() for x in held.sample(0).recorded.values()] == [x.tolist() for x in ann.sample(0).recorded.values()]
    with Trace.open(example_path("rate")) as rate, pytest.raises(WorkError, match="a trace of coding rate holds no ANN; give"):
        with opened_ann(rate, None):
            pass


def test_a_card_whose_traces_are_not_beside_it_says_so(tmp_path: Path) -> None:
    body = {"format": "hwsim-card-1", **dict.fromkeys(verifying.KEYS, 0), "snn": {"name": "mine", "hash": "a" * 64},
            "ann": {"name": "its", "hash": "b" * 64}}
    del body["card_hash"]
    write_card({**body, "card_hash": digest(body)}, tmp_path / "card.json")
    shown = CliRunner().invoke(app, ["card", "verify", str(tmp_path / "card.json")])
    assert f"--trace: found no mine.h5 beside the card; give the SNN's trace {'a' * 16}" in str(shown.exception)


def test_a_suite_is_released_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = (HERE / "hwsim_2026_2.yaml").read_text()
    path.write_text(text[:text.index("hashes:")].replace("hwsim-2026.2", "mine-1"))
    made = release(path)
    assert made.hashes == load_suite().hashes
    assert made.hash != load_suite().hash
    with pytest.raises(SuiteError, match="mine-1 was released and never changes; copy the file, give it a new name"):
        release(path)
    with pytest.raises(SuiteError, match="mine-2: no such suite; there are hwsim-2026.2"):
        load_suite("mine-2")


@pytest.mark.slow
def test_a_card_has_what_simulations_say(card: dict[str, Any]) -> None:
    """At full speed and nominal prices, the ratio of two simulations; at a rate, of both at that rate."""
    own, rival = (simulate(trace, name, samples=1) for trace, name in (
        (SNN, "output_stationary_merged"), (ANN, "output_stationary_bit_serial")))
    for line in card["machines"]:
        a, b = (r.energy_pj if line["rate_hz"] is None else r.at_rate(line["rate_hz"]).energy_pj for r in (own, rival))
        assert line["ratio"] == pytest.approx(b[line["scope"]] / a[line["scope"]], rel=1e-12)
        assert line["wins"] == winner(line["ratio"])
        assert line["flips_low"] <= line["flips"] <= line["flips_high"]
    assert len(card["machines"]) == 6
    assert load_architecture("output_stationary").technology.memory == "cacti_lop"
    assert fairness(card) == "equal accuracy: yes (+0.00 points)"


def test_who_wins_by_less_than_a_percent_is_even() -> None:
    assert [winner(ratio) for ratio in (0.5, 0.98, 0.995, 1.0, 1.005, 1.02)] == ["ANN", "ANN", "even", "even", "even", "SNN"]


@pytest.mark.slow
def test_a_card_counts_what_it_shows(card: dict[str, Any]) -> None:
    for key, count in card["wins"].items():
        shown = card["accounts"] if key == "accounts" else [
            line for line in card["machines"] if place(line["scope"], line["rate_hz"]) == key]
        assert count["snn"] == sum(one["wins"] == "SNN" for one in shown)
    assert card["wins"] == wins(card["machines"], card["accounts"])
    assert f"of 1 machines (system, at full speed; on {card['wins']['system']['stands']} whatever" in headline(card)
    assert card["card_hash"][:8] in bibtex(card)
    assert any(card["suite_hash"][:16] in line for line in lines(card))
    assert len(machine_rows(card)) == 2


@pytest.mark.slow
def test_a_card_is_computed_again(
    card: dict[str, Any], small: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "load_suite", lambda name: small)
    write_card(card, tmp_path / "card.json")
    read = read_card(tmp_path / "card.json")
    assert verify_card(read, SNN, ANN) > 60
    with pytest.raises(CardError, match=r"found trace .*, the card is of fashion_mnist_tiny_bit_serial_t4"):
        verify_card(read, example_path("rate"), ANN)
    monkeypatch.setattr(verifying, "make_card", lambda *_: json.loads(json.dumps(card)))  # as it was just computed
    read["machines"][2]["ratio"] *= 1 + 1e-8
    with pytest.raises(CardError, match=r"not verified\nmachines\[2\].ratio: found .* on the card, .* computed"):
        verify_card(read, SNN, ANN)
    monkeypatch.setattr(verifying, "load_suite", lambda name: small.model_copy(update={"seed": 2}))
    with pytest.raises(SuiteError, match="the card was made with"):
        verify_card(card, SNN, ANN)


@pytest.mark.slow
def test_a_card_that_was_changed_is_refused(card: dict[str, Any], tmp_path: Path) -> None:
    changed = json.loads(json.dumps(card))
    changed["wins"]["accounts"]["snn"] += 1
    write_card(changed, tmp_path / "card.json")
    with pytest.raises(CardError, match="card_hash: what it says is not what was sealed"):
        read_card(tmp_path / "card.json")
    for text, problem in (("[]", "format: found"), ("{", "is no JSON"), ('{"format": "x"}', "expected hwsim-card-1"),
                          ('{"format": "hwsim-card-1"}', "without suite, suite_hash")):
        (tmp_path / "card.json").write_text(text)
        with pytest.raises(CardError, match=problem):
            read_card(tmp_path / "card.json")
    with pytest.raises(CardError, match="cannot be read"):
        read_card(tmp_path / "none.json")


@pytest.mark.slow
def test_cards_of_different_suites_share_no_table(card: dict[str, Any], tmp_path: Path) -> None:
    other = {**card, "suite_hash": digest("another")}
    assert [row["accounts"] for row in table_rows([card, card])] == [f"{card['wins']['accounts']['snn']} of 17"] * 2
    with pytest.raises(SuiteError, match="cards of different suites share no table: found small .*, small "):
        table_rows([card, other])


@pytest.mark.slow
def test_the_commands(card: dict[str, Any], tmp_path: Path) -> None:
    write_card(card, tmp_path / "card.json")
    shown = CliRunner().invoke(app, ["card", "show", str(tmp_path / "card.json")])
    assert shown.exit_code == 0, shown.exception
    assert "output-stationary, merged planes" in shown.stdout
    assert max(map(len, shown.stdout.split("@misc")[0].splitlines())) <= 120
    side = CliRunner().invoke(app, ["card", "table", str(tmp_path / "card.json"), "--json"])
    assert json.loads(side.stdout)[0]["SNN"] == "fashion_mnist_tiny_bit_serial_t4"
    listed = CliRunner().invoke(app, ["suite"])
    assert "as released" in listed.stdout
    assert json.loads(CliRunner().invoke(app, ["suite", "--json"]).stdout)["hash"] == load_suite().hash
    lacking = CliRunner().invoke(app, ["card", str(example_path("rate"))])
    assert "--ann: found nothing, and a trace of coding rate holds no ANN" in str(lacking.exception)
    wrong = CliRunner().invoke(app, ["card", str(ANN), "--ann", str(ANN)])
    assert isinstance(wrong.exception, WorkError)
