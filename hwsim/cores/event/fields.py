"""What a YAML file says of an event core (kind: event) or of a multiply-accumulate core, which has the same pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from hwsim.checks.dataflow import core_problems
from hwsim.cores.base import CoreFields
from hwsim.cores.buffers import CAPACITIES, MEMORY_FIELDS, BufferedDesign, Memories
from hwsim.cores.event.dataflow_fields import (
    EVENT_DATAFLOWS,
    EventDriven,
    Lane,
    MergedPlanes,
    OutputStationary,
    SinglePlane,
    Token,
)
from hwsim.cores.event.loop_nest import event_nest
from hwsim.cores.loop_nest import NestLine
from hwsim.cores.parts import ONE_PORT, ArrayKind, bits_of_bank
from hwsim.program import CoreSpec


class EventFields(CoreFields):
    """The fields under `core:`."""

    kind: Literal["event", "multiply_accumulate"] = "event"
    """event: accumulators, comparators, resets. multiply_accumulate: payload multipliers and a requantiser, for ANNs."""
    lanes: int = Field(default=64, ge=1, le=4096)
    """Accumulators that work in one cycle."""
    weight_bits: int = Field(default=8, ge=1, le=32)
    """Width of a signed weight."""
    potential_bits: int = Field(default=24, ge=4, le=48)
    """Width of a signed membrane potential (partial sum); additions saturate at it."""
    current_bits: int = Field(default=24, ge=4, le=48)
    """Width of the kept current: of a direct-input, rate-coded first layer, and of `cuba_lif` neurons whose current lives on."""
    payload_bits: int = Field(default=8, ge=0, le=16)
    """Width of the multiplier's event operand; 0: no multiplier, events are binary."""
    fifo_depth: int = Field(default=8, ge=1, le=4096)
    """Tokens that the spike FIFO holds."""
    bypass: bool = True
    """Forward the word being written to a read of the same word; without it such a read stalls a cycle."""
    shift_at: Literal["weight", "membrane"] = "weight"
    """Where bit planes are weighed: the weight is shifted, or the membrane is doubled (Horner)."""
    dataflow: Annotated[EventDriven | OutputStationary, EVENT_DATAFLOWS] = EventDriven()
    """{type: event_driven}, or {type: output_stationary, accumulators: n} (rules R19 and R20)."""
    token: Token = SinglePlane()
    """{planes: single}: a token is one spike. {planes: merged, adders: n}: what a neuron sends in all planes; `sums`: R21."""
    lane: Lane = Lane()
    """{multiplier: parallel} or {multiplier: bit_serial}, which needs merged planes."""
    writer: Literal["serial", "word"] = "serial"
    """serial: one spike leaves per cycle. word: all spikes of a word leave at once (R22)."""
    passes: Literal["by_pass", "by_word"] = "by_pass"
    """by_pass: each pass goes over all words. by_word: each word takes all passes that follow one timestep (R24)."""
    mask_first: bool = False
    """Events look at the flags of a word before they read weights and potentials (R25); for neurons with flags."""
    skip_zero_weights: bool = False
    """Operations whose weights are all zero are not made, and rows of zeros are not stored (R26)."""
    pipes: Literal["one", "two"] = "one"
    """one: a timestep's events, then its passes. two: passes go on beside the next timestep's events, each in its pipe (R27)."""
    weight_index_bits: int = Field(default=0, ge=0, le=32)
    """With skip_zero_weights: bits beside each weight row that say which word of an event it is for (R26)."""

    @property
    def requantises(self) -> bool:
        """Whether it has multipliers and a requantiser instead of comparators and resets."""
        return self.kind != "event"

    @model_validator(mode="after")
    def _multiplies_something(self) -> EventFields:
        if self.requantises and self.payload_bits == 0:
            raise ValueError("payload_bits is 0: a core that multiplies needs at least 1")
        return self

    @model_validator(mode="after")
    def _indexes_what_it_lists(self) -> EventFields:
        if self.weight_index_bits and not self.skip_zero_weights:
            raise ValueError(f"weight_index_bits is {self.weight_index_bits}: rows that are all stored need no index; leave it "
                             "out, or give skip_zero_weights: true")
        return self


def _with_long_membrane(schema: dict[str, Any]) -> None:
    """Let the JSON Schema take the long form of the membrane memory, which `_membrane_with_ports` reads."""
    fields = schema["properties"]
    ports, gated = ({key: value for key, value in fields[f"membrane_{name}"].items() if key != "title"}
                    for name in ("ports", "gate_by_channel"))
    long = {"type": "object", "additionalProperties": False, "required": ["capacity"], "properties": {
        "capacity": {"anyOf": fields["membrane"]["anyOf"]}, "ports": ports, "gate_by_channel": gated}}
    fields["membrane"]["anyOf"] = [*fields["membrane"]["anyOf"], long]


class EventMemories(Memories):
    """The memories of an event core."""

    model_config = ConfigDict(json_schema_extra=_with_long_membrane)

    membrane_ports: Literal["1r1w", "1rw"] = "1r1w"
    """1r1w: a read and a write port. 1rw: one port for both, of the membrane and of the current memory (R23)."""
    membrane_gate_by_channel: bool = False
    """Banks of a row without a real channel rest, in the membrane and in the current memory; the others are counted (R25)."""

    @model_validator(mode="before")
    @classmethod
    def _membrane_with_ports(cls, data: Any) -> Any:
        """`membrane: {capacity: ..., ports: ..., gate_by_channel: ...}` is the long form of a bare capacity."""
        if not isinstance(data, dict) or not isinstance(data.get("membrane"), dict):
            return data
        given = dict(data["membrane"])
        choices = ("ports", "gate_by_channel")
        if set(given) - {"capacity", *choices} or "capacity" not in given:
            found = ", ".join(map(str, given)) or "nothing"
            raise ValueError(f"membrane: found {found}, expected capacity and, if you like, {' and '.join(choices)}")
        chosen = {f"membrane_{name}": given[name] for name in choices if name in given}
        return {**data, "membrane": given["capacity"], **chosen}


class EventDesign(BufferedDesign):
    """An event core and its memories."""

    core: EventFields
    memories: EventMemories

    timing_fields = ("count", "core.lanes", "core.weight_bits", "core.potential_bits", "core.current_bits", "core.payload_bits",
                     "core.fifo_depth", "core.bypass", "core.shift_at", "core.dataflow", "core.token", "core.lane.multiplier",
                     "core.writer", "core.passes", "core.mask_first", "core.skip_zero_weights", "core.pipes",
                     "core.weight_index_bits", "memories.membrane_ports", "memories.membrane_gate_by_channel", *MEMORY_FIELDS)
    price_fields = ("core.lane.decays",)
    width_fields = ("core.potential_bits", "core.current_bits")
    sum_free_fields = ("count", "core.lanes", "core.fifo_depth", "core.bypass", "core.writer", "memories.membrane_ports",
                       "memories.membrane_gate_by_channel", *CAPACITIES, "memories.banks", "spike_buffer.address_bits")
    first_values = {"core.mask_first": False, "core.skip_zero_weights": False, "core.weight_index_bits": 0,
                    "core.pipes": "one", "memories.membrane_gate_by_channel": False}

    @model_validator(mode="after")
    def _settings_go_together(self) -> EventDesign:
        problems = list(core_problems(self.core_spec()))
        if self.plane_sums and not self.has_accumulator_file:
            problems.append(f"token.sums is {self.plane_sums}, and an event-driven core has no accumulators that sums could "
                            "stand beside (R21); use dataflow: {type: output_stationary}, or sums: 0")
        if self.core.pipes == "two" and self.core.requantises:
            problems.append("core.pipes: two is for neurons that fire in every timestep, and values have one plane; leave it out")
        if self.plane_sums and self.core.requantises:
            problems.append(f"token.sums is {self.plane_sums}, and values have one plane, which needs no sums; leave it out")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def merges_planes(self) -> bool:
        """Whether a token is what a neuron sends in all planes (R21)."""
        return isinstance(self.core.token, MergedPlanes)

    @property
    def plane_sums(self) -> int:
        """Planes whose sums a lane keeps beside each accumulator (R21)."""
        token = self.core.token
        return token.sums if isinstance(token, MergedPlanes) else 0

    @property
    def token_of_values(self) -> dict[str, Any]:
        """The token as a file has it, of the same core with multipliers: values have one plane, which needs no sums (R21)."""
        return {name: value for name, value in self.core.token.model_dump().items() if name != "sums"}

    @property
    def loop_nest(self) -> tuple[NestLine, ...]:
        return event_nest(self.core_spec(), self.core.payload_bits, self.core.requantises)

    @property
    def weight_index_bits(self) -> int:
        return self.core.weight_index_bits

    @property
    def has_accumulator_file(self) -> bool:
        """Whether words are held in registers, whose accesses are counted."""
        return isinstance(self.core.dataflow, OutputStationary)

    @property
    def gates_banks(self) -> bool:
        return self.memories.membrane_gate_by_channel

    @property
    def pe_count(self) -> int:
        return self.core.lanes

    @property
    def additions_per_cycle(self) -> int:
        token = self.core.token
        return self.core.lanes * (token.adders if isinstance(token, MergedPlanes) else 1)

    @property
    def row_bits(self) -> Mapping[str, int]:
        core = self.core
        rows = self.rows_of(core.lanes, core.weight_bits, core.potential_bits, core.current_bits,
                            core.payload_bits if self.entry_holds_values else 0)
        return {**rows, "weight": rows["weight"] + core.weight_index_bits}

    @property
    def arrays(self) -> Mapping[str, ArrayKind]:
        usual = super().arrays
        return usual if self.memories.membrane_ports == "1r1w" else {**usual, "membrane": ONE_PORT, "current": ONE_PORT}

    @property
    def lists_events(self) -> bool:
        return self.spike_buffer.kind == "aer"

    @property
    def finds_events(self) -> bool:
        """Whether a scanner looks for them in the rows of a bitmap."""
        return not self.lists_events

    @property
    def entry_holds_values(self) -> bool:
        """Whether a row of the spike buffer is an address with its value: a list's, on a core whose outputs are values."""
        return self.core.requantises and self.lists_events

    def core_spec(self) -> CoreSpec:
        """The numbers that engines need."""
        core, flow, token = self.core, self.core.dataflow, self.core.token
        banks = {f"{name}_bank_bits": bits_of_bank(self.row_bits[name]) if self.gates_banks else 0
                 for name in ("membrane", "current")}
        return CoreSpec(
            lanes=core.lanes, potential_bits=core.potential_bits, current_bits=core.current_bits,
            fifo_depth=core.fifo_depth, bypass=core.bypass, shift_at=core.shift_at,
            buffer=self.spike_buffer.kind, scan_bits=self.spike_buffer.scan_bits,
            order="gather" if isinstance(flow, OutputStationary) else "scatter",
            accumulators=flow.accumulators if isinstance(flow, OutputStationary) else 1,
            planes_per_token="all" if isinstance(token, MergedPlanes) else "one",
            adders=token.adders if isinstance(token, MergedPlanes) else 1,
            multiplier=core.lane.multiplier, writer=core.writer, membrane_ports=self.memories.membrane_ports,
            passes=core.passes, mask_first=core.mask_first, **banks, skip_zero_weights=core.skip_zero_weights, pipes=core.pipes,
        )


DESIGN = EventDesign
