"""Laws of gated banks (R25): an access to a row counts the banks that hold a real channel of its word, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.activity import EVENTS, INDEX
from hwsim.arch import Architecture, ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cost.energy import price_list
from hwsim.cost.memory import macros
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.program import CoreRun, ProgramError, Transfer
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.trace.synth import synthesise
from tests.engine.random_designs import random_sample
from tests.engine.random_runs import random_run
from tests.engine.test_engines_agree import draw_program

FAST, REFERENCE = FastEngine(), ReferenceEngine()
BANKS = tuple(f"{memory}_{way}_banks" for memory in ("membrane", "current") for way in ("read", "write"))
PRICES = dict.fromkeys(BANKS, 0.5)


def total(log: CoreLog, *names: str) -> int:
    return int(log.counts[:, [INDEX[name] for name in names]].sum())


def accesses(memory: str, way: str) -> list[str]:
    return [name for name in EVENTS if name.startswith(f"{memory}_{way}") and not name.endswith("_banks")]


def gated(run: CoreRun, **bank_bits: int) -> CoreRun:
    return replace(run, core=replace(run.core, **{f"{name}_bank_bits": bits for name, bits in bank_bits.items()}))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), bank_bits=st.sampled_from([1, 3, 8, 20, 1000]))
def test_banks_are_counted_beside_rows_and_change_nothing_else(seed: int, bank_bits: int) -> None:
    case = random_run(np.random.default_rng(seed))
    plain = replace(case, run=gated(case.run, membrane=0, current=0))
    counting = replace(case, run=gated(case.run, membrane=bank_bits, current=bank_bits))
    try:
        one, other = (FAST.run_planes(*each.arguments) for each in (plain, counting))
    except ProgramError:
        return
    for field in ("push", "pop", "issue", "spikes", "done", "potentials"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    for name in EVENTS:
        if name not in BANKS:
            assert total(one, name) == total(other, name), name
    assert total(one, *BANKS) == 0
    lanes = [min(case.run.core.lanes, case.run.channels[1] - g * case.run.core.lanes) for g in range(*case.run.groups)]
    for memory, bits in (("membrane", case.run.core.potential_bits), ("current", case.run.core.current_bits)):
        each = [-(-real * bits // bank_bits) for real in lanes]
        for way in ("read", "write"):
            rows, banks = total(other, *accesses(memory, way)), total(other, f"{memory}_{way}_banks")
            assert rows * min(each) <= banks <= rows * max(each)
            if bank_bits == 1000:
                assert banks == rows, "one bank holds a whole row"


def test_the_words_of_the_last_group_lie_in_fewer_banks() -> None:
    """Five channels on four lanes of 6 bits, banks of 8 bits: 3 banks for a full word, 1 for the last; there are no passes."""
    case = next(c for c in (random_run(np.random.default_rng(seed)) for seed in range(500))
                if c.kind == "rate" and c.run.shape[0] >= 5 and not c.run.merged and len(c.run.connections) == 1)
    core = replace(case.run.core, lanes=4, potential_bits=6, membrane_bank_bits=8, order="scatter", planes_per_token="one",
                   multiplier="parallel", mask_first=False)
    table = replace(case.run.table, passes=())
    run = replace(case.run, core=core, groups=(0, 2), last_channel=5, rows=None, table=table)
    for engine in (FAST, REFERENCE):
        log = engine.run_planes(run, *case.arguments[1:])
        words = [int(word) for _, kind, word in log.issue if ISSUE_KINDS[kind] in ("acc", "clear")]
        assert words
        assert total(log, "membrane_write_banks") == sum(3 if word % 2 == 0 else 1 for word in words)


@pytest.mark.parametrize("seed", range(0, 60))
def test_a_programs_banks_are_those_of_its_rows(seed: int) -> None:
    """Runs and transfers of random designs that gate: every row that is moved is moved bank by bank."""
    drawn = draw_program(seed)
    if drawn is None or not next(drawn[0].runs).body.core.membrane_bank_bits:
        return
    program, rng = drawn
    record = FAST.run_sample(program, random_sample(rng, program.network), "trace")
    core = next(program.runs).body.core
    for op in program.operations:
        counts = record.counts[op.id].sum(axis=0)
        for memory, bits, bank in (("membrane", core.potential_bits, core.membrane_bank_bits),
                                   ("current", core.current_bits, core.current_bank_bits)):
            for way in ("read", "write"):
                rows = counts[[INDEX[name] for name in accesses(memory, way)]].sum()
                banks = counts[INDEX[f"{memory}_{way}_banks"]]
                assert rows <= banks <= rows * -(-core.lanes * bits // bank), (op.label, memory, way)
    assert any(isinstance(op, Transfer) and op.banks for op in program.operations) == any(
        isinstance(op, Transfer) and op.memory in ("membrane", "current") for op in program.operations)


# --- designs -------------------------------------------------------------------------------------------------------------


def gating(name: str = "event_core_64", **core: Any) -> Architecture:
    data = dump_architecture(load_architecture(name))
    data["core"] |= core
    data["memories"]["membrane"] = {"capacity": data["memories"]["membrane"], "gate_by_channel": True}
    return rebuild_architecture(data)


def test_a_file_says_gate_by_channel_beside_the_capacity_and_keeps_its_identity_without() -> None:
    design = load_architecture("event_core_64")
    assert rebuild_architecture(dump_architecture(gating())) == gating()
    assert gating().timing_hash() != design.timing_hash()
    data = dump_architecture(design)
    data["memories"]["membrane"] = {"capacity": data["memories"]["membrane"], "ports": "1r1w", "gate_by_channel": False}
    data["core"]["mask_first"] = False
    assert rebuild_architecture(data).timing_hash() == design.timing_hash()
    assert "core.mask_first" not in design.timing()["cores"][0]
    assert design.with_core(mask_first=True).timing_hash() != design.timing_hash()
    data["memories"]["membrane"] = {"capacity": "1 MiB", "gates": True}
    with pytest.raises(ArchitectureError, match="expected capacity and, if you like, ports and gate_by_channel"):
        rebuild_architecture(data)


@pytest.mark.parametrize("name", ["event_core_16", "event_core_64", "mac_core_64"])
def test_the_core_counts_the_banks_that_the_memory_has(name: str) -> None:
    design = gating(name)
    spec, found = design.only.core_spec(), macros(design)
    for memory, bits, bank in (("membrane", spec.potential_bits, spec.membrane_bank_bits),
                               ("current", spec.current_bits, spec.current_bank_bits)):
        if memory in found:
            assert bank == found[memory].word_bits
            assert -(-spec.lanes * bits // bank) == found[memory].row_banks


def test_each_bank_has_its_price_and_rows_then_cost_nothing() -> None:
    prices, whole = price_list(gating()), price_list(load_architecture("event_core_64"))
    assert 12 * prices.price("membrane_read_banks").pj == pytest.approx(whole.price("membrane_read_fire").pj)
    assert price_list(gating(), PRICES).price("membrane_read_banks").pj == 0.5
    assert prices.price("membrane_read_fire").pj == prices.price("membrane_write_transfer").pj == 0
    assert "membrane_read_banks" in prices.price("membrane_read_fire").formula
    assert prices.price("weight_read").pj > 0


def test_narrow_layers_touch_fewer_banks_and_save_their_energy() -> None:
    """The tiny network has 8 and 16 channels on 64 lanes of 24 bits: 2 and 3 of 12 banks."""
    trace = synthesise("tiny", samples=1)
    plain, found = (hwsim.simulate(trace, arch) for arch in ("event_core_64", gating()))
    assert plain.cycles.tolist() == found.cycles.tolist()
    frame = found.activity
    of_banks, of_rows = (each.energy.groupby(["layer", "unit"])["energy_pj"].sum() for each in (found, plain))
    for layer, banks in (("conv1", 2), ("conv2", 2), ("conv3", 3), ("conv4", 3), ("out", 2)):
        mine = frame[frame["layer"] == layer].groupby("event")["count"].sum()
        rows = sum(mine.get(name, 0) for name in accesses("membrane", "read"))
        assert rows > 0
        assert mine["membrane_read_banks"] == banks * rows
        assert of_banks[layer, "membrane_memory"] == pytest.approx(of_rows[layer, "membrane_memory"] * banks / 12)
