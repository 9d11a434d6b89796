"""C9's lists: their order by its definition, who reads what, and the laws of schedules on random pipelines and by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.links import CHANNEL, MeshSpec
from hwsim.program import ChannelSpec
from hwsim.schedules.listing import (
    DISCIPLINES,
    IN_TIMESTEP_ORDER,
    LAYER_BY_LAYER,
    PIPELINED,
    STEP_BY_STEP,
    WORK,
    Discipline,
    ListError,
    Step,
    steps_of,
)
from hwsim.schedules.stages import INPUT, Pipeline, Stage, StageTile, Wire
from tests.schedules.random_pipelines import Drawing, random_drawing

SEEDS = st.integers(0, 2**32 - 1)
EVERY = [(discipline, barrier) for discipline in DISCIPLINES.values() for barrier in (False, True)
         if discipline.ticks or not barrier]


def key_of(step: Step, pipeline: Pipeline, name: str) -> tuple[float, ...]:
    """The key of a step under the discipline of that name, written out anew."""
    first = min((wire.target for wire in pipeline.wires if wire.source == INPUT), default=0)
    rank = {
        STEP_BY_STEP.name: step.item, IN_TIMESTEP_ORDER.name: step.item, PIPELINED.name: tick_of(step, pipeline, name),
        LAYER_BY_LAYER.name: first if step.stage == INPUT else step.stage}[name]
    if step.kind == "barrier":
        return rank, float("inf")
    return rank, step.item, step.stage, ("events", "run", "send").index(step.kind), step.tile


def banks_of(step: Step, pipeline: Pipeline) -> int:
    """Items whose sums the core of a step holds at once; 0 where events and passes are one run."""
    return 0 if INPUT == step.stage else pipeline.stages[step.stage].tiles[step.tile].banks


def tick_of(step: Step, pipeline: Pipeline, name: str) -> int:
    if name != PIPELINED.name or step.kind == "barrier":
        return step.item
    return step.item + depth_of(pipeline, step.stage) + (step.kind != "events" and banks_of(step, pipeline) > 0)


def depth_of(pipeline: Pipeline, stage: int) -> int:
    before = [wire.source for wire in pipeline.wires if wire.target == stage and wire.source != INPUT]
    return 1 + max(depth_of(pipeline, one) for one in before) if before else 0


def reads(pipeline: Pipeline, reader: Step, made: Step) -> bool:
    """Whether a field of the reader's rows holds a row of the tile."""
    for wire in pipeline.wires:
        if (wire.source, wire.target) != (made.stage, reader.stage):
            continue
        source = pipeline.stage(made.stage)
        for y in range(*pipeline.stages[reader.stage].tiles[reader.tile].rows):
            field = range(source.height) if wire.kernel is None else range(
                wire.stride * y - wire.padding, wire.stride * y - wire.padding + wire.kernel)
            if any(row in field for row in range(*source.tiles[made.tile].rows)):
                return True
    return False


def waits_of(step: Step, steps: tuple[Step, ...], pipeline: Pipeline, name: str, planes: int) -> set[int]:
    """What a step waits for by C9, each rule looked up in the whole list: slow, and nothing but the text."""
    def waits(other: Step) -> bool:
        same = (other.stage, other.tile) == (step.stage, step.tile)
        if step.kind == "barrier":
            return other.kind != "barrier" and other.stage != INPUT and tick_of(other, pipeline, name) == step.item
        if other.kind == "barrier":
            return step.kind in WORK and tick_of(step, pipeline, name) == other.item + 1
        if step.kind == "send":
            its_run = same and other.item == step.item and other.kind == "run"
            reader = other.kind == ("events" if banks_of(other, pipeline) else "run") if other.kind in WORK else False
            return its_run or (reader and other.item == step.item - planes and reads(pipeline, other, step))
        sends = "send" if pipeline.travels else "run"
        if step.kind == "events" and same and other.kind == "run":
            return other.item == step.item - banks_of(step, pipeline) or _stage_before(step, other, pipeline, name)
        if step.kind == "run" and banks_of(step, pipeline):
            if other.kind == "events" and same and other.item == step.item:
                return True
            if other.kind == sends and sends == "run" or other.kind == "send" and not same:
                return _stage_before(step, other, pipeline, name)
        if other.kind == sends and other.item == step.item and reads(pipeline, step, other):
            return True
        if other.kind == "send":
            return step.kind == "run" and same and other.item == step.item - planes
        return _stage_before(step, other, pipeline, name)

    return {place for place, other in enumerate(steps) if waits(other)} | shared_with(step, steps, pipeline)


def shared_with(step: Step, steps: tuple[Step, ...], pipeline: Pipeline) -> set[int]:
    """Of the core's other pipe, the last step before this one that works on potentials too, and on the same bank (R27)."""
    def states(one: Step) -> set[tuple[str, str | int]]:
        if one.kind not in WORK or not (banks := banks_of(one, pipeline)):
            return set()
        core = pipeline.stages[one.stage].tiles[one.tile].core
        tick = one.item + depth_of(pipeline, one.stage)
        return {(core, "potentials")} if banks == 1 else {(core, tick % 2), *[(core, "potentials")] * (one.kind == "run")}

    before = [(place, other) for place, other in enumerate(steps[: steps.index(step)]) if other.kind != step.kind]
    return {max(there) for state in states(step) if (there := [place for place, other in before if state in states(other)])}


def _stage_before(step: Step, other: Step, pipeline: Pipeline, name: str) -> bool:
    """Whether the other one is work of the stage before, where stages come in turn."""
    if other.kind not in WORK:
        return False
    if name == LAYER_BY_LAYER.name:
        return other.stage == step.stage - 1
    whole = len(pipeline.stages)
    return name == STEP_BY_STEP.name and other.item * whole + other.stage == step.item * whole + step.stage - 1


def check_steps(steps: tuple[Step, ...], pipeline: Pipeline, name: str, planes: int, barrier: bool) -> None:
    """That a list is what C9 says, by the text alone."""
    runs = Counter((step.stage, step.item, step.tile) for step in steps if step.kind == "run")
    assert set(runs) == {(n, t, i) for n, stage in enumerate(pipeline.stages) for t in range(pipeline.items)
                         for i in range(len(stage.tiles))}
    assert set(runs.values()) == {1}
    apart = Counter((step.stage, step.item, step.tile) for step in steps if step.kind == "events")
    assert apart == {place: 1 for place in runs if pipeline.stages[place[0]].tiles[place[2]].banks}
    every = [step for step in steps if step.kind == "run"]
    for place, step in enumerate(steps):
        assert set(step.deps) == waits_of(step, steps, pipeline, name, planes), str(step)
        # The smallest key of those whose dependencies are listed.
        later = [other for other in steps[place + 1 :] if all(d < place for d in other.deps)]
        key = key_of(step, pipeline, name)
        assert all(key < key_of(other, pipeline, name) for other in later), str(step)
        if step.kind == "send":
            readers = {pipeline.stages[run.stage].tiles[run.tile].core for run in every if reads(pipeline, run, step)}
            assert set(step.targets) == (readers or {CHANNEL})
            assert readers or is_output(pipeline, step.stage)
    sent = {(step.stage, step.item, step.tile) for step in steps if step.kind == "send"}
    readers_of = [step for step in steps if step.kind in WORK]
    for run in every:
        wanted = is_output(pipeline, run.stage) or any(reads(pipeline, other, run) for other in readers_of)
        assert ((run.stage, run.item, run.tile) in sent) == (wanted and pipeline.travels), str(run)
    ticks = 1 + max(tick_of(step, pipeline, name) for step in every)
    assert sorted(step.item for step in steps if step.kind == "barrier") == (list(range(ticks - 1)) if barrier else [])


def is_output(pipeline: Pipeline, stage: int) -> bool:
    """Whether a layer's planes leave over the channel: no layer reads them."""
    return pipeline.leaves and stage != INPUT and not any(wire.source == stage for wire in pipeline.wires)


@settings(max_examples=120, deadline=None)
@given(seed=SEEDS)
def test_the_list_is_what_c9_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pipeline, planes = random_drawing(rng, pipes=seed % 3 == 0).pipeline, int(rng.integers(1, 4))
    discipline, barrier = EVERY[int(rng.integers(len(EVERY)))]
    try:
        steps = steps_of(pipeline, discipline, planes, barrier)
    except ListError:
        assert discipline not in (STEP_BY_STEP, IN_TIMESTEP_ORDER), "whatever comes in timestep order can be listed"
        return
    check_steps(steps, pipeline, discipline.name, planes, barrier)


def test_random_pipelines_make_everything_happen() -> None:
    seen: Counter[str] = Counter()
    for seed in range(150):
        drawing = random_drawing(np.random.default_rng(seed))
        try:
            steps = drawing.times(PIPELINED, 1, 5)[0]
        except ListError:
            seen["refused"] += 1
            continue
        seen.update({
            "sends": any(step.kind == "send" for step in steps), "multicast": any(len(step.targets) > 1 for step in steps),
            "leaves": any(step.targets == (CHANNEL,) for step in steps), "input": any(step.stage == INPUT for step in steps
                                                                                    if step.kind == "send"),
            "rows": any(len({tile.rows for tile in stage.tiles}) > 1 for stage in drawing.pipeline.stages),
            "nobody reads": any(not readers and any(wire.source == stage for wire in drawing.pipeline.wires)
                                for (stage, _), readers in drawing.pipeline.readers.items())})
    assert min(seen[name] for name in ("refused", "sends", "multicast", "leaves", "input", "rows", "nobody reads")) > 3, seen


@settings(max_examples=120, deadline=None)
@given(seed=SEEDS)
def test_law_4_without_contention_pipelined_is_never_slower_than_step_by_step(seed: int) -> None:
    """In timestep order both take the same list, and pipelined waits for less."""
    rng = np.random.default_rng(seed)
    drawing = random_drawing(rng)
    drawing = drawing.with_free_links() if drawing.mesh else drawing
    planes = int(rng.integers(1, 4))
    steps = drawing.latency(STEP_BY_STEP, planes)
    assert drawing.latency(IN_TIMESTEP_ORDER, planes) <= steps
    assert drawing.latency(STEP_BY_STEP, planes, barrier_cycles=3) >= steps
    assert drawing.latency(IN_TIMESTEP_ORDER, planes + 1) <= drawing.latency(IN_TIMESTEP_ORDER, planes)


def test_law_4_is_no_truism() -> None:
    faster = 0
    for seed in range(60):
        drawing = random_drawing(np.random.default_rng(seed))
        faster += drawing.latency(IN_TIMESTEP_ORDER, 2) < drawing.latency(STEP_BY_STEP, 2)
    assert faster > 10


def chain(layers: int, items: int, cycles: list[int], bits: list[int], input_bits: int | None = None, leaves: bool = False,
          flit_bits: int | None = 1) -> Drawing:
    """A core per layer in a row, each with its neighbour's link for itself; what a run takes and a tile sends, by layer."""
    cores = tuple(f"core{n}" for n in range(layers))
    whole = (0, 1)
    stages = tuple(Stage(1, (StageTile(core, whole),)) for core in cores)
    source = None if input_bits is None else Stage(1, (StageTile("core0", whole),))
    wires = tuple(Wire(n - 1, n) for n in range(0 if source else 1, layers))
    mesh = MeshSpec((layers, 1), flit_bits, 0, 0, 0, (*((core, (n, 0)) for n, core in enumerate(cores)), (CHANNEL, (0, 0))))
    places = [(n, t, 0) for n in range(layers) for t in range(items)]
    sent = {(n, t, 0): bits[n] for n, t, _ in places} | {(INPUT, t, 0): input_bits or 0 for t in range(items)}
    return Drawing(Pipeline(stages, wires, items, source, leaves=leaves), cores, ChannelSpec(1, 0), mesh,
                   {(n, t, 0): cycles[n] for n, t, _ in places}, sent)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5), st.integers(1, 6), st.integers(2, 4))
def test_law_7_a_pipeline_of_equal_planes_takes_its_slowest_stage_t_times(
    stages: list[tuple[int, int]], items: int, planes: int
) -> None:
    """T * max + the sum of the others; the transfers between two layers are stages, too."""
    cycles, bits = [cycles for cycles, _ in stages], [bits for _, bits in stages]
    taken = [*cycles, *bits[:-1]]
    assert chain(len(stages), items, cycles, bits).latency(PIPELINED, planes) == items * max(taken) + sum(taken) - max(taken)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 6), st.sampled_from([1, 2]))
def test_events_and_passes_apart_take_the_longer_of_them_t_times(cycles: int, items: int, banks: int) -> None:
    """a + b + (T - 1) max(a, b), with a of events and b of passes; T (a + b) where one bank lets them take turns (R27)."""
    plain = chain(1, items, [cycles], [0])
    stage = plain.pipeline.stages[0]
    pipeline = replace(plain.pipeline, stages=(replace(stage, tiles=(replace(stage.tiles[0], banks=banks),)),))
    events, passes = cycles // 2, cycles - cycles // 2
    expected = items * cycles if banks == 1 else cycles + (items - 1) * max(events, passes)
    assert replace(plain, pipeline=pipeline).latency(PIPELINED, 2) == expected


STAGES = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=4)
"""Cycles of a run and bits of a transfer, by layer."""


@settings(max_examples=60, deadline=None)
@given(STAGES, st.integers(1, 5), st.integers(1, 30))
def test_in_timestep_order_the_channel_makes_one_path_as_slow_as_step_by_step(
    stages: list[tuple[int, int]], items: int, input_bits: int
) -> None:
    """The channel's list has the output of t before the input of t + 1; in the order of ticks not, if there are three layers."""
    cycles, bits = [cycles for cycles, _ in stages], [bits for _, bits in stages]
    drawing = chain(len(stages), items, cycles, bits, input_bits, leaves=True)
    slow = drawing.latency(STEP_BY_STEP, 2)
    assert drawing.latency(IN_TIMESTEP_ORDER, 2) == slow
    assert drawing.latency(PIPELINED, 2) < slow if items > 1 and len(stages) > 2 else drawing.latency(PIPELINED, 2) == slow


@pytest.mark.parametrize("layers", [2, 3, 4, 6])
def test_input_and_output_on_one_channel_cost_a_pipeline_a_layer(layers: int) -> None:
    """The output of t has the tick of the input of t + layers - 1 and stands before it, so layers - 1 planes are on their way.

    The period is layers / (layers - 1) stages, not one. This is what C9's order costs; without an output it costs nothing.
    """
    def period(leaves: bool) -> float:
        few, many = (chain(layers, items, [1000] * layers, [0] * layers, 0, leaves, None).latency(PIPELINED, 3)
                     for items in (20, 20 + 10 * (layers - 1)))
        return (many - few) / (10 * (layers - 1))

    assert period(leaves=True) == pytest.approx(1000 * layers / (layers - 1))
    assert period(leaves=False) == 1000


@pytest.mark.parametrize(("skipped", "planes"), [(2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 2), (4, 5)])
def test_a_connection_that_skips_layers_needs_as_many_buffer_planes(skipped: int, planes: int) -> None:
    """The period is d / buffer_planes stages where the buffers are too few (C9)."""
    def latency(items: int) -> int:
        base = chain(skipped + 1, items, [12] * (skipped + 1), [0] * (skipped + 1), flit_bits=None)
        wires = (*base.pipeline.wires, Wire(0, skipped))
        longer = Pipeline(base.pipeline.stages, wires, items)
        return Drawing(longer, base.cores, base.channel, base.mesh, base.cycles, base.bits).latency(PIPELINED, planes)

    rounds = 10 * planes
    assert latency(20 + rounds) - latency(20) == 12 * max(rounds, rounds * skipped // planes)


def test_a_reader_reads_what_its_fields_touch_and_not_what_lies_between() -> None:
    """Kernel 1, stride 3: rows 0, 3 and 6 of 7. Tiles of rows 1 and 2, and of rows 4 and 5, have no reader."""
    tiles = tuple(StageTile("core0", rows) for rows in ((0, 1), (1, 3), (3, 4), (4, 6), (6, 7)))
    pipeline = Pipeline((Stage(7, tiles), Stage(3, (StageTile("core1", (0, 2)), StageTile("core2", (2, 3))))),
                        (Wire(0, 1, kernel=1, stride=3),), 1)
    assert [pipeline.readers[0, n] for n in range(5)] == [((1, 0),), (), ((1, 0),), (), ((1, 1),)]
    sends = [(step.tile, step.targets) for step in steps_of(pipeline, PIPELINED, 1) if step.kind == "send"]
    assert sends == [(0, ("core1",)), (2, ("core1",)), (4, ("core2",))], "a tile that nobody reads is not sent"


def test_neighbours_both_read_halo_rows() -> None:
    tiles = tuple(StageTile(f"core{n}", (2 * n, 2 * n + 2)) for n in range(3))
    pipeline = Pipeline((Stage(6, tiles), Stage(6, tiles)), (Wire(0, 1, kernel=3, padding=1),), 1)
    assert [len(pipeline.readers[0, n]) for n in range(3)] == [2, 3, 2]


def test_depth_is_that_of_the_longest_way() -> None:
    stages = tuple(Stage(1, (StageTile("core0", (0, 1)),)) for _ in range(5))
    pipeline = Pipeline(stages, (Wire(INPUT, 0), Wire(0, 1), Wire(1, 2), Wire(0, 3), Wire(2, 3), Wire(INPUT, 4)), 1, stages[0])
    assert pipeline.depths == (0, 1, 2, 3, 0)


def test_ticks_by_hand() -> None:
    """The example of docs/cycle-model.md: three layers in a row, two timesteps."""
    steps = steps_of(chain(3, 2, [1] * 3, [1] * 3).pipeline, PIPELINED, 2)
    ticks = [[(0, 0)], [(1, 0), (0, 1)], [(2, 0), (1, 1)], [(2, 1)]]
    wanted = [(kind, *place) for tick in ticks for place in tick for kind in ("run", "send") if kind == "run" or place[0] < 2]
    assert [(step.kind, step.stage, step.item) for step in steps] == wanted


def residual(items: int) -> Pipeline:
    """A layer whose planes the next one and the one after it read."""
    stages = tuple(Stage(1, (StageTile(f"core{n}", (0, 1)),)) for n in range(3))
    return Pipeline(stages, (Wire(0, 1), Wire(1, 2), Wire(0, 2)), items)


def test_a_design_that_cannot_be_ordered_is_refused_with_the_circle() -> None:
    assert steps_of(residual(3), PIPELINED, 1), "without a barrier it fits: it is only slow"
    assert steps_of(residual(3), PIPELINED, 2, barrier=True)
    with pytest.raises(ListError) as error:
        steps_of(residual(3), PIPELINED, 1, barrier=True)
    text = str(error.value)
    assert text == (
        "the design does not fit, its operations wait for each other: the transfer of tile 0 of layer 0 in timestep 1, "
        "which waits for the run of tile 0 of layer 2 in timestep 0, which waits for the barrier after tick 1, "
        "which waits for the transfer of tile 0 of layer 0 in timestep 1; more buffer_planes than 1 would break the circle")


@pytest.mark.parametrize("discipline", [LAYER_BY_LAYER, IN_TIMESTEP_ORDER])
def test_without_ticks_there_is_no_place_for_a_barrier(discipline: Discipline) -> None:
    with pytest.raises(ListError, match="has no ticks for a barrier to stand between"):
        steps_of(residual(2), discipline, 2, barrier=True)


def test_a_buffer_holds_something() -> None:
    with pytest.raises(ListError, match="buffer_planes is 0; an input buffer holds at least 1"):
        steps_of(residual(2), PIPELINED, 0)


def test_layer_by_layer_needs_buffers_for_all_timesteps() -> None:
    """Else a layer's planes have nowhere to go before the layer after it has run, which waits for the whole layer (C9)."""
    assert steps_of(residual(3), LAYER_BY_LAYER, 3)
    with pytest.raises(ListError, match="wait for each other"):
        steps_of(residual(4), LAYER_BY_LAYER, 1)
