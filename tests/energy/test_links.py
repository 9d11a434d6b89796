"""Links and routers: published numbers, lengths and widths by hand, and what they add to a chip's area and leakage."""

from __future__ import annotations

import pytest

from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cost.area import area_figures, area_mm2, core_mm2, leakage_figures
from hwsim.cost.energy import NotProvisionedError, leakage, price_list
from hwsim.cost.links import ROUTER
from hwsim.cost.overrides import EnergyError

NETWORK = {"mesh": [3, 2], "flit_bits": 64, "hop_cycles": 1, "address_bits": 16, "header_bits": 8, "encoding": "aer"}


def meshed(cores: int = 1, **technology: object) -> Architecture:
    network = {name: technology.pop(name) for name in ("flit_bits",) if name in technology}
    data = dump_architecture(load_architecture("event_core_16"))
    entry = {name: data.pop(name) for name in ("core", "spike_buffer", "memories")}
    return rebuild_architecture({**data, "cores": [entry | {"count": cores}], "network": {**NETWORK, **network},
                                 "technology": {**data["technology"], **technology}})


def test_noxim_prices_a_flit_of_its_width_and_a_bit_by_the_millimetre() -> None:
    prices, one = price_list(meshed()), meshed()
    assert prices.price("link_hops").pj == pytest.approx(2 * (0.762 + 0.534 + 0.221 + 0.06 + 0.05)), "64 bits: two of its flits"
    side = (sum(f.amount for f in area_figures(load_architecture("event_core_16"))) / 1e6) ** 0.5
    assert core_mm2(one) == pytest.approx(side**2), "the network is not a part of the core"
    assert prices.price("link_bits").pj == pytest.approx(0.0488 * side)
    assert "Noxim" in prices.price("link_bits").source


def test_a_measured_mesh_is_the_most_and_is_scaled_to_the_chips_supply() -> None:
    dear = price_list(meshed(links="park_2012"))
    assert dear.price("link_bits").pj == pytest.approx(531.4 / 892 / 1.44, rel=0.01), "Stillmaker and Baas, 1.1 to 0.9 V"
    assert dear.price("link_hops").pj == 0
    noxim = price_list(meshed())
    assert noxim.price("link_bits").pj + noxim.price("link_hops").pj / 64 < dear.price("link_bits").pj


def test_loihi_prices_messages() -> None:
    for bits in (32, 64, None):
        prices = price_list(meshed(links="loihi", flit_bits=bits))
        assert (prices.price("link_hops").pj, prices.price("link_bits").pj) == (3.5, 0)


def test_a_chip_without_a_network_has_no_such_price() -> None:
    with pytest.raises(NotProvisionedError, match="link_bits: event_core_16 has no network of links"):
        price_list(load_architecture("event_core_16")).price("link_bits")


@pytest.mark.parametrize("event", ["link_bits", "link_hops"])
def test_prices_of_links_can_be_given(event: str) -> None:
    assert price_list(meshed(), {event: 0.25}).price(event).pj == 0.25


def test_routers_take_area_and_leak_once_for_each_node() -> None:
    four, alone = meshed(4), load_architecture("event_core_16")
    area = {f.component: f for f in area_figures(four)}
    assert area[ROUTER].count == 6, "a router for every node of the mesh, with or without a core"
    assert area_mm2(four) == pytest.approx(4 * area_mm2(alone) + area[ROUTER].amount / 1e6)
    leaks = {f.component: f for f in leakage_figures(four)}
    assert leaks[ROUTER].amount == pytest.approx(6 * 2 * (5 * 2.27 + 0.749 + 0.12 + 0.11), rel=1e-3)
    rest = sum(f.amount for f in leakage_figures(four) if f.component != ROUTER)
    assert rest == pytest.approx(4 * sum(f.amount for f in leakage_figures(alone)))
    given = leakage(four, {"leakage_mw": {ROUTER: 1.5}})
    assert given.loc[given["component"] == ROUTER, "leakage_mw"].tolist() == [1.5]


def test_links_that_are_infinitely_wide_have_no_routers() -> None:
    wide = meshed(flit_bits=None)
    assert ROUTER not in {f.component for f in (*area_figures(wide), *leakage_figures(wide))}
    with pytest.raises(EnergyError, match="leakage_mw.router: .* has no such component"):
        leakage(wide, {"leakage_mw": {ROUTER: 1.5}})
