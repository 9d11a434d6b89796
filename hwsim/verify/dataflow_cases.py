"""Dataflow cases: one run of one core each, fed from the planes in its spike buffer. docs/formats/vectors.md types the fields.

A case becomes the arguments of `Engine.run_planes`; what comes back is put into the words of `expect` and compared. Nothing here
belongs to an engine. Times are cycles from the run's start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PlainValidator

from hwsim.activity import EVENTS
from hwsim.passes import PassTable
from hwsim.program import CoreRun, CoreSpec
from hwsim.record import CoreLog
from hwsim.verify.engines import CORE_ENGINES, run_planes_of
from hwsim.verify.fields import Fields, IntArray, Shape, int_array, parse
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

PAYLOAD_BITS = 16
OWN_FIELDS = ("core", "keep")

ACTIVITY: Activity = {
    **{name: (name,) for name in (
        "weight_read", "current_read", "current_write", "buffer_read", "addr_gen", "acc_add", "mult", "weight_shift", "bias_add",
        "cmp", "reset_sub", "spike_out")},
    "membrane_read": tuple(name for name in EVENTS if name.startswith("membrane_read_")),
    "membrane_write": tuple(name for name in EVENTS if name.startswith("membrane_write_")),
    "stall_hazard": ("cycles_stall_hazard",), "stall_port": ("cycles_stall_port",),
    "stall_serialiser": ("cycles_stall_serialiser",), "busy": ("cycles_busy",),
}


# -- what a file says ---------------------------------------------------------------------------------------------


def _planes(value: Any) -> NDArray[np.int64]:
    """(n, H, W, C), or [] for no plane."""
    return np.zeros((0, 0, 0, 0), np.int64) if value == [] else int_array(value)


Planes = Annotated[NDArray[np.int64], PlainValidator(_planes)]


class PlanesFields(ConnectionFields):
    """A connection with what its source sends."""

    payload: bool
    planes: Planes


class CoreFields(Fields):
    """The core: its sizes and its dataflow."""

    lanes: int = Field(ge=1, le=4096)
    potential_bits: int = Field(ge=2, le=48)
    fifo_depth: int = Field(ge=1, le=4096)
    bypass: bool
    scan_bits: int = Field(ge=1, le=4096)
    order: Literal["scatter", "gather"]
    accumulators: int = Field(ge=1, le=4096)
    planes_per_token: Literal["one", "all"]
    adders: int = Field(ge=1, le=62)
    writer: Literal["serial", "word"]
    membrane_ports: Literal["1r1w", "1rw"]
    passes: Literal["by_pass", "by_word"]


class DataflowCaseFields(Fields):
    """One case."""

    id: int
    kind: str
    coding: Literal["rate", "bit_serial"]
    direct_input: bool
    shift_at: Literal["weight", "membrane"]
    timesteps: int = Field(ge=1, le=62)
    threshold: int = Field(ge=1, le=1 << 48)
    reset: Literal["soft", "hard"]
    leak_shift: Annotated[int, Field(ge=1, le=31)] | None
    clear: bool
    keep: bool
    initial_potential: IntArray
    initial_current: IntArray | None
    bias: IntArray | None
    output_shape: Shape
    core: CoreFields
    connections: list[PlanesFields] = Field(min_length=1)
    expect: ExpectFields

    @property
    def shape(self) -> tuple[int, int, int]:
        c, h, w = self.output_shape
        return c, h, w


def problems(raw: DataflowCaseFields) -> Iterator[str]:
    """What does not fit together in fields that are sound by themselves, one sentence each."""
    for position, one in enumerate(raw.connections):
        yield from connection_problems(f"connections[{position}]", one, raw.shape)
        yield from _plane_problems(f"connections[{position}]", one, raw.timesteps)
    states = {"initial_potential": raw.initial_potential, "initial_current": raw.initial_current,
              "expect.final_potential": raw.expect.final_potential}
    yield from state_problems({
        **{name: (array, raw.shape, "output_shape") for name, array in states.items()},
        "bias": (raw.bias, raw.shape[:1], "a value for each channel"),
    }, raw.core.potential_bits)
    yield from activity_problems(raw.expect.activity, ACTIVITY)


def _plane_problems(place: str, raw: PlanesFields, timesteps: int) -> Iterator[str]:
    planes, (c, h, w) = raw.planes, raw.source_shape
    if not len(planes):
        return
    if planes.shape[1:] != (h, w, c):
        yield f"{place}.planes: found the shape {list(planes.shape)}, expected planes of {[h, w, c]} (H, W, C)"
    elif raw.payload and len(planes) > 1:
        yield f"{place}.planes: found {len(planes)} planes of values, expected one, or none"
    elif not raw.payload and len(planes) != timesteps:
        yield f"{place}.planes: found {len(planes)} planes, expected one for each of {timesteps} timesteps, or none"
    elif not raw.payload and (planes.min() < 0 or planes.max() > 1):
        yield f"{place}.planes: found values from {planes.min()} to {planes.max()}, expected spikes, 0 or 1"
    elif raw.payload and np.abs(planes).max() >= 1 << PAYLOAD_BITS:
        yield f"{place}.planes: found values from {planes.min()} to {planes.max()}, expected {PAYLOAD_BITS} bits and a sign"


# -- what it means ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DataflowCase:
    """Arguments of `run_planes` and the expected answers.

    planes (n, H, W, C) of each connection, potentials and currents (C, H, W).     expect   in the words of `observed`.
    """

    id: int
    kind: str
    coding: str
    run: CoreRun
    planes: tuple[NDArray[np.int64], ...]
    eots: int
    potentials: NDArray[np.int64]
    currents: NDArray[np.int64]
    expect: Mapping[str, Any]

    @property
    def name(self) -> str:
        core = self.run.core
        return f"{self.id:03d}-{self.kind}-{self.coding}-{core.order}-{core.planes_per_token}"

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Positional arguments of `run_planes`; the states are fresh copies."""
        return (self.run, self.planes, self.eots, self.potentials.copy(), self.currents.copy())

    def difference(self, log: CoreLog) -> Difference | None:
        """The first difference between the expected answers and what a run did; None when all are equal."""
        return first_difference(self.expect, observed(log, ACTIVITY), ROWS)

def dataflow_case(raw: DataflowCaseFields) -> DataflowCase:
    """The run that sound fields describe. Buffers are bitmaps; currents are as wide as potentials."""
    shape = raw.shape
    core = CoreSpec(
        **raw.core.model_dump(), current_bits=raw.core.potential_bits, shift_at=raw.shift_at, buffer="bitmap")
    table = _table(raw)
    run = CoreRun(
        core=core, shape=shape, groups=(0, -(-shape[0] // core.lanes)),
        connections=tuple(one.connection(i) for i, one in enumerate(raw.connections)), table=table,
        potential_bits=core.potential_bits, current_bits=core.current_bits, clear=raw.clear, keep=raw.keep,
        current_fed=any(len(one.planes) for one in raw.connections),
        payload_bits=tuple(PAYLOAD_BITS if one.payload else 0 for one in raw.connections))
    current = raw.initial_current
    return DataflowCase(
        id=raw.id, kind=raw.kind, coding=raw.coding, run=run,
        planes=tuple(one.planes.reshape(-1, *(one.source_shape[i] for i in (1, 2, 0))) for one in raw.connections),
        eots=1 if run.merged else table.planes,
        potentials=start_potentials(shape, core.potential_bits, raw.clear, raw.initial_potential),
        currents=np.zeros(shape, np.int64) if current is None else current,
        expect=expected(raw.expect, ACTIVITY),
    )


def _table(raw: DataflowCaseFields) -> PassTable:
    state = {"initial": raw.initial_potential, "reset": raw.reset, "leak_shift": raw.leak_shift}
    bias = None if raw.bias is None else np.ascontiguousarray(np.broadcast_to(raw.bias.reshape(-1, 1, 1), raw.shape))
    planes = 1 if all(one.payload for one in raw.connections) else raw.timesteps
    return coded_table(
        raw.coding, raw.timesteps, raw.threshold, planes, raw.direct_input, raw.shift_at == "membrane", bias, **state)


def _step_problems(case: DataflowCase) -> list[str]:
    value = max((int(np.abs(one).max()) for one in case.planes if one.size), default=1)
    table = case.run.table
    return step_problems(table, case.run.connections, value, table.planes if table.weigh_planes else 0)


# -- the format ---------------------------------------------------------------------------------------------------


class DataflowCases(Format):
    """docs/formats/vectors.md, "Dataflow cases"."""

    title = "dataflow cases"
    engines = tuple(CORE_ENGINES)

    def recognises(self, document: Any) -> bool:
        """A list in which some object has a dataflow case's core, or says whether its state is kept."""
        return isinstance(document, list) and any(
            isinstance(one, dict) and not one.keys().isdisjoint(OWN_FIELDS) for one in document)

    def read(self, entry: Any) -> DataflowCase:
        raw = parse(DataflowCaseFields, entry)
        if found := list(problems(raw)):
            raise CaseError(found)
        case = dataflow_case(raw)
        if found := _step_problems(case):
            raise CaseError(found)
        return case

    def compare(self, case: DataflowCase, engine: str) -> Difference | None:
        try:
            return case.difference(run_planes_of(engine)(*case.arguments))
        except TimeoutError as error:
            return Difference("done", (), case.expect["done"], str(error))
