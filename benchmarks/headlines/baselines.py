"""Steps of docs/baselines.md: rivals at equal lanes, area and latency, and published energies per synaptic operation."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.headlines.blocks import table
from benchmarks.headlines.replays import ANN, RATES, SERIAL, path_of
from hwsim.accounts.per_operation import own_row, published_rows
from hwsim.rivals import AREA, LANES, LATENCY, Against, against
from hwsim.simulation import simulate

SAMPLES = 16
"""Of each trace, as docs/baselines.md says."""
CAUTIONARY, BEST = "event_core_64", "output_stationary_merged"
PUBLISHED = (CAUTIONARY, "output_stationary")


@cache
def beside(arch: str) -> Against:
    return against(path_of(SERIAL), path_of(ANN), arch, samples=SAMPLES)


def rivals(work: Path) -> dict[str, str]:
    """Both designs beside all rivals."""
    return {f"rivals_{name}": three_columns(beside(name)) for name in (CAUTIONARY, BEST)}


def in_words(name: str) -> str:
    return name.replace("event_driven_", "event-driven ").replace("output_stationary_", "output-stationary ").replace(
        "systolic_", "systolic, ").replace("_", " ").replace("mac", "MAC").replace("bit serial", "bit-serial")


def three_columns(found: Against) -> str:
    """Every rival in the three comparisons, the verdict and why a rival is missing below."""
    own, *rows = found.rows
    by_rival: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_rival.setdefault(row["rival"], {})[row["equal"]] = row
    cells = [(f"`{own['rival']}`, {own['size']}", f"{own['clock_mhz']:g}",
              f"{own['latency_us']:.1f}, {own['system_nj'] / 1e3:.2f}", "1", "", "", "", "")]
    for name, equal in by_rival.items():
        lanes = equal[LANES]
        cells.append((in_words(name), "" if lanes["reason"] else f"{lanes['clock_mhz']:g}", *_cells(lanes, False),
                      *_cells(equal[AREA], True), *_cells(equal[LATENCY], True)))
    made = table(("", "MHz at equal lanes", "us, uJ", "x", "equal area: size, us, uJ", "x", "equal latency: size, us, uJ", "x"),
                 cells)
    return f"{made}\n\n{_capital(found.verdict)}."


def _cells(row: dict[str, Any], sized: bool) -> tuple[str, str]:
    if row["reason"]:
        return _why(row["reason"]), ""
    size = row["size"].replace(" lanes", "").replace(" array", "") + ", " if sized else ""
    mark = "**" if row["strongest"] else ""
    return f"{size}{row['latency_us']:.1f}, {mark}{row['system_nj'] / 1e3:.2f}{mark}", f"{mark}{row['over_design']:.2f}{mark}"


def _why(reason: str) -> str:
    """A reason in a few words; the command prints it whole."""
    if "rows per cycle" in reason:
        return f"would need {reason.split(' rows per cycle')[0].split()[-1]} rows per cycle"
    return "more than that area" if "more than the target" in reason else "out of reach"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def published(work: Path) -> dict[str, str]:
    """Published pJ per synaptic operation beside those of two designs."""
    results = [simulate(path_of(RATES[0]), name, check=False) for name in PUBLISHED]
    chips, own = [published_rows(r) for r in results], [own_row(r) for r in results]
    node, supply = own[0]["node_nm"], own[0]["vdd_v"]
    rows = [("(ours as it is)", f"{node:g} nm, {supply:g} V", "",
             *(cell for o in own for cell in (f"{o['dynamic_pj']:.3g}, + {o['leakage_pj']:.3g} leakage", "")))]
    for pair in zip(*chips, strict=True):
        one = pair[0]
        conditions = f"{one['node_nm']:g} nm" + ("" if one["vdd_v"] is None else f", {one['vdd_v']:g} V")
        cells = []
        for row in pair:
            why = "no supply is named" if row["vdd_v"] is None else "not scaled: no rule reaches it"
            cells += [why, ""] if row["ours_dynamic_pj"] is None else [
                f"{row['ours_dynamic_pj']:.3g}", f"{row['error_percent']:+.0f} %"]
        rows.append((one["chip"].split(",")[0], conditions, f"{one['published_pj']:g}", *cells))
    ours = [title for name in PUBLISHED for title in (f"`{name}`, dynamic", "error")]
    return {"published": table(("chip", "node, supply", "published", *ours), rows)}
