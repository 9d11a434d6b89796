"""Published energies per synaptic operation beside a result's own: scaled to a chip's node and supply where a rule reaches.

Ours is the dynamic energy of the core scope over synaptic operations (one real synapse of one event). Leakage stands beside it
as it is at the design's own node, since no law of leakage across nodes is usable (docs/energy-model.md). Nothing is fitted, no
number of a chip enters a price, and the error is what it is. Units: nm, V, pJ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwsim.cost.technology.scaling import ScalingError
from hwsim.errors import HwsimError

if TYPE_CHECKING:
    from hwsim.result import Result

NO_LAW = 1.0
"""Leakage over the table's that is asked for so that the rest can be scaled; the scaled leakage is thrown away."""


class PublishedError(HwsimError):
    """A result that has no energy per synaptic operation."""


@dataclass(frozen=True)
class Chip:
    """A published figure. vdd_v: None where our sources name no supply, and then nothing is scaled to it."""

    name: str
    node_nm: float
    vdd_v: float | None
    pj: float
    operation: str
    source: str
    confidence: str


UNDEFINED = "a synaptic operation; this source says no more"
CHIPS = (
    Chip("TrueNorth, 0.775 V", 28, 0.775, 26.0, "an event at a synapse: 72 mW in all over events, at 20 Hz and 128 synapses",
         "Merolla et al. 2014, as quoted in a note", "secondary copy"),
    Chip("TrueNorth, 0.75 V", 28, 0.75, 21.7, "a synaptic operation: 65 mW in all, 46 GSOPS/W",
         "Akopyan et al. 2015, as quoted in a note", "secondary copy"),
    Chip("Tianjic", 28, 0.9, 1.54, UNDEFINED, "SENECA, table 3; its supply: IEEE CAS Magazine 2022", "read in a file"),
    Chip("ODIN", 28, 0.55, 12.7, UNDEFINED, "ODIN's doc/README.md", "read in a file"),
    Chip("ReckOn", 28, 0.5, 5.3, UNDEFINED, "ReckOn's abstract", "read in a file"),
    Chip("SNE", 22, None, 0.221, UNDEFINED, "SNE's abstract", "read in a file"),
    Chip("SENECA", 22, None, 2.8, UNDEFINED, "SENECA, table 3", "read in a file"),
    Chip("Loihi", 14, None, 23.6, "a synaptic operation, the least; before silicon, without update, spike and hop",
         "Davies et al. 2018, table 2, as quoted in a note", "secondary copy"),
)


def published_rows(result: Result) -> list[dict[str, Any]]:
    """A row for each chip: its figure, ours at its node and supply (None where no rule reaches), our leakage unscaled, the error.

    Raises PublishedError for a result without synaptic operations.
    """
    if not result.synaptic_operations:
        raise PublishedError(f"{result.facts.trace} on {result.facts.arch}: found no synaptic operation, expected some")
    _, leakage = _parts(result)
    return [_row(result, chip, leakage) for chip in CHIPS]


def own_row(result: Result) -> dict[str, float]:
    """Ours as it is: dynamic and leakage pJ per synaptic operation, and the node and supply of the design."""
    dynamic, leakage = _parts(result)
    technology = result.architecture.technology
    return {"dynamic_pj": dynamic, "leakage_pj": leakage, "node_nm": float(technology.node_nm), "vdd_v": float(technology.vdd_v)}


def _row(result: Result, chip: Chip, leakage: float) -> dict[str, Any]:
    ours, why = _scaled(result, chip)
    return {"chip": chip.name, "node_nm": chip.node_nm, "vdd_v": chip.vdd_v, "published_pj": chip.pj, "ours_dynamic_pj": ours,
            "ours_leakage_unscaled_pj": leakage, "error_percent": None if ours is None else 100 * (ours / chip.pj - 1),
            "not_scaled": why, "operation": chip.operation, "source": f"{chip.source} ({chip.confidence})"}


def _scaled(result: Result, chip: Chip) -> tuple[float | None, str]:
    """Dynamic pJ per synaptic operation at a chip's node and supply, or why there is none."""
    if chip.vdd_v is None:
        return None, "our sources name no supply"
    try:
        there = result.reprice(result.overrides, node_nm=chip.node_nm, vdd_v=chip.vdd_v, leakage_over_table=NO_LAW)
        return _parts(there)[0], ""
    except ScalingError as error:
        return None, str(error).splitlines()[0]


def _parts(result: Result) -> tuple[float, float]:
    """Dynamic and leakage pJ of the core per synaptic operation."""
    energy = result.energy
    leakage = float(energy.loc[energy["unit"] == "leakage", "energy_pj"].sum())
    operations = result.synaptic_operations
    return (result.energy_pj["core"] - leakage) / operations, leakage / operations
