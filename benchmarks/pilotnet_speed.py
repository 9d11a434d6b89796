"""How long a frame of PilotNet takes to replay on one core: 16 timesteps, ten layers, 48 M synaptic operations.

With the folder of Intel's network and recording that HWSIM_PILOTNET names (docs/capture.md), the frame with their image; else a
network of the same shapes whose spikes are drawn at the densities of that frame (so its replay finds mismatches).
Processor time, the least of several runs; the yardstick is plain NumPy, as in benchmarks/speed.py.

    python benchmarks/pilotnet_speed.py [--frames 8] [--rounds 5] [--synthetic] [--step-by-step]
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

import numpy as np
from speed import best_of, numpy_additions_a_second

import hwsim
from hwsim.arch import dump_architecture, load_architecture, rebuild_architecture
from hwsim.capture import capture_netx
from hwsim.engine.fast import chip
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import CubaLif, ReadOut
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

STEPS = 16
CHIP_MS = 2.4
"""Of one frame on the chip: 16 steps of about 151 us (docs/capture.md has the source)."""
CONVOLUTIONS = ((24, (2, 2), (0, 0)), (36, (2, 2), (0, 0)), (48, (2, 2), (0, 0)), (64, (2, 1), (1, 0)), (64, (1, 1), (0, 0)))
DENSE = (100, 50, 10, 1)
DENSITIES = (0.892, 0.083, 0.106, 0.125, 0.106, 0.101, 0.069, 0.035, 0.019)
"""Spikes per neuron and step of the layers that spike, in the frame with the image."""


def drawn_trace(frames: int) -> Trace:
    """A network of PilotNet's shapes with random even weights, and random spikes."""
    rng, neuron = np.random.default_rng(0), CubaLif(potential_decay=1024)
    wires = [Connection(INPUT, "identity", (3, 66, 200), np.full(3, 64))]
    channels = [3]
    source, shape = "layer0", (3, 66, 200)
    for number, (made, stride, padding) in enumerate(CONVOLUTIONS, 1):
        weights = 128 * rng.integers(-6, 6, (made, shape[0], 3, 3))
        wires.append(Connection(source, "conv2d", shape, weights, kernel=(3, 3), stride=stride, padding=padding))
        channels.append(made)
        source, shape = f"layer{number}", wires[-1].natural_shape(made)
    for number, made in enumerate(DENSE, len(wires)):
        wires.append(Connection(source, "linear", shape, 128 * rng.integers(-12, 12, (made, int(np.prod(shape))))))
        channels.append(made)
        source, shape = f"layer{number}", (made, 1, 1)
    layers = []
    for number, (wire, made) in enumerate(zip(wires, channels, strict=True)):
        last = number == len(wires) - 1
        layers.append(Layer(
            f"layer{number}", wire.natural_shape(made), (wire,), ReadOut() if last else neuron, STEPS,
            np.zeros(0, np.int64) if last else np.full(STEPS, 1600), None if last else np.full((made, 1, 1), 64),
            potential_bits=24))
    network = Network(InputSpec((3, 66, 200), "direct", 1, 7, True), tuple(layers))
    with TraceWriter(network, name="pilotnet-drawn") as writer:
        for _ in range(frames):
            planes = rng.integers(-60, 60, (1, 66, 200, 3)).astype(np.int16)
            recorded = {layer.name: (rng.random((STEPS, *layer.shape[1:], layer.shape[0])) < density).astype(np.uint8)
                        for layer, density in zip(network, DENSITIES, strict=False)}
            writer.append(Sample(planes, recorded))
        return writer.finish()


def recorded_trace(folder: Path, frames: int) -> Trace:
    with np.load(folder / "recorded.npz") as file:
        image = file["image"].transpose(2, 1, 0)[None].astype(np.int64)
    return capture_netx(folder / "network.net", np.repeat(image, frames, axis=0))


def designs() -> dict[str, hwsim.Architecture]:
    """event_core_64 with room for the chip's weights, and the same with memories that hold every layer whole."""
    shipped = dump_architecture(load_architecture("event_core_64"))
    shipped["core"] |= {"weight_bits": 15, "payload_bits": 7}
    shipped["spike_buffer"]["capacity"] = "4194304 bit"
    usual = rebuild_architecture(shipped)
    banks = dict.fromkeys(("weight", "membrane", "current", "spike"), 64)
    roomy = usual.with_memories(weight=2**27, membrane=2**27, current=2**27, bias=2**25, banks=banks)
    listed = roomy.with_spike_buffer(kind="aer", capacity=2**27)
    return {"event_core_64, widened": usual, "whole layers": roomy.with_spike_buffer(capacity=2**27),
            "whole layers, AER lists": listed}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--frames", type=int, default=8)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--synthetic", action="store_true", help="do not look at HWSIM_PILOTNET")
    options.add_argument("--step-by-step", action="store_true", help="timesteps one at a time, as a run with a log is executed")
    chosen = options.parse_args()
    folder = None if chosen.synthetic else os.environ.get("HWSIM_PILOTNET")
    trace = recorded_trace(Path(folder), 1 + chosen.frames) if folder else drawn_trace(1 + chosen.frames)
    additions = numpy_additions_a_second()
    print(f"{trace.name}; yardstick: plain NumPy, {additions / 1e9:.1f} G int16 additions a second")
    if chosen.step_by_step:
        chip.steps.does = lambda pack, state: False  # type: ignore[assignment]
    for name, design in designs().items():
        for check in (True, False):
            result = hwsim.simulate(trace, design, samples=1, check=check)  # compiles, too
            one, every = (best_of(chosen.rounds, partial(hwsim.simulate, trace, design, samples=n, check=check))
                          for n in (1, 1 + chosen.frames))
            frame = (every - one) / chosen.frames
            print(f"{name}{'' if check else ', timing only'}: {1e3 * frame:.1f} ms a frame, {1e3 * frame / CHIP_MS:.1f} x the "
                  f"chip's {CHIP_MS} ms; {frame * additions / result.synaptic_operations:.2f} x plain NumPy int16 additions of "
                  f"as many synaptic operations ({result.synaptic_operations / 1e6:.1f} M); mismatches {result.mismatches}")


if __name__ == "__main__":
    main()
