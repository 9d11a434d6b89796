"""The JSON Schema of a design file, for editors that complete and check YAML: what `load_architecture` accepts, and no more
than a schema can say of it. Sums, references between fields and what a table holds are checked when a design is loaded.

A file has the short form of one core (`core`, its memories at the top) or a list of `cores`; of each kind of core the fields are
those of its design (hwsim/cores).
"""

from __future__ import annotations

from typing import Any

from hwsim.arch import Architecture
from hwsim.arch_mistakes import SHORT_FORM, kind_of
from hwsim.cores import KINDS, core_design

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def architecture_schema() -> dict[str, Any]:
    """The schema as plain values, ready for JSON."""
    chip = Architecture.model_json_schema()
    shared = {name: value for name, value in chip.pop("$defs").items() if name not in ("CoreDesign", "CoreFields")}
    fields = {name: value for name, value in chip["properties"].items() if name != "cores"}
    entries = {kind: _entry(kind, shared) for kind in KINDS}
    required = [name for name in chip["required"] if name != "cores"]
    listed = {"type": "object", "additionalProperties": False, "required": [*required, "cores"], "properties": fields | {
        "cores": {"type": "array", "minItems": 1, "description": "Kinds of cores, each with its count.",
                  "items": {"oneOf": [{"$ref": f"#/$defs/{kind}_core"} for kind in KINDS]}}}}
    short = [_short(entry, fields, required) for entry in entries.values()]
    return {"$schema": DIALECT, "title": "hwsim architecture", "description": Architecture.__doc__,
            "oneOf": [*short, listed], "$defs": shared | {f"{kind}_core": entry for kind, entry in entries.items()}}


def _entry(kind: str, shared: dict[str, Any]) -> dict[str, Any]:
    """The schema of one entry of `cores`; what it refers to is added to `shared`, under names of the kind's own."""
    entry = core_design(kind).model_json_schema()
    local = entry.pop("$defs")
    names = {name: name if shared.get(name, value) == value else f"{name}_{kind}" for name, value in local.items()}
    names |= {name: f"{name}_{kind}" for name in local if "kind" in local[name].get("properties", {}) and _is_core(entry, name)}
    for name, value in local.items():
        shared[names[name]] = _renamed(value, names)
        if _is_core(entry, name):
            shared[names[name]]["properties"]["kind"] = {"const": kind, "description": "Which core model."}
            needs = shared[names[name]].get("required", [])
            shared[names[name]]["required"] = needs if kind == kind_of(None) else sorted({"kind", *needs})
    made: dict[str, Any] = _renamed(entry, names)
    return made


def _is_core(entry: dict[str, Any], name: str) -> bool:
    """Whether a definition is that of the fields under `core:`."""
    return bool(entry["properties"]["core"].get("$ref") == f"#/$defs/{name}")


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """A copy whose references to local definitions have their new names."""
    if isinstance(value, dict):
        return {key: f"#/$defs/{names[inner.removeprefix('#/$defs/')]}" if key == "$ref" else _renamed(inner, names)
                for key, inner in value.items()}
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value


def _short(entry: dict[str, Any], fields: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """A file of one core: what the entry has stands at the top; a count does not."""
    own = {name: value for name, value in entry["properties"].items() if name in SHORT_FORM}
    needed = [name for name in entry.get("required", []) if name in SHORT_FORM]
    return {"type": "object", "additionalProperties": False, "required": [*required, *needed], "properties": fields | own}
