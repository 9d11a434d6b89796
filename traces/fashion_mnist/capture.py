"""Writes the shipped Fashion-MNIST traces from the trained checkpoint. This module owns the translation of the integer
networks of ``convert.py`` into hwsim Networks, and the recording: what is written is what ``convert.py``'s exact simulation
(PyTorch) emitted, and every spike, level and final potential is first compared with hwsim's own functional model (NumPy), so
that two implementations stand behind each file. Shapes are (C, H, W), spikes in order (t, y, x, c).

    python traces/fashion_mnist/capture.py            writes traces/fashion_mnist_*.h5
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import convert
import train
from hwsim.snn.forward import forward
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import BitSerial, IntegrateAndFire, Neuron, ReadOut, Requantise
from hwsim.snn.sample import Sample
from hwsim.trace.writer import TraceWriter
from train import CONVS, LEVELS, POOL

HERE = Path(__file__).parent
SAMPLES = 64
IMAGE = (1, 28, 28)
NAMES = {
    "bit_serial_t4": "bit_serial_T4", "rate_t4": "rate_T4", "rate_t8": "rate_T8", "rate_t16": "rate_T16",
    "ann": "integer_ann",
}


def hidden_layers(net: convert.Net, neuron: Neuron, timesteps: int, bits: dict[str, int]) -> list[Layer]:
    """The five convolutions, with what `neuron` makes of a threshold."""
    layers: list[Layer] = []
    shapes = {INPUT: IMAGE}
    before = INPUT
    for spec in CONVS:
        _, h, w = shapes[before]
        shape = (spec.channels_out, h // spec.stride, w // spec.stride)
        connections = [Connection(before, "conv2d", shapes[before], net[f"{spec.name}_w"], kernel=3, stride=spec.stride,
                                  padding=1)]
        if spec.shortcut:
            scale = np.full(spec.channels_out, int(net["identity_m"]), np.int8)
            connections.append(Connection(spec.shortcut, "identity", shapes[spec.shortcut], scale))
        theta = int(net[f"{spec.name}_theta"])
        step, offset, payload = thresholds(neuron, theta, timesteps)
        layers.append(Layer(
            spec.name, shape, tuple(connections), neuron, timesteps, thresholds=np.full(timesteps, step, np.int64),
            bias=net[f"{spec.name}_b"].reshape(-1, 1, 1), initial_potential=np.full((1, 1, 1), offset, np.int64),
            potential_bits=bits[spec.name], payload_bits=payload))
        shapes[spec.name], before = shape, spec.name
    return layers


def thresholds(neuron: Neuron, theta: int, timesteps: int) -> tuple[int, int, int]:
    """Threshold (or step), initial potential and payload bits of a neuron of threshold theta."""
    if isinstance(neuron, BitSerial):
        return theta, theta >> (timesteps + 1), 0
    if isinstance(neuron, Requantise):
        return theta // LEVELS, theta // LEVELS // 2, 4
    return theta, theta // 2, 0


def network(net: convert.Net, neuron: Neuron, timesteps: int, bits: dict[str, int]) -> Network:
    """The whole network; the 7 x 7 average pool is folded into the read-out, whose bias is 49 times larger."""
    layers = hidden_layers(net, neuron, timesteps, bits)
    last = layers[-1]
    # A read-out takes its bias once; the rate-coded network adds it in every timestep.
    times = timesteps if isinstance(neuron, IntegrateAndFire) else 1
    fold = Connection(last.name, "linear", last.shape, net["fc_w"], pool=POOL, pool_mode="folded")
    out = Layer("fc", (len(net["fc_b"]), 1, 1), (fold,), ReadOut(), timesteps,
                initial_potential=(times * net["fc_b"]).reshape(-1, 1, 1), potential_bits=bits["fc"])
    return Network(InputSpec(IMAGE, "direct", payload_bits=8), (*layers, out))


def recorded_outputs(name: str, nets: tuple[convert.Net, convert.Net], pixels: Tensor) -> dict[str, Tensor]:
    """What PyTorch's simulation emits: (T, N, C, H, W) for spikes, (N, C, H, W) for levels, logits under "fc"."""
    levels, rates = nets
    ranges: convert.Ranges = {}
    if name == "ann":
        return convert.integer_ann(levels, pixels)
    if name == "bit_serial_t4":
        return convert.bit_serial(levels, pixels, ranges)
    return convert.rate(rates, pixels, int(name.removeprefix("rate_t")), ranges)


def model_of(name: str, nets: tuple[convert.Net, convert.Net], bits: dict[str, dict[str, int]]) -> Network:
    levels, rates = nets
    if name == "ann":
        return network(levels, Requantise(), 1, bits["bit_serial_T4"])
    if name == "bit_serial_t4":
        return network(levels, BitSerial(), 4, bits["bit_serial_T4"])
    return network(rates, IntegrateAndFire(), int(name.removeprefix("rate_t")), bits[NAMES[name]])


def write(name: str, model: Network, outputs: dict[str, Tensor], pixels: Tensor, labels: Tensor, about: dict) -> Path:
    """One trace file; every sample is compared with the functional model before it is written."""
    path = HERE.parent / f"fashion_mnist_{name}.h5"
    with TraceWriter(model, path, name=path.stem, provenance=about) as writer:
        for i in range(len(pixels)):
            inputs = pixels[i].numpy().transpose(1, 2, 0)[None]
            recorded = {layer.name: planes(outputs[layer.name], i) for layer in model if layer.name != "fc"}
            potentials = {"fc": outputs["fc"][i].numpy().astype(np.int64).reshape(-1, 1, 1)}
            check(model, inputs, recorded, potentials, f"{path.name}, sample {i}")
            writer.append(Sample(inputs, recorded), label=int(labels[i]), potentials=potentials)
    return path


def planes(outputs: Tensor, sample: int) -> np.ndarray:
    """(T, H, W, C) of one sample, from (T, N, C, H, W) spikes or (N, C, H, W) levels."""
    chosen = outputs[:, sample] if outputs.ndim == 5 else outputs[sample][None]
    return np.ascontiguousarray(chosen.numpy().transpose(0, 2, 3, 1)).astype(np.uint8)


def check(
    model: Network, inputs: np.ndarray, recorded: dict[str, np.ndarray], potentials: dict[str, np.ndarray], where: str
) -> None:
    mine, final = forward(model, inputs)
    for layer, spikes in recorded.items():
        if not np.array_equal(mine[layer], spikes):
            raise AssertionError(f"{where}: {layer} differs between PyTorch and the functional model")
    if not np.array_equal(final["fc"], potentials["fc"]):
        raise AssertionError(f"{where}: the read-out differs between PyTorch and the functional model")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the Fashion-MNIST traces.")
    parser.add_argument("--data", type=Path, default=train.DATA, help="folder of the idx files")
    parser.add_argument("--checkpoint", type=Path, default=HERE / "quantised.pt")
    parser.add_argument("--report", type=Path, default=HERE / "accuracy.json", help="accuracies that convert.py measured")
    args = parser.parse_args()
    torch.set_num_threads(1)
    trained = convert.load(args.checkpoint)
    nets = convert.levels_network(trained), convert.rate_network(trained)
    report = json.loads(args.report.read_text())
    bits = defaultdict(dict, report["signed_bits"])
    images, labels = train.read_split(args.data, "t10k")
    for name, measured in NAMES.items():
        about = {
            "origin": "Fashion-MNIST test images 0 to 63 (Zalando SE), network trained by traces/fashion_mnist/train.py",
            "script": "traces/fashion_mnist/capture.py", "licence": "MIT (images), Apache-2.0 (network and spikes)",
            "accuracy_test_set": report["accuracy_percent"][measured],
            "accuracy_float_ann": report["accuracy_percent"]["float_ann"], "test_images": report["test_images"],
        }
        pixels = images[:SAMPLES]
        outputs = recorded_outputs(name, nets, pixels)
        path = write(name, model_of(name, nets, bits), outputs, pixels, labels[:SAMPLES], about)
        train.log(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, accuracy {about['accuracy_test_set']} %")


if __name__ == "__main__":
    main()
