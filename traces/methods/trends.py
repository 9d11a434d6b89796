"""Every trend that docs/methods.md claims, on three seeds of `tiny` (Fashion-MNIST), and whether it holds in each.

    python traces/methods/trends.py --fashion-mnist FOLDER        trains and measures the seeds that trends.json lacks
    python traces/methods/trends.py --table                       writes docs/methods.md's table from it

A seed trains the networks of TRAININGS, as traces/methods/README.md does (one thread, float32, so that processors with and
without bfloat16 do the same), converts them, and measures accuracy and spikes on the whole test set. A seed is in trends.json as
soon as it is measured; --work keeps its checkpoints, and a stopped run goes on from them. Accuracies are percent.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))  # beside benchmarks

from benchmarks.headlines.blocks import table, write_blocks
from hwsim.files import whole_file

MEASURED = HERE / "trends.json"
PAGE = HERE.parents[1] / "docs" / "methods.md"
DATASET = "fashion_mnist"
COEFFICIENT = 1e-5
"""Of the bit regulariser; `tiny` sends a hundredth of ResNet-20's spikes, so it is larger than there."""


@dataclass(frozen=True)
class Training:
    """A network that a seed trains: from which one, with which activation (fields of ActivationSpec), how long and how fast."""

    start: str | None
    activation: dict[str, Any]
    epochs: int = 3
    rate: float = 0.02
    regulariser: float = 0.0


RATE4 = {"levels": 4, "top": 4}
TRAININGS = {
    "qcfs16": Training(None, {"kind": "qcfs", "levels": 16}, epochs=6, rate=0.2),
    "qcfs4": Training("qcfs16", {"kind": "qcfs", **RATE4}),
    "threshold_relu": Training("qcfs16", {"kind": "threshold_relu"}),
    "lsq4": Training("qcfs16", {"kind": "lsq", **RATE4}),
    "lsq4_noise": Training("qcfs16", {"kind": "lsq", "noise": True, **RATE4}),
    "alpha_beta2": Training("threshold_relu", {"kind": "alpha_beta", "timesteps": 2}),
    "single_spike5": Training("threshold_relu", {"kind": "single_spike", "timesteps": 5}, epochs=1, rate=0.01),
    "bits0": Training("qcfs16", {"kind": "qcfs", "levels": 16}),
    "bits": Training("qcfs16", {"kind": "qcfs", "levels": 16}, regulariser=COEFFICIENT),
}
ROWS = (
    ("qcfs16", "ann", 4, 0), ("qcfs16", "bit_serial", 4, 0),
    *(("qcfs4", "rate", t, 0) for t in (2, 4, 8, 16)), ("qcfs4", "two_stage", 4, 4),
    *((source, "noise_adaptor", t, 0) for source in ("lsq4", "lsq4_noise") for t in (2, 4, 8)),
    ("threshold_relu", "alpha_beta", 2, 0), ("alpha_beta2", "alpha_beta", 2, 0), ("single_spike5", "single_spike", 5, 0),
    *((source, "bit_serial", t, 0) for source in ("bits0", "bits") for t in (4, 2)),
)
"""What is measured of each seed: source, method, T, tau."""

Seed = dict[str, Any]
"""What was measured of a seed: `sources`, accuracy by name; `rows`, accuracy and spikes a neuron by `source method T`."""


def accuracy(seed: Seed, source: str, method: str, timesteps: int) -> float:
    return float(seed["rows"][f"{source} {method} {timesteps}"]["accuracy"])


def spikes(seed: Seed, source: str, method: str, timesteps: int) -> float:
    return float(seed["rows"][f"{source} {method} {timesteps}"]["spikes_per_neuron"])


def rate(seed: Seed, timesteps: int) -> float:
    return accuracy(seed, "qcfs4", "rate", timesteps)


def srp(seed: Seed) -> float:
    return accuracy(seed, "qcfs4", "two_stage", 4)


def noise_gain(seed: Seed, timesteps: int) -> float:
    return accuracy(seed, "lsq4_noise", "noise_adaptor", timesteps) - accuracy(seed, "lsq4", "noise_adaptor", timesteps)


def spikes_saved(seed: Seed) -> float:
    """Percent of the control's spikes that the bit regulariser saves at T = 4."""
    return 100 * (1 - spikes(seed, "bits", "bit_serial", 4) / spikes(seed, "bits0", "bit_serial", 4))


def fewest_of_others(seed: Seed, longest: bool) -> float:
    """Spikes a neuron of single spike less the fewest of another SNN; `longest`: of those of more than two timesteps."""
    others = [row["spikes_per_neuron"] for name, row in seed["rows"].items()
              if name.split()[1] not in ("ann", "single_spike") and (not longest or int(name.split()[2]) > 2)]
    return spikes(seed, "single_spike5", "single_spike", 5) - min(others)


@dataclass(frozen=True)
class Trend:
    """A claim as a number of each seed: it holds in a seed where the number is above zero (`sign` 1), below (-1) or zero (0)."""

    says: str
    number: Callable[[Seed], float]
    sign: int = 1
    digits: int = 2

    def holds(self, seed: Seed) -> bool:
        found = round(self.number(seed), 6)
        return found == 0 if self.sign == 0 else self.sign * found > 0


TRENDS = (
    Trend("000: bit-serial less its quantised ANN, T = 4, points: nothing",
          lambda s: accuracy(s, "qcfs16", "bit_serial", 4) - accuracy(s, "qcfs16", "ann", 4), sign=0),
    Trend("QCFS: rate code, T = 4 less T = 2, points", lambda s: rate(s, 4) - rate(s, 2)),
    Trend("QCFS: T = 8 less T = 4", lambda s: rate(s, 8) - rate(s, 4)),
    Trend("QCFS: T = 16 less T = 8", lambda s: rate(s, 16) - rate(s, 8)),
    Trend("QCFS: T = 16 less the source", lambda s: rate(s, 16) - s["sources"]["qcfs4"]),
    Trend("002: SRP 4 + 4 less rate T = 4, which takes half as long", lambda s: srp(s) - rate(s, 4)),
    Trend("002: SRP 4 + 4 less rate T = 8, which takes as long", lambda s: srp(s) - rate(s, 8)),
    Trend("003: source with noise less the one without: a loss",
          lambda s: s["sources"]["lsq4_noise"] - s["sources"]["lsq4"], sign=-1),
    *(Trend(f"003: noise less none, T = {t}", lambda s, t=t: noise_gain(s, t)) for t in (2, 4, 8)),
    Trend(f"000: spikes that the regulariser saves, lambda {COEFFICIENT:g}, T = 4, %", spikes_saved, digits=1),
    *(Trend(f"000: accuracy with the regulariser less without, T = {t}: a loss", lambda s, t=t:
            accuracy(s, "bits", "bit_serial", t) - accuracy(s, "bits0", "bit_serial", t), sign=-1) for t in (4, 2)),
    Trend("001: fine-tuned less converted only, T = 2", lambda s: accuracy(s, "alpha_beta2", "alpha_beta", 2)
          - accuracy(s, "threshold_relu", "alpha_beta", 2)),
    Trend("004: spikes a neuron less the fewest of another SNN, T > 2", lambda s: fewest_of_others(s, longest=True), -1, 3),
    Trend("004: the same, of T = 2 as well", lambda s: fewest_of_others(s, longest=False), -1, 3),
)


def trends_table(measured: dict[str, Seed]) -> str:
    """A line for each trend: its number in every seed, mean, standard deviation of the sample, and in how many seeds it holds."""
    seeds = sorted(measured, key=int)
    lines = []
    for trend in TRENDS:
        found = [trend.number(measured[seed]) for seed in seeds]
        mean = sum(found) / len(found)
        spread = (sum((x - mean) ** 2 for x in found) / (len(found) - 1)) ** 0.5 if len(found) > 1 else 0.0
        show = lambda x, d=trend.digits: f"{x:+.{d}f}"  # noqa: E731
        held = sum(trend.holds(measured[seed]) for seed in seeds)
        lines.append((trend.says, *map(show, found), show(mean), f"{spread:.{trend.digits}f}", f"{held} of {len(seeds)}"))
    return table(("what is compared", *(f"seed {seed}" for seed in seeds), "mean", "spread", "seen in"), lines)


def stamp() -> str:
    """Changes when what a seed trains or measures does."""
    said = [(name, vars(training)) for name, training in TRAININGS.items()], ROWS
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def load() -> dict[str, Seed]:
    """What is measured, by seed."""
    try:
        found: dict[str, Seed] = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
        trends_table(found) if found else ""
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"trends.py: {MEASURED}: is damaged ({error!r}); take it from the repository again, or delete it to measure all")
    return found


def trained(name: str, seed: int, data: Any, work: Path) -> Any:
    """The checkpoint of a network of TRAININGS, trained now unless `work` has it finished."""
    from hwsim.sources.activations import ActivationSpec
    from hwsim.sources.checkpoint import load_checkpoint
    from hwsim.training.augment import Augmentation
    from hwsim.training.train import LAST, Recipe, train

    asked, out = TRAININGS[name], work / f"{name}_seed{seed}"
    recipe = Recipe(epochs=asked.epochs, rate=asked.rate, regulariser=asked.regulariser, seed=seed, precision="float32",
                    augmentation=Augmentation(shift=2))
    there = (out / LAST).exists()
    start = load_checkpoint(work / f"{asked.start}_seed{seed}" / LAST) if asked.start and not there else None
    return train(data, "tiny", ActivationSpec(**asked.activation), recipe, out, device="cpu", resume=there, start=start,
                 report=lambda epoch: print(f"seed {seed}, {name}: {epoch}", flush=True))


def measure_seed(seed: int, folder: Path, work: Path) -> Seed:
    """Trains and measures everything of a seed."""
    import torch

    from hwsim.convert.methods import Request, convert, measure
    from hwsim.sources.data import load_dataset

    torch.set_num_threads(1)
    data = load_dataset(DATASET, folder)
    networks = {name: trained(name, seed, data, work) for name in TRAININGS}
    rows = {}
    for source, method, timesteps, tau in ROWS:
        found = measure(convert(networks[source], Request(method, timesteps, tau or 4), data), data)
        rows[f"{source} {method} {timesteps}"] = {"accuracy": round(100 * found.accuracy, 2),
                                                  "spikes_per_neuron": round(found.spikes_per_neuron, 4)}
        print(f"seed {seed}, {source} {method} {timesteps}: {100 * found.accuracy:.2f} %", flush=True)
    sources = {name: round(one.description.accuracy, 2) for name, one in networks.items()}
    return {"stamp": stamp(), "sources": sources, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fashion-mnist", type=Path, metavar="FOLDER", help="folder of fashion_mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="N", help="default 1 2 3")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="where checkpoints are kept (default: nowhere)")
    parser.add_argument("--table", action="store_true", help="write the table into docs/methods.md and stop")
    args = parser.parse_args()
    measured = load()
    if args.table:
        if not measured:
            sys.exit(f"trends.py: {MEASURED}: no seed is measured yet; give --fashion-mnist FOLDER first")
        write_blocks(PAGE, {"trends": trends_table(measured)})
        return
    if args.fashion_mnist is None or not args.fashion_mnist.is_dir():
        sys.exit(f"trends.py: --fashion-mnist {args.fashion_mnist}: no such folder; give the folder of the data set")
    with tempfile.TemporaryDirectory() as nowhere:
        for seed in args.seeds:
            if measured.get(str(seed), {}).get("stamp") == stamp():
                continue
            row = measure_seed(seed, args.fashion_mnist, args.work or Path(nowhere))
            measured = {**load(), str(seed): row}
            with whole_file(MEASURED) as part:
                part.write_text(json.dumps(measured, indent=1) + "\n")
    print(trends_table({seed: row for seed, row in measured.items() if int(seed) in args.seeds}))


if __name__ == "__main__":
    from hwsim.errors import HwsimError

    try:
        main()
    except HwsimError as error:
        sys.exit(f"trends.py: {error}")
