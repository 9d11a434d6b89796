"""A card: one trace and its ANN under a suite. Who wins on each machine and under each account, and whether prices would turn it.

A card is plain data, sealed by its hash, so that it can be kept as JSON and computed again (hwsim/accounts/suite/verify.py).
Ratios are the ANN's energy over the SNN's, so above 1 the SNN wins; energies are pJ per sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsim import __version__
from hwsim.accounts.assume import charged
from hwsim.accounts.ours import fitted, one_line
from hwsim.accounts.row import EVEN
from hwsim.accounts.sensitivity.bill import Priced
from hwsim.accounts.sensitivity.draws import Prices, drawn, nominal
from hwsim.accounts.sensitivity.flips import Comparison, probability, ratios
from hwsim.accounts.suite.suite import Machine, Suite, digest
from hwsim.accounts.twin import opened_ann
from hwsim.accounts.work import WorkError, check_twins, count_work
from hwsim.arch import load_architecture
from hwsim.errors import HwsimError
from hwsim.result import Result
from hwsim.simulation import simulate
from hwsim.task import MODEL_VERSION
from hwsim.trace.reader import Trace

FORMAT = "hwsim-card-1"
HEADLINE = ("system", None)
"""The scope and rate of `wins on N of M`."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Runs:
    """Both sides of a machine, or why there are none."""

    snn: Result | None
    ann: Result | None
    why: str = ""


def make_card(trace: str | Path, ann: str | Path | None, suite: Suite, progress: Progress | None = None) -> dict[str, Any]:
    """The card of a trace and its ANN, which None finds in a bit-serial trace.

    Raises WorkError for traces that are not of one network, or for a trace that holds no ANN; what traces raise.
    """
    with Trace.open(trace) as snn, opened_ann(snn, ann) as rival:
        if snn.network.is_ann:
            raise WorkError(f"{snn.name}: is a quantised ANN, expected an SNN first; give the ANN with --ann")
        samples = min(suite.samples, snn.samples, rival.samples)
        work, other = count_work(snn, samples), count_work(rival, samples)
        check_twins(work, other)
        rows = [charged(account, work, other) for account in suite.charging()]
        accounts = [{"account": row.account, "title": row.title, "ratio": row.ratio, "ratios": list(row.ratios),
                     "wins": row.winner, "lacks": row.lacks or None} for row in rows]
        found = list(_machines(snn, rival, samples, suite, progress))
        machines = [line for _, lines in found for line in lines]
        accuracies = [_accuracy([getattr(runs, side) for runs, _ in found]) for side in ("snn", "ann")]
        body = {
            "format": FORMAT, "suite": suite.name, "suite_hash": suite.hash, "hwsim": __version__, "model_version": MODEL_VERSION,
            "samples": samples, "snn": _trace(snn, accuracies[0]), "ann": _trace(rival, accuracies[1]),
            "machines": machines, "accounts": accounts, "wins": wins(machines, accounts)}
    return {**body, "card_hash": digest(body)}


def _trace(trace: Trace, accuracy: float | None) -> dict[str, Any]:
    return {"name": trace.name, "hash": trace.content_hash, "coding": trace.coding, "timesteps": trace.timesteps,
            "accuracy": accuracy, "accuracy_test_set": trace.provenance.get("accuracy_test_set")}


def _accuracy(results: list[Result | None]) -> float | None:
    """Percent of the replayed samples that were classified as labelled."""
    return next((r.accuracy for r in results if r is not None), None)


def _machines(
    snn: Trace, ann: Trace, samples: int, suite: Suite, progress: Progress | None
) -> Iterator[tuple[Runs, list[dict[str, Any]]]]:
    """A line for each machine, scope and rate."""
    ranges, fixed = suite.prices()
    prices, at = drawn(ranges, fixed, suite.draws, suite.seed), nominal(ranges, fixed)
    known: dict[str, Result] = {}
    for done, (name, machine) in enumerate(suite.machines.items()):
        runs = _runs(snn, ann, samples, machine, known)
        head = {"machine": name, "title": machine.title}
        if runs.snn is None or runs.ann is None:
            yield runs, [{**head, "lacks": runs.why}]
        else:
            own, rival = Priced(runs.snn, ranges.technology), Priced(runs.ann, ranges.technology)
            yield runs, [{**head, "scope": scope, "rate_hz": rate, **_line(own.at(rate), rival.at(rate), prices, at, scope)}
                         for rate in suite.rates_hz for scope in suite.scopes]
        if progress:
            progress(done + 1, len(suite.machines))


def _runs(snn: Trace, ann: Trace, samples: int, machine: Machine, known: dict[str, Result]) -> Runs:
    found, why = list[Result | None](), list[str]()
    for trace, name in ((snn, machine.snn), (ann, machine.ann)):
        key = f"{trace.content_hash} {name} {machine.schedule}"
        try:
            if key not in known:
                known[key] = simulate(trace, fitted(load_architecture(name), trace), schedule=machine.schedule,
                                      samples=samples)
                assert known[key].energy_pj  # an event without a price is told here
            found.append(known[key])
        except HwsimError as error:
            known.pop(key, None)
            found.append(None)
            why.append(one_line(error))
    return Runs(found[0], found[1], "; ".join(dict.fromkeys(why)))


def _line(own: Priced, rival: Priced, prices: Prices, at: Prices, scope: str) -> dict[str, Any]:
    """The ratio, who wins, and the probability that prices turn it round."""
    try:
        comparison = Comparison("", own, rival)
        ratio = float(ratios(comparison, at, scope)[0])
        every = ratios(comparison, prices, scope)
    except HwsimError as error:  # a rate that one side does not reach
        return {"lacks": one_line(error)}
    flips, low, high = probability((every > 1) != (ratio > 1))
    ends = [float(x) for x in np.quantile(every, (0.05, 0.95))]
    return {"ratio": ratio, "low": ends[0], "high": ends[1], "wins": winner(ratio), "flips": flips,
            "flips_low": low, "flips_high": high}


def winner(ratio: float) -> str:
    """SNN, ANN, or even: nearer to 1 than EVEN, as in `hwsim assume`."""
    return "even" if abs(ratio - 1) < EVEN else "SNN" if ratio > 1 else "ANN"


def wins(machines: list[dict[str, Any]], accounts: list[dict[str, Any]]) -> dict[str, Any]:
    """How often the SNN wins: by scope and rate among machines, and among accounts; each with how many there are."""
    found: dict[str, Any] = {}
    for line in machines:
        if "ratio" in line:
            key = place(line["scope"], line["rate_hz"])
            count = found.setdefault(key, {"snn": 0, "of": len({one["machine"] for one in machines}), "stands": 0})
            count["snn"] += line["wins"] == "SNN"
            count["stands"] += line["wins"] == "SNN" and line["flips_high"] < 0.05
    charging = [one for one in accounts if one["wins"] is not None]
    found["accounts"] = {"snn": sum(one["wins"] == "SNN" for one in charging), "of": len(charging)}
    return found


def place(scope: str, rate_hz: float | None) -> str:
    """A scope and a rate in words."""
    return scope if rate_hz is None else f"{scope} at {rate_hz:g}/s"


def headline(card: dict[str, Any]) -> str:
    """What a paper writes."""
    at = card["wins"].get(place(*HEADLINE), {"snn": 0, "of": len({one["machine"] for one in card["machines"]}), "stands": 0})
    accounts = card["wins"]["accounts"]
    runs = [line for line in card["machines"] if "ratio" in line and (line["scope"], line["rate_hz"]) == HEADLINE]
    silent = at["of"] - len(runs)
    lacking = f"; {silent} of them do not run it" if silent else ""
    return (f"the SNN wins on {at['snn']} of {at['of']} machines ({HEADLINE[0]}, at full speed; on {at['stands']} whatever the "
            f"published prices{lacking}) and under {accounts['snn']} of {accounts['of']} published accounts")
