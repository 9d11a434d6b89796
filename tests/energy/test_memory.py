"""Memories: the rule of banks, CACTI's figures exactly at its points, and the clock that a bank allows."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.arch import Architecture, Technology, config_folders, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cores.parts import ONE_PORT, TWO_PORTS, WRITTEN_ONCE, ArrayKind
from hwsim.cost.clock import check_timing
from hwsim.cost.memory import Macro, MemoryProfileError, macros
from hwsim.cost.memory import macro as macro_of
from hwsim.cost.technology.make.memories import CELLS, profile, read_sweep
from hwsim.cost.technology.memory_tables import memory
from hwsim.cost.technology.sources import FOLDER, TechnologyError
from tests.conftest import ROOT

KIB = 8 * 1024
SHIPPED = sorted(p.stem for folder in config_folders() for p in folder.glob("*.yaml"))
SWEEP = read_sweep(ROOT / "tests" / "data" / "cacti45_ports.csv.gz")
NAMES = {cell.cell: cell.name for cell in CELLS}
KINDS = (WRITTEN_ONCE, ONE_PORT, TWO_PORTS)
OWN_SUPPLY = {"cacti_lop": 0.7, "cacti_hp": 1.0, "cacti_lstp": 1.1, "horowitz": 0.9}
"""Where a profile holds without scaling."""


def macro(
    name: str, capacity_bits: int, row_bits: int, profile: str, temperature_k: int = 300, least_banks: int = 1,
    kind: ArrayKind = WRITTEN_ONCE,
) -> Macro:
    """A memory at its profile's own supply."""
    technology = Technology(memory=profile, temperature_k=temperature_k, vdd_v=OWN_SUPPLY[profile], gate_leakage="printed")
    return macro_of(name, capacity_bits, row_bits, technology, kind, least_banks)


def kind_of(row: dict[str, str]) -> ArrayKind:
    return ArrayKind(row["ports"].lower(), row["objective"])  # type: ignore[arg-type]


def test_every_row_of_the_sweep_is_exact() -> None:
    assert len(SWEEP) == 3 * 2 * 3 * 11 * 5
    for row in SWEEP:
        made = macro("m", int(row["capacity_B"]) * 8, int(row["bits"]), NAMES[row["cell"]], int(row["temp_K"]), kind=kind_of(row))
        assert made.banks == 1
        for found, column, scale in (
                (made.read_pj, "rd_nJ", 1e3), (made.write_pj, "wr_nJ", 1e3), (made.access_ns, "access_ns", 1),
                (made.area_um2, "area_mm2", 1e6), (made.bank_subthreshold_mw, "leak_mW", 1), (made.bank_gate_mw, "gleak_mW", 1)):
            assert found == pytest.approx(float(row[column]) * scale, rel=1e-6), (row, column)
        assert float(row["vdd_v"]) == OWN_SUPPLY[NAMES[row["cell"]]]


def test_the_shipped_profiles_are_what_the_script_makes_of_the_sweep() -> None:
    for cell in CELLS:
        assert (FOLDER / "memory" / f"{cell.name}.yaml").read_text() == profile(cell, SWEEP), cell.name


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_more_capacity_costs_more_wherever_it_does_in_the_sweep(cell: object, kind: ArrayKind) -> None:
    """Between two rows a figure lies between theirs, so it rises with the capacity exactly where the rows do."""
    rows = [r for r in SWEEP if NAMES[r["cell"]] == cell.name and kind_of(r) == kind and r["temp_K"] == "300"]  # type: ignore[attr-defined]
    for bits in (8, 32, 128):
        mine = sorted((r for r in rows if int(r["bits"]) == bits), key=lambda r: int(r["capacity_B"]))
        for low, high in zip(mine, mine[1:], strict=False):
            small, large = int(low["capacity_B"]), int(high["capacity_B"])
            sizes = [round(small * (large / small) ** (i / 4)) for i in range(5)]
            made = [macro("m", s * 8, bits, cell.name, kind=kind) for s in sizes]  # type: ignore[attr-defined]
            for metric, column in (
                    ("read_pj", "rd_nJ"), ("write_pj", "wr_nJ"), ("access_ns", "access_ns"), ("area_um2", "area_mm2")):
                values = [getattr(m, metric) for m in made]
                rises = float(high[column]) >= float(low[column])
                assert values == sorted(values, reverse=not rises), (bits, sizes, metric)


def test_a_second_port_costs_what_the_sweep_says() -> None:
    """Low power, read_write, medians up to 128 bits: read energy 1.2 / 1.66 / 1.7, write 1.2 / 1.3 / 1.4 times, twice the area.

    With the rows of 256 bits, which no bank has, the median in the middle is 1.54.
    """
    def ratio(kib: float, bits: int, metric: str) -> float:
        two, one = (getattr(macro("m", round(kib * KIB), bits, "cacti_lop", kind=k), metric) for k in (TWO_PORTS, ONE_PORT))
        return float(two / one)

    for sizes, reads, writes in (((0.5, 1, 2, 4), 1.2, 1.2), ((8, 16, 32), 1.66, 1.3), ((64, 128, 256, 512), 1.7, 1.4)):
        for metric, expected in (("read_pj", reads), ("write_pj", writes), ("area_um2", 2.0)):
            found = median(ratio(kib, bits, metric) for kib in sizes for bits in (8, 16, 32, 64, 128))
            assert found == pytest.approx(expected, rel=0.05), (sizes, metric)


def test_a_write_is_not_a_read() -> None:
    """16 KiB x 128 bits: read for 3.5 pJ and written for 16.3, organised for both 7.3 and 7.5 (CACTI 7, low power)."""
    fast, both = (macro("m", 16 * KIB, 128, "cacti_lop", kind=kind) for kind in (WRITTEN_ONCE, ONE_PORT))
    assert (fast.read_pj, fast.write_pj) == pytest.approx((3.54, 16.26), abs=0.01)
    assert (both.read_pj, both.write_pj) == pytest.approx((7.31, 7.47), abs=0.01)


def test_gate_leakage_is_repaired_by_default_and_says_so() -> None:
    arch = load_architecture("event_core_64")
    repaired, printed = (macros(changed_technology(arch, gate_leakage=how))["membrane"] for how in ("repaired", "printed"))
    assert repaired.bank_gate_mw == pytest.approx(0.164 * printed.bank_gate_mw)
    assert repaired.bank_subthreshold_mw == printed.bank_subthreshold_mw
    assert "gate leakage repaired: CACTI's row of gate leakage" in repaired.rest_source
    assert "gate leakage as printed, a table error" in printed.rest_source
    hot = macros(changed_technology(arch, temperature_k=360))["membrane"].bank_gate_mw
    assert hot == pytest.approx(repaired.bank_gate_mw, rel=0.005), "gate leakage hardly knows temperature"
    high = [macros(changed_technology(arch, memory="cacti_hp", gate_leakage=how))["membrane"] for how in ("repaired", "printed")]
    assert high[0] == high[1], "only the low-power row is wrong"


@pytest.mark.parametrize(("heat", "mw_per_kib"), [(300, 0.0086), (360, 0.020)])
def test_low_power_cells_leak_what_the_repair_says(heat: int, mw_per_kib: float) -> None:
    for kib in (8, 32, 128):
        made = macro_of("m", kib * KIB, 64, Technology(temperature_k=heat, vdd_v=0.7), WRITTEN_ONCE)  # type: ignore[arg-type]
        assert made.leakage_mw / kib == pytest.approx(mw_per_kib, rel=0.2)


def test_each_memory_has_the_ports_of_its_work() -> None:
    arch = load_architecture("event_core_64")
    assert dict(arch.only.arrays) == {"weight": WRITTEN_ONCE, "bias": WRITTEN_ONCE, "membrane": TWO_PORTS, "current": TWO_PORTS,
                                      "mask": TWO_PORTS, "spike": TWO_PORTS}
    one = rebuild_architecture(dump_architecture(arch) | {"memories": {
        "weight": "512 KiB", "membrane": {"capacity": "192 KiB", "ports": "1rw"}, "current": "192 KiB"}})
    assert (one.only.arrays["membrane"], one.only.arrays["current"], one.only.arrays["spike"]) == (ONE_PORT, ONE_PORT, TWO_PORTS)
    assert macros(one)["membrane"].read_pj < macros(arch)["membrane"].read_pj
    assert set(load_architecture("odin").only.arrays.values()) == {ONE_PORT}


def test_a_profile_without_the_ports_is_refused(tmp_path: Path) -> None:
    data = yaml.safe_load((FOLDER / "memory" / "cacti_lop.yaml").read_text())
    data["arrays"] = [a for a in data["arrays"] if a["ports"] == "1rw"]
    file = tmp_path / "one_port.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(MemoryProfileError, match="profile cacti_lop has no array 1r1w for reads and writes; it has 1rw for"):
        macros(changed_technology(load_architecture("event_core_64"), memory=str(file)))


@pytest.mark.parametrize(("change", "says"), [
    (lambda a: a["read_pj"].pop(), "read_pj has 10 numbers for 11 capacities"),
    (lambda a: a["gate_mw"].pop(360), "gate_mw of 8 bits must have the temperatures of conditions"),
    (lambda a: a["capacity_bytes"].reverse(), "capacity_bytes must be listed by rising capacity"),
])
def test_an_array_that_does_not_fit_together_is_refused(change: object, says: str, tmp_path: Path) -> None:
    data = yaml.safe_load((FOLDER / "memory" / "cacti_lop.yaml").read_text())
    change(data["arrays"][0])  # type: ignore[operator]
    file = tmp_path / "odd.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(TechnologyError, match=says):
        memory(str(file))


@given(st.integers(1, 4096), st.integers(1, 2**13))
@settings(max_examples=200, deadline=None)
def test_a_row_is_ceil_of_bits_over_128_equal_banks(row_bits: int, bank_kib: int) -> None:
    banks = -(-row_bits // 128)
    capacity = min(bank_kib, 512) * KIB * banks
    made = macro("m", capacity, row_bits, "cacti_lop")
    assert made.banks == banks
    assert made.bank_bits * banks == capacity
    assert made.word_bits <= 128
    assert made.word_bits * banks >= row_bits
    alone = macro("m", capacity // banks, made.word_bits, "cacti_lop")
    assert made.read_pj == pytest.approx(banks * alone.read_pj)
    assert made.leakage_mw == pytest.approx(banks * alone.leakage_mw)
    assert made.access_ns == pytest.approx(alone.access_ns)


@given(st.integers(1, 512), st.integers(1, 40), st.integers(1, 64))
@settings(max_examples=100, deadline=None)
def test_more_banks_than_a_row_needs_rest_and_leak(row_bits: int, least: int, kib: int) -> None:
    """Whole rows of banks: a row costs what the same banks cost alone, all of them leak and take area."""
    plain = macro("m", kib * KIB * 4, row_bits, "cacti_lop")
    made = macro("m", kib * KIB * 4, row_bits, "cacti_lop", least_banks=least)
    assert made.row_banks == plain.banks == -(-row_bits // 128)
    assert made.banks % made.row_banks == 0
    assert least <= made.banks < max(least, made.row_banks) + made.row_banks
    alone = macro("m", round(kib * KIB * 4 / made.banks / 8) * 8, made.word_bits, "cacti_lop")
    assert made.read_pj == pytest.approx(made.row_banks * alone.read_pj, rel=1e-3)
    assert made.leakage_mw == pytest.approx(made.banks * alone.leakage_mw, rel=1e-3)
    assert made.area_um2 == pytest.approx(made.banks * alone.area_um2, rel=1e-3)
    assert made.read_pj <= plain.read_pj * (1 + 1e-9)


def test_between_points_capacity_is_a_power_law_and_width_a_line() -> None:
    def read(kib: float, bits: int) -> float:
        return macro("m", round(kib * KIB), bits, "cacti_lop").read_pj

    assert read(8 * 2**0.5, 64) == pytest.approx((read(8, 64) * read(16, 64)) ** 0.5, rel=1e-3)
    assert read(8, 96) == pytest.approx((read(8, 64) + read(8, 128)) / 2)


@pytest.mark.parametrize(("profile", "fit"), [("cacti_lop", (0.842, 0.0143)), ("cacti_hp", (1.475, 0.0232))])
def test_the_published_fit_holds_within_its_error(profile: str, fit: tuple[float, float]) -> None:
    """E = (C / 8 KiB)^0.54 (a + b w), 2 KiB to 1 MiB; largest errors 27 % (low power) and 33 %."""
    for kib in (2, 8, 20, 64, 300, 512):
        for bits in (8, 32, 64, 128):
            made = macro("m", kib * KIB, bits, profile).read_pj
            assert (kib / 8) ** 0.54 * (fit[0] + fit[1] * bits) == pytest.approx(made, rel=0.5)


def test_below_the_smallest_bank_its_figures_stand() -> None:
    small, smallest = macro("m", 100 * 8, 64, "cacti_lop"), macro("m", 512 * 8, 64, "cacti_lop")
    assert (small.read_pj, small.area_um2, small.access_ns) == (smallest.read_pj, smallest.area_um2, smallest.access_ns)
    assert "at its smallest bank of 512 B" in small.kind
    assert macro("m", 1 * KIB, 3, "cacti_lop").read_pj == macro("m", 1 * KIB, 8, "cacti_lop").read_pj


@pytest.mark.parametrize("profile", ["cacti_lop", "horowitz"])
def test_beyond_half_a_mebibyte_a_bank_is_refused_with_the_size_that_is_not(profile: str) -> None:
    assert macro("weight", 4 * 512 * KIB, 512, profile).banks == 4
    with pytest.raises(MemoryProfileError, match=r"weight memory: a bank of .* lies beyond .* up to 2 MiB; give it more banks"):
        macro("weight", 4 * 512 * KIB + 512, 512, profile)
    assert macro("weight", 4 * 512 * KIB + 512, 512, profile, least_banks=8).banks == 8


def test_no_capacity_is_no_memory() -> None:
    none = macro("mask", 0, 64, "cacti_lop")
    assert (none.banks, none.leakage_mw, none.area_um2) == (0, 0, 0)
    for price in ("read_pj", "write_pj"):
        with pytest.raises(MemoryProfileError, match="mask memory: its capacity is 0"):
            getattr(none, price)
    assert "mask" not in macros(load_architecture("event_core_64"))


def test_horowitz_keeps_its_own_energies_and_borrows_the_rest_openly() -> None:
    for kib, pj in ((8, 10), (32, 20)):
        assert macro("m", kib * KIB, 64, "horowitz").read_pj == macro("m", kib * KIB, 64, "horowitz").write_pj == pj
        assert macro("m", kib * KIB, 32, "horowitz").read_pj == pj / 2
    own, lop = (macro_of("m", 8 * KIB, 64, Technology(memory=name), WRITTEN_ONCE) for name in ("horowitz", "cacti_lop"))
    assert (own.leakage_mw, own.area_um2, own.access_ns) == (lop.leakage_mw, lop.area_um2, lop.access_ns)
    assert "lent by cacti_lop to horowitz" in own.rest_source
    assert own.read.confidence == "unconfirmed"


# --- clock -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_designs_meet_their_clock(name: str) -> None:
    assert check_timing(load_architecture(name)) == []


def changed_technology(arch: Architecture, **technology: object) -> Architecture:
    data = dump_architecture(arch)
    data["technology"] |= technology
    return rebuild_architecture(data)


def changed(arch: Architecture, **memories: str) -> Architecture:
    data = dump_architecture(arch)
    clock = memories.pop("clock", None)
    data["memories"].update(memories)
    return rebuild_architecture(data | ({"clock": clock} if clock else {}))


def test_event_core_64_is_set_by_its_weight_banks() -> None:
    arch = load_architecture("event_core_64")
    weight = macros(arch)["weight"]
    assert (arch.clock, weight.banks, weight.bank_bits) == (200_000_000, 4, 128 * KIB)
    assert weight.access_ns == pytest.approx(2.50, abs=0.005)
    (text,) = [t for t in check_timing(changed(arch, clock="500 MHz")) if "weight memory (" in t]
    for said in ("event_core_64", "weight memory", "2.50 ns", "2.00 ns", "KiB", "at most 399.9 MHz"):
        assert said in text


@given(st.integers(100, 900), st.integers(16, 2048), st.sampled_from(["cacti_lop", "cacti_hp", "horowitz"]))
@settings(max_examples=40, deadline=None)
def test_what_check_timing_proposes_does_pass(mhz: int, kib: int, profile: str) -> None:
    base = dump_architecture(changed(load_architecture("event_core_64"), weight=f"{kib} KiB", clock=f"{mhz} MHz"))
    base["technology"]["memory"] = profile
    arch = rebuild_architecture(base)
    for text in check_timing(arch):
        if "weight memory (" not in text:
            continue  # of another memory, or of a path through the logic (tests/energy/test_logic.py)
        clock = re.search(r"at most ([0-9.]+) MHz", text)
        smaller = re.search(r"a memory of ([0-9]+) KiB", text)
        assert clock
        hertz = round(float(clock[1]) * 1e6)
        assert not slow(changed(arch, clock=f"{hertz} Hz"))
        assert slow(changed(arch, clock=f"{hertz + 200_000} Hz")), "a little more is too much"
        if smaller:
            assert not slow(changed(arch, weight=f"{smaller[1]} KiB"))
            one_more_a_bank = int(smaller[1]) + macros(arch)["weight"].banks
            assert one_more_a_bank > kib or slow(changed(arch, weight=f"{one_more_a_bank} KiB"))
        else:
            assert "not even a bank of 1 KiB" in text


def slow(arch: Architecture) -> bool:
    return any("weight memory (" in text for text in check_timing(arch))
