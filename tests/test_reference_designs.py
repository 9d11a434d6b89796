"""The shipped reference designs are designs of the search that the tree holds: of its space, at a clock that they reach."""

from __future__ import annotations

import pytest

import hwsim
from hwsim.cost.clock import check_timing, highest_clock_mhz
from hwsim.simulation import keeps_weights
from hwsim.sweep.search import Machine
from hwsim.sweep.search_file import read_search
from hwsim.trace.kept import kept_trace
from tests.conftest import ROOT

SEARCH = read_search(ROOT / "studies" / "reference_designs.yaml")


def places_of(machine: Machine, design: hwsim.Architecture) -> tuple[int, ...]:
    """Where a design stands in a machine's space: of each axis, the value that leaves the design as it is."""
    bare = design.model_copy(update={"clock": 1_000_000})
    return tuple(next(at for at, value in enumerate(axis.values)
                      if bare.with_fields({axis.field: value}) == bare.with_fields({})) for axis in machine.axes)


@pytest.mark.parametrize("machine", SEARCH.machines, ids=lambda machine: machine.name)
def test_a_machine_of_the_search_ships_its_best(machine: Machine) -> None:
    design = hwsim.load_architecture(machine.name)
    assert machine.design(places_of(machine, design)).model_copy(update={"description": design.description}) == design
    assert not check_timing(design)
    assert design.clock == pytest.approx(highest_clock_mhz(design) * 1e6)
    assert all(keeps_weights(kept_trace(trace).network, design) for trace in SEARCH.holds[machine.side])
