"""What the formats of single runs share: a connection's fields, the answers, the pass tables that a coding stands for.

One run of one core is a case, whether it is fed with tokens (core cases) or with planes (dataflow cases). docs/formats/vectors.md
types the fields. Times are cycles from the run's start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwsim.activity import INDEX
from hwsim.passes import Pass, PassTable, horner_passes
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.snn.network import Connection
from hwsim.verify.fields import Fields, IntArray, Shape

MAX_STEP = 1 << 60  # what one event adds: products are full width (R10), and engines have 64 bits for them
CONV_FIELDS = ("kernel", "stride", "padding", "groups")
# Compared by row, so that a difference shows the cycle with what happened in it.
ROWS = frozenset(("issue", "spikes"))
Activity = Mapping[str, tuple[str, ...]]
"""What each activity key of a format sums up, in the names of hwsim/activity.py."""


# -- what a file says ---------------------------------------------------------------------------------------------


class ConnectionFields(Fields):
    """Synapses from one source; `kernel`, `stride`, `padding` and `groups` for conv only, and all four of them."""

    operator: Literal["conv", "linear", "identity"]
    source_shape: Shape
    pool: int = Field(ge=1, le=64)
    weights: IntArray
    kernel: int | None = Field(default=None, ge=1, le=64)
    stride: int | None = Field(default=None, ge=1, le=64)
    padding: int | None = Field(default=None, ge=0, le=64)
    groups: int | None = Field(default=None, ge=1, le=4096)

    def connection(self, position: int) -> Connection:
        """As the network says it; a pool is folded (docs/cycle-model.md, "An event's words")."""
        given = {name: getattr(self, name) for name in CONV_FIELDS if getattr(self, name) is not None}
        c, h, w = self.source_shape
        return Connection(
            source=f"source{position}", operator="conv2d" if self.operator == "conv" else self.operator, source_shape=(c, h, w),
            weights=self.weights, pool=self.pool, pool_mode="folded" if self.pool > 1 else "none", **given)


class ExpectFields(Fields):
    """The answers, all of them."""

    push: list[int]
    pop: list[int]
    issue: list[list[int | str]]
    spikes: list[list[int]]
    done: int
    activity: dict[str, int]
    final_potential: IntArray


def connection_problems(place: str, raw: ConnectionFields, shape: tuple[int, int, int]) -> Iterator[str]:
    """What does not fit together in a connection into a layer of `shape`."""
    convolves = raw.operator == "conv"
    for name in CONV_FIELDS:
        if convolves != (getattr(raw, name) is not None):
            yield f"{place}.{name}: " + ("missing, a conv needs it" if convolves else f"{raw.operator} has none; leave it out")
            return
    connection = raw.connection(0)
    groups = connection.groups
    if raw.source_shape[0] % groups or shape[0] % groups:
        yield f"{place}.groups: found {groups}, expected a divisor of {raw.source_shape[0]} and {shape[0]} channels"
        return
    if raw.weights.shape != connection.weight_shape(shape):
        yield f"{place}.weights: found the shape {list(raw.weights.shape)}, expected {list(connection.weight_shape(shape))}"
    channels = shape[0] if raw.operator != "identity" else min(raw.source_shape[0], shape[0])
    natural = connection.natural_shape(channels)
    if natural[1:] != shape[1:]:
        yield f"{place}: gives {list(natural[1:])} output positions, expected those of output_shape, {list(shape[1:])}"


def state_problems(
    states: Mapping[str, tuple[NDArray[np.int64] | None, tuple[int, ...], str]], potential_bits: int
) -> Iterator[str]:
    """Of arrays by name, each with the shape that it must have and what that is: their shape, and the width of what is given."""
    limit = 1 << (potential_bits - 1)
    for name, (array, shape, what) in states.items():
        if array is None:
            continue
        if array.shape != shape:
            yield f"{name}: found the shape {list(array.shape)}, expected {what}, {list(shape)}"
        elif not name.startswith("expect.") and (array.min() < -limit or array.max() >= limit):
            yield (f"{name}: found values from {array.min()} to {array.max()}, expected what {potential_bits} bits hold, "
                   f"{-limit} to {limit - 1}")


def activity_problems(given: Mapping[str, int], known: Activity) -> Iterator[str]:
    """Counts that are missing or that the format does not have."""
    yield from (f"expect.activity.{name}: missing, it must be given" for name in known if name not in given)
    yield from (f"expect.activity.{name}: unknown key; the format has no such count, so leave it out"
                for name in given if name not in known)


def step_problems(table: PassTable, connections: tuple[Connection, ...], value: int, shift: int) -> list[str]:
    """Whether an event of at most `value`, in a plane that weighs up to 2**shift, may add more than MAX_STEP at once."""
    weight = max(int(np.abs(one.weights).max()) for one in connections if one.weights is not None)
    if weight * max(1, value) << shift <= MAX_STEP:
        return []
    return [f"connections: found weights up to {weight}, values up to {value} and bit planes that weigh up to 2**{shift}, "
            "expected a product within 2**60; engines have 64 bits for it"]


# -- what it means ------------------------------------------------------------------------------------------------


def coded_table(
    coding: str, timesteps: int, threshold: int, planes: int, direct: bool, horner: bool, bias: NDArray[np.int64] | None,
    **state: Any,
) -> PassTable:
    """The passes that a coding of the formats stands for.

    planes   of a bit-serial source.   bias (C, H, W).   state   initial, reset and leak_shift.
    """
    return TABLES[coding](timesteps, threshold, planes, direct, horner, bias, state)


def _rate_table(
    timesteps: int, threshold: int, _: int, direct: bool, __: bool, bias: NDArray[np.int64] | None, state: dict[str, Any]
) -> PassTable:
    """One fire pass after each EOT, at the one threshold."""
    adds = bias is not None or direct
    fires = tuple(Pass(n + 1, "fire", threshold, add=adds, timestep=n) for n in range(timesteps))
    return PassTable(timesteps, fires, addend=bias, direct=direct, **state)


def _bit_serial_table(
    timesteps: int, threshold: int, planes: int, _: bool, horner: bool, bias: NDArray[np.int64] | None, state: dict[str, Any]
) -> PassTable:
    """One fire pass per output bit after the last EOT; planes are weighed, or with `horner` the membrane is doubled between them.

    With the membrane doubled the bias waits for the first fire pass; with planes weighed the vectors ignore it.
    """
    adds = horner and bias is not None
    fires = tuple(Pass(planes, "fire", threshold, shift=p + 1, add=adds and p == 0, timestep=p) for p in range(timesteps))
    return PassTable(
        planes, (horner_passes(planes) if horner else ()) + fires, addend=bias if horner else None,
        weigh_planes=not horner, **state)


TABLES = {"rate": _rate_table, "bit_serial": _bit_serial_table}


def start_potentials(
    shape: tuple[int, int, int], potential_bits: int, clear: bool, given: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(C, H, W). A run with a clear starts from rubbish, so that a clear that forgets a word shows."""
    return np.full(shape, max(-7, -(1 << (potential_bits - 1))), np.int64) if clear else given


def expected(raw: ExpectFields, activity: Activity) -> dict[str, Any]:
    """The answers of a case in the words and the order of `observed`."""
    return {
        **raw.model_dump(),
        "activity": {name: raw.activity[name] for name in activity},
        "final_potential": raw.final_potential.tolist(),
    }


def observed(log: CoreLog, activity: Activity) -> dict[str, Any]:
    """A CoreLog in the words of `expect`, so that the two can be compared field by field."""
    sums = log.counts.sum(axis=0)
    return {
        "push": log.push.tolist(),
        "pop": log.pop.tolist(),
        "issue": [[int(cycle), ISSUE_KINDS[kind], int(word)] for cycle, kind, word in log.issue],
        "spikes": log.spikes.tolist(),
        "done": int(log.done),
        "activity": {key: int(sum(sums[INDEX[name]] for name in names)) for key, names in activity.items()},
        "final_potential": log.potentials.tolist(),
    }
