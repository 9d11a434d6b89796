"""The ANN baselines of an event core: its multiply-accumulate twin (same pipeline, memories, channel, technology) and
dense systolic arrays, each with as many multipliers as the core has lanes, and again with as many as fit its area.

Areas are in mm2 and count the memories that are on: those of the core that its traces use, those of a baseline that the
ANN uses (hwsim/cores/provision.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hwsim.arch import Architecture
from hwsim.baseline.equal_area import equal_area_lanes, equal_area_rows, grown
from hwsim.chip.model import memories_used
from hwsim.cores.event.fields import EventDesign
from hwsim.cost.area import area_mm2
from hwsim.cost.energy import price_list
from hwsim.cost.memory import macros
from hwsim.errors import HwsimError
from hwsim.snn.network import Network

AT_AREA = "@area"
"""Ends the name of a baseline as large as the core; where the core has several areas, all but the smallest follow it."""


@dataclass(frozen=True)
class Unbuilt:
    """A baseline that cannot be built, and why."""

    name: str
    reason: str


def has_baselines(design: Architecture) -> bool:
    """Whether baselines are made for a design: a chip of one event core that does not multiply itself."""
    only = design.cores[0]
    return design.is_one_core and isinstance(only, EventDesign) and not only.core.requantises


def why_no_baselines(design: Architecture) -> str:
    """Why a chip whose every core alone would have baselines has none itself; empty for any other."""
    if design.is_one_core or not all(has_baselines(one) for one, _ in design.kinds()):
        return ""
    return (f"{design.name} has {len(design.core_names)} cores, and baselines are made for a design of one; compare a design "
            "of one of its cores as well, or a baseline's own file")


def twins(
    design: Architecture, ann: Network, spiking: Sequence[Network] = (), overrides: Mapping[str, Any] | None = None,
    leak_unused: bool = False,
) -> list[Architecture | Unbuilt]:
    """The baselines of the event core `design` for a quantised ANN: at equal lanes, then at equal area.

    spiking       the networks that run on the design: they decide which of its memories are on, and so its area. Where
                  they need different memories, there is a baseline for each area. Without any, all memories are on.
    overrides     prices, to find a baseline that has none before it runs.
    leak_unused   memories that a network does not use take area, in the design and in its baselines.
    """
    stem, core = design.name, design.core
    only = design.only
    assert isinstance(only, EventDesign), "the caller asked whether it has baselines"
    mac = design.with_core(kind="multiply_accumulate", payload_bits=max(1, core.payload_bits), token=only.token_of_values)
    arrays = {flow: _array(mac, design, ann, flow) for flow in ("output", "weight", "input")}

    def used(arch: Architecture, network: Network) -> tuple[str, ...] | None:
        return None if leak_unused else memories_used(network, arch)

    def same(arch: Architecture) -> Architecture:
        return arch

    def wider(target: float) -> Architecture:
        on = used(mac, ann)
        return grown(mac, equal_area_lanes(mac, target, lambda arch: area_mm2(arch, on)))

    def taller(target: float) -> Architecture:
        array = arrays["output"]
        on = used(array, ann)
        return array.with_core(rows=equal_area_rows(array, target, lambda arch: area_mm2(arch, on)))

    builders: list[tuple[str, Callable[[], Architecture]]] = [
        (f"{stem}+mac", partial(same, mac)),
        *((f"{stem}+systolic_{flow}", partial(same, array)) for flow, array in arrays.items())]
    for at, target in _areas({area_mm2(design, used(design, network)) for network in spiking} or {area_mm2(design)}):
        builders += [(f"{stem}+mac{at}", partial(wider, target)), (f"{stem}+systolic_output{at}", partial(taller, target))]
    found: list[Architecture | Unbuilt] = []
    for name, build in builders:
        try:
            made = build()
            price_list(made, overrides, used(made, ann))
            found.append(made.model_copy(update={"name": name}))
        except HwsimError as error:
            found.append(Unbuilt(name, str(error)))
    return found


def _areas(areas: set[float]) -> list[tuple[str, float]]:
    """What ends the names of baselines of each area: the smallest goes without its size, the others tell theirs."""
    smallest, *larger = sorted(areas)
    digits = next(n for n in range(3, 18) if len({f"{area:.{n}g}" for area in areas}) == len(areas))
    return [(AT_AREA, smallest), *((f"{AT_AREA}_{area:.{digits}g}mm2", area) for area in larger)]


def _array(mac: Architecture, design: Architecture, ann: Network, flow: str) -> Architecture:
    """An array of as many elements as the core has lanes, as square as they allow.

    Its rows are narrower than the core's; the memories stay what they are, bank by bank. It adds pooled windows up before
    it multiplies, so its operand is as wide as the widest sum.
    """
    core = design.core
    operand = max([core.payload_bits, *(ann.pooled_bits(c) for layer in ann for c in layer.connections)])
    rows = max(r for r in range(1, int(core.lanes**0.5) + 1) if core.lanes % r == 0)
    banks = {name: macro.banks for name, macro in macros(design).items()}
    banked = mac.with_memories(banks=banks)
    return banked.with_core(kind="systolic", rows=rows, columns=core.lanes // rows, dataflow=f"{flow}_stationary",
                            payload_bits=operand)
