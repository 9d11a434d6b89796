"""core.lane.decays: multipliers of decays take area and leak where a design has them, and who needs more is refused."""

from __future__ import annotations

import pytest

import hwsim
from hwsim.arch import Architecture
from hwsim.cost.area import area, leakage_figures
from hwsim.cost.technology.logic_tables import logic_table
from hwsim.mapping import MappingError
from hwsim.simulation import why_not
from tests.engine.test_decay import decaying, decays_of


def with_decays(number: int) -> Architecture:
    return hwsim.load_architecture("event_core_16").with_fields({"core.lane": {"decays": number}})


def test_each_multiplier_takes_what_was_synthesised() -> None:
    """Per lane, at the widths of potentials and of currents; nothing else moves."""
    plain = hwsim.load_architecture("event_core_16")
    unit = logic_table(plain.technology.logic).units["decay"]
    width = {"potential_bits": plain.core.potential_bits}
    assert width["potential_bits"] == plain.core.current_bits
    sums = [[area(each)["area_um2"].sum(), sum(f.amount for f in leakage_figures(each)) * 1e6]
            for each in (plain, with_decays(0), with_decays(1), with_decays(2))]
    for number, (um2, nw) in zip((0, 0, 1, 2), sums, strict=True):
        assert um2 - sums[0][0] == pytest.approx(number * 16 * unit.area_um2.at(width))
        assert nw - sums[0][1] == pytest.approx(number * 16 * unit.leakage_nw.at(width), rel=1e-4)


def test_who_needs_more_is_refused_and_counts_do_not_move() -> None:
    traces = {most: next(t for t in (decaying(seed, True) for seed in range(60))
                         if max(decays_of(x.neuron) for x in t.network if x.sends) == most) for most in (1, 2)}
    for most, trace in traces.items():
        for number in range(3):
            why = why_not(trace, with_decays(number))
            assert (why is None) == (most <= number)
            if why is not None:
                assert f"core.lane.decays is {number}; its lanes need {most} multiplier" in why
    with pytest.raises(MappingError, match="give core.lane: {decays: 2}, or leave decays out"):
        hwsim.simulate(traces[2], with_decays(1))
    said, unsaid = (hwsim.simulate(traces[2], each, samples=1) for each in (with_decays(2), "event_core_16"))
    assert said.activity["count"].tolist() == unsaid.activity["count"].tolist()
    assert said.task == unsaid.task
