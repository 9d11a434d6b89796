"""What cannot be used is one clear error and exit status 2: it is never equal, and never a difference."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from hwsim.program import ProgramError
from hwsim.verify import VerifyError, verify
from hwsim.verify.case_file import MAX_BYTES, read_document
from hwsim.verify.core_cases import CaseFields, ConnectionFields, ExpectFields
from tests.conftest import ROOT
from tests.engine.core_cases import PATH
from tests.verify.vectors import Entry, command, one_case, shipped, written

WHOLE = PATH.read_bytes()


@pytest.mark.parametrize(("data", "words"), [
    (WHOLE[: len(WHOLE) // 2], "damaged gzip"),
    (WHOLE[:20000] + b"\x00\xff\x00\xff" + WHOLE[20004:], "damaged gzip"),
    (WHOLE[:-8] + b"\x00" * 8, "damaged gzip"),
    (b"\x1f\x8b", "damaged gzip"),
    (gzip.compress(b"[{]", mtime=0), "line 1, column 3: not JSON"),
    (b"", "line 1, column 1: not JSON"),
    (b"[1, 2", "not JSON"),
    (b"\x80\x04]q\x00.", "byte 0 is not UTF-8"),
    (b"[" * 200_000, "nested too deeply"),
    (b'[{"tokens": 1, "tokens": 2}]', "the key 'tokens' is given twice"),
    (b'[{"tokens": NaN}]', "found NaN, expected integers"),
    (b'[{"tokens": -Infinity}]', "found -Infinity, expected integers"),
    (b"[" + b"9" * 5000 + b"]", "not JSON of test vectors"),
    (b"[]", r"unknown format of test vectors: found \[\], expected one of: core cases"),
    (b"{}", "unknown format"),
    (b'[{"id": 1, "rows": []}]', "unknown format"),
    (b'[{"tokens": []}]', "case at position 0: id: missing"),
    (b'[{"id": 1, "tokens": []}, 3]', "case at position 1: found 3, expected an object"),
    (b'[{"id": true, "tokens": []}]', "id: found True, expected an integer or a string"),
    (b'[{"id": 1, "tokens": []}, {"id": 1}]', "case at position 1: id: 1 is used twice"),
])
def test_damaged_files(
    data: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cases.json.gz"
    path.write_bytes(data)
    with pytest.raises(VerifyError, match=words) as error:
        verify(path)
    assert str(error.value).startswith(str(path))
    assert command(monkeypatch, path, "--json") == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"error: {error.value}\n")


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b" " * (MAX_BYTES + 1), 1))
    with pytest.raises(VerifyError, match="unpacks to more than the limit of 64 MiB"):
        read_document(path)
    tracemalloc.start()
    with pytest.raises(VerifyError, match="unpacks to more than the limit of 1 MiB"):
        read_document(path, limit_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MAX_BYTES // 8


def test_a_plain_file_has_the_same_limit(tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    path.write_bytes(b"[]" + b" " * 1000)
    assert read_document(path, limit_bytes=1002) == []
    with pytest.raises(VerifyError, match="has 1,002 bytes, more than the limit"):
        read_document(path, limit_bytes=1001)


def without(*path: str) -> Callable[[Entry], None]:
    return lambda case: _holder(case, path).pop(path[-1])


def put(value: object, *path: str | int) -> Callable[[Entry], None]:
    return lambda case: _holder(case, path).__setitem__(path[-1], value)


def _holder(case: Entry, path: tuple[str | int, ...]) -> Entry:
    holder = case
    for step in path[:-1]:
        holder = holder[step]  # type: ignore[index]
    return holder


FIELDS = [(name,) for name in CaseFields.model_fields if name != "id"]
FIELDS += [("expect", name) for name in ExpectFields.model_fields]
FIELDS += [("connections", 0, name) for name in ConnectionFields.model_fields]
FIELDS += [("expect", "activity", "mult")]


def spoken(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def complaint(tmp_path: Path, change: Callable[[Entry], None]) -> str:
    """The error about a convolution (case 2 of two) in which something was changed."""
    first, case = one_case(kind="linear"), one_case(kind="conv")
    change(case)
    with pytest.raises(VerifyError) as error:
        verify(written(tmp_path, [first, case]))
    text = str(error.value)
    assert text.startswith(f"{tmp_path / 'cases.json'}: case {case['id']}: ")
    return text


@pytest.mark.parametrize("path", FIELDS, ids=spoken)
def test_a_missing_field_is_named(path: tuple[str, ...], tmp_path: Path) -> None:
    assert f"{spoken(path)}: missing" in complaint(tmp_path, without(*path))


@pytest.mark.parametrize("value", [1.0, "1", {"a": 1}], ids=str)
@pytest.mark.parametrize("path", [p for p in FIELDS if p[-1] != "kind"], ids=spoken)
def test_a_field_of_another_type_is_named(path: tuple[str, ...], value: object, tmp_path: Path) -> None:
    assert spoken(path) in complaint(tmp_path, put(value, *path))


@pytest.mark.parametrize(("change", "words"), [
    (put(True, "lanes"), "lanes: found True, expected"),
    (put(0, "lanes"), "lanes: found 0, expected greater than or equal to 1"),
    (put(65, "timesteps"), "timesteps: found 65, expected less than or equal to 64"),
    (put("burst", "coding"), "coding: found 'burst', expected 'rate' or 'bit_serial'"),
    (put(5, "lane"), "lane: unknown key"),
    (put(5, "expect", "cycles"), "expect.cycles: unknown key"),
    (put(5, "expect", "activity", "div"), "expect.activity.div: unknown key"),
    (put(True, "expect", "activity", "mult"), "expect.activity.mult: found True"),
    (put([[[1, 2], [3]]], "initial_potential"), "initial_potential: found [[[1, 2], [3]]], expected nested lists of integers"),
    (put([[[1]]], "initial_potential"), "initial_potential: found the shape [1, 1, 1], expected output_shape"),
    (put([[[True]]], "initial_potential"), "initial_potential: found [[[True]]], expected nested lists of integers"),
    (put([[[1 << 60]]], "initial_potential"), "expected integers within 2**48"),
    (put([], "tokens"), "tokens: found 0 entries, expected"),
    (put(["event"], "tokens", 0), "tokens[0]: found ['event'], expected [\"eot\"] or"),
    (put(["event", -1, 0, 0, 0, None], "tokens", 0), "tokens[0]: found ['event', -1, 0, 0, 0, None], expected"),
    (put(["event", 0, 0, 0, 0, 1 << 20], "tokens", 0), "payload null or within 65535"),
    (put(["event", 9, 0, 0, 0, None], "tokens", 0), "tokens[0]: found connection 9, expected 0 to 0"),
    (put(["event", 0, 99, 0, 0, None], "tokens", 0), "tokens[0]: found source neuron [99, 0, 0], expected one within"),
    (put(["event", 0, 0, 0, 0, None], "tokens", -1), "tokens: the last one is an event"),
    (put([0], "earliest_arrival"), "earliest_arrival: found 1 cycles, expected"),
    (put([[[[1]]]], "connections", 0, "weights"), "connections[0].weights: found the shape [1, 1, 1, 1], expected"),
    (put(64, "connections", 0, "kernel"), "connections[0].weights: found the shape"),
    (put(9, "connections", 0, "padding"), "output positions, expected those of output_shape"),
    (put(11, "connections", 0, "groups"), "connections[0].groups: found 11, expected a divisor"),
    (put("linear", "connections", 0, "operator"), "connections[0].kernel: linear has none; leave it out"),
])
def test_what_does_not_fit_is_named(change: Callable[[Entry], None], words: str, tmp_path: Path) -> None:
    assert words in complaint(tmp_path, change)


def test_states_must_fit_their_width(tmp_path: Path) -> None:
    def widen(case: Entry) -> None:
        case["initial_potential"][0][0][0] = 1 << (case["potential_bits"] - 1)

    assert "initial_potential: found values from" in complaint(tmp_path, widen)


def test_all_mistakes_come_at_once_and_are_bounded(tmp_path: Path) -> None:
    cases = list(islice(shipped(), 40))
    for case in cases[3:]:
        case["lanes"] = 0
    cases[3]["bypass"] = 1
    name = cases[3]["id"]
    with pytest.raises(VerifyError) as error:
        verify(written(tmp_path, cases))
    lines = str(error.value).splitlines()
    assert len(lines) == 21
    assert f"case {name}: lanes" in lines[0]
    assert f"case {name}: bypass: found 1, expected boolean" in lines[1]
    assert lines[-1] == "  and 18 more"
    assert verify(tmp_path / "cases.json", limit=3).equal == 3, "cases that were not chosen are not in the way"


@pytest.mark.parametrize(("arguments", "words"), [
    ((PATH, "--engine", "odin"), "core cases cannot hold engine 'odin'; they hold fast, reference, rtl"),
    ((PATH, "--case", "999", "--case", "1"), "no case 999; the file has 225 cases; the first is 0, the last 866"),
    ((PATH, "--limit", "0"), "the limit is 0, expected at least 1 case"),
    ((PATH.parent,), "a folder; give a file"),
    ((PATH.parent / "none.json.gz",), "no such file"),
    ((), "Missing argument"),
    ((PATH, "--pickle"), "No such option"),
    ((PATH, "--limit", "many"), "Invalid value for '--limit'"),
])
def test_bad_arguments(
    arguments: tuple[object, ...], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err


def test_products_must_fit_64_bits(tmp_path: Path) -> None:
    case = one_case(coding="bit_serial", direct_input=False, shift_at="weight")
    case["timesteps"] = 64
    with pytest.raises(VerifyError, match=rf"case {case['id']}: connections: found weights up to \d+, .* up to 2\*\*63, "):
        verify(written(tmp_path, [case]))


def test_an_engine_that_refuses_a_case_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise ProgramError("not today")

    case = one_case(kind="conv")
    monkeypatch.setattr("hwsim.verify.core_cases.run_core_of", lambda engine: refuse)
    with pytest.raises(VerifyError, match=rf"cases.json: case {case['id']}: engine fast: not today"):
        verify(written(tmp_path, [case]))


def test_an_engine_that_breaks_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = one_case(kind="conv")
    monkeypatch.setattr("hwsim.verify.core_cases.run_core_of", lambda engine: lambda *arguments: [][0])
    path = written(tmp_path, [case])
    assert command(monkeypatch, path) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-2:] == ["IndexError: list index out of range", f"in case {case['id']} of {path}, engine fast"]


def test_a_missing_extra_is_one_error() -> None:
    code = "import sys; sys.modules['amaranth'] = None; from hwsim.verify.command import main; main()"
    done = subprocess.run([sys.executable, "-c", code, str(PATH), "--engine", "rtl", "--limit", "1"], capture_output=True,
                          text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {PATH}: case 0: engine rtl: needs Amaranth: pip install 'hwsim[rtl]'\n"


def test_yaml_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    path.write_text("- id: 1\n  tokens: []\n")
    with pytest.raises(VerifyError, match="not JSON"):
        verify(path)
