"""`hwsim.estimate`: what is given decides the way, and the numbers are those of the way taken step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import hwsim  # noqa: E402
from hwsim.examples import example_path  # noqa: E402
from hwsim.one_call import SAMPLES, EstimateError  # noqa: E402
from hwsim.simulation import default_design  # noqa: E402

IMAGES = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(1))
LABELS = np.arange(24) % 10


def plain() -> Any:
    torch.manual_seed(2)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(64, 10))


def test_a_plain_network_gives_its_ann_and_both_codings(tmp_path: Path) -> None:
    found = hwsim.estimate(plain(), IMAGES, labels=LABELS, levels=8, samples=3)
    assert list(found.results) == ["bit_serial", "rate", "ann"]
    assert {form: result.facts.arch for form, result in found.results.items()} == {
        "bit_serial": "output_stationary_merged", "rate": "output_stationary", "ann": "output_stationary_merged+mac"}
    paths = hwsim.quantise(plain(), IMAGES, LABELS, levels=8).record(tmp_path / "traces", 3)
    for form, path in paths.items():
        alone = hwsim.simulate(path, found.results[form].architecture)
        row = found.table.loc[form]
        assert (row["cycles"], row["system_pj"]) == (alone.cycles.mean(), alone.energy_pj["system"])
        assert (row["mismatches"], row["accuracy"]) == (0, alone.facts.accuracy)
        assert row["system_at_rate_pj"] == alone.at_rate(30).energy_pj["system"] > row["system_pj"]
    assert "activations of 8 levels, calibrated on 24 images; weights of 8 bits" in repr(found)
    assert "3 planes; rate sends 7 timesteps" in repr(found)


def test_a_named_design_is_what_the_spiking_forms_run_on_and_the_ann_its_twin() -> None:
    found = hwsim.estimate(plain(), IMAGES, "event_core_16", samples=1, rate_hz=10)
    assert {form: result.facts.arch for form, result in found.results.items()} == {
        "bit_serial": "event_core_16", "rate": "event_core_16", "ann": "event_core_16+mac"}
    assert "system at 10/s" in repr(found)
    assert "no design was named" not in repr(found)


def test_a_trace_is_taken_as_it_is() -> None:
    with hwsim.load_example() as trace:
        found = hwsim.estimate(trace)
        assert trace.sample(0) is not None, "it stays open"
        assert found.results["spiking"].sim_id == hwsim.simulate(trace, default_design(trace), samples=SAMPLES).sim_id
    ann = hwsim.estimate(example_path("ann"), samples=1)
    assert ann.results["ann"].facts.arch == "systolic"
    assert "twin" not in repr(ann)
    page = ann._repr_html_()
    assert page.count("<tr>") == 2
    assert "<li>the trace is taken as it is</li>" in page


def test_a_spiking_model_is_recorded() -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), neuron.IFNode(), torch.nn.Flatten(), torch.nn.Linear(144, 10), neuron.IFNode())
    found = hwsim.estimate(model, IMAGES, samples=2, timesteps=3)
    with hwsim.capture_torch(model, IMAGES[:2], timesteps=3) as trace:
        assert found.results["spiking"].cycles.tolist() == hwsim.simulate(trace).cycles.tolist()
    assert "nothing is compared" in repr(found)


def test_what_no_form_runs_on_is_told_by_each() -> None:
    design = hwsim.load_architecture("event_core_64").with_spike_buffer(capacity="256 bit")
    with pytest.raises(EstimateError, match="nothing runs:\n- spiking on event_core_64: "), hwsim.load_example() as trace:
        hwsim.estimate(trace, arch=design)


def test_a_form_that_the_design_does_not_run_is_told_beside_the_others() -> None:
    found = hwsim.estimate(plain(), IMAGES, "systolic_8x8", samples=1)
    assert (list(found.results), sorted(found.refused)) == (["ann"], ["bit_serial", "rate"])
    assert found.results["ann"].facts.arch == "systolic_8x8"
    assert "bit_serial does not run: systolic_8x8: " in repr(found)


@pytest.mark.parametrize(("given", "options", "text"), [
    (("model.txt", IMAGES), {}, r"model is 'model.txt' \(str\), expected a torch.nn.Module, a NIR graph, a Trace"),
    ((plain(),), {}, "inputs is missing"), ((plain(), IMAGES), {"samples": 0}, "samples is 0, expected"),
    ((plain(), IMAGES), {"samples": True}, "samples is True"),
    ((plain(), IMAGES), {"foo": 1}, "unknown option foo; beside its own, estimate passes on to hwsim.quantise: test, levels"),
    ((None,), {}, "model is 'None'"),
    ((example_path(), IMAGES), {}, "leave inputs, labels and options out"),
    (("graph.nir", IMAGES), {"reset": "soft"}, "a NIR graph does not say dt; give reset"),
], ids=["a text file", "no inputs", "no samples", "true", "an option", "no model", "a trace with inputs", "nir without dt"])
def test_what_cannot_be_is_one_text(given: tuple[Any, ...], options: dict[str, Any], text: str) -> None:
    with pytest.raises(EstimateError, match=text):
        hwsim.estimate(*given, **options)
