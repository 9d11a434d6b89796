"""Law: both engines do what ODIN's own Verilog did, in every cycle that was recorded."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.verify import COMPARED, check_case, check_cases, is_case, read_cases
from tests.cores.odin.engines import CASES, ENGINES

RECORDED = read_cases(CASES)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['id']}-{case['profile']}")
def test_engine_does_what_the_verilog_did(case: dict[str, Any], engine: str) -> None:
    assert check_case(case, ENGINES[engine]) is None


def test_all_cases_are_there_and_each_has_the_hash_of_its_log() -> None:
    assert len(RECORDED) == 60
    assert all(is_case(case) and "log_sha256" in case["expect"] for case in RECORDED)
    assert sum("log" in case["expect"] for case in RECORDED) == 8
    assert sum(len(case["expect"]["lost"]) for case in RECORDED) > 1000
    assert {kind for case in RECORDED for kind, *_ in case["expect"]["operations"]} == {
        "synapse", "tref", "bist", "push", "pop_neuron", "pop_virtual"}


@pytest.mark.parametrize("field", COMPARED)
def test_a_case_that_expects_something_else_is_not_equal(field: str) -> None:
    """Each field is really compared: one changed number is found, and named."""
    case = copy.deepcopy(next(case for case in RECORDED if case["expect"]["lost"]))
    expected = case["expect"][field]
    if isinstance(expected, dict):
        expected["synapse_read"] += 1
    elif field == "done":
        case["expect"][field] = 17
    elif field == "final_v":
        expected[200] += 1
    else:
        expected[-1][-1] = 123456
    found = check_case(case, ENGINES["fast"])
    assert found is not None
    assert found.startswith(f"case {case['id']} ({case['profile']}): {field}")


def test_a_changed_log_is_not_equal() -> None:
    case = copy.deepcopy(next(case for case in RECORDED if "log" in case["expect"]))
    case["expect"]["log"][0][1] += 1
    assert ": log[" in str(check_case(case, ENGINES["fast"]))
    del case["expect"]["log"]
    case["expect"]["log_sha256"] = "0" * 64
    assert ": log_sha256: found " in str(check_case(case, ENGINES["fast"]))
    case["expect"]["log_entries"] += 1
    assert ": log_entries: found " in str(check_case(case, ENGINES["fast"]))


def test_the_printed_line_names_the_case_or_counts() -> None:
    assert check_cases(RECORDED[:3], ENGINES["fast"]) == "3 cases equal"
    wrong = copy.deepcopy(RECORDED[1])
    wrong["expect"]["counts"]["neuron_write"] = 0
    line = check_cases([RECORDED[0], wrong], ENGINES["fast"])
    assert line.startswith(f"case {wrong['id']}")
    assert "1 cases before it are equal" in line


def test_what_is_no_file_of_cases_is_refused(tmp_path: Path) -> None:
    for name, text in (("a.json", "{"), ("b.json", "[1]"), ("c.json", '{"pool": 1}')):
        (tmp_path / name).write_text(text)
        with pytest.raises(OdinError, match=name):
            read_cases(tmp_path / name)
    (tmp_path / "d.json.gz").write_bytes(gzip.compress(json.dumps([RECORDED[0]]).encode())[:200])
    with pytest.raises(OdinError, match=r"d\.json\.gz: not a file of cases"):
        read_cases(tmp_path / "d.json.gz")


def test_a_case_with_a_field_missing_or_out_of_range_is_refused_by_name() -> None:
    case = dict(RECORDED[0])
    del case["monitor"]
    with pytest.raises(OdinError, match="case 10000: found no monitor"):
        check_case(case, ENGINES["fast"])
    with pytest.raises(OdinError, match="case 10000: thresholds: found 256"):
        check_case(dict(RECORDED[0]) | {"thr": [256] * 256}, ENGINES["fast"])
    with pytest.raises(OdinError, match="case 10000"):
        check_case(dict(RECORDED[0]) | {"row_of": [9] * 256}, ENGINES["fast"])
