"""What the golden hardware covers of a run's settings. What it does not cover is refused by name, never approximated.

A field that is not named here came after this hardware was written: a run that sets it is refused as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from hwsim.checks.run import check_run
from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec, ProgramError

COVERED: Mapping[str, tuple[str, ...]] = {
    "order": ("scatter", "gather"), "planes_per_token": ("one", "all"), "multiplier": ("parallel", "bit_serial"),
    "writer": ("serial", "word"), "membrane_ports": ("1r1w", "1rw"), "passes": ("by_pass", "by_word"), "pipes": ("one",),
}
"""By field of CoreSpec that is a word: the values that the hardware can be built for."""
KNOWN: Mapping[type, frozenset[str]] = {
    CoreSpec: frozenset(COVERED) | {
        "lanes", "potential_bits", "current_bits", "fifo_depth", "bypass", "shift_at", "buffer", "scan_bits", "accumulators",
        "adders", "mask_first", "membrane_bank_bits", "current_bank_bits"},  # banks are counted, and move nothing
    CoreRun: frozenset({
        "core", "shape", "groups", "connections", "table", "potential_bits", "current_bits", "clear", "first_plane",
        "last_channel", "keep", "current_fed", "payload_bits", "rows"}),
    PassTable: frozenset({
        "planes", "passes", "initial", "addend", "weigh_planes", "direct", "reset", "leak_shift", "max_level", "spike_shift",
        "flagged", "decay", "current_decay", "wait"}),
    Pass: frozenset({"after_eot", "kind", "threshold", "shift", "add", "timestep", "flags"}),
}
"""The fields that this hardware knows."""


def check_covered(run: CoreRun) -> None:
    """ProgramError for a run that no core can be built for (R19 to R24), or none of this hardware."""
    check_run(run)
    problems = list(uncovered(run))
    if problems:
        raise ProgramError("the golden hardware does not cover " + "; nor ".join(problems))


def uncovered(run: CoreRun) -> Iterator[str]:
    """Settings of a run that the hardware does not cover, each with what would work."""
    for name, allowed in COVERED.items():
        if (value := getattr(run.core, name)) not in allowed:
            yield f"{name} {value!r}; use {' or '.join(map(repr, allowed))}"
    if any(one.kind == "count" for one in run.table.passes):
        yield "count passes (R28), which a read-out of first crossings makes; give the network a read-out of potentials"
    if run.cut_by_rows:
        yield (f"rows {run.row_span[0]} to {run.row_span[1] - 1} of a layer, of which it computes all (R25); give the design "
               "memories in which one group of the layer fits")
    if run.masks_first and (run.merged or run.core.passes == "by_word"):
        yield ("mask_first of neurons that have flags (R25) where tokens are merged or passes are made word by word; give the "
               "design token: {planes: single} and passes: by_pass, or mask_first: false")
    for kind, part in ((CoreSpec, run.core), (CoreRun, run), (PassTable, run.table), *((Pass, one) for one in run.table.passes)):
        for field in fields(part):
            if field.name not in KNOWN[kind] and _is_set(getattr(part, field.name), field):
                yield (f"{field.name} {getattr(part, field.name)!r} of a {kind.__name__}, a field that it does not know; "
                       "leave it out")


def _is_set(value: Any, field: Field[Any]) -> bool:
    return field.default is MISSING or value != field.default
