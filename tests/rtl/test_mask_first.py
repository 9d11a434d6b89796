"""The hardware that looks at flags before anything else (R25) does in every cycle what the reference engine says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from hwsim.activity import INDEX
from hwsim.passes import Pass, PassTable
from hwsim.program import CoreRun, CoreSpec, ProgramError
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.rtl.coverage import uncovered
from hwsim.rtl.machine import Machine, run_core
from hwsim.rtl.stimulus import Stimulus, parameters_of
from hwsim.snn.network import Connection
from tests.engine.random_runs import RandomRun, random_flagged_run
from tests.rtl.cases import differences
from tests.rtl.dataflows import REFERENCE, stimulus_of


def flagged_case(seed: int) -> tuple[RandomRun, Stimulus, CoreLog]:
    """A random run that the hardware covers, tokens that come late among its own, and what the reference engine says."""
    rng = np.random.default_rng(seed)
    while True:
        case = random_flagged_run(rng).with_core(planes_per_token="one", multiplier="parallel", passes="by_pass")
        case = replace(case, run=replace(case.run, rows=None))
        try:
            in_time = REFERENCE.run_planes(*case.arguments)
        except ProgramError:
            continue
        if not list(uncovered(case.run)) and in_time.done < 250:
            stimulus = stimulus_of(case, rng, in_time.done)
            return case, stimulus, REFERENCE.run_core(*stimulus.arguments)


def check_random(seeds: range) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        case, stimulus, expected = flagged_case(seed)
        found = list(differences(run_core(*stimulus.arguments), expected))
        assert not found, (seed, case.run.core, *found)
        skipped = (expected.issue[:, 1] == ISSUE_KINDS.index("skip")) & (expected.issue[:, 2] >= 0)
        seen["skipped"] += bool(skipped.any())
        seen.update(name for name in ("cycles_stall_hazard", "cycles_stall_port", "acc_add")
                    if expected.counts[:, INDEX[name]].any())
    return seen


def test_hardware_looks_at_flags_as_the_reference_engine_does() -> None:
    assert check_random(range(3))["skipped"]


@pytest.mark.slow
def test_hardware_looks_at_flags_as_the_reference_engine_does_in_many_runs() -> None:
    seen = check_random(range(100, 250))
    assert min(seen[name] for name in ("skipped", "cycles_stall_hazard", "cycles_stall_port", "acc_add")) > 5, seen


# --- every input of the smallest core --------------------------------------------------------------------------------------

PASSES = {
    "fire_once": Pass(1, "fire", 3, flags="fire_once"), "mask": Pass(1, "mask"), "masked": Pass(1, "fire", 3, flags="masked")}


def tiny_run(kind: str, bypass: bool, ports: str) -> CoreRun:
    """Two words of two lanes, the last with one neuron. One source has synapses of either sign, the other one weight of zero."""
    weights = np.array([[3, 0], [2, 2], [-4, 3]])
    core = CoreSpec(lanes=2, potential_bits=5, current_bits=5, fifo_depth=2, bypass=bypass, shift_at="weight", buffer="aer",
                    membrane_ports=ports, mask_first=True)  # type: ignore[arg-type]
    table = PassTable(2, (PASSES[kind],), np.zeros((3, 1, 1), np.int64), flagged=True)
    return CoreRun(core, (3, 1, 1), (0, 2), (Connection("a", "linear", (2, 1, 1), weights),), table, 5, 5, clear=False)


def tiny_stimuli(run: CoreRun) -> Iterator[Stimulus]:
    """All flags, all sequences of two events around an EOT, from potentials on both sides of the threshold."""
    events, eot = [[0, c, 0, 0, 0, 0] for c in range(2)], [-1, 0, 0, 0, 0, 0]
    for flags, first, second, clear in product(product((0, 1), repeat=3), events, events, (False, True)):
        tokens = np.array([first, eot, second, second, eot], np.int64)
        ones, nothing = np.ones(len(tokens), np.int64), np.zeros(len(tokens), np.int64)
        potentials = np.array([2, -1, 3], np.int64).reshape(3, 1, 1)
        off = np.array(flags, np.int64).reshape(3, 1, 1)
        yield Stimulus(replace(run, clear=clear), tokens, ones, nothing, potentials, np.zeros_like(potentials), off)


TINY = [(kind, bypass, ports) for kind in PASSES for bypass in (False, True) for ports in ("1r1w", "1rw")]


@pytest.mark.parametrize("design", [pytest.param(one, marks=[] if one == ("mask", False, "1rw") else pytest.mark.slow)
                                    for one in TINY], ids=str)
def test_every_flag_and_every_order_of_events_on_the_smallest_core(design: tuple[str, bool, str]) -> None:
    """64 runs of each design."""
    stimuli = list(tiny_stimuli(tiny_run(*design)))
    assert len(stimuli) == 64
    for stimulus, log in zip(stimuli, Machine(parameters_of(stimuli)).run(stimuli), strict=True):
        found = list(differences(log, REFERENCE.run_core(*stimulus.arguments)))
        assert not found, (design, stimulus.flags.ravel().tolist(), stimulus.tokens.tolist(), stimulus.run.clear, *found)


def test_where_words_stay_in_registers_it_is_refused() -> None:
    run = tiny_run("mask", True, "1r1w")
    for more in ({"passes": "by_word"}, {"planes_per_token": "all", "buffer": "bitmap"}):
        text = " ".join(uncovered(replace(run, core=replace(run.core, **more))))  # type: ignore[arg-type]
        assert "mask_first" in text
        assert "passes: by_pass" in text
