"""Integer networks from the trained Fashion-MNIST network, and their evaluation. This module owns two integer
forms of the network of ``train.py`` and the exact simulation that measures them: *levels*, for the bit-serial
spiking network of 4 time steps (its spike planes carry the bits of a level 0 to 15) and for the quantised
integer network alike; and *rate*, for integrate-and-fire neurons with soft reset, whose spikes stand for
lambda each. Weights are int8; biases, thresholds and potentials are integers whose unit is the layer's weight
step times the real value of one input unit (a pixel step, a level or a spike). Sums are taken on integers in
float32, and checked to stay below 2^24 in whatever order they are taken, so they are exact. Source of the
bit-serial rules: the project's cycle model, "Bit-serial arithmetic that is exact".
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import train
from train import CONVS, LEVELS, POOL, Conv, IntegerBlock, IntegerNetwork, Network

Net = dict[str, np.ndarray]
Ranges = dict[str, tuple[int, int]]
Parts = tuple[Tensor, Tensor]  # what neurons receive: positive and negative contributions, summed apart
PLACES = (8, 4, 2, 1)  # values of the four spike planes, most significant first
RATE_TIMESTEPS = (4, 8, 16)
EXACT_LIMIT = 2**24  # float32 holds every integer up to here


# ---------------------------------------------------------------------------------------------- conversion


def load(path: Path) -> IntegerNetwork:
    """The trained network of a checkpoint that ``train.py --out`` wrote."""
    model = IntegerNetwork(Network())
    model.load_state_dict(torch.load(path)["model"])
    return model.eval()


def levels_network(model: IntegerNetwork) -> Net:
    """Bit-serial and quantised integer network: out = clip(floor((S + q/2) / q), 0, 15), theta = 16 q."""
    return integer_network(model, levels_per_unit=1)


def rate_network(model: IntegerNetwork) -> Net:
    """Rate-coded network with the same weights: a spike stands for lambda, 16 levels, hence theta = q."""
    return integer_network(model, levels_per_unit=LEVELS)


def integer_network(model: IntegerNetwork, levels_per_unit: int) -> Net:
    """Arrays NAME_w, NAME_b, NAME_theta of every convolution, identity_m, fc_w and fc_b (already times 49).

    ``levels_per_unit`` is what an input of 1 stands for in every layer but the first, which receives pixels.
    """
    net: Net = {}
    for spec in CONVS:
        layer = model.get_submodule(spec.name)
        levels = 1 if spec is CONVS[0] else levels_per_unit
        net |= parameters(spec.name, layer, levels)
        net[f"{spec.name}_theta"] = np.int64(LEVELS * layer.divisor.item() / levels)
        if spec.shortcut:
            net["identity_m"] = np.int8(layer.identity.item())
    net |= parameters("fc", model.fc, levels_per_unit)
    net["fc_b"] = net["fc_b"] * POOL**2  # the folded pool makes every other term 49 times larger
    return net


def parameters(name: str, layer: IntegerBlock, levels: int) -> Net:
    """Weight and bias of one layer whose input of 1 stands for ``levels`` levels (for pixels: 1)."""
    weight = layer.integers()[0].detach().numpy()
    bias = np.floor(layer.bias.detach().numpy() / np.float32(levels * layer.unit.item()) + 0.5)
    return {f"{name}_w": weight.astype(np.int8), f"{name}_b": bias.astype(np.int64)}


# ---------------------------------------------------------------------------------------- exact simulation


def split(x: Tensor) -> Parts:
    return x.clamp(min=0), x.clamp(max=0)


def add(*terms: Parts) -> Parts:
    positive, negative = zip(*terms, strict=True)
    return sum(positive), sum(negative)


def convolve(net: Net, spec: Conv, x: Tensor, shortcut: Tensor | None, bias: Tensor | None = None) -> Parts:
    """What a layer receives from inputs x >= 0, its ``shortcut`` and, if given, a bias (C, 1, 1)."""
    weight = torch.cat(split(torch.tensor(net[f"{spec.name}_w"], dtype=torch.float32)))
    both = None if bias is None else torch.cat(split(bias)).flatten()
    positive, negative = functional.conv2d(x, weight, both, stride=spec.stride, padding=1).chunk(2, dim=1)
    if shortcut is not None:
        positive = positive + float(net["identity_m"]) * shortcut
    return positive, negative


def read_out(net: Net, x: Tensor) -> Parts:
    """What the linear layer receives with the pool folded: an event counts wherever it happens."""
    positive, negative = split(torch.tensor(net["fc_w"], dtype=torch.float32))
    events = x.sum((2, 3))
    return functional.linear(events, positive), functional.linear(events, negative)


def bias_of(net: Net, name: str) -> Tensor:
    """Bias of a layer, shaped like its potentials."""
    bias = torch.tensor(net[f"{name}_b"], dtype=torch.float32)
    return bias if name == "fc" else bias[:, None, None]


def widen(ranges: Ranges, name: str, low: int, high: int) -> None:
    low_before, high_before = ranges.get(name, (0, 0))
    ranges[name] = min(low_before, low), max(high_before, high)


def accumulate(ranges: Ranges, name: str, start: Tensor, parts: Parts) -> Tensor:
    """start + parts; widens the range of ``name`` by all that any order of additions could pass through."""
    positive, negative = parts
    highest = start + positive
    low, high = int((start + negative).min()), int(highest.max())
    if max(-low, high) >= EXACT_LIMIT:
        raise OverflowError(f"{name}: sums between {low} and {high} are not exact in float32")
    widen(ranges, name, low, high)
    return highest + negative


def integer_ann(net: Net, pixels: Tensor) -> dict[str, Tensor]:
    """Levels of every layer, (N, C, H, W), and the logits under "fc", in closed form."""
    outputs: dict[str, Tensor] = {}
    x = pixels.float()
    for spec in CONVS:
        divisor = int(net[f"{spec.name}_theta"]) // LEVELS
        total = sum(convolve(net, spec, x, outputs.get(spec.shortcut), bias_of(net, spec.name)))
        x = torch.floor_divide(total + divisor // 2, divisor).clamp(0, LEVELS - 1)
        outputs[spec.name] = x
    outputs["fc"] = sum(read_out(net, x)) + bias_of(net, "fc")
    return outputs


def bit_serial(net: Net, pixels: Tensor, ranges: Ranges) -> dict[str, Tensor]:
    """Spike planes of every layer, (4, N, C, H, W), most significant first, and the logits under "fc".

    A layer accumulates all planes of its input, then fires in 4 passes. ``ranges`` gathers what potentials
    can reach, for any order of events and planes, and whether bias and rounding offset come first or last.
    """
    outputs: dict[str, Tensor] = {}
    zero = torch.zeros(())
    planes, places = [pixels.float()], (1,)
    for spec in CONVS:
        theta = int(net[f"{spec.name}_theta"])
        initial = split(bias_of(net, spec.name) + theta // (2 * LEVELS))
        shortcuts = outputs.get(spec.shortcut, [None] * len(places))
        received = [convolve(net, spec, plane, shortcut)
                    for plane, shortcut in zip(planes, shortcuts, strict=True)]
        potential = accumulate(ranges, spec.name, zero, add(initial, *weigh(places, received)))
        planes, places = fire_bit_serial(potential, theta), PLACES
        outputs[spec.name] = planes
    received = [read_out(net, plane) for plane in planes]
    outputs["fc"] = accumulate(ranges, "fc", zero, add(split(bias_of(net, "fc")), *weigh(places, received)))
    return outputs


def weigh(places: tuple[int, ...], received: list[Parts]) -> list[Parts]:
    """Each plane's contributions at the plane's place value."""
    return [(place * positive, place * negative)
            for place, (positive, negative) in zip(places, received, strict=True)]


def fire_bit_serial(potential: Tensor, theta: int) -> Tensor:
    """Four passes of compare and subtract, with theta/2, theta/4, theta/8 and theta/16."""
    planes = []
    for p in range(len(PLACES)):
        threshold = theta >> (p + 1)
        spikes = (potential >= threshold).float()
        potential = potential - threshold * spikes
        planes.append(spikes)
    return torch.stack(planes)


def rate(net: Net, pixels: Tensor, timesteps: int, ranges: Ranges) -> dict[str, Tensor]:
    """Spikes of every layer, (T, N, C, H, W), and the logits under "fc", of the rate-coded network."""
    history = list(islice(rate_steps(net, pixels, ranges), timesteps))
    outputs = {spec.name: torch.stack([spikes[spec.name] for spikes in history]) for spec in CONVS}
    outputs["fc"] = rate_logits(net, outputs["conv5"].sum(0), timesteps, ranges)
    return outputs


def rate_steps(net: Net, pixels: Tensor, ranges: Ranges) -> Iterator[dict[str, Tensor]]:
    """The spikes of every layer, (N, C, H, W), in one time step after the other, without end.

    Potentials start at theta/2. The image becomes a current, computed once, its bias included, and added in
    every fire operation. ``ranges`` gathers what potentials can reach, for any order of a time step's events.
    """
    first, fired = CONVS[0].name, pixels.float()
    image = convolve(net, CONVS[0], fired, None, bias_of(net, first))
    current = split(accumulate(ranges, f"{first}_current", torch.zeros(()), image))
    potentials = {spec.name: torch.tensor(net[f"{spec.name}_theta"] // 2) for spec in CONVS}
    while True:
        spikes: dict[str, Tensor] = {}
        received = current
        for spec in CONVS:
            name, theta = spec.name, int(net[f"{spec.name}_theta"])
            if name != first:
                received = convolve(net, spec, fired, spikes.get(spec.shortcut), bias_of(net, name))
            potential = accumulate(ranges, name, potentials[name], received)
            fired = spikes[name] = (potential >= theta).float()
            potentials[name] = potential - theta * fired
        yield spikes


def rate_logits(net: Net, counts: Tensor, timesteps: int, ranges: Ranges) -> Tensor:
    """The read-out after ``timesteps``: it starts at T times the bias and adds every spike of ``counts``."""
    return accumulate(ranges, "fc", timesteps * bias_of(net, "fc"), read_out(net, counts))


# ---------------------------------------------------------------------------------------------- evaluation


def check_equal(ann: dict[str, Tensor], spiking: dict[str, Tensor]) -> None:
    """Every level of every neuron, and every logit, must be the same in both networks."""
    for name, planes in spiking.items():
        if name != "fc":
            planes = sum(place * plane for place, plane in zip(PLACES, planes, strict=True))
        if not torch.equal(planes, ann[name]):
            raise AssertionError(f"{name}: the bit-serial network differs from the integer network")


def signed_bits(low: int, high: int) -> int:
    """Width of the smallest two's-complement register that holds ``low`` and ``high``."""
    return max((-low - 1).bit_length(), high.bit_length()) + 1


def evaluate(levels: Net, rates: Net, images: Tensor, labels: Tensor,
             batch: int = 50) -> tuple[dict[str, float], dict[str, Ranges]]:
    """Accuracies in percent, and ranges of potentials, of the integer and the spiking networks."""
    ranges: dict[str, Ranges] = defaultdict(dict)
    right: dict[str, int] = defaultdict(int)
    for n, (x, y) in enumerate(zip(images.split(batch), labels.split(batch), strict=True)):
        ann = integer_ann(levels, x)
        spiking = bit_serial(levels, x, ranges["bit_serial_T4"])
        check_equal(ann, spiking)
        logits = {"integer_ann": ann["fc"], "bit_serial_T4": spiking["fc"]} | evaluate_rate(rates, x, ranges)
        for name, values in logits.items():
            right[name] += int((values.argmax(1) == y).sum())
        train.log(f"{n * batch + len(x)} images, right: {dict(right)}")
    return {name: 100 * count / len(labels) for name, count in right.items()}, ranges


def evaluate_rate(net: Net, pixels: Tensor, ranges: dict[str, Ranges]) -> dict[str, Tensor]:
    """Logits of the rate-coded network by name, "rate_T4" and so on: one run, read out several times."""
    logits, running, counts = {}, {}, 0
    for t, spikes in enumerate(islice(rate_steps(net, pixels, running), max(RATE_TIMESTEPS)), start=1):
        counts = counts + spikes["conv5"]
        if t in RATE_TIMESTEPS:
            name = f"rate_T{t}"
            logits[name] = rate_logits(net, counts, t, ranges[name])
            for layer, ends in running.items():
                widen(ranges[name], layer, *ends)
    return logits


def trained_accuracies(work: Path, model: IntegerNetwork, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracies in percent of the three training stages, each run as it was trained."""
    float_ann, levels_ann = Network(), Network()
    for name, network in (("float", float_ann), ("levels", levels_ann)):
        network.load_state_dict(torch.load(work / f"{name}.pt")["model"])
    for block in levels_ann.blocks():
        block.quantised = True
    networks = {"float_ann": float_ann, "levels_ann_float_weights": levels_ann, "quantised_ann": model}
    return {name: train.accuracy(network, images, labels) for name, network in networks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert the trained network to integers and measure it.")
    parser.add_argument("--data", type=Path, default=train.DATA, help="folder of the idx files")
    parser.add_argument("--checkpoint", type=Path, default=Path(__file__).with_name("quantised.pt"))
    parser.add_argument("--work", type=Path, required=True, help="folder of the training checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="folder for levels.npz and rate.npz")
    parser.add_argument("--report", type=Path, default=Path(__file__).with_name("accuracy.json"))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images, labels = train.read_split(args.data, "t10k")
    model, saved = load(args.checkpoint), torch.load(args.checkpoint)
    levels, rates = levels_network(model), rate_network(model)
    np.savez(args.out / "levels.npz", **levels)
    np.savez(args.out / "rate.npz", **rates)
    accuracies = trained_accuracies(args.work, model, images, labels)
    integer_accuracies, ranges = evaluate(levels, rates, images, labels)
    report = {
        "test_images": len(labels),
        "seed": saved["seed"],
        "epochs": saved["epochs"],
        "accuracy_percent": {name: round(a, 2) for name, a in (accuracies | integer_accuracies).items()},
        "potential_range": ranges,
        "signed_bits": {name: {layer: signed_bits(*ends) for layer, ends in by_layer.items()}
                        for name, by_layer in ranges.items()},
    }
    args.report.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
