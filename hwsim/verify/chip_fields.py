"""What a file of chip cases may say: the fields of operation lists and of pipelines, and the chip that both are of.

docs/formats/vectors.md types them. Cycles and bits; a node is [x, y].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from hwsim.chip.network import cargo_bits
from hwsim.links import CHANNEL, LinkEncoding, MeshSpec, Node
from hwsim.program import ChannelSpec
from hwsim.schedules.stages import INPUT
from hwsim.verify.fields import VALUE_LIMIT, Fields
from hwsim.verify.format import brief

Count = Annotated[int, Field(ge=0, le=VALUE_LIMIT)]
AtLeastOne = Annotated[int, Field(ge=1, le=VALUE_LIMIT)]
Side = Annotated[int, Field(ge=1, le=256)]
NodeFields = Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=2, max_length=2)]
Rows = Annotated[list[Count], Field(min_length=2, max_length=2)]
Table = list[list[Count]]
"""[timestep][tile]."""


class ChannelFields(Fields):
    """The channel; `node` is null without a network."""

    node: NodeFields | None
    latency: Count
    bits_per_cycle: AtLeastOne


class NetworkFields(Fields):
    """The mesh."""

    mesh: Annotated[list[Side], Field(min_length=2, max_length=2)]
    flit_bits: AtLeastOne | None
    hop_cycles: Count


class MessageFields(NetworkFields):
    """The mesh, and how planes are written on its links."""

    address_bits: Count
    header_bits: Count
    encoding: LinkEncoding


class ChipFields(Fields):
    """A chip. Nodes are given where there is a network, and null where there is none."""

    id: int | str
    cores: Annotated[dict[str, NodeFields | None], Field(min_length=1)]
    channel: ChannelFields | None
    network: NetworkFields | None

    def spec(self) -> ChannelSpec | None:
        """The channel, if there is one."""
        return ChannelSpec(self.channel.bits_per_cycle, self.channel.latency) if self.channel is not None else None

    def mesh(self) -> MeshSpec | None:
        """The network. A chip without a channel has one at (0, 0) that nothing uses."""
        if self.network is None:
            return None
        at = self.channel.node if self.channel is not None and self.channel.node is not None else [0, 0]
        words = self.network.model_dump() if isinstance(self.network, MessageFields) else {}
        nodes = [(name, _node(node)) for name, node in self.cores.items() if node is not None]
        return MeshSpec(_node(self.network.mesh), self.network.flit_bits, self.network.hop_cycles, words.get("address_bits", 0),
                        words.get("header_bits", 0), (*nodes, (CHANNEL, _node(at))))

    def misfits(self) -> Iterator[str]:
        """Nodes without a network, and a network without nodes."""
        places = [(f"cores.{name}", node) for name, node in self.cores.items()]
        places += [("channel.node", self.channel.node)] if self.channel is not None else []
        for place, node in places:
            if (node is None) != (self.network is None):
                yield f"{place}: found {brief(node)}, expected " + ("[x, y]" if self.network else "null: there is no network")


def _node(pair: list[int]) -> Node:
    return pair[0], pair[1]


# -- operation lists --------------------------------------------------------------------------------------------------


class RunFields(Fields):
    """A core at work."""

    id: Count
    kind: Literal["run"]
    core: str
    cycles: Count
    deps: list[int]


class TransferFields(Fields):
    """Bits from a place to others."""

    id: Count
    kind: Literal["transfer"]
    source: str
    targets: list[str]
    bits: Count
    deps: list[int]
    setup: bool = False


class WaitFields(Fields):
    """Cycles in which nothing is held."""

    id: Count
    kind: Literal["wait"]
    cycles: Count
    deps: list[int]


class ListExpectFields(Fields):
    """The answers of an operation list."""

    ready: list[int]
    start: list[int]
    end: list[int]
    latency: int
    busy: dict[str, int]
    link_bits: int
    link_hops: int


class ListCaseFields(ChipFields):
    """An operation list."""

    operations: Annotated[list[Annotated[RunFields | TransferFields | WaitFields, Field(discriminator="kind")]],
                          Field(min_length=1)]
    expect: ListExpectFields


# -- pipelines --------------------------------------------------------------------------------------------------------


class TileFields(Fields):
    """A tile: rows [a, b) of a layer on a core."""

    core: str
    rows: Rows
    positions: AtLeastOne


class InputFields(Fields):
    """The input: its planes come over the channel."""

    height: Side
    tiles: Annotated[list[TileFields], Field(min_length=1)]
    spikes: Table


class LayerFields(InputFields):
    """A layer."""

    cycles: Table


class WireFields(Fields):
    """A connection."""

    source: Annotated[int, Field(ge=INPUT)]
    target: Count
    kernel: Side | None
    stride: Side
    padding: Annotated[int, Field(ge=0, le=256)]


def _step(value: Any) -> list[Any]:
    """[kind, layer, timestep or tick, tile, start, end]"""
    sound = isinstance(value, list) and len(value) == 6 and value[0] in ("run", "send", "barrier")
    if not sound or not all(type(number) is int for number in value[1:]):
        raise ValueError("[kind, layer, timestep or tick, tile, start, end], kind one of run, send, barrier")
    found: list[Any] = value
    return found


class PipelineExpectFields(Fields):
    """The answers of a pipeline; `refused` alone where no list can be made."""

    refused: bool
    operations: list[Annotated[list[Any], PlainValidator(_step)]] = []
    latency: int = 0
    busy: dict[str, int] = {}
    link_bits: int = 0
    link_hops: int = 0


class PipelineCaseFields(ChipFields):
    """A pipeline."""

    network: MessageFields | None
    timesteps: Annotated[int, Field(ge=1, le=1024)]
    planes_per_transfer: Annotated[int, Field(ge=1, le=62)]
    input: InputFields | None
    layers: Annotated[list[LayerFields], Field(min_length=1)]
    connections: list[WireFields]
    output: bool
    schedule: str
    order: str
    barrier: Count | None
    buffer_planes: AtLeastOne
    expect: PipelineExpectFields

    def stage(self, number: int) -> InputFields:
        """A layer, or the input."""
        if number != INPUT:
            return self.layers[number]
        assert self.input is not None
        return self.input

    def bits(self, number: int, item: int, tile: int) -> int:
        """C8: the bits of what a tile sends; 0 without a network."""
        mesh, words = self.mesh(), self.network
        if mesh is None or words is None:
            return 0
        stage, planes = self.stage(number), self.planes_per_transfer
        messages = stage.spikes[item][tile]
        return cargo_bits(mesh, words.encoding, messages, messages * planes if planes > 1 else 0,
                          stage.tiles[tile].positions * planes)
