"""Laws of looking at flags before weights (R25): both engines agree, spikes stay, and every skipped word saves its accesses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.activity import INDEX
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.engine.reference.tokens import plane_stream
from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec, ProgramError
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.snn.network import Connection
from tests.engine.random_designs import random_sample
from tests.engine.random_runs import RandomRun, random_flagged_run
from tests.engine.test_dataflows import assert_same, in_dataflow, total
from tests.engine.test_engines_agree import assert_same as assert_same_sample
from tests.engine.test_engines_agree import draw_program

FAST, REFERENCE = FastEngine(), ReferenceEngine()
SEEDS = st.integers(0, 2**32 - 1)
quietly = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def flagged_run(seed: int) -> RandomRun:
    """A random flagged run on a core that masks first, which both engines take."""
    rng = np.random.default_rng(seed)
    while True:
        case = random_flagged_run(rng)
        try:
            FAST.run_planes(*case.arguments)
        except ProgramError:
            continue
        return case


@quietly
@given(seed=SEEDS)
def test_engines_agree_on_every_flagged_run(seed: int) -> None:
    case = flagged_run(seed)
    reference = REFERENCE.run_planes(*case.arguments)
    assert_same(FAST.run_planes(*case.arguments), reference, case)
    rng = np.random.default_rng(seed)
    stream = plane_stream(case.run, case.planes, case.eots)
    tokens, gaps = np.array(stream.tokens, np.int64).reshape(-1, 6), np.array(stream.gaps, np.int64)
    late = np.where(rng.random(len(gaps)) < 0.8, 0, rng.integers(0, 1 + reference.done, len(gaps)))
    states = (case.potentials, case.currents, case.flags)
    assert_same(*(engine.run_core(case.run, tokens, gaps, late, *states) for engine in (FAST, REFERENCE)), case)


def test_random_flagged_runs_skip_stall_and_clip() -> None:
    seen: Counter[str] = Counter()
    for seed in range(300):
        case = flagged_run(seed)
        log = FAST.run_planes(*case.arguments)
        skipped = skipped_words(log)
        seen["skipped"] += len(skipped) > 0
        seen["worked"] += "acc" in kinds(log)
        seen["merged"] += case.run.merged and len(skipped) > 0
        seen["direct"] += case.run.table.direct and len(skipped) > 0
        seen["row tile"] += case.run.cut_by_rows
        seen.update(name for name in ("cycles_stall_port", "cycles_stall_hazard") if total(log, name))
        seen["saturation"] += log.saturations > 0
    assert min(seen[name] for name in (
        "skipped", "worked", "merged", "direct", "row tile", "cycles_stall_port", "cycles_stall_hazard", "saturation")) >= 5, seen


def kinds(log: CoreLog) -> list[str]:
    return [ISSUE_KINDS[kind] for kind in log.issue[:, 1]]


def skipped_words(log: CoreLog) -> list[int]:
    return [int(word) for _, kind, word in log.issue if ISSUE_KINDS[kind] == "skip" and word >= 0]


@quietly
@given(seed=SEEDS)
def test_an_operation_that_is_skipped_costs_a_slot_and_a_mask_read(seed: int) -> None:
    """Against the same run that does not look: each of its accumulations is made, or skipped in one slot."""
    case = flagged_run(seed)
    first = FAST.run_planes(*case.arguments)
    plain = FAST.run_planes(*case.with_core(mask_first=False).arguments)
    skipped, worked = len(skipped_words(first)), kinds(first).count("acc")
    assert skipped + worked == kinds(plain).count("acc") == total(plain, "weight_read")
    assert total(first, "weight_read") == worked
    adds_to = "current_write" if case.run.table.direct else "membrane_write_accumulate"
    assert total(plain, adds_to) - total(first, adds_to) == skipped
    for name in ("addr_gen", "fifo_push", "buffer_read"):
        assert total(first, name) == total(plain, name), name
    if [p for p in case.run.table.passes if p.flags != "ignore"] == []:
        assert total(first, "mask_read") == skipped + worked
    if case.eots == 1 and not case.run.clear:
        # Flags are those that were given: additions are made to neurons that are on, no others.
        assert total(first, "acc_add") <= total(plain, "acc_add")
        off = case.flags[slice(*case.run.channels), slice(*case.run.row_span)] != 0
        if off.all():
            assert total(first, "acc_add") == worked == 0


@quietly
@given(seed=SEEDS)
def test_potentials_of_neurons_that_are_off_stay(seed: int) -> None:
    """A run without passes, whose flags are those that it was given."""
    case = flagged_run(seed)
    run = replace(case.run, table=replace(case.run.table, passes=()), clear=False)
    case = replace(case, run=run)
    first, plain = (FAST.run_planes(*each.arguments) for each in (case, case.with_core(mask_first=False)))
    off = case.flags != 0
    for name in ("potentials", "currents"):
        np.testing.assert_array_equal(getattr(first, name)[off], getattr(case, name)[off])
        np.testing.assert_array_equal(getattr(first, name)[~off], getattr(plain, name)[~off])


@quietly
@given(seed=SEEDS)
def test_looking_first_changes_no_spike_of_neurons_that_stay_off(seed: int) -> None:
    """Where who is off stays off (no mask pass after it), and every event is followed by a pass that leaves them out."""
    case = flagged_run(seed)
    table = case.run.table
    passes = tuple(replace(p, flags="fire_once" if p.flags == "ignore" else p.flags) for p in table.passes if p.kind == "fire")
    if not passes:
        return
    run = replace(case.run, table=replace(table, passes=passes), potential_bits=40, current_bits=40)
    case = replace(case, run=run).with_core(potential_bits=40, current_bits=40)
    first, plain = (FAST.run_planes(*each.arguments) for each in (case, case.with_core(mask_first=False)))
    assert sorted(first.spikes[:, 1:].tolist()) == sorted(plain.spikes[:, 1:].tolist())
    np.testing.assert_array_equal(first.flags, plain.flags)
    if case.run.core.membrane_ports == "1r1w" and case.run.core.bypass and case.run.core.writer == "word":
        assert first.done <= plain.done


# --- by hand ----------------------------------------------------------------------------------------------------------------


def two_words(passes: tuple[Pass, ...], **core: Any) -> CoreRun:
    """Four neurons on two lanes, all fed by one source neuron with weight 3; potentials begin at 1."""
    settings = {"lanes": 2, "potential_bits": 8, "current_bits": 8, "fifo_depth": 4, "bypass": True, "shift_at": "weight",
                "buffer": "aer", "mask_first": True, **core}
    wire = Connection("a", "linear", (1, 1, 1), np.full((4, 1), 3))
    table = PassTable(1, passes, np.ones((4, 1, 1), np.int64), flagged=True)
    return CoreRun(CoreSpec(**settings), (4, 1, 1), (0, 2), (wire,), table, 8, 8, clear=False)  # type: ignore[arg-type]


SPIKE, EOT = [0, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0]


def ran(run: CoreRun, tokens: list[list[int]], flags: list[int]) -> CoreLog:
    arguments = (np.array(tokens, np.int64), np.ones(len(tokens), np.int64), np.zeros(len(tokens), np.int64),
                 np.ones((4, 1, 1), np.int64), np.zeros((4, 1, 1), np.int64), np.array(flags, np.int64).reshape(4, 1, 1))
    logs = [engine.run_core(run, *arguments) for engine in (FAST, REFERENCE)]
    np.testing.assert_array_equal(logs[0].issue, logs[1].issue)
    np.testing.assert_array_equal(logs[0].counts, logs[1].counts)
    return logs[0]


def issued(log: CoreLog) -> list[tuple[int, str, int]]:
    return [(int(cycle), ISSUE_KINDS[kind], int(word)) for cycle, kind, word in log.issue]


def test_a_word_that_is_off_takes_its_slot_and_no_weight() -> None:
    log = ran(two_words(()), [SPIKE, SPIKE, EOT], [1, 1, 0, 1])
    assert issued(log) == [(1, "skip", 0), (2, "acc", 1), (3, "skip", 0), (4, "acc", 1), (5, "eot", -1)]
    assert log.potentials.ravel().tolist() == [1, 1, 7, 1]
    counted = {"mask_read": 4, "weight_read": 2, "membrane_read_accumulate": 2, "membrane_write_accumulate": 2, "addr_gen": 4,
               "acc_add": 2, "reg_bits": 16, "cycles_busy": 5}
    for name, count in counted.items():
        assert log.counts[:, INDEX[name]].sum() == count, name


def test_a_skipped_operation_is_not_what_a_later_one_waits_for() -> None:
    """Without a bypass word 1 stalls behind itself. When it is off, it has written nothing."""
    wire = Connection("a", "identity", (4, 1, 1), np.ones(4, np.int64))
    run = replace(two_words((), bypass=False), connections=(wire,))
    one = [0, 2, 0, 0, 0, 0]
    assert issued(ran(run, [one, one], [0, 0, 0, 1])) == [(1, "acc", 1), (3, "acc", 1)]
    assert issued(ran(run, [one, one], [0, 0, 1, 1])) == [(1, "skip", 1), (2, "skip", 1)]
    # One port: word 0 waits until word 1 is written, unless nothing was.
    ported = replace(run, core=replace(run.core, membrane_ports="1rw"))
    other = [0, 0, 0, 0, 0, 0]
    assert issued(ran(ported, [one, other], [0, 0, 0, 0])) == [(1, "acc", 1), (3, "acc", 0)]
    assert issued(ran(ported, [one, other], [0, 0, 1, 1])) == [(1, "skip", 1), (2, "acc", 0)]
    assert issued(ran(ported, [one, other], [1, 1, 0, 0])) == [(1, "acc", 1), (2, "skip", 0)]


@pytest.mark.parametrize("ports", ["1r1w", "1rw"])
@pytest.mark.parametrize("bypass", [True, False])
def test_flags_that_are_being_written_are_waited_for_or_forwarded(bypass: bool, ports: str) -> None:
    """A mask pass ends with word 1 in the cycle in which an event asks for its flags: all are off from then on."""
    wire = Connection("a", "identity", (4, 1, 1), np.full(4, -5))
    run = two_words((Pass(1, "mask"),), bypass=bypass, membrane_ports=ports)
    run = replace(run, connections=(wire,), table=replace(run.table, planes=2))
    falls = [[0, c, 0, 0, 0, 0] for c in range(4)]
    log = ran(run, [*falls, EOT, falls[2], EOT], [0, 0, 0, 0])
    masks = [cycle for cycle, kind, _ in issued(log) if kind == "mask"]
    skips = [(cycle, word) for cycle, kind, word in issued(log) if kind == "skip"]
    assert skips == [(masks[-1] + 1 + (not bypass), 1)]
    assert total(log, "cycles_stall_hazard") >= (not bypass)
    assert log.flags.ravel().tolist() == [1, 1, 1, 1]


def test_gather_order_refuses_it() -> None:
    for engine in (FAST, REFERENCE):
        with pytest.raises(ProgramError, match="mask_first saves reads.*scatter"):
            engine.run_planes(two_words((), order="gather", buffer="bitmap"), [np.ones((1, 1, 1, 1), np.int64)], 1,
                              *(np.zeros((4, 1, 1), np.int64) for _ in range(3)))


# --- whole networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**31), kind=st.sampled_from([4, 5]), ports=st.sampled_from(["1r1w", "1rw"]))
def test_networks_with_flags_compute_what_they_compute(seed: int, kind: int, ports: str) -> None:
    """Two-stage and single-spike networks: the engines agree, and nothing but work that is saved and cycles differs."""
    drawn = draw_program(7 * seed + kind)
    if drawn is None:
        return
    today, rng = drawn
    core = next(today.runs).body.core
    plain = in_dataflow(today, replace(core, membrane_ports=ports, potential_bits=40, current_bits=40))
    first = in_dataflow(today, replace(core, membrane_ports=ports, potential_bits=40, current_bits=40, mask_first=True))
    sample = random_sample(rng, today.network)
    one = FAST.run_sample(first, sample, "computed", record=True)
    assert_same_sample(one, REFERENCE.run_sample(first, sample, "computed", record=True), first)
    other = FAST.run_sample(plain, sample, "computed")
    if one.saturations.any() or other.saturations.any():
        return
    for name, values in other.outputs.items():
        np.testing.assert_array_equal(one.outputs[name], values, err_msg=name)
    for name, values in other.potentials.items():
        np.testing.assert_array_equal(one.potentials[name], values, err_msg=name)
    assert one.counts[..., INDEX["weight_read"]].sum() <= other.counts[..., INDEX["weight_read"]].sum()
    assert one.counts[..., INDEX["acc_add"]].sum() <= other.counts[..., INDEX["acc_add"]].sum()
