"""Base of everything that is read from a YAML file: strict fields, quantities with units.

Capacities are given as "64 KiB" and clocks as "500 MHz"; inside they are bits and hertz. A field's docstring gives its unit.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, field_validator

from hwsim.errors import shown
from hwsim.units import BITS_PATTERN, HZ_PATTERN, parse_bits, parse_hz

Bits = Annotated[int, BeforeValidator(parse_bits), Field(ge=0, le=2**40), WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": BITS_PATTERN}, {"const": 0}], "examples": ["64 KiB", "512 bit"]})]
Hertz = Annotated[int, BeforeValidator(parse_hz), Field(ge=1_000, le=10**11), WithJsonSchema(
    {"type": "string", "pattern": HZ_PATTERN, "examples": ["200 MHz"]})]


_PLAIN_OR_NONE = (bool, int, float, bool | None, int | None, float | None)
"""Types whose values YAML has itself: text for one of them is a mistake, however much it looks like a number."""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class Fields(BaseModel):
    """Fields that are all known by name; a field that is not is a mistake. Instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _reject_another_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's `true` would pass for 1, `1` for true, and `"64"` for 64; the JSON Schema takes none of them either."""
        field = cls.model_fields[str(info.field_name)]
        kinds = {*get_args(field.annotation), field.annotation} - {type(None)}
        if isinstance(value, bool) and bool not in kinds:
            raise ValueError(f"found {value}, allowed is a value of another kind")
        reads_text = any(isinstance(step, BeforeValidator) for step in field.metadata)
        if isinstance(value, str) and field.annotation in _PLAIN_OR_NONE and not reads_text and _is_number(value):
            raise ValueError(f"found text, {shown(value)}, allowed is a number, without quotes")
        if field.annotation is bool and not isinstance(value, bool):
            raise ValueError(f"found {shown(value)}, allowed are true and false")
        return value
