"""Cards on disk: written whole, read back with their seal, and computed again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from math import isclose
from pathlib import Path
from typing import Any

from hwsim.accounts.suite.card import FORMAT, make_card
from hwsim.accounts.suite.suite import SuiteError, digest, load_suite
from hwsim.accounts.twin import opened_ann
from hwsim.errors import HwsimError, shown
from hwsim.files import whole_file
from hwsim.trace.reader import Trace

WITHIN = 1e-9
"""Relative, of numbers that are computed again on another machine."""
KEYS = ("suite", "suite_hash", "snn", "ann", "machines", "accounts", "wins", "samples", "card_hash", "hwsim", "model_version")


class CardError(HwsimError):
    """A card that is none, that was changed, or that is computed otherwise; the text says where."""


def write_card(card: dict[str, Any], path: Path) -> None:
    """A card as JSON, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(json.dumps(card, indent=1, allow_nan=False) + "\n")


def read_card(path: str | Path) -> dict[str, Any]:
    """A card. Raises CardError for a file that is none, or that was changed since."""
    try:
        card = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise CardError(f"{path}: cannot be read ({error.strerror}); name a card that `hwsim card TRACE --out FILE` "
                        "wrote") from None
    except (ValueError, RecursionError):
        raise CardError(f"{path}: is no JSON; name a card that `hwsim card TRACE --out FILE` wrote") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT or (lacks := [key for key in KEYS if key not in card]):
        what = card.get("format") if isinstance(card, dict) else card
        lacking = f" without {', '.join(lacks)}" if isinstance(card, dict) and what == FORMAT else ""
        raise CardError(f"{path}: format: found {shown(what)}{lacking}, expected {FORMAT}; name a card that `hwsim card` wrote")
    if digest({name: value for name, value in card.items() if name != "card_hash"}) != card["card_hash"]:
        raise CardError(f"{path}: card_hash: what it says is not what was sealed; it was changed after it was made")
    return card


def verify_card(
    card: dict[str, Any], trace: str | Path, ann: str | Path | None, progress: Callable[[int, int], None] | None = None
) -> int:
    """Compute a card again, on the traces that it names (`ann` None: the one in a bit-serial trace); how many numbers are equal.

    Raises SuiteError for another suite, CardError for other traces and for every number that is not equal.
    """
    suite = load_suite(card["suite"])
    if suite.hash != card["suite_hash"]:
        raise SuiteError(f"suite {suite.name}: found {suite.hash[:12]} here, the card was made with {card['suite_hash'][:12]}")
    with Trace.open(trace) as snn, opened_ann(snn, ann) as rival:
        for side, path, found in (("snn", trace, snn.content_hash), ("ann", ann or trace, rival.content_hash)):
            if found != card[side]["hash"]:
                option = "--ann" if side == "ann" else "--trace"
                raise CardError(f"{path}: found trace {found[:16]}, the card is of {card[side]['name']} "
                                f"{card[side]['hash'][:16]}; give the trace that it names with {option}")
    again = make_card(trace, ann, suite, progress)
    pairs = list(_pairs(card, again, ""))
    if wrong := [f"{where}: found {theirs!r} on the card, {ours!r} computed" for where, theirs, ours in pairs
                 if not same(theirs, ours)]:
        more = f"\nand {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise CardError(f"{card['snn']['name']}: not verified\n" + "\n".join(wrong[:8]) + more)
    return sum(isinstance(theirs, int | float) and not isinstance(theirs, bool) for _, theirs, _ in pairs)


def same(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, float) and isinstance(ours, int | float):
        return isclose(theirs, ours, rel_tol=WITHIN, abs_tol=1e-12)
    return bool(theirs == ours)


def _pairs(theirs: Any, ours: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """Every value of both with its place, but for the seal and hwsim's version; what only one has is None in the other."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in dict.fromkeys((*theirs, *ours)):
            if where or key not in ("card_hash", "hwsim"):
                yield from _pairs(theirs.get(key), ours.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for n, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            yield from _pairs(a, b, f"{where}[{n}]")
    else:
        yield where, theirs, ours
