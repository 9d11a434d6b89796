"""Events of ODIN cycle by cycle, docs/figures/odin_timing.png, drawn from the reference engine's log.

    python docs/figures/odin_timing.py

`timings` runs the engine and reads from its log and record what each panel shows: nothing about a cycle is written here.
Units: cycles from cycle 0, inches from the upper left corner.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from hwsim.cores.odin.configuration import MAPPED, OdinConfiguration
from hwsim.cores.odin.fields import NEURONS, SYNAPSES_PER_WORD, OdinFields
from hwsim.cores.odin.record import KINDS, LogEntry, OdinEngine, OdinRecord
from hwsim.cores.odin.reference.chip import OdinReferenceEngine
from hwsim.cores.odin.reference.work import is_virtual
from hwsim.cores.odin.stimulus import OdinStimulus, neuron_event, time_reference, virtual_event
from hwsim.view.figure_file import words_of, write_figure
from hwsim.view.page import MARGIN, WIDTH, Page, inches
from hwsim.view.style import INK, LARGE, NORMAL, PALE, RC, RULE, SMALL, UNITS

TARGET = Path(__file__).with_suffix(".png")
CELL, SKIP, LABELS, LANE, BAR = 0.355, 0.24, 1.5, 0.25, 0.19
"""Widths of a cycle, of a gap between cycles that are left out, and of the labels; heights of a lane and of what is in it."""
HEADER, NUMBERS, BELOW, PANEL_GAP = 0.42, 0.2, 0.46, 0.3
"""Of a panel: its title, its cycle numbers, the arrows below, and the space to the next."""
WAVES = {"input request": "Qq", "input acknowledge": "Kk", "output request": "Xx", "output acknowledge": "Yy",
         "output link busy": "Bb"}
CELLS = {"neuron memory": ("RW", "membrane_memory", INK), "synapse memory": ("rw", "weight_memory", "white")}
"""Lanes: the letters of the log that raise and lower a line, or read and write a word, its unit, the colour of a written word."""
SOURCE, NEURON = 2, 12


class Span(NamedTuple):
    """Cycles `first` to `last`, both included, in which something is so."""

    first: int
    last: int
    text: str


class Timing(NamedTuple):
    """What a panel shows of a run.

    title     what happens
    decided   cycles in which the controller decides
    work      the operation that follows each
    answers   the cycles in which the input's acknowledge is up
    waiting   what the scheduler holds, oldest first
    log       the engine's log
    """

    title: str
    decided: tuple[int, ...]
    work: tuple[Span, ...]
    answers: tuple[Span, ...]
    waiting: tuple[Span, ...]
    log: list[LogEntry]

    @property
    def slots(self) -> tuple[int, ...]:
        """Cycles of each operation."""
        return tuple(span.last - span.first + 1 for span in self.work)

    def period(self, kind: str) -> int:
        """Cycles from the first decision of a kind to the second."""
        first, second = [cycle for cycle, span in zip(self.decided, self.work, strict=True) if span.text == kind][:2]
        return second - first

    def of(self, letters: str) -> list[LogEntry]:
        """The log's entries of these letters, by cycle."""
        return sorted((entry for entry in self.log if str(entry[0]) in letters), key=lambda entry: int(entry[1]))


def timings(engine: OdinEngine | None = None) -> dict[str, Timing]:
    """The panels by name: two events of a kind at full rate each, so that the second tells the period."""
    quiet = {"synapses": np.full((NEURONS, NEURONS), MAPPED + 1)}
    leaks = {"leak_enabled": np.ones(NEURONS, int), "leaks": np.ones(NEURONS, int)}
    only = np.zeros((NEURONS, NEURONS), int)
    only[SOURCE] = MAPPED + 1  # so that the spike, fed back, fires nothing
    fires = {"synapses": only, "thresholds": np.where(np.arange(NEURONS) == 0, 1, 255)}
    runs: dict[str, tuple[str, list[int], dict[str, Any]]] = {
        "neuron": (f"A neuron event of source {SOURCE}", [neuron_event(SOURCE)] * 2, quiet),
        "virtual": (f"A virtual event for neuron {NEURON}", [virtual_event(NEURON, 3)] * 2, quiet),
        "tref": (f"A time reference event of neuron {NEURON}", [time_reference(NEURON)] * 2, leaks),
        "tref_all": ("A time reference event of all neurons", [time_reference()] * 2, leaks),
        "spike": (f"A neuron event of source {SOURCE} in which neuron 0 fires", [neuron_event(SOURCE)], fires),
    }
    return {name: _timing(engine or OdinReferenceEngine(), *run) for name, run in runs.items()}


def _timing(engine: OdinEngine, title: str, addresses: list[int], chip: dict[str, Any]) -> Timing:
    record = engine.run(OdinFields(), OdinConfiguration.blank(**chip), OdinStimulus.at_full_rate(addresses), 10_000, log=True)
    assert record.log is not None
    decided = tuple(record.operations[:, 1].tolist())
    work = tuple(Span(start + 1, last, KINDS[kind]) for kind, start, last in record.operations.tolist())
    answers = tuple(Span(up, down - 1, "") for _, _, up, _, down in record.inputs.tolist())
    return Timing(title, decided, work, answers, _waiting(record), record.log)


def _waiting(record: OdinRecord) -> tuple[Span, ...]:
    """O6: an entry is seen from the cycle after its push, and keeps its place until it is popped; the oldest first."""
    entries = [(pushed + 1, popped, f"{'neuron' if is_virtual(entry) else 'source'} {entry & 0xFF}")
               for (pushed, entry), (popped, _) in zip(record.push.tolist(), record.pop.tolist(), strict=True)]
    changes = sorted({cycle for first, last, _ in entries for cycle in (first, last + 1)})
    spans = (Span(begin, end - 1, ", ".join(text for first, last, text in entries if first <= begin <= last))
             for begin, end in itertools.pairwise(changes))
    return tuple(span for span in spans if span.text)


class Shown(NamedTuple):
    """A panel: the cycles that it shows in runs without a gap, what its title adds, and arrows (first, last, text, level)."""

    timing: Timing
    runs: tuple[tuple[int, int], ...]
    note: str
    arrows: tuple[tuple[int, int, str, int], ...]

    def x(self, cycle: int) -> float:
        """Inches from the panel's left edge to the beginning of a cycle, or, after the last of a run, to that one's end."""
        x = 0.0
        for first, last in self.runs:
            if cycle <= last + 1:
                return x + CELL * max(0, cycle - first)
            x += CELL * (last + 1 - first) + SKIP
        return x - SKIP

    @property
    def width(self) -> float:
        return self.x(self.runs[-1][1] + 1)

    def widest(self, first: int, last: int) -> tuple[float, float]:
        """Where, without a gap, most of these cycles are: inches from the panel's left edge."""
        parts = [(max(first, begin), min(last, end)) for begin, end in self.runs]
        begin, end = max(parts, key=lambda part: part[1] - part[0])
        return self.x(begin), self.x(end + 1)

    def shows(self, first: int, last: int) -> bool:
        """Whether any of the cycles is in the panel."""
        return any(first <= end and last >= start for start, end in self.runs)


def panels(found: dict[str, Timing]) -> list[tuple[list[Shown], tuple[str, ...]]]:
    """Rows of panels, each with its lanes from top to bottom."""
    neuron, virtual, tref, every, spike = (found[name] for name in ("neuron", "virtual", "tref", "tref_all", "spike"))
    push, walk = neuron.work[:2]
    word = walk.first + 2 * SYNAPSES_PER_WORD  # the first read that takes a second synapse word
    spiked = next(int(entry[1]) for entry in spike.of("W") if entry[-1] == 1)
    next_write = next(int(entry[1]) for entry in spike.of("W") if int(entry[1]) > spiked)
    step = neuron.slots[1] // NEURONS
    first_end = every.answers[0].last + 3
    rows = ("input request", "input acknowledge", "controller", "scheduler", "neuron memory")
    return [
        ([Shown(neuron, ((0, walk.first + 5), (word - 2, word + 2), (walk.last - 2, walk.last + 3)),
                f"{neuron.slots[0]} + {step} x {NEURONS} cycles: it is pushed; then two cycles per synapse",
                (_slots(push), _slots(walk), _period(neuron, "push")))], (*rows, "synapse memory")),
        ([Shown(virtual, ((0, virtual.decided[2] + 1),),
                f"{virtual.slots[0]} + {virtual.slots[1]} cycles: it is pushed; then one operation",
                (_slots(virtual.work[0]), _slots(virtual.work[1]), _period(virtual, "push"))),
          Shown(tref, ((0, tref.decided[1] + 1),), f"{tref.slots[0]} cycles: one operation",
                (_slots(tref.work[0]), _period(tref, "tref")))], rows),
        ([Shown(every, ((0, every.work[0].first + 1), (every.work[0].last - 1, first_end)),
                f"{every.slots[0] // NEURONS} x {NEURONS} cycles: two per neuron",
                (_slots(every.work[0]), _period(every, "tref"))),
          Shown(spike, ((spiked - 2, next_write + 1),),
                f"the next write comes {next_write - spiked} cycles later instead of {step}; its word is read again",
                ((spiked + 1, next_write, f"{next_write - spiked}", 0),))],
         (*rows, "output request", "output acknowledge", "output link busy")),
    ]


def _slots(span: Span) -> tuple[int, int, str, int]:
    return span.first, span.last, f"{span.last - span.first + 1}", 0


def _period(timing: Timing, kind: str) -> tuple[int, int, str, int]:
    first = timing.decided[0]
    return first, first + timing.period(kind) - 1, f"{timing.period(kind)} to the next", 1


def figure(found: dict[str, Timing]) -> Figure:
    """The picture of `timings`."""
    rows = panels(found)
    heights = [HEADER + NUMBERS + LANE * len(lanes) + BELOW for _, lanes in rows]
    with style.context(["default", RC]):
        page = Page(0.75 + sum(heights) + 0.45)
        axes = page.axes(0, 0, WIDTH, page.height)
        axes.set(xlim=(0, WIDTH), ylim=(page.height, 0))
        axes.set_axis_off()
        page.text(MARGIN, 0.28, "Events of ODIN, cycle by cycle", size=LARGE, weight="bold")
        said = "from the log of the reference engine; sender and receiver answer at once; cycle 0 is that of the first request"
        page.text(MARGIN, 0.52, said, size=NORMAL, color=PALE)
        top = 0.75
        for (shown, lanes), height in zip(rows, heights, strict=True):
            left = MARGIN + LABELS
            for place, panel in enumerate(shown):
                _draw_panel(axes, panel, lanes, left, top, labelled=place == 0)
                left += panel.width + PANEL_GAP
            top += height
        _draw_legend(axes, top + 0.05)
        return page.figure


def _draw_panel(axes: Axes, panel: Shown, lanes: Sequence[str], left: float, top: float, labelled: bool) -> None:
    timing, lane_top = panel.timing, top + HEADER + NUMBERS
    axes.text(left, top + 0.2, timing.title, size=NORMAL + 0.5, weight="bold")
    axes.text(left, top + 0.37, panel.note, size=SMALL, color=PALE)
    bottom = lane_top + LANE * len(lanes)
    for first, last in panel.runs:
        for cycle in range(first, last + 1):
            x = left + panel.x(cycle)
            axes.plot([x, x], [lane_top, bottom], color=RULE, linewidth=0.5, zorder=0)
            axes.text(x + CELL / 2, lane_top - 0.06, f"{cycle}", size=SMALL - 1, color=PALE, ha="center")
    for place, lane in enumerate(lanes):
        middle = lane_top + LANE * (place + 0.5)
        if labelled:
            axes.text(left - 0.1, middle, lane, size=SMALL, ha="right", va="center_baseline")
        if lane in WAVES:
            _draw_wave(axes, panel, WAVES[lane], left, middle)
        elif lane in CELLS:
            _draw_words(axes, panel, lane, left, middle)
        elif lane == "scheduler":
            for span in timing.waiting:
                _draw_bar(axes, panel, span, left, middle, UNITS["fifo"].colour, INK)
        else:
            _draw_controller(axes, panel, left, middle)
    for _, last in panel.runs[:-1]:
        _draw_gap(axes, left + panel.x(last + 1), lane_top - 0.18, bottom + BELOW - 0.05)
    for first, last, text, level in panel.arrows:
        _draw_arrow(axes, panel, left, (first, last), bottom + 0.12 + 0.17 * level, text)


def _draw_bar(axes: Axes, panel: Shown, span: Span, left: float, middle: float, colour: str, ink: str) -> None:
    """A bar over the cycles of a span that the panel shows, its text in the first run of cycles."""
    if not panel.shows(span.first, span.last):
        return
    begin, end = max(span.first, panel.runs[0][0]), min(span.last, panel.runs[-1][1])
    x, right = left + panel.x(begin), left + panel.x(end + 1)
    axes.add_patch(Rectangle((x, middle - BAR / 2), right - x, BAR, facecolor=colour, edgecolor="white", linewidth=0.8))
    start, stop = panel.widest(begin, end)
    if inches(span.text, SMALL) < stop - start:
        _draw_word(axes, left + (start + stop) / 2, middle, span.text, ink)


def _draw_word(axes: Axes, x: float, middle: float, text: str, ink: str) -> None:
    axes.text(x, middle, text, size=SMALL - 0.5, color=ink, ha="center", va="center_baseline")


def _draw_controller(axes: Axes, panel: Shown, left: float, middle: float) -> None:
    colour = UNITS["controller"].colour
    for span in panel.timing.work:
        cycles = span.last - span.first + 1
        text = {"push": "P", "tref": "leak"}.get(span.text, "walk" if cycles > 2 else "add")
        _draw_bar(axes, panel, Span(span.first, span.last, text), left, middle, colour, "white")
    for span in panel.timing.answers:
        _draw_bar(axes, panel, Span(span.first, span.last, "answer"), left, middle, "#D5CEE0", INK)
    for cycle in panel.timing.decided:
        if panel.shows(cycle, cycle):
            axes.plot(left + panel.x(cycle) + CELL / 2, middle, "D", color=colour, markersize=5)


def _draw_wave(axes: Axes, panel: Shown, letters: str, left: float, middle: float) -> None:
    """A line that the first letter raises and the second lowers."""
    start, end = panel.runs[0][0], panel.runs[-1][1]
    level = {letters[0]: middle - BAR / 2, letters[1]: middle + BAR / 2}
    changes = [(int(entry[1]), level[str(entry[0])]) for entry in panel.timing.of(letters)]
    height = next((y for cycle, y in reversed(changes) if cycle < start), level[letters[1]])
    line = [(left, height)]
    for cycle, y in changes:
        if start <= cycle <= end:
            line += [(left + panel.x(cycle), line[-1][1]), (left + panel.x(cycle), y)]
    line.append((left + panel.width, line[-1][1]))
    axes.plot(*zip(*line, strict=True), color=INK, linewidth=1.1, solid_joinstyle="miter")


def _draw_words(axes: Axes, panel: Shown, lane: str, left: float, middle: float) -> None:
    """A cell for each word that is read (pale) or written."""
    letters, unit, ink = CELLS[lane]
    colour = UNITS[unit].colour
    for letter, cycle, number, *more in panel.timing.of(letters):
        if not panel.shows(int(cycle), int(cycle)):
            continue
        writes, fires = letter == letters[1], letter == "W" and more[-1] == 1
        x = left + panel.x(int(cycle))
        axes.add_patch(Rectangle((x, middle - BAR / 2), CELL, BAR, facecolor=colour if writes else _pale(colour), linewidth=0.8,
                                 edgecolor="white"))
        if fires:
            axes.add_patch(Rectangle((x + 0.01, middle - BAR / 2), CELL - 0.02, BAR, fill=False, edgecolor=INK, linewidth=1.2))
        _draw_word(axes, x + CELL / 2, middle, f"{str(letter).upper()}{number}", ink if writes else INK)


def _pale(colour: str) -> tuple[float, ...]:
    """A tint of it: what is read, beside what is written."""
    from matplotlib.colors import to_rgb

    return tuple(1 - 0.3 * (1 - part) for part in to_rgb(colour))


def _draw_gap(axes: Axes, x: float, top: float, bottom: float) -> None:
    """A slanted white strip: cycles are left out here."""
    lean = 0.05
    axes.add_patch(Polygon([(x + 0.04 + lean, top), (x + SKIP - 0.04 + lean, top), (x + SKIP - 0.04 - lean, bottom),
                            (x + 0.04 - lean, bottom)], facecolor="white", edgecolor="none", zorder=5))
    for place in (0.04, SKIP - 0.04):
        axes.plot([x + place + lean, x + place - lean], [top, bottom], color=PALE, linewidth=0.6, zorder=6)


def _draw_arrow(axes: Axes, panel: Shown, left: float, cycles: tuple[int, int], y: float, text: str) -> None:
    """The length of these cycles, with its number."""
    arrow = {"arrowstyle": "|-|,widthA=0.25,widthB=0.25", "color": PALE, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (left + panel.x(cycles[1] + 1), y), (left + panel.x(cycles[0]), y), arrowprops=arrow)
    axes.text(left + sum(panel.widest(*cycles)) / 2, y, text, size=SMALL, color=INK, ha="center", va="center_baseline",
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})


def _draw_legend(axes: Axes, y: float) -> None:
    """What the signs of all panels mean."""
    axes.plot(MARGIN + 0.05, y, "D", color=UNITS["controller"].colour, markersize=5)
    for x, line, text in (
        (0.18, 0, "the controller decides; P: it pushes the event into the scheduler; answer: it acknowledges the event"),
        (0.0, 1, "R: a word is read; W: a word is written; with the word's number, and with a border where the neuron fires"),
    ):
        axes.text(MARGIN + x, y + 0.19 * line, text, size=SMALL, color=PALE, va="center_baseline")


def main() -> None:
    picture = figure(timings())
    print(write_figure(picture, TARGET, words_of(picture)))


if __name__ == "__main__":
    main()
