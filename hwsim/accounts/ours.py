"""hwsim's own bill: a trace replayed on the best design of each dataflow, its ANN on the best ANN machine, in three scopes.

Which designs is said by ours.yaml; a search chose them (docs/sweeps.md, "Reference designs"). A trace that a design's spike
buffer does not hold, or whose neurons have flags, gets the same design with larger memories (`fitted`). What a trace does not
use is off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field

from hwsim.accounts.base import Bill, Line, checked
from hwsim.accounts.row import Row
from hwsim.activity import SCOPES
from hwsim.arch import Architecture, load_architecture
from hwsim.cost.clock import at_highest_clock
from hwsim.errors import HwsimError
from hwsim.fields import Fields
from hwsim.result import Result
from hwsim.simulation import simulate, why_not
from hwsim.trace.reader import Trace
from hwsim.yaml_file import read_yaml

DATA = Path(__file__).with_name("ours.yaml")
NEEDS_ANN = "needs the ANN's activations: give its trace with --ann"
DOUBLINGS = 6
"""How often a spike buffer is doubled before a trace is said not to fit."""
FLAGS = "4 KiB"
"""The mask memory of a design that has none and gets a trace with flags."""


class Design(Fields):
    """One pair of machines."""

    title: str
    """Short, for a table."""
    snn: str
    """A shipped design, by name."""
    ann: str
    """The ANN's, by name."""
    fields: dict[str, Any] = {}
    """What both have otherwise, by dotted name."""


class OurData(Fields):
    """The data file."""

    paper: str
    equations: str
    leaves_out: dict[str, list[str]]
    """By scope."""
    designs: dict[str, Design] = Field(min_length=1)


def our_data() -> OurData:
    """What ours.yaml says. Raises AccountError."""
    return checked(OurData, read_yaml(DATA))


def our_rows(
    trace: Trace, ann: Trace | None, samples: int | None, progress: Callable[[int, int], None] | None = None
) -> list[Row]:
    """A row for each pair of machines and scope; what does not run has its reason."""
    data = our_data()
    rows: list[Row] = []
    runs = Runs(samples)
    for done, (name, design) in enumerate(data.designs.items()):
        snn = runs.of(trace, design.snn, design.fields)
        rival = NEEDS_ANN if ann is None else runs.of(ann, design.ann, design.fields)
        for scope in SCOPES:
            bills = [_bill(side, scope) for side in (snn, rival)]
            lacks = "; ".join(dict.fromkeys(bill for bill in bills if isinstance(bill, str)))
            ours, theirs = (() if isinstance(bill, str) else bill for bill in bills)
            rows.append(Row(f"hwsim_{name}_{scope}", f"{design.title}: {scope}", "energy", ours, theirs, lacks,
                            tuple(data.leaves_out[scope]), data.paper, data.equations, ""))
        if progress:
            progress(done + 1, len(data.designs))
    return rows


def fitted(design: Architecture, trace: Trace) -> Architecture:
    """The design, if the trace runs on it. Else the same with spike buffer and membrane memory doubled as often as the trace
    needs, and with a memory of flags, at the highest clock that it then reaches; a chip of several cores gets the memory of flags
    only. Where nothing helps, the design as it was."""
    if why_not(trace, design) is None:
        return design
    if not design.is_one_core:
        flagged = design.with_fields({f"cores.{n}.memories.mask": FLAGS for n in range(len(design.cores))})
        return flagged if why_not(trace, flagged) is None else design
    needs_flags = [False] if design.capacities.get("mask") else [False, True]
    for spikes, words, mask in sorted(product(range(DOUBLINGS + 1), range(4), needs_flags), key=sum):
        try:
            larger = design.with_spike_buffer(capacity=f"{design.spike_buffer.capacity << spikes} bit")
            sizes = {"membrane": f"{design.capacities['membrane'] << words} bit"} | ({"mask": FLAGS} if mask else {})
            larger = larger.with_memories(**sizes)
            if why_not(trace, larger) is None:
                return at_highest_clock(larger)
        except HwsimError:  # no such memory on this kind of core, or a bank beyond the table
            continue
    return design


class Runs:
    """Simulations of the first `samples` samples of traces, each once."""

    def __init__(self, samples: int | None) -> None:
        self._samples = samples
        self._known: dict[tuple[str, str], Result | str] = {}

    def of(self, trace: Trace, arch: str, fields: Mapping[str, Any] | None = None) -> Result | str:
        """What a trace takes on a design, or why it does not run there. With other fields it has the highest clock it reaches."""
        try:
            design = load_architecture(arch)
            changed = fitted(at_highest_clock(design.with_fields(fields)) if fields else design, trace)
            key = (trace.content_hash, repr((changed.timing(), changed.technology, changed.clock)))
            if key not in self._known:
                found = simulate(trace, changed, samples=self._samples)
                assert found.energy_pj  # an event without a price is told here
                self._known[key] = found
            return self._known[key]
        except HwsimError as error:
            return one_line(error)


def _bill(result: Result | str, scope: str) -> Bill | str:
    """A line for each unit, leakage being one of them; or why there is none."""
    if isinstance(result, str):
        return result
    frame = result.arithmetic if scope == "compute" else result.energy
    if scope == "core":
        frame = frame[frame["scope"] != "system"]
    sums = frame.groupby("unit", sort=False)["energy_pj"].sum()
    return tuple(Line(str(unit), 1, float(pj)) for unit, pj in sums.items())


def one_line(error: HwsimError) -> str:
    """An error for a row of a table: what does not run, and the first reason."""
    first, *reasons = (line.strip(" -") for line in str(error).splitlines())
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{first} {reasons[0]}{more}" if reasons else first
