"""Numbers in which two runs differ: those of `Result.summary`, cycles by cause, counts by event. Per sample, unless totals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hwsim.activity import SCOPES, VOCABULARY
from hwsim.chip.model import chip_model
from hwsim.counted import WAIT, WORKING
from hwsim.diff.settings import flat
from hwsim.program import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwsim.result import Result

CORES = "cores"
"""All cores of a chip together, whose number may differ between designs."""
RULES = {**dict.fromkeys(WORKING, "R5"), "stall_hazard": "R6", "stall_port": "R23", "stall_serialiser": "R7", "idle": "R2",
         WAIT: "C1"}
"""The rule of docs/cycle-model.md that makes each cause, on cores whose cycles those rules decide."""
NO_MEASURE = ("timesteps", "samples", "check", "meets_clock", "at_rate.late_samples")
"""Settings and answers that are no measures."""


class Number(NamedTuple):
    """One number of both runs; None where a run has none."""

    name: str
    a: float | None
    b: float | None

    @property
    def change(self) -> float | None:
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def ratio(self) -> float | None:
        """b / a; None where there is none."""
        return self.b / self.a if self.a and self.b is not None else None

    def row(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**self._asdict(), "change": self.change, "ratio": self.ratio}


def numbers_that_differ(a: Result, b: Result) -> list[Number]:
    """Numbers of the summaries that are not the same, by their names in `hwsim run --json`."""
    left, right = (flat(result.summary()) for result in (a, b))
    names = [name for name in dict.fromkeys((*left, *right)) if name not in NO_MEASURE
             and all(_is_number(side.get(name)) for side in (left, right))
             and not left.get(name) is right.get(name) is None]
    return differing(left, right, names)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def differing(a: Mapping[str, Any], b: Mapping[str, Any], names: Sequence[str]) -> list[Number]:
    rows = [Number(name, a.get(name), b.get(name)) for name in names]
    return [row for row in rows if row.a != row.b]


def cycles_by_cause(a: Result, b: Result, by_layer: bool = True) -> list[dict[str, Any]]:
    """Cycles per sample that differ: resource (all cores together, or the channel), layer, cause, rule, a, b, change, ratio.

    rule       of RULES; "" where one of the designs has rules of its own (ODIN, systolic arrays).
    by_layer   False: those of all layers together.
    """
    ruled = all(chip_model(result.architecture).timed for result in (a, b))
    left, right = _cycles(a, by_layer), _cycles(b, by_layer)
    rows = [(key, Number("", left.get(key, 0.0), right.get(key, 0.0))) for key in dict.fromkeys((*left, *right))]
    return [{"resource": key[0], "layer": key[1], "cause": key[2], "rule": _rule(key[0], key[2]) if ruled else "",
             **_without_name(number)} for key, number in rows
            if number.a != number.b]


def _rule(resource: str, cause: str) -> str:
    return RULES[WAIT if resource == CHANNEL else cause]


def _cycles(result: Result, by_layer: bool) -> dict[tuple[str, str, str], float]:
    frame = result.cycles_frame
    resource = frame["resource"].where(frame["resource"] == CHANNEL, CORES)
    frame = frame.assign(resource=resource, layer=frame["layer"] if by_layer else "")
    sums = frame.groupby(["resource", "layer", "cause"], sort=False, as_index=False)["cycles"].sum()
    return {(str(r), str(layer), str(cause)): float(v) for r, layer, cause, v in sums.itertuples(index=False)}


def counts_by_event(a: Result, b: Result, by_layer: bool = True) -> list[dict[str, Any]]:
    """Counts per sample that differ, of events that cost energy: event, what one count is, unit, layer, a, b, change, ratio."""
    left, right = _counts(a, by_layer), _counts(b, by_layer)
    found = []
    for event in (e for e in VOCABULARY if e.scope in SCOPES):
        layers = dict.fromkeys(layer for name, layer in (*left, *right) if name == event.name)
        for layer in layers:
            number = Number("", left.get((event.name, layer), 0.0), right.get((event.name, layer), 0.0))
            if number.a != number.b:
                found.append({"event": event.name, "counted": event.counted, "unit": event.unit, "layer": layer,
                              **_without_name(number)})
    return found


def _counts(result: Result, by_layer: bool) -> dict[tuple[str, str], float]:
    frame = result.activity if by_layer else result.activity.assign(layer="")
    sums = frame.groupby(["event", "layer"], sort=False, as_index=False)["count"].sum()
    return {(str(event), str(layer)): float(count) for event, layer, count in sums.itertuples(index=False)}


def _without_name(number: Number) -> dict[str, Any]:
    return {name: value for name, value in number.row().items() if name != "name"}
