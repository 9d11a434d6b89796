"""Sums and frames are two ways from the same counts and prices to picojoules: they agree, whatever is asked for."""

from __future__ import annotations

import numpy as np
import pytest

import hwsim
from hwsim.activity import INDEX, SCOPES
from hwsim.arch import dump_architecture, rebuild_architecture
from hwsim.cost.energy import price_activity, scopes
from hwsim.cost.rate import PHASES
from hwsim.result import Result
from hwsim.trace.reader import Trace

CLOSE = 1e-12
PRICES = {"membrane_*": "x0.5", "acc_add": 0.05, "leakage_mw": {"*_memory": "x3"}}


def result_of(trace: Trace, name: str) -> Result:
    """On a chip that loads its weights again after each pause, with prices of its own."""
    design = hwsim.load_architecture(name)
    lossy = rebuild_architecture({**dump_architecture(design), "power": {"idle": {"weight": "off", "spike": "off"}}})
    return hwsim.simulate(trace, lossy, overrides=PRICES)


@pytest.mark.parametrize("name", ["event_core_16", "output_stationary_merged", "mixed_64_16"])
def test_sums_are_those_of_the_frames(bit_serial_trace: Trace, name: str) -> None:
    result = result_of(bit_serial_trace, name)
    assert result.energy_pj == pytest.approx(scopes(result.accounts), rel=CLOSE)
    assert result.area_mm2 == pytest.approx(result.area["area_um2"].sum() / 1e6, rel=CLOSE)
    facts = result.facts
    setup = price_activity(result.setup_activity, result.architecture, facts.setup_cycles, facts.payload_bits, result.overrides,
                           result.used, facts.value_bits)
    assert result.setup_energy_pj == pytest.approx(scopes(setup)["system"], rel=CLOSE)
    assert result.setup_energy_pj > 0
    alone = [hwsim.simulate(bit_serial_trace, result.architecture, samples=[i], overrides=PRICES) for i in range(facts.samples)]
    for scope in SCOPES:
        frames = [scopes(one.accounts)[scope] for one in alone]
        np.testing.assert_allclose(result.sample_energy_pj[scope], frames, rtol=CLOSE)


@pytest.mark.parametrize("going_on", [{}, {"fifo_push": 0.5}])
def test_sums_at_a_rate_are_those_of_the_frames(bit_serial_trace: Trace, going_on: dict[str, float]) -> None:
    result = result_of(bit_serial_trace, "event_core_16")
    for rate in (1.0, result.highest_rate_hz * 0.99):  # with time to load weights again, and without
        found = result.at_rate(rate, going_on)
        assert found.energy_pj == pytest.approx(scopes(found.accounts), rel=CLOSE)
        phases = found.energy.groupby("phase")["energy_pj"].sum()
        told = found.summary()["phase_energy_pj"]
        assert told == pytest.approx({phase: phases.get(phase, 0.0) for phase in PHASES}, rel=CLOSE)
        assert bool(told["reload"]) == (rate == 1.0)


def test_what_is_counted_and_has_no_price_is_an_error_in_sums_as_in_frames(bit_serial_trace: Trace) -> None:
    result = result_of(bit_serial_trace, "event_core_16")
    result.layer_counts[..., INDEX["mult"]] = 1
    with pytest.raises(hwsim.EnergyError, match="nothing to multiply"):
        _ = result.sample_energy_pj
