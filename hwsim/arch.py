"""An Architecture: the chip that a trace is replayed on, read from one YAML file and checked all at once.

A chip is one core or several (`cores`), each with its own memories, one off-chip channel, and a technology. A file of one
core may leave `cores` out and give `core`, `spike_buffer` and `memories` at its top: the short form. What a core is made of
depends on its kind (hwsim/cores). A mistake names file, line, field, what was found and what is allowed, and all mistakes
come in one error. Prices are not here: the file names a technology (hwsim/cost/technology), hwsim/cost reads it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from hashlib import sha256
from os.path import isdir, isfile  # those of pathlib raise for a name that is too long
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from hwsim.arch_changes import FieldNameError, changed
from hwsim.arch_mistakes import BOTH_FORMS, NODES, SHORT_FORM, both_forms, explain, kind_of
from hwsim.arch_network import LinkNetwork
from hwsim.cores import CoreKindError, core_design
from hwsim.cores.base import CoreDesign
from hwsim.cores.power import Power
from hwsim.errors import HwsimError, shown
from hwsim.fields import Fields, Hertz
from hwsim.program import ChannelSpec, MeshSpec
from hwsim.yaml_file import Document, YamlError, no_mapping, read_yaml

MAX_CORES = 4096


class ArchitectureError(HwsimError):
    """One or more mistakes in an architecture file; the text lists all of them with file and line."""


class Channel(Fields):
    """The one off-chip memory channel, which all cores share."""

    bits_per_cycle: int = Field(default=64, ge=1, le=65536)
    """Bits that move in a core clock cycle."""
    latency_cycles: int = Field(default=40, ge=0, le=100_000)
    """Cycles before the first bit of a transfer; transfers do not overlap each other."""
    energy_pj_per_bit: float | None = Field(default=None, gt=0, le=1e4)
    """Overrides the technology's DRAM price."""


class Technology(Fields):
    """Which price tables apply: names of files in hwsim/cost/technology, or paths of YAML files.

    A path in an architecture file is relative to the folder of that file (`load_architecture`).
    """

    units: str = "datta_45nm"
    """Arithmetic units: datta_45nm, horowitz_45nm, nangate_45nm."""
    memory: str = "cacti_lop"
    """On-chip memories: cacti_lop, cacti_hp, cacti_lstp, horowitz."""
    logic: str = "nangate_45nm"
    """Synthesised logic, of the core scope: nangate_45nm."""
    clock_gating: Literal["gated", "free_running"] = "gated"
    """gated: flip-flops are clocked when they may change. free_running: all of them, in every cycle."""
    temperature_k: Literal[300, 360] = 300
    """Kelvin, for leakage."""
    dram: str = "dramsim3"
    """Off-chip memory."""
    links: str = "noxim"
    """Links and routers of a network between cores: noxim, park_2012, loihi."""
    node_nm: float = Field(default=45.0, ge=5, le=180)
    """Node of the chip. Tables of another node are scaled by published rules, within their range, or refused."""
    vdd_v: float = Field(default=0.9, ge=0.3, le=1.5)
    """The one supply of the chip, V. Tables of another supply are scaled by a declared rule, or refused."""
    family: Literal["lp", "hp"] = "lp"
    """Transistors whose rules of scaling apply: low power or high performance (Stillmaker and Baas 2017)."""
    gate_leakage: Literal["repaired", "printed"] = "repaired"
    """CACTI prints a wrong gate leakage for low-power cells: the repaired value, or the printed one."""
    leakage_over_table: float | None = Field(default=None, gt=0, le=1e3)
    """At another node, the leakage of a circuit over that at the tables' node, at one supply: no law gives it."""


CHIP_TIMING_FIELDS = ("channel.bits_per_cycle", "channel.latency_cycles", "network")
"""Fields outside the cores that decide cycles and counts."""
CHIP_PRICE_FIELDS = ("name", "description", "clock", "channel.energy_pj_per_bit", "technology.units", "technology.memory",
                     "technology.temperature_k", "technology.dram", "technology.node_nm", "technology.vdd_v",
                     "technology.family", "technology.logic", "technology.clock_gating", "technology.gate_leakage",
                     "technology.leakage_over_table", "technology.links",
                     "power.idle", "power.retention_v", "power.retention_over_on", "power.off_over_on")
"""Fields that decide names, seconds, energy or area only. A test holds that every field is in one of the lists."""


NAME_PATTERN, LONGEST_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+@-]*$", 64
"""What a design can be called."""


def _by_kind(entry: Any) -> Any:
    """An entry of `cores` as the design of its kind; pydantic files the mistakes in it under the entry's place."""
    if isinstance(entry, CoreDesign):
        return entry
    if not isinstance(entry, dict):
        raise ValueError(f"found {type(entry).__name__}, allowed a mapping with core, memories ...")
    try:
        design = core_design(kind_of(entry.get("core")))
    except CoreKindError as error:
        raise PydanticCustomError("core_kind", "{reason}", {"reason": str(error)}) from None
    return design.model_validate(entry)


AnyCore = Annotated[SerializeAsAny[CoreDesign], BeforeValidator(_by_kind)]


class Architecture(Fields):
    """One chip: its cores with their memories, its channel, its network if it has one, its technology."""

    name: str = Field(pattern=NAME_PATTERN, max_length=LONGEST_NAME)
    description: str = ""
    clock: Hertz
    cores: tuple[AnyCore, ...]
    """Kinds of cores with their counts; `core`, `spike_buffer` and `memories` at the top are the short form of one."""
    channel: Channel = Channel()
    network: LinkNetwork | None = None
    """Links between the cores; left out, they meet on the channel only."""
    technology: Technology = Technology()
    power: Power = Power()
    """What is on between samples."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = [name for name in SHORT_FORM if name in data]
        if "cores" in data:
            if given:
                raise PydanticCustomError(BOTH_FORMS, "{reason}", {"reason": (
                    f"cores and {' and '.join(given)} are both given: a list of cores has them inside each entry, a file of one "
                    "core has them at its top")})
            return data
        rest = {name: value for name, value in data.items() if name not in SHORT_FORM}
        return {**rest, "cores": [{name: data[name] for name in given}]}

    @field_validator("cores", mode="after")
    @classmethod
    def _some_and_not_too_many(cls, cores: tuple[CoreDesign, ...]) -> tuple[CoreDesign, ...]:
        if not cores:
            raise ValueError("the list is empty, a chip has at least one core")
        if (total := sum(design.count for design in cores)) > MAX_CORES:
            raise ValueError(f"{total} cores in all, allowed up to {MAX_CORES}")
        return cores

    @model_validator(mode="after")
    def _everybody_has_a_node(self) -> Architecture:
        if self.network is None:
            return self
        if found := [*self.network.mistakes(self.core_names), *self.network.placement_mistakes(self.core_names)]:
            raise ValidationError.from_exception_data("network", [InitErrorDetails(
                type=PydanticCustomError(NODES, "{reason}", {"reason": text}), loc=("network", *place), input=None)
                for place, text in found])
        return self

    # -- the chip -------------------------------------------------------------------------------------------------

    @property
    def core_names(self) -> tuple[str, ...]:
        """Resources of a Program: `core`, or `core0`, `core1` ... where there are several, in the order of `cores`."""
        total = sum(design.count for design in self.cores)
        return ("core",) if total == 1 else tuple(f"core{i}" for i in range(total))

    def design_of(self, name: str) -> CoreDesign:
        """The design of the core of that name."""
        every = [design for design in self.cores for _ in range(design.count)]
        return every[self.core_names.index(name)]

    def view(self, name: str) -> Architecture:
        """The chip as if the core of that name were its only one: what it takes, leaks and pays on its own."""
        return self._alone(self.design_of(name))

    def _alone(self, design: CoreDesign) -> Architecture:
        """The chip with one core of this design; on a network it sits where the first core does unless told otherwise."""
        network = self.network and self.network.model_copy(
            update={"nodes": None, "placement": "auto", "slice_widths": None, "pad_slices": False})
        return self.model_copy(update={"cores": (design.model_copy(update={"count": 1}),), "network": network})

    def kinds(self) -> list[tuple[Architecture, int]]:
        """Each kind of core as a chip of its own, and how many the chip has of it."""
        return [(self._alone(design), design.count) for design in self.cores]

    def entries(self) -> list[tuple[str, Architecture]]:
        """Each kind of core as a chip of its own, with the name of its entry in a file: `cores[0]`, or "" where there is one."""
        return [("" if len(self.cores) == 1 else f"cores[{at}]", one) for at, (one, _) in enumerate(self.kinds())]

    @property
    def is_one_core(self) -> bool:
        return len(self.core_names) == 1

    @property
    def period_ns(self) -> float:
        return 1e9 / self.clock

    @property
    def pe_count(self) -> int:
        """Lanes, or elements of arrays, that can work in one cycle, of all cores."""
        return sum(design.count * design.pe_count for design in self.cores)

    @property
    def additions_per_cycle(self) -> int:
        """Synaptic operations that all cores together can do in one cycle."""
        return sum(design.count * design.additions_per_cycle for design in self.cores)

    def channel_spec(self) -> ChannelSpec:
        return ChannelSpec(self.channel.bits_per_cycle, self.channel.latency_cycles)

    def mesh_spec(self) -> MeshSpec | None:
        """The network as a Program has it; None where there is none."""
        return None if self.network is None else self.network.spec(self.core_names)

    def timing(self) -> dict[str, Any]:
        """Everything that decides cycles and counts, JSON-ready; names, clock, prices and technology do not.

        Core by core: an entry of count 2 and two equal entries are one machine. Where layers are placed is apart: it is found
        for a network of neurons, and the Task names it.
        """
        channel = {name.removeprefix("channel."): getattr(self.channel, name.removeprefix("channel."))
                   for name in CHIP_TIMING_FIELDS if name.startswith("channel.")}
        network = {} if self.network is None else {"network": {
            **self.network.timing(), "nodes": dict(self.network.placed(self.core_names))}}
        return {**network, "channel": channel, "cores": [one.only.timing() for one, count in self.kinds() for _ in range(count)]}

    def timing_hash(self) -> str:
        """Hash of `timing`."""
        return sha256(json.dumps(self.timing(), sort_keys=True).encode()).hexdigest()

    # -- a chip of one core ---------------------------------------------------------------------------------------

    @property
    def only(self) -> Any:
        """The design of the only core. Raises ArchitectureError for a chip of several; ask `view` for one of them."""
        if not self.is_one_core:
            raise ArchitectureError(f"{self.name} has {len(self.core_names)} cores, and this works on one core at a time; "
                                    "take one with Architecture.view(name)")
        return self.cores[0]

    @property
    def core(self) -> Any:
        """The fields of the only core; their type depends on its kind."""
        return self.only.core

    @property
    def spike_buffer(self) -> Any:
        return self.only.spike_buffer

    @property
    def memories(self) -> Any:
        return self.only.memories

    @property
    def row_bits(self) -> Mapping[str, int]:
        """Bits of one row of each memory."""
        rows: Mapping[str, int] = self.only.row_bits
        return rows

    @property
    def capacities(self) -> Mapping[str, int]:
        """Bits of each memory."""
        sizes: Mapping[str, int] = self.only.capacities
        return sizes

    def with_core(self, **changes: Any) -> Architecture:
        """A copy whose only core differs in the named fields, checked again. Raises ArchitectureError.

        With another `kind` the core keeps what both kinds have.
        """
        core = dict(dump_architecture(self)["core"])
        if changes.get("kind", core["kind"]) != core["kind"]:
            known = core_design(changes["kind"]).model_fields["core"].annotation.model_fields  # type: ignore[union-attr]
            core = {name: value for name, value in core.items() if name in known}
            memories = core_design(changes["kind"]).model_fields["memories"].annotation.model_fields  # type: ignore[union-attr]
            kept = {name: value for name, value in dump_architecture(self)["memories"].items() if name in memories}
            return self._changed(core={**core, **changes}, memories=kept)
        return self._changed(core={**core, **changes})

    def with_memories(self, **changes: Any) -> Architecture:
        """A copy whose only core has other memories: capacities in bits or as text. Raises ArchitectureError."""
        return self._changed(memories={**dump_architecture(self)["memories"], **_as_bits(changes)})

    def with_spike_buffer(self, **changes: Any) -> Architecture:
        """A copy whose only core has another spike buffer: capacity in bits or as text. Raises ArchitectureError."""
        sizes = {"capacity"} & set(changes)
        return self._changed(spike_buffer={
            **dump_architecture(self)["spike_buffer"], **changes, **_as_bits({name: changes[name] for name in sizes})})

    def with_fields(self, changes: Mapping[str, Any]) -> Architecture:
        """A copy that differs in fields by their dotted names, {"core.lanes": 16}, checked again; values as a file gives them.

        Raises ArchitectureError with every mistake.
        """
        try:
            data = changed(dump_architecture(self), changes)
        except FieldNameError as error:
            raise ArchitectureError(f"{self.name}: {error}") from None
        return rebuild_architecture(data)

    def _changed(self, **parts: dict[str, Any]) -> Architecture:
        return rebuild_architecture({**dump_architecture(self), **parts})


def _as_bits(sizes: dict[str, Any]) -> dict[str, Any]:
    """Whole numbers as the text that a capacity is given by."""
    return {name: f"{size} bit" if isinstance(size, int) and not isinstance(size, bool) else size
            for name, size in sizes.items()}


def dump_architecture(arch: Architecture) -> dict[str, Any]:
    """The design as plain data that `rebuild_architecture` and a YAML file understand: quantities with units.

    A chip of one core is dumped in the short form.
    """
    data = arch.model_dump()
    if arch.network is None:
        del data["network"]
    data["clock"] = f"{data['clock']} Hz"
    cores = [_with_units(core) for core in data.pop("cores")]
    if len(cores) == 1 and cores[0]["count"] == 1:
        return {**data, **{name: value for name, value in cores[0].items() if name != "count"}}
    return {**data, "cores": cores}


def _with_units(core: dict[str, Any]) -> dict[str, Any]:
    """Capacities of a core's memories as text, so that nobody takes bits for bytes."""
    found = dict(core)
    if "spike_buffer" in core:
        found["spike_buffer"] = core["spike_buffer"] | {"capacity": f"{core['spike_buffer']['capacity']} bit"}
    if "memories" in core:
        sizes = {name: f"{bits} bit" for name, bits in core["memories"].items()
                 if isinstance(bits, int) and not isinstance(bits, bool)}
        found["memories"] = core["memories"] | sizes
    return found


def rebuild_architecture(data: dict[str, Any]) -> Architecture:
    """The design that `dump_architecture` wrote. Raises ArchitectureError with every mistake when it is not one."""
    name = data.get("name")
    return _validated(data, name if isinstance(name, str) and name else "architecture", None)


def _validated(data: dict[str, Any], where: str, document: Document | None) -> Architecture:
    """The design, or ArchitectureError with all mistakes; `document` is what `data` was read from, if any."""
    texts = [] if document is None else list(document.mistakes)
    try:
        made = Architecture.model_validate(data)
    except ValidationError as error:
        texts += [explain(e, where, document, data, Architecture) for e in error.errors()]
        if both_forms(data):  # a mistake of the whole, which hides those of the fields
            listed = {key: value for key, value in data.items() if key not in SHORT_FORM}
            try:
                Architecture.model_validate(listed)
            except ValidationError as more:
                texts += [explain(e, where, document, listed, Architecture) for e in more.errors()]
    if texts:
        raise ArchitectureError("\n".join(texts))
    return made


def load_architecture(source: str | Path | Architecture) -> Architecture:
    """An Architecture from a YAML file's path, the name of a shipped design, or itself.

    Raises ArchitectureError with every mistake found, each with file, line, field, found and allowed.
    """
    if isinstance(source, Architecture):
        return source
    path = find_config(source)
    try:
        document = read_yaml(path)
    except YamlError as error:
        raise ArchitectureError(str(error)) from None
    if not isinstance(document.data, dict):
        found = no_mapping(path, document.data, "with name, clock, core, memories ...")
        raise ArchitectureError("\n".join([*document.mistakes, found]))
    return _validated(_with_tables_beside(path, document), str(path), document)


def _with_tables_beside(path: Path, document: Document) -> dict[str, Any]:
    """An architecture file's data with the paths of its tables as they are from anywhere; what is not there is a mistake of it.

    A relative path starts at the folder of the file, wherever the command was called from.
    """
    data = document.data
    technology = data.get("technology")
    if not isinstance(technology, dict):
        return dict(data)
    named = {name: value for name, value in technology.items() if isinstance(value, str) and value.endswith(".yaml")}
    found = {name: path.absolute().parent / value for name, value in named.items()}
    document.mistakes += [
        f"{path}:{document.line_of(['technology', name])}: technology.{name}: found {shown(value)}, but there is no file "
        f"{found[name]}; a path is relative to the folder of {path.name}, and a shipped table is named without .yaml"
        for name, value in named.items() if not isfile(found[name])]
    return {**data, "technology": technology | {name: str(place) for name, place in found.items()}}


def find_config(source: str | Path) -> Path:
    """The file of a path or of a shipped design's name. Raises ArchitectureError naming the shipped designs."""
    path = Path(source)
    if isfile(path):
        return path
    if path.name == str(source) and path.suffix in ("", ".yaml"):
        for folder in config_folders():
            candidate = folder / f"{path.name.removesuffix('.yaml')}.yaml"
            if isfile(candidate):
                return candidate
    known = sorted(p.stem for folder in config_folders() for p in folder.glob("*.yaml"))
    what = "a folder" if isdir(path) else "no such design" if path.name == str(source) and not path.suffix else "no such file"
    meant = difflib.get_close_matches(path.stem, known, 3)
    guess = f", perhaps {', '.join(meant)}" if meant else ""
    those = "hwsim arch list prints them" if meant else ", ".join(known) or "none"
    raise ArchitectureError(f"{path}: {what}{guess}; give the path of a YAML file or a shipped design: {those}")


def config_folders() -> list[Path]:
    """Where shipped designs are: beside the package in a checkout, inside it when installed."""
    here = Path(__file__).resolve().parent
    return [p for p in (here.parent / "arch_configs", here / "arch_configs") if p.is_dir()]
