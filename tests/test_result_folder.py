"""A saved result is sealed: what is loaded is what was saved, or one clear error; and nothing of it is ever half there."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import hwsim
from hwsim.result_file import FIGURES, MADE_WITH, OF_A_RESULT, RESULT, saved_run, seal
from hwsim.result_reader import made_with
from hwsim.study import ROWS, StudyError, read_rows
from hwsim.trace.synth import synthesise


@pytest.fixture(scope="module")
def result() -> hwsim.Result:
    return hwsim.simulate(synthesise("tiny", 4, samples=2), "event_core_16")


@pytest.fixture
def folder(result: hwsim.Result, tmp_path: Path) -> Path:
    return result.save(tmp_path / "run")


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value that is no mapping or list, and where it stands."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield from leaves(value, (*path, key))
    if not isinstance(node, dict | list):
        yield path, node


def put(body: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        body = body[key]
    body[path[-1]] = value


def edited(folder: Path, edit: Callable[[dict[str, Any]], object], sealed: bool = True) -> Path:
    """The result with its result.json changed, and its seal made right again."""
    path = folder / RESULT
    body = json.loads(path.read_text())
    edit(body)
    path.write_text(json.dumps(body | ({"seal": seal(body)} if sealed else {})))
    return folder


def test_a_result_has_the_files_that_it_says(result: hwsim.Result, tmp_path: Path) -> None:
    folder = result.save(tmp_path / "run", draw=lambda _, made: [(made / name).touch() for name in FIGURES])
    assert {path.name for path in folder.iterdir()} == OF_A_RESULT
    assert hwsim.load_result(folder).summary() == result.summary()


def test_a_change_of_any_value_is_noticed(folder: Path) -> None:
    whole = (folder / RESULT).read_text()
    places = list(leaves(json.loads(whole)))
    assert len(places) > 100
    for place, value in places:
        other = value + 1 if isinstance(value, int | float) and not isinstance(value, bool) else f"{value}x"
        edited(folder, lambda body, place=place, other=other: put(body, place, other), sealed=False)
        with pytest.raises(hwsim.ResultError, match=str(folder)):
            hwsim.load_result(folder)
    (folder / RESULT).write_text(json.dumps(json.loads(whole)))
    assert hwsim.load_result(folder), "another layout says the same"


@pytest.mark.parametrize("name", sorted(OF_A_RESULT - FIGURES - {RESULT}))
def test_a_change_of_any_file_is_noticed(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    for other in (b"", whole[:-1], whole + b"\n1", whole.replace(b"1", b"2", 1), None):
        path.unlink() if other is None else path.write_bytes(other)
        with pytest.raises(hwsim.ResultError, match=r"run"):
            hwsim.load_result(folder)


ODD: list[tuple[str, Any]] = [
    ("facts.samples", "2"), ("facts.samples", 3), ("facts.samples", 0), ("facts.sample_indices", [0, 0]),
    ("facts.sample_indices", [1, 0]), ("facts.sample_indices", "01"), ("facts.layers", "conv1"),
    ("facts.layers", []), ("facts.payload_bits", {"conv1": 10**9}),
    ("facts.payload_bits", {"none": 8}), ("facts.accuracy", 1e300), ("facts.accuracy", "all"), ("facts.is_ann", 1),
    ("facts.mismatches", -1), ("facts.setup_cycles", 10**40), ("facts.arch", "other"), ("facts.extra", 1),
    ("task.samples", [5, 6]), ("task.trace_hash", "0"), ("task.extra", 1), ("task.timing", {}), ("task", []), ("facts", None),
    ("architecture.core.weight_bits", 9), ("architecture.clock", None), ("architecture", 5), ("overrides", 0),
    ("overrides", {"cmp": "1"}), ("overrides", {"cmp": True}), ("leak_unused", 1), ("leak_unused", None), ("sha256", []),
    ("sha256", {}), ("sha256", {"/etc/passwd": "0"}), ("sha256", {"../x.csv": "0"}), ("format", "hwsim-result-2"), ("extra", 1),
]


@pytest.mark.parametrize(("place", "value"), ODD, ids=[f"{place}={str(value)[:20]}" for place, value in ODD])
def test_what_is_sealed_and_makes_no_sense_is_refused(folder: Path, place: str, value: Any) -> None:
    edited(folder, lambda body: put(body, tuple(place.split(".")), value))
    with pytest.raises(hwsim.ResultError, match=str(folder)) as told:
        hwsim.load_result(folder)
    assert len(str(told.value)) < 1000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(folder: Path) -> None:
    """Nobody writes into it, so whoever opened it to read would wait for ever."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    (folder / RESULT).unlink()
    os.mkfifo(folder / RESULT)
    os.mkfifo(folder / ROWS)
    for read, error in ((hwsim.load_result, hwsim.ResultError), (read_rows, StudyError)):
        signal.alarm(3)
        with pytest.raises(error):
            read(folder)
    signal.alarm(0)
    assert saved_run(folder) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "NaN", '{"format": NaN}', "[" * 100_000, '{"a":' * 100_000,
                                  "9" * 5000, "\x00"])
def test_what_is_no_result_is_refused(folder: Path, text: str) -> None:
    (folder / RESULT).write_text(text)
    with pytest.raises(hwsim.ResultError, match="result.json"):
        hwsim.load_result(folder)


@pytest.mark.parametrize(("name", "old", "new"), [
    ("counts", "0,0,weight_write,", "0,1000000000000,weight_write,"), ("counts", "0,0,weight_write,", "0,0,no_event,"),
    ("counts", "0,0,weight_write,", "-1,0,weight_write,"), ("counts", "0,0,weight_write,18", "0,0,weight_write,1e5"),
    ("counts", "0,0,weight_write,18", "0,0,weight_write,-18"), ("counts", "0,0,weight_write,18", "0,0,weight_write," + "9" * 30),
    ("counts", "1,0,weight_write", "0,0,weight_write"), ("counts_by_sample", "0,0,0,fifo_push", "0,99,0,fifo_push"),
    ("counts_by_sample", "0,0,0,fifo_push", "7,0,0,fifo_push"), ("counts_by_sample", "0,0,0,fifo_push", "0,0,0,fifo_push,1,2"),
    ("samples", "0,", "1,"), ("samples", "\n0,", "\n0,-"), ("spans", "0,0,0,0", "0,0,5,0"), ("spans", "0,0,0,0\n", ""),
    ("operations", "0,load,channel,core,0", "0,load,channel,core9,0"),
    ("operations", "0,load,channel,core,0", "1,load,channel,core,0"),
    ("operations", ",weight,0,0,", ",weight,0,99999999,"), ("operations", "True", "maybe"),
    ("operations", ",1152,True", ",,True"), ("operations", ",1152,True", ",-1,True"), ("operations", ",1152,True", ",1e300,True"),
    ("operations", "setup", "upset"),
])
def test_tables_that_make_no_sense_are_refused_whatever_their_hashes_say(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / f"{name}.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    edited(folder, lambda body: put(body, ("sha256", path.name), sha256(path.read_bytes()).hexdigest()))
    with pytest.raises(hwsim.ResultError, match=rf"{name}\.csv"):
        hwsim.load_result(folder)


def test_a_result_knows_what_made_it(result: hwsim.Result, folder: Path, tmp_path: Path) -> None:
    made = made_with(folder)
    assert made is not None
    assert made.versions["hwsim"] == hwsim.__version__
    assert made.command is None
    told = made_with(result.save(tmp_path / "told", command=["hwsim", "run", "<x>"]))
    assert told is not None
    assert told.command == ["hwsim", "run", "<x>"]
    edited(folder, lambda body: body.pop(MADE_WITH))
    assert made_with(folder) is None, "a result that was saved before it was kept"
    assert hwsim.load_result(folder).summary() == result.summary()
    edited(folder, lambda body: body.update(made_with={"versions": {"hwsim": 1}, "command": None}))
    with pytest.raises(hwsim.ResultError, match=r"made_with\.versions\.hwsim"):
        made_with(folder)


def test_figures_and_data_are_replaced_in_one_step(result: hwsim.Result, tmp_path: Path) -> None:
    def draw(_: Any, made: Path) -> None:
        assert (tmp_path / "run" / "energy.png").read_text() == "old"
        (made / "energy.png").write_text("new")

    folder = result.save(tmp_path / "run", draw=lambda _, made: (made / "energy.png").write_text("old"))
    result.save(folder, draw=draw)
    assert (folder / "energy.png").read_text() == "new"

    def broken(_: Any, made: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        result.save(folder, draw=broken)
    assert (folder / "energy.png").read_text() == "new"
    assert hwsim.load_result(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_with_something_else_in_it_is_not_replaced(result: hwsim.Result, folder: Path) -> None:
    (folder / "notes.txt").write_text("of somebody")
    with pytest.raises(hwsim.ResultError, match="holds notes.txt, which is no part of a saved result"):
        result.save(folder)
    assert (folder / "notes.txt").read_text() == "of somebody"
