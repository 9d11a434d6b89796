"""The numbers of one run, each with what it is, how it was made, what was assumed, and its source: what a click on it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.activity import SCOPES
from hwsim.chip.model import chip_model
from hwsim.cost.energy import NOT_MODELLED
from hwsim.cost.overridden import overridden
from hwsim.diff.moved import PARTS
from hwsim.report.words import count, picojoules, share, si, spread
from hwsim.units import percent

if TYPE_CHECKING:
    from hwsim.result import Result

COUNTS = "docs/cycle-model.md, What is counted"
ENERGY_RULES = "docs/energy-model.md; the lines below and their numbered sources"
SCOPE_IS = {
    "compute": "Energy of one sample's arithmetic alone, at published prices of additions, comparisons and shifts: what papers "
               "count. It is an account of its own and no part of the other scopes.",
    "core": "Energy of one sample on the whole chip: arithmetic by its gates, memories, control, clock and leakage.",
    "system": "Energy of one sample on the chip and its off-chip channel.",
}


@dataclass(frozen=True)
class Quantity:
    """One number of a run. `value` sorts, None where the run has none; `text` is read.

    what      the definition.             how   the computation, with this run's own numbers.
    assumed   what it takes for granted.  source   where the rules and prices stand.
    """

    key: str
    label: str
    value: float | None
    text: str
    what: str
    how: str
    assumed: str
    source: str

    @property
    def brief(self) -> str:
        """The text without its deviation: "27.2 µJ" of "27.2 ± 1.9 µJ"."""
        head, _, tail = self.text.partition(" ± ")
        return " ".join((head, *tail.split()[1:]))


def quantities(result: Result) -> list[Quantity]:
    """Every number that the page shows of a run as a whole, in the order of the page."""
    found = [*_time(result), *_work(result), *_energy(result), *_rates(result), *_checks(result)]
    assert len({q.key for q in found}) == len(found)
    return found


def _time(result: Result) -> list[Quantity]:
    f, s, arch = result.facts, result.spread, result.architecture
    mean = float(result.cycles.mean())
    samples = "one sample" if f.samples == 1 else (
        f"mean of {f.samples:,} samples, ± standard deviation over them; from {result.cycles.min():,} to {result.cycles.max():,}")
    clock = "; ".join(result.clock_problems) or "every memory that is on is as fast as the clock"
    return [
        Quantity("cycles", "Cycles", mean, f"{mean:,.0f}" + ("" if s["cycles"] is None else f" ± {s['cycles']:,.0f}"),
                 "Elapsed cycles of one sample, from the first operation to the last, on an idle machine.",
                 f"{samples}; {f.schedule} schedule, engine {f.engine}, cycle model version {result.task.model_version}",
                 f"Setup ({f.setup_cycles:,} cycles, once) is not in it. {_feed(result)}", cycle_rules(result)),
        Quantity("latency", "Latency", result.latency_s, spread(result.latency_s, s["latency_s"], 1, "s"),
                 "Time of one sample.", f"{mean:,.0f} cycles / {si(arch.clock, 'Hz')}",
                 f"The clock is the design file's; {clock}.", f"{cycle_rules(result)}; clock of the design"),
        *_free_links(result),
    ]


def _free_links(result: Result) -> list[Quantity]:
    """The bound of a chip with links; nothing where there are none."""
    free = result.free_links
    if free is None:
        return []
    cycles, energy = float(free["cycles"]), picojoules(free["energy_pj"]["system"])
    return [Quantity(
        "free-links", "If links cost nothing", cycles, f"{cycles:,.0f} cycles, {energy}",
        "Cycles and system energy of one sample if no bit and no hop took time or energy, and nobody waited for a link.",
        f"the same operations on links that cost nothing; {cycles / float(result.cycles.mean()):.3f} of the cycles",
        "A link is held for whole planes, which no real network does: what one makes of the schedule lies between. An order of "
        "two designs that this number reverses is not decided.", "docs/cycle-model.md, C7 and C8; docs/schedules.md")]


def cycle_rules(result: Result) -> str:
    """Where the rules stand that decide the cycles of the run's kind of core."""
    if chip_model(result.architecture).timed:
        chip = "C1 to C6" if result.architecture.network is None else "C1 to C9"
        return f"docs/cycle-model.md, rules R1 to R28 and {chip}"
    return "the rules of this kind of core: docs/baselines.md, docs/odin.md"


def _feed(result: Result) -> str:
    return ("Layers are fed with the recorded spikes." if result.facts.spikes == "trace"
            else "Layers are fed with what was computed for the layers before them.")


def _work(result: Result) -> list[Quantity]:
    operations, ann = result.synaptic_operations, result.facts.is_ann
    most = result.total_cycles / result.facts.samples * result.architecture.additions_per_cycle
    return [
        Quantity("operations", "Multiply-accumulates" if ann else "Synaptic operations", operations, count(operations),
                 "Synapses used by events: one weight added to one neuron." + (
                     " In a quantised ANN each is a multiplication and an addition; zero activations take none." if ann else ""),
                 "counted in every sample (event acc_add), mean over samples",
                 "Only synapses within bounds count; lanes without a neuron do not.", COUNTS),
        Quantity("utilisation", "Lane utilisation", result.utilisation, share(result.utilisation, 1),
                 "Synaptic operations over what the adders could have done in the elapsed cycles.",
                 f"{count(operations)} of {count(most)} ({result.architecture.additions_per_cycle} additions per cycle)",
                 "Waiting for the channel and passes over neurons count as time.", cycle_rules(result)),
    ]


def _energy(result: Result) -> list[Quantity]:
    tables = result.architecture.technology
    s, accounts = result.spread["energy_pj"], result.accounts
    prices = (f"Prices: units {tables.units}, memory {tables.memory}, logic {tables.logic}, off-chip {tables.dram}; "
              f"{tables.node_nm:g} nm, {tables.vdd_v:g} V, {tables.temperature_k} K")
    given = overridden(result.architecture, result.overrides, result.used)
    own = f" {len(given)} prices were overridden." if given else ""
    off = f" Off, without leakage: {', '.join(result.memories_off)}." if result.memories_off else ""
    found = []
    for scope in SCOPES:
        inside = accounts[accounts["scope"].isin(PARTS[scope])]
        units = inside.groupby("unit")["energy_pj"].sum().sort_values(ascending=False).head(3)
        largest = ", ".join(f"{unit} {share(float(pj), result.energy_pj[scope])}" for unit, pj in units.items())
        left_out = f" Not modelled: {', '.join(NOT_MODELLED)}." if scope != "compute" else ""
        found.append(Quantity(
            f"energy-{scope}", f"Energy, {scope}", result.energy_pj[scope],
            spread(result.energy_pj[scope], s[scope], 1e-12, "J"), SCOPE_IS[scope],
            f"count x price, summed over {len(inside)} lines; the most: {largest or 'nothing'}",
            f"{prices}.{own}{off}{left_out}", ENERGY_RULES))
    operations = result.synaptic_operations
    per = result.energy_pj["core"] / operations if operations else None
    found.append(Quantity(
        "per-operation", "Energy per op.", per, "-" if per is None else f"{per:.3g} pJ",
        "Core energy over synaptic operations (of an ANN: multiply-accumulates), a ratio of means.",
        f"{picojoules(result.energy_pj['core'])} / {count(operations)}",
        "It holds all that the chip does, leakage included; papers that count less get less.", ENERGY_RULES))
    found.append(Quantity(
        "edp", "Energy-delay product", result.energy_delay_js, si(result.energy_delay_js, "Js"),
        "System energy times latency.", "the mean of the samples' own products", "As energy and latency.", ENERGY_RULES))
    return found


def _rates(result: Result) -> list[Quantity]:
    slow, area = result.shown_rate, result.area
    reached = slow["energy_pj"] is not None
    leaking = ", ".join(area.sort_values("area_um2", ascending=False)["component"].head(3).astype(str))
    phases = "" if not reached else "; ".join(f"{name} {picojoules(pj)}" for name, pj in slow["phase_energy_pj"].items() if pj)
    return [
        Quantity("at-rate", f"System energy at {slow['rate_hz']:g}/s", slow["energy_pj"]["system"] if reached else None,
                 picojoules(slow["energy_pj"]["system"]) if reached else "out of reach",
                 f"Energy of one sample when {slow['rate_hz']:g} samples come per second: the chip leaks until the next one.",
                 phases or f"at most {slow['highest_rate_hz']:,.4g} samples per second",
                 "Power states between samples are the design's; switching between them is free.", ENERGY_RULES),
        Quantity("power", "Power", result.power_w, si(result.power_w, "W"),
                 "Watts of the whole system while it runs.",
                 f"{picojoules(result.energy_pj['system'])} / {si(result.latency_s, 's')}", "Samples back to back.",
                 ENERGY_RULES),
        Quantity("area", "Area", result.area_mm2, f"{result.area_mm2:.3g} mm²",
                 "Area of all units and of the memories that are on.",
                 f"sum of {len(area)} rows of the area table; the largest: {leaking}",
                 "Nothing was placed; wires lie over logic.", "the area table and its numbered sources"),
        Quantity("setup", "Setup energy", result.setup_energy_pj, picojoules(result.setup_energy_pj),
                 "Energy of what is done once, before the first sample: loading weights that stay on the chip.",
                 f"{result.facts.setup_cycles:,} cycles over the channel",
                 "It is in no number per sample.", ENERGY_RULES),
    ]


def _checks(result: Result) -> list[Quantity]:
    f = result.facts
    compared = "every output of every layer was computed and compared with the recording" if f.mismatches is not None else (
        "nothing was compared: timing only, or the trace has no weights or outputs")
    whole = f"; {percent(f.accuracy_test_set)} on the whole test set" if f.accuracy_test_set is not None else ""
    return [
        Quantity("accuracy", "Accuracy", f.accuracy, percent(f.accuracy) if f.accuracy is not None else "unknown",
                 "Share of the replayed samples that are classified as labelled.",
                 f"{f.judged} samples judged{whole}" if f.judged else "the trace has no labels, or nothing that answers",
                 "A few samples say little; compare accuracies of the whole test set.", "labels of the trace"),
        Quantity("mismatches", "Mismatches", None if f.mismatches is None else float(f.mismatches),
                 "not compared" if f.mismatches is None else f"{f.mismatches:,}",
                 "Outputs of all samples that differ from the recorded ones, bit for bit.", compared,
                 "The trace is right: it was recorded from the converted network.", "docs/validation.md"),
        Quantity("saturations", "Saturations", None if f.saturations is None else float(f.saturations),
                 "not counted" if f.saturations is None else f"{f.saturations:,}",
                 "Steps of the arithmetic, in all samples, whose result did not fit its width and was clipped.",
                 "counted where sums are made", "Widths are the design's.", COUNTS),
    ]


def by_key(found: list[Quantity]) -> dict[str, Quantity]:
    return {quantity.key: quantity for quantity in found}

