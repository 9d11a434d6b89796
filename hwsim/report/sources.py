"""The numbered sources of a page: each text once, in the order in which it is cited first."""

from __future__ import annotations


class Sources:
    """Texts by number, from 1."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts) + 1)
