"""Max pooling of a rate-coded network: by the tree of neurons that `hwsim.quantise` makes, or by the OR of spikes (paper 001).

    python docs/examples/own_network.py FOLDER_OF_FASHION_MNIST    # trains the network
    python benchmarks/max_pooling.py --images 300

prints accuracy and spikes per image of both at several T. docs/own-network.md quotes them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from hwsim.capture.ann import Maximum
from hwsim.convert.evaluate import evaluate
from hwsim.convert.folded import FoldedSource
from hwsim.convert.own import Quantised, quantise
from hwsim.convert.rate import to_rate
from hwsim.sources.npz import read_npz

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"


def with_ors(quantised: Quantised) -> FoldedSource:
    """The source with a max pooling in the connection instead of each tree; its windows must be blocks."""
    maxima = {layer.name: layer for layer in quantised.calibrated.ann.layers if isinstance(layer, Maximum)}
    layers = []
    for layer in quantised.calibrated.source.layers:
        if any(layer.name == name or layer.name.startswith(f"{name}.") for name in maxima):
            continue
        wires = []
        for wire in layer.connections:
            geometry = wire.geometry
            if (pool := maxima.get(geometry.source)) is not None:
                geometry = replace(geometry, source=pool.source, source_shape=pool.source_shape, pool=pool.kernel,
                                   pool_mode="max")
            wires.append(replace(wire, geometry=geometry))
        layers.append(replace(layer, connections=tuple(wires)))
    return replace(quantised.calibrated.source, layers=tuple(layers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=300)
    count = parser.parse_args().images
    sys.path.insert(0, str(EXAMPLES))
    # The example's file is no package.
    import own_network

    given, test = (read_npz(EXAMPLES / f"own_{name}.npz") for name in ("calibrate", "test"))
    quantised = quantise(own_network.vgg(), given.images, test=(test.images, test.labels))
    inputs = quantised.twins["rate"].inputs(quantised.data.images[:count])
    for timesteps in (4, 8, 15, 32):
        for word, source in (("tree", quantised.calibrated.source), ("OR", with_ors(quantised))):
            found = evaluate(to_rate(source, timesteps, quantised.widths), inputs, test.labels[:count])
            spikes = sum(found.spikes.values())
            print(f"T = {timesteps:2} {word:>4}: {100 * found.accuracy:.1f} %, {spikes:,.0f} spikes per image")


if __name__ == "__main__":
    main()
