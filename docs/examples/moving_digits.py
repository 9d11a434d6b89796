"""Events of an event camera that looks at moving digits, through a small spiking network on a shipped core.

    python docs/examples/moving_digits.py                 # recordings, network, numbers; 11 CPU seconds
    python docs/examples/moving_digits.py --figure F.png  # only the picture of docs/capture.md
    python docs/examples/moving_digits.py --events DIR    # only recordings, DIR/DIGIT/N.npy, for `hwsim capture events`

Nothing is downloaded: the digits are drawn with the font that comes with matplotlib. Each moves along a triangle, as in N-MNIST
(Orchard 2015), and a pixel sends an event when its logarithmic brightness has changed by a threshold since its last one
(Lichtsteiner 2008). The network is a convolution with fixed random weights and a read-out that is fitted to its spike counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import hwsim

SIDE, DIGITS, TIME_BINS = 34, 10, 10
STEP_US, STEPS, THRESHOLD = 2_000, 60, 0.6
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


def digit(value: int, rng: np.random.Generator) -> Image.Image:
    """A digit of 0 to 9, a little larger or smaller, tilted and out of the middle."""
    size = rng.uniform(21, 25)
    big = Image.new("L", (4 * SIDE, 4 * SIDE))
    centre = 2 * SIDE + rng.uniform(-4, 4, 2)
    ImageDraw.Draw(big).text(tuple(centre), str(value), 255, ImageFont.truetype(str(FONT), 4 * size), anchor="mm")
    return big.rotate(rng.uniform(-8, 8), Image.Resampling.BILINEAR)


def events(picture: Image.Image, rng: np.random.Generator) -> NDArray[np.void]:
    """What an event camera of SIDE x SIDE pixels sends while the picture moves along a triangle: x, y, t (microseconds), p."""
    corners = np.array([(-3, -2), (0, 3), (3, -2), (-3, -2)]) * 4 + rng.uniform(-1, 1, 2)
    ways = np.linspace(0, 3, STEPS, endpoint=False)
    before: NDArray[np.float64] | None = None
    found = []
    for step, way in enumerate(ways):
        corner, part = int(way), way % 1
        dx, dy = (1 - part) * corners[corner] + part * corners[corner + 1]
        moved = picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, -dx, 0, 1, -dy), Image.Resampling.BILINEAR)
        seen = np.log(0.2 + np.asarray(moved.resize((SIDE, SIDE), Image.Resampling.BOX), float) / 255)
        before = seen.copy() if before is None else before
        for polarity, sign in ((0, -1), (1, 1)):
            while len(where := np.argwhere(sign * (seen - before) >= THRESHOLD)):
                before[where[:, 0], where[:, 1]] += sign * THRESHOLD
                times = step * STEP_US + rng.integers(0, STEP_US, len(where))
                found += [(x, y, t, polarity) for (y, x), t in zip(where.tolist(), times.tolist(), strict=True)]
    made = np.array(found, [("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "u1")])
    return np.sort(made, order="t")


def recordings(each: int, seed: int) -> tuple[list[NDArray[np.void]], list[int]]:
    """`each` recordings of every digit, and their classes."""
    rng = np.random.default_rng(seed)
    classes = [value for _ in range(each) for value in range(DIGITS)]
    return [events(digit(value, rng), rng) for value in classes], classes


def first_layer(channels: int = 12, seed: int = 1) -> dict[str, object]:
    """A convolution of fixed random weights whose mean is zero: it answers to edges, not to how many events there are."""
    weights = np.random.default_rng(seed).normal(size=(channels, 2, 5, 5))
    weights -= weights.mean(axis=(1, 2, 3), keepdims=True)
    return {"name": "conv", "weights": np.rint(weights / np.abs(weights).max() * 127).astype(int), "stride": 2, "padding": 2,
            "thresholds": 150}


def counts(inputs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How often each neuron of the first layer fires in all timesteps: (samples, neurons), in the order of (C, H, W)."""
    trace = hwsim.Trace.from_arrays(inputs, [first_layer()])
    return np.array([trace.sample(i).recorded["conv"].sum(axis=0).transpose(2, 0, 1).ravel() for i in range(len(inputs))], float)


def fitted(seen: NDArray[np.float64], classes: list[int], ridge: float = 30.0) -> NDArray[np.int64]:
    """Read-out weights of 8 bits, by ridge regression of the classes on the counts."""
    wanted = 2.0 * np.eye(DIGITS)[classes] - 1
    inner = seen @ seen.T + ridge * np.eye(len(seen))
    weights = np.linalg.solve(inner, wanted).T @ seen
    return np.rint(weights / np.abs(weights).max() * 127).astype(int)


def draw(path: str, values: tuple[int, ...] = (3, 7)) -> None:
    """The planes of some digits, one row each: darker pixels blue, brighter ones red."""
    given, classes = recordings(1, 1)
    planes = hwsim.event_planes([given[classes.index(value)] for value in values], (SIDE, SIDE), time_bins=TIME_BINS).inputs
    figure = Figure(figsize=(TIME_BINS, 1.1 * len(values)), dpi=120)
    for index, axes in enumerate(figure.subplots(len(values), TIME_BINS).flat):
        darker, brighter = planes[index // TIME_BINS, index % TIME_BINS]
        picture = np.ones((SIDE, SIDE, 3))
        picture[darker], picture[brighter] = (0.0, 0.45, 0.7), (0.84, 0.37, 0.0)
        axes.imshow(picture, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"t = {index}" if index < TIME_BINS else "", size=9)
        for spine in axes.spines.values():
            spine.set_color("#dddddd")
    figure.subplots_adjust(0.005, 0.01, 0.995, 0.9, 0.04, 0.04)
    figure.savefig(path, metadata={"Software": None})


def main(train: int = 30, test: int = 8, arch: str = "event_core_64") -> hwsim.Result:
    """Make, train and simulate; the accuracy of the result is that of test recordings, which the read-out has not seen."""
    planes = {}
    for name, each, seed in (("train", train, 0), ("test", test, 1)):
        given, classes = recordings(each, seed)
        planes[name] = hwsim.event_planes(given, (SIDE, SIDE), time_bins=TIME_BINS, labels=classes)
        print(f"{name}: {planes[name].events:,} events in {len(given)} recordings, {planes[name].merged:,} of them to a pixel "
              "that had sent one in the same plane")
    read_out = {"name": "out", "neuron": "read_out",
                "weights": fitted(counts(planes["train"].inputs), planes["train"].labels or [])}
    trace = hwsim.Trace.from_arrays(planes["test"].inputs, [first_layer(), read_out], labels=planes["test"].labels,
                                    name="moving-digits")
    result = hwsim.simulate(trace, arch, spikes="computed")
    print(result)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", metavar="DIR", help="write recordings, and nothing else")
    parser.add_argument("--each", type=int, default=8, help="recordings of each digit, with --events")
    parser.add_argument("--figure", metavar="FILE", help="draw planes of two digits, and nothing else")
    asked = parser.parse_args()
    if asked.figure:
        draw(asked.figure)
    elif asked.events:
        for index, (one, value) in enumerate(zip(*recordings(asked.each, 1), strict=True)):
            folder = Path(asked.events) / str(value)
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{index}.npy", one)
    else:
        main()
