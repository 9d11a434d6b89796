"""The glossary: every term is linked where a page first uses it, and its example is what the code does."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim.activity import INDEX
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference.window import visits
from hwsim.program import Program
from hwsim.simulation import make_program
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire
from hwsim.snn.sample import Sample
from tests.conftest import ROOT
from tests.docs.pages import LINK, anchors, headings, links, name_of, pages, prose

GLOSSARY = ROOT / "docs" / "glossary.md"
PAGES = [path for path in pages() if path != GLOSSARY and name_of(path).startswith(("README.md", "docs/"))]
TERMS = [words for level, words in headings(GLOSSARY) if level == 3]
EVERYDAY = frozenset({
    "Accumulator", "Channel", "Coding", "Current", "Dataflow", "Event", "Feed", "Flag", "Group", "Mapping", "Operation", "Pass",
    "Period", "Placement", "Point", "Program", "Run", "Setup", "Slot", "Stall", "Study", "Task", "Transfer", "Visit", "Window",
    "Word",
})
"""Terms that these pages also use as everyday words, or as words of another machine: a reader finds their first use."""
ELSEWHERE = {("docs/cycle-model.md", "Sample"): "a verb", ("docs/methods.md", "Potential"): "in the title of a paper"}
"""First uses that are not the term; the link stands at a later one, or nowhere."""


def anchor(term: str) -> str:
    return term.lower().replace(" ", "-")


@cache
def linked(page: Path) -> dict[str, int]:
    """By anchor of the glossary, the line in which a page links it first."""
    found: dict[str, int] = {}
    for link in links(page):
        if link.target == GLOSSARY:
            found.setdefault(link.anchor, link.line)
    return found


def test_the_index_lists_every_term_in_order() -> None:
    first = GLOSSARY.read_text().split("\n## ")[0]
    listed = [(words, target) for words, target in LINK.findall(first)]
    assert listed == [(term, f"#{anchor(term)}") for term in sorted(TERMS, key=str.lower)]
    assert {anchor(term) for term in TERMS} <= anchors(GLOSSARY)


@pytest.mark.parametrize("term", TERMS)
def test_each_term_is_defined_and_linked_from_a_page(term: str) -> None:
    body = GLOSSARY.read_text().split(f"\n### {term}\n")[1].split("\n#")[0]
    assert len(body.split()) > 5
    assert any(anchor(term) in linked(page) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_links_each_term_where_it_first_appears(page: Path) -> None:
    """Looked for are the term and its plural, outside of code, headings and other links."""
    text = LINK.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), prose(page))
    wrong = []
    for term in sorted(set(TERMS) - EVERYDAY):
        if (name_of(page), term) in ELSEWHERE:
            continue
        words = r"\s".join(term.split())
        used = re.search(rf"(?<![\w/-]){words}(?:e?s)?(?![\w-])", text, 0 if term.isupper() else re.IGNORECASE)
        line = text.count("\n", 0, used.start()) + 1 if used else 0
        if used and linked(page).get(anchor(term), line + 1) > line:
            wrong.append(f"{name_of(page)}:{line}: link {used.group()!r} to glossary.md#{anchor(term)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_links_no_term_twice(page: Path) -> None:
    found = [link.anchor for link in links(page) if link.target == GLOSSARY and link.anchor]
    assert len(found) == len(set(found)), sorted(name for name in set(found) if found.count(name) > 1)


def example(schedule: str = "layer_by_layer") -> Program:
    """The layer that goes through the page, 40 x 5 x 5 with T = 4, behind one channel of spikes, on 16 lanes."""
    wire = Connection("input", "conv2d", (1, 5, 5), np.ones((40, 1, 3, 3), np.int64), kernel=3, padding=1)
    layer = Layer("layer", (40, 5, 5), (wire,), IntegrateAndFire(), 4, np.full(4, 100))
    network = Network(InputSpec((1, 5, 5), "spikes", 4), (layer,))
    return make_program(network, hwsim.load_architecture("event_core_16"), schedule)


def counts(program: Program) -> dict[str, int]:
    """What a spike of the middle neuron in the first timestep, and nothing else, makes the core do."""
    inputs = np.zeros((4, 5, 5, 1), np.uint8)
    inputs[0, 2, 2] = 1
    sample = Sample(inputs, {"layer": np.zeros((4, 5, 5, 40), np.uint8)})
    found = FastEngine().run_sample(program, sample, "trace").counts.sum(axis=(0, 1))
    return {event: int(found[at]) for event, at in INDEX.items()}


def test_the_example_of_the_page_is_what_the_core_does() -> None:
    text = " ".join(GLOSSARY.read_text().split())
    program = example()
    (run,) = program.runs
    total = counts(program)
    width = hwsim.load_architecture("event_core_16").row_bits["membrane"]
    for said in (
        f"{run.body.group_count} groups x 25 positions = {run.body.words} words", f"16 x 24 = {width} bits",
        f"one period of {run.body.table.planes} EOTs", f"a fire pass takes {total['membrane_read_fire'] // 4} operations",
        f"9 x 40 = {total['acc_add']} synaptic operations, in 9 x 3 = {total['weight_read']} operations",
    ):
        assert said in text, said
    assert [r.body.table.planes for r in example("step_by_step").runs] == [1, 1, 1, 1]
    assert "four runs, each with a period of one EOT" in text
    gather = replace(run.body, core=replace(run.body.core, order="gather", accumulators=2))
    assert [len(visit.words) for visit in visits(gather)] == [2, 1] * 25
    assert "with 2 accumulators, each of the 25 positions takes two visits, of 2 words and of 1 word" in text
