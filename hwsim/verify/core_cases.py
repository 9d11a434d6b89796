"""Core cases: one run of one core each, with the cycle of everything that it must do. docs/formats/vectors.md types the fields.

A case becomes the arguments of `Engine.run_core`; what comes back is put into the words of `expect` and compared. Nothing
here belongs to an engine. Times are cycles from the run's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PlainValidator

from hwsim.passes import PassTable
from hwsim.program import CoreRun, CoreSpec
from hwsim.record import CoreLog
from hwsim.verify.engines import CORE_ENGINES, run_core_of
from hwsim.verify.fields import Fields, IntArray, Shape, parse
from hwsim.verify.format import CaseError, Difference, Format, first_difference
from hwsim.verify.run_cases import (
    ROWS,
    Activity,
    ConnectionFields,
    ExpectFields,
    activity_problems,
    coded_table,
    connection_problems,
    expected,
    observed,
    start_potentials,
    state_problems,
    step_problems,
)

MAX_CYCLE = 1 << 24
MAX_PAYLOAD = 1 << 16
EOT = (-1, 0, 0, 0, 0, 0)

ACTIVITY: Activity = {
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
    found += activity_problems(raw.expect.activity, ACTIVITY)
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
        return first_difference(self.expect, observed(log, ACTIVITY), ROWS)


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
        connections=tuple(one.connection(i) for i, one in enumerate(raw.connections)), table=_table(raw),
        potential_bits=core.potential_bits, current_bits=core.current_bits, clear=raw.clear,
    )
    return CoreCase(
        id=raw.id, kind=raw.kind, coding=raw.coding, run=run, tokens=np.array(raw.tokens, np.int64),
        gaps=np.ones(len(raw.tokens), np.int64), earliest=np.array(raw.earliest_arrival, np.int64),
        potentials=start_potentials(shape, raw.potential_bits, raw.clear, raw.initial_potential),
        currents=np.full(shape, min(5, limit - 1) if raw.clear and run.table.direct else 0, np.int64),
        expect=expected(raw.expect, ACTIVITY),
    )


def _table(raw: CaseFields) -> PassTable:
    state = {"initial": raw.initial_potential, "reset": raw.reset, "leak_shift": raw.leak_shift}
    planes = 1 if raw.direct_input else raw.timesteps
    return coded_table(
        raw.coding, raw.timesteps, raw.threshold, planes, raw.direct_input, raw.shift_at == "membrane", raw.bias, **state)


def _step_problems(case: CoreCase) -> list[str]:
    table = case.run.table
    return step_problems(
        table, case.run.connections, int(np.abs(case.tokens[:, 4]).max()), table.planes - 1 if table.weigh_planes else 0)


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
        if found := _step_problems(case):
            raise CaseError(found)
        return case

    def compare(self, case: CoreCase, engine: str) -> Difference | None:
        try:
            return case.difference(run_core_of(engine)(*case.arguments))
        except TimeoutError as error:
            return Difference("done", (), case.expect["done"], str(error))
