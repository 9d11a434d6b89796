"""Both engines by name, and how two records differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np

from hwsim.cores.odin.engines import NAMES, engine_named
from hwsim.cores.odin.record import OdinEngine, OdinRecord

CASES = Path(__file__).parents[2] / "data" / "odin_cases.json.gz"
ENGINES: dict[str, OdinEngine] = {name: engine_named(name) for name in NAMES}


def unequal(first: OdinRecord, second: OdinRecord) -> Iterator[str]:
    """Every field in which two records differ, with its first different row."""
    for field in fields(OdinRecord):
        mine, its = getattr(first, field.name), getattr(second, field.name)
        if field.name == "log" and mine is not None and its is not None:
            mine, its = sorted(mine, key=_by_cycle), sorted(its, key=_by_cycle)
        if isinstance(mine, np.ndarray):
            mine, its = mine.tolist(), its.tolist()
        if mine == its:
            continue
        if not (isinstance(mine, list) and isinstance(its, list)):
            yield f"{field.name}: {mine} and {its}"
            continue
        place = next((i for i, (a, b) in enumerate(zip(mine, its, strict=False)) if a != b), min(len(mine), len(its)))
        rows = " and ".join(str(listed[place : place + 2])[:100] for listed in (mine, its))
        yield f"{field.name}[{place}]: {rows}; {len(mine)} and {len(its)} rows"


def _by_cycle(entry: tuple[str | int, ...]) -> tuple[int, str, tuple[str | int, ...]]:
    return int(entry[1]), str(entry[0]), entry[2:]
