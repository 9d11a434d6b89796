"""The dataflow vectors through `python -m hwsim.verify`: equal on all engines; every changed answer or input is noticed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.errors import HwsimError
from hwsim.verify import VerifyError, verify
from hwsim.verify.case_file import read_document
from hwsim.verify.dataflow_cases import ACTIVITY, CoreFields, DataflowCaseFields, DataflowCases, PlanesFields
from tests.conftest import ROOT
from tests.engine.dataflow_cases import PATH
from tests.verify.vectors import Entry, written

PAGE = (ROOT / "docs" / "formats" / "vectors.md").read_text()
SECTION = PAGE.split("## Dataflow cases")[1].split("\n## ")[0]


@cache
def _shipped() -> list[Entry]:
    found: list[Entry] = read_document(PATH)
    return found


def shipped() -> Iterator[Entry]:
    """Copies, each made when it is asked for: most tests are done after a few."""
    return map(copy.deepcopy, _shipped())


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_all_shipped_cases_are_equal(engine: str) -> None:
    outcome = verify(PATH, engine)
    assert (outcome.format, outcome.cases, outcome.equal, outcome.difference) == ("dataflow cases", 314, 314, None)


def test_the_hardware_is_equal() -> None:
    pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")
    few = {(c["core"]["order"], c["core"]["planes_per_token"]): c for c in _shipped() if c["expect"]["done"] < 60}
    assert len(few) == 4
    outcome = verify(PATH, "rtl", cases=[str(one["id"]) for one in few.values()])
    assert (outcome.chosen, outcome.equal, outcome.difference) == (4, 4, None)


@pytest.mark.slow
def test_the_hardware_is_equal_in_all_cases() -> None:
    pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")
    assert verify(PATH, "rtl").equal == 314


def plus_one(holder: Any, key: Any) -> None:
    holder[key] += 1


CHANGES: list[tuple[str, tuple[int, ...], Callable[[Entry], None]]] = [
    ("push", (1,), lambda e: plus_one(e["push"], 1)),
    ("pop", (0,), lambda e: plus_one(e["pop"], 0)),
    ("issue", (2,), lambda e: plus_one(e["issue"][2], 0)),
    ("spikes", (0,), lambda e: plus_one(e["spikes"][0], 2)),
    ("done", (), lambda e: plus_one(e, "done")),
    ("final_potential", (0, 0, 0), lambda e: plus_one(e["final_potential"][0][0], 0)),
    *[(f"activity.{name}", (), lambda e, name=name: plus_one(e["activity"], name)) for name in ACTIVITY],
]


@pytest.mark.parametrize(("what", "position", "change"), CHANGES)
def test_a_changed_answer_is_found_and_named(
    what: str, position: tuple[int, ...], change: Callable[[Entry], None], tmp_path: Path
) -> None:
    case = next(c for c in shipped() if len(c["expect"]["spikes"]) > 3 and c["expect"]["done"] < 200)
    change(case["expect"])
    found = verify(written(tmp_path, [case]), "reference").difference
    assert found is not None
    assert (found.what, found.position) == (what, position)
    assert found.expected != found.found


OTHER: dict[str, Callable[[Entry], Any]] = {
    "coding": lambda c: {"rate": "bit_serial", "bit_serial": "rate"}[c["coding"]],
    "shift_at": lambda c: {"weight": "membrane", "membrane": "weight"}[c["shift_at"]],
    "reset": lambda c: {"soft": "hard", "hard": "soft"}[c["reset"]],
    "leak_shift": lambda c: 1 if c["leak_shift"] is None else None,
    "initial_potential": lambda c: (np.array(c["initial_potential"]) + 1).tolist(),
    "initial_current": lambda c: np.ones(c["output_shape"], int).tolist(),
    "bias": lambda c: [3] * c["output_shape"][0],
    **{name: lambda c, name=name: c[name] + 1 for name in ("timesteps", "threshold")},
    **{name: lambda c, name=name: not c[name] for name in ("direct_input", "clear", "keep")},
}
OTHER_CORE: dict[str, Callable[[Entry], Any]] = {
    **{name: lambda c, name=name: c[name] + 1 for name in ("lanes", "fifo_depth", "scan_bits", "accumulators", "adders")},
    "potential_bits": lambda c: c["potential_bits"] + 5, "bypass": lambda c: not c["bypass"],
    **{name: lambda c, name=name, words=words: words[1 - words.index(c[name])] for name, words in {
        "order": ("scatter", "gather"), "planes_per_token": ("one", "all"), "writer": ("serial", "word"),
        "membrane_ports": ("1r1w", "1rw"), "passes": ("by_pass", "by_word")}.items()},
}
OTHER_WIRE: dict[str, Callable[[Entry], Any]] = {
    "weights": lambda w: (1 - np.array(w["weights"])).tolist(), "pool": lambda w: w["pool"] + 1,
    "payload": lambda w: not w["payload"],
    "planes": lambda w: (1 - np.array(w["planes"], int)).tolist(),
}


@pytest.mark.parametrize("field", [
    *OTHER, *(f"core.{name}" for name in OTHER_CORE), *(f"connections.{name}" for name in OTHER_WIRE)])
def test_no_field_is_read_in_vain(field: str) -> None:
    """What a core is given decides its answers: some shipped case differs, or no longer fits, when the field is another."""
    cases, name = DataflowCases(), field.rpartition(".")[2]
    for entry in shipped():
        holder, others = {"core": (entry["core"], OTHER_CORE), "connections": (entry["connections"][0], OTHER_WIRE)}.get(
            field.partition(".")[0], (entry, OTHER))
        holder[name] = others[name](holder)
        try:
            if cases.compare(cases.read(entry), "fast") is not None:
                return
        except HwsimError:
            continue
    pytest.fail(f"no case notices another {field}")


def test_every_field_is_changed_above() -> None:
    assert set(OTHER) == set(DataflowCaseFields.model_fields) - {"id", "kind", "output_shape", "core", "connections", "expect"}
    assert set(OTHER_CORE) == set(CoreFields.model_fields)
    assert set(OTHER_WIRE) == set(PlanesFields.model_fields) - {
        "operator", "source_shape", "kernel", "stride", "padding", "groups"}


def test_the_page_names_every_field() -> None:
    names = {*CoreFields.model_fields, "payload", "planes", "keep", "initial_current", *ACTIVITY}
    assert not {name for name in names if f"`{name}`" not in SECTION}


def with_wire(**changes: Any) -> Entry:
    case = next(c for c in shipped() if not c["connections"][0]["payload"] and c["timesteps"] > 1)
    case["connections"][0] |= changes
    return case


@pytest.mark.parametrize(("case", "words"), [
    (lambda: with_wire(planes=[[[[1]]]]), r"connections\[0\].planes: found the shape"),
    (lambda: with_wire(planes=(2 * np.array(with_wire()["connections"][0]["planes"])).tolist()), "expected spikes, 0 or 1"),
    (lambda: with_wire(planes=with_wire()["connections"][0]["planes"][:1]), "expected one for each of"),
    (lambda: with_wire(payload=True), "planes of values, expected one, or none"),
    (lambda: {**with_wire(), "bias": [1] * 99}, r"bias: found the shape \[99\], expected a value for each channel"),
    (lambda: {**with_wire(), "initial_current": [[[1 << 40]]]}, "initial_current: found"),
    (lambda: {**with_wire(), "core": {**with_wire()["core"], "order": "sideways"}}, "core.order: found 'sideways'"),
    (lambda: {**with_wire(), "earliest": []}, "earliest: unknown key"),
])
def test_what_does_not_fit_is_named(case: Callable[[], Entry], words: str, tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match=words):
        verify(written(tmp_path, [case()]))


def test_a_setting_that_a_core_refuses_is_no_difference(tmp_path: Path) -> None:
    case = next(c for c in shipped() if c["coding"] == "rate" and not c["direct_input"] and c["core"]["order"] == "scatter")
    case["core"]["planes_per_token"] = "all"
    with pytest.raises(VerifyError, match=rf"case {case['id']}: engine fast: .*one sum per plane"):
        verify(written(tmp_path, [case]))
