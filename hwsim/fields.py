"""Base of everything that is read from a YAML file: strict fields, quantities with units.

Capacities are given as "64 KiB" and clocks as "500 MHz"; inside they are bits and hertz. A field's docstring gives its unit.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, field_validator

from hwsim.units import BITS_PATTERN, HZ_PATTERN, parse_bits, parse_hz

Bits = Annotated[int, BeforeValidator(parse_bits), Field(ge=0, le=2**40), WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": BITS_PATTERN}, {"const": 0}], "examples": ["64 KiB", "512 bit"]})]
Hertz = Annotated[int, BeforeValidator(parse_hz), Field(ge=1_000, le=10**11), WithJsonSchema(
    {"type": "string", "pattern": HZ_PATTERN, "examples": ["200 MHz"]})]


class Fields(BaseModel):
    """Fields that are all known by name; a field that is not is a mistake. Instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _reject_booleans(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's `true` would pass for 1."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and annotation is not bool:
            raise ValueError(f"found {value}, allowed is a value of another kind")
        return value
