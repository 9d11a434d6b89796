"""What hwsim's tables say that ODIN takes, beside what was published of the chip. Nothing is fitted to it.

    python benchmarks/odin_energy.py [--events 2000] [--memory cacti_lop]

Each part is priced at 28 nm and 0.55 V where a table and a rule of scaling reach it, else at the nearest point that they reach,
which is printed with the reason. Counts and cycles are those of the fast engine, of streams at full rate. The account is printed
for two cycles per synapse (the published rate) and for the exact cycles. pJ per synaptic operation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hwsim
from hwsim.activity import EVENTS
from hwsim.arch import Architecture
from hwsim.cores.logic import CLOCK
from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.fast import OdinFastEngine
from hwsim.cores.odin.fields import NEURONS, OdinFields
from hwsim.cores.odin.record import COUNTS, OdinRecord
from hwsim.cores.odin.stimulus import OdinStimulus, neuron_event, synapse_event
from hwsim.cost.logic import LogicPrices
from hwsim.cost.memory import Macro, lender, macros
from hwsim.cost.technology.scaling import ScalingError
from hwsim.cost.what_works import NODES_NM, SUPPLIES_V

NODE_NM, SUPPLY_V = 28.0, 0.55
CYCLES_PER_SYNAPSE = 2
PARTS = ("neuron memory", "synapse memory", "wires", "logic", "clock", "leakage")
OPERATION = PARTS[:4]

PUBLISHED_PJ = 12.7
"""Per synaptic operation, the whole chip [Frenkel et al. 2019, abstract]."""
LEAKAGE_UW = 27.3
SPLIT_PJ = {"operation": 8.43, "clock": 2 * 1.78, "leakage": LEAKAGE_UW / 37.5}
"""8.43 pJ per operation, 1.78 uW per MHz of clock, 27.3 uW of leakage at 75 MHz: quoted, and not checked in the paper. With two
cycles per operation, 37.5 million per second, they add up to 12.7 pJ."""

EVENTS_PER_STREAM = 2000
TRACE = Path(__file__).parents[1] / "traces" / "odin" / "fashion_mnist_100.h5"
BITS = 2 * (128 + 32 // 8)
"""That move per operation of a neuron event: a neuron's word and an eighth of a synapse word, read and written."""

CHIP_FLIP_FLOPS, CHIP_LOGIC_UM2 = 4_239, 41_771
"""Of ODIN's own Verilog (ChFrenkel/ODIN, commit 1781931), its two memories apart, by yosys 0.23 with Nangate 45 nm cells."""


@dataclass(frozen=True, eq=False)
class Points:
    """One chip, each part at the nearest point that tables and rules reach.

    memories, logic   designs whose accesses, or gates, wires and clock, are priced.
    leakage           two designs: that of the memories, that of the logic.
    reasons           by part, why it is not at 28 nm and 0.55 V, in the words of the rule that ends before.
    """

    memories: Architecture
    logic: Architecture
    leakage: tuple[Architecture, Architecture]
    reasons: Mapping[str, str]

    @property
    def macros(self) -> dict[str, Macro]:
        return macros(self.memories)

    def gates(self, clock_gating: str) -> LogicPrices:
        return LogicPrices(self.logic.with_fields({"technology.clock_gating": clock_gating}), self.macros)

    @property
    def leakage_mw(self) -> float:
        memories, logic = self.leakage
        return (sum(m.leakage_mw for m in macros(memories).values())
                + sum(piece.amount for piece in LogicPrices(logic, {}).leaks()) / 1e6)


def points_of(arch: Architecture) -> Points:
    """Found by trying: the supplies and the nodes, from the chip's own outwards."""
    reasons: dict[str, str] = {}

    def nearest(part: str, tried: list[dict[str, float]], price: Callable[[Architecture], object]) -> Architecture:
        for fields in tried:
            at = arch.with_fields({f"technology.{name}": value for name, value in fields.items()})
            try:
                price(at)
            except ScalingError as error:
                reasons.setdefault(part, str(error))
                continue
            return at
        raise ScalingError(reasons[part])

    # Of a memory at another node, only accesses and area are looked at: the number for leakage, which is demanded, is not used.
    supplies = [{"node_nm": NODE_NM, "vdd_v": v, "leakage_over_table": 1.0} for v in _outwards(SUPPLY_V, SUPPLIES_V)]
    nodes = _outwards(NODE_NM, NODES_NM)
    memories = nearest("memories", supplies, macros)
    logic = nearest("logic", supplies, lambda at: LogicPrices(at, {}).every_cycle())
    leaks = (
        nearest("leakage", [{"node_nm": n, "vdd_v": memories.technology.vdd_v} for n in nodes], macros),
        nearest("leakage", [{"node_nm": n, "vdd_v": logic.technology.vdd_v} for n in nodes],
                lambda at: LogicPrices(at, {}).leaks()))
    return Points(memories, logic, leaks, reasons)


def _outwards(start: float, values: tuple[float, ...]) -> list[float]:
    return sorted({start, *values}, key=lambda value: (abs(value - start), value))


# --- streams ---------------------------------------------------------------------------------------------------------


def streams(events: int) -> dict[str, tuple[int, OdinRecord]]:
    """By kind of event: synaptic operations, and what the chip did in a stream at full rate without spikes."""
    rng = np.random.default_rng(0)
    sources, neurons = rng.integers(0, NEURONS, (2, events)).tolist()
    quiet = OdinConfiguration.blank(synapses=8 + rng.integers(0, 8, (NEURONS, NEURONS)), inhibitory=np.ones(NEURONS, int))
    addresses = {"neuron events": [neuron_event(s) for s in sources],
                 "synapse events": [synapse_event(s, n) for s, n in zip(sources, neurons, strict=True)]}
    return {name: (events * (NEURONS if name == "neuron events" else 1),
                   OdinFastEngine().run(OdinFields(), quiet, OdinStimulus.at_full_rate(listed), 10**12))
            for name, listed in addresses.items()}


def counts_of(record: OdinRecord) -> dict[str, int]:
    """What the chip did, in the vocabulary. Reads and writes of a neuron's word cost the same whatever they are for."""
    counted = dict(zip(COUNTS, record.counts.tolist(), strict=True))
    return {"membrane_read_accumulate": counted["membrane_read"], "membrane_write_accumulate": counted["membrane_write"],
            "weight_read": counted["weight_read"], "weight_write": counted["weight_write"], "fifo_push": len(record.push),
            "fifo_pop": len(record.pop), "spike_out": len(record.outputs)}


def account(points: Points, counts: Mapping[str, float], cycles: float, clock_gating: str = "gated") -> dict[str, float]:
    """pJ by part, of these counts in so many cycles."""
    gates, memories = points.gates(clock_gating), points.macros
    found = dict.fromkeys(PARTS, 0.0)
    for event, count in counts.items():
        for name, part in (("membrane", "neuron memory"), ("weight", "synapse memory")):
            if event.startswith(f"{name}_"):
                found[part] += count * (memories[name].read_pj if "_read" in event else memories[name].write_pj)
    charges = [(charge, count) for event, count in counts.items() for charge in gates.charges(event)]
    for charge, count in [*charges, *((charge, cycles) for charge in gates.every_cycle())]:
        found[charge.component if charge.component in PARTS else "logic"] += charge.pj * count
    found["leakage"] = points.leakage_mw * points.logic.period_ns * cycles
    return found


# --- tables ----------------------------------------------------------------------------------------------------------


def split(points: Points, events: int) -> dict[str, dict[str, float]]:
    """pJ per synaptic operation of neuron events, two cycles each, by way to clock and part; `operation` and `all` are sums."""
    operations, record = streams(events)["neuron events"]
    found = {}
    for gating in ("gated", "free_running"):
        whole = account(points, counts_of(record), CYCLES_PER_SYNAPSE * operations, gating)
        parts = {part: pj / operations for part, pj in whole.items()}
        found[gating] = parts | {"operation": sum(parts[part] for part in OPERATION), "all": sum(parts.values())}
    return found


def split_rows(points: Points, events: int) -> list[str]:
    """The table of `split` beside the published one."""
    published = {**SPLIT_PJ, "all": PUBLISHED_PJ}
    gated, free = split(points, events).values()
    rows = ["| pJ per synaptic operation | clock gated | clock free-running | published | error |", "|---|---|---|---|---|"]
    for part in (*OPERATION, "operation", "clock", "leakage", "all"):
        theirs, error = "", ""
        if part in published:
            theirs = f"{published[part]:.2f}"
            error = " to ".join(dict.fromkeys(f"{100 * (one[part] / published[part] - 1):+,.0f} %" for one in (gated, free)))
        name = part if part in OPERATION else f"**{part}**"
        rows.append(f"| {name} | {gated[part]:.2f} | {free[part]:.2f} | {theirs} | {error} |")
    return rows


def counting_rows(points: Points, events: int) -> list[str]:
    """Two cycles per synapse, beside the exact cycles: what clock and leakage cost in either."""
    rows = ["| at full rate, no spikes, clock gated | cycles by 2 per synapse | exact | factor | pJ by 2 per synapse | exact | "
            "factor |", "|---|---|---|---|---|---|---|"]
    for name, (operations, record) in streams(events).items():
        cycles = (CYCLES_PER_SYNAPSE * operations, record.done)
        pj = [sum(account(points, counts_of(record), n).values()) for n in cycles]
        shown = [f"{one / operations:.3f} | {other / operations:.3f} | {other / one:.3f}" for one, other in (cycles, pj)]
        rows.append(f"| {name} | {' | '.join(shown)} |")
    return rows


def image_row(points: Points) -> str:
    """nJ per image of the shipped trace, by part."""
    result = hwsim.simulate(TRACE, "odin")
    counts = {event: count / result.facts.samples for event, count in zip(
        EVENTS, result.layer_counts.sum(axis=(0, 1, 2)).tolist(), strict=True) if event in points.gates("gated").logic.events}
    parts = account(points, counts, float(result.cycles.mean()))
    return (f"{sum(parts.values()) / 1e3:,.0f} nJ per image, of it "
            + ", ".join(f"{part} {pj / 1e3:,.0f}" for part, pj in parts.items()))


def causes(points: Points, events: int) -> list[str]:
    """Why the sums differ from the chip's, each with its size."""
    gated = split(points, events)["gated"]
    operation, memory = gated["operation"], gated["neuron memory"] + gated["synapse memory"]
    more, supply = SPLIT_PJ["operation"] - operation, points.memories.technology.vdd_v
    leaking, flip_flops = points.leakage_mw, points.gates("gated").flip_flops
    by_memories = sum(m.leakage_mw for m in macros(points.leakage[0]).values())
    return [
        f"Memories are {100 * memory / operation:.0f} % of the operation, and they are CACTI's: arrays organised for the least "
        f"energy. They take {1e3 * memory / BITS:.0f} fJ per bit that moves. The published operation takes {more:.1f} pJ more, "
        f"{1e3 * more / BITS:.0f} fJ per bit. What the chip's own macros take is not published.",
        f"The supply of the memories is {supply:g} V. Taken on to {SUPPLY_V:g} V, beyond its range, their law would give "
        f"{extrapolated(points):.1f} pJ instead of {memory:.1f}, so the chip would be farther away.",
        f"Leakage is that of another process: {1e3 * leaking:,.0f} uW at {points.leakage[0].technology.node_nm:g} nm, "
        f"{100 * by_memories / leaking:.0f} % of it in memories at {supply:g} V. The chip's is said to be {LEAKAGE_UW} uW.",
        f"Some logic is not modelled. ODIN's own Verilog has {CHIP_FLIP_FLOPS:,} flip-flops and {CHIP_LOGIC_UM2:,} um2 of logic "
        f"in the cells of the table; the model has {flip_flops:,.0f} and {at_table(points):,.0f}. The difference is online "
        "learning, Izhikevich neurons with the FIFOs of their bursts, and the registers of the SPI bus.",
        "Nobody says how the chip's clock is gated, so both ways are shown. If every flip-flop of its Verilog were clocked in "
        f"each cycle at the table's price, they alone would take {free_running(points):.1f} pJ per operation. So most of them "
        "must be gated, or its cells take far less.",
    ]


def extrapolated(points: Points) -> float:
    """pJ of the memories per operation at the chip's supply, by a law that does not reach it."""
    profile, memories = lender(points.memories.technology.memory), points.macros
    ratio = SUPPLY_V / points.memories.technology.vdd_v
    read, write = (ratio ** profile.supply_power(quantity)[0] for quantity in ("read", "write"))
    return sum(share * (memories[name].read_pj * read + memories[name].write_pj * write)
               for name, share in (("membrane", 1), ("weight", 1 / 8)))


def free_running(points: Points) -> float:
    """pJ per operation of the chip's flip-flops, if each were clocked in every cycle."""
    gates = points.gates("free_running")
    (clock,) = (charge.pj for charge in gates.every_cycle() if charge.component == CLOCK)
    return CYCLES_PER_SYNAPSE * clock / gates.flip_flops * CHIP_FLIP_FLOPS


def at_table(points: Points) -> float:
    """um2 of the model's logic at the node of its table."""
    return LogicPrices(points.leakage[1], {}).area_um2


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=EVENTS_PER_STREAM)
    options.add_argument("--memory", default="cacti_lop", help="memory profile")
    chosen = options.parse_args()
    if chosen.events < 1:
        options.error(f"--events: found {chosen.events}, expected 1 or more")
    try:
        points = points_of(hwsim.load_architecture("odin").with_fields({"technology.memory": chosen.memory}))
    except hwsim.HwsimError as error:
        raise SystemExit(str(error)) from None
    print(f"Each part as near to {NODE_NM:g} nm and {SUPPLY_V:g} V as its tables reach:")
    print("\n".join(place_lines(points)))
    for rows in (split_rows(points, chosen.events), counting_rows(points, chosen.events)):
        print("", *rows, sep="\n")
    print("", "Why they differ:", *(f"* {cause}" for cause in causes(points, chosen.events)), sep="\n")
    print("", f"The shipped network: {image_row(points)}.", sep="\n")


def place_lines(points: Points) -> list[str]:
    """Where each part stands, and why it stands no nearer."""
    places = {"memories": (points.memories,), "logic": (points.logic,), "leakage": points.leakage}
    lines = []
    for part, chips in places.items():
        at = " and ".join(dict.fromkeys(f"{c.technology.node_nm:g} nm, {c.technology.vdd_v:g} V" for c in chips))
        both = " (of memories and of logic)" if " and " in at else ""
        why = points.reasons.get(part)
        lines.append(f"* {part}: {at}{both}" + (f". {why.partition(';')[0]}" if why else ""))
    return lines


if __name__ == "__main__":
    main()
