"""Sums that need not be made again: what they depend on, and rows that are the same whether they were made or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.cores.base import CoreDesign
from hwsim.study import Point, read_rows, run_study
from hwsim.study.point import outline
from hwsim.study.pools import Here
from hwsim.study.proof import Claim
from tests.conftest import ROOT

FREE = st.fixed_dictionaries({
    "core.lanes": st.sampled_from([3, 8, 16, 40]), "core.fifo_depth": st.sampled_from([1, 2, 9]), "core.bypass": st.booleans(),
    "core.writer": st.just("serial"), "memories.weight": st.sampled_from(["56 KiB", "112 KiB"]),
    "memories.membrane": st.sampled_from(["2 KiB", "48 KiB", "80 KiB"]),
    "memories.membrane_ports": st.sampled_from(["1rw", "1r1w"]),
    "channel.latency_cycles": st.sampled_from([0, 40])})
"""Fields of an event core that decide no sum, and values of them."""
DESIGNS = {"rate": "event_core_16", "bit_serial": "event_core_64", "quantised": "mac_core_64"}
NARROW = {"rate": 12, "bit_serial": 11, "quantised": 12}
"""Bits of potentials at which some sums of the traces saturate, and some do not."""


def widths(path: Path, arch: str, bits: list[int], **more: Any) -> list[Point]:
    return [Point.of(path, arch, changes={"core.potential_bits": n, "core.current_bits": n, "core.lanes": lanes}, **more,
                     labels={"bits": n, "lanes": lanes}) for n in bits for lanes in (16, 24)]


@pytest.mark.parametrize("coding", list(DESIGNS))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=FREE)
def test_sums_depend_on_no_field_that_is_called_free(trace_files: dict[str, Path], coding: str, changes: dict[str, Any]) -> None:
    """At a width at which some saturate, so that another order of terms, or another term, would show."""
    path, narrow = trace_files[coding], {"core.potential_bits": NARROW[coding], "core.current_bits": NARROW[coding]}
    points = [Point.of(path, DESIGNS[coding], changes=more) for more in (narrow, {**changes, **narrow})]
    claims = [outline(point).claim for point in points]
    assert claims[0] == claims[1] is not None
    one, other = (hwsim.simulate(path, point.design()) for point in points)
    assert one.facts.saturations == other.facts.saturations
    assert one.facts.saturations
    assert one.facts.mismatches_by_layer == other.facts.mismatches_by_layer
    assert one.accuracy == other.accuracy


@pytest.mark.parametrize("coding", list(DESIGNS))
def test_rows_whose_sums_were_not_made_again_are_those_whose_were(
    trace_files: dict[str, Path], tmp_path: Path, coding: str
) -> None:
    points = widths(trace_files[coding], DESIGNS[coding], [NARROW[coding], 30, 20, 24])
    points += [replace(points[0], spikes="computed"), replace(points[-1], check=False), replace(points[-1], samples=[0])]
    points += [replace(point, overrides={"acc_add": 0.2}) for point in points]
    skipped, made = (run_study(points, tmp_path / name, executor=Here(), skip_proven=name == "skip") for name in ("skip", "make"))
    told = [row.pop("arithmetic") for row in skipped]
    assert all(row.pop("arithmetic")["made"] == row["check"] for row in made)
    assert skipped == made
    by_bits = {(row["labels"]["bits"], row["labels"]["lanes"]): said for row, said in zip(skipped[:8], told, strict=False)}
    assert all(by_bits[NARROW[coding], lanes] == {"made": True} for lanes in (16, 24)), "they saturate, and show nothing"
    proofs = {row["sim_id"]: row for row, said in zip(skipped, told, strict=True) if "shows" in said}
    others = [said for said in by_bits.values() if "shown_by" in said]
    assert len(others) == 5, "all but the first of 20 bits"
    for said in others:
        proof = proofs[said["shown_by"]]
        assert (proof["mismatches"], proof["saturations"]) == (0, 0)
        assert said["at"]["core.potential_bits"] == proof["labels"]["bits"] == 20


def test_layers_whose_counts_depend_on_potentials_are_the_same_too(tmp_path: Path) -> None:
    path = ROOT / "traces" / "methods" / "fashion_mnist_tiny_two_stage_tau4_t4.h5"
    points = widths(path, "event_core_64_flags", [24, 28], samples=2)
    skipped, made = (run_study(points, tmp_path / name, executor=Here(), skip_proven=name == "skip") for name in ("skip", "make"))
    assert sum("shown_by" in row.pop("arithmetic") for row in skipped) == 3
    assert skipped == [{name: value for name, value in row.items() if name != "arithmetic"} for row in made]


def test_a_study_that_goes_on_uses_what_its_rows_show(trace_files: dict[str, Path], tmp_path: Path) -> None:
    first, *rest = widths(trace_files["rate"], "event_core_16", [20, 24])
    run_study([first], tmp_path, executor=Here())
    rows = run_study([first, *rest], tmp_path, executor=Here())
    assert ["shown_by" in row["arithmetic"] for row in rows] == [False, True, True, True]
    assert len(read_rows(tmp_path)) == 4


def test_what_shows_nothing_of_another_point() -> None:
    narrow, wide = (Claim("a", (("core.potential_bits", n), ("core.current_bits", 24))) for n in (16, 24))
    assert wide.follows_from(narrow)
    assert wide.follows_from(wide)
    assert not narrow.follows_from(wide)
    assert not wide.follows_from(replace(narrow, sums="b"))
    assert not narrow.follows_from(replace(narrow, widths=(("core.potential_bits", 8), ("core.current_bits", 25))))


def test_other_sums_are_other_claims(trace_files: dict[str, Path]) -> None:
    point = Point.of(trace_files["bit_serial"], "event_core_64")
    others = [replace(point, samples=[0]), replace(point, trace=str(trace_files["rate"])),
              replace(point, schedule="step_by_step"),
              *(replace(point, changes={name: value}) for name, value in {
                  "core.shift_at": "membrane", "core.dataflow": {"type": "output_stationary"}, "core.passes": "by_word",
                  "core.token": {"planes": "merged"}, "spike_buffer.kind": "aer"}.items())]
    claims = [outline(one).claim for one in (point, *others)]
    assert len({claim.sums for claim in claims if claim}) == len(claims)
    for what in ({"check": False}, {"spikes": "computed"}, {"engine": "reference"}):
        assert outline(replace(point, **what)).claim is None  # type: ignore[arg-type]


def every_design(base: type[CoreDesign]) -> list[type[CoreDesign]]:
    return [base, *(found for one in base.__subclasses__() for found in every_design(one))]


def test_widths_and_free_fields_are_timing_fields() -> None:
    for design in every_design(CoreDesign):
        named = (*design.width_fields, *design.sum_free_fields)
        assert set(named) <= set(design.timing_fields)
        assert len(set(named)) == len(named)
