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

from hwsim.activity import EVENTS, INDEX
from hwsim.passes import Pass, PassTable, horner_passes
from hwsim.program import CoreRun, CoreSpec
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.verify.core_cases import MAX_STEP, ROWS, ConnectionFields, ExpectFields, connection_problems, state_problems
from hwsim.verify.engines import CORE_ENGINES, run_planes_of
from hwsim.verify.fields import Fields, IntArray, Shape, int_array, parse
from hwsim.verify.format import CaseError, Difference, Format, first_difference

PAYLOAD_BITS = 16
OWN_FIELDS = ("core", "keep")

# What each activity key sums up: the event of that name, or all events whose names begin so.
ACTIVITY: Mapping[str, str] = {
    **{name: name for name in (
        "weight_read", "current_read", "current_write", "buffer_read", "addr_gen", "acc_add", "mult", "weight_shift", "bias_add",
        "cmp", "reset_sub", "spike_out")},
    "membrane_read": "membrane_read_", "membrane_write": "membrane_write_", "stall_hazard": "cycles_stall_hazard",
    "stall_port": "cycles_stall_port", "stall_serialiser": "cycles_stall_serialiser", "busy": "cycles_busy",
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
    given = raw.expect.activity
    yield from (f"expect.activity.{name}: missing, it must be given" for name in ACTIVITY if name not in given)
    yield from (f"expect.activity.{name}: unknown key; the format has no such count, so leave it out"
                for name in given if name not in ACTIVITY)


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
        return first_difference(self.expect, self.observed(log), ROWS)

    def observed(self, log: CoreLog) -> dict[str, Any]:
        """A CoreLog in the words of `expect`, so that the two can be compared field by field."""
        sums = log.counts.sum(axis=0)
        activity = {}
        for key, prefix in ACTIVITY.items():
            names = [name for name in EVENTS if name == prefix or (prefix.endswith("_") and name.startswith(prefix))]
            activity[key] = int(sum(sums[INDEX[name]] for name in names))
        return {
            "push": log.push.tolist(),
            "pop": log.pop.tolist(),
            "issue": [[int(cycle), ISSUE_KINDS[kind], int(word)] for cycle, kind, word in log.issue],
            "spikes": log.spikes.tolist(),
            "done": int(log.done),
            "activity": activity,
            "final_potential": log.potentials.tolist(),
        }


def dataflow_case(raw: DataflowCaseFields) -> DataflowCase:
    """The run that sound fields describe. Buffers are bitmaps; currents are as wide as potentials."""
    shape, limit = raw.shape, 1 << (raw.core.potential_bits - 1)
    core = CoreSpec(
        **raw.core.model_dump(), current_bits=raw.core.potential_bits, shift_at=raw.shift_at, buffer="bitmap")
    table = TABLES[raw.coding](raw)
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
        # A run with a clear starts from rubbish, so that a clear that forgets a word shows.
        potentials=np.full(shape, max(-7, -limit), np.int64) if raw.clear else raw.initial_potential,
        currents=np.zeros(shape, np.int64) if current is None else current,
        expect={
            **raw.expect.model_dump(),
            "activity": {name: raw.expect.activity[name] for name in ACTIVITY},
            "final_potential": raw.expect.final_potential.tolist(),
        },
    )


def _rate_table(raw: DataflowCaseFields) -> PassTable:
    """A fire pass after each EOT."""
    bias = _bias(raw)
    adds = bias is not None or raw.direct_input
    fires = tuple(Pass(n + 1, "fire", raw.threshold, add=adds, timestep=n) for n in range(raw.timesteps))
    return PassTable(raw.timesteps, fires, addend=bias, direct=raw.direct_input, **_common(raw))


def _bit_serial_table(raw: DataflowCaseFields) -> PassTable:
    """A fire pass per output bit after the last EOT; Horner doubles between EOTs."""
    bias = _bias(raw)
    planes = 1 if all(one.payload for one in raw.connections) else raw.timesteps
    horner = raw.shift_at == "membrane"
    adds = horner and bias is not None
    fires = tuple(Pass(planes, "fire", raw.threshold, shift=p + 1, add=adds and p == 0, timestep=p) for p in range(raw.timesteps))
    return PassTable(
        planes, (horner_passes(planes) if horner else ()) + fires, addend=bias if horner else None, weigh_planes=not horner,
        **_common(raw))


TABLES = {"rate": _rate_table, "bit_serial": _bit_serial_table}
"""The pass table that a coding of the format stands for."""


def _bias(raw: DataflowCaseFields) -> np.ndarray | None:
    return None if raw.bias is None else np.ascontiguousarray(np.broadcast_to(raw.bias.reshape(-1, 1, 1), raw.shape))


def _common(raw: DataflowCaseFields) -> dict[str, Any]:
    return {"initial": raw.initial_potential, "reset": raw.reset, "leak_shift": raw.leak_shift}


def step_problems(case: DataflowCase) -> list[str]:
    """Whether an event may add more than MAX_STEP at once."""
    weight = max(int(np.abs(one.weights).max()) for one in case.run.connections if one.weights is not None)
    value = max((int(np.abs(one).max()) for one in case.planes if one.size), default=1)
    bits = case.run.table.planes if case.run.table.weigh_planes else 0
    if weight * max(1, value) << bits <= MAX_STEP:
        return []
    return [f"connections: found weights up to {weight}, values up to {value} and {bits} bit planes, expected a product within "
            "2**60; engines have 64 bits for it"]


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
        if found := step_problems(case):
            raise CaseError(found)
        return case

    def compare(self, case: DataflowCase, engine: str) -> Difference | None:
        try:
            return case.difference(run_planes_of(engine)(*case.arguments))
        except TimeoutError as error:
            return Difference("done", (), case.expect["done"], str(error))
