"""Mutants, and how one is noticed: it is run where its rule matters and held against what judges it.

Hardware is held against the reference engine, each engine against the other. A place is a name. `design 17` is what
tests/rtl/cases.py draws from that seed (R1 to R18). The others are fed from planes (R19 to R25): `run 5` is random, `flagged 7`
looks at flags first, `tile 3` is some rows of a strided layer, `tiny 9`, `full 0` and `flags 5`, which looks at flags first, are
small enough for the hardware, `vector 42` is a published case.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np

from hwsim.activity import INDEX
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine, clock, core, tokens
from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec, ProgramError
from hwsim.record import CoreLog
from hwsim.rtl.coverage import uncovered
from hwsim.rtl.stimulus import NOT_THE_CORES, Stimulus
from hwsim.snn.network import Connection
from tests.engine.dataflow_cases import load_cases
from tests.engine.random_runs import RandomRun, random_counting_run, random_flagged_run, random_run, random_skipping_run
from tests.mutants.copies import Modules, Target, copies, edited
from tests.mutants.edits import Edit, EditError
from tests.rtl.cases import DECAYING, STRATA, differences, draw
from tests.rtl.dataflows import scanned_differences

Judge = Literal["tokens", "planes"]
RUNS = {"run": 120, "flagged": 240, "tile": 10}
TINY_RUNS, SKIPPING_RUNS, COUNTING_RUNS = 600, 100, 100
PRESSES = {"R19": ("order", "gather"), "R20": ("order", "gather"), "R21": ("planes_per_token", "all"), "R22": ("writer", "word"),
           "R23": ("membrane_ports", "1rw"), "R24": ("passes", "by_word"), "R25": ("mask_first", True)}
"""By rule, the setting of the core in which hardware is asked: others cannot show it."""
"""Random runs fed from planes that are looked through, by kind."""
FIELDS = ("push", "pop", "issue", "spikes", "done", "saturations", "potentials", "currents", "flags", "counts")
FAST, REFERENCE = FastEngine(), ReferenceEngine()
REAL_REFERENCE = {module.__name__: module for module in (clock, core, tokens)}


@dataclass(frozen=True)
class Mutant:
    """Breaks `rule` of docs/cycle-model.md in a target.

    judge            what it is run on: runs given as tokens, or runs fed from planes.
    receiver_waits   it shows only when spikes are not taken at once.
    """

    target: Target
    rule: str
    name: str
    edits: tuple[Edit, ...]
    judge: Judge = "tokens"
    receiver_waits: bool = False

    @property
    def id(self) -> str:
        return f"{self.target}: {self.name}"

    def edited(self) -> dict[str, ast.Module]:
        """The modules that the mutant changes, by full name. EditError if an edit does not fit."""
        try:
            return edited(self.target, self.edits)
        except EditError as error:
            raise EditError(f"{self.rule}, {self.id}: {error}") from error

    def copies(self) -> Modules:
        """The target's modules with the mutant in them."""
        return copies(self.target, self.edited())


def mutant(target: Target, rule: str, name: str, *edits: Edit, judge: Judge = "tokens", receiver_waits: bool = False) -> Mutant:
    return Mutant(target, rule, name, edits, judge, receiver_waits)


@dataclass(frozen=True)
class Catch:
    """Where a mutant was noticed, and the field in which the difference first shows."""

    place: str
    field: str


def places(mutant: Mutant) -> Iterator[str]:
    """Where it might be noticed, without end for designs."""
    if mutant.judge == "planes" and mutant.target == "rtl":
        kind = "flags" if mutant.rule == "R25" else "tiny"
        yield from (place for place in ("full 0", *(f"{kind} {n}" for n in range(TINY_RUNS))) if presses(mutant.rule, place))
    elif mutant.rule == "R26":
        yield from (f"zeros {seed}" for seed in range(SKIPPING_RUNS))
    elif mutant.rule == "R28":
        yield from (f"counts {seed}" for seed in range(COUNTING_RUNS))
    elif mutant.judge == "planes":
        yield from (f"{kind} {seed}" for kind, most in RUNS.items() for seed in range(most))
        yield from (f"vector {case.id}" for case in load_cases())
    else:
        # Only designs from DECAYING on have decays.
        first = DECAYING if "decay" in mutant.name else 0
        yield from (f"design {seed}" for seed in range(first, 1 << 20))


def presses(rule: str, place: str) -> bool:
    setting, value = PRESSES[rule]
    return bool(getattr(drawn_run(place).run.core, setting) == value)


def caught(mutant: Mutant, place: str, made: Modules | None = None) -> Catch | None:
    """Whether a place shows that the mutant is not what it should be."""
    return difference(mutant.target, mutant.copies() if made is None else made, place, mutant.receiver_waits)


def difference(target: Target, made: Modules, place: str, receiver_waits: bool = False) -> Catch | None:
    """The first difference between the copies and what judges them; None if there is none."""
    kind, number = place.split()
    if kind == "design":
        field = _by_tokens(target, made, int(number), receiver_waits)
    else:
        field = _by_planes(target, made, place)
    return None if field is None else Catch(place, field)


def stratum(place: str) -> str:
    """What a design presses on; nothing of other places."""
    kind, number = place.split()
    return f"{place} ({STRATA[int(number) % len(STRATA)].name})" if kind == "design" else place


# -- runs given as tokens -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one run did; `levels`: the values that were sent, spike by spike."""

    log: CoreLog
    levels: list[int]


class Sent(list[int]):
    """Stands in for the reference engine's output buffer: remembers the values in the order of their sending."""

    def __setitem__(self, place: Any, value: Any) -> None:
        self.append(int(value))


def reference_outcome(made: Modules, given: Stimulus) -> Outcome:
    at = made["hwsim.engine.reference.clock"].Clock()
    stream = made["hwsim.engine.reference.tokens"].given_stream(given.tokens, given.gaps, given.earliest)
    sent = Sent()
    run = made["hwsim.engine.reference.core"].ReferenceCore(at, given.run, stream, *given.arguments[4:], output=sent)
    at.run(until=at.process(run.process()))
    return Outcome(run.core_log(), list(sent))


@cache
def design(seed: int) -> tuple[Stimulus, ...]:
    return tuple(draw(seed))


@cache
def expected(seed: int, target: Target) -> tuple[Outcome, ...]:
    """What the unharmed engine that judges `target` answers to a design's stimuli."""
    outcomes = tuple(reference_outcome(REAL_REFERENCE, given) for given in design(seed))
    if target != "reference":
        return outcomes
    # The fast engine's log does not hold values sent: for these the reference engine is judged by itself.
    return tuple(Outcome(FAST.run_core(*given.arguments), outcome.levels)
                 for given, outcome in zip(design(seed), outcomes, strict=True))


def every_third(cycle: int) -> bool:
    return cycle % 3 == 0


def outcomes(target: Target, made: Modules, seed: int, receiver_waits: bool = False) -> Iterator[Outcome]:
    """What the copies do with a design's stimuli, one after the other."""
    if target == "rtl":
        yield from _hardware(made, seed, receiver_waits)
    elif target == "reference":
        yield from (reference_outcome(made, given) for given in design(seed))
    else:
        engine = made["hwsim.engine.fast.chip"].FastEngine()
        with np.errstate(over="ignore"):
            for given, judged in zip(design(seed), expected(seed, target), strict=True):
                yield Outcome(engine.run_core(*given.arguments), judged.levels)


def _hardware(made: Modules, seed: int, receiver_waits: bool) -> Iterator[Outcome]:
    stimuli = list(design(seed))
    its_machine, its_stimulus = made["hwsim.rtl.machine"], made["hwsim.rtl.stimulus"]
    # Nothing that works takes that long: a mutant that hangs is soon known to.
    patience = 100 + 10 * max(judged.log.done for judged in expected(seed, "rtl"))
    bench = its_machine.Machine(its_stimulus.parameters_of(stimuli))
    logs = bench.run(stimuli, *([every_third] if receiver_waits else []), patience=patience)
    yield from (Outcome(log, levels) for log, levels in zip(logs, bench.levels, strict=True))


def _by_tokens(target: Target, made: Modules, seed: int, receiver_waits: bool) -> str | None:
    try:
        for mine, its in zip(outcomes(target, made, seed, receiver_waits), expected(seed, target), strict=True):
            first = next(_differences(target, mine, its, receiver_waits), None)
            if first is not None:
                return first
    except TimeoutError:
        return "done (never)"
    except RuntimeError as error:
        # SimPy when nothing is left to wait for; a memory when a port is used twice in a cycle.
        if target != "reference" or "generator" in str(error):
            raise
        return f"refused: {str(error).split(';')[0].split(' in cycle')[0][:40]}"
    return None


def _differences(target: Target, mine: Outcome, its: Outcome, receiver_waits: bool) -> Iterator[str]:
    """Names of the fields that differ, the earliest in a run first."""
    if receiver_waits:
        mine, its = (replace(outcome, log=_untimed(outcome.log)) for outcome in (mine, its))
    yield from (found.split(":")[0] for found in differences(mine.log, its.log))
    if target != "rtl":
        for name in NOT_THE_CORES:
            if (mine.log.counts[:, INDEX[name]] != its.log.counts[:, INDEX[name]]).any():
                yield name
    # A binary spike carries no value: the hardware leaves its level at zero, the engines write 1.
    if [level or 1 for level in mine.levels] != its.levels:
        yield "levels"


def _untimed(log: CoreLog) -> CoreLog:
    """What a receiver that waits must not change: which spikes leave in which order, and what is left in the memories."""
    none = np.zeros(0, np.int64)
    spikes = log.spikes.copy()
    spikes[:, 0] = 0
    counts = log.counts.copy()
    counts[:, [column for name, column in INDEX.items() if name.startswith("cycles_")]] = 0
    return replace(log, push=none, pop=none, issue=none, done=0, spikes=spikes, counts=counts)


# -- runs fed from planes -----------------------------------------------------------------------------------------


def strided_tile(rng: np.random.Generator) -> RandomRun:
    """Some rows of a run whose fields leave rows between them out."""
    while True:
        case = random_run(rng)
        wire = case.run.connections[0]
        kernel, stride, _ = wire.axes[0]
        if case.run.shape[1] > 2 and stride > 1 and wire.operator != "linear" and kernel < stride:
            case = case.with_core(order="scatter", planes_per_token="one", multiplier="parallel")
            return replace(case, run=replace(case.run, rows=(0, 2)))


def tiny_run(rng: np.random.Generator) -> RandomRun:
    """A run of a few words and events, which the hardware covers and soon has done; no engine refuses it."""
    while True:
        drawn = random_run(rng)
        case = replace(drawn, run=replace(drawn.run, rows=None)).with_core(buffer="bitmap", mask_first=False)
        if not case.run.core.plain and is_small(case):
            return case


def flags_first_run(rng: np.random.Generator) -> RandomRun:
    """The same for a run that looks at flags first."""
    while True:
        drawn = random_flagged_run(rng)
        case = replace(drawn, run=replace(drawn.run, rows=None)).with_core(
            buffer="bitmap", passes="by_pass", planes_per_token="one", multiplier="parallel")
        if is_small(case):
            return case


def is_small(case: RandomRun) -> bool:
    run = case.run
    if run.words > 12 or run.core.lanes > 3 or sum(each.size for each in case.planes) > 80 or list(uncovered(run)):
        return False
    try:
        return FAST.run_planes(*case.arguments).done < 120
    except ProgramError:
        return False


def full_run(rng: np.random.Generator) -> RandomRun:
    """Visits that begin with potentials of their own, receive nothing and spike on all lanes, so that EXEC waits in each."""
    shape = (12, 1, 1)
    table = PassTable(1, (Pass(1, "fire", 3),), rng.integers(3, 30, shape))
    core = CoreSpec(4, 8, 8, 4, True, "weight", "bitmap", order="gather")
    wire = Connection("a", "linear", (2, 1, 1), np.ones((12, 2), np.int64))
    nothing = np.zeros(shape, np.int64)
    run = CoreRun(core, shape, (0, 3), (wire,), table, 8, 8, clear=True)
    return RandomRun("full", run, (np.zeros((1, 1, 1, 2), np.int64),), 1, nothing, nothing, nothing)


DRAWS = {"full": full_run, "tiny": tiny_run, "flags": flags_first_run, "run": random_run, "flagged": random_flagged_run,
         "tile": strided_tile, "zeros": random_skipping_run, "counts": random_counting_run}


@cache
def drawn_run(place: str) -> RandomRun:
    kind, number = place.split()
    return DRAWS[kind](np.random.default_rng(int(number)))


@cache
def planes(place: str) -> tuple[tuple[Any, ...], CoreLog, CoreLog] | None:
    """Arguments of `run_planes`, and what the unharmed fast and reference engines answer; None if they refuse them."""
    kind, number = place.split()
    if kind == "vector":
        arguments = next(case for case in load_cases() if case.id == int(number)).arguments
    else:
        arguments = drawn_run(place).arguments
    try:
        return arguments, FAST.run_planes(*arguments), REFERENCE.run_planes(*arguments)
    except ProgramError:
        return None


def _by_planes(target: Target, made: Modules, place: str) -> str | None:
    known = planes(place)
    if known is None:
        return None
    arguments, by_fast, by_reference = known
    if target == "rtl":
        return _by_scanned_hardware(made, arguments, by_reference)
    judge = by_fast if target == "reference" else by_reference
    try:
        seen = plane_log(target, made, arguments)
    except Exception as error:  # whatever a broken machine may run into
        return type(error).__name__
    return next((field for field in FIELDS if not np.array_equal(getattr(seen, field), getattr(judge, field))), None)


def _by_scanned_hardware(made: Modules, arguments: tuple[Any, ...], judge: CoreLog) -> str | None:
    """The hardware has no output buffer, no pooling unit, and does not weigh the values that it reads (A4)."""
    machine = made["hwsim.rtl.scan_machine"]
    run, fed, eots, *states = arguments
    given = made["hwsim.rtl.stimulus"].PlaneStimulus(run, tuple(fed), eots, *(state.copy() for state in states))
    try:
        log, = machine.ScanMachine(machine.buffer_of(run, fed)).run_planes([given], patience=100 + 10 * judge.done)
    except TimeoutError:
        return "done (never)"
    return next((text.split(":")[0] for text in scanned_differences(log, judge)), None)


def plane_log(target: Target, made: Modules, arguments: tuple[Any, ...]) -> CoreLog:
    """`Engine.run_planes` on copies of an engine's modules; the reference engine's chip is not among them."""
    if target == "fast":
        log: CoreLog = made["hwsim.engine.fast.chip"].FastEngine().run_planes(*arguments)
        return log
    run, fed, eots, *states = arguments
    at = made["hwsim.engine.reference.clock"].Clock()
    stream = made["hwsim.engine.reference.tokens"].plane_stream(run, fed, eots)
    flags = states[2] if len(states) > 2 else np.zeros(run.shape, np.int64)
    its_core = made["hwsim.engine.reference.core"].ReferenceCore(at, run, stream, states[0], states[1], flags)
    its_core.count_pools()
    at.run(until=at.process(its_core.process()))
    log = its_core.core_log()
    return log
