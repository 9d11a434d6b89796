"""The shipped traces: every output of every sample is bit for bit the recorded one, on both engines, and `hwsim convert` makes
the same traces of the shipped checkpoint."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hwsim
from hwsim.cli import main
from hwsim.compare import why_not
from hwsim.schedules import ANYWHERE
from hwsim.trace.reader import Trace
from tests.conftest import ROOT
from tests.convert.test_data import FASHION, idx

CHECKPOINT = ROOT / "traces" / "fashion_mnist_small.pt"
SHIPPED = sorted((ROOT / "traces").glob("*.h5"))
DESIGN = {"quantised": "mac_core_64"}
METHODS = {"quantised": "ann"}
"""The method of `hwsim convert`, where it is not called like the coding."""


def ids(path: Path) -> str:
    return path.stem


def design_of(trace: Trace) -> str:
    return DESIGN.get(trace.coding, "event_core_64")


def test_what_is_shipped() -> None:
    found = {(t.coding, t.timesteps) for t in map(Trace.open, SHIPPED)}
    assert found == {("bit_serial", 4), ("rate", 4), ("rate", 8), ("rate", 16), ("quantised", 1)}
    assert sum(p.stat().st_size for p in SHIPPED) < 10_000_000


@pytest.mark.parametrize("path", SHIPPED, ids=ids)
def test_a_shipped_trace_is_sound(path: Path) -> None:
    with Trace.open(path) as trace:
        trace.check(deep=True)
        assert trace.samples >= 64
        assert trace.labels is not None
        assert "licence" in trace.provenance


def test_the_page_shows_the_accuracies_of_the_traces() -> None:
    rows = {cells[1].strip(): cells[-2].strip() for cells in map(
        lambda line: line.split("|"), (ROOT / "traces" / "README.md").read_text().splitlines()) if len(cells) == 7}
    for path in SHIPPED:
        with Trace.open(path) as trace:
            assert rows[f"`{path.name}`"] == f"{trace.provenance['accuracy_test_set']:.2f} %"
            assert rows["(not shipped)"] == f"{trace.provenance['accuracy_float_ann']:.2f} %"


@pytest.mark.parametrize("path", SHIPPED, ids=ids)
@pytest.mark.parametrize("schedule", ANYWHERE)
def test_fast_engine_reproduces_every_sample(path: Path, schedule: str) -> None:
    with Trace.open(path) as trace:
        design = hwsim.load_architecture(design_of(trace))
        why = why_not(trace, design, schedule)
        if why is not None:
            assert trace.coding == "bit_serial"
            assert schedule == "step_by_step"
            return
        result = hwsim.simulate(trace, design, schedule=schedule)
        assert result.mismatches == 0
        assert result.facts.saturations == 0
        assert set(result.facts.mismatches_by_layer) == {layer.name for layer in trace.network}


@pytest.mark.parametrize("path", SHIPPED, ids=ids)
def test_closed_loop_is_the_recorded_loop(path: Path) -> None:
    """When nothing saturates, feeding the hardware its own spikes changes nothing."""
    with Trace.open(path) as trace:
        fed, closed = (hwsim.simulate(trace, design_of(trace), spikes=s, samples=8) for s in ("trace", "computed"))
        assert closed.mismatches == 0
        np.testing.assert_array_equal(fed.cycles, closed.cycles)
        assert fed.accuracy == closed.accuracy


def reference_agrees(path: Path, samples: int | None) -> None:
    with Trace.open(path) as trace:
        slow, fast = (hwsim.simulate(trace, design_of(trace), engine=e, samples=samples) for e in ("reference", "fast"))
    assert slow.mismatches == 0
    assert slow.facts.saturations == 0
    np.testing.assert_array_equal(slow.spans, fast.spans)
    np.testing.assert_array_equal(slow.layer_counts, fast.layer_counts)
    np.testing.assert_array_equal(slow.operation_counts, fast.operation_counts)


@pytest.mark.parametrize("path", [path for path in SHIPPED if "rate" not in path.stem], ids=ids)
def test_reference_engine_reproduces_a_sample(path: Path) -> None:
    """Of rate codes the legible engine runs `tiny` by default (test_methods_traces.py), and all of them in the slow test."""
    reference_agrees(path, 1)


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=ids)
def test_reference_engine_reproduces_every_sample(path: Path) -> None:
    reference_agrees(path, None)


def test_the_bit_serial_network_is_the_quantised_ann() -> None:
    """On every neuron of every sample: the planes, most significant first, spell the ANN's levels."""
    by_name = {p.stem: p for p in SHIPPED}
    with Trace.open(by_name["fashion_mnist_bit_serial_t4"]) as serial, Trace.open(by_name["fashion_mnist_ann"]) as ann:
        assert serial.samples == ann.samples
        for i in range(serial.samples):
            bits, levels = serial.sample(i), ann.sample(i)
            np.testing.assert_array_equal(bits.inputs, levels.inputs)
            for name, planes in bits.recorded.items():
                spelled = np.tensordot([8, 4, 2, 1], planes.astype(np.int64), axes=1)
                np.testing.assert_array_equal(spelled, levels.recorded[name][0], err_msg=f"sample {i}, {name}")
            assert {k: v.tolist() for k, v in serial.final_potentials(i).items()} == {
                k: v.tolist() for k, v in ann.final_potentials(i).items()}


# -- made again -----------------------------------------------------------------------------------------------------


def convert(trace: Trace, data: Path, out: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Trace:
    """What `hwsim convert` makes of the shipped checkpoint, by the method and for the samples of `trace`."""
    method, timesteps = METHODS.get(trace.coding, trace.coding), 4 if trace.coding == "quantised" else trace.timesteps
    asked = ("convert", CHECKPOINT, "--data", data, "--method", method, "--timesteps", timesteps, "--samples", trace.samples,
             "--out", out, *more)
    monkeypatch.setattr(sys, "argv", ["hwsim", *map(str, asked)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return Trace.open(out)


def datasets(path: Path) -> dict[str, Any]:
    """Every dataset of a file but the hashes of rows, which version 1 has not."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    found.pop("row_hashes", None)
    return found


def assert_same(path: Path, made: Path) -> None:
    """Every recorded array, of the same type, and the network; potentials may be of other widths."""
    before, after = datasets(path), datasets(made)
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert array.dtype == after[name].dtype, name
        np.testing.assert_array_equal(after[name], array, err_msg=name)
    with Trace.open(path) as old, Trace.open(made) as new:
        np.testing.assert_equal(*({"input": asdict(t.network.input), "layers": [
            asdict(replace(layer, potential_bits=2)) for layer in t.network]} for t in (old, new)))


@pytest.mark.parametrize("path", SHIPPED, ids=ids)
def test_convert_makes_the_shipped_trace_again(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The images are those in the trace: unsigned payloads are the pixels."""
    pytest.importorskip("torch")
    with Trace.open(path) as trace:
        images = np.concatenate([trace.sample(i).inputs for i in range(trace.samples)])[..., 0].astype(np.uint8)
        for part in ("train", "t10k"):
            (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
            (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(trace.labels.astype(np.uint8)))
        convert(trace, tmp_path, tmp_path / "made.h5", monkeypatch, "--unverified", "--skip-accuracy").close()
    assert_same(path, tmp_path / "made.h5")


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
@pytest.mark.parametrize("path", SHIPPED, ids=ids)
def test_convert_measures_what_the_shipped_trace_says(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy and widths of potentials, on the whole test set."""
    pytest.importorskip("torch")
    with Trace.open(path) as trace:
        made = convert(trace, FASHION, tmp_path / "made.h5", monkeypatch, "--potential-bits", "tested")
        assert made.provenance["accuracy_test_set"] == pytest.approx(trace.provenance["accuracy_test_set"], abs=1e-9)
        assert [layer.potential_bits for layer in made.network] == [layer.potential_bits for layer in trace.network]
        made.close()
    assert_same(path, tmp_path / "made.h5")
