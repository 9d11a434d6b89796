"""docs/reference/cli.md: every command, argument and option, as typer knows them.

Only what typer and click have always had is read (names, help, defaults), so that the page does not follow their versions.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from hwsim.cli import COMMANDS, load_command

HEAD = """# Command line

Every command has `-h`, which prints what stands here. Every command that prints a result takes `--json`. Results go to
standard output; progress and warnings go to standard error. A mistake in the input is one text on standard error and exit
status 2.
"""
WORDS = {int: "integer", float: "number", str: "text"}


def cli_page() -> str:
    """The page as Markdown, without glossary links."""
    rows = [f"| [`hwsim {name}`](#hwsim-{name}) | {text} |" for name, text in COMMANDS.items()]
    parts = [HEAD, "\n".join(["| command | what it does |", "|---|---|", *rows]), ""]
    for name in COMMANDS:
        parts += _command(load_command(name), f"hwsim {name}", 2)
    return "\n".join(parts).rstrip() + "\n"


def _command(command: Any, name: str, level: int) -> Iterator[str]:
    below = getattr(command, "commands", None)
    yield f"{'#' * level} {name}\n"
    if command.help:
        yield _paragraphs(command.help) + "\n"
    if below:
        for word in sorted(below, key=list(below).index):
            yield from _command(below[word], f"{name} {word}", level + 1)
        return
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name not in ("help", "as_json")]
    places = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name != "argument"]
    usage = " ".join([name, *(_usage(one) for one in places), *(["[OPTIONS]"] if options else [])])
    yield f"```\n{usage}\n```\n"
    kinds = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    if shown:
        yield "| name | value | default | meaning |\n|---|---|---|---|"
        for one in [*places, *options]:
            yield f"| {_names(one)} | {_value(one, kinds.get(one.name))} | {_default(one)} | {_cell(one.help or '')} |"
        yield ""


def _usage(argument: Any) -> str:
    word = (argument.metavar or argument.name).upper() + ("..." if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).upper()}`"
    return ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])


def _value(parameter: Any, kind: Any) -> str:
    """What follows the name, in a word."""
    inner, several = _plain(kind)
    if inner is bool:
        return ""
    word = f"`{parameter.metavar}`" if parameter.metavar else WORDS.get(inner, "text")
    return f"{word}, may be repeated" if several else word


def _plain(kind: Any) -> tuple[Any, bool]:
    """The type within Annotated, `| None` and list, and whether there was a list."""
    several = False
    while get_args(kind):
        several |= get_origin(kind) is list
        kind = next(one for one in get_args(kind) if one is not type(None)) if get_origin(kind) in (Annotated, UnionType, list) \
            else str
    return kind, several


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if callable(value) or value in (None, False, "", (), []) or not isinstance(value, bool | int | float | str):
        return ""
    return f"`{parameter.opts[0]}`" if value is True else f"`{value}`"


def _paragraphs(text: str) -> str:
    """A help's paragraphs, each on one line, names of files and fields safe from Markdown."""
    return "\n\n".join(_safe(" ".join(part.split())) for part in re.split(r"\n\s*\n", inspect.cleandoc(text)))


def _cell(text: str) -> str:
    return _safe(" ".join(text.split())).replace("|", "\\|")


def _safe(text: str) -> str:
    """Text in which nothing is markup: stars, angles, underscores at a word's edge and brackets are meant as they are."""
    return re.sub(r"([*<>\[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", text)
