"""A card as one page of text, as rows of a table of several cards, and as a BibTeX entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwsim.accounts.suite.card import headline, place
from hwsim.accounts.suite.suite import SuiteError
from hwsim.compare import ACCURACY_POINTS


def lines(card: dict[str, Any]) -> list[str]:
    """What stands above the tables: the answer, both traces with accuracies, hashes."""
    snn, ann = card["snn"], card["ann"]
    return [f"{snn['name']} against {ann['name']}: {headline(card)}.", "",
            f"SNN  {snn['coding']}, T = {snn['timesteps']}, {accuracy(snn)}, trace {snn['hash'][:16]}",
            f"ANN  {accuracy(ann)}, trace {ann['hash'][:16]}", fairness(card),
            f"suite {card['suite']} {card['suite_hash'][:16]}, card {card['card_hash'][:16]}, hwsim {card['hwsim']}, model "
            f"{card['model_version']}, {card['samples']} samples"]


def accuracy(trace: dict[str, Any]) -> str:
    """Of a trace, on the test set where it is known and on the samples that were replayed."""
    known = [f"{value:.2f} % {what}" for value, what in (
        (trace["accuracy_test_set"], "on the test set"), (trace["accuracy"], "on the replayed samples")) if value is not None]
    return "accuracy " + (", ".join(known) or "not known")


def fairness(card: dict[str, Any]) -> str:
    """Whether both have equal accuracy."""
    known = [card[side]["accuracy_test_set"] for side in ("snn", "ann")]
    if None in known:
        return "equal accuracy: not known, a trace does not say its accuracy on the test set"
    apart = known[0] - known[1]
    if abs(apart) <= ACCURACY_POINTS:
        return f"equal accuracy: yes ({apart:+.2f} points)"
    return f"equal accuracy: no, the SNN has {apart:+.2f} points; a comparison of energy at unequal accuracy is not fair"


def machine_rows(card: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each machine and rate: the ratio in each scope, who wins in the system, and how likely prices turn it."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for line in card["machines"]:
        if "scope" not in line:
            found[line["machine"], ""] = {"machine": line["title"], "at": "-", "wins": "lacks", "flips, %": "-"}
            continue
        rate = place("", line["rate_hz"]).strip() or "full speed"
        row = found.setdefault((line["machine"], rate), {"machine": line["title"], "at": rate.removeprefix("at ")})
        row[line["scope"]] = f"{line['ratio']:.2f}" if "ratio" in line else "-"
        if line["scope"] == "system":
            row["wins"] = line.get("wins", "lacks")
            row["flips, %"] = f"{100 * line['flips']:.0f} ({100 * line['flips_low']:.0f}-{100 * line['flips_high']:.0f})" \
                if "flips" in line else "-"
    names = ("machine", "at", *dict.fromkeys(line["scope"] for line in card["machines"] if "scope" in line), "wins", "flips, %")
    return [{name: row.get(name, "-") for name in names} for row in found.values()]


def account_rows(card: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each published account."""
    return [{"account": one["title"], "ANN/SNN": " to ".join(f"{r:.2f}" for r in one["ratios"]) or "-",
             "wins": one["wins"] or "lacks an input"} for one in card["accounts"]]


def lacking(card: dict[str, Any]) -> list[str]:
    """Why a machine or an account says nothing."""
    found = [f"{line['title']}: {line['lacks']}" for line in card["machines"] if line.get("lacks")]
    return list(dict.fromkeys([*found, *(f"{one['title']}: {one['lacks']}" for one in card["accounts"] if one["lacks"])]))


def bibtex(card: dict[str, Any]) -> str:
    """An entry to cite a card by: its hash finds it again."""
    key = f"{card['suite'].replace('-', '_').replace('.', '_')}_{card['card_hash'][:8]}"
    return (f"@misc{{{key},\n  title = {{hwsim card: {card['snn']['name'].replace('_', ' ')} against "
            f"{card['ann']['name'].replace('_', ' ')}}},\n  howpublished = {{suite {card['suite']}, "
            f"{card['suite_hash'][:16]}; card {card['card_hash'][:16]}; hwsim {card['hwsim']}}},\n"
            f"  note = {{{headline(card)}}},\n}}")


def table_rows(cards: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Several cards of one suite side by side. Raises SuiteError for cards of different suites."""
    known = {(card["suite"], card["suite_hash"]) for card in cards}
    if len(known) > 1:
        said = ", ".join(f"{name} {value[:12]}" for name, value in sorted(known))
        raise SuiteError(f"cards of different suites share no table: found {said}; make them again with one suite")
    rows = []
    for card in cards:
        row = {"SNN": card["snn"]["name"], "ANN": card["ann"]["name"]}
        for key, count in card["wins"].items():
            row[key] = f"{count['snn']} of {count['of']}"
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name, "-") for name in names} for row in rows]
