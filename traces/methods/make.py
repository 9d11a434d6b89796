"""The table of docs/methods.md: every method on the same network, data set and core, and the traces that it was measured on.

    python traces/methods/make.py [--fashion-mnist FOLDER] [--cifar10 FOLDER]    measures what is not in measured.json yet
    python traces/methods/make.py --energies ...                                 of rows of older designs and prices as well
    python traces/methods/make.py --table                                        writes docs/methods.md's tables from it
    python traces/methods/make.py --keep CHECKPOINT...                           takes over what `hwsim train` made

`python -m benchmarks.headlines --only methods` replays the traces in the tree again, with today's designs and prices, and
writes the tables; accuracies stay. `model` of a row is the version of the model that its cycles and energies are of.

An entry is converted, its accuracy measured on the whole test set, a trace of the first test images recorded and replayed
on the core. Each entry is in measured.json as soon as it is done, so a stopped run goes on where it stopped; an entry is made
again when its checkpoint, its settings or hwsim's version change. Checkpoints lie beside this file; README.md says how
they were trained. Accuracies are percent, energies nJ per sample, cycles and operations per sample. Every memory of the core
leaks, also those that a network does not use (`leak_unused`): one core for all rows.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]  # beside benchmarks, and trends.py

import trends

from benchmarks.headlines.blocks import has_block, write_blocks
from hwsim.files import whole_file
from hwsim.task import MODEL_VERSION

MEASURED = HERE / "measured.json"
PAGE = HERE.parents[1] / "docs" / "methods.md"
CORE, ANN_CORE = "event_core_64_flags", "mac_core_64"
SAMPLES = 32
FEW = {"cifar10_vgg16": 16, "cifar10_vgg11": 8, "cifar10_vgg6": 8}
"""Samples of a group's traces, where they are not SAMPLES."""
LICENCES = {"fashion_mnist": "MIT (images)", "cifar10": "images of CIFAR-10 (Krizhevsky 2009), published without a licence"}
COLUMNS = {"group", "source_accuracy", "accuracy", "spikes_per_neuron", "operations", "cycles", "compute_nj", "core_nj",
           "system_nj"}
WIDTHS, WIDTH_SAMPLES = (20, 18, 17, 16, 15, 14, 13, 12), 500
"""Potential widths at which the loop is closed, and on how many test images."""


@dataclass(frozen=True)
class Entry:
    """One row of a table.

    group        network and data set, the table that it is in.       checkpoint   file beside this one.
    ship         whether its trace belongs to the tree (traces/methods/GROUP_METHOD_tT.h5).
    """

    group: str
    checkpoint: str
    method: str
    timesteps: int
    tau: int = 0
    ship: bool = False

    @property
    def name(self) -> str:
        stage = f"_tau{self.tau}" if self.tau else ""
        return f"{self.group}_{self.method}{self.variant}{stage}_t{self.timesteps}"

    @property
    def variant(self) -> str:
        """Which of two sources that a method takes, where it is not the plain one."""
        if self.coefficient:
            return f"_{self.coefficient}"
        return "_noise" if "noise" in self.checkpoint else "_tuned" if "alpha_beta" in self.checkpoint else ""

    @property
    def coefficient(self) -> str:
        """Of the bit regulariser, as its checkpoint's name has it; empty where none was asked for."""
        return Path(self.checkpoint).stem.partition("_bits")[2]


BITS = "cifar10_resnet20_bits"
PAPERS = "cifar10_resnet20_papers"
"""Networks and recipes nearer to those of the papers: ResNet-20 with projections, trained with 4 levels from scratch."""
TWO_LEVELS = "cifar10_resnet20_two_levels"
"""Paper 003's p = 2, with and without noise, on ResNet-20; both from one network with ReLU."""
VGG11 = "cifar10_vgg11"
"""Paper 001's network: its ANN converted to T = 2, and fine-tuned as an SNN, without BatchNorm and biases."""
VGG6 = "cifar10_vgg6"
"""Paper 004's network: its SNN at T = 5, without BatchNorm and biases."""
NO_WIDTHS = (BITS, PAPERS, TWO_LEVELS, VGG11, VGG6)
"""Groups without a table of narrower potentials."""
COEFFICIENTS = ("0", "5e-8", "2e-7", "1e-6")
"""Of the bit regulariser (paper 000, Eq. 9), from the network of 16 levels; 0 is the control."""


def entries(group: str) -> tuple[Entry, ...]:
    """All methods on one network; of VGG-16 the quantised ANN, bit planes, and QCFS and SRP with four levels."""
    if group == BITS:
        return tuple(Entry(group, f"cifar10_resnet20_qcfs16_bits{coefficient}.pt", method, t)
                     for coefficient in COEFFICIENTS for method, t in (("ann", 4), *(("bit_serial", t) for t in (4, 3, 2))))
    if group == PAPERS:
        source = "cifar10_resnet20_projection_qcfs4.pt"
        # 32 planes do not fit the core's spike buffer: `hwsim convert` gives their accuracy.
        return (*(Entry(group, source, "rate", t) for t in (2, 4, 8, 16)),
                *(Entry(group, source, "two_stage", t, tau=4) for t in (1, 2, 4, 8)))
    if group == TWO_LEVELS:
        return tuple(Entry(group, f"cifar10_resnet20_lsq2{noise}.pt", "noise_adaptor", t)
                     for noise in ("", "_noise") for t in (2, 4, 8, 16))
    if group == VGG11:
        return tuple(Entry(group, f"{group}_{source}.pt", "alpha_beta", 2) for source in ("threshold_relu", "alpha_beta2"))
    if group == VGG6:
        return (Entry(group, f"{group}_single_spike5.pt", "single_spike", 5),)
    fine, few, clipped = f"{group}_qcfs16.pt", f"{group}_qcfs4.pt", f"{group}_threshold_relu.pt"
    tuned = f"{group}_alpha_beta2.pt"
    plain, noisy, single = f"{group}_lsq4.pt", f"{group}_lsq4_noise.pt", f"{group}_single_spike5.pt"
    whole = group != "cifar10_vgg16"
    serial = (
        Entry(group, fine, "ann", 4, ship=whole),
        *(Entry(group, fine, "ann", t) for t in (3, 2)),
        Entry(group, fine, "bit_serial", 4, ship=True),
        *(Entry(group, fine, "bit_serial", t) for t in (3, 2)),
    )
    if not whole:
        # More timesteps do not fit the core's spike buffer: `hwsim convert` gives their accuracy.
        return (*serial, *(Entry(group, few, "rate", t) for t in (2, 4, 8)),
                *(Entry(group, few, "two_stage", t, tau=4) for t in (1, 2, 4)))
    return (
        *serial,
        Entry(group, few, "rate", 4, ship=True),
        *(Entry(group, few, "rate", t) for t in (2, 8, 16)),
        *(Entry(group, clipped, "alpha_beta", t) for t in (2, 3, 4)),
        Entry(group, tuned, "alpha_beta", 2, ship=True),
        Entry(group, few, "two_stage", 4, tau=4, ship=True),
        *(Entry(group, few, "two_stage", t, tau=4) for t in (1, 2, 8)),
        *(Entry(group, source, "noise_adaptor", t, ship=source == noisy and t == 4)
          for source in (plain, noisy) for t in (2, 4, 8, 16)),
        Entry(group, single, "single_spike", 5, ship=True),
    )


GROUPS = {"fashion_mnist_tiny": "fashion_mnist", "cifar10_resnet20": "cifar10", "cifar10_vgg16": "cifar10", BITS: "cifar10",
          PAPERS: "cifar10", TWO_LEVELS: "cifar10", VGG11: "cifar10", VGG6: "cifar10"}


def samples_of(group: str) -> int:
    return FEW.get(group, SAMPLES)


def measure(entry: Entry, data: Path, work: Path, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Everything that the table says of an entry; `known`: its row, whose accuracy and spikes over the test set stay."""
    import hwsim
    from hwsim.convert.methods import Request, convert, record
    from hwsim.convert.methods import measure as evaluate
    from hwsim.sources.checkpoint import load_checkpoint
    from hwsim.sources.data import load_dataset

    loaded = load_checkpoint(HERE / entry.checkpoint)
    dataset = load_dataset(loaded.description.dataset, data)
    converted = convert(loaded, Request(entry.method, entry.timesteps, entry.tau or 4), dataset)
    if known is None:
        found = evaluate(converted, dataset)
        known = {"accuracy": round(100 * found.accuracy, 2), "spikes_per_neuron": round(found.spikes_per_neuron, 3)}
    about = {
        "origin": f"first test images of {loaded.description.dataset}, {loaded.description.network} trained by `hwsim train`",
        "script": "traces/methods/make.py", "licence": f"Apache-2.0 (network and spikes), {LICENCES[loaded.description.dataset]}",
        "method": entry.method, "accuracy_test_set": known["accuracy"],
        "accuracy_source_network": loaded.description.accuracy, **converted.notes,
    }
    path = (HERE if entry.ship else work) / f"{entry.name}.h5"
    with record(converted, dataset, path, samples_of(entry.group), path.stem, about) as trace:
        result = hwsim.simulate(trace, ANN_CORE if entry.method == "ann" else CORE, leak_unused=True)
        activity = spikes_by_plane(trace) if entry.coefficient else {}
    if result.facts.mismatches or result.facts.saturations:
        raise SystemExit(f"make.py: {entry.name}: {result.facts.mismatches} mismatches, {result.facts.saturations} saturations")
    return {
        **asdict(entry), "source_accuracy": loaded.description.accuracy, "accuracy": about["accuracy_test_set"],
        "spikes_per_neuron": known["spikes_per_neuron"], "operations": round(result.synaptic_operations),
        **replayed(result), **activity,
    }


def replayed(result: Any) -> dict[str, Any]:
    """What depends on the core and its prices: cycles and energies per sample."""
    return {"cycles": round(float(result.cycles.mean())), "model": MODEL_VERSION,
            **{f"{scope}_nj": round(pj / 1000, 1) for scope, pj in result.energy_pj.items()}}


def spikes_by_plane(trace: Any) -> dict[str, Any]:
    """Spikes per sample of each layer, plane by plane, the most significant bit first."""
    counts: dict[str, Any] = {}
    for index in range(trace.samples):
        for name, planes in trace.sample(index).recorded.items():
            counts[name] = counts.get(name, 0) + (planes != 0).sum(axis=(1, 2, 3))
    return {"spikes_by_plane": {name: [round(float(n) / trace.samples, 1) for n in found] for name, found in counts.items()}}


def measure_widths(group: str, data: Path, work: Path) -> dict[str, Any]:
    """Accuracy of the bit-serial network, layer feeding layer on the simulated core, as its potentials get narrower."""
    import hwsim
    from hwsim.convert.methods import Request, convert, record
    from hwsim.mapping import MappingError
    from hwsim.sources.checkpoint import load_checkpoint
    from hwsim.sources.data import load_dataset

    loaded = load_checkpoint(HERE / f"{group}_qcfs16.pt")
    dataset = load_dataset(loaded.description.dataset, data)
    converted = convert(loaded, Request("bit_serial", 4), dataset)
    worst = max(layer.potential_bits for layer in converted.network)
    path, rows = work / f"{group}_widths.h5", []
    with record(converted, dataset, path, WIDTH_SAMPLES, path.stem, {"method": "bit_serial"}) as trace:
        for bits in (worst, *(b for b in WIDTHS if b < worst)):
            core = hwsim.load_architecture(CORE).with_core(potential_bits=bits)
            try:
                result = hwsim.simulate(trace, core, spikes="computed", leak_unused=True)
            except MappingError:  # too narrow for the bias of a layer, which is the potential that it starts from
                break
            assert result.accuracy is not None
            core_nj = round(result.energy_pj["core"] / 1000, 1)
            rows.append({"bits": bits, "accuracy": round(result.accuracy, 2), "saturations": result.facts.saturations,
                         "core_nj": core_nj, "area_mm2": round(result.area_mm2, 3)})
    return {"group": group, "samples": WIDTH_SAMPLES, "model": MODEL_VERSION, "widths": rows}


def widths_table(group: str, measured: dict[str, Any]) -> str:
    """The rows of one group's potential widths, the worst case over all inputs first; those of another model version in brackets,
    accuracy too, since how often a core saturates hangs on its design."""
    lines = ["| potential bits | accuracy % | saturations an image | core nJ | mm2 |", "|---|---|---|---|---|"]
    found = measured.get(f"{group}_widths", {"widths": [], "samples": 1})
    for i, row in enumerate(found["widths"]):
        numbers = _as_of(found, [f"{row['accuracy']:.1f}", f"{row['saturations'] / found['samples']:,.1f}",
                                 f"{row['core_nj']:,.0f}", f"{row['area_mm2']:.2f}"])
        lines.append(f"| {row['bits']}{' (worst case)' if i == 0 else ''} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def stamp(entry: Entry) -> str:
    """Changes when the entry, its checkpoint or the simulator does."""
    import hwsim

    digest = hashlib.sha256((HERE / entry.checkpoint).read_bytes())
    digest.update(json.dumps([asdict(entry), hwsim.__version__, CORE, samples_of(entry.group)], sort_keys=True).encode())
    return digest.hexdigest()[:16]


def save(measured: dict[str, Any]) -> None:
    with whole_file(MEASURED) as part:
        part.write_text(json.dumps(measured, indent=1) + "\n")


def load() -> dict[str, Any]:
    advice = "take it from the repository again, or delete it to measure all"
    try:
        found = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    except ValueError as error:
        sys.exit(f"make.py: {MEASURED}: is damaged ({error}); {advice}")
    if not isinstance(found, dict):
        sys.exit(f"make.py: {MEASURED}: is damaged (a {type(found).__name__}, expected rows by name); {advice}")
    for name, row in found.items():
        needed = COLUMNS if not name.endswith("_widths") else {"group", "samples", "widths"}
        if not isinstance(row, dict) or not needed <= set(row):
            sys.exit(f"make.py: {MEASURED}: is damaged (row {name} lacks columns); {advice}")
    return found


def table(group: str, measured: dict[str, Any]) -> str:
    """The rows of one group in the order of `entries`; cycles and energies of another model version are in brackets."""
    lines = ["| method | T | source % | converted % | spikes a neuron | operations | cycles | compute nJ | core nJ | system nJ |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for entry in entries(group):
        if (row := measured.get(entry.name)) is None:
            continue
        numbers = _as_of(row, [f"{row['cycles']:,}", f"{row['compute_nj']:,.1f}", f"{row['core_nj']:,.0f}",
                               f"{row['system_nj']:,.0f}"])
        lines.append(
            f"| {label(entry)} | {steps(entry)} | {row['source_accuracy']:.2f} | {row['accuracy']:.2f} | "
            f"{row['spikes_per_neuron']:.2f} | {row['operations']:,} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _as_of(row: dict[str, Any], numbers: list[str]) -> list[str]:
    """The numbers of a row that hang on designs and prices, in brackets where these are not today's."""
    return numbers if row.get("model") == MODEL_VERSION else [f"({number})" for number in numbers]


def steps(entry: Entry) -> str:
    """The timesteps of a row: those that are thrown away first, where there are any."""
    return f"{entry.tau} + {entry.timesteps}" if entry.tau else str(entry.timesteps)


def label(entry: Entry) -> str:
    """The method of a row, with what tells two sources of it apart."""
    text = entry.method.replace("_", " ")
    if entry.method == "noise_adaptor":
        text += ", noise" if entry.variant else ", no noise"
    if entry.method == "alpha_beta":
        text += ", fine-tuned" if entry.variant else ""
    return text + (f", lambda {entry.coefficient}" if entry.coefficient else "")


def tables(measured: dict[str, Any]) -> dict[str, str]:
    """Every table that the page has a place for, by name."""
    page = PAGE.read_text(encoding="utf-8")
    made = {name: text for group in GROUPS
            for name, text in ((group, table(group, measured)), (f"{group}_widths", widths_table(group, measured)))}
    made["trends"] = trends.trends_table(trends.load())
    return {name: text for name, text in made.items() if has_block(page, name)}


def write_tables(measured: dict[str, Any]) -> None:
    """Replace what stands between the marks of each group's tables."""
    write_blocks(PAGE, tables(measured))


def keep(checkpoint: str, coefficient: str | None = None) -> None:
    """A trained checkpoint beside this file, named after what it holds, without what only resuming needs.

    coefficient   of the bit regulariser, where it is a row of that experiment.
    """
    from hwsim.sources.checkpoint import load_checkpoint, previous_of, save_checkpoint

    trained = load_checkpoint(checkpoint)
    says, kind = trained.description, trained.description.activation
    found = says.recipe.get("regulariser", 0.0)
    if float(coefficient or 0) != found:
        sys.exit(f"make.py: {checkpoint}: was trained with --regulariser {found:g}; give --coefficient with that value, one of "
                 f"{', '.join(COEFFICIENTS)}")
    bits = "" if coefficient is None else f"_bits{coefficient}"
    number = {"qcfs": kind.levels, "lsq": kind.levels, "alpha_beta": kind.timesteps, "single_spike": kind.timesteps}
    shortcut = "_projection" if says.variant.shortcut == "projection" else ""
    trained_as = f"{kind.kind}{number.get(kind.kind, '')}{'_noise' if kind.noise else ''}"
    name = f"{says.dataset}_{says.network}{shortcut}_{trained_as}{bits}.pt"
    wanted = sorted({entry.checkpoint for group in GROUPS for entry in entries(group)})
    if name not in wanted:
        sys.exit(f"make.py: {checkpoint}: is a {name}, which no row is made from; there are {', '.join(wanted)}")
    if kind.levels == 4 and kind.kind in ("qcfs", "lsq") and kind.highest != 4:
        sys.exit(f"make.py: {checkpoint}: its four levels end at {kind.highest}, a rate code's at 4; train it with --coding rate")
    if says.epoch < says.epochs:
        sys.exit(f"make.py: {checkpoint}: is from epoch {says.epoch} of {says.epochs}; finish the training with --resume")
    if says.recipe.get("shrink", 1) != 1:
        sys.exit(f"make.py: {checkpoint}: was trained on shrunk images, a start only; train it at full size")
    save_checkpoint(HERE / name, says, trained.weights)
    previous_of(HERE / name).unlink(missing_ok=True)  # git has it
    print(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for data in sorted(set(GROUPS.values())):
        parser.add_argument(f"--{data.replace('_', '-')}", type=Path, metavar="FOLDER", help=f"folder of {data}")
    parser.add_argument("--work", type=Path, metavar="FOLDER",
                        help="where traces that are not shipped are kept (default: nowhere)")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these entries")
    parser.add_argument("--energies", action="store_true",
                        help="also cycles and energies of rows that earlier designs and prices gave theirs, whose accuracies "
                             "stay, and tables of narrower potentials")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--table", action="store_true", help="write the tables into docs/methods.md and stop")
    instead.add_argument("--keep", nargs="+", metavar="CHECKPOINT", help="take over trained checkpoints and stop")
    parser.add_argument("--coefficient", metavar="LAMBDA", choices=COEFFICIENTS,
                        help="--keep: a row of the bit regulariser, trained with this one")
    args = parser.parse_args()
    if args.keep:
        for checkpoint in args.keep:
            keep(checkpoint, args.coefficient)
        return
    measured = load()
    if args.table:
        write_tables(measured)
        return
    folders = {group: getattr(args, data) for group, data in GROUPS.items()}
    if not any(folders.values()):
        sys.exit("make.py: no data set is given; give --fashion-mnist FOLDER or --cifar10 FOLDER")
    for folder in filter(None, (args.work, *folders.values())):
        if not folder.is_dir():
            sys.exit(f"make.py: {folder}: no such folder")
    known = {name: group for group in GROUPS for name in (*(entry.name for entry in entries(group)), f"{group}_widths")}
    for name in args.only:
        if name not in known:
            like = difflib.get_close_matches(name, known, 3, 0) or sorted(known)[:3]
            sys.exit(f"make.py: --only {name}: no such entry; the likest are {', '.join(like)}")
        if not folders[known[name]]:
            sys.exit(f"make.py: --only {name}: needs --{GROUPS[known[name]].replace('_', '-')} FOLDER")
    with tempfile.TemporaryDirectory() as nowhere:
        for group, folder in folders.items():
            if folder:
                measure_group(group, folder, args.work or Path(nowhere), args.only, measured, args.energies)


def measure_group(group: str, folder: Path, work: Path, only: list[str], measured: dict[str, Any], energies: bool) -> None:
    """What is not measured yet of a group, saved row by row; `energies`: also those of rows of another model version."""
    todo: dict[str, tuple[Entry, Any]] = {entry.name: (entry, partial(measure, entry, folder, work)) for entry in entries(group)}
    if group not in NO_WIDTHS:
        serial = next(entry for entry in entries(group) if entry.method == "bit_serial")
        todo[f"{group}_widths"] = (serial, partial(measure_widths, group, folder, work))
    for name, (entry, work_out) in todo.items():
        if only and name not in only:
            continue
        if not (HERE / entry.checkpoint).exists():
            print(f"{name}: left out, there is no {entry.checkpoint}", file=sys.stderr)
            continue
        mark = stamp(entry)
        before = measured.get(name, {})
        if before.get("stamp") == mark:
            if not energies or before.get("model") == MODEL_VERSION:
                continue
            work_out = partial(work_out, before) if "accuracy" in before else work_out  # widths are measured as a whole
        start = time.time()
        row = {"stamp": mark, **work_out()}
        measured.update({**load(), name: row})  # another run may have saved rows meanwhile
        save(measured)
        print(f"{name}: {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    from hwsim.errors import HwsimError

    try:
        main()
    except HwsimError as error:
        sys.exit(f"make.py: {error}")
