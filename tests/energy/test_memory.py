"""Memories: the rule of banks, CACTI's figures exactly at its points, and the clock that a bank allows."""

from __future__ import annotations

import csv
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.arch import Architecture, Technology, config_folders, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cost.memory import Macro, MemoryProfileError, check_timing, macros
from hwsim.cost.memory import macro as macro_of
from hwsim.cost.technology.sources import FOLDER

KIB = 8 * 1024
SHIPPED = sorted(p.stem for folder in config_folders() for p in folder.glob("*.yaml"))
CELLS = {"itrs-lop": "cacti_lop", "itrs-hp": "cacti_hp"}
OWN_SUPPLY = {"cacti_lop": 0.7, "cacti_hp": 1.0, "horowitz": 0.9}
"""Where a profile holds without scaling."""
SWEEP = [r for r in csv.DictReader((FOLDER / "memory" / "cacti45.csv").open()) if r["cell"] in CELLS]


def macro(name: str, capacity_bits: int, row_bits: int, profile: str, temperature_k: int = 300, least_banks: int = 1) -> Macro:
    """A memory at its profile's own supply."""
    technology = Technology(memory=profile, temperature_k=temperature_k, vdd_v=OWN_SUPPLY[profile])
    return macro_of(name, capacity_bits, row_bits, technology, least_banks)


def test_every_point_of_the_sweep_is_exact() -> None:
    assert len(SWEEP) == 2 * 2 * 12 * 5
    for row in SWEEP:
        made = macro("m", int(row["capacity_B"]) * 8, int(row["bits"]), CELLS[row["cell"]], int(row["temp_K"]))
        assert made.banks == 1
        assert made.read_pj == made.write_pj == float(row["rd_nJ"]) * 1e3
        assert made.access_ns == float(row["access_ns"])
        assert made.area_um2 == float(row["area_mm2"]) * 1e6
        assert made.leakage_mw == float(row["leak_mW"]) + float(row["gleak_mW"])


@given(st.integers(1, 4096), st.integers(1, 2**13))
@settings(max_examples=200, deadline=None)
def test_a_row_is_ceil_of_bits_over_128_equal_banks(row_bits: int, bank_kib: int) -> None:
    banks = -(-row_bits // 128)
    capacity = min(bank_kib, 2048) * KIB * banks
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


@pytest.mark.parametrize("profile", ["cacti_lop", "cacti_hp", "horowitz"])
def test_a_larger_or_wider_bank_never_reads_for_less(profile: str) -> None:
    sizes = [1024 * 2 ** (i / 3) for i in range(0, 34)]
    for bits in (4, 8, 12, 16, 24, 32, 48, 64, 96, 128):
        energies = [macro("m", round(s * 8), bits, profile).read_pj for s in sizes]
        assert energies == sorted(energies)
    for size in sizes:
        energies = [macro("m", round(size * 8), bits, profile).read_pj for bits in range(1, 129)]
        assert energies == sorted(energies)


def test_between_points_capacity_is_a_power_law_and_width_a_line() -> None:
    def read(kib: float, bits: int) -> float:
        return macro("m", round(kib * KIB), bits, "cacti_lop").read_pj

    assert read(8 * 2**0.5, 64) == pytest.approx((read(8, 64) * read(16, 64)) ** 0.5, rel=1e-3)
    assert read(8, 96) == pytest.approx((read(8, 64) + read(8, 128)) / 2)


@pytest.mark.parametrize(("profile", "fit"), [("cacti_lop", (0.842, 0.0143)), ("cacti_hp", (1.475, 0.0232))])
def test_the_published_fit_holds_within_its_error(profile: str, fit: tuple[float, float]) -> None:
    """E = (C / 8 KiB)^0.54 (a + b w), 2 KiB to 1 MiB; largest errors 27 % (low power) and 33 %."""
    for kib in (2, 8, 20, 64, 300, 1024):
        for bits in (8, 32, 64, 128):
            made = macro("m", kib * KIB, bits, profile).read_pj
            assert (kib / 8) ** 0.54 * (fit[0] + fit[1] * bits) == pytest.approx(made, rel=0.5)


def test_below_the_smallest_bank_its_figures_stand() -> None:
    small, smallest = macro("m", 256 * 8, 64, "cacti_lop"), macro("m", 1 * KIB, 64, "cacti_lop")
    assert (small.read_pj, small.area_um2, small.access_ns) == (smallest.read_pj, smallest.area_um2, smallest.access_ns)
    assert "at its smallest bank of 1 KiB" in small.formula
    assert macro("m", 1 * KIB, 3, "cacti_lop").read_pj == macro("m", 1 * KIB, 8, "cacti_lop").read_pj


@pytest.mark.parametrize("profile", ["cacti_lop", "horowitz"])
def test_beyond_two_mebibytes_a_bank_is_refused_with_the_size_that_is_not(profile: str) -> None:
    assert macro("weight", 4 * 2048 * KIB, 512, profile).banks == 4
    with pytest.raises(MemoryProfileError, match="weight memory: a bank of .* lies beyond .* up to 8 MiB"):
        macro("weight", 4 * 2048 * KIB + 512, 512, profile)


def test_no_capacity_is_no_memory() -> None:
    none = macro("mask", 0, 64, "cacti_lop")
    assert (none.banks, none.leakage_mw, none.area_um2) == (0, 0, 0)
    for price in ("read_pj", "write_pj"):
        with pytest.raises(MemoryProfileError, match="mask memory: its capacity is 0"):
            getattr(none, price)
    assert "mask" not in macros(load_architecture("event_core_64"))


def test_horowitz_keeps_its_own_energies_and_borrows_the_rest_openly() -> None:
    for kib, pj in ((8, 10), (32, 20), (1024, 100)):
        assert macro("m", kib * KIB, 64, "horowitz").read_pj == pj
        assert macro("m", kib * KIB, 32, "horowitz").read_pj == pj / 2
    own, lop = (macro_of("m", 8 * KIB, 64, Technology(memory=name, vdd_v=0.9)) for name in ("horowitz", "cacti_lop"))
    assert (own.leakage_mw, own.area_um2, own.access_ns) == (lop.leakage_mw, lop.area_um2, lop.access_ns)
    assert "lent by cacti_lop to horowitz" in own.rest_source
    assert own.confidence == "unconfirmed"


def test_low_power_leaks_some_27_microwatt_a_kibibyte_and_more_when_hot() -> None:
    for kib in (8, 32, 128):
        cold, hot = (macro("m", kib * KIB, 64, "cacti_lop", t).leakage_mw / kib for t in (300, 360))
        assert cold == pytest.approx(0.027, rel=0.2)
        assert hot == pytest.approx(0.081, rel=0.2)
        assert macro("m", kib * KIB, 64, "cacti_hp").leakage_mw / kib == pytest.approx(0.57, rel=0.2)


# --- clock -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_designs_meet_their_clock(name: str) -> None:
    assert check_timing(load_architecture(name)) == []


def changed(arch: Architecture, **memories: str) -> Architecture:
    data = dump_architecture(arch)
    clock = memories.pop("clock", None)
    data["memories"].update(memories)
    return rebuild_architecture(data | ({"clock": clock} if clock else {}))


def test_event_core_64_is_set_by_its_weight_banks() -> None:
    arch = load_architecture("event_core_64")
    weight = macros(arch)["weight"]
    assert (arch.clock, weight.banks, weight.bank_bits) == (300_000_000, 4, 128 * KIB)
    assert weight.access_ns == pytest.approx(2.50, abs=0.005)
    (text,) = [t for t in check_timing(changed(arch, clock="500 MHz")) if "weight" in t]
    for said in ("event_core_64", "weight memory", "2.50 ns", "2.00 ns", "KiB", "at most 399.9 MHz"):
        assert said in text


@given(st.integers(100, 900), st.integers(16, 4096), st.sampled_from(["cacti_lop", "cacti_hp", "horowitz"]))
@settings(max_examples=40, deadline=None)
def test_what_check_timing_proposes_does_pass(mhz: int, kib: int, profile: str) -> None:
    base = dump_architecture(changed(load_architecture("event_core_64"), weight=f"{kib} KiB", clock=f"{mhz} MHz"))
    base["technology"]["memory"] = profile
    arch = rebuild_architecture(base)
    for text in check_timing(arch):
        if "weight memory" not in text:
            continue
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
    return any("weight memory" in text for text in check_timing(arch))
