"""docs/reference/design-files.md: the fields of a design file, from the JSON Schema that `hwsim arch schema` prints."""

from __future__ import annotations

import re
from typing import Any

from hwsim.arch_schema import architecture_schema

HEAD = """# Fields of design files

A design file is YAML. [`hwsim arch new`](cli.md#hwsim-arch-new) writes one to edit.
[`hwsim arch check`](cli.md#hwsim-arch-check) tells every mistake with its line. `hwsim arch schema` prints the JSON Schema
that editors complete and check a file with:

```
hwsim arch schema > hwsim-arch.json
```

With the YAML extension of an editor, this first line of a design file is enough:

```yaml
# yaml-language-server: $schema=hwsim-arch.json
```

A file of one core has `core`, `spike_buffer` and `memories` at its top. A file of several has a list, `cores`, whose
entries have them. A quantity is a number with a unit: `64 KiB`, `512 bit`, `200 MHz`. A field that the file leaves out has
its default. A field that is not here is an error.
"""
TITLES = {"EventFields_event": "core, kind event", "EventFields_multiply_accumulate": "core, kind multiply_accumulate",
          "DenseFields_dense_bit_serial": "core, kind dense_bit_serial", "SystolicFields_systolic": "core, kind systolic",
          "OdinFields_odin": "core, kind odin"}
TOP = "The file"


def fields_page() -> str:
    """The page as Markdown, without glossary links."""
    schema = architecture_schema()
    definitions = {name: body for name, body in schema["$defs"].items() if body.get("properties")}
    titles = {name: TITLES.get(name, _spaced(name)) for name in definitions}
    listed = schema["oneOf"][-1]
    parts = [HEAD, *_section(TOP, listed | {"description": "One chip."}, titles)]
    for name, body in definitions.items():
        parts += _section(titles[name], body, titles)
    return "\n".join(parts).rstrip() + "\n"


def _spaced(name: str) -> str:
    """`EventMemories` -> `Event memories`; `event_core` -> `Event core`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower()
    return words[0].upper() + words[1:]


def _section(title: str, body: dict[str, Any], titles: dict[str, str]) -> list[str]:
    lines = [f"## {title}\n", " ".join(body.get("description", "").split()) + "\n",
             "| field | value | default | meaning |", "|---|---|---|---|"]
    for name, field in body["properties"].items():
        default = "required" if name in body.get("required", []) else _default(field)
        meaning = " ".join(field.get("description", "").split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {_value(field, titles)} | {default} | {_safe(meaning)} |")
    return [*lines, ""]


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if isinstance(value, dict | list) and "$ref" in str(field) or value in ({}, []):
        return "its own defaults" if value else "none"
    if value == "":
        return "empty"
    return "none" if value is None else f"`{'true' if value is True else 'false' if value is False else value}`"


def _value(field: dict[str, Any], titles: dict[str, str]) -> str:
    """What may stand there, in a few words."""
    if "$ref" in field:
        title = titles[field["$ref"].removeprefix("#/$defs/")]
        return f"[{title}](#{_anchor(title)})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if choices := field.get("anyOf") or field.get("oneOf"):
        if "examples" in field:
            rest = [one for one in choices if one.get("type") == "object"]
            return ", or ".join([_quantity(field), *(_value(one, titles) for one in rest)])
        return ", or ".join(_value(one, titles) for one in choices)
    return _typed(field, titles)


def _typed(field: dict[str, Any], titles: dict[str, str]) -> str:
    kind = field.get("type")
    if kind == "array":
        items = field.get("prefixItems") or [field.get("items", {})]
        return "list of " + " and ".join(dict.fromkeys(_value(one, titles) for one in items))
    if kind == "object":
        if inner := field.get("properties"):
            return "mapping with " + ", ".join(f"`{name}`" for name in inner)
        allowed = field.get("propertyNames", {}).get("enum")
        named = f" of {', '.join(f'`{name}`' for name in allowed)}" if allowed else ""
        return f"mapping{named} to {_value(field.get('additionalProperties', {}), titles)}"
    if kind == "string":
        return _quantity(field) if "examples" in field else "text"
    word = {"integer": "integer", "number": "number", "boolean": "`true`, `false`", "null": "`null`"}[str(kind)]
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum", field.get("exclusiveMaximum"))
    above = "over " if "exclusiveMinimum" in field else ""
    ends = [f"{int(end) if end == int(end) else end:,}" for end in (low, high) if end is not None]
    bounds = f"{above}{ends[0]} to {ends[1]}" if len(ends) == 2 else f"from {ends[0]}" if ends else ""
    return f"{word}, {bounds}" if bounds else word


def _quantity(field: dict[str, Any]) -> str:
    return "a quantity, such as " + " or ".join(f"`{example}`" for example in field["examples"])


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _safe(text: str) -> str:
    return re.sub(r"([*<>\[\]])", r"\\\1", text)
