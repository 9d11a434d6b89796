"""Step of docs/figures: accuracy against energy, energy and latency of the Fashion-MNIST networks on chosen designs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.headlines.replays import ANN, RATES, ROOT, SERIAL, path_of, replay
from hwsim.arch import Architecture, load_architecture
from hwsim.result import Result
from hwsim.simulation import simulate
from hwsim.view.plot import save_figures

FIGURES = ROOT / "docs" / "figures"
SAMPLES = 16
BUFFER = "48 KiB"
"""Spike buffer of the design for rate codes of 16 timesteps, which the reference design does not hold."""


def results() -> list[Result]:
    """The reference design of each code, and the cautionary example with its schedules."""
    rates = load_architecture("output_stationary").with_spike_buffer(capacity=BUFFER)
    roomy = rates.model_copy(update={"name": "output_stationary, 48 KiB buffer"})
    return [
        replay(SERIAL, "output_stationary_merged", SAMPLES),
        *(_timed(trace, roomy) for trace in RATES),
        replay(ANN, "output_stationary_bit_serial", SAMPLES), replay(ANN, "systolic", SAMPLES),
        replay(SERIAL, "event_core_64", SAMPLES),
        *(replay(trace, "event_core_64", SAMPLES, order) for trace in RATES for order in ("layer_by_layer", "step_by_step")),
        replay(ANN, "mac_core_64", SAMPLES),
    ]


def _timed(trace: str, arch: Architecture) -> Result:
    return simulate(path_of(trace), arch, samples=SAMPLES)


def figures(work: Path) -> dict[str, str]:
    save_figures(results(), FIGURES)
    return {}
