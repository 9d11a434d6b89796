"""Which samples and cycles a timeline shows, and whether there are too many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwsim.program import CHANNEL
from hwsim.timeline.slots import Ints, TimelineError

if TYPE_CHECKING:
    from hwsim.result import Result

MOST_CYCLES = 1_000_000
"""Cycles of runs in a window, all cores together: about 100 MB of text, which a browser can still open."""
MOST_LOGGED_CYCLES = 4_000_000
"""Cycles of the runs of one sample that a window touches: a run is logged as a whole, at about 200 bytes a cycle."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """Samples, by their place in the result, laid end to end, and the window [first, end) of those cycles.

    offsets   (samples,) where each begins.
    """

    samples: tuple[int, ...]
    offsets: Ints
    first: int
    end: int


def choose(result: Result, samples: tuple[int, int] | None, cycles: tuple[int, int] | None) -> Chosen:
    """The window that is asked for: samples [A, B) of the result's, cycles [A, B) from the begin of the first of them.

    Raises TimelineError for what is not there, and for more cycles than a timeline holds, with a window that it does hold.
    """
    there = result.facts.samples
    low, high = (0, there) if samples is None else samples
    if not 0 <= low < high <= there:
        raise TimelineError(f"samples {low}:{high}: {there} {'was' if there == 1 else 'were'} replayed; give A:B from 0:1 to "
                            f"0:{there}, the first and the one behind the last")
    lengths = result.cycles[low:high]
    ends = np.cumsum(lengths)
    total = int(ends[-1])
    first, end = (0, total) if cycles is None else cycles
    if not 0 <= first < end or first >= total:
        raise TimelineError(f"cycles {first}:{end}: {_what(low, high)} take {total:,} cycles; give A:B from 0 to {total}, the "
                            "first cycle and the one behind the last")
    chosen = Chosen(tuple(range(low, high)), (ends - lengths).astype(np.int64), first, min(end, total))
    _check_length(result, chosen)
    return chosen


def _check_length(result: Result, chosen: Chosen) -> None:
    starts, ends = _runs(result, chosen)
    if spent_before(starts, ends, chosen.end) - spent_before(starts, ends, chosen.first) <= MOST_CYCLES:
        return
    fits = _longest(starts, ends, chosen)
    whole = int(np.searchsorted(np.append(chosen.offsets[1:], chosen.offsets[-1] + result.cycles[chosen.samples[-1]]), fits,
                                side="right")) if chosen.first == 0 else 0
    low = chosen.samples[0]
    by_samples = f" or --timeline-samples {low}:{low + whole}" if 0 < whole < len(chosen.samples) else ""
    raise TimelineError(
        f"a timeline of cycles {chosen.first}:{chosen.end} of {_what(low, chosen.samples[-1] + 1)} is too long to draw: "
        f"its cores run for more than {MOST_CYCLES:,} cycles together; take --timeline-cycles {chosen.first}:{fits}{by_samples}")


def _runs(result: Result, chosen: Chosen) -> tuple[Ints, Ints]:
    """Cycles of all runs on the axis of the window."""
    operations = result.operations
    runs = ((operations["resource"] != "") & (operations["resource"] != CHANNEL) & ~operations["setup"]).to_numpy(bool)
    spans = result.spans[list(chosen.samples)][:, runs] + chosen.offsets[:, None, None]
    return spans[..., 0].reshape(-1), spans[..., 1].reshape(-1)


def spent_before(starts: Ints, ends: Ints, cycle: int) -> int:
    """Cycles of runs that lie before a cycle."""
    return int((np.minimum(ends, cycle) - np.minimum(starts, cycle)).sum())


def _longest(starts: Ints, ends: Ints, chosen: Chosen) -> int:
    """The end of the longest window that begins where this one does."""
    spent, low, high = spent_before(starts, ends, chosen.first), chosen.first, chosen.end
    while high - low > 1:
        middle = (low + high) // 2
        if spent_before(starts, ends, middle) - spent <= MOST_CYCLES:
            low = middle
        else:
            high = middle
    return max(low, chosen.first + 1)


def _what(low: int, high: int) -> str:
    return f"sample {low}" if high == low + 1 else f"samples {low} to {high - 1}, one after the other,"
