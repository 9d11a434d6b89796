"""Law: what `check_program` lets through gives equal records on both engines; what it refuses, both refuse with its text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.checks.program import check_program
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.program import CHANNEL, ChannelSpec, Feed, Program, ProgramError, Run, Transfer
from hwsim.snn.network import INPUT
from tests.engine.network_programs import meshed
from tests.engine.program_mutations import changed, mutated, reordered, with_body, with_core, with_table, without_weights
from tests.engine.random_designs import random_sample
from tests.engine.test_engines_agree import draw_program
from tests.engine.test_several_cores import assert_equal, draw

Change = Callable[[Program], Program]


@cache
def shared() -> Program:
    """A random program whose cores share a layer and send planes to each other."""
    for seed in range(200):
        if drawn := draw(seed):
            runs = list(drawn[0].runs)
            sends = any(op.label == "load spike" and op.layer >= 0 for op in drawn[0].operations)
            if sends and any(a.layer == b.layer and a.tile < b.tile for a in runs for b in runs):
                return drawn[0]
    raise AssertionError("no such program")


@cache
def spiking() -> Program:
    """A random program, layer by layer, with a read-out, and a layer before it that reads spikes of several planes."""
    for seed in range(0, 4000, 7):
        drawn = draw_program(seed)
        if drawn is None or drawn[0].schedule != "layer_by_layer" or drawn[0].network.layers[-1].sends:
            continue
        if any(map(_reads, drawn[0].runs)):
            return drawn[0]
    raise AssertionError("no such program")


def _reads(run: Run) -> bool:
    """Whether a run reads spikes of another layer, several planes of several channels, and sends some itself."""
    wire = run.body.connections[0]
    sends = sum(p.kind == "fire" for p in run.body.table.passes) > 1
    return wire.source != INPUT and wire.source_shape[0] > 2 and run.eots > 2 and sends and run.feeds[0].planes != ()


@cache
def by_steps() -> Program:
    """A random program, step by step, of a core that could work pass by pass or word by word."""
    for seed in range(0, 4000, 7):
        drawn = draw_program(seed)
        if drawn and drawn[0].schedule == "step_by_step" and any(run.body.keep for run in drawn[0].runs):
            return drawn[0]
    raise AssertionError("no such program")


def reader(program: Program) -> Run:
    return next(run for run in program.runs if _reads(run))


def feed(**change: Any) -> Change:
    """The reader's first feed with other fields."""
    def make(program: Program) -> Program:
        run = reader(program)
        return changed(program, run.id, feeds=(replace(run.feeds[0], **change), *run.feeds[1:]))
    return make


def run(**change: Any) -> Change:
    return lambda program: changed(program, reader(program).id, **change)


def body(**change: Any) -> Change:
    return lambda program: with_body(program, reader(program).id, **change)


def core(**change: Any) -> Change:
    return lambda program: with_core(program, reader(program).on, **change)


def table(**change: Any) -> Change:
    return lambda program: with_table(program, reader(program).id, **change)


def first_pass(**change: Any) -> Change:
    def make(program: Program) -> Program:
        passes = reader(program).body.table.passes
        return with_table(program, reader(program).id, passes=(replace(passes[0], **change), *passes[1:]))
    return make


def move(**change: Any) -> Change:
    """The first transfer of the sample with other fields."""
    return lambda program: changed(
        program, next(op.id for op in program.operations if isinstance(op, Transfer) and not op.setup), **change)


def widened(program: Program) -> Program:
    return changed(program, reader(program).id, feeds=reader(program).feeds * 2)


def without_its_layer(program: Program) -> Program:
    last = len(program.network.layers) - 1
    return reordered(program, [op.id for op in program.operations if not (isinstance(op, Run) and op.layer == last)])


def twice(program: Program) -> Program:
    order = list(range(len(program.operations)))
    order.insert(reader(program).id, reader(program).id)
    return reordered(program, order)


def with_setup(program: Program, number: int, deps: tuple[int, ...]) -> Program:
    """A setup load with `deps` in front of operation `number`, which then waits for nothing else."""
    load = Transfer(id=number, deps=deps, layer=0, source=CHANNEL, targets=program.cores[:1], memory="bias", bits=8, once=True)
    before, after = program.operations[:number], program.operations[number:]
    late = [replace(op, id=op.id + 1, deps=tuple(d + (d >= number) for d in op.deps)) for op in after]
    late[0] = replace(late[0], deps=(number,))
    return replace(program, operations=(*before, load, *late))


def setup_behind_runs(program: Program) -> Program:
    number = reader(program).id
    return with_setup(program, number, tuple(op.id for op in program.operations[:number] if isinstance(op, Run)))


REFUSED: list[tuple[str, Change, str]] = [
    ("eots 0", run(eots=0), "receives 0 EOTs; it has"),
    ("eots below zero", run(eots=-1), "receives -1 EOTs"),
    ("half a period", lambda p: changed(p, reader(p).id, eots=reader(p).eots - 1), "one period of its table"),
    ("two periods", lambda p: changed(p, reader(p).id, eots=2 * reader(p).eots), "one period of its table"),
    ("no feeds", run(feeds=()), r"feeds of connections \[\]; each of the layer's"),
    ("a feed twice", widened, "feeds of connections"),
    ("a feed of nothing", run(feeds=(Feed(9, (0,), ((0, 1),)),)), r"fed by connections \[9\]"),
    ("tiles beyond the source", feed(tiles=((0, 200),)), r"reads tiles \[\(0, 200\)\]"),
    ("tiles of a part", feed(tiles=((0, 1),)), "each of its channels 0 to"),
    ("no tiles", feed(tiles=()), "each of its channels"),
    ("tiles that overlap", lambda p: feed(tiles=((0, 2), (1, reader(p).body.connections[0].source_shape[0])))(p), "once"),
    ("an unknown plane", feed(planes=(77,)), r"reads planes \[77\]"),
    ("a plane before all", feed(planes=(-1,)), r"planes \[-1\]"),
    ("a plane twice", feed(planes=(0, 0)), "one of them twice"),
    ("a run on the channel", run(on=CHANNEL), "runs on 'channel', which computes nothing"),
    ("a run of the input", run(layer=-1), "belongs to layer -1"),
    ("a tile below zero", run(tile=-1), "tiles are counted from 0"),
    ("timesteps that there are not", run(timesteps=(0, 99)), "covers timesteps 0 to 98; there are 0 to"),
    ("timesteps that end before they begin", run(timesteps=(2, 0)), "covers timesteps"),
    ("timesteps without its passes", run(timesteps=(0, 1)), "makes passes of timesteps"),
    ("a plane below zero", body(first_plane=-1), "has planes -1 to"),
    ("planes too late", body(first_plane=2), "has planes 2 to"),
    ("another shape", body(shape=(7, 1, 1)), r"computes a layer of shape \(7, 1, 1\)"),
    ("other connections", body(connections=()), "has 0 connections that are not the"),
    ("too many groups", body(groups=(0, 999)), "computes groups 0 to 998"),
    ("groups below zero", body(groups=(-1, 1)), "groups -1"),
    ("too wide", body(potential_bits=64), "saturates at 64 potential_bits"),
    ("no width", body(current_bits=0), "0 current_bits"),
    ("payloads unlike the network's", lambda p: body(payload_bits=(3,) * len(reader(p).feeds))(p), "has payload_bits"),
    ("no lanes", core(lanes=0), "lanes of 1 or more, found 0"),
    ("no FIFO", core(fifo_depth=0), "fifo_depth of 1 or more, found 0"),
    ("no scanner", core(scan_bits=0), "scan_bits of 1 or more"),
    ("no adders", core(adders=0), "adders of 1 or more"),
    ("a core of 64 bits", core(potential_bits=64), "potential_bits of 2 to 63"),
    ("an unknown buffer", core(buffer="heap"), "buffer is 'heap', allowed are aer, bitmap"),
    ("several EOTs of merged planes", core(buffer="bitmap", order="gather", planes_per_token="all"), "one for merged planes"),
    ("a core that changes",
     lambda p: body(core=replace(reader(p).body.core, fifo_depth=99))(p),
     "has another core than operation"),
    ("no planes", table(planes=0), "pass table of 0 planes"),
    ("an unknown reset", table(reset="half"), "reset 'half'"),
    ("an initial of another shape", table(initial=np.zeros((1, 1, 9))), r"initial is of shape \(1, 1, 9\)"),
    ("an initial that is too large", lambda p: table(initial=reader(p).body.table.initial + (1 << 60))(p), "does not fit"),
    ("a negative weight of spikes", table(spike_shift=-1), "spike_shift -1"),
    ("weights of spikes beyond 64 bits", table(spike_shift=61), "does not fit 64 bits"),
    ("a leak of nothing", table(leak_shift=0), "leak_shift 0"),
    ("a pass after no EOT", first_pass(after_eot=99), "after EOT 99 of"),
    ("an unknown pass", first_pass(kind="wait"), "wait pass after EOT 1 of no known kind"),
    ("an unknown timestep", first_pass(timestep=99), r"makes passes of timesteps \[99\]"),
    ("no threshold", first_pass(threshold=0), "threshold 0; it must be 1 or more"),
    ("a huge shift", first_pass(shift=64), "shift 64"),
    ("unknown flags", first_pass(flags="look"), "flags 'look'"),
    ("flags without a memory", lambda p: table(flagged=False)(first_pass(flags="masked")(p)), "is not flagged"),
    ("requant levels", lambda p: table(max_level=300)(first_pass(kind="requant")(p)), "max_level 300; layer"),
    ("a timestep made twice", first_pass(timestep=1), "makes timestep 1 of tile 0 of layer"),
    ("a timestep never made", lambda p: table(passes=reader(p).body.table.passes[1:])(p), r"no run makes timesteps \[0\]"),
    ("a run twice", twice, "makes timestep 0 of tile"),
    ("a layer left out", without_its_layer, "a program runs the whole network"),
    ("a pass that sends from a read-out",
     lambda p: with_table( p, list(p.runs)[-1].id, passes=first_pass(kind="fire")(p).operations[reader(p).id].body.table.passes),
     "sends nothing"),
    ("rows below zero", move(rows=-5), "moves -5 rows"),
    ("half a bit", move(bits=1.5), "moves 1.5 bits"),
    ("a region that ends before it begins", move(region=(5, 2)), r"touches bits \(5, 2\)"),
    ("a region below zero", move(region=(-5, 2)), r"touches bits \(-5, 2\)"),
    ("no such memory", move(memory="disk"), "memory 'disk'"),
    ("timesteps of a transfer", move(timesteps=(-1, 0)), "covers timesteps -1 to -1"),
    ("setup that waits", setup_behind_runs, r"is setup, done before cycle 0, and depends on \["),
    ("an empty list", lambda p: replace(p, operations=()), "it has no operations"),
    ("cores named twice", lambda p: replace(p, cores=p.cores * 2), "twice; every core has a name of its own"),
    ("a core named channel", lambda p: replace(p, cores=(*p.cores, CHANNEL)), "is the off-chip channel"),
    ("a channel that moves nothing", lambda p: replace(p, channel=ChannelSpec(0, 3)), "moves 0 bits_per_cycle"),
    ("a channel that ends before it begins", lambda p: replace(p, channel=ChannelSpec(8, -1)), "latency_cycles -1"),
]


def refused(program: Program, text: str) -> None:
    for engine in (FastEngine(), ReferenceEngine()):
        with pytest.raises(ProgramError, match=text) as caught:
            engine.run_sample(program, None, "trace")  # type: ignore[arg-type]
        assert "the program cannot be executed" in str(caught.value)


@pytest.mark.parametrize(("change", "text"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_a_program_that_means_nothing_is_refused_by_both_engines(change: Change, text: str) -> None:
    check_program(spiking())
    refused(change(spiking()), text)


def test_what_only_other_dataflows_need_is_asked_of_them_only() -> None:
    program = by_steps()
    kept = [run.id for run in program.runs if run.body.keep]
    forgets = with_body(program, kept[0], keep=False)
    check_program(forgets)
    for name in {run.on for run in program.runs}:
        forgets = with_core(forgets, name, passes="by_word")
    refused(forgets, f"goes on with the state of operation {kept[0]}, which does not keep it")
    wider = with_body(program, kept[0], potential_bits=40)
    refused(wider, f"goes on with the state of operation {kept[0]} in other widths")
    fed = next(run for run in program.runs if any(feed.planes for feed in run.feeds))
    refused(with_body(program, fed.id, current_fed=False), "is not current_fed, yet its feeds have planes")


def test_waiting_for_setup_says_nothing_of_what_stands_before_it() -> None:
    """A setup load may stand anywhere; it ends at cycle 0, so who waits for it has not waited for the channel's list."""
    program = shared()
    load = next(op for op in program.operations if op.label == "load spike" and op.layer >= 0)
    reads = next(run for run in program.runs if load.id in run.deps)
    free = with_setup(program, reads.id, ())
    check_program(changed(free, reads.id + 1, deps=(*reads.deps, reads.id)))
    refused(free, "have not been sent there before|does not wait for")


def test_operations_that_do_not_fit_together_are_refused_by_both_engines() -> None:
    program = shared()
    check_program(program)
    runs = list(program.runs)
    load = next(op for op in program.operations if op.label == "load spike" and op.layer >= 0)
    reads = next(run for run in runs if load.id in run.deps)
    refused(changed(program, load.id, bits="by sample"), "bits 'by sample': there is no network")
    refused(changed(program, load.id, bits=-1), "moves -1 bits")
    refused(changed(program, load.id, targets=("core7",)), "the program's resources are core0")
    refused(changed(program, load.id, targets=("core0", "core1")), "between the channel and one core")
    refused(changed(program, load.id, source="core0", targets=("core1",)), "without a network")
    refused(changed(program, load.id, deps=(load.id,)), "dependencies point backwards")
    refused(changed(program, load.id, id=99), "an id is the position")
    refused(changed(program, reads.id, on="core9"), "runs on 'core9'")
    refused(changed(program, reads.id, deps=()), "have not been sent there before|does not wait for")
    refused(changed(program, load.id, once=True, deps=()), "have not been sent there before")
    one, other = next((a, b) for a in runs for b in runs if a.layer == b.layer and a.tile < b.tile and a.on != b.on)
    refused(changed(program, other.id, body=replace(one.body, core=other.body.core)), "both hold channel|no tile of layer")
    cut = replace(reads.body, last_channel=reads.body.groups[0] * reads.body.core.lanes)
    refused(changed(program, reads.id, body=cut), "outside of its last group")
    tile = [run.id for run in runs if (run.layer, run.tile) == (other.layer, other.tile)]
    left_out = [op.id for op in program.operations if op.id not in tile]
    refused(reordered(program, left_out), f"no tile of layer {other.layer} computes its channels")


def test_all_reasons_are_given_at_once_and_each_names_its_operation() -> None:
    program = move(rows=-5)(run(eots=0)(spiking()))
    with pytest.raises(ProgramError) as caught:
        check_program(program)
    number = reader(spiking()).id
    assert f"operation {number} receives 0 EOTs" in str(caught.value)
    assert "moves -5 rows" in str(caught.value)


# --- the law -------------------------------------------------------------------------------------------------------------


def refused_or_equal(seed: int, mesh: bool = False) -> str:
    """One random mutation of a random Program on both engines: `none` (nothing drawn), `refused` or `equal`."""
    drawn = draw(seed) if seed % 2 or mesh else draw_program(seed)
    if drawn is None:
        return "none"
    rng = np.random.default_rng(seed)
    whole = meshed(drawn[0], rng) if mesh else drawn[0]
    program = mutated(rng, without_weights(whole) if rng.random() < 0.2 else whole)
    spikes = "computed" if program.network.has_weights and rng.random() < 0.5 else "trace"
    sample = random_sample(rng, program.network)
    records = []
    for engine in (FastEngine(), ReferenceEngine()):
        try:
            records.append(engine.run_sample(program, sample, spikes, record=True))
        except ProgramError:
            records.append(None)
    fast, reference = records
    assert (fast is None) == (reference is None), "one engine refuses what the other runs"
    if fast is None or reference is None:
        return "refused"
    assert_equal(fast, reference, program)
    return "equal"


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_a_mutated_program_is_refused_by_both_engines_or_runs_alike(seed: int) -> None:
    refused_or_equal(seed)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_a_mutated_program_on_a_mesh_is_refused_by_both_engines_or_runs_alike(seed: int) -> None:
    refused_or_equal(seed, mesh=True)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [False, True])
def test_thousands_of_mutated_programs_are_refused_or_run_alike(mesh: bool) -> None:
    found = [refused_or_equal(seed, mesh) for seed in range(3000)]
    assert min(found.count("refused"), found.count("equal")) > 400


def test_mutations_are_refused_and_run_in_turn() -> None:
    """The property test would be empty if nearly all mutations were refused, or nearly none."""
    found = []
    for seed in range(160):
        drawn = draw(seed) if seed % 2 else draw_program(seed)
        if drawn is None:
            continue
        try:
            check_program(mutated(np.random.default_rng(seed), drawn[0]))
            found.append(True)
        except ProgramError:
            found.append(False)
    assert 20 < sum(found) < len(found) - 20


# --- cost ----------------------------------------------------------------------------------------------------------------


def test_engines_check_a_program_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Program] = []
    program = spiking()
    sample = random_sample(np.random.default_rng(0), program.network)
    for module, engine in (("hwsim.engine.fast.chip", FastEngine()), ("hwsim.engine.reference.chip", ReferenceEngine())):
        monkeypatch.setattr(f"{module}.check_program", checked.append)
        for _ in range(3):
            engine.run_sample(program, sample, "trace")
    assert checked == [program, program]
