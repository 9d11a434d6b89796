"""R19 to R24: the 314 published cases, and the laws that tie the dataflows to each other and to R1 to R18."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from hwsim.activity import EVENTS, INDEX
from hwsim.passes import PassTable
from hwsim.program import ProgramError
from hwsim.record import CoreLog
from hwsim.verify.dataflow_cases import ACTIVITY
from hwsim.verify.run_cases import observed
from tests.engine.dataflow_cases import load_cases
from tests.engine.random_runs import RandomRun, random_run
from tests.laws.for_all import Drawn, for_all
from tests.laws.implementation import Laws
from tests.laws.runs import kinds

CASES = load_cases()
GROUPS = tuple(dict.fromkeys(f"{case.run.core.order}-{case.run.core.planes_per_token}-{case.coding}" for case in CASES))
SEEDS = st.integers(0, 2**32 - 1)
ORDERS = st.fixed_dictionaries({
    "order": st.sampled_from(["scatter", "gather"]), "accumulators": st.integers(1, 4),
    "writer": st.sampled_from(["serial", "word"]), "membrane_ports": st.sampled_from(["1r1w", "1rw"]),
    "passes": st.sampled_from(["by_pass", "by_word"]), "bypass": st.booleans(), "adders": st.integers(1, 3)})


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


def in_time(log: CoreLog) -> bool:
    """Whether every token was there when its turn came: what is popped next had been pushed before the last pop."""
    return bool((log.push[1:] + 1 <= log.pop[:-1] + 1).all()) and int(log.push[0]) == 0


def visits(case: RandomRun) -> int:
    run = case.run
    return run.positions * -(-(run.groups[1] - run.groups[0]) // run.core.accumulators)


class DataflowLaws(Drawn, Laws):
    def test_the_file_holds_every_setting(self) -> None:
        assert len(CASES) == 314

    @pytest.mark.parametrize("group", GROUPS)
    def test_answers(self, group: str) -> None:
        """To the cycle: every push, pop, issue and spike, `done`, the counts and the final potentials."""
        for case in CASES:
            if group == f"{case.run.core.order}-{case.run.core.planes_per_token}-{case.coding}":
                seen = observed(self.run_planes(*case.arguments), ACTIVITY)
                for field in ("push", "pop", "issue", "spikes", "done", "activity", "final_potential"):
                    assert seen[field] == case.expect[field], f"{case.name}: {field}"

    @for_all(seed=SEEDS, core=ORDERS)
    def test_a_dataflow_changes_neither_results_nor_the_weights_that_are_read(self, seed: int, core: dict[str, Any]) -> None:
        """Law 2, plane by plane: the same spikes, potentials, additions and weight rows."""
        one, two = (self.run_planes(*case.arguments) for case in (drawn(seed), drawn(seed, **core)))
        assert_same_results(one, two)
        assert total(one, "weight_read") == total(two, "weight_read")

    @for_all(seed=SEEDS, core=ORDERS)
    def test_merged_planes_give_the_same_results(self, seed: int, core: dict[str, Any]) -> None:
        """Law 2, all planes to a token: the same spikes, potentials and additions."""
        case = drawn(seed, **core, planes_per_token="all")
        table = case.run.table
        if not case.run.keep and max((p.after_eot for p in table.passes), default=0) < table.planes:
            return  # no pass takes up the sums of the last planes, and nobody reads the potentials that they would change
        try:
            merged = self.run_planes(*case.arguments)
        except ProgramError:
            return
        single = self.run_planes(*drawn(seed).arguments)
        # Pass numbers go on through the one EOT, so a rate code's are those of its planes: compare who fired, and how often.
        merged.spikes[:, 1] = single.spikes[:, 1] = 0
        assert_same_results(single, merged)
        assert total(merged, "weight_read") <= total(single, "weight_read")

    @for_all(seed=SEEDS, writer=st.sampled_from(["serial", "word"]), passes=st.sampled_from(["by_pass", "by_word"]))
    def test_one_visit_is_the_scatter_run_less_its_clear(self, seed: int, writer: str, passes: str) -> None:
        """Law 3: one position, A >= G, with clear, without keep; no token late and none without a word."""
        case = drawn(seed, writer=writer, passes=passes, bypass=True, fifo_depth=64, scan_bits=64, accumulators=64)
        if case.run.positions > 1:
            return
        case = replace(case, run=replace(case.run, clear=True, keep=False))
        scatter, gather = (self.run_planes(*case.with_core(order=order).arguments) for order in ("scatter", "gather"))
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

    @for_all(seed=SEEDS, core=ORDERS)
    def test_closed_form(self, seed: int, core: dict[str, Any]) -> None:
        """Law 4: with bypass, D >= 2, tokens in time and silent passes, the run takes its slots and two cycles."""
        case = drawn(seed, **{**core, "membrane_ports": "1r1w", "bypass": True, "fifo_depth": 64, "scan_bits": 1024})
        silent = tuple(replace(p, threshold=1 << 40) for p in case.run.table.passes)
        case = replace(case, run=replace(case.run, table=replace(case.run.table, passes=silent, max_level=0)))
        log = self.run_planes(*case.arguments)
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

    @for_all(seed=SEEDS, core=ORDERS, keep=st.booleans(), clear=st.booleans())
    def test_gather_order_uses_the_membrane_memory_for_loads_and_stores_alone(
        self, seed: int, core: dict[str, Any], keep: bool, clear: bool,
    ) -> None:
        """Law 5: nothing with clear and without keep; otherwise one read and one write per word at most."""
        case = drawn(seed, **{**core, "order": "gather"})
        case = replace(case, run=replace(case.run, keep=keep, clear=clear))
        log = self.run_planes(*case.arguments)
        reads = [name for name in EVENTS if name.startswith("membrane_read") and name != "membrane_read_banks"]
        writes = [name for name in EVENTS if name.startswith("membrane_write") and name != "membrane_write_banks"]
        assert total(log, *reads) == total(log, "membrane_read_load") == case.run.words * (not clear)
        assert total(log, *writes) == total(log, "membrane_write_store") == case.run.words * keep

    @for_all(seed=SEEDS, order=st.sampled_from(["scatter", "gather"]), adders=st.integers(1, 3))
    def test_merged_bit_planes_take_the_cycles_of_values_bit_by_bit(self, seed: int, order: str, adders: int) -> None:
        """Law 6: bit-serial planes and the values that they spell, on bit-serial multipliers, passes apart."""
        rng = np.random.default_rng(seed)
        case = drawn(seed, order=order, planes_per_token="all", adders=adders, multiplier="bit_serial", scan_bits=1024,
                     fifo_depth=64)
        wires = tuple(replace(wire, pool=1, pool_mode="none") for wire in case.run.connections if wire.pool == 1)
        if len(wires) < len(case.run.connections):
            return
        bits = int(rng.integers(1, 5))
        table = PassTable(bits, (), np.zeros(case.run.shape, np.int64), weigh_planes=True)
        values = [rng.integers(0, 1 << bits, (1, w.source_shape[1], w.source_shape[2], w.source_shape[0])) for w in wires]
        spelled = [np.concatenate([each >> n & 1 for n in range(bits)]) for each in values]
        states = (case.potentials, case.currents, case.flags)
        run = replace(case.run, table=table, connections=wires)
        serial = self.run_planes(replace(run, payload_bits=(0,) * len(wires)), spelled, 1, *states)
        payloads = self.run_planes(replace(run, payload_bits=(bits,) * len(wires)), values, 1, *states)
        np.testing.assert_array_equal(serial.issue[:, 1:], payloads.issue[:, 1:])
        np.testing.assert_array_equal(serial.potentials, payloads.potentials)
        if in_time(serial) and in_time(payloads):
            np.testing.assert_array_equal(serial.issue, payloads.issue)
            assert serial.done == payloads.done

    @for_all(seed=SEEDS)
    def test_busy_stalled_and_idle_cycles_are_all_there_are(self, seed: int) -> None:
        """A5: what is left over is idle, and never negative."""
        case = random_run(np.random.default_rng(seed))
        try:
            log = self.run_planes(*case.arguments)
        except ProgramError:
            return
        stalls = total(log, "cycles_stall_hazard", "cycles_stall_port", "cycles_stall_serialiser")
        assert log.done - total(log, "cycles_busy") - stalls + total(log, "cycles_overlapped") >= 0
        assert total(log, "fifo_push") == total(log, "fifo_pop") == len(log.push)
        if case.run.core.writer == "word":
            assert total(log, "cycles_stall_serialiser") == 0
        if case.run.core.membrane_ports == "1rw" and not case.run.masks_first:  # the mask memory has two ports of its own
            assert total(log, "cycles_stall_hazard") == 0
