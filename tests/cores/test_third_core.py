"""A kind of core is one file and one line of the registry: a third one, added here, goes all the way from YAML to figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim.cores import KINDS
from hwsim.result import Result
from hwsim.trace.reader import Trace
from hwsim.view.plot import energy_figure, latency_figure

YAML = """name: third
clock: 100 MHz
core: {kind: counter, counters: 2}
memories: {spike: 4 KiB}
"""


@pytest.fixture
def design(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> hwsim.Architecture:
    monkeypatch.setitem(KINDS, "counter", "tests.extending.counter")
    (tmp_path / "third.yaml").write_text(YAML)
    return hwsim.load_architecture(tmp_path / "third.yaml")


@pytest.fixture
def result(design: hwsim.Architecture, rate_trace: Trace) -> Result:
    return hwsim.simulate(rate_trace, design)


def test_its_cycles_are_its_closed_form(design: hwsim.Architecture, rate_trace: Trace, result: Result) -> None:
    spikes = [[int(np.count_nonzero(planes)) for planes in rate_trace.sample(i).recorded.values()] for i in range(3)]
    load = design.channel_spec().cycles(64)
    assert result.cycles.tolist() == [load + sum(-(-n // 2) for n in layers) for layers in spikes]
    assert result.total_synaptic_operations == sum(map(sum, spikes))
    assert result.facts.engine == "closed_form"


def test_it_is_priced_reported_drawn_and_saved(result: Result, tmp_path: Path) -> None:
    add = result.energy[result.energy["event"] == "acc_add"]
    assert add["energy_pj"].sum() == pytest.approx(result.synaptic_operations * add["price_pj"].iloc[0])
    assert set(result.area["component"]) == {"accumulator", "spike_buffer"}
    for _, mine in result.cycles_frame.groupby("resource"):
        assert mine["total_cycles"].sum() == result.total_cycles
    for drawn in (energy_figure([result]), latency_figure([result])):
        texts = [text.get_text() for axes in drawn.axes for text in axes.texts] + [text.get_text() for text in drawn.texts]
        assert any("2 counters" in text for text in texts), texts
    assert hwsim.load_result(result.save(tmp_path / "run")).summary() == result.summary()


def test_its_fields_are_checked_like_any_others(design: hwsim.Architecture, tmp_path: Path, quantised_trace: Trace) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(YAML.replace("counters: 2", "lanes: 2").replace("4 KiB", "four"))
    with pytest.raises(hwsim.ArchitectureError) as error:
        hwsim.load_architecture(bad)
    assert "core.lanes: unknown field, allowed are kind, counters, count_bits" in str(error.value)
    assert "memories.spike" in str(error.value)
    with pytest.raises(hwsim.MappingError, match="a counter counts spikes"):
        hwsim.simulate(quantised_trace, design)


def test_without_its_line_in_the_registry_nobody_knows_it(tmp_path: Path) -> None:
    (tmp_path / "third.yaml").write_text(YAML)
    with pytest.raises(hwsim.ArchitectureError, match="core.kind: found 'counter', allowed 'event', 'multiply_accumulate'"):
        hwsim.load_architecture(tmp_path / "third.yaml")


def test_a_core_that_computes_nothing_has_compared_nothing(
    design: hwsim.Architecture, rate_trace: Trace, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its records say that outputs are unknown; the potentials beside them are nobody's answer."""
    last = rate_trace.network.layers[-1].name
    classes = [int(np.argmax(rate_trace.final_potentials(i)[last])) for i in range(rate_trace.samples)]
    assert any(classes), "zeros would be right by chance"
    monkeypatch.setattr(rate_trace, "labels", np.array(classes))
    result = hwsim.simulate(rate_trace, design)
    assert rate_trace.has_weights
    assert result.mismatches is None
    assert result.facts.mismatches_by_layer == {}
    assert result.accuracy == 100
