"""The ANN rivals of an event core: its twin in each dataflow with each way to multiply, and systolic arrays, at any size.

A rival has the design's memories, buffer, channel and technology, without memories that no ANN uses; its multiplier is as wide as
the ANN's values. Sizes are lanes, or elements of an array. docs/baselines.md says what each rival is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hwsim.arch import Architecture
from hwsim.baseline.equal_area import equal_area_lanes, equal_area_rows, grown
from hwsim.cores.event.dataflow_fields import MergedPlanes, OutputStationary
from hwsim.cores.event.fields import EventDesign
from hwsim.cost.area import area_mm2
from hwsim.cost.memory import macros
from hwsim.snn.network import Network

ACCUMULATORS, ADDERS = 4, 2
"""Of rivals whose design has none of its own."""
MOST_DOUBLINGS = 8
"""Of the membrane memory of a rival that needs more than the design has."""
SYSTOLIC = "systolic_"
WITHOUT = {"core.mask_first": False, "memories.current": "0 bit", "memories.mask": "0 bit"}
"""What no ANN has: flags, and currents that are kept."""


@dataclass(frozen=True)
class Rival:
    """One ANN machine at any size.

    sized        the designs of that many lanes or elements, the one to prefer first: with the design's memories; with as many
                 rows of more lanes; with more membrane memory, by factors of two.
    largest_in   of one of them, the largest within an area in mm2, of the memories that are named. Raises EqualAreaError.
    """

    name: str
    sized: Callable[[int], Iterator[Architecture]]
    largest_in: Callable[[Architecture, float, Sequence[str] | None], Architecture]


def rivals(design: Architecture, ann: Network) -> list[Rival]:
    """Every rival of an event core for a quantised ANN: each dataflow with each multiplier, and three arrays."""
    assert isinstance(design.only, EventDesign), "the caller asked whether it has baselines"
    found = [_twin(design, ann, name, fields) for name, fields in _twins(design.only)]
    return found + [_array(design, ann, flow) for flow in ("output", "weight", "input")]


def _twins(design: EventDesign) -> list[tuple[str, dict[str, Any]]]:
    """Names and fields of rivals with lanes. Those that merge tokens, or hold words, scan a bitmap; a list has none."""
    flow, token = design.core.dataflow, design.core.token
    accumulators = flow.accumulators if isinstance(flow, OutputStationary) else ACCUMULATORS
    adders = token.adders if isinstance(token, MergedPlanes) else ADDERS
    merged = {"core.token": {"planes": "merged", "adders": adders}, "core.lane": {"multiplier": "bit_serial"}}
    single = {"core.token": {"planes": "single"}, "core.lane": {"multiplier": "parallel"}}
    flows: dict[str, dict[str, Any]] = {"event_driven": {"type": "event_driven"}}
    if not design.lists_events:
        flows["output_stationary"] = {"type": "output_stationary", "accumulators": accumulators}
    found: list[tuple[str, dict[str, Any]]] = []
    for name, loops in flows.items():
        common = {"core.dataflow": loops}
        found.append((f"{name}_mac", {**common, **single, "core.kind": "multiply_accumulate"}))
        if not design.lists_events:
            found += [(f"{name}_bit_serial", {**common, **merged, "core.kind": "multiply_accumulate"}),
                      # Where every value leaves, one per cycle would be the slowest way there is.
                      (f"{name}_dense_bit_serial", {**common, **merged, "core.kind": "dense_bit_serial", "core.writer": "word"})]
    return found


def _twin(design: Architecture, ann: Network, name: str, fields: dict[str, Any]) -> Rival:
    bits = max((ann.carries_payload(c) for layer in ann for c in layer.connections), default=1)

    def base() -> Architecture:
        made = design.with_fields({**fields, **WITHOUT, "core.payload_bits": max(1, bits)})
        return made.model_copy(update={"name": f"{design.name}+{name}"})

    def sized(lanes: int) -> Iterator[Architecture]:
        arch = base()
        yield arch.with_core(lanes=lanes)
        if lanes > arch.core.lanes:
            yield grown(arch, lanes)
        yield from _with_more_membrane(arch.with_core(lanes=lanes))

    return Rival(name, sized, _widest)


def _widest(arch: Architecture, target_mm2: float, used: Sequence[str] | None) -> Architecture:
    return grown(arch, equal_area_lanes(arch, target_mm2, lambda one: area_mm2(one, used)))


def _with_more_membrane(arch: Architecture) -> Iterator[Architecture]:
    """The design may have little because its own dataflow needs little: that is no reason why a rival should not exist."""
    for power in range(1, MOST_DOUBLINGS + 1):
        yield arch.with_memories(membrane=max(1, arch.memories.membrane) << power)


def _array(design: Architecture, ann: Network, flow: str) -> Rival:
    name = f"{SYSTOLIC}{flow}_stationary"

    def sized(elements: int) -> Iterator[Architecture]:
        array = array_of(design, ann, flow, elements, f"{design.name}+{name}")
        yield array
        yield from _with_more_membrane(array)

    return Rival(name, sized, _tallest)


def array_of(design: Architecture, ann: Network, flow: str, elements: int, name: str) -> Architecture:
    """An array of so many elements, as square as they allow.

    Its rows are narrower than the core's; the memories stay what they are, bank by bank. It adds pooled windows up before it
    multiplies, so its operand is as wide as the widest sum.
    """
    operand = max(ann.pooled_bits(c) for layer in ann for c in layer.connections)
    rows = max(r for r in range(1, int(elements**0.5) + 1) if elements % r == 0)
    banks = {memory: macro.banks for memory, macro in macros(design).items() if memory not in ("current", "mask")}
    assert isinstance(design.only, EventDesign), "the caller asked whether it has baselines"
    mac = design.with_fields({**WITHOUT, "core.kind": "multiply_accumulate", "core.payload_bits": operand,
                              "core.token": design.only.token_of_values, "memories.banks": banks})
    made = mac.with_core(kind="systolic", rows=rows, columns=elements // rows, dataflow=f"{flow}_stationary",
                         payload_bits=operand)
    return made.model_copy(update={"name": name})


def _tallest(array: Architecture, target_mm2: float, used: Sequence[str] | None) -> Architecture:
    return array.with_core(rows=equal_area_rows(array, target_mm2, lambda one: area_mm2(one, used)))
