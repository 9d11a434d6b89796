"""docs/reference/api.md: the public names of the package (`hwsim.__all__`), with signatures and docstrings as they stand."""

from __future__ import annotations

import inspect
import re
from typing import Any

import hwsim

HEAD = """# Python

`import hwsim` gives these names and no others: what is not here may change without notice
([versions](../versions.md)). A name loads its module when it is first used, so the import itself costs next to nothing.
Every error is an `hwsim.HwsimError`, with one text that says what was found, where, and what is allowed.
"""
GROUPS = ("Functions", "Classes", "Errors")


def api_page() -> str:
    """The page as Markdown, without glossary links."""
    names = [name for name in hwsim.__all__ if not name.startswith("__")]
    by_group: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in names:
        by_group[_group(getattr(hwsim, name))].append(name)
    parts = [HEAD]
    for group in GROUPS[:2]:
        entries = " · ".join(f"[`{name}`](#{_anchor(name, group)})" for name in by_group[group])
        parts.append(f"**{group}**: {entries}\n")
    for group in GROUPS[:2]:
        parts.append(f"## {group}\n")
        for name in by_group[group]:
            parts += _entry(name, getattr(hwsim, name), group)
    parts.append("## Errors\n\n| error | what it tells |\n|---|---|")
    parts += [f"| `{name}` | {_summary(getattr(hwsim, name))} |" for name in by_group["Errors"]]
    return "\n".join(parts).rstrip() + "\n"


def _anchor(name: str, group: str) -> str:
    return name.lower() if group == "Functions" else f"class-{name.lower()}"


def _group(thing: Any) -> str:
    if not inspect.isclass(thing):
        return "Functions"
    return "Errors" if issubclass(thing, Exception) else "Classes"


def _entry(name: str, thing: Any, group: str) -> list[str]:
    heading = f"{name}()" if group == "Functions" else f"class {name}"
    lines = [f"### {heading}\n", f"```python\nhwsim.{_call(name, thing)}\n```\n", *_doc(thing)]
    if group == "Classes":
        members = [(word, one) for word, one in vars(thing).items() if not word.startswith("_") and _is_documented(one)]
        if members:
            lines.append("| member | what it is |\n|---|---|")
            lines += [f"| `{_member(word, one)}` | {_summary(_function(one))} |" for word, one in members] + [""]
    return lines


def _call(name: str, thing: Any) -> str:
    """The name with its parameters; types as they stand in the source."""
    try:
        found = inspect.signature(thing)
    except (ValueError, TypeError):
        return name
    text = _unquoted(str(found))
    if len(name) + len(text) <= 110:
        return name + text
    inner = [_unquoted(str(one)) for one in found.parameters.values()]
    named = [n for n, one in enumerate(found.parameters.values()) if one.kind is one.KEYWORD_ONLY]
    if named:
        inner.insert(named[0], "*")
    returned = text.rpartition(") -> ")[2] if found.return_annotation is not found.empty else ""
    return name + "(\n    " + ",\n    ".join(inner) + ",\n)" + (f" -> {returned}" if returned else "")


def _unquoted(text: str) -> str:
    """A signature whose types are not quoted, and whose default values have no addresses."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", re.sub(r"<[^>]*>", "...", text))


def _function(member: Any) -> Any:
    """The function behind a method, a property or a cached property."""
    for name in ("fget", "func", "__func__"):
        if found := getattr(member, name, None):
            return found
    return member


def _is_documented(member: Any) -> bool:
    return inspect.isfunction(_function(member)) and bool(_function(member).__doc__)


def _member(word: str, member: Any) -> str:
    if inspect.isfunction(member) or isinstance(member, classmethod | staticmethod):
        names = [str(name) for name in inspect.signature(_function(member)).parameters if name not in ("self", "cls")]
        return f"{word}({', '.join(names)})"
    return word


def _summary(function: Any) -> str:
    first = (inspect.getdoc(function) or "").split("\n\n")[0]
    return _safe(" ".join(first.split())).replace("|", "\\|")


def _doc(thing: Any) -> list[str]:
    """The docstring: its first paragraph as text, the rest as it stands, since its columns are aligned."""
    text = inspect.getdoc(thing) if "__doc__" in vars(thing) or not inspect.isclass(thing) else ""
    if not text or text.startswith(f"{getattr(thing, '__name__', '')}("):  # the one that dataclass makes
        return []
    first, _, rest = text.partition("\n\n")
    lines = [_safe(" ".join(first.split())) + "\n"]
    return [*lines, f"```text\n{rest}\n```\n"] if rest else lines


def _safe(text: str) -> str:
    """Text outside of code marks, in which nothing else is markup."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if n % 2 else re.sub(r"([*<>\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", part) for n, part in enumerate(parts))
