"""The claims as a page of Markdown: the table, what each formula gives, the claims on shipped traces, the printed errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hwsim.accounts.claims.measured import SAMPLES, OnTraces
from hwsim.accounts.claims.potentials import Accesses
from hwsim.accounts.claims.verdicts import Checked, claim_data
from hwsim.accounts.ours import our_data
from hwsim.accounts.registry import all_accounts

_INTRODUCTION = """# What the papers claim, computed again

Every quantitative claim of the five papers about hardware, [planes](glossary.md#plane) and
[potentials](glossary.md#potential): what is printed, where, the formula with its inputs, what the same formula gives here, and
a verdict. A verdict follows from the numbers, or loading refuses it. Other papers' ways of counting are on [their own
page](assumptions-of-others.md). `hwsim claims --traces traces --out DIR` writes this page (`claims.md`); nobody edits it by hand.
"""
_TRACES = """## The claims on shipped traces

The ratio of the ANN's energy to the SNN's, so above 1 the SNN wins, on the [trace](glossary.md#trace) of each paper's method
and that of its ANN, the mean of {samples} [samples](glossary.md#sample): under the paper's own account, and simulated in three
[scopes](glossary.md#scope) on the best event-driven and output-stationary designs, beside the best ANN machines of the same
[dataflow](glossary.md#dataflow); a claim about bit-serial accelerators beside one of them. The command draws the figure as well
(`claims.png`).

![What is printed, what the paper's account gives here, what is simulated](figures/claims.png)
"""


YES = "(1: yes)"


def page(claims: Sequence[Checked], measured: OnTraces | None) -> str:
    """The whole page; without `measured`, no word of traces."""
    data = claim_data()
    lines = [_INTRODUCTION, verdict_sentence(claims), "", *table("paper", "place", "claim", "printed", "ours", "verdict")]
    lines += [row(c.claim.paper, c.claim.place, c.claim.claim, numbers(c, "printed"), numbers(c, "ours"), c.verdict)
              for c in claims]
    lines += ["", "Papers: " + "; ".join(f"{number}: {title}" for number, title in data.papers.items()) + ".", "",
              "## Formulas, inputs and what they give", ""]
    for c in claims:
        lines += _explained(c)
    if measured is not None:
        lines += _on_traces(measured)
    lines += ["## What is printed wrong", "",
              "A check that is named is a printed form that `tests/convert/test_printed_equations.py` switches on: it breaks a "
              "network.", "", *table("paper", "place", "printed", "right", "check")]
    lines += [row(e.paper, e.place, e.printed, e.right, f"`{e.check}`" if e.check else "-") for e in data.errors]
    return "\n".join(lines).rstrip() + "\n"


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def table(*names: str) -> list[str]:
    """The first two lines of a table."""
    return [row(*names), "|---" * len(names) + "|"]


def verdict_sentence(claims: Sequence[Checked]) -> str:
    """How many claims have which verdict."""
    counts = Counter(c.verdict.removeprefix("reproduced ") for c in claims)
    claims_ = "1 claim" if len(claims) == 1 else f"{len(claims)} claims"
    return f"{claims_}: " + "; ".join(f"{verdict} {n}" for verdict, n in counts.most_common()) + "."


def numbers(checked: Checked, which: str, implied: bool = True) -> str:
    """The printed numbers, or ours of the same names and of those that are right, and what is implied."""
    claim = checked.claim
    if which == "printed":
        return ", ".join(said(name, value) for name, value in claim.printed.items()) or "in the claim"
    names = dict.fromkeys((*claim.printed, *claim.right))
    more = [f"implied {name}: {short(checked.ours[name])}" for name in (claim.implied if implied else ())]
    return ", ".join([*(said(name, checked.ours[name]) for name in names), *more]) or "-"


def said(name: str, value: float) -> str:
    """A number, or yes and no where its name says that it is one of them."""
    return short(value) if YES not in name else "yes" if value else "no"


def short(value: float) -> str:
    return f"{value:.4g}" if not 1e4 <= abs(value) < 1e8 else f"{value:,.0f}"


def _explained(checked: Checked) -> list[str]:
    claim = checked.claim
    inputs = ", ".join(f"{name} = {short(value)}" for name, value in claim.inputs.items()) or "shapes alone, or none"
    results = "; ".join(f"{name}: {short(value)}" for name, value in checked.ours.items()) or "nothing without the missing inputs"
    lines = [f"### `{checked.name}`", "", f"* {claim.paper}, {claim.place}: {claim.claim}.", f"* Formula: {claim.formula}.",
             f"* Inputs: {inputs}.", f"* It gives: {results}.", f"* Verdict: {checked.verdict}."]
    lines += [f"* Assumed: {text}." for text in claim.assumes]
    lines += [f"* Not published: {', '.join(claim.needs)}."] if claim.needs else []
    lines += [f"* Right: {', '.join(f'{name} {short(value)}' for name, value in claim.right.items())}."] if claim.right else []
    return [*lines, *([f"* {claim.note[0].upper()}{claim.note[1:]}."] if claim.note else []), ""]


def _on_traces(measured: OnTraces) -> list[str]:
    titles = {account.name: account.title for account in all_accounts()}
    lines = [_TRACES.format(samples=SAMPLES), *table("claim", "trace", "account", "ANN / SNN")]
    for (claim, trace), ratios in measured.ratios.items():
        for name, ratio in ratios.items():
            title = titles.get(name) or _simulated(name)
            lines.append(row(f"`{claim}`", trace, title, "lacks an input" if ratio is None else f"{ratio:.2f}"))
    lines += ["", "Activity against T (claim `activity_drop`):", "",
              *table("trace", "spikes per neuron", "per neuron and step")]
    lines += [row(name, f"{all_:.3f}", f"{step:.4f}") for name, (all_, step) in measured.activity.items()]
    kinds = list(next(iter(measured.shares.values())))
    lines += ["", "Shares of paper 000's bill at 8 bits, percent (claim `additions_per_shift`; paper 000 calls all but the first "
              "two negligible):", "", *table("trace", *kinds)]
    lines += [row(name, *(f"{share[kind]:.1f}" for kind in kinds)) for name, share in measured.shares.items()]
    lines += ["", "Sums behind the first layer that no spike reaches in a step (claim `potentials_are_always_touched`):", "",
              *table("trace", "percent")]
    lines += [row(name, f"{share:.1f}") for name, share in measured.silent.items()]
    return [*lines, "", *(_accesses(measured.accesses) if measured.accesses else [])]


def _simulated(account: str) -> str:
    """One of hwsim's own accounts in words: the pair of machines and the scope."""
    machine, _, scope = account.removeprefix("hwsim_").rpartition("_")
    return f"{our_data().designs[machine].title}: {scope}, simulated"


def _accesses(found: Sequence[Accesses]) -> list[str]:
    """The table of accesses to potentials, and what it says of the claim."""
    titles = {name: design.title for name, design in our_data().designs.items()}
    by = {(a.design, a.timesteps, a.rate): a.memory for a in found}
    name, few, most = found[0].design, min(a.timesteps for a in found), max(a.timesteps for a in found)
    low, high = min(a.rate for a in found), max(a.rate for a in found)
    lines = ["Reads and writes of potentials per neuron and sample, simulated on fashion_mnist_rate_t4 scaled to other rates "
             "(spikes per neuron and step) and steps: of the membrane memory, and in parentheses of accumulators. Paper 000 says "
             "that they follow T and not sparsity (claim `potentials_are_always_touched`). On the event-driven core they follow "
             f"both: from {100 * low:g} to {100 * high:g} % they grow {by[name, most, high] / by[name, most, low]:.1f} times, "
             f"from T = {few} to {most} {by[name, most, high] / by[name, few, high]:.1f} times.", "",
             *table("design", "T", *(f"{100 * rate:g} %" for rate in dict.fromkeys(a.rate for a in found)))]
    places = dict.fromkeys((a.design, a.timesteps) for a in found)
    for design, steps in places:
        mine = [a for a in found if (a.design, a.timesteps) == (design, steps)]
        lines.append(row(titles[design], str(steps), *(f"{a.memory:.1f} ({a.accumulators:.1f})" for a in mine)))
    return [*lines, ""]


def claim_ratios(claims: Sequence[Checked], measured: OnTraces) -> list[tuple[str, dict[str, list[float]]]]:
    """For the figure: claims with printed ratios, each on its traces, with ratios by kind."""
    found = []
    for (name, trace), ratios in measured.ratios.items():
        claim = next(c.claim for c in claims if c.name == name)
        if not claim.ratios:
            continue
        kinds: dict[str, list[float]] = {"printed": claim.ratios}
        for account, ratio in ratios.items():
            if ratio is not None:
                scope = account.rpartition("_")[2] if account.startswith("hwsim_") else "account"
                kinds.setdefault(scope, []).append(ratio)
        found.append((f"{claim.paper}, {claim.place}\non {trace.removeprefix('methods/')}", kinds))
    return found
