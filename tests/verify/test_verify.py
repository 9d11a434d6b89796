"""Engines held to the shipped vectors, and vectors whose answers were changed: every change is found, and named where it is."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.verify import Difference, VerifyError, verify
from hwsim.verify.core_cases import ACTIVITY, CaseFields, ConnectionFields, CoreCases, ExpectFields
from hwsim.verify.format import Format, first_difference
from hwsim.verify.formats import FORMATS
from tests.conftest import ROOT
from tests.engine.core_cases import PATH
from tests.verify.vectors import Entry, command, one_case, shipped, written

PAGE = (ROOT / "docs" / "formats" / "vectors.md").read_text()
ENGINES = ("fast", "reference")


@pytest.mark.parametrize(("engine", "limit"), [("fast", None), ("reference", 40)])
def test_shipped_cases_are_equal(engine: str, limit: int | None) -> None:
    """All of them on both engines, kind by kind: tests/laws/vectors.py."""
    chosen = limit or 225
    outcome = verify(PATH, engine, limit=limit)
    assert (outcome.cases, outcome.chosen, outcome.equal, outcome.difference) == (225, chosen, chosen, None)


@pytest.mark.slow
def test_the_hardware_is_equal() -> None:
    pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")
    few = list(islice(shipped(), 0, None, 31))
    assert {(one["coding"], one["clear"]) for one in few} > {("rate", True), ("bit_serial", True)}
    outcome = verify(PATH, "rtl", cases=[str(one["id"]) for one in few])
    assert (outcome.chosen, outcome.equal, outcome.difference) == (len(few), len(few), None)


# -- changed answers ----------------------------------------------------------------------------------------------


def busy() -> Entry:
    """A shipped case in which every field of `expect` has something to change."""
    return one_case(lambda c: len(c["expect"]["spikes"]) > 3 and c["expect"]["activity"]["current_read"] > 0)


def plus_one(holder: Any, key: Any) -> None:
    holder[key] += 1


# What is changed, where the difference must be found, and how it is made.
CHANGES: list[tuple[str, tuple[int, ...], Callable[[Entry], None]]] = [
    ("push", (0,), lambda e: plus_one(e["push"], 0)),
    ("pop", (2,), lambda e: plus_one(e["pop"], 2)),
    ("issue", (1,), lambda e: plus_one(e["issue"][1], 0)),
    ("issue", (1,), lambda e: e["issue"][1].__setitem__(1, "skip")),
    ("issue", (1,), lambda e: plus_one(e["issue"][1], 2)),
    ("spikes", (0,), lambda e: plus_one(e["spikes"][0], 0)),
    ("spikes", (2,), lambda e: plus_one(e["spikes"][2], 1)),
    ("spikes", (3,), lambda e: plus_one(e["spikes"][3], 2)),
    ("done", (), lambda e: plus_one(e, "done")),
    ("final_potential", (0, 0, 0), lambda e: plus_one(e["final_potential"][0][0], 0)),
    *[(f"activity.{name}", (), lambda e, name=name: plus_one(e["activity"], name)) for name in ACTIVITY],
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("what", "position", "change"), CHANGES)
def test_a_changed_answer_is_found_and_named(
    engine: str, what: str, position: tuple[int, ...], change: Callable[[Entry], None], tmp_path: Path
) -> None:
    case = busy()
    true = copy.deepcopy(case["expect"])
    change(case["expect"])
    before = one_case(lambda c: c["id"] != case["id"])
    outcome = verify(written(tmp_path, [before, case]), engine)
    assert (outcome.equal, outcome.case) == (1, str(case["id"]))
    found = outcome.difference
    assert found is not None
    assert (found.what, found.position) == (what, position)
    for value, answers in ((found.expected, case["expect"]), (found.found, true)):
        assert value == at(answers, what, position)
    assert found.expected != found.found


def at(answers: Entry, what: str, position: tuple[int, ...]) -> Any:
    value: Any = answers
    for step in (*what.split("."), *position):
        value = value[step]
    return value


@pytest.mark.parametrize("field", ["push", "pop", "issue", "spikes"])
@pytest.mark.parametrize("longer", [True, False])
def test_a_list_of_another_length_is_found_at_its_end(field: str, longer: bool, tmp_path: Path) -> None:
    case = busy()
    answers = case["expect"][field]
    last = copy.deepcopy(answers[-1])
    end = len(answers) if longer else len(answers) - 1
    if longer:
        answers.append(last)
    else:
        answers.pop()
    found = verify(written(tmp_path, [case])).difference
    assert found == Difference(field, (end,), *((last, None) if longer else (None, last)))


def test_every_answer_of_the_format_is_changed_above() -> None:
    changed = {what.split(".")[0] for what, _, _ in CHANGES}
    assert changed == set(ExpectFields.model_fields)
    assert {what for what, _, _ in CHANGES} >= {f"activity.{name}" for name in ACTIVITY}


def test_the_hardware_is_found_out_too(tmp_path: Path) -> None:
    pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")
    case = one_case(id=13)
    case["expect"]["activity"]["membrane_read"] -= 1
    found = verify(written(tmp_path, [case]), "rtl").difference
    assert found is not None
    assert (found.what, found.found - found.expected) == ("activity.membrane_read", 1)


def test_hardware_that_never_ends_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")
    monkeypatch.setattr("hwsim.rtl.stimulus.Stimulus.longest_cycles", 5)
    found = verify(written(tmp_path, [one_case(id=13)]), "rtl").difference
    assert found == Difference("done", (), one_case(id=13)["expect"]["done"], "not done after 5 cycles")


def test_the_first_difference_is_the_first_in_the_order_of_the_fields() -> None:
    expected = {"a": [1, 2], "b": {"x": 1, "y": 2}, "c": [[1, 2], [3, 4]]}
    none: frozenset[str] = frozenset()
    assert first_difference(expected, copy.deepcopy(expected), none) is None
    nested = {**expected, "c": [[1, 2], [3, 5]]}
    assert first_difference(expected, nested, none) == Difference("c", (1, 1), 4, 5)
    assert first_difference(expected, nested, frozenset("c")) == Difference("c", (1,), [3, 4], [3, 5])
    both = {"a": [1, 2], "b": {"x": 1, "y": 0}, "c": []}
    assert first_difference(expected, both, none) == Difference("b.y", (), 2, 0)


# -- every field is read ------------------------------------------------------------------------------------------


def other(case: Entry, field: str) -> None:
    """Another value in a field of what the core is given."""
    connection = case["connections"][0]
    flip = {"soft": "hard", "hard": "soft", "weight": "membrane", "membrane": "weight"}
    if field in ("direct_input", "bypass", "clear"):
        case[field] = not case[field]
    elif field in ("reset", "shift_at"):
        case[field] = flip[case[field]]
    elif field == "coding":
        case[field] = {"rate": "bit_serial", "bit_serial": "rate"}[case[field]]
    elif field == "leak_shift":
        case[field] = 1 if case[field] is None else None
    elif field in ("initial_potential", "bias"):
        case[field] = (np.zeros(case["output_shape"], int) + (3 if case[field] is None else 0)).tolist()
    elif field == "earliest_arrival":
        case[field] = [cycle + 7 for cycle in case[field]]
    elif field == "tokens":
        case[field] = [["eot"], *case[field]]
        case["earliest_arrival"] = [0, *case["earliest_arrival"]]
    elif field == "payload":
        case["tokens"] = [[*t[:5], 77] if t[0] == "event" else t for t in case["tokens"]]
    elif field == "weights":
        connection["weights"] = (1 - np.array(connection["weights"])).tolist()
    elif field == "pool":
        connection["pool"] += 1
    elif field in ("threshold", "lanes", "fifo_depth", "timesteps"):
        case[field] += 1
    elif field == "potential_bits":
        case[field] += 5
    else:
        raise AssertionError(field)


@pytest.mark.parametrize("field", [
    "coding", "direct_input", "shift_at", "timesteps", "lanes", "potential_bits", "fifo_depth", "bypass", "threshold", "reset",
    "leak_shift", "clear", "initial_potential", "bias", "tokens", "earliest_arrival", "payload", "weights", "pool"])
def test_no_field_is_read_in_vain(field: str) -> None:
    """What a core is given decides its answers: some shipped case differs, or no longer fits, when the field is another."""
    cases = CoreCases()
    for entry in shipped():
        other(entry, field)
        try:
            if cases.compare(cases.read(entry), "fast") is not None:
                return
        except VerifyError:
            continue
    pytest.fail(f"no case notices another {field}")


@pytest.mark.parametrize(("field", "low"), [("kernel", 1), ("stride", 1), ("padding", 0), ("groups", 1)])
def test_a_convolution_of_another_geometry_does_not_fit(field: str, low: int) -> None:
    """The geometry is told twice, by its fields and by shapes, so that another value is refused or differs."""
    cases = CoreCases()
    noticed = 0
    for entry in (c for c in shipped() if c["connections"][0]["operator"] == "conv"):
        connection = entry["connections"][0]
        connection[field] = connection[field] + 1 if connection[field] == low else low
        try:
            noticed += cases.compare(cases.read(entry), "fast") is not None
        except VerifyError:
            noticed += 1
    assert noticed > 50


# -- the page and the command -------------------------------------------------------------------------------------


def test_the_example_of_the_page_is_equal(tmp_path: Path) -> None:
    example = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(example) == 1
    path = written(tmp_path, json.loads(example[0]))
    for engine in ENGINES:
        assert verify(path, engine).equal == 1
    pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")
    assert verify(path, "rtl").equal == 1


def test_the_page_names_every_field_and_format() -> None:
    fields = {*CaseFields.model_fields, *ConnectionFields.model_fields, *ExpectFields.model_fields, *ACTIVITY}
    assert not {name for name in fields if f"`{name}`" not in PAGE}
    for one in FORMATS:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| {one.title} |"))
        assert all(f"`{engine}`" in row for engine in one.engines)


def test_the_command_says_how_many_are_equal() -> None:
    done = subprocess.run([sys.executable, "-m", "hwsim.verify", str(PATH), "--limit", "7"], capture_output=True, text=True,
                          check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{PATH}: 7 of 7 core cases equal (of 225 in the file), engine fast\n"


def test_the_command_prints_the_first_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = list(islice(shipped(), 4))
    cases[2]["expect"]["issue"][3][0] += 1
    cases[3]["expect"]["done"] += 1
    row, name = cases[2]["expect"]["issue"][3], str(cases[2]["id"])
    path = written(tmp_path, cases)
    assert command(monkeypatch, path, "--engine", "reference") == 1
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.splitlines() == [
        f"{path}: the first difference, after 2 equal cases, engine reference", f"  case      {name}", "  what      issue",
        "  position  3", f"  expected  {json.dumps(row)}", f"  found     {json.dumps([row[0] - 1, *row[1:]])}"]
    assert command(monkeypatch, path, "--json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "file": str(path), "format": "core cases", "engine": "fast", "cases": 4, "chosen": 4, "equal": 2, "case": name,
        "difference": {"what": "issue", "position": [3], "expected": row, "found": [row[0] - 1, *row[1:]]}}


def test_chosen_cases_alone_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = list(islice(shipped(), 4))
    cases[2]["expect"]["done"] += 1
    path = written(tmp_path, cases)
    first, _, third, fourth = (one["id"] for one in cases)
    assert command(monkeypatch, path, "--case", first, "--case", fourth) == 0
    assert command(monkeypatch, path, "--case", third) == 1
    assert command(monkeypatch, path, "--limit", 2) == 0
    assert command(monkeypatch, path, "--limit", 3) == 1
    assert command(monkeypatch, path, "--case", fourth, "--case", third, "--limit", 1) == 1


def test_another_format_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that is no list, ids that are strings, an engine of its own."""

    class Sums(Format):
        title, engines = "sums", ("adder",)

        def recognises(self, document: Any) -> bool:
            return isinstance(document, dict) and "sums" in document

        def entries(self, document: Any) -> list[tuple[str, Any]]:
            return [(f"sum/{i}", one) for i, one in enumerate(document["sums"])]

        def read(self, entry: Any) -> Any:
            return entry

        def compare(self, case: Any, engine: str) -> Difference | None:
            return first_difference({"sum": case["sum"]}, {"sum": sum(case["terms"])}, frozenset())

    monkeypatch.setattr("hwsim.verify.formats.FORMATS", (*FORMATS, Sums()))
    path = written(tmp_path, {"sums": [{"terms": [1, 2], "sum": 3}, {"terms": [2, 2], "sum": 5}]})
    outcome = verify(path, "adder")
    assert (outcome.equal, outcome.case, outcome.difference) == (1, "sum/1", Difference("sum", (), 5, 4))
    with pytest.raises(VerifyError, match=r"sums cannot hold engine 'fast'; they hold adder"):
        verify(path, "fast")
    with pytest.raises(VerifyError, match="holds no cases"):
        verify(written(tmp_path, {"sums": []}, "empty.json"), "adder")
    assert verify(PATH, "fast", limit=1).format == "core cases"
