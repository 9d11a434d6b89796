"""Laws of the dataflows R19 to R24: both engines agree on any run in any of them, and the dataflows agree with each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hwsim.activity import EVENTS, INDEX
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.engine.reference.tokens import plane_stream
from hwsim.passes import PassTable
from hwsim.program import CoreSpec, Program, ProgramError, Run
from hwsim.record import ISSUE_KINDS, CoreLog
from tests.engine.random_designs import random_sample
from tests.engine.random_runs import TABLES, RandomRun, random_run
from tests.engine.test_engines_agree import assert_same as assert_same_sample
from tests.engine.test_engines_agree import assert_same_log, draw_program

FAST, REFERENCE = FastEngine(), ReferenceEngine()
SEEDS = st.integers(0, 2**32 - 1)
quietly = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def assert_same(fast: CoreLog, reference: CoreLog, case: RandomRun) -> None:
    difference = np.argwhere(fast.counts != reference.counts)
    assert not len(difference), [
        (f"row {t}", EVENTS[e], fast.counts[t, e], reference.counts[t, e]) for t, e in difference[:8]]
    assert_same_log(fast, reference, f"{case.kind} {case.run.core}")


def check_agreement(seed: int) -> CoreLog | None:
    """Both engines on one random run, from planes and from late tokens; None if both refuse it."""
    rng = np.random.default_rng(seed)
    case = random_run(rng)
    try:
        reference = REFERENCE.run_planes(*case.arguments)
    except ProgramError:
        with pytest.raises(ProgramError):
            FAST.run_planes(*case.arguments)
        return None
    assert_same(FAST.run_planes(*case.arguments), reference, case)
    stream = plane_stream(case.run, case.planes, case.eots)
    tokens = np.array(stream.tokens, np.int64).reshape(-1, 6)
    gaps = np.array(stream.gaps, np.int64)
    late = np.where(rng.random(len(gaps)) < 0.8, 0, rng.integers(0, 1 + reference.done, len(gaps)))
    states = (case.potentials, case.currents, case.flags)
    given_tokens = [engine.run_core(case.run, tokens, gaps, late, *states) for engine in (FAST, REFERENCE)]
    assert_same(*given_tokens, case)
    return reference


@quietly
@given(seed=SEEDS)
@example(seed=5384)  # sums that clip and that nobody adds
def test_engines_agree_on_every_dataflow(seed: int) -> None:
    check_agreement(seed)


@pytest.mark.slow
def test_engines_agree_on_thousands_of_runs() -> None:
    assert sum(check_agreement(seed) is not None for seed in range(4000)) > 2000


def total(log: CoreLog, *names: str) -> int:
    return int(log.counts[:, [INDEX[name] for name in names]].sum())


def assert_same_results(one: CoreLog, other: CoreLog) -> None:
    """Spikes, whatever their cycles, potentials and additions."""
    for log in (one, other):
        assert log.saturations == 0
    assert sorted(one.spikes[:, 1:].tolist()) == sorted(other.spikes[:, 1:].tolist())
    np.testing.assert_array_equal(one.potentials, other.potentials)
    np.testing.assert_array_equal(one.flags, other.flags)
    assert total(one, "acc_add") == total(other, "acc_add")


def drawn(seed: int, **core: Any) -> RandomRun:
    """A random run with potentials too wide to saturate, fed from a bitmap, in the dataflow given; `core` is the rest."""
    case = random_run(np.random.default_rng(seed))
    run = replace(case.run, potential_bits=32, current_bits=32)
    case = replace(case, run=run, potentials=case.potentials // 4, currents=case.currents // 4)
    return case.with_core(**{
        "potential_bits": 32, "current_bits": 32, "buffer": "bitmap", "order": "scatter", "planes_per_token": "one",
        "multiplier": "parallel", "writer": "serial", "membrane_ports": "1r1w", "passes": "by_pass", "mask_first": False, **core})


ORDERS = st.fixed_dictionaries({
    "order": st.sampled_from(["scatter", "gather"]), "accumulators": st.integers(1, 4),
    "writer": st.sampled_from(["serial", "word"]), "membrane_ports": st.sampled_from(["1r1w", "1rw"]),
    "passes": st.sampled_from(["by_pass", "by_word"]), "bypass": st.booleans(), "adders": st.integers(1, 3)})


@quietly
@given(seed=SEEDS, core=ORDERS)
def test_a_dataflow_changes_neither_results_nor_the_weights_that_are_read(seed: int, core: dict[str, Any]) -> None:
    """Law 2, plane by plane: the same spikes, potentials, additions and weight rows."""
    today, other = drawn(seed), drawn(seed, **core)
    one, two = (FAST.run_planes(*case.arguments) for case in (today, other))
    assert_same_results(one, two)
    assert total(one, "weight_read") == total(two, "weight_read")


@quietly
@given(seed=SEEDS, core=ORDERS)
def test_merged_planes_give_the_same_results(seed: int, core: dict[str, Any]) -> None:
    """Law 2, all planes to a token: the same spikes, potentials and additions."""
    case = drawn(seed, **core, planes_per_token="all")
    table = case.run.table
    if not case.run.keep and max((p.after_eot for p in table.passes), default=0) < table.planes:
        return  # no pass takes up the sums of the last planes, and nobody reads the potentials that they would change
    try:
        merged = FAST.run_planes(*case.arguments)
    except ProgramError:
        return
    single = FAST.run_planes(*drawn(seed).arguments)
    # Pass numbers go on through the one EOT, so a rate code's are those of its planes: compare who fired, and how often.
    merged.spikes[:, 1] = single.spikes[:, 1] = 0
    assert_same_results(single, merged)
    assert total(merged, "weight_read") <= total(single, "weight_read")


@quietly
@given(seed=SEEDS, writer=st.sampled_from(["serial", "word"]), passes=st.sampled_from(["by_pass", "by_word"]))
def test_one_visit_is_the_scatter_run_less_its_clear(seed: int, writer: str, passes: str) -> None:
    """Law 3: one position, A >= G, with clear, without keep; no token late and none without a word."""
    case = drawn(seed, writer=writer, passes=passes, bypass=True, fifo_depth=64, scan_bits=64, accumulators=64)
    if case.run.positions > 1:
        return
    case = replace(case, run=replace(case.run, clear=True, keep=False))
    scatter, gather = (FAST.run_planes(*case.with_core(order=order).arguments) for order in ("scatter", "gather"))
    if "skip" in kinds(scatter) or len(scatter.push) != len(gather.push):
        return
    clears = kinds(scatter).count("clear")
    if not in_time(scatter) or not in_time(gather):
        return
    moved = scatter.issue[clears:] - [clears, 0, 0]
    np.testing.assert_array_equal(moved, gather.issue)
    np.testing.assert_array_equal(scatter.pop - clears, gather.pop)
    np.testing.assert_array_equal(scatter.spikes - [clears, 0, 0], gather.spikes)
    assert scatter.done - clears == gather.done


def kinds(log: CoreLog) -> list[str]:
    return [ISSUE_KINDS[kind] for kind in log.issue[:, 1]]


def in_time(log: CoreLog) -> bool:
    """Whether every token was there when its turn came: what is popped next had been pushed before the last pop."""
    return bool((log.push[1:] + 1 <= log.pop[:-1] + 1).all()) and int(log.push[0]) == 0


@quietly
@given(seed=SEEDS, core=ORDERS)
def test_closed_form(seed: int, core: dict[str, Any]) -> None:
    """Law 4: with bypass, D >= 2, tokens in time and silent passes, the run takes its slots and two cycles."""
    case = drawn(seed, **{**core, "membrane_ports": "1r1w", "bypass": True, "fifo_depth": 64, "scan_bits": 1024})
    silent = tuple(replace(p, threshold=1 << 40) for p in case.run.table.passes)
    case = replace(case, run=replace(case.run, table=replace(case.run.table, passes=silent, max_level=0)))
    log = FAST.run_planes(*case.arguments)
    seen = kinds(log)
    if not in_time(log):
        return
    gathers = case.run.core.order == "gather"
    eots = case.eots * (visits(case) if gathers else 1)
    moves = case.run.words * ((not case.run.clear) + case.run.keep if gathers else case.run.clear)
    slots = moves + seen.count("acc") + seen.count("skip") + eots + case.run.words * len(silent)
    assert total(log, "cycles_busy") == slots
    if seen[-1] not in ("eot", "skip"):
        assert log.done == slots + 2


def visits(case: RandomRun) -> int:
    run = case.run
    return run.positions * -(-(run.groups[1] - run.groups[0]) // run.core.accumulators)


@quietly
@given(seed=SEEDS, core=ORDERS, keep=st.booleans(), clear=st.booleans())
def test_gather_order_uses_the_membrane_memory_for_loads_and_stores_alone(
    seed: int, core: dict[str, Any], keep: bool, clear: bool,
) -> None:
    """Law 5: nothing with clear and without keep; otherwise one read and one write per word at most."""
    case = drawn(seed, **{**core, "order": "gather"})
    case = replace(case, run=replace(case.run, keep=keep, clear=clear))
    log = FAST.run_planes(*case.arguments)
    reads = [name for name in EVENTS if name.startswith("membrane_read") and name != "membrane_read_banks"]
    writes = [name for name in EVENTS if name.startswith("membrane_write") and name != "membrane_write_banks"]
    assert total(log, *reads) == total(log, "membrane_read_load") == case.run.words * (not clear)
    assert total(log, *writes) == total(log, "membrane_write_store") == case.run.words * keep


@quietly
@given(seed=SEEDS, order=st.sampled_from(["scatter", "gather"]), adders=st.integers(1, 3))
def test_merged_bit_planes_take_the_cycles_of_values_bit_by_bit(seed: int, order: str, adders: int) -> None:
    """Law 6: bit-serial planes and the values that they spell, on bit-serial multipliers, passes apart."""
    rng = np.random.default_rng(seed)
    case = drawn(seed, order=order, planes_per_token="all", adders=adders, multiplier="bit_serial", scan_bits=1024, fifo_depth=64)
    wires = tuple(replace(wire, pool=1, pool_mode="none") for wire in case.run.connections if wire.pool == 1)
    if len(wires) < len(case.run.connections):
        return
    bits = int(rng.integers(1, 5))
    table = PassTable(bits, (), np.zeros(case.run.shape, np.int64), weigh_planes=True)
    values = [rng.integers(0, 1 << bits, (1, w.source_shape[1], w.source_shape[2], w.source_shape[0])) for w in wires]
    spelled = [np.concatenate([each >> n & 1 for n in range(bits)]) for each in values]
    states = (case.potentials, case.currents, case.flags)
    run = replace(case.run, table=table, connections=wires)
    serial = FAST.run_planes(replace(run, payload_bits=(0,) * len(wires)), spelled, 1, *states)
    payloads = FAST.run_planes(replace(run, payload_bits=(bits,) * len(wires)), values, 1, *states)
    np.testing.assert_array_equal(serial.issue[:, 1:], payloads.issue[:, 1:])
    np.testing.assert_array_equal(serial.potentials, payloads.potentials)
    if in_time(serial) and in_time(payloads):
        np.testing.assert_array_equal(serial.issue, payloads.issue)
        assert serial.done == payloads.done


@quietly
@given(seed=SEEDS)
def test_busy_stalled_and_idle_cycles_are_all_there_are(seed: int) -> None:
    """A5, mended: what is left over is idle, and never negative."""
    case = random_run(np.random.default_rng(seed))
    try:
        log = FAST.run_planes(*case.arguments)
    except ProgramError:
        return
    stalls = total(log, "cycles_stall_hazard", "cycles_stall_port", "cycles_stall_serialiser")
    assert log.done - total(log, "cycles_busy") - stalls + total(log, "cycles_overlapped") >= 0
    assert total(log, "fifo_push") == total(log, "fifo_pop") == len(log.push)
    if case.run.core.writer == "word":
        assert total(log, "cycles_stall_serialiser") == 0
    if case.run.core.membrane_ports == "1rw" and not case.run.masks_first:  # the mask memory has two ports of its own
        assert total(log, "cycles_stall_hazard") == 0


def in_dataflow(program: Program, core: CoreSpec) -> Program:
    """A schedule's Program with another core in all of its runs."""
    operations = []
    for op in program.operations:
        if isinstance(op, Run):
            run = replace(op.body, core=core)
            op = replace(op, body=run, eots=1 if run.merged else run.table.planes)
        operations.append(op)
    return replace(program, operations=tuple(operations))


def check_program(seed: int, core: dict[str, Any], planes_per_token: str) -> bool:
    """Both engines on a random network, mapping and schedule in one dataflow, and its outputs against today's."""
    drawn_program = draw_program(seed)
    if drawn_program is None:
        return False
    today, rng = drawn_program
    spec = next(today.runs).body.core
    if spec.buffer == "aer":
        core = {**core, "order": "scatter", "writer": "serial"}
        planes_per_token = "one"
    program = in_dataflow(today, replace(spec, **core, planes_per_token=planes_per_token))
    sample = random_sample(rng, program.network)
    try:
        reference = REFERENCE.run_sample(program, sample, "computed", record=True)
    except ProgramError:
        with pytest.raises(ProgramError):
            FAST.run_sample(program, sample, "computed")
        return False
    for record in (True, False):
        fast = FAST.run_sample(program, sample, "computed", record=record)
        fast.logs = fast.logs or reference.logs
        assert_same_sample(fast, reference, program)
    if planes_per_token == "one":
        plain = FAST.run_sample(today, sample, "computed")
        for name, output in plain.outputs.items():
            np.testing.assert_array_equal(output, reference.outputs[name], err_msg=name)
        np.testing.assert_array_equal(plain.saturations, reference.saturations)
    return True


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS, core=ORDERS, planes_per_token=st.sampled_from(["one", "one", "all"]))
def test_engines_agree_on_programs_in_every_dataflow(seed: int, core: dict[str, Any], planes_per_token: str) -> None:
    """Layer by layer and step by step, tiles and spills; one plane to a token gives today's outputs and saturations."""
    check_program(seed, core, planes_per_token)


def test_random_runs_use_every_dataflow() -> None:
    """An agreement on runs that are all refused would say nothing."""
    seen: Counter[str] = Counter()
    for seed in range(700):
        case = random_run(np.random.default_rng(seed))
        try:
            log = FAST.run_planes(*case.arguments)
        except ProgramError:
            continue
        core = case.run.core
        seen.update(f"{case.kind} {name}" for name in (core.order, core.planes_per_token, core.passes, core.writer))
        seen.update(name for name in ("sum_add", "cycles_stall_port", "membrane_read_load", "membrane_write_store")
                    if total(log, name))
        seen["saturation"] += log.saturations > 0
    refused = {"horner all", "hybrid all"}
    wanted = {f"{kind} {name}" for kind in TABLES for name in (
        "scatter", "gather", "one", "all", "by_pass", "by_word", "serial", "word")} - refused
    wanted |= {"sum_add", "cycles_stall_port", "membrane_read_load", "membrane_write_store", "saturation"}
    assert not {what: seen[what] for what in wanted if seen[what] < 3}
