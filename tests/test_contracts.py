"""Codings, schedules and kinds of cores are asked, not compared: their names are compared in their own files only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "hwsim"
CODINGS = {"rate", "bit_serial", "single_spike", "two_stage", "quantised", "readout", "direct", "hybrid", "spikes"}
SCHEDULES = {"layer_by_layer", "step_by_step", "pipelined"}
CORES = {"event", "multiply_accumulate", "systolic", "odin"}
ASKED = {"coding": CODINGS, "codings": CODINGS, "encoding": CODINGS, "input_coding": CODINGS, "source_coding": CODINGS,
         "schedule": SCHEDULES, "kind": CORES}
"""What holds a name, and the names that it must not be compared with."""
OWN = ("snn/neurons/", "snn/network.py", "schedules/", "cores/")
"""Where the names live."""
READERS = ("trace/", "snn/trace", "snn/validate.py", "snn/synth.py", "capture/", "convert/", "training/", "cli/convert.py",
           "cli/train.py", "rtl/", "verify/")
"""Files and options whose subject is the name itself: what a file or a user may say, and what it then means."""


def comparisons(tree: ast.AST) -> Iterator[ast.Compare]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield node


def words_in(node: ast.expr) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def names_of(node: ast.expr) -> set[str]:
    """The names that `x.coding`, `schedule` or `network.source_coding(c)` may hold."""
    if isinstance(node, ast.Call):
        return names_of(node.func)
    return ASKED.get(node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else "", set())


def found_in(text: str) -> list[str]:
    """Comparisons of a coding, an encoding, a schedule or a kind with a name."""
    return [ast.unparse(node) for node in comparisons(ast.parse(text))
            for sides in [(node.left, *node.comparators)]
            if set().union(*map(names_of, sides)) & set().union(*map(words_in, sides))]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_names_are_compared_in_their_own_files_only(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    if not place.startswith((*OWN, *READERS)):
        assert not found_in(path.read_text()), place


@pytest.mark.parametrize(("text", "found"), [
    ('if layer.coding == "bit_serial": pass', True), ('x = "systolic" != arch.core.kind', True),
    ('y = network.source_coding(c) in ("direct", "hybrid")', True), ('z = schedule == "step_by_step"', True),
    ('w = op.kind == "run"', False), ('t = p.kind == "readout"', False), ('v = layer.sends', False),
    ('u = name == "rate"', False),
])
def test_the_test_finds_what_it_looks_for(text: str, found: bool) -> None:
    assert bool(found_in(text)) == found
