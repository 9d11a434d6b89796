"""Programs on a mesh: the engines agree on random ones, bits by sample are counted by hand, and what cannot be is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.activity import INDEX
from hwsim.checks.program import check_program
from hwsim.checks.regions import rows_read
from hwsim.chip.network import tree
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.fast.counting import cargo_bits_of
from hwsim.engine.reference import ReferenceEngine
from hwsim.engine.reference.cargo import bits_by_sample
from hwsim.links import CHANNEL, Cargo, MeshSpec
from hwsim.program import BY_SAMPLE, Program, ProgramError, Run, Transfer, Wait
from hwsim.record import SampleRecord
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire, Requantise
from hwsim.snn.sample import Sample
from tests.engine.network_programs import meshed
from tests.engine.random_designs import random_sample
from tests.engine.random_programs import both_engines
from tests.engine.test_several_cores import assert_equal, draw

Change = Callable[[Program], Program]


def drawn(seed: int) -> tuple[Program, np.random.Generator] | None:
    found = draw(seed)
    if found is None:
        return None
    program, _, _, _, rng = found
    return meshed(program, rng), rng


def check_seed(seed: int) -> tuple[Program, Sample, SampleRecord] | None:
    found = drawn(seed)
    if found is None:
        return None
    program, rng = found
    for sample, _, reference, fast in both_engines(program, rng, ("computed", "trace")):
        assert_equal(fast, reference, program)
        last = sample, fast
    return program, *last


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_engines_agree_on_random_meshes(seed: int) -> None:
    check_seed(seed)


@pytest.mark.slow
def test_engines_agree_on_thousands_of_meshes() -> None:
    assert sum(check_seed(seed) is not None for seed in range(2000)) > 800


def test_random_meshes_send_share_links_and_wait() -> None:
    """The property test would be empty if most chips sent nothing, or never at the same time."""
    seen: Counter[str] = Counter()
    for seed in range(160):
        found = drawn(seed)
        if found is None:
            continue
        program, rng = found
        record = FastEngine().run_sample(program, random_sample(rng, program.network), "trace")
        moves = [op for op in program.operations if isinstance(op, Transfer)]
        sends = [op for op in moves if op.kind == "send"]
        seen.update({
            "sends": bool(sends), "multicast": any(len(op.targets) > 1 for op in sends),
            "to itself": any(op.source in op.targets for op in sends),
            "merged": any(op.cargo and op.cargo.merged for op in moves), "input": any(op.cargo and op.layer < 0 for op in moves),
            "waits for a link": any(record.start[op.id] > max([0, *(int(record.end[d]) for d in op.deps)]) for op in sends),
            **{word: any(op.cargo and op.cargo.encoding == word for op in moves) for word in ("aer", "bitmap", "smaller")}})
    assert min(seen[name] for name in (
        "sends", "multicast", "to itself", "merged", "input", "waits for a link", "aer", "bitmap", "smaller")) > 5, seen


def hurried(program: Program) -> tuple[Program, int]:
    """The Program in which no run of some rows waits for rows that it does not read, and for how many it had waited."""
    names = [layer.name for layer in program.network.layers]
    tiles = {(run.layer, run.tile): run.body.row_span for run in program.runs}
    operations, dropped = [], 0
    for op in program.operations:
        if isinstance(op, Run) and op.body.cut_by_rows:
            read = {wire.source: set[int]() for wire in op.body.connections}
            for feed in op.feeds:
                if feed.planes:
                    wire = op.body.connections[feed.connection]
                    read[wire.source] |= rows_read(op.body, wire)
            needless = {d for d in op.deps if (other := program.operations[d]).layer >= 0 and other.layer != op.layer
                        and (isinstance(other, Run) or other.label in ("load spike", "send spike"))
                        and read.get(names[other.layer], set()).isdisjoint(range(*tiles[other.layer, other.tile]))}
            dropped += len(needless)
            op = replace(op, deps=tuple(d for d in op.deps if d not in needless))
        operations.append(op)
    return replace(program, operations=tuple(operations)), dropped


@pytest.mark.slow
def test_a_tile_of_some_rows_waits_for_what_its_fields_hold_and_for_no_more() -> None:
    """What makes pipelines by rows possible (C9): the check lets it start, and it computes the same."""
    fewer = earlier = 0
    for seed in range(1100):  # tiles of some rows on several cores are rare
        found = drawn(seed)
        if found is None:
            continue
        program, rng = found
        hasty, dropped = hurried(program)
        if not dropped:
            continue
        sample = random_sample(rng, program.network)
        fast = FastEngine().run_sample(hasty, sample, "computed", record=True)
        assert_equal(fast, ReferenceEngine().run_sample(hasty, sample, "computed", record=True), hasty)
        patient = FastEngine().run_sample(program, sample, "computed")
        for name, values in patient.outputs.items():
            np.testing.assert_array_equal(fast.outputs[name], values)
        fewer += 1
        earlier += bool((fast.start < patient.start).any())
    assert fewer > 10
    assert earlier > 0


# -- bits by sample -----------------------------------------------------------------------------------------------------

MESH = MeshSpec((2, 1), 8, 1, 5, 3, (("core0", (0, 0)), ("core1", (1, 0)), (CHANNEL, (0, 0))))


def two_layers(payload_bits: int, planes: int) -> Network:
    """An input of 2 channels and a layer of 2 x 2 positions and 3 channels that reads it."""
    wire = Connection("input", "conv2d", (2, 2, 2), np.ones((3, 2, 1, 1), int), 1)
    neuron = Requantise() if payload_bits else IntegrateAndFire()
    spec = InputSpec((2, 2, 2), "hybrid", planes, 6) if planes > 1 else InputSpec((2, 2, 2), "direct", 1, 6)
    return Network(spec, (Layer("a", (3, 2, 2), (wire,), neuron, planes, np.ones(planes, int), payload_bits=payload_bits),))


def sent(layer: int, planes: tuple[int, int], encoding: str, merged: bool = False, channels: tuple[int, int] = (0, 3),
         rows: tuple[int, int] = (0, 2)) -> Transfer:
    return Transfer(id=0, layer=layer, timesteps=planes, source="core0", targets=("core1",), memory="spike", bits=BY_SAMPLE,
                    cargo=Cargo(channels, rows, encoding, merged))


def spikes_at(*places: tuple[int, int, int, int], planes: int = 2, channels: int = 3) -> np.ndarray:
    """(planes, 2, 2, channels) with 1 at (plane, y, x, channel)."""
    made = np.zeros((planes, 2, 2, channels), np.int16)
    for place in places:
        made[place] = 1
    return made


THREE = spikes_at((0, 0, 0, 1), (0, 1, 1, 2), (1, 1, 1, 2))
"""One neuron spikes in plane 0, another in both planes."""


@pytest.mark.parametrize(("op", "payload_bits", "values", "bits"), [
    # address 5 + header 3 per spike, EOT 3
    (sent(0, (0, 1), "aer"), 0, THREE, 2 * 8 + 3), (sent(0, (1, 2), "aer"), 0, THREE, 8 + 3),
    (sent(0, (0, 2), "aer"), 0, THREE, 3 * 8 + 3), (sent(0, (0, 2), "aer"), 0, spikes_at(), 3),
    (sent(0, (0, 2), "aer", channels=(0, 2)), 0, THREE, 8 + 3), (sent(0, (0, 2), "aer", rows=(1, 2)), 0, THREE, 2 * 8 + 3),
    # merged: two neurons spike, each message has a bit for each plane
    (sent(0, (0, 2), "aer", True), 0, THREE, 2 * (5 + 2 + 3) + 3),
    # 12 positions, two planes
    (sent(0, (0, 1), "bitmap"), 0, THREE, 12 + 3), (sent(0, (0, 2), "bitmap", True), 0, THREE, 24 + 3),
    (sent(0, (0, 2), "bitmap", channels=(2, 3), rows=(0, 1)), 0, THREE, 2 * 2 + 3),
    # one bit more says which it is
    (sent(0, (0, 1), "smaller"), 0, THREE, 12 + 1 + 3), (sent(0, (1, 2), "smaller"), 0, THREE, 8 + 1 + 3),
    (sent(0, (0, 2), "smaller", True), 0, THREE, 20 + 1 + 3),
    # values of 4 bits travel with their address, or in every position
    (sent(0, (0, 1), "aer"), 4, 7 * THREE[:1], 2 * (5 + 4 + 3) + 3), (sent(0, (0, 1), "bitmap"), 4, 7 * THREE[:1], 4 * 12 + 3),
    # a hybrid input has values of 6 bits in plane 0 and spikes in plane 1
    (sent(-1, (0, 2), "aer"), 0, THREE, 2 * (5 + 6 + 3) + 8 + 3), (sent(-1, (0, 2), "bitmap"), 0, THREE, 12 * 6 + 12 + 3),
    (sent(-1, (1, 2), "aer"), 0, -THREE, 8 + 3), (sent(-1, (0, 1), "aer"), 0, -9 * THREE[:1], 2 * (5 + 6 + 3) + 3),
])
def test_bits_of_what_travels_by_hand(op: Transfer, payload_bits: int, values: np.ndarray, bits: int) -> None:
    network = two_layers(payload_bits, len(values) if op.timesteps[1] <= len(values) else 2)
    assert op.cargo is not None
    assert cargo_bits_of(op, MESH, network, values) == bits
    assert bits_by_sample(op, op.cargo, MESH, network, values) == bits


def test_links_count_the_bits_and_flits_that_each_carries() -> None:
    """Against the tree of each transfer, and the bits that its channel end, or a count of its spikes, says it moves."""
    checked = 0
    for seed in range(60):
        found = check_seed(seed)
        if found is None:
            continue
        program, sample, record = found
        mesh = program.mesh
        assert mesh is not None
        for op in program.operations:
            if not isinstance(op, Transfer):
                assert not record.counts[op.id][:, [INDEX["link_bits"], INDEX["link_hops"]]].any()
                continue
            planes = sample.inputs if op.layer < 0 else sample.recorded.get(program.network.layers[op.layer].name)
            bits = op.bits if isinstance(op.bits, int) else cargo_bits_of(op, mesh, program.network, planes)
            links = len(tree(mesh, op.source, op.targets).links)
            row = record.counts[op.id, op.timesteps[0]]
            flits = 0 if mesh.flit_bits is None else -(-bits // mesh.flit_bits)
            assert (row[INDEX["link_bits"]], row[INDEX["link_hops"]]) == (bits * links, flits * links)
            on_channel = row[INDEX["channel_read_bits"]] + row[INDEX["channel_write_bits"]]
            assert on_channel == (0 if op.kind == "send" else bits)
            checked += links > 0
    assert checked > 100


def test_a_send_empties_one_buffer_and_fills_one_for_each_target() -> None:
    op = replace(sent(0, (0, 1), "aer"), targets=("core0", "core1"), rows=7)
    assert op.counted(40) == {"buffer_read": 7, "buffer_write": 14}
    assert replace(op, source=CHANNEL).counted(40) == {"channel_read_bits": 40, "buffer_write": 14}
    assert replace(op, targets=(CHANNEL,)).counted(40) == {"channel_write_bits": 40, "buffer_read": 7}


# -- what cannot be -----------------------------------------------------------------------------------------------------


@cache
def sending() -> Program:
    """A random program with a multicast of spikes to two other cores, and a load of the input by sample."""
    for seed in range(400):
        found = drawn(seed)
        if found is not None and found[0].mesh is not None and found[0].mesh.size[0] > 1:
            moves = [op for op in found[0].operations if isinstance(op, Transfer) and op.cargo]
            if any(map(_is_multicast, moves)) and any(op.layer < 0 for op in moves):
                return found[0]
    raise AssertionError("no such program")


def _is_multicast(op: Transfer) -> bool:
    """To several other cores, of a tile of several channels."""
    wide = op.cargo is not None and op.cargo.channels[1] - op.cargo.channels[0] > 1
    return wide and op.kind == "send" and op.source not in op.targets and len(op.targets) > 1


def the_send(program: Program) -> Transfer:
    return next(op for op in program.operations if isinstance(op, Transfer) and _is_multicast(op))


def send(**change: object) -> Change:
    """The first multicast with other fields."""
    def make(program: Program) -> Program:
        operations = list(program.operations)
        op = the_send(program)
        operations[op.id] = replace(op, **change)
        return replace(program, operations=tuple(operations))
    return make


def cargo(**change: object) -> Change:
    return lambda program: send(cargo=replace(the_send(program).cargo, **change))(program)


def mesh(**change: object) -> Change:
    return lambda program: replace(program, mesh=replace(program.mesh, **change))


def node(name: str, at: object) -> Change:
    """Somebody on another node; None: on none."""
    def make(program: Program) -> Program:
        assert program.mesh is not None
        others = tuple(pair for pair in program.mesh.nodes if pair[0] != name)
        return mesh(nodes=others if at is None else (*others, (name, at)))(program)
    return make


def on_the_node_of_another(program: Program) -> Program:
    assert program.mesh is not None
    return node("core0", program.mesh.node_of["core1"])(program)


def with_wait(cycles: object) -> Change:
    def make(program: Program) -> Program:
        wait = Wait(id=len(program.operations), deps=(0,), cycles=cycles)
        return replace(program, operations=(*program.operations, wait))
    return make


def not_waited_for(program: Program) -> Program:
    """Whoever waits for the multicast waits for the run that made it instead."""
    op = the_send(program)
    instead = {op.id: next(run.id for run in program.runs if run.id in op.deps and (run.layer, run.tile) == (op.layer, op.tile))}
    return replace(program, operations=tuple(
        replace(other, deps=tuple(sorted({instead.get(d, d) for d in other.deps}))) for other in program.operations))


REFUSED: list[tuple[str, Change, str]] = [
    ("no target", send(targets=()), "goes from core. to nowhere; a transfer has a target"),
    ("a target twice", lambda p: send(targets=the_send(p).targets * 2)(p), "name core.*, core.* once, a multicast"),
    ("channel among targets", lambda p: send(targets=(*the_send(p).targets, CHANNEL))(p), "or the channel alone"),
    ("channel to channel", send(source=CHANNEL, targets=(CHANNEL,)), "what comes from the channel goes to cores"),
    ("a stranger", send(targets=("core9",)), r"goes between \['core9'\]; the program's resources are .*channel and links"),
    ("weights between cores", send(memory="weight"), "moves 'weight'; planes of memory 'spike' travel between cores"),
    ("stream", cargo(encoding="stream"), "travels as 'stream', which is reserved: single spikes .* not built yet"),
    ("unknown encoding", cargo(encoding="morse"), "travels as 'morse'; known are aer, bitmap, smaller"),
    ("bits and cargo", send(bits=80), "moves 80 bits and names its cargo"),
    ("by sample of nothing", send(cargo=None), "moves by sample bits and does not name its cargo"),
    ("other words", send(bits="many"), "moves bits 'many', expected a number or 'by sample'"),
    ("setup by sample", send(once=True, deps=()), "is setup, done before the first sample, and its bits are by sample"),
    ("rows", cargo(rows=(0, 999)), "carries rows 0 to 998; layer .* has rows 0 to"),
    ("channels", cargo(channels=(0, 999)), "carries channels 0 to 998; layer .* has channels 0 to"),
    ("part of a tile", lambda p: cargo(channels=(the_send(p).cargo.channels[0], the_send(p).cargo.channels[1] - 1))(p),
     "as channels .*; the tile is channels"),
    ("a plane too many", lambda p: send(timesteps=(0, 99))(p), "covers timesteps 0 to 98"),
    ("of no tile", send(tile=17), "carries tile 17 of layer ., which no run computes"),
    ("from another core", lambda p: send(source=the_send(p).targets[0], targets=(the_send(p).source,))(p),
     "from core.; it is computed on core."),
    ("the input from a core", send(layer=-1, timesteps=(0, 1)), "planes of the input from core.; they come from the channel"),
    ("no mesh", lambda p: replace(p, mesh=None), "without a network of links a transfer is between the channel and one core"),
    ("bits by sample without a mesh", lambda p: replace(p, mesh=None), "moves bits 'by sample': there is no network of links"),
    ("nobody waits for the send", not_waited_for, "have not been sent there before"),
    ("it does not wait for its run", send(deps=()), "carries plane . of tile . of layer . and does not wait for operation"),
    ("no node", node("core0", None), "core0 sits on no node of the mesh; give it one, nodes are"),
    ("outside", node(CHANNEL, (99, 0)), r"channel sits on node \(99, 0\), outside of the mesh of"),
    ("two on a node", on_the_node_of_another, "one core per node, so give it another"),
    ("a stranger on a node", node("core9", (0, 0)), "core9 is no core of the chip"),
    ("on two nodes", lambda p: mesh(nodes=(*p.mesh.nodes, p.mesh.nodes[0]))(p), "sits on 2 nodes; give it one"),
    ("half a node", node("core0", (0,)), r"a node is \(x, y\), two whole numbers"),
    ("no size", mesh(size=(0, 2)), r"the mesh has sides \(0, 2\); it needs two"),
    ("no flit", mesh(flit_bits=0), "the mesh has flit_bits 0; it needs at least 1, or None"),
    ("negative hops", mesh(hop_cycles=-1), "the mesh has hop_cycles -1; the least is 0"),
    ("a bool", mesh(header_bits=True), "the mesh has header_bits True"),
    ("a negative wait", with_wait(-1), "waits for -1 cycles, expected a whole number"),
]


@pytest.mark.parametrize(("change", "text"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
@pytest.mark.parametrize("engine", [FastEngine, ReferenceEngine])
def test_what_cannot_be_is_refused_by_name(engine: Callable[[], FastEngine | ReferenceEngine], change: Change, text: str) -> None:
    program = sending()
    sample = random_sample(np.random.default_rng(0), program.network)
    with pytest.raises(ProgramError, match=text):
        engine().run_sample(change(program), sample, "trace")


def test_a_wait_is_executed() -> None:
    program = with_wait(1000)(sending())
    sample = random_sample(np.random.default_rng(0), program.network)
    check_program(program)
    for engine in (FastEngine(), ReferenceEngine()):
        record = engine.run_sample(program, sample, "trace")
        assert record.end[-1] - record.start[-1] == 1000
        assert not record.counts[-1].any()


def test_links_are_resources_by_name() -> None:
    program = sending()
    assert program.mesh is not None
    width, height = program.mesh.size
    links = program.resources[len(program.cores) + 1 :]
    assert program.resources[: len(program.cores) + 1] == (*program.cores, CHANNEL)
    assert len(set(links)) == len(links) == 4 * width * height - 2 * width - 2 * height
    assert links[0].startswith("0,0>")


def test_everything_that_is_wrong_is_told() -> None:
    program = mesh(flit_bits=0)(node(CHANNEL, (99, 0))(cargo(encoding="stream")(send(memory="bias")(sending()))))
    with pytest.raises(ProgramError) as error:
        check_program(program)
    for text in ("flit_bits 0", "channel sits on node (99, 0)", "'stream', which is reserved", "moves 'bias'"):
        assert text in str(error.value)
