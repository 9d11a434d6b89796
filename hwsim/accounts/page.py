"""`hwsim assume` in words: what was counted, the amounts of a row, the verdict, and the whole as a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from hwsim.accounts.assume import Assumed
from hwsim.accounts.base import Account, total
from hwsim.accounts.ours import our_data
from hwsim.accounts.registry import all_accounts
from hwsim.accounts.row import Row

_INTRODUCTION = """# Who wins, under whose assumptions

One [trace](glossary.md#trace), the trace of the ANN that its network was converted from, and every published way of counting
energy that hwsim has ([how to add one](recipes.md#an-account)). Numbers are means per [sample](glossary.md#sample). Energies
of the others follow from what is counted in the traces alone: [synaptic operations](glossary.md#synaptic-operation), events,
spikes, [timesteps](glossary.md#timestep), shapes, and whether the input is [direct](glossary.md#direct-input) or
[hybrid](glossary.md#hybrid-input). The last rows are hwsim's own, in three [scopes](glossary.md#scope): replayed on the best
design of each [dataflow](glossary.md#dataflow), whose [tokens](glossary.md#token) carry one [plane](glossary.md#plane) or
[merged planes](glossary.md#merged-planes), beside the best machine of the ANN. This page is the
file `assume.md` that the command below writes; nobody edits it by hand.
"""


LEGEND = ("Energies are nJ per sample, means; ops are operations; 001 on a chip's weights is relative to the ANN; thresholds are "
          "spikes. ANN / SNN above 1: the SNN wins; of a threshold's band both ends are given.")


def heading(found: Assumed) -> str:
    """Two lines: the traces, and what was counted in the SNN's."""
    rival = f"its ANN {found.ann.trace}" if found.ann else "no trace of its ANN (--ann)"
    work = found.snn
    return (f"{work.trace}: {work.coding}, T = {work.timesteps}, {work.samples} samples; {rival}\n"
            f"{work.operations():,.0f} synaptic operations, {work.dense_macs:,} dense MACs, {work.spikes_per_neuron:.3f} spikes "
            f"per neuron, {work.spikes_per_synapse:.3f} per synapse")


def amounts(row: Row) -> tuple[str, str]:
    """Both sides of a row as text; nJ, or with the unit that it has."""
    if row.lacks:
        return "-", "-"
    snn = total(row.snn)
    if row.counts == "threshold":
        low, high = row.band
        return f"{snn:.3f}", f"{low:g}" if low == high else f"{low:g} to {high:g}"
    factor, form = {"energy": (1e-3, ",.1f"), "operations": (1.0, ",.0f"), "relative": (1.0, ".3f")}[row.counts]
    unit = " ops" if row.counts == "operations" else ""
    return f"{snn * factor:{form}}{unit}", f"{total(row.ann) * factor:{form}}{unit}"


def ratio_text(row: Row) -> str:
    """The ANN's over the SNN's; of a band both ends."""
    return " to ".join(f"{ratio:.2f}" for ratio in row.ratios) or "-"


def verdict(rows: Sequence[Row]) -> str:
    """One sentence: how many accounts say what."""
    won = {who: sum(row.winner == who for row in rows) for who in ("SNN", "ANN", "even", "undecided")}
    lacking = sum(row.winner is None for row in rows)
    return (f"Of {len(rows)} accounts the SNN wins under {won['SNN']} and the ANN under {won['ANN']}; even or undecided: "
            f"{won['even'] + won['undecided']}; {lacking} lack an input.")


def page(found: Assumed) -> str:
    """The whole as Markdown: the table, then each account with its source, equations, reading, numbers and what it leaves out."""
    ann = "" if found.ann is None else f" --ann {found.ann.trace}.h5"
    lines = [_INTRODUCTION, "```", f"hwsim assume {found.snn.trace}.h5{ann} --samples {found.snn.samples} --out DIR", "```", "",
             heading(found).replace("\n", ";\n") + ".", "", f"**{verdict(found.rows)}** {LEGEND}", "",
             "| account | SNN, nJ | ANN, nJ | ANN / SNN | wins |", "|---|---|---|---|---|"]
    for row in found.rows:
        lines.append(f"| {row.title} | {' | '.join(amounts(row))} | {ratio_text(row)} | {row.winner or f'lacks: {row.lacks}'} |")
    lines += ["", "## The accounts", ""]
    families: dict[int, list[Account]] = {}
    for account in all_accounts():
        families.setdefault(id(account.data), []).append(account)
    for members in families.values():
        lines += _described(members)
    return "\n".join([*lines, *_ours()]).rstrip() + "\n"


def _described(accounts: Sequence[Account]) -> list[str]:
    """One family: a list of what it says of itself, and its numbers."""
    data = accounts[0].data
    lines = [f"### {', '.join(f'`{a.name}`' for a in accounts)}", "",
             f"* Source: {data.paper}. Equations: {data.equations}."]
    lines += [f"* Read as: {data.reading}."] if data.reading else []
    lines += [f"* Leaves out: {', '.join(data.leaves_out)}."]
    numbers = [(name, number, a.name) for a in accounts for name, number in a.numbers.items()]
    if not numbers:
        return [*lines, ""]
    rows = dict.fromkeys(
        f"| {'all' if name in data.numbers else f'`{owner}`'} | `{name}` | {number.value:g} {number.unit} | {number.source} |"
        for name, number, owner in numbers)
    return [*lines, "", "| account | number | value | source |", "|---|---|---|---|", *rows, ""]


def _ours() -> list[str]:
    data = our_data()
    lines = [f"### {', '.join(f'`hwsim_{name}`' for name in data.designs)}", "",
             f"* Source: {data.paper}. Equations: [cycle model](cycle-model.md), [energy model](energy-model.md).",
             "* Machines: the shipped designs named here, each the best of its kind that a search found "
             "([reference designs](sweeps.md#reference-designs)). A trace that does not fit, or whose neurons have flags, gets "
             "the same design with a larger spike buffer or membrane memory, a memory of flags, and the clock that it then has."]
    for name, design in data.designs.items():
        changed = f", with `{design.fields}`" if design.fields else ""
        lines.append(f"  * `{name}`: SNN on `{design.snn}`, ANN on `{design.ann}`{changed}.")
    return [*lines, *(f"* Scope {scope} leaves out: {', '.join(out)}." for scope, out in data.leaves_out.items())]
