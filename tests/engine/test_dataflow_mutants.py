"""Every dataflow rule is held by a check: break R19 to R25 in an engine, and a vector or the other engine shows it.

The mutants are text edits, made and run as those of tests/rtl/mutation.py are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="the machinery of mutants is beside the golden hardware: pip install 'hwsim[rtl]'")

from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.program import ProgramError
from hwsim.record import CoreLog
from tests.engine.dataflow_cases import load_cases
from tests.engine.random_runs import RandomRun, random_flagged_run, random_run
from tests.rtl.mutation import Modules, Mutant, Target, copies, edited, mutant

reference, fast = partial(mutant, "reference"), partial(mutant, "fast")
FIELDS = ("push", "pop", "issue", "spikes", "done", "saturations", "potentials", "currents", "flags", "counts")

MUTANTS: tuple[Mutant, ...] = (
    reference("R19", "a visit takes one word more", window=("min(low + held, groups)", "min(low + held + 1, groups)")),
    reference("R19", "no stores", sequencer=("if self.gathers and self.run.keep:", "if False:")),
    reference("R19", "a current that nothing changed is stored", sequencer=(
        "table.direct and self.run.current_fed", "table.direct")),
    reference("R20", "a row is read again", window=("fresh = row != last_read", "fresh = True")),
    reference("R20", "a window without its padding", window=(
        "connection.stride * visit.y - padding", "connection.stride * visit.y")),
    reference("R20", "a folded window is not larger", window=(
        'connection.pool if connection.pool_mode == "folded"', "connection.pool if False")),
    reference("R20", "an event is known before its row is read", window=(
        "(row + 1) * scan_bits) // bits", "(row + 2) * scan_bits) // bits")),
    reference("R21", "a token takes one slot", merged=("return Work(len(in_slots), factors", "return Work(1, factors")),
    reference("R21", "popped in the first slot", sequencer=("elif work.slots > 1:", "elif False:")),
    reference("R21", "the terms of a slot are clipped one by one", merged=(
        "factors = tuple(sign * sum(1 << bit for bit in slot) for slot in in_slots)",
        "factors = tuple(sign * (1 << bit) for slot in in_slots for bit in slot)")),
    reference("R21", "sums of one plane only", merged=("tuple(bits), len(bits), 0, False)", "(0,), len(bits), 0, False)")),
    reference("R21", "sums are left where they are", lanes=("self.sums.pop((operation.word, plane), self.zeros)",
                                                            "self.sums.get((operation.word, 0), self.zeros)")),
    reference("R22", "a word's spikes leave one after the other", core=('if run.core.writer == "word" else', "if False else")),
    reference("R22", "one row per spike", writers=(
        '            self.operation.activity["buffer_write"] += 1\n            while self.waiting:\n',
        '            self.operation.activity["buffer_write"] += len(self.waiting)\n            while self.waiting:\n')),
    reference("R23", "one port stalls equal words only", sequencer=(
        'return "cycles_stall_port" if busy else ""',
        'return "cycles_stall_port" if busy and ahead.word == operation.word else ""')),
    reference("R23", "a stall at the port is a hazard", sequencer=(
        '"cycles_stall_port" if busy', '"cycles_stall_hazard" if busy')),
    reference("R24", "every pass reads", sweeps=("if memory not in known)", "if True)")),
    reference("R24", "always written back", sweeps=(
        "needed = not by_word or run.keep or marks < core.stream.eots", "needed = True")),
    reference("R24", "pass by pass", sequencer=('if self.run.core.passes == "by_word":', "if False:")),
    reference("A5", "slots are not busy", sequencer=('activity["cycles_busy"] += slots', 'activity["cycles_busy"] += 1')),
    reference("R25", "rows between the fields are read", window=(
        "rows = sorted({row for field in fields for row in field})",
        "rows = range(min([min(f) for f in fields if f] or [0]), 1 + max([max(f) for f in fields if f] or [-1]))")),
    reference("R25", "a tile reads all rows", window=("if run.cut_by_rows:", "if False:")),
    reference("R25", "a tile's neurons are those of the first rows", memory=(
        "return self.first_row + y, x,", "return y, x,")),
    reference("R25", "flags that are being written are not waited for", sequencer=(
        "if ahead is not None and ahead.word == word and mask in ahead.writes and not self.run.core.bypass:", "if False:")),
    reference("R25", "lanes without a neuron are asked as well", sequencer=(
        "operation.flags[: self.core.layout.real_lanes(word)].all()", "operation.flags.all()")),
    reference("R25", "neurons that are off are added to", lanes=("self._only_on(operation.weights, off)", "operation.weights")),
    reference("R25", "banks of lanes without a neuron", memory=(
        "-(-self.real_lanes(word) * bits // bank_bits)", "-(-self.lanes * bits // bank_bits)")),
    reference("R25", "a bank that is not full is not counted", memory=(
        "-(-self.real_lanes(word) * bits // bank_bits)", "self.real_lanes(word) * bits // bank_bits")),
    fast("R19", "a visit takes one word more", kernels_dataflow=("min(low + held, groups)", "min(low + held + 1, groups)")),
    fast("R19", "loads are never made", dataflow=("if self.gathers and not run.clear else 0)", "if False else 0)")),
    fast("R20", "a row is read again", kernels_dataflow=("(row_0 != last_row)", "1")),
    fast("R20", "an event is known with its first bit", kernels_patterns=(
        "((first + channel) * bits - 1)", "((first + channel - 1) * bits)")),
    fast("R21", "one adder", dataflow=("kp.count_patterns(events.values[:number], self.run.core.adders,",
                                            "kp.count_patterns(events.values[:number], 1,")),
    fast("R21", "sums go on from plane to plane", dataflow=("        self._sums[...] = 0\n", "")),
    fast("R22", "a word's spikes leave one after the other", flow_log=("(0 if word_writer else rank)", "rank")),
    fast("R22", "EXEC waits for the word writer", kernels_dataflow=("if word_writer:\n", "if False:\n")),
    fast("R23", "only the first word of an event stalls", kernels_dataflow=(
        "every = 1 if single and adds_to else 0", "every = 0")),
    fast("R23", "passes do not stall at the port", kernels_dataflow=("if writes & step[READS]:", "if False:")),
    fast("R24", "every pass reads", sweep_plan=("reads = _used(p, direct) & ~held", "reads = _used(p, direct)")),
    fast("R24", "always written back", sweep_plan=("if last and (needed or not by_word):", "if last:")),
    fast("R25", "a tile reads all rows", feeds=("if run.cut_by_rows:", "if False:")),
    fast("R25", "a row is read again", feeds=("again[1:] = first[1:] == last[:-1]", "again[1:] = False")),
    fast("R25", "a tile's neurons are those of the first rows", packing=("+ position + self.span[0]", "+ position")),
    fast("R25", "a skipped operation takes the slots of its token", kernels_masked=("free = slot + 1", "free = slot + m")),
    fast("R25", "flags that are being written are not waited for", kernels_masked=(
        "if meets and same and claims & FLAGS and not bypass:", "if False:")),
    fast("R25", "a skipped operation waits for the port", kernels_masked=(
        "            if quiet[this]:\n                free = slot + 1",
        "            if quiet[this]:\n                free = slot + 1 + (meets and single)")),
    fast("R25", "one neuron that is off is enough", masked=("np.minimum.reduceat", "np.maximum.reduceat")),
    fast("R25", "banks of lanes without a neuron", counting=(
        "last = high - low - (run.groups[1] - run.groups[0] - 1) * core.lanes", "last = core.lanes")),
    fast("R25", "words of the last group are not told apart", kernels_patterns=("found += positions", "found += 0")),
    fast("A5", "slots are not busy", kernels_dataflow=(
        "            busy += count * m\n        else:", "            busy += count\n        else:")),
)


def reference_logs(made: Modules | None, arguments: tuple[Any, ...]) -> CoreLog:
    """`ReferenceEngine.run_planes` on a copy of the modules of a core; chip.py is not among them."""
    if made is None:
        return ReferenceEngine().run_planes(*arguments)
    run, planes, eots, *states = arguments
    at = made["hwsim.engine.reference.clock"].Clock()
    stream = made["hwsim.engine.reference.tokens"].plane_stream(run, planes, eots)
    flags = states[2] if len(states) > 2 else np.zeros(run.shape, np.int64)
    core = made["hwsim.engine.reference.core"].ReferenceCore(at, run, stream, states[0], states[1], flags)
    core.count_pools()
    at.run(until=at.process(core.process()))
    return core.core_log()


def log_of(one: Mutant, made: Modules, arguments: tuple[Any, ...]) -> CoreLog:
    if one.target == "reference":
        return reference_logs(made, arguments)
    return made["hwsim.engine.fast.chip"].FastEngine().run_planes(*arguments)


@cache
def judged() -> tuple[tuple[tuple[Any, ...], CoreLog, CoreLog], ...]:
    """Every third vector and random runs, with what the unharmed fast and reference engines answer."""
    found = []
    for arguments in stimuli():
        try:
            found.append((arguments, FastEngine().run_planes(*arguments), ReferenceEngine().run_planes(*arguments)))
        except ProgramError:
            continue
    return tuple(found)


def stimuli() -> Iterator[tuple[Any, ...]]:
    yield from (case.arguments for case in load_cases()[::3])
    yield from (random_run(np.random.default_rng(seed)).arguments for seed in range(120))
    yield from (random_flagged_run(np.random.default_rng(seed)).arguments for seed in range(240))
    yield from (strided_tile(np.random.default_rng(seed)).arguments for seed in range(10))


def strided_tile(rng: np.random.Generator) -> RandomRun:
    """Some rows of a run whose fields leave rows between them out."""
    while True:
        case = random_run(rng)
        wire = case.run.connections[0]
        if case.run.shape[1] > 2 and wire.stride > 1 and (wire.operator == "identity" or wire.kernel < wire.stride):
            case = case.with_core(order="scatter", planes_per_token="one", multiplier="parallel")
            return replace(case, run=replace(case.run, rows=(0, 2)))


def first_difference(one: Mutant) -> str | None:
    """The field in which a mutant first differs from the other engine; an exception that it raises differs, too."""
    made = copies(one.target, edited(one))
    for arguments, by_fast, by_reference in judged():
        expected = by_fast if one.target == "reference" else by_reference
        try:
            seen = log_of(one, made, arguments)
        except Exception as error:  # whatever a broken machine may run into
            return type(error).__name__
        for field in FIELDS:
            if not np.array_equal(getattr(seen, field), getattr(expected, field)):
                return field
    return None


@pytest.mark.parametrize("one", MUTANTS, ids=lambda one: f"{one.rule} {one.id}")
def test_mutant_is_caught(one: Mutant) -> None:
    assert first_difference(one) is not None


@pytest.mark.parametrize("target", ["reference", "fast"])
def test_an_unharmed_copy_agrees(target: Target) -> None:
    """Or being caught would mean nothing."""
    assert first_difference(mutant(target, "R19", "nothing")) is None


def test_every_rule_is_broken_in_both_engines() -> None:
    for target in ("reference", "fast"):
        rules = [one.rule for one in MUTANTS if one.target == target]
        for rule in ("R19", "R20", "R21", "R22", "R23", "R24", "R25"):
            assert rules.count(rule) >= 2, (target, rule)
