"""How bars are named: results grouped into rows, rows told apart by their labels, and the words of titles.

Rows stand by architecture, then coding, then T; long names are shortened where they are least told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.baseline.twins import AT_AREA
from hwsim.chip.model import chip_model
from hwsim.snn.neurons import MODELS

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


def coding_label(coding: str) -> str:
    """What figures call a coding: what its model says, or the name itself."""
    labels = {model.coding: model.label for model in MODELS.values() if model.label}
    return labels.get(coding, coding.replace("_", " "))


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
        heads[members[0]] = (shortened(family), design(itself) if itself else "")
    return ordered, Rows([shortened(label) for label in labels], heads)


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
    f, ann = result.facts, result.facts.is_ann
    parts = [coding_label(f.coding) + ("" if ann else f" T={f.timesteps}")]
    chip = result.architecture
    if kind := ", ".join(filter(None, dict.fromkeys(chip_model(chip).label(design) for design in chip.cores))):
        parts.append(kind)
    if not ann:
        parts.append(f.schedule.replace("_", " "))
    _, at_area, size = f.arch.partition(AT_AREA)
    if at_area:
        parts.append(f"at {size.strip('_').removesuffix('mm2')} mm²" if size else "equal area")
    return ", ".join(parts)


def shortened(text: str, longest: int = 44) -> str:
    """The start and the end of a long name: versions and time steps stand at the end."""
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-(longest // 2 - 1):]}"


def layer_name(name: str, longest: int = 30) -> str:
    """The end of a long name: dotted names differ there."""
    return name if len(name) <= longest else f"…{name[1 - longest:]}"


def design(result: Result) -> str:
    chip = result.architecture
    sizes = [f"{one.count} x {chip_model(chip).size(one)}" if one.count > 1 else chip_model(chip).size(one) for one in chip.cores]
    return f"{' + '.join(sizes)}, {chip.clock / 1e6:,.4g} MHz"


def title(result: Result) -> str:
    f = result.facts
    order = "" if f.is_ann else f", {f.schedule.replace('_', ' ')}"
    return f"{shortened(f.trace)} on {shortened(f.arch)}{order}"


def traces(results: Sequence[Result]) -> str:
    return f"traces: {', '.join(dict.fromkeys(shortened(r.facts.trace) for r in results))}."


def off(results: Sequence[Result]) -> str:
    """Which memories are off, as a note; empty when none is."""
    names = list(dict.fromkeys(name for r in results for name in r.memories_off))
    if not names:
        return ""
    memories = ", ".join(f"{name} memory" for name in names)
    it = "it" if len(names) == 1 else "them"
    return f"off {'because the' if len(results) == 1 else 'where a'} trace does not use {it}: {memories}."


def mean_of(results: Sequence[Result]) -> str:
    counts = sorted({r.facts.samples for r in results})
    if counts == [1]:
        return "one sample"
    return f"mean of {counts[0]:,} samples" if len(counts) == 1 else f"means of {counts[0]:,} to {counts[-1]:,} samples"
