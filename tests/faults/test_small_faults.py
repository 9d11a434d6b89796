"""Streams that are full or closed, memory that runs out, and values that only a forged file has: one text, and status 2."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.cli import main
from hwsim.errors import shown
from hwsim.trace.synth import synthesise
from tests.cli.calling import call


def command(*given: str, stdout: Any = subprocess.PIPE, close: bool = False) -> tuple[int, str]:
    """Exit status and stderr of the command line."""
    begin = "import os, sys; os.close(1); sys.stdout = None; " if close else "import sys; "
    done = subprocess.run([sys.executable, "-c", begin + "from hwsim.cli import main; main()", *given], stdout=stdout,
                          stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_stdout_is_one_text() -> None:
    with open("/dev/full", "w") as full:
        status, said = command("arch", "show", "event_core_16", stdout=full)
    assert status == 2
    assert said.startswith("error: No space left on device while ")
    assert said.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error() -> None:
    reader = subprocess.Popen([sys.executable, "-c", "pass"], stdin=subprocess.PIPE)
    reader.wait()
    assert reader.stdin is not None
    status, said = command("energy", "show", "event_core_16", "--json", stdout=reader.stdin)
    assert (status, said) == (1, "")


@pytest.mark.parametrize("line", [["trace", "info", "{}"], ["trace", "synth", "--out", "{}"]])
def test_a_name_that_is_too_long_is_one_text(line: list[str], capsys: pytest.CaptureFixture[str],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["hwsim", *(word.replace("{}", "a" * 5000) for word in line)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: aaa")
    assert said.endswith("; check the path\n")
    assert len(said) < 400
    assert "Errno" not in said


def test_a_closed_stdout_is_no_error() -> None:
    assert command("arch", "show", "event_core_16", close=True) == (0, "")


def test_memory_that_runs_out_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("hwsim.cli.app", lambda: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: out of memory; ")


@pytest.mark.parametrize("price", ["acc_add=1e308", "acc_add=nan", "acc_add=inf", "acc_add=-1", "acc_add=1e13", "acc_add=", "="])
def test_a_price_beyond_all_bounds_is_one_text(price: str, tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    synthesise("tiny", 2, samples=1).save(path).close()
    done = call("run", path, "--arch", "event_core_16", "--price", price, "--json")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_logits_that_are_no_numbers_are_refused_when_written() -> None:
    trace = synthesise("tiny", 2, samples=1)
    from hwsim.trace.writer import TraceWriter

    writer = TraceWriter(trace.network)
    with pytest.raises(ValueError, match=r"logits.*finite numbers"):
        writer.append(trace.sample(0), logits=np.array([1.0, np.nan]))


def test_an_error_s_text_shows_little_of_what_is_endless() -> None:
    loop: list[Any] = []
    loop.append(loop)
    doubled: Any = "x"
    for _ in range(100):
        doubled = (doubled, doubled)
    for value in (loop, doubled, "y" * 10**6, [1] * 10**6, {"a": loop}, 10**5000, {n: n for n in range(10**5)}):
        assert 0 < len(shown(value)) <= 80


# -- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture
def body() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    from tests.conftest import ROOT

    loaded: dict[str, Any] = torch.load(ROOT / "traces" / "fashion_mnist_small.pt", weights_only=True)
    return loaded


@pytest.mark.parametrize("kind", ["sparse", "meta", "endless description", "no numbers", "complex"])
def test_a_checkpoint_of_odd_tensors_is_one_error(kind: str, body: dict[str, Any], tmp_path: Path) -> None:
    import torch

    from hwsim.sources.checkpoint import CheckpointError, load_checkpoint

    name = next(name for name, value in body["weights"].items() if value.ndim > 1)
    weight = body["weights"][name]
    if kind == "endless description":
        for _ in range(60):
            body["description"]["mean"] = (body["description"]["mean"], body["description"]["mean"])
    else:
        odd = {"sparse": weight.to_sparse, "meta": lambda: weight.to("meta"), "no numbers": lambda: weight * float("nan"),
               "complex": lambda: weight.to(torch.complex64)}
        body["weights"][name] = odd[kind]()
    torch.save(body, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=r"odd\.pt") as told:
        load_checkpoint(tmp_path / "odd.pt")
    assert len(str(told.value)) < 1000


def test_a_checkpoint_that_unpacks_to_more_than_it_has_is_refused_unread(
    body: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from hwsim.sources.checkpoint import CheckpointError, load_checkpoint

    torch.save(body, tmp_path / "sound.pt")
    with zipfile.ZipFile(tmp_path / "sound.pt") as sound, zipfile.ZipFile(tmp_path / "bomb.pt", "w") as bomb:
        for entry in sound.infolist():
            bomb.writestr(entry.filename, sound.read(entry) + bytes(1 << 20), compress_type=zipfile.ZIP_DEFLATED)
    assert load_checkpoint(tmp_path / "sound.pt").weights
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch was asked"))
    with pytest.raises(CheckpointError, match="it is compressed"):
        load_checkpoint(tmp_path / "bomb.pt")


def test_a_nir_graph_whose_input_has_no_numbers_is_one_error() -> None:
    from types import SimpleNamespace

    from hwsim.capture.errors import CaptureError
    from hwsim.capture.nir_graph import _input_shape

    for found in ({"input": np.array(["../.."])}, {}, None, {"input": np.array([np.inf])}):
        node = type("Input", (), {"input_type": found})()
        with pytest.raises(CaptureError, match=r"node 'in' \(Input\): found .*expected an input_type of whole numbers"):
            _input_shape(SimpleNamespace(nodes={"in": node}), "graph.nir")
