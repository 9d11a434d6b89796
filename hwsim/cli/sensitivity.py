"""`hwsim sensitivity`: which comparisons stand when each price moves within its published range, and over design choices."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from hwsim.accounts.sensitivity.designs import Shares
from hwsim.accounts.sensitivity.flips import Finding
from hwsim.accounts.sensitivity.ranges import Ranges, held, read_ranges
from hwsim.accounts.sensitivity.study import Sensitivity, sensitivity
from hwsim.cli.common import JsonOption, print_json, print_notes, print_table, progress
from hwsim.errors import HwsimError
from hwsim.files import whole_folder
from hwsim.result_file import check_target, writing

app = typer.Typer(add_completion=False, rich_markup_mode=None)

TABLE, BARS, FIGURE = "sensitivity.csv", "tornado.csv", "sensitivity.png"
DRAWS, SEED = 4096, 1


@app.command()
def sensitivity_command(
    trace: Annotated[str | None, typer.Argument(help="The SNN's trace (HDF5).")] = None,
    ann: Annotated[str | None, typer.Option("--ann", metavar="TRACE", help=(
        "The trace of its ANN (default: the one in a bit-serial trace)."))] = None,
    against: Annotated[list[str] | None, typer.Option(
        metavar="TRACE", help="Another SNN on the same machines; repeatable.")] = None,
    hold: Annotated[list[str] | None, typer.Option(
        metavar="NAME=VALUE", help="Hold a price: wires=0.2, memory=cacti_lop; repeatable. --ranges lists the names.")] = None,
    prices: Annotated[str | None, typer.Option(
        "--prices", metavar="FILE", help="Your own ranges, within the published ones.")] = None,
    show: Annotated[bool, typer.Option("--ranges", help="Print the ranges with their sources, and nothing else.")] = False,
    draws: Annotated[int, typer.Option(help="Prices to draw, a power of two.")] = DRAWS,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = SEED,
    samples: Annotated[int | None, typer.Option(help=(
        "Count the first N samples (default: all that every trace has)."))] = None,
    designs: Annotated[bool, typer.Option(help="Compare over lanes and ports as well; --no-designs: prices only.")] = True,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Where the tables and the tornado figure go.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Which comparisons survive the spread of published prices, and whether prices or designs decide more. Simulates once."""
    ranges = read_ranges(prices)
    if show:
        _show(ranges, as_json)
        return
    if trace is None:
        raise HwsimError("TRACE: found nothing, expected the SNN's trace; --ranges alone needs none")
    fixed = held(ranges, hold or [])
    if out is not None:
        check_target(out, TABLE, "a saved table of sensitivities", {TABLE, BARS, FIGURE})
    with progress("designs") as report:
        found = sensitivity(trace, ann, against or [], ranges=ranges, held=fixed, draws=draws, seed=seed, samples=samples,
                            with_designs=designs, progress=report)
    if out is not None:
        _save(found, out, Path(trace).stem)
    if as_json:
        print_json({"draws": found.draws, "seed": found.seed, "ranges": ranges.name, "lacks": dict(found.lacks),
                    "findings": [_plain(f) for f in found.findings],
                    "fixed": dict(found.fixed), "samples": found.samples, "designs": [vars(one) for one in found.designs]})
        return
    typer.echo(textwrap.fill(found.verdict, 116) + "\n")
    print_table([_row(f) for f in found.findings], left=("comparison", "scope", "takes less", "moved most by"),
                spare=("moved most by", "5-95 %"))
    print_notes([
        "ratio: the rival's energy over that of the trace at nominal prices; above 1 the trace takes less. flips, %: probability "
        f"that the order turns round over {found.draws} draws of all prices (95 % interval); seed {found.seed}; {found.samples} "
        "samples", *_fixed_note(found),
        *map(_designs_note, found.designs), *(f"{title}: lacks: {why}" for title, why in found.lacks)])
    if out is not None:
        typer.echo(f"saved in {out}: {TABLE}, {BARS}, {FIGURE}")


def _fixed_note(found: Sensitivity) -> list[str]:
    """Prices that did not move, and how much of a machine they are."""
    if not found.fixed:
        return []
    return ["no published range, so these keep their prices (and their largest share of a machine's energy): "
            + ", ".join(f"{key} ({100 * share:.1f} %)" for key, share in found.fixed)]


def _designs_note(one: Shares) -> str:
    parts = ", ".join(f"{name} {100 * part:.0f}" for name, part in one.by_choice.items())
    return (f"{one.scope}: the SNN takes less on {one.won} of {len(one.ratios)} designs at nominal prices; of the ratio's "
            f"variance the design makes {100 * one.designs:.0f} % (alone: {parts}), prices {100 * one.prices:.0f} %, both "
            f"together {100 * one.both:.0f} %")


def _row(f: Finding) -> dict[str, str]:
    return {"comparison": f.title, "scope": f.scope, "ratio": f"{f.ratio:.2f}", "takes less": f.winner,
            "5-95 %": f"{f.low:.2f}-{f.high:.2f}", "moved most by": f.tornado[0].title if f.tornado else "-",
            "flips, %": f"{100 * f.flips:.1f} ({100 * f.flips_low:.1f}-{100 * f.flips_high:.1f})"}


def _plain(f: Finding) -> dict[str, Any]:
    return {**{name: value for name, value in vars(f).items() if name != "tornado"}, "winner": f.winner, "stands": f.stands,
            "tornado": [{"price": bar.name, "ratios": dict(bar.ratios)} for bar in f.tornado]}


def _show(ranges: Ranges, as_json: bool) -> None:
    rows = list(_ranges(ranges))
    if as_json:
        print_json({"ranges": rows, "sources": ranges.sources})
        return
    print_table(rows, left=("price", "is", "unit", "sources"), spare=("is", "unit"))
    print_notes([f"{name}: {text}" for name, text in ranges.sources.items()])


def _ranges(ranges: Ranges) -> Iterator[dict[str, str]]:
    for name, known in ranges.every().items():
        for one in known:
            owner = next((f" of {p}" for p, profile in ranges.profiles.items() if profile.ranges.get(name) is one), "")
            ends = {"low": one.low, "nominal": one.nominal, "high": one.high}
            yield {"price": name + owner, "is": one.title, **{end: f"{found.value:g}" for end, found in ends.items()},
                   "unit": one.unit, "sources": ", ".join(dict.fromkeys(end.source for end in ends.values()))}
    for name, choice in ranges.choices.items():
        yield _settings(name, choice.title, choice.options, choice.source)
    for name, profile in ranges.profiles.items():
        yield _settings(f"memory={name}", profile.title, [f"{v:g} V" for v in profile.supplies_v], profile.source)


def _settings(name: str, title: str, options: list[str], source: str) -> dict[str, str]:
    return {"price": name, "is": title, "low": "", "nominal": options[0], "high": ", ".join(options[1:]), "unit": "",
            "sources": source}


def _save(found: Sensitivity, out: str, name: str) -> None:
    # pandas and matplotlib are not loaded before there is something to save.
    import pandas as pd

    from hwsim.view.sensitivity import Split, Tornado, save_sensitivity_figure

    bars = [{"comparison": f.title, "scope": f.scope, "price": bar.name, "value": value, "ratio": ratio, "nominal": f.ratio}
            for f in found.findings for bar in f.tornado for value, ratio in bar.ratios]
    tornados = [Tornado(f.title, f.ratio, f.low, f.high, f"flips in {100 * f.flips:.0f} %",
                        [(bar.title, bar.low, bar.high) for bar in f.tornado]) for f in found.findings if f.scope == "system"]
    splits = [Split(one.scope, one.designs, one.prices, one.both) for one in found.designs]
    rows = [{k: v for k, v in _plain(f).items() if k != "tornado"} for f in found.findings]
    with writing(out), whole_folder(out) as made:
        pd.DataFrame(rows).to_csv(made / TABLE, index=False)
        pd.DataFrame(bars).to_csv(made / BARS, index=False)
        title = f"{name}: ratios of system energies over the published ranges of prices"
        save_sensitivity_figure(tornados, splits, title, Path(made) / FIGURE)
