"""Settings in which two runs differ, what each of them can move, and what each price setting moves alone.

A setting can move `counts` (cycles and all that is counted), `prices` (pJ per count), `seconds` (per cycle), or `nothing`.
A setting that moves no counts is moved alone: the first run's counts are priced again with that one setting of the second run. A
setting that moves counts cannot be: that takes another simulation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hwsim.activity import SCOPES
from hwsim.arch import dump_architecture, rebuild_architecture
from hwsim.arch_changes import changed
from hwsim.cost.energy import price_hash
from hwsim.errors import HwsimError

if TYPE_CHECKING:
    from hwsim.arch import Architecture
    from hwsim.result import Result
    from hwsim.result_reader import MadeWith

COUNTS, PRICES, NOTHING, UNKNOWN = "counts", "prices", "nothing", "not known"
SECONDS = "prices, seconds"
WORDS = ("name", "description")
"""Fields of a design that decide nothing."""


class Setting(NamedTuple):
    """One setting that differs: its group, dotted name, value in each run (None: absent), and what it moves."""

    group: str
    name: str
    a: Any
    b: Any
    moves: str


class Alone(NamedTuple):
    """One price setting moved alone: pJ per sample by which it moves the first run's energy by scope, or why that cannot be."""

    name: str
    change_pj: dict[str, float] | None
    why_not: str


def settings_that_differ(
    a: Result, b: Result, made: tuple[MadeWith | None, MadeWith | None] = (None, None)
) -> list[Setting]:
    """Every setting in which the runs differ: of the trace, the run, the design, the prices, and versions."""
    rows = [*_of_the_run(a, b), *_of_the_design(a, b), *_of_the_prices(a, b)]
    rows += _differing("versions", _versions(made[0]), _versions(made[1]), NOTHING)
    rows += _differing("versions", {"cycle model": a.task.model_version}, {"cycle model": b.task.model_version}, COUNTS)
    return rows


def _of_the_run(a: Result, b: Result) -> Iterator[Setting]:
    # Engines agree to the cycle, and a replay is as long whether its sums are computed or not.
    moves = {"trace": NOTHING, "trace_hash": COUNTS, "coding": COUNTS, "timesteps": COUNTS, "samples": COUNTS, "schedule": COUNTS,
             "spikes": COUNTS, "placement": COUNTS, "engine": NOTHING, "check": NOTHING}
    for name, what in moves.items():
        group = "trace" if name in ("trace", "trace_hash", "coding", "timesteps", "samples") else "run"
        left, right = (_run_value(result, name) for result in (a, b))
        if left != right:
            yield Setting(group, name, left, right, what)


def _run_value(result: Result, name: str) -> Any:
    if name in ("trace", "coding", "timesteps"):
        return getattr(result.facts, name)
    value = getattr(result.task, name)
    return list(value) if name == "samples" else value


def _of_the_design(a: Result, b: Result) -> Iterator[Setting]:
    left, right = flat(dump_architecture(a.architecture)), flat(dump_architecture(b.architecture))
    for row in _differing("design", left, right, UNKNOWN):
        yield row._replace(moves=_moved_by(a, b, row.name), group="prices" if row.name.startswith("technology.") else "design")


def _moved_by(a: Result, b: Result, name: str) -> str:
    """What a field of the design moves: found by giving one design the other's value of it."""
    if name in WORDS:
        return NOTHING
    if name.startswith("network.placement"):
        return COUNTS  # the Task has it, and the design's timing has not
    for one, other in ((a, b), (b, a)):
        try:
            made = with_field(one.architecture, other.architecture, name)
            counts = made.timing() != one.architecture.timing()
            prices = price_hash(made, one.overrides, one.used) != one.price_id
        except HwsimError:
            continue  # another field must move with it, in this direction
        if name == "clock":
            return SECONDS
        return ", ".join(word for word, moved in ((COUNTS, counts), (PRICES, prices)) if moved) or NOTHING
    return UNKNOWN


def with_field(one: Architecture, other: Architecture, name: str) -> Architecture:
    """One design with the other's value of a field, or without the field where the other has none.

    Raises HwsimError where that is no design.
    """
    value, there = flat(dump_architecture(other)), dump_architecture(one)
    if name in value:
        return rebuild_architecture(changed(there, {name: value[name]}))
    *outer, last = name.split(".")
    at: Any = there
    for part in outer:
        at = at[int(part) if isinstance(at, list) else part]
    del at[int(last) if isinstance(at, list) else last]
    return rebuild_architecture(there)


def _of_the_prices(a: Result, b: Result) -> Iterator[Setting]:
    yield from _differing("prices", {f"overrides.{n}": v for n, v in flat(dict(a.overrides)).items()},
                          {f"overrides.{n}": v for n, v in flat(dict(b.overrides)).items()}, PRICES)
    if dict(a.overrides) == dict(b.overrides) and list(a.overrides) != list(b.overrides):
        yield Setting("prices", "overrides, their order", ", ".join(a.overrides), ", ".join(b.overrides), PRICES)
    if a.leak_unused != b.leak_unused:
        yield Setting("prices", "leak_unused", a.leak_unused, b.leak_unused, PRICES)
    if a.rate_hz != b.rate_hz:
        yield Setting("prices", "rate_hz", a.rate_hz, b.rate_hz, NOTHING)


def _versions(made: MadeWith | None) -> dict[str, Any]:
    return {} if made is None else dict(made.versions)


def _differing(group: str, a: Mapping[str, Any], b: Mapping[str, Any], moves: str) -> list[Setting]:
    names = dict.fromkeys((*a, *b))
    return [Setting(group, name, a.get(name), b.get(name), moves) for name in names if a.get(name) != b.get(name)]


def flat(node: Any, path: str = "") -> dict[str, Any]:
    """Plain data by dotted name; an empty mapping has none, an empty list is a value."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if not isinstance(node, dict | list) or node == []:
        return {path: node}
    found: dict[str, Any] = {}
    for key, value in pairs:
        found |= flat(value, f"{path}.{key}".lstrip("."))
    return found


def moved_alone(a: Result, b: Result, settings: list[Setting]) -> list[Alone]:
    """For each price setting, by how much it alone moves the first run's energy."""
    found = []
    for row in settings:
        if not row.moves.startswith(PRICES):
            continue
        try:
            priced = _with_setting(a, b, row.name)
            found.append(Alone(row.name, {scope: priced.energy_pj[scope] - a.energy_pj[scope] for scope in SCOPES}, ""))
        except HwsimError as error:
            found.append(Alone(row.name, None, " ".join(str(error).split())))
    return found


def _with_setting(a: Result, b: Result, name: str) -> Result:
    if name == "leak_unused":
        return a.priced(a.architecture, a.overrides, b.leak_unused)
    if name.startswith("overrides,"):
        return a.priced(a.architecture, b.overrides, a.leak_unused)
    if name.startswith("overrides."):
        return a.priced(a.architecture, _with_override(a.overrides, b.overrides, name.split(".")[1:]), a.leak_unused)
    return a.priced(with_field(a.architecture, b.architecture, name), a.overrides, a.leak_unused)


def _with_override(given: Mapping[str, Any], other: Mapping[str, Any], path: list[str]) -> dict[str, Any]:
    """Overrides with one of the other run's at `path`, or without it where the other run has none."""
    name, *inner = path
    if inner:
        return {**given, name: _with_override(given.get(name) or {}, other.get(name) or {}, inner)}
    if name in other:
        return {**given, name: other[name]}
    return {key: value for key, value in given.items() if key != name}
