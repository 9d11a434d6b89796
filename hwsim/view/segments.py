"""What bars hold: the frames of results as Segments that are stacked along the bars of a figure.

A bar is a result (for a single result: a layer) and is cut into Segments; a Segment holds one kind, a unit, a cause or
a layer, for all bars, in joules or seconds per sample. Segments are stacked arithmetic first, and what the off-chip channel adds
comes last and is hatched, so that the core scope ends at a place along the bar. The compute scope is another account, in no bar.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import SCOPES, VOCABULARY
from hwsim.counted import WAIT
from hwsim.view.labels import layer_name
from hwsim.view.style import (
    ARITHMETIC,
    CAUSES,
    CHANNEL,
    CYCLE,
    EVERY_CYCLE,
    INPUT,
    LEAKAGE,
    ON_CHIP,
    UNITS,
    Look,
    layer_colours,
)

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.result import Result

Values = NDArray[np.float64]

_ARITHMETIC_UNITS = {"lane", "neuron", "synapse_update", *(event.unit for event in VOCABULARY if event.scope == "compute")}

SMALL_SHARE = 0.02
"""A unit of at most this share of the on-chip energy in every bar is merged into `other`."""
NEVER_MERGED = ("accumulator", "lane", LEAKAGE, CHANNEL)


@dataclass(frozen=True, eq=False)
class Segment:
    """One kind of energy or time: its look and its value in every bar, joules or seconds per sample.

    network   of a layer, where a figure has layers of several networks: its number, from 1; else 0.
    """

    key: str
    look: Look
    values: Values
    network: int = 0


def energy_by_unit(results: Sequence[Result]) -> list[Segment]:
    """Joules per sample of each unit in each result; the sum is the system scope. Leakage is a unit of its own."""
    return _segments([_sums(_energy_cells(r), "kind") for r in results], UNITS)


def energy_by_layer(results: Sequence[Result]) -> list[Segment]:
    """Joules per sample of each layer on the chip; then, in no layer, the input, leakage and the off-chip channel."""
    after = {CYCLE: EVERY_CYCLE, LEAKAGE: UNITS[LEAKAGE], CHANNEL: UNITS[CHANNEL]}
    return _by_layer(results, [_sums(_energy_cells(r), "place") for r in results], after)


def energy_by_layer_and_unit(result: Result) -> tuple[list[str], list[Segment]]:
    """The layers of one result, then what belongs to none (what every cycle costs, leakage); joules per sample of each unit in
    each of them, the channel included."""
    return _by_layer_and_kind(result, _energy_cells(result), UNITS, "every cycle")


def time_by_cause(results: Sequence[Result]) -> list[Segment]:
    """Seconds per sample that the core spends on each cause; the sum is the latency."""
    return _segments([_sums(_time_cells(r), "kind") for r in results], _causes(results))


def time_by_layer(results: Sequence[Result]) -> list[Segment]:
    """Seconds per sample that the core spends in each layer, then the time in which it waits for the channel."""
    return _by_layer(results, [_sums(_time_cells(r), "place") for r in results], {WAIT: _causes(results)[WAIT]})


def time_by_layer_and_cause(result: Result) -> tuple[list[str], list[Segment]]:
    """The layers of one result, then the wait for the channel; seconds per sample of each cause in each of them."""
    causes = _causes([result])
    return _by_layer_and_kind(result, _time_cells(result), causes, causes[WAIT].label)


def _causes(results: Sequence[Result]) -> dict[str, Look]:
    """The looks of causes; where a chip has several cores, they wait for each other as well."""
    several = any(not r.architecture.is_one_core for r in results)
    return CAUSES | {WAIT: CAUSES[WAIT]._replace(label="waits for channel or cores")} if several else CAUSES


def _energy_cells(result: Result) -> pd.DataFrame:
    """kind (unit), layer ("" for what belongs to none), place (where a bar of layers shows it), value in joules per sample."""
    frame = result.energy
    layer = frame["layer"].where(~frame["event"].isin([LEAKAGE, CYCLE]), "")
    place = layer.where(~frame["unit"].isin([LEAKAGE, CHANNEL]), frame["unit"]).where(frame["event"] != CYCLE, CYCLE)
    return frame.assign(kind=frame["unit"], layer=layer, place=place, value=frame["energy_pj"] * 1e-12)


def _time_cells(result: Result) -> pd.DataFrame:
    """kind (cause), layer ("" for the wait), place, value in seconds per sample: of the cores, the mean of several."""
    frame = result.cycles_frame
    frame = frame[frame["resource"] != CHANNEL]
    seconds = frame["cycles"] / frame["resource"].nunique() / result.architecture.clock
    place = frame["layer"].where(frame["cause"] != WAIT, WAIT)
    return frame.assign(kind=frame["cause"], place=place, value=seconds)


def _sums(cells: pd.DataFrame, column: str) -> dict[str, float]:
    return {str(key): float(value) for key, value in cells.groupby(column, sort=False)["value"].sum().items()}


def _by_layer_and_kind(result: Result, cells: pd.DataFrame, looks: dict[str, Look], nowhere: str,
                       ) -> tuple[list[str], list[Segment]]:
    nonzero = {str(n) for n in cells.loc[cells["value"] != 0, "layer"]}
    names = [n for n in ("input", *result.facts.layers, "") if n in nonzero or n in result.facts.layers]
    segments = _segments([_sums(cells[cells["layer"] == name], "kind") for name in names], looks)
    return [layer_name(name or nowhere) for name in names], segments


def _segments(found: Sequence[dict[str, float]], looks: dict[str, Look]) -> list[Segment]:
    """One segment a key that has a value anywhere, in the order of `looks`; a key without a look is a mistake."""
    unknown = {key for row in found for key, value in row.items() if value and key not in looks}
    if unknown:
        raise ValueError(f"no colour for {', '.join(sorted(unknown))}; hwsim/view/style.py lists what can be shown")
    table = {key: np.array([row.get(key, 0.0) for row in found]) for key in looks}
    shown = [key for key, values in table.items() if values.any()] or list(table)[:1]
    return [Segment(key, looks[key], table[key]) for key in shown]


def networks(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """The layers of each network that the results are of."""
    return list(dict.fromkeys(tuple(r.facts.layers) for r in results))


def _by_layer(results: Sequence[Result], found: Sequence[dict[str, float]], after: dict[str, Look]) -> list[Segment]:
    """The input, the layers of each network in a colour scale of its own, then what is in no layer.

    A name that two networks share is two layers.
    """
    every = networks(results)
    if len(every) == 1:
        colours = layer_colours(len(every[0]))
        looks = {name: Look(layer_name(name), colour) for name, colour in zip(every[0], colours, strict=True)}
        return _segments(found, {"input": INPUT, **looks, **after})
    number = [every.index(tuple(r.facts.layers)) for r in results]
    apart = [{f"{n} {key}" if key in every[n] else key: value for key, value in row.items()}
             for n, row in zip(number, found, strict=True)]
    of = {f"{n} {name}": (n, Look(layer_name(name), colour)) for n, names in enumerate(every)
          for name, colour in zip(names, layer_colours(len(names), n), strict=True)}
    made = _segments(apart, {"input": INPUT, **{key: look for key, (_, look) in of.items()}, **after})
    return [replace(s, network=of[s.key][0] + 1) if s.key in of else s for s in made]


def merge_small(segments: list[Segment]) -> tuple[list[Segment], str]:
    """Units that are small in every bar become one segment of arithmetic and one of the rest; the text names them."""
    on_chip = total([s for s in segments if s.key != CHANNEL])
    small = {s.key for s in segments if s.key not in NEVER_MERGED and (s.values <= SMALL_SHARE * on_chip).all()}
    return merge_units(segments, small)


def merge_units(segments: list[Segment], units: Set[str]) -> tuple[list[Segment], str]:
    """Those units, which are small, as one segment of arithmetic and one of the rest; the text names them."""
    small = [s for s in segments if s.key in units]
    kept = [s for s in segments if s not in small]
    notes = []
    for key, members in ((ARITHMETIC, [s for s in small if s.key in _ARITHMETIC_UNITS]),
                         (ON_CHIP, [s for s in small if s.key not in _ARITHMETIC_UNITS])):
        if len(members) < 2:
            kept += members
            continue
        kept.append(Segment(key, UNITS[key], total(members)))
        notes.append(f"{UNITS[key].label}: {', '.join(s.look.label for s in members)}")
    order = list(UNITS)
    kept.sort(key=lambda s: order.index(s.key))
    rule = f"each at most {100 * SMALL_SHARE:.0f} % of the on-chip energy in every bar"
    return kept, f"{'; '.join(notes)}; {rule}." if notes else ""


def total(segments: Sequence[Segment], axis: int = 0) -> Values:
    """Sum over the segments (axis 0: one number a bar) or over the bars (axis 1: one number a segment)."""
    width = len(segments[0].values) if segments else 1
    return np.array([s.values for s in segments], float).reshape(len(segments), width).sum(axis=axis)


def scope_totals(results: Sequence[Result]) -> dict[str, Values]:
    """Joules per sample: compute (the papers' arithmetic), core (the chip), system (core and channel)."""
    return {scope: np.array([1e-12 * r.energy_pj[scope] for r in results]) for scope in SCOPES}


def scope_of(unit: str) -> str:
    return "system" if unit == CHANNEL else "core"


def diagonal(segments: Sequence[Segment]) -> list[Segment]:
    """Segments of one bar, each in a bar of its own."""
    return [Segment(s.key, s.look, row) for s, row in zip(segments, np.diag(total(segments, axis=1)), strict=True)]
