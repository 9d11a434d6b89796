"""Intel's PilotNet as lava-dl published it: the network file, the recorded spikes and states, and the chain that reproduces them.

Not part of hwsim: a folder of the user's holds `network.net` and `recorded.npz` (docs/capture.md). The recording has spikes
(x, y, channel, step) of 24 steps of the chip, and currents and potentials from conv 1 on. A layer of the chip integrates in step
t + 1 what was sent in step t, and layer k is reset before the steps k and k + 17: the chain is followed step by step of the chip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.capture import from_netx
from hwsim.errors import HwsimError
from hwsim.snn.forward import connection_sums, to_planes
from hwsim.snn.network import Layer, Network
from hwsim.snn.neurons import CubaLif

NAMES = ("input", "conv_0", "conv_1", "conv_2", "conv_3", "conv_4", "fc_0", "fc_1", "fc_2")
STEPS = 24
REFRACTORY = 128
"""What the chip's potential register holds of a neuron that has just fired: a count, where hwsim has zero."""
NETWORK, RECORDED = "network.net", "recorded.npz"
IntArray = NDArray[np.int64]
Recorded = Mapping[str, IntArray]
Run = Callable[[Layer, IntArray], Iterator[Any]]


class RecordingError(HwsimError):
    """A folder that does not hold the network and its recording; the text says what is missing."""


@dataclass(frozen=True)
class Compared:
    """Values that were compared with the recording, and how many are equal."""

    equal: int
    values: int


def check_folder(folder: str | Path) -> Path:
    """The folder, with both files in it. Raises RecordingError."""
    found = Path(folder)
    missing = [name for name in (NETWORK, RECORDED) if not (found / name).is_file()]
    if missing:
        state = "is no folder" if not found.is_dir() else f"has no {' and no '.join(missing)}"
        raise RecordingError(f"{folder}: {state}; expected a folder with {NETWORK}, lava-dl's PilotNet, and {RECORDED}, what was "
                             "recorded of it (docs/capture.md, From lava-dl)")
    return found


def read_recording(folder: str | Path) -> Recorded:
    """Arrays by name, (steps, C, H, W); `image` is one step. Raises RecordingError."""
    found = {}
    with np.load(check_folder(folder) / RECORDED) as file:
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


def read_network(folder: str | Path) -> Network:
    """The network of a folder. Raises RecordingError."""
    return from_netx(check_folder(folder) / NETWORK)


def stepped(layer: Layer, sums: IntArray) -> Iterator[Any]:
    """The neuron's own steps."""
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


def compare_states(network: Network, recorded: Recorded) -> Compared:
    """Every recorded spike, current and potential beside the chain's own, from the image on."""
    pairs: list[tuple[IntArray, IntArray]] = []
    for name, steps in chain(network, recorded["image"]):
        pairs.append((np.stack([step.fired for step in steps]).astype(np.int64), recorded[name]))
        if f"{name}_v" in recorded:
            potentials = np.stack([np.where(step.fired, REFRACTORY, step.potential) for step in steps])
            pairs += [(np.stack([step.current for step in steps]), recorded[f"{name}_u"]), (potentials, recorded[f"{name}_v"])]
    # The answer was recorded in a run of its own, with 25 steps and resets every 16.
    *_, (_, last) = chain(network, recorded["image"], length=25, late=-1, every=16)
    answer = network.layer("dense3")
    spikes = a_step_later(np.stack([step.fired for step in last]).astype(np.int64))
    currents = connection_sums(answer.connections[0], to_planes(spikes), answer.shape)
    potentials = np.concatenate([np.cumsum(currents[a:b], axis=0) for a, b in segments(8, 16, 25)])
    silent = np.zeros_like(recorded["fc_3"])  # it cannot fire
    pairs += [(currents, recorded["fc_3_u"]), (potentials, recorded["fc_3_v"]), (silent, recorded["fc_3"])]
    assert all(ours.shape == theirs.shape for ours, theirs in pairs)
    return Compared(sum(int((ours == theirs).sum()) for ours, theirs in pairs), sum(theirs.size for _, theirs in pairs))
