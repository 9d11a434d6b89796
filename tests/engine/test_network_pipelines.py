"""Whole networks on many cores, put there by hand: the engines agree, and what is computed does not depend on the placement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsim.activity import EVENTS
from hwsim.arch import load_architecture
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.links import CHANNEL, MeshSpec
from hwsim.program import Program
from hwsim.record import SampleRecord
from hwsim.schedules.listing import IN_TIMESTEP_ORDER, PIPELINED, STEP_BY_STEP, Discipline
from hwsim.simulation import make_program
from hwsim.trace.reader import Trace
from tests.engine.network_programs import placed
from tests.engine.test_engines_agree import assert_same

OF_PLACEMENT = {"link_bits", "link_hops", "channel_read_bits", "channel_write_bits", "buffer_read", "buffer_write"}
"""What transfers count, which a placement makes more or fewer of."""
WORK = [i for i, name in enumerate(EVENTS) if name not in OF_PLACEMENT]


def square(cores: int, **changes: object) -> MeshSpec:
    """A mesh as square as can be, row by row, the channel in the corner."""
    width = int(np.ceil(np.sqrt(cores)))
    nodes = (*((f"core{n}", (n % width, n // width)) for n in range(cores)), (CHANNEL, (0, 0)))
    return replace(MeshSpec((width, -(-cores // width)), 16, 1, 12, 4, nodes), **changes)


def one_core(trace: Trace) -> Program:
    """Step by step on one core that holds all weights and all potentials: tiles of 8 channels."""
    arch = load_architecture("event_core_16").with_core(lanes=8).with_memories(
        weight="1 MiB", membrane="1 MiB", current="1 MiB", bias="64 KiB")
    return make_program(trace.network, arch, "step_by_step")


def runs_total(program: Program, record: SampleRecord) -> np.ndarray:
    """Counts of all runs together, by timestep."""
    return record.counts[[run.id for run in program.runs]].sum(axis=0)


@pytest.mark.parametrize("discipline", [PIPELINED, IN_TIMESTEP_ORDER, STEP_BY_STEP], ids=lambda one: one.name)
@pytest.mark.parametrize("cores", [1, 3, 7])
def test_the_engines_agree_and_the_placement_changes_no_work(rate_trace: Trace, cores: int, discipline: Discipline) -> None:
    """Law 5: work, spikes and potentials are those of one core."""
    plain = one_core(rate_trace)
    program = placed(plain, cores, square(cores), discipline, 2)
    for index in range(2):
        sample = rate_trace.sample(index)
        alone = FastEngine().run_sample(plain, sample, "computed")
        fast = FastEngine().run_sample(program, sample, "computed", record=True)
        assert_same(fast, ReferenceEngine().run_sample(program, sample, "computed", record=True), program)
        assert not fast.mismatches[fast.mismatches >= 0].any()
        np.testing.assert_array_equal(runs_total(program, fast)[:, WORK], runs_total(plain, alone)[:, WORK])
        for name, values in alone.potentials.items():
            np.testing.assert_array_equal(fast.potentials[name], values)


def test_a_pipeline_is_faster_than_its_steps_and_barriers_cost(rate_trace: Trace) -> None:
    plain, sample = one_core(rate_trace), rate_trace.sample(0)
    engine = FastEngine()
    layers = len({run.layer for run in plain.runs})
    ends = {name: int(engine.run_sample(placed(plain, layers, square(layers, flit_bits=None, hop_cycles=0), discipline, 2,
                                               barrier_cycles=barrier), sample, "trace").end.max())
            for name, discipline, barrier in (("pipelined", PIPELINED, None), ("with barriers", PIPELINED, 500),
                                              ("steps", STEP_BY_STEP, None), ("steps with barriers", STEP_BY_STEP, 500))}
    assert ends["pipelined"] < ends["steps"]
    assert ends["pipelined"] + 500 < ends["with barriers"]
    assert ends["steps"] + 500 * (rate_trace.timesteps - 1) == ends["steps with barriers"]


def test_one_core_on_a_free_network_is_the_core_without_one(rate_trace: Trace) -> None:
    """Law 1: what a network adds to one core is the way from its output buffer to its input buffer."""
    plain, sample = one_core(rate_trace), rate_trace.sample(0)
    free, paid = (FastEngine().run_sample(placed(plain, 1, square(1, flit_bits=bits), STEP_BY_STEP, 2), sample, "trace")
                  for bits in (None, 16))
    spent = [int((record.end - record.start).sum()) for record in (free, paid)]
    assert spent[0] < spent[1]
    alone = FastEngine().run_sample(plain, sample, "trace")
    lasted = [record.end[[run.id for run in program.runs]] - record.start[[run.id for run in program.runs]]
              for program, record in ((plain, alone), (placed(plain, 1, square(1), STEP_BY_STEP, 2), paid))]
    np.testing.assert_array_equal(lasted[0], lasted[1])
