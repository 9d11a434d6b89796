"""Several cores on one channel: the engines agree on random chips, and what a chip computes does not depend on its cores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.activity import INDEX
from hwsim.arch import SHORT_FORM, ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.engine.fast.chip import FastEngine
from hwsim.mapping import split_channels
from hwsim.program import CHANNEL, Program, ProgramError, Run, Transfer
from hwsim.record import CoreLog, SampleRecord
from hwsim.simulation import make_program
from hwsim.snn.network import Network
from tests.engine.random_designs import random_chip, random_network, random_sample
from tests.engine.random_programs import Drawn, both_engines, draw_design


def draw(seed: int) -> Drawn | None:
    """A random Program for a random chip, or None when it is rightly refused."""
    return draw_design(seed, design=random_chip, refusal=ProgramError)


def of_its_tile(log: CoreLog, run: Run) -> CoreLog:
    """The states of a run's own tile; what other cores make of theirs at that time is not its business."""
    mine = (slice(*run.body.channels), slice(*run.body.row_span))
    return replace(log, potentials=log.potentials[mine], currents=log.currents[mine], flags=log.flags[mine])


def assert_equal(one: SampleRecord, other: SampleRecord, program: Program) -> None:
    for field in ("start", "end", "counts", "bits", "saturations", "mismatches"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)
    for field in ("outputs", "potentials"):
        for name, values in getattr(other, field).items():
            np.testing.assert_array_equal(getattr(one, field)[name], values, err_msg=f"{field} of {name}")
    for run in program.runs:
        mine, its = (of_its_tile(record.logs[run.id], run) for record in (one, other))
        for field in ("push", "pop", "issue", "spikes", "done", "potentials", "currents", "flags"):
            np.testing.assert_array_equal(getattr(mine, field), getattr(its, field), err_msg=f"operation {run.id}: {field}")


def check_seed(seed: int) -> Drawn | None:
    drawn = draw(seed)
    if drawn is None:
        return None
    program, network, _, _, rng = drawn
    for _, _, reference, fast in both_engines(program, rng, ("trace", "computed")):
        assert_equal(fast, reference, program)
        check_resources(program, fast)
    return drawn


def check_resources(program: Program, record: SampleRecord) -> None:
    """No resource is held twice at once, nothing starts before what it waits for, nothing waits without a reason (C1)."""
    free = dict.fromkeys(program.resources, 0)
    for op in program.operations:
        if op.setup:
            continue
        assert record.start[op.id] == max([free[op.resource], *(int(record.end[d]) for d in op.deps)])
        free[op.resource] = int(record.end[op.id])


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_engines_agree_on_random_chips(seed: int) -> None:
    check_seed(seed)


@pytest.mark.slow
def test_engines_agree_on_thousands_of_chips() -> None:
    assert sum(check_seed(seed) is not None for seed in range(2000)) > 800


def test_random_chips_share_layers_send_and_overlap() -> None:
    """The property test would be empty if most chips had one core, or cores that never work at the same time."""
    several = shared = sent = together = cut = 0
    for seed in range(200):
        drawn = draw(seed)
        if drawn is None:
            continue
        program, network, _, _, rng = drawn
        several += len(program.cores) > 1
        runs = list(program.runs)
        shared += any(a.layer == b.layer and a.on != b.on for a in runs for b in runs)
        sent += any(isinstance(op, Transfer) and op.label == "load spike" and op.layer >= 0 for op in program.operations)
        cut += any(run.body.channels[1] < min(run.body.groups[1] * run.body.core.lanes, run.body.shape[0]) for run in runs)
        record = FastEngine().run_sample(program, random_sample(rng, network), "trace")
        together += any(a.on != b.on and record.start[a.id] < record.end[b.id] and record.start[b.id] < record.end[a.id]
                        for a in runs for b in runs)
    assert min(several, shared, sent, together) > 40
    assert cut > 10, "tiles that end within a group, because the next core has other lanes"


@pytest.mark.parametrize("seed", range(25))
def test_what_a_chip_computes_does_not_depend_on_its_cores(seed: int) -> None:
    """Where nothing saturates and buffers list events in (y, x, c) order, any chip gives the spikes of one wide core."""
    drawn = draw(7 * seed)  # rate codes
    if drawn is None:
        return
    program, network, chip, schedule, rng = drawn
    sample = random_sample(rng, network)
    data = dump_architecture(chip)
    cores = data["cores"] if "cores" in data else [{name: data[name] for name in SHORT_FORM}]
    wide = [entry | {"core": entry["core"] | {"potential_bits": 40, "current_bits": 40},
                     "memories": entry["memories"] | {"membrane": "1 MiB", "current": "1 MiB", "bias": "1 MiB"}}
            for entry in cores]
    layers = tuple(replace(layer, potential_bits=40) for layer in network)
    network = Network(network.input, layers)
    every = {k: v for k, v in data.items() if k not in (*SHORT_FORM, "cores")}
    many, one = (rebuild_architecture({**every, "cores": cores}) for cores in (wide, [wide[0] | {"count": 1, "memories": {
        name: "1 MiB" for name in ("weight", "membrane", "current", "bias", "mask")}}]))
    records = [FastEngine().run_sample(make_program(network, arch, schedule), sample, "computed") for arch in (many, one)]
    for name, values in records[1].outputs.items():
        np.testing.assert_array_equal(records[0].outputs[name], values, err_msg=name)
    for event in ("acc_add", "cmp", "reset_sub", "reset_zero", "spike_out", "pool_update"):
        if event != "pool_update":  # every core that reads a pooled source has a pooling unit of its own
            assert records[0].counts[..., INDEX[event]].sum() == records[1].counts[..., INDEX[event]].sum(), event


def test_a_list_of_one_core_is_the_short_form() -> None:
    short = load_architecture("event_core_16")
    data = dump_architecture(short)
    listed = rebuild_architecture({**{k: v for k, v in data.items() if k not in SHORT_FORM},
                                   "cores": [{name: data[name] for name in SHORT_FORM}]})
    assert listed == short
    assert listed.timing_hash() == short.timing_hash()


@pytest.mark.parametrize(("channels", "lanes", "expected"), [
    (64, [32, 32], [(0, 32), (32, 64)]),
    (64, [16, 24], [(0, 24), (24, 64)]),
    (64, [24, 16], [(0, 32), (32, 64)]),
    (3, [4, 4], [(0, 0), (0, 3)]),
    (10, [4, 4, 4], [(0, 4), (4, 8), (8, 10)]),
])
def test_channels_are_split_in_proportion_to_lanes(
    channels: int, lanes: list[int], expected: list[tuple[int, int]]
) -> None:
    assert split_channels(channels, lanes) == expected


@given(st.integers(1, 300), st.lists(st.integers(1, 70), min_size=1, max_size=6))
def test_a_split_covers_every_channel_once_and_begins_at_whole_groups(channels: int, lanes: list[int]) -> None:
    spans = [(span, own) for span, own in zip(split_channels(channels, lanes), lanes, strict=True) if span != (0, 0)]
    assert [c for span, _ in spans for c in range(*span)] == list(range(channels))
    assert all(span[0] % own == 0 for span, own in spans)


def test_a_chip_that_mixes_models_is_refused() -> None:
    event, array = (dump_architecture(load_architecture(name)) for name in ("event_core_16", "systolic_8x8"))
    cores = [{name: one[name] for name in SHORT_FORM} for one in (event, array)]
    mixed = rebuild_architecture({"name": "mixed", "clock": "1 MHz", "cores": cores})
    network = random_network(np.random.default_rng(0), "rate")
    with pytest.raises(ArchitectureError, match="mixes cores of kinds event, systolic"):
        make_program(network, mixed)
    assert CHANNEL not in mixed.core_names
