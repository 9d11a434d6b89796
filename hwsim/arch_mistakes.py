"""The mistakes in an architecture file in words: `file:line: field: found ..., allowed ...`.

pydantic tells what is wrong and where in the data; the document tells on which line that stands. hwsim/arch.py reads the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from hwsim.cores import core_design
from hwsim.errors import shown
from hwsim.yaml_file import Document

if TYPE_CHECKING:
    from pydantic import BaseModel

SHORT_FORM = ("core", "spike_buffer", "memories")
"""What stands at the top of a file that describes one core."""
BOTH_FORMS = "both_forms"
"""The type of pydantic error for a file that has both a list of cores and a core at its top."""

NODES = "nodes"
"""The type of pydantic error for a core, or the channel, that has no node of its own in the network."""


def both_forms(data: Any) -> bool:
    """Whether data has a list of cores and a core at its top as well."""
    return isinstance(data, dict) and "cores" in data and any(name in data for name in SHORT_FORM)


def explain(error: Any, where: str, document: Document | None, data: Any, chip: type[BaseModel]) -> str:
    """One pydantic error as text.

    where   the file, or the design's name.         document   the file's; None where there is no file, and so no line.
    data    what was validated, as a `chip`: the class Architecture.
    """
    loc = list(error["loc"])
    short = isinstance(data, dict) and "cores" not in data
    if (short or document is None) and loc[:2] == ["cores", 0] and len(data.get("cores", [0])) == 1:
        loc = loc[2:]  # the entry that the short form stands for
    kind = error["type"]
    if kind == BOTH_FORMS:
        loc = ["cores"]
    place = where if document is None else f"{where}:{document.line_of(loc)}"
    name = shown(_dotted(loc), 200, str) or "file"
    if kind == "extra_forbidden":
        model = _model_of(list(error["loc"])[:-1], data, chip)
        allowed = [field for field in model.model_fields if not (short and field == "cores")]
        extra = SHORT_FORM if model is chip else ()
        return f"{place}: {name}: unknown field, allowed are {', '.join([*allowed, *extra])}"
    if kind == "missing":
        return f"{place}: {name}: missing, it must be given"
    if kind == "core_kind":
        return f"{place}: {name + '.' if name != 'file' else ''}core.kind: {error['msg']}"
    reason = shown(error["msg"], 600, str).removeprefix("Value error, ").removeprefix("Input should be ")
    if kind in ("value_error", BOTH_FORMS, NODES):
        return f"{place}: {name}: {reason}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        found = "nothing" if error["input"] is None else shown(error["input"])
        return f"{place}: {name}: found {found}, allowed a mapping of its fields"
    if kind == "tuple_type":
        reason = "a list"
    return f"{place}: {name}: found {shown(error['input'])}, allowed {reason}"


def _dotted(loc: list[str | int]) -> str:
    """cores[0].core.lanes"""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _model_of(loc: list[str | int], data: Any, chip: type[BaseModel]) -> Any:
    """The model that holds the fields at `loc`."""
    model: Any = chip
    at = data
    if isinstance(data, dict) and "cores" not in data:
        at = {**data, "cores": [{name: data[name] for name in SHORT_FORM if name in data}]}
    for part in loc:
        listed = isinstance(at, list | tuple) and isinstance(part, int) and part < len(at)
        at = at[part] if listed or (isinstance(at, dict) and part in at) else None
        if isinstance(part, int):
            core = at.get("core") if isinstance(at, dict) else None
            model = core_design(kind_of(core))
        elif part != "cores":
            annotation = model.model_fields[part].annotation
            model = next((one for one in get_args(annotation) if hasattr(one, "model_fields")), annotation)
    return model


def kind_of(core: Any) -> Any:
    """The kind that an entry's `core` names; that of an event core where it names none, or is no mapping at all."""
    return core.get("kind", "event") if isinstance(core, dict) else "event"
