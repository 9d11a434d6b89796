"""hwsim's own bill: the trace replayed on shipped designs of each dataflow, its ANN on the same core with multipliers, in three
scopes.

Which designs is said by ours.yaml. Both sides have the same memories, channel, clock and prices; what a trace does not use is
off.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from hwsim.accounts.base import Bill, Line, checked
from hwsim.accounts.row import Row
from hwsim.activity import SCOPES
from hwsim.arch import Architecture, load_architecture
from hwsim.errors import HwsimError
from hwsim.fields import Fields
from hwsim.result import Result
from hwsim.simulation import simulate
from hwsim.trace.reader import Trace
from hwsim.yaml_file import read_yaml

DATA = Path(__file__).with_name("ours.yaml")
NEEDS_ANN = "needs the ANN's activations: give its trace with --ann"


class Design(Fields):
    """One pair of machines."""

    title: str
    """Short, for a table."""
    snn: str
    """A shipped design, by name."""
    core: dict[str, Any] = {}
    """What its core has otherwise."""
    ann: str = "multiply_accumulate"
    """`multiply_accumulate`: the same core with multipliers; else a shipped design, by name."""


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
    runs = _Runs(samples)
    for done, (name, design) in enumerate(data.designs.items()):
        snn = runs.of(trace, snn_machine, design)
        rival = NEEDS_ANN if ann is None else runs.of(ann, ann_machine, design)
        for scope in SCOPES:
            bills = [_bill(side, scope) for side in (snn, rival)]
            lacks = "; ".join(dict.fromkeys(bill for bill in bills if isinstance(bill, str)))
            ours, theirs = (() if isinstance(bill, str) else bill for bill in bills)
            rows.append(Row(f"hwsim_{name}_{scope}", f"{design.title}: {scope}", "energy", ours, theirs, lacks,
                            tuple(data.leaves_out[scope]), data.paper, data.equations, ""))
        if progress:
            progress(done + 1, len(data.designs))
    return rows


def snn_machine(design: Design) -> Architecture:
    return load_architecture(design.snn).with_core(**design.core)


def ann_machine(design: Design) -> Architecture:
    """The ANN's machine: the SNN's own with multipliers in its lanes, where the file says no other."""
    if design.ann != "multiply_accumulate":
        return load_architecture(design.ann)
    return snn_machine(design).with_core(kind="multiply_accumulate")


class _Runs:
    """Simulations, each once."""

    def __init__(self, samples: int | None) -> None:
        self._samples = samples
        self._known: dict[tuple[str, str], Result | str] = {}

    def of(self, trace: Trace, machine: Callable[[Design], Architecture], design: Design) -> Result | str:
        """What the trace takes on one of the two machines, or why it does not run there."""
        try:
            arch = machine(design)
            key = (trace.content_hash, repr(arch.timing()))
            if key not in self._known:
                self._known[key] = simulate(trace, arch, samples=self._samples)
            return self._known[key]
        except HwsimError as error:
            return _one_line(error)


def _bill(result: Result | str, scope: str) -> Bill | str:
    """A line for each unit, leakage being one of them; or why there is none."""
    if isinstance(result, str):
        return result
    try:
        frame = result.arithmetic if scope == "compute" else result.energy
    except HwsimError as error:
        return _one_line(error)
    if scope == "core":
        frame = frame[frame["scope"] != "system"]
    sums = frame.groupby("unit", sort=False)["energy_pj"].sum()
    return tuple(Line(str(unit), 1, float(pj)) for unit, pj in sums.items())


def _one_line(error: HwsimError) -> str:
    return "; ".join(line.strip(" -") for line in str(error).splitlines())
