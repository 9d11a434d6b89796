"""Steps of docs/sweeps.md: the search for reference designs, what they take on the larger network, the shifter's place."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from benchmarks.headlines.blocks import table
from benchmarks.headlines.replays import ANN, RATES, ROOT, SERIAL, core_uj, path_of, replay, say, system_uj
from hwsim.arch import Architecture, load_architecture
from hwsim.chip.model import chip_model
from hwsim.cores.event.dataflow_fields import MergedPlanes, OutputStationary
from hwsim.cores.event.fields import EventDesign
from hwsim.files import whole_file
from hwsim.result import Result
from hwsim.simulation import simulate
from hwsim.sweep.search import Outcome, Searcher
from hwsim.sweep.search_file import read_search, winner_file

SEARCH = "studies/reference_designs.yaml"
CAUTIONARY = "event_core_64"
LABELS = {SERIAL: "bit-serial T=4", RATES[0]: "rate T=4", ANN: "ANN"}
SHIFTED = ("output_stationary", "event_driven", "event_core_64_flags", CAUTIONARY)
SHIFTED_ON = {SERIAL: 8, "methods/cifar10_resnet20_bit_serial_t4": 4}
"""Traces, and samples of each, on which the places of the shifter are compared."""


def search(work: Path) -> dict[str, str]:
    """Runs the search, writes its best designs into arch_configs, and says which is the default for a trace."""
    asked, folder = read_search(ROOT / SEARCH), work / "search"
    last = [0]

    def progress(done: int, total: int) -> None:
        if done * 10 // total > last[0]:
            last[0] = done * 10 // total
            say(f"search: {done} of {total} designs")

    found = Searcher(asked, folder, progress).run()
    for name, design in found.winners:
        with whole_file(ROOT / "arch_configs" / f"{name}.yaml") as part:
            part.write_text(winner_file(design, asked, SEARCH), encoding="utf-8")
    return {"search_default": defaults(found)}


def defaults(found: Outcome) -> str:
    """The knee of each trace's front."""
    rows = []
    for side in found.search.choose.values():
        for trace in side:
            best = found.best(trace)
            assert best is not None, "a machine of the search runs each of its traces"
            costs = dict(best[0].costs(trace, found.search.minimise))[best[1]]
            energy, latency_ms, area = (costs[found.search.minimise.index(n)] for n in ("energy_uj", "latency_ms", "area_mm2"))
            coding = next(c for c in ("bit_serial", "rate", "ann") if c in trace)
            rows.append(({"bit_serial": "bit-serial", "rate": "rate", "ann": "quantised ANN"}[coding],
                         f"`{best[0].machine.name}`", f"{energy:.2f}, {1e3 * latency_ms:.1f}, {area:.2f}"))
    return table(("trace", "default", "uJ, us, mm2 on the tiny network"), rows)


def in_words(arch: Architecture) -> str:
    """A design in a cell: its size, and what tells its dataflow from the plain one."""
    design = arch.only
    said = [chip_model(arch).size(design)]
    if isinstance(design, EventDesign):
        core = design.core
        said += [f"A = {core.dataflow.accumulators}"] if isinstance(core.dataflow, OutputStationary) else []
        said += [f"{core.token.adders} adders"] if isinstance(core.token, MergedPlanes) else []
        said += ["shift at the membrane"] if core.shift_at == "membrane" and not core.requantises else []
        said += ["passes by word"] if core.passes == "by_word" else []
        said += ["word writer"] if core.writer == "word" else []
    return ", ".join(said)


@cache
def reported() -> dict[str, list[Result]]:
    """By trace: the shipped reference designs that run it and price all that it does, the cautionary one with them."""
    asked = read_search(ROOT / SEARCH)
    found: dict[str, list[Result]] = {}
    for trace, side in ((SERIAL, "snn"), (RATES[0], "snn"), (ANN, "ann")):
        names = [m.name for m in asked.machines if m.side == side and not (trace == RATES[0] and m.name.endswith("_merged"))]
        names += [CAUTIONARY] if side == "snn" else ["mac_core_64"]
        found[trace] = sorted((replay(trace, name, None) for name in names), key=system_uj)
    return found


def winners(work: Path) -> dict[str, str]:
    """The shipped designs on the network that they were not chosen on."""
    rows = [winner(trace, result, result is results[0]) for trace, results in reported().items() for result in results]
    return {"search_winners": table(("machine", "design", "MHz", "mm2", "trace", "us", "core uJ", "system uJ"), rows),
            "search_says": says()}


def winner(trace: str, result: Result, best: bool) -> tuple[str, ...]:
    """A design's row; the best of its trace in bold."""
    arch, uj = result.architecture, f"{system_uj(result):.2f}"
    return (f"`{arch.name}`", in_words(arch), f"{arch.clock / 1e6:g}", f"{result.area_mm2:.2f}", LABELS[trace],
            f"{result.latency_s * 1e6:.1f}", f"{core_uj(result):.2f}", f"**{uj}**" if best else uj)


def says() -> str:
    """What the table says, in numbers."""
    by_name = {trace: {r.architecture.name: r for r in results} for trace, results in reported().items()}
    serial, rate, ann = (reported()[trace][0] for trace in (SERIAL, RATES[0], ANN))
    array, core = by_name[ANN]["systolic"], by_name[SERIAL]
    saves = {flow: 100 * (1 - system_uj(core[f"{flow}_merged"]) / system_uj(core[flow]))
             for flow in ("output_stationary", "event_driven")}
    took = {r.facts.coding: f"{system_uj(r):.2f} uJ in {r.latency_s * 1e6:.0f} us" for r in (serial, rate, ann)}
    return "\n".join((
        f"* The best design of each code: bit planes {took['bit_serial']}, the ANN {took['quantised']}, the rate code of T = 4 "
        f"{took['rate']} at {rate.facts.accuracy_test_set:.2f} instead of {ann.facts.accuracy_test_set:.2f} %. The array is "
        f"{ann.latency_s / array.latency_s:.1f} times as fast as the ANN's best, at {system_uj(array) / system_uj(ann):.1f} "
        "times its energy.",
        f"* `{CAUTIONARY}` takes {system_uj(core[CAUTIONARY]) / system_uj(serial):.1f} times the energy of the best design of "
        "the same trace.",
        f"* Merged planes save {saves['output_stationary']:.0f} % (output stationary) and {saves['event_driven']:.0f} % (event "
        "driven) of what single ones take."))


def shift(work: Path) -> dict[str, str]:
    """Where planes are weighed, at the weight or at the membrane, on shipped designs that take them one by one."""
    rows = [shift_row(trace, name) for trace in SHIFTED_ON for name in (SHIFTED if trace == SERIAL else SHIFTED[2:3])]
    return {"shift": table((
        "trace", "samples", "design", "shifts at the weight", "at the membrane", "compute uJ, weight", "membrane",
        "core uJ, weight", "membrane", "core energy", "latency"), rows)}


def shift_row(trace: str, name: str) -> tuple[str, ...]:
    """A design at both places, on the first samples of a trace."""
    samples = SHIFTED_ON[trace]
    both = weight, membrane = [
        simulate(path_of(trace), load_architecture(name).with_core(shift_at=place), samples=samples)
        for place in ("weight", "membrane")]
    assert weight.mismatches == membrane.mismatches == 0
    return (trace.rpartition("/")[2], str(samples), f"`{name}`", *(f"{_shifts(r):,.0f}" for r in both),
            *(f"{r.energy_pj['compute'] / 1e6:.3g}" for r in both), *(f"{core_uj(r):,.4g}" for r in both),
            f"{100 * (core_uj(membrane) / core_uj(weight) - 1):+.1f} %",
            f"{100 * (membrane.latency_s / weight.latency_s - 1):+.1f} %")


def _shifts(result: Result) -> float:
    counts = result.activity.groupby("event")["count"].sum()
    return float(counts.get("weight_shift", 0) + counts.get("membrane_shift", 0))
