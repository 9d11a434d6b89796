"""Hardware of R21's plane sums and of R25: what it costs, whom it is charged to, and which designs have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hwsim.activity import INDEX, VOCABULARY
from hwsim.arch import Architecture, ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cost.energy import NotProvisionedError, PriceList, price_activity, price_list
from hwsim.cost.logic import unpriced_fields
from hwsim.simulation import why_not
from hwsim.sweep.axis import Axis
from hwsim.sweep.search import Machine
from hwsim.trace.reader import Trace

TRACES = Path(__file__).resolve().parents[2] / "traces" / "methods"
GATHER = {"type": "output_stationary", "accumulators": 2}


def design(token: dict[str, Any] | None = None, gated: bool = False, **core: Any) -> Architecture:
    data = dump_architecture(load_architecture("event_core_64"))
    data["core"] |= core | ({"token": token} if token else {})
    data["memories"] |= {"membrane": {"capacity": "192 KiB", "gate_by_channel": gated}, "mask": "12 KiB"}
    return rebuild_architecture(data)


def summing(sums: int) -> Architecture:
    return design({"planes": "merged", "adders": 2, "sums": sums}, dataflow=GATHER)


def parts(prices: PriceList, event: str, bits: int | None = None) -> dict[str, float]:
    """fJ by component, wires apart."""
    found: dict[str, float] = {}
    for unit, price in prices.charges(event, bits):
        if unit != "wires":
            found[unit] = found.get(unit, 0.0) + 1000 * price.pj
    return found


# --- sums of planes (R21) --------------------------------------------------------------------------------------------


def test_a_token_without_sums_is_the_design_that_it_was() -> None:
    without = design({"planes": "merged", "adders": 2}, dataflow=GATHER)
    assert summing(0) == without
    assert summing(0).timing_hash() == without.timing_hash() != summing(4).timing_hash()
    assert "sums" not in dump_architecture(without)["core"]["token"]
    assert rebuild_architecture(dump_architecture(summing(4))) == summing(4)


@pytest.mark.parametrize(("core", "says"), [
    ({}, "no accumulators that sums could stand beside"),
    ({"dataflow": GATHER, "kind": "multiply_accumulate"}, "values have one plane, which needs no sums"),
])
def test_sums_stand_beside_accumulators_of_spikes(core: dict[str, Any], says: str) -> None:
    with pytest.raises(ArchitectureError, match=says):
        design({"planes": "merged", "adders": 2, "sums": 4}, **core)


def test_layers_of_a_rate_code_add_to_sums_and_all_others_to_potentials() -> None:
    """What an addition costs is told by whether its layer adds sums; fJ of two adders, two accumulators, four planes, 24 bits."""
    arch = summing(4)
    prices = price_list(arch)
    assert parts(prices, "acc_add")["lane"] == pytest.approx(20 * 24)
    sums = parts(prices, "acc_add", 4)
    assert "lane" not in sums
    assert sums["plane_sums"] == pytest.approx(24 * (42.22 + 7.566 * 2 * 4 + 10.45 * 2))
    assert sums["clock"] == pytest.approx(24 * 6.6)
    assert parts(prices, "sum_add") == pytest.approx({"plane_sums": 24 * (7.508 + 7.996 * 4)})
    rows = [("rate", "acc_add", 10), ("rate", "sum_add", 3), ("first", "acc_add", 10)]
    frame = pd.DataFrame([(layer, 0, VOCABULARY[INDEX[e]].unit, e, n) for layer, e, n in rows],
                         columns=["layer", "timestep", "unit", "event", "count"])
    energy = price_activity(frame, arch, 0, {})
    of = energy[energy["scope"] == "core"].groupby(["layer", "unit"])["energy_pj"].sum()
    assert of["rate", "plane_sums"] == pytest.approx((10 * sums["plane_sums"] + 3 * parts(prices, "sum_add")["plane_sums"]) / 1e3)
    assert of["first", "lane"] == pytest.approx(10 * 20 * 24 / 1e3)
    assert ("rate", "lane") not in of.index
    assert unpriced_fields(arch) == {}
    shown = {unit for unit, price in prices.every_charge() if price.event == "acc_add"}
    assert {"lane", "plane_sums"} <= shown
    doubled = {"acc_add": "x2"}
    assert parts(price_list(arch, doubled), "acc_add", 4)["plane_sums"] == pytest.approx(2 * sums["plane_sums"])


def test_a_network_that_needs_more_sums_is_refused_and_told_how_many() -> None:
    with Trace.open(TRACES / "fashion_mnist_tiny_rate_t4.h5") as rate, Trace.open(
            TRACES / "fashion_mnist_tiny_bit_serial_t4.h5") as serial:
        assert why_not(rate, summing(4)) is None
        assert why_not(rate, summing(1), "step_by_step") is None, "one plane at a time"
        assert "takes 4 sums beside each accumulator, and core.token has sums: 3; give it sums: 4" in str(
            why_not(rate, summing(3)))
        assert why_not(serial, summing(0)) is None, "its planes are weighed"
    with pytest.raises(NotProvisionedError, match="keeps no sums of planes; give core.token sums: n"):
        price_list(summing(0)).charges("sum_add")


# --- flags first, gated banks (R25) -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["read", "write"])
def test_the_banks_of_a_row_cost_the_row_and_the_row_itself_its_selector(way: str) -> None:
    """1,536 bits lie in 12 banks."""
    gated, whole = price_list(design(gated=True)), price_list(design())
    event, banks = f"membrane_{way}_fire", f"membrane_{way}_banks"
    assert 12 * gated.price(banks).pj == pytest.approx(whole.price(event).pj)
    apart = parts(gated, event)
    assert apart.pop("membrane_memory") == 0
    assert apart.pop("bank_select") == pytest.approx(0.7379 * 12 + 10.55)
    assert apart == pytest.approx({unit: fj for unit, fj in parts(whole, event).items() if unit != "membrane_memory"})


def test_banks_that_are_gated_move_no_bit() -> None:
    """Wires: 12 banks move what a row moves, and additions move weights only."""
    def wires(prices: PriceList, event: str) -> list[float]:
        return [p.pj for unit, p in prices.charges(event) if unit == "wires"]

    gated, whole = price_list(design(gated=True)), price_list(design())
    assert not wires(gated, "membrane_read_fire")
    # The selectors' area makes wires a little longer.
    assert 12 * sum(wires(gated, "membrane_read_banks")) == pytest.approx(sum(wires(whole, "membrane_read_fire")), rel=1e-3)
    assert len(wires(gated, "acc_add")) == 1
    assert len(wires(whole, "acc_add")) == 2


def test_flags_that_are_looked_at_first_cost_a_check_and_lie_in_the_clock() -> None:
    prices = price_list(design(mask_first=True))
    assert parts(prices, "mask_read")["mask_check"] == pytest.approx(4.091 * 64 + 15.11)
    assert "mask_check" not in parts(price_list(design()), "mask_read")
    assert prices.logic is not None
    (path,) = [path for path, _ in prices.logic.paths() if "mask" in path.what]
    assert path.memory == "mask"


def test_a_search_may_take_each_of_these_fields() -> None:
    """What the search asks of a design: that all of it has a price."""
    gated = {"memories.mask": "12 KiB", "memories.membrane_gate_by_channel": True}
    axes = (Axis("core.mask_first", (False, True)),)
    machine = Machine("flags", "snn", "event_core_64", gated, axes)
    assert [machine.design((at,)).core.mask_first for at in (0, 1)] == [False, True]
    tokens = tuple({"planes": "merged", "adders": 1, "sums": sums} for sums in (4, 8))
    machine = Machine("sums", "snn", "event_core_64", {"core.dataflow": GATHER}, (Axis("core.token", tokens),))
    assert [machine.design((at,)).only.plane_sums for at in (0, 1)] == [4, 8]
