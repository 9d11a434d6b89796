"""An Architecture: the hardware that a trace is replayed on, read from one YAML file and checked all at once.

Capacities are given as "64 KiB", the clock as "500 MHz"; inside they are bits and hertz. Every field's docstring gives
its unit. A mistake names file, line, field, what was found and what is allowed, and all mistakes come in one error.
Prices are not here: the file names a technology (hwsim/technology), energy.py reads it.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hwsim.arch_dataflow import EVENT_DATAFLOWS, EventDriven, Lane, MergedPlanes, OutputStationary, SinglePlane, Token
from hwsim.dataflow import core_problems
from hwsim.errors import HwsimError
from hwsim.program import ChannelSpec, CoreSpec
from hwsim.units import parse_bits, parse_hz

Bits = Annotated[int, BeforeValidator(parse_bits), Field(ge=0, le=2**40)]
Hertz = Annotated[int, BeforeValidator(parse_hz), Field(ge=1_000, le=10**11)]
Dataflow = Literal["output_stationary", "weight_stationary", "input_stationary"]
Kind = Literal["event", "multiply_accumulate", "systolic"]


class ArchitectureError(HwsimError):
    """One or more mistakes in an architecture file; the text lists all of them with file and line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's `true` would pass for 1."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and annotation is not bool:
            raise ValueError(f"found {value}, allowed is a value of another kind")
        return value


class Core(_Strict):
    """The compute core: an event core, a multiply-accumulate core (same pipeline), or a systolic array."""

    kind: Kind = "event"
    """event: accumulators, comparators, resets. multiply_accumulate: payload multipliers and a requantiser, for ANNs.
    systolic: a dense array of rows x columns."""
    lanes: int = Field(default=64, ge=1, le=4096)
    """Accumulators that work in one cycle (event and multiply_accumulate; a systolic array has rows x columns)."""
    weight_bits: int = Field(default=8, ge=1, le=32)
    """Width of a signed weight."""
    potential_bits: int = Field(default=24, ge=4, le=48)
    """Width of a signed membrane potential (partial sum); additions saturate at it."""
    current_bits: int = Field(default=24, ge=4, le=48)
    """Width of the kept current of a direct-input, rate-coded first layer."""
    payload_bits: int = Field(default=8, ge=0, le=16)
    """Width of the multiplier's event operand; 0: no multiplier, events are binary."""
    fifo_depth: int = Field(default=8, ge=1, le=4096)
    """Tokens that the spike FIFO holds."""
    bypass: bool = True
    """Forward the word being written to a read of the same word; without it such a read stalls a cycle."""
    shift_at: Literal["weight", "membrane"] = "weight"
    """Where bit planes are weighed: the weight is shifted, or the membrane is doubled (Horner)."""
    rows: int = Field(default=0, ge=0, le=1024)
    """systolic only: rows of processing elements."""
    columns: int = Field(default=0, ge=0, le=1024)
    """systolic only: columns of processing elements."""
    dataflow: Annotated[Dataflow | EventDriven | OutputStationary, EVENT_DATAFLOWS] = "output_stationary"
    """systolic: which operand stays in the array, by name. Other cores: {type: event_driven}, which is what a core without this
    field does, or {type: output_stationary, accumulators: n}."""
    token: Token = SinglePlane()
    """{planes: single}: a token is one spike. {planes: merged, adders: n}: it is what a neuron sends in all planes."""
    lane: Lane = Lane()
    """{multiplier: parallel} or {multiplier: bit_serial}, which needs merged planes."""
    writer: Literal["serial", "word"] = "serial"
    """serial: one spike leaves per cycle. word: all spikes of a word leave at once."""
    passes: Literal["by_pass", "by_word"] = "by_pass"
    """by_pass: each pass goes over all words. by_word: each word takes all passes that follow one timestep."""

    @property
    def array_dataflow(self) -> Dataflow:
        """Of a systolic array: which operand stays in it."""
        assert isinstance(self.dataflow, str)
        return self.dataflow

    @model_validator(mode="after")
    def _array_only_where_it_is_one(self) -> Core:
        if self.kind == "systolic" and not (self.rows and self.columns):
            raise ValueError("a systolic core needs rows and columns, both at least 1")
        if self.kind != "systolic" and (self.rows or self.columns):
            raise ValueError("rows and columns belong to kind: systolic")
        if self.kind == "systolic" and not isinstance(self.dataflow, str):
            raise ValueError(f"a systolic core's dataflow is a name: {', '.join(get_args(Dataflow))}")
        if self.kind != "event" and self.payload_bits == 0:
            raise ValueError("payload_bits is 0: a core that multiplies needs at least 1")
        return self


class SpikeBuffer(_Strict):
    """Where a layer's spikes wait for the layers that read them."""

    kind: Literal["aer", "bitmap"] = "aer"
    """aer: a list of addresses. bitmap: one bit a neuron and plane, scanned row by row."""
    capacity: Bits
    """Bits in all; sized for the worst case or the mapping is refused."""
    address_bits: int = Field(default=20, ge=4, le=32)
    """aer: width of one entry's address."""
    scan_bits: int = Field(default=64, ge=1, le=1024)
    """bitmap: bits of a row, all scanned in one cycle."""


class Memories(_Strict):
    """On-chip memories; a capacity is what is provisioned, and what leaks."""

    weight: Bits
    """Rows of lanes x weight_bits."""
    membrane: Bits
    """Words of lanes x potential_bits. Also {capacity: 96 KiB, ports: 1rw}."""
    membrane_ports: Literal["1r1w", "1rw"] = "1r1w"
    """1r1w: a read and a write port. 1rw: one port for both, of the membrane and of the current memory."""
    current: Bits = 0
    """Words of lanes x current_bits."""
    bias: Bits = 0
    """Words of lanes x potential_bits."""
    mask: Bits = 0
    """Words of lanes x 1 bit: flags of single-spike and two-stage neurons."""
    banks: dict[Literal["weight", "membrane", "current", "bias", "mask", "spike"], Annotated[int, Field(ge=1, le=4096)]] = {}
    """Banks that a memory has at least; by default as few as a row needs, ceil(bits / 128). Smaller banks are faster."""

    @model_validator(mode="before")
    @classmethod
    def _membrane_with_ports(cls, data: Any) -> Any:
        """`membrane: {capacity: ..., ports: ...}` is the long form of a bare capacity."""
        if not isinstance(data, dict) or not isinstance(data.get("membrane"), dict):
            return data
        given = dict(data["membrane"])
        unknown = sorted(set(given) - {"capacity", "ports"})
        if unknown or "capacity" not in given:
            found = ", ".join(given) or "nothing"
            raise ValueError(f"membrane: found {found}, expected capacity and, if you like, ports")
        ports = {"membrane_ports": given["ports"]} if "ports" in given else {}
        return {**data, "membrane": given["capacity"], **ports}


class Channel(_Strict):
    """The one off-chip memory channel."""

    bits_per_cycle: int = Field(default=64, ge=1, le=65536)
    """Bits that move in a core clock cycle."""
    latency_cycles: int = Field(default=40, ge=0, le=100_000)
    """Cycles before the first bit of a transfer; transfers do not overlap each other."""
    energy_pj_per_bit: float | None = Field(default=None, gt=0, le=1e4)
    """Overrides the technology's DRAM price."""


class Technology(_Strict):
    """Which price tables apply; names are files in hwsim/technology."""

    units: str = "datta_45nm"
    """Arithmetic units: datta_45nm, horowitz_45nm, nangate_45nm."""
    memory: str = "cacti_lop"
    """On-chip memories: cacti_lop, cacti_hp, horowitz."""
    temperature_k: Literal[300, 360] = 300
    """Kelvin, for leakage."""
    dram: str = "dramsim3"
    """Off-chip memory."""


class Architecture(_Strict):
    """One design: a core, its memories, its channel, its technology."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+@-]*$", max_length=64)
    description: str = ""
    clock: Hertz = 500_000_000
    core: Core = Core()
    spike_buffer: SpikeBuffer
    memories: Memories
    channel: Channel = Channel()
    technology: Technology = Technology()

    @model_validator(mode="after")
    def _settings_go_together(self) -> Architecture:
        problems = core_problems(self.core_spec())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def period_ns(self) -> float:
        return 1e9 / self.clock

    @property
    def pe_count(self) -> int:
        """Adders that can work in a cycle: lanes, or rows x columns."""
        return self.core.rows * self.core.columns if self.core.kind == "systolic" else self.core.lanes

    @property
    def row_bits(self) -> dict[str, int]:
        """Bits of one row of each memory."""
        core = self.core
        across = core.columns if core.kind == "systolic" else core.lanes
        buffer = self.spike_buffer
        payload = core.payload_bits if core.kind != "event" else 0
        return {
            "weight": across * core.weight_bits,
            "membrane": across * core.potential_bits,
            "current": across * core.current_bits,
            "bias": across * core.potential_bits,
            "mask": across,
            "spike": buffer.address_bits + payload if buffer.kind == "aer" else buffer.scan_bits,
        }

    @property
    def capacities(self) -> dict[str, int]:
        """Bits of each memory."""
        m = self.memories
        return {
            "weight": m.weight, "membrane": m.membrane, "current": m.current, "bias": m.bias, "mask": m.mask,
            "spike": self.spike_buffer.capacity,
        }

    def core_spec(self) -> CoreSpec:
        """The numbers that engines need."""
        core = self.core
        return CoreSpec(
            lanes=core.lanes, potential_bits=core.potential_bits, current_bits=core.current_bits,
            fifo_depth=core.fifo_depth, bypass=core.bypass, shift_at=core.shift_at,
            buffer=self.spike_buffer.kind, scan_bits=self.spike_buffer.scan_bits,
            order="gather" if isinstance(core.dataflow, OutputStationary) else "scatter",
            accumulators=core.dataflow.accumulators if isinstance(core.dataflow, OutputStationary) else 1,
            planes_per_token="all" if isinstance(core.token, MergedPlanes) else "one",
            adders=core.token.adders if isinstance(core.token, MergedPlanes) else 1,
            multiplier=core.lane.multiplier, writer=core.writer, membrane_ports=self.memories.membrane_ports,
            passes=core.passes,
        )

    def channel_spec(self) -> ChannelSpec:
        return ChannelSpec(self.channel.bits_per_cycle, self.channel.latency_cycles)

    def timing_hash(self) -> str:
        """Hash of everything that decides cycles and counts; names and technology do not."""
        # A dataflow of first values is not part of the hash: a file that does not name it means what it always meant.
        first = {name for name in ("token", "lane", "writer", "passes") if _is_first(self.core, name)}
        ports = {"membrane_ports"} if _is_first(self.memories, "membrane_ports") else set()
        body = self.model_dump_json(exclude={
            "name": True, "description": True, "technology": True, "core": first, "memories": {"banks", *ports}})
        return sha256(body.encode()).hexdigest()

    def with_core(self, **changes: Any) -> Architecture:
        """A copy whose core differs in the named fields, checked again. Raises ArchitectureError."""
        data = dump_architecture(self)
        data["core"].update(changes)
        try:
            return rebuild_architecture(data)
        except ValidationError as error:
            texts = [_explain(e, Path(self.name), None) for e in error.errors()]
            raise ArchitectureError("\n".join(texts).replace(f"{self.name}:1: ", f"{self.name}: ")) from None


def _is_first(model: BaseModel, field: str) -> bool:
    """Whether a field has the value that it has when a file leaves it out."""
    return bool(getattr(model, field) == type(model).model_fields[field].default)


def dump_architecture(arch: Architecture) -> dict[str, Any]:
    """The design as plain data that `rebuild_architecture` and a YAML file understand: quantities with units."""
    data = arch.model_dump()
    data["clock"] = f"{data['clock']} Hz"
    data["spike_buffer"]["capacity"] = f"{data['spike_buffer']['capacity']} bit"
    data["memories"] |= {
        name: f"{bits} bit" for name, bits in data["memories"].items() if name not in ("banks", "membrane_ports")}
    return data


def rebuild_architecture(data: dict[str, Any]) -> Architecture:
    """The design that `dump_architecture` wrote. Raises ValueError (pydantic) when it is not one."""
    return Architecture.model_validate(data)


def load_architecture(source: str | Path | Architecture) -> Architecture:
    """An Architecture from a YAML file's path, the name of a shipped design, or itself.

    Raises ArchitectureError with every mistake found, each with file, line, field, found and allowed.
    """
    if isinstance(source, Architecture):
        return source
    path = find_config(source)
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except UnicodeDecodeError:
        raise ArchitectureError(f"{path}: not a text file; an architecture is a YAML file") from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ArchitectureError(f"{place}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(data, dict):
        raise ArchitectureError(f"{path}: found {type(data).__name__}, expected a mapping with name, core, memories ...")
    doubled = duplicate_keys(root, path)
    try:
        architecture = Architecture.model_validate(data)
    except ValidationError as error:
        raise ArchitectureError("\n".join(doubled + [_explain(e, path, root) for e in error.errors()])) from None
    if doubled:
        raise ArchitectureError("\n".join(doubled))
    return architecture


def find_config(source: str | Path) -> Path:
    """The file of a path or of a shipped design's name. Raises ArchitectureError naming the shipped designs."""
    path = Path(source)
    if path.is_file():
        return path
    if path.name == str(source) and path.suffix in ("", ".yaml"):
        for folder in config_folders():
            candidate = folder / f"{path.name.removesuffix('.yaml')}.yaml"
            if candidate.is_file():
                return candidate
    known = ", ".join(sorted(p.stem for folder in config_folders() for p in folder.glob("*.yaml"))) or "none"
    what = "a folder" if path.is_dir() else "no such file"
    raise ArchitectureError(f"{path}: {what}; give the path of a YAML file or a shipped design: {known}")


def config_folders() -> list[Path]:
    """Where shipped designs are: beside the package in a checkout, inside it when installed."""
    here = Path(__file__).resolve().parent
    return [p for p in (here.parent / "arch_configs", here / "arch_configs") if p.is_dir()]


def duplicate_keys(root: yaml.Node | None, path: Path) -> list[str]:
    """YAML lets a key appear twice and keeps the last; that is a mistake nobody sees."""
    found, stack = [], [root]
    while stack:
        node = stack.pop()
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    found.append(f"{path}:{key.start_mark.line + 1}: {key.value}: given twice, keep one")
                seen.add(key.value)
                stack.append(value)
    return found


def _explain(error: Any, path: Path, root: yaml.Node | None) -> str:
    """One pydantic error as `file:line: field: found ..., allowed ...`."""
    loc = [str(part) for part in error["loc"] if isinstance(part, str)]
    line = _line_of(root, loc)
    name = ".".join(loc) or "file"
    kind = error["type"]
    if kind == "extra_forbidden":
        model: Any = Architecture
        for part in loc[:-1]:
            model = model.model_fields[part].annotation
        return f"{path}:{line}: {name}: unknown field, allowed are {', '.join(model.model_fields)}"
    if kind == "missing":
        return f"{path}:{line}: {name}: missing, it must be given"
    reason = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind in ("value_error",):
        return f"{path}:{line}: {name}: {reason}"
    return f"{path}:{line}: {name}: found {error['input']!r}, allowed {reason}"


def _line_of(root: yaml.Node | None, loc: list[str]) -> int:
    """Line of the deepest key of `loc` that the file has (1-based)."""
    line, node = 0, root
    for part in loc:
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == part:
                line, node = key.start_mark.line, value
                break
        else:
            break
    return line + 1
