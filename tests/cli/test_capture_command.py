"""`hwsim capture` as a user meets it: a model file or a graph in, a trace that replays out, one text for a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim.cli import main
from tests.cli.test_commands import call

MODEL = """
import torch
from torch import nn
import snntorch as snn

def make_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), snn.Leaky(beta=0.5, init_hidden=True), nn.MaxPool2d(2),
                          nn.Flatten(), nn.Linear(64, 3))
    model[0].weight.data.mul_(6)
    return model

def broken():
    raise ValueError("out of cheese")

def no_model():
    return 3
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "model.py").write_text(MODEL)
    np.savez(tmp_path / "inputs.npz", inputs=rng.integers(0, 4, (3, 1, 8, 8)).astype(np.float32), labels=[2, 0, 1])
    np.savez(tmp_path / "spikes.npz", inputs=rng.random((3, 4, 12)) < 0.4, labels=[1, 0, 1])
    return tmp_path


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `hwsim ARGUMENTS` in this process (importing torch takes seconds): status, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hwsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def answer(command: Callable[..., tuple[int, str, str]]) -> Callable[..., Any]:
    def run(*arguments: object) -> Any:
        status, out, err = command(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    return run


def test_torch_model_to_trace_to_run(files: Path, command: Any, answer: Any) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("snntorch")
    body = answer("capture", "torch", f"{files}/model.py:make_model", "--inputs", files / "inputs.npz", "--timesteps", 4,
                  "--out", files / "t.h5")
    assert (body["samples"], body["timesteps"], body["has_weights"]) == (3, 4, False)
    assert [layer["layer"] for layer in body["layers"]] == ["1", "4"]
    run = answer("run", files / "t.h5", "--arch", "event_core_64")
    assert run["mismatches"] is None
    assert run["synaptic_operations"] > 0
    with hwsim.Trace.open(files / "t.h5") as trace:
        assert trace.labels.tolist() == [2, 0, 1]
    status, out, err = command("capture", "torch", f"{files}/model.py:make_model", "--inputs", files / "inputs.npz",
                               "--timesteps", 4, "--out", files / "t.h5", "--force", "--samples", 2)
    assert status == 0, err
    assert "weights: none, on purpose" in out
    assert "running" in err


def test_nir_graph_to_trace_to_run(files: Path, command: Any, answer: Any) -> None:
    nir = pytest.importorskip("nir")
    rng = np.random.default_rng(0)
    graph = nir.NIRGraph.from_list(nir.Linear(rng.integers(-3, 5, (6, 12)) / 1.0), nir.IF(np.ones(6), np.full(6, 4.0)),
                                   nir.Linear(rng.integers(-3, 4, (2, 6)) / 1.0))
    nir.write(files / "g.nir", graph)
    common = ("capture", "nir", files / "g.nir", "--inputs", files / "spikes.npz", "--reset", "soft", "--dt", 1)
    body = answer(*common, "--out", files / "t.h5")
    assert body["has_weights"] is True
    assert body["provenance"]["float_comparison"].startswith("0 of ")
    run = answer("run", files / "t.h5", "--arch", "event_core_64", "--spikes", "computed")
    assert run["mismatches"] == 0
    assert run["accuracy"] is not None
    status, _, err = command(*common, "--out", files / "t.h5")
    assert status == 2
    assert "exists" in err


def test_help_says_that_code_runs_and_loads_no_torch() -> None:
    assert "THIS RUNS THE CODE" in " ".join(call("capture", "torch", "--help").stdout.split())
    code = ("import sys\nfrom typer.testing import CliRunner\nfrom hwsim.cli import app\n"
            "done = CliRunner().invoke(app, ['capture', 'torch', '--help'])\n"
            "import hwsim.capture\n"
            "sys.exit(done.exit_code or any(name in sys.modules for name in ('torch', 'nir', 'spikingjelly', 'snntorch')))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("arguments", "text"), [
    (("torch", "nowhere.py:f", "--inputs", "{d}/inputs.npz"), "nowhere.py: no such file"),
    (("torch", "{d}/model.py", "--inputs", "{d}/inputs.npz"), "FILE.py:FUNCTION"),
    (("torch", "{d}/model.py:nothing", "--inputs", "{d}/inputs.npz"), "make_model"),
    (("torch", "{d}/model.py:broken", "--inputs", "{d}/inputs.npz"), "model.py:14: broken() failed with ValueError: out of"),
    (("torch", "{d}/model.py:no_model", "--inputs", "{d}/inputs.npz"), "torch.nn.Module"),
    (("torch", "{d}/model.py:make_model", "--inputs", "{d}/nowhere.npz"), "nowhere.npz: no such file"),
    (("torch", "{d}/model.py:make_model", "--inputs", "{d}/model.py"), "no readable arrays"),
    (("torch", "{d}/model.py:make_model", "--inputs", "{d}/inputs.npz", "--samples", "9"), "holds 3"),
    (("torch", "{d}/model.py:make_model", "--inputs", "{d}/spikes.npz", "--timesteps", "4"), "'0' (Conv2d)"),
    (("nir", "{d}/model.py", "--inputs", "{d}/spikes.npz", "--reset", "soft", "--dt", "1"), "a NIR graph"),
    (("nir", "{d}/model.py", "--inputs", "{d}/spikes.npz", "--reset", "soft"), "--dt"),
    (("nir", "{d}/model.py", "--inputs", "{d}/spikes.npz", "--dt", "1"), "--reset"),
])
def test_mistakes_are_one_text_and_leave_nothing(arguments: tuple[str, ...], text: str, files: Path, command: Any) -> None:
    pytest.importorskip("snntorch")
    pytest.importorskip("nir")
    status, out, err = command("capture", *(a.format(d=files) for a in arguments), "--out", files / "t.h5")
    assert status == 2
    assert text in " ".join(err.split()), err
    assert "Traceback" not in err
    assert out == ""
    assert sorted(p.name for p in files.iterdir() if p.suffix == ".h5") == []


def test_what_the_model_prints_is_not_in_the_answer(files: Path, answer: Any) -> None:
    pytest.importorskip("snntorch")
    (files / "model.py").write_text(MODEL.replace("    return model\n", "    print('hello')\n    return model\n"))
    body = answer("capture", "torch", f"{files}/model.py:make_model", "--inputs", files / "inputs.npz", "--timesteps", 2,
                  "--out", files / "t.h5")
    assert body["samples"] == 3
