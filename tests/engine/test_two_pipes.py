"""Events and passes in pipes of their own (R27): what is computed stays, and a core takes no less than the longer pipe, and no
more than both of them in turn."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.activity import INDEX
from hwsim.arch import SHORT_FORM, Architecture, dump_architecture, rebuild_architecture
from hwsim.checks.pipes import early_runs
from hwsim.checks.program import check_program
from hwsim.cores.event.mapping import map_network
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.mapping import MappingError, lower
from hwsim.one_call import EstimateError
from hwsim.passes import BANKS
from hwsim.program import CoreOperation, OperationList, Program, ProgramError, Run, event_pipe
from hwsim.record import SampleRecord
from hwsim.rtl.coverage import uncovered
from hwsim.schedules import build_program
from hwsim.schedules.on_links import stream_on_links
from hwsim.schedules.pipelined import PIPELINED
from hwsim.simulation import make_program
from hwsim.snn.forward import forward
from hwsim.snn.network import Network
from hwsim.timeline.write import write_timeline
from hwsim.trace.reader import Trace
from hwsim.view.run_numbers import roofline_rows, roofs
from tests.cli.calling import call
from tests.engine.placed_networks import ROOMY, as_list, random_links
from tests.engine.program_mutations import reordered
from tests.engine.random_designs import random_architecture, random_network, random_sample
from tests.engine.test_list_laws import answer
from tests.engine.test_several_cores import assert_equal
from tests.timeline.reading import read as read_timeline

SEEDS = st.integers(0, 2**32 - 1)
CODINGS = ("rate", "rate", "two_stage", "single_spike")
Rng = np.random.Generator


def random_piped(rng: Rng, network: Network, coding: str) -> Architecture:
    """A core for each layer, or two, most of them with two pipes, and room for everything."""
    first = dump_architecture(random_architecture(rng, network, coding))
    names = iter(f"core{n}" for n in range(2 * len(network.layers)))
    placement = {layer.name: [next(names) for _ in range(int(rng.integers(1, 3)))] for layer in network}
    number = max(2, sum(map(len, placement.values())))  # an only core has another name
    entries = []
    for count in (number // 2, number - number // 2):
        one = dump_architecture(random_architecture(rng, network, coding))
        one["core"] |= {"pipes": "two" if rng.random() < 0.85 else "one", "mask_first": False}
        entries.append({"count": count, **{name: one[name] for name in SHORT_FORM}, "memories": {**one["memories"], **ROOMY}})
    cores = tuple(f"core{n}" for n in range(number))
    links = random_links(rng, cores, network) | {"placement": placement, "buffer_planes": int(rng.integers(2, 5))}
    return rebuild_architecture({**{k: v for k, v in first.items() if k not in SHORT_FORM},
                                 "cores": [entry for entry in entries if entry["count"]], "network": links})


def draw(seed: int) -> Program | None:
    """A random network of a core of two pipes for each layer; None where it is rightly refused."""
    rng = np.random.default_rng(seed)
    coding = CODINGS[seed % len(CODINGS)]
    network = random_network(rng, coding)
    try:
        return build_program(map_network(network, random_piped(rng, network, coding), PIPELINED), PIPELINED)
    except ProgramError:
        return None


def check_seed(seed: int) -> Counter[str]:
    program = draw(seed)
    if program is None:
        return Counter()
    rng = np.random.default_rng(seed)
    for spikes in ("computed", "trace"):
        sample = random_sample(rng, program.network)
        reference = ReferenceEngine().run_sample(program, sample, spikes, record=True)
        fast = FastEngine().run_sample(program, sample, spikes, record=True)
        assert_equal(fast, reference, program)
        if not fast.saturations.any() and spikes == "computed":
            for name, planes in forward(program.network, sample.inputs)[0].items():
                np.testing.assert_array_equal(fast.outputs[name], planes)
    listed, cycles = as_list(program, fast)
    times = answer(listed, cycles)
    np.testing.assert_array_equal(times.end, fast.end)
    check_pipes(program, fast)
    return seen_in(program, fast)


def check_pipes(program: Program, record: SampleRecord) -> None:
    """What must not overlap does not; and where links are free, max <= elapsed <= sum."""
    spans = {run.id: (int(record.start[run.id]), int(record.end[run.id])) for run in program.runs}
    by_tile: dict[tuple[int, int], dict[tuple[str, int], tuple[int, int]]] = {}
    banks: dict[tuple[int, int], int] = {}
    by_pipe: Counter[str] = Counter()
    for run in program.runs:
        by_tile.setdefault((run.layer, run.tile), {})[run.pipe, run.timesteps[0]] = spans[run.id]
        banks[run.layer, run.tile] = run.body.table.current_banks if run.body.table.current_banks == BANKS else 1
        by_pipe[run.resource] += spans[run.id][1] - spans[run.id][0]
    for tile, mine in by_tile.items():
        for (pipe, t), (start, _) in mine.items():
            if pipe == "passes":
                assert mine["events", t][1] <= start
            if pipe == "events" and ("passes", t - banks[tile]) in mine:
                assert mine["passes", t - banks[tile]][1] <= start
    check_memories(program, spans)
    apart, shared, work = (latency(program, record, pipes) for pipes in ("apart", "shared", "in turn"))
    assert max(by_pipe.values()) <= apart <= shared <= work


def check_memories(program: Program, spans: dict[int, tuple[int, int]]) -> None:
    """Events and passes of a core, of whatever tiles, never work on potentials or on the same bank of currents at once."""
    def used(run: Run) -> set[str]:
        body = run.body
        potentials = body.clear or not body.table.direct or run.pipe == "passes"
        return {*["potentials"] * potentials, *[f"bank {body.bank}"] * body.table.direct}

    apart: dict[str, dict[str, list[Run]]] = {}
    for run in program.runs:
        if run.pipe != "both":
            apart.setdefault(run.on, {"events": [], "passes": []})[run.pipe].append(run)
    for pipes in apart.values():
        for one in pipes["events"]:
            for other in pipes["passes"]:
                (start, end), (begun, ended) = spans[one.id], spans[other.id]
                assert end <= begun or ended <= start or not used(one) & used(other), (one.id, other.id)


def latency(program: Program, record: SampleRecord, pipes: str) -> int:
    """Cycles of a sample on free links: its pipes apart, one pipe for each core, or everything one after the other."""
    listed, cycles = as_list(program, record)
    assert listed.mesh is not None
    operations = [CoreOperation(id=op.id, deps=op.deps, layer=op.layer, tile=op.tile, on=op.on)
                  if isinstance(op, Run) and pipes == "shared" else op for op in listed.operations]
    mesh = replace(listed.mesh, flit_bits=None, hop_cycles=0)
    times = answer(OperationList(listed.cores, listed.channel, mesh, tuple(operations)), cycles)
    return int((times.end - times.start).sum() if pipes == "in turn" else times.end.max())


def seen_in(program: Program, record: SampleRecord) -> Counter[str]:
    """What the random draws are there for."""
    runs = list(program.runs)
    events = [run for run in runs if run.pipe == "events"]
    at_work = [(run, int(record.start[run.id]), int(record.end[run.id])) for run in runs]
    overlap = any((a.pipe, b.pipe) == ("events", "passes") and a.on == b.on and start < end_b and start_b < end
                  for a, start, end in at_work for b, start_b, end_b in at_work)
    return Counter({
        "programs": 1, "two pipes": bool(events), "one pipe besides": any(run.pipe == "both" for run in runs),
        "overlap": overlap, "two banks": any(run.body.bank for run in runs),
        "in turn": any(run.body.table.current_banks < BANKS for run in events),
        "a tile of some channels": any(run.body.channels != (0, run.body.shape[0]) for run in events),
        "row tiles": any(run.body.cut_by_rows for run in events),
        "leaks": any(run.body.table.leak_shift is not None for run in events),
        "flags": any(run.body.table.flagged for run in events)})


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_engines_agree_and_a_core_takes_between_the_longer_pipe_and_both(seed: int) -> None:
    check_seed(seed)


@pytest.mark.slow
def test_engines_agree_on_a_thousand_chips_of_two_pipes() -> None:
    assert sum((check_seed(seed) for seed in range(1000)), Counter())["two pipes"] > 300


def test_the_draws_have_everything() -> None:
    seen: Counter[str] = Counter()
    for seed in range(40):
        if (program := draw(seed)) is not None:
            sample = random_sample(np.random.default_rng(seed), program.network)
            seen += seen_in(program, FastEngine().run_sample(program, sample, "computed"))
    assert min(seen[name] for name in ("two pipes", "one pipe besides", "overlap", "two banks", "in turn", "flags",
                                       "a tile of some channels")) > 2, seen


def shared_core(rng: Rng) -> tuple[Network, Architecture] | None:
    """A random chip whose layers of two banks lie on one core of two pipes, the others on cores of their own."""
    network = random_network(rng, "rate")
    alone = [layer.name for layer in network if lower(network, layer, "weight", "two").current_banks < BANKS]
    shared = [layer.name for layer in network if layer.name not in alone]
    if len(shared) < 2:
        return None
    placement = {name: f"core{n}" for n, name in enumerate(alone)} | dict.fromkeys(shared, f"core{len(alone)}")
    one = dump_architecture(random_architecture(rng, network, "rate"))
    cores = tuple(f"core{n}" for n in range(max(2, 1 + len(alone))))
    entry = {"count": len(cores), **{name: one[name] for name in SHORT_FORM}, "core": {**one["core"], "pipes": "two"},
             "memories": {**one["memories"], **ROOMY}}
    links = random_links(rng, cores, network) | {"placement": placement, "buffer_planes": 2, "tile_rows": None}
    return network, rebuild_architecture({**{k: v for k, v in one.items() if k not in SHORT_FORM}, "cores": [entry],
                                          "network": links})


def test_layers_that_share_a_core_take_its_banks_in_turn() -> None:
    """Also over samples of an odd number of timesteps: no run of a list of several begins before the bank is free."""
    seen: Counter[str] = Counter()
    for seed in range(50):
        rng = np.random.default_rng(seed)
        drawn = shared_core(rng)
        if drawn is None:
            continue
        network, arch = drawn
        mapping = map_network(network, arch, PIPELINED)
        program = build_program(mapping, PIPELINED)
        record = FastEngine().run_sample(program, random_sample(rng, network), "computed")
        check_pipes(program, record)
        many, _ = stream_on_links(mapping, PIPELINED, 3)
        assert not list(early_runs(many, ended_before(many))), seed
        seen.update({"programs": 1, "odd": network.layers[0].timesteps % 2, "overlap": seen_in(program, record)["overlap"]})
    assert min(seen[name] for name in ("programs", "odd", "overlap")) > 2, seen


def ended_before(program: Program) -> list[int]:
    """By operation, bit i: operation i has surely ended, by what it waits for and by its resource's order."""
    ended: list[int] = []
    last: dict[str, int] = {}
    for op in program.operations:
        there = 0
        for before in (*op.deps, *([last[op.resource]] if op.resource in last else [])):
            there |= ended[before] | 1 << before
        ended.append(there)
        if op.resource and not op.setup:
            last[op.resource] = op.id
    return ended


# -- what it changes, and what not ------------------------------------------------------------------------------------


def chip_of(network: Network, pipes: str, memories: dict[str, str] | None = None, **core: object) -> Architecture:
    """A core for each layer, with room for everything."""
    placement = {layer.name: f"core{n}" for n, layer in enumerate(network)}
    entry = {"count": len(placement), "core": {
        "lanes": 8, "weight_bits": 8, "potential_bits": 24, "current_bits": 24, "payload_bits": 8, "fifo_depth": 4,
        "pipes": pipes, **core}, "spike_buffer": {"kind": "bitmap", "capacity": "64 KiB", "scan_bits": 16},
        "memories": {**dict.fromkeys(ROOMY, "64 KiB"), **(memories or {})}}
    return rebuild_architecture({
        "name": f"{pipes}_pipes", "clock": "200 MHz", "cores": [entry], "channel": {"bits_per_cycle": 16, "latency_cycles": 4},
        "network": {"mesh": [len(placement), 1], "flit_bits": 16, "hop_cycles": 1, "address_bits": 16, "header_bits": 0,
                    "encoding": "smaller", "placement": placement}})


def test_two_pipes_compute_the_same_with_the_same_additions_and_are_faster(rate_trace: Trace) -> None:
    """What a pass takes from the current memory is counted besides; no addition of a synapse moves."""
    one, two = (hwsim.simulate(rate_trace, chip_of(rate_trace.network, pipes), schedule="pipelined", spikes="computed")
                for pipes in ("one", "two"))
    assert two.facts.mismatches == one.facts.mismatches == 0
    assert two.total_cycles < one.total_cycles
    same = ("acc_add", "weight_read", "cmp", "spike_out", "reset_sub", "membrane_read_fire", "membrane_write_fire", "link_bits")
    counts = [result.activity.groupby("event")["total_count"].sum() for result in (one, two)]
    for event in same:
        assert counts[0][event] == counts[1][event], event
    fires = counts[1]["membrane_write_fire"]
    moved = counts[0]["membrane_write_accumulate"] - counts[1].get("membrane_write_accumulate", 0)
    assert moved > 0
    assert counts[1]["current_write"] - counts[0].get("current_write", 0) <= moved + fires
    assert counts[1].get("decay", 0) == 0, "a current that is gone was not multiplied"


def test_the_causes_of_each_pipe_add_up_and_a_result_is_read_back(rate_trace: Trace, tmp_path: Path) -> None:
    result = hwsim.simulate(rate_trace, chip_of(rate_trace.network, "two"), schedule="pipelined")
    frame = result.cycles_frame
    assert {event_pipe("core1"), "core1"} <= set(frame["resource"])
    assert (frame["total_cycles"] >= 0).all()
    assert (frame.groupby("resource")["total_cycles"].sum() == result.total_cycles).all()
    result.save(tmp_path / "run")
    layers = roofline_rows(result).iloc[1:]
    assert (layers["operations_per_s"] <= roofs(result)["operations_per_s"]).all(), "one of the two pipes adds"
    again = hwsim.load_result(tmp_path / "run")
    assert again.cycles_frame.equals(frame)
    assert set(again.busy_frame["resource"]) >= set(result.pipes())
    seen = read_timeline(write_timeline(result, rate_trace, tmp_path / "run.json")).slices
    processes = {process for process, _ in seen}
    assert {"core1 events", "core1 passes"} <= processes
    assert "core1" not in processes


def test_what_two_pipes_need_is_there_twice() -> None:
    """Gates between the FIFO and the memories, and words of the current."""
    one, two = (chip_of(random_network(np.random.default_rng(0), "rate"), pipes) for pipes in ("one", "two"))
    from hwsim.cores.event.logic import IN_BOTH_PIPES
    from hwsim.cores.model import core_model

    blocks = [{block.component: block.count for block in core_model("event").logic(chip.cores[0], None).blocks}
              for chip in (one, two)]
    assert set(IN_BOTH_PIPES) <= set(blocks[0])
    assert blocks[1] == {name: count * (2 if name in IN_BOTH_PIPES else 1) for name, count in blocks[0].items()}


# -- what is refused --------------------------------------------------------------------------------------------------


def refused(network: Network, arch: Architecture, schedule: str = "pipelined") -> str:
    with pytest.raises((MappingError, ProgramError)) as caught:
        make_program(network, arch, schedule)
    return str(caught.value)


@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
def test_schedules_in_which_nothing_could_overlap_are_refused(rate_trace: Trace, schedule: str) -> None:
    assert f"and {schedule} has no events that could" in refused(rate_trace.network, chip_of(rate_trace.network, "two"), schedule)


def test_a_placement_that_nothing_runs_is_shown_with_the_reason(rate_trace: Trace, tmp_path: Path) -> None:
    """The first layer, whose input is direct, on the core of the second: both would work on the same potentials."""
    body = dump_architecture(chip_of(rate_trace.network, "two"))
    body["network"]["placement"] = {layer.name: f"core{max(1, n)}" for n, layer in enumerate(rate_trace.network)}
    (tmp_path / "two.yaml").write_text(json.dumps(body))
    rate_trace.save(tmp_path / "rate.h5")
    shown = call("arch", "place", tmp_path / "two.yaml", "--trace", tmp_path / "rate.h5").stdout
    assert "schedules that run: none" in shown
    assert "place it on a core of its own" in shown


def test_a_chip_without_links_is_told_to_have_some(rate_trace: Trace) -> None:
    """`use the schedule pipelined` alone would only lead to the next refusal."""
    data = dump_architecture(chip_of(rate_trace.network, "two"))
    del data["network"]
    text = refused(rate_trace.network, rebuild_architecture(data), "layer_by_layer")
    assert "give the architecture `network`, a chip of one core too, and use the schedule pipelined" in text


def test_the_golden_hardware_says_that_it_has_one_pipe(rate_trace: Trace) -> None:
    program = make_program(rate_trace.network, chip_of(rate_trace.network, "two"), "pipelined")
    assert "pipes 'two'; use 'one'" in list(uncovered(next(program.runs).body))


def test_an_estimate_of_a_design_that_runs_only_pipelined_is_one(rate_trace: Trace) -> None:
    chip = chip_of(rate_trace.network, "two")
    found = hwsim.estimate(rate_trace, arch=chip, samples=2)
    assert found.results["spiking"].sim_id == hwsim.simulate(rate_trace, chip, schedule="pipelined", samples=2).sim_id
    assert "2 samples were replayed, pipelined, at full speed" in repr(found)
    data = dump_architecture(chip)
    data["network"]["placement"] = dict.fromkeys(data["network"]["placement"], "core0")
    with pytest.raises(EstimateError, match="place it on a core of its own"):
        hwsim.estimate(rate_trace, arch=rebuild_architecture(data))


def test_networks_that_do_not_run_in_time_are_refused(bit_serial_trace: Trace) -> None:
    network = bit_serial_trace.network
    assert "fire after all planes of a sample; use core.pipes: one" in refused(network, chip_of(network, "two"))


def test_currents_of_two_timesteps_have_to_fit(rate_trace: Trace) -> None:
    network = rate_trace.network
    words = max(-(-layer.shape[0] // 8) * layer.shape[1] * layer.shape[2] for layer in network if layer.sends)
    text = refused(network, chip_of(network, "two", {"current": f"{(2 * words - 1) * 8 * 24} bit"}))
    assert f"current memory: {2 * words} words needed for the states of all its layers" in text
    make_program(network, chip_of(network, "two", {"current": f"{2 * words * 8 * 24} bit"}), "pipelined")


def test_a_layer_whose_events_work_on_potentials_has_a_core_for_itself(rate_trace: Trace) -> None:
    network = rate_trace.network
    chip = chip_of(network, "two")
    data = dump_architecture(chip)
    in_turn = next(layer.name for layer in network if lower(network, layer, "weight", "two").current_banks < BANKS)
    other = next(layer.name for layer in network if layer.name != in_turn)
    data["network"]["placement"][other] = data["network"]["placement"][in_turn]
    text = refused(network, rebuild_architecture(data))
    assert "place it on a core of its own, or use core.pipes: one" in text


@pytest.mark.parametrize(("core", "text"), [
    ({"dataflow": {"type": "output_stationary", "accumulators": 2}}, "pipes 'two' lets a timestep's passes go on"),
    ({"token": {"planes": "merged"}}, "merged tokens bring all of them at once (R21)"),
    ({"kind": "multiply_accumulate"}, "values have one plane"),
])
def test_dataflows_without_two_pipes_are_refused(rate_trace: Trace, core: dict[str, object], text: str) -> None:
    with pytest.raises(hwsim.ArchitectureError, match="pipes") as caught:
        chip_of(rate_trace.network, "two", **core)
    assert text in str(caught.value)


def changed(program: Program, pick: str, timestep: int, **changes: object) -> Program:
    """The first run of that pipe and timestep with other fields, of its body where it has none of that name."""
    operations = list(program.operations)
    run = next(op for op in operations if isinstance(op, Run) and op.pipe == pick and op.timesteps[0] == timestep
               and op.body.table.current_banks == BANKS)
    own = {name: value for name, value in changes.items() if hasattr(run, name)}
    body = replace(run.body, **{name: value for name, value in changes.items() if name not in own})
    operations[run.id] = replace(run, **own | ({"body": body} if "body" not in own else {}))
    return replace(program, operations=tuple(operations))


def test_programs_in_which_a_state_would_be_used_twice_at_once_are_refused(rate_trace: Trace) -> None:
    program = make_program(rate_trace.network, chip_of(rate_trace.network, "two"), "pipelined")
    check_program(program)
    first = next(op for op in program.runs
                 if op.pipe == "events" and op.timesteps[0] == 2 and op.body.table.current_banks == BANKS)
    passes = next(op for op in program.runs if (op.layer, op.tile, op.pipe) == (first.layer, first.tile, "passes"))
    table = passes.body.table
    for wrong, text in (
        (changed(program, "events", 2, deps=tuple(d for d in first.deps if d not in {
            op.id for op in program.runs if op.pipe == "passes" and op.layer == first.layer})),
         f"of tile {first.tile} of layer {first.layer}, uses currents of bank {first.body.bank} of {first.on} and does not wait"),
        (changed(program, "passes", 1, deps=()), "and does not wait for operation"),
        (changed(program, "events", 2, bank=1 - first.body.bank), f"uses currents of bank {1 - first.body.bank}"),
        (changed(program, "events", 0, bank=2), "works on bank 2 of the current memory; 0 and 1 are there"),
        (changed(program, "events", 0, pipe="both"), "goes through pipe 'both' of a core with pipes 'two'"),
        (changed(program, "events", 0, pipe="other"), "goes through pipe 'other'; allowed are both, events, passes"),
        (changed(program, "events", 0, table=table), "is of events, and has 1 passes"),
        (changed(program, "passes", 0, feeds=first.feeds), "is of passes, and reads planes"),
    ):
        with pytest.raises(ProgramError) as caught:
            check_program(wrong)
        assert text in str(caught.value), text


def test_both_engines_leave_a_bank_that_passes_have_emptied_alone(rate_trace: Trace) -> None:
    """The clear of a sample's first passes is of potentials: it would wipe out what the events before them have added."""
    program = make_program(rate_trace.network, chip_of(rate_trace.network, "two"), "pipelined")
    run = next(op for op in program.runs if op.pipe == "passes" and op.body.clear)
    record = FastEngine().run_sample(program, rate_trace.sample(0), "computed")
    counts = record.counts[run.id].sum(axis=0)
    assert counts[INDEX["membrane_write_clear"]] == run.body.words
    assert counts[INDEX["current_write"]] == run.body.words, "by the fire pass alone"


def test_events_may_stand_before_the_passes_that_they_do_not_wait_for(rate_trace: Trace) -> None:
    """The order of a list is that of each pipe by itself, so it decides nothing between the two."""
    program = make_program(rate_trace.network, chip_of(rate_trace.network, "two"), "pipelined")
    order: list[int] = []
    left = {op.id: op for op in program.operations}
    while left:
        ready = [op for op in left.values() if set(op.deps) <= set(order)]
        chosen = min(ready, key=lambda op: (isinstance(op, Run) and op.pipe == "passes", op.layer, op.id))
        order.append(left.pop(chosen.id).id)
    place = {old: at for at, old in enumerate(order)}
    first = {(run.layer, run.tile, run.pipe, run.timesteps[0]): place[run.id] for run in program.runs
             if run.body.table.current_banks == BANKS}
    early = [key for key, at in first.items() if key[2] == "events" and at < first.get((*key[:2], "passes", key[3] - 1), 0)]
    assert len(early) > 2
    other, sample = reordered(program, order), rate_trace.sample(0)
    plain = FastEngine().run_sample(program, sample, "computed")
    fast = FastEngine().run_sample(other, sample, "computed", record=True)
    assert_equal(fast, ReferenceEngine().run_sample(other, sample, "computed", record=True), other)
    for name, planes in plain.outputs.items():
        np.testing.assert_array_equal(fast.outputs[name], planes)
