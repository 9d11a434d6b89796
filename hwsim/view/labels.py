"""How bars are named: results grouped into rows, rows told apart by their labels, and the words of titles.

Rows stand by architecture, then coding, then T; long names are shortened where they are least told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hwsim.result import Result

HEADING = 1.05
"""Height of a heading, in pitches: the distance from bar to bar is one."""


@dataclass(frozen=True)
class Rows:
    """Bars from top to bottom: their labels, and headings (bold, pale) by the row that they stand above."""

    labels: list[str]
    headings: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def centres(self) -> NDArray[np.float64]:
        """Place of each bar, in pitches from the top of the panel."""
        above = np.cumsum([HEADING if i in self.headings else 0.0 for i in range(len(self.labels))])
        return np.arange(len(self.labels)) + above + 0.5

    @property
    def height(self) -> float:
        """Of all bars and headings, in pitches."""
        return len(self.labels) + HEADING * len(self.headings)


_CODINGS = {"bit_serial": "bit-serial", "analog": "ANN", "single_spike": "single spike", "rate": "rate"}


def _family(result: Result) -> str:
    """An ANN twin, `event_core_64+mac`, is shown with the design that it was made for."""
    return result.facts.arch.split("+")[0]


def grouped(results: Sequence[Result]) -> tuple[list[Result], Rows]:
    """Results by architecture, then coding, each where it first appears, then by T; and their labels."""
    families = list(dict.fromkeys(_family(r) for r in results))
    codings = list(dict.fromkeys((_family(r), r.facts.coding) for r in results))
    ordered = sorted(results, key=lambda r: (families.index(_family(r)), codings.index((_family(r), r.facts.coding)),
                                             r.facts.timesteps))
    labels = _told_apart(ordered, [_label(r) for r in ordered])
    heads = {}
    for family in families:
        members = [i for i, r in enumerate(ordered) if _family(r) == family]
        itself = next((ordered[i] for i in members if ordered[i].facts.arch == family), None)
        heads[members[0]] = (_shorten(family), design(itself) if itself else "")
    return ordered, Rows([_shorten(label) for label in labels], heads)


_DISTINCTIONS: tuple[Callable[[Result], object], ...] = (
    lambda r: r.facts.trace, lambda r: r.facts.arch, lambda r: r.architecture.technology.units,
    lambda r: r.architecture.technology.memory, lambda r: r.architecture.technology.dram, lambda r: r.facts.spikes,
    lambda r: r.facts.engine,
)


def _told_apart(results: Sequence[Result], labels: list[str]) -> list[str]:
    """Equal labels of one family get the first things in which their results differ."""
    for tell in _DISTINCTIONS:
        alike: dict[tuple[str, str], set[object]] = {}
        for result, label in zip(results, labels, strict=True):
            alike.setdefault((_family(result), label), set()).add(tell(result))
        labels = [f"{label}, {tell(r)}" if len(alike[_family(r), label]) > 1 else label
                  for r, label in zip(results, labels, strict=True)]
    return labels


def _label(result: Result) -> str:
    """What tells a bar from the others of its family; schedules are all one to a quantised ANN, which has one step."""
    f, core = result.facts, result.architecture.core
    ann = f.coding == "analog"
    parts = [_CODINGS.get(f.coding, f.coding.replace("_", " ")) + ("" if ann else f" T={f.timesteps}")]
    if core.kind == "systolic":
        parts.append(f"{core.array_dataflow.replace('_', '-')} array")
    elif core.kind == "multiply_accumulate":
        parts.append("MAC core")
    if not ann:
        parts.append(f.schedule.replace("_", " "))
    if f.arch.endswith("@area"):
        parts.append("equal area")
    return ", ".join(parts)


def _shorten(text: str, longest: int = 44) -> str:
    """The start and the end of a long name: versions and time steps stand at the end."""
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-(longest // 2 - 1):]}"


def layer_name(name: str, longest: int = 30) -> str:
    """The end of a long name: dotted names differ there."""
    return name if len(name) <= longest else f"…{name[1 - longest:]}"


def design(result: Result) -> str:
    core = result.architecture.core
    size = f"{core.rows} x {core.columns} array" if core.kind == "systolic" else f"{core.lanes:,} lanes"
    return f"{size}, {result.architecture.clock / 1e6:,.4g} MHz"


def title(result: Result) -> str:
    f = result.facts
    order = "" if f.coding == "analog" else f", {f.schedule.replace('_', ' ')}"
    return f"{_shorten(f.trace)} on {_shorten(f.arch)}{order}"


def traces(results: Sequence[Result]) -> str:
    return f"traces: {', '.join(dict.fromkeys(_shorten(r.facts.trace) for r in results))}."


def mean_of(results: Sequence[Result]) -> str:
    counts = sorted({r.facts.samples for r in results})
    if counts == [1]:
        return "one sample"
    return f"mean of {counts[0]:,} samples" if len(counts) == 1 else f"means of {counts[0]:,} to {counts[-1]:,} samples"
