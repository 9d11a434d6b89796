"""The tables of one run: energy line by line, layers, area, as cells that a page can sort and explain. Numbers per sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.activity import VOCABULARY
from hwsim.cost.explanation import explain_rows
from hwsim.counted import WORKING
from hwsim.program import CHANNEL
from hwsim.report.quantities import COUNTS, cycle_rules
from hwsim.report.sources import Sources
from hwsim.report.words import count, picojoules, share

if TYPE_CHECKING:
    from hwsim.result import Result

COUNTED = {event.name: event.counted for event in VOCABULARY} | {
    "leakage": "elapsed cycle, in which it leaks", "cycle": "elapsed cycle, whatever happens in it"}
STALLS = ("stall_hazard", "stall_port", "stall_serialiser")


@dataclass(frozen=True)
class Cell:
    """What stands in a table: `sort` is what its column sorts by, a text or a number; `why` names what a click opens."""

    text: str
    sort: str | float
    why: str = ""


@dataclass(frozen=True)
class Explanation:
    """What a click on a number opens: a title, lines of (name, text), and the numbers of sources."""

    id: str
    title: str
    lines: list[tuple[str, str]]
    cited: list[int]


@dataclass(frozen=True)
class Table:
    """Names of the columns (text columns first, then numbers), rows of cells, and how many columns are texts."""

    columns: list[str]
    texts: int
    rows: list[list[Cell]]


def energy_table(result: Result, place: str, sources: Sources) -> tuple[Table, list[Explanation]]:
    """Count x price = energy of each event and component; a row of an override says so in its source."""
    rows, why = [], []
    for index, row in enumerate(explain_rows(result.accounts)):
        key = f"{place}-line{index}"
        event = f"{row['event']}, {row['state']}" if row["state"] else row["event"]
        number = sources.number(row["source"])
        energy = picojoules(row["energy_pj"], 4)
        why.append(Explanation(key, f"{event} of {row['component']}: {energy}", [
            ("computed", f"{count(row['count'])} x {row['price_pj']:.5g} pJ = {energy} per sample"),
            ("one count is", COUNTED.get(row["event"], row["event"])),
            ("price", row["formula"] + (f" ({row['cores']})" if row["cores"] else "")), ("source", row["source"])], [number]))
        rows.append([
            Cell(row["scope"], row["scope"]), Cell(row["component"], row["component"]), Cell(event, event),
            Cell(count(row["count"]), row["count"], key), Cell(f"{row['price_pj']:.4g}", row["price_pj"], key),
            Cell(energy, row["energy_pj"], key),
            Cell("-" if row["scope"] == "compute" else share(row["share"], 1), row["share"], key)])
    return Table(["scope", "component", "event", "count", "pJ each", "energy", "of system"], 3, rows), why


def layer_table(result: Result, place: str) -> tuple[Table, list[Explanation]]:
    """Cycles by layer and what they were spent on, synaptic operations, switching energy."""
    frame = result.cycles_frame
    cores = frame[frame["resource"] != CHANNEL].groupby(["layer", "cause"], as_index=False)["cycles"].sum()
    energy = result.energy[result.energy["scope"] != "system"].groupby("layer")["energy_pj"].sum()
    adds = result.activity[result.activity["event"] == "acc_add"].groupby("layer")["count"].sum()
    rows = []
    for name in result.facts.layers:
        part = {str(cause): float(cycles) for layer, cause, cycles in cores.itertuples(index=False) if layer == name}
        spent = sum(cycles for cause, cycles in part.items() if cause != "wait")
        stalls, operations = sum(part.get(cause, 0.0) for cause in STALLS), float(adds.get(name, 0.0))
        switched = float(energy.get(name, 0.0))
        rows.append([
            Cell(name, name), Cell(count(spent), spent, f"{place}-layer-cycles"),
            *(Cell(share(cycles, spent), cycles / max(1.0, spent), f"{place}-layer-{key}") for key, cycles in (
                ("busy", sum(part.get(cause, 0.0) for cause in WORKING)), ("stalled", stalls),
                ("idle", part.get("idle", 0.0)))),
            Cell(count(operations), operations, f"{place}-layer-operations"),
            Cell(picojoules(switched, 4), switched, f"{place}-layer-energy")])
    return Table(["layer", "cycles", "busy", "stalled", "idle", "synaptic operations", "switching energy"], 1, rows), [
        Explanation(f"{place}-layer-{key}", title, [
            ("what it is", what), ("assumed", assumed), ("source", source or cycle_rules(result))], [])
        for key, title, what, assumed, source in _LAYER_COLUMNS]


_LAYER_COLUMNS = (
    ("cycles", "Cycles of a layer", "Cycles in which cores run the layer, all cores together, mean over samples.",
     "Waiting for the channel belongs to no layer.", ""),
    ("busy", "Busy", "Share of the layer's cycles in which an operation issues.", "An operation takes one slot.", ""),
    ("stalled", "Stalled", "Share in which the next operation waits: for a word that is being written, a memory's one port, or "
     "the serialiser.", "The receiver of spikes is always ready.", ""),
    ("idle", "Idle", "The rest: no event has arrived yet, or the pipeline drains.", "It is what busy and stalled cycles leave.",
     ""),
    ("operations", "Synaptic operations", "Synapses used by events: one weight added to one neuron.", "In-bounds synapses only.",
     COUNTS),
    ("energy", "Switching energy", "The layer's core energy without leakage and clock of every cycle, which belong to no layer.",
     "Prices are those of the lines below.", "docs/energy-model.md; the lines of energy"),
)


def area_table(result: Result, place: str, sources: Sources) -> tuple[Table, list[Explanation]]:
    """Square micrometres of each component that is on."""
    rows, why = [], []
    whole = float(result.area["area_um2"].sum())
    for index, row in enumerate(result.area.sort_values("area_um2", ascending=False).to_dict("records")):
        name, source, size, many = str(row["component"]), str(row["source"]), float(row["area_um2"]), float(row["count"])
        key = f"{place}-area{index}"
        why.append(Explanation(key, f"Area of {name}", [("computed", f"{size:,.0f} µm² for {count(many)}"), ("source", source)],
                               [sources.number(source)]))
        rows.append([Cell(name, name), Cell(count(many), many, key),
                     Cell(f"{size:,.0f} µm²", size, key), Cell(share(size, whole), size, key)])
    return Table(["component", "count", "area", "share"], 1, rows), why
