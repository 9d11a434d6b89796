"""The command that remakes headlines: blocks of pages, its steps, and that pages hold what a cheap part of the steps computes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.headlines import baselines, designs, flips, methods
from benchmarks.headlines.__main__ import main
from benchmarks.headlines.blocks import BlockError, block, marks, table, with_block, write_blocks
from benchmarks.headlines.replays import SERIAL, replay
from benchmarks.headlines.steps import STEPS, Step
from hwsim.task import MODEL_VERSION
from tests.conftest import ROOT

PAGES = {step.page for step in STEPS if step.page}
MADE = {
    "docs/sweeps.md": {"search_default", "search_winners", "search_says", "shift"}, "README.md": {"readme"},
    "docs/baselines.md": {"rivals_event_core_64", "rivals_output_stationary_merged", "flips_ann", "flips_codes", "published"},
}


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def rows_of(page: str, name: str) -> list[str]:
    return block(text_of(page), name, page).splitlines()


def line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


# --- blocks ----------------------------------------------------------------------------------------------------------


def test_a_block_is_written_in_place_and_nothing_else_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n" + "old\n".join(marks("a")) + "\nbetween\n" + "".join(marks("b")) + "\nafter")
    assert block(page.read_text(), "a", page) == "old"
    assert write_blocks(page, {"b": "new | b", "a": "1\n2"})
    assert page.read_text() == "before\n" + "1\n2\n".join(marks("a")) + "\nbetween\n" + "new | b\n".join(marks("b")) + "\nafter"
    assert not write_blocks(page, {"a": "1\n2"}), "the same again changes nothing"


@pytest.mark.parametrize("text", ["", "".join(marks("a")) * 2, "".join(reversed(marks("a"))), marks("a")[0]])
def test_a_page_without_the_place_of_a_block_is_one_clear_error_and_is_left_alone(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(BlockError, match=r"page\.md: a: found .* expected each once, in this order"):
        write_blocks(page, {"a": "new"})
    assert page.read_text() == text
    assert with_block("".join(marks("a")), "a", "new", page) == "new\n".join(marks("a"))


def test_a_table_has_as_many_cells_in_each_line() -> None:
    assert table(("a", "b"), [("1", "2"), ("3", "")]) == "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 |  |"


# --- steps and pages ---------------------------------------------------------------------------------------------------


def test_every_block_of_the_pages_is_filled_and_made_by_a_step() -> None:
    make = methods.script()
    pages = MADE | {"docs/methods.md": {*make.tables(make.load()), *(f"{group}_ratios" for group in methods.GROUPS)}}
    for page, names in pages.items():
        assert set(re.findall(r"<!-- table (\w+) -->\n", text_of(page))) == names, page
        assert all(rows_of(page, name) for name in names)
    assert PAGES == {*MADE, "docs/methods.md"}


def test_the_readme_of_benchmarks_lists_the_steps_as_they_are() -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", text_of("benchmarks/README.md"), flags=re.MULTILINE)
    assert listed == [(s.name, s.takes, s.writes + ("" if s.usual else "; only when it is named")) for s in STEPS]


@pytest.mark.parametrize(("words", "said"), [
    (["--only", "searches"], "--only searches: no such step; there are search, winners"),
    (["--check", "--only", "figures"], "figures writes whole files, which are not compared"),
])
def test_what_is_asked_wrongly_is_said(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["headlines", *words])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert said in capsys.readouterr().err


def test_a_check_names_what_differs_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"published": "another", "flips_ann": "\n".join(rows_of("docs/baselines.md", "flips_ann"))}
    before = text_of("docs/baselines.md")
    monkeypatch.setattr("benchmarks.headlines.__main__.STEPS", (Step("some", "docs/baselines.md", "", "", lambda work: wrong),))
    monkeypatch.setattr("sys.argv", ["headlines", "--check"])
    with pytest.raises(SystemExit, match=r"not what the tree says: docs/baselines\.md: published; run"):
        main()
    assert text_of("docs/baselines.md") == before


@pytest.mark.slow
def test_tables_of_whole_steps_are_what_they_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ["winners", "shift", "published", "flips", "rivals", "readme"]
    monkeypatch.setattr("sys.argv", ["headlines", "--check", "--only", *steps])
    main()


# --- a cheap part of the numbers -------------------------------------------------------------------------------------


def test_the_winner_of_bit_planes_takes_what_the_pages_say() -> None:
    row = designs.winner(SERIAL, replay(SERIAL, "output_stationary_merged", None), True)
    assert line(row) in rows_of("docs/sweeps.md", "search_winners")
    (said,) = [r for r in rows_of("README.md", "readme") if "bit-serial" in r and "output_stationary_merged" in r]
    assert {row[6], row[7].strip("*")} <= set(said.strip("| ").split(" | "))


def test_the_shifters_row_is_what_a_replay_says() -> None:
    assert line(designs.shift_row(SERIAL, "output_stationary")) in rows_of("docs/sweeps.md", "shift")


def test_a_flip_is_the_other_side_of_one() -> None:
    pair = flips.PAIRS["output stationary, merged"]
    shown = flips.shown(flips.ratio(pair, 0), flips.ratio(pair, 0))
    assert rows_of("docs/baselines.md", "flips_ann")[2].split(" | ")[4] == shown
    assert flips.shown(1.2, 0.8) == "**1.20**"
    assert flips.shown(1.02, 0.99) == "1.02"
    assert flips.shown(1.02, 0.9) == "**1.02**"
    assert flips.shown(None, 1.0) == "-"
    assert "does not flip: a under every change (0.50 to 0.90)" in flips.verdict([0.5, 0.9, None], ("a", "b"))
    assert flips.verdict([0.5, 1.5], ("a", "b")).startswith("a as shipped (0.50). Flips: memories of `cacti_hp` (1.50, b)")


@pytest.mark.parametrize("name", ["fashion_mnist_tiny_ann_t4", "fashion_mnist_tiny_bit_serial_t4"])
def test_energies_of_methods_are_those_of_their_traces(name: str) -> None:
    measured = json.loads(text_of("traces/methods/measured.json"))[name]
    found = methods.energies(name, "_ann_" in name)
    assert found == {key: measured[key] for key in found}


def test_rows_of_another_model_version_stand_in_brackets_and_have_no_ratio() -> None:
    make = methods.script()
    measured, name, group = make.load(), "fashion_mnist_tiny_rate_t8", "fashion_mnist_tiny"
    energy = f"{measured[name]['core_nj']:,.0f}"
    for version, shown in ((MODEL_VERSION, energy), ("0", f"({energy})")):
        rows = {**measured, name: {**measured[name], "model": version}}
        (row,) = [r for r in make.table(group, rows).splitlines() if r.startswith("| rate | 8 |")]
        assert f"| {shown} |" in row
        ratio = [r for r in methods.ratios(group, rows).splitlines() if r.startswith("| rate | 8 |")]
        assert len(ratio) == (version == MODEL_VERSION)


def test_a_rivals_table_marks_the_strongest() -> None:
    for name in (baselines.CAUTIONARY, baselines.BEST):
        rows = rows_of("docs/baselines.md", f"rivals_{name}")
        assert sum("**" in row for row in rows) == 1
        assert rows[-1].startswith(f"Strongest rival of {name} at equal latency: ")
