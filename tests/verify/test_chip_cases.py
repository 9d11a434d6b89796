"""Chip cases through `python -m hwsim.verify`: equal on both engines; changed answers and inputs are noticed, mistakes told."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hwsim.verify import VerifyError, verify
from hwsim.verify.case_file import read_document
from hwsim.verify.chip_cases import ChipCases
from hwsim.verify.chip_fields import (
    ChannelFields,
    LayerFields,
    ListCaseFields,
    ListExpectFields,
    MessageFields,
    PipelineCaseFields,
    PipelineExpectFields,
    RunFields,
    TileFields,
    TransferFields,
    WaitFields,
    WireFields,
)
from tests.conftest import ROOT
from tests.verify.vectors import Entry, command, written

CASES = ROOT / "tests" / "data" / "chip_cases.json.gz"
SECTION = (ROOT / "docs" / "formats" / "vectors.md").read_text().split("## Chip cases")[1].split("\n## ")[0]
NAMES = ("fast", "reference")


@cache
def _shipped() -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = read_document(CASES)
    return found


def a_list() -> Entry:
    """The shortest list with a channel, a run, a wait and a transfer over links."""
    found = [c for c in _shipped()["operations"] if c["network"] and c["channel"] and c["expect"]["link_hops"]
             and {"run", "wait", "transfer"} <= {op["kind"] for op in c["operations"]}]
    return copy.deepcopy(min(found, key=lambda case: len(case["operations"])))


def a_pipeline() -> Entry:
    """The shortest pipeline with an input, a network with flits, a barrier and links that are used."""
    found = [c for c in _shipped()["pipelines"] if c["network"] and c["network"]["flit_bits"] and c["input"] and c["barrier"]
             and c["expect"].get("link_hops")]
    return copy.deepcopy(min(found, key=lambda case: len(case["expect"]["operations"])))


def document(*entries: Entry) -> dict[str, list[Entry]]:
    return {"operations": [e for e in entries if "operations" in e], "pipelines": [e for e in entries if "layers" in e]}


@pytest.mark.parametrize("engine", NAMES)
def test_all_shipped_cases_are_equal(engine: str) -> None:
    outcome = verify(CASES, engine)
    assert (outcome.format, outcome.cases, outcome.equal, outcome.difference) == ("chip cases", 200, 200, None)


def plus_one(holder: Any, key: Any) -> None:
    holder[key] += 1


def busier(expect: Entry) -> None:
    plus_one(expect["busy"], min(expect["busy"]))


LIST_CHANGES: list[tuple[str, tuple[int, ...], Callable[[Entry], None]]] = [
    *[(name, (3,), lambda e, name=name: plus_one(e[name], 3)) for name in ("ready", "start", "end")],
    ("latency", (), lambda e: plus_one(e, "latency")), ("busy", (0,), busier),
    ("busy", (0,), lambda e: e["busy"].pop(min(e["busy"]))), ("link_bits", (), lambda e: plus_one(e, "link_bits")),
    ("link_hops", (), lambda e: plus_one(e, "link_hops")),
]
PIPELINE_CHANGES: list[tuple[str, tuple[int, ...], Callable[[Entry], None]]] = [
    ("refused", (), lambda e: e.update(refused=True)), ("operations", (2,), lambda e: plus_one(e["operations"][2], 5)),
    ("operations", (1,), lambda e: e["operations"].insert(1, e["operations"].pop(2))), *LIST_CHANGES[3:],
]


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize(("make", "what", "position", "change"), [
    *[(a_list, *change) for change in LIST_CHANGES], *[(a_pipeline, *change) for change in PIPELINE_CHANGES]])
def test_a_changed_answer_is_found_and_named(
    engine: str, make: Callable[[], Entry], what: str, position: tuple[int, ...], change: Callable[[Entry], None], tmp_path: Path
) -> None:
    case = make()
    change(case["expect"])
    outcome = verify(written(tmp_path, document(case)), engine)
    kind = "operations" if make is a_list else "pipelines"
    assert (outcome.equal, outcome.case) == (0, f"{kind}.{case['id']}")
    assert outcome.difference is not None
    assert (outcome.difference.what, outcome.difference.position) == (what, position)


def test_every_answer_is_changed_above() -> None:
    assert {what for what, _, _ in LIST_CHANGES} == set(ListExpectFields.model_fields)
    assert {what for what, _, _ in PIPELINE_CHANGES} == set(PipelineExpectFields.model_fields)


def test_a_case_that_should_be_refused_and_is_not_differs(tmp_path: Path) -> None:
    refused = copy.deepcopy(next(c for c in _shipped()["pipelines"] if c["expect"]["refused"]))
    assert verify(written(tmp_path, document(refused))).equal == 1
    refused["expect"] = {"refused": False}
    found = verify(written(tmp_path, document(refused))).difference
    assert found is not None
    assert (found.what, found.expected, found.found) == ("refused", False, True)


OTHER_CHIP: dict[str, Callable[[Entry], Any]] = {
    "cores": lambda c: c["cores"] and dict(zip(c["cores"], [*list(c["cores"].values())[1:], *list(c["cores"].values())[:1]],
                                               strict=True)),
    "channel": lambda c: c["channel"] and c["channel"] | {"latency": c["channel"]["latency"] + 3},
    "network": lambda c: c["network"] and c["network"] | {"hop_cycles": c["network"]["hop_cycles"] + 1},
}
OTHER_PIPELINE: dict[str, Callable[[Entry], Any]] = OTHER_CHIP | {
    "planes_per_transfer": lambda c: c["planes_per_transfer"] + 1, "output": lambda c: not c["output"],
    "input": lambda c: c["input"] and c["input"] | {"spikes": [[n + 9 for n in row] for row in c["input"]["spikes"]]},
    "layers": lambda c: [layer | {"cycles": [[n + 1 for n in row] for row in layer["cycles"]]} for layer in c["layers"]],
    "connections": lambda c: [wire | {"kernel": None} for wire in c["connections"]],
    "schedule": lambda c: "step_by_step", "order": lambda c: "tick" if c["schedule"] == "pipelined" else c["order"],
    "barrier": lambda c: c["barrier"] and c["barrier"] + 5, "buffer_planes": lambda c: 1 + c["buffer_planes"] % 2,
}

@pytest.mark.parametrize("field", OTHER_PIPELINE)
def test_no_field_of_a_pipeline_is_read_in_vain(field: str) -> None:
    assert notices("pipelines", field, OTHER_PIPELINE[field])


@pytest.mark.parametrize("field", OTHER_CHIP)
def test_no_field_of_a_list_is_read_in_vain(field: str) -> None:
    assert notices("operations", field, OTHER_CHIP[field])


def notices(kind: str, field: str, change: Callable[[Entry], Any]) -> bool:
    known = ChipCases()
    for entry in _shipped()[kind]:
        other = {**entry, field: change(entry)}
        try:
            if known.compare(known.read((kind, other)), "fast") is not None:
                return True
        except VerifyError:
            continue
    return False


@pytest.mark.parametrize(("part", "field"), [
    *[("channel", name) for name in ("latency", "bits_per_cycle", "node")],
    *[("network", name) for name in ("flit_bits", "hop_cycles", "address_bits", "header_bits")]])
def test_no_number_of_a_chip_is_read_in_vain(part: str, field: str) -> None:
    def change(case: Entry) -> Any:
        old = case[part]
        if not old or old.get(field) is None:
            return old
        return old | {field: [old["node"][0] ^ 1, old["node"][1]] if field == "node" else old[field] + 1}
    assert notices("pipelines", part, change)


def test_every_input_is_changed_above() -> None:
    fields = set(PipelineCaseFields.model_fields)
    assert fields == {*OTHER_PIPELINE, "id", "expect", "timesteps"}, "timesteps must be those of the tables"
    assert set(ListCaseFields.model_fields) == {*OTHER_CHIP, "id", "expect", "operations"}


@pytest.mark.parametrize(("make", "change", "text"), [
    (a_list, lambda c: c.pop("cores"), "cores: missing"), (a_list, lambda c: c.update(lanes=3), "lanes: unknown key"),
    (a_list, lambda c: c["channel"].update(latency=-1), "channel.latency: found -1"),
    (a_list, lambda c: c["channel"].update(node=None), "channel.node: found null, expected [x, y]"),
    (a_list, lambda c: c.update(network=None), "expected null: there is no network"),
    (a_list, lambda c: c["network"].update(mesh=[2]), "network.mesh: found 1 entries"),
    (a_list, lambda c: c["cores"].update(core0=[200, 0]), "core0 sits on node (200, 0), outside of the mesh of"),
    (a_list, lambda c: c["operations"][0].update(kind="jump"), "operations[0]: found"),
    (a_list, lambda c: c["operations"][2].update(id=9), "operation 9 stands at position 2"),
    (a_list, lambda c: c["operations"][1].update(deps=[4]), "operation 1 depends on [4], which do not stand before it"),
    (a_list, lambda c: c["expect"].pop("ready"), "expect.ready: missing"),
    (a_list, lambda c: c["expect"].update(latency=True), "expect.latency: found True"),
    (a_pipeline, lambda c: c["network"].update(encoding="stream"), "network.encoding: found 'stream'"),
    (a_pipeline, lambda c: c["network"].pop("address_bits"), "network.address_bits: missing"),
    (a_pipeline, lambda c: c.update(schedule="random"), "schedule, order: found 'random' in"),
    (a_pipeline, lambda c: c.update(schedule="layer_by_layer", order="timestep"), "has no ticks for one; use null"),
    (a_pipeline, lambda c: c.update(channel=None), "channel: found null, and the input or the output goes over it"),
    (a_pipeline, lambda c: c["layers"][0]["tiles"][0].update(rows=[3, 3]), "layers[0].tiles[0].rows: found [3, 3]"),
    (a_pipeline, lambda c: c["layers"][0]["tiles"][0].update(core="core9"), "layers[0].tiles[0].core: found 'core9'"),
    (a_pipeline, lambda c: c["layers"][0]["cycles"].pop(), "layers[0].cycles: found"),
    (a_pipeline, lambda c: c["input"]["spikes"].append([]), "input.spikes: found"),
    (a_pipeline, lambda c: c["connections"][0].update(source=7), "connections[0]: found source 7 and target"),
    (a_pipeline, lambda c: c.update(input=None), "].source: found -1, and there is no input"),
    (a_pipeline, lambda c: c["expect"]["operations"][0].__setitem__(0, "jump"), "expect.operations[0]: found ['jump'"),
    (a_pipeline, lambda c: c.update(buffer_planes=0), "buffer_planes: found 0"),
])
def test_mistakes_are_told_with_their_place(
    make: Callable[[], Entry], change: Callable[[Entry], Any], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make()
    change(case)
    path = written(tmp_path, document(case))
    kind = "operations" if make is a_list else "pipelines"
    with pytest.raises(VerifyError) as error:
        verify(path)
    assert str(error.value).startswith(f"{path}: case {kind}.{case['id']}: ")
    assert text in str(error.value)
    assert command(monkeypatch, path) == 2


@pytest.mark.parametrize(("content", "text"), [
    ({"operations": 5}, "operations: found 5, expected a list of cases"),
    ({"pipelines": [{}]}, "pipelines: case at position 0: id: missing"),
    ({"operations": [], "notes": "x"}, "notes: unknown key; the format has operations and pipelines"),
    ({"operations": []}, "holds no cases"),
])
def test_a_file_that_is_none(content: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match=text):
        verify(written(tmp_path, content))


def test_both_lists_may_use_the_same_ids(tmp_path: Path) -> None:
    one, other = a_list(), a_pipeline()
    one["id"] = other["id"] = 1
    path = written(tmp_path, document(one, other))
    assert verify(path).equal == 2
    assert verify(path, cases=["pipelines.1"]).chosen == 1


def test_hardware_of_a_core_cannot_be_held_to_them() -> None:
    with pytest.raises(VerifyError, match="chip cases cannot hold engine 'rtl'; they hold fast, reference"):
        verify(CASES, "rtl")


def test_the_page_names_every_field() -> None:
    every = (ListCaseFields, ListExpectFields, PipelineCaseFields, PipelineExpectFields, ChannelFields, MessageFields, RunFields,
             TransferFields, WaitFields, TileFields, LayerFields, WireFields)
    fields = {name for model in every for name in model.model_fields}
    assert not {name for name in fields if f"`{name}`" not in SECTION}


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(monkeypatch, CASES, "--engine", "reference", "--limit", 3) == 0
    assert capsys.readouterr().out == f"{CASES}: 3 of 3 chip cases equal (of 200 in the file), engine reference\n"
    case = a_pipeline()
    case["expect"]["latency"] += 1
    assert command(monkeypatch, written(tmp_path, document(case)), "--json") == 1
    assert json.loads(capsys.readouterr().out)["difference"]["what"] == "latency"
