"""The methods by name: which paper each one is, which source it wants, and the network that it makes of a checkpoint.

`convert` is the one way from a checkpoint to a Network; `record` goes on to a Trace. To add a method: a file of its own that
gives a Network, an entry in METHODS, and a line in docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hwsim.convert.alpha_beta import Scaling, algorithm_1, to_alpha_beta
from hwsim.convert.bit_serial import to_bit_serial, to_quantised_ann
from hwsim.convert.evaluate import Evaluation, evaluate, run_batch
from hwsim.convert.hybrid import encode, to_single_spike
from hwsim.convert.integers import ConversionError, Widths, input_unit, payloads
from hwsim.convert.rate import to_rate, to_two_stage
from hwsim.convert.source import FoldedSource, fold
from hwsim.convert.widths import needed_bits
from hwsim.snn.network import Network
from hwsim.snn.sample import Sample
from hwsim.snn.validate import validate_network
from hwsim.sources.activations import ALPHA_BETA
from hwsim.sources.calibrate import CALIBRATION_IMAGES, activation_percentiles
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.data import Dataset
from hwsim.sources.networks import SourceNetwork
from hwsim.sources.normaliser import Normaliser
from hwsim.sources.single_spike import SingleSpikeNetwork
from hwsim.trace.reader import Trace, TraceWriter


@dataclass(frozen=True)
class Request:
    """How to convert. tau: timesteps of the first stage (two_stage). below: what bit_serial does with fewer bits than
    were trained. calibration: training images that alpha_beta looks at."""

    method: str
    timesteps: int
    tau: int = 4
    widths: Widths = field(default_factory=Widths)
    below: Literal["refire", "truncate"] = "refire"
    calibration: int = CALIBRATION_IMAGES


Images = NDArray[np.uint8]
Encode = Callable[[Images], NDArray[np.integer]]
Built = tuple[Network, Encode, dict[str, Any]]


@dataclass(frozen=True)
class Method:
    """One published conversion. sources: activations of the ANNs that it takes. maximum: whether what its neurons send has a
    maximum, as binary spikes have."""

    paper: str
    says: str
    sources: tuple[str, ...]
    build: Callable[[Request, Checkpoint, Dataset], Built]
    maximum: bool = True


@dataclass(frozen=True, eq=False)
class Converted:
    """A network, and what is worth knowing of how it came about.

    inputs   turns images (N, H, W, C), 0 to 255, into the planes (N, planes, H, W, C) that drive the network.
    """

    network: Network
    inputs: Encode
    checkpoint: Checkpoint
    request: Request
    notes: dict[str, Any]


def _folded(request: Request, checkpoint: Checkpoint) -> tuple[FoldedSource, Encode]:
    """The ANN in numbers, and how its images become signed payloads."""
    says = checkpoint.description
    source = fold(checkpoint.network(), says.mean, says.std)
    unit = input_unit(source, request.widths)
    return source, lambda images: payloads(source, images, unit)


def _bit_serial(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = _folded(request, checkpoint)
    network = to_bit_serial(source, request.timesteps, request.widths, request.below)
    return network, inputs, {"below": request.below}


def _ann(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = _folded(request, checkpoint)
    return to_quantised_ann(source, request.timesteps, request.widths), inputs, {}


def _rate(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = _folded(request, checkpoint)
    return to_rate(source, request.timesteps, request.widths), inputs, {}


def _two_stage(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = _folded(request, checkpoint)
    return to_two_stage(source, request.timesteps, request.tau, request.widths), inputs, {"tau": request.tau}


def _alpha_beta(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    notes: dict[str, Any]
    source, inputs = _folded(request, checkpoint)
    says, trained = checkpoint.description, checkpoint.network()
    assert isinstance(trained, SourceNetwork)
    if says.activation.kind == ALPHA_BETA:
        _check_trained_for(checkpoint, request, "its thresholds")
        learnt = {layer.name: (layer.threshold, trained.activations()[layer.name].ceiling)
                  for layer in source.layers if layer.fires}
        factors = {name: Scaling(1.0, scale / threshold, 0.0) for name, (threshold, scale) in learnt.items()}
        notes = {"fine_tuned": True, "threshold_and_scale": {
            name: [round(threshold, 4), round(scale, 4)] for name, (threshold, scale) in learnt.items()}}
    else:
        images = data.train_images[: request.calibration]
        normalised = Normaliser(says.mean, says.std)(torch.from_numpy(images.copy()))
        factors = algorithm_1(source, request.timesteps, activation_percentiles(trained, normalised))
        notes = {"calibration_images": len(images),
                 "alpha_beta": {name: [round(f.alpha, 4), f.beta] for name, f in factors.items()}}
    return to_alpha_beta(source, request.timesteps, factors, request.widths), inputs, notes


def _check_trained_for(checkpoint: Checkpoint, request: Request, what: str) -> None:
    """Refuse another T than the SNN was trained for."""
    trained = checkpoint.description.activation.timesteps
    if request.timesteps != trained:
        raise ConversionError(f"{checkpoint.path}: was trained for {trained} timesteps, {request.timesteps} are asked "
                              f"for; {what} mean nothing at another T: give --timesteps {trained}")


def _single_spike(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    trained = checkpoint.network()
    assert isinstance(trained, SingleSpikeNetwork)
    _check_trained_for(checkpoint, request, "spike times")
    network, leaks = to_single_spike(trained, request.widths)
    spec = network.input
    return network, lambda images: encode(trained, spec, images), {
        "leaks": {name: [round(was, 4), now] for name, (was, now) in leaks.items()}}


METHODS: dict[str, Method] = {
    "ann": Method("-", "quantised integer ANN, T bits", ("qcfs", "lsq"), _ann, maximum=False),
    "bit_serial": Method("000", "bit planes, T = log2 Q is lossless", ("qcfs",), _bit_serial, maximum=False),
    "rate": Method("QCFS", "integrate-and-fire, soft reset", ("qcfs",), _rate),
    "alpha_beta": Method("001", "threshold and output scaling", ("threshold_relu", "alpha_beta"), _alpha_beta),
    "two_stage": Method("002", "SRP: tau timesteps to find neurons to leave out", ("qcfs",), _two_stage),
    "noise_adaptor": Method("003", "quantised ANN, threshold p * s", ("lsq",), _rate),
    "single_spike": Method("004", "hybrid input, a neuron fires once", ("single_spike",), _single_spike),
}


def convert(checkpoint: Checkpoint, request: Request, data: Dataset) -> Converted:
    """The network of `checkpoint` by `request`. Raises ConversionError when the method cannot take that source."""
    method = METHODS.get(request.method)
    if method is None:
        raise ConversionError(f"method {request.method!r} is not known; choose from {', '.join(METHODS)}")
    says = checkpoint.description
    if says.activation.kind not in method.sources:
        raise ConversionError(f"{checkpoint.path}: was trained with {says.activation.kind} activations, and {request.method} "
                              f"takes {' or '.join(method.sources)}; train one with `hwsim train --activation "
                              f"{method.sources[0]}`")
    if data.name != says.dataset:
        raise ConversionError(f"{checkpoint.path}: was trained on {says.dataset}, the images are {data.name}; give the folder "
                              "of that data set")
    if says.variant.weight_bits not in (None, request.widths.weight_bits):
        raise ConversionError(f"{checkpoint.path}: was trained with integer weights of {says.variant.weight_bits} bits, "
                              f"{request.widths.weight_bits} are asked for; give --weight-bits {says.variant.weight_bits}")
    if (shrink := says.recipe.get("shrink", 1)) != 1:
        raise ConversionError(f"{checkpoint.path}: was trained on images averaged over {shrink} x {shrink} pixels, a start only; "
                              f"train it at full size: `hwsim train {says.network} --from {checkpoint.path}`")
    if says.variant.pool == "max" and not method.maximum:
        raise ConversionError(f"{checkpoint.path}: was trained with max pooling, and {request.method} sends numbers of several "
                              f"bits, whose OR is not their maximum; train with `hwsim train --pool average`, or send spikes")
    network, inputs, notes = method.build(request, checkpoint, data)
    if problems := validate_network(network):
        raise ConversionError(f"{checkpoint.path} by {request.method}: {problems[0]}; give more bits, or none for the worst case")
    return Converted(network, inputs, checkpoint, request, notes)


def with_tested_widths(
    converted: Converted, data: Dataset, images: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Converted:
    """The same network with potentials as wide as the first `images` test images need, all of them by default, whatever
    the order of events. Other images may saturate them."""
    count = _checked_count(data, images)

    def samples() -> Iterator[NDArray[np.integer]]:
        for index in range(count):
            yield converted.inputs(data.test_images[index : index + 1])[0]
            if progress:
                progress(index + 1, count)

    network = converted.network
    bits = needed_bits(network, samples())
    sized = tuple(replace(layer, potential_bits=bits[layer.name]) for layer in network)
    return replace(converted, network=replace(network, layers=sized), notes={**converted.notes, "potential_bits_images": count})


def measure(
    converted: Converted, data: Dataset, images: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Evaluation:
    """Accuracy and spikes on the first `images` test images, all of them by default."""
    count = _checked_count(data, images)
    return evaluate(converted.network, converted.inputs(data.test_images[:count]), data.test_labels[:count],
                    progress=progress)


def _checked_count(data: Dataset, images: int | None) -> int:
    """How many test images are asked for; ConversionError for more than there are."""
    count = len(data.test_images) if images is None else images
    if not 1 <= count <= len(data.test_images):
        raise ConversionError(f"images is {count}, expected 1 to {len(data.test_images)}, the test images")
    return count


def record(
    converted: Converted, data: Dataset, path: Path, samples: int, name: str, provenance: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """A trace of the first `samples` test images. Spikes come from the batched simulation, which the tests hold against
    hwsim.snn.forward; the file appears whole or not at all."""
    if not 1 <= samples <= len(data.test_images):
        raise ConversionError(f"samples is {samples}, expected 1 to {len(data.test_images)}, the test images")
    with TraceWriter(converted.network, path, name=name, provenance=provenance) as writer:
        for index in range(samples):
            inputs = converted.inputs(data.test_images[index : index + 1])
            planes, logits = run_batch(converted.network, inputs)
            recorded = {layer: array[0].transpose(0, 2, 3, 1) for layer, array in planes.items()}
            last = converted.network.layers[-1]
            answer = {last.name: logits[0].reshape(last.shape)}
            writer.append(Sample(inputs[0], recorded), label=int(data.test_labels[index]), potentials=answer)
            if progress:
                progress(index + 1, samples)
    return Trace.open(path)
