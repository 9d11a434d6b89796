"""What a YAML file says of a dense bit-serial core (kind: dense_bit_serial): the fields of an event core that merges planes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hwsim.cores.event.dataflow_fields import Lane, MergedPlanes, Token
from hwsim.cores.event.fields import EventDesign, EventFields


class DenseFields(EventFields):
    """The fields under `core:`. Whatever a value is, an operation on it takes ceil(bits / token.adders) cycles."""

    kind: Literal["dense_bit_serial"]  # type: ignore[assignment]
    """Bit-serial multipliers that skip neither zero values nor zero bits, for ANNs."""
    token: Token = Field(default=MergedPlanes(planes="merged"))
    """{planes: merged, adders: n}: bits of a value that a lane adds in one cycle."""
    lane: Lane = Lane(multiplier="bit_serial")
    """{multiplier: bit_serial}, and nothing else."""

    @model_validator(mode="after")
    def _takes_values_bit_by_bit(self) -> DenseFields:
        if self.lane.multiplier != "bit_serial" or not isinstance(self.token, MergedPlanes):
            raise ValueError("a dense bit-serial core takes values bit by bit: it needs lane: {multiplier: bit_serial} and "
                             "token: {planes: merged}; for parallel multipliers use kind multiply_accumulate or systolic")
        return self


class DenseDesign(EventDesign):
    """A dense bit-serial core and its memories."""

    core: DenseFields

    @property
    def finds_events(self) -> bool:
        """Every value is one: nothing looks for them."""
        return False


DESIGN = DenseDesign
