"""Makes a trace of the trained network of this folder, which any core of hwsim can replay: fashion_mnist_100.h5.

    python traces/odin/to_trace.py [--samples 90] [--out traces/odin/fashion_mnist_100.h5]

A trace has at most 64 timesteps, and a layer of it has one threshold. So an image's 100 events become 50 timesteps of the next
two brightest pixels each, and the 100 neurons become ten layers, one per threshold. A read-out counts the spikes of each class.
Within a timestep the chip takes pixels in the order of their numbers. No neuron fires twice in a timestep: after a reset, one
event adds at most 7, and the smallest threshold is 10. The recorded spikes are computed here, event by event, with ODIN's
addition; in the trained order this arithmetic gives the counts that PyTorch gave, which is checked first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from replay import CLASSES, NETWORK, NOTHING, PER_CLASS, PIXELS

import hwsim

SIDE, PER_STEP = 16, 2
TRACE = NETWORK.with_suffix(".h5")


def spikes_of(weights: np.ndarray, thresholds: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(N, events, neurons) bool: which neurons fire at which event, by rule O1. order: (N, events) pixels or NOTHING."""
    added = np.vstack([weights, np.zeros((1, weights.shape[1]), np.int64)])
    potential = np.zeros((len(order), weights.shape[1]), np.int64)
    fired = np.zeros((*order.shape, weights.shape[1]), bool)
    for event, pixels in enumerate(order.T):
        potential = np.clip(potential + added[pixels], 0, 255)
        fired[:, event] = (potential >= thresholds) & (pixels != NOTHING)[:, None]
        potential[fired[:, event]] = 0
    return fired


def by_class(spikes: np.ndarray) -> np.ndarray:
    """(N, classes) spikes of (N, events, neurons)."""
    counts: np.ndarray = spikes.sum(axis=1).reshape(len(spikes), CLASSES, PER_CLASS).sum(axis=2)
    return counts


def in_timesteps(order: np.ndarray) -> np.ndarray:
    """The same events with those of each timestep in the order of their numbers."""
    return np.sort(order.reshape(len(order), -1, PER_STEP), axis=2).reshape(order.shape)


def make(weights: np.ndarray, thresholds: np.ndarray, order: np.ndarray, labels: np.ndarray) -> hwsim.Trace:
    """The trace of `order`, (N, events)."""
    ordered = in_timesteps(order)
    samples, steps = len(order), order.shape[1] // PER_STEP
    fired = spikes_of(weights, thresholds, ordered).reshape(samples, steps, PER_STEP, -1)
    if (fired.sum(axis=2) > 1).any():
        raise SystemExit("a neuron fires twice in a timestep, which a trace cannot hold; use fewer events per timestep")
    inputs = np.zeros((samples, steps, PIXELS + 1), bool)
    sample, event = np.indices(order.shape)
    inputs[sample, event // PER_STEP, ordered] = True
    layers, read_outs, spikes = [], [], {}
    for threshold in np.unique(thresholds):
        name, mine = f"threshold_{threshold}", np.flatnonzero(thresholds == threshold)
        layers.append({"name": name, "source": "input", "weights": weights[:, mine].T, "thresholds": int(threshold),
                       "neuron": hwsim.IntegrateAndFire(reset="hard")})
        spikes[name] = fired.any(axis=2)[:, :, mine]
        member = (mine // PER_CLASS == np.arange(CLASSES)[:, None]).astype(np.int64)
        read_outs.append({"source": name, "weights": member})
    layers.append({"name": "classes", "neuron": "read_out", "connections": read_outs})
    return hwsim.Trace.from_arrays(
        inputs[:, :, :PIXELS].reshape(samples, steps, 1, SIDE, SIDE), layers, spikes, labels=labels.tolist(),
        name="odin_fashion_mnist_100", provenance={
            "script": "traces/odin/to_trace.py", "data": "Fashion-MNIST test images, Zalando SE", "licence": "MIT",
            "spikes": "ODIN's arithmetic, event by event: potentials clip at 0 and are compared after every event",
        })


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--samples", type=int, default=90)
    options.add_argument("--out", type=Path, default=TRACE)
    chosen = options.parse_args()
    with np.load(NETWORK) as file:
        weights, thresholds = file["weights"].astype(np.int64), file["thresholds"].astype(np.int64)
        order, labels, wanted = file["order"], file["labels"], file["counts"]
    trained = by_class(spikes_of(weights, thresholds, order))
    if (trained != wanted).any():
        raise SystemExit("the arithmetic here is not that of the training: the spike counts differ")
    paired = by_class(spikes_of(weights, thresholds, in_timesteps(order)))
    for what, counts in (("one by one, as trained", trained), ("two per timestep", paired)):
        print(f"events {what}: accuracy {(counts.argmax(axis=1) == labels).mean():.3f} of {len(labels)} images")
    make(weights, thresholds, order[: chosen.samples], labels[: chosen.samples]).save(chosen.out)
    print(f"{chosen.out}: {chosen.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
