"""Architecture files with a network: nodes for everybody, identity, and one error for each mistake, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwsim.arch import Architecture, ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.chip.model import chip_model, why_nothing_runs
from tests.test_architecture import mistakes

NETWORK = {"mesh": [3, 2], "flit_bits": 32, "hop_cycles": 1, "address_bits": 16, "header_bits": 8, "encoding": "smaller"}


def meshed(cores: int = 4, **changes: object) -> Architecture:
    """Cores on a mesh, with fields of the network changed."""
    data = dump_architecture(load_architecture("event_core_16"))
    entry = {name: data.pop(name) for name in ("core", "spike_buffer", "memories")}
    return rebuild_architecture({**data, "name": "x", "cores": [entry | {"count": cores}], "network": {**NETWORK, **changes}})


def test_a_network_survives_a_round_trip_and_has_a_node_for_everybody() -> None:
    design = meshed()
    assert rebuild_architecture(dump_architecture(design)) == design
    spec = design.mesh_spec()
    assert spec is not None
    assert spec.nodes == (
        ("core0", (0, 0)), ("core1", (1, 0)), ("core2", (2, 0)), ("core3", (0, 1)), ("channel", (0, 0))), "row by row"
    assert (spec.size, spec.flit_bits, spec.hop_cycles, spec.address_bits, spec.header_bits) == ((3, 2), 32, 1, 16, 8)
    given = {"core0": [2, 1], "core1": [0, 0], "core2": [1, 1], "core3": [2, 0]}
    placed = meshed(nodes=given, channel_node=[1, 0]).mesh_spec()
    assert placed is not None
    assert placed.node_of == {**{name: tuple(node) for name, node in given.items()}, "channel": (1, 0)}
    assert load_architecture("event_core_16").mesh_spec() is None
    assert "network" not in dump_architecture(load_architecture("event_core_16"))
    assert meshed(flit_bits=None).network.flit_bits is None


@pytest.mark.parametrize("change", [
    {"mesh": [2, 3]}, {"flit_bits": None}, {"hop_cycles": 2}, {"address_bits": 15}, {"header_bits": 0}, {"encoding": "aer"},
    {"channel_node": [1, 1]}, {"nodes": {f"core{n}": [n % 2, n // 2] for n in range(4)}}])
def test_every_field_of_a_network_moves_the_identity_of_cycles(change: dict[str, object]) -> None:
    assert meshed(**change).timing_hash() != meshed().timing_hash()


def test_default_nodes_and_the_same_nodes_written_out_are_one_machine() -> None:
    written = meshed(nodes={"core0": [0, 0], "core1": [1, 0], "core2": [2, 0], "core3": [0, 1]})
    assert written.timing_hash() == meshed().timing_hash()
    without = rebuild_architecture({k: v for k, v in dump_architecture(meshed()).items() if k != "network"})
    assert without.timing_hash() != meshed().timing_hash()
    assert "network" not in without.timing(), "designs without a network are what they were"


def test_a_core_by_itself_keeps_the_network_and_sits_on_its_first_node() -> None:
    one = meshed(nodes={"core0": [2, 1], "core1": [0, 0], "core2": [1, 1], "core3": [2, 0]}).view("core2")
    assert one.mesh_spec().node_of == {"core": (0, 0), "channel": (0, 0)}
    assert one.with_core(bypass=False).network == one.network


MESHED = """name: x
cores:
  - {core: {lanes: 4}, count: 3, spike_buffer: {kind: bitmap, capacity: 1 MiB}, memories: {weight: 1 KiB, membrane: 1 KiB}}
network:
  mesh: [2, 2]
  flit_bits: 32
  hop_cycles: 1
  address_bits: 16
  header_bits: 8
  encoding: smaller
  channel_node: [0, 0]
  nodes:
    core0: [0, 0]
    core1: [1, 0]
    core2: [0, 1]
clock: 1 MHz
"""


@pytest.mark.parametrize(("old", "new", "told"), [
    ("    core2: [0, 1]\n", "", "12: network.nodes: core2 sits on no node of the mesh; give it one, nodes are (0, 0) to (1, 1)"),
    ("core2: [0, 1]", "core2: [1, 0]",
     "15: network.nodes.core2: core2 sits on node (1, 0), where core1 sits; one core per node, so give it another"),
    ("channel_node: [0, 0]", "channel_node: [0, 2]",
     "11: network.channel_node: the channel sits on node (0, 2), outside of the mesh of 2 x 2; nodes are (0, 0) to (1, 1)"),
    ("core2: [0, 1]", "core2: [7, 1]",
     "15: network.nodes.core2: core2 sits on node (7, 1), outside of the mesh of 2 x 2; nodes are (0, 0) to (1, 1)"),
    ("core2: [0, 1]", "core2: [0, 1]\n    core3: [1, 1]",
     "16: network.nodes.core3: core3 is no core of the chip, which has core0, core1, core2; leave it out"),
    ("core2: [0, 1]", "core2: [0, -1]", "15: network.nodes.core2[1]: found -1, allowed greater than or equal to 0"),
    ("core2: [0, 1]", "core2: 4", "15: network.nodes.core2: found 4, allowed a list"),
    ("mesh: [2, 2]", "mesh: [true, 2]", "5: network.mesh[0]: found True, allowed a valid integer"),
    ("mesh: [2, 2]", "mesh: [0, 2]", "5: network.mesh[0]: found 0, allowed greater than or equal to 1"),
    ("  flit_bits: 32\n", "", "4: network.flit_bits: missing, it must be given"),
    ("flit_bits: 32", "flit_bits: 0", "6: network.flit_bits: found 0, allowed greater than or equal to 1"),
    ("encoding: smaller", "encoding: morse", "10: network.encoding: found 'morse', allowed 'aer', 'bitmap' or 'smaller'"),
    ("encoding: smaller", "encoding: stream",
     "10: network.encoding: 'stream' is reserved: single spikes that leave as they are made need routers with back-pressure, "
     "which are not built yet; use aer, bitmap, smaller"),
    ("hop_cycles: 1", "hops: 1", "4: network.hop_cycles: missing, it must be given"),
    ("header_bits: 8", "header_bits: 8\n  colour: red",
     "10: network.colour: unknown field, allowed are mesh, flit_bits, hop_cycles, address_bits, header_bits, encoding, "
     "channel_node, nodes, placement, slices, slice_widths, pad_slices, buffer_planes, barrier_cycles, tile_rows, "
     "stream_weights"),
])
def test_each_mistake_of_a_network_is_one_error_with_what_to_do(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert MESHED.count(old) == 1
    found = mistakes(tmp_path, MESHED.replace(old, new))
    assert found[0] == told
    assert len(found) == 1 + ("hops" in new)


def test_a_mesh_that_is_too_small_for_its_cores_is_told(tmp_path: Path) -> None:
    small = (MESHED.split("  nodes:")[0] + "clock: 1 MHz\n").replace("mesh: [2, 2]", "mesh: [2, 1]")
    assert mistakes(tmp_path, small) == [
        "5: network.mesh: core2 sits on no node: 2 x 1 nodes hold 2 of 3 cores; make the mesh larger"]


def test_all_mistakes_of_nodes_at_once(tmp_path: Path) -> None:
    bad = MESHED.replace("core2: [0, 1]", "core7: [0, 0]").replace("channel_node: [0, 0]", "channel_node: [5, 5]")
    assert [text.split(": ")[1] for text in mistakes(tmp_path, bad)] == [
        "network.nodes", "network.nodes.core7", "network.channel_node"]


def test_links_are_for_cores_that_can_be_several() -> None:
    assert not why_nothing_runs(meshed())
    array = load_architecture("systolic_8x8")
    alone = rebuild_architecture({**dump_architecture(array), "network": NETWORK})
    with pytest.raises(ArchitectureError, match="systolic_8x8 has a network of links, and cores of kind systolic send nothing"):
        chip_model(alone)
