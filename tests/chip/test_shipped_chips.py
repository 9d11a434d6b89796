"""Shipped chips of several cores: they load, meet their clock, are priced, and run the networks that they are made for."""

from __future__ import annotations

import pytest

from hwsim.arch import config_folders, load_architecture
from hwsim.chip.placement import placement_of
from hwsim.cost.area import area
from hwsim.cost.energy import check_prices, leakage
from hwsim.simulation import make_program, placed_for, simulate
from hwsim.trace.reader import Trace
from tests.conftest import ROOT

CHIPS = [name for name in sorted(p.stem for folder in config_folders() for p in folder.glob("*.yaml"))
         if not load_architecture(name).is_one_core]
TRACES = {name: ROOT / "traces" / f"{name}.h5" for name in (
    "fashion_mnist_rate_t4", "fashion_mnist_bit_serial_t4", "fashion_mnist_ann", "methods/fashion_mnist_tiny_rate_t4")}


def test_the_reference_designs_times_4_and_16_a_mixed_chip_and_two_after_loihi_are_shipped() -> None:
    assert {f"{core}_x{n}" for core in ("event_core_64", "event_core_16", "mac_core_64") for n in (4, 16)} <= set(CHIPS)
    assert {"mixed_64_16", "loihi_1_like", "loihi_2_like"} <= set(CHIPS)


@pytest.mark.parametrize("name", [name for name in CHIPS if "_x" in name])
def test_a_chip_of_reference_cores_has_their_cores(name: str) -> None:
    core, _, count = name.rpartition("_x")
    design, one = load_architecture(name), load_architecture(core)
    assert len(design.core_names) == int(count)
    assert design.view("core0").only == one.only
    assert (design.clock, design.channel, design.technology) == (one.clock, one.channel, one.technology)


@pytest.mark.parametrize("name", CHIPS)
def test_chips_are_priced_and_take_area(name: str) -> None:
    design = load_architecture(name)
    check_prices(design)
    assert (area(design)["area_um2"] > 0).all()
    assert (leakage(design)["leakage_mw"] > 0).all()


@pytest.mark.parametrize("name", [name for name in CHIPS if not name.startswith("loihi")])
def test_chips_run_the_small_network_in_every_schedule_that_its_code_has(name: str) -> None:
    design = load_architecture(name)
    for trace in ("fashion_mnist_ann",) if name.startswith("mac") else ("fashion_mnist_rate_t4", "fashion_mnist_bit_serial_t4"):
        with Trace.open(TRACES[trace]) as opened:
            placed = placed_for(design, opened)
            for schedule in ("layer_by_layer", *([] if "bit_serial" in trace else ["step_by_step"]), "pipelined"):
                assert make_program(opened.network, placed, schedule).operations


def test_the_mixed_chip_puts_the_most_work_on_its_wide_cores() -> None:
    with Trace.open(TRACES["fashion_mnist_rate_t4"]) as opened:
        placement = placement_of(placed_for(load_architecture("mixed_64_16"), opened), opened.network)
    assert {core for layer in ("conv3", "conv4") for core in placement[layer]} == {"core0", "core1"}


@pytest.mark.parametrize("name", [pytest.param("loihi_1_like", marks=pytest.mark.slow), "loihi_2_like"])
def test_chips_after_loihi_run_with_their_barrier(name: str) -> None:
    result = simulate(TRACES["methods/fashion_mnist_tiny_rate_t4"], name, schedule="step_by_step", samples=1)
    assert result.mismatches == 0
    design = load_architecture(name)
    assert design.network is not None
    assert design.network.barrier_cycles is not None
    waits = result.operations[result.operations["kind"] == "wait"]
    assert len(waits) == result.facts.timesteps - 1, "none after the last tick"
    spans = result.spans[0, waits["op"].to_numpy()]
    assert (spans[:, 1] - spans[:, 0] == design.network.barrier_cycles).all()
