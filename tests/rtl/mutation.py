"""Mutants: copies of the hardware or of an engine in which one rule is broken, and the check that must notice.

A mutant is a text edit of a module's source. The module and those around it are executed again, beside the real ones, which
stay as they are: nothing in the hardware knows of this. An edit whose old text does not occur exactly once is an error.
Hardware is held against the reference engine, the reference engine against the fast one and the fast one against the reference
engine, on the stimuli of one design of tests/rtl/cases.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal

import numpy as np

import hwsim
from hwsim.activity import INDEX
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import clock, core, tokens
from hwsim.record import CoreLog
from hwsim.rtl.stimulus import NOT_THE_CORES, Stimulus
from tests.rtl.cases import STRATA, differences, draw

ROOT = Path(hwsim.__file__).parents[1]
Target = Literal["rtl", "reference", "fast"]
Modules = Mapping[str, ModuleType]

# What a copy consists of, each module after those that it imports. Kernels run compiled as they are unless they are edited.
HARDWARE = tuple(f"hwsim.rtl.{name}" for name in (
    "wires", "coverage", "pass_plan", "dataflow", "parameters", "operation", "fifo", "memories", "single_port", "visits",
    "address_generator", "visit_addresses", "issue", "bit_slots", "plane_sums", "lanes", "merged_lane", "serialiser",
    "word_writer", "word_register", "accumulators", "sequencer", "flow_sequencer", "gather_sequencer", "activity", "core",
    "flow_core", "gather_core", "cores", "buffer_rows", "window_rows", "row_events", "window_scanner", "scanned_core"))
COPIED: Mapping[Target, tuple[str, ...]] = {
    "rtl": (*HARDWARE, *(f"hwsim.rtl.{name}" for name in ("stimulus", "observer", "machine", "scan_machine"))),
    "reference": tuple(f"hwsim.engine.reference.{name}" for name in (
        "clock", "checks", "memory", "window", "tokens", "merged", "lanes", "fifo", "writers", "execute", "sweeps",
        "sequencer", "core")),
    "fast": tuple(f"hwsim.engine.fast.{name}" for name in (
        "kernels.arithmetic", "kernels.flags", "kernels.timing", "kernels.dataflow", "kernels.patterns", "counting", "sweep_plan",
        "packing", "feeds", "flow_log", "gather_pack", "core", "dataflow", "tokens", "chip")),
}
PACKAGES: Mapping[Target, str] = {"rtl": "hwsim.rtl.", "reference": "hwsim.engine.reference.", "fast": "hwsim.engine.fast."}


class MutationError(Exception):
    """A mutant that cannot be made: the source has moved on; edit the mutant so that it breaks its rule again."""


@dataclass(frozen=True)
class Edit:
    """`old` becomes `new` in a module, named as in COPIED without its package, `_` for a dot."""

    module: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """Breaks `rule` of docs/cycle-model.md. `receiver_waits`: shows only when spikes are not taken at once."""

    target: Target
    rule: str
    name: str
    edits: tuple[Edit, ...]
    receiver_waits: bool = False

    @property
    def id(self) -> str:
        return f"{self.target}: {self.name}"


def _short(target: Target, name: str) -> str:
    return name.removeprefix(PACKAGES[target]).replace(".", "_")


def source_of(name: str) -> str:
    return ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8")


def edited(mutant: Mutant) -> dict[str, str]:
    """Sources of the modules that the mutant changes, by full name; MutationError unless every edit fits once."""
    sources: dict[str, str] = {}
    for edit in mutant.edits:
        name = next((n for n in COPIED[mutant.target] if _short(mutant.target, n) == edit.module), None)
        if name is None:
            raise MutationError(f"{mutant.id}: no module {edit.module!r} is copied for {mutant.target}")
        source = sources.get(name) or source_of(name)
        if edit.old == edit.new or source.count(edit.old) != 1:
            raise MutationError(
                f"{mutant.id}: {name} holds {edit.old!r} {source.count(edit.old)} times, expected once; the source has changed, "
                "so write the edit anew")
        sources[name] = source.replace(edit.old, edit.new)
    return sources


def mutant(
    target: Target, rule: str, name: str, receiver_waits: bool = False, **edits: tuple[str, str] | list[tuple[str, str]]
) -> Mutant:
    """A Mutant whose edits are (old, new), or a list of those, by module."""
    pairs = {module: [given] if isinstance(given, tuple) else given for module, given in edits.items()}
    return Mutant(target, rule, name, tuple(Edit(module, old, new) for module, given in pairs.items() for old, new in given),
                  receiver_waits)


@cache
def _compiled(name: str) -> CodeType:
    return _code(name, source_of(name))


def _code(name: str, source: str) -> CodeType:
    return compile(source, f"<copy of {name}>", "exec", dont_inherit=True)


def copies(target: Target, sources: Mapping[str, str] | None = None) -> Modules:
    """The modules of `target`, with `sources` in the place of their own; the real ones stay as they are.

    Executed again are those from the first edited one on (all if none is): what comes before cannot know of the edit.
    """
    sources = sources or {}
    listed = [name for name in COPIED[target] if name in sources or ".kernels." not in name]
    first = min((listed.index(name) for name in sources), default=0)
    made = {name: import_module(name) for name in listed[:first]}
    kept = {name: sys.modules.get(name) for name in (*listed, "numba")}
    try:
        # A kernel that is edited runs as the Python it is written in: compiling it would take longer than running it.
        sys.modules["numba"] = _plain_python()
        for name in listed[first:]:
            made[name] = sys.modules[name] = ModuleType(name)
            exec(_code(name, sources[name]) if name in sources else _compiled(name), vars(made[name]))
            _give_kernels(made, made[name])
    finally:
        for name, module in kept.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
    return made


def _plain_python() -> ModuleType:
    numba = ModuleType("numba")
    numba.njit = lambda **_: lambda function: function  # type: ignore[attr-defined]
    return numba


def _give_kernels(made: Modules, module: ModuleType) -> None:
    """`from hwsim.engine import kernels_x` reads the package, which knows the real module: put the copy there."""
    for alias, value in vars(module).copy().items():
        if isinstance(value, ModuleType) and value.__name__ in made:
            setattr(module, alias, made[value.__name__])


# -- running ------------------------------------------------------------------------------------------------------


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


REAL_REFERENCE = {module.__name__: module for module in (clock, core, tokens)}
FAST = FastEngine()


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
    vars(its_machine)["PATIENCE"] = 100 + 10 * max(judged.log.done for judged in expected(seed, "rtl"))
    bench = its_machine.Machine(its_stimulus.parameters_of(stimuli))
    logs = bench.run(stimuli, *([every_third] if receiver_waits else []))
    yield from (Outcome(log, levels) for log, levels in zip(logs, bench.levels, strict=True))


# -- checking -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Catch:
    """Where a mutant was noticed: the design, which of its stimuli, and the field in which the difference first shows."""

    seed: int
    stimulus: int
    field: str

    @property
    def check(self) -> str:
        return f"design {self.seed} ({STRATA[self.seed % len(STRATA)].name}), stimulus {self.stimulus}"


def caught(mutant: Mutant, seed: int) -> Catch | None:
    """Whether a design's stimuli show that the mutant is not what it should be."""
    return difference(mutant.target, copies(mutant.target, edited(mutant)), seed, mutant.receiver_waits)


def difference(target: Target, made: Modules, seed: int, receiver_waits: bool = False) -> Catch | None:
    """The first difference between the copies and the engine that judges them; None if there is none."""
    number = 0
    try:
        for number, (mine, its) in enumerate(zip(
                outcomes(target, made, seed, receiver_waits), expected(seed, target), strict=True)):
            first = next(_differences(target, mine, its, receiver_waits), None)
            if first is not None:
                return Catch(seed, number, first)
    except TimeoutError:
        return Catch(seed, number, "done (never)")
    except RuntimeError as error:
        # SimPy when nothing is left to wait for; a memory when a port is used twice in a cycle.
        if target != "reference" or "generator" in str(error):
            raise
        return Catch(seed, number, f"refused: {str(error).split(';')[0].split(' in cycle')[0][:40]}")
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
