"""Every rule of the chip's order, links and lists is held by a check: break it, and a vector or the other engine shows it.

The mutants are edits of syntax trees (tests/mutants/edits.py), each of a whole module. C7 and C8 are broken in each engine; the
lists of C9 are made once, for both.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="the machinery of mutants is beside the golden hardware: pip install 'hwsim[rtl]'")

from hwsim.engine.fast.chip import FastEngine
from hwsim.program import Listed, ProgramError, Transfer
from hwsim.record import ListTimes
from hwsim.schedules.listing import DISCIPLINES
from hwsim.schedules.stages import Pipeline
from hwsim.verify.case_file import read_document
from hwsim.verify.chip_cases import ChipCases, operations_of
from hwsim.verify.chip_fields import ListCaseFields, PipelineCaseFields
from hwsim.verify.pipeline_cases import list_of_case, pipeline_of
from tests.conftest import ROOT
from tests.engine.network_programs import meshed
from tests.engine.random_designs import random_sample
from tests.engine.random_lists import random_list
from tests.engine.test_several_cores import draw
from tests.mutants.copies import Modules, copies_of, path_of, source_of
from tests.mutants.edits import Edit, apply
from tests.mutants.selection import by_default
from tests.schedules.random_pipelines import random_drawing
from tests.schedules.test_listing import check_steps

CASES = ROOT / "tests" / "data" / "chip_cases.json.gz"
FAST, REFERENCE, SCHEDULES = "hwsim.engine.fast", "hwsim.engine.reference", "hwsim.schedules"
MODULES = {
    "fast": ("hwsim.chip.network", f"{FAST}.kernels.order", f"{FAST}.counting", f"{FAST}.order"),
    "reference": (f"{REFERENCE}.clock", f"{REFERENCE}.order", f"{REFERENCE}.cargo"),
    "lists": (f"{SCHEDULES}.stages", f"{SCHEDULES}.listing"),
}
"""What a copy consists of, each module after those that it imports."""


@dataclass(frozen=True)
class Mutant:
    """Breaks `rule` in a module of `target`: `old` becomes `new`."""

    target: str
    rule: str
    name: str
    module: str
    old: str
    new: str

    def copies(self) -> Modules:
        tree = ast.parse(source_of(self.module))
        apply(Edit(self.module, "", self.old, self.new), tree, path_of(self.module).relative_to(ROOT).as_posix())
        return copies_of(MODULES[self.target], {self.module: tree})


KERNEL, ORDER, LINKS, COUNTING = f"{FAST}.kernels.order", f"{FAST}.order", "hwsim.chip.network", f"{FAST}.counting"
CLOCKED, CARGO = f"{REFERENCE}.order", f"{REFERENCE}.cargo"
STAGES, LISTING = f"{SCHEDULES}.stages", f"{SCHEDULES}.listing"
MUTANTS = (
    Mutant("fast", "C7", "grants in the order of the list", KERNEL, "heappush(heap, (ready[i], i))", "heappush(heap, (0, i))"),
    Mutant("fast", "C7", "ties by the last of the list", KERNEL, "heappush(heap, (ready[i], i))",
           "heappush(heap, (ready[i], missing.size - i))"),
    Mutant("fast", "C7", "links are reserved from the start on only", KERNEL, "begin = max(begin, free[links[at]])",
           "begin = begin if free[links[at]] > begin + spans[i] else max(begin, free[links[at]])"),
    Mutant("fast", "C7", "the channel is no resource", ORDER,
           "if op.resource:\n    any_body", "if op.resource and op.resource != 'channel':\n    any_body"),
    Mutant("fast", "C7", "setup takes its turn", ORDER, "            if op.setup:\n                continue\n", ""),
    Mutant("fast", "C7", "a wait takes no time", ORDER, "op.cycles if isinstance(op, Wait) else 0", "0"),
    Mutant("fast", "C8", "along y first", LINKS,
           "[(at, y) for at in _steps(x, to_x)] + [(to_x, at) for at in _steps(y, to_y)]",
           "[(x, at) for at in _steps(y, to_y)] + [(at, to_y) for at in _steps(x, to_x)]"),
    Mutant("fast", "C8", "the shortest path", LINKS, "max(map(len, paths))", "min(map(len, paths))"),
    Mutant("fast", "C8", "a shared link twice", LINKS, "dict.fromkeys(link for path in paths for link in path)",
           "[link for path in paths for link in path]"),
    Mutant("fast", "C8", "flits that are full only", LINKS, "-(-bits // mesh.flit_bits)", "bits // mesh.flit_bits"),
    Mutant("fast", "C8", "flits after the channel", LINKS, "np.maximum(-(-bits // channel.bits_per_cycle), flits(mesh, bits))",
           "-(-bits // channel.bits_per_cycle) + flits(mesh, bits)"),
    Mutant("fast", "C8", "no bits hold links", ORDER, "held = np.where(moved, self.links, 0)", "held = self.links"),
    Mutant("fast", "C8", "free links are held", LINKS, "any_links if mesh.holds_links else {}", "any_links"),
    Mutant("fast", "C8", "no EOT", LINKS, "mesh.header_bits + any_bits[encoding]", "any_bits[encoding]"),
    Mutant("fast", "C8", "smaller without its bit", LINKS, "min(listed, dense_bits) + 1", "min(listed, dense_bits)"),
    Mutant("fast", "C8", "merged planes in a message each", COUNTING, "np.count_nonzero(part.any(axis=0))",
           "np.count_nonzero(part)"),
    Mutant("fast", "C8", "values for free", COUNTING, "sum(n * bits for n, bits in zip(sent, values, strict=True))", "0"),
    Mutant("reference", "C7", "grants in the order of asking", CLOCKED, "sorted(self.asking, key=lambda one: one[0])",
           "self.asking[::-1]"),
    Mutant("reference", "C7", "granted before all is ready", CLOCKED, "yield self.clock.at(self.clock.now, GRANT)",
           "yield self.clock.timeout(0)"),
    Mutant("reference", "C7", "links are free when they are granted", CLOCKED, "yield self.clock.all_of(before)",
           "yield self.clock.any_of(before)"),
    Mutant("reference", "C7", "a queue of one", CLOCKED, "self.last |= dict.fromkeys(links, ended)",
           "self.last |= {link: ended for link in links if link not in self.last}"),
    Mutant("reference", "C7", "sends take turns", CLOCKED,
           "if operation.resource:\n    any_turn\nelse:\n    any_other",
           "if operation.resource or operation.kind == 'send':\n    any_turn\nelse:\n    any_other"),
    Mutant("reference", "C7", "a wait takes no time", CLOCKED, "self.clock.now + operation.cycles", "self.clock.now"),
    Mutant("reference", "C8", "along y first", CLOCKED, "x != there[0]", "y == there[1]"),
    Mutant("reference", "C8", "the last path", CLOCKED, "self.hops = max(self.hops, len(path))", "self.hops = len(path)"),
    Mutant("reference", "C8", "a shared link twice", CLOCKED, "[link for link in path if link not in self.links]",
           "[link for link in path]"),
    Mutant("reference", "C8", "flits that are full only", CLOCKED, "(bits + mesh.flit_bits - 1) // mesh.flit_bits",
           "bits // mesh.flit_bits"),
    Mutant("reference", "C8", "hops for nothing", CLOCKED, "self.listed.mesh.hop_cycles * journey.hops", "0"),
    Mutant("reference", "C8", "the quicker of flits and channel", CLOCKED,
           "channel.latency_cycles + travel + max(any_one, any_other)",
           "channel.latency_cycles + travel + min(any_one, any_other)"),
    Mutant("reference", "C8", "no bits take their time", CLOCKED, "if not bits:\n    return", ""),
    Mutant("reference", "C8", "free links are held", CLOCKED, "mesh.flit_bits is None and mesh.hop_cycles == 0", "False"),
    Mutant("reference", "C8", "no EOT", CARGO, "eot = mesh.header_bits", "eot = 0"),
    Mutant("reference", "C8", "merged planes without their bits", CARGO, "mesh.address_bits + len(planes) + mesh.header_bits",
           "mesh.address_bits + mesh.header_bits"),
    Mutant("reference", "C8", "values for free", CARGO, "mesh.address_bits + value_bits[plane] + mesh.header_bits",
           "mesh.address_bits + mesh.header_bits"),
    Mutant("reference", "C8", "all rows", CARGO, "range(*cargo.rows)", "range(source.shape[1])"),
    Mutant("lists", "C9", "all rows up to the field", STAGES,
           "range(first, first + self.kernel)", "range(0, first + self.kernel)"),
    Mutant("lists", "C9", "a field without its padding", STAGES, "self.stride * y - self.padding", "self.stride * y"),
    Mutant("lists", "C9", "depth of the shortest way", STAGES, "1 + max(before)", "1 + min(before)"),
    Mutant("lists", "C9", "no output buffer", LISTING, "sends and item >= self.buffer_planes", "False"),
    Mutant("lists", "C9", "no input buffer", LISTING, "item - self.pipeline.before(stage, self.buffer_planes)", "-1"),
    Mutant("lists", "C9", "a plane more in the input buffer", LISTING, "self.pipeline.before(stage, self.buffer_planes)",
           "self.pipeline.before(stage, self.buffer_planes + 1)"),
    Mutant("lists", "C9", "stages overlap", LISTING, "self.waits[key] |= set(members[before])",
           "self.waits[key] |= {members[before][-1]}"),
    Mutant("lists", "C9", "the list by timestep", LISTING, "return item + pipeline.depth(stage)", "return item"),
    Mutant("lists", "C9", "transfers before runs", LISTING, '{"events": 0, "run": 1, "send": 2}',
           '{"events": 1, "run": 2, "send": 0}'),
    Mutant("lists", "C9", "a barrier waits for the input", LISTING, "step.stage != INPUT", "True"),
    Mutant("lists", "C9", "transfers wait for barriers", LISTING, "self.steps[key].kind in WORK", "True"),
    Mutant("lists", "C9", "a barrier at the end", LISTING,
           "for tick, following in zip(ordered, ordered[1:], strict=False):\n    any_body",
           "for tick, following in zip(ordered, [*ordered[1:], ordered[-1]], strict=False):\n    any_body"),
    Mutant("lists", "C9", "sent to one core only", LISTING,
           "tuple(sorted({pipeline.stages[number].tiles[place].core for number, place in readers}))",
           "tuple(sorted({pipeline.stages[number].tiles[place].core for number, place in readers}))[:1]"),
    Mutant("lists", "C9", "what nobody reads is sent", LISTING, "leaves and not feeds", "leaves"),
    Mutant("lists", "C9", "a circle is left out", LISTING, "len(place) < len(self.steps)", "False"),
    Mutant("lists", "R27", "events wait for no passes", LISTING, 'if before >= 0:\n    yield "run", stage, before, tile', ""),
    Mutant("lists", "R27", "a bank more", LISTING, "item - self._banks(stage, tile)", "item - self._banks(stage, tile) - 1"),
    Mutant("lists", "R27", "passes wait for no events", LISTING, 'yield "events", stage, item, tile', ""),
    Mutant("lists", "R27", "passes in the tick of their events", LISTING, "late=1", "late=0"),
    Mutant("lists", "R27", "tiles of a core use a bank at once", LISTING, "kind != step.kind", "False"),
    Mutant("lists", "R27", "passes keep the input buffer", LISTING, '"events" if self._banks(stage, tile) else "run"', '"run"'),
)


# -- what a mutant is held to -----------------------------------------------------------------------------------------


@cache
def cases() -> tuple[tuple[ListCaseFields, ...], tuple[PipelineCaseFields, ...]]:
    document, known = read_document(CASES), ChipCases()
    return tuple(tuple(known.read((kind, entry)) for entry in document[kind]) for kind in ("operations", "pipelines"))


@cache
def lists() -> tuple[tuple[Listed, list[int]], ...]:
    """The lists of the vectors, and random ones."""
    return (*(operations_of(case) for case in cases()[0]), *(random_list(np.random.default_rng(seed)) for seed in range(150)))


def part_of(rng: np.random.Generator, span: tuple[int, int]) -> tuple[int, int]:
    low, high = sorted(int(n) for n in rng.choice(np.arange(span[0], span[1] + 1), 2, replace=False))
    return low, high


@cache
def cargoes() -> tuple[tuple[Transfer, Any, Any, np.ndarray], ...]:
    """Transfers by sample, each with the mesh, the network and the planes."""
    found = []
    for seed in range(120):
        if (drawn := draw(seed)) is not None:
            program = meshed(drawn[0], drawn[-1])
            sample = random_sample(drawn[-1], program.network)
            for op in program.operations:
                if isinstance(op, Transfer) and op.cargo is not None:
                    op = replace(op, cargo=replace(op.cargo, rows=part_of(drawn[-1], op.cargo.rows),
                                                   channels=part_of(drawn[-1], op.cargo.channels)))
                    name = program.network.layers[op.layer].name if op.layer >= 0 else ""
                    found.append((op, program.mesh, program.network, sample.recorded[name] if name else sample.inputs))
    return tuple(found)


def times_of(target: str, made: Modules, listed: Listed, cycles: list[int]) -> ListTimes:
    if target == "fast":
        return made[ORDER].ListPack(listed).list_times(cycles)
    clock = made[f"{REFERENCE}.clock"].Clock()

    def run(operation: Any) -> Iterator[Any]:
        yield clock.at(clock.now + cycles[operation.id], made[f"{REFERENCE}.clock"].CHIP)

    order = made[CLOCKED].Order(clock, listed, run, lambda operation: operation.bits)
    order.execute()
    return order.times()


def bits_of(target: str, made: Modules, given: tuple[Any, ...]) -> int:
    op, mesh, network, planes = given
    if target == "fast":
        return made[COUNTING].cargo_bits_of(op, mesh, network, planes)
    return made[CARGO].bits_by_sample(op, op.cargo, mesh, network, planes)


@cache
def expected(other: str) -> tuple[list[tuple[list[int], ...]], list[int]]:
    """What the engine that is whole answers to everything."""
    made = copies_of(MODULES[other], {}) if other == "reference" else _real()
    return ([answer(times_of(other, made, *given)) for given in lists()], [bits_of(other, made, given) for given in cargoes()])


def _real() -> Modules:
    from importlib import import_module

    return {name: import_module(name) for name in MODULES["fast"]}


def answer(times: ListTimes) -> tuple[list[int], ...]:
    return tuple(getattr(times, name).tolist() for name in ("ready", "start", "end", "link_bits", "link_hops"))


def of_engine(target: str, made: Modules) -> str | None:
    by_list, by_cargo = expected({"fast": "reference", "reference": "fast"}[target])
    for place, (given, its) in enumerate(zip(lists(), by_list, strict=True)):
        if answer(times_of(target, made, *given)) != its:
            return f"list {place}"
    for place, (given, bits) in enumerate(zip(cargoes(), by_cargo, strict=True)):
        if bits_of(target, made, given) != bits:
            return f"cargo {place}"
    return None


def of_lists(made: Modules) -> str | None:
    """The first pipeline of the vectors with another answer, or random pipeline whose list is not what C9's text says."""
    listing = made[LISTING]
    for case in cases()[1]:
        found, times = steps_with(made, case), None
        if found is not None:
            times = FastEngine().run_list(*list_of_case(case, found))
        rows = [] if found is None or times is None else [
            [step.kind, step.stage, step.item, step.tile, int(start), int(end)]
            for step, start, end in zip(found, times.start, times.end, strict=True)]
        if (found is None) != case.expect.refused or rows != case.expect.operations:
            return f"pipeline {case.id}"
    for seed in range(150):
        pipeline = copied(made, random_drawing(np.random.default_rng(seed), pipes=seed % 3 == 0).pipeline)
        discipline = list(listing.DISCIPLINES.values())[seed % 4]
        planes, barrier = 1 + seed % 3, discipline.ticks and seed % 5 == 0
        try:
            steps = listing.steps_of(pipeline, discipline, planes, barrier)
        except ProgramError:
            continue
        check_steps(steps, pipeline, discipline.name, planes, barrier)
    return None


def copied(made: Modules, real: Pipeline) -> Any:
    """The pipeline in the words of a copy."""
    stages = made[STAGES]
    whole = [stages.Stage(one.height, tuple(stages.StageTile(t.core, t.rows, banks=t.banks) for t in one.tiles))
             for one in (*real.stages, *([real.source] if real.source else []))]
    wires = [stages.Wire(w.source, w.target, w.kernel, w.stride, w.padding) for w in real.wires]
    return stages.Pipeline(tuple(whole[: len(real.stages)]), tuple(wires), real.items, whole[-1] if real.source else None,
                           real.travels, real.leaves)


def steps_with(made: Modules, case: PipelineCaseFields) -> Any:
    """The list that a copy makes; None where it refuses."""
    listing = made[LISTING]
    try:
        return listing.steps_of(copied(made, pipeline_of(case)), listing.DISCIPLINES[case.schedule, case.order],
                                case.buffer_planes, case.barrier is not None)
    except ProgramError:
        return None


def first_difference(target: str, made: Modules) -> str | None:
    """Where a copy first differs from what judges it; an exception that it raises differs, too."""
    try:
        return of_lists(made) if target == "lists" else of_engine(target, made)
    except Exception as error:  # whatever a broken machine may run into
        return type(error).__name__


@pytest.mark.parametrize("one", [
    pytest.param(one, id=f"{one.rule} {one.target}: {one.name}", marks=[] if everyday else pytest.mark.slow)
    for one, everyday in by_default(MUTANTS, lambda one: (one.target, one.rule))])
def test_mutant_is_caught(one: Mutant) -> None:
    assert first_difference(one.target, one.copies()) is not None


def test_every_mutant_still_applies() -> None:
    """Those that are slow tests, too: an edit that finds nothing would be noticed late."""
    for one in MUTANTS:
        apply(Edit(one.module, "", one.old, one.new), ast.parse(source_of(one.module)), one.name)


@pytest.mark.parametrize("target", MODULES)
def test_an_unharmed_copy_agrees(target: str) -> None:
    """Or being caught would mean nothing. A kernel that is in no copy runs as it is compiled."""
    assert first_difference(target, copies_of(MODULES[target], {})) is None


def test_every_rule_is_broken_twice_in_each_place() -> None:
    assert len({(one.target, one.name) for one in MUTANTS}) == len(MUTANTS)
    broken = Counter((one.target, one.rule) for one in MUTANTS)
    engines = {(engine, rule) for engine in ("fast", "reference") for rule in ("C7", "C8")}
    assert set(broken) == {*engines, ("lists", "C9"), ("lists", "R27")}
    assert min(broken.values()) >= 2
    assert len(DISCIPLINES) == 4
