"""Whole networks on links, placed by hand or by hwsim: the engines agree on random ones, and the laws of the chip hold there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.arch import SHORT_FORM, Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.chip.placement import placed
from hwsim.cores.event.mapping import map_network
from hwsim.cores.event.stream import stream
from hwsim.cores.event.tiles import connection_rows
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.mapping import MappingError
from hwsim.program import Program, ProgramError, Run, Transfer, Wait
from hwsim.record import SampleRecord
from hwsim.schedules import SCHEDULES, build_program
from hwsim.schedules.listing import IN_TIMESTEP_ORDER, STEP_BY_STEP, ListError
from hwsim.schedules.pipelined import PIPELINED
from hwsim.simulation import make_program
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire, ReadOut
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from tests.chip.test_placement import by_hand, chip
from tests.conftest import ROOT
from tests.engine.placed_networks import CODINGS, Placed, as_list, draw_placed, on_links, random_links
from tests.engine.random_designs import random_chip, random_dataflow, random_network, random_sample
from tests.engine.test_list_laws import answer, check_law_2
from tests.engine.test_several_cores import assert_equal

SEEDS = st.integers(0, 2**32 - 1)


def check_seed(seed: int) -> tuple[Placed, SampleRecord] | None:
    found = draw_placed(seed)
    if found is None:
        return None
    rng = np.random.default_rng(seed)
    for spikes in ("computed", "trace"):
        sample = random_sample(rng, found.network)
        reference = ReferenceEngine().run_sample(found.program, sample, spikes, record=True)
        fast = FastEngine().run_sample(found.program, sample, spikes, record=True)
        assert_equal(fast, reference, found.program)
    listed, cycles = as_list(found.program, fast)
    times = answer(listed, cycles)
    check_law_2(listed, times)
    np.testing.assert_array_equal(times.start, fast.start)
    np.testing.assert_array_equal(times.end, fast.end)
    return found, fast


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_engines_agree_on_random_networks_on_links_and_law_2_holds(seed: int) -> None:
    check_seed(seed)


@pytest.mark.slow
def test_engines_agree_on_thousands_of_networks_on_links() -> None:
    assert sum(check_seed(seed) is not None for seed in range(2000)) > 600


def test_random_networks_on_links_are_what_they_should_be() -> None:
    """The property test would be empty if most chips sent nothing, never split a layer, or never had a pipeline."""
    seen: Counter[str] = Counter()
    for seed in range(120):
        found = draw_placed(seed)
        if found is None:
            continue
        runs, moves = list(found.program.runs), [op for op in found.program.operations if isinstance(op, Transfer)]
        links = found.arch.network
        assert links is not None
        seen.update({
            found.schedule.name: True, "several cores": len(found.program.cores) > 1,
            "split layers": any(a.layer == b.layer and a.on != b.on for a in runs for b in runs),
            "row tiles": any(run.body.cut_by_rows for run in runs), "multicast": any(len(op.targets) > 1 for op in moves),
            "to itself": any(op.source in op.targets for op in moves),
            "merged": any(op.cargo and op.cargo.merged for op in moves), "spills": any(op.memory == "membrane" for op in moves),
            "barriers": any(isinstance(op, Wait) for op in found.program.operations),
            "streamed weights": any(op.memory == "weight" and not op.setup for op in moves),
            "several timesteps": len({run.timesteps for run in runs}) > 1})
    assert min(seen[name] for name in (*SCHEDULES, "several cores", "split layers", "row tiles", "multicast", "to itself",
                                       "several timesteps", "streamed weights")) > 10, seen
    assert min(seen[name] for name in ("merged", "spills", "barriers")) > 1, seen


# -- laws -------------------------------------------------------------------------------------------------------------


def free(arch: Architecture, **changes: object) -> Architecture:
    """The chip with links that cost nothing, and large memories."""
    data = dump_architecture(arch)
    data["network"] |= {"flit_bits": None, "hop_cycles": 0, "barrier_cycles": None, **changes}
    return rebuild_architecture(data)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_law_4_without_contention_and_in_timestep_order_pipelined_is_never_slower(seed: int) -> None:
    found = draw_placed(7 * (seed // 7), "pipelined")  # rate codes
    if found is None:
        return
    ends = []
    for discipline in (IN_TIMESTEP_ORDER, STEP_BY_STEP):
        schedule = replace(PIPELINED, discipline=discipline)
        try:
            program = build_program(map_network(found.network, free(found.arch), schedule), schedule)
        except ProgramError:
            return
        rng = np.random.default_rng(seed)
        ends.append(int(FastEngine().run_sample(program, random_sample(rng, found.network), "computed").end.max()))
    assert ends[0] <= ends[1]


def work(program: Program, record: SampleRecord) -> np.ndarray:
    """What all runs together count, by timestep."""
    return record.counts[[run.id for run in program.runs]].sum(axis=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_law_5_whole_layers_do_the_same_work_wherever_they_are(rate_trace: Trace, schedule: str) -> None:
    network, sample = rate_trace.network, rate_trace.sample(0)
    found = []
    for placement in (by_hand(network, "core0"), by_hand(network, "core1", "core3"), "auto"):
        program = make_program(network, chip(4, placement=placement, hop_cycles=2), schedule)
        record = FastEngine().run_sample(program, sample, "computed")
        found.append((work(program, record), record))
        assert not record.mismatches[record.mismatches >= 0].any()
    for counts, record in found[1:]:
        np.testing.assert_array_equal(counts, found[0][0])
        for name, values in found[0][1].potentials.items():
            np.testing.assert_array_equal(record.potentials[name], values)


@dataclass(frozen=True)
class Ran:
    """A Program on a chip, and what a sample makes of it."""

    arch: Architecture
    program: Program
    sample: Sample
    record: SampleRecord


def draw_alike(seed: int, placement: object, schedule: str, **links: object) -> Ran | None:
    """A random network of any coding and dataflow on equal cores that have room for it, and a sample; None where it is refused.

    The same seed draws the same network, cores and sample, whatever the placement and the links.
    """
    rng = np.random.default_rng(seed)
    coding = CODINGS[seed % len(CODINGS)]
    network = random_network(rng, coding)
    entry = dump_architecture(random_chip(rng, network, coding))
    core = entry["cores"][0] if "cores" in entry else {name: entry[name] for name in SHORT_FORM}
    data = {name: value for name, value in entry.items() if name not in (*SHORT_FORM, "cores")}
    chip_of_one_kind = rebuild_architecture({**data, "cores": [{**core, "count": 4}]})
    flow = random_dataflow(rng, 0 if coding == "quantised" else 62) if rng.random() < 0.3 else None
    drawn = random_links(rng, chip_of_one_kind.core_names, network) | {"buffer_planes": 9, "barrier_cycles": None}
    where = placement
    if isinstance(placement, tuple):
        where = {layer.name: placement[n % len(placement)] for n, layer in enumerate(network)}
    arch = on_links(chip_of_one_kind, {**drawn, "placement": where, **links}, roomy=True, flow=flow)
    order = SCHEDULES[schedule]
    try:
        mapping = map_network(network, placed(arch, network), order)
        program = build_program(mapping, order)
    except ProgramError:
        return None
    sample = random_sample(np.random.default_rng([seed, 1]), network)
    return Ran(mapping.arch, program, sample, FastEngine().run_sample(program, sample, "computed"))


def sent_bits(program: Program, record: SampleRecord) -> dict[int, int]:
    """By layer, the bits of all that it sends over links, or to its own core."""
    assert record.bits is not None
    found: Counter[int] = Counter()
    for op in program.operations:
        if isinstance(op, Transfer) and op.kind == "send":
            found[op.layer] += int(record.bits[op.id])
    return dict(found)


def check_law_5(seed: int) -> str | None:
    schedule = sorted(SCHEDULES)[seed % len(SCHEDULES)]
    pick = np.random.default_rng(seed).integers(0, 4, 7).tolist()
    found = [draw_alike(seed, where, schedule) for where in (("core0",), tuple(f"core{n}" for n in pick), "auto")]
    runs = [one for one in found if one is not None]
    if len(runs) < 2:
        return None
    first = runs[0].record
    for one in runs[1:]:
        np.testing.assert_array_equal(work(one.program, one.record), work(runs[0].program, first))
        assert sent_bits(one.program, one.record) == sent_bits(runs[0].program, first)
        for name, values in first.potentials.items():
            np.testing.assert_array_equal(one.record.potentials[name], values)
        for name, planes in first.outputs.items():
            np.testing.assert_array_equal(one.record.outputs[name], planes)
    return schedule


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_law_5_on_random_networks_codings_dataflows_and_placements(seed: int) -> None:
    check_law_5(seed)


def check_law_6(seed: int) -> str | None:
    """Two meshes, with cores, channel and hops anywhere: with free links every operation is at the same time on both."""
    schedule = sorted(SCHEDULES)[seed % len(SCHEDULES)]
    where = tuple(f"core{n}" for n in np.random.default_rng(seed).integers(0, 4, 7))
    nothing = {"flit_bits": None, "hop_cycles": 0}
    apart: dict[str, object] = {"mesh": [5, 3], "channel_node": [4, 2],
                                "nodes": {f"core{n}": node for n, node in enumerate(([4, 0], [0, 2], [2, 1], [0, 0]))}}
    found = [draw_alike(seed, where, schedule, **nothing, **links) for links in ({}, apart)]
    if found[0] is None or found[1] is None:
        assert found[0] is found[1]
        return None
    for name in ("start", "end", "bits"):
        np.testing.assert_array_equal(getattr(found[0].record, name), getattr(found[1].record, name))
    return schedule


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_law_6_on_random_networks_where_cores_sit_does_not_matter_to_free_links(seed: int) -> None:
    check_law_6(seed)


def check_law_1(seed: int) -> str | None:
    """One core on free links, where the input travels as on a chip without a network: each run takes what it takes there."""
    schedule = ("layer_by_layer", "step_by_step")[seed % 2]
    found = draw_alike(seed, ("core0",), schedule, flit_bits=None, hop_cycles=0, encoding="bitmap", header_bits=0)
    if found is None:
        return None
    data = dump_architecture(found.arch)
    data["cores"] = [{**data["cores"][0], "count": 1}]
    del data["network"]
    try:
        alone = make_program(found.program.network, rebuild_architecture(data), schedule)
    except ProgramError:
        return None
    without = FastEngine().run_sample(alone, found.sample, "computed")
    spans = [sorted((run.layer, run.tile, run.timesteps, int(times.end[run.id] - times.start[run.id])) for run in program.runs)
             for program, times in ((alone, without), (found.program, found.record))]
    assert spans[0] == spans[1]
    np.testing.assert_array_equal(work(alone, without), work(found.program, found.record))
    return schedule


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_law_1_on_random_networks_one_core_does_what_it_does_without_a_network(seed: int) -> None:
    check_law_1(seed)


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_law_1, check_law_5, check_law_6])
def test_laws_on_a_thousand_random_networks(check: Callable[[int], str | None]) -> None:
    """Every schedule that the law is about is among those that were not refused."""
    seen = Counter(check(seed) for seed in range(1000))
    assert len(seen) - 1 == (2 if check is check_law_1 else len(SCHEDULES))
    assert min(seen.values()) > 50, seen


@pytest.mark.parametrize("coding", ["rate", "bit_serial", "quantised"])
def test_law_5_split_layers_give_the_same_spikes(request: pytest.FixtureRequest, coding: str) -> None:
    trace: Trace = request.getfixturevalue(f"{coding}_trace")
    base = "mac_core_64" if coding == "quantised" else "event_core_64"
    for schedule in SCHEDULES:
        for changes in ({"placement": "spread"}, {"placement": "spread", "tile_rows": 2}, {"tile_rows": 1}):
            try:
                program = make_program(trace.network, chip(3, base, **changes), schedule)
            except MappingError:
                assert coding == "bit_serial"
                assert not SCHEDULES[schedule].stays
                continue
            record = FastEngine().run_sample(program, trace.sample(0), "computed")
            assert not record.mismatches[record.mismatches >= 0].any(), (schedule, changes)


@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
def test_laws_1_and_6_a_free_network_vanishes(rate_trace: Trace, schedule: str) -> None:
    """On one core: the runs are those of the chip without one, nothing that is sent takes time or holds a link."""
    network, sample = rate_trace.network, rate_trace.sample(0)
    alone = make_program(network, load_architecture("event_core_64"), schedule)
    on_links = make_program(network, free(chip(1)), schedule)
    records = [FastEngine().run_sample(program, sample, "computed") for program in (alone, on_links)]
    runs = [list(program.runs) for program in (alone, on_links)]
    assert [(run.layer, run.tile, run.timesteps) for run in runs[0]] == [(run.layer, run.tile, run.timesteps) for run in runs[1]]
    spans = [(record.end - record.start)[[run.id for run in every]] for record, every in zip(records, runs, strict=True)]
    np.testing.assert_array_equal(*spans)
    np.testing.assert_array_equal(work(alone, records[0]), work(on_links, records[1]))
    for op in on_links.operations:
        if isinstance(op, Transfer) and op.kind == "send":
            assert records[1].start[op.id] == records[1].end[op.id]
    # What is left: the input travels in the encoding of the links, and its bits decide when the first run begins.
    loaded = [max(int(record.end[op.id]) for op in program.operations if isinstance(op, Transfer) and op.layer < 0)
              for program, record in zip((alone, on_links), records, strict=True)]
    assert records[0].end.max() - loaded[0] == records[1].end.max() - loaded[1]


def chain(layers: int, timesteps: int) -> tuple[Network, Sample]:
    """Linear layers in a row, each of which reads the one before, and spikes for all of them."""
    rng = np.random.default_rng(layers)
    made, source, size = [], "input", 6
    for n in range(layers):
        width = int(rng.integers(4, 20))
        wire = Connection(source, "linear", (size, 1, 1), rng.integers(-9, 10, (width, size)).astype(np.int8))
        made.append(Layer(f"l{n}", (width, 1, 1), (wire,), IntegrateAndFire(), timesteps, rng.integers(5, 20, timesteps)))
        source, size = f"l{n}", width
    wire = Connection(source, "linear", (size, 1, 1), rng.integers(-9, 10, (4, size)).astype(np.int8))
    network = Network(InputSpec((6, 1, 1), "direct", 1, 8), (*made, Layer("out", (4, 1, 1), (wire,), ReadOut(), timesteps)))
    return network, random_sample(rng, network)


@pytest.mark.parametrize("buffer_planes", [1, 2, 3])
@pytest.mark.parametrize("layers", [2, 4])
def test_law_7_a_pipeline_takes_what_its_recursion_says(layers: int, buffer_planes: int) -> None:
    """A core per layer in a row, so that no link is wanted twice: runs and transfers as stages with so many places between."""
    timesteps = 6
    network, sample = chain(layers, timesteps)
    cores = len(network.layers)
    arch = chip(cores, mesh=[cores, 1], buffer_planes=buffer_planes, hop_cycles=3,
                placement={layer.name: f"core{n}" for n, layer in enumerate(network)})
    program = make_program(network, arch, "pipelined")
    record = FastEngine().run_sample(program, sample, "trace")
    spans = record.end - record.start
    takes = {(op.kind, op.layer, op.timesteps[0]): int(spans[op.id]) for op in program.operations}
    ends: dict[tuple[str, int, int], int] = {}

    def end(kind: str, layer: int, t: int) -> int:
        return ends.get((kind, layer, t), 0)

    ends["send", -1, 0] = int(record.end[next(op.id for op in program.operations if op.layer < 0)])
    for t in range(timesteps):
        for n in range(cores):
            before = [end("run", n, t - 1), end("send", n - 1, t), end("send", n, t - buffer_planes)]
            ends["run", n, t] = max(before) + takes["run", n, t]
            if n + 1 < cores:
                waits = [end("run", n, t), end("run", n + 1, t - buffer_planes), end("send", n, t - 1)]
                ends["send", n, t] = max(waits) + takes["send", n, t]
    for op in program.operations:
        if isinstance(op, Run) or op.kind == "send":
            assert record.end[op.id] == ends[op.kind, op.layer, op.timesteps[0]], op.label
    assert record.end.max() == ends["run", cores - 1, timesteps - 1] + takes["store", cores - 1, 0]


# -- samples in a row -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_samples_in_a_row(rate_trace: Trace, schedule: str) -> None:
    """One sample by itself is itself; many take no less than the busiest resource works; both engines say so."""
    network, order = rate_trace.network, SCHEDULES[schedule]
    arch = chip(4, placement=by_hand(network, "core0", "core1", "core2", "core3"))
    program = make_program(network, arch, schedule)
    records = [FastEngine().run_sample(program, rate_trace.sample(n % 3), "trace") for n in range(6)]
    one = stream(network, arch, order, records[:1], FastEngine())
    assert one.last.tolist() == [records[0].end.max()]
    many, same = (stream(network, arch, order, records, engine) for engine in (FastEngine(), ReferenceEngine()))
    np.testing.assert_array_equal(many.last, same.last)
    assert many.busy == same.busy
    latency = sum(int(record.end.max()) for record in records)
    assert max(many.busy.values()) <= many.last.max() <= latency
    if order.stays:
        assert many.last.max() < 0.7 * latency, "samples overlap"
    assert (np.diff(many.last) > 0).all()


# -- what cannot be -----------------------------------------------------------------------------------------------------


def test_buffers_that_cannot_hold_a_plane_are_refused_by_core(rate_trace: Trace) -> None:
    network = rate_trace.network
    arch = chip(4, placement=by_hand(network, "core0", "core1"))
    data = dump_architecture(arch)
    data["cores"][0]["spike_buffer"]["capacity"] = "64 bit"
    with pytest.raises(MappingError, match=r"(?s)core0: spike buffer: .* of inputs and .* of outputs; spike_buffer.capacity is "
                                           r"8 B.*core1: spike buffer"):
        make_program(network, rebuild_architecture(data), "step_by_step")
    twice = dump_architecture(arch) | {}
    twice["network"] |= {"buffer_planes": 1}
    with pytest.raises(MappingError, match="buffer_planes is 1, and layer_by_layer sends 3 planes at once"):
        make_program(network, rebuild_architecture(twice), "layer_by_layer")


def test_weights_that_do_not_stay_are_refused_when_pipelined_unless_they_are_streamed(rate_trace: Trace) -> None:
    network = rate_trace.network
    data = dump_architecture(chip(2, placement=by_hand(network, "core0", "core1"), stream_weights=False))
    rows = max(sum(connection_rows(wire, layer.shape[0], 64, (0, layer.shape[0]))[0] for wire in layer.connections)
               for layer in network)
    data["cores"][0]["memories"]["weight"] = f"{64 * 8 * rows} bit"  # any layer fits, two of them do not
    small = rebuild_architecture(data)
    with pytest.raises(MappingError, match=r"(?s)core0: weight memory: .* needed for all its layers, .* there; pipelined would "
                                           "load weights again for every run.*network.stream_weights: true"):
        make_program(network, small, "pipelined")
    data["network"]["stream_weights"] = True
    program = make_program(network, rebuild_architecture(data), "pipelined")
    loads = [op for op in program.operations if isinstance(op, Transfer) and op.memory == "weight" and not op.setup]
    assert len({op.timesteps for op in loads}) == rate_trace.timesteps, "again for every timestep"
    record = FastEngine().run_sample(program, rate_trace.sample(0), "computed")
    assert not record.mismatches[record.mismatches >= 0].any()


def test_a_barrier_needs_buffers_and_ticks(rate_trace: Trace) -> None:
    """conv4 reads conv3 and, two layers before it, conv2: one place in a buffer is not enough if everybody waits each tick."""
    with Trace.open(ROOT / "traces" / "fashion_mnist_rate_t4.h5") as trace:
        deep = trace.network
    network = rate_trace.network
    with pytest.raises(ListError, match="layer_by_layer has no ticks for a barrier"):
        make_program(network, chip(4, barrier_cycles=9), "layer_by_layer")
    with pytest.raises(ListError, match="wait for each other: the .*which waits for .*more buffer_planes than 1"):
        make_program(deep, chip(9, barrier_cycles=9, buffer_planes=1), "pipelined")
    assert make_program(deep, chip(9, barrier_cycles=9, buffer_planes=2), "pipelined").operations
    slow = FastEngine().run_sample(make_program(network, chip(9, barrier_cycles=100, buffer_planes=3), "pipelined"),
                                   rate_trace.sample(0), "trace")
    fast = FastEngine().run_sample(make_program(network, chip(9, buffer_planes=3), "pipelined"), rate_trace.sample(0), "trace")
    assert slow.end.max() > fast.end.max() + 100
