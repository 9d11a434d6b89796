"""Types of JSON fields in test vectors: integers that are integers, arrays that are rectangular, and errors in plain words.

A case's fields are a pydantic model made of these. All mistakes of a case come in one CaseError, each with its place.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from hwsim.verify.format import CaseError, brief

MAX_RANK = 4
VALUE_LIMIT = 1 << 48
MAX_SIDE = 1 << 16


class Fields(BaseModel):
    """An object with exactly these keys: a missing, an unknown or a mistyped one is an error; true is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=Fields)


def parse(model: type[Model], entry: Any) -> Model:
    """`entry` as `model`. Raises CaseError with every mistake."""
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        raise CaseError([_explain(one) for one in error.errors()]) from None


def _explain(error: Any) -> str:
    """One pydantic error as `place: found ..., expected ...`."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if error["type"] == "missing":
        return f"{place}: missing, it must be given"
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key; the format has no such field, so leave it out"
    if error["type"] in ("too_long", "too_short"):
        known = error["ctx"]
        limit = f"at most {known['max_length']}" if error["type"] == "too_long" else f"at least {known['min_length']}"
        return f"{place}: found {known['actual_length']} entries, expected {limit}"
    if error["type"] == "string_pattern_mismatch":
        return f"{place}: found {brief(error['input'])}, expected text of the form {error['ctx']['pattern']}"
    reason = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("a valid ")
    return f"{place}: found {brief(error['input'])}, expected {reason}"


def int_array(value: Any) -> NDArray[np.int64]:
    """Nested lists of integers of equal lengths as int64."""
    shape = _shape(value, MAX_RANK)
    if shape is None:
        raise ValueError(f"nested lists of integers, at most {MAX_RANK} deep, none empty, of equal lengths at each depth")
    array = np.array(value, object)
    if array.min() < -VALUE_LIMIT or array.max() > VALUE_LIMIT:
        raise ValueError("integers within 2**48")
    return array.astype(np.int64)


def _shape(value: Any, deepest: int) -> tuple[int, ...] | None:
    """The shape of nested lists, () for an integer, None for what is no array of integers."""
    if type(value) is int:
        return ()
    if type(value) is not list or not deepest or not value:
        return None
    shapes = {_shape(one, deepest - 1) for one in value}
    inner = shapes.pop()
    return None if shapes or inner is None else (len(value), *inner)


IntArray = Annotated[NDArray[np.int64], PlainValidator(int_array)]
"""(...) int64 from nested lists of integers, up to MAX_RANK deep, values within VALUE_LIMIT."""
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Shape = Annotated[list[Side], Field(min_length=3, max_length=3)]
"""[C, H, W], each at least 1."""
