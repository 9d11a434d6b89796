"""Step of docs/methods.md: energies and cycles of the rows whose traces are in the tree, by a replay of each; accuracies stay.

A row says which model version its energies are of (`model`, in traces/methods/measured.json). The tables bracket cycles and
energies of rows of another version: their traces are not in the tree, so only traces/methods/make.py can make them again.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.headlines.blocks import table
from benchmarks.headlines.replays import ROOT, say
from hwsim.simulation import simulate
from hwsim.task import MODEL_VERSION
from hwsim.trace.reader import Trace
from hwsim.trace.twin import ann_in

MAKE = ROOT / "traces" / "methods" / "make.py"
GROUPS = ("fashion_mnist_tiny", "cifar10_resnet20", "cifar10_vgg16")


@cache
def script() -> ModuleType:
    """traces/methods/make.py as a module."""
    spec = importlib.util.spec_from_file_location("methods_make", MAKE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def shipped(group: str) -> list[str]:
    """Rows of a group whose traces are in the tree, or those of their twins, in the order of the table."""
    return [e.name for e in script().entries(group) if file_of(e.name).is_file()]


def file_of(name: str) -> Path:
    """The trace of a row. A quantised ANN whose trace is not in the tree is that of the bit planes, whose twin it is."""
    own = MAKE.parent / f"{name}.h5"
    return own if own.is_file() or "_ann_" not in name else MAKE.parent / f"{name.replace('_ann_', '_bit_serial_')}.h5"


def energies(name: str, ann: bool) -> dict[str, Any]:
    """What a replay of a row's trace takes: the columns that depend on the design and its prices."""
    make = script()
    with Trace.open(file_of(name)) as trace:
        own = (ann_in(trace) or trace) if ann else trace
        result = simulate(own, make.ANN_CORE if ann else make.CORE, leak_unused=True)
    if result.mismatches or result.facts.saturations:
        raise SystemExit(f"headlines: {name}: {result.mismatches} mismatches, {result.facts.saturations} saturations")
    return make.replayed(result)


def methods(work: Path) -> dict[str, str]:
    """Replays every shipped trace, keeps what it takes in measured.json, and makes all tables."""
    make = script()
    for group in GROUPS:
        for name in shipped(group):
            row = energies(name, "_ann_" in name)
            measured = make.load()
            make.save({**measured, name: {**measured[name], **row}})
            say(f"methods: {name}")
    measured = make.load()
    return {**make.tables(measured), **{f"{group}_ratios": ratios(group, measured) for group in GROUPS}}


def ratios(group: str, measured: dict[str, Any]) -> str:
    """How many times the energy of the quantised ANN each row of today's prices takes; of a group without that ANN, nothing."""
    make = script()
    rows = [(entry, measured[entry.name]) for entry in make.entries(group)
            if measured.get(entry.name, {}).get("model") == MODEL_VERSION]
    ann = next((row for entry, row in rows if entry.method == "ann"), None)
    if ann is None:
        return "The trace of the quantised ANN is not in the tree, so no ratio to it is of today's prices."
    return table(("method", "T", "converted %", "cycles", "compute", "core", "system"), [
        (make.label(entry), make.steps(entry), f"{row['accuracy']:.2f}",
         *(f"{row[c] / ann[c]:.2f}" for c in ("cycles", "compute_nj", "core_nj", "system_nj"))) for entry, row in rows])
