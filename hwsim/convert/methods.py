"""The conversion methods by name, and the one way from a checkpoint to a Network (`convert`) and on to a Trace (`record`).

To add one: write a file with a Method (hwsim/convert/base.py says what it declares), add it to METHODS, and follow
docs/recipes.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.convert.alpha_beta import ALPHA_BETA
from hwsim.convert.base import Driven, Method, Request
from hwsim.convert.bit_serial import BIT_SERIAL, QUANTISED_ANN
from hwsim.convert.evaluate import Evaluation, evaluate, run_batch
from hwsim.convert.integers import ConversionError
from hwsim.convert.rate import NOISE_ADAPTOR, RATE, TWO_STAGE
from hwsim.convert.single_spike import SINGLE_SPIKE
from hwsim.convert.widths import needed_bits
from hwsim.snn.sample import Sample
from hwsim.snn.validate import validate_network
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.data import Dataset
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter


@dataclass(frozen=True, eq=False)
class Converted(Driven):
    """A network that came from a checkpoint, as was asked."""

    checkpoint: Checkpoint
    request: Request


METHODS: dict[str, Method] = {method.name: method for method in (
    QUANTISED_ANN, BIT_SERIAL, RATE, ALPHA_BETA, TWO_STAGE, NOISE_ADAPTOR, SINGLE_SPIKE)}


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
    if request.first_crossing and not method.weighs_times:
        able = " or ".join(one.name for one in METHODS.values() if one.weighs_times)
        raise ConversionError(f"{request.method} does not weigh the time of a first crossing, {able} does; leave "
                              "--first-crossing out")
    network, inputs, notes = method.build(request, checkpoint, data)
    if problems := validate_network(network):
        raise ConversionError(f"{checkpoint.path} by {request.method}: {problems[0]}; give more bits, or none for the worst case")
    return Converted(network, inputs, notes, checkpoint, request)


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
    converted: Driven, data: Dataset, images: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Evaluation:
    """Accuracy and spikes on the first `images` test images, all of them by default."""
    count = _checked_count(data, images)
    return evaluate(converted.network, converted.inputs(data.test_images[:count]), data.test_labels[:count], progress=progress)


def _checked_count(data: Dataset, images: int | None) -> int:
    """How many test images are asked for; ConversionError for more than there are."""
    count = len(data.test_images) if images is None else images
    if not 1 <= count <= len(data.test_images):
        raise ConversionError(f"images is {count}, expected 1 to {len(data.test_images)}, the test images")
    return count


def record(
    converted: Driven, data: Dataset, path: Path, samples: int, name: str, provenance: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """A trace of the first `samples` test images. Spikes come from the batched simulation, which the tests hold against
    hwsim.snn.forward; the file appears whole or not at all."""
    if not 1 <= samples <= len(data.test_images):
        raise ConversionError(f"samples is {samples}, expected 1 to {len(data.test_images)}, the test images")
    return write_trace(converted, data.test_images[:samples], data.test_labels[:samples], path, name, provenance, progress)


def write_trace(
    converted: Driven, images: NDArray[Any], labels: NDArray[np.int64] | None, path: Path, name: str, provenance: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """A trace of images (N, H, W, C) and their labels, if there are any."""
    with TraceWriter(converted.network, path, name=name, provenance=provenance) as writer:
        for index in range(len(images)):
            inputs = converted.inputs(images[index : index + 1])
            planes, logits = run_batch(converted.network, inputs)
            recorded = {layer: array[0].transpose(0, 2, 3, 1) for layer, array in planes.items()}
            last = converted.network.layers[-1]
            answer = {last.name: logits[0].reshape(last.shape)}
            writer.append(Sample(inputs[0], recorded), label=None if labels is None else int(labels[index]), potentials=answer)
            if progress:
                progress(index + 1, len(images))
    return Trace.open(path)
