"""Core cases: one run of one core each, with the cycle of everything that it must do. docs/formats/vectors.md types the fields.

A case becomes the arguments of `Engine.run_core`; what comes back is put into the words of `expect` and compared. Nothing
here belongs to an engine. Times are cycles from the run's start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PlainValidator

from hwsim.activity import INDEX
from hwsim.passes import Pass, PassTable, horner_passes
from hwsim.program import CoreRun, CoreSpec
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.snn.network import Connection
from hwsim.verify.engines import CORE_ENGINES, run_core_of
from hwsim.verify.fields import Fields, IntArray, Shape, parse
from hwsim.verify.format import CaseError, Difference, Format, first_difference

MAX_CYCLE = 1 << 24
MAX_PAYLOAD = 1 << 16
MAX_STEP = 1 << 60  # what one event adds: products are full width (R10), and engines have 64 bits for them
CONV_FIELDS = ("kernel", "stride", "padding", "groups")
EOT = (-1, 0, 0, 0, 0, 0)

# What each activity key of the vectors sums up, in the names of hwsim/activity.py.
ACTIVITY: Mapping[str, tuple[str, ...]] = {
    "weight_read": ("weight_read",),
    "membrane_read": (
        "membrane_read_accumulate", "membrane_read_shift", "membrane_read_fire", "membrane_read_readout",
    ),
    "membrane_write": (
        "membrane_write_clear", "membrane_write_accumulate", "membrane_write_shift", "membrane_write_fire",
        "membrane_write_readout",
    ),
    "fifo_push": ("fifo_push",),
    "fifo_pop": ("fifo_pop",),
    "acc_add": ("acc_add",),
    "cmp": ("cmp",),
    "reset_sub": ("reset_sub",),
    "spike_out": ("spike_out",),
    "stall_hazard": ("cycles_stall_hazard",),
    "stall_serialiser": ("cycles_stall_serialiser",),
    "mult": ("mult",),
    "weight_shift": ("weight_shift",),
    "membrane_shift": ("membrane_shift",),
    "bias_add": ("bias_add",),
    "leak": ("leak",),
    "current_read": ("current_read",),
    "current_write": ("current_write",),
}
# Compared by row, so that a difference shows the cycle with what happened in it.
ROWS = frozenset(("issue", "spikes"))


# -- what a file says ---------------------------------------------------------------------------------------------


def _token(value: Any) -> tuple[int, ...]:
    """["eot"] or ["event", connection, c, y, x, payload or null] as a row of `run_core`'s tokens."""
    if value == ["eot"]:
        return EOT
    sound = isinstance(value, list) and len(value) == 6 and value[0] == "event" and all(type(n) is int for n in value[1:5])
    if not sound or value[1] < 0 or not (value[5] is None or (type(value[5]) is int and abs(value[5]) < MAX_PAYLOAD)):
        raise ValueError(f'["eot"] or ["event", connection, c, y, x, payload], payload null or within {MAX_PAYLOAD - 1}')
    return (*value[1:5], 0 if value[5] is None else value[5], int(value[5] is not None))


Token = Annotated[tuple[int, ...], PlainValidator(_token)]


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


class CaseFields(Fields):
    """One case."""

    id: int
    kind: str
    coding: Literal["rate", "bit_serial"]
    direct_input: bool
    shift_at: Literal["weight", "membrane"]
    timesteps: int = Field(ge=1, le=64)
    lanes: int = Field(ge=1, le=4096)
    potential_bits: int = Field(ge=2, le=48)
    fifo_depth: int = Field(ge=1, le=4096)
    bypass: bool
    threshold: int = Field(ge=1, le=1 << 48)
    reset: Literal["soft", "hard"]
    leak_shift: Annotated[int, Field(ge=1, le=31)] | None
    clear: bool
    initial_potential: IntArray
    bias: IntArray | None
    output_shape: Shape
    connections: list[ConnectionFields] = Field(min_length=1)
    tokens: list[Token] = Field(min_length=1)
    earliest_arrival: list[Annotated[int, Field(ge=0, le=MAX_CYCLE)]]
    expect: ExpectFields

    @property
    def shape(self) -> tuple[int, int, int]:
        c, h, w = self.output_shape
        return c, h, w


def problems(raw: CaseFields) -> list[str]:
    """What does not fit together in fields that are sound by themselves, one sentence each."""
    found = [text for position, one in enumerate(raw.connections)
             for text in connection_problems(f"connections[{position}]", one, raw.shape)]
    states = {"initial_potential": raw.initial_potential, "bias": raw.bias, "expect.final_potential": raw.expect.final_potential}
    found += state_problems({name: (array, raw.shape, "output_shape") for name, array in states.items()}, raw.potential_bits)
    found += [f"expect.activity.{name}: missing, it must be given" for name in ACTIVITY if name not in raw.expect.activity]
    found += [f"expect.activity.{name}: unknown key; the format has no such count, so leave it out"
              for name in raw.expect.activity if name not in ACTIVITY]
    if len(raw.earliest_arrival) != len(raw.tokens):
        found.append(f"earliest_arrival: found {len(raw.earliest_arrival)} cycles, expected {len(raw.tokens)}, one per token")
    if raw.tokens[-1] != EOT:
        found.append('tokens: the last one is an event, expected ["eot"]: a run ends with an end-of-timestep mark')
    for position, (number, *event, _, _) in enumerate(raw.tokens):
        if number >= len(raw.connections):
            found.append(f"tokens[{position}]: found connection {number}, expected 0 to {len(raw.connections) - 1}")
        elif number >= 0 and not all(0 <= n < size for n, size in zip(event, raw.connections[number].source_shape, strict=True)):
            found.append(f"tokens[{position}]: found source neuron {event}, expected one within the source's "
                         f"{raw.connections[number].source_shape}")
    return found


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


# -- what it means ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CoreCase:
    """Arguments of `run_core` and the expected answers.

    tokens (n, 6), gaps and earliest (n,), potentials and currents (C, H, W).    expect   in the words of `observed`.
    """

    id: int
    kind: str
    coding: str
    run: CoreRun
    tokens: NDArray[np.int64]
    gaps: NDArray[np.int64]
    earliest: NDArray[np.int64]
    potentials: NDArray[np.int64]
    currents: NDArray[np.int64]
    expect: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.id:03d}-{self.kind}-{self.coding}"

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Positional arguments of `run_core`; the states are fresh copies."""
        return (self.run, self.tokens, self.gaps, self.earliest, self.potentials.copy(), self.currents.copy())

    def difference(self, log: CoreLog) -> Difference | None:
        """The first difference between the expected answers and what a run did; None when all are equal."""
        return first_difference(self.expect, observed(log), ROWS)


def observed(log: CoreLog) -> dict[str, Any]:
    """A CoreLog in the words of `expect`, so that the two can be compared field by field."""
    sums = log.counts.sum(axis=0)
    return {
        "push": log.push.tolist(),
        "pop": log.pop.tolist(),
        "issue": [[int(cycle), ISSUE_KINDS[kind], int(word)] for cycle, kind, word in log.issue],
        "spikes": log.spikes.tolist(),
        "done": int(log.done),
        "activity": {key: int(sum(sums[INDEX[name]] for name in names)) for key, names in ACTIVITY.items()},
        "final_potential": log.potentials.tolist(),
    }


def core_case(raw: CaseFields) -> CoreCase:
    """The run that sound fields describe."""
    shape, limit = raw.shape, 1 << (raw.potential_bits - 1)
    # The vectors name no width for the current: it saturates at that of the potential.
    core = CoreSpec(
        lanes=raw.lanes, potential_bits=raw.potential_bits, current_bits=raw.potential_bits, fifo_depth=raw.fifo_depth,
        bypass=raw.bypass, shift_at=raw.shift_at, buffer="aer",
    )
    run = CoreRun(
        core=core, shape=shape, groups=(0, -(-shape[0] // core.lanes)),
        connections=tuple(one.connection(i) for i, one in enumerate(raw.connections)), table=TABLES[raw.coding](raw),
        potential_bits=core.potential_bits, current_bits=core.current_bits, clear=raw.clear,
    )
    return CoreCase(
        id=raw.id, kind=raw.kind, coding=raw.coding, run=run, tokens=np.array(raw.tokens, np.int64),
        gaps=np.ones(len(raw.tokens), np.int64), earliest=np.array(raw.earliest_arrival, np.int64),
        # A run with a clear starts from rubbish, so that a clear that forgets a word shows.
        potentials=np.full(shape, max(-7, -limit), np.int64) if raw.clear else raw.initial_potential,
        currents=np.full(shape, min(5, limit - 1) if raw.clear and run.table.direct else 0, np.int64),
        expect={
            **raw.expect.model_dump(),
            "activity": {name: raw.expect.activity[name] for name in ACTIVITY},
            "final_potential": raw.expect.final_potential.tolist(),
        },
    )


def _rate_table(raw: CaseFields) -> PassTable:
    """One fire pass after each EOT, at the one threshold."""
    adds = raw.bias is not None or raw.direct_input
    fires = tuple(Pass(n + 1, "fire", raw.threshold, add=adds, timestep=n) for n in range(raw.timesteps))
    return PassTable(
        planes=raw.timesteps, passes=fires, initial=raw.initial_potential, addend=raw.bias, direct=raw.direct_input,
        reset=raw.reset, leak_shift=raw.leak_shift,
    )


def _bit_serial_table(raw: CaseFields) -> PassTable:
    """One fire pass per output bit after the last EOT; planes are weighed, or the membrane is doubled between them."""
    planes, steps = 1 if raw.direct_input else raw.timesteps, raw.timesteps
    # With the membrane shifted the bias waits for the first fire pass; with the weight shifted the vectors ignore it.
    horner = raw.shift_at == "membrane"
    adds = horner and raw.bias is not None
    fires = tuple(
        Pass(planes, "fire", raw.threshold, shift=p + 1, add=adds and p == 0, timestep=p) for p in range(steps))
    return PassTable(
        planes=planes, passes=(horner_passes(planes) if horner else ()) + fires, initial=raw.initial_potential,
        addend=raw.bias if horner else None, weigh_planes=not horner and planes > 1, reset=raw.reset,
        leak_shift=raw.leak_shift,
    )


TABLES = {"rate": _rate_table, "bit_serial": _bit_serial_table}


def step_problems(case: CoreCase) -> list[str]:
    """Whether an event may add more than MAX_STEP at once."""
    table = case.run.table
    weight = max(int(np.abs(one.weights).max()) for one in case.run.connections if one.weights is not None)
    payload = max(1, int(np.abs(case.tokens[:, 4]).max()))
    shift = table.planes - 1 if table.weigh_planes else 0
    if weight * payload << shift <= MAX_STEP:
        return []
    return [f"connections: found weights up to {weight}, payloads up to {payload} and bit planes that weigh up to 2**{shift}, "
            "expected a product within 2**60; engines have 64 bits for it"]


# -- the format ---------------------------------------------------------------------------------------------------


class CoreCases(Format):
    """docs/formats/vectors.md, "Core cases"."""

    title = "core cases"
    engines = tuple(CORE_ENGINES)

    def recognises(self, document: Any) -> bool:
        """A list in which some object has a core case's tokens or their arrivals."""
        return isinstance(document, list) and any(
            isinstance(one, dict) and not one.keys().isdisjoint(("tokens", "earliest_arrival")) for one in document)

    def read(self, entry: Any) -> CoreCase:
        raw = parse(CaseFields, entry)
        if found := problems(raw):
            raise CaseError(found)
        case = core_case(raw)
        if found := step_problems(case):
            raise CaseError(found)
        return case

    def compare(self, case: CoreCase, engine: str) -> Difference | None:
        try:
            return case.difference(run_core_of(engine)(*case.arguments))
        except TimeoutError as error:
            return Difference("done", (), case.expect["done"], str(error))
