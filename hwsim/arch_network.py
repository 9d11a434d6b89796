"""The network of an architecture file: `network:` with its mesh, the node of every core and of the channel (rule C8), where
layers are placed, and what schedules need to know of it (rule C9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from hwsim.errors import shown
from hwsim.fields import Fields
from hwsim.links import CHANNEL, LINK_ENCODINGS, RESERVED_ENCODINGS, LinkEncoding, MeshSpec, Node, node_problems

Side = Annotated[int, Field(strict=True, ge=1, le=256)]
Coordinate = Annotated[int, Field(strict=True, ge=0)]
Place = tuple[Coordinate, Coordinate]


def _known_and_built(value: Any) -> Any:
    if isinstance(value, str) and value in RESERVED_ENCODINGS:
        raise ValueError(f"{value!r} is reserved: {RESERVED_ENCODINGS[value]}; use {', '.join(LINK_ENCODINGS)}")
    return value


PLACEMENTS = ("auto", "spread")
"""Placements that need no names: one core for each group of layers, found; and every layer on all cores."""


def _names_of_cores(value: Any) -> Any:
    """A core by itself stands for a list of one."""
    if isinstance(value, str):
        if value not in PLACEMENTS:
            raise ValueError(f"found {value!r}, allowed are {', '.join(PLACEMENTS)}, or a mapping of each layer to its cores")
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"found {value!r}, allowed are {', '.join(PLACEMENTS)}, or a mapping of each layer to its cores")
    if strange := [layer for layer in value if not isinstance(layer, str)]:
        raise ValueError(f"found {strange[0]!r} for a layer's name, expected text; write it in quotes")
    for layer, cores in value.items():
        if not isinstance(cores, str) and not (isinstance(cores, list | tuple) and all(isinstance(name, str) for name in cores)):
            raise ValueError(f"{layer}: found {shown(cores)}, expected the name of a core or a list of names")
    return {layer: (cores,) if isinstance(cores, str) else cores for layer, cores in value.items()}


_PLACEMENT_SCHEMA = {"anyOf": [
    {"enum": list(PLACEMENTS)},
    {"type": "object", "additionalProperties": {"anyOf": [
        {"type": "string"}, {"type": "array", "items": {"type": "string"}}]}}]}
"""What `_names_of_cores` reads."""


class LinkNetwork(Fields):
    """A mesh of nodes with two directed links between neighbours; a core per node, and the channel on one of them."""

    mesh: tuple[Side, Side]
    """[X, Y]: nodes along x and along y."""
    flit_bits: int | None = Field(ge=1, le=65536)
    """Bits that a link moves in a cycle; null: as many as there are, and no flits."""
    hop_cycles: int = Field(ge=0, le=10_000)
    """Cycles from a node to its neighbour."""
    address_bits: int = Field(ge=1, le=64)
    """Bits of a neuron's address in a message of an `aer` list."""
    header_bits: int = Field(ge=0, le=1024)
    """Bits of a message's header, and of the end-of-timestep mark of each transfer."""
    encoding: Annotated[LinkEncoding, BeforeValidator(_known_and_built)]
    """How planes travel: aer, a message per spike; bitmap, a bit per position; smaller, what takes fewer bits."""
    channel_node: Place = (0, 0)
    """Where the channel is attached."""
    nodes: dict[str, Place] | None = None
    """By core, its node; left out: row by row, core0 on (0, 0), core1 on (1, 0), ..."""
    placement: Annotated[Literal["auto", "spread"] | dict[str, tuple[str, ...]], BeforeValidator(_names_of_cores),
                         WithJsonSchema(_PLACEMENT_SCHEMA)] = "auto"
    """Which cores compute which layer: auto, one core for each group of layers, found; spread, every layer on all cores; or by
    layer a core or a list of cores."""
    slices: Literal["rows", "columns"] = "rows"
    """Along which axis a layer on several cores is cut, and in which order its planes lie in buffers: (y, x, c) or (x, y, c)."""
    slice_widths: dict[str, Annotated[int, Field(strict=True, ge=1, le=65536)]] | None = None
    """By layer, rows (or columns) of each of its cores, the first core's first; left out: in proportion to lanes."""
    pad_slices: bool = False
    """Whether a layer's last slice is as wide as the others, with spare neurons that work and send nothing (C9)."""
    buffer_planes: int | None = Field(default=None, ge=1, le=4096)
    """Items that input and output buffers hold per source (C9); left out: 2, and what a run makes where layers come in turn."""
    barrier_cycles: int | None = Field(default=None, ge=0, le=10**9)
    """Cycles between the end of a tick and the beginning of the next; left out: there are no barriers."""
    tile_rows: int | None = Field(default=None, ge=1, le=65536)
    """Rows of a tile when pipelined; left out: all where timesteps are pipelined, 1 where a sample is one item."""
    stream_weights: bool = False
    """Whether weights that do not stay on chip are loaded again for every run when pipelined; else that is refused."""

    def placed(self, cores: Sequence[str]) -> tuple[tuple[str, Node], ...]:
        """(name, node) of the cores and of the channel. Cores for which the mesh has no node are left out."""
        width, height = self.mesh
        row_by_row = {name: (n % width, n // width) for n, name in enumerate(cores[: width * height])}
        return (*(row_by_row if self.nodes is None else self.nodes).items(), (CHANNEL, self.channel_node))

    def mistakes(self, cores: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Where under `network` something is wrong with the nodes of `cores`, and what."""
        for name, text in node_problems(self.mesh, self.placed(cores), cores):
            if name == CHANNEL:
                yield ("channel_node",), f"the channel {text}"
            elif self.nodes is None:
                yield ("mesh",), (f"{name} sits on no node: {self.mesh[0]} x {self.mesh[1]} nodes hold "
                                  f"{self.mesh[0] * self.mesh[1]} of {len(cores)} cores; make the mesh larger")
            else:
                yield ("nodes", *([name] if name in self.nodes else [])), f"{name} {text}"

    def placement_mistakes(self, cores: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Where under `network` a placement names cores that cannot be, and what is wrong. Layers are a network's, which comes
        later."""
        if isinstance(self.placement, str):
            if self.slice_widths:
                yield ("slice_widths",), (f"{', '.join(self.slice_widths)} have slices of given widths, and placement "
                                          f"{self.placement} shares rows out itself; give each layer's cores, or leave "
                                          "slice_widths out")
            return
        yield from ((("slice_widths", layer), f"{layer} is a layer that placement does not name")
                    for layer in self.slice_widths or {} if layer not in self.placement)
        for layer, names in self.placement.items():
            strange = [name for name in names if name not in cores]
            twice = [name for name, times in Counter(names).items() if times > 1]
            if not names:
                yield ("placement", layer), f"{layer} is on no core; give it one of {', '.join(cores)}"
            elif strange:
                yield ("placement", layer), f"{layer} is on {', '.join(strange)}; the chip's cores are {', '.join(cores)}"
            elif twice:
                yield ("placement", layer), f"{layer} is on {', '.join(twice)} twice; name each core once"

    def timing(self) -> dict[str, Any]:
        """The fields that decide cycles or counts, but for where layers and cores are. A network without slices of its own is the
        one that it was before there were any."""
        later = {"slices": "rows", "slice_widths": None, "pad_slices": False}
        found = self.model_dump(exclude={"placement"})
        return {name: value for name, value in found.items() if name not in later or value != later[name]}

    def spec(self, cores: Sequence[str]) -> MeshSpec:
        """What a Program knows of it. The encoding is named by each transfer."""
        return MeshSpec(self.mesh, self.flit_bits, self.hop_cycles, self.address_bits, self.header_bits, self.placed(cores))
