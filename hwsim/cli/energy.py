"""`hwsim energy`: the price list of a design, and a saved run's energy explained line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.accounts.per_operation import own_row, published_rows
from hwsim.activity import VOCABULARY
from hwsim.arch import load_architecture
from hwsim.cli.common import (
    JsonOption,
    LeakOption,
    PriceOption,
    PricesOption,
    RateOption,
    print_json,
    print_notes,
    print_table,
    read_overrides,
    with_footnotes,
)
from hwsim.cost.energy import CYCLE, NotProvisionedError, check_prices, price_list
from hwsim.cost.explanation import explain, explain_rows
from hwsim.cost.overridden import overridden, overridden_text, without_effect
from hwsim.result_reader import load_result

if TYPE_CHECKING:
    from hwsim.cost.energy import Price, PriceList
    from hwsim.cost.logic import Charge

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  help="Prices and where they come from.")


@app.command("show")
def show(
    arch: Annotated[str, typer.Argument(help="A YAML file or the name of a shipped design.")] = "event_core_64",
    price: PriceOption = None,
    prices: PricesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what every event costs on a design, with formula and source; a section for each kind of core."""
    design, given = load_architecture(arch), read_overrides(price, prices)
    check_prices(design, given)
    sections = [{"core": where or "cores[0]", "count": count, "kind": one.core.kind, **_prices(price_list(one, given))}
                for (where, one), (_, count) in zip(design.entries(), design.kinds(), strict=True)]
    if as_json:
        several = {"cores": sections} if not design.is_one_core else {}
        listed = several or {name: sections[0][name] for name in ("prices", "cannot_happen")}
        print_json({"arch": design.name, **listed, "overridden": overridden(design, given),
                    "overrides_without_effect": without_effect(design, given)})
        return
    tables = design.technology
    typer.echo(f"prices of {design.name} ({tables.units}, {tables.memory}, logic {tables.logic})")
    for section in sections:
        title = "" if design.is_one_core else f"\n{section['core']}: {section['count']} x {section['kind']}"
        _print_prices(section, title)
    if text := overridden_text(design, given):
        typer.echo(f"\n{text}")


def _prices(listed: PriceList) -> dict[str, Any]:
    """All that every event costs on one core, and what each cycle does; and the events that cannot happen on it."""
    rows, absent = [], []
    for event in VOCABULARY:
        if event.scope == "cycles":
            continue
        try:
            if event.scope == "compute":
                rows.append(_row(event.scope, event.unit, listed.price(event.name)))
            rows += [_row("system" if event.scope == "system" else "core", unit, p) for unit, p in listed.charges(event.name)]
            if event.name == "acc_add":
                rows += [_row("core", unit, p) for unit, p in listed.of_sums()]
        except NotProvisionedError:
            absent.append(event.name)
    rows += [_row("core", c.component, c, CYCLE) for c in (listed.logic.every_cycle() if listed.logic else [])]
    return {"prices": rows, "cannot_happen": absent}


def _row(scope: str, unit: str, price: Price | Charge, event: str = "") -> dict[str, Any]:
    return {"event": event or getattr(price, "event", ""), "scope": scope, "unit": unit, "pJ": price.pj, "formula": price.formula,
            "confidence": price.confidence, "source": price.source}


def _print_prices(section: dict[str, Any], title: str) -> None:
    """One core's prices as a table, with its sources below it."""
    rows, absent = section["prices"], section["cannot_happen"]
    typer.echo(f"{title}\n")
    lines, notes = with_footnotes([
        {"event": r["event"], "scope": r["scope"], "unit": r["unit"], "pJ": f"{r['pJ']:.4g}", "formula": r["formula"],
         "source": f"{r['source']} ({r['confidence']})"} for r in rows])
    print_table(lines, left=("event", "scope", "unit", "formula", "source"))
    print_notes(notes)
    if absent:
        typer.echo(f"\ncannot happen on this design (no such memory or unit): {', '.join(absent)}")


@app.command("explain")
def explain_command(
    run: Annotated[str, typer.Argument(help="Folder that `hwsim run --out` wrote.")],
    price: PriceOption = None,
    prices: PricesOption = None,
    leak_unused: LeakOption = False,
    rate: RateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a run's energy per sample as count x price = energy, line by line, with sources. Other prices need no new run."""
    result = load_result(run)
    overrides = read_overrides(price, prices)
    if overrides or leak_unused:
        result = result.reprice(overrides or None, leak_unused=leak_unused or None)
    slow = None if rate is None else result.at_rate(rate)
    energy = result.accounts if slow is None else slow.accounts
    if as_json:
        print_json({"run_id": result.run_id, "sim_id": result.sim_id, "samples": result.facts.samples,
                    "energy_pj": result.energy_pj, "energy_spread_pj": result.spread["energy_pj"],
                    "total_energy_pj": result.total_energy_pj, "memories_off": result.memories_off,
                    "overridden": overridden(result.architecture, result.overrides, result.used),
                    "overrides_without_effect": without_effect(result.architecture, result.overrides, result.used),
                    "at_rate": None if slow is None else slow.summary(), "lines": explain_rows(energy)})
        return
    f = result.facts
    mean = "one sample" if f.samples == 1 else f"per sample, the mean of {f.samples}"
    pace = "samples back to back" if slow is None else (
        f"{slow.rate_hz:g} samples per second, with leakage until the next one")
    typer.echo(f"run {result.run_id}: {f.trace} on {f.arch}, {f.schedule}, {mean}\n{pace}\n")
    if text := overridden_text(result.architecture, result.overrides, result.used):
        typer.echo(f"{text}\n")
    typer.echo(explain(energy, result.memories_off))


@app.command("published")
def published_command(
    run: Annotated[str, typer.Argument(help="Folder that `hwsim run --out` wrote.")],
    as_json: JsonOption = False,
) -> None:
    """Print published pJ per synaptic operation beside a run's own, scaled to their node and supply where a rule reaches."""
    result = load_result(run)
    rows, own = published_rows(result), own_row(result)
    if as_json:
        print_json({"run_id": result.run_id, "own": own, "rows": rows})
        return
    typer.echo(f"{result.facts.trace} on {result.facts.arch}, {own['node_nm']:g} nm, {own['vdd_v']:g} V: "
               f"{own['dynamic_pj']:.3g} pJ per synaptic operation dynamic, {own['leakage_pj']:.3g} leakage (core scope)\n")
    lines, notes = with_footnotes([{
        "chip": r["chip"], "nm": f"{r['node_nm']:g}", "V": "-" if r["vdd_v"] is None else f"{r['vdd_v']:g}",
        "published pJ": f"{r['published_pj']:,.4g}", "ours, dynamic": _number(r["ours_dynamic_pj"], ".3g"),
        "+ leakage, unscaled": f"{r['ours_leakage_unscaled_pj']:.3g}", "error %": _number(r["error_percent"], "+.0f"),
        "operation": r["operation"], "source": r["source"]} for r in rows])
    print_table(lines, left=("chip", "operation", "source"))
    print_notes(notes)
    typer.echo("\nours: one real synapse of one event; error of the dynamic part, nothing is fitted")
    for r in rows:
        if r["not_scaled"]:
            typer.echo(f"{r['chip']}: not scaled: {r['not_scaled']}")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
