"""Laws of the mapping and the schedules: nothing lost, nothing twice, nothing overwritten that is still read."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.arch import Architecture, load_architecture
from hwsim.cores.event.mapping import kept_on_chip, map_network
from hwsim.cores.event.tiles import connection_rows
from hwsim.mapping import MappingError
from hwsim.program import Program, Transfer
from hwsim.schedules import ANYWHERE, SCHEDULES, schedule_by_name
from hwsim.simulation import make_program, simulate
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import BitSerial, IntegrateAndFire, ReadOut, SingleSpike, TwoStage
from hwsim.trace.reader import Trace
from tests.engine.random_designs import random_architecture, random_network

CODINGS = ("rate", "bit_serial", "quantised")


def programs(count: int) -> list[Program]:
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        coding = CODINGS[seed % 3]
        network = random_network(rng, coding)
        arch = random_architecture(rng, network, coding)
        for schedule in ANYWHERE:
            try:
                found.append(make_program(network, arch, schedule))
            except MappingError:
                continue
    return found


def transfers(program: Program) -> list[Transfer]:
    return [op for op in program.operations if isinstance(op, Transfer)]


def test_tiles_cover_every_channel_of_every_row_once() -> None:
    for program in programs(90):
        for i, layer in enumerate(program.network):
            runs = [op for op in program.runs if op.layer == i]
            for t in {op.timesteps for op in runs}:
                held = np.zeros(layer.shape[:2], np.int64)
                for op in runs:
                    if op.timesteps == t:
                        held[slice(*op.body.channels), slice(*op.body.row_span)] += 1
                assert (held == 1).all()


def test_a_load_waits_for_the_last_reader_of_its_region() -> None:
    """Replay the weight memory's contents: every run must find its own weights, whatever loads have passed."""
    streamed = 0
    for program in programs(150):
        regions = {op.id: op.region for op in transfers(program) if op.memory == "weight" and not op.setup}
        streamed += bool(regions)
        runs = list(program.runs)
        reads = {run.id: [d for d in run.deps if d in regions] for run in runs}
        for op_id, (lo, hi) in regions.items():
            for run in runs:
                for other in reads[run.id]:
                    if other < op_id and regions[other][0] < hi and lo < regions[other][1]:
                        assert _waits(program, op_id, run.id), (op_id, run.id)
    assert streamed > 10


def _waits(program: Program, later: int, earlier: int) -> bool:
    """Whether `later` can only start after `earlier` ended, by dependencies and resource order."""
    seen, stack = set(), [later]
    while stack:
        at = stack.pop()
        if at == earlier:
            return True
        if at in seen or at < earlier:
            continue
        seen.add(at)
        stack += program.operations[at].deps
        same = [o.id for o in program.operations[:at] if o.resource == program.operations[at].resource]
        stack += same[-1:]
    return False


def test_dependencies_point_backwards() -> None:
    for program in programs(60):
        assert all(d < op.id for op in program.operations for d in op.deps)


def test_rows_of_a_layer_do_not_depend_on_how_it_is_cut() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        c_in, per_group, groups = int(rng.integers(1, 5)), int(rng.integers(1, 7)), int(rng.integers(1, 4))
        channels, lanes = per_group * groups, int(rng.integers(1, 6))
        connection = Connection("input", "conv2d", (c_in * groups, 5, 5), kernel=3, groups=groups)
        count = -(-channels // lanes)
        whole = connection_rows(connection, channels, lanes, (0, channels))
        parts = [connection_rows(connection, channels, lanes, (g * lanes, min((g + 1) * lanes, channels))) for g in range(count)]
        assert whole[1] == sum(p[1] for p in parts) == channels * c_in * 9
        assert whole[0] == sum(p[0] for p in parts)
        assert whole[0] * lanes >= whole[1]


def dense(coding: str, timesteps: int = 2, channels: int = 4) -> Network:
    shape = (channels, 6, 6)
    weights = np.ones((channels, 2, 3, 3), np.int8)
    neuron = BitSerial() if coding == "bit_serial" else IntegrateAndFire()
    layer = Layer("conv", shape, (Connection("input", "conv2d", (2, 6, 6), weights, kernel=3, padding=1),), neuron,
                  timesteps, thresholds=np.full(timesteps, 16))
    return Network(InputSpec((2, 6, 6)), (layer,))


def test_bit_serial_step_by_step_is_refused_with_the_reason() -> None:
    with pytest.raises(MappingError, match="bit planes have been accumulated.*layer_by_layer"):
        map_network(dense("bit_serial"), load_architecture("event_core_64"), SCHEDULES["step_by_step"])


def test_everything_that_does_not_fit_is_named_at_once() -> None:
    design = load_architecture("event_core_64").with_core(payload_bits=0, weight_bits=1)
    with pytest.raises(MappingError) as error:
        map_network(dense("rate"), design, SCHEDULES["layer_by_layer"])
    assert "payload" in str(error.value)
    assert "weight_bits" in str(error.value)


def test_a_spike_buffer_smaller_than_its_worst_case_is_refused() -> None:
    design = load_architecture("event_core_16")
    small = design.with_spike_buffer(capacity=128)
    with pytest.raises(MappingError, match="spike buffer.*worst case.*spike_buffer.capacity"):
        map_network(dense("rate"), small, SCHEDULES["layer_by_layer"])


def test_a_group_larger_than_the_weight_memory_is_refused() -> None:
    design = load_architecture("event_core_16")
    tiny = design.with_memories(weight=1024)
    with pytest.raises(MappingError, match="one group.*memories.weight"):
        map_network(dense("rate"), tiny, SCHEDULES["layer_by_layer"])


def test_unknown_schedules_name_the_known_ones() -> None:
    with pytest.raises(ValueError, match="layer_by_layer, step_by_step"):
        schedule_by_name("sideways")
    assert schedule_by_name("pipelined").needs_links


def test_a_schedule_for_links_is_refused_where_there_are_none() -> None:
    with pytest.raises(MappingError, match="pipelined runs on chips with a network of links only; give the"):
        make_program(dense("rate"), load_architecture("event_core_64"), "pipelined")


def test_what_stays_on_chip_leaves_room_for_a_group_of_the_largest_spilled_layer() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        positions = rng.integers(1, 60, 5).tolist()
        words = [p * int(rng.integers(1, 4)) for p in positions]
        rows = int(rng.integers(max(positions), sum(words) + 20))
        kept = kept_on_chip(words, positions, rows)
        spilled = [positions[i] for i in range(5) if i not in kept]
        assert sum(words[i] for i in kept) + max(spilled, default=0) <= rows
        if sum(words) <= rows:
            assert kept == set(range(5))


def test_few_words_are_spilled() -> None:
    """The Fashion-MNIST network on 1,024 words: keeping the largest layer spills 637 of 1,422, the small ones 1,372."""
    words = [784, 196, 196, 196, 49, 1]
    kept = kept_on_chip(words, words, 1024)
    assert sum(w for i, w in enumerate(words) if i not in kept) == 637


def flagged(neuron: SingleSpike | TwoStage, layers: int = 1) -> Network:
    """`layers` layers of 4 x 6 x 6 neurons: 36 words each on 16 lanes."""
    weights = np.ones((4, 4, 3, 3), np.int64)
    stages = (0, 1, 3) if isinstance(neuron, TwoStage) else ()
    found = [Layer(f"conv{k}", (4, 6, 6),
                   (Connection(f"conv{k - 1}" if k else "input", "conv2d", (4, 6, 6), weights, kernel=3, padding=1),),
                   neuron, 3, thresholds=np.full(3, 16), stages=stages) for k in range(layers)]
    wire = Connection(found[-1].name, "linear", (4, 6, 6), np.ones((2, 144), np.int64))
    return Network(InputSpec((4, 6, 6), "hybrid", 3, 6, True, spike_shift=4),
                   (*found, Layer("out", (2, 1, 1), (wire,), ReadOut(), 3, stages=stages)))


def masked(words: int) -> Architecture:
    """event_core_16 with a mask memory of so many words."""
    design = load_architecture("event_core_16")
    return design.with_memories(mask=16 * words)


def test_potentials_in_accumulators_need_no_membrane_memory(bit_serial_trace: Trace, rate_trace: Trace) -> None:
    """R19: layer by layer only a read-out's potentials are ever in it. Step by step all wait there."""
    gathers = load_architecture("event_core_16").with_core(dataflow={"type": "output_stationary", "accumulators": 2})
    small, large = (gathers.with_memories(membrane=size) for size in ("256 B", "96 KiB"))
    narrow, wide = (simulate(bit_serial_trace, design) for design in (small, large))
    assert narrow.cycles.tolist() == wide.cycles.tolist()
    assert narrow.mismatches == 0
    with pytest.raises(MappingError, match="membrane"):
        simulate(bit_serial_trace, small.with_core(dataflow={"type": "event_driven"}))
    with pytest.raises(MappingError, match="membrane"):
        simulate(rate_trace, small, schedule="step_by_step")


@pytest.mark.parametrize("neuron", [SingleSpike(), TwoStage()])
def test_flags_need_a_mask_memory(neuron: SingleSpike | TwoStage) -> None:
    with pytest.raises(MappingError, match="one row of one group of 16 output channels needs 6 rows of mask.*memories.mask"):
        map_network(flagged(neuron), masked(5), SCHEDULES["layer_by_layer"])
    assert len(map_network(flagged(neuron), masked(35), SCHEDULES["layer_by_layer"]).plans[0].tiles) == 2
    assert map_network(flagged(neuron, 2), masked(36), SCHEDULES["layer_by_layer"]).plans[0].tables["core"].flagged
    with pytest.raises(MappingError, match="72 words of flags needed for all layers, 71 there"):
        map_network(flagged(neuron, 2), masked(71), SCHEDULES["step_by_step"])
    assert map_network(flagged(neuron, 2), masked(72), SCHEDULES["step_by_step"]).plans[1].tables["core"].flagged


def test_a_hybrid_input_travels_as_values_then_as_bits() -> None:
    pixels = 4 * 6 * 6
    for schedule, sizes in (("layer_by_layer", [pixels * (6 + 2)]), ("step_by_step", [pixels * 6, pixels, pixels])):
        program = make_program(flagged(SingleSpike()), masked(72), schedule)
        loads = [op.bits for op in transfers(program) if op.memory == "spike" and op.kind == "load"]
        assert loads == sizes, schedule


def test_a_multiply_accumulate_core_refuses_the_spikes_of_a_hybrid_input() -> None:
    with pytest.raises(MappingError, match="weigh 16.*no weight shifters"):
        map_network(flagged(SingleSpike()), load_architecture("mac_core_64"), SCHEDULES["layer_by_layer"])


def spiking_end(timesteps: int = 3) -> Network:
    """Two rate-coded layers; nothing reads the second, so its spikes leave the chip."""
    wires = [Connection(source, "linear", shape, np.ones((40, int(np.prod(shape))), np.int64))
             for source, shape in (("input", (4, 6, 6)), ("hidden", (40, 1, 1)))]
    layers = tuple(Layer(name, (40, 1, 1), (wire,), IntegrateAndFire(), timesteps, thresholds=np.full(timesteps, 16))
                   for name, wire in zip(("hidden", "last"), wires, strict=True))
    return Network(InputSpec((4, 6, 6), "spikes", timesteps), layers)


def test_step_by_step_sends_each_plane_of_a_last_layer_off_when_it_is_made() -> None:
    """Its buffer holds one plane: the next one is made only when the one before has left."""
    network = spiking_end()
    program = make_program(network, load_architecture("event_core_16"), "step_by_step")
    stores = [op for op in transfers(program) if op.kind == "store"]
    assert [(op.timesteps, op.bits) for op in stores] == [((t, t + 1), 40) for t in range(3)]
    makers = [[run for run in program.runs if run.layer == 1 and run.timesteps == op.timesteps] for op in stores]
    for store, runs in zip(stores, makers, strict=True):
        assert {run.id for run in runs} <= set(store.deps)
    for store, runs in zip(stores[:-1], makers[1:], strict=True):
        assert all(store.id in run.deps for run in runs)
    whole = make_program(network, load_architecture("event_core_16"), "layer_by_layer")
    assert sum(op.bits for op in transfers(whole) if op.kind == "store") == sum(op.bits for op in stores)


def test_a_last_plane_on_its_way_off_the_chip_takes_room() -> None:
    """Planes that wait at once step by step: the input's, the hidden layer's, and the last one of the timestep before."""
    design = load_architecture("event_core_16")
    row = design.row_bits["spike"]
    need = sum(-(-neurons // row) * row for neurons in (144, 40, 40)) if design.spike_buffer.kind == "bitmap" else 0
    assert need
    make_program(spiking_end(), design.with_spike_buffer(capacity=need), "step_by_step")
    with pytest.raises(MappingError, match="spike buffer"):
        make_program(spiking_end(), design.with_spike_buffer(capacity=need - row), "step_by_step")


def wide_read_out(timesteps: int = 2) -> Network:
    """A read-out of 8 x 8 x 8 neurons: 128 words on 4 lanes."""
    wire = Connection("input", "conv2d", (4, 8, 8), np.ones((8, 4, 3, 3), np.int64), kernel=3, padding=1)
    return Network(InputSpec((4, 8, 8), "spikes", timesteps), (Layer("out", (8, 8, 8), (wire,), ReadOut(), timesteps),))


@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
def test_potentials_of_a_read_out_leave_before_the_next_tile_takes_their_place(schedule: str) -> None:
    """64 words of membrane memory, 128 needed: two tiles, each sent off before its core's next run."""
    design = load_architecture("event_core_16").with_core(lanes=4).with_memories(membrane=64 * 4 * 24)
    program = make_program(wide_read_out(), design, schedule)
    stores = {op.tile: op for op in transfers(program) if op.memory == "output"}
    assert sorted(stores) == [0, 1]
    assert sum(op.bits for op in stores.values()) == 8 * 64 * 24
    runs = list(program.runs)
    for tile, store in stores.items():
        last = max(run.id for run in runs if run.tile == tile)
        assert last in store.deps
        assert all(_waits(program, run.id, store.id) for run in runs if run.id > store.id)
        assert not [run for run in runs if last < run.id < store.id]


def test_the_next_plane_of_the_input_takes_room_step_by_step() -> None:
    """It comes when the last reader of the plane before has ended, while later layers run: input, hidden, second and last."""
    wires = [Connection(source, "linear", shape, np.ones((40, int(np.prod(shape))), np.int64))
             for source, shape in (("input", (4, 6, 6)), ("a", (40, 1, 1)), ("b", (40, 1, 1)))]
    layers = tuple(Layer(name, (40, 1, 1), (wire,), IntegrateAndFire(), 3, thresholds=np.full(3, 16))
                   for name, wire in zip("abc", wires, strict=True))
    network, design = Network(InputSpec((4, 6, 6), "spikes", 3), layers), load_architecture("event_core_16")
    row = design.row_bits["spike"]
    planes = {name: -(-neurons // row) * row for name, neurons in (("input", 144), ("a", 40), ("b", 40), ("c", 40))}
    need = sum(planes.values())  # while b runs: the next input, a, b, and c on its way off the chip
    make_program(network, design.with_spike_buffer(capacity=need), "step_by_step")
    with pytest.raises(MappingError, match="spike buffer"):
        make_program(network, design.with_spike_buffer(capacity=need - row), "step_by_step")


def test_what_no_layer_reads_waits_until_the_end_layer_by_layer() -> None:
    """Its store stands behind all runs, so its planes take room until then."""
    shape = (40, 1, 1)
    wires = {"a": Connection("input", "linear", (4, 6, 6), np.ones((40, 144), np.int64)),
             "b": Connection("input", "linear", (4, 6, 6), np.ones((40, 144), np.int64))}
    layers = tuple(Layer(name, shape, (wire,), IntegrateAndFire(), 2, thresholds=np.full(2, 16)) for name, wire in wires.items())
    network, design = Network(InputSpec((4, 6, 6), "spikes", 2), layers), load_architecture("event_core_16")
    row = design.row_bits["spike"]
    need = 2 * sum(-(-neurons // row) * row for neurons in (144, 40, 40))
    make_program(network, design.with_spike_buffer(capacity=need), "layer_by_layer")
    with pytest.raises(MappingError, match="spike buffer"):
        make_program(network, design.with_spike_buffer(capacity=need - row), "layer_by_layer")
