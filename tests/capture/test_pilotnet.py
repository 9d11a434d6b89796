"""Intel's PilotNet as lava-dl published it: network file and recorded spikes and states, reproduced bit for bit.

Not part of hwsim: HWSIM_PILOTNET names a folder with `network.net` and `recorded.npz` (docs/capture.md). How they are read and
followed: benchmarks/pilotnet/recording.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.pilotnet.recording import NAMES, NETWORK, Recorded, Run, chain, compare_states, read_network, read_recording
from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.capture import capture_netx
from hwsim.simulation import simulate
from hwsim.snn.network import Layer, Network
from hwsim.snn.neurons import IntegrateAndFire
from hwsim.snn.neurons.base import spread
from hwsim.trace.reader import Trace

FOLDER = os.environ.get("HWSIM_PILOTNET")
pytestmark = pytest.mark.skipif(not FOLDER, reason="HWSIM_PILOTNET names no folder with lava-dl's PilotNet")
IntArray = NDArray[np.int64]


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return read_recording(str(FOLDER))


@pytest.fixture(scope="module")
def network() -> Network:
    return read_network(str(FOLDER))


def wrong_spikes(network: Network, recorded: Recorded, run: Run) -> dict[str, int]:
    return {name: int((np.stack([step.fired for step in steps]) != recorded[name]).sum())
            for name, steps in chain(network, recorded["image"], run)}


def test_every_recorded_value_is_computed(network: Network, recorded: Recorded) -> None:
    found = compare_states(network, recorded)
    assert found.equal == found.values == 5_862_315
    assert {f"{name}_v" for name in NAMES[2:]} <= set(recorded)


class Variant:
    """The recurrence with one thing changed: how the decay rounds, what is compared, how it is reset."""

    def __init__(self, **changed: Any) -> None:
        self.changed = changed

    def __call__(self, layer: Layer, sums: IntArray) -> Iterator[Any]:
        potential, bias, theta = np.zeros(layer.shape, np.int64), spread(layer.bias, layer), int(layer.thresholds[0])
        for arriving in sums:
            potential = potential + arriving + bias
            fired = potential >= theta if self.changed.get("compare") == "at the threshold" else potential > theta
            yield Fired(fired)
            if self.changed.get("reset") == "soft":
                potential = potential - theta * fired
            else:
                potential = np.where(fired, 0, potential)
            decayed = potential * 3072
            down = self.changed.get("rounding") == "down"
            potential = decayed >> 12 if down else np.sign(decayed) * (np.abs(decayed) >> 12)


class Fired(NamedTuple):
    fired: NDArray[np.bool_]


def leak_shift_2(layer: Layer, sums: IntArray) -> Iterator[Any]:
    """The nearest that hwsim's integrate-and-fire neuron comes: V - (V >> 2), and V >= theta + 1."""
    neuron = IntegrateAndFire("hard", 2)
    fired, _ = neuron.emit(sums, replace(layer, neuron=neuron, thresholds=layer.thresholds + 1))
    yield from (Fired(step.astype(bool)) for step in fired)


BROKEN: dict[str, tuple[Run, list[int]]] = {
    "rounding down": (Variant(rounding="down"), [0, 0, 0, 1, 12, 58, 10, 18, 2]),
    "leak_shift 2": (leak_shift_2, [0, 8, 83, 249, 801, 1259, 63, 33, 5]),
    "firing at the threshold": (Variant(compare="at the threshold"), [3159, 15769, 14669]),
    "soft reset": (Variant(reset="soft"), [30966]),
}


def test_the_recurrence_written_once_more_is_the_neuron(network: Network, recorded: Recorded) -> None:
    assert not any(wrong_spikes(network, recorded, Variant()).values())


@pytest.mark.parametrize("case", BROKEN)
def test_nothing_near_it_makes_these_spikes(case: str, network: Network, recorded: Recorded) -> None:
    """Wrong spikes by layer, each layer fed by its own chain. Rounding down is seen from conv 3 on only."""
    run, expected = BROKEN[case]
    assert list(wrong_spikes(network, recorded, run).values())[: len(expected)] == expected


@pytest.fixture(scope="module")
def trace(recorded: Recorded) -> Trace:
    return capture_netx(Path(str(FOLDER)) / NETWORK, recorded["image"])


def wide_core() -> Architecture:
    """The shipped core with room for the chip's weights times 2**6 and for two of PilotNet's planes."""
    design = dump_architecture(load_architecture("event_core_64"))
    design["core"] |= {"weight_bits": 15, "payload_bits": 7}
    design["spike_buffer"]["capacity"] = "4194304 bit"
    return rebuild_architecture(design)


def test_a_captured_trace_holds_the_recorded_spikes(trace: Trace, recorded: Recorded) -> None:
    """In a trace all layers begin with their first step: that of layer k is step k of the chip."""
    for number, (name, layer) in enumerate(zip(NAMES, trace.network, strict=False)):
        expected = recorded[name][number : number + 16].transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(trace.sample(0).recorded[layer.name], expected)
    assert trace.network.layer("conv3").connections[0].stride == (2, 1)


def test_a_core_computes_the_recorded_spikes(trace: Trace) -> None:
    """Closed loop, from the image: every spike of the frame, and the answer."""
    result = simulate(trace, wide_core(), spikes="computed")
    assert result.facts.mismatches == 0
    counts = result.activity.groupby("event")["count"].sum()
    neurons = 16 * sum(layer.neurons for layer in trace.network if layer.sends)
    assert counts["decay"] == counts["cmp"] == neurons
    assert counts["spike_out"] == sum(int(planes.sum()) for planes in trace.sample(0).recorded.values())
