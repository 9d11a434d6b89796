"""Step of docs/baselines.md: who needs less energy when dataflow, memory profile, ports, supply, rate or account change.

Every number is a ratio of two machines under the same change, each at the highest clock that it then reaches; below 1 the first
needs less. A ratio on the other side of 1 than that of the designs as they are shipped is a flip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.headlines.blocks import table
from benchmarks.headlines.replays import ANN, RATES, SERIAL, path_of
from hwsim.arch import load_architecture
from hwsim.cost.clock import at_highest_clock
from hwsim.result import Result
from hwsim.simulation import simulate

SAMPLES = 8
EVEN = 0.03
"""Ratios this close to 1 are called even: who wins then is within what another choice of lanes or banks does."""
LARGE = "48 KiB"
"""Spike buffers that hold 16 planes; the designs have a quarter to a third of it."""
Cell = tuple[str, ...]
"""A trace, a design, and the capacity of its spike buffer where it is another."""


@dataclass(frozen=True)
class Change:
    """Fields that change, of designs that have them; or another way to count the same replay."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    scatter_only: bool = False
    counted: Callable[[Result], float | None] = lambda result: result.energy_pj["system"]


def at_rate(hz: float) -> Callable[[Result], float | None]:
    """System energy at a rate; None where samples take longer."""
    return lambda result: result.at_rate(hz).energy_pj["system"] if hz <= result.highest_rate_hz else None


CHANGES = (
    Change("as shipped: `cacti_lop`, two ports, 0.9 V, full speed"),
    Change("memories of `cacti_hp`", {"technology.memory": "cacti_hp"}),
    Change("memories of `cacti_lstp`", {"technology.memory": "cacti_lstp"}),
    Change("memories of `horowitz`", {"technology.memory": "horowitz"}),
    Change("one port (`1rw`)", {"memories.membrane_ports": "1rw"}, scatter_only=True),
    Change("0.8 V", {"technology.vdd_v": 0.8}),
    Change("0.7 V", {"technology.vdd_v": 0.7}),
    Change("1,000 samples per second", counted=at_rate(1000)),
    Change("30 samples per second", counted=at_rate(30)),
    Change("arithmetic alone (`compute`)", counted=lambda result: result.energy_pj["compute"]),
    Change("latency instead of energy", counted=lambda result: result.latency_s),
)
PAIRS: dict[str, tuple[Cell, Cell]] = {
    "event driven": ((SERIAL, "event_driven"), (ANN, "event_driven_mac")),
    "output stationary": ((SERIAL, "output_stationary"), (ANN, "output_stationary_mac")),
    "event driven, merged": ((SERIAL, "event_driven_merged"), (ANN, "event_driven_mac")),
    "output stationary, merged": ((SERIAL, "output_stationary_merged"), (ANN, "output_stationary_bit_serial")),
    "merged against the array": ((SERIAL, "output_stationary_merged"), (ANN, "systolic")),
    "`event_core_64`": ((SERIAL, "event_core_64"), (ANN, "mac_core_64")),
}
CODES: dict[str, tuple[Cell, Cell]] = {
    "bit planes / rate T = 4, event driven": ((SERIAL, "event_driven"), (RATES[0], "event_driven")),
    "bit planes / rate T = 4, output stationary": ((SERIAL, "output_stationary"), (RATES[0], "output_stationary")),
    "bit planes / rate T = 16, event driven": (
        (SERIAL, "event_driven", LARGE), (RATES[2], "event_driven", LARGE)),
    "bit planes / rate T = 16, output stationary": (
        (SERIAL, "output_stationary", LARGE), (RATES[2], "output_stationary", LARGE)),
}


@cache
def replayed(cell: Cell, number: int) -> Result:
    """A trace on a design with the fields of a change, at its highest clock; timing only where that is possible."""
    trace, name, *buffer = cell
    change, arch = CHANGES[number], load_architecture(name)
    if buffer:
        arch = arch.with_spike_buffer(capacity=buffer[0])
    if change.fields and (not change.scatter_only or reads_potentials(name)):
        arch = arch.with_fields(change.fields)
    elif number:
        return replayed(cell, 0)
    return simulate(path_of(trace), at_highest_clock(arch), samples=SAMPLES, check=name == "systolic")


def reads_potentials(name: str) -> bool:
    """Whether the membrane memory is read for events: its second port matters there."""
    return not name.startswith(("output_stationary", "systolic"))


def ratio(pair: tuple[Cell, Cell], number: int) -> float | None:
    first, second = (CHANGES[number].counted(replayed(cell, number)) for cell in pair)
    return None if first is None or second is None else first / second


def flips(work: Path) -> dict[str, str]:
    """Both tables, and in words what flips and what does not."""
    made = {}
    tables = (("flips_ann", PAIRS, ("the SNN", "the ANN")), ("flips_codes", CODES, ("bit planes", "the rate code")))
    for name, pairs, who in tables:
        found = {column: [ratio(pair, n) for n in range(len(CHANGES))] for column, pair in pairs.items()}
        rows = [(change.name, *(shown(ratios[n], ratios[0]) for ratios in found.values())) for n, change in enumerate(CHANGES)]
        words = "\n".join(f"* {column}: {verdict(ratios, who)}" for column, ratios in found.items())
        made[name] = f"{table(('', *found), rows)}\n\n{words}"
    return made


def side(value: float) -> int:
    """-1: the first needs less, 1: the second, 0: even."""
    return 0 if abs(value - 1) <= EVEN else -1 if value < 1 else 1


def shown(value: float | None, shipped: float | None) -> str:
    if value is None or shipped is None:
        return "-"
    return f"**{value:.2f}**" if side(value) != side(shipped) else f"{value:.2f}"


def verdict(ratios: list[float | None], who: tuple[str, str]) -> str:
    """What a column says: always the same, or under which changes not. `who` needs less below 1, and above it."""
    shipped = ratios[0]
    assert shipped is not None, "full speed is reached"
    names = {-1: who[0], 0: "even", 1: who[1]}
    other = [f"{CHANGES[n].name.split(':')[0]} ({value:.2f}, {names[side(value)]})" for n, value in enumerate(ratios)
             if value is not None and side(value) != side(shipped)]
    known = [value for value in ratios if value is not None]
    if not other:
        return f"does not flip: {names[side(shipped)]} under every change ({min(known):.2f} to {max(known):.2f})."
    return f"{names[side(shipped)]} as shipped ({shipped:.2f}). Flips: {'; '.join(other)}."
