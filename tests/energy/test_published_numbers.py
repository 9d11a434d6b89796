"""What the papers, Horowitz and the synthesis printed comes out of the tables, and so does the papers' arithmetic."""

from __future__ import annotations

import csv

import pytest

from hwsim.cost.technology.sources import FOLDER
from hwsim.cost.technology.tables import dram, unit_cost

TABLE_4 = {  # Datta et al., bit-serial conversion, Table 4: pJ at 8 and 32 bits
    "mult": (0.2, 3.1), "add": (0.03, 0.1), "shift": (0.024, 0.13), "compare": (0.03, 0.08), "reset": (0.03, 0.1),
}


def pj(operation: str, *bits: int, table: str = "datta_45nm") -> float:
    return unit_cost(table, operation, "energy_pj", bits).value


@pytest.mark.parametrize(("operation", "printed"), TABLE_4.items())
def test_table_4_is_reproduced_exactly(operation: str, printed: tuple[float, float]) -> None:
    assert (pj(operation, 8), pj(operation, 32)) == printed
    assert unit_cost("datta_45nm", operation, "energy_pj", (8,)).confidence == "read in the paper"


def test_a_multiplication_costs_6_7_to_31_additions() -> None:
    assert pj("mult", 8) / pj("add", 8) == pytest.approx(6.67, abs=0.01)
    assert pj("mult", 32) / pj("add", 32) == pytest.approx(31.0)


@pytest.mark.parametrize("table", ["datta_45nm", "horowitz_45nm"])
def test_a_mac_costs_32_accumulations_at_32_bits(table: str) -> None:
    """E_MAC 3.2 pJ, E_AC 0.1 pJ: Datta and Beerel, section VI-B; single-spike hybrid encoding, Table IV."""
    mac, ac = pj("mult", 32, table=table) + pj("add", 32, table=table), pj("add", 32, table=table)
    assert mac == pytest.approx(3.2)
    assert mac / ac == pytest.approx(32)


def vgg16_macs() -> list[int]:
    """MACs of VGG-16 for 32 x 32 images with the 512-4096-4096-10 classifier, layer by layer."""
    macs, channels, size = [], 3, 32
    for stage in ([64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3):
        for width in stage:
            macs.append(9 * channels * width * size * size)
            channels = width
        size //= 2
    return [*macs, 512 * 4096, 4096 * 4096, 4096 * 10]


def test_the_dense_vgg16_takes_1062_8_microjoules() -> None:
    """332.1 M MACs at 3.2 pJ. With no spikes at all, the first layer alone bounds the gain at 188 times."""
    macs, e_mac = vgg16_macs(), pj("mult", 32) + pj("add", 32)
    assert sum(macs) / 1e6 == pytest.approx(332.1, abs=0.05)
    assert sum(macs) * e_mac / 1e6 == pytest.approx(1062.8, abs=0.1)
    assert macs[0] * e_mac / 1e6 == pytest.approx(5.66, abs=0.01)
    assert 177 < sum(macs) / macs[0] < 191


def test_other_widths_follow_the_forms() -> None:
    assert pj("add", 16) == pytest.approx(0.0533, abs=5e-5)
    assert pj("add", 24) == pytest.approx(0.00667 + 0.002917 * 24, abs=1e-4)
    assert pj("compare", 24) == pytest.approx(0.01333 + 0.002083 * 24, abs=1e-4)
    assert pj("shift", 24) == pytest.approx(0.024 * 3**1.219, rel=1e-3)
    assert pj("mult", 16) == pytest.approx(0.2 * 2**1.977, rel=1e-3)
    assert pj("mult", 8, 4) == pytest.approx(0.1, rel=0.02), "half of 8 x 8"
    assert unit_cost("datta_45nm", "add", "energy_pj", (24,)).confidence == "computed", "nobody printed 24 bits"


def test_horowitz_has_its_own_16_bit_addition_and_borrows_openly() -> None:
    assert pj("add", 16, table="horowitz_45nm") == 0.05
    borrowed = unit_cost("horowitz_45nm", "shift", "energy_pj", (8,))
    assert borrowed.value == 0.024
    assert "lent by datta_45nm to horowitz_45nm: Horowitz 2014 has no shifter" in borrowed.source


def test_nangate_is_the_synthesis_at_0_9_volt() -> None:
    rows = {r["unit"]: r for r in csv.DictReader((FOLDER / "units" / "nangate45.csv").open())}
    units = {"add": "add", "mult": "mul", "shift": "shl", "compare": "cmp", "reset": "gatedsub"}
    for operation, unit in units.items():
        for bits in (8, 16, 32):
            row = rows[f"{unit}{bits}"]
            for quantity, column, scale in (("energy_pj", "energy_fj_0v9", 1e3), ("area_um2", "area_um2", 1),
                                            ("leakage_nw", "leakage_nw", (1.1 / 0.9) ** 5)):
                found = unit_cost("nangate_45nm", operation, quantity, (bits,)).value  # type: ignore[arg-type]
                assert found == pytest.approx(float(row[column]) / scale, rel=1e-5), (operation, bits, quantity)


def test_registers_and_dram() -> None:
    assert pj("register", 1) == 0.009
    assert pj("register", 24) == pytest.approx(24 * 0.009)
    assert dram("dramsim3").energy_pj_per_bit.value == 12.45
    assert dram("horowitz").energy_pj_per_bit.value * 64 == 1300
