"""A report's page as a reader finds it: elements with their attributes and text, by the standard library's parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "input", "br", "hr", "img", "link"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str = "", **wanted: str) -> list[Element]:
        """Elements below this one with this tag and these attributes (class_ holds a word of the class)."""
        found = []
        for child in self.children:
            ok = (not tag or child.tag == tag) and all(
                value in child.attributes.get("class", "").split() if name == "class_" else child.attributes.get(name) == value
                for name, value in wanted.items())
            found += [child] if ok else []
            found += child.all(tag, **wanted)
        return found

    @property
    def words(self) -> str:
        """All text in it, with single spaces."""
        return " ".join((self.text + " " + " ".join(child.words for child in self.children)).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {}, None)
        self.at = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(made)
        if tag not in VOID:
            self.at = made

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.at.tag == tag, f"</{tag}> closes <{self.at.tag}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.text += data


def read_page(text: str) -> Element:
    """The whole page; every element is closed where it was opened."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.at is reader.root
    return reader.root
