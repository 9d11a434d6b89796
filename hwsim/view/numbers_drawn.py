"""The numbers of the older figures of a run as plain rows, for `hwsim plot ... --json`; run_numbers.py has those of the others.

Energies are joules per sample, times seconds or cycles, shares are of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hwsim.links import link_name
from hwsim.view.lanes import in_cycles
from hwsim.view.mesh import core_energies_pj, layer_shares, link_loads
from hwsim.view.scaling import core_points
from hwsim.view.segments import Segment, energy_by_layer_and_unit, time_by_layer_and_cause

if TYPE_CHECKING:
    from hwsim.result import Result

Rows = list[dict[str, Any]]


def energy_numbers(result: Result) -> Rows:
    """layer, unit, joules; the channel included, and what belongs to no layer."""
    return _cells(*energy_by_layer_and_unit(result), "unit", "joules")


def latency_numbers(result: Result) -> Rows:
    """layer, cause, seconds."""
    return _cells(*time_by_layer_and_cause(result), "cause", "seconds")


def _cells(layers: Sequence[str], segments: Sequence[Segment], kind: str, unit: str) -> Rows:
    return [{"layer": layer, kind: segment.key, unit: float(value)}
            for segment in segments for layer, value in zip(layers, segment.values, strict=True) if value]


def cores_numbers(result: Result) -> Rows:
    """One row: schedule, placement, cores, cycles, energy_j."""
    return [asdict(point) for point in core_points([result])]


def mesh_numbers(result: Result) -> Rows:
    """A row per core (energy of its work, its layers' shares of its cycles), then one per link that is held (its load)."""
    energies, shares = core_energies_pj(result), layer_shares(result)
    cores = [{"core": name, "joules": pj * 1e-12, "layers": shares[name]} for name, pj in energies.items()]
    return [*cores, *({"link": link_name(link), "load": load} for link, load in link_loads(result).items() if load)]


def schedule_numbers(result: Result, sample: int, cycles: tuple[float, float] | None) -> Rows:
    """The operations of one sample that take time, as Result.timeline has them."""
    frame = in_cycles(result, sample, cycles)
    columns = ["kind", "resource", "core", "layer", "tile", "first_timestep", "last_timestep", "start_cycle", "end_cycle"]
    return [{str(name): value.item() if hasattr(value, "item") else value for name, value in row.items()}
            for row in frame[columns].to_dict("records")]
