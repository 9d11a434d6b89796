"""The one reader of YAML files: designs, prices and technology tables. Only the plain part of YAML, each value in one meaning.

A document is mappings, lists and scalars. A bare scalar is `null`, `true`, `false`, a decimal number, or else text. Whatever YAML
readers understand differently (`0100`, `1:30`, `yes`, dates) is refused with its line, and so are aliases, anchors and tags: an
alias may stand within itself, or multiply a small file to gigabytes. Size, depth and digits are bounded, and no step recurses.
Lines are counted from 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hwsim.errors import HwsimError, shown

MAX_BYTES = 1 << 18
"""Bytes of a file; the largest shipped one has a tenth of it."""
MAX_DEPTH = 32
MAX_DIGITS = 40
"""Characters of a number."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Both parse the same; libyaml's, where it is there, is several times faster."""
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_OCTAL_OR_GROUPED = re.compile(r"[-+]?(?:0o[0-7]+|[0-9][0-9_]*)\Z")


class YamlError(HwsimError):
    """A file that is no plain YAML at all; the text names file and line."""


class _OddScalarError(ValueError):
    """A scalar that is neither of one meaning nor text."""


@dataclass
class Document:
    """What a file holds.

    data       dictionaries with keys of text or integers, lists, text, integers, finite floats, booleans, None.
    mistakes   `file:line: what` of all that is refused although the rest could be read: keys given twice, odd scalars, tags.
    """

    where: str
    data: Any = None
    mistakes: list[str] = field(default_factory=list)
    _lines: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def line_of(self, place: Sequence[Any]) -> int:
        """Line of the deepest key or list item of `place` that the file has."""
        whole = tuple(place)
        return next((self._lines[whole[:end]] for end in range(len(whole), 0, -1) if whole[:end] in self._lines), 1)


def read_yaml(path: str | Path) -> Document:
    """The document in a file. Raises YamlError, and OSError as the system does."""
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise YamlError(f"{path}: found a longer file, expected at most {MAX_BYTES} bytes of YAML; shorten it")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise YamlError(f"{path}: not a text file; expected YAML in UTF-8") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Document:
    """The document in a text; `where` names it in errors. Raises YamlError."""
    document = Document(where)
    try:
        _Builder(document).read(yaml.parse(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        raise YamlError(f"{place}: not valid YAML: {shown(getattr(error, 'problem', None) or str(error), 200, str)}") from None
    return document


def no_mapping(where: str | Path, data: Any, expected: str) -> str:
    """What to say of a document that is no mapping; `expected` names keys of one, as in "name, clock, core ..."."""
    found = "the file is empty;" if data is None else f"found {shown(data)},"
    return f"{where}: {found} expected a mapping {expected}"


class _Builder:
    """Makes a document of the parser's events, one after the other."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[_Level] = []
        self._documents = 0

    def read(self, events: Any) -> None:
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent):
                self._fail(line, f"alias *{event.anchor}: found a value that stands elsewhere, expected it here; write it out")
            elif isinstance(event, yaml.ScalarEvent):
                self._refuse_names(event, line)
                self._value(self._scalar(event, line), line)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._refuse_names(event, line)
                self._enter(isinstance(event, yaml.MappingStartEvent), line)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._open.pop()
            elif isinstance(event, yaml.DocumentStartEvent):
                self._begin(event, line)

    def _begin(self, event: Any, line: int) -> None:
        self._documents += 1
        if self._documents > 1:
            self._fail(line, "found a second document, expected one; remove the rest")
        if event.version or event.tags:
            self._fail(line, "found a directive (%YAML or %TAG), expected none; remove it")

    def _enter(self, mapping: bool, line: int) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._fail(line, f"found mappings and lists more than {MAX_DEPTH} deep, expected fewer; flatten them")
        if self._open and self._open[-1].expects_key:
            self._fail(line, "found a key that is a mapping or a list, expected a word; write it as text")
        container: Any = {} if mapping else []
        place = self._value(container, line)
        self._open.append(_Level(container, place))

    def _value(self, value: Any, line: int) -> tuple[Any, ...]:
        """Put a value where it belongs: as the document, a list's next item, a mapping's next key or that key's value."""
        if not self._open:
            self._document.data = value
            return ()
        level = self._open[-1]
        if isinstance(level.container, list):
            place = (*level.place, len(level.container))
            level.container.append(value)
            self._document._lines.setdefault(place, line)
            return place
        if level.expects_key:
            if isinstance(value, bool) or not isinstance(value, str | int):
                self._fail(line, f"found the key {shown(value)}, expected a word or a whole number; quote it")
            if value in level.container:
                self._mistake(line, f"{shown(value, 80, str)}: given twice, keep one")
            level.key, level.expects_key = value, False
            place = (*level.place, value)
            self._document._lines[place] = line
            return place
        level.container[level.key], level.expects_key = value, True
        return (*level.place, level.key)

    def _scalar(self, event: Any, line: int) -> Any:
        if not event.implicit[0]:  # quoted, or a block of text
            return event.value
        try:
            return plain_value(event.value)
        except _OddScalarError as error:
            self._mistake(line, str(error))
            return event.value

    def _refuse_names(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            self._mistake(line, f"anchor &{event.anchor}: found a name for a value, expected the value alone; remove it")
        if event.tag is not None:
            self._mistake(line, f"tag {shown(event.tag, 80, str)}: found a type, expected the value alone; remove it")

    def _mistake(self, line: int, text: str) -> None:
        self._document.mistakes.append(f"{self._document.where}:{line}: {text}")

    def _fail(self, line: int, text: str) -> None:
        raise YamlError(f"{self._document.where}:{line}: {text}")


@dataclass
class _Level:
    """A mapping or list that is not finished, and its place in the document."""

    container: Any
    place: tuple[Any, ...]
    key: Any = None
    expects_key: bool = field(init=False)

    def __post_init__(self) -> None:
        self.expects_key = isinstance(self.container, dict)


def plain_value(text: str) -> Any:
    """What a scalar without quotes says. Raises ValueError for one that YAML readers understand differently."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= MAX_DIGITS and _NUMBER.match(text):
        if _INTEGER.match(text):
            return int(text)
        if math.isfinite(number := float(text)):
            return number
        raise _OddScalarError(f"{text}: found a number that is too large, expected a finite one; correct it")
    if _NUMBER.match(text):
        raise _OddScalarError(f"{shown(text, 40, str)}: found a number of {len(text)} characters, expected at most {MAX_DIGITS}; "
                              "shorten it")
    if _OCTAL_OR_GROUPED.match(text) or _means_more(text):
        raise _OddScalarError(f"{shown(text, 40, str)}: found what YAML readers understand differently, expected true, false, "
                              "null, a decimal number or text; write it so, in quotes if it is text")
    return text


def _means_more(text: str) -> bool:
    """Whether YAML 1.1 has another meaning for it than text: hexadecimal, base 60, dates, `yes`, `.inf`, `<<`."""
    known = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    return any(pattern.match(text) for _, pattern in known)
