"""Spaces of sweeps: what points an axis, a grid, a list and a Latin hypercube make, and what is refused with which words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.arch import ArchitectureError, load_architecture
from hwsim.study import Point
from hwsim.sweep.axis import Axis, SweepError, axis_of
from hwsim.sweep.definition import read_study, space_of_options
from hwsim.sweep.space import Space

ARCH = Axis("arch", ("event_core_16",))
TRACE = Axis("trace", ("a.h5",))


def space(*axes: Axis, **more: Any) -> Space:
    return Space((TRACE, ARCH, *axes), **more)


# --- axes ----------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 50), st.integers(0, 200), st.integers(1, 40))
def test_a_range_with_a_step_is_an_arithmetic_series_with_both_ends(low: int, count: int, step: int) -> None:
    high = low + count * step
    assert axis_of("f", {"from": low, "to": high, "step": step}, "x").values == tuple(range(low, high + 1, step))
    given_units = axis_of("f", {"from": f"{low} KiB", "to": f"{high} KiB", "step": step}, "x")
    assert given_units.values == tuple(f"{n} KiB" for n in range(low, high + 1, step))


@given(st.integers(1, 9), st.integers(2, 5), st.integers(0, 8))
def test_a_range_with_a_factor_is_a_geometric_series_with_both_ends(low: int, factor: int, count: int) -> None:
    axis = axis_of("f", {"from": low, "to": low * factor**count, "factor": factor}, "x")
    assert axis.values == tuple(low * factor**n for n in range(count + 1))


def test_decimals_of_a_range_do_not_drift() -> None:
    assert axis_of("f", {"from": 0.1, "to": 0.5, "step": 0.1}, "x").values == (0.1, 0.2, 0.3, 0.4, 0.5)


@pytest.mark.parametrize(("values", "expected"), [
    ([], "found an empty list"), ({"from": 1, "to": 2, "by": 1}, "found 'by' in a range"),
    ({"from": 1, "to": 2, "step": 1, "factor": 2}, "found step and factor"),
    ({"from": 2, "to": 1, "step": 1}, "found from 2 above"),
    ({"from": "1 KiB", "to": "2 MiB", "step": 1}, "expected one unit"), ({"from": 1, "to": 2, "step": 0}, "a number above 0"),
    ({"from": "1 KiB", "to": "2 KiB", "step": "1 MiB"}, "in KiB"), ({"from": 0, "to": 2, "factor": 2}, "begins above 0"),
    ({"from": "x y z", "to": 2}, "expected a number"), ({"from": True, "to": 2}, "expected a number"),
    ({"from": 0, "to": 10**9, "step": 1}, "a range of 1,000,000,001 values"), ({"from": 1e300, "to": 1e301}, "within 10**15"),
])
def test_what_is_no_axis_is_refused(values: Any, expected: str) -> None:
    with pytest.raises(SweepError, match=r"here: core\.lanes") as error:
        axis_of("core.lanes", values, "here")
    assert expected in str(error.value)


# --- spaces --------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 4), max_size=4))
def test_a_grid_has_every_combination_once(sizes: list[int]) -> None:
    axes = [Axis(f"core.f{i}", tuple(range(n))) for i, n in enumerate(sizes)]
    found = [tuple(one.values()) for one in space(*axes).labels()]
    assert len(found) == len(set(found)) == len(space(*axes))
    assert found == sorted(found)


def test_listed_points_are_crossed_with_the_axes_and_go_first() -> None:
    orders = Axis("schedule", ("layer_by_layer", "step_by_step"))
    found = list(space(orders, listed=({"core.lanes": 4}, {"core.lanes": 8})).labels())
    assert [(one["core.lanes"], one["schedule"]) for one in found] == [
        (4, "layer_by_layer"), (4, "step_by_step"), (8, "layer_by_layer"), (8, "step_by_step")]


@settings(deadline=None)  # the first example loads scipy
@given(st.integers(1, 40), st.integers(0, 5))
def test_a_latin_hypercube_has_one_point_in_each_equal_part_of_every_axis(count: int, seed: int) -> None:
    ranged = axis_of("core.fifo_depth", {"from": 0, "to": count - 1}, "x")
    listed = Axis("core.lanes", tuple(range(count)))
    found = list(space(ranged, listed, hypercube=(count, seed)).labels())
    for name in ("core.fifo_depth", "core.lanes"):
        assert sorted(one[name] for one in found) == list(range(count))
    assert found == list(space(ranged, listed, hypercube=(count, seed)).labels())


def test_ends_of_a_range_of_decimals_are_its_bounds() -> None:
    axis = axis_of("clock", {"from": "0.5 MHz", "to": "2 MHz"}, "x")
    drawn = [float(one["clock"].split()[0]) for one in space(axis, hypercube=(50, 1)).labels()]
    assert 0.5 <= min(drawn) < 0.6
    assert 1.9 < max(drawn) <= 2


def test_points_change_fields_of_the_design_and_prices_and_carry_what_they_set() -> None:
    axes = (Axis("core.lanes", (8,)), Axis("prices.acc_add", ("x0.5",)), Axis("samples", (2,)), Axis("rate_hz", (60.0,)))
    [point] = space(*axes, prices={"mult": 2.0}).points()
    assert isinstance(point, Point)
    assert (point.trace, point.samples, point.rate_hz) == ("a.h5", 2, 60.0)
    assert point.overrides == {"mult": 2.0, "acc_add": "x0.5"}
    assert point.design().core.lanes == 8
    assert point.labels == {"trace": "a.h5", "arch": "event_core_16", "core.lanes": 8, "prices.acc_add": "x0.5", "samples": 2,
                            "rate_hz": 60.0}


def test_every_form_of_field_reaches_its_place() -> None:
    design = load_architecture("event_core_16").with_fields({
        "core.dataflow": {"type": "output_stationary", "accumulators": 4}, "memories.weight": "64 KiB", "clock": "100 MHz",
        "technology.memory": "cacti_hp", "memories.banks.weight": 4})
    assert (design.core.dataflow.accumulators, design.capacities["weight"], design.clock) == (4, 64 * 8192, 10**8)
    assert (design.technology.memory, design.memories.banks["weight"]) == ("cacti_hp", 4)
    assert design.with_fields({}) == design
    with pytest.raises(ArchitectureError, match="found 10.* at name, expected 'x' in it|at name"):
        design.with_fields({"name.x": 1})


def test_a_field_that_no_design_has_ends_the_sweep_before_anything_runs() -> None:
    with pytest.raises(SweepError, match=r"core\.lanez: unknown field, allowed are .*fields of the sweep itself are trace"):
        list(space(Axis("core.lanez", (1, 2))).points())
    with pytest.raises(SweepError, match="expected 'lanes' in it"):
        list(space(Axis("name.lanes", (1, 2))).points())


def test_a_field_that_some_design_has_is_the_others_own_mistake() -> None:
    both = Space((TRACE, Axis("arch", ("event_core_16", "systolic_8x8")), Axis("core.rows", (4,))))
    one, other = both.points()
    with pytest.raises(ArchitectureError, match=r"core\.rows: unknown field"):
        one.design()
    assert other.design().core.rows == 4


def test_spaces_that_cannot_be_are_refused() -> None:
    for axes, expected in (
        ((TRACE,), "arch: missing"), ((ARCH,), "trace: missing"), ((TRACE, ARCH, ARCH), "arch: found more than one axis"),
        ((TRACE, ARCH, axis_of("clock", {"from": 1, "to": 2}, "x")), "clock: found a range without steps"),
    ):
        with pytest.raises(SweepError, match=expected):
            Space(axes)


# --- where they are written ----------------------------------------------------------------------------------------------

STUDY = """
trace: [a.h5, ../b.h5]
arch: [event_core_16, mine.yaml]
samples: 4
set:
  core.lanes: [8, 16]
  memories.weight: {from: 32 KiB, to: 128 KiB, factor: 2}
prices: {acc_add: 0.5}
"""


def test_a_study_file_says_what_options_say(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    read = read_study(tmp_path / "study.yaml")
    told = space_of_options(
        [f"{tmp_path}/a.h5", f"{tmp_path}/../b.h5"], ["event_core_16", f"{tmp_path}/mine.yaml"],
        ["core.lanes=8, 16", "memories.weight={from: 32 KiB, to: 128 KiB, factor: 2}"], None, 1, samples=4)
    assert len(read) == len(told) == 24
    assert Counter(map(_frozen, read.labels())) == Counter(map(_frozen, told.labels()))
    assert (read.prices, told.prices) == ({"acc_add": 0.5}, {})


def _frozen(labels: dict[str, Any]) -> frozenset[tuple[str, Any]]:
    return frozenset(labels.items())


@pytest.mark.parametrize(("text", "expected"), [
    ("[1]", "found [1], expected a mapping"), ("", "the file is empty; expected a mapping with trace"),
    ("trace: a\narch: b\nlanes: 4", "lanes: unknown key, allowed are trace"),
    ("trace: a\narch: b\nset: 4", "set: found 4, expected a mapping"), ("trace: a\narch: b\npoints: []", "points: found"),
    ("trace: a\narch: b\nlatin_hypercube: 5", "expected {points: N, seed: N}"),
    ("trace: a\narch: b\nlatin_hypercube: {points: 0}", "expected {points: N, seed: N}"),
    ("arch: b", "trace: missing"), ("trace: a\ntrace: b\narch: c", "given twice"), ("trace: [", "not valid YAML"),
    ("trace: &a [*a]\narch: b", "expected"),
])
def test_mistakes_in_a_study_file_are_told_with_the_file(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(SweepError, match=r"study\.yaml") as error:
        read_study(tmp_path / "study.yaml")
    assert expected in str(error.value)


@pytest.mark.parametrize(("text", "expected"), [
    ("core.lanes", "found no FIELD=VALUES"), ("=4", "found no FIELD=VALUES"), ("core.lanes=", "found an empty list"),
    ("core.lanes=[", "not valid YAML"), ("core.lanes=0100", "0100"),
])
def test_mistakes_in_an_option_are_told(text: str, expected: str) -> None:
    with pytest.raises(SweepError, match="--set") as error:
        space_of_options(["a.h5"], ["event_core_16"], [text], None, 1)
    assert expected in str(error.value)
