"""Replays the trained network of this folder on ODIN: accuracy, cycles, spikes and counted events per image.

    python traces/odin/replay.py [--images 500] [--network traces/odin/fashion_mnist_100.npz]

The file holds the network's integers and the events of the first 500 test images of Fashion-MNIST. An image is a list of pixels,
each an event of the source of its number. After an image, two time references of all neurons with leaks of 127 clear every
potential (254 at most), so that all images run as one stream. Ten neurons per class; the class whose neurons fire most often
wins, the lower class at a tie.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hwsim.cores.odin.fast import OdinFastEngine
from hwsim.cores.odin.mapping import Connection, OdinMapping, Population, map_network
from hwsim.cores.odin.record import COUNTS, OdinEngine, OdinRecord
from hwsim.cores.odin.stimulus import OdinStimulus, time_reference

NETWORK = Path(__file__).with_name("fashion_mnist_100.npz")
CLASSES, PER_CLASS = 10, 10
PIXELS, NEURONS = 256, CLASSES * PER_CLASS
NOTHING = PIXELS  # the place of an event that is not there
CLEARING = 2  # time references after an image
LEAK = 127


def on_chip(weights: np.ndarray, thresholds: np.ndarray) -> OdinMapping:
    """The layer on ODIN: weights (256, 100) of -7 to 7, one sign per row; thresholds (100,)."""
    connections = [Connection("input", "out", np.asarray(weights, np.int64))]
    return map_network(PIXELS, {"out": Population(np.asarray(thresholds, np.int64), np.full(NEURONS, LEAK))}, connections)


def replay(mapping: OdinMapping, order: np.ndarray, engine: OdinEngine | None = None) -> tuple[np.ndarray, OdinRecord]:
    """(N, classes) spikes of the images as one stream at full rate, and the record. order: (N, events) pixels or NOTHING."""
    addresses: list[int] = []
    last_event = []
    for pixels in order:
        addresses += mapping.addresses(pixels[pixels != NOTHING].tolist())
        addresses += [time_reference()] * CLEARING
        last_event.append(len(addresses) - 1)
    stimulus = OdinStimulus.at_full_rate(addresses)
    record = (engine or OdinFastEngine()).run(mapping.core, mapping.configuration, stimulus, 10**12)
    image = np.searchsorted(record.inputs[last_event, 4], record.spikes[:, 0])
    counts = np.zeros((len(order), CLASSES), np.int64)
    np.add.at(counts, (image, record.spikes[:, 1] // PER_CLASS), 1)
    return counts, record


def summary(counts: np.ndarray, record: OdinRecord, order: np.ndarray, labels: np.ndarray) -> str:
    images = len(order)
    per_image = ", ".join(f"{name} {count / images:,.0f}" for name, count in zip(COUNTS, record.counts, strict=True))
    accuracy = (counts.argmax(axis=1) == labels).mean()
    return (f"accuracy {accuracy:.4f} of {images} images; per image {record.done / images:,.0f} cycles, "
            f"{(order != NOTHING).sum() / images:.1f} input events, {len(record.spikes) / images:.1f} output spikes, {per_image}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--network", type=Path, default=NETWORK)
    options.add_argument("--images", type=int, default=500)
    chosen = options.parse_args()
    with np.load(chosen.network) as file:
        order, labels = file["order"][: chosen.images], file["labels"][: chosen.images]
        counts, record = replay(on_chip(file["weights"], file["thresholds"]), order)
        differ = (counts != file["counts"][: chosen.images]).sum()
    print(summary(counts, record, order, labels))
    print(f"spike counts that differ from the trained network's: {differ}")


if __name__ == "__main__":
    main()
