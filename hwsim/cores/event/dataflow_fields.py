"""The dataflow of an event core as an architecture file writes it: one record per unit that owns the choice (R19 to R24).

A record's first field says which kind it is, and each kind has only the fields that mean something to it. So a number of
accumulators cannot be given to a core that has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class EventDriven(_Record):
    """Each event goes to every word that it touches; potentials are in the membrane memory."""

    type: Literal["event_driven"] = "event_driven"


class OutputStationary(_Record):
    """Each output word stays in registers while the events of its window come to it."""

    type: Literal["output_stationary"]
    accumulators: int = Field(default=1, ge=1, le=4096)
    """Words that are held in registers at a time."""


class SinglePlane(_Record):
    """A token is one spike of one plane."""

    planes: Literal["single"] = "single"


class MergedPlanes(_Record):
    """A token is what one neuron sends in all planes of the run."""

    planes: Literal["merged"]
    adders: int = Field(default=1, ge=1, le=62)
    """Set bits of a token that a lane adds in one cycle."""
    sums: int = Field(default=0, ge=0, le=62)
    """Planes that are not weighed (a rate code's) whose sums a lane keeps beside each accumulator; 0: it has none."""

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A token without sums is written, and hashed, as it was before there were any."""
        found: dict[str, Any] = dump(self)
        return found if self.sums else {name: value for name, value in found.items() if name != "sums"}


class Lane(_Record):
    """How a lane takes a payload, and what it has for decays."""

    multiplier: Literal["parallel", "bit_serial"] = "parallel"
    """parallel: in one cycle. bit_serial: bit by bit, as merged planes are."""
    decays: Literal[0, 1, 2] | None = None
    """Multipliers of decays (`cuba_lif`): 1 for the potential, 2 for the current as well. They take area and leak, and a network
    that needs more is refused. Left out: as many as it needs, without their area and leakage. Cores for ANNs have none."""


def _one_of(field: str, kinds: Mapping[str, type[_Record]]) -> BeforeValidator:
    """Reads a mapping as the record that its `field` names; other values are left to the annotation."""

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kind = str(value.get(field))
        if kind not in kinds:
            raise ValueError(f"{field}: found {value.get(field)!r}, allowed are {', '.join(kinds)}")
        try:
            return kinds[kind].model_validate(value)
        except ValidationError as error:
            raise ValueError("; ".join(_explained(each, kinds[kind], field, kind) for each in error.errors())) from None

    return BeforeValidator(read)


def _explained(error: Any, record: type[_Record], field: str, kind: str) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{name}: {field} {kind} has no such field, allowed are {', '.join(record.model_fields)}"
    return f"{name}: found {error['input']!r}, allowed {error['msg'].removeprefix('Input should be ')}"


EVENT_DATAFLOWS = _one_of("type", {"event_driven": EventDriven, "output_stationary": OutputStationary})
Token = Annotated[
    SinglePlane | MergedPlanes, _one_of("planes", {"single": SinglePlane, "merged": MergedPlanes})]
