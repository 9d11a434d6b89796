"""Intel's PilotNet as lava-dl published it: network file and recorded spikes and states, reproduced bit for bit.

Not part of hwsim: HWSIM_PILOTNET names a folder with `network.net` and `recorded.npz` (docs/capture.md). The recording has spikes
(x, y, channel, step) of 24 steps of the chip, and currents and potentials from conv 1 on. A layer of the chip integrates in step
t + 1 what was sent in step t, and layer k is reset before the steps k and k + 17: the chain is followed step by step of the chip.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.capture import capture_netx, from_netx
from hwsim.simulation import simulate
from hwsim.snn.forward import connection_sums, to_planes
from hwsim.snn.network import Layer, Network
from hwsim.snn.neurons import CubaLif, IntegrateAndFire
from hwsim.snn.neurons.base import spread
from hwsim.trace.reader import Trace

FOLDER = os.environ.get("HWSIM_PILOTNET")
pytestmark = pytest.mark.skipif(not FOLDER, reason="HWSIM_PILOTNET names no folder with lava-dl's PilotNet")
NAMES = ("input", "conv_0", "conv_1", "conv_2", "conv_3", "conv_4", "fc_0", "fc_1", "fc_2")
STEPS = 24
REFRACTORY = 128
"""What the chip's potential register holds of a neuron that has just fired: a count, where hwsim has zero."""
IntArray = NDArray[np.int64]
Run = Callable[[Layer, IntArray], Iterator[Any]]


@pytest.fixture(scope="module")
def recorded() -> dict[str, IntArray]:
    """Arrays by name, (steps, C, H, W)."""
    found = {}
    with np.load(Path(str(FOLDER)) / "recorded.npz") as file:
        for name in file.files:
            array = file[name]
            if array.ndim == 4:
                found[name] = array.transpose(3, 2, 1, 0).astype(np.int64)
            elif name == "image":
                found[name] = array.transpose(2, 1, 0)[None].astype(np.int64)
            elif array.ndim == 2:
                found[name] = array.T[:, :, None, None].astype(np.int64)
            elif name == "fc_3_s_bits":
                shape = tuple(file["fc_3_s_shape"].tolist())
                spikes = np.unpackbits(array, count=int(np.prod(shape))).reshape(shape)
                found["fc_3"] = spikes.T[:, :, None, None].astype(np.int64)
    return found


@pytest.fixture(scope="module")
def network() -> Network:
    return from_netx(Path(str(FOLDER)) / "network.net")


def stepped(layer: Layer, sums: IntArray) -> Iterator[Any]:
    assert isinstance(layer.neuron, CubaLif)
    return layer.neuron.steps(sums, layer)


def chain(network: Network, image: IntArray, run: Run = stepped, *, length: int = STEPS, late: int = 0, every: int = 17
          ) -> Iterator[tuple[str, list[Any]]]:
    """Each spiking layer in turn, fed by what this chain computed for the one before; resets before steps k + late + every n."""
    before: IntArray | None = None
    for number, (name, layer) in enumerate(zip(NAMES, network, strict=False)):
        connection = layer.connections[0]
        if before is None:
            sums = np.repeat(connection_sums(connection, to_planes(image), layer.shape), length, axis=0)
        else:
            sums = connection_sums(connection, to_planes(a_step_later(before)), layer.shape)
        taken: list[Any] = []
        for first, end in segments(number + late, every, length):
            part = replace(layer, timesteps=end - first, thresholds=layer.thresholds[:1].repeat(end - first))
            taken += list(run(part, sums[first:end]))
        before = np.stack([step.fired for step in taken]).astype(np.int64)
        yield name, taken


def a_step_later(spikes: IntArray) -> IntArray:
    return np.concatenate([np.zeros_like(spikes[:1]), spikes[:-1]])


def segments(first_reset: int, every: int, length: int) -> list[tuple[int, int]]:
    """Steps [a, b) between two resets."""
    bounds = sorted({0, length, *(at for at in range(first_reset, length, every) if at > 0)})
    return list(zip(bounds, bounds[1:], strict=False))


def wrong_spikes(network: Network, recorded: dict[str, IntArray], run: Run) -> dict[str, int]:
    return {name: int((np.stack([step.fired for step in steps]) != recorded[name]).sum())
            for name, steps in chain(network, recorded["image"], run)}


def test_every_recorded_value_is_computed(network: Network, recorded: dict[str, IntArray]) -> None:
    compared = 0
    for name, steps in chain(network, recorded["image"]):
        fired = np.stack([step.fired for step in steps])
        np.testing.assert_array_equal(fired, recorded[name])
        compared += fired.size
        if f"{name}_v" in recorded:
            np.testing.assert_array_equal(np.stack([step.current for step in steps]), recorded[f"{name}_u"])
            potentials = np.stack([np.where(step.fired, REFRACTORY, step.potential) for step in steps])
            np.testing.assert_array_equal(potentials, recorded[f"{name}_v"])
            compared += 2 * fired.size
    # The answer was recorded in a run of its own, with 25 steps and resets every 16.
    *_, (_, last) = chain(network, recorded["image"], length=25, late=-1, every=16)
    answer = network.layer("dense3")
    spikes = a_step_later(np.stack([step.fired for step in last]).astype(np.int64))
    currents = connection_sums(answer.connections[0], to_planes(spikes), answer.shape)
    potentials = np.concatenate([np.cumsum(currents[a:b], axis=0) for a, b in segments(8, 16, 25)])
    np.testing.assert_array_equal(currents, recorded["fc_3_u"])
    np.testing.assert_array_equal(potentials, recorded["fc_3_v"])
    np.testing.assert_array_equal(recorded["fc_3"], 0)  # it cannot fire
    assert compared + 3 * recorded["fc_3"].size == 5_862_315


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


def test_the_recurrence_written_once_more_is_the_neuron(network: Network, recorded: dict[str, IntArray]) -> None:
    assert not any(wrong_spikes(network, recorded, Variant()).values())


@pytest.mark.parametrize("case", BROKEN)
def test_nothing_near_it_makes_these_spikes(case: str, network: Network, recorded: dict[str, IntArray]) -> None:
    """Wrong spikes by layer, each layer fed by its own chain. Rounding down is seen from conv 3 on only."""
    run, expected = BROKEN[case]
    assert list(wrong_spikes(network, recorded, run).values())[: len(expected)] == expected


@pytest.fixture(scope="module")
def trace(recorded: dict[str, IntArray]) -> Trace:
    return capture_netx(Path(str(FOLDER)) / "network.net", recorded["image"])


def wide_core() -> Architecture:
    """The shipped core with room for the chip's weights times 2**6 and for two of PilotNet's planes."""
    design = dump_architecture(load_architecture("event_core_64"))
    design["core"] |= {"weight_bits": 15, "payload_bits": 7}
    design["spike_buffer"]["capacity"] = "4194304 bit"
    return rebuild_architecture(design)


def test_a_captured_trace_holds_the_recorded_spikes(trace: Trace, recorded: dict[str, IntArray]) -> None:
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
