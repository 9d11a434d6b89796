"""Synthetic traces: a named network with seeded random weights, tuned to a spike density, doing its own arithmetic.

Density is in spikes per neuron and timestep (set bits per neuron and bit for a quantised ANN). Thresholds are tuned
layer by layer on the first samples; the spikes are those that forward() computes, so a replay agrees bit for bit.
Integers alone decide, and random numbers come from the raw PCG64 stream, which NumPy keeps fixed: one seed is one trace
on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError, shown
from hwsim.snn.forward import forward, layer_sums, safe_potential_bits, to_planes
from hwsim.snn.network import INPUT, Connection, InputSpec, IntArray, Layer, Network, Shape
from hwsim.snn.neurons import MODELS, Neuron, ReadOut
from hwsim.snn.sample import Sample
from hwsim.trace.file import MAX_HELD_BYTES
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

T = TypeVar("T")
Progress = Callable[[int, int], None]

# Magnitudes that keep 20% density in 16-bit potentials: an 8-bit input and a global average need smaller ones.
WEIGHT_LIMIT, LINEAR_WEIGHT_LIMIT, FIRST_WEIGHT_LIMIT = 31, 15, 2
# A residual join scales the skipped spike to about the spread of the convolution it joins.
SKIP_LOW, SKIP_HIGH = 32, 96
TUNING_SAMPLES = 4
MAX_TIMESTEPS, MAX_BITS = 64, 16
ROW_BYTES = 350
"""Of a recorded row, beside its bits: its hash, its place, and the objects that hold them (tests/snn/test_synth.py)."""


class SynthError(HwsimError):
    """A synthetic trace that cannot be made as asked; the text says what is possible."""


@dataclass(frozen=True)
class Wire:
    """One connection to be: where from, and its geometry."""

    source: str
    operator: Literal["conv2d", "linear", "identity"] = "conv2d"
    stride: int = 1
    pool: int = 1
    channel_offset: int = 0


@dataclass(frozen=True)
class Plan:
    """One layer to be."""

    name: str
    channels: int
    wires: tuple[Wire, ...]


def synthesise(
    network: str = "vgg16-cifar10", timesteps: int = 4, density: float = 0.2, samples: int = 8, seed: int = 0,
    coding: str = "rate", head: int | None = None, pool: str = "folded", progress: Progress | None = None,
) -> Trace:
    """A trace in memory of `samples` random inputs through a random network of the named shape.

    network    vgg16-cifar10, resnet20-cifar10, tiny or event-camera (NETWORKS). The inputs of the last are spikes, as many as
               its neurons send; those of the others are images.
    head       width of two hidden linear layers (VGG).
    timesteps  T, or the bits of an activation for bit_serial and quantised, which compute the same values.
    pool       folded, unit or max (max: rate coding only).           progress   called with (steps done, of).

    All potentials are as wide as the widest layer needs for no partial sum of any sample to saturate, in whatever order
    events arrive.
    Raises SynthError when a parameter is out of range, or when more than MAX_HELD_BYTES would be held.
    """
    check_asked(network, timesteps, density, samples, seed, coding, head, pool)
    shape, plans = NETWORKS[network](head)
    steps = Steps(progress, len(plans) + 2 * samples)
    # Two streams and a fixed number of tuning samples: one seed is one network, however many samples are asked for.
    image = Integers(seed, stream=1)
    spec = InputSpec(shape, "spikes", timesteps) if network in EVENT_CAMERAS else InputSpec(shape)
    inputs = [image((spec.timesteps, shape[1], shape[2], shape[0]), 0, 255) for _ in range(max(samples, TUNING_SAMPLES))]
    if spec.is_spikes:
        inputs = [(each < round(256 * density)).astype(np.int16) for each in inputs]
    settings = (timesteps, density, synthetic_models()[coding], pool)
    net = _build(spec, plans, Integers(seed, stream=0), inputs[:TUNING_SAMPLES], settings, steps)
    del inputs[samples:]
    width = max(safe_potential_bits(net, steps.over(inputs)).values())
    net = replace(net, layers=tuple(replace(layer, potential_bits=width) for layer in net))
    provenance = {
        "origin": "synthetic: random weights and inputs, spikes as the network computes them",
        "script": "hwsim trace synth", "licence": "CC0-1.0", "network": network, "timesteps": timesteps,
        "density": density, "seed": seed, "coding": coding, "head": head, "pool": pool,
    }
    with TraceWriter(net, name=f"{network}-{coding}-t{timesteps}", provenance=provenance) as writer:
        for planes in steps.over(inputs):
            recorded, potentials = forward(net, planes)
            # No labels: how often a random network is right says nothing.
            last = net.layers[-1].name
            writer.append(Sample(planes, recorded), potentials={last: potentials[last]})
        return writer.finish()


def synthetic_models() -> dict[str, Neuron]:
    """By coding, the models that random traces are made of."""
    return {model.coding: model() for model in MODELS.values() if model.synthetic}


class Steps:
    """Counts what is done of a known number of steps, and tells `progress` after each."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each counted when the next is asked for."""
        for item in items:
            yield item
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)


class Integers:
    """Uniform integers from the raw bits of PCG64, identical on every machine and NumPy version."""

    def __init__(self, seed: int, stream: int) -> None:
        self._bits = np.random.PCG64((seed, stream))

    def __call__(self, shape: tuple[int, ...], low: int, high: int) -> NDArray[np.int16]:
        """Integers in [low, high], at most 2**15 of them apart, from 16 bits each (bias below range / 2**16)."""
        count = int(np.prod(shape))
        words = self._bits.random_raw(-(-count // 4)).astype("<u8").view("<u2")[:count].astype(np.uint32)
        return ((words * np.uint32(high - low + 1) >> np.uint32(16)).astype(np.int16) + np.int16(low)).reshape(shape)


# -- networks -----------------------------------------------------------------------------------------------------


def vgg16_cifar10(head: int | None) -> tuple[Shape, list[Plan]]:
    """13 convolutions with five 2x2 pools, then 512 -> 10, or 512 -> head -> head -> 10 as the papers count."""
    plans: list[Plan] = []
    source, pool = INPUT, 1
    for block, (channels, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for k in range(1, depth + 1):
            plans.append(Plan(f"conv{block}_{k}", channels, (Wire(source, pool=pool),)))
            source, pool = plans[-1].name, 1
        pool = 2
    for k in range(1, 3 if head else 1):
        plans.append(Plan(f"fc{k}", head or 0, (Wire(source, "linear", pool=pool),)))
        source, pool = plans[-1].name, 1
    return (3, 32, 32), [*plans, Plan("out", 10, (Wire(source, "linear", pool=pool),))]


def resnet20_cifar10(head: int | None) -> tuple[Shape, list[Plan]]:
    """He et al. 2016, CIFAR: three stages of three blocks, 16, 32, 64 channels; option-A shortcuts; global average."""
    plans = [Plan("conv1", 16, (Wire(INPUT),))]
    for stage, channels in enumerate((16, 32, 64), 1):
        for block in range(1, 4):
            before, first = plans[-1], f"block{stage}_{block}a"
            stride = 2 if stage > 1 and block == 1 else 1
            offset = (channels - before.channels) // 2
            skip = Wire(before.name, "identity", stride, channel_offset=offset)
            plans.append(Plan(first, channels, (Wire(before.name, stride=stride),)))
            plans.append(Plan(f"block{stage}_{block}b", channels, (Wire(first), skip)))
    return (3, 32, 32), [*plans, Plan("out", 10, (Wire(plans[-1].name, "linear", pool=8),))]


def tiny(head: int | None) -> tuple[Shape, list[Plan]]:
    """A few hundred neurons with everything in them: residual join, stride, option-A shortcut, pooling, read-out."""
    return (2, 8, 8), [
        Plan("conv1", 8, (Wire(INPUT),)),
        Plan("conv2", 8, (Wire("conv1"), Wire("conv1", "identity"))),
        Plan("conv3", 16, (Wire("conv2", stride=2), Wire("conv2", "identity", 2, channel_offset=4))),
        Plan("conv4", 16, (Wire("conv3", pool=2),)),
        Plan("out", 10, (Wire("conv4", "linear"),)),
    ]


def event_camera(head: int | None) -> tuple[Shape, list[Plan]]:
    """Two polarities of 128 x 128 pixels, four convolutions with 2x2 pools between them, ten outputs.

    Layers as large as this do not fit the membrane memory of a core of 64 lanes, not even a group of their channels.
    """
    plans = [Plan("conv1", 8, (Wire(INPUT),))]
    for number, channels in enumerate((16, 32, 64), 2):
        plans.append(Plan(f"conv{number}", channels, (Wire(plans[-1].name, pool=2),)))
    return (2, 128, 128), [*plans, Plan("out", 10, (Wire("conv4", "linear", pool=4),))]


NETWORKS: dict[str, Callable[[int | None], tuple[Shape, list[Plan]]]] = {
    "vgg16-cifar10": vgg16_cifar10, "resnet20-cifar10": resnet20_cifar10, "tiny": tiny, "event-camera": event_camera,
}
EVENT_CAMERAS = ("event-camera",)
"""Networks whose inputs are spikes."""

# -- building and tuning ------------------------------------------------------------------------------------------

Settings = tuple[int, float, Neuron, str]


def _build(
    spec: InputSpec, plans: list[Plan], draw: Integers, inputs: list[NDArray[np.int16]], settings: Settings,
    steps: Steps,
) -> Network:
    """Layer after layer: draw weights, tune on what the layers before send, and let it send."""
    net = Network(spec, ())
    planes: list[dict[str, NDArray[np.integer]]] = [{INPUT: image} for image in inputs]
    for plan in steps.over(plans):
        layer = _drawn(net, plan, draw, settings, last=plan is plans[-1])
        net = replace(net, layers=(*net.layers, layer))
        sums = [layer_sums(net, layer, sample) for sample in planes]
        layer = _tuned(layer, sums, settings)
        net = replace(net, layers=(*net.layers[:-1], layer))
        for sample, its_sums in zip(planes, sums, strict=True):
            outputs = layer.neuron.emit(its_sums, layer)[0]
            if len(outputs):
                sample[layer.name] = to_planes(outputs)
    return net


def _drawn(net: Network, plan: Plan, draw: Integers, settings: Settings, last: bool) -> Layer:
    """A layer with random weights and no threshold yet."""
    timesteps, _, hidden, pool = settings
    connections = tuple(_connection(net, wire, plan.channels, draw, pool) for wire in plan.wires)
    neuron: Neuron = ReadOut() if last else hidden
    shape = connections[0].natural_shape(plan.channels)
    if hidden.sends_values:
        return Layer(plan.name, shape, connections, neuron, 1, payload_bits=0 if last else timesteps)
    return Layer(plan.name, shape, connections, neuron, timesteps)


def _connection(net: Network, wire: Wire, channels: int, draw: Integers, pool: str) -> Connection:
    bare, conv = _bare(net, wire, pool), wire.operator == "conv2d"
    limit = FIRST_WEIGHT_LIMIT if wire.source == INPUT and net.input.is_direct else WEIGHT_LIMIT if conv else LINEAR_WEIGHT_LIMIT
    low, high = (SKIP_LOW, SKIP_HIGH) if wire.operator == "identity" else (-limit, limit)
    weights = draw(bare.weight_shape(bare.natural_shape(channels)), low, high)
    return replace(bare, weights=weights.astype(np.int8))


def _bare(net: Network, wire: Wire, pool: str) -> Connection:
    """The connection without weights."""
    shape = net.input.shape if wire.source == INPUT else net.layer(wire.source).shape
    conv = wire.operator == "conv2d"
    return Connection(
        wire.source, wire.operator, shape, None, 3 if conv else 1, wire.stride, 1 if conv else 0, 1, wire.pool,
        pool if wire.pool > 1 else "none", wire.channel_offset,  # type: ignore[arg-type]
    )


def _tuned(layer: Layer, sums: list[IntArray], settings: Settings) -> Layer:
    """The layer with the threshold, and where that is not enough the bias, that gives the asked density."""
    timesteps, density, _, _ = settings
    if not layer.sends:
        return layer
    neurons = len(sums) * layer.neurons * timesteps
    target = round(density * neurons)

    def spikes(candidate: Layer) -> int:
        outputs = [candidate.neuron.emit(s, candidate)[0] for s in sums]
        return sum(_set_bits(o) for o in outputs)

    # A neuron that starts at half of the threshold is silent only if twice its sum stays below.
    top = 2 * max(1, *(int(np.abs(s).sum(axis=0).max()) for s in sums))
    level = _bisect(lambda n: spikes(_with_level(layer, n, timesteps)) - target, 1, top)
    best = _with_level(layer, level, timesteps)
    if abs(spikes(best) - target) <= max(1, target // 50):
        return best
    # Zero-mean sums cannot spike more often than about half of the time: spread them over the levels that there are,
    # then raise them all by a bias.
    spread = sum(int(np.abs(s).sum()) // s.size for s in sums) // len(sums)
    level = max(1, spread >> (timesteps - 1) if layer.neuron.writes_numbers else spread)
    fixed = _with_level(layer, level, timesteps)
    bias = _bisect(lambda n: target - spikes(_with_bias(fixed, n)), 0, top + (2 * level << timesteps))
    return min((best, _with_bias(fixed, bias)), key=lambda candidate: abs(spikes(candidate) - target))


def _with_level(layer: Layer, level: int, timesteps: int) -> Layer:
    """Thresholds from one number: theta of spikes; half of the last bit's step of numbers, which round to nearest."""
    unit = 2 * level if layer.neuron.writes_numbers else level
    theta = layer.neuron.threshold(unit, timesteps)
    thresholds = np.full(layer.neuron.thresholds_needed(layer.timesteps), theta, np.int64)
    initial = np.full((1, 1, 1), unit // 2, np.int64)
    return replace(layer, thresholds=thresholds, initial_potential=initial)


def _with_bias(layer: Layer, bias: int) -> Layer:
    return replace(layer, bias=np.full((1, 1, 1), bias, np.int64))


def _bisect(excess: Callable[[int], int], low: int, high: int) -> int:
    """The n in [low, high] that brings a falling `excess(n)` nearest to zero."""
    while high - low > 1:
        middle = (low + high) // 2
        if excess(middle) > 0:
            low = middle
        else:
            high = middle
    return min((low, high), key=lambda n: abs(excess(n)))


def _set_bits(values: IntArray) -> int:
    return int(np.bitwise_count(values).sum())


def check_asked(
    network: str = "vgg16-cifar10", timesteps: int = 4, density: float = 0.2, samples: int = 8, seed: int = 0,
    coding: str = "rate", head: int | None = None, pool: str = "folded",
) -> None:
    """Whether `synthesise` can make what is asked of it. Raises SynthError with all that is wrong, before anything is made."""
    wrong = []
    if network not in NETWORKS:
        wrong.append(f"network {network!r}: allowed are {', '.join(NETWORKS)}")
    models = synthetic_models()
    model = models.get(coding)
    if model is None:
        wrong.append(f"coding {coding!r}: allowed are {', '.join(models)}")
    spikes = model is not None and not model.writes_numbers
    if network in EVENT_CAMERAS and model is not None and not spikes:
        wrong.append(f"coding {coding!r}: an event camera sends spikes; with {network} allowed is rate")
    top = MAX_TIMESTEPS if spikes else MAX_BITS
    if not 1 <= timesteps <= top:
        wrong.append(f"timesteps {timesteps}: allowed are 1 to {top} for {coding}")
    if not 0 < density < 1:
        wrong.append(f"density {density}: spikes per neuron and timestep, between 0 and 1")
    if samples < 1:
        wrong.append(f"samples {samples}: at least 1")
    if seed < 0:
        wrong.append(f"seed {seed}: 0 or more")
    if head is not None and (head < 1 or network != "vgg16-cifar10"):
        wrong.append(f"head {head}: a positive width, for vgg16-cifar10 only")
    if pool not in ("folded", "unit", "max") or (pool == "max" and not spikes):
        wrong.append(f"pool {pool!r}: allowed are folded, unit, and max with rate coding")
    if wrong:
        raise SynthError("synthetic trace: " + "; ".join(shown(each, 200, str) for each in wrong))
    fixed, per_sample = held_bytes(network, timesteps, head)
    if fixed + samples * per_sample > MAX_HELD_BYTES:
        most = (MAX_HELD_BYTES - fixed) // per_sample
        raise SynthError(f"synthetic trace: {shown(samples, 40, str)} samples of {network} would hold "
                         f"{_gib(fixed + samples * per_sample)} of memory, at most {MAX_HELD_BYTES >> 30} GiB are allowed; "
                         + (f"ask for at most {most:,} samples, or make several traces with other seeds" if most > 0 else
                            f"head {shown(head, 40, str)} is too wide"))


def held_bytes(network: str, timesteps: int, head: int | None) -> tuple[int, int]:
    """About how many bytes `synthesise` holds: whatever the number of samples, for weights; and for each sample.

    A weight takes one byte, and 14 more while its layer is drawn. A sample's inputs take two bytes a value. In the trace they
    take eight bits, what layers send a bit per neuron and timestep, and each row ROW_BYTES; the trace is copied when it is done.
    """
    shape, plans = NETWORKS[network](head)
    inputs = math.prod(shape) * (timesteps if network in EVENT_CAMERAS else 1)
    net, weights, sent = Network(InputSpec(shape), ()), [0], 0
    for plan in plans:
        bare = tuple(_bare(net, wire, "folded") for wire in plan.wires)
        made = bare[0].natural_shape(plan.channels)
        weights += [math.prod(each.weight_shape(made)) for each in bare]
        sent += math.prod(made) * timesteps
        net = replace(net, layers=(*net.layers, Layer(plan.name, made, bare, ReadOut(), 1)))
    recorded = inputs + -(-sent // 8) + ROW_BYTES * (len(plans) + 1)
    return sum(weights) + 14 * max(weights), 2 * inputs + 2 * recorded


def _gib(size_bytes: int) -> str:
    """Up to 999 of them in digits; beyond that nobody reads on."""
    gib = size_bytes / 2**30 if size_bytes < 2**70 else math.inf
    return f"about {gib:,.1f} GiB" if gib < 1000 else "more than 1,000 GiB"
