"""The table of docs/methods.md: every method on one network, one data set and one core, and the shipped CIFAR-10 traces.

    python traces/cifar10/make.py --data CIFAR --checkpoints FOLDER --work WORK      measures, and writes WORK/*.h5
    python traces/cifar10/make.py --table                                            writes the table from measured.json

An entry is converted, its accuracy measured on all 10,000 test images, its trace of the first test images recorded and
replayed on the core. What is done is in measured.json at once, so a stopped run goes on where it stopped; an entry is made
again when its checkpoint or its settings change. Accuracies are percent, energies nJ a sample.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MEASURED = HERE / "measured.json"
PAGE = HERE.parents[1] / "docs" / "methods.md"
BEGIN, END = "<!-- table: traces/cifar10/make.py --table -->", "<!-- end of table -->"
CORE = "event_core_64_flags"


@dataclass(frozen=True)
class Entry:
    """One row: a checkpoint's file name, a method, its timesteps; `ship` samples go into a trace of the tree."""

    name: str
    checkpoint: str
    method: str
    timesteps: int
    tau: int = 0
    ship: int = 0
    schedule: str = "layer_by_layer"


ENTRIES = (
    Entry("resnet20_ann", "resnet20_qcfs16.pt", "ann", 4, ship=32),
    Entry("resnet20_bit_serial_t4", "resnet20_qcfs16.pt", "bit_serial", 4, ship=32),
    Entry("resnet20_bit_serial_t3", "resnet20_qcfs16.pt", "bit_serial", 3),
    Entry("resnet20_bit_serial_t2", "resnet20_qcfs16.pt", "bit_serial", 2),
)


def measure(entry: Entry, data: Path, checkpoints: Path, work: Path) -> dict[str, Any]:
    """Everything that the table says of an entry."""
    import hwsim
    from hwsim.convert.checkpoint import load_checkpoint
    from hwsim.convert.data import load_dataset
    from hwsim.convert.methods import Request, convert, record
    from hwsim.convert.methods import measure as evaluate

    loaded = load_checkpoint(checkpoints / entry.checkpoint)
    dataset = load_dataset(loaded.description.dataset, data)
    converted = convert(loaded, Request(entry.method, entry.timesteps, entry.tau or 4), dataset)
    found = evaluate(converted, dataset)
    about = {
        "origin": f"CIFAR-10 test images, {loaded.description.network} trained by `hwsim train`",
        "script": "traces/cifar10/make.py", "licence": "Apache-2.0 (network and spikes)", "method": entry.method,
        "accuracy_test_set": 100 * found.accuracy, "accuracy_source_ann": loaded.description.accuracy,
    }
    path = work / f"cifar10_{entry.name}.h5"
    with record(converted, dataset, path, entry.ship or 32, path.stem, about) as trace:
        result = hwsim.simulate(trace, "mac_core_64" if entry.method == "ann" else CORE, schedule=entry.schedule)
    return {"accuracy": 100 * found.accuracy, "ann_accuracy": loaded.description.accuracy,
            "spikes_per_neuron": found.spikes_per_neuron, "trace": path.name, **summary(result)}


def summary(result: Any) -> dict[str, Any]:
    """Cycles, operations and energies of a replay, a sample."""
    row = result.summary()
    return {key: row[key] for key in row}


def key(entry: Entry, checkpoints: Path) -> str:
    """Changes when the entry or its checkpoint does."""
    digest = hashlib.sha256((checkpoints / entry.checkpoint).read_bytes())
    digest.update(json.dumps(asdict(entry), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def save(measured: dict[str, Any]) -> None:
    part = MEASURED.with_suffix(".part")
    part.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    os.replace(part, MEASURED)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10")
    parser.add_argument("--checkpoints", type=Path, default=HERE, help="folder of the checkpoints")
    parser.add_argument("--work", type=Path, default=Path("."), help="where traces are written")
    parser.add_argument("--only", nargs="*", help="names of entries")
    parser.add_argument("--table", action="store_true", help="write the table into docs/methods.md and stop")
    args = parser.parse_args()
    measured = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    if not args.table:
        if args.data is None:
            sys.exit("make.py: --data is missing; give the folder of CIFAR-10")
        for entry in ENTRIES:
            stamp = key(entry, args.checkpoints)
            if (args.only and entry.name not in args.only) or measured.get(entry.name, {}).get("key") == stamp:
                continue
            start = time.time()
            measured[entry.name] = {"key": stamp, **measure(entry, args.data, args.checkpoints, args.work)}
            save(measured)
            print(f"{entry.name}: {measured[entry.name]['accuracy']:.2f} % in {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
