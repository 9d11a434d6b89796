"""The one YAML loader (hwsim/yaml_file.py): what is written is what is read, or one clear error, in bounded time and memory."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.arch import config_folders, load_architecture
from hwsim.cost.energy import parse_overrides
from hwsim.cost.technology import sources
from hwsim.errors import HwsimError
from hwsim.units import parse_bits, parse_hz
from hwsim.yaml_file import MAX_BYTES, MAX_DEPTH, YamlError, parse_yaml

SHIPPED = sorted([*sources.FOLDER.rglob("*.yaml"), *(p for folder in config_folders() for p in folder.glob("*.yaml"))])


def read_design(path: Path) -> Any:
    return load_architecture(path)


def read_prices(path: Path) -> Any:
    return parse_overrides(path)


def read_table(path: Path) -> Any:
    return sources.load("units", str(path), sources.Table)


every_reader = pytest.mark.parametrize("read", [read_design, read_prices, read_table])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_mean_what_another_parser_says(path: Path) -> None:
    assert parse_yaml(path.read_text(), str(path)).data == yaml.safe_load(path.read_text())


def written_as_text(text: str) -> bool:
    """False for text that PyYAML writes without quotes and hwsim reads as a number (0E0, 1e5, +.5) or refuses (08, 0_8)."""
    number = re.match(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z|[-+]?[0-9][0-9_]*\Z|[-+]?0o[0-7]+\Z", text)
    return number is None or not yaml.safe_dump(text).startswith(text)


simple = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False) | st.text(
    st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), max_size=12).filter(written_as_text)
values = st.recursive(simple, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=6) | st.integers(0, 999), inner, max_size=4), max_leaves=12)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=6), values, max_size=5), st.booleans())
def test_what_is_written_is_read_and_every_line_is_known(data: dict[str, Any], flow: bool) -> None:
    class Plain(yaml.SafeDumper):
        ignore_aliases = staticmethod(lambda _: True)  # type: ignore[assignment]

    document = parse_yaml(yaml.dump(data, Dumper=Plain, default_flow_style=flow, allow_unicode=True), "file")
    assert document.data == data
    assert not document.mistakes
    assert all(document.line_of([key]) >= 1 for key in data)


ODD = {
    "0100": "64 or 100", "1:30": "90", "0x_": "", "0x1F": "", "0b11": "", "0o17": "", "08": "", "1_000": "", "2020-13-45": "",
    "2020-01-02": "", "yes": "", "Off": "", "TRUE": "", "NULL": "", ".inf": "", ".NaN": "", "1e400": "", "9" * 5000: "",
    "1." + "0" * 100: "", "=": "", "<<": "",
}


@pytest.mark.parametrize("scalar", ODD, ids=lambda s: s[:12])
def test_a_scalar_that_parsers_read_differently_is_refused_with_its_line(scalar: str) -> None:
    found = parse_yaml(f"a: 1\nb: {scalar}\n", "file").mistakes
    assert len(found) == 1
    assert found[0].startswith("file:2: ")
    assert len(found[0]) < 300
    assert parse_yaml(f"a: '{scalar}'\n", "file").data == {"a": scalar}, "quoted it is text"


@pytest.mark.parametrize(("text", "expected"), [
    ("1e5", 1e5), ("1e-3", 1e-3), ("-2.5E+2", -250.0), (".5", 0.5), ("7.", 7.0), ("+3", 3), ("-0", 0), ("0", 0), ("null", None),
    ("~", None), ("", None), ("true", True), ("false", False), ("64 KiB", "64 KiB"), ("45nm", "45nm"), ("'12'", "12"),
    ("no.", "no."),
])
def test_what_a_scalar_is(text: str, expected: Any) -> None:
    found = parse_yaml(f"a: {text}\n", "file")
    assert found.data == {"a": expected}
    assert type(found.data["a"]) is type(expected)
    assert not found.mistakes


@every_reader
@pytest.mark.parametrize(("content", "line", "said"), [
    ("lanes: &a {b: *a}\n", 1, "alias"),
    ("a: &x 1\nb: 1\n", 1, "anchor"),
    ("x: 1\ny: *nobody\n", 2, "alias"),
    ("a: !!int x\n", 1, "tag"),
    ("a: !!python/object:os.system x\n", 1, "tag"),
    ("a: !mine [1]\n", 1, "tag"),
    ("!!map {a: 1}\n", 1, "tag"),
    ("%TAG ! tag:x,2000:\n---\na: !y 1\n", 1, "directive"),
    ("a: 1\n---\nb: 2\n", 2, "second document"),
    ("? [a, b]\n: 1\n", 1, "key"),
    ("? {a: 1}\n: 1\n", 1, "key"),
    ("a: 1\n1.5: 2\n", 2, "key"),
    ("a: 1\nb: 2\na: 3\n", 3, "given twice"),
    ("a: 1\nc: {b: 2, b: 3}\n", 2, "given twice"),
    ("a:\n  <<: {b: 1}\n", 2, "<<"),
    ("a: 2020-13-45\n", 1, "2020-13-45"),
    ("a: 0x_\n", 1, "0x_"),
    ("a: " + "7" * 5000 + "\n", 1, "7777"),
    ("a: \x07\n", 0, "not valid YAML"),
    ("a: [1\n", 0, "not valid YAML"),
    ("[" * 900, 1, "deep"),
    ("[" * 90_000, 1, "not valid YAML"),
    ("a: " + "{a: " * 900, 1, "deep"),
    ("- " * 900, 1, "deep"),
    ("a: 1 # " + "x" * MAX_BYTES, 0, f"{MAX_BYTES}"),
], ids=lambda value: str(value)[:16])
def test_every_reader_refuses_it_in_one_short_text(
    read: Callable[[Path], Any], content: str, line: int, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(HwsimError) as told:
        read(path)
    assert (f"{path}:{line}: " if line else f"{path}") in str(told.value)
    assert said in str(told.value)
    assert len(str(told.value)) < 20_000


@every_reader
@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x80" * 4, b"\x00", b"", b"a: \xc3\x28"])
def test_every_reader_refuses_what_is_no_text(read: Callable[[Path], Any], content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(HwsimError, match=str(path)):
        read(path)


@every_reader
@pytest.mark.parametrize("content", ["", "\n \n", "# only a comment\n", "---\n", "null\n"])
def test_every_reader_says_that_a_file_is_empty(read: Callable[[Path], Any], content: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(HwsimError) as told:
        read(path)
    assert str(told.value).startswith(f"{path}: the file is empty; expected a mapping ")


@every_reader
def test_aliases_that_multiply_cost_nothing(read: Callable[[Path], Any], tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = tmp_path / "bad.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(HwsimError, match="bad.yaml:"):
        read(path)


@every_reader
def test_a_file_without_end_is_not_read_to_its_end(read: Callable[[Path], Any], tmp_path: Path) -> None:
    """A sparse file of a terabyte, in a process of bounded memory."""
    path = tmp_path / "endless.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(HwsimError, match=f"at most {MAX_BYTES} bytes"):
        read(path)


def test_a_value_in_a_message_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"name: {'x' * 50_000}\nclock: {'y' * 50_000}\n"
                    f"core: {{lanes: [{'1, ' * 20_000}]}}\nspike_buffer: 1\nmemories: 1\n")
    with pytest.raises(HwsimError) as told:
        load_architecture(path)
    assert max(map(len, str(told.value).splitlines())) < 1000
    path.write_text(f"acc_add: [{'1, ' * 20_000}]\n{'e' * 30_000}: 1\n")
    with pytest.raises(HwsimError) as told:
        parse_overrides(path)
    assert max(map(len, str(told.value).splitlines())) < 3000


def test_depth_is_allowed_to_its_limit_and_no_further() -> None:
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, "file").data
    with pytest.raises(YamlError, match="deep"):
        parse_yaml("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "file")


@pytest.mark.parametrize("text", ["1e399999 B", "9" * 400 + " B", "0." + "0" * 4000 + "1 B", "1e5000000 Hz"])
def test_a_quantity_of_a_million_digits_is_refused_at_once(text: str) -> None:
    """In a process that may use two seconds of the processor."""
    program = ("import resource, sys\nresource.setrlimit(resource.RLIMIT_CPU, (2, 2))\n"
               "from hwsim.units import parse_bits, parse_hz\n"
               "for parse in (parse_bits, parse_hz):\n    try:\n        parse(sys.argv[1])\n    except ValueError as error:\n"
               "        assert len(str(error)) < 300, len(str(error))\n    else:\n        sys.exit('accepted')\n")
    done = subprocess.run([sys.executable, "-c", program, text], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", ["128KB", "128 kB", "2 MB", "1 GB", "64 kbit", "4 Mb"])
def test_a_capacity_that_could_be_binary_or_decimal_is_refused_with_both(text: str) -> None:
    with pytest.raises(ValueError, match=r"1000 or 1024.*write .*i(B|bit|b)"):
        parse_bits(text)


def test_frequencies_are_decimal_and_capacities_binary() -> None:
    assert parse_hz("2 MHz") == 2_000_000
    assert parse_bits("128 KiB") == 128 * 1024 * 8
    with pytest.raises(ValueError, match="quantity"):
        parse_hz("2 MiHz")


def test_a_design_without_a_clock_is_refused(tmp_path: Path) -> None:
    shipped = next(folder / "event_core_16.yaml" for folder in config_folders())
    lines = shipped.read_text().splitlines()
    path = tmp_path / "design.yaml"
    path.write_text("\n".join(line for line in lines if not line.startswith("clock:")))
    with pytest.raises(HwsimError, match="clock: missing, it must be given"):
        load_architecture(path)
