"""The one base of every error that hwsim raises on purpose: bad input, told once and clearly. And how its text shows a value."""

from __future__ import annotations

from collections.abc import Callable
from reprlib import Repr
from typing import Any


class HwsimError(ValueError):
    """Something the user gave cannot be; the text names file, place, found, expected and what to do."""


_SHORT = Repr()
"""Looks at few items of few levels: a list may hold itself, or one list a million times."""
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 4, 1000, 1000, 1000
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = 8


def shown(value: Any, most: int = 80, how: Callable[[Any], str] = _SHORT.repr) -> str:
    """A value for an error's text, cut to about `most` characters: what was given may be a megabyte."""
    if isinstance(value, str | bytes) and len(value) > 2 * most:
        value = value[: 2 * most]
    try:
        text = how(value)
    except ValueError:  # an integer of more digits than Python writes out
        text = f"an integer of about {value.bit_length() * 3 // 10} digits"
    return text if len(text) <= most else f"{text[: most - 3]}..."
