"""ODIN's recorded cases through `python -m hwsim.verify`: equal on both engines, and every changed answer or input is noticed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hwsim.cores.odin.engines import NAMES
from hwsim.verify import VerifyError, verify
from hwsim.verify.case_file import read_document
from hwsim.verify.odin_cases import CountsFields, OdinCaseFields, OdinCases, OdinExpectFields
from tests.conftest import ROOT
from tests.cores.odin.engines import CASES
from tests.verify.vectors import Entry, command, written

PAGE = (ROOT / "docs" / "formats" / "vectors.md").read_text()
SECTION = PAGE.split("## ODIN cases")[1].split("\n## ")[0]


@cache
def _shipped() -> list[Entry]:
    found: list[Entry] = read_document(CASES)
    return found


def busy() -> Entry:
    """The smallest shipped case with everything but a whole log to change: spikes, lost entries, outputs."""
    found = [c for c in _shipped() if (e := c["expect"])["spikes"] and e["output"] and e["lost"] and len(e["pop"]) > 1]
    return copy.deepcopy(min(found, key=lambda case: case["cap"]))


def logged() -> Entry:
    """A shipped case with its whole log."""
    return copy.deepcopy(next(c for c in _shipped() if "log" in c["expect"] and c["expect"]["operations"]))


@pytest.mark.parametrize(("engine", "limit"), [("fast", None), ("reference", 12)])
def test_shipped_cases_are_equal(engine: str, limit: int | None) -> None:
    """All of them on both engines, one by one: tests/cores/odin/test_cases.py."""
    outcome = verify(CASES, engine, limit=limit)
    assert (outcome.format, outcome.cases, outcome.equal, outcome.difference) == ("ODIN cases", 60, limit or 60, None)


def plus_one(holder: Any, key: Any) -> None:
    holder[key] += 1


CHANGES: list[tuple[str, tuple[int, ...], Callable[[Entry], None]]] = [
    ("operations", (2,), lambda e: plus_one(e["operations"][2], 1)),
    ("input", (1,), lambda e: plus_one(e["input"][1], 2)),
    ("push", (0,), lambda e: plus_one(e["push"][0], 0)),
    ("lost", (0,), lambda e: plus_one(e["lost"][0], 1)),
    ("pop", (1,), lambda e: plus_one(e["pop"][1], 0)),
    ("spikes", (0,), lambda e: plus_one(e["spikes"][0], 1)),
    ("output", (0,), lambda e: plus_one(e["output"][0], 3)),
    *[(f"counts.{name}", (), lambda e, name=name: plus_one(e["counts"], name)) for name in CountsFields.model_fields],
    ("final_v", (77,), lambda e: plus_one(e["final_v"], 77)),
    ("done", (), lambda e: e.__setitem__("done", 5)),
    ("log", (3,), lambda e: e["log"].sort(key=lambda one: (one[1], one[0], *one[2:])) or plus_one(e["log"][3], -1)),
    ("log_sha256", (), lambda e: e.__setitem__("log_sha256", "0" * 64)),
]


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize(("what", "position", "change"), CHANGES)
def test_a_changed_answer_is_found_and_named(
    engine: str, what: str, position: tuple[int, ...], change: Callable[[Entry], None], tmp_path: Path
) -> None:
    case = logged() if what == "log" else busy()
    change(case["expect"])
    before = next(one for one in _shipped() if one["id"] != case["id"])
    outcome = verify(written(tmp_path, [before, case]), engine)
    assert (outcome.equal, outcome.case) == (1, str(case["id"]))
    assert outcome.difference is not None
    assert (outcome.difference.what, outcome.difference.position) == (what, position)
    assert outcome.difference.expected != outcome.difference.found


def test_every_answer_is_changed_above() -> None:
    changed = {what.split(".")[0] for what, _, _ in CHANGES}
    assert changed | {"log_entries"} == set(OdinExpectFields.model_fields), "log_entries is changed below"


def test_without_a_log_its_size_is_compared(tmp_path: Path) -> None:
    case = logged()
    del case["expect"]["log"]
    assert verify(written(tmp_path, [case])).equal == 1
    case["expect"]["log_entries"] += 1
    found = verify(written(tmp_path, [case])).difference
    assert found is not None
    assert (found.what, found.expected - found.found) == ("log_entries", 1)
    for name in ("log_entries", "log_sha256"):
        del case["expect"][name]
    assert verify(written(tmp_path, [case])).equal == 1, "all that is said of the log may be left out"


OTHER: dict[str, Callable[[Entry], Any]] = {
    "cap": lambda c: c["cap"] // 2, "pool": lambda c: [row.translate(str.maketrans("0f", "f0")) for row in c["pool"]],
    "row_of": lambda c: [0] * 256, "sign": lambda c: f"{int(c['sign'], 16) ^ (1 << 256) - 1:064x}",
    "thr": lambda c: [255 - value for value in c["thr"]], "leak": lambda c: [127 - value for value in c["leak"]],
    "v0": lambda c: [(value + 9) % 100 for value in c["v0"]], "monitor": lambda c: (c["monitor"] + 1) % 256,
    "events": lambda c: c["events"][:-1], "out_ack": lambda c: [[d + 1, f] for d, f in c["out_ack"]],
    **{name: lambda c, name=name: [1 - bit for bit in c[name]] for name in ("leak_en", "disable")},
    **{name: lambda c, name=name: 1 - c[name]
       for name in ("open_loop", "from_controller", "propagate_unmapped", "update_unmapped")},
}


@pytest.mark.parametrize("field", OTHER)
def test_no_field_is_read_in_vain(field: str) -> None:
    cases = OdinCases()
    for entry in map(copy.deepcopy, _shipped()):
        entry[field] = OTHER[field](entry)
        if cases.compare(cases.read(entry), "fast") is not None:
            return
    pytest.fail(f"no case notices another {field}")


def test_every_input_is_changed_above() -> None:
    assert {*OTHER, "id", "profile", "expect"} == set(OdinCaseFields.model_fields)


@pytest.mark.parametrize(("change", "text"), [
    (lambda c: c.pop("thr"), "thr: missing"), (lambda c: c.update(lanes=3), "lanes: unknown key"),
    (lambda c: c.update(open_loop=True), "open_loop: found True"), (lambda c: c.update(cap=0), "cap: found 0"),
    (lambda c: c.update(cap=1 << 25), "cap: found 33554432"),
    (lambda c: c["thr"].append(3), "thr: found"), (lambda c: c["thr"].__setitem__(4, 256), "thresholds: found 256 at [4]"),
    (lambda c: c["row_of"].__setitem__(9, 200), "row_of[9]: found 200, expected 0 to"),
    (lambda c: c["row_of"].__setitem__(9, -1), "row_of[9]: found -1"),
    (lambda c: c["pool"].__setitem__(0, "8"), "pool[0]: found '8'"),
    (lambda c: c.update(sign="xyz"), "sign: found 'xyz'"), (lambda c: c["events"].__setitem__(0, [1, 2, 3]), "events[0]: found"),
    (lambda c: c["events"][0].__setitem__(1, 1 << 17), "131072"), (lambda c: c.update(out_ack=[]), "out_ack: found 0 entries"),
    (lambda c: c["expect"]["operations"][0].__setitem__(0, "wait"), "expect.operations[0]: found ['wait'"),
    (lambda c: c["expect"].update(log=[["Q"]]), "expect.log[0]: found ['Q'], expected [letter, cycle, numbers]"),
    (lambda c: c["expect"]["counts"].pop("neuron_read"), "expect.counts.neuron_read: missing"),
    (lambda c: c["expect"].pop("log_sha256"), "expect.log_entries: given without log_sha256"),
])
def test_mistakes_are_told_with_their_place(
    change: Callable[[Entry], Any], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = busy()
    change(case)
    path = written(tmp_path, [case])
    with pytest.raises(VerifyError) as error:
        verify(path)
    assert str(error.value).startswith(f"{path}: case {case['id']}: ")
    assert text in str(error.value)
    assert command(monkeypatch, path) == 2


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    case = busy()
    case.update(thr=[300] * 256, monitor=256, v0=[-1] * 256)
    with pytest.raises(VerifyError) as error:
        verify(written(tmp_path, [case]))
    for text in ("thresholds: found 300", "monitor: found neuron 256", "potentials: found -1"):
        assert text in str(error.value)


def test_the_hardware_of_event_cores_cannot_be_held_to_them() -> None:
    with pytest.raises(VerifyError, match=r"ODIN cases cannot hold engine 'rtl'; they hold fast, reference"):
        verify(CASES, "rtl")


def test_the_page_names_every_field() -> None:
    fields = {*OdinCaseFields.model_fields, *OdinExpectFields.model_fields, *CountsFields.model_fields}
    assert not {name for name in fields if f"`{name}`" not in SECTION}


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(monkeypatch, CASES, "--engine", "reference", "--limit", 3) == 0
    assert capsys.readouterr().out == f"{CASES}: 3 of 3 ODIN cases equal (of 60 in the file), engine reference\n"
    case = busy()
    case["expect"]["counts"]["neuron_read"] += 1
    assert command(monkeypatch, written(tmp_path, [case]), "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["difference"]["what"], found["difference"]["position"]) == ("counts.neuron_read", [])
