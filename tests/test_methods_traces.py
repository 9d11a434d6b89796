"""The traces behind docs/methods.md: every method's spikes are reproduced on the core, and the page says what was measured."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hwsim
from hwsim.snn.trace import Trace
from tests.conftest import ROOT

FOLDER = ROOT / "traces" / "methods"
TRACES = sorted(FOLDER.glob("*.h5"))
METHODS = {"ann", "bit_serial", "rate", "alpha_beta", "two_stage", "noise_adaptor", "single_spike"}


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("methods_make", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def slow_ones(parts: tuple[str, ...]) -> list[object]:
    """All traces; those whose names have one of `parts` take minutes."""
    return [pytest.param(path, id=path.stem, marks=pytest.mark.slow if any(p in path.stem for p in parts) else ())
            for path in TRACES]


@pytest.mark.parametrize(("group", "missing"), [("fashion_mnist_tiny", set()), ("cifar10_resnet20", {"single_spike"})])
def test_every_method_is_shipped(group: str, missing: set[str]) -> None:
    mine = [path for path in TRACES if path.stem.startswith(group)]
    assert {Trace.open(path).provenance["method"] for path in mine} == METHODS - missing


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_a_trace_of_every_method_replays_bit_for_bit(path: Path) -> None:
    with Trace.open(path) as trace:
        small = "tiny" in path.stem
        trace.check(deep=small)
        assert trace.samples == script().samples_of(path.stem[: path.stem.index(trace.provenance["method"]) - 1])
        design = "mac_core_64" if trace.coding == "analog" else "event_core_64_flags"
        result = hwsim.simulate(trace, design, samples=8 if small else 2)
        assert (result.mismatches, result.facts.saturations) == (0, 0)
        assert hwsim.simulate(trace, design, samples=2 if small else 1, spikes="computed").mismatches == 0
        if trace.coding != "bit_serial":
            room = hwsim.load_architecture(design)
            room = room.model_copy(update={"memories": room.memories.model_copy(update={"mask": 16 * room.memories.mask})})
            assert hwsim.simulate(trace, room, samples=2 if small else 1, schedule="step_by_step").mismatches == 0


@pytest.mark.parametrize("path", slow_ones(("resnet20", "vgg16")))
def test_the_reference_engine_says_the_same(path: Path) -> None:
    with Trace.open(path) as trace:
        design = "mac_core_64" if trace.coding == "analog" else "event_core_64_flags"
        fast, reference = (hwsim.simulate(trace, design, samples=1, engine=engine) for engine in ("fast", "reference"))
        assert fast.cycles.tolist() == reference.cycles.tolist()
        assert fast.energy_pj == reference.energy_pj
        assert reference.mismatches == 0


def test_the_page_shows_what_was_measured() -> None:
    make, page = script(), (ROOT / "docs" / "methods.md").read_text()
    measured = json.loads((FOLDER / "measured.json").read_text())
    for group in {row["group"] for row in measured.values()}:
        assert make.table(group, measured) in page
        if f"{group}_widths" in measured:
            assert make.widths_table(group, measured) in page


def test_measured_rows_are_those_of_the_traces() -> None:
    measured = json.loads((FOLDER / "measured.json").read_text())
    for path in TRACES:
        with Trace.open(path) as trace:
            assert trace.provenance["accuracy_test_set"] == measured[path.stem]["accuracy"]


def test_the_bit_serial_network_is_its_ann_on_the_whole_test_set() -> None:
    measured = json.loads((FOLDER / "measured.json").read_text())
    for group in {row["group"] for row in measured.values()}:
        assert measured[f"{group}_bit_serial_t4"]["accuracy"] == measured[f"{group}_ann_t4"]["accuracy"]
